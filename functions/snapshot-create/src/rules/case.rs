//! A deploy and its snapshot, as far as they are known, for reports.

use shared::aws::snapshots::{Database, Snapshot};

use super::job::Job;
use super::request::Request;

/// A deploy and its snapshot, as far as they are known.
pub(crate) struct Case {
    /// The requested instance or cluster; `?` if the input was refused.
    pub instance: String,
    /// The request; none if it was refused.
    pub request: Option<Request>,
    /// The deploy's note.
    pub job: Job,
    /// The snapshot as last seen.
    pub snapshot: Option<Snapshot>,
    /// Prefix of the runs' ids.
    pub id: String,
}

impl Case {
    /// The case of an execution with an invalid input.
    pub(crate) fn refused(execution: String) -> Self {
        Self { instance: "?".to_owned(), request: None, job: Job::default(), snapshot: None, id: execution }
    }

    /// The snapshot's database, as far as it is known.
    pub(crate) fn database(&self) -> Database {
        self.job.database_of(&self.instance)
    }

    pub(crate) fn name(&self) -> &str {
        self.job.name.as_deref().unwrap_or("?")
    }
}
