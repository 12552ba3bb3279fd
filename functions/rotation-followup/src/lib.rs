//! Follows up a rotation: after AWSCURRENT of a secret has moved, deploys the services that read it, watches the
//! rollout, proves against the application that the new value is in use and the old one refused, rolls back where that
//! helps, and writes the ledger and the changelog.
//!
//! Trigger: the state machine beside this crate, which an event of Secrets Manager, a schedule or a person starts; and
//! events of CloudTrail. This file dispatches an event to its step: `steps/` has one file for each group of states,
//! `rules/` decides, `report.rs` pages and reports. Source: the guide, 3.2 steps 3 to 5.

mod answer;
mod application;
mod aws;
mod database;
mod error;
mod event;
mod observe;
mod report;
mod rules;
mod steps;
mod text;

use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::Value;
use shared::application::Application;
use shared::aws::scope::Scope;
use shared::database::Database;
use shared::github::{Repository, Setup};
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::run::ledger::Line;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::workflow::Run;

pub use answer::{Answer, Status};
pub use error::FollowupError;
use event::trail::Session;
use event::{Request, Source, Step};
use rules::batch::Batch;
use rules::journal::{self, Journal};
use steps::{deploy, finish, note, prove, roll_back, trail};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotation-followup";

/// Time reserved for saving a step's results.
const NOTING: Duration = Duration::from_secs(15);

/// Setup of the changelog's repository.
const GITHUB: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permissions Contents and Pull requests: read and write",
};

/// Settings and clients of all invocations; built once per cold start.
pub struct App {
    base: Base,
    secrets: aws_sdk_secretsmanager::Client,
    ecs: aws_sdk_ecs::Client,
    cluster: String,
    /// The application; none if the stack does not name its URL.
    application: Option<Application>,
    /// Name of the secret with the account for smoke tests.
    account: Option<String>,
    /// Name of the secret with the database's URL.
    database_secret: Option<String>,
    database: Database,
    scope: Scope,
    /// Sessions of this stack's functions that change secrets on behalf of Secrets Manager or of this stack.
    own: Vec<Session>,
    /// Place of the changelog; none if the stack has none.
    changelog: Option<Changelog>,
}

/// Place of the changelog.
struct Changelog {
    repository: Repository,
    /// Name of the secret with the token.
    token: String,
    /// Path of the file.
    path: String,
}

impl App {
    /// Reads the settings and creates the clients: those of [`Base`] and [`Scope`], `ECS_CLUSTER_NAME`,
    /// `ROTATION_ROLES`, and `APP_URL`, `SMOKE_SECRET_NAME` and `CHANGELOG_PATH`, which may be empty. With a path,
    /// `GITHUB_REPOSITORY`, `GITHUB_SECRET_NAME` and `GITHUB_API_URL` are needed.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let application = Application::from_env(env)?;
        Ok(Self {
            base: Base::new(PROCEDURE, env, aws)?,
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            ecs: aws_sdk_ecs::Client::new(aws),
            cluster: env.required("ECS_CLUSTER_NAME")?,
            application,
            account: env.optional("SMOKE_SECRET_NAME")?,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            database: Database::from_env(PROCEDURE, env)?,
            scope: Scope::from_env(env)?,
            own: {
                let roles: String = env.required("ROTATION_ROLES")?;
                sessions(&roles)?
            },
            changelog: match env.optional("CHANGELOG_PATH")? {
                None => None,
                Some(path) => {
                    let (repository, token) = Repository::from_env(env, GITHUB)?;
                    Some(Changelog { repository, token, path })
                }
            },
        })
    }

    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }

    /// Changes the journal and returns the result of `change`.
    async fn update<R>(&self, change: impl Fn(&mut Journal) -> R) -> Result<R, FollowupError> {
        Ok(self.documents().update(journal::NAME, change).await?)
    }

    /// Changes the execution's batch and returns the changed batch.
    ///
    /// # Errors
    ///
    /// [`FollowupError::NotOpen`] if the batch is closed or another execution took it over.
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

/// Reads `function=ARN of its role`, separated by commas.
fn sessions(roles: &str) -> Result<Vec<Session>, EnvError> {
    let invalid = |one: &str| EnvError::Invalid {
        name: "ROTATION_ROLES",
        reason: format!("expected function=role ARN, found {one}"),
    };
    roles.split(',').map(|one| Session::parse(one).ok_or_else(|| invalid(one))).collect()
}

/// Checks an event without acting on it.
///
/// # Errors
///
/// [`FollowupError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), FollowupError> {
    Request::read(event, &[]).map(drop)
}

/// Performs one step, or handles an event of CloudTrail.
///
/// # Errors
///
/// [`FollowupError`]; the state machine retries a step that may succeed later, and Lambda retries an event of
/// CloudTrail.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, FollowupError> {
    match Request::read(event, &app.own)? {
        Request::Trail(event) => trail::handle(app, event, invocation).await,
        Request::Step(run, retired) => {
            tracing::Span::current().record("run_id", run.execution.as_str());
            step(app, run, retired, invocation).await
        }
    }
}

async fn step(
    app: &App,
    run: Run<Step, Source>,
    retired: Vec<Line>,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let (execution, poll) = (run.execution.as_str(), run.poll);
    match run.step {
        Step::Note => note::note(app, run.input()?, invocation).await,
        Step::Take => note::take(app, execution, invocation.now).await,
        Step::Deploy => deploy::deploy(app, execution, invocation).await,
        Step::Watch => deploy::watch(app, execution, poll, invocation.now).await,
        Step::Prove => prove::prove(app, execution, poll, invocation).await,
        Step::RollBack => roll_back::roll_back(app, execution, invocation).await,
        Step::Record => finish::record(app, execution, invocation).await,
        Step::Finish => finish::finish(app, &run, retired, invocation).await,
    }
}
