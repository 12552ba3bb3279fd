//! An execution is stopped in each state of the state machine, at its entry and while its function runs: CloudWatch counts
//! it and pages, the secrets name a database that is there, and another execution goes on.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::course::{LONG, Walk, attempt};
use super::world::{MACHINE, Pause, STARTER, Watcher, World};
use crate::cloud::eventually;
use crate::matrix;

/// The states on the long course, in an order in which each still comes after the one before it was resumed: a wait comes
/// before the choice that leads to it, because only a step's first call surely has to wait.
const COURSE: [&str; 34] = [
    "Open",
    "Continue",
    "Choices",
    "IsChosen",
    "AskChoice",
    "Restore",
    "WaitForInstance",
    "IsRestored",
    "Align",
    "WaitForSettings",
    "IsAligned",
    "Prove",
    "IsProved",
    "AskApproval",
    "Guard",
    "WaitForGuard",
    "IsGuarded",
    "Switch",
    "HasSwitched",
    "Migrate",
    "HasMigrated",
    "Fail",
    "CanGoOn",
    "AskRepair",
    "WaitForMigration",
    "Deploy",
    "WaitForRollout",
    "IsDeployed",
    "Smoke",
    "WaitForApplication",
    "IsWorking",
    "Hold",
    "Finish",
    "WaitToFinish",
];

/// The states after which nothing is left to go on with.
const LAST: [&str; 5] = ["HasEnded", "Closed", "Rejected", "Replaced", "Refused"];

/// Only an answer that the function does not give leads there.
const UNREACHED: [&str; 1] = ["Unexpected"];

/// One in so many stops is tried in a run of the tests.
const SHARE: usize = 6;

/// A stop: the state, and whether its function has been called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stop {
    state: &'static str,
    effect: &'static str,
}

/// The states of the definition, and those of them that call the function.
fn states() -> (BTreeSet<String>, BTreeSet<String>) {
    let definition = include_str!("../../../functions/emergency-restore/statemachine.asl.json");
    let definition: Value = serde_json::from_str(definition).unwrap();
    let all = definition["States"].as_object().unwrap();
    let tasks = all.iter().filter(|(_, state)| state["Type"] == "Task").map(|(name, _)| name.clone());
    (all.keys().cloned().collect(), tasks.collect())
}

impl World {
    async fn interrupt(&self, state: &str, effect: &str, count: usize) {
        let order = json!({"machine": MACHINE, "state": state, "effect": effect, "count": count});
        self.cloud.admin(Method::POST, "states/interruptions", Some(order)).await;
    }

    /// Arms a stop, and what leads to its state.
    async fn arm(&self, stop: Stop) {
        self.cloud.admin(Method::DELETE, "states/interruptions", None).await;
        self.interrupt(stop.state, stop.effect, 1).await;
        match stop.state {
            "WaitForApplication" => {
                let down = json!({"service": "moveongs", "action": "GET /health", "effect": "error", "status": 503, "code": "x"});
                self.cloud.fault(down).await;
            }
            // As often as the state machine tries it.
            "WaitToFinish" => self.interrupt("Finish", "refuse", 6).await,
            _ => {}
        }
    }

    /// Checks what holds after a stop.
    async fn is_stopped(&self, stop: Stop, ended: &Value, before: usize) {
        assert_eq!(ended["status"], "ABORTED", "{stop:?} was not reached: {ended}");
        assert_eq!(self.aborted().await, before + 1, "{stop:?}");
        self.somewhere().await;
    }
}

/// Walks the course; its execution is stopped at each of these, one after the other, and another one goes on.
async fn walk(world: &World, stops: &[Stop], ends: &mut Vec<Value>) {
    world.anew().await;
    let Some(first) = stops.first() else { return };
    let before = world.aborted().await;
    world.arm(*first).await;
    let mut walk = Walk::begin(world, &LONG).await;
    let mut goes_on = true;
    for (place, stop) in stops.iter().enumerate() {
        let ended = walk.on().await;
        world.is_stopped(*stop, &ended, before + place).await;
        if stop.state == "Open" && stop.effect == "stop-called" {
            // The function may still note the restore.
            let of = json!({"executionArn": walk.execution});
            eventually("the function's end", async || {
                let history = world.cloud.states("GetExecutionHistory", of.clone()).await;
                let events = history["events"].as_array().unwrap();
                events.iter().any(|event| event["type"] == "TaskSucceeded").then_some(())
            })
            .await;
        }
        match stops.get(place + 1) {
            Some(next) => world.arm(*next).await,
            None => drop(world.cloud.admin(Method::DELETE, "states/interruptions", None).await),
        }
        goes_on = walk.resume().await;
        if !goes_on && stop.state == "Open" {
            walk.begin_again().await;
            goes_on = true;
        }
        ends.push(json!({"state": stop.state, "stopped": stop.effect, "end": "succeeded"}));
    }
    // The stopped execution's function may close the restore before another one can take it over.
    if goes_on {
        let ended = walk.on().await;
        let is_closed = ended["error"] == "RestoreRefused" && world.open().await.is_null();
        assert!(ended["status"] == "SUCCEEDED" || is_closed, "{ended}");
    }
    walk.holds().await;
}

/// Stops an execution in one of its last states.
async fn last(world: &World, state: &'static str) {
    world.anew().await;
    let stop = Stop { state, effect: "stop" };
    let before = world.aborted().await;
    let chooses = |found: Pause| match found {
        Pause::Asks(state, open) => assert_eq!(state, "AskChoice", "{open}"),
        Pause::Ended(ended) => panic!("{ended}"),
    };
    match state {
        "HasEnded" | "Closed" => {
            world.arm(stop).await;
            let mut walk = Walk::begin(world, &LONG).await;
            let ended = walk.on().await;
            world.is_stopped(stop, &ended, before).await;
            assert!(!walk.resume().await, "it was closed");
            walk.holds().await;
        }
        "Rejected" => {
            let execution = world.begin(json!({"rehearsal": true})).await;
            chooses(world.pause(&execution).await);
            world.arm(stop).await;
            world.ordered("reject", STARTER, json!({})).await;
            world.is_stopped(stop, &world.cloud.ended(&execution).await, before).await;
            assert_eq!(world.open().await, Value::Null);
        }
        "Replaced" | "Refused" => {
            let first = world.begin(json!({"rehearsal": true})).await;
            chooses(world.pause(&first).await);
            let run = world.open().await["run"].clone();
            world.arm(stop).await;
            let (stopped, goes_on) = if state == "Replaced" {
                let next = world.cloud.start(MACHINE, &json!({"resume": run, "by": STARTER})).await;
                chooses(world.pause(&next).await);
                let expire = json!({"execution": first});
                world.cloud.admin(Method::POST, "states/expire", Some(expire)).await;
                (first, next)
            } else {
                (world.begin(json!({"rehearsal": true})).await, first)
            };
            world.is_stopped(stop, &world.cloud.ended(&stopped).await, before).await;
            // The open restore goes on as before.
            assert_eq!(world.open().await["run"], run);
            world.ordered("reject", STARTER, json!({})).await;
            assert_eq!(world.cloud.ended(&goes_on).await["status"], "SUCCEEDED");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_execution_stopped_in_any_state_is_told_and_resumed() {
    let (all, tasks) = states();
    let known: BTreeSet<String> =
        COURSE.iter().chain(&LAST).chain(&UNREACHED).map(|state| (*state).to_owned()).collect();
    assert_eq!(known, all, "left the table, right the definition");
    let world = World::fresh().await;
    LONG.prepare(&world).await;
    let watcher = Watcher::begin().await;

    let entered = COURSE.iter().chain(&LAST).map(|state| Stop { state, effect: "stop" });
    let called = COURSE.iter().filter(|state| tasks.contains(**state));
    let called = called.map(|state| Stop { state, effect: "stop-called" });
    let all: Vec<_> = entered.chain(called).collect();
    let turns: Vec<_> =
        matrix::turns(SHARE).take_while(|turn| *turn < all.len()).map(|turn| all[turn]).collect();
    let mut ends = Vec::new();
    for effect in ["stop", "stop-called"] {
        let stops = turns.iter().filter(|stop| stop.effect == effect && !LAST.contains(&stop.state));
        let stops: Vec<_> = stops.copied().collect();
        let before = ends.len();
        if let Err(why) = attempt(walk(&world, &stops, &mut ends)).await {
            let stop = stops[(ends.len() - before).min(stops.len() - 1)];
            ends.push(json!({"state": stop.state, "stopped": effect, "end": why}));
        }
    }
    for stop in turns.iter().filter(|stop| LAST.contains(&stop.state)) {
        let end = match attempt(last(&world, stop.state)).await {
            Ok(()) => "succeeded".to_owned(),
            Err(why) => why,
        };
        ends.push(json!({"state": stop.state, "stopped": stop.effect, "end": end}));
    }
    world.anew().await;
    watcher.end().await;
    // The alarm looks once a minute.
    let alarm = "moveongs-dev-emergency-restore-executions-aborted";
    let until = shared::runtime::time::now().as_second() + 60;
    let asked = json!({"alarms": [alarm], "until": until});
    assert_eq!(world.cloud.admin(Method::POST, "alarms", Some(asked)).await[alarm], "ALARM");
    world.paged(alarm).await;
    matrix::write_kinds("emergency-restore", [("stops", ends, json!({"of_all_days": all.len()}))]);
}
