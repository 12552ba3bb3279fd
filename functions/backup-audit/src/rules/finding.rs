//! Findings, their counts, and the worst of them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::policy::Exception;

use super::rule::{Row, Verdict};

/// Most findings kept for messages and answers; the files have all.
pub(crate) const KEPT: usize = 200;

/// A verdict other than pass: one line of the report of findings.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub rule: String,
    pub severity: String,
    /// `fail`, `unknown`, `excepted`.
    pub verdict: String,
    pub resource: String,
    pub arn: String,
    /// Present state, or why it is unknown.
    pub found: String,
    pub expected: String,
    /// Command to run.
    pub next_step: String,
    /// Section of the guide.
    pub guide: String,
    /// The day in São Paulo since which it has been open without a break.
    pub since: Date,
    pub exception: Option<Accepted>,
}

/// Acceptance of a violation.
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
    pub(crate) fn new(row: &Row, since: Date) -> Self {
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
            next_step: row.next_step(),
            guide: row.rule.guide.to_owned(),
            since,
            exception,
        }
    }

    /// Identity of the finding across runs.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.rule, self.resource)
    }
}

/// Number of verdicts of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub pass: usize,
    pub fail: usize,
    pub unknown: usize,
    pub excepted: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Fail { .. } => self.fail += 1,
            Verdict::Unknown(_) => self.unknown += 1,
            Verdict::Excepted { .. } => self.excepted += 1,
        }
    }

    /// Whether every verdict is unknown, and there is at least one.
    pub(crate) fn is_dark(&self) -> bool {
        self.unknown > 0 && self.pass + self.fail + self.excepted == 0
    }
}

/// Rank of a verdict: a finding whose rank rises got worse.
pub(crate) fn weight(verdict: &str) -> u8 {
    match verdict {
        "fail" => 3,
        "unknown" => 2,
        "excepted" => 1,
        _ => 0,
    }
}

/// The worst findings, at most [`KEPT`], and the number of all.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    pub findings: Vec<Finding>,
    pub count: usize,
}

impl Worst {
    pub(crate) fn push(&mut self, finding: &Finding) {
        self.count += 1;
        self.findings.push(finding.clone());
        if self.findings.len() >= 2 * KEPT {
            self.sort();
        }
    }

    pub(crate) fn sort(&mut self) {
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
