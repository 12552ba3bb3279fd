//! What a person asks by invoking the function, against the table.

use std::time::Duration;

use incident_desk::{Answer, App, DeskError, Done, handle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::aws::table::Table;
use shared::runtime::env::Env;
use shared::runtime::failure::Failure as _;
use shared::runtime::lambda::Invocation;
use shared::testing::table::{Fake, Fault};
use shared::testing::variables;

const NOW: &str = "2026-11-29T12:41:00Z";
const ALARM: &str = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-api-5xx";

const SETTINGS: [(&str, &str); 6] = [
    ("ENVIRONMENT", "prod"),
    ("PAGE_CHANNELS", "slack,sns"),
    ("INCIDENT_TABLE", "incidents"),
    ("SLACK_API_URL", "https://slack.example/api/"),
    ("SLACK_SECRET_NAME", "token"),
    ("EMERGENCY_RESTORE_FUNCTION", "moveongs-prod-emergency-restore"),
];

/// The answer to a request, whose invocation has an id, some minutes after noon.
async fn asked(fake: &Fake, event: Value, request_id: &str, minutes: i64) -> Result<Done, DeskError> {
    let app = App::new(&Env::new(&variables(&SETTINGS)), &fake.config()).unwrap();
    let now = NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes);
    let mut invocation = Invocation::new(now, Duration::from_secs(30));
    invocation.request_id = request_id.to_owned();
    let Answer::Done { mut done } = handle(&app, event, &invocation).await? else {
        panic!("no answer to a person")
    };
    assert_eq!(done.len(), 1);
    Ok(done.remove(0))
}

/// The outcome of a request, and its incident.
async fn ask(fake: &Fake, event: Value, request_id: &str) -> Result<(&'static str, String), DeskError> {
    asked(fake, event, request_id, 0).await.map(|done| (done.outcome, done.incident))
}

fn sample(name: &str) -> Value {
    let path = format!("{}/../../events/incident-desk/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The sample of a request about an incident.
fn of(verb: &str, incident: &str) -> Value {
    let mut event = sample(&format!("person-{}", verb.replace('_', "-")));
    event[verb]["incident"] = json!(incident);
    event
}

/// A declaration without a problem of its own.
fn another(title: &str) -> Value {
    json!({"declare": {"title": title, "severity": "S2", "resource": "moveongs-prod-db", "by": "Ana Souza"}})
}

/// The one incident.
fn only(fake: &Fake) -> Value {
    let [incident] = fake.incidents().try_into().unwrap();
    incident
}

fn incident(fake: &Fake, id: &str) -> Value {
    fake.incidents().into_iter().find(|incident| incident["id"] == *id).unwrap()
}

/// The actions in the timeline of the incidents, by name.
fn timeline(fake: &Fake) -> Vec<String> {
    let lines = fake.keys("INCIDENT#").into_iter().filter(|key| key.starts_with("LINE#"));
    let mut names: Vec<_> = lines.map(|key| key.rsplit('#').next().unwrap().to_owned()).collect();
    names.sort();
    names
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
    assert_eq!(ask(&fake, of("acknowledge", &id), "r2").await.unwrap().0, "repeated");
    let again = asked(&fake, of("acknowledge", &id), "r3", 5).await.unwrap();
    let first = (Some("Ana Souza".to_owned()), Some(NOW.parse().unwrap()));
    assert_eq!((again.outcome, (again.by, again.at)), ("already", first));

    assert_eq!(ask(&fake, of("resolve", &id), "r4").await.unwrap(), ("resolved", id.clone()));
    assert_eq!(only(&fake)["state"], "resolved");
    assert_eq!(ask(&fake, of("resolve", &id), "r4").await.unwrap().0, "repeated");
    assert_eq!(ask(&fake, of("resolve", &id), "r5").await.unwrap().0, "already");
    assert_eq!(timeline(&fake), ["acknowledged", "resolved", "triggered"]);
}

#[tokio::test]
async fn every_sample_changes_its_incident_once() {
    for entry in
        std::fs::read_dir(format!("{}/../../events/incident-desk", env!("CARGO_MANIFEST_DIR"))).unwrap()
    {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(verb) = name.strip_prefix("person-").map(|verb| verb.replace('-', "_")) else { continue };
        let fake = Fake::default();
        if ["declare", "mute", "unmute"].contains(&verb.as_str()) {
            ask(&fake, sample(&name), "r1").await.unwrap_or_else(|error| panic!("{name}: {error}"));
            continue;
        }
        let (_, id) = ask(&fake, another("banco fora"), "r1").await.unwrap();
        let (_, other) = ask(&fake, another("login fora"), "r2").await.unwrap();
        if verb == "reopen" {
            ask(&fake, of("resolve", &id), "r3").await.unwrap();
        }
        let mut event = of(&verb, &id);
        if verb == "merge" {
            event[&verb]["into"] = json!(other);
        }
        if verb == "tell_customers" {
            // The default policy has no address.
            assert_eq!(ask(&fake, event, "r4").await.unwrap_err().kind(), "NoCustomers");
            continue;
        }
        let before = incident(&fake, &id)["version"].as_u64().unwrap();
        let (outcome, of) =
            ask(&fake, event.clone(), "r4").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(["updated", "resolved", "reopened"].contains(&outcome) && of == id, "{name}: {outcome}");
        assert_eq!(incident(&fake, &id)["version"], before + 1, "{name}");
        let items = fake.items();
        assert_eq!(ask(&fake, event.clone(), "r4").await.unwrap().0, "repeated", "{name}");
        assert_eq!(ask(&fake, event, "r5").await.unwrap().0, "already", "{name}");
        assert_eq!(fake.items(), items, "{name}");
    }
}

#[tokio::test]
async fn an_incident_that_there_is_none_of_is_named() {
    for verb in ["acknowledge", "resolve", "classify", "merge", "tell_customers"] {
        let error = ask(&Fake::default(), of(verb, "INC-20261129-7Q2MZK4A"), "r1").await.unwrap_err();
        assert_eq!(error.kind(), "NoIncident", "{verb}");
        assert!(error.to_string().contains("INC-20261129-7Q2MZK4A"), "{error}");
    }
    let fake = Fake::default();
    let (_, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
    let error = ask(&fake, of("merge", &id), "r2").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("INC-20261129-0D4N6R8S")), ("NoIncident", true));
    let error = ask(&Fake::default(), json!({"acknowledge": {"incident": "x", "by": "Ana"}}), "r1").await;
    assert_eq!(error.unwrap_err().kind(), "InvalidEvent");
    let error = ask(&Fake::default(), json!({"hello": "world"}), "r1").await;
    assert_eq!(error.unwrap_err().kind(), "InvalidEvent");
}

#[tokio::test]
async fn a_refusal_changes_nothing() {
    let fake = Fake::default();
    let (_, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
    ask(&fake, of("command", &id), "r2").await.unwrap();
    let items = fake.items();
    // Bia commands, with Caio as backup.
    let error = ask(&fake, of("false_alarm", &id), "r3").await.unwrap_err();
    assert_eq!(error.kind(), "NotAllowed");
    assert!(error.to_string().contains("(Bia Lima, Caio Reis)"), "{error}");
    assert_eq!(fake.items(), items);
    let mut event = of("false_alarm", &id);
    event["false_alarm"]["by"] = json!("caio reis");
    assert_eq!(ask(&fake, event, "r4").await.unwrap().0, "resolved");
}

#[tokio::test]
async fn a_muted_problem_pages_when_the_mute_ends() {
    let fake = Fake::default();
    assert_eq!(ask(&fake, sample("person-mute"), "r1").await.unwrap(), ("updated", String::new()));
    ask(&fake, sample("person-declare"), "r2").await.unwrap();
    assert_eq!(only(&fake)["problem"], ALARM);
    // 30 minutes after the request.
    assert_eq!(
        (&only(&fake)["paged_at"], &only(&fake)["muted"]["by"]),
        (&json!("2026-11-29T13:11:00Z"), &json!("Ana Souza"))
    );
    let due = |fake: &Fake| {
        let items = fake.items();
        let row = items.iter().find(|((_, sk), _)| sk == "SEND#slack#post").unwrap().1;
        row["due"]["N"].as_str().unwrap().parse::<i64>().unwrap()
    };
    let now: i64 = 1_795_956_060_000;
    assert_eq!(due(&fake), now + 30 * 60 * 1000);
    ask(&fake, sample("person-unmute"), "r3").await.unwrap();
    assert_eq!((due(&fake), &only(&fake)["muted"]), (now, &Value::Null));
}

#[tokio::test]
async fn an_unmute_of_everything_wakes_what_waits_for_its_end() {
    let fake = Fake::default();
    let mut mute = sample("person-mute");
    mute["mute"]["problem"] = json!("*");
    mute["mute"]["minutes"] = json!(1440);
    ask(&fake, mute.clone(), "r1").await.unwrap();
    ask(&fake, another("banco fora"), "r2").await.unwrap();
    ask(&fake, another("login fora"), "r3").await.unwrap();
    let paged = |fake: &Fake| {
        let incidents = fake.incidents();
        incidents.iter().map(|incident| incident["paged_at"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paged(&fake), ["2026-11-30T12:41:00Z"; 2]);
    // Made shorter.
    mute["mute"]["minutes"] = json!(30);
    ask(&fake, mute, "r4").await.unwrap();
    assert_eq!(paged(&fake), ["2026-11-29T13:11:00Z"; 2]);
    let mut unmute = sample("person-unmute");
    unmute["unmute"]["problem"] = json!("*");
    ask(&fake, unmute.clone(), "r5").await.unwrap();
    assert_eq!(paged(&fake), ["2026-11-29T12:41:00Z"; 2]);
    let items = fake.items();
    let due =
        items.iter().filter(|((_, sk), _)| sk == "SEND#slack#post").map(|(_, row)| row["due"]["N"].clone());
    assert_eq!(due.collect::<Vec<_>>(), [json!("1795956060000"), json!("1795956060000")]);
    // Nothing waits any more.
    ask(&fake, unmute, "r6").await.unwrap();
    let versions = fake.incidents().iter().map(|incident| incident["version"].clone()).collect::<Vec<_>>();
    assert_eq!(versions, [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn of_two_people_at_once_the_second_hears_who_was_first() {
    let fake = Fake::default();
    let (_, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
    // Bia's transaction comes between Ana's reading and writing.
    let other = Fake::default();
    other.with(|state| state.items = fake.items());
    let mut by_bia = of("acknowledge", &id);
    by_bia["acknowledge"]["by"] = json!("Bia Lima");
    ask(&other, by_bia, "r2").await.unwrap();
    let after = other.items();
    fake.with(|state| state.meanwhile = Some(Box::new(move |items| *items = after)));
    let answer = asked(&fake, of("acknowledge", &id), "r3", 1).await.unwrap();
    assert_eq!((answer.outcome, answer.by.as_deref()), ("already", Some("Bia Lima")));
    assert_eq!((only(&fake)["acknowledged_by"].as_str(), timeline(&fake).len()), (Some("Bia Lima"), 2));
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

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_take_it_is_said_and_asking_again_does_no_harm() {
    for (fault, kind) in
        [(Fault::Refused, "TableCall"), (Fault::After, "TableCall"), (Fault::Conflict, "TableBusy")]
    {
        let fake = Fake::default();
        let (_, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
        fake.with(|state| {
            state.fault = Some(Box::new(move |_, call, _| (call == "TransactWriteItems").then_some(fault)));
        });
        let error = ask(&fake, of("mitigate", &id), "r2").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}");
        assert!(error.to_string().contains("ask again"), "{error}");
        fake.with(|state| state.fault = None);
        let answer = ask(&fake, of("mitigate", &id), "r3").await.unwrap();
        let expected = if fault == Fault::After { "already" } else { "updated" };
        assert_eq!((answer.0, only(&fake)["state"].as_str()), (expected, Some("mitigated")), "{fault:?}");
        assert_eq!(timeline(&fake).iter().filter(|action| *action == "mitigated").count(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_over_is_listed_by_its_month() {
    let fake = Fake::default();
    let (_, id) = ask(&fake, sample("person-declare"), "r1").await.unwrap();
    let (_, other) = ask(&fake, another("banco fora"), "r2").await.unwrap();
    ask(&fake, of("resolve", &id), "r3").await.unwrap();
    let table = Table::new(&Env::new(&variables(&SETTINGS)), &fake.config()).unwrap();
    let ids = |keys: Vec<incident::store::Key>| keys.into_iter().map(|key| key.pk).collect::<Vec<_>>();
    assert_eq!(ids(table.open().await.unwrap()), [format!("INCIDENT#{other}")]);
    assert_eq!(ids(table.of_month("2026-11-01".parse().unwrap()).await.unwrap()), [format!("INCIDENT#{id}")]);
    assert!(table.of_month("2026-12-01".parse().unwrap()).await.unwrap().is_empty());
}
