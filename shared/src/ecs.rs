//! ECS services: what they run, how their deployments go, and which secrets they read.

pub mod readers;
pub mod rollout;

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    ContainerDefinition, Deployment as EcsDeployment, DeploymentConfiguration, DeploymentStrategy,
    Service as EcsService, TaskDefinition,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use crate::runtime::failure::CallError;

use self::readers::Reference;
use self::rollout::{Deployment, Service, ServiceDeployment};

type Ecs = aws_sdk_ecs::Client;

/// Most services in one DescribeServices call.
const SERVICES_A_CALL: usize = 10;

/// Whether ECS refused UpdateService because of the service itself, so that other services can still be deployed.
pub fn is_of_service(code: &str) -> bool {
    [
        "InvalidParameterException",
        "ServiceNotActiveException",
        "ServiceNotFoundException",
        "UnsupportedFeatureException",
        "NamespaceNotFoundException",
        "PlatformUnknownException",
        "PlatformTaskDefinitionIncompatibilityException",
    ]
    .contains(&code)
}

/// Names of all services of a cluster.
///
/// # Errors
///
/// The [`CallError`] of ListServices.
pub async fn services(client: &Ecs, cluster: &str) -> Result<Vec<String>, CallError> {
    let mut pages = client.list_services().cluster(cluster).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("ecs:ListServices"))?;
        let arns = page.service_arns.unwrap_or_default();
        names.extend(arns.iter().filter_map(|arn| Some(arn.rsplit_once('/')?.1.to_owned())));
    }
    Ok(names)
}

/// Services by name, without those that do not exist.
///
/// # Errors
///
/// The [`CallError`] of DescribeServices.
pub async fn describe_services(
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
        // With the controllers EXTERNAL and CODE_DEPLOY, it may be only in the task sets.
        None => of_sets,
    };
    Service {
        name: service.service_name.unwrap_or_default(),
        is_active: service.status.is_none_or(|status| status == "ACTIVE"),
        // The default is ECS's own controller.
        controller: controller.unwrap_or_else(|| "ECS".to_owned()),
        shift_minutes: service.deployment_configuration.as_ref().and_then(shift_minutes),
        next,
        in_flight,
        running: service.running_count,
        sets: made,
        deployments: deployments.into_iter().map(deployment).collect(),
    }
}

/// Minutes in which a deployment shifts traffic and bakes, by the service's own settings; none for a rolling
/// deployment.
fn shift_minutes(configuration: &DeploymentConfiguration) -> Option<u32> {
    let minutes = |minutes: i32| u32::try_from(minutes).unwrap_or_default();
    let bake = minutes(configuration.bake_time_in_minutes.unwrap_or_default());
    match configuration.strategy.as_ref()? {
        DeploymentStrategy::Rolling => None,
        DeploymentStrategy::Linear => {
            let linear = configuration.linear_configuration.as_ref();
            let step = linear.and_then(|linear| linear.step_percent).unwrap_or(10.0);
            let each = minutes(linear.and_then(|linear| linear.step_bake_time_in_minutes).unwrap_or(6));
            Some(bake + rollout::steps(step).saturating_sub(1).saturating_mul(each))
        }
        DeploymentStrategy::Canary => {
            let canary = configuration.canary_configuration.as_ref();
            Some(bake + minutes(canary.and_then(|canary| canary.canary_bake_time_in_minutes).unwrap_or(10)))
        }
        _ => Some(bake),
    }
}

/// The newest service deployment created at `since` or later, if there is one yet.
///
/// # Errors
///
/// The [`CallError`] of ListServiceDeployments or DescribeServiceDeployments.
pub async fn service_deployment(
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

/// Keeps nanoseconds, because a deployment may have begun before the change in the same second.
fn precise(at: DateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanos()).ok()
}

/// References of a task definition to secrets.
///
/// # Errors
///
/// The [`CallError`] of DescribeTaskDefinition.
pub async fn references(client: &Ecs, task_definition: &str) -> Result<Vec<Reference>, CallError> {
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

/// References in a container's variables, the options of its log driver and the registry's credentials: ECS reads each
/// when a task starts.
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

/// Forces a new deployment, of another task definition if one is given, and returns its id.
///
/// # Errors
///
/// The [`CallError`] of UpdateService.
pub async fn deploy(
    client: &Ecs,
    cluster: &str,
    name: &str,
    definition: Option<&str>,
) -> Result<String, CallError> {
    let update = client.update_service().cluster(cluster).service(name).force_new_deployment(true);
    let updated = update.set_task_definition(definition.map(str::to_owned)).send().await;
    let updated = updated.map_err(CallError::during("ecs:UpdateService"))?;
    let newest = updated
        .service
        .map(service)
        .and_then(|service| service.deployments.into_iter().find(|deployment| deployment.is_primary));
    Ok(newest.map(|deployment| deployment.id).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::readers::{Cause, Subject, Unreached};
    use super::*;
    use crate::testing::{aws, replies};

    const PINNED: &str = include_str!("../../tests/cases/01-task-definition-pinned-valuefrom.json");
    const EXTERNAL: &str = include_str!("../../tests/cases/06a-ecs-service-external-controller.json");
    const CODE_DEPLOY: &str =
        include_str!("../../tests/cases/06b-ecs-update-service-code-deploy-refusal.json");

    fn unreached(reader: &str, to: &str, definition: &str) -> Unreached {
        let cause = Cause::Pinned(to.to_owned());
        Unreached { reader: reader.to_owned(), cause, definition: definition.to_owned() }
    }

    #[tokio::test]
    async fn a_pinned_task_definition_is_not_a_reader_of_the_new_value() {
        let case: Value = serde_json::from_str(PINNED).unwrap();
        let definition = case["taskDefinitionArn"].as_str().unwrap().to_owned();
        let wire = replies(&[&json!({"taskDefinition": case}).to_string()]);
        let client = Ecs::new(&aws(&wire));
        let found = references(&client, &definition).await.unwrap();
        let known = BTreeMap::from([(definition.clone(), found)]);
        let service = Service {
            name: "moveongs-dev-api".to_owned(),
            is_active: true,
            controller: "ECS".to_owned(),
            next: BTreeSet::from([definition.clone()]),
            ..Service::default()
        };
        let account = "arn:aws:secretsmanager:us-east-1:123456789012:secret";
        for (name, suffix, variable, to) in [
            ("moveongs-dev-database-url", "AbCdEf", "DATABASE_URL", "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10"),
            ("/moveongs/dev/jwt", "a1B2c3", "JWT_SECRET", "AWSPREVIOUS"),
        ] {
            let arn = format!("{account}:{name}-{suffix}");
            let secret = Subject { arn: &arn, name, mapped: &[], followed: None };
            let found = readers::of(secret, std::slice::from_ref(&service), &known);
            assert_eq!(found.services, Vec::<String>::new());
            let reader = format!("moveongs-dev-api/api/{variable}");
            assert_eq!(found.unreached, [unreached(&reader, to, &definition)]);
        }
    }

    #[tokio::test]
    async fn every_place_that_names_a_secret_is_found() {
        let definition = json!({"taskDefinition": {
            "containerDefinitions": [
                {"name": "init", "secrets": [{"name": "A", "valueFrom": "a"}]},
                {"name": "logs", "logConfiguration": {"logDriver": "splunk", "secretOptions": [{"name": "splunk-token", "valueFrom": "b"}]}},
                {"name": "api", "repositoryCredentials": {"credentialsParameter": "c"}}],
            "volumes": [{"name": "share", "fsxWindowsFileServerVolumeConfiguration": {"fileSystemId": "fs", "rootDirectory": "/",
                "authorizationConfig": {"credentialsParameter": "d", "domain": "corp"}}}]}});
        let wire = replies(&[&definition.to_string()]);
        let found = references(&Ecs::new(&aws(&wire)), "d:1").await.unwrap();
        let shown: Vec<_> =
            found.iter().map(|it| format!("{}/{}={}", it.place, it.field, it.value_from)).collect();
        assert_eq!(
            shown,
            [
                "init/A=a",
                "logs/splunk-token=b",
                "api/repositoryCredentials=c",
                "share/credentialsParameter=d"
            ]
        );
    }

    #[tokio::test]
    async fn a_service_of_another_controller_does_not_prevent_other_deployments() {
        let wire = replies(&[EXTERNAL, CODE_DEPLOY]);
        let client = Ecs::new(&aws(&wire));
        let names = ["moveongs-dev-api", "batch"].map(str::to_owned);
        let services = describe_services(&client, "c", &names).await.unwrap();
        let shown: Vec<_> = services.iter().map(|it| (it.name.as_str(), it.controller.as_str())).collect();
        assert_eq!(shown, [("moveongs-dev-api", "ECS"), ("batch", "EXTERNAL")]);
        // With this controller, the service itself has no task definition.
        assert!(services[1].next.is_empty());
        let refused = deploy(&client, "c", "batch", None).await.unwrap_err();
        assert!(is_of_service(&refused.code), "{}", refused.code);
        assert!(!is_of_service("AccessDeniedException"));
    }

    #[test]
    fn the_services_own_settings_limit_the_time_of_a_traffic_shift() {
        use aws_sdk_ecs::types::{CanaryConfiguration, LinearConfiguration};
        let minutes = |strategy: &str, bake: i32, step: f64, each: i32| {
            let linear = LinearConfiguration::builder().step_percent(step).step_bake_time_in_minutes(each);
            let canary = CanaryConfiguration::builder().canary_bake_time_in_minutes(each);
            let configuration = DeploymentConfiguration::builder()
                .strategy(DeploymentStrategy::from(strategy))
                .bake_time_in_minutes(bake)
                .linear_configuration(linear.build())
                .canary_configuration(canary.build());
            shift_minutes(&configuration.build())
        };
        assert_eq!(minutes("ROLLING", 30, 10.0, 5), None);
        assert_eq!(minutes("BLUE_GREEN", 30, 10.0, 5), Some(30));
        assert_eq!(minutes("LINEAR", 30, 25.0, 5), Some(45));
        assert_eq!(minutes("CANARY", 30, 10.0, 5), Some(35));
        // The documented defaults.
        let linear = DeploymentConfiguration::builder().strategy(DeploymentStrategy::Linear).build();
        assert_eq!(shift_minutes(&linear), Some(9 * 6));
        assert_eq!(shift_minutes(&DeploymentConfiguration::builder().build()), None);
    }
}
