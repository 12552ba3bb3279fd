//! Why an audit, or a task of it, failed; a variant for each thing that an operator does next.

use shared::github::GitHubError;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why an audit failed. What is wrong with a secret is a finding and no failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// The list of secrets could not be read, so nothing is known.
    #[error("the audit stopped at a Secrets Manager call")]
    SecretsManager(#[from] CallError),
    /// The secrets were not read in time.
    #[error("the secrets were not read in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("{0} pages were not published; each stands in the log with error_type PageFailed")]
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
    /// What an operator does next.
    pub(crate) fn next_step(&self, language: Language) -> String {
        match self {
            Self::SecretsManager(call) => format!(
                "{} {}.",
                language.pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir a permissão (IAM) para",
                    "Lambda tries twice more. If the failure repeats, check the permission (IAM) for",
                ),
                call.operation
            ),
            Self::Deadline(_) => language
                .pick(
                    "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log qual chamada demora.",
                    "Lambda tries twice more. If the failure repeats, see in the log which call takes long.",
                )
                .to_owned(),
            Self::PageFailed(_) => language
                .pick(
                    "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
                    "page the people on call with the text in the log, field `undelivered`, and check the paging topic.",
                )
                .to_owned(),
        }
    }
}

/// Why the board did not take a task. None of the texts holds the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BoardError {
    /// The token could not be read.
    #[error("the GitHub token could not be read; check the secret of the template's GitHubSecretName")]
    Token(#[source] CallError),
    /// GitHub did not do what it was asked.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// The issue was opened without its label, so that it will not be found again.
    #[error(
        "issue #{number} was opened without the label that it is found by: the token's owner may not set labels; give the issue its label by hand, and the owner the right to push or to triage"
    )]
    LabelDropped {
        /// The issue.
        number: u64,
    },
    /// The place for the task could not be taken.
    #[error("the place for the task could not be taken: {0}")]
    Place(String),
    /// The run's time was over.
    #[error("the task was not reached in time")]
    Late(#[from] DeadlineExceeded),
}
