//! RDS, and the lock table of DynamoDB.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{
    ContinuousBackupsStatus, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
};
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot, LifecycleSupportName, Tag};
use jiff::Timestamp;
use shared::runtime::failure::CallError;

use super::{Page, instant, one, present, whole};
use crate::rules::facts::{Form, Instance, Pair, Parameter, Seen, Subscription, Table};
use crate::rules::repair::Setting;

type Rds = aws_sdk_rds::Client;

const INSTANCES: &str = "rds:DescribeDBInstances";
const CLUSTERS: &str = "rds:DescribeDBClusters";
const SNAPSHOTS: &str = "rds:DescribeDBSnapshots";
const CLUSTER_SNAPSHOTS: &str = "rds:DescribeDBClusterSnapshots";

/// A snapshot in a list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub name: String,
    pub arn: String,
    /// The instance or cluster that it was taken from.
    pub of: String,
    /// RDS's id of that instance or cluster.
    pub resource_id: Option<String>,
    pub is_of_cluster: bool,
    pub engine: Option<String>,
    /// `manual`, `automated`, `awsbackup`.
    pub kind: String,
    pub is_available: bool,
    pub made: Option<Timestamp>,
    pub is_encrypted: Option<bool>,
    pub tags: BTreeMap<String, String>,
}

/// Whether an engine belongs to another service that shares RDS's API. Its backups work differently, and no rule here
/// covers them.
fn is_another_service(engine: Option<&str>) -> bool {
    matches!(engine, Some("docdb" | "neptune"))
}

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    tags.unwrap_or_default()
        .into_iter()
        .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
        .collect()
}

fn snapshot(snapshot: DbSnapshot) -> Option<Listed> {
    Some(Listed {
        name: snapshot.db_snapshot_identifier?,
        arn: snapshot.db_snapshot_arn.unwrap_or_default(),
        of: snapshot.db_instance_identifier?,
        resource_id: snapshot.dbi_resource_id,
        is_of_cluster: false,
        engine: snapshot.engine,
        kind: snapshot.snapshot_type?,
        is_available: snapshot.status.as_deref() == Some("available"),
        made: instant(snapshot.original_snapshot_create_time.or(snapshot.snapshot_create_time)),
        is_encrypted: snapshot.encrypted,
        tags: tags(snapshot.tag_list),
    })
}

fn cluster_snapshot(snapshot: DbClusterSnapshot) -> Option<Listed> {
    Some(Listed {
        name: snapshot.db_cluster_snapshot_identifier?,
        arn: snapshot.db_cluster_snapshot_arn.unwrap_or_default(),
        of: snapshot.db_cluster_identifier?,
        resource_id: snapshot.db_cluster_resource_id,
        is_of_cluster: true,
        engine: snapshot.engine,
        kind: snapshot.snapshot_type?,
        is_available: snapshot.status.as_deref() == Some("available"),
        made: instant(snapshot.snapshot_create_time),
        is_encrypted: snapshot.storage_encrypted,
        tags: tags(snapshot.tag_list),
    })
}

/// A page of snapshots of one kind, of the account or of one database.
pub(crate) async fn snapshots(
    client: &Rds,
    (is_of_cluster, kind, of): (bool, &str, Option<&str>),
    marker: Option<String>,
) -> Seen<Page<Listed>> {
    let of = of.map(str::to_owned);
    if is_of_cluster {
        let listed = client.describe_db_cluster_snapshots().max_records(100).set_marker(marker);
        let listed = listed.snapshot_type(kind).set_db_cluster_identifier(of).send().await;
        let listed = listed.map_err(CallError::during("rds:DescribeDBClusterSnapshots"))?;
        let ours = present(CLUSTER_SNAPSHOTS, "DBClusterSnapshots", listed.db_cluster_snapshots)?;
        let ours = ours.into_iter().filter(|one| !is_another_service(one.engine.as_deref()));
        return Ok((whole(CLUSTER_SNAPSHOTS, ours.map(cluster_snapshot))?, listed.marker));
    }
    let listed = client.describe_db_snapshots().max_records(100).set_marker(marker);
    let listed = listed.snapshot_type(kind).set_db_instance_identifier(of).send().await;
    let listed = listed.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
    let ours = present(SNAPSHOTS, "DBSnapshots", listed.db_snapshots)?;
    let ours = ours.into_iter().filter(|one| !is_another_service(one.engine.as_deref()));
    Ok((whole(SNAPSHOTS, ours.map(snapshot))?, listed.marker))
}

/// An instance's snapshot by its name; none if it does not exist.
pub(crate) async fn snapshot_named(client: &Rds, name: &str) -> Seen<Option<Listed>> {
    let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBSnapshots"));
    let found = described.map(|described| described.db_snapshots);
    one(SNAPSHOTS, ("DBSnapshots", "DBSnapshotNotFound"), found, snapshot)
}

/// A cluster's snapshot by its name; none if it does not exist.
pub(crate) async fn cluster_snapshot_named(client: &Rds, name: &str) -> Seen<Option<Listed>> {
    let described = client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBClusterSnapshots"));
    let found = described.map(|described| described.db_cluster_snapshots);
    let names = ("DBClusterSnapshots", "DBClusterSnapshotNotFound");
    one(CLUSTER_SNAPSHOTS, names, found, cluster_snapshot)
}

/// The accounts that may restore a manual snapshot of an instance.
pub(crate) async fn shared_with(client: &Rds, name: &str) -> Seen<BTreeSet<String>> {
    let operation = "rds:DescribeDBSnapshotAttributes";
    let described = client.describe_db_snapshot_attributes().db_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBSnapshotAttributes"))?;
    let attributes = described.db_snapshot_attributes_result.and_then(|result| result.db_snapshot_attributes);
    let restore = present(operation, "DBSnapshotAttributes", attributes)?
        .into_iter()
        .filter(|attribute| attribute.attribute_name() == Some("restore"));
    Ok(restore.flat_map(|attribute| attribute.attribute_values.unwrap_or_default()).collect())
}

/// The accounts that may restore a manual snapshot of a cluster.
pub(crate) async fn cluster_shared_with(client: &Rds, name: &str) -> Seen<BTreeSet<String>> {
    let operation = "rds:DescribeDBClusterSnapshotAttributes";
    let described =
        client.describe_db_cluster_snapshot_attributes().db_cluster_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBClusterSnapshotAttributes"))?;
    let attributes = described
        .db_cluster_snapshot_attributes_result
        .and_then(|result| result.db_cluster_snapshot_attributes);
    let restore = present(operation, "DBClusterSnapshotAttributes", attributes)?
        .into_iter()
        .filter(|attribute| attribute.attribute_name() == Some("restore"));
    Ok(restore.flat_map(|attribute| attribute.attribute_values.unwrap_or_default()).collect())
}

fn instance_of(found: DbInstance) -> Option<(Instance, BTreeMap<String, String>)> {
    let tags = tags(found.tag_list);
    let pending = found.pending_modified_values.and_then(|pending| pending.backup_retention_period);
    let groups = found.db_parameter_groups.unwrap_or_default();
    let waits_for_reboot =
        groups.iter().any(|group| group.parameter_apply_status() == Some("pending-reboot"));
    let groups = groups.into_iter();
    let instance = Instance {
        name: found.db_instance_identifier?,
        arn: found.db_instance_arn.unwrap_or_default(),
        form: found.db_cluster_identifier.map_or(Form::Single, Form::Member),
        resource_id: found.dbi_resource_id,
        engine: found.engine,
        version: found.engine_version,
        status: found.db_instance_status,
        restarts: instant(found.automatic_restart_time),
        recovery_point: found.aws_backup_recovery_point_arn,
        created: instant(found.instance_create_time),
        replica_of: found
            .read_replica_source_db_instance_identifier
            .or(found.read_replica_source_db_cluster_identifier),
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
        storage_type: found.storage_type,
        iops: found.iops,
        log_exports: found.enabled_cloudwatch_logs_exports.unwrap_or_default(),
        parameter_groups: groups.filter_map(|group| group.db_parameter_group_name).collect(),
        waits_for_reboot,
        subnet_group: found.db_subnet_group.and_then(|group| group.db_subnet_group_name),
        has_managed_password: found.master_user_secret.is_some(),
        ..Instance::default()
    };
    Some((instance, tags))
}

/// A cluster, with its tags and the names of its members.
pub(crate) type ListedCluster = (Instance, BTreeMap<String, String>, Vec<String>);

fn cluster_of(found: DbCluster) -> Option<ListedCluster> {
    let tags = tags(found.tag_list);
    let pending = found.pending_modified_values.and_then(|pending| pending.backup_retention_period);
    let members = found.db_cluster_members.unwrap_or_default();
    let waits_for_reboot =
        members.iter().any(|member| member.db_cluster_parameter_group_status() == Some("pending-reboot"));
    let members = members.into_iter();
    // An Aurora cluster has its own backups even if it replicates another one.
    let is_aurora = found.engine.as_deref().is_some_and(|engine| engine.starts_with("aurora"));
    let cluster = Instance {
        name: found.db_cluster_identifier?,
        arn: found.db_cluster_arn.unwrap_or_default(),
        form: Form::Cluster,
        waits_for_reboot,
        resource_id: found.db_cluster_resource_id,
        engine: found.engine,
        version: found.engine_version,
        status: found.status,
        restarts: instant(found.automatic_restart_time),
        recovery_point: found.aws_backup_recovery_point_arn,
        created: instant(found.cluster_create_time),
        replica_of: found.replication_source_identifier.filter(|source| !is_aurora && !source.is_empty()),
        retention_days: found.backup_retention_period,
        pending_retention_days: pending,
        backup_window: found.preferred_backup_window,
        maintenance_window: found.preferred_maintenance_window,
        latest_restorable: instant(found.latest_restorable_time),
        is_encrypted: found.storage_encrypted,
        key: found.kms_key_id,
        is_protected: found.deletion_protection,
        copies_tags: found.copy_tags_to_snapshot,
        is_multi_az: found.multi_az,
        storage_gib: found.allocated_storage,
        storage_type: found.storage_type,
        iops: found.iops,
        log_exports: found.enabled_cloudwatch_logs_exports.unwrap_or_default(),
        parameter_groups: found.db_cluster_parameter_group.into_iter().collect(),
        subnet_group: found.db_subnet_group,
        has_managed_password: found.master_user_secret.is_some(),
        ..Instance::default()
    };
    Some((cluster, tags, members.filter_map(|member| member.db_instance_identifier).collect()))
}

/// A page of instances, each with its tags.
pub(crate) async fn instances(
    client: &Rds,
    marker: Option<String>,
) -> Seen<Page<(Instance, BTreeMap<String, String>)>> {
    let listed = client.describe_db_instances().max_records(100).set_marker(marker).send().await;
    let listed = listed.map_err(CallError::during("rds:DescribeDBInstances"))?;
    let ours = present(INSTANCES, "DBInstances", listed.db_instances)?;
    let ours = ours.into_iter().filter(|one| !is_another_service(one.engine.as_deref()));
    Ok((whole(INSTANCES, ours.map(instance_of))?, listed.marker))
}

/// An instance by its name; none if it does not exist.
pub(crate) async fn instance(client: &Rds, name: &str) -> Seen<Option<(Instance, BTreeMap<String, String>)>> {
    let described = client.describe_db_instances().db_instance_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBInstances"));
    let found = described.map(|described| described.db_instances);
    one(INSTANCES, ("DBInstances", "DBInstanceNotFound"), found, instance_of)
}

/// A page of clusters.
pub(crate) async fn clusters(client: &Rds, marker: Option<String>) -> Seen<Page<ListedCluster>> {
    let listed = client.describe_db_clusters().max_records(100).set_marker(marker).send().await;
    let listed = listed.map_err(CallError::during("rds:DescribeDBClusters"))?;
    let ours = present(CLUSTERS, "DBClusters", listed.db_clusters)?;
    let ours = ours.into_iter().filter(|one| !is_another_service(one.engine.as_deref()));
    Ok((whole(CLUSTERS, ours.map(cluster_of))?, listed.marker))
}

/// A cluster by its name; none if it does not exist.
pub(crate) async fn cluster(client: &Rds, name: &str) -> Seen<Option<ListedCluster>> {
    let described = client.describe_db_clusters().db_cluster_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBClusters"));
    let found = described.map(|described| described.db_clusters);
    one(CLUSTERS, ("DBClusters", "DBClusterNotFound"), found, cluster_of)
}

/// All subscriptions to RDS's events.
pub(crate) async fn subscriptions(client: &Rds) -> Seen<Vec<Subscription>> {
    let mut found = Vec::new();
    let mut pages = client.describe_event_subscriptions().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeEventSubscriptions"))?;
        let page = present(
            "rds:DescribeEventSubscriptions",
            "EventSubscriptionsList",
            page.event_subscriptions_list,
        )?;
        found.extend(page.into_iter().map(|one| Subscription {
            is_sending: one.enabled == Some(true) && one.status.as_deref() == Some("active"),
            source: one.source_type,
            names: one.source_ids_list.unwrap_or_default(),
            categories: one.event_categories_list.unwrap_or_default(),
        }));
    }
    Ok(found)
}

/// The pairs of databases of all blue/green deployments.
pub(crate) async fn deployments(client: &Rds) -> Seen<Vec<Pair>> {
    let mut found = Vec::new();
    let mut pages = client.describe_blue_green_deployments().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeBlueGreenDeployments"))?;
        let page =
            present("rds:DescribeBlueGreenDeployments", "BlueGreenDeployments", page.blue_green_deployments)?;
        for one in page {
            let id = one.blue_green_deployment_identifier.unwrap_or_default();
            let status = one.status.unwrap_or_default();
            let members = one.switchover_details.unwrap_or_default().into_iter();
            let members = members.map(|member| (member.source_member, member.target_member));
            found.extend(
                std::iter::once((one.source, one.target)).chain(members).map(|(blue, green)| Pair {
                    blue,
                    green,
                    id: id.clone(),
                    status: status.clone(),
                }),
            );
        }
    }
    Ok(found)
}

/// A parameter of an instance's or a cluster's parameter group; none if the group does not have it.
pub(crate) async fn parameter(
    client: &Rds,
    is_of_cluster: bool,
    group: &str,
    name: &str,
) -> Seen<Option<Parameter>> {
    let filter = aws_sdk_rds::types::Filter::builder().name("parameter-name").values(name).build();
    let operation =
        if is_of_cluster { "rds:DescribeDBClusterParameters" } else { "rds:DescribeDBParameters" };
    let mut marker = None;
    loop {
        let (page, next) = if is_of_cluster {
            let described = client.describe_db_cluster_parameters().db_cluster_parameter_group_name(group);
            let described = described.filters(filter.clone()).set_marker(marker).send().await;
            let described = described.map_err(CallError::during("rds:DescribeDBClusterParameters"))?;
            (described.parameters, described.marker)
        } else {
            let described = client.describe_db_parameters().db_parameter_group_name(group);
            let described = described.filters(filter.clone()).set_marker(marker).send().await;
            let described = described.map_err(CallError::during("rds:DescribeDBParameters"))?;
            (described.parameters, described.marker)
        };
        let page = present(operation, "Parameters", page)?;
        if let Some(found) = page.into_iter().find(|one| one.parameter_name() == Some(name)) {
            return Ok(Some(Parameter {
                is_static: found.apply_type().map(|kind| kind != "dynamic"),
                value: found.parameter_value,
                allowed: found.allowed_values,
            }));
        }
        // A page may lack the filtered parameter and still not be the last.
        if next.is_none() {
            return Ok(None);
        }
        marker = next;
    }
}

/// The major versions of an engine, each with the end of its standard support.
pub(crate) async fn majors(client: &Rds, engine: &str) -> Seen<Vec<(String, Option<Timestamp>)>> {
    let mut found = Vec::new();
    let mut pages = client.describe_db_major_engine_versions().engine(engine).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBMajorEngineVersions"))?;
        let page = present(
            "rds:DescribeDBMajorEngineVersions",
            "DBMajorEngineVersions",
            page.db_major_engine_versions,
        )?;
        for one in page {
            let Some(major) = one.major_engine_version else { continue };
            let standard =
                one.supported_engine_lifecycles.unwrap_or_default().into_iter().find(|lifecycle| {
                    lifecycle.lifecycle_support_name
                        == Some(LifecycleSupportName::OpenSourceRdsStandardSupport)
                });
            found.push((major, standard.and_then(|one| instant(one.lifecycle_support_end_date))));
        }
    }
    Ok(found)
}

/// Changes one setting of an instance. Not with `ApplyImmediately`, which none of these settings needs: it would also
/// apply every other change that waits for the maintenance window.
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

/// Changes one setting of a cluster. The settings that it does not have are its members'.
pub(crate) async fn modify_cluster(client: &Rds, name: &str, setting: &Setting) -> Result<(), CallError> {
    let change = client.modify_db_cluster().db_cluster_identifier(name);
    let change = match setting {
        Setting::Retention(days) => change.backup_retention_period(*days),
        Setting::Window(window) => change.preferred_backup_window(window),
        Setting::Protection => change.deletion_protection(true),
        Setting::CopyTags => change.copy_tags_to_snapshot(true),
        Setting::Private | Setting::Upgrades => return Ok(()),
    };
    change.send().await.map_err(CallError::during("rds:ModifyDBCluster"))?;
    Ok(())
}

/// Revokes the right of accounts to restore an instance's snapshot.
pub(crate) async fn unshare(client: &Rds, name: &str, accounts: &[String]) -> Result<(), CallError> {
    let change = client.modify_db_snapshot_attribute().db_snapshot_identifier(name).attribute_name("restore");
    let change = change.set_values_to_remove(Some(accounts.to_vec())).send().await;
    change.map_err(CallError::during("rds:ModifyDBSnapshotAttribute"))?;
    Ok(())
}

/// Revokes the right of accounts to restore a cluster's snapshot.
pub(crate) async fn unshare_cluster(client: &Rds, name: &str, accounts: &[String]) -> Result<(), CallError> {
    let change = client.modify_db_cluster_snapshot_attribute().db_cluster_snapshot_identifier(name);
    let change = change.attribute_name("restore").set_values_to_remove(Some(accounts.to_vec())).send().await;
    change.map_err(CallError::during("rds:ModifyDBClusterSnapshotAttribute"))?;
    Ok(())
}

/// The lock table; none if it does not exist.
pub(crate) async fn table(client: &aws_sdk_dynamodb::Client, name: &str) -> Seen<Option<Table>> {
    let described = client.describe_table().table_name(name).send().await;
    let described = match described.map_err(CallError::during("dynamodb:DescribeTable")) {
        Ok(described) => described,
        Err(call) if call.code == "ResourceNotFoundException" => return Ok(None),
        Err(call) => return Err(call),
    };
    let table = present("dynamodb:DescribeTable", "Table", described.table)?;
    let backups = client.describe_continuous_backups().table_name(name).send().await;
    let backups = backups.map_err(CallError::during("dynamodb:DescribeContinuousBackups"));
    let has_recovery = backups.and_then(|backups| {
        let operation = "dynamodb:DescribeContinuousBackups";
        let described =
            present(operation, "ContinuousBackupsDescription", backups.continuous_backups_description)?;
        let is_on = described.continuous_backups_status == ContinuousBackupsStatus::Enabled;
        let recovery = described.point_in_time_recovery_description.filter(|_| is_on);
        Ok(recovery.and_then(|recovery| recovery.point_in_time_recovery_status)
            == Some(PointInTimeRecoveryStatus::Enabled))
    });
    Ok(Some(Table {
        name: name.to_owned(),
        arn: present("dynamodb:DescribeTable", "TableArn", table.table_arn)?,
        // DynamoDB omits it if it was never set.
        is_protected: Some(table.deletion_protection_enabled == Some(true)),
        has_recovery,
    }))
}

/// The tags of a table.
pub(crate) async fn table_tags(
    client: &aws_sdk_dynamodb::Client,
    arn: &str,
) -> Seen<BTreeMap<String, String>> {
    // A table has at most 50 tags, and they fit on one page.
    let listed = client.list_tags_of_resource().resource_arn(arn).send().await;
    let listed = listed.map_err(CallError::during("dynamodb:ListTagsOfResource"))?;
    let listed = present("dynamodb:ListTagsOfResource", "Tags", listed.tags)?;
    Ok(listed.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// Enables point-in-time recovery of a table.
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

/// Enables a table's deletion protection.
pub(crate) async fn protect(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<(), CallError> {
    let changed = client.update_table().table_name(name).deletion_protection_enabled(true).send().await;
    changed.map_err(CallError::during("dynamodb:UpdateTable"))?;
    Ok(())
}
