//! The verdict: compares readings. No connection, no clock.

mod normalize;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::normalize::Object;
use crate::ROLE;
use crate::chain::Chain;
use crate::content::{BUCKETS, Content, KeyRange};
use crate::foreign_key::ForeignKey;
use crate::physical::Physical;
use crate::plan::{Plan, qualified};
use crate::reading::{Failure, FailureKind, Outcome, Reading, Table};
use crate::structure::{Aspect, CollationVersion, Structure};

/// Greatest distance of a source's reading from the snapshot at which its number of rows says what the copy's has to be:
/// a daily reading may fail once.
const NEAR: SignedDuration = SignedDuration::from_hours(48);

/// What the readings do not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The last transaction inside the snapshot: `SnapshotDatabaseTime`, or its creation if unknown.
    pub snapshot: Timestamp,
    /// Major version of the server that the snapshot was taken of; `None` if unknown.
    pub major: Option<u32>,
}

/// One row of the report.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Line {
    /// What was checked.
    pub check: Check,
    /// The object; the database's name if all are meant.
    pub object: String,
    /// The result.
    pub verdict: Verdict,
    /// What it rests on.
    pub figure: Figure,
}

/// The checks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The critical table exists.
    Critical,
    /// Definitions of a kind equal the source's.
    Structure(Aspect),
    /// Indexes were built with the collation's present version.
    Collation,
    /// Number of rows.
    Rows,
    /// Every row can be read, and equals the source's.
    Content,
    /// Least and greatest key.
    Keys,
    /// The first rows equal the source's, where all rows cannot be compared.
    Sample,
    /// No reference points to nothing.
    ForeignKey,
    /// The sequence is not behind its columns.
    Sequence,
    /// The newest row is young enough.
    Newest,
    /// Each audit row has its digest, and each digest links to the one before.
    Chain,
    /// The table's pages are sound.
    Heap,
    /// The index's pages are sound, and every row has its entry.
    Index,
    /// Pages carry checksums.
    Checksums,
    /// The reading is complete.
    Complete,
    /// The copy runs the snapshot's major version.
    Version,
}

/// How a check ended, from best to worst.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Holds.
    Pass,
    /// This version has no such check, or the application never used the object. Never counts as holding.
    Unavailable,
    /// Could not be checked.
    Unverified,
    /// Was not checked to its end.
    NotFinished,
    /// Does not hold.
    Fail,
}

/// The figures that a verdict rests on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Nothing more to say than check, object and verdict.
    None,
    /// Objects that are equal.
    Equal {
        /// Their number.
        objects: usize,
    },
    /// The source has it; the copy does not.
    Missing {
        /// The source's definition.
        expected: String,
    },
    /// The copy has it; the source does not.
    Extra {
        /// The copy's definition.
        found: String,
    },
    /// Both have it, but differently.
    Differs {
        /// The source's definition.
        expected: String,
        /// The copy's.
        found: String,
    },
    /// The versions of a collation.
    Versions {
        /// That the indexes were built with.
        recorded: String,
        /// That sorts now; `None` if the library does not say.
        actual: Option<String>,
    },
    /// Numbers of rows.
    Rows {
        /// Of the copy.
        copy: u64,
        /// Of the source before the snapshot, if read.
        before: Option<u64>,
        /// Of the source after the snapshot, if read.
        after: Option<u64>,
    },
    /// Buckets of row hashes.
    Buckets {
        /// Buckets in which the source's readings agree.
        fixed: usize,
        /// Buckets of those in which the copy differs.
        differing: usize,
    },
    /// Rows that were compared by their hash.
    Hashed {
        /// Their number.
        rows: u64,
    },
    /// Rows that were read, and not compared: the plan names their table as volatile.
    Volatile {
        /// Their number.
        rows: u64,
    },
    /// References to nothing.
    Orphans {
        /// Their number.
        orphans: u64,
    },
    /// A sequence and its columns.
    Sequence {
        /// The value that it gives next.
        next: i64,
        /// The columns' furthest value.
        furthest: Option<i64>,
    },
    /// A sequence that gives numbers again that the source had given before the snapshot.
    Again {
        /// The value that it gives next.
        next: i64,
        /// The value that the source gave next.
        source: i64,
    },
    /// Age of the newest row at the snapshot's time.
    Age {
        /// In seconds; `None` if there is no row.
        seconds: Option<i64>,
        /// Its limit, in seconds.
        limit: i64,
        /// Whether the source's newest row is the same.
        source_same: bool,
    },
    /// The digest chain.
    Chain {
        /// Audit rows.
        rows: u64,
        /// Rows without digest.
        without: u64,
        /// Digests that link to nothing.
        broken: u64,
        /// The first of both.
        first: Option<i64>,
    },
    /// Sound pages.
    Pages {
        /// Their size, in bytes.
        bytes: u64,
    },
    /// Damaged pages.
    Problems {
        /// Their number.
        problems: u64,
        /// The first, in the server's words.
        first: String,
    },
    /// Why it could not be read.
    Failure(Failure),
    /// Least and greatest key.
    Keys {
        /// The source's.
        expected: Option<KeyRange>,
        /// The copy's.
        found: Option<KeyRange>,
    },
    /// What is left to read.
    Left {
        /// Objects.
        objects: usize,
        /// Bytes of their tables.
        bytes: u64,
    },
    /// The source has no complete reading of it.
    NoReference,
}

/// The worst verdict; a report without lines is not verified.
pub fn worst(lines: &[Line]) -> Verdict {
    lines.iter().map(|line| line.verdict).max().unwrap_or(Verdict::Unverified)
}

/// Judges `restored` against the source's readings before and after the snapshot, of which either may be missing.
///
/// Where both agree, the copy has to equal them. Where they differ, a count has to be within the plan's tolerance, and
/// what did not change between them has to be equal. If one is missing, or days away from the snapshot, another count
/// proves nothing. Tables that the plan names as volatile only have to be readable, and not empty if they never were.
pub fn judge(
    plan: &Plan,
    before: Option<&Reading>,
    after: Option<&Reading>,
    restored: &Reading,
    facts: &Facts,
) -> Vec<Line> {
    let near = |reading: &Reading| {
        let distance = reading.times.started.map(|started| started.duration_since(facts.snapshot).abs());
        distance.is_some_and(|distance| distance <= NEAR)
    };
    let enclosed = before.is_some_and(near) && after.is_some_and(near);
    let mut report = Report { plan, before, after, restored, enclosed, lines: Vec::new() };
    report.complete();
    report.version(facts);
    report.critical();
    report.structure();
    report.collations();
    report.rows();
    report.foreign_keys();
    report.sequences();
    report.newest(facts);
    report.chain();
    report.physical();
    report.lines
}

/// Kinds of objects that others belong to.
const PARENTS: [Aspect; 7] = [
    Aspect::Schema,
    Aspect::Table,
    Aspect::View,
    Aspect::MaterializedView,
    Aspect::Sequence,
    Aspect::Function,
    Aspect::Type,
];

/// Definitions of one kind, by name.
type Definitions = BTreeMap<String, String>;

struct Report<'a> {
    plan: &'a Plan,
    before: Option<&'a Reading>,
    after: Option<&'a Reading>,
    restored: &'a Reading,
    /// Whether both readings are there, and near the snapshot.
    enclosed: bool,
    lines: Vec<Line>,
}

impl<'a> Report<'a> {
    fn line(&mut self, check: Check, object: &str, verdict: Verdict, figure: Figure) {
        self.lines.push(Line { check, object: object.to_owned(), verdict, figure });
    }

    /// The verdict on an object of the copy that could not be read.
    fn failed(&mut self, check: Check, object: &str, failure: &Failure) {
        self.line(check, object, verdict(failure.kind), Figure::Failure(failure.clone()));
    }

    fn database(&self) -> String {
        self.restored.server.as_ref().map(|server| server.database.clone()).unwrap_or_default()
    }

    fn sources(&self) -> impl Iterator<Item = &'a Reading> + use<'a> {
        self.before.into_iter().chain(self.after)
    }

    /// Whether a source prints definitions like the copy: theirs is the same major version.
    fn same_major(&self) -> bool {
        let major = |reading: &Reading| reading.server.as_ref().map(|server| server.major);
        self.sources().all(|source| major(source) == major(self.restored))
    }

    fn complete(&mut self) {
        let left = self.restored.left();
        let verdict = if left.objects == 0 { Verdict::Pass } else { Verdict::NotFinished };
        let figure = Figure::Left { objects: left.objects, bytes: left.bytes };
        self.line(Check::Complete, &self.database(), verdict, figure);
    }

    fn version(&mut self, facts: &Facts) {
        let (Some(server), Some(major)) = (&self.restored.server, facts.major) else { return };
        let (verdict, figure) = if server.major == major {
            (Verdict::Pass, Figure::None)
        } else {
            let name = |major: u32| format!("PostgreSQL {major}");
            (Verdict::Unverified, Figure::Differs { expected: name(major), found: name(server.major) })
        };
        self.line(Check::Version, &server.database, verdict, figure);
    }

    fn critical(&mut self) {
        let tables =
            self.restored.structure.value().and_then(|structure| structure.objects.get(&Aspect::Table));
        for table in &self.plan.critical {
            let table = qualified(table);
            let verdict = match tables {
                Some(tables) if tables.contains_key(&table) => Verdict::Pass,
                Some(_) => Verdict::Fail,
                None => Verdict::Unverified,
            };
            self.line(Check::Critical, &table, verdict, Figure::None);
        }
    }

    fn structure(&mut self) {
        let database = self.database();
        let Some(copy) = self.restored.structure.value() else { return };
        let structures: Vec<&Structure> =
            self.sources().filter_map(|source| source.structure.value()).collect();
        let same = self.same_major();
        for aspect in Aspect::ALL {
            let check = Check::Structure(aspect);
            if let Some(failure) = copy.failed.get(&aspect) {
                self.failed(check, &database, failure);
                continue;
            }
            let sources: Vec<BTreeMap<String, Object>> = structures
                .iter()
                .filter_map(|structure| structure.objects.get(&aspect))
                .map(|objects| normalize::objects(aspect, objects, same))
                .collect();
            if sources.is_empty() {
                self.line(check, &database, Verdict::Unverified, Figure::NoReference);
                continue;
            }
            let empty = Definitions::new();
            let copy = normalize::objects(aspect, copy.objects.get(&aspect).unwrap_or(&empty), same);
            self.compare(aspect, &sources, &copy);
        }
    }

    /// An object has to be as in either of the source's readings: a migration may lie between them.
    fn compare(
        &mut self,
        aspect: Aspect,
        sources: &[BTreeMap<String, Object>],
        copy: &BTreeMap<String, Object>,
    ) {
        let keys: BTreeSet<&String> = sources.iter().chain([copy]).flat_map(BTreeMap::keys).collect();
        let check = Check::Structure(aspect);
        let (mut equal, mut holds) = (0, true);
        for key in keys {
            let compared = |objects: &'_ BTreeMap<String, Object>| {
                objects.get(key).map(|object| object.compared.clone())
            };
            let (found, expected) = (copy.get(key), sources.iter().rev().find_map(|source| source.get(key)));
            if sources.iter().any(|source| compared(source) == compared(copy)) {
                equal += usize::from(found.is_some());
                continue;
            }
            let Some(name) = found.or(expected).map(|object| object.name.clone()) else { continue };
            let definition = |object: &Object| object.definition.clone();
            let figure = match (expected.map(definition), found.map(definition)) {
                (Some(expected), Some(found)) => Figure::Differs { expected, found },
                (Some(expected), None) if !self.parent_differs(&name) => Figure::Missing { expected },
                (None, Some(found)) if !self.proof_made(aspect, &name) && !self.parent_differs(&name) => {
                    Figure::Extra { found }
                }
                _ => continue,
            };
            holds = false;
            self.line(check, &name, Verdict::Fail, figure);
        }
        if holds {
            self.line(check, &self.database(), Verdict::Pass, Figure::Equal { objects: equal });
        }
    }

    /// Whether only one side has the whole table, function or schema that an object belongs to: one line says so.
    fn parent_differs(&self, name: &str) -> bool {
        let names = |reading: &'a Reading| {
            let objects = reading.structure.value().map(|structure| &structure.objects);
            objects.into_iter().flat_map(|objects| PARENTS.iter().filter_map(|aspect| objects.get(aspect)))
        };
        let copy: BTreeSet<&String> = names(self.restored).flat_map(BTreeMap::keys).collect();
        let sources: BTreeSet<&String> = self.sources().flat_map(names).flat_map(BTreeMap::keys).collect();
        copy.symmetric_difference(&sources).any(|parent| belongs(name, parent))
    }

    /// Whether it is what [`crate::PREPARE`] made on the copy.
    fn proof_made(&self, aspect: Aspect, name: &str) -> bool {
        match aspect {
            Aspect::Extension => name == "amcheck",
            Aspect::Privilege => name.rsplit(": ").next() == Some(ROLE),
            _ => false,
        }
    }

    fn collations(&mut self) {
        let Some(structure) = self.restored.structure.value() else { return };
        let mut sound = 0;
        for (name, version) in &structure.collations {
            if version.actual.as_ref() == Some(&version.recorded) {
                sound += 1;
                continue;
            }
            let CollationVersion { recorded, actual } = version.clone();
            let verdict = if actual.is_some() { Verdict::Fail } else { Verdict::Unverified };
            self.line(Check::Collation, name, verdict, Figure::Versions { recorded, actual });
        }
        // Before 15 the database's own collation has no recorded version.
        let recorded = self.restored.server.as_ref().is_some_and(|server| server.major >= 15);
        let verdict = if recorded { Verdict::Pass } else { Verdict::Unavailable };
        if sound == structure.collations.len() {
            self.line(Check::Collation, &self.database(), verdict, Figure::Equal { objects: sound });
        }
    }

    fn rows(&mut self) {
        let empty = Table::default();
        let tables: BTreeSet<&String> = self.sources().flat_map(|source| source.tables.keys()).collect();
        let copies = &self.restored.tables;
        let unreferenced: Vec<&String> = copies.keys().filter(|name| !tables.contains(name)).collect();
        let defined = |reading: &'a Reading, name: &String| {
            let kinds = [Aspect::Table, Aspect::MaterializedView];
            let objects = reading.structure.value().map(|structure| &structure.objects);
            objects.is_some_and(|objects| {
                kinds.iter().filter_map(|kind| objects.get(kind)).any(|all| all.contains_key(name))
            })
        };
        for name in tables {
            let of = |reading: Option<&'a Reading>| reading.and_then(|reading| reading.tables.get(name));
            let (before, after) = (of(self.before), of(self.after));
            match copies.get(name) {
                Some(copy) => self.table(name, before, after, copy),
                // The structure has its line; but not for large objects.
                None if self.restored.structure.value().is_some()
                    && self.sources().any(|source| defined(source, name)) => {}
                None => self.table(name, before, after, &empty),
            }
        }
        for name in unreferenced {
            // If a source was read, the structure has a line for the table.
            if self.before.is_none()
                && self.after.is_none()
                && let Some(copy) = copies.get(name)
            {
                self.table(name, None, None, copy);
            }
        }
    }

    fn table(&mut self, name: &str, before: Option<&Table>, after: Option<&Table>, copy: &Table) {
        let content = match &copy.content {
            Outcome::Read(content) => content,
            Outcome::Failed(failure) => return self.failed(Check::Content, name, failure),
            Outcome::Pending => {
                return self.line(Check::Content, name, Verdict::NotFinished, Figure::None);
            }
        };
        let (first, last) = (read(before), read(after));
        let references: Vec<&Content> = first.into_iter().chain(last).collect();
        let rows = Figure::Rows {
            copy: content.rows,
            before: first.map(|content| content.rows),
            after: last.map(|content| content.rows),
        };
        if references.is_empty() {
            let failure = [before, after].into_iter().flatten().find_map(|table| table.content.failure());
            let figure = failure.cloned().map_or(Figure::NoReference, Figure::Failure);
            self.line(Check::Rows, name, Verdict::Unverified, rows);
            return self.line(Check::Content, name, Verdict::Unverified, figure);
        }
        if self.plan.volatile.iter().any(|table| qualified(table) == name) {
            // Equal readings before and after prove nothing where rows live shorter than the time between them.
            let emptied = content.rows == 0
                && references.len() == 2
                && references.iter().all(|reference| reference.rows > 0);
            let verdict = if emptied { Verdict::Unverified } else { Verdict::Pass };
            self.line(Check::Rows, name, verdict, rows);
            return self.line(Check::Content, name, Verdict::Pass, Figure::Volatile { rows: content.rows });
        }
        // A snapshot does not keep an unlogged table's rows.
        let differs = if copy.unlogged { Verdict::Unavailable } else { Verdict::Fail };
        let pass = |holds| if holds { Verdict::Pass } else { differs };
        let equal =
            |reference: &&Content| reference.rows == content.rows && reference.buckets == content.buckets;
        let fixed = first.is_some()
            && last.is_some_and(|last| {
                first.is_some_and(|first| {
                    first.one_snapshot
                        && last.one_snapshot
                        && first.rows == last.rows
                        && first.buckets == last.buckets
                })
            });
        if fixed || references.iter().any(equal) {
            let expected = references.first().map_or(content.rows, |reference| reference.rows);
            let holds = references.iter().any(equal);
            self.line(Check::Rows, name, pass(holds || content.rows == expected), rows);
            let figure =
                if holds { Figure::Hashed { rows: content.rows } } else { buckets(&references, content) };
            self.line(Check::Content, name, pass(holds), figure);
            self.keys(name, before, after, copy, holds, differs);
            return;
        }
        let verdict = match pass(within(&references, content.rows, self.plan.tolerance_percent)) {
            // The source may have changed by any number since, or before.
            Verdict::Fail if references.len() < 2 || !self.enclosed => Verdict::Unverified,
            verdict => verdict,
        };
        self.line(Check::Rows, name, verdict, rows);
        let figure = buckets(&references, content);
        if references.iter().any(|reference| !reference.one_snapshot) {
            return self.line(Check::Content, name, Verdict::NotFinished, figure);
        }
        let sample = self.sample(name, before, after, copy, pass);
        let verdict = match figure {
            // One reading does not show what changed after the snapshot, or before it.
            _ if references.len() < 2 => Verdict::Unverified,
            Figure::Buckets { differing, .. } if differing > 0 => differs,
            Figure::Buckets { fixed: 0, .. } if sample != Some(Verdict::Pass) => Verdict::Unverified,
            _ => Verdict::Pass,
        };
        self.line(Check::Content, name, verdict, figure);
    }

    /// Key ranges where the source's rows did not change. `equal` if all rows are: then the source's range only differs
    /// if a row came between its two statements.
    fn keys(
        &mut self,
        name: &str,
        before: Option<&Table>,
        after: Option<&Table>,
        copy: &Table,
        equal: bool,
        differs: Verdict,
    ) {
        let sources: Vec<&Option<KeyRange>> =
            [before, after].into_iter().flatten().filter_map(|table| table.keys.value()).collect();
        match &copy.keys {
            Outcome::Failed(failure) => self.failed(Check::Keys, name, failure),
            Outcome::Read(found) => {
                let Some(expected) = sources.first() else { return };
                let same = sources.contains(&found);
                // A table without primary key has none to compare.
                if (expected.is_some() || found.is_some()) && (same || !equal) {
                    let verdict = if same { Verdict::Pass } else { differs };
                    let figure = Figure::Keys { expected: (*expected).clone(), found: found.clone() };
                    self.line(Check::Keys, name, verdict, figure);
                }
            }
            Outcome::Pending => {}
        }
    }

    /// The first rows, if they did not change between the source's readings.
    fn sample(
        &mut self,
        name: &str,
        before: Option<&Table>,
        after: Option<&Table>,
        copy: &Table,
        pass: impl Fn(bool) -> Verdict,
    ) -> Option<Verdict> {
        let expected = before?.sample.value()?.as_ref()?;
        if after?.sample.value()?.as_ref() != Some(expected) {
            return None;
        }
        if let Some(failure) = copy.sample.failure() {
            self.failed(Check::Sample, name, failure);
            return None;
        }
        let found = copy.sample.value()?.as_ref();
        let verdict = pass(found == Some(expected));
        self.line(Check::Sample, name, verdict, Figure::Hashed { rows: expected.rows });
        Some(verdict)
    }

    fn foreign_keys(&mut self) {
        for (name, outcome) in &self.restored.foreign_keys {
            match outcome {
                Outcome::Read(ForeignKey { orphans, .. }) => {
                    let verdict = if *orphans == 0 { Verdict::Pass } else { Verdict::Fail };
                    self.line(Check::ForeignKey, name, verdict, Figure::Orphans { orphans: *orphans });
                }
                Outcome::Failed(failure) => self.failed(Check::ForeignKey, name, failure),
                Outcome::Pending => self.line(Check::ForeignKey, name, Verdict::NotFinished, Figure::None),
            }
        }
    }

    fn sequences(&mut self) {
        for (name, outcome) in &self.restored.sequences {
            match outcome {
                Outcome::Read(sequence) => {
                    let of = |reading: &'a Reading| reading.sequences.get(name)?.value();
                    let before = self.before.and_then(of).filter(|before| sequence.behind_of(before));
                    let (next, furthest) = (sequence.next, sequence.furthest);
                    let (verdict, figure) = match (before, self.after.and_then(of)) {
                        _ if sequence.behind() => (Verdict::Fail, Figure::Sequence { next, furthest }),
                        (Some(before), None) => {
                            (Verdict::Unverified, Figure::Again { next, source: before.next })
                        }
                        // Else the source itself began again.
                        (Some(before), Some(after)) if sequence.behind_of(after) => {
                            (Verdict::Fail, Figure::Again { next, source: before.next })
                        }
                        _ => (Verdict::Pass, Figure::Sequence { next, furthest }),
                    };
                    self.line(Check::Sequence, name, verdict, figure);
                }
                Outcome::Failed(failure) => self.failed(Check::Sequence, name, failure),
                Outcome::Pending => self.line(Check::Sequence, name, Verdict::NotFinished, Figure::None),
            }
        }
    }

    fn newest(&mut self, facts: &Facts) {
        for column in &self.plan.newest {
            let name = column.name();
            let value = |reading: &'a Reading| reading.newest.get(&name)?.value().copied();
            let found = match self.restored.newest.get(&name) {
                Some(Outcome::Read(found)) => *found,
                Some(Outcome::Failed(failure)) => {
                    self.failed(Check::Newest, &name, failure);
                    continue;
                }
                Some(Outcome::Pending) | None => {
                    self.line(Check::Newest, &name, Verdict::NotFinished, Figure::None);
                    continue;
                }
            };
            let source_same = self.sources().filter_map(value).any(|newest| newest == found);
            // Only a reading after the snapshot shows that the source was idle until then.
            let idle = self.after.and_then(value) == Some(found);
            let seconds = found.value.map(|newest| facts.snapshot.duration_since(newest).as_secs());
            let limit = i64::try_from(column.limit.as_secs()).unwrap_or(i64::MAX);
            let verdict = match seconds {
                // A time to come says nothing about the age of the others.
                Some(seconds) if seconds < -limit => Verdict::Unverified,
                Some(seconds) if seconds <= limit => Verdict::Pass,
                _ if idle => Verdict::Pass,
                _ if source_same => Verdict::Unverified,
                _ => Verdict::Fail,
            };
            self.line(Check::Newest, &name, verdict, Figure::Age { seconds, limit, source_same });
        }
    }

    fn chain(&mut self) {
        let Some(plan) = &self.plan.chain else { return };
        let object = qualified(&plan.digests);
        match self.restored.chain.as_ref().unwrap_or(&Outcome::Pending) {
            Outcome::Read(chain) => {
                let verdict = match chain.digests {
                    // The application creates the table when it first writes a row.
                    None if chain.rows == 0 => Verdict::Unavailable,
                    _ if chain.links() => Verdict::Pass,
                    _ => Verdict::Fail,
                };
                let Chain { rows, broken, first, .. } = *chain;
                let without = if chain.digests.is_none() { rows } else { chain.without };
                self.line(Check::Chain, &object, verdict, Figure::Chain { rows, without, broken, first });
            }
            Outcome::Failed(failure) => self.failed(Check::Chain, &object, failure),
            Outcome::Pending => self.line(Check::Chain, &object, Verdict::NotFinished, Figure::None),
        }
    }

    fn physical(&mut self) {
        let checks = [(Check::Heap, &self.restored.heaps), (Check::Index, &self.restored.indexes)];
        for (check, outcomes) in checks {
            for (name, outcome) in outcomes {
                match outcome {
                    Outcome::Read(Physical { bytes, problems: 0, .. }) => {
                        self.line(check, name, Verdict::Pass, Figure::Pages { bytes: *bytes });
                    }
                    Outcome::Read(Physical { problems, first, .. }) => {
                        let first = first.clone().unwrap_or_default();
                        let figure = Figure::Problems { problems: *problems, first };
                        self.line(check, name, Verdict::Fail, figure);
                    }
                    Outcome::Failed(failure) => self.failed(check, name, failure),
                    Outcome::Pending => self.line(check, name, Verdict::NotFinished, Figure::None),
                }
            }
        }
        if let Some(server) = &self.restored.server {
            let verdict = if server.data_checksums { Verdict::Pass } else { Verdict::Unavailable };
            self.line(Check::Checksums, &server.database, verdict, Figure::None);
        }
    }
}

/// The verdict on what the copy refused.
fn verdict(kind: FailureKind) -> Verdict {
    match kind {
        FailureKind::Unavailable => Verdict::Unavailable,
        FailureKind::Denied | FailureKind::Locked | FailureKind::Other => Verdict::Unverified,
        FailureKind::TimedOut => Verdict::NotFinished,
        // Nothing goes away from a copy by itself.
        FailureKind::Corrupt | FailureKind::Vanished => Verdict::Fail,
    }
}

fn read(table: Option<&Table>) -> Option<&Content> {
    table?.content.value()
}

/// Whether an object of that name is part of the other: `table.column`, `table: definition`.
fn belongs(name: &str, parent: &str) -> bool {
    let kinds = ["sequence ", "function ", "type ", "schema "];
    let name = kinds.iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', ':']))
}

/// Buckets in which the source's readings agree, and how many of those are different in the copy.
fn buckets(references: &[&Content], copy: &Content) -> Figure {
    let Some((first, others)) = references.split_first() else { return Figure::NoReference };
    let fixed: Vec<usize> = (0..BUCKETS)
        .filter(|bucket| others.iter().all(|other| other.buckets.get(*bucket) == first.buckets.get(*bucket)))
        .collect();
    let differing =
        fixed.iter().filter(|bucket| first.buckets.get(**bucket) != copy.buckets.get(**bucket)).count();
    Figure::Buckets { fixed: fixed.len(), differing }
}

/// Whether the count lies between the source's, or no further outside than the tolerance.
fn within(references: &[&Content], rows: u64, percent: u8) -> bool {
    let counts = || references.iter().map(|reference| u128::from(reference.rows));
    let (Some(least), Some(most)) = (counts().min(), counts().max()) else { return false };
    let (rows, percent) = (u128::from(rows) * 100, u128::from(percent));
    rows >= least * 100_u128.saturating_sub(percent) && rows <= most * (100 + percent)
}
