//! From the request for the instance to a database that is ready for the proof.

use jiff::Timestamp;
use shared::aws::restores::{self, DELETE_AFTER, RUN};
use shared::aws::snapshots::{ENVIRONMENT, MANAGED_BY, PROJECT};
use shared::database::Quotes;
use shared::runtime::failure::chain;

use crate::answer::{Answer, Outcome, about};
use crate::error::refusal;
use crate::rules::instance::{Instance, State, state};
use crate::rules::run::Run;
use crate::{App, PROCEDURE, RestoreError, aws, login, note};

/// The tags of a run's instance: only its own, never the source's.
fn tags(app: &App, run: &Run) -> Vec<(&'static str, String)> {
    vec![
        (PROJECT, app.base.settings.project.clone()),
        (ENVIRONMENT, app.base.settings.environment.clone()),
        (MANAGED_BY, PROCEDURE.to_owned()),
        (RUN, run.execution.clone()),
        (DELETE_AFTER, run.deadline.to_string()),
    ]
}

/// Whether an instance is the run's own.
pub(crate) fn is_of(app: &App, run: &Run, instance: &Instance) -> bool {
    restores::is_own(&instance.name, &instance.tags, &app.base.settings)
        && instance.tags.get(RUN) == Some(&run.execution)
}

/// The run's instance; none if RDS does not list it.
pub(crate) async fn own(app: &App, run: &Run) -> Result<Option<Instance>, RestoreError> {
    let client = app.rds_of(&run.region)?;
    let found = aws::instance(client, &run.instance).await.map_err(RestoreError::RdsCall)?;
    match found {
        Some(found) if !is_of(app, run, &found) => Err(RestoreError::InstanceNotOurs(found.name)),
        found => Ok(found),
    }
}

/// Requests the instance once. RDS has no idempotency key for a restore; the name serves as one.
pub(crate) async fn restore(
    app: &App,
    execution: &str,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    let run = note::mine(app, execution, now).await?;
    let place = app.place_of(&run.region)?;
    // An earlier attempt requested it, and lost RDS's answer or could not save its note.
    if let Some(found) = own(app, &run).await? {
        return progress(app, &run, Some(&found), poll, now).await;
    }
    if run.shown.is_some() {
        return Err(RestoreError::InstanceGone(run.instance));
    }
    let run = note::change(app, execution, now, |run| {
        run.asked.get_or_insert(now);
    })
    .await?;
    tracing::info!(message = "requesting an instance", rds.instance = run.instance);
    let client = app.rds_of(&run.region)?;
    let restored = aws::restore(client, (&run.instance, &run.snapshot.name), place, tags(app, &run)).await;
    let found = match restored {
        Ok(_) => own(app, &run).await?,
        Err(call) if call.plain_code() == "DBInstanceAlreadyExists" || call.is_unanswered() => {
            let found = own(app, &run).await?;
            Some(found.ok_or(RestoreError::RdsCall(call))?)
        }
        Err(call) => return Err(refusal(call, &run.snapshot.name, &run.region)),
    };
    progress(app, &run, found.as_ref(), poll, now).await
}

/// Polls the instance.
pub(crate) async fn watch(
    app: &App,
    execution: &str,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    let run = note::mine(app, execution, now).await?;
    let found = own(app, &run).await?;
    progress(app, &run, found.as_ref(), poll, now).await
}

async fn progress(
    app: &App,
    run: &Run,
    found: Option<&Instance>,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    let polls = &app.policy().restore;
    let status = found.map_or("not listed", |instance| instance.status.as_str());
    tracing::info!(message = "instance", rds.instance = run.instance, rds.status = status);
    let is_available = match found.map(|instance| state(&instance.status)) {
        Some(State::Failed) => {
            return Err(RestoreError::InstanceFailed(run.instance.clone(), status.to_owned()));
        }
        Some(State::Going) => return Err(RestoreError::InstanceGone(run.instance.clone())),
        None if run.shown.is_some() => return Err(RestoreError::InstanceGone(run.instance.clone())),
        Some(State::Available) => true,
        Some(State::Coming) | None => false,
    };
    if !is_available && polls.is_last(poll) {
        return Err(RestoreError::RestoreSlow {
            name: run.instance.clone(),
            status: status.to_owned(),
            seconds: polls.seconds(),
        });
    }
    if found.is_some() {
        note::change(app, &run.execution, now, |run| {
            // Whoever sees the instance shows that RDS was asked for it.
            run.asked.get_or_insert(now);
            run.shown.get_or_insert(now);
            if is_available {
                run.available.get_or_insert(now);
            }
        })
        .await?;
    }
    if is_available {
        return Ok(about(run, 0, Outcome::Available));
    }
    Ok(about(run, polls.every_seconds, Outcome::Restoring))
}

/// The run's instance, which must be there and not have failed.
pub(crate) async fn running(app: &App, run: &Run) -> Result<Instance, RestoreError> {
    let found = own(app, run).await?;
    let found = found.ok_or_else(|| RestoreError::InstanceGone(run.instance.clone()))?;
    match state(&found.status) {
        State::Failed => Err(RestoreError::InstanceFailed(found.name, found.status)),
        State::Going => Err(RestoreError::InstanceGone(found.name)),
        State::Available | State::Coming => Ok(found),
    }
}

/// Has RDS set the master's password, waits until the server accepts it, and prepares the proof. No password is made or
/// kept by this product: RDS's secret goes with the instance.
pub(crate) async fn open(
    app: &App,
    execution: &str,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    let run = note::mine(app, execution, now).await?;
    if run.opened.is_some() {
        return Ok(about(&run, 0, Outcome::Open));
    }
    let polls = &app.policy().password;
    let instance = running(app, &run).await?;
    let wait = |error: RestoreError| {
        if polls.is_last(poll) {
            return Err(error);
        }
        tracing::info!(message = format!("waiting: {}", chain(&error)));
        Ok(about(&run, polls.every_seconds, Outcome::Waiting))
    };
    let slow = || RestoreError::PasswordSlow(run.instance.clone(), polls.seconds());
    let Some(secret) = instance.password() else {
        let is_unasked = instance.secret.is_none() && !instance.is_pending;
        if is_unasked && state(&instance.status) == State::Available {
            note::change(app, execution, now, |run| {
                run.password_asked.get_or_insert(now);
            })
            .await?;
            match aws::manage_password(app.rds_of(&run.region)?, &run.instance).await {
                Ok(()) => {}
                // It changes by itself, e.g. because an earlier request is in progress.
                Err(call) if call.plain_code() == "InvalidDBInstanceState" => {}
                Err(call) => return Err(RestoreError::RdsCall(call)),
            }
        }
        return wait(slow());
    };
    note::change(app, execution, now, |run| {
        run.password_set.get_or_insert(now);
    })
    .await?;
    let login = login::copy(app, &run, &instance, secret).await?;
    let session = match app.database.login(&login).await {
        Ok(session) => session,
        Err(error) => return wait(RestoreError::LoginFailed(chain(&error))),
    };
    let prepared = session.run("prepare the proof", proof::PREPARE, Quotes::Nothing).await;
    session.close().await;
    if let Err(error) = prepared {
        return wait(RestoreError::PreparationFailed(chain(&error)));
    }
    let run = note::change(app, execution, now, |run| {
        run.opened.get_or_insert(now);
    })
    .await?;
    Ok(about(&run, 0, Outcome::Open))
}
