//! States Note and Take: notes changed secrets and assigns them to one execution.

use jiff::{SignedDuration, Timestamp};
use shared::aws::listing;
use shared::aws::secrets::Listed;
use shared::aws::versions;
use shared::run::open_restore::Restores;
use shared::runtime::lambda::Invocation;

use super::whole_milliseconds;
use crate::event::Source;
use crate::observe::{describe_secret, find_readers, find_secret, is_ours};
use crate::report::publish_pages;
use crate::rules::change::{Change, Declared, is_rotation};
use crate::rules::journal::{self, Journal, Taken, is_fresh};
use crate::{Answer, App, FollowupError, Status};
use shared::ecs::rollout::PATIENT_SECONDS;

/// Compares the current versions with the followed ones, and notes the changes.
pub(crate) async fn note(
    app: &App,
    source: Source,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let now = invocation.now;
    let journal: Journal = app.documents().get(journal::NAME).await?.unwrap_or_default();
    let (listed, declared) = match &source {
        Source::Moved(secret) => (find_secret(app, secret).await?.into_iter().collect(), None),
        Source::Asked(secret, declared) => (vec![describe_secret(app, secret).await?], Some(declared)),
        Source::Sweep => (listing::secrets(&app.secrets).await.map_err(FollowupError::SecretsManager)?, None),
    };
    let restores = Restores::read(app.documents()).await?;
    let (mut changes, mut settled, mut restored) = (Vec::new(), Vec::new(), Vec::new());
    for secret in listed {
        if !is_ours(app, &secret) {
            match source {
                Source::Asked(..) => return Err(FollowupError::NotOurs(secret.name)),
                _ => continue,
            }
        }
        let Some(version) = secret.labelled("AWSCURRENT") else { continue };
        if declared.is_none() && !journal.needs_follow_up(&secret.arn, version) {
            settled.push((secret.arn.clone(), version.to_owned()));
            continue;
        }
        // An emergency restore deploys and proves its own change.
        if declared.is_none() && restores.made(&secret.arn, version) {
            tracing::info!(
                message = "an emergency restore made this version current",
                secret.name = secret.name,
                secret.version = version
            );
            restored.push((secret.arn.clone(), version.to_owned()));
            continue;
        }
        // The list lags behind, so an apparent change may have been followed already.
        let secret = if source == Source::Sweep { describe_secret(app, &secret.arn).await? } else { secret };
        let Some(version) = secret.labelled("AWSCURRENT") else { continue };
        if declared.is_none() && !journal.needs_follow_up(&secret.arn, version) {
            continue;
        }
        let change = change(app, &secret, version, declared, now).await?;
        if change.is_incident() && !is_fresh(&journal, &change, now) {
            return Err(FollowupError::NotRotated(secret.name));
        }
        changes.push(change);
    }
    if source == Source::Sweep {
        changes = without_baseline(app, &journal, changes).await?;
    }
    let is_waiting = app
        .update(|journal| {
            for (secret, version) in &settled {
                journal.forget_stale(secret, version);
            }
            for (secret, version) in &restored {
                journal.settle(secret, version);
            }
            let noticed = changes.iter().filter(|change| journal.notice(change)).count() > 0;
            // The next execution takes over the batch of one that died.
            noticed || journal.has_dead_batch(now) || (source == Source::Sweep && !journal.waiting.is_empty())
        })
        .await?;
    for change in &changes {
        tracing::info!(
            message = "AWSCURRENT has moved",
            secret.name = change.name,
            secret.version = change.version
        );
    }
    if source == Source::Sweep && !publish_pages(app, invocation).await {
        return Err(FollowupError::PageFailed);
    }
    let wait_seconds = app.base.settings.policy.rotation.followup.settle_seconds;
    Ok(if is_waiting { Answer::after(wait_seconds, Status::Waiting) } else { Answer::now(Status::Nothing) })
}

/// Takes the waiting changes as this execution's batch, or waits for the open batch of another execution.
pub(crate) async fn take(app: &App, execution: &str, now: Timestamp) -> Result<Answer, FollowupError> {
    let now = whole_milliseconds(now);
    Ok(match app.update(|journal| journal.take(execution, now)).await? {
        Taken::Batch(_) => Answer::now(Status::Taken),
        Taken::Busy(age) => {
            let settle = app.base.settings.policy.rotation.followup.settle_seconds;
            // A bake takes hours, and each poll adds events to the execution, which may have 25,000.
            let is_long = age >= SignedDuration::from_hours(1);
            Answer::after(if is_long { settle.max(PATIENT_SECONDS) } else { settle }, Status::Busy)
        }
        Taken::Nothing => Answer::now(Status::Joined),
    })
}

async fn change(
    app: &App,
    secret: &Listed,
    version: &str,
    declared: Option<&Declared>,
    now: Timestamp,
) -> Result<Change, FollowupError> {
    let made = versions::made(&app.secrets, &secret.arn).await.map_err(FollowupError::SecretsManager)?;
    let previous = secret.labelled("AWSPREVIOUS");
    let is_rotation = is_rotation(&made, version, previous, secret.rotated);
    let made = made.get(version).copied();
    Ok(Change {
        secret: secret.arn.clone(),
        name: secret.name.clone(),
        key: app.scope.key(&secret.name).to_owned(),
        version: version.to_owned(),
        previous: previous.map(str::to_owned),
        made,
        noticed: now,
        is_rotation,
        declared: declared.cloned(),
    })
}

/// For a sweep: drops the changes of never followed secrets whose readers already have the value; their versions count
/// as followed. Keeps those with a reader deployed before the value was made.
async fn without_baseline(
    app: &App,
    journal: &Journal,
    changes: Vec<Change>,
) -> Result<Vec<Change>, FollowupError> {
    let (unknown, mut changes): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| !journal.handled.contains_key(&change.secret));
    if unknown.is_empty() {
        return Ok(changes);
    }
    let (readers, services) = find_readers(app, &unknown).await?;
    let mut settled = Vec::new();
    for change in unknown {
        let read_by = readers.get(&change.secret).map(|found| &found.services[..]).unwrap_or_default();
        // The service reports whole seconds. Prefer one deployment too many.
        let made = change.made.and_then(|made| made.checked_add(SignedDuration::from_secs(1)).ok());
        let is_stale = services
            .iter()
            .filter(|service| read_by.contains(&service.name))
            .any(|service| made.is_some_and(|made| service.deployed_since(made).is_none()));
        if is_stale { changes.push(change) } else { settled.push(change) }
    }
    app.update(|journal| {
        for change in &settled {
            journal.handled.entry(change.secret.clone()).or_insert_with(|| change.version.clone());
        }
    })
    .await?;
    Ok(changes)
}
