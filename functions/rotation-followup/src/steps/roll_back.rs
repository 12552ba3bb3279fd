//! State RollBack: moves labels back to values that still work.

use std::collections::BTreeMap;

use shared::aws::secrets;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use super::whole_milliseconds;
use crate::observe::{describe_secret, signing_key};
use crate::rules::batch::{Batch, Old, Phase};
use crate::rules::change::Change;
use crate::rules::journal::{self, Journal};
use crate::rules::keys::{DATABASE, JWT};
use crate::rules::proof;
use crate::rules::rollback::{self, Decision};
use crate::{Answer, App, FollowupError, NOTING, Status, aws, database};

/// Decides which labels move back, notes the decision, and moves them.
pub(crate) async fn roll_back(
    app: &App,
    execution: &str,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    match (batch.phase, batch.failures.len()) {
        // No failure; or the rollback has failed, too, and rolling it back would deploy the new values again.
        (_, 0) | (Phase::Back, 2..) => return Ok(Answer::now(Status::Stays)),
        // An attempt of this step died while moving labels.
        (Phase::Back, _) => return move_back(app, &batch).await,
        (Phase::Forward, _) => {}
    }
    let journal: Journal = app.documents().get(journal::NAME).await?.unwrap_or_default();
    let mut moved = Vec::new();
    let mut stayed = BTreeMap::new();
    for change in &batch.changes {
        let listed = describe_secret(app, &change.secret).await?;
        let policy = app.base.settings.policy.rotation.secrets.get(&change.key);
        let previous = change.previous.as_deref().unwrap_or_default();
        let is_old = |old: &Old| old.is_withdrawn && old.same.iter().any(|version| version == previous);
        let has_failed =
            journal.has_failed(&change.secret, previous) || batch.old.get(&change.secret).is_some_and(is_old);
        let failed = batch.failures.first();
        let decision = match rollback::decide(change, policy, &listed, failed, has_failed) {
            Decision::Moved => Ok(()),
            Decision::Stay(why) => Err(why.to_owned()),
            Decision::Move(previous) => works(app, change, &previous, invocation).await?,
        };
        match decision {
            Ok(()) => moved.push(change.secret.clone()),
            Err(why) => drop(stayed.insert(change.name.clone(), why)),
        }
    }
    let since = whole_milliseconds(time::now());
    // Note the decision before the first label moves, so the next attempt can complete it.
    let batch = app
        .amend_batch(execution, |batch| {
            batch.stayed.clone_from(&stayed);
            if !moved.is_empty() {
                batch.moved.clone_from(&moved);
                batch.phase = Phase::Back;
                batch.since = since;
            }
        })
        .await?;
    if batch.moved.is_empty() { Ok(Answer::now(Status::Stays)) } else { move_back(app, &batch).await }
}

/// Moves the labels that the batch decided to move and that have not moved yet.
async fn move_back(app: &App, batch: &Batch) -> Result<Answer, FollowupError> {
    for change in batch.changes.iter().filter(|change| batch.moved.contains(&change.secret)) {
        let Some(previous) = &change.previous else { continue };
        let listed = describe_secret(app, &change.secret).await?;
        if listed.labelled("AWSCURRENT") == Some(&change.version) {
            let done = aws::move_current(&app.secrets, &change.secret, &change.version, previous).await;
            done.map_err(FollowupError::SecretsManager)?;
        }
        // If AWSPENDING stayed there, the service would take the finished rotation for a running one and repeat it.
        if listed.labelled("AWSPENDING") == Some(&change.version) {
            let done = aws::clear_pending(&app.secrets, &change.secret, &change.version).await;
            done.map_err(FollowupError::SecretsManager)?;
        }
    }
    Ok(Answer::now(Status::Moved))
}

/// Whether the previous value still works; the inner error is the reason if not. Tries a database credential or a
/// signing key; for other secrets the application's proofs decide later.
async fn works(
    app: &App,
    change: &Change,
    previous: &str,
    invocation: &Invocation,
) -> Result<Result<(), String>, FollowupError> {
    if ![JWT, DATABASE].contains(&change.key.as_str()) {
        return Ok(Ok(()));
    }
    let value = secrets::value(&app.secrets, &change.secret, Some(previous))
        .await
        .map_err(FollowupError::SecretsManager)?;
    if change.key == JWT {
        let short = proof::too_short(&signing_key(app, value));
        return Ok(short.map_or(Ok(()), |why| Err(format!("{}: {why}", rollback::PREVIOUS_FAILS))));
    }
    let tried = invocation.before_deadline(NOTING, database::login(&app.database, &value)).await?;
    Ok(tried
        .map(drop)
        .map_err(|refused| format!("{}: {}: {}", rollback::PREVIOUS_FAILS, refused.kind, refused.why)))
}
