//! `rotate-external` against the local cloud: keys of a real IAM user with IAM enforced, Twilio's two tokens, the
//! application's database and GitHub's sealed secrets; the state after a crash or a second delivery.

use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::{self, Advice};
use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::matrix::{self, Kill};
use crate::secret::Secret;
use crate::server::as_the_application;

const SES: &str = "/moveongs/dev/ses";
const TWILIO: &str = "/moveongs/dev/twilio";
const ADMIN: &str = "/moveongs/dev/seed-admin";
const DATABASE: &str = "/moveongs/dev/db";
const USER: &str = "moveongs-dev-mail";
const EMAIL: &str = "admin@imm.local";
const ID: &str = "NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID";
const KEY: &str = "NOTIFICATIONS_EMAIL_SES_SECRET_ACCESS_KEY";

/// A clean cloud without retired credentials, records, faults or follow-ups.
async fn fresh() -> Cloud {
    let cloud = Cloud::connect("rotate-external").await;
    cloud.calm().await;
    cloud.followups(false).await;
    for prefix in ["evidence/rotate-external/", "runs/rotate-external/", "ledger/"] {
        cloud.wipe(prefix).await;
    }
    cloud.admin(Method::POST, "iam/propagation", Some(json!({"calls": 0}))).await;
    cloud.admin(Method::DELETE, "ses/messages", None).await;
    let github = json!({"may_write_secrets": true, "lose_secret_writes": false, "stale_keys": 0});
    cloud.admin(Method::POST, "github/config", Some(github)).await;
    cloud.admin(Method::DELETE, "github/secrets", None).await;
    for name in [SES, TWILIO, ADMIN] {
        let secret = Secret::of_the_stack(&cloud, name).await;
        let pending = secret.labelled("AWSPENDING").await;
        if let Some(pending) = pending.filter(|pending| *pending != secret.first) {
            clear(&secret, &pending).await;
        }
    }
    let current = value(&cloud, TWILIO, "AWSCURRENT").await;
    twilio(
        &cloud,
        json!({"primary": current, "secondary": null, "status": "active", "second_secondary": "refuse"}),
    )
    .await;
    only_the_current_key(&cloud).await;
    let admin = value(&cloud, ADMIN, "AWSCURRENT").await;
    set_password(&cloud, &admin).await;
    cloud
}

async fn value(cloud: &Cloud, secret: &str, label: &str) -> String {
    let value = cloud.secrets.get_secret_value().secret_id(secret).version_stage(label).send().await;
    value.unwrap().secret_string.unwrap()
}

/// The id of the key in the version with a label.
async fn key_of(cloud: &Cloud, label: &str) -> String {
    let document: Value = serde_json::from_str(&value(cloud, SES, label).await).unwrap();
    document[ID].as_str().unwrap().to_owned()
}

/// The user's keys with their status, and the maximum number at once.
async fn keys(cloud: &Cloud) -> (Vec<(String, String)>, u64) {
    let reported = cloud.admin(Method::GET, &format!("iam/keys?user={USER}"), None).await;
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let keys = reported["keys"].as_array().unwrap().iter();
    let mut keys: Vec<_> = keys.map(|key| (text(key, "access_key_id"), text(key, "status"))).collect();
    keys.sort();
    (keys, reported["most"].as_u64().unwrap())
}

fn sorted(keys: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut keys: Vec<_> = keys.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect();
    keys.sort();
    keys
}

async fn delete_key(cloud: &Cloud, key: &str) {
    cloud.iam("DeleteAccessKey", USER, &[("AccessKeyId", key)]).await;
}

async fn make_key(cloud: &Cloud) -> String {
    let answer = cloud.iam("CreateAccessKey", USER, &[]).await;
    answer.split("<AccessKeyId>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

async fn only_the_current_key(cloud: &Cloud) {
    let current = key_of(cloud, "AWSCURRENT").await;
    for (key, _) in keys(cloud).await.0 {
        if key != current {
            delete_key(cloud, &key).await;
        }
    }
    assert_eq!(keys(cloud).await.0, sorted(&[(&current, "Active")]));
}

async fn twilio(cloud: &Cloud, config: Value) {
    cloud.admin(Method::POST, "twilio/config", Some(config)).await;
}

async fn tokens(cloud: &Cloud) -> (Value, Value, u64) {
    let reported = cloud.admin(Method::GET, "twilio", None).await;
    (reported["primary"].clone(), reported["secondary"].clone(), reported["most"].as_u64().unwrap())
}

/// Sets the administrator's password as the application's own reset does.
async fn set_password(cloud: &Cloud, password: &str) {
    let hash = bcrypt::hash(password, 4).unwrap();
    let changed = as_the_application(cloud, DATABASE)
        .await
        .execute("UPDATE users SET password_hash = $1 WHERE email = $2", &[&hash, &EMAIL])
        .await;
    assert_eq!(changed.unwrap(), 1);
}

async fn hash(cloud: &Cloud) -> String {
    let rows = as_the_application(cloud, DATABASE)
        .await
        .query("SELECT password_hash FROM users WHERE email = $1", &[&EMAIL])
        .await;
    rows.unwrap()[0].get(0)
}

async fn log_in(cloud: &Cloud, password: &str) -> (u16, Value) {
    let body = json!({"email": EMAIL, "password": password});
    cloud.application(Method::POST, "/auth/login", body).await
}

/// The value and date of the secret of GitHub Actions.
async fn in_github(cloud: &Cloud) -> Option<(String, String)> {
    let reported = cloud.admin(Method::GET, "github/secrets", None).await;
    let secrets = reported["secrets"].as_array().unwrap();
    assert!(secrets.len() <= 1, "{} secrets", secrets.len());
    let text = |secret: &Value, name: &str| secret[name].as_str().unwrap().to_owned();
    secrets.first().map(|secret| (text(secret, "value"), text(secret, "updated_at")))
}

/// A row of the ledger, as the follow-up writes it.
async fn ledger(cloud: &Cloud, secret: &Secret<'_>, outcome: &str, services: &[&str]) {
    let row = json!([{
        "arn": secret.arn, "version": secret.labelled("AWSCURRENT").await, "outcome": outcome, "services": services,
        "ended": "2099-01-01T00:00:00Z",
    }]);
    put(cloud, "ledger/rotation.json", &row).await;
}

async fn put(cloud: &Cloud, key: &str, content: &Value) {
    let body = content.to_string().into_bytes().into();
    cloud.s3.put_object().bucket(EVIDENCE).key(key).body(body).send().await.unwrap();
}

/// Simulates time for a secret's stored document by moving every instant in it back.
async fn later(cloud: &Cloud, secret: &Secret<'_>, field: &str, to: &str) {
    let key = issuance(secret);
    let mut issuance =
        cloud.json(&key).await.unwrap_or_else(|| panic!("nothing is remembered of {}", secret.arn));
    *issuance.pointer_mut(field).unwrap_or_else(|| panic!("{field}")) = json!(to);
    put(cloud, &key, &issuance).await;
}

fn issuance(secret: &Secret<'_>) -> String {
    format!("runs/rotate-external/{}.json", sha256(format!("desk/{}", secret.arn).as_bytes()))
}

/// Retires old credentials; returns the action for one secret, and the reason for none.
async fn retire(cloud: &Cloud, secret: &str) -> (String, String) {
    let answer = cloud.invoke(json!({"retire": true})).await.unwrap();
    let line = answer.as_array().unwrap().iter().find(|line| line["secret"] == secret).unwrap().clone();
    (line["did"].as_str().unwrap().to_owned(), line["why"].as_str().unwrap().to_owned())
}

fn did(what: &str) -> (String, String) {
    (what.to_owned(), String::new())
}

fn waits(why: &str) -> (String, String) {
    ("waits".to_owned(), why.to_owned())
}

/// Starts a rotation, which must stop at a step with a kind of failure.
async fn stops(secret: &Secret<'_>, step: &str, kind: &str) -> String {
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(
        (&rotation["error"]["step"], &rotation["error"]["type"]),
        (&json!(step), &json!(kind)),
        "{rotation}"
    );
    token
}

/// Lets a waiting rotation continue to its end.
async fn goes_on(secret: &Secret<'_>) {
    secret.retry().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
}

/// Ends a waiting rotation, as a person would.
async fn clear(secret: &Secret<'_>, token: &str) {
    let clear = secret.cloud.secrets.update_secret_version_stage().secret_id(&secret.arn);
    clear.version_stage("AWSPENDING").remove_from_version_id(token).send().await.unwrap();
    secret.settled(&["failed", "abandoned"]).await;
}

/// Whether AWS accepts a mail signed with a version's key.
fn takes_mail_of(cloud: &Cloud, value: &str) -> bool {
    let document: Value = serde_json::from_str(value).unwrap();
    let (id, key) = (document[ID].as_str().unwrap(), document[KEY].as_str().unwrap());
    let content = json!({"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}});
    let to = "--destination ToAddresses=success@simulator.amazonses.com";
    let send =
        format!("aws sesv2 send-email --from-email-address alerts@imm.local {to} --content '{content}'");
    let signed = format!("export AWS_ACCESS_KEY_ID='{id}' AWS_SECRET_ACCESS_KEY='{key}'");
    advice::run(cloud, &format!("{signed}\n{send} >/dev/null 2>&1 && echo taken || echo refused"))
        == "taken\n"
}

async fn sent_with(cloud: &Cloud, key: &str) -> usize {
    let reported = cloud.admin(Method::GET, "ses/messages", None).await;
    reported["messages"].as_array().unwrap().iter().filter(|mail| mail["access_key_id"] == key).count()
}

const API: &[&str] = &["moveongs-dev-api"];

#[tokio::test]
async fn the_set_up_of_all_three_is_tested_without_changing_anything() {
    let cloud = fresh().await;
    let before = (keys(&cloud).await, tokens(&cloud).await, hash(&cloud).await);
    for name in [SES, TWILIO, ADMIN] {
        let tested = Secret::of_the_stack(&cloud, name).await.test().await;
        assert_eq!(tested["state"], "tested", "{name}: {tested}");
    }
    assert_eq!((keys(&cloud).await, tokens(&cloud).await, hash(&cloud).await), before);
    assert_eq!(in_github(&cloud).await, None);
}

#[tokio::test]
async fn a_key_is_replaced_used_deactivated_and_deleted() {
    let cloud = fresh().await;
    cloud.followups(true).await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    let old = key_of(&cloud, "AWSCURRENT").await;
    let document = value(&cloud, SES, "AWSCURRENT").await;
    let token = secret.rotate().await;
    let new = key_of(&cloud, "AWSCURRENT").await;
    assert_ne!(old, new);
    let replaced = value(&cloud, SES, "AWSCURRENT").await;
    let part = |text: &str, name: &str| {
        serde_json::from_str::<Value>(text).unwrap()[name].as_str().unwrap().to_owned()
    };
    assert_eq!(replaced, document.replace(&old, &new).replace(&part(&document, KEY), &part(&replaced, KEY)));
    assert!(sent_with(&cloud, &new).await >= 1, "no mail was sent with the new key");
    assert_eq!(sent_with(&cloud, &old).await, 0);
    let reported = cloud.messages(&token).await;
    assert!(
        reported.len() == 1 && reported[0].contains("A credencial anterior continua valendo"),
        "{reported:?}"
    );

    // The old key stays untouched until the follow-up has brought the new one into use.
    let row = eventually("the ledger's row", async || {
        let rows = cloud.json("ledger/rotation.json").await?;
        rows.as_array().unwrap().iter().find(|row| row["version"] == json!(token)).cloned()
    })
    .await;
    assert_eq!(row["services"], json!(API), "{row}");
    // The follow-up's end deactivates it.
    eventually("the old key's end", async || {
        (keys(&cloud).await.0 == sorted(&[(&old, "Inactive"), (&new, "Active")])).then_some(())
    })
    .await;
    eventually("its message", async || (cloud.messages("foi desativada").await.len() == 1).then_some(()))
        .await;
    assert_eq!(keys(&cloud).await.0, sorted(&[(&old, "Inactive"), (&new, "Active")]));
    let reported = cloud.messages("foi desativada").await;
    assert!(reported.len() == 1 && reported[0].contains("--status Active"), "{reported:?}");

    // It can be reactivated until the policy's hours have passed.
    assert_eq!(retire(&cloud, SES).await, waits("deactivated"));
    later(&cloud, &secret, "/deactivated/at", "2026-01-01T00:00:00Z").await;
    assert_eq!(retire(&cloud, SES).await, did("deleted"));
    assert_eq!(retire(&cloud, SES).await, did("nothing"));
    assert_eq!(keys(&cloud).await, (sorted(&[(&new, "Active")]), 2));
    assert_eq!(cloud.messages("foi apagada").await.len(), 1);
    let records = cloud.evidence("rotate-external").await;
    let runs: Vec<_> = records.iter().map(|(_, record)| record["run_id"].as_str().unwrap()).collect();
    assert_eq!(
        runs,
        [token.clone(), format!("{token}/retire/deactivated/{old}"), format!("{token}/retire/deleted/{old}")]
    );
    cloud.followups(false).await;
}

#[tokio::test]
async fn an_old_key_stays_while_nobody_knows_that_the_new_one_is_used() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    let old = key_of(&cloud, "AWSCURRENT").await;
    secret.rotate().await;
    let new = key_of(&cloud, "AWSCURRENT").await;
    let both = sorted(&[(&old, "Active"), (&new, "Active")]);
    assert_eq!(retire(&cloud, SES).await, waits("not_followed"));
    for (outcome, services, why) in [
        ("failed", API, "followup_failed"),
        ("rolled back", API, "followup_failed"),
        ("unproved", &[], "no_reader"),
    ] {
        ledger(&cloud, &secret, outcome, services).await;
        assert_eq!(retire(&cloud, SES).await, waits(why), "{outcome}");
        assert_eq!(keys(&cloud).await.0, both);
    }
    // The new key must be in use.
    ledger(&cloud, &secret, "unproved", API).await;
    cloud.fault(json!({"service": "ses", "action": "SendEmail", "effect": "error", "status": 403, "code": "UnrecognizedClientException", "count": 0})).await;
    let failed = cloud.invoke(json!({"retire": true})).await.unwrap_err();
    assert_eq!(failed["errorType"], "RetireFailed", "{failed}");
    assert_eq!(keys(&cloud).await.0, both);
    let reported = cloud.messages("não foi desativada").await;
    assert!(reported.len() == 1 && reported[0].contains("KeyRefused"), "{reported:?}");
    // The alarm pages once a day.
    assert_eq!(retire(&cloud, SES).await, ("failed".to_owned(), "KeyRefused".to_owned()));
    assert_eq!(cloud.messages("não foi desativada").await.len(), 1);
    cloud.calm().await;

    // A third key has no room meanwhile, and the rotation that reports this does not keep the old key alive.
    ledger(&cloud, &secret, "failed", API).await;
    let token = stops(&secret, "createSecret", "NotRetired").await;
    assert_eq!(keys(&cloud).await, (both.clone(), 2));
    assert_eq!(retire(&cloud, SES).await, waits("followup_failed"));
    // A person's confirmation for the wrong version has no effect.
    ledger(&cloud, &secret, "unproved", &[]).await;
    let vouch = async |version: &str| {
        let in_use = json!({"secret": SES, "version": version, "by": "Ana Souza"});
        cloud.invoke(json!({"retire": true, "in_use": in_use})).await.unwrap()[0]["did"].clone()
    };
    assert_eq!(vouch("another").await, "waits");
    assert_eq!(vouch(&secret.labelled("AWSCURRENT").await.unwrap()).await, "deactivated");
    assert_eq!(keys(&cloud).await.0, sorted(&[(&old, "Inactive"), (&new, "Active")]));
    let record = cloud.evidence("rotate-external").await.pop().unwrap().1;
    assert!(record["findings"].to_string().contains("Ana Souza vouches"), "{record}");
    // Deactivated and proved: the waiting rotation continues by itself, without waiting for the hours.
    goes_on(&secret).await;
    assert_eq!(secret.labelled("AWSCURRENT").await, Some(token));
    let third = key_of(&cloud, "AWSCURRENT").await;
    assert_eq!(keys(&cloud).await, (sorted(&[(&new, "Active"), (&third, "Active")]), 2));
}

#[tokio::test]
async fn a_rotation_before_the_last_one_is_retired_is_cured_by_the_command_of_its_message() {
    let cloud = fresh().await;
    for name in [SES, TWILIO] {
        let secret = Secret::of_the_stack(&cloud, name).await;
        secret.rotate().await;
        let token = stops(&secret, "createSecret", "NotRetired").await;
        ledger(&cloud, &secret, "proved", API).await;
        let reported = cloud.messages(&token).await.remove(0);
        Advice::of(&reported).run(&cloud, "lambda invoke");
        goes_on(&secret).await;
        assert_eq!(secret.labelled("AWSCURRENT").await, Some(token), "{name}");
    }
}

#[tokio::test]
async fn a_leaked_key_that_its_thief_goes_on_using_is_put_out_of_use_and_proved_dead() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    let leaked = key_of(&cloud, "AWSCURRENT").await;
    let thief = value(&cloud, SES, "AWSCURRENT").await;
    let token = secret.rotate().await;
    let new = key_of(&cloud, "AWSCURRENT").await;
    let row = |reason: &str| {
        json!([{"arn": secret.arn, "version": token, "outcome": "proved", "services": API, "reason": reason,
            "ended": "2026-01-01T00:00:00Z"}])
    };
    assert!(takes_mail_of(&cloud, &thief));
    put(&cloud, "ledger/rotation.json", &row("scheduled")).await;
    assert_eq!(retire(&cloud, SES).await, waits("still_used"));
    put(&cloud, "ledger/rotation.json", &row("incident")).await;
    assert_eq!(retire(&cloud, SES).await, did("deactivated"));
    assert_eq!(keys(&cloud).await.0, sorted(&[(&leaked, "Inactive"), (&new, "Active")]));
    assert!(!takes_mail_of(&cloud, &thief));
    let reported = cloud.messages("foi desativada").await;
    assert!(reported.len() == 1 && reported[0].contains("recusa a anterior (provado)"), "{reported:?}");
}

#[tokio::test]
async fn what_could_harm_a_key_is_refused() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    let good = value(&cloud, SES, "AWSCURRENT").await;
    let current = key_of(&cloud, "AWSCURRENT").await;
    // A person's second key.
    let foreign = make_key(&cloud).await;
    let token = stops(&secret, "createSecret", "ForeignKey").await;
    assert_eq!(keys(&cloud).await.0, sorted(&[(&current, "Active"), (&foreign, "Active")]));
    let advice = Advice::of(&cloud.messages(&token).await[0]);
    assert!(advice.run(&cloud, "get-access-key-last-used").contains(USER));
    advice.run(&cloud, &format!("delete-access-key --user-name {USER} --access-key-id {foreign}"));
    goes_on(&secret).await;
    delete_key(&cloud, &current).await;

    // AWSCURRENT with another user's key, and with none.
    for (wrong, kind) in [
        (good.replace(&current, "AKIAOFANOTHERUSER000"), "NotTheUsersKey"),
        ("{\"a\": \"b\"}".to_owned(), "WrongForm"),
    ] {
        let now = value(&cloud, SES, "AWSCURRENT").await;
        let before = keys(&cloud).await.0;
        cloud.secrets.put_secret_value().secret_id(SES).secret_string(&wrong).send().await.unwrap();
        let token = stops(&secret, "createSecret", kind).await;
        assert_eq!(keys(&cloud).await.0, before);
        if kind == "NotTheUsersKey" {
            let advice = Advice::of(&cloud.messages(&token).await[0]);
            assert!(advice.run(&cloud, "list-access-keys").contains(&before[0].0));
            adopted(&secret, &token, kind, &now).await;
            only_the_current_key(&cloud).await;
        } else {
            clear(&secret, &token).await;
            cloud.secrets.put_secret_value().secret_id(SES).secret_string(&now).send().await.unwrap();
        }
    }
    // Permissions and limits: reported, without stopping.
    let denied = |service: &str, action: &str, code: &str| json!({"service": service, "action": action, "effect": "error", "status": 403, "code": code});
    for (fault, step, kind) in [
        (denied("iam", "ListAccessKeys", "AccessDenied"), "createSecret", "IamCall"),
        (denied("iam", "CreateAccessKey", "AccessDenied"), "createSecret", "IamCall"),
        (denied("ses", "SendEmail", "MessageRejected"), "testSecret", "MailFailed"),
        (denied("s3", "PutObject", "AccessDenied"), "createSecret", "DeskFailed"),
    ] {
        only_the_current_key(&cloud).await;
        cloud.fault(fault).await;
        let token = stops(&secret, step, kind).await;
        if kind == "IamCall" {
            advice_about(&secret, &token, kind).await.run(&cloud, "list-access-keys");
        }
        if kind == "IamCall"
            && cloud.json(&issuance(&secret)).await.is_some_and(|issuance| !issuance["making"].is_null())
        {
            let_the_lease_end(&cloud, &secret).await;
        }
        goes_on(&secret).await;
        assert!(keys(&cloud).await.1 <= 2);
    }
    // A new IAM key takes time to propagate.
    only_the_current_key(&cloud).await;
    cloud.admin(Method::POST, "iam/propagation", Some(json!({"calls": 2}))).await;
    secret.rotate().await;
    cloud.admin(Method::POST, "iam/propagation", Some(json!({"calls": 0}))).await;
}

/// The message about an old credential that has stayed for more than two days, and its reason.
async fn stays(cloud: &Cloud, secret: &str, why: &str) -> Advice {
    cloud.calm().await;
    let dates = json!({"secret": secret, "seconds_ago": {"AWSCURRENT": 200_000}});
    cloud.admin(Method::POST, "secrets/dates", Some(dates)).await;
    assert_eq!(retire(cloud, secret).await, waits(why));
    Advice::of(&cloud.messages(&format!("ainda vale: {secret}")).await[0])
}

/// Runs the advised follow-up, at whose end old credentials are retired.
async fn followed(cloud: &Cloud, advice: &Advice) {
    let started: Value = serde_json::from_str(&advice.run(cloud, "start-execution")).unwrap();
    assert_eq!(cloud.ended(&started["executionArn"]).await["status"], "SUCCEEDED");
}

#[tokio::test]
async fn an_old_key_that_stays_is_put_out_of_use_by_the_commands_of_its_message() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    let old = key_of(&cloud, "AWSCURRENT").await;
    let before = value(&cloud, SES, "AWSCURRENT").await;
    secret.rotate().await;
    let new = key_of(&cloud, "AWSCURRENT").await;
    let is_out_of_use = async || {
        assert_eq!(keys(&cloud).await.0, sorted(&[(&old, "Inactive"), (&new, "Active")]));
    };
    // A person confirms unknown readers.
    ledger(&cloud, &secret, "unproved", &[]).await;
    stays(&cloud, SES, "no_reader").await.run(&cloud, "lambda invoke");
    is_out_of_use().await;
    // An application cannot send mail: the key is activated again, and is still used.
    let reported = cloud.messages("foi desativada").await;
    Advice::of(&reported[0]).run(&cloud, "--status Active");
    assert!(takes_mail_of(&cloud, &before));
    let row = |more: Value| {
        let mut row = json!({"arn": secret.arn, "version": "", "outcome": "proved", "services": API,
            "ended": "2026-01-01T00:00:00Z"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([row])
    };
    let version = secret.labelled("AWSCURRENT").await.unwrap();
    for (more, why) in [
        (json!({"version": version}), "still_used"),
        (json!({"version": version, "outcome": "failed"}), "followup_failed"),
        (json!({"version": version, "pinned": ["pinned/worker/KEY (AWSPREVIOUS)"]}), "pinned"),
        (json!({"version": "another"}), "not_followed"),
    ] {
        let active = [("AccessKeyId", old.as_str()), ("Status", "Active")];
        cloud.iam("UpdateAccessKey", USER, &active).await;
        put(&cloud, "ledger/rotation.json", &row(more)).await;
        let advice = stays(&cloud, SES, why).await;
        if why == "still_used" {
            assert!(advice.run(&cloud, "get-access-key-last-used").contains(USER));
        }
        followed(&cloud, &advice).await;
        is_out_of_use().await;
    }
    // A key that no version of the secret has.
    only_the_current_key(&cloud).await;
    make_key(&cloud).await;
    let advice = stays(&cloud, SES, "foreign").await;
    assert!(advice.run(&cloud, "get-access-key-last-used").contains(USER));
    advice.run(&cloud, "delete-access-key");
    assert_eq!(keys(&cloud).await.0, sorted(&[(&new, "Active")]));
    // A waiting rotation.
    let token = secret.staged().await;
    secret.step("createSecret", &token).await.unwrap();
    let advice = stays(&cloud, SES, "rotation_runs").await;
    goes_on(&secret).await;
    ledger(&cloud, &secret, "proved", API).await;
    advice.run(&cloud, "lambda invoke");
    let last = key_of(&cloud, "AWSCURRENT").await;
    assert_eq!(keys(&cloud).await.0, sorted(&[(&new, "Inactive"), (&last, "Active")]));
}

/// The message about an old credential that could not be retired.
async fn fails(cloud: &Cloud, secret: &str, kind: &str) -> Advice {
    cloud.calm().await;
    assert_eq!(cloud.invoke(json!({"retire": true})).await.unwrap_err()["errorType"], "RetireFailed");
    let reported = cloud.messages(&format!("não foi desativada: {secret}")).await;
    assert!(reported.len() == 1 && reported[0].contains(kind), "{reported:?}");
    Advice::of(&reported[0])
}

#[tokio::test]
async fn what_keeps_an_old_credential_from_being_retired_is_cured_by_the_commands_of_its_message() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    secret.rotate().await;
    let new = key_of(&cloud, "AWSCURRENT").await;
    ledger(&cloud, &secret, "proved", API).await;
    // The key of AWSCURRENT is inactive.
    cloud.iam("UpdateAccessKey", USER, &[("AccessKeyId", &new), ("Status", "Inactive")]).await;
    let advice = fails(&cloud, SES, "KeyRefused").await;
    assert!(advice.run(&cloud, "list-access-keys").contains("Inactive"));
    advice.run(&cloud, "--status Active");
    assert_eq!(retire(&cloud, SES).await, did("deactivated"));
    // The follow-up's ledger is unreadable.
    let garbled = b"{".to_vec().into();
    cloud.s3.put_object().bucket(EVIDENCE).key("ledger/rotation.json").body(garbled).send().await.unwrap();
    fails(&cloud, SES, "LedgerUnreadable").await;
    cloud.followups(true).await;
    let jwt = cloud.secrets.rotate_secret().secret_id("/moveongs/dev/jwt").send().await.unwrap();
    eventually("the ledger", async || {
        let object = cloud.s3.get_object().bucket(EVIDENCE).key("ledger/rotation.json").send().await.unwrap();
        let text = object.body.collect().await.unwrap().into_bytes();
        String::from_utf8_lossy(&text).contains(jwt.version_id.as_deref().unwrap()).then_some(())
    })
    .await;
    cloud.idle("arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-rotation-followup").await;
    cloud.followups(false).await;
    retire(&cloud, SES).await;

    // The token of AWSCURRENT no longer exists.
    let secret = Secret::of_the_stack(&cloud, TWILIO).await;
    let old = value(&cloud, TWILIO, "AWSCURRENT").await;
    secret.rotate().await;
    twilio(&cloud, json!({"secondary": null})).await;
    ledger(&cloud, &secret, "proved", API).await;
    let advice = fails(&cloud, TWILIO, "TokenRefused").await;
    advice.run_with(&cloud, "put-secret-value", "valor.txt", &old);
    advice.run(&cloud, "rotate-secret");
    assert_eq!(secret.settled(&["waiting", "succeeded"]).await["state"], "succeeded");

    // A person has changed the administrator's password since.
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    secret.rotate().await;
    ledger(&cloud, &secret, "proved", &[]).await;
    set_password(&cloud, "a person's own").await;
    let advice = fails(&cloud, ADMIN, "LoginRefused").await;
    advice.run_with(&cloud, "put-secret-value", "valor.txt", "a person's own");
    advice.run(&cloud, "rotate-secret");
    assert_eq!(secret.settled(&["waiting", "succeeded"]).await["state"], "succeeded");
    ledger(&cloud, &secret, "proved", &[]).await;
    assert_eq!(retire(&cloud, ADMIN).await, did("refused"));
    // No user had the administrator's address.
    let users = as_the_application(&cloud, DATABASE).await;
    users.execute("UPDATE users SET email = 'gone@imm.local' WHERE email = $1", &[&EMAIL]).await.unwrap();
    secret.rotate().await;
    ledger(&cloud, &secret, "unproved", &[]).await;
    let advice = stays(&cloud, ADMIN, "no_user").await;
    users.execute("UPDATE users SET email = $1 WHERE email = 'gone@imm.local'", &[&EMAIL]).await.unwrap();
    advice.run(&cloud, "rotate-secret");
    assert_eq!(secret.settled(&["waiting", "succeeded"]).await["state"], "succeeded");
    ledger(&cloud, &secret, "proved", &[]).await;
    assert_eq!(retire(&cloud, ADMIN).await, did("refused"));
}

const CASE_04A: &str = include_str!("../cases/04a-ses-secret-smtp-fields-of-other-names.json");

#[tokio::test]
async fn a_field_that_would_keep_the_old_key_is_named_before_a_key_is_made() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    let good = value(&cloud, SES, "AWSCURRENT").await;
    let parsed: Value = serde_json::from_str(&good).unwrap();
    let (id, key) = (parsed[ID].as_str().unwrap(), parsed[KEY].as_str().unwrap());
    let held =
        CASE_04A.replace("AKIAEXAMPLEOLD000001", id).replace("oldSecretOldSecretOldSecretOldSecretOld1", key);
    let before = keys(&cloud).await.0;
    cloud.secrets.put_secret_value().secret_id(SES).secret_string(&held).send().await.unwrap();
    let token = stops(&secret, "createSecret", "WrongForm").await;
    let reported = cloud.messages(&token).await;
    assert!(reported[0].contains("SMTP_USERNAME, SMTP_PASSWORD"), "{reported:?}");
    // No step does anything when called alone.
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let error = secret.step(step, &token).await.unwrap_err();
        assert_eq!(error["errorType"], "WrongForm", "{step}: {error}");
    }
    assert_eq!(keys(&cloud).await.0, before);
    cloud.secrets.put_secret_value().secret_id(SES).secret_string(&good).send().await.unwrap();
    secret.rotate().await;
}

#[tokio::test]
async fn a_pending_key_or_token_that_is_gone_is_cured_by_the_commands_of_its_message() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, SES).await;
    for kind in ["PendingKeyGone", "KeyRefused"] {
        only_the_current_key(&cloud).await;
        let token = secret.staged().await;
        secret.step("createSecret", &token).await.unwrap();
        let pending: Value = serde_json::from_str(&secret.value(&token).await).unwrap();
        let key = pending[ID].as_str().unwrap();
        if kind == "PendingKeyGone" {
            delete_key(&cloud, key).await;
        } else {
            cloud.iam("UpdateAccessKey", USER, &[("AccessKeyId", key), ("Status", "Inactive")]).await;
        }
        secret.retry().await;
        let stopped = secret.settled(&["waiting", "succeeded"]).await;
        assert_eq!(stopped["error"]["type"], kind, "{stopped}");
        cures(&secret, &token, kind).await;
        assert!(keys(&cloud).await.1 <= 2);
    }

    let secret = Secret::of_the_stack(&cloud, TWILIO).await;
    let token = secret.staged().await;
    secret.step("createSecret", &token).await.unwrap();
    twilio(&cloud, json!({"secondary": null})).await;
    secret.retry().await;
    let stopped = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(stopped["error"]["type"], "TokenRefused", "{stopped}");
    cures(&secret, &token, "TokenRefused").await;
    // AWSCURRENT holds a token that Twilio does not know.
    let good = value(&cloud, TWILIO, "AWSCURRENT").await;
    twilio(&cloud, json!({"primary": good, "secondary": null})).await;
    let wrong = "feedface".repeat(4);
    cloud.secrets.put_secret_value().secret_id(TWILIO).secret_string(&wrong).send().await.unwrap();
    let token = stops(&secret, "createSecret", "TokenRefused").await;
    adopted(&secret, &token, "TokenRefused", &good).await;
}

/// The two commands that make a person's value current and rotate from it.
async fn adopted(secret: &Secret<'_>, token: &str, kind: &str, value: &str) {
    let advice = advice_about(secret, token, kind).await;
    advice.run_with(secret.cloud, "put-secret-value", "valor.txt", value);
    advice.run(secret.cloud, "rotate-secret");
    let rotation = secret.settled(&["succeeded", "waiting"]).await;
    assert_eq!(rotation["state"], "succeeded", "{kind}: {rotation}");
}

async fn advice_about(secret: &Secret<'_>, token: &str, kind: &str) -> Advice {
    let reported = secret.cloud.messages(token).await;
    Advice::of(
        reported.iter().find(|message| message.contains(kind)).unwrap_or_else(|| panic!("{reported:?}")),
    )
}

/// The two commands in a failure's message that abandon the rotation and start another.
async fn cures(secret: &Secret<'_>, token: &str, kind: &str) {
    let advice = advice_about(secret, token, kind).await;
    advice.run(secret.cloud, &format!("--remove-from-version-id {token}"));
    advice.run(secret.cloud, "rotate-secret");
    let rotation = secret.settled(&["succeeded", "waiting"]).await;
    assert_eq!(rotation["state"], "succeeded", "{kind}: {rotation}");
    assert_ne!(secret.labelled("AWSCURRENT").await.as_deref(), Some(token));
}

#[tokio::test]
async fn a_token_is_made_used_and_promoted() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, TWILIO).await;
    let old = value(&cloud, TWILIO, "AWSCURRENT").await;
    let token = secret.rotate().await;
    let new = value(&cloud, TWILIO, "AWSCURRENT").await;
    assert_ne!(old, new);
    // Both are valid until the new one is known to be in use.
    assert_eq!(tokens(&cloud).await, (json!(old), json!(new), 2));
    assert_eq!(retire(&cloud, TWILIO).await, waits("not_followed"));
    ledger(&cloud, &secret, "failed", API).await;
    assert_eq!(retire(&cloud, TWILIO).await, waits("followup_failed"));
    // The application's own token is the secondary one: a new one would replace it.
    let stopped = stops(&secret, "createSecret", "NotRetired").await;
    assert_eq!(tokens(&cloud).await, (json!(old), json!(new), 2));
    clear(&secret, &stopped).await;
    ledger(&cloud, &secret, "unproved", API).await;
    assert_eq!(retire(&cloud, TWILIO).await, did("promoted"));
    assert_eq!(retire(&cloud, TWILIO).await, did("nothing"));
    assert_eq!(tokens(&cloud).await, (json!(new), Value::Null, 2));
    assert_eq!(cloud.messages("agora o primário").await.len(), 1);
    let record = cloud.record_of(&format!("{token}/retire/promoted/")).await.unwrap();
    assert_eq!(record["result"], "succeeded");
    secret.rotate().await;
    assert_eq!(tokens(&cloud).await.0, json!(new));
}

#[tokio::test]
async fn what_could_harm_a_token_is_refused() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, TWILIO).await;
    let current = value(&cloud, TWILIO, "AWSCURRENT").await;
    // A person's secondary token.
    let foreign = "f".repeat(32);
    twilio(&cloud, json!({"secondary": foreign})).await;
    stops(&secret, "createSecret", "ForeignToken").await;
    for _ in 0..2 {
        later(&cloud, &secret, "/promoting", "2026-01-01T00:00:00Z").await;
        secret.retry().await;
        let again = secret.settled(&["waiting"]).await;
        assert_eq!(again["error"]["type"], "ForeignToken", "{again}");
        assert_eq!(tokens(&cloud).await.1, json!(foreign));
    }
    twilio(&cloud, json!({"secondary": null})).await;
    goes_on(&secret).await;
    // An unknown token; a closed account; a limit; no answer.
    let down = |effect: Value| {
        let mut rule = json!({"service": "twilio", "action": "*", "count": 1});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        rule
    };
    for (config, fault, kind) in [
        (json!({"primary": "feedface".repeat(4)}), None, "TokenRefused"),
        (json!({"status": "suspended"}), None, "AccountClosed"),
        (json!({}), Some(down(json!({"effect": "throttle"}))), "TwilioLimited"),
        (json!({}), Some(down(json!({"effect": "drop"}))), "TwilioFailed"),
    ] {
        let now = value(&cloud, TWILIO, "AWSCURRENT").await;
        let as_it_should_be = json!({"primary": now, "secondary": null, "status": "active"});
        twilio(&cloud, as_it_should_be.clone()).await;
        twilio(&cloud, config).await;
        if let Some(fault) = fault {
            cloud.fault(fault).await;
        }
        stops(&secret, "createSecret", kind).await;
        assert_eq!(tokens(&cloud).await.1, Value::Null, "{kind}");
        cloud.calm().await;
        twilio(&cloud, as_it_should_be).await;
        goes_on(&secret).await;
    }
    assert_ne!(current, value(&cloud, TWILIO, "AWSCURRENT").await);
}

#[tokio::test]
async fn an_administrators_password_is_in_force_everywhere() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    let old = value(&cloud, ADMIN, "AWSCURRENT").await;
    let (status, session) = log_in(&cloud, &old).await;
    assert_eq!(status, 200);
    let token = secret.rotate().await;
    let new = value(&cloud, ADMIN, "AWSCURRENT").await;
    assert_eq!((log_in(&cloud, &old).await.0, log_in(&cloud, &new).await.0), (401, 200));
    assert!(hash(&cloud).await.starts_with("$2b$12$"));
    assert_eq!(in_github(&cloud).await.unwrap().0, new);
    let refresh = json!({"refreshToken": session["refreshToken"]});
    assert_eq!(cloud.application(Method::POST, "/auth/refresh", refresh).await.0, 401);
    let reported = cloud.messages(&token).await;
    assert!(
        reported.len() == 1 && reported[0].contains("a senha do administrador foi trocada"),
        "{reported:?}"
    );
    assert!(reported[0].contains("updated_at"), "{reported:?}");
    let record = cloud.record_of(&token).await.unwrap();
    assert!(
        record["steps"].to_string().contains("log in to the application as the administrator"),
        "{record}"
    );
}

#[tokio::test]
async fn the_administrators_address_is_compared_as_the_application_does() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    let rename = async |to: &str| {
        let users = as_the_application(&cloud, DATABASE).await;
        let sql = "UPDATE users SET email = $1 WHERE lower(email) = lower($1)";
        assert_eq!(users.execute(sql, &[&to]).await.unwrap(), 1);
    };
    rename("Admin@IMM.local").await;
    let old = value(&cloud, ADMIN, "AWSCURRENT").await;
    assert_eq!(log_in(&cloud, &old).await.0, 200);
    secret.rotate().await;
    assert_eq!(log_in(&cloud, &value(&cloud, ADMIN, "AWSCURRENT").await).await.0, 200);
    assert_eq!(log_in(&cloud, &old).await.0, 401);

    // Two users with one address: it is unknown which one logs in, so nothing is changed.
    let users = as_the_application(&cloud, DATABASE).await;
    let second = "INSERT INTO users (name, email, password_hash) VALUES ('Outra', $1, 'x')";
    users.execute(second, &[&EMAIL]).await.unwrap();
    let stored = in_github(&cloud).await;
    let token = stops(&secret, "setSecret", "SeveralUsers").await;
    let reported = cloud.messages(&token).await.remove(0);
    let statement = reported.split('`').find(|quoted| quoted.starts_with("SELECT id, email")).unwrap();
    let found = users.query(&statement.replace('…', EMAIL), &[]).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(in_github(&cloud).await, stored);
    users.execute("DELETE FROM users WHERE email = $1 AND name = 'Outra'", &[&EMAIL]).await.unwrap();
    goes_on(&secret).await;
    rename(EMAIL).await;
}

#[tokio::test]
async fn a_password_that_a_person_changed_fails_the_rotation_until_the_secret_has_it() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    set_password(&cloud, "a person's own").await;
    let before = hash(&cloud).await;
    let token = stops(&secret, "setSecret", "PasswordOfOthers").await;
    assert_eq!(hash(&cloud).await, before);
    assert_eq!(in_github(&cloud).await, None);
    let reported = cloud.messages(&token).await;
    assert!(reported.len() == 1 && reported[0].contains("nenhuma versão do segredo"), "{reported:?}");
    assert!(reported[0].contains("Nem o valor atual (AWSCURRENT) nem o pendente"), "{reported:?}");
    adopted(&secret, &token, "PasswordOfOthers", "a person's own").await;
    assert_eq!(log_in(&cloud, &value(&cloud, ADMIN, "AWSCURRENT").await).await.0, 200);
    assert_eq!(log_in(&cloud, "a person's own").await.0, 401);

    // An abandoned rotation has left its password in force; the next one finds it.
    let current = value(&cloud, ADMIN, "AWSCURRENT").await;
    set_password(&cloud, &current).await;
    cloud
        .fault(json!({"service": "moveongs", "action": "*", "effect": "error", "status": 500, "code": "InternalError", "count": 0}))
        .await;
    let token = stops(&secret, "testSecret", "LoginUnclear").await;
    assert!(bcrypt::verify(secret.value(&token).await, &hash(&cloud).await).unwrap());
    let reported = cloud.messages(&token).await;
    assert!(reported[0].contains("Só o valor pendente (AWSPENDING) está valendo"), "{reported:?}");
    cloud.calm().await;
    clear(&secret, &token).await;
    secret.rotate().await;
    assert_eq!(log_in(&cloud, &value(&cloud, ADMIN, "AWSCURRENT").await).await.0, 200);
}

#[tokio::test]
async fn an_administrator_who_cannot_log_in_is_reported_before_anything_is_changed() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    let run = async |sql: &str| {
        as_the_application(&cloud, DATABASE).await.execute(sql, &[&EMAIL]).await.unwrap();
    };
    let before = hash(&cloud).await;
    run("UPDATE users SET is_active = false WHERE email = $1").await;
    let token = stops(&secret, "setSecret", "UserInactive").await;
    assert_eq!((hash(&cloud).await, in_github(&cloud).await), (before.clone(), None));
    let reported = cloud.messages(&token).await.remove(0);
    assert!(reported.contains("continua valendo"), "{reported}");
    // The user must stay unchanged: the rotation ends, and a person decides on the next one.
    let advice = Advice::of(&reported);
    advice.run(&cloud, "cancel-rotate-secret");
    advice.run(&cloud, "update-secret-version-stage");
    assert_eq!(secret.labelled("AWSPENDING").await, None);
    // The user is active again.
    let token = stops(&secret, "setSecret", "UserInactive").await;
    let statement = cloud.messages(&token).await.remove(0);
    let statement =
        statement.split('`').find(|quoted| quoted.starts_with("UPDATE users")).unwrap().to_owned();
    run(&statement.replace("'…'", "$1")).await;
    goes_on(&secret).await;

    // An invalid hash.
    run("UPDATE users SET password_hash = 'x' WHERE email = $1").await;
    let token = stops(&secret, "setSecret", "HashFailed").await;
    set_password(&cloud, "a person's own").await;
    adopted(&secret, &token, "HashFailed", "a person's own").await;
    assert_eq!(log_in(&cloud, &value(&cloud, ADMIN, "AWSCURRENT").await).await.0, 200);
}

#[tokio::test]
async fn what_a_login_leaves_open_is_reported_and_never_plain_success() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    let configure = async |config: Value| cloud.admin(Method::POST, "moveongs/config", Some(config)).await;
    for (set, reset, expected) in [
        (json!({"masking": true}), json!({"masking": false}), "mascara os tokens"),
        (json!({"mfa": true}), json!({"mfa": false}), "até o segundo fator"),
    ] {
        configure(set).await;
        let token = secret.rotate().await;
        configure(reset).await;
        let reported = cloud.messages(&token).await;
        assert!(reported.len() == 1 && reported[0].contains(expected), "{reported:?}");
        assert_eq!(log_in(&cloud, &value(&cloud, ADMIN, "AWSCURRENT").await).await.0, 200);
    }
    // The application's rate limit: nothing is proved, and the next try continues.
    cloud.fault(json!({"service": "moveongs", "action": "*", "effect": "throttle", "count": 1})).await;
    let token = stops(&secret, "testSecret", "LoginLimited").await;
    let reported = cloud.messages(&token).await;
    assert!(reported[0].contains("Só o valor pendente (AWSPENDING) está valendo"), "{reported:?}");
    goes_on(&secret).await;
    // A login not yet seeded.
    let users = as_the_application(&cloud, DATABASE).await;
    users.execute("UPDATE users SET email = 'gone@imm.local' WHERE email = $1", &[&EMAIL]).await.unwrap();
    let token = secret.staged().await;
    for step in ["createSecret", "setSecret"] {
        secret.step(step, &token).await.unwrap();
    }
    assert_eq!(secret.step("testSecret", &token).await.unwrap(), "Unproved");
    goes_on(&secret).await;
    users.execute("UPDATE users SET email = $1 WHERE email = 'gone@imm.local'", &[&EMAIL]).await.unwrap();
    let reported = cloud.messages(&token).await;
    assert!(reported.len() == 1 && reported[0].contains("*Sem prova*"), "{reported:?}");
}

#[tokio::test]
async fn nothing_is_changed_where_the_repository_does_not_take_the_password() {
    let cloud = fresh().await;
    let secret = Secret::of_the_stack(&cloud, ADMIN).await;
    let old = value(&cloud, ADMIN, "AWSCURRENT").await;
    cloud.admin(Method::POST, "github/config", Some(json!({"may_write_secrets": false}))).await;
    let token = stops(&secret, "setSecret", "GitHubFailed").await;
    let reported = cloud.messages(&token).await;
    assert!(
        reported[0].contains("Secrets: read and write") && reported[0].contains("continua valendo"),
        "{reported:?}"
    );
    assert_eq!(log_in(&cloud, &old).await.0, 200);
    // GitHub reports success without storing the value.
    let since = json!({"name": "SEED_ADMIN_PASSWORD", "value": "old", "updated_at": "2026-01-01T00:00:00Z"});
    cloud.admin(Method::POST, "github/secrets", Some(since)).await;
    let github = json!({"may_write_secrets": true, "lose_secret_writes": true});
    cloud.admin(Method::POST, "github/config", Some(github)).await;
    secret.retry().await;
    let rotation = secret.settled(&["waiting"]).await;
    assert_eq!(rotation["error"]["type"], "NotUpdated", "{rotation}");
    assert_eq!((log_in(&cloud, &old).await.0, in_github(&cloud).await.unwrap().0), (200, "old".to_owned()));
    // The key pair is replaced between the two calls.
    let github = json!({"lose_secret_writes": false, "stale_keys": 1});
    cloud.admin(Method::POST, "github/config", Some(github)).await;
    goes_on(&secret).await;
    assert_eq!(in_github(&cloud).await.unwrap().0, secret.value(&token).await);
    assert_eq!(log_in(&cloud, &secret.value(&token).await).await.0, 200);
}

#[tokio::test]
async fn a_secret_that_the_stack_does_not_name_is_refused_and_so_is_what_is_no_event() {
    let cloud = fresh().await;
    let answer = async |event: Value| cloud.invoke(event).await.unwrap_err()["errorType"].clone();
    for event in [
        json!({"retire": false}),
        json!({"retire": true, "force": true}),
        json!({}),
        json!({"Step": "createSecret"}),
    ] {
        assert_eq!(answer(event).await, "InvalidEvent");
    }
    for name in [SES, TWILIO, ADMIN] {
        let secret = Secret::of_the_stack(&cloud, name).await;
        // A rotation that the service has not started changes nothing at any step.
        for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
            let error = secret.step(step, &"0".repeat(36)).await.unwrap_err();
            assert_eq!(error["errorType"], "UnknownVersion", "{name} {step}");
        }
        // finishSecret comes first.
        let token = secret.staged().await;
        let error = secret.step("finishSecret", &token).await.unwrap_err();
        assert_eq!(error["errorType"], "EmptyPending", "{name}");
        secret.step("createSecret", &token).await.unwrap();
        if name == ADMIN {
            assert_eq!(secret.step("finishSecret", &token).await.unwrap_err()["errorType"], "NotSet");
        }
        goes_on(&secret).await;
    }
}

/// Asserts the state outside Secrets Manager after a finished rotation of one of the three.
async fn has_ended_well(cloud: &Cloud, name: &str) {
    match name {
        SES => {
            let (current, previous) = (key_of(cloud, "AWSCURRENT").await, key_of(cloud, "AWSPREVIOUS").await);
            assert_eq!(keys(cloud).await, (sorted(&[(&current, "Active"), (&previous, "Active")]), 2));
        }
        TWILIO => {
            let (current, previous) =
                (value(cloud, TWILIO, "AWSCURRENT").await, value(cloud, TWILIO, "AWSPREVIOUS").await);
            assert_eq!(tokens(cloud).await, (json!(previous), json!(current), 2));
        }
        _ => {
            let current = value(cloud, ADMIN, "AWSCURRENT").await;
            assert!(bcrypt::verify(&current, &hash(cloud).await).unwrap());
            assert_eq!(in_github(cloud).await.unwrap().0, current);
        }
    }
}

/// Prepares another rotation.
async fn reset(cloud: &Cloud, name: &str) {
    match name {
        SES => only_the_current_key(cloud).await,
        TWILIO => {
            let current = value(cloud, TWILIO, "AWSCURRENT").await;
            twilio(cloud, json!({"primary": current, "secondary": null})).await;
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_step_twice_is_the_same_as_once() {
    let cloud = fresh().await;
    for name in [SES, TWILIO, ADMIN] {
        let secret = Secret::of_the_stack(&cloud, name).await;
        let token = secret.staged().await;
        let mut values = Vec::new();
        for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
            for _ in 0..2 {
                secret.step(step, &token).await.unwrap_or_else(|error| panic!("{name} {step}: {error}"));
                values.push(secret.value(&token).await);
            }
        }
        values.dedup();
        assert_eq!(values.len(), 1);
        has_ended_well(&cloud, name).await;
        assert_eq!(cloud.messages(&token).await.len(), 1);
        goes_on(&secret).await;
        assert_eq!(cloud.messages(&token).await.len(), 1);
        ledger(&cloud, &secret, "unproved", API).await;
        if name != ADMIN {
            let first = retire(&cloud, name).await;
            assert!(["deactivated", "promoted"].contains(&first.0.as_str()), "{first:?}");
            assert!(["waits", "nothing"].contains(&retire(&cloud, name).await.0.as_str()));
        }
    }
}

/// Expires the lease of a dead attempt, as time would: sets its end to its beginning.
async fn let_the_lease_end(cloud: &Cloud, secret: &Secret<'_>) {
    let issuance = cloud.json(&issuance(secret)).await.unwrap();
    later(cloud, secret, "/making/until", issuance["making"]["began"].as_str().unwrap()).await;
}

/// Kills the function at a call of a rotation; none when it makes fewer calls.
async fn crash(secret: &Secret<'_>, name: &str, kill: Kill) -> Option<Value> {
    let cloud = secret.cloud;
    cloud.calm().await;
    reset(cloud, name).await;
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    let token = secret.start().await;
    let mut rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    if cloud.hits("kill").await == 0 {
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        has_ended_well(cloud, name).await;
        return None;
    }
    assert_eq!(rotation["state"], "waiting", "a killed step is a failed step: {rotation}");
    let killed = cloud.calls(before).await.0.last().cloned();
    let step = rotation["error"]["step"].clone();
    cloud.admin(Method::DELETE, "faults", None).await;
    let mut attempts = 0;
    while rotation["state"] == "waiting" && attempts < 3 {
        attempts += 1;
        secret.retry().await;
        rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
        if rotation["error"]["type"] == "Busy" {
            let_the_lease_end(cloud, secret).await;
        }
    }
    if rotation["state"] == "succeeded" {
        has_ended_well(cloud, name).await;
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token));
    }
    let messages = cloud.messages(&token).await;
    let reported = messages.iter().filter(|message| message.contains("Segredo rotacionado")).count();
    assert!((1..=2).contains(&reported), "{kill} ({killed:?}): reported {reported} times: {rotation}");
    Some(json!({"case": name, "operation": killed, "step": step, "end": rotation["state"],
        "attempts": attempts, "reported": reported}))
}

/// Kills retiring at a call; none when it makes fewer.
async fn crash_retiring(secret: &Secret<'_>, name: &str, deletes: bool, kill: Kill) -> Option<Value> {
    let cloud = secret.cloud;
    cloud.calm().await;
    reset(cloud, name).await;
    let old = if name == SES {
        key_of(cloud, "AWSCURRENT").await
    } else {
        value(cloud, TWILIO, "AWSCURRENT").await
    };
    let token = secret.rotate().await;
    ledger(cloud, secret, "unproved", API).await;
    if deletes {
        assert_eq!(retire(cloud, name).await, did("deactivated"));
        later(cloud, secret, "/deactivated/at", "2026-01-01T00:00:00Z").await;
    }
    cloud.calm().await;
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    let survived = cloud.invoke(json!({"retire": true})).await.is_ok();
    assert_eq!(survived, cloud.hits("kill").await == 0);
    let killed = cloud.calls(before).await.0.last().cloned();
    cloud.admin(Method::DELETE, "faults", None).await;
    let mut again = retire(cloud, name).await;
    if again == waits("rotation_runs") {
        later(cloud, secret, "/promoting", "2026-01-01T00:00:00Z").await;
        again = retire(cloud, name).await;
    }
    assert_ne!(again.0, "failed", "{kill} ({killed:?})");
    let what = if name == SES {
        let current = key_of(cloud, "AWSCURRENT").await;
        let left = if deletes {
            sorted(&[(&current, "Active")])
        } else {
            sorted(&[(&old, "Inactive"), (&current, "Active")])
        };
        assert_eq!(keys(cloud).await, (left, 2), "{kill} ({killed:?})");
        if deletes { "foi apagada" } else { "foi desativada" }
    } else {
        assert_eq!(
            tokens(cloud).await,
            (json!(value(cloud, TWILIO, "AWSCURRENT").await), Value::Null, 2),
            "{kill} {killed:?}"
        );
        "agora o primário"
    };
    let reported = cloud.messages(what).await.len();
    assert!((1..=2).contains(&reported), "{kill} ({killed:?}): reported {reported} times");
    let act = if name == TWILIO {
        "promoted"
    } else if deletes {
        "deleted"
    } else {
        "deactivated"
    };
    let key = if name == TWILIO { "" } else { old.as_str() };
    assert!(
        cloud.record_of(&format!("{token}/retire/{act}/{key}")).await.is_some(),
        "{kill} {killed:?}: no record"
    );
    (!survived).then(|| {
        let case = format!("{name}: {act}");
        json!({"case": case, "operation": killed, "end": "succeeded", "reported": reported})
    })
}

#[tokio::test]
async fn every_crash_point_of_rotate_external_recovers() {
    let cloud = fresh().await;
    let mut points = Vec::new();
    for (name, least) in [(SES, 10), (TWILIO, 8), (ADMIN, 18)] {
        let secret = Secret::of_the_stack(&cloud, name).await;
        let of_secret = async |kill| crash(&secret, name, kill).await;
        points.extend(matrix::points_and_reads(least, of_secret).await);
    }
    for (name, deletes) in [(SES, false), (SES, true), (TWILIO, false)] {
        let secret = Secret::of_the_stack(&cloud, name).await;
        let of_act = async |kill| crash_retiring(&secret, name, deletes, kill).await;
        points.extend(matrix::points_and_reads(7, of_act).await);
    }
    let records = cloud.evidence("rotate-external").await;
    let runs: std::collections::BTreeSet<_> =
        records.iter().map(|(_, record)| record["run_id"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), records.len());
    matrix::write("rotate-external", &points, json!({}));
    cloud.followups(true).await;
}
