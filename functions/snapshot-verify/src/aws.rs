//! The RDS calls, in this region and in the one of the copies. The only file that names SDK operations.

use aws_sdk_rds::config::Builder;
use aws_sdk_rds::types::Tag;
use shared::aws::snapshots::{Kind, Snapshot};
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::unhurried;

type Rds = aws_sdk_rds::Client;

/// The automated and manual snapshots of a region, of instances and of clusters, without those that AWS Backup manages.
pub(crate) async fn list(client: &Rds) -> Result<Vec<Snapshot>, CallError> {
    let mut pages = client.describe_db_snapshots().into_paginator().send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBSnapshots"))?;
        let page = page.db_snapshots.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
        snapshots.extend(page.into_iter().map(Snapshot::from));
    }
    let mut pages = client.describe_db_cluster_snapshots().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBClusterSnapshots"))?;
        let page = page.db_cluster_snapshots.ok_or(CallError::empty("rds:DescribeDBClusterSnapshots"))?;
        snapshots.extend(page.into_iter().map(Snapshot::from));
    }
    Ok(snapshots)
}

/// The accounts that may restore a manual snapshot, `all` for every account; or why they are unknown.
pub(crate) async fn shared_with(client: &Rds, kind: Kind, name: &str) -> Result<Vec<String>, String> {
    let restore: Option<Option<Vec<String>>> = match kind {
        Kind::Instance => {
            let described =
                client.describe_db_snapshot_attributes().db_snapshot_identifier(name).send().await;
            let described = described.map_err(CallError::during("rds:DescribeDBSnapshotAttributes"));
            let result = described.map_err(|call| chain(&call))?.db_snapshot_attributes_result;
            let all = result.and_then(|result| result.db_snapshot_attributes).unwrap_or_default();
            let restore = all.into_iter().find(|one| one.attribute_name.as_deref() == Some("restore"));
            restore.map(|one| one.attribute_values)
        }
        Kind::Cluster => {
            let described = client.describe_db_cluster_snapshot_attributes();
            let described = described.db_cluster_snapshot_identifier(name).send().await;
            let described = described.map_err(CallError::during("rds:DescribeDBClusterSnapshotAttributes"));
            let result = described.map_err(|call| chain(&call))?.db_cluster_snapshot_attributes_result;
            let all = result.and_then(|result| result.db_cluster_snapshot_attributes).unwrap_or_default();
            let restore = all.into_iter().find(|one| one.attribute_name.as_deref() == Some("restore"));
            restore.map(|one| one.attribute_values)
        }
    };
    let restore =
        restore.ok_or_else(|| format!("RDS did not report the accounts that may restore {name}"))?;
    Ok(restore.unwrap_or_default())
}

/// Requests a copy in the client's region. RDS accepts or refuses the request at once, and makes the copy later. Except
/// in GovCloud, RDS no longer requires a presigned request to the source's region.
pub(crate) async fn copy(
    client: &Rds,
    kind: Kind,
    source: &str,
    target: &str,
    key: &str,
    tags: Vec<(&str, String)>,
) -> Result<(), CallError> {
    let tag = |(key, value): (&str, String)| Tag::builder().key(key).value(value).build();
    let tags = Some(tags.into_iter().map(tag).collect());
    let patience = Builder::new().timeout_config(unhurried());
    match kind {
        Kind::Instance => {
            let copied = client.copy_db_snapshot().source_db_snapshot_identifier(source).kms_key_id(key);
            let copied = copied.target_db_snapshot_identifier(target).set_tags(tags);
            let copied = copied.customize().config_override(patience).send().await;
            copied.map_err(CallError::during("rds:CopyDBSnapshot"))?;
        }
        Kind::Cluster => {
            let copied = client.copy_db_cluster_snapshot().source_db_cluster_snapshot_identifier(source);
            let copied = copied.target_db_cluster_snapshot_identifier(target).kms_key_id(key).set_tags(tags);
            let copied = copied.customize().config_override(patience).send().await;
            copied.map_err(CallError::during("rds:CopyDBClusterSnapshot"))?;
        }
    }
    Ok(())
}

/// Deletes a manual snapshot permanently.
pub(crate) async fn delete(client: &Rds, kind: Kind, name: &str) -> Result<(), CallError> {
    match kind {
        Kind::Instance => {
            let deleted = client.delete_db_snapshot().db_snapshot_identifier(name).send().await;
            deleted.map_err(CallError::during("rds:DeleteDBSnapshot"))?;
        }
        Kind::Cluster => {
            let deleted = client.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(name);
            deleted.send().await.map_err(CallError::during("rds:DeleteDBClusterSnapshot"))?;
        }
    }
    Ok(())
}
