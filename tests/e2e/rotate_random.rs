//! `rotate-random` against the contract of rotation: the twenty scenarios that need no database, by number.

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::types::Tag;
use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::Advice;
use crate::cloud::{self, Cloud, PREFIX};
use crate::secret::Secret;

/// A JSON secret with one rotated field; its odd spacing must survive.
const DOCUMENT: &str =
    "{ \"url\": \"https://example.org\",\t\"key\" : \"0123456789abcdef0123456789abcdef\",\"n\":1e2 }\n";
const FIELD_TAGS: [(&str, &str); 3] =
    [("rotation:bytes", "16"), ("rotation:encoding", "hex"), ("rotation:field", "key")];

/// Ordinal of the record's first S3 call: createSecret makes two calls for its seal, and each other step two to compare
/// it.
const AFTER_THE_SEAL: usize = 9;

#[track_caller]
fn kind(refused: Result<Value, Value>, expected: &str) -> String {
    let error = refused.expect_err("the step should have been refused");
    assert_eq!(error["errorType"], expected, "{error}");
    error["errorMessage"].as_str().unwrap().to_owned()
}

async fn calm() -> Cloud {
    let cloud = Cloud::connect("rotate-random").await;
    cloud.calm().await;
    cloud
}

#[tokio::test]
async fn s01_a_rotation_ends_with_a_new_value_a_record_and_a_message() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s01").await;
    cloud.restart().await;
    let before = cloud.last_call().await;
    let token = secret.rotate().await;
    secret.finished(&token, &secret.first).await;

    let calls = cloud.calls(before).await.0;
    let sequence = cloud.record_of(&token).await.unwrap()["sequence"].as_u64().unwrap();
    // Each step reads the current value; createSecret stores the seal of its value, and the others compare it. Before the
    // label moves: the search for a record, the chain's end, and the note of the coming record. After: message and record.
    let read =
        ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue"];
    let rotation = [
        // All steps share one read of the policy.
        ["s3:ListObjectVersions"].as_slice(),
        &read,
        &["s3:ListObjectsV2", "s3:PutObject", "secretsmanager:PutSecretValue"],
        &read,
        &["s3:ListObjectsV2", "s3:GetObject"],
        &read,
        &["s3:ListObjectsV2", "s3:GetObject"],
        &read,
        &["s3:ListObjectsV2", "s3:GetObject"],
        &["s3:ListObjectsV2", "s3:ListObjectVersions", "s3:GetObject", "s3:PutObject"],
        &["secretsmanager:UpdateSecretVersionStage"],
        &["secretsmanager:GetSecretValue", "slack:chat.postMessage", "s3:PutObject"],
        // The records 1, 2, 4 and so on are followed by the note that the chain has begun.
        if sequence.is_power_of_two() { &["s3:PutObject"] } else { &[] },
    ]
    .concat();
    assert_eq!(calls, rotation);

    let messages = cloud.messages(&token).await;
    assert_eq!(messages.len(), 1);
    for part in [
        format!("Segredo rotacionado: {PREFIX}s01 (dev)"),
        secret.first.clone(),
        "force-new-deployment".into(),
    ] {
        assert!(messages[0].contains(&part), "{part} is not in {}", messages[0]);
    }
    let record = cloud.record_of(&token).await.unwrap();
    assert_eq!(record["procedure"], "rotate-random");
    assert_eq!(record["environment"], "dev");
    assert_eq!(record["trigger"], "rotation step finishSecret");
    assert_eq!(record["channel"], "sent");
    assert_eq!(record["steps"].as_array().unwrap().len(), 3);
    let local = record["ended"]["local"].as_str().unwrap();
    assert!(local.ends_with("-03:00"), "{local}");

    let line = cloud.log_lines(&format!("finishSecret of {}", secret.arn)).await.remove(0);
    let line: Value = serde_json::from_str(&line).unwrap();
    for field in ["level", "timestamp", "service", "function_name", "function_request_id", "environment"] {
        assert!(line[field].is_string(), "{field} in {line}");
    }
    assert_eq!(line["correlation_id"], token.as_str());
    assert_eq!(line["run_id"], token.as_str());
}

#[tokio::test]
async fn s01_the_applications_secret_is_rotated_by_the_default_policy() {
    let cloud = calm().await;
    let arn =
        cloud.secrets.describe_secret().secret_id("/moveongs/dev/jwt").send().await.unwrap().arn.unwrap();
    let mut secret = Secret { cloud: &cloud, arn, first: String::new(), field: None };
    secret.first = secret.labelled("AWSCURRENT").await.unwrap();
    let token = secret.rotate().await;
    secret.finished(&token, &secret.first).await;
    assert_eq!(secret.value(&token).await.len(), 64);
}

#[tokio::test]
async fn s01_the_webhook_secret_is_rotated_by_the_default_policy() {
    let cloud = calm().await;
    let described =
        cloud.secrets.describe_secret().secret_id("moveongs-dev-notifications-webhook").send().await;
    let secret =
        Secret { cloud: &cloud, arn: described.unwrap().arn.unwrap(), first: String::new(), field: None };
    let token = secret.rotate().await;
    let value = secret.value(&token).await;
    assert!(value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[tokio::test]
async fn s01_a_field_is_rotated_and_the_rest_of_the_document_kept() {
    let cloud = calm().await;
    let secret = Secret::new(&cloud, "s01-field", DOCUMENT, &FIELD_TAGS).await;
    let token = secret.rotate().await;
    let (old, new) = (secret.value(&secret.first).await, secret.value(&token).await);
    let key = serde_json::from_str::<Value>(&new).unwrap()["key"].as_str().unwrap().to_owned();
    assert_eq!(old, DOCUMENT);
    assert_eq!(new, DOCUMENT.replace("0123456789abcdef0123456789abcdef", &key));
    assert_ne!(old, new);
}

#[tokio::test]
async fn s02_every_step_three_times_and_the_whole_again_changes_nothing() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s02").await;
    let token = secret.staged().await;
    let mut value = None;
    for (step, first, again) in [
        ("createSecret", "Created", "Kept"),
        ("setSecret", "Nothing", "Nothing"),
        ("testSecret", "Tested", "Tested"),
        ("finishSecret", "Finished", "AlreadyFinished"),
    ] {
        for expected in [first, again, again] {
            assert_eq!(secret.step(step, &token).await, Ok(json!(expected)), "{step}");
            let stored = secret.value(&token).await;
            assert_eq!(*value.get_or_insert(stored.clone()), stored);
        }
    }
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert_eq!(secret.step(step, &token).await, Ok(json!("AlreadyFinished")));
    }
    // The service retries too, finds the rotation over, and removes AWSPENDING.
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    secret.finished(&token, &secret.first).await;
    assert_eq!(secret.value(&token).await, value.unwrap());
    assert_eq!(cloud.messages(&token).await.len(), 1 + failures_of(&cloud, &token).await);
}

/// Messages about the failure by which [`Secret::staged`] delays a rotation.
async fn failures_of(cloud: &Cloud, token: &str) -> usize {
    let messages = cloud.messages(token).await;
    messages.iter().filter(|text| text.contains("Rotação falhou")).count()
}

#[tokio::test]
async fn s04_a_value_that_was_stored_before_a_crash_is_kept() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s04").await;
    cloud.fault(json!({"service": "secretsmanager", "action": "PutSecretValue", "when": "after", "effect": "kill"})).await;
    let token = secret.start().await;
    secret.settled(&["waiting"]).await;
    let value = secret.value(&token).await;
    let before = cloud.last_call().await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    secret.finished(&token, &secret.first).await;
    assert_eq!(secret.value(&token).await, value);
    assert!(!cloud.calls(before).await.0.contains(&"secretsmanager:PutSecretValue".to_owned()));
}

#[tokio::test]
async fn s05_of_two_createsecret_at_once_one_wins_and_both_succeed() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s05").await;
    let token = secret.staged().await;
    // The first to read the empty version is held until the other has stored its value.
    let held =
        json!({"service": "secretsmanager", "action": "PutSecretValue", "effect": "timeout", "seconds": 2});
    cloud.fault(held).await;
    let (first, second) =
        tokio::join!(secret.step("createSecret", &token), secret.step("createSecret", &token));
    let mut outcomes = [first.unwrap().to_string(), second.unwrap().to_string()];
    outcomes.sort();
    assert_eq!(outcomes, [r#""Created""#, r#""Kept""#]);
    assert_eq!(cloud.hits("timeout").await, 1);
    let value = secret.value(&token).await;
    assert_eq!(secret.step("createSecret", &token).await, Ok(json!("Kept")));
    assert_eq!(secret.value(&token).await, value);
}

#[tokio::test]
async fn s07_a_token_or_step_that_is_not_of_a_rotation_is_refused() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s07").await;
    let labels = secret.labels().await;
    let unknown = "00000000-0000-0000-0000-000000000000";
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        kind(secret.step(step, unknown).await, "UnknownVersion");
    }
    let token = secret.rotate().await;
    // This version is AWSPREVIOUS, not pending.
    kind(secret.step("createSecret", &secret.first).await, "NotPending");
    for step in ["create_secret", "rollbackSecret", ""] {
        let message = kind(secret.step(step, &token).await, "InvalidEvent");
        assert!(message.contains("Step"), "{message}");
    }
    kind(cloud.invoke(json!({"Step": "createSecret"})).await, "InvalidEvent");
    kind(cloud.invoke(json!("createSecret")).await, "InvalidEvent");
    kind(secret.step("createSecret", "short").await, "InvalidEvent");
    assert_eq!(labels.len() + 1, secret.labels().await.len());
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s08_a_secret_whose_rotation_is_off_or_was_never_on_is_refused() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s08").await;
    let token = secret.staged().await;
    cloud.secrets.cancel_rotate_secret().secret_id(&secret.arn).send().await.unwrap();
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        kind(secret.step(step, &token).await, "RotationNotEnabled");
    }
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));

    let never = cloud
        .secrets
        .create_secret()
        .name(format!("{PREFIX}s08-never"))
        .secret_string("x")
        .send()
        .await
        .unwrap();
    let event =
        json!({"Step": "createSecret", "SecretId": never.arn, "ClientRequestToken": never.version_id});
    kind(cloud.invoke(event).await, "RotationNotEnabled");
}

/// Lets a waiting rotation continue to its end.
async fn goes_on(secret: &Secret<'_>) {
    secret.cloud.admin(Method::DELETE, "faults", None).await;
    secret.retry().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
}

/// Runs all commands of the channel's message about a failure, in their order.
async fn follow(secret: &Secret<'_>, token: &str, kind: &str) {
    let reported = secret.cloud.messages(token).await;
    let reported =
        reported.iter().find(|message| message.contains(kind)).unwrap_or_else(|| panic!("{reported:?}"));
    let advice = Advice::of(reported);
    for command in advice.commands() {
        crate::advice::run(secret.cloud, command);
    }
}

#[tokio::test]
async fn the_commands_of_each_message_cure_in_the_state_that_it_describes() {
    let cloud = calm().await;
    let cured = async |secret: &Secret<'_>, token: &str, kind: &str| {
        follow(secret, token, kind).await;
        let rotation = secret.settled(&["succeeded", "waiting"]).await;
        assert_eq!(rotation["state"], "succeeded", "{kind}: {rotation}");
        assert_ne!(secret.labelled("AWSCURRENT").await.as_deref(), Some(token), "{kind}");
    };
    let secret = Secret::plain(&cloud, "cured").await;
    // A value that the changed policy refuses.
    let token = secret.staged().await;
    secret.put_sealed(&token, "weak").await;
    kind(secret.step("testSecret", &token).await, "PendingRejected");
    cured(&secret, &token, "PendingRejected").await;
    // A value staged by another caller.
    let token = secret.staged().await;
    let put = cloud.secrets.put_secret_value().secret_id(&secret.arn).client_request_token(&token);
    put.secret_string("chosen").version_stages("AWSPENDING").send().await.unwrap();
    kind(secret.step("setSecret", &token).await, "ForeignPending");
    cured(&secret, &token, "ForeignPending").await;
    // The label is removed, or is on another version.
    let token = secret.staged().await;
    let clear = cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    clear.version_stage("AWSPENDING").remove_from_version_id(&token).send().await.unwrap();
    let late = kind(secret.step("createSecret", &token).await, "UnknownVersion");
    assert!(late.contains(&token), "{late}");
    cured(&secret, &token, "UnknownVersion").await;
    let token = secret.staged().await;
    secret.step("createSecret", &token).await.unwrap();
    let own = cloud.secrets.put_secret_value().secret_id(&secret.arn).secret_string("chosen");
    own.version_stages("AWSPENDING").send().await.unwrap();
    kind(secret.step("testSecret", &token).await, "UnknownVersion");
    cured(&secret, &token, "UnknownVersion").await;
    // Rotation was switched off during a rotation.
    let token = secret.staged().await;
    cloud.secrets.cancel_rotate_secret().secret_id(&secret.arn).send().await.unwrap();
    kind(secret.step("createSecret", &token).await, "RotationNotEnabled");
    follow(&secret, &token, "RotationNotEnabled").await;
    let tested = secret.settled(&["tested", "test-failed"]).await;
    assert_eq!(tested["state"], "tested", "{tested}");
    let previous = secret.rotate().await;
    // The same without a running rotation.
    cloud.secrets.cancel_rotate_secret().secret_id(&secret.arn).send().await.unwrap();
    kind(secret.step("createSecret", &previous).await, "RotationNotEnabled");
    follow(&secret, &previous, "RotationNotEnabled").await;
    assert_eq!(secret.settled(&["tested", "test-failed"]).await["state"], "tested");
    secret.rotate().await;
    // Called for a version that is not pending; then while another one is.
    kind(secret.step("createSecret", &previous).await, "NotPending");
    cured(&secret, &previous, "NotPending").await;
    cloud.calm().await;
    let previous = secret.labelled("AWSPREVIOUS").await.unwrap();
    secret.staged().await;
    kind(secret.step("createSecret", &previous).await, "NotPending");
    cured(&secret, &previous, "NotPending").await;
    // A person moves AWSCURRENT back before the service sees the end of the rotation.
    let before = secret.labelled("AWSCURRENT").await.unwrap();
    let token = secret.staged().await;
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        secret.step(step, &token).await.unwrap();
    }
    let back = cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    let back = back.version_stage("AWSCURRENT").move_to_version_id(before).remove_from_version_id(&token);
    back.send().await.unwrap();
    kind(secret.step("finishSecret", &token).await, "CurrentMoved");
    cured(&secret, &token, "CurrentMoved").await;
    // A label that moved between two calls.
    let refusal = json!({"service": "secretsmanager", "action": "DescribeSecret", "effect": "error", "status": 400,
        "code": "InvalidRequestException", "count": 0});
    cloud.fault(refusal).await;
    let token = secret.start().await;
    secret.settled(&["waiting"]).await;
    follow(&secret, &token, "SecretsManagerCall").await;
    goes_on(&secret).await;

    // Gaps in policy, tags or value: the next try, or the next rotation, uses a person's correction.
    let tag = async |secret: &Secret<'_>, key: &str, value: &str| {
        let tag = Tag::builder().key(key).value(value).build();
        cloud.secrets.tag_resource().secret_id(&secret.arn).tags(tag).send().await.unwrap();
    };
    tag(&secret, "rotation:bytes", "many").await;
    let token = secret.staged().await;
    kind(secret.step("createSecret", &token).await, "InvalidTag");
    tag(&secret, "rotation:bytes", "48").await;
    goes_on(&secret).await;
    let secret = Secret::new(&cloud, "cured-rule", "plain", &[]).await;
    let token = secret.staged().await;
    kind(secret.step("createSecret", &token).await, "NoRule");
    tag(&secret, "rotation:bytes", "48").await;
    tag(&secret, "rotation:encoding", "base64").await;
    goes_on(&secret).await;
    tag(&secret, "rotation:field", "key").await;
    let token = secret.staged().await;
    kind(secret.step("createSecret", &token).await, "WrongForm");
    cloud.secrets.put_secret_value().secret_id(&secret.arn).secret_string(DOCUMENT).send().await.unwrap();
    cured(&secret, &token, "WrongForm").await;

    // Another version of the document became current after the value was made.
    let secret = Secret::new(&cloud, "cured-field", DOCUMENT, &FIELD_TAGS).await;
    let previous = secret.rotate().await;
    let token = secret.staged().await;
    secret.step("createSecret", &token).await.unwrap();
    let other = secret.value(&previous).await.replace("1e2", "1e3");
    let back = cloud.secrets.put_secret_value().secret_id(&secret.arn).secret_string(other);
    let back = back.version_stages("other").send().await.unwrap().version_id.unwrap();
    let again = cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    let again = again.version_stage("AWSPENDING").move_to_version_id(&token);
    if secret.labelled("AWSPENDING").await.is_none() {
        again.send().await.unwrap();
    }
    let moved = cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    let moved = moved.version_stage("AWSCURRENT").move_to_version_id(&back).remove_from_version_id(&previous);
    moved.send().await.unwrap();
    kind(secret.step("testSecret", &token).await, "CurrentChanged");
    cured(&secret, &token, "CurrentChanged").await;
}

#[tokio::test]
async fn s09_a_test_of_the_set_up_changes_nothing_and_an_empty_version_fails_it() {
    let cloud = calm().await;
    // `Secret::new` ends with RotateImmediately=false: the service calls only testSecret, on a copy of the current value.
    let secret = Secret::plain(&cloud, "s09").await;
    let rotation = secret.settled(&["tested"]).await;
    assert_eq!(rotation["steps"].as_array().unwrap().len(), 1);
    assert_eq!(rotation["steps"][0]["step"], "testSecret");
    assert_eq!(secret.labels().await.len(), 1);
    assert_eq!(secret.value(&secret.first).await, "dev-secret-change-me");

    let token = secret.staged().await;
    kind(secret.step("testSecret", &token).await, "EmptyPending");
    kind(secret.step("finishSecret", &token).await, "EmptyPending");
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
}

#[tokio::test]
async fn s10_finishsecret_proves_the_value_itself() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s10").await;
    let token = secret.staged().await;
    // A person has filled the version with a value with which the application refuses to start.
    let weak = cloud.secrets.put_secret_value().secret_id(&secret.arn).client_request_token(&token);
    weak.secret_string("hunter2").version_stages("AWSPENDING").send().await.unwrap();
    for step in ["createSecret", "testSecret", "finishSecret"] {
        let message = kind(secret.step(step, &token).await, "ForeignPending");
        assert!(message.contains("did not make") && !message.contains("hunter2"), "{message}");
    }
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
    // The channel has the commands that fix it.
    let message = cloud.messages("finishSecret: *ForeignPending*").await.remove(0);
    let advice = Advice::of(&message);
    assert_eq!(advice.commands().len(), 3, "{message}");
    advice.run(&cloud, "describe-secret");
    advice.run(&cloud, "--version-stage AWSPENDING");
    advice.run(&cloud, "rotate-secret");
    secret.settled(&["succeeded"]).await;
    let next = secret.labelled("AWSCURRENT").await.unwrap();
    secret.finished(&next, &secret.first).await;
}

#[tokio::test]
async fn s10_a_pending_value_that_is_the_current_one_is_no_rotation() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s10-same").await;
    let first = secret.rotate().await;
    let token = secret.staged().await;
    let same = cloud.secrets.put_secret_value().secret_id(&secret.arn).client_request_token(&token);
    same.secret_string(secret.value(&first).await).version_stages("AWSPENDING").send().await.unwrap();
    kind(secret.step("finishSecret", &token).await, "ForeignPending");
    assert_eq!(secret.labelled("AWSCURRENT").await, Some(first));
}

#[tokio::test]
async fn s11_a_value_that_a_person_sets_meanwhile_is_not_overwritten() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s11").await;
    let token = secret.staged().await;
    secret.step("createSecret", &token).await.unwrap();
    let manual = cloud
        .secrets
        .put_secret_value()
        .secret_id(&secret.arn)
        .secret_string("set by hand, 32 characters long!");
    let manual = manual.send().await.unwrap().version_id.unwrap();
    // The service has abandoned the rotation; DescribeSecret omits a version without labels.
    let message = kind(secret.step("finishSecret", &token).await, "UnknownVersion");
    assert!(message.contains("gave it up"), "{message}");
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&manual));
    assert_eq!(secret.settled(&["abandoned"]).await["token"], token.as_str());
}

#[tokio::test]
async fn s12_the_calls_of_an_older_rotation_fail_and_the_newer_one_completes() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s12").await;
    let old = secret.staged().await;
    secret.step("createSecret", &old).await.unwrap();
    let clear = cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    clear.version_stage("AWSPENDING").remove_from_version_id(&old).send().await.unwrap();
    let new = secret.staged().await;
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        kind(secret.step(step, &old).await, "UnknownVersion");
    }
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&new));
    assert_eq!(secret.labelled("AWSPREVIOUS").await.as_ref(), Some(&secret.first));
}

#[tokio::test]
async fn s17_another_field_that_is_edited_meanwhile_is_not_undone() {
    let cloud = calm().await;
    let secret = Secret::new(&cloud, "s17", DOCUMENT, &FIELD_TAGS).await;
    let token = secret.staged().await;
    secret.step("createSecret", &token).await.unwrap();
    let edited =
        cloud.secrets.put_secret_value().secret_id(&secret.arn).secret_string(DOCUMENT.replace("1e2", "1e3"));
    let edited = edited.send().await.unwrap().version_id.unwrap();
    // The service has abandoned the rotation. A person puts the label back.
    let back = cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    back.version_stage("AWSPENDING").move_to_version_id(&token).send().await.unwrap();
    for step in ["testSecret", "finishSecret"] {
        kind(secret.step(step, &token).await, "CurrentChanged");
    }
    assert_eq!(secret.labelled("AWSCURRENT").await, Some(edited));
}

#[tokio::test]
async fn s17_a_secret_that_is_not_ours_to_make_is_left_alone() {
    let cloud = calm().await;
    let url = "postgres://imm:hunter2@localhost:5432/moveongs";
    let bytes = [("rotation:bytes", "48"), ("rotation:encoding", "base64")];
    for (name, value, tags, expected) in [
        ("s17-no-rule", url, [].as_slice(), "NoRule"),
        ("s17-url", url, &bytes, "WrongForm"),
        ("s17-document", DOCUMENT, &bytes, "WrongForm"),
        ("s17-no-field", "plain", &FIELD_TAGS, "WrongForm"),
        ("s17-bad-tag", "plain", &[("rotation:bytes", "8"), ("rotation:encoding", "hex")], "InvalidTag"),
    ] {
        let secret = Secret::new(&cloud, name, value, tags).await;
        let rotation = secret.settled(&["test-failed"]).await;
        assert_eq!(rotation["error"]["type"], expected, "{name}: {rotation}");
        secret.start().await;
        let rotation = secret.settled(&["waiting"]).await;
        assert_eq!(rotation["error"]["type"], expected, "{name}: {rotation}");
        assert_eq!(secret.value(&secret.first).await, value);
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
    }
}

#[tokio::test]
async fn s20_faults_that_pass_are_ridden_out() {
    let cloud = calm().await;
    for (name, fault) in [
        ("throttled", json!({"effect": "throttle"})),
        ("server-error", json!({"effect": "error", "status": 500, "code": "InternalServiceError"})),
        ("dropped", json!({"effect": "drop"})),
        ("dropped-after", json!({"effect": "drop", "when": "after"})),
        (
            "error-after",
            json!({"effect": "error", "status": 500, "code": "InternalServiceError", "when": "after"}),
        ),
    ] {
        for action in ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"] {
            cloud.calm().await;
            let secret = Secret::plain(&cloud, &format!("s20-{name}-{action}")).await;
            cloud.calm().await;
            let mut rule = fault.clone();
            rule["service"] = json!("secretsmanager");
            rule["action"] = json!(action);
            cloud.fault(rule).await;
            let token = secret.rotate().await;
            assert_eq!(cloud.hits(fault["effect"].as_str().unwrap()).await, 1, "{name} {action}");
            secret.finished(&token, &secret.first).await;
        }
    }
}

#[tokio::test]
async fn s20_a_label_that_moved_without_an_answer_counts_as_moved() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s20-unanswered").await;
    // Refused after it took effect, with an error that the SDK does not retry.
    let fault = json!({"service": "secretsmanager", "action": "UpdateSecretVersionStage", "when": "after",
        "effect": "error", "status": 400, "code": "InvalidParameterException"});
    cloud.fault(fault).await;
    let token = secret.rotate().await;
    assert_eq!(cloud.hits("error").await, 1);
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s20_a_refused_call_is_reported_once_with_the_next_step_and_heals() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s20-denied").await;
    cloud.calm().await;
    let denied = json!({"service": "secretsmanager", "action": "PutSecretValue", "count": 0,
        "effect": "error", "status": 400, "code": "EncryptionFailure", "message": "KMS: access denied for \"hunter2\""});
    cloud.fault(denied).await;
    let token = secret.start().await;
    for _ in 0..3 {
        let rotation = secret.settled(&["waiting"]).await;
        assert_eq!(rotation["error"]["type"], "SecretsManagerCall");
        assert!(!rotation.to_string().contains("hunter2"), "the service's message may quote the secret");
        secret.retry().await;
    }
    secret.settled(&["waiting"]).await;
    let reported = cloud.messages(&token).await;
    assert_eq!(reported.len(), 1, "four attempts, one message");
    assert!(
        reported[0].contains("Rotação falhou") && reported[0].contains("secretsmanager:PutSecretValue"),
        "{}",
        reported[0]
    );
    let records = cloud.evidence("rotate-random").await.into_iter().map(|(_, record)| record);
    let run =
        format!("{token}/createSecret/SecretsManagerCall/secretsmanager:PutSecretValue/EncryptionFailure/");
    let failed: Vec<_> =
        records.filter(|record| record["run_id"].as_str().unwrap().starts_with(&run)).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["result"], "failed");

    cloud.admin(Method::DELETE, "faults", None).await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s20_a_service_that_never_answers_fails_the_step_in_time_to_be_reported() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "s20-silent").await;
    cloud.calm().await;
    let silent = json!({"service": "secretsmanager", "action": "DescribeSecret", "count": 0, "effect": "timeout", "seconds": 60});
    cloud.fault(silent).await;
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting"]).await;
    // Reported by the function itself, before Lambda kills it.
    assert_eq!(rotation["error"]["type"], "SecretsManagerCall", "{rotation}");
    assert_eq!(cloud.messages(&token).await.len(), 1);
    cloud.admin(Method::DELETE, "faults", None).await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn a_finished_rotation_stays_finished_when_the_channel_or_the_evidence_fails() {
    let cloud = calm().await;
    for (name, fault, lost) in [
        (
            "slack-refuses",
            json!({"service": "slack", "effect": "error", "status": 200, "code": "is_archived"}),
            "NotificationFailures",
        ),
        (
            "slack-down",
            json!({"service": "slack", "effect": "error", "status": 503, "code": "down"}),
            "NotificationFailures",
        ),
        ("slack-throttles", json!({"service": "slack", "effect": "throttle"}), "NotificationFailures"),
        ("slack-hangs-up", json!({"service": "slack", "effect": "drop"}), "NotificationFailures"),
        (
            "s3-denies",
            json!({"service": "s3", "nth": AFTER_THE_SEAL, "effect": "error", "status": 403, "code": "AccessDenied"}),
            "EvidenceFailures",
        ),
        (
            "s3-put-denied",
            json!({"service": "s3", "action": "PutObject", "nth": 2, "effect": "error", "status": 403, "code": "AccessDenied"}),
            "EvidenceFailures",
        ),
    ] {
        cloud.calm().await;
        let secret = Secret::plain(&cloud, &format!("lost-{name}")).await;
        cloud.calm().await;
        let effect = fault["effect"].as_str().unwrap().to_owned();
        let mut rule = fault;
        rule["count"] = json!(0);
        cloud.fault(rule).await;
        let token = secret.rotate().await;
        assert!(cloud.hits(&effect).await > 0, "{name}");
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token), "{name}");
        cloud.calm().await;

        // Nothing is lost: a metric raises the alarm, and the log has the whole text.
        let lines = cloud.log_lines(&token).await;
        let undelivered: Vec<Value> = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["undelivered"].as_str().is_some_and(|text| text.contains(&token)))
            .collect();
        assert_eq!(undelivered.len(), 1, "{name}: {lines:?}");
        assert_eq!(undelivered[0]["level"], "ERROR");
        let expected = if lost == "NotificationFailures" { "NotificationFailed" } else { "EvidenceFailed" };
        assert_eq!(undelivered[0]["error_type"], expected, "{name}");
        assert!(!cloud.log_lines(&format!("\"{lost}\":1")).await.is_empty(), "{name}");
        // The call that did not fail has its effect.
        let record = cloud.record_of(&token).await;
        if lost == "NotificationFailures" {
            let channel = record.unwrap()["channel"].as_str().unwrap().to_owned();
            assert!(channel.starts_with("failed: "), "{name}: {channel}");
        } else {
            assert_eq!(record, None, "{name}");
        }
    }
    // Evaluate the alarms one minute ahead.
    for lost in ["notification-failures", "evidence-failures"] {
        let alarm = format!("moveongs-dev-rotate-random-{lost}");
        let until = shared::runtime::time::now().as_second() + 60;
        let asked = json!({"alarms": [alarm], "until": until});
        let states = cloud.admin(Method::POST, "alarms", Some(asked)).await;
        assert_eq!(states[&alarm], "ALARM");
    }
}

#[tokio::test]
async fn slack_that_is_busy_once_gets_the_message_at_the_second_try() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "slack-busy").await;
    cloud.calm().await;
    cloud.fault(json!({"service": "slack", "effect": "throttle"})).await;
    let token = secret.rotate().await;
    assert_eq!(cloud.hits("throttle").await, 1);
    assert_eq!(cloud.messages(&token).await.len(), 1);
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn a_version_that_became_current_in_another_way_is_not_reported_as_rotated() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "forged").await;
    cloud.calm().await;
    let weak = cloud
        .secrets
        .put_secret_value()
        .secret_id(&secret.arn)
        .secret_string("hunter2")
        .send()
        .await
        .unwrap();
    let token = weak.version_id.unwrap();
    assert_eq!(secret.step("finishSecret", &token).await, Ok(json!("AlreadyFinished")));
    assert_eq!(cloud.record_of(&token).await, None);
    assert!(cloud.messages(&token).await.is_empty());
}

#[tokio::test]
async fn evidence_that_fails_once_is_written_at_the_second_look() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "evidence-flake").await;
    cloud.calm().await;
    let flake = json!({"service": "s3", "nth": AFTER_THE_SEAL, "effect": "error", "status": 403, "code": "AccessDenied"});
    cloud.fault(flake).await;
    let token = secret.rotate().await;
    assert_eq!(cloud.hits("error").await, 1);
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn without_the_notes_no_value_is_made_or_trusted_until_they_are_back() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "no-notes").await;
    cloud.calm().await;
    cloud.deny("s3", "*").await;
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting"]).await;
    assert_eq!(
        (&rotation["error"]["step"], &rotation["error"]["type"]),
        (&json!("createSecret"), &json!("EvidenceFailed"))
    );
    cloud.calm().await;
    secret.step("createSecret", &token).await.unwrap();
    cloud.deny("s3", "*").await;
    for step in ["testSecret", "finishSecret"] {
        kind(secret.step(step, &token).await, "EvidenceFailed");
    }
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
    cloud.calm().await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    secret.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn a_replay_that_cannot_see_the_evidence_says_so() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "unseen").await;
    let token = secret.rotate().await;
    cloud.deny("s3", "*").await;
    assert_eq!(secret.step("finishSecret", &token).await, Ok(json!("AlreadyFinished")));
    cloud.calm().await;
    let lines = cloud.log_lines(&format!("state of run {token}")).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_message_that_slack_refused_is_reported_by_the_next_attempt() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "reported-later").await;
    cloud.calm().await;
    let denied = json!({"service": "secretsmanager", "action": "PutSecretValue", "count": 0,
        "effect": "error", "status": 400, "code": "AccessDeniedException"});
    cloud.fault(denied).await;
    cloud.fault(json!({"service": "slack", "effect": "error", "status": 200, "code": "is_archived"})).await;
    let token = secret.start().await;
    secret.settled(&["waiting"]).await;
    assert!(cloud.messages(&token).await.is_empty());
    secret.retry().await;
    secret.settled(&["waiting"]).await;
    assert_eq!(cloud.messages(&token).await.len(), 1);
}

#[tokio::test]
async fn a_binary_secret_is_left_alone() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "binary").await;
    let binary = cloud.secrets.put_secret_value().secret_id(&secret.arn);
    let binary =
        binary.secret_binary(aws_sdk_secretsmanager::primitives::Blob::new([0xfe; 40])).send().await.unwrap();
    secret.start().await;
    let rotation = secret.settled(&["waiting"]).await;
    assert_eq!(rotation["error"]["type"], "WrongForm", "{rotation}");
    assert_eq!(secret.labelled("AWSCURRENT").await, binary.version_id);
}

#[tokio::test]
async fn a_rule_that_breaks_after_the_rotation_does_not_fail_its_replay() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "replay").await;
    let token = secret.rotate().await;
    let tag = Tag::builder().key("rotation:bytes").value("many").build();
    cloud.secrets.tag_resource().secret_id(&secret.arn).tags(tag).send().await.unwrap();
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        assert_eq!(secret.step(step, &token).await, Ok(json!("AlreadyFinished")));
    }
}

#[tokio::test]
async fn the_evidence_can_be_neither_deleted_nor_replaced_nor_written_by_another() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "locked").await;
    secret.rotate().await;
    let key = cloud.evidence("rotate-random").await.pop().unwrap().0;
    let administrator = cloud.administrator("evidence-administrator").await;
    let bucket = cloud::EVIDENCE;
    assert!(administrator.get_object().bucket(bucket).key(&key).send().await.is_ok());
    let deleted = administrator.delete_object().bucket(bucket).key(&key).send().await.unwrap_err();
    let forge = |key: &str| administrator.put_object().bucket(bucket).key(key).body(b"{}".to_vec().into());
    let replaced = forge(&key).send().await.unwrap_err();
    let forged = forge("evidence/rotate-random/0000000001.json").if_none_match("*").send().await.unwrap_err();
    for code in [deleted.code(), replaced.code(), forged.code()] {
        assert_eq!(code, Some("AccessDenied"));
    }
    assert_eq!(cloud.evidence("rotate-random").await.pop().unwrap().0, key);
}

#[tokio::test]
async fn rotations_at_once_share_one_chain_of_evidence() {
    let cloud = calm().await;
    let mut secrets = Vec::new();
    for number in 0..6 {
        secrets.push(Secret::plain(&cloud, &format!("at-once-{number}")).await);
    }
    cloud.calm().await;
    let mut tokens = Vec::new();
    for secret in &secrets {
        tokens.push(secret.start().await);
    }
    for (secret, token) in secrets.iter().zip(&tokens) {
        secret.settled(&["succeeded"]).await;
        secret.finished(token, &secret.first).await;
        assert_eq!(cloud.messages(token).await.len(), 1);
    }
    let records = cloud.evidence("rotate-random").await;
    for token in &tokens {
        assert_eq!(records.iter().filter(|(_, record)| record["run_id"] == token.as_str()).count(), 1);
    }
}

#[tokio::test]
async fn the_role_opens_nothing_but_the_stacks_secrets() {
    let cloud = calm().await;
    let foreign = cloud.secrets.create_secret().name("/elsewhere/dev/jwt").secret_string("not ours");
    let tag = Tag::builder().key("rotation:bytes").value("48").build();
    let foreign = foreign.tags(tag).send().await.unwrap();
    let event =
        json!({"Step": "createSecret", "SecretId": foreign.arn, "ClientRequestToken": foreign.version_id});
    let message = kind(cloud.invoke(event).await, "SecretsManagerCall");
    assert!(message.contains("secretsmanager:DescribeSecret failed (AccessDeniedException)"), "{message}");
}
