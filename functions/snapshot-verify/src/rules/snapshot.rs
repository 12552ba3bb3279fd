//! A deleted snapshot's entry in the journal, and the tag of a copy.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Kind, Snapshot};

/// Tag of a copy: its source's ARN, since an automated snapshot's name begins with `rds:` and no value may.
pub(crate) const COPY_OF: &str = "CopyOf";

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
            size_gib: snapshot.allocated_gib.unwrap_or_default(),
            tags: snapshot.tags.clone(),
        }
    }
}
