//! Logins to the new instance.

use std::borrow::Borrow;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::database::secret::Login;
use shared::database::{DatabaseError, ErrorKind, Session};
use tokio_postgres::Client;

use crate::observe::{self, Held};
use crate::rules::restore::Restore;
use crate::{App, RestoreError};

/// A session that the proof can use; dropping it ends it.
pub(crate) struct Open(pub Session);

impl Borrow<Client> for Open {
    fn borrow(&self) -> &Client {
        &self.0.client
    }
}

/// The secret in which RDS keeps a master's password.
#[derive(Deserialize)]
struct Managed {
    username: String,
    password: String,
}

/// The login among the secrets that is the master user, so that its password must be the secret's.
pub(crate) fn master_of<'a>(secrets: &'a [Held], master: &str) -> Option<&'a Login> {
    secrets.iter().filter_map(|held| held.login.as_ref()).find(|login| login.user == master)
}

/// The login of the new instance's master user, in the application's database.
///
/// # Errors
///
/// [`RestoreError::LoginFailed`] without an address or a password.
pub(crate) async fn master(app: &App, restore: &Restore, secrets: &[Held]) -> Result<Login, RestoreError> {
    let target = &restore.target;
    let refuse = |reason: &str| {
        RestoreError::LoginFailed(DatabaseError {
            kind: ErrorKind::Other,
            during: "find the master's login",
            target: target.instance.clone(),
            sqlstate: None,
            reason: reason.to_owned(),
        })
    };
    let address = target.address.as_ref().ok_or_else(|| refuse("RDS names no address"))?;
    if let Some(login) = master_of(secrets, &target.master) {
        return Ok(Login { host: address.host.clone(), port: address.port, ..login.clone() });
    }
    let database = match secrets.iter().find_map(|held| held.login.as_ref()) {
        Some(login) => login.database.clone(),
        None => observe::own_login(app).await?.1.database,
    };
    let secret = target.master_secret.as_ref();
    let secret = secret.ok_or_else(|| refuse("RDS keeps no password of the master"))?;
    let value = observe::value(app, secret, None).await?;
    // The parser's message could quote the value.
    let managed: Managed = serde_json::from_str(value.expose_secret())
        .map_err(|_| refuse("RDS's secret has an unknown form"))?;
    Ok(Login {
        host: address.host.clone(),
        port: address.port,
        database,
        user: managed.username,
        password: SecretString::from(managed.password),
        search_path: None,
    })
}
