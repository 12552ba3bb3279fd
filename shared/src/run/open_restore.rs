//! The emergency restore that is open, as the functions see it that rotate secrets or follow their changes.
//!
//! `emergency-restore` writes the note; this module has the part of it that others read.

use serde::{Deserialize, Serialize};

use crate::run::documents::{DocumentError, Documents};

/// The procedure that restores: the folder of its function and of its evidence.
pub const PROCEDURE: &str = "emergency-restore";

/// Name of the note in that folder.
pub const NOTE: &str = "restores";

/// A secret that a restore points to another database.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Move {
    /// ARN of the secret.
    pub secret: String,
    /// Its name.
    pub name: String,
    /// The version with the old database's address.
    pub from: String,
    /// The version with the new database's address.
    pub to: String,
}

/// A version that a restore left in force.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Left {
    /// ARN of the secret.
    pub secret: String,
    /// The version.
    pub version: String,
}

/// What the note says to others.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Restores {
    /// The open restore.
    #[serde(default)]
    pub open: Option<Open>,
    /// Versions that closed restores left in force.
    #[serde(default)]
    pub left: Vec<Left>,
}

/// The open restore.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Open {
    /// Its name, e.g. `r20261130-1`.
    pub run: String,
    /// The secrets that it has moved, or is about to move.
    #[serde(default)]
    pub moves: Vec<Move>,
}

impl Restores {
    /// Reads the note; `documents` may be those of any procedure.
    ///
    /// # Errors
    ///
    /// The [`DocumentError`] of reading it.
    pub async fn read(documents: &Documents) -> Result<Self, DocumentError> {
        Ok(documents.of(PROCEDURE).get(NOTE).await?.unwrap_or_default())
    }

    /// Whether a restore made this version current, by itself and with its own deployment: an open one in either
    /// direction, a closed one only the version that it left in force.
    pub fn made(&self, secret: &str, version: &str) -> bool {
        let moves = self.open.iter().flat_map(|open| &open.moves);
        let mut moves = moves.filter(|it| it.secret == secret);
        let mut left = self.left.iter().filter(|it| it.secret == secret);
        moves.any(|it| it.from == version || it.to == version) || left.any(|it| it.version == version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restores_own_versions_are_recognised_and_no_others() {
        let note = r#"{"open": {"run": "r20261130-1", "phase": "hold", "moves": [{"secret": "a", "name": "n", "from": "1", "to": "2"}]},
            "left": [{"secret": "b", "version": "9"}], "past": []}"#;
        let restores: Restores = serde_json::from_str(note).unwrap();
        for (secret, version, expected) in [
            ("a", "1", true),
            ("a", "2", true),
            ("a", "3", false),
            ("b", "9", true),
            ("b", "1", false),
            ("c", "1", false),
        ] {
            assert_eq!(restores.made(secret, version), expected, "{secret} {version}");
        }
        let none: Restores = serde_json::from_str("{}").unwrap();
        assert_eq!(none, Restores::default());
        assert!(!none.made("a", "1"));
    }
}
