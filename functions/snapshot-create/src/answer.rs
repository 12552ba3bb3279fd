//! The answers of the steps.

use serde::Serialize;
use shared::runtime::event::Broken;

use crate::observe::Seen;
use crate::rules::case::Case;
use crate::rules::job::Job;
use crate::rules::policy::Status;
use crate::rules::snapshot::Snapshot;
use crate::{App, SnapshotError};

/// The answer: the state machine branches on it; pipelines and people read it.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// `waiting` (for the database), `creating`, or finally `available`, `failed` or `deleted`.
    pub status: &'static str,
    /// Seconds to wait before the next step.
    pub wait_seconds: u16,
    /// Identifier of the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Its ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Progress, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<i32>,
    /// Storage of the database at that time, in GiB; RDS does not report it for Aurora.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gib: Option<i32>,
    /// From the first request until the snapshot was first seen as available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// Stable kind of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The failure, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

fn answer(status: &'static str, job: Option<&Job>, snapshot: Option<&Snapshot>) -> Answer {
    Answer {
        status,
        wait_seconds: 0,
        snapshot: job.and_then(|job| job.name.clone()),
        arn: job.and_then(|job| job.arn.clone()),
        progress: snapshot.map(|snapshot| snapshot.progress),
        size_gib: snapshot.and_then(|snapshot| snapshot.size_gib),
        duration_seconds: job.and_then(Job::duration).map(|duration| duration.as_secs()),
        kind: None,
        detail: None,
    }
}

/// The answer of the step that requests the snapshot.
pub(crate) fn create(
    app: &App,
    asked: Result<Seen, SnapshotError>,
    poll: u16,
) -> Result<Answer, SnapshotError> {
    let policy = &app.settings.policy.backups.snapshots.instance;
    match asked {
        Err(SnapshotError::Busy { state, .. }) if poll < policy.times => {
            tracing::info!(message = "waiting for the database", rds.state = state);
            Ok(Answer { wait_seconds: policy.every_seconds, ..answer("waiting", None, None) })
        }
        asked => Ok(progress(app, &asked?)),
    }
}

/// The answer of the step that polls the snapshot.
pub(crate) fn watch(app: &App, seen: &Seen, poll: u16) -> Result<Answer, SnapshotError> {
    let policy = &app.settings.policy.backups.snapshots.creation;
    if seen.status == Status::Creating && poll >= policy.times {
        return Err(slow(app, seen));
    }
    Ok(progress(app, seen))
}

pub(crate) fn slow(app: &App, seen: &Seen) -> SnapshotError {
    SnapshotError::SnapshotSlow {
        name: seen.job.name.clone().unwrap_or_default(),
        progress: seen.snapshot.as_ref().map_or(0, |snapshot| snapshot.progress),
        seconds: app.settings.policy.backups.snapshots.creation.seconds(),
    }
}

pub(crate) fn progress(app: &App, seen: &Seen) -> Answer {
    let every = app.settings.policy.backups.snapshots.creation.every_seconds;
    let wait_seconds = if seen.status == Status::Creating { every } else { 0 };
    Answer { wait_seconds, ..answer(seen.status.word(), Some(&seen.job), seen.snapshot.as_ref()) }
}

pub(crate) fn failed(case: &Case, broken: Broken) -> Answer {
    let Broken { kind, detail } = broken;
    Answer { kind: Some(kind), detail: Some(detail), ..answer("failed", Some(&case.job), None) }
}
