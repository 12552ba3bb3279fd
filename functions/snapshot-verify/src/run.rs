//! The course of one run.

use shared::run::evidence::Step;

use crate::rules::action::Action;
use crate::rules::finding::Judged;
use crate::rules::snapshot::ExpiredSnapshot;

/// The findings and actions of a run so far.
#[derive(Default)]
pub(crate) struct Run {
    pub judged: Vec<Judged>,
    pub actions: Vec<Action>,
    pub steps: Vec<Step>,
    pub paged: Vec<String>,
    pub unpaged: usize,
    /// Planned deletions that no longer apply.
    pub spared: Vec<ExpiredSnapshot>,
}
