//! Restores a lost database to a new instance, proves it, and brings it into use after a person's approval.
//!
//! Trigger: the state machine beside this crate, which a person starts; and a person's orders, which invoke the function
//! directly. The note (`rules/restore.rs`) says where the restore stands: steps (`steps/`) and orders (`orders.rs`) read
//! and change it, so that any execution can go on with it. `rules/` decides, `report.rs` pages and reports. The old
//! instance is never changed and never deleted. Source: the guide, 2.1 step 4.

mod answer;
mod application;
mod aws;
mod error;
mod event;
mod login;
mod observe;
mod orders;
mod report;
mod rules;
mod steps;
mod text;

use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::Value;
use shared::application::Application;
use shared::database::Database;
use shared::policy::Emergency;
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::run::open_restore;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::workflow::Run;

pub use answer::{Answer, Fields, Status};
pub use error::RestoreError;
use event::{Event, Input, Step};
use rules::restore::{Book, Restore};
use steps::{align, ask, choices, deploy, finish, guard, migrate, open, prove, restore, smoke, switch};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = open_restore::PROCEDURE;

/// Time reserved for saving a step's result.
const NOTING: Duration = Duration::from_secs(15);

/// Settings and clients of all invocations; built once per cold start.
pub struct App {
    base: Base,
    rds: aws_sdk_rds::Client,
    secrets: aws_sdk_secretsmanager::Client,
    ecs: aws_sdk_ecs::Client,
    s3: aws_sdk_s3::Client,
    states: aws_sdk_sfn::Client,
    database: Database,
    /// Name of the ECS cluster.
    cluster: String,
    /// Identifier of the database's instance.
    instance: String,
    /// Name of the secret with the application's `DATABASE_URL`.
    database_secret: Option<String>,
    /// Names or ARNs of the other secrets that may hold the database's address.
    other_secrets: Vec<String>,
    /// The administrator's secret among them.
    admin_secret: Option<String>,
    /// The application; none if the stack does not name its URL.
    application: Option<Application>,
    /// Name of the secret with the account for smoke tests.
    account: Option<String>,
    /// Bucket of the Terraform states, and the keys or prefixes of the states.
    terraform: Option<(String, Vec<String>)>,
    /// Whether the stack has a desk in Slack, whose buttons its questions then show.
    has_desk: bool,
}

impl App {
    /// Reads the settings and creates the clients: those of [`Base`], `ECS_CLUSTER_NAME` and `DATABASE_INSTANCE_ID`; and
    /// `DATABASE_SECRET_NAME`, `OTHER_DATABASE_SECRET_ARNS`, `DATABASE_ADMIN_SECRET_ARN`, `RDS_CA_FILE`, `APP_URL`,
    /// `SMOKE_SECRET_NAME`, `TERRAFORM_STATE_BUCKET`, `TERRAFORM_STATE_KEY` and `SLACK_SIGNING_SECRET_NAME`, which may be
    /// empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let application = Application::from_env(env)?;
        let others: Option<String> = env.optional("OTHER_DATABASE_SECRET_ARNS")?;
        let admin: Option<String> = env.optional("DATABASE_ADMIN_SECRET_ARN")?;
        let bucket: Option<String> = env.optional("TERRAFORM_STATE_BUCKET")?;
        let signing_secret: Option<String> = env.optional("SLACK_SIGNING_SECRET_NAME")?;
        let keys: Option<String> = env.optional("TERRAFORM_STATE_KEY")?;
        let listed = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
        };
        // The template's ARNs may end in a pattern for the suffix that Secrets Manager appends.
        let plain = |arn: String| arn.strip_suffix("-??????").map_or(arn.clone(), str::to_owned);
        Ok(Self {
            base: Base::new(PROCEDURE, env, aws)?,
            rds: aws_sdk_rds::Client::new(aws),
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            ecs: aws_sdk_ecs::Client::new(aws),
            s3: aws_sdk_s3::Client::new(aws),
            states: aws_sdk_sfn::Client::new(aws),
            database: Database::from_env(PROCEDURE, env)?,
            cluster: env.required("ECS_CLUSTER_NAME")?,
            instance: env.required("DATABASE_INSTANCE_ID")?,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            other_secrets: listed(others).into_iter().chain(admin.clone()).map(plain).collect(),
            admin_secret: admin.map(plain),
            application,
            account: env.optional("SMOKE_SECRET_NAME")?,
            terraform: bucket.map(|bucket| (bucket, listed(keys))),
            has_desk: signing_secret.is_some(),
        })
    }

    fn policy(&self) -> &Emergency {
        &self.base.settings.policy.emergency
    }

    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }

    /// The note.
    async fn book(&self) -> Result<Book, RestoreError> {
        Ok(self.documents().get(open_restore::NOTE).await?.unwrap_or_default())
    }

    /// Changes the note and returns the result of `change`.
    async fn update<R>(&self, change: impl Fn(&mut Book) -> R) -> Result<R, RestoreError> {
        Ok(self.documents().update(open_restore::NOTE, change).await?)
    }

    /// Changes the execution's restore and returns it as it is then.
    ///
    /// # Errors
    ///
    /// [`RestoreError::NotOpen`] if none is open, or another execution goes on with it.
    async fn amend(&self, execution: &str, change: impl Fn(&mut Restore)) -> Result<Restore, RestoreError> {
        let amended = self.update(|book| {
            let restore = book.of(execution)?;
            change(restore);
            Some(restore.clone())
        });
        amended.await?.ok_or(RestoreError::NotOpen)
    }

    /// The execution's restore.
    async fn mine(&self, execution: &str) -> Result<Restore, RestoreError> {
        self.amend(execution, |_| ()).await
    }
}

/// Checks an event without acting on it.
///
/// # Errors
///
/// [`RestoreError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), RestoreError> {
    Event::try_from(event)?;
    Ok(())
}

/// Performs one step, or carries out an order.
///
/// # Errors
///
/// [`RestoreError`]; the state machine retries a step that may succeed later. An order that fails changed nothing, unless
/// the error says that it is noted.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, RestoreError> {
    match Event::try_from(event)? {
        Event::Order(order) => {
            tracing::Span::current().record("run_id", order.run.as_str());
            Box::pin(orders::carry_out(app, &order, invocation)).await
        }
        Event::Step(run, token) => {
            tracing::Span::current().record("correlation_id", run.execution.as_str());
            Box::pin(step(app, run, token, invocation)).await
        }
    }
}

async fn step(
    app: &App,
    run: Run<Step, Input>,
    token: Option<String>,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let (execution, poll) = (run.execution.clone(), run.poll);
    let execution = execution.as_str();
    // Boxed, because the steps' futures are large, and each step would need the room of the largest.
    match run.step {
        Step::Open => Box::pin(open::open(app, execution, run.input()?, invocation)).await,
        Step::Choices => Box::pin(choices::list(app, execution, invocation.now)).await,
        Step::Ask => Box::pin(ask::ask(app, execution, token, invocation)).await,
        Step::Restore => Box::pin(restore::restore(app, execution, poll, invocation)).await,
        Step::Align => Box::pin(align::align(app, execution, poll, invocation)).await,
        Step::Prove => Box::pin(prove::prove(app, execution, poll, invocation)).await,
        Step::Guard => Box::pin(guard::guard(app, execution, poll, invocation)).await,
        Step::Switch => Box::pin(switch::switch(app, execution, invocation)).await,
        Step::Migrate => Box::pin(migrate::migrate(app, execution, poll, invocation.now)).await,
        Step::Deploy => Box::pin(deploy::deploy(app, execution, poll, invocation)).await,
        Step::Smoke => Box::pin(smoke::smoke(app, execution, poll, invocation)).await,
        Step::Fail => Box::pin(finish::fail(app, &run, invocation)).await,
        Step::Finish => Box::pin(finish::finish(app, execution, invocation)).await,
    }
}
