//! The results of retiring an old credential.

use serde::{Deserialize, Serialize};
use shared::run::ledger::NotInUse;

/// Why an old credential stays for now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// A rotation is in progress.
    RotationRuns,
    /// It was used after the follow-up ended.
    StillUsed {
        /// The key's id.
        key: String,
    },
    /// No version of the secret holds it, so it belongs to a person.
    Foreign {
        /// The key's id.
        key: String,
    },
    /// The stack names no application, so no login can prove the refusal.
    NoApplication,
    /// The application has no such user.
    NoUser,
    /// It is deactivated, and can be reactivated until the policy's hours have passed.
    Deactivated,
    /// The current version is not known to be in use.
    #[serde(untagged)]
    NotInUse(NotInUse),
}

impl Reason {
    /// The stable name of the reason, for the evidence and the answer.
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

/// The result of retiring a secret's old credential.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Retired {
    /// The secret has no old credential.
    Nothing,
    /// It stays for now.
    Waits(Reason),
    /// The key is deactivated, and can be reactivated.
    Deactivated {
        /// Its id.
        key: String,
    },
    /// The key is deleted.
    Deleted {
        /// Its id.
        key: String,
    },
    /// The current token is the primary one, and the previous one is refused.
    Promoted,
    /// The application accepts the current password and refuses the previous one.
    Refused {
        /// The current version.
        version: String,
    },
}

impl Retired {
    /// Id of the key; empty if the result is not about a key.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Deactivated { key } | Self::Deleted { key } => key,
            Self::Nothing | Self::Waits(_) | Self::Promoted | Self::Refused { .. } => "",
        }
    }

    /// The stable name of the result.
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
