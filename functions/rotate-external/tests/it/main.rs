//! Retiring old credentials on the wire: real SDK, real signing, recorded answers.

use std::time::Duration;

use rotate_external::{App, handle};
use serde_json::{Value, json};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::{aws, replies, variables};

const NO_OBJECT: &str = "<ListBucketResult></ListBucketResult>";
const OBJECT: &str =
    "<ListBucketResult><Contents><Key>runs/rotate-external/desk.json</Key></Contents></ListBucketResult>";
const DENIED: &str = "<Error __type='x'><Code>AccessDenied</Code></Error>";
const NO_TOKEN: &str = r#"{"__type": "AccessDeniedException"}"#;
const KEYS: &str = "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><AccessKeyId>AKIA2</AccessKeyId><Status>Active</Status></member></AccessKeyMetadata></ListAccessKeysResult></ListAccessKeysResponse>";
/// The channel and the evidence do not answer, which fails no procedure.
const UNREPORTED: [&str; 3] = [DENIED, NO_TOKEN, DENIED];

fn secret(name: &str) -> String {
    let arn = format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-a1B2c3");
    json!({"Name": name, "ARN": arn, "VersionIdsToStages": {"v2": ["AWSCURRENT"]}}).to_string()
}

#[tokio::test]
async fn a_note_that_fails_does_not_keep_the_other_secrets_from_being_retired() {
    let (mail, admin) = (secret("/moveongs/dev/ses"), secret("/moveongs/dev/seed-admin"));
    let key = json!({"NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID": "AKIA2", "NOTIFICATIONS_EMAIL_SES_SECRET_ACCESS_KEY": "s"});
    let key = json!({"SecretString": key.to_string()}).to_string();
    // An earlier attempt deleted the mail's previous key; another proved the refusal of the administrator's password.
    let [deleted, refused] = [
        json!({"deleted": {"key": "AKIA1"}}),
        json!({"refused": {"version": "v2"}}),
    ]
    .map(|doing| json!({"making": null, "deactivated": null, "promoting": null, "refused": "v2", "doing": doing}))
    .map(|issuance| issuance.to_string());
    let answers = [
        &[mail.as_str(), NO_OBJECT, OBJECT, &deleted, &key, KEYS][..],
        &UNREPORTED,
        // The note of the first secret fails.
        &[OBJECT, &deleted, DENIED],
        &[admin.as_str(), NO_OBJECT, OBJECT, &refused],
        &UNREPORTED,
        &[OBJECT, &refused, ""],
    ];
    let wire = replies(&answers.concat());
    let variables = variables(&[
        ("SES_SECRET_NAME", "/moveongs/dev/ses"),
        ("SEED_ADMIN_SECRET_NAME", "/moveongs/dev/seed-admin"),
        ("TWILIO_SECRET_NAME", ""),
        ("DATABASE_SECRET_NAME", ""),
        ("APP_URL", ""),
        ("SEED_ADMIN_GITHUB_SECRET", ""),
    ]);
    let app = App::new(&Env::new(&variables), &aws(&wire)).unwrap();
    let invocation = Invocation::new("2026-03-01T12:00:00Z".parse().unwrap(), Duration::from_secs(60));
    let error = handle(&app, json!({"retire": true}), &invocation).await.unwrap_err();
    assert_eq!(error.kind(), "DeskFailed");
    let requests: Vec<_> = wire.actual_requests().collect();
    assert_eq!(requests.len(), answers.concat().len());
    let notes: Vec<Value> = requests
        .iter()
        .filter(|request| request.method() == "PUT")
        .map(|request| serde_json::from_slice(request.body().bytes().unwrap()).unwrap())
        .collect();
    // Both secrets' notes were sent, and the second one was stored.
    assert_eq!(notes.iter().map(|note| &note["doing"]).collect::<Vec<_>>(), [&Value::Null, &Value::Null]);
}
