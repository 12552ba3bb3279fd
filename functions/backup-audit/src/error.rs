//! Why an audit or a repair failed; a variant for each thing that an operator does next.

use shared::run::evidence::EvidenceError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why an audit failed. What is wrong with a resource, or could not be read, is a row of the report and no failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// The event is none of ours.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// There is no such resource, or it is not of this environment.
    #[error("{0} is no database, snapshot, bucket, lock table or service of this environment")]
    NotFound(String),
    /// A call that the answer depends on failed.
    #[error("the audit stopped at an AWS call")]
    Call(#[from] CallError),
    /// The report could not be written where it is collected.
    #[error("the report could not be written: {0}")]
    File(String),
    /// What the audit notes for later runs could not be read or written.
    #[error("the notes of the audit could not be read or written")]
    Note(#[from] EvidenceError),
    /// There is no repair for the rule.
    #[error("the rule {0} has no repair; the finding's command says what a person does")]
    NoRepair(String),
    /// The stack does not allow the repair.
    #[error("the stack does not allow the repair of {0}: it is not in the parameter BackupRepairs")]
    NotAllowed(String),
    /// The repair would do harm, or would not help.
    #[error("{rule} of {resource} is not repaired by itself: {reason}")]
    Refused {
        /// The rule.
        rule: &'static str,
        /// The resource.
        resource: String,
        /// Why.
        reason: String,
    },
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("{0} pages were not published; each stands in the log with error_type PageFailed")]
    PageFailed(usize),
    /// It did not end in the invocation's time.
    #[error("the work did not end in the invocation's time")]
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
    /// What an operator does next.
    pub(crate) fn next_step(&self, language: Language) -> String {
        let text = match self {
            Self::InvalidEvent(_) => language.pick(
                "corrigir o campo; docs/backups.md mostra os eventos que a função aceita.",
                "mend the field; docs/backups.md shows the events that the function takes.",
            ),
            Self::NotFound(_) => language.pick(
                "conferir o nome; a auditoria só vê os recursos deste ambiente.",
                "check the name; the audit sees the resources of this environment only.",
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
                "Lambda tries twice more. If the failure repeats, raise EphemeralStorage of the function in the template.",
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
                "decide with whoever is responsible, and run the finding's command.",
            ),
            Self::PageFailed(_) => language.pick(
                "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
                "page the people on call with the text in the log, field `undelivered`, and check the paging topic.",
            ),
            Self::Deadline(_) => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, ver no log qual chamada demora.",
                "Lambda tries twice more. If the failure repeats, see in the log which call takes long.",
            ),
        };
        text.to_owned()
    }
}
