//! Task definitions with the guard, and the migration's task.

use std::collections::BTreeMap;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    ContainerDefinition, ContainerOverride, KeyValuePair, TaskDefinition, TaskDefinitionField, TaskOverride,
};
use shared::policy::Migration;
use shared::runtime::failure::CallError;

use crate::rules::guard::{self, Container};

/// A task definition with its tags.
pub(crate) struct Definition {
    definition: TaskDefinition,
    tags: Vec<aws_sdk_ecs::types::Tag>,
}

/// A task of the migration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Task {
    /// Whether it has ended.
    pub is_stopped: bool,
    /// The container's exit code.
    pub exit: Option<i32>,
    /// ECS's reasons, for people.
    pub reason: String,
}

fn container(definition: &ContainerDefinition) -> Container {
    let environment = definition.environment().iter();
    Container {
        name: definition.name().unwrap_or_default().to_owned(),
        environment: environment
            .map(|pair| {
                (pair.name().unwrap_or_default().to_owned(), pair.value().unwrap_or_default().to_owned())
            })
            .collect(),
        secrets: definition.secrets().iter().map(|secret| secret.name().to_owned()).collect(),
    }
}

fn pairs(variables: &[(String, String)]) -> Vec<KeyValuePair> {
    variables.iter().map(|(name, value)| KeyValuePair::builder().name(name).value(value).build()).collect()
}

impl Definition {
    /// Whether every container has the guard.
    pub(crate) fn has(&self, guard: &BTreeMap<String, String>) -> bool {
        let containers = self.definition.container_definitions();
        !containers.is_empty() && containers.iter().all(|it| guard::has(&container(it), guard))
    }
}

/// A task definition.
pub(crate) async fn definition(client: &Client, arn: &str) -> Result<Definition, CallError> {
    let described = client.describe_task_definition().task_definition(arn);
    let described = described.include(TaskDefinitionField::Tags).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeTaskDefinition"))?;
    let definition = described.task_definition.ok_or(CallError::empty("ecs:DescribeTaskDefinition"))?;
    Ok(Definition { definition, tags: described.tags.unwrap_or_default() })
}

/// Registers a revision with the guard in every container, equal otherwise, and returns its ARN.
pub(crate) async fn register(
    client: &Client,
    Definition { definition, tags }: Definition,
    guard: &BTreeMap<String, String>,
) -> Result<String, CallError> {
    let containers = definition.container_definitions.unwrap_or_default().into_iter();
    let containers = containers.map(|mut it| {
        let guarded = guard::with(&container(&it), guard);
        it.environment = Some(pairs(&guarded.environment));
        it.secrets = it.secrets.map(|mut secrets| {
            secrets.retain(|secret| guarded.secrets.iter().any(|name| name == secret.name()));
            secrets
        });
        it
    });
    let registered = client
        .register_task_definition()
        .set_container_definitions(Some(containers.collect()))
        .set_family(definition.family)
        .set_task_role_arn(definition.task_role_arn)
        .set_execution_role_arn(definition.execution_role_arn)
        .set_network_mode(definition.network_mode)
        .set_volumes(definition.volumes)
        .set_placement_constraints(definition.placement_constraints)
        .set_requires_compatibilities(definition.requires_compatibilities)
        .set_cpu(definition.cpu)
        .set_memory(definition.memory)
        .set_pid_mode(definition.pid_mode)
        .set_ipc_mode(definition.ipc_mode)
        .set_proxy_configuration(definition.proxy_configuration)
        .set_ephemeral_storage(definition.ephemeral_storage)
        .set_runtime_platform(definition.runtime_platform)
        .set_enable_fault_injection(definition.enable_fault_injection)
        .set_tags(Some(tags).filter(|tags| !tags.is_empty()))
        .send()
        .await
        .map_err(CallError::during("ecs:RegisterTaskDefinition"))?;
    let arn = registered.task_definition.and_then(|definition| definition.task_definition_arn);
    arn.ok_or(CallError::empty("ecs:RegisterTaskDefinition"))
}

/// Starts the migration in the service's network, with the guard, and returns the task's ARN; the inner error is ECS's
/// reason for not placing it. A repeated request with the same token starts no second task.
pub(crate) async fn run(
    client: &Client,
    cluster: &str,
    migration: &Migration,
    guard: &BTreeMap<String, String>,
    token: &str,
) -> Result<Result<String, String>, CallError> {
    let described = client.describe_services().cluster(cluster).services(&migration.service).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeServices"))?;
    let Some(service) = described.services.unwrap_or_default().into_iter().next() else {
        return Ok(Err(format!("there is no service {}", migration.service)));
    };
    let definition = migration.task_definition.clone().or(service.task_definition);
    let variables: Vec<_> = guard.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let overridden = ContainerOverride::builder()
        .name(&migration.container)
        .set_environment(Some(pairs(&variables)))
        .set_command(Some(migration.command.clone()).filter(|command| !command.is_empty()))
        .build();
    let started = client
        .run_task()
        .cluster(cluster)
        .set_task_definition(definition)
        .set_network_configuration(service.network_configuration)
        .set_capacity_provider_strategy(service.capacity_provider_strategy.filter(|it| !it.is_empty()))
        .set_launch_type(service.launch_type)
        .set_platform_version(service.platform_version)
        .overrides(TaskOverride::builder().container_overrides(overridden).build())
        .client_token(token)
        .started_by(token)
        .count(1)
        .send()
        .await
        .map_err(CallError::during("ecs:RunTask"))?;
    let failures = started.failures.unwrap_or_default().into_iter().filter_map(|failure| failure.reason);
    let task = started.tasks.unwrap_or_default().into_iter().find_map(|task| task.task_arn);
    Ok(task.ok_or_else(|| failures.collect::<Vec<_>>().join(", ")))
}

/// A task; none if ECS no longer knows it.
pub(crate) async fn task(
    client: &Client,
    cluster: &str,
    arn: &str,
    container: &str,
) -> Result<Option<Task>, CallError> {
    let described = client.describe_tasks().cluster(cluster).tasks(arn).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeTasks"))?;
    let task = described.tasks.unwrap_or_default().into_iter().next();
    Ok(task.map(|task| {
        let found = task.containers.unwrap_or_default().into_iter();
        let found = found.into_iter().find(|it| it.name.as_deref() == Some(container));
        let code = task.stop_code.map(|code| code.as_str().to_owned());
        let reason = found.as_ref().and_then(|it| it.reason.clone());
        let reasons = [code, task.stopped_reason, reason].into_iter().flatten();
        Task {
            is_stopped: task.last_status.as_deref() == Some("STOPPED"),
            exit: found.and_then(|it| it.exit_code),
            reason: reasons.collect::<Vec<_>>().join(": "),
        }
    }))
}
