//! The rules: what is wrong with each resource, what became of the policy, and how a run relates to the last one. No I/O, no
//! clock.

pub(crate) mod arn;
pub(crate) mod change;
pub(crate) mod compare;
pub(crate) mod facts;
pub(crate) mod policy;
pub(crate) mod row;
pub(crate) mod settings;
pub(crate) mod state;
