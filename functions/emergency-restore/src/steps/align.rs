//! State Align: completes the new instance's settings, and gives its logins the passwords of the secrets.
//!
//! A restore brings back the passwords of its time. The login of each secret gets the secret's password, as a verifier.
//! The other login of a pair, which no secret in force has, is disabled: its password of that time may have leaked since.

use std::collections::BTreeSet;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::zeroize::Zeroizing;
use shared::database::secret::Login;
use shared::database::{CLONE, DatabaseError, ErrorKind, Quotes, Session, stem, verifier};
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::Invocation;
use tokio_postgres::types::{ToSql, Type};

use super::{about, next};
use crate::aws::rds::{self, Master};
use crate::observe::{Held, held, must_have_own};
use crate::rules::instance::{State, state};
use crate::rules::restore::{Aligned, Phase, Restore};
use crate::{Answer, App, NOTING, RestoreError, Status, login};

/// Completes the settings once, waits until RDS has applied them, aligns the logins and proves them.
pub(crate) async fn align(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let now = invocation.now;
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Align {
        return Ok(next(&restore));
    }
    let polls = &app.policy().password;
    let running = || Ok(about(&restore, polls.every_seconds, Status::Running));
    let name = &restore.target.instance;
    let found = rds::instance(&app.rds, name).await.map_err(RestoreError::RdsCall)?;
    let seen = found.ok_or_else(|| RestoreError::InstanceGone(name.clone()))?.seen;
    if state(&seen.status) == State::Failed {
        return Err(RestoreError::InstanceFailed(seen.name, seen.status));
    }
    let secrets = held(app, &restore).await?;
    must_have_own(app, &secrets)?;
    login::must_agree(&secrets, &restore.target.master)?;
    let own = login::master_of(&secrets, &restore.target.master);
    if !restore.target.completed {
        // RDS refuses a change while it makes another one.
        if state(&seen.status) == State::Available {
            let retention =
                app.base.settings.policy.backups.retention_days.get(&app.base.settings.environment);
            let retention = restore.settings.retention(retention.copied().unwrap_or_default());
            let master = own.map_or(Master::Managed, |login| Master::Password(&login.password));
            let complete = async |monitoring| {
                rds::complete(&app.rds, name, &restore.settings, retention, &master, monitoring).await
            };
            let mut completed = complete(true).await;
            // Monitoring must not delay the database.
            let is_refused = |call: &CallError| {
                call.code.starts_with("AccessDenied") || call.code.starts_with("InvalidParameter")
            };
            let unmonitored =
                completed.as_ref().err().filter(|call| is_refused(call)).map(|call| chain(call));
            if let Some(why) = &unmonitored {
                tracing::warn!(message = format!("without monitoring: {why}"));
                completed = complete(false).await;
            }
            match completed {
                Ok(()) => {
                    app.amend(execution, |restore| {
                        restore.target.completed = true;
                        restore.target.unmonitored.clone_from(&unmonitored);
                    })
                    .await?;
                }
                Err(call) if call.code.starts_with("InvalidDBInstanceState") && !polls.is_last(poll) => {}
                Err(call) => return Err(RestoreError::RdsCall(call)),
            }
        }
        return running();
    }
    let slow = || RestoreError::SettingsSlow(name.clone(), polls.seconds());
    if !seen.is_settled(own.is_none()) {
        return if polls.is_last(poll) { Err(slow()) } else { running() };
    }
    let restore = app
        .amend(execution, |restore| {
            restore.target.master_secret = seen.secret.as_ref().map(|(arn, _)| arn.clone());
            restore.target.address.clone_from(&seen.address);
        })
        .await?;
    let aligned = invocation.before_deadline(NOTING, logins(app, &restore, &secrets)).await?;
    let aligned = match aligned {
        // RDS sets a password some time after it accepted it.
        Err(RestoreError::LoginFailed(error))
            if matches!(error.kind, ErrorKind::Auth | ErrorKind::Network) && !polls.is_last(poll) =>
        {
            tracing::info!(message = format!("waiting for the master's password: {}", chain(&error)));
            return Ok(about(&restore, polls.every_seconds, Status::Running));
        }
        aligned => aligned?,
    };
    let restore = app
        .amend(execution, |restore| {
            restore.target.aligned.clone_from(&aligned);
            restore.target.agrees.get_or_insert(now);
            let to = if restore.is_approved() { Phase::Guard } else { Phase::Prove };
            restore.advance(Phase::Align, to, now);
        })
        .await?;
    Ok(next(&restore))
}

/// Aligns the login of each secret, and disables the logins that take turns with them.
async fn logins(app: &App, restore: &Restore, secrets: &[Held]) -> Result<Vec<Aligned>, RestoreError> {
    let master = login::master(app, restore, secrets).await?;
    let session = app.database.login(&master).await?;
    let done = all(app, restore, secrets, &master, &session).await;
    session.close().await;
    done
}

async fn all(
    app: &App,
    restore: &Restore,
    secrets: &[Held],
    master: &Login,
    session: &Session,
) -> Result<Vec<Aligned>, RestoreError> {
    let address = restore.target.address.clone().unwrap_or_default();
    let mut aligned: Vec<Aligned> = Vec::new();
    let mut used = BTreeSet::from([master.user.clone()]);
    for held in secrets {
        let Some(login) = held.login_at(&address) else { continue };
        let did = match takes(app, &login).await? {
            true => "nothing",
            false if has_role(session, &login.user).await? => {
                // An owner may not log in. Of a pair, the login that was not in use may not either.
                let is_login = may_log_in(session, &login.user).await?
                    || may_log_in(session, &other(&login.user)).await?;
                if !is_login {
                    return Err(RestoreError::LoginRefused {
                        secret: held.listed.name.clone(),
                        user: login.user.clone(),
                        why: "neither it nor the login that takes turns with it may log in in the restored data",
                    });
                }
                session.enable(&login.user, &login.password, async || Ok::<(), DatabaseError>(())).await?;
                "password"
            }
            false => {
                make(session, held, &login).await?;
                "role"
            }
        };
        // The proof that roles and secret agree.
        app.database.login(&login).await?.close().await;
        used.insert(login.user.clone());
        aligned.push(Aligned {
            secret: held.listed.name.clone(),
            user: login.user.clone(),
            did: did.to_owned(),
        });
    }
    let others: Vec<_> = aligned.iter().map(|it| (it.secret.clone(), other(&it.user))).collect();
    for (secret, user) in others {
        if !used.insert(user.clone()) || !may_log_in(session, &user).await? {
            continue;
        }
        session.disable(&user, async || Ok::<(), DatabaseError>(())).await?;
        aligned.push(Aligned { secret, user, did: "disabled".to_owned() });
    }
    Ok(aligned)
}

/// The login that takes turns with a login.
fn other(user: &str) -> String {
    let stem = stem(user);
    if stem == user { format!("{stem}{CLONE}") } else { stem.to_owned() }
}

/// Whether the database accepts the login.
async fn takes(app: &App, login: &Login) -> Result<bool, RestoreError> {
    match app.database.login(login).await {
        Ok(session) => {
            session.close().await;
            Ok(true)
        }
        Err(error) if error.kind == ErrorKind::Auth => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn is(session: &Session, sql: &str, name: &str) -> Result<bool, RestoreError> {
    const DURING: &str = "read the roles";
    let names: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let asked =
        tokio::time::timeout(shared::database::STATEMENT_LIMIT, session.client.query_typed(sql, &names));
    let rows = session.answered(DURING, asked.await, Quotes::Nothing)?;
    Ok(!rows.is_empty())
}

async fn has_role(session: &Session, name: &str) -> Result<bool, RestoreError> {
    is(session, "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", name).await
}

async fn may_log_in(session: &Session, name: &str) -> Result<bool, RestoreError> {
    is(session, "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolcanlogin", name).await
}

/// Makes a login that is younger than the restored data, from the one that it takes turns with: it acts as the pair's
/// owner, or as the other login if the pair has none yet. The next rotation completes the pair.
async fn make(session: &Session, held: &Held, login: &Login) -> Result<(), RestoreError> {
    const DURING: &str = "make the login";
    let owner = format!("{}_owner", stem(&login.user));
    let other = other(&login.user);
    let acts_as = if has_role(session, &owner).await? {
        owner
    } else if has_role(session, &other).await? {
        other
    } else {
        return Err(RestoreError::LoginMissing {
            secret: held.listed.name.clone(),
            user: login.user.clone(),
        });
    };
    let (user, role) = (escape_identifier(&login.user), escape_identifier(&acts_as));
    let verifier = Zeroizing::new(escape_literal(&verifier(&login.password)));
    let sql = Zeroizing::new(format!(
        "CREATE ROLE {user} LOGIN PASSWORD {}; GRANT {role} TO {user}; ALTER ROLE {user} SET role = {}",
        verifier.as_str(),
        escape_literal(&acts_as),
    ));
    session
        .in_transaction(&login.user, async || {
            session.run(DURING, &sql, Quotes::Verifier).await?;
            session.run(DURING, "COMMIT", Quotes::Nothing).await?;
            Ok::<(), DatabaseError>(())
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_logins_take_turns() {
        for (user, expected) in [("imm", "imm_clone"), ("imm_clone", "imm"), ("_clone", "_clone_clone")] {
            assert_eq!(other(user), expected);
        }
    }
}
