//! The channel's messages.

use shared::audit::course::News;
use shared::audit::findings;
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
    let lists_all = news.is_weekly || news.unread.is_some();
    let (mut new, mut unchanged) = (Vec::new(), Vec::new());
    for finding in &exported.findings {
        let key = finding.key();
        if lists_all || news.changes.new.contains(&key) {
            new.push(item(finding, language));
        } else {
            unchanged.push(key);
        }
    }
    let mut all: Vec<String> = news.unread.iter().map(|unread| unread.text(language)).collect();
    all.extend(findings::groups(&new).iter().map(|group| group.text(language, "*")));
    let listed = |label: &str, keys: Vec<String>| {
        (!keys.is_empty()).then(|| format!("{label} {}.", findings::listed(keys, 600)))
    };
    all.extend(listed(language.pick("Continua:", "Unchanged:"), unchanged));
    let resolved = news.changes.resolved.iter().cloned().collect();
    all.extend(listed(language.pick("Resolvido:", "Resolved:"), resolved));
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
