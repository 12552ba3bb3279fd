//! The rules of a follow-up: which changes to follow, which services to deploy, what the answers prove, and when to roll back.
//! No I/O, no clock.

pub(crate) mod act;
pub(crate) mod back;
pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod failure;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod old;
pub(crate) mod proof;
pub(crate) mod readers;
pub(crate) mod rollout;
pub(crate) mod row;
