//! The audit of everything, as the audits' course runs it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use shared::audit::course::{self, Acted, Audit, Before, News, Paging};
use shared::audit::findings::Changes;
use shared::audit::first_week::{self, FirstWeek, Held};
use shared::run::base::Base;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::error::AuditError;
use crate::observe::{Observed, observe};
use crate::previous::{Latest, save_latest};
use crate::report::{Answer, Report, store};
use crate::rules::finding::{Finding, KEPT};
use crate::{App, PROCEDURE, REPORTING, apply, page, text};

/// The repairs and the reports of a run.
pub struct Done {
    /// Outcome of each repair.
    repairs: Vec<String>,
    /// Keys of the stored reports, each with its SHA-256.
    stored: Vec<(String, String)>,
}

/// Audits everything of this environment.
///
/// # Errors
///
/// [`AuditError::File`] when a report could not be written; [`AuditError::PageFailed`].
pub(crate) async fn everything(app: &App, invocation: &Invocation) -> Result<Answer, AuditError> {
    let run = course::run(app, "daily audit", invocation).await?;
    let outcome = run.outcome.outcome;
    Ok(Answer::Audit(Box::new(Report {
        run_id: run.run_id,
        result: run.result,
        counts: outcome.counts,
        findings: outcome.worst.findings,
        new: outcome.new.count,
        resolved: outcome.resolved_count,
        reports: run.done.stored.into_iter().map(|(key, _)| key).collect(),
        paged: run.paged,
        repaired: run.done.repairs,
    })))
}

impl Audit for App {
    type Outcome = Observed;
    type Done = Done;
    type Error = AuditError;

    const REPORTING: Duration = REPORTING;
    const CHECK: &'static str = "audit";
    const HAS_VERDICTS: bool = true;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Observed, Vec<Step>), AuditError> {
        let observed = observe(self, &self.context(invocation.now), invocation).await?;
        let steps =
            observed.finished.iter().map(|line| Step::now("repair of an earlier run", line)).collect();
        Ok((observed, steps))
    }

    fn subject(&self) -> String {
        format!("backups of {}-{}", self.base.settings.project, self.base.settings.environment)
    }

    fn lines(&self, observed: &Observed, _: Timestamp) -> Vec<String> {
        self.recorded(&observed.outcome)
    }

    async fn before(&self, observed: &Observed) -> Before {
        observed.before.clone()
    }

    /// Keys of at most the worst changes: the check has compared all findings with the previous run's report. The
    /// lines' keys begin with the verdict, so they are not comparable with these.
    fn changes(&self, Observed { outcome, .. }: &Observed, _: &[String], _: &BTreeSet<String>) -> Changes {
        Changes {
            new: outcome.new.findings.iter().map(Finding::key).collect(),
            resolved: outcome.resolved.iter().cloned().collect(),
        }
    }

    fn passes(&self, Observed { outcome, .. }: &Observed) -> bool {
        outcome.counts.fail == 0 && outcome.counts.unknown == 0
    }

    fn pages(&self, observed: &Observed, _: &Before, week: Option<FirstWeek>, _: Timestamp) -> Paging {
        let mut pages = page::pages(self, &observed.outcome, &observed.unreadable);
        let step = week.map(|FirstWeek { until, .. }| {
            let count = pages.len();
            Step::now("first week", format!("until {until}: {count} critical causes in one page"))
        });
        if week.is_some() {
            let settings = &self.base.settings;
            pages = first_week::one_page(PROCEDURE, &settings.environment, pages, settings.language);
        }
        // All pages are critical or about an unreadable service: none is held back.
        Paging { pages, held: Held::default(), step }
    }

    async fn act(&self, observed: &Observed, _: Option<FirstWeek>, invocation: &Invocation) -> Acted<Done> {
        let outcome = &observed.outcome;
        let context = self.context(invocation.now);
        let repaired = apply::allowed(self, &context, &outcome.repairable, invocation).await;
        let mut steps: Vec<Step> = repaired.iter().map(|line| Step::now("repair", line)).collect();
        let stored = store(self, outcome, invocation).await;
        let reports = stored.iter();
        steps.extend(
            reports.map(|(key, sha256)| Step::now(format!("store {key}"), format!("SHA-256 {sha256}"))),
        );
        let done = Done { repairs: [observed.finished.as_slice(), &repaired].concat(), stored };
        let more = outcome.worst.count.saturating_sub(KEPT);
        let more = (more > 0).then(|| format!("… and {more} more, in {}", self.place(&done)));
        Acted { has_news: !done.repairs.is_empty(), lines: more.into_iter().collect(), steps, done }
    }

    fn place(&self, done: &Done) -> String {
        match done.stored.first().and_then(|(key, _)| key.rsplit_once('/')) {
            Some((folder, _)) => format!("s3://{}/{folder}/", self.base.reporter.documents.bucket),
            None => {
                let language = self.base.settings.language;
                language.pick("não guardados, ver o log", "not stored, see the log").to_owned()
            }
        }
    }

    fn summary(&self, observed: &Observed, news: &News<'_>, done: &Done, _: Timestamp) -> Message {
        text::summary(&self.base.settings, &observed.outcome, news, &done.repairs, &self.place(done))
    }

    fn failed(&self, run_id: &str, error: &AuditError) -> Message {
        text::failed(&self.base.settings, run_id, error)
    }

    async fn finish(&self, observed: &Observed, done: &Done, invocation: &Invocation) {
        let findings = done.stored.iter().find(|(key, _)| key.ends_with("findings.jsonl"));
        if let Some((key, _)) = findings.filter(|_| observed.is_compared) {
            let run_id = time::local_date(invocation.now);
            save_latest(self, &Latest { run_id, findings: key.clone() }).await;
        }
    }

    fn not_paged(count: usize) -> AuditError {
        AuditError::PageFailed(count)
    }
}
