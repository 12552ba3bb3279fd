//! Observe: the deploy's note, and its snapshot as RDS shows it.

use jiff::Timestamp;
use shared::aws::rds;
use shared::aws::snapshots::Snapshot;
use shared::runtime::lambda::Invocation;

use crate::error::refusal;
use crate::rules::job::{self, Job};
use crate::rules::policy::{self, Status};
use crate::rules::request::Request;
use crate::rules::tags::is_of;
use crate::{App, REPORTING, SnapshotError};

/// A deploy's snapshot: its note, and its state in RDS.
pub(crate) struct Seen {
    pub job: Job,
    pub snapshot: Option<Snapshot>,
    pub status: Status,
}

/// Reads the note and the state of the deploy's snapshot.
pub(crate) async fn seen(app: &App, request: &Request, now: Timestamp) -> Result<Seen, SnapshotError> {
    let job = update(app, request, |_| ()).await?;
    look(app, request, job, now).await
}

/// Reads the state of the snapshot that the note names.
pub(crate) async fn look(
    app: &App,
    request: &Request,
    job: Job,
    now: Timestamp,
) -> Result<Seen, SnapshotError> {
    let instance = app.instance_of(request);
    let Some(name) = job.name.clone().filter(|_| job.made.is_some()) else {
        return Err(SnapshotError::NotAsked(request.deploy.clone()));
    };
    let database = job.database_of(instance);
    let found = rds::snapshot(&app.rds, database.kind, &name).await;
    let found = found.map_err(|call| refusal(call, &database.id))?;
    // Identify it by its tag: another deploy may have taken the name by now.
    match found.filter(|found| is_of(found, &database, &request.deploy)) {
        Some(found) => save(app, request, found, true, now).await,
        None => Ok(Seen { status: policy::status(None, job.seen), snapshot: None, job }),
    }
}

/// Notes that RDS has the snapshot; `shown` if RDS described it, rather than only accepted the request.
pub(crate) async fn save(
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

/// Changes the deploy's note and returns the result.
pub(crate) async fn update(
    app: &App,
    request: &Request,
    change: impl Fn(&mut Job),
) -> Result<Job, SnapshotError> {
    let note = job::note(app.instance_of(request), &request.deploy);
    let updated = app.base.reporter.documents.update(&note, |job: &mut Job| {
        change(job);
        job.clone()
    });
    Ok(updated.await?)
}

/// Reads the deploy's note for a failure message. Without the note, the message lacks the snapshot's name and advises
/// commands for the instance even if the snapshot belongs to its cluster.
pub(crate) async fn saved(app: &App, request: &Request, invocation: &Invocation) -> Job {
    let note = job::note(app.instance_of(request), &request.deploy);
    let kept = invocation.before_deadline(REPORTING, app.base.reporter.documents.get::<Job>(&note)).await;
    kept.ok().and_then(Result::ok).flatten().unwrap_or_default()
}
