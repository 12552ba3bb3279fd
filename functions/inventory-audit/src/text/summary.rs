//! The channel's message about a run.

use shared::audit::course::News;
use shared::audit::findings::{self, Item, NAME};
use shared::audit::first_week::Quiet;
use shared::run::command::Argument;
use shared::run::notify::Message;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::page::people;
use super::sentence::sentence;
use super::step::next_step;
use crate::rules::row::{Problem, Row};
use crate::table;

/// Most lines of findings in a message; Slack silently truncates a longer one.
pub(super) const MOST_LINES: usize = 8;

/// All findings, in the order of work.
fn ordered(settings: &Settings, rows: &[Row]) -> Vec<Item> {
    let all = rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, problem)| *problem);
    let item = |(row, problem): (&Row, &Problem)| {
        let step = next_step(settings, row, problem);
        let mut pattern = step.clone();
        for (text, placeholder) in [(&row.arn, "ARN"), (&row.name, NAME)] {
            // Only a whole word of a command: a name that is part of a longer one must stay.
            for end in [' ', '`'] {
                let word = format!(" {}{end}", text.quoted());
                pattern = pattern.replace(&word, &format!(" {placeholder}{end}"));
            }
        }
        let sentence = sentence(problem, settings.language);
        Item { kind: problem.kind().to_owned(), about: row.about(), sentence, step, pattern }
    };
    all.into_iter().map(item).collect()
}

/// The channel's message. The worst rows come first.
pub(crate) fn summary(settings: &Settings, rows: &[Row], news: &News<'_>) -> Message {
    let language = settings.language;
    let all = || rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)));
    let unverified = all().filter(|(_, problem)| problem.is_unverified()).count();
    let wrong = all().count() - unverified;
    let title = format!(
        "{}: {wrong} {}, {unverified} {}",
        match (language, news.is_weekly) {
            (Language::Portuguese, false) => "Inventário",
            (Language::Portuguese, true) => "Inventário, resumo da semana",
            (Language::English, false) => "Inventory",
            (Language::English, true) => "Inventory, weekly summary",
        },
        language.pick("achado(s)", "finding(s)"),
        language.pick("não verificado(s)", "not verified"),
    );
    let lists_all = news.is_weekly || news.unread.is_some();
    let is_summary = news.quiet.is_some_and(|quiet| quiet.is_summary);
    let is_listed = |row: &Row, problem: &Problem| {
        !is_summary && (lists_all || news.changes.new.contains(&row.key(problem)))
    };
    let listed: Vec<_> = all().filter(|(row, problem)| is_listed(row, problem)).collect();
    let mut lines: Vec<_> = news.unread.iter().map(|unread| unread.text(language)).collect();
    lines.extend(match news.quiet {
        Some(Quiet { week, held, is_summary: true, place }) => {
            week.summary(held, place, &findings::groups(&ordered(settings, rows)), language)
        }
        quiet => quiet.map(|quiet| quiet.week.line(quiet.held, quiet.place, language)).into_iter().collect(),
    });
    let each: Vec<String> = listed
        .iter()
        .take(MOST_LINES)
        .map(|(row, problem)| {
            format!(
                "*{}* `{}`: {}. {}: {}. {}.",
                problem.kind(),
                row.about(),
                sentence(problem, language),
                language.next_step(),
                next_step(settings, row, problem),
                people(&row.responsible, language),
            )
        })
        .collect();
    lines.extend(each);
    let more = listed.len().saturating_sub(MOST_LINES);
    if more > 0 {
        lines.push(format!("{} {more}: `{}`.", language.pick("E mais", "Another"), table::KEY));
    }
    let unchanged = all().count() - listed.len();
    if unchanged > 0 && !is_summary {
        lines.push(format!("{} {unchanged}: `{}`.", language.pick("Continuam", "Unchanged:"), table::KEY));
    }
    let resolved: Vec<_> = news.changes.resolved.iter().take(MOST_LINES).cloned().collect();
    if !resolved.is_empty() {
        let more = news.changes.resolved.len().saturating_sub(resolved.len());
        let more = if more > 0 { format!(" (+{more})") } else { String::new() };
        lines.push(format!("{} {}{more}.", language.pick("Resolvido:", "Resolved:"), resolved.join("; ")));
    }
    if lines.is_empty() {
        lines.push(
            language
                .pick(
                    "Todo recurso do inventário existe, tem as tags, está no Terraform e tem quem responda por ele e possa ser alcançado; os runbooks dos alarmes existem.",
                    "Every resource of the inventory exists, has its tags, is in Terraform and has a responsible team that can be reached; the alarms' runbooks exist.",
                )
                .to_owned(),
        );
    }
    Message::new(settings, &title, lines, news.run_id)
}
