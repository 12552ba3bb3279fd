//! The reports in the evidence bucket, and the function's answer.

use std::time::Duration;

use serde::Serialize;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::apply::Repaired;
use crate::findings::Outcome;
use crate::rules::finding::{Counts, Finding};
use crate::{App, PROCEDURE, aws};

/// The function's answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an audit.
    Audit(Box<Report>),
    /// To a repair.
    Repair(Repaired),
}

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(crate) run_id: String,
    /// `succeeded` if everything could be read and no rule fails.
    pub(crate) result: &'static str,
    pub(crate) counts: Counts,
    /// Findings, the worst first; at most [`KEPT`](crate::rules::finding::KEPT).
    pub(crate) findings: Vec<Finding>,
    /// Number of findings that are new or worse than in the previous run.
    pub(crate) new: usize,
    /// Number of the previous run's findings that are resolved.
    pub(crate) resolved: usize,
    /// Keys of the reports in the evidence bucket; empty if they were not stored, and for one resource.
    pub(crate) reports: Vec<String>,
    /// Dedup keys of the pages.
    pub(crate) paged: Vec<String>,
    /// Outcome of each repair.
    pub(crate) repaired: Vec<String>,
}

/// Stores the reports; returns their keys, each with its SHA-256. A failure to store does not fail the audit: the
/// record and the log still have the findings.
pub(crate) async fn store(app: &App, outcome: &Outcome, invocation: &Invocation) -> Vec<(String, String)> {
    let stamp = invocation.now.strftime("%Y%m%dT%H%M%S%.3fZ");
    let mut stored = Vec::new();
    for report in &outcome.reports {
        let key = format!("reports/{PROCEDURE}/{stamp}/{}", report.name);
        let put = aws::s3::store(&app.s3, &app.base.reporter.documents.bucket, &key, report);
        let put = invocation.before_deadline(Duration::from_secs(20), put).await;
        match put.map_err(|late| chain(&late)).and_then(|put| put.map_err(|call| chain(&call))) {
            Ok(()) => stored.push((key, report.hex())),
            Err(reason) => app.base.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &key),
        }
    }
    stored
}
