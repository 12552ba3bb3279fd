//! Tests the function against the wire protocols of Secrets Manager and RDS: real SDK, real signing, recorded answers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use aws_smithy_http_client::test_util::StaticReplayClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use rotate_database::{App, RotateError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::rotation::{Outcome, handle};
use shared::runtime::env::Env;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::testing::{aws, replies, variables};

const CREATE: &str = include_str!("../../../../events/rotate-database/create-secret.json");
const TOKEN: &str = "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10";
const ROTATION_TOKEN: &str = "EXAMPLE-rotation-token-not-a-real-one";
const PASSWORD: &str = "dev-password-change-me";

const RUNNING: &str = r#"{"Name": "/moveongs/dev/db", "RotationEnabled": true, "Tags": [],
    "VersionIdsToStages": {"old": ["AWSCURRENT"], "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10": ["AWSPENDING"]}}"#;
const NO_VALUE: &str =
    r#"{"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the value"}"#;
const OTHER_VALUE: &str = r#"{"__type": "ResourceExistsException", "Message": "the version has a value"}"#;
const VALUE: &str = r#"{"SecretString": "postgres://imm:dev-password-change-me@db.example:5432/app?sslmode=require", "CreatedDate": 1772366400}"#;
const NO_NOTE: &str = "<ListBucketResult></ListBucketResult>";
/// No ledger exists yet, and no note shows that a rotation made the current version.
const NO_LEDGER: &str = NO_NOTE;
/// No emergency restore is open.
const NO_RESTORE: &str = NO_NOTE;
const NOTE: &str =
    "<ListBucketResult><Contents><Key>runs/rotate-database/note.json</Key></Contents></ListBucketResult>";
const NO_INSTANCE: &str = r#"<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/">
    <DescribeDBInstancesResult><DBInstances/></DescribeDBInstancesResult></DescribeDBInstancesResponse>"#;

/// createSecret's note that it made `VALUE` for the token.
fn made() -> String {
    let value: Value = serde_json::from_str(VALUE).unwrap();
    let sealed = format!("{TOKEN}\0{}", value.get("SecretString").and_then(Value::as_str).unwrap());
    let seal: String = Sha256::digest(sealed).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"seals": [seal]}).to_string()
}

/// The case file's deployment, with other databases and another status.
fn blue_green(source: &str, target: &str, status: &str) -> String {
    let case: Value =
        serde_json::from_str(include_str!("../../../../tests/cases/22-rds-blue-green.json")).unwrap();
    let id = case.pointer("/BlueGreenDeployments/0/BlueGreenDeploymentIdentifier").and_then(Value::as_str);
    format!(
        r#"<DescribeBlueGreenDeploymentsResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeBlueGreenDeploymentsResult>
        <BlueGreenDeployments><member><BlueGreenDeploymentIdentifier>{}</BlueGreenDeploymentIdentifier><Source>{source}</Source>
        <Target>{target}</Target><Status>{status}</Status></member></BlueGreenDeployments>
        </DescribeBlueGreenDeploymentsResult></DescribeBlueGreenDeploymentsResponse>"#,
        id.unwrap()
    )
}

fn app(wire: &StaticReplayClient) -> App {
    let variables = variables(&[
        ("DATABASE_SECRET_NAME", "/moveongs/dev/db"),
        ("DATABASE_ADMIN_SECRET_ARN", ""),
        ("RDS_CA_FILE", ""),
    ]);
    App::new(&Env::new(&variables), &aws(wire)).unwrap()
}

/// Operation and body of a request. RDS bodies are forms; for S3, only the method is returned.
fn read(request: &HttpRequest) -> (String, Value) {
    let body = str::from_utf8(request.body().bytes().unwrap()).unwrap();
    match request.headers().get("x-amz-target") {
        Some(target) => (target.rsplit('.').next().unwrap().to_owned(), serde_json::from_str(body).unwrap()),
        None => match body.split('&').find_map(|field| field.strip_prefix("Action=")) {
            Some(action) => (action.to_owned(), json!(body)),
            None => (request.method().to_owned(), Value::Null),
        },
    }
}

/// All requests, so that an extra one fails the test.
fn requests(wire: &StaticReplayClient) -> Vec<(String, Value)> {
    wire.actual_requests().map(read).collect()
}

fn operations(wire: &StaticReplayClient) -> Vec<String> {
    requests(wire).into_iter().map(|(operation, _)| operation).collect()
}

/// All parts of a request that leave the function.
fn text(request: &HttpRequest) -> String {
    let headers: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let body = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
    format!("{} {}\n{}\n\n{body}", request.method(), request.uri(), headers.join("\n"))
}

fn event() -> Value {
    serde_json::from_str(CREATE).unwrap()
}

async fn try_create(wire: &StaticReplayClient, event: Value) -> Result<Outcome, RotateError> {
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    handle(&app(wire), event, &Invocation::new(now, Duration::from_secs(30))).await
}

async fn create(wire: &StaticReplayClient, event: Value) -> Outcome {
    try_create(wire, event).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

#[tokio::test]
async fn createsecret_reads_the_versions_and_fills_the_pending_one() {
    let wire =
        replies(&[RUNNING, VALUE, NO_RESTORE, NO_INSTANCE, NO_VALUE, NO_LEDGER, NO_NOTE, NO_NOTE, "", "{}"]);
    let event = event();
    assert_eq!(event["RotationToken"], ROTATION_TOKEN);
    assert_eq!(create(&wire, event.clone()).await, Outcome::Created);

    let arn = &event["SecretId"];
    let mut requests = requests(&wire);
    let (operation, mut put) = requests.pop().unwrap();
    let value = put["SecretString"].take();
    let password = value.as_str().unwrap().strip_prefix("postgres://imm:").unwrap();
    let password = password.strip_suffix("@db.example:5432/app?sslmode=require").unwrap();
    assert!(password.len() == 40 && password != PASSWORD);
    assert_eq!(
        (operation.as_str(), put),
        (
            "PutSecretValue",
            json!({
                "SecretId": arn, "ClientRequestToken": TOKEN, "VersionStages": ["AWSPENDING"], "SecretString": null,
                "RotationToken": ROTATION_TOKEN,
            })
        )
    );
    let (operation, form) = requests.remove(3);
    assert_eq!(operation, "DescribeDBInstances");
    assert!(!form.as_str().unwrap().contains("imm"), "{form}");
    let get = |version: &str, stage: &str| {
        ("GetSecretValue".to_owned(), json!({"SecretId": arn, "VersionId": version, "VersionStage": stage}))
    };
    let describe = ("DescribeSecret".to_owned(), json!({"SecretId": arn}));
    // The seal is stored before the value, because a value without a seal is never used.
    let s3 = |method: &str| (method.to_owned(), Value::Null);
    let read = [describe, get("old", "AWSCURRENT"), s3("GET"), get(TOKEN, "AWSPENDING")];
    assert_eq!(requests, [&read[..], &[s3("GET"), s3("GET"), s3("GET"), s3("PUT")]].concat());
}

#[tokio::test]
async fn the_rotation_token_is_in_one_place_of_one_request() {
    let wire =
        replies(&[RUNNING, VALUE, NO_RESTORE, NO_INSTANCE, NO_VALUE, NO_LEDGER, NO_NOTE, NO_NOTE, "", "{}"]);
    assert_eq!(create(&wire, event()).await, Outcome::Created);
    let sent: Vec<_> = wire.actual_requests().map(text).collect();
    let times: Vec<_> = sent.iter().map(|request| request.matches(ROTATION_TOKEN).count()).collect();
    assert_eq!(times, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn an_event_of_an_older_service_has_no_rotation_token_to_forward() {
    let wire =
        replies(&[RUNNING, VALUE, NO_RESTORE, NO_INSTANCE, NO_VALUE, NO_LEDGER, NO_NOTE, NO_NOTE, "", "{}"]);
    let mut event = event();
    event.as_object_mut().unwrap().remove("RotationToken");
    assert_eq!(create(&wire, event).await, Outcome::Created);
    assert_eq!(requests(&wire).pop().unwrap().1.get("RotationToken"), None);
}

#[tokio::test]
async fn a_finished_or_foreign_blue_green_deployment_does_not_block() {
    let instance = r#"<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBInstancesResult><DBInstances>
        <DBInstance><DBInstanceIdentifier>db</DBInstanceIdentifier><DBInstanceArn>arn:aws:rds:r:1:db:db</DBInstanceArn>
        <Endpoint><Address>db.example</Address><Port>5432</Port></Endpoint></DBInstance>
        </DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"#;
    let (ours, green) = ("arn:aws:rds:r:1:db:db", "arn:aws:rds:r:1:db:green");
    for deployments in [
        blue_green(ours, green, "SWITCHOVER_COMPLETED"),
        blue_green(ours, green, "DELETING"),
        blue_green("arn:aws:rds:r:1:db:other", green, "AVAILABLE"),
    ] {
        let wire = replies(&[RUNNING, VALUE, NO_RESTORE, instance, &deployments, VALUE, NOTE, &made()]);
        assert_eq!(create(&wire, event()).await, Outcome::Kept);
    }
}

#[tokio::test]
async fn an_open_restore_stops_a_rotation_before_it_changes_anything() {
    let open = r#"{"open": {"run": "r20261130-1", "moves": []}, "left": []}"#;
    for step in ["createSecret", "setSecret", "finishSecret"] {
        let wire = replies(&[RUNNING, VALUE, NOTE, open, NO_INSTANCE, NO_NOTE]);
        let mut event = event();
        event["Step"] = json!(step);
        let error = try_create(&wire, event).await.unwrap_err();
        assert_eq!(error.kind(), "RestoreInProgress", "{step}");
        assert!(chain(&error).contains("r20261130-1"));
        assert!(!operations(&wire).iter().any(|name| name.contains("Put") || name.contains("Update")));
    }
}

#[tokio::test]
async fn a_second_createsecret_only_reads() {
    let wire = replies(&[RUNNING, VALUE, NO_RESTORE, NO_INSTANCE, VALUE, NOTE, &made()]);
    assert_eq!(create(&wire, event()).await, Outcome::Kept);
    let get = "GetSecretValue";
    assert_eq!(operations(&wire), ["DescribeSecret", get, "GET", "DescribeDBInstances", get, "GET", "GET"]);
}

#[tokio::test]
async fn no_step_uses_a_pending_value_that_createsecret_did_not_make() {
    for step in ["createSecret", "setSecret", "finishSecret"] {
        let chosen = VALUE.replace(PASSWORD, "a");
        // The last answer is for reading setSecret's note after the failure.
        let wire = replies(&[RUNNING, VALUE, NO_RESTORE, NO_INSTANCE, &chosen, NOTE, &made(), NO_NOTE]);
        let mut event = event();
        event["Step"] = json!(step);
        let error = try_create(&wire, event).await.unwrap_err();
        assert_eq!(error.kind(), "ForeignPending", "{step}");
        assert!(!operations(&wire).iter().any(|name| name.contains("Put") || name.contains("Update")));
    }
}

#[tokio::test]
async fn the_loser_of_two_createsecret_keeps_the_winners_value() {
    let note = made();
    let wire = replies(&[
        RUNNING,
        VALUE,
        NO_RESTORE,
        NO_INSTANCE,
        NO_VALUE,
        NO_LEDGER,
        NO_NOTE,
        NO_NOTE,
        "",
        OTHER_VALUE,
        VALUE,
        NOTE,
        &note,
    ]);
    assert_eq!(create(&wire, event()).await, Outcome::Kept);
    let (get, put) = ("GetSecretValue", "PutSecretValue");
    let expected = [
        "DescribeSecret",
        get,
        "GET",
        "DescribeDBInstances",
        get,
        "GET",
        "GET",
        "GET",
        "PUT",
        put,
        get,
        "GET",
        "GET",
    ];
    assert_eq!(operations(&wire), expected);
}

#[tokio::test]
async fn a_failure_changes_nothing_and_quotes_neither_token_nor_password() {
    // The service's message may quote the request.
    let denied = format!(
        r#"{{"__type": "AccessDeniedException", "Message": "{ROTATION_TOKEN} {PASSWORD}: access to KMS is not allowed"}}"#
    );
    let managed = RUNNING.replace("\"Tags\"", "\"OwningService\": \"rds\", \"Tags\"");
    let of_rds = r#"<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBInstancesResult><DBInstances>
        <DBInstance><DBInstanceIdentifier>db</DBInstanceIdentifier><MasterUsername>imm</MasterUsername>
        <Endpoint><Address>DB.example</Address><Port>5432</Port></Endpoint>
        <MasterUserSecret><SecretStatus>active</SecretStatus></MasterUserSecret></DBInstance>
        </DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"#;
    let of_cluster = r#"<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBInstancesResult><DBInstances>
        <DBInstance><DBInstanceIdentifier>db-1</DBInstanceIdentifier><DBInstanceArn>arn:aws:rds:r:1:db:db-1</DBInstanceArn>
        <DBClusterIdentifier>db</DBClusterIdentifier><Endpoint><Address>db.example</Address><Port>5432</Port></Endpoint></DBInstance>
        </DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"#;
    let cluster = |more: &str| {
        format!(
            r#"<DescribeDBClustersResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBClustersResult><DBClusters>
            <DBCluster><DBClusterIdentifier>db</DBClusterIdentifier><DBClusterArn>arn:aws:rds:r:1:cluster:db</DBClusterArn>
            <MasterUsername>imm</MasterUsername><Endpoint>db.cluster-x.r.rds.amazonaws.com</Endpoint>
            <ReaderEndpoint>db.cluster-ro-x.r.rds.amazonaws.com</ReaderEndpoint><Port>5432</Port>{more}</DBCluster>
            </DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>"#
        )
    };
    let plain = cluster("");
    let keeps = cluster("<MasterUserSecret><SecretStatus>active</SecretStatus></MasterUserSecret>");
    let [at_writer, at_reader] = ["cluster-x", "cluster-ro-x"]
        .map(|name| VALUE.replace("@db.example:", &format!("@db.{name}.r.rds.amazonaws.com:")));
    let as_target = blue_green("arn:aws:rds:r:1:cluster:blue", "arn:aws:rds:r:1:cluster:db", "AVAILABLE");
    let as_source = blue_green("arn:aws:rds:r:1:db:db-1", "arn:aws:rds:r:1:db:green", "SWITCHOVER_FAILED");
    let no_list = ["DescribeDBInstances", "DescribeDBClusters", "DescribeBlueGreenDeployments"].map(|call| {
        format!(
            r#"<{call}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><{call}Result/></{call}Response>"#
        )
    });
    let [no_instances, no_clusters, no_deployments] = no_list.each_ref().map(String::as_str);
    let text = r#"{"SecretString": "dev-password-change-me"}"#;
    for (answers, kind, part) in [
        (
            vec![RUNNING, VALUE, NO_RESTORE, of_cluster, plain.as_str(), as_target.as_str(), NO_NOTE],
            "BlueGreen",
            "db-1 takes part in the blue/green deployment bgd-abc (AVAILABLE)",
        ),
        (
            vec![RUNNING, VALUE, NO_RESTORE, of_cluster, plain.as_str(), as_source.as_str(), NO_NOTE],
            "BlueGreen",
            "bgd-abc (SWITCHOVER_FAILED)",
        ),
        (
            vec![
                RUNNING,
                VALUE,
                NO_RESTORE,
                NO_INSTANCE,
                NO_VALUE,
                NO_LEDGER,
                NO_NOTE,
                NO_NOTE,
                "",
                denied.as_str(),
            ],
            "SecretsManagerCall",
            "secretsmanager:PutSecretValue failed (AccessDeniedException)",
        ),
        (vec![managed.as_str()], "ManagedByRds", "managed by the service rds"),
        (
            vec![RUNNING, VALUE, NO_RESTORE, of_rds],
            "ManagedByRds",
            "imm is the master user of RDS instance db",
        ),
        // The kind of tests/cases/11a-aurora-member.json: a member's endpoint, and the cluster's two.
        (
            vec![RUNNING, VALUE, NO_RESTORE, of_cluster, keeps.as_str()],
            "ManagedByRds",
            "imm is the master user of RDS cluster db",
        ),
        (
            vec![RUNNING, at_writer.as_str(), NO_RESTORE, NO_INSTANCE, keeps.as_str()],
            "ManagedByRds",
            "imm is the master user of RDS cluster db",
        ),
        (
            vec![RUNNING, at_reader.as_str(), NO_RESTORE, NO_INSTANCE, keeps.as_str()],
            "ManagedByRds",
            "imm is the master user of RDS cluster db",
        ),
        (
            vec![
                RUNNING,
                at_reader.as_str(),
                NO_RESTORE,
                NO_INSTANCE,
                plain.as_str(),
                as_target.as_str(),
                NO_NOTE,
            ],
            "BlueGreen",
            "db takes part in the blue/green deployment bgd-abc (AVAILABLE)",
        ),
        // An unreadable list does not prove that the server is not in it.
        (
            vec![RUNNING, VALUE, NO_RESTORE, no_instances],
            "RdsCall",
            "rds:DescribeDBInstances failed (EmptyAnswer)",
        ),
        (
            vec![RUNNING, at_writer.as_str(), NO_RESTORE, NO_INSTANCE, no_clusters],
            "RdsCall",
            "rds:DescribeDBClusters failed (EmptyAnswer)",
        ),
        (
            vec![RUNNING, VALUE, NO_RESTORE, of_cluster, plain.as_str(), no_deployments],
            "RdsCall",
            "rds:DescribeBlueGreenDeployments failed (EmptyAnswer)",
        ),
        (vec![RUNNING, text], "WrongForm", "it is not a PostgreSQL secret"),
        (vec![RUNNING, NO_VALUE], "WrongForm", "it has no value yet"),
    ] {
        // The last answer is for reading setSecret's note after the failure.
        let answers = [&answers[..], &[NO_NOTE]].concat();
        let wire = replies(&answers);
        let error = try_create(&wire, event()).await.unwrap_err();
        let reported = chain(&error);
        assert_eq!(error.kind(), kind, "{reported}");
        assert!(reported.contains(part), "{reported}");
        for secret in [ROTATION_TOKEN, PASSWORD] {
            assert!(!reported.contains(secret), "{kind}");
        }
        assert_eq!(wire.actual_requests().count(), answers.len(), "{kind}");
        let put = operations(&wire).contains(&"PutSecretValue".to_owned());
        assert_eq!(put, kind == "SecretsManagerCall");
    }
}

#[test]
fn a_wrong_deployment_stops_in_its_init_phase_and_names_the_setting() {
    for (settings, expected) in [
        (
            vec![
                ("RDS_CA_FILE", "/no/such/file.pem"),
                ("AWS_LAMBDA_FUNCTION_NAME", "f"),
                ("EVIDENCE_BUCKET", "b"),
            ],
            "variable RDS_CA_FILE",
        ),
        (vec![], "environment variable AWS_LAMBDA_FUNCTION_NAME is missing"),
    ] {
        let mut function = std::process::Command::new(env!("CARGO_BIN_EXE_rotate-database"));
        function.env_clear().env("AWS_REGION", "us-east-1").env("ENVIRONMENT", "dev").envs(settings);
        let ended = function.output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let line: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(line["error_type"], "InvalidConfiguration");
        assert!(line["message"].as_str().unwrap().contains(expected), "{line}");
    }
}
