//! RDS, and the lock table of DynamoDB.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{
    ContinuousBackupsStatus, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
};
use aws_sdk_rds::types::{DbInstance, DbSnapshot, Tag};
use jiff::Timestamp;
use shared::failure::CallError;

use super::{Page, instant};
use crate::facts::{Instance, Seen, Table};
use crate::repair::Setting;

type Rds = aws_sdk_rds::Client;

/// A snapshot as a list shows it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub name: String,
    pub arn: String,
    pub instance: String,
    /// `manual`, `automated`, `awsbackup`.
    pub kind: String,
    pub is_available: bool,
    pub made: Option<Timestamp>,
    pub is_encrypted: Option<bool>,
    pub tags: BTreeMap<String, String>,
}

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    tags.unwrap_or_default()
        .into_iter()
        .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
        .collect()
}

fn snapshot(snapshot: DbSnapshot) -> Listed {
    Listed {
        name: snapshot.db_snapshot_identifier.unwrap_or_default(),
        arn: snapshot.db_snapshot_arn.unwrap_or_default(),
        instance: snapshot.db_instance_identifier.unwrap_or_default(),
        kind: snapshot.snapshot_type.unwrap_or_default(),
        is_available: snapshot.status.as_deref() == Some("available"),
        made: instant(snapshot.original_snapshot_create_time.or(snapshot.snapshot_create_time)),
        is_encrypted: snapshot.encrypted,
        tags: tags(snapshot.tag_list),
    }
}

/// A page of snapshots: all of them, or those of one instance.
pub(crate) async fn snapshots(
    client: &Rds,
    instance: Option<&str>,
    marker: Option<String>,
) -> Seen<Page<Listed>> {
    let listed = client.describe_db_snapshots().max_records(100).set_marker(marker);
    let listed = listed.set_db_instance_identifier(instance.map(str::to_owned)).send().await;
    let listed = listed.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
    Ok((listed.db_snapshots.unwrap_or_default().into_iter().map(snapshot).collect(), listed.marker))
}

/// The snapshot with a name; none when there is none.
pub(crate) async fn snapshot_named(client: &Rds, name: &str) -> Seen<Option<Listed>> {
    let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBSnapshots")) {
        Ok(described) => Ok(described.db_snapshots.unwrap_or_default().into_iter().next().map(snapshot)),
        Err(call) if call.code.starts_with("DBSnapshotNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// The accounts that may restore a manual snapshot.
pub(crate) async fn shared_with(client: &Rds, name: &str) -> Seen<BTreeSet<String>> {
    let described = client.describe_db_snapshot_attributes().db_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBSnapshotAttributes"))?;
    let attributes = described.db_snapshot_attributes_result.and_then(|result| result.db_snapshot_attributes);
    let restore = attributes
        .unwrap_or_default()
        .into_iter()
        .filter(|attribute| attribute.attribute_name() == Some("restore"));
    Ok(restore.flat_map(|attribute| attribute.attribute_values.unwrap_or_default()).collect())
}

fn instance_of(found: DbInstance) -> (Instance, BTreeMap<String, String>) {
    let tags = tags(found.tag_list);
    let pending = found.pending_modified_values.and_then(|pending| pending.backup_retention_period);
    let groups = found.db_parameter_groups.unwrap_or_default().into_iter();
    let instance = Instance {
        name: found.db_instance_identifier.unwrap_or_default(),
        arn: found.db_instance_arn.unwrap_or_default(),
        status: found.db_instance_status,
        created: instant(found.instance_create_time),
        replica_of: found.read_replica_source_db_instance_identifier,
        retention_days: found.backup_retention_period,
        pending_retention_days: pending,
        backup_window: found.preferred_backup_window,
        maintenance_window: found.preferred_maintenance_window,
        latest_restorable: instant(found.latest_restorable_time),
        is_encrypted: found.storage_encrypted,
        key: found.kms_key_id,
        is_protected: found.deletion_protection,
        is_public: found.publicly_accessible,
        copies_tags: found.copy_tags_to_snapshot,
        is_multi_az: found.multi_az,
        upgrades: found.auto_minor_version_upgrade,
        certificate_until: found.certificate_details.and_then(|details| instant(details.valid_till)),
        storage_gib: found.allocated_storage,
        storage_limit_gib: found.max_allocated_storage,
        log_exports: found.enabled_cloudwatch_logs_exports.unwrap_or_default(),
        parameter_groups: groups.filter_map(|group| group.db_parameter_group_name).collect(),
        subnet_group: found.db_subnet_group.and_then(|group| group.db_subnet_group_name),
        has_managed_password: found.master_user_secret.is_some(),
        newest_snapshot: None,
    };
    (instance, tags)
}

/// A page of instances, each with its tags.
pub(crate) async fn instances(
    client: &Rds,
    marker: Option<String>,
) -> Seen<Page<(Instance, BTreeMap<String, String>)>> {
    let listed = client.describe_db_instances().max_records(100).set_marker(marker).send().await;
    let listed = listed.map_err(CallError::during("rds:DescribeDBInstances"))?;
    Ok((listed.db_instances.unwrap_or_default().into_iter().map(instance_of).collect(), listed.marker))
}

/// The instance with a name; none when there is none.
pub(crate) async fn instance(client: &Rds, name: &str) -> Seen<Option<(Instance, BTreeMap<String, String>)>> {
    let described = client.describe_db_instances().db_instance_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBInstances")) {
        Ok(described) => Ok(described.db_instances.unwrap_or_default().into_iter().next().map(instance_of)),
        Err(call) if call.code.starts_with("DBInstanceNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// Changes one setting of an instance. Not at once: that would apply everything else that waits for the maintenance window,
/// and none of these settings needs it.
pub(crate) async fn modify(client: &Rds, name: &str, setting: &Setting) -> Result<(), CallError> {
    let change = client.modify_db_instance().db_instance_identifier(name);
    let change = match setting {
        Setting::Retention(days) => change.backup_retention_period(*days),
        Setting::Window(window) => change.preferred_backup_window(window),
        Setting::Protection => change.deletion_protection(true),
        Setting::Private => change.publicly_accessible(false),
        Setting::CopyTags => change.copy_tags_to_snapshot(true),
        Setting::Upgrades => change.auto_minor_version_upgrade(true),
    };
    change.send().await.map_err(CallError::during("rds:ModifyDBInstance"))?;
    Ok(())
}

/// Takes the right to restore a snapshot from accounts.
pub(crate) async fn unshare(client: &Rds, name: &str, accounts: &[String]) -> Result<(), CallError> {
    let change = client.modify_db_snapshot_attribute().db_snapshot_identifier(name).attribute_name("restore");
    let change = change.set_values_to_remove(Some(accounts.to_vec())).send().await;
    change.map_err(CallError::during("rds:ModifyDBSnapshotAttribute"))?;
    Ok(())
}

/// The lock table; none when there is none.
pub(crate) async fn table(client: &aws_sdk_dynamodb::Client, name: &str) -> Seen<Option<Table>> {
    let described = client.describe_table().table_name(name).send().await;
    let described = match described.map_err(CallError::during("dynamodb:DescribeTable")) {
        Ok(described) => described,
        Err(call) if call.code == "ResourceNotFoundException" => return Ok(None),
        Err(call) => return Err(call),
    };
    let Some(table) = described.table else { return Ok(None) };
    let backups = client.describe_continuous_backups().table_name(name).send().await;
    let backups = backups.map_err(CallError::during("dynamodb:DescribeContinuousBackups"));
    let has_recovery = backups.map(|backups| {
        let described = backups.continuous_backups_description;
        let recovery = described
            .filter(|described| described.continuous_backups_status == ContinuousBackupsStatus::Enabled);
        let recovery = recovery.and_then(|described| described.point_in_time_recovery_description);
        recovery.and_then(|recovery| recovery.point_in_time_recovery_status)
            == Some(PointInTimeRecoveryStatus::Enabled)
    });
    Ok(Some(Table {
        name: name.to_owned(),
        arn: table.table_arn.unwrap_or_default(),
        // DynamoDB leaves it out where it was never set.
        is_protected: Some(table.deletion_protection_enabled == Some(true)),
        has_recovery,
    }))
}

/// Switches point-in-time recovery of a table on.
pub(crate) async fn keep_recovery(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<(), CallError> {
    let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
    let on = on.map_err(CallError::before("dynamodb:UpdateContinuousBackups"))?;
    let changed = client
        .update_continuous_backups()
        .table_name(name)
        .point_in_time_recovery_specification(on)
        .send()
        .await;
    changed.map_err(CallError::during("dynamodb:UpdateContinuousBackups"))?;
    Ok(())
}

/// Protects a table against its deletion.
pub(crate) async fn protect(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<(), CallError> {
    let changed = client.update_table().table_name(name).deletion_protection_enabled(true).send().await;
    changed.map_err(CallError::during("dynamodb:UpdateTable"))?;
    Ok(())
}
