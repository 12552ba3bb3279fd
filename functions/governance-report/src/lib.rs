//! Makes the governance page: every control of the guide with its last evidence, its figure, its state and its owner.
//!
//! Trigger: a daily schedule; new evidence, through a queue that collects for minutes; a person. `shared::audit::course` is the
//! course of a run: it verifies the chains of records (`chains.rs`) and reads the other documents (`look.rs`), decides
//! (`rules/`), pages what nobody else would, writes the page (`publish.rs`, `text/`), sends mail and sheet (`send.rs`), and
//! reports. Source: the guide as a whole.
//!
//! What was not read, or not verified, is unknown on the page, and never good.

mod anchors;
mod aws;
mod chains;
mod error;
mod event;
mod look;
mod publish;
mod rules;
mod send;
mod text;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::audit::course::{self, Acted, Audit, Before, Last, News, Paging};
use shared::audit::findings::{Changes, changes};
use shared::audit::first_week::{FirstWeek, Held};
use shared::aws::scope::Scope;
use shared::github::Repository;
use shared::run::anchors::{Copied, Place};
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::chain as causes;
use shared::runtime::lambda::{self, Invocation};
use shared::runtime::language::Language;

use anchors::{Anchoring, Copy, SETUP};
use chains::{INDEX, Index};
pub use error::ReportError;
use event::Event;
use look::{Looked, look};
use rules::state::unanchored;
use rules::view::{Figure, State};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "governance-report";

/// Time reserved for pages, the page and the report.
const ACTING: Duration = Duration::from_secs(150);

/// Time reserved for the report, which reads the evidence first.
const REPORTING: Duration = Duration::from_secs(45);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    region: String,
    cloudwatch: aws_sdk_cloudwatch::Client,
    lambda: aws_sdk_lambda::Client,
    secrets: aws_sdk_secretsmanager::Client,
    ses: aws_sdk_sesv2::Client,
    http: Result<reqwest::Client, String>,
    /// The second place of the chains' heads; none if the stack has none.
    anchoring: Option<Anchoring>,
    /// Evidence buckets of other environments.
    others: Vec<String>,
    mailing: Option<Mailing>,
    /// Whether the stack's pager has a daily drill.
    has_drill: bool,
    /// Name of the secret with the address of the team's drive.
    sheet_secret: Option<String>,
    /// The secrets that the template names.
    scope: Scope,
}

/// Sender and receiver of the month's mail.
struct Mailing {
    from: String,
    to: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`] and [`Scope`], `SES_REGION`, and `MANAGER_EMAIL`,
    /// `SHEET_WEBHOOK_SECRET_NAME`, `OTHER_EVIDENCE_BUCKETS`, `SYNTHETIC_HOUR`, `ANCHOR_BUCKET` and `ANCHOR_FOLDER`, which may be
    /// empty. With a manager, `SES_FROM_ADDRESS` is needed; with a folder `GITHUB_REPOSITORY`, `GITHUB_SECRET_NAME` and `GITHUB_API_URL`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let patient = lambda::patient(aws);
        let to: Option<String> = env.optional("MANAGER_EMAIL")?;
        let mailing = match to {
            None => None,
            Some(to) => Some(Mailing { from: env.required("SES_FROM_ADDRESS")?, to }),
        };
        let mail_region: String = env.required("SES_REGION")?;
        let ses = aws_sdk_sesv2::config::Builder::from(aws);
        let ses = ses.region(aws_sdk_sesv2::config::Region::new(mail_region)).build();
        let drill_hour: Option<u8> = env.optional("SYNTHETIC_HOUR")?;
        let others: Option<String> = env.optional("OTHER_EVIDENCE_BUCKETS")?;
        let others = others.unwrap_or_default();
        let others = others.split(',').map(str::trim).filter(|bucket| !bucket.is_empty());
        let base = Base::of_audit(PROCEDURE, env, aws)?;
        let place = env.optional("ANCHOR_BUCKET")?;
        let place = place.map(|bucket| Place::new(bucket, &base.settings, &base.reporter.documents));
        let anchoring = match place {
            None => None,
            Some(place) => Some(Anchoring { copy: copy(env, &place)?, place }),
        };
        Ok(Self {
            base,
            anchoring,
            region: aws.region().map(ToString::to_string).unwrap_or_default(),
            cloudwatch: shared::patient!(aws_sdk_cloudwatch, &patient),
            lambda: shared::patient!(aws_sdk_lambda, &patient),
            secrets: shared::patient!(aws_sdk_secretsmanager, &patient),
            ses: aws_sdk_sesv2::Client::from_conf(ses),
            http: send::client(),
            others: others.map(str::to_owned).collect(),
            mailing,
            has_drill: drill_hour.is_some(),
            sheet_secret: env.optional("SHEET_WEBHOOK_SECRET_NAME")?,
            scope: Scope::from_env(env)?,
        })
    }

    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }
}

/// The anchors' copy in the repository; none without a folder.
fn copy(env: &Env<'_>, place: &Place) -> Result<Option<Copy>, EnvError> {
    let folder: Option<String> = env.optional("ANCHOR_FOLDER")?;
    let Some(folder) = folder else { return Ok(None) };
    let api: Endpoint = env.required("GITHUB_API_URL")?;
    let repository = Repository::new(api, env.required("GITHUB_REPOSITORY")?, SETUP)
        .map_err(|reason| EnvError::Invalid { name: "GITHUB_API_URL", reason })?;
    let copied = Copied::new(&folder, &place.stack);
    Ok(Some(Copy { repository, token: env.required("GITHUB_SECRET_NAME")?, copied }))
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day in São Paulo, with a hash of the findings.
    pub run_id: String,
    /// `succeeded` if every control is proved whose case arose, no evidence is damaged, and the page was written.
    pub result: &'static str,
    /// Number of controls by state.
    pub states: Vec<(&'static str, usize)>,
    /// Key of the page; empty if it could not be written.
    pub page: String,
    /// Findings, the worst first.
    pub findings: Vec<String>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// A run, and why it was started.
struct Course<'a> {
    app: &'a App,
    event: Event,
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`ReportError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), ReportError> {
    Event::read(event)?;
    Ok(())
}

/// Renders a stored `controls.json` as `index.html`, also in another language than the stack's.
///
/// # Errors
///
/// Why the text is no such document.
pub fn render(controls: &str, language: Language) -> Result<String, serde_json::Error> {
    Ok(text::page::page(&serde_json::from_str(controls)?, language))
}

/// The controls that are judged by a part of an audit's findings to which this rule or kind belongs, about a bucket in this role
/// if it is about a bucket.
pub fn controls_of(procedure: &str, rule: &str, role: Option<&str>) -> Vec<&'static str> {
    rules::control::of_rule(procedure, rule, role)
}

/// Makes the page once.
///
/// # Errors
///
/// [`ReportError`]; Lambda tries an asynchronous event twice more, and a queue's message again, before they go to the dead-letter
/// queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Report, ReportError> {
    let event = Event::read(event)?;
    let course = Course { app, event };
    let run = Box::pin(course::run(&course, event.trigger(), invocation)).await?;
    if let Some(error) = run.done.unwritten {
        return Err(error);
    }
    let view = &run.outcome.view;
    Ok(Report {
        run_id: run.run_id,
        result: run.result,
        states: State::ALL.map(|state| (state.name(), view.count(state))).to_vec(),
        page: format!("s3://{}/report/index.html", app.documents().bucket),
        findings: text::finding::found(view).iter().map(text::finding::Found::key).collect(),
        paged: run.paged,
    })
}

/// What a run did.
#[derive(Default)]
struct Done {
    unwritten: Option<ReportError>,
}

impl Audit for Course<'_> {
    type Outcome = Looked;
    type Done = Done;
    type Error = ReportError;

    const REPORTING: Duration = REPORTING;

    fn base(&self) -> &Base {
        &self.app.base
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Looked, Vec<Step>), ReportError> {
        let mut index: Index = match self.app.documents().get(INDEX).await {
            Ok(index) => index.unwrap_or_default(),
            Err(error) => {
                // Everything is read again.
                tracing::warn!(message = format!("the checkpoints were not read: {}", causes(&error)));
                Index::default()
            }
        };
        index.adopt();
        let work = look(self.app, &index, self.event == Event::Full, invocation);
        let looked = invocation.before_deadline(ACTING, Box::pin(work)).await?;
        let chains = &looked.view.chains;
        let records: u64 = chains.iter().map(|chain| chain.records).sum();
        let step = format!("verify {records} records in {} chains", chains.len());
        let late = looked.known.iter().filter_map(|(procedure, known)| {
            let sequence = |head: &Option<chain::Head>| head.as_ref().map_or(0, |head| head.sequence);
            let read = sequence(&known.again.as_ref()?.head);
            let outcome = format!("{read} of {} records, then the time was over", sequence(&known.head));
            Some(Step::now(format!("verify all records of {procedure}"), outcome))
        });
        let late: Vec<Step> = late.collect();
        // The metrics that prove it are gone after some time; this record stays.
        let drill = looked.view.controls.iter().find(|row| row.id == "incident-page");
        let drill = drill.map(|row| match row.figure {
            Some(Figure::Drill(at)) => format!("{}, came back at {at}", row.state.name()),
            _ => row.state.name().to_owned(),
        });
        let drill = drill.map(|outcome| Step::now("the pager's daily drill", outcome));
        Ok((looked, std::iter::once(Step::now(step, "succeeded")).chain(late).chain(drill).collect()))
    }

    fn subject(&self) -> String {
        format!("controls of {}-{}", self.app.base.settings.project, self.app.base.settings.environment)
    }

    fn lines(&self, looked: &Looked, _: Timestamp) -> Vec<String> {
        text::finding::found(&looked.view).iter().map(text::finding::Found::line).collect()
    }

    fn changes(&self, looked: &Looked, last: &[String], keys: &BTreeSet<String>) -> Changes {
        changes(last, keys, |key| text::finding::is_unseen(&looked.view, key))
    }

    fn passes(&self, looked: &Looked) -> bool {
        text::finding::found(&looked.view).is_empty() && !looked.is_unwritten.load(Ordering::Relaxed)
    }

    fn run_id(&self, day: &str, last: Option<&Last>, keys: &BTreeSet<String>) -> String {
        course::run_id(day, last, keys)
    }

    fn pages(&self, looked: &Looked, _: &Before, week: Option<FirstWeek>, _: Timestamp) -> Paging {
        // In the first week most procedures have not run yet.
        let all = text::finding::pages(&self.app.base.settings, &looked.view);
        let (pages, held): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|page| week.is_none() || page.kind == "EvidenceDamaged");
        let held = Held { pages: held.len(), tasks: 0 };
        Paging { pages, held, step: week.map(|week| week.step(held)) }
    }

    async fn act(&self, looked: &Looked, _: Option<FirstWeek>, invocation: &Invocation) -> Acted<Done> {
        let mut acted =
            Acted { done: Done::default(), steps: Vec::new(), lines: Vec::new(), has_news: false };
        let work = Box::pin(act(self, looked, &mut acted.steps, invocation));
        let written = invocation.before_deadline(REPORTING, work).await.map_err(ReportError::from);
        let written = written.and_then(|written| written);
        let outcome = written
            .as_ref()
            .map_or_else(|error| format!("failed: {}", causes(error)), |()| "succeeded".to_owned());
        acted.steps.push(Step::now("write the page", outcome));
        looked.is_unwritten.fetch_or(written.is_err(), Ordering::Relaxed);
        acted.done.unwritten = written.err();
        acted
    }

    fn place(&self, _: &Done) -> String {
        format!("s3://{}/report/index.html", self.app.documents().bucket)
    }

    fn summary(&self, looked: &Looked, news: &News<'_>, _: &Done, _: Timestamp) -> Message {
        text::finding::summary(&self.app.base.settings, &looked.view, news)
    }

    fn failed(&self, run_id: &str, error: &ReportError) -> Message {
        let settings = &self.app.base.settings;
        let what = settings.language.pick("A página de governança falhou", "The governance page failed");
        Message::failed(settings, what, &causes(error), error.next_step(settings.language), run_id)
    }

    fn not_paged(count: usize) -> ReportError {
        ReportError::PageFailed(count)
    }
}

/// Keeps the heads and what the next run needs, writes the page, and sends. None of them waits for the success of another.
async fn act(
    course: &Course<'_>,
    looked: &Looked,
    steps: &mut Vec<Step>,
    invocation: &Invocation,
) -> Result<(), ReportError> {
    let (app, now) = (course.app, invocation.now);
    let documents = app.documents();
    let kept = anchors::keep(app, looked, now, invocation).await;
    steps.extend(kept.steps);
    let mut view = looked.view.clone();
    if let Some(why) = kept.failed {
        looked.is_unwritten.store(true, Ordering::Relaxed);
        view.anchors_unread.push(why);
        unanchored(&mut view.controls);
    }
    if let Some(newest) = &kept.newest {
        for chain in &mut view.chains {
            let named = newest.anchor.heads.get(&chain.procedure);
            chain.anchored = named.is_some_and(|head| head.sha256 == chain.sha256);
        }
    }
    let anchored =
        kept.newest.zip(app.anchoring.as_ref()).map(|(newest, anchoring)| anchoring.known(&newest));
    // After the anchors, because one must name each checkpoint; before the rest, so that a run that times out keeps its faults.
    let noted = publish::keep(documents, looked, anchored.as_ref(), now).await;
    let published = publish::publish(documents, &view, app.base.settings.language).await;
    let replaced = published.as_ref().ok().and_then(|published| published.replaced.as_ref());
    if let Some(error) = replaced {
        let lost = "since when each state has been shown, and the feed's entries";
        app.base.reporter.lost("EvidenceFailures", "PageReplaced", &causes(error), lost);
    }
    let shown = published.as_ref().map_or(&view, |published| &published.view);
    if course.event == Event::Daily {
        steps.extend(send::to_manager(app, shown, now).await);
    }
    steps.extend(send::to_drive(app, shown).await);
    noted?;
    published?;
    Ok(())
}
