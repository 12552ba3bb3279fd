//! A row of the rotation ledger.

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
    /// Its ARN.
    pub arn: String,
    /// The policy's key.
    pub key: String,
    /// The version that became current.
    pub version: String,
    /// The one before.
    pub previous: Option<String>,
    /// Why.
    pub reason: Reason,
    /// Who, as far as known.
    pub by: Option<String>,
    /// When the value was made.
    pub made: Option<Timestamp>,
    /// When the follow-up began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// `proved`, `unproved`, `rolled back` or `failed`.
    pub outcome: String,
    /// What happened where it did not go well.
    pub failure: Option<Failed>,
    /// The services that were deployed again.
    pub services: Vec<String>,
    /// Readers that the deployment did not give the new version.
    #[serde(default)]
    pub pinned: Vec<String>,
    /// Whether the label was moved back to the version before.
    #[serde(default)]
    pub restored: bool,
    /// What was proved, each with its outcome.
    pub proofs: Vec<Proof>,
    /// Refresh tokens that were revoked; none when that was not asked for.
    pub sessions_ended: Option<u64>,
    /// When the value has to be replaced by policy.
    pub next_due: Option<Timestamp>,
    /// The execution.
    pub execution: String,
    /// The first version that had the same value, where no rotation made this one: the value's age counts from that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// When that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_made: Option<Timestamp>,
    /// What is known of the value before, after an incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<Leak>,
}

/// What is known of a value that has leaked, once the one that replaced it is in use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Leak {
    /// It was seen to be refused.
    Dead,
    /// It may still be good; why, as a stable name.
    Alive(String),
    /// Nothing that this stack reaches can prove it.
    NoProof,
}

impl Row {
    /// Whether its old value leaked and may still be good.
    pub(crate) fn may_leak_live(&self) -> bool {
        self.leak.as_ref().is_some_and(|leak| *leak != Leak::Dead)
    }
}
