//! Rotates the PostgreSQL credential inside a database URL, one step per invocation.
//!
//! `shared::rotation` runs the steps. Decisions: `rules/` (strategy, permitted differences, missing roles and grants).
//! Steps: `admit.rs`, `set.rs`, `prove.rs`, and `alternating.rs` for two logins. State after a failure: `diagnose.rs`.
//! Retiring a leaked login: `retire.rs`. Operator texts: `text/`.

mod admit;
pub mod alternating;
mod aws;
mod diagnose;
mod error;
mod event;
mod login;
mod note;
mod prove;
mod report;
mod retire;
mod rules;
mod set;
mod text;

use aws_config::SdkConfig;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use shared::aws::secrets::Listed;
use shared::database::Database;
use shared::database::secret::Secret;
use shared::rotation::{
    Advice, Aftermath, Attempt, Base, InForce, Outcome, Proof, Request, Rotation, RotationError, generate,
};
use shared::run::ledger::Line;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;

pub use error::{RotateError, Seen, Why};
pub use event::check;
use rules::policy::{self, Strategy};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotate-database";

/// The application secret's key in the policy.
const DATABASE: &str = "DATABASE_URL";

/// Settings and clients, built once per cold start.
pub struct App {
    base: Base,
    rds: aws_sdk_rds::Client,
    database: Database,
    /// Name of the secret with the application's `DATABASE_URL`.
    database_secret: Option<String>,
    /// ARN of the admin role's secret, for secrets that do not name one themselves.
    admin_secret: Option<String>,
    /// ARNs of the other secrets that this function rotates, as written in the template.
    other_secrets: Vec<String>,
}

impl App {
    /// Reads the settings and builds the clients: those of [`Base::new`], and `DATABASE_SECRET_NAME`,
    /// `DATABASE_ADMIN_SECRET_ARN`, `OTHER_DATABASE_SECRET_ARNS` (joined by commas) and `RDS_CA_FILE`. Each may be
    /// empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting, including an unusable CA file.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let database = Database::from_env(PROCEDURE, env)?;
        let others: Option<String> = env.optional("OTHER_DATABASE_SECRET_ARNS")?;
        Ok(Self {
            base: Base::new(PROCEDURE, env, aws)?,
            rds: aws_sdk_rds::Client::new(aws),
            database,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            admin_secret: env.optional("DATABASE_ADMIN_SECRET_ARN")?,
            other_secrets: others
                .map(|arns| arns.split(',').map(|arn| arn.trim().to_owned()).collect())
                .unwrap_or_default(),
        })
    }

    fn strategy(&self, attempt: &Attempt<'_>, secret: &Secret) -> Result<Strategy, RotationError> {
        let is_the_templates = self.variable(attempt) == DATABASE;
        let tags = &attempt.described.tags;
        policy::strategy(tags, secret.admin_secret(), self.admin_secret.as_deref(), is_the_templates)
    }

    fn strategy_of(&self, listed: &Listed, secret: &Secret) -> Result<Strategy, RotationError> {
        let tags = shared::rotation::tags(listed.tags.clone());
        let is_the_templates = self.database_secret.as_ref() == Some(&listed.name);
        policy::strategy(&tags, secret.admin_secret(), self.admin_secret.as_deref(), is_the_templates)
    }

    /// The secret's key in the policy: the application's variable if the template names the secret, else its name.
    fn variable<'a>(&self, attempt: &'a Attempt<'_>) -> &'a str {
        let name = &attempt.described.name;
        if self.database_secret.as_ref() == Some(name) { DATABASE } else { name }
    }

    async fn current(&self, attempt: &Attempt<'_>) -> Result<Secret, Why> {
        Self::read(attempt.current().await?.as_ref())
    }

    fn read(current: Option<&SecretString>) -> Result<Secret, Why> {
        let reason = || "it has no value yet, so there is no credential to replace".to_owned();
        Ok(Secret::parse(current.ok_or_else(|| RotationError::WrongForm { reason: reason() })?)?)
    }

    async fn next_value(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, Why> {
        let current = Self::read(current)?;
        self.must_be_in_use(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        let user = policy::next_user(&strategy, &current.login().user)?;
        let (password, _) = policy::rule(&self.base.settings.policy.rotation, self.variable(attempt))?;
        Ok(current.with(&user, &generate(&password)?)?)
    }
}

/// The answer to a rotation step or to a request to retire a leaked login.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The step's outcome.
    Step(Outcome),
    /// The state of each secret's leaked login.
    Retired(Vec<Line>),
}

/// Handles one event: a rotation step, or a request to retire a leaked login.
///
/// # Errors
///
/// The rotation's errors, or the reason why a leaked login was not ended or not proved to be refused; Lambda then
/// retries.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, RotateError> {
    if event::is_asked(&event) {
        event::check(&event)?;
        return retire::retire(app, invocation).await.map(Answer::Retired);
    }
    shared::rotation::handle(app, event, invocation).await.map(Answer::Step)
}

/// Builds a failure that names the version that was AWSCURRENT.
fn at(attempt: &Attempt<'_>) -> impl FnOnce(Why) -> RotateError {
    let current = attempt.labelled("AWSCURRENT").map(str::to_owned);
    |why| RotateError { why, in_force: InForce::Current, seen: None, current }
}

impl Rotation for App {
    type Error = RotateError;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn admit(&self, attempt: &Attempt<'_>) -> Result<(), RotateError> {
        self.check(attempt).await.map_err(at(attempt))
    }

    async fn compose(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, RotateError> {
        Ok(self.next_value(attempt, current).await?)
    }

    async fn set(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let mut seen = None;
        self.change(attempt, &mut seen).await.map_err(|why| RotateError { seen, ..at(attempt)(why) })
    }

    async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        match self.try_out(attempt).await {
            Ok(outcome) => Ok(outcome),
            Err(why) => Err(self.look_again(attempt, why).await),
        }
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Proof, RotateError> {
        match self.prove_again(attempt).await {
            Ok(proof) => Ok(proof),
            Err(why) => Err(self.look_again(attempt, why).await),
        }
    }

    async fn aftermath(&self, attempt: &Attempt<'_>) -> Aftermath {
        self.aftermath_of(self.saved_change(attempt.request).await)
    }

    async fn abandoned(&self, attempt: &Attempt<'_>, error: RotationError) -> RotateError {
        at(attempt)(self.diagnose(attempt, error).await.unwrap_or_else(|why| why))
    }

    async fn look_into(&self, request: &Request, error: RotateError) -> RotateError {
        let (in_force, change) = self.in_force(request, &error).await;
        let current = error.current.or(change.map(|change| change.from));
        RotateError { in_force, current, ..error }
    }

    fn advise(&self, request: &Request, error: &RotateError) -> Advice {
        error.advise(&self.base.settings, request)
    }
}
