//! Why a run failed; a variant for each thing that an operator does next. What is wrong with a snapshot is a finding and no
//! failure.

use shared::run::evidence::EvidenceError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The event is none of ours.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The list of snapshots could not be read, so nothing is known.
    #[error("the run stopped at an RDS call")]
    Rds(#[from] CallError),
    /// The snapshots were not read in time.
    #[error("the snapshots were not read in time")]
    Deadline(#[from] DeadlineExceeded),
    /// What the runs share could not be read or written, so nothing was copied or deleted.
    #[error("the note that the runs share could not be read or written, so nothing was copied or deleted")]
    Note(#[from] EvidenceError),
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("{0} pages were not published; each stands in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl Failure for VerifyError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::Rds(_) => "RdsCall",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::Note(_) => "NoteFailed",
            Self::PageFailed(_) => "PageFailed",
        }
    }
}

impl VerifyError {
    /// What an operator does next.
    pub(crate) fn next_step(&self, language: Language) -> String {
        match self {
            Self::Rds(call) => format!(
                "{} {}.",
                language.pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir a permissão (IAM) para",
                    "Lambda tries twice more. If the failure repeats, check the permission (IAM) for",
                ),
                call.operation
            ),
            Self::Note(_) => language
                .pick(
                    "conferir o acesso ao bucket de evidências, e invocar a função de novo.",
                    "check the access to the evidence bucket, and invoke the function again.",
                )
                .to_owned(),
            Self::InvalidEvent(_) | Self::Deadline(_) | Self::PageFailed(_) => language
                .pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log o que demora ou falha.",
                    "Lambda tries twice more. If the failure repeats, see in the log what takes long or fails.",
                )
                .to_owned(),
        }
    }
}
