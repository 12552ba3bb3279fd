//! The verdicts on one resource, and its problems. No I/O.

use std::collections::BTreeSet;

use shared::policy::{Area, Responsible};

use super::settings::Setting;
use super::state::{Place, Value};

/// How one question about a resource ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// Nobody could see.
    Unknown,
    /// Not asked.
    NotAsked,
}

impl Verdict {
    /// Its word in answer and table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Fail => "finding",
            Self::Unknown => "unverified",
            Self::NotAsked => "",
        }
    }
}

/// What is wrong, or could not be seen; the worst first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Problem {
    /// Nothing of the inventory could be seen.
    NothingRead,
    /// It does not exist; with whether Terraform believes that it does, if that is known.
    Missing {
        /// Whether the state has it.
        is_in_state: Option<bool>,
    },
    /// It could not be looked at.
    InsufficientData {
        /// Why.
        why: String,
    },
    /// A state holds a secret value in clear.
    ValueInState {
        /// Where.
        value: Value,
        /// Whether the secret has a rotation, if it is one.
        rotates: Option<bool>,
    },
    /// Terraform manages it in more than one place.
    InTwoStates {
        /// The places.
        places: BTreeSet<Place>,
    },
    /// The template does not say where the state is.
    StateUndeclared,
    /// The state was not read.
    StateUnreadable {
        /// Why.
        why: String,
    },
    /// What else there is could not be listed.
    ListUnread {
        /// Why.
        why: String,
    },
    /// It lacks tags, or they say something else; with the values that they must have, none for any.
    TagsMissing {
        /// Names, and the values that they must have.
        tags: Vec<(&'static str, Option<String>)>,
    },
    /// AWS shows a setting otherwise than the state.
    Drift {
        /// The setting.
        setting: Setting,
        /// What AWS shows.
        found: String,
        /// What the state holds.
        expected: String,
        /// Where it holds it.
        place: Place,
    },
    /// It exists, and the state does not know it.
    NotInState,
    /// It is of a kind that the inventory holds, and not in it.
    NotInInventory,
    /// One team is primary and backup.
    OneTeam,
    /// The inventory has an area without a resource.
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

    /// Whether somebody is to be woken.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Self::NothingRead | Self::Missing { .. })
    }

    /// Whether it says that something could not be seen, rather than that something is wrong.
    pub(crate) fn is_unverified(&self) -> bool {
        matches!(
            self,
            Self::NothingRead
                | Self::InsufficientData { .. }
                | Self::StateUndeclared
                | Self::StateUnreadable { .. }
                | Self::ListUnread { .. }
        )
    }
}

/// What was decided of one thing: a resource, an area, the state or the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    /// Its area; none for a resource that the inventory does not have.
    pub area: Option<Area>,
    /// Its kind in the inventory, or service and type of its ARN, or `area`, `terraform-state`, `tagged-resources`,
    /// `inventory`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its ARN, if that was seen.
    pub arn: String,
    /// Who answers for it.
    pub responsible: Responsible,
    /// Whether it exists.
    pub exists: Verdict,
    /// Whether it has the tags.
    pub tags: Verdict,
    /// Whether the state has it.
    pub state: Verdict,
    /// Whether its settings are those of the state.
    pub settings: Verdict,
    /// Terraform's type and id by which it is imported, if it is of a kind of the inventory.
    pub import: Option<(&'static str, String)>,
    /// What is wrong, worst first.
    pub problems: Vec<Problem>,
}

impl Row {
    /// What the row is about, in one line; without what ends a finding's key.
    pub(crate) fn about(&self) -> String {
        format!("{} {}", self.kind, self.name).replace(": ", ":")
    }

    /// What makes problems of two runs the same one.
    pub(crate) fn key(&self, problem: &Problem) -> String {
        let part = match problem {
            Problem::Drift { setting, .. } => format!(" {}", setting.name()),
            _ => String::new(),
        };
        format!("{} {}{part}", problem.kind(), self.about())
    }
}

/// Each problem with its row.
pub(crate) fn problems(rows: &[Row]) -> impl Iterator<Item = (&Row, &Problem)> {
    rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)))
}

/// A name that stays in its place in a message: AWS lets some, an alarm's, hold line ends and backquotes.
pub(crate) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}
