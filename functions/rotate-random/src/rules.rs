//! The rules: how a secret's value is made, stored and checked. No I/O, no clock.

pub(crate) mod policy;
pub(crate) mod value;
