//! `cargo xtask demo`: every procedure once, on real input, with its outcome and its evidence.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::{Aws, text};
use crate::cloud::Place;
use crate::deploy::{self, JWT_SECRET, PREFIX};
use crate::repo::{Repo, digest};
use crate::run::{self, Interrupted, Log, Progress};
use crate::table::table;
use crate::{function, up};

/// One procedure as the demo shows it: what it does, and how; gives the key of its evidence.
struct Procedure {
    name: &'static str,
    title: &'static str,
    show: fn(&mut Show<'_>) -> Result<String>,
}

const PROCEDURES: &[Procedure] = &[Procedure {
    name: "rotate-random",
    title: "rotates JWT_SECRET when an AWS CLI calls RotateSecret",
    show: rotate_random,
}];

/// One line of the table and of `results.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    procedure: &'static str,
    outcome: String,
    seconds: f64,
    evidence_key: Option<String>,
}

impl Outcome {
    fn is_right(&self) -> bool {
        self.outcome == "passed"
    }
}

/// What a procedure works with.
struct Show<'a> {
    aws: &'a Aws,
    log: &'a Log,
    say: &'a mut dyn FnMut(&str),
    evidence_bucket: String,
}

/// `cargo xtask demo`.
pub(crate) fn demo(repo: &Repo, keep: bool) -> Result<bool> {
    let _lock = repo.lock()?;
    let mut progress = Progress::new(repo.local().join("logs/demo"), up::STEPS, false);
    let mut running = up::bring_up(repo, &Place::new(repo, "cloud"), None, &mut progress)?;
    let log = Log::create(repo.local().join("logs/demo/procedures.log"))?;
    let outcomes = perform(repo, &running.aws, &log, &mut |line| println!("{line}"))?;
    if keep {
        running.down.keep();
        println!("the local cloud runs until `cargo xtask down`; `cargo xtask up` prints how to talk to it");
    }
    running.down.now()?;
    Ok(outcomes.iter().all(Outcome::is_right))
}

/// The demo on a cloud of its own, for `cargo xtask test`.
pub(crate) fn demo_for_test(repo: &Repo, place: &Place, log: &Log) -> Result<()> {
    let cloud = place.start(repo, None, log)?;
    let aws = Aws::new(repo, &cloud);
    deploy::deploy(repo, &aws, log)?;
    let outcomes = perform(repo, &aws, log, &mut |line| drop(log.line(line)))?;
    let wrong: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.is_right()).map(|outcome| outcome.procedure).collect();
    ensure!(wrong.is_empty(), "not right: {}", wrong.join(", "));
    Ok(())
}

/// Does every procedure, prints the table and writes `target/demo/results.json`.
fn perform(repo: &Repo, aws: &Aws, log: &Log, say: &mut dyn FnMut(&str)) -> Result<Vec<Outcome>> {
    let outputs = deploy::outputs(aws, log)?;
    let bucket = outputs.get("EvidenceBucket").context("the stack has no output EvidenceBucket")?;
    let mut outcomes = Vec::new();
    for procedure in PROCEDURES {
        say(&format!("\n── {}: {}", procedure.name, procedure.title));
        let started = Instant::now();
        let mut show = Show { aws, log, say: &mut *say, evidence_bucket: bucket.clone() };
        let result = (procedure.show)(&mut show);
        let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (outcome, evidence_key) = match result {
            Ok(key) => ("passed".to_owned(), Some(key)),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => (format!("failed: {error:#}"), None),
        };
        outcomes.push(Outcome { procedure: procedure.name, outcome, seconds, evidence_key });
    }
    say(&format!("\n{}", table(&rows(&outcomes))));
    let folder = repo.at("target/demo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("results.json"), format!("{}\n", serde_json::to_string_pretty(&outcomes)?))?;
    Ok(outcomes)
}

fn rows(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let head = ["procedure", "outcome", "seconds", "evidence key"].map(str::to_owned).to_vec();
    let row = |outcome: &Outcome| {
        let key = outcome.evidence_key.clone().unwrap_or_else(|| "none".to_owned());
        vec![outcome.procedure.to_owned(), outcome.outcome.clone(), format!("{:.1}", outcome.seconds), key]
    };
    std::iter::once(head).chain(outcomes.iter().map(row)).collect()
}

fn rotate_random(show: &mut Show<'_>) -> Result<String> {
    let function = format!("{PREFIX}-rotate-random");
    let settled = wait_until_settled(show);
    let rotated = settled.and_then(|()| rotate_jwt_secret(show, &function));
    if let Err(error) = &rotated
        && !error.is::<Interrupted>()
    {
        explain(show, &function);
    }
    rotated
}

/// A deployment that sets a schedule makes the service test the set-up; that ends before the rotation that is shown.
fn wait_until_settled(show: &Show<'_>) -> Result<()> {
    run::wait_for("the test that the deployment started", Duration::from_secs(60), || {
        let secret = show.aws.secrets("DescribeSecret", &json!({"SecretId": JWT_SECRET}))?;
        let versions = versions(&secret);
        Ok(holder(&versions, "AWSPENDING").is_none().then_some(()))
    })
}

fn rotate_jwt_secret(show: &mut Show<'_>, function: &str) -> Result<String> {
    let describe = ["secretsmanager", "describe-secret", "--secret-id", JWT_SECRET];
    let before = show.aws.ask(&describe, show.log)?;
    let old = Fingerprint::current(show.aws)?;
    let messages_before = messages(show.aws)?.len();
    (show.say)("versions before:");
    list(show.say, &versions(&before));

    let mut rotate = vec!["secretsmanager", "rotate-secret", "--secret-id", JWT_SECRET];
    let configuration = show.aws.function(function)?;
    let arn = text(&configuration, "/FunctionArn").context("the function has no ARN")?;
    if text(&before, "/RotationLambdaARN").is_none() {
        rotate.extend(["--rotation-lambda-arn", arn, "--rotation-rules", "AutomaticallyAfterDays=90"]);
    }
    (show.say)(&format!("$ aws {}", rotate.join(" ")));
    let answer = show.aws.ask(&rotate, show.log)?;
    let token = text(&answer, "/VersionId").context("RotateSecret answered without a VersionId")?.to_owned();

    run::wait_for("the rotation to end", Duration::from_secs(90), || {
        let secret = show.aws.secrets("DescribeSecret", &json!({"SecretId": JWT_SECRET}))?;
        let now = versions(&secret);
        let promoted = holder(&now, "AWSCURRENT") == Some(token.as_str());
        Ok((promoted && holder(&now, "AWSPENDING").is_none()).then_some(()))
    })?;
    let after = show.aws.ask(&describe, show.log)?;
    (show.say)("versions after:");
    list(show.say, &versions(&after));

    let new = Fingerprint::current(show.aws)?;
    new.check_jwt_secret(&old)?;
    (show.say)("the value is a new one: 48 bytes in base64");

    let message = run::wait_for("the channel message", Duration::from_secs(30), || {
        Ok(messages(show.aws)?
            .into_iter()
            .skip(messages_before)
            .find(|message| message.to_string().contains(JWT_SECRET)))
    })?;
    let channel = text(&message, "/channel").unwrap_or("?").to_owned();
    (show.say)(&format!("message in {channel}:"));
    for line in texts(&message).iter().flat_map(|text| text.lines()) {
        (show.say)(&format!("  {line}"));
    }

    let key = run::wait_for("the evidence", Duration::from_secs(30), || {
        evidence_of(show.aws, show.log, &show.evidence_bucket, "rotate-random", &token)
    })?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// The key of the record that a run left.
fn evidence_of(aws: &Aws, log: &Log, bucket: &str, procedure: &str, run_id: &str) -> Result<Option<String>> {
    let prefix = format!("evidence/{procedure}/");
    let listing = aws.ask(&["s3api", "list-objects-v2", "--bucket", bucket, "--prefix", &prefix], log)?;
    for object in listing.get("Contents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let Some(key) = text(object, "/Key") else { continue };
        let record = aws.wire("s3", "GET", &format!("/{bucket}/{key}"), &[], &[])?;
        let record: Value = serde_json::from_slice(&record.body)
            .with_context(|| format!("the evidence {key} is not JSON"))?;
        if text(&record, "/run_id") == Some(run_id) {
            return Ok(Some(key.to_owned()));
        }
    }
    Ok(None)
}

/// Says what can be known about a rotation that did not end well.
fn explain(show: &mut Show<'_>, function: &str) {
    match show.aws.admin("GET", &format!("rotations?secret={JWT_SECRET}"), None) {
        Ok(state) => (show.say)(&format!("the rotation: {state:#}")),
        Err(error) => (show.say)(&format!("the rotation's state is not known: {error:#}")),
    }
    match function::events(show.aws, function) {
        Ok(events) => {
            (show.say)(&format!("the end of the log of {function}:"));
            for event in events.iter().skip(events.len().saturating_sub(30)) {
                (show.say)(&format!("  {}", event.message));
            }
        }
        Err(error) => (show.say)(&format!("the log of {function} cannot be read: {error:#}")),
    }
}

fn messages(aws: &Aws) -> Result<Vec<Value>> {
    let answer = aws.admin("GET", "slack/messages", None)?;
    Ok(answer.get("messages").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// What a person reads of a message: the texts of its blocks.
fn texts(message: &Value) -> Vec<String> {
    let blocks = message.get("blocks").and_then(Value::as_array).cloned().unwrap_or_default();
    let elements =
        |block: &Value| block.get("elements").and_then(Value::as_array).cloned().unwrap_or_default();
    let places = blocks.iter().flat_map(|block| [vec![block.clone()], elements(block)].concat());
    places
        .filter_map(|place| text(&place, "/text/text").or(text(&place, "/text")).map(str::to_owned))
        .collect()
}

/// Version ids and their stages.
fn versions(secret: &Value) -> BTreeMap<String, Vec<String>> {
    let map = secret.get("VersionIdsToStages").and_then(Value::as_object);
    let stages = |value: &Value| {
        let stages = value.as_array().map(Vec::as_slice).unwrap_or_default();
        stages.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    map.into_iter().flatten().map(|(id, value)| (id.clone(), stages(value))).collect()
}

fn holder<'a>(versions: &'a BTreeMap<String, Vec<String>>, stage: &str) -> Option<&'a str> {
    versions.iter().find(|(_, stages)| stages.iter().any(|held| held == stage)).map(|(id, _)| id.as_str())
}

fn list(say: &mut dyn FnMut(&str), versions: &BTreeMap<String, Vec<String>>) {
    for (id, stages) in versions {
        say(&format!(
            "  {id}  {}",
            if stages.is_empty() { "no stage".to_owned() } else { stages.join(", ") }
        ));
    }
}

/// What may be known of a secret's value.
struct Fingerprint {
    sha256: String,
    characters: usize,
    decoded_bytes: Option<usize>,
}

impl Fingerprint {
    fn current(aws: &Aws) -> Result<Self> {
        let answer =
            aws.secrets("GetSecretValue", &json!({"SecretId": JWT_SECRET, "VersionStage": "AWSCURRENT"}))?;
        Ok(Self::of(text(&answer, "/SecretString").context("the secret has no string value")?))
    }

    fn of(value: &str) -> Self {
        Self {
            sha256: digest(&[value.as_bytes()]),
            characters: value.chars().count(),
            decoded_bytes: STANDARD.decode(value).ok().map(|bytes| bytes.len()),
        }
    }

    fn check_jwt_secret(&self, old: &Self) -> Result<()> {
        if self.sha256 == old.sha256 {
            bail!("the value is the old one");
        }
        // The application refuses to start with less.
        ensure!(self.characters >= 32, "the value has {} characters", self.characters);
        ensure!(self.decoded_bytes == Some(48), "the value is not base64 of 48 bytes");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_secret_is_new_and_48_bytes_in_base64() {
        let value = |byte: u8, length: usize| Fingerprint::of(&STANDARD.encode(vec![byte; length]));
        assert!(value(1, 48).check_jwt_secret(&value(2, 48)).is_ok());
        assert!(value(1, 48).check_jwt_secret(&value(1, 48)).is_err());
        assert!(value(1, 47).check_jwt_secret(&value(2, 48)).is_err());
        assert!(Fingerprint::of(&"_".repeat(64)).check_jwt_secret(&value(2, 48)).is_err());
    }

    #[test]
    fn the_holder_of_a_stage_is_found() {
        let secret = json!({"VersionIdsToStages": {"a": ["AWSPREVIOUS"], "b": ["AWSCURRENT", "x"], "c": []}});
        let versions = versions(&secret);
        assert_eq!(holder(&versions, "AWSCURRENT"), Some("b"));
        assert_eq!(holder(&versions, "AWSPENDING"), None);
    }

    #[test]
    fn the_table_has_a_line_for_every_outcome() {
        let outcomes =
            [Outcome { procedure: "p", outcome: "passed".into(), seconds: 1.26, evidence_key: None }];
        assert_eq!(rows(&outcomes)[1], ["p", "passed", "1.3", "none"]);
    }
}
