//! Facts for the steps: the secrets, the services that read them, and the versions in force.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use shared::aws::describe;
use shared::aws::scope::Scope;
use shared::aws::secrets::Listed;
use shared::runtime::failure::chain;

use crate::rules::batch::Batch;
use crate::rules::change::Change;
use crate::rules::journal::{self, Journal};
use crate::rules::keys::JWT;
use crate::rules::proof;
use crate::{App, FollowupError};
use shared::ecs;
use shared::ecs::readers::{self, Readers, Subject};
use shared::ecs::rollout::{self, Runs, Service};

/// Whether a secret belongs to this environment: the template or the policy names it, or its tags match.
pub(crate) fn is_ours(app: &App, secret: &Listed) -> bool {
    app.scope.named(&app.base.settings.policy.rotation).contains(secret.name.as_str())
        || Scope::is_tagged(&app.base.settings, &secret.tags)
}

/// A secret that an event names; none if it has been deleted since.
pub(crate) async fn find_secret(app: &App, secret: &str) -> Result<Option<Listed>, FollowupError> {
    match describe_secret(app, secret).await {
        Err(FollowupError::SecretsManager(call)) if call.code == "ResourceNotFoundException" => Ok(None),
        described => described.map(Some),
    }
}

/// A secret with its labels and tags, as DescribeSecret shows it.
pub(crate) async fn describe_secret(app: &App, secret: &str) -> Result<Listed, FollowupError> {
    describe::secret(&app.secrets, secret).await.map_err(FollowupError::SecretsManager)
}

/// The readers of each secret, by its ARN, and the cluster's services.
///
/// # Errors
///
/// [`FollowupError::NoService`] if the policy names a service that the cluster does not have.
pub(crate) async fn find_readers(
    app: &App,
    changes: &[Change],
) -> Result<(BTreeMap<String, Readers>, Vec<Service>), FollowupError> {
    let policy = &app.base.settings.policy.rotation;
    let of_policy = |change: &Change| {
        policy.secrets.get(&change.key).map(|entry| &entry.services[..]).unwrap_or_default()
    };
    let names = ecs::services(&app.ecs, &app.cluster).await.map_err(FollowupError::Ecs)?;
    if let Some(missing) = changes.iter().flat_map(of_policy).find(|name| !names.contains(name)) {
        return Err(FollowupError::NoService(missing.clone()));
    }
    let services =
        ecs::describe_services(&app.ecs, &app.cluster, &names).await.map_err(FollowupError::Ecs)?;
    let mut known = BTreeMap::new();
    for definition in services.iter().flat_map(|service| service.next.iter().chain(&service.in_flight)) {
        if !known.contains_key(definition) {
            let references = ecs::references(&app.ecs, definition).await.map_err(FollowupError::Ecs)?;
            known.insert(definition.clone(), references);
        }
    }
    let journal: Journal = app.documents().get(journal::NAME).await?.unwrap_or_default();
    let found = changes.iter().map(|change| {
        let secret = Subject {
            arn: &change.secret,
            name: &change.name,
            mapped: of_policy(change),
            followed: journal.first_followed(change),
        };
        (change.secret.clone(), readers::of(secret, &services, &known))
    });
    Ok((found.collect(), services))
}

/// The number of tasks with old and new values, for each service that reads a secret of the batch. Used only to report
/// a failure, so it is empty if ECS does not answer.
pub(crate) async fn count_tasks(app: &App, batch: &Batch) -> Vec<Runs> {
    let names: BTreeSet<_> = batch.readers.values().flatten().cloned().collect();
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        return Vec::new();
    }
    match ecs::describe_services(&app.ecs, &app.cluster, &names).await {
        Ok(services) => {
            let forward = batch.began.unwrap_or(batch.taken);
            let back = (!batch.moved.is_empty()).then_some(batch.since);
            services.iter().map(|service| rollout::runs(service, forward, back)).collect()
        }
        Err(call) => {
            tracing::warn!(message = format!("describing the services failed: {}", chain(&call)));
            Vec::new()
        }
    }
}

/// The current version of each secret of the batch, by the secret's ARN: others may have moved a label, and a planned
/// move may have failed. Omits secrets that cannot be described.
pub(crate) async fn current_versions(app: &App, batch: &Batch) -> BTreeMap<String, String> {
    let mut current = BTreeMap::new();
    for change in &batch.changes {
        match describe_secret(app, &change.secret).await {
            Ok(listed) => {
                current.extend(listed.labelled("AWSCURRENT").map(|it| (change.secret.clone(), it.to_owned())))
            }
            Err(error) => tracing::warn!(message = chain(&error), secret.name = change.name),
        }
    }
    current
}

/// The signing key in a secret's value: the field that the policy names, or the whole value. Empty if the field is
/// missing.
pub(crate) fn signing_key(app: &App, value: SecretString) -> SecretString {
    let entry = app.base.settings.policy.rotation.secrets.get(JWT);
    let field = entry.and_then(|entry| entry.random.as_ref()?.field.as_deref());
    let Some(field) = field else { return value };
    proof::field(&value, field).unwrap_or_default()
}
