//! The channel's messages about a run.

use jiff::Timestamp;
use shared::audit::course::News;
use shared::audit::findings;
use shared::audit::first_week::Quiet;
use shared::run::notify::Message;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::item::item;
use super::sentence::key;
use crate::rules::facts::Secret;
use crate::rules::finding::Finding;

/// Order of work by kind in the first week, after the critical findings.
pub(super) const ORDER: [&str; 15] = [
    "WidePolicy",
    "Missing",
    "Empty",
    "RotationOff",
    "Overdue",
    "StuckPending",
    "RotationLate",
    "IamLoginOff",
    "InsufficientData",
    "TagsContradict",
    "TagsMissing",
    "NoPolicy",
    "DueSoon",
    "Unused",
    "NeverRotated",
];

/// Sort key of a finding in the first week's summary.
fn order(finding: &Finding) -> (bool, usize) {
    let place = ORDER.iter().position(|kind| *kind == finding.kind());
    (!finding.is_critical(), place.unwrap_or(ORDER.len()))
}

/// The channel's message. `secrets` come with their findings, the worst first; `tasks` are lines about the tasks.
pub(crate) fn summary(
    settings: &Settings,
    secrets: &[(Secret, Vec<Finding>)],
    news: &News<'_>,
    tasks: &[String],
    now: Timestamp,
) -> Message {
    let language = settings.language;
    let all: Vec<_> = secrets
        .iter()
        .flat_map(|(secret, found)| found.iter().map(move |finding| (secret, finding)))
        .collect();
    let count = |kind: &str| all.iter().filter(|(_, finding)| finding.kind() == kind).count();
    let name = match (language, news.is_weekly) {
        (Language::Portuguese, false) => "Auditoria de rotação",
        (Language::Portuguese, true) => "Auditoria de rotação, resumo da semana",
        (Language::English, false) => "Rotation audit",
        (Language::English, true) => "Rotation audit, weekly summary",
    };
    let [overdue, due] = match language {
        Language::Portuguese => ["vencido(s)", "a vencer"],
        Language::English => ["overdue", "due soon"],
    };
    let title = format!("{name}: {} {overdue}, {} {due}", count("Overdue"), count("DueSoon"));
    let lists_all = news.is_weekly || news.unread.is_some();
    let is_listed =
        |secret: &Secret, finding: &Finding| lists_all || news.changes.new.contains(&key(secret, finding));
    let new: Vec<_> = all
        .iter()
        .filter(|(secret, finding)| is_listed(secret, finding))
        .map(|(secret, finding)| item(secret, finding, now, language))
        .collect();
    let mut lines: Vec<_> = news.unread.iter().map(|unread| unread.text(language)).collect();
    match news.quiet {
        Some(Quiet { week, held, is_summary: true, place }) => {
            let mut all = all.clone();
            all.sort_by_key(|(_, finding)| order(finding));
            let all: Vec<_> =
                all.into_iter().map(|(secret, finding)| item(secret, finding, now, language)).collect();
            lines.extend(week.summary(held, place, &findings::groups(&all), language));
        }
        quiet => {
            lines.extend(quiet.map(|Quiet { week, held, place, .. }| week.line(held, place, language)));
            lines.extend(findings::groups(&new).iter().map(|group| group.text(language, "*")));
        }
    }
    let is_summary = news.quiet.is_some_and(|quiet| quiet.is_summary);
    let list =
        |label: &str, keys: Vec<String>| (!keys.is_empty()).then(|| format!("{label} {}.", keys.join("; ")));
    let mut unchanged: Vec<(&str, Vec<String>)> = Vec::new();
    for (secret, finding) in all.iter().filter(|(secret, finding)| !is_summary && !is_listed(secret, finding))
    {
        match unchanged.iter_mut().find(|(kind, _)| *kind == finding.kind()) {
            Some((_, names)) => names.push(secret.name.clone()),
            None => unchanged.push((finding.kind(), vec![secret.name.clone()])),
        }
    }
    let unchanged = unchanged.into_iter().map(|(kind, names)| {
        let names = if names.len() == 1 {
            names.concat()
        } else {
            format!("({}) {}", names.len(), findings::listed(names, 600))
        };
        format!("{kind} {names}")
    });
    lines.extend(list(language.pick("Continua:", "Unchanged:"), unchanged.collect()));
    lines.extend(list(
        language.pick("Resolvido:", "Resolved:"),
        news.changes.resolved.iter().cloned().collect(),
    ));
    lines.extend(tasks.iter().cloned());
    if lines.is_empty() {
        lines.push(
            language
                .pick("Todos os segredos estão dentro da política.", "Every secret complies with the policy.")
                .to_owned(),
        );
    }
    Message::new(settings, &title, lines, news.run_id)
}

/// The message about a failed audit.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &str, next_step: &str) -> Message {
    let title = settings.language.pick("A auditoria de rotação falhou", "The rotation audit failed");
    Message::failed(settings, title, error, next_step, run_id)
}
