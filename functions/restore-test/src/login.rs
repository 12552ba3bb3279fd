//! Logins to the source and to the restored copy, over verified TLS.

use std::borrow::Borrow;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::aws::secrets;
use shared::database::Session;
use shared::database::secret::{Login, Secret};
use shared::runtime::failure::chain;
use tokio_postgres::Client;

use crate::rules::baseline::Origin;
use crate::rules::instance::Instance;
use crate::rules::run::Run;
use crate::{App, RestoreError, aws};

/// A session that the proof can use; dropping it ends it.
pub(crate) struct Open(pub Session);

impl Borrow<Client> for Open {
    fn borrow(&self) -> &Client {
        &self.0.client
    }
}

/// The secret in which RDS keeps a master's password.
#[derive(Deserialize)]
struct Master {
    username: String,
    password: String,
}

/// The application's own login.
pub(crate) async fn application(app: &App) -> Result<Login, RestoreError> {
    let name = app.database_secret.as_ref().ok_or(RestoreError::NotConfigured("DatabaseSecretName"))?;
    let value = secrets::value(&app.secrets, name, None).await.map_err(RestoreError::SecretCall)?;
    let secret = Secret::parse(&value).map_err(|error| RestoreError::SourceUnread(chain(&error)))?;
    Ok(secret.login().clone())
}

/// The login to the source, and which database it is. A secret that names another server is refused: the copy would be
/// compared with that server's data.
pub(crate) async fn source(app: &App) -> Result<(Login, Origin), RestoreError> {
    let login = application(app).await?;
    let found = aws::instance(&app.rds, &app.instance).await.map_err(RestoreError::RdsCall)?;
    let found = found
        .ok_or_else(|| RestoreError::SourceUnread(format!("the instance {} does not exist", app.instance)))?;
    let endpoint = found.host.clone().map(|host| (host.to_ascii_lowercase(), found.port));
    if endpoint != Some((login.host.trim_end_matches('.').to_ascii_lowercase(), login.port)) {
        let endpoint = endpoint.map_or_else(|| "none".to_owned(), |(host, port)| format!("{host}:{port}"));
        return Err(RestoreError::SourceUnread(format!(
            "the secret names {}:{}, the endpoint of {} is {endpoint}",
            login.host, login.port, app.instance
        )));
    }
    let origin = Origin { resource: found.resource, database: login.database.clone() };
    Ok((login, origin))
}

/// The login of the restored copy's master to the application's database. `password` is the ARN of RDS's secret.
pub(crate) async fn copy(
    app: &App,
    run: &Run,
    instance: &Instance,
    password: &str,
) -> Result<Login, RestoreError> {
    let database = application(app).await?.database;
    let value = secrets::value(app.secrets_of(&run.region)?, password, None)
        .await
        .map_err(RestoreError::SecretCall)?;
    // The parser's message could quote the value.
    let master: Master = serde_json::from_str(value.expose_secret())
        .map_err(|_| RestoreError::LoginFailed("RDS's secret has an unknown form".to_owned()))?;
    let host = instance.host.clone();
    Ok(Login {
        host: host.ok_or_else(|| RestoreError::LoginFailed("RDS names no endpoint".to_owned()))?,
        port: instance.port,
        database,
        user: master.username,
        password: SecretString::from(master.password),
        search_path: None,
    })
}
