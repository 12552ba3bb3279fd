//! Findings in sentences, in groups, and as a page.

use serde_json::json;
use shared::audit::findings::{self, Item, NAME};
use shared::audit::first_week;
use shared::policy::{Accepted, Area};
use shared::run::command::Command;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules::finding::Finding;
use crate::rules::secret::Suspect;

/// Most findings that a page names.
const NAMED: usize = 20;

/// Most characters of the places in a sentence.
const PLACES: usize = 300;

/// The line of a finding in the evidence record: its key, `: `, the sentence.
pub(crate) fn line(finding: &Finding) -> String {
    format!("{}: {}", finding.key(), sentence(finding, Language::English))
}

/// A finding in a sentence, without a full stop.
fn sentence(finding: &Finding, language: Language) -> String {
    match finding {
        Finding::CheckFailed { why, .. } => shared::tr!(
            language,
            "restaurado, não é o que foi exportado: {why}",
            "restored, it is not what was exported: {why}",
        ),
        Finding::SecretFound { secrets, .. } => {
            let places = findings::listed(secrets.iter().map(|secret| spot(secret, language)), PLACES);
            shared::tr!(
                language,
                "tem em {places} o que parece um segredo, à vista de quem abre o objeto; a exportação tem a forma anterior, se havia uma sem isso",
                "has in {places} what looks like a secret, which everyone who opens the object can see; the export has its earlier form, if there was one without it",
            )
        }
        Finding::NotExported { why, .. } => shared::tr!(
            language,
            "não pôde ser lido; a exportação tem a forma anterior, se havia uma: {why}",
            "could not be read; the export has its earlier form, if there was one: {why}",
        ),
        Finding::Shrunk { before, now, .. } => shared::tr!(
            language,
            "mais da metade dos objetos desta lista sumiu: eram {before}, são {now}",
            "more than half of the objects in this list are gone: {now} of {before} are left",
        ),
        Finding::NotProposed { why } => shared::tr!(
            language,
            "o pull request com a exportação não pôde ser aberto ou atualizado: {why}",
            "the pull request with the export could not be opened or brought up to date: {why}",
        ),
        Finding::CheckNotMade { why } => shared::tr!(
            language,
            "não se sabe se a exportação pode ser restaurada; o teste não foi feito, ou não por inteiro: {why}",
            "it is not known whether the export can be restored; the check was not made, or not of all: {why}",
        ),
        Finding::LeftBehind { why, .. } => shared::tr!(
            language,
            "o que o teste de restauração fez com este UID não pôde ser apagado: {why}",
            "what the restore check made with this UID could not be removed: {why}",
        ),
        Finding::VersionUntested { version } => shared::tr!(
            language,
            "esta função foi feita para o Grafana 10 a 13, e este é o {version}",
            "this function was made for Grafana 10 to 13, and this one is {version}",
        ),
        Finding::ReleaseKept { key, .. } => shared::tr!(
            language,
            "esta release já tem uma exportação com outro conteúdo, que fica: {key}",
            "this release has an export with another content already, which stays: {key}",
        ),
    }
}

/// Where a secret was found, and until when the policy accepted it. Its SHA-256 is for an answer only.
fn spot(Suspect { place, accepted, .. }: &Suspect, language: Language) -> String {
    match accepted {
        None => format!("`{place}`"),
        Some(Accepted { until, .. }) => {
            shared::tr!(language, "`{place}` (aceito até {until})", "`{place}` (accepted until {until})")
        }
    }
}

/// The next step, without a full stop.
fn next_step(finding: &Finding, about: &str, settings: &Settings) -> String {
    let language = settings.language;
    match finding {
        Finding::CheckFailed { .. } => language
            .pick(
                "comparar o objeto com o arquivo da exportação, corrigir e testar de novo (docs/grafana.md#teste-de-restauração)",
                "compare the object with the export's file, fix it and check again (docs/grafana.md#teste-de-restauração)",
            )
            .to_owned(),
        Finding::SecretFound { secrets, .. } if secrets.iter().any(|secret| secret.is_token) => language
            .pick(
                "tirar o valor do objeto, trocar o segredo, que já foi visto, e exportar de novo (docs/grafana.md#segredos)",
                "take the value out of the object, replace the secret, which has been seen, and export again (docs/grafana.md#segredos)",
            )
            .to_owned(),
        Finding::SecretFound { .. } => {
            let command = Command::invoke(&settings.function, &json!({"explain": true})).code();
            shared::tr!(
                language,
                "tirar o valor do objeto, trocar o segredo, que já foi visto, e exportar de novo (docs/grafana.md#segredos); se não é um segredo, as linhas da política que o aceitam: {command}",
                "take the value out of the object, replace the secret, which has been seen, and export again (docs/grafana.md#segredos); if it is no secret, the policy's lines that accept it: {command}",
            )
        }
        Finding::NotExported { .. } => shared::tr!(
            language,
            "abrir {about} no Grafana e corrigir a causa; a próxima execução lê de novo",
            "open {about} in Grafana and fix the cause; the next run reads it again",
        ),
        Finding::Shrunk { .. } => language
            .pick(
                "conferir a organização e o papel do token; se foram mesmo apagados, aceitar (docs/grafana.md#token)",
                "check the organization and the role of the token; if they were deleted, accept it (docs/grafana.md#token)",
            )
            .to_owned(),
        Finding::NotProposed { .. } => language
            .pick(
                "corrigir a causa; a próxima execução tenta de novo (docs/grafana.md#pull-request)",
                "fix the cause; the next run tries again (docs/grafana.md#pull-request)",
            )
            .to_owned(),
        Finding::CheckNotMade { .. } => language
            .pick(
                "corrigir a causa e pedir o teste (docs/grafana.md#teste-de-restauração)",
                "fix the cause and ask for the check (docs/grafana.md#teste-de-restauração)",
            )
            .to_owned(),
        Finding::LeftBehind { .. } => shared::tr!(
            language,
            "a próxima execução tenta de novo; à mão, apagar no Grafana a pasta ou o dashboard {about}",
            "the next run tries again; by hand, delete the folder or dashboard {about} in Grafana",
        ),
        Finding::VersionUntested { .. } => language
            .pick("ler as novidades da API (docs/grafana.md#versões)", "read what is new in the API (docs/grafana.md#versões)")
            .to_owned(),
        Finding::ReleaseKept { .. } => language
            .pick(
                "nada a fazer; a exportação de agora também está guardada",
                "nothing to do; the present export is stored, too",
            )
            .to_owned(),
    }
}

/// What to do about a value that looks like a secret, for the answer that has the policy's lines.
pub(crate) fn explained(is_token: bool, language: Language) -> &'static str {
    match is_token {
        true => language.pick(
            "um token de forma conhecida nunca é aceito: tirar o valor do objeto e trocar o segredo, que já foi visto",
            "a token of a known form is never accepted: take the value out of the object, and replace the secret, which has been seen",
        ),
        false => language.pick(
            "ler o valor no objeto; se é um segredo, tirá-lo dali e trocá-lo; se não é, pôr a entrada de `policy` no arquivo da política do ambiente, com `reason` e `owner`, e aplicar (docs/grafana.md#aceitar)",
            "read the value in the object; if it is a secret, take it out and replace it; if not, put the entry of `policy` into the environment's policy file, with `reason` and `owner`, and apply it (docs/grafana.md#aceitar)",
        ),
    }
}

/// The item of a finding, for a message that groups findings.
pub(crate) fn item(finding: &Finding, settings: &Settings) -> Item {
    Item {
        kind: finding.kind().to_owned(),
        about: finding.about().to_owned(),
        sentence: sentence(finding, settings.language),
        step: next_step(finding, finding.about(), settings),
        pattern: next_step(finding, NAME, settings),
    }
}

/// The page about an export that cannot be restored: it is no backup. One for all its objects.
pub(crate) fn page(settings: &Settings, all: &[Finding]) -> Option<Page> {
    let (language, environment) = (settings.language, &settings.environment);
    let failed: Vec<&Finding> =
        all.iter().filter(|finding| matches!(finding, Finding::CheckFailed { .. })).collect();
    let first = failed.first()?;
    let items: Vec<Item> = failed.iter().take(NAMED).map(|finding| item(finding, settings)).collect();
    let lines: Vec<String> = findings::groups(&items).iter().map(|group| group.text(language, "")).collect();
    let names: Vec<&str> = failed.iter().map(|finding| finding.about()).collect();
    let causes = first_week::causes(names.iter().copied());
    let alert = Alert {
        kind: first.kind(),
        severity: Severity::Warning,
        resource: &findings::listed(names.iter().map(|name| (*name).to_owned()), 600),
        text: lines.join("\n"),
        owners: vec![settings.policy.responsible(Area::Observability)],
        runbook: "docs/grafana.md#teste-de-restauração",
        dedup_key: format!("grafana-export/{environment}/{}/{causes}", first.kind()),
    };
    Some(Page::new(settings, alert))
}
