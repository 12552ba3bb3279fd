//! What the audits share: findings grouped for a message, and the first week of an account.

pub mod findings;
#[cfg(feature = "paging")]
pub mod first_week;
