//! What the daily run finds. A finding is about a post-mortem, by its incident's id, or about one of its actions.

use std::collections::BTreeMap;

use jiff::civil::Date;
use shared::policy::calendar::{Calendar, add_business_days};

use super::journal::{Journal, Postmortem, State, Task};

/// A problem of a post-mortem, or a missing fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// It should be closed.
    PostmortemOverdue {
        /// The day by which.
        due: Date,
        /// How far it is.
        state: State,
    },
    /// An action should be done.
    ActionOverdue(Task),
    /// A person has to do something first, or the next run tries again: the reason.
    NotBegun(String),
    /// The document or the board could not be read: the reason. Never a pass.
    NotSeen(String),
    /// Its problem came back after it was closed, as this incident.
    Repeated(String),
    /// It is to be closed today or on the next business day.
    PostmortemDueSoon {
        /// The day by which.
        due: Date,
        /// How far it is.
        state: State,
    },
    /// An action is to be done today or on the next business day.
    ActionDueSoon(Task),
}

/// A finding with what it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    /// The incident's id.
    pub incident: String,
    /// Its post-mortem, if there is one.
    pub postmortem: Option<Postmortem>,
    /// The finding.
    pub finding: Finding,
}

impl Found {
    /// What it is about: the incident's id; of an action also its number.
    pub(crate) fn about(&self) -> String {
        match &self.finding {
            Finding::ActionOverdue(task) | Finding::ActionDueSoon(task) => {
                format!("{}/{}", self.incident, task.number)
            }
            _ => self.incident.clone(),
        }
    }
}

impl Finding {
    /// Stable name in records, metrics and pages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::PostmortemOverdue { .. } => "PostmortemOverdue",
            Self::ActionOverdue(_) => "ActionOverdue",
            Self::NotBegun(_) => "NotBegun",
            Self::NotSeen(_) => "NotSeen",
            Self::Repeated(_) => "Repeated",
            Self::PostmortemDueSoon { .. } => "PostmortemDueSoon",
            Self::ActionDueSoon(_) => "ActionDueSoon",
        }
    }

    /// Whether it pages.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Self::PostmortemOverdue { .. } | Self::ActionOverdue(_))
    }

    /// Whether a run with this finding fails.
    pub(crate) fn fails(&self) -> bool {
        self.pages() || matches!(self, Self::NotBegun(_) | Self::NotSeen(_))
    }
}

/// What was read beside the journal.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    /// Incidents whose document is to be begun, with the reason why an earlier attempt failed, if one did.
    pub not_begun: BTreeMap<String, String>,
    /// Post-mortems whose document could not be read, with the reason.
    pub not_seen: BTreeMap<String, String>,
    /// Incidents whose problem came back, by the post-mortem.
    pub repeated: BTreeMap<String, String>,
}

/// The findings, the worst first.
pub(crate) fn findings(journal: &Journal, seen: &Seen, today: Date, calendar: &Calendar) -> Vec<Found> {
    let mut found = Vec::new();
    let soon = add_business_days(today, 1, calendar);
    for (id, postmortem) in &journal.postmortems {
        let mut add = |finding| {
            found.push(Found { incident: id.clone(), postmortem: Some(postmortem.clone()), finding });
        };
        let Postmortem { due, state, .. } = postmortem;
        if state.is_open() && *due < today {
            add(Finding::PostmortemOverdue { due: *due, state: *state });
        } else if state.is_open() && *due <= soon {
            add(Finding::PostmortemDueSoon { due: *due, state: *state });
        }
        for task in postmortem.actions.iter().filter(|task| task.done_at.is_none()) {
            if task.due < today {
                add(Finding::ActionOverdue(task.clone()));
            } else if task.due <= soon {
                add(Finding::ActionDueSoon(task.clone()));
            }
        }
        for (which, finding) in
            [(&seen.not_seen, Finding::NotSeen as fn(String) -> Finding), (&seen.repeated, Finding::Repeated)]
        {
            which.get(id).into_iter().for_each(|why| add(finding(why.clone())));
        }
    }
    for (id, why) in &seen.not_begun {
        let finding = Finding::NotBegun(why.clone());
        found.push(Found { incident: id.clone(), postmortem: None, finding });
    }
    found.sort_by_key(|one| (rank(&one.finding), one.about()));
    found
}

fn rank(finding: &Finding) -> (bool, bool, &'static str) {
    (!finding.pages(), !finding.fails(), finding.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn findings_at_each_boundary() {
        let task = |number, due: &str, done: bool| Task {
            number,
            due: date(due),
            done_at: done.then_some("2026-11-30T12:00:00Z".parse().unwrap()),
            ..Task::default()
        };
        let open = |due: &str, state| Postmortem { due: date(due), state, ..Postmortem::default() };
        let closed = Postmortem {
            actions: vec![
                task(1, "2026-12-03", false),
                task(2, "2026-12-04", false),
                task(3, "2026-12-07", false),
                task(4, "2026-12-08", false),
                task(5, "2026-11-01", true),
            ],
            ..open("2026-11-01", State::Closed)
        };
        let postmortems = [
            ("INC-A", open("2026-12-03", State::Draft)),
            ("INC-B", open("2026-12-04", State::InReview)),
            // Monday is the next business day after Friday.
            ("INC-C", open("2026-12-07", State::Draft)),
            ("INC-D", open("2026-12-08", State::Draft)),
            ("INC-E", closed),
            ("INC-F", open("2026-11-01", State::Dropped)),
        ];
        let postmortems = postmortems.map(|(id, one)| (id.to_owned(), one)).into_iter().collect();
        let seen = Seen {
            not_begun: BTreeMap::from([("INC-G".to_owned(), "why".to_owned())]),
            not_seen: BTreeMap::from([("INC-D".to_owned(), "why".to_owned())]),
            repeated: BTreeMap::from([("INC-E".to_owned(), "INC-H".to_owned())]),
        };
        let found = findings(&Journal { postmortems }, &seen, date("2026-12-04"), &Calendar::default());
        let found: Vec<_> =
            found.iter().map(|one| format!("{} {}", one.finding.kind(), one.about())).collect();
        assert_eq!(
            found,
            [
                "ActionOverdue INC-E/1",
                "PostmortemOverdue INC-A",
                "NotBegun INC-G",
                "NotSeen INC-D",
                "ActionDueSoon INC-E/2",
                "ActionDueSoon INC-E/3",
                "PostmortemDueSoon INC-B",
                "PostmortemDueSoon INC-C",
                "Repeated INC-E",
            ]
        );
    }
}
