//! After all other end-to-end tests: no value that any secret ever had stands in a log, in the evidence or in the
//! channel, neither as it is nor encoded.
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
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::Value;

/// How PostgreSQL's verifier of a password begins.
const VERIFIER: &str = "SCRAM-SHA-256$";

#[tokio::test]
async fn no_secret_value_stands_anywhere() {
    let cloud = cloud::Cloud::connect("rotate-random").await;
    let values = values(&cloud).await;
    assert!(values.len() > 100, "only {} values: run the end-to-end tests first", values.len());

    let mut places = BTreeMap::new();
    let messages = channel(&cloud).await;
    assert!(messages.len() > 100, "only {} messages in the channel", messages.len());
    places.insert("the call log".to_owned(), cloud.admin(Method::GET, "calls", None).await.to_string());
    places.insert("the board".to_owned(), cloud.admin(Method::GET, "github/issues", None).await.to_string());
    let proposed = cloud.admin(Method::GET, "github/repository", None).await.to_string();
    places.insert("the repository".to_owned(), proposed);
    for folder in ["inventory/", "ledger/"] {
        for key in cloud.keys(folder).await {
            places.insert(key.clone(), cloud.text(&key).await);
        }
    }
    let mails = cloud.admin(Method::GET, "ses/messages", None).await.to_string();
    places.insert("the mails".to_owned(), mails);
    // The audit has one record a day; the tests of the follow-up and of external credentials hide what others left.
    for (function, least) in [
        ("backup-audit", 0),
        ("inventory-audit", 0),
        ("rotate-random", 50),
        ("rotate-database", 50),
        ("rotate-external", 0),
        ("rotation-audit", 0),
        ("rotation-followup", 0),
        ("snapshot-create", 0),
        ("snapshot-verify", 0),
    ] {
        let of_function = messages.iter().filter(|message| message.contains(function)).count();
        assert!(of_function > least / 3, "only {of_function} messages of {function}");
        let cloud = cloud::Cloud::connect(function).await;
        let records = cloud.evidence(function).await;
        assert!(records.len() > least, "only {} evidence records of {function}", records.len());
        places.extend(records.into_iter().map(|(key, record)| (key, record.to_string())));
        let lines = cloud.log_lines("").await;
        assert!(lines.len() > 100, "only {} log lines of {function}", lines.len());
        places.insert(format!("the log of {function}"), lines.join("\n"));
    }
    places.insert("the channel".to_owned(), messages.join("\n"));

    // What the functions answered.
    let mut pages = cloud.secrets.list_secrets().into_paginator().send();
    while let Some(page) = pages.next().await {
        for secret in page.unwrap().secret_list() {
            let path = format!("rotations?secret={}", secret.name().unwrap());
            let answers = cloud.admin(Method::GET, &path, None).await.to_string();
            places.insert(format!("the answers for {}", secret.name().unwrap()), answers);
        }
    }
    for (place, text) in &places {
        assert!(!text.contains(VERIFIER), "a verifier stands in {place}");
    }

    for path in cloud_logs() {
        let log = std::fs::read(&path).unwrap();
        places.insert(path.display().to_string(), String::from_utf8_lossy(&log).into_owned());
    }
    // The databases of the tests log every statement.
    for database in ["rds-test-pg15.log", "rds-test-pg18.log"] {
        let (place, log) = places.iter().find(|(place, _)| place.ends_with(database)).expect(database);
        assert!(log.contains(VERIFIER), "no password was set in {place}");
    }

    let tokens = cloud.admin(Method::GET, "rotations/tokens", None).await;
    let tokens: Vec<_> =
        tokens["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    assert!(tokens.len() > 50, "only {} RotationTokens", tokens.len());
    let tokens = tokens.into_iter().map(|token| ("a RotationToken".to_owned(), token.to_owned()));
    let values: Vec<_> = values.into_iter().chain(tokens).collect();

    for major in [15, 18] {
        let server = server::Server::of(&cloud, major).await;
        let seen = server.master("postgres").await.query("SELECT query FROM pg_stat_statements", &[]).await;
        let seen: Vec<String> = seen.unwrap().iter().map(|row| row.get(0)).collect();
        assert!(seen.iter().any(|query| query.contains(VERIFIER)), "no password was set on {major}");
        places.insert(format!("pg_stat_statements of {major}"), seen.join("\n"));
    }

    let patterns: Vec<_> = values
        .iter()
        .flat_map(|(name, value)| forms(value).into_iter().map(move |form| (name, form)))
        .collect();
    let search = aho_corasick::AhoCorasick::new(patterns.iter().map(|(_, form)| form)).unwrap();
    let mut found = BTreeSet::new();
    for (place, text) in &places {
        for hit in search.find_iter(text) {
            found.insert(format!("a value of {} stands in {place}", patterns[hit.pattern().as_usize()].0));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Every message that the channel ever took, also as it was before an update.
async fn channel(cloud: &cloud::Cloud) -> Vec<String> {
    let taken = cloud.admin(Method::GET, "slack/messages?all=1", None).await;
    taken["messages"].as_array().unwrap().iter().map(Value::to_string).collect()
}

/// Every value of every secret, those of deprecated versions too, with the secret's name.
async fn values(cloud: &cloud::Cloud) -> Vec<(String, String)> {
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
                // Single words of a test, such as "plain", stand in texts for other reasons.
                let all = fields.chain([text.clone()]).filter(|text| text.len() >= 7);
                values.extend(all.map(|text| (name.to_owned(), text)));
            }
        }
    }
    values
}

/// What is secret in a document: every string, but in one of a login, at any depth, only its passwords and those in its
/// URLs.
fn secret_strings(document: &Value) -> Vec<String> {
    strings(document, ["username", "email"].iter().any(|name| document.get(name).is_some()))
}

fn strings(value: &Value, login: bool) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            // The id of an access key is no secret: IAM's own logs and commands name it.
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

/// The password in the URL of a database.
fn password_of(text: &str) -> Option<String> {
    let rest = text.strip_prefix("postgres")?.split_once("://")?.1;
    let (_, password) = rest.split_once('@')?.0.split_once(':')?;
    Some(percent_encoding::percent_decode_str(password).decode_utf8().ok()?.into_owned())
}

/// A value as it is, base64 at each of the three places it may have in a longer text, percent-encoded, in JSON.
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
    // The random bytes themselves, should somebody print them.
    if let Ok(bytes) = STANDARD.decode(value) {
        forms.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    forms
}

/// `%2B` as `%2b`.
fn lower_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| text + "%" + &piece[..2].to_lowercase() + &piece[2..])
}

/// The logs of the local cloud's own process and of its databases: in the state folder, or beside it in `logs`.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn cloud_logs() -> Vec<PathBuf> {
    let facts = PathBuf::from(std::env::var("LOCALCLOUD").unwrap());
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
