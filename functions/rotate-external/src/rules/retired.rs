//! What retiring did with an old credential, and why one stays.

use serde::{Deserialize, Serialize};
use shared::run::ledger::NotInUse;

/// Why an old credential stays for now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stays {
    /// A rotation is under way.
    RotationRuns,
    /// Something has used it since the follow-up ended.
    StillUsed {
        /// The key's id.
        key: String,
    },
    /// It is in no version of the secret: a person's.
    Foreign {
        /// The key's id.
        key: String,
    },
    /// The stack names no application whose login would prove anything.
    NoApplication,
    /// The application has no such user.
    NoUser,
    /// It is deactivated, and can be activated again until the policy's hours are over.
    Deactivated,
    /// Nobody knows that the current version is in use.
    #[serde(untagged)]
    NotInUse(NotInUse),
}

impl Stays {
    /// The stable name of why something waits.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::RotationRuns => "rotation_runs",
            Self::NotInUse(why) => why.name(),
            Self::StillUsed { .. } => "still_used",
            Self::Foreign { .. } => "foreign",
            Self::Deactivated => "deactivated",
            Self::NoApplication => "no_application",
            Self::NoUser => "no_user",
        }
    }
}

/// What retiring did with a secret's old credential.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Retired {
    /// There is none.
    Nothing,
    /// It stays for now.
    Waits(Stays),
    /// The key is out of use, and can be activated again.
    Deactivated {
        /// Its id.
        key: String,
    },
    /// The key is gone.
    Deleted {
        /// Its id.
        key: String,
    },
    /// The current token is the primary one, and the one before is refused.
    Promoted,
    /// The application takes the current password and refuses the one before.
    Refused {
        /// The current version.
        version: String,
    },
}

impl Retired {
    /// The key that it is about; empty where there is none.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Deactivated { key } | Self::Deleted { key } => key,
            Self::Nothing | Self::Waits(_) | Self::Promoted | Self::Refused { .. } => "",
        }
    }

    /// What was done, in a word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Waits(_) => "waits",
            Self::Deactivated { .. } => "deactivated",
            Self::Deleted { .. } => "deleted",
            Self::Promoted => "promoted",
            Self::Refused { .. } => "refused",
        }
    }
}
