//! `emergency-restore` against the local cloud: real PostgreSQL is restored, proved, brought into use and left again, by
//! its state machine and by people's orders; lost instances, failing steps, stopped executions; crashes at any call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_rds::types::DbInstance;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::advice::Advice;
use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::matrix;
use crate::secret::Secret;
use crate::server::with_the_value;

const INSTANCE: &str = "moveongs-dev-db";
/// Prefix of the new instances' names.
const NEW: &str = "moveongs-dev-db-r";
const DATABASE: &str = "/moveongs/dev/db";
const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-emergency-restore";
const FOLLOWUP: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-rotation-followup";
const BASELINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-restore-test";
const QUEUE: &str = "emergency-restore-pages";
const CLUSTER: &str = "moveongs-dev-cluster";
const SERVICE: &str = "moveongs-dev-api";
const MIGRATION: &str = "moveongs-dev-migrate";
/// Bucket and key of the application's Terraform state.
const STATE: (&str, &str) = ("moveongs-dev-terraform-state", "moveongs/dev/terraform.tfstate");
const STARTER: &str = "Ana Souza";
const OTHER: &str = "Bia Lima";
/// One in so many deaths is tried in a run of the tests.
const SHARE: usize = 20;

/// Rows that the application deletes or makes anonymous at a start with its default retention.
const OLD_ROWS: &str = "
    DELETE FROM attachments WHERE file_name = 'emergency.pdf';
    INSERT INTO attachments (owner_type, owner_id, file_path, file_name, created_at)
      SELECT 'beneficiary', gen_random_uuid(), 's3://moveongs-dev-attachments/' || n, 'emergency.pdf', now() - interval '400 days'
      FROM generate_series(1, 3) n;
    DELETE FROM beneficiaries WHERE full_name = 'Beneficiária antiga';
    INSERT INTO beneficiaries (full_name, cpf, city, updated_at)
      SELECT 'Beneficiária antiga', '00000000000', 'Recife', now() - interval '200 days' FROM generate_series(1, 2)";

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
    /// The value of the database's secret before the test.
    url: String,
}

impl World {
    /// A world without restores, new instances, records, orders or faults. The application uses the old instance, whose
    /// backups are on, and has rows that it would delete.
    async fn fresh() -> Self {
        let mut world =
            Self { pages: 0, url: String::new(), cloud: Cloud::connect("emergency-restore").await };
        world.cloud.calm().await;
        world.cloud.followups(false).await;
        world.cloud.snapshot_events(false).await;
        world.retention(false).await;
        world.rds("rds/restores", json!({"instances": 40, "end": "", "hold": false, "keep": false})).await;
        world.rds("rds/snapshots", json!({"fail": 0, "hold": false, "quota": 100})).await;
        world.cloud.admin(Method::POST, "ecs/jobs", Some(json!({"family": MIGRATION}))).await;
        let usual = json!({"masking": false, "mfa": false, "down": false, "rate_limit": 0,
            "service": {"cluster": CLUSTER, "service": SERVICE}});
        world.cloud.admin(Method::POST, "moveongs/config", Some(usual)).await;
        world.rollouts(json!({"fail_tasks": 0, "hold_after": null, "bake": true})).await;
        for machine in [MACHINE, FOLLOWUP] {
            world.stop_all(machine).await;
        }
        if world.instance(INSTANCE).await.is_none() {
            world.rds("rds/find", json!({"instance": INSTANCE})).await;
        }
        world.cloud.forget_policy().await;
        world.abandon().await;
        for prefix in
            ["evidence/rotation-followup/", "runs/rotation-followup/", "runs/rotate-database/", "ledger/"]
        {
            world.cloud.wipe(prefix).await;
        }
        world.back_to_the_old_instance().await;
        world.clear().await;
        let client = world.application().await;
        client.batch_execute(OLD_ROWS).await.unwrap();
        world.url = world.value().await;
        world.retention(true).await;
        world.cloud.admin(Method::DELETE, "moveongs/retention", None).await;
        world.cloud.calm().await;
        world.pages = world.cloud.listen_to_pages(QUEUE).await;
        world
    }

    async fn rds(&self, path: &str, body: Value) -> Value {
        self.cloud.admin(Method::POST, path, Some(body)).await
    }

    async fn retention(&self, on: bool) {
        self.cloud.admin(Method::POST, "moveongs/retention", Some(json!({"on": on}))).await;
    }

    async fn rollouts(&self, mut orders: Value) {
        orders["cluster"] = json!(CLUSTER);
        orders["service"] = json!(SERVICE);
        self.cloud.admin(Method::POST, "ecs/rollouts", Some(orders)).await;
    }

    async fn ecs(&self, operation: &str, body: Value) -> Value {
        self.cloud.json_call("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).await
    }

    /// Stops every execution of a machine, and waits until none goes on.
    async fn stop_all(&self, machine: &str) {
        let running = json!({"stateMachineArn": machine, "statusFilter": "RUNNING"});
        let running = self.cloud.states("ListExecutions", running).await;
        for execution in running["executions"].as_array().unwrap() {
            self.stop(&execution["executionArn"]).await;
        }
        self.cloud.idle(machine).await;
    }

    async fn stop(&self, execution: &Value) {
        self.cloud.states("StopExecution", json!({"executionArn": execution})).await;
    }

    /// Gives secret, login and service of the application the old instance again, with backups and without guard.
    async fn back_to_the_old_instance(&self) {
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

    async fn steady(&self) {
        eventually("a steady service", async || {
            let asked = json!({"cluster": CLUSTER, "services": [SERVICE]});
            let described = self.ecs("DescribeServices", asked).await;
            let deployments = described["services"][0]["deployments"].as_array().unwrap().clone();
            (deployments.len() == 1 && deployments[0]["rolloutState"] == "COMPLETED").then_some(())
        })
        .await;
    }

    /// Deletes the new instances. The function never does.
    async fn clear(&self) {
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

    async fn new_instances(&self) -> Vec<DbInstance> {
        let all = self.cloud.rds.describe_db_instances().send().await.unwrap().db_instances.unwrap();
        all.into_iter().filter(|one| one.db_instance_identifier().unwrap().starts_with(NEW)).collect()
    }

    /// The only new instance.
    async fn new_instance(&self) -> DbInstance {
        let mut all = self.new_instances().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    async fn instance(&self, name: &str) -> Option<DbInstance> {
        let found = self.cloud.rds.describe_db_instances().db_instance_identifier(name).send().await;
        Some(found.ok()?.db_instances.unwrap().remove(0))
    }

    async fn status(&self, name: &str) -> Option<String> {
        self.instance(name).await?.db_instance_status
    }

    async fn available(&self, name: &str) {
        eventually(&format!("{name} to be available"), async || {
            (self.status(name).await.as_deref() == Some("available")).then_some(())
        })
        .await;
    }

    /// The present value of the database's secret.
    async fn value(&self) -> String {
        let value = self.cloud.secrets.get_secret_value().secret_id(DATABASE).send().await.unwrap();
        value.secret_string.unwrap()
    }

    /// A session as the application would open it now.
    async fn application(&self) -> Client {
        let value = self.value().await;
        with_the_value(&self.cloud, &value).await.unwrap_or_else(|error| panic!("the application: {error:?}"))
    }

    /// A session of the application at an instance.
    async fn application_at(&self, name: &str) -> Client {
        let port = self.instance(name).await.unwrap().endpoint().unwrap().port().unwrap();
        let value = with_port(&self.value().await, port);
        with_the_value(&self.cloud, &value).await.unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    async fn uses(&self, name: &str) -> bool {
        let port = self.instance(name).await.unwrap().endpoint().unwrap().port().unwrap();
        let value = self.value().await;
        with_port(&value, port) == value
    }

    async fn take_snapshot(&self, name: &str) {
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
    async fn open(&self) -> Value {
        self.cloud.json(&note()).await.map(|book| book["open"].clone()).unwrap_or_default()
    }

    /// Closes the restore of a test that failed. Its name stays used, because versions of secrets are named after it.
    async fn abandon(&self) {
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
    async fn begin(&self, more: Value) -> Value {
        let mut input = json!({"by": STARTER, "reason": "O disco do banco foi perdido"});
        extend(&mut input, more);
        self.cloud.start(MACHINE, &input).await
    }

    /// Waits until the execution waits for a person in a state; returns the note.
    async fn asks(&self, execution: &Value, state: &str) -> Value {
        let asked = eventually(&format!("that {state} waits"), async || {
            let waiting = self.cloud.admin(Method::GET, "states/tokens", None).await;
            let waiting = waiting["waiting"].as_array().unwrap().clone();
            let mine = waiting.into_iter().find(|one| one["execution"] == *execution);
            let open = self.open().await;
            if let Some(mine) = mine.filter(|_| !open["wait"]["token"].is_null()) {
                return Some(Ok((mine["state"].clone(), open)));
            }
            let described = self.cloud.states("DescribeExecution", json!({"executionArn": execution})).await;
            (described["status"] != "RUNNING").then_some(Err(described))
        })
        .await;
        let (found, open) = asked.unwrap_or_else(|ended| panic!("{state}: {ended}"));
        assert_eq!(found, state, "{}", open["failure"]);
        open
    }

    /// Runs the advised command of an order, with its placeholders filled in.
    async fn obey(&self, about: &str, order: &str, by: &str, reason: &str) {
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
    async fn order(&self, order: &str, by: &str, more: Value) -> Result<Value, Value> {
        let mut event = json!({"order": order, "run": self.open().await["run"], "by": by});
        extend(&mut event, more);
        self.cloud.invoke(event).await
    }

    /// The same, for an order that must be taken.
    async fn ordered(&self, order: &str, by: &str, more: Value) -> Value {
        let given = self.order(order, by, more).await;
        given.unwrap_or_else(|error| panic!("{order}: {error}"))
    }

    /// An approval, despite a proof that is not good.
    async fn approves(&self, by: &str, more: Value) {
        let mut all = json!({});
        let verdict = self.open().await["proof"]["verdict"].clone();
        if verdict != "pass" && verdict != "unavailable" {
            all["despiteProof"] = json!(format!("{}: a test", verdict.as_str().unwrap()));
        }
        extend(&mut all, more);
        self.ordered("approve", by, all).await;
    }

    /// Ends a restore in use with the old database.
    async fn ends_with_the_old(&self, execution: &Value) {
        self.asks(execution, "Hold").await;
        self.ordered("rollBack", STARTER, json!({})).await;
        self.asks(execution, "Hold").await;
        assert!(self.uses(INSTANCE).await);
        self.closes(execution).await;
    }

    async fn closes(&self, execution: &Value) -> Value {
        self.ordered("close", STARTER, json!({})).await;
        let ended = self.cloud.ended(execution).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
        assert_eq!(self.open().await, Value::Null);
        ended
    }

    async fn records(&self) -> Vec<Value> {
        self.cloud.evidence("emergency-restore").await.into_iter().map(|(_, record)| record).collect()
    }

    async fn pages(&self, about: &str) -> Vec<Value> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages.filter(|page| page.to_string().contains(about)).collect()
    }

    async fn paged(&self, about: &str) -> Value {
        eventually(&format!("a page about {about}"), async || self.pages(about).await.pop()).await
    }

    /// Checks that no start of the application deleted a row, in the old database and in the new ones.
    async fn nothing_was_deleted(&self) {
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
    async fn starts(&self) -> usize {
        let runs = self.cloud.admin(Method::GET, "moveongs/retention", None).await;
        runs["runs"].as_array().unwrap().len()
    }

    /// Checks that neither the function's log nor the channel nor the pages nor the evidence have a secret's value.
    async fn nothing_leaked(&self) {
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
    async fn state(&self) -> Value {
        let object = self.cloud.s3.get_object().bucket(STATE.0).key(STATE.1).send().await.unwrap();
        serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap()
    }

    async fn write_state(&self, state: &Value) {
        let put = self.cloud.s3.put_object().bucket(STATE.0).key(STATE.1);
        put.body(state.to_string().into_bytes().into()).send().await.unwrap();
    }

    /// A policy with the rule of production: a second person approves.
    async fn as_in_production(&self) {
        self.cloud.set_policy(&json!({"emergency": {"two_persons": ["dev"]}})).await;
    }

    /// A policy with a migration, and its task definition.
    async fn with_a_migration(&self) {
        let arn = self.cloud.secrets.describe_secret().secret_id(DATABASE).send().await.unwrap().arn.unwrap();
        let container = json!({"name": "migrate", "image": "moveongs/api:1", "essential": true,
            "secrets": [{"name": "DATABASE_URL", "valueFrom": arn}]});
        self.ecs("RegisterTaskDefinition", json!({"family": MIGRATION, "containerDefinitions": [container]}))
            .await;
        let migration = json!({"service": SERVICE, "task_definition": MIGRATION, "container": "migrate", "command": ["migrate", "up"]});
        self.cloud.set_policy(&json!({"emergency": {"migration": migration}})).await;
    }

    async fn jobs(&self) -> Vec<Value> {
        let jobs = self.cloud.admin(Method::GET, "ecs/jobs", None).await["jobs"].clone();
        jobs.as_array().unwrap().iter().filter(|job| job["family"] == MIGRATION).cloned().collect()
    }

    async fn labelled(&self, label: &str) -> Option<String> {
        let described = self.cloud.secrets.describe_secret().secret_id(DATABASE).send().await.unwrap();
        let versions = described.version_ids_to_stages.unwrap();
        versions.into_iter().find(|(_, labels)| labels.iter().any(|each| each == label)).map(|(id, _)| id)
    }
}

/// Key of the function's note about restores.
fn note() -> String {
    format!("runs/emergency-restore/{}.json", sha256(b"restores"))
}

fn extend(value: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("{more}") };
    value.as_object_mut().unwrap().extend(more);
}

/// A command without spaces after colons and commas, as JSON may be written in two ways.
fn squeezed(command: &str) -> String {
    command.replace(": ", ":").replace(", ", ",")
}

/// A URL with another port, byte for byte the same otherwise.
fn with_port(url: &str, port: i32) -> String {
    let (before, rest) = url.rsplit_once('@').unwrap();
    let (host, after) = rest.split_once(':').unwrap();
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap();
    format!("{before}@{host}:{port}{}", &after[end..])
}

/// Logs in with the secret's present value over and over: at no time may it name a database that is not there.
struct Watcher {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Watcher {
    async fn begin() -> Self {
        let cloud = Cloud::connect("emergency-restore").await;
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut logins, mut failures) = (0, Vec::new());
            while !ends.load(Ordering::Relaxed) {
                let value = cloud.secrets.get_secret_value().secret_id(DATABASE).send().await.unwrap();
                match with_the_value(&cloud, value.secret_string().unwrap()).await {
                    Ok(_) => logins += 1,
                    Err(error) => failures.push(format!("{error:?}")),
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            (logins, failures)
        });
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (logins, failures) = self.task.await.unwrap();
        assert!(logins > 5 && failures.is_empty(), "{logins} logins, then {failures:?}");
    }
}

/// A Terraform state that knows the settings of the lost instance.
fn known(state: &Value) -> Value {
    let mut state = state.clone();
    for resource in state["resources"].as_array_mut().unwrap() {
        if resource["type"] == "aws_db_instance" {
            let more = json!({"instance_class": "db.t4g.medium", "multi_az": true, "backup_retention_period": 14,
                "db_subnet_group_name": "moveongs-dev-restore-test", "vpc_security_group_ids": ["sg-00000001"],
                "parameter_group_name": "default.postgres18", "tags_all": {"Project": "moveongs"},
                // RDS sets these itself, and refuses them in a request.
                "storage_type": "gp3", "allocated_storage": 20, "iops": 3000, "storage_throughput": 125});
            extend(&mut resource["instances"][0]["attributes"], more);
        }
    }
    state
}

/// The settings that a new instance must have from the lost one.
fn settings(instance: &DbInstance) -> Value {
    let groups: Vec<_> =
        instance.vpc_security_groups().iter().map(|group| group.vpc_security_group_id()).collect();
    let parameters: Vec<_> =
        instance.db_parameter_groups().iter().map(|group| group.db_parameter_group_name()).collect();
    json!({
        "class": instance.db_instance_class(),
        "multi_az": instance.multi_az(),
        "subnets": instance.db_subnet_group().and_then(|group| group.db_subnet_group_name()),
        "groups": groups,
        "parameters": parameters,
        "retention": instance.backup_retention_period(),
        "storage": instance.storage_type(),
        "iam": instance.iam_database_authentication_enabled(),
        "copy_tags": instance.copy_tags_to_snapshot(),
        "public": instance.publicly_accessible(),
        "encrypted": instance.storage_encrypted(),
    })
}

fn tags(instance: &DbInstance) -> BTreeMap<&str, &str> {
    instance.tag_list().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect()
}

#[tokio::test]
async fn a_rehearsal_goes_forward_back_and_forward_again_and_deletes_nothing() {
    let world = World::fresh().await;
    // The proof has a baseline from before the snapshot.
    let read = world.cloud.ended(&world.cloud.start(BASELINE, &json!({"baseline": true})).await).await;
    assert_eq!(read["status"], "SUCCEEDED", "{read}");
    world.take_snapshot("moveongs-dev-emergency").await;
    let earlier = shared::runtime::time::now() - jiff::SignedDuration::from_secs(630);
    let automated = json!({"instance": INSTANCE, "created": earlier.to_string()});
    let automated =
        world.rds("rds/automated-snapshot", automated).await["snapshot"].as_str().unwrap().to_owned();
    world.cloud.followups(true).await;
    let followup = Cloud::connect("rotation-followup").await;
    let (before, from) = (world.labelled("AWSCURRENT").await.unwrap(), followup.last_call().await);
    let watcher = Watcher::begin().await;

    // The choices come with their losses, before one is chosen.
    let execution = world.begin(json!({"rehearsal": true, "observer": "Caio Reis"})).await;
    let open = world.asks(&execution, "AskChoice").await;
    assert!(world.new_instances().await.is_empty());
    let run = open["run"].as_str().unwrap().to_owned();
    let choices = open["choices"].as_array().unwrap();
    assert!(choices[0]["kind"] == "window" && choices.len() >= 2, "{choices:?}");
    let asked = world.cloud.messages(&run).await.concat();
    assert!(
        [automated.as_str(), "moveongs-dev-emergency", "perde 11 min"]
            .iter()
            .all(|part| asked.contains(part)),
        "{asked}"
    );
    world.paged(&run).await;
    world.ordered("choose", STARTER, json!({"source": {"snapshot": "moveongs-dev-emergency"}})).await;

    let open = world.asks(&execution, "AskApproval").await;
    assert_eq!(open["proof"]["verdict"], "pass", "{}", open["proof"]);
    assert!(world.uses(INSTANCE).await, "switched without approval");
    world.obey(&run, "approve", OTHER, "ensaio").await;
    let open = world.asks(&execution, "Hold").await;
    assert_eq!(open["approval"]["by"], OTHER);
    let new = world.new_instance().await;
    let name = new.db_instance_identifier().unwrap().to_owned();
    assert_eq!(name, format!("{INSTANCE}-{run}"));
    let old = world.instance(INSTANCE).await.unwrap();
    assert_eq!(settings(&new), settings(&old));
    assert_eq!(new.deletion_protection(), Some(true));
    assert_eq!(
        (tags(&new)["ManagedBy"], tags(&new)["Run"], tags(&new)["Project"]),
        ("emergency-restore", run.as_str(), "moveongs")
    );
    assert!(world.uses(&name).await);
    let first = world.labelled("AWSCURRENT").await.unwrap();
    assert_eq!(world.labelled("AWSPREVIOUS").await.as_deref(), Some(before.as_str()));
    let value = world.value().await;
    assert_eq!(with_port(&value, old.endpoint().unwrap().port().unwrap()), world.url, "byte for byte");

    // A rotation waits meanwhile.
    let rotating = Cloud::connect("rotate-database").await;
    let secret = Secret::of_the_stack(&rotating, DATABASE).await;
    let token = secret.start().await;
    let refused = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(
        (&refused["state"], &refused["error"]["type"]),
        (&json!("waiting"), &json!("RestoreInProgress")),
        "{refused}"
    );

    world.obey(&run, "rollBack", STARTER, "ensaio").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    assert_eq!(world.labelled("AWSCURRENT").await.as_deref(), Some(before.as_str()));
    world.obey(&run, "forward", STARTER, "ensaio").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(&name).await);
    assert_eq!(world.labelled("AWSCURRENT").await.as_deref(), Some(first.as_str()));
    assert!(world.starts().await >= 4, "no task started");
    world.nothing_was_deleted().await;

    let ended = world.closes(&execution).await;
    watcher.end().await;
    let record = world.cloud.record_of(ended["name"].as_str().unwrap()).await;
    let record = record.or(world.cloud.record_of(&run).await).expect("evidence");
    assert_eq!(record["result"], "succeeded", "{record}");
    let text = record.to_string();
    for part in [STARTER, OTHER, "Caio Reis", name.as_str(), "moveongs-dev-emergency"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let closing = world.cloud.messages(&run).await.pop().unwrap();
    for part in ["terraform state rm", "terraform import", name.as_str(), "RTO"] {
        assert!(closing.contains(part), "{part}: {closing}");
    }
    assert_eq!(world.instance(INSTANCE).await.unwrap().db_instance_status(), Some("available"));
    // The rotation goes on with the new database; role and secret agree afterwards.
    secret.retry().await;
    let rotated = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    assert_eq!(rotated["state"], "succeeded", "{rotated}");
    assert_eq!(world.labelled("AWSCURRENT").await, Some(token));
    world.application().await;
    // The follow-up knew the restore's own changes of the secret; the rotation's is its own.
    followup.idle(FOLLOWUP).await;
    let deployed = followup.calls(from).await.0;
    assert!(deployed.iter().filter(|call| call.ends_with(":UpdateService")).count() <= 1, "{deployed:?}");
    assert_eq!(world.cloud.messages("ForeignValue").await, Vec::<String>::new());
    world.nothing_leaked().await;
    world.cloud.followups(false).await;
}

#[tokio::test]
async fn in_production_a_second_person_approves_or_the_reason_is_recorded() {
    let world = World::fresh().await;
    world.as_in_production().await;
    let execution = world.begin(json!({"source": "latest"})).await;
    world.asks(&execution, "AskApproval").await;
    // Nobody answers: it asks again, and never goes ahead.
    for _ in 0..2 {
        let waited = world.cloud.messages("").await.len();
        world.cloud.admin(Method::POST, "states/expire", Some(json!({"execution": execution}))).await;
        eventually("another question", async || {
            (world.cloud.messages("").await.len() > waited).then_some(())
        })
        .await;
        world.asks(&execution, "AskApproval").await;
    }
    assert!(world.uses(INSTANCE).await);
    let verdict = world.open().await["proof"]["verdict"].as_str().unwrap().to_owned();
    let despite = json!({"despiteProof": format!("{verdict}: a test")});
    let unfilled = world.order("approve", "QUEM", despite.clone()).await.unwrap_err();
    assert_eq!(unfilled["errorType"], "InvalidEvent", "{unfilled}");
    for same in [STARTER, " ana souza", "@Ana Souza"] {
        let refused = world.order("approve", same, despite.clone()).await.unwrap_err();
        assert_eq!(refused["errorType"], "SecondPersonNeeded", "{refused}");
    }
    if verdict != "pass" {
        let refused = world.order("approve", OTHER, json!({})).await.unwrap_err();
        assert_eq!(refused["errorType"], "ProofNotGood", "{refused}");
    }
    for (order, more) in [("close", json!({})), ("retry", json!({})), ("rollBack", json!({}))] {
        let refused = world.order(order, OTHER, more).await.unwrap_err();
        assert_eq!(refused["errorType"], "OrderNotPossible", "{refused}");
    }
    assert!(world.uses(INSTANCE).await && world.cloud.messages("RestoreInProgress").await.is_empty());
    // A second restore is refused while one is open.
    let second = world.cloud.ended(&world.begin(json!({"source": "latest"})).await).await;
    assert_eq!(second["status"], "FAILED", "{second}");
    world.paged("RestoreInProgress").await;

    world.approves(STARTER, json!({"override": "só uma pessoa acordada"})).await;
    let open = world.asks(&execution, "Hold").await;
    assert_eq!(open["approval"]["alone"], "só uma pessoa acordada");
    // A deploy by others takes the guard away: the next look finds it, and trying again brings it back.
    world.retention(false).await;
    let first = json!({"cluster": CLUSTER, "service": SERVICE, "taskDefinition": format!("{SERVICE}:1")});
    world.ecs("UpdateService", first).await;
    world.steady().await;
    world.retention(true).await;
    world.cloud.admin(Method::POST, "states/expire", Some(json!({"execution": execution}))).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "GuardLost", "{open}");
    world.paged("GuardLost").await;
    world.obey(open["run"].as_str().unwrap(), "retry", OTHER, "o deploy parou").await;
    world.asks(&execution, "Hold").await;
    world.ends_with_the_old(&execution).await;
    let record = world.records().await.pop().unwrap().to_string();
    assert!(record.contains("só uma pessoa acordada"), "{record}");
    world.nothing_was_deleted().await;
}

#[tokio::test]
async fn a_point_in_time_loses_what_came_after_it() {
    let world = World::fresh().await;
    let point = world.rds("rds/point", json!({"instance": INSTANCE, "seconds_ago": 1200})).await;
    let client = world.application().await;
    let later = "INSERT INTO beneficiaries (full_name) VALUES ('Chegou depois')";
    client.batch_execute(later).await.unwrap();
    let count = "SELECT count(*) FROM beneficiaries WHERE full_name = 'Chegou depois'";
    let latest = json!({"instance": INSTANCE, "latest_restorable": shared::runtime::time::now().to_string(), "created": "2026-01-01T00:00:00Z"});
    world.rds("rds/instance", latest).await;
    let execution = world.begin(json!({"source": {"time": point["time"]}, "rehearsal": true})).await;
    let open = world.asks(&execution, "AskApproval").await;
    let at = point["time"].as_str().unwrap().replace(".000Z", "Z");
    assert_eq!(open["data"], at, "{open}");
    let name = world.new_instance().await.db_instance_identifier.unwrap();
    let copy = world.application_at(&name).await;
    assert_eq!(copy.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    // Another choice makes another instance; the first one stays.
    world.ordered("choose", STARTER, json!({"source": "latest"})).await;
    world.asks(&execution, "AskApproval").await;
    let all = world.new_instances().await;
    assert_eq!(all.len(), 2, "{all:?}");
    let copy = world.application_at(&format!("{name}-2")).await;
    assert_eq!(copy.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
    // Rejected before anything was switched.
    world.ordered("reject", STARTER, json!({"reason": "ensaio"})).await;
    let ended = world.cloud.ended(&execution).await;
    assert_eq!((&ended["status"], world.open().await), (&json!("SUCCEEDED"), Value::Null), "{ended}");
    assert!(world.uses(INSTANCE).await);
    client.batch_execute("DELETE FROM beneficiaries WHERE full_name = 'Chegou depois'").await.unwrap();
    world.rds("rds/instance", json!({"instance": INSTANCE, "latest_restorable": null})).await;
}

#[tokio::test]
async fn an_instance_that_is_gone_is_restored_from_its_backups_and_the_terraform_state() {
    let world = World::fresh().await;
    let before = world.url.clone();
    let state = world.state().await;
    world.write_state(&known(&state)).await;
    world.rds("rds/lose", json!({"instance": INSTANCE, "retained": true})).await;
    let execution = world.begin(json!({"source": "latest", "rehearsal": true, "instance": INSTANCE})).await;
    world.asks(&execution, "AskApproval").await;
    let new = world.new_instance().await;
    let shown = settings(&new);
    let told = ["class", "multi_az", "subnets", "groups", "parameters", "retention"].map(|name| &shown[name]);
    let told = json!(told);
    assert_eq!(
        told,
        json!([
            "db.t4g.medium",
            true,
            "moveongs-dev-restore-test",
            ["sg-00000001"],
            ["default.postgres18"],
            14
        ])
    );
    assert_eq!((new.deletion_protection(), tags(&new)["Project"]), (Some(true), "moveongs"));
    world.approves(OTHER, json!({})).await;
    world.asks(&execution, "Hold").await;
    let name = new.db_instance_identifier().unwrap();
    assert!(world.uses(name).await);
    // The old database does not accept its login, so there is no way back yet; nothing changes.
    world.ordered("rollBack", STARTER, json!({})).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "DatabaseRefused", "{open}");
    assert!(world.uses(name).await);
    world.ordered("forward", STARTER, json!({})).await;
    world.asks(&execution, "Hold").await;
    world.rds("rds/find", json!({"instance": INSTANCE})).await;
    world.available(INSTANCE).await;
    assert_ne!(world.value().await, before);
    world.ends_with_the_old(&execution).await;
    world.write_state(&state).await;
    world.nothing_was_deleted().await;
}

#[tokio::test]
async fn a_failing_migration_deployment_or_check_advises_the_way_back_which_works() {
    let world = World::fresh().await;
    world.with_a_migration().await;
    let watcher = Watcher::begin().await;
    let fails = json!({"family": MIGRATION, "exit": 3});
    world.cloud.admin(Method::POST, "ecs/jobs", Some(fails)).await;
    let execution = world.begin(json!({"source": "latest", "rehearsal": true})).await;
    let run = world.asks(&execution, "AskApproval").await["run"].as_str().unwrap().to_owned();
    world.approves(OTHER, json!({})).await;
    let failed = async |kind: &str| {
        let open = world.asks(&execution, "AskRepair").await;
        assert_eq!(open["failure"]["kind"], kind, "{open}");
        world.paged(kind).await;
        let reported = world.cloud.messages(kind).await;
        assert!(reported.iter().any(|message| message.contains("rollBack")), "{reported:?}");
    };
    failed("MigrationFailed").await;
    // The way back, and forward again: the migration runs on the new database, once.
    world.obey(&run, "rollBack", STARTER, "a migração falhou").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    let works = json!({"family": MIGRATION, "sql": ["CREATE TABLE migrated_here (id int)"]});
    world.cloud.admin(Method::POST, "ecs/jobs", Some(works)).await;
    world.obey(&run, "forward", STARTER, "a migração foi corrigida").await;
    world.asks(&execution, "Hold").await;
    let name = world.new_instance().await.db_instance_identifier.unwrap();
    let migrated = "SELECT to_regclass('migrated_here')::text";
    let there = world.application_at(&name).await.query_one(migrated, &[]).await.unwrap();
    assert!(there.get::<_, Option<String>>(0).is_some());
    let there = world.application_at(INSTANCE).await.query_one(migrated, &[]).await.unwrap();
    assert_eq!(there.get::<_, Option<String>>(0), None, "the migration ran on the old database");
    assert_eq!(world.jobs().await.last().unwrap()["exit"], 0);

    // A deployment that fails on the way back, and is repeated.
    world.rollouts(json!({"fail_tasks": 3})).await;
    world.ordered("rollBack", STARTER, json!({})).await;
    failed("RolloutFailed").await;
    world.rollouts(json!({"fail_tasks": 0})).await;
    world.obey(&run, "retry", STARTER, "de novo").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);

    // A check that fails after the switch; the advised return cures.
    world.cloud.admin(Method::POST, "moveongs/config", Some(json!({"down": true}))).await;
    world.ordered("forward", STARTER, json!({})).await;
    failed("SmokeFailed").await;
    world.cloud.admin(Method::POST, "moveongs/config", Some(json!({"down": false}))).await;
    world.obey(&run, "rollBack", STARTER, "não entra").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    world.application().await;
    world.closes(&execution).await;
    watcher.end().await;
    world.nothing_was_deleted().await;
    world.nothing_leaked().await;
}

#[tokio::test]
async fn a_restore_that_rds_gives_up_is_repeated_or_rejected() {
    let world = World::fresh().await;
    // A setting that RDS refuses is given anew in the same restore.
    let wrong =
        json!({"source": "latest", "rehearsal": true, "settings": {"parameterGroup": "moveongs-none"}});
    let execution = world.begin(wrong).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "RestoreRefused", "{open}");
    let run = open["run"].as_str().unwrap().to_owned();
    world.rds("rds/restores", json!({"end": "incompatible-network"})).await;
    let right = json!({"settings": {"parameterGroup": "default.postgres18"}});
    world.ordered("retry", STARTER, right).await;
    for next in ["incompatible-parameters", "storage-full", ""] {
        let open = world.asks(&execution, "AskRepair").await;
        assert_eq!(open["failure"]["kind"], "InstanceFailed", "{open}");
        world.paged("InstanceFailed").await;
        world.rds("rds/restores", json!({"end": next})).await;
        world.obey(&run, "retry", STARTER, "de novo").await;
    }
    let open = world.asks(&execution, "AskApproval").await;
    // All instances are there: the function deletes nothing.
    assert_eq!(world.new_instances().await.len(), 4);
    world.obey(&run, "reject", STARTER, "o banco antigo voltou").await;
    assert_eq!(world.cloud.ended(&execution).await["status"], "SUCCEEDED");
    // The end names each of them with its removal.
    let end = world.cloud.messages("skip-final-snapshot").await.pop().unwrap();
    let former = open["former"].as_array().unwrap();
    assert_eq!(former.len(), 3, "{open}");
    for name in former {
        assert!(end.contains(name.as_str().unwrap()), "{name}: {end}");
    }
    assert!(world.uses(INSTANCE).await);
    assert_eq!(world.open().await, Value::Null);
}

/// The order that answers each state that waits, on the whole way.
const WAY: [(&str, &str); 5] = [
    ("AskChoice", "choose"),
    ("AskApproval", "approve"),
    ("Hold", "rollBack"),
    ("Hold", "forward"),
    ("Hold", "rollBack"),
];

#[tokio::test]
async fn an_execution_stopped_in_any_wait_is_resumed_where_it_stood() {
    let world = World::fresh().await;
    let mut execution = world.begin(json!({"rehearsal": true})).await;
    for (state, order) in WAY {
        let run = world.asks(&execution, state).await["run"].clone();
        world.stop(&execution).await;
        world.cloud.idle(MACHINE).await;
        // An order is noted although no task waits for it, and the next execution acts on it.
        let more = match order {
            "choose" => json!({"source": "latest"}),
            "approve" => {
                let verdict = world.open().await["proof"]["verdict"].clone();
                json!({"despiteProof": format!("{}: a test", verdict.as_str().unwrap())})
            }
            _ => json!({}),
        };
        let resume = json!({"resume": run, "by": OTHER});
        if order == "rollBack" {
            world.ordered(order, OTHER, more).await;
            execution = world.cloud.start(MACHINE, &resume).await;
        } else {
            execution = world.cloud.start(MACHINE, &resume).await;
            world.asks(&execution, state).await;
            world.ordered(order, OTHER, more).await;
        }
    }
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    assert_eq!(world.new_instances().await.len(), 1);
    world.closes(&execution).await;
    world.nothing_was_deleted().await;
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_at_the_start() {
    let world = World::fresh().await;
    let refused = async |input: Value, kind: &str| {
        let ended = world.cloud.ended(&world.cloud.start(MACHINE, &input).await).await;
        assert_eq!(ended["status"], "FAILED", "{kind}: {ended}");
        let page = world.paged(kind).await;
        assert_eq!(world.open().await, Value::Null, "{kind}: {page}");
        assert!(!world.cloud.messages(kind).await.is_empty(), "{kind}");
    };
    let start = json!({"by": STARTER, "reason": "teste"});
    let with = |more: Value| {
        let mut all = start.clone();
        extend(&mut all, more);
        all
    };
    refused(with(json!({"instance": "another-database"})), "NotOurs").await;
    crate::cluster::make(&world.cloud).await;
    refused(with(json!({"instance": crate::cluster::MEMBER})), "ClusterNotSupported").await;
    crate::cluster::remove(&world.cloud).await;
    refused(json!({"reason": "sem nome"}), "InvalidEvent").await;
    assert!(world.new_instances().await.is_empty());
    let nothing = world.cloud.invoke(json!({"order": "approve", "run": "r20260101-1", "by": OTHER})).await;
    assert_eq!(nothing.unwrap_err()["errorType"], "NoOpenRestore");
    let status = world.cloud.invoke(json!({"order": "status"})).await.unwrap();
    assert_eq!(status["status"], "nothing", "{status}");
}

/// Gives an order as a person does: again if the function died.
async fn insist(world: &World, order: &str, more: Value) {
    let mut event = json!({"order": order, "run": world.open().await["run"], "by": OTHER});
    extend(&mut event, more);
    let given = world.cloud.invoke(event.clone()).await;
    if let Err(error) = given {
        assert!(world.cloud.hits("kill").await > 0, "{order}: {error}");
        world.cloud.invoke(event).await.unwrap_or_else(|error| panic!("{order} again: {error}"));
    }
}

/// The whole way of a restore, with a death at a call; returns whether it came.
async fn course(world: &World, rule: Option<Value>) -> bool {
    if let Some(rule) = &rule {
        world.cloud.fault(rule.clone()).await;
    }
    let execution = world.begin(json!({"source": "latest", "rehearsal": true})).await;
    for order in ["approve", "rollBack", "close"] {
        let state = if order == "approve" { "AskApproval" } else { "Hold" };
        let open = world.asks(&execution, state).await;
        let more = match order {
            "approve" => {
                json!({"despiteProof": format!("{}: a test", open["proof"]["verdict"].as_str().unwrap())})
            }
            _ => json!({}),
        };
        insist(world, order, more).await;
    }
    let ended = world.cloud.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{rule:?}: {ended}");
    let struck = world.cloud.hits("kill").await > 0;
    world.cloud.admin(Method::DELETE, "faults", None).await;
    assert_eq!(world.open().await, Value::Null, "{rule:?}");
    assert!(world.uses(INSTANCE).await, "{rule:?}");
    world.application().await;
    assert_eq!(world.new_instances().await.len(), 1, "{rule:?}");
    assert_eq!(world.instance(INSTANCE).await.unwrap().db_instance_status(), Some("available"));
    world.nothing_was_deleted().await;
    struck
}

/// Statements that read, most of them the proof's: a death at one equals a death after the change before it.
const READS: [&str; 6] = ["SELECT", "WITH", "SHOW", "SET", "login", "BEGIN"];
/// One in so many of them is tried with `--full`.
const READ_SHARE: usize = 150;

#[tokio::test]
async fn every_crash_point_of_emergency_restore_recovers() {
    let world = World::fresh().await;
    let after = world.cloud.last_call().await;
    assert!(!course(&world, None).await);
    let calls = world.cloud.changes(after).await;
    let is_read =
        |call: &str| call.strip_prefix("postgres:").is_some_and(|statement| READS.contains(&statement));
    let (mut counts, mut moments, mut reads) = (BTreeMap::new(), Vec::new(), 0);
    for call in &calls {
        let (service, action) = call.split_once(':').unwrap();
        let count: &mut usize = counts.entry(call).or_default();
        *count += 1;
        reads += usize::from(is_read(call));
        if !is_read(call) || (matrix::is_full() && reads.is_multiple_of(READ_SHARE)) {
            moments.push((service, action, *count));
        }
    }
    assert!(moments.len() >= 50, "{counts:?}");
    let records = world.records().await.len();
    let watcher = Watcher::begin().await;
    let mut points = Vec::new();
    // The first place is before the first call.
    for place in matrix::turns(SHARE).take_while(|place| *place <= moments.len()) {
        world.clear().await;
        world.cloud.calm().await;
        let when = if place == 0 { "before" } else { "after" };
        let (service, action, nth) = moments[place.saturating_sub(1)];
        let rule = json!({"effect": "kill", "when": when, "service": service, "action": action, "nth": nth});
        // Polls differ from run to run, so the last call of a kind may not come.
        if course(&world, Some(rule)).await {
            let operation = format!("{service}:{action}");
            points.push(json!({"operation": operation, "when": when, "call": nth, "end": "succeeded"}));
        }
    }
    assert!(!points.is_empty());
    watcher.end().await;
    assert!(world.records().await.len() >= records + points.len());
    let deleted = world.cloud.changes(after).await;
    assert!(!deleted.iter().any(|call| call.ends_with(":DeleteDBInstance")), "an instance was deleted");
    matrix::write("emergency-restore", &points, json!({"moments": moments.len(), "calls": calls.len()}));
}
