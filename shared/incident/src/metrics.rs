//! The metrics of a month, as `postmortem` stores and publishes them (`metrics/incidents-<month>.json`) and the governance page
//! reads them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Severity;

/// The metrics of one month.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Metrics {
    /// The month: `2026-11`.
    pub month: String,
    /// What each number means.
    pub definitions: BTreeMap<String, String>,
    /// The numbers, for each group and severity that had an incident.
    pub rows: Vec<Row>,
    /// Incidents without an acknowledgement, over, or open for longer than their page waits for one: in the rows' counts, and in
    /// no duration.
    pub unacknowledged: Vec<Named>,
    /// Incidents whose severity nobody confirmed, or that had no commander.
    pub unclassified: Vec<Named>,
    /// Incidents with fewer updates than the policy asks for in the time of their impact.
    pub silent: Vec<Named>,
    /// Incidents that are not over.
    pub open: Vec<Named>,
    /// Incidents whose problem had a post-mortem that was closed before.
    pub repeated: Vec<Repeated>,
}

/// The numbers of one severity in one group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Row {
    /// What kind of incidents.
    pub group: Group,
    /// Their severity.
    pub severity: Severity,
    /// How many.
    pub incidents: usize,
    /// Time to acknowledge.
    pub tta: Stat,
    /// Time to mitigate.
    pub ttm: Stat,
    /// Time to resolve.
    pub ttr: Stat,
    /// Time from the beginning of the impact until it was resolved.
    pub impact: Stat,
}

/// What kind of incidents a row counts. The groups are never mixed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Incidents.
    Incident,
    /// Exercises of people.
    Drill,
    /// What never was an incident.
    FalseAlarm,
}

impl Group {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Drill => "drill",
            Self::FalseAlarm => "false_alarm",
        }
    }
}

/// A distribution of durations.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stat {
    /// How many incidents have this duration.
    pub count: usize,
    /// The median, in seconds; of an even number, half-way between the two in the middle. None without any.
    pub median_seconds: Option<i64>,
    /// The smallest duration that at least nine in ten do not exceed, in seconds.
    pub p90_seconds: Option<i64>,
}

/// An incident in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Named {
    /// Its id.
    pub incident: String,
    /// Its severity.
    pub severity: Severity,
    /// Its group.
    pub group: Group,
    /// Its first event.
    pub first_at: Timestamp,
}

/// An incident whose problem had a closed post-mortem.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Repeated {
    /// Its id.
    pub incident: String,
    /// The incident with the post-mortem; the same one if it was reopened.
    pub after: String,
}
