//! `snapshot-create` against the local cloud, on a real instance: requested by a pipeline's shell, by its state machine
//! and directly; every refusal; the state after a crash or a second delivery.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, eventually};
use crate::cluster::{self, CLUSTER, MEMBER};
use crate::matrix;

const INSTANCE: &str = "moveongs-dev-db";
const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-snapshot-create";
const QUEUE: &str = "snapshot-create-pages";
/// Prefix of its snapshots' names.
const NAMES: &str = "moveongs-dev-20";

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
}

fn deploy(name: &str) -> Value {
    json!({"deploy": name, "reason": "Migração extensa; tabela enrollments", "by": "Ana Souza", "commit": "0f3c9a1"})
}

impl World {
    /// A world without snapshots of the function, records, notes or faults; the instance is available.
    async fn fresh() -> Self {
        let world = Self { pages: 0, cloud: Cloud::connect("snapshot-create").await };
        world.cloud.calm().await;
        world.cloud.snapshot_events(false).await;
        world.orders(json!({"fail": 0, "hold": false, "quota": 100})).await;
        world.cloud.idle(MACHINE).await;
        let state = world.state().await;
        if ["modifying", "stopped"].contains(&state.as_str()) {
            world.show("available").await;
        }
        world.available().await;
        world.clear().await;
        for prefix in ["evidence/snapshot-create/", "runs/snapshot-create/"] {
            world.cloud.wipe(prefix).await;
        }
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    /// Deletes the snapshots.
    async fn clear(&self) {
        for snapshot in self.snapshots().await {
            self.delete(snapshot.db_snapshot_identifier().unwrap()).await;
        }
    }

    async fn delete(&self, name: &str) {
        self.cloud.rds.delete_db_snapshot().db_snapshot_identifier(name).send().await.unwrap();
    }

    async fn orders(&self, orders: Value) {
        self.cloud.admin(Method::POST, "rds/snapshots", Some(orders)).await;
    }

    /// Sets the instance's status.
    async fn show(&self, status: &str) {
        let order = json!({"instance": INSTANCE, "status": status});
        self.cloud.admin(Method::POST, "rds/status", Some(order)).await;
    }

    async fn state(&self) -> String {
        let described = self.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await;
        described.unwrap().db_instances()[0].db_instance_status().unwrap().to_owned()
    }

    async fn available(&self) {
        eventually("an instance that is available", async || {
            (self.state().await == "available").then_some(())
        })
        .await;
    }

    /// The snapshots that the function could have made.
    async fn snapshots(&self) -> Vec<aws_sdk_rds::types::DbSnapshot> {
        let listed = self.cloud.rds.describe_db_snapshots().snapshot_type("manual").send().await.unwrap();
        let all = listed.db_snapshots.unwrap().into_iter();
        all.filter(|snapshot| snapshot.db_snapshot_identifier().unwrap().starts_with(NAMES)).collect()
    }

    /// Names of the snapshots of a deploy, by their tag.
    async fn of(&self, deploy: &str) -> Vec<String> {
        let of_deploy = |snapshot: &aws_sdk_rds::types::DbSnapshot| {
            snapshot.tag_list().iter().any(|tag| tag.key() == Some("Deploy") && tag.value() == Some(deploy))
        };
        let snapshots = self.snapshots().await.into_iter().filter(of_deploy);
        snapshots.map(|snapshot| snapshot.db_snapshot_identifier.unwrap()).collect()
    }

    /// Starts the state machine and waits for its end.
    async fn run(&self, input: &Value) -> Value {
        self.cloud.ended(&self.cloud.start(MACHINE, input).await).await
    }

    /// Runs the state machine for a deploy that may continue; returns the execution's output.
    async fn snapshot(&self, input: &Value) -> Value {
        let ended = self.run(input).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
        serde_json::from_str(ended["output"].as_str().unwrap()).unwrap()
    }

    /// Sends a direct request, which is refused with this kind, reported and paged; returns the message.
    async fn refused(&self, event: Value, kind: &str, part: &str) -> String {
        let name = event["deploy"].as_str().unwrap().to_owned();
        let error = self.cloud.invoke(event).await.unwrap_err();
        assert_eq!(error["errorType"], kind, "{error}");
        let reported = self.cloud.messages(&name).await;
        let reported: Vec<_> =
            reported.into_iter().filter(|message| message.contains(&format!("*{kind}*"))).collect();
        assert_eq!(reported.len(), 1, "{kind}: {reported:?}");
        assert!(
            reported[0].contains(part) && reported[0].contains("start-execution"),
            "{part}: {}",
            reported[0]
        );
        let page = self.paged(&format!("{name}/{kind}")).await;
        assert!(page.to_string().contains(part), "{part}: {page}");
        error["errorMessage"].as_str().unwrap().to_owned()
    }

    async fn pages(&self, about: &str) -> Vec<Value> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages.filter(|page| page.to_string().contains(about)).collect()
    }

    async fn paged(&self, about: &str) -> Value {
        eventually(&format!("a page about {about}"), async || self.pages(about).await.pop()).await
    }

    async fn records(&self) -> Vec<Value> {
        self.cloud.evidence("snapshot-create").await.into_iter().map(|(_, record)| record).collect()
    }

    /// Number of snapshots that the function has requested.
    async fn asked(&self, after: u64) -> usize {
        self.cloud.calls(after).await.0.iter().filter(|call| call.ends_with(":CreateDBSnapshot")).count()
    }
}

#[tokio::test]
async fn each_deploy_gets_one_snapshot_with_the_days_name_and_its_tags() {
    let world = World::fresh().await;
    let after = world.cloud.last_call().await;
    let first = world.snapshot(&deploy("first")).await;
    let name = first["snapshot"].as_str().unwrap();
    let day = name.strip_prefix("moveongs-dev-").unwrap();
    assert!(day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit()), "{name}");
    let arn = format!("arn:aws:rds:us-east-1:000000000000:snapshot:{name}");
    assert_eq!(
        (&first["status"], &first["arn"], &first["progress"], &first["size_gib"]),
        (&json!("available"), &json!(arn), &json!(100), &json!(20))
    );
    assert!(first["duration_seconds"].is_u64(), "{first}");
    let snapshots = world.snapshots().await;
    let tags: std::collections::BTreeMap<_, _> =
        snapshots[0].tag_list().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    let expires = tags["ExpiresOn"];
    assert!(expires.len() == 10 && expires > format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]).as_str());
    for (key, value) in [
        ("Project", "moveongs"),
        ("Environment", "dev"),
        ("ManagedBy", "snapshot-create"),
        ("Deploy", "first"),
        ("Reason", "Migração extensa tabela enrollments"),
        ("CreatedBy", "Ana Souza"),
        ("Commit", "0f3c9a1"),
    ] {
        assert_eq!(tags[key], value);
    }
    let reported = world.cloud.messages("Snapshot pronto").await;
    assert!(
        reported.len() == 1 && reported[0].contains("20 GiB") && reported[0].contains(expires),
        "{reported:?}"
    );
    assert!(reported[0].contains("Migração extensa; tabela enrollments"), "{reported:?}");
    let records = world.records().await;
    assert_eq!((records.len(), &records[0]["result"]), (1, &json!("succeeded")));
    assert_eq!(records[0]["subject"], arn);
    assert!(records[0]["steps"].to_string().contains("available, 20 GiB, "), "{}", records[0]);

    // The same deploy again, by another execution and directly.
    assert_eq!(world.snapshot(&deploy("first")).await, first);
    assert_eq!(world.cloud.invoke(deploy("first")).await.unwrap(), first);
    assert_eq!((world.snapshots().await.len(), world.asked(after).await), (1, 1));
    assert_eq!((world.cloud.messages("Snapshot pronto").await.len(), world.records().await.len()), (1, 1));

    // More deploys on the same day.
    for (deploy_name, expected) in [("second", format!("{name}-2")), ("third", format!("{name}-3"))] {
        assert_eq!(world.snapshot(&deploy(deploy_name)).await["snapshot"], expected);
    }
    assert_eq!(world.pages("snapshot-create").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_direct_request_is_answered_at_once() {
    let world = World::fresh().await;
    world.orders(json!({"hold": true})).await;
    let answer = world.cloud.invoke(deploy("direct")).await.unwrap();
    assert_eq!((&answer["status"], &answer["wait_seconds"]), (&json!("creating"), &json!(30)));
    let name = answer["snapshot"].as_str().unwrap();
    assert_eq!(world.of("direct").await, [name]);
    assert_eq!(world.cloud.invoke(deploy("direct")).await.unwrap()["status"], "creating");
    let reported = world.cloud.messages("Snapshot pedido").await;
    assert!(
        reported.len() == 1 && reported[0].contains("aws rds wait db-snapshot-available"),
        "{reported:?}"
    );
    world.orders(json!({"hold": false})).await;
    let answer = eventually("the snapshot", async || {
        let answer = world.cloud.invoke(deploy("direct")).await.unwrap();
        (answer["status"] == "available").then_some(answer)
    })
    .await;
    assert_eq!(answer["snapshot"], name);
    assert_eq!(world.cloud.messages("Snapshot pronto").await.len(), 1);
    assert_eq!(world.records().await.len(), 2);
}

#[tokio::test]
async fn a_snapshot_that_fails_stops_the_deploy_and_pages() {
    let world = World::fresh().await;
    world.orders(json!({"fail": 1})).await;
    let ended = world.run(&deploy("bad")).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("SnapshotFailed")), "{ended}");
    let name = world.of("bad").await.remove(0);
    assert!(ended["cause"].as_str().unwrap().contains(&name), "{ended}");
    let page = world.paged("SnapshotFailed").await;
    for part in [INSTANCE, "describe-events", &format!("delete-db-snapshot --db-snapshot-identifier {name}")]
    {
        assert!(page.to_string().contains(part), "{part}: {page}");
    }
    assert_eq!(world.cloud.messages("Snapshot falhou").await.len(), 1);
    let records = world.records().await;
    assert_eq!((records.len(), &records[0]["result"]), (1, &json!("failed")));
    assert!(records[0]["findings"].to_string().contains("SnapshotFailed"));

    // The same deploy gets no other snapshot and no second page.
    assert_eq!(world.run(&deploy("bad")).await["error"], "SnapshotFailed");
    let answer = world.cloud.invoke(deploy("bad")).await.unwrap();
    assert_eq!((&answer["status"], &answer["kind"]), (&json!("failed"), &json!("SnapshotFailed")));
    assert_eq!(world.snapshots().await.len(), 1);
    assert_eq!(world.cloud.messages("Snapshot falhou").await.len(), 1);
    assert_eq!(world.pages("SnapshotFailed").await.len(), 1);
    // The pipeline's next attempt gets one.
    assert_eq!(world.snapshot(&deploy("bad-2")).await["snapshot"], format!("{name}-2"));
}

#[tokio::test]
async fn a_snapshot_that_somebody_deletes_is_not_made_again() {
    let world = World::fresh().await;
    let name = world.snapshot(&deploy("gone")).await["snapshot"].as_str().unwrap().to_owned();
    world.delete(&name).await;
    let ended = world.run(&deploy("gone")).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("SnapshotDeleted")), "{ended}");
    assert!(world.paged("SnapshotDeleted").await.to_string().contains("cloudtrail lookup-events"));
    assert_eq!(world.snapshots().await.len(), 0);
    // Another deploy may get the name; the snapshot is still not the first deploy's.
    assert_eq!(world.snapshot(&deploy("later")).await["snapshot"], name);
    let answer = world.cloud.invoke(deploy("gone")).await.unwrap();
    assert_eq!((&answer["status"], &answer["kind"]), (&json!("deleted"), &json!("SnapshotDeleted")));
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_its_next_step() {
    let world = World::fresh().await;
    world.orders(json!({"quota": 0})).await;
    world.refused(deploy("quota"), "SnapshotQuotaExceeded", "sort_by(DBSnapshots,").await;
    let ended = world.run(&deploy("quota")).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("SnapshotQuotaExceeded")));
    assert!(ended["cause"].as_str().unwrap().contains("Cannot create more than 0"), "{ended}");
    world.orders(json!({"quota": 100})).await;
    let refuse = async |code: &str| {
        let fault = json!({"service": "rds", "action": "CreateDBSnapshot", "effect": "error", "status": 400, "code": code});
        world.cloud.fault(fault).await;
    };
    refuse("StorageQuotaExceeded").await;
    world.refused(deploy("storage"), "StorageQuotaExceeded", "Service Quotas").await;
    refuse("KMSKeyNotAccessibleFault").await;
    world.refused(deploy("key"), "KeyNotAccessible", "kms describe-key").await;
    refuse("AccessDenied").await;
    let denied = world.refused(deploy("denied"), "RdsCall", "IAM").await;
    assert!(denied.contains("rds:CreateDBSnapshot failed (AccessDenied)"), "{denied}");
    let mut absent = deploy("absent");
    absent["instance"] = json!("moveongs-dev-absent");
    world
        .refused(absent, "InstanceNotFound", "DBInstances[].[DBInstanceIdentifier,DBClusterIdentifier]")
        .await;
    let mut foreign = deploy("foreign");
    foreign["instance"] = json!("moveongs-prod-db");
    let foreign = world.refused(foreign, "NotOurs", "docs/backups.md").await;
    assert!(foreign.contains("must be moveongs-dev-db or begin with moveongs-dev-"), "{foreign}");
    world.show("stopped").await;
    world.refused(deploy("stopped"), "InstanceState", "start-db-instance").await;
    let ended = world.run(&deploy("stopped")).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("InstanceState")));
    world.show("available").await;
    assert_eq!(world.snapshots().await.len(), 0);
    // A refused request does not use up the deploy's snapshot.
    assert_eq!(world.snapshot(&deploy("quota")).await["status"], "available");
}

#[tokio::test]
async fn an_event_that_is_none_names_its_field() {
    let world = World::fresh().await;
    for (event, field) in [
        (json!({"deploy": "a b", "reason": "r", "by": "b"}), "field deploy"),
        (json!({"deploy": "d", "reason": "r"}), "missing field `by`"),
        (json!({"step": "create", "execution": "e", "input": {"deploy": "d"}}), "missing field `reason`"),
    ] {
        let error = world.cloud.invoke(event).await.unwrap_err();
        assert_eq!(error["errorType"], "InvalidEvent");
        assert!(error["errorMessage"].as_str().unwrap().contains(field), "{field}: {error}");
    }
    let error = world
        .cloud
        .invoke(json!({"step": "watch", "execution": "e", "input": deploy("never")}))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "NotAsked");
    // A state machine reports it, because no caller waits for the answer.
    let ended = world.run(&json!({"deploy": "d", "reason": "r", "by": "b", "wait": true})).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("InvalidEvent")));
    assert_eq!(world.cloud.messages("*InvalidEvent*").await.len(), 1);
    world.paged("InvalidEvent").await;
    assert_eq!(world.records().await.len(), 1);
}

#[tokio::test]
async fn an_instance_that_is_busy_is_waited_for_with_an_end() {
    let world = World::fresh().await;
    world.show("modifying").await;
    let execution = world.cloud.start(MACHINE, &deploy("busy")).await;
    eventually("a second request", async || (world.asked(0).await >= 2).then_some(())).await;
    world.show("available").await;
    let ended = world.cloud.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    world.available().await;

    world.show("modifying").await;
    let create =
        |poll: u16| json!({"step": "create", "execution": "e", "input": deploy("late"), "poll": poll});
    let answer = world.cloud.invoke(create(39)).await.unwrap();
    assert_eq!((&answer["status"], &answer["wait_seconds"]), (&json!("waiting"), &json!(30)));
    let error = world.cloud.invoke(create(40)).await.unwrap_err();
    assert_eq!(error["errorType"], "InstanceBusy");
    // A direct caller does not wait.
    let busy = world.refused(deploy("now"), "InstanceBusy", "DBInstanceStatus").await;
    assert!(busy.contains("is modifying"), "{busy}");
    world.show("available").await;
}

#[tokio::test]
async fn a_snapshot_that_takes_too_long_is_reported_and_can_be_waited_for_again() {
    let world = World::fresh().await;
    world.orders(json!({"hold": true})).await;
    let step = |name: &str, more: Value| {
        let mut event = json!({"step": name, "execution": "e", "input": deploy("slow")});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let created = world.cloud.invoke(step("create", json!({"poll": 1}))).await.unwrap();
    assert_eq!(created["status"], "creating");
    let watched = eventually("some progress", async || {
        let watched = world.cloud.invoke(step("watch", json!({"poll": 119}))).await.unwrap();
        (watched["progress"] == 30).then_some(watched)
    })
    .await;
    assert_eq!((&watched["status"], &watched["wait_seconds"]), (&json!("creating"), &json!(30)));
    let error = world.cloud.invoke(step("watch", json!({"poll": 120}))).await.unwrap_err();
    assert_eq!(error["errorType"], "SnapshotSlow");
    assert!(error["errorMessage"].as_str().unwrap().contains("at 30 % after 3600 s"), "{error}");
    let failure = json!({"failure": {"Error": "SnapshotSlow", "Cause": error.to_string()}});
    let finished = world.cloud.invoke(step("finish", failure)).await.unwrap();
    assert_eq!((&finished["status"], &finished["kind"]), (&json!("failed"), &json!("SnapshotSlow")));
    let name = created["snapshot"].as_str().unwrap();
    assert!(
        world.paged("SnapshotSlow").await.to_string().contains(&format!("--db-snapshot-identifier {name}"))
    );
    world.orders(json!({"hold": false})).await;
    let snapshot = world.snapshot(&deploy("slow")).await;
    assert_eq!((&snapshot["snapshot"], world.snapshots().await.len()), (&created["snapshot"], 1));
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_snapshot() {
    let world = World::fresh().await;
    let lose = json!({"service": "rds", "action": "CreateDBSnapshot", "effect": "drop", "when": "after"});
    // The SDK retries by itself.
    world.cloud.fault(lose.clone()).await;
    let lost = world.snapshot(&deploy("lost")).await;
    assert_eq!(world.snapshots().await.len(), 1);
    world.available().await;
    // RDS may instead report that the instance is not available while the snapshot is made.
    world.cloud.fault(lose).await;
    let busy = json!({"service": "rds", "action": "CreateDBSnapshot", "nth": 2, "effect": "error", "status": 400, "code": "InvalidDBInstanceState"});
    world.cloud.fault(busy).await;
    assert_eq!(world.cloud.invoke(deploy("lost-too")).await.unwrap()["status"], "creating");
    assert_eq!((world.of("lost-too").await.len(), world.snapshots().await.len()), (1, 2));
    world.available().await;
    // Without a note, the snapshot is found by its tag.
    world.cloud.wipe("runs/snapshot-create/").await;
    let found = world.cloud.invoke(deploy("lost")).await.unwrap();
    assert_eq!((&found["snapshot"], world.snapshots().await.len()), (&lost["snapshot"], 2));
}

#[tokio::test]
async fn of_two_deploys_that_want_one_name_each_gets_its_own() {
    let world = World::fresh().await;
    // The slower deploy has noted the name, and its run dies before the request to RDS.
    let kill = json!({"service": "rds", "action": "CreateDBSnapshot", "effect": "kill"});
    world.cloud.fault(kill).await;
    assert!(world.cloud.invoke(deploy("slower")).await.is_err());
    world.cloud.admin(Method::DELETE, "faults", None).await;
    let faster = world.snapshot(&deploy("faster")).await;
    let slower = world.snapshot(&deploy("slower")).await;
    let name = faster["snapshot"].as_str().unwrap();
    assert_eq!(slower["snapshot"], format!("{name}-2"));

    // Two deploys at the same time, each by two executions.
    let mut executions = Vec::new();
    for name in ["twin-a", "twin-b", "twin-a", "twin-b"] {
        executions.push(world.cloud.start(MACHINE, &deploy(name)).await);
    }
    for execution in executions {
        let ended = world.cloud.ended(&execution).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    }
    let mut names = [world.of("twin-a").await, world.of("twin-b").await].concat();
    names.sort();
    assert_eq!(names, [format!("{name}-3"), format!("{name}-4")]);
}

#[tokio::test]
async fn a_channel_topic_or_bucket_that_fails_hides_nothing() {
    let world = World::fresh().await;
    world.cloud.deny("slack", "chat.postMessage").await;
    world.cloud.deny("sns", "Publish").await;
    world.orders(json!({"fail": 1})).await;
    let ended = world.run(&deploy("unheard")).await;
    // The step `finish` is retried until its tries are used up.
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("PageFailed")), "{ended}");
    world.cloud.undelivered("SnapshotFailed").await;
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.available().await;
    // Without its note, a deploy could get two snapshots.
    let after = world.cloud.last_call().await;
    world.cloud.deny("s3", "*").await;
    let error = world.cloud.invoke(deploy("unnoted")).await.unwrap_err();
    assert_eq!(error["errorType"], "NoteFailed");
    assert_eq!((world.asked(after).await, world.of("unnoted").await.len()), (0, 0));
    assert_eq!(world.cloud.messages("*NoteFailed*").await.len(), 1);
    world.paged("NoteFailed").await;
}

/// Runs the shell of the pipeline's step from the operators' page.
fn pipeline(world: &World, attempt: &str) -> (bool, String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workflow = std::fs::read_to_string(root.join("docs/github-actions/snapshot.yml")).unwrap();
    let workflow: serde_yaml_ng::Value = serde_yaml_ng::from_str(&workflow).unwrap();
    let steps = workflow["jobs"]["snapshot"]["steps"].as_sequence().unwrap();
    let step = steps.iter().find(|step| step["id"] == "snapshot").unwrap();
    let mut names: Vec<_> =
        step["env"].as_mapping().unwrap().keys().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["BY", "COMMIT", "DEPLOY", "POLL_SECONDS", "REASON", "STATE_MACHINE_ARN"]);
    // The CLI's own script names its interpreter by a path, which may contain a space.
    let script = format!("aws() {{ python3 -m awscli \"$@\"; }}\n{}", step["run"].as_str().unwrap());
    let output = std::env::temp_dir().join(format!("snapshot-create-{}-{attempt}", std::process::id()));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).envs([
        ("STATE_MACHINE_ARN", MACHINE),
        ("DEPLOY", attempt),
        ("REASON", "Deploy de moveongs/api \"main\""),
        ("COMMIT", "0f3c9a1"),
        ("BY", "github-actions ana"),
        ("POLL_SECONDS", "0.1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_PAGER", ""),
        ("AWS_ENDPOINT_URL", world.cloud.facts["endpoint"].as_str().unwrap()),
        ("GITHUB_OUTPUT", output.to_str().unwrap()),
    ]);
    let ended = shell.output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let written = std::fs::read_to_string(&output).unwrap_or_default();
    let _ = std::fs::remove_file(&output);
    (ended.status.success(), said, written)
}

#[tokio::test]
async fn the_pipelines_step_gates_on_the_snapshot() {
    let world = World::fresh().await;
    let run = world.cloud.last_call().await;
    let attempt = |number: u32| format!("github-{run}-{number}");
    let (is_good, said, written) = pipeline(&world, &attempt(1));
    assert!(is_good, "{said}");
    let name = world.of(&attempt(1)).await.remove(0);
    assert_eq!(written, format!("snapshot={name}\n"));
    // The same attempt again finds its execution.
    assert_eq!(pipeline(&world, &attempt(1)).2, written);
    assert_eq!(world.snapshots().await.len(), 1);
    world.available().await;
    world.orders(json!({"fail": 1})).await;
    let (is_good, said, written) = pipeline(&world, &attempt(2));
    assert!(!is_good && written.is_empty(), "{said}");
    assert!(said.contains("::error::Sem snapshot: FAILED") && said.contains("SnapshotFailed"), "{said}");
}

/// The whole course by hand; each step `times` times. Returns the last answer.
async fn course(world: &World, deploy_name: &str, times: usize) -> Value {
    course_of(world, &deploy(deploy_name), times).await
}

async fn course_of(world: &World, input: &Value, times: usize) -> Value {
    let step = async |name: &str, poll: u16| {
        let mut answer = Value::Null;
        for _ in 0..times {
            let event = json!({"step": name, "execution": input["deploy"], "input": input, "poll": poll});
            answer = world.cloud.despite_death(event).await;
        }
        answer
    };
    eventually("that the instance takes it", async || {
        (step("create", 1).await["status"] != "waiting").then_some(())
    })
    .await;
    eventually("the snapshot's end", async || (step("watch", 1).await["status"] != "creating").then_some(()))
        .await;
    step("finish", 1).await
}

#[tokio::test]
async fn every_step_twice_is_the_same_as_once() {
    let world = World::fresh().await;
    let after = world.cloud.last_call().await;
    assert_eq!(course(&world, "twice", 2).await["status"], "available");
    assert_eq!((world.snapshots().await.len(), world.asked(after).await), (1, 1));
    assert_eq!((world.cloud.messages("twice").await.len(), world.records().await.len()), (1, 1));
    world.available().await;
    world.orders(json!({"fail": 1})).await;
    assert_eq!(course(&world, "twice-bad", 2).await["kind"], "SnapshotFailed");
    assert_eq!((world.snapshots().await.len(), world.cloud.messages("twice-bad").await.len()), (2, 1));
    world.paged("twice-bad").await;
    assert_eq!((world.pages("twice-bad").await.len(), world.records().await.len()), (1, 2));
}

/// The changing calls, with their minimum number in a successful and in a failing course. Other calls do not change the
/// world, so a death at one of them equals a death at one of these.
const WRITES: [(&str, &str, [usize; 2]); 4] = [
    ("s3", "PutObject", [5, 6]),
    ("rds", "CreateDBSnapshot", [1, 1]),
    ("slack", "chat.postMessage", [1, 1]),
    ("sns", "Publish", [0, 1]),
];

#[tokio::test]
async fn every_crash_point_of_snapshot_create_recovers() {
    let world = World::fresh().await;
    let mut points = Vec::new();
    for (service, action, least) in WRITES {
        for (fail, least) in [0, 1].into_iter().zip(least) {
            let of_call = matrix::points(least, async |kill| {
                let name = format!("crash-{service}-{fail}-{kill}");
                world.cloud.calm().await;
                world.available().await;
                world.orders(json!({"fail": fail})).await;
                let records = world.records().await.len();
                world.cloud.fault(kill.rule_of(service, action)).await;
                let end = course(&world, &name, 1).await;
                let rules = world.cloud.admin(Method::GET, "faults", None).await;
                assert_eq!(end["status"], if fail == 0 { "available" } else { "failed" }, "{name}: {end}");
                assert_eq!((world.of(&name).await.len(), world.snapshots().await.len()), (1, 1), "{name}");
                assert_eq!(world.records().await.len(), records + 1, "{name}");
                let reported = world.cloud.messages(&name).await.len();
                assert!((1..=2).contains(&reported), "{name}: reported {reported} times");
                if fail == 1 {
                    world.paged(&name).await;
                }
                let pages = world.pages(&name).await.len();
                assert!((fail..=2 * fail).contains(&pages), "{name}: {pages} pages");
                world.clear().await;
                // A death removes the rule.
                rules["rules"].as_array().unwrap().is_empty().then(|| {
                    json!({"operation": format!("{service}:{action}"),
                        "course": if fail == 0 { "available" } else { "failed" }, "end": "succeeded",
                        "reported": reported, "pages": pages})
                })
            });
            points.extend(of_call.await);
        }
    }
    world.orders(json!({"fail": 0})).await;
    matrix::write("snapshot-create", &points, json!({}));
}

fn of_member(deploy_name: &str) -> Value {
    let mut event = deploy(deploy_name);
    event["instance"] = json!(MEMBER);
    event
}

/// The case of tests/cases/11a-aurora-member.json.
#[tokio::test]
async fn of_a_clusters_member_the_clusters_snapshot_is_taken_once() {
    let world = World::fresh().await;
    cluster::make(&world.cloud).await;
    let case = cluster::case();
    let refused = world.cloud.rds.create_db_snapshot().db_instance_identifier(MEMBER);
    let refused = refused.db_snapshot_identifier("moveongs-dev-member").send().await.unwrap_err();
    assert_eq!(refused.into_service_error().meta().code(), case["_rds:CreateDBSnapshot"]["Code"].as_str());

    let first = world.snapshot(&of_member("of-member")).await;
    let name = first["snapshot"].as_str().unwrap();
    let arn = format!("arn:aws:rds:us-east-1:000000000000:cluster-snapshot:{name}");
    assert_eq!((&first["status"], &first["arn"]), (&json!("available"), &json!(arn)), "{first}");
    assert_eq!(first["size_gib"], Value::Null, "{first}");
    let made = cluster::snapshots(&world.cloud.rds).await;
    assert_eq!((made.len(), made[0].db_cluster_identifier()), (1, Some(CLUSTER)));
    let tag = |key: &str| made[0].tag_list().iter().find(|tag| tag.key() == Some(key)).unwrap().value();
    assert_eq!((tag("Project"), tag("Deploy")), (Some("moveongs"), Some("of-member")));
    assert!(tag("ExpiresOn").unwrap().starts_with("20"));
    let reported = world.cloud.messages("Snapshot pronto").await;
    assert!(reported.len() == 1 && reported[0].contains(&format!("Cluster `{CLUSTER}`")), "{reported:?}");
    assert_eq!(world.records().await[0]["subject"], arn);

    // The same deploy again, by the member and by its cluster.
    assert_eq!(world.snapshot(&of_member("of-member")).await, first);
    let mut by_cluster = deploy("of-member");
    by_cluster["cluster"] = json!(CLUSTER);
    assert_eq!(world.snapshot(&by_cluster).await["arn"], arn);
    assert_eq!(course_of(&world, &of_member("of-member-twice"), 2).await["status"], "available");
    assert_eq!(cluster::snapshots(&world.cloud.rds).await.len(), 2);
    assert_eq!(world.snapshots().await.len(), 0);
    assert_eq!(world.cloud.messages("of-member-twice").await.len(), 1);

    // RDS's refusals.
    cluster::show(&world.cloud, "upgrading").await;
    let answer = json!({"step": "create", "execution": "busy", "input": of_member("busy"), "poll": 1});
    assert_eq!(world.cloud.invoke(answer).await.unwrap()["status"], "waiting");
    world.refused(of_member("busy"), "ClusterBusy", "describe-db-clusters").await;
    cluster::show(&world.cloud, "stopped").await;
    world.refused(of_member("stopped"), "ClusterState", "start-db-cluster").await;
    let ended = world.run(&of_member("stopped")).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("ClusterState")));
    cluster::show(&world.cloud, "available").await;
    world.orders(json!({"quota": 0})).await;
    world.refused(of_member("quota"), "SnapshotQuotaExceeded", "sort_by(DBClusterSnapshots,").await;
    world.orders(json!({"quota": 100, "fail": 1})).await;
    let ended = world.run(&of_member("bad")).await;
    assert_eq!(ended["error"], "SnapshotFailed", "{ended}");
    let page = world.paged("bad/SnapshotFailed").await.to_string();
    assert!(page.contains("delete-db-cluster-snapshot --db-cluster-snapshot-identifier"), "{page}");
    cluster::remove(&world.cloud).await;
}

#[tokio::test]
async fn every_crash_point_of_a_clusters_snapshot_recovers() {
    let world = World::fresh().await;
    cluster::make(&world.cloud).await;
    let mut points = Vec::new();
    for (service, action, least) in [("s3", "PutObject", 5), ("rds", "CreateDBClusterSnapshot", 1)] {
        let of_call = matrix::points(least, async |kill| {
            let name = format!("crash-cluster-{service}-{kill}");
            world.cloud.calm().await;
            let records = world.records().await.len();
            world.cloud.fault(kill.rule_of(service, action)).await;
            let end = course_of(&world, &of_member(&name), 1).await;
            let rules = world.cloud.admin(Method::GET, "faults", None).await;
            assert_eq!(end["status"], "available", "{name}: {end}");
            let made = cluster::snapshots(&world.cloud.rds).await;
            assert_eq!((made.len(), world.records().await.len()), (1, records + 1), "{name}");
            let reported = world.cloud.messages(&name).await.len();
            assert!((1..=2).contains(&reported), "{name}: reported {reported} times");
            let made = made[0].db_cluster_snapshot_identifier().unwrap();
            let deleted = world.cloud.rds.delete_db_cluster_snapshot();
            deleted.db_cluster_snapshot_identifier(made).send().await.unwrap();
            rules["rules"].as_array().unwrap().is_empty().then(|| {
                json!({"operation": format!("{service}:{action}"),
                    "course": "available", "end": "succeeded", "reported": reported, "pages": 0})
            })
        });
        points.extend(of_call.await);
    }
    cluster::remove(&world.cloud).await;
    matrix::write("snapshot-create-cluster", &points, json!({}));
}

#[tokio::test]
async fn an_answer_of_rds_that_takes_long_is_waited_for_and_one_that_is_lost_looked_into() {
    let world = World::fresh().await;
    let after = world.cloud.last_call().await;
    // Slower than the time limit of all other calls.
    let slow = json!({"service": "rds", "action": "CreateDBSnapshot", "effect": "slow", "when": "after", "seconds": 11});
    world.cloud.fault(slow).await;
    let answer = world.cloud.invoke(deploy("slow")).await.unwrap();
    assert!(["creating", "available"].contains(&answer["status"].as_str().unwrap()), "{answer}");
    assert_eq!((world.of("slow").await.len(), world.asked(after).await), (1, 1));
    world.available().await;
    // RDS accepted each try, but no answer arrived.
    let lost = json!({"service": "rds", "action": "CreateDBSnapshot", "effect": "drop", "when": "after", "count": 0});
    world.cloud.fault(lost).await;
    let answer = world.cloud.invoke(deploy("lost")).await.unwrap();
    assert!(["creating", "available"].contains(&answer["status"].as_str().unwrap()), "{answer}");
    assert_eq!(world.of("lost").await.len(), 1);
    world.cloud.calm().await;
}
