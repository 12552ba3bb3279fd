//! Answers every day: is what must be backed up backed up as the guide says?
//!
//! Trigger: a schedule; or a person, for one resource or for a repair (`event.rs`). Reads: `aws/`, piece by piece (`sweep.rs`),
//! and once for many databases (`around.rs`).
//! Decisions: `rules/`, and `repair.rs` for what mends. `findings.rs` collects the verdicts in files and compares them with the
//! run before. Then it pages (SNS), repairs what the stack allows, tells the channel what changed and writes the day's evidence.
//! What could not be read is neither in order nor failing, and a run with such a part is not green.
//! Source: the guide, 1, 2.1, 2.2 and 2.3, and section 7 of the application's facts.

mod apply;
mod around;
mod aws;
mod error;
mod event;
mod facts;
mod findings;
mod repair;
mod rules;
mod sweep;
mod text;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::audit::first_week::{self, FirstWeek};
use shared::run::evidence::{Draft, Step};
use shared::run::paging::{Page, Pager};
use shared::run::report::{Reporter, Unread};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::{Invocation, patient};
use shared::runtime::settings::Settings;
use shared::runtime::time;

pub use error::AuditError;
use event::Event;
use facts::Lock;
use findings::{Counts, Finding, Findings, KEPT, Outcome, Place, Worst};
use rules::Context;
use sweep::{Progress, Sweep};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "backup-audit";

/// Time kept back from reading, for pages, repairs, reports and record.
const ACTING: Duration = Duration::from_secs(150);

/// Time kept back from pages and repairs, for reports and record.
const REPORTING: Duration = Duration::from_secs(60);

/// Name of the note that says where the newest reports lie.
const LATEST: &str = "latest";

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    settings: Settings,
    rds: aws_sdk_rds::Client,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    ecs: aws_sdk_ecs::Client,
    iam: aws_sdk_iam::Client,
    control: aws_sdk_cloudcontrol::Client,
    s3_control: aws_sdk_s3control::Client,
    pager: Pager,
    reporter: Reporter,
    names: Names,
    place: Place,
    cluster: String,
    /// What the stack gives the evidence bucket.
    evidence_lock: Lock,
    /// ARN of the application's key, if it is told.
    key: Option<String>,
    /// Rules whose repairs the stack allows.
    repairs: Vec<String>,
}

/// What this environment's resources are called.
struct Names {
    project: String,
    environment: String,
    /// What the names of this environment's resources begin with.
    beginning: String,
    database: String,
    attachments: String,
    uploads: String,
    /// Object that the on-prem synchronisation writes at its end; without it the newest upload counts.
    marker: String,
    state: String,
    lock_table: String,
    grafana: String,
    /// The stack's procedures.
    procedures: Vec<String>,
}

impl Names {
    /// Whether a database is this environment's by its name.
    fn is_named(&self, name: &str) -> bool {
        name == self.database || name.starts_with(&self.beginning)
    }

    /// Whether a database, or a snapshot of one, is this environment's: by its name or by its tags.
    fn owns(&self, name: &str, tags: &BTreeMap<String, String>) -> bool {
        let tagged = |key: &str, value: &str| tags.get(key).is_some_and(|tag| tag == value);
        self.is_named(name) || (tagged("Project", &self.project) && tagged("Environment", &self.environment))
    }

    /// Whether a cluster is this environment's by its name: its instances are named after it, so that it may have the
    /// environment's beginning alone.
    fn is_cluster(&self, name: &str) -> bool {
        self.is_named(name) || name == format!("{}-{}", self.project, self.environment)
    }

    /// Whether a cluster is this environment's: by its name, its tags, or a member that has the name.
    fn owns_cluster(&self, name: &str, tags: &BTreeMap<String, String>, members: &[String]) -> bool {
        self.is_cluster(name) || self.owns(name, tags) || members.iter().any(|member| self.is_named(member))
    }

    /// Whether an alarm is one that somebody has made for an application: not of this product's functions, in whichever
    /// environment of the account, and not of autoscaling, which makes its own and tells nobody.
    fn is_anothers_alarm(&self, name: &str) -> bool {
        let is_ours = name.starts_with(&format!("{}-", self.project))
            && self.procedures.iter().any(|procedure| name.contains(&format!("-{procedure}-")));
        !is_ours && !name.starts_with("TargetTracking-")
    }

    /// Two settings that name the same bucket: it would be held to the rules of one of them only.
    fn twice(&self, evidence: &str) -> Option<(&'static str, &'static str)> {
        let by_name = format!("{}uploads", self.beginning);
        let uploads = if self.uploads.is_empty() { &by_name } else { &self.uploads };
        let named = [
            ("EVIDENCE_BUCKET", evidence),
            ("ATTACHMENTS_BUCKET", &self.attachments),
            ("UPLOADS_BUCKET", uploads),
            ("TERRAFORM_STATE_BUCKET", &self.state),
            ("GRAFANA_BUCKET", &self.grafana),
        ];
        let mut seen = BTreeMap::new();
        named
            .into_iter()
            .filter(|(_, bucket)| !bucket.is_empty())
            .find_map(|(setting, bucket)| seen.insert(bucket, setting).map(|first| (first, setting)))
    }
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`] and [`Pager`], `DATABASE_INSTANCE_ID`,
    /// `ECS_CLUSTER_NAME`, `ACCOUNT_ID`, `UPLOADS_MARKER`, `EVIDENCE_LOCK_MODE`, `EVIDENCE_LOCK_DAYS` and
    /// `OWN_PROCEDURES`; and, which may be empty, `ATTACHMENTS_BUCKET` (else by its name's convention),
    /// `UPLOADS_BUCKET`, `TERRAFORM_STATE_BUCKET`, `TERRAFORM_LOCK_TABLE`, `GRAFANA_BUCKET`, `APP_KMS_KEY_ARN` and
    /// `BACKUP_REPAIRS`, rules with commas between them.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let beginning = format!("{}-{}-", settings.project, settings.environment);
        let optional = |name| env.optional(name).map(Option::<String>::unwrap_or_default);
        let attachments: Option<String> = env.optional("ATTACHMENTS_BUCKET")?;
        let patient = patient(aws);
        let procedures: String = env.required("OWN_PROCEDURES")?;
        let names = Names {
            project: settings.project.clone(),
            environment: settings.environment.clone(),
            database: env.required("DATABASE_INSTANCE_ID")?,
            attachments: attachments.unwrap_or_else(|| format!("{beginning}attachments")),
            uploads: optional("UPLOADS_BUCKET")?,
            marker: env.required("UPLOADS_MARKER")?,
            state: optional("TERRAFORM_STATE_BUCKET")?,
            lock_table: optional("TERRAFORM_LOCK_TABLE")?,
            grafana: optional("GRAFANA_BUCKET")?,
            procedures: words(&procedures),
            beginning,
        };
        let repairs = words(&optional("BACKUP_REPAIRS")?);
        if let Some(unknown) = repairs.iter().find(|rule| !repair::REPAIRS.contains(&rule.as_str())) {
            let reason =
                format!("{unknown} has no repair; those that have one: {}", repair::REPAIRS.join(", "));
            return Err(EnvError::Invalid { name: "BACKUP_REPAIRS", reason });
        }
        let reporter = Reporter::of_audit(PROCEDURE, &settings, env, aws)?;
        if let Some((first, name)) = names.twice(&reporter.evidence.bucket) {
            let reason = format!("the bucket is that of {first} too; each has rules of its own");
            return Err(EnvError::Invalid { name, reason });
        }
        Ok(Self {
            rds: shared::patient!(aws_sdk_rds, &patient),
            s3: shared::patient!(aws_sdk_s3, &patient),
            dynamodb: shared::patient!(aws_sdk_dynamodb, &patient),
            ecs: shared::patient!(aws_sdk_ecs, &patient),
            iam: shared::patient!(aws_sdk_iam, &patient),
            control: shared::patient!(aws_sdk_cloudcontrol, &patient),
            s3_control: aws::s3::control(&patient),
            pager: Pager::new(env, aws)?,
            reporter,
            place: Place {
                account: env.required("ACCOUNT_ID")?,
                region: aws.region().map(ToString::to_string).unwrap_or_default(),
                environment: settings.environment.clone(),
                version: settings.code_version.clone(),
            },
            cluster: env.required("ECS_CLUSTER_NAME")?,
            evidence_lock: Lock {
                mode: env.required("EVIDENCE_LOCK_MODE")?,
                days: env.required("EVIDENCE_LOCK_DAYS")?,
            },
            key: env.optional("APP_KMS_KEY_ARN")?,
            names,
            repairs,
            settings,
        })
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        let backups = &self.settings.policy.backups;
        Context {
            project: &self.settings.project,
            environment: &self.settings.environment,
            account: &self.place.account,
            policy: &backups.audit,
            retention_days: backups.retention_days.get(&self.settings.environment).copied(),
            noncurrent_days: backups.attachment_noncurrent_days,
            key: self.key.as_deref(),
            database: &self.names.database,
            cluster: &self.cluster,
            evidence_lock: &self.evidence_lock,
            attachments: &self.names.attachments,
            marker: &self.names.marker,
            now,
        }
    }

    /// What a record says of every run.
    fn draft(
        &self,
        run_id: &str,
        trigger: &str,
        subject: String,
        result: &'static str,
        invocation: &Invocation,
    ) -> Draft {
        let draft = Draft::of(&self.settings, run_id, result, invocation.now);
        Draft { trigger: trigger.to_owned(), subject, ..draft }
    }
}

/// What stands between commas.
fn words(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// The function's answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of an audit.
    Audit(Box<Report>),
    /// Of a repair.
    Repair(apply::Repaired),
}

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    run_id: String,
    /// `succeeded` when everything was seen and nothing fails.
    result: &'static str,
    counts: Counts,
    /// What fails or could not be verified; the worst first, and not more than the reports' reader takes.
    findings: Vec<Finding>,
    /// How many of the findings are new or worse, and how many of the run before are no more.
    new: usize,
    resolved: usize,
    /// Keys of the reports in the evidence bucket; empty when they were not stored, and for one resource.
    reports: Vec<String>,
    /// Keys of pages.
    paged: Vec<String>,
    /// What became of repairs.
    repaired: Vec<String>,
}

/// Where a run's reports lie.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Latest {
    run_id: String,
    /// Key of the report of findings.
    findings: String,
}

/// The ids of all rules.
pub fn rules() -> impl Iterator<Item = &'static str> {
    rules::all().map(|meta| meta.id)
}

/// Whether an event is one that the function takes.
///
/// # Errors
///
/// [`AuditError::InvalidEvent`].
pub fn check(event: Value) -> Result<(), AuditError> {
    Event::try_from(event)?;
    Ok(())
}

/// Audits everything or one resource, or repairs.
///
/// # Errors
///
/// [`AuditError`]; Lambda then tries twice more, and the dead-letter queue stands behind.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, AuditError> {
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", day.as_str());
    let event = Event::try_from(event)?;
    let done = match &event {
        Event::Everything => audit(app, &day, invocation).await.map(|report| Answer::Audit(Box::new(report))),
        Event::One(resource) => {
            let one = invocation.before_deadline(REPORTING, one(app, &day, resource, invocation)).await?;
            return one.map(|report| Answer::Audit(Box::new(report)));
        }
        Event::Repair(wish) => {
            let context = app.context(invocation.now);
            let mended = apply::on_demand(app, &context, wish, invocation);
            return invocation.before_deadline(Duration::from_secs(2), mended).await?.map(Answer::Repair);
        }
    };
    // A page that failed is a failure of a run that is told and recorded already.
    if let Err(error) = &done
        && !matches!(error, AuditError::PageFailed(_))
    {
        failed(app, &day, error, invocation).await;
    }
    done
}

/// Tells and records, once a day for each cause, that nothing is known today.
async fn failed(app: &App, day: &str, error: &AuditError, invocation: &Invocation) {
    let run_id = format!("{day}/{}", error.fingerprint());
    let message = text::failed(&app.settings, &run_id, error);
    let begun = app.reporter.look(&run_id).await;
    let draft = Draft {
        steps: vec![Step::now("audit", format!("failed: {}", error.kind()))],
        findings: vec![format!("{}: {}", error.kind(), chain(error))],
        ..app.draft(&run_id, "daily audit", everything(app), "failed", invocation)
    };
    app.reporter.report(draft, Some(&message), begun, invocation).await;
}

fn everything(app: &App) -> String {
    format!("backups of {}-{}", app.settings.project, app.settings.environment)
}

/// Audits everything of this environment.
async fn audit(app: &App, day: &str, invocation: &Invocation) -> Result<Report, AuditError> {
    let context = app.context(invocation.now);
    let mut steps = Vec::new();
    let left = apply::finish_open(app, &context, invocation).await;
    steps.extend(left.iter().map(|said| Step::now("repair of an earlier run", said)));
    let (outcome, unreadable, against) = observe(app, &context, invocation).await?;
    let week = FirstWeek::of(app.reporter.began().await, invocation.now);
    let mut pages = pages(app, &outcome, &unreadable);
    if let Some(week) = week {
        let (count, until) = (pages.len(), week.until);
        steps.push(Step::now("first week", format!("until {until}: {count} critical causes in one page")));
        let language = app.settings.language;
        pages = first_week::one_page(PROCEDURE, &app.settings.environment, pages, language);
    }
    let paged = app.pager.all(&app.reporter, day, pages, REPORTING, invocation).await;
    steps.extend(paged.steps);
    let repaired = apply::allowed(app, &context, &outcome.repairable, invocation).await;
    steps.extend(repaired.iter().map(|said| Step::now("repair", said)));
    let stored = store(app, &outcome, invocation).await;
    steps.extend(
        stored.iter().map(|(key, sha256)| Step::now(format!("store {key}"), format!("SHA-256 {sha256}"))),
    );
    let is_green = outcome.counts.fail == 0 && outcome.counts.unknown == 0;
    let result = if is_green { "succeeded" } else { "failed" };
    let reported = [left, repaired].concat();
    let latest = stored.iter().find(|(key, _)| against.is_compared && key.ends_with("findings.jsonl"));
    let latest = latest.map(|(key, _)| Latest { run_id: day.to_owned(), findings: key.clone() });
    report(app, day, &outcome, result, steps, &reported, &stored, &against, week, invocation).await;
    if let Some(latest) = latest {
        save_latest(app, &latest).await;
    }
    if paged.failed > 0 {
        return Err(AuditError::PageFailed(paged.failed));
    }
    Ok(Report {
        run_id: day.to_owned(),
        result,
        counts: outcome.counts,
        findings: outcome.worst.findings,
        new: outcome.new.count,
        resolved: outcome.resolved_count,
        reports: stored.into_iter().map(|(key, _)| key).collect(),
        paged: paged.keys,
        repaired: reported,
    })
}

fn file(error: io::Error) -> AuditError {
    AuditError::File(error.to_string())
}

/// What a run was compared with.
struct Against {
    /// Whether there is no run before.
    is_first: bool,
    /// Whether the comparison came to its end.
    is_compared: bool,
    /// Why the run before could not be read, if it could not.
    unread: Option<Unread>,
}

/// Reads and judges everything, as far as the time allows, and compares it with the run before. Gives also the services, or
/// their parts, of which nothing could be read, and what it was compared with.
async fn observe(
    app: &App,
    context: &Context<'_>,
    invocation: &Invocation,
) -> Result<(Outcome, Vec<(&'static str, String)>, Against), AuditError> {
    let today = context.now.to_zoned_datetime(time::SAO_PAULO).date();
    let at_ms = context.now.as_millisecond();
    let findings = Findings::new(today, at_ms, app.settings.language, app.place.clone(), app.repairs.clone())
        .map_err(file)?;
    let findings = RefCell::new(findings);
    let (before, mut unread) = match app.reporter.evidence.get::<Latest>(LATEST).await {
        Ok(latest) => (latest.map(|latest| latest.findings), None),
        Err(error) => (None, Some(Unread(chain(&error)))),
    };
    let is_first = before.is_none() && unread.is_none();
    if let Some(key) = &before {
        let remember = |line: &[u8]| {
            findings.borrow_mut().remember(line);
            Ok(())
        };
        if let Err(error) = lines(app, key, remember).await {
            unread = Some(Unread(format!("{key}: {}", chain(&error))));
        }
    }
    if let Some(unread) = &unread {
        tracing::warn!(message = format!("what is new is not known: {unread}"));
    }
    let progress = RefCell::new(Progress::default());
    let sweep = Sweep::new(app, context, &findings, &progress);
    match invocation.before_deadline(ACTING, sweep.run()).await {
        Ok(read) => read.map_err(file)?,
        Err(late) => tracing::warn!(message = format!("not everything was seen: {}", chain(&late))),
    }
    let (mut findings, progress) = (findings.into_inner(), progress.into_inner());
    for row in progress.coverage().iter().chain(&rules::expired(context)) {
        findings.push(row).map_err(file)?;
    }
    let unseen = progress.unseen();
    let mut resolved = Worst::default();
    // The note of the run before stays where it is, so that the next run compares with the one that this one could not read.
    let mut is_compared = unread.is_none();
    if let Some(key) = &before
        && is_compared
        && let Err(error) = lines(app, key, |line| findings.compare(line, &unseen, &mut resolved)).await
    {
        // What was found is not to wait for what was mended: the next run compares with the same report and tells that.
        tracing::warn!(
            message = format!("{key} was not compared, so nothing is resolved: {}", chain(&error))
        );
        (resolved, is_compared) = (Worst::default(), false);
    }
    let mut outcome = findings.finish(resolved).map_err(file)?;
    if unread.is_some() {
        outcome.new = Worst::default();
    }
    Ok((outcome, progress.unreadable(), Against { is_first, is_compared, unread }))
}

/// Reads a report of findings line by line.
async fn lines(
    app: &App,
    key: &str,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), AuditError> {
    let mut body = aws::s3::open_report(&app.s3, &app.reporter.evidence.bucket, key).await?;
    let mut rest = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| AuditError::File(chain(&error)))?;
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(&line).map_err(file)?;
        }
    }
    Ok(())
}

/// The pages for what strangers can read or what has no backup, and for each service of which nothing was read.
fn pages(app: &App, outcome: &Outcome, unreadable: &[(&'static str, String)]) -> Vec<Page> {
    let mut critical = BTreeMap::<&str, Vec<&Finding>>::new();
    let worst = outcome.worst.findings.iter();
    for finding in worst.filter(|finding| finding.verdict == "fail" && finding.severity == "critical") {
        critical.entry(&finding.rule).or_default().push(finding);
    }
    let mut pages: Vec<Page> =
        critical.iter().map(|(rule, findings)| text::critical(&app.settings, rule, findings)).collect();
    pages.extend(unreadable.iter().map(|(service, why)| text::unreadable(&app.settings, service, why)));
    // A service whose list is empty or readable, and of which no single rule could be judged.
    let is_reported = |service: &str| unreadable.iter().any(|(part, _)| sweep::service(part) == service);
    let dark = outcome.services.iter().filter(|(service, counts)| counts.is_dark() && !is_reported(service));
    pages.extend(dark.map(|(service, _)| {
        let why =
            outcome.worst.findings.iter().find(|finding| finding.rule.starts_with(&format!("{service}.")));
        text::unreadable(&app.settings, service, why.map_or("", |finding| finding.found.as_str()))
    }));
    pages
}

/// Stores the reports; gives their keys, each with its SHA-256. What cannot be stored fails no audit: the record and the log
/// still say what was found.
async fn store(app: &App, outcome: &Outcome, invocation: &Invocation) -> Vec<(String, String)> {
    let stamp = invocation.now.strftime("%Y%m%dT%H%M%S%.3fZ");
    let mut stored = Vec::new();
    for report in &outcome.reports {
        let key = format!("reports/{PROCEDURE}/{stamp}/{}", report.name);
        let put = aws::s3::store(
            &app.s3,
            &app.reporter.evidence.bucket,
            &key,
            report.file.path(),
            report.kind,
            report.checksum(),
        );
        let put = invocation.before_deadline(Duration::from_secs(20), put).await;
        match put.map_err(|late| chain(&late)).and_then(|put| put.map_err(|call| chain(&call))) {
            Ok(()) => stored.push((key, report.hex())),
            Err(reason) => app.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &key),
        }
    }
    stored
}

/// Tells the channel what is new, worse, resolved or repaired, once a week everything, and writes the day's record.
#[expect(clippy::too_many_arguments, reason = "what a run comes to has as many parts")]
async fn report(
    app: &App,
    day: &str,
    outcome: &Outcome,
    result: &'static str,
    steps: Vec<Step>,
    repairs: &[String],
    stored: &[(String, String)],
    against: &Against,
    week: Option<FirstWeek>,
    invocation: &Invocation,
) {
    let begun = app.reporter.look(day).await;
    let is_weekly =
        week.is_none() && invocation.now.to_zoned_datetime(time::SAO_PAULO).weekday() == Weekday::Monday;
    let bucket = &app.reporter.evidence.bucket;
    let folder = stored
        .first()
        .and_then(|(key, _)| key.rsplit_once('/'))
        .map(|(folder, _)| format!("s3://{bucket}/{folder}/"));
    let folder = folder.unwrap_or_else(|| {
        app.settings.language.pick("não guardados, ver o log", "not stored, see the log").to_owned()
    });
    let is_first = against.is_first || begun.was_left_open();
    let summary = text::Summary {
        run_id: day,
        outcome,
        is_weekly,
        repairs,
        reports: &folder,
        unread: against.unread.as_ref(),
        week: week.map(|week| (week, week.is_summary(is_first, outcome.new.count))),
    };
    let has_unknown = against.unread.is_some() && outcome.worst.count > 0;
    let is_silent = outcome.new.count == 0
        && !has_unknown
        && outcome.resolved_count == 0
        && repairs.is_empty()
        && !is_weekly
        && !begun.was_left_open();
    let message = (!is_silent).then(|| text::summary(&app.settings, &summary));
    let mut lines: Vec<String> = outcome.worst.findings.iter().map(text::line).collect();
    let more = outcome.worst.count.saturating_sub(KEPT);
    if more > 0 {
        lines.push(format!("… and {more} more, in {folder}"));
    }
    let draft = Draft {
        steps,
        findings: lines,
        ..app.draft(day, "daily audit", everything(app), result, invocation)
    };
    app.reporter.report(draft, message.as_ref(), begun, invocation).await;
}

/// Notes what the next run compares with. Only after the channel knows: a run that dies before compares with the same run as
/// this one did. And the first run of a day only: what a later one finds, and does not tell, is new for the next day's.
async fn save_latest(app: &App, latest: &Latest) {
    let keep = |kept: &mut Latest| {
        if kept.run_id != latest.run_id {
            *kept = latest.clone();
        }
    };
    if let Err(error) = app.reporter.evidence.update(LATEST, keep).await {
        let reason = chain(&error);
        app.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &latest.findings);
    }
}

/// Audits one resource, for whoever asks. Compares with nothing, tells nobody, and leaves a record.
async fn one(app: &App, day: &str, resource: &str, invocation: &Invocation) -> Result<Report, AuditError> {
    let context = app.context(invocation.now);
    let found = sweep::find(app, resource, None, &context).await?;
    if found.is_empty() {
        return Err(AuditError::NotFound(resource.to_owned()));
    }
    let today = context.now.to_zoned_datetime(time::SAO_PAULO).date();
    let at_ms = context.now.as_millisecond();
    let mut findings =
        Findings::new(today, at_ms, app.settings.language, app.place.clone(), Vec::new()).map_err(file)?;
    for row in found.iter().flat_map(|found| found.judge(&context)) {
        findings.push(&row).map_err(file)?;
    }
    let outcome = findings.finish(Worst::default()).map_err(file)?;
    let is_green = outcome.counts.fail == 0 && outcome.counts.unknown == 0;
    let result = if is_green { "succeeded" } else { "failed" };
    let run_id = format!("{day}/{resource}/{}", invocation.now);
    let begun = app.reporter.look(&run_id).await;
    let draft = Draft {
        steps: vec![Step::now(format!("look at {resource}"), "succeeded")],
        findings: outcome.worst.findings.iter().map(text::line).collect(),
        ..app.draft(&run_id, "a person's question", resource.to_owned(), result, invocation)
    };
    app.reporter.report(draft, None, begun, invocation).await;
    Ok(Report {
        run_id,
        result,
        counts: outcome.counts,
        findings: outcome.worst.findings,
        new: 0,
        resolved: 0,
        reports: Vec::new(),
        paged: Vec::new(),
        repaired: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            project: "moveongs".to_owned(),
            environment: "prod".to_owned(),
            beginning: "moveongs-prod-".to_owned(),
            database: "main".to_owned(),
            attachments: "moveongs-prod-attachments".to_owned(),
            uploads: String::new(),
            marker: ".moveongs-sync".to_owned(),
            state: String::new(),
            lock_table: String::new(),
            grafana: String::new(),
            procedures: vec!["backup-audit".to_owned(), "snapshot-create".to_owned()],
        }
    }

    #[test]
    fn alarms_of_this_product_and_of_autoscaling_are_nobodys_else() {
        for (alarm, is_anothers) in [
            ("moveongs-prod-backup-audit-errors", false),
            ("moveongs-dev-snapshot-create-errors", false),
            ("TargetTracking-service/moveongs-prod-cluster/moveongs-prod-api-AlarmHigh-0b1c", false),
            ("moveongs-prod-api-5xx", true),
            ("another-backup-audit-errors", true),
            ("api-TargetTracking-5xx", true),
        ] {
            assert_eq!(names().is_anothers_alarm(alarm), is_anothers, "{alarm}");
        }
    }

    #[test]
    fn a_database_is_owned_by_its_name_or_by_both_tags() {
        let tags = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let both: &[(&str, &str)] = &[("Project", "moveongs"), ("Environment", "prod")];
        for (name, tagged, is_named, is_owned) in [
            ("main", &[][..], true, true),
            ("moveongs-prod-db", &[], true, true),
            ("legacy", both, false, true),
            ("legacy", &both[..1], false, false),
            ("legacy", &[("Project", "moveongs"), ("Environment", "dev")], false, false),
        ] {
            assert_eq!(names().is_named(name), is_named, "{name}");
            assert_eq!(names().owns(name, &tags(tagged)), is_owned, "{name} {tagged:?}");
        }
    }
}
