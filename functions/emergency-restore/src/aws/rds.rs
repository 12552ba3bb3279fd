//! Instances, snapshots and automated backups.

use std::collections::BTreeMap;

use aws_sdk_rds::Client;
use aws_sdk_rds::config::Builder;
use aws_sdk_rds::types::{
    DbInstance, DbInstanceAutomatedBackup, DbSnapshot, Filter, PendingModifiedValues, Tag,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use shared::aws::snapshots::major;
use shared::database::secret::Address;
use shared::runtime::failure::CallError;
use shared::runtime::lambda::unhurried;
use shared::runtime::time::instant;

use crate::event::Source;
use crate::rules::choice::Found;
use crate::rules::instance::Seen;
use crate::rules::name::RUN;
use crate::rules::restore::{Lost, Target};
use crate::rules::settings::Settings;

/// An instance.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// What every step needs.
    pub seen: Seen,
    /// Its engine.
    pub engine: String,
    /// The cluster that it is a member of.
    pub cluster: Option<String>,
    /// RDS's id of it.
    pub resource: Option<String>,
    /// Its settings.
    pub settings: Settings,
}

/// The automated backups of an instance, or of a deleted one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backup {
    /// The instants that can be restored.
    pub window: Option<(Timestamp, Timestamp)>,
    /// RDS's id of the instance.
    pub resource: Option<String>,
    /// Major version of the engine.
    pub major: Option<u32>,
    /// The settings that RDS keeps with the backups.
    pub settings: Settings,
    /// The engine.
    pub engine: String,
}

/// The master's password.
pub(crate) enum Master<'a> {
    /// RDS makes it and keeps it in a secret.
    Managed,
    /// This one.
    Password(&'a SecretString),
}

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    let tags = tags.unwrap_or_default().into_iter();
    tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}

/// Whether a change is not applied yet. RDS may answer with an empty group.
fn is_pending(values: &PendingModifiedValues) -> bool {
    *values != PendingModifiedValues::builder().build()
}

fn described(instance: DbInstance) -> Described {
    let tags = tags(instance.tag_list);
    let endpoint = instance
        .endpoint
        .and_then(|end| Some(Address { host: end.address?, port: u16::try_from(end.port?).ok()? }));
    let secret = instance.master_user_secret.and_then(|it| Some((it.secret_arn?, it.secret_status?)));
    let groups = instance.vpc_security_groups.unwrap_or_default().into_iter();
    let option_group = instance.option_group_memberships.unwrap_or_default().into_iter().next();
    let parameter_group = instance.db_parameter_groups.unwrap_or_default().into_iter().next();
    let positive = |number: Option<i32>| number.filter(|number| *number > 0);
    Described {
        engine: instance.engine.unwrap_or_default(),
        cluster: instance.db_cluster_identifier,
        resource: instance.dbi_resource_id,
        settings: Settings {
            class: instance.db_instance_class,
            multi_az: instance.multi_az,
            subnet_group: instance.db_subnet_group.and_then(|group| group.db_subnet_group_name),
            security_groups: groups.filter_map(|group| group.vpc_security_group_id).collect(),
            parameter_group: parameter_group.and_then(|group| group.db_parameter_group_name),
            option_group: option_group.and_then(|group| group.option_group_name),
            port: endpoint.as_ref().map(|end| i32::from(end.port)).or(positive(instance.db_instance_port)),
            storage_type: instance.storage_type,
            storage: positive(instance.allocated_storage),
            max_storage: positive(instance.max_allocated_storage),
            iops: positive(instance.iops),
            throughput: positive(instance.storage_throughput),
            iam_login: instance.iam_database_authentication_enabled,
            log_exports: instance.enabled_cloudwatch_logs_exports.unwrap_or_default(),
            copy_tags: instance.copy_tags_to_snapshot,
            minor_upgrades: instance.auto_minor_version_upgrade,
            certificate: instance.ca_certificate_identifier,
            retention: instance.backup_retention_period,
            backup_window: instance.preferred_backup_window,
            maintenance_window: instance.preferred_maintenance_window,
            monitoring: positive(instance.monitoring_interval),
            monitoring_role: instance.monitoring_role_arn,
            insights: instance.performance_insights_enabled,
            insights_key: instance.performance_insights_kms_key_id,
            insights_retention: positive(instance.performance_insights_retention_period),
            tags: tags.clone(),
        },
        seen: Seen {
            name: instance.db_instance_identifier.unwrap_or_default(),
            status: instance.db_instance_status.unwrap_or_default(),
            arn: instance.db_instance_arn.unwrap_or_default(),
            address: endpoint,
            master: instance.master_username.unwrap_or_default(),
            pending: instance.pending_modified_values.as_ref().is_some_and(is_pending),
            secret,
            run: tags.get(RUN).cloned(),
        },
    }
}

/// All instances.
pub(crate) async fn instances(client: &Client) -> Result<Vec<Described>, CallError> {
    let mut pages = client.describe_db_instances().into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBInstances"))?;
        let page = page.db_instances.ok_or(CallError::empty("rds:DescribeDBInstances"))?;
        found.extend(page.into_iter().map(described));
    }
    Ok(found)
}

/// The instance of this name; none if there is none.
pub(crate) async fn instance(client: &Client, name: &str) -> Result<Option<Described>, CallError> {
    let found = client.describe_db_instances().db_instance_identifier(name).send().await;
    match found.map_err(CallError::during("rds:DescribeDBInstances")) {
        Ok(found) => Ok(found.db_instances.unwrap_or_default().into_iter().next().map(described)),
        Err(call) if call.code.starts_with("DBInstanceNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// Whether a cluster of this name exists.
pub(crate) async fn is_cluster(client: &Client, name: &str) -> Result<bool, CallError> {
    let found = client.describe_db_clusters().db_cluster_identifier(name).send().await;
    match found.map_err(CallError::during("rds:DescribeDBClusters")) {
        Ok(found) => Ok(!found.db_clusters().is_empty()),
        Err(call) if call.code.starts_with("DBClusterNotFound") => Ok(false),
        Err(call) => Err(call),
    }
}

fn found(snapshot: DbSnapshot) -> Found {
    let data = instant(snapshot.snapshot_database_time)
        .or(instant(snapshot.original_snapshot_create_time))
        .or(instant(snapshot.snapshot_create_time));
    Found {
        name: snapshot.db_snapshot_identifier.unwrap_or_default(),
        status: snapshot.status.unwrap_or_default(),
        engine: snapshot.engine.unwrap_or_default(),
        instance: snapshot.db_instance_identifier.unwrap_or_default(),
        resource: snapshot.dbi_resource_id.unwrap_or_default(),
        major: snapshot.engine_version.as_deref().and_then(major),
        data,
        automated: snapshot.snapshot_type.as_deref() == Some("automated"),
    }
}

/// The snapshots of an instance.
pub(crate) async fn snapshots(client: &Client, instance: &str) -> Result<Vec<Found>, CallError> {
    let mut pages = client.describe_db_snapshots().db_instance_identifier(instance).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
        let page = page.db_snapshots.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
        all.extend(page.into_iter().map(found));
    }
    Ok(all)
}

/// The snapshot of this name; none if there is none.
pub(crate) async fn snapshot(client: &Client, name: &str) -> Result<Option<Found>, CallError> {
    let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBSnapshots")) {
        Ok(described) => Ok(described.db_snapshots.unwrap_or_default().into_iter().next().map(found)),
        Err(call) if call.code.starts_with("DBSnapshotNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// The automated backups of every instance that has or had this name, deleted ones too; the newest first.
pub(crate) async fn backups(client: &Client, instance: &str) -> Result<Vec<Backup>, CallError> {
    let of = Filter::builder().name("db-instance-id").values(instance).build();
    let mut pages = client.describe_db_instance_automated_backups().filters(of).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        match page.map_err(CallError::during("rds:DescribeDBInstanceAutomatedBackups")) {
            Ok(page) => all.extend(page.db_instance_automated_backups.unwrap_or_default()),
            Err(call) if call.code.contains("NotFound") => return Ok(Vec::new()),
            Err(call) => return Err(call),
        }
    }
    let mut backups: Vec<_> = all.into_iter().map(backup_of).collect();
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.window.map(|(_, to)| to)));
    Ok(backups)
}

fn backup_of(backup: DbInstanceAutomatedBackup) -> Backup {
    let window = backup.restore_window;
    Backup {
        window: window.and_then(|it| instant(it.earliest_time).zip(instant(it.latest_time))),
        resource: backup.dbi_resource_id,
        major: backup.engine_version.as_deref().and_then(major),
        engine: backup.engine.unwrap_or_default(),
        settings: Settings {
            option_group: backup.option_group_name,
            port: backup.port.filter(|port| *port > 0),
            storage_type: backup.storage_type,
            storage: backup.allocated_storage.filter(|storage| *storage > 0),
            iops: backup.iops.filter(|iops| *iops > 0),
            throughput: backup.storage_throughput.filter(|throughput| *throughput > 0),
            iam_login: backup.iam_database_authentication_enabled,
            retention: backup.backup_retention_period,
            backup_window: backup.preferred_backup_window,
            tags: tags(backup.tag_list),
            ..Settings::default()
        },
    }
}

/// Requests the new instance. RDS accepts or refuses the request at once, and makes the instance later. A point in time
/// is one of the instance by its name, or of its backups by RDS's id of it.
pub(crate) async fn restore(
    client: &Client,
    source: &Source,
    lost: &Lost,
    by_name: bool,
    target: &Target,
    settings: &Settings,
    tags: BTreeMap<String, String>,
) -> Result<(), CallError> {
    let tag = |(key, value): (String, String)| Tag::builder().key(key).value(value).build();
    let tags: Vec<_> = tags.into_iter().map(tag).collect();
    let groups = Some(settings.security_groups.clone());
    let exports = Some(settings.log_exports.clone()).filter(|exports| !exports.is_empty());
    let (iops, throughput) = settings.performance();
    let patience = Builder::new().timeout_config(unhurried());
    // The two builders have no trait in common.
    macro_rules! set {
        ($request:expr) => {
            $request
                .set_db_instance_class(settings.class.clone())
                .set_multi_az(settings.multi_az)
                .set_db_subnet_group_name(settings.subnet_group.clone())
                .set_vpc_security_group_ids(groups)
                .set_db_parameter_group_name(settings.parameter_group.clone())
                .set_option_group_name(settings.option_group.clone())
                .set_port(settings.port)
                .set_storage_type(settings.storage_type.clone())
                .set_iops(iops)
                .set_storage_throughput(throughput)
                .set_enable_iam_database_authentication(settings.iam_login)
                .set_enable_cloudwatch_logs_exports(exports)
                .set_copy_tags_to_snapshot(settings.copy_tags)
                .set_auto_minor_version_upgrade(settings.minor_upgrades)
                .publicly_accessible(false)
                .deletion_protection(true)
                .set_tags(Some(tags))
        };
    }
    match source {
        Source::Snapshot(name) => {
            let request = client
                .restore_db_instance_from_db_snapshot()
                .db_instance_identifier(&target.instance)
                .db_snapshot_identifier(name);
            let sent = set!(request).customize().config_override(patience).send().await;
            sent.map_err(CallError::during("rds:RestoreDBInstanceFromDBSnapshot"))?;
        }
        Source::Latest | Source::Time(_) | Source::Backup { .. } => {
            let (resource, at) = match source {
                Source::Backup { resource, time } => (Some(resource.clone()), *time),
                Source::Time(at) => (lost.resource.clone().filter(|_| !by_name), Some(*at)),
                _ => (lost.resource.clone().filter(|_| !by_name), None),
            };
            let request = client
                .restore_db_instance_to_point_in_time()
                .target_db_instance_identifier(&target.instance)
                .set_source_db_instance_identifier(resource.is_none().then(|| lost.instance.clone()))
                .set_source_dbi_resource_id(resource);
            let request = match at {
                Some(at) => request.restore_time(DateTime::from_secs(at.as_second())),
                None => request.use_latest_restorable_time(true),
            };
            let sent = set!(request).customize().config_override(patience).send().await;
            sent.map_err(CallError::during("rds:RestoreDBInstanceToPointInTime"))?;
        }
    }
    Ok(())
}

/// Sets what a restore cannot set, and the master's password. Never touches another instance than the new one. Without
/// `monitoring`, leaves out enhanced monitoring and Performance Insights, which may need rights that the role lacks.
pub(crate) async fn complete(
    client: &Client,
    instance: &str,
    settings: &Settings,
    retention: i32,
    master: &Master<'_>,
    monitoring: bool,
) -> Result<(), CallError> {
    let is_monitored = monitoring && settings.monitoring.is_some() && settings.monitoring_role.is_some();
    let has_insights = monitoring && settings.insights == Some(true);
    let request = client
        .modify_db_instance()
        .db_instance_identifier(instance)
        .apply_immediately(true)
        .backup_retention_period(retention)
        .set_preferred_backup_window(settings.backup_window.clone())
        .set_preferred_maintenance_window(settings.maintenance_window.clone())
        .set_max_allocated_storage(settings.max_storage)
        .set_ca_certificate_identifier(settings.certificate.clone())
        .set_certificate_rotation_restart(settings.certificate.is_some().then_some(false))
        .set_monitoring_interval(settings.monitoring.filter(|_| is_monitored))
        .set_monitoring_role_arn(settings.monitoring_role.clone().filter(|_| is_monitored))
        .set_enable_performance_insights(has_insights.then_some(true))
        .set_performance_insights_kms_key_id(settings.insights_key.clone().filter(|_| has_insights))
        .set_performance_insights_retention_period(settings.insights_retention.filter(|_| has_insights));
    let request = match master {
        Master::Managed => request.manage_master_user_password(true),
        Master::Password(password) => request.master_user_password(password.expose_secret()),
    };
    let sent = request.send().await;
    sent.map_err(CallError::during("rds:ModifyDBInstance"))?;
    Ok(())
}
