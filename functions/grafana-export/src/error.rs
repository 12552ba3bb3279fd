//! Why a run failed; one variant for each different next step of the operator.

use shared::grafana::GrafanaError;
use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// Why a run failed. An object that cannot be exported is a finding, not a failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExportError {
    /// The event is wrong.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The stack has no Grafana.
    #[error(
        "this stack has no Grafana: set GrafanaUrl and GrafanaSecretName (docs/grafana.md), or export it by other means"
    )]
    NotConfigured,
    /// The token could not be read.
    #[error("the token of Grafana could not be read; check the secret named by GrafanaSecretName")]
    Token(#[source] CallError),
    /// Grafana did not answer, refused, or answered in an unknown form.
    #[error(transparent)]
    Grafana(#[from] GrafanaError),
    /// Grafana is too old.
    #[error("Grafana {0} does not have the APIs of an export; upgrade it to version 10 or later")]
    TooOld(String),
    /// The export could not be stored, or the last one not be read.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// There was not enough time.
    #[error("the export was not done in time")]
    Deadline(#[from] DeadlineExceeded),
    /// Publishing pages failed; the number of them.
    #[error("{0} pages were not published; each is in the log with error_type PageFailed")]
    PageFailed(usize),
}

impl Failure for ExportError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NotConfigured => "NotConfigured",
            Self::Token(_) => "TokenUnreadable",
            Self::Grafana(GrafanaError::NotAToken) => "NotAToken",
            Self::Grafana(GrafanaError::Unreachable { .. }) => "GrafanaUnreachable",
            Self::Grafana(GrafanaError::Refused { .. }) => "GrafanaRefused",
            Self::Grafana(GrafanaError::Unreadable { .. }) => "GrafanaUnreadable",
            Self::TooOld(_) => "GrafanaTooOld",
            Self::Documents(_) => "DocumentFailed",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::PageFailed(_) => "PageFailed",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Grafana(GrafanaError::Refused { status, .. }) => format!("{}-{status}", self.kind()),
            _ => self.kind().to_owned(),
        }
    }
}

impl ExportError {
    /// The operator's next step, for the channel's message about a run that failed.
    pub(crate) fn next_step(&self, language: Language) -> &'static str {
        match self {
            Self::Token(_) | Self::Grafana(GrafanaError::NotAToken | GrafanaError::Refused { status: 401 | 403, .. }) => {
                language.pick(
                    "guardar um token válido no segredo de GrafanaSecretName e invocar a função de novo (docs/grafana.md#token).",
                    "store a valid token in the secret named by GrafanaSecretName, and invoke the function again (docs/grafana.md#token).",
                )
            }
            Self::Grafana(GrafanaError::Unreachable { .. }) => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir se o Grafana está no ar e se a função o alcança (docs/grafana.md#rede).",
                "Lambda tries twice more. If the failure repeats, check that Grafana is up and that the function reaches it (docs/grafana.md#rede).",
            ),
            Self::TooOld(_) => language.pick(
                "atualizar o Grafana (docs/grafana.md#versões).",
                "upgrade Grafana (docs/grafana.md#versões).",
            ),
            Self::PageFailed(_) => language.pick(
                "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
                "page the on-call engineer with the text in the log (field `undelivered`), and check the paging topic.",
            ),
            _ => language.pick(
                "a Lambda tenta mais duas vezes. Se a falha se repetir, ver a causa no log da função (docs/grafana.md#falhas).",
                "Lambda tries twice more. If the failure repeats, see the cause in the function's log (docs/grafana.md#falhas).",
            ),
        }
    }
}
