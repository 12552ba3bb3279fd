//! The function against the wire protocols of AWS: real SDK, real signing, services in memory.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod case;
mod cloud;
mod death;
mod register;

use incident::{Action, Incident, Part, SensitiveData, Severity, State};
use incident_clock::{Answer, ClockError};
use serde_json::json;
use shared::testing::table::Fault;

use cloud::{Cloud, ID, NOW, at, incident};

fn looked(answer: Result<Answer, ClockError>) -> (usize, usize, usize) {
    match answer {
        Ok(Answer::Looked { done, scheduled, repaired }) => (done, scheduled, repaired),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_incident_has_its_schedules_and_a_missed_update_calls_the_commander_and_then_the_backup() {
    let cloud = Cloud::new(json!({}));
    cloud.store(&incident());
    assert_eq!(looked(cloud.stream(NOW).await), (0, 2, 0));
    let seconds = NOW.as_second();
    assert_eq!(cloud.waiting(), ["support-1".to_owned(), format!("update-{seconds}-30")]);
    // Twice is once.
    assert_eq!(
        looked(cloud.stream(NOW).await),
        (0, 2, 0),
        "another process asks again, and the names are taken"
    );
    assert_eq!(cloud.waiting().len(), 2);
    cloud.fire(at(30)).await;
    let reminded = cloud.told(Action::Reminded);
    assert_eq!(reminded.len(), 1);
    assert!(reminded[0].text.starts_with("🔔 Falta uma atualização"), "{}", reminded[0].text);
    let row = cloud.row("SEND#slack#commander").unwrap();
    assert_eq!((row.wanted, row.due), (4, Some(at(30))));
    assert_eq!(cloud.row("SEND#slack#post").unwrap().wanted, 4, "the message shows it");
    assert!(cloud.row("SEND#slack#commander-backup").is_none());
    assert_eq!(cloud.waiting(), ["support-1".to_owned(), format!("update-{seconds}-40")]);
    cloud.fire(at(40)).await;
    assert_eq!(cloud.row("SEND#sns#commander-backup").unwrap().wanted, 5);
    assert_eq!(cloud.row("SEND#slack#commander").unwrap().wanted, 4, "it was reminded at 30");
    // There is news: what fires for the old ones finds nothing due.
    cloud.change(|incident| (incident.updates, incident.updated_at) = (1, Some(at(45))));
    cloud.stream(at(45)).await.unwrap();
    cloud.fire(at(70)).await;
    assert_eq!(cloud.told(Action::Reminded).iter().filter(|entry| entry.text.starts_with("🔔")).count(), 2);
}

#[tokio::test]
async fn what_fires_twice_or_at_the_same_time_is_told_once() {
    let cloud = Cloud::new(json!({}));
    cloud.store(&incident());
    let timer = json!({"timer": {"incident": ID, "name": "x"}});
    let (first, second) = tokio::join!(cloud.invoke(timer.clone(), at(31)), cloud.invoke(timer, at(31)));
    assert_eq!(looked(first).0 + looked(second).0, 1);
    assert_eq!(cloud.told(Action::Reminded).len(), 1);
    let unknown = json!({"timer": {"incident": "INC-20261130-AAAAAAAA", "name": "x"}});
    assert_eq!(looked(cloud.invoke(unknown, at(31)).await), (0, 0, 0));
}

#[tokio::test]
async fn a_person_who_is_faster_than_the_reminder_is_not_reminded() {
    let cloud = Cloud::new(json!({}));
    cloud.store(&incident());
    // Between the look and its transaction, an update arrives.
    let mut newer = incident();
    (newer.version, newer.updates, newer.updated_at) = (4, 1, Some(at(30)));
    let other = Cloud::new(json!({}));
    other.store(&newer);
    let item = other.item("STATE").unwrap();
    cloud.fake.with(|state| {
        state.meanwhile = Some(Box::new(move |items| {
            items.insert((format!("INCIDENT#{ID}"), "STATE".to_owned()), item);
        }));
    });
    assert_eq!(looked(cloud.stream(at(30)).await).0, 0);
    assert_eq!(cloud.told(Action::Reminded).len(), 0);
}

#[tokio::test]
async fn the_sweep_repairs_what_is_missing_and_does_what_is_overdue() {
    let cloud = Cloud::new(json!({}));
    cloud.store(&incident());
    // Just opened: the stream may be about to bring it.
    assert_eq!(looked(cloud.sweep(at(1)).await), (0, 2, 0));
    cloud.services.lock().unwrap().schedules.clear();
    assert_eq!(looked(cloud.sweep(at(5)).await), (0, 2, 2), "both were lost");
    assert_eq!(looked(cloud.sweep(at(10)).await), (0, 0, 0));
    cloud.services.lock().unwrap().schedules.clear();
    let (done, scheduled, repaired) = looked(cloud.sweep(at(35)).await);
    assert_eq!((done, scheduled, repaired), (1, 2, 3));
    // Scheduler is down: what is due is done all the same.
    cloud.services.lock().unwrap().no_schedules = true;
    let failed = cloud.sweep(at(45)).await;
    assert!(matches!(failed, Err(ClockError::Scheduler(_))), "{failed:?}");
    assert_eq!(cloud.told(Action::Reminded).len(), 2);
}

#[tokio::test]
async fn an_end_orders_the_post_mortem_and_leaves_nothing_to_watch() {
    let cloud = Cloud::new(json!({"customers": {"addresses": ["a@moveongs.example"]}}));
    cloud.store(&incident());
    cloud.stream(NOW).await.unwrap();
    let told = cloud.told(Action::CustomersTold);
    assert_eq!((told.len(), told[0].text.as_str(), told[0].by.as_str()), (1, "", "incident-clock"));
    assert_eq!(cloud.row("SEND#ses#customers").unwrap().wanted, 4);
    cloud.change(|incident| (incident.state, incident.resolved_at) = (State::Resolved, Some(at(20))));
    cloud.stream(at(20)).await.unwrap();
    let ends = at(20).as_second();
    let (expression, input) =
        cloud.services.lock().unwrap().schedules[&format!("{ID}-postmortem-{ends}")].clone();
    assert_eq!(expression, at(30).strftime("at(%Y-%m-%dT%H:%M:%S)").to_string());
    assert_eq!(input, json!({"document": {"incident": ID}}).to_string());
    assert_eq!(cloud.item("CLOCK").unwrap()["open"], json!({"S": "clock"}), "the customers' mail is left");
    // Every schedule is lost.
    cloud.services.lock().unwrap().schedules.clear();
    cloud.sweep(at(31)).await.unwrap();
    assert_eq!(cloud.told(Action::CustomersTold).len(), 2);
    assert_eq!(cloud.item("CLOCK").unwrap().get("open"), None);
    let calls = cloud.fake.with(|state| state.calls.len());
    assert_eq!(looked(cloud.sweep(at(36)).await), (0, 0, 0));
    assert_eq!(
        cloud.fake.with(|state| state.calls.len()) - calls,
        3,
        "two lists of incidents, one of schedules"
    );
}

#[tokio::test]
async fn what_cannot_be_taken_back_waits_for_the_policy() {
    let mut cloud =
        Cloud::new(json!({"support": {"plan": "paid"}, "customers": {"addresses": ["a@moveongs.example"]}}));
    cloud.store(&incident());
    cloud.stream(NOW).await.unwrap();
    cloud.change(|incident| (incident.state, incident.resolved_at) = (State::Resolved, Some(at(5))));
    cloud.is_policy_read = false;
    cloud.stream(at(5)).await.unwrap();
    cloud.sweep(at(20)).await.unwrap();
    assert_eq!(cloud.item("CLOCK").unwrap()["open"], json!({"S": "clock"}), "the sweep goes on to look");
    cloud.is_policy_read = true;
    cloud.sweep(at(25)).await.unwrap();
    assert_eq!(cloud.told(Action::CustomersTold).len(), 2, "of the beginning and of the end");
    // A case.
    let mut cloud = Cloud::new(json!({"support": {"plan": "paid"}}));
    cloud.store(&incident());
    cloud.is_policy_read = false;
    cloud.stream(at(61)).await.unwrap();
    let told = cloud.told(Action::Reminded);
    assert!(told.len() == 1 && told[0].text.starts_with("🔔"), "{told:?}");
    assert!(cloud.cases().is_empty());
    cloud.is_policy_read = true;
    cloud.sweep(at(65)).await.unwrap();
    assert_eq!((cloud.cases().len(), cloud.told(Action::SupportCase).len()), (1, 1));
}

#[tokio::test]
async fn the_sweep_separates_a_part_whose_whole_is_over() {
    let cloud = Cloud::new(json!({}));
    let whole = Incident {
        id: "INC-20261130-AAAAAAAA".to_owned(),
        problem: "other".to_owned(),
        parts: vec![Part { incident: ID.to_owned(), title: "x".to_owned() }],
        state: State::Resolved,
        resolved_at: Some(at(5)),
        ..incident()
    };
    let part = Incident { merged_into: whole.id.clone(), ..incident() };
    cloud.store(&part);
    cloud.store(&whole);
    for (minutes, is_merged) in [(10, true), (15, false), (20, false)] {
        cloud.sweep(at(minutes)).await.unwrap();
        let found = cloud.incident();
        assert_eq!((found.is_merged(), found.paged_at == Some(at(15))), (is_merged, !is_merged), "{minutes}");
    }
    assert_eq!(cloud.told(Action::Reopened).len(), 1);
    assert_eq!(cloud.row("SEND#slack#post").unwrap().due, Some(at(15)));
}

#[tokio::test]
async fn a_reopened_incident_is_watched_again_and_gets_another_post_mortem() {
    let cloud = Cloud::new(json!({}));
    cloud.store(&incident());
    cloud.stream(NOW).await.unwrap();
    cloud.change(|incident| (incident.state, incident.resolved_at) = (State::Resolved, Some(at(5))));
    cloud.stream(at(5)).await.unwrap();
    assert_eq!(cloud.item("CLOCK").unwrap().get("open"), None);
    cloud.change(|incident| {
        (incident.state, incident.resolved_at, incident.paged_at) = (State::Triggered, None, Some(at(8)));
    });
    cloud.stream(at(8)).await.unwrap();
    assert_eq!(cloud.item("CLOCK").unwrap()["open"], json!({"S": "clock"}));
    cloud.change(|incident| (incident.state, incident.resolved_at) = (State::Resolved, Some(at(50))));
    cloud.stream(at(50)).await.unwrap();
    let postmortems = cloud.waiting().into_iter().filter(|name| name.starts_with("postmortem")).count();
    assert_eq!(postmortems, 2, "the first one finds it overtaken");
}

#[tokio::test]
async fn one_that_fails_holds_up_neither_the_other_tasks_nor_the_other_incidents() {
    let cloud = Cloud::new(json!({}));
    let mut data = incident();
    data.severity = Severity::S1;
    let compromised =
        SensitiveData { is_compromised: true, by: "Ana".to_owned(), at: at(29), ..SensitiveData::default() };
    data.sensitive_data = Some(compromised);
    cloud.store(&data);
    // The bucket refuses everything.
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| {
            call.starts_with('/').then_some(Fault::Refused).filter(|_| !call.contains("schedules"))
        }));
    });
    let failed = cloud.stream(at(30)).await;
    assert!(matches!(failed, Err(ClockError::Register(_))), "{failed:?}");
    let told = cloud.told(Action::Reminded);
    assert!(told.iter().any(|entry| entry.text.starts_with("🔔")), "{told:?}");
    assert!(told.iter().any(|entry| entry.text.starts_with("☎️")), "{told:?}");
    let terms = |cloud: &Cloud| {
        cloud.told(Action::Reminded).iter().filter(|entry| entry.text.starts_with("⚖️")).count()
    };
    assert_eq!(
        (terms(&cloud), cloud.bucket.objects().len()),
        (1, 0),
        "the term does not wait for the register"
    );
    cloud.fake.with(|state| state.fault = None);
    cloud.sweep(at(35)).await.unwrap();
    assert_eq!(terms(&cloud), 1);
    assert!(cloud.bucket.objects().contains_key(&format!("lgpd/{ID}.md")));
}

#[tokio::test]
async fn notes_that_cannot_be_read_stop_the_clock_of_that_incident_only() {
    let cloud = Cloud::new(json!({}));
    cloud.store(&incident());
    cloud.stream(NOW).await.unwrap();
    cloud.fake.with(|state| {
        let item = state.items.get_mut(&(format!("INCIDENT#{ID}"), "CLOCK".to_owned())).unwrap();
        item.insert("body".to_owned(), json!({"S": "?"}));
    });
    let failed = cloud.sweep(at(35)).await;
    assert_eq!(failed, Err(ClockError::NotesUnreadable(ID.to_owned())));
    assert_eq!(cloud.told(Action::Reminded).len(), 0);
}
