//! Database instances and clusters.

use std::collections::BTreeMap;

use aws_sdk_rds::types::Tag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::runtime::failure::CallError;

use super::{Clients, Found, setting, unclear};
use crate::rules::facts::Details;
use crate::rules::settings::Setting;

impl Clients {
    pub(super) async fn database_instance(&self, name: &str) -> Result<Option<Found>, CallError> {
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
        // A change that waits for its maintenance window already has the value that Terraform set.
        let pending = instance.pending_modified_values.as_ref();
        let retention = pending.and_then(|pending| pending.backup_retention_period);
        let multi_az = pending.and_then(|pending| pending.multi_az);
        let settings = [
            setting(Setting::BackupRetention, retention.or(instance.backup_retention_period)),
            setting(Setting::DeletionProtection, instance.deletion_protection),
            setting(Setting::MultiAz, multi_az.or(instance.multi_az)),
        ];
        let details = Details {
            settings: settings.into(),
            engine: instance.engine,
            cluster: instance.db_cluster_identifier.filter(|cluster| !cluster.is_empty()),
            ..Details::default()
        };
        let tags = tags(instance.tag_list.unwrap_or_default());
        Ok(Some(Found::new(instance.db_instance_arn, Ok(tags), details)))
    }

    pub(super) async fn database_cluster(&self, name: &str) -> Result<Option<Found>, CallError> {
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
            setting(Setting::BackupRetention, retention.or(cluster.backup_retention_period)),
            setting(Setting::DeletionProtection, cluster.deletion_protection),
        ];
        let tags = tags(cluster.tag_list.unwrap_or_default());
        let details = Details { settings: settings.into(), engine: cluster.engine, ..Details::default() };
        Ok(Some(Found::new(cluster.db_cluster_arn, Ok(tags), details)))
    }
}

fn tags(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}
