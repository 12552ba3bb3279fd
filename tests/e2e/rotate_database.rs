//! `rotate-database` against the contract of rotation: the twenty scenarios, by number, on real PostgreSQL.

use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, eventually};
use crate::credential::{BOTH, Credential, Strategy, aws_form, kind, parts};
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
        assert_eq!(count("rds:DescribeDBInstances"), 1);

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
    let before = cloud.last_call().await;
    let token = secret.rotate().await;
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token));
    // The policy's six statements, in testSecret and again in finishSecret.
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
    let (first, second) =
        tokio::join!(secret.step("createSecret", &token), secret.step("createSecret", &token));
    let mut outcomes = [first.unwrap().to_string(), second.unwrap().to_string()];
    outcomes.sort();
    assert_eq!(outcomes, [r#""Created""#, r#""Kept""#]);
    credential.steps(&token, &STEPS).await;
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s06_of_two_setsecret_at_once_one_waits_for_the_other_and_both_succeed() {
    let cloud = calm().await;
    for (major, strategy) in [(15, Strategy::Single), (18, Strategy::Alternating)] {
        let credential = Credential::new(&cloud, major, strategy, "s06").await;
        let secret = &credential.secret;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        // Both come as far as the lock before either has changed anything.
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
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s07").await;
    let secret = &credential.secret;
    let before = cloud.last_call().await;
    for step in STEPS {
        kind(secret.step(step, "00000000-0000-0000-0000-000000000000").await, "UnknownVersion");
    }
    for step in ["create_secret", "rollbackSecret", ""] {
        let message = kind(secret.step(step, &secret.first).await, "InvalidEvent");
        assert!(message.contains("Step"), "{message}");
    }
    assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
    let token = secret.rotate().await;
    let before = cloud.last_call().await;
    // AWSPREVIOUS now, and not pending.
    for step in STEPS {
        kind(secret.step(step, &secret.first).await, "NotPending");
    }
    assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s08_a_secret_whose_rotation_is_off_or_was_never_on_is_refused() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 15, Strategy::Single, "s08").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    cloud.secrets.cancel_rotate_secret().secret_id(&secret.arn).send().await.unwrap();
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
    credential.untouched().await;
}

#[tokio::test]
async fn s09_a_test_of_the_set_up_logs_in_and_changes_nothing_and_an_empty_version_fails_it() {
    let cloud = calm().await;
    for strategy in BOTH {
        // Secret::new ends with RotateImmediately=false: only testSecret, on a copy of the current value.
        let credential = Credential::new(&cloud, 18, strategy, "s09").await;
        let secret = &credential.secret;
        let rotation = secret.settled(&["tested"]).await;
        assert_eq!(rotation["steps"].as_array().unwrap().len(), 1);
        assert_eq!(secret.labels().await.len(), 1);
        credential.untouched().await;
        let token = secret.staged().await;
        for step in ["setSecret", "testSecret", "finishSecret"] {
            kind(secret.step(step, &token).await, "EmptyPending");
        }
        credential.untouched().await;
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
        kind(secret.step("finishSecret", &token).await, "Auth");
        credential.untouched().await;
        // The database no longer lets the user do what the policy's test SQL does.
        credential.steps(&token, &["setSecret"]).await;
        let master = credential.server.master(&credential.user).await;
        let database = &credential.user;
        let owner = if strategy == Strategy::Single { database.clone() } else { format!("{database}_owner") };
        master.batch_execute(&format!("GRANT \"{owner}\" TO imm; REVOKE TEMPORARY ON DATABASE \"{database}\" FROM PUBLIC, \"{owner}\"")).await.unwrap();
        for step in ["testSecret", "finishSecret"] {
            let message = kind(secret.step(step, &token).await, "Permission");
            assert!(message.contains("statement 1 of the policy's test SQL"), "{message}");
        }
        assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&secret.first));
        let told = cloud.messages("testSecret: *Permission*").await.remove(0);
        // For a single user, taking the label off would lose the only password that logs in.
        let clear = "--version-stage AWSPENDING --remove-from-version-id";
        assert_eq!(told.contains(clear), strategy == Strategy::Alternating, "{told}");
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
    let told = cloud.messages("CurrentMoved").await.remove(0);
    let cure =
        format!("--version-stage AWSCURRENT --move-to-version-id {token} --remove-from-version-id {manual}");
    assert!(told.contains(&cure), "{told}");
    assert_eq!(secret.settled(&["abandoned"]).await["token"], token.as_str());
    // The command that the message gives mends it.
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
        // Moved back, the rotation ends as if nothing had been.
        credential.move_label("AWSCURRENT", Some(&before), Some(&secret.first)).await;
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&token, &before).await;
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
        // A step of the older rotation has come as far as the database's lock when a person gives that rotation up.
        let holder = credential.lock_holder().await;
        let late = secret.step("setSecret", &old);
        let overtaken = async {
            credential.waiting(1).await;
            credential.move_label("AWSPENDING", None, Some(&old)).await;
            drop(holder);
        };
        let (late, ()) = tokio::join!(late, overtaken);
        kind(late, "UnknownVersion");
        credential.untouched().await;
        let new = secret.staged().await;
        for step in STEPS {
            kind(
                secret.step(step, &old).await,
                if step == "createSecret" { "UnknownVersion" } else { "CurrentMoved" },
            );
        }
        secret.retry().await;
        secret.settled(&["succeeded"]).await;
        credential.finished(&new, &secret.first).await;
        assert!(!credential.logs_in(&old).await);
    }
}

#[tokio::test]
async fn s13_a_database_that_cannot_be_reached_is_told_in_time_and_the_retry_succeeds() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 15, Strategy::Single, "s13").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    for mode in ["blackhole", "refuse"] {
        credential.server.fault(&cloud, mode).await;
        for step in ["setSecret", "testSecret", "finishSecret"] {
            kind(secret.step(step, &token).await, "Network");
        }
        credential.server.fault(&cloud, "none").await;
        credential.untouched().await;
        assert!(!cloud.messages("Network").await.is_empty());
    }
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;

    let server = credential.server.clone();
    let nowhere = secret.value(&token).await.replace(&format!("@{}:", server.host), "@no-such-host.invalid:");
    let lost = Credential::with_value(&cloud, server, Strategy::Single, "s13-nowhere", &nowhere).await;
    let token = lost.secret.staged().await;
    lost.steps(&token, &["createSecret"]).await;
    kind(lost.secret.step("setSecret", &token).await, "Network");
}

#[tokio::test]
async fn s14_tls_that_cannot_be_verified_is_refused_and_nothing_goes_out_in_clear() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s14").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    for mode in ["untrusted-ca", "wrong-name", "downgrade"] {
        credential.server.fault(&cloud, mode).await;
        for step in ["setSecret", "testSecret", "finishSecret"] {
            kind(secret.step(step, &token).await, "Tls");
        }
        let state =
            cloud.admin(Method::GET, &format!("rds/fault?instance={}", credential.server.name), None).await;
        assert!(state.to_string().contains("\"plaintext_startups\":0"), "{state}");
        credential.server.fault(&cloud, "none").await;
        credential.untouched().await;
    }
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s15_when_only_another_version_logs_in_it_is_used_and_told() {
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
        let told = cloud.messages(&token).await.remove(0);
        assert!(told.contains("Atenção") && told.contains(&secret.first), "{told}");
        let record = cloud.record_of(&token).await.unwrap();
        assert!(record["findings"].to_string().contains(&secret.first), "{record}");
    }
}

#[tokio::test]
async fn s15_when_no_version_logs_in_nothing_is_changed() {
    let cloud = calm().await;
    for strategy in BOTH {
        let credential = Credential::new(&cloud, 15, strategy, "s15_none").await;
        let secret = &credential.secret;
        let verifier = postgres_protocol::password::scram_sha_256(b"set-By.hand_in~the database");
        let manager = credential.server.manager("postgres").await;
        manager
            .batch_execute(&format!("ALTER ROLE \"{}\" PASSWORD '{verifier}'", credential.user))
            .await
            .unwrap();
        let token = secret.start().await;
        let rotation = secret.settled(&["waiting", "succeeded"]).await;
        assert_eq!(rotation["error"]["step"], "setSecret", "{rotation}");
        let message = kind(secret.step("setSecret", &token).await, "Auth");
        assert!(message.contains("no stored credential logs in"), "{message}");
        let told = cloud.messages("setSecret: *Auth*").await.remove(0);
        assert!(told.contains("Nenhum valor guardado"), "{told}");
        let clone = format!("SELECT 1 FROM pg_roles WHERE rolname = '{}_clone'", credential.user);
        assert!(manager.query(&clone, &[]).await.unwrap().is_empty());
        // Somebody gives the user the password of AWSCURRENT back.
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
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = |user: &str, password: &str| {
            format!(
                "postgresql://{user}:{password}@{}:{}/{user_db}?sslmode=require",
                server.host,
                server.port,
                user_db = "DB"
            )
        };
        let mut document = aws_form(&server, &user, password);
        document["DATABASE_URL"] = json!(url(&user, &encoded).replace("/DB?", &format!("/{user}?")));
        document["nested"] = json!({"PGUSER": user, "PGPASSWORD": password, "other": [1, "two"]});
        document["note"] = json!("kept");
        let credential =
            Credential::with_value(&cloud, server.clone(), strategy, &user, &document.to_string()).await;
        let token = credential.secret.rotate().await;
        credential.works(&token).await;
        let new: Value = serde_json::from_str(&credential.secret.value(&token).await).unwrap();
        let (name, secret) = (new["username"].as_str().unwrap(), new["password"].as_str().unwrap());
        assert_eq!(name, credential.next_user());
        let mut expected = document.clone();
        expected["username"] = json!(name);
        expected["password"] = json!(secret);
        expected["DATABASE_URL"] = json!(url(name, secret).replace("/DB?", &format!("/{user}?")));
        expected["nested"]["PGUSER"] = json!(name);
        expected["nested"]["PGPASSWORD"] = json!(secret);
        assert_eq!(new, expected);
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
        let secret = &credential.secret;
        let token = secret.staged().await;
        credential.steps(&token, &["createSecret"]).await;
        // The stored pending value names another host than the current one: as if the current had been edited since.
        let pending = secret.value(&token).await;
        let other = pending.replace(&format!(":{}/", credential.server.port), ":1/");
        let moved = Credential::with_value(
            &cloud,
            credential.server.clone(),
            strategy,
            &format!("{}-b", credential.user),
            &secret.value(&secret.first).await,
        )
        .await;
        let token = moved.secret.staged().await;
        let put = cloud.secrets.put_secret_value().secret_id(&moved.secret.arn).client_request_token(&token);
        put.secret_string(other).version_stages("AWSPENDING").send().await.unwrap();
        for step in ["setSecret", "finishSecret"] {
            let message = kind(moved.secret.step(step, &token).await, "Identity");
            assert!(message.contains("different hosts"), "{message}");
        }
        let told = cloud.messages("setSecret: *Identity*").await.remove(0);
        assert!(
            told.contains(&format!("--version-stage AWSPENDING --remove-from-version-id {token}")),
            "{told}"
        );
        credential.untouched().await;
        // And one that names a user of nobody's pair.
        moved.move_label("AWSPENDING", None, Some(&token)).await;
        let token = moved.secret.staged().await;
        let (user, _) = moved.login_of(&moved.secret.first).await;
        let stranger = pending.replacen(&credential.next_user(), "imm", 1);
        assert_ne!(user, "imm");
        let put = cloud.secrets.put_secret_value().secret_id(&moved.secret.arn).client_request_token(&token);
        put.secret_string(stranger).version_stages("AWSPENDING").send().await.unwrap();
        let message = kind(moved.secret.step("setSecret", &token).await, "Identity");
        assert!(message.contains("users"), "{message}");
    }
}

#[tokio::test]
async fn s18_a_full_connection_limit_has_its_own_kind() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s18_limit").await;
    let secret = &credential.secret;
    let manager = credential.server.manager("postgres").await;
    manager.batch_execute(&format!("ALTER ROLE {} CONNECTION LIMIT 1", credential.user)).await.unwrap();
    let taken = credential.enter(&secret.first).await.unwrap();
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    kind(secret.step("setSecret", &token).await, "ConnectionLimit");
    drop(taken);
    eventually("the connection is given back", async || credential.enter(&secret.first).await.ok()).await;
    secret.retry().await;
    let rotation = secret.settled(&["succeeded", "waiting"]).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
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
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s18_restricted").await;
    let secret = &credential.secret;
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    // What RDS answers when rds.restrict_password_commands is on and the user is no member of rds_password.
    let refusal = json!({"service": "postgres", "action": "ALTER ROLE", "effect": "error", "code": "42501"});
    cloud.fault(refusal).await;
    kind(secret.step("setSecret", &token).await, "Permission");
    assert_eq!(cloud.hits("error").await, 1);
    credential.untouched().await;
}

#[tokio::test]
async fn s18_without_admin_option_nothing_is_half_done_and_the_cure_is_told() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Alternating, "s18_admin").await;
    let secret = &credential.secret;
    let master = credential.server.master("postgres").await;
    master.batch_execute(&format!("REVOKE {} FROM rotation_admin", credential.user)).await.unwrap();
    let token = secret.staged().await;
    credential.steps(&token, &["createSecret"]).await;
    let message = kind(secret.step("setSecret", &token).await, "Permission");
    let cure = format!("GRANT \"{}\" TO \"rotation_admin\" WITH ADMIN OPTION", credential.user);
    assert!(message.contains(&cure), "{message}");
    credential.untouched().await;
    master.batch_execute(&cure).await.unwrap();
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    credential.finished(&token, &secret.first).await;
}

#[tokio::test]
async fn s18_a_standby_is_refused_as_read_only() {
    let cloud = calm().await;
    let credential = Credential::new(&cloud, 18, Strategy::Single, "s18_standby").await;
    let name = "test-pg18-replica";
    let replica = cloud.rds.create_db_instance_read_replica().db_instance_identifier(name);
    replica.source_db_instance_identifier(&credential.server.name).send().await.unwrap();
    let endpoint = eventually("the replica", async || {
        let found = cloud.rds.describe_db_instances().db_instance_identifier(name).send().await.unwrap();
        let instance = &found.db_instances()[0];
        (instance.db_instance_status() == Some("available")).then(|| instance.endpoint().cloned()).flatten()
    })
    .await;
    let value = credential.secret.value(&credential.secret.first).await;
    let there =
        value.replace(&format!(":{}/", credential.server.port), &format!(":{}/", endpoint.port().unwrap()));
    assert_ne!(there, value);
    let standby =
        Credential::with_value(&cloud, credential.server.clone(), Strategy::Single, "s18-standby", &there)
            .await;
    let token = standby.secret.staged().await;
    standby.steps(&token, &["createSecret"]).await;
    kind(standby.secret.step("setSecret", &token).await, "ReadOnly");
    credential.untouched().await;
    let delete = cloud.rds.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true);
    delete.send().await.unwrap();
}

#[tokio::test]
async fn s18_a_privileged_or_managed_user_is_refused() {
    let cloud = calm().await;
    let server = Server::of(&cloud, 18).await;
    // The master user is the admin of nobody's pair: RDS depends on it.
    let url =
        format!("postgres://imm:master-Password_of.the.tests~1@{}:{}/postgres", server.host, server.port);
    let master =
        Credential::with_value(&cloud, server.clone(), Strategy::Alternating, "s18-master", &url).await;
    let token = master.secret.staged().await;
    master.steps(&token, &["createSecret"]).await;
    let message = kind(master.secret.step("setSecret", &token).await, "Identity");
    assert!(message.contains("not an ordinary application user"), "{message}");
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
    let told = cloud.messages("createSecret: *ManagedByRds*").await.remove(0);
    assert!(told.contains("--no-manage-master-user-password") && told.contains("rotacao-banco.md"), "{told}");
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
        let settings = [
            format!("ALTER ROLE {user} SET search_path = app, \"$user\", public"),
            format!("ALTER ROLE {user} SET statement_timeout = '7s'"),
            format!("ALTER ROLE {user} CONNECTION LIMIT 20"),
        ];
        for setting in &settings {
            manager.batch_execute(setting).await.unwrap();
        }
        let open = credential.enter(&secret.first).await.unwrap();
        open.batch_execute("CREATE SCHEMA app; CREATE TABLE app.early (id int)").await.unwrap();

        let mut from = secret.first.clone();
        for round in 0..4 {
            let token = secret.rotate().await;
            credential.finished(&token, &from).await;
            // Open connections go on.
            open.batch_execute("INSERT INTO app.early VALUES (1)").await.unwrap();
            let session = credential.enter(&token).await.unwrap();
            for (name, value) in [("search_path", "app, \"$user\", public"), ("statement_timeout", "7s")] {
                let shown: String = session.query_one(&format!("SHOW {name}"), &[]).await.unwrap().get(0);
                assert_eq!(shown, value, "round {round}");
            }
            let limits =
                "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolconnlimit = 20 AND rolname LIKE $1";
            let pair = format!("{user}%");
            let count: i64 = session.query_one(limits, &[&pair]).await.unwrap().get(0);
            assert_eq!(count, 2, "round {round}");

            // What one user makes, the other one can use and alter: acting as the owner, and as itself.
            session.batch_execute(&format!("CREATE TABLE app.by_{round} (id int)")).await.unwrap();
            let (login, _) = credential.login_of(&token).await;
            // Since 15, nobody but a database's owner may create in its schema public.
            session.batch_execute("GRANT CREATE ON SCHEMA public TO PUBLIC").await.unwrap();
            let granted = format!(
                "CREATE TABLE granted_{round} (id int); GRANT SELECT, INSERT ON granted_{round} TO {login}"
            );
            credential.server.manager(&user).await.batch_execute(&granted).await.unwrap();
            let itself = format!("SET ROLE {login}; CREATE TABLE public.itself_{round} (id int)");
            session.batch_execute(&itself).await.unwrap();
            if round == 1 {
                // Settings lost, the owner made a login.
                manager
                    .batch_execute(&format!("ALTER ROLE {user} RESET ALL; ALTER ROLE {user}_owner LOGIN"))
                    .await
                    .unwrap();
                manager.batch_execute(&settings[0]).await.unwrap();
                manager.batch_execute(&settings[1]).await.unwrap();
            }
            let next = secret.rotate().await;
            let session = credential.enter(&next).await.unwrap();
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
            // Nothing was lent for longer than the transaction.
            let lent = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                WHERE m.member = 'rotation_admin'::regrole AND r.rolname LIKE $1 AND NOT m.admin_option";
            let lent: i64 = session.query_one(lent, &[&pair]).await.unwrap().get(0);
            assert_eq!(lent, 0);
            from = next;
        }
    }
}

#[tokio::test]
async fn s19_a_grant_that_only_another_can_give_is_told_and_nothing_is_changed() {
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
        // An object of another database user stays readable after the next turn, too.
        let next = credential.secret.rotate().await;
        credential.works(&next).await;
        credential.works(&token).await;
    }
}

#[tokio::test]
async fn s20_faults_of_the_apis_are_ridden_out_or_told() {
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

    cloud.calm().await;
    let denied = json!({"service": "secretsmanager", "action": "PutSecretValue", "effect": "error", "status": 400, "code": "AccessDeniedException", "message": "Access to KMS is not allowed"});
    cloud.fault(denied).await;
    let before = cloud.last_call().await;
    secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(rotation["error"]["step"], "createSecret", "{rotation}");
    assert_eq!(sql_calls(&cloud, before).await, Vec::<String>::new());
    credential.works(&from).await;
}

#[tokio::test]
async fn s20_a_value_that_is_no_database_secret_is_refused_at_createsecret() {
    let cloud = calm().await;
    let server = Server::of(&cloud, 15).await;
    for (name, value) in
        [("text", "just a password"), ("mysql", "mysql://a:b@c/d"), ("json", "{\"password\": \"x\"}")]
    {
        let name = format!("s20-{name}");
        let wrong = Credential::with_value(&cloud, server.clone(), Strategy::Single, &name, value).await;
        let token = wrong.secret.staged().await;
        let message = kind(wrong.secret.step("createSecret", &token).await, "WrongForm");
        assert!(!message.contains(value), "{message}");
    }
}
