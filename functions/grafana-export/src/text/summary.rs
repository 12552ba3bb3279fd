//! The channel's messages.

use shared::audit::course::News;
use shared::run::notify::Message;
use shared::runtime::failure::chain;
use shared::runtime::settings::Settings;

use super::finding::item;
use crate::error::ExportError;
use crate::export::Exported;

/// The message of a run: what is new, what goes on, what was settled, and the pull request.
pub(crate) fn summary(settings: &Settings, exported: &Exported, news: &News<'_>) -> Message {
    let language = settings.language;
    let (dashboards, groups) = (exported.report.dashboards, exported.report.rule_groups);
    let title = shared::tr!(
        language,
        "Grafana exportado: {dashboards} dashboards, {groups} grupos de alertas",
        "Grafana exported: {dashboards} dashboards, {groups} groups of alert rules",
    );
    let items = exported.findings.iter().map(|finding| item(finding, settings)).collect();
    let mut all = news.paragraphs(items, language);
    if let Some(number) = exported.report.pull_request.filter(|_| exported.is_proposed) {
        all.push(shared::tr!(
            language,
            "Mudanças para revisar: PR #{number}.",
            "Changes to review: PR #{number}.",
        ));
    }
    if all.is_empty() {
        all.push(language.pick("Nada a fazer.", "Nothing to do.").to_owned());
    }
    Message::new(settings, &title, all, news.run_id)
}

/// The message about a run that failed.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &ExportError) -> Message {
    let title = settings.language.pick("A exportação do Grafana falhou", "The export of Grafana failed");
    Message::failed(settings, title, &chain(error), error.next_step(settings.language), run_id)
}
