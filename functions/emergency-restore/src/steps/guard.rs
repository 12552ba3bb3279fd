//! State Guard: deploys the services with settings under which they delete nothing, before any task can see restored data.
//!
//! It ends only when no task without the guard is left. From then on, whatever ECS starts or returns to has the guard, so
//! that the secrets may be moved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::ecs;
use shared::ecs::rollout::Service;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use super::deploy::{Progress, judge};
use super::{about, next, whole_milliseconds};
use crate::aws;
use crate::observe::{Reader, held, must_follow, readers};
use crate::rules::restore::{Guarded, Phase, Restore};
use crate::{Answer, App, RestoreError, Status};

/// Registers and deploys the guard where it is missing, and polls the rollouts.
pub(crate) async fn guard(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let now = invocation.now;
    let since = whole_milliseconds(now);
    let restore = app
        .amend(execution, |restore| {
            restore.since.get_or_insert(since);
        })
        .await?;
    if restore.phase != Phase::Guard {
        return Ok(next(&restore));
    }
    let readers = readers(app, &held(app, &restore).await?).await?;
    must_follow(&readers)?;
    let mut refused = Vec::new();
    let mut deployments = BTreeMap::new();
    for reader @ Reader { service, is_ours, .. } in &readers {
        if *is_ours {
            if let Some(id) = deploy(app, execution, &restore, service).await? {
                deployments.insert(service.name.clone(), id);
            }
        } else if !is_guarded(app, service).await? {
            refused.push(format!("{} ({})", service.name, reader.controller()));
        }
    }
    if !refused.is_empty() {
        return Err(RestoreError::ServiceNotGuarded(refused.join(", ")));
    }
    let policy = &app.base.settings.policy.rotation.followup;
    let begun = restore.since.unwrap_or(since);
    match judge(app, &deployments, begun, poll, now).await? {
        Progress::Running => {
            return Ok(about(&restore, ecs::rollout::wait_seconds(poll, policy), Status::Running));
        }
        Progress::Failed(detail) => return Err(RestoreError::RolloutFailed(detail)),
        Progress::Steady => {}
    }
    must_be_guarded(app, &restore).await?;
    let restore = app.amend(execution, |restore| restore.advance(Phase::Guard, Phase::Switch, now)).await?;
    Ok(next(&restore))
}

/// Brings the guard to a service, and returns the deployment that has to end; none if every task has it already.
async fn deploy(
    app: &App,
    execution: &str,
    restore: &Restore,
    service: &Service,
) -> Result<Option<String>, RestoreError> {
    let known = restore.guards.get(&service.name);
    if let Some(deployment) = known.and_then(|known| known.deployment.clone()) {
        return Ok(Some(deployment));
    }
    if known.is_none() && is_guarded(app, service).await? {
        return Ok(None);
    }
    let with = match known {
        Some(known) => known.with.clone(),
        None => {
            let Some(before) = service.next.first() else { return Ok(None) };
            let definition = aws::ecs::definition(&app.ecs, before).await.map_err(RestoreError::EcsCall)?;
            let has_guard = definition.has(&app.policy().guard);
            let with = if has_guard {
                before.clone()
            } else {
                let guard = &app.policy().guard;
                aws::ecs::register(&app.ecs, definition, guard).await.map_err(RestoreError::EcsCall)?
            };
            tracing::info!(message = "guard registered", ecs.service = service.name, ecs.definition = with);
            let guarded = Guarded { with: with.clone(), deployment: None };
            app.amend(execution, |restore| {
                // After a deploy by others, the way out of the guard leads to theirs.
                if !has_guard {
                    restore.unguarded.insert(service.name.clone(), before.clone());
                }
                restore.guards.insert(service.name.clone(), guarded.clone());
            })
            .await?;
            with
        }
    };
    let since = restore.since.unwrap_or(Timestamp::MAX);
    let id = match service.deployed_since(since).filter(|_| service.next.contains(&with)) {
        // An attempt of this step that died began it.
        Some(newest) => newest.id.clone(),
        None => match ecs::deploy(&app.ecs, &app.cluster, &service.name, Some(&with)).await {
            Ok(id) => id,
            Err(call) if ecs::is_of_service(&call.code) => {
                return Err(RestoreError::RolloutFailed(format!("{}: {}", service.name, chain(&call))));
            }
            Err(call) => return Err(RestoreError::EcsCall(call)),
        },
    };
    app.amend(execution, |restore| {
        if let Some(guard) = restore.guards.get_mut(&service.name) {
            guard.deployment = Some(id.clone());
        }
    })
    .await?;
    Ok(Some(id))
}

/// Whether every task that a service has or may start has the guard.
async fn is_guarded(app: &App, service: &Service) -> Result<bool, RestoreError> {
    for definition in service.next.iter().chain(&service.in_flight) {
        let found = aws::ecs::definition(&app.ecs, definition).await.map_err(RestoreError::EcsCall)?;
        if !found.has(&app.policy().guard) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Refuses to go on if a service that reads the secrets has lost the guard, for example by a deploy.
pub(crate) async fn must_be_guarded(app: &App, restore: &Restore) -> Result<(), RestoreError> {
    let readers = readers(app, &held(app, restore).await?).await?;
    must_follow(&readers)?;
    let mut without = Vec::new();
    for Reader { service, .. } in &readers {
        if !is_guarded(app, service).await? {
            without.push(service.name.clone());
        }
    }
    if without.is_empty() { Ok(()) } else { Err(RestoreError::GuardLost(without.join(", "))) }
}
