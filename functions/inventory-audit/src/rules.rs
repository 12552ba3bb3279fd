//! The rules: findings of each resource, changes of the policy, and the comparison with the last run. No I/O, no clock.

pub(crate) mod arn;
pub(crate) mod change;
pub(crate) mod compare;
pub(crate) mod facts;
pub(crate) mod on_call;
pub(crate) mod policy;
pub(crate) mod row;
pub(crate) mod runbook;
pub(crate) mod settings;
pub(crate) mod state;
