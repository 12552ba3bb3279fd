//! A storm: a thousand alarms of fifty problems in ten seconds, each delivered twice, while Slack asks to wait, fails, does
//! not answer, and is gone. Counts and latencies go to `target/bench/page-storm.json`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::now;

use crate::cloud::eventually;
use crate::incidents::{Incident, Pager, QUEUE, alarm, is_post, notification, thread};

const PROBLEMS: usize = 50;
/// Alarms of each problem.
const ROUNDS: usize = 20;
/// Problems that are told before Slack fails.
const EARLY: usize = 10;

/// One alarm of each problem, and each a second time.
fn round(problems: Range<usize>, state: &str) -> Vec<String> {
    let (at, previous) = (now(), if state == "OK" { "ALARM" } else { "INSUFFICIENT_DATA" });
    let one = |problem: usize| {
        let message = alarm(&format!("moveongs-dev-storm-{problem:02}"), state, previous, at).to_string();
        notification(&format!("{problem}-{at}"), &message, None).to_string()
    };
    let once: Vec<String> = problems.map(one).collect();
    once.iter().chain(once.iter().rev()).cloned().collect()
}

/// From now on, Slack answers the sender so. It refuses connections in between: otherwise pages would get through.
async fn slack(pager: &Pager, mut rule: Value) {
    rule["service"] = json!("slack");
    rule["count"] = json!(0);
    pager.outage("slack").await;
    pager.page.admin(Method::DELETE, "faults", None).await;
    pager.send.fault(rule).await;
    pager.page.admin(Method::DELETE, "outages", None).await;
}

/// The back-off of all rows of a channel is over.
async fn again(pager: &Pager, name: &str) -> bool {
    let (mut waits, past) = (false, now().as_millisecond() - 1);
    for incident in pager.incidents().await {
        let Some(due) = incident.due(name) else { continue };
        waits = true;
        if due > past && incident.row(name)["lease_owner"].is_null() {
            pager.set_row(&incident.id, name, &[("due", past)]).await;
        }
    }
    waits
}

/// Sweeps until no row of a channel waits.
async fn served(pager: &Pager, name: &str) {
    for _ in 0..100 {
        if !again(pager, name).await {
            return;
        }
        pager.sweep().await.unwrap();
    }
    panic!("{name}: {:?}", pager.incidents().await);
}

async fn stored(pager: &Pager) {
    eventually("an empty queue", async || (pager.waiting(QUEUE).await == 0).then_some(())).await;
}

fn sent(incident: &Incident, name: &str) -> bool {
    incident.rows.get(name).and_then(|row| row["sent"].as_i64()).is_some_and(|sent| sent > 0)
}

/// Milliseconds of a row from its storage to its acceptance.
fn wait(incident: &Incident, name: &str) -> Option<i64> {
    let row = incident.row(name);
    Some(row["accepted_at"].as_i64()? - row["stored_at"].as_i64()?)
}

fn figures(values: impl Iterator<Item = i64>) -> Value {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    let at = |share: usize| values.get(values.len().saturating_sub(1) * share / 100);
    json!({"n": values.len(), "median": at(50), "p90": at(90), "max": at(100)})
}

#[tokio::test]
async fn a_storm_makes_one_incident_and_one_thread_of_each_problem() {
    let pager = Pager::fresh().await;
    pager.set(&[("PAGE_CHANNELS", "slack,sns"), ("SLACK_CHANNEL", &Pager::channel_id())]).await;
    pager.enqueue(&round(0..EARLY, "ALARM")).await;
    eventually("the first pages", async || {
        let incidents = pager.incidents().await;
        (incidents.len() == EARLY && incidents.iter().all(|one| sent(one, "slack#post"))).then_some(())
    })
    .await;
    let before_the_outage = pager.incidents().await;

    // The storm itself. Slack asks to wait.
    slack(&pager, json!({"action": "*", "effect": "throttle", "seconds": 30})).await;
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    for number in 0..ROUNDS {
        pace.tick().await;
        let first = if number == 0 { EARLY } else { 0 };
        pager.enqueue(&round(first..PROBLEMS, "ALARM")).await;
    }
    stored(&pager).await;

    // It fails after it has posted, hangs, and is gone. An invocation asks it once.
    let lost_answer =
        json!({"action": "chat.postMessage", "effect": "error", "status": 500, "code": "x", "when": "after"});
    let silence = json!({"action": "*", "effect": "timeout", "seconds": 60});
    for rule in [lost_answer, silence] {
        slack(&pager, rule).await;
        again(&pager, "slack#post").await;
        let answer = pager.sweep().await.unwrap();
        assert!(answer["failed"].as_u64() >= Some(1), "{answer}");
    }
    pager.outage("slack").await;
    again(&pager, "slack#post").await;
    pager.sweep().await.unwrap();

    // A minute passes, and the next channel opens for what Slack has not told.
    let incidents = eventually("that nobody is at work", async || {
        let incidents = pager.incidents().await;
        let is_taken = |one: &Incident| one.rows.values().any(|row| !row["lease_owner"].is_null());
        (!incidents.iter().any(is_taken)).then_some(incidents)
    })
    .await;
    let untold: BTreeSet<String> =
        incidents.iter().filter(|one| !sent(one, "slack#post")).map(|one| one.id.clone()).collect();
    assert_eq!(untold.len(), PROBLEMS - EARLY, "{untold:?}");
    for incident in &incidents {
        // On a slow machine the minute may really be over.
        let Some(due) = incident.due("sns#post") else { continue };
        assert_eq!(incident.row("sns#post")["stored_at"].as_i64(), Some(due - 60_000));
    }
    served(&pager, "sns#post").await;
    let mails = pager.mails("INC-").await;
    let about = |all: &[Value], id: &str| all.iter().filter(|one| one.to_string().contains(id)).count();
    for incident in &incidents {
        let expected = usize::from(untold.contains(&incident.id));
        assert_eq!(about(&mails, &incident.id), expected, "{}", incident.id);
    }

    // Slack is back, and then every problem ends.
    pager.calm().await;
    served(&pager, "slack#post").await;
    pager.enqueue(&round(0..PROBLEMS, "OK")).await;
    stored(&pager).await;
    pager.quiet().await;
    pager.finish().await;

    let (incidents, events) = (pager.incidents().await, pager.events().await);
    let (slack, mails) = (pager.messages().await, pager.mails("INC-").await);
    let (mut lost, mut doubled, mut threads) = (0, 0, 0);
    let mut count = |found: usize, expected: usize| {
        lost += expected.saturating_sub(found);
        doubled += found.saturating_sub(expected);
    };
    count(incidents.len(), PROBLEMS);
    count(events.len(), PROBLEMS * (ROUNDS + 1));
    for incident in &incidents {
        let seen = incident.body["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap();
        count(seen, ROUNDS);
        for (action, expected) in [("triggered", 1), ("event", ROUNDS - 1), ("resolved", 1), ("reopened", 0)]
        {
            count(incident.count_of(action), expected);
        }
        count(about(&mails, &incident.id), usize::from(untold.contains(&incident.id)));
        let posts = slack.iter().filter(|one| is_post(one) && one.to_string().contains(&incident.id));
        let posts: Vec<_> = posts.collect();
        count(posts.len(), 1);
        threads += posts.len();
        // Each thread says once that it is over.
        count(posts.iter().flat_map(|post| thread(post, &slack)).count(), 1);
        assert_eq!(incident.body["state"], "resolved", "{}", incident.id);
    }
    let instant = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond();
    let latency = |event: &Value| instant(&event["stored_at"]) - instant(&event["changed_at"]);
    let failed: usize = incidents.iter().map(|incident| incident.count_of("send_failed")).sum();
    let report = json!({
        "alarms": PROBLEMS * ROUNDS, "deliveries": PROBLEMS * ROUNDS * 2, "problems": PROBLEMS,
        "incidents": incidents.len(), "threads": threads, "lost": lost, "doubled": doubled,
        "fallbacks": mails.len(), "failed_attempts": failed,
        "event_to_stored_ms": figures(events.iter().map(latency)),
        // A test moves the times of the outbox, so the waits during the outage are shorter than in life.
        "stored_to_accepted_ms": {
            "slack_before_the_outage": figures(before_the_outage.iter().filter_map(|one| wait(one, "slack#post"))),
            "slack": figures(incidents.iter().filter_map(|one| wait(one, "slack#post"))),
            "sns": figures(incidents.iter().filter_map(|one| wait(one, "sns#post"))),
        },
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("page-storm.json"), format!("{report:#}\n")).unwrap();
    assert_eq!((lost, doubled), (0, 0), "see target/bench/page-storm.json");
    assert_eq!((incidents.len(), threads, mails.len()), (PROBLEMS, PROBLEMS, untold.len()));
    // Each row that was tried while Slack was away says so.
    assert!(failed >= 4, "{failed}");
    assert_eq!(pager.dead_letters().await, 0);
}
