//! After AWSCURRENT of a secret has moved: deploys the services that read it, watches the rollout, lets the application prove
//! that it uses the new value and refuses the old one, goes back where that helps, and keeps ledger and changelog.
//!
//! Trigger: a step of the state machine beside this crate, which an event of Secrets Manager, a schedule or a person starts;
//! and events of CloudTrail. Decisions: `journal.rs`, `rollout.rs`, `proof.rs`, `back.rs`. Source: the guide, 3.2 steps 3 to 5.

mod application;
mod aws;
mod back;
mod database;
mod error;
mod event;
mod journal;
mod ledger;
mod old;
mod proof;
mod readers;
mod rollout;
mod text;
mod trail;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::application::Application;
use shared::aws::describe;
use shared::aws::listing;
use shared::aws::scope::Scope;
use shared::aws::secrets::{self, Listed};
use shared::aws::versions;
use shared::database::Database;
use shared::github::proposal::{self, propose};
use shared::github::{Repository, Setup};
use shared::policy::EndSessions;
use shared::run::evidence::{Draft, Evidence, Step as Recorded};
use shared::run::ledger::Line;
use shared::run::paging::{Page, Pager};
use shared::run::report::Reporter;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use application::Account;
use back::Way;
pub use error::FollowupError;
use event::{Request, Source, Step};
use journal::{Batch, Change, Declared, Failed, Journal, Leak, Phase, Reason, Row, Taken};
use old::Old;
use proof::{Outcome, Proof, Verdict};
use readers::{Cause, Readers, Unreached};
use rollout::Rollout;
use trail::{Act, Session, TrailEvent};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotation-followup";

/// The variable whose secret signs the application's tokens.
const JWT: &str = "JWT_SECRET";

/// The one with the database's credential.
const DATABASE: &str = "DATABASE_URL";

/// The administrator's password, which no task reads.
const ADMIN: &str = "SEED_ADMIN_PASSWORD";

/// The policy's key of the webhooks' secret.
const WEBHOOK: &str = "NOTIFICATIONS_WEBHOOK_SECRET";

/// Time kept back from proofs, for what they mean to be noted.
const NOTING: Duration = Duration::from_secs(15);

/// Time kept back from the database, for page, message and record.
const REPORTING: Duration = Duration::from_secs(60);

/// What the repository of the changelog needs.
const GITHUB: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permissions Contents and Pull requests: read and write",
};

/// The branch that the changelog is proposed from; the function's own.
const BRANCH: &str = "governance/security-changelog";

/// The functions whose evidence tells why a rotation failed.
const ROTATORS: [&str; 3] = ["rotate-database", "rotate-external", "rotate-random"];

/// Name of the notes that a page of the journal was published: each has a dedup key of its own.
const PAGED: &str = "paged";

/// Seconds between two looks at what takes hours.
const PATIENT_SECONDS: u16 = 300;

/// Seconds after which the application takes questions again that has limited them. Source: observed on the running application.
const LIMIT_SECONDS: u16 = 60;

/// Records of a rotation function that are searched for the failure that CloudTrail tells of.
const SEARCHED: u8 = 20;

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    settings: Settings,
    secrets: aws_sdk_secretsmanager::Client,
    ecs: aws_sdk_ecs::Client,
    cluster: String,
    /// The application; none when it is not to be asked.
    application: Option<Application>,
    /// Name of the secret with the account for smoke tests.
    account: Option<String>,
    /// Name of the secret with the database's URL.
    database_secret: Option<String>,
    database: Database,
    pager: Pager,
    reporter: Reporter,
    scope: Scope,
    /// The sessions of the functions that change secrets because the service, or this stack, asks them to.
    own: Vec<Session>,
    /// Where the changelog is proposed; none when it is not wanted.
    changelog: Option<Changelog>,
}

/// Where the changelog is proposed.
struct Changelog {
    repository: Repository,
    /// Name of the secret with the token.
    token: String,
    /// Path of the file.
    path: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`], [`Pager`] and [`Scope`],
    /// `ECS_CLUSTER_NAME`, `ROTATION_ROLES`, and `APP_URL`, `SMOKE_SECRET_NAME` and `CHANGELOG_PATH`, which may be empty. With a path,
    /// `GITHUB_REPOSITORY`, `GITHUB_SECRET_NAME` and `GITHUB_API_URL` are needed.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let reporter = Reporter::new(PROCEDURE, &settings, env, aws)?;
        let url: Option<Endpoint> = env.optional("APP_URL")?;
        let application = url.map(Application::new).transpose();
        let application = application.map_err(|reason| EnvError::Invalid { name: "APP_URL", reason })?;
        Ok(Self {
            settings,
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            ecs: aws_sdk_ecs::Client::new(aws),
            cluster: env.required("ECS_CLUSTER_NAME")?,
            application,
            account: env.optional("SMOKE_SECRET_NAME")?,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            database: Database::from_env(PROCEDURE, env)?,
            pager: Pager::new(env, aws)?,
            reporter,
            scope: Scope::from_env(env)?,
            own: {
                let roles: String = env.required("ROTATION_ROLES")?;
                sessions(&roles)?
            },
            changelog: match env.optional("CHANGELOG_PATH")? {
                None => None,
                Some(path) => {
                    let api: Endpoint = env.required("GITHUB_API_URL")?;
                    let repository = Repository::new(api, env.required("GITHUB_REPOSITORY")?, GITHUB)
                        .map_err(|reason| EnvError::Invalid { name: "GITHUB_API_URL", reason })?;
                    Some(Changelog { repository, token: env.required("GITHUB_SECRET_NAME")?, path })
                }
            },
        })
    }

    fn evidence(&self) -> &Evidence {
        &self.reporter.evidence
    }

    /// Changes the journal, and gives what `change` answers.
    async fn update<R>(&self, change: impl Fn(&mut Journal) -> R) -> Result<R, FollowupError> {
        Ok(self.evidence().update(journal::NAME, change).await?)
    }

    /// Changes the execution's batch, and gives it as it is then.
    async fn amend_batch(
        &self,
        execution: &str,
        change: impl Fn(&mut Batch),
    ) -> Result<Batch, FollowupError> {
        let updated = self
            .update(|journal| {
                let batch = journal.batch_of(execution)?;
                change(batch);
                Some(batch.clone())
            })
            .await?;
        updated.ok_or_else(|| FollowupError::NotOpen(execution.to_owned()))
    }
}

/// Reads `function=ARN of its role`, with commas between.
fn sessions(roles: &str) -> Result<Vec<Session>, EnvError> {
    let invalid = |one: &str| EnvError::Invalid {
        name: "ROTATION_ROLES",
        reason: format!("expected function=role ARN, found {one}"),
    };
    roles.split(',').map(|one| Session::parse(one).ok_or_else(|| invalid(one))).collect()
}

/// A step's answer: what the state machine chooses by.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// What comes next, in a word.
    pub status: &'static str,
    /// Seconds to wait before that.
    pub wait_seconds: u16,
}

fn next(status: &'static str) -> Answer {
    Answer { status, wait_seconds: 0 }
}

/// Whether an event is one that the function takes.
///
/// # Errors
///
/// [`FollowupError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), FollowupError> {
    Request::read(event, &[]).map(drop)
}

/// Does one step, or takes note of what CloudTrail saw.
///
/// # Errors
///
/// [`FollowupError`]; the state machine tries again what may pass, Lambda what CloudTrail told.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, FollowupError> {
    match Request::read(event, &app.own)? {
        Request::Trail(reported) => take_note(app, reported, invocation).await,
        Request::Step { execution, step } => {
            tracing::Span::current().record("run_id", execution.as_str());
            match step {
                Step::Note(source) => note(app, source, invocation).await,
                Step::Take => take(app, &execution, invocation.now).await,
                Step::Deploy => deploy(app, &execution, invocation).await,
                Step::Watch(poll) => watch(app, &execution, poll, invocation.now).await,
                Step::Prove(poll) => prove(app, &execution, poll, invocation).await,
                Step::RollBack => roll_back(app, &execution, invocation).await,
                Step::Record => record(app, &execution, invocation).await,
                Step::Finish(broken, retired) => finish(app, &execution, broken, retired, invocation).await,
            }
        }
    }
}

/// Compares the current versions with those that were followed, and takes up what is new.
async fn note(app: &App, source: Source, invocation: &Invocation) -> Result<Answer, FollowupError> {
    let now = invocation.now;
    let journal: Journal = app.evidence().get(journal::NAME).await?.unwrap_or_default();
    let (listed, declared) = match &source {
        Source::Moved(secret) => (found(app, secret).await?.into_iter().collect(), None),
        Source::Asked(secret, declared) => (vec![described(app, secret).await?], Some(declared)),
        Source::Sweep => (listing::secrets(&app.secrets).await.map_err(FollowupError::SecretsManager)?, None),
    };
    let (mut changes, mut settled) = (Vec::new(), Vec::new());
    for secret in listed {
        if !is_ours(app, &secret) {
            match source {
                Source::Asked(..) => return Err(FollowupError::NotOurs(secret.name)),
                _ => continue,
            }
        }
        let Some(version) = secret.labelled("AWSCURRENT") else { continue };
        if declared.is_none() && !journal.is_news(&secret.arn, version) {
            settled.push((secret.arn.clone(), version.to_owned()));
            continue;
        }
        // The list lags behind: what it calls news may have been followed.
        let secret = if source == Source::Sweep { described(app, &secret.arn).await? } else { secret };
        let Some(version) = secret.labelled("AWSCURRENT") else { continue };
        if declared.is_none() && !journal.is_news(&secret.arn, version) {
            continue;
        }
        let change = change(app, &secret, version, declared, now).await?;
        if change.is_incident() && !is_new(&journal, &change, now) {
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
            let noticed = changes.iter().filter(|change| journal.notice(change)).count() > 0;
            // What an execution that died has left is seen by whoever comes next.
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
    if source == Source::Sweep && !publish(app, invocation).await {
        return Err(FollowupError::PageFailed);
    }
    let wait_seconds = app.settings.policy.rotation.followup.settle_seconds;
    Ok(if is_waiting { Answer { status: "waiting", wait_seconds } } else { next("nothing") })
}

/// How old a value may be that an incident is declared of: the declaration follows the rotation.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// Whether a value was made after an incident that is declared now: not long ago, and not one that a rollback has restored.
fn is_new(journal: &Journal, change: &Change, now: Timestamp) -> bool {
    change.made.is_some_and(|made| now.duration_since(made) <= FRESH)
        && !journal.is_restored(&change.secret, &change.version)
        && journal.open.as_ref().is_none_or(|open| !open.moved.contains(&change.secret))
}

/// Whether a secret is of this environment: by name in template or policy, or by its tags.
fn is_ours(app: &App, secret: &Listed) -> bool {
    app.scope.named(&app.settings.policy.rotation).contains(secret.name.as_str())
        || Scope::is_tagged(&app.settings, &secret.tags)
}

/// A secret that an event names; none when it was deleted since.
async fn found(app: &App, secret: &str) -> Result<Option<Listed>, FollowupError> {
    match described(app, secret).await {
        Err(FollowupError::SecretsManager(call)) if call.code == "ResourceNotFoundException" => Ok(None),
        described => described.map(Some),
    }
}

async fn described(app: &App, secret: &str) -> Result<Listed, FollowupError> {
    describe::secret(&app.secrets, secret).await.map_err(FollowupError::SecretsManager)
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

/// Whether the service's rotation made a version current, as far as its dates tell: the last rotation was not before the version
/// was made, and the version is not an older one to which the label was moved back.
fn is_rotation(
    made: &BTreeMap<String, Timestamp>,
    version: &str,
    previous: Option<&str>,
    rotated: Option<Timestamp>,
) -> bool {
    let (made, before) = (made.get(version), previous.and_then(|previous| made.get(previous)));
    let is_back = made.zip(before).is_some_and(|(made, before)| made < before);
    !is_back && rotated.is_some_and(|rotated| made.is_none_or(|made| rotated >= *made))
}

/// Of secrets that were never followed, a sweep takes up those that services read which were deployed before the value was
/// made. All others are as they should be: their versions count as followed.
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
    let (readers, services) = readers(app, &unknown).await?;
    let mut settled = Vec::new();
    for change in unknown {
        let read_by = readers.get(&change.secret).map(|found| &found.services[..]).unwrap_or_default();
        // The service tells whole seconds here: rather one deployment too many.
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

/// What reads each secret, by ARN, and the cluster's services.
async fn readers(
    app: &App,
    changes: &[Change],
) -> Result<(BTreeMap<String, Readers>, Vec<rollout::Service>), FollowupError> {
    let policy = &app.settings.policy.rotation;
    let of_policy = |change: &Change| {
        policy.secrets.get(&change.key).map(|entry| &entry.services[..]).unwrap_or_default()
    };
    let names = aws::services(&app.ecs, &app.cluster).await.map_err(FollowupError::Ecs)?;
    if let Some(missing) = changes.iter().flat_map(of_policy).find(|name| !names.contains(name)) {
        return Err(FollowupError::NoService(missing.clone()));
    }
    let services =
        aws::describe_services(&app.ecs, &app.cluster, &names).await.map_err(FollowupError::Ecs)?;
    let mut known = BTreeMap::new();
    for definition in services.iter().flat_map(|service| service.next.iter().chain(&service.in_flight)) {
        if !known.contains_key(definition) {
            let found = aws::references(&app.ecs, definition).await.map_err(FollowupError::Ecs)?;
            known.insert(definition.clone(), found);
        }
    }
    let journal: Journal = app.evidence().get(journal::NAME).await?.unwrap_or_default();
    let followed: BTreeMap<_, _> = changes
        .iter()
        .filter_map(|change| Some((change.secret.clone(), journal.first_followed(change)?)))
        .collect();
    let found = changes.iter().map(|change| {
        let followed = followed.get(&change.secret).copied();
        let found = readers::of(&change.secret, &change.name, of_policy(change), &services, &known, followed);
        (change.secret.clone(), found)
    });
    Ok((found.collect(), services))
}

/// As exact as ECS tells when a deployment began.
fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

async fn take(app: &App, execution: &str, now: Timestamp) -> Result<Answer, FollowupError> {
    let now = whole_milliseconds(now);
    Ok(match app.update(|journal| journal.take(execution, now)).await? {
        Taken::Batch(_) => next("taken"),
        Taken::Busy(age) => {
            let settle = app.settings.policy.rotation.followup.settle_seconds;
            // What bakes takes hours, and each look counts towards the events that an execution may have.
            let is_long = age >= SignedDuration::from_hours(1);
            Answer {
                status: "busy",
                wait_seconds: if is_long { settle.max(PATIENT_SECONDS) } else { settle },
            }
        }
        Taken::Nothing => next("joined"),
    })
}

/// Forces a deployment of each service that reads a secret of the batch, unless the newest began after the change, or one of
/// the new values certainly does not work.
async fn deploy(app: &App, execution: &str, invocation: &Invocation) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    let (found, services) = readers(app, &batch.changes).await?;
    let readers: BTreeMap<_, _> =
        found.iter().map(|(secret, found)| (secret.clone(), found.services.clone())).collect();
    let mut unreached: BTreeMap<_, _> =
        found.iter().map(|(secret, found)| (secret.clone(), found.unreached.clone())).collect();
    let reached: BTreeMap<_, _> =
        found.iter().map(|(secret, found)| (secret.clone(), found.reached.clone())).collect();
    let old = if batch.phase == Phase::Forward { old_values(app, &batch).await? } else { batch.old.clone() };
    if batch.phase == Phase::Forward
        && let Some(refused) = match withdrawn(&batch, &old) {
            Some(withdrawn) => Some(withdrawn),
            None => refused(app, &batch, &found, invocation).await?,
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
    // Nothing has the new value that was refused: no task is to be replaced.
    let is_wanted = |service: &&rollout::Service| wanted.contains(&service.name) && !batch.is_undone();
    let (mut deployments, mut refusals) = (BTreeMap::new(), BTreeMap::new());
    for service in services.iter().filter(is_wanted) {
        let id = match service.deployed_since(batch.since) {
            // Of an attempt of this step that died, or somebody else's: its tasks have the values of now all the same.
            Some(newest) => newest.id.clone(),
            None => match aws::deploy(&app.ecs, &app.cluster, &service.name).await {
                Ok(id) => id,
                Err(call) if is_of_service(&call.code) => {
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
    Ok(next("deployed"))
}

/// The values of the batch that no rotation made and that were in force before, by ARN, as far as the function may read values.
async fn old_values(app: &App, batch: &Batch) -> Result<BTreeMap<String, Old>, FollowupError> {
    let mut old = BTreeMap::new();
    for change in &batch.changes {
        if change.is_rotation {
            continue;
        }
        let journal: Journal = app.evidence().get(journal::NAME).await?.unwrap_or_default();
        if let Some(leaked) = old::itself(change, &journal) {
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
                // The service deletes versions without a label when it likes.
                Err(call) if call.code == "ResourceNotFoundException" => {}
                Err(call) => return Err(FollowupError::SecretsManager(call)),
            }
        }
        old.extend(old::of(change, same, &journal).map(|known| (change.secret.clone(), known)));
    }
    Ok(old)
}

/// Why a value that was in force before must not come back.
fn withdrawn(batch: &Batch, old: &BTreeMap<String, Old>) -> Option<Failed> {
    batch.changes.iter().find_map(|change| {
        let old = old.get(&change.secret).filter(|old| old.is_withdrawn)?;
        let detail = format!("{} {} = {}", change.name, change.version, old.version);
        Some(Failed::of(&change.key, "OldValueLeaked", detail))
    })
}

/// Whether ECS refuses UpdateService for what the one service is, so that the others can be deployed.
fn is_of_service(code: &str) -> bool {
    [
        "InvalidParameterException",
        "ServiceNotActiveException",
        "ServiceNotFoundException",
        "UnsupportedFeatureException",
        "NamespaceNotFoundException",
        "PlatformUnknownException",
        "PlatformTaskDefinitionIncompatibilityException",
    ]
    .contains(&code)
}

/// Why one of the batch's values certainly does not work, so that a deployment would take every good task away.
async fn refused(
    app: &App,
    batch: &Batch,
    readers: &BTreeMap<String, Readers>,
    invocation: &Invocation,
) -> Result<Option<Failed>, FollowupError> {
    for change in &batch.changes {
        let Some(readers) = readers.get(&change.secret).filter(|found| !found.services.is_empty()) else {
            continue;
        };
        // Of no other secret the function may read the value, and none but these keeps the application from starting or serving.
        if ![JWT, DATABASE].contains(&change.key.as_str()) {
            continue;
        }
        let value = secrets::value(&app.secrets, &change.secret, Some(&change.version))
            .await
            .map_err(FollowupError::SecretsManager)?;
        let missing = readers.fields.iter().flatten().find(|field| proof::field(&value, field).is_none());
        let why = match missing {
            Some(field) => Some(format!("valueFrom: {field}")),
            None => certainly_fails(app, change, &value, &readers.fields, invocation).await,
        };
        if let Some(why) = why {
            let detail = format!("{} {}: {why}", change.name, change.version);
            return Ok(Some(Failed::of(&change.key, "ValueRefused", detail)));
        }
    }
    Ok(None)
}

/// Why a value of the signing key or of the database's credential does not work, if that is certain.
async fn certainly_fails(
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
    // That the answer is late, or that there is none, is no refusal.
    let refused = tried.ok()?.err().filter(|refused| refused.is_certain)?;
    Some(format!("{}: {}", refused.kind, refused.why))
}

async fn watch(app: &App, execution: &str, poll: u16, now: Timestamp) -> Result<Answer, FollowupError> {
    let policy = &app.settings.policy.rotation.followup;
    let batch = app.amend_batch(execution, |batch| batch.touch(now)).await?;
    let names: Vec<_> = batch.deployments.keys().cloned().collect();
    let services =
        aws::describe_services(&app.ecs, &app.cluster, &names).await.map_err(FollowupError::Ecs)?;
    let mut is_running = false;
    for (name, id) in &batch.deployments {
        let service = services.iter().find(|service| service.name == *name);
        let service = service.ok_or_else(|| FollowupError::NoService(name.clone()))?;
        let shifted = match service.shift_minutes {
            None => None,
            Some(_) => aws::service_deployment(&app.ecs, &app.cluster, name, batch.since)
                .await
                .map_err(FollowupError::Ecs)?,
        };
        let (kind, detail) =
            match rollout::judge(service, id, shifted.as_ref(), batch.since, now, poll, policy) {
                Rollout::Steady => continue,
                Rollout::Running => {
                    is_running = true;
                    continue;
                }
                Rollout::Failed(detail) => ("RolloutFailed", detail),
                Rollout::Unfinished(detail) => ("RolloutUnfinished", detail),
                Rollout::OthersFailed(detail) => ("OthersRolloutFailed", detail),
            };
        return fail(app, execution, Failed::new(kind, detail)).await;
    }
    let wait_seconds = rollout::wait_seconds(poll, policy);
    Ok(if is_running { Answer { status: "running", wait_seconds } } else { next("steady") })
}

/// Notes why the way that the batch goes has ended.
async fn fail(app: &App, execution: &str, mut failed: Failed) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    for change in &batch.changes {
        let listed = described(app, &change.secret).await?;
        let current = listed.labelled("AWSCURRENT");
        // What a rollback has decided and not done yet is no move of somebody else's.
        if current != batch.in_force(&change.secret) && current != Some(&change.version) {
            let detail = format!("{} ({}: {})", change.name, failed.kind, failed.detail);
            failed = Failed::of(&change.key, "Superseded", detail);
            break;
        }
    }
    tracing::warn!(message = failed.detail, failure = failed.kind);
    app.amend_batch(execution, |batch| {
        let ways = if batch.phase == Phase::Forward { 1 } else { 2 };
        if batch.failures.len() < ways {
            batch.failures.push(failed.clone());
        }
    })
    .await?;
    Ok(next("failed"))
}

/// Asks the application once; what fails is asked again, as often as the policy says.
async fn prove(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let policy = &app.settings.policy.rotation.followup;
    let batch = app.amend_batch(execution, |_| ()).await?;
    let asked = invocation.before_deadline(NOTING, proofs(app, &batch, invocation.now)).await;
    let is_last = poll >= policy.proof.times;
    let mut proofs = asked.unwrap_or_else(|late| Ok(vec![proof::late(&chain(&late))]))?;
    let is_limited = proofs.iter().any(Proof::is_limited);
    if is_last {
        proofs.iter_mut().for_each(Proof::give_up);
    }
    for proof in &proofs {
        tracing::info!(message = ledger::verdict(proof, Language::English), proof = proof.name);
    }
    app.amend_batch(execution, |batch| batch.proofs.clone_from(&proofs)).await?;
    match proof::verdict(&proofs, is_last) {
        Verdict::Proved => Ok(next("proved")),
        Verdict::Again => {
            let every = policy.proof.every_seconds;
            let wait_seconds = if is_limited { every.max(LIMIT_SECONDS) } else { every };
            Ok(Answer { status: "again", wait_seconds })
        }
        Verdict::Failed(failed) => fail(app, execution, failed).await,
    }
}

async fn proofs(app: &App, batch: &Batch, now: Timestamp) -> Result<Vec<Proof>, FollowupError> {
    let changes: Vec<&Change> = batch.changes.iter().filter(|change| batch.is_read(change)).collect();
    let mut proofs: Vec<_> = batch.changes.iter().flat_map(|change| without_reader(batch, change)).collect();
    proofs.extend(batch.changes.iter().filter(|_| batch.phase == Phase::Forward).filter_map(|change| {
        let old = batch.old.get(&change.secret)?;
        let detail = format!("version {} of {}", old.version, old.made);
        Some(proof::unproved("value", "OldValue", &detail).of(&change.key))
    }));
    if changes.is_empty() {
        return Ok(proofs);
    }
    let of_others = changes.iter().filter(|change| ![JWT, DATABASE].contains(&change.key.as_str()));
    proofs.extend(of_others.map(|change| proof::unproved("value", "NotShown", "").of(&change.key)));
    if let Some(change) = changes.iter().find(|change| change.key == DATABASE) {
        let value = secrets::value(&app.secrets, &change.secret, None)
            .await
            .map_err(FollowupError::SecretsManager)?;
        let login = database::login(&app.database, &value).await.map(drop);
        proofs.push(proof::database_login(login).of(DATABASE));
    }
    let Some(application) = &app.application else {
        proofs.push(proof::unproved("application", "NoApplicationUrl", "the template's AppUrl is empty"));
        return Ok(proofs);
    };
    let jwt = changes.iter().find(|change| change.key == JWT).copied();
    proofs.extend(of_application(app, application, batch, jwt, now).await?);
    // A task that no deployment of ours replaces goes on with the key before.
    if jwt.is_some_and(|jwt| batch.unreached.get(&jwt.secret).is_some_and(|others| !others.is_empty())) {
        proofs.iter_mut().filter(|proof| proof.is_about_tokens()).for_each(Proof::excuse);
    }
    Ok(proofs)
}

/// What cannot be proved of a secret, since no deployment of ours gives the value to its readers.
fn without_reader(batch: &Batch, change: &Change) -> Vec<Proof> {
    let unreached = batch.unreached.get(&change.secret).map(|all| &all[..]).unwrap_or_default();
    if change.key == ADMIN && unreached.is_empty() {
        return Vec::new();
    }
    if unreached.is_empty() && !batch.is_read(change) {
        let why = "no service of the cluster reads the secret";
        return vec![proof::unproved("services", "NoReader", why).of(&change.key)];
    }
    let unproved = |it: &Unreached| {
        let detail = format!("{}: {}", it.reader, it.cause.detail());
        proof::unproved("services", it.cause.kind(), &detail).of(&change.key)
    };
    unreached.iter().map(unproved).collect()
}

/// What the application answers. Once it limits the questions no more are asked, since each counts.
async fn of_application(
    app: &App,
    application: &Application,
    batch: &Batch,
    jwt: Option<&Change>,
    now: Timestamp,
) -> Result<Vec<Proof>, FollowupError> {
    let mut proofs = vec![application::is_healthy(application).await];
    if let Some(change) = jwt
        && !proofs.iter().any(Proof::is_limited)
    {
        // Where its label went back the two have changed places.
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
        let tokens = tokens(application, &keys, now).await;
        proofs.extend(tokens.into_iter().map(|proof| if is_back { proof.of_restored() } else { proof }));
    }
    if !proofs.iter().any(Proof::is_limited) {
        let account = account(app).await;
        if let Err(why) = &account {
            proofs.push(proof::unproved("login", "NoSmokeAccount", why));
        }
        proofs.extend(application::smoke(application, account.ok().flatten().as_ref()).await);
    }
    if proofs.iter().any(Proof::is_limited) {
        proofs.push(proof::limited());
    }
    Ok(proofs)
}

/// Whether the application takes tokens of the new key and refuses those of the old one; the new comes first.
async fn tokens(application: &Application, keys: &[(SecretString, bool)], now: Timestamp) -> Vec<Proof> {
    const NAME: &str = "token of the old secret";
    if keys.iter().any(|(key, _)| key.expose_secret().is_empty()) {
        return vec![proof::unproved(NAME, "NoKey", "the secret's value has no signing key in it").of(JWT)];
    }
    if let [(new, _), (old, _)] = keys
        && new.expose_secret() == old.expose_secret()
    {
        return vec![
            proof::unproved(NAME, "SameValue", "the new version has the key of the one before").of(JWT),
        ];
    }
    let mut proofs = Vec::new();
    for (key, is_new) in keys {
        let proof = application::token(application, &proof::powerless_token(key, now), *is_new).await;
        proofs.push(proof.of(JWT));
        if proofs.iter().any(Proof::is_limited) {
            break;
        }
    }
    proofs
}

/// The key in a secret's value: the whole of it, or the field that the policy names.
fn signing_key(app: &App, value: SecretString) -> SecretString {
    let entry = app.settings.policy.rotation.secrets.get(JWT);
    let field = entry.and_then(|entry| entry.random.as_ref()?.field.as_deref());
    let Some(field) = field else { return value };
    proof::field(&value, field).unwrap_or_default()
}

/// The account for smoke tests, if there is one.
async fn account(app: &App) -> Result<Option<Account>, String> {
    let Some(name) = &app.account else { return Ok(None) };
    let value = secrets::value(&app.secrets, name, None).await.map_err(|error| chain(&error))?;
    let account = Account::parse(&value);
    account
        .map(Some)
        .ok_or_else(|| format!("the secret {name} must be JSON with email and password, and nothing else"))
}

/// Puts the labels back where that helps: only to a value that works.
async fn roll_back(app: &App, execution: &str, invocation: &Invocation) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    match (batch.phase, batch.failures.len()) {
        // Nothing to go back from; or the way back has failed too, and back again would be forward.
        (_, 0) | (Phase::Back, 2..) => return Ok(next("stays")),
        // An attempt of this step died on the way.
        (Phase::Back, _) => return move_back(app, &batch).await,
        (Phase::Forward, _) => {}
    }
    let journal: Journal = app.evidence().get(journal::NAME).await?.unwrap_or_default();
    let mut moved = Vec::new();
    let mut stayed = BTreeMap::new();
    for change in &batch.changes {
        let listed = described(app, &change.secret).await?;
        let policy = app.settings.policy.rotation.secrets.get(&change.key);
        let previous = change.previous.as_deref().unwrap_or_default();
        let is_old = |old: &Old| old.is_withdrawn && old.same.iter().any(|version| version == previous);
        let has_failed =
            journal.has_failed(&change.secret, previous) || batch.old.get(&change.secret).is_some_and(is_old);
        let failed = batch.failures.first();
        let way = match back::way(change, policy, &listed, failed, has_failed) {
            Way::Moved => Ok(()),
            Way::Stay(why) => Err(why.to_owned()),
            Way::Move(previous) => works(app, change, &previous, invocation).await?,
        };
        match way {
            Ok(()) => moved.push(change.secret.clone()),
            Err(why) => drop(stayed.insert(change.name.clone(), why)),
        }
    }
    let since = whole_milliseconds(time::now());
    // Before the first label moves, so that whoever comes after an attempt that died knows what is meant.
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
    if batch.moved.is_empty() { Ok(next("stays")) } else { move_back(app, &batch).await }
}

/// Moves the labels that are to go back and have not.
async fn move_back(app: &App, batch: &Batch) -> Result<Answer, FollowupError> {
    for change in batch.changes.iter().filter(|change| batch.moved.contains(&change.secret)) {
        let Some(previous) = &change.previous else { continue };
        let listed = described(app, &change.secret).await?;
        if listed.labelled("AWSCURRENT") == Some(&change.version) {
            let done = aws::move_current(&app.secrets, &change.secret, &change.version, previous).await;
            done.map_err(FollowupError::SecretsManager)?;
        }
        // Where the service has left it there, it would take the finished rotation for one that runs, and repeat it.
        if listed.labelled("AWSPENDING") == Some(&change.version) {
            let done = aws::clear_pending(&app.secrets, &change.secret, &change.version).await;
            done.map_err(FollowupError::SecretsManager)?;
        }
    }
    Ok(next("moved"))
}

/// Whether the value before still works: of a database's credential and of a signing key that is tried, and the application
/// proves all others.
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
        return Ok(short.map_or(Ok(()), |why| Err(format!("{}: {why}", back::DEAD))));
    }
    let tried = invocation.before_deadline(NOTING, database::login(&app.database, &value)).await?;
    Ok(tried.map(drop).map_err(|refused| format!("{}: {}: {}", back::DEAD, refused.kind, refused.why)))
}

/// Writes into the ledger that the new values are in use: the functions that retire old credentials act upon that.
async fn record(app: &App, execution: &str, invocation: &Invocation) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    let rows = rows(app, &batch, invocation.now).await?;
    app.amend_batch(execution, |batch| batch.rows.clone_from(&rows)).await?;
    show(app, invocation).await;
    Ok(next("recorded"))
}

/// Ends sessions, pages, tells, records and closes. Any of it may fail without the next.
async fn finish(
    app: &App,
    execution: &str,
    broken: Option<(Failed, Option<Source>)>,
    retired: Vec<Line>,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let (broken, source) = broken.unzip();
    if let Some(broken) = &broken {
        tracing::warn!(message = broken.detail, failure = broken.kind);
    }
    let opened = app
        .update(|journal| {
            let batch = journal.batch_of(execution)?;
            if let Some(broken) = &broken
                && !batch.failures.contains(broken)
            {
                batch.failures.push(broken.clone());
            }
            batch.retired.clone_from(&retired);
            Some(batch.clone())
        })
        .await?;
    let Some(mut batch) = opened else {
        // Closed by an attempt of this step that died afterwards, or it never came to have a batch.
        let journal: Journal = app.evidence().get(journal::NAME).await?.unwrap_or_default();
        let mut rows: Vec<_> = journal.rows.into_iter().filter(|row| row.execution == execution).collect();
        let is_paged = match (&broken, rows.is_empty()) {
            (Some(broken), true) => {
                report_broken(app, execution, broken, source.flatten().as_ref(), invocation).await
            }
            _ => {
                show(app, invocation).await;
                publish(app, invocation).await
            }
        };
        rows.retain(|row| row.failure.is_some() || row.leak.as_ref().is_some_and(|leak| *leak != Leak::Dead));
        return closing(is_paged, rows.is_empty() && broken.is_none());
    };
    end_sessions(app, execution, &mut batch, invocation).await?;
    let rows = rows(app, &batch, invocation.now).await?;
    // A value that leaked and may still be good is no success: it wakes somebody, and the functions go on trying.
    let is_alive = rows.iter().any(|row| row.leak.as_ref().is_some_and(|leak| *leak != Leak::Dead));
    let is_good = batch.failures.is_empty() && !is_alive;
    // What was overtaken by the next change wakes nobody: that has a follow-up of its own.
    let is_overtaken =
        batch.changes.len() == 1 && batch.failures.first().is_some_and(|failed| failed.kind == "Superseded");
    let runs = if is_good { Vec::new() } else { runs(app, &batch).await };
    let current = if is_good { BTreeMap::new() } else { current(app, &batch).await };
    let stack = text::Stack {
        settings: &app.settings,
        cluster: &app.cluster,
        account: app.account.as_deref(),
        runs: &runs,
        current: &current,
        jwt: app.scope.name(JWT),
    };
    let page = (!is_good && !is_overtaken).then(|| text::page(&stack, &batch, &rows));
    let message = text::message(&stack, &batch, &rows);
    let begun = app.reporter.look(execution).await;
    let draft = draft(app, execution, &batch, &rows, is_good);
    app.reporter.report(draft, Some(&message), begun, invocation).await;
    app.update(|journal| journal.close(execution, &rows, page.as_ref())).await?;
    let is_paged = publish(app, invocation).await;
    show(app, invocation).await;
    closing(is_paged, is_good)
}

/// Which values the tasks of the services have that read the batch's secrets, as ECS shows it now. It is told beside what failed,
/// and is left out where ECS does not answer.
async fn runs(app: &App, batch: &Batch) -> Vec<rollout::Runs> {
    let names: BTreeSet<_> = batch.readers.values().flatten().cloned().collect();
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        return Vec::new();
    }
    match aws::describe_services(&app.ecs, &app.cluster, &names).await {
        Ok(services) => {
            let forward = batch.began.unwrap_or(batch.taken);
            let back = (!batch.moved.is_empty()).then_some(batch.since);
            services.iter().map(|service| rollout::runs(service, forward, back)).collect()
        }
        Err(call) => {
            tracing::warn!(message = format!("the services could not be described: {}", chain(&call)));
            Vec::new()
        }
    }
}

/// The version of each of the batch's secrets that is current now: a label may have been moved by others, or may not have moved
/// where it was to. It is left out where it cannot be seen.
async fn current(app: &App, batch: &Batch) -> BTreeMap<String, String> {
    let mut current = BTreeMap::new();
    for change in &batch.changes {
        match described(app, &change.secret).await {
            Ok(listed) => {
                current.extend(listed.labelled("AWSCURRENT").map(|it| (change.secret.clone(), it.to_owned())))
            }
            Err(error) => tracing::warn!(message = chain(&error), secret.name = change.name),
        }
    }
    current
}

fn closing(is_paged: bool, is_good: bool) -> Result<Answer, FollowupError> {
    match (is_paged, is_good) {
        (false, _) => Err(FollowupError::PageFailed),
        (true, true) => Ok(next("succeeded")),
        (true, false) => Ok(next("failed")),
    }
}

/// Revokes the refresh tokens where the signing secret has changed for good, and policy or an incident asks for it.
async fn end_sessions(
    app: &App,
    execution: &str,
    batch: &mut Batch,
    invocation: &Invocation,
) -> Result<(), FollowupError> {
    let policy =
        app.settings.policy.rotation.secrets.get(JWT).map(|entry| entry.end_sessions).unwrap_or_default();
    let jwt = batch.changes.iter().find(|change| change.key == JWT && !batch.moved.contains(&change.secret));
    let Some(jwt) = jwt else { return Ok(()) };
    let is_wanted = policy == EndSessions::Always || policy == EndSessions::Incident && jwt.is_incident();
    if !is_wanted || batch.sessions_ended.is_some() {
        return Ok(());
    }
    let revoked = async {
        let Some(secret) = &app.database_secret else {
            return Err("the template's DatabaseSecretName is empty".to_owned());
        };
        let value = secrets::value(&app.secrets, secret, None).await.map_err(|error| chain(&error))?;
        database::end_sessions(&app.database, &value).await
    };
    let revoked = invocation
        .before_deadline(REPORTING, revoked)
        .await
        .map_err(|late| chain(&late))
        .and_then(|done| done);
    *batch = app
        .amend_batch(execution, |batch| match &revoked {
            Ok(count) => batch.sessions_ended = Some(*count),
            Err(why) => {
                let failed = Failed::of(JWT, journal::SESSIONS, why.clone());
                if !batch.failures.contains(&failed) {
                    batch.failures.push(failed);
                }
            }
        })
        .await?;
    Ok(())
}

/// The ledger's rows of a batch.
async fn rows(app: &App, batch: &Batch, now: Timestamp) -> Result<Vec<Row>, FollowupError> {
    let mut rows = Vec::new();
    let journal: Journal = app.evidence().get(journal::NAME).await?.unwrap_or_default();
    for change in &batch.changes {
        rows.push(row(app, batch, change, journal.act_of(change).cloned(), now));
    }
    Ok(rows)
}

fn row(app: &App, batch: &Batch, change: &Change, act: Option<Act>, now: Timestamp) -> Row {
    let has_moved = batch.moved.contains(&change.secret);
    let proofs: Vec<Proof> =
        batch.proofs.iter().filter(|proof| proof.concerns(&change.key)).cloned().collect();
    let mut services = batch.readers.get(&change.secret).cloned().unwrap_or_default();
    services.retain(|name| batch.deployments.contains_key(name));
    services.extend(batch.reached.get(&change.secret).into_iter().flatten().cloned());
    let unreached = batch.unreached.get(&change.secret).map(|all| &all[..]).unwrap_or_default();
    // Health and login say nothing of a webhook's secret.
    let is_proved = !services.is_empty()
        && unreached.is_empty()
        && proofs.iter().any(|proof| proof.key == change.key)
        && proofs.iter().all(|proof| proof.outcome == Outcome::Passed);
    let failure = batch.failure_of(change);
    let leak = batch.leak(change);
    // No task reads the administrator's password: its proof is the login.
    let is_proved = match (change.key.as_str(), batch.retired(change)) {
        (ADMIN, Some(line)) => line.did == "refused",
        _ => is_proved,
    } && leak.as_ref().is_none_or(|leak| *leak == Leak::Dead);
    let outcome = match failure {
        Some(_) if has_moved && !batch.has_failed_twice() => "rolled back",
        Some(_) => "failed",
        None if is_proved => "proved",
        None => "unproved",
    };
    let (reason, by) = match (&change.declared, act) {
        (Some(declared), _) => (declared.reason, Some(declared.by.clone())),
        (None, Some(act)) => (act.reason, Some(act.by)),
        (None, None) if change.is_rotation => (Reason::Scheduled, None),
        (None, None) => (Reason::Unknown, None),
    };
    let days =
        app.settings.policy.rotation.secrets.get(&change.key).map(|entry| i64::from(entry.max_age_days));
    let old = batch.old.get(&change.secret);
    let next_due = old
        .map(|old| old.made)
        .or(change.made)
        .zip(days)
        .and_then(|(made, days)| made.checked_add(SignedDuration::from_hours(24 * days)).ok());
    Row {
        secret: change.name.clone(),
        arn: change.secret.clone(),
        key: change.key.clone(),
        version: change.version.clone(),
        previous: change.previous.clone(),
        reason,
        by,
        made: change.made,
        started: change.noticed,
        ended: now,
        outcome: outcome.to_owned(),
        failure: failure.cloned(),
        services,
        pinned: unreached.iter().map(|it| format!("{} ({})", it.reader, it.cause.detail())).collect(),
        restored: has_moved,
        proofs,
        sessions_ended: batch.sessions_ended.filter(|_| change.key == JWT),
        next_due: next_due.filter(|_| !has_moved),
        execution: batch.execution.clone(),
        same_as: old.map(|old| old.version.clone()),
        value_made: old.map(|old| old.made),
        leak,
    }
}

/// The evidence of a batch.
fn draft(app: &App, execution: &str, batch: &Batch, rows: &[Row], is_good: bool) -> Draft {
    let deployments =
        batch.deployments.iter().map(|(service, id)| Recorded::now(format!("deploy {service}"), id.clone()));
    let proofs = batch.proofs.iter().map(|proof| {
        Recorded::now(format!("prove {}", proof.name), ledger::verdict(proof, Language::English))
    });
    let mut steps: Vec<_> = deployments.chain(proofs).collect();
    steps.extend(
        batch
            .moved
            .iter()
            .map(|secret| Recorded::now(format!("move AWSCURRENT back: {secret}"), "succeeded")),
    );
    steps.extend(
        batch
            .stayed
            .iter()
            .map(|(name, why)| Recorded::now(format!("move AWSCURRENT back: {name}"), format!("no: {why}"))),
    );
    if let Some(count) = batch.sessions_ended {
        steps.push(Recorded::now("revoke refresh tokens", count.to_string()));
    }
    let mut findings: Vec<_> =
        batch.failures.iter().map(|failed| format!("{}: {}", failed.kind, failed.detail)).collect();
    let unproved = batch.proofs.iter().filter(|proof| proof.outcome == Outcome::Unproved);
    findings.extend(unproved.map(|proof| format!("{}: {}: {}", proof.kind, proof.name, proof.detail)));
    findings.extend(rows.iter().filter_map(|row| {
        let leak = row.leak.as_ref()?;
        Some(format!("the value of {} that leaked: {}", row.secret, ledger::leak(leak)))
    }));
    let subject: Vec<_> = rows.iter().map(|row| format!("{} {}", row.secret, row.version)).collect();
    Draft {
        started: batch.taken.into(),
        subject: subject.join(", "),
        steps,
        findings,
        result: if is_good { "succeeded" } else { "failed" },
        ..blank(app, execution)
    }
}

/// The part of a record that every run has.
fn blank(app: &App, run_id: &str) -> Draft {
    let trigger = "secretsmanager:Secret Label Updated".to_owned();
    Draft { trigger, ..Draft::of(&app.settings, run_id, "failed", time::now()) }
}

/// Publishes the pages that the topic has not taken yet; `false` when one is left, for the next attempt or the sweep.
async fn publish(app: &App, invocation: &Invocation) -> bool {
    let journal = app.evidence().get::<Journal>(journal::NAME).await;
    let waiting = match journal {
        Ok(journal) => journal.unwrap_or_default().unpaged,
        Err(error) => {
            app.reporter.lost("PageFailures", "PageFailed", &chain(&error), "pages of the journal");
            return false;
        }
    };
    let mut is_done = true;
    for each in waiting {
        if !page(app, PAGED, &each, invocation).await {
            is_done = false;
        } else if app.update(|journal| journal.unpaged.retain(|other| *other != each)).await.is_err() {
            // It is published again, under the same dedup key.
            is_done = false;
        }
    }
    is_done
}

/// Pages; `false` when the page was not taken. It stands in the log then.
async fn page(app: &App, day: &str, page: &Page, invocation: &Invocation) -> bool {
    app.pager.page(&app.reporter, day, page, NOTING, invocation).await.is_ok()
}

/// Pages, tells and records that an execution broke before it had something to work on; `false` when the page was not taken.
async fn report_broken(
    app: &App,
    execution: &str,
    broken: &Failed,
    source: Option<&Source>,
    invocation: &Invocation,
) -> bool {
    let reported = text::broken_page(&app.settings, execution, broken, source);
    let is_paged = page(app, execution, &reported, invocation).await;
    let begun = app.reporter.look(execution).await;
    let draft = Draft {
        subject: format!("execution {execution}"),
        findings: vec![format!("{}: {}", broken.kind, broken.detail)],
        ..blank(app, execution)
    };
    let message = text::broken(&app.settings, execution, broken, source);
    app.reporter.report(draft, Some(&message), begun, invocation).await;
    is_paged
}

/// Writes ledger and changelog as people read them, and proposes the changelog. What fails is done by the next follow-up.
async fn show(app: &App, invocation: &Invocation) {
    let language = app.settings.language;
    let lost = |reason: &str, what: &str| {
        app.reporter.lost("LedgerFailures", "LedgerFailed", reason, what);
    };
    for page in &ledger::PAGES {
        let shown = app
            .evidence()
            .show(journal::NAME, page.key, page.content_type, |journal| (page.make)(journal, language));
        let shown = invocation.before_deadline(NOTING, shown).await;
        let shown = shown.map_err(|late| chain(&late)).and_then(|shown| shown.map_err(|error| chain(&error)));
        if let Err(reason) = shown {
            lost(&reason, page.key);
        }
    }
    if let Some(changelog) = &app.changelog {
        let proposed = invocation.before_deadline(NOTING, offer(app, changelog, invocation)).await;
        if let Err(reason) = proposed.map_err(|late| chain(&late)).and_then(|proposed| proposed) {
            lost(&reason, &changelog.path);
        }
    }
}

/// Makes sure that a pull request brings the changelog to the team's repository.
async fn offer(app: &App, changelog: &Changelog, invocation: &Invocation) -> Result<(), String> {
    let token = secrets::value(&app.secrets, &changelog.token, None).await.map_err(|error| chain(&error))?;
    let journal = app.evidence().get::<Journal>(journal::NAME).await.map_err(|error| chain(&error))?;
    let language = app.settings.language;
    let content = ledger::changelog(&journal.unwrap_or_default().rows, language);
    // One of each environment, since stacks may share a repository.
    let branch = format!("{BRANCH}-{}", app.settings.environment);
    let title = format!(
        "{} ({})",
        language.pick("Changelog de segurança", "Security changelog"),
        app.settings.environment
    );
    let body = language.pick(
        "Rotações de segredos, escritas por `rotation-followup`. A fonte é `ledger/security-changelog.md` no bucket de evidências.",
        "Rotations of secrets, written by `rotation-followup`. The source is `ledger/security-changelog.md` in the evidence bucket.",
    );
    let change = proposal::Change {
        base: None,
        branch: &branch,
        path: &changelog.path,
        content: &content,
        message: &title,
        title: &title,
        body,
    };
    let session = changelog.repository.session(&token, invocation).map_err(|error| chain(&error))?;
    let proposed = propose(&session, &change).await.map_err(|error| chain(&error))?;
    tracing::info!(
        message = "changelog proposed",
        pull_request = proposed.number,
        changed = proposed.changed
    );
    Ok(())
}

/// The part of a rotation's record that tells of its failure.
#[derive(Deserialize)]
struct RecordOfRotation {
    run_id: String,
    subject: String,
    findings: Vec<String>,
}

/// The step, kind and text of a rotation's newest failure, from its function's evidence; none when there is none.
async fn failure_of(app: &App, secret: &Listed) -> Option<text::RotationFailure> {
    let function = secret.function.as_deref()?;
    let procedure = ROTATORS.into_iter().find(|name| function.ends_with(&format!("-{name}")))?;
    let of_rotation =
        Evidence { client: app.evidence().client.clone(), bucket: app.evidence().bucket.clone(), procedure };
    let records: Vec<RecordOfRotation> = of_rotation
        .recent(SEARCHED)
        .await
        .map_err(|error| {
            tracing::warn!(
                message = format!("the evidence of {procedure} could not be read: {}", chain(&error))
            );
        })
        .ok()?;
    let newest = records.into_iter().find(|record| record.subject == secret.arn)?;
    let mut parts = newest.run_id.split('/');
    let (token, step, kind) = (parts.next()?, parts.next()?, parts.next()?);
    Some(text::RotationFailure {
        token: token.to_owned(),
        step: step.to_owned(),
        kind: kind.to_owned(),
        said: newest.findings.join("; "),
    })
}

/// Keeps who changed a secret; pages for a rotation that failed.
async fn take_note(
    app: &App,
    reported: TrailEvent,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    match reported {
        TrailEvent::Nothing => Ok(next("nothing")),
        TrailEvent::Act { secret, version, act } => {
            if !found(app, &secret).await?.is_some_and(|secret| is_ours(app, &secret)) {
                return Ok(next("nothing"));
            }
            if app.update(|journal| journal.attribute(&secret, &version, &act)).await? {
                show(app, invocation).await;
            }
            Ok(next("noted"))
        }
        TrailEvent::Broken { secret, event, id } => {
            tracing::Span::current().record("correlation_id", id.as_str());
            let Some(listed) = found(app, &secret).await?.filter(|secret| is_ours(app, secret)) else {
                return Ok(next("nothing"));
            };
            let failure = failure_of(app, &listed).await;
            let day = time::local_date(invocation.now);
            let reported = text::rotation_failed(
                &app.settings,
                &listed,
                app.scope.key(&listed.name),
                &event,
                failure.as_ref(),
            );
            if page(app, &day, &reported, invocation).await {
                Ok(next("paged"))
            } else {
                Err(FollowupError::PageFailed)
            }
        }
    }
}
