//! The AWS calls. The only files that name SDK operations.

mod alarms;
mod ecs;
mod rds;
mod s3;
mod states;

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use serde_json::Value;
use shared::aws::restores;
use shared::policy::Kind;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::settings::Settings;

use crate::rules::arn::bare;
use crate::rules::facts::{Details, Observation, STACK_TAG, Tagged};
use crate::rules::settings::Setting;

type S3 = aws_sdk_s3::Client;

/// Clients of the stack's region.
pub(crate) struct Clients {
    control: aws_sdk_cloudcontrol::Client,
    ecs: aws_sdk_ecs::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    rds: aws_sdk_rds::Client,
    s3: S3,
    secrets: aws_sdk_secretsmanager::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
    /// Account of the stack.
    account: String,
}

/// The error for an answer that was not understood: it proves neither existence nor absence.
fn unclear(operation: &'static str) -> CallError {
    CallError {
        operation,
        code: "NotUnderstood".to_owned(),
        message: "the answer does not say whether the resource exists".to_owned(),
    }
}

impl Clients {
    pub(crate) fn new(aws: &SdkConfig, account: String) -> Self {
        Self {
            control: shared::patient!(aws_sdk_cloudcontrol, aws),
            ecs: shared::patient!(aws_sdk_ecs, aws),
            logs: shared::patient!(aws_sdk_cloudwatchlogs, aws),
            rds: shared::patient!(aws_sdk_rds, aws),
            s3: shared::patient!(aws_sdk_s3, aws),
            secrets: shared::patient!(aws_sdk_secretsmanager, aws),
            tagging: shared::patient!(aws_sdk_resourcegroupstagging, aws),
            account,
        }
    }

    /// Reads one resource through its service's own call, which also finds resources without tags.
    pub(crate) async fn look(&self, kind: Kind, name: &str) -> Observation {
        let seen = match kind {
            Kind::EcsCluster => self.cluster(name).await,
            Kind::EcsService => self.service(name).await,
            Kind::EfsFileSystem => {
                let arn = self.arn("elasticfilesystem", &format!("file-system/{name}"));
                self.through_cloud_control(
                    "AWS::EFS::FileSystem",
                    ("FileSystemId", name),
                    "FileSystemTags",
                    arn,
                )
                .await
            }
            Kind::GrafanaWorkspace => {
                let arn = self.arn("grafana", &format!("/workspaces/{name}"));
                self.through_cloud_control("AWS::Grafana::Workspace", ("Id", name), "Tags", arn).await
            }
            Kind::LogGroup => self.log_group(name).await,
            Kind::PrometheusWorkspace => {
                let arn = self.arn("aps", &format!("workspace/{name}"));
                self.through_cloud_control("AWS::APS::Workspace", ("Arn", &arn), "Tags", arn.clone()).await
            }
            Kind::RdsCluster => self.database_cluster(name).await,
            Kind::RdsInstance => self.database_instance(name).await,
            Kind::S3Bucket => self.bucket(name).await,
            Kind::Secret => self.secret(name).await,
            Kind::Url => return Observation::OutsideAws,
        };
        match seen {
            Ok(Some(Found { arn, .. })) if arn.is_empty() => {
                Observation::Unknown("the answer has no ARN".to_owned())
            }
            Ok(Some(Found { arn, tags, details })) => {
                Observation::Present { arn, tags: tags.map_err(|error| chain(&error)), details }
            }
            Ok(None) => Observation::Absent,
            Err(error) => Observation::Unknown(chain(&error)),
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.s3.config().region().map(AsRef::as_ref).unwrap_or_default();
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition(), self.account)
    }

    fn partition(&self) -> &'static str {
        match self.s3.config().region().map(AsRef::as_ref) {
            Some(region) if region.starts_with("cn-") => "aws-cn",
            Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    async fn log_group(&self, name: &str) -> Result<Option<Found>, CallError> {
        // The list is sorted by name, so the exact name comes before the names that it is a prefix of.
        let found = self.logs.describe_log_groups().log_group_name_prefix(name).limit(1).send().await;
        let found = found.map_err(CallError::during("logs:DescribeLogGroups"))?;
        let groups = found.log_groups.ok_or_else(|| unclear("logs:DescribeLogGroups"))?;
        let Some(group) = groups.into_iter().find(|group| group.log_group_name() == Some(name)) else {
            return Ok(None);
        };
        // A missing value means no expiry, which Terraform writes as 0.
        let settings =
            [setting(Setting::LogRetention, Some(group.retention_in_days.unwrap_or_default()))].into();
        let arn = bare(&group.arn.unwrap_or_default()).to_owned();
        let tags = self.logs.list_tags_for_resource().resource_arn(&arn).send().await;
        let tags = tags.map_err(CallError::during("logs:ListTagsForResource"));
        let tags = tags.and_then(|tags| tags.tags.ok_or_else(|| unclear("logs:ListTagsForResource")));
        let tags = tags.map(|tags| tags.into_iter().collect());
        Ok(Some(Found::new(Some(arn), tags, Details { settings, ..Details::default() })))
    }

    async fn secret(&self, name: &str) -> Result<Option<Found>, CallError> {
        let found = match self.secrets.describe_secret().secret_id(name).send().await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("secretsmanager:DescribeSecret"))?,
        };
        if found.deleted_date.is_some() {
            return Ok(None);
        }
        let tags = found.tags.unwrap_or_default().into_iter();
        let tags = tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
        // The field is missing for a secret that never had a rotation.
        let details =
            Details { rotates: Some(found.rotation_enabled.unwrap_or_default()), ..Details::default() };
        Ok(Some(Found::new(found.arn, Ok(tags), details)))
    }

    /// Reads a resource through Cloud Control, for services without a client here. `id` is the property that must equal
    /// the identifier.
    async fn through_cloud_control(
        &self,
        kind: &str,
        (id, identifier): (&str, &str),
        tags: &str,
        arn: String,
    ) -> Result<Option<Found>, CallError> {
        let found = match self.control.get_resource().type_name(kind).identifier(identifier).send().await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("cloudformation:GetResource"))?,
        };
        let properties = found.resource_description.and_then(|found| found.properties);
        let properties: Option<Value> = properties.and_then(|text| serde_json::from_str(&text).ok());
        let of = |name: &str| properties.as_ref().and_then(|properties| properties.get(name));
        if of(id).and_then(Value::as_str) != Some(identifier) {
            return Err(unclear("cloudformation:GetResource"));
        }
        if of("Status").and_then(Value::as_str) == Some("DELETING") {
            return Ok(None);
        }
        let text = |tag: &Value, name: &str| Some(tag.get(name)?.as_str()?.to_owned());
        let tags = of(tags).and_then(Value::as_array).into_iter().flatten();
        let tags = tags.filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value")?))).collect();
        Ok(Some(Found::new(Some(arn), Ok(tags), Details::default())))
    }

    /// The region's resources with the project's tag, of every environment, except the instance of a restore test in
    /// progress. The list lags: it lacks recently tagged resources and still has deleted ones.
    pub(crate) async fn tagged(&self, settings: &Settings, now: Timestamp) -> Result<Vec<Tagged>, CallError> {
        let filter = TagFilter::builder().key("Project").values(&settings.project).build();
        let asked = self.tagging.get_resources().resources_per_page(100).tag_filters(filter);
        let mut pages = asked.into_paginator().send();
        let mut tagged = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(CallError::during("tag:GetResources"))?;
            let found =
                page.resource_tag_mapping_list.ok_or_else(|| unclear("tag:GetResources"))?.into_iter();
            tagged.extend(found.filter_map(|found| {
                let tags =
                    found.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
                let name = found.resource_arn().and_then(|arn| Some(arn.split_once(":db:")?.1));
                if name.is_some_and(|name| restores::is_in_progress(name, &tags, settings, now)) {
                    return None;
                }
                let tag = |key: &str| {
                    found.tags().iter().find(|tag| tag.key() == key).map(|tag| tag.value().to_owned())
                };
                let (environment, stack) = (tag("Environment"), tag(STACK_TAG));
                Some(Tagged { arn: found.resource_arn?, environment, stack, details: Details::default() })
            }));
        }
        Ok(tagged)
    }
}

/// An existing resource, as its service's call shows it.
struct Found {
    arn: String,
    /// Tags, or why they could not be read.
    tags: Result<BTreeMap<String, String>, CallError>,
    details: Details,
}

impl Found {
    fn new(arn: Option<String>, tags: Result<BTreeMap<String, String>, CallError>, details: Details) -> Self {
        Self { arn: arn.unwrap_or_default(), tags, details }
    }
}

/// A setting from an answer; an error if the answer lacks it.
fn setting<T: ToString>(setting: Setting, value: Option<T>) -> (Setting, Result<String, String>) {
    let value = value.map(|value| value.to_string());
    (setting, value.ok_or_else(|| format!("AWS does not show {}", setting.name())))
}

#[cfg(test)]
mod tests;
