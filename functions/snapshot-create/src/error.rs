//! Why there is no snapshot; a variant for each thing that an operator does next. That RDS gave one up is a result and no
//! failure of a call.

use shared::aws::snapshots::{Database, Kind};
use shared::run::evidence::EvidenceError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::language::Language;

/// RDS gave the snapshot up.
pub(crate) const FAILED: &str = "SnapshotFailed";

/// The snapshot was there, and somebody has deleted it.
pub(crate) const DELETED: &str = "SnapshotDeleted";

/// Why there is no snapshot.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// The event is none of ours.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The instance or cluster is not this environment's.
    #[error(
        "the instance {instance} is not of this environment: its name must be {expected} or begin with {prefix}"
    )]
    NotOurs {
        /// As it was given.
        instance: String,
        /// The template's.
        expected: String,
        /// What the names of this environment's begin with.
        prefix: String,
    },
    /// The instance is a member of a cluster that the role may not take snapshots of.
    #[error(
        "the instance {instance} is a member of the cluster {cluster}, and RDS takes the snapshot of that; its name must be {expected}, or DatabaseInstanceId must name it"
    )]
    ClusterNotOurs {
        /// The member.
        instance: String,
        /// Its cluster.
        cluster: String,
        /// The names that the role covers.
        expected: String,
    },
    /// There is no such instance, and no cluster of that name.
    #[error("no instance and no cluster {0} exists in this account and region")]
    InstanceNotFound(String),
    /// The cluster was there a moment ago.
    #[error("the cluster {0} does not exist in this account and region")]
    ClusterNotFound(String),
    /// The database is at something else, and will be through with it.
    #[error("the {} {} is {state}, and RDS takes a snapshot only of one that is available", .database.kind.word(Language::English), .database.id)]
    Busy {
        /// The database.
        database: Database,
        /// RDS's word.
        state: String,
    },
    /// The database is in a state that does not pass by itself.
    #[error(
        "the {} {} is {state}, which does not pass by itself; RDS takes a snapshot only of one that is available",
        .database.kind.word(Language::English), .database.id
    )]
    State {
        /// The database.
        database: Database,
        /// RDS's word.
        state: String,
    },
    /// The account has as many manual snapshots as it may.
    #[error("the account has as many manual snapshots in this region as it may (100 unless raised)")]
    SnapshotQuotaExceeded(#[source] CallError),
    /// The account has as much storage as it may.
    #[error("the account has as much database storage in this region as it may")]
    StorageQuotaExceeded(#[source] CallError),
    /// RDS cannot use the key that the instance is encrypted with.
    #[error("RDS cannot use the KMS key of the instance")]
    KeyNotAccessible(#[source] CallError),
    /// One name after the other was taken.
    #[error("no name was free within {0} tries, the last {1}; other deploys are taking them")]
    NamesTaken(u8, String),
    /// It was looked for before it was asked for.
    #[error("no snapshot was asked for by the deploy {0}")]
    NotAsked(String),
    /// It takes longer than the policy waits.
    #[error(
        "the snapshot {name} was still at {progress} % after {seconds} s of looking (backups.snapshots.creation of the policy)"
    )]
    SnapshotSlow {
        /// The snapshot.
        name: String,
        /// How much was done, in percent.
        progress: i32,
        /// How long it was watched.
        seconds: u32,
    },
    /// A call to RDS failed.
    #[error("the snapshot stopped at an RDS call")]
    Rds(#[source] CallError),
    /// The deploy's note could not be read or written, and without it a second snapshot could be made.
    #[error("the note of the deploy could not be read or written")]
    Note(#[from] EvidenceError),
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("the page was not published; it stands in the log with error_type PageFailed")]
    PageFailed,
    /// The step did not end in time.
    #[error("the step did not end in the invocation's time")]
    Deadline(#[from] DeadlineExceeded),
}

impl Failure for SnapshotError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NotOurs { .. } => "NotOurs",
            Self::ClusterNotOurs { .. } => "ClusterNotOurs",
            Self::InstanceNotFound(_) => "InstanceNotFound",
            Self::ClusterNotFound(_) => "ClusterNotFound",
            Self::Busy { database: Database { kind: Kind::Instance, .. }, .. } => "InstanceBusy",
            Self::Busy { database: Database { kind: Kind::Cluster, .. }, .. } => "ClusterBusy",
            Self::State { database: Database { kind: Kind::Instance, .. }, .. } => "InstanceState",
            Self::State { database: Database { kind: Kind::Cluster, .. }, .. } => "ClusterState",
            Self::SnapshotQuotaExceeded(_) => "SnapshotQuotaExceeded",
            Self::StorageQuotaExceeded(_) => "StorageQuotaExceeded",
            Self::KeyNotAccessible(_) => "KeyNotAccessible",
            Self::NamesTaken(..) => "NamesTaken",
            Self::NotAsked(_) => "NotAsked",
            Self::SnapshotSlow { .. } => "SnapshotSlow",
            Self::Rds(_) => "RdsCall",
            Self::Note(_) => "NoteFailed",
            Self::PageFailed => "PageFailed",
            Self::Deadline(_) => "DeadlineExceeded",
        }
    }
}

/// What a refused call means for the database. The API's codes, and those of its model, which end in `Fault`.
pub(crate) fn refusal(call: CallError, database: &str) -> SnapshotError {
    match code(&call) {
        "DBInstanceNotFound" => SnapshotError::InstanceNotFound(database.to_owned()),
        "DBClusterNotFound" => SnapshotError::ClusterNotFound(database.to_owned()),
        "SnapshotQuotaExceeded" => SnapshotError::SnapshotQuotaExceeded(call),
        "StorageQuotaExceeded" => SnapshotError::StorageQuotaExceeded(call),
        "KMSKeyNotAccessible" => SnapshotError::KeyNotAccessible(call),
        _ => SnapshotError::Rds(call),
    }
}

/// A call's error code, without the ending that some have.
pub(crate) fn code(call: &CallError) -> &str {
    call.code.strip_suffix("Fault").unwrap_or(&call.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_kind() {
        for (code, kind) in [
            ("DBInstanceNotFound", "InstanceNotFound"),
            ("DBInstanceNotFoundFault", "InstanceNotFound"),
            ("DBClusterNotFoundFault", "ClusterNotFound"),
            ("SnapshotQuotaExceeded", "SnapshotQuotaExceeded"),
            ("StorageQuotaExceeded", "StorageQuotaExceeded"),
            ("KMSKeyNotAccessibleFault", "KeyNotAccessible"),
            ("AccessDenied", "RdsCall"),
            ("NoServiceCode", "RdsCall"),
        ] {
            let call = CallError {
                operation: "rds:CreateDBSnapshot",
                code: code.to_owned(),
                message: String::new(),
            };
            assert_eq!(refusal(call, "db").kind(), kind, "{code}");
        }
    }
}
