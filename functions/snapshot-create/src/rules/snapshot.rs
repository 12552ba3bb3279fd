//! A snapshot, in this function's words.

use shared::aws::snapshots::Database;

/// A manual snapshot as RDS describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// Its identifier.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The instance or cluster that it is of.
    pub database: Database,
    /// RDS's own word, e.g. `creating`.
    pub status: String,
    /// How much of it is done, in percent.
    pub progress: i32,
    /// Storage that the database had, in GiB; of Aurora RDS does not say.
    pub size_gib: Option<i32>,
    /// The tag that says which deploy it was made for.
    pub deploy: Option<String>,
}

impl Snapshot {
    /// Whether it was made for this deploy of this database.
    pub(crate) fn is_of(&self, database: &Database, deploy: &str) -> bool {
        self.database == *database && self.deploy.as_deref() == Some(deploy)
    }
}
