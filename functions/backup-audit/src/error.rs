//! Failures of an audit or a repair: one variant for each different action of an operator.

use std::io;

use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Failure of a run. A resource that breaks a rule or could not be read is a row of the report, not a failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// The event is not one of this function's.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The resource does not exist, or belongs to another environment.
    #[error("this environment has no database, snapshot, bucket, lock table or service {0}")]
    NotFound(String),
    /// A call on which the answer depends failed.
    #[error("the audit stopped at an AWS call")]
    Call(#[from] CallError),
    /// A report could not be written to its temporary file.
    #[error("the report could not be written: {0}")]
    File(String),
    /// A note for later runs could not be read or written.
    #[error("the audit's notes could not be read or written")]
    Note(#[from] DocumentError),
    /// The rule has no repair.
    #[error("rule {0} has no repair; run the finding's command instead")]
    NoRepair(String),
    /// The stack does not allow the repair.
    #[error("the stack does not allow the repair of {0}: parameter BackupRepairs does not list it")]
    NotAllowed(String),
    /// The repair would do harm or have no effect.
    #[error("refused to repair {rule} of {resource}: {reason}")]
    Refused {
        /// The rule.
        rule: &'static str,
        /// The resource.
        resource: String,
        /// Reason.
        reason: String,
    },
    /// Publishing pages failed; the number of them.
    #[error("{0} pages could not be published; the log has each, with error_type PageFailed")]
    PageFailed(usize),
    /// The invocation's time ran out.
    #[error("the invocation ran out of time")]
    Deadline(#[from] DeadlineExceeded),
}

impl Failure for AuditError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NotFound(_) => "NotFound",
            Self::Call(_) => "AwsCall",
            Self::File(_) => "FileFailed",
            Self::Note(_) => "NoteFailed",
            Self::NoRepair(_) => "NoRepair",
            Self::NotAllowed(_) => "RepairNotAllowed",
            Self::Refused { .. } => "RepairRefused",
            Self::PageFailed(_) => "PageFailed",
            Self::Deadline(_) => "DeadlineExceeded",
        }
    }
}

impl AuditError {
    /// A report that could not be written.
    pub(crate) fn file(error: io::Error) -> Self {
        Self::File(error.to_string())
    }

    /// The operator's next step.
    pub(crate) fn next_step(&self, language: Language) -> String {
        let text = match self {
            Self::InvalidEvent(_) => language.pick(
                "corrigir o campo; docs/backups.md mostra os eventos que a função aceita.",
                "correct the field; docs/backups.md shows the events that the function accepts.",
            ),
            Self::NotFound(_) => language.pick(
                "conferir o nome; a auditoria só vê os recursos deste ambiente.",
                "check the name; the audit only sees resources of this environment.",
            ),
            Self::Call(call) => {
                return format!(
                    "{} {}.",
                    language.pick(
                        "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir a permissão (IAM) para",
                        "Lambda tries twice more. If the failure repeats, check the permission (IAM) for",
                    ),
                    call.operation
                );
            }
            Self::File(_) => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, aumentar EphemeralStorage da função no template.",
                "Lambda tries twice more. If the failure repeats, raise the function's EphemeralStorage in the template.",
            ),
            Self::Note(_) => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir o bucket de evidência.",
                "Lambda tries twice more. If the failure repeats, check the evidence bucket.",
            ),
            Self::NoRepair(_) => language.pick(
                "executar o comando do achado.",
                "run the finding's command.",
            ),
            Self::NotAllowed(_) => language.pick(
                "executar o comando do achado, ou acrescentar a regra ao parâmetro BackupRepairs e publicar a stack.",
                "run the finding's command, or add the rule to the parameter BackupRepairs and deploy the stack.",
            ),
            Self::Refused { .. } => language.pick(
                "decidir com o responsável e executar o comando do achado.",
                "decide with the team responsible, then run the finding's command.",
            ),
            Self::PageFailed(_) => language.pick(
                "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
                "page the on-call engineer with the text in the log, field `undelivered`, and check the paging topic.",
            ),
            Self::Deadline(_) => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log qual chamada demora.",
                "Lambda tries twice more. If the failure repeats, see in the log which call is slow.",
            ),
        };
        text.to_owned()
    }
}
