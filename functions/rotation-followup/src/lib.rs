//! After AWSCURRENT of a secret has moved: deploys the services that read it, watches the rollout, lets the application prove
//! that it uses the new value and refuses the old one, goes back where that helps, and keeps ledger and changelog.
//!
//! Trigger: the state machine beside this crate, which an event of Secrets Manager, a schedule or a person starts; and events of
//! CloudTrail. This file takes an event to its step: `steps/` has one file for each group of states, `rules/` decides, `report.rs`
//! pages and reports. Source: the guide, 3.2 steps 3 to 5.

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
use serde::Serialize;
use serde_json::Value;
use shared::application::Application;
use shared::aws::scope::Scope;
use shared::database::Database;
use shared::github::{Repository, Setup};
use shared::run::evidence::Evidence;
use shared::run::paging::Pager;
use shared::run::report::Reporter;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;

pub use error::FollowupError;
use event::trail::Session;
use event::{Request, Step};
use rules::batch::Batch;
use rules::journal::{self, Journal};
use steps::{deploy, finish, note, prove, roll_back, trail};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotation-followup";

/// Time kept back from proofs, for what they mean to be noted.
const NOTING: Duration = Duration::from_secs(15);

/// What the repository of the changelog needs.
const GITHUB: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permissions Contents and Pull requests: read and write",
};

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
        Request::Trail(reported) => trail::take_note(app, reported, invocation).await,
        Request::Step { execution, step } => {
            tracing::Span::current().record("run_id", execution.as_str());
            match step {
                Step::Note(source) => note::note(app, source, invocation).await,
                Step::Take => note::take(app, &execution, invocation.now).await,
                Step::Deploy => deploy::deploy(app, &execution, invocation).await,
                Step::Watch(poll) => deploy::watch(app, &execution, poll, invocation.now).await,
                Step::Prove(poll) => prove::prove(app, &execution, poll, invocation).await,
                Step::RollBack => roll_back::roll_back(app, &execution, invocation).await,
                Step::Record => finish::record(app, &execution, invocation).await,
                Step::Finish(broken, retired) => {
                    finish::finish(app, &execution, broken, retired, invocation).await
                }
            }
        }
    }
}
