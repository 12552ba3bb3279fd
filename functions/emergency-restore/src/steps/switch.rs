//! State Switch: moves every secret that holds the database's address, to the new database or back.
//!
//! Before the first secret moves, the login of each is tried at the database that it would point to: no secret ever points
//! to a database that does not accept it. The versions are noted before they exist, so that the follow-up of rotations
//! recognises them.

use sha2::{Digest, Sha256};
use shared::database::secret::{Secret, Server};
use shared::run::open_restore::Move;
use shared::runtime::failure::chain;
use shared::runtime::hex::hex;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use super::guard::must_be_guarded;
use super::{next, whole_milliseconds};
use crate::aws::secrets;
use crate::observe::{Held, describe, held, value};
use crate::rules::restore::{Changed, Direction, Foreign, Phase, Restore};
use crate::{Answer, App, RestoreError};

/// Moves the secrets in the note's direction.
pub(crate) async fn switch(
    app: &App,
    execution: &str,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Switch {
        return Ok(next(&restore));
    }
    match restore.direction {
        Direction::New => {
            if !restore.is_approved() {
                return Err(RestoreError::NotApproved(restore.target.instance));
            }
            must_be_guarded(app, &restore).await?;
            forward(app, execution, &restore).await?;
        }
        Direction::Old => back(app, execution, &restore).await?,
    }
    let since = whole_milliseconds(time::now());
    let migrates = app.policy().migration.is_some();
    let direction = restore.direction;
    let restore = app
        .amend(execution, |restore| {
            // An attempt that was taken for dead must not end a turn that a person ordered since.
            if restore.phase != Phase::Switch || restore.direction != direction || restore.failure.is_some() {
                return;
            }
            restore.redeploy(since);
            restore.foreign.clear();
            let is_done = restore.migration.as_ref().is_some_and(|migration| migration.exit == Some(0));
            let is_due = migrates && restore.direction == Direction::New && !is_done;
            let to = if is_due { Phase::Migrate } else { Phase::Deploy };
            restore.advance(Phase::Switch, to, invocation.now);
        })
        .await?;
    Ok(next(&restore))
}

/// A version's id: the same in every attempt, another one if the value in force has changed since.
fn version(run: &str, secret: &str, from: &str, instance: &str) -> String {
    let mut digits = hex(&Sha256::digest(format!("{run} {secret} {from} {instance}")));
    digits.truncate(32);
    let parts =
        [digits.get(..8), digits.get(8..12), digits.get(12..16), digits.get(16..20), digits.get(20..)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}

async fn forward(app: &App, execution: &str, restore: &Restore) -> Result<(), RestoreError> {
    let target = &restore.target;
    let address = target.address.clone().unwrap_or_default();
    let all = held(app, restore).await?;
    let to = Server { address: &address, instance: &target.instance };
    let from = Server { address: &restore.lost.address, instance: &restore.lost.instance };
    let mut planned = Vec::new();
    for held in &all {
        let secret = &held.listed;
        let known = restore.moves.iter().find(|it| it.secret == secret.arn);
        match known {
            // Moved by an attempt that died, or before a return.
            Some(known) if known.to == held.version => {
                // A version for an instance that was given up since names that one.
                if held.login.as_ref().is_some_and(|login| !address.is(&login.host, login.port)) {
                    return Err(RestoreError::SecretChanged(secret.name.clone()));
                }
                planned.push(known.clone());
            }
            Some(known)
                if known.from == held.version
                    && known.to == version(&restore.run, &secret.arn, &known.from, &target.instance) =>
            {
                planned.push(known.clone());
            }
            _ => planned.push(Move {
                secret: secret.arn.clone(),
                name: secret.name.clone(),
                from: held.version.clone(),
                to: version(&restore.run, &secret.arn, &held.version, &target.instance),
            }),
        }
    }
    for held in &all {
        if let Some(login) = held.login_at(&address) {
            accepts(&held.listed.name, app.database.login(&login).await).await?;
        }
    }
    still(app, execution, Direction::New).await?;
    app.amend(execution, |restore| {
        for planned in &planned {
            restore.moves.retain(|known| known.secret != planned.secret);
            restore.moves.push(planned.clone());
        }
        restore.used.insert(restore.target.instance.clone());
    })
    .await?;
    for (held, planned) in all.iter().zip(&planned) {
        if held.version == planned.to {
            continue;
        }
        move_to(app, execution, held, planned, from, to).await?;
    }
    Ok(())
}

/// Whether a secret names the new database by one of the restore's moves.
pub(crate) async fn has_moved(app: &App, restore: &Restore) -> Result<bool, RestoreError> {
    for it in &restore.moves {
        if describe(app, &it.secret).await?.labelled("AWSCURRENT") == Some(it.to.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The secrets whose version in force is not the one that the restore put there.
pub(crate) async fn changed(app: &App, restore: &Restore) -> Result<Vec<Changed>, RestoreError> {
    let mut changed = Vec::new();
    for it in &restore.moves {
        let listed = describe(app, &it.secret).await?;
        changed.extend(restore.changed(it, listed.labelled("AWSCURRENT").unwrap_or_default()));
    }
    Ok(changed)
}

/// Refuses to go on if another caller put a version of a moved secret in force since the move: the application may use the
/// other database.
pub(crate) async fn must_be_in_force(
    app: &App,
    execution: &str,
    restore: &Restore,
) -> Result<(), RestoreError> {
    match changed(app, restore).await? {
        changed if changed.is_empty() => Ok(()),
        changed => Err(told(app, execution, changed).await?),
    }
}

/// The error about versions of others, which are noted so that a person can overrule what was told, and nothing else.
async fn told(app: &App, execution: &str, changed: Vec<Changed>) -> Result<RestoreError, RestoreError> {
    app.amend(execution, |restore| {
        for it in &changed {
            let found = Foreign { version: it.current.clone(), overruled: false };
            restore.foreign.insert(it.secret.clone(), found);
        }
    })
    .await?;
    let names: Vec<_> = changed.into_iter().map(|it| it.name).collect();
    Ok(RestoreError::SecretChanged(names.join(", ")))
}

/// Refuses a move if the note has changed since the step began: another execution may have taken the restore over, or a
/// person may have turned it.
async fn still(app: &App, execution: &str, direction: Direction) -> Result<(), RestoreError> {
    let restore = app.mine(execution).await?;
    let is_due = restore.failure.is_none() && restore.phase == Phase::Switch;
    if is_due && restore.direction == direction { Ok(()) } else { Err(RestoreError::NotOpen) }
}

/// Checks that a move is in force.
async fn must_be(app: &App, it: &Move, version: &str) -> Result<(), RestoreError> {
    let listed = describe(app, &it.secret).await?;
    match listed.labelled("AWSCURRENT") == Some(version) {
        true => Ok(()),
        false => Err(RestoreError::SecretChanged(it.name.clone())),
    }
}

async fn move_to(
    app: &App,
    execution: &str,
    held: &Held,
    planned: &Move,
    from: Server<'_>,
    to: Server<'_>,
) -> Result<(), RestoreError> {
    // Another caller may have moved the label since it was read.
    let listed = describe(app, &planned.secret).await?;
    match listed.labelled("AWSCURRENT") {
        Some(current) if current == planned.to => return Ok(()),
        Some(current) if current == planned.from => {}
        _ => return Err(RestoreError::SecretChanged(planned.name.clone())),
    }
    still(app, execution, Direction::New).await?;
    let done = if listed.labels.contains_key(&planned.to) {
        secrets::make_current(&app.secrets, &planned.secret, &planned.from, &planned.to).await
    } else {
        let value = held.moved(from, to)?;
        // The rest of the secret is as it was.
        let is_same = match (&held.login, Secret::parse(&value)) {
            (Some(before), Ok(after)) => {
                let after = after.login();
                after.user == before.user
                    && after.database == before.database
                    && to.address.is(&after.host, after.port)
            }
            (Some(_), Err(_)) => false,
            (None, _) => true,
        };
        if !is_same {
            let error = shared::database::secret::FormError::Unwritable;
            return Err(RestoreError::SecretForm(planned.name.clone(), error));
        }
        let put = secrets::put(&app.secrets, &planned.secret, &planned.to, &value).await;
        // Secrets Manager does nothing for a version that it has already: a return that overruled a foreign version has
        // taken all labels from this one.
        let listed = describe(app, &planned.secret).await?;
        match put {
            Ok(()) if listed.labelled("AWSCURRENT") == Some(planned.from.as_str()) => {
                secrets::make_current(&app.secrets, &planned.secret, &planned.from, &planned.to).await
            }
            put => put,
        }
    };
    done.map_err(RestoreError::SecretsManagerCall)?;
    must_be(app, planned, &planned.to).await?;
    tracing::info!(
        message = "AWSCURRENT moved to the new database",
        secret.name = planned.name,
        secret.version = planned.to
    );
    Ok(())
}

async fn back(app: &App, execution: &str, restore: &Restore) -> Result<(), RestoreError> {
    // All labels first, so that nothing is moved beside a secret that cannot be.
    let mut changed = Vec::new();
    for it in &restore.moves {
        let listed = describe(app, &it.secret).await?;
        let current = listed.labelled("AWSCURRENT").unwrap_or_default();
        changed.extend(restore.changed(it, current).filter(|_| !restore.may_replace(it, current)));
    }
    if !changed.is_empty() {
        return Err(told(app, execution, changed).await?);
    }
    for it in &restore.moves {
        if let Ok(secret) = Secret::parse(&value(app, &it.secret, Some(&it.from)).await?) {
            accepts(&it.name, app.database.login(secret.login()).await).await?;
        }
    }
    for it in &restore.moves {
        let listed = describe(app, &it.secret).await?;
        let current = match listed.labelled("AWSCURRENT") {
            Some(current) if current == it.from => continue,
            Some(current) if restore.may_replace(it, current) => current.to_owned(),
            _ => return Err(RestoreError::SecretChanged(it.name.clone())),
        };
        still(app, execution, Direction::Old).await?;
        secrets::make_current(&app.secrets, &it.secret, &current, &it.from)
            .await
            .map_err(RestoreError::SecretsManagerCall)?;
        must_be(app, it, &it.from).await?;
        tracing::info!(
            message = "AWSCURRENT moved back to the old database",
            secret.name = it.name,
            secret.version = it.from
        );
    }
    Ok(())
}

/// Refuses a move to a database that does not accept the secret's login.
async fn accepts(
    secret: &str,
    login: Result<shared::database::Session, shared::database::DatabaseError>,
) -> Result<(), RestoreError> {
    match login {
        Ok(session) => {
            session.close().await;
            Ok(())
        }
        Err(error) => Err(RestoreError::DatabaseRefused { secret: secret.to_owned(), why: chain(&error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versions_id_is_the_same_in_every_attempt() {
        let one = version("r20261130-1", "arn", "v1", "new");
        assert_eq!(one, version("r20261130-1", "arn", "v1", "new"));
        assert_eq!((one.len(), one.matches('-').count()), (36, 4));
        for other in [
            version("r20261130-2", "arn", "v1", "new"),
            version("r20261130-1", "arn", "v2", "new"),
            version("r20261130-1", "arn", "v1", "new-2"),
        ] {
            assert_ne!(one, other);
        }
    }
}
