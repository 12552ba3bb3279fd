//! The verdicts and findings on one resource. No I/O.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::policy::{Area, Responsible, oncall};

use super::settings::Setting;
use super::state::{Place, Value};

/// Verdict on one question about a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It complies.
    Pass,
    /// It does not comply.
    Fail,
    /// The facts could not be read.
    Unknown,
    /// The question does not apply.
    NotAsked,
}

impl Verdict {
    /// Its word in the answer and the table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Fail => "finding",
            Self::Unknown => "unverified",
            Self::NotAsked => "",
        }
    }
}

/// A finding: a defect, or a missing check. The order is by severity, worst first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Problem {
    /// No resource of the inventory could be read.
    NothingRead,
    /// It does not exist.
    Missing {
        /// Whether a Terraform state still has it; none if the states were not all read.
        is_in_state: Option<bool>,
    },
    /// It could not be checked.
    InsufficientData {
        /// Why.
        why: String,
    },
    /// A page would not reach somebody who answers for it.
    OnCall {
        /// What would keep it from them.
        kind: oncall::Kind,
        /// The first instant at which it matters.
        from: Timestamp,
        /// The first instant after.
        until: Timestamp,
        /// How many more times of this kind there are.
        more: usize,
    },
    /// A state holds a secret value in plaintext.
    ValueInState {
        /// The value's place and attributes.
        value: Value,
        /// Whether the secret's rotation is on, if the value belongs to a secret that was read.
        rotates: Option<bool>,
    },
    /// More than one Terraform resource manages it.
    InTwoStates {
        /// Their addresses and states.
        places: BTreeSet<Place>,
    },
    /// The stack's parameters do not name a Terraform state.
    StateUndeclared,
    /// A Terraform state could not be read.
    StateUnreadable {
        /// Why.
        why: String,
    },
    /// The project's tagged resources could not be listed.
    ListUnread {
        /// Why.
        why: String,
    },
    /// It lacks required tags, or they have other values.
    TagsMissing {
        /// Names and required values; none means any value.
        tags: Vec<(&'static str, Option<String>)>,
    },
    /// A setting differs between AWS and the Terraform state.
    Drift {
        /// The setting.
        setting: Setting,
        /// Value in AWS.
        found: String,
        /// Value in the state.
        expected: String,
        /// Its place in the state.
        place: Place,
    },
    /// The repository does not have the runbook.
    RunbookMissing {
        /// The alarms that name it.
        alarms: String,
    },
    /// It could not be checked whether there is such a runbook.
    RunbookUnchecked {
        /// The alarms that name it.
        alarms: String,
        /// Why.
        why: String,
    },
    /// It exists and is in no Terraform state.
    NotInState,
    /// The inventory has its kind, but not this resource.
    NotInInventory,
    /// The primary and the backup are the same team.
    OneTeam,
    /// An area of the inventory has no resource.
    EmptyArea,
}

impl Problem {
    /// Its stable name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NothingRead => "NothingRead",
            Self::Missing { .. } => "Missing",
            Self::InsufficientData { .. } => "InsufficientData",
            Self::ValueInState { .. } => "ValueInState",
            Self::InTwoStates { .. } => "InTwoStates",
            Self::OnCall { kind, .. } => kind.name(),
            Self::RunbookMissing { .. } => "RunbookMissing",
            Self::RunbookUnchecked { .. } => "RunbookUnchecked",
            Self::Drift { .. } => "Drift",
            Self::StateUndeclared => "StateUndeclared",
            Self::StateUnreadable { .. } => "StateUnreadable",
            Self::ListUnread { .. } => "ListUnread",
            Self::TagsMissing { .. } => "TagsMissing",
            Self::NotInState => "NotInState",
            Self::NotInInventory => "NotInInventory",
            Self::OneTeam => "OneTeam",
            Self::EmptyArea => "EmptyArea",
        }
    }

    /// Whether it pages.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Self::NothingRead | Self::Missing { .. })
    }

    /// Whether it reports a missing check, not a defect.
    pub(crate) fn is_unverified(&self) -> bool {
        matches!(
            self,
            Self::NothingRead
                | Self::InsufficientData { .. }
                | Self::StateUndeclared
                | Self::StateUnreadable { .. }
                | Self::ListUnread { .. }
                | Self::RunbookUnchecked { .. }
        )
    }
}

/// The verdicts and findings on one subject: a resource, an area, a state, a list, a squad, a runbook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    /// Its area; none for a resource outside the inventory.
    pub area: Option<Area>,
    /// Its kind in the inventory, or service and type from its ARN, or `alarms`, `area`, `inventory`, `on-call`, `runbook`,
    /// `tagged-resources`, `terraform-state`, `terraform-value`.
    pub kind: String,
    pub name: String,
    /// Its ARN; empty if unknown.
    pub arn: String,
    /// The responsible teams.
    pub responsible: Responsible,
    /// Whether it exists.
    pub exists: Verdict,
    /// Whether it has the required tags.
    pub tags: Verdict,
    /// Whether a Terraform state has it.
    pub state: Verdict,
    /// Whether its settings match the state's.
    pub settings: Verdict,
    /// Terraform's type and id for `terraform import`, if the inventory has its kind.
    pub import: Option<(&'static str, String)>,
    /// Its findings, worst first.
    pub problems: Vec<Problem>,
}

impl Row {
    /// The row of something that is no resource: it only has findings.
    pub(crate) fn general(
        kind: &str,
        name: String,
        responsible: &Responsible,
        problems: Vec<Problem>,
    ) -> Self {
        Self {
            area: Some(Area::Infrastructure),
            kind: kind.to_owned(),
            name,
            arn: String::new(),
            responsible: responsible.clone(),
            exists: Verdict::NotAsked,
            tags: Verdict::NotAsked,
            state: Verdict::NotAsked,
            settings: Verdict::NotAsked,
            import: None,
            problems,
        }
    }

    /// Kind and name, in one line. Without `: `, which would end a finding's key.
    pub(crate) fn about(&self) -> String {
        format!("{} {}", self.kind, self.name).replace(": ", ":")
    }

    /// Key of a finding: findings of two runs with the same key are the same finding.
    pub(crate) fn key(&self, problem: &Problem) -> String {
        let setting = match problem {
            Problem::Drift { setting, .. } => format!(" {}", setting.name()),
            _ => String::new(),
        };
        format!("{} {}{setting}", problem.kind(), self.about())
    }
}

/// Sorts rows, the worst first.
pub(crate) fn sort(rows: &mut [Row]) {
    rows.sort_by_cached_key(|row| {
        (row.problems.first().map_or((1, None), |first| (0, Some(first.clone()))), row.about())
    });
}

/// Each problem with its row.
pub(crate) fn problems(rows: &[Row]) -> impl Iterator<Item = (&Row, &Problem)> {
    rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)))
}

/// Foreign text without line breaks and backquotes, which could end its code span in a message. AWS allows them in some
/// names, such as an alarm's.
pub(crate) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}
