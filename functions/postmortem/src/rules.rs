//! Decides: no AWS, no runtime, no clock.

pub(crate) mod filled;
pub(crate) mod finding;
pub(crate) mod journal;
pub(crate) mod metrics;
pub(crate) mod times;
pub(crate) mod wanted;
