//! The crash matrix: the function is killed between any two outside calls of a rotation that may change something, and
//! after some of the others; the service repeats the rotation with the same token, and the end state must be that of an
//! undisturbed rotation.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::credential::{Credential, Strategy};
use crate::prober::{Probed, Prober};
use crate::rotate_database::{incident, is_alive, line};
use crate::secret::Secret;

/// One in so many deaths after a read is tried in a run of the tests.
const READS: usize = 12;

/// A moment at which a function is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    when: &'static str,
    nth: usize,
    /// Whether calls that may change something are counted, or reads.
    changes: bool,
}

impl Kill {
    /// The rule for the fault switches.
    pub(crate) fn rule(self) -> Value {
        json!({"effect": "kill", "when": self.when, "nth": self.nth, "changes": self.changes})
    }

    /// The same for one action of a service.
    pub(crate) fn rule_of(self, service: &str, action: &str) -> Value {
        let mut rule = self.rule();
        rule["service"] = json!(service);
        rule["action"] = json!(action);
        rule
    }

    /// Invokes a function that dies at this moment: its last call, and its answer if it has no such moment.
    pub(crate) async fn during(self, cloud: &Cloud, event: &Value) -> (Option<String>, Option<Value>) {
        let before = cloud.last_call().await;
        cloud.fault(self.rule()).await;
        let first = cloud.invoke(event.clone()).await;
        let is_killed = cloud.hits("kill").await > 0;
        let operation = cloud.calls(before).await.0.last().cloned();
        assert_eq!(first.is_err(), is_killed, "{self} ({operation:?}) {event}: {first:?}");
        (operation, first.ok())
    }

    /// Adds the moment to a point of the report.
    fn of(self, mut point: Value) -> Value {
        point["when"] = json!(self.when);
        point["call"] = json!(self.nth);
        point["changes"] = json!(self.changes);
        point
    }
}

/// For the names of resources.
impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.changes { "change" } else { "read" };
        write!(f, "{}-{kind}-{}", self.when, self.nth)
    }
}

/// One call of a course, and how it fails.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Point {
    pub(crate) service: String,
    pub(crate) action: String,
    /// Number of the call among those of this action.
    pub(crate) nth: usize,
    /// `before` or `after` its effect.
    pub(crate) when: &'static str,
    /// `kill`; `error`, which the SDK does not repeat; or `drop`, a lost answer.
    pub(crate) effect: &'static str,
}

impl Point {
    /// The rule for the fault switches. The SDK repeats a call without an answer, so its last repetition is lost too.
    pub(crate) fn rule(&self) -> Value {
        let mut rule = json!({"service": self.service, "action": self.action, "nth": self.nth, "when": self.when, "effect": self.effect});
        let is_of_sdk = !["moveongs", "postgres", "slack"].contains(&self.service.as_str());
        if self.effect == "drop" && is_of_sdk {
            rule["count"] = json!(ATTEMPTS);
        }
        if self.effect == "error" {
            let (status, code) =
                if self.service == "postgres" { (None, "57P01") } else { (Some(403), "AccessDenied") };
            rule["code"] = json!(code);
            if let Some(status) = status {
                rule["status"] = json!(status);
            }
        }
        rule
    }

    /// The point in a report.
    pub(crate) fn report(&self) -> Value {
        json!({"operation": format!("{}:{}", self.service, self.action), "call": self.nth, "when": self.when, "effect": self.effect})
    }
}

/// How often the AWS SDK sends a request: its default.
const ATTEMPTS: usize = 3;

/// Whether the run was started with `--full`.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
pub(crate) fn is_full() -> bool {
    std::env::var_os("FULL_TESTS").is_some()
}

/// The places, from 0, that have their turn in this run: one in `share`, others on other days; with `--full`, all.
pub(crate) fn turns(share: usize) -> impl Iterator<Item = usize> {
    let share = if is_full() { 1 } else { share };
    let day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    (usize::try_from(day).unwrap() % share..).step_by(share)
}

/// Kills a function before its first call that may change something, and after each such call. `kill` returns none if
/// the run has no such call; `least` is the minimum number of these calls of a run.
pub(crate) async fn points(least: usize, kill: impl AsyncFn(Kill) -> Option<Value>) -> Vec<Value> {
    let mut points = Vec::new();
    for (when, nth) in std::iter::once(("before", 1)).chain((1..).map(|nth| ("after", nth))) {
        let moment = Kill { when, nth, changes: true };
        let Some(point) = kill(moment).await else { break };
        points.push(moment.of(point));
    }
    let calls = points.len().saturating_sub(1);
    assert!(calls >= least, "only {calls} calls of at least {least}: {points:?}");
    points
}

/// The same, and after the day's share of the reads. A read leaves the world as it was, so such a death equals one
/// after the previous change, except in its time.
pub(crate) async fn points_and_reads(least: usize, kill: impl AsyncFn(Kill) -> Option<Value>) -> Vec<Value> {
    with_reads(least, turns(READS), kill).await
}

/// The same, and after each read: for a function with few calls.
pub(crate) async fn all_points(least: usize, kill: impl AsyncFn(Kill) -> Option<Value>) -> Vec<Value> {
    with_reads(least, 0.., kill).await
}

async fn with_reads(
    least: usize,
    reads: impl Iterator<Item = usize>,
    kill: impl AsyncFn(Kill) -> Option<Value>,
) -> Vec<Value> {
    let mut points = points(least, &kill).await;
    for nth in reads.map(|place| place + 1) {
        let moment = Kill { when: "after", nth, changes: false };
        let Some(point) = kill(moment).await else { break };
        points.push(moment.of(point));
    }
    points
}

/// The secret that is rotated while the function is killed.
#[derive(Clone, Copy)]
enum Case {
    /// A secret whose whole value is rotated.
    Plain,
    /// One field of a JSON document.
    Field,
    /// A refused first step, whose failure is reported and recorded.
    Refused,
}

#[tokio::test]
async fn every_crash_point_of_rotate_random_recovers() {
    let cloud = Cloud::connect("rotate-random").await;
    let mut points = Vec::new();
    for (name, case, least) in
        [("plain", Case::Plain, 6), ("field", Case::Field, 6), ("refused", Case::Refused, 5)]
    {
        let of_case = points_and_reads(least, async |kill| {
            let mut point = crash(&cloud, &format!("matrix-{name}-{kill}"), case, kill).await?;
            point["case"] = json!(name);
            Some(point)
        });
        points.extend(of_case.await);
    }
    // A crash may leave neither a gap nor a fork in the chain, nor a run with two records.
    let records = cloud.evidence("rotate-random").await;
    let runs: BTreeSet<_> = records.iter().map(|(_, record)| record["run_id"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), records.len());
    assert!(records.len() > points.len() / 2);
    write("rotate-random", &points, json!({}));
}

/// Kills the function at a call of a rotation; `None` when it makes fewer calls.
async fn crash(cloud: &Cloud, name: &str, case: Case, kill: Kill) -> Option<Value> {
    cloud.calm().await;
    let secret = match case {
        Case::Field => Secret::field(cloud, name).await,
        Case::Plain | Case::Refused => Secret::plain(cloud, name).await,
    };
    cloud.calm().await;
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    if let Case::Refused = case {
        cloud.fault(json!({"action": "PutSecretValue", "effect": "error", "status": 400, "code": "AccessDeniedException"})).await;
    }
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    if cloud.hits("kill").await == 0 {
        let undisturbed = if let Case::Refused = case { "waiting" } else { "succeeded" };
        assert_eq!(rotation["state"], undisturbed, "{rotation}");
        return None;
    }
    assert_eq!(rotation["state"], "waiting", "a killed step is a failed step: {rotation}");
    let current = secret.labelled("AWSCURRENT").await;
    let moved = current.as_ref() == Some(&token);
    assert!(moved || current.as_ref() == Some(&secret.first), "AWSCURRENT is on neither version");
    let killed = cloud.calls(before).await.0.last().cloned();
    let step = rotation["error"]["step"].clone();

    cloud.admin(Method::DELETE, "faults", None).await;
    secret.retry().await;
    let rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    if rotation["state"] == "succeeded" {
        secret.finished(&token, &secret.first).await;
    }
    // Reported once, or twice if the crash fell between the message and its record.
    let messages = cloud.messages(&token).await;
    let reported = messages.iter().filter(|message| message.contains("Segredo rotacionado")).count();
    assert!((1..=2).contains(&reported), "{kill}: reported {reported} times");
    Some(json!({
        "operation": killed,
        "step": step,
        "end": rotation["state"],
        "attempts": rotation["attempts"],
        "reported": reported,
    }))
}

/// The secret that is rotated while `rotate-database` is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rotated {
    /// A single user, the same for every point.
    SingleUser,
    /// An ordinary user that becomes a pair, a new one for every point.
    FirstSetUp,
    /// A pair, the same for every point.
    AlternatingUsers,
}

#[tokio::test]
async fn every_crash_point_of_rotate_database_recovers() {
    let cloud = Cloud::connect("rotate-database").await;
    cloud.calm().await;
    let mut points = Vec::new();
    let (mut probers, mut logins, mut failures) = (json!({}), 0, 0);
    for (case, major, least) in
        [(Rotated::SingleUser, 15, 25), (Rotated::FirstSetUp, 18, 25), (Rotated::AlternatingUsers, 18, 25)]
    {
        let strategy = if case == Rotated::SingleUser { Strategy::Single } else { Strategy::Alternating };
        let name = format!("matrix_{case:?}").to_lowercase();
        let lasting = Credential::new(&cloud, major, strategy, &name).await;
        if case == Rotated::AlternatingUsers {
            lasting.secret.rotate().await;
        }
        let probed = RefCell::new(Probed::default());
        let lasting_prober = Prober::start(&lasting.server, &lasting.secret.arn, &lasting.user).await;
        let of_case = points_and_reads(least, async |kill| {
            let point = if case == Rotated::FirstSetUp {
                let name = format!("{name}_{kill}").replace('-', "_");
                let fresh = Credential::new(&cloud, major, strategy, &name).await;
                let prober = Prober::start(&fresh.server, &fresh.secret.arn, &fresh.user).await;
                let point = crash_database(&fresh, &prober, kill).await;
                probed.borrow_mut().add(prober.end());
                point
            } else {
                crash_database(&lasting, &lasting_prober, kill).await
            };
            let mut point = point?;
            point["case"] = json!(format!("{case:?}"));
            Some(point)
        });
        points.extend(of_case.await);
        let mut probed = probed.into_inner();
        probed.add(lasting_prober.end());
        if strategy == Strategy::Alternating {
            assert_eq!(probed.failures, Vec::<String>::new());
        } else {
            // Inherent to the strategy: the old password is invalid. Nothing else fails.
            let other = probed.failures.iter().find(|failure| !failure.contains("28P01"));
            assert_eq!(other, None);
            assert!(!probed.longest_window.is_zero());
        }
        if strategy == Strategy::Alternating {
            logins += probed.logins;
            failures += probed.failures.len();
        }
        probers[format!("{case:?}")] = json!({
            "prober_logins": probed.logins,
            "prober_failures": probed.failures.len(),
            "longest_window_ms": u64::try_from(probed.longest_window.as_millis()).unwrap(),
        });
    }
    let records = cloud.evidence("rotate-database").await;
    let runs: BTreeSet<_> = records.iter().map(|(_, record)| record["run_id"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), records.len());
    // The totals are those of alternating users; `probers` has each strategy's.
    let report = json!({"prober_logins": logins, "prober_failures": failures, "probers": probers});
    write("rotate-database", &points, report);
}

#[tokio::test]
async fn every_crash_point_of_rotate_database_ending_a_leaked_login_recovers() {
    let cloud = Cloud::connect("rotate-database").await;
    cloud.calm().await;
    let mut points = Vec::new();
    for (strategy, least) in [(Strategy::Alternating, 10), (Strategy::Single, 8)] {
        let of_strategy = points_and_reads(least, async |kill| {
            let name = format!("leak_{kill}").replace('-', "_");
            let credential = Credential::new(&cloud, 18, strategy, &name).await;
            end_leaked(&credential, kill).await
        });
        points.extend(of_strategy.await);
    }
    cloud.wipe("ledger/").await;
    write("rotate-database-leaked", &points, json!({}));
}

/// Kills the function while it ends a leaked login; `None` when it makes fewer calls.
async fn end_leaked(credential: &Credential<'_>, kill: Kill) -> Option<Value> {
    let (cloud, leaked) = (credential.cloud(), &credential.secret.first);
    let thief = credential.enter(leaked).await.unwrap();
    let token = credential.secret.rotate().await;
    incident(credential, &token, leaked, "proved").await;
    cloud.calm().await;
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    let first = cloud.invoke(json!({"retire": true})).await;
    let is_killed = cloud.hits("kill").await > 0;
    let killed = cloud.calls(before).await.0.last().cloned();
    cloud.admin(Method::DELETE, "faults", None).await;
    let answer = if is_killed { cloud.invoke(json!({"retire": true})).await } else { first };
    let answer = answer.unwrap_or_else(|error| panic!("{kill} ({killed:?}): {error}"));
    assert_eq!(line(credential, &answer).0, "ended", "{kill} ({killed:?})");
    assert!(!is_alive(&thief).await && !credential.logs_in(leaked).await, "{kill} ({killed:?})");
    credential.works(&token).await;
    let reported = cloud.messages("Credencial vazada está morta").await;
    let reported = reported.iter().filter(|reported| reported.contains(&credential.secret.arn)).count();
    assert!((1..=2).contains(&reported), "{kill} ({killed:?}): reported {reported} times");
    is_killed.then(|| json!({"operation": killed, "reported": reported, "end": "succeeded"}))
}

/// Kills the function at a call of a rotation, of AWS or of the database; `None` when it makes fewer calls.
async fn crash_database(credential: &Credential<'_>, prober: &Prober, kill: Kill) -> Option<Value> {
    let (cloud, secret) = (credential.cloud(), &credential.secret);
    cloud.calm().await;
    let from = secret.labelled("AWSCURRENT").await.unwrap();
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    if cloud.hits("kill").await == 0 {
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        credential.finished(&token, &from).await;
        return None;
    }
    assert_eq!(rotation["state"], "waiting", "a killed step is a failed step: {rotation}");
    let killed = cloud.calls(before).await.0.last().cloned();
    let step = rotation["error"]["step"].clone();
    // From now until the service's retry, some labelled credential logs in.
    let current = secret.labelled("AWSCURRENT").await.unwrap();
    let good = credential.logs_in(&current).await;
    if !good {
        assert_eq!(credential.strategy, Strategy::Single, "{kill} {killed:?}: AWSCURRENT does not log in");
        assert!(credential.logs_in(&token).await, "{kill} {killed:?}: neither logs in");
    }
    let probed = prober.twice_more().await;
    cloud.admin(Method::DELETE, "faults", None).await;
    secret.retry().await;
    let rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    if rotation["state"] == "succeeded" {
        credential.finished(&token, &from).await;
    }
    let lines = cloud.log_lines(&token).await;
    let windows = lines.iter().filter(|line| line.contains("rotation.window_ms")).count();
    let expected = if credential.strategy == Strategy::Single { 1..=2 } else { 0..=0 };
    assert!(expected.contains(&windows), "{kill} {killed:?}: the window is logged {windows} times");
    let messages = cloud.messages(&token).await;
    let reported = messages.iter().filter(|message| message.contains("Segredo rotacionado")).count();
    assert!((1..=2).contains(&reported), "{kill} ({killed:?}): reported {reported} times: {rotation}");
    Some(json!({
        "operation": killed,
        "step": step,
        "current_good_after_crash": good,
        "probed_until_retry": probed,
        "end": rotation["state"],
        "attempts": rotation["attempts"],
        "reported": reported,
    }))
}

/// Writes the counts to `target/matrix/<function>.json`; fails when a point has not recovered.
pub(crate) fn write(function: &str, points: &[Value], more: Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/matrix");
    std::fs::create_dir_all(&folder).unwrap();
    let recovered = points.iter().filter(|point| point["end"] == "succeeded").count();
    let mut report = json!({"function": function, "points": points.len(), "recovered": recovered});
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    report["each"] = json!(points);
    std::fs::write(folder.join(format!("{function}.json")), format!("{report:#}\n")).unwrap();
    assert_eq!(recovered, points.len(), "see target/matrix/{function}.json");
}

/// The same for a function with several kinds of failures: the points of each kind, and more about it. One file has all
/// kinds of this run.
pub(crate) fn write_kinds<'a>(
    function: &'static str,
    kinds: impl IntoIterator<Item = (&'a str, Vec<Value>, Value)>,
) {
    static ALL: Mutex<BTreeMap<&str, BTreeMap<String, Value>>> = Mutex::new(BTreeMap::new());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/matrix");
    std::fs::create_dir_all(&folder).unwrap();
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let of_function = all.entry(function).or_default();
    let mut lost = Vec::new();
    for (kind, points, more) in kinds {
        let not_recovered = points.iter().filter(|point| point["end"] != "succeeded");
        let not_recovered: Vec<_> = not_recovered.map(|point| format!("{kind}: {point}")).collect();
        let recovered = points.len() - not_recovered.len();
        lost.extend(not_recovered);
        let mut report = json!({"tried": points.len(), "recovered": recovered});
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        report["each"] = json!(points);
        of_function.insert(kind.to_owned(), report);
    }
    let report = json!({"function": function, "kinds": of_function});
    std::fs::write(folder.join(format!("{function}.json")), format!("{report:#}\n")).unwrap();
    assert!(lost.is_empty(), "not recovered:\n{}", lost.join("\n"));
}
