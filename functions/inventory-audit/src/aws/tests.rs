use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use shared::testing::{aws, replies};

use super::states::PAGES;
use super::*;
use crate::rules::runbook::Alarm;
use crate::rules::state::MOST_STATES;

const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

fn clients(wire: &StaticReplayClient) -> Clients {
    Clients::new(&aws(wire), "123456789012".to_owned())
}

async fn look(kind: Kind, name: &str, answers: &[&str]) -> Observation {
    clients(&replies(answers)).look(kind, name).await
}

/// Status, region header, body.
fn wire(answers: &[(u16, &str, &str)]) -> StaticReplayClient {
    let event = |(status, region, body): &(u16, &str, &str)| {
        let answer = http::Response::builder().status(*status).header("x-amz-bucket-region", *region);
        let answer = answer.body(SdkBody::from(*body)).unwrap();
        ReplayEvent::new(http::Request::new(SdkBody::empty()), answer)
    };
    StaticReplayClient::new(answers.iter().map(event).collect())
}

fn hosts(wire: &StaticReplayClient) -> Vec<String> {
    wire.actual_requests()
        .map(|request| request.uri().split('/').nth(2).unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn an_unclear_answer_does_not_prove_absence() {
    let instance = "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances/></DescribeDBInstancesResult></DescribeDBInstancesResponse>";
    let cluster = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters/></DescribeDBClustersResult></DescribeDBClustersResponse>";
    for (kind, name, answer) in [
        (Kind::EcsCluster, "c", ""),
        (Kind::EcsCluster, "c", "{}"),
        (Kind::EcsCluster, "c", r#"{"clusters": [], "failures": []}"#),
        (Kind::EcsCluster, "c", r#"{"clusters": [], "failures": [{"reason": "ACCESS_DENIED"}]}"#),
        (Kind::EcsCluster, "c", r#"{"clusters": [{"clusterArn": "arn"}]}"#),
        (Kind::EcsService, "c/s", ""),
        (Kind::EcsService, "c/s", "{}"),
        (Kind::EfsFileSystem, FILE_SYSTEM, ""),
        (
            Kind::EfsFileSystem,
            FILE_SYSTEM,
            r#"{"ResourceDescription": {"Identifier": "x", "Properties": "{}"}}"#,
        ),
        (Kind::EfsFileSystem, FILE_SYSTEM, r#"{"ResourceDescription": {"Properties": "<html>"}}"#),
        (Kind::LogGroup, "g", ""),
        (Kind::LogGroup, "g", "{}"),
        (Kind::RdsCluster, "d", ""),
        (Kind::RdsCluster, "d", cluster),
        (Kind::RdsInstance, "d", ""),
        (Kind::RdsInstance, "d", instance),
        (Kind::S3Bucket, "b", ""),
        (Kind::Secret, "s", ""),
        (Kind::Secret, "s", "{}"),
    ] {
        let observation = look(kind, name, &[answer]).await;
        assert!(matches!(observation, Observation::Unknown(_)), "{kind:?} {answer}: {observation:?}");
    }
    for (kind, name, answer) in [
        (Kind::EcsCluster, "c", r#"{"clusters": [], "failures": [{"reason": "MISSING"}]}"#),
        (Kind::EcsCluster, "c", r#"{"clusters": [{"clusterArn": "arn", "status": "INACTIVE"}]}"#),
        (Kind::EcsService, "c/s", r#"{"services": [], "failures": [{"reason": "MISSING"}]}"#),
        (Kind::EfsFileSystem, FILE_SYSTEM, r#"{"__type": "ResourceNotFoundException"}"#),
        (Kind::LogGroup, "g", r#"{"logGroups": [{"logGroupName": "g2", "arn": "arn"}]}"#),
        (Kind::Secret, "s", r#"{"__type": "ResourceNotFoundException"}"#),
    ] {
        assert_eq!(look(kind, name, &[answer]).await, Observation::Absent, "{kind:?} {answer}");
    }
    assert_eq!(look(Kind::Url, "https://grafana.example.org", &[]).await, Observation::OutsideAws);
}

#[tokio::test]
async fn services_without_a_client_are_looked_at_through_cloud_control() {
    let arn = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1";
    for (kind, name, properties, expected) in [
        (
            Kind::EfsFileSystem,
            FILE_SYSTEM,
            format!(
                r#"{{"FileSystemId": "{FILE_SYSTEM}", "FileSystemTags": [{{"Key": "Project", "Value": "moveongs"}}]}}"#
            ),
            format!("arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/{FILE_SYSTEM}"),
        ),
        (
            Kind::GrafanaWorkspace,
            "g-1",
            r#"{"Id": "g-1", "Status": "ACTIVE", "Tags": [{"Key": "Project", "Value": "moveongs"}]}"#
                .to_owned(),
            "arn:aws:grafana:us-east-1:123456789012:/workspaces/g-1".to_owned(),
        ),
        (
            Kind::PrometheusWorkspace,
            "ws-1",
            format!(r#"{{"Arn": "{arn}", "Tags": [{{"Key": "Project", "Value": "moveongs"}}]}}"#),
            arn.to_owned(),
        ),
    ] {
        let answer = serde_json::json!({"ResourceDescription": {"Properties": properties}}).to_string();
        let tags = Ok(BTreeMap::from([("Project".to_owned(), "moveongs".to_owned())]));
        let expected = Observation::Present { arn: expected, tags, details: Details::default() };
        assert_eq!(look(kind, name, &[&answer]).await, expected, "{kind:?}");
    }
    let gone = r#"{"ResourceDescription": {"Properties": "{\"Id\": \"g-1\", \"Status\": \"DELETING\"}"}}"#;
    assert_eq!(look(Kind::GrafanaWorkspace, "g-1", &[gone]).await, Observation::Absent);
}

#[tokio::test]
async fn an_alarm_names_its_runbook_in_its_description_or_its_tags() {
    let described = |name: &str, description: &str, tags: serde_json::Value| {
        let alarm = serde_json::json!({"AlarmName": name, "AlarmDescription": description, "Tags": tags});
        serde_json::json!({"Identifier": name, "Properties": alarm.to_string()})
    };
    let list = |found: &[serde_json::Value]| serde_json::json!({"ResourceDescriptions": found}).to_string();
    let none = serde_json::Value::Null;
    let metric = list(&[
        described("moveongs-dev-5xx", "API fora do ar. severity=S1 runbook_url=docs/api.md", none.clone()),
        described("moveongs-dev-pool", "", none.clone()),
        described("moveongs-prod-5xx", "runbook=docs/prod.md", none.clone()),
    ]);
    let composite = list(&[described("moveongs-dev-any", "Runbook: docs/x.md; runbook=docs/any.md", none)]);
    let tags = serde_json::json!([{"Key": "Runbook", "Value": "docs/pool.md"}]);
    let pool = described("moveongs-dev-pool", "", tags);
    let pool = serde_json::json!({"ResourceDescription": pool}).to_string();
    let alarm = |name: &str, runbook: Option<&str>| Alarm {
        name: name.to_owned(),
        runbook: runbook.map(str::to_owned),
    };
    let alarms = |answer: String| {
        let wire = replies(&[&metric, &composite, &answer]);
        async move { clients(&wire).alarms("moveongs-dev-").await }
    };
    let found = |pool: Option<&str>| {
        vec![
            alarm("moveongs-dev-5xx", Some("docs/api.md")),
            alarm("moveongs-dev-pool", pool),
            alarm("moveongs-dev-any", Some("docs/any.md")),
        ]
    };
    assert_eq!(alarms(pool).await, Ok(found(Some("docs/pool.md"))));
    assert_eq!(alarms(r#"{"__type": "ResourceNotFoundException"}"#.to_owned()).await, Ok(found(None)));
    for unclear in ["{}", r#"{"ResourceDescription": {"Identifier": "x", "Properties": "{}"}}"#] {
        assert_eq!(alarms(unclear.to_owned()).await.unwrap_err().code, "NotUnderstood", "{unclear}");
    }
    assert!(clients(&replies(&["{}"])).alarms("moveongs-dev-").await.is_err());
}

const MOVED: &str = "<Error><Code>PermanentRedirect</Code><Message>x</Message></Error>";

#[tokio::test]
async fn a_bucket_in_another_region_is_read_there() {
    let tags = "<Tagging><TagSet><Tag><Key>Project</Key><Value>moveongs</Value></Tag></TagSet></Tagging>";
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let lifecycle = "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>";
    let wire = wire(&[
        (301, "sa-east-1", MOVED),
        (200, "sa-east-1", tags),
        (200, "sa-east-1", versioning),
        (404, "sa-east-1", lifecycle),
    ]);
    let observation = clients(&wire).look(Kind::S3Bucket, "b").await;
    let Observation::Present { tags: Ok(tags), details, .. } = observation else { panic!("{observation:?}") };
    assert_eq!(tags.get("Project").map(String::as_str), Some("moveongs"));
    assert_eq!(details.settings.get(&Setting::Versioning), Some(&Ok("Enabled".to_owned())));
    assert_eq!(details.settings.get(&Setting::Lifecycle), Some(&Ok(String::new())));
    let there = "s3.sa-east-1.amazonaws.com";
    assert_eq!(hosts(&wire), ["s3.us-east-1.amazonaws.com", there, there, there]);
}

#[tokio::test]
async fn regions_that_redirect_to_each_other_end_in_an_error() {
    let wire = wire(&[(301, "sa-east-1", MOVED), (301, "us-east-1", MOVED)]);
    let observation = clients(&wire).look(Kind::S3Bucket, "b").await;
    assert!(
        matches!(&observation, Observation::Unknown(why) if why.contains("PermanentRedirect")),
        "{observation:?}"
    );
    assert_eq!(hosts(&wire).len(), 2);
}

fn listing(keys: &[&str], token: &str) -> String {
    let objects: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let token = if token.is_empty() {
        String::new()
    } else {
        format!("<NextContinuationToken>{token}</NextContinuationToken>")
    };
    format!("<ListBucketResult><KeyCount>{}</KeyCount>{objects}{token}</ListBucketResult>", keys.len())
}

#[tokio::test]
async fn a_prefix_covers_the_states_below_it_and_a_key_only_itself() {
    let found = async |declared: &str, pages: &[String]| {
        let pages: Vec<_> = pages.iter().map(String::as_str).collect();
        let states = clients(&replies(&pages)).states("states", declared).await;
        states.map(|(_, keys)| keys).map_err(|error| chain(&error))
    };
    let below =
        ["dev/app/terraform.tfstate", "dev/app/terraform.tfstate.backup", "dev/app/terraform.tfstate.tflock"];
    let pages = [listing(&below, "next"), listing(&["dev/network/terraform.tfstate", "dev/readme.md"], "")];
    assert_eq!(
        found("dev/", &pages).await,
        Ok(vec!["dev/app/terraform.tfstate".to_owned(), "dev/network/terraform.tfstate".to_owned()])
    );
    // One page is enough for a key.
    assert_eq!(
        found("dev/app/terraform.tfstate", &pages).await,
        Ok(vec!["dev/app/terraform.tfstate".to_owned()])
    );
    for (declared, page, why) in [
        ("dev/terraform.tfstate", listing(&["dev/terraform.tfstate.backup"], ""), "no state"),
        ("dev/", listing(&["dev/readme.md"], ""), "no state"),
        ("dev/", String::new(), "s3:ListBucket failed"),
        ("dev/", "<ListBucketResult/>".to_owned(), "NotUnderstood"),
    ] {
        let error = found(declared, &[page]).await.unwrap_err();
        assert!(error.contains(why), "{declared}: {error}");
    }
    let many: Vec<_> = (0..=MOST_STATES).map(|number| format!("dev/{number}.tfstate")).collect();
    let many = listing(&many.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert!(found("dev/", &[many]).await.unwrap_err().contains("more than 50 states"));
    let endless: Vec<_> = (0..PAGES).map(|_| listing(&["dev/x"], "next")).collect();
    assert!(found("dev/", &endless).await.unwrap_err().contains("pages of keys"));
}

#[tokio::test]
async fn a_state_in_another_region_is_read_there() {
    let listed = listing(&["dev/terraform.tfstate"], "");
    let wire = wire(&[
        (301, "sa-east-1", MOVED),
        (200, "sa-east-1", &listed),
        (200, "sa-east-1", r#"{"version": 4, "serial": 3}"#),
    ]);
    let (client, keys) =
        clients(&wire).states("b", "dev/terraform.tfstate").await.map_err(|error| chain(&error)).unwrap();
    let (managed, _) = Clients::state(&client, "b", &keys[0]).await.unwrap();
    assert_eq!(managed.serial, 3);
    assert_eq!(hosts(&wire)[1..], ["s3.sa-east-1.amazonaws.com"; 2]);
}

#[tokio::test]
async fn the_instance_of_a_restore_test_is_in_no_inventory_until_its_deadline() {
    let one = |name: &str, until: &str| {
        format!(
            r#"{{"ResourceARN": "arn:aws:rds:us-east-1:123456789012:db:{name}", "Tags": [{{"Key": "ManagedBy", "Value": "restore-test"}}, {{"Key": "Environment", "Value": "dev"}}, {{"Key": "DeleteAfter", "Value": "{until}"}}]}}"#
        )
    };
    let (past, future) = ("2026-11-26T11:59:59Z", "2026-11-26T12:00:01Z");
    let all = [
        one("moveongs-dev-restore-test-a", future),
        one("moveongs-dev-restore-test-b", past),
        one("moveongs-dev-db", future),
    ];
    let page = format!(r#"{{"ResourceTagMappingList": [{}]}}"#, all.join(","));
    let settings = shared::testing::settings(
        "moveongs-dev-inventory-audit",
        shared::runtime::language::Language::English,
    );
    let listed = clients(&replies(&[&page])).tagged(&settings, "2026-11-26T12:00:00Z".parse().unwrap()).await;
    let names = listed.unwrap().into_iter().map(|one| one.arn.rsplit(':').next().unwrap().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["moveongs-dev-restore-test-b", "moveongs-dev-db"]);
}
