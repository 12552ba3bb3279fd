//! The course of one run.

use jiff::Timestamp;
use shared::run::evidence::Step;

use crate::rules::action::Action;
use crate::rules::finding::Judged;
use crate::rules::snapshot::ExpiredSnapshot;

/// A run's day, and its findings and actions so far.
#[derive(Default)]
pub(crate) struct Run {
    /// The day in São Paulo.
    pub day: String,
    pub now: Timestamp,
    pub judged: Vec<Judged>,
    pub actions: Vec<Action>,
    pub steps: Vec<Step>,
    pub paged: Vec<String>,
    pub unpaged: usize,
    /// Planned deletions that no longer apply.
    pub spared: Vec<ExpiredSnapshot>,
}
