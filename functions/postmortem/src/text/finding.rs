//! Findings in sentences, in groups, and as pages.

use jiff::civil::Date;
use shared::audit::findings::{self, Item, NAME};
use shared::audit::first_week;
use shared::policy::Responsible;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::state;
use crate::rules::finding::{Finding, Found};
use crate::rules::wanted::OWN_PAGES;

/// The line of a finding in the evidence record: its key, `: `, the sentence.
pub(crate) fn line(found: &Found) -> String {
    format!("{}: {}", key(found), sentence(found, Language::English))
}

/// Key of a finding: findings of two runs with the same key are the same finding.
pub(crate) fn key(found: &Found) -> String {
    format!("{} {}", found.finding.kind(), found.about())
}

/// A finding in a sentence, without a full stop.
pub(crate) fn sentence(found: &Found, language: Language) -> String {
    let title = found.postmortem.as_ref().map(|one| one.title.as_str()).unwrap_or_default();
    let title: String = title.chars().take(120).collect();
    let with = |due: &Date, of| (state(of, language), *due);
    match &found.finding {
        Finding::PostmortemOverdue { due, state } => {
            let (state, due) = with(due, *state);
            shared::tr!(
                language,
                "o post-mortem de «{title}» devia estar encerrado em {due}; está em {state}",
                "the post-mortem of “{title}” was to be closed by {due}; it is {state}",
            )
        }
        Finding::PostmortemDueSoon { due, state } => {
            let (state, due) = with(due, *state);
            shared::tr!(
                language,
                "o post-mortem de «{title}» vence em {due}; está em {state}",
                "the post-mortem of “{title}” is due by {due}; it is {state}",
            )
        }
        Finding::ActionOverdue(task) | Finding::ActionDueSoon(task) => {
            let (what, owner, due) = (&task.what, &task.owner, task.due);
            let what: String = what.chars().take(200).collect();
            let board = task.issue.map(|number| format!(" (#{number})")).unwrap_or_default();
            if matches!(found.finding, Finding::ActionOverdue(_)) {
                shared::tr!(
                    language,
                    "a ação «{what}»{board} de {owner} venceu em {due}",
                    "the action “{what}”{board} of {owner} was due by {due}",
                )
            } else {
                shared::tr!(
                    language,
                    "a ação «{what}»{board} de {owner} vence em {due}",
                    "the action “{what}”{board} of {owner} is due by {due}",
                )
            }
        }
        Finding::ActionRejected(task, why) => {
            let what: String = task.what.chars().take(200).collect();
            let number = task.issue.unwrap_or_default();
            shared::tr!(
                language,
                "a issue #{number} da ação «{what}» foi fechada como «{why}», e a ação não conta como feita",
                "issue #{number} of the action “{what}” was closed as “{why}”, and the action does not count as done",
            )
        }
        Finding::NotBegun(why) => {
            shared::tr!(
                language,
                "o documento não pôde ser aberto: {why}",
                "the document could not be begun: {why}"
            )
        }
        Finding::NotSeen(why) => {
            shared::tr!(language, "não foi possível verificar: {why}", "could not be checked: {why}")
        }
        Finding::Repeated(again) if *again == found.incident => shared::tr!(
            language,
            "o incidente {again}, «{title}», foi reaberto depois de encerrado o post-mortem",
            "the incident {again}, “{title}”, was reopened after its post-mortem was closed",
        ),
        Finding::Repeated(again) => shared::tr!(
            language,
            "o problema de «{title}» voltou depois de encerrado o post-mortem: {again}",
            "the problem of “{title}” came back after its post-mortem was closed: {again}",
        ),
    }
}

/// The next step, without a full stop.
fn next_step(found: &Found, about: &str, language: Language) -> String {
    let function = "docs/postmortem.md";
    match &found.finding {
        Finding::PostmortemOverdue { .. } | Finding::PostmortemDueSoon { .. } => shared::tr!(
            language,
            "preencher causa e ações, revisar e encerrar ({function}#encerrar)",
            "fill in cause and actions, review it and close it ({function}#encerrar)",
        ),
        Finding::ActionOverdue(_) | Finding::ActionDueSoon(_) => shared::tr!(
            language,
            "fechar a tarefa se está feita, ou dar outro prazo com motivo ({function}#ações)",
            "close the task if it is done, or give it another date with a reason ({function}#ações)",
        ),
        Finding::ActionRejected(..) => shared::tr!(
            language,
            "reabrir a issue; se não será feita, dizer isso com o motivo ({function}#ações)",
            "reopen the issue; if it will not be done, say so with the reason ({function}#ações)",
        ),
        Finding::NotBegun(_) => shared::tr!(
            language,
            "a próxima execução tenta de novo; à mão: {function}#abrir",
            "the next run tries again; by hand: {function}#abrir",
        ),
        Finding::NotSeen(_) => shared::tr!(
            language,
            "corrigir a causa; a próxima execução lê de novo",
            "fix the cause; the next run reads again",
        ),
        // A closed one stays closed: there is no other document.
        Finding::Repeated(again) if *again == found.incident => shared::tr!(
            language,
            "dizer numa atualização do incidente por que as ações não bastaram, e abrir uma tarefa para o que falta",
            "say in an update of the incident why the actions were not enough, and open a task for what is missing",
        ),
        Finding::Repeated(_) => shared::tr!(
            language,
            "no post-mortem novo, dizer por que as ações de {about} não bastaram",
            "say in the new post-mortem why the actions of {about} were not enough",
        ),
    }
}

/// The item of a finding, for a message that groups findings.
pub(crate) fn item(found: &Found, language: Language) -> Item {
    Item {
        kind: found.finding.kind().to_owned(),
        about: found.about(),
        sentence: sentence(found, language),
        step: next_step(found, &found.incident, language),
        pattern: next_step(found, NAME, language),
    }
}

/// The pages: one for each kind, since one late team is one problem. A further finding of the kind makes a new page.
pub(crate) fn pages(settings: &Settings, all: &[Found]) -> Vec<Page> {
    let mut kinds: Vec<&str> = Vec::new();
    for found in all.iter().filter(|found| found.finding.pages()) {
        if !kinds.contains(&found.finding.kind()) {
            kinds.push(found.finding.kind());
        }
    }
    let of = |kind: &str| all.iter().filter(|found| found.finding.kind() == kind).collect::<Vec<_>>();
    kinds.into_iter().map(|kind| page(settings, kind, &of(kind))).collect()
}

fn page(settings: &Settings, kind: &str, of: &[&Found]) -> Page {
    let (language, environment) = (settings.language, &settings.environment);
    let names: Vec<String> = of.iter().map(|found| found.about()).collect();
    let items: Vec<_> = of.iter().map(|found| item(found, language)).collect();
    let lines: Vec<_> = findings::groups(&items).iter().map(|group| group.text(language, "")).collect();
    let teams: Vec<Responsible> = of
        .iter()
        .filter_map(|found| found.postmortem.as_ref())
        .map(|one| Responsible { primary: one.owner.clone(), backup: one.backup.clone() })
        .collect();
    let causes = first_week::causes(names.iter().map(String::as_str));
    let alert = Alert {
        kind,
        severity: Severity::Warning,
        resource: &names.join(", "),
        text: lines.join("\n"),
        owners: teams.iter().collect(),
        runbook: "docs/postmortem.md#o-que-cada-achado-significa",
        dedup_key: format!("{OWN_PAGES}{environment}/{kind}/{causes}"),
    };
    Page::new(settings, alert)
}
