//! The clock in the local cloud: its schedules, its sweep, the case of AWS Support and the register of the LGPD, with IAM
//! enforced. No clock is moved: a test makes an incident older, as the account's root.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::now;

use crate::cloud::{Cloud, eventually};
use crate::incidents::{Incident, Pager, alarm, delivery, notification, sample};
use crate::matrix::{Kill, points_and_reads, write};

const GROUP: &str = "moveongs-dev-incidents";

/// The pager, and the clock, which only the test wakes.
struct World {
    pager: Pager,
    clock: Cloud,
}

/// An instant some minutes ago, as JSON.
fn ago(minutes: i64) -> Value {
    json!(now() - SignedDuration::from_mins(minutes))
}

impl World {
    async fn new(policy: &Value) -> Self {
        let world = Self { pager: Pager::held().await, clock: Cloud::connect("incident-clock").await };
        world.clear().await;
        if !policy.is_null() {
            world.pager.policy(&json!({"incidents": policy})).await;
        }
        // It keeps the policy of the test before.
        world.clock.restart().await;
        world
    }

    /// Neither incidents, schedules, cases nor registers.
    async fn clear(&self) {
        self.pager.reset().await;
        self.clock.admin(Method::DELETE, "scheduler/once", Some(json!({"group": GROUP}))).await;
        self.clock.admin(Method::DELETE, "support/cases", None).await;
    }

    /// An incident that somebody has taken, which began some minutes ago.
    async fn incident(&self, name: &str, minutes: i64) -> Incident {
        let message = alarm(&format!("moveongs-dev-{name}"), "ALARM", "OK", now()).to_string();
        let event = delivery(&[notification(name, &message, None).to_string()]);
        self.pager.intake(&event).await.unwrap();
        self.edit("STATE", |body| {
            body["state"] = json!("acknowledged");
            for field in ["first_at", "paged_at", "acknowledged_at"] {
                body[field] = ago(minutes);
            }
        })
        .await;
        self.pager.incident().await
    }

    /// Changes the body of an item of the only incident.
    async fn edit(&self, sk: &str, change: impl FnOnce(&mut Value)) {
        let items = self.pager.items().await;
        let own = |item: &&Value| item["sk"] == sk && item["pk"].as_str().unwrap().starts_with("INCIDENT#");
        let item = items.iter().find(own).unwrap_or_else(|| panic!("{sk}: {items:?}"));
        let mut body = item["body"].clone();
        change(&mut body);
        let key = json!({"pk": {"S": item["pk"]}, "sk": {"S": sk}});
        let update = json!({"Key": key, "UpdateExpression": "SET body = :body",
            "ExpressionAttributeValues": {":body": {"S": body.to_string()}}});
        self.pager.table("UpdateItem", update).await;
    }

    /// Ends the claim of a dead attempt at a case, as after three minutes.
    async fn expire_claim(&self) {
        let has = |item: &Value| item["sk"] == "CLOCK" && !item["body"]["support"]["claimed_at"].is_null();
        if self.pager.items().await.iter().any(has) {
            self.edit("CLOCK", |body| body["support"]["claimed_at"] = ago(4)).await;
        }
    }

    async fn stream(&self, id: &str) -> Result<Value, Value> {
        let mut event = sample("incident-clock/stream");
        let keys = json!({"pk": {"S": format!("INCIDENT#{id}")}, "sk": {"S": "STATE"}});
        event["Records"][0]["dynamodb"]["Keys"] = keys;
        self.clock.invoke(event).await
    }

    async fn sweep(&self) -> Result<Value, Value> {
        self.clock.invoke(sample("incident-clock/sweep")).await
    }

    /// The kinds of the schedules that wait, and their number.
    async fn waiting(&self) -> Vec<String> {
        let route = format!("scheduler/once?group={GROUP}");
        let answer = self.clock.admin(Method::GET, &route, None).await;
        let names = answer["schedules"].as_array().unwrap().iter();
        names.map(|one| one["name"].as_str().unwrap()[22..].to_owned()).collect()
    }

    async fn fire(&self, name: &str) {
        let rule = json!({"group": GROUP, "name": name});
        self.clock.admin(Method::POST, "scheduler/fire", Some(rule)).await;
    }

    async fn cases(&self) -> Vec<Value> {
        self.clock.admin(Method::GET, "support/cases", None).await["cases"].as_array().unwrap().clone()
    }

    /// Texts of the timeline that begin with a mark.
    async fn said(&self, mark: &str) -> usize {
        let incident = self.pager.incident().await;
        let texts = incident.lines.iter().map(|line| line["text"].as_str().unwrap_or_default());
        texts.filter(|text| text.starts_with(mark)).count()
    }
}

#[tokio::test]
async fn a_schedule_reminds_the_commander_and_a_lost_one_is_repaired() {
    let world = World::new(&Value::Null).await;
    let incident = world.incident("reminder", 0).await;
    world.stream(&incident.id).await.unwrap();
    let waiting = world.waiting().await;
    assert!(waiting.iter().any(|name| name.starts_with("update-") && name.ends_with("-30")), "{waiting:?}");
    assert!(waiting.contains(&"support-1".to_owned()), "{waiting:?}");
    // Overtaken: it fires too early, and nothing is due.
    world.fire("*-update-*").await;
    eventually("the schedule to be gone", async || (world.waiting().await.len() == 1).then_some(())).await;
    assert_eq!(world.said("🔔").await, 0);
    // Half an hour later, by another schedule, with the role that the template gives it.
    world.edit("STATE", |body| body["paged_at"] = ago(31)).await;
    world.fire("*-support-1").await;
    eventually("the reminder", async || (world.said("🔔").await == 1).then_some(())).await;
    let reminded = world.pager.incident().await;
    assert_eq!(reminded.row("slack#commander")["wanted"], reminded.body["version"]);
    assert_eq!(reminded.body["version"].as_u64(), incident.body["version"].as_u64().map(|one| one + 1));
    // All schedules are lost: the sweep makes them again, and says so.
    world.clock.admin(Method::DELETE, "scheduler/once", Some(json!({"group": GROUP}))).await;
    let swept = world.sweep().await.unwrap();
    assert_eq!(swept["done"], 0, "{swept}");
    assert!(swept["repaired"].as_u64() >= Some(1), "{swept}");
    assert!(world.waiting().await.iter().any(|name| name.ends_with("-40")), "{:?}", world.waiting().await);
    assert_eq!(world.sweep().await.unwrap(), json!({"done": 0, "scheduled": 0, "repaired": 0}));
    world.clear().await;
}

#[tokio::test]
async fn the_stream_wakes_it_also_when_each_record_comes_twice() {
    let world = World::new(&json!({"customers": {"addresses": ["clientes@moveongs.example"]}})).await;
    world.clock.admin(Method::POST, "queues", Some(json!({"deliver": 2}))).await;
    world.clock.wake("incident-clock", true).await;
    world.incident("stream", 45).await;
    eventually("everything that is due", async || {
        (world.said("🔔").await == 1 && world.pager.incident().await.count_of("customers_told") == 1)
            .then_some(())
    })
    .await;
    world
        .edit("STATE", |body| {
            (body["state"], body["resolved_at"]) = (json!("resolved"), ago(20));
        })
        .await;
    eventually("the post-mortem's schedule", async || {
        world.waiting().await.iter().any(|name| name.starts_with("postmortem-")).then_some(())
    })
    .await;
    world.clock.wake("incident-clock", false).await;
    world.clock.admin(Method::POST, "queues", Some(json!({"deliver": 1}))).await;
    assert_eq!(world.said("🔔").await, 1);
    world.clear().await;
}

#[tokio::test]
async fn a_case_is_opened_once_also_if_the_answer_is_lost() {
    let world = World::new(&json!({"support": {"plan": "paid"}, "update_minutes": 0})).await;
    let incident = world.incident("case", 61).await;
    let lost = json!({"service": "support", "action": "CreateCase", "when": "after", "effect": "drop"});
    world.clock.fault(lost).await;
    let failed = world.stream(&incident.id).await.unwrap_err();
    assert_eq!(failed["errorType"], "SupportCall", "{failed}");
    world.stream(&incident.id).await.unwrap();
    assert_eq!(world.cases().await.len(), 1, "the claim holds");
    world.expire_claim().await;
    world.sweep().await.unwrap();
    let [case] = world.cases().await.try_into().unwrap();
    assert!(case["subject"].as_str().unwrap().starts_with(&incident.id), "{case}");
    assert_eq!(case["severityCode"], "urgent");
    assert_eq!(world.pager.incident().await.count_of("support_case"), 1);
    // Without the plan that the policy speaks of, a person gets the checklist.
    world.clear().await;
    world.clock.admin(Method::POST, "support/plan", Some(json!({"subscribed": false}))).await;
    let incident = world.incident("no-plan", 61).await;
    world.stream(&incident.id).await.unwrap();
    assert_eq!((world.said("☎️").await, world.cases().await.len()), (1, 0));
    world.clear().await;
}

#[tokio::test]
async fn compromised_data_starts_the_register_and_the_register_stops_the_clock() {
    let world = World::new(&json!({"update_minutes": 0})).await;
    let incident = world.incident("data", 5).await;
    world.edit("STATE", |body| {
        body["sensitive_data"] = json!({"is_compromised": true, "by": "Ana", "reason": "", "at": ago(1), "known_since": ago(1)});
    })
    .await;
    world.stream(&incident.id).await.unwrap();
    assert_eq!((world.said("⚖️").await, world.said("☎️").await), (1, 1));
    let page = world.clock.text(&format!("lgpd/{}.md", incident.id)).await;
    assert!(page.contains(&incident.id) && page.contains("Ana"), "{page}");
    let mut request = sample("incident-clock/person-register");
    request["register"]["incident"] = json!(incident.id);
    let answer = world.clock.invoke(request).await.unwrap();
    assert_eq!((&answer["closed"], &answer["missing"]), (&json!(true), &json!([])), "{answer}");
    let page = world.clock.text(&format!("lgpd/{}.md", incident.id)).await;
    assert!(page.contains("412"), "{page}");
    let records = world.clock.evidence("incident-clock").await;
    let own: Vec<_> =
        records.iter().filter(|(_, record)| record["subject"] == incident.id.as_str()).collect();
    assert_eq!(own.len(), 2, "{own:?}");
    world
        .edit("STATE", |body| {
            let (at, known) = (ago(60 * 24 * 9), ago(60 * 24 * 9));
            (body["sensitive_data"]["at"], body["sensitive_data"]["known_since"]) = (at, known);
        })
        .await;
    // Another knowledge is another clock: the checklist again.
    world.stream(&incident.id).await.unwrap();
    assert!(world.said("⚖️").await >= 2);
    let refused = world
        .clock
        .invoke(
            json!({"register": {"incident": "INC-20261130-AAAAAAAA", "by": "Ana", "facts": {"people": 1}}}),
        )
        .await;
    assert_eq!(refused.unwrap_err()["errorType"], "NoIncident");
    let refused = world.clock.invoke(json!({"register": {"incident": "x", "by": "Ana", "facts": {}}})).await;
    assert_eq!(refused.unwrap_err()["errorType"], "InvalidEvent");
    world.clear().await;
}

#[tokio::test]
async fn every_crash_point_of_incident_clock_recovers() {
    let policy =
        json!({"support": {"plan": "paid"}, "customers": {"addresses": ["clientes@moveongs.example"]}});
    let world = World::new(&policy).await;
    let points = points_and_reads(8, async |kill| course(&world, kill).await).await;
    write("incident-clock", &points, json!({}));
    world.clear().await;
}

/// Everything is due at once, and the clock is killed at a call; `None` when it makes fewer calls.
async fn course(world: &World, kill: Kill) -> Option<Value> {
    let (incident, killed, is_killed) = loop {
        world.clear().await;
        let incident = world.incident(&format!("matrix-{kill}"), 31).await;
        let at: Timestamp = now();
        world
            .edit("STATE", |body| {
                body["sensitive_data"] = json!({"is_compromised": true, "by": "Ana", "reason": "", "at": at})
            })
            .await;
        let before = world.clock.last_call().await;
        world.clock.fault(kill.rule()).await;
        let first = world.stream(&incident.id).await;
        let is_killed = world.clock.hits("kill").await > 0;
        let killed = world.clock.calls(before).await.0.last().cloned();
        assert!(is_killed || first.is_ok(), "{kill} ({killed:?}): {first:?}");
        if is_killed == first.is_err() {
            break (incident, killed, is_killed);
        }
        // It hit an invocation that was still at work for another test.
    };
    world.pager.calm().await;
    for _ in 0..2 {
        world.expire_claim().await;
        world.sweep().await.unwrap_or_else(|error| panic!("{kill} ({killed:?}): {error}"));
    }
    let told = world.pager.incident().await;
    let about = format!("{kill} ({killed:?}): {:?}", told.lines);
    let seen = [
        world.said("🔔").await,
        world.said("⚖️").await,
        told.count_of("support_case"),
        told.count_of("customers_told"),
    ];
    assert_eq!((seen, world.cases().await.len()), ([1; 4], 1), "{about}");
    assert!(!world.clock.text(&format!("lgpd/{}.md", incident.id)).await.is_empty(), "{about}");
    assert!(world.waiting().await.iter().any(|name| name.starts_with("update-")), "{about}");
    is_killed.then(|| json!({"operation": killed, "end": "succeeded"}))
}
