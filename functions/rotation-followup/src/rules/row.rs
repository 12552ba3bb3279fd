//! A row of the rotation ledger. No I/O, no clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Reason;
use super::failure::Failed;
use super::proof::Proof;

/// One row of the rotation ledger.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Name of the secret.
    pub secret: String,
    /// ARN of the secret.
    pub arn: String,
    /// The policy's key.
    pub key: String,
    /// The version that became current.
    pub version: String,
    /// The previous version.
    pub previous: Option<String>,
    /// The reason for the change.
    pub reason: Reason,
    /// The author of the change, if known.
    pub by: Option<String>,
    /// When the version was created.
    pub made: Option<Timestamp>,
    /// When the follow-up began.
    pub started: Timestamp,
    /// When the follow-up ended.
    pub ended: Timestamp,
    /// How the follow-up ended.
    pub outcome: Ending,
    /// Why the follow-up failed.
    pub failure: Option<Failed>,
    /// The services that were deployed again.
    pub services: Vec<String>,
    /// Readers that the deployment did not give the new version.
    #[serde(default)]
    pub pinned: Vec<String>,
    /// Whether the label was moved back to the previous version.
    #[serde(default)]
    pub restored: bool,
    /// Proofs and their outcomes.
    pub proofs: Vec<Proof>,
    /// Number of revoked refresh tokens; none if neither policy nor incident asked for it.
    pub sessions_ended: Option<u64>,
    /// When the policy requires the next rotation.
    pub next_due: Option<Timestamp>,
    /// The state machine's execution.
    pub execution: String,
    /// The first version with the same value, if no rotation made this one. The value's age counts from that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// When that version was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_made: Option<Timestamp>,
    /// State of the previous value, after an incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<Leak>,
}

/// How a follow-up ended for one secret.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    /// All proofs show that the new value is in use.
    Proved,
    /// The new value is in use, as far as it could be proved.
    Unproved,
    /// The previous value is in use again.
    #[serde(rename = "rolled back")]
    RolledBack,
    /// The follow-up failed and brought no proved value back into use; the failure says why.
    Failed,
}

/// State of a leaked value, once its replacement is in use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Leak {
    /// It was refused.
    Dead,
    /// It may still be valid; the reason, as a stable name.
    Alive(String),
    /// This stack cannot prove that it is refused.
    NoProof,
}

impl Row {
    /// Whether the previous value leaked and may still be valid.
    pub(crate) fn is_leak_alive(&self) -> bool {
        self.leak.as_ref().is_some_and(|leak| *leak != Leak::Dead)
    }
}
