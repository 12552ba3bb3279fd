//! Logins to the source and to the restored copy, over verified TLS.

use shared::aws::secrets;
use shared::database::secret::{Login, Secret, admin_login};
use shared::run::baselines::Origin;
use shared::runtime::failure::chain;

use crate::rules::instance::Instance;
use crate::rules::run::Run;
use crate::{App, RestoreError, aws};

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
    login.must_be_at(&app.instance, found.address.as_ref()).map_err(RestoreError::SourceUnread)?;
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
    let address = instance.address.clone();
    let address = address.ok_or_else(|| RestoreError::LoginFailed("RDS names no endpoint".to_owned()))?;
    let of = Login { host: address.host, port: address.port, search_path: None, ..application(app).await? };
    let value = secrets::value(app.secrets_of(&run.region)?, password, None)
        .await
        .map_err(RestoreError::SecretCall)?;
    admin_login(&value, &of).map(Login::with_system_names).map_err(|error| {
        RestoreError::LoginFailed(format!("RDS's secret has an unknown form: {}", chain(&error)))
    })
}
