//! The AWS calls. The only file that names SDK operations of Secrets Manager and ECS, but for the list of secrets.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    ContainerDefinition, Deployment as EcsDeployment, DeploymentConfiguration, DeploymentStrategy,
    Service as EcsService, TaskDefinition,
};
use aws_sdk_secretsmanager::Client as Secrets;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use shared::failure::CallError;

use crate::readers::Reference;
use crate::rollout::{Deployment, Service, ServiceDeployment};

type Ecs = aws_sdk_ecs::Client;

/// Most services that one DescribeServices takes.
const SERVICES_A_CALL: usize = 10;

/// Makes `to` the current version instead of `from`.
pub(crate) async fn move_current(
    client: &Secrets,
    secret_id: &str,
    from: &str,
    to: &str,
) -> Result<(), CallError> {
    let moved = client.update_secret_version_stage().secret_id(secret_id).version_stage("AWSCURRENT");
    let moved = moved.move_to_version_id(to).remove_from_version_id(from).send().await;
    moved.map_err(CallError::during("secretsmanager:UpdateSecretVersionStage"))?;
    Ok(())
}

/// Takes AWSPENDING off a version whose rotation is finished.
pub(crate) async fn clear_pending(client: &Secrets, secret_id: &str, version: &str) -> Result<(), CallError> {
    let cleared = client.update_secret_version_stage().secret_id(secret_id).version_stage("AWSPENDING");
    let cleared = cleared.remove_from_version_id(version).send().await;
    cleared.map_err(CallError::during("secretsmanager:UpdateSecretVersionStage"))?;
    Ok(())
}

/// Names of all services of a cluster.
pub(crate) async fn services(client: &Ecs, cluster: &str) -> Result<Vec<String>, CallError> {
    let mut pages = client.list_services().cluster(cluster).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("ecs:ListServices"))?;
        let arns = page.service_arns.unwrap_or_default();
        names.extend(arns.iter().filter_map(|arn| Some(arn.rsplit_once('/')?.1.to_owned())));
    }
    Ok(names)
}

/// Services by name; what does not exist is not among them.
pub(crate) async fn describe_services(
    client: &Ecs,
    cluster: &str,
    names: &[String],
) -> Result<Vec<Service>, CallError> {
    let mut services = Vec::new();
    for names in names.chunks(SERVICES_A_CALL) {
        let described = client.describe_services().cluster(cluster).set_services(Some(names.to_vec()));
        let described = described.send().await.map_err(CallError::during("ecs:DescribeServices"))?;
        let found = described.services.unwrap_or_default().into_iter();
        services.extend(found.filter(|service| service.status() != Some("INACTIVE")).map(service));
    }
    Ok(services)
}

fn service(service: EcsService) -> Service {
    let controller = service.deployment_controller.map(|controller| controller.r#type.as_str().to_owned());
    let deployments = service.deployments.unwrap_or_default();
    let sets = service.task_sets.unwrap_or_default();
    let in_flight = deployments.iter().filter_map(|deployment| deployment.task_definition.clone());
    let with_tasks = sets.iter().filter(|set| set.status() != Some("DRAINING") || set.running_count > 0);
    let made = with_tasks.map(|set| set.created_at.and_then(precise).unwrap_or_default()).collect();
    let of_sets: BTreeSet<_> = sets.into_iter().filter_map(|set| set.task_definition).collect();
    let in_flight = in_flight.chain(of_sets.iter().cloned()).collect();
    let next = match service.task_definition.filter(|definition| !definition.is_empty()) {
        Some(definition) => BTreeSet::from([definition]),
        // Of the controllers EXTERNAL and CODE_DEPLOY it can stand in the task sets alone.
        None => of_sets,
    };
    Service {
        name: service.service_name.unwrap_or_default(),
        is_active: service.status.is_none_or(|status| status == "ACTIVE"),
        // Left out, it is ECS's own.
        controller: controller.unwrap_or_else(|| "ECS".to_owned()),
        shift_minutes: service.deployment_configuration.as_ref().and_then(shift_minutes),
        next,
        in_flight,
        running: service.running_count,
        sets: made,
        deployments: deployments.into_iter().map(deployment).collect(),
    }
}

/// How long the service's own settings let a deployment shift traffic and bake, in minutes; none of a rolling one.
fn shift_minutes(configuration: &DeploymentConfiguration) -> Option<u32> {
    let minutes = |minutes: i32| u32::try_from(minutes).unwrap_or_default();
    let bake = minutes(configuration.bake_time_in_minutes.unwrap_or_default());
    match configuration.strategy.as_ref()? {
        DeploymentStrategy::Rolling => None,
        DeploymentStrategy::Linear => {
            let linear = configuration.linear_configuration.as_ref();
            let step = linear.and_then(|linear| linear.step_percent).unwrap_or(10.0);
            let each = minutes(linear.and_then(|linear| linear.step_bake_time_in_minutes).unwrap_or(6));
            Some(bake + crate::rollout::steps(step).saturating_sub(1).saturating_mul(each))
        }
        DeploymentStrategy::Canary => {
            let canary = configuration.canary_configuration.as_ref();
            Some(bake + minutes(canary.and_then(|canary| canary.canary_bake_time_in_minutes).unwrap_or(10)))
        }
        _ => Some(bake),
    }
}

/// The newest service deployment that was made at `since` or later; none when there is none yet.
pub(crate) async fn service_deployment(
    client: &Ecs,
    cluster: &str,
    name: &str,
    since: Timestamp,
) -> Result<Option<ServiceDeployment>, CallError> {
    let mut token = None;
    let mut newest: Option<(Timestamp, String)> = None;
    loop {
        let page = client.list_service_deployments().cluster(cluster).service(name).set_next_token(token);
        let page = page.send().await.map_err(CallError::during("ecs:ListServiceDeployments"))?;
        for each in page.service_deployments.unwrap_or_default() {
            let Some((created, arn)) = each.created_at.and_then(precise).zip(each.service_deployment_arn)
            else {
                continue;
            };
            if created >= since && newest.as_ref().is_none_or(|(at, _)| created > *at) {
                newest = Some((created, arn));
            }
        }
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    let Some((_, arn)) = newest else { return Ok(None) };
    let described = client.describe_service_deployments().service_deployment_arns(arn).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeServiceDeployments"))?;
    let found = described.service_deployments.unwrap_or_default().into_iter().next();
    Ok(found.map(|found| ServiceDeployment {
        status: found.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        stage: found.lifecycle_stage.map(|stage| stage.as_str().to_owned()).unwrap_or_default(),
        reason: found.status_reason.unwrap_or_default(),
    }))
}

fn deployment(deployment: EcsDeployment) -> Deployment {
    let state = deployment.rollout_state.as_ref().map(|state| state.as_str().to_owned());
    Deployment {
        is_primary: deployment.status() == Some("PRIMARY"),
        id: deployment.id.unwrap_or_default(),
        created: deployment.created_at.and_then(precise).unwrap_or_default(),
        state: state.unwrap_or_default(),
        reason: deployment.rollout_state_reason.unwrap_or_default(),
        desired: deployment.desired_count,
        running: deployment.running_count,
        failed: deployment.failed_tasks,
    }
}

/// To the nanosecond: a deployment of the same second may have begun before the change.
fn precise(at: DateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanos()).ok()
}

/// What a task definition gets of secrets.
pub(crate) async fn references(client: &Ecs, task_definition: &str) -> Result<Vec<Reference>, CallError> {
    let described = client.describe_task_definition().task_definition(task_definition).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeTaskDefinition"))?;
    Ok(described.task_definition.map(of_definition).unwrap_or_default())
}

fn of_definition(definition: TaskDefinition) -> Vec<Reference> {
    let of_volumes = definition.volumes.unwrap_or_default().into_iter().filter_map(|volume| {
        let windows = volume.fsx_windows_file_server_volume_configuration?.authorization_config?;
        Some(Reference {
            place: volume.name.unwrap_or_default(),
            field: "credentialsParameter".to_owned(),
            value_from: windows.credentials_parameter,
        })
    });
    let containers = definition.container_definitions.unwrap_or_default().into_iter();
    containers.flat_map(of_container).chain(of_volumes).collect()
}

/// Its variables, the options of its log driver, and the registry's credentials: each is read when a task starts.
fn of_container(container: ContainerDefinition) -> Vec<Reference> {
    let place = container.name.unwrap_or_default();
    let options = container.log_configuration.and_then(|logs| logs.secret_options);
    let named = container.secrets.into_iter().chain(options).flatten();
    let named = named.map(|secret| (secret.name, secret.value_from));
    let registry = container.repository_credentials.map(|credentials| credentials.credentials_parameter);
    let registry = registry.map(|value_from| ("repositoryCredentials".to_owned(), value_from));
    let all = named.chain(registry);
    all.map(|(field, value_from)| Reference { place: place.clone(), field, value_from }).collect()
}

/// Forces a new deployment, and gives its id.
pub(crate) async fn deploy(client: &Ecs, cluster: &str, name: &str) -> Result<String, CallError> {
    let updated =
        client.update_service().cluster(cluster).service(name).force_new_deployment(true).send().await;
    let updated = updated.map_err(CallError::during("ecs:UpdateService"))?;
    let newest = updated
        .service
        .map(service)
        .and_then(|service| service.deployments.into_iter().find(|deployment| deployment.is_primary));
    Ok(newest.map(|deployment| deployment.id).unwrap_or_default())
}
