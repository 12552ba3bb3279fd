//! Which snapshot is tested.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Progress, progress};

use crate::RestoreError;

/// A snapshot of an instance, as RDS describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Candidate {
    pub chosen: Chosen,
    /// The instance that it was taken of.
    pub instance: String,
    pub engine: String,
    pub status: String,
    pub is_manual: bool,
    pub is_encrypted: bool,
}

/// What a run keeps of its snapshot.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Chosen {
    pub name: String,
    pub arn: String,
    /// When its data were taken; for a copy, when the original was made.
    pub created: Option<Timestamp>,
    /// The last transaction inside.
    pub database_time: Option<Timestamp>,
    pub engine_version: String,
    pub allocated_gib: Option<i32>,
    /// `DbiResourceId` of the instance that it was taken of; empty if RDS does not report it.
    #[serde(default)]
    pub resource: String,
}

impl Chosen {
    /// The last transaction inside; the snapshot's creation if RDS does not report it.
    pub(crate) fn data_time(&self) -> Option<Timestamp> {
        self.database_time.or(self.created)
    }
}

/// The newest available snapshot of an instance: an automated one, or in the copies' region any. RDS lists them in no
/// order; one being created is never chosen.
pub(crate) fn newest<'a>(
    listed: &'a [Candidate],
    instance: &str,
    prefix: &str,
    region: &str,
    is_away: bool,
) -> Result<&'a Candidate, RestoreError> {
    let all = listed.iter().filter(|one| {
        one.instance == instance
            && progress(&one.status) == Progress::Available
            && (!one.is_manual || is_away && one.chosen.name.starts_with(prefix))
    });
    let newest = all.max_by_key(|one| (one.chosen.created, one.chosen.name.clone()));
    newest.ok_or_else(|| RestoreError::NoSnapshot(instance.to_owned(), region.to_owned()))
}

/// Checks that a snapshot can be tested. A manual one must have the environment's prefix: the role restores no others.
pub(crate) fn admit(candidate: &Candidate, instance: &str, prefix: &str) -> Result<(), RestoreError> {
    let name = || candidate.chosen.name.clone();
    if candidate.instance != instance {
        return Err(RestoreError::SnapshotNotOurs(name(), candidate.instance.clone(), instance.to_owned()));
    }
    match progress(&candidate.status) {
        Progress::Available => {}
        Progress::Creating => {
            return Err(RestoreError::SnapshotCreating(name(), candidate.status.clone()));
        }
        Progress::Failed | Progress::Deleted => {
            return Err(RestoreError::SnapshotFailed(name(), candidate.status.clone()));
        }
    }
    if candidate.engine != "postgres" {
        return Err(RestoreError::EngineNotSupported(name(), candidate.engine.clone()));
    }
    if !candidate.is_encrypted {
        return Err(RestoreError::SnapshotNotEncrypted(name()));
    }
    if candidate.is_manual && !candidate.chosen.name.starts_with(prefix) {
        return Err(RestoreError::SnapshotNameNotAllowed(name(), prefix.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use shared::runtime::failure::Failure;

    use super::*;

    fn one(name: &str, second: i64) -> Candidate {
        Candidate {
            chosen: Chosen {
                name: name.to_owned(),
                created: Some(Timestamp::from_second(second).unwrap()),
                ..Chosen::default()
            },
            instance: "db".to_owned(),
            engine: "postgres".to_owned(),
            status: "available".to_owned(),
            is_manual: false,
            is_encrypted: true,
        }
    }

    #[test]
    fn the_newest_available_automated_snapshot_is_chosen() {
        let creating = Candidate { status: "creating".to_owned(), ..one("creating", 9) };
        let manual = Candidate { is_manual: true, ..one("p-manual", 8) };
        let unnamed = Candidate { is_manual: true, ..one("before-migration", 9) };
        let other = Candidate { instance: "db2".to_owned(), ..one("other", 7) };
        let all = [one("old", 1), creating, one("new", 3), manual, unnamed, other, one("mid", 2)];
        assert_eq!(newest(&all, "db", "p-", "r", false).unwrap().chosen.name, "new");
        assert_eq!(newest(&all, "db", "p-", "r", true).unwrap().chosen.name, "p-manual");
        let none = newest(all.get(1..2).unwrap(), "db", "p-", "r", false).unwrap_err();
        assert_eq!(none.kind(), "NoSnapshot");
    }

    #[test]
    fn each_refused_snapshot_has_its_kind() {
        for (candidate, kind) in [
            (Candidate { instance: "db2".to_owned(), ..one("a", 1) }, "SnapshotNotOurs"),
            (Candidate { status: "creating".to_owned(), ..one("a", 1) }, "SnapshotCreating"),
            (Candidate { status: "failed".to_owned(), ..one("a", 1) }, "SnapshotFailed"),
            (Candidate { status: "deleting".to_owned(), ..one("a", 1) }, "SnapshotFailed"),
            (Candidate { engine: "mysql".to_owned(), ..one("a", 1) }, "EngineNotSupported"),
            (Candidate { is_encrypted: false, ..one("a", 1) }, "SnapshotNotEncrypted"),
            (Candidate { is_manual: true, ..one("before-migration", 1) }, "SnapshotNameNotAllowed"),
        ] {
            assert_eq!(admit(&candidate, "db", "p-").unwrap_err().kind(), kind);
        }
        assert_eq!(admit(&one("a", 1), "db", "p-"), Ok(()));
        assert_eq!(admit(&Candidate { is_manual: true, ..one("p-a", 1) }, "db", "p-"), Ok(()));
    }
}
