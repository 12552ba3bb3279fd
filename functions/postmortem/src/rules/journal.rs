//! The journal: every post-mortem, its state, and its actions. One shared document of some 2 kB for each incident that had
//! one; the texts are documents of their own.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Months whose metrics have an incident that was open: they are written again until none is.
    pub open_months: BTreeSet<String>,
}

/// One post-mortem.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Postmortem {
    /// The incident's title.
    pub title: String,
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
    /// How often it was begun: again after the incident was reopened, or when it was needed after all.
    pub begun: u32,
    /// The day by which it is to be closed, in São Paulo.
    pub due: Date,
    /// How far it is.
    pub state: State,
    /// Who asked for it, whatever the policy says; empty if nobody did.
    pub asked_by: String,
    /// Why its runbook was wrong, as far as the document has an action for it: one line for each reason.
    pub runbook_wrong: String,
    /// How often people changed the state.
    pub changes: u32,
    /// How many of these changes were told and recorded.
    pub told: u32,
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
    /// How often people gave it another day.
    pub moves: u32,
    /// The last time.
    pub moved: Option<Moved>,
    /// Its issue on the board.
    pub issue: Option<u64>,
    /// When it was done.
    pub done_at: Option<Timestamp>,
    /// Who said so: a person, or the board.
    pub done_by: String,
    /// What that person added: why it will not be done, for example.
    pub reason: String,
}

/// That an action got another day.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Moved {
    /// The former day.
    pub from: Date,
    /// The person.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Task {
    /// Gives it another day. The same once more changes nothing.
    pub(crate) fn put_off(&mut self, due: Date, by: &str, reason: &str) {
        let is_known = |moved: &Moved| (moved.by.as_str(), moved.reason.as_str()) == (by, reason);
        if self.due == due && self.moved.as_ref().is_some_and(is_known) {
            return;
        }
        self.moved = Some(Moved { from: self.due, by: by.to_owned(), reason: reason.to_owned() });
        self.moves += 1;
        self.due = due;
    }

    /// Notes that it is done; the first who said so stays.
    pub(crate) fn finish(&mut self, at: Timestamp, by: &str, reason: &str) {
        if self.done_at.is_none() {
            self.done_at = Some(at);
            by.clone_into(&mut self.done_by);
            reason.clone_into(&mut self.reason);
        }
    }
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
    /// None is needed: the incident turned out to be a false alarm, a part of another one, an exercise, or smaller.
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

impl Postmortem {
    /// Whether nothing has to be begun for an end of its incident. A closed one stays; one that was dropped is begun again once
    /// it is needed.
    pub(crate) fn has(&self, resolved_at: Timestamp) -> bool {
        match self.state {
            State::Draft | State::InReview => self.resolved_at == resolved_at,
            State::Closed => true,
            State::Dropped => false,
        }
    }

    /// Takes what `begun` says about the incident and its document, unless it was closed meanwhile. What people did stays.
    pub(crate) fn begin(&mut self, begun: &Self) {
        if self.state == State::Closed {
            return;
        }
        let own = std::mem::take(self);
        *self = Self {
            state: if own.state == State::Dropped { State::Draft } else { own.state },
            begun_at: if own.begun == 0 { begun.begun_at } else { own.begun_at },
            changes: own.changes,
            told: own.told,
            changed_by: own.changed_by,
            pull_request: begun.pull_request.or(own.pull_request),
            ..begun.clone()
        };
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
    fn what_people_did_stays_when_it_is_begun_again() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (first, second) = (at("2026-11-01T12:00:00Z"), at("2026-11-02T12:00:00Z"));
        let begun =
            Postmortem { resolved_at: second, begun: 2, title: "t".to_owned(), ..Postmortem::default() };
        for (state, has_first, expected) in [
            (State::Draft, true, State::Draft),
            (State::InReview, true, State::InReview),
            (State::Closed, true, State::Closed),
            (State::Dropped, false, State::Draft),
        ] {
            let before = Postmortem {
                resolved_at: first,
                begun: 1,
                begun_at: first,
                changes: 3,
                changed_by: "Ana".to_owned(),
                pull_request: Some(7),
                state,
                ..Postmortem::default()
            };
            assert_eq!(before.has(first), has_first, "{state:?}");
            assert_eq!(before.has(second), state == State::Closed, "{state:?}");
            let mut after = before.clone();
            after.begin(&begun);
            if state == State::Closed {
                assert_eq!(after, before);
                continue;
            }
            assert_eq!((after.state, after.resolved_at, after.title.as_str()), (expected, second, "t"));
            assert_eq!((after.changes, after.pull_request, after.begun_at), (3, Some(7), first));
        }
    }

    #[test]
    fn another_day_is_a_change_of_its_own_each_time() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let mut task = Task { due: date("2026-12-20"), ..Task::default() };
        for (due, by, reason, moves, from) in [
            ("2026-12-10", "Ana", "antes", 1, "2026-12-20"),
            ("2026-12-10", "Ana", "antes", 1, "2026-12-20"),
            ("2026-12-20", "Ana", "peça", 2, "2026-12-10"),
            ("2026-12-20", "Rui", "peça", 3, "2026-12-20"),
        ] {
            task.put_off(date(due), by, reason);
            let moved = task.moved.clone().unwrap();
            assert_eq!((task.due, task.moves, moved.from), (date(due), moves, date(from)));
        }
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
        let journal = Journal { postmortems, ..Journal::default() };
        let before = |id: &str, problem: &str, at_: &str| journal.closed_before(id, problem, at(at_));
        assert_eq!(before("INC-9", "p", "2026-11-15T12:00:00Z"), Some("INC-2"));
        assert_eq!(before("INC-2", "p", "2026-11-15T12:00:00Z"), Some("INC-1"));
        assert_eq!(before("INC-9", "p", "2026-11-01T12:00:00Z"), None);
        assert_eq!(before("INC-9", "q", "2026-11-30T12:00:00Z"), None);
    }
}
