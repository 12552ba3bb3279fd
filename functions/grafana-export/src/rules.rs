//! Decisions: what an export holds, what is a secret in it, and whether a restored one is the same. No network, no clock.

pub(crate) mod bundle;
pub(crate) mod finding;
pub(crate) mod normal;
pub(crate) mod scratch;
pub(crate) mod secret;
pub(crate) mod v2;
