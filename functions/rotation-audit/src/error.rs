//! Why an audit failed; one variant for each different next step of the operator.

use shared::audit::advice;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why an audit failed. A problem of a secret is a finding, not a failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// The list of secrets could not be read, so nothing was checked.
    #[error("the audit stopped at a Secrets Manager call")]
    SecretsManager(#[from] CallError),
    /// The secrets were not read in time.
    #[error("the secrets were not read in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; each is in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl Failure for AuditError {
    fn kind(&self) -> &'static str {
        match self {
            Self::SecretsManager(_) => "SecretsManagerCall",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::PageFailed(_) => "PageFailed",
        }
    }
}

impl AuditError {
    /// The operator's next step.
    pub(crate) fn next_step(&self, language: Language) -> String {
        match self {
            Self::SecretsManager(call) => advice::of_call(call, language),
            Self::Deadline(_) => language
                .pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log qual chamada demora.",
                    "Lambda tries twice more. If the failure repeats, find the slow call in the log.",
                )
                .to_owned(),
            Self::PageFailed(_) => advice::of_pages(language).to_owned(),
        }
    }
}
