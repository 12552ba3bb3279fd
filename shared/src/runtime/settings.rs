//! The settings that the template sets for every function.

use crate::policy::Policy;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::language::Language;

/// The settings of every function, all set by `template.yaml`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The function's own name: `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda.
    pub function: String,
    /// Project of the stack. `PROJECT`.
    pub project: String,
    /// Environment of the stack: dev, staging or prod. `ENVIRONMENT`.
    pub environment: String,
    /// Commit that the code was built from. `CODE_VERSION`.
    pub code_version: String,
    /// Language of messages. `MESSAGE_LANGUAGE`: `pt-BR` or `en`.
    pub language: Language,
    /// The policy in force when the settings were read.
    pub policy: Policy,
}

impl Settings {
    /// Reads the settings once, at cold start.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or malformed variable, so that a bad deployment fails in its init phase and
    /// not in the middle of a procedure.
    pub fn from_env(env: &Env<'_>) -> Result<Self, EnvError> {
        Ok(Self {
            function: env.required("AWS_LAMBDA_FUNCTION_NAME")?,
            project: env.required("PROJECT")?,
            environment: env.required("ENVIRONMENT")?,
            code_version: env.required("CODE_VERSION")?,
            language: env.required("MESSAGE_LANGUAGE")?,
            policy: env.policy()?,
        })
    }
}
