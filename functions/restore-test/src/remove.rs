//! Removes the instance of a run, also one that is protected, stopped or has failed.

use jiff::Timestamp;
use shared::runtime::failure::{CallError, chain};

use crate::answer::{Answer, Outcome, about};
use crate::event::Input;
use crate::rules::instance::{Instance, Removal, removal};
use crate::rules::run::Run;
use crate::{App, RestoreError, aws, note, restore};

/// How long an instance may still appear that RDS was asked for and has not shown, in seconds: its answer may be lost.
const APPEARS: u32 = 120;

/// Removes the run's instance and polls until RDS no longer lists it.
pub(crate) async fn remove(
    app: &App,
    execution: &str,
    input: Option<&Input>,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, RestoreError> {
    let polls = &app.policy().removal;
    let run = match note::find(app, execution).await {
        Ok(Some(run)) => run,
        Ok(None) => return Ok(Answer::now(Outcome::Removed)),
        // The instance's name needs no note.
        Err(error) => {
            tracing::warn!(message = format!("the run's note was not read: {}", chain(&error)));
            unnoted(app, execution, input, now)
        }
    };
    let Some(found) = restore::own(app, &run).await? else {
        let waited = u32::from(poll.saturating_sub(1)) * u32::from(polls.every_seconds);
        let may_appear = run.asked.is_some() && run.shown.is_none() && waited < APPEARS;
        if may_appear && !polls.is_last(poll) {
            return Ok(about(&run, polls.every_seconds, Outcome::Removing));
        }
        if run.asked.is_some() {
            // The reaper has taken the run over if it is not noted as active.
            let _ = note::change(app, execution, now, |run| {
                run.removed.get_or_insert(now);
            })
            .await;
        }
        return Ok(about(&run, 0, Outcome::Removed));
    };
    if polls.is_last(poll) {
        let (name, status) = (found.name, found.status);
        return Err(RestoreError::RemovalSlow { name, status, seconds: polls.seconds() });
    }
    let noted = note::change(app, execution, now, |run| {
        run.asked.get_or_insert(now);
        run.shown.get_or_insert(now);
        run.deletion_asked.get_or_insert(now);
    });
    if let Err(error) = noted.await {
        // The instance goes even if nobody can note it.
        tracing::warn!(message = format!("the removal was not noted: {}", chain(&error)));
    }
    advance(app.rds_of(&run.region)?, &found).await.map_err(RestoreError::RdsCall)?;
    Ok(about(&run, polls.every_seconds, Outcome::Removing))
}

/// The run of an execution whose note cannot be read, as far as its name and input tell.
pub(crate) fn unnoted(app: &App, execution: &str, input: Option<&Input>, now: Timestamp) -> Run {
    let named = match input {
        Some(Input::Test(request)) => request.region.as_ref(),
        Some(Input::Baseline(_)) | None => None,
    };
    let region = named.unwrap_or(&app.region).clone();
    let begun = Run::begin(execution, &app.prefix(), app.policy().deadline_hours, now);
    Run { is_away: region != app.region, region, asked: Some(now), ..begun }
}

/// Takes the next action that removes an instance of this test. The caller has checked whose it is.
pub(crate) async fn advance(client: &aws_sdk_rds::Client, instance: &Instance) -> Result<(), CallError> {
    let (name, next) = (instance.name.as_str(), removal(instance));
    tracing::info!(
        message = "removing",
        rds.instance = name,
        rds.status = instance.status,
        next = next.word()
    );
    let done = match next {
        Removal::Wait => Ok(()),
        Removal::Start => aws::start(client, name).await,
        Removal::Lift => aws::lift_protection(client, name).await,
        Removal::Delete => aws::delete(client, name).await,
    };
    match done {
        // Its state changes, or it is gone: the next poll decides again.
        Err(call) if ["InvalidDBInstanceState", "DBInstanceNotFound"].contains(&call.plain_code()) => {
            tracing::info!(message = "not now", rds.instance = name, code = call.code);
            Ok(())
        }
        done => done,
    }
}
