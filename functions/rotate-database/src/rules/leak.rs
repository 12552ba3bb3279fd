//! The state of a leaked login.

use serde::{Deserialize, Serialize};
use shared::run::ledger::NotInUse;

/// How a leaked login was ended; also the stored note of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Ended {
    /// The version that replaced the leaked one.
    pub(crate) version: String,
    /// The database's user.
    pub(crate) user: String,
    /// Whether the user was disabled; a single user's password had already changed.
    pub(crate) is_shut_out: bool,
    pub(crate) sessions: u64,
}

/// The state of a secret's leaked login.
pub(crate) enum Course {
    /// No incident was declared.
    Nothing,
    /// It may still be needed.
    Waits(Waits),
    /// It is proved to be refused.
    Ended(Ended),
    /// A later rotation replaced its password, and the leaked value is no longer stored, so it cannot be tried.
    Replaced(Replaced),
}

/// How a leaked password was replaced; also the stored note of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Replaced {
    /// The version that leaked.
    pub(crate) version: String,
    /// The version that replaced its password.
    pub(crate) replaced_by: String,
    /// Sessions that were ended, for all logins in the secret.
    pub(crate) sessions: u64,
}

/// Why a leaked login is not ended yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waits {
    /// A rotation may have given the login its next password.
    RotationRuns,
    /// The current version is not known to be in use.
    NotInUse(NotInUse),
}

impl Waits {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RotationRuns => "rotation_runs",
            Self::NotInUse(why) => why.name(),
        }
    }
}

/// Whether an ARN in the template is this secret's. It may end in `?` for the service's six random characters.
pub(crate) fn names(pattern: &str, arn: &str) -> bool {
    match pattern.split_once(['?', '*']) {
        Some((stem, _)) => arn.starts_with(stem),
        None => pattern == arn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_the_template_may_leave_the_services_characters_open() {
        let arn = "arn:aws:secretsmanager:us-east-1:1:secret:reports-a1B2c3";
        assert!(names(arn, arn));
        assert!(names("arn:aws:secretsmanager:us-east-1:1:secret:reports-??????", arn));
        assert!(!names("arn:aws:secretsmanager:us-east-1:1:secret:report", arn));
    }
}
