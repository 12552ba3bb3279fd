//! Readings of the source, kept for later tests, and which of them enclose a snapshot.

use jiff::{SignedDuration, Timestamp};
use proof::{Failure, FailureKind, Reading};
use serde::{Deserialize, Serialize};

/// Name of the note that lists the baselines.
pub(crate) const INDEX: &str = "note:baselines";

/// Distance from a snapshot within which a complete baseline is preferred to a closer one that lacks a table.
const NEAR: SignedDuration = SignedDuration::from_hours(48);

/// Baselines that the list keeps: three months of daily ones, and those of the deploys between.
const KEPT: usize = 200;

/// Name of the document with an execution's baseline, written once.
pub(crate) fn document(execution: &str) -> String {
    format!("baseline:{execution}")
}

/// The baselines, oldest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Index {
    pub baselines: Vec<Taken>,
}

/// One baseline. Its times are the server's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Taken {
    /// The execution that read it.
    pub execution: String,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// The snapshot whose event was the reason.
    pub snapshot: Option<String>,
    /// The database that was read.
    #[serde(default)]
    pub origin: Origin,
    /// SHA-256 of its document, which its record names too.
    #[serde(default)]
    pub sha256: String,
    /// Tables that could not be read.
    #[serde(default)]
    pub unread: Vec<String>,
}

/// Which database was read. An instance that was made again under its name is another one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Origin {
    /// `DbiResourceId` of the instance.
    pub resource: String,
    /// Name of the database.
    pub database: String,
}

impl Origin {
    /// Whether a snapshot of this database was taken of an instance; RDS may not report a copy's.
    pub(crate) fn is_of(&self, resource: &str, database: &str) -> bool {
        self.database == database && (resource.is_empty() || self.resource == resource)
    }
}

/// The tables of a reading that could not be read, with the reason. One that went away meanwhile, or whose rows are on
/// another server, is none.
pub(crate) fn unread(reading: &Reading) -> Vec<(&str, &Failure)> {
    let failed =
        |failure: &&Failure| ![FailureKind::Vanished, FailureKind::Unavailable].contains(&failure.kind);
    let tables = reading.tables.iter();
    tables
        .filter_map(|(name, table)| Some((name.as_str(), table.content.failure().filter(failed)?)))
        .collect()
}

impl Index {
    /// Adds a baseline, unless it is there.
    pub(crate) fn add(&mut self, taken: &Taken) {
        if self.baselines.iter().any(|one| one.execution == taken.execution) {
            return;
        }
        self.baselines.push(taken.clone());
        self.baselines.sort_by_key(|one| one.finished);
        let surplus = self.baselines.len().saturating_sub(KEPT);
        self.baselines.drain(..surplus);
    }

    /// Whether a snapshot's event already led to a baseline that began after the snapshot's data time: RDS sends two
    /// events, each perhaps twice.
    pub(crate) fn has(&self, snapshot: &str, execution: &str, data: Option<Timestamp>) -> bool {
        let mut others = self.baselines.iter().filter(|one| one.execution != execution);
        others.any(|one| {
            one.snapshot.as_deref() == Some(snapshot) && data.is_none_or(|data| one.started >= data)
        })
    }

    /// The last baseline of a database that ended before an instant, and the first that began after it: the closer they
    /// are, the less the source changed between them. `resource` is the snapshot's.
    pub(crate) fn around(
        &self,
        instant: Timestamp,
        resource: &str,
        database: &str,
    ) -> (Option<&Taken>, Option<&Taken>) {
        let own = || self.baselines.iter().filter(|one| one.origin.is_of(resource, database));
        let before = |one: &&Taken| Some(instant.duration_since(one.finished)).filter(|it| !it.is_negative());
        let after = |one: &&Taken| Some(one.started.duration_since(instant)).filter(|it| !it.is_negative());
        (closest(own(), before), closest(own(), after))
    }
}

/// The baseline of the least distance, but a complete one if it is near.
fn closest<'a>(
    all: impl Iterator<Item = &'a Taken>,
    distance: impl Fn(&&'a Taken) -> Option<SignedDuration>,
) -> Option<&'a Taken> {
    let all = all.filter_map(|one| Some((distance(&one)?, one)));
    let closest = all.min_by_key(|(distance, one)| {
        let is_preferred = one.unread.is_empty() && *distance <= NEAR;
        (!is_preferred, *distance)
    });
    closest.map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::at;
    use super::*;

    fn taken(execution: &str, started: i64, finished: i64) -> Taken {
        Taken {
            execution: execution.to_owned(),
            started: at(started),
            finished: at(finished),
            snapshot: None,
            origin: Origin { resource: "db-A".to_owned(), database: "app".to_owned() },
            ..Taken::default()
        }
    }

    /// The executions of the baselines around a minute.
    fn around(index: &Index, minute: i64) -> (Option<&str>, Option<&str>) {
        let (before, after) = index.around(at(minute), "db-A", "app");
        (before.map(|one| one.execution.as_str()), after.map(|one| one.execution.as_str()))
    }

    #[test]
    fn the_closest_baselines_enclose_a_snapshot() {
        let mut index = Index::default();
        for one in [taken("c", 30, 34), taken("a", 0, 4), taken("b", 10, 14), taken("d", 40, 44)] {
            index.add(&one);
        }
        for (instant, expected) in [
            (3, (None, Some("b"))),
            (4, (Some("a"), Some("b"))),
            (20, (Some("b"), Some("c"))),
            // While one is read, it is on neither side.
            (12, (Some("a"), Some("c"))),
            (50, (Some("d"), None)),
        ] {
            assert_eq!(around(&index, instant), expected, "{instant}");
        }
        assert_eq!(around(&Index::default(), 0), (None, None));
    }

    #[test]
    fn only_baselines_of_the_same_database_count() {
        let mut index = Index::default();
        index.add(&taken("a", 0, 4));
        // The instance was made again under its name; another database; a note without either.
        for (execution, resource, database) in [("b", "db-B", "app"), ("c", "db-A", "other"), ("d", "", "")] {
            let origin = Origin { resource: resource.to_owned(), database: database.to_owned() };
            index.add(&Taken { origin, ..taken(execution, 5, 6) });
        }
        assert_eq!(around(&index, 9), (Some("a"), None));
        let of = |resource| index.around(at(9), resource, "app").0.map(|one| one.execution.as_str());
        assert_eq!((of("db-B"), of("db-C"), of("")), (Some("b"), None, Some("b")));
    }

    #[test]
    fn a_complete_baseline_is_preferred_within_two_days() {
        let mut index = Index::default();
        let lacking =
            |minute| Taken { unread: vec!["public.users".to_owned()], ..taken("lacking", minute, minute) };
        index.add(&taken("complete", 0, 0));
        index.add(&lacking(24 * 60));
        assert_eq!(around(&index, 48 * 60).0, Some("complete"));
        assert_eq!(around(&index, 48 * 60 + 1).0, Some("lacking"));
    }

    #[test]
    fn a_table_that_could_not_be_read_is_named() {
        let mut reading = Reading::default();
        for (name, kind) in [
            ("denied", FailureKind::Denied),
            ("vanished", FailureKind::Vanished),
            ("foreign", FailureKind::Unavailable),
        ] {
            let failure = Failure { kind, sqlstate: None, message: String::new() };
            let content = proof::Outcome::Failed(failure);
            reading.tables.insert(name.to_owned(), proof::Table { content, ..proof::Table::default() });
        }
        reading.tables.insert("pending".to_owned(), proof::Table::default());
        let names: Vec<_> = unread(&reading).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["denied"]);
    }

    #[test]
    fn a_baseline_is_kept_once_and_not_for_ever() {
        let mut index = Index::default();
        index.add(&Taken { snapshot: Some("s".to_owned()), ..taken("a", 0, 1) });
        index.add(&taken("a", 5, 6));
        assert_eq!(index.baselines.len(), 1);
        assert!(index.has("s", "b", None) && !index.has("s", "a", None) && !index.has("t", "b", None));
        // It began before the snapshot's data.
        assert!(index.has("s", "b", Some(at(0))) && !index.has("s", "b", Some(at(1))));
        for minute in 1..=200 {
            index.add(&taken(&format!("e{minute}"), minute, minute + 1));
        }
        assert_eq!((index.baselines.len(), index.has("s", "b", None)), (200, false));
    }
}
