//! The crash matrix of the pager: intake and sender are killed between their outside calls. The intake's event is delivered
//! again; of the sender, the stream's record within the lease, and again after it. In the end there is one incident, told
//! once, or a second time with the words that it may be a repetition.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::now;

use crate::incidents::{Incident, PAGERDUTY, Pager, SES, alarm, delivery, may_repeat, notification};
use crate::matrix::{Kill, all_points, points_and_reads, write};

/// What the intake does when it is killed.
#[derive(Clone, Copy, Debug)]
enum Intake {
    /// It opens an incident.
    New,
    /// It gets an event a second time.
    Repetition,
    /// It resolves an incident.
    Over,
    /// It gets the alarms of two problems at once.
    Two,
}

/// The alarm's notification.
fn notified(name: &str, state: &str, previous: &str, at: Timestamp) -> String {
    let message = alarm(name, state, previous, at).to_string();
    notification(&format!("{name}-{state}"), &message, None).to_string()
}

#[tokio::test]
async fn every_crash_point_of_incident_page_recovers() {
    let pager = Pager::held().await;
    pager.set(&[("PAGE_CHANNELS", "slack,sns")]).await;
    let mut points = Vec::new();
    for (case, least) in [(Intake::New, 1), (Intake::Repetition, 0), (Intake::Over, 1), (Intake::Two, 2)] {
        let of_case = all_points(least, async |kill| {
            let mut point = intake(&pager, case, kill).await?;
            point["case"] = json!(format!("{case:?}"));
            Some(point)
        });
        points.extend(of_case.await);
    }
    write("incident-page", &points, json!({}));
}

/// Kills the intake at a call; `None` when it makes fewer calls.
async fn intake(pager: &Pager, case: Intake, kill: Kill) -> Option<Value> {
    let (killed, is_killed, event) = loop {
        pager.reset().await;
        let (name, began) = (format!("moveongs-dev-matrix-{kill}"), now() - SignedDuration::from_secs(10));
        let on = notified(&name, "ALARM", "OK", began);
        let event = match case {
            Intake::New | Intake::Repetition => delivery(std::slice::from_ref(&on)),
            Intake::Over => delivery(&[notified(&name, "OK", "ALARM", began + SignedDuration::from_secs(5))]),
            Intake::Two => delivery(&[on.clone(), notified(&format!("{name}-two"), "ALARM", "OK", began)]),
        };
        if matches!(case, Intake::Repetition | Intake::Over) {
            pager.intake(&delivery(&[on])).await.unwrap();
        }
        let before = pager.page.last_call().await;
        pager.page.fault(kill.rule()).await;
        let first = pager.intake(&event).await;
        let is_killed = pager.page.hits("kill").await > 0;
        let killed = pager.page.calls(before).await.0.last().cloned();
        assert!(is_killed || first.is_ok(), "{case:?} {kill} ({killed:?}): {first:?}");
        if is_killed == first.is_err() {
            break (killed, is_killed, event);
        }
        // It hit an invocation that was still at work for another test.
    };
    pager.calm().await;
    for _ in 0..2 {
        let again = pager.intake(&event).await.unwrap_or_else(|error| panic!("{case:?} {kill}: {error}"));
        assert_eq!(again, json!({"batchItemFailures": []}), "{case:?} {kill} ({killed:?})");
    }
    pager.finish().await;

    let (incidents, events) = (pager.incidents().await, pager.events().await);
    let (problems, stored, resolved) = match case {
        Intake::New | Intake::Repetition => (1, 1, 0),
        Intake::Over => (1, 2, 1),
        Intake::Two => (2, 2, 0),
    };
    let about = format!("{case:?} {kill} ({killed:?}): {incidents:?}");
    assert_eq!((incidents.len(), events.len()), (problems, stored), "{about}");
    for incident in &incidents {
        assert_eq!(incident.body["count"], 1, "{about}");
        let seen = ["triggered", "event", "reopened", "resolved"].map(|action| incident.count_of(action));
        assert_eq!(seen, [1, 0, 0, resolved], "{about}");
        assert_eq!(pager.posts(&incident.id).await.len(), 1, "{about}");
    }
    is_killed.then(|| json!({"operation": killed, "end": "succeeded"}))
}

/// What the sender does when it is killed.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// It posts to Slack's channel by its name, so that it cannot look for a lost message.
    First,
    /// The same by its id, so that it can.
    Searchable,
    /// It changes the message, and adds to its thread.
    Update,
    /// It pages the backup.
    Escalation,
    /// It tells by the next channel, since Slack has not.
    Fallback(&'static str),
    /// The next channel has nothing to tell, since Slack has told it.
    NotNeeded,
    /// Slack refuses, so the next channel begins at once.
    Refused,
}

impl Case {
    fn channels(self) -> &'static str {
        match self {
            Self::Update => "slack,pagerduty",
            Self::Fallback("webhook#post") => "slack,webhook",
            Self::Fallback("ses#oncall") => "slack,ses",
            Self::Fallback("pagerduty#post") => "slack,pagerduty",
            _ => "slack,sns",
        }
    }

    /// The row that the stream's record names.
    fn row(self) -> &'static str {
        match self {
            Self::Fallback(row) => row,
            Self::NotNeeded => "sns#post",
            Self::Escalation => "slack#backup",
            Self::First | Self::Searchable | Self::Update | Self::Refused => "slack#post",
        }
    }
}

#[tokio::test]
async fn every_crash_point_of_incident_send_recovers() {
    let pager = Pager::held().await;
    let contact = |person: &str| json!({"contacts": [{"slack": format!("U00000{person}"), "email": "plantao@moveongs.example"}]});
    let squads = json!({"Squad Backend": contact("ANA"), "Squad Infra": contact("BIA")});
    pager.policy(&json!({"incidents": {"squads": squads}})).await;
    let (by_name, by_id) = ("#incidentes-moveongs".to_owned(), Pager::channel_id());
    let mut points = Vec::new();
    for (case, least) in [
        (Case::First, 3),
        (Case::Searchable, 3),
        (Case::Update, 5),
        (Case::Escalation, 4),
        (Case::Fallback("webhook#post"), 3),
        (Case::Fallback("ses#oncall"), 3),
        (Case::Fallback("sns#post"), 3),
        (Case::Fallback("pagerduty#post"), 3),
        (Case::NotNeeded, 2),
        (Case::Refused, 4),
    ] {
        let channel = if matches!(case, Case::Searchable) { &by_id } else { &by_name };
        pager.set(&[("PAGE_CHANNELS", case.channels()), ("SLACK_CHANNEL", channel)]).await;
        let of_case = points_and_reads(least, async |kill| {
            let mut point = send(&pager, case, kill).await?;
            point["case"] = json!(format!("{case:?}"));
            Some(point)
        });
        points.extend(of_case.await);
    }
    write("incident-send", &points, json!({}));
}

/// Brings the pager to where a case begins; returns the incident's id.
async fn prepared(pager: &Pager, case: Case, kill: Kill) -> String {
    pager.reset().await;
    let name = format!("moveongs-dev-matrix-{kill}");
    let event = delivery(&[notified(&name, "ALARM", "OK", now())]);
    pager.intake(&event).await.unwrap_or_else(|error| panic!("{error}"));
    let id = pager.incident().await.id;
    let past = now().as_millisecond() - 1;
    match case {
        Case::First | Case::Searchable => {}
        Case::Update => {
            pager.finish().await;
            let asked = json!({"acknowledge": {"incident": id, "by": "Ana"}});
            pager.asks(&asked).await.unwrap_or_else(|error| panic!("{error}"));
        }
        Case::Escalation => {
            pager.finish().await;
            pager.page_began(&pager.incident().await, 6).await;
        }
        Case::Fallback(row) => pager.set_row(&id, row, &[("due", past)]).await,
        Case::NotNeeded => {
            pager.stream(&[(&id, "slack#post")]).await.unwrap();
            pager.set_row(&id, "sns#post", &[("due", past)]).await;
        }
        Case::Refused => archive(pager, &["#incidentes-moveongs"]).await,
    }
    id
}

async fn archive(pager: &Pager, channels: &[&str]) {
    pager.page.admin(Method::POST, "slack/channels", Some(json!({"archived": channels}))).await;
}

/// What the stream, and for an escalation the schedule before it, make the sender do.
async fn course(pager: &Pager, case: Case, id: &str) -> Result<Value, Value> {
    if matches!(case, Case::Escalation) {
        pager.sweep().await?;
    }
    pager.stream(&[(id, case.row())]).await
}

/// Kills the sender at a call; `None` when it makes fewer calls.
async fn send(pager: &Pager, case: Case, kill: Kill) -> Option<Value> {
    let (id, killed, is_killed) = loop {
        let id = prepared(pager, case, kill).await;
        let before = pager.send.last_call().await;
        pager.send.fault(kill.rule()).await;
        let first = course(pager, case, &id).await;
        let is_killed = pager.send.hits("kill").await > 0;
        let killed = pager.send.calls(before).await.0.last().cloned();
        assert!(is_killed || first.is_ok(), "{case:?} {kill} ({killed:?}): {first:?}");
        if is_killed == first.is_err() {
            break (id, killed, is_killed);
        }
        // It hit an invocation that was still at work for another test.
        archive(pager, &[]).await;
    };
    pager.calm().await;
    let about = format!("{case:?} {kill} ({killed:?})");
    if is_killed {
        // Within the lease of the dead sender, which a test ends by writing into the row; and after it.
        course(pager, case, &id).await.unwrap_or_else(|error| panic!("{about}: {error}"));
        pager.expire_leases().await;
        course(pager, case, &id).await.unwrap_or_else(|error| panic!("{about}: {error}"));
    }
    archive(pager, &[]).await;
    pager.finish().await;
    let told = checked(pager, case, &pager.incident().await, &about).await;
    is_killed.then(|| json!({"operation": killed, "messages": told, "end": "succeeded"}))
}

/// Checks that everything was told once, or a second time with the words that it may be a repetition; returns the number
/// of messages.
async fn checked(pager: &Pager, case: Case, incident: &Incident, about: &str) -> usize {
    let id = &incident.id;
    let (posts, replies) = (pager.posts(id).await, pager.replies(id).await);
    let (webhooks, mails) = (pager.webhooks(id).await, pager.mails(id).await);
    let of = |all: Vec<Value>| all.into_iter().filter(|one| one.to_string().contains(id)).collect::<Vec<_>>();
    let (letters, events) = (of(pager.log(SES).await), of(pager.log(PAGERDUTY).await));
    let told = posts.len() + replies.len() + webhooks.len() + mails.len() + letters.len() + events.len();
    let about = format!("{about}: {:?} {posts:?} {replies:?}", incident.lines);
    let is_once = |what: &[Value]| what.len() == 1 || (what.len() == 2 && may_repeat(&what[1]));
    let is_fallback = |row: &str| matches!(case, Case::Fallback(own) if own == row);

    assert!(is_once(&posts), "{about}");
    if matches!(case, Case::Searchable | Case::Update | Case::Escalation | Case::NotNeeded) {
        assert_eq!(posts.len(), 1, "{about}");
    }
    let has_thread = matches!(case, Case::Update | Case::Escalation);
    assert!(if has_thread { is_once(&replies) } else { replies.is_empty() }, "{about}");
    for (row, messages) in [
        ("webhook#post", &webhooks),
        ("ses#oncall", &letters),
        ("sns#post", &mails),
        ("pagerduty#post", &events),
    ] {
        // PagerDuty knows a repetition by its key. The next channel may begin before Slack is mended.
        let is_right = match row {
            "pagerduty#post" if is_fallback(row) => !messages.is_empty(),
            "sns#post" if matches!(case, Case::Refused) => messages.len() <= 1,
            _ if is_fallback(row) => is_once(messages),
            _ => messages.is_empty(),
        };
        assert!(is_right, "{row}: {messages:?}: {about}");
    }
    let alerts = pager.page.admin(Method::GET, "pagerduty/alerts", None).await;
    let opened = u64::from(is_fallback("pagerduty#post"));
    assert_eq!(alerts["alerts"][id]["opened"].as_u64().unwrap_or_default(), opened, "{about}");

    let sent = match case {
        Case::First | Case::Searchable | Case::NotNeeded => 1,
        Case::Update | Case::Escalation | Case::Fallback(_) => 2,
        Case::Refused => 1 + mails.len(),
    };
    assert_eq!(incident.count_of("sent"), sent, "{about}");
    assert_eq!(incident.count_of("triggered"), 1, "{about}");
    assert_eq!(incident.count_of("acknowledged"), usize::from(matches!(case, Case::Update)), "{about}");
    assert_eq!(incident.count_of("escalated"), usize::from(matches!(case, Case::Escalation)), "{about}");
    told
}
