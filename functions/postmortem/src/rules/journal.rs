//! The journal: every post-mortem, its state, and its actions. One shared document of some 2 kB for each incident that had
//! one; the texts are documents of their own.

use std::collections::BTreeMap;

use incident::Severity;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Name of the journal's document.
pub(crate) const NAME: &str = "journal";

/// All post-mortems.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Journal {
    /// By the incident's id.
    pub postmortems: BTreeMap<String, Postmortem>,
}

/// One post-mortem.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Postmortem {
    /// The incident's title.
    pub title: String,
    /// The incident's severity when it was resolved.
    pub severity: Severity,
    /// The responsible team.
    pub owner: String,
    /// The team that stands in for it.
    pub backup: String,
    /// Identity of the problem.
    pub problem: String,
    /// When the incident was resolved, last.
    pub resolved_at: Timestamp,
    /// When the document was begun.
    pub begun_at: Timestamp,
    /// The day by which it is to be closed, in São Paulo.
    pub due: Date,
    /// How far it is.
    pub state: State,
    /// How often people changed that.
    pub changes: u32,
    /// Who changed it last.
    pub changed_by: String,
    /// The pull request with the document, once there is one.
    pub pull_request: Option<u64>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// What it decided, since it was closed.
    pub actions: Vec<Task>,
}

/// An action that a closed post-mortem decided on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Task {
    /// Its number in the document, from 1.
    pub number: u32,
    /// What is to be done.
    pub what: String,
    /// Who does it.
    pub owner: String,
    /// By when, in São Paulo.
    pub due: Date,
    /// Its issue on the board.
    pub issue: Option<u64>,
    /// When it was done.
    pub done_at: Option<Timestamp>,
    /// Who said so: a person, or the board.
    pub done_by: String,
}

/// How far a post-mortem is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// People write it.
    #[default]
    Draft,
    /// People read it.
    InReview,
    /// It is complete, and its actions are tasks.
    Closed,
    /// None is needed: the incident turned out to be a false alarm, or a part of another one.
    Dropped,
}

impl State {
    /// The stable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::InReview => "in_review",
            Self::Closed => "closed",
            Self::Dropped => "dropped",
        }
    }

    /// Whether people still work on it.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Draft | Self::InReview)
    }

    /// Whether a person may take it from here to there. What was closed stays: its actions are tasks by then.
    pub(crate) fn may_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Draft, Self::InReview) | (Self::InReview, Self::Draft | Self::Closed))
    }
}

impl Journal {
    /// The post-mortem whose problem came back at `first_at` as another incident: the last one closed before.
    pub(crate) fn closed_before(&self, id: &str, problem: &str, first_at: Timestamp) -> Option<&str> {
        let is_before = |one: &Postmortem| one.closed_at.is_some_and(|closed| closed < first_at);
        self.postmortems
            .iter()
            .filter(|(known, one)| known.as_str() != id && one.problem == problem && is_before(one))
            .max_by_key(|(_, one)| one.closed_at)
            .map(|(known, _)| known.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_one_stays_and_a_draft_is_reviewed_before_it_is_closed() {
        use State::{Closed, Draft, Dropped, InReview};
        let all = [Draft, InReview, Closed, Dropped];
        let may: Vec<_> = all
            .into_iter()
            .flat_map(|from| all.map(|to| (from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .collect();
        assert_eq!(may, [(Draft, InReview), (InReview, Draft), (InReview, Closed)]);
    }

    #[test]
    fn a_repetition_is_of_the_last_one_closed_before_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let one = |closed: Option<&str>| Postmortem {
            problem: "p".to_owned(),
            closed_at: closed.map(at),
            ..Postmortem::default()
        };
        let postmortems = [
            ("INC-1", one(Some("2026-11-01T12:00:00Z"))),
            ("INC-2", one(Some("2026-11-10T12:00:00Z"))),
            ("INC-3", one(None)),
            ("INC-4", one(Some("2026-11-20T12:00:00Z"))),
        ];
        let postmortems = postmortems.map(|(id, one)| (id.to_owned(), one)).into_iter().collect();
        let journal = Journal { postmortems };
        let before = |id: &str, problem: &str, at_: &str| journal.closed_before(id, problem, at(at_));
        assert_eq!(before("INC-9", "p", "2026-11-15T12:00:00Z"), Some("INC-2"));
        assert_eq!(before("INC-2", "p", "2026-11-15T12:00:00Z"), Some("INC-1"));
        assert_eq!(before("INC-9", "p", "2026-11-01T12:00:00Z"), None);
        assert_eq!(before("INC-9", "q", "2026-11-30T12:00:00Z"), None);
    }
}
