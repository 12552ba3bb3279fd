//! The process dies after each call of AWS, which is before the next one. Whether the event is delivered again or the daily run
//! is next, each step has taken effect once.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::cloud::{Cloud, NOW};
use crate::{said, shadow, start, work};

/// What the function does when it dies.
#[derive(Clone, Copy, Debug)]
enum Case {
    Start,
    Shadow,
    /// The last item is said, so the checklist is complete.
    Complete,
    Change,
    Leave,
    Stay,
    Forget,
    Daily,
}

/// What comes after the death.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The same event, twice.
    Again,
    /// Nobody asks again.
    Daily,
}

/// Each case with the least number of its calls; the daily run is the last.
const CASES: [(Case, usize); 8] = [
    (Case::Start, 16),
    (Case::Shadow, 20),
    (Case::Complete, 20),
    (Case::Change, 16),
    (Case::Leave, 16),
    (Case::Stay, 16),
    (Case::Forget, 10),
    (Case::Daily, 20),
];

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing_and_doubles_nothing() {
    all(&CASES, Next::Again).await;
}

#[tokio::test]
async fn a_request_that_nobody_repeats_after_a_death_is_recorded_by_the_daily_run() {
    all(&CASES[..7], Next::Daily).await;
}

async fn all(cases: &[(Case, usize)], next: Next) {
    for (case, least) in cases {
        let mut deaths = 0;
        while one(*case, next, deaths + 1).await {
            deaths += 1;
        }
        assert!(deaths >= *least, "{case:?}: {deaths}");
    }
}

/// A cloud, an event, the records that there are before and those that it adds, and its time.
async fn prepared(case: Case) -> (Cloud, Value, Vec<String>, &'static [&'static str], &'static str) {
    let policy = json!({"onboarding": {"documents": [], "shadowing": ["rotation"], "forget_days": 1}});
    let cloud = Cloud::with(&[], policy);
    work(&cloud);
    cloud.access(&["bia.lima"], &["bia@example.org"]);
    if matches!(case, Case::Start) {
        return (cloud, start(), Vec::new(), &["begun"], NOW);
    }
    let id = cloud.one(start(), NOW).await.person;
    let rotation = shadow(&id, "rotate-random", "token-1");
    let leave = json!({"leave": {"person": id, "on": "2026-12-01"}});
    let (event, added, now): (_, &[&str], _) = match case {
        Case::Start | Case::Shadow => (rotation, &["ticked/shadow_rotation"], NOW),
        Case::Complete => {
            cloud.one(rotation, NOW).await;
            let last = said(&id, "local_environment", "Ana Souza");
            (last, &["ticked/local_environment", "completed"], NOW)
        }
        Case::Change => (json!({"change": {"person": id, "role": "Gerente"}}), &["changed/1"], NOW),
        Case::Leave => (leave, &["left/2026-12-01/1"], NOW),
        Case::Stay => {
            cloud.one(leave, NOW).await;
            (json!({"stay": {"person": id}}), &["stays/2"], NOW)
        }
        Case::Forget => {
            cloud.one(leave, NOW).await;
            cloud.access(&[], &[]);
            (json!({"forget": {"person": id}}), &["forgotten"], NOW)
        }
        // It deletes the data of one person, and finds another one's checklist complete.
        Case::Daily => {
            cloud.one(leave, NOW).await;
            let mut other = start();
            for (field, value) in [("name", "Rui Reis"), ("iam_user", "rui"), ("grafana_login", "rui")] {
                other["start"][field] = value.into();
            }
            cloud.access(&[], &[]);
            let other = cloud.one(other, NOW).await.person;
            for event in
                [said(&other, "local_environment", "Ana Souza"), shadow(&other, "rotate-random", "token-1")]
            {
                cloud.one(event, NOW).await;
            }
            cloud.access(&["rui"], &["rui"]);
            (json!({}), &["completed", "forgotten"], "2026-12-02T12:45:00Z")
        }
    };
    let before = cloud.steps();
    (cloud, event, before, added, now)
}

/// Sends one event to a function that dies at a call. Returns whether it died.
async fn one(case: Case, next: Next, number: usize) -> bool {
    let (cloud, event, before, added, now) = prepared(case).await;
    let about = format!("{case:?} {number}, then {next:?}");
    let people = || -> Value {
        let text = cloud.people.objects().into_values().next();
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    };
    let known = people()["people"].clone();
    {
        let mut state = cloud.state.lock().unwrap();
        state.death = Some(state.calls + number);
    }
    let died = AssertUnwindSafe(cloud.ask(event.clone(), now)).catch_unwind().await.is_err();
    cloud.state.lock().unwrap().death = None;
    let has_effect = people()["people"] != known;
    let then = if matches!(next, Next::Again) { event } else { json!({}) };
    for _ in 0..2 {
        cloud.ask(then.clone(), now).await.unwrap();
    }
    let mut expected = before;
    if has_effect || matches!(next, Next::Again) {
        expected.extend(added.iter().map(|step| (*step).to_owned()));
    }
    let mut steps = cloud.steps();
    steps.sort();
    expected.sort();
    assert_eq!(steps, expected, "{about}");
    assert_eq!(people()["unreported"].as_array().map_or(0, Vec::len), 0, "{about}");
    let ids: Vec<_> = cloud.records().into_iter().map(|record| record["run_id"].clone()).collect();
    assert_eq!(
        ids.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(),
        ids.len(),
        "{about}: {ids:?}"
    );
    // Pages of one problem are one page to whoever receives them.
    let published = cloud.state.lock().unwrap().published.clone();
    let problem = |body: &String| body.split("AccessRemains%2F").nth(1)?.split('%').next().map(str::to_owned);
    let problems: BTreeSet<_> = published.iter().map(|body| problem(body).unwrap()).collect();
    match case {
        Case::Leave if matches!(next, Next::Again) || has_effect => assert_eq!(problems.len(), 1, "{about}"),
        _ => assert!(problems.len() <= 1, "{about}: {problems:?}"),
    }
    if matches!(case, Case::Forget | Case::Daily) && steps.iter().any(|step| step == "forgotten") {
        assert!(!format!("{:?}", cloud.people.objects()).contains("Bia"), "{about}");
    }
    died
}
