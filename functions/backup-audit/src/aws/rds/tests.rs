use aws_smithy_http_client::test_util::StaticReplayClient;
use serde_json::Value;
use shared::testing::{aws, bodies, replies};

use super::*;

fn answer(operation: &str, result: &str) -> String {
    format!("<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>")
}

fn client(answers: &[String]) -> (Rds, StaticReplayClient) {
    let answers: Vec<_> = answers.iter().map(String::as_str).collect();
    let wire = replies(&answers);
    (Rds::new(&aws(&wire)), wire)
}

/// tests/cases/11a: an instance of an Aurora cluster; only the cluster has snapshots.
#[tokio::test]
async fn a_cluster_member_is_distinguished_from_a_single_instance() {
    let case: Value =
        serde_json::from_str(include_str!("../../../../../tests/cases/11a-aurora-member.json")).unwrap();
    let field = |name: &str| match &case[name] {
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let fields =
        ["DBInstanceIdentifier", "DBInstanceArn", "DBClusterIdentifier", "Engine", "DBInstanceStatus"];
    let fields = fields.iter().map(|name| format!("<{name}>{}</{name}>", field(name))).collect::<String>();
    let listed = format!("<DBInstances><DBInstance>{fields}</DBInstance></DBInstances>");
    let snapshot = "<DBClusterSnapshotIdentifier>rds:moveongs-dev-1</DBClusterSnapshotIdentifier><DBClusterIdentifier>moveongs-dev</DBClusterIdentifier><SnapshotType>automated</SnapshotType><Status>available</Status><SnapshotCreateTime>2026-11-26T05:10:00Z</SnapshotCreateTime>";
    let snapshots =
        format!("<DBClusterSnapshots><DBClusterSnapshot>{snapshot}</DBClusterSnapshot></DBClusterSnapshots>");
    let (rds, wire) =
        client(&[answer("DescribeDBInstances", &listed), answer("DescribeDBClusterSnapshots", &snapshots)]);
    let (found, _) = instance(&rds, "moveongs-dev-db").await.unwrap().unwrap();
    assert_eq!(found.form, Form::Member(field("DBClusterIdentifier")));
    let (page, next) = super::snapshots(&rds, (true, "automated", Some("moveongs-dev")), None).await.unwrap();
    assert_eq!((page.len(), next), (1, None));
    assert!(page[0].is_of_cluster && page[0].is_available && page[0].made.is_some());
    let bodies = bodies(&wire);
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert!(bodies[1].contains("Action=DescribeDBClusterSnapshots"), "{bodies:?}");
    assert!(bodies[1].contains("SnapshotType=automated"), "{bodies:?}");
}

#[tokio::test]
async fn a_cluster_has_its_members_and_clusters_of_other_services_are_left_out() {
    let cluster = |name: &str, engine: &str| {
        format!(
            "<DBCluster><DBClusterIdentifier>{name}</DBClusterIdentifier><Engine>{engine}</Engine><Status>available</Status><BackupRetentionPeriod>1</BackupRetentionPeriod><DBClusterMembers><DBClusterMember><DBInstanceIdentifier>{name}-1</DBInstanceIdentifier></DBClusterMember></DBClusterMembers></DBCluster>"
        )
    };
    let all = [("a", "aurora-postgresql"), ("b", "docdb"), ("c", "neptune"), ("d", "postgres")];
    let all = all.map(|(name, engine)| cluster(name, engine)).concat();
    let (rds, _) = client(&[answer("DescribeDBClusters", &format!("<DBClusters>{all}</DBClusters>"))]);
    let (page, _) = clusters(&rds, None).await.unwrap();
    let names: Vec<_> = page.iter().map(|(one, _, members)| (one.name.as_str(), members.concat())).collect();
    assert_eq!(names, [("a", "a-1".to_owned()), ("d", "d-1".to_owned())]);
    assert_eq!(page[0].0.form, Form::Cluster);
    assert_eq!(page[0].0.retention_days, Some(1));
}

/// An answer without its list is not an empty list.
#[tokio::test]
async fn an_answer_without_its_list_is_not_understood() {
    let nothing = [
        answer("DescribeDBInstances", ""),
        answer("DescribeDBClusters", ""),
        answer("DescribeDBSnapshots", ""),
        answer("DescribeDBClusterSnapshots", ""),
        answer("DescribeDBSnapshotAttributes", ""),
        answer("DescribeDBClusterSnapshotAttributes", ""),
        answer("DescribeEventSubscriptions", ""),
        answer("DescribeBlueGreenDeployments", ""),
        answer("DescribeDBMajorEngineVersions", ""),
        answer("DescribeDBParameters", ""),
        answer("DescribeDBClusterParameters", ""),
        answer("DescribeDBInstances", ""),
        answer(
            "DescribeDBInstances",
            "<DBInstances><DBInstance><Engine>postgres</Engine></DBInstance></DBInstances>",
        ),
    ];
    let (rds, _) = client(&nothing);
    let failures = [
        instances(&rds, None).await.map(drop),
        clusters(&rds, None).await.map(drop),
        snapshots(&rds, (false, "manual", None), None).await.map(drop),
        snapshots(&rds, (true, "manual", None), None).await.map(drop),
        shared_with(&rds, "s").await.map(drop),
        cluster_shared_with(&rds, "s").await.map(drop),
        subscriptions(&rds).await.map(drop),
        deployments(&rds).await.map(drop),
        majors(&rds, "postgres").await.map(drop),
        parameter(&rds, false, "g", "rds.force_ssl").await.map(drop),
        parameter(&rds, true, "g", "rds.force_ssl").await.map(drop),
        instance(&rds, "db").await.map(drop),
        instances(&rds, None).await.map(drop),
    ];
    for (index, failure) in failures.into_iter().enumerate() {
        let call = failure.expect_err(&nothing[index]);
        assert_eq!(call.code, "NotUnderstood", "{index}: {call}");
    }
}

#[tokio::test]
async fn an_empty_list_is_empty() {
    let (rds, _) = client(&[
        answer("DescribeDBInstances", "<DBInstances/>"),
        answer("DescribeDBClusters", "<DBClusters></DBClusters>"),
        answer("DescribeDBSnapshots", "<DBSnapshots/>"),
        answer(
            "DescribeDBSnapshotAttributes",
            "<DBSnapshotAttributesResult><DBSnapshotAttributes/></DBSnapshotAttributesResult>",
        ),
    ]);
    assert!(instances(&rds, None).await.unwrap().0.is_empty());
    assert!(clusters(&rds, None).await.unwrap().0.is_empty());
    assert!(snapshots(&rds, (false, "manual", None), None).await.unwrap().0.is_empty());
    assert!(shared_with(&rds, "s").await.unwrap().is_empty());
}

/// A page without the parameter is not the end of the list.
#[tokio::test]
async fn a_parameter_is_looked_for_on_every_page() {
    let parameter = |name: &str| {
        format!(
            "<Parameter><ParameterName>{name}</ParameterName><ParameterValue>0</ParameterValue><ApplyType>static</ApplyType><AllowedValues>0,1</AllowedValues></Parameter>"
        )
    };
    let page = |parameters: String, marker: &str| format!("<Parameters>{parameters}</Parameters>{marker}");
    for (operation, is_of_cluster) in [("DescribeDBParameters", false), ("DescribeDBClusterParameters", true)]
    {
        let (rds, wire) = client(&[
            answer(operation, &page(String::new(), "<Marker>a</Marker>")),
            answer(operation, &page(parameter("another"), "<Marker>b</Marker>")),
            answer(operation, &page(parameter("rds.force_ssl"), "")),
        ]);
        let found = super::parameter(&rds, is_of_cluster, "g", "rds.force_ssl").await;
        let expected =
            Parameter { value: Some("0".to_owned()), is_static: Some(true), allowed: Some("0,1".to_owned()) };
        assert_eq!(found, Ok(Some(expected)), "{operation}");
        let bodies = bodies(&wire);
        assert_eq!(bodies.len(), 3, "{bodies:?}");
        assert!(bodies[1].contains("Marker=a") && bodies[2].contains("Marker=b"), "{bodies:?}");
        assert!(bodies.iter().all(|one| one.contains("parameter-name")), "{bodies:?}");
    }
    let (rds, _) = client(&[answer("DescribeDBParameters", &page(parameter("another"), ""))]);
    assert_eq!(super::parameter(&rds, false, "g", "rds.force_ssl").await, Ok(None));
}

#[tokio::test]
async fn one_parameter_is_asked_for_by_its_name() {
    let found = "<Parameters><Parameter><ParameterName>rds.force_ssl</ParameterName><ParameterValue>1</ParameterValue></Parameter></Parameters>";
    let (rds, wire) = client(&[answer("DescribeDBParameters", found)]);
    let value = parameter(&rds, false, "default.postgres17", "rds.force_ssl").await;
    let value = value.unwrap().unwrap().value;
    assert_eq!(value.as_deref(), Some("1"));
    let bodies = bodies(&wire);
    assert!(bodies[0].contains("parameter-name") && bodies[0].contains("rds.force_ssl"), "{bodies:?}");
}
