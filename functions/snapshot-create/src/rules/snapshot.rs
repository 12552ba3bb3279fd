//! A manual snapshot.

use shared::aws::snapshots::Database;

/// A manual snapshot as RDS describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// Its identifier.
    pub name: String,
    pub arn: String,
    /// The instance or cluster that it was taken of.
    pub database: Database,
    /// RDS's status, e.g. `creating`.
    pub status: String,
    /// Progress, in percent.
    pub progress: i32,
    /// Storage of the database at that time, in GiB; RDS does not report it for Aurora.
    pub size_gib: Option<i32>,
    /// Value of the tag `Deploy`.
    pub deploy: Option<String>,
}

impl Snapshot {
    /// Returns true if it was made for this deploy of this database.
    pub(crate) fn is_of(&self, database: &Database, deploy: &str) -> bool {
        self.database == *database && self.deploy.as_deref() == Some(deploy)
    }
}
