//! State Migrate: runs the configured task on the restored database, once.

use jiff::Timestamp;

use super::{about, next};
use crate::aws;
use crate::rules::restore::{Migration, Phase, Restore};
use crate::{Answer, App, RestoreError, Status};

/// Whether the migration's task may still start or run.
pub(crate) async fn is_running(app: &App, restore: &Restore) -> Result<bool, RestoreError> {
    let policy = app.policy().migration.as_ref();
    let unended = restore.migration.as_ref().filter(|migration| migration.exit.is_none());
    let (Some(policy), Some(migration)) = (policy, unended) else { return Ok(false) };
    let found = aws::ecs::task(&app.ecs, &app.cluster, &migration.task, &policy.container).await;
    Ok(found.map_err(RestoreError::EcsCall)?.is_some_and(|task| !task.is_stopped))
}

/// Starts the task unless it was started, and polls it.
pub(crate) async fn migrate(
    app: &App,
    execution: &str,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Migrate {
        return Ok(next(&restore));
    }
    let polls = &app.policy().task;
    let Some(policy) = &app.policy().migration else {
        let restore =
            app.amend(execution, |restore| restore.advance(Phase::Migrate, Phase::Deploy, now)).await?;
        return Ok(next(&restore));
    };
    let Some(migration) = &restore.migration else {
        // Another task starts only after one that failed.
        let token = format!("{}-{}", restore.run, restore.migrations);
        let started = aws::ecs::run(&app.ecs, &app.cluster, policy, &app.policy().guard, &token).await;
        let task = started.map_err(RestoreError::EcsCall)?.map_err(RestoreError::MigrationNotStarted)?;
        tracing::info!(message = "migration started", ecs.task = task);
        let migration = Migration { task, exit: None };
        app.amend(execution, |restore| restore.migration = Some(migration.clone())).await?;
        return Ok(about(&restore, polls.every_seconds, Status::Running));
    };
    let found = aws::ecs::task(&app.ecs, &app.cluster, &migration.task, &policy.container).await;
    let found = found.map_err(RestoreError::EcsCall)?;
    let Some(task) = found else {
        return Err(RestoreError::MigrationUnknown(migration.task.clone()));
    };
    if !task.is_stopped {
        if polls.is_last(poll) {
            return Err(RestoreError::MigrationSlow(polls.seconds()));
        }
        return Ok(about(&restore, polls.every_seconds, Status::Running));
    }
    match task.exit {
        Some(0) => {
            let restore = app
                .amend(execution, |restore| {
                    if let Some(migration) = &mut restore.migration {
                        migration.exit = Some(0);
                    }
                    restore.advance(Phase::Migrate, Phase::Deploy, now);
                })
                .await?;
            Ok(next(&restore))
        }
        Some(code) => Err(RestoreError::MigrationFailed(format!("exit code {code}: {}", task.reason))),
        None => Err(RestoreError::MigrationFailed(format!("no exit code: {}", task.reason))),
    }
}
