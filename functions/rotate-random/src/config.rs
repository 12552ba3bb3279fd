//! Settings of `rotate-random`.

use shared::env::{Env, EnvError};
use shared::language::Language;
use shared::notify::SlackApi;
use shared::policy::Policy;

/// Settings; `template.yaml` sets every one.
#[derive(Clone, Debug)]
pub struct Config {
    /// The function's own name. `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda.
    pub function: String,
    /// Project of the stack. `PROJECT`.
    pub project: String,
    /// Environment of the stack: dev, staging or prod. `ENVIRONMENT`.
    pub environment: String,
    /// Commit that the code was built from. `CODE_VERSION`.
    pub code_version: String,
    /// Language of messages. `MESSAGE_LANGUAGE`: `pt-BR` or `en`.
    pub language: Language,
    /// The policy. `POLICY` overrides its defaults; may be empty.
    pub policy: Policy,
    /// Name of the secret that the application reads `JWT_SECRET` from. `JWT_SECRET_NAME`.
    pub jwt_secret: String,
    /// The same for `NOTIFICATIONS_WEBHOOK_SECRET`. `WEBHOOK_SECRET_NAME`; empty when there is none.
    pub webhook_secret: Option<String>,
    /// Bucket of the evidence records. `EVIDENCE_BUCKET`.
    pub evidence_bucket: String,
    /// Name or ARN of the secret with the Slack bot token. `SLACK_SECRET_NAME`.
    pub slack_secret: String,
    /// Channel, e.g. `#incidentes-moveongs`. `SLACK_CHANNEL`.
    pub slack_channel: String,
    /// Base address of Slack's Web API. `SLACK_API_URL`.
    pub slack_api: SlackApi,
}

impl Config {
    /// Reads the settings once, at cold start.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first variable that is missing or malformed, so that a bad deployment fails in its
    /// init phase and not in the middle of a rotation.
    pub fn from_env(env: &Env<'_>) -> Result<Self, EnvError> {
        let policy = match env.optional("POLICY")? {
            Some(policy) => policy,
            None => "".parse().map_err(|error: shared::policy::PolicyError| EnvError::Invalid {
                name: "POLICY",
                reason: error.to_string(),
            })?,
        };
        Ok(Self {
            function: env.required("AWS_LAMBDA_FUNCTION_NAME")?,
            project: env.required("PROJECT")?,
            environment: env.required("ENVIRONMENT")?,
            code_version: env.required("CODE_VERSION")?,
            language: env.required("MESSAGE_LANGUAGE")?,
            policy,
            jwt_secret: env.required("JWT_SECRET_NAME")?,
            webhook_secret: env.optional("WEBHOOK_SECRET_NAME")?,
            evidence_bucket: env.required("EVIDENCE_BUCKET")?,
            slack_secret: env.required("SLACK_SECRET_NAME")?,
            slack_channel: env.required("SLACK_CHANNEL")?,
            slack_api: env.required("SLACK_API_URL")?,
        })
    }

    /// The policy's key of a secret: the application's variable where the template names the secret, else the
    /// secret's own name.
    pub fn variable<'a>(&self, secret_name: &'a str) -> &'a str {
        if secret_name == self.jwt_secret {
            "JWT_SECRET"
        } else if Some(secret_name) == self.webhook_secret.as_deref() {
            "NOTIFICATIONS_WEBHOOK_SECRET"
        } else {
            secret_name
        }
    }
}
