//! Why a follow-up failed, and which secret's value that speaks against.

use serde::{Deserialize, Serialize};

use super::keys::{DATABASE, JWT};

/// Kind of the failure that is of no way: the labels stay as they are.
pub(crate) const SESSIONS: &str = "SessionsNotEnded";

/// Kinds of the failures for which a value is not deployed at all.
pub(crate) const REFUSALS: [&str; 2] = ["ValueRefused", "OldValueLeaked"];

/// Why a batch failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failed {
    /// Stable name.
    pub kind: String,
    /// What happened.
    pub detail: String,
    /// The policy's key of the secret that it speaks against; empty where it may speak against each of the batch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

impl Failed {
    /// One that may speak against each secret of the batch.
    pub(crate) fn new(kind: &str, detail: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), detail: detail.into(), key: String::new() }
    }

    /// One that speaks against one secret.
    pub(crate) fn of(key: &str, kind: &str, detail: impl Into<String>) -> Self {
        Self { key: key.to_owned(), ..Self::new(kind, detail) }
    }
}

/// Whether a failure can come from a secret's new value. Health, reach and rate of the application depend on no secret; that it
/// takes the old token still would not end by going back.
pub(crate) fn speaks_against(failed: &Failed, key: &str) -> bool {
    match failed.kind.as_str() {
        "RolloutFailed" => true,
        "ValueRefused" | "OldValueLeaked" | SESSIONS => failed.key == key,
        "NewTokenRefused" => key == JWT,
        // The login of the application or ours.
        "DatabaseRefused" | "LoginFailed" | "ListFailed" | "Auth" | "Permission" | "Identity"
        | "ReadOnly" | "Busy" | "ProofFailed" | "Database" | "WrongForm" => key == DATABASE,
        _ => false,
    }
}
