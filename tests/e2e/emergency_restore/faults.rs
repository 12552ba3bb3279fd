//! Each outside call of two courses fails: the function dies after it, it answers with an error before its effect, and it
//! takes effect and its answer is lost. A walk of a course has one such failure in each state, which must be over before
//! the next one comes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::course::{Course, LONG, SHORT, Walk, attempt};
use super::world::{MACHINE, Watcher, World};
use crate::matrix::{self, Point};

/// One in so many walks of a course is tried in a run of the tests. Not a multiple of the number of courses, so that each
/// has its day.
const SHARE: usize = 15;

/// Statements that read, most of them the proof's.
const READS: [&str; 6] = ["SELECT", "WITH", "SHOW", "SET", "login", "BEGIN"];

/// The kinds of failure in the report, and the effects of the fault switches.
const KINDS: [(&str, &str); 3] = [("deaths", "kill"), ("errors before", "error"), ("lost answers", "drop")];

const COURSES: [&Course; 2] = [&SHORT, &LONG];

/// The tasks that wait for a person.
const WAITS: [&str; 4] = ["AskChoice", "AskApproval", "AskRepair", "Hold"];

/// A stay in a task of the state machine: its name, and how many waits in use have ended before; of the migration, how many
/// repairs.
type Stay = (String, usize);

/// The wait whose ends tell the stays in a task apart.
fn past(task: &str) -> &'static str {
    if task == "Migrate" { "AskRepair" } else { "Hold" }
}

/// The points of a course, by the stays in which they are: the number of a call counts from the stay's beginning. Each call
/// that changes something is followed by a death and by a lost answer; of the calls of one action in one stay, polls among
/// them, the first fails before its effect.
fn points_of(
    course: &Course,
    calls: &[Value],
    entered: &[(Timestamp, String)],
) -> BTreeMap<Stay, Vec<Point>> {
    let mut points = BTreeMap::<Stay, Vec<Point>>::new();
    let mut counts = BTreeMap::<(Stay, String, String), usize>::new();
    for call in calls {
        let text = |name: &str| call[name].as_str().unwrap().to_owned();
        let (service, action) = (text("service"), text("action"));
        let at: Timestamp = call["time"].as_str().unwrap().parse().unwrap();
        let mut tasks: Vec<&str> =
            entered.iter().take_while(|(from, _)| *from <= at).map(|(_, task)| task.as_str()).collect();
        // The answer that ends a wait may be logged after the next task has begun.
        while service == "states" && tasks.last().is_some_and(|task| !WAITS.contains(task)) {
            tasks.pop();
        }
        let Some(task) = tasks.last() else { continue };
        // A poll comes back to its task, and a wait that was not answered to itself.
        let wait = past(task);
        let ended = tasks.windows(2).filter(|pair| pair[0] == wait && pair[1] != wait).count();
        let stay: Stay = ((*task).to_owned(), ended);
        let nth = counts.entry((stay.clone(), service.clone(), action.clone())).or_default();
        *nth += 1;
        if !course.has_own(&stay.0, stay.1) {
            continue;
        }
        let is_read = if service == "postgres" {
            READS.contains(&action.as_str())
        } else {
            !call["changes"].as_bool().unwrap()
        };
        let point = |when, effect| Point {
            service: service.clone(),
            action: action.clone(),
            nth: *nth,
            when,
            effect,
        };
        let of_stay = points.entry(stay).or_default();
        if *nth == 1 {
            of_stay.push(point("before", "error"));
        }
        if !is_read {
            of_stay.extend([point("after", "kill"), point("after", "drop")]);
        }
    }
    points
}

/// The report's word for a point.
fn kind(point: &Point) -> &'static str {
    let found = KINDS.into_iter().find(|(_, effect)| *effect == point.effect);
    found.unwrap().0
}

/// Walks a course while calls fail, at most one in each stay. Returns the walk, and for each point whether its call came.
async fn walk<'a>(world: &'a World, course: &'a Course, points: &[(&Stay, &Point)]) -> (Walk<'a>, Vec<bool>) {
    world.anew().await;
    for ((task, ended), point) in points {
        let order = json!({"machine": MACHINE, "state": task, "effect": "fault", "past": past(task), "times": ended,
            "rule": world.cloud.rule(point.rule())});
        world.cloud.admin(Method::POST, "states/interruptions", Some(order)).await;
    }
    let mut walk = Walk::begin(world, course).await;
    walk.patience = points.len();
    let ended = walk.on().await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    let armed = world.cloud.admin(Method::GET, "states/interruptions", None).await["interruptions"].clone();
    let have_come = armed.as_array().unwrap().iter().map(|one| one["hits"].as_u64() > Some(0)).collect();
    world.cloud.admin(Method::DELETE, "faults", None).await;
    walk.holds().await;
    (walk, have_come)
}

/// The tasks of an execution, with the times at which it entered them.
async fn entered(world: &World, execution: &Value) -> Vec<(Timestamp, String)> {
    let asked = json!({"executionArn": execution, "maxResults": 1000});
    let history = world.cloud.states("GetExecutionHistory", asked).await;
    let events = history["events"].as_array().unwrap().iter();
    events
        .filter(|event| event["type"] == "TaskStateEntered")
        .map(|event| {
            let milliseconds = event["timestamp"].as_f64().unwrap() * 1e3;
            let at = Timestamp::from_millisecond(format!("{milliseconds:.0}").parse().unwrap()).unwrap();
            (at, event["stateEnteredEventDetails"]["name"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn every_failing_call_of_emergency_restore_recovers() {
    let world = World::fresh().await;
    let first = world.cloud.last_call().await;
    let watcher = Watcher::begin().await;
    let mut reports: BTreeMap<&str, Vec<Value>> =
        KINDS.into_iter().map(|(kind, _)| (kind, Vec::new())).collect();
    let (mut not_come, mut walks) = (Vec::new(), 0);
    // A walk is long: each course has its days.
    for course in matrix::turns(COURSES.len()).map_while(|turn| COURSES.get(turn).copied()) {
        course.prepare(&world).await;
        let before = world.cloud.last_call().await;
        let (undisturbed, _) = walk(&world, course, &[]).await;
        let path = format!("calls?after={before}&caller=lambda:{}", world.cloud.function());
        let log = world.cloud.admin(Method::GET, &path, None).await;
        let calls = log["calls"].as_array().unwrap();
        let points = points_of(course, calls, &entered(&world, &undisturbed.execution).await);
        let longest = points.values().map(Vec::len).max().unwrap_or_default();
        assert!(longest >= 10 && points.len() >= 6, "{}: too few points: {points:?}", course.name);
        // One walk has a point of each stay that still has one.
        for turn in matrix::turns(SHARE).take_while(|turn| *turn < longest) {
            let points: Vec<_> =
                points.iter().filter_map(|(stay, points)| Some((stay, points.get(turn)?))).collect();
            let walked = attempt(walk(&world, course, &points)).await;
            walks += 1;
            for (place, ((task, ended), point)) in points.iter().enumerate() {
                let mut report = point.report();
                report["course"] = json!(course.name);
                report["state"] = json!(task);
                report["orders"] = json!(ended);
                report["walk"] = json!(walks);
                report["end"] = match &walked {
                    // Polls differ from run to run, so a late call of a kind may not come.
                    Ok((_, have_come)) if !have_come[place] => {
                        not_come.push(report);
                        continue;
                    }
                    Ok((walk, _)) => {
                        report["repaired"] = json!(walk.repaired);
                        json!("succeeded")
                    }
                    Err(why) => json!(why),
                };
                reports.get_mut(kind(point)).unwrap().push(report);
            }
        }
    }
    world.anew().await;
    watcher.end().await;
    // The chain of the evidence has neither a gap nor a fork.
    world.records().await;
    let deleted = world.cloud.changes(first).await;
    assert!(!deleted.iter().any(|call| call.ends_with(":DeleteDBInstance")), "an instance was deleted");
    let tried: usize = reports.values().map(Vec::len).sum();
    let of = json!({"walks": walks, "calls_that_did_not_come": not_come});
    let kinds = reports.into_iter().map(|(kind, points)| (kind, points, of.clone()));
    matrix::write_kinds("emergency-restore", kinds);
    assert!(
        not_come.len() <= 2 + tried / 10,
        "{} calls of {tried} did not come: {not_come:?}",
        not_come.len()
    );
}
