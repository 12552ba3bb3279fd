//! The rules: the form of each secret, when a credential may be made, and when an old one may be retired. No I/O, no
//! clock.

pub(crate) mod in_force;
pub(crate) mod issuance;
pub(crate) mod password;
pub(crate) mod retire;
pub(crate) mod retired;
pub(crate) mod ses;
pub(crate) mod token;
