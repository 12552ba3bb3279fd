//! States Deploy and Watch: deploys the services that read the batch's secrets, and watches the rollout.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use secrecy::SecretString;
use shared::aws::{secrets, versions};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use super::fail;
use crate::observe::{find_readers, signing_key};
use crate::rules::batch::{Batch, Old, Phase};
use crate::rules::change::Change;
use crate::rules::failure::Failed;
use crate::rules::journal::{self, Journal};
use crate::rules::keys::{DATABASE, JWT};
use crate::rules::kind::Kind;
use crate::rules::{old, proof};
use crate::{Answer, App, FollowupError, NOTING, Status, database};
use shared::ecs;
use shared::ecs::readers::{Cause, Readers, Unreached};
use shared::ecs::rollout::{self, Poll, Rollout, Service};

/// Forces a deployment of each service that reads a secret of the batch, unless its newest deployment began after the
/// change. Deploys nothing if one of the new values certainly does not work.
pub(crate) async fn deploy(
    app: &App,
    execution: &str,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    let (found, services) = find_readers(app, &batch.changes).await?;
    let readers: BTreeMap<_, _> =
        found.iter().map(|(secret, found)| (secret.clone(), found.services.clone())).collect();
    let mut unreached: BTreeMap<_, _> =
        found.iter().map(|(secret, found)| (secret.clone(), found.unreached.clone())).collect();
    let reached: BTreeMap<_, _> =
        found.iter().map(|(secret, found)| (secret.clone(), found.reached.clone())).collect();
    let old = if batch.phase == Phase::Forward { old_values(app, &batch).await? } else { batch.old.clone() };
    if batch.phase == Phase::Forward
        && let Some(refused) = match old::find_withdrawn(&batch, &old) {
            Some(withdrawn) => Some(withdrawn),
            None => find_refused(app, &batch, &found, invocation).await?,
        }
    {
        app.amend_batch(execution, |batch| {
            batch.old.clone_from(&old);
            batch.readers.clone_from(&readers);
            batch.unreached.clone_from(&unreached);
        })
        .await?;
        return fail(app, execution, refused).await;
    }
    let wanted: BTreeSet<&String> = readers.values().flatten().collect();
    // No task has the refused value, so no task needs to be replaced.
    let is_wanted = |service: &&Service| wanted.contains(&service.name) && !batch.was_never_deployed();
    let (mut deployments, mut refusals) = (BTreeMap::new(), BTreeMap::new());
    for service in services.iter().filter(is_wanted) {
        let id = match service.deployed_since(batch.since) {
            // An attempt of this step that died, or another caller, made it. In either case, its tasks have the current
            // values.
            Some(newest) => newest.id.clone(),
            None => match ecs::deploy(&app.ecs, &app.cluster, &service.name, None).await {
                Ok(id) => id,
                Err(call) if ecs::is_of_service(&call.code) => {
                    tracing::warn!(
                        message = "deployment refused",
                        ecs.service = service.name,
                        code = call.code
                    );
                    refusals.insert(service.name.clone(), chain(&call));
                    continue;
                }
                Err(call) => return Err(FollowupError::Ecs(call)),
            },
        };
        tracing::info!(message = "deployment", ecs.service = service.name, ecs.deployment = id);
        deployments.insert(service.name.clone(), id);
    }
    for (secret, services) in &readers {
        let refused = services.iter().filter_map(|name| Some((name, refusals.get(name)?)));
        let refused = refused.map(|(name, why)| Unreached {
            reader: name.clone(),
            cause: Cause::Refused(why.clone()),
            definition: String::new(),
        });
        unreached.entry(secret.clone()).or_default().extend(refused);
    }
    app.amend_batch(execution, |batch| {
        batch.old.clone_from(&old);
        batch.deployments.clone_from(&deployments);
        batch.readers.clone_from(&readers);
        for services in batch.readers.values_mut() {
            services.retain(|name| !refusals.contains_key(name));
        }
        batch.unreached.clone_from(&unreached);
        batch.reached.clone_from(&reached);
    })
    .await?;
    Ok(Answer::now(Status::Deployed))
}

/// Checks the rollout of each deployment once.
pub(crate) async fn watch(
    app: &App,
    execution: &str,
    poll: u16,
    now: Timestamp,
) -> Result<Answer, FollowupError> {
    let policy = &app.base.settings.policy.rotation.followup;
    let batch = app.amend_batch(execution, |batch| batch.touch(now)).await?;
    let poll = Poll { since: batch.since, now, number: poll, policy };
    let names: Vec<_> = batch.deployments.keys().cloned().collect();
    let services =
        ecs::describe_services(&app.ecs, &app.cluster, &names).await.map_err(FollowupError::Ecs)?;
    let mut is_running = false;
    for (name, id) in &batch.deployments {
        let service = services.iter().find(|service| service.name == *name);
        let service = service.ok_or_else(|| FollowupError::NoService(name.clone()))?;
        let shifted = match service.shift_minutes {
            None => None,
            Some(_) => ecs::service_deployment(&app.ecs, &app.cluster, name, batch.since)
                .await
                .map_err(FollowupError::Ecs)?,
        };
        let (kind, detail) = match rollout::judge(service, id, shifted.as_ref(), &poll) {
            Rollout::Steady => continue,
            Rollout::Running => {
                is_running = true;
                continue;
            }
            Rollout::Failed(detail) => (Kind::RolloutFailed, detail),
            Rollout::Unfinished(detail) => (Kind::RolloutUnfinished, detail),
            Rollout::OthersFailed(detail) => (Kind::OthersRolloutFailed, detail),
        };
        return fail(app, execution, Failed::new(kind, detail)).await;
    }
    let wait_seconds = rollout::wait_seconds(poll.number, policy);
    Ok(if is_running { Answer::after(wait_seconds, Status::Running) } else { Answer::now(Status::Steady) })
}

/// Old values in the batch that became current again without a rotation, by the secret's ARN. Only for secrets that the
/// function may read, and for versions that leaked.
async fn old_values(app: &App, batch: &Batch) -> Result<BTreeMap<String, Old>, FollowupError> {
    let mut old = BTreeMap::new();
    for change in &batch.changes {
        if change.is_rotation {
            continue;
        }
        let journal: Journal = app.documents().get(journal::NAME).await?.unwrap_or_default();
        if let Some(leaked) = old::returned(change, &journal) {
            old.insert(change.secret.clone(), leaked);
            continue;
        }
        if ![JWT, DATABASE].contains(&change.key.as_str()) {
            continue;
        }
        let read = async |version: &str| secrets::value(&app.secrets, &change.secret, Some(version)).await;
        let value = read(&change.version).await.map_err(FollowupError::SecretsManager)?;
        let made = versions::made(&app.secrets, &change.secret).await;
        let made = made.map_err(FollowupError::SecretsManager)?;
        let mut same = Vec::new();
        for (version, at) in old::earlier(change, &made, &journal) {
            match read(&version).await {
                Ok(other) if old::is_same(&value, &other) => same.push((version, at)),
                Ok(_) => {}
                // The service may delete a version without a label at any time.
                Err(call) if call.code == "ResourceNotFoundException" => {}
                Err(call) => return Err(FollowupError::SecretsManager(call)),
            }
        }
        old.extend(old::of(change, same, &journal).map(|known| (change.secret.clone(), known)));
    }
    Ok(old)
}

/// The failure of a value that certainly does not work: its deployment would replace every working task.
async fn find_refused(
    app: &App,
    batch: &Batch,
    readers: &BTreeMap<String, Readers>,
    invocation: &Invocation,
) -> Result<Option<Failed>, FollowupError> {
    for change in &batch.changes {
        let Some(readers) = readers.get(&change.secret).filter(|found| !found.services.is_empty()) else {
            continue;
        };
        // The function may read only these secrets' values, and only they keep the application from starting or
        // serving.
        if ![JWT, DATABASE].contains(&change.key.as_str()) {
            continue;
        }
        let value = secrets::value(&app.secrets, &change.secret, Some(&change.version))
            .await
            .map_err(FollowupError::SecretsManager)?;
        let missing = readers.fields.iter().flatten().find(|field| proof::field(&value, field).is_none());
        let why = match missing {
            Some(field) => Some(format!("valueFrom: {field}")),
            None => certain_failure(app, change, &value, &readers.fields, invocation).await,
        };
        if let Some(why) = why {
            let detail = format!("{} {}: {why}", change.name, change.version);
            return Ok(Some(Failed::of(&change.key, Kind::ValueRefused, detail)));
        }
    }
    Ok(None)
}

/// The reason why a signing key or a database credential does not work, if that is certain.
async fn certain_failure(
    app: &App,
    change: &Change,
    value: &SecretString,
    fields: &BTreeSet<Option<String>>,
    invocation: &Invocation,
) -> Option<String> {
    if change.key == JWT {
        let mut keys: Vec<_> =
            fields.iter().flatten().filter_map(|field| proof::field(value, field)).collect();
        if keys.is_empty() {
            keys.push(signing_key(app, value.clone()));
        }
        return keys.iter().find_map(proof::too_short);
    }
    let tried = invocation.before_deadline(NOTING, database::login(&app.database, value)).await;
    // A late or missing answer is not a refusal.
    let refused = tried.ok()?.err().filter(|refused| refused.is_certain)?;
    Some(format!("{}: {}", refused.kind, refused.why))
}
