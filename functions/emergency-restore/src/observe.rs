//! Facts for the steps: the secrets that hold the database's address, and the services that read them.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use shared::aws::secrets::{self, Listed};
use shared::aws::{describe, snapshots};
use shared::database::secret::{Address, FormError, Login, Secret, Server, moved};
use shared::ecs;
use shared::ecs::readers::{self, Cause, Subject};
use shared::ecs::rollout::Service;
use shared::runtime::failure::chain;

use crate::rules::obstacle::Obstacle;
use crate::rules::restore::{Direction, Restore};
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
    /// Whether it may set the master's password: the application's own secret, or the administrator's.
    pub may_be_master: bool,
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
/// a move of this restore points to the new database counts too. A return needs the moved ones only: what stops a move
/// must not stop the way back.
///
/// # Errors
///
/// [`RestoreError::SecretForm`] if one names the lost database in a form that cannot be changed.
pub(crate) async fn held(app: &App, restore: &Restore) -> Result<Vec<Held>, RestoreError> {
    if restore.direction == Direction::Old {
        return returned(app, restore).await;
    }
    let (all, unwritable) = found(app, restore).await?;
    match unwritable.into_iter().next() {
        Some((name, error)) => Err(RestoreError::SecretForm(name, error)),
        None => Ok(all),
    }
}

/// The secrets of the moves.
async fn returned(app: &App, restore: &Restore) -> Result<Vec<Held>, RestoreError> {
    let mut all = Vec::new();
    for it in &restore.moves {
        let listed = describe(app, &it.secret).await?;
        let Some(version) = listed.labelled("AWSCURRENT").map(str::to_owned) else { continue };
        let value = value(app, &listed.arn, Some(&version)).await?;
        all.push(holding(app, listed, version, value));
    }
    Ok(all)
}

fn holding(app: &App, listed: Listed, version: String, value: SecretString) -> Held {
    let login = Secret::parse(&value).ok().map(|secret| secret.login().clone());
    let is_named = |name: &Option<String>| {
        name.as_ref().is_some_and(|it| *it == listed.name || listed.arn.starts_with(it))
    };
    let may_be_master = is_named(&app.database_secret) || is_named(&app.admin_secret);
    Held { listed, version, value, login, may_be_master }
}

/// The secrets that hold the lost database's address, and those that name it in a form that cannot be changed.
async fn found(app: &App, restore: &Restore) -> Result<(Vec<Held>, Vec<(String, FormError)>), RestoreError> {
    let from = Server { address: &restore.lost.address, instance: &restore.lost.instance };
    let new = restore.target.address.clone().unwrap_or_default();
    let to = Server { address: &new, instance: &restore.target.instance };
    let (mut all, mut unwritable) = (Vec::new(), Vec::new());
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
        let is_moved = restore.moves.iter().any(|it| it.secret == listed.arn && it.to == version);
        let is_held = match moved(&value, from, to) {
            Ok(moved) => moved.is_some() || is_moved,
            Err(error) => {
                unwritable.push((listed.name.clone(), error));
                continue;
            }
        };
        if is_held && !all.iter().any(|known: &Held| known.listed.arn == listed.arn) {
            all.push(holding(app, listed, version, value));
        }
    }
    Ok((all, unwritable))
}

/// What will stop the restore after the approval, as far as it can be seen now. It must never stop the beginning.
pub(crate) async fn obstacles(app: &App, restore: &Restore) -> Vec<Obstacle> {
    if app.database_secret.is_none() {
        return Vec::new();
    }
    let read = async {
        let (secrets, unwritable) = found(app, restore).await?;
        let unwritable =
            unwritable.into_iter().map(|(secret, error)| Obstacle::Form { secret, why: chain(&error) });
        let mut all: Vec<_> = unwritable.collect();
        match readers(app, &secrets).await {
            Ok(readers) => all.extend(readers.iter().flat_map(Reader::obstacles)),
            Err(RestoreError::NoReader(secret)) => all.push(Obstacle::NoReader { secret }),
            // The form says why the application's own secret is not among them.
            Err(RestoreError::SecretElsewhere(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(all)
    };
    read.await.unwrap_or_else(|error: RestoreError| {
        tracing::warn!(message = format!("what stops the restore later was not read: {}", chain(&error)));
        Vec::new()
    })
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
    /// Its references to one version or label of a secret, each with what it names: they stay with the old database.
    pub pinned: Vec<String>,
}

impl Reader {
    /// Why only others can deploy it: its controller, or that it is being deleted.
    pub(crate) fn controller(&self) -> &str {
        if self.service.is_active { &self.service.controller } else { "DRAINING" }
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        let pinned = self.pinned.iter().map(|reference| Obstacle::Pinned { reference: reference.clone() });
        let (service, controller) = (self.service.name.clone(), self.controller().to_owned());
        let others = Obstacle::Others { service, controller };
        let is_of_others = !self.is_ours && self.pinned.is_empty();
        pinned.chain(is_of_others.then_some(others)).collect()
    }
}

/// Refuses readers that name one version or label of a secret: a move does not reach them.
pub(crate) fn must_follow(readers: &[Reader]) -> Result<(), RestoreError> {
    let pinned: Vec<_> = readers.iter().flat_map(|reader| reader.pinned.iter().map(String::as_str)).collect();
    if pinned.is_empty() { Ok(()) } else { Err(RestoreError::ReaderPinned(pinned.join(", "))) }
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
    let mut pinned: BTreeMap<String, Vec<String>> = BTreeMap::new();
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
        for it in found.unreached {
            // `service`, or `service/container/variable` for a pinned reference.
            let Some(service) = it.reader.split('/').next().map(str::to_owned) else { continue };
            if let Cause::Pinned(to) = &it.cause {
                pinned.entry(service.clone()).or_default().push(format!("{} ({to})", it.reader));
            }
            others.insert(service);
        }
    }
    let readers = services.into_iter().filter_map(|service| {
        let is_ours = ours.contains(&service.name);
        let pinned = pinned.remove(&service.name).unwrap_or_default();
        (is_ours || others.contains(&service.name)).then_some(Reader { service, is_ours, pinned })
    });
    Ok(readers.collect())
}

/// Whether an instance belongs to this environment.
pub(crate) fn is_ours(app: &App, instance: &str) -> bool {
    snapshots::is_ours(instance, &app.instance, &app.base.settings)
}
