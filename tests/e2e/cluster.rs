//! The Aurora cluster of tests/cases/11a-aurora-member.json, with one member beside the environment's own instance.

use aws_sdk_rds::types::DbClusterSnapshot;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, eventually};

pub(crate) const CLUSTER: &str = "moveongs-dev";
pub(crate) const MEMBER: &str = "moveongs-dev-aurora-1";

/// The case, with its name of the cluster checked.
pub(crate) fn case() -> Value {
    let case: Value = serde_json::from_str(include_str!("../cases/11a-aurora-member.json")).unwrap();
    assert_eq!(case["DBClusterIdentifier"], CLUSTER);
    case
}

/// Makes the cluster and its member, which are available at once.
pub(crate) async fn make(cloud: &Cloud) {
    remove(cloud).await;
    let engine = case()["Engine"].as_str().unwrap().to_owned();
    let made = cloud.rds.create_db_cluster().db_cluster_identifier(CLUSTER).engine(&engine);
    let made = made.master_username("master").master_user_password("a-Master_password.1");
    made.storage_encrypted(true).copy_tags_to_snapshot(true).send().await.unwrap();
    let member = cloud.rds.create_db_instance().db_cluster_identifier(CLUSTER).engine(engine);
    let member = member.db_instance_identifier(MEMBER).db_instance_class("db.t4g.medium");
    member.send().await.unwrap();
}

/// Removes the cluster, its member and its snapshots of both regions.
pub(crate) async fn remove(cloud: &Cloud) {
    let region = aws_sdk_rds::config::Region::new("sa-east-1");
    let away = aws_sdk_rds::Client::from_conf(cloud.rds.config().to_builder().region(region).build());
    for client in [&cloud.rds, &away] {
        for snapshot in snapshots(client).await {
            let name = snapshot.db_cluster_snapshot_identifier.unwrap();
            eventually("an end of the cluster's snapshot", async || {
                let deleted = client.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(&name);
                deleted.send().await.ok()
            })
            .await;
        }
    }
    let member = cloud.rds.delete_db_instance().db_instance_identifier(MEMBER);
    let _ = member.skip_final_snapshot(true).send().await;
    let _ =
        cloud.rds.delete_db_cluster().db_cluster_identifier(CLUSTER).skip_final_snapshot(true).send().await;
}

/// The manual snapshots of clusters in a region.
pub(crate) async fn snapshots(client: &aws_sdk_rds::Client) -> Vec<DbClusterSnapshot> {
    let listed = client.describe_db_cluster_snapshots().snapshot_type("manual").send().await.unwrap();
    listed.db_cluster_snapshots.unwrap_or_default()
}

/// Sets the cluster's status.
pub(crate) async fn show(cloud: &Cloud, status: &str) {
    let order = json!({"cluster": CLUSTER, "status": status});
    cloud.admin(Method::POST, "rds/cluster", Some(order)).await;
}
