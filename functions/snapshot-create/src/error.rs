//! Why a deploy has no snapshot; one variant for each different action of an operator. A snapshot that RDS could not
//! complete is a result, not an error.

use shared::run::documents::DocumentError;
use shared::runtime::failure::CallError;

shared::workflow_errors! {
    /// The words for a deploy without a snapshot: the errors' and the two results of RDS. `Other` is an error of Step
    /// Functions or Lambda. The next step of each is in `text.rs`.
    pub(crate) enum FailureKind {
        /// RDS could not complete the snapshot.
        SnapshotFailed,
        /// The snapshot existed and was deleted.
        SnapshotDeleted,
    }

    /// Why a deploy has no snapshot.
    #[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
    pub enum SnapshotError {
        /// The instance or cluster is not this environment's.
        #[error(
            "the instance or cluster {instance} does not belong to this environment: its name must be {expected} or begin with {prefix}"
        )]
        NotOurs {
            /// The requested name.
            instance: String,
            /// The template's name.
            expected: String,
            /// Prefix of this environment's names.
            prefix: String,
        },
        /// The instance is a member of a cluster that the role may not take snapshots of.
        #[error(
            "the instance {instance} is a member of the cluster {cluster}, so RDS takes the snapshot of the cluster; the cluster's name must be {expected}, or DatabaseInstanceId must name it"
        )]
        ClusterNotOurs {
            /// The member.
            instance: String,
            /// Its cluster.
            cluster: String,
            /// The names that the role covers.
            expected: String,
        },
        /// No instance and no cluster has this name.
        #[error("neither an instance nor a cluster {0} exists in this account and region")]
        InstanceNotFound(String),
        /// The cluster no longer exists.
        #[error("the cluster {0} does not exist in this account and region")]
        ClusterNotFound(String),
        /// The instance has this status of RDS, and becomes available by itself.
        #[error("the instance {0} is {1}; RDS takes snapshots only of an available database")]
        InstanceBusy(String, String),
        /// The same for a cluster.
        #[error("the cluster {0} is {1}; RDS takes snapshots only of an available database")]
        ClusterBusy(String, String),
        /// The instance has this status of RDS, and does not leave it by itself.
        #[error(
            "the instance {0} is {1} and does not leave this state by itself; RDS takes snapshots only of an available database"
        )]
        InstanceState(String, String),
        /// The same for a cluster.
        #[error(
            "the cluster {0} is {1} and does not leave this state by itself; RDS takes snapshots only of an available database"
        )]
        ClusterState(String, String),
        /// The account has reached its quota of manual snapshots.
        #[error("the account has reached its quota of manual snapshots in this region (100 unless raised)")]
        SnapshotQuotaExceeded(#[source] CallError),
        /// The account has reached its quota of database storage.
        #[error("the account has reached its quota of database storage in this region")]
        StorageQuotaExceeded(#[source] CallError),
        /// RDS cannot use the key that the database is encrypted with.
        #[error("RDS cannot use the KMS key of the instance or cluster")]
        KeyNotAccessible(#[source] CallError),
        /// Every name that was tried was taken.
        #[error("none of the {0} names tried was free, the last {1}; other deploys are taking them")]
        NamesTaken(u8, String),
        /// It was polled before it was requested.
        #[error("the deploy {0} has not requested a snapshot")]
        NotAsked(String),
        /// It takes longer than the policy allows.
        #[error(
            "the snapshot {name} was still at {progress} % after {seconds} s (backups.snapshots.creation of the policy)"
        )]
        SnapshotSlow {
            /// The snapshot.
            name: String,
            /// Progress, in percent.
            progress: i32,
            /// How long it was polled.
            seconds: u32,
        },
        /// A call to RDS failed.
        #[error("an RDS call failed")]
        RdsCall(#[source] CallError),
        /// The deploy's note could not be read or written; without it, a second snapshot could be made.
        #[error("the deploy's note could not be read or written")]
        NoteFailed(#[from] DocumentError),
    }
}

/// Maps a refused call to its error. Codes come as in the API and, with the ending `Fault`, as in its model.
pub(crate) fn refusal(call: CallError, database: &str) -> SnapshotError {
    match call.plain_code() {
        "DBInstanceNotFound" => SnapshotError::InstanceNotFound(database.to_owned()),
        "DBClusterNotFound" => SnapshotError::ClusterNotFound(database.to_owned()),
        "SnapshotQuotaExceeded" => SnapshotError::SnapshotQuotaExceeded(call),
        "StorageQuotaExceeded" => SnapshotError::StorageQuotaExceeded(call),
        "KMSKeyNotAccessible" => SnapshotError::KeyNotAccessible(call),
        _ => SnapshotError::RdsCall(call),
    }
}

#[cfg(test)]
mod tests {
    use shared::runtime::failure::Failure;

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
