//! ECS, the application's role, and resources that Cloud Control lists.

use std::collections::BTreeSet;

use aws_sdk_cloudcontrol::error::ProvideErrorMetadata;
use aws_sdk_cloudcontrol::types::ResourceDescription;
use aws_sdk_ecs::types::{Failure, TaskDefinition};
use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use serde_json::Value;
use shared::runtime::failure::CallError;

use super::{Page, present};
use crate::rules::facts::{LogWatch, Seen, Service, Task, Vault};
use crate::rules::plans::{Plan, Selection};

type Control = aws_sdk_cloudcontrol::Client;
type Ecs = aws_sdk_ecs::Client;
type Iam = aws_sdk_iam::Client;

/// A page of the ARNs of a cluster's services: at most ten, the limit of one DescribeServices.
pub(crate) async fn services(client: &Ecs, cluster: &str, token: Option<String>) -> Seen<Page<String>> {
    let listed = client.list_services().cluster(cluster).max_results(10).set_next_token(token).send().await;
    let listed = listed.map_err(CallError::during("ecs:ListServices"))?;
    Ok((present("ecs:ListServices", "serviceArns", listed.service_arns)?, listed.next_token))
}

/// Services by their ARNs, with the variables of their containers, and whether their tasks may read old versions of the
/// objects `versions`. A service that ECS knows but does not describe is a failed call; one that no longer exists is
/// left out.
pub(crate) async fn describe(
    ecs: &Ecs,
    iam: &Iam,
    cluster: &str,
    arns: Vec<String>,
    versions: &str,
) -> Seen<Vec<Seen<Service>>> {
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let requested = arns.len();
    let described = ecs.describe_services().cluster(cluster).set_services(Some(arns)).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeServices"))?;
    let failures = described.failures.unwrap_or_default();
    let described = present("ecs:DescribeServices", "services", described.services)?;
    if failures.len() + described.len() < requested {
        return present("ecs:DescribeServices", "service of each ARN", None);
    }
    let mut services: Vec<_> = failures.into_iter().filter_map(failure).map(Err).collect();
    for found in described {
        let task = task(ecs, found.task_definition.as_deref().unwrap_or_default()).await;
        let reads_versions = match &task {
            Err(call) => Err(call.clone()),
            Ok(Task { role: None, .. }) => Ok(None),
            Ok(Task { role: Some(role), .. }) => allows(iam, role, versions).await.map(Some),
        };
        let breaker = found.deployment_configuration.map(|configuration| {
            configuration.deployment_circuit_breaker.is_some_and(|breaker| breaker.enable && breaker.rollback)
        });
        services.push(Ok(Service {
            name: found.service_name.unwrap_or_default(),
            arn: found.service_arn.unwrap_or_default(),
            has_circuit_breaker: breaker,
            is_balanced: found.load_balancers.is_some_and(|balancers| !balancers.is_empty()),
            grace_seconds: found.health_check_grace_period_seconds,
            task,
            reads_versions,
        }));
    }
    Ok(services)
}

fn failure(failure: Failure) -> Option<CallError> {
    let code = failure.reason.unwrap_or_else(|| "?".to_owned());
    let details = [failure.arn, failure.detail].into_iter().flatten().collect::<Vec<_>>();
    (code != "MISSING").then(|| CallError {
        operation: "ecs:DescribeServices",
        code,
        message: details.join(": "),
    })
}

async fn task(client: &Ecs, definition: &str) -> Seen<Task> {
    let described = client.describe_task_definition().task_definition(definition).send().await;
    let described = described.map_err(CallError::during("ecs:DescribeTaskDefinition"))?;
    let definition = present("ecs:DescribeTaskDefinition", "taskDefinition", described.task_definition)?;
    present("ecs:DescribeTaskDefinition", "containerDefinitions", variables(definition))
}

/// Names of the containers' variables. Not their values: a variable in clear text may hold a secret.
fn variables(definition: TaskDefinition) -> Option<Task> {
    let (mut plain, mut secret) = (BTreeSet::new(), BTreeSet::new());
    for container in definition.container_definitions? {
        plain.extend(container.environment.unwrap_or_default().into_iter().filter_map(|pair| pair.name));
        secret.extend(container.secrets.unwrap_or_default().into_iter().map(|secret| secret.name));
    }
    Some(Task { plain, secret, role: definition.task_role_arn.filter(|role| !role.is_empty()) })
}

/// Whether a role may read old versions of a bucket's objects.
async fn allows(client: &Iam, role: &str, objects: &str) -> Seen<bool> {
    let simulated = client.simulate_principal_policy().policy_source_arn(role);
    let simulated = simulated.action_names("s3:GetObjectVersion").resource_arns(objects).send().await;
    let simulated = simulated.map_err(CallError::during("iam:SimulatePrincipalPolicy"))?;
    let results = simulated.evaluation_results.filter(|results| !results.is_empty());
    let results = present("iam:SimulatePrincipalPolicy", "EvaluationResults", results)?;
    Ok(results.iter().all(|result| *result.eval_decision() == PolicyEvaluationDecisionType::Allowed))
}

/// Whether any resource of a type has an identifier that `matches`.
pub(crate) async fn has(client: &Control, kind: &str, matches: impl Fn(&str) -> bool) -> Seen<bool> {
    let mut pages = client.list_resources().type_name(kind).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("cloudformation:ListResources"))?;
        let page =
            present("cloudformation:ListResources", "ResourceDescriptions", page.resource_descriptions)?;
        let mut names = page.into_iter().filter_map(|found| found.identifier);
        if names.any(|name| matches(&name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The metrics of a log group's filters, and those of them that an alarm with an action watches.
pub(crate) async fn log_watch(client: &Control, group: &str) -> Seen<LogWatch> {
    let mut watch = LogWatch::default();
    // A metric filter's identifier is its log group and its name.
    let prefix = format!("{group}|");
    let kind = "AWS::Logs::MetricFilter";
    let mut pages = client.list_resources().type_name(kind).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("cloudformation:ListResources"))?;
        for found in
            present("cloudformation:ListResources", "ResourceDescriptions", page.resource_descriptions)?
        {
            if found.identifier().is_some_and(|name| name.starts_with(&prefix)) {
                let filter = properties(client, kind, found, "MetricTransformations").await?;
                watch.counted.extend(counted(&filter));
            }
        }
    }
    if watch.counted.is_empty() {
        return Ok(watch);
    }
    let kind = "AWS::CloudWatch::Alarm";
    let mut pages = client.list_resources().type_name(kind).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("cloudformation:ListResources"))?;
        for found in
            present("cloudformation:ListResources", "ResourceDescriptions", page.resource_descriptions)?
        {
            let alarm = properties(client, kind, found, "ComparisonOperator").await?;
            watch.alarmed.extend(alarmed(&alarm).filter(|metric| watch.counted.contains(metric)));
        }
        if !watch.alarmed.is_empty() {
            break;
        }
    }
    Ok(watch)
}

/// A resource's properties, with `field`. A list always has the identifier, and may omit the rest. [`Value::Null`] for
/// a resource that was deleted meanwhile.
async fn properties(client: &Control, kind: &str, listed: ResourceDescription, field: &str) -> Seen<Value> {
    let parsed = |text: Option<&str>| serde_json::from_str::<Value>(text.unwrap_or_default()).ok();
    if let Some(properties) = parsed(listed.properties()).filter(|properties| !properties[field].is_null()) {
        return Ok(properties);
    }
    let identifier = listed.identifier.unwrap_or_default();
    let found = client.get_resource().type_name(kind).identifier(&identifier).send().await;
    let found = match found {
        Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(Value::Null),
        found => found.map_err(CallError::during("cloudformation:GetResource"))?,
    };
    let found = found.resource_description.as_ref().and_then(ResourceDescription::properties);
    parsed(found).filter(Value::is_object).ok_or_else(|| CallError {
        operation: "cloudformation:GetResource",
        code: "NoProperties".to_owned(),
        message: identifier,
    })
}

/// Metrics of a metric filter.
fn counted(filter: &Value) -> impl Iterator<Item = (String, String)> {
    let all = filter["MetricTransformations"].as_array().into_iter().flatten();
    all.filter_map(|to| metric(&to["MetricNamespace"], &to["MetricName"]))
}

/// Metrics that an alarm watches, directly or in an expression; none if the alarm has no action.
fn alarmed(alarm: &Value) -> impl Iterator<Item = (String, String)> {
    let acts = alarm["ActionsEnabled"] != Value::Bool(false)
        && alarm["AlarmActions"].as_array().is_some_and(|actions| !actions.is_empty());
    let queries = alarm["Metrics"].as_array().into_iter().flatten();
    let queries = queries.filter_map(|query| query.pointer("/MetricStat/Metric"));
    let all = std::iter::once(alarm).chain(queries).filter(move |_| acts);
    all.filter_map(|of| metric(&of["Namespace"], &of["MetricName"]))
}

fn metric(namespace: &Value, name: &Value) -> Option<(String, String)> {
    Some((namespace.as_str()?.to_owned(), name.as_str()?.to_owned()))
}

/// All resources of a type; only their identifiers are certain.
async fn listed(client: &Control, kind: &str) -> Seen<Vec<ResourceDescription>> {
    let mut found = Vec::new();
    let mut pages = client.list_resources().type_name(kind).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("cloudformation:ListResources"))?;
        found.extend(present(
            "cloudformation:ListResources",
            "ResourceDescriptions",
            page.resource_descriptions,
        )?);
    }
    Ok(found)
}

/// AWS Backup's plans, with their selections.
pub(crate) async fn plans(client: &Control) -> Seen<Vec<Plan>> {
    let (kind, chosen) = ("AWS::Backup::BackupPlan", "AWS::Backup::BackupSelection");
    let mut plans = Vec::new();
    for found in listed(client, kind).await? {
        let id = found.identifier().unwrap_or_default().to_owned();
        let found = properties(client, kind, found, "BackupPlan").await?;
        if !found.is_null() {
            plans.push(present("cloudformation:GetResource", "BackupPlan", Plan::parse(&id, &found))?);
        }
    }
    if plans.is_empty() {
        return Ok(plans);
    }
    for found in listed(client, chosen).await? {
        let found = properties(client, chosen, found, "BackupSelection").await?;
        if found.is_null() {
            continue;
        }
        let found = Selection::parse(&found);
        let (of, selection) = present("cloudformation:GetResource", "BackupSelection", found)?;
        plans
            .iter_mut()
            .filter(|plan| plan.id == of)
            .for_each(|plan| plan.selections.push(selection.clone()));
    }
    Ok(plans)
}

/// AWS Backup's vaults with one of these names.
pub(crate) async fn vaults(client: &Control, names: &BTreeSet<&str>) -> Seen<Vec<Vault>> {
    let kind = "AWS::Backup::BackupVault";
    let mut vaults = Vec::new();
    for listed in listed(client, kind).await? {
        let arn = listed.identifier().unwrap_or_default().to_owned();
        let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
        if !names.contains(name.as_str()) {
            continue;
        }
        // A list may omit a vault's key; only GetResource proves that it has none.
        let listed = ResourceDescription::builder().identifier(&arn).build();
        let found = properties(client, kind, listed, "BackupVaultName").await;
        if found.as_ref().is_ok_and(Value::is_null) {
            continue;
        }
        let at = |pointer: &str| found.as_ref().map(|found| found.pointer(pointer)).map_err(Clone::clone);
        let key = at("/EncryptionKeyArn").map(|key| key.and_then(Value::as_str).map(str::to_owned));
        let locked_days = at("/LockConfiguration/MinRetentionDays").map(|days| days.and_then(Value::as_i64));
        vaults.push(Vault { name, arn, key, locked_days });
    }
    Ok(vaults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alarm_counts_for_its_metrics_only_if_it_has_an_action() {
        let topic = json!(["arn:aws:sns:us-east-1:111122223333:moveongs-prod-paging"]);
        let query = json!({"MetricStat": {"Metric": {"Namespace": "moveongs/prod", "MetricName": "Errors"}}});
        let found = [("moveongs/prod".to_owned(), "Errors".to_owned())];
        for (alarm, acts) in [
            (json!({"Namespace": "moveongs/prod", "MetricName": "Errors", "AlarmActions": topic}), true),
            (json!({"Metrics": [{"Expression": "e1/60"}, query], "AlarmActions": topic}), true),
            (json!({"Metrics": [query], "AlarmActions": topic, "ActionsEnabled": true}), true),
            (json!({"Metrics": [query], "AlarmActions": topic, "ActionsEnabled": false}), false),
            (json!({"Namespace": "moveongs/prod", "MetricName": "Errors", "AlarmActions": []}), false),
            (json!({"Namespace": "moveongs/prod", "MetricName": "Errors", "OKActions": topic}), false),
            (json!({"Namespace": "moveongs/prod", "AlarmActions": topic}), false),
            (Value::Null, false),
        ] {
            let expected = if acts { &found[..] } else { &[] };
            assert_eq!(alarmed(&alarm).collect::<Vec<_>>(), expected, "{alarm}");
        }
        let filter = json!({"MetricTransformations": [
            {"MetricNamespace": "moveongs/prod", "MetricName": "Errors", "MetricValue": "1"}, {"MetricName": "x"}
        ]});
        assert_eq!(counted(&filter).collect::<Vec<_>>(), found);
    }

    #[test]
    fn a_missing_service_is_left_out_and_another_failure_is_an_error() {
        for (reason, expected) in
            [(Some("MISSING"), None), (Some("ACCESS_DENIED"), Some("ACCESS_DENIED")), (None, Some("?"))]
        {
            let answer = Failure::builder().arn("arn:api").set_reason(reason.map(str::to_owned)).build();
            let call = failure(answer);
            assert_eq!(call.as_ref().map(|call| call.code.as_str()), expected);
            assert!(call.is_none_or(|call| call.message == "arn:api"));
        }
    }
}
