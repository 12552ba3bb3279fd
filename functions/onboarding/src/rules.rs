//! Decides: no AWS, no runtime, no clock.

pub(crate) mod access;
pub(crate) mod checklist;
pub(crate) mod finding;
pub(crate) mod person;
pub(crate) mod shadow;
