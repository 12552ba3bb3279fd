//! Tests the function against Secrets Manager's wire protocol: real SDK, real signing, recorded answers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use aws_smithy_http_client::test_util::StaticReplayClient;
use rotate_random::App;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::rotation::{Outcome, handle};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::{aws, replies, variables};

const CREATE: &str = include_str!("../../../../events/rotate-random/create-secret.json");
const TOKEN: &str = "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10";

const RUNNING: &str = r#"{"Name": "/moveongs/dev/jwt", "RotationEnabled": true, "Tags": [],
    "VersionIdsToStages": {"old": ["AWSCURRENT"], "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10": ["AWSPENDING"]}}"#;
const NO_VALUE: &str =
    r#"{"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the value"}"#;
const OTHER_VALUE: &str = r#"{"__type": "ResourceExistsException", "Message": "the version has a value"}"#;
const VALUE: &str = r#"{"SecretString": "dev-secret-change-me", "CreatedDate": 1772366400}"#;
const NO_NOTE: &str = "<ListBucketResult></ListBucketResult>";
const NOTE: &str =
    "<ListBucketResult><Contents><Key>runs/rotate-random/note.json</Key></Contents></ListBucketResult>";

/// The note of createSecret with the seal of `value`.
fn made(value: &str) -> String {
    let seal: String =
        Sha256::digest(format!("{TOKEN}\0{value}")).iter().map(|b| format!("{b:02x}")).collect();
    json!({"seals": [seal]}).to_string()
}

fn app(wire: &StaticReplayClient) -> App {
    let variables = variables(&[("JWT_SECRET_NAME", "/moveongs/dev/jwt"), ("WEBHOOK_SECRET_NAME", "")]);
    App::new(&Env::new(&variables), &aws(wire)).unwrap()
}

/// Operation and body of every request, so that an extra one fails the test; for S3 only the method.
fn requests(wire: &StaticReplayClient) -> Vec<(String, Value)> {
    let parse = |request: &aws_smithy_runtime_api::client::orchestrator::HttpRequest| {
        let Some(target) = request.headers().get("x-amz-target") else {
            return (request.method().to_owned(), Value::Null);
        };
        let operation = target.rsplit('.').next().unwrap().to_owned();
        (operation, serde_json::from_slice(request.body().bytes().unwrap()).unwrap())
    };
    wire.actual_requests().map(parse).collect()
}

async fn perform(wire: &StaticReplayClient, event: Value) -> Outcome {
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    handle(&app(wire), event, &Invocation::new(now, Duration::from_secs(30)))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn createsecret_reads_what_is_there_and_fills_the_pending_version() {
    let wire = replies(&[RUNNING, VALUE, NO_VALUE, NO_NOTE, "", "{}"]);
    let event: Value = serde_json::from_str(CREATE).unwrap();
    assert_eq!(perform(&wire, event.clone()).await, Outcome::Created);

    let arn = &event["SecretId"];
    let mut requests = requests(&wire);
    let (operation, mut put) = requests.pop().unwrap();
    let value = put["SecretString"].take();
    assert_eq!(value.as_str().unwrap().len(), 64);
    assert_eq!(
        (operation.as_str(), put),
        (
            "PutSecretValue",
            json!({
                "SecretId": arn, "ClientRequestToken": TOKEN, "VersionStages": ["AWSPENDING"], "SecretString": null,
                "RotationToken": "EXAMPLE-rotation-token-not-a-real-one",
            })
        )
    );
    let get = |version: &str, stage: &str| {
        ("GetSecretValue".to_owned(), json!({"SecretId": arn, "VersionId": version, "VersionStage": stage}))
    };
    let describe = ("DescribeSecret".to_owned(), json!({"SecretId": arn}));
    // The seal is stored before the value, because no step uses a value without a seal.
    let s3 = |method: &str| (method.to_owned(), Value::Null);
    let read = [describe, get("old", "AWSCURRENT"), get(TOKEN, "AWSPENDING")];
    assert_eq!(requests, [&read[..], &[s3("GET"), s3("PUT")]].concat());
}

#[tokio::test]
async fn an_event_of_an_older_service_has_no_rotation_token_to_forward() {
    let wire = replies(&[RUNNING, VALUE, NO_VALUE, NO_NOTE, "", "{}"]);
    let mut event: Value = serde_json::from_str(CREATE).unwrap();
    event.as_object_mut().unwrap().remove("RotationToken");
    assert_eq!(perform(&wire, event).await, Outcome::Created);
    assert_eq!(requests(&wire).pop().unwrap().1.get("RotationToken"), None);
}

#[tokio::test]
async fn a_second_createsecret_only_reads() {
    let wire = replies(&[RUNNING, VALUE, VALUE, NOTE, &made("dev-secret-change-me")]);
    assert_eq!(perform(&wire, serde_json::from_str(CREATE).unwrap()).await, Outcome::Kept);
    assert_eq!(requests(&wire).len(), 5);
}

#[tokio::test]
async fn no_step_uses_a_pending_value_that_createsecret_did_not_make() {
    let chosen = format!(r#"{{"SecretString": "{}"}}"#, "AAAA".repeat(16));
    for (step, notes) in [
        ("createSecret", &[NO_NOTE][..]),
        ("setSecret", &[NO_NOTE]),
        ("testSecret", &[NOTE, &made("another")]),
        ("finishSecret", &[NO_NOTE]),
        ("finishSecret", &[NOTE, &made("another")]),
    ] {
        let wire = replies(&[&[RUNNING, VALUE, &chosen][..], notes].concat());
        let mut event: Value = serde_json::from_str(CREATE).unwrap();
        event["Step"] = json!(step);
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let refused = handle(&app(&wire), event, &Invocation::new(now, Duration::from_secs(30))).await;
        assert_eq!(refused.unwrap_err().kind(), "ForeignPending", "{step}");
        let mut operations = requests(&wire).into_iter().map(|(operation, _)| operation);
        assert!(!operations.any(|operation| operation.contains("Put") || operation.contains("Update")));
    }
}

#[tokio::test]
async fn the_loser_of_two_createsecret_keeps_the_winners_value() {
    let note = made("dev-secret-change-me");
    let wire = replies(&[RUNNING, VALUE, NO_VALUE, NO_NOTE, "", OTHER_VALUE, VALUE, NOTE, &note]);
    assert_eq!(perform(&wire, serde_json::from_str(CREATE).unwrap()).await, Outcome::Kept);
    let operations: Vec<_> = requests(&wire).into_iter().map(|(operation, _)| operation).collect();
    let get = "GetSecretValue";
    assert_eq!(operations, ["DescribeSecret", get, get, "GET", "PUT", "PutSecretValue", get, "GET", "GET"]);
}

#[tokio::test]
async fn finishsecret_moves_awscurrent_only_from_where_it_was() {
    let pending = format!(r#"{{"SecretString": "{}", "CreatedDate": 1772366400}}"#, "AAAA".repeat(16));
    let note = made(&"AAAA".repeat(16));
    // The answer for the listing of records is invalid: the rotation finishes without evidence.
    let wire = replies(&[RUNNING, VALUE, &pending, NOTE, &note, "", "{}"]);
    let mut event: Value = serde_json::from_str(CREATE).unwrap();
    event["Step"] = json!("finishSecret");
    assert_eq!(perform(&wire, event.clone()).await, Outcome::Finished);
    let moved = wire.actual_requests().find(|request| {
        request
            .headers()
            .get("x-amz-target")
            .is_some_and(|target| target.ends_with(".UpdateSecretVersionStage"))
    });
    let moved: Value = serde_json::from_slice(moved.unwrap().body().bytes().unwrap()).unwrap();
    let expected = json!({
        "SecretId": event["SecretId"], "VersionStage": "AWSCURRENT", "MoveToVersionId": TOKEN,
        "RemoveFromVersionId": "old",
    });
    assert_eq!(moved, expected);
}

#[test]
fn a_wrong_deployment_stops_in_its_init_phase_and_names_the_setting() {
    for (name, expected) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "environment variable EVIDENCE_BUCKET is missing"),
        ("EVIDENCE_BUCKET", "environment variable AWS_LAMBDA_FUNCTION_NAME is missing"),
    ] {
        let mut function = std::process::Command::new(env!("CARGO_BIN_EXE_rotate-random"));
        function.env_clear().env("AWS_REGION", "us-east-1").env("ENVIRONMENT", "dev").env(name, "x");
        let ended = function.output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let line: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(line["error_type"], "InvalidConfiguration");
        assert!(line["message"].as_str().unwrap().contains(expected), "{line}");
    }
}
