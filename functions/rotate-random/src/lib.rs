//! Rotates a secret whose value this function generates, one step per invocation.
//!
//! `shared::rotation` runs the steps. Decisions: `rules/policy.rs` (how a value is made) and `rules/value.rs` (the
//! values). Texts for operators: `text.rs`.

mod error;
mod rules;
mod text;

use aws_config::SdkConfig;
use secrecy::SecretString;
use shared::rotation::{Advice, Aftermath, Attempt, Base, Outcome, Proof, Request, Rotation};
use shared::runtime::env::{Env, EnvError};

pub use error::RotateError;
use rules::policy::{self, Rule};
use rules::value;
pub use shared::rotation::handle;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotate-random";

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    /// Name of the secret with the application's `JWT_SECRET`.
    jwt_secret: String,
    /// The same for `NOTIFICATIONS_WEBHOOK_SECRET`; none if the stack names none.
    webhook_secret: Option<String>,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base::new`], `JWT_SECRET_NAME`, and `WEBHOOK_SECRET_NAME`,
    /// which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self {
            base: Base::new(PROCEDURE, env, aws)?,
            jwt_secret: env.required("JWT_SECRET_NAME")?,
            webhook_secret: env.optional("WEBHOOK_SECRET_NAME")?,
        })
    }

    fn rule(&self, attempt: &Attempt<'_>) -> Result<Rule, RotateError> {
        let described = &attempt.described;
        policy::rule(&self.base.settings.policy.rotation, self.variable(&described.name), &described.tags)
    }

    /// A secret's key in the policy: the application's variable if the template names the secret, else the secret's own
    /// name.
    fn variable<'a>(&self, secret_name: &'a str) -> &'a str {
        if secret_name == self.jwt_secret {
            "JWT_SECRET"
        } else if Some(secret_name) == self.webhook_secret.as_deref() {
            "NOTIFICATIONS_WEBHOOK_SECRET"
        } else {
            secret_name
        }
    }
}

impl Rotation for App {
    type Error = RotateError;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn admit(&self, attempt: &Attempt<'_>) -> Result<(), RotateError> {
        let rule = self.rule(attempt)?;
        match attempt.current().await? {
            Some(current) => Ok(value::admit(&current, &rule)?),
            None => Ok(()),
        }
    }

    async fn compose(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, RotateError> {
        Ok(value::compose(current, &self.rule(attempt)?)?)
    }

    /// Does nothing, because no system outside Secrets Manager holds the value.
    async fn set(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        attempt.pending().await?;
        Ok(Outcome::Nothing)
    }

    async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let rule = self.rule(attempt)?;
        let pending = attempt.pending().await?.value;
        let current = attempt.current().await?;
        if value::is_copy(&pending, current.as_ref()) {
            value::readable(&pending, &rule)?;
            return Ok(Outcome::TestedCopy);
        }
        value::examine(&pending, current.as_ref(), &rule)?;
        Ok(Outcome::Tested)
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Proof, RotateError> {
        let rule = self.rule(attempt)?;
        let pending = attempt.pending().await?;
        let current = attempt.current().await?;
        value::examine(&pending.value, current.as_ref(), &rule)?;
        Ok(Proof {
            staged: pending.created,
            what: "prove the pending value against the policy",
            aftermath: Aftermath::default(),
        })
    }

    fn advise(&self, request: &Request, error: &RotateError) -> Advice {
        error.advise(self.base.settings.language, request)
    }
}
