//! The channel's messages about a daily run.

use shared::audit::course::News;
use shared::run::notify::Message;
use shared::runtime::settings::Settings;

use super::finding::item;
use crate::rules::finding::Found;

/// The message of a daily run: what is new, what goes on, what was settled, and `lines` about what the run did.
pub(crate) fn summary(settings: &Settings, found: &[Found], news: &News<'_>, lines: &[String]) -> Message {
    let language = settings.language;
    let count = |kind: &str| found.iter().filter(|one| one.finding.kind() == kind).count();
    let (late, actions) = (count("PostmortemOverdue"), count("ActionOverdue"));
    let title = shared::tr!(
        language,
        "Post-mortems: {late} atrasado(s), {actions} ação(ões) atrasada(s)",
        "Post-mortems: {late} overdue, {actions} action(s) overdue",
    );
    let items = found.iter().map(|one| item(one, language)).collect();
    let mut all = news.paragraphs(items, language);
    all.extend(lines.iter().cloned());
    if all.is_empty() {
        let nothing = language.pick("Nada está atrasado.", "Nothing is overdue.");
        all.push(nothing.to_owned());
    }
    Message::new(settings, &title, all, news.run_id)
}

/// The message about a run that failed.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &str, next_step: &str) -> Message {
    let title = settings
        .language
        .pick("A execução diária dos post-mortems falhou", "The daily run of post-mortems failed");
    Message::failed(settings, title, error, next_step, run_id)
}
