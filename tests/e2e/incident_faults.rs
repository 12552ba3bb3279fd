//! What goes wrong on the way of a page, one row each: the texts and answers that a plain forwarder of alarms loses
//! (`notify-slack` was measured with them), and a fault at each hop. Nothing may be lost, and nothing doubled except by a
//! message that says so. The table is printed, and written to `target/matrix/incident-faults.json`.

use std::path::Path;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::now;

use crate::cloud::eventually;
use crate::incidents::{Incident, Pager, alarm, delivery, is_post, may_repeat, notification, sample, thread};

/// Faults of a call of the table; of a read, it does not matter whether it was done.
fn faults_of(action: &str) -> Vec<(&'static str, Value)> {
    let failed = json!({"effect": "error", "status": 500, "code": "InternalServerError"});
    let mut faults = vec![
        ("throttled", json!({"effect": "throttle"})),
        ("500", failed.clone()),
        ("refused", json!({"effect": "error", "status": 400, "code": "AccessDeniedException"})),
    ];
    if !["BatchGetItem", "Query"].contains(&action) {
        let mut done = failed;
        done["when"] = json!("after");
        faults.push(("500 after it was done", done));
        faults.push(("no answer after it was done", json!({"effect": "drop", "when": "after"})));
    }
    faults
}

/// A rule for Slack.
fn slack(action: &str, mut rule: Value) -> Value {
    rule["service"] = json!("slack");
    rule["action"] = json!(action);
    rule
}

/// Slack does it, and its answer is lost.
fn lost_answer() -> Value {
    json!({"effect": "error", "status": 500, "code": "InternalError", "when": "after"})
}

const ALARM: &str = "moveongs-dev-fault";

/// An alarm's notification.
fn notified(name: &str, at: Timestamp) -> String {
    notification(&format!("{name}-{at}"), &alarm(name, "ALARM", "OK", at).to_string(), None).to_string()
}

/// The same change as an event of EventBridge.
fn changed(name: &str, at: Timestamp) -> Value {
    let arn = format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}");
    json!({"version": "0", "id": format!("event-{at}"), "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch", "account": "000000000000", "time": at.to_string(), "region": "us-east-1",
        "resources": [arn], "detail": {"alarmName": name, "previousState": {"value": "OK"},
            "state": {"value": "ALARM", "reason": "Threshold Crossed", "timestamp": alarm(name, "ALARM", "OK", at)["StateChangeTime"]}}})
}

/// A text on the paging topic.
fn text(id: &str, message: &str, subject: Option<&str>) -> String {
    notification(id, message, subject).to_string()
}

/// What came of a fault.
#[derive(Default)]
struct Counts {
    lost: usize,
    doubled: usize,
    /// Repetitions that say so.
    says_so: usize,
}

impl Counts {
    fn compare(&mut self, found: usize, expected: usize) {
        self.lost += expected.saturating_sub(found);
        self.doubled += found.saturating_sub(expected);
    }

    fn messages(&mut self, found: &[&Value], least: usize, most: usize) {
        self.lost += least.saturating_sub(found.len());
        for again in found.iter().skip(most) {
            let count = if may_repeat(again) { &mut self.says_so } else { &mut self.doubled };
            *count += 1;
        }
    }
}

struct Table {
    pager: Pager,
    rows: Vec<Value>,
}

impl Table {
    /// Delivers messages of the queue, again until all are stored.
    async fn take(&self, bodies: &[String]) {
        let event = delivery(bodies);
        for _ in 0..5 {
            if self.pager.intake(&event).await == Ok(json!({"batchItemFailures": []})) {
                return;
            }
        }
        panic!("not stored: {bodies:?}");
    }

    /// Stores an alarm, of which nothing else was stored; returns its incident's id.
    async fn stored(&self) -> String {
        self.pager.reset().await;
        self.take(&[notified(ALARM, now())]).await;
        self.pager.incident().await.id
    }

    /// The stream wakes the sender for a message.
    async fn send(&self, id: &str, row: &str) -> Result<Value, Value> {
        self.pager.stream(&[(id, row)]).await
    }

    /// The fault is over, and everything that waits is sent. Compares with what a row must have made.
    async fn end(&mut self, row: &str, expected: usize) {
        let pager = &self.pager;
        pager.calm().await;
        pager.expire_leases().await;
        pager.finish().await;
        let incidents = pager.incidents().await;
        let (messages, mails) = (pager.messages().await, pager.mails("INC-").await);
        let alerts = pager.page.admin(Method::GET, "pagerduty/alerts", None).await;
        let mut counts = Counts::default();
        counts.compare(incidents.len(), expected);
        for incident in &incidents {
            let is_about = |message: &Value| message.to_string().contains(&incident.id);
            let posts: Vec<_> = messages.iter().filter(|one| is_post(one) && is_about(one)).collect();
            let replies: Vec<_> = posts.iter().flat_map(|post| thread(post, &messages)).collect();
            let webhooks = messages.iter().filter(|one| one["webhook"] == true && is_about(one));
            let mails = mails.iter().filter(|one| is_about(one));
            let answers = incident.count_of("acknowledged");
            counts.messages(&posts, 1, 1);
            counts.messages(&replies, answers, answers);
            // What the next channel tells is no repetition.
            counts.messages(&webhooks.collect::<Vec<_>>(), 0, 1);
            counts.messages(&mails.collect::<Vec<_>>(), 0, 1);
            let opened = alerts["alerts"][&incident.id]["opened"].as_u64().unwrap_or(1);
            for once in [opened, incident.body["count"].as_u64().unwrap()] {
                counts.compare(usize::try_from(once).unwrap(), 1);
            }
            counts.compare(incident.count_of("triggered"), 1);
        }
        let Counts { lost, doubled, says_so } = counts;
        self.rows.push(json!({"row": row, "lost": lost, "doubled": doubled, "says_so": says_so}));
    }

    /// The answers of Slack to a first message.
    async fn answers(&mut self) {
        for (row, rule) in [
            ("Slack 500", json!({"effect": "error", "status": 500, "code": "x"})),
            ("Slack 429", json!({"effect": "throttle", "seconds": 30})),
            ("Slack 404", json!({"effect": "error", "status": 404, "code": "x"})),
            ("Slack 403", json!({"effect": "error", "status": 403, "code": "x"})),
            ("Slack refuses with 200", json!({"effect": "error", "status": 200, "code": "token_revoked"})),
            ("Slack hangs", json!({"effect": "timeout", "seconds": 60})),
            ("Slack closes the connection", json!({"effect": "drop"})),
            ("Slack did it, and its answer is lost", lost_answer()),
        ] {
            let id = self.stored().await;
            self.pager.send.fault(slack("chat.postMessage", rule)).await;
            let answer = self.send(&id, "slack#post").await.unwrap();
            assert_eq!(answer["failed"], 1, "{row}: {answer}");
            self.end(row, 1).await;
        }
        let id = self.stored().await;
        self.pager.outage("slack").await;
        assert_eq!(self.send(&id, "slack#post").await.unwrap()["failed"], 1);
        self.end("Slack refuses connections", 1).await;

        self.pager.reset().await;
        self.take(&[notified(ALARM, now()), notified("moveongs-dev-other", now())]).await;
        self.pager.send.fault(slack("*", json!({"effect": "error", "status": 500, "code": "x"}))).await;
        let incidents = self.pager.incidents().await;
        let rows: Vec<_> = incidents.iter().map(|incident| (incident.id.as_str(), "slack#post")).collect();
        self.pager.stream(&rows).await.unwrap();
        self.end("two records, the first 500 and the second 200", 2).await;
    }

    /// Answers that are lost after the first message.
    async fn later_answers(&mut self) {
        for (row, action) in [
            ("Slack changed the message, and its answer is lost", "chat.update"),
            ("Slack replied in the thread, and its answer is lost", "chat.postMessage"),
        ] {
            let id = self.stored().await;
            self.pager.finish().await;
            let asked = json!({"acknowledge": {"incident": id, "by": "Ana"}});
            self.pager.asks(&asked).await.unwrap();
            self.pager.send.fault(slack(action, lost_answer())).await;
            assert_eq!(self.send(&id, "slack#post").await.unwrap()["failed"], 1, "{row}");
            self.end(row, 1).await;
        }
        for (row, name, service, action) in [
            ("the webhook did it, and its answer is lost", "webhook#post", "slack", "webhook"),
            ("SNS did it, and its answer is lost", "sns#post", "sns", "Publish"),
            ("PagerDuty did it, and its answer is lost", "pagerduty#post", "pagerduty", "*"),
        ] {
            let id = self.stored().await;
            self.pager.set_row(&id, name, &[("due", now().as_millisecond() - 1)]).await;
            let mut rule = lost_answer();
            (rule["service"], rule["action"]) = (json!(service), json!(action));
            self.pager.send.fault(rule).await;
            assert_eq!(self.send(&id, name).await.unwrap()["failed"], 1, "{row}");
            // Before Slack tells it, so that this channel still has to.
            self.pager.set_row(&id, name, &[("due", now().as_millisecond() - 1)]).await;
            self.send(&id, name).await.unwrap();
            self.end(row, 1).await;
        }
    }

    /// Texts that `notify-slack` loses or shows raw.
    async fn texts(&mut self) {
        let at = now();
        let alarm_with = |field: &str, value: Value| {
            let mut message = alarm(ALARM, "ALARM", "OK", at);
            message[field] = value;
            text(field, &message.to_string(), None)
        };
        let alert = json!({"version": "4", "groupKey": "{}:{alertname=\"ApiDown\"}", "status": "firing", "receiver": "aws",
            "alerts": [{"status": "firing", "labels": {"alertname": "ApiDown", "severity": "critical"},
                "annotations": {"summary": "The API is down"}, "startsAt": at.to_string(),
                "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "0123456789abcdef"}]});
        let evil = "<!channel> <https://evil.example|runbook> severity=critical";
        let twice = text("one-id", "Backup failed", Some("Backup"));
        for (row, bodies) in [
            ("plain text with «text»", vec![text("a", "context deadline exceeded", None)]),
            ("plain text with «AlarmName»", vec![text("a", "no AlarmName in the answer", Some("Job"))]),
            ("a JSON number", vec![text("a", "42", None)]),
            ("no subject", vec![text("a", "disk full", None)]),
            ("AlarmDescription null", vec![alarm_with("AlarmDescription", Value::Null)]),
            ("a reason of 60 kB", vec![alarm_with("NewStateReason", json!("x".repeat(60_000)))]),
            ("<!channel> and a link in the description", vec![alarm_with("AlarmDescription", json!(evil))]),
            ("the same in the reason", vec![alarm_with("NewStateReason", json!(evil))]),
            ("an event of EventBridge through SNS", vec![text("a", &changed(ALARM, at).to_string(), None)]),
            ("Alertmanager's JSON through SNS", vec![text("a", &alert.to_string(), None)]),
            ("the same MessageId twice", vec![twice.clone(), twice]),
            ("SNS to SQS twice", vec![notified(ALARM, at), notified(ALARM, at)]),
            ("EventBridge and SNS", vec![changed(ALARM, at).to_string(), notified(ALARM, at)]),
        ] {
            self.pager.reset().await;
            self.take(&bodies).await;
            // The queue gives them again.
            self.take(&bodies).await;
            self.end(row, 1).await;
            // A text of others is text, and neither a mention nor a link.
            for post in self.pager.posts("INC-").await {
                assert!(is_plain(&post), "{row}: {post}");
            }
        }
        self.pager.reset().await;
        self.pager.intake(&changed(ALARM, at)).await.unwrap();
        self.end("an event straight from EventBridge", 1).await;
    }

    /// A fault at each hop.
    async fn hops(&mut self) {
        // The real queue and the real stream, which deliver everything twice.
        self.pager.reset().await;
        self.pager.flow(true).await;
        self.pager.page.admin(Method::POST, "queues", Some(json!({"deliver": 2}))).await;
        self.pager.publish(&alarm(ALARM, "ALARM", "OK", now()).to_string(), Some("ALARM")).await;
        self.told_by_stream().await;
        self.pager.page.admin(Method::POST, "queues", Some(json!({"deliver": 1}))).await;
        self.end("each message of the queue and each record of the stream twice", 1).await;

        self.pager.reset().await;
        let refused = json!({"action": "TransactWriteItems", "effect": "error", "status": 400, "code": "AccessDeniedException"});
        self.pager.page.fault(refused).await;
        self.pager.publish(&alarm(ALARM, "ALARM", "OK", now()).to_string(), Some("ALARM")).await;
        self.told_by_stream().await;
        assert_eq!(self.pager.page.hits("error").await, 1);
        assert!(!self.pager.page.log_lines("EventsNotStored").await.is_empty(), "it is counted");
        self.end("the queue delivers again what was not stored", 1).await;
        self.pager.flow(false).await;

        self.pager.reset().await;
        let before = self.pager.page.last_call().await;
        let death = json!({"action": "TransactWriteItems", "effect": "kill", "when": "after"});
        self.pager.page.fault(death).await;
        let event = Blob::new(sample("incident-page/alarm-action").to_string());
        let invoke = self.pager.page.lambda.invoke().function_name(self.pager.page.function());
        invoke.invocation_type(InvocationType::Event).payload(event).send().await.unwrap();
        eventually("the second attempt", async || {
            let calls = self.pager.page.calls(before).await.0;
            (calls.iter().filter(|call| *call == "dynamodb:BatchGetItem").count() > 1).then_some(())
        })
        .await;
        assert_eq!(self.pager.page.hits("kill").await, 1);
        self.end("an asynchronous invocation dies after it stored, and is repeated", 1).await;

        let id = self.stored().await;
        let (one, other) = tokio::join!(self.send(&id, "slack#post"), self.send(&id, "slack#post"));
        let accepted = [one, other].map(|answer| answer.unwrap()["accepted"].as_u64().unwrap());
        assert_eq!(accepted.iter().sum::<u64>(), 1);
        self.send(&id, "slack#post").await.unwrap();
        self.end("the stream's record twice at once, and once more", 1).await;

        self.stored().await;
        assert_eq!(self.pager.sweep().await.unwrap()["accepted"], 1);
        self.end("the stream's record is lost, and the sweep finds the row", 1).await;
    }

    /// Waits until queue and stream have brought a page to Slack.
    async fn told_by_stream(&self) {
        eventually("a page in Slack", async || {
            let incidents = self.pager.incidents().await;
            let is_told =
                |incident: &Incident| incident.rows.get("slack#post").is_some_and(|row| row["sent"] == 1);
            incidents.iter().any(is_told).then_some(())
        })
        .await;
        self.pager.quiet().await;
    }

    /// DynamoDB fails at each call.
    async fn database(&mut self) {
        for action in ["BatchGetItem", "TransactWriteItems"] {
            for (name, mut rule) in faults_of(action) {
                self.pager.reset().await;
                rule["action"] = json!(action);
                self.pager.page.fault(rule).await;
                self.take(&[notified(ALARM, now())]).await;
                self.end(&format!("the intake's {action}: {name}"), 1).await;
            }
        }
        for action in ["BatchGetItem", "Query", "UpdateItem", "TransactWriteItems"] {
            for (name, mut rule) in faults_of(action) {
                let id = self.stored().await;
                rule["action"] = json!(action);
                self.pager.send.fault(rule).await;
                // It may fail: the row waits for the next one.
                drop(self.send(&id, "slack#post").await);
                self.end(&format!("the sender's {action}: {name}"), 1).await;
            }
        }
    }
}

/// Whether the words of a foreign text stand in plain text only, where Slack reads no marks.
fn is_plain(value: &Value) -> bool {
    let marks = ["<!channel>", "<https://evil.example|"];
    match value {
        Value::Array(all) => all.iter().all(is_plain),
        Value::Object(fields) if fields.get("type") == Some(&json!("plain_text")) => true,
        Value::Object(fields) => fields.values().all(is_plain),
        Value::String(text) => !marks.iter().any(|mark| text.contains(mark)),
        _ => true,
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the table is the result")]
async fn no_fault_loses_a_page_and_none_doubles_one_without_saying_so() {
    let mut table = Table { pager: Pager::held().await, rows: Vec::new() };
    table.pager.set(&[("PAGE_CHANNELS", "slack,sns")]).await;
    table.answers().await;
    table.texts().await;
    table.hops().await;
    table.database().await;

    table.pager.set(&[("PAGE_CHANNELS", "slack,webhook,sns,pagerduty")]).await;
    table.later_answers().await;

    table.pager.set(&[("PAGE_CHANNELS", "slack,sns"), ("SLACK_CHANNEL", &Pager::channel_id())]).await;
    for (row, rule) in [
        ("the same, in a channel that can be searched", lost_answer()),
        ("no answer, in a channel that can be searched", json!({"effect": "drop", "when": "after"})),
    ] {
        let id = table.stored().await;
        table.pager.send.fault(slack("chat.postMessage", rule)).await;
        assert_eq!(table.send(&id, "slack#post").await.unwrap()["failed"], 1, "{row}");
        table.end(row, 1).await;
        let said = table.rows.last().map(|row| row["says_so"].clone());
        assert_eq!(said, Some(json!(0)), "{row}: it was found");
    }

    let number = |row: &Value, field: &str| row[field].as_u64().unwrap();
    let line = |row: &Value| {
        let [lost, doubled, says_so] = ["lost", "doubled", "says_so"].map(|field| number(row, field));
        format!("{lost:>4} | {doubled:>7} | {says_so:>7} | {}\n", row["row"].as_str().unwrap())
    };
    let lines: String = table.rows.iter().map(line).collect();
    println!("lost | doubled | says so | fault\n{lines}");
    let sum = |field: &str| table.rows.iter().map(|row| number(row, field)).sum::<u64>();
    let report = json!({"faults": table.rows.len(), "lost": sum("lost"), "doubled": sum("doubled"),
        "says_so": sum("says_so"), "each": table.rows});
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/matrix");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("incident-faults.json"), format!("{report:#}\n")).unwrap();
    assert_eq!((sum("lost"), sum("doubled")), (0, 0), "see target/matrix/incident-faults.json");
}
