//! Report: the page about damage, the message, the record, and the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use shared::run::evidence::{Draft, Step};
use shared::run::report::Begun;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::time::local_date;

use crate::course::Tested;
use crate::event::{Run, Trigger};
use crate::rules::line::Verdict;
use crate::rules::progress::Progress;
use crate::{App, REPORTING, TestError, text};

/// The run's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Id of the record.
    pub run_id: String,
    /// Seed of the sample.
    pub seed: String,
    /// The worst verdict: `pass`, `unverified`, `not-finished` or `fail`; `already` if the run was reported before.
    pub verdict: &'static str,
    /// Number of attachments that the database lists.
    pub population: u64,
    /// Number of attachments in the sample.
    pub tested: usize,
    /// Number of lines of each check, by verdict.
    pub checks: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    /// What was found, one text per line that is not `pass`: check, object and kind.
    pub findings: Vec<String>,
}

impl Report {
    /// The answer for a run that is already reported.
    pub(crate) fn already(run: Run) -> Self {
        Self {
            run_id: run.id,
            seed: run.seed,
            verdict: "already",
            population: 0,
            tested: 0,
            checks: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    fn new(run: &Run, progress: &Progress) -> Self {
        let mut checks: BTreeMap<_, BTreeMap<_, usize>> = BTreeMap::new();
        for line in progress.lines() {
            *checks.entry(line.check.word()).or_default().entry(line.verdict().word()).or_default() += 1;
        }
        let open = progress.lines().filter(|line| line.verdict() != Verdict::Pass);
        Self {
            run_id: run.id.clone(),
            seed: progress.seed.clone(),
            verdict: progress.verdict().word(),
            population: progress.population,
            tested: progress.sample.len(),
            checks,
            findings: open
                .map(|line| format!("{} {} {}", line.check.word(), line.object, line.outcome.kind()))
                .collect(),
        }
    }
}

/// Pages damage, posts the result, and writes the record.
pub(crate) async fn report(
    app: &App,
    trigger: &Trigger,
    run: &Run,
    tested: Tested,
    begun: Begun,
    invocation: &Invocation,
) -> Result<Report, TestError> {
    let Tested { progress, swept, .. } = tested;
    let settings = &app.base.settings;
    let verdict = progress.verdict();
    tracing::info!(message = text::result(&progress, Language::English), verdict = verdict.word());
    let mut steps = vec![Step::now(text::result(&progress, Language::English), verdict.word())];
    let mut unpaged = false;
    if verdict == Verdict::Fail {
        let page = text::page(settings, &app.attachments.name, &progress);
        // Once for a run: a person's second run of the day may find other damage.
        let (pager, reporter) = (&app.base.pager, &app.base.reporter);
        let paged = pager.page(reporter, &run.id, &page, REPORTING / 4, invocation).await;
        unpaged = paged.is_err();
        let outcome = paged.map_or_else(|reason| format!("failed: {reason}"), |_| "succeeded".to_owned());
        steps.push(Step::now(format!("page {}", page.dedup_key), outcome));
    }
    steps.extend(progress.lines().map(|line| {
        let name = format!("{} {}", line.check.word(), line.object);
        Step::now(
            name,
            format!("{}: {}", line.verdict().word(), text::sentence(&line.outcome, Language::English)),
        )
    }));
    let mut findings: Vec<_> =
        progress.lines().filter(|line| line.verdict() != Verdict::Pass).map(text::line).collect();
    findings.extend(text::notes(&progress, Language::English));
    findings.extend(swept.as_ref().err().map(|error| chain(error)));
    let result = if verdict == Verdict::Pass { "succeeded" } else { "failed" };
    let draft = Draft { steps, findings, ..draft(app, trigger, &run.id, result, invocation) };
    let left = swept.as_ref().err().map(|error| text::left(settings, error));
    let message = text::summary(settings, &run.id, &progress, left);
    app.base.reporter.report(draft, Some(&message), begun, invocation).await;
    if unpaged {
        return Err(TestError::PageFailed);
    }
    swept?;
    Ok(Report::new(run, &progress))
}

/// Pages the damage of a run that is not finished. The run's end pages what it found then.
pub(crate) async fn page_early(app: &App, run: &Run, progress: &Progress, invocation: &Invocation) {
    if progress.lines().all(|line| line.verdict() != Verdict::Fail) {
        return;
    }
    let page = text::page(&app.base.settings, &app.attachments.name, progress);
    let attempt = format!("{}/attempt-{}", run.id, progress.attempts);
    let (pager, reporter) = (&app.base.pager, &app.base.reporter);
    // The log has the whole page if it could not be published, and its alarm tells.
    let _ = pager.page(reporter, &attempt, &page, Duration::from_secs(5), invocation).await;
}

/// Reports and records a failed run, once a day for each cause.
pub(crate) async fn report_failed(
    app: &App,
    trigger: &Trigger,
    run: &Run,
    error: &TestError,
    invocation: &Invocation,
) {
    let settings = &app.base.settings;
    let run_id = format!("{}/{}", local_date(invocation.now), error.fingerprint());
    let message = text::failed(settings, &run_id, error);
    let draft = Draft {
        steps: vec![Step::now(
            format!("test the attachments of run {}", run.id),
            format!("failed: {}", error.kind()),
        )],
        findings: vec![format!("{}: {}", error.kind(), chain(error))],
        ..draft(app, trigger, &run_id, "failed", invocation)
    };
    app.base.reporter.report_once(draft, Some(&message), invocation).await;
}

/// The fields common to all records.
fn draft(app: &App, trigger: &Trigger, run_id: &str, result: &'static str, invocation: &Invocation) -> Draft {
    Draft {
        trigger: trigger.word().to_owned(),
        subject: format!("attachments in {}", app.attachments.name),
        ..Draft::of(&app.base.settings, run_id, result, invocation.now)
    }
}
