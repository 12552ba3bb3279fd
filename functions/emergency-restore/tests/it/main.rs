//! The function's settings, and its requests on the wire: real SDK, real signing, answers by operation.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_types::body::SdkBody;
use emergency_restore::{App, RestoreError, handle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::{Bucket, response};
use shared::testing::{answered, refusal, variables};

const NOW: &str = "2026-11-30T03:00:00Z";

const SETTINGS: [(&str, &str); 12] = [
    ("ENVIRONMENT", "prod"),
    ("EVIDENCE_BUCKET", "evidence"),
    ("AWS_LAMBDA_FUNCTION_NAME", "moveongs-prod-emergency-restore"),
    ("DATABASE_INSTANCE_ID", "moveongs-prod-db"),
    ("DATABASE_ADMIN_SECRET_ARN", ""),
    ("OTHER_DATABASE_SECRET_ARNS", ""),
    ("RDS_CA_FILE", ""),
    ("APP_URL", ""),
    ("SMOKE_SECRET_NAME", ""),
    ("TERRAFORM_STATE_BUCKET", ""),
    ("TERRAFORM_STATE_KEY", ""),
    ("ECS_CLUSTER_NAME", "moveongs-prod-cluster"),
];

/// AWS: a bucket, and answers of the other services by operation, in order; the last one stays.
#[derive(Clone, Default)]
struct World {
    bucket: Bucket,
    answers: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    /// Operation and body of the requests to them.
    asked: Arc<Mutex<Vec<(String, String)>>>,
    /// A note that another caller writes at an operation.
    meanwhile: Arc<Mutex<Option<(String, Value)>>>,
}

impl World {
    fn answer(&self, operation: &str, bodies: &[&str]) {
        let bodies = bodies.iter().map(|body| (*body).to_owned()).collect();
        self.answers.lock().unwrap().insert(operation.to_owned(), bodies);
    }

    fn asked(&self, operation: &str) -> Vec<String> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|(name, _)| name == operation).map(|(_, body)| body.clone()).collect()
    }

    fn aws(&self) -> SdkConfig {
        let world = self.clone();
        answered(move |request| world.reply(request))
    }

    fn reply(&self, request: &http::Request<SdkBody>) -> http::Response<SdkBody> {
        let text = |status: u16, body: String| response(request, status, body);
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = match (body.strip_prefix("Action="), target) {
            (Some(form), _) => form.split('&').next(),
            (None, Some(target)) => target.split('.').next_back(),
            (None, None) => None,
        };
        let Some(operation) = operation.map(str::to_owned) else {
            let (status, body) = self.bucket.answer(request);
            return text(status, body);
        };
        self.asked.lock().unwrap().push((operation.clone(), body));
        if let Some((_, open)) = self.meanwhile.lock().unwrap().take_if(|(name, _)| *name == operation) {
            self.note(&open);
        }
        let is_told = self.answers.lock().unwrap().contains_key(&operation);
        if operation == "Publish" && !is_told {
            return text(200, "<PublishResponse><PublishResult/></PublishResponse>".to_owned());
        }
        let mut answers = self.answers.lock().unwrap();
        let left = answers.get_mut(&operation).unwrap_or_else(|| panic!("{operation} was not expected"));
        let body = if left.len() > 1 { left.remove(0) } else { left.first().unwrap().clone() };
        text(if body.contains("__type") { 400 } else { 200 }, body)
    }

    fn key() -> String {
        let hash = Sha256::digest("restores");
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("runs/emergency-restore/{hash}.json")
    }

    fn note(&self, open: &Value) {
        self.bucket.put(&Self::key(), &json!({"open": open}).to_string());
    }

    fn open(&self) -> Value {
        serde_json::from_str::<Value>(&self.bucket.objects()[&Self::key()]).unwrap()["open"].clone()
    }
}

fn app(world: &World, changed: &[(&str, &str)]) -> Result<App, EnvError> {
    App::new(&Env::new(&variables(&[changed, &SETTINGS].concat())), &world.aws())
}

async fn call(world: &World, event: Value) -> Result<Value, RestoreError> {
    let app = app(world, &[]).unwrap();
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(900));
    let answer = handle(&app, event, &invocation).await?;
    Ok(serde_json::to_value(answer).unwrap())
}

fn open(phase: &str, more: Value) -> Value {
    let mut open = json!({"run": "r20261130-1", "execution": "e", "by": "ana", "reason": "disk lost",
        "began": "2026-11-30T02:00:00Z", "phase": phase,
        "lost": {"instance": "moveongs-prod-db", "resource": "db-A", "address": {"host": "old", "port": 5432}, "exists": true},
        "target": {"instance": "moveongs-prod-db-r20261130-1", "attempt": 1}});
    open.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open
}

fn settings() -> Value {
    json!({"class": "db.r6g.large", "multi_az": true, "subnet_group": "db", "security_groups": ["sg-1"],
        "parameter_group": "pg15", "port": 5432, "iam_login": true, "tags": {"Project": "moveongs", "ManagedBy": "terraform"}})
}

fn instance(status: &str) -> String {
    format!(
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>\
         <DBInstanceIdentifier>moveongs-prod-db-r20261130-1</DBInstanceIdentifier><DBInstanceStatus>{status}</DBInstanceStatus>\
         <TagList><Tag><Key>Run</Key><Value>r20261130-1</Value></Tag></TagList>\
         <Endpoint><Address>new</Address><Port>5432</Port></Endpoint><MasterUsername>imm</MasterUsername>\
         </DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
    )
}

#[test]
fn a_wrong_setting_stops_the_start() {
    let world = World::default();
    for name in ["ECS_CLUSTER_NAME", "DATABASE_INSTANCE_ID"] {
        assert!(app(&world, &[(name, "")]).err().unwrap().to_string().contains(name));
    }
    assert!(app(&world, &[]).is_ok());
}

#[tokio::test]
async fn everything_that_rds_would_choose_is_said_in_the_request_and_it_is_sent_once() {
    let world = World::default();
    world.note(&open("restore", json!({"source": "latest", "settings": settings()})));
    world.answer(
        "DescribeDBInstances",
        &[
            &refusal("DBInstanceNotFound"),
            &instance("available"),
            &instance("creating"),
            &instance("available"),
        ],
    );
    world.answer(
        "RestoreDBInstanceToPointInTime",
        &["<RestoreDBInstanceToPointInTimeResponse><RestoreDBInstanceToPointInTimeResult/></RestoreDBInstanceToPointInTimeResponse>"],
    );
    let step = |poll: u16| json!({"step": "restore", "execution": "e", "poll": poll});
    assert_eq!(call(&world, step(1)).await.unwrap()["status"], "running");
    assert_eq!(call(&world, step(2)).await.unwrap()["status"], "running");
    assert_eq!(call(&world, step(3)).await.unwrap()["status"], "align");
    let [form] = &world.asked("RestoreDBInstanceToPointInTime")[..] else { panic!() };
    for part in [
        "SourceDBInstanceIdentifier=moveongs-prod-db&",
        "TargetDBInstanceIdentifier=moveongs-prod-db-r20261130-1&",
        "UseLatestRestorableTime=true&",
        "DBInstanceClass=db.r6g.large&",
        "MultiAZ=true&",
        "PubliclyAccessible=false&",
        "DeletionProtection=true&",
        "DBSubnetGroupName=db&",
        "DBParameterGroupName=pg15&",
        "VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-1&",
        "EnableIAMDatabaseAuthentication=true&",
        "Key=ManagedBy&Tags.Tag.1.Value=emergency-restore&",
        "Key=Run&",
    ] {
        assert!(format!("{form}&").contains(part), "{part} is not in {form}");
    }
    assert_eq!(world.open()["target"]["address"], json!({"host": "new", "port": 5432}));
}

#[tokio::test]
async fn an_instance_that_is_being_deleted_is_restored_from_its_backups() {
    for (lost, exists) in [(instance("deleting"), true), (refusal("DBInstanceNotFound"), false)] {
        let world = World::default();
        let mut small = settings();
        // RDS refuses its own values for a small gp3.
        small.as_object_mut().unwrap().extend(
            json!({"storage_type": "gp3", "storage": 100, "iops": 3000, "throughput": 125})
                .as_object()
                .unwrap()
                .clone(),
        );
        world.note(&open("restore", json!({"source": "latest", "settings": small})));
        world.answer("DescribeDBInstances", &[&refusal("DBInstanceNotFound"), &lost]);
        world.answer(
            "RestoreDBInstanceToPointInTime",
            &["<RestoreDBInstanceToPointInTimeResponse><RestoreDBInstanceToPointInTimeResult/></RestoreDBInstanceToPointInTimeResponse>"],
        );
        call(&world, json!({"step": "restore", "execution": "e"})).await.unwrap();
        let [form] = &world.asked("RestoreDBInstanceToPointInTime")[..] else { panic!() };
        assert!(form.contains("SourceDbiResourceId=db-A") && form.contains("StorageType=gp3"), "{form}");
        for part in ["SourceDBInstanceIdentifier", "Iops", "StorageThroughput"] {
            assert!(!form.contains(part), "{part} is in {form}");
        }
        assert_eq!(world.open()["lost"]["exists"], exists);
    }
}

#[tokio::test]
async fn an_empty_instance_of_the_same_name_is_not_restored_instead_of_the_lost_one() {
    let empty = instance("available")
        .replace("<MasterUsername>", "<DbiResourceId>db-B</DbiResourceId><MasterUsername>");
    let backup = json!({"backup": {"resource": "db-Z", "time": "2026-11-30T00:00:00Z"}});
    for (source, data, resource) in [(json!("latest"), "db-A", "db-A"), (backup, "db-Z", "db-Z")] {
        let world = World::default();
        let more = json!({"source": source, "data_resource": data, "settings": settings()});
        world.note(&open("restore", more));
        world.answer("DescribeDBInstances", &[&refusal("DBInstanceNotFound"), &empty]);
        world.answer(
            "RestoreDBInstanceToPointInTime",
            &["<RestoreDBInstanceToPointInTimeResponse><RestoreDBInstanceToPointInTimeResult/></RestoreDBInstanceToPointInTimeResponse>"],
        );
        call(&world, json!({"step": "restore", "execution": "e"})).await.unwrap();
        let [form] = &world.asked("RestoreDBInstanceToPointInTime")[..] else { panic!() };
        assert!(form.contains(&format!("SourceDbiResourceId={resource}")), "{form}");
        assert!(!form.contains("SourceDBInstanceIdentifier"), "{form}");
        assert_eq!(form.contains("UseLatestRestorableTime"), source == "latest", "{form}");
    }
}

#[tokio::test]
async fn a_choice_notes_which_database_its_data_are_of() {
    let backups = "<DescribeDBInstanceAutomatedBackupsResponse><DescribeDBInstanceAutomatedBackupsResult>\
         <DBInstanceAutomatedBackups><DBInstanceAutomatedBackup><DbiResourceId>db-A</DbiResourceId><EngineVersion>15.8</EngineVersion><RestoreWindow>\
         <EarliestTime>2026-11-28T01:00:00Z</EarliestTime><LatestTime>2026-11-30T01:00:00Z</LatestTime></RestoreWindow>\
         </DBInstanceAutomatedBackup></DBInstanceAutomatedBackups>\
         </DescribeDBInstanceAutomatedBackupsResult></DescribeDBInstanceAutomatedBackupsResponse>";
    // Of a former instance of the same name, before an upgrade.
    let snapshots = "<DescribeDBSnapshotsResponse><DescribeDBSnapshotsResult><DBSnapshots><DBSnapshot>\
         <DBSnapshotIdentifier>rds:moveongs-prod-db-1</DBSnapshotIdentifier><Status>available</Status><Engine>postgres</Engine>\
         <EngineVersion>14.9</EngineVersion><DBInstanceIdentifier>moveongs-prod-db</DBInstanceIdentifier>\
         <DbiResourceId>db-B</DbiResourceId><SnapshotCreateTime>2026-11-29T01:00:00Z</SnapshotCreateTime>\
         </DBSnapshot></DBSnapshots></DescribeDBSnapshotsResult></DescribeDBSnapshotsResponse>";
    for (source, data, resource, major) in [
        (json!({"backup": {"resource": "db-A"}}), "2026-11-30T01:00:00Z", "db-A", 15),
        (json!({"snapshot": "rds:moveongs-prod-db-1"}), "2026-11-29T01:00:00Z", "db-B", 14),
    ] {
        let world = World::default();
        world.note(&open("choose", json!({})));
        world.answer("DescribeDBInstanceAutomatedBackups", &[backups]);
        world.answer("DescribeDBSnapshots", &[snapshots]);
        let order = json!({"order": "choose", "run": "r20261130-1", "by": "ana", "source": source});
        assert_eq!(call(&world, order).await.unwrap()["status"], "restore");
        let open = world.open();
        assert_eq!(
            (&open["data"], &open["data_resource"], &open["data_major"]),
            (&json!(data), &json!(resource), &json!(major)),
            "{source}"
        );
    }
    // Two databases had the name, so a point in time must name one; nothing is noted.
    for source in [json!("latest"), json!({"time": "2026-11-30T00:00:00Z"})] {
        for (of, expected) in [("db-B", Err("SourceAmbiguous")), ("db-A", Ok("restore"))] {
            let world = World::default();
            world.note(&open("choose", json!({})));
            let before = world.open();
            world.answer("DescribeDBInstanceAutomatedBackups", &[backups]);
            world.answer("DescribeDBSnapshots", &[&snapshots.replace("db-B", of)]);
            let order = json!({"order": "choose", "run": "r20261130-1", "by": "ana", "source": source});
            match (call(&world, order).await, expected) {
                (Ok(answer), Ok(status)) => assert_eq!(answer["status"], status),
                (Err(error), Err(kind)) => {
                    assert_eq!(error.kind(), kind);
                    let told = error.to_string();
                    assert!(
                        told.contains("db-A, db-B") && told.contains(r#"{"backup":{"resource":"db-A"}}"#),
                        "{told}"
                    );
                    assert_eq!(world.open(), before);
                }
                (other, expected) => panic!("{of}: {other:?}, not {expected:?}"),
            }
        }
    }
    // The execution's own source is not refused: a person chooses. Secrets that cannot be read stop no beginning.
    let world = World::default();
    world.answer("DescribeSecret", &[r#"{"__type": "AccessDeniedException"}"#]);
    world.note(&open("choices", json!({"source": "latest"})));
    world.answer("DescribeDBInstanceAutomatedBackups", &[backups]);
    world.answer("DescribeDBSnapshots", &[snapshots]);
    let answer = call(&world, json!({"step": "choices", "execution": "e"})).await.unwrap();
    assert_eq!((&answer["status"], &world.open()["phase"]), (&json!("choose"), &json!("choose")));
    // A name that the role does not allow is refused with the copy that cures, and nothing is noted.
    let world = World::default();
    world.note(&open("choose", json!({})));
    let before = world.open();
    world.answer("DescribeDBInstanceAutomatedBackups", &[backups]);
    world.answer("DescribeDBSnapshots", &[&snapshots.replace("rds:moveongs-prod-db-1", "before")]);
    let order =
        json!({"order": "choose", "run": "r20261130-1", "by": "ana", "source": {"snapshot": "before"}});
    let error = call(&world, order).await.unwrap_err();
    assert_eq!(error.kind(), "SnapshotNameNotAllowed");
    assert!(error.to_string().contains("--target-db-snapshot-identifier moveongs-prod-before"), "{error}");
    assert_eq!(world.open(), before);
}

#[tokio::test]
async fn each_refusal_of_the_new_instance_has_its_kind() {
    for (code, kind) in [
        ("InstanceQuotaExceeded", "QuotaExceeded"),
        ("KMSKeyNotAccessibleFault", "KeyNotAccessible"),
        ("DBSubnetGroupNotFoundFault", "RestoreRefused"),
        ("DBSnapshotNotFound", "SourceRefused"),
        ("AccessDenied", "RdsCall"),
    ] {
        let world = World::default();
        world.note(&open("restore", json!({"source": {"snapshot": "s"}, "settings": settings()})));
        world.answer("DescribeDBInstances", &[&refusal("DBInstanceNotFound")]);
        world.answer("RestoreDBInstanceFromDBSnapshot", &[&refusal(code)]);
        let error = call(&world, json!({"step": "restore", "execution": "e"})).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}");
        // Noted before it was sent, so that a lost answer is looked for.
        assert_eq!(world.open()["target"]["requested"], NOW);
    }
    let world = World::default();
    let gone = json!({"instance": "moveongs-prod-db", "resource": "db-A", "address": {"host": "old", "port": 5432}, "exists": false});
    world.note(&open("restore", json!({"source": "latest", "lost": gone})));
    world.answer("DescribeDBInstances", &[&refusal("DBInstanceNotFound")]);
    let error = call(&world, json!({"step": "restore", "execution": "e"})).await.unwrap_err();
    assert_eq!(error.kind(), "SettingsUnknown");
}

#[tokio::test]
async fn another_execution_is_refused_and_changes_nothing() {
    let world = World::default();
    world.note(&open("switch", json!({})));
    let before = world.open();
    for step in ["restore", "align", "prove", "guard", "switch", "deploy", "smoke", "finish"] {
        let error = call(&world, json!({"step": step, "execution": "other"})).await.unwrap_err();
        assert_eq!(error.kind(), "NotOpen", "{step}");
    }
    assert_eq!((world.open(), world.asked.lock().unwrap().len()), (before, 0));
}

fn waiting() -> Value {
    let proof = json!({"verdict": "pass", "counts": [1, 0, 0, 0, 0], "lines": [], "rows": 1, "against": "", "at": NOW});
    open("approve", json!({"proof": proof, "wait": {"token": "t", "times": 1}}))
}

#[tokio::test]
async fn an_order_is_noted_and_the_waiting_task_hears_of_it() {
    let approve = json!({"order": "approve", "run": "r20261130-1", "by": "bia"});
    let world = World::default();
    world.note(&waiting());
    world.answer("SendTaskSuccess", &["{}"]);
    let answer = call(&world, approve.clone()).await.unwrap();
    assert_eq!((&answer["status"], answer.get("says")), (&json!("guard"), None));
    let [told] = &world.asked("SendTaskSuccess")[..] else { panic!() };
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["taskToken"], "t");
    let output: Value = serde_json::from_str(told["output"].as_str().unwrap()).unwrap();
    assert_eq!(output["status"], "guard");
    assert_eq!(world.open()["approval"]["by"], "bia");
    // Delivered twice.
    let answer = call(&world, approve.clone()).await.unwrap();
    assert!(answer["says"][0].as_str().unwrap().contains("anotado"), "{answer}");
    assert_eq!(world.asked("SendTaskSuccess").len(), 1);
    // The execution died: the order stays, and the answer has the command that goes on.
    let world = World::default();
    world.note(&waiting());
    world.answer("SendTaskSuccess", &[r#"{"__type": "TaskTimedOut", "message": "gone"}"#]);
    let answer = call(&world, approve).await.unwrap();
    assert!(answer["says"][0].as_str().unwrap().contains(r#""resume":"r20261130-1""#), "{answer}");
    assert_eq!(world.open()["phase"], "guard");
}

#[tokio::test]
async fn the_person_who_started_it_needs_a_reason_and_a_refused_order_changes_nothing() {
    let world = World::default();
    world.note(&waiting());
    let before = world.open();
    let error =
        call(&world, json!({"order": "approve", "run": "r20261130-1", "by": "Ana"})).await.unwrap_err();
    assert_eq!(error.kind(), "SecondPersonNeeded");
    let error = call(&world, json!({"order": "close", "run": "r20261130-1", "by": "bia"})).await.unwrap_err();
    assert_eq!(error.kind(), "OrderNotPossible");
    let error =
        call(&world, json!({"order": "approve", "run": "r20261130-2", "by": "bia"})).await.unwrap_err();
    assert_eq!(error.kind(), "OtherRun");
    assert_eq!(world.open(), before);
    let none = World::default();
    assert_eq!(call(&none, json!({"order": "status"})).await.unwrap()["status"], "nothing");
    let error = call(&none, json!({"order": "retry", "run": "r20261130-1", "by": "bia"})).await.unwrap_err();
    assert_eq!(error.kind(), "NoOpenRestore");
}

#[tokio::test]
async fn without_the_applications_secret_or_a_reader_of_it_nothing_goes_on() {
    let secret = r#"{"ARN": "arn:aws:secretsmanager:sa-east-1:123456789012:secret:url-AbCdEf", "Name": "url",
        "VersionIdsToStages": {"v1": ["AWSCURRENT"]}}"#;
    for (host, kind) in [("elsewhere", "SecretElsewhere"), ("old", "NoReader")] {
        for (step, phase) in [("guard", "guard"), ("switch", "switch"), ("deploy", "deploy"), ("ask", "hold")]
        {
            let world = World::default();
            world.note(&open(phase, json!({"approval": {"by": "bia", "at": NOW, "instance": INSTANCE}})));
            let value = json!({"ARN": "arn", "Name": "url", "VersionId": "v1",
                "SecretString": format!("postgresql://imm:a-password@{host}:5432/imm")});
            world.answer("DescribeSecret", &[secret]);
            world.answer("GetSecretValue", &[&value.to_string()]);
            world.answer("ListServices", &[r#"{"serviceArns": []}"#]);
            let app = app(&world, &[("DATABASE_SECRET_NAME", "url")]).unwrap();
            let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(900));
            let event = json!({"step": step, "execution": "e", "token": "t"});
            let error = handle(&app, event, &invocation).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{step}");
            assert_eq!(world.open()["phase"], phase);
        }
    }
}

#[tokio::test]
async fn a_named_instance_must_be_the_one_that_the_secret_names() {
    let world = World::default();
    let value = json!({"ARN": "arn", "Name": "url", "VersionId": "v1",
        "SecretString": "postgresql://imm:a-password@new:5432/imm"});
    world.answer("GetSecretValue", &[&value.to_string()]);
    world.answer("DescribeDBInstances", &[&instance("available")]);
    world.answer("DescribeDBClusters", &[&refusal("DBClusterNotFoundFault")]);
    let app = app(&world, &[("DATABASE_SECRET_NAME", "url")]).unwrap();
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(900));
    let input = json!({"by": "ana", "reason": "lost", "instance": "moveongs-prod-db"});
    let event = json!({"step": "open", "execution": "e", "input": input});
    let error = handle(&app, event, &invocation).await.unwrap_err();
    assert_eq!(error.kind(), "InvalidEvent");
    let told = error.to_string();
    assert!(told.contains("moveongs-prod-db-r20261130-1") && !told.contains("a-password"), "{told}");
}

/// The application's secret without a password, so that no login is tried; a guarded service that reads it; and what
/// Secrets Manager says of the version in force, in turn.
fn in_use(world: &World, phase: &str, more: Value, versions: &[&str]) {
    let moves = json!([{"secret": ARN, "name": "url", "from": "v1", "to": moved_version(ARN)}]);
    let mut all = json!({"moves": moves, "approval": {"by": "bia", "at": NOW, "instance": INSTANCE},
        "target": {"instance": INSTANCE, "attempt": 1, "address": {"host": "new", "port": 5432}}});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.note(&open(phase, all));
    let described: Vec<_> = versions
        .iter()
        .map(|version| match *version {
            "new" => moved_version(ARN),
            version => version.to_owned(),
        })
        .map(|version| {
            json!({"ARN": ARN, "Name": "url", "VersionIdsToStages": {version: ["AWSCURRENT"]}}).to_string()
        })
        .collect();
    world.answer("DescribeSecret", &described.iter().map(String::as_str).collect::<Vec<_>>());
    let value = json!({"ARN": ARN, "Name": "url", "SecretString": "postgresql://imm@old:5432/imm"});
    world.answer("GetSecretValue", &[&value.to_string()]);
    for operation in ["PutSecretValue", "UpdateSecretVersionStage"] {
        world.answer(operation, &["{}"]);
    }
    let service = json!({"serviceName": "api", "status": "ACTIVE", "taskDefinition": "td:1", "desiredCount": 1,
        "runningCount": 1, "deployments": [{"id": "d1", "status": "PRIMARY", "taskDefinition": "td:1", "desiredCount": 1,
            "runningCount": 1, "rolloutState": "COMPLETED", "createdAt": 1_795_996_801.0}]});
    world.answer("ListServices", &[r#"{"serviceArns": ["arn:aws:ecs:sa-east-1:1:service/c/api"]}"#]);
    world.answer("DescribeServices", &[&json!({"services": [service]}).to_string()]);
    let guard = ["DATA_RETENTION_DAYS", "DATA_RETENTION_ANONYMIZE_DAYS"]
        .map(|name| json!({"name": name, "value": "36500"}));
    let container =
        json!({"name": "api", "environment": guard, "secrets": [{"name": "DATABASE_URL", "valueFrom": ARN}]});
    let definition =
        json!({"taskDefinition": {"taskDefinitionArn": "td:1", "containerDefinitions": [container]}});
    world.answer("DescribeTaskDefinition", &[&definition.to_string()]);
}

const INSTANCE: &str = "moveongs-prod-db-r20261130-1";

const ARN: &str = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:url-AbCdEf";

/// The id of the version with the new database's address.
fn moved_version(arn: &str) -> String {
    let hash = Sha256::digest(format!("r20261130-1 {arn} v1 {INSTANCE}"));
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..32]];
    parts.join("-")
}

async fn step_in_use(world: &World, event: Value) -> Result<Value, RestoreError> {
    let app = app(world, &[("DATABASE_SECRET_NAME", "url")]).unwrap();
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(900));
    handle(&app, event, &invocation).await.map(|answer| serde_json::to_value(answer).unwrap())
}

#[tokio::test]
async fn no_secret_is_pointed_to_an_instance_that_nobody_approved() {
    for approval in
        [Value::Null, json!({"by": "bia", "at": NOW, "instance": "moveongs-prod-db-r20261130-1-2"})]
    {
        let world = World::default();
        in_use(&world, "switch", json!({"approval": approval}), &["v1"]);
        let error = step_in_use(&world, json!({"step": "switch", "execution": "e"})).await.unwrap_err();
        assert_eq!((error.kind(), world.asked.lock().unwrap().len()), ("NotApproved", 0));
    }
}

#[tokio::test]
async fn a_version_that_has_lost_its_labels_is_put_in_force_again() {
    // A return overruled a foreign version, so Secrets Manager does nothing for the version that it has already.
    let world = World::default();
    in_use(&world, "switch", json!({}), &["v1", "v1", "v1", "v1", "new"]);
    let answer = step_in_use(&world, json!({"step": "switch", "execution": "e"})).await.unwrap();
    assert_eq!((&answer["status"], world.asked("PutSecretValue").len()), (&json!("deploy"), 1));
    let [moved] = &world.asked("UpdateSecretVersionStage")[..] else { panic!() };
    let moved: Value = serde_json::from_str(moved).unwrap();
    assert_eq!(moved["RemoveFromVersionId"], "v1");
    assert_eq!(moved["MoveToVersionId"], world.open()["moves"][0]["to"]);
    assert_eq!(world.open()["used"], json!([INSTANCE]));
    // The first time, the put moves the label.
    let world = World::default();
    in_use(&world, "switch", json!({}), &["v1", "v1", "v1", "new"]);
    step_in_use(&world, json!({"step": "switch", "execution": "e"})).await.unwrap();
    assert_eq!(world.asked("UpdateSecretVersionStage").len(), 0);
}

#[tokio::test]
async fn a_reader_of_one_version_stops_the_restore_before_anything_is_changed() {
    for (phase, step) in [("guard", "guard"), ("switch", "switch"), ("deploy", "deploy"), ("hold", "ask")] {
        let world = World::default();
        in_use(&world, phase, json!({}), &["new"]);
        let secret = json!({"name": "DATABASE_URL", "valueFrom": format!("{ARN}:::v1")});
        let definition = json!({"taskDefinition": {"taskDefinitionArn": "td:1", "containerDefinitions": [
            {"name": "api", "secrets": [secret]}]}});
        world.answer("DescribeTaskDefinition", &[&definition.to_string()]);
        let event = json!({"step": step, "execution": "e", "token": "t"});
        let error = step_in_use(&world, event).await.unwrap_err();
        assert_eq!(error.kind(), "ReaderPinned", "{step}");
        assert!(error.to_string().contains("api/api/DATABASE_URL (v1)"), "{error}");
        for operation in ["RegisterTaskDefinition", "UpdateService", "PutSecretValue"] {
            assert_eq!(world.asked(operation).len(), 0, "{step} {operation}");
        }
    }
}

#[tokio::test]
async fn what_stops_the_restore_later_is_noted_before_the_approval() {
    let pinned = json!({"kind": "pinned", "reference": "api/api/DATABASE_URL (v1)"});
    for (services, obstacle) in [
        (r#"{"serviceArns": []}"#, json!({"kind": "no_reader", "secret": "url"})),
        (r#"{"serviceArns": ["arn:aws:ecs:sa-east-1:1:service/c/api"]}"#, pinned),
    ] {
        let world = World::default();
        in_use(&world, "approve", json!({"moves": []}), &["v1"]);
        world.answer("ListServices", &[services]);
        let secret = json!({"name": "DATABASE_URL", "valueFrom": format!("{ARN}:::v1")});
        let definition = json!({"taskDefinition": {"taskDefinitionArn": "td:1", "containerDefinitions": [
            {"name": "api", "secrets": [secret]}]}});
        world.answer("DescribeTaskDefinition", &[&definition.to_string()]);
        let event = json!({"step": "ask", "execution": "e", "token": "t"});
        assert_eq!(step_in_use(&world, event).await.unwrap()["status"], "asked");
        assert_eq!(world.open()["obstacles"], json!([obstacle]));
    }
}

#[tokio::test]
async fn a_return_needs_no_other_secret_than_the_moved_ones() {
    let world = World::default();
    in_use(&world, "deploy", json!({"direction": "old", "since": "2026-11-30T05:00:00Z"}), &["v1"]);
    let deployed =
        json!({"service": {"serviceName": "api", "deployments": [{"id": "d2", "status": "PRIMARY"}]}});
    world.answer("UpdateService", &[&deployed.to_string()]);
    let changed = [("DATABASE_SECRET_NAME", "url"), ("OTHER_DATABASE_SECRET_ARNS", "unwritable")];
    let app = app(&world, &changed).unwrap();
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(900));
    let event = json!({"step": "deploy", "execution": "e", "poll": 1});
    // The fake has no such deployment; what counts is that the service was deployed.
    let error = handle(&app, event, &invocation).await.unwrap_err();
    assert_eq!((error.kind(), world.asked("UpdateService").len()), ("RolloutFailed", 1));
    let described = world.asked("DescribeSecret");
    assert!(!described.is_empty() && described.iter().all(|body| body.contains(ARN)), "{described:?}");
}

#[tokio::test]
async fn a_service_that_only_others_deploy_must_be_new_before_the_database_is_in_use() {
    let world = World::default();
    let deployed = json!({"deployments": {"api": "d1"}, "since": "2026-11-30T00:00:00Z"});
    in_use(&world, "deploy", deployed, &["new"]);
    let api = json!({"serviceName": "api", "status": "ACTIVE", "taskDefinition": "td:1", "desiredCount": 1,
        "runningCount": 1, "deployments": [{"id": "d1", "status": "PRIMARY", "taskDefinition": "td:1", "desiredCount": 1,
            "runningCount": 1, "rolloutState": "COMPLETED", "createdAt": 1_795_996_801.0}]});
    let services = |controller: &str, made: f64| {
        let batch = json!({"serviceName": "batch", "status": "ACTIVE", "runningCount": 1,
            "deploymentController": {"type": controller}, "deployments": [],
            "taskSets": [{"status": "PRIMARY", "taskDefinition": "td:1", "runningCount": 1, "createdAt": made}]});
        json!({"services": [api, batch]}).to_string()
    };
    let arns = ["api", "batch"].map(|name| format!("arn:aws:ecs:sa-east-1:1:service/c/{name}"));
    world.answer("ListServices", &[&json!({"serviceArns": arns}).to_string()]);
    let step = json!({"step": "deploy", "execution": "e", "poll": 2});
    for controller in ["EXTERNAL", "CODE_DEPLOY"] {
        world.answer("DescribeServices", &[&services(controller, 1_795_996_799.0)]);
        let error = step_in_use(&world, step.clone()).await.unwrap_err();
        assert_eq!(error.kind(), "ServiceNotDeployed");
        assert!(error.to_string().contains(&format!("batch ({controller})")), "{error}");
        assert_eq!(world.open()["phase"], "deploy");
    }
    // What others deployed before the repetition counts.
    let mut failed = world.open();
    failed["failure"] = json!({"kind": "ServiceNotDeployed", "detail": "", "at": NOW});
    world.note(&failed);
    step_in_use(&world, json!({"order": "retry", "run": "r20261130-1", "by": "bia"})).await.unwrap();
    world.answer("DescribeServices", &[&services("EXTERNAL", 1_795_996_801.0)]);
    assert_eq!(step_in_use(&world, step).await.unwrap()["status"], "smoke");
}

#[tokio::test]
async fn a_version_that_others_put_in_force_after_the_move_stops_the_restore() {
    let deployed = json!({"deployments": {"api": "d1"}, "since": "2026-11-30T00:00:00Z"});
    let old = json!({"direction": "old"});
    for (phase, step, more, versions) in [
        ("deploy", json!({"step": "deploy", "execution": "e", "poll": 1}), json!({}), &["v3"][..]),
        ("deploy", json!({"step": "deploy", "execution": "e", "poll": 2}), deployed, &["v3"]),
        ("deploy", json!({"step": "deploy", "execution": "e", "poll": 1}), old.clone(), &["new"]),
        ("hold", json!({"step": "ask", "execution": "e", "token": "t"}), json!({}), &["v3"]),
        ("hold", json!({"step": "ask", "execution": "e", "token": "t"}), json!({}), &["v1"]),
        ("hold", json!({"step": "ask", "execution": "e", "token": "t"}), old, &["v3"]),
        ("hold", json!({"order": "close", "run": "r20261130-1", "by": "bia"}), json!({}), &["v3"]),
    ] {
        let world = World::default();
        in_use(&world, phase, more.clone(), versions);
        let error = step_in_use(&world, step.clone()).await.unwrap_err();
        assert_eq!(error.kind(), "SecretChanged", "{step} {more}");
        assert_eq!((&world.open()["phase"], world.asked("UpdateService").len()), (&json!(phase), 0));
        if step["order"] == "close" {
            assert!(error.to_string().contains("--remove-from-version-id v3"), "{error}");
            assert_eq!(world.open()["ended"], Value::Null);
        } else {
            let told = world.open()["foreign"].as_object().unwrap().values().next().unwrap().clone();
            assert_eq!(told["overruled"], false, "{step} {told}");
        }
    }
    // With the restore's own version, it is closed.
    let world = World::default();
    in_use(&world, "hold", json!({}), &["new"]);
    let close = json!({"order": "close", "run": "r20261130-1", "by": "bia"});
    assert_eq!(step_in_use(&world, close).await.unwrap()["status"], "finish");
}

#[tokio::test]
async fn a_restore_that_nobody_ended_is_not_closed_by_its_last_step() {
    let world = World::default();
    world.note(&open("hold", json!({})));
    let before = world.open();
    let answer = call(&world, json!({"step": "finish", "execution": "e"})).await.unwrap();
    assert_eq!((&answer["status"], world.open()), (&json!("hold"), before));
    assert_eq!(world.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_order_that_came_before_the_question_is_not_asked_again() {
    let world = World::default();
    world.note(&open("guard", json!({"wait": {"times": 1}})));
    world.answer("SendTaskSuccess", &["{}"]);
    let answer = call(&world, json!({"step": "ask", "execution": "e", "token": "new"})).await.unwrap();
    assert_eq!((&answer["status"], world.asked("SendTaskSuccess").len()), (&json!("guard"), 1));
}

/// A return of two secrets, and what Secrets Manager says of each in turn: name and version in force.
fn returning(world: &World, more: Value, found: &[(&str, &str)]) {
    let moves = ["a", "b"].map(|name| json!({"secret": name, "name": name, "from": "1", "to": "2"}));
    let mut all = json!({"direction": "old", "moves": moves});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.note(&open("switch", all));
    let described: Vec<_> = found
        .iter()
        .map(|(name, version)| {
            json!({"ARN": name, "Name": name, "VersionIdsToStages": {*version: ["AWSCURRENT"]}}).to_string()
        })
        .collect();
    world.answer("DescribeSecret", &described.iter().map(String::as_str).collect::<Vec<_>>());
    // Without a login, nothing is tried at the old database.
    world.answer("GetSecretValue", &[r#"{"SecretString": "no login"}"#]);
    world.answer("UpdateSecretVersionStage", &["{}"]);
}

const SWITCH: &str = r#"{"step": "switch", "execution": "e"}"#;

#[tokio::test]
async fn a_return_moves_no_secret_if_another_caller_changed_one_until_a_person_overrules_it() {
    let step: Value = serde_json::from_str(SWITCH).unwrap();
    let world = World::default();
    returning(&world, json!({}), &[("a", "2"), ("b", "3")]);
    let error = call(&world, step.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains('b')), ("SecretChanged", true));
    assert_eq!(world.asked("UpdateSecretVersionStage").len(), 0);
    assert_eq!(world.open()["foreign"], json!({"b": {"version": "3", "overruled": false}}));
    // The state machine's own repetition does not overrule.
    returning(&world, json!({"foreign": world.open()["foreign"]}), &[("a", "2"), ("b", "3")]);
    assert_eq!(call(&world, step.clone()).await.unwrap_err().kind(), "SecretChanged");
    // Each secret is described at the beginning, before its move and after it.
    let found = [("a", "2"), ("b", "3"), ("a", "2"), ("a", "1"), ("b", "3"), ("b", "1")];
    let told = json!({"b": {"version": "3", "overruled": true}});
    returning(&world, json!({"foreign": told}), &found);
    assert_eq!(call(&world, step).await.unwrap()["status"], "deploy");
    let moved: Vec<Value> = world
        .asked("UpdateSecretVersionStage")
        .iter()
        .map(|body| serde_json::from_str::<Value>(body).unwrap()["RemoveFromVersionId"].clone())
        .collect();
    assert_eq!(moved, ["2", "3"]);
}

#[tokio::test]
async fn a_move_that_is_not_in_force_afterwards_is_no_move() {
    let world = World::default();
    returning(&world, json!({}), &[("a", "2"), ("b", "2"), ("a", "2"), ("a", "2")]);
    let error = call(&world, serde_json::from_str(SWITCH).unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), world.asked("UpdateSecretVersionStage").len()), ("SecretChanged", 1));
    assert_eq!(world.open()["phase"], "switch");
}

#[tokio::test]
async fn a_replaced_or_turned_step_moves_nothing_more() {
    let failure = json!({"kind": "Lambda.Unknown", "detail": "", "at": NOW});
    for change in [
        json!({"execution": "other"}),
        json!({"direction": "new"}),
        json!({"phase": "deploy"}),
        json!({"failure": failure}),
    ] {
        let world = World::default();
        returning(&world, json!({}), &[("a", "2"), ("b", "2"), ("a", "2"), ("a", "1"), ("b", "2")]);
        let mut since = world.open();
        since.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        *world.meanwhile.lock().unwrap() = Some(("UpdateSecretVersionStage".to_owned(), since.clone()));
        let error = call(&world, serde_json::from_str(SWITCH).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), "NotOpen", "{change}");
        assert_eq!(world.asked("UpdateSecretVersionStage").len(), 1, "{change}");
        assert_eq!(world.open(), since);
    }
}

#[tokio::test]
async fn moves_that_secrets_manager_refused_can_be_given_up() {
    let reject = json!({"order": "reject", "run": "r20261130-1", "by": "bia"});
    let failure = json!({"kind": "SecretsManagerCall", "detail": "denied", "at": NOW});
    for (version, expected) in [("1", Ok("finish")), ("2", Err("OrderNotPossible"))] {
        let world = World::default();
        returning(&world, json!({"direction": "new", "failure": failure}), &[("a", "1"), ("b", version)]);
        let given = call(&world, reject.clone()).await;
        match expected {
            Ok(status) => assert_eq!(given.unwrap()["status"], status),
            Err(kind) => assert_eq!(given.unwrap_err().kind(), kind),
        }
    }
}

#[tokio::test]
async fn an_end_that_could_not_be_noted_is_repeated() {
    let world = World::default();
    world.note(&open("hold", json!({"ended": "closed"})));
    world.answer("GetSecretValue", &[r#"{"__type": "ResourceNotFoundException"}"#]);
    let failure = json!({"Error": "NoteFailed", "Cause": "denied"});
    let event = json!({"step": "fail", "execution": "e", "failure": failure, "input": {}});
    assert_eq!(call(&world, event).await.unwrap()["status"], "finish");
    let [page] = &world.asked("Publish")[..] else { panic!() };
    assert!(page.contains("resume") && !page.contains("rollBack"), "{page}");
}

#[tokio::test]
async fn a_failed_step_is_noted_and_paged_once() {
    let world = World::default();
    world.note(&open("deploy", json!({})));
    let failure = json!({"Error": "RolloutFailed", "Cause": "api: tasks failed"});
    let event = json!({"step": "fail", "execution": "e", "failure": failure, "input": {}});
    // The channel cannot be reached, which fails nothing.
    world.answer("GetSecretValue", &[r#"{"__type": "ResourceNotFoundException"}"#]);
    for _ in 0..2 {
        assert_eq!(call(&world, event.clone()).await.unwrap()["status"], "repair");
    }
    assert_eq!(world.asked("Publish").len(), 1);
    assert_eq!(world.open()["failure"]["kind"], "RolloutFailed");
    // Nor does a pager that is down: a person is asked all the same.
    world.note(&open("deploy", json!({})));
    world.answer(
        "Publish",
        &["<ErrorResponse><Error><Code>InvalidParameter</Code></Error>__type</ErrorResponse>"],
    );
    assert_eq!(call(&world, event.clone()).await.unwrap()["status"], "repair");
    // An execution that was replaced ends quietly.
    let replaced = json!({"step": "fail", "execution": "other", "failure": {"Error": "NotOpen", "Cause": ""}, "input": {}});
    assert_eq!(call(&world, replaced).await.unwrap()["status"], "replaced");
}

#[tokio::test]
async fn a_step_that_fails_after_another_execution_took_over_tells_nobody() {
    let world = World::default();
    world.note(&open("prove", json!({})));
    let resume = json!({"step": "open", "execution": "f", "input": {"resume": "r20261130-1", "by": "bia"}});
    world.answer("GetSecretValue", &[r#"{"__type": "ResourceNotFoundException"}"#]);
    assert_eq!(call(&world, resume).await.unwrap()["status"], "prove");
    let failure = json!({"Error": "ProofBroken", "Cause": "gone"});
    let event = json!({"step": "fail", "execution": "e", "failure": failure, "input": {}});
    assert_eq!(call(&world, event).await.unwrap()["status"], "replaced");
    assert_eq!((world.asked("Publish").len(), world.open()["failure"].is_null()), (0, true));
}
