//! The function's AWS in memory: a bucket with all versions, CloudWatch, Lambda, SES, SNS and Secrets Manager. Strict: a call
//! that it does not know is a panic.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use futures_util::FutureExt;
use governance_report::{App, Report, ReportError, handle};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::runtime::env::Env;
use shared::runtime::lambda::Invocation;
use shared::testing::{Web, answered, variables};

/// Monday, 10:30 in São Paulo.
pub(crate) const NOW: &str = "2026-11-30T13:30:00Z";
const EVIDENCE: &str = "evidence";

type Response = http::Response<SdkBody>;

/// A version of an object; none for a delete marker.
#[derive(Clone)]
pub(crate) struct Version {
    id: String,
    content: Option<String>,
}

/// What the calls share.
#[derive(Default)]
pub(crate) struct State {
    /// Versions by bucket and key, the oldest first.
    pub objects: BTreeMap<(String, String), Vec<Version>>,
    /// Name of each call, in order.
    pub calls: Vec<String>,
    /// The call, by its number, at which the process dies, and whether before it has effect.
    pub dies: Option<(usize, bool)>,
    /// Beginnings of the names of calls that are refused.
    pub refused: Vec<String>,
    /// The call during which time passes, and how much.
    pub slow: Option<(String, Duration)>,
    /// Bytes that a read of a key gives instead of those that S3 lists.
    pub lies: BTreeMap<String, String>,
    /// Texts that were published.
    pub published: Vec<String>,
    /// Mails.
    pub mails: Vec<Value>,
    /// One more result of the drill's metrics: its query, time and status.
    pub drill: Option<(&'static str, &'static str, &'static str)>,
    /// Whether they were read.
    pub is_drill_asked: bool,
    made: u64,
}

/// A webhook on a local port, which takes everything.
pub(crate) struct Drive {
    url: String,
    /// Head and body of each request.
    taken: Arc<Mutex<Vec<(String, String)>>>,
}

impl Drive {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/sheet", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Vec<_>>>::default();
        let own = Self { url, taken: Arc::clone(&taken) };
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let mut head = String::new();
                // A client that died sends nothing.
                while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
                let length = head
                    .to_lowercase()
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                if head.is_empty() || reader.read_exact(&mut body).is_err() {
                    continue;
                }
                taken.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
                let _ = connection
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        own
    }

    /// Head and body of each request.
    pub(crate) fn taken(&self) -> Vec<(String, String)> {
        self.taken.lock().unwrap().clone()
    }
}

pub(crate) struct Cloud {
    pub(crate) state: Arc<Mutex<State>>,
    slack: Web,
    pub(crate) drive: Drive,
    pub(crate) more: Vec<(&'static str, String)>,
    /// Hour of the pager's drill; empty for none.
    pub(crate) hour: &'static str,
    /// Time of an invocation.
    pub(crate) time: Duration,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        let slack =
            Web::new(|_| Some(http::Response::new(json!({"ok": true, "channel": "C1", "ts": "1.1"}))));
        Self {
            state: Arc::default(),
            slack,
            drive: Drive::new(),
            more: Vec::new(),
            hour: "10",
            time: Duration::from_secs(600),
        }
    }

    /// One with everything that is optional.
    pub(crate) fn whole() -> Self {
        let more = [
            ("MANAGER_EMAIL", "gestao@moveongs.org"),
            ("SES_FROM_ADDRESS", "no-reply@moveongs.org"),
            ("SHEET_WEBHOOK_SECRET_NAME", "sheet"),
            ("OTHER_EVIDENCE_BUCKETS", "staging-evidence"),
            ("ANCHOR_BUCKET", "anchors"),
        ];
        let more = more.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { more, ..Self::new() }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, content: &str) {
        self.with(|state| state.put(bucket, key, content));
    }

    /// Appends a record to a chain.
    pub(crate) fn record(&self, procedure: &str, run_id: &str, ended: &str, more: &Value) {
        let records = self.chain(procedure);
        let place = |sequence: usize| format!("evidence/{procedure}/{:010}.json", 9_999_999_999 - sequence);
        let previous = records.last().map(|(key, text)| json!({"key": key, "sha256": hash(text)}));
        let instant = json!({"utc": ended, "local": "x"});
        let mut record = json!({
            "schema": 1, "procedure": procedure, "sequence": records.len() + 1, "previous": previous,
            "run_id": run_id, "project": "moveongs", "environment": "dev", "trigger": "test",
            "subject": "x", "started": instant, "ended": instant, "steps": [], "findings": [],
            "result": "succeeded", "code_version": "x", "channel": "sent",
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.put(EVIDENCE, &place(records.len() + 1), &record.to_string());
    }

    /// Key and text of a chain's records, the oldest first.
    pub(crate) fn chain(&self, procedure: &str) -> Vec<(String, String)> {
        let prefix = format!("evidence/{procedure}/");
        let all = self.with(|state| state.current(EVIDENCE));
        all.into_iter().filter(|(key, _)| key.starts_with(&prefix)).rev().collect()
    }

    pub(crate) fn object(&self, key: &str) -> String {
        let all = self.with(|state| state.current(EVIDENCE));
        all.get(key).unwrap_or_else(|| panic!("{key} is not in {:?}", all.keys())).clone()
    }

    /// The page's document.
    pub(crate) fn page(&self) -> Value {
        serde_json::from_str(&self.object("report/controls.json")).unwrap()
    }

    /// State and reason of a control.
    pub(crate) fn control(&self, id: &str) -> (String, Value) {
        let page = self.page();
        let row = page["controls"].as_array().unwrap().iter().find(|row| row["id"] == id);
        let row = row.unwrap_or_else(|| panic!("{id}"));
        (row["state"].as_str().unwrap().to_owned(), row["why"].clone())
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.slack.asked().iter().map(|request| request.body().to_string()).collect()
    }

    pub(crate) async fn ask(&self, event: Value, now: &str) -> Result<Report, ReportError> {
        let slack = format!("{}/api", self.slack.url());
        let more = self.more.iter().map(|(name, value)| (*name, value.as_str()));
        let own = [
            ("ENVIRONMENT", "dev"),
            ("EVIDENCE_BUCKET", EVIDENCE),
            ("SES_REGION", "us-east-1"),
            ("SYNTHETIC_HOUR", self.hour),
            ("SLACK_API_URL", slack.as_str()),
            ("PAGING_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:moveongs-dev-paging"),
        ];
        let unset = [
            "MANAGER_EMAIL",
            "SHEET_WEBHOOK_SECRET_NAME",
            "OTHER_EVIDENCE_BUCKETS",
            "ANCHOR_BUCKET",
            "ANCHOR_FOLDER",
        ];
        let unset = unset.map(|name| (name, ""));
        let given: Vec<_> = more.chain(own).chain(unset).collect();
        let variables = variables(&given);
        let env = Env::new(&variables).with_policy("".parse().unwrap());
        let (state, drive) = (Arc::clone(&self.state), self.drive.url.clone());
        let config = answered(move |request| {
            let (answer, dies) = {
                let mut state = state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                state.answer(request, &drive)
            };
            assert!(!dies, "the process dies");
            answer
        });
        let app = App::new(&env, &config).unwrap_or_else(|error| panic!("{error}"));
        let now: Timestamp = now.parse().unwrap();
        handle(&app, event, &Invocation::new(now, self.time)).await
    }

    pub(crate) async fn daily(&self, now: &str) -> Report {
        self.ask(json!({}), now).await.unwrap_or_else(|error| panic!("{error:?}"))
    }
}

pub(crate) fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn response(status: u16, body: impl Into<SdkBody>) -> Response {
    http::Response::builder().status(status).body(body.into()).unwrap()
}

impl State {
    fn put(&mut self, bucket: &str, key: &str, content: &str) {
        self.made += 1;
        let version = Version { id: format!("v{}", self.made), content: Some(content.to_owned()) };
        self.objects.entry((bucket.to_owned(), key.to_owned())).or_default().push(version);
    }

    /// Hides an object behind a delete marker.
    pub(crate) fn hide(&mut self, bucket: &str, key: &str) {
        self.made += 1;
        let version = Version { id: format!("v{}", self.made), content: None };
        self.objects.entry((bucket.to_owned(), key.to_owned())).or_default().push(version);
    }

    /// Exchanges an object's bytes, as nobody can in S3: the version stays.
    pub(crate) fn exchange(&mut self, bucket: &str, key: &str, content: &str) {
        let versions = self.objects.get_mut(&(bucket.to_owned(), key.to_owned())).unwrap();
        versions.last_mut().unwrap().content = Some(content.to_owned());
    }

    /// An object's bytes.
    pub(crate) fn text(&self, bucket: &str, key: &str) -> String {
        let current = self.current(bucket);
        current.get(key).unwrap_or_else(|| panic!("{key} is not in {:?}", current.keys())).clone()
    }

    /// The objects that are not hidden.
    fn current(&self, bucket: &str) -> BTreeMap<String, String> {
        let own = self.objects.iter().filter(|((of, _), _)| of == bucket);
        own.filter_map(|((_, key), versions)| Some((key.clone(), versions.last()?.content.clone()?)))
            .collect()
    }

    fn answer(&mut self, request: &http::Request<SdkBody>, drive: &str) -> (Response, bool) {
        let call = name(request);
        let number = self.calls.len();
        self.calls.push(call.clone());
        let dies = self.dies.filter(|(at, _)| *at == number);
        if let Some((_, time)) = self.slow.take_if(|(slow, _)| *slow == call) {
            tokio::time::pause();
            // Time has passed when it yields.
            assert!(tokio::time::advance(time).now_or_never().is_none());
            tokio::time::resume();
        }
        if dies.is_some_and(|(_, is_before)| is_before) {
            return (response(500, ""), true);
        }
        let answer = match self.refused.iter().any(|refused| call.starts_with(refused.as_str())) {
            true => response(403, "<Error><Code>AccessDenied</Code><Message>told</Message></Error>"),
            false => self.serve(&call, request, drive),
        };
        (answer, dies.is_some())
    }

    fn serve(&mut self, call: &str, request: &http::Request<SdkBody>, drive: &str) -> Response {
        let bytes = request.body().bytes().unwrap();
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (service, _) = call.split_once(' ').unwrap();
        match service {
            "s3" => self.s3(request, &text),
            "sns" => {
                self.published.push(text);
                response(
                    200,
                    "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
                )
            }
            "email" => {
                self.mails.push(serde_json::from_str(&text).unwrap());
                response(200, json!({"MessageId": "1"}).to_string())
            }
            "secretsmanager" => {
                let asked: Value = serde_json::from_str(&text).unwrap();
                let value = match asked["SecretId"].as_str() {
                    Some("sheet") => drive,
                    Some("github") => "github_token",
                    _ => "xoxb-1",
                };
                response(
                    200,
                    json!({"ARN": "a", "Name": "n", "VersionId": "v", "SecretString": value}).to_string(),
                )
            }
            "lambda" => response(200, json!({"MemorySize": 256, "Architectures": ["arm64"]}).to_string()),
            "monitoring" if text.contains("SyntheticRoundTrip") => {
                for part in ["Governance", "service", "moveongs-dev-incident-send", "SampleCount", "Sum"] {
                    assert!(text.contains(part), "{part}: {text}");
                }
                self.is_drill_asked = true;
                response(200, drill(self.drill)).cbor()
            }
            "monitoring" if call.ends_with("GetMetricData") => response(200, metrics()).cbor(),
            // No alarm.
            "monitoring" if call.ends_with("DescribeAlarms") => {
                response(200, [&[0xa1, 0x6c], &b"MetricAlarms"[..], &[0x80]].concat()).cbor()
            }
            _ => panic!("{call}"),
        }
    }

    fn s3(&mut self, request: &http::Request<SdkBody>, body: &str) -> Response {
        let uri = request.uri();
        let bucket = uri.host().unwrap().split('.').next().unwrap().to_owned();
        let query: BTreeMap<&str, String> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|field| field.split_once('=').unwrap_or((field, "")))
            .map(|(name, value)| (name, value.replace("%2F", "/")))
            .collect();
        if let Some(prefix) = query.get("prefix") {
            return response(200, self.list(&bucket, prefix, query.contains_key("versions")));
        }
        let key = (bucket, uri.path().trim_start_matches('/').to_owned());
        let last = self.objects.get(&key).and_then(|versions| versions.last()).cloned();
        let last = last.and_then(|version| Some((version.content?, version.id)));
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        match request.method().as_str() {
            "GET" => {
                let Some((content, id)) = last else {
                    return response(404, "<Error><Code>NoSuchKey</Code></Error>");
                };
                if header("if-match").is_some_and(|tag| tag != etag(&content)) {
                    return response(412, "<Error><Code>PreconditionFailed</Code></Error>");
                }
                let answer = http::Response::builder().header("etag", etag(&content));
                let content = self.lies.get(&key.1).cloned().unwrap_or(content);
                let answer = answer
                    .header("x-amz-version-id", id)
                    .header("last-modified", "Mon, 30 Nov 2026 13:00:00 GMT");
                answer.body(SdkBody::from(content)).unwrap()
            }
            "PUT" => {
                let is_new = header("if-none-match").is_none_or(|_| last.is_none());
                let is_same = header("if-match")
                    .is_none_or(|tag| last.is_some_and(|(content, _)| tag == etag(&content)));
                if !is_new || !is_same {
                    return response(412, "<Error><Code>PreconditionFailed</Code></Error>");
                }
                self.put(&key.0, &key.1, body);
                http::Response::builder().header("etag", etag(body)).body(SdkBody::empty()).unwrap()
            }
            other => panic!("{other} {uri}"),
        }
    }

    fn list(&self, bucket: &str, prefix: &str, has_versions: bool) -> String {
        let own = self.objects.iter().filter(|((of, key), _)| of == bucket && key.starts_with(prefix));
        let modified = "<LastModified>2026-11-30T13:00:00Z</LastModified>";
        let mut list = String::new();
        for ((_, key), versions) in own {
            if !has_versions {
                if versions.last().is_some_and(|version| version.content.is_some()) {
                    list += &format!("<Contents><Key>{key}</Key>{modified}</Contents>");
                }
                continue;
            }
            for (place, version) in versions.iter().rev().enumerate() {
                let one = format!(
                    "<Key>{key}</Key><VersionId>{}</VersionId><IsLatest>{}</IsLatest>{modified}",
                    version.id,
                    place == 0
                );
                list += &match &version.content {
                    Some(content) => {
                        // A version's ETag never changes, whatever a test does to its bytes.
                        format!(
                            "<Version>{one}<ETag>{}</ETag><Size>{}</Size></Version>",
                            etag(content),
                            content.len()
                        )
                    }
                    None => format!("<DeleteMarker>{one}</DeleteMarker>"),
                };
            }
        }
        match has_versions {
            true => format!("<ListVersionsResult><Name>{bucket}</Name>{list}</ListVersionsResult>"),
            false => format!("<ListBucketResult>{list}</ListBucketResult>"),
        }
    }
}

fn etag(content: &str) -> String {
    format!("\"{}\"", &hash(content)[..32])
}

/// Service and operation, or method and place, of a request.
fn name(request: &http::Request<SdkBody>) -> String {
    let uri = request.uri();
    let host = uri.host().unwrap();
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
    let service = ["email", "lambda", "monitoring", "secretsmanager", "sns"];
    match service.into_iter().find(|service| host.starts_with(&format!("{service}."))) {
        Some("monitoring") => format!("monitoring {}", uri.path().rsplit('/').next().unwrap()),
        Some("secretsmanager") => format!("secretsmanager {}", header("x-amz-target").unwrap()),
        Some(service) => format!("{service} {}", uri.path()),
        None => {
            let bucket = host.split('.').next().unwrap();
            let prefix =
                uri.query().unwrap_or_default().split('&').find_map(|field| field.strip_prefix("prefix="));
            let place = prefix
                .map_or_else(|| uri.path().to_owned(), |prefix| format!("?{}", prefix.replace("%2F", "/")));
            format!("s3 {} {bucket} {place}", request.method())
        }
    }
}

trait Cbor {
    fn cbor(self) -> Self;
}

impl Cbor for Response {
    fn cbor(mut self) -> Self {
        let headers = self.headers_mut();
        headers.insert("smithy-protocol", "rpc-v2-cbor".parse().unwrap());
        headers.insert("content-type", "application/cbor".parse().unwrap());
        self
    }
}

/// A text of fewer than 24 bytes in CBOR.
fn text(text: &str) -> Vec<u8> {
    [&[0x60 + u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// The pager's drill came back at 10:00 in São Paulo; and one more result.
fn drill(more: Option<(&str, &str, &str)>) -> Vec<u8> {
    let result = |(id, at, status): (&str, &str, &str)| {
        let at: Timestamp = at.parse().unwrap();
        let at = f64::from(u32::try_from(at.as_second()).unwrap());
        let times = [&[0x81, 0xc1, 0xfb][..], &at.to_be_bytes()].concat();
        let values = [&[0x81, 0xfb][..], &1.0_f64.to_be_bytes()].concat();
        let named = [&[0xa4][..], &text("Id"), &text(id), &text("StatusCode"), &text(status)].concat();
        [&named[..], &text("Timestamps"), &times, &text("Values"), &values].concat()
    };
    let first = result(("returned", "2026-11-30T13:00:00Z", "Complete"));
    let count = 0x81 + u8::from(more.is_some());
    let results = [first, more.map(result).unwrap_or_default()].concat();
    [&[0xa1][..], &text("MetricDataResults"), &[count], &results].concat()
}

/// One function with a million invocations of 100 s in all.
fn metrics() -> Vec<u8> {
    let result = |id: &str, value: f64| {
        [&[0xa2][..], &text("Id"), &text(id), &text("Values"), &[0x81, 0xfb], &value.to_be_bytes()].concat()
    };
    let results = [result("f0_0", 1e6), result("f0_1", 1e5)].concat();
    [&[0xa1][..], &text("MetricDataResults"), &[0x82], &results].concat()
}
