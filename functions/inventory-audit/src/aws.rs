//! The AWS calls. The only file that names SDK operations.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecs::types::{ClusterField, Failure, ServiceField};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::Value;
use shared::aws::buckets::moved;
use shared::policy::Kind;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::time::instant;

use crate::policy::{More, STACK_TAG, Sight, Tagged};
use crate::settings::{Rule, Setting, lifecycle};
use crate::state::{MOST_BYTES, MOST_STATES, Managed, SUFFIX, StateError, bare, parse};

/// States of an ECS cluster or service that is there, or coming.
const ALIVE: [&str; 2] = ["ACTIVE", "PROVISIONING"];

/// Most pages of keys that are looked through for states.
const PAGES: usize = 10;

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
    /// The account of the stack.
    account: String,
}

/// Why the Terraform state could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ReadError {
    /// S3 did not give it.
    #[error("the object could not be read")]
    S3(#[from] CallError),
    /// It is not what it should be.
    #[error(transparent)]
    State(#[from] StateError),
    /// No object has the key, or none below the prefix is a state.
    #[error(
        "no state in the bucket has this key or, for one that ends in /, a key below it that ends in {SUFFIX}"
    )]
    NoObject,
    /// More than an audit reads.
    #[error(
        "there are more than {MOST_STATES} states, or more than {PAGES} pages of keys; name narrower prefixes"
    )]
    TooMany,
}

/// An answer that was not understood, which says nothing of what was asked for.
fn unclear(operation: &'static str) -> CallError {
    CallError {
        operation,
        code: "NotUnderstood".to_owned(),
        message: "the answer says neither that it is there nor that it is not".to_owned(),
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

    /// Looks at one resource by its own service's call, which knows what has no tags too.
    pub(crate) async fn look(&self, kind: Kind, name: &str) -> Sight {
        let seen = match kind {
            Kind::EcsCluster => self.cluster(name).await,
            Kind::EcsService => self.service(name).await,
            Kind::EfsFileSystem => {
                let arn = self.arn("elasticfilesystem", &format!("file-system/{name}"));
                self.controlled("AWS::EFS::FileSystem", ("FileSystemId", name), "FileSystemTags", arn).await
            }
            Kind::GrafanaWorkspace => {
                let arn = self.arn("grafana", &format!("/workspaces/{name}"));
                self.controlled("AWS::Grafana::Workspace", ("Id", name), "Tags", arn).await
            }
            Kind::LogGroup => self.log_group(name).await,
            Kind::PrometheusWorkspace => {
                let arn = self.arn("aps", &format!("workspace/{name}"));
                self.controlled("AWS::APS::Workspace", ("Arn", &arn), "Tags", arn.clone()).await
            }
            Kind::RdsCluster => self.database_cluster(name).await,
            Kind::RdsInstance => self.instance(name).await,
            Kind::S3Bucket => self.bucket(name).await,
            Kind::Secret => self.secret(name).await,
            Kind::Url => return Sight::Elsewhere,
        };
        match seen {
            Ok(Some(Seen { arn, .. })) if arn.is_empty() => Sight::Unseen("the answer has no ARN".to_owned()),
            Ok(Some(Seen { arn, tags, more })) => {
                Sight::Present { arn, tags: tags.map_err(|error| chain(&error)), more }
            }
            Ok(None) => Sight::Absent,
            Err(error) => Sight::Unseen(chain(&error)),
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.s3.config().region().map(AsRef::as_ref).unwrap_or_default();
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition(), self.account)
    }

    async fn cluster(&self, name: &str) -> Result<Option<Seen>, CallError> {
        const ACTION: &str = "ecs:DescribeClusters";
        let found = self.ecs.describe_clusters().clusters(name).include(ClusterField::Tags).send().await;
        let found = found.map_err(CallError::during("ecs:DescribeClusters"))?;
        let Some(cluster) = found.clusters.unwrap_or_default().into_iter().next() else {
            return failed(ACTION, found.failures.unwrap_or_default());
        };
        if !is_alive(ACTION, cluster.status())? {
            return Ok(None);
        }
        let tags = ecs_tags(cluster.tags.unwrap_or_default());
        Ok(Some(Seen::new(cluster.cluster_arn, Ok(tags), More::default())))
    }

    async fn service(&self, name: &str) -> Result<Option<Seen>, CallError> {
        const ACTION: &str = "ecs:DescribeServices";
        let (cluster, service) = name.split_once('/').unwrap_or_default();
        let asked = self.ecs.describe_services().cluster(cluster).services(service);
        let found = match asked.include(ServiceField::Tags).send().await {
            Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("ecs:DescribeServices"))?,
        };
        let Some(service) = found.services.unwrap_or_default().into_iter().next() else {
            return failed(ACTION, found.failures.unwrap_or_default());
        };
        if !is_alive(ACTION, service.status())? {
            return Ok(None);
        }
        let tags = ecs_tags(service.tags.unwrap_or_default());
        let settings = [shows(Setting::TaskDefinition, service.task_definition)].into();
        Ok(Some(Seen::new(service.service_arn, Ok(tags), More { settings, ..More::default() })))
    }

    async fn instance(&self, name: &str) -> Result<Option<Seen>, CallError> {
        const ACTION: &str = "rds:DescribeDBInstances";
        let found = match self.rds.describe_db_instances().db_instance_identifier(name).send().await {
            Err(error) if error.code() == Some("DBInstanceNotFound") => return Ok(None),
            found => found.map_err(CallError::during("rds:DescribeDBInstances"))?,
        };
        let instances = found.db_instances.unwrap_or_default().into_iter();
        let mut own = instances.filter(|instance| instance.db_instance_identifier() == Some(name));
        let instance = own.next().ok_or_else(|| unclear(ACTION))?;
        if instance.db_instance_status().ok_or_else(|| unclear(ACTION))? == "deleting" {
            return Ok(None);
        }
        // What was changed and waits for its window is what Terraform has asked for.
        let pending = instance.pending_modified_values.as_ref();
        let retention = pending.and_then(|pending| pending.backup_retention_period);
        let multi_az = pending.and_then(|pending| pending.multi_az);
        let settings = [
            shows(Setting::BackupRetention, retention.or(instance.backup_retention_period)),
            shows(Setting::DeletionProtection, instance.deletion_protection),
            shows(Setting::MultiAz, multi_az.or(instance.multi_az)),
        ];
        let more = More {
            settings: settings.into(),
            engine: instance.engine,
            cluster: instance.db_cluster_identifier.filter(|cluster| !cluster.is_empty()),
            ..More::default()
        };
        let tags = rds_tags(instance.tag_list.unwrap_or_default());
        Ok(Some(Seen::new(instance.db_instance_arn, Ok(tags), more)))
    }

    async fn database_cluster(&self, name: &str) -> Result<Option<Seen>, CallError> {
        const ACTION: &str = "rds:DescribeDBClusters";
        let found = match self.rds.describe_db_clusters().db_cluster_identifier(name).send().await {
            Err(error) if error.code() == Some("DBClusterNotFoundFault") => return Ok(None),
            found => found.map_err(CallError::during("rds:DescribeDBClusters"))?,
        };
        let clusters = found.db_clusters.unwrap_or_default().into_iter();
        let mut own = clusters.filter(|cluster| cluster.db_cluster_identifier() == Some(name));
        let cluster = own.next().ok_or_else(|| unclear(ACTION))?;
        if cluster.status().ok_or_else(|| unclear(ACTION))? == "deleting" {
            return Ok(None);
        }
        let pending = cluster.pending_modified_values.as_ref();
        let retention = pending.and_then(|pending| pending.backup_retention_period);
        let settings = [
            shows(Setting::BackupRetention, retention.or(cluster.backup_retention_period)),
            shows(Setting::DeletionProtection, cluster.deletion_protection),
        ];
        let tags = rds_tags(cluster.tag_list.unwrap_or_default());
        let more = More { settings: settings.into(), engine: cluster.engine, ..More::default() };
        Ok(Some(Seen::new(cluster.db_cluster_arn, Ok(tags), more)))
    }

    /// A bucket without tags has no tag set. Another account's bucket of that name is none that the role may see.
    async fn bucket(&self, name: &str) -> Result<Option<Seen>, CallError> {
        let arn = format!("arn:{}:s3:::{name}", self.partition());
        let (mut client, mut has_moved) = (self.s3.clone(), false);
        let tags = loop {
            let found = client.get_bucket_tagging().bucket(name).send().await;
            let other = found.as_ref().err().and_then(|error| moved(&client, error));
            if let Some(other) = other.filter(|_| !has_moved) {
                (client, has_moved) = (other, true);
                continue;
            }
            break match found {
                Ok(found) => Ok(found.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect()),
                Err(error) if error.code() == Some("NoSuchTagSet") => Ok(BTreeMap::new()),
                Err(error) if error.code() == Some("NoSuchBucket") => return Ok(None),
                Err(error) => return Err(CallError::during("s3:GetBucketTagging")(error)),
            };
        };
        let settings = [
            (Setting::Versioning, versioning(&client, name).await.map_err(|error| chain(&error))),
            (Setting::Lifecycle, rules(&client, name).await.map_err(|error| chain(&error))),
        ];
        Ok(Some(Seen::new(Some(arn), tags, More { settings: settings.into(), ..More::default() })))
    }

    fn partition(&self) -> &'static str {
        match self.s3.config().region().map(AsRef::as_ref) {
            Some(region) if region.starts_with("cn-") => "aws-cn",
            Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    async fn log_group(&self, name: &str) -> Result<Option<Seen>, CallError> {
        // They come in the order of their names, so that the name itself is before all that it begins.
        let found = self.logs.describe_log_groups().log_group_name_prefix(name).limit(1).send().await;
        let found = found.map_err(CallError::during("logs:DescribeLogGroups"))?;
        let groups = found.log_groups.ok_or_else(|| unclear("logs:DescribeLogGroups"))?;
        let Some(group) = groups.into_iter().find(|group| group.log_group_name() == Some(name)) else {
            return Ok(None);
        };
        // None is for ever, which Terraform writes as 0.
        let settings =
            [shows(Setting::LogRetention, Some(group.retention_in_days.unwrap_or_default()))].into();
        let arn = bare(&group.arn.unwrap_or_default()).to_owned();
        let tags = self.logs.list_tags_for_resource().resource_arn(&arn).send().await;
        let tags = tags.map_err(CallError::during("logs:ListTagsForResource"));
        let tags = tags.and_then(|tags| tags.tags.ok_or_else(|| unclear("logs:ListTagsForResource")));
        let tags = tags.map(|tags| tags.into_iter().collect());
        Ok(Some(Seen::new(Some(arn), tags, More { settings, ..More::default() })))
    }

    async fn secret(&self, name: &str) -> Result<Option<Seen>, CallError> {
        let found = match self.secrets.describe_secret().secret_id(name).send().await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("secretsmanager:DescribeSecret"))?,
        };
        if found.deleted_date.is_some() {
            return Ok(None);
        }
        let tags = found.tags.unwrap_or_default().into_iter();
        let tags = tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
        // A secret that never had a rotation has no word on it.
        let more = More { rotates: Some(found.rotation_enabled.unwrap_or_default()), ..More::default() };
        Ok(Some(Seen::new(found.arn, Ok(tags), more)))
    }

    /// What Cloud Control shows of a resource whose service has no client here. `id` is the property that identifies it.
    async fn controlled(
        &self,
        kind: &str,
        (id, identifier): (&str, &str),
        tags: &str,
        arn: String,
    ) -> Result<Option<Seen>, CallError> {
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
        Ok(Some(Seen::new(Some(arn), Ok(tags), More::default())))
    }

    /// Every resource of this region with the project's tag, of whichever environment. What has no tags is not among them,
    /// nor what has them since a moment; what is gone still is for a while.
    pub(crate) async fn tagged(&self, project: &str) -> Result<Vec<Tagged>, CallError> {
        let filter = TagFilter::builder().key("Project").values(project).build();
        let asked = self.tagging.get_resources().resources_per_page(100).tag_filters(filter);
        let mut pages = asked.into_paginator().send();
        let mut tagged = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(CallError::during("tag:GetResources"))?;
            let found =
                page.resource_tag_mapping_list.ok_or_else(|| unclear("tag:GetResources"))?.into_iter();
            tagged.extend(found.filter_map(|found| {
                let tag = |key: &str| {
                    found.tags().iter().find(|tag| tag.key() == key).map(|tag| tag.value().to_owned())
                };
                let (environment, stack) = (tag("Environment"), tag(STACK_TAG));
                Some(Tagged { arn: found.resource_arn?, environment, stack, more: More::default() })
            }));
        }
        Ok(tagged)
    }

    /// The keys of the states that a declared key or prefix stands for, and a client of their bucket's region.
    pub(crate) async fn states(&self, bucket: &str, declared: &str) -> Result<(S3, Vec<String>), ReadError> {
        let (mut client, mut has_moved) = (self.s3.clone(), false);
        let (mut keys, mut token, mut pages) = (Vec::new(), None, 0);
        let is_it = |key: &str| if declared.ends_with('/') { key.ends_with(SUFFIX) } else { key == declared };
        loop {
            let asked = client
                .list_objects_v2()
                .bucket(bucket)
                .prefix(declared)
                .set_continuation_token(token.clone());
            let found = asked.send().await;
            let other = found.as_ref().err().and_then(|error| moved(&client, error));
            if let Some(other) = other.filter(|_| !has_moved) {
                (client, has_moved) = (other, true);
                continue;
            }
            let page = found.map_err(CallError::during("s3:ListBucket"))?;
            if page.key_count.is_none() {
                return Err(unclear("s3:ListBucket").into());
            }
            let found = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            keys.extend(found.filter(|key| is_it(key)));
            pages += 1;
            // The key itself comes before all that it begins.
            let is_over = !declared.ends_with('/') || page.next_continuation_token.is_none();
            if keys.len() > MOST_STATES || pages == PAGES && !is_over {
                return Err(ReadError::TooMany);
            }
            if is_over {
                break;
            }
            token = page.next_continuation_token;
        }
        if keys.is_empty() { Err(ReadError::NoObject) } else { Ok((client, keys)) }
    }

    /// A Terraform state, and which one it is. Its bytes are dropped as soon as they are read.
    pub(crate) async fn state(client: &S3, bucket: &str, key: &str) -> Result<(Managed, String), ReadError> {
        let object = client.get_object().bucket(bucket).key(key).send().await;
        let mut object = object.map_err(CallError::during("s3:GetObject"))?;
        let broken =
            |message: String| CallError { operation: "s3:GetObject", code: "BrokenBody".to_owned(), message };
        let mut bytes = Vec::new();
        while let Some(part) = object.body.try_next().await.map_err(|error| broken(chain(&error)))? {
            if bytes.len() + part.len() > MOST_BYTES {
                return Err(StateError::TooLarge.into());
            }
            bytes.extend_from_slice(&part);
        }
        let managed = parse(key, &bytes)?;
        let version = object.version_id.as_deref().unwrap_or("-");
        let written = instant(object.last_modified).map_or_else(|| "?".to_owned(), |at| at.to_string());
        let which = format!("serial {}, S3 version {version}, written {written}", managed.serial);
        Ok((managed, which))
    }
}

/// What a look at a resource showed.
struct Seen {
    arn: String,
    /// Tags, or why they were not seen.
    tags: Result<BTreeMap<String, String>, CallError>,
    more: More,
}

impl Seen {
    fn new(arn: Option<String>, tags: Result<BTreeMap<String, String>, CallError>, more: More) -> Self {
        Self { arn: arn.unwrap_or_default(), tags, more }
    }
}

/// A setting as a call showed it.
fn shows<T: ToString>(setting: Setting, value: Option<T>) -> (Setting, Result<String, String>) {
    let value = value.map(|value| value.to_string());
    (setting, value.ok_or_else(|| format!("AWS does not show {}", setting.name())))
}

/// What ECS says of what it does not show: that it is not there, or why it does not say.
fn failed(operation: &'static str, failures: Vec<Failure>) -> Result<Option<Seen>, CallError> {
    match failures.into_iter().next() {
        Some(failure) if failure.reason() == Some("MISSING") => Ok(None),
        Some(Failure { reason: Some(code), detail, .. }) => {
            Err(CallError { operation, code, message: detail.unwrap_or_default() })
        }
        _ => Err(unclear(operation)),
    }
}

/// Whether a cluster or service is there, by its status.
fn is_alive(operation: &'static str, status: Option<&str>) -> Result<bool, CallError> {
    Ok(ALIVE.contains(&status.ok_or_else(|| unclear(operation))?))
}

/// `Disabled` for a bucket that never had versions, as Terraform calls it.
async fn versioning(client: &S3, bucket: &str) -> Result<String, CallError> {
    let found = client.get_bucket_versioning().bucket(bucket).send().await;
    let found = found.map_err(CallError::during("s3:GetBucketVersioning"))?;
    Ok(found.status.map_or_else(|| "Disabled".to_owned(), |status| status.as_str().to_owned()))
}

async fn rules(client: &S3, bucket: &str) -> Result<String, CallError> {
    let found = match client.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => return Ok(lifecycle([])),
        found => found.map_err(CallError::during("s3:GetLifecycleConfiguration"))?,
    };
    let rules = found.rules.ok_or_else(|| unclear("s3:GetLifecycleConfiguration"))?;
    Ok(lifecycle(rules.into_iter().map(|rule| Rule {
        is_enabled: rule.status().as_str() == "Enabled",
        prefix: prefix(&rule).unwrap_or_default().to_owned(),
        expires: rule.expiration().and_then(|expiration| expiration.days()),
        noncurrent: rule.noncurrent_version_expiration().and_then(|expiration| expiration.noncurrent_days()),
        incomplete: rule.abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation()),
        id: rule.id.unwrap_or_default(),
    })))
}

/// Beginning of the keys that a rule is of.
fn prefix(rule: &aws_sdk_s3::types::LifecycleRule) -> Option<&str> {
    #[expect(deprecated, reason = "rules of before 2016 have it in place of a filter")]
    let of_rule = rule.prefix();
    let filter = rule.filter();
    let both = filter.and_then(|filter| filter.and()).and_then(|both| both.prefix());
    filter.and_then(|filter| filter.prefix()).or(both).or(of_rule)
}

fn rds_tags(tags: Vec<aws_sdk_rds::types::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}

fn ecs_tags(tags: Vec<aws_sdk_ecs::types::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;
    use shared::testing::{aws, replies};

    use super::*;

    const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

    fn clients(wire: &StaticReplayClient) -> Clients {
        Clients::new(&aws(wire), "123456789012".to_owned())
    }

    async fn look(kind: Kind, name: &str, answers: &[&str]) -> Sight {
        clients(&replies(answers)).look(kind, name).await
    }

    /// Status, region header, body.
    fn wire(answers: &[(u16, &str, &str)]) -> StaticReplayClient {
        let event = |(status, region, body): &(u16, &str, &str)| {
            let answer = http::Response::builder().status(*status).header("x-amz-bucket-region", *region);
            let answer = answer.body(SdkBody::from(*body)).unwrap();
            ReplayEvent::new(http::Request::new(SdkBody::empty()), answer)
        };
        StaticReplayClient::new(answers.iter().map(event).collect())
    }

    fn hosts(wire: &StaticReplayClient) -> Vec<String> {
        wire.actual_requests()
            .map(|request| request.uri().split('/').nth(2).unwrap_or_default().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_no_absence() {
        let instance = "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances/></DescribeDBInstancesResult></DescribeDBInstancesResponse>";
        let cluster = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters/></DescribeDBClustersResult></DescribeDBClustersResponse>";
        for (kind, name, answer) in [
            (Kind::EcsCluster, "c", ""),
            (Kind::EcsCluster, "c", "{}"),
            (Kind::EcsCluster, "c", r#"{"clusters": [], "failures": []}"#),
            (Kind::EcsCluster, "c", r#"{"clusters": [], "failures": [{"reason": "ACCESS_DENIED"}]}"#),
            (Kind::EcsCluster, "c", r#"{"clusters": [{"clusterArn": "arn"}]}"#),
            (Kind::EcsService, "c/s", ""),
            (Kind::EcsService, "c/s", "{}"),
            (Kind::EfsFileSystem, FILE_SYSTEM, ""),
            (
                Kind::EfsFileSystem,
                FILE_SYSTEM,
                r#"{"ResourceDescription": {"Identifier": "x", "Properties": "{}"}}"#,
            ),
            (Kind::EfsFileSystem, FILE_SYSTEM, r#"{"ResourceDescription": {"Properties": "<html>"}}"#),
            (Kind::LogGroup, "g", ""),
            (Kind::LogGroup, "g", "{}"),
            (Kind::RdsCluster, "d", ""),
            (Kind::RdsCluster, "d", cluster),
            (Kind::RdsInstance, "d", ""),
            (Kind::RdsInstance, "d", instance),
            (Kind::S3Bucket, "b", ""),
            (Kind::Secret, "s", ""),
            (Kind::Secret, "s", "{}"),
        ] {
            let sight = look(kind, name, &[answer]).await;
            assert!(matches!(sight, Sight::Unseen(_)), "{kind:?} {answer}: {sight:?}");
        }
        for (kind, name, answer) in [
            (Kind::EcsCluster, "c", r#"{"clusters": [], "failures": [{"reason": "MISSING"}]}"#),
            (Kind::EcsCluster, "c", r#"{"clusters": [{"clusterArn": "arn", "status": "INACTIVE"}]}"#),
            (Kind::EcsService, "c/s", r#"{"services": [], "failures": [{"reason": "MISSING"}]}"#),
            (Kind::EfsFileSystem, FILE_SYSTEM, r#"{"__type": "ResourceNotFoundException"}"#),
            (Kind::LogGroup, "g", r#"{"logGroups": [{"logGroupName": "g2", "arn": "arn"}]}"#),
            (Kind::Secret, "s", r#"{"__type": "ResourceNotFoundException"}"#),
        ] {
            assert_eq!(look(kind, name, &[answer]).await, Sight::Absent, "{kind:?} {answer}");
        }
        assert_eq!(look(Kind::Url, "https://grafana.example.org", &[]).await, Sight::Elsewhere);
    }

    #[tokio::test]
    async fn what_has_no_client_is_looked_at_through_cloud_control() {
        let arn = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1";
        for (kind, name, properties, expected) in [
            (
                Kind::EfsFileSystem,
                FILE_SYSTEM,
                format!(
                    r#"{{"FileSystemId": "{FILE_SYSTEM}", "FileSystemTags": [{{"Key": "Project", "Value": "moveongs"}}]}}"#
                ),
                format!("arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/{FILE_SYSTEM}"),
            ),
            (
                Kind::GrafanaWorkspace,
                "g-1",
                r#"{"Id": "g-1", "Status": "ACTIVE", "Tags": [{"Key": "Project", "Value": "moveongs"}]}"#
                    .to_owned(),
                "arn:aws:grafana:us-east-1:123456789012:/workspaces/g-1".to_owned(),
            ),
            (
                Kind::PrometheusWorkspace,
                "ws-1",
                format!(r#"{{"Arn": "{arn}", "Tags": [{{"Key": "Project", "Value": "moveongs"}}]}}"#),
                arn.to_owned(),
            ),
        ] {
            let answer = serde_json::json!({"ResourceDescription": {"Properties": properties}}).to_string();
            let tags = Ok(BTreeMap::from([("Project".to_owned(), "moveongs".to_owned())]));
            let expected = Sight::Present { arn: expected, tags, more: More::default() };
            assert_eq!(look(kind, name, &[&answer]).await, expected, "{kind:?}");
        }
        let gone =
            r#"{"ResourceDescription": {"Properties": "{\"Id\": \"g-1\", \"Status\": \"DELETING\"}"}}"#;
        assert_eq!(look(Kind::GrafanaWorkspace, "g-1", &[gone]).await, Sight::Absent);
    }

    const MOVED: &str = "<Error><Code>PermanentRedirect</Code><Message>x</Message></Error>";

    #[tokio::test]
    async fn a_bucket_of_another_region_is_read_there() {
        let tags = "<Tagging><TagSet><Tag><Key>Project</Key><Value>moveongs</Value></Tag></TagSet></Tagging>";
        let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let lifecycle = "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>";
        let wire = wire(&[
            (301, "sa-east-1", MOVED),
            (200, "sa-east-1", tags),
            (200, "sa-east-1", versioning),
            (404, "sa-east-1", lifecycle),
        ]);
        let sight = clients(&wire).look(Kind::S3Bucket, "b").await;
        let Sight::Present { tags: Ok(tags), more, .. } = sight else { panic!("{sight:?}") };
        assert_eq!(tags.get("Project").map(String::as_str), Some("moveongs"));
        assert_eq!(more.settings.get(&Setting::Versioning), Some(&Ok("Enabled".to_owned())));
        assert_eq!(more.settings.get(&Setting::Lifecycle), Some(&Ok(String::new())));
        let there = "s3.sa-east-1.amazonaws.com";
        assert_eq!(hosts(&wire), ["s3.us-east-1.amazonaws.com", there, there, there]);
    }

    #[tokio::test]
    async fn regions_that_name_each_other_end() {
        let wire = wire(&[(301, "sa-east-1", MOVED), (301, "us-east-1", MOVED)]);
        let sight = clients(&wire).look(Kind::S3Bucket, "b").await;
        assert!(matches!(&sight, Sight::Unseen(why) if why.contains("PermanentRedirect")), "{sight:?}");
        assert_eq!(hosts(&wire).len(), 2);
    }

    fn listing(keys: &[&str], token: &str) -> String {
        let objects: String =
            keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        let token = if token.is_empty() {
            String::new()
        } else {
            format!("<NextContinuationToken>{token}</NextContinuationToken>")
        };
        format!("<ListBucketResult><KeyCount>{}</KeyCount>{objects}{token}</ListBucketResult>", keys.len())
    }

    #[tokio::test]
    async fn a_prefix_stands_for_the_states_below_it_and_a_key_for_itself() {
        let found = async |declared: &str, pages: &[String]| {
            let pages: Vec<_> = pages.iter().map(String::as_str).collect();
            let states = clients(&replies(&pages)).states("states", declared).await;
            states.map(|(_, keys)| keys).map_err(|error| chain(&error))
        };
        let below = [
            "dev/app/terraform.tfstate",
            "dev/app/terraform.tfstate.backup",
            "dev/app/terraform.tfstate.tflock",
        ];
        let pages =
            [listing(&below, "next"), listing(&["dev/network/terraform.tfstate", "dev/readme.md"], "")];
        assert_eq!(
            found("dev/", &pages).await,
            Ok(vec!["dev/app/terraform.tfstate".to_owned(), "dev/network/terraform.tfstate".to_owned()])
        );
        // One page is enough for a key.
        assert_eq!(
            found("dev/app/terraform.tfstate", &pages).await,
            Ok(vec!["dev/app/terraform.tfstate".to_owned()])
        );
        for (declared, page, why) in [
            ("dev/terraform.tfstate", listing(&["dev/terraform.tfstate.backup"], ""), "no state"),
            ("dev/", listing(&["dev/readme.md"], ""), "no state"),
            ("dev/", String::new(), "s3:ListBucket failed"),
            ("dev/", "<ListBucketResult/>".to_owned(), "NotUnderstood"),
        ] {
            let error = found(declared, &[page]).await.unwrap_err();
            assert!(error.contains(why), "{declared}: {error}");
        }
        let many: Vec<_> = (0..=MOST_STATES).map(|number| format!("dev/{number}.tfstate")).collect();
        let many = listing(&many.iter().map(String::as_str).collect::<Vec<_>>(), "");
        assert!(found("dev/", &[many]).await.unwrap_err().contains("more than 50 states"));
        let endless: Vec<_> = (0..PAGES).map(|_| listing(&["dev/x"], "next")).collect();
        assert!(found("dev/", &endless).await.unwrap_err().contains("pages of keys"));
    }

    #[tokio::test]
    async fn a_state_of_another_region_is_read_there() {
        let listed = listing(&["dev/terraform.tfstate"], "");
        let wire = wire(&[
            (301, "sa-east-1", MOVED),
            (200, "sa-east-1", &listed),
            (200, "sa-east-1", r#"{"version": 4, "serial": 3}"#),
        ]);
        let (client, keys) =
            clients(&wire).states("b", "dev/terraform.tfstate").await.map_err(|error| chain(&error)).unwrap();
        let (managed, _) = Clients::state(&client, "b", &keys[0]).await.unwrap();
        assert_eq!(managed.serial, 3);
        assert_eq!(hosts(&wire)[1..], ["s3.sa-east-1.amazonaws.com"; 2]);
    }
}
