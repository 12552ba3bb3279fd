//! Answers for every snapshot of the database: is it complete, encrypted, private, tagged and of a plausible size? Copies the
//! newest one to another region where that is wanted, and deletes those that have expired.
//!
//! Trigger: RDS's event about a snapshot, which may come twice, late or never; a daily and, for copies, an hourly schedule; a
//! person. An event only says where to look. Reads and acts: `aws.rs`. Decisions: `policy.rs`. What one run leaves to the next:
//! `journal.rs`. Source: the guide, 2.1.

mod aws;
mod error;
mod event;
mod journal;
mod policy;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::aws::snapshots::{
    self, Database, ENVIRONMENT, EXPIRES_ON, Kind, MANAGED_BY, PROJECT, Progress, progress,
};
use shared::run::evidence::{Draft, EvidenceError, Step};
use shared::run::paging::Pager;
use shared::run::report::Reporter;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{CallError, Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;
use shared::runtime::time;

pub use error::VerifyError;
use event::Trigger;
use journal::{Journal, NOTE};
use policy::{Expired, ExpiredSnapshot, Finding, Snapshot};
use text::{Action, Judged, Subject};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "snapshot-verify";

/// Time kept back from reading, for pages, copy, deletions and report.
const ACTING: Duration = Duration::from_secs(140);

/// Time kept back from acting, for the report.
const REPORTING: Duration = Duration::from_secs(30);

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    settings: Settings,
    rds: aws_sdk_rds::Client,
    /// Identifier of the instance or cluster whose snapshots are copied; of a member, those of its cluster.
    instance: String,
    /// Where copies go; none when they are not wanted.
    away: Option<Away>,
    /// Days that a copy is to be kept.
    retention_days: u16,
    pager: Pager,
    reporter: Reporter,
}

/// The region of the copies.
struct Away {
    rds: aws_sdk_rds::Client,
    region: String,
    /// ARN of the key that copies are encrypted with.
    key: String,
}

impl Away {
    /// Reads `SNAPSHOT_COPY_REGION` and `SNAPSHOT_COPY_KMS_KEY_ARN`, which are both set or both empty.
    fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Option<Self>, EnvError> {
        let region: Option<String> = env.optional("SNAPSHOT_COPY_REGION")?;
        let key: Option<String> = env.optional("SNAPSHOT_COPY_KMS_KEY_ARN")?;
        let invalid = |name, reason: &str| EnvError::Invalid { name, reason: reason.to_owned() };
        let (region, key) = match (region, key) {
            (None, None) => return Ok(None),
            (Some(region), Some(key)) => (region, key),
            _ => {
                return Err(invalid(
                    "SNAPSHOT_COPY_REGION",
                    "needs SNAPSHOT_COPY_KMS_KEY_ARN, and the reverse",
                ));
            }
        };
        if aws.region().is_some_and(|home| home.as_ref() == region) {
            return Err(invalid("SNAPSHOT_COPY_REGION", "expected another region than the stack's"));
        }
        if key.split(':').nth(3) != Some(&region) {
            return Err(invalid(
                "SNAPSHOT_COPY_KMS_KEY_ARN",
                "expected the ARN of a key in SNAPSHOT_COPY_REGION",
            ));
        }
        let config = aws_sdk_rds::config::Builder::from(aws).region(Region::new(region.clone())).build();
        Ok(Some(Self { rds: aws_sdk_rds::Client::from_conf(config), region, key }))
    }
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`] and [`Pager`], `DATABASE_INSTANCE_ID`, and
    /// `SNAPSHOT_COPY_REGION` and `SNAPSHOT_COPY_KMS_KEY_ARN`, which may both be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        Ok(Self {
            rds: aws_sdk_rds::Client::new(aws),
            instance: env.required("DATABASE_INSTANCE_ID")?,
            away: Away::new(env, aws)?,
            retention_days: snapshots::retention_days(&settings)?,
            pager: Pager::new(env, aws)?,
            reporter: Reporter::new(PROCEDURE, &settings, env, aws)?,
            settings,
        })
    }
}

/// Whether an event is one that the function takes.
///
/// # Errors
///
/// [`VerifyError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), VerifyError> {
    Trigger::try_from(event)?;
    Ok(())
}

/// The run's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Id of the evidence record; none when there was nothing to record.
    pub run_id: Option<String>,
    /// `succeeded` when everything that was looked at was seen and nothing is wrong; `nothing` when there was nothing to look at.
    pub result: &'static str,
    /// The snapshots that were looked at.
    pub snapshots: Vec<Row>,
    /// Keys of all that is wrong.
    pub findings: Vec<String>,
    /// Names of the snapshots that were deleted.
    pub deleted: Vec<String>,
    /// Names of the copies that came to their end.
    pub copied: Vec<String>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// One snapshot of the answer.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name.
    pub name: String,
    /// Its region, when that is the copies'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether that is an instance or a cluster.
    pub kind: Kind,
    /// The instance or cluster that it is of.
    pub instance: String,
    /// RDS's word.
    pub status: String,
    /// `pass`, `fail`, `could-not-verify`; none while it is being made in time.
    pub verdict: Option<&'static str>,
    /// Kinds of what is wrong.
    pub findings: Vec<&'static str>,
}

/// Looks once: observe, decide, page, copy, delete, report.
///
/// # Errors
///
/// [`VerifyError`]; Lambda then tries twice more, and the dead-letter queue stands behind.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Report, VerifyError> {
    let trigger = Trigger::try_from(event)?;
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", day.as_str());
    tracing::info!(message = "invoked", trigger = ?trigger);
    let seen = invocation.before_deadline(ACTING, observe(app, &trigger, invocation.now)).await;
    match seen.map_err(VerifyError::from).and_then(|seen| seen.map_err(VerifyError::from)) {
        Ok(world) => act(app, &trigger, world, &day, invocation).await,
        Err(error) => {
            report_failed(app, &trigger, &day, &error, invocation).await;
            Err(error)
        }
    }
}

/// What there is.
struct World {
    /// The environment's snapshots in this region.
    home: Vec<Snapshot>,
    /// Those in the copies' region, if copies are wanted.
    away: Option<Result<Vec<Snapshot>, CallError>>,
    /// What is copied, when copies are wanted and the run makes them; or why that is not known.
    database: Option<Result<Database, String>>,
    /// What the runs before have left.
    journal: Result<Journal, EvidenceError>,
}

impl World {
    fn copies(&self) -> Option<&[Snapshot]> {
        self.away.as_ref()?.as_deref().ok()
    }
}

/// The environment's snapshots of both regions; of those that this run is about, also who may restore them.
async fn observe(app: &App, trigger: &Trigger, now: Timestamp) -> Result<World, CallError> {
    let is_ours = |snapshot: &Snapshot| match snapshot.kind {
        Kind::Instance => snapshots::is_ours(&snapshot.instance, &app.instance, &app.settings),
        Kind::Cluster => snapshots::is_own_cluster(&snapshot.instance, &app.instance, &app.settings),
    };
    let mut home = aws::list(&app.rds).await?;
    home.retain(is_ours);
    for snapshot in home.iter_mut().filter(|one| one.is_manual && concerns(trigger, one, false)) {
        snapshot.shared_with = aws::shared_with(&app.rds, snapshot.kind, &snapshot.name).await;
    }
    let mut away = None;
    if let Some(region) = &app.away {
        let mut listed = aws::list(&region.rds).await;
        if let Ok(copies) = &mut listed {
            copies.retain(is_ours);
            for snapshot in copies.iter_mut().filter(|one| one.is_manual && concerns(trigger, one, true)) {
                snapshot.shared_with = aws::shared_with(&region.rds, snapshot.kind, &snapshot.name).await;
            }
        }
        away = Some(listed);
    }
    let database = match (&app.away, trigger) {
        (Some(_), Trigger::Sweep) => Some(copied(app).await),
        _ => None,
    };
    let all = home.iter().chain(away.iter().flatten().flatten());
    let untimed = all.filter(|one| one.created.is_none() && progress(&one.status) == Progress::Creating);
    let untimed: BTreeSet<String> = untimed.map(|one| one.arn.clone()).collect();
    let journal = update(app, |journal| journal.see(&untimed, now)).await;
    Ok(World { home, away, database, journal })
}

/// The database whose snapshots are copied. A cluster has to have a name that the role covers.
async fn copied(app: &App) -> Result<Database, String> {
    let database = aws::database(&app.rds, &app.instance).await.map_err(|call| chain(&call))?;
    let is_covered = database.kind == Kind::Instance
        || snapshots::is_own_cluster(&database.id, &app.instance, &app.settings);
    if is_covered {
        return Ok(database);
    }
    let (member, cluster) = (&app.instance, database.id);
    Err(format!(
        "{member} is a member of the cluster {cluster}, which the role covers only when DatabaseInstanceId names it"
    ))
}

/// Whether a run looks at a snapshot.
fn concerns(trigger: &Trigger, snapshot: &Snapshot, is_away: bool) -> bool {
    match trigger {
        Trigger::Sweep => true,
        Trigger::Follow => is_away,
        Trigger::One(name) => !is_away && snapshot.name == *name,
    }
}

/// Whether a run finds out anew what a key says.
fn covers(app: &App, trigger: &Trigger, key: &str) -> bool {
    let (kind, label) = key.split_once(' ').unwrap_or_default();
    match (trigger, &app.away) {
        (Trigger::Sweep, _) => true,
        // Only a sweep deletes.
        _ if kind == "NotDeleted" => false,
        (Trigger::Follow, Some(away)) => label.ends_with(&format!(" ({})", away.region)),
        (Trigger::Follow, None) => false,
        (Trigger::One(name), _) => label.strip_prefix("cluster/").unwrap_or(label) == name,
    }
}

/// Changes what the runs share, and gives it as it is then.
async fn update<R>(app: &App, change: impl Fn(&mut Journal) -> R) -> Result<Journal, EvidenceError> {
    let updated = app.reporter.evidence.update(NOTE, |journal: &mut Journal| {
        change(journal);
        journal.clone()
    });
    updated.await
}

/// What is wrong with each snapshot that the run is about.
fn decide(app: &App, trigger: &Trigger, world: &World, now: Timestamp) -> Vec<Judged> {
    let nothing = BTreeMap::new();
    let first_seen = world.journal.as_ref().map_or(&nothing, |journal| &journal.first_seen);
    let mut judged = Vec::new();
    let mut automated: BTreeMap<(Kind, &str), Vec<Finding>> = BTreeMap::new();
    let region = app.away.as_ref().map(|away| away.region.clone());
    let lists = [(world.home.as_slice(), None), (world.copies().unwrap_or_default(), region.clone())];
    for (all, region) in lists {
        for snapshot in all.iter().filter(|one| concerns(trigger, one, region.is_some())) {
            let (before, seen) = (policy::before(snapshot, all), first_seen.get(&snapshot.arn).copied());
            let mut found = policy::findings(snapshot, before, seen, region.is_some(), &app.settings, now);
            if !snapshot.is_manual {
                let (of_instance, own) = found.into_iter().partition(policy::is_of_instance);
                let known = automated.entry((snapshot.kind, &snapshot.instance)).or_default();
                let new: Vec<Finding> = of_instance;
                known.extend(new.into_iter().filter(|one| !known.contains(one)).collect::<Vec<_>>());
                found = own;
            }
            judged.push(Judged {
                subject: Subject::Snapshot(Box::new(snapshot.clone()), region.clone()),
                findings: found,
            });
        }
    }
    // One automated snapshot is as the next: a sweep tells it of the instance.
    if *trigger == Trigger::Sweep {
        judged.extend(automated.into_iter().map(|((kind, id), findings)| Judged {
            subject: Subject::Automated(Database { kind, id: id.to_owned() }),
            findings,
        }));
    }
    if let (Some(Err(call)), Some(region), Trigger::Sweep | Trigger::Follow) = (&world.away, region, trigger)
    {
        let unseen = Finding::InsufficientData { why: chain(call) };
        judged.push(Judged::new(Subject::Region(region), unseen));
    }
    judged
}

async fn act(
    app: &App,
    trigger: &Trigger,
    world: World,
    day: &str,
    invocation: &Invocation,
) -> Result<Report, VerifyError> {
    let mut run = Run { judged: decide(app, trigger, &world, invocation.now), ..Run::default() };
    for judged in &run.judged {
        for finding in &judged.findings {
            tracing::info!(message = text::line(&judged.subject, finding), finding = finding.kind());
        }
    }
    page(app, &mut run, 0, day, invocation).await;
    let mut noted = world.journal.as_ref().map(|_| ()).map_err(Clone::clone);
    if let Ok(journal) = &world.journal {
        run.actions = ended(app, trigger, &world, journal);
        if *trigger == Trigger::Sweep {
            let from = run.judged.len();
            let work = copy_and_delete(app, &world, journal, day, invocation.now, &mut run);
            match invocation.before_deadline(REPORTING, work).await {
                Ok(done) => noted = done,
                Err(late) => {
                    run.steps.push(Step::now("copy and delete", format!("failed: {}", chain(&late))))
                }
            }
            page(app, &mut run, from, day, invocation).await;
        }
    }
    let report = report(app, trigger, &world, day, run, invocation).await;
    noted?;
    report
}

/// What a run has done so far.
#[derive(Default)]
struct Run {
    judged: Vec<Judged>,
    actions: Vec<Action>,
    steps: Vec<Step>,
    paged: Vec<String>,
    unpaged: usize,
    /// What was to be deleted, and was not after all.
    spared: Vec<ExpiredSnapshot>,
}

/// Pages once a day for each finding that wakes somebody, of those from an index on.
async fn page(app: &App, run: &mut Run, from: usize, day: &str, invocation: &Invocation) {
    let judged = run.judged.iter().skip(from);
    let pages = judged.flat_map(|judged| {
        let paging = judged.findings.iter().filter(|finding| finding.pages());
        paging.map(|finding| text::page(&app.settings, &judged.subject, finding))
    });
    let paged = app.pager.all(&app.reporter, day, pages, REPORTING, invocation).await;
    run.paged.extend(paged.keys);
    run.unpaged += paged.failed;
    run.steps.extend(paged.steps);
}

/// What earlier runs have begun, and has come to its end since.
fn ended(app: &App, trigger: &Trigger, world: &World, journal: &Journal) -> Vec<Action> {
    let mut actions = Vec::new();
    if let (Some(copies), Some(away), Trigger::Sweep | Trigger::Follow) = (world.copies(), &app.away, trigger)
    {
        for copy in journal.copies.iter().filter(|copy| !copy.reported) {
            let found = copies.iter().find(|one| copy.is(one));
            if let Some(found) = found.filter(|found| progress(&found.status) == Progress::Available) {
                actions.push(Action::Copied {
                    arn: found.arn.clone(),
                    source: copy.source.clone(),
                    target: copy.target.clone(),
                    region: away.region.clone(),
                });
            }
        }
    }
    if *trigger == Trigger::Sweep {
        // Of a region that was not seen nothing is known.
        let region = app.away.as_ref().map(|away| format!(":{}:", away.region));
        let is_away =
            |deletion: &&ExpiredSnapshot| region.as_ref().is_some_and(|region| deletion.arn.contains(region));
        for deletion in
            journal.deleting.iter().filter(|deletion| !is_away(deletion) || world.copies().is_some())
        {
            let all = world.home.iter().chain(world.copies().unwrap_or_default());
            let mut there = all.filter(|one| {
                one.is_same(&deletion.arn, deletion.taken) && progress(&one.status) != Progress::Deleted
            });
            if there.next().is_none() {
                actions.push(Action::Deleted(deletion.clone()));
            }
        }
    }
    actions
}

/// Copies the newest snapshot of the day, and deletes those that have expired.
async fn copy_and_delete(
    app: &App,
    world: &World,
    journal: &Journal,
    day: &str,
    now: Timestamp,
    run: &mut Run,
) -> Result<(), EvidenceError> {
    let mut in_use: BTreeSet<String> = BTreeSet::new();
    if let (Some(away), Some(copies)) = (&app.away, world.copies()) {
        in_use.extend(copy(app, away, world, copies, day, now, run).await?);
        // While it is copied, a source may not go; also when the copy is not shown yet.
        let running = copies.iter().filter(|one| progress(&one.status) == Progress::Creating);
        in_use.extend(running.filter_map(|one| one.tags.get(policy::COPY_OF).cloned()));
        let is_shown = |copy: &journal::Copy| copies.iter().any(|one| copy.is(one));
        let hidden = journal.copies.iter().filter(|copy| !copy.reported && !is_shown(copy));
        in_use.extend(hidden.map(|copy| copy.source.clone()));
    }
    let Ok(today) = day.parse::<Date>() else { return Ok(()) };
    if matches!(world.away, Some(Err(_))) {
        run.steps.push(Step::now("delete what has expired", "left: what is being copied was not seen"));
        return Ok(());
    }
    let mut expired = Vec::new();
    for (client, all, region) in [
        (Some(&app.rds), world.home.as_slice(), None),
        (
            app.away.as_ref().map(|away| &away.rds),
            world.copies().unwrap_or_default(),
            app.away.as_ref().map(|away| &away.region),
        ),
    ] {
        let Some(client) = client else { continue };
        let found = policy::expired(all, &app.settings, today, &in_use).into_iter();
        expired.extend(found.map(|one| (client, region, one)));
    }
    let deletions: Vec<ExpiredSnapshot> =
        expired.iter().map(|(_, _, one)| ExpiredSnapshot::from(&one.snapshot)).collect();
    // What an earlier run has noted, and what is to stay by now.
    let all = world.home.iter().chain(world.copies().unwrap_or_default());
    let there: Vec<ExpiredSnapshot> = all.map(ExpiredSnapshot::from).collect();
    let stays = |deletion: &&ExpiredSnapshot| {
        there.iter().any(|one| one.arn == deletion.arn && one.taken == deletion.taken)
            && !deletions.contains(deletion)
    };
    run.spared.extend(journal.deleting.iter().filter(stays).cloned());
    if deletions.is_empty() {
        return Ok(());
    }
    update(app, |journal| journal.intend(&deletions)).await?;
    for ((client, region, one), deletion) in expired.iter().zip(deletions) {
        let name = format!("delete {}", deletion.arn);
        match delete(client, one, &app.settings, today).await {
            Ok(true) => run.actions.push(Action::Deleted(deletion)),
            Ok(false) => {
                run.steps.push(Step::now(name, "left: it has changed since it was listed"));
                run.spared.push(deletion);
            }
            Err(call) => {
                run.steps.push(Step::now(name, format!("failed: {}", chain(&call))));
                let subject = Subject::Snapshot(Box::new(one.snapshot.clone()), region.cloned());
                run.judged.push(Judged::new(subject, Finding::NotDeleted { why: chain(&call) }));
            }
        }
    }
    Ok(())
}

/// Deletes one that has expired, unless it or the one that stays for it is another by now; `false` then.
async fn delete(
    client: &aws_sdk_rds::Client,
    one: &Expired,
    settings: &Settings,
    today: Date,
) -> Result<bool, CallError> {
    let keeper = match &one.keeper {
        Some(keeper) => aws::find(client, keeper.kind, &keeper.name).await?,
        None => None,
    };
    let Some(now) = aws::find(client, one.snapshot.kind, &one.snapshot.name).await? else {
        // Another attempt was faster.
        return Ok(true);
    };
    if !one.holds(&now, keeper.as_ref(), settings, today) {
        return Ok(false);
    }
    tracing::info!(message = "deleting what has expired", rds.snapshot = now.name, rds.arn = now.arn);
    match aws::delete(client, now.kind, &now.name).await {
        Err(call) if !call.code.contains("SnapshotNotFound") => Err(call),
        _ => Ok(true),
    }
}

/// Makes sure that RDS was asked for the day's copy, once; gives the ARN of its source when it was asked now.
async fn copy(
    app: &App,
    away: &Away,
    world: &World,
    copies: &[Snapshot],
    day: &str,
    now: Timestamp,
    run: &mut Run,
) -> Result<Option<String>, EvidenceError> {
    let named = || Database { id: app.instance.clone(), ..Database::default() };
    let database = match &world.database {
        Some(Ok(database)) => database.clone(),
        Some(Err(_)) | None => named(),
    };
    let subject =
        || Subject::Copy { database: database.clone(), region: away.region.clone(), key: away.key.clone() };
    if let Some(Err(why)) = &world.database {
        run.judged.push(Judged::new(subject(), Finding::InsufficientData { why: why.clone() }));
        return Ok(None);
    }
    let stale = policy::stale(copies, &database, &app.settings, now);
    run.judged.extend(stale.map(|stale| Judged::new(subject(), stale)));
    let source = match policy::source(&world.home, &database, &app.settings) {
        Ok(source) => source,
        Err(finding) => {
            run.judged.push(Judged::new(subject(), finding));
            return Ok(None);
        }
    };
    let target = policy::copy_name(&app.settings, source.kind, &source.name);
    let is_there = |kind: Kind, target: &str| copies.iter().any(|one| one.kind == kind && one.name == target);
    let available = world.home.iter().filter(|one| progress(&one.status) == Progress::Available);
    let available: BTreeSet<String> = available.map(|one| one.arn.clone()).collect();
    let chosen = world.journal.iter().flat_map(|journal| &journal.copies).find(|copy| copy.day == day);
    // One that failed, was told and deleted by somebody is chosen anew.
    let is_good = |copy: &&journal::Copy| {
        is_there(copy.kind, &copy.target) || (!copy.reported && available.contains(&copy.source))
    };
    let chosen = match chosen.filter(is_good) {
        Some(chosen) => chosen.clone(),
        None if is_there(source.kind, &target) => {
            run.steps
                .push(Step::now(format!("copy {}", source.arn), "was copied before; there is no newer one"));
            return Ok(None);
        }
        None => {
            let journal =
                update(app, |journal| drop(journal.choose(day, source, &target, &available))).await?;
            match journal.copies.into_iter().find(|copy| copy.day == day) {
                Some(chosen) => chosen,
                None => return Ok(None),
            }
        }
    };
    if is_there(chosen.kind, &chosen.target) {
        return Ok(None);
    }
    let mut tags = vec![
        (PROJECT, app.settings.project.clone()),
        (ENVIRONMENT, app.settings.environment.clone()),
        (MANAGED_BY, PROCEDURE.to_owned()),
        (policy::COPY_OF, chosen.source.clone()),
        (EXPIRES_ON, snapshots::expires(now, app.retention_days)),
    ];
    let taken = world.home.iter().find(|one| one.arn == chosen.source).and_then(|one| one.taken);
    if let (Kind::Cluster, Some(taken)) = (chosen.kind, taken) {
        tags.push((policy::TAKEN_AT, taken.to_string()));
    }
    tracing::info!(message = "asking for a copy", rds.source = chosen.source, rds.snapshot = chosen.target);
    let outcome =
        match aws::copy(&away.rds, chosen.kind, &chosen.source, &chosen.target, &away.key, tags).await {
            Ok(()) => format!("asked for as {} in {}", chosen.target, away.region),
            // By another attempt.
            Err(call) if call.code.contains("SnapshotAlreadyExists") => "was asked for already".to_owned(),
            Err(call) if call.is_unanswered() && is_made(away, &chosen).await => {
                format!("asked for as {} in {}; the answer was lost", chosen.target, away.region)
            }
            Err(call) => {
                let why = chain(&call);
                run.judged.push(Judged::new(subject(), Finding::CopyRefused { why: why.clone() }));
                format!("failed: {why}")
            }
        };
    run.steps.push(Step::now(format!("copy {}", chosen.source), outcome));
    Ok(Some(chosen.source))
}

/// Whether RDS has a copy that it did not answer for.
async fn is_made(away: &Away, copy: &journal::Copy) -> bool {
    matches!(aws::find(&away.rds, copy.kind, &copy.target).await, Ok(Some(found)) if copy.is(&found))
}

/// The part of the record before that the next one needs.
#[derive(Default, Deserialize)]
struct Before {
    sequence: u64,
    findings: Vec<String>,
    steps: Vec<PastStep>,
}

#[derive(Deserialize)]
struct PastStep {
    name: String,
}

/// How the findings differ from those of the record before.
struct Changes {
    new: BTreeSet<String>,
    resolved: BTreeSet<String>,
    still: BTreeSet<String>,
    /// Lines of what this run did not find out anew.
    carried: Vec<String>,
}

/// What could not be seen is not resolved, and what the run is not about is as it was.
fn changes(app: &App, trigger: &Trigger, before: &Before, judged: &[Judged]) -> Changes {
    let all = judged.iter().flat_map(|judged| {
        judged
            .findings
            .iter()
            .map(move |finding| (&judged.subject, finding, text::key(&judged.subject, finding)))
    });
    let unseen: Vec<String> = all
        .clone()
        .filter(|(_, finding, _)| matches!(finding, Finding::InsufficientData { .. }))
        .map(|(subject, _, _)| subject.label())
        .collect();
    let is_unseen = |key: &str| {
        let label = key.split_once(' ').map_or("", |(_, label)| label);
        unseen.iter().any(|unseen| match unseen.strip_prefix("region") {
            Some(region) => label.ends_with(region),
            None => label == unseen,
        })
    };
    let after: BTreeSet<String> = all.map(|(_, _, key)| key).collect();
    let mut changes = Changes {
        new: BTreeSet::new(),
        resolved: BTreeSet::new(),
        still: BTreeSet::new(),
        carried: Vec::new(),
    };
    let mut known = BTreeSet::new();
    for line in &before.findings {
        let key = text::key_of(line).to_owned();
        if after.contains(&key) {
            changes.still.insert(key.clone());
        } else if !covers(app, trigger, &key) || is_unseen(&key) {
            changes.carried.push(line.clone());
        } else {
            changes.resolved.insert(key.clone());
        }
        known.insert(key);
    }
    changes.new = after.difference(&known).cloned().collect();
    changes
}

/// Tells the channel what changed and what was done, writes the record, and settles what was told.
async fn report(
    app: &App,
    trigger: &Trigger,
    world: &World,
    day: &str,
    mut run: Run,
    invocation: &Invocation,
) -> Result<Report, VerifyError> {
    let before = app.reporter.before::<Before>().await.ok().flatten().unwrap_or_default();
    let changes = changes(app, trigger, &before, &run.judged);
    // An attempt that died behind its record has told them.
    let is_reported = |action: &Action| before.steps.iter().any(|reported| reported.name == action.step());
    let fresh: Vec<Action> = run.actions.iter().filter(|action| !is_reported(action)).cloned().collect();
    run.steps.extend(fresh.iter().map(|action| Step::now(action.step(), action.outcome())));
    let has_changed = !changes.new.is_empty() || !changes.resolved.is_empty() || !fresh.is_empty();
    let of_day = app.reporter.look(day).await;
    let is_of_day = *trigger == Trigger::Sweep && !of_day.is_recorded();
    // A second run of the day that found a change has the place behind the record before as its name.
    let run_id = if is_of_day {
        Some(day.to_owned())
    } else {
        has_changed.then(|| format!("{day}/{}", before.sequence + 1))
    };
    let is_green = run.judged.iter().flat_map(|one| &one.findings).all(|finding| !finding.fails());
    let result = if is_green { "succeeded" } else { "failed" };
    if let Some(run_id) = &run_id {
        let begun = if is_of_day { of_day } else { app.reporter.look(run_id).await };
        let reported = text::Summary {
            run_id,
            judged: &run.judged,
            new: &changes.new,
            resolved: &changes.resolved,
            still: &changes.still,
            actions: &fresh,
        };
        let message = (has_changed || begun.was_left_open()).then(|| text::summary(&app.settings, &reported));
        let count = format!("look at {} snapshots", rows(&run.judged).len());
        let mut steps = vec![Step::now(count, result)];
        steps.append(&mut run.steps);
        let draft = Draft {
            steps,
            findings: lines(&run.judged).chain(changes.carried).collect(),
            ..draft(app, trigger, run_id, result, invocation)
        };
        app.reporter.report(draft, message.as_ref(), begun, invocation).await;
    }
    if let Ok(journal) = &world.journal {
        settle(app, journal, world, day, &run, invocation).await;
    }
    if run.unpaged > 0 {
        return Err(VerifyError::PageFailed(run.unpaged));
    }
    let snapshots = rows(&run.judged);
    let name_of = |action: &Action| match action {
        Action::Deleted(deletion) => (Some(deletion.name.clone()), None),
        Action::Copied { target, .. } => (None, Some(target.clone())),
    };
    let (deleted, copied): (Vec<_>, Vec<_>) = fresh.iter().map(name_of).unzip();
    Ok(Report {
        run_id,
        result: if snapshots.is_empty() && run.judged.is_empty() { "nothing" } else { result },
        snapshots,
        findings: run
            .judged
            .iter()
            .flat_map(|one| one.findings.iter().map(|finding| text::key(&one.subject, finding)))
            .collect(),
        deleted: deleted.into_iter().flatten().collect(),
        copied: copied.into_iter().flatten().collect(),
        paged: run.paged,
    })
}

/// Takes out of the journal what was told, and what came to nothing. Cannot fail the run: the next one finds what it has told in
/// the record.
async fn settle(app: &App, journal: &Journal, world: &World, day: &str, run: &Run, invocation: &Invocation) {
    let mut targets = BTreeSet::new();
    let mut deletions = run.spared.clone();
    for action in &run.actions {
        match action {
            Action::Deleted(deletion) => deletions.push(deletion.clone()),
            Action::Copied { target, .. } => drop(targets.insert(target.clone())),
        }
    }
    // A copy that failed is told as a finding; one of another day that is not there was refused, or deleted by somebody.
    if let Some(copies) = world.copies() {
        for copy in journal.copies.iter().filter(|copy| !copy.reported) {
            let found = copies.iter().find(|one| copy.is(one));
            let has_failed = found.is_some_and(|found| progress(&found.status) == Progress::Failed);
            if has_failed || (found.is_none() && copy.day != day) {
                targets.insert(copy.target.clone());
            }
        }
    }
    if targets.is_empty() && deletions.is_empty() {
        return;
    }
    let margin = Duration::from_millis(500);
    let settled = invocation
        .before_deadline(margin, update(app, |journal| journal.settle(day, &targets, &deletions)))
        .await;
    let settled = settled.map_err(|late| chain(&late)).and_then(|done| done.map_err(|error| chain(&error)));
    if let Err(reason) = settled {
        tracing::warn!(message = format!("what was told was not settled: {reason}"));
    }
}

fn lines(judged: &[Judged]) -> impl Iterator<Item = String> {
    judged.iter().flat_map(|one| one.findings.iter().map(move |finding| text::line(&one.subject, finding)))
}

/// The snapshots of the answer. What was found while it was copied or deleted stands beside, with the same one.
fn rows(judged: &[Judged]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for judged in judged {
        let Subject::Snapshot(snapshot, region) = &judged.subject else { continue };
        let kinds = judged.findings.iter().map(Finding::kind);
        match rows
            .iter_mut()
            .find(|row| row.name == snapshot.name && row.kind == snapshot.kind && row.region == *region)
        {
            Some(row) => {
                row.findings.extend(kinds);
                row.verdict = Some("fail");
            }
            None => rows.push(Row {
                name: snapshot.name.clone(),
                region: region.clone(),
                kind: snapshot.kind,
                instance: snapshot.instance.clone(),
                status: snapshot.status.clone(),
                verdict: policy::verdict(snapshot, &judged.findings),
                findings: kinds.collect(),
            }),
        }
    }
    rows
}

/// Tells and records, once a day for each cause, that nothing is known.
async fn report_failed(
    app: &App,
    trigger: &Trigger,
    day: &str,
    error: &VerifyError,
    invocation: &Invocation,
) {
    let run_id = format!("{day}/{}", error.fingerprint());
    let language = app.settings.language;
    let message = text::failed(&app.settings, &run_id, &chain(error), &error.next_step(language));
    let begun = app.reporter.look(&run_id).await;
    let mut findings = vec![format!("{} run: {}", error.kind(), chain(error))];
    // What was wrong before still is, as far as anybody knows.
    let before = app.reporter.before::<Before>().await.ok().flatten().unwrap_or_default();
    findings.extend(before.findings.into_iter().filter(|line| !line.starts_with(error.kind())));
    let draft = Draft {
        steps: vec![Step::now("look at the snapshots", format!("failed: {}", error.kind()))],
        findings,
        ..draft(app, trigger, &run_id, "failed", invocation)
    };
    app.reporter.report(draft, Some(&message), begun, invocation).await;
}

/// The part of a record that every run has.
fn draft(app: &App, trigger: &Trigger, run_id: &str, result: &'static str, invocation: &Invocation) -> Draft {
    let (project, environment) = (&app.settings.project, &app.settings.environment);
    let (trigger, subject) = match trigger {
        Trigger::Sweep => ("sweep".to_owned(), format!("snapshots of {project}-{environment}")),
        Trigger::Follow => ("hourly look".to_owned(), format!("copies of {project}-{environment}")),
        Trigger::One(name) => ("snapshot event".to_owned(), format!("snapshot {name}")),
    };
    Draft { trigger, subject, ..Draft::of(&app.settings, run_id, result, invocation.now) }
}
