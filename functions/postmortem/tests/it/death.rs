//! The process dies at each call of AWS, before or after the call has effect, and the event is delivered again: each step has
//! taken effect once.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::{Value, json};
use shared::testing::table::Fault;

use crate::cloud::{Cloud, ID, NOW};
use crate::{again, document, filled, state, stored, text};

/// Sends one event to a function that dies at a call, and again until it is done. Returns whether it died.
async fn dies(cloud: &Cloud, event: &Value, number: usize, fault: Fault) -> bool {
    let before = cloud.fake.with(|state| state.calls.len());
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(move |call, _, _| (call == before + number).then_some(fault)));
    });
    let died = AssertUnwindSafe(cloud.ask(event.clone(), NOW)).catch_unwind().await.is_err();
    cloud.fake.with(|state| state.fault = None);
    cloud.one(event.clone(), NOW).await;
    died
}

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing_and_doubles_nothing() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let mut deaths = 0;
        for number in 0.. {
            let cloud = stored();
            let mut died = Vec::new();
            let at = |what: &str| format!("{what}, call {number}, {fault:?}");
            died.push(dies(&cloud, &document(), number, fault).await);
            assert_eq!((cloud.told().len(), cloud.records().len()), (1, 1), "{}", at("begin"));
            let complete = filled(&cloud.document());
            died.push(dies(&cloud, &text(&complete), number, fault).await);
            assert_eq!((cloud.document(), cloud.records().len()), (complete, 2), "{}", at("text"));
            cloud.store(&again(20, 9));
            died.push(dies(&cloud, &document(), number, fault).await);
            assert_eq!((cloud.told().len(), cloud.records().len()), (2, 3), "{}", at("begin again"));
            assert!(cloud.document().contains("Faltava um índice."), "{}", at("begin again"));
            cloud.one(state("in_review"), NOW).await;
            died.push(dies(&cloud, &state("closed"), number, fault).await);
            assert_eq!((cloud.told().len(), cloud.records().len()), (4, 5), "{}", at("close"));
            let due = json!({"action": {"incident": ID, "number": 2, "due": "2026-12-20", "reason": "peça", "by": "Ana"}});
            died.push(dies(&cloud, &due, number, fault).await);
            let done = json!({"action": {"incident": ID, "number": 1, "done": true, "by": "Ana"}});
            died.push(dies(&cloud, &done, number, fault).await);
            assert_eq!((cloud.told().len(), cloud.records().len()), (4, 7), "{}", at("actions"));
            // The former day is the former day, however often it was asked for.
            let records = cloud.bucket.objects().into_values().collect::<String>();
            assert!(records.contains("2026-12-20 instead of 2026-12-04: peça"), "{}", at("due"));
            let count = died.iter().filter(|died| **died).count();
            if count == 0 {
                break;
            }
            deaths += count;
        }
        assert!(deaths >= 90, "{deaths}");
    }
}
