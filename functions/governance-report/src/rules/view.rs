//! Everything that the page shows, decided: page, table, feed and mail are only its forms. Stored, and published as
//! `controls.json`, which another environment's page reads.

use std::collections::BTreeMap;

use incident::metrics::Metrics;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Most entries of the feed that are kept.
pub(crate) const MOST_EVENTS: usize = 100;

/// The state of a control, the worst first.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The last evidence shows that the requirement is not met.
    Failing,
    /// What should have been proved by now was not.
    Overdue,
    /// No verified evidence shows the state. Never counted as good.
    #[default]
    Unknown,
    /// Proved, and due again soon.
    Due,
    /// Proved.
    Ok,
}

impl State {
    /// All states, the worst first.
    pub(crate) const ALL: [Self; 5] = [Self::Failing, Self::Overdue, Self::Unknown, Self::Due, Self::Ok];

    /// The stable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Overdue => "overdue",
            Self::Unknown => "unknown",
            Self::Due => "due",
            Self::Ok => "ok",
        }
    }

    /// Whether the control is proved.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Due | Self::Ok)
    }
}

/// Why a control has its state.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// There is no evidence at all.
    #[default]
    NoEvidence,
    /// It is proved only when the case arises, and none has.
    NoCase,
    /// The procedure's chain of records is damaged.
    ChainDamaged,
    /// The chain, or a document, could not be read; the reason.
    Unread(String),
    /// The last run failed or found something; the number of its findings that count here.
    Found(usize),
    /// The last run could not read everything.
    NotAllRead,
    /// The last good evidence is too old, since this instant.
    LateSince(Timestamp),
    /// An item of the control (a secret, a post-mortem, a person) is late or due: which.
    Items(Vec<String>),
    /// The pager's daily drill did not come back.
    DrillLost,
    /// It is due again at the next due date.
    DueSoon,
    /// The evidence is good.
    Proved,
}

/// An object that proves something.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Proof {
    /// The object's key in the environment's evidence bucket.
    pub key: String,
    /// Its version, for an object that is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// When the run ended, or the object was written.
    pub at: Timestamp,
    /// Whether the run succeeded.
    pub succeeded: bool,
}

/// What was measured.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// A restore: seconds until the data could be read, and seconds of data that were lost; none if not measured.
    Restore {
        /// RTO.
        rto_seconds: Option<i64>,
        /// RPO.
        rpo_seconds: Option<i64>,
    },
    /// Checks, and how many of them passed.
    Checks {
        /// Passed.
        good: usize,
        /// All.
        all: usize,
    },
    /// Open findings.
    Findings(usize),
    /// Secrets, and how many of them are within their maximum age.
    Secrets {
        /// Proved and not due.
        good: usize,
        /// All in the sheet.
        all: usize,
    },
    /// Incidents of the month, and how many of them miss the requirement.
    Incidents {
        /// All.
        all: usize,
        /// Those that miss it.
        missed: usize,
    },
    /// When the pager's daily drill came back last.
    Drill(Timestamp),
    /// Records whose chain was verified, of all.
    Records {
        /// Verified.
        verified: u64,
        /// All.
        all: u64,
    },
}

/// A control with its evidence.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Row {
    /// Stable name.
    pub id: String,
    /// Section of the guide.
    pub guide: String,
    /// The procedure that proves it.
    pub procedure: String,
    /// Its state.
    pub state: State,
    /// Why.
    pub why: Why,
    /// Since when the page has shown this state.
    pub since: Timestamp,
    /// Since when a run of the procedure is missing, whatever the last one found.
    pub stopped: Option<Timestamp>,
    /// The last evidence, good or not.
    pub evidence: Option<Proof>,
    /// The last good evidence, if the last one is not.
    pub last_good: Option<Proof>,
    /// What was measured last.
    pub figure: Option<Figure>,
    /// When new evidence is due; none if it is due when a case arises.
    pub next_due: Option<Timestamp>,
    /// The responsible team.
    pub owner: String,
    /// The team that stands in for it.
    pub backup: String,
}

/// A requirement of the guide that is not measured.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Gap {
    /// Stable name.
    pub id: String,
    /// Section of the guide.
    pub guide: String,
    /// Whether the setting is off without which nothing does it.
    pub off: bool,
}

/// How the verification of a chain ended.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Every record is there and unchanged.
    Verified,
    /// Something is missing, altered or forged; one text for each fault.
    Damaged(Vec<Fault>),
    /// It could not be read to its end; the reason.
    #[default]
    Unknown,
    /// There is no record.
    Empty,
}

/// A fault of a chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Fault {
    /// Stable name.
    pub kind: String,
    /// The object's key.
    pub key: String,
    /// What is wrong, in the stack's language.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// A chain as the page shows it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct ChainRow {
    /// The procedure.
    pub procedure: String,
    /// How its verification ended.
    pub verdict: Verdict,
    /// Why it is unknown, or how far a complete reading came that goes on.
    pub unread: Vec<String>,
    /// Records that were verified.
    pub records: u64,
    /// Records that S3 lists.
    pub listed: u64,
    /// SHA-256 of the last verified record.
    pub sha256: String,
    /// When the last complete reading began; since then, S3 has listed the same versions of the records that it read.
    pub full_at: Option<Timestamp>,
    /// Whether the head stands in the second place, too.
    pub anchored: bool,
}

/// A secret in the rotation sheet.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Secret {
    /// Name.
    pub secret: String,
    /// The application's variable.
    pub key: String,
    /// The procedure that rotates it; empty if unknown.
    pub procedure: String,
    /// State.
    pub state: State,
    /// End of the last follow-up.
    pub rotated: Option<Timestamp>,
    /// Outcome of the last follow-up.
    pub outcome: String,
    /// Why it was rotated.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When the policy requires the next rotation.
    pub next_due: Option<Timestamp>,
    /// The responsible team.
    pub owner: String,
    /// The team that stands in for it.
    pub backup: String,
}

/// A measured restore.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Restore {
    /// When it ended.
    pub at: Timestamp,
    /// `restore-test` or `emergency-restore`.
    pub procedure: String,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Seconds until the data could be read.
    pub rto_seconds: Option<i64>,
    /// Seconds of data that were lost.
    pub rpo_seconds: Option<i64>,
    /// The record.
    pub key: String,
}

/// An open finding.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Open {
    /// The procedure that found it.
    pub procedure: String,
    /// Kind, or verdict and rule, and subject.
    pub key: String,
    /// The record's sentence.
    pub text: String,
    /// End of the first record since which it has been found without a break.
    pub since: Timestamp,
}

/// An exception of the policy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Exception {
    /// The rule that is not met.
    pub rule: String,
    /// The resource.
    pub resource: String,
    /// Why that is accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day.
    pub until: Date,
}

/// A change of the policy, as recorded.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Change {
    /// When it was recorded.
    pub at: Timestamp,
    /// Who made it, according to the document.
    pub author: String,
    /// The commit, according to the document.
    pub commit: String,
    /// Why, according to the document.
    pub reason: String,
    /// Whether the commit is on the main branch with this content: `yes`, `no`, or `unknown`, with the reason.
    pub merged: String,
    /// The fields that changed; at most [`MOST_CHANGES`](super::fold::MOST_CHANGES).
    pub changes: Vec<String>,
    /// The record.
    pub key: String,
}

/// What the stack costs in a month.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Cost {
    /// Why it is unknown.
    pub unread: Option<String>,
    /// Days that were measured.
    pub days: u16,
    /// US dollars a month, by what is paid for.
    pub lines: Vec<CostLine>,
    /// Sum of the lines.
    pub usd: f64,
    /// Date of the prices.
    pub prices_as_of: String,
    /// Source of the prices.
    pub source: String,
}

/// One thing that is paid for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct CostLine {
    /// Stable name: `compute`, `requests`, `logs`, `alarms`.
    pub what: String,
    /// How much of it a month.
    pub amount: f64,
    /// Its unit.
    pub unit: String,
    /// US dollars a unit.
    pub price: f64,
    /// US dollars a month.
    pub usd: f64,
}

/// An environment beside this one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Environment {
    /// Its evidence bucket.
    pub bucket: String,
    /// Its name; empty if its page was not read.
    pub environment: String,
    /// Why its page is not known, or too old.
    pub unread: Option<String>,
    /// When its page was made.
    pub made_at: Option<Timestamp>,
    /// Its controls' states; all unknown if the page is.
    pub states: BTreeMap<String, State>,
}

/// A change of a control's state.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Event {
    /// When the page showed it first.
    pub at: Timestamp,
    /// The control.
    pub control: String,
    /// Its state before; none for a control that the page did not have.
    pub from: Option<State>,
    /// Its state since.
    pub to: State,
}

/// The page.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct View {
    /// The form of this document; 1.
    pub schema: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// Project of the stack.
    pub project: String,
    /// Environment of the stack.
    pub environment: String,
    /// Commit that the code was built from.
    pub code_version: String,
    /// The evidence bucket.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// Every control, in the guide's order.
    pub controls: Vec<Row>,
    /// What the guide requires and no control measures, in the guide's order.
    pub unmeasured: Vec<Gap>,
    /// Every chain.
    pub chains: Vec<ChainRow>,
    /// Faults of the anchors' own chain.
    pub anchor_faults: Vec<Fault>,
    /// What of the anchors, or of their copy in the repository, could not be read or written.
    pub anchors_unread: Vec<String>,
    /// Whether the stack has a second place for the chains' heads.
    pub has_anchors: bool,
    /// The rotation sheet.
    pub secrets: Vec<Secret>,
    /// Why the rotation sheet is not known.
    pub ledger_unread: Option<String>,
    /// Measured restores, the oldest first.
    pub restores: Vec<Restore>,
    /// Metrics of incidents, the oldest month first.
    pub months: Vec<Metrics>,
    /// Why they are not all known.
    pub months_unread: Option<String>,
    /// Open findings, the oldest first.
    pub findings: Vec<Open>,
    /// Exceptions, the first to expire first.
    pub exceptions: Vec<Exception>,
    /// Changes of the policy, the newest first.
    pub changes: Vec<Change>,
    /// Cost.
    pub cost: Cost,
    /// Other environments.
    pub environments: Vec<Environment>,
    /// Changes of states, the newest first.
    pub events: Vec<Event>,
}

impl View {
    /// How many controls have a state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.controls.iter().filter(|row| row.state == state).count()
    }

    /// Takes over from the page before this one: since when each state is shown, and what changed.
    pub(crate) fn succeed(&mut self, before: &Self) {
        let old: BTreeMap<&str, &Row> = before.controls.iter().map(|row| (row.id.as_str(), row)).collect();
        let mut events = Vec::new();
        for row in &mut self.controls {
            match old.get(row.id.as_str()) {
                Some(known) if known.state == row.state => row.since = known.since,
                known => {
                    row.since = self.made_at;
                    let from = known.map(|known| known.state);
                    let (control, to) = (row.id.clone(), row.state);
                    events.push(Event { at: self.made_at, control, from, to });
                }
            }
        }
        events.extend(before.events.iter().cloned());
        events.truncate(MOST_EVENTS);
        self.events = events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, state: State, since: &str) -> Row {
        Row { id: id.to_owned(), state, since: since.parse().unwrap(), ..Row::default() }
    }

    #[test]
    fn a_state_has_its_age_and_a_change_is_an_event() {
        let (long_ago, now) = ("2026-01-01T00:00:00Z", "2026-11-29T12:00:00Z".parse().unwrap());
        let before = View {
            controls: vec![row("a", State::Ok, long_ago), row("b", State::Ok, long_ago)],
            events: vec![Event::default(); MOST_EVENTS],
            ..View::default()
        };
        let controls = vec![
            row("a", State::Ok, "2026-11-29T00:00:00Z"),
            row("b", State::Failing, "2026-11-29T00:00:00Z"),
            row("c", State::Unknown, "2026-11-29T00:00:00Z"),
        ];
        let mut view = View { made_at: now, controls, ..View::default() };
        view.succeed(&before);
        let since: Vec<_> = view.controls.iter().map(|row| row.since).collect();
        assert_eq!(since, [long_ago.parse().unwrap(), now, now]);
        assert_eq!(view.events.len(), MOST_EVENTS);
        let told: Vec<_> =
            view.events.iter().take(2).map(|one| (one.control.as_str(), one.from, one.to)).collect();
        assert_eq!(told, [("b", Some(State::Ok), State::Failing), ("c", None, State::Unknown)]);
    }
}
