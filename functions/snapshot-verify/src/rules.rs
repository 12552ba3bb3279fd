//! The rules: the findings of a snapshot, the choice of the copy's source, the expired snapshots, and the comparison
//! with the previous run. No I/O, no clock.

pub(crate) mod action;
pub(crate) mod compare;
pub(crate) mod copies;
pub(crate) mod expiry;
pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod journal;
pub(crate) mod judge;
pub(crate) mod policy;
pub(crate) mod scope;
pub(crate) mod snapshot;
#[cfg(test)]
mod testing;
