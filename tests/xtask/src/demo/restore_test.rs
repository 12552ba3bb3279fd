//! The chapter of `restore-test`: a sound snapshot with its figures, then a copy with each of seven damages.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Show, evidence_of, messages, texts, wait_for_instance, wait_for_snapshot};
use crate::aws::text;
use crate::deploy::{self, PREFIX};
use crate::run;

/// One damage of a snapshot's data: what is done, and the object that the finding names.
struct Damage {
    name: &'static str,
    sql: &'static [&'static str],
    /// A relation of which a byte is flipped.
    flip: Option<&'static str>,
    object: &'static str,
}

const DAMAGES: [Damage; 7] = [
    Damage { name: "truncated table", sql: &["TRUNCATE attachments"], flip: None, object: "attachments" },
    Damage {
        name: "broken foreign key",
        sql: &[
            "SET session_replication_role = replica",
            "DELETE FROM beneficiaries WHERE id = (SELECT beneficiary_id FROM enrollments ORDER BY id LIMIT 1)",
        ],
        flip: None,
        object: "enrollments_beneficiary_id_fkey",
    },
    Damage {
        name: "missing index",
        sql: &["DROP INDEX idx_enrollments_cohort"],
        flip: None,
        object: "enrollments",
    },
    Damage {
        name: "sequence behind its column",
        sql: &["SELECT setval('audit_logs_id_seq', 1, false)"],
        flip: None,
        object: "audit_logs_id_seq",
    },
    Damage {
        name: "stale data",
        sql: &["UPDATE audit_logs SET created_at = created_at - interval '30 days'"],
        flip: None,
        object: "audit_logs.created_at",
    },
    Damage {
        name: "revoked privilege",
        // A rotation may have made another user the owner.
        sql: &[
            "DO $$ DECLARE owner name; BEGIN SELECT tableowner INTO owner FROM pg_tables WHERE tablename = 'enrollments'; EXECUTE format('REVOKE INSERT ON enrollments FROM %I', owner); END $$",
        ],
        flip: None,
        object: "enrollments",
    },
    Damage { name: "corrupted page", sql: &[], flip: Some("beneficiaries"), object: "beneficiaries" },
];

/// Runs the chapter; returns the key of the sound snapshot's evidence.
pub(super) fn show(show: &mut Show<'_>) -> Result<String> {
    // An earlier demo on the same cloud has its own snapshots.
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let sound = format!("{PREFIX}-demo-{demo}-sound");
    (show.say)("a baseline of the source, as every day, and then a snapshot:");
    let ended = executed(show, &json!({"baseline": true}))?;
    ensure!(text(&ended, "/status") == Some("SUCCEEDED"), "no baseline: {ended}");
    // The function compares whole seconds.
    run::pause(Duration::from_secs(1))?;
    wait_for_instance(show)?;
    let create = ["rds", "create-db-snapshot", "--db-snapshot-identifier", &sound];
    show.aws.ask(&[&create[..], &["--db-instance-identifier", deploy::DATABASE]].concat(), show.log)?;
    wait_for_snapshot(show, &sound, "us-east-1")?;

    let ended = executed(show, &json!({"snapshot": sound}))?;
    ensure!(text(&ended, "/status") == Some("SUCCEEDED"), "the sound snapshot was not proved: {ended}");
    say_messages(show, &sound)?;
    nothing_is_left(show)?;
    let run_id = text(&ended, "/name").context("the execution has no name")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "restore-test", run_id)?;
    let key = key.context("the test left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));

    for (number, damage) in DAMAGES.iter().enumerate() {
        (show.say)(&format!("now a copy with this damage: {}", damage.name));
        let copy = format!("{sound}-{number}");
        let ask = ["rds", "copy-db-snapshot", "--source-db-snapshot-identifier", &sound];
        show.aws.ask(&[&ask[..], &["--target-db-snapshot-identifier", &copy]].concat(), show.log)?;
        wait_for_snapshot(show, &copy, "us-east-1")?;
        let flip: Vec<_> = damage.flip.iter().map(|relation| json!({"relation": relation})).collect();
        let order = json!({"snapshot": copy, "sql": damage.sql, "flip": flip});
        show.aws.admin("POST", "rds/damage", Some(&order))?;
        let ended = executed(show, &json!({"snapshot": copy}))?;
        ensure!(text(&ended, "/error") == Some("ProofFailed"), "{} passed: {ended}", damage.name);
        let named = findings(show, &copy)?;
        ensure!(!named.is_empty(), "the channel has no finding about {copy}");
        for line in &named {
            (show.say)(&format!("  {line}"));
        }
        let is_named = named.iter().any(|line| line.contains(damage.object));
        ensure!(is_named, "{} is not named: {}", damage.object, named.join("; "));
        nothing_is_left(show)?;
        let delete = ["rds", "delete-db-snapshot", "--db-snapshot-identifier", &copy];
        show.aws.ask(&delete, show.log)?;
    }
    Ok(key)
}

/// Starts the state machine and returns the ended execution.
fn executed(show: &mut Show<'_>, input: &Value) -> Result<Value> {
    let outputs = deploy::outputs(show.aws, show.log)?;
    let machine = outputs.get("RestoreTestStateMachine").context("the stack has no state machine")?;
    let input = input.to_string();
    (show.say)(&format!(
        "$ aws stepfunctions start-execution --state-machine-arn {machine} --input '{input}'"
    ));
    let start = ["stepfunctions", "start-execution", "--state-machine-arn", machine, "--input", &input];
    let started = show.aws.ask(&start, show.log)?;
    let execution = text(&started, "/executionArn").context("the execution has no ARN")?.to_owned();
    let describe = ["stepfunctions", "describe-execution", "--execution-arn", &execution];
    run::wait_for("the restore test", Duration::from_secs(120), || {
        let described = show.aws.ask(&describe, show.log)?;
        Ok((text(&described, "/status") != Some("RUNNING")).then_some(described))
    })
}

/// The channel's messages about a snapshot.
fn say_messages(show: &mut Show<'_>, about: &str) -> Result<()> {
    let all = messages(show.aws)?;
    let about: Vec<_> = all.iter().filter(|message| message.to_string().contains(about)).collect();
    ensure!(!about.is_empty(), "the channel has no message about the test");
    for message in about {
        for line in texts(message).iter().flat_map(|text| text.lines()) {
            (show.say)(&format!("  {line}"));
        }
    }
    Ok(())
}

/// The findings in the channel's messages about a snapshot, worst first.
fn findings(show: &Show<'_>, about: &str) -> Result<Vec<String>> {
    let all = messages(show.aws)?;
    let about = all.iter().filter(|message| message.to_string().contains(about));
    let lines = about.flat_map(texts).flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    Ok(lines.filter(|line| line.starts_with('•')).collect())
}

fn nothing_is_left(show: &mut Show<'_>) -> Result<()> {
    let all = show.aws.ask(&["rds", "describe-db-instances"], show.log)?;
    ensure!(!all.to_string().contains(&format!("\"{PREFIX}-restore-test-")), "an instance is left: {all}");
    Ok(())
}
