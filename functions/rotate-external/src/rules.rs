//! The rules: documents, who may make a credential, and when an old one may be put out of use. No I/O, no clock.

pub(crate) mod in_force;
pub(crate) mod issuance;
pub(crate) mod password;
pub(crate) mod retire;
pub(crate) mod retired;
pub(crate) mod ses;
pub(crate) mod token;
