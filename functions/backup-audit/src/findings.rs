//! Collects verdicts as they come: into files, so that memory does not grow with the account, and into the few that people
//! are told at once. Compares them with those of the run before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::language::Language;
use shared::policy::Exception;
use tempfile::NamedTempFile;

use crate::rules::{Meta, Row, Severity, Verdict};

/// Most rows that are kept for people; the files have all.
pub(crate) const KEPT: usize = 200;

/// Version of the schema of findings. Source: [OCSF 1.3.0, Compliance Finding](https://schema.ocsf.io/1.3.0/classes/compliance_finding).
const OCSF: &str = "1.3.0";

/// A line of the report of findings: everything that is not a pass.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub rule: String,
    pub severity: String,
    /// `fail`, `unknown`, `excepted`.
    pub verdict: String,
    pub resource: String,
    pub arn: String,
    /// What is, or why it cannot be said.
    pub found: String,
    pub expected: String,
    pub next_step: String,
    /// Section of the guide.
    pub guide: String,
    /// The day in São Paulo on which it was first seen, without a break since.
    pub since: Date,
    pub exception: Option<Accepted>,
}

/// Who accepted a violation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Accepted {
    pub owner: String,
    pub reason: String,
    pub until: Date,
}

impl From<&Exception> for Accepted {
    fn from(exception: &Exception) -> Self {
        Self { owner: exception.owner.clone(), reason: exception.reason.clone(), until: exception.until }
    }
}

impl Finding {
    fn new(row: &Row, since: Date) -> Self {
        let (found, expected, exception) = match &row.verdict {
            Verdict::Pass => (String::new(), String::new(), None),
            Verdict::Fail { found, expected } => (found.clone(), expected.clone(), None),
            Verdict::Unknown(why) => (why.clone(), String::new(), None),
            Verdict::Excepted { found, expected, exception } => {
                (found.clone(), expected.clone(), Some(exception.into()))
            }
        };
        Self {
            rule: row.rule.id.to_owned(),
            severity: row.rule.severity.word().to_owned(),
            verdict: row.verdict.word().to_owned(),
            resource: row.resource.clone(),
            arn: row.arn.clone(),
            found,
            expected,
            next_step: row.command.clone(),
            guide: row.rule.guide.to_owned(),
            since,
            exception,
        }
    }

    /// What makes the findings of two runs the same one.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.rule, self.resource)
    }
}

/// How many verdicts there are of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub pass: usize,
    pub fail: usize,
    pub unknown: usize,
    pub excepted: usize,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Fail { .. } => self.fail += 1,
            Verdict::Unknown(_) => self.unknown += 1,
            Verdict::Excepted { .. } => self.excepted += 1,
        }
    }
}

/// How bad a verdict is, to say what got worse.
fn weight(verdict: &str) -> u8 {
    match verdict {
        "fail" => 3,
        "unknown" => 2,
        "excepted" => 1,
        _ => 0,
    }
}

/// What the run before knew of a finding.
#[derive(Clone, Copy, Debug)]
struct Before {
    weight: u8,
    since: Date,
}

/// A key of the run before or of this one, small enough to hold all of a large account's.
fn short(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A list of findings for people, of which the worst are kept.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    pub findings: Vec<Finding>,
    pub count: usize,
}

impl Worst {
    fn push(&mut self, finding: &Finding) {
        self.count += 1;
        self.findings.push(finding.clone());
        if self.findings.len() >= 2 * KEPT {
            self.sort();
        }
    }

    fn sort(&mut self) {
        let severity = |finding: &Finding| match finding.severity.as_str() {
            "critical" => 4,
            "high" => 3,
            "medium" => 2,
            _ => 1,
        };
        let rank = |finding: &Finding| (weight(&finding.verdict), severity(finding));
        self.findings.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.key().cmp(&b.key())));
        self.findings.truncate(KEPT);
    }
}

/// A report that was collected in a file.
pub(crate) struct Report {
    /// Last part of its key.
    pub name: &'static str,
    pub kind: &'static str,
    pub file: NamedTempFile,
    pub sha256: [u8; 32],
}

impl Report {
    /// In hexadecimal, as `sha256sum` prints it.
    pub(crate) fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As S3 takes it.
    pub(crate) fn checksum(&self) -> String {
        STANDARD.encode(self.sha256)
    }
}

/// Where and for whom the findings are: what OCSF asks besides the finding.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub account: String,
    pub region: String,
    pub environment: String,
    pub version: String,
}

/// What the findings come to.
pub(crate) struct Outcome {
    pub counts: Counts,
    pub services: BTreeMap<&'static str, Counts>,
    pub worst: Worst,
    /// New, or worse than before.
    pub new: Worst,
    /// Keys of the findings that are no more; the first of them.
    pub resolved: Vec<String>,
    pub resolved_count: usize,
    /// Repairs that the stack allows: rule and resource.
    pub repairable: Vec<(&'static str, String)>,
    pub reports: Vec<Report>,
}

/// The collection.
pub(crate) struct Findings {
    today: Date,
    at_ms: i64,
    language: Language,
    place: Place,
    rows: csv::Writer<BufWriter<NamedTempFile>>,
    open: BufWriter<NamedTempFile>,
    ocsf: BufWriter<NamedTempFile>,
    has_ocsf: bool,
    before: HashMap<u64, Before>,
    passed: HashSet<u64>,
    after: HashSet<u64>,
    services: BTreeMap<&'static str, Counts>,
    counts: Counts,
    worst: Worst,
    new: Worst,
    repairs: Vec<String>,
    repairable: Vec<(&'static str, String)>,
}

impl Findings {
    /// An empty collection for a run at `at_ms`, on `today` in São Paulo; `repairs` are the rules whose repairs the stack allows.
    pub(crate) fn new(
        today: Date,
        at_ms: i64,
        language: Language,
        place: Place,
        repairs: Vec<String>,
    ) -> io::Result<Self> {
        let file = || NamedTempFile::with_prefix("backup-audit-").map(BufWriter::new);
        let mut rows = csv::Writer::from_writer(file()?);
        let header = [
            "rule",
            "severity",
            "verdict",
            "resource",
            "arn",
            "found",
            "expected",
            "next_step",
            "guide",
            "since",
            "owner",
            "until",
        ];
        rows.write_record(header)?;
        Ok(Self {
            today,
            at_ms,
            language,
            place,
            rows,
            open: file()?,
            ocsf: file()?,
            has_ocsf: false,
            before: HashMap::new(),
            passed: HashSet::new(),
            after: HashSet::new(),
            services: BTreeMap::new(),
            counts: Counts::default(),
            worst: Worst::default(),
            new: Worst::default(),
            repairs,
            repairable: Vec::new(),
        })
    }

    /// Takes a line of the run before. One that is not a finding is none.
    pub(crate) fn remember(&mut self, line: &[u8]) {
        if let Ok(finding) = serde_json::from_slice::<Finding>(line) {
            let before = Before { weight: weight(&finding.verdict), since: finding.since };
            self.before.insert(short(&finding.key()), before);
        }
    }

    /// Takes one verdict.
    pub(crate) fn push(&mut self, row: &Row) -> io::Result<()> {
        let key = short(&row.key());
        self.counts.add(&row.verdict);
        self.services.entry(row.rule.service()).or_default().add(&row.verdict);
        let before = self.before.get(&key).copied();
        let finding = Finding::new(row, before.map_or(self.today, |before| before.since));
        self.row(&finding, row.verdict == Verdict::Pass)?;
        if row.verdict == Verdict::Pass {
            if before.is_some() {
                self.passed.insert(key);
            }
            return Ok(());
        }
        self.after.insert(key);
        writeln!(self.open, "{}", serde_json::to_string(&finding)?)?;
        let event = ocsf(&finding, row.rule, self.language, &self.place, self.at_ms, before.is_some());
        self.event(&event)?;
        self.worst.push(&finding);
        if before.is_none_or(|before| weight(&finding.verdict) > before.weight) {
            self.new.push(&finding);
        }
        let is_allowed = self.repairs.iter().any(|rule| rule == row.rule.id);
        if is_allowed && matches!(row.verdict, Verdict::Fail { .. }) && self.repairable.len() < KEPT {
            self.repairable.push((row.rule.id, row.resource.clone()));
        }
        Ok(())
    }

    fn row(&mut self, finding: &Finding, is_pass: bool) -> io::Result<()> {
        let since = if is_pass { String::new() } else { finding.since.to_string() };
        let (owner, until) = match &finding.exception {
            Some(exception) => (exception.owner.as_str(), exception.until.to_string()),
            None => ("", String::new()),
        };
        let fields = [
            &finding.rule,
            &finding.severity,
            &finding.verdict,
            &finding.resource,
            &finding.arn,
            &finding.found,
            &finding.expected,
            &finding.next_step,
            &finding.guide,
        ];
        let fields = fields.into_iter().map(|field| cell(field));
        self.rows.write_record(fields.chain([since, cell(owner), until]))?;
        Ok(())
    }

    fn event(&mut self, event: &Value) -> io::Result<()> {
        let separator = if self.has_ocsf { ",\n" } else { "[\n" };
        self.has_ocsf = true;
        write!(self.ocsf, "{separator}{event}")
    }

    /// Takes a line of the run before again, when all that could be seen was: a finding that is not there any more is
    /// resolved; one of a service that was not seen to its end stays open as it was.
    pub(crate) fn compare(&mut self, line: &[u8], unseen: &[&str], resolved: &mut Worst) -> io::Result<()> {
        let Ok(finding) = serde_json::from_slice::<Finding>(line) else { return Ok(()) };
        let key = short(&finding.key());
        if self.after.contains(&key) {
            return Ok(());
        }
        let service = finding.rule.split('.').next().unwrap_or_default();
        if !self.passed.contains(&key) && unseen.contains(&service) {
            self.worst.push(&finding);
            return writeln!(self.open, "{}", serde_json::to_string(&finding)?);
        }
        let event = closed(&finding, &self.place, self.at_ms);
        self.event(&event)?;
        resolved.push(&finding);
        Ok(())
    }

    /// Ends the collection.
    pub(crate) fn finish(mut self, resolved: Worst) -> io::Result<Outcome> {
        self.ocsf.write_all(if self.has_ocsf { b"\n]\n" } else { b"[]\n" })?;
        let flushed =
            |file: BufWriter<NamedTempFile>| file.into_inner().map_err(io::IntoInnerError::into_error);
        let rows = self.rows.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        let files = [
            ("verdicts.csv", "text/csv; charset=utf-8", flushed(rows)?),
            ("findings.jsonl", "application/jsonl", flushed(self.open)?),
            ("findings.ocsf.json", "application/json", flushed(self.ocsf)?),
        ];
        let report = |(name, kind, file): (&'static str, &'static str, NamedTempFile)| {
            let sha256 = digest(file.reopen()?)?;
            Ok(Report { name, kind, file, sha256 })
        };
        let reports = files.into_iter().map(report).collect::<io::Result<_>>()?;
        self.worst.sort();
        self.new.sort();
        Ok(Outcome {
            counts: self.counts,
            services: self.services,
            worst: self.worst,
            new: self.new,
            resolved: resolved.findings.iter().map(Finding::key).collect(),
            resolved_count: resolved.count,
            repairable: self.repairable,
            reports,
        })
    }
}

fn digest(mut file: File) -> io::Result<[u8; 32]> {
    let mut hasher = Hashing(Sha256::new());
    io::copy(&mut file, &mut hasher)?;
    Ok(hasher.0.finalize().into())
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A spreadsheet takes a text that begins like this for a formula, and names are others' to choose.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn severity_id(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// The caption of a severity's id.
fn severity_caption(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}

/// What every event has, open or closed.
fn event(
    finding: &Finding,
    place: &Place,
    at_ms: i64,
    activity: (u8, &str),
    status: (u8, &str),
    compliance: (u8, &str),
) -> Value {
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

/// The event of a finding that is open.
fn ocsf(
    finding: &Finding,
    rule: &Meta,
    language: Language,
    place: &Place,
    at_ms: i64,
    is_known: bool,
) -> Value {
    let activity = if is_known { (2, "Update") } else { (1, "Create") };
    let (status, compliance) = match finding.verdict.as_str() {
        "excepted" => ((3, "Suppressed"), (3, "Fail")),
        "unknown" => ((1, "New"), (0, "Unknown")),
        _ => ((1, "New"), (3, "Fail")),
    };
    let mut event = event(finding, place, at_ms, activity, status, compliance);
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

/// The event of a finding that is no more.
fn closed(finding: &Finding, place: &Place, at_ms: i64) -> Value {
    let mut event = event(finding, place, at_ms, (3, "Close"), (4, "Resolved"), (1, "Pass"));
    event["severity_id"] = 1.into();
    event["severity"] = "Informational".into();
    event
}

fn day_ms(day: Date) -> i64 {
    shared::time::SAO_PAULO.to_timestamp(day.at(0, 0, 0, 0)).map_or(0, Timestamp::as_millisecond)
}
