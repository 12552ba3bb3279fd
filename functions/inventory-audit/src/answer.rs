//! The function's answer.

use serde::Serialize;

use crate::rules::row::{Problem, Row};

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day in São Paulo, and what was found.
    pub run_id: String,
    /// `succeeded` when everything was seen and nothing is wrong.
    pub result: &'static str,
    /// What the inventory holds, and what is wrong with anything else; worst first.
    pub resources: Vec<Answer>,
    /// How many others of the project there are, with which nothing is wrong.
    pub others: usize,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

impl Report {
    /// Of a run that recorded changes of the policy, by their versions, and looked at nothing else.
    pub(crate) fn of_changes(run_id: String) -> Self {
        Self { run_id, result: "succeeded", resources: Vec::new(), others: 0, paged: Vec::new() }
    }
}

/// One thing of the answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Its area of the inventory.
    pub area: Option<&'static str>,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `ok`, `finding`, `unverified`, or empty where it is not asked.
    pub exists: &'static str,
    /// The same for its tags.
    pub tags: &'static str,
    /// The same for the Terraform state.
    pub terraform: &'static str,
    /// The same for the settings that the state holds.
    pub settings: &'static str,
    /// Kinds of what is wrong, worst first.
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
