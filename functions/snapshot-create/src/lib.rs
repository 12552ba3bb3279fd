//! Takes the manual snapshot of the database before a deploy: once for each deploy, with a name of the day and tags, and waits
//! for it where a pipeline gates on it.
//!
//! Trigger: a pipeline or a person, who gets an answer at once, or a step of the state machine beside this crate, which they
//! start. Decisions: `name.rs`, `policy.rs`, `job.rs`, `tags.rs`. Source: the guide, 2.1 step 2.

mod aws;
mod error;
mod event;
mod job;
mod name;
mod policy;
mod tags;
mod text;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::aws::snapshots;
use shared::aws::snapshots::Database;
use shared::run::evidence::{Draft, Step as Recorded};
use shared::run::paging::Pager;
use shared::run::report::Reporter;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::event::Broken;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

pub use error::SnapshotError;
use error::{DELETED, FAILED, code, refusal};
use event::{Event, Request, Step};
use job::Job;
use policy::{Snapshot, Status};
use text::Case;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = snapshots::CREATOR;

/// Time kept back from the work, for page, message and record.
const REPORTING: Duration = Duration::from_secs(25);

/// Time kept back from the page, for message and record.
const TELLING: Duration = Duration::from_secs(15);

/// How many names one attempt tries; the next goes on where it stopped.
const NAMES: u8 = 8;

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    settings: Settings,
    rds: aws_sdk_rds::Client,
    /// Identifier of the database's instance or cluster, where an event names none.
    instance: String,
    /// Days that a snapshot is to be kept.
    retention_days: u16,
    pager: Pager,
    reporter: Reporter,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`] and [`Pager`], and `DATABASE_INSTANCE_ID`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        Ok(Self {
            rds: aws_sdk_rds::Client::new(aws),
            instance: env.required("DATABASE_INSTANCE_ID")?,
            retention_days: snapshots::retention_days(&settings)?,
            pager: Pager::new(env, aws)?,
            reporter: Reporter::new(PROCEDURE, &settings, env, aws)?,
            settings,
        })
    }

    fn instance_of<'a>(&'a self, request: &'a Request) -> &'a str {
        request.instance.as_deref().unwrap_or(&self.instance)
    }
}

/// What the state machine chooses by, and a pipeline or a person reads.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// `waiting` (for the database), `creating`, and at the end `available`, `failed` or `deleted`.
    pub status: &'static str,
    /// Seconds to wait before the next step.
    pub wait_seconds: u16,
    /// Identifier of the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Its ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// How much of it is done, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<i32>,
    /// Storage that the database had, in GiB; of Aurora RDS does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gib: Option<i32>,
    /// From the first request to when it was first seen to be available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// Stable name of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What went wrong, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

fn answer(status: &'static str, job: Option<&Job>, snapshot: Option<&Snapshot>) -> Answer {
    Answer {
        status,
        wait_seconds: 0,
        snapshot: job.and_then(|job| job.name.clone()),
        arn: job.and_then(|job| job.arn.clone()),
        progress: snapshot.map(|snapshot| snapshot.progress),
        size_gib: snapshot.and_then(|snapshot| snapshot.size_gib),
        duration_seconds: job.and_then(Job::duration).map(|duration| duration.as_secs()),
        kind: None,
        detail: None,
    }
}

/// Whether an event is one that the function takes.
///
/// # Errors
///
/// [`SnapshotError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), SnapshotError> {
    Event::try_from(event)?;
    Ok(())
}

/// Takes a deploy's snapshot and answers at once, or does one step of the state machine.
///
/// # Errors
///
/// [`SnapshotError`]; the state machine tries again what may pass. The failure of a direct request is told and paged before.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, SnapshotError> {
    match Event::try_from(event)? {
        Event::Direct(request) => {
            tracing::Span::current().record("run_id", request.deploy.as_str());
            direct(app, request, invocation).await
        }
        Event::Step { execution, step, request } => {
            tracing::Span::current().record("run_id", request.deploy.as_str());
            tracing::Span::current().record("correlation_id", execution.as_str());
            match step {
                Step::Create(poll) => create(
                    app,
                    invocation.before_deadline(REPORTING, ask(app, &request, invocation.now)).await?,
                    poll,
                ),
                Step::Watch(poll) => {
                    let seen =
                        invocation.before_deadline(REPORTING, seen(app, &request, invocation.now)).await??;
                    watch(app, &seen, poll)
                }
                Step::Finish(broken) => finish(app, request, broken, invocation).await,
            }
        }
        Event::Refused { execution, broken } => {
            tracing::Span::current().record("correlation_id", execution.as_str());
            let (instance, job) = ("?".to_owned(), Job::default());
            let case = Case { instance, request: None, job, snapshot: None, id: execution };
            report_failed(app, &case, &broken, invocation).await?;
            Ok(failed(&case, broken))
        }
    }
}

/// What is known of a deploy's snapshot.
struct Seen {
    job: Job,
    snapshot: Option<Snapshot>,
    status: Status,
}

/// Makes sure that RDS has been asked for the deploy's snapshot, once.
async fn ask(app: &App, request: &Request, now: Timestamp) -> Result<Seen, SnapshotError> {
    let instance = app.instance_of(request);
    let (project, environment) = (&app.settings.project, &app.settings.environment);
    if !snapshots::is_own_cluster(instance, &app.instance, &app.settings) {
        return Err(SnapshotError::NotOurs {
            instance: instance.to_owned(),
            expected: app.instance.clone(),
            prefix: snapshots::prefix(&app.settings),
        });
    }
    let job = update(app, request, |_| ()).await?;
    if job.made.is_some() {
        return look(app, request, job, now).await;
    }
    let database = &database(app, instance).await?;
    let refused = |call| refusal(call, &database.id);
    let listed = aws::list(&app.rds, database).await.map_err(refused)?;
    // Of an attempt whose answer was lost, or whose note was.
    let own = |snapshot: &&Snapshot| {
        snapshot.is_of(database, &request.deploy)
            && snapshot.name.starts_with(&snapshots::prefix(&app.settings))
    };
    if let Some(own) = listed.iter().find(own) {
        return save(app, request, own.clone(), true, now).await;
    }
    let mut taken: BTreeSet<String> = listed.into_iter().map(|snapshot| snapshot.name).collect();
    let free = name::first_free(&name::of_day(project, environment, now), &taken);
    let mut job = update(app, request, |job| job.begin(&free, database, now)).await?;
    for _ in 0..NAMES {
        // By another attempt, meanwhile.
        if job.made.is_some() {
            return look(app, request, job, now).await;
        }
        let begun = job.begun.unwrap_or(now);
        let name = job.name.clone().unwrap_or(free.clone());
        let tags = tags::tags(&app.settings, request, &snapshots::expires(begun, app.retention_days));
        tracing::info!(message = "asking for a snapshot", rds.snapshot = name, rds.database = database.id);
        let call = match aws::create(&app.rds, &name, database, tags).await {
            Ok(made) => return save(app, request, made, false, now).await,
            Err(call) => call,
        };
        // While our own is being made, the database is not available either.
        let is_busy = ["InvalidDBInstanceState", "InvalidDBClusterState"].contains(&code(&call));
        let exists = ["DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExists"].contains(&code(&call));
        if !is_busy && !exists && !call.is_unanswered() {
            return Err(refused(call));
        }
        match aws::find(&app.rds, database.kind, &name).await.map_err(refused)? {
            Some(found) if found.is_of(database, &request.deploy) => {
                return save(app, request, found, true, now).await;
            }
            Some(_) => {
                taken.insert(name.clone());
                let next = name::first_free(&name::of_day(project, environment, begun), &taken);
                job = update(app, request, |job| job.move_on(&name, &next)).await?;
            }
            None if is_busy => return Err(busy(app, database).await),
            // It is not shown yet, or gone this moment.
            None => return Err(refused(call)),
        }
    }
    Err(SnapshotError::NamesTaken(NAMES, job.name.unwrap_or_default()))
}

/// What RDS takes the snapshot of: a member's cluster, which the role has to cover, or what the name stands for.
async fn database(app: &App, name: &str) -> Result<Database, SnapshotError> {
    let may_be_instance = snapshots::is_ours(name, &app.instance, &app.settings);
    let found = aws::database(&app.rds, name, may_be_instance).await.map_err(|call| refusal(call, name))?;
    let found = found.ok_or_else(|| SnapshotError::InstanceNotFound(name.to_owned()))?;
    let is_covered = found.id == name || snapshots::is_own_cluster(&found.id, &app.instance, &app.settings);
    if is_covered {
        return Ok(found);
    }
    let prefix = snapshots::prefix(&app.settings);
    let expected = format!("{} or begin with {prefix}", prefix.trim_end_matches('-'));
    Err(SnapshotError::ClusterNotOurs { instance: name.to_owned(), cluster: found.id, expected })
}

/// Why RDS does not take a snapshot of the database now.
async fn busy(app: &App, database: &Database) -> SnapshotError {
    match aws::state(&app.rds, database).await {
        Ok(state) if policy::passes(&state) => SnapshotError::Busy { database: database.clone(), state },
        Ok(state) => SnapshotError::State { database: database.clone(), state },
        Err(call) => refusal(call, &database.id),
    }
}

/// Changes what is kept of the deploy, and gives it as it is then.
async fn update(app: &App, request: &Request, change: impl Fn(&mut Job)) -> Result<Job, SnapshotError> {
    let note = job::note(app.instance_of(request), &request.deploy);
    let updated = app.reporter.evidence.update(&note, |job: &mut Job| {
        change(job);
        job.clone()
    });
    Ok(updated.await?)
}

/// Keeps that RDS has the snapshot; `shown` when it was described, not only answered.
async fn save(
    app: &App,
    request: &Request,
    snapshot: Snapshot,
    shown: bool,
    now: Timestamp,
) -> Result<Seen, SnapshotError> {
    let status = policy::status(Some(&snapshot), true);
    tracing::info!(
        message = "snapshot",
        rds.snapshot = snapshot.name,
        rds.status = snapshot.status,
        rds.progress = snapshot.progress
    );
    let job = update(app, request, |job| job.record(&snapshot, status, shown, now)).await?;
    Ok(Seen { job, snapshot: Some(snapshot), status })
}

/// Looks how far the deploy's snapshot is.
async fn seen(app: &App, request: &Request, now: Timestamp) -> Result<Seen, SnapshotError> {
    let job = update(app, request, |_| ()).await?;
    look(app, request, job, now).await
}

/// The same, with what is kept of it.
async fn look(app: &App, request: &Request, job: Job, now: Timestamp) -> Result<Seen, SnapshotError> {
    let instance = app.instance_of(request);
    let Some(name) = job.name.clone().filter(|_| job.made.is_some()) else {
        return Err(SnapshotError::NotAsked(request.deploy.clone()));
    };
    let database = job.database_of(instance);
    let found = aws::find(&app.rds, database.kind, &name).await;
    let found = found.map_err(|call| refusal(call, &database.id))?;
    // By the tag: the name may be another deploy's by now.
    match found.filter(|found| found.is_of(&database, &request.deploy)) {
        Some(found) => save(app, request, found, true, now).await,
        None => Ok(Seen { status: policy::status(None, job.seen), snapshot: None, job }),
    }
}

/// The answer of the step that asks.
fn create(app: &App, asked: Result<Seen, SnapshotError>, poll: u16) -> Result<Answer, SnapshotError> {
    let policy = &app.settings.policy.backups.snapshots.instance;
    match asked {
        Err(SnapshotError::Busy { state, .. }) if poll < policy.times => {
            tracing::info!(message = "waiting for the database", rds.state = state);
            Ok(Answer { wait_seconds: policy.every_seconds, ..answer("waiting", None, None) })
        }
        asked => Ok(progress(app, &asked?)),
    }
}

/// The answer of the step that looks.
fn watch(app: &App, seen: &Seen, poll: u16) -> Result<Answer, SnapshotError> {
    let policy = &app.settings.policy.backups.snapshots.creation;
    if seen.status == Status::Creating && poll >= policy.times {
        return Err(slow(app, seen));
    }
    Ok(progress(app, seen))
}

fn slow(app: &App, seen: &Seen) -> SnapshotError {
    SnapshotError::SnapshotSlow {
        name: seen.job.name.clone().unwrap_or_default(),
        progress: seen.snapshot.as_ref().map_or(0, |snapshot| snapshot.progress),
        seconds: app.settings.policy.backups.snapshots.creation.seconds(),
    }
}

fn progress(app: &App, seen: &Seen) -> Answer {
    let every = app.settings.policy.backups.snapshots.creation.every_seconds;
    let wait_seconds = if seen.status == Status::Creating { every } else { 0 };
    Answer { wait_seconds, ..answer(seen.status.word(), Some(&seen.job), seen.snapshot.as_ref()) }
}

/// Takes the snapshot, tells, and answers at once.
async fn direct(app: &App, request: Request, invocation: &Invocation) -> Result<Answer, SnapshotError> {
    let asked = invocation.before_deadline(REPORTING, ask(app, &request, invocation.now)).await;
    match asked.map_err(SnapshotError::from).and_then(|asked| asked) {
        Ok(seen) => settle(app, request, seen, invocation).await,
        Err(error) => {
            let job = saved(app, &request, invocation).await;
            let case = case(app, request, job, None);
            let broken = Broken { kind: error.kind().to_owned(), detail: chain(&error) };
            // A page that failed stands in the log, and has an alarm; what the caller can mend is this.
            let _ = report_failed(app, &case, &broken, invocation).await;
            Err(error)
        }
    }
}

/// Tells and records how it ended.
async fn finish(
    app: &App,
    request: Request,
    broken: Option<Broken>,
    invocation: &Invocation,
) -> Result<Answer, SnapshotError> {
    let Some(broken) = broken else {
        let seen = invocation.before_deadline(REPORTING, seen(app, &request, invocation.now)).await??;
        if seen.status == Status::Creating {
            return Err(slow(app, &seen));
        }
        return settle(app, request, seen, invocation).await;
    };
    tracing::warn!(message = broken.detail, failure = broken.kind);
    let job = saved(app, &request, invocation).await;
    let case = case(app, request, job, None);
    report_failed(app, &case, &broken, invocation).await?;
    Ok(failed(&case, broken))
}

/// Reads the deploy's note for a failure message. Without it the message lacks the snapshot's name, and advises the instance's
/// commands where the snapshot belongs to its cluster.
async fn saved(app: &App, request: &Request, invocation: &Invocation) -> Job {
    let note = job::note(app.instance_of(request), &request.deploy);
    let kept = invocation.before_deadline(REPORTING, app.reporter.evidence.get::<Job>(&note)).await;
    kept.ok().and_then(Result::ok).flatten().unwrap_or_default()
}

fn case(app: &App, request: Request, job: Job, snapshot: Option<Snapshot>) -> Case {
    let instance = app.instance_of(&request).to_owned();
    let id = format!("{instance}/{}", request.deploy);
    Case { instance, request: Some(request), job, snapshot, id }
}

/// Tells and records what is known of the snapshot; each of its states once.
async fn settle(
    app: &App,
    request: Request,
    seen: Seen,
    invocation: &Invocation,
) -> Result<Answer, SnapshotError> {
    let answer = progress(app, &seen);
    let status = seen.status;
    let case = case(app, request, seen.job, seen.snapshot);
    let name = case.job.name.clone().unwrap_or_default();
    let (kind, detail) = match status {
        Status::Creating | Status::Available => {
            let run_id = format!("{}/{}", case.id, status.word());
            let message = text::message(&app.settings, &case, status, &run_id);
            let begun = app.reporter.look(&run_id).await;
            let draft = draft(app, &case, &run_id, "succeeded", status.word(), Vec::new());
            app.reporter.report(draft, Some(&message), begun, invocation).await;
            return Ok(answer);
        }
        Status::Failed => (FAILED, format!("RDS has given the snapshot {name} up")),
        Status::Deleted => (DELETED, format!("the snapshot {name} was there, and somebody has deleted it")),
    };
    let broken = Broken { kind: kind.to_owned(), detail };
    report_failed(app, &case, &broken, invocation).await?;
    Ok(Answer { kind: Some(broken.kind), detail: Some(broken.detail), ..answer })
}

fn failed(case: &Case, broken: Broken) -> Answer {
    let Broken { kind, detail } = broken;
    Answer { kind: Some(kind), detail: Some(detail), ..answer("failed", Some(&case.job), None) }
}

/// Pages, tells and records that there is no snapshot; once a day for each deploy and kind.
async fn report_failed(
    app: &App,
    case: &Case,
    broken: &Broken,
    invocation: &Invocation,
) -> Result<(), SnapshotError> {
    let day = time::local_date(invocation.now);
    let run_id = format!("{}/{}/{day}", case.id, broken.kind);
    let page = text::page(&app.settings, case, broken);
    let paged = app.pager.page(&app.reporter, &day, &page, TELLING, invocation).await;
    let message = text::failed(&app.settings, case, broken, &run_id);
    let begun = app.reporter.look(&run_id).await;
    let findings = vec![format!("{}: {}", broken.kind, broken.detail)];
    let draft = draft(app, case, &run_id, "failed", &broken.kind, findings);
    app.reporter.report(draft, Some(&message), begun, invocation).await;
    paged.map(drop).map_err(|_| SnapshotError::PageFailed)
}

/// The evidence of a run.
fn draft(
    app: &App,
    case: &Case,
    run_id: &str,
    result: &'static str,
    outcome: &str,
    mut findings: Vec<String>,
) -> Draft {
    let now = time::now();
    let (job, request) = (&case.job, case.request.as_ref());
    let name = job.name.as_deref().unwrap_or("?");
    let made = job.made.map(|at| Recorded {
        name: format!("ask RDS for {name}"),
        at: at.into(),
        outcome: "taken".to_owned(),
    });
    let size = case.snapshot.as_ref().and_then(|snapshot| snapshot.size_gib);
    let size = size.map(|size| format!(", {size} GiB"));
    let duration =
        job.duration().map(|duration| format!(", {} s after the first request", duration.as_secs()));
    let ended = Recorded {
        name: format!("snapshot {name}"),
        at: job.available.unwrap_or(now).into(),
        outcome: [Some(outcome.to_owned()), size, duration].into_iter().flatten().collect(),
    };
    if let Some(request) = request {
        findings.push(format!(
            "deploy {}, commit {}",
            request.deploy,
            request.commit.as_deref().unwrap_or("?")
        ));
        findings.push(format!("asked for by {}: {}", request.by, request.reason));
    }
    findings.extend(text::expires(&app.settings, job).map(|day| format!("to be kept until {day}")));
    Draft {
        trigger: "deploy".to_owned(),
        subject: job.arn.clone().unwrap_or_else(|| {
            let Database { kind, id } = case.database();
            format!("{} {id}", kind.word(Language::English))
        }),
        steps: made.into_iter().chain([ended]).collect(),
        findings,
        ..Draft::of(&app.settings, run_id, result, job.begun.unwrap_or(now))
    }
}
