//! The audits' course, and what they share: findings grouped for a message, and the first week of an account.

#[cfg(feature = "paging")]
pub mod course;
pub mod findings;
#[cfg(feature = "paging")]
pub mod first_week;
