//! ECS clusters and services.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{ClusterField, Failure, ServiceField, Tag};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::runtime::failure::CallError;

use super::{Clients, Found, setting, unclear};
use crate::rules::facts::Details;
use crate::rules::settings::Setting;

/// Statuses of a cluster or service that exists or is being created.
const ALIVE: [&str; 2] = ["ACTIVE", "PROVISIONING"];

impl Clients {
    pub(super) async fn cluster(&self, name: &str) -> Result<Option<Found>, CallError> {
        const ACTION: &str = "ecs:DescribeClusters";
        let found = self.ecs.describe_clusters().clusters(name).include(ClusterField::Tags).send().await;
        let found = found.map_err(CallError::during("ecs:DescribeClusters"))?;
        let Some(cluster) = found.clusters.unwrap_or_default().into_iter().next() else {
            return absent_or_error(ACTION, found.failures.unwrap_or_default());
        };
        if !is_alive(ACTION, cluster.status())? {
            return Ok(None);
        }
        let tags = tags(cluster.tags.unwrap_or_default());
        Ok(Some(Found::new(cluster.cluster_arn, Ok(tags), Details::default())))
    }

    pub(super) async fn service(&self, name: &str) -> Result<Option<Found>, CallError> {
        const ACTION: &str = "ecs:DescribeServices";
        let (cluster, service) = name.split_once('/').unwrap_or_default();
        let asked = self.ecs.describe_services().cluster(cluster).services(service);
        let found = match asked.include(ServiceField::Tags).send().await {
            Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("ecs:DescribeServices"))?,
        };
        let Some(service) = found.services.unwrap_or_default().into_iter().next() else {
            return absent_or_error(ACTION, found.failures.unwrap_or_default());
        };
        if !is_alive(ACTION, service.status())? {
            return Ok(None);
        }
        let tags = tags(service.tags.unwrap_or_default());
        let settings = [setting(Setting::TaskDefinition, service.task_definition)].into();
        Ok(Some(Found::new(service.service_arn, Ok(tags), Details { settings, ..Details::default() })))
    }
}

/// Interprets the failures of an answer without the resource: it does not exist, or that is unknown.
fn absent_or_error(operation: &'static str, failures: Vec<Failure>) -> Result<Option<Found>, CallError> {
    match failures.into_iter().next() {
        Some(failure) if failure.reason() == Some("MISSING") => Ok(None),
        Some(Failure { reason: Some(code), detail, .. }) => {
            Err(CallError { operation, code, message: detail.unwrap_or_default() })
        }
        _ => Err(unclear(operation)),
    }
}

/// Whether a cluster or service exists, by its status.
fn is_alive(operation: &'static str, status: Option<&str>) -> Result<bool, CallError> {
    Ok(ALIVE.contains(&status.ok_or_else(|| unclear(operation))?))
}

fn tags(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}
