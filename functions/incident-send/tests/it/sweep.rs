//! What a sweep finds: silent sources, and the synthetic event.

use std::sync::{Arc, Mutex};

use incident::signal::blank;
use incident::store::{Attribute, Attributes, Key, Write};
use incident::{Action, Change, Mute, Severity, Signal, Source, State};
use shared::testing::table::Fault;

use crate::cloud::{Cloud, seconds};

fn heard(cloud: &Cloud, name: &str, after: i64) {
    let mut item: Attributes = Key::heartbeat(name).attributes();
    item.insert("heard_at".to_owned(), Attribute::Number(seconds(after).as_millisecond()));
    cloud.put(&Write::Put { item, only_if: vec![] });
}

fn states(cloud: &Cloud) -> Vec<(String, String)> {
    let text = |incident: &serde_json::Value, name: &str| incident[name].as_str().unwrap().to_owned();
    cloud.fake.incidents().iter().map(|incident| (text(incident, "title"), text(incident, "state"))).collect()
}

#[tokio::test]
async fn a_source_that_falls_silent_is_one_incident_until_it_is_heard() {
    let cloud = Cloud::new("slack");
    cloud.sweep(0).await;
    assert!(states(&cloud).is_empty(), "never heard, never missed");
    heard(&cloud, "Watchdog", 0);
    heard(&cloud, "NotInThePolicy", -9_999);
    cloud.sweep(899).await;
    assert!(states(&cloud).is_empty());
    for after in [900, 960, 1_020] {
        cloud.sweep(after).await;
    }
    let title = "Watchdog em silêncio há mais de 15 min".to_owned();
    assert_eq!(states(&cloud), [(title.clone(), "triggered".to_owned())]);
    heard(&cloud, "Watchdog", 1_050);
    for after in [1_080, 1_140] {
        cloud.sweep(after).await;
    }
    assert_eq!(states(&cloud), [(title, "resolved".to_owned())]);
    assert_eq!(cloud.messages(), 1);
}

#[tokio::test]
async fn incidents_that_nobody_takes_cost_no_query_once_all_is_done_and_hold_up_no_chore() {
    let cloud = Cloud::new("slack");
    heard(&cloud, "Watchdog", -100);
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(cloud.signal_of(&format!("alarm-{number}"), "first", 0, Change::Triggered).await);
    }
    let mut escalated = 0;
    for after in [0, 60, 300, 360, 600, 660, 720, 780] {
        escalated += cloud.sweep(after).await.escalated;
    }
    assert_eq!(escalated, 24, "each to the second and to the backup, once");
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&asked);
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(move |_, call, body| {
            if call == "Query" && body["IndexName"].is_null() {
                kept.lock().unwrap().push(body["ExpressionAttributeValues"][":pk"]["S"].to_string());
            }
            None
        }));
    });
    cloud.sweep(840).await;
    let about = |asked: &[String]| ids.iter().filter(|id| asked.iter().any(|pk| pk.contains(*id))).count();
    assert_eq!(about(&asked.lock().unwrap()), 0);
    // A change of an incident is looked at anew.
    let changed = cloud.signal_of("alarm-0", "second", 850, Change::Triggered).await;
    cloud.sweep(900).await;
    assert_eq!((about(&asked.lock().unwrap()), changed.as_str()), (1, ids[0].as_str()));
    let title = "Watchdog em silêncio há mais de 15 min";
    assert!(states(&cloud).iter().any(|(found, _)| found == title), "{:?}", states(&cloud));
}

/// The synthetic event, as the intake reads it.
fn synthetic() -> Signal {
    let problem = "incident-send/synthetic/2026-11-29";
    Signal {
        change: Change::Triggered,
        changed_at: Some(seconds(1)),
        title: "[prod] Drill: incident-send".to_owned(),
        severity: Some(Severity::S2),
        labels: [("kind".to_owned(), "Drill".to_owned())].into(),
        owner: Some("Squad Infra".to_owned()),
        ..blank(Source::Page, problem.to_owned(), format!("page|{problem}|trigger|m"))
    }
}

#[tokio::test]
async fn the_synthetic_event_is_published_once_a_day_and_closed_when_it_is_back() {
    // It is 9:21 in São Paulo.
    let cloud = Cloud::with("slack", &[("SYNTHETIC_HOUR", "9")]);
    for after in [0, 60] {
        cloud.sweep(after).await;
    }
    let published = cloud.mails();
    assert_eq!(published.len(), 1, "{published:?}");
    let page = percent_encoding::percent_decode_str(&published[0]).decode_utf8().unwrap();
    assert!(
        page.contains("moveongs-prod-paging") && page.contains("incident-send/synthetic/2026-11-29"),
        "{page}"
    );
    assert!(page.contains("Drill"), "{page}");
    let id = cloud.store(&synthetic(), 61).await;
    cloud.stream(61).await;
    let (_, message) = &cloud.asked()[0];
    assert!(message.to_string().contains("SIMULADO") && !message.to_string().contains("<@"), "{message}");
    cloud.sweep(120).await;
    assert_eq!(cloud.incident(&id).state, State::Resolved);
    cloud.sweep(180).await;
    assert_eq!(cloud.mails().len(), 1);
    let note = cloud.fake.items().into_iter().find(|(key, _)| key.0 == "SYNTHETIC#2026-11-29").unwrap().1;
    assert!(note.contains_key("accepted_at") && note.contains_key("expires_at"), "{note:?}");
}

#[tokio::test]
async fn without_an_hour_there_is_no_synthetic_event() {
    let cloud = Cloud::new("slack");
    cloud.sweep(0).await;
    assert_eq!(cloud.mails().len(), 0);
    let early = Cloud::with("slack", &[("SYNTHETIC_HOUR", "10")]);
    early.sweep(0).await;
    assert_eq!(early.mails().len(), 0, "its hour has not come");
}

#[tokio::test]
async fn a_mute_that_ends_calls_the_person_on_call_again() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    let until = seconds(1_800);
    cloud.change(&id, |incident| {
        incident.muted = Some(Mute { by: "Bia".to_owned(), reason: "deploy".to_owned(), until });
        (incident.paged_at, incident.told_again_at) = (Some(until), Some(until));
        incident.untaken_since = Some(until);
    });
    cloud.sweep(1_799).await;
    assert_eq!(cloud.asked().len(), 1, "not before");
    cloud.sweep(1_800).await;
    cloud.stream(1_801).await;
    let asked = cloud.asked();
    let (_, reply) = asked.last().unwrap();
    assert!(reply["text"].as_str().unwrap().starts_with("🔊 Silêncio encerrado"), "{reply}");
    assert_eq!(reply["blocks"][0]["text"]["text"], "<@U00000ANA>");
    assert!(cloud.actions(&id).contains(&Action::Unmuted));
    assert_eq!(cloud.incident(&id).muted, None);
    // Once; then nobody takes it.
    assert_eq!(cloud.sweep(2_099).await.escalated, 0);
    assert_eq!(cloud.asked().len(), asked.len());
    assert_eq!(cloud.sweep(2_100).await.escalated, 1);
}

#[tokio::test]
async fn an_incident_that_cannot_be_written_holds_up_no_escalation_of_another() {
    let cloud = Cloud::new("slack");
    let muted = cloud.page(0).await;
    let waits = cloud.signal_of("other", "first", 0, Change::Triggered).await;
    cloud.stream(0).await;
    let until = seconds(240);
    cloud.change(&muted, |incident| {
        incident.muted = Some(Mute { by: "Bia".to_owned(), reason: "deploy".to_owned(), until });
        (incident.paged_at, incident.told_again_at) = (Some(until), Some(until));
        incident.untaken_since = Some(until);
    });
    let id = muted.clone();
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(move |_, call, body| {
            let is_refused = call == "TransactWriteItems" && body.to_string().contains(&id);
            is_refused.then_some(Fault::Refused)
        }));
    });
    let error = cloud.try_sweep(300).await.unwrap_err();
    assert_eq!(shared::runtime::failure::Failure::kind(&error), "TableCall");
    assert!(cloud.actions(&waits).contains(&Action::Escalated));
    assert!(cloud.incident(&muted).muted.is_some());
    cloud.fake.with(|state| state.fault = None);
    cloud.sweep(360).await;
    assert_eq!(cloud.incident(&muted).muted, None);
}

#[tokio::test]
async fn people_whom_no_channel_reaches_are_paged_once_one_does() {
    let policy = |bia: &str| {
        format!(
            r#"{{"incidents": {{
                "people": {{"Ana": {{"slack": "U00000ANA", "email": "ana@moveongs.example"}}, "Bia": {bia}}},
                "squads": {{"Squad Infra": {{"rotation": {{
                    "every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Ana"], "second": ["Bia"]
                }}}}}}
            }}}}"#
        )
    };
    let mut cloud = Cloud::new("ses");
    cloud.apply(&policy(r#"{"slack": "U00000BIA"}"#));
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    for after in [300, 360] {
        assert_eq!(cloud.sweep(after).await.escalated, 0);
    }
    cloud.apply(&policy(r#"{"slack": "U00000BIA", "email": "bia@moveongs.example"}"#));
    assert_eq!(cloud.sweep(420).await.escalated, 1);
    assert!(cloud.actions(&id).contains(&Action::Escalated));
    assert_eq!(cloud.sweep(480).await.escalated, 0, "once");
}
