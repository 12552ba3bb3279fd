//! State Smoke: health, login and list of beneficiaries; and whether the application uses the new database.

use std::pin::pin;
use std::time::Duration;

use shared::application::Account;
use shared::database::{Quotes, STATEMENT_LIMIT, Session};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use tokio_postgres::types::{ToSql, Type};

use super::{about, next};
use crate::observe::{held, must_have_own};
use crate::rules::restore::{Direction, Phase, Restore};
use crate::rules::smoke::{Check, Outcome, SESSIONS, check, failed, sessions};
use crate::{Answer, App, PROCEDURE, RestoreError, Status, application, login};

/// Time reserved for saving the result.
const NOTING: Duration = Duration::from_secs(15);

/// Time between two counts of the application's sessions.
const PAUSE: Duration = Duration::from_millis(1);

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
    let checks = async {
        match &app.application {
            None => {
                vec![check("application", Outcome::Unproved, "the stack names no address of it (AppUrl)")]
            }
            Some(application) => {
                let account = Account::read(&app.secrets, app.account.as_deref()).await;
                let account = account.unwrap_or_else(|why| {
                    tracing::warn!(message = format!("no account for smoke tests: {why}"));
                    None
                });
                application::check_all(application, account.as_ref()).await
            }
        }
    };
    let checks = match restore.direction {
        Direction::New => invocation.before_deadline(NOTING, watched(app, &restore, checks)).await??,
        Direction::Old => invocation.before_deadline(NOTING, checks).await?,
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
        Some(bad) if polls.is_last(poll) && bad.name == SESSIONS => Err(RestoreError::NotInUse(bad.detail)),
        Some(bad) if polls.is_last(poll) => {
            Err(RestoreError::SmokeFailed(format!("{}: {}", bad.name, bad.detail)))
        }
        Some(bad) => {
            tracing::info!(message = format!("{}: {}", bad.name, bad.detail));
            Ok(about(&restore, polls.every_seconds, Status::Running))
        }
    }
}

/// The checks, and whether the application's login had sessions at the new database meanwhile: old tasks would pass the
/// checks with the old one.
async fn watched(
    app: &App,
    restore: &Restore,
    checks: impl Future<Output = Vec<Check>>,
) -> Result<Vec<Check>, RestoreError> {
    let secrets = held(app, restore).await?;
    let own = must_have_own(app, &secrets)?;
    let user = own.login.as_ref().map(|login| login.user.clone()).unwrap_or_default();
    let session = match login::master(app, restore, &secrets).await {
        Ok(master) => app.database.login(&master).await.map_err(RestoreError::from),
        Err(error) => Err(error),
    };
    let (mut all, seen) = match &session {
        Ok(session) => {
            let mut checks = pin!(checks);
            let mut most = Ok(0);
            let all = loop {
                // A pool may close a session soon after its use.
                let counted = tokio::select! {
                    biased;
                    all = &mut checks => break all,
                    counted = soon(session, &user) => counted,
                };
                match counted {
                    Ok(now) => most = most.map(|most: usize| most.max(now)),
                    Err(why) => {
                        most = Err(why);
                        break checks.await;
                    }
                }
            };
            let seen = match most {
                Ok(most) => count(session, &user).await.map(|now| now.max(most)),
                Err(why) => Err(why),
            };
            (all, seen)
        }
        Err(error) => (checks.await, Err(chain(error))),
    };
    if let Ok(session) = session {
        session.close().await;
    }
    all.push(sessions(&user, &restore.target.instance, seen));
    Ok(all)
}

/// [`count`], after a pause shorter than a request.
async fn soon(session: &Session, user: &str) -> Result<usize, String> {
    tokio::time::sleep(PAUSE).await;
    count(session, user).await
}

/// Number of the login's sessions at the new database, without this function's own.
async fn count(session: &Session, user: &str) -> Result<usize, String> {
    const DURING: &str = "count the application's sessions";
    let sql = "SELECT pid FROM pg_catalog.pg_stat_activity \
        WHERE usename OPERATOR(pg_catalog.=) $1 AND coalesce(application_name, '') OPERATOR(pg_catalog.<>) $2";
    let values: [(&(dyn ToSql + Sync), Type); 2] = [(&user, Type::NAME), (&PROCEDURE, Type::TEXT)];
    let asked = tokio::time::timeout(STATEMENT_LIMIT, session.client.query_typed(sql, &values)).await;
    session.answered(DURING, asked, Quotes::Nothing).map(|rows| rows.len()).map_err(|error| chain(&error))
}
