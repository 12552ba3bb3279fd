//! The chapter of `emergency-restore`: a rehearsal with choice, approval, cut-over, checks and the way back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Show, current, evidence_of, invoked, messages, texts, wait_for_instance};
use crate::aws::text;
use crate::deploy::{self, DATABASE_SECRET};
use crate::run;

const PROCEDURE: &str = "emergency-restore";
const STARTER: &str = "Ana Souza";
const APPROVER: &str = "Bia Lima";

/// Runs the chapter; returns the key of the rehearsal's evidence.
pub(super) fn show(show: &mut Show<'_>) -> Result<String> {
    backups(show)?;
    // From here on, a task that starts without the guard deletes rows.
    show.aws.admin("DELETE", "moveongs/retention", None)?;
    show.aws.admin("POST", "moveongs/retention", Some(&json!({"on": true})))?;
    let shown = rehearse(show);
    show.aws.admin("POST", "moveongs/retention", Some(&json!({"on": false})))?;
    let key = shown?;
    clean(show)?;
    Ok(key)
}

fn rehearse(show: &mut Show<'_>) -> Result<String> {
    let before = current(show.aws, DATABASE_SECRET)?;
    let outputs = deploy::outputs(show.aws, show.log)?;
    let machine = outputs.get("EmergencyRestoreStateMachine").context("the stack has no state machine")?;
    let input = json!({"by": STARTER, "reason": "Ensaio: o disco do banco foi perdido", "rehearsal": true,
        "observer": "Caio Reis"});
    let input = input.to_string();
    (show.say)(&format!(
        "$ aws stepfunctions start-execution --state-machine-arn {machine} --input '{input}'"
    ));
    let start = ["stepfunctions", "start-execution", "--state-machine-arn", machine, "--input", &input];
    let started = show.aws.ask(&start, show.log)?;
    let execution = text(&started, "/executionArn").context("the execution has no ARN")?.to_owned();

    let mut seen = 0;
    asks(show, &execution, "AskChoice", &mut seen)?;
    let run =
        text(&order(show, &json!({"order": "status"}))?, "/run").context("no restore is open")?.to_owned();
    let ordered = |show: &mut Show<'_>, order: &str, by: &str, more: Value| {
        let mut event = json!({"order": order, "run": run, "by": by});
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        self::order(show, &event)
    };
    ordered(show, "choose", STARTER, json!({"source": "latest"}))?;
    let verdict = asks(show, &execution, "AskApproval", &mut seen)?;
    ensure!(current(show.aws, DATABASE_SECRET)? == before, "switched without an approval");
    // Without a baseline from before, equality cannot be proved; the approval says why it is given all the same.
    let despite = match verdict.as_deref() {
        None | Some("pass" | "unavailable") => json!({}),
        Some(verdict) => json!({"despiteProof": format!("{verdict}: ensaio")}),
    };
    ordered(show, "approve", APPROVER, despite)?;
    asks(show, &execution, "Hold", &mut seen)?;
    ensure!(current(show.aws, DATABASE_SECRET)? != before, "the secret was not moved");
    (show.say)("DATABASE_URL names the new instance, and the application works with it; now back:");
    ordered(show, "rollBack", STARTER, json!({}))?;
    run::wait_for("DATABASE_URL to go back", Duration::from_secs(180), || {
        Ok((current(show.aws, DATABASE_SECRET)? == before).then_some(()))
    })?;
    asks(show, &execution, "Hold", &mut seen)?;
    (show.say)("DATABASE_URL names the old instance again, byte for byte as before");
    ordered(show, "close", STARTER, json!({}))?;
    let describe = ["stepfunctions", "describe-execution", "--execution-arn", &execution];
    let ended = run::wait_for("the restore's end", Duration::from_secs(120), || {
        let described = show.aws.ask(&describe, show.log)?;
        Ok((text(&described, "/status") != Some("RUNNING")).then_some(described))
    })?;
    ensure!(text(&ended, "/status") == Some("SUCCEEDED"), "the restore did not end well: {ended}");
    say_new(show, &mut seen)?;

    let runs = show.aws.admin("GET", "moveongs/retention", None)?;
    let runs = runs.get("runs").and_then(Value::as_array).cloned().unwrap_or_default();
    ensure!(!runs.is_empty(), "no task started");
    for run in &runs {
        ensure!(
            run.get("deleted") == Some(&json!(0)) && run.get("anonymized") == Some(&json!(0)),
            "a task deleted rows: {run}"
        );
    }
    (show.say)(&format!("{} tasks of the application started meanwhile; none deleted a row", runs.len()));
    let name = execution.rsplit(':').next().unwrap_or_default();
    let key = match evidence_of(show.aws, show.log, &show.evidence_bucket, PROCEDURE, &run)? {
        Some(key) => key,
        None => evidence_of(show.aws, show.log, &show.evidence_bucket, PROCEDURE, name)?
            .context("the restore left no evidence")?,
    };
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// Turns on the backups of the database, without which only snapshots can be restored.
fn backups(show: &mut Show<'_>) -> Result<()> {
    wait_for_instance(show)?;
    let modify = ["rds", "modify-db-instance", "--db-instance-identifier", deploy::DATABASE];
    let more = ["--backup-retention-period", "7", "--apply-immediately"];
    show.aws.ask(&[&modify[..], &more].concat(), show.log)?;
    wait_for_instance(show)
}

/// Waits until the execution has asked a person in a state, and shows the new messages; returns the proof's verdict.
fn asks(show: &mut Show<'_>, execution: &str, state: &str, seen: &mut usize) -> Result<Option<String>> {
    let describe = ["stepfunctions", "describe-execution", "--execution-arn", execution];
    let note = run::wait_for(state, Duration::from_secs(180), || {
        let waiting = show.aws.admin("GET", "states/tokens", None)?;
        let waiting = waiting.get("waiting").and_then(Value::as_array).cloned().unwrap_or_default();
        let mine = waiting.iter().find(|one| text(one, "/execution") == Some(execution));
        if let Some(found) = mine.and_then(|one| text(one, "/state")) {
            let note = note(show)?;
            // The step may not have noted that it asks; an order then still belongs to the step before.
            let is_asked = text(&note, "/open/wait/token").is_some();
            ensure!(!is_asked || found == state, "the restore waits in {found}, not in {state}");
            return Ok(is_asked.then_some(note));
        }
        let described = show.aws.ask(&describe, show.log)?;
        ensure!(text(&described, "/status") == Some("RUNNING"), "the restore has ended: {described}");
        Ok(None)
    })?;
    say_new(show, seen)?;
    Ok(text(&note, "/open/proof/verdict").map(str::to_owned))
}

/// The procedure's note about the open restore.
fn note(show: &Show<'_>) -> Result<Value> {
    let key: String = Sha256::digest("restores").iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/{}/runs/{PROCEDURE}/{key}.json", show.evidence_bucket);
    let note = show.aws.wire("s3", "GET", &path, &[], &[])?;
    Ok(serde_json::from_slice(&note.body).unwrap_or_default())
}

/// The channel's messages about the restore that were not shown yet.
fn say_new(show: &mut Show<'_>, seen: &mut usize) -> Result<()> {
    let all = messages(show.aws)?;
    let about: Vec<_> = all.iter().filter(|message| message.to_string().contains(PROCEDURE)).collect();
    for message in about.iter().skip(*seen) {
        for line in texts(message).iter().flat_map(|text| text.lines()) {
            (show.say)(&format!("  {line}"));
        }
    }
    *seen = about.len();
    Ok(())
}

fn order(show: &mut Show<'_>, event: &Value) -> Result<Value> {
    invoked(show, PROCEDURE, event)
}

/// Removes what the function never removes: the new instances, and the guard of the application's service.
fn clean(show: &mut Show<'_>) -> Result<()> {
    let all = show.aws.ask(&["rds", "describe-db-instances"], show.log)?;
    let all = all.get("DBInstances").and_then(Value::as_array).cloned().unwrap_or_default();
    let prefix = format!("{}-r", deploy::DATABASE);
    let names = all.iter().filter_map(|one| text(one, "/DBInstanceIdentifier"));
    for name in names.filter(|name| name.starts_with(&prefix)) {
        let of = ["--db-instance-identifier", name];
        let modify = ["rds", "modify-db-instance", "--no-deletion-protection", "--apply-immediately"];
        show.aws.ask(&[&modify[..], &of].concat(), show.log)?;
        show.aws
            .ask(&[&["rds", "delete-db-instance", "--skip-final-snapshot"][..], &of].concat(), show.log)?;
    }
    let update = ["ecs", "update-service", "--cluster", deploy::CLUSTER, "--service", deploy::SERVICE];
    let first = format!("{}:1", deploy::SERVICE);
    show.aws.ask(&[&update[..], &["--task-definition", &first]].concat(), show.log)?;
    Ok(())
}
