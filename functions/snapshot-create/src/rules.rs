//! The rules: the snapshot's name and tags, and the meaning of RDS's statuses for the deploy. No I/O, no clock.

pub(crate) mod case;
pub(crate) mod job;
pub(crate) mod name;
pub(crate) mod policy;
pub(crate) mod request;
pub(crate) mod tags;
