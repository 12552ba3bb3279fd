//! Why a run failed; one variant for each different action of an operator. A damaged attachment is a finding, not an
//! error.

use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TestError {
    /// The event is invalid.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The stack names no database, so nothing says what the attachments must be.
    #[error("the template's DatabaseSecretName is empty, so the list of attachments is unknown")]
    NoDatabaseSecret,
    /// The secret with the database's URL could not be read.
    #[error("the secret with the database's URL could not be read")]
    SecretsManager(#[source] CallError),
    /// The secret has an unknown form.
    #[error("the database's secret cannot be used: {0}")]
    WrongForm(FormError),
    /// The list of attachments could not be read.
    #[error("the list of attachments could not be read")]
    Database(#[from] DatabaseError),
    /// The database has no such table, or the table has other columns.
    #[error("the database has no table attachments with a column file_path or key")]
    NoTable,
    /// The bucket could not be listed, so nothing was tested.
    #[error("the attachments' bucket could not be listed")]
    Bucket(#[source] CallError),
    /// Copies of the test are still in the bucket.
    #[error("the test's copies below restore-test/ were not removed")]
    ScratchLeft(#[source] CallError),
    /// The time was over before the copies of the test were removed.
    #[error("the test's copies below restore-test/ were not removed in time")]
    ScratchLate(#[source] DeadlineExceeded),
    /// The run's note could not be read or written.
    #[error("the run's note could not be read or written")]
    Note(#[from] DocumentError),
    /// The invocation's time was over. Nothing but Lambda tries a run again, and only what it invoked asynchronously.
    #[error(
        "run {0} did not finish in time; Lambda tries an asynchronous event again, and a person continues with {{\"run\":\"{0}\"}}"
    )]
    NotFinished(String),
    /// A person asked to continue a run that did not begin.
    #[error("there is no run {0} to continue; for the sample of an earlier run, give its seed")]
    NoSuchRun(String),
    /// The list of attachments was not read in time.
    #[error("the list of attachments was not read in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Publishing the page failed.
    #[error("the page was not published; the log has it with error_type PageFailed")]
    PageFailed,
}

impl Failure for TestError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NoDatabaseSecret => "NoDatabaseSecret",
            Self::SecretsManager(_) => "SecretsManagerCall",
            Self::WrongForm(_) => "WrongForm",
            Self::Database(_) => "DatabaseFailed",
            Self::NoTable => "NoTable",
            Self::Bucket(_) => "S3Call",
            Self::ScratchLeft(_) | Self::ScratchLate(_) => "ScratchLeft",
            Self::Note(_) => "NoteFailed",
            Self::NotFinished(_) => "NotFinished",
            Self::NoSuchRun(_) => "NoSuchRun",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::PageFailed => "PageFailed",
        }
    }
}

impl TestError {
    /// The operator's next step.
    pub(crate) fn next_step(&self, language: Language) -> String {
        let again = language.pick(
            "a Lambda tenta mais duas vezes. Se a falha se repetir:",
            "Lambda tries twice more. If the failure repeats:",
        );
        let step = match self {
            Self::NoDatabaseSecret => language.pick(
                "informar DatabaseSecretName e publicar a stack.",
                "set DatabaseSecretName and deploy the stack.",
            ),
            Self::WrongForm(_) => language.pick(
                "corrigir o segredo do banco (docs/rotacao-banco.md).",
                "correct the database's secret (docs/rotacao-banco.md).",
            ),
            Self::NoTable => language.pick(
                "conferir se o segredo aponta para o banco da aplicação, e se as migrações foram aplicadas.",
                "check whether the secret points to the application's database, and whether its migrations were applied.",
            ),
            Self::Database(_) => language.pick(
                "conferir a rede (VpcSubnetIds, VpcSecurityGroupIds) e o login do segredo.",
                "check the network (VpcSubnetIds, VpcSecurityGroupIds) and the secret's login.",
            ),
            Self::SecretsManager(call) | Self::Bucket(call) | Self::ScratchLeft(call) => {
                let check = language.pick("conferir a permissão (IAM, KMS) para", "check the permission (IAM, KMS) for");
                return format!("{again} {check} {}.", call.operation);
            }
            Self::Note(_) => language.pick(
                "conferir o acesso ao bucket de evidências, e invocar a função de novo.",
                "check the access to the evidence bucket, then invoke the function again.",
            ),
            Self::InvalidEvent(_)
            | Self::NoSuchRun(_)
            | Self::NotFinished(_)
            | Self::ScratchLate(_)
            | Self::Deadline(_)
            | Self::PageFailed => language.pick(
                "ver no log o que demora ou falha.",
                "check the log for slow or failed calls.",
            ),
        };
        format!("{again} {step}")
    }
}
