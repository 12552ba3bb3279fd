//! Failures of a follow-up, and the secrets whose values may have caused them. No I/O, no clock.

use serde::{Deserialize, Serialize};

use super::keys::{DATABASE, JWT};

/// Kind of the failure to revoke refresh tokens. It ends neither the way forward nor the rollback, and no label moves for it.
pub(crate) const SESSIONS: &str = "SessionsNotEnded";

/// Kinds of failures that prevent the deployment of a value.
pub(crate) const REFUSALS: [&str; 2] = ["ValueRefused", "OldValueLeaked"];

/// Why a batch failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failed {
    /// Stable name.
    pub kind: String,
    /// What was observed.
    pub detail: String,
    /// The policy's key of the secret that may have caused it; empty if any secret of the batch may have.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

impl Failed {
    /// A failure that any secret of the batch may have caused.
    pub(crate) fn new(kind: &str, detail: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), detail: detail.into(), key: String::new() }
    }

    /// A failure of one secret.
    pub(crate) fn of(key: &str, kind: &str, detail: impl Into<String>) -> Self {
        Self { key: key.to_owned(), ..Self::new(kind, detail) }
    }
}

/// Whether a secret's new value may have caused a failure. Health, reachability and rate limit of the application depend on no
/// secret, and a rollback does not help an application that still accepts the old token.
pub(crate) fn implicates(failed: &Failed, key: &str) -> bool {
    match failed.kind.as_str() {
        "RolloutFailed" => true,
        "ValueRefused" | "OldValueLeaked" | SESSIONS => failed.key == key,
        "NewTokenRefused" => key == JWT,
        // The application's login or this function's.
        "DatabaseRefused" | "LoginFailed" | "ListFailed" | "Auth" | "Permission" | "Identity"
        | "ReadOnly" | "Busy" | "ProofFailed" | "Database" | "WrongForm" => key == DATABASE,
        _ => false,
    }
}
