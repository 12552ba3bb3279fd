//! The course of an audit, findings grouped for a message, advice after a failure, and an audit's first week.

pub mod advice;
#[cfg(feature = "paging")]
pub mod course;
pub mod findings;
#[cfg(feature = "paging")]
pub mod first_week;
