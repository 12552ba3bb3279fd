//! Why a run failed; one variant for each different action of an operator. A defect of a snapshot is a finding, not an
//! error.

use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The event is invalid.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The list of snapshots could not be read, so no snapshot was checked.
    #[error("an RDS call failed")]
    Rds(#[from] CallError),
    /// The snapshots were not read in time.
    #[error("the snapshots were not read in time")]
    Deadline(#[from] DeadlineExceeded),
    /// The runs' journal could not be read or written, so copying and deleting stopped.
    #[error("the runs' journal could not be read or written, so copying and deleting stopped")]
    Note(#[from] DocumentError),
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; the log has each with error_type PageFailed")]
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
    /// The operator's next step.
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
                    "check the access to the evidence bucket, then invoke the function again.",
                )
                .to_owned(),
            Self::InvalidEvent(_) | Self::Deadline(_) | Self::PageFailed(_) => language
                .pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log o que demora ou falha.",
                    "Lambda tries twice more. If the failure repeats, check the log for slow or failed calls.",
                )
                .to_owned(),
        }
    }
}
