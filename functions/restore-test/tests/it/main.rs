//! The function's settings, and its requests on the wire: real SDK, real signing, answers by operation.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_types::body::SdkBody;
use restore_test::{App, RestoreError, handle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::{Bucket, response};
use shared::testing::{answered, refusal, variables};

const NOW: &str = "2026-11-26T08:00:00Z";
const EXECUTION: &str = "7e1c6b6e-2f0a-4b7e-9a51-3d2b5a7c9f10";

const SETTINGS: [(&str, &str); 11] = [
    ("ENVIRONMENT", "dev"),
    ("EVIDENCE_BUCKET", "evidence"),
    ("DATABASE_INSTANCE_ID", "moveongs-dev-db"),
    ("RDS_CA_FILE", ""),
    ("RESTORE_INSTANCE_CLASS", "db.t4g.medium"),
    ("RESTORE_SUBNET_GROUP", "restores"),
    ("RESTORE_SECURITY_GROUPS", "sg-1,sg-2"),
    ("RESTORE_PARAMETER_GROUP", "pg15"),
    ("SNAPSHOT_COPY_REGION", "sa-east-1"),
    ("RESTORE_COPY_SUBNET_GROUP", "restores-sa"),
    ("RESTORE_COPY_PARAMETER_GROUP", ""),
];

/// AWS: a bucket, and answers of RDS by action, in order; the last one stays.
#[derive(Clone, Default)]
struct World {
    bucket: Bucket,
    answers: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    /// Whether S3 denies every request.
    is_denied: Arc<Mutex<bool>>,
    /// The forms of the requests to RDS and SNS, with the host.
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn answer(&self, action: &str, bodies: &[String]) {
        self.answers.lock().unwrap().insert(action.to_owned(), bodies.to_vec());
    }

    fn asked(&self, action: &str) -> Vec<String> {
        let start = format!("Action={action}&");
        let all = self.asked.lock().unwrap();
        all.iter().filter(|form| form.contains(&start)).cloned().collect()
    }

    fn aws(&self) -> SdkConfig {
        let world = self.clone();
        answered(move |request| world.reply(request))
    }

    fn reply(&self, request: &http::Request<SdkBody>) -> http::Response<SdkBody> {
        let text = |status: u16, body: String| response(request, status, body);
        let form = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        if let Some(action) = form.strip_prefix("Action=") {
            let action = action.split('&').next().unwrap().to_owned();
            let host = request.uri().host().unwrap_or_default();
            self.asked.lock().unwrap().push(format!("{host} {form}&"));
            if action == "Publish" {
                return text(200, "<PublishResponse><PublishResult/></PublishResponse>".to_owned());
            }
            let mut answers = self.answers.lock().unwrap();
            let left = answers.get_mut(&action).unwrap_or_else(|| panic!("{action} was not expected"));
            let body = if left.len() > 1 { left.remove(0) } else { left.first().unwrap().clone() };
            let status = if body.contains("__type") { 400 } else { 200 };
            return text(status, body);
        }
        let target = request.headers().get("x-amz-target");
        if target.is_some_and(|target| target == "secretsmanager.GetSecretValue") {
            let url = "postgres://moveongs:s3cret@localhost:1/moveongs?sslmode=verify-full";
            return text(200, json!({"SecretString": url}).to_string());
        }
        if *self.is_denied.lock().unwrap() {
            return text(403, "<Error><Code>AccessDenied</Code></Error>".to_owned());
        }
        let (status, body) = self.bucket.answer(request);
        text(status, body)
    }

    /// The note of all runs.
    fn ledger(&self) -> Value {
        let objects = self.bucket.objects();
        let notes = objects.values().filter_map(|body| serde_json::from_str::<Value>(body).ok());
        notes.into_iter().find(|note| note.get("active").is_some()).unwrap_or(Value::Null)
    }
}

fn app(world: &World, changed: &[(&str, &str)]) -> Result<App, EnvError> {
    App::new(&Env::new(&variables(&[changed, &SETTINGS].concat())), &world.aws())
}

async fn call(world: &World, event: Value) -> Result<Value, RestoreError> {
    call_with(world, &[], event).await
}

/// A call of a function with other settings.
async fn call_with(world: &World, changed: &[(&str, &str)], event: Value) -> Result<Value, RestoreError> {
    let app = app(world, changed).unwrap();
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(900));
    let reply = handle(&app, event, &invocation).await?;
    Ok(serde_json::to_value(reply).unwrap())
}

async fn step(world: &World, step: &str, input: Value, poll: u16) -> Result<Value, RestoreError> {
    call(world, json!({"step": step, "execution": EXECUTION, "input": input, "poll": poll})).await
}

fn element(name: &str, value: &str) -> String {
    format!("<{name}>{value}</{name}>")
}

/// An answer without content.
fn done(action: &str) -> String {
    format!("<{action}Response><{action}Result/></{action}Response>")
}

fn listed(action: &str, list: &str, items: &str) -> String {
    let result = element(&format!("{action}Result"), &element(list, items));
    element(&format!("{action}Response"), &result)
}

fn snapshot(name: &str, changed: &[(&str, &str)]) -> String {
    let mut fields = BTreeMap::from([
        ("DBSnapshotIdentifier", name),
        ("DBSnapshotArn", "arn:aws:rds:us-east-1:123456789012:snapshot:x"),
        ("DBInstanceIdentifier", "moveongs-dev-db"),
        ("SnapshotCreateTime", "2026-11-26T05:10:00Z"),
        ("SnapshotDatabaseTime", "2026-11-26T05:09:00Z"),
        ("Engine", "postgres"),
        ("EngineVersion", "15.8"),
        ("Status", "available"),
        ("SnapshotType", "automated"),
        ("Encrypted", "true"),
        ("AllocatedStorage", "20"),
    ]);
    fields.extend(changed.iter().copied());
    element("DBSnapshot", &fields.into_iter().map(|(name, value)| element(name, value)).collect::<String>())
}

fn snapshots(items: &[String]) -> String {
    listed("DescribeDBSnapshots", "DBSnapshots", &items.concat())
}

fn instance(name: &str, status: &str, more: &str) -> String {
    let id = element("DBInstanceIdentifier", name) + &element("DBInstanceStatus", status);
    element("DBInstance", &(id + more))
}

fn instances(items: &[String]) -> String {
    listed("DescribeDBInstances", "DBInstances", &items.concat())
}

fn tags(of: &[(&str, &str)]) -> String {
    let tag = |(key, value): &(&str, &str)| element("Tag", &(element("Key", key) + &element("Value", value)));
    element("TagList", &of.iter().map(tag).collect::<String>())
}

fn own(run: &str, until: &str) -> String {
    tags(&[("ManagedBy", "restore-test"), ("Run", run), ("DeleteAfter", until)])
}

fn quota(used: u8, most: u8) -> String {
    let quota = element("AccountQuotaName", "DBInstances")
        + &element("Used", &used.to_string())
        + &element("Max", &most.to_string());
    listed("DescribeAccountAttributes", "AccountQuotas", &element("AccountQuota", &quota))
}

/// An account with one automated snapshot and no test.
fn world() -> World {
    let world = World::default();
    world.answer("DescribeDBInstances", &[instances(&[instance("moveongs-dev-db", "available", "")])]);
    world.answer("DescribeDBSnapshots", &[snapshots(&[snapshot("rds:new", &[])])]);
    world.answer("DescribeAccountAttributes", &[quota(3, 40)]);
    world
}

/// A world whose run has the place; returns the name of its instance.
async fn chosen() -> (World, String) {
    let world = world();
    let answer = step(&world, "choose", json!({"by": "ana"}), 1).await.unwrap();
    assert_eq!((answer["status"].as_str(), answer["snapshot"].as_str()), (Some("chosen"), Some("rds:new")));
    (world, answer["instance"].as_str().unwrap().to_owned())
}

#[test]
fn a_wrong_setting_stops_the_start() {
    let refused = |name: &str| app(&World::default(), &[(name, "")]).err().unwrap().to_string();
    assert!(refused("DATABASE_INSTANCE_ID").contains("DATABASE_INSTANCE_ID"));
    assert!(refused("RESTORE_INSTANCE_CLASS").contains("RESTORE_INSTANCE_CLASS"));
    // Without a subnet group, the stack has no tests; it still starts, for the reaper.
    assert!(app(&World::default(), &[("RESTORE_SUBNET_GROUP", "")]).is_ok());
}

#[tokio::test]
async fn everything_that_rds_would_infer_is_said() {
    let (world, name) = chosen().await;
    assert!(name.starts_with("moveongs-dev-restore-test-"), "{name}");
    let made = instances(&[instance(&name, "creating", &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound"), made]);
    let restored = element(
        "RestoreDBInstanceFromDBSnapshotResponse",
        &element("RestoreDBInstanceFromDBSnapshotResult", &instance(&name, "creating", "")),
    );
    world.answer("RestoreDBInstanceFromDBSnapshot", &[restored]);
    let answer = step(&world, "restore", json!({}), 1).await.unwrap();
    assert_eq!((answer["status"].as_str(), answer["wait_seconds"].as_u64()), (Some("restoring"), Some(60)));
    let forms = world.asked("RestoreDBInstanceFromDBSnapshot");
    assert_eq!(forms.len(), 1);
    for part in [
        "DBSnapshotIdentifier=rds%3Anew&",
        &format!("DBInstanceIdentifier={name}&"),
        "DBInstanceClass=db.t4g.medium&",
        "DBSubnetGroupName=restores&",
        "VpcSecurityGroupId.1=sg-1&",
        "VpcSecurityGroupId.2=sg-2&",
        "DBParameterGroupName=pg15&",
        "BackupRetentionPeriod=0&",
        "MultiAZ=false&",
        "PubliclyAccessible=false&",
        "CopyTagsToSnapshot=false&",
        "DeletionProtection=false&",
        "EngineLifecycleSupport=open-source-rds-extended-support-disabled&",
        "Key=ManagedBy&Tags.Tag.3.Value=restore-test&",
        &format!("Key=Run&Tags.Tag.4.Value={EXECUTION}&"),
        "Key=DeleteAfter&Tags.Tag.5.Value=2026-11-26T20%3A00%3A00Z&",
    ] {
        assert!(forms[0].contains(part), "{part} is not in {}", forms[0]);
    }
    // Storage stays as it was, and no master password goes over the wire.
    for absent in ["StorageType", "Iops", "MasterUserPassword"] {
        assert!(!forms[0].contains(absent), "{}", forms[0]);
    }
    // A repeated step finds the instance.
    step(&world, "restore", json!({}), 1).await.unwrap();
    assert_eq!(world.asked("RestoreDBInstanceFromDBSnapshot").len(), 1);
    assert!(world.ledger()["active"]["shown"].is_string());
}

#[tokio::test]
async fn a_lost_answer_leads_to_one_instance() {
    let (world, name) = chosen().await;
    let made = instances(&[instance(&name, "creating", &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound"), made]);
    world.answer("RestoreDBInstanceFromDBSnapshot", &[refusal("DBInstanceAlreadyExists")]);
    let answer = step(&world, "restore", json!({}), 1).await.unwrap();
    assert_eq!(answer["status"], "restoring");
    // Somebody else's instance of this name is not touched.
    let foreign = instances(&[instance(&name, "available", &own("other", "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", &[foreign]);
    for name in ["restore", "watch", "remove"] {
        let error = step(&world, name, json!({}), 1).await.unwrap_err();
        assert_eq!(error.kind(), "InstanceNotOurs", "{name}");
    }
}

#[tokio::test]
async fn each_refusal_before_the_restore_has_its_kind() {
    let cluster = element("DBClusterIdentifier", "moveongs-dev");
    let manual = [("SnapshotType", "manual")];
    let public = listed(
        "DescribeDBSnapshotAttributes",
        "DBSnapshotAttributesResult",
        &element(
            "DBSnapshotAttributes",
            &element(
                "DBSnapshotAttribute",
                &(element("AttributeName", "restore")
                    + &element("AttributeValues", &element("AttributeValue", "all"))),
            ),
        ),
    );
    type Change = (&'static str, String);
    let cases: Vec<(&str, Value, Change)> = vec![
        (
            "ClusterNotSupported",
            json!({}),
            ("DescribeDBInstances", instances(&[instance("moveongs-dev-db", "available", &cluster)])),
        ),
        ("NoSnapshot", json!({}), ("DescribeDBSnapshots", snapshots(&[]))),
        (
            "NoSnapshot",
            json!({}),
            ("DescribeDBSnapshots", snapshots(&[snapshot("rds:new", &[("Status", "creating")])])),
        ),
        (
            "SnapshotNotFound",
            json!({"snapshot": "a"}),
            ("DescribeDBSnapshots", refusal("DBSnapshotNotFound")),
        ),
        (
            "SnapshotCreating",
            json!({"snapshot": "a"}),
            ("DescribeDBSnapshots", snapshots(&[snapshot("a", &[("Status", "creating")])])),
        ),
        (
            "SnapshotNotOurs",
            json!({"snapshot": "a"}),
            (
                "DescribeDBSnapshots",
                snapshots(&[snapshot("a", &[("DBInstanceIdentifier", "moveongs-dev-restore-test-1")])]),
            ),
        ),
        (
            "SnapshotNotEncrypted",
            json!({}),
            ("DescribeDBSnapshots", snapshots(&[snapshot("a", &[("Encrypted", "false")])])),
        ),
        ("InstanceQuotaExceeded", json!({}), ("DescribeAccountAttributes", quota(40, 40))),
        ("RegionNotConfigured", json!({"region": "eu-west-1"}), ("Unused", String::new())),
        (
            "SnapshotNameNotAllowed",
            json!({"snapshot": "before-migration"}),
            ("DescribeDBSnapshots", snapshots(&[snapshot("before-migration", &manual)])),
        ),
        ("SnapshotShared", json!({"snapshot": "moveongs-dev-a"}), ("DescribeDBSnapshotAttributes", public)),
    ];
    for (kind, input, (action, answer)) in cases {
        let world = world();
        if kind == "SnapshotShared" {
            world.answer("DescribeDBSnapshots", &[snapshots(&[snapshot("moveongs-dev-a", &manual)])]);
        }
        world.answer(action, &[answer]);
        let error = step(&world, "choose", input, 1).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(world.ledger(), Value::Null, "{kind}");
    }
}

#[tokio::test]
async fn a_copy_is_restored_in_its_own_region() {
    let (world, _) = chosen_away().await;
    assert!(world.asked("DescribeDBSnapshots")[0].starts_with("rds.sa-east-1."));
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    world.answer("RestoreDBInstanceFromDBSnapshot", &[refusal("DBSubnetGroupNotFoundFault")]);
    let error = step(&world, "restore", json!({}), 1).await.unwrap_err();
    assert_eq!(error.kind(), "NetworkRefused");
    let form = &world.asked("RestoreDBInstanceFromDBSnapshot")[0];
    assert!(form.starts_with("rds.sa-east-1.") && form.contains("DBSubnetGroupName=restores-sa&"), "{form}");
    assert!(!form.contains("DBParameterGroupName"), "{form}");
}

/// A world whose run has the place, in the region of the copies; returns the name of its instance.
async fn chosen_away() -> (World, String) {
    let world = world();
    let copy = snapshot("moveongs-dev-copy", &[("SnapshotType", "manual")]);
    world.answer("DescribeDBSnapshots", &[snapshots(&[copy])]);
    let attributes = listed("DescribeDBSnapshotAttributes", "DBSnapshotAttributesResult", "");
    world.answer("DescribeDBSnapshotAttributes", &[attributes]);
    let answer = step(&world, "choose", json!({"region": "sa-east-1"}), 1).await.unwrap();
    let name = answer["instance"].as_str().unwrap().to_owned();
    (world, name)
}

fn ended() -> Value {
    let detail = json!({"name": EXECUTION, "status": "ABORTED"});
    json!({"detail-type": "Step Functions Execution Status Change", "detail": detail})
}

#[tokio::test]
async fn an_instance_in_the_copies_region_is_removed_after_its_tests_were_switched_off() {
    let (world, name) = chosen_away().await;
    let made = instances(&[instance(&name, "available", &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", std::slice::from_ref(&made));
    step(&world, "watch", json!({}), 2).await.unwrap();
    world.answer("DescribeDBInstances", &[instances(&[]), made]);
    world.answer("DeleteDBInstance", &[done("DeleteDBInstance")]);
    // Another region, or none: nobody may take the run for removed because its name is unknown at home.
    for region in ["", "eu-west-1"] {
        let changed = [("SNAPSHOT_COPY_REGION", region)];
        world.answer("DescribeDBInstances", &[instances(&[])]);
        for event in [json!({"step": "remove", "execution": EXECUTION, "input": {}}), ended()] {
            let error = call_with(&world, &changed, event).await.unwrap_err();
            assert_eq!(error.kind(), "RegionNotConfigured", "{region}");
        }
        let left = &world.ledger()["left"][0];
        assert_eq!((&left["execution"], &left["removed"]), (&json!(EXECUTION), &Value::Null));
    }
    assert!(world.asked("DeleteDBInstance").is_empty());
    // Without subnets there are no tests there, but what they left goes.
    let made = instances(&[instance(&name, "available", &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", &[instances(&[]), made]);
    let reaped = call_with(&world, &[("RESTORE_COPY_SUBNET_GROUP", "")], ended()).await.unwrap();
    assert_eq!(reaped["removing"], json!([name]));
    assert!(world.asked("DeleteDBInstance")[0].starts_with("rds.sa-east-1."));
    let again = json!({"step": "choose", "execution": "other", "input": {"region": "sa-east-1"}});
    let error = call_with(&world, &[("RESTORE_COPY_SUBNET_GROUP", "")], again).await.unwrap_err();
    assert_eq!(error.kind(), "NotConfigured");
    assert!(error.to_string().contains("RestoreCopySubnetGroup"), "{error}");
}

#[tokio::test]
async fn an_instance_whose_tags_somebody_changed_is_not_forgotten() {
    let (world, name) = chosen().await;
    let made = instances(&[instance(&name, "available", &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", &[made]);
    step(&world, "watch", json!({}), 2).await.unwrap();
    let foreign = instances(&[instance(&name, "available", &tags(&[("ManagedBy", "terraform")]))]);
    world.answer("DescribeDBInstances", std::slice::from_ref(&foreign));
    assert_eq!(step(&world, "remove", json!({}), 1).await.unwrap_err().kind(), "InstanceNotOurs");
    let failure = json!({"Error": "InstanceNotOurs", "Cause": "why"});
    let finish = json!({"step": "finish", "execution": EXECUTION, "input": {}, "failure": failure});
    assert_eq!(call(&world, finish).await.unwrap()["kind"], "InstanceNotOurs");
    assert_eq!(world.ledger()["active"]["removed"], Value::Null);
    for _ in 0..2 {
        world.answer("DescribeDBInstances", &[foreign.clone(), instances(&[])]);
        let reaped = call(&world, json!({"reap": true})).await.unwrap();
        assert_eq!((&reaped["left"], &reaped["removing"]), (&json!([EXECUTION]), &json!([])));
    }
    let pages = world.asked("Publish");
    assert!(pages.len() == 1 && pages[0].contains("InstanceNotOurs"), "{pages:?}");
    world.answer("DescribeDBInstances", &[instances(&[])]);
    let reaped = call(&world, json!({"reap": true})).await.unwrap();
    assert_eq!((&reaped["left"], &reaped["reported"]), (&json!([]), &json!([EXECUTION])));
}

#[tokio::test]
async fn a_document_that_cannot_be_read_hides_no_end() {
    let name = format!("reading:{EXECUTION}/restored");
    let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("runs/restore-test/{digest}.json");
    let broken = |world: &World| world.bucket.put(&key, "not JSON");
    // Neither the run's own end…
    let (world, _) = chosen().await;
    broken(&world);
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    let finish = json!({"step": "finish", "execution": EXECUTION, "input": {}});
    let answer = call(&world, finish).await.unwrap();
    assert_eq!(
        (answer["status"].as_str(), answer["kind"].as_str()),
        (Some("unverified"), Some("NotVerified"))
    );
    assert!(answer["detail"].as_str().unwrap().contains(&name), "{answer}");
    assert!(world.asked("Publish").len() == 1 && world.ledger()["active"]["is_reported"] == true);
    // … nor the reaper's.
    let (world, _) = chosen().await;
    broken(&world);
    world.answer("DescribeDBInstances", &[instances(&[])]);
    assert_eq!(call(&world, ended()).await.unwrap()["reported"], json!([EXECUTION]));
    assert_eq!(world.asked("Publish").len(), 1);
}

#[tokio::test]
async fn a_region_that_does_not_answer_protects_nothing_in_the_other() {
    let world = world();
    let late = instance("moveongs-dev-restore-test-late", "available", &own("x", "2026-11-26T07:00:00Z"));
    for answers in [
        [refusal("AccessDenied"), instances(std::slice::from_ref(&late))],
        [instances(std::slice::from_ref(&late)), refusal("AccessDenied")],
    ] {
        let before = world.asked("DeleteDBInstance").len();
        world.answer("DescribeDBInstances", &answers);
        world.answer("DeleteDBInstance", &[done("DeleteDBInstance")]);
        assert_eq!(call(&world, json!({"reap": true})).await.unwrap_err().kind(), "RdsCall");
        assert_eq!(world.asked("DeleteDBInstance").len(), before + 1);
    }
    // An instance that RDS does not delete is no reason to keep the next one.
    let other = instance("moveongs-dev-restore-test-later", "available", &own("y", "2026-11-26T07:00:00Z"));
    world.answer("DescribeDBInstances", &[instances(&[late, other]), instances(&[])]);
    world.answer("DeleteDBInstance", &[refusal("AccessDenied"), done("DeleteDBInstance")]);
    assert_eq!(call(&world, json!({"reap": true})).await.unwrap_err().kind(), "RdsCall");
    assert_eq!(world.asked("DeleteDBInstance").len(), 4);
}

#[tokio::test]
async fn an_empty_answer_about_clusters_makes_no_cluster() {
    let world = world();
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    world.answer("DescribeDBClusters", &[listed("DescribeDBClusters", "DBClusters", "")]);
    assert_eq!(step(&world, "choose", json!({}), 1).await.unwrap_err().kind(), "RdsCall");
    world.answer("DescribeDBClusters", &[refusal("DBClusterNotFoundFault")]);
    assert_eq!(step(&world, "choose", json!({}), 1).await.unwrap()["status"], "chosen");
}

#[tokio::test]
async fn the_schedule_may_come_twice() {
    let world = world();
    let scheduled =
        |execution: &str, by: &str| json!({"step": "choose", "execution": execution, "input": {"by": by}});
    assert_eq!(call(&world, scheduled("first", "schedule")).await.unwrap()["status"], "chosen");
    assert_eq!(call(&world, scheduled("second", "schedule")).await.unwrap()["status"], "ignored");
    // A person is told.
    assert_eq!(call(&world, scheduled("third", "ana")).await.unwrap_err().kind(), "RunInProgress");
}

#[tokio::test]
async fn two_runs_do_not_collide() {
    let (world, _) = chosen().await;
    let other = json!({"step": "choose", "execution": "other", "input": {}});
    let error = call(&world, other).await.unwrap_err();
    assert_eq!(error.kind(), "RunInProgress");
    assert!(error.to_string().contains(EXECUTION), "{error}");
    // The same execution repeats its step.
    step(&world, "choose", json!({}), 1).await.unwrap();
    // A step of an execution that has no place touches nothing.
    let watch = json!({"step": "watch", "execution": "other", "input": {}});
    assert_eq!(call(&world, watch).await.unwrap_err().kind(), "NotBegun");
    let remove = json!({"step": "remove", "execution": "other", "input": {}});
    assert_eq!(call(&world, remove).await.unwrap()["status"], "removed");
    assert!(world.asked("DeleteDBInstance").is_empty());
}

#[tokio::test]
async fn every_failure_state_ends_the_wait() {
    let (world, name) = chosen().await;
    let shown = |status: &str| instances(&[instance(&name, status, &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    for status in [
        "failed",
        "incompatible-restore",
        "incompatible-network",
        "incompatible-parameters",
        "incompatible-option-group",
        "storage-full",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "insufficient-capacity",
        "restore-error",
        "stopped",
    ] {
        world.answer("DescribeDBInstances", &[shown(status)]);
        let error = step(&world, "watch", json!({}), 2).await.unwrap_err();
        assert_eq!(error.kind(), "InstanceFailed", "{status}");
        assert!(error.to_string().contains(status), "{error}");
    }
    world.answer("DescribeDBInstances", &[shown("creating")]);
    assert_eq!(step(&world, "watch", json!({}), 2).await.unwrap()["status"], "restoring");
    assert_eq!(step(&world, "watch", json!({}), 120).await.unwrap_err().kind(), "RestoreSlow");
    world.answer("DescribeDBInstances", &[shown("deleting")]);
    assert_eq!(step(&world, "watch", json!({}), 2).await.unwrap_err().kind(), "InstanceGone");
    world.answer("DescribeDBInstances", &[shown("available")]);
    assert_eq!(step(&world, "watch", json!({}), 3).await.unwrap()["status"], "available");
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    assert_eq!(step(&world, "watch", json!({}), 3).await.unwrap_err().kind(), "InstanceGone");
}

#[tokio::test]
async fn the_password_is_changed_by_rds_and_waited_for() {
    let (world, name) = chosen().await;
    let shown = |status: &str, more: &str| {
        let tags = own(EXECUTION, "2026-11-26T20:00:00Z");
        instances(&[instance(&name, status, &(tags + more))])
    };
    let secret = |status: &str| {
        element("MasterUserSecret", &(element("SecretArn", "arn:s") + &element("SecretStatus", status)))
    };
    let pending = element("PendingModifiedValues", &element("MasterUserPassword", "****"));
    let other = element("PendingModifiedValues", &element("AllocatedStorage", "30"));
    world.answer("ModifyDBInstance", &[done("ModifyDBInstance")]);
    for (status, more, asked) in [
        ("available", String::new(), 1),
        // Another change, which waits for the maintenance window, does not concern the password.
        ("available", other, 2),
        // Its answer was late: RDS still shows it as available.
        ("available", pending.clone(), 2),
        ("resetting-master-credentials", secret("creating"), 2),
        ("available", secret("active") + &pending, 2),
        ("available", secret("creating"), 2),
    ] {
        world.answer("DescribeDBInstances", &[shown(status, &more)]);
        let answer = step(&world, "open", json!({}), 1).await.unwrap();
        assert_eq!((answer["status"].as_str(), answer["wait_seconds"].as_u64()), (Some("waiting"), Some(15)));
        assert_eq!(world.asked("ModifyDBInstance").len(), asked, "{status} {more}");
    }
    let form = &world.asked("ModifyDBInstance")[0];
    for part in ["ManageMasterUserPassword=true&", "ApplyImmediately=true&"] {
        assert!(form.contains(part), "{form}");
    }
    assert_eq!(step(&world, "open", json!({}), 80).await.unwrap_err().kind(), "PasswordSlow");
    world.answer("DescribeDBInstances", &[shown("stopped", "")]);
    assert_eq!(step(&world, "open", json!({}), 1).await.unwrap_err().kind(), "InstanceFailed");
}

#[tokio::test]
async fn an_instance_is_removed_from_any_state_and_polled_until_it_is_gone() {
    let (world, name) = chosen().await;
    let protected = element("DeletionProtection", "true");
    let shown = |status: &str, more: &str| {
        let tags = own(EXECUTION, "2026-11-26T20:00:00Z");
        instances(&[instance(&name, status, &(tags + more))])
    };
    world.answer("ModifyDBInstance", &[done("ModifyDBInstance")]);
    world.answer("StartDBInstance", &[done("StartDBInstance")]);
    let deleted = done("DeleteDBInstance");
    world.answer("DeleteDBInstance", &[refusal("InvalidDBInstanceState"), deleted]);
    for (status, more, calls) in [
        ("stopped", &protected, [1, 0, 0]),
        ("starting", &protected, [1, 0, 0]),
        ("available", &protected, [1, 1, 0]),
        // RDS refuses it in this state; the next poll asks again.
        ("creating", &String::new(), [1, 1, 1]),
        ("failed", &String::new(), [1, 1, 2]),
        ("deleting", &String::new(), [1, 1, 2]),
    ] {
        world.answer("DescribeDBInstances", &[shown(status, more)]);
        let answer = step(&world, "remove", json!({}), 2).await.unwrap();
        assert_eq!(
            (answer["status"].as_str(), answer["wait_seconds"].as_u64()),
            (Some("removing"), Some(30))
        );
        let found =
            ["StartDBInstance", "ModifyDBInstance", "DeleteDBInstance"].map(|one| world.asked(one).len());
        assert_eq!(found, calls, "{status}");
    }
    assert!(world.asked("ModifyDBInstance")[0].contains("DeletionProtection=false&"));
    let form = &world.asked("DeleteDBInstance")[0];
    assert!(
        form.contains("SkipFinalSnapshot=true&") && form.contains("DeleteAutomatedBackups=true&"),
        "{form}"
    );
    assert_eq!(step(&world, "remove", json!({}), 120).await.unwrap_err().kind(), "RemovalSlow");
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    assert_eq!(step(&world, "remove", json!({}), 3).await.unwrap()["status"], "removed");
    assert!(world.ledger()["active"]["removed"].is_string());
}

#[tokio::test]
async fn an_instance_may_appear_after_a_lost_answer() {
    let (world, _) = chosen().await;
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    world.answer("RestoreDBInstanceFromDBSnapshot", &[refusal("KMSKeyNotAccessibleFault")]);
    assert_eq!(step(&world, "restore", json!({}), 1).await.unwrap_err().kind(), "KeyNotAccessible");
    for (poll, status) in [(1, "removing"), (4, "removing"), (5, "removed")] {
        assert_eq!(step(&world, "remove", json!({}), poll).await.unwrap()["status"], status, "{poll}");
    }
}

#[tokio::test]
async fn an_instance_is_removed_even_if_no_note_can_be_read() {
    let (world, name) = chosen().await;
    world.answer("DeleteDBInstance", &[done("DeleteDBInstance")]);
    let shown = |until: &str| instances(&[instance(&name, "available", &own(EXECUTION, until))]);
    world.answer("DescribeDBInstances", &[shown("2026-11-26T20:00:00Z")]);
    *world.is_denied.lock().unwrap() = true;
    assert_eq!(step(&world, "remove", json!({}), 1).await.unwrap()["status"], "removing");
    assert_eq!(world.asked("DeleteDBInstance").len(), 1);
    // The reaper knows only the deadline.
    world.answer("DescribeDBInstances", &[shown("2026-11-26T20:00:00Z"), instances(&[])]);
    let reap = json!({"reap": true});
    assert_eq!(call(&world, reap.clone()).await.unwrap_err().kind(), "NoteFailed");
    assert_eq!(world.asked("DeleteDBInstance").len(), 1);
    world.answer("DescribeDBInstances", &[shown("2026-11-26T07:00:00Z"), instances(&[])]);
    assert_eq!(call(&world, reap).await.unwrap_err().kind(), "NoteFailed");
    assert_eq!((world.asked("DeleteDBInstance").len(), world.asked("Publish").len()), (2, 1));
}

#[tokio::test]
async fn the_reaper_removes_what_is_its_own_and_due_and_nothing_else() {
    let (world, name) = chosen().await;
    let prefix = "moveongs-dev-restore-test-";
    let (past, future) = ("2026-11-26T07:59:59Z", "2026-11-26T20:00:00Z");
    let foreign = tags(&[("ManagedBy", "terraform"), ("Run", "x"), ("DeleteAfter", past)]);
    let made = element("InstanceCreateTime", "2026-11-24T19:59:59Z");
    world.answer(
        "DescribeDBInstances",
        &[
            instances(&[
                instance("moveongs-dev-db", "available", &own("x", past)),
                instance(&format!("{prefix}foreign"), "available", &foreign),
                instance(&format!("{prefix}young"), "available", &own("x", future)),
                instance(&format!("{prefix}late"), "available", &own("x", past)),
                // No test may last so long.
                instance(&format!("{prefix}eternal"), "available", &own("x", "2099-01-01T00:00:00Z")),
                instance(&format!("{prefix}old"), "available", &(own("x", future) + &made)),
                instance(&format!("{prefix}without"), "available", &tags(&[("ManagedBy", "restore-test")])),
                // The run that has the place is alive.
                instance(&name, "available", &own(EXECUTION, future)),
            ]),
            // The region of the copies.
            instances(&[]),
        ],
    );
    world.answer("DeleteDBInstance", &[done("DeleteDBInstance")]);
    let reaped = call(&world, json!({"reap": true})).await.unwrap();
    let late = json!(["late", "eternal", "old", "without"].map(|name| format!("{prefix}{name}")));
    assert_eq!((&reaped["removing"], &reaped["outlived"]), (&late, &late));
    let forms = world.asked("DeleteDBInstance");
    assert!(forms.len() == 4 && forms[0].contains("restore-test-late&"), "{forms:?}");
    // Each has its own page.
    let pages = world.asked("Publish");
    assert!(pages.len() == 4 && pages.iter().all(|page| page.contains("Outlived")), "{pages:?}");
}

#[tokio::test]
async fn a_stopped_run_is_cleaned_up_after_and_reported_once() {
    let (world, name) = chosen().await;
    let made = instances(&[instance(&name, "available", &own(EXECUTION, "2026-11-26T20:00:00Z"))]);
    world.answer("DescribeDBInstances", &[made.clone(), instances(&[])]);
    step(&world, "watch", json!({}), 2).await.unwrap();
    world.answer("DescribeDBInstances", &[made, instances(&[])]);
    world.answer("DeleteDBInstance", &[done("DeleteDBInstance")]);
    let ended = ended();
    let reaped = call(&world, ended.clone()).await.unwrap();
    assert_eq!((&reaped["removing"], &reaped["left"]), (&json!([name]), &json!([EXECUTION])));
    // Another test may begin meanwhile.
    world.answer("DescribeDBInstances", &[instances(&[])]);
    let reaped = call(&world, ended.clone()).await.unwrap();
    assert_eq!((&reaped["reported"], &reaped["left"]), (&json!([EXECUTION]), &json!([])));
    let reaped = call(&world, ended).await.unwrap();
    assert_eq!(reaped["reported"], json!([]));
    let pages = world.asked("Publish");
    assert!(pages.len() == 1 && pages[0].contains("RunDied"), "{pages:?}");
    assert_eq!(world.ledger(), json!({"active": null, "left": []}));
}

#[tokio::test]
async fn a_snapshot_of_another_database_or_of_a_test_is_no_reason_to_read() {
    let event = |name: &str| {
        json!({
            "detail-type": "RDS DB Snapshot Event",
            "resources": [format!("arn:aws:rds:us-east-1:123456789012:snapshot:{name}")],
            "detail": {"EventCategories": ["creation"]},
        })
    };
    for (changed, expected) in [
        (&[("SnapshotType", "manual")][..], "baseline"),
        (&[("SnapshotType", "automated")], "ignored"),
        // RDS also sends an event when it begins.
        (&[("SnapshotType", "manual"), ("Status", "creating")], "ignored"),
        (&[("SnapshotType", "manual"), ("DBInstanceIdentifier", "moveongs-dev-restore-test-1")], "ignored"),
        (&[("SnapshotType", "manual"), ("DBInstanceIdentifier", "moveongs-prod-db")], "ignored"),
    ] {
        let world = world();
        world.answer("DescribeDBSnapshots", &[snapshots(&[snapshot("a", changed)])]);
        assert_eq!(step(&world, "choose", event("a"), 1).await.unwrap()["status"], expected, "{changed:?}");
    }
    // Deleted since.
    let world = world();
    world.answer("DescribeDBSnapshots", &[refusal("DBSnapshotNotFound")]);
    assert_eq!(step(&world, "choose", event("a"), 1).await.unwrap()["status"], "ignored");
    assert_eq!(step(&world, "choose", json!({"baseline": true}), 1).await.unwrap()["status"], "baseline");
}

#[tokio::test]
async fn a_secret_that_names_another_server_is_refused_before_a_login() {
    let world = world();
    let endpoint = element("Endpoint", &(element("Address", "db.example") + &element("Port", "5432")));
    for (shown, part) in [
        (instances(&[instance("moveongs-dev-db", "available", &endpoint)]), "is db.example:5432"),
        (instances(&[instance("moveongs-dev-db", "creating", "")]), "is none"),
        (refusal("DBInstanceNotFound"), "does not exist"),
    ] {
        world.answer("DescribeDBInstances", &[shown]);
        let error = step(&world, "baseline", json!({"baseline": true}), 1).await.unwrap_err();
        let told = error.to_string();
        assert!(error.kind() == "SourceUnread" && told.contains(part), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    // The same server, at which nothing listens.
    let endpoint = element("Endpoint", &(element("Address", "LOCALHOST") + &element("Port", "1")));
    world.answer("DescribeDBInstances", &[instances(&[instance("moveongs-dev-db", "available", &endpoint)])]);
    let error = step(&world, "baseline", json!({"baseline": true}), 1).await.unwrap_err().to_string();
    assert!(error.contains("cannot open a session") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_broken_run_ends_with_its_kind_and_gives_its_place_back() {
    let (world, _) = chosen().await;
    world.answer("DescribeDBInstances", &[refusal("DBInstanceNotFound")]);
    let failure = json!({"Error": "InstanceFailed", "Cause": "why"});
    let finish = json!({"step": "finish", "execution": EXECUTION, "input": {}, "failure": failure});
    for _ in 0..2 {
        let answer = call(&world, finish.clone()).await.unwrap();
        assert_eq!(
            (answer["status"].as_str(), answer["kind"].as_str()),
            (Some("failed"), Some("InstanceFailed"))
        );
    }
    assert_eq!(world.asked("Publish").len(), 1);
    let other = json!({"step": "choose", "execution": "other", "input": {}});
    world.answer("DescribeDBInstances", &[instances(&[instance("moveongs-dev-db", "available", "")])]);
    assert_eq!(call(&world, other).await.unwrap()["status"], "chosen");
}
