//! The RDS calls. The only file that names SDK operations.

use aws_sdk_rds::config::Builder;
use aws_sdk_rds::types::Tag;
use shared::aws::snapshots::{Database, Kind, Snapshot};
use shared::runtime::failure::CallError;
use shared::runtime::lambda::unhurried;

type Rds = aws_sdk_rds::Client;

/// The manual snapshots of a database.
pub(crate) async fn list(client: &Rds, database: &Database) -> Result<Vec<Snapshot>, CallError> {
    let mut snapshots = Vec::new();
    match database.kind {
        Kind::Instance => {
            let listed =
                client.describe_db_snapshots().db_instance_identifier(&database.id).snapshot_type("manual");
            let mut pages = listed.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(CallError::during("rds:DescribeDBSnapshots"))?.db_snapshots;
                let page = page.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
                snapshots.extend(page.into_iter().map(Snapshot::from));
            }
        }
        Kind::Cluster => {
            let listed = client.describe_db_cluster_snapshots().db_cluster_identifier(&database.id);
            let mut pages = listed.snapshot_type("manual").into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(CallError::during("rds:DescribeDBClusterSnapshots"))?;
                let page =
                    page.db_cluster_snapshots.ok_or(CallError::empty("rds:DescribeDBClusterSnapshots"))?;
                snapshots.extend(page.into_iter().map(Snapshot::from));
            }
        }
    }
    Ok(snapshots)
}

/// Requests a snapshot. RDS accepts or refuses the request at once, and makes the snapshot later.
pub(crate) async fn create(
    client: &Rds,
    name: &str,
    database: &Database,
    tags: Vec<(&str, String)>,
) -> Result<Snapshot, CallError> {
    let tag = |(key, value): (&str, String)| Tag::builder().key(key).value(value).build();
    let tags = Some(tags.into_iter().map(tag).collect());
    let patience = Builder::new().timeout_config(unhurried());
    match database.kind {
        Kind::Instance => {
            let created =
                client.create_db_snapshot().db_snapshot_identifier(name).db_instance_identifier(&database.id);
            let created = created.set_tags(tags).customize().config_override(patience).send().await;
            let created = created.map_err(CallError::during("rds:CreateDBSnapshot"))?;
            created.db_snapshot.map(Snapshot::from).ok_or(CallError::empty("rds:CreateDBSnapshot"))
        }
        Kind::Cluster => {
            let created = client.create_db_cluster_snapshot().db_cluster_snapshot_identifier(name);
            let created = created.db_cluster_identifier(&database.id).set_tags(tags);
            let created = created.customize().config_override(patience).send().await;
            let created = created.map_err(CallError::during("rds:CreateDBClusterSnapshot"))?;
            created
                .db_cluster_snapshot
                .map(Snapshot::from)
                .ok_or(CallError::empty("rds:CreateDBClusterSnapshot"))
        }
    }
}

/// RDS's status of a database, e.g. `backing-up`.
pub(crate) async fn state(client: &Rds, database: &Database) -> Result<String, CallError> {
    match database.kind {
        Kind::Instance => {
            let described = client.describe_db_instances().db_instance_identifier(&database.id).send().await;
            let described = described.map_err(CallError::during("rds:DescribeDBInstances"))?;
            let instance = described.db_instances.unwrap_or_default().into_iter().next();
            let state = instance.and_then(|instance| instance.db_instance_status);
            state.ok_or(CallError::empty("rds:DescribeDBInstances"))
        }
        Kind::Cluster => {
            let described = client.describe_db_clusters().db_cluster_identifier(&database.id).send().await;
            let described = described.map_err(CallError::during("rds:DescribeDBClusters"))?;
            let cluster = described.db_clusters.unwrap_or_default().into_iter().next();
            let state = cluster.and_then(|cluster| cluster.status);
            state.ok_or(CallError::empty("rds:DescribeDBClusters"))
        }
    }
}
