//! Why a run or a request failed; one variant for each different next step of the operator.

use shared::audit::advice;
use shared::aws::table::Busy;
use shared::github::board::BoardError;
use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run or a request failed. A late post-mortem is a finding, not a failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PostmortemError {
    /// The event is wrong.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// There is no such incident.
    #[error("there is no incident {0}")]
    NoIncident(String),
    /// The incident has no post-mortem.
    #[error(
        "{0} has no post-mortem; ask for it with {{\"document\": {{\"incident\": \"{0}\", \"by\": \"NAME\"}}}} once it is resolved"
    )]
    NoPostmortem(String),
    /// The closed post-mortem has no such action.
    #[error("the post-mortem of {incident} has no action {number}; they are numbered when it is closed")]
    NoAction {
        /// The incident's id.
        incident: String,
        /// The number.
        number: u32,
    },
    /// The state does not follow from the present one.
    #[error(
        "the post-mortem of {incident} is {state}, from which it cannot become {wanted}: draft, in_review, closed follow one another"
    )]
    WrongState {
        /// The incident's id.
        incident: String,
        /// Its state.
        state: &'static str,
        /// The state that was asked for.
        wanted: &'static str,
    },
    /// The incident goes on, or ended again since its document was begun.
    #[error(
        "incident {0} is open again, or ended again: its post-mortem can be closed once the new facts are in the document, which is begun again some minutes after the end, or with {{\"document\": {{\"incident\": \"{0}\", \"by\": \"NAME\"}}}}"
    )]
    NotOver(String),
    /// The document is not complete.
    #[error("the post-mortem of {incident} cannot be closed: {missing}")]
    Incomplete {
        /// The incident's id.
        incident: String,
        /// What it lacks, in the stack's language.
        missing: String,
    },
    /// A section's mark is gone from the document, or is there twice.
    #[error(
        "the document of {incident} needs the line {mark} once, alone in its line: of a section, below its heading; of the facts, above and below them"
    )]
    MarkGone {
        /// The incident's id.
        incident: String,
        /// The mark.
        mark: String,
    },
    /// The document is in the repository, where it is changed.
    #[error(
        "the document of {incident} is in the repository: change it in pull request #{number}, or where that was merged"
    )]
    InRepository {
        /// The incident's id.
        incident: String,
        /// The pull request.
        number: u64,
    },
    /// The table did not answer.
    #[error("a call to the table of incidents failed")]
    Table(#[from] CallError),
    /// Other changes came in between, each time.
    #[error("{0}; ask again")]
    Busy(#[from] Busy),
    /// A document in the evidence bucket could not be read or written.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// The repository did not answer, or refused.
    #[error("the repository could not be read")]
    Repository(#[from] BoardError),
    /// There was not enough time.
    #[error("the run was not done in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; each is in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl Failure for PostmortemError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NoIncident(_) => "NoIncident",
            Self::NoPostmortem(_) => "NoPostmortem",
            Self::NoAction { .. } => "NoAction",
            Self::WrongState { .. } => "WrongState",
            Self::NotOver(_) => "NotOver",
            Self::Incomplete { .. } => "Incomplete",
            Self::MarkGone { .. } => "MarkGone",
            Self::InRepository { .. } => "InRepository",
            Self::Table(_) => "DynamoDbCall",
            Self::Busy(_) => "Busy",
            Self::Documents(_) => "DocumentFailed",
            Self::Repository(_) => "RepositoryFailed",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::PageFailed(_) => "PageFailed",
        }
    }
}

impl PostmortemError {
    /// Whether a request is at fault, not the stack: whoever asked reads why, and nobody is paged.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::InvalidEvent(_)
                | Self::NoIncident(_)
                | Self::NoPostmortem(_)
                | Self::NoAction { .. }
                | Self::WrongState { .. }
                | Self::NotOver(_)
                | Self::Incomplete { .. }
                | Self::MarkGone { .. }
                | Self::InRepository { .. }
        )
    }

    /// The operator's next step, for the channel's message about a daily run that failed.
    pub(crate) fn next_step(&self, language: Language) -> String {
        match self {
            Self::Table(call) => advice::of_call(call, language),
            Self::PageFailed(_) => advice::of_pages(language).to_owned(),
            _ => advice::of_log(language).to_owned(),
        }
    }
}
