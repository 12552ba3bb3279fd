//! State Prove: proves that the application uses the new values and refuses the old ones.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use shared::application::{Account, Application};
use shared::aws::secrets;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use super::fail;
use crate::observe::signing_key;
use crate::rules::batch::{Batch, Phase};
use crate::rules::change::Change;
use crate::rules::keys::{DATABASE, JWT};
use crate::rules::kind::Kind;
use crate::rules::proof::{self, Proof, Verdict};
use crate::text::ledger;
use crate::{Answer, App, FollowupError, NOTING, Status, application, database};

/// Seconds until the application accepts requests again after its rate limit. Source: observed on the running
/// application.
const LIMIT_SECONDS: u16 = 60;

/// Makes all proofs once. The state machine repeats failed proofs up to the policy's limit.
pub(crate) async fn prove(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let policy = &app.base.settings.policy.rotation.followup;
    let batch = app.amend_batch(execution, |_| ()).await?;
    let proved = invocation.before_deadline(NOTING, proofs(app, &batch, invocation.now)).await;
    let is_last = policy.proof.is_last(poll);
    let mut proofs = proved.unwrap_or_else(|late| Ok(vec![proof::late(&chain(&late))]))?;
    let is_limited = proofs.iter().any(Proof::is_limited);
    if is_last {
        proofs.iter_mut().for_each(Proof::give_up);
    }
    for proof in &proofs {
        tracing::info!(message = ledger::verdict(proof, Language::English), proof = proof.name);
    }
    app.amend_batch(execution, |batch| batch.proofs.clone_from(&proofs)).await?;
    match proof::verdict(&proofs, is_last) {
        Verdict::Proved => Ok(Answer::now(Status::Proved)),
        Verdict::Again => {
            let every = policy.proof.every_seconds;
            let wait_seconds = if is_limited { every.max(LIMIT_SECONDS) } else { every };
            Ok(Answer::after(wait_seconds, Status::Again))
        }
        Verdict::Failed(failed) => fail(app, execution, failed).await,
    }
}

/// All proofs of a batch: of its readers, its old values, the database and the application.
async fn proofs(app: &App, batch: &Batch, now: Timestamp) -> Result<Vec<Proof>, FollowupError> {
    let changes: Vec<&Change> = batch.changes.iter().filter(|change| batch.is_read(change)).collect();
    let mut proofs: Vec<_> = batch.changes.iter().flat_map(|change| batch.unproved_readers(change)).collect();
    proofs.extend(batch.changes.iter().filter(|_| batch.phase == Phase::Forward).filter_map(|change| {
        let old = batch.old.get(&change.secret)?;
        let detail = format!("version {} of {}", old.version, old.made);
        Some(proof::unproved("value", Kind::OldValue, &detail).of(&change.key))
    }));
    if changes.is_empty() {
        return Ok(proofs);
    }
    let of_others = changes.iter().filter(|change| ![JWT, DATABASE].contains(&change.key.as_str()));
    proofs.extend(of_others.map(|change| proof::unproved("value", Kind::NotShown, "").of(&change.key)));
    if let Some(change) = changes.iter().find(|change| change.key == DATABASE) {
        let value = secrets::value(&app.secrets, &change.secret, None)
            .await
            .map_err(FollowupError::SecretsManager)?;
        let login = database::login(&app.database, &value).await.map(drop);
        proofs.push(proof::database_login(login).of(DATABASE));
    }
    let Some(application) = &app.application else {
        proofs.push(proof::unproved("application", Kind::NoApplicationUrl, "the template's AppUrl is empty"));
        return Ok(proofs);
    };
    let jwt = changes.iter().find(|change| change.key == JWT).copied();
    proofs.extend(application_proofs(app, application, batch, jwt, now).await?);
    // A task that this function does not replace keeps using the old key.
    if jwt.is_some_and(|jwt| batch.unreached.get(&jwt.secret).is_some_and(|others| !others.is_empty())) {
        proofs.iter_mut().filter(|proof| proof.is_about_tokens()).for_each(Proof::excuse);
    }
    Ok(proofs)
}

/// Proofs by the application's answers. Stops at the application's rate limit, since each request counts towards it.
async fn application_proofs(
    app: &App,
    application: &Application,
    batch: &Batch,
    jwt: Option<&Change>,
    now: Timestamp,
) -> Result<Vec<Proof>, FollowupError> {
    let mut proofs = vec![application::check_health(application).await];
    if let Some(change) = jwt
        && !proofs.iter().any(Proof::is_limited)
    {
        // After a rollback, the two versions swap roles.
        let is_back = batch.moved.contains(&change.secret);
        let (new, old) = match is_back {
            false => (Some(&change.version), change.previous.as_ref()),
            true => (change.previous.as_ref(), Some(&change.version)),
        };
        let mut keys = Vec::new();
        for (version, is_new) in [(new, true), (old, false)] {
            let Some(version) = version else { continue };
            let value = secrets::value(&app.secrets, &change.secret, Some(version)).await;
            keys.push((signing_key(app, value.map_err(FollowupError::SecretsManager)?), is_new));
        }
        let tokens = token_proofs(application, &keys, now).await;
        proofs.extend(tokens.into_iter().map(|proof| if is_back { proof.of_restored() } else { proof }));
    }
    if !proofs.iter().any(Proof::is_limited) {
        let account = Account::read(&app.secrets, app.account.as_deref()).await;
        if let Err(why) = &account {
            proofs.push(proof::unproved("login", Kind::NoSmokeAccount, why));
        }
        proofs.extend(application::check_login(application, account.ok().flatten().as_ref()).await);
    }
    if proofs.iter().any(Proof::is_limited) {
        proofs.push(proof::limited());
    }
    Ok(proofs)
}

/// Whether the application accepts tokens signed with the new key and refuses those of the old one. In `keys` the new
/// key comes first, and `true` marks it.
async fn token_proofs(
    application: &Application,
    keys: &[(SecretString, bool)],
    now: Timestamp,
) -> Vec<Proof> {
    const NAME: &str = "token of the old secret";
    if keys.iter().any(|(key, _)| key.expose_secret().is_empty()) {
        return vec![
            proof::unproved(NAME, Kind::NoKey, "the secret's value contains no signing key").of(JWT),
        ];
    }
    if let [(new, _), (old, _)] = keys
        && new.expose_secret() == old.expose_secret()
    {
        return vec![
            proof::unproved(NAME, Kind::SameValue, "the new version has the same key as the previous one")
                .of(JWT),
        ];
    }
    let mut proofs = Vec::new();
    for (key, is_new) in keys {
        let proof = application::check_token(application, &proof::powerless_token(key, now), *is_new).await;
        proofs.push(proof.of(JWT));
        if proofs.iter().any(Proof::is_limited) {
            break;
        }
    }
    proofs
}
