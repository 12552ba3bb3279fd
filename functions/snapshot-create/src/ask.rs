//! Act: request the deploy's snapshot from RDS once.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::aws::rds;
use shared::aws::snapshots::{self, Database, Kind, Snapshot};

use crate::error::refusal;
use crate::observe::{Seen, look, save, update};
use crate::rules::request::Request;
use crate::rules::tags::{is_of, tags};
use crate::rules::{name, policy};
use crate::{App, SnapshotError, aws};

/// Names that one attempt tries; the next attempt continues from there.
const NAMES: u8 = 8;

/// Ensures that the deploy's snapshot has been requested from RDS exactly once.
pub(crate) async fn ask(app: &App, request: &Request, now: Timestamp) -> Result<Seen, SnapshotError> {
    let instance = app.instance_of(request);
    let (project, environment) = (&app.base.settings.project, &app.base.settings.environment);
    if !snapshots::is_own_cluster(instance, &app.instance, &app.base.settings) {
        return Err(SnapshotError::NotOurs {
            instance: instance.to_owned(),
            expected: app.instance.clone(),
            prefix: snapshots::prefix(&app.base.settings),
        });
    }
    let job = update(app, request, |_| ()).await?;
    if job.made.is_some() {
        return look(app, request, job, now).await;
    }
    let database = &database(app, instance).await?;
    let refused = |call| refusal(call, &database.id);
    let listed = aws::list(&app.rds, database).await.map_err(refused)?;
    // An attempt made it that lost RDS's answer or could not save its note.
    let own = |snapshot: &&Snapshot| {
        is_of(snapshot, database, &request.deploy)
            && snapshot.name.starts_with(&snapshots::prefix(&app.base.settings))
    };
    if let Some(own) = listed.iter().find(own) {
        return save(app, request, own.clone(), true, now).await;
    }
    let mut taken: BTreeSet<String> = listed.into_iter().map(|snapshot| snapshot.name).collect();
    let free = name::first_free(&name::of_day(project, environment, now), &taken);
    let mut job = update(app, request, |job| job.begin(&free, database, now)).await?;
    for _ in 0..NAMES {
        // A concurrent attempt was faster.
        if job.made.is_some() {
            return look(app, request, job, now).await;
        }
        let begun = job.begun.unwrap_or(now);
        let name = job.name.clone().unwrap_or(free.clone());
        let tags = tags(&app.base.settings, request, &snapshots::expires(begun, app.retention_days));
        tracing::info!(message = "requesting a snapshot", rds.snapshot = name, rds.database = database.id);
        let call = match aws::create(&app.rds, &name, database, tags).await {
            Ok(made) => return save(app, request, made, false, now).await,
            Err(call) => call,
        };
        // The database is also unavailable while RDS makes this deploy's snapshot.
        let is_busy = ["InvalidDBInstanceState", "InvalidDBClusterState"].contains(&call.plain_code());
        let exists =
            ["DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExists"].contains(&call.plain_code());
        if !is_busy && !exists && !call.is_unanswered() {
            return Err(refused(call));
        }
        match rds::snapshot(&app.rds, database.kind, &name).await.map_err(refused)? {
            Some(found) if is_of(&found, database, &request.deploy) => {
                return save(app, request, found, true, now).await;
            }
            Some(_) => {
                taken.insert(name.clone());
                let next = name::first_free(&name::of_day(project, environment, begun), &taken);
                job = update(app, request, |job| job.move_on(&name, &next)).await?;
            }
            None if is_busy => return Err(busy(app, database).await),
            // RDS does not list it yet, or it was just deleted.
            None => return Err(refused(call)),
        }
    }
    Err(SnapshotError::NamesTaken(NAMES, job.name.unwrap_or_default()))
}

/// The database that RDS takes the snapshot of: the named instance or cluster, or the cluster that the named instance
/// is a member of, which the role must cover.
async fn database(app: &App, name: &str) -> Result<Database, SnapshotError> {
    // The role may only describe this environment's instances.
    let found = if snapshots::is_ours(name, &app.instance, &app.base.settings) {
        rds::database(&app.rds, name).await
    } else {
        rds::cluster(&app.rds, name).await
    };
    let found = found.map_err(|call| refusal(call, name))?;
    let found = found.ok_or_else(|| SnapshotError::InstanceNotFound(name.to_owned()))?;
    let is_covered =
        found.id == name || snapshots::is_own_cluster(&found.id, &app.instance, &app.base.settings);
    if is_covered {
        return Ok(found);
    }
    let prefix = snapshots::prefix(&app.base.settings);
    let expected = format!("{} or begin with {prefix}", prefix.trim_end_matches('-'));
    Err(SnapshotError::ClusterNotOurs { instance: name.to_owned(), cluster: found.id, expected })
}

/// The error for a database that RDS cannot take a snapshot of now.
async fn busy(app: &App, database: &Database) -> SnapshotError {
    let state = match aws::state(&app.rds, database).await {
        Ok(state) => state,
        Err(call) => return refusal(call, &database.id),
    };
    let error = match (database.kind, policy::passes(&state)) {
        (Kind::Instance, true) => SnapshotError::InstanceBusy,
        (Kind::Instance, false) => SnapshotError::InstanceState,
        (Kind::Cluster, true) => SnapshotError::ClusterBusy,
        (Kind::Cluster, false) => SnapshotError::ClusterState,
    };
    error(database.id.clone(), state)
}
