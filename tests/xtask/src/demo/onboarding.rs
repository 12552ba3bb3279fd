//! The chapter of `onboarding`: a person comes, is given access, accompanies the work of the earlier chapters, and leaves.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Show, evidence_of, invoked};
use crate::apply;
use crate::aws::text;
use crate::table::table;

const GROUP: &str = "moveongs-ops";

const MENTOR: &str = "Ana Souza";

/// Runs the chapter; returns the key of the record that the checklist is complete.
pub(super) fn show(show: &mut Show<'_>) -> Result<String> {
    // An earlier demo on the same cloud may have left the group and people.
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (name, user) = (format!("Bia Lima {demo}"), format!("bia-{demo}"));
    let groups = show.aws.ask(&["iam", "list-groups"], show.log)?;
    if !groups.to_string().contains(GROUP) {
        show.aws.ask(&["iam", "create-group", "--group-name", GROUP], show.log)?;
    }
    show.aws.ask(&["iam", "create-user", "--user-name", &user], show.log)?;
    let today = policy::time::local_date(apply::now());
    let start = json!({"start": {"name": name, "role": "Plantonista", "start": today, "mentor": MENTOR,
        "iam_user": user, "grafana_login": user}});
    let begun = invoked(show, "onboarding", &start)?;
    let id = text(&begun, "/person").context("the answer names no id")?.to_owned();
    (show.say)(&format!("from here on she is {id}; what is open, and what to do about it:"));
    say_items(show, &begun);

    (show.say)(
        "she says what she has read, her mentor what he saw, and which runs of this demo she accompanied:",
    );
    let items = begun.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    for item in items.iter().filter_map(|item| text(item, "/item")) {
        let by = match item {
            "local_environment" => MENTOR,
            document if document.starts_with("document:") => &name,
            _ => continue,
        };
        invoked(show, "onboarding", &json!({"acknowledge": {"person": id, "item": item, "by": by}}))?;
    }
    for (procedure, is_it) in [
        ("snapshot-create", (|run| run.ends_with("/available")) as fn(&str) -> bool),
        ("restore-test", |run| !run.contains('/')),
        ("rotate-random", |run| !run.contains('/')),
    ] {
        let shadow =
            |run: &str| json!({"shadow": {"person": id, "procedure": procedure, "run": run, "by": MENTOR}});
        let runs = runs(show, procedure)?;
        let run = runs.iter().find(|run| is_it(run)).with_context(|| format!("{procedure} left no run"))?;
        invoked(show, "onboarding", &shadow(run))?;
    }
    (show.say)("access is looked up; the advised command, and an invitation to Grafana:");
    let shown = invoked(show, "onboarding", &json!({"show": {"person": id}}))?;
    run_advice(show, &shown, "/items", "item", "aws_access")?;
    grafana(show, &[&user])?;
    let day = invoked(show, "onboarding", &json!({}))?;
    (show.say)(&format!("{day}"));
    ensure!(day.get("completed") == Some(&json!([id])), "the checklist is not complete: {day}");
    let key =
        evidence_of(show.aws, show.log, &show.evidence_bucket, "onboarding", &format!("{id}/completed"))?;
    let key = key.context("the checklist left no evidence")?;

    (show.say)("she leaves, and the access that remains is told at once:");
    let left = invoked(show, "onboarding", &json!({"leave": {"person": id, "on": today}}))?;
    (show.say)(&format!("{}", left.get("access").unwrap_or(&Value::Null)));
    run_advice(show, &left, "/access", "place", "aws_group")?;
    grafana(show, &[])?;
    let forgotten = invoked(show, "onboarding", &json!({"forget": {"person": id}}))?;
    ensure!(text(&forgotten, "/state") == Some("forgotten"), "she is not forgotten: {forgotten}");
    (show.say)("her data is deleted; the evidence has the id, which is nobody's now");
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

fn say_items(show: &mut Show<'_>, answer: &Value) {
    let mut rows = vec![["item", "state", "next"].map(str::to_owned).to_vec()];
    for item in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
        let cell = |field: &str| text(item, field).unwrap_or("").chars().take(90).collect::<String>();
        rows.push(vec![cell("/item"), cell("/state"), cell("/next")]);
    }
    (show.say)(&table(&rows));
}

/// Runs the AWS CLI command that a line of an answer advises.
fn run_advice(show: &mut Show<'_>, answer: &Value, list: &str, field: &str, value: &str) -> Result<()> {
    let lines = answer.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let line = lines.iter().find(|line| line.get(field) == Some(&json!(value)));
    let command = line.and_then(|line| text(line, "/next")).context("nothing is advised")?;
    (show.say)(&format!("$ {command}"));
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    show.aws.ask(&words, show.log).map(drop)
}

/// Sets the users of Grafana's organization, beside its administrator.
fn grafana(show: &Show<'_>, logins: &[&str]) -> Result<()> {
    let user = |login: &str, role: &str| {
        let email = format!("{login}@example.org");
        json!({"login": login, "email": email, "name": "", "role": role, "isDisabled": false})
    };
    let users: Vec<_> = std::iter::once(user("admin", "Admin"))
        .chain(logins.iter().map(|login| user(login, "Viewer")))
        .collect();
    show.aws.admin("POST", "grafana/users", Some(&json!({"users": users}))).map(drop)
}

/// The run ids of a procedure's successful records of today, the newest first.
fn runs(show: &Show<'_>, procedure: &str) -> Result<Vec<String>> {
    let (bucket, prefix) = (show.evidence_bucket.as_str(), format!("evidence/{procedure}/"));
    let listed = ["s3api", "list-objects-v2", "--bucket", bucket, "--prefix", &prefix];
    let listed = show.aws.ask(&listed, show.log)?;
    let mut runs = Vec::new();
    for object in listed.get("Contents").and_then(Value::as_array).into_iter().flatten() {
        let Some(key) = text(object, "/Key") else { continue };
        let record = show.aws.wire("s3", "GET", &format!("/{bucket}/{key}"), &[], &[])?;
        let record: Value = serde_json::from_slice(&record.body)?;
        let is_jwt = procedure != "rotate-random" || record.to_string().contains("/moveongs/dev/jwt-");
        let steps = record.get("steps").map(Value::to_string).unwrap_or_default();
        let is_restore = procedure != "restore-test" || steps.contains("recovery: ");
        if text(&record, "/result") == Some("succeeded") && is_jwt && is_restore {
            runs.extend(text(&record, "/run_id").map(str::to_owned));
        }
    }
    Ok(runs)
}
