//! The steps of the state machine. Each reads the note, acts, and notes its result there. The state machine retries steps,
//! and a person may repeat them, so a step recognises the work of an attempt that died.

pub(crate) mod align;
pub(crate) mod ask;
pub(crate) mod choices;
pub(crate) mod deploy;
pub(crate) mod finish;
pub(crate) mod guard;
pub(crate) mod migrate;
pub(crate) mod open;
pub(crate) mod prove;
pub(crate) mod restore;
pub(crate) mod smoke;
pub(crate) mod switch;

use jiff::Timestamp;

use crate::rules::restore::Restore;
use crate::{Answer, Fields, Status};

/// The answer that leads to what the note says.
fn next(restore: &Restore) -> Answer {
    about(restore, 0, restore.next())
}

/// An answer about a restore.
fn about(restore: &Restore, wait_seconds: u16, status: Status) -> Answer {
    Answer {
        fields: Fields { run: Some(restore.run.clone()), says: Vec::new() },
        ..Answer::after(wait_seconds, status)
    }
}

/// Rounds down to ECS's precision for the start of a deployment.
fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
