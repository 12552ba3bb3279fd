//! Decisions: the sample, the verdict of each check, the confidence that a run gives. No I/O, no clock.

pub(crate) mod columns;
pub(crate) mod confidence;
pub(crate) mod judge;
pub(crate) mod line;
pub(crate) mod listing;
pub(crate) mod progress;
pub(crate) mod row;
pub(crate) mod sample;
