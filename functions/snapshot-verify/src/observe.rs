//! Observe: the environment's snapshots in both regions, and the runs' journal.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::aws::snapshots::{self, Database, Kind, Progress, Snapshot, progress};
use shared::aws::{rds, restores};
use shared::runtime::failure::{CallError, chain};

use crate::event::Trigger;
use crate::rules::facts::Facts;
use crate::rules::scope::concerns;
use crate::{App, aws, update};

/// Reads the environment's snapshots in both regions, and the accounts that may restore those in the run's scope.
pub(crate) async fn observe(app: &App, trigger: &Trigger, now: Timestamp) -> Result<Facts, CallError> {
    let is_ours = |snapshot: &Snapshot| match snapshot.kind {
        // A restore test's instance makes snapshots and events that say nothing about the environment.
        Kind::Instance => {
            snapshots::is_ours(&snapshot.instance, &app.instance, &app.settings)
                && !restores::is_scratch(&snapshot.instance, &app.settings)
        }
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
    Ok(Facts { home, away, database, journal })
}

/// The database to copy the snapshots of. For a cluster, the role must cover its name. A name that RDS does not know
/// counts as an instance, whose snapshots may outlive it.
async fn copied(app: &App) -> Result<Database, String> {
    let database = rds::database(&app.rds, &app.instance).await.map_err(|call| chain(&call))?;
    let database = database.unwrap_or_else(|| Database { id: app.instance.clone(), ..Database::default() });
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
