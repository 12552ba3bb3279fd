//! `restore-test` against the local cloud: snapshots of the application's real PostgreSQL are restored, proved and
//! removed; sound and damaged copies; RDS's refusals and failures; executions that are stopped or die in any state.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_rds::types::{DbInstance, Tag};
use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::Advice;
use crate::cloud::{Cloud, eventually};
use crate::cluster::{self, CLUSTER, MEMBER};
use crate::matrix::{self, Point};

const INSTANCE: &str = "moveongs-dev-db";
const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-restore-test";
const QUEUE: &str = "restore-test-pages";
/// Prefix of its instances' names.
const SCRATCH: &str = "moveongs-dev-restore-test-";
/// A sound snapshot of the application's database, made by the first test.
const SOUND: &str = "moveongs-dev-sound";
/// An instance with the test's tags under another name.
const BY_HAND: &str = "moveongs-dev-restored-by-hand";
/// Region of the copies.
const AWAY: &str = "sa-east-1";

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
}

/// A damaged copy: its name, the damages, and what the findings say about each.
struct Damaged {
    name: &'static str,
    sql: &'static [&'static str],
    /// Relations of which a byte is flipped.
    flip: &'static [&'static str],
    findings: &'static [[&'static str; 2]],
}

/// Damages of different kinds; the demo has each of the first seven in a copy of its own.
const DAMAGED: [Damaged; 3] = [
    Damaged {
        name: "damaged-rows",
        sql: &[
            "TRUNCATE attachments",
            "SELECT setval('audit_logs_id_seq', 1, false)",
            "UPDATE audit_log_digests SET previous_digest = 'x' WHERE log_id = 7",
            "SET session_replication_role = replica",
            "DELETE FROM beneficiaries WHERE id = (SELECT beneficiary_id FROM enrollments ORDER BY id LIMIT 1)",
        ],
        flip: &[],
        findings: &[
            ["number of rows", "public.attachments"],
            ["sequence against its columns", "public.audit_logs_id_seq"],
            ["chain of audit digests", "public.audit_log_digests"],
            ["foreign key", "public.enrollments.enrollments_beneficiary_id_fkey"],
            ["number of rows", "public.beneficiaries"],
        ],
    },
    Damaged {
        name: "damaged-structure",
        sql: &[
            "DROP INDEX idx_enrollments_cohort",
            "UPDATE audit_logs SET created_at = created_at - interval '30 days'",
            "REVOKE INSERT ON attendance FROM moveongs",
            "UPDATE users SET name = name || 'x' WHERE id = (SELECT id FROM users ORDER BY id LIMIT 1)",
        ],
        flip: &[],
        findings: &[
            ["indexes", "public.enrollments"],
            ["age of the newest row", "public.audit_logs.created_at"],
            ["privileges", "public.attendance"],
            ["all rows, read to their end", "public.users"],
        ],
    },
    Damaged {
        name: "damaged-page",
        sql: &[],
        flip: &["beneficiaries"],
        findings: &[
            ["all rows, read to their end", "public.beneficiaries"],
            ["the table's pages", "public.beneficiaries"],
        ],
    },
];

impl World {
    /// A world without runs, baselines, scratch instances, records, orders or faults.
    async fn fresh() -> Self {
        let world = Self { pages: 0, cloud: Cloud::connect("restore-test").await };
        world.cloud.snapshot_events(false).await;
        world.cloud.ended_events(true).await;
        world.cloud.calm().await;
        world
            .orders(json!({"instances": 40, "storage": 100_000, "end": "", "hold": false, "keep": false}))
            .await;
        world.snapshot_orders(json!({"fail": 0, "hold": false, "quota": 100})).await;
        world.stop_all().await;
        world.clear().await;
        for prefix in ["evidence/restore-test/", "runs/restore-test/", "baselines/restore-test/"] {
            world.cloud.wipe(prefix).await;
        }
        world.sound().await;
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    async fn orders(&self, orders: Value) {
        self.cloud.admin(Method::POST, "rds/restores", Some(orders)).await;
    }

    async fn snapshot_orders(&self, orders: Value) {
        self.cloud.admin(Method::POST, "rds/snapshots", Some(orders)).await;
    }

    async fn facts(&self, snapshot: &str, facts: Value) {
        let body = json!({"snapshot": snapshot, "facts": facts});
        self.cloud.admin(Method::POST, "rds/snapshot", Some(body)).await;
    }

    /// Stops every execution, and waits until none goes on.
    async fn stop_all(&self) {
        let running = json!({"stateMachineArn": MACHINE, "statusFilter": "RUNNING"});
        let running = self.cloud.states("ListExecutions", running).await;
        for execution in running["executions"].as_array().unwrap() {
            self.stop(&execution["executionArn"]).await;
        }
        self.cloud.idle(MACHINE).await;
    }

    async fn stop(&self, execution: &Value) {
        self.cloud.states("StopExecution", json!({"executionArn": execution})).await;
    }

    /// Deletes every instance that the tests make.
    async fn clear(&self) {
        let all = self.cloud.rds.describe_db_instances().send().await.unwrap().db_instances.unwrap();
        let is_ours = |name: &str| name.starts_with(SCRATCH) || name == BY_HAND;
        for instance in all.iter().filter(|one| is_ours(one.db_instance_identifier().unwrap())) {
            let name = instance.db_instance_identifier().unwrap();
            if instance.deletion_protection() == Some(true) {
                self.unprotect(name).await;
            }
            let delete = self.cloud.rds.delete_db_instance().db_instance_identifier(name);
            let _ = delete.skip_final_snapshot(true).send().await;
        }
        self.nothing_is_left().await;
    }

    async fn unprotect(&self, name: &str) {
        eventually("that the protection is lifted", async || {
            let start = self.cloud.rds.start_db_instance().db_instance_identifier(name);
            let _ = start.send().await;
            let modify = self.cloud.rds.modify_db_instance().db_instance_identifier(name);
            modify.deletion_protection(false).apply_immediately(true).send().await.ok()
        })
        .await;
    }

    /// The instances with the test's prefix.
    async fn scratch(&self) -> Vec<DbInstance> {
        let all = self.cloud.rds.describe_db_instances().send().await.unwrap().db_instances.unwrap();
        all.into_iter().filter(|one| one.db_instance_identifier().unwrap().starts_with(SCRATCH)).collect()
    }

    async fn nothing_is_left(&self) {
        eventually("that no instance is left", async || self.scratch().await.is_empty().then_some(())).await;
    }

    async fn available(&self, name: &str) {
        self.has_status(name, "available").await;
    }

    async fn has_status(&self, name: &str, status: &str) {
        eventually(&format!("{name} to be {status}"), async || {
            let found = self.cloud.rds.describe_db_instances().db_instance_identifier(name).send().await;
            (found.ok()?.db_instances()[0].db_instance_status() == Some(status)).then_some(())
        })
        .await;
    }

    /// The sound snapshot, whose data are of this moment.
    async fn sound(&self) {
        let there = self.cloud.rds.describe_db_snapshots().db_snapshot_identifier(SOUND).send().await;
        if there.is_err() {
            self.take(SOUND).await;
        }
    }

    async fn take(&self, name: &str) {
        self.available(INSTANCE).await;
        let taken = self.cloud.rds.create_db_snapshot().db_instance_identifier(INSTANCE);
        taken.db_snapshot_identifier(name).send().await.unwrap();
        self.is_made(name).await;
        self.available(INSTANCE).await;
    }

    async fn is_made(&self, name: &str) {
        eventually(&format!("the snapshot {name}"), async || {
            let found = self.cloud.rds.describe_db_snapshots().db_snapshot_identifier(name).send().await;
            (found.unwrap().db_snapshots()[0].status() == Some("available")).then_some(())
        })
        .await;
    }

    /// Reads the source as a baseline, and moves the sound snapshot's time behind it: the function compares whole seconds.
    async fn based(&self) {
        let ended = self.run(&json!({"baseline": true})).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
        self.facts(SOUND, json!({"seconds_ago": -1})).await;
    }

    /// A copy of the sound snapshot.
    async fn copy(&self, name: &str) -> String {
        let name = format!("moveongs-dev-{name}");
        let _ = self.cloud.rds.delete_db_snapshot().db_snapshot_identifier(&name).send().await;
        let copy = self.cloud.rds.copy_db_snapshot().source_db_snapshot_identifier(SOUND);
        copy.target_db_snapshot_identifier(&name).send().await.unwrap();
        self.is_made(&name).await;
        name
    }

    async fn damaged(&self, damaged: &Damaged) -> String {
        let name = self.copy(damaged.name).await;
        let flip: Vec<_> = damaged.flip.iter().map(|relation| json!({"relation": relation})).collect();
        let order = json!({"snapshot": name, "sql": damaged.sql, "flip": flip});
        self.cloud.admin(Method::POST, "rds/damage", Some(order)).await;
        name
    }

    async fn forget(&self, snapshot: &str) {
        self.cloud.rds.delete_db_snapshot().db_snapshot_identifier(snapshot).send().await.unwrap();
    }

    /// Starts the state machine and waits for its end.
    async fn run(&self, input: &Value) -> Value {
        self.cloud.ended(&self.cloud.start(MACHINE, input).await).await
    }

    /// A test of the sound snapshot, whose proof holds.
    async fn passes(&self, input: &Value) -> Value {
        let ended = self.run(input).await;
        let findings = self.records().await.pop().unwrap_or_default()["findings"].clone();
        assert_eq!(ended["status"], "SUCCEEDED", "{ended} {findings}");
        serde_json::from_str(ended["output"].as_str().unwrap()).unwrap()
    }

    /// A test that ends with this kind, and leaves no instance; returns the error's cause.
    async fn fails(&self, input: &Value, kind: &str) -> String {
        let ended = self.run(input).await;
        let findings = self.records().await.pop().unwrap_or_default()["findings"].clone();
        assert_eq!(
            (&ended["status"], &ended["error"]),
            (&json!("FAILED"), &json!(kind)),
            "{ended} {findings}"
        );
        assert_eq!(self.names().await, Vec::<String>::new(), "{kind}");
        ended["cause"].as_str().unwrap().to_owned()
    }

    async fn names(&self) -> Vec<String> {
        self.scratch().await.into_iter().map(|one| one.db_instance_identifier.unwrap()).collect()
    }

    /// Waits until an execution has entered a state; returns false if it ended without.
    async fn reaches(&self, execution: &Value, state: &str) -> bool {
        eventually(&format!("the state {state}"), async || {
            let described = self.cloud.states("DescribeExecution", json!({"executionArn": execution})).await;
            let asked = json!({"executionArn": execution, "maxResults": 1000});
            let history = self.cloud.states("GetExecutionHistory", asked).await;
            let entered = history["events"].as_array().unwrap().iter();
            let mut entered = entered.map(|event| &event["stateEnteredEventDetails"]["name"]);
            let is_there = entered.any(|name| name == state);
            (is_there || described["status"] != "RUNNING").then_some(is_there)
        })
        .await
    }

    async fn pages(&self, about: &str) -> Vec<Value> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages.filter(|page| page.to_string().contains(about)).collect()
    }

    async fn paged(&self, about: &str) -> String {
        eventually(&format!("a page about {about}"), async || self.pages(about).await.pop()).await.to_string()
    }

    async fn records(&self) -> Vec<Value> {
        self.cloud.evidence("restore-test").await.into_iter().map(|(_, record)| record).collect()
    }

    /// The newest record.
    async fn record(&self) -> String {
        self.records().await.last().expect("a record").to_string()
    }

    /// Number of requests for an instance.
    async fn asked(&self, after: u64) -> usize {
        let calls = self.cloud.calls(after).await.0;
        calls.iter().filter(|call| call.ends_with(":RestoreDBInstanceFromDBSnapshot")).count()
    }

    /// Restores an instance as a person does, with tags of `restore-test` or of another maker.
    async fn lost(&self, name: &str, maker: &str, deadline: &str, is_protected: bool) {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let restored = self.cloud.rds.restore_db_instance_from_db_snapshot().db_instance_identifier(name);
        let restored = restored.db_snapshot_identifier(SOUND).backup_retention_period(0);
        let tags = [
            ("Project", "moveongs"),
            ("Environment", "dev"),
            ("ManagedBy", maker),
            ("DeleteAfter", deadline),
        ];
        let restored = restored.set_tags(Some(tags.map(|(key, value)| tag(key, value)).to_vec()));
        restored.deletion_protection(is_protected).send().await.unwrap();
    }

    async fn reap(&self) -> Value {
        self.cloud.invoke(json!({"reap": true})).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test]
async fn a_sound_snapshot_is_proved_with_its_figures_and_its_instance_removed() {
    let world = World::fresh().await;
    world.based().await;
    // An older automated snapshot, and a newer one that is not automated.
    let backups = async |days: i32| {
        let modify = world.cloud.rds.modify_db_instance().db_instance_identifier(INSTANCE);
        modify.backup_retention_period(days).apply_immediately(true).send().await.unwrap();
        world.available(INSTANCE).await;
    };
    backups(1).await;
    let listed = world.cloud.rds.describe_db_snapshots().db_instance_identifier(INSTANCE);
    let listed = listed.snapshot_type("automated").send().await.unwrap();
    let automated = listed.db_snapshots()[0].db_snapshot_identifier().unwrap().to_owned();
    world.facts(SOUND, json!({"seconds_ago": -60})).await;

    let before = world.cloud.last_call().await;
    world.orders(json!({"hold": true})).await;
    let execution = world.cloud.start(MACHINE, &json!({})).await;
    let made = eventually("the instance", async || world.scratch().await.pop()).await;
    let name = made.db_instance_identifier().unwrap();
    let tags: BTreeMap<_, _> =
        made.tag_list().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    for (key, value) in [("Project", "moveongs"), ("Environment", "dev"), ("ManagedBy", "restore-test")] {
        assert_eq!(tags[key], value);
    }
    assert!(execution.as_str().unwrap().ends_with(tags["Run"]), "{tags:?}");
    assert!(tags["DeleteAfter"].starts_with("20") && tags["DeleteAfter"].ends_with('Z'), "{tags:?}");
    assert_eq!(
        (
            made.backup_retention_period(),
            made.multi_az(),
            made.publicly_accessible(),
            made.deletion_protection()
        ),
        (Some(0), Some(false), Some(false), Some(false))
    );
    assert_eq!(made.db_subnet_group().unwrap().db_subnet_group_name(), Some("moveongs-dev-restore-test"));
    assert_eq!(made.vpc_security_groups()[0].vpc_security_group_id(), Some("sg-00000001"));
    assert_eq!(made.engine_lifecycle_support(), Some("open-source-rds-extended-support-disabled"));
    world.orders(json!({"hold": false})).await;
    world.cloud.admin(Method::POST, "rds/restores", Some(json!({"keep": true}))).await;
    // RDS's secret exists until the instance is gone.
    world.has_status(name, "deleting").await;
    let secret = world.scratch().await[0].master_user_secret().unwrap().secret_arn().unwrap().to_owned();
    let secret = world.cloud.secrets.get_secret_value().secret_id(secret).send().await.unwrap();
    let secret: Value = serde_json::from_str(secret.secret_string().unwrap()).unwrap();
    let password = secret["password"].as_str().unwrap();
    world.orders(json!({"keep": false})).await;
    let ended = world.cloud.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended} {}", world.record().await);
    assert_eq!((world.names().await.len(), world.asked(before).await), (0, 1));

    let record = world.record().await;
    for part in [automated.as_str(), "beneficiaries", "enrollments", "audit_logs", "205", "first query"] {
        assert!(record.contains(part), "{part}: {record}");
    }
    let reported = world.cloud.messages(&automated).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    for place in [record, reported[0].clone(), world.cloud.log_lines("").await.join("\n"), ended.to_string()]
    {
        assert!(!place.contains(password), "the master's password");
    }
    assert_eq!(world.pages("restore-test").await, Vec::<Value>::new());
    backups(0).await;
}

#[tokio::test]
async fn each_damage_is_caught_and_named() {
    let world = World::fresh().await;
    world.based().await;
    for damaged in &DAMAGED {
        let snapshot = world.damaged(damaged).await;
        world.fails(&json!({"snapshot": snapshot}), "ProofFailed").await;
        let record = world.records().await.pop().unwrap();
        let findings = record["findings"].as_array().unwrap();
        for [check, object] in damaged.findings {
            let found = findings.iter().filter_map(Value::as_str).any(|finding| {
                finding.starts_with("fail: ") && finding.contains(&format!("{check}: {object}"))
            });
            assert!(found, "{check}: {object}: {findings:?}");
        }
        assert_eq!(record["result"], "failed");
        let reported = world.cloud.messages(&snapshot).await;
        let [_, object] = damaged.findings[0];
        assert!(reported.len() == 1 && reported[0].contains(object), "{object}: {reported:?}");
        world.forget(&snapshot).await;
    }
    // One page a day for each snapshot.
    world.paged("damaged-page").await;
    let pages = world.pages("ProofFailed").await;
    assert_eq!(pages.len(), DAMAGED.len());
    assert!(pages.iter().any(|page| page.to_string().contains("public.attachments")), "{pages:?}");
    // The damage was in the copies only.
    world.passes(&json!({"snapshot": SOUND})).await;
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_asks_rds_for_nothing() {
    let world = World::fresh().await;
    let before = world.cloud.last_call().await;
    let copy = world.copy("refused").await;
    for (facts, kind) in [
        (json!({"Status": "creating"}), "SnapshotCreating"),
        (json!({"Status": "failed"}), "SnapshotFailed"),
        (json!({"Status": "available", "Encrypted": false}), "SnapshotNotEncrypted"),
    ] {
        world.facts(&copy, facts).await;
        let cause = world.fails(&json!({"snapshot": copy}), kind).await;
        assert!(cause.contains(&copy), "{kind}: {cause}");
        let reported = world.cloud.messages(&format!("*{kind}*")).await;
        assert!(reported.len() == 1 && reported[0].contains("aws "), "{kind}: {reported:?}");
    }
    let share = world.cloud.rds.modify_db_snapshot_attribute().db_snapshot_identifier(&copy);
    share.attribute_name("restore").values_to_add("all").send().await.unwrap();
    world.facts(&copy, json!({"Encrypted": true})).await;
    world.fails(&json!({"snapshot": copy}), "SnapshotShared").await;
    world.fails(&json!({"snapshot": "moveongs-dev-absent"}), "SnapshotNotFound").await;
    world.fails(&json!({}), "NoSnapshot").await;
    world.fails(&json!({"region": "eu-west-1"}), "RegionNotConfigured").await;
    world.fails(&json!({"snapshot": "a b"}), "InvalidEvent").await;
    let used = world.cloud.rds.describe_db_instances().send().await.unwrap().db_instances().len();
    world.orders(json!({"instances": used})).await;
    world.fails(&json!({"snapshot": SOUND}), "InstanceQuotaExceeded").await;
    assert_eq!(world.asked(before).await, 0);
    world.orders(json!({"instances": 40})).await;

    // RDS's own refusals, after the checks.
    world.orders(json!({"storage": 0})).await;
    world.fails(&json!({"snapshot": SOUND}), "StorageQuotaExceeded").await;
    world.orders(json!({"storage": 100_000})).await;
    for (code, kind) in [
        ("InsufficientDBInstanceCapacity", "InsufficientCapacity"),
        ("KMSKeyNotAccessibleFault", "KeyNotAccessible"),
        ("DBSubnetGroupDoesNotCoverEnoughAZs", "NetworkRefused"),
        ("StorageTypeNotSupported", "ParametersRefused"),
    ] {
        let refused = json!({"service": "rds", "action": "RestoreDBInstanceFromDBSnapshot", "effect": "error", "status": 400, "code": code});
        world.cloud.fault(refused).await;
        world.fails(&json!({"snapshot": SOUND}), kind).await;
        world.paged(kind).await;
    }
    world.forget(&copy).await;
}

#[tokio::test]
async fn one_test_runs_at_a_time() {
    let world = World::fresh().await;
    world.based().await;
    world.orders(json!({"hold": true})).await;
    let first = world.cloud.start(MACHINE, &json!({"snapshot": SOUND})).await;
    eventually("the instance", async || world.scratch().await.pop()).await;
    let second = world.run(&json!({"snapshot": SOUND})).await;
    assert_eq!(second["error"], "RunInProgress", "{second}");
    assert_eq!(world.names().await.len(), 1);
    // The reaper leaves a run alone that goes on.
    world.reap().await;
    world.orders(json!({"hold": false})).await;
    let first = world.cloud.ended(&first).await;
    assert_eq!(first["status"], "SUCCEEDED", "{first}");
    assert_eq!(world.names().await, Vec::<String>::new());
}

/// RDS's states that a restore does not leave by itself.
const FAILURES: [&str; 10] = [
    "incompatible-restore",
    "failed",
    "incompatible-network",
    "incompatible-parameters",
    "incompatible-option-group",
    "storage-full",
    "inaccessible-encryption-credentials",
    "insufficient-capacity",
    "restore-error",
    "stopped",
];

#[tokio::test]
async fn an_instance_that_fails_is_removed_and_its_state_named() {
    let world = World::fresh().await;
    for place in matrix::turns(5).take_while(|place| *place < FAILURES.len()) {
        let status = FAILURES[place];
        world.orders(json!({"end": status})).await;
        let cause = world.fails(&json!({"snapshot": SOUND}), "InstanceFailed").await;
        assert!(cause.contains(&format!(" is {status}")), "{cause}");
        assert!(world.record().await.contains(&format!(" is {status}")), "{status}");
    }
    world.paged("InstanceFailed").await;
}

/// States in which an execution is stopped.
const STATES: [&str; 11] = [
    "Choose",
    "Restore",
    "WaitForInstance",
    "Watch",
    "Open",
    "WaitForPassword",
    "Read",
    "Source",
    "Remove",
    "WaitForRemoval",
    "Finish",
];

#[tokio::test]
async fn a_stopped_execution_leaves_nothing_in_any_state() {
    let world = World::fresh().await;
    for place in matrix::turns(4).take_while(|place| *place < STATES.len()) {
        let state = STATES[place];
        let execution = world.cloud.start(MACHINE, &json!({"snapshot": SOUND})).await;
        assert!(world.reaches(&execution, state).await, "{state} was not entered");
        world.stop(&execution).await;
        let ended = world.cloud.ended(&execution).await;
        let name = execution.as_str().unwrap().rsplit(':').next().unwrap();
        // Step Functions' event brings the reaper. It may come before an instance that the step was requesting, which
        // the hourly schedule then removes.
        if state == "Restore" {
            eventually("that the reaper finds nothing", async || {
                world.reap().await;
                world.names().await.is_empty().then_some(())
            })
            .await;
        }
        world.nothing_is_left().await;
        eventually(&format!("that {state} is cleaned up after"), async || {
            // An instance that RDS has not shown yet may still appear, so the reaper keeps looking.
            let is_kept = world.reap().await["left"].to_string().contains(name);
            let is_reported = world.records().await.iter().any(|record| record.to_string().contains(name));
            (is_reported || is_kept || state == "Choose").then_some(())
        })
        .await;
        assert_eq!(world.names().await, Vec::<String>::new(), "{state}: {ended}");
        if state == "Choose" {
            // The step may have taken the place after the event. It is free again after `restores.silent_minutes`.
            world.cloud.idle(MACHINE).await;
            world.cloud.wipe("runs/restore-test/").await;
        }
    }
    world.based().await;
    world.passes(&json!({"snapshot": SOUND})).await;
}

#[tokio::test]
async fn the_reaper_removes_what_is_lost_and_nothing_else() {
    let world = World::fresh().await;
    let in_an_hour = shared::runtime::time::now() + jiff::SignedDuration::from_hours(1);
    let (past, later) = ("2026-01-01T00:00:00Z", in_an_hour.to_string());
    let name = |end: &str| format!("{SCRATCH}{end}");
    let (others, young) = (name("0000others"), name("0000young"));
    let persons = BY_HAND.to_owned();
    let (protected, stopped) = (name("protected"), name("stopped"));
    // Later than any test's deadline.
    let eternal = name("0000eternal");
    world.lost(&eternal, "restore-test", "2099-01-01T00:00:00Z", false).await;
    world.lost(&others, "terraform", past, false).await;
    world.lost(&persons, "restore-test", past, false).await;
    world.lost(&young, "restore-test", &later, false).await;
    world.lost(&protected, "restore-test", past, true).await;
    world.lost(&stopped, "restore-test", past, true).await;
    for one in [&others, &persons, &young, &protected, &stopped] {
        world.available(one).await;
    }
    world.cloud.rds.stop_db_instance().db_instance_identifier(&stopped).send().await.unwrap();
    world.has_status(&stopped, "stopped").await;
    let before = world.cloud.last_call().await;
    eventually("that the lost ones are gone", async || {
        world.reap().await;
        let names = world.names().await;
        let lost = [&protected, &stopped, &eternal];
        (!lost.into_iter().any(|one| names.contains(one))).then_some(())
    })
    .await;
    let mut left = world.names().await;
    left.sort();
    assert_eq!(left, [others.clone(), young.clone()]);
    world.available(&persons).await;
    assert!(world.cloud.calls(before).await.0.contains(&"rds:StartDBInstance".to_owned()));
    for one in [&protected, &stopped, &eternal] {
        world.paged(&format!("/{one}/Outlived")).await;
        let reported = world.cloud.messages(one).await;
        assert!(reported.len() == 1 && reported[0].contains("*Outlived*"), "{one}: {reported:?}");
    }
    // The role itself can delete none of the others.
    let key = world.cloud.own_role().await;
    let own = world.cloud.rds.config().to_builder().credentials_provider(key).build();
    let own = aws_sdk_rds::Client::from_conf(own);
    for one in [&others, &persons, &INSTANCE.to_owned()] {
        let refused =
            own.delete_db_instance().db_instance_identifier(one).skip_final_snapshot(true).send().await;
        let refused = refused.unwrap_err().into_service_error();
        assert_eq!(refused.meta().code(), Some("AccessDenied"), "{one}");
    }
    for one in [&persons, &others, &young] {
        let delete = world.cloud.rds.delete_db_instance().db_instance_identifier(one);
        delete.skip_final_snapshot(true).send().await.unwrap();
    }
    world.nothing_is_left().await;
}

#[tokio::test]
async fn a_baseline_is_read_once_per_snapshot_and_the_tests_own_events_start_nothing() {
    let world = World::fresh().await;
    world.based().await;
    world.cloud.snapshot_events(true).await;
    world.cloud.baseline_events(true).await;
    let executions = async || {
        let listed = world.cloud.states("ListExecutions", json!({"stateMachineArn": MACHINE})).await;
        listed["executions"].as_array().unwrap().len()
    };
    let first = executions().await;
    world.take("moveongs-dev-based").await;
    world.cloud.idle(MACHINE).await;
    let baselines = async || {
        let records = world.records().await;
        records
            .iter()
            .filter(|one| one.to_string().contains("baseline for the snapshot moveongs-dev-based"))
            .count()
    };
    eventually("a baseline", async || (baselines().await > 0).then_some(())).await;
    world.cloud.idle(MACHINE).await;
    // RDS's event about the beginning and that about the end may both be early enough.
    let read = baselines().await;
    assert!((1..=2).contains(&read) && executions().await == first + 2, "{read}");
    // The same event again.
    let arn = "arn:aws:rds:us-east-1:000000000000:snapshot:moveongs-dev-based";
    let event = json!({"detail-type": "RDS DB Snapshot Event", "source": "aws.rds", "resources": [arn],
        "detail": {"SourceIdentifier": "moveongs-dev-based", "Message": "Manual snapshot created."}});
    let again = world.run(&event).await;
    assert_eq!((&again["status"], baselines().await), (&json!("SUCCEEDED"), read), "{again}");

    // A whole test, whose instance causes events of its own.
    let (runs, before) = (executions().await, world.cloud.last_call().await);
    world.passes(&json!({"snapshot": "moveongs-dev-based"})).await;
    world.cloud.idle(MACHINE).await;
    assert_eq!((executions().await, baselines().await), (runs + 1, read));
    let calls = world.cloud.admin(Method::GET, &format!("calls?after={before}"), None).await;
    let mut calls = calls["calls"].as_array().unwrap().iter();
    assert!(calls.all(|call| call["caller"] != "lambda:moveongs-dev-snapshot-verify"));
    world.cloud.snapshot_events(false).await;
    world.forget("moveongs-dev-based").await;
}

#[tokio::test]
async fn a_copy_in_another_region_is_tested_there() {
    let world = World::fresh().await;
    world.based().await;
    let region = aws_sdk_rds::config::Region::new(AWAY);
    let away = aws_sdk_rds::Client::from_conf(world.cloud.rds.config().to_builder().region(region).build());
    let name = "moveongs-dev-copy-of-sound";
    let copy = away.copy_db_snapshot().target_db_snapshot_identifier(name);
    let copy =
        copy.source_db_snapshot_identifier(format!("arn:aws:rds:us-east-1:000000000000:snapshot:{SOUND}"));
    copy.kms_key_id("arn:aws:kms:sa-east-1:000000000000:key/copies").send().await.unwrap();
    eventually("the copy", async || {
        let found = away.describe_db_snapshots().db_snapshot_identifier(name).send().await.unwrap();
        (found.db_snapshots()[0].status() == Some("available")).then_some(())
    })
    .await;
    world.orders(json!({"hold": true})).await;
    let execution = world.cloud.start(MACHINE, &json!({"region": AWAY})).await;
    let there = async || {
        let all = away.describe_db_instances().send().await.unwrap().db_instances.unwrap();
        all.into_iter().any(|one| one.db_instance_identifier().unwrap().starts_with(SCRATCH))
    };
    eventually("an instance in the other region", async || there().await.then_some(())).await;
    assert_eq!(world.names().await, Vec::<String>::new());
    world.orders(json!({"hold": false})).await;
    let ended = world.cloud.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended} {}", world.record().await);
    assert!(!there().await && world.record().await.contains(name));
    away.delete_db_snapshot().db_snapshot_identifier(name).send().await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_refused_with_what_to_do_by_hand() {
    let world = World::fresh().await;
    cluster::make(&world.cloud).await;
    let own = world.cloud.variables().await;
    let mut variables = own.clone();
    variables.insert("DATABASE_INSTANCE_ID".to_owned(), MEMBER.to_owned());
    world.cloud.set_variables(variables).await;
    let refused = world.run(&json!({})).await;
    world.cloud.set_variables(own).await;
    assert_eq!(refused["error"], "ClusterNotSupported", "{refused}");
    let reported = world.cloud.messages("*ClusterNotSupported*").await;
    let snapshot = world.cloud.rds.create_db_cluster_snapshot().db_cluster_identifier(CLUSTER);
    snapshot.db_cluster_snapshot_identifier("moveongs-dev-of-cluster").send().await.unwrap();
    let newest = Advice::of(&reported[0]).run(&world.cloud, "describe-db-cluster-snapshots");
    cluster::remove(&world.cloud).await;
    assert!(newest.contains("moveongs-dev-of-cluster"), "{newest}: {reported:?}");
}

#[tokio::test]
async fn what_a_message_advises_cures() {
    let world = World::fresh().await;
    world.based().await;
    // A removal that takes too long: the instance is deleted by hand, and the next test has its place.
    world.cloud.ended_events(false).await;
    world.cloud.set_policy(&json!({"restores": {"removal": {"every_seconds": 1, "times": 2}}})).await;
    let refused = json!({"service": "rds", "action": "DeleteDBInstance", "count": 0, "effect": "error", "status": 400, "code": "InvalidDBInstanceState"});
    world.cloud.fault(refused).await;
    let ended = world.run(&json!({"snapshot": SOUND})).await;
    assert_eq!(ended["error"], "RemovalSlow", "{ended}");
    assert_eq!(world.names().await.len(), 1);
    world.cloud.admin(Method::DELETE, "faults", None).await;
    let message = world.cloud.messages("delete-db-instance").await.pop().expect("an advice");
    Advice::of(&message).run(&world.cloud, "delete-db-instance");
    world.nothing_is_left().await;
    world.cloud.forget_policy().await;
    world.reap().await;

    // A snapshot that every account may restore.
    let copy = world.copy("advised").await;
    world.facts(&copy, json!({"Encrypted": false})).await;
    let share = world.cloud.rds.modify_db_snapshot_attribute().db_snapshot_identifier(&copy);
    share.attribute_name("restore").values_to_add("all").send().await.unwrap();
    world.facts(&copy, json!({"Encrypted": true})).await;
    world.fails(&json!({"snapshot": copy}), "SnapshotShared").await;
    let message = world.cloud.messages("*SnapshotShared*").await.pop().unwrap();
    Advice::of(&message).run(&world.cloud, "modify-db-snapshot-attribute");
    world.passes(&json!({"snapshot": copy})).await;
    world.forget(&copy).await;

    // A manual snapshot whose name the role may not restore: its copy is tested.
    let other = "before-a-migration";
    let copy = world.cloud.rds.copy_db_snapshot().source_db_snapshot_identifier(SOUND);
    copy.target_db_snapshot_identifier(other).send().await.unwrap();
    world.is_made(other).await;
    world.fails(&json!({"snapshot": other}), "SnapshotNameNotAllowed").await;
    let message = world.cloud.messages("*SnapshotNameNotAllowed*").await.pop().unwrap();
    let advice = Advice::of(&message);
    advice.run(&world.cloud, "copy-db-snapshot");
    let started: Value = serde_json::from_str(&advice.run(&world.cloud, "start-execution")).unwrap();
    let ended = world.cloud.ended(&started["executionArn"]).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended} {}", world.record().await);
    let allowed = format!("moveongs-dev-{other}");
    assert!(world.record().await.contains(&allowed));
    for name in [other, allowed.as_str()] {
        world.forget(name).await;
    }
}

#[tokio::test]
async fn a_topic_or_channel_that_fails_hides_nothing() {
    let world = World::fresh().await;
    world.cloud.deny("slack", "chat.postMessage").await;
    world.cloud.deny("sns", "Publish").await;
    world.orders(json!({"end": "incompatible-network"})).await;
    let ended = world.run(&json!({"snapshot": SOUND})).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    world.cloud.undelivered("InstanceFailed").await;
    assert_eq!(world.names().await, Vec::<String>::new());
    world.cloud.admin(Method::DELETE, "faults", None).await;
    // The reaper reports what the run could not.
    world.reap().await;
}

/// The points of a course: each changing call of AWS, the channel and the topic before and after its effect, and of
/// reads and of SQL the first and the last of each action.
fn points_of(log: &[Value]) -> Vec<Point> {
    let mut counts: BTreeMap<(String, String), (usize, bool)> = BTreeMap::new();
    for call in log {
        let text = |name: &str| call[name].as_str().unwrap().to_owned();
        let is_change = call["changes"].as_bool().unwrap() && call["service"] != "postgres";
        let count = counts.entry((text("service"), text("action"))).or_insert((0, is_change));
        count.0 += 1;
    }
    let mut points = Vec::new();
    for ((service, action), (count, is_change)) in counts {
        let places: BTreeSet<usize> = if is_change { (1..=count).collect() } else { [1, count].into() };
        for nth in places {
            let mut add = |when, effect| {
                points.push(Point { service: service.clone(), action: action.clone(), nth, when, effect });
            };
            if is_change {
                add("before", "kill");
                add("after", "kill");
            } else {
                add("after", "kill");
            }
            add("before", "error");
        }
    }
    points
}

/// One in so many points is tried in a run of the tests.
const SHARE: usize = 64;

#[tokio::test]
async fn every_crash_point_of_restore_test_recovers() {
    let world = World::fresh().await;
    let mut each = Vec::new();
    let mut all = 0;
    for (course, end) in [("sound", ""), ("failed", "incompatible-restore")] {
        world.orders(json!({"end": end})).await;
        world.based().await;
        let before = world.cloud.last_call().await;
        world.run(&json!({"snapshot": SOUND})).await;
        let path = format!("calls?after={before}&caller=lambda:{}", world.cloud.function());
        let log = world.cloud.admin(Method::GET, &path, None).await;
        let points = points_of(log["calls"].as_array().unwrap());
        assert!(points.len() > 40, "only {} points: {points:?}", points.len());
        all += points.len();
        for place in matrix::turns(SHARE).take_while(|place| *place < points.len()) {
            let point = &points[place];
            let at = format!("{course}: {point:?}");
            world.cloud.calm().await;
            let records = world.records().await.len();
            world.cloud.fault(point.rule()).await;
            let ended = world.run(&json!({"snapshot": SOUND})).await;
            let hits = world.cloud.hits(point.effect).await;
            world.cloud.admin(Method::DELETE, "faults", None).await;
            if course == "failed" {
                assert_eq!(ended["error"], "InstanceFailed", "{at}: {ended}");
            }
            assert_eq!(world.names().await, Vec::<String>::new(), "{at}: {ended}");
            let recorded = world.records().await.len() - records;
            // A record that S3 refuses is in the log, whole; its metric has an alarm.
            let is_refused = point.effect == "error" && point.service == "s3";
            assert!(recorded == 1 || is_refused && recorded == 0, "{at}: {recorded} records: {ended}");
            assert_eq!(world.reap().await["reported"], json!([]), "{at}");
            let mut report = point.report();
            report["course"] = json!(course);
            report["hits"] = json!(hits);
            report["result"] = ended["error"].clone();
            report["end"] = json!("succeeded");
            each.push(report);
        }
    }
    world.orders(json!({"end": ""})).await;
    matrix::write("restore-test", &each, json!({"points_of_all_days": all}));
}
