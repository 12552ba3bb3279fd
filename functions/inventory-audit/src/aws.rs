//! The AWS calls. The only file that names SDK operations.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecs::types::{ClusterField, ServiceField};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::failure::{CallError, chain};
use shared::policy::Kind;
use shared::time::instant;

use crate::policy::{STACK_TAG, Sight, Tagged};
use crate::state::{MOST_BYTES, Managed, StateError, bare, parse};

/// States of an ECS cluster or service that is there, or coming.
const ALIVE: [&str; 2] = ["ACTIVE", "PROVISIONING"];

/// Clients of the stack's region.
pub(crate) struct Clients {
    ecs: aws_sdk_ecs::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    rds: aws_sdk_rds::Client,
    s3: aws_sdk_s3::Client,
    secrets: aws_sdk_secretsmanager::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
}

/// Why the Terraform state could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ReadError {
    /// S3 did not give it. Without the right to list the bucket, S3 also says AccessDenied of an object that is not there.
    #[error("the object could not be read")]
    S3(#[from] CallError),
    /// It is not what it should be.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Clients {
    pub(crate) fn new(aws: &SdkConfig) -> Self {
        Self {
            ecs: aws_sdk_ecs::Client::new(aws),
            logs: aws_sdk_cloudwatchlogs::Client::new(aws),
            rds: aws_sdk_rds::Client::new(aws),
            s3: aws_sdk_s3::Client::new(aws),
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            tagging: aws_sdk_resourcegroupstagging::Client::new(aws),
        }
    }

    /// Looks at one resource by its own service's call, which knows what has no tags too.
    pub(crate) async fn look(&self, kind: Kind, name: &str) -> Sight {
        let seen = match kind {
            Kind::EcsCluster => self.cluster(name).await,
            Kind::EcsService => self.service(name).await,
            Kind::LogGroup => self.log_group(name).await,
            Kind::RdsInstance => self.instance(name).await,
            Kind::S3Bucket => self.bucket(name).await,
            Kind::Secret => self.secret(name).await,
        };
        match seen {
            Ok(Some((arn, _))) if arn.is_empty() => Sight::Unseen("the answer has no ARN".to_owned()),
            Ok(Some((arn, tags))) => Sight::Present { arn, tags: tags.map_err(|error| chain(&error)) },
            Ok(None) => Sight::Absent,
            Err(error) => Sight::Unseen(chain(&error)),
        }
    }

    async fn cluster(&self, name: &str) -> Result<Option<Seen>, CallError> {
        let found = self.ecs.describe_clusters().clusters(name).include(ClusterField::Tags).send().await;
        let clusters = found.map_err(CallError::during("ecs:DescribeClusters"))?.clusters.unwrap_or_default();
        let alive = clusters
            .into_iter()
            .find(|cluster| cluster.status().is_some_and(|status| ALIVE.contains(&status)));
        Ok(alive.map(|cluster| {
            (cluster.cluster_arn.unwrap_or_default(), Ok(ecs_tags(cluster.tags.unwrap_or_default())))
        }))
    }

    async fn service(&self, name: &str) -> Result<Option<Seen>, CallError> {
        let (cluster, service) = name.split_once('/').unwrap_or_default();
        let asked = self.ecs.describe_services().cluster(cluster).services(service);
        let found = match asked.include(ServiceField::Tags).send().await {
            Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("ecs:DescribeServices"))?,
        };
        let alive = found
            .services
            .unwrap_or_default()
            .into_iter()
            .find(|service| service.status().is_some_and(|status| ALIVE.contains(&status)));
        Ok(alive.map(|service| {
            (service.service_arn.unwrap_or_default(), Ok(ecs_tags(service.tags.unwrap_or_default())))
        }))
    }

    async fn instance(&self, name: &str) -> Result<Option<Seen>, CallError> {
        let found = match self.rds.describe_db_instances().db_instance_identifier(name).send().await {
            Err(error) if error.code() == Some("DBInstanceNotFound") => return Ok(None),
            found => found.map_err(CallError::during("rds:DescribeDBInstances"))?,
        };
        let alive = found
            .db_instances
            .unwrap_or_default()
            .into_iter()
            .find(|instance| instance.db_instance_status() != Some("deleting"));
        Ok(alive.map(|instance| {
            let tags = instance.tag_list.unwrap_or_default().into_iter();
            let tags = tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
            (instance.db_instance_arn.unwrap_or_default(), Ok(tags))
        }))
    }

    /// A bucket without tags has no tag set. Another account's bucket of that name is none that the role may see.
    async fn bucket(&self, name: &str) -> Result<Option<Seen>, CallError> {
        let arn = format!("arn:{}:s3:::{name}", self.partition());
        let tags = match self.s3.get_bucket_tagging().bucket(name).send().await {
            Ok(found) => found.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            Err(error) if error.code() == Some("NoSuchTagSet") => BTreeMap::new(),
            Err(error) if error.code() == Some("NoSuchBucket") => return Ok(None),
            Err(error) => return Err(CallError::during("s3:GetBucketTagging")(error)),
        };
        Ok(Some((arn, Ok(tags))))
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
        let groups =
            found.map_err(CallError::during("logs:DescribeLogGroups"))?.log_groups.unwrap_or_default();
        let Some(group) = groups.into_iter().find(|group| group.log_group_name() == Some(name)) else {
            return Ok(None);
        };
        let arn = bare(&group.arn.unwrap_or_default()).to_owned();
        let tags = self.logs.list_tags_for_resource().resource_arn(&arn).send().await;
        let tags = tags.map_err(CallError::during("logs:ListTagsForResource"));
        Ok(Some((arn, tags.map(|tags| tags.tags.unwrap_or_default().into_iter().collect()))))
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
        Ok(Some((found.arn.unwrap_or_default(), Ok(tags))))
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
            let found = page.resource_tag_mapping_list.unwrap_or_default().into_iter();
            tagged.extend(found.filter_map(|found| {
                let tag = |key: &str| {
                    found.tags().iter().find(|tag| tag.key() == key).map(|tag| tag.value().to_owned())
                };
                let (environment, stack) = (tag("Environment"), tag(STACK_TAG));
                Some(Tagged { arn: found.resource_arn?, environment, stack })
            }));
        }
        Ok(tagged)
    }

    /// The Terraform state, and which one it is. Its bytes are dropped as soon as they are read.
    pub(crate) async fn state(&self, bucket: &str, key: &str) -> Result<(Managed, String), ReadError> {
        let object = self.s3.get_object().bucket(bucket).key(key).send().await;
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
        let managed = parse(&bytes)?;
        let version = object.version_id.as_deref().unwrap_or("-");
        let written = instant(object.last_modified).map_or_else(|| "?".to_owned(), |at| at.to_string());
        let which = format!("serial {}, S3 version {version}, written {written}", managed.serial);
        Ok((managed, which))
    }
}

/// An ARN, and the tags or why they were not seen.
type Seen = (String, Result<BTreeMap<String, String>, CallError>);

fn ecs_tags(tags: Vec<aws_sdk_ecs::types::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}
