//! The process dies at each call of AWS, before or after the call has effect, and the event is delivered again: each step has
//! taken effect once.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::Value;
use shared::testing::table::Fault;

use crate::cloud::{Cloud, NOW};
use crate::{document, filled, state, stored, text};

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
            let died_begun = dies(&cloud, &document(), number, fault).await;
            assert_eq!((cloud.told().len(), cloud.records().len()), (1, 1), "{number} {fault:?}");
            cloud.one(text(&filled(&cloud.document())), NOW).await;
            cloud.one(state("in_review"), NOW).await;
            let died_closed = dies(&cloud, &state("closed"), number, fault).await;
            let told = cloud.told();
            assert_eq!((told.len(), cloud.records().len()), (3, 4), "{number} {fault:?}: {told:?}");
            if !died_begun && !died_closed {
                break;
            }
            deaths += usize::from(died_begun) + usize::from(died_closed);
        }
        assert!(deaths >= 30, "{deaths}");
    }
}
