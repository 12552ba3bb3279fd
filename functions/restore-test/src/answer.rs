//! The steps' answers.

use serde::Serialize;
use shared::workflow::{self, Broken};

use crate::rules::run::Run;

/// The answer: the state machine branches on it; people read it.
pub type Answer = workflow::Answer<Outcome, Fields>;

/// The outcome of a step.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The snapshot is chosen, and the run has the only place.
    Chosen,
    /// The source has to be read as a baseline.
    Baseline,
    /// The event is not about this database, or its baseline is there.
    Ignored,
    /// RDS makes the instance.
    Restoring,
    /// The instance accepts logins.
    Available,
    /// The master's password is not set yet, or not accepted yet.
    Waiting,
    /// The restored database is ready for the proof.
    Open,
    /// Another call has to go on reading.
    Reading,
    /// Everything is read that can be.
    Read,
    /// RDS deletes the instance.
    Removing,
    /// The instance is gone, or never was.
    Removed,
    /// Every check holds.
    Passed,
    /// A check could not be made.
    Unverified,
    /// A check does not hold, or the test broke.
    Failed,
}

/// The answer's fields for people.
#[derive(Debug, Default, Serialize)]
pub struct Fields {
    /// Identifier of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Identifier of the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Objects that are left to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
    /// Stable kind of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The failure, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An answer about a run.
pub(crate) fn about(run: &Run, wait_seconds: u16, status: Outcome) -> Answer {
    let fields = Fields {
        instance: Some(run.instance.clone()),
        snapshot: Some(run.snapshot.name.clone()),
        ..Fields::default()
    };
    Answer { status, wait_seconds, fields }
}

/// The last answer of an execution that did not prove its snapshot.
pub(crate) fn because(status: Outcome, broken: Broken) -> Answer {
    let fields = Fields { kind: Some(broken.kind), detail: Some(broken.detail), ..Fields::default() };
    Answer { fields, ..Answer::now(status) }
}

shared::check_definition!(crate::event::Step, Outcome);
