//! Why there is no snapshot; a variant for each thing that an operator does next. That RDS gave one up is a result and no
//! failure of a call.

use shared::event::InvalidEvent;
use shared::evidence::EvidenceError;
use shared::failure::{CallError, Failure};
use shared::lambda::DeadlineExceeded;

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
    /// The instance is not this environment's.
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
    /// There is no such instance.
    #[error("the instance {0} does not exist in this account and region")]
    InstanceNotFound(String),
    /// The instance is at something else, and will be through with it.
    #[error("the instance {instance} is {state}, and RDS takes a snapshot only of one that is available")]
    InstanceBusy {
        /// The instance.
        instance: String,
        /// RDS's word.
        state: String,
    },
    /// The instance is in a state that does not pass by itself.
    #[error(
        "the instance {instance} is {state}, which does not pass by itself; RDS takes a snapshot only of one that is available"
    )]
    InstanceState {
        /// The instance.
        instance: String,
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
            Self::InstanceNotFound(_) => "InstanceNotFound",
            Self::InstanceBusy { .. } => "InstanceBusy",
            Self::InstanceState { .. } => "InstanceState",
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

/// What a refused call means for the instance. The API's codes, and those of its model, which end in `Fault`.
pub(crate) fn refusal(call: CallError, instance: &str) -> SnapshotError {
    match code(&call) {
        "DBInstanceNotFound" => SnapshotError::InstanceNotFound(instance.to_owned()),
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
