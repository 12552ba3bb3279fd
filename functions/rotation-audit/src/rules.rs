//! The rules: the findings of a secret, the principals that its resource policy admits, and the tasks on the board. No
//! I/O, no clock.

pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod policy;
pub(crate) mod resource_policy;
pub(crate) mod task;
