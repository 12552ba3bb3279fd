//! The channel's message about an audit.

use shared::audit::course::News;
use shared::audit::findings::{Item, NAME, groups};
use shared::audit::first_week::Quiet;
use shared::run::notify::Message;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::finding::{NAMED, entry, next_step, sentence};
use crate::findings::Outcome;
use crate::rules::finding::Finding;

/// Most findings that a message lists; Slack truncates a longer message.
const SHOWN: usize = 8;

/// Failing and unknown findings in the order of work: failures before unknowns, critical ones first, then by the
/// guide's section.
fn ordered(settings: &Settings, findings: &[Finding]) -> Vec<Item> {
    let section = |finding: &Finding| -> Vec<u16> {
        finding.guide.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    let mut open: Vec<_> = findings.iter().filter(|finding| finding.verdict != "excepted").collect();
    // The sort is stable, and the list is sorted by severity: within a section severity decides.
    open.sort_by_key(|finding| (finding.verdict != "fail", finding.severity != "critical", section(finding)));
    let item = |finding: &Finding| {
        let step = next_step(finding, settings.language);
        // Only whole words: a name that is part of a longer one must stay.
        let words = step.split(' ').map(|word| match word.trim_matches(['\'', '`', '"']) {
            bare if bare == finding.resource => word.replace(bare, NAME),
            _ => word.to_owned(),
        });
        Item {
            kind: finding.rule.clone(),
            about: finding.resource.clone(),
            sentence: sentence(finding, settings.language),
            pattern: words.collect::<Vec<_>>().join(" "),
            step,
        }
    };
    open.into_iter().map(item).collect()
}

/// The channel's message. `repairs` has the outcome of each repair, `reports` the place of the reports.
pub(crate) fn summary(
    settings: &Settings,
    outcome: &Outcome,
    news: &News<'_>,
    repairs: &[String],
    reports: &str,
) -> Message {
    let language = settings.language;
    let name = match (language, news.is_weekly) {
        (Language::Portuguese, false) => "Auditoria de backup",
        (Language::Portuguese, true) => "Auditoria de backup, resumo da semana",
        (Language::English, false) => "Backup audit",
        (Language::English, true) => "Backup audit, weekly summary",
    };
    let [fail, unknown, pass] = match language {
        Language::Portuguese => ["falha(s)", "não verificado(s)", "em ordem"],
        Language::English => ["failing", "not verified", "in order"],
    };
    let counts = outcome.counts;
    let title =
        format!("{name}: {} {fail}, {} {unknown}, {} {pass}", counts.fail, counts.unknown, counts.pass);
    let lists_all = news.is_weekly || news.unread.is_some();
    let shown = if lists_all { &outcome.worst } else { &outcome.new };
    let mut lines: Vec<String> = news.unread.iter().map(|unread| unread.text(language)).collect();
    let is_summary = news.quiet.is_some_and(|quiet| quiet.is_summary);
    match news.quiet {
        Some(Quiet { week, held, is_summary: true, place }) => {
            let all = ordered(settings, &outcome.worst.findings);
            lines.extend(week.summary(held, place, &groups(&all), language));
        }
        quiet => {
            lines.extend(quiet.map(|Quiet { week, held, place, .. }| week.line(held, place, language)));
            lines.extend(shown.findings.iter().take(SHOWN).map(|finding| entry(settings, finding)));
        }
    }
    let more = if is_summary { 0 } else { shown.count.saturating_sub(SHOWN) };
    if more > 0 {
        lines.push(shared::tr!(
            language,
            "… e mais {more}, no relatório.",
            "… and {more} more, in the report.",
        ));
    }
    if outcome.resolved_count > 0 {
        let named: Vec<_> = outcome.resolved.iter().take(NAMED).map(String::as_str).collect();
        let label = language.pick("Resolvido", "Resolved");
        lines.push(format!("{label} ({}): {}.", outcome.resolved_count, named.join("; ")));
    }
    lines.extend(repairs.iter().cloned());
    if lines.is_empty() {
        lines.push(language.pick("Nada mudou.", "Nothing has changed.").to_owned());
    }
    // At the top, since the end of a long message is truncated.
    lines.insert(0, format!("{}: {}", language.pick("Relatórios", "Reports"), reports));
    Message::new(settings, &title, lines, news.run_id)
}

#[cfg(test)]
mod tests {
    use shared::audit::findings::Changes;
    use shared::audit::first_week::{FirstWeek, Held};
    use shared::run::report::Unread;

    use super::*;
    use crate::rules::finding::{Counts, Worst};
    use crate::text::finding::tests::{finding, settings};

    fn outcome(new: usize, worst: usize, resolved: usize) -> Outcome {
        let of = |count| Worst { findings: vec![finding("fail"); count], count };
        Outcome {
            counts: Counts { pass: 7, fail: 2, unknown: 1, excepted: 0 },
            services: std::collections::BTreeMap::new(),
            worst: of(worst),
            new: of(new),
            resolved: (0..resolved).map(|n| format!("s3.versioning b-{n}")).collect(),
            resolved_count: resolved,
            repairable: Vec::new(),
            reports: Vec::new(),
        }
    }

    fn news(changes: &Changes) -> News<'_> {
        News { run_id: "d", changes, is_weekly: false, unread: None, quiet: None }
    }

    #[test]
    fn a_message_lists_changes_or_weekly_everything_up_to_a_limit() {
        for (language, is_weekly, outcome, title, count, last) in [
            (Language::Portuguese, false, outcome(1, 5, 0), "Auditoria de backup: 2 ", 2, "Relatórios: r"),
            (Language::English, true, outcome(1, 5, 0), "Backup audit, weekly summary: 2 ", 6, "Reports: r"),
            (Language::English, false, outcome(8, 20, 0), "Backup audit: 2 ", 9, "Reports: r"),
            (Language::English, false, outcome(9, 20, 0), "Backup audit: 2 ", 10, "Reports: r"),
            (Language::English, false, outcome(0, 5, 11), "Backup audit: 2 ", 2, "Reports: r"),
            (Language::Portuguese, false, outcome(0, 5, 0), "Auditoria de backup: 2 ", 2, "Relatórios: r"),
        ] {
            let changes = Changes::default();
            let news = News { is_weekly, ..news(&changes) };
            let message = summary(&settings(language), &outcome, &news, &[], "r");
            assert!(message.title().starts_with(title), "{}", message.title());
            assert_eq!(message.lines().len(), count, "{:?}", message.lines());
            assert_eq!(message.lines().first().map(String::as_str), Some(last));
        }
        let message = |outcome: &Outcome| {
            let repairs = ["rds.public db: applied".to_owned()];
            summary(&settings(Language::Portuguese), outcome, &news(&Changes::default()), &repairs, "r")
        };
        let message = message(&outcome(9, 20, 11));
        let expected = "Auditoria de backup: 2 falha(s), 1 não verificado(s), 7 em ordem (prod)";
        assert_eq!(message.title(), expected);
        let lines = message.lines();
        assert_eq!(lines[9], "… e mais 1, no relatório.");
        assert!(lines[10].starts_with("Resolvido (11): s3.versioning b-0; "));
        assert!(lines[10].ends_with("b-9."));
        assert_eq!(lines[11], "rds.public db: applied");
    }

    #[test]
    fn a_first_week_starts_with_the_most_urgent_and_an_unread_run_is_reported() {
        let of = |rule: &str, severity: &str, guide: &str, resource: &str, verdict: &str| Finding {
            rule: rule.to_owned(),
            severity: severity.to_owned(),
            guide: guide.to_owned(),
            resource: resource.to_owned(),
            next_step: format!("aws cure --name {resource} --like one-of-two"),
            ..finding(verdict)
        };
        let mut outcome = outcome(0, 0, 0);
        outcome.worst.findings = vec![
            of("rds.public", "critical", "2.1.1", "db", "fail"),
            of("s3.tls-only", "high", "2.2.10", "one", "fail"),
            of("s3.tls-only", "high", "2.2.10", "two", "fail"),
            of("s3.encryption", "medium", "2.2.9", "one", "fail"),
            of("ecs.variables", "high", "1", "x", "unknown"),
            of("rds.multi-az", "high", "1", "db", "excepted"),
        ];
        outcome.worst.count = 6;
        let week = FirstWeek { until: "2026-03-08T12:00:00Z".parse().unwrap(), is_first_day: true };
        let unread = Unread("s3:GetObject failed".to_owned());
        let quiet = |is_summary| Quiet { week, held: Held::default(), is_summary, place: "r" };
        let lines_of = |quiet, unread| {
            let changes = Changes::default();
            let news = News { unread, quiet, ..news(&changes) };
            summary(&settings(Language::Portuguese), &outcome, &news, &[], "r").lines().to_vec()
        };
        let lines = lines_of(Some(quiet(true)), None);
        assert!(
            lines[1].starts_with("*Primeira semana*") && lines[1].contains("Retidos até lá: 0 página(s)")
        );
        assert_eq!(lines[2], "*Por regra*: rds.public 1; s3.encryption 1; s3.tls-only 2; ecs.variables 1.");
        assert!(lines[4].starts_with("1. *rds.public* `db`"), "{lines:?}");
        assert!(lines[6].starts_with("3. *s3.tls-only* (2): "), "{lines:?}");
        assert!(lines[6].ends_with("`aws cure --name NOME --like one-of-two`."), "{lines:?}");
        let lines = lines_of(Some(quiet(false)), None);
        assert_eq!(lines.len(), 2, "{lines:?}");
        let lines = lines_of(None, Some(&unread));
        assert!(lines[1].starts_with("*Não se sabe o que é novo*"), "{lines:?}");
        assert!(lines[1].contains("s3:GetObject failed") && lines.len() == 8, "{lines:?}");
    }
}
