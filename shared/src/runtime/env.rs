//! A function's inputs: environment variables and the policy in force.

use std::fmt::Display;
use std::str::FromStr;

use crate::policy::{Policy, PolicyError};

/// Looks up environment variables and the policy; tests pass their own lookup function.
pub struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// None for the defaults.
    policy: Option<Policy>,
    /// Whether the defaults stand in for a policy that could not be read.
    is_unread: bool,
}

/// Why a setting could not be read. Never includes the value, which may be too sensitive to log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnvError {
    /// The variable is unset or empty.
    #[error("environment variable {0} is missing: set it in template.yaml")]
    Missing(&'static str),
    /// The variable does not parse.
    #[error("environment variable {name} is invalid: {reason}")]
    Invalid {
        /// Name of the variable.
        name: &'static str,
        /// The expected form.
        reason: String,
    },
    /// The default policy is invalid: the build is broken.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Looks up a variable in the process's environment.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl<'a> Env<'a> {
    /// Reads variables through `lookup` ([`process`] outside tests), with the default policy.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, policy: None, is_unread: false }
    }

    /// The same variables with another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { lookup: self.lookup, policy: Some(policy), is_unread: false }
    }

    /// The same variables with the defaults, because the policy could not be read.
    #[must_use]
    pub fn without_policy(&self) -> Self {
        Self { lookup: self.lookup, policy: None, is_unread: true }
    }

    /// False while the defaults stand in for a policy that could not be read: what cannot be taken back has to wait.
    pub fn is_policy_read(&self) -> bool {
        !self.is_unread
    }

    /// The policy in force.
    ///
    /// # Errors
    ///
    /// [`EnvError::Policy`] if no policy is set and the defaults are invalid.
    pub fn policy(&self) -> Result<Policy, EnvError> {
        match &self.policy {
            Some(policy) => Ok(policy.clone()),
            None => Ok("".parse()?),
        }
    }

    /// The variable's value. An empty one counts as unset, since a template parameter cannot be absent.
    ///
    /// # Errors
    ///
    /// [`EnvError::Missing`] or [`EnvError::Invalid`], with the variable's name.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, EnvError> {
        self.optional(name)?.ok_or(EnvError::Missing(name))
    }

    /// The variable's value, or `None` if it is unset or empty.
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
