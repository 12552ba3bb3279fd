//! What the daily run finds. A finding is about a post-mortem, by its incident's id, or about one of its actions.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Its issue was closed for this reason, which is not that it is done.
    ActionRejected(Task, String),
    /// A person has to do something first, or the next run tries again: the reason.
    NotBegun(String),
    /// The document or the board could not be read: the reason. Never a pass.
    NotSeen(String),
    /// Its problem came back after it was closed, as this incident: the same one if that was reopened.
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
    /// What it is about: the incident's id; of an action also its number, of a return the incident that it is.
    pub(crate) fn about(&self) -> String {
        match &self.finding {
            Finding::ActionOverdue(task)
            | Finding::ActionRejected(task, _)
            | Finding::ActionDueSoon(task) => format!("{}/{}", self.incident, task.number),
            // Each return is another finding.
            Finding::Repeated(again) => format!("{}/{again}", self.incident),
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
            Self::ActionRejected(..) => "ActionRejected",
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
    /// What could not be read, with the reason: an incident, its document or its issues, or the evidence.
    pub not_seen: BTreeMap<String, String>,
    /// Post-mortems whose incident goes on, or ended again: they cannot be closed yet.
    pub going_on: BTreeSet<String>,
    /// Actions whose issue was closed although they are not done, by incident and number, with GitHub's reason.
    pub rejected: BTreeMap<(String, u32), String>,
    /// Post-mortems whose problem came back, each with the incident that it came back as.
    pub repeated: BTreeSet<(String, String)>,
}

impl Seen {
    /// Notes that something could not be read.
    pub(crate) fn miss(&mut self, about: &str, why: &str) {
        let reasons = self.not_seen.entry(about.to_owned()).or_default();
        if !reasons.is_empty() {
            reasons.push_str("; ");
        }
        reasons.push_str(why);
    }
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
        let waits = state.is_open() && !seen.going_on.contains(id);
        if waits && *due < today {
            add(Finding::PostmortemOverdue { due: *due, state: *state });
        } else if waits && *due <= soon {
            add(Finding::PostmortemDueSoon { due: *due, state: *state });
        }
        for task in postmortem.actions.iter().filter(|task| task.done_at.is_none()) {
            if let Some(why) = seen.rejected.get(&(id.clone(), task.number)) {
                add(Finding::ActionRejected(task.clone(), why.clone()));
            }
            if task.due < today {
                add(Finding::ActionOverdue(task.clone()));
            } else if task.due <= soon {
                add(Finding::ActionDueSoon(task.clone()));
            }
        }
    }
    let not_begun = seen.not_begun.iter().map(|(id, why)| (id, Finding::NotBegun(why.clone())));
    let not_seen = seen.not_seen.iter().map(|(id, why)| (id, Finding::NotSeen(why.clone())));
    let repeated = seen.repeated.iter().map(|(id, again)| (id, Finding::Repeated(again.clone())));
    found.extend(not_begun.chain(not_seen).chain(repeated).map(|(id, finding)| Found {
        incident: id.clone(),
        postmortem: journal.postmortems.get(id).cloned(),
        finding,
    }));
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
            ("INC-I", open("2026-11-01", State::InReview)),
        ];
        let postmortems = postmortems.map(|(id, one)| (id.to_owned(), one)).into_iter().collect();
        let seen = Seen {
            not_begun: BTreeMap::from([("INC-G".to_owned(), "why".to_owned())]),
            not_seen: BTreeMap::from([("INC-D".to_owned(), "why".to_owned())]),
            // It cannot be closed, so nobody is paged to close it.
            going_on: BTreeSet::from(["INC-I".to_owned()]),
            rejected: BTreeMap::from([(("INC-E".to_owned(), 4), "not_planned".to_owned())]),
            repeated: ["INC-E", "INC-H"].map(|again| ("INC-E".to_owned(), again.to_owned())).into(),
        };
        let journal = Journal { postmortems, ..Journal::default() };
        let found = findings(&journal, &seen, date("2026-12-04"), &Calendar::default());
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
                "ActionRejected INC-E/4",
                "PostmortemDueSoon INC-B",
                "PostmortemDueSoon INC-C",
                "Repeated INC-E/INC-E",
                "Repeated INC-E/INC-H",
            ]
        );
    }
}
