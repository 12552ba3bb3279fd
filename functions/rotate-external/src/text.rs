//! Texts for operators, by kind of message.

pub(crate) mod failure;
pub(crate) mod retire;
pub(crate) mod rotation;
