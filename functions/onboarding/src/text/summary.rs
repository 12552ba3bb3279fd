//! The channel's messages about a daily run.

use shared::audit::course::News;
use shared::run::notify::Message;
use shared::runtime::settings::Settings;

use super::finding::item;
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
    let items = found.iter().map(|one| item(one, settings)).collect();
    let mut all = news.paragraphs(items, language);
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
