//! Collects verdicts as they arise: all of them in files, so that memory does not grow with the account, and the worst
//! in memory for the message. Compares them with those of the previous run.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::run::csv;
use shared::runtime::hex::hex;
use shared::runtime::language::Language;
use shared::runtime::time;
use tempfile::NamedTempFile;

use crate::rules::finding::{Counts, Finding, KEPT, Worst, weight};
use crate::rules::ocsf::{self, Place, Run};
use crate::rules::rule::service;
use crate::rules::{Row, Verdict};

/// A finding of the previous run.
#[derive(Clone, Copy, Debug)]
struct Previous {
    weight: u8,
    since: Date,
}

/// Hash of a finding's key: small enough to keep all keys of a large account in memory.
fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A report, collected in a file.
pub(crate) struct Report {
    /// Last segment of its key.
    pub name: &'static str,
    pub kind: &'static str,
    pub file: NamedTempFile,
    pub sha256: [u8; 32],
}

impl Report {
    /// In hexadecimal, as `sha256sum` prints it.
    pub(crate) fn hex(&self) -> String {
        hex(&self.sha256)
    }

    /// In base64, as S3 expects it.
    pub(crate) fn checksum(&self) -> String {
        STANDARD.encode(self.sha256)
    }
}

/// Result of a collection.
pub(crate) struct Outcome {
    pub counts: Counts,
    /// Counts by service, only of rules whose verdicts prove that the service was read.
    pub services: BTreeMap<&'static str, Counts>,
    pub worst: Worst,
    /// New, or worse than in the previous run.
    pub new: Worst,
    /// Keys of the first resolved findings.
    pub resolved: Vec<String>,
    pub resolved_count: usize,
    /// Findings that the stack allows to repair: rule and resource.
    pub repairable: Vec<(&'static str, String)>,
    pub reports: Vec<Report>,
}

/// A collection of verdicts.
pub(crate) struct Findings {
    /// The day of the run in São Paulo.
    today: Date,
    run: Run,
    rows: ::csv::Writer<BufWriter<NamedTempFile>>,
    open: BufWriter<NamedTempFile>,
    ocsf: BufWriter<NamedTempFile>,
    has_ocsf: bool,
    previous: HashMap<u64, Previous>,
    passed: HashSet<u64>,
    found: HashSet<u64>,
    services: BTreeMap<&'static str, Counts>,
    counts: Counts,
    worst: Worst,
    new: Worst,
    repairs: Vec<String>,
    repairable: Vec<(&'static str, String)>,
}

impl Findings {
    /// An empty collection for a run at `now`; `repairs` are the rules whose repairs the stack allows.
    pub(crate) fn new(
        now: Timestamp,
        language: Language,
        place: Place,
        repairs: Vec<String>,
    ) -> io::Result<Self> {
        let file = || NamedTempFile::with_prefix("backup-audit-").map(BufWriter::new);
        let mut rows = ::csv::Writer::from_writer(file()?);
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
            today: now.to_zoned_datetime(time::SAO_PAULO).date(),
            run: Run { place, language, at_ms: now.as_millisecond() },
            rows,
            open: file()?,
            ocsf: file()?,
            has_ocsf: false,
            previous: HashMap::new(),
            passed: HashSet::new(),
            found: HashSet::new(),
            services: BTreeMap::new(),
            counts: Counts::default(),
            worst: Worst::default(),
            new: Worst::default(),
            repairs,
            repairable: Vec::new(),
        })
    }

    /// Takes a line of the previous run's report. Ignores a line that is not a finding.
    pub(crate) fn remember(&mut self, line: &[u8]) {
        if let Ok(finding) = serde_json::from_slice::<Finding>(line) {
            let previous = Previous { weight: weight(&finding.verdict), since: finding.since };
            self.previous.insert(hash(&finding.key()), previous);
        }
    }

    /// Takes a verdict.
    pub(crate) fn push(&mut self, row: &Row) -> io::Result<()> {
        let key = hash(&row.key());
        self.counts.add(&row.verdict);
        if row.rule.proves_reading() {
            self.services.entry(row.rule.service()).or_default().add(&row.verdict);
        }
        let previous = self.previous.get(&key).copied();
        let finding = Finding::new(row, previous.map_or(self.today, |previous| previous.since));
        self.row(&finding, row.verdict == Verdict::Pass)?;
        if row.verdict == Verdict::Pass {
            if previous.is_some() {
                self.passed.insert(key);
            }
            return Ok(());
        }
        self.found.insert(key);
        writeln!(self.open, "{}", serde_json::to_string(&finding)?)?;
        let event = ocsf::open(&finding, row.rule, &self.run, previous.is_some());
        self.event(&event)?;
        self.worst.push(&finding);
        if previous.is_none_or(|previous| weight(&finding.verdict) > previous.weight) {
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
        let fields = fields.into_iter().map(|field| csv::harmless(field));
        self.rows.write_record(fields.chain([since, csv::harmless(owner), until]))?;
        Ok(())
    }

    fn event(&mut self, event: &Value) -> io::Result<()> {
        let separator = if self.has_ocsf { ",\n" } else { "[\n" };
        self.has_ocsf = true;
        write!(self.ocsf, "{separator}{event}")
    }

    /// Takes a line of the previous run's report again, after the sweep. A finding that did not recur is resolved; if
    /// its service was not read to its end, it stays open unchanged.
    pub(crate) fn compare(&mut self, line: &[u8], unseen: &[&str], resolved: &mut Worst) -> io::Result<()> {
        let Ok(finding) = serde_json::from_slice::<Finding>(line) else { return Ok(()) };
        let key = hash(&finding.key());
        if self.found.contains(&key) {
            return Ok(());
        }
        let service = service(&finding.rule);
        if !self.passed.contains(&key) && unseen.contains(&service) {
            self.worst.push(&finding);
            return writeln!(self.open, "{}", serde_json::to_string(&finding)?);
        }
        let event = ocsf::closed(&finding, &self.run);
        self.event(&event)?;
        resolved.push(&finding);
        Ok(())
    }

    /// Closes the files and sorts the worst findings.
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
