//! The chapter of `governance-report`: the page of everything that the demo did, with real evidence behind every control.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Show, invoked};
use crate::apply;
use crate::aws::text;
use crate::table::table;

/// Procedures of which the demo has no run of a whole day yet.
const DAILY: [&str; 4] = ["rotation-audit", "onboarding", "postmortem", "inventory-audit"];

/// Runs the chapter; returns the key of the page's own record.
pub(super) fn show(show: &mut Show<'_>) -> Result<String> {
    change_the_policy(show)?;
    for procedure in DAILY {
        invoked(show, procedure, &json!({}))?;
    }
    // Its own record is evidence, too, and the next run's to verify.
    invoked(show, "governance-report", &json!({}))?;
    let report = invoked(show, "governance-report", &json!({"verify": "all"}))?;
    let states = report.get("states").cloned().unwrap_or_default();
    (show.say)(&format!("  {states}"));
    let object = |key: &str| -> Result<Vec<u8>> {
        let answer = show.aws.wire("s3", "GET", &format!("/{}/{key}", show.evidence_bucket), &[], &[])?;
        ensure!(answer.status == 200, "{key}: {}", answer.status);
        Ok(answer.body)
    };
    let page: Value = serde_json::from_slice(&object("report/controls.json")?)?;
    let mut rows = vec![["guide", "control", "state", "evidence"].map(str::to_owned).to_vec()];
    for control in page.get("controls").and_then(Value::as_array).context("the page has no controls")? {
        let part = |place: &str| text(control, place).unwrap_or_default().to_owned();
        let (id, key) = (part("/id"), part("/evidence/key"));
        ensure!(!key.is_empty(), "{id} has no evidence: {control}");
        let found = chain::sha256(&object(&key)?);
        ensure!(found == part("/evidence/sha256"), "{id}: {key} is not the object that the page names");
        rows.push(vec![part("/guide"), id, part("/state"), key]);
    }
    for line in table(&rows).lines() {
        (show.say)(&format!("  {line}"));
    }
    // The clock has a record only if data were compromised.
    let is_good =
        |chain: &&Value| ["verified", "empty"].contains(&text(chain, "/verdict").unwrap_or_default());
    let damaged = page.get("chains").and_then(Value::as_array).into_iter().flatten();
    let damaged: Vec<&Value> = damaged.filter(|chain| !is_good(chain)).collect();
    ensure!(damaged.is_empty(), "not every chain is verified: {damaged:?}");
    let file = show.repo.at("target/demo/governance.html");
    fs::create_dir_all(show.repo.at("target/demo"))?;
    fs::write(&file, object("report/index.html")?)?;
    (show.say)("the page, as the auditor sees it: target/demo/governance.html");
    let own = page.get("controls").and_then(Value::as_array).into_iter().flatten();
    let own = own.filter(|control| text(control, "/id") == Some("evidence"));
    let key = own.filter_map(|control| text(control, "/evidence/key")).next();
    Ok(key.unwrap_or_default().to_owned())
}

/// A change of the policy, as the deployer applies it; its record is that of `inventory-audit`.
fn change_the_policy(show: &mut Show<'_>) -> Result<()> {
    let document = json!({
        "format": 1, "author": "Ana Souza", "commit": "0123456789abcdef0123456789abcdef01234567",
        "reason": "demo", "applied_at": apply::now().to_string(), "patch": {"report": {"ahead_days": 15}},
    });
    let path = format!("/{}/policy/current.json", show.evidence_bucket);
    let answer = show.aws.wire("s3", "PUT", &path, &[], document.to_string().as_bytes())?;
    ensure!(answer.status == 200, "the policy was not put: {} {}", answer.status, answer.text());
    invoked(show, "inventory-audit", &json!({"policy": true}))?;
    Ok(())
}
