//! A world for a restore: the application on its old instance, what a person sees and orders, and what must never happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_rds::types::DbInstance;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::advice::Advice;
use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::server::with_the_value;

pub(super) const INSTANCE: &str = "moveongs-dev-db";
/// Prefix of the new instances' names.
pub(super) const NEW: &str = "moveongs-dev-db-r";
pub(super) const DATABASE: &str = "/moveongs/dev/db";
pub(super) const MACHINE: &str =
    "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-emergency-restore";
pub(super) const FOLLOWUP: &str =
    "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-rotation-followup";
pub(super) const BASELINE: &str =
    "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-restore-test";
pub(super) const QUEUE: &str = "emergency-restore-pages";
pub(super) const CLUSTER: &str = "moveongs-dev-cluster";
pub(super) const SERVICE: &str = "moveongs-dev-api";
pub(super) const MIGRATION: &str = "moveongs-dev-migrate";
/// Bucket and key of the application's Terraform state.
pub(super) const STATE: (&str, &str) = ("moveongs-dev-terraform-state", "moveongs/dev/terraform.tfstate");
pub(super) const STARTER: &str = "Ana Souza";
pub(super) const OTHER: &str = "Bia Lima";

/// Rows that the application deletes or makes anonymous at a start with its default retention.
const OLD_ROWS: &str = "
    DELETE FROM attachments WHERE file_name = 'emergency.pdf';
    INSERT INTO attachments (owner_type, owner_id, file_path, file_name, created_at)
      SELECT 'beneficiary', gen_random_uuid(), 's3://moveongs-dev-attachments/' || n, 'emergency.pdf', now() - interval '400 days'
      FROM generate_series(1, 3) n;
    DELETE FROM beneficiaries WHERE full_name = 'Beneficiária antiga';
    INSERT INTO beneficiaries (full_name, cpf, city, updated_at)
      SELECT 'Beneficiária antiga', '00000000000', 'Recife', now() - interval '200 days' FROM generate_series(1, 2)";

/// Where an execution stands.
pub(super) enum Pause {
    /// It waits for a person in this state; with the note.
    Asks(String, Value),
    /// It has ended; with its description.
    Ended(Value),
}

pub(super) struct World {
    pub(super) cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
    /// The value of the database's secret before the test.
    pub(super) url: String,
}

impl World {
    /// A world without restores, new instances, records, orders or faults. The application uses the old instance, whose
    /// backups are on, and has rows that it would delete.
    pub(super) async fn fresh() -> Self {
        let mut world =
            Self { pages: 0, url: String::new(), cloud: Cloud::connect("emergency-restore").await };
        world.cloud.calm().await;
        world.cloud.followups(false).await;
        world.cloud.snapshot_events(false).await;
        world.cloud.admin(Method::POST, "ecs/jobs", Some(json!({"family": MIGRATION}))).await;
        if world.instance(INSTANCE).await.is_none() {
            world.rds("rds/find", json!({"instance": INSTANCE})).await;
        }
        for machine in [MACHINE, FOLLOWUP] {
            world.stop_all(machine).await;
        }
        world.cloud.forget_policy().await;
        for prefix in
            ["evidence/rotation-followup/", "runs/rotation-followup/", "runs/rotate-database/", "ledger/"]
        {
            world.cloud.wipe(prefix).await;
        }
        world.anew().await;
        world.url = world.value().await;
        world.pages = world.cloud.listen_to_pages(QUEUE).await;
        world
    }

    /// The same again for another course of one test, whose restore may have gone wrong.
    pub(super) async fn anew(&self) {
        self.cloud.calm().await;
        self.cloud.admin(Method::DELETE, "states/interruptions", None).await;
        self.retention(false).await;
        self.rds("rds/restores", json!({"instances": 40, "end": "", "hold": false, "keep": false})).await;
        self.rds("rds/snapshots", json!({"fail": 0, "hold": false, "quota": 100})).await;
        let usual = json!({"masking": false, "mfa": false, "down": false, "rate_limit": 0,
            "service": {"cluster": CLUSTER, "service": SERVICE}});
        self.cloud.admin(Method::POST, "moveongs/config", Some(usual)).await;
        self.rollouts(json!({"fail_tasks": 0, "hold_after": null, "bake": true})).await;
        self.stop_all(MACHINE).await;
        self.abandon().await;
        self.back_to_the_old_instance().await;
        self.clear().await;
        self.application().await.batch_execute(OLD_ROWS).await.unwrap();
        self.retention(true).await;
        self.cloud.admin(Method::DELETE, "moveongs/retention", None).await;
        self.cloud.calm().await;
    }

    pub(super) async fn rds(&self, path: &str, body: Value) -> Value {
        self.cloud.admin(Method::POST, path, Some(body)).await
    }

    pub(super) async fn retention(&self, on: bool) {
        self.cloud.admin(Method::POST, "moveongs/retention", Some(json!({"on": on}))).await;
    }

    pub(super) async fn rollouts(&self, mut orders: Value) {
        orders["cluster"] = json!(CLUSTER);
        orders["service"] = json!(SERVICE);
        self.cloud.admin(Method::POST, "ecs/rollouts", Some(orders)).await;
    }

    pub(super) async fn ecs(&self, operation: &str, body: Value) -> Value {
        self.cloud.json_call("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).await
    }

    /// Stops every execution of a machine, and waits until none goes on.
    pub(super) async fn stop_all(&self, machine: &str) {
        let running = json!({"stateMachineArn": machine, "statusFilter": "RUNNING"});
        let running = self.cloud.states("ListExecutions", running).await;
        for execution in running["executions"].as_array().unwrap() {
            self.stop(&execution["executionArn"]).await;
        }
        self.cloud.idle(machine).await;
    }

    pub(super) async fn stop(&self, execution: &Value) {
        self.cloud.states("StopExecution", json!({"executionArn": execution})).await;
    }

    /// Gives secret, login and service of the application the old instance again, with backups and without guard.
    pub(super) async fn back_to_the_old_instance(&self) {
        self.available(INSTANCE).await;
        let old = self.instance(INSTANCE).await.unwrap();
        if old.backup_retention_period() != Some(7) {
            let modify = self.cloud.rds.modify_db_instance().db_instance_identifier(INSTANCE);
            modify.backup_retention_period(7).apply_immediately(true).send().await.unwrap();
            self.available(INSTANCE).await;
        }
        let port = old.endpoint().unwrap().port().unwrap();
        let value = self.value().await;
        let mut here = with_port(&value, port);
        // A test may have rotated the login of a new instance.
        let known = self.cloud.folder().join("emergency-restore-login");
        if with_the_value(&self.cloud, &here).await.is_err() {
            here = std::fs::read_to_string(&known).expect("the login of the old instance");
        }
        std::fs::write(&known, &here).unwrap();
        if here != value {
            let put = self.cloud.secrets.put_secret_value().secret_id(DATABASE).secret_string(&here);
            put.send().await.unwrap();
        }
        // The first revision of the definition is the application's own.
        let first = json!({"cluster": CLUSTER, "service": SERVICE, "taskDefinition": format!("{SERVICE}:1"), "forceNewDeployment": true});
        self.ecs("UpdateService", first).await;
        self.steady().await;
    }

    pub(super) async fn steady(&self) {
        eventually("a steady service", async || {
            let asked = json!({"cluster": CLUSTER, "services": [SERVICE]});
            let described = self.ecs("DescribeServices", asked).await;
            let deployments = described["services"][0]["deployments"].as_array().unwrap().clone();
            (deployments.len() == 1 && deployments[0]["rolloutState"] == "COMPLETED").then_some(())
        })
        .await;
    }

    /// Deletes the new instances. The function never does.
    pub(super) async fn clear(&self) {
        for one in self.new_instances().await {
            let name = one.db_instance_identifier().unwrap();
            self.rds("rds/unprotect", json!({"instance": name})).await;
            let delete = self.cloud.rds.delete_db_instance().db_instance_identifier(name);
            // It may be on its way out already.
            let _ = delete.skip_final_snapshot(true).send().await;
        }
        eventually("that no new instance is left", async || {
            self.new_instances().await.is_empty().then_some(())
        })
        .await;
    }

    pub(super) async fn new_instances(&self) -> Vec<DbInstance> {
        let all = self.cloud.rds.describe_db_instances().send().await.unwrap().db_instances.unwrap();
        all.into_iter().filter(|one| one.db_instance_identifier().unwrap().starts_with(NEW)).collect()
    }

    /// The only new instance.
    pub(super) async fn new_instance(&self) -> DbInstance {
        let mut all = self.new_instances().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    pub(super) async fn instance(&self, name: &str) -> Option<DbInstance> {
        let found = self.cloud.rds.describe_db_instances().db_instance_identifier(name).send().await;
        Some(found.ok()?.db_instances.unwrap().remove(0))
    }

    pub(super) async fn status(&self, name: &str) -> Option<String> {
        self.instance(name).await?.db_instance_status
    }

    pub(super) async fn available(&self, name: &str) {
        eventually(&format!("{name} to be available"), async || {
            (self.status(name).await.as_deref() == Some("available")).then_some(())
        })
        .await;
    }

    /// The present value of the database's secret.
    pub(super) async fn value(&self) -> String {
        let value = self.cloud.secrets.get_secret_value().secret_id(DATABASE).send().await.unwrap();
        value.secret_string.unwrap()
    }

    /// A session as the application would open it now.
    pub(super) async fn application(&self) -> Client {
        let value = self.value().await;
        with_the_value(&self.cloud, &value).await.unwrap_or_else(|error| panic!("the application: {error:?}"))
    }

    /// A session of the application at an instance.
    pub(super) async fn application_at(&self, name: &str) -> Client {
        let port = self.instance(name).await.unwrap().endpoint().unwrap().port().unwrap();
        let value = with_port(&self.value().await, port);
        with_the_value(&self.cloud, &value).await.unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    pub(super) async fn uses(&self, name: &str) -> bool {
        let port = self.instance(name).await.unwrap().endpoint().unwrap().port().unwrap();
        let value = self.value().await;
        with_port(&value, port) == value
    }

    pub(super) async fn take_snapshot(&self, name: &str) {
        self.available(INSTANCE).await;
        let _ = self.cloud.rds.delete_db_snapshot().db_snapshot_identifier(name).send().await;
        let taken = self.cloud.rds.create_db_snapshot().db_instance_identifier(INSTANCE);
        taken.db_snapshot_identifier(name).send().await.unwrap();
        self.available(INSTANCE).await;
        eventually("the snapshot", async || {
            let found = self.cloud.rds.describe_db_snapshots().db_snapshot_identifier(name).send().await;
            (found.unwrap().db_snapshots()[0].status() == Some("available")).then_some(())
        })
        .await;
    }

    /// The note of the open restore.
    pub(super) async fn open(&self) -> Value {
        self.cloud.json(&note()).await.map(|book| book["open"].clone()).unwrap_or_default()
    }

    /// Closes the restore of a test that failed. Its name stays used, because versions of secrets are named after it.
    pub(super) async fn abandon(&self) {
        let Some(mut book) = self.cloud.json(&note()).await else { return };
        let open = book["open"].take();
        if open.is_null() {
            return;
        }
        let past = json!({"run": open["run"], "execution": open["execution"], "ending": "rejected"});
        book["past"].as_array_mut().unwrap().push(past);
        let put = self.cloud.s3.put_object().bucket(EVIDENCE).key(note());
        put.body(book.to_string().into_bytes().into()).send().await.unwrap();
    }

    /// Starts a restore.
    pub(super) async fn begin(&self, more: Value) -> Value {
        let mut input = json!({"by": STARTER, "reason": "O disco do banco foi perdido"});
        extend(&mut input, more);
        self.cloud.start(MACHINE, &input).await
    }

    /// Waits until the execution waits for a person in a state; returns the note.
    pub(super) async fn asks(&self, execution: &Value, state: &str) -> Value {
        match self.pause(execution).await {
            Pause::Asks(found, open) => {
                assert_eq!(found, state, "{}", open["failure"]);
                open
            }
            Pause::Ended(ended) => panic!("{state}: {ended}"),
        }
    }

    /// Waits until the execution waits for a person, or has ended.
    pub(super) async fn pause(&self, execution: &Value) -> Pause {
        eventually("that the execution waits or ends", async || {
            let waiting = self.cloud.admin(Method::GET, "states/tokens", None).await;
            let waiting = waiting["waiting"].as_array().unwrap().clone();
            if let Some(mine) = waiting.into_iter().find(|one| one["execution"] == *execution) {
                let open = self.open().await;
                let is_asked = !open["wait"]["token"].is_null();
                return is_asked.then(|| Pause::Asks(mine["state"].as_str().unwrap().to_owned(), open));
            }
            let described = self.cloud.states("DescribeExecution", json!({"executionArn": execution})).await;
            (described["status"] != "RUNNING").then_some(Pause::Ended(described))
        })
        .await
    }

    /// Runs the advised command of an order, with its placeholders filled in.
    pub(super) async fn obey(&self, about: &str, order: &str, by: &str, reason: &str) {
        let part = format!("\"order\":\"{order}\"");
        let commands = eventually(&format!("a message with {order}"), async || {
            let messages = self.cloud.messages(about).await;
            let all = messages.iter().rev().map(|message| Advice::of(message).commands().to_vec());
            let mut all = all.map(|commands| commands.into_iter().find(|one| squeezed(one).contains(&part)));
            all.find_map(|command| command)
        })
        .await;
        let command = commands.replace("QUEM", by).replace("MOTIVO", reason);
        let answer = crate::advice::run(&self.cloud, &command);
        assert!(!answer.contains("errorType") && !answer.contains("FunctionError"), "{command}: {answer}");
    }

    /// Gives an order by a direct invocation.
    pub(super) async fn order(&self, order: &str, by: &str, more: Value) -> Result<Value, Value> {
        let mut event = json!({"order": order, "run": self.open().await["run"], "by": by});
        extend(&mut event, more);
        self.cloud.invoke(event).await
    }

    /// The same, for an order that must be taken.
    pub(super) async fn ordered(&self, order: &str, by: &str, more: Value) -> Value {
        let given = self.order(order, by, more).await;
        given.unwrap_or_else(|error| panic!("{order}: {error}"))
    }

    /// An approval, despite a proof that is not good.
    pub(super) async fn approves(&self, by: &str, more: Value) {
        let mut all = json!({});
        let verdict = self.open().await["proof"]["verdict"].clone();
        if verdict != "pass" && verdict != "unavailable" {
            all["despiteProof"] = json!(format!("{}: a test", verdict.as_str().unwrap()));
        }
        extend(&mut all, more);
        self.ordered("approve", by, all).await;
    }

    /// Ends a restore in use with the old database.
    pub(super) async fn ends_with_the_old(&self, execution: &Value) {
        self.asks(execution, "Hold").await;
        self.ordered("rollBack", STARTER, json!({})).await;
        self.asks(execution, "Hold").await;
        assert!(self.uses(INSTANCE).await);
        self.closes(execution).await;
    }

    pub(super) async fn closes(&self, execution: &Value) -> Value {
        self.ordered("close", STARTER, json!({})).await;
        let ended = self.cloud.ended(execution).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
        assert_eq!(self.open().await, Value::Null);
        ended
    }

    pub(super) async fn records(&self) -> Vec<Value> {
        self.cloud.evidence("emergency-restore").await.into_iter().map(|(_, record)| record).collect()
    }

    pub(super) async fn pages(&self, about: &str) -> Vec<Value> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages.filter(|page| page.to_string().contains(about)).collect()
    }

    pub(super) async fn paged(&self, about: &str) -> Value {
        eventually(&format!("a page about {about}"), async || self.pages(about).await.pop()).await
    }

    /// Checks that no start of the application deleted a row, in the old database and in the new ones.
    pub(super) async fn nothing_was_deleted(&self) {
        let runs = self.cloud.admin(Method::GET, "moveongs/retention", None).await["runs"].clone();
        for run in runs.as_array().unwrap() {
            // A lost database refuses the connection.
            if run["error"].is_null() {
                assert_eq!((&run["deleted"], &run["anonymized"]), (&json!(0), &json!(0)), "{run}");
            }
            assert_eq!((&run["days"], &run["anonymize_days"]), (&json!(36_500), &json!(36_500)), "{run}");
        }
        let mut all: Vec<String> = vec![INSTANCE.to_owned()];
        all.extend(self.new_instances().await.into_iter().map(|one| one.db_instance_identifier.unwrap()));
        for name in all {
            if self.status(&name).await.as_deref() != Some("available") {
                continue;
            }
            let client = self.application_at(&name).await;
            let count = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
            let kept = count("SELECT count(*) FROM attachments WHERE file_name = 'emergency.pdf'").await;
            let people = "SELECT count(*) FROM beneficiaries WHERE full_name = 'Beneficiária antiga' AND cpf IS NOT NULL";
            assert_eq!((kept, count(people).await), (3, 2), "{name}");
        }
    }

    /// Number of starts of the application's tasks that looked for old rows.
    pub(super) async fn starts(&self) -> usize {
        let runs = self.cloud.admin(Method::GET, "moveongs/retention", None).await;
        runs["runs"].as_array().unwrap().len()
    }

    /// Checks that neither the function's log nor the channel nor the pages nor the evidence have a secret's value.
    pub(super) async fn nothing_leaked(&self) {
        let mut secrets = vec![crate::credential::parts(&self.value().await).1];
        secrets.push(crate::credential::parts(&self.url).1);
        let all = self.cloud.secrets.list_secrets().send().await.unwrap();
        for one in all.secret_list() {
            let name = one.name().unwrap();
            if name.starts_with("rds!") || name.contains("smoke") {
                let value = self.cloud.secrets.get_secret_value().secret_id(name).send().await.unwrap();
                let value: Value = serde_json::from_str(value.secret_string().unwrap()).unwrap();
                secrets.push(value["password"].as_str().unwrap().to_owned());
            }
        }
        let mut texts = self.cloud.log_lines("").await;
        texts.extend(self.cloud.messages("").await);
        texts.extend(self.cloud.queued(QUEUE).await.iter().map(Value::to_string));
        texts.extend(self.records().await.iter().map(Value::to_string));
        for key in self.cloud.keys("runs/emergency-restore/").await {
            texts.push(self.cloud.text(&key).await);
        }
        for secret in secrets {
            let found = texts.iter().find(|text| text.contains(&secret));
            assert!(found.is_none(), "a secret's value in {}", found.unwrap().len());
        }
    }

    /// The application's Terraform state.
    pub(super) async fn state(&self) -> Value {
        let object = self.cloud.s3.get_object().bucket(STATE.0).key(STATE.1).send().await.unwrap();
        serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap()
    }

    pub(super) async fn write_state(&self, state: &Value) {
        let put = self.cloud.s3.put_object().bucket(STATE.0).key(STATE.1);
        put.body(state.to_string().into_bytes().into()).send().await.unwrap();
    }

    /// A policy with the rule of production: a second person approves.
    pub(super) async fn as_in_production(&self) {
        self.cloud.set_policy(&json!({"emergency": {"two_persons": ["dev"]}})).await;
    }

    /// A policy with a migration, and its task definition.
    pub(super) async fn with_a_migration(&self) {
        let arn = self.cloud.secrets.describe_secret().secret_id(DATABASE).send().await.unwrap().arn.unwrap();
        let container = json!({"name": "migrate", "image": "moveongs/api:1", "essential": true,
            "secrets": [{"name": "DATABASE_URL", "valueFrom": arn}]});
        self.ecs("RegisterTaskDefinition", json!({"family": MIGRATION, "containerDefinitions": [container]}))
            .await;
        let migration = json!({"service": SERVICE, "task_definition": MIGRATION, "container": "migrate", "command": ["migrate", "up"]});
        self.cloud.set_policy(&json!({"emergency": {"migration": migration}})).await;
    }

    pub(super) async fn jobs(&self) -> Vec<Value> {
        let jobs = self.cloud.admin(Method::GET, "ecs/jobs", None).await["jobs"].clone();
        jobs.as_array().unwrap().iter().filter(|job| job["family"] == MIGRATION).cloned().collect()
    }

    pub(super) async fn labelled(&self, label: &str) -> Option<String> {
        let described = self.cloud.secrets.describe_secret().secret_id(DATABASE).send().await.unwrap();
        let versions = described.version_ids_to_stages.unwrap();
        versions.into_iter().find(|(_, labels)| labels.iter().any(|each| each == label)).map(|(id, _)| id)
    }
}

/// Key of the function's note about restores.
pub(super) fn note() -> String {
    format!("runs/emergency-restore/{}.json", sha256(b"restores"))
}

pub(super) fn extend(value: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("{more}") };
    value.as_object_mut().unwrap().extend(more);
}

/// A command without spaces after colons and commas, as JSON may be written in two ways.
fn squeezed(command: &str) -> String {
    command.replace(": ", ":").replace(", ", ",")
}

/// A URL with another port, byte for byte the same otherwise.
pub(super) fn with_port(url: &str, port: i32) -> String {
    let (before, rest) = url.rsplit_once('@').unwrap();
    let (host, after) = rest.split_once(':').unwrap();
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap();
    format!("{before}@{host}:{port}{}", &after[end..])
}

/// Logs in with the secret's present value over and over: at no time may it name a database that is not there.
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Watcher {
    pub(super) async fn begin() -> Self {
        let cloud = Cloud::connect("emergency-restore").await;
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut logins, mut failures) = (0, Vec::new());
            while !ends.load(Ordering::Relaxed) {
                let value = async || {
                    let value = cloud.secrets.get_secret_value().secret_id(DATABASE).send().await.unwrap();
                    value.secret_string.unwrap()
                };
                let used = value().await;
                match with_the_value(&cloud, &used).await {
                    Ok(_) => logins += 1,
                    // The value may have been replaced since it was read.
                    Err(error) if value().await == used => failures.push(format!("{error:?}")),
                    Err(_) => {}
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            (logins, failures)
        });
        Self { stop, task }
    }

    pub(super) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (logins, failures) = self.task.await.unwrap();
        assert!(logins > 5 && failures.is_empty(), "{logins} logins, then {failures:?}");
    }
}
