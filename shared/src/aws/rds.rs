//! Finds a snapshot or a database of RDS by its name.

use std::collections::BTreeMap;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbClusterSnapshot, DbSnapshot, Tag};

use crate::aws::snapshots::{COPIER, Database, Kind, MANAGED_BY, Snapshot, TAKEN_AT};
use crate::runtime::failure::CallError;
use crate::runtime::time::instant;

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    let tags = tags.unwrap_or_default().into_iter();
    tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}

impl From<DbSnapshot> for Snapshot {
    fn from(snapshot: DbSnapshot) -> Self {
        let created = instant(snapshot.snapshot_create_time);
        Self {
            kind: Kind::Instance,
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
            allocated_gib: snapshot.allocated_storage,
            full_bytes: snapshot.full_snapshot_size_in_bytes,
            can_be_copied: true,
            tags: tags(snapshot.tag_list),
            shared_with: Ok(Vec::new()),
        }
    }
}

impl From<DbClusterSnapshot> for Snapshot {
    fn from(snapshot: DbClusterSnapshot) -> Self {
        let is_aurora = snapshot.engine().is_some_and(|engine| engine.starts_with("aurora"));
        // RDS does not copy snapshots of Multi-AZ DB clusters, which only these engines have:
        // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/multi-az-db-clusters-concepts.Limitations.html
        let is_multi_az = matches!(snapshot.engine(), Some("mysql" | "postgres"));
        let created = instant(snapshot.snapshot_create_time);
        let tags = tags(snapshot.tag_list);
        // RDS does not report when a copy's data were taken.
        let is_copy = tags.get(MANAGED_BY).is_some_and(|maker| maker == COPIER);
        let taken = tags.get(TAKEN_AT).filter(|_| is_copy).and_then(|at| at.parse().ok()).or(created);
        Self {
            kind: Kind::Cluster,
            name: snapshot.db_cluster_snapshot_identifier.unwrap_or_default(),
            arn: snapshot.db_cluster_snapshot_arn.unwrap_or_default(),
            instance: snapshot.db_cluster_identifier.unwrap_or_default(),
            resource: snapshot.db_cluster_resource_id.unwrap_or_default(),
            is_manual: snapshot.snapshot_type.as_deref() == Some("manual"),
            status: snapshot.status.unwrap_or_default(),
            progress: snapshot.percent_progress.unwrap_or_default(),
            is_encrypted: snapshot.storage_encrypted == Some(true),
            created,
            taken,
            // Aurora does not allocate storage; RDS reports 0 or 1 GiB for it.
            allocated_gib: snapshot.allocated_storage.filter(|_| !is_aurora),
            full_bytes: None,
            can_be_copied: !is_multi_az,
            tags,
            shared_with: Ok(Vec::new()),
        }
    }
}

/// The snapshot of this name; none if there is none.
///
/// # Errors
///
/// The [`CallError`] of DescribeDBSnapshots or DescribeDBClusterSnapshots.
pub async fn snapshot(client: &Client, kind: Kind, name: &str) -> Result<Option<Snapshot>, CallError> {
    let found = match kind {
        Kind::Instance => {
            let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
            described.map_err(CallError::during("rds:DescribeDBSnapshots")).and_then(|described| {
                let found = described.db_snapshots.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
                Ok(found.into_iter().next().map(Snapshot::from))
            })
        }
        Kind::Cluster => {
            let described =
                client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send().await;
            described.map_err(CallError::during("rds:DescribeDBClusterSnapshots")).and_then(|described| {
                let found = described
                    .db_cluster_snapshots
                    .ok_or(CallError::empty("rds:DescribeDBClusterSnapshots"))?;
                Ok(found.into_iter().next().map(Snapshot::from))
            })
        }
    };
    match found {
        Err(call) if call.code.contains("SnapshotNotFound") => Ok(None),
        found => found,
    }
}

/// The database that RDS takes the snapshots of: for a cluster or a member of one, the cluster; none if RDS has neither
/// an instance nor a cluster of this name.
///
/// # Errors
///
/// The [`CallError`] of DescribeDBInstances or DescribeDBClusters.
pub async fn database(client: &Client, name: &str) -> Result<Option<Database>, CallError> {
    let described = client.describe_db_instances().db_instance_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBInstances")) {
        Ok(described) => {
            let instance = described.db_instances.unwrap_or_default().into_iter().next();
            let instance = instance.ok_or(CallError::empty("rds:DescribeDBInstances"))?;
            Ok(Some(match instance.db_cluster_identifier {
                Some(id) => Database { kind: Kind::Cluster, id },
                None => Database { kind: Kind::Instance, id: name.to_owned() },
            }))
        }
        Err(call) if call.code.starts_with("DBInstanceNotFound") => cluster(client, name).await,
        Err(call) => Err(call),
    }
}

/// The cluster of this name; none if there is none.
///
/// # Errors
///
/// The [`CallError`] of DescribeDBClusters.
pub async fn cluster(client: &Client, name: &str) -> Result<Option<Database>, CallError> {
    let described = client.describe_db_clusters().db_cluster_identifier(name).send().await;
    match described.map_err(CallError::during("rds:DescribeDBClusters")) {
        Ok(described) if described.db_clusters().is_empty() => {
            Err(CallError::empty("rds:DescribeDBClusters"))
        }
        Ok(_) => Ok(Some(Database { kind: Kind::Cluster, id: name.to_owned() })),
        Err(call) if call.code.starts_with("DBClusterNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{aws, refusal, replies};

    #[test]
    fn only_a_multi_az_clusters_snapshot_cannot_be_copied() {
        for (engine, can_be_copied) in
            [("aurora-postgresql", true), ("aurora-mysql", true), ("postgres", false), ("mysql", false)]
        {
            let snapshot = DbClusterSnapshot::builder().engine(engine).build();
            assert_eq!(Snapshot::from(snapshot).can_be_copied, can_be_copied, "{engine}");
        }
        assert!(Snapshot::from(DbSnapshot::builder().engine("postgres").build()).can_be_copied);
    }

    #[tokio::test]
    async fn an_empty_answer_about_clusters_makes_no_cluster() {
        let [no_instance, no_cluster] = ["DBInstanceNotFound", "DBClusterNotFoundFault"].map(refusal);
        for (answer, expected) in [
            (
                "<DescribeDBClustersResponse><DescribeDBClustersResult/></DescribeDBClustersResponse>",
                Err("EmptyAnswer"),
            ),
            (
                "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters/></DescribeDBClustersResult></DescribeDBClustersResponse>",
                Err("EmptyAnswer"),
            ),
            (
                "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster/></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>",
                Ok(Some(Kind::Cluster)),
            ),
            (&no_cluster, Ok(None)),
        ] {
            let found = database(&Client::new(&aws(&replies(&[&no_instance, answer]))), "moveongs-dev").await;
            let found = found.map(|found| found.map(|found| found.kind)).map_err(|call| call.code);
            assert_eq!(found, expected.map_err(str::to_owned), "{answer}");
        }
    }
}
