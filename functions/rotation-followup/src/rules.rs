//! The rules of a follow-up: changes to follow, services to deploy, the meaning of the application's answers, and
//! rollbacks. No I/O, no clock.

pub(crate) mod act;
pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod failure;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod kind;
pub(crate) mod old;
pub(crate) mod proof;
pub(crate) mod rollback;
pub(crate) mod row;
