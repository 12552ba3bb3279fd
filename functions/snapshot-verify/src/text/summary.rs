//! The channel's messages.

use std::collections::BTreeSet;

use shared::run::notify::Message;
use shared::runtime::settings::Settings;

use super::action::sentence_of_action;
use super::sentence::sentence;
use super::step::next_step;
use crate::rules::action::Action;
use crate::rules::finding::{Judged, key};

/// The contents of the channel's message.
pub(crate) struct Summary<'a> {
    pub run_id: &'a str,
    /// The subjects in scope, with their findings.
    pub judged: &'a [Judged],
    /// Keys of new findings.
    pub new: &'a BTreeSet<String>,
    /// Keys of resolved findings.
    pub resolved: &'a BTreeSet<String>,
    /// Keys of findings that persist.
    pub still: &'a BTreeSet<String>,
    /// Completed copies and deletions.
    pub actions: &'a [Action],
}

/// The channel's message.
pub(crate) fn summary(settings: &Settings, summary: &Summary<'_>) -> Message {
    let language = settings.language;
    let deleted = summary.actions.iter().filter(|action| matches!(action, Action::Deleted(_))).count();
    let counts = [
        (summary.new.len(), language.pick("achado(s) novo(s)", "new finding(s)")),
        (summary.resolved.len(), language.pick("resolvido(s)", "resolved")),
        (deleted, language.pick("apagado(s)", "deleted")),
        (summary.actions.len() - deleted, language.pick("cópia(s) pronta(s)", "copied")),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let next = language.next_step();
    let all = summary
        .judged
        .iter()
        .flat_map(|judged| judged.findings.iter().map(move |finding| (&judged.subject, finding)));
    let mut lines: Vec<String> = all
        .filter(|(subject, finding)| summary.new.contains(&key(subject, finding)))
        .map(|(subject, finding)| {
            format!(
                "*{}* `{}`: {}. {next}: {}",
                finding.kind(),
                subject.label(),
                sentence(subject, finding, language),
                next_step(settings, subject, finding)
            )
        })
        .collect();
    lines.extend(summary.actions.iter().map(|action| sentence_of_action(action, language)));
    let mut list = |label: &str, keys: &BTreeSet<String>| {
        if !keys.is_empty() {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            lines.push(format!("{label} {}.", keys.join("; ")));
        }
    };
    list(language.pick("Continua:", "Unchanged:"), summary.still);
    list(language.pick("Resolvido:", "Resolved:"), summary.resolved);
    // If an attempt that died already reported everything, nothing is left to report.
    let nothing = language.pick("sem mudança", "no change");
    let counts = if counts.is_empty() { nothing.to_owned() } else { counts.join(", ") };
    Message::new(settings, &format!("Snapshots: {counts}"), lines, summary.run_id)
}

/// The message about a failed run.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &str, next_step: &str) -> Message {
    let what = settings
        .language
        .pick("A verificação dos snapshots falhou", "The verification of the snapshots failed");
    Message::failed(settings, what, error, next_step, run_id)
}
