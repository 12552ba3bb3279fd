//! An attacker who can write only a secret, with IAM enforced: no rotation makes the attacker's value a credential.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_secretsmanager::Client;
use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::Advice;
use crate::cloud::{Cloud, sha256};
use crate::credential::{BOTH, Credential, encoded, kind};
use crate::secret::Secret;

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// A client that may only put values into one secret and move its labels.
async fn attacker(secret: &Secret<'_>) -> Client {
    let cloud = secret.cloud;
    let may = ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"];
    let statement = json!({"Effect": "Allow", "Action": may, "Resource": secret.arn});
    let name = format!("attacker-{}", uuid());
    let key = cloud.user(&name, statement).await;
    let config = cloud.secrets.config().to_builder().credentials_provider(key).build();
    let client = Client::from_conf(config);
    let read = client.get_secret_value().secret_id(&secret.arn).send().await;
    assert!(read.is_err(), "IAM is not enforced");
    client
}

/// An unused token.
fn uuid() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let hex = sha256(format!("{} {} {count}", std::process::id(), shared::runtime::time::now()).as_bytes());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

/// Stages a value as AWSPENDING in the version `token`, new or empty.
async fn stage(attacker: &Client, secret: &Secret<'_>, token: &str, value: &str) {
    let put = attacker.put_secret_value().secret_id(&secret.arn).client_request_token(token);
    put.secret_string(value).version_stages("AWSPENDING").send().await.unwrap();
}

/// Abandons the rotation and starts another, with the commands of the message about `kind`.
async fn cured(secret: &Secret<'_>, token: &str, kind: &str) {
    let reported = secret.cloud.messages(token).await;
    let reported =
        reported.iter().find(|message| message.contains(kind)).unwrap_or_else(|| panic!("{reported:?}"));
    let advice = Advice::of(reported);
    advice.run(secret.cloud, "update-secret-version-stage");
    advice.run(secret.cloud, "rotate-secret");
    let rotation = secret.settled(&["succeeded", "waiting"]).await;
    assert_eq!(rotation["state"], "succeeded", "{kind}: {rotation}");
}

/// Stages `chosen` before createSecret and after each step. Every step refuses it, and the advised commands help.
/// `reset` prepares the system that checks the value for another rotation; `holds` returns whether that system accepts
/// `chosen`.
async fn attack(secret: &Secret<'_>, chosen: &str, reset: impl AsyncFn(), holds: impl AsyncFn() -> bool) {
    let attacker = attacker(secret).await;
    let token = secret.staged().await;
    stage(&attacker, secret, &token, chosen).await;
    let refused = async |token: &str| {
        for step in STEPS {
            kind(secret.step(step, token).await, "ForeignPending");
            assert!(!holds().await, "{step}");
        }
    };
    refused(&token).await;
    secret.retry().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(rotation["error"]["type"], "ForeignPending", "{rotation}");
    cured(secret, &token, "ForeignPending").await;
    reset().await;
    assert!(!holds().await);

    for done in 1..STEPS.len() {
        let token = secret.staged().await;
        for step in &STEPS[..done] {
            secret.step(step, &token).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        }
        // A version filled by a function keeps its value forever, but not its label.
        let over = attacker.put_secret_value().secret_id(&secret.arn).client_request_token(&token);
        assert!(over.secret_string(chosen).version_stages("AWSPENDING").send().await.is_err());
        let own = uuid();
        stage(&attacker, secret, &own, chosen).await;
        let mut is_in_force = false;
        for step in &STEPS[done..] {
            let refused = secret.step(step, &token).await.unwrap_err();
            // DescribeSecret omits a version without labels. A single user's database already accepts the version's password.
            is_in_force |= refused["errorType"] == "CurrentMoved";
            assert!(is_in_force || refused["errorType"] == "UnknownVersion", "{step}: {refused}");
        }
        refused(&own).await;
        assert_ne!(secret.labelled("AWSCURRENT").await.as_deref(), Some(&*own));
        secret.settled(&["failed", "abandoned"]).await;
        if is_in_force {
            cured(secret, &own, "ForeignPending").await;
        } else {
            cured(secret, &token, "UnknownVersion").await;
        }
        reset().await;
        assert!(!holds().await, "after {}", STEPS[done - 1]);
    }
}

#[tokio::test]
async fn nobody_who_may_write_database_url_gets_a_login_of_their_choice() {
    let cloud = Cloud::connect("rotate-database").await;
    cloud.calm().await;
    for (strategy, password) in BOTH.into_iter().zip(["a", "A-password-0f-the-attacker.s-own-choice1"]) {
        let credential = Credential::new(&cloud, 18, strategy, "adversary").await;
        let secret = &credential.secret;
        let server = &credential.server;
        let users = [credential.user.clone(), format!("{}_clone", credential.user)];
        let holds = async || {
            for user in &users {
                if server.login(&credential.database, user, password).await.is_ok() {
                    return true;
                }
            }
            false
        };
        for user in &users {
            let current = secret.labelled("AWSCURRENT").await.unwrap();
            let (now, known) = credential.login_of(&current).await;
            let text = secret.value(&current).await;
            let login = |user: &str, password: &str| format!("://{}:{}@", encoded(user), encoded(password));
            let chosen = text.replacen(&login(&now, &known), &login(user, password), 1);
            assert!(chosen != text && chosen.contains(password));
            attack(secret, &chosen, async || {}, holds).await;
        }
        // As AWSCURRENT, a value that does not log in is not deployed.
        let current = secret.value(&secret.labelled("AWSCURRENT").await.unwrap()).await;
        let (user, known) = crate::credential::parts(&current);
        let chosen = current.replacen(&encoded(&known), &encoded(password), 1);
        let put = attacker(secret).await.put_secret_value().secret_id(&secret.arn).secret_string(&chosen);
        put.send().await.unwrap();
        secret.start().await;
        secret.settled(&["succeeded", "waiting"]).await;
        assert!(!holds().await, "{user}");
    }
}

#[tokio::test]
async fn nobody_who_may_write_the_administrators_password_becomes_the_administrator() {
    let cloud = Cloud::connect("rotate-external").await;
    cloud.calm().await;
    cloud.followups(false).await;
    let secret = Secret::of_the_stack(&cloud, "/moveongs/dev/seed-admin").await;
    for chosen in ["a", "abcdef", "Attackers0wnPasswordOf28Chars"] {
        let holds = async || {
            let body = json!({"email": "admin@imm.local", "password": chosen});
            let login = cloud.application(Method::POST, "/auth/login", body).await.0;
            let reported = cloud.admin(Method::GET, "github/secrets", None).await;
            let stored =
                reported["secrets"].as_array().unwrap().iter().any(|secret| secret["value"] == chosen);
            login == 200 || stored
        };
        attack(&secret, chosen, async || {}, holds).await;
        let put = attacker(&secret).await.put_secret_value().secret_id(&secret.arn).secret_string(chosen);
        put.send().await.unwrap();
        assert!(!holds().await);
        secret.rotate().await;
        assert!(!holds().await);
        assert_ne!(secret.value(&secret.labelled("AWSCURRENT").await.unwrap()).await, chosen);
    }
    cloud.followups(true).await;
}

#[tokio::test]
async fn nobody_who_may_write_jwt_secret_signs_tokens() {
    let cloud = Cloud::connect("rotate-random").await;
    cloud.calm().await;
    cloud.followups(false).await;
    for chosen in ["a".to_owned(), "AAAA".repeat(16)] {
        let secret = Secret::plain(&cloud, &format!("adversary-{}", uuid())).await;
        let holds = async || secret.value(&secret.labelled("AWSCURRENT").await.unwrap()).await == chosen;
        attack(&secret, &chosen, async || {}, holds).await;
    }
    cloud.followups(true).await;
}

#[tokio::test]
async fn nobody_who_may_write_the_keys_of_mail_or_twilio_brings_their_own_into_use() {
    let cloud = Cloud::connect("rotate-external").await;
    cloud.calm().await;
    cloud.followups(false).await;
    let secret = Secret::of_the_stack(&cloud, "/moveongs/dev/ses").await;
    const ID: &str = "NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID";
    let id_in = |text: &str| serde_json::from_str::<Value>(text).unwrap()[ID].as_str().unwrap().to_owned();
    let current = async || secret.value(&secret.labelled("AWSCURRENT").await.unwrap()).await;
    let only_the_current_key = async || {
        let reported = cloud.admin(Method::GET, "iam/keys?user=moveongs-dev-mail", None).await;
        for key in reported["keys"].as_array().unwrap() {
            let key = key["access_key_id"].as_str().unwrap();
            if key != id_in(&current().await) {
                cloud.iam("DeleteAccessKey", "moveongs-dev-mail", &[("AccessKeyId", key)]).await;
            }
        }
    };
    only_the_current_key().await;
    let chosen = current().await.replace(&id_in(&current().await), "AKIAOFANATTACKER0000");
    let holds = async || current().await == chosen;
    attack(&secret, &chosen, only_the_current_key, holds).await;

    let secret = Secret::of_the_stack(&cloud, "/moveongs/dev/twilio").await;
    let current = async || secret.value(&secret.labelled("AWSCURRENT").await.unwrap()).await;
    let only_the_current_token = async || {
        let config = json!({"primary": current().await, "secondary": null, "status": "active", "second_secondary": "refuse"});
        cloud.admin(Method::POST, "twilio/config", Some(config)).await;
    };
    only_the_current_token().await;
    let chosen = "f".repeat(32);
    let holds = async || current().await == chosen;
    attack(&secret, &chosen, only_the_current_token, holds).await;
    cloud.followups(true).await;
}
