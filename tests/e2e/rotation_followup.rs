//! `rotation-followup` against the local cloud: its state machine, started by events, by the schedule and by people;
//! the application's service, whose tasks keep the secrets of their start; the state after a crash or a second
//! delivery.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use crate::advice::Advice;
use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::matrix;
use crate::secret::Secret;
use crate::server::{as_the_application, with_the_value};

const JWT: &str = "/moveongs/dev/jwt";
const DATABASE: &str = "/moveongs/dev/db";
const ADMIN: &str = "/moveongs/dev/seed-admin";
const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-rotation-followup";
const SMOKE: &str = "/moveongs/dev/smoke";
const QUEUE: &str = "rotation-followup-pages";
const SERVICE: [(&str, &str); 2] = [("cluster", "moveongs-dev-cluster"), ("service", "moveongs-dev-api")];
const ROOT: &str = "arn:aws:iam::000000000000:root";

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
}

fn service() -> Value {
    SERVICE.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
}

impl World {
    /// A world without record, journal or fault; the application is healthy and has the current secrets.
    async fn fresh() -> Self {
        let world = Self { pages: 0, cloud: Cloud::connect("rotation-followup").await };
        world.cloud.calm().await;
        world.cloud.followups(true).await;
        world.cloud.forget_policy().await;
        let usual =
            json!({"masking": false, "mfa": false, "down": false, "rate_limit": 0, "service": service()});
        world.application(usual).await;
        world.rollouts(json!({"fail_tasks": 0, "hold_after": null, "bake": true})).await;
        world.idle().await;
        let services = world.ecs("ListServices", json!({})).await;
        for arn in services["serviceArns"].as_array().unwrap() {
            let name = arn.as_str().unwrap().rsplit_once('/').unwrap().1;
            if name != SERVICE[1].1 {
                world.without(name).await;
            }
        }
        world.cloud.admin(Method::DELETE, "github/repository", None).await;
        // Without the notes of rotate-database, its guard knows of no rotation that made the current version. With them, it
        // would miss the ledger's row.
        for prefix in
            ["evidence/rotation-followup/", "runs/rotation-followup/", "runs/rotate-database/", "ledger/"]
        {
            world.cloud.wipe(prefix).await;
        }
        // Tasks of an earlier test may hold other values.
        world.ecs("UpdateService", json!({"service": SERVICE[1].1, "forceNewDeployment": true})).await;
        world.steady().await;
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    /// Lets a batch wait until several changes are noticed, however slow this machine is.
    async fn wait_for_several(&self) {
        let patch = json!({"rotation": {"followup": {"settle_seconds": 600}}});
        self.cloud.set_policy(&patch).await;
    }

    async fn ecs(&self, operation: &str, mut body: Value) -> Value {
        body["cluster"] = json!(SERVICE[0].1);
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.cloud.json_call("ecs", &target, body).await
    }

    async fn application(&self, config: Value) {
        self.cloud.admin(Method::POST, "moveongs/config", Some(config)).await;
    }

    async fn rollouts(&self, mut orders: Value) {
        for (name, value) in SERVICE {
            orders[name] = json!(value);
        }
        self.cloud.admin(Method::POST, "ecs/rollouts", Some(orders)).await;
    }

    /// Waits until no execution runs.
    async fn idle(&self) {
        self.cloud.idle(MACHINE).await;
    }

    /// A service beside the application's, with a task definition of this container.
    async fn beside(&self, name: &str, container: Value, more: Value) {
        let family = json!({"family": name, "containerDefinitions": [container]});
        self.ecs("RegisterTaskDefinition", family).await;
        let mut service = json!({"serviceName": name, "desiredCount": 1});
        if more.get("deploymentController").is_none() {
            service["taskDefinition"] = json!(name);
        }
        service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ecs("CreateService", service).await;
    }

    async fn without(&self, service: &str) {
        self.ecs("DeleteService", json!({"service": service, "force": true})).await;
    }

    async fn arn(&self, secret: &str) -> String {
        self.cloud.secrets.describe_secret().secret_id(secret).send().await.unwrap().arn.unwrap()
    }

    /// The next step of the newest message with this title, as an operator reads it.
    async fn advice(&self, title: &str) -> Advice {
        let reported = self.cloud.messages(title).await;
        Advice::of(reported.last().unwrap_or_else(|| panic!("no message with {title}")))
    }

    /// Runs the advised command that starts a follow-up, and waits for its end.
    async fn follow(&self, advice: &Advice) {
        advice.run(&self.cloud, "start-execution");
        self.idle().await;
    }

    /// Rotates the signing key, whose follow-up must fail with a kind; returns the commands of its message.
    async fn fails(&self, kind: &str) -> Advice {
        let new = self.rotate(JWT).await;
        let row = self.row(&new).await;
        assert_eq!(row["failure"]["kind"], kind, "{row}");
        self.advice(kind).await
    }

    /// Runs the advised command that rotates; its follow-up must prove the new value.
    async fn rotates(&self, advice: &Advice) {
        let before = self.rows().await.len();
        advice.run(&self.cloud, "rotate-secret");
        let rows = eventually("the follow-up of the rotation", async || {
            Some(self.rows().await).filter(|rows| rows.len() > before)
        })
        .await;
        self.idle().await;
        assert_eq!(rows[0]["outcome"], "proved", "{rows:?}");
    }

    /// Runs the advised command that starts a follow-up, which must prove the value in force; returns the ledger's row.
    async fn proves(&self, advice: &Advice) -> Value {
        self.follow(advice).await;
        let row = self.rows().await.remove(0);
        assert_eq!(row["outcome"], "proved", "{row}");
        row
    }

    async fn steady(&self) {
        eventually("a steady service", async || {
            let described = self.ecs("DescribeServices", json!({"services": [SERVICE[1].1]})).await;
            let deployments = described["services"][0]["deployments"].as_array().unwrap().clone();
            (deployments.len() == 1 && deployments[0]["rolloutState"] == "COMPLETED").then_some(())
        })
        .await;
    }

    async fn labelled(&self, secret: &str, label: &str) -> Option<String> {
        let described = self.cloud.secrets.describe_secret().secret_id(secret).send().await.unwrap();
        let versions = described.version_ids_to_stages.unwrap();
        versions.into_iter().find(|(_, labels)| labels.iter().any(|each| each == label)).map(|(id, _)| id)
    }

    async fn current(&self, secret: &str) -> String {
        self.labelled(secret, "AWSCURRENT").await.unwrap()
    }

    async fn value(&self, secret: &str, version: &str) -> String {
        let value = self.cloud.secrets.get_secret_value().secret_id(secret).version_id(version);
        value.send().await.unwrap().secret_string.unwrap()
    }

    /// Rotates as a person would; returns the new version.
    async fn rotate(&self, secret: &str) -> String {
        let token = self.cloud.secrets.rotate_secret().secret_id(secret).send().await.unwrap();
        let token = token.version_id.unwrap();
        eventually("the rotation", async || {
            let is_done = self.current(secret).await == token
                && self.labelled(secret, "AWSPENDING").await.is_none_or(|pending| pending == token);
            is_done.then_some(())
        })
        .await;
        token
    }

    /// Makes a version with a new value of this test current.
    async fn put(&self, secret: &str, value: &str) -> String {
        let put = self.cloud.secrets.put_secret_value().secret_id(secret).secret_string(value);
        put.send().await.unwrap().version_id.unwrap()
    }

    /// Makes a version current.
    async fn make_current(&self, secret: &str, version: &str) {
        let current = self.current(secret).await;
        let moved =
            self.cloud.secrets.update_secret_version_stage().secret_id(secret).version_stage("AWSCURRENT");
        moved.move_to_version_id(version).remove_from_version_id(current).send().await.unwrap();
    }

    async fn rows(&self) -> Vec<Value> {
        let ledger = self.cloud.json("ledger/rotation.json").await;
        ledger.map(|rows| rows.as_array().unwrap().clone()).unwrap_or_default()
    }

    /// The ledger's row of a version, once its follow-up has ended.
    async fn row(&self, version: &str) -> Value {
        let found = async || self.rows().await.into_iter().find(|row| row["version"] == version);
        eventually(&format!("the ledger's row of {version}"), found).await;
        // Until the end, the row is the preliminary one for the functions that retire old credentials.
        self.idle().await;
        found().await.unwrap()
    }

    /// Starts the state machine manually and waits for its end.
    async fn start(&self, input: Value) -> Value {
        self.cloud.ended(&self.cloud.start(MACHINE, &input).await).await
    }

    async fn record(&self, execution: &Value) -> Value {
        self.cloud.record_of(execution.as_str().unwrap()).await.unwrap()
    }

    async fn deployments(&self, after: u64) -> usize {
        self.cloud.calls(after).await.0.iter().filter(|call| call.ends_with(":UpdateService")).count()
    }

    async fn pages(&self, about: &str) -> Vec<Value> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages.filter(|page| page.to_string().contains(about)).collect()
    }

    async fn paged(&self, about: &str) -> Value {
        eventually(&format!("a page about {about}"), async || self.pages(about).await.pop()).await
    }
}

/// The outcome and detail of a proof in a row.
fn proof(row: &Value, name: &str) -> String {
    let proofs = row["proofs"].as_array().unwrap();
    let proof = proofs.iter().find(|proof| proof["name"] == name).unwrap_or_else(|| panic!("{name}: {row}"));
    format!(
        "{} {} {}",
        proof["outcome"].as_str().unwrap(),
        proof["kind"].as_str().unwrap(),
        proof["detail"].as_str().unwrap()
    )
}

const REFUSED: &str = "passed  401 {\"message\":\"Unauthorized\"}";

#[tokio::test]
async fn a_rotated_jwt_secret_is_deployed_and_the_old_token_is_refused() {
    let world = World::fresh().await;
    let old = world.current(JWT).await;
    let after = world.cloud.last_call().await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!(
        (&row["outcome"], &row["previous"], &row["key"]),
        (&json!("proved"), &json!(old), &json!("JWT_SECRET"))
    );
    assert_eq!(proof(&row, "token of the old secret"), REFUSED);
    assert_eq!(
        proof(&row, "token of the new secret"),
        "passed  403 {\"message\":\"Insufficient permissions\"}"
    );
    assert!(proof(&row, "health").starts_with("passed") && proof(&row, "login").starts_with("passed"));
    assert!(proof(&row, "list of beneficiaries").starts_with("passed"));
    assert_eq!(world.deployments(after).await, 1);
    // All running tasks have the new value.
    let tasks = world.cloud.admin(Method::GET, "ecs/tasks", None).await;
    let tasks = tasks["services"][0]["tasks"].as_array().unwrap().clone();
    let value = sha256(world.value(JWT, &new).await.as_bytes());
    assert!(
        tasks.len() == 2 && tasks.iter().all(|task| task["secrets"]["JWT_SECRET"] == json!(value)),
        "{tasks:?}"
    );
    // CloudTrail delivers the caller later.
    let row =
        eventually("who rotated it", async || world.rows().await.into_iter().find(|row| row["by"] == ROOT))
            .await;
    assert_eq!((&row["reason"], &row["version"]), (&json!("manual"), &json!(new)));
    assert_eq!(row["services"], json!(["moveongs-dev-api"]));
    let sheet = world.cloud.text("ledger/rotation.csv").await;
    assert!(sheet.lines().nth(1).unwrap().starts_with(&format!("{JWT},JWT_SECRET,{new},{old},")), "{sheet}");
    let changelog = world.cloud.text("ledger/security-changelog.md").await;
    assert!(
        changelog.contains("JWT_SECRET: em uso, provado")
            && changelog.contains("401 {\"message\":\"Unauthorized\"}")
    );
    // The change log is proposed to the team's repository unchanged.
    let proposed = async || {
        let repository = world.cloud.admin(Method::GET, "github/repository", None).await;
        let branch =
            repository["branches"]["governance/security-changelog-dev"]["docs/security/changelog.md"].clone();
        (repository["pulls"].as_array().unwrap().len(), branch)
    };
    let (pulls, file) =
        eventually("the pull request", async || Some(proposed().await).filter(|(pulls, _)| *pulls > 0)).await;
    assert_eq!((pulls, file.as_str().unwrap()), (1, changelog.as_str()));
    let reported = world.cloud.messages("em uso e provado").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(
        reported[0].contains(&new)
            && reported[0].contains("token assinado com o valor anterior: passou (401")
    );
    let record = world.record(&row["execution"]).await;
    assert_eq!(record["result"], "succeeded", "{record}");
    assert_eq!(world.pages("JWT_SECRET").await, Vec::<Value>::new());

    // The event comes again; then the sweep runs.
    let arn = world.cloud.secrets.describe_secret().secret_id(JWT).send().await.unwrap().arn.unwrap();
    let event = json!({"detail-type": "Secret Label Updated", "resources": [arn],
        "detail": {"name": JWT, "labelUpdated": "AWSCURRENT", "versionId": new}});
    for input in [event, json!({"sweep": true})] {
        assert_eq!(world.start(input).await["status"], "SUCCEEDED");
    }
    assert_eq!(world.deployments(after).await, 1);
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(proposed().await.0, 1);
    assert_eq!(world.cloud.messages("em uso e provado").await.len(), 1);
}

#[tokio::test]
async fn secrets_that_change_together_cause_one_deployment_and_the_database_is_proved() {
    let world = World::fresh().await;
    world.wait_for_several().await;
    let after = world.cloud.last_call().await;
    // Both secrets change within the batch's waiting time.
    let database = world.rotate(DATABASE).await;
    let value = format!("{:0<48}", "another value of our own");
    let jwt = world.put(JWT, &value).await;
    let (jwt, database) = (world.row(&jwt).await, world.row(&database).await);
    assert_eq!(jwt["execution"], database["execution"]);
    assert_eq!(world.deployments(after).await, 1);
    assert_eq!((&jwt["outcome"], &database["outcome"]), (&json!("proved"), &json!("proved")));
    assert_eq!(proof(&jwt, "token of the old secret"), REFUSED);
    assert_eq!(proof(&database, "login to the database"), "passed  AWSCURRENT");
    assert!(!database["proofs"].to_string().contains("token of"));
    assert_eq!(database["reason"], "manual");
    let reported = world.cloud.messages("em uso e provado").await;
    assert_eq!(reported.len(), 1);
    assert!(
        reported[0].contains("JWT_SECRET, DATABASE_URL") || reported[0].contains("DATABASE_URL, JWT_SECRET")
    );
}

/// The case of tests/cases/09a-terraform-state-holds-the-value.json: `terraform apply` puts the state's value back as a
/// new version.
#[tokio::test]
async fn an_old_value_that_terraform_puts_back_is_said_and_one_that_leaked_is_not_deployed() {
    let world = World::fresh().await;
    let first = world.current(JWT).await;
    let held = world.value(JWT, &first).await;
    let rotated = world.rotate(JWT).await;
    let due = world.row(&rotated).await["next_due"].as_str().unwrap().to_owned();
    let back = world.put(JWT, &held).await;
    let row = world.row(&back).await;
    assert_eq!((&row["outcome"], &row["same_as"]), (&json!("unproved"), &json!(first)), "{row}");
    assert!(proof(&row, "value").starts_with(&format!("unproved OldValue version {first} of ")), "{row}");
    // Its age counts from the first version with the value.
    assert!(row["next_due"].as_str().unwrap() < due.as_str(), "{row}");
    assert_eq!(world.pages("JWT_SECRET").await, Vec::<Value>::new());
    let reported = world.cloud.messages("voltou um valor antigo").await;
    assert!(reported.len() == 1 && reported[0].contains("ignore_changes"), "{reported:?}");
    assert!(!reported[0].contains(&held), "a value in a message");
    world.rotates(&Advice::of(&reported[0])).await;
    assert_eq!(world.rows().await[0].get("same_as"), None);

    // If the old value leaked, it is not deployed, and the label goes back.
    let leaked = world.current(JWT).await;
    let held = world.value(JWT, &leaked).await;
    world.cloud.followups(false).await;
    let good = world.rotate(JWT).await;
    world.cloud.followups(true).await;
    world.start(json!({"secret": JWT, "reason": "incident", "by": "Ana Souza"})).await;
    assert_eq!(world.row(&good).await["leak"], "dead");
    let after = world.cloud.last_call().await;
    let back = world.put(JWT, &held).await;
    let row = world.row(&back).await;
    assert_eq!(
        (&row["outcome"], &row["failure"]["kind"], &row["same_as"]),
        (&json!("rolled back"), &json!("OldValueLeaked"), &json!(leaked)),
        "{row}"
    );
    assert_eq!((world.deployments(after).await, world.current(JWT).await), (0, good));
    let page = world.paged("OldValueLeaked").await.to_string();
    assert!(page.contains("ignore_changes") && !page.contains(&held), "{page}");
    world.rotates(&world.advice("foi desfeito").await).await;
}

#[tokio::test]
async fn a_rollout_that_fails_goes_back_by_itself() {
    let world = World::fresh().await;
    let old = world.current(JWT).await;
    world.rollouts(json!({"fail_tasks": 3})).await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!(row["outcome"], "rolled back", "{row}");
    assert_eq!(row["failure"]["kind"], "RolloutFailed");
    assert_eq!(world.current(JWT).await, old);
    // At the end the application proves the previous value.
    assert_eq!(proof(&row, "token of the withdrawn secret"), REFUSED);
    assert!(proof(&row, "token of the restored secret").starts_with("passed"));
    let reported = world.cloud.messages("foi desfeito").await;
    assert!(reported.len() == 1 && reported[0].contains("rotate-secret"), "{reported:?}");
    let page = world.paged("RolloutFailed").await;
    assert!(page.to_string().contains("JWT_SECRET"), "{page}");
    let record = world.record(&row["execution"]).await;
    assert_eq!(record["result"], "failed");
    assert!(record["steps"].to_string().contains("move AWSCURRENT back"));
    // The event of the follow-up's own move starts nothing.
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(world.start(json!({"sweep": true})).await["status"], "SUCCEEDED");
    assert_eq!(world.rows().await.len(), 1);
    assert!(world.cloud.text("ledger/security-changelog.md").await.contains("desfeito"));
    // The cause is fixed: follow the message.
    world.rotates(&world.advice("foi desfeito").await).await;
}

#[tokio::test]
async fn an_application_that_reads_the_secret_from_elsewhere_goes_back_too() {
    let world = World::fresh().await;
    let old = world.current(JWT).await;
    let elsewhere = world.value(JWT, &old).await;
    world.application(json!({"service": null, "jwt_secret": elsewhere})).await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!(
        (&row["outcome"], &row["failure"]["kind"]),
        (&json!("rolled back"), &json!("NewTokenRefused"))
    );
    assert_eq!(world.current(JWT).await, old);
    world.application(json!({"service": service()})).await;
    world.rotates(&world.advice("foi desfeito").await).await;
    // An incident keeps the label where it is.
    let elsewhere = world.value(JWT, &world.current(JWT).await).await;
    world.cloud.followups(false).await;
    world.rotate(JWT).await;
    world.cloud.followups(true).await;
    world.application(json!({"service": null, "jwt_secret": elsewhere})).await;
    let incident = json!({"secret": JWT, "reason": "incident", "by": "Ana Souza"});
    assert_eq!(world.start(incident).await["status"], "FAILED");
    world.application(json!({"service": service()})).await;
    let row = world.proves(&world.advice("outros podem conhecer o valor anterior").await).await;
    assert_eq!((&row["reason"], &row["leak"]), (&json!("incident"), &json!("dead")), "{row}");
}

#[tokio::test]
async fn a_rolling_deployment_that_still_answers_with_the_old_secret_is_waited_for() {
    let world = World::fresh().await;
    world.rollouts(json!({"hold_after": 1})).await;
    let new = world.rotate(JWT).await;
    let half_way = async || {
        let tasks = world.cloud.admin(Method::GET, "ecs/tasks", None).await;
        let tasks = tasks["services"][0]["tasks"].as_array().unwrap().clone();
        let deployments: std::collections::BTreeSet<_> =
            tasks.iter().map(|task| task["deployment"].as_str().unwrap().to_owned()).collect();
        (deployments.len() == 2).then_some(())
    };
    eventually("a task of each deployment", half_way).await;
    // The follow-up keeps checking, and sends the application no request yet.
    let after = world.cloud.last_call().await;
    eventually("a second look", async || {
        let calls = world.cloud.calls(after).await.0;
        (calls.iter().filter(|call| call.ends_with(":DescribeServices")).count() >= 2).then_some(())
    })
    .await;
    assert!(!world.cloud.calls(after).await.0.iter().any(|call| call.starts_with("moveongs:")));
    assert_eq!(world.rows().await.len(), 0);
    world.rollouts(json!({"hold_after": null})).await;
    assert_eq!(world.row(&new).await["outcome"], "proved");
}

#[tokio::test]
async fn what_is_not_the_secrets_fault_is_reported_and_fails_nothing() {
    let world = World::fresh().await;
    for (config, repaired, kind, cure) in [
        (
            json!({"masking": true}),
            json!({"masking": false}),
            "MaskedLogin",
            "RESPONSE_MASKING_ENABLED=false",
        ),
        (json!({"mfa": true}), json!({"mfa": false}), "SecondFactor", "leitura_externa"),
    ] {
        world.application(config).await;
        let new = world.rotate(JWT).await;
        let row = world.row(&new).await;
        assert_eq!(row["outcome"], "unproved");
        assert!(proof(&row, "login").starts_with(&format!("unproved {kind}")), "{row}");
        assert_eq!(proof(&row, "token of the old secret"), REFUSED);
        let reported = world.cloud.messages("prova incompleta").await;
        assert!(reported.last().unwrap().contains(cure), "{reported:?}");
        assert!(world.record(&row["execution"]).await["findings"].to_string().contains(kind));
        world.application(repaired).await;
        world.proves(&world.advice("prova incompleta").await).await;
    }
    assert_eq!(world.pages("JWT_SECRET").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_value_that_certainly_does_not_work_is_not_deployed() {
    let world = World::fresh().await;
    let (old, after) = (world.current(DATABASE).await, world.cloud.last_call().await);
    let good = world.value(DATABASE, &old).await;
    // A person puts a value with another password.
    let (user, place) = good.split_once('@').unwrap();
    let bad = format!("{}:not-the-password@{place}", user.rsplit_once(':').unwrap().0);
    let new = world.put(DATABASE, &bad).await;
    let row = world.row(&new).await;
    assert_eq!(
        (&row["outcome"], &row["failure"]["kind"]),
        (&json!("rolled back"), &json!("ValueRefused")),
        "{row}"
    );
    assert_eq!((world.deployments(after).await, world.current(DATABASE).await), (0, old));
    assert_eq!(row["services"], json!([]));
    let page = world.paged("ValueRefused").await;
    assert!(page.to_string().contains("28P01") && !page.to_string().contains("not-the-password"), "{page}");
    // Follow the message.
    let advice = world.advice("foi desfeito").await;
    world.follow(&advice).await;
    assert_eq!(world.rows().await[0]["outcome"], "proved");
    advice.run(&world.cloud, "rotate-secret");
    let rows = eventually("the follow-up of the rotation", async || {
        Some(world.rows().await).filter(|rows| rows.len() == 3)
    })
    .await;
    world.idle().await;
    assert_eq!(rows[0]["outcome"], "proved", "{rows:?}");

    // An incident keeps the label in place, and still nothing is deployed.
    let after = world.cloud.last_call().await;
    world.cloud.followups(false).await;
    let new = world.put(JWT, "too short").await;
    world.cloud.followups(true).await;
    let ended = world.start(json!({"secret": JWT, "reason": "incident", "by": "Ana Souza"})).await;
    assert_eq!((&ended["status"], world.current(JWT).await), (&json!("FAILED"), new.clone()));
    assert_eq!(world.deployments(after).await, 0);
    let row = world.rows().await.remove(0);
    assert_eq!((&row["version"], &row["failure"]["kind"]), (&json!(new), &json!("ValueRefused")));
    let advice = world.advice("outros podem conhecer o valor anterior").await;
    world.rotates(&advice).await;
    let row = world.proves(&advice).await;
    assert_eq!((&row["reason"], &row["leak"]), (&json!("incident"), &json!("dead")), "{row}");

    // The same with the database; the label is moved by hand first.
    world.cloud.calm().await;
    let old = world.current(DATABASE).await;
    let good = world.value(DATABASE, &old).await;
    let (user, place) = good.split_once('@').unwrap();
    world.cloud.followups(false).await;
    world.put(DATABASE, &format!("{}:not-the-password@{place}", user.rsplit_once(':').unwrap().0)).await;
    world.cloud.followups(true).await;
    let incident = json!({"secret": DATABASE, "reason": "incident", "by": "Ana Souza"});
    assert_eq!(world.start(incident).await["status"], "FAILED");
    let advice = world.advice("outros podem conhecer o valor anterior").await;
    advice.run(&world.cloud, "update-secret-version-stage");
    eventually("the follow-up of the value before", async || {
        let row = world.rows().await.remove(0);
        (row["version"] == json!(old) && row["outcome"] == "proved").then_some(())
    })
    .await;
    world.idle().await;
    world.rotates(&advice).await;
    assert!(with_the_value(&world.cloud, &good).await.is_err());
}

#[tokio::test]
async fn what_the_application_answers_instead_of_a_proof_is_cured_by_the_commands_of_its_message() {
    let world = World::fresh().await;
    let account = world.cloud.facts["moveongs_user"].to_string();
    let answers = |action: &str, status: u16| {
        json!({"service": "moveongs", "action": action, "effect": "error", "status": status, "code": "InternalError",
            "count": 0})
    };
    for (fault, kind) in [
        (answers("GET /health", 500), "HealthFailed"),
        (answers("GET /beneficiaries", 503), "UnclearAnswer"),
        (answers("GET /beneficiaries", 500), "ListFailed"),
        // Without an account, no login is proved.
        (answers("POST /auth/login", 500), "DatabaseRefused"),
    ] {
        world.cloud.calm().await;
        world.cloud.fault(fault).await;
        if kind == "DatabaseRefused" {
            world.put(SMOKE, "{}").await;
        }
        let advice = world.fails(kind).await;
        world.cloud.admin(Method::DELETE, "faults", None).await;
        advice.run(&world.cloud, "describe-services");
        if kind == "DatabaseRefused" {
            advice.run_with(&world.cloud, "put-secret-value", "account.json", &account);
        }
        world.proves(&advice).await;
    }
}

#[tokio::test]
async fn what_becomes_of_a_deployment_is_cured_by_the_commands_of_its_message() {
    let world = World::fresh().await;
    // ECS refuses the deployment.
    let refused = json!({"service": "ecs", "action": "UpdateService", "effect": "error", "status": 400,
        "code": "InvalidParameterException"});
    world.cloud.fault(refused).await;
    let new = world.rotate(JWT).await;
    assert_eq!(world.row(&new).await["outcome"], "unproved");
    let advice = world.advice("prova incompleta").await;
    advice.run(&world.cloud, "describe-services");
    world.proves(&advice).await;

    // Others have deployed meanwhile, and that fails.
    let held = async || {
        world.cloud.calm().await;
        world.rollouts(json!({"hold_after": 0})).await;
        world.cloud.last_call().await
    };
    let deployed = async |after: u64| {
        eventually("our deployment", async || (world.deployments(after).await == 1).then_some(())).await;
    };
    let after = held().await;
    let new = world.rotate(JWT).await;
    deployed(after).await;
    world.ecs("UpdateService", json!({"service": SERVICE[1].1, "forceNewDeployment": true})).await;
    world.rollouts(json!({"hold_after": null, "fail_tasks": -1})).await;
    assert_eq!(world.row(&new).await["failure"]["kind"], "OthersRolloutFailed");
    world.rollouts(json!({"fail_tasks": 0})).await;
    let advice = world.advice("OthersRolloutFailed").await;
    advice.run(&world.cloud, "describe-services");
    world.proves(&advice).await;

    // One of two secrets is changed again while the deployment of both fails.
    world.wait_for_several().await;
    let after = held().await;
    let database = world.rotate(DATABASE).await;
    let jwt = world.put(JWT, &format!("{:0<48}", "the first of two values")).await;
    deployed(after).await;
    let newer = world.put(JWT, &format!("{:0<48}", "the second of two values")).await;
    // The circuit breaker opens at the third failure; the next deployment may follow at once and has to succeed.
    world.rollouts(json!({"hold_after": null, "fail_tasks": 3})).await;
    eventually("the end of the first follow-up", async || {
        world.rows().await.iter().any(|row| row["version"] == json!(database)).then_some(())
    })
    .await;
    let reported = world.cloud.messages("Superseded").await;
    assert!(!reported[0].contains(&format!("`{jwt}` (o valor novo)")), "{reported:?}");
    assert_eq!(world.row(&newer).await["outcome"], "proved");
    let row = world.proves(&Advice::of(&reported[0])).await;
    assert_eq!(row["version"], json!(database));
    world.cloud.forget_policy().await;

    // The rollback is refused: the message names the version in force, not the intended one.
    world.cloud.calm().await;
    let denied = json!({"service": "secretsmanager", "action": "UpdateSecretVersionStage", "effect": "error",
        "status": 400, "code": "AccessDeniedException", "count": 0});
    world.cloud.fault(denied).await;
    world.rollouts(json!({"fail_tasks": -1})).await;
    let new = world.rotate(JWT).await;
    world.row(&new).await;
    let reported = world.cloud.messages("e a volta também").await;
    assert!(reported.len() == 1 && reported[0].contains(&format!("`{new}` (o valor novo)")), "{reported:?}");
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.rollouts(json!({"fail_tasks": 0})).await;
    let advice = Advice::of(&reported[0]);
    advice.run(&world.cloud, "describe-services");
    assert_eq!(world.proves(&advice).await["version"], json!(new));

    // The deployment outlasts the follow-up's limit of 36 hours: the journal dates the follow-up back.
    world.cloud.calm().await;
    let described = world.ecs("DescribeServices", json!({"services": [SERVICE[1].1]})).await;
    let usual = described["services"][0]["deploymentConfiguration"].clone();
    let strategy = async |configuration: Value| {
        let changed = json!({"service": SERVICE[1].1, "deploymentConfiguration": configuration});
        world.ecs("UpdateService", changed).await;
    };
    strategy(json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1440})).await;
    let after = world.cloud.last_call().await;
    let new = world.rotate(JWT).await;
    deployed(after).await;
    let key = format!("runs/rotation-followup/{}.json", sha256(b"book"));
    eventually("the open batch in the journal", async || {
        let mut journal = world.cloud.json(&key).await?;
        journal["open"]["deployments"].as_object().filter(|all| !all.is_empty())?;
        journal["open"]["since"] = json!("2026-01-01T00:00:00Z");
        let put = world
            .cloud
            .s3
            .put_object()
            .bucket(EVIDENCE)
            .key(&key)
            .body(journal.to_string().into_bytes().into());
        put.send().await.unwrap();
        Some(())
    })
    .await;
    assert_eq!(world.row(&new).await["failure"]["kind"], "RolloutUnfinished");
    let advice = world.advice("RolloutUnfinished").await;
    assert!(advice.run(&world.cloud, "list-service-deployments").contains("IN_PROGRESS"));
    world.rollouts(json!({"bake": false})).await;
    world.proves(&advice).await;
    strategy(usual).await;
}

#[tokio::test]
async fn what_an_incident_leaves_open_is_ended_by_the_commands_of_its_message() {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    let incident = json!({"secret": JWT, "reason": "incident", "by": "Ana Souza"});
    let (status, session) =
        cloud.application(Method::POST, "/auth/login", cloud.facts["moveongs_user"].clone()).await;
    assert_eq!(status, 200);
    let new = world.rotate(JWT).await;
    world.row(&new).await;
    // The database refuses to end the sessions.
    let database = as_the_application(cloud, DATABASE).await;
    database
        .simple_query(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON auth_refresh_tokens EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    assert_eq!(world.start(incident.clone()).await["status"], "FAILED");
    let reported = cloud.messages("SessionsNotEnded").await.remove(0);
    let statement =
        reported.split('`').find(|quoted| quoted.starts_with("UPDATE auth_refresh_tokens")).unwrap();
    database
        .simple_query("DROP TRIGGER refuse ON auth_refresh_tokens; DROP FUNCTION refuse()")
        .await
        .unwrap();
    database.simple_query(statement).await.unwrap();
    let refresh = json!({"refreshToken": session["refreshToken"]});
    assert_eq!(cloud.application(Method::POST, "/auth/refresh", refresh).await.0, 401);
    let row = world.proves(&Advice::of(&reported)).await;
    assert_eq!((&row["reason"], &row["leak"]), (&json!("incident"), &json!("dead")), "{row}");

    // The application limits requests, so it is unknown whether the leaked key is invalid.
    world.application(json!({"rate_limit": 3})).await;
    assert_eq!(world.start(incident).await["status"], "FAILED");
    world.application(json!({"rate_limit": 0})).await;
    let advice = world.advice("o vazado pode ainda valer").await;
    let row = world.proves(&advice).await;
    assert_eq!((&row["reason"], &row["leak"]), (&json!("incident"), &json!("dead")), "{row}");
    world.rotates(&advice).await;

    // Access tokens of the administrator's previous password stay valid until the signing key is rotated.
    let rotated = cloud.secrets.rotate_secret().secret_id(ADMIN).send().await.unwrap();
    world.row(&rotated.version_id.unwrap()).await;
    world.rotates(&world.advice("Tokens de acesso que a senha anterior deu").await).await;
    // A new version with the previous version's key.
    let same = world.put(JWT, &world.value(JWT, &world.current(JWT).await).await).await;
    assert!(proof(&world.row(&same).await, "token of the old secret").contains("SameValue"));
    world.rotates(&world.advice("a versão nova não tem uma chave nova").await).await;
}

#[tokio::test]
async fn a_follow_up_that_cannot_begin_is_asked_for_again_by_the_commands_of_its_message() {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    // An incident is declared before the secret is rotated.
    let old = world.current(JWT).await;
    let dates = json!({"secret": JWT, "seconds_ago": {"AWSCURRENT": 172_800}});
    cloud.admin(Method::POST, "secrets/dates", Some(dates)).await;
    let incident = json!({"secret": JWT, "reason": "incident", "by": "Ana Souza"});
    assert_eq!(world.start(incident).await["status"], "FAILED");
    let advice = world.advice("NotRotated").await;
    world.rotates(&advice).await;
    assert_ne!(world.current(JWT).await, old);
    let row = world.proves(&advice).await;
    assert_eq!((&row["reason"], &row["leak"]), (&json!("incident"), &json!("dead")), "{row}");

    // An invalid input.
    assert_eq!(world.start(json!({"secret": JWT})).await["status"], "FAILED");
    let advice = world.advice("InvalidEvent").await;
    crate::advice::run(cloud, &advice.commands()[0].replace("NOME DO SEGREDO", JWT));
    world.idle().await;
    assert_eq!((&world.rows().await[0]["reason"], world.rows().await.len()), (&json!("manual"), 3));

    // A secret that lacks the environment's tags.
    let foreign = "/moveongs/dev/followup/untagged";
    let made = cloud.secrets.create_secret().name(foreign).secret_string("x").send().await.unwrap();
    assert_eq!(world.start(json!({"secret": foreign, "by": "Ana Souza"})).await["status"], "FAILED");
    let advice = world.advice("NotOurs").await;
    advice.run(cloud, "tag-resource");
    world.follow(&advice).await;
    assert_eq!(world.rows().await[0]["secret"], json!(foreign));
    let gone = cloud.secrets.delete_secret().secret_id(made.arn.unwrap());
    gone.force_delete_without_recovery(true).send().await.unwrap();

    // The daily sweep is refused.
    cloud.followups(false).await;
    let new = world.rotate(JWT).await;
    let denied = json!({"service": "secretsmanager", "action": "ListSecrets", "count": 0, "effect": "error", "status": 400,
        "code": "AccessDeniedException"});
    cloud.fault(denied).await;
    assert_eq!(world.start(json!({"sweep": true})).await["status"], "FAILED");
    cloud.admin(Method::DELETE, "faults", None).await;
    let row = world.proves(&world.advice("SecretsManagerCall").await).await;
    assert_eq!(row["version"], json!(new));
    cloud.followups(true).await;
}

/// The cases of tests/cases/01-task-definition-pinned-valuefrom.json and 06a-ecs-service-external-controller.json.
#[tokio::test]
async fn a_pinned_reader_and_one_that_another_deploys_are_named_and_the_others_go_on() {
    let world = World::fresh().await;
    let arn = world.arn(JWT).await;
    let reads = |value_from: &str| {
        json!({"name": "worker", "image": "moveongs/worker:1",
            "secrets": [{"name": "JWT_SECRET", "valueFrom": value_from}]})
    };
    world.beside("pinned", reads(&format!("{arn}::AWSPREVIOUS:")), json!({})).await;
    world.beside("batch", reads(&arn), json!({"deploymentController": {"type": "EXTERNAL"}})).await;
    let set = async || {
        let made = json!({"service": "batch", "taskDefinition": "batch"});
        world.ecs("CreateTaskSet", made).await["taskSet"]["id"].clone()
    };
    let first = set().await;
    let after = world.cloud.last_call().await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!(
        (&row["outcome"], &row["services"]),
        (&json!("unproved"), &json!(["moveongs-dev-api"])),
        "{row}"
    );
    assert_eq!(row["pinned"], json!(["batch (EXTERNAL)", "pinned/worker/JWT_SECRET (AWSPREVIOUS)"]));
    assert_eq!(world.deployments(after).await, 1);
    assert_eq!(world.pages("JWT_SECRET").await, Vec::<Value>::new());
    let advice = world.advice("prova incompleta").await;
    let shown = advice.run(&world.cloud, "describe-task-definition");
    assert!(shown.contains("AWSPREVIOUS"), "{shown}");
    let edited = json!({"family": "pinned", "containerDefinitions": [reads(&arn)]});
    advice.run_with(&world.cloud, "register-task-definition", "task.json", &edited.to_string());
    advice.run(&world.cloud, "update-service");
    // The action of the other service's owner.
    let second = set().await;
    world.ecs("UpdateServicePrimaryTaskSet", json!({"service": "batch", "primaryTaskSet": second})).await;
    world.ecs("DeleteTaskSet", json!({"service": "batch", "taskSet": first})).await;
    world.follow(&advice).await;
    let row = world.rows().await.remove(0);
    assert_eq!((&row["outcome"], &row["pinned"]), (&json!("proved"), &json!([])), "{row}");
    let mut services: Vec<_> = row["services"].as_array().unwrap().clone();
    services.sort_by_key(Value::to_string);
    assert_eq!(services, ["batch", "moveongs-dev-api", "pinned"]);
    world.without("pinned").await;
    world.without("batch").await;
}

#[tokio::test]
async fn a_deployment_that_bakes_for_a_day_is_followed_to_its_end() {
    let world = World::fresh().await;
    let described = world.ecs("DescribeServices", json!({"services": [SERVICE[1].1]})).await;
    let usual = described["services"][0]["deploymentConfiguration"].clone();
    let strategy = async |configuration: Value| {
        let changed = json!({"service": SERVICE[1].1, "deploymentConfiguration": configuration});
        world.ecs("UpdateService", changed).await;
    };
    strategy(json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1440})).await;
    let new = world.rotate(JWT).await;
    // Four times as many checks as for a rolling deployment; only the bake's end ends them.
    eventually("the bake", async || {
        let listed = world.ecs("ListServiceDeployments", json!({"service": SERVICE[1].1})).await;
        let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        let reported = world.ecs("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]})).await;
        (reported["serviceDeployments"][0]["lifecycleStage"] == "BAKE_TIME").then_some(())
    })
    .await;
    let after = world.cloud.last_call().await;
    eventually("a look at the stage", async || {
        let calls = world.cloud.calls(after).await.0;
        calls.iter().any(|call| call.ends_with(":DescribeServiceDeployments")).then_some(())
    })
    .await;
    assert_eq!(world.rows().await.len(), 0);
    world.rollouts(json!({"bake": false})).await;
    assert_eq!(world.row(&new).await["outcome"], "proved");
    strategy(usual).await;
}

#[tokio::test]
async fn an_application_at_its_rate_limit_is_no_failure_and_no_proof() {
    let world = World::fresh().await;
    world.application(json!({"rate_limit": 3})).await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!(row["outcome"], "unproved", "{row}");
    assert!(row["proofs"].to_string().contains("RateLimited"), "{row}");
    assert_eq!((world.current(JWT).await, world.pages("JWT_SECRET").await.len()), (new, 0));
    world.application(json!({"rate_limit": 0})).await;
    world.follow(&world.advice("prova incompleta").await).await;
    assert_eq!(world.rows().await[0]["outcome"], "proved");
}

#[tokio::test]
async fn the_advice_about_the_account_for_smoke_tests_cures() {
    let world = World::fresh().await;
    let account = world.cloud.facts["moveongs_user"].to_string();
    let wrong = json!({"email": "nobody@imm.local", "password": "not the password"}).to_string();
    for (kind, stored) in
        [("SecondFactor", account.as_str()), ("SmokeLoginRefused", &wrong), ("NoSmokeAccount", "{}")]
    {
        world.application(json!({"mfa": kind == "SecondFactor"})).await;
        world.put(SMOKE, stored).await;
        let new = world.rotate(JWT).await;
        assert!(proof(&world.row(&new).await, "login").starts_with(&format!("unproved {kind}")), "{kind}");
        let advice = world.advice("prova incompleta").await;
        // An account without a second factor.
        world.application(json!({"mfa": false})).await;
        advice.run_with(&world.cloud, "put-secret-value", "account.json", &account);
        world.proves(&advice).await;
    }
}

#[tokio::test]
async fn when_the_way_back_fails_too_the_message_says_what_is_in_force_and_its_advice_cures() {
    let world = World::fresh().await;
    let old = world.current(JWT).await;
    world.rollouts(json!({"fail_tasks": -1})).await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!((&row["outcome"], world.current(JWT).await), (&json!("failed"), old.clone()), "{row}");
    let reported = world.cloud.messages("e a volta também").await;
    assert!(
        reported.len() == 1 && reported[0].contains(&format!("`{old}` (o valor anterior, restaurado)")),
        "{reported:?}"
    );
    let advice = Advice::of(&reported[0]);
    advice.run(&world.cloud, "describe-services");
    world.rollouts(json!({"fail_tasks": 0})).await;
    world.follow(&advice).await;
    let row = world.rows().await.remove(0);
    assert_eq!((&row["version"], &row["outcome"]), (&json!(old), &json!("proved")), "{row}");
}

#[tokio::test]
async fn an_incident_ends_the_sessions_and_nothing_goes_back() {
    let world = World::fresh().await;
    let login = async || {
        let (status, body) = world
            .cloud
            .application(Method::POST, "/auth/login", world.cloud.facts["moveongs_user"].clone())
            .await;
        assert_eq!(status, 200);
        body["refreshToken"].clone()
    };
    let refresh = async |token: &Value| {
        world.cloud.application(Method::POST, "/auth/refresh", json!({"refreshToken": token})).await.0
    };
    // The session outlives a rotation.
    let session = login().await;
    let new = world.rotate(JWT).await;
    assert_eq!(world.row(&new).await["sessions_ended"], Value::Null);
    assert_eq!(refresh(&session).await, 200);

    let session = login().await;
    let incident = json!({"secret": JWT, "reason": "incident", "by": "Ana Souza"});
    assert_eq!(world.start(incident.clone()).await["status"], "SUCCEEDED");
    let row = world.rows().await.remove(0);
    assert_eq!(
        (&row["reason"], &row["by"], &row["version"]),
        (&json!("incident"), &json!("Ana Souza"), &json!(new))
    );
    assert!(row["sessions_ended"].as_u64().unwrap() >= 1);
    assert_eq!(refresh(&session).await, 401);
    assert!(
        world
            .cloud
            .text("ledger/security-changelog.md")
            .await
            .contains("incidente, declarado por `Ana Souza`")
    );

    // The incident is declared while the rollout fails: forward is the only way.
    world.rollouts(json!({"fail_tasks": -1})).await;
    let ended = world.start(incident).await;
    assert_eq!((&ended["status"], world.current(JWT).await), (&json!("FAILED"), new));
    let reported = world.cloud.messages("outros podem conhecer o valor anterior").await;
    assert!(reported.len() == 1 && reported[0].contains("describe-services"), "{reported:?}");
    world.paged("RolloutFailed").await;
    world.rollouts(json!({"fail_tasks": 0})).await;
    let advice = Advice::of(&reported[0]);
    advice.run(&world.cloud, "describe-services");
    assert_eq!(world.proves(&advice).await["leak"], "dead");
}

#[tokio::test]
async fn an_incident_on_the_database_ends_the_login_that_leaked_and_proves_it_dead() {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    let leaked = world.value(DATABASE, &world.current(DATABASE).await).await;
    let version = world.rotate(DATABASE).await;
    world.row(&version).await;
    // Two users take turns, so the previous login stays valid until an incident is declared.
    let thief = with_the_value(cloud, &leaked).await.unwrap();
    let own = as_the_application(cloud, DATABASE).await;
    assert_eq!(retire_database().await, json!("none"));
    let incident = json!({"secret": DATABASE, "reason": "incident", "by": "Ana Souza"});
    assert_eq!(world.start(incident).await["status"], "SUCCEEDED");
    let refused = with_the_value(cloud, &leaked).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD), "{refused}");
    assert!(thief.simple_query("SELECT 1").await.is_err(), "the thief's session is still open");
    own.simple_query("SELECT 1").await.unwrap();
    let reported = cloud.messages("Credencial vazada está morta").await;
    assert!(reported.len() == 1 && reported[0].contains("(provado)"), "{reported:?}");
    // The follow-up reports it at its end, after the proof.
    let reported = cloud.messages("em uso e provado").await;
    assert!(
        reported.iter().any(|reported| reported.contains("a credencial vazada está morta (provado)")),
        "{reported:?}"
    );
    // A repeated request has nothing to do.
    assert_eq!(retire_database().await, json!("ended"));
    assert_eq!(cloud.messages("Credencial vazada está morta").await.len(), 1);
    // The next rotation gives the login a password of its own again.
    let next = world.rotate(DATABASE).await;
    assert_eq!(world.row(&next).await["outcome"], "proved");
    as_the_application(cloud, DATABASE).await.simple_query("SELECT 1").await.unwrap();
    own.simple_query("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn an_administrators_password_is_proved_by_its_login_and_needs_no_deployment() {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    let old = world.value(ADMIN, &world.current(ADMIN).await).await;
    let hash = bcrypt::hash(&old, 4).unwrap();
    let users = as_the_application(cloud, DATABASE).await;
    let reset = "UPDATE users SET password_hash = $1 WHERE email = 'admin@imm.local'";
    assert_eq!(users.execute(reset, &[&hash]).await.unwrap(), 1);
    let login = json!({"email": "admin@imm.local", "password": old});
    let (status, session) = cloud.application(Method::POST, "/auth/login", login.clone()).await;
    assert_eq!(status, 200);
    let me = async || {
        let url = format!("{}/auth/me", cloud.facts["moveongs_url"].as_str().unwrap());
        let token = session["token"].as_str().unwrap();
        let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(me().await, 200);
    let after = cloud.last_call().await;

    let new = world.rotate(ADMIN).await;
    let row = world.row(&new).await;
    assert_eq!((&row["outcome"], &row["services"]), (&json!("proved"), &json!([])), "{row}");
    assert!(!row.to_string().contains("NoReader"), "{row}");
    assert_eq!(world.deployments(after).await, 0);
    assert_eq!(world.pages("SEED_ADMIN_PASSWORD").await, Vec::<Value>::new());
    // The rotation's own message, and the follow-up's. The one about the old password's end names the version too.
    let mut reported = cloud.messages(&new).await;
    reported.retain(|reported| !reported.contains(&format!("{new}/retire/")));
    assert_eq!(reported.len(), 2, "{reported:?}");
    for wrong in ["update-service", "force-new-deployment", "NoReader", "rotation.secrets", "incompleta"] {
        assert!(reported.iter().all(|reported| !reported.contains(wrong)), "{wrong}: {reported:?}");
    }
    let reported = cloud.messages("em uso e provado: SEED_ADMIN_PASSWORD").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    // It names the credentials that stay valid, until when, and how to end them; each statement is checked.
    let made: jiff::Timestamp = row["made"].as_str().unwrap().parse().unwrap();
    let until = shared::runtime::time::local(made + jiff::SignedDuration::from_hours(24));
    let living = format!("Tokens de acesso que a senha anterior deu valem até {until}");
    assert!(
        reported[0].contains(&living) && reported[0].contains("os refresh tokens foram revogados"),
        "{}",
        reported[0]
    );
    assert_eq!(cloud.application(Method::POST, "/auth/login", login).await.0, 401);
    let refresh = json!({"refreshToken": session["refreshToken"]});
    assert_eq!(cloud.application(Method::POST, "/auth/refresh", refresh).await.0, 401);
    assert_eq!(me().await, 200);
    let advice = Advice::of(&reported[0]);
    assert_eq!(advice.commands().len(), 1, "{advice:?}");
    let before = world.current(JWT).await;
    advice.run(cloud, "rotate-secret");
    let is_new = async || Some(world.current(JWT).await).filter(|version| *version != before);
    let jwt = eventually("the rotation of the key", is_new).await;
    assert_eq!(world.row(&jwt).await["outcome"], "proved");
    assert_eq!(me().await, 401);
}

/// Asks `rotate-database` to end a leaked login; returns its action.
async fn retire_database() -> Value {
    let of_database = Cloud::connect("rotate-database").await;
    let lines = of_database.invoke(json!({"retire": true})).await.unwrap();
    let lines = lines.as_array().unwrap();
    lines.iter().find(|line| line["secret"] == DATABASE).unwrap()["did"].clone()
}

#[tokio::test]
async fn an_incident_whose_leaked_value_is_not_proved_dead_pages_and_is_no_success() {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    let leaked = world.value(DATABASE, &world.current(DATABASE).await).await;
    let version = world.rotate(DATABASE).await;
    world.row(&version).await;
    // The function that would end it cannot read the ledger.
    let denied = json!({"service": "s3", "action": "GetObject", "caller": "lambda:moveongs-dev-rotate-database",
        "effect": "error", "status": 403, "code": "AccessDenied", "count": 0});
    cloud.fault(denied).await;
    let incident = json!({"secret": DATABASE, "reason": "incident", "by": "Ana Souza"});
    assert_eq!(world.start(incident).await["status"], "FAILED");
    let page = world.paged("LeakAlive").await;
    assert_eq!(world.rows().await[0]["outcome"], "unproved");
    assert!(with_the_value(cloud, &leaked).await.is_ok());
    // The page's command ends it.
    cloud.calm().await;
    let text = page.to_string();
    let command = text
        .split('`')
        .find(|part| part.starts_with("echo "))
        .unwrap()
        .replace("\\\"", "\"")
        .replace("\\\"", "\"");
    crate::advice::run(cloud, &command);
    assert!(with_the_value(cloud, &leaked).await.is_err());
}

#[tokio::test]
async fn a_second_rotation_waits_until_the_first_one_is_in_use() {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    cloud.followups(false).await;
    let first = world.rotate(DATABASE).await;
    let own = as_the_application(cloud, DATABASE).await;
    let database = Cloud::connect("rotate-database").await;
    let secret = Secret::of_the_stack(&database, DATABASE).await;
    let second = secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(
        (&rotation["error"]["step"], &rotation["error"]["type"]),
        (&json!("createSecret"), &json!("NotInUse"))
    );
    assert_eq!(world.current(DATABASE).await, first);
    // The message's command brings the first version into use, and the waiting rotation continues.
    let reported = cloud.messages("NotInUse").await.remove(0);
    let started: Value = serde_json::from_str(&Advice::of(&reported).run(cloud, "start-execution")).unwrap();
    assert_eq!(cloud.ended(&started["executionArn"]).await["status"], "SUCCEEDED");
    secret.retry().await;
    assert_eq!(secret.settled(&["waiting", "succeeded"]).await["state"], "succeeded");
    assert_eq!(world.current(DATABASE).await, second);
    own.simple_query("SELECT 1").await.unwrap();
    cloud.followups(true).await;
}

#[tokio::test]
async fn an_event_that_never_came_is_found_by_the_sweep() {
    let world = World::fresh().await;
    // No version has been followed, and the tasks have the current values: the sweep finds nothing.
    for secret in [JWT, DATABASE] {
        let dates = json!({"secret": secret, "seconds_ago": {"AWSCURRENT": 3600}});
        world.cloud.admin(Method::POST, "secrets/dates", Some(dates)).await;
    }
    assert_eq!(world.start(json!({"sweep": true})).await["status"], "SUCCEEDED");
    assert_eq!(world.rows().await.len(), 0);
    world.cloud.followups(false).await;
    let new = world.rotate(JWT).await;
    // The rotation's own message has the next step for a missing follow-up.
    let reported = eventually("the rotation's message", async || {
        world.cloud.messages("Segredo rotacionado").await.pop()
    });
    Advice::of(&reported.await).run(&world.cloud, "--force-new-deployment");
    world.steady().await;
    let tasks = world.cloud.admin(Method::GET, "ecs/tasks", None).await;
    let value = sha256(world.value(JWT, &new).await.as_bytes());
    for task in tasks["services"][0]["tasks"].as_array().unwrap() {
        assert_eq!(task["secrets"]["JWT_SECRET"], json!(value));
    }
    assert_eq!(world.start(json!({"sweep": true})).await["status"], "SUCCEEDED");
    assert_eq!(world.row(&new).await["outcome"], "proved");

    // No version has been followed, and the tasks are older than the value.
    world.cloud.wipe("runs/rotation-followup/").await;
    world.cloud.wipe("ledger/").await;
    let new = world.rotate(JWT).await;
    assert_eq!(world.start(json!({"sweep": true})).await["status"], "SUCCEEDED");
    assert_eq!(world.row(&new).await["outcome"], "proved");
    world.cloud.followups(true).await;
}

#[tokio::test]
async fn a_rotation_that_fails_pages_with_step_kind_and_next_step() {
    let world = World::fresh().await;
    let denied = json!({"service": "secretsmanager", "action": "PutSecretValue", "caller": "lambda:moveongs-dev-rotate-random",
        "count": 0, "effect": "error", "status": 400, "code": "AccessDeniedException"});
    world.cloud.fault(denied).await;
    world.cloud.secrets.rotate_secret().secret_id(JWT).send().await.unwrap();
    let page = world.paged("RotationFailed").await;
    for part in [JWT, "createSecret", "SecretsManagerCall", "rotate-secret", "describe-secret"] {
        assert!(page.to_string().contains(part), "{part}: {page}");
    }
    world.cloud.admin(Method::DELETE, "faults", None).await;
    // A person abandons the rotation, as the page advises.
    let pending = world.labelled(JWT, "AWSPENDING").await.unwrap();
    let clear = world.cloud.secrets.update_secret_version_stage().secret_id(JWT).version_stage("AWSPENDING");
    clear.remove_from_version_id(pending).send().await.unwrap();
    let advice = Advice::of(&page.to_string());
    advice.run(&world.cloud, "describe-secret");
    world.rotates(&advice).await;
}

#[tokio::test]
async fn a_call_that_is_refused_to_the_end_is_reported_and_paged_once() {
    let world = World::fresh().await;
    let denied = json!({"service": "ecs", "action": "UpdateService", "count": 0, "effect": "error", "status": 400, "code": "AccessDeniedException"});
    world.cloud.fault(denied).await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!((&row["outcome"], &row["failure"]["kind"]), (&json!("failed"), &json!("EcsCall")), "{row}");
    assert!(row["failure"]["detail"].as_str().unwrap().contains("ecs:UpdateService"), "{row}");
    assert_eq!(world.cloud.messages("Segredo novo falhou").await.len(), 1);
    assert_eq!(
        {
            world.paged("EcsCall").await;
            world.pages("EcsCall").await.len()
        },
        1
    );
    world.cloud.admin(Method::DELETE, "faults", None).await;
    // Follow the message.
    world.follow(&world.advice("Segredo novo falhou").await).await;
    assert_eq!(world.rows().await[0]["outcome"], "proved");
}

#[tokio::test]
async fn what_is_not_ours_is_left_and_refused_to_a_person() {
    let world = World::fresh().await;
    let after = world.cloud.last_call().await;
    let foreign = "/moveongs/dev/followup/foreign";
    let made = world.cloud.secrets.create_secret().name(foreign).secret_string("x").send().await.unwrap();
    world.put(foreign, "y").await;
    world.idle().await;
    let asked = json!({"secret": foreign, "by": "Ana Souza"});
    assert_eq!(world.start(asked).await["status"], "FAILED");
    assert!(world.cloud.messages("NotOurs").await.len() == 1);
    world.paged("NotOurs").await;
    assert_eq!(world.start(json!({"secret": JWT})).await["status"], "FAILED");
    assert_eq!((world.deployments(after).await, world.rows().await.len()), (0, 0));
    let gone = world.cloud.secrets.delete_secret().secret_id(made.arn.unwrap());
    gone.force_delete_without_recovery(true).send().await.unwrap();
}

#[tokio::test]
async fn a_channel_bucket_or_topic_that_fails_hides_nothing() {
    let world = World::fresh().await;
    world.cloud.deny("slack", "chat.postMessage").await;
    world.cloud.deny("sns", "Publish").await;
    world.rollouts(json!({"fail_tasks": 3})).await;
    let new = world.rotate(JWT).await;
    let row = world.row(&new).await;
    assert_eq!(row["outcome"], "rolled back");
    world.cloud.undelivered("RolloutFailed").await;
}

/// Invokes one step as the state machine does: retries after a kill.
async fn step(world: &World, name: &str, execution: &str, more: Value) -> Value {
    let mut event = json!({"step": name, "execution": execution});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.cloud.despite_death(event).await
}

/// The whole course without the state machine, for a change that the application does not use; each step `times` times.
async fn course(world: &World, execution: &str, times: usize) {
    let repeated = async |name: &str, more: Value| {
        let mut answer = Value::Null;
        for _ in 0..times {
            answer = step(world, name, execution, more.clone()).await;
        }
        answer["status"].as_str().unwrap().to_owned()
    };
    let watched = async || {
        eventually("a steady rollout", async || {
            let status = repeated("watch", json!({"poll": 1})).await;
            assert_ne!(status, "failed");
            (status == "steady").then_some(())
        })
        .await;
    };
    let arn = world.cloud.secrets.describe_secret().secret_id(JWT).send().await.unwrap().arn.unwrap();
    let event = json!({"detail-type": "Secret Label Updated", "resources": [arn], "detail": {"labelUpdated": "AWSCURRENT"}});
    assert_eq!(repeated("note", json!({"input": event})).await, "waiting");
    assert_eq!(repeated("take", json!({})).await, "taken");
    assert_eq!(repeated("deploy", json!({})).await, "deployed");
    watched().await;
    assert_eq!(repeated("prove", json!({"poll": 15})).await, "failed");
    assert_eq!(repeated("rollBack", json!({})).await, "moved");
    assert_eq!(repeated("deploy", json!({})).await, "deployed");
    watched().await;
    assert_eq!(repeated("prove", json!({"poll": 1})).await, "proved");
    assert_eq!(repeated("finish", json!({})).await, "failed");
}

/// A world in which the application has the value of the first returned version, and the second is current.
async fn unfollowed() -> (World, String, String) {
    let world = World::fresh().await;
    world.cloud.followups(false).await;
    let old = world.current(JWT).await;
    world.application(json!({"service": null, "jwt_secret": world.value(JWT, &old).await})).await;
    let new = world.put(JWT, &format!("{:0<48}", "a value that nobody uses")).await;
    (world, old, new)
}

async fn has_ended_well(world: &World, execution: &str, old: &str, new: &str, before: usize) {
    assert_eq!(world.current(JWT).await, old);
    let rows = world.rows().await;
    let own: Vec<_> = rows.iter().filter(|row| row["execution"] == execution).collect();
    assert_eq!(own.len(), 1, "{rows:?}");
    assert_eq!((&own[0]["outcome"], &own[0]["version"]), (&json!("rolled back"), &json!(new)));
    assert_eq!(rows.len(), before + 1);
    assert_eq!(world.cloud.record_of(execution).await.unwrap()["result"], "failed");
    assert_eq!(world.cloud.text("ledger/rotation.csv").await.lines().count(), rows.len() + 1);
}

#[tokio::test]
async fn every_step_twice_is_the_same_as_once() {
    let (world, old, new) = unfollowed().await;
    let after = world.cloud.last_call().await;
    course(&world, "twice", 2).await;
    has_ended_well(&world, "twice", &old, &new, 0).await;
    assert_eq!(world.deployments(after).await, 2, "one forward and one back");
    assert_eq!(world.cloud.messages("twice").await.len(), 1);
    world.paged("twice").await;
    assert_eq!(world.pages("twice").await.len(), 1);
    world.cloud.followups(true).await;
}

/// The changing calls. Other calls do not change the world, so a death at one of them equals a death at one of these.
const WRITES: [(&str, &str, usize); 6] = [
    ("s3", "PutObject", 12),
    ("ecs", "UpdateService", 2),
    ("secretsmanager", "UpdateSecretVersionStage", 1),
    ("sns", "Publish", 1),
    ("slack", "chat.postMessage", 1),
    ("github", "PUT /contents", 1),
];

#[tokio::test]
async fn every_crash_point_of_rotation_followup_recovers() {
    let (world, old, new) = unfollowed().await;
    let mut points = Vec::new();
    for (service, action, least) in WRITES {
        let of_call = matrix::points(least, async |kill| {
            let execution = format!("crash-{service}-{kill}");
            if world.current(JWT).await != new {
                world.make_current(JWT, &new).await;
            }
            world.cloud.calm().await;
            let (before, rows) = (world.cloud.last_call().await, world.rows().await.len());
            world.cloud.fault(kill.rule_of(service, action)).await;
            course(&world, &execution, 1).await;
            let rules = world.cloud.admin(Method::GET, "faults", None).await;
            has_ended_well(&world, &execution, &old, &new, rows).await;
            let reported = world.cloud.messages(&execution).await.len();
            assert!((1..=2).contains(&reported), "{execution}: reported {reported} times");
            world.paged(&execution).await;
            // A death removes the rule.
            if !rules["rules"].as_array().unwrap().is_empty() {
                return None;
            }
            let deployments = world.deployments(before).await;
            assert!((2..=3).contains(&deployments), "{execution}: {deployments} deployments");
            Some(json!({"operation": format!("{service}:{action}"),
                "end": "succeeded", "reported": reported, "deployments": deployments}))
        });
        points.extend(of_call.await);
    }
    matrix::write("rotation-followup", &points, json!({}));
    world.cloud.followups(true).await;
}
