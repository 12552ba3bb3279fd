//! The course of one run.

use shared::run::evidence::Step;

use crate::rules::action::Action;
use crate::rules::finding::Judged;
use crate::rules::snapshot::ExpiredSnapshot;

/// What a run has found and done so far.
#[derive(Default)]
pub(crate) struct Run {
    pub judged: Vec<Judged>,
    pub actions: Vec<Action>,
    pub steps: Vec<Step>,
    pub paged: Vec<String>,
    pub unpaged: usize,
    /// What was to be deleted, and was not after all.
    pub spared: Vec<ExpiredSnapshot>,
}
