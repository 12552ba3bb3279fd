//! `governance-report` on the local cloud, with IAM enforced: the page of real records, with its mail, its anchors and another
//! environment beside it; new evidence through the queue; damage, named and paged.

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::now;

use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::matrix::{Kill, points_and_reads, write};

const ANCHORS: &str = "governance-anchors";
const QUEUE: &str = "moveongs-dev-governance-report";
const OTHER: &str = "moveongs-staging-evidence-000000000000";

struct World {
    cloud: Cloud,
}

impl World {
    /// No evidence at all but a chain of the rotation audit's, made by that function.
    async fn fresh() -> Self {
        let cloud = Cloud::connect("governance-report").await;
        // A run that another test began would write of what is removed here: its messages leave the queue when it ends.
        let idle = eventually("no run for new evidence", async || {
            let ask = json!({"QueueUrl": cloud.queue_url(QUEUE), "AttributeNames": ["All"]});
            let answer = cloud.json_call("sqs", "AmazonSQS.GetQueueAttributes", ask).await;
            (answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0").then_some(())
        });
        idle.await;
        cloud.purge(QUEUE).await;
        for folder in ["evidence/", "runs/governance-report/", "runs/rotation-audit/", "report/", "metrics/"]
        {
            cloud.wipe(folder).await;
        }
        // What another test's chain began with.
        for begun in cloud.keys("runs/").await.iter().filter(|key| key.ends_with("/begun.json")) {
            cloud.wipe(begun).await;
        }
        clear(&cloud, ANCHORS).await;
        cloud.admin(Method::DELETE, "github/repository", None).await;
        let settings = json!({"may_write": true, "may_write_contents": true, "may_label": true});
        cloud.admin(Method::POST, "github/config", Some(settings)).await;
        let audit =
            cloud.lambda.invoke().function_name("moveongs-dev-rotation-audit").payload(b"{}".to_vec().into());
        let audited = audit.send().await.unwrap();
        assert_eq!(audited.function_error(), None);
        assert_eq!(cloud.evidence("rotation-audit").await.len(), 1);
        cloud.begin_long_ago("governance-report").await;
        Self { cloud }
    }

    async fn ask(&self, event: Value) -> Value {
        self.cloud.invoke(event.clone()).await.unwrap_or_else(|error| panic!("{event}: {error}"))
    }

    async fn page(&self) -> Value {
        self.cloud.json("report/controls.json").await.unwrap()
    }

    async fn state(&self, id: &str) -> String {
        let page = self.page().await;
        let row = page["controls"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
        row["state"].as_str().unwrap().to_owned()
    }

    /// The function's own records, but for the one that begins the chain long ago.
    async fn records(&self) -> usize {
        self.cloud.evidence("governance-report").await.len()
    }
}

/// Removes every version of a bucket's objects, and every delete marker.
async fn clear(cloud: &Cloud, bucket: &str) {
    loop {
        let listed = cloud.s3.list_object_versions().bucket(bucket).send().await.unwrap();
        let versions = listed.versions().iter().map(|one| (one.key(), one.version_id()));
        let all = versions.chain(listed.delete_markers().iter().map(|one| (one.key(), one.version_id())));
        let all: Vec<_> = all.collect();
        if all.is_empty() {
            break;
        }
        for (key, version) in all {
            let delete = cloud.s3.delete_object().bucket(bucket).key(key.unwrap());
            delete.version_id(version.unwrap()).send().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_page_shows_what_the_records_prove() {
    let world = World::fresh().await;
    let made_at = now() - SignedDuration::from_hours(1);
    let other = json!({"schema": 1, "made_at": made_at.to_string(), "environment": "staging",
        "controls": [{"id": "inventory", "state": "ok"}]});
    let put = world.cloud.s3.put_object().bucket(OTHER).key("report/controls.json");
    put.body(other.to_string().into_bytes().into()).send().await.unwrap();
    let mails = async || {
        let sent = world.cloud.admin(Method::GET, "ses/messages", None).await;
        sent.to_string().matches("controles provados").count()
    };
    let before = mails().await;
    let answer = world.ask(json!({})).await;
    assert_eq!(answer["page"], json!(format!("s3://{EVIDENCE}/report/index.html")));
    let page = world.page().await;
    let (key, _) = world.cloud.evidence("rotation-audit").await.remove(0);
    let planned =
        page["controls"].as_array().unwrap().iter().find(|row| row["id"] == "rotation-planned").unwrap();
    assert_eq!(planned["evidence"]["key"], json!(key));
    assert_eq!(planned["evidence"]["sha256"], json!(sha256(world.cloud.text(&key).await.as_bytes())));
    assert_ne!(planned["state"], "unknown", "{planned}");
    assert_eq!(world.state("evidence").await, "ok");
    assert_eq!(world.state("restore-test").await, "unknown");
    assert_eq!(page["environments"][0]["states"], json!({"inventory": "ok"}));
    // The stack's own functions and alarms.
    assert_eq!(page["cost"]["unread"], Value::Null, "{}", page["cost"]);
    assert!(page["cost"]["usd"].as_f64().unwrap() > 0.0, "{}", page["cost"]);
    let html = world.cloud.text("report/index.html").await;
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains(&key));
    // The heads stand in the other bucket, and in the repository.
    assert_eq!(page["has_anchors"], true);
    assert_eq!(page["anchors_unread"], json!([]), "{page}");
    let anchors = world.cloud.s3.list_objects_v2().bucket(ANCHORS).send().await.unwrap();
    assert_eq!(anchors.contents().len(), 1);
    // The manager has a mail, once.
    let sent = mails().await;
    assert!(sent > before, "{before} {sent}");
    world.ask(json!({})).await;
    assert_eq!((mails().await, world.records().await), (sent, 1));
}

#[tokio::test]
async fn new_evidence_makes_the_page_and_the_page_makes_no_other() {
    let world = World::fresh().await;
    world.ask(json!({})).await;
    let before = world.page().await["made_at"].clone();
    let put = async |name: &str| {
        let key = format!("evidence/rotation-audit/{name}.json");
        let put = world.cloud.s3.put_object().bucket(EVIDENCE).key(&key).body(b"{}".to_vec().into());
        put.send().await.unwrap();
        key
    };
    world.cloud.wake("governance-report", true).await;
    // A record that is damage: the run has another finding, and so a record of its own.
    put("9999999000").await;
    let ended = eventually("a new page, its record, and an empty queue", async || {
        let made = world.page().await["made_at"].clone();
        let is_over = world.records().await > 1 && world.cloud.queued(QUEUE).await.is_empty();
        (made != before && is_over).then_some(())
    });
    ended.await;
    world.cloud.wake("governance-report", false).await;
    let made = world.page().await["made_at"].clone();
    // Events come in order: with the next record's, that of its own record would be there.
    let key = put("9999998000").await;
    let told = eventually("the message of another record", async || {
        let told = world.cloud.queued(QUEUE).await;
        (!told.is_empty()).then_some(told)
    });
    let told = told.await;
    assert!(told.len() == 1 && told[0].to_string().contains(&key), "{told:?}");
    assert_eq!(world.page().await["made_at"], made);
    world.cloud.purge(QUEUE).await;
    world.cloud.wipe("evidence/rotation-audit/").await;
    world.cloud.wipe("runs/rotation-audit/").await;
}

#[tokio::test]
async fn an_altered_record_is_named_and_paged() {
    let world = World::fresh().await;
    world.ask(json!({})).await;
    let (key, record) = world.cloud.evidence("rotation-audit").await.remove(0);
    let altered = record.to_string().replace("rotation-audit", "rotation-audit ");
    let put = world.cloud.s3.put_object().bucket(EVIDENCE).key(&key).body(altered.into_bytes().into());
    put.send().await.unwrap();
    let answer = world.ask(json!({"verify": "all"})).await;
    assert_eq!(answer["paged"], json!(["governance-report/rotation-audit/EvidenceDamaged"]), "{answer}");
    assert_eq!(world.state("rotation-planned").await, "unknown");
    assert_eq!(world.state("evidence").await, "failing");
    let html = world.cloud.text("report/index.html").await;
    assert!(html.contains("Evidência danificada") && html.contains(&key));
    world.cloud.wipe("evidence/rotation-audit/").await;
    world.cloud.wipe("runs/rotation-audit/").await;
}

#[tokio::test]
async fn every_crash_point_ends_with_one_record_and_a_whole_page() {
    let points = points_and_reads(10, crash).await;
    write("governance-report", &points, json!({}));
}

/// Kills the function at a call; `None` when it makes fewer calls. Then the event is delivered twice.
async fn crash(kill: Kill) -> Option<Value> {
    let world = World::fresh().await;
    let (operation, answer) = kill.during(&world.cloud, &json!({})).await;
    world.cloud.calm().await;
    for _ in 0..2 {
        world.ask(json!({})).await;
    }
    let at = format!("{kill} ({operation:?})");
    assert_eq!(world.records().await, 1, "{at}");
    assert_eq!(world.state("evidence").await, "ok", "{at}: {}", world.page().await);
    for form in ["index.html", "controls.csv", "feed.atom"] {
        assert!(!world.cloud.text(&format!("report/{form}")).await.is_empty(), "{at} {form}");
    }
    answer.is_none().then(|| json!({"operation": operation, "end": "succeeded"}))
}
