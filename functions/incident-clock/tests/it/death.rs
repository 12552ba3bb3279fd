//! The process dies at each call, before or after it has effect. The next sweeps do what is left: nothing is lost, and
//! nothing is done twice.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use incident::{Action, SensitiveData};
use serde_json::json;
use shared::testing::table::Fault;

use crate::cloud::{Cloud, ID, at, incident};

/// Everything is due at once: a reminder, the checklist of the LGPD, the case, a mail to the customers. Returns whether the
/// process died at the call.
async fn dies(number: usize, fault: Fault) -> bool {
    let cloud = Cloud::new(json!({
        "support": {"plan": "paid"},
        "customers": {"addresses": ["a@moveongs.example"]},
    }));
    let mut all = incident();
    all.sensitive_data = Some(SensitiveData { is_compromised: true, at: at(29), ..SensitiveData::default() });
    cloud.store(&all);
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(move |call, _, _| (call == number).then_some(fault)));
    });
    let died = AssertUnwindSafe(cloud.stream(at(30))).catch_unwind().await.is_err();
    cloud.fake.with(|state| state.fault = None);
    for minutes in [35, 39] {
        // A claim whose holder died ends after three minutes.
        cloud.sweep(at(minutes)).await.unwrap();
    }
    let about = format!("{number} {fault:?}");
    let told = cloud.told(Action::Reminded);
    let count = |mark: &str| told.iter().filter(|entry| entry.text.starts_with(mark)).count();
    assert_eq!((count("🔔"), count("⚖️"), count("☎️")), (1, 1, 0), "{about}: {told:?}");
    assert_eq!((cloud.cases().len(), cloud.told(Action::SupportCase).len()), (1, 1), "{about}");
    assert_eq!(cloud.told(Action::CustomersTold).len(), 1, "{about}");
    assert!(cloud.bucket.objects().contains_key(&format!("lgpd/{ID}.md")), "{about}");
    assert!(cloud.waiting().iter().any(|name| name.ends_with("-40")), "{about}: {:?}", cloud.waiting());
    died
}

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing_and_doubles_nothing() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let mut deaths = 0;
        for number in 0.. {
            if !dies(number, fault).await {
                break;
            }
            deaths += 1;
        }
        assert!(deaths >= 15, "{deaths}");
    }
}
