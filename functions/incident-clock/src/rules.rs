//! Decisions: what is due when, what it says, and what is remembered of it.

pub(crate) mod lgpd;
pub(crate) mod notes;
pub(crate) mod register;
pub(crate) mod reminder;
pub(crate) mod said;
pub(crate) mod support;
pub(crate) mod timer;
