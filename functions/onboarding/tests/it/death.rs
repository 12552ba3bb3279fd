//! The process dies after each call of AWS, which is before the next one, and the event is delivered again: each step has taken
//! effect once.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::cloud::{Cloud, NOW};
use crate::{said, shadow, start, work};

/// Sends one event to a function that dies at a call, and again until it is done. Returns whether it died.
async fn dies(cloud: &Cloud, event: &Value, now: &str, number: usize) -> bool {
    {
        let mut state = cloud.state.lock().unwrap();
        state.death = Some(state.calls + number);
    }
    let died = AssertUnwindSafe(cloud.ask(event.clone(), now)).catch_unwind().await.is_err();
    cloud.state.lock().unwrap().death = None;
    for _ in 0..2 {
        cloud.ask(event.clone(), now).await.unwrap();
    }
    died
}

fn is_day(record: &Value) -> bool {
    record["run_id"].as_str().unwrap().starts_with("2026-12-02/")
}

/// What the function does when it dies.
#[derive(Clone, Copy, Debug)]
enum Case {
    Start,
    Shadow,
    /// The last item is said, so the checklist is complete.
    Complete,
    Leave,
    Forget,
    Daily,
}

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing_and_doubles_nothing() {
    for (case, least) in [
        (Case::Start, 16),
        (Case::Shadow, 20),
        (Case::Complete, 20),
        (Case::Leave, 16),
        (Case::Forget, 10),
        (Case::Daily, 20),
    ] {
        let mut deaths = 0;
        while one(case, deaths + 1).await {
            deaths += 1;
        }
        assert!(deaths >= least, "{case:?}: {deaths}");
    }
}

async fn one(case: Case, number: usize) -> bool {
    let policy = json!({"onboarding": {"documents": [], "shadowing": ["rotation"], "forget_days": 1}});
    let cloud = Cloud::with(&[], policy);
    work(&cloud);
    cloud.access(&["bia.lima"], &["bia@example.org"]);
    let about = format!("{case:?} {number}");
    if matches!(case, Case::Start) {
        let died = dies(&cloud, &start(), NOW, number).await;
        assert_eq!(cloud.steps(), ["begun"], "{about}");
        return died;
    }
    let id = cloud.one(start(), NOW).await.person;
    let rotation = shadow(&id, "rotate-random", "token-1");
    let last = said(&id, "local_environment", "Ana Souza");
    let leave = json!({"leave": {"person": id, "on": "2026-12-01"}});
    match case {
        Case::Start => false,
        Case::Shadow => {
            let died = dies(&cloud, &rotation, NOW, number).await;
            assert_eq!(cloud.steps(), ["begun", "ticked/shadow_rotation"], "{about}");
            died
        }
        Case::Complete => {
            cloud.one(rotation, NOW).await;
            let died = dies(&cloud, &last, NOW, number).await;
            let expected = ["begun", "ticked/shadow_rotation", "ticked/local_environment", "completed"];
            assert_eq!(cloud.steps(), expected, "{about}");
            died
        }
        Case::Leave => {
            let died = dies(&cloud, &leave, NOW, number).await;
            assert_eq!(cloud.steps(), ["begun", "left/2026-12-01/1"], "{about}");
            died
        }
        Case::Forget => {
            cloud.one(leave, NOW).await;
            cloud.access(&[], &[]);
            let died = dies(&cloud, &json!({"forget": {"person": id}}), NOW, number).await;
            assert_eq!(cloud.steps(), ["begun", "left/2026-12-01/1", "forgotten"], "{about}");
            assert!(!format!("{:?}", cloud.people.objects()).contains("Bia"), "{about}");
            died
        }
        // It deletes the data of one person, and finds another one's checklist complete.
        Case::Daily => {
            cloud.one(leave, NOW).await;
            cloud.access(&["rui"], &["rui"]);
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
            let died = dies(&cloud, &json!({}), "2026-12-02T12:45:00Z", number).await;
            let steps = cloud.steps();
            let count = |what: &str| steps.iter().filter(|step| *step == what).count();
            assert_eq!((count("forgotten"), count("completed")), (1, 1), "{about}: {steps:?}");
            let days = cloud.records().into_iter().filter(is_day).count();
            assert_eq!(days, 1, "{about}");
            died
        }
    }
}
