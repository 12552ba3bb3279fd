//! The meaning of RDS's statuses for a deploy.

use serde::Serialize;
use shared::aws::snapshots::{self, Progress, Snapshot};

/// The status of a deploy's snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Still in progress.
    Creating,
    /// It can be restored.
    Available,
    /// RDS could not complete it.
    Failed,
    /// It existed and was deleted.
    Deleted,
}

impl Status {
    /// Its word in answers, on which pipelines depend.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

/// The status of the deploy's own snapshot, `found` in RDS or not. A snapshot that was never seen is in progress: RDS
/// may list a snapshot some time after accepting the request.
pub(crate) fn status(found: Option<&Snapshot>, was_seen: bool) -> Status {
    match found.map(|snapshot| snapshots::progress(&snapshot.status)) {
        Some(Progress::Available) => Status::Available,
        Some(Progress::Failed) => Status::Failed,
        Some(Progress::Deleted) => Status::Deleted,
        Some(Progress::Creating) => Status::Creating,
        None if was_seen => Status::Deleted,
        None => Status::Creating,
    }
}

/// Returns true if an instance or cluster leaves this state by itself and can then take a snapshot. Unknown states
/// count as temporary, since every wait is limited.
///
/// Source: [DB instance status](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html),
/// [DB cluster status](https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html).
pub(crate) fn passes(state: &str) -> bool {
    let is_stuck = matches!(
        state,
        "cloning-failed"
            | "delete-precheck"
            | "deleting"
            | "failed"
            | "insufficient-capacity"
            | "migration-failed"
            | "restore-error"
            | "stopped"
            | "stopping"
            | "storage-full"
    );
    !is_stuck
        && !["inaccessible-encryption-credentials", "incompatible-"]
            .iter()
            .any(|stuck| state.starts_with(stuck))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(status: &str) -> Snapshot {
        Snapshot { status: status.to_owned(), ..Snapshot::example("n") }
    }

    #[test]
    fn what_a_status_means() {
        for (found, was_seen, expected) in [
            (Some("creating"), true, Status::Creating),
            (Some("pending"), true, Status::Creating),
            (Some("available"), false, Status::Available),
            (Some("failed"), true, Status::Failed),
            (Some("incompatible-restore"), true, Status::Failed),
            (Some("deleting"), true, Status::Deleted),
            (None, true, Status::Deleted),
            (None, false, Status::Creating),
        ] {
            assert_eq!(status(found.map(snapshot).as_ref(), was_seen), expected, "{found:?} {was_seen}");
        }
    }

    #[test]
    fn busy_states_pass_and_stuck_ones_do_not() {
        for state in [
            "available",
            "backing-up",
            "modifying",
            "maintenance",
            "rebooting",
            "creating",
            "starting",
            "upgrading",
            "storage-optimization",
            "failing-over",
            "of-tomorrow",
        ] {
            assert!(passes(state), "{state}");
        }
        for state in [
            "stopped",
            "stopping",
            "deleting",
            "failed",
            "storage-full",
            "incompatible-network",
            "inaccessible-encryption-credentials-recoverable",
            "restore-error",
            "insufficient-capacity",
            "cloning-failed",
            "migration-failed",
        ] {
            assert!(!passes(state), "{state}");
        }
    }
}
