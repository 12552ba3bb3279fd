//! An export in the audits' course. Its pages do not wait for the end of a first week: they are about a backup that this product
//! itself has made.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::audit::course::{Acted, Audit, Before, Last, News, Paging};
use shared::audit::findings::{Changes, changes};
use shared::audit::first_week::{FirstWeek, Held};
use shared::run::base::Base;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::run::report::Unread;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::error::ExportError;
use crate::event::Event;
use crate::export::{Exported, export};
use crate::rules::finding::Finding;
use crate::{App, PROCEDURE, text};

/// Time reserved for pages and the report, which reads the evidence first.
pub(crate) const REPORTING: Duration = Duration::from_secs(45);

/// Name of the document about the last run: the newest record may be that of a failed one.
const LAST: &str = "last run";

/// The findings of the last run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Noted {
    run_id: String,
    findings: Vec<String>,
}

/// One run.
pub(crate) struct Run<'a> {
    pub app: &'a App,
    pub event: Event,
    /// What tells this run from another one of the same day: for a release the export, for a person the second.
    made: OnceLock<String>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(app: &'a App, event: Event) -> Self {
        Self { app, event, made: OnceLock::new() }
    }

    fn id(&self, day: &str) -> String {
        let made = self.made.get().map(String::as_str).unwrap_or_default();
        match &self.event.release {
            Some(release) => format!("{day}/release/{release}/{made}"),
            None if self.event.accept_shrunk => format!("{day}/accepted-{made}"),
            None if self.event.check => format!("{day}/check/{made}"),
            None => day.to_owned(),
        }
    }
}

impl Audit for Run<'_> {
    type Outcome = Exported;
    type Done = ();
    type Error = ExportError;

    const REPORTING: Duration = REPORTING;
    const CHECK: &'static str = "export";

    fn base(&self) -> &Base {
        &self.app.base
    }

    fn is_daily(&self) -> bool {
        self.event == Event::default()
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Exported, Vec<Step>), ExportError> {
        let (exported, steps) = Box::pin(export(self.app, &self.event, invocation)).await?;
        let made = match self.event.release {
            Some(_) => exported.report.sha256.chars().take(12).collect(),
            None => invocation.now.as_second().to_string(),
        };
        self.made.get_or_init(|| made);
        Ok((exported, steps))
    }

    fn subject(&self) -> String {
        let grafana = self.app.grafana.as_ref().map(|(grafana, _)| grafana.address().to_string());
        format!("Grafana {}", grafana.unwrap_or_default())
    }

    fn lines(&self, exported: &Exported, _: Timestamp) -> Vec<String> {
        exported.findings.iter().map(text::finding::line).collect()
    }

    async fn before(&self, _: &Exported) -> Before {
        match self.app.documents().get::<Noted>(LAST).await {
            Ok(last) => Ok(last.map(|Noted { run_id, findings }| Last { run_id, findings })),
            Err(error) => Err(Unread(chain(&error))),
        }
    }

    fn changes(&self, exported: &Exported, last: &[String], keys: &BTreeSet<String>) -> Changes {
        // A check that was not made again, or not of every object, settles nothing that the last one found.
        let is_unchecked =
            exported.findings.iter().any(|finding| matches!(finding, Finding::CheckNotMade { .. }));
        changes(last, keys, |key| is_unchecked && key.starts_with("CheckFailed "))
    }

    fn passes(&self, exported: &Exported) -> bool {
        !exported.findings.iter().any(Finding::fails)
    }

    fn run_id(&self, day: &str, _: Option<&Last>, _: &BTreeSet<String>) -> String {
        self.id(day)
    }

    fn pages(&self, exported: &Exported, _: &Before, _: Option<FirstWeek>, _: Timestamp) -> Paging {
        let pages = text::finding::page(&self.app.base.settings, &exported.findings);
        Paging { pages: pages.into_iter().collect(), held: Held::default(), step: None }
    }

    async fn act(&self, exported: &Exported, _: Option<FirstWeek>, _: &Invocation) -> Acted<()> {
        Acted { done: (), steps: Vec::new(), lines: Vec::new(), has_news: exported.is_proposed }
    }

    fn place(&self, (): &()) -> String {
        format!("s3://{}/evidence/{PROCEDURE}/", self.app.documents().bucket)
    }

    fn summary(&self, exported: &Exported, news: &News<'_>, (): &(), _: Timestamp) -> Message {
        text::summary::summary(&self.app.base.settings, exported, news)
    }

    fn failed(&self, run_id: &str, error: &ExportError) -> Message {
        text::summary::failed(&self.app.base.settings, run_id, error)
    }

    async fn finish(&self, exported: &Exported, (): &(), invocation: &Invocation) {
        let day = shared::runtime::time::local_date(invocation.now);
        let noted = Noted { run_id: self.id(&day), findings: self.lines(exported, invocation.now) };
        if let Err(error) = self.app.documents().update(LAST, |last| noted.clone_into(last)).await {
            // The next run compares with an older one: it tells something again.
            tracing::warn!(message = format!("this run was not noted: {}", chain(&error)));
        }
    }

    fn not_paged(count: usize) -> ExportError {
        ExportError::PageFailed(count)
    }
}
