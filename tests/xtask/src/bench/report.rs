//! `cargo xtask bench report`: the governance page of an environment with ten thousand records and a thousand incidents: the
//! first run, which reads them all, a run with nothing new, and one with twenty new records.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
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

/// Chains, and records of each.
const CHAINS: [&str; 5] =
    ["backup-audit", "inventory-audit", "postmortem", "rotation-audit", "snapshot-verify"];
const RECORDS: usize = 2_000;

/// Incidents, over twelve months of metrics.
const INCIDENTS: usize = 1_000;

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
    fn append(&mut self, aws: &Aws, procedure: &str) -> Result<()> {
        self.sequence += 1;
        let at = jiff::Timestamp::from_second(1_700_000_000 + 3_600 * i64::try_from(self.sequence)?)?;
        let day = at.strftime("%Y-%m-%d").to_string();
        let instant = json!({"utc": at.to_string(), "local": "x"});
        let step = |number: usize| json!({"name": format!("look at {number}"), "at": instant, "outcome": "succeeded"});
        let finding = |number: usize| {
            format!("Kind{} resource-{number}: a sentence of a usual length about it", number % 7)
        };
        let record = json!({
            "schema": 1, "procedure": procedure, "sequence": self.sequence, "previous": self.previous,
            "run_id": format!("{day}/{:08x}", self.sequence), "project": "moveongs", "environment": "dev",
            "trigger": "daily audit", "subject": "bench", "started": instant, "ended": instant,
            "steps": (0..5).map(step).collect::<Vec<_>>(), "findings": (0..20).map(finding).collect::<Vec<_>>(),
            "result": "failed", "code_version": "bench", "channel": "sent",
        });
        let key = format!("evidence/{procedure}/{:010}.json", 9_999_999_999 - self.sequence);
        let bytes = record.to_string();
        put(aws, &key, bytes.as_bytes())?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.previous = Some(json!({"key": key, "sha256": hash}));
        Ok(())
    }
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
    let mut ends: Vec<(&str, End)> = CHAINS.iter().map(|chain| (*chain, End::default())).collect();
    progress.step("putting ten thousand records and a thousand incidents", |_| {
        for (chain, end) in &mut ends {
            for _ in 0..RECORDS {
                end.append(aws, chain)?;
            }
        }
        for month in 1..=12 {
            let stat = json!({"count": 20, "median_seconds": 60 * month, "p90_seconds": 600});
            let row = |severity: &str| {
                json!({"group": "incident", "severity": severity, "incidents": INCIDENTS / 48, "tta": stat, "ttm": stat, "ttr": stat, "impact": stat})
            };
            let rows = ["S0", "S1", "S2", "S3"].map(row);
            let metrics = json!({"month": format!("2026-{month:02}"), "rows": rows});
            put(aws, &format!("metrics/incidents-2026-{month:02}.json"), metrics.to_string().as_bytes())?;
        }
        Ok(())
    })?;
    let mut result = json!({});
    for (title, new) in
        [("the first run, which reads all", 0), ("nothing new", 0), ("twenty new records", NEW)]
    {
        let measured = progress.step(title, |log| {
            for (chain, end) in &mut ends {
                for _ in 0..new / CHAINS.len() {
                    end.append(aws, chain)?;
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

/// Checks that the page shows every chain as verified, with all its records: a run that gave up would be fast, too.
fn verified(aws: &Aws, ends: &[(&str, End)]) -> Result<()> {
    let page = aws.wire("s3", "GET", &format!("/{BUCKET}/report/controls.json"), &[], &[])?;
    let page: Value = serde_json::from_slice(&page.body)?;
    let shown = page.get("chains").and_then(Value::as_array).context("the page has no chains")?;
    for (procedure, end) in ends {
        let chain = shown.iter().find(|chain| chain.get("procedure").is_some_and(|name| name == procedure));
        let chain = chain.with_context(|| format!("{procedure}: not on the page"))?;
        let of = |field: &str| chain.get(field).cloned().unwrap_or_default();
        if of("verdict") != "verified" || of("records") != json!(end.sequence) {
            bail!("{procedure} of {} records is not verified: {chain}", end.sequence);
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
