//! Why an audit failed. What is wrong with a resource is a finding and no failure, nor is what could not be seen.

use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;

/// Why an audit failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("{0} pages were not published; each stands in the log with error_type PageFailed")]
    PageFailed(usize),
    /// A change of the policy was announced and could not be read; Lambda tries again, and the next audit looks too.
    #[error("the policy's versions could not be read")]
    PolicyUnseen(#[from] CallError),
    /// The same, for want of time.
    #[error("the policy's versions could not be read")]
    PolicyLate(#[from] DeadlineExceeded),
}

impl Failure for AuditError {
    fn kind(&self) -> &'static str {
        match self {
            Self::PageFailed(_) => "PageFailed",
            Self::PolicyUnseen(_) | Self::PolicyLate(_) => "PolicyUnseen",
        }
    }
}
