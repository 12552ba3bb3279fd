//! After all other end-to-end tests: no value that any secret ever had appears in a log, in the evidence or in the
//! channel, neither plain nor encoded.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../e2e/cloud.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests")]
mod cloud;
#[path = "../e2e/server.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests")]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::Value;

use cloud::Cloud;

/// Logs in which the tests' databases show verifiers.
const DATABASES: [&str; 4] =
    ["rds-test-pg15", "rds-test-pg18", "pg_stat_statements of 15", "pg_stat_statements of 18"];

/// Prefix of PostgreSQL's password verifiers.
const VERIFIER: &str = "SCRAM-SHA-256$";

/// The functions, with the minimum number of evidence records. The audits have one per day; the tests of the follow-up
/// and of external credentials, of post-mortems, and of the governance page, hide the records of others; the pager's record
/// is its table.
const FUNCTIONS: [(&str, usize); 19] = [
    ("attachment-restore-test", 0),
    ("backup-audit", 1),
    ("emergency-restore", 1),
    ("governance-report", 1),
    ("grafana-export", 1),
    ("incident-clock", 0),
    ("incident-page", 0),
    ("incident-send", 0),
    ("inventory-audit", 1),
    ("onboarding", 0),
    ("postmortem", 0),
    ("restore-test", 1),
    ("rotate-database", 51),
    ("rotate-external", 1),
    ("rotate-random", 51),
    ("rotation-audit", 1),
    ("rotation-followup", 1),
    ("snapshot-create", 1),
    ("snapshot-verify", 1),
];

/// The searched values and texts.
#[derive(Default)]
struct Search {
    /// Every value with the name of its secret.
    values: Vec<(String, String)>,
    places: BTreeMap<String, String>,
    /// Numbers of searched texts by kind, because an empty search proves nothing.
    found: BTreeMap<String, usize>,
}

#[tokio::test]
async fn no_secret_value_stands_anywhere() {
    let mut search = Search::default();
    for path in Cloud::all() {
        search.take_in(&path).await;
    }
    search.has_all();
    for (place, text) in &search.places {
        // The tests' databases log every statement; statements that set a password contain a verifier.
        let is_of_database = place.starts_with("pg_stat_statements") || place.ends_with(".log");
        assert!(is_of_database || !text.contains(VERIFIER), "a verifier stands in {place}");
    }
    let patterns: Vec<_> = search
        .values
        .iter()
        .flat_map(|(name, value)| forms(value).into_iter().map(move |form| (name, form)))
        .collect();
    let automaton = aho_corasick::AhoCorasick::new(patterns.iter().map(|(_, form)| form)).unwrap();
    let mut found = BTreeSet::new();
    for (place, text) in &search.places {
        for hit in automaton.find_iter(text) {
            found.insert(format!("a value of {} stands in {place}", patterns[hit.pattern().as_usize()].0));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

impl Search {
    fn count(&mut self, what: impl Into<String>, number: usize) {
        *self.found.entry(what.into()).or_default() += number;
    }

    /// Adds everything of one local cloud.
    async fn take_in(&mut self, facts: &Path) {
        let mut cloud = Cloud::of(facts, "rotate-random").await;
        let of = |place: &str| format!("{place} of {}", facts.display());
        let values = values(&cloud).await;
        self.count("values", values.len());
        self.values.extend(values);
        let tokens = cloud.admin(Method::GET, "rotations/tokens", None).await;
        let tokens = tokens["tokens"].as_array().unwrap();
        self.count("RotationTokens", tokens.len());
        let tokens = tokens.iter().map(|token| token.as_str().unwrap().to_owned());
        self.values.extend(tokens.map(|token| ("a RotationToken".to_owned(), token)));

        for (place, path) in [
            ("the call log", "calls"),
            ("the board", "github/issues"),
            ("the repository", "github/repository"),
            ("the mails", "ses/messages"),
            ("the topics' mails", "sns/mails"),
            ("the SMS", "sns/sms"),
            ("PagerDuty's events", "pagerduty/events"),
        ] {
            self.places.insert(of(place), cloud.admin(Method::GET, path, None).await.to_string());
        }
        for folder in ["inventory/", "ledger/"] {
            for key in cloud.keys(folder).await {
                self.places.insert(of(&key), cloud.text(&key).await);
            }
        }
        let scan = serde_json::json!({"TableName": "moveongs-dev-incidents"});
        let incidents = cloud.json_call("dynamodb", "DynamoDB_20120810.Scan", scan).await;
        self.places.insert(of("the incidents"), incidents.to_string());
        let messages = channel(&cloud).await;
        for (function, _) in FUNCTIONS {
            let of_function = messages.iter().filter(|message| message.contains(function)).count();
            self.count(format!("messages of {function}"), of_function);
            cloud.procedure = function;
            let records = cloud.evidence(function).await;
            self.count(format!("records of {function}"), records.len());
            self.places.extend(records.into_iter().map(|(key, record)| (of(&key), record.to_string())));
            let lines = cloud.log_lines("").await;
            self.count(format!("lines of {function}"), lines.len());
            self.places.insert(of(&format!("the log of {function}")), lines.join("\n"));
        }
        self.places.insert(of("the channel"), messages.join("\n"));
        self.count("messages", messages.len());

        // The functions' answers.
        let mut pages = cloud.secrets.list_secrets().into_paginator().send();
        while let Some(page) = pages.next().await {
            for secret in page.unwrap().secret_list() {
                let name = secret.name().unwrap();
                let path = format!("rotations?secret={name}");
                let answers = cloud.admin(Method::GET, &path, None).await.to_string();
                self.places.insert(of(&format!("the answers for {name}")), answers);
            }
        }
        for path in cloud_logs(facts) {
            let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            let name = path.file_stem().unwrap().to_string_lossy();
            self.count(format!("verifiers in {name}"), log.matches(VERIFIER).count());
            self.places.insert(path.display().to_string(), log);
        }
        for major in [15, 18] {
            let server = server::Server::of(&cloud, major).await;
            let seen =
                server.master("postgres").await.query("SELECT query FROM pg_stat_statements", &[]).await;
            let seen: Vec<String> = seen.unwrap().iter().map(|row| row.get(0)).collect();
            let verifiers = seen.iter().filter(|query| query.contains(VERIFIER)).count();
            let place = format!("pg_stat_statements of {major}");
            self.count(format!("verifiers in {place}"), verifiers);
            self.places.insert(of(&place), seen.join("\n"));
        }
    }

    /// Fails if there was less to search than the end-to-end tests produce.
    fn has_all(&self) {
        let mut wanted = [("values", 101), ("RotationTokens", 51), ("messages", 101)]
            .map(|(what, least)| (what.to_owned(), least))
            .to_vec();
        for (function, records) in FUNCTIONS {
            wanted.push((format!("records of {function}"), records));
            wanted.push((format!("messages of {function}"), records.div_ceil(3)));
            wanted.push((format!("lines of {function}"), 101));
        }
        for place in DATABASES {
            wanted.push((format!("verifiers in {place}"), 1));
        }
        for (what, least) in wanted {
            let found = self.found.get(&what).copied().unwrap_or_default();
            assert!(found >= least, "only {found} of {what}: run the end-to-end tests first");
        }
    }
}

/// Every message ever posted to the channel, including versions before updates.
async fn channel(cloud: &Cloud) -> Vec<String> {
    let taken = cloud.admin(Method::GET, "slack/messages?all=1", None).await;
    taken["messages"].as_array().unwrap().iter().map(Value::to_string).collect()
}

/// Every value of every secret with the secret's name, including deprecated versions.
async fn values(cloud: &Cloud) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut pages = cloud.secrets.list_secrets().into_paginator().send();
    while let Some(page) = pages.next().await {
        for secret in page.unwrap().secret_list() {
            let name = secret.name().unwrap();
            let versions =
                cloud.secrets.list_secret_version_ids().secret_id(name).include_deprecated(true).send().await;
            for version in versions.unwrap().versions() {
                let found = cloud
                    .secrets
                    .get_secret_value()
                    .secret_id(name)
                    .version_id(version.version_id().unwrap());
                let Some(text) = found.send().await.unwrap().secret_string else { continue };
                let document = serde_json::from_str(&text).unwrap_or_default();
                let fields = secret_strings(&document).into_iter().chain(password_of(&text));
                // Single words of a test, such as "plain", also occur in texts for other reasons.
                let all = fields.chain([text.clone()]).filter(|text| text.len() >= 7);
                values.extend(all.map(|text| (name.to_owned(), text)));
            }
        }
    }
    values
}

/// The secret strings of a document: all of them; in a login document, at any depth, only passwords and those in URLs.
fn secret_strings(document: &Value) -> Vec<String> {
    strings(document, ["username", "email"].iter().any(|name| document.get(name).is_some()))
}

fn strings(value: &Value, login: bool) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            // The id of an access key is not secret: IAM's own logs and commands show it.
            let fields = fields.iter().filter(|(key, _)| !key.ends_with("ACCESS_KEY_ID"));
            let strings = fields.flat_map(|(key, field)| match field {
                Value::String(text) if login && !key.to_lowercase().contains("password") => {
                    password_of(text).into_iter().collect()
                }
                field => strings(field, login),
            });
            strings.collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| strings(item, login)).collect(),
        Value::String(text) => [text.clone()].into_iter().chain(password_of(text)).collect(),
        _ => Vec::new(),
    }
}

/// The password in a database's URL.
fn password_of(text: &str) -> Option<String> {
    let rest = text.strip_prefix("postgres")?.split_once("://")?.1;
    let (_, password) = rest.split_once('@')?.0.split_once(':')?;
    Some(percent_encoding::percent_decode_str(password).decode_utf8().ok()?.into_owned())
}

/// A value plain, in base64 at each of the three offsets in a longer text, percent-encoded, and in JSON.
fn forms(value: &str) -> Vec<String> {
    let mut forms =
        vec![value.to_owned(), serde_json::to_string(value).unwrap().trim_matches('"').to_owned()];
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for lead in 0..3_usize {
            let shifted = engine.encode([vec![0; lead], value.as_bytes().to_vec()].concat());
            // The first and last characters also depend on the neighbours.
            forms.push(shifted[(lead * 4).div_ceil(3)..shifted.len() - 2].to_owned());
        }
    }
    let percent = |reserved: fn(u8) -> bool| -> String {
        let byte = |b: u8| if reserved(b) { format!("%{b:02X}") } else { char::from(b).to_string() };
        value.bytes().map(byte).collect()
    };
    for encoded in [
        percent(|b| !b.is_ascii_alphanumeric()),
        percent(|b| !b.is_ascii_alphanumeric() && !b"-._~".contains(&b)),
    ] {
        forms.push(lower_escapes(&encoded));
        forms.push(encoded);
    }
    // The random bytes themselves, in case code prints them.
    if let Ok(bytes) = STANDARD.decode(value) {
        forms.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    forms
}

/// Escapes in lower case: `%2b` for `%2B`.
fn lower_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| text + "%" + &piece[..2].to_lowercase() + &piece[2..])
}

/// The logs of a local cloud's own process and of its databases: in the state folder, or beside it in `logs`.
fn cloud_logs(facts: &Path) -> Vec<PathBuf> {
    let state = facts.parent().unwrap();
    let mut logs = vec![state.join("../logs").join(state.file_name().unwrap()).with_extension("log")];
    for folder in [state.to_owned(), state.join("logs")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        logs.extend(entries.map(|entry| entry.unwrap().path()));
    }
    logs.retain(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "log"));
    assert!(!logs.is_empty(), "no log of the local cloud beside {}", facts.display());
    logs
}

#[test]
fn each_form_of_a_value_is_recognised() {
    let value = "dev secret+change/me==";
    let encoded = STANDARD.encode(format!("ab{value}cd"));
    let found = |text: &str| forms(value).iter().any(|form| text.contains(form));
    assert!(found("x dev secret+change/me== y"));
    assert!(found(&encoded), "{encoded}");
    assert!(found(&STANDARD.encode(format!("a{value}"))));
    assert!(found(&STANDARD.encode(value)));
    assert!(found("pw=dev%20secret%2Bchange%2Fme%3D%3D&"));
    assert!(found("pw=dev%20secret%2bchange%2fme%3d%3d&"));
    assert!(!found("dev secret"));
}
