//! The end of a run: its reports in the evidence bucket, the channel's message, the record, and the function's answer.

use std::time::Duration;

use jiff::civil::Weekday;
use serde::Serialize;
use shared::audit::first_week::FirstWeek;
use shared::run::evidence::{Draft, Step};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::apply::Repaired;
use crate::error::AuditError;
use crate::findings::Outcome;
use crate::observe::Observed;
use crate::rules::finding::{Counts, Finding, KEPT};
use crate::{App, PROCEDURE, aws, text};

/// The function's answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an audit.
    Audit(Box<Report>),
    /// To a repair.
    Repair(Repaired),
}

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(crate) run_id: String,
    /// `succeeded` when everything could be read and no rule fails.
    pub(crate) result: &'static str,
    pub(crate) counts: Counts,
    /// Findings, the worst first; at most [`KEPT`].
    pub(crate) findings: Vec<Finding>,
    /// Number of findings that are new or worse than in the previous run.
    pub(crate) new: usize,
    /// Number of the previous run's findings that are resolved.
    pub(crate) resolved: usize,
    /// Keys of the reports in the evidence bucket; empty when they were not stored, and for one resource.
    pub(crate) reports: Vec<String>,
    /// Dedup keys of the pages.
    pub(crate) paged: Vec<String>,
    /// Outcome of each repair.
    pub(crate) repaired: Vec<String>,
}

/// Results of a run, for its message and its record.
pub(crate) struct Run<'a> {
    pub day: &'a str,
    pub observed: &'a Observed,
    pub result: &'static str,
    pub steps: Vec<Step>,
    /// Outcome of each repair.
    pub repairs: &'a [String],
    /// Keys of the stored reports, each with its SHA-256.
    pub stored: &'a [(String, String)],
    /// The first week, while it lasts.
    pub week: Option<FirstWeek>,
}

/// Stores the reports; returns their keys, each with its SHA-256. A failure to store does not fail the audit: the record and
/// the log still have the findings.
pub(crate) async fn store(app: &App, outcome: &Outcome, invocation: &Invocation) -> Vec<(String, String)> {
    let stamp = invocation.now.strftime("%Y%m%dT%H%M%S%.3fZ");
    let mut stored = Vec::new();
    for report in &outcome.reports {
        let key = format!("reports/{PROCEDURE}/{stamp}/{}", report.name);
        let put = aws::s3::store(&app.s3, &app.reporter.evidence.bucket, &key, report);
        let put = invocation.before_deadline(Duration::from_secs(20), put).await;
        match put.map_err(|late| chain(&late)).and_then(|put| put.map_err(|call| chain(&call))) {
            Ok(()) => stored.push((key, report.hex())),
            Err(reason) => app.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &key),
        }
    }
    stored
}

/// Posts new, worse, resolved and repaired findings, once a week all of them; writes the day's record.
pub(crate) async fn report(app: &App, run: Run<'_>, invocation: &Invocation) {
    let observed = run.observed;
    let earlier = app.reporter.look(run.day).await;
    let is_weekly =
        run.week.is_none() && invocation.now.to_zoned_datetime(time::SAO_PAULO).weekday() == Weekday::Monday;
    let bucket = &app.reporter.evidence.bucket;
    let folder = run
        .stored
        .first()
        .and_then(|(key, _)| key.rsplit_once('/'))
        .map(|(folder, _)| format!("s3://{bucket}/{folder}/"));
    let folder = folder.unwrap_or_else(|| {
        app.settings.language.pick("não guardados, ver o log", "not stored, see the log").to_owned()
    });
    let is_first = observed.is_first || earlier.was_left_open();
    let summary = text::Summary {
        run_id: run.day,
        outcome: &observed.outcome,
        is_weekly,
        repairs: run.repairs,
        reports: &folder,
        unread: observed.unread.as_ref(),
        week: run.week.map(|week| (week, week.is_summary(is_first, observed.outcome.new.count))),
    };
    let has_unknown = observed.unread.is_some() && observed.outcome.worst.count > 0;
    let is_silent = observed.outcome.new.count == 0
        && !has_unknown
        && observed.outcome.resolved_count == 0
        && run.repairs.is_empty()
        && !is_weekly
        && !earlier.was_left_open();
    let message = (!is_silent).then(|| text::summary(&app.settings, &summary));
    let mut lines: Vec<String> = observed.outcome.worst.findings.iter().map(text::line).collect();
    let more = observed.outcome.worst.count.saturating_sub(KEPT);
    if more > 0 {
        lines.push(format!("… and {more} more, in {folder}"));
    }
    let draft = Draft {
        steps: run.steps,
        findings: lines,
        ..app.draft(run.day, "daily audit", everything(app), run.result, invocation)
    };
    app.reporter.report(draft, message.as_ref(), earlier, invocation).await;
}

/// Posts and records, once a day for each cause, that the audit failed.
pub(crate) async fn failed(app: &App, day: &str, error: &AuditError, invocation: &Invocation) {
    let run_id = format!("{day}/{}", error.fingerprint());
    let message = text::failed(&app.settings, &run_id, error);
    let earlier = app.reporter.look(&run_id).await;
    let draft = Draft {
        steps: vec![Step::now("audit", format!("failed: {}", error.kind()))],
        findings: vec![format!("{}: {}", error.kind(), chain(error))],
        ..app.draft(&run_id, "daily audit", everything(app), "failed", invocation)
    };
    app.reporter.report(draft, Some(&message), earlier, invocation).await;
}

fn everything(app: &App) -> String {
    format!("backups of {}-{}", app.settings.project, app.settings.environment)
}
