//! The page of a failed rotation.

use shared::aws::secrets::Listed;
use shared::run::command::secrets;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::RUNBOOK;
use crate::PROCEDURE;

/// A rotation's failure, from the record of its function.
pub(crate) struct RotationFailure {
    /// The version that the rotation was making current.
    pub token: String,
    /// The step that failed.
    pub step: String,
    /// The failure's stable name.
    pub kind: String,
    /// The findings of the function's record.
    pub findings: String,
}

/// The page of a failed rotation that CloudTrail reported.
pub(crate) fn rotation_failed(
    settings: &Settings,
    secret: &Listed,
    key: &str,
    event: &str,
    failure: Option<&RotationFailure>,
) -> Page {
    let (language, environment, name) = (settings.language, &settings.environment, &secret.name);
    let kind = failure.map_or(event, |failure| failure.kind.as_str());
    let what = match failure {
        Some(failure) => {
            format!("{event}: {}: {}: {} ({})", failure.step, failure.kind, failure.findings, failure.token)
        }
        None => format!(
            "{event}: {}",
            language.pick(
                "a função de rotação não registrou a falha; ver os logs dela",
                "the rotation function recorded no failure; read its logs",
            )
        ),
    };
    let (versions, rotate) = (secrets::versions(name).code(), secrets::rotate(name).code());
    let step = match language {
        Language::Portuguese => format!(
            "o canal tem a mensagem da função com o comando exato (docs/rotacao.md). Estado: {versions}. O Secrets Manager repete uma rotação que falhou; uma abandonada, não: {rotate}"
        ),
        Language::English => format!(
            "the channel has the function's message with the exact command (docs/rotacao.md). State: {versions}. Secrets Manager retries a failed rotation, but not an abandoned one: {rotate}"
        ),
    };
    let alert = Alert {
        kind,
        severity: Severity::Critical,
        resource: name,
        text: format!("{name} ({environment}): {what}.\n{}: {step}.", language.next_step()),
        owners: vec![settings.policy.secret_responsible(key)],
        runbook: RUNBOOK,
        dedup_key: format!("{PROCEDURE}/{event}/{name}"),
    };
    Page::new(settings, alert)
}
