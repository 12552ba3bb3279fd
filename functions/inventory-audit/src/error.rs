//! Why an audit failed. What is wrong with a resource is a finding and no failure, nor is what could not be seen.

use shared::failure::Failure;

/// Why an audit failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("{0} pages were not published; each stands in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl Failure for AuditError {
    fn kind(&self) -> &'static str {
        match self {
            Self::PageFailed(_) => "PageFailed",
        }
    }
}
