//! `rotate-database` against the contract of rotation: the twenty scenarios, by number, on real PostgreSQL.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::Advice;
use crate::cloud::{Cloud, EVIDENCE, eventually};
use crate::credential::{BOTH, Credential, Strategy, aws_form, encoded, kind, parts};
use crate::secret::Secret;
use crate::server::Server;

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

async fn calm() -> Cloud {
    let cloud = Cloud::connect("rotate-database").await;
    cloud.calm().await;
    cloud
}

/// The function's calls of the database since `before`.
async fn sql_calls(cloud: &Cloud, before: u64) -> Vec<String> {
    let calls = cloud.calls(before).await.0;
    calls.into_iter().filter(|call| call.starts_with("postgres:")).collect()
}

/// Outcomes of the function's calls of an action since `before`.
async fn outcomes(cloud: &Cloud, before: u64, action: &str) -> Vec<String> {
    let path = format!("calls?after={before}&caller=lambda:{}", cloud.function());
    let log = cloud.admin(Method::GET, &path, None).await;
    let calls = log["calls"].as_array().unwrap().iter().filter(|call| call["action"] == action);
    calls.map(|call| call["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The channel's only message about this failure of a rotation's step.
async fn reported(cloud: &Cloud, step: &str, kind: &str, token: &str) -> String {
    let messages = cloud.messages(&format!("{step}: *{kind}*")).await;
    let mut messages: Vec<_> = messages.into_iter().filter(|message| message.contains(token)).collect();
    assert_eq!(messages.len(), 1, "{step}: {kind}: {messages:?}");
    messages.remove(0)
}

/// A message's command that abandons a rotation.
fn clear_command(secret: &Secret<'_>, token: &str) -> String {
    format!(
        "`aws secretsmanager update-secret-version-stage --secret-id {} --version-stage AWSPENDING --remove-from-version-id {token}`",
        secret.arn
    )
}

/// A secret's URL.
fn url(server: &Server, database: &str, user: &str, password: &str) -> String {
    let (user, password) = (encoded(user), encoded(password));
    let (host, port) = (&server.host, server.port);
    format!("postgres://{user}:{password}@{host}:{port}/{database}?sslmode=require&application_name=a%20b")
}

/// A document with a login in many places, in an unusual layout.
fn document(server: &Server, database: &str, user: &str, password: &str, url: &str) -> String {
    let (host, port) = (&server.host, server.port);
    let (user, password, url) = (json!(user), json!(password), json!(url));
    format!(
        "{{ \"engine\":\"postgres\",\t\"host\" : \"{host}\", \"port\": {port},\n  \"username\":{user} , \"password\": {password},\n\
         \"dbname\":\"{database}\", \"DATABASE_URL\" :{url},\"DB_USER\": {user}, \"DB_PASSWORD\":{password},\r\n\
         \"nested\": {{\"username\":{user},\"password\" : {password}, \"PGUSER\": {user}, \"PGPASSWORD\":{password},\n\
         \"other\": [ 1,\"two\" ]}},\"n\": 1e2, \"note\":\"k\\u0065pt\" }}\n"
    )
}

#[tokio::test]
async fn s01_a_rotation_ends_with_a_new_login_and_all_else_as_it_was() {
    let cloud = calm().await;
    for (major, strategy) in [15, 18].into_iter().flat_map(|major| BOTH.map(|strategy| (major, strategy))) {
        let credential = Credential::new(&cloud, major, strategy, "s01").await;
        let before = cloud.last_call().await;
        let first = credential.secret.rotate().await;
        let calls = cloud.calls(before).await.0;
        credential.finished(&first, &credential.secret.first).await;
        let second = credential.secret.rotate().await;
        credential.finished(&second, &first).await;

        let count = |name: &str| calls.iter().filter(|call| *call == name).count();
        let logins = if strategy == Strategy::Single { 3 } else { 4 };
        assert_eq!(count("postgres:login"), logins, "{calls:?}");
        assert_eq!(count("secretsmanager:PutSecretValue"), 1);
        // Each step checks whether RDS manages the password, because a step can be called alone.
        assert_eq!(count("rds:DescribeDBInstances"), 4);

        let message = cloud.messages(&first).await.remove(0);
        assert!(
            message.contains("Segredo rotacionado") && message.contains("force-new-deployment"),
            "{message}"
        );
        let record = cloud.record_of(&first).await.unwrap();
        let steps = record["steps"].to_string();
        assert!(steps.contains("log in with the pending credential, read and write"), "{steps}");
        let window =
            cloud.log_lines(&first).await.into_iter().find(|line| line.contains("rotation.window_ms"));
        assert_eq!(window.is_some(), strategy == Strategy::Single, "{window:?}");
        assert_eq!(steps.contains("was not accepted for"), strategy == Strategy::Single, "{steps}");
    }
}

#[tokio::test]
async fn s01_the_applications_secret_is_rotated_and_proved_on_its_own_tables() {
    let cloud = calm().await;
    let described = cloud.secrets.describe_secret().secret_id("/moveongs/dev/db").send().await.unwrap();
    let arn = described.arn.unwrap();
    let mut secret = crate::secret::Secret { cloud: &cloud, arn, first: String::new(), field: None };
    secret.first = secret.labelled("AWSCURRENT").await.unwrap();
    secret.vouch().await;
    let before = cloud.last_call().await;
    let token = secret.rotate().await;
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token));
    // Three of the policy's six statements are updates; testSecret executes them, and finishSecret again.
    let calls = sql_calls(&cloud, before).await;
    assert_eq!(calls.iter().filter(|call| *call == "postgres:UPDATE").count(), 6, "{calls:?}");
    let (old, new) = (parts(&secret.value(&secret.first).await).0, parts(&secret.value(&token).await).0);
    assert!(
        old != new && [old, new].iter().all(|user| ["moveongs", "moveongs_clone"].contains(&user.as_str()))
    );
}

#[tokio::test]
async fn s02_every_step_three_times_and_the_whole_again_changes_nothing() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s02").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        let mut value = None;
        for step in STEPS {
            for _ in 0..3 {
                credential.steps(&token, &[step]).await;
                let stored = secret.value(&token).await;
                assert_eq!(*value.get_or_insert(stored.clone()), stored);
            }
        }
        let before = cloud.last_call().await;
        for step in STEPS {
            assert_eq!(secret.step(step, &token).await, Ok(json!("AlreadyFinished")));
        }
        assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s04_a_value_that_was_stored_before_a_crash_is_kept() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Alternating, "s04").await;
    let secret = &credential.secret;
    cloud.fault(json!({"service": "secretsmanager", "action": "PutSecretValue", "when": "after", "effect": "kill"})).await;
    let token = secret.start().await;
    secret.settled(&["waiting"]).await;
    let value = secret.value(&token).await;
    let before = cloud.last_call().await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
    assert_eq!(secret.value(&token).await, value);
    assert!(!cloud.calls(before).await.0.contains(&"secretsmanager:PutSecretValue".to_owned()));
}

#[tokio::test]
async fn s05_of_two_createsecret_at_once_one_wins_and_both_succeed() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s05").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    cloud.fault(json!({"service": "secretsmanager", "action": "PutSecretValue", "effect": "timeout", "seconds": 2})).await;
    let before = cloud.last_call().await;
    let (first, second) =
        tokio::join!(secret.step("createSecret", &token), secret.step("createSecret", &token));
    let mut answers = [first.unwrap().to_string(), second.unwrap().to_string()];
    answers.sort();
    assert_eq!(answers, [r#""Created""#, r#""Kept""#]);
    assert_eq!(cloud.hits("timeout").await, 1);
    let puts = outcomes(&cloud, before, "PutSecretValue").await;
    assert!(puts[0].ends_with(":timeout"), "{puts:?}");
    assert_eq!(puts[1..], ["ok", "error:ResourceExistsException"]);
    let value = secret.value(&token).await;
    assert_eq!(secret.step("createSecret", &token).await, Ok(json!("Kept")));
    assert_eq!(secret.value(&token).await, value);
    credential.steps(&token, &STEPS).await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
    assert_eq!(secret.value(&token).await, value);
}

#[tokio::test]
async fn s06_of_two_setsecret_at_once_one_waits_for_the_other_and_both_succeed() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s06").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        // Both reach the lock before either has changed anything.
        let holder = credential.lock_holder().await;
        let both = async { tokio::join!(secret.step("setSecret", &token), secret.step("setSecret", &token)) };
        let release = async {
            credential.waiting(2).await;
            drop(holder);
        };
        let ((first, second), ()) = tokio::join!(both, release);
        assert_eq!((first, second), (Ok(json!("Set")), Ok(json!("Set"))));
        assert!(credential.logs_in(&token).await);
        credential.steps(&token, &["testSecret", "finishSecret"]).await;
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s07_a_token_or_step_that_is_not_of_a_rotation_never_comes_to_the_database() {
    let cloud = calm().await;
    for (major, strategy) in [(18, Strategy::Single), (15, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s07").await;
        let secret = &credential.secret;
        let untouched = credential.snapshot().await;
        let before = cloud.last_call().await;
        for step in STEPS {
            kind(secret.step(step, "00000000-0000-0000-0000-000000000000").await, "UnknownVersion");
        }
        for step in ["create_secret", "rollbackSecret", ""] {
            let message = kind(secret.step(step, &secret.first).await, "InvalidEvent");
            assert!(message.contains("Step"), "{message}");
        }
        assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
        credential.untouched(&untouched).await;

        // Versions of finished rotations: AWSPREVIOUS now, or without a label.
        let mut over = vec![secret.first.clone()];
        for _ in 0..3 {
            let token = secret.rotate().await;
            credential.finished(&token, over.last().unwrap()).await;
            let (untouched, labels) = (credential.snapshot().await, secret.labels().await);
            let before = cloud.last_call().await;
            for version in &over {
                let labelled = labels.get(version).is_some_and(|labels| labels.contains("AWSPREVIOUS"));
                let expected = if labels.contains_key(version) { "NotPending" } else { "UnknownVersion" };
                assert!(labelled == (Some(version) == over.last()));
                for step in STEPS {
                    kind(secret.step(step, version).await, expected);
                }
            }
            assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
            credential.untouched(&untouched).await;
            over.push(token);
        }
    }
}

#[tokio::test]
async fn s08_a_secret_whose_rotation_is_off_or_was_never_on_is_refused() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 15, Strategy::Single, "s08").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    cloud.secrets.cancel_rotate_secret().secret_id(&secret.arn).send().await.unwrap();
    let untouched = credential.snapshot().await;
    let before = cloud.last_call().await;
    for step in STEPS {
        kind(secret.step(step, &token).await, "RotationNotEnabled");
    }
    let name = format!("{}s08-never", cloud.prefix());
    let never = cloud.secrets.create_secret().name(name).secret_string("x").send().await.unwrap();
    let event =
        json!({"Step": "createSecret", "SecretId": never.arn, "ClientRequestToken": never.version_id});
    kind(cloud.invoke(event).await, "RotationNotEnabled");
    assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
    credential.untouched(&untouched).await;
}

#[tokio::test]
async fn s09_a_test_of_the_set_up_logs_in_and_changes_nothing_and_an_empty_version_fails_it() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s09").await;
        let secret = &credential.secret;
        let untouched = credential.snapshot().await;
        let before = cloud.last_call().await;
        // The service calls only testSecret, on a copy of the current value.
        let test = cloud.secrets.rotate_secret().secret_id(&secret.arn).rotate_immediately(false);
        test.send().await.unwrap();
        let rotation = secret.settled(&["tested", "test-failed"]).await;
        assert_eq!(rotation["state"], "tested", "{rotation}");
        assert_eq!(rotation["steps"].as_array().unwrap().len(), 1);
        assert!(sql_calls(&cloud, before).await.contains(&"postgres:login".to_owned()));
        assert_eq!(secret.labels().await.len(), 1);
        credential.untouched(&untouched).await;
        let token = secret.staged().await;
        let untouched = credential.snapshot().await;
        for step in ["setSecret", "testSecret", "finishSecret"] {
            kind(secret.step(step, &token).await, "EmptyPending");
        }
        credential.untouched(&untouched).await;
    }
}

#[tokio::test]
async fn s10_finishsecret_called_first_or_after_a_failed_test_moves_nothing() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s10").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        let untouched = credential.snapshot().await;
        kind(secret.step("finishSecret", &token).await, "Auth");
        credential.untouched(&untouched).await;
        // The user loses the rights that the policy's test SQL needs.
        credential.steps(&token, &["setSecret"]).await;
        let master = credential.server.master(&credential.user).await;
        let database = &credential.user;
        let owner = if strategy == Strategy::Single { database.clone() } else { format!("{database}_owner") };
        master.batch_execute(&format!("GRANT \"{owner}\" TO imm; REVOKE TEMPORARY ON DATABASE \"{database}\" FROM PUBLIC, \"{owner}\"")).await.unwrap();
        let untouched = credential.snapshot().await;
        for step in ["testSecret", "finishSecret"] {
            let message = kind(secret.step(step, &token).await, "Permission");
            assert!(message.contains("statement 1 of the policy's test SQL"), "{message}");
        }
        credential.untouched(&untouched).await;
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
        let reported = reported(&cloud, "testSecret", "Permission", &token).await;
        // For a single user, removing the label would lose the only password that logs in.
        let clear = "--version-stage AWSPENDING --remove-from-version-id";
        assert_eq!(reported.contains(clear), strategy == Strategy::Alternating, "{reported}");
        master
            .batch_execute(&format!("GRANT TEMPORARY ON DATABASE \"{database}\" TO \"{owner}\""))
            .await
            .unwrap();
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s11_a_version_that_a_person_puts_meanwhile_stays_and_the_message_says_what_is_live() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s11").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret", "setSecret"]).await;
    let by_hand = secret.value(&secret.first).await.replace("first-Password", "other-Password");
    let manual = credential.put(by_hand).await;
    let message = kind(secret.step("finishSecret", &token).await, "CurrentMoved");
    assert!(message.contains("the credential of this rotation's version"), "{message}");
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&manual));
    let reported = cloud.messages("CurrentMoved").await.remove(0);
    let cure =
        format!("--version-stage AWSCURRENT --move-to-version-id {token} --remove-from-version-id {manual}");
    assert!(reported.contains(&cure), "{reported}");
    assert_eq!(secret.settled(&["abandoned"]).await["token"], token.as_str());
    // The message's command fixes it.
    credential.move_label("AWSCURRENT", Some(&token), Some(&manual)).await;
    credential.works(&token).await;
    let next = secret.rotate().await;
    credential.works(&next).await;
}

#[tokio::test]
async fn s11_a_label_that_a_person_moves_meanwhile_stays() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 15, strategy, "s11_label").await;
        let secret = &credential.secret;
        let before = secret.rotate().await;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret", "setSecret", "testSecret"]).await;
        credential.move_label("AWSCURRENT", Some(&secret.first), Some(&before)).await;
        kind(secret.step("finishSecret", &token).await, "CurrentMoved");
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
        // With the label moved back, the rotation ends normally.
        credential.move_label("AWSCURRENT", Some(&before), Some(&secret.first)).await;
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &before).await;
    }
}

#[tokio::test]
async fn s11_a_label_that_is_moved_while_setsecret_waits_stays_and_nothing_is_set() {
    let cloud = calm().await;
    for (major, strategy) in [(18, Strategy::Single), (15, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s11_fence").await;
        let secret = &credential.secret;
        let current = secret.rotate().await;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        let mut expected = credential.snapshot().await;
        let holder = credential.lock_holder().await;
        let late = secret.step("setSecret", &token);
        let moved = async {
            credential.waiting(1).await;
            credential.move_label("AWSCURRENT", Some(&secret.first), Some(&current)).await;
            drop(holder);
        };
        let (late, ()) = tokio::join!(late, moved);
        kind(late, "CurrentMoved");
        for (version, label) in [(&secret.first, "AWSCURRENT"), (&current, "AWSPREVIOUS")] {
            expected.versions.get_mut(version).unwrap().labels = BTreeSet::from([label.to_owned()]);
        }
        assert_eq!(expected.versions[&token].labels, BTreeSet::from(["AWSPENDING".to_owned()]));
        credential.untouched(&expected).await;
        reported(&cloud, "setSecret", "CurrentMoved", &token).await;
        // With the label moved back, the rotation ends normally.
        credential.move_label("AWSCURRENT", Some(&current), Some(&secret.first)).await;
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &current).await;
    }
}

#[tokio::test]
async fn s12_the_calls_of_an_older_rotation_fail_and_the_newer_one_completes() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s12").await;
        let secret = &credential.secret;
        let old = secret.staged().await;
        credential.steps(&old, &["createSecret"]).await;
        let mut expected = credential.snapshot().await;
        // A step of the older rotation has reached the database's lock when a person abandons that rotation.
        let holder = credential.lock_holder().await;
        let late = secret.step("setSecret", &old);
        let overtaken = async {
            credential.waiting(1).await;
            credential.move_label("AWSPENDING", None, Some(&old)).await;
            drop(holder);
        };
        let (late, ()) = tokio::join!(late, overtaken);
        kind(late, "UnknownVersion");
        expected.versions.get_mut(&old).unwrap().labels.clear();
        credential.untouched(&expected).await;
        let new = secret.staged().await;
        for step in STEPS {
            kind(secret.step(step, &old).await, "UnknownVersion");
        }
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&new, &secret.first).await;
        assert!(!credential.logs_in(&old).await);
    }
}

#[tokio::test]
async fn s13_a_database_that_cannot_be_reached_is_reported_in_time_and_the_retry_succeeds() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        for mode in ["blackhole", "refuse"] {
            let credential = Credential::new(&cloud, major, strategy, &format!("s13_{mode}")).await;
            let secret = &credential.secret;
            let token = secret.staged().await;
            credential.steps(&token, &["createSecret"]).await;
            let untouched = credential.snapshot().await;
            credential.server.fault(&cloud, mode).await;
            for step in ["setSecret", "testSecret", "finishSecret"] {
                kind(secret.step(step, &token).await, "Network");
            }
            credential.server.fault(&cloud, "none").await;
            for step in ["setSecret", "testSecret", "finishSecret"] {
                reported(&cloud, step, "Network", &token).await;
            }
            credential.untouched(&untouched).await;
            secret.retry().await;
            secret.settled(&["succeeded"]).await;
            credential.finished(&token, &secret.first).await;
        }
    }
}

#[tokio::test]
async fn s13_a_host_that_has_no_address_is_reported_in_time_and_nothing_is_changed() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s13_dns").await;
        let value = credential.secret.value(&credential.secret.first).await;
        let nowhere = value.replace(&format!("@{}:", credential.server.host), "@no-such-host.invalid:");
        assert_ne!(nowhere, value);
        let lost = credential.beside("nowhere", &nowhere).await;
        let token = lost.secret.staged().await;
        lost.steps(&token, &["createSecret"]).await;
        let untouched = lost.snapshot().await;
        for step in ["setSecret", "testSecret", "finishSecret"] {
            let message = kind(lost.secret.step(step, &token).await, "Network");
            assert!(message.contains("no-such-host.invalid"), "{message}");
            reported(&cloud, step, "Network", &token).await;
        }
        lost.untouched(&untouched).await;
    }
}

#[tokio::test]
async fn s13_a_database_that_falls_silent_during_setsecret_is_reported_in_time_and_the_retry_succeeds() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        for (name, action) in [("s13_begin", "BEGIN"), ("s13_change", "ALTER ROLE")] {
            let credential = Credential::new(&cloud, major, strategy, name).await;
            let secret = &credential.secret;
            let token = secret.staged().await;
            credential.steps(&token, &["createSecret"]).await;
            let untouched = credential.snapshot().await;
            let silence =
                json!({"service": "postgres", "action": action, "effect": "timeout", "seconds": 600});
            cloud.fault(silence).await;
            kind(secret.step("setSecret", &token).await, "Network");
            assert_eq!(cloud.hits("timeout").await, 1, "{action}");
            reported(&cloud, "setSecret", "Network", &token).await;
            cloud.calm().await;
            credential.untouched(&untouched).await;
            secret.retry().await;
            secret.settled(&["succeeded"]).await;
            credential.finished(&token, &secret.first).await;
        }
    }
}

#[tokio::test]
async fn s13_an_admin_who_does_not_get_in_is_reported_and_nothing_is_changed() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Alternating, "s13_admin").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    let untouched = credential.snapshot().await;
    for (failure, expected) in [
        (json!({"effect": "drop"}), "Network"),
        (json!({"effect": "timeout", "seconds": 600}), "Network"),
        (json!({"effect": "error", "code": "57P03"}), "Network"),
        (json!({"effect": "throttle"}), "ConnectionLimit"),
        (json!({"effect": "error", "code": "28P01"}), "Auth"),
    ] {
        // The first login is the current user's.
        let mut login = json!({"service": "postgres", "action": "login", "nth": 2});
        login.as_object_mut().unwrap().extend(failure.as_object().unwrap().clone());
        cloud.fault(login).await;
        let message = kind(secret.step("setSecret", &token).await, expected);
        assert!(message.contains("(rotation_admin@"), "{failure}: {message}");
        reported(&cloud, "setSecret", expected, &token).await;
        cloud.calm().await;
        credential.untouched(&untouched).await;
    }
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s14_tls_that_cannot_be_verified_is_refused_and_nothing_goes_out_in_clear() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s14").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        let untouched = credential.snapshot().await;
        let steps = ["setSecret", "testSecret", "finishSecret"];
        for mode in ["untrusted-ca", "wrong-name", "downgrade"] {
            let before = credential.server.fault(&cloud, mode).await;
            for step in steps {
                kind(secret.step(step, &token).await, "Tls");
            }
            let state = format!("rds/fault?instance={}", credential.server.name);
            let after = cloud.admin(Method::GET, &state, None).await;
            credential.server.fault(&cloud, "none").await;
            let since = |count: &str| after[count].as_u64().unwrap() - before[count].as_u64().unwrap();
            assert_eq!(since("plaintext_startups"), 0, "{mode}");
            assert!(since("connections") >= 3, "{mode}: {before}, {after}");
            credential.untouched(&untouched).await;
            for step in steps {
                let reported = reported(&cloud, step, "Tls", &token).await;
                assert!(reported.contains("Nada foi enviado sem TLS"), "{reported}");
            }
            cloud.calm().await;
        }
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s15_when_only_another_version_logs_in_it_is_used_and_reported() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s15").await;
        let secret = &credential.secret;
        let wrong = secret.value(&secret.first).await.replace("first-Password", "wrong-Password");
        let wrong = credential.put(wrong).await;
        let token = secret.rotate().await;
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token));
        assert_eq!(secret.labelled("AWSPREVIOUS").await.as_ref(), Some(&wrong));
        credential.works(&token).await;
        let reported = cloud.messages(&token).await.remove(0);
        assert!(reported.contains("Atenção") && reported.contains(&secret.first), "{reported}");
        let record = cloud.record_of(&token).await.unwrap();
        assert!(record["findings"].to_string().contains(&secret.first), "{record}");
    }
}

#[tokio::test]
async fn s15_when_only_another_user_logs_in_the_commands_of_the_messages_repair_it() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Alternating, "s15_other").await;
    let secret = &credential.secret;
    let current = secret.rotate().await;
    let (user, _) = credential.login_of(&current).await;
    let verifier = postgres_protocol::password::scram_sha_256(b"set-By.hand_in~the database");
    let manager = credential.server.manager("postgres").await;
    manager.batch_execute(&format!("ALTER ROLE \"{user}\" PASSWORD '{verifier}'")).await.unwrap();
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    let untouched = credential.snapshot().await;
    let message = kind(secret.step("setSecret", &token).await, "Auth");
    assert!(message.contains("as the user of AWSCURRENT"), "{message}");
    credential.untouched(&untouched).await;
    let reported = reported(&cloud, "setSecret", "Auth", &token).await;
    let back = format!("--move-to-version-id {} --remove-from-version-id {current}", secret.first);
    assert!(reported.contains(&back) && reported.contains(&clear_command(secret, &token)), "{reported}");
    credential.move_label("AWSCURRENT", Some(&secret.first), Some(&current)).await;
    credential.move_label("AWSPENDING", None, Some(&token)).await;
    let next = secret.rotate().await;
    credential.finished(&next, &secret.first).await;
}

#[tokio::test]
async fn s15_when_no_version_logs_in_nothing_is_changed() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 15, strategy, "s15_none").await;
        let secret = &credential.secret;
        let by_hand = "set-By.hand_in~the database";
        let verifier = postgres_protocol::password::scram_sha_256(by_hand.as_bytes());
        let manager = credential.server.manager("postgres").await;
        manager
            .batch_execute(&format!("ALTER ROLE \"{}\" PASSWORD '{verifier}'", credential.user))
            .await
            .unwrap();
        let untouched = credential.snapshot().await;
        let token = secret.start().await;
        let rotation = secret.settled(&["waiting", "succeeded"]).await;
        assert_eq!(rotation["error"]["step"], "setSecret", "{rotation}");
        let refused = credential.snapshot().await;
        assert_eq!(refused.database, untouched.database);
        assert_eq!(refused.versions[&secret.first], untouched.versions[&secret.first]);
        assert_eq!(refused.versions[&token].answer.as_deref(), Some("28P01"));
        let message = kind(secret.step("setSecret", &token).await, "Auth");
        assert!(message.contains("no stored credential logs in"), "{message}");
        credential.untouched(&refused).await;
        let reported = reported(&cloud, "setSecret", "Auth", &token).await;
        assert!(reported.contains("nenhuma credencial guardada entra no banco"), "{reported}");
        credential.server.login(&credential.database, &credential.user, by_hand).await.unwrap();
        // A person sets the user's password to that of AWSCURRENT.
        let verifier = postgres_protocol::password::scram_sha_256(b"first-Password.of_the~app");
        manager
            .batch_execute(&format!("ALTER ROLE \"{}\" PASSWORD '{verifier}'", credential.user))
            .await
            .unwrap();
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s16_a_json_secret_with_derived_fields_is_kept_in_step() {
    let cloud = calm().await;
    for strategy in BOTH {
        let server = Server::of(&cloud, 18).await;
        let user = format!("s16_{strategy:?}").to_lowercase();
        let password = "first p@ss:w/rd?#[]%'\"\\ çã";
        server.application(&user, &user, password).await;
        let with = |name: &str, password: &str, in_url: &str| {
            let url = url(&server, &user, name, "-").replacen(":-@", &format!(":{in_url}@"), 1);
            document(&server, &user, name, password, &url.replacen("postgres:", "postgresql:", 1))
        };
        // Percent-encoded without need.
        let every: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let old = with(&user, password, &every);
        let credential = Credential::with_value(&cloud, server.clone(), strategy, &user, &old).await;
        let token = credential.secret.rotate().await;
        credential.finished(&token, &credential.secret.first).await;
        let (name, secret) = credential.login_of(&token).await;
        assert_eq!(name, credential.next_user());
        assert_eq!(credential.secret.value(&token).await, with(&name, &secret, &secret));
    }
}

#[tokio::test]
async fn s16_a_name_and_a_password_with_any_sign_are_rotated_in_every_form() {
    let cloud = calm().await;
    let signs = ["%", "'", "\"", "\\", ":", "/", "@", "#", "?", " ", "UPPER"];
    let password = "first-Password % ' \" \\ : / @ # ? ~";
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        let server = Server::of(&cloud, major).await;
        for (place, sign) in signs.into_iter().enumerate() {
            for json in [false, true] {
                let tag = format!("{strategy:?}_{json}").to_lowercase();
                let (user, database) = (format!("s16_{sign}_{tag}"), format!("s16_signs_{place}_{tag}"));
                server.application(&database, &user, password).await;
                let with = |user: &str, password: &str| {
                    let url = url(&server, &database, user, password);
                    if json { document(&server, &database, user, password, &url) } else { url }
                };
                let old = with(&user, password);
                assert_eq!(parts(&old), (user.clone(), password.to_owned()));
                let credential =
                    Credential::with_value(&cloud, server.clone(), strategy, &database, &old).await;
                let credential = Credential { user: user.clone(), ..credential };
                let token = credential.secret.rotate().await;
                credential.finished(&token, &credential.secret.first).await;
                let (name, secret) = credential.login_of(&token).await;
                assert_eq!(name, credential.next_user());
                server.login(&database, &name, &secret).await.unwrap();
                assert_eq!(credential.secret.value(&token).await, with(&name, &secret));
            }
        }
    }
}

#[tokio::test]
async fn s16_a_name_of_63_bytes_is_rotated_by_a_single_user_and_refused_for_two() {
    let cloud = calm().await;
    let server = Server::of(&cloud, 15).await;
    let name = format!("{}é", "N".repeat(61));
    server.application(&name, &name, "first-Password.of_the~app").await;
    let value = aws_form(&server, &name, "first-Password.of_the~app").to_string();
    let long = Credential::with_value(&cloud, server.clone(), Strategy::Single, "s16-63", &value).await;
    let token = long.secret.rotate().await;
    let (user, password) = long.login_of(&token).await;
    assert_eq!(user, name);
    server.login(&name, &user, &password).await.unwrap();

    let value = long.secret.value(&token).await;
    let two = Credential::with_value(&cloud, server, Strategy::Alternating, "s16-63-two", &value).await;
    let token = two.secret.staged().await;
    let message = kind(two.secret.step("createSecret", &token).await, "Identity");
    assert!(message.contains("longer than 57 bytes"), "{message}");
}

#[tokio::test]
async fn s17_a_host_that_is_edited_meanwhile_is_refused_with_the_way_out() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s17").await;
        let value = credential.secret.value(&credential.secret.first).await;
        let elsewhere = value.replace(&format!("@{}:", credential.server.host), "@edited.invalid:");
        assert_ne!(elsewhere, value);
        // A version with another host becomes current during the rotation from the right one.
        let edited = credential.beside("edited", &elsewhere).await;
        let secret = &edited.secret;
        let right = edited.put(value.clone()).await;
        let token = secret.staged().await;
        edited.steps(&token, &["createSecret"]).await;
        edited.move_label("AWSCURRENT", Some(&secret.first), Some(&right)).await;
        let untouched = edited.snapshot().await;
        let before = cloud.last_call().await;
        for step in ["setSecret", "finishSecret"] {
            let message = kind(secret.step(step, &token).await, "Identity");
            assert!(message.contains("different hosts"), "{message}");
            let reported = reported(&cloud, step, "Identity", &token).await;
            assert!(reported.contains(&clear_command(secret, &token)), "{reported}");
        }
        assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
        edited.untouched(&untouched).await;

        // The advised commands, and the right host again. Then a pending value of an unrelated user.
        let advised = reported(&cloud, "finishSecret", "Identity", &token).await;
        Advice::of(&advised).run(&cloud, "--version-stage AWSPENDING");
        edited.move_label("AWSCURRENT", Some(&right), Some(&secret.first)).await;
        let token = secret.staged().await;
        secret.put_sealed(&token, &value.replacen(&credential.user, "imm", 1)).await;
        assert_eq!(edited.login_of(&token).await.0, "imm");
        let untouched = edited.snapshot().await;
        let before = cloud.last_call().await;
        for step in ["setSecret", "finishSecret"] {
            let message = kind(secret.step(step, &token).await, "Identity");
            assert!(message.contains("users"), "{message}");
            let reported = reported(&cloud, step, "Identity", &token).await;
            assert!(reported.contains(&clear_command(secret, &token)), "{reported}");
        }
        assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
        edited.untouched(&untouched).await;
        edited.move_label("AWSPENDING", None, Some(&token)).await;
        let next = secret.rotate().await;
        edited.finished(&next, &right).await;
    }
}

#[tokio::test]
async fn s18_a_full_connection_limit_has_its_own_kind() {
    let cloud = calm().await;
    for (major, strategy) in [(18, Strategy::Single), (15, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s18_limit").await;
        let secret = &credential.secret;
        let manager = credential.server.manager("postgres").await;
        manager.batch_execute(&format!("ALTER ROLE {} CONNECTION LIMIT 1", credential.user)).await.unwrap();
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        let taken =
            eventually("the one connection", async || credential.enter(&secret.first).await.ok()).await;
        let untouched = credential.snapshot().await;
        assert_eq!(untouched.versions[&secret.first].answer.as_deref(), Some("53300"));
        kind(secret.step("setSecret", &token).await, "ConnectionLimit");
        reported(&cloud, "setSecret", "ConnectionLimit", &token).await;
        credential.untouched(&untouched).await;
        drop(taken);
        eventually("the connection is given back", async || credential.enter(&secret.first).await.ok()).await;
        secret.retry().await;
        let rotation = secret.settled(&["succeeded", "waiting"]).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        for user in BTreeSet::from([credential.user.clone(), credential.next_user()]) {
            manager.batch_execute(&format!("ALTER ROLE {user} CONNECTION LIMIT -1")).await.unwrap();
        }
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s18_a_role_that_is_read_only_by_default_is_rotated() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s18_read").await;
        let manager = credential.server.manager("postgres").await;
        let read_only = format!("ALTER ROLE {} SET default_transaction_read_only = on", credential.user);
        manager.batch_execute(&read_only).await.unwrap();
        let token = credential.secret.rotate().await;
        let session = credential.enter(&token).await.unwrap();
        let shown: String =
            session.query_one("SHOW default_transaction_read_only", &[]).await.unwrap().get(0);
        assert_eq!(shown, "on");
    }
}

#[tokio::test]
async fn s18_restricted_password_commands_have_their_own_kind() {
    let cloud = calm().await;
    for (major, strategy) in [(18, Strategy::Single), (15, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s18_restricted").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        let untouched = credential.snapshot().await;
        // RDS's answer if rds.restrict_password_commands is on and the user is not a member of rds_password.
        let refusal =
            json!({"service": "postgres", "action": "ALTER ROLE", "effect": "error", "code": "42501"});
        cloud.fault(refusal).await;
        kind(secret.step("setSecret", &token).await, "Permission");
        assert_eq!(cloud.hits("error").await, 1);
        reported(&cloud, "setSecret", "Permission", &token).await;
        credential.untouched(&untouched).await;
        // The user has become a member.
        cloud.calm().await;
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s18_without_admin_option_nothing_is_half_done_and_the_cure_is_reported() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Alternating, "s18_admin").await;
    let secret = &credential.secret;
    let master = credential.server.master("postgres").await;
    master.batch_execute(&format!("REVOKE {} FROM rotation_admin", credential.user)).await.unwrap();
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    let untouched = credential.snapshot().await;
    let message = kind(secret.step("setSecret", &token).await, "Permission");
    let cure = format!("GRANT \"{}\" TO \"rotation_admin\" WITH ADMIN OPTION", credential.user);
    assert!(message.contains(&cure), "{message}");
    credential.untouched(&untouched).await;
    master.batch_execute(&cure).await.unwrap();
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s18_a_standby_is_refused_as_read_only_at_every_step() {
    let cloud = calm().await;
    let mut rotated = Vec::new();
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s18_standby").await;
        let current = credential.secret.rotate().await;
        rotated.push((credential, current));
    }
    let source = &rotated[0].0.server;
    let name = "test-pg18-replica";
    let replica = cloud.rds.create_db_instance_read_replica().db_instance_identifier(name);
    replica.source_db_instance_identifier(&source.name).send().await.unwrap();
    let endpoint = eventually("the replica", async || {
        let found = cloud.rds.describe_db_instances().db_instance_identifier(name).send().await.unwrap();
        let instance = &found.db_instances()[0];
        (instance.db_instance_status() == Some("available")).then(|| instance.endpoint().cloned()).flatten()
    })
    .await;
    let (port, there) = (format!(":{}/", source.port), format!(":{}/", endpoint.port().unwrap()));
    for (credential, current) in &rotated {
        let old = credential.secret.value(&credential.secret.first).await.replace(&port, &there);
        let new = credential.secret.value(current).await.replace(&port, &there);
        assert!(old.contains(&there) && new.contains(&there));
        let standby = credential.beside("a", &new).await;
        let tested = standby.secret.settled(&["tested", "test-failed"]).await;
        assert_eq!(tested["error"]["type"], "ReadOnly", "{tested}");
        let token = standby.secret.staged().await;
        standby.steps(&token, &["createSecret"]).await;
        let untouched = standby.snapshot().await;
        kind(standby.secret.step("setSecret", &token).await, "ReadOnly");
        reported(&cloud, "setSecret", "ReadOnly", &token).await;
        standby.untouched(&untouched).await;

        // A pending credential that the standby accepts.
        let (from, to) = if credential.strategy == Strategy::Single { (old, new) } else { (new, old) };
        let standby = credential.beside("b", &from).await;
        let token = standby.secret.staged().await;
        standby.secret.put_sealed(&token, &to).await;
        let untouched = standby.snapshot().await;
        for step in ["testSecret", "finishSecret"] {
            kind(standby.secret.step(step, &token).await, "ReadOnly");
            reported(&cloud, step, "ReadOnly", &token).await;
        }
        standby.untouched(&untouched).await;
    }
    let delete = cloud.rds.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true);
    delete.send().await.unwrap();
}

#[tokio::test]
async fn s18_a_privileged_or_managed_user_is_refused() {
    let cloud = calm().await;
    let server = Server::of(&cloud, 18).await;
    // The master user is never a pair's admin: RDS depends on it.
    let url =
        format!("postgres://imm:master-Password_of.the.tests~1@{}:{}/postgres", server.host, server.port);
    let master =
        Credential::with_value(&cloud, server.clone(), Strategy::Alternating, "s18-master", &url).await;
    let master = Credential { user: "imm".to_owned(), database: "postgres".to_owned(), ..master };
    let token = master.secret.staged().await;
    master.steps(&token, &["createSecret"]).await;
    let untouched = master.snapshot().await;
    let message = kind(master.secret.step("setSecret", &token).await, "Identity");
    assert!(message.contains("not an ordinary application user"), "{message}");
    let reported = reported(&cloud, "setSecret", "Identity", &token).await;
    assert!(reported.contains(&clear_command(&master.secret, &token)), "{reported}");
    master.untouched(&untouched).await;
}

#[tokio::test]
async fn a_master_user_whose_password_rds_manages_is_refused_with_the_cure() {
    let cloud = calm().await;
    let name = "test-managed";
    let create = cloud.rds.create_db_instance().db_instance_identifier(name).engine("postgres");
    let create = create.engine_version("18.4").db_instance_class("db.t4g.small").allocated_storage(20);
    create.master_username("imm").manage_master_user_password(true).send().await.unwrap();
    let instance = eventually("the instance", async || {
        let found = cloud.rds.describe_db_instances().db_instance_identifier(name).send().await.unwrap();
        let instance = found.db_instances()[0].clone();
        (instance.db_instance_status() == Some("available")).then_some(instance)
    })
    .await;
    let managed = instance.master_user_secret().unwrap().secret_arn().unwrap();
    let value =
        cloud.secrets.get_secret_value().secret_id(managed).send().await.unwrap().secret_string.unwrap();
    let mut document: Value = serde_json::from_str(&value).unwrap();
    let endpoint = instance.endpoint().unwrap();
    document["host"] = json!(endpoint.address().unwrap());
    document["port"] = json!(endpoint.port().unwrap());
    let server = Server::of(&cloud, 18).await;
    let copy =
        Credential::with_value(&cloud, server, Strategy::Single, "managed", &document.to_string()).await;
    let token = copy.secret.staged().await;
    let message = kind(copy.secret.step("createSecret", &token).await, "ManagedByRds");
    assert!(message.contains("MasterUserSecret"), "{message}");
    let reported = cloud.messages("createSecret: *ManagedByRds*").await.remove(0);
    assert!(
        reported.contains("--no-manage-master-user-password") && reported.contains("rotacao-banco.md"),
        "{reported}"
    );
    // The password in the command is the person's, as is the one in the secret.
    let password = document["password"].as_str().unwrap();
    let held = async |held: bool| {
        cloud.admin(Method::POST, "rds/snapshots", Some(json!({"hold": held}))).await;
    };
    held(true).await;
    Advice::of(&reported.replace('…', &format!("'{password}'"))).run(&cloud, "modify-db-instance");
    // RDS sets the password after its answer; until then it would overwrite a rotated one.
    let message = kind(copy.secret.step("createSecret", &token).await, "MasterChanging");
    assert!(message.contains(name), "{message}");
    let reported = cloud.messages("createSecret: *MasterChanging*").await.remove(0);
    let command = Advice::of(&reported);
    held(false).await;
    eventually("RDS to set the password", async || {
        let shown = command.run(&cloud, "describe-db-instances");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let pending = &shown["DBInstances"][0]["PendingModifiedValues"];
        pending.as_object().unwrap().is_empty().then_some(())
    })
    .await;
    copy.secret.retry().await;
    let rotation = copy.secret.settled(&["succeeded", "waiting"]).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let delete = cloud.rds.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true);
    delete.send().await.unwrap();
}

#[tokio::test]
async fn s19_both_users_can_do_everything_whatever_was_done_by_hand() {
    let cloud = calm().await;
    for major in [15, 18] {
        let credential = Credential::new(&cloud, major, Strategy::Alternating, "s19").await;
        let (secret, user) = (&credential.secret, credential.user.clone());
        let manager = credential.server.manager("postgres").await;
        for setting in [
            format!("ALTER ROLE {user} SET search_path = app, \"$user\", public"),
            format!("ALTER ROLE {user} SET statement_timeout = '7s'"),
            format!("ALTER ROLE {user} CONNECTION LIMIT 20"),
        ] {
            manager.batch_execute(&setting).await.unwrap();
        }
        let open = credential.enter(&secret.first).await.unwrap();
        open.batch_execute("CREATE SCHEMA app; CREATE TABLE app.early (id int)").await.unwrap();
        let mut from = secret.rotate().await;
        credential.finished(&from, &secret.first).await;
        for round in 0..4 {
            // Each of the two users in turn.
            let (login, _) = credential.login_of(&from).await;
            let (in_use, idle) = if round % 2 == 0 {
                (credential.next_user(), user.clone())
            } else {
                (user.clone(), credential.next_user())
            };
            assert_eq!(login, in_use, "round {round}");
            // Open connections keep working.
            open.batch_execute("INSERT INTO app.early VALUES (1)").await.unwrap();
            // Each user can use and alter the other's objects: acting as the owner, and as itself.
            let session = credential.enter(&from).await.unwrap();
            session.batch_execute(&format!("CREATE TABLE app.by_{round} (id int)")).await.unwrap();
            // Since PostgreSQL 15, only a database's owner may create in its schema public.
            session.batch_execute("GRANT CREATE ON SCHEMA public TO PUBLIC").await.unwrap();
            let granted = format!(
                "CREATE TABLE granted_{round} (id int); GRANT SELECT, INSERT ON granted_{round} TO {login}"
            );
            credential.server.manager(&user).await.batch_execute(&granted).await.unwrap();
            let itself = format!("SET ROLE {login}; CREATE TABLE public.itself_{round} (id int)");
            session.batch_execute(&itself).await.unwrap();
            if round > 0 {
                // The next login loses its settings and its limit, and the owner becomes a login.
                let damage = format!(
                    "ALTER ROLE {idle} RESET ALL; ALTER ROLE {idle} CONNECTION LIMIT -1; ALTER ROLE {user}_owner LOGIN"
                );
                manager.batch_execute(&damage).await.unwrap();
            }
            let next = secret.rotate().await;
            credential.finished(&next, &from).await;
            assert_eq!(credential.login_of(&next).await.0, idle, "round {round}");
            let session = credential.enter(&next).await.unwrap();
            let settings = [
                ("search_path", "app, \"$user\", public".to_owned()),
                ("statement_timeout", "7s".to_owned()),
                ("role", format!("{user}_owner")),
            ];
            for (name, value) in settings {
                let shown: String = session.query_one(&format!("SHOW {name}"), &[]).await.unwrap().get(0);
                assert_eq!(shown, value, "round {round}");
            }
            let limits =
                "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolconnlimit = 20 AND rolname LIKE $1";
            let pair = format!("{user}%");
            let count: i64 = session.query_one(limits, &[&pair]).await.unwrap().get(0);
            assert_eq!(count, 2, "round {round}");
            for table in [format!("app.by_{round}"), format!("public.itself_{round}"), "app.early".to_owned()]
            {
                session
                    .batch_execute(&format!(
                        "INSERT INTO {table} VALUES (1); ALTER TABLE {table} ADD c_{round} int"
                    ))
                    .await
                    .unwrap();
            }
            session
                .batch_execute(&format!(
                    "INSERT INTO granted_{round} VALUES (1); SELECT * FROM granted_{round}"
                ))
                .await
                .unwrap();
            let owner = format!("SELECT rolcanlogin FROM pg_roles WHERE rolname = '{user}_owner'");
            assert!(!session.query_one(&owner, &[]).await.unwrap().get::<_, bool>(0));
            // Memberships lent to the managing role end with the transaction.
            let lent = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                WHERE m.member = 'rotation_admin'::regrole AND r.rolname LIKE $1 AND NOT m.admin_option";
            let lent: i64 = session.query_one(lent, &[&pair]).await.unwrap().get(0);
            assert_eq!(lent, 0);
            from = next;
        }
    }
}

#[tokio::test]
async fn s19_a_grant_that_only_another_can_give_is_reported_and_nothing_is_changed() {
    let cloud = calm().await;
    for major in [15, 18] {
        let credential = Credential::new(&cloud, major, Strategy::Alternating, "s19_grant").await;
        let secret = &credential.secret;
        let first = secret.rotate().await;
        let owner = credential.enter(&first).await.unwrap();
        owner.batch_execute("GRANT CREATE ON SCHEMA public TO PUBLIC").await.unwrap();
        let master = credential.server.master(&credential.user).await;
        let login = credential.next_user();
        let table = format!("CREATE TABLE of_the_team (id int); GRANT SELECT ON of_the_team TO {login}");
        master.batch_execute(&table).await.unwrap();
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        let message = kind(secret.step("setSecret", &token).await, "Permission");
        let cure = format!("GRANT SELECT ON TABLE public.of_the_team TO \"{}_owner\"", credential.user);
        assert!(message.contains(&cure), "{message}");
        assert!(!credential.logs_in(&token).await && credential.logs_in(&first).await);
        master.batch_execute(&cure).await.unwrap();
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &first).await;
        let session = credential.enter(&token).await.unwrap();
        session.batch_execute("SELECT * FROM of_the_team").await.unwrap();
    }
}

#[tokio::test]
async fn s19_a_clone_that_was_deleted_by_hand_is_made_again() {
    let cloud = calm().await;
    for major in [15, 18] {
        let credential = Credential::new(&cloud, major, Strategy::Alternating, "s19_gone").await;
        let secret = &credential.secret;
        let first = secret.rotate().await;
        let second = secret.rotate().await;
        let manager = credential.server.manager(&credential.user).await;
        manager.batch_execute(&format!("DROP ROLE {}_clone", credential.user)).await.unwrap();
        assert!(!credential.logs_in(&first).await);
        let third = secret.rotate().await;
        credential.finished(&third, &second).await;
    }
}

#[tokio::test]
async fn s19_the_pair_that_awss_own_function_made_is_taken_over() {
    let cloud = calm().await;
    for major in [15, 18] {
        let server = Server::of(&cloud, major).await;
        let user = format!("s19_aws_{major}_{}", std::process::id());
        server.application(&user, &user, "first-Password.of_the~app").await;
        let manager = server.manager(&user).await;
        let verifier = postgres_protocol::password::scram_sha_256(b"clone-Password.of_the~app");
        manager
            .batch_execute(&format!(
                "CREATE ROLE {user}_clone LOGIN PASSWORD '{verifier}'; GRANT {user} TO {user}_clone"
            ))
            .await
            .unwrap();
        // The clone is in use, and has made a table that the original cannot read.
        let value = aws_form(&server, &format!("{user}_clone"), "clone-Password.of_the~app");
        let mut value = value;
        value["dbname"] = json!(user);
        let owner = server.login(&user, &user, "first-Password.of_the~app").await.unwrap();
        owner.batch_execute(&format!("GRANT ALL ON SCHEMA public TO {user}_clone")).await.unwrap();
        let clone = server.login(&user, &format!("{user}_clone"), "clone-Password.of_the~app").await.unwrap();
        clone.batch_execute("CREATE TABLE public.of_the_clone (id int)").await.unwrap();
        let credential =
            Credential::with_value(&cloud, server, Strategy::Alternating, &user, &value.to_string()).await;
        let token = credential.secret.rotate().await;
        assert_eq!(credential.login_of(&token).await.0, user);
        let session = credential.enter(&token).await.unwrap();
        session
            .batch_execute("INSERT INTO of_the_clone VALUES (1); INSERT INTO first VALUES (3)")
            .await
            .unwrap();
        credential.works(&credential.secret.first).await;
        // An object of another database user stays readable after the next rotation, too.
        let next = credential.secret.rotate().await;
        credential.works(&next).await;
        credential.works(&token).await;
    }
}

#[tokio::test]
async fn s20_faults_of_the_apis_are_ridden_out_or_reported() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s20").await;
    let secret = &credential.secret;
    let mut from = secret.first.clone();
    for rule in [
        json!({"service": "secretsmanager", "effect": "throttle", "count": 1}),
        json!({"service": "secretsmanager", "effect": "error", "status": 500, "code": "InternalServiceError"}),
        json!({"service": "secretsmanager", "action": "PutSecretValue", "when": "after", "effect": "timeout", "seconds": 5}),
        json!({"service": "secretsmanager", "action": "UpdateSecretVersionStage", "when": "after", "effect": "timeout", "seconds": 5}),
        json!({"service": "secretsmanager", "action": "UpdateSecretVersionStage", "when": "after", "effect": "drop"}),
    ] {
        cloud.calm().await;
        cloud.fault(rule.clone()).await;
        let token = secret.start().await;
        let rotation = secret.settled(&["succeeded", "waiting", "failed", "abandoned"]).await;
        assert_eq!(rotation["state"], "succeeded", "{rule}: {rotation}");
        credential.finished(&token, &from).await;
        from = token;
    }
}

#[tokio::test]
async fn s20_a_key_that_may_not_be_used_is_reported_at_createsecret_and_nothing_is_changed() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s20_key").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        let untouched = credential.snapshot().await;
        let before = cloud.last_call().await;
        for action in ["GetSecretValue", "PutSecretValue"] {
            let denied = json!({"service": "secretsmanager", "action": action, "effect": "error", "status": 400, "code": "AccessDeniedException", "message": "Access to KMS is not allowed"});
            cloud.fault(denied).await;
            let message = kind(secret.step("createSecret", &token).await, "SecretsManagerCall");
            assert!(
                message.contains(&format!("secretsmanager:{action} failed (AccessDeniedException)")),
                "{message}"
            );
            let reported = cloud.messages(&format!("secretsmanager:{action}")).await;
            assert_eq!(reported.iter().filter(|message| message.contains(&token)).count(), 1, "{reported:?}");
            cloud.admin(Method::DELETE, "faults", None).await;
            credential.untouched(&untouched).await;
        }
        assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

#[tokio::test]
async fn s20_an_instance_that_cannot_be_looked_up_is_reported_and_the_retry_succeeds() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 18, strategy, "s20_rds").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        let untouched = credential.snapshot().await;
        let before = cloud.last_call().await;
        let denied = json!({"service": "rds", "action": "DescribeDBInstances", "effect": "error", "status": 403, "code": "AccessDenied"});
        cloud.fault(denied).await;
        let message = kind(secret.step("createSecret", &token).await, "RdsCall");
        assert!(message.contains("rds:DescribeDBInstances failed (AccessDenied)"), "{message}");
        let reported = reported(&cloud, "createSecret", "RdsCall", &token).await;
        assert!(reported.contains("(IAM) para rds:DescribeDBInstances"), "{reported}");
        let calls = cloud.calls(before).await.0;
        let changes = |call: &&String| call.ends_with(":PutSecretValue") || call.starts_with("postgres:");
        assert_eq!(calls.iter().find(changes), None);
        credential.untouched(&untouched).await;
        cloud.calm().await;
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &secret.first).await;
    }
}

/// A credential with its own admin secret, whose value `admin` makes from server, user and password.
async fn with_admin<'a>(
    cloud: &'a Cloud,
    name: &str,
    admin: impl Fn(&Server, &str, &str) -> String,
) -> Credential<'a> {
    let mut credential = Credential::new(cloud, 18, Strategy::Alternating, name).await;
    let server = &credential.server;
    let known = cloud.secrets.get_secret_value().secret_id(&server.admin_secret).send().await.unwrap();
    let (user, password) = parts(known.secret_string().unwrap());
    let create = cloud.secrets.create_secret().name(format!("/moveongs/dev/test-admin/{}", credential.user));
    let made = create.secret_string(admin(server, &user, &password)).send().await.unwrap();
    credential.server.admin_secret = made.arn.unwrap();
    let value = credential.secret.value(&credential.secret.first).await;
    credential.beside("own-admin", &value).await
}

#[tokio::test]
async fn s20_an_admin_secret_that_is_no_login_is_refused_and_its_correction_ends_the_rotation() {
    let cloud = calm().await;
    let credential = with_admin(&cloud, "s20_no_admin", |_, _, _| "no login but a text".to_owned()).await;
    admin_is_refused_until_corrected(&credential, "WrongAdminForm", "the admin secret cannot be used").await;
}

#[tokio::test]
async fn s20_an_admin_secret_of_another_host_is_refused_and_its_correction_ends_the_rotation() {
    let cloud = calm().await;
    let credential = with_admin(&cloud, "s20_other_admin", |_, user, password| {
        json!({"username": user, "password": password, "host": "elsewhere.invalid"}).to_string()
    })
    .await;
    admin_is_refused_until_corrected(&credential, "Identity", "name different hosts").await;
}

async fn admin_is_refused_until_corrected(credential: &Credential<'_>, expected: &str, reason: &str) {
    let (cloud, secret) = (credential.cloud(), &credential.secret);
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    let untouched = credential.snapshot().await;
    let before = cloud.last_call().await;
    let message = kind(secret.step("setSecret", &token).await, expected);
    assert!(message.contains(reason), "{message}");
    // Only the current user's calls.
    assert_eq!(sql_calls(cloud, before).await, ["postgres:login", "postgres:SELECT"]);
    reported(cloud, "setSecret", expected, &token).await;
    credential.untouched(&untouched).await;
    let right = Server::of(cloud, 18).await.admin_secret;
    let right = cloud.secrets.get_secret_value().secret_id(right).send().await.unwrap();
    let put = cloud.secrets.put_secret_value().secret_id(&credential.server.admin_secret);
    put.secret_string(right.secret_string().unwrap()).send().await.unwrap();
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s20_an_admin_secret_may_be_a_url() {
    let cloud = calm().await;
    let admin = |server: &Server, user: &str, password: &str| url(server, "postgres", user, password);
    let credential = with_admin(&cloud, "s20_url_admin", admin).await;
    let token = credential.secret.rotate().await;
    credential.finished(&token, &credential.secret.first).await;
}

#[tokio::test]
async fn s20_a_value_that_is_no_database_secret_is_refused_at_createsecret() {
    let cloud = calm().await;
    let server = Server::of(&cloud, 15).await;
    for strategy in BOTH {
        for (name, value) in
            [("text", "just a password"), ("mysql", "mysql://a:b@c/d"), ("json", "{\"password\": \"x\"}")]
        {
            let name = format!("s20-{name}-{strategy:?}");
            let wrong = Credential::with_value(&cloud, server.clone(), strategy, &name, value).await;
            let secret = &wrong.secret;
            let token = secret.staged().await;
            let (labels, before) = (secret.labels().await, cloud.last_call().await);
            let message = kind(secret.step("createSecret", &token).await, "WrongForm");
            assert!(!message.contains(value), "{message}");
            reported(&cloud, "createSecret", "WrongForm", &token).await;
            let calls = cloud.calls(before).await.0;
            let changes = |call: &&String| call.ends_with(":PutSecretValue") || call.starts_with("postgres:");
            assert_eq!(calls.iter().find(changes), None);
            assert_eq!(secret.labels().await, labels);
        }
    }
}

/// The ledger's row of a version that became current after `previous` leaked.
pub(crate) async fn incident(credential: &Credential<'_>, version: &str, previous: &str, outcome: &str) {
    let row = json!([{
        "arn": credential.secret.arn, "version": version, "previous": previous, "outcome": outcome, "services": ["api"],
        "reason": "incident", "started": time_of_the_server(credential).await, "ended": "2099-01-01T00:00:00Z",
    }]);
    let put = credential.cloud().s3.put_object().bucket(EVIDENCE).key("ledger/rotation.json");
    put.body(row.to_string().into_bytes().into()).send().await.unwrap();
}

async fn time_of_the_server(credential: &Credential<'_>) -> String {
    let session = credential.server.master("postgres").await;
    let now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    session.query_one(now, &[]).await.unwrap().get(0)
}

/// Retires leaked logins; returns the action for this secret, and the reason for none.
async fn retire(credential: &Credential<'_>) -> (String, String) {
    let answer = credential.cloud().invoke(json!({"retire": true})).await.unwrap();
    line(credential, &answer)
}

pub(crate) fn line(credential: &Credential<'_>, answer: &Value) -> (String, String) {
    let lines = answer.as_array().unwrap();
    let line = lines.iter().find(|line| line["secret"] == json!(credential.secret.arn));
    let line = line.unwrap_or_else(|| panic!("{answer}"));
    (line["did"].as_str().unwrap().to_owned(), line["why"].as_str().unwrap().to_owned())
}

pub(crate) async fn is_alive(session: &tokio_postgres::Client) -> bool {
    session.simple_query("SELECT 1").await.is_ok()
}

#[tokio::test]
async fn a_leaked_login_ends_with_its_sessions_and_is_proved_dead() {
    let cloud = calm().await;
    for (major, strategy) in [15, 18].into_iter().flat_map(|major| BOTH.map(|strategy| (major, strategy))) {
        let credential = Credential::new(&cloud, major, strategy, "leaked").await;
        let leaked = credential.secret.first.clone();
        let thief = credential.enter(&leaked).await.unwrap();
        let token = credential.secret.rotate().await;
        assert_eq!(credential.logs_in(&leaked).await, strategy == Strategy::Alternating);
        // The thief has the login, and can set its password.
        let (user, _) = credential.login_of(&leaked).await;
        let mut later = None;
        if strategy == Strategy::Alternating {
            let verifier = postgres_protocol::password::scram_sha_256(b"of-the-thief");
            let again = later.insert(credential.enter(&leaked).await.unwrap());
            again
                .batch_execute(&format!("SET ROLE NONE; ALTER ROLE \"{user}\" PASSWORD '{verifier}'"))
                .await
                .unwrap();
        }
        incident(&credential, &token, &leaked, "failed").await;
        assert_eq!(retire(&credential).await, ("waits".to_owned(), "followup_failed".to_owned()));
        assert!(is_alive(&thief).await);
        let reported = cloud.messages("Credencial vazada ainda vale").await;
        assert!(reported.iter().any(|reported| reported.contains(&credential.secret.arn)), "{reported:?}");

        incident(&credential, &token, &leaked, "proved").await;
        let application = credential.enter(&token).await.unwrap();
        let reported =
            reported.into_iter().find(|reported| reported.contains(&credential.secret.arn)).unwrap();
        let answer = Advice::of(&reported).run(&cloud, "lambda invoke");
        assert!(answer.contains("\"did\": \"ended\"") || answer.contains("\"did\":\"ended\""), "{answer}");
        assert!(!is_alive(&thief).await && is_alive(&application).await);
        if let Some(later) = later {
            assert!(!is_alive(&later).await);
        }
        assert!(!credential.logs_in(&leaked).await);
        if strategy == Strategy::Alternating {
            let thief = credential.server.login(&credential.database, &user, "of-the-thief").await;
            assert_eq!(thief.unwrap_err().code().map(|code| code.code()), Some("28P01"));
        }
        credential.works(&token).await;
        // Done once and reported once.
        let before = cloud.last_call().await;
        assert_eq!(retire(&credential).await.0, "ended");
        assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
        let reported = cloud.messages("Credencial vazada está morta").await;
        let reported: Vec<_> =
            reported.iter().filter(|reported| reported.contains(&credential.secret.arn)).collect();
        assert!(reported.len() == 1 && reported[0].contains("provado"), "{reported:?}");
        assert!(cloud.record_of(&format!("{token}/retire/ended")).await.is_some());
        // The next rotation restores the login.
        let next = credential.secret.rotate().await;
        credential.finished(&next, &token).await;
    }
    cloud.wipe("ledger/").await;
}

#[tokio::test]
async fn a_leaked_login_stays_while_a_rotation_may_have_given_it_its_next_password() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 15, Strategy::Alternating, "leaked_pending").await;
    let leaked = credential.secret.first.clone();
    let token = credential.secret.rotate().await;
    incident(&credential, &token, &leaked, "proved").await;
    let pending = credential.secret.staged().await;
    credential.steps(&pending, &STEPS[..2]).await;
    assert_eq!(retire(&credential).await, ("waits".to_owned(), "rotation_runs".to_owned()));
    assert!(credential.logs_in(&pending).await && !credential.logs_in(&leaked).await);
    credential.secret.retry().await;
    credential.secret.settled(&["succeeded"]).await;
    credential.works(&pending).await;
    cloud.wipe("ledger/").await;
}

#[tokio::test]
async fn a_leaked_version_without_a_value_is_replaced_by_the_rotation_that_the_message_advises() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Alternating, "leak_unknown").await;
    let gone = "00000000-0000-4000-8000-000000000000";
    let thief = credential.enter(&credential.secret.first).await.unwrap();
    let token = credential.secret.rotate().await;
    incident(&credential, &token, gone, "proved").await;
    cloud.invoke(json!({"retire": true})).await.unwrap_err();
    let reported = cloud.messages("*LeakUnknown*").await.remove(0);
    Advice::of(&reported).run(&cloud, "rotate-secret");
    let rotation = credential.secret.settled(&["succeeded", "waiting"]).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let next = credential.secret.labelled("AWSCURRENT").await.unwrap();
    assert!(is_alive(&thief).await);
    // The follow-up has brought the next version into use.
    let arn = &credential.secret.arn;
    let row = |version: &str, previous: &str, reason: &str| {
        json!({"arn": arn, "version": version, "previous": previous, "outcome": "proved", "services": ["api"],
            "reason": reason, "ended": "2099-01-01T00:00:00Z"})
    };
    let write = async |rows: Value| {
        let put = cloud.s3.put_object().bucket(EVIDENCE).key("ledger/rotation.json");
        put.body(rows.to_string().into_bytes().into()).send().await.unwrap();
    };
    // A value that no rotation made replaces no password; only the next rotated value is a proof.
    let by_hand = credential.put(credential.secret.value(&next).await).await;
    write(json!([row(&by_hand, &token, "manual"), row(&token, gone, "incident")])).await;
    cloud.invoke(json!({"retire": true})).await.unwrap();
    assert!(is_alive(&thief).await);
    credential.move_label("AWSCURRENT", Some(&next), Some(&by_hand)).await;
    write(json!([row(&next, &token, "manual"), row(&token, gone, "incident")])).await;
    for _ in 0..2 {
        assert_eq!(retire(&credential).await, ("replaced".to_owned(), String::new()));
    }
    let reported = cloud.messages("substituída, sem prova").await;
    assert!(reported.len() == 1 && reported[0].contains(&next), "{reported:?}");
    assert!(!is_alive(&thief).await);
    credential.works(&next).await;
    cloud.wipe("ledger/").await;
}

#[tokio::test]
async fn a_rotation_that_waits_for_the_follow_up_goes_on_when_a_person_vouches_for_the_version() {
    let cloud = calm().await;
    cloud.followups(false).await;
    cloud.wipe("ledger/").await;
    let secret = Secret::of_the_stack(&cloud, "/moveongs/dev/db").await;
    secret.vouch().await;
    let first = secret.rotate().await;
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    let error = (&rotation["error"]["step"], &rotation["error"]["type"]);
    assert_eq!(error, (&json!("createSecret"), &json!("NotInUse")));
    assert_eq!(secret.labelled("AWSCURRENT").await, Some(first));
    let reported = reported(&cloud, "createSecret", "NotInUse", &token).await;
    Advice::of(&reported).run(&cloud, "tag-resource");
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    assert_eq!(secret.labelled("AWSCURRENT").await, Some(token));
    secret.vouch().await;
    cloud.followups(true).await;
}
