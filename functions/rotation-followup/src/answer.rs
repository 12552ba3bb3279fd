//! The steps' answers.

use serde::Serialize;
use shared::workflow;

/// A step's answer, by which the state machine chooses the next state.
pub type Answer = workflow::Answer<Status>;

/// The outcome of a step, or of an event of CloudTrail.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No action is needed.
    Nothing,
    /// Changes wait for an execution.
    Waiting,
    /// The waiting changes are this execution's batch.
    Taken,
    /// Another execution has an open batch.
    Busy,
    /// Another execution took the changes.
    Joined,
    /// The services are being deployed.
    Deployed,
    /// A deployment is still running.
    Running,
    /// Every task is new.
    Steady,
    /// A proof failed and is tried again.
    Again,
    /// No proof failed.
    Proved,
    /// The batch's current direction has failed.
    Failed,
    /// Labels moved back.
    Moved,
    /// No label moves back.
    Stays,
    /// The ledger has the new values.
    Recorded,
    /// The batch is closed without a failure.
    Succeeded,
    /// The journal has the act.
    Noted,
    /// The page about a failed rotation is out.
    Paged,
}

shared::check_definition!(crate::event::Step, Status);
