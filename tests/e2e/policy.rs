//! The policy's document, with IAM enforced: permissions to write it, the version in force, and the effect of a broken
//! one.

use std::process::Command;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::ProvideErrorMetadata;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, EVIDENCE, eventually};
use crate::matrix::points_and_reads;
use crate::secret::Secret;

/// A cloud without policy document and without note of a broken one.
async fn fresh() -> Cloud {
    of("rotate-random").await
}

async fn of(procedure: &'static str) -> Cloud {
    let cloud = Cloud::connect(procedure).await;
    cloud.calm().await;
    cloud.policy_events(false).await;
    cloud.forget_policy().await;
    for folder in ["evidence/policy/", "runs/policy/"] {
        cloud.wipe(folder).await;
    }
    cloud.wipe("runs/policy-notice/").await;
    cloud
}

/// A policy under which the length of JWT_SECRET and of the tests' secrets differs from the defaults.
fn patch(secret: &str, bytes: u16) -> Value {
    json!({"rotation": {"secrets": {secret: {"max_age_days": 30, "random": {"bytes": bytes, "encoding": "hex"}}}}})
}

/// The length of a secret's value after a rotation.
async fn rotated(secret: &Secret<'_>) -> usize {
    let token = secret.rotate().await;
    secret.value(&token).await.len()
}

async fn name(secret: &Secret<'_>) -> String {
    let described = secret.cloud.secrets.describe_secret().secret_id(&secret.arn).send().await.unwrap();
    described.name.unwrap()
}

#[tokio::test]
async fn a_broken_policy_stops_no_rotation_and_is_announced_once() {
    let cloud = fresh().await;
    let secret = Secret::new(&cloud, "policy-broken", "dev-secret-change-me", &[]).await;
    let name = name(&secret).await;
    cloud.set_policy(&patch(&name, 40)).await;
    assert_eq!(rotated(&secret).await, 80);
    cloud.calm().await;
    cloud.put_policy(r#"{"format": 1, "patch": {"rotation": {}}}"#).await;
    for _ in 0..2 {
        cloud.restart().await;
        assert_eq!(rotated(&secret).await, 80, "the last good one");
    }
    let reported = cloud.messages("A política nova tem um erro").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(
        reported[0].contains("missing field") && reported[0].contains("cargo xtask policy apply"),
        "{reported:?}"
    );
    let notes = cloud.keys("runs/policy-notice/").await;
    assert_eq!(notes.len(), 1);
    assert_eq!(cloud.json(&notes[0]).await.unwrap()["is_told"], true);
    // Evaluate the alarm one minute ahead.
    let until = shared::runtime::time::now().as_second() + 60;
    let asked = json!({"alarms": ["moveongs-dev-inventory-audit-policy-broken"], "until": until});
    let states = cloud.admin(Method::POST, "alarms", Some(asked)).await;
    assert_eq!(states["moveongs-dev-inventory-audit-policy-broken"], "ALARM");
    // A different mistake is announced again.
    cloud.put_policy("no JSON").await;
    cloud.restart().await;
    assert_eq!(rotated(&secret).await, 80);
    assert_eq!(cloud.messages("A política nova tem um erro").await.len(), 2);
    cloud.forget_policy().await;
}

#[tokio::test]
async fn behind_any_number_of_broken_versions_the_last_good_one_stays() {
    let cloud = fresh().await;
    let secret = Secret::new(&cloud, "policy-long-broken", "dev-secret-change-me", &[]).await;
    cloud.set_policy(&patch(&name(&secret).await, 40)).await;
    for _ in 0..20 {
        cloud.put_policy("{}").await;
    }
    cloud.restart().await;
    assert_eq!(rotated(&secret).await, 80);
    cloud.forget_policy().await;
}

#[tokio::test]
async fn the_record_of_a_broken_version_announces_it_no_second_time() {
    let cloud = of("rotate-random").await;
    let secret = Secret::plain(&cloud, "policy-twice").await;
    cloud.put_policy("{}").await;
    cloud.restart().await;
    secret.rotate().await;
    let recorder = Cloud::connect("inventory-audit").await;
    recorder.invoke(event()).await.unwrap();
    let record = records(&recorder).await.pop().unwrap();
    assert!(record["findings"][0].as_str().unwrap().starts_with("policy.broken "), "{record}");
    assert_eq!(cloud.messages("A política nova tem um erro").await.len(), 1);
    cloud.forget_policy().await;
}

#[tokio::test]
async fn without_an_answer_of_s3_a_cold_start_refuses_and_a_warm_one_goes_on() {
    let cloud = fresh().await;
    let secret = Secret::plain(&cloud, "policy-unread").await;
    cloud.restart().await;
    cloud.deny("s3", "ListObjectVersions").await;
    let refused = secret.step("createSecret", "11111111-2222-3333-4444-555555555555").await.unwrap_err();
    assert_eq!(refused["errorType"], "PolicyUnread", "{refused}");
    assert!(refused["errorMessage"].as_str().unwrap().contains("s3:ListBucketVersions"), "{refused}");
    cloud.calm().await;
    secret.rotate().await;
}

#[tokio::test]
async fn only_the_deployer_puts_the_policy() {
    let cloud = fresh().await;
    let administrator = cloud.administrator("administrator-who-puts-a-policy").await;
    let own_role = cloud.s3_as(cloud.own_role().await);
    let deployer = cloud.s3_as(cloud.deployer().await);
    for (client, is_allowed) in [(administrator, false), (own_role, false), (deployer, true)] {
        let put = client.put_object().bucket(EVIDENCE).key(shared::policy::KEY).body(b"{}".to_vec().into());
        let code = put.send().await.err().and_then(|error| error.code().map(str::to_owned));
        assert_eq!(code.as_deref(), (!is_allowed).then_some("AccessDenied"));
    }
    cloud.forget_policy().await;
}

/// Runs `cargo xtask policy` as the person with this key; returns the output or the error.
fn xtask(cloud: &Cloud, key: &Credentials, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["xtask", "policy"]).args(arguments).args(["--environment", "dev"]);
    command.env("AWS_ENDPOINT_URL", cloud.endpoint()).env("AWS_REGION", "us-east-1");
    // Version 1 of the AWS CLI reads only this variable.
    command.env("AWS_DEFAULT_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", key.access_key_id());
    command.env("AWS_SECRET_ACCESS_KEY", key.secret_access_key());
    command.env("AWS_SESSION_TOKEN", key.session_token().unwrap_or_default());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn a_policy_is_checked_shown_and_applied_from_its_commit() {
    let cloud = fresh().await;
    let deployer = cloud.deployer().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dev.json");
    let path = file.to_str().unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder.path()).args(["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]);
        assert!(git.args(arguments).status().unwrap().success());
    };
    git(&["init", "--quiet"]);
    std::fs::write(&file, r#"{"backups": {"audit": {"grafana_days": 0}}}"#).unwrap();
    let refused = xtask(&cloud, &deployer, &["check", path]).unwrap_err();
    assert!(refused.contains("backups.audit.grafana_days: expected 1 to 366"), "{refused}");
    std::fs::write(&file, r#"{"backups": {"audit": {"grafana_days": 10}}}"#).unwrap();
    let shown = xtask(&cloud, &deployer, &["check", path]).unwrap();
    assert_eq!(shown, "backups.audit.grafana_days: 31 → 10\n");
    let refused = xtask(&cloud, &deployer, &["apply", path]).unwrap_err();
    assert!(refused.contains("commit"), "{refused}");
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "Ten days"]);
    let administrator = cloud
        .user("administrator-who-applies", json!({"Effect": "Allow", "Action": "*", "Resource": "*"}))
        .await;
    let refused = xtask(&cloud, &administrator, &["apply", path]).unwrap_err();
    assert!(refused.contains("AccessDenied") && refused.contains("nothing was applied"), "{refused}");
    let applied = xtask(&cloud, &deployer, &["apply", path, "--reason", "Grafana a cada dez dias"]).unwrap();
    assert!(
        applied.contains("grafana_days: 31 → 10") && applied.contains("Ana <ana@example.org>"),
        "{applied}"
    );
    let shown = xtask(&cloud, &deployer, &["show"]).unwrap();
    assert!(
        shown.contains("author Ana")
            && shown.contains("file dev.json")
            && shown.contains("reason Grafana")
            && shown.ends_with("31 → 10\n"),
        "{shown}"
    );
    // Applying it again changes nothing and writes no version.
    assert_eq!(xtask(&cloud, &deployer, &["apply", path]).unwrap(), "nothing changes\n");
    cloud.forget_policy().await;
}

/// A policy document with a patch, from a file of a commit.
fn document(commit: &str, path: &str, days: u16) -> String {
    let patch = json!({"backups": {"audit": {"grafana_days": days}}});
    json!({"format": 1, "author": "Ana <ana@example.org>", "commit": commit, "path": path, "applied_at": "2026-03-01T12:00:00Z", "patch": patch})
        .to_string()
}

/// Commits a new file with these days to main; returns the commit.
async fn commit(cloud: &Cloud, path: &str, days: u16) -> String {
    cloud.commit(path, &json!({"backups": {"audit": {"grafana_days": days}}}).to_string()).await
}

/// EventBridge's event after a write of the document.
fn event() -> Value {
    serde_json::from_str(include_str!("../../events/inventory-audit/policy-changed.json")).unwrap()
}

async fn records(cloud: &Cloud) -> Vec<Value> {
    cloud.evidence("policy").await.into_iter().map(|(_, record)| record).collect()
}

const NOWHERE: &str = "5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed";

#[tokio::test]
async fn every_change_is_recorded_and_announced_once_and_an_unmerged_one_is_a_finding() {
    let cloud = of("inventory-audit").await;
    cloud.admin(Method::DELETE, "github/repository", None).await;
    let merged = commit(&cloud, "policy/ten.json", 10).await;
    // EventBridge delivers the first event.
    cloud.policy_events(true).await;
    cloud.put_policy(&document(&merged, "policy/ten.json", 10)).await;
    let first = eventually("the record", async || records(&cloud).await.pop()).await;
    cloud.policy_events(false).await;
    assert_eq!((&first["result"], &first["findings"]), (&json!("succeeded"), &json!([])), "{first}");
    let steps = first["steps"].to_string();
    for part in [
        "grafana_days: 31 → 10",
        "Ana <ana@example.org>",
        &merged,
        "policy/ten.json",
        "is the commit on main",
    ] {
        assert!(steps.contains(part), "{part}: {steps}");
    }
    // The same event again changes nothing.
    cloud.invoke(event()).await.unwrap();
    assert_eq!(records(&cloud).await.len(), 1);
    assert_eq!(cloud.messages("Política alterada").await.len(), 1);
    // A commit that GitHub does not know.
    cloud.put_policy(&document(NOWHERE, "policy/dev.json", 11)).await;
    cloud.invoke(event()).await.unwrap();
    let second = records(&cloud).await.pop().unwrap();
    assert!(second["findings"][0].as_str().unwrap().starts_with("policy.unmerged "), "{second}");
    assert!(second["steps"].to_string().contains("grafana_days: 10 → 11"), "{second}");
    assert_eq!(cloud.messages("policy.unmerged").await.len(), 1);
    // GitHub does not answer: neither merged nor unmerged.
    cloud.admin(Method::POST, "github/config", Some(json!({"remaining": 0, "reset_seconds": 4000}))).await;
    cloud.put_policy(&document(&merged, "policy/ten.json", 12)).await;
    cloud.invoke(event()).await.unwrap();
    cloud.admin(Method::POST, "github/config", Some(json!({"remaining": -1}))).await;
    let third = records(&cloud).await.pop().unwrap();
    assert!(third["findings"][0].as_str().unwrap().starts_with("policy.unverified "), "{third}");
    // Content that differs from the merged file's, and a file that the commit lacks.
    for (path, days, reported) in
        [("policy/ten.json", 13, "grafana_days: 10 → 13"), ("policy/no.json", 14, "policy/no.json")]
    {
        cloud.put_policy(&document(&merged, path, days)).await;
        cloud.invoke(event()).await.unwrap();
        let record = records(&cloud).await.pop().unwrap();
        let finding = record["findings"][0].as_str().unwrap();
        assert!(finding.starts_with("policy.differs ") && finding.contains(reported), "{record}");
        assert_eq!(
            cloud.messages("policy.differs").await.iter().filter(|text| text.contains(reported)).count(),
            1
        );
    }
    // A broken document changes nothing; a removed one restores the defaults.
    cloud.put_policy("{}").await;
    cloud.s3.delete_object().bucket(EVIDENCE).key(shared::policy::KEY).send().await.unwrap();
    cloud.invoke(event()).await.unwrap();
    let all = records(&cloud).await;
    let [.., broken, removed] = all.as_slice() else { panic!("{all:?}") };
    assert!(broken["findings"][0].as_str().unwrap().starts_with("policy.broken "), "{broken}");
    assert!(removed["findings"][0].as_str().unwrap().starts_with("policy.unmerged "), "{removed}");
    assert!(removed["steps"].to_string().contains("grafana_days: 14 → 31"), "{removed}");
    assert_eq!(all.len(), 7);
    cloud.wipe("policy/").await;
}

#[tokio::test]
async fn a_change_whose_event_was_lost_is_found_within_a_day() {
    let cloud = of("inventory-audit").await;
    cloud.put_policy(&document(NOWHERE, "policy/dev.json", 10)).await;
    assert!(records(&cloud).await.is_empty());
    // The daily check finds it and does nothing else; the audit finds nothing more.
    let daily: Value =
        serde_json::from_str(include_str!("../../events/inventory-audit/policy-daily.json")).unwrap();
    for event in [daily.clone(), daily, json!({"source": "aws.scheduler"})] {
        cloud.invoke(event).await.unwrap();
        assert_eq!(records(&cloud).await.len(), 1);
    }
    cloud.forget_policy().await;
}

#[tokio::test]
async fn a_death_between_two_calls_leaves_one_record() {
    let cloud = of("inventory-audit").await;
    points_and_reads(3, async |kill| {
        cloud.calm().await;
        let before = records(&cloud).await.len();
        let days = 50 + u16::try_from(before).unwrap();
        cloud.put_policy(&document(NOWHERE, "policy/dev.json", days)).await;
        cloud.restart().await;
        let (_, answer) = kill.during(&cloud, &event()).await;
        cloud.admin(Method::DELETE, "faults", None).await;
        cloud.invoke(event()).await.unwrap();
        assert_eq!(records(&cloud).await.len(), before + 1, "{kill}");
        let reported = cloud.messages(&format!("→ {days}")).await.len();
        assert!((1..=2).contains(&reported), "{kill}: {reported}");
        answer.is_none().then(|| json!({}))
    })
    .await;
    cloud.forget_policy().await;
}
