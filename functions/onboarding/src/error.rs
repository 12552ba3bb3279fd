//! Why a run or a request failed; one variant for each different next step. No text names a person other than by the id.

use shared::audit::advice;
use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run or a request failed. A late checklist and access that remains are findings, not failures.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OnboardingError {
    /// The event is wrong.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// There is no such person.
    #[error("there is no person {0}; {{\"show\": {{}}}} lists those that there are")]
    NoPerson(String),
    /// The name is already that of a person with other data.
    #[error(
        "{0} has this name already; correct that one with change, or write a name that tells the two apart"
    )]
    NameTaken(String),
    /// The person has left.
    #[error("{0} has left; to begin anew, ask first for forget")]
    HasLeft(String),
    /// The name is neither the person's nor the mentor's, or the other one has to say it.
    #[error("{item} of {person} is for {expected} to say: by is not the name that was given at the start")]
    NotTheirs {
        /// The person's id.
        person: String,
        /// The item's key.
        item: String,
        /// Who has to say it.
        expected: &'static str,
    },
    /// There is no such item.
    #[error("the checklist has no such item; it has {0}")]
    NoItem(String),
    /// Nobody says that the item is done.
    #[error("{0} is not for a person to say: {1}")]
    NotSaid(String, &'static str),
    /// The procedure has no record of the run.
    #[error(
        "{0} has no record of this run; take the run id from the record or from the message in the channel"
    )]
    NoRecord(String),
    /// The record is not what the chain says.
    #[error(
        "the record {key} of {procedure} is not intact ({reason}); find out who changed the evidence (docs/auditor.md) before it counts"
    )]
    NotIntact {
        /// The procedure.
        procedure: String,
        /// The object's key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The record shows something else.
    #[error("the record of {procedure} does not show {item}: {reason}")]
    Misfit {
        /// The procedure.
        procedure: String,
        /// The item's key.
        item: String,
        /// Why not.
        reason: String,
    },
    /// The person has not left, so the data is needed.
    #[error("{0} has not left; ask first for leave")]
    NotGone(String),
    /// The person still has access, or it is not known; without the data, or the login, nobody could look it up.
    #[error(
        "{person} may still have access ({places}), and without the data, or the login, nobody could tell whose it is; end it first"
    )]
    AccessRemains {
        /// The person's id.
        person: String,
        /// The places.
        places: String,
    },
    /// The tasks about the person could not be closed, and without the data nobody finds them.
    #[error("nothing was deleted: the tasks about {person} could not be closed: {reason}")]
    TasksOpen {
        /// The person's id.
        person: String,
        /// Why not.
        reason: String,
    },
    /// A call for the evidence or the document about people failed.
    #[error("an S3 call failed")]
    S3(#[from] CallError),
    /// The document about people is not in its form.
    #[error("the document {key} about people is not valid; find out who wrote it before you change anything")]
    Unreadable {
        /// The object's key.
        key: String,
    },
    /// Other requests came in between, each time.
    #[error("the document about people changed again and again; ask once more")]
    Busy,
    /// The operating system has no random numbers.
    #[error("the operating system has no random numbers; ask once more")]
    NoRandomness,
    /// There was not enough time.
    #[error("the run was not done in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; each is in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl From<DocumentError> for OnboardingError {
    /// Without the parser's reason, which may quote the document.
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::S3(call) => Self::S3(call),
            DocumentError::Unreadable { key, .. } => Self::Unreadable { key },
            DocumentError::Exchanged(_) | DocumentError::Contended(_) => Self::Busy,
        }
    }
}

impl Failure for OnboardingError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NoPerson(_) => "NoPerson",
            Self::NameTaken(_) => "NameTaken",
            Self::HasLeft(_) => "HasLeft",
            Self::NotTheirs { .. } => "NotTheirs",
            Self::NoItem(_) => "NoItem",
            Self::NotSaid(..) => "NotSaid",
            Self::NoRecord(_) => "NoRecord",
            Self::NotIntact { .. } => "NotIntact",
            Self::Misfit { .. } => "Misfit",
            Self::NotGone(_) => "NotGone",
            Self::AccessRemains { .. } => "AccessRemains",
            Self::TasksOpen { .. } => "TasksOpen",
            Self::S3(_) => "S3Call",
            Self::Unreadable { .. } => "Unreadable",
            Self::Busy => "Busy",
            Self::NoRandomness => "NoRandomness",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::PageFailed(_) => "PageFailed",
        }
    }
}

impl OnboardingError {
    /// Whether the request is at fault, or comes at the wrong time: nothing failed, and the same request is refused again. A
    /// record that is not intact is no fault of the request.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::InvalidEvent(_)
                | Self::NoPerson(_)
                | Self::NameTaken(_)
                | Self::HasLeft(_)
                | Self::NotTheirs { .. }
                | Self::NoItem(_)
                | Self::NotSaid(..)
                | Self::NoRecord(_)
                | Self::Misfit { .. }
                | Self::NotGone(_)
                | Self::AccessRemains { .. }
        )
    }

    /// The operator's next step, for the channel's message about a daily run that failed.
    pub(crate) fn next_step(&self, language: Language) -> String {
        match self {
            Self::S3(call) => advice::of_call(call, language),
            Self::PageFailed(_) => advice::of_pages(language).to_owned(),
            _ => advice::of_log(language).to_owned(),
        }
    }
}
