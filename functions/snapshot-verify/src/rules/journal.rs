//! What one run leaves to the next: the day's copy, fixed before RDS is asked; what is about to be deleted; and since when a
//! snapshot without a time is known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::Kind;

use super::snapshot::{ExpiredSnapshot, Snapshot};

/// Name of the note. Unlike every run id.
pub(crate) const NOTE: &str = "book";

/// What the runs share.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Journal {
    /// One a day, the newest last.
    pub copies: Vec<Copy>,
    /// About to be deleted, and not recorded yet.
    pub deleting: Vec<ExpiredSnapshot>,
    /// When a snapshot that RDS shows no time of was first seen, by its ARN.
    pub first_seen: BTreeMap<String, Timestamp>,
}

/// The copy of one day.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Copy {
    /// The day in São Paulo.
    pub day: String,
    /// ARN of the snapshot that is copied.
    pub source: String,
    /// Whether it is a cluster's.
    #[serde(default)]
    pub kind: Kind,
    /// Name of the copy.
    pub target: String,
    /// Whether its end was told.
    #[serde(rename = "told")]
    pub reported: bool,
}

impl Copy {
    /// Whether a snapshot of the copies' region is this copy.
    pub(crate) fn is(&self, snapshot: &Snapshot) -> bool {
        snapshot.kind == self.kind && snapshot.name == self.target
    }
}

impl Journal {
    /// Keeps since when snapshots without a time are known, of those that are still without one.
    pub(crate) fn see(&mut self, untimed: &BTreeSet<String>, now: Timestamp) {
        self.first_seen.retain(|arn, _| untimed.contains(arn));
        for arn in untimed {
            self.first_seen.entry(arn.clone()).or_insert(now);
        }
    }

    /// The day's copy, which is to be asked for: the one that was chosen before, unless its source is gone; else of this one.
    pub(crate) fn choose(
        &mut self,
        day: &str,
        source: &Snapshot,
        target: &str,
        there: &BTreeSet<String>,
    ) -> Copy {
        let mut of_day = self.copies.iter_mut().filter(|copy| copy.day == day);
        if let Some(chosen) = of_day.find(|copy| there.contains(&copy.source)) {
            chosen.reported = false;
            return chosen.clone();
        }
        self.copies.retain(|copy| copy.day != day);
        let copy = Copy {
            day: day.to_owned(),
            source: source.arn.clone(),
            kind: source.kind,
            target: target.to_owned(),
            reported: false,
        };
        self.copies.push(copy.clone());
        copy
    }

    /// Notes what is about to be deleted.
    pub(crate) fn intend(&mut self, deletions: &[ExpiredSnapshot]) {
        for deletion in deletions {
            if !self.deleting.contains(deletion) {
                self.deleting.push(deletion.clone());
            }
        }
    }

    /// Settles what was told, or came to nothing. Of the copies the day's stays, so that it is not chosen again.
    pub(crate) fn settle(&mut self, day: &str, targets: &BTreeSet<String>, deletions: &[ExpiredSnapshot]) {
        self.deleting.retain(|deletion| !deletions.contains(deletion));
        for copy in self.copies.iter_mut().filter(|copy| targets.contains(&copy.target)) {
            copy.reported = true;
        }
        self.copies.retain(|copy| !copy.reported || copy.day == day);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn source(arn: &str) -> Snapshot {
        Snapshot { arn: arn.to_owned(), ..Snapshot::example(arn) }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_day_has_one_source_unless_it_is_gone() {
        let mut journal = Journal::default();
        for (day, candidate, there, chosen) in [
            ("1", "a", &["a"][..], "a"),
            ("1", "b", &["a", "b"], "a"),
            ("1", "b", &["b"], "b"),
            ("2", "b", &["b"], "b"),
            ("2", "c", &["b", "c"], "b"),
        ] {
            let copy = journal.choose(day, &source(candidate), &format!("copy-{candidate}"), &set(there));
            assert_eq!(copy.source, chosen, "{day} {candidate}");
        }
        assert_eq!(journal.copies.len(), 2);
        // The day's stays, told or not.
        journal.settle("2", &set(&["copy-b"]), &[]);
        assert_eq!(
            journal.copies.iter().map(|copy| (copy.day.as_str(), copy.reported)).collect::<Vec<_>>(),
            [("2", true)]
        );
        assert_eq!(journal.choose("2", &source("c"), "copy-c", &set(&["b", "c"])).source, "b");
    }

    #[test]
    fn what_is_noted_twice_stands_once_and_goes_when_it_was_reported() {
        let mut journal = Journal::default();
        let deletions: Vec<_> = ["a", "b"].iter().map(|arn| ExpiredSnapshot::from(&source(arn))).collect();
        journal.intend(&deletions);
        journal.intend(&deletions[..1]);
        assert_eq!(journal.deleting, deletions);
        journal.settle("1", &BTreeSet::new(), &deletions[..1]);
        assert_eq!(journal.deleting, deletions[1..]);
    }

    #[test]
    fn the_first_look_at_what_has_no_time_counts() {
        let mut journal = Journal::default();
        journal.see(&set(&["a"]), at(1));
        journal.see(&set(&["a", "b"]), at(2));
        assert_eq!((journal.first_seen["a"], journal.first_seen["b"]), (at(1), at(2)));
        journal.see(&set(&["b"]), at(3));
        assert_eq!(journal.first_seen.len(), 1);
    }
}
