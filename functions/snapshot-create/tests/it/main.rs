//! The function's settings, and its requests on the wire: real SDK, real signing, recorded answers.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use aws_smithy_http_client::test_util::StaticReplayClient;
use serde_json::{Value, json};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::{aws, bodies, refusal, replies, variables};
use snapshot_create::{App, SnapshotError, handle};

const EVENT: &str = include_str!("../../../../events/snapshot-create/deploy.json");
/// Still the previous evening in São Paulo.
const NOW: &str = "2026-11-27T02:30:00Z";

const NO_OBJECT: &str = "<ListBucketResult></ListBucketResult>";
const NO_SNAPSHOT: &str = "<DescribeDBSnapshotsResponse><DescribeDBSnapshotsResult><DBSnapshots/></DescribeDBSnapshotsResult></DescribeDBSnapshotsResponse>";

fn app(wire: &StaticReplayClient, changed: &[(&str, &str)]) -> Result<App, EnvError> {
    let own = [("ENVIRONMENT", "prod"), ("DATABASE_INSTANCE_ID", "moveongs-prod-db")];
    App::new(&Env::new(&variables(&[changed, &own].concat())), &aws(wire))
}

#[test]
fn a_wrong_setting_stops_the_start() {
    let refused = |name: &str, value: &str| app(&replies(&[]), &[(name, value)]).err().unwrap().to_string();
    assert!(refused("DATABASE_INSTANCE_ID", "").contains("DATABASE_INSTANCE_ID"));
    assert!(refused("PROJECT", "move--ongs").contains("single hyphens"));
    assert!(refused("ENVIRONMENT", "test").contains("has no entry for test"));
    assert!(app(&replies(&[]), &[]).is_ok());
}

/// The case's instance as RDS describes it.
fn member(case: &Value) -> String {
    let field = |name: &str| format!("<{name}>{}</{name}>", case[name].as_str().unwrap());
    let fields: String =
        ["DBInstanceIdentifier", "DBClusterIdentifier", "DBInstanceStatus"].map(field).concat();
    format!(
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>{fields}</DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
    )
}

const INSTANCE: &str = "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceIdentifier>moveongs-prod-db</DBInstanceIdentifier></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>";

/// Requests a snapshot; returns the error and the forms of the requests to RDS.
async fn asked(settings: &[(&str, &str)], answers: &[&str]) -> (SnapshotError, Vec<String>) {
    // No note yet; RDS describes and lists; the note is read again and written; then the request and its consequences.
    let (before, after) = answers.split_at(2);
    let wire = replies(&[&[NO_OBJECT], before, &[NO_OBJECT, ""], after].concat());
    let app = app(&wire, settings).unwrap();
    let input: Value = serde_json::from_str(EVENT).unwrap();
    // The last poll, so that a busy database is an error.
    let event = json!({"step": "create", "execution": "e", "input": input, "poll": 200});
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(150));
    let error = handle(&app, event, &invocation).await.unwrap_err();
    (error, bodies(&wire).into_iter().filter(|body| body.starts_with("Action=")).collect())
}

#[tokio::test]
async fn a_snapshot_is_requested_with_the_days_name_and_all_tags() {
    let (error, bodies) = asked(&[], &[INSTANCE, NO_SNAPSHOT, &refusal("SnapshotQuotaExceeded")]).await;
    assert_eq!(error.kind(), "SnapshotQuotaExceeded");
    assert_eq!(bodies.len(), 3);
    for part in [
        "Action=CreateDBSnapshot",
        "DBSnapshotIdentifier=moveongs-prod-20261126&",
        "DBInstanceIdentifier=moveongs-prod-db&",
        "Tag.4.Key=Deploy&Tags.Tag.4.Value=github-19283746550-1&",
        "Key=ExpiresOn&Tags.Tag.7.Value=2026-12-26",
        "Key=Commit&Tags.Tag.8.Value=4f2c1b7d9e0a8c6b5d4e3f2a1b0c9d8e7f6a5b4c",
        "Key=CreatedBy&Tags.Tag.6.Value=github-actions%20deploy.yml%20ana-souza",
    ] {
        assert!(bodies[2].contains(part), "{part} is not in {}", bodies[2]);
    }
}

const DEV: [(&str, &str); 2] = [("ENVIRONMENT", "dev"), ("DATABASE_INSTANCE_ID", "moveongs-dev-db")];
const NO_CLUSTER_SNAPSHOT: &str = "<DescribeDBClusterSnapshotsResponse><DescribeDBClusterSnapshotsResult><DBClusterSnapshots/></DescribeDBClusterSnapshotsResult></DescribeDBClusterSnapshotsResponse>";

#[tokio::test]
async fn the_clusters_snapshot_is_requested_for_a_member() {
    let case = include_str!("../../../../tests/cases/11a-aurora-member.json");
    let case: Value = serde_json::from_str(case).unwrap();
    let answers = [&member(&case), NO_CLUSTER_SNAPSHOT, &refusal("SnapshotQuotaExceeded")];
    let (error, bodies) = asked(&DEV, &answers).await;
    assert_eq!(error.kind(), "SnapshotQuotaExceeded");
    for (body, parts) in bodies.iter().zip([
        &["Action=DescribeDBInstances&", "DBInstanceIdentifier=moveongs-dev-db"][..],
        &["Action=DescribeDBClusterSnapshots&", "DBClusterIdentifier=moveongs-dev&", "SnapshotType=manual"],
        &[
            "Action=CreateDBClusterSnapshot&",
            "DBClusterSnapshotIdentifier=moveongs-dev-20261126&",
            "DBClusterIdentifier=moveongs-dev&",
            "Key=Deploy&Tags.Tag.4.Value=github-19283746550-1&",
        ],
    ]) {
        for part in parts {
            assert!(body.contains(part), "{part} is not in {body}");
        }
    }
    assert_eq!(bodies.len(), 3);
}

#[tokio::test]
async fn each_refusal_of_a_clusters_snapshot_has_its_kind() {
    let case = include_str!("../../../../tests/cases/11a-aurora-member.json");
    let mut case: Value = serde_json::from_str(case).unwrap();
    let cluster = |status: &str| {
        format!(
            "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster><Status>{status}</Status></DBCluster></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>"
        )
    };
    for (code, state, kind) in [
        ("InvalidDBClusterStateFault", "upgrading", "ClusterBusy"),
        ("InvalidDBClusterStateFault", "stopped", "ClusterState"),
        ("DBClusterNotFoundFault", "", "ClusterNotFound"),
        ("StorageQuotaExceeded", "", "StorageQuotaExceeded"),
        ("AccessDenied", "", "RdsCall"),
    ] {
        let answers = [
            &member(&case),
            NO_CLUSTER_SNAPSHOT,
            &refusal(code),
            &refusal("DBClusterSnapshotNotFoundFault"),
            &cluster(state),
        ];
        assert_eq!(asked(&DEV, &answers).await.0.kind(), kind, "{code} {state}");
    }
    // The role does not cover a cluster of this name.
    case["DBClusterIdentifier"] = json!("aurora-1");
    let (error, bodies) = asked(&DEV, &[&member(&case), ""]).await;
    assert_eq!((error.kind(), bodies.len()), ("ClusterNotOurs", 1));
    assert!(error.to_string().contains("aurora-1"), "{error}");
}

#[tokio::test]
async fn the_page_of_a_direct_request_looks_at_the_cluster_and_not_at_its_member() {
    let case = include_str!("../../../../tests/cases/11a-aurora-member.json");
    let member = member(&serde_json::from_str(case).unwrap());
    let upgrading = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster><Status>upgrading</Status></DBCluster></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>";
    let [busy, hidden, quota] =
        ["InvalidDBClusterStateFault", "DBClusterSnapshotNotFoundFault", "SnapshotQuotaExceeded"]
            .map(refusal);
    let noted =
        "<ListBucketResult><Contents><Key>runs/snapshot-create/job.json</Key></Contents></ListBucketResult>";
    let note = json!({"database": {"kind": "cluster", "id": "moveongs-dev"}}).to_string();
    let paged = "<PublishResponse><PublishResult/></PublishResponse>";
    for (refused, kind, advice) in [
        (
            &[&busy, &hidden, upgrading][..],
            "ClusterBusy",
            "describe-db-clusters%20--db-cluster-identifier%20moveongs-dev%20",
        ),
        (&[&quota], "SnapshotQuotaExceeded", "describe-db-cluster-snapshots%20"),
    ] {
        let asked = [NO_OBJECT, &member, NO_CLUSTER_SNAPSHOT, NO_OBJECT, ""];
        let wire = replies(&[&asked, refused, &[noted, &note, NO_OBJECT, paged]].concat());
        let app = app(&wire, &DEV).unwrap();
        let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(150));
        let error = handle(&app, serde_json::from_str(EVENT).unwrap(), &invocation).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        let page = bodies(&wire).into_iter().find(|body| body.starts_with("Action=Publish&")).unwrap();
        assert!(page.contains(advice), "{advice} is not in {page}");
    }
}

#[tokio::test]
async fn an_answer_without_the_database_proves_neither_its_existence_nor_that_it_is_busy() {
    let no_list = "<DescribeDBClustersResponse><DescribeDBClustersResult/></DescribeDBClustersResponse>";
    let none = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters/></DescribeDBClustersResult></DescribeDBClustersResponse>";
    let case = include_str!("../../../../tests/cases/11a-aurora-member.json");
    let member = member(&serde_json::from_str(case).unwrap());
    let no_state = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster/></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>";
    let no_instance =
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult/></DescribeDBInstancesResponse>";
    for empty in [no_list, none] {
        let (error, bodies) = asked(&DEV, &[&refusal("DBInstanceNotFound"), empty]).await;
        assert_eq!((error.kind(), bodies.len()), ("RdsCall", 2), "{empty}");
    }
    for empty in [no_list, none, no_state] {
        let [busy, hidden] = ["InvalidDBClusterStateFault", "DBClusterSnapshotNotFoundFault"].map(refusal);
        let answers = [&member, NO_CLUSTER_SNAPSHOT, &busy, &hidden, empty];
        assert_eq!(asked(&DEV, &answers).await.0.kind(), "RdsCall", "{empty}");
    }
    for empty in [no_instance, INSTANCE] {
        let [busy, hidden] = ["InvalidDBInstanceState", "DBSnapshotNotFound"].map(refusal);
        let answers = [INSTANCE, NO_SNAPSHOT, &busy, &hidden, empty];
        assert_eq!(asked(&[], &answers).await.0.kind(), "RdsCall", "{empty}");
    }
}

#[tokio::test]
async fn an_answer_without_a_snapshot_is_checked() {
    let empty = "<CreateDBSnapshotResponse><CreateDBSnapshotResult/></CreateDBSnapshotResponse>";
    let not_found = refusal("DBSnapshotNotFound");
    let (error, bodies) = asked(&[], &[INSTANCE, NO_SNAPSHOT, empty, &not_found]).await;
    assert_eq!((error.kind(), bodies.len()), ("RdsCall", 4));
    // A missing list is not an empty list.
    let list = "<DescribeDBSnapshotsResponse><DescribeDBSnapshotsResult/></DescribeDBSnapshotsResponse>";
    let (error, bodies) = asked(&[], &[INSTANCE, list]).await;
    assert_eq!((error.kind(), bodies.len()), ("RdsCall", 2));
}
