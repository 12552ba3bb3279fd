//! The RDS calls, in this region and in the one of the copies. The only file that names SDK operations.

use aws_sdk_rds::types::{DbSnapshot, Tag};
use shared::failure::{CallError, chain};
use shared::time::instant;

use crate::policy::Snapshot;

type Rds = aws_sdk_rds::Client;

fn snapshot(snapshot: DbSnapshot) -> Snapshot {
    let tags = snapshot.tag_list.unwrap_or_default().into_iter();
    let created = instant(snapshot.snapshot_create_time);
    Snapshot {
        name: snapshot.db_snapshot_identifier.unwrap_or_default(),
        arn: snapshot.db_snapshot_arn.unwrap_or_default(),
        instance: snapshot.db_instance_identifier.unwrap_or_default(),
        resource: snapshot.dbi_resource_id.unwrap_or_default(),
        is_manual: snapshot.snapshot_type.as_deref() == Some("manual"),
        status: snapshot.status.unwrap_or_default(),
        progress: snapshot.percent_progress.unwrap_or_default(),
        is_encrypted: snapshot.encrypted == Some(true),
        created,
        taken: instant(snapshot.original_snapshot_create_time).or(created),
        allocated_gib: snapshot.allocated_storage.unwrap_or_default(),
        full_bytes: snapshot.full_snapshot_size_in_bytes,
        tags: tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(),
        shared_with: Ok(Vec::new()),
    }
}

/// The automated and manual snapshots of a region. Those of AWS Backup are AWS Backup's.
pub(crate) async fn list(client: &Rds) -> Result<Vec<Snapshot>, CallError> {
    let mut pages = client.describe_db_snapshots().into_paginator().send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
        snapshots.extend(page.db_snapshots.unwrap_or_default().into_iter().map(snapshot));
    }
    Ok(snapshots)
}

/// The snapshot with a name; none when there is none.
pub(crate) async fn find(client: &Rds, name: &str) -> Result<Option<Snapshot>, CallError> {
    let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBSnapshots")) {
        Ok(described) => Ok(described.db_snapshots.unwrap_or_default().into_iter().next().map(snapshot)),
        Err(call) if call.code.starts_with("DBSnapshotNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// The accounts that may restore a manual snapshot, `all` for everybody; or why that is not known.
pub(crate) async fn shared_with(client: &Rds, name: &str) -> Result<Vec<String>, String> {
    let described = client.describe_db_snapshot_attributes().db_snapshot_identifier(name).send().await;
    let described = described.map_err(CallError::during("rds:DescribeDBSnapshotAttributes"));
    let result = described.map_err(|call| chain(&call))?.db_snapshot_attributes_result;
    let attributes = result.and_then(|result| result.db_snapshot_attributes).unwrap_or_default();
    let restore = attributes.into_iter().find(|one| one.attribute_name.as_deref() == Some("restore"));
    let restore = restore.ok_or("rds:DescribeDBSnapshotAttributes did not tell who may restore it")?;
    Ok(restore.attribute_values.unwrap_or_default())
}

/// Asks the region of the client for a copy. RDS takes it or refuses it at once, and makes it later. The signed request that
/// RDS needed of the source's region is ignored today but in GovCloud.
pub(crate) async fn copy(
    client: &Rds,
    source: &str,
    target: &str,
    key: &str,
    tags: Vec<(&str, String)>,
) -> Result<(), CallError> {
    let tag = |(key, value): (&str, String)| Tag::builder().key(key).value(value).build();
    let copied = client.copy_db_snapshot().source_db_snapshot_identifier(source).kms_key_id(key);
    let copied = copied.target_db_snapshot_identifier(target);
    let copied = copied.set_tags(Some(tags.into_iter().map(tag).collect())).send().await;
    copied.map_err(CallError::during("rds:CopyDBSnapshot"))?;
    Ok(())
}

/// Deletes a manual snapshot, for good.
pub(crate) async fn delete(client: &Rds, name: &str) -> Result<(), CallError> {
    let deleted = client.delete_db_snapshot().db_snapshot_identifier(name).send().await;
    deleted.map_err(CallError::during("rds:DeleteDBSnapshot"))?;
    Ok(())
}
