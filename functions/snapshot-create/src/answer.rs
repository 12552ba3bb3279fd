//! The steps' answers.

use serde::Serialize;
use shared::aws::snapshots::Snapshot;
use shared::workflow::{self, Broken};

use crate::observe::Seen;
use crate::rules::case::Case;
use crate::rules::job::Job;
use crate::rules::policy::Status;
use crate::{App, SnapshotError};

/// The answer: the state machine branches on it; pipelines and people read it.
pub type Answer = workflow::Answer<Outcome, Fields>;

/// The outcome of a step.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The database cannot take a snapshot yet.
    Waiting,
    /// The deploy's snapshot has this status.
    #[serde(untagged)]
    Snapshot(Status),
}

/// The answer's fields for pipelines and people.
#[derive(Debug, Default, Serialize)]
pub struct Fields {
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

impl Fields {
    fn of(job: &Job, snapshot: Option<&Snapshot>) -> Self {
        Self {
            snapshot: job.name.clone(),
            arn: job.arn.clone(),
            progress: snapshot.map(|snapshot| snapshot.progress),
            size_gib: snapshot.and_then(|snapshot| snapshot.allocated_gib),
            duration_seconds: job.duration().map(|duration| duration.as_secs()),
            ..Self::default()
        }
    }

    pub(crate) fn because(self, broken: Broken) -> Self {
        Self { kind: Some(broken.kind), detail: Some(broken.detail), ..self }
    }
}

/// The answer of the step that requests the snapshot.
pub(crate) fn create(
    app: &App,
    asked: Result<Seen, SnapshotError>,
    poll: u16,
) -> Result<Answer, SnapshotError> {
    let policy = &app.base.settings.policy.backups.snapshots.instance;
    match asked {
        Err(SnapshotError::InstanceBusy(_, state) | SnapshotError::ClusterBusy(_, state))
            if !policy.is_last(poll) =>
        {
            tracing::info!(message = "waiting for the database", rds.state = state);
            Ok(Answer::after(policy.every_seconds, Outcome::Waiting))
        }
        asked => Ok(progress(app, &asked?)),
    }
}

/// The answer of the step that polls the snapshot.
pub(crate) fn watch(app: &App, seen: &Seen, poll: u16) -> Result<Answer, SnapshotError> {
    if seen.status == Status::Creating && app.base.settings.policy.backups.snapshots.creation.is_last(poll) {
        return Err(slow(app, seen));
    }
    Ok(progress(app, seen))
}

pub(crate) fn slow(app: &App, seen: &Seen) -> SnapshotError {
    SnapshotError::SnapshotSlow {
        name: seen.job.name.clone().unwrap_or_default(),
        progress: seen.snapshot.as_ref().map_or(0, |snapshot| snapshot.progress),
        seconds: app.base.settings.policy.backups.snapshots.creation.seconds(),
    }
}

pub(crate) fn progress(app: &App, seen: &Seen) -> Answer {
    let every = app.base.settings.policy.backups.snapshots.creation.every_seconds;
    Answer {
        status: Outcome::Snapshot(seen.status),
        wait_seconds: if seen.status == Status::Creating { every } else { 0 },
        fields: Fields::of(&seen.job, seen.snapshot.as_ref()),
    }
}

/// The answer for a deploy without a snapshot.
pub(crate) fn failed(case: &Case, broken: Broken) -> Answer {
    let fields = Fields::of(&case.job, None).because(broken);
    Answer { fields, ..Answer::now(Outcome::Snapshot(Status::Failed)) }
}

shared::check_definition!(crate::event::Step, Outcome);
