//! Facts for the steps: the secrets that hold the database's address, and the services that read them.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use shared::aws::secrets::{self, Listed};
use shared::aws::{describe, snapshots};
use shared::database::secret::{Address, Login, Secret, Server, moved};
use shared::ecs;
use shared::ecs::readers::{self, Subject};
use shared::ecs::rollout::Service;

use crate::rules::restore::Restore;
use crate::{App, RestoreError};

/// A secret that holds the lost database's address.
pub(crate) struct Held {
    /// Its labels.
    pub listed: Listed,
    /// Its version in force.
    pub version: String,
    /// Its value.
    pub value: SecretString,
    /// Its login; none if its form is not that of a login, e.g. without a password.
    pub login: Option<Login>,
}

impl Held {
    /// The value with the other address.
    pub(crate) fn moved(&self, from: Server<'_>, to: Server<'_>) -> Result<SecretString, RestoreError> {
        let form = |error| RestoreError::SecretForm(self.listed.name.clone(), error);
        Ok(moved(&self.value, from, to).map_err(form)?.unwrap_or_else(|| self.value.clone()))
    }

    /// The same login at another server.
    pub(crate) fn login_at(&self, address: &Address) -> Option<Login> {
        let login = self.login.as_ref()?;
        Some(Login { host: address.host.clone(), port: address.port, ..login.clone() })
    }
}

/// A secret with its labels.
pub(crate) async fn describe(app: &App, secret: &str) -> Result<Listed, RestoreError> {
    describe::secret(&app.secrets, secret).await.map_err(RestoreError::SecretsManagerCall)
}

/// The value of a version, or of AWSCURRENT.
pub(crate) async fn value(
    app: &App,
    secret: &str,
    version: Option<&str>,
) -> Result<SecretString, RestoreError> {
    secrets::value(&app.secrets, secret, version).await.map_err(RestoreError::SecretsManagerCall)
}

/// The application's own login.
pub(crate) async fn own_login(app: &App) -> Result<(String, Login), RestoreError> {
    let name = app.database_secret.clone().ok_or(RestoreError::NotConfigured("DatabaseSecretName"))?;
    let found = Secret::parse(&value(app, &name, None).await?);
    let secret = found.map_err(|error| RestoreError::SecretForm(name.clone(), error))?;
    Ok((name, secret.login().clone()))
}

/// The secrets that hold the lost database's address, in the version in force; the application's first. A secret that
/// a move of this restore points to the new database counts too.
pub(crate) async fn held(app: &App, restore: &Restore) -> Result<Vec<Held>, RestoreError> {
    let from = Server { address: &restore.lost.address, instance: &restore.lost.instance };
    let new = restore.target.address.clone().unwrap_or_default();
    let to = Server { address: &new, instance: &restore.target.instance };
    let mut all = Vec::new();
    for name in app.database_secret.iter().chain(&app.other_secrets) {
        // A pattern names no single secret; the message tells.
        if name.contains(['*', '?']) {
            continue;
        }
        let listed = match describe(app, name).await {
            // RDS deletes an administrator's secret that it manages with its instance.
            Err(RestoreError::SecretsManagerCall(call))
                if call.code == "ResourceNotFoundException" && app.database_secret.as_ref() != Some(name) =>
            {
                continue;
            }
            listed => listed?,
        };
        let Some(version) = listed.labelled("AWSCURRENT").map(str::to_owned) else { continue };
        let value = value(app, &listed.arn, Some(&version)).await?;
        let form = |error| RestoreError::SecretForm(listed.name.clone(), error);
        let is_held = moved(&value, from, to).map_err(form)?.is_some()
            || restore.moves.iter().any(|it| it.secret == listed.arn && it.to == version);
        if is_held && !all.iter().any(|known: &Held| known.listed.arn == listed.arn) {
            let login = Secret::parse(&value).ok().map(|secret| secret.login().clone());
            all.push(Held { listed, version, value, login });
        }
    }
    Ok(all)
}

/// The application's own secret. Without it, a move would change nothing for the application.
///
/// # Errors
///
/// [`RestoreError::SecretElsewhere`] if it names another database, e.g. because somebody changed it by hand.
pub(crate) fn must_have_own<'a>(app: &App, secrets: &'a [Held]) -> Result<&'a Held, RestoreError> {
    let name = app.database_secret.as_ref().ok_or(RestoreError::NotConfigured("DatabaseSecretName"))?;
    let own = secrets.iter().find(|held| held.listed.name == *name);
    own.ok_or_else(|| RestoreError::SecretElsewhere(name.clone()))
}

/// A service that reads one of the secrets.
pub(crate) struct Reader {
    /// The service.
    pub service: Service,
    /// Whether this function can deploy it.
    pub is_ours: bool,
}

/// The services that read one of the secrets: by their task definitions, or by the policy.
///
/// # Errors
///
/// [`RestoreError::SecretElsewhere`] or [`RestoreError::NoReader`] if the application is not among them: nothing would be
/// guarded or deployed, and the next task would be neither.
pub(crate) async fn readers(app: &App, secrets: &[Held]) -> Result<Vec<Reader>, RestoreError> {
    let own = must_have_own(app, secrets)?;
    let policy = &app.base.settings.policy.rotation;
    let names = ecs::services(&app.ecs, &app.cluster).await.map_err(RestoreError::EcsCall)?;
    let services =
        ecs::describe_services(&app.ecs, &app.cluster, &names).await.map_err(RestoreError::EcsCall)?;
    let mut known = BTreeMap::new();
    for definition in services.iter().flat_map(|service| service.next.iter().chain(&service.in_flight)) {
        if !known.contains_key(definition) {
            let found = ecs::references(&app.ecs, definition).await.map_err(RestoreError::EcsCall)?;
            known.insert(definition.clone(), found);
        }
    }
    let (mut ours, mut others) = (BTreeSet::new(), BTreeSet::new());
    for Held { listed, .. } in secrets {
        let is_own = own.listed.arn == listed.arn;
        let key = if is_own { "DATABASE_URL" } else { listed.name.as_str() };
        let mapped = policy.secrets.get(key).map(|entry| &entry.services[..]).unwrap_or_default();
        if let Some(missing) = mapped.iter().find(|name| !names.contains(name)) {
            return Err(RestoreError::NoService(missing.clone()));
        }
        let subject = Subject { arn: &listed.arn, name: &listed.name, mapped, followed: None };
        let found = readers::of(subject, &services, &known);
        if is_own && found.services.is_empty() && found.unreached.is_empty() {
            return Err(RestoreError::NoReader(listed.name.clone()));
        }
        ours.extend(found.services);
        // `service`, or `service/container/variable` for a pinned reference.
        others.extend(found.unreached.iter().filter_map(|it| it.reader.split('/').next().map(str::to_owned)));
    }
    let readers = services.into_iter().filter_map(|service| {
        let is_ours = ours.contains(&service.name);
        (is_ours || others.contains(&service.name)).then_some(Reader { service, is_ours })
    });
    Ok(readers.collect())
}

/// Whether an instance belongs to this environment.
pub(crate) fn is_ours(app: &App, instance: &str) -> bool {
    snapshots::is_ours(instance, &app.instance, &app.base.settings)
}
