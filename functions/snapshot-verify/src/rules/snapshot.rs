//! A snapshot, in this function's words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Database, Kind, Progress, progress};

/// Tag of a copy: the ARN of what it is a copy of. The name of an automated snapshot begins with `rds:`, which no value may.
pub(crate) const COPY_OF: &str = "CopyOf";

/// Tag of a cluster's copy: when its data were taken, which RDS does not show of it.
pub(crate) const TAKEN_AT: &str = "TakenAt";

/// A snapshot as RDS describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// Whether it is an instance's or a cluster's, which may have the same name.
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The instance or cluster that it is of.
    pub instance: String,
    /// RDS's own id of that; another one when an instance or cluster was made anew under the name.
    pub resource: String,
    /// Made by somebody, not by RDS's daily backup. A copy is always.
    pub is_manual: bool,
    /// RDS's word.
    pub status: String,
    /// How much of it is done, in percent.
    pub progress: i32,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// When it was made, a copy when it was copied. RDS tells it late.
    pub created: Option<Timestamp>,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// Storage of the database, in GiB; 0 of Aurora, of which RDS does not say.
    pub allocated_gib: i32,
    /// All blocks that were written, in bytes; not told of every snapshot.
    pub full_bytes: Option<i64>,
    /// Whether RDS copies it; one of a Multi-AZ DB cluster it does not.
    pub can_be_copied: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Accounts that may restore it, `all` for everybody, or why that was not seen. An automated one cannot be shared.
    pub shared_with: Result<Vec<String>, String>,
}

impl Snapshot {
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Whether it is of a database.
    pub(crate) fn is_of(&self, database: &Database) -> bool {
        self.kind == database.kind && self.instance == database.id
    }

    /// Whether it can be restored, and is encrypted.
    pub(crate) fn is_good(&self) -> bool {
        progress(&self.status) == Progress::Available && self.is_encrypted
    }

    /// Whether it is the same one as another time, and not a later one of the same name.
    pub(crate) fn is_same(&self, arn: &str, taken: Option<Timestamp>) -> bool {
        self.arn == arn && self.taken == taken
    }
}

/// What a deleted snapshot was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ExpiredSnapshot {
    /// Whether it was a cluster's.
    #[serde(default)]
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The instance or cluster that it was of.
    pub instance: String,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// RDS's word.
    pub status: String,
    /// Storage of the instance, in GiB.
    pub size_gib: i32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl From<&Snapshot> for ExpiredSnapshot {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            kind: snapshot.kind,
            name: snapshot.name.clone(),
            arn: snapshot.arn.clone(),
            instance: snapshot.instance.clone(),
            taken: snapshot.taken,
            status: snapshot.status.clone(),
            size_gib: snapshot.allocated_gib,
            tags: snapshot.tags.clone(),
        }
    }
}

#[cfg(test)]
impl Snapshot {
    /// A manual one of the tests' instance, encrypted and private, without tags and times.
    pub(crate) fn example(name: &str) -> Self {
        Self {
            kind: Kind::Instance,
            name: name.to_owned(),
            arn: format!("arn:aws:rds:r:1:snapshot:{name}"),
            instance: "moveongs-dev-db".to_owned(),
            resource: "db-A".to_owned(),
            is_manual: true,
            status: "available".to_owned(),
            progress: 100,
            is_encrypted: true,
            created: None,
            taken: None,
            allocated_gib: 20,
            full_bytes: None,
            can_be_copied: true,
            tags: BTreeMap::new(),
            shared_with: Ok(Vec::new()),
        }
    }
}
