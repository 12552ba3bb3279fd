//! The channel's messages about a daily run.

use shared::audit::course::News;
use shared::audit::findings;
use shared::run::notify::Message;
use shared::runtime::settings::Settings;

use super::finding::{item, key};
use super::place;
use crate::rules::access::{Access, Place, Read};
use crate::rules::finding::Found;

/// The message of a daily run: what is new, what goes on, what was settled, and `lines` about what the run did.
pub(crate) fn summary(
    settings: &Settings,
    found: &[Found],
    access: &Access,
    news: &News<'_>,
    lines: &[String],
) -> Message {
    let language = settings.language;
    let count = |kind: &str| found.iter().filter(|one| one.finding.kind() == kind).count();
    let (late, remains) = (count("OnboardingOverdue"), count("AccessRemains"));
    let mut title = shared::tr!(
        language,
        "Onboarding: {late} atrasado(s), {remains} acesso(s) de quem saiu",
        "Onboarding: {late} overdue, {remains} access(es) of people who left",
    );
    let unknown = count("LoginUnknown") + count("NotSeen");
    if unknown > 0 {
        title += &shared::tr!(language, ", {unknown} não verificado(s)", ", {unknown} not checked");
    }
    let lists_all = news.is_weekly || news.unread.is_some();
    let is_new = |one: &&Found| lists_all || news.changes.new.contains(&key(one));
    let new: Vec<_> = found.iter().filter(is_new).map(|one| item(one, settings)).collect();
    let mut all: Vec<_> = news.unread.iter().map(|unread| unread.text(language)).collect();
    all.extend(findings::groups(&new).iter().map(|group| group.text(language, "*")));
    let listed = |label: &str, keys: Vec<String>| {
        (!keys.is_empty()).then(|| format!("{label} {}.", findings::listed(keys, 600)))
    };
    let unchanged: Vec<_> = found.iter().filter(|one| !is_new(one)).map(key).collect();
    all.extend(listed(language.pick("Continua:", "Unchanged:"), unchanged));
    let resolved = news.changes.resolved.iter().cloned().collect();
    all.extend(listed(language.pick("Resolvido:", "Resolved:"), resolved));
    all.extend(lines.iter().cloned());
    if all.is_empty() {
        let checked = [
            (access.group != Read::NotCovered).then(|| place(Place::AwsGroup, language)),
            (access.grafana != Read::NotCovered).then(|| place(Place::Grafana, language)),
            Some(language.pick("política", "policy")),
        ];
        let checked = checked.into_iter().flatten().collect::<Vec<_>>().join(", ");
        all.push(shared::tr!(
            language,
            "Nada está atrasado, e quem saiu e está na lista não tem acesso ao que é conferido: {checked}.",
            "Nothing is overdue, and nobody in the list who left has access to what is checked: {checked}.",
        ));
    }
    Message::new(settings, &title, all, news.run_id)
}

/// The message about a run that failed.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &str, next_step: &str) -> Message {
    let title = settings
        .language
        .pick("A execução diária do onboarding falhou", "The daily run of onboarding failed");
    Message::failed(settings, title, error, next_step, run_id)
}
