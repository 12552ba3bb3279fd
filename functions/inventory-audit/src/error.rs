//! Why an audit failed. A problem of a resource is a finding, not a failure; so is a resource that could not be
//! checked.

use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;

/// Why an audit failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; each is in the log with error_type PageFailed")]
    PageFailed(usize),
    /// The policy's versions could not be read. Lambda retries, and the next audit also checks for changes.
    #[error("the policy's versions could not be read")]
    PolicyUnseen(#[from] CallError),
    /// The policy's versions were not read in time.
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
