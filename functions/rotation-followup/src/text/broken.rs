//! The message and the page of an execution that broke before it had a batch.

use shared::command;
use shared::policy::Area;
use shared::run::command::{Command, secrets};
use shared::run::ledger::follow_input;
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::{RUNBOOK, brief};
use crate::PROCEDURE;
use crate::event::Source;
use crate::rules::change::Reason;
use crate::rules::failure::Failed;
use crate::rules::kind::Kind;

/// The message of an execution that broke before it had a batch.
pub(crate) fn broken(
    settings: &Settings,
    execution: &str,
    broken: &Failed,
    source: Option<&Source>,
) -> Message {
    let language = settings.language;
    let title = language.pick("Acompanhamento de rotação falhou", "Follow-up of a rotation failed");
    let error = format!("*{}*: {}", broken.kind, cause(broken, language));
    let next = broken_next(settings, broken, source);
    Message::failed(settings, title, &error, &next, execution).detailed(&brief(&broken.detail))
}

/// The page of an execution that broke before it had a batch.
pub(crate) fn broken_page(
    settings: &Settings,
    execution: &str,
    broken: &Failed,
    source: Option<&Source>,
) -> Page {
    let alert = Alert {
        kind: broken.kind.as_str(),
        severity: Severity::Critical,
        resource: PROCEDURE,
        text: format!(
            "{PROCEDURE} ({}): {}: {}.\n{}: {}.\n{}",
            settings.environment,
            broken.kind,
            cause(broken, settings.language),
            settings.language.next_step(),
            broken_next(settings, broken, source),
            brief(&broken.detail)
        ),
        owners: vec![settings.policy.responsible(Area::Infrastructure)],
        runbook: RUNBOOK,
        dedup_key: format!("{PROCEDURE}/{execution}"),
    };
    Page::new(settings, alert)
}

/// The cause of an execution that broke before it had a batch, in the chosen language. The error text is in the small
/// print.
fn cause(broken: &Failed, language: Language) -> &'static str {
    match broken.kind {
        Kind::InvalidEvent => language.pick(
            "a entrada não é uma que o acompanhamento conhece",
            "the follow-up does not know this input",
        ),
        Kind::NotOurs => language.pick(
            "o segredo não é deste ambiente: template e política não o nomeiam, e as tags Project e Environment dele não são as deste",
            "the secret does not belong to this environment: neither the template nor the policy names it, and its tags Project and Environment do not match",
        ),
        Kind::NotRotated => language.pick(
            "a versão atual do segredo não foi feita depois do incidente, e o acompanhamento nada encerrou",
            "the secret's current version was not made after the incident, so the follow-up revoked nothing",
        ),
        _ => language.pick("um passo do acompanhamento não terminou", "a step of the follow-up did not end"),
    }
}

pub(super) fn broken_next(settings: &Settings, broken: &Failed, source: Option<&Source>) -> String {
    let language = settings.language;
    let start = |secret: &str, is_incident: bool| {
        Command::start(settings, &follow_input(language, secret, is_incident)).code()
    };
    let Some(Source::Asked(secret, declared)) = source else {
        return if broken.kind == Kind::InvalidEvent {
            let text =
                language.pick("começar de novo com a entrada certa:", "start again with the right input:");
            let secret = language.pick("NOME DO SEGREDO", "NAME OF THE SECRET");
            format!("{text} {}", start(secret, false))
        } else {
            let text = language.pick(
                "corrigir a causa; a varredura diária (ou o próximo evento) retoma o que falta. Para não esperar:",
                "fix the cause; the daily sweep or the next event resumes the follow-up. To resume it now:",
            );
            format!("{text} {}", Command::start(settings, &serde_json::json!({"sweep": true})).code())
        };
    };
    // A sweep does not know a person's declaration.
    let again = start(secret, declared.reason == Reason::Incident);
    let (first, then) = match broken.kind {
        Kind::NotOurs => (
            format!(
                "{} {}",
                language.pick(
                    "se o segredo é deste ambiente, dar a ele as tags:",
                    "if the secret belongs to this environment, tag it:"
                ),
                command!(
                    "aws secretsmanager tag-resource --secret-id {secret} --tags Key=Project,Value={project} Key=Environment,Value={environment}",
                    secret,
                    project = settings.project,
                    environment = settings.environment
                )
                .code()
            ),
            language.pick("e acompanhar de novo:", "and follow up again:"),
        ),
        Kind::NotRotated => (
            format!("{} {}", language.pick("rotacionar:", "rotate:"), secrets::rotate(secret).code()),
            language.pick(
                "e, terminada a rotação, declarar o incidente de novo:",
                "and once the rotation has ended, declare the incident again:",
            ),
        ),
        _ => (
            language.pick("corrigir a causa", "fix the cause").to_owned(),
            language.pick("e pedir o acompanhamento de novo:", "and ask for the follow-up again:"),
        ),
    };
    format!("{first} {then} {again}")
}
