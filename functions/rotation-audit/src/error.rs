//! Why an audit or a task failed; one variant for each different next step of the operator.

use shared::github::GitHubError;
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
            Self::SecretsManager(call) => format!(
                "{} {}.",
                language.pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir a permissão (IAM) para",
                    "Lambda tries twice more. If the failure repeats, check the IAM permission for",
                ),
                call.operation
            ),
            Self::Deadline(_) => language
                .pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log qual chamada demora.",
                    "Lambda tries twice more. If the failure repeats, find the slow call in the log.",
                )
                .to_owned(),
            Self::PageFailed(_) => language
                .pick(
                    "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
                    "page the on-call engineer with the text in the log (field `undelivered`), and check the paging topic.",
                )
                .to_owned(),
        }
    }
}

/// Why a task could not be opened or closed. No text contains the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BoardError {
    /// The token could not be read.
    #[error("the GitHub token could not be read; check the secret that the parameter GitHubSecretName names")]
    Token(#[source] CallError),
    /// GitHub refused or failed.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// The issue was opened without its label, so later audits cannot find it.
    #[error(
        "issue #{number} was opened without its label, so later audits cannot find it: the token's owner may not set labels; add the label by hand, and give the owner the right to push or to triage"
    )]
    LabelDropped {
        /// The issue.
        number: u64,
    },
    /// The task could not be claimed, so another run might open it too.
    #[error("the task could not be claimed: {0}")]
    Claim(String),
    /// The run ran out of time.
    #[error("the task was not reached in time")]
    Late(#[from] DeadlineExceeded),
}
