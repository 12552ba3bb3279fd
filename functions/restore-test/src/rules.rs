//! Decisions: no AWS, no runtime, no clock.

pub(crate) mod baseline;
pub(crate) mod case;
pub(crate) mod choice;
pub(crate) mod instance;
pub(crate) mod ledger;
pub(crate) mod run;
