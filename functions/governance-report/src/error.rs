//! Why a run failed; one variant for each different next step of the operator.

use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run failed. What could not be read is on the page as unknown, and no failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// The event is wrong.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The page, or what is kept for the next one, could not be written.
    #[error("the page could not be written")]
    Unwritten(#[from] DocumentError),
    /// There was not enough time.
    #[error("the page was not made in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; each is in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl Failure for ReportError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::Unwritten(_) => "PageNotWritten",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::PageFailed(_) => "PageFailed",
        }
    }
}

impl ReportError {
    /// The operator's next step.
    pub(crate) fn next_step(&self, language: Language) -> &'static str {
        match self {
            Self::PageFailed(_) => language.pick(
                "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
                "page the on-call engineer with the text in the log (field `undelivered`), and check the paging topic.",
            ),
            Self::InvalidEvent(_) | Self::Unwritten(_) | Self::Deadline(_) => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, ver a causa no log da função; a página anterior continua no bucket, com a data dela.",
                "Lambda tries twice more. If the failure repeats, see the cause in the function's log; the previous page is still in the bucket, with its date.",
            ),
        }
    }
}
