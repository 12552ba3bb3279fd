//! `cargo xtask bench report`: the governance page of an environment with ten thousand records and a thousand incidents: the
//! first run, which reads them all, a run with nothing new, and one with twenty new records.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use incident::Severity;
use incident::metrics::{Group, Metrics, Named, Repeated, Row, Stat};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{AIMS, Function, millis};
use crate::aws::Aws;
use crate::deploy::PREFIX;
use crate::repo::Repo;
use crate::run::{Log, Progress};

/// Number of steps in [`measure`].
pub(super) const STEPS: usize = 4;

const FUNCTION: &str = "governance-report";
const BUCKET: &str = "moveongs-dev-evidence-000000000000";

/// Chains, and the findings of their audits: kind, or verdict and rule, and the kind of what it is about.
const CHAINS: [(&str, [&str; 4]); 5] = [
    (
        "backup-audit",
        [
            "fail rds.retention ",
            "fail s3.versioning ",
            "unknown terraform.lock ",
            "excepted s3.access-logging ",
        ],
    ),
    (
        "inventory-audit",
        ["Missing secret ", "Drift rds-instance ", "RunbookMissing runbook ", "TagsMissing secret "],
    ),
    (POSTMORTEM, ["PostmortemOverdue ", "ActionOverdue ", "PostmortemDueSoon ", "Repeated "]),
    ("rotation-audit", ["Overdue ", "StuckPending ", "DueSoon ", "TagsMissing "]),
    ("snapshot-verify", ["SnapshotFailed ", "CopySlow ", "InsufficientData ", "Untagged "]),
];

/// Its chain has the steps of each incident's post-mortem, and the daily runs.
const POSTMORTEM: &str = "postmortem";

/// Records of each chain.
const RECORDS: usize = 2_000;

/// Records of `postmortem` from one daily run to the next.
const A_DAY: usize = 40;

/// Incidents, over twelve months of metrics.
const INCIDENTS: usize = 1_000;

/// What `postmortem` says that its numbers mean; the texts of about the length of its own.
const DEFINITIONS: [&str; 11] = [
    "tta",
    "ttm",
    "ttr",
    "impact",
    "month",
    "group",
    "count",
    "unacknowledged",
    "unclassified",
    "silent",
    "repeated",
];

/// Records that are new in the last run, over all chains.
const NEW: usize = 20;

/// Lambda's timeout.
const LIMIT: Duration = Duration::from_secs(600);

/// The end of a chain.
#[derive(Default)]
struct End {
    sequence: usize,
    previous: Option<Value>,
}

impl End {
    /// Puts a chain's next record.
    fn append(&mut self, aws: &Aws, procedure: &str, kinds: [&str; 4]) -> Result<()> {
        self.sequence += 1;
        let sequence = self.sequence;
        let at = Timestamp::from_second(1_700_000_000 + 3_600 * i64::try_from(sequence)?)?;
        let day = at.strftime("%Y-%m-%d").to_string();
        let instant = json!({"utc": at.to_string(), "local": "x"});
        let step = |name: String, outcome: &str| json!({"name": name, "at": instant, "outcome": outcome});
        // A finding stays for a hundred records.
        let finding = |(number, kind): (usize, &str)| {
            let about = if procedure == POSTMORTEM { id(number) } else { format!("moveongs-dev-{number}") };
            format!("{kind}{about}: a sentence of a usual length about it")
        };
        let first = sequence / 100;
        let (run_id, result, steps, findings) =
            match procedure == POSTMORTEM && !sequence.is_multiple_of(A_DAY) {
                true => {
                    let what = if sequence.is_multiple_of(2) { "closed/2" } else { "begun/1/1700000000" };
                    let run_id = format!("{}/{what}", id(sequence / 2 % INCIDENTS));
                    let steps = vec![step(what.to_owned(), "2 actions")];
                    (run_id, "succeeded", steps, Vec::new())
                }
                false => {
                    let steps = (0..5).map(|number| step(format!("look at {number}"), "succeeded")).collect();
                    let findings: Vec<String> =
                        (first..first + 20).zip(kinds.into_iter().cycle()).map(finding).collect();
                    (format!("{day}/{sequence:08x}"), "failed", steps, findings)
                }
            };
        let record = json!({
            "schema": 1, "procedure": procedure, "sequence": sequence, "previous": self.previous,
            "run_id": run_id, "project": "moveongs", "environment": "dev",
            "trigger": "daily audit", "subject": "bench", "started": instant, "ended": instant,
            "steps": steps, "findings": findings,
            "result": result, "code_version": "bench", "channel": "sent",
        });
        let key = format!("evidence/{procedure}/{:010}.json", 9_999_999_999 - sequence);
        let bytes = record.to_string();
        put(aws, &key, bytes.as_bytes())?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.previous = Some(json!({"key": key, "sha256": hash}));
        Ok(())
    }
}

/// An incident's id.
fn id(number: usize) -> String {
    format!("INC-20260101-{number:08}")
}

/// The metrics of a month, 1 to 12, as `postmortem` writes them. One incident in twelve is of it.
fn metrics(month: usize) -> Result<Metrics> {
    let first: Timestamp = format!("2026-{month:02}-01T12:00:00Z").parse()?;
    let of_month = (0..INCIDENTS).filter(|number| number % 12 + 1 == month);
    let severity = |number: usize| Severity::ALL.into_iter().cycle().nth(number / 12).unwrap_or_default();
    let named = |number: usize| Named {
        incident: id(number),
        severity: severity(number),
        group: Group::Incident,
        first_at: first + SignedDuration::from_hours(i64::try_from(number / 2).unwrap_or_default()),
    };
    let every =
        |part: usize| of_month.clone().filter(|number| number.is_multiple_of(part)).map(named).collect();
    let row = |wanted: Severity| {
        let incidents = of_month.clone().filter(|number| severity(*number) == wanted).count();
        let median_seconds = i64::try_from(60 * month).ok();
        let stat = Stat { count: incidents, median_seconds, p90_seconds: Some(600) };
        let group = Group::Incident;
        Row { group, severity: wanted, incidents, tta: stat, ttm: stat, ttr: stat, impact: stat }
    };
    let meaning =
        "o que este número conta, a partir de quando e até quando, e o que não entra nele".to_owned();
    let repeated = of_month.clone().filter(|number| number.is_multiple_of(31));
    Ok(Metrics {
        month: format!("2026-{month:02}"),
        definitions: DEFINITIONS.map(|name| (name.to_owned(), meaning.clone())).into(),
        rows: Severity::ALL.map(row).to_vec(),
        unacknowledged: every(19),
        unclassified: every(23),
        silent: every(17),
        open: every(29),
        repeated: repeated.map(|number| Repeated { incident: id(number), after: id(0) }).collect(),
    })
}

fn put(aws: &Aws, key: &str, bytes: &[u8]) -> Result<()> {
    let answer = aws.wire("s3", "PUT", &format!("/{BUCKET}/{key}"), &[], bytes)?;
    if answer.status != 200 {
        bail!("{key}: {} {}", answer.status, answer.text());
    }
    Ok(())
}

/// Measures the three runs.
pub(super) fn measure(repo: &Repo, aws: &Aws, progress: &Progress) -> Result<Value> {
    let mut ends: Vec<(&str, [&str; 4], End)> =
        CHAINS.into_iter().map(|(chain, kinds)| (chain, kinds, End::default())).collect();
    progress.step("putting ten thousand records and a thousand incidents", |_| {
        for (chain, kinds, end) in &mut ends {
            for _ in 0..RECORDS {
                end.append(aws, chain, *kinds)?;
            }
        }
        for month in 1..=12 {
            let metrics = serde_json::to_vec_pretty(&metrics(month)?)?;
            put(aws, &format!("metrics/incidents-2026-{month:02}.json"), &metrics)?;
        }
        Ok(())
    })?;
    let mut result = json!({});
    for (title, new) in
        [("the first run, which reads all", 0), ("nothing new", 0), ("twenty new records", NEW)]
    {
        let measured = progress.step(title, |log| {
            for (chain, kinds, end) in &mut ends {
                for _ in 0..new / CHAINS.len() {
                    end.append(aws, chain, *kinds)?;
                }
            }
            let measured = run(repo, aws, log)?;
            verified(aws, &ends)?;
            Ok(measured)
        })?;
        if let Some(result) = result.as_object_mut() {
            result.insert(title.to_owned(), measured);
        }
    }
    Ok(result)
}

/// Checks that the page shows every chain as verified, with all its records, and judges the incidents and the audits: a run that
/// gave up would be fast, too.
fn verified(aws: &Aws, ends: &[(&str, [&str; 4], End)]) -> Result<()> {
    let page = aws.wire("s3", "GET", &format!("/{BUCKET}/report/controls.json"), &[], &[])?;
    let page: Value = serde_json::from_slice(&page.body)?;
    let row = |list: &str, field: &str, name: &str| -> Result<Value> {
        let rows = page.get(list).and_then(Value::as_array).into_iter().flatten();
        let mut rows = rows.filter(|row| row.get(field).is_some_and(|found| found == name));
        rows.next().cloned().with_context(|| format!("{name}: not among the page's {list}"))
    };
    for (procedure, _, end) in ends {
        let chain = row("chains", "procedure", procedure)?;
        let of = |field: &str| chain.get(field).cloned().unwrap_or_default();
        if of("verdict") != "verified" || of("records") != json!(end.sequence) {
            bail!("{procedure} of {} records is not verified: {chain}", end.sequence);
        }
        if !page.get("findings").is_some_and(|findings| findings.to_string().contains(procedure)) {
            bail!("the page has no finding of {procedure}");
        }
    }
    for id in ["incident-classified", "incident-updates"] {
        let control = row("controls", "id", id)?;
        if control.pointer("/why/items").is_none() {
            bail!("{id} names no incident: {control}");
        }
    }
    Ok(())
}

/// One run in a new process.
fn run(repo: &Repo, aws: &Aws, log: &Log) -> Result<Value> {
    let configuration = aws.function(&format!("{PREFIX}-{FUNCTION}"))?;
    let mut function = Function::start(repo, aws, &configuration, (FUNCTION, &[]), LIMIT, log)?;
    function.api.polled()?;
    let (sent, ticks) = (Instant::now(), function.cpu_millis_in_ticks()?);
    let answered = function.api.invoke("{}")?;
    let wall = millis(sent, answered).round() / 1000.0;
    function.api.polled()?;
    let cpu = (function.cpu_millis_in_ticks()? - ticks) / 1000.0;
    let memory = function.peak_rss_mib()?;
    function.end();
    let page = aws.wire("s3", "GET", &format!("/{BUCKET}/report/index.html"), &[], &[])?;
    let bytes = u32::try_from(page.body.len()).context("the page is too large")?;
    let aims = json!({"cpu_s": 1.0, "peak_rss_mib": 128.0, "page_bytes": 1_048_576.0});
    Ok(json!({"wall_s": wall, "cpu_s": cpu, "peak_rss_mib": memory, "page_bytes": bytes, AIMS: aims}))
}
