//! An audit's first week. A first deployment into an existing account finds years of problems: one summary lists the
//! first steps, critical findings page at once in one page, and all others wait until the week is over. Records and
//! reports have all findings from the first run on.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::audit::findings::Group;
use crate::run::evidence::Step;
use crate::run::paging::{self, Page, Severity};
use crate::runtime::hex::hex;
use crate::runtime::language::Language;
use crate::runtime::time;

/// Length of the week from the audit's first record: an hour short, because a weekly audit runs some seconds earlier or
/// later than the last one.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24 - 1);

/// Most groups of findings in a summary; Slack cuts a longer message.
const SHOWN: usize = 6;

/// The documentation's section about the first week.
const RUNBOOK: &str = "docs/implantacao.md#a-primeira-semana";

/// More new findings than this are reported as a summary.
const FEW: usize = 8;

/// The first week of an audit, until it is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FirstWeek {
    /// Its end.
    pub until: Timestamp,
    /// Whether this is the day in São Paulo on which the audit first ran.
    pub is_first_day: bool,
}

/// Pages and tasks held back until the week is over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// Pages.
    pub pages: usize,
    /// Tasks on the board.
    pub tasks: usize,
}

/// The first week's part of a message.
#[derive(Clone, Copy, Debug)]
pub struct Quiet<'a> {
    /// The week.
    pub week: FirstWeek,
    /// Pages and tasks held back.
    pub held: Held,
    /// Whether the message is a summary.
    pub is_summary: bool,
    /// Place of all findings.
    pub place: &'a str,
}

impl FirstWeek {
    /// The first week of an audit whose first record is from `began`; none if it is over. Without a record it begins
    /// now.
    pub fn of(began: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let began = began.unwrap_or(now);
        let until = began.saturating_add(WEEK).unwrap_or(Timestamp::MAX);
        let is_first_day = time::local_date(began) == time::local_date(now);
        (now < until).then_some(Self { until, is_first_day })
    }

    /// Whether a run sends a summary instead of each finding: the first run, and a run with many new findings.
    /// `is_first` means that no earlier run sent a message.
    pub fn is_summary(&self, is_first: bool, new: usize) -> bool {
        new > FEW || (is_first && self.is_first_day)
    }

    /// The record's step with the numbers of pages and tasks held back.
    pub fn step(&self, held: Held) -> Step {
        let Held { pages, tasks } = held;
        Step::now("first week", format!("{pages} pages and {tasks} tasks held back until {}", self.until))
    }

    /// The message's line with the numbers of pages and tasks held back, and the place of all findings.
    pub fn line(&self, held: Held, place: &str, language: Language) -> String {
        let until = time::local(self.until);
        let Held { pages, tasks } = held;
        crate::tr!(
            language,
            "*Primeira semana* desta auditoria, até {until}: só o que é crítico aciona o pager, e o canal recebe só o que muda. Retidos até lá: {pages} página(s), {tasks} tarefa(s). Tudo está em {place}.",
            "*First week* of this audit, until {until}: only what is critical pages, and the channel gets only what changes. Held back until then: {pages} page(s), {tasks} task(s). Everything is in {place}.",
        )
    }

    /// Lines for a summary: the number of findings by kind, and the first groups with their commands. `groups` are in
    /// the order of work.
    pub fn summary(&self, held: Held, place: &str, groups: &[Group<'_>], language: Language) -> Vec<String> {
        let mut lines = vec![self.line(held, place, language)];
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for group in groups {
            match counts.iter_mut().find(|(kind, _)| *kind == group.kind()) {
                Some((_, count)) => *count += group.count(),
                None => counts.push((group.kind(), group.count())),
            }
        }
        let all: Vec<_> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        if all.is_empty() {
            return lines;
        }
        lines.push(format!("*{}*: {}.", language.pick("Por regra", "By rule"), all.join("; ")));
        let first = language.pick("Fazer primeiro, nesta ordem", "Do first, in this order");
        lines.push(format!("*{first}*:"));
        let reported = (1..).zip(groups.iter().take(SHOWN));
        lines.extend(reported.map(|(number, group)| format!("{number}. {}", group.text(language, "*"))));
        let more = groups.len().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(crate::tr!(
                language,
                "… e mais {more} grupo(s), em {place}.",
                "… and {more} more group(s), in {place}.",
            ));
        }
        lines
    }
}

/// A short hash of a set of causes, for a dedup key. Another cause changes the key, so it makes a new page.
pub fn causes<'a>(causes: impl IntoIterator<Item = &'a str>) -> String {
    let causes: BTreeSet<&str> = causes.into_iter().collect();
    let mut hash = Sha256::new();
    for cause in causes {
        hash.update(cause);
        hash.update("\n");
    }
    hex(hash.finalize().iter().take(4))
}

/// One page for several causes, with a dedup key of these causes.
pub fn one_page(procedure: &str, environment: &str, pages: Vec<Page>, language: Language) -> Vec<Page> {
    if pages.len() < 2 {
        return pages;
    }
    let causes = causes(pages.iter().map(|page| page.dedup_key.as_str()));
    let dedup_key = format!("{procedure}/{environment}/first-week/{causes}");
    let what = language.pick("causas, primeira semana", "causes, first week");
    let texts: Vec<_> = pages.iter().map(|page| page.text.as_str()).collect();
    let all = |of: fn(&Page) -> &str| {
        pages.iter().map(of).collect::<BTreeSet<&str>>().into_iter().collect::<Vec<_>>().join(", ")
    };
    vec![Page {
        subject: paging::subject(&format!("[{environment}] {procedure}: {} {what}", pages.len())),
        text: format!("{}\n\nRunbook: {RUNBOOK}\n{dedup_key}", texts.join("\n\n")),
        secret: all(|page| &page.secret),
        kind: "FirstWeek".to_owned(),
        severity: Severity::Critical,
        environment: environment.to_owned(),
        owner: all(|page| &page.owner),
        backup: all(|page| &page.backup),
        runbook: RUNBOOK.to_owned(),
        dedup_key,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::findings::{Item, groups};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_from_the_first_record() {
        let now = at("2026-03-03T12:00:00Z");
        let of = |began: Option<&str>| FirstWeek::of(began.map(at), now);
        let week = |until: &str, is_first_day| Some(FirstWeek { until: at(until), is_first_day });
        assert_eq!(of(None), week("2026-03-10T11:00:00Z", true));
        assert_eq!(of(Some("2026-03-03T03:00:00Z")), week("2026-03-10T02:00:00Z", true));
        // Still the day before in São Paulo.
        assert_eq!(of(Some("2026-03-03T02:59:59Z")), week("2026-03-10T01:59:59Z", false));
        assert_eq!(of(Some("2026-02-24T13:00:01Z")), week("2026-03-03T12:00:01Z", false));
        assert_eq!(of(Some("2026-02-24T13:00:00Z")), None);
        // A weekly audit that starts four seconds earlier than the first one.
        assert_eq!(FirstWeek::of(Some(at("2026-03-02T12:00:07Z")), at("2026-03-09T12:00:03Z")), None);
        assert_eq!(FirstWeek::of(Some(Timestamp::MIN), now), None);
    }

    #[test]
    fn the_first_run_and_one_that_finds_much_are_summaries() {
        let week = |is_first_day| FirstWeek { until: at("2026-03-10T12:00:00Z"), is_first_day };
        for (is_first_day, is_first, new, expected) in [
            (true, true, 0, true),
            (true, false, 8, false),
            (true, false, 9, true),
            (false, true, 8, false),
            (false, false, 9, true),
        ] {
            assert_eq!(
                week(is_first_day).is_summary(is_first, new),
                expected,
                "{is_first_day} {is_first} {new}"
            );
        }
    }

    fn reported(kind: &str, about: &str) -> Item {
        Item {
            kind: kind.to_owned(),
            about: about.to_owned(),
            sentence: "wrong".to_owned(),
            step: format!("`cure {about}`"),
            pattern: "`cure NOME`".to_owned(),
        }
    }

    #[test]
    fn a_summary_has_counts_place_and_the_first_commands_in_order() {
        let week = FirstWeek { until: at("2026-03-10T12:00:00Z"), is_first_day: true };
        let mut all = vec![reported("Critical", "z-1"), reported("Old", "a-1"), reported("Old", "b-1")];
        all.extend((0..7).map(|number| reported(&format!("Kind{number}"), "c-1")));
        let held = Held { pages: 4, tasks: 2 };
        for (language, parts) in [
            (
                Language::Portuguese,
                [
                    "até 2026-03-10 09:00:00 -03:00",
                    "4 página(s), 2 tarefa(s)",
                    "Por regra",
                    "e mais 3 grupo(s)",
                ],
            ),
            (
                Language::English,
                [
                    "until 2026-03-10 09:00:00 -03:00",
                    "4 page(s), 2 task(s)",
                    "By rule",
                    "and 3 more group(s)",
                ],
            ),
        ] {
            let lines = week.summary(held, "s3://bucket/folder/", &groups(&all), language);
            let text = lines.join("\n");
            for part in parts.into_iter().chain(["s3://bucket/folder/", "Critical 1; Old 2; Kind0 1"]) {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
            assert!(lines[3].starts_with("1. *Critical* `z-1`: wrong."), "{text}");
            assert!(lines[4].starts_with("2. *Old* (2): wrong: `a-1`, `b-1`."), "{text}");
            assert_eq!(lines.len(), 3 + SHOWN + 1);
        }
        assert_eq!(week.summary(held, "x", &[], Language::English).len(), 1);
    }

    #[test]
    fn several_critical_causes_are_one_page_until_another_comes() {
        let page = |kind: &str| Page {
            subject: format!("[dev] {kind}"),
            text: format!("{kind}: do this"),
            dedup_key: format!("audit/dev/{kind}"),
            secret: "x".to_owned(),
            ..Page::default()
        };
        let one = |kinds: &[&str]| {
            one_page("audit", "dev", kinds.iter().map(|kind| page(kind)).collect(), Language::English)
        };
        assert_eq!(one(&["a"]), [page("a")]);
        assert_eq!(one(&[]), []);
        let [both] = one(&["a", "b"]).try_into().unwrap();
        assert!(both.text.contains("a: do this\n\nb: do this"), "{}", both.text);
        assert_eq!(both.subject, "[dev] audit: 2 causes, first week");
        assert_eq!(both.secret, "x");
        assert_eq!(one(&["b", "a"])[0].dedup_key, both.dedup_key);
        assert_ne!(one(&["b", "a", "c"])[0].dedup_key, both.dedup_key);
    }
}
