//! Finds a snapshot or a database of RDS by its name.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbClusterSnapshot, DbSnapshot};

use crate::aws::snapshots::{Database, Kind};
use crate::runtime::failure::CallError;

/// The snapshot of this name, as the caller's own type; none if there is none.
///
/// # Errors
///
/// The [`CallError`] of DescribeDBSnapshots or DescribeDBClusterSnapshots.
pub async fn snapshot<S>(client: &Client, kind: Kind, name: &str) -> Result<Option<S>, CallError>
where
    S: From<DbSnapshot> + From<DbClusterSnapshot>,
{
    let found = match kind {
        Kind::Instance => {
            let described = client.describe_db_snapshots().db_snapshot_identifier(name).send().await;
            described.map_err(CallError::during("rds:DescribeDBSnapshots")).and_then(|described| {
                let found = described.db_snapshots.ok_or(CallError::empty("rds:DescribeDBSnapshots"))?;
                Ok(found.into_iter().next().map(S::from))
            })
        }
        Kind::Cluster => {
            let described =
                client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send().await;
            described.map_err(CallError::during("rds:DescribeDBClusterSnapshots")).and_then(|described| {
                let found = described
                    .db_cluster_snapshots
                    .ok_or(CallError::empty("rds:DescribeDBClusterSnapshots"))?;
                Ok(found.into_iter().next().map(S::from))
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
    use crate::testing::{aws, replies};

    #[tokio::test]
    async fn an_empty_answer_about_clusters_makes_no_cluster() {
        const NOT_FOUND: &str =
            "<ErrorResponse __type='x'><Error><Code>DBInstanceNotFound</Code></Error></ErrorResponse>";
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
            (
                "<ErrorResponse __type='x'><Error><Code>DBClusterNotFoundFault</Code></Error></ErrorResponse>",
                Ok(None),
            ),
        ] {
            let found = database(&Client::new(&aws(&replies(&[NOT_FOUND, answer]))), "moveongs-dev").await;
            let found = found.map(|found| found.map(|found| found.kind)).map_err(|call| call.code);
            assert_eq!(found, expected.map_err(str::to_owned), "{answer}");
        }
    }
}
