//! Changes of the policy on the wire: real SDK, real signing, an S3 of a few objects, and GitHub and Slack as a web
//! API.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use inventory_audit::{App, AuditError, Report, handle};
use serde_json::{Value, json};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::{Web, answered, variables};

const NOW: &str = "2026-03-02T12:00:00Z";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const PATH: &str = "policy/dev.json";

/// The daily schedule's input.
const DAILY: &str = include_str!("../../../../events/inventory-audit/policy-daily.json");
const PUT: &str = include_str!("../../../../events/inventory-audit/policy-changed.json");
const WEEKLY: &str = include_str!("../../../../events/inventory-audit/weekly.json");

/// The evidence bucket, with the policy's versions.
#[derive(Default)]
struct Bucket {
    /// Id and content of the policy's versions, oldest first; a delete marker has no content.
    policy: Vec<(String, Option<String>)>,
    objects: BTreeMap<String, String>,
    /// Whether listing the policy's versions is refused.
    is_policy_refused: bool,
    /// Prefix below which puts are refused.
    refused: Option<&'static str>,
    /// Keys of refused puts.
    turned_away: Vec<String>,
}

impl Bucket {
    fn answer(&mut self, request: &Request<SdkBody>) -> (u16, String) {
        let uri = request.uri();
        let query: BTreeMap<String, String> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
            .collect();
        let key =
            uri.path().trim_start_matches('/').trim_start_matches("evidence-bucket").trim_start_matches('/');
        let denied = || (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned());
        let prefix = query.get("prefix").map(String::as_str).unwrap_or_default();
        if query.contains_key("versions") && prefix == shared::policy::KEY {
            return if self.is_policy_refused { denied() } else { (200, self.versions()) };
        }
        if query.contains_key("versions") || query.contains_key("list-type") {
            let of =
                |key: &String| format!("<Key>{key}</Key><VersionId>1</VersionId><IsLatest>true</IsLatest>");
            let found = self.objects.keys().find(|key| key.starts_with(prefix)).map(of).unwrap_or_default();
            let (list, one) = if query.contains_key("versions") {
                ("ListVersionsResult", "Version")
            } else {
                ("ListBucketResult", "Contents")
            };
            let found = if found.is_empty() { found } else { format!("<{one}>{found}</{one}>") };
            return (200, format!("<{list}><Name>evidence-bucket</Name>{found}</{list}>"));
        }
        if request.method() == "PUT" {
            if self.refused.is_some_and(|prefix| key.starts_with(prefix)) {
                self.turned_away.push(key.to_owned());
                return denied();
            }
            let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
            self.objects.insert(key.to_owned(), body);
            return (200, String::new());
        }
        let version = query.get("versionId");
        let content = match self.policy.iter().find(|(id, _)| version == Some(id)) {
            Some((_, content)) => content.as_ref(),
            None => self.objects.get(key),
        };
        content.map_or_else(denied, |content| (200, content.clone()))
    }

    fn versions(&self) -> String {
        let count = self.policy.len();
        let element = |(place, (id, content)): (usize, &(String, Option<String>))| {
            let common = format!(
                "<Key>{}</Key><VersionId>{id}</VersionId><IsLatest>{}</IsLatest><LastModified>2026-03-01T11:{place:02}:00.000Z</LastModified>",
                shared::policy::KEY,
                place + 1 == count
            );
            match content {
                Some(content) => format!("<Version>{common}<Size>{}</Size></Version>", content.len()),
                None => format!("<DeleteMarker>{common}</DeleteMarker>"),
            }
        };
        let all: Vec<String> = self.policy.iter().enumerate().map(element).collect();
        let all: String = all.into_iter().rev().collect();
        format!("<ListVersionsResult><Name>evidence-bucket</Name>{all}</ListVersionsResult>")
    }
}

/// An environment, and a GitHub with the commit of `file` on main.
struct World {
    bucket: Arc<Mutex<Bucket>>,
    /// The alarms, as Cloud Control lists them; refused if there is no list.
    alarms: Arc<Mutex<Option<Value>>>,
    web: Web,
    app: App,
}

impl World {
    fn new(file: Option<&str>) -> Self {
        let file = file.map(str::to_owned);
        let web = Web::new(move |request| {
            let path = request.uri().path();
            let answer = match &file {
                _ if path.ends_with("/chat.postMessage") => json!({"ok": true}),
                _ if path.contains("/compare/") => json!({"status": "behind"}),
                Some(_) if path.ends_with("/git/ref/heads/main") => json!({"ref": "refs/heads/main"}),
                Some(_) if path.contains("/contents/docs/gone") => {
                    let missing = Response::builder().status(404).body(json!({"message": "Not Found"}));
                    return Some(missing.unwrap());
                }
                Some(file) => {
                    json!({"type": "file", "encoding": "base64", "sha": "x", "content": STANDARD.encode(file)})
                }
                None => {
                    let missing = Response::builder().status(404).body(json!({"message": "Not Found"}));
                    return Some(missing.unwrap());
                }
            };
            Some(Response::new(answer))
        });
        let bucket = Arc::<Mutex<Bucket>>::default();
        let alarms = Arc::<Mutex<Option<Value>>>::default();
        let (held, listed) = (Arc::clone(&bucket), Arc::clone(&alarms));
        let aws = answered(move |request| {
            let host = request.uri().host().unwrap_or_default();
            let (status, body) = if host.contains("s3.") {
                held.lock().unwrap().answer(request)
            } else if host.starts_with("secretsmanager.") && is_value(request) {
                let is_slack = request.body().bytes().unwrap().ends_with(br#""slack"}"#);
                let token = if is_slack { "xoxb-1" } else { "github_pat_1" };
                (200, json!({"SecretString": token}).to_string())
            } else if host.starts_with("cloudcontrolapi.")
                && let Some(alarms) = listed.lock().unwrap().as_ref()
            {
                let is_metric =
                    String::from_utf8_lossy(request.body().bytes().unwrap()).contains("Watch::Alarm");
                let found = if is_metric { alarms.clone() } else { json!([]) };
                (200, json!({"ResourceDescriptions": found}).to_string())
            } else if host.starts_with("sns.") {
                let id = "<MessageId>1</MessageId>";
                (200, format!("<PublishResponse><PublishResult>{id}</PublishResult></PublishResponse>"))
            } else {
                (400, r#"{"__type": "AccessDeniedException"}"#.to_owned())
            };
            let answer = Response::builder().status(status).header("etag", "\"1\"");
            answer.body(SdkBody::from(body)).unwrap()
        });
        let variables = variables(&[
            ("ENVIRONMENT", "dev"),
            ("EVIDENCE_BUCKET", "evidence-bucket"),
            ("GITHUB_REPOSITORY", "o/n"),
            ("SLACK_SECRET_NAME", "slack"),
            ("SLACK_API_URL", web.url()),
            ("GITHUB_API_URL", web.url()),
            ("TERRAFORM_STATE_BUCKET", ""),
            ("TERRAFORM_STATE_KEY", ""),
        ]);
        let app = App::new(&Env::new(&variables), &aws).unwrap();
        Self { bucket, alarms, web, app }
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap()
    }

    /// Puts a version of the policy; returns its id.
    fn put(&self, content: &str) -> String {
        let mut bucket = self.bucket();
        let id = format!("v{}", bucket.policy.len() + 1);
        bucket.policy.push((id.clone(), Some(content.to_owned())));
        id
    }

    async fn invoke(&self, event: &str) -> Result<Report, AuditError> {
        let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(240));
        handle(&self.app, serde_json::from_str(event).unwrap(), &invocation).await
    }

    /// The records of a chain, oldest first.
    fn records(&self, chain: &str) -> Vec<Value> {
        let prefix = format!("evidence/{chain}/");
        let bucket = self.bucket();
        let records = bucket.objects.iter().rev().filter(|(key, _)| key.starts_with(&prefix));
        records.map(|(_, record)| serde_json::from_str(record).unwrap()).collect()
    }

    /// The messages in the channel.
    fn messages(&self) -> Vec<String> {
        let asked = self.web.asked();
        let posted = asked.iter().filter(|one| one.uri().path().ends_with("/chat.postMessage"));
        posted.map(|one| one.body().to_string()).collect()
    }
}

/// Whether a request reads a secret's value.
fn is_value(request: &Request<SdkBody>) -> bool {
    let target = request.headers().get("x-amz-target");
    target.is_some_and(|target| target.as_bytes().ends_with(b".GetSecretValue"))
}

/// Runs a test on an 8 MiB stack, as the function's main thread has: unoptimised futures overflow a test thread's 2
/// MiB.
fn run(test: impl AsyncFnOnce() + Send + 'static) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(move || runtime().block_on(test())).unwrap().join().unwrap();
}

fn patch(days: u16) -> String {
    json!({"backups": {"audit": {"grafana_days": days}}}).to_string()
}

fn document(days: u16) -> String {
    let patch: Value = serde_json::from_str(&patch(days)).unwrap();
    json!({"format": 1, "author": "Ana", "commit": COMMIT, "path": PATH, "applied_at": NOW, "patch": patch})
        .to_string()
}

#[test]
fn the_daily_look_records_a_change_whose_event_was_lost() {
    run(async || {
        let world = World::new(Some(&patch(10)));
        let id = world.put(&document(10));
        for (event, expected) in [(DAILY, id.as_str()), (DAILY, ""), (PUT, "")] {
            assert_eq!(world.invoke(event).await.unwrap().run_id, expected, "{event}");
        }
        let [record] = world.records("policy").try_into().unwrap();
        assert_eq!((&record["result"], &record["findings"]), (&json!("succeeded"), &json!([])), "{record}");
        // The inventory is not audited.
        assert_eq!(world.records("inventory-audit"), Vec::<Value>::new());
        assert_eq!(world.messages().len(), 1);
    });
}

#[test]
fn the_applied_policy_is_compared_with_the_file_of_its_commit() {
    run(async || {
        for (file, without_path, expected, part) in [
            (Some(patch(10)), false, None, "é o que foi aplicado"),
            (Some(patch(11)), false, Some("policy.differs"), "grafana_days: 11 → 10"),
            (None, false, Some("policy.differs"), "the commit has no policy/dev.json"),
            (Some(patch(10)), true, Some("policy.unverified"), "does not say which file"),
        ] {
            let world = World::new(file.as_deref());
            let mut applied: Value = serde_json::from_str(&document(10)).unwrap();
            if without_path {
                applied.as_object_mut().unwrap().remove("path");
            }
            world.put(&applied.to_string());
            world.invoke(PUT).await.unwrap();
            let [record] = world.records("policy").try_into().unwrap();
            let finding = record["findings"][0].as_str().and_then(|finding| finding.split(' ').next());
            assert_eq!(finding, expected, "{record}");
            let [message] = world.messages().try_into().unwrap();
            assert!(message.contains(part) && message.contains("grafana_days: 31 → 10"), "{message}");
            let asked = world.web.asked();
            let asked = asked.iter().map(|one| one.uri().to_string());
            let looked = asked.filter(|uri| uri.ends_with(&format!("/contents/{PATH}?ref={COMMIT}"))).count();
            assert_eq!(looked, usize::from(!without_path));
        }
    });
}

#[test]
fn no_version_is_recorded_after_one_without_a_record() {
    run(async || {
        let world = World::new(Some(&patch(10)));
        let first = world.put(&document(10));
        let second = world.put(&document(11));
        world.bucket().refused = Some("evidence/policy/");
        assert_eq!(world.invoke(PUT).await.unwrap().run_id, "");
        assert_eq!(world.bucket().turned_away.len(), 1, "the second version would hide the first");
        assert_eq!(world.messages().len(), 1);
        // The next run records both, in order.
        world.bucket().refused = None;
        assert_eq!(world.invoke(DAILY).await.unwrap().run_id, format!("{first} {second}"));
        let runs: Vec<_> = world.records("policy").iter().map(|record| record["run_id"].clone()).collect();
        assert_eq!(runs, [json!(first), json!(second)]);
    });
}

#[test]
fn a_broken_version_is_announced_once() {
    run(async || {
        let world = World::new(Some(&patch(10)));
        world.put(&document(10));
        world.invoke(PUT).await.unwrap();
        for is_first in [true, false] {
            let before = world.messages().len();
            let notes = |world: &World| {
                let bucket = world.bucket();
                let notes = bucket.objects.iter().filter(|(key, _)| key.starts_with("runs/policy-notice/"));
                notes.map(|(_, note)| serde_json::from_str(note).unwrap()).collect::<Vec<Value>>()
            };
            let id = world.put("{}");
            if !is_first {
                // The version was announced before, but its record was lost.
                world.invoke(PUT).await.unwrap();
                world.bucket().objects.retain(|key, _| !key.contains("/policy/9999999996"));
                let rest = world.records("policy").len();
                assert_eq!(rest, 2);
            }
            world.invoke(PUT).await.unwrap();
            let records = world.records("policy");
            let record = records.last().unwrap();
            assert_eq!(record["run_id"], json!(id));
            assert!(record["findings"][0].as_str().unwrap().starts_with("policy.broken "), "{record}");
            let messages = world.messages();
            assert_eq!(messages.len(), before + 1, "{messages:?}");
            assert!(messages[before].contains("A política nova tem um erro"), "{messages:?}");
            assert!(messages[before].contains("a versão anterior v1"), "{messages:?}");
            let announced = record["steps"].to_string();
            let outcome = if is_first { "\"sent\"" } else { "sent before" };
            assert!(announced.contains(outcome), "{announced}");
            assert!(notes(&world).iter().all(|note| note["is_told"] == json!(true)));
        }
    });
}

#[test]
fn a_runbook_that_is_not_there_and_one_that_was_not_checked_are_findings() {
    run(async || {
        let alarm = |name: &str, description: &str| {
            let alarm = json!({"AlarmName": name, "AlarmDescription": description}).to_string();
            json!({"Identifier": name, "Properties": alarm})
        };
        let alarms = json!([
            alarm("moveongs-dev-5xx", "runbook_url=docs/api.md"),
            alarm("moveongs-dev-pool", "runbook_url=https://github.com/o/n/blob/main/docs/gone.md#passos"),
            alarm("moveongs-dev-wiki", "runbook_url=https://wiki.example.org/api"),
        ]);
        let found = |report: &Report| -> Vec<String> {
            let rows =
                report.resources.iter().filter(|row| ["alarms", "runbook"].contains(&row.kind.as_str()));
            rows.map(|row| format!("{} {}: {}", row.kind, row.name, row.findings.join(" "))).collect()
        };
        let gone = "runbook https://github.com/o/n/blob/main/docs/gone.md#passos";
        let unchecked = |link: &str| format!("runbook {link}: RunbookUnchecked");
        let wiki = unchecked("https://wiki.example.org/api");
        // The repository has the file that one of them names, and no other.
        let world = World::new(Some("# API"));
        *world.alarms.lock().unwrap() = Some(alarms.clone());
        let report = world.invoke(WEEKLY).await.unwrap();
        let mut rows = found(&report);
        rows.sort_unstable();
        assert_eq!(rows, [format!("{gone}: RunbookMissing"), wiki.clone()]);
        let message = world.messages().join(" ");
        assert!(message.contains("RunbookMissing"), "{message}");
        // A token that cannot see the repository gets 404 for everything: nothing is missing then.
        let world = World::new(None);
        *world.alarms.lock().unwrap() = Some(alarms);
        let mut rows = found(&world.invoke(WEEKLY).await.unwrap());
        rows.sort_unstable();
        let mut expected = [unchecked("docs/api.md"), format!("{gone}: RunbookUnchecked"), wiki];
        expected.sort_unstable();
        assert_eq!(rows, expected);
        // Without the alarms, nothing is known.
        let world = World::new(Some("# API"));
        let rows = found(&world.invoke(WEEKLY).await.unwrap());
        assert_eq!(rows, ["alarms moveongs-dev: InsufficientData"]);
    });
}

#[test]
fn unreadable_changes_fail_the_run_and_appear_in_its_record() {
    run(async || {
        let world = World::new(None);
        world.bucket().is_policy_refused = true;
        for event in [PUT, DAILY] {
            let error = world.invoke(event).await.unwrap_err();
            assert_eq!(error.kind(), "PolicyUnseen", "{event}");
        }
        assert_eq!(world.messages(), Vec::<String>::new());
        // The weekly audit continues without them.
        let report = world.invoke(WEEKLY).await.unwrap();
        assert_eq!(report.result, "failed");
        let [record] = world.records("inventory-audit").try_into().unwrap();
        let steps = record["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == "look at changes of the policy").unwrap();
        let outcome = step["outcome"].as_str().unwrap();
        assert!(outcome.starts_with("failed: ") && outcome.contains("AccessDenied"), "{outcome}");
    });
}
