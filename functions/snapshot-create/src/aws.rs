//! The RDS calls. The only file that names SDK operations.

use aws_sdk_rds::types::{DbSnapshot, Tag};
use shared::failure::CallError;

use crate::policy::Snapshot;
use crate::tags::DEPLOY;

type Rds = aws_sdk_rds::Client;

fn snapshot(snapshot: DbSnapshot) -> Snapshot {
    let tags = snapshot.tag_list.unwrap_or_default();
    let deploy = tags.into_iter().find(|tag| tag.key() == Some(DEPLOY)).and_then(|tag| tag.value);
    Snapshot {
        name: snapshot.db_snapshot_identifier.unwrap_or_default(),
        arn: snapshot.db_snapshot_arn.unwrap_or_default(),
        instance: snapshot.db_instance_identifier.unwrap_or_default(),
        status: snapshot.status.unwrap_or_default(),
        progress: snapshot.percent_progress.unwrap_or_default(),
        size_gib: snapshot.allocated_storage.unwrap_or_default(),
        deploy,
    }
}

/// The manual snapshots of an instance.
pub(crate) async fn list(client: &Rds, instance: &str) -> Result<Vec<Snapshot>, CallError> {
    let listed = client.describe_db_snapshots().db_instance_identifier(instance).snapshot_type("manual");
    let mut pages = listed.into_paginator().send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
        snapshots.extend(page.db_snapshots.unwrap_or_default().into_iter().map(snapshot));
    }
    Ok(snapshots)
}

/// The snapshot with a name, whoever's it is; none when there is none.
pub(crate) async fn find(client: &Rds, name: &str) -> Result<Option<Snapshot>, CallError> {
    let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBSnapshots")) {
        Ok(described) => Ok(described.db_snapshots.unwrap_or_default().into_iter().next().map(snapshot)),
        Err(call) if call.code.starts_with("DBSnapshotNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// Asks for a snapshot. RDS takes it or refuses it at once, and makes it later.
pub(crate) async fn create(
    client: &Rds,
    name: &str,
    instance: &str,
    tags: Vec<(&str, String)>,
) -> Result<Snapshot, CallError> {
    let tag = |(key, value): (&str, String)| Tag::builder().key(key).value(value).build();
    let created = client.create_db_snapshot().db_snapshot_identifier(name).db_instance_identifier(instance);
    let created = created.set_tags(Some(tags.into_iter().map(tag).collect())).send().await;
    let created = created.map_err(CallError::during("rds:CreateDBSnapshot"))?;
    Ok(created.db_snapshot.map(snapshot).unwrap_or_default())
}

/// RDS's word for the state of an instance, e.g. `backing-up`.
pub(crate) async fn state(client: &Rds, instance: &str) -> Result<String, CallError> {
    let described = client.describe_db_instances().db_instance_identifier(instance).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBInstances"))?;
    let instance = described.db_instances.unwrap_or_default().into_iter().next();
    Ok(instance.and_then(|instance| instance.db_instance_status).unwrap_or_default())
}
