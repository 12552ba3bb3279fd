//! A deploy and its snapshot, as reports show them.

use shared::aws::snapshots::Database;

use super::job::Job;
use super::request::Request;
use super::snapshot::Snapshot;

/// A deploy and its snapshot, as far as they are known.
pub(crate) struct Case {
    /// The instance or cluster as it was asked for; `?` when the input that names it was refused.
    pub instance: String,
    /// The deploy; none when it was refused.
    pub request: Option<Request>,
    /// What is kept of it.
    pub job: Job,
    /// The snapshot as it was last seen.
    pub snapshot: Option<Snapshot>,
    /// What the runs' ids begin with.
    pub id: String,
}

impl Case {
    /// What RDS takes the snapshot of, as far as that is known.
    pub(crate) fn database(&self) -> Database {
        self.job.database_of(&self.instance)
    }

    pub(crate) fn name(&self) -> &str {
        self.job.name.as_deref().unwrap_or("?")
    }
}
