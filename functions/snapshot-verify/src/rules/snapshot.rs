//! A snapshot, and a deleted one's entry in the journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Database, Kind, Progress, progress};

/// Tag of a copy: its source's ARN, since an automated snapshot's name begins with `rds:` and no value may.
pub(crate) const COPY_OF: &str = "CopyOf";

/// Tag of a cluster's copy: when its data were taken, which RDS does not report for such a copy.
pub(crate) const TAKEN_AT: &str = "TakenAt";

/// A snapshot as RDS describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// Whether it is an instance's or a cluster's; both may have the same name.
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    pub arn: String,
    /// The instance or cluster that it was taken of.
    pub instance: String,
    /// RDS's id of that database, which changes if it is recreated under the same name.
    pub resource: String,
    /// False for RDS's daily backup. Copies are always manual.
    pub is_manual: bool,
    /// RDS's status.
    pub status: String,
    /// Progress, in percent.
    pub progress: i32,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// When it was made; for a copy, when it was copied. RDS reports it late.
    pub created: Option<Timestamp>,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// Storage of the database, in GiB; 0 for Aurora, for which RDS does not report it.
    pub allocated_gib: i32,
    /// Size of all written blocks, in bytes; RDS does not report it for every snapshot.
    pub full_bytes: Option<i64>,
    /// Whether RDS can copy it; it copies none of a Multi-AZ DB cluster.
    pub can_be_copied: bool,
    pub tags: BTreeMap<String, String>,
    /// Accounts that may restore it, `all` for every account, or why they are unknown. Automated snapshots cannot be
    /// shared.
    pub shared_with: Result<Vec<String>, String>,
}

impl Snapshot {
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Returns true if it was taken of the database.
    pub(crate) fn is_of(&self, database: &Database) -> bool {
        self.kind == database.kind && self.instance == database.id
    }

    /// Returns true if it can be restored and is encrypted.
    pub(crate) fn is_good(&self) -> bool {
        progress(&self.status) == Progress::Available && self.is_encrypted
    }

    /// Returns true if it is the same snapshot, not a later one of the same name.
    pub(crate) fn is_same(&self, arn: &str, taken: Option<Timestamp>) -> bool {
        self.arn == arn && self.taken == taken
    }
}

/// A snapshot that is deleted, as the journal and the record describe it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ExpiredSnapshot {
    /// Whether it was an instance's or a cluster's.
    #[serde(default)]
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    pub arn: String,
    /// The instance or cluster that it was taken of.
    pub instance: String,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// RDS's status.
    pub status: String,
    /// Storage of the instance, in GiB.
    pub size_gib: i32,
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
    /// A manual snapshot of the tests' instance, encrypted and private, without tags and times.
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
