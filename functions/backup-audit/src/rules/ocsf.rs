//! Findings as events of OCSF, for security tools.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use shared::runtime::language::Language;

use super::finding::Finding;
use super::rule::{Meta, Severity};

/// Version of the schema of findings. Source: [OCSF 1.3.0, Compliance Finding](https://schema.ocsf.io/1.3.0/classes/compliance_finding).
const OCSF: &str = "1.3.0";

/// Account, environment and version of the code, which every event names.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub account: String,
    pub region: String,
    pub environment: String,
    pub version: String,
}

/// The run with the findings.
pub(crate) struct Run {
    pub place: Place,
    pub language: Language,
    /// Start of the run, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// OCSF's state of a finding: each part as id and caption.
struct State {
    activity: (u8, &'static str),
    status: (u8, &'static str),
    compliance: (u8, &'static str),
}

fn severity_id(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// Caption of a severity's id.
fn severity_caption(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}

/// Fields of every event, open or closed.
fn event(finding: &Finding, run: &Run, state: &State) -> Value {
    let Run { place, at_ms, .. } = run;
    let State { activity, status, compliance } = state;
    let uid = format!("{}/{}/{}", place.environment, finding.rule, finding.resource);
    json!({
        "activity_id": activity.0, "activity_name": activity.1,
        "category_uid": 2, "category_name": "Findings",
        "class_uid": 2003, "class_name": "Compliance Finding",
        "type_uid": 200_300 + u32::from(activity.0), "type_name": format!("Compliance Finding: {}", activity.1),
        "time": at_ms,
        "status_id": status.0, "status": status.1,
        "metadata": {
            "version": OCSF,
            "profiles": ["cloud"],
            "product": {"name": "backup-audit", "vendor_name": "MoveONgs", "version": place.version},
            "event_code": finding.rule,
        },
        "cloud": {"provider": "AWS", "region": place.region, "account": {"uid": place.account, "type_id": 10, "type": "AWS Account"}},
        "compliance": {"control": finding.rule, "requirements": [finding.guide], "standards": ["MoveONgs, Guia Operacional de Governança"], "status_id": compliance.0, "status": compliance.1},
        "finding_info": {"uid": uid, "title": finding.rule, "first_seen_time": day_ms(finding.since)},
        "resources": [{"uid": if finding.arn.is_empty() { &finding.resource } else { &finding.arn }, "name": finding.resource, "region": place.region}],
        "unmapped": {"environment": place.environment, "found": finding.found, "expected": finding.expected},
    })
}

/// Event of an open finding.
#[expect(clippy::indexing_slicing, reason = "a JSON object takes any field")]
pub(crate) fn open(finding: &Finding, rule: &Meta, run: &Run, is_known: bool) -> Value {
    let language = run.language;
    let activity = if is_known { (2, "Update") } else { (1, "Create") };
    let (status, compliance) = match finding.verdict.as_str() {
        "excepted" => ((3, "Suppressed"), (3, "Fail")),
        "unknown" => ((1, "New"), (0, "Unknown")),
        _ => ((1, "New"), (3, "Fail")),
    };
    let mut event = event(finding, run, &State { activity, status, compliance });
    event["severity_id"] = severity_id(rule.severity).into();
    event["severity"] = severity_caption(rule.severity).into();
    event["finding_info"]["title"] = rule.title(language).into();
    event["finding_info"]["desc"] = rule.why(language).into();
    event["message"] = format!("{}: {}", rule.title(language), finding.found).into();
    if !finding.next_step.is_empty() {
        event["remediation"] = json!({"desc": finding.next_step});
    }
    if let Some(exception) = &finding.exception {
        event["comment"] = format!("{}: {} ({})", exception.owner, exception.reason, exception.until).into();
    }
    event
}

/// Event of a resolved finding.
#[expect(clippy::indexing_slicing, reason = "a JSON object takes any field")]
pub(crate) fn closed(finding: &Finding, run: &Run) -> Value {
    let state = State { activity: (3, "Close"), status: (4, "Resolved"), compliance: (1, "Pass") };
    let mut event = event(finding, run, &state);
    event["severity_id"] = 1.into();
    event["severity"] = "Informational".into();
    event
}

fn day_ms(day: Date) -> i64 {
    shared::runtime::time::SAO_PAULO.to_timestamp(day.at(0, 0, 0, 0)).map_or(0, Timestamp::as_millisecond)
}
