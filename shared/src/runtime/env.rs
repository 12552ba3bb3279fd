//! What a function is given: variables of the environment, and the policy in force.

use std::fmt::Display;
use std::str::FromStr;

use crate::policy::{Policy, PolicyError};

/// A look-up of environment variables, and the policy; a test passes a function of its own.
pub struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// None: the defaults.
    policy: Option<Policy>,
}

/// Why a setting could not be read. Never carries the value: a variable may hold what should not be logged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnvError {
    /// The variable is not set, or empty.
    #[error("environment variable {0} is missing: set it in template.yaml")]
    Missing(&'static str),
    /// The variable does not parse.
    #[error("environment variable {name} is invalid: {reason}")]
    Invalid {
        /// Name of the variable.
        name: &'static str,
        /// What was expected.
        reason: String,
    },
    /// The defaults of the policy are wrong: the build is.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Looks a variable up in the process's environment.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl<'a> Env<'a> {
    /// Reads through `lookup`; [`process`] outside tests. The policy's defaults hold.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, policy: None }
    }

    /// The same variables under a policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { lookup: self.lookup, policy: Some(policy) }
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`EnvError::Policy`] when none is given and the defaults are wrong.
    pub fn policy(&self) -> Result<Policy, EnvError> {
        match &self.policy {
            Some(policy) => Ok(policy.clone()),
            None => Ok("".parse()?),
        }
    }

    /// The variable's value; an empty one counts as unset, since a template parameter cannot be absent.
    ///
    /// # Errors
    ///
    /// [`EnvError::Missing`] or [`EnvError::Invalid`], each with the variable's name.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, EnvError> {
        self.optional(name)?.ok_or(EnvError::Missing(name))
    }

    /// The variable's value, or `None` when it is unset or empty.
    ///
    /// # Errors
    ///
    /// [`EnvError::Invalid`] with the variable's name.
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Option<T>, EnvError> {
        (self.lookup)(name)
            .filter(|value| !value.is_empty())
            .map(|value| {
                value.parse().map_err(|error: T::Err| EnvError::Invalid { name, reason: error.to_string() })
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_or_named() {
        let lookup = |name: &str| match name {
            "SEVEN" => Some("7".to_owned()),
            "WORD" => Some("seven".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let env = Env::new(&lookup);
        assert_eq!(env.required("SEVEN"), Ok(7));
        assert_eq!(env.required::<u8>("EMPTY"), Err(EnvError::Missing("EMPTY")));
        assert_eq!(env.optional::<u8>("ABSENT"), Ok(None));
        assert_eq!(
            env.required::<u8>("WORD").unwrap_err().to_string(),
            "environment variable WORD is invalid: invalid digit found in string"
        );
    }
}
