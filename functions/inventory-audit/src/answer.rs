//! The function's answer.

use serde::Serialize;

use crate::rules::row::{Problem, Row};

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day in São Paulo, and a hash of the last run and the findings; after changes of the policy, their versions.
    pub run_id: String,
    /// `succeeded` if everything could be checked and there is no finding.
    pub result: &'static str,
    /// Resources of the inventory, and other resources with a finding; worst first.
    pub resources: Vec<Answer>,
    /// Number of the project's other resources, which have no finding.
    pub others: usize,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

impl Report {
    /// The answer of a run that only recorded changes of the policy; `run_id` lists their versions.
    pub(crate) fn of_changes(run_id: String) -> Self {
        Self { run_id, result: "succeeded", resources: Vec::new(), others: 0, paged: Vec::new() }
    }
}

/// One resource, area, state, list, squad, person or runbook.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Its area of the inventory.
    pub area: Option<&'static str>,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it exists: `ok`, `finding`, `unverified`, or empty if that does not apply.
    pub exists: &'static str,
    /// The same for the required tags.
    pub tags: &'static str,
    /// The same for its place in a Terraform state.
    pub terraform: &'static str,
    /// The same for the settings in the state.
    pub settings: &'static str,
    /// Kinds of its findings, worst first.
    pub findings: Vec<&'static str>,
}

pub(crate) fn answer(row: &Row) -> Answer {
    Answer {
        area: row.area.map(|area| area.name()),
        kind: row.kind.clone(),
        name: row.name.clone(),
        exists: row.exists.word(),
        tags: row.tags.word(),
        terraform: row.state.word(),
        settings: row.settings.word(),
        findings: row.problems.iter().map(Problem::kind).collect(),
    }
}
