//! The chapter of `attachment-restore-test`: the application's attachments, sound; then one altered and one deleted, each
//! named with the command that brings it back, and the same sample again.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Show, evidence_of, invoked, messages, texts};
use crate::aws::text;
use crate::deploy::{APP_KEY, ATTACHMENTS};
use crate::table::table;

/// Id and key of the attachments of `tests/application/application.sql`; the content of the first is `attachment 1`.
const SEEDED: [(&str, &str); 8] = [
    ("a857d18d-3fc2-3ad4-1212-2ef040733331", "6d34da6c-b422-d3b2-58a2-4b245b50728f.pdf"),
    ("9f991a56-69c4-7a94-f935-0f53e3953e57", "3ecbcd0c-b816-e985-d15f-e56510d08d8b.pdf"),
    ("d6c7ac7c-f295-ae13-3fea-186cfd068dab", "bfe4e82c-4b58-6054-9c2c-9fb3e5ccf35e.pdf"),
    ("1158c850-9aed-252f-0c33-21a71efc1d4e", "c1dfeb2e-a1fd-c4b5-3abb-abce6a7b1880.pdf"),
    ("4978e2d9-50f2-5de5-66a0-f7937ce0801f", "b4767a73-088e-6924-c527-7f1bd09913d0.pdf"),
    ("7a8b4ce5-3004-cc76-1d93-733681970a66", "f4fef649-ebfe-1b23-465b-f6e584a8d49a.pdf"),
    ("43c135d3-a894-d979-41cd-930b2acb28ba", "6688145f-beb1-af19-2897-1cf8291f6fbb.pdf"),
    ("20db3d21-8f22-96d4-36a5-261010bc60ff", "98b52900-6d96-a776-fed4-138f6cad1ece.pdf"),
];

/// Runs the chapter; returns the key of the sound run's evidence.
pub(super) fn show(show: &mut Show<'_>) -> Result<String> {
    for (number, (_, key)) in SEEDED.iter().enumerate() {
        put(show, key, format!("attachment {}", number + 1).as_bytes())?;
    }
    (show.say)("every attachment is as the database says:");
    let (report, _) = tested(show, &json!({}))?;
    ensure!(text(&report, "/verdict") == Some("pass"), "sound attachments did not pass: {report}");
    let seed = text(&report, "/seed").context("the run has no seed")?.to_owned();
    let run_id = text(&report, "/run_id").context("the run has no id")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "attachment-restore-test", run_id)?;
    let key = key.context("the run left no evidence")?;

    let [(_, altered), (_, deleted), ..] = SEEDED;
    put(show, altered, b"something else")?;
    wire(show, "DELETE", &format!("/{ATTACHMENTS}/{deleted}"), &[])?;
    (show.say)(&format!("{altered} gets another content, and {deleted} is deleted; the same sample:"));
    let (report, told) = tested(show, &json!({"seed": seed}))?;
    ensure!(text(&report, "/verdict") == Some("fail"), "damaged attachments passed: {report}");
    let findings = report.get("findings").map(Value::to_string).unwrap_or_default();
    for kind in ["WrongContent", "Hidden"] {
        ensure!(findings.contains(kind), "{kind} was not found: {findings}");
    }

    (show.say)("the two commands of the message:");
    for command in advised(&told) {
        (show.say)(&format!("$ aws {}", command.join(" ")));
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        show.aws.ask(&words, show.log)?;
    }
    let (report, _) = tested(show, &json!({"seed": seed}))?;
    ensure!(text(&report, "/verdict") == Some("pass"), "the commands did not cure: {report}");
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// Runs the function and shows its checks and the channel's messages; returns its report and the messages.
fn tested(show: &mut Show<'_>, event: &Value) -> Result<(Value, Vec<Value>)> {
    let before = messages(show.aws)?.len();
    let report = invoked(show, "attachment-restore-test", event)?;
    let mut rows = vec![["check", "lines"].map(str::to_owned).to_vec()];
    for (check, verdicts) in report.get("checks").and_then(Value::as_object).into_iter().flatten() {
        rows.push(vec![check.clone(), verdicts.to_string()]);
    }
    (show.say)(&table(&rows));
    let told: Vec<Value> = messages(show.aws)?.into_iter().skip(before).collect();
    for message in &told {
        for line in texts(message).iter().flat_map(|text| text.lines()) {
            (show.say)(&format!("  {line}"));
        }
    }
    Ok((report, told))
}

/// The words of the commands for S3 in the messages, after `aws`, each once.
fn advised(told: &[Value]) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    for message in told {
        for text in texts(message) {
            for code in text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("aws s3api ")) {
                // The shell's quotes are around one word without blanks.
                let words = code.split(' ').skip(1).map(|word| word.trim_matches('\'').to_owned()).collect();
                if !commands.contains(&words) {
                    commands.push(words);
                }
            }
        }
    }
    commands
}

fn put(show: &Show<'_>, key: &str, content: &[u8]) -> Result<()> {
    wire(show, "PUT", &format!("/{ATTACHMENTS}/{key}"), content)
}

fn wire(show: &Show<'_>, method: &str, path: &str, body: &[u8]) -> Result<()> {
    let headers = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", APP_KEY),
    ];
    let headers = if method == "PUT" { &headers[..] } else { &[] };
    let answer = show.aws.wire("s3", method, path, headers, body)?;
    ensure!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    Ok(())
}
