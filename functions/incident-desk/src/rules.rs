//! Decides: no AWS, no runtime, no clock.

pub(crate) mod slack;
