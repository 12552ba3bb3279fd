//! The course of an audit: check, read the last run, page, act, compare, report, finish.
//!
//! An audit supplies its rules, its own actions and its texts through [`Audit`]; [`run`] does the rest, in an order in
//! which no failure hides a finding. Pages go out first, the message and the record last. A run has one message and one
//! record over all its retries.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::findings::{self, Changes, Item, key_of};
use crate::audit::first_week::{FirstWeek, Held, Quiet};
use crate::run::base::Base;
use crate::run::documents::Documents;
use crate::run::evidence::{Draft, Step};
use crate::run::notify::Message;
use crate::run::paging::Page;
use crate::run::report::Unread;
use crate::runtime::failure::{Failure, chain};
use crate::runtime::hex::hex;
use crate::runtime::lambda::Invocation;
use crate::runtime::language::Language;
use crate::runtime::time;

/// Most characters of a list of keys in a message.
const LISTED: usize = 600;

/// The part of the last run's record that the next run needs; without findings if the audit keeps them elsewhere.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Last {
    /// Run id.
    pub run_id: String,
    /// Lines of the findings; [`findings::key_of`] returns a line's key.
    pub findings: Vec<String>,
}

/// The last run: none if this is the first one, [`Unread`] if its record could not be read.
pub type Before = Result<Option<Last>, Unread>;

/// The pages of a run, and how the first week changed them.
pub struct Paging {
    /// The pages to publish.
    pub pages: Vec<Page>,
    /// Numbers of pages and tasks held back.
    pub held: Held,
    /// The first week's step for the record.
    pub step: Option<Step>,
}

/// The result of an audit's own actions, after the pages and before the report.
pub struct Acted<D> {
    /// The outcome for the function's answer.
    pub done: D,
    /// Steps for the record.
    pub steps: Vec<Step>,
    /// Lines for the record, after those of the findings.
    pub lines: Vec<String>,
    /// Whether the channel gets a message even if no finding changed.
    pub has_news: bool,
}

/// Differences from the last run, for the message.
#[derive(Clone, Copy)]
pub struct News<'a> {
    /// Run id.
    pub run_id: &'a str,
    /// New and resolved findings.
    pub changes: &'a Changes,
    /// Whether the message lists every finding, as on Mondays.
    pub is_weekly: bool,
    /// Why the last run could not be read; the message then lists every finding.
    pub unread: Option<&'a Unread>,
    /// The first week, until it is over.
    pub quiet: Option<Quiet<'a>>,
}

impl News<'_> {
    /// The paragraphs about the findings: why the last run could not be read, the new ones in groups, and the keys of those
    /// that go on and of those that are resolved.
    pub fn paragraphs(&self, found: Vec<Item>, language: Language) -> Vec<String> {
        let lists_all = self.is_weekly || self.unread.is_some();
        let is_new = |item: &Item| lists_all || self.changes.new.contains(&item.key());
        let (new, unchanged): (Vec<_>, Vec<_>) = found.into_iter().partition(is_new);
        let mut all: Vec<_> = self.unread.iter().map(|unread| unread.text(language)).collect();
        all.extend(findings::groups(&new).iter().map(|group| group.text(language, "*")));
        let listed = |label: &str, keys: Vec<String>| {
            (!keys.is_empty()).then(|| format!("{label} {}.", findings::listed(keys, LISTED)))
        };
        let unchanged = unchanged.iter().map(Item::key).collect();
        all.extend(listed(language.pick("Continua:", "Unchanged:"), unchanged));
        let resolved = self.changes.resolved.iter().cloned().collect();
        all.extend(listed(language.pick("Resolvido:", "Resolved:"), resolved));
        all
    }
}

/// The result of a run.
pub struct Run<O, D> {
    /// Run id.
    pub run_id: String,
    /// `succeeded` or `failed`.
    pub result: &'static str,
    /// The findings of the check.
    pub outcome: O,
    /// The outcome of the audit's own actions.
    pub done: D,
    /// Dedup keys of the published pages.
    pub paged: Vec<String>,
}

/// An audit: its rules, actions and texts.
pub trait Audit {
    /// The findings of a check.
    type Outcome;
    /// The outcome of the audit's own actions.
    type Done;
    /// The cause of a failed run. A finding is not a failure.
    type Error: Failure;

    /// Time that pages and actions leave to the report.
    const REPORTING: Duration;

    /// Name of the failed step in the record of a run whose check failed.
    const CHECK: &'static str = "check";

    /// Whether the findings' lines have a verdict before the key.
    const HAS_VERDICTS: bool = false;

    /// Settings, evidence, channel and paging topic.
    fn base(&self) -> &Base;

    /// Whether the run tells the channel everything on Mondays, as a daily one does.
    fn is_daily(&self) -> bool {
        true
    }

    /// Reads and decides, in time to page, act and report. Also returns the steps for the record.
    ///
    /// # Errors
    ///
    /// The check failed; the run is reported as failed.
    fn check(
        &self,
        invocation: &Invocation,
    ) -> impl Future<Output = Result<(Self::Outcome, Vec<Step>), Self::Error>>;

    /// The record's subject.
    fn subject(&self) -> String;

    /// The findings for the record: key, `: `, sentence.
    fn lines(&self, outcome: &Self::Outcome, now: Timestamp) -> Vec<String>;

    /// The last run; by default, read from its record.
    fn before(&self, outcome: &Self::Outcome) -> impl Future<Output = Before> {
        let _ = outcome;
        self.base().reporter.before()
    }

    /// How the findings differ from the last run's lines. A finding that could not be checked again is not resolved.
    fn changes(&self, outcome: &Self::Outcome, last: &[String], keys: &BTreeSet<String>) -> Changes;

    /// Whether the run succeeds.
    fn passes(&self, outcome: &Self::Outcome) -> bool;

    /// Names the run. Runs with the same name have one message and one record.
    fn run_id(&self, day: &str, last: Option<&Last>, keys: &BTreeSet<String>) -> String {
        let _ = (last, keys);
        day.to_owned()
    }

    /// The pages.
    fn pages(
        &self,
        outcome: &Self::Outcome,
        before: &Before,
        week: Option<FirstWeek>,
        now: Timestamp,
    ) -> Paging;

    /// The audit's own actions after the pages: tasks, tables, files. Their failures are logged and counted, never
    /// returned.
    fn act(
        &self,
        outcome: &Self::Outcome,
        week: Option<FirstWeek>,
        invocation: &Invocation,
    ) -> impl Future<Output = Acted<Self::Done>>;

    /// Place of all findings, for the first week's message.
    fn place(&self, done: &Self::Done) -> String;

    /// The channel's message.
    fn summary(&self, outcome: &Self::Outcome, news: &News<'_>, done: &Self::Done, now: Timestamp)
    -> Message;

    /// The channel's message about a run whose check failed.
    fn failed(&self, run_id: &str, error: &Self::Error) -> Message {
        let settings = &self.base().settings;
        let what = settings.language.pick("A auditoria falhou", "The audit failed");
        let next = settings.language.pick("ver o log da função.", "see the function's log.");
        Message::failed(settings, what, &chain(error), next, run_id)
    }

    /// The audit's last action, after the record. Its failures are logged and counted, never returned.
    fn finish(
        &self,
        outcome: &Self::Outcome,
        done: &Self::Done,
        invocation: &Invocation,
    ) -> impl Future<Output = ()> {
        let _ = (outcome, done, invocation);
        std::future::ready(())
    }

    /// The failure of a run with this many unpublished pages.
    fn not_paged(count: usize) -> Self::Error;
}

/// Audits once. `trigger` names the run's cause for the record.
///
/// # Errors
///
/// The audit's own error if its check failed, after the failure is reported once a day for each cause; and
/// [`Audit::not_paged`] after the report of a run with unpublished pages.
pub async fn run<A: Audit>(
    audit: &A,
    trigger: &str,
    invocation: &Invocation,
) -> Result<Run<A::Outcome, A::Done>, A::Error> {
    let (base, now) = (audit.base(), invocation.now);
    let (settings, reporter) = (&base.settings, &base.reporter);
    let day = time::local_date(now);
    tracing::Span::current().record("run_id", day.as_str());
    let (outcome, mut steps) = match audit.check(invocation).await {
        Ok(checked) => checked,
        Err(error) => {
            report_failed(audit, trigger, &day, &error, invocation).await;
            return Err(error);
        }
    };
    let mut lines = audit.lines(&outcome, now);
    for line in &lines {
        let (verdict, finding) = findings::labels(line, A::HAS_VERDICTS);
        tracing::info!(message = line, verdict, finding);
    }
    let keys: BTreeSet<String> = lines.iter().map(|line| findings::key_of(line).to_owned()).collect();
    let before: Before = audit.before(&outcome).await;
    let run_id = audit.run_id(&day, before.as_ref().ok().and_then(Option::as_ref), &keys);
    tracing::Span::current().record("run_id", run_id.as_str());

    let week = FirstWeek::of(reporter.began().await, now);
    let Paging { pages, held, step } = audit.pages(&outcome, &before, week, now);
    steps.extend(step);
    let paged = base.pager.all(reporter, &day, pages, A::REPORTING, invocation).await;
    steps.extend(paged.steps);
    let acted = audit.act(&outcome, week, invocation).await;
    steps.extend(acted.steps);
    lines.extend(acted.lines);

    let begun = reporter.look(&run_id).await;
    let changes = match &before {
        Ok(last) => {
            let last = last.as_ref().map_or(&[][..], |last| &last.findings);
            audit.changes(&outcome, last, &keys)
        }
        Err(_) => Changes::default(),
    };
    let is_first = matches!(before, Ok(None)) || begun.was_left_open();
    let is_monday = now.to_zoned_datetime(time::SAO_PAULO).weekday() == Weekday::Monday;
    let is_weekly = week.is_none() && is_monday && audit.is_daily();
    let is_silent = changes == Changes::default()
        && (before.is_ok() || keys.is_empty())
        && !is_weekly
        && !acted.has_news
        && !begun.was_left_open();
    let place = audit.place(&acted.done);
    let news = News {
        run_id: &run_id,
        changes: &changes,
        is_weekly,
        unread: before.as_ref().err(),
        quiet: week.map(|week| Quiet {
            week,
            held,
            is_summary: week.is_summary(is_first, changes.new.len()),
            place: &place,
        }),
    };
    let message = (!is_silent).then(|| audit.summary(&outcome, &news, &acted.done, now));
    let result = if audit.passes(&outcome) { "succeeded" } else { "failed" };
    let draft = Draft {
        trigger: trigger.to_owned(),
        subject: audit.subject(),
        steps,
        findings: lines,
        ..Draft::of(settings, &run_id, result, now)
    };
    reporter.report(draft, message.as_ref(), begun, invocation).await;
    audit.finish(&outcome, &acted.done, invocation).await;
    if paged.failed > 0 {
        return Err(A::not_paged(paged.failed));
    }
    Ok(Run { run_id, result, outcome, done: acted.done, paged: paged.keys })
}

impl Last {
    /// Name of the document that [`Last::note`] writes.
    const NAME: &'static str = "last daily run";

    /// Reads what [`Last::note`] wrote.
    ///
    /// # Errors
    ///
    /// [`Unread`].
    pub async fn noted(documents: &Documents) -> Before {
        documents.get(Self::NAME).await.map_err(|error| Unread(chain(&error)))
    }

    /// Notes a run of [`run_id`] in a document, for an audit whose newest record may be that of a request.
    pub async fn note(documents: &Documents, day: &str, lines: Vec<String>) {
        let keys: BTreeSet<String> = lines.iter().map(|line| key_of(line).to_owned()).collect();
        let change = |last: &mut Self| {
            last.run_id = run_id(day, Some(&*last), &keys);
            last.findings.clone_from(&lines);
        };
        if let Err(error) = documents.update(Self::NAME, change).await {
            // The next run compares with an older one: it tells something again.
            tracing::warn!(message = format!("this run was not noted: {}", chain(&error)));
        }
    }
}

/// Id of a run that may have a record more than once a day, equal for all its retries: the day, and a hash of the last run and
/// the findings' keys.
///
/// An invocation on the same day with the same findings is the same run. After a repair, it is another run with its own
/// record.
pub fn run_id(day: &str, before: Option<&Last>, keys: &BTreeSet<String>) -> String {
    if let Some(before) = before.filter(|before| before.run_id.starts_with(&format!("{day}/"))) {
        let (recorded, more) = findings::recorded(&before.findings);
        let others = keys.iter().filter(|key| !recorded.contains(key.as_str())).count();
        if others == more && recorded.iter().all(|key| keys.contains(*key)) {
            return before.run_id.clone();
        }
    }
    let mut hash = Sha256::new();
    hash.update(before.map_or("", |before| before.run_id.as_str()));
    for key in keys {
        hash.update("\n");
        hash.update(key);
    }
    format!("{day}/{}", hex(hash.finalize().iter().take(4)))
}

/// Reports a failed check, once a day for each cause.
async fn report_failed<A: Audit>(
    audit: &A,
    trigger: &str,
    day: &str,
    error: &A::Error,
    invocation: &Invocation,
) {
    let (settings, reporter) = (&audit.base().settings, &audit.base().reporter);
    let run_id = format!("{day}/{}", error.fingerprint());
    let message = audit.failed(&run_id, error);
    let draft = Draft {
        trigger: trigger.to_owned(),
        subject: audit.subject(),
        steps: vec![Step::now(A::CHECK, format!("failed: {}", error.kind()))],
        findings: vec![format!("{}: {}", error.kind(), chain(error))],
        ..Draft::of(settings, &run_id, "failed", invocation.now)
    };
    reporter.report_once(draft, Some(&message), invocation).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn before(run_id: &str, findings: &[&str]) -> Last {
        Last { run_id: run_id.to_owned(), findings: findings.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn a_message_has_what_is_new_what_goes_on_and_what_is_resolved() {
        let item = |about: &str| Item {
            kind: "Late".to_owned(),
            about: about.to_owned(),
            sentence: "late".to_owned(),
            step: "hurry".to_owned(),
            pattern: "hurry".to_owned(),
        };
        let changes = Changes { new: keys(&["Late b"]), resolved: keys(&["Late c"]) };
        let told = |is_weekly, unread| {
            let news = News { run_id: "x", changes: &changes, is_weekly, unread, quiet: None };
            news.paragraphs(vec![item("a"), item("b")], Language::English)
        };
        let new = "*Late* `b`: late. Next step: hurry.";
        assert_eq!(told(false, None), [new, "Unchanged: Late a.", "Resolved: Late c."]);
        let all = "*Late* (2): late: `a`, `b`. Next step: hurry.";
        assert_eq!(told(true, None), [all, "Resolved: Late c."]);
        let unread = Unread("denied".to_owned());
        let text = unread.text(Language::English);
        assert_eq!(told(false, Some(&unread)), [text.as_str(), all, "Resolved: Late c."]);
    }

    #[test]
    fn the_same_findings_of_a_day_are_one_run_and_a_change_is_another() {
        let day = "2026-03-02";
        let (one, two) = (keys(&["Missing a b"]), keys(&["Missing a b", "NotInState c d"]));
        let first = run_id(day, None, &one);
        assert!(first.starts_with("2026-03-02/"), "{first}");
        assert_eq!(run_id(day, None, &one), first);
        let recorded = before(&first, &["Missing a b: text: more"]);
        assert_eq!(run_id(day, Some(&recorded), &one), first);
        let second = run_id(day, Some(&recorded), &two);
        assert_ne!(second, first);
        // The first findings again: another record, because the newest one has other findings.
        let changed = before(&second, &["Missing a b: x", "NotInState c d: y"]);
        let third = run_id(day, Some(&changed), &one);
        assert!(third != first && third != second);
        // A record that had no room for all of them.
        let cut = before(&first, &["Missing a b: text", "+1: not in this record, which would be too large"]);
        assert_eq!(run_id(day, Some(&cut), &two), first);
        for other in [
            &one,
            &keys(&["Missing a b", "NotInState c d", "NotInState e f"]),
            &keys(&["Late a b", "Late c d"]),
        ] {
            assert_ne!(run_id(day, Some(&cut), other), first, "{other:?}");
        }
        // The next day.
        let next = run_id("2026-03-03", Some(&recorded), &one);
        assert!(next.starts_with("2026-03-03/"), "{next}");
    }
}
