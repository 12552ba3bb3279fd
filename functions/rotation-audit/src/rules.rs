//! The rules: what is wrong with a secret, and whom its resource policy lets in. No I/O, no clock.

pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod policy;
pub(crate) mod resource_policy;
