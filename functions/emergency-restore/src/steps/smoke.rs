//! State Smoke: health, login and list of beneficiaries.

use std::time::Duration;

use shared::aws::secrets;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use super::{about, next};
use crate::rules::restore::{Direction, Phase};
use crate::rules::smoke::{Outcome, check, failed};
use crate::{Answer, App, RestoreError, Status, application};

/// Time reserved for saving the result.
const NOTING: Duration = Duration::from_secs(15);

/// Checks the application; a failed check is repeated as often as the policy allows.
pub(crate) async fn smoke(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Smoke {
        return Ok(next(&restore));
    }
    let checks = match &app.application {
        None => vec![check("application", Outcome::Unproved, "the stack names no address of it (AppUrl)")],
        Some(application) => {
            let account = match &app.account {
                None => None,
                Some(name) => match secrets::value(&app.secrets, name, None).await {
                    Ok(value) => Some(value),
                    Err(call) => {
                        tracing::warn!(message = format!("no account for smoke tests: {}", chain(&call)));
                        None
                    }
                },
            };
            invocation.before_deadline(NOTING, application::check_all(application, account.as_ref())).await?
        }
    };
    let polls = &app.policy().smoke;
    let bad = failed(&checks).cloned();
    let restore = app
        .amend(execution, |restore| {
            restore.smoke.clone_from(&checks);
            if bad.is_none() {
                if restore.direction == Direction::New && restore.phase == Phase::Smoke {
                    restore.worked.get_or_insert(invocation.now);
                }
                restore.advance(Phase::Smoke, Phase::Hold, invocation.now);
            }
        })
        .await?;
    match bad {
        None => Ok(next(&restore)),
        Some(bad) if polls.is_last(poll) => {
            Err(RestoreError::SmokeFailed(format!("{}: {}", bad.name, bad.detail)))
        }
        Some(bad) => {
            tracing::info!(message = format!("{}: {}", bad.name, bad.detail));
            Ok(about(&restore, polls.every_seconds, Status::Running))
        }
    }
}
