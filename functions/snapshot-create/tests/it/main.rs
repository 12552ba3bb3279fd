//! The function's settings, and its requests on the wire: real SDK, real signing, recorded answers.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use aws_smithy_http_client::test_util::StaticReplayClient;
use serde_json::{Value, json};
use shared::env::{Env, EnvError};
use shared::failure::Failure;
use shared::lambda::Invocation;
use shared::testing::{aws, replies};
use snapshot_create::{App, SnapshotError, handle};

const EVENT: &str = include_str!("../../../../events/snapshot-create/deploy.json");
/// The evening before in São Paulo.
const NOW: &str = "2026-11-27T02:30:00Z";

const NO_OBJECT: &str = "<ListBucketResult></ListBucketResult>";
const NO_SNAPSHOT: &str = "<DescribeDBSnapshotsResponse><DescribeDBSnapshotsResult><DBSnapshots/></DescribeDBSnapshotsResult></DescribeDBSnapshotsResponse>";

fn app(wire: &StaticReplayClient, changed: &[(&str, &str)]) -> Result<App, EnvError> {
    let settings = |name: &str| {
        if let Some((_, value)) = changed.iter().find(|(given, _)| *given == name) {
            return Some((*value).to_owned());
        }
        let value = match name {
            "PROJECT" => "moveongs",
            "ENVIRONMENT" => "prod",
            "MESSAGE_LANGUAGE" => "pt-BR",
            "DATABASE_INSTANCE_ID" => "moveongs-prod-db",
            // Nothing listens there.
            "SLACK_API_URL" => "http://127.0.0.1:1/api",
            "POLICY" => return None,
            _ => "x",
        };
        Some(value.to_owned())
    };
    App::new(&Env::new(&settings), &aws(wire))
}

#[test]
fn a_setting_that_is_wrong_stops_the_start() {
    let refused = |name: &str, value: &str| app(&replies(&[]), &[(name, value)]).err().unwrap().to_string();
    assert!(refused("DATABASE_INSTANCE_ID", "").contains("DATABASE_INSTANCE_ID"));
    assert!(refused("PROJECT", "move--ongs").contains("single hyphens"));
    let policy = r#"{"backups": {"snapshots": {"retention_days": {"prod": null}}}}"#;
    assert!(refused("POLICY", policy).contains("has no entry for prod"));
    assert!(app(&replies(&[]), &[]).is_ok());
}

/// Lists, notes and asks; gives what came of it, and the form of the last request.
async fn asked(answer: &str) -> (SnapshotError, String) {
    // The note, which is not there; the list of snapshots; the note again, which is written; the request.
    let wire = replies(&[NO_OBJECT, NO_SNAPSHOT, NO_OBJECT, "", answer]);
    let app = app(&wire, &[]).unwrap();
    let input: Value = serde_json::from_str(EVENT).unwrap();
    let event = json!({"step": "create", "execution": "e", "input": input, "poll": 1});
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(60));
    let error = handle(&app, event, &invocation).await.unwrap_err();
    let requests: Vec<_> = wire.actual_requests().collect();
    let body = requests.last().unwrap().body().bytes().unwrap().to_vec();
    (error, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_snapshot_is_asked_for_with_the_days_name_and_all_tags() {
    let refusal = "<ErrorResponse __type='x'><Error><Code>SnapshotQuotaExceeded</Code><Message>Cannot create more</Message></Error></ErrorResponse>";
    let (error, body) = asked(refusal).await;
    assert_eq!(error.kind(), "SnapshotQuotaExceeded");
    for part in [
        "Action=CreateDBSnapshot",
        "DBSnapshotIdentifier=moveongs-prod-20261126&",
        "DBInstanceIdentifier=moveongs-prod-db&",
        "Tag.4.Key=Deploy&Tags.Tag.4.Value=github-19283746550-1&",
        "Key=ExpiresOn&Tags.Tag.7.Value=2026-12-26",
        "Key=Commit&Tags.Tag.8.Value=4f2c1b7d9e0a8c6b5d4e3f2a1b0c9d8e7f6a5b4c",
        "Key=CreatedBy&Tags.Tag.6.Value=github-actions%20deploy.yml%20ana-souza",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}
