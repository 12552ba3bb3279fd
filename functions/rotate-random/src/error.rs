//! The errors of a rotation step.

use shared::rotation::RotationError;
use shared::runtime::failure::Failure;

/// An error of a rotation step; one variant for each action of an operator.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// An error that every rotation shares.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// Neither the policy nor a tag has a rule for the secret's value.
    #[error("neither the policy nor a tag says how the value of secret {name} is made")]
    NoRule {
        /// Name of the secret, or the application's variable.
        name: String,
    },
}

impl Failure for RotateError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rotation(error) => error.kind(),
            Self::NoRule { .. } => "NoRule",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Rotation(error) => error.fingerprint(),
            Self::NoRule { .. } => self.kind().to_owned(),
        }
    }
}
