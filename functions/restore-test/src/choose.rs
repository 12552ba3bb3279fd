//! The first step: choose the snapshot, check the head-room, and take the only place for a run.

use jiff::Timestamp;
use shared::aws::snapshots::{Progress, prefix, progress};
use shared::run::baselines::Index;
use shared::runtime::time::local;

use crate::answer::{Answer, Outcome, about};
use crate::event::{Cause, Input, Request};
use crate::rules::choice::{self, Candidate};
use crate::rules::run::Run;
use crate::{App, RestoreError, aws, note};

/// The requester that the template's schedule names.
const SCHEDULE: &str = "schedule";

pub(crate) async fn choose(
    app: &App,
    execution: &str,
    input: &Input,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    match input {
        Input::Baseline(cause) => baseline(app, execution, cause).await,
        Input::Test(request) => test(app, execution, request, now).await,
    }
}

/// Whether the source has to be read. Only a manual snapshot of the stack's own instance is a reason: RDS also sends
/// events about the test's instances, and the daily baseline follows the automated backup.
async fn baseline(app: &App, execution: &str, cause: &Cause) -> Result<Answer, RestoreError> {
    if app.database_secret.is_none() {
        return Err(RestoreError::NotConfigured("DatabaseSecretName"));
    }
    let Cause::Snapshot(name) = cause else { return Ok(Answer::now(Outcome::Baseline)) };
    let found = aws::snapshot(&app.rds, name).await.map_err(RestoreError::RdsCall)?;
    // RDS also sends an event when it begins: a reading would then end before the snapshot's data time.
    let found = found.filter(|one| {
        one.is_manual && one.instance == app.instance && progress(&one.status) == Progress::Available
    });
    let Some(found) = found else { return Ok(Answer::now(Outcome::Ignored)) };
    let index = Index::read(&app.base.reporter.documents).await?;
    let has_one = index.has(name, execution, found.chosen.data_time());
    Ok(Answer::now(if has_one { Outcome::Ignored } else { Outcome::Baseline }))
}

async fn test(app: &App, execution: &str, request: &Request, now: Timestamp) -> Result<Answer, RestoreError> {
    let is_away = is_away(app, request)?;
    let region = app.away.as_ref().filter(|_| is_away).map_or(&app.region, |away| &away.region);
    app.place_of(region)?;
    if app.database_secret.is_none() {
        return Err(RestoreError::NotConfigured("DatabaseSecretName"));
    }
    let policy = app.policy();
    // A repeated step, or another run: no need to ask RDS.
    if let Ok(run) = note::mine(app, execution, now).await {
        return Ok(about(&run, 0, Outcome::Chosen));
    }
    let cluster = aws::cluster(&app.rds, &app.instance).await.map_err(RestoreError::RdsCall)?;
    if let Some(cluster) = cluster {
        return Err(RestoreError::ClusterNotSupported(cluster));
    }
    let candidate = candidate(app, request, region, is_away).await?;
    let client = app.rds_of(region)?;
    let (used, most) = aws::quota(client).await.map_err(RestoreError::RdsCall)?;
    if used >= most {
        return Err(RestoreError::InstanceQuotaExceeded(format!("{used} of {most}")));
    }
    let run = Run {
        by: request.by.clone(),
        reason: request.reason.clone(),
        region: region.clone(),
        is_away,
        snapshot: candidate.chosen,
        ..Run::begin(execution, &app.prefix(), policy.deadline_hours, now)
    };
    let claimed = note::update(app, |ledger| ledger.claim(&run, now, policy.silent_minutes)).await?;
    let run = match claimed {
        Ok(run) => run,
        // The schedule may deliver its event twice.
        Err(other) if request.by.as_deref() == Some(SCHEDULE) && other.by == request.by => {
            tracing::info!(message = "the scheduled test is in progress", other = other.execution);
            return Ok(Answer::now(Outcome::Ignored));
        }
        Err(other) => {
            return Err(RestoreError::RunInProgress {
                execution: other.execution.clone(),
                since: local(other.begun),
            });
        }
    };
    tracing::info!(message = "chosen", rds.snapshot = run.snapshot.name, rds.instance = run.instance);
    Ok(about(&run, 0, Outcome::Chosen))
}

/// Whether the request names the copies' region.
fn is_away(app: &App, request: &Request) -> Result<bool, RestoreError> {
    match &request.region {
        None => Ok(false),
        Some(region) if *region == app.region => Ok(false),
        Some(region) if app.away.as_ref().is_some_and(|away| away.region == *region) => Ok(true),
        Some(region) => Err(RestoreError::RegionNotConfigured(region.clone())),
    }
}

/// The named snapshot, or the newest one that can be restored.
async fn candidate(
    app: &App,
    request: &Request,
    region: &str,
    is_away: bool,
) -> Result<Candidate, RestoreError> {
    let client = app.rds_of(region)?;
    let prefix = prefix(&app.base.settings);
    let candidate = match &request.snapshot {
        Some(name) => {
            let found = aws::snapshot(client, name).await.map_err(RestoreError::RdsCall)?;
            found.ok_or_else(|| RestoreError::SnapshotNotFound(name.clone(), region.to_owned()))?
        }
        None => {
            // A copy is always manual.
            let kind = if is_away { "manual" } else { "automated" };
            let listed = aws::snapshots(client, &app.instance, kind).await.map_err(RestoreError::RdsCall)?;
            choice::newest(&listed, &app.instance, &prefix, region, is_away)?.clone()
        }
    };
    choice::admit(&candidate, &app.instance, &prefix)?;
    // An automated snapshot cannot be shared.
    if candidate.is_manual {
        let name = &candidate.chosen.name;
        if aws::is_public(client, name).await.map_err(RestoreError::RdsCall)? {
            return Err(RestoreError::SnapshotShared(name.clone()));
        }
    }
    Ok(candidate)
}
