//! The function against the wire protocols of AWS: real SDK, real signing, a table in memory.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use incident_page::{Answer, App, Failure, PageError, handle};
use serde_json::{Value, json};
use shared::aws::table::Busy;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Failure as _;
use shared::runtime::lambda::Invocation;
use shared::testing::table::{Fake, Fault};
use shared::testing::variables;

const NOW: &str = "2026-11-29T12:41:00Z";
const BEARER: &str = "bearer-credential-1";

fn app_with(fake: &Fake, changed: &[(&str, &str)]) -> Result<App, EnvError> {
    let own = [("ENVIRONMENT", "prod"), ("PAGE_CHANNELS", "slack,sns"), ("INCIDENT_TABLE", "incidents")];
    App::new(&Env::new(&variables(&[changed, &own].concat())), &fake.config())
}

fn invocation() -> Invocation {
    let mut made = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(30));
    made.request_id = "8f5ee0d3".to_owned();
    made
}

async fn invoke(fake: &Fake, event: &Value) -> Result<Answer, PageError> {
    handle(&app_with(fake, &[]).unwrap(), event.clone(), &invocation()).await
}

fn sample(name: &str) -> Value {
    let path = format!("{}/../../events/incident-page/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Messages of a queue.
fn batch(bodies: &[&str]) -> Value {
    let record = |(number, body): (usize, &&str)| json!({"messageId": format!("m{number}"), "eventSource": "aws:sqs", "body": body});
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// A notification of some text.
fn note(id: &str, text: &str) -> String {
    let topic = "arn:aws:sns:us-east-1:123456789012:moveongs-prod-paging";
    json!({"Type": "Notification", "MessageId": id, "TopicArn": topic, "Message": text,
        "Timestamp": "2026-11-29T12:40:25.311Z", "SignatureVersion": "1"})
    .to_string()
}

/// An alarm's event of EventBridge.
fn change(seconds: u8, state: &str, previous: &str) -> String {
    let arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx";
    json!({"version": "0", "id": format!("e{seconds}"), "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch", "account": "123456789012", "region": "us-east-1", "resources": [arn],
        "detail": {"alarmName": "moveongs-prod-5xx", "previousState": {"value": previous},
            "state": {"value": state, "timestamp": format!("2026-11-29T12:40:{seconds:02}.006+0000")}}})
    .to_string()
}

fn done(answer: Answer) -> Vec<(&'static str, String)> {
    let Answer::Done { done } = answer else { panic!("{answer:?}") };
    done.into_iter().map(|done| (done.outcome, done.incident)).collect()
}

fn failures(answer: Answer) -> Vec<String> {
    let Answer::Batch { failures } = answer else { panic!("{answer:?}") };
    failures.into_iter().map(|Failure { id }| id).collect()
}

#[test]
fn a_wrong_setting_stops_the_start() {
    let refused =
        |name: &str, value: &str| app_with(&Fake::default(), &[(name, value)]).err().unwrap().to_string();
    assert!(refused("PAGE_CHANNELS", "slack,fax").contains("expected each at most once of slack, webhook"));
    assert!(refused("INCIDENT_TABLE", "").contains("INCIDENT_TABLE"));
    assert!(app_with(&Fake::default(), &[("ALERT_WEBHOOK_SECRET_NAME", "")]).is_ok());
}

#[tokio::test]
async fn one_change_that_comes_by_three_ways_is_one_incident() {
    let fake = Fake::default();
    assert_eq!(failures(invoke(&fake, &sample("queue-alarm")).await.unwrap()), [""; 0]);
    assert_eq!(failures(invoke(&fake, &sample("queue-alarm-event")).await.unwrap()), [""; 0]);
    let [(outcome, id)] = done(invoke(&fake, &sample("alarm-action")).await.unwrap()).try_into().unwrap();
    assert_eq!(outcome, "repeated");
    let [incident] = fake.incidents().try_into().unwrap();
    assert_eq!((incident["id"].as_str(), incident["count"].as_u64()), (Some(id.as_str()), Some(1)));
    let keys = fake.keys("INCIDENT#");
    let [line, slack, sns, state] = keys.as_slice() else { panic!("{keys:?}") };
    assert!(line.starts_with("LINE#") && line.ends_with("#triggered"));
    assert_eq!([slack, sns, state], ["SEND#slack#post", "SEND#sns#post", "STATE"]);
}

#[tokio::test]
async fn every_sample_is_stored_once() {
    let folder = format!("{}/../../events/incident-page", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let fake = Fake::default();
        fake.with(|state| state.secret = Some(format!(r#"{{"bearer": "{BEARER}"}}"#)));
        invoke(&fake, &sample(&name)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let stored = fake.items();
        assert!(name == "logs-control" || !stored.is_empty(), "{name}");
        invoke(&fake, &sample(&name)).await.unwrap();
        assert_eq!(fake.items(), stored, "{name}");
    }
}

#[tokio::test]
async fn what_a_person_asks_is_for_the_desk_and_pages_nobody() {
    let fake = Fake::default();
    for verb in ["acknowledge", "declare", "sensitive_data"] {
        let error = invoke(&fake, &json!({ verb: {"by": "Ana"} })).await.unwrap_err();
        assert_eq!(error.kind(), "InvalidEvent");
        assert!(error.to_string().contains("incident-desk"), "{error}");
    }
    assert_eq!(fake.items().len(), 0);
}

#[tokio::test]
async fn what_nobody_understands_pages_with_its_text() {
    for (event, text) in [
        (json!({"hello": "world"}), r#"{"hello":"world"}"#),
        (json!("text"), "\"text\""),
        (batch(&["not JSON"]), "not JSON"),
        (batch(&[&note("n1", "{broken")]), "{broken"),
        (json!({"Records": [{"eventSource": "aws:s3"}]}), r#"{"eventSource":"aws:s3"}"#),
        (json!({"Records": [{"eventSource": "aws:sqs"}]}), r#"{"eventSource":"aws:sqs"}"#),
        (json!({"awslogs": {"data": "%"}}), ""),
    ] {
        let fake = Fake::default();
        invoke(&fake, &event).await.unwrap();
        let [incident] = fake.incidents().try_into().unwrap();
        assert!(incident["reason"].as_str().unwrap().contains(text), "{event}: {incident}");
        assert_eq!(
            (&incident["understood"], &incident["severity"]),
            (&json!(false), &json!("S1")),
            "{event}"
        );
        assert!(fake.keys("INCIDENT#").contains(&"SEND#slack#post".to_owned()), "{event}");
    }
}

#[tokio::test]
async fn a_message_that_fails_holds_up_no_other() {
    let fake = Fake::default();
    let is_bad = |body: &Value| body.to_string().contains("poison");
    fake.with(|state| {
        state.fault = Some(Box::new(move |_, call, body| {
            (call == "TransactWriteItems" && is_bad(body)).then_some(Fault::Refused)
        }));
    });
    let [good, bad, last] = [note("n1", "good"), note("n2", "poison"), note("n3", "last")];
    let event = batch(&[&good, &bad, &last]);
    assert_eq!(failures(invoke(&fake, &event).await.unwrap()), ["m1"]);
    assert_eq!(fake.incidents().len(), 2);
    // Delivered again after the cause is gone.
    fake.with(|state| state.fault = None);
    assert_eq!(failures(invoke(&fake, &batch(&[&bad])).await.unwrap()), [""; 0]);
    assert_eq!(fake.incidents().len(), 3);
    // An answer cannot name a message without an id.
    fake.with(|state| state.fault = Some(Box::new(|_, _, _| Some(Fault::Refused))));
    let nameless = json!({"Records": [{"eventSource": "aws:sqs", "body": note("n4", "x")}]});
    let error = invoke(&fake, &nameless).await.unwrap_err();
    assert_eq!(error.kind(), "TableCall");
    assert!(error.to_string().contains("kept and sent again"));
}

#[tokio::test(start_paused = true)]
async fn another_invocation_that_is_faster_is_seen() {
    // The same event.
    let fake = Fake::default();
    let other = Fake::default();
    invoke(&other, &batch(&[&change(1, "ALARM", "OK")])).await.unwrap();
    let theirs = other.items();
    fake.with(|state| state.meanwhile = Some(Box::new(move |items| *items = theirs)));
    assert_eq!(failures(invoke(&fake, &batch(&[&change(1, "ALARM", "OK")])).await.unwrap()), [""; 0]);
    assert_eq!(fake.items(), other.items());

    // Another event of the same problem.
    let theirs = other.items();
    let fake = Fake::default();
    fake.with(|state| state.meanwhile = Some(Box::new(move |items| *items = theirs)));
    invoke(&fake, &batch(&[&change(2, "ALARM", "INSUFFICIENT_DATA")])).await.unwrap();
    let [incident] = fake.incidents().try_into().unwrap();
    assert_eq!((&incident["count"], &incident["version"]), (&json!(2), &json!(2)));

    // The incident has a new version, e.g. since somebody took it.
    let fake = other.clone();
    fake.with(|state| {
        state.meanwhile = Some(Box::new(|items| {
            let state = items.iter_mut().find(|((_, sk), _)| sk == "STATE").unwrap().1;
            state.insert("version".to_owned(), json!({"N": "7"}));
        }));
    });
    invoke(&fake, &batch(&[&change(3, "OK", "ALARM")])).await.unwrap();
    assert_eq!(
        (&fake.incidents()[0]["version"], &fake.incidents()[0]["state"]),
        (&json!(8), &json!("resolved"))
    );
}

#[tokio::test(start_paused = true)]
async fn items_that_never_rest_fail_the_event_and_not_the_others() {
    let fake = Fake::default();
    fake.with(|state| {
        state.fault = Some(Box::new(|_, call, body| {
            let is_alarm = body.to_string().contains("alarm|");
            (call == "TransactWriteItems" && is_alarm).then_some(Fault::Conflict)
        }));
    });
    let event = batch(&[&change(1, "ALARM", "OK"), &note("n1", "other")]);
    assert_eq!(failures(invoke(&fake, &event).await.unwrap()), ["m0"]);
    let tries = fake.with(|state| state.calls.iter().filter(|call| *call == "TransactWriteItems").count());
    assert_eq!((tries, fake.incidents().len()), (11, 1));
    let error = invoke(&fake, &serde_json::from_str(&change(1, "ALARM", "OK")).unwrap()).await.unwrap_err();
    assert_eq!(error, PageError::Busy(Busy(10)));
}

#[tokio::test(start_paused = true)]
async fn what_the_invocation_has_no_time_for_is_delivered_again() {
    let fake = Fake::default();
    fake.with(|state| state.fault = Some(Box::new(|_, _, _| Some(Fault::Before))));
    let late = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(1));
    let event = batch(&[&note("n1", "a"), &note("n2", "b")]);
    let answer = handle(&app_with(&fake, &[]).unwrap(), event, &late).await.unwrap();
    assert_eq!(failures(answer), ["m0", "m1"]);
    assert_eq!(fake.with(|state| state.calls.len()), 2, "no time for a second attempt");
}

/// Events that open, raise, resolve and reopen, of two problems, in one batch.
fn busy_batch() -> Value {
    let [other, text] = [note("n1", "disk of build 17 is full"), note("n2", "disk of build 18 is full")];
    let changes = [
        change(1, "ALARM", "OK"),
        change(2, "ALARM", "INSUFFICIENT_DATA"),
        change(3, "OK", "ALARM"),
        change(4, "ALARM", "OK"),
    ];
    let all: Vec<&str> = changes.iter().chain([&other, &text]).map(String::as_str).collect();
    batch(&all)
}

/// The process dies, or the table answers no more, at any call; what is delivered again then ends as if nothing had
/// happened.
#[tokio::test(start_paused = true)]
async fn death_between_any_two_calls_loses_and_doubles_nothing() {
    let undisturbed = Fake::default();
    assert_eq!(failures(invoke(&undisturbed, &busy_batch()).await.unwrap()), [""; 0]);
    let calls = undisturbed.with(|state| state.calls.len());
    assert!(calls > 15, "{calls}");
    assert_eq!(undisturbed.incidents().len(), 2);
    for last in [Fault::Before, Fault::After] {
        for dies in 0..calls {
            let fake = Fake::default();
            fake.with(|state| {
                state.fault = Some(Box::new(move |number, _, _| match number {
                    number if number < dies => None,
                    number if number == dies => Some(last),
                    _ => Some(Fault::Before),
                }));
            });
            let answer = invoke(&fake, &busy_batch()).await;
            let left = failures(answer.unwrap());
            assert!(!left.is_empty() || last == Fault::After, "{last:?} {dies}");
            fake.with(|state| state.fault = None);
            // The queue delivers what failed; and, at least once, everything.
            assert_eq!(failures(invoke(&fake, &busy_batch()).await.unwrap()), [""; 0]);
            let same = |fake: &Fake| {
                let count = |incident: &Value| (incident["problem"].clone(), incident["count"].clone());
                let mut counts: Vec<_> = fake.incidents().iter().map(count).collect();
                counts.sort_by_key(|(problem, _)| problem.to_string());
                (counts, fake.keys("EVENT#").len(), fake.keys("INCIDENT#").len())
            };
            assert_eq!(same(&fake), same(&undisturbed), "{last:?} {dies}");
        }
    }
}

#[tokio::test]
async fn a_heartbeat_that_is_stored_late_hides_no_later_one() {
    let fake = Fake::default();
    let alert = json!({"status": "firing", "labels": {"alertname": "Watchdog"}, "fingerprint": "w",
        "startsAt": "2026-11-29T12:00:00Z"});
    let event = batch(&[&note("n1", &json!({"alerts": [alert]}).to_string())]);
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let (first, before, after) =
        (at("2026-11-29T12:41:00Z"), at("2026-11-29T12:40:59Z"), at("2026-11-29T12:46:00Z"));
    for (now, noted) in [(first, first), (before, first), (after, after), (after, after)] {
        let invocation = Invocation::new(now, Duration::from_secs(30));
        let answer = handle(&app_with(&fake, &[]).unwrap(), event.clone(), &invocation).await.unwrap();
        assert_eq!(failures(answer), [""; 0], "{now}");
        let [item] = fake.items().into_values().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(item["heard_at"]["N"], json!(noted.as_millisecond().to_string()), "{now}");
    }
    let writes = fake.with(|state| state.calls.iter().filter(|call| *call == "TransactWriteItems").count());
    assert_eq!(writes, 4, "a later one is no reason to try again");
}

/// A request of the function URL.
fn request(path: &str, authorization: Option<&str>, body: &str) -> Value {
    let mut event = json!({"version": "2.0", "rawPath": path, "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": path}, "requestId": "r1"}, "body": body});
    if let Some(authorization) = authorization {
        event["headers"]["authorization"] = json!(authorization);
    }
    event
}

#[tokio::test]
async fn a_webhook_is_verified_before_anything_else() {
    let alerts = r#"{"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-29T12:40:00Z", "fingerprint": "f1"},
        {"status": "firing", "labels": {"alertname": "B"}, "startsAt": "2026-11-29T12:40:00Z", "fingerprint": "f2"}]}"#;
    let right = format!("Bearer {BEARER}");
    for (path, authorization, body, status, calls) in [
        ("/alertmanager", Some(right.as_str()), alerts, 200, 5),
        ("/alertmanager", Some("Bearer wrong-credential-2"), alerts, 401, 1),
        ("/alertmanager", None, alerts, 401, 0),
        // Not parsed: nobody may fill the channel with raw text.
        ("/alertmanager", Some("Bearer wrong-credential-2"), "{broken", 401, 1),
        ("/", Some(right.as_str()), alerts, 404, 0),
        // From the right sender, it pages.
        ("/grafana", Some(right.as_str()), "{broken", 200, 3),
    ] {
        let fake = Fake::default();
        fake.with(|state| state.secret = Some(format!(r#"{{"bearer": "{BEARER}"}}"#)));
        let answer = invoke(&fake, &request(path, authorization, body)).await.unwrap();
        let Answer::Web { status: given, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((given, fake.with(|state| state.calls.len())), (status, calls), "{path} {body}");
        assert_eq!(fake.incidents().is_empty(), status != 200);
    }
}

#[tokio::test]
async fn a_webhooks_sender_repeats_what_could_not_be_checked_or_stored() {
    let event = request("/alertmanager", Some(&format!("Bearer {BEARER}")), "{}");
    for (secret, kind) in [(None, "CredentialsUnread"), (Some("not JSON"), "CredentialsForm")] {
        let fake = Fake::default();
        fake.with(|state| state.secret = secret.map(str::to_owned));
        let error = invoke(&fake, &event).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(!error.to_string().contains("not JSON"));
    }
    let fake = Fake::default();
    fake.with(|state| {
        state.secret = Some(format!(r#"{{"bearer": "{BEARER}"}}"#));
        state.fault = Some(Box::new(|_, call, _| (call == "TransactWriteItems").then_some(Fault::Refused)));
    });
    assert_eq!(invoke(&fake, &event).await.unwrap_err().kind(), "TableCall");
    // A stack without webhooks has no such path.
    let app = app_with(&Fake::default(), &[("ALERT_WEBHOOK_SECRET_NAME", "")]).unwrap();
    let answer = handle(&app, event, &invocation()).await.unwrap();
    assert!(matches!(answer, Answer::Web { status: 404, .. }), "{answer:?}");
}

#[test]
fn an_answer_has_its_callers_form() {
    let json = |answer: &Answer| serde_json::to_value(answer).unwrap();
    let batch = Answer::Batch { failures: vec![Failure { id: "m1".to_owned() }] };
    assert_eq!(json(&batch), json!({"batchItemFailures": [{"itemIdentifier": "m1"}]}));
    let web = Answer::Web { status: 401, body: "no".to_owned() };
    assert_eq!(json(&web), json!({"statusCode": 401, "body": "no"}));
}
