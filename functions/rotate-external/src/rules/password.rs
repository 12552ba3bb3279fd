//! The administrator's password: its form, and its state outside Secrets Manager.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared::document;
use shared::rotation::RotationError;

/// The administrator's password in the application's database after setSecret.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InDatabase {
    /// The new password is in force.
    New,
    /// No user has the address: the seed will create the administrator with the secret's value.
    #[serde(rename = "nobody")]
    NoUser,
}

/// The result of comparing candidates with the administrator's hash.
pub(crate) enum Found {
    /// The hash matches the candidate at this index.
    Candidate(usize),
    /// The hash matches none of them.
    Unknown,
    /// The user is inactive and cannot log in with any password.
    Inactive,
    /// No user has the address.
    NoUser,
}

/// The proof that the new password is in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PasswordProof {
    Login,
    /// A login whose answer masks the tokens, so no client of the application can use them.
    Masked,
    /// A login up to the second factor.
    SecondFactor,
    /// The hash in the application's database; the stack has no address to log in at.
    Hash,
    /// None: the application does not have the password.
    Nothing,
}

impl PasswordProof {
    /// The proof's text in the evidence.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Login => "log in to the application as the administrator",
            Self::Masked => "log in to the application as the administrator (its answer comes masked)",
            Self::SecondFactor => "log in to the application as the administrator, up to the second factor",
            Self::Hash => "find the new password's hash in the application's database; no login was tried",
            Self::Nothing => "store the new password; nothing proves it",
        }
    }
}

/// The note of setSecret for the steps after it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Applied {
    /// The state in the application's database; none if the stack names no database.
    pub database: Option<InDatabase>,
    /// When GitHub stored the value; none if the stack names no secret of GitHub Actions.
    pub stored: Option<Timestamp>,
}

/// Refuses a document or a URL: a rotation replaces the whole value, and would lose the rest of it.
///
/// # Errors
///
/// [`RotationError::WrongForm`].
pub(crate) fn check(value: &SecretString) -> Result<(), RotationError> {
    let text = value.expose_secret().trim();
    let reason = match text.chars().next() {
        Some('{' | '[') if document::values(text).is_ok() => {
            "it is a JSON document, and a rotation would lose its other fields"
        }
        _ if text.contains("://") => "it is a URL, not the administrator's password",
        _ => return Ok(()),
    };
    Err(RotationError::WrongForm { reason: format!("{reason}: store the password and nothing else") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_bc640d8_is_read() {
        let recorded = include_str!("../../../../tests/recorded/rotate-external-administrator.json");
        let applied: Applied = serde_json::from_str(recorded).unwrap();
        assert!(applied.database == Some(InDatabase::New) && applied.stored.is_some());
    }
}
