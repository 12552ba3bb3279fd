//! State Restore: requests the new instance once, and checks whether it is available.

use shared::runtime::lambda::Invocation;

use super::{about, next};
use crate::aws::rds;
use crate::error::refusal;
use crate::rules::instance::{State, is_source, state};
use crate::rules::name;
use crate::rules::restore::Phase;
use crate::{Answer, App, RestoreError, Status};

/// Requests the instance unless it exists, and polls it.
pub(crate) async fn restore(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let now = invocation.now;
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Restore {
        return Ok(next(&restore));
    }
    let (target, polls) = (&restore.target, &app.policy().instance);
    let found = rds::instance(&app.rds, &target.instance).await.map_err(RestoreError::RdsCall)?;
    let Some(found) = found else {
        // RDS lists a new instance at once, so a requested one that is missing was deleted.
        if target.requested.is_some() && poll > 1 {
            return Err(RestoreError::InstanceGone(target.instance.clone()));
        }
        // It may have gone since the beginning.
        let lost = rds::instance(&app.rds, &restore.lost.instance).await.map_err(RestoreError::RdsCall)?;
        let status = lost.as_ref().map(|lost| lost.seen.status.as_str());
        let present = lost.as_ref().and_then(|lost| lost.resource.as_deref());
        // Somebody may have made an empty one of the same name since.
        let is_other =
            !restore.data_resource.is_empty() && present.is_some_and(|it| it != restore.data_resource);
        let by_name = !is_other && (is_source(status) || (lost.is_some() && restore.lost.resource.is_none()));
        // What a living instance does not have, the new one does not need.
        let missing = if restore.lost.exists { Vec::new() } else { restore.settings.missing() };
        if !missing.is_empty() {
            let why = match app.terraform {
                Some(_) => "",
                None => "; the stack names no Terraform state (TerraformStateBucketName)",
            };
            return Err(RestoreError::SettingsUnknown {
                instance: restore.lost.instance.clone(),
                missing: missing.join(", "),
                why: why.to_owned(),
            });
        }
        let source = restore.source.clone().ok_or(RestoreError::NotOpen)?;
        // Note the request first: after a lost answer, the instance is found by its name.
        app.amend(execution, |restore| {
            restore.target.requested.get_or_insert(now);
            restore.lost.exists &= lost.is_some();
        })
        .await?;
        let tags = name::tags(&restore.settings.tags, &restore.run, &restore.lost.instance);
        let sent =
            rds::restore(&app.rds, &source, &restore.lost, by_name, target, &restore.settings, tags).await;
        match sent {
            // An attempt of this step that died requested it.
            Err(call) if call.code.starts_with("DBInstanceAlreadyExists") => {}
            sent => sent.map_err(refusal)?,
        }
        tracing::info!(message = "requested the new instance", db.instance = target.instance);
        return Ok(about(&restore, polls.every_seconds, Status::Running));
    };
    if found.seen.run.as_deref() != Some(restore.run.as_str()) {
        let why = format!("an instance {} exists that is not this restore's", target.instance);
        return Err(RestoreError::SourceRefused(why));
    }
    let seen = found.seen;
    match (state(&seen.status), &seen.address) {
        (State::Available, Some(address)) => {
            let restore = app
                .amend(execution, |restore| {
                    restore.target.arn.clone_from(&seen.arn);
                    restore.target.master.clone_from(&seen.master);
                    restore.target.address = Some(address.clone());
                    restore.target.available.get_or_insert(now);
                    restore.advance(Phase::Restore, Phase::Align, now);
                })
                .await?;
            Ok(next(&restore))
        }
        (State::Failed, _) => Err(RestoreError::InstanceFailed(seen.name, seen.status)),
        (State::Available | State::Coming, _) if polls.is_last(poll) => {
            Err(RestoreError::RestoreSlow(seen.name, seen.status, polls.seconds()))
        }
        (State::Available | State::Coming, _) => {
            tracing::info!(message = "waiting for the new instance", rds.state = seen.status);
            Ok(about(&restore, polls.every_seconds, Status::Running))
        }
    }
}
