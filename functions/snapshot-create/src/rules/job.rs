//! The note of a deploy: its snapshot's name, fixed before the request, and the states seen since. RDS has no
//! idempotency key for snapshots; the note serves as one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Database, Snapshot};

use super::policy::Status;

/// Name of the note of a deploy's snapshot.
pub(crate) fn note(instance: &str, deploy: &str) -> String {
    // No run id has this prefix, so a deploy's name cannot make the two collide.
    format!("job:{instance}/{deploy}")
}

/// A deploy's snapshot.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Job {
    /// When it was first requested.
    pub begun: Option<Timestamp>,
    /// The database of the snapshot. Absent in notes of instances that predate the support of clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// The requested name.
    pub name: Option<String>,
    /// When RDS first had it. From then on, it is never requested again.
    pub made: Option<Timestamp>,
    pub arn: Option<String>,
    /// Whether RDS has listed it, so that its absence means that it was deleted.
    #[serde(default)]
    pub seen: bool,
    /// When it was first seen as available.
    pub available: Option<Timestamp>,
}

impl Job {
    /// Sets start, database and name, unless they are set.
    pub(crate) fn begin(&mut self, name: &str, database: &Database, now: Timestamp) {
        self.begun.get_or_insert(now);
        self.database.get_or_insert_with(|| database.clone());
        self.name.get_or_insert_with(|| name.to_owned());
    }

    /// Replaces a name that another deploy has taken, unless a concurrent attempt of this deploy already did.
    pub(crate) fn move_on(&mut self, from: &str, to: &str) {
        if self.made.is_none() && self.name.as_deref() == Some(from) {
            self.name = Some(to.to_owned());
        }
    }

    /// Notes that RDS has it; `shown` if RDS described it, rather than only accepted the request.
    pub(crate) fn record(&mut self, snapshot: &Snapshot, status: Status, shown: bool, now: Timestamp) {
        self.begun.get_or_insert(now);
        self.made.get_or_insert(now);
        self.database = Some(snapshot.database());
        self.name = Some(snapshot.name.clone());
        self.arn = Some(snapshot.arn.clone());
        self.seen |= shown;
        if status == Status::Available {
            self.available.get_or_insert(now);
        }
    }

    /// The snapshot's database; without one in the note, the instance of this name.
    pub(crate) fn database_of(&self, name: &str) -> Database {
        self.database.clone().unwrap_or_else(|| Database { id: name.to_owned(), ..Database::default() })
    }

    /// From the first request until it was first seen as available.
    pub(crate) fn duration(&self) -> Option<SignedDuration> {
        Some(self.available?.duration_since(self.begun?))
    }
}

#[cfg(test)]
mod tests {
    use shared::aws::snapshots::Kind;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn snapshot(name: &str) -> Snapshot {
        Snapshot { arn: format!("arn:{name}"), ..Snapshot::example(name) }
    }

    #[test]
    fn a_name_stays_until_another_deploy_takes_it() {
        let mut job = Job::default();
        let database = Database { id: "db".to_owned(), ..Database::default() };
        job.begin("a", &database, at(1));
        job.begin("b", &database, at(2));
        assert_eq!((job.name.as_deref(), job.begun), (Some("a"), Some(at(1))));
        job.move_on("a", "a-2");
        // A concurrent attempt also found the name taken.
        job.move_on("a", "a-3");
        assert_eq!(job.name.as_deref(), Some("a-2"));
        job.record(&snapshot("a-2"), Status::Creating, false, at(3));
        job.move_on("a-2", "a-4");
        assert_eq!((job.name.as_deref(), job.arn.as_deref()), (Some("a-2"), Some("arn:a-2")));
    }

    #[test]
    fn the_first_sighting_counts() {
        let mut job = Job::default();
        job.begin("a", &Database { kind: Kind::Cluster, id: "c".to_owned() }, at(10));
        assert_eq!(job.database_of("member").id, "c");
        job.record(&snapshot("a"), Status::Creating, false, at(11));
        assert_eq!((job.made, job.seen, job.duration()), (Some(at(11)), false, None));
        job.record(&snapshot("a"), Status::Available, true, at(70));
        job.record(&snapshot("a"), Status::Available, false, at(90));
        assert_eq!((job.made, job.seen), (Some(at(11)), true));
        assert_eq!(job.duration(), Some(SignedDuration::from_secs(60)));
    }

    #[test]
    fn the_job_of_bc640d8_is_read() {
        let recorded = include_str!("../../../../tests/recorded/snapshot-create-job.json");
        let job: Job = serde_json::from_str(recorded).unwrap();
        assert!(job.seen && job.available.is_some());
        assert_eq!(job.name.as_deref(), Some("moveongs-dev-20260301"));
    }
}
