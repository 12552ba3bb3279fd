//! The AWS calls. The only file that names SDK operations of Secrets Manager and ECS, but for the list of secrets.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{Deployment as EcsDeployment, Service as EcsService};
use aws_sdk_secretsmanager::Client as Secrets;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use shared::failure::CallError;

use crate::rollout::{Deployment, Service};

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
    Service {
        name: service.service_name.unwrap_or_default(),
        task_definition: service.task_definition.unwrap_or_default(),
        deployments: service.deployments.unwrap_or_default().into_iter().map(deployment).collect(),
    }
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

/// The secrets that a task definition's containers get, as its `valueFrom` names them.
pub(crate) async fn secrets_of(client: &Ecs, task_definition: &str) -> Result<BTreeSet<String>, CallError> {
    let described = client.describe_task_definition().task_definition(task_definition).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeTaskDefinition"))?;
    let containers =
        described.task_definition.and_then(|task| task.container_definitions).unwrap_or_default();
    let secrets = containers.into_iter().filter_map(|container| container.secrets).flatten();
    Ok(secrets.map(|secret| secret.value_from).collect())
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
