//! Texts for operators, in Portuguese and English.

pub(crate) mod failure;
pub(crate) mod retire;
