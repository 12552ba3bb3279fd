//! What a run has done so far: the note from which a retry goes on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::confidence::most_damaged;
use super::line::{Check, Line, Outcome, Verdict};
use super::listing::Listing;
use super::row::{Place, Row, Stratum};
use super::sample::Deleted;

/// Attempts after which a run that did not finish is reported: Lambda's three.
pub(crate) const ATTEMPTS: u8 = 3;

/// A run's progress.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Progress {
    pub seed: String,
    /// Number of attempts so far.
    pub attempts: u8,
    /// Number of rows of the table.
    pub population: u64,
    /// Parts of the sample that the table's columns do not allow.
    pub unsampled: BTreeSet<Stratum>,
    pub sample: Vec<Row>,
    pub listing: Option<Listing>,
    /// Deleted objects to restore; none if they were not looked for yet.
    pub deleted: Option<Vec<Deleted>>,
    /// The lines of each tested attachment, by its id, and of each deleted object, by its key.
    pub done: BTreeMap<String, Vec<Line>>,
    /// The lines that are about no single attachment.
    #[serde(default)]
    pub overall: Vec<Line>,
    /// Whether the failures were compared with the rows once more.
    pub is_confirmed: bool,
}

/// What the random part of a sample says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Confidence {
    /// Number of random attachments.
    pub drawn: u64,
    /// How many of them are damaged, or were compared with the row.
    pub tested: u64,
    /// How many of them are damaged.
    pub damaged: u64,
    pub population: u64,
    /// Most damaged attachments of all, at 95 %, if all that were not compared are damaged.
    pub most: u64,
}

impl Confidence {
    /// The bound as a fraction of all, in tenths of a percent, rounded up.
    pub(crate) fn permille(self) -> u64 {
        if self.population == 0 { 0 } else { (self.most * 1000).div_ceil(self.population) }
    }
}

impl Progress {
    /// The rows that are not tested yet.
    pub(crate) fn left(&self) -> Vec<Row> {
        self.sample.iter().filter(|row| !self.done.contains_key(&row.id)).cloned().collect()
    }

    /// The deleted objects that are not restored yet.
    pub(crate) fn deleted_left(&self) -> Vec<Deleted> {
        let deleted = self.deleted.iter().flatten();
        deleted.filter(|one| !self.done.contains_key(&one.key)).cloned().collect()
    }

    /// All lines, ordered by attachment.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.done.values().flatten().chain(&self.overall)
    }

    /// Adds a line about the whole bucket in place of an earlier one of the check.
    pub(crate) fn say(&mut self, bucket: &str, check: Check, outcome: Outcome) {
        self.overall.retain(|line| line.check != check);
        self.overall.push(Line { object: bucket.to_owned(), place: Place::Unknown, check, outcome });
    }

    /// Forgets what another attempt may find otherwise: sound attachments that a call or the application refused.
    pub(crate) fn forget_transient(&mut self) {
        self.done.retain(|_, lines| {
            lines.iter().any(|line| line.verdict() == Verdict::Fail)
                || !lines.iter().any(|line| line.outcome.is_transient())
        });
    }

    /// Whether everything was tested.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_confirmed
            && self.deleted.is_some()
            && self.left().is_empty()
            && self.deleted_left().is_empty()
    }

    /// Adds a line «not finished» for each attachment and deleted object that was not tested, and for each step that was not
    /// made.
    pub(crate) fn give_up(&mut self, bucket: &str) {
        for row in self.left() {
            let line = Line {
                object: row.id.clone(),
                place: row.place,
                check: Check::Object,
                outcome: Outcome::NotChecked,
            };
            self.done.insert(row.id, vec![line]);
        }
        for one in self.deleted_left() {
            let place = Place::Object { bucket: bucket.to_owned(), key: one.key.clone() };
            self.done.insert(one.key.clone(), vec![one.line(place, Outcome::NotChecked)]);
        }
        if self.deleted.is_none() {
            self.say(bucket, Check::Deleted, Outcome::NotChecked);
        }
        if !self.is_confirmed {
            self.say(bucket, Check::Confirmation, Outcome::NotChecked);
        }
    }

    /// Replaces the failures of rows that another reading no longer shows as they were: the application deletes and
    /// changes attachments while the test runs.
    pub(crate) fn confirm(&mut self, now: &BTreeMap<String, Row>) {
        for row in &self.sample {
            if now.get(&row.id).is_some_and(|again| again.is_same(row)) {
                continue;
            }
            for line in self.done.get_mut(&row.id).into_iter().flatten() {
                if line.verdict() == Verdict::Fail {
                    line.outcome = Outcome::Changed;
                }
            }
        }
        self.is_confirmed = true;
    }

    /// Ids of the rows with a failure.
    pub(crate) fn failing(&self) -> Vec<String> {
        let fails = |row: &&Row| {
            let lines = self.done.get(&row.id);
            lines.into_iter().flatten().any(|line| line.verdict() == Verdict::Fail)
        };
        self.sample.iter().filter(fails).map(|row| row.id.clone()).collect()
    }

    /// The worst verdict. A run that tested nothing although there are attachments verified nothing.
    pub(crate) fn verdict(&self) -> Verdict {
        let empty =
            if self.population > 0 && self.done.is_empty() { Verdict::Unverified } else { Verdict::Pass };
        let unfinished = if self.is_finished() { empty } else { Verdict::NotFinished };
        self.lines().map(Line::verdict).max().unwrap_or(Verdict::Pass).max(unfinished)
    }

    /// What the random part says about all attachments. An attachment counts as tested if its content was compared with the
    /// row's checksum, wherever it is, or if it is damaged; the API's failure to deliver it damages nothing. Those that were
    /// drawn and not compared may be the damaged ones, so the bound takes them as such.
    pub(crate) fn confidence(&self) -> Confidence {
        let (mut drawn, mut tested, mut damaged) = (0, 0, 0);
        for row in self.sample.iter().filter(|row| row.strata.contains(&Stratum::Random)) {
            let lines = self.done.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let is_damage = |line: &Line| line.verdict() == Verdict::Fail && line.check != Check::Download;
            let is_damaged = lines.iter().any(is_damage);
            let compared = |line: &Line| {
                let with_row = line.check == Check::Checksum
                    || (row.checksum.is_some() && [Check::Download, Check::OnPrem].contains(&line.check));
                with_row && line.verdict() == Verdict::Pass
            };
            drawn += 1;
            damaged += u64::from(is_damaged);
            tested += u64::from(is_damaged || lines.iter().any(compared));
        }
        let population = self.population;
        let most = most_damaged(population, drawn, damaged + (drawn - tested));
        Confidence { drawn, tested, damaged, population, most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::sample::Deleted;

    fn row(id: &str, checksum: Option<&str>) -> Row {
        Row {
            id: id.to_owned(),
            place: Place::of_path("s3://b/k"),
            size: Some(1),
            checksum: checksum.map(str::to_owned),
            has_odd_checksum: false,
            created: None,
            strata: [Stratum::Random].into(),
        }
    }

    fn progress(outcomes: &[(&str, Check, Outcome)]) -> Progress {
        let mut progress = Progress {
            population: 100,
            sample: ["a", "b", "c"].map(|id| row(id, Some("x"))).to_vec(),
            deleted: Some(Vec::new()),
            is_confirmed: true,
            ..Progress::default()
        };
        for (id, check, outcome) in outcomes {
            let line = Line {
                object: (*id).to_owned(),
                place: Place::Unknown,
                check: *check,
                outcome: outcome.clone(),
            };
            progress.done.entry((*id).to_owned()).or_default().push(line);
        }
        progress
    }

    const SOUND: Outcome = Outcome::Sound { bytes: 1 };

    #[test]
    fn the_verdict_is_the_worst_line() {
        let of = |outcomes: [Outcome; 3]| {
            let [a, b, c] = outcomes;
            progress(&[("a", Check::Object, a), ("b", Check::Object, b), ("c", Check::Object, c)]).verdict()
        };
        assert_eq!(of([SOUND, SOUND, SOUND]), Verdict::Pass);
        assert_eq!(of([SOUND, Outcome::NoSize, SOUND]), Verdict::Unverified);
        assert_eq!(of([SOUND, Outcome::NoSize, Outcome::NotChecked]), Verdict::NotFinished);
        assert_eq!(of([Outcome::Missing, Outcome::NoSize, Outcome::NotChecked]), Verdict::Fail);
        // Not all were tested.
        assert_eq!(progress(&[("a", Check::Object, SOUND)]).verdict(), Verdict::NotFinished);
        let mut late = progress(&[("a", Check::Object, SOUND)]);
        late.give_up("b");
        assert_eq!((late.verdict(), late.left().len(), late.lines().count()), (Verdict::NotFinished, 0, 3));
        let unsampled = Progress { sample: Vec::new(), ..progress(&[]) };
        assert_eq!(unsampled.verdict(), Verdict::Unverified);
        assert_eq!(Progress { population: 0, ..unsampled }.verdict(), Verdict::Pass);
    }

    #[test]
    fn a_failure_of_a_row_that_changed_meanwhile_is_none() {
        let outcomes = [
            ("a", Check::Object, Outcome::Missing),
            ("b", Check::Object, Outcome::Missing),
            ("c", Check::Object, Outcome::Missing),
        ];
        let mut progress = progress(&outcomes);
        assert_eq!(progress.failing(), ["a", "b", "c"]);
        let changed = row("b", Some("y"));
        progress.confirm(&[row("a", Some("x")), changed].map(|row| (row.id.clone(), row)).into());
        let kinds: Vec<_> = progress.lines().map(|line| line.outcome.kind()).collect();
        assert_eq!(kinds, ["Missing", "Changed", "Changed"]);
    }

    #[test]
    fn only_compared_random_attachments_give_confidence() {
        let outcomes = [
            ("a", Check::Checksum, SOUND),
            ("b", Check::Checksum, Outcome::NoChecksum),
            ("b", Check::Object, SOUND),
            ("c", Check::Object, Outcome::Missing),
        ];
        let mut progress = progress(&outcomes);
        let confidence = progress.confidence();
        assert_eq!((confidence.drawn, confidence.tested, confidence.damaged), (3, 2, 1));
        // The one that was not compared may be damaged, too.
        assert_eq!((confidence.population, confidence.most), (100, most_damaged(100, 3, 2)));
        // A file on a disk, delivered as the row says.
        progress.done.insert(
            "b".to_owned(),
            vec![Line {
                object: "b".to_owned(),
                place: Place::Unknown,
                check: Check::Download,
                outcome: SOUND,
            }],
        );
        assert_eq!(progress.confidence().tested, 3);
        progress.sample[0].strata = [Stratum::Recent].into();
        assert_eq!(progress.confidence().tested, 2);
        let rounded = Confidence { drawn: 60, tested: 60, damaged: 0, population: 8_000, most: 387 };
        assert_eq!(rounded.permille(), 49);
    }

    #[test]
    fn an_application_that_delivers_nothing_damages_no_attachment() {
        let failed = Outcome::ServeFailed { status: 500 };
        let of = |id| [(id, Check::Checksum, SOUND), (id, Check::Download, failed.clone())];
        let progress = progress(&[of("a"), of("b"), of("c")].concat());
        let confidence = progress.confidence();
        assert_eq!((progress.verdict(), confidence.tested, confidence.damaged), (Verdict::Fail, 3, 0));
    }

    #[test]
    fn what_is_left_at_the_end_has_its_line() {
        let deleted = Deleted { key: "de.pdf".to_owned(), version: "v".to_owned(), bytes: 1 };
        let mut late = Progress { is_confirmed: false, ..progress(&[]) };
        late.deleted = Some(vec![deleted]);
        late.give_up("b");
        let found: Vec<_> = late.lines().map(|line| (line.check.word(), line.object.as_str())).collect();
        let rows = [("object", "a"), ("object", "b"), ("object", "c")];
        assert_eq!(found, [&rows[..], &[("restore", "de.pdf"), ("confirmation", "b")]].concat());
        late.deleted = None;
        late.give_up("b");
        late.give_up("b");
        let overall: Vec<_> = late.overall.iter().map(|line| line.check.word()).collect();
        assert_eq!(overall, ["deleted", "confirmation"]);
        assert!(late.lines().all(|line| line.verdict() == Verdict::NotFinished));
    }

    #[test]
    fn another_attempt_tests_again_what_was_refused_and_keeps_damage() {
        let refused = Outcome::NotServed { status: 503 };
        let mut progress = progress(&[
            ("a", Check::Checksum, SOUND),
            ("b", Check::Download, refused.clone()),
            ("c", Check::Download, refused),
            ("c", Check::Object, Outcome::Missing),
        ]);
        progress.forget_transient();
        assert_eq!(progress.done.keys().collect::<Vec<_>>(), ["a", "c"]);
    }
}
