//! Why an invocation failed; one variant for each different action of an operator. What a channel answers is no failure:
//! it stands in the row and in the timeline, and the row is sent again.

use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};

/// Why an invocation failed. Rows stay due, so the next sweep does what this one did not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendError {
    /// The event is neither the table's stream nor a sweep.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The table could not be read or written.
    #[error("the table of incidents could not be read or written; the next sweep tries again")]
    Table(#[from] CallError),
    /// The daily synthetic event could not be published.
    #[error("the synthetic event could not be published to the paging topic; the next sweep tries again")]
    Synthetic(#[source] CallError),
}

impl Failure for SendError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::Table(_) => "TableCall",
            Self::Synthetic(_) => "SyntheticNotPublished",
        }
    }
}
