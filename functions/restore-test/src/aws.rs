//! The RDS calls, in this region and in the one of the copies. The only file that names SDK operations.

use std::collections::BTreeMap;

use aws_sdk_rds::config::Builder;
use aws_sdk_rds::types::{DbInstance, DbSnapshot, Tag};
use shared::database::secret::Address;
use shared::runtime::failure::CallError;
use shared::runtime::lambda::unhurried;
use shared::runtime::time::instant;

use crate::Place;
use crate::rules::choice::{Candidate, Chosen};
use crate::rules::instance::Instance;

type Rds = aws_sdk_rds::Client;

/// The account's quota of instances, as DescribeAccountAttributes names it.
const INSTANCES: &str = "DBInstances";

impl From<DbSnapshot> for Candidate {
    fn from(snapshot: DbSnapshot) -> Self {
        let made = instant(snapshot.snapshot_create_time);
        Self {
            chosen: Chosen {
                name: snapshot.db_snapshot_identifier.unwrap_or_default(),
                arn: snapshot.db_snapshot_arn.unwrap_or_default(),
                created: instant(snapshot.original_snapshot_create_time).or(made),
                database_time: instant(snapshot.snapshot_database_time),
                engine_version: snapshot.engine_version.unwrap_or_default(),
                allocated_gib: snapshot.allocated_storage,
                resource: snapshot.dbi_resource_id.unwrap_or_default(),
            },
            instance: snapshot.db_instance_identifier.unwrap_or_default(),
            engine: snapshot.engine.unwrap_or_default(),
            status: snapshot.status.unwrap_or_default(),
            is_manual: snapshot.snapshot_type.as_deref() == Some("manual"),
            is_encrypted: snapshot.encrypted == Some(true),
        }
    }
}

impl From<DbInstance> for Instance {
    fn from(instance: DbInstance) -> Self {
        let tags = instance.tag_list.unwrap_or_default().into_iter();
        let tags: BTreeMap<_, _> =
            tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
        let pending = instance.pending_modified_values;
        let is_pending = pending.is_some_and(|pending| pending.master_user_password.is_some());
        let secret = instance
            .master_user_secret
            .and_then(|secret| Some((secret.secret_arn?, secret.secret_status.unwrap_or_default())));
        let address = instance.endpoint.and_then(|endpoint| {
            let port = endpoint.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(5432);
            Some(Address { host: endpoint.address?, port })
        });
        Self {
            name: instance.db_instance_identifier.unwrap_or_default(),
            resource: instance.dbi_resource_id.unwrap_or_default(),
            status: instance.db_instance_status.unwrap_or_default(),
            address,
            created: instant(instance.instance_create_time),
            tags,
            is_protected: instance.deletion_protection == Some(true),
            is_pending,
            secret,
        }
    }
}

/// The snapshots of an instance: `automated`, or in the copies' region `manual`.
pub(crate) async fn snapshots(client: &Rds, of: &str, kind: &str) -> Result<Vec<Candidate>, CallError> {
    let listed = client.describe_db_snapshots().db_instance_identifier(of).snapshot_type(kind);
    let mut pages = listed.into_paginator().send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
        let page = page.db_snapshots.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
        snapshots.extend(page.into_iter().map(Candidate::from));
    }
    Ok(snapshots)
}

/// The snapshot of this name; none if there is none.
pub(crate) async fn snapshot(client: &Rds, name: &str) -> Result<Option<Candidate>, CallError> {
    let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBSnapshots")) {
        Ok(described) => {
            let found = described.db_snapshots.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
            Ok(found.into_iter().next().map(Candidate::from))
        }
        Err(call) if call.code.starts_with("DBSnapshotNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// Whether every account may restore a manual snapshot.
pub(crate) async fn is_public(client: &Rds, name: &str) -> Result<bool, CallError> {
    let described = client.describe_db_snapshot_attributes().db_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBSnapshotAttributes"))?;
    let result = described.db_snapshot_attributes_result;
    let result = result.ok_or(CallError::empty("rds:DescribeDBSnapshotAttributes"))?;
    let mut restore = result
        .db_snapshot_attributes
        .unwrap_or_default()
        .into_iter()
        .filter(|one| one.attribute_name.as_deref() == Some("restore"));
    Ok(restore.any(|one| one.attribute_values().iter().any(|account| account == "all")))
}

/// The account's used and greatest number of instances in the client's region.
pub(crate) async fn quota(client: &Rds) -> Result<(i64, i64), CallError> {
    let described = client.describe_account_attributes().send().await;
    let described = described.map_err(CallError::during("rds:DescribeAccountAttributes"))?;
    let quotas = described.account_quotas.unwrap_or_default();
    let quota = quotas.into_iter().find(|one| one.account_quota_name.as_deref() == Some(INSTANCES));
    let quota = quota.and_then(|quota| Some((quota.used?, quota.max?)));
    quota.ok_or(CallError::empty("rds:DescribeAccountAttributes"))
}

/// Requests the instance of a snapshot. RDS accepts or refuses the request at once, and makes the instance later.
///
/// Everything that RDS would take from the source or from the account's defaults is said: without tags it copies those
/// of the snapshot, and without a retention it begins backups of its own.
pub(crate) async fn restore(
    client: &Rds,
    (name, snapshot): (&str, &str),
    place: &Place,
    tags: Vec<(&str, String)>,
) -> Result<Instance, CallError> {
    let tag = |(key, value): (&str, String)| Tag::builder().key(key).value(value).build();
    let restored = client
        .restore_db_instance_from_db_snapshot()
        .db_instance_identifier(name)
        .db_snapshot_identifier(snapshot)
        .db_instance_class(&place.class)
        .db_subnet_group_name(&place.subnet_group)
        .set_vpc_security_group_ids(Some(place.security_groups.clone()))
        .set_db_parameter_group_name(place.parameter_group.clone())
        .backup_retention_period(0)
        .multi_az(false)
        .publicly_accessible(false)
        .auto_minor_version_upgrade(false)
        .copy_tags_to_snapshot(false)
        .deletion_protection(false)
        .engine_lifecycle_support("open-source-rds-extended-support-disabled")
        .set_tags(Some(tags.into_iter().map(tag).collect()));
    let patience = Builder::new().timeout_config(unhurried());
    let restored = restored.customize().config_override(patience).send().await;
    let restored = restored.map_err(CallError::during("rds:RestoreDBInstanceFromDBSnapshot"))?;
    let instance = restored.db_instance.map(Instance::from);
    instance.ok_or(CallError::empty("rds:RestoreDBInstanceFromDBSnapshot"))
}

/// The instance of this name; none if there is none.
pub(crate) async fn instance(client: &Rds, name: &str) -> Result<Option<Instance>, CallError> {
    let described = client.describe_db_instances().db_instance_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBInstances")) {
        Ok(described) => {
            let found = described.db_instances.ok_or(CallError::empty("rds:DescribeDBInstances"))?;
            Ok(found.into_iter().next().map(Instance::from))
        }
        Err(call) if call.code.starts_with("DBInstanceNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// The cluster of this name, or that the instance of this name is a member of; none if it is neither. A name that RDS
/// does not know is no cluster: an instance's snapshots may outlive it. Not the shared function: the other calls of its
/// file need permissions that this role does not have.
pub(crate) async fn cluster(client: &Rds, name: &str) -> Result<Option<String>, CallError> {
    let described = client.describe_db_instances().db_instance_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBInstances")) {
        Ok(described) => {
            let found = described.db_instances.unwrap_or_default().into_iter().next();
            let found = found.ok_or(CallError::empty("rds:DescribeDBInstances"))?;
            return Ok(found.db_cluster_identifier);
        }
        Err(call) if call.code.starts_with("DBInstanceNotFound") => {}
        Err(call) => return Err(call),
    }
    let described = client.describe_db_clusters().db_cluster_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBClusters")) {
        Ok(described) if described.db_clusters().is_empty() => {
            Err(CallError::empty("rds:DescribeDBClusters"))
        }
        Ok(_) => Ok(Some(name.to_owned())),
        Err(call) if call.code.starts_with("DBClusterNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// The region's instances with a prefix. A list cannot be restricted by name.
pub(crate) async fn instances(client: &Rds, prefix: &str) -> Result<Vec<Instance>, CallError> {
    let mut pages = client.describe_db_instances().into_paginator().send();
    let mut instances = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBInstances"))?;
        let page = page.db_instances.ok_or(CallError::empty("rds:DescribeDBInstances"))?;
        instances.extend(page.into_iter().map(Instance::from).filter(|one| one.name.starts_with(prefix)));
    }
    Ok(instances)
}

/// Has RDS set the master's password and keep it in a secret of its own. On a restore, RDS accepts that for Oracle only.
pub(crate) async fn manage_password(client: &Rds, name: &str) -> Result<(), CallError> {
    let modified = client.modify_db_instance().db_instance_identifier(name);
    let modified = modified.manage_master_user_password(true).apply_immediately(true).send().await;
    modified.map_err(CallError::during("rds:ModifyDBInstance"))?;
    Ok(())
}

/// Lifts the deletion protection.
pub(crate) async fn lift_protection(client: &Rds, name: &str) -> Result<(), CallError> {
    let modified = client.modify_db_instance().db_instance_identifier(name);
    let modified = modified.deletion_protection(false).apply_immediately(true).send().await;
    modified.map_err(CallError::during("rds:ModifyDBInstance"))?;
    Ok(())
}

/// Starts a stopped instance: RDS changes none.
pub(crate) async fn start(client: &Rds, name: &str) -> Result<(), CallError> {
    let started = client.start_db_instance().db_instance_identifier(name).send().await;
    started.map_err(CallError::during("rds:StartDBInstance"))?;
    Ok(())
}

/// Deletes an instance with all it has, without a final snapshot.
pub(crate) async fn delete(client: &Rds, name: &str) -> Result<(), CallError> {
    let deleted = client.delete_db_instance().db_instance_identifier(name);
    let deleted = deleted.skip_final_snapshot(true).delete_automated_backups(true).send().await;
    deleted.map_err(CallError::during("rds:DeleteDBInstance"))?;
    Ok(())
}
