//! What a person asks, against the table.

use incident_page::{PageError, handle};
use serde_json::{Value, json};
use shared::runtime::failure::Failure as _;
use shared::testing::table::Fake;

use crate::{app_with, batch, change, done, failures, invocation, invoke, note, sample};

/// The first outcome and incident of a request, whose invocation has an id.
async fn ask(fake: &Fake, event: Value, request_id: &str) -> Result<(&'static str, String), PageError> {
    let mut invocation = invocation();
    invocation.request_id = request_id.to_owned();
    let answer = handle(&app_with(fake, &[]).unwrap(), event, &invocation).await?;
    Ok(done(answer).remove(0))
}

fn of(verb: &str, incident: &str) -> Value {
    let mut event = sample(&format!("person-{verb}"));
    event[verb]["incident"] = json!(incident);
    event
}

/// The one incident.
fn only(fake: &Fake) -> Value {
    let [incident] = fake.incidents().try_into().unwrap();
    incident
}

#[tokio::test]
async fn a_person_declares_takes_and_resolves_an_incident() {
    let fake = Fake::default();
    let (outcome, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
    assert_eq!((outcome, only(&fake)["severity"].as_str()), ("opened", Some("S1")));
    // Lambda's own repetition.
    assert_eq!(ask(&fake, sample("person-declare"), "r1").await.unwrap(), ("repeated", id.clone()));

    assert_eq!(ask(&fake, of("acknowledge", &id), "r2").await.unwrap(), ("updated", id.clone()));
    assert_eq!(only(&fake)["acknowledged_by"], "Ana Souza");
    assert_eq!(ask(&fake, of("acknowledge", &id), "r3").await.unwrap().0, "recorded");

    assert_eq!(ask(&fake, of("resolve", &id), "r4").await.unwrap(), ("resolved", id.clone()));
    assert_eq!(only(&fake)["state"], "resolved");
    assert_eq!(ask(&fake, of("resolve", &id), "r4").await.unwrap().0, "repeated");
    assert_eq!(ask(&fake, of("resolve", &id), "r5").await.unwrap().0, "recorded");
    // Its source says so again.
    let again = batch(&[&change(30, "ALARM", "OK")]);
    assert_eq!(failures(invoke(&fake, &again).await.unwrap()), [""; 0]);
    assert_eq!(fake.incidents().len(), 2, "of another alarm");
}

#[tokio::test]
async fn an_incident_that_there_is_none_of_is_named() {
    for verb in ["acknowledge", "resolve"] {
        let error = ask(&Fake::default(), sample(&format!("person-{verb}")), "r1").await.unwrap_err();
        assert_eq!(error.kind(), "NoIncident");
        assert!(error.to_string().contains("INC-20261129-7Q2MZK4A"), "{error}");
    }
    let error = ask(&Fake::default(), json!({"acknowledge": {"incident": "x", "by": "Ana"}}), "r1").await;
    assert_eq!(error.unwrap_err().kind(), "InvalidEvent");
}

#[tokio::test]
async fn a_muted_problem_is_stored_and_pages_when_the_mute_ends() {
    let fake = Fake::default();
    let mut mute = sample("person-mute");
    mute["mute"]["problem"] = json!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx");
    assert_eq!(ask(&fake, mute.clone(), "r1").await.unwrap(), ("updated", String::new()));
    invoke(&fake, &batch(&[&change(1, "ALARM", "OK")])).await.unwrap();
    let incident = only(&fake);
    // 30 minutes after the request.
    assert_eq!(
        (&incident["paged_at"], &incident["muted"]["by"]),
        (&json!("2026-11-29T13:11:00Z"), &json!("Ana Souza"))
    );
    let due = |fake: &Fake| {
        let items = fake.items();
        let row = items.iter().find(|((_, sk), _)| sk == "SEND#slack#post").unwrap().1;
        row["due"]["N"].as_str().unwrap().parse::<i64>().unwrap()
    };
    let now: i64 = 1_795_956_060_000;
    assert_eq!(due(&fake), now + 30 * 60 * 1000);

    let mut unmute = sample("person-unmute");
    unmute["unmute"]["problem"] = mute["mute"]["problem"].clone();
    ask(&fake, unmute, "r2").await.unwrap();
    assert_eq!((due(&fake), &only(&fake)["muted"]), (now, &Value::Null));
}

#[tokio::test]
async fn an_unmute_of_everything_wakes_what_waits_for_its_end() {
    let fake = Fake::default();
    let mut mute = sample("person-mute");
    mute["mute"]["problem"] = json!("*");
    mute["mute"]["minutes"] = json!(1440);
    ask(&fake, mute.clone(), "r1").await.unwrap();
    invoke(&fake, &batch(&[&change(1, "ALARM", "OK")])).await.unwrap();
    invoke(&fake, &batch(&[&note("n1", "disk is full")])).await.unwrap();
    let paged = |fake: &Fake| {
        let incidents = fake.incidents();
        incidents.iter().map(|incident| incident["paged_at"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paged(&fake), ["2026-11-30T12:41:00Z"; 2]);
    // Made shorter.
    mute["mute"]["minutes"] = json!(30);
    ask(&fake, mute, "r2").await.unwrap();
    assert_eq!(paged(&fake), ["2026-11-29T13:11:00Z"; 2]);
    let mut unmute = sample("person-unmute");
    unmute["unmute"]["problem"] = json!("*");
    ask(&fake, unmute.clone(), "r3").await.unwrap();
    assert_eq!(paged(&fake), ["2026-11-29T12:41:00Z"; 2]);
    let items = fake.items();
    let due =
        items.iter().filter(|((_, sk), _)| sk == "SEND#slack#post").map(|(_, row)| row["due"]["N"].clone());
    assert_eq!(due.collect::<Vec<_>>(), [json!("1795956060000"), json!("1795956060000")]);
    // Nothing waits any more.
    ask(&fake, unmute, "r4").await.unwrap();
    assert_eq!(
        fake.incidents().iter().map(|incident| incident["version"].clone()).collect::<Vec<_>>(),
        [3, 3]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_sees_what_changed_while_it_was_decided() {
    let fake = Fake::default();
    let (_, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
    fake.with(|state| {
        state.meanwhile = Some(Box::new(|items| {
            let state = items.iter_mut().find(|((_, sk), _)| sk == "STATE").unwrap().1;
            state.insert("version".to_owned(), json!({"N": "5"}));
        }));
    });
    assert_eq!(ask(&fake, of("acknowledge", &id), "r2").await.unwrap().0, "updated");
    assert_eq!(only(&fake)["version"], 6);
}
