//! The rules: plain functions over data. No I/O, no clock.

pub(crate) mod leak;
pub(crate) mod observed;
pub(crate) mod pair;
pub(crate) mod plan;
pub(crate) mod policy;
