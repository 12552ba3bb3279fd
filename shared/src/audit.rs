//! The course of an audit, findings grouped for a message, and an audit's first week.

#[cfg(feature = "paging")]
pub mod course;
pub mod findings;
#[cfg(feature = "paging")]
pub mod first_week;
