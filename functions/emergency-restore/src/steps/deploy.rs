//! State Deploy: forces a deployment of each service that reads the secrets, and checks whether every task is new.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::ecs;
use shared::ecs::rollout::{self, Poll, Rollout};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use super::guard::must_be_guarded;
use super::switch::must_be_in_force;
use super::{about, next, whole_milliseconds};
use crate::observe::{Reader, held, readers};
use crate::rules::restore::{Direction, Phase};
use crate::{Answer, App, RestoreError, Status};

/// State of several deployments together.
pub(crate) enum Progress {
    /// One has not ended.
    Running,
    /// Every task is new.
    Steady,
    /// One failed.
    Failed(String),
}

/// Deploys once, and polls.
pub(crate) async fn deploy(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let now = invocation.now;
    let begun = whole_milliseconds(now);
    let restore = app
        .amend(execution, |restore| {
            restore.since.get_or_insert(begun);
        })
        .await?;
    if restore.phase != Phase::Deploy {
        return Ok(next(&restore));
    }
    let since = restore.since.unwrap_or(begun);
    let mut deployments = restore.deployments.clone();
    if poll == 1 || deployments.is_empty() {
        must_be_in_force(app, execution, &restore).await?;
        // The way back must not depend on the guard: the old data is as old as it was.
        if restore.direction == Direction::New {
            must_be_guarded(app, &restore).await?;
        }
        let readers = readers(app, &held(app, &restore).await?).await?;
        for reader in readers.iter().filter(|reader| reader.is_ours) {
            let service = &reader.service;
            if deployments.contains_key(&service.name) {
                continue;
            }
            let id = match service.deployed_since(since) {
                // An attempt of this step that died began it; its tasks have the values in force.
                Some(newest) => newest.id.clone(),
                None => match ecs::deploy(&app.ecs, &app.cluster, &service.name, None).await {
                    Ok(id) => id,
                    Err(call) if ecs::is_of_service(&call.code) => {
                        let detail = format!("{}: {}", service.name, chain(&call));
                        return Err(RestoreError::RolloutFailed(detail));
                    }
                    Err(call) => return Err(RestoreError::EcsCall(call)),
                },
            };
            tracing::info!(message = "deployment", ecs.service = service.name, ecs.deployment = id);
            deployments.insert(service.name.clone(), id);
        }
        app.amend(execution, |restore| restore.deployments.clone_from(&deployments)).await?;
    }
    match judge(app, &deployments, since, poll, now).await? {
        Progress::Running => {
            let policy = &app.base.settings.policy.rotation.followup;
            Ok(about(&restore, rollout::wait_seconds(poll, policy), Status::Running))
        }
        Progress::Failed(detail) => Err(RestoreError::RolloutFailed(detail)),
        Progress::Steady => {
            // A value or a deploy by others may have come in between.
            must_be_in_force(app, execution, &restore).await?;
            if restore.direction == Direction::New {
                must_be_guarded(app, &restore).await?;
            }
            let stale = stale(&readers(app, &held(app, &restore).await?).await?, since);
            if !stale.is_empty() {
                return Err(RestoreError::ServiceNotDeployed(stale.join(", ")));
            }
            let restore =
                app.amend(execution, |restore| restore.advance(Phase::Deploy, Phase::Smoke, now)).await?;
            Ok(next(&restore))
        }
    }
}

/// The services that only others can deploy, and that have tasks from before `since`.
fn stale(readers: &[Reader], since: Timestamp) -> Vec<String> {
    let of_others = readers.iter().filter(|reader| !reader.is_ours && reader.pinned.is_empty());
    let stale = of_others.filter(|Reader { service, .. }| {
        let has_tasks = service.running > 0 || !service.sets.is_empty();
        has_tasks && !service.others_since(since)
    });
    stale.map(|reader| format!("{} ({})", reader.service.name, reader.controller())).collect()
}

/// Checks the deployments once; `deployments` has their ids by service.
pub(crate) async fn judge(
    app: &App,
    deployments: &BTreeMap<String, String>,
    since: Timestamp,
    poll: u16,
    now: Timestamp,
) -> Result<Progress, RestoreError> {
    let policy = &app.base.settings.policy.rotation.followup;
    let names: Vec<_> = deployments.keys().cloned().collect();
    let services =
        ecs::describe_services(&app.ecs, &app.cluster, &names).await.map_err(RestoreError::EcsCall)?;
    let poll = Poll { since, now, number: poll, policy };
    let mut progress = Progress::Steady;
    for (name, id) in deployments {
        let service = services.iter().find(|service| service.name == *name);
        let service = service.ok_or_else(|| RestoreError::NoService(name.clone()))?;
        let shifted = match service.shift_minutes {
            None => None,
            Some(_) => ecs::service_deployment(&app.ecs, &app.cluster, name, since)
                .await
                .map_err(RestoreError::EcsCall)?,
        };
        match rollout::judge(service, id, shifted.as_ref(), &poll) {
            Rollout::Steady => {}
            Rollout::Running => progress = Progress::Running,
            Rollout::Failed(detail) | Rollout::Unfinished(detail) | Rollout::OthersFailed(detail) => {
                return Ok(Progress::Failed(detail));
            }
        }
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use shared::ecs::rollout::Service;

    use super::*;

    #[test]
    fn a_service_of_others_counts_as_new_when_every_task_set_is() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (controller, is_active, running, sets, expected) in [
            ("EXTERNAL", true, 1, &[9][..], Some("batch (EXTERNAL)")),
            ("CODE_DEPLOY", true, 2, &[9, 11], Some("batch (CODE_DEPLOY)")),
            ("EXTERNAL", true, 1, &[10], None),
            ("EXTERNAL", true, 0, &[], None),
            ("EXTERNAL", true, 1, &[], Some("batch (EXTERNAL)")),
            ("ECS", false, 1, &[], Some("batch (DRAINING)")),
        ] {
            let service = Service {
                name: "batch".to_owned(),
                is_active,
                controller: controller.to_owned(),
                running,
                sets: sets.iter().map(|second| at(*second)).collect(),
                ..Service::default()
            };
            let reader = |is_ours| Reader { service: service.clone(), is_ours, pinned: Vec::new() };
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(stale(&[reader(false)], at(10)), expected, "{controller} {sets:?}");
            assert_eq!(stale(&[reader(true)], at(10)), Vec::<String>::new());
        }
    }
}
