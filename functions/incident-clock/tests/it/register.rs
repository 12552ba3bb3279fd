//! The clock and the register of the LGPD.

use incident::{Action, Incident, SensitiveData};
use incident_clock::{Answer, ClockError, Registered};
use serde_json::{Value, json};
use shared::runtime::failure::Failure as _;
use shared::testing::table::Fault;

use crate::cloud::{Cloud, ID, at, incident};

/// An incident of which Ana said at the third minute that personal data is compromised.
fn compromised() -> Cloud {
    let cloud = Cloud::new(json!({"update_minutes": 0, "support": {"severities": []}}));
    let mut data = incident();
    data.sensitive_data = Some(SensitiveData {
        is_compromised: true,
        by: "Ana".to_owned(),
        at: at(3),
        known_since: Some(at(3)),
        ..SensitiveData::default()
    });
    cloud.store(&data);
    cloud
}

async fn register(cloud: &Cloud, facts: Value, minutes: i64) -> Result<Registered, ClockError> {
    let event = json!({"register": {"incident": ID, "by": "Bia", "facts": facts}});
    match cloud.invoke(event, at(minutes)).await? {
        Answer::Registered(registered) => Ok(registered),
        other => panic!("{other:?}"),
    }
}

fn reminders(cloud: &Cloud) -> usize {
    cloud.told(Action::Reminded).iter().filter(|entry| entry.text.starts_with("⚖️")).count()
}

#[tokio::test]
async fn a_yes_begins_the_register_and_tells_the_term_at_once() {
    let cloud = compromised();
    cloud.stream(at(3)).await.unwrap();
    let told = cloud.told(Action::Reminded);
    assert!(told.iter().any(|entry| entry.text.contains("até 03/12/2026 (3 dias úteis")), "{told:?}");
    assert!(
        cloud.row("SEND#slack#commander").is_some() && cloud.row("SEND#slack#commander-backup").is_some()
    );
    let objects = cloud.bucket.objects();
    let page = &objects[&format!("lgpd/{ID}.md")];
    assert!(page.contains("2026-12-03") && page.contains("Ana"), "{page}");
    let records: Vec<_> =
        objects.iter().filter(|(key, _)| key.starts_with("evidence/incident-clock/")).collect();
    assert_eq!(records.len(), 1);
    assert!(
        records[0].1.contains(&format!("{ID}/lgpd/")) && records[0].1.contains("missing: circumstances"),
        "{}",
        records[0].1
    );
    // Twice is once.
    cloud.stream(at(4)).await.unwrap();
    assert_eq!(reminders(&cloud), 1);
    // The next morning's reminder comes also after the incident's end, by a sweep alone.
    cloud.change(|incident| {
        (incident.state, incident.resolved_at) = (incident::State::Resolved, Some(at(60)))
    });
    cloud.services.lock().unwrap().schedules.clear();
    cloud.sweep(at(24 * 60 + 1)).await.unwrap();
    assert_eq!(reminders(&cloud), 2);
}

#[tokio::test]
async fn a_bucket_that_fails_withholds_neither_the_term_nor_its_reminders() {
    let cloud = compromised();
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| {
            call.starts_with('/').then_some(Fault::Refused).filter(|_| !call.contains("schedules"))
        }));
    });
    let failed = cloud.stream(at(3)).await.unwrap_err();
    assert_eq!(failed.kind(), "RegisterNotWritten", "its alarm rings");
    let told = cloud.told(Action::Reminded);
    let told: Vec<_> = told.iter().filter(|entry| entry.text.starts_with("⚖️")).collect();
    assert!(told.len() == 1 && told[0].text.contains("registro ainda não foi aberto"), "{told:?}");
    // The next morning's reminder comes too; the checklist does not come again.
    cloud.sweep(at(24 * 60 + 1)).await.unwrap_err();
    assert_eq!(reminders(&cloud), 2);
    assert!(cloud.bucket.objects().is_empty());
    cloud.fake.with(|state| state.fault = None);
    cloud.sweep(at(24 * 60 + 6)).await.unwrap();
    let page = cloud.bucket.objects()[&format!("lgpd/{ID}.md")].clone();
    assert!(page.contains("2026-12-03"), "{page}");
    let objects = cloud.bucket.objects();
    cloud.sweep(at(24 * 60 + 11)).await.unwrap();
    assert_eq!((cloud.bucket.objects(), reminders(&cloud)), (objects, 2), "begun once");
}

#[tokio::test]
async fn a_yes_of_what_is_over_is_found_though_its_change_is_lost() {
    let cloud = compromised();
    cloud.change(|incident| {
        (incident.state, incident.resolved_at) = (incident::State::Resolved, Some(at(1)));
    });
    // Without the item that whoever said so wrote, nothing finds it.
    cloud.sweep(at(5)).await.unwrap();
    assert_eq!(reminders(&cloud), 0);
    cloud.put(&cloud.incident().watch());
    cloud.sweep(at(10)).await.unwrap();
    assert_eq!(reminders(&cloud), 1);
    register(&cloud, json!({"no_notice": "os dados estavam cifrados"}), 12).await.unwrap();
    let watched = || cloud.item("WATCH").unwrap().contains_key("open");
    assert!(watched());
    cloud.sweep(at(15)).await.unwrap();
    assert!(!watched(), "nothing is left to do");
    // A newer «yes» is watched anew, and an older look does not end that.
    let newer = Incident { version: cloud.incident().version + 1, ..cloud.incident() };
    cloud.put(&newer.watch());
    cloud.sweep(at(20)).await.unwrap();
    assert!(watched());
}

#[tokio::test]
async fn facts_are_added_and_both_notices_stop_the_reminders() {
    let cloud = compromised();
    cloud.stream(at(3)).await.unwrap();
    let notice = json!({"on": "2026-12-01", "what": "protocolo 1"});
    let first = register(&cloud, json!({"authority_notice": notice, "people": 3}), 100).await.unwrap();
    assert_eq!((first.is_closed, first.deadline.as_str()), (false, "2026-12-03"));
    assert_eq!(first.missing, ["circumstances", "data", "risk", "measures", "people_notice"]);
    let second = register(&cloud, json!({"people_notice": notice}), 110).await.unwrap();
    assert!(second.is_closed && second.page.ends_with(&format!("lgpd/{ID}.md")));
    assert!(cloud.told(Action::Note).iter().any(|entry| entry.text.contains("Bia")));
    // The same request again changes nothing, and stops nothing twice.
    register(&cloud, json!({"people_notice": notice}), 110).await.unwrap();
    assert_eq!(cloud.told(Action::Note).len(), 1);
    cloud.sweep(at(24 * 60 + 1)).await.unwrap();
    assert_eq!(reminders(&cloud), 1);
    assert!(cloud.bucket.objects()[&format!("lgpd/{ID}.md")].contains("2026-12-01: protocolo 1"));
}

#[tokio::test]
async fn a_reason_for_no_notice_stops_them_also_before_the_first_look() {
    let cloud = compromised();
    assert!(register(&cloud, json!({"no_notice": "os dados estavam cifrados"}), 4).await.unwrap().is_closed);
    cloud.stream(at(5)).await.unwrap();
    assert_eq!(reminders(&cloud), 0);
}

#[tokio::test]
async fn a_register_needs_an_incident_of_which_somebody_said_so() {
    let cloud = Cloud::new(json!({}));
    let missing = register(&cloud, json!({"people": 1}), 1).await;
    assert_eq!(missing, Err(ClockError::NoIncident(ID.to_owned())));
    cloud.store(&incident());
    let unsaid = register(&cloud, json!({"people": 1}), 1).await;
    assert_eq!(unsaid, Err(ClockError::NotCompromised(ID.to_owned())));
    assert!(cloud.bucket.objects().is_empty());
}
