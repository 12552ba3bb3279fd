//! The runs' journal: the day's copy, fixed before it is requested; the planned deletions; and the time at which a
//! snapshot without a creation time was first seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Kind, Snapshot};

use super::snapshot::ExpiredSnapshot;

/// Name of the note. No run has this id.
pub(crate) const NOTE: &str = "book";

/// The document that the runs share.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Journal {
    /// One per day, newest last.
    pub copies: Vec<Copy>,
    /// Planned deletions that are not recorded yet.
    pub deleting: Vec<ExpiredSnapshot>,
    /// When a snapshot without a creation time was first seen, by ARN.
    pub first_seen: BTreeMap<String, Timestamp>,
}

/// The copy of one day.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Copy {
    /// The day in São Paulo.
    pub day: String,
    /// ARN of the source.
    pub source: String,
    /// Whether it is an instance's or a cluster's.
    #[serde(default)]
    pub kind: Kind,
    /// Name of the copy.
    pub target: String,
    /// Whether its end was reported.
    #[serde(rename = "told")]
    pub reported: bool,
}

impl Copy {
    /// Returns true if a snapshot in the copies' region is this copy.
    pub(crate) fn is(&self, snapshot: &Snapshot) -> bool {
        snapshot.kind == self.kind && snapshot.name == self.target
    }
}

impl Journal {
    /// Notes when snapshots without a creation time were first seen, and forgets those that have one by now.
    pub(crate) fn see(&mut self, untimed: &BTreeSet<String>, now: Timestamp) {
        self.first_seen.retain(|arn, _| untimed.contains(arn));
        for arn in untimed {
            self.first_seen.entry(arn.clone()).or_insert(now);
        }
    }

    /// Chooses the day's copy to request: the earlier choice, unless its source is gone; else a copy of `source`.
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

    /// Notes planned deletions.
    pub(crate) fn intend(&mut self, deletions: &[ExpiredSnapshot]) {
        for deletion in deletions {
            if !self.deleting.contains(deletion) {
                self.deleting.push(deletion.clone());
            }
        }
    }

    /// Removes reported or abandoned copies and deletions. The day's copy stays, so that it is not chosen again.
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
        // The day's copy stays even if it was reported.
        journal.settle("2", &set(&["copy-b"]), &[]);
        assert_eq!(
            journal.copies.iter().map(|copy| (copy.day.as_str(), copy.reported)).collect::<Vec<_>>(),
            [("2", true)]
        );
        assert_eq!(journal.choose("2", &source("c"), "copy-c", &set(&["b", "c"])).source, "b");
    }

    #[test]
    fn a_deletion_is_noted_once_until_it_is_reported() {
        let mut journal = Journal::default();
        let deletions: Vec<_> = ["a", "b"].iter().map(|arn| ExpiredSnapshot::from(&source(arn))).collect();
        journal.intend(&deletions);
        journal.intend(&deletions[..1]);
        assert_eq!(journal.deleting, deletions);
        journal.settle("1", &BTreeSet::new(), &deletions[..1]);
        assert_eq!(journal.deleting, deletions[1..]);
    }

    #[test]
    fn the_first_sighting_of_a_snapshot_without_a_time_counts() {
        let mut journal = Journal::default();
        journal.see(&set(&["a"]), at(1));
        journal.see(&set(&["a", "b"]), at(2));
        assert_eq!((journal.first_seen["a"], journal.first_seen["b"]), (at(1), at(2)));
        journal.see(&set(&["b"]), at(3));
        assert_eq!(journal.first_seen.len(), 1);
    }

    #[test]
    fn the_journal_of_bc640d8_is_read() {
        let recorded = include_str!("../../../../tests/recorded/snapshot-verify-journal.json");
        let journal: Journal = serde_json::from_str(recorded).unwrap();
        let copies: Vec<_> = journal.copies.iter().map(|copy| (copy.day.as_str(), copy.reported)).collect();
        assert_eq!(copies, [("2026-03-01", true), ("2026-03-02", false)]);
        assert_eq!(journal.deleting[0].name, "moveongs-dev-20260101");
        assert_eq!(journal.first_seen.len(), 1);
    }
}
