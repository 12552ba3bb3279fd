//! Decisions: what a row needs, whom it reaches, what becomes of it, and what is missing.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod escalation;
pub(crate) mod hand_over;
pub(crate) mod reach;
pub(crate) mod row;
pub(crate) mod silence;
pub(crate) mod synthetic;
pub(crate) mod thread;
