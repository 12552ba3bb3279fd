//! The baselines: readings of the source, kept for later proofs, and which of them enclose a snapshot.
//!
//! `restore-test` takes them; every proof of restored data uses them. Why: `docs/decisions/restores.md`.

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::aws::restores::TESTER;
use crate::run::documents::{DocumentError, Documents};

/// Name of the note that lists the baselines.
const INDEX: &str = "note:baselines";

/// Distance from a snapshot within which a complete baseline is preferred to a closer one that lacks a table.
const NEAR: SignedDuration = SignedDuration::from_hours(48);

/// Baselines that the list keeps: three months of daily ones, and those of the deploys between.
const KEPT: usize = 200;

/// Name of the document with an execution's baseline, written once, among the documents of [`TESTER`].
pub fn document(execution: &str) -> String {
    format!("baseline:{execution}")
}

/// The baselines, oldest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Index {
    /// At most 200.
    pub baselines: Vec<Taken>,
}

/// One baseline. Its times are the server's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Taken {
    /// The execution that read it.
    pub execution: String,
    /// When the reading began.
    pub started: Timestamp,
    /// When it was complete.
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
pub struct Origin {
    /// `DbiResourceId` of the instance.
    pub resource: String,
    /// Name of the database.
    pub database: String,
}

impl Origin {
    /// Whether a snapshot of this database was taken of an instance; RDS may not report a copy's.
    ///
    /// `resource` is `DbiResourceId` of the snapshot; empty if RDS does not report it.
    pub fn is_of(&self, resource: &str, database: &str) -> bool {
        self.database == database && (resource.is_empty() || self.resource == resource)
    }

    /// Refuses an instance that was made again since the snapshot: the restored copy would be compared with another
    /// database.
    ///
    /// # Errors
    ///
    /// The reason, for a report.
    pub fn must_be_of(&self, instance: &str, resource: &str) -> Result<(), String> {
        if self.is_of(resource, &self.database) {
            return Ok(());
        }
        Err(format!("the instance {instance} is now {}, and the snapshot is of {resource}", self.resource))
    }
}

impl Taken {
    /// What was read; none if its document is gone. `documents` may be those of any procedure.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Exchanged`] if it is not what the list says, or the [`DocumentError`] of reading it.
    pub async fn read<T: DeserializeOwned>(&self, documents: &Documents) -> Result<Option<T>, DocumentError> {
        documents.of(TESTER).recorded(&document(&self.execution), &self.sha256).await
    }
}

impl Index {
    /// The list as it is now; `documents` may be those of any procedure.
    ///
    /// # Errors
    ///
    /// The [`DocumentError`] of reading it.
    pub async fn read(documents: &Documents) -> Result<Self, DocumentError> {
        Ok(documents.of(TESTER).get(INDEX).await?.unwrap_or_default())
    }

    /// Adds a baseline to the stored list, unless it is there. Only [`TESTER`] may write it.
    ///
    /// # Errors
    ///
    /// The [`DocumentError`] of changing it.
    pub async fn keep(documents: &Documents, taken: &Taken) -> Result<(), DocumentError> {
        documents.of(TESTER).update(INDEX, |index: &mut Self| index.add(taken)).await
    }

    /// Adds a baseline, unless it is there.
    fn add(&mut self, taken: &Taken) {
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
    pub fn has(&self, snapshot: &str, execution: &str, data: Option<Timestamp>) -> bool {
        let mut others = self.baselines.iter().filter(|one| one.execution != execution);
        others.any(|one| {
            one.snapshot.as_deref() == Some(snapshot) && data.is_none_or(|data| one.started >= data)
        })
    }

    /// The last baseline of a database that ended before an instant, and the first that began after it: the closer they
    /// are, the less the source changed between them. `resource` is the snapshot's.
    pub fn around(
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
    use super::*;
    use crate::run::documents::tests::{NONE, documents, listing};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
    }

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

    #[test]
    fn an_instance_that_was_made_again_is_not_the_snapshots() {
        let origin = Origin { resource: "db-A".to_owned(), database: "app".to_owned() };
        for (resource, expected) in [
            ("db-A", Ok(())),
            // RDS may not report a copy's.
            ("", Ok(())),
            ("db-B", Err("the instance main is now db-A, and the snapshot is of db-B")),
        ] {
            assert_eq!(origin.must_be_of("main", resource), expected.map_err(str::to_owned), "{resource}");
        }
    }

    #[tokio::test]
    async fn a_baseline_counts_only_as_it_was_recorded() {
        // SHA-256 of `"rows"` with its quotes.
        let recorded = "97cdabca76704e463253cf979673e1dd6c6816a88bdcb927e13d5f336468f4e2";
        let key = listing("runs/restore-test/x.json");
        for (answers, sha256, expected) in [
            (vec![(200, key.as_str()), (200, "\"rows\"")], recorded, Ok(Some("rows".to_owned()))),
            (
                vec![(200, &key), (200, "\"others\"")],
                recorded,
                Err("its SHA-256 is not the one that was recorded"),
            ),
            // A list from before the hashes proves nothing.
            (vec![(200, &key), (200, "\"rows\"")], "", Err("its SHA-256 is not the one that was recorded")),
            (vec![(200, NONE)], recorded, Ok(None)),
        ] {
            let (documents, wire) = documents(&answers);
            let taken = Taken { sha256: sha256.to_owned(), ..taken("e", 0, 1) };
            let read = taken.read::<String>(&documents).await.map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(str::to_owned), "{answers:?}");
            // The function that reads it may be another one.
            let listed = wire.actual_requests().next().unwrap().uri().to_owned();
            assert!(listed.contains("prefix=runs%2Frestore-test%2F"), "{listed}");
        }
    }
}
