//! The rules: the findings of a secret, and the principals that its resource policy admits. No I/O, no clock.

pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod policy;
pub(crate) mod resource_policy;
