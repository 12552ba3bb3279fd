//! Why a rotation step failed; a variant for each thing that an operator does next.

use shared::failure::{CallError, Failure};
use shared::lambda::DeadlineExceeded;

/// Why a rotation step failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// The event is not one of Secrets Manager's.
    #[error("event field {field} is not {expected}")]
    InvalidEvent {
        /// Name of the field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// Rotation is switched off for the secret, or was never configured.
    #[error("rotation is not enabled for the secret")]
    RotationNotEnabled,
    /// The secret has no version with the token.
    #[error("the secret has no version {token}; Secrets Manager did not start this rotation, or gave it up")]
    UnknownVersion {
        /// The `ClientRequestToken`.
        token: String,
    },
    /// The version is there, but not staged as AWSPENDING.
    #[error(
        "version {token} is not staged as AWSPENDING; the rotation was abandoned or taken over by another"
    )]
    NotPending {
        /// The `ClientRequestToken`.
        token: String,
    },
    /// Nobody has said how the secret's value is made.
    #[error("neither the policy nor a tag says how the value of secret {name} is made")]
    NoRule {
        /// Name of the secret, or the application's variable.
        name: String,
    },
    /// A tag of the secret contradicts itself or the policy.
    #[error("tag {tag} of the secret: {reason}")]
    InvalidTag {
        /// Key of the tag.
        tag: String,
        /// What was expected.
        reason: String,
    },
    /// The stored value is not of the form that the policy names.
    #[error("the stored value has another form than the policy says: {reason}")]
    WrongForm {
        /// What was expected and what was found, without the value.
        reason: String,
    },
    /// The pending version has no value.
    #[error("the pending version has no value")]
    EmptyPending,
    /// The pending value is not what the policy asks for.
    #[error("the pending value is not what the policy asks for: {reason}")]
    PendingRejected {
        /// What was expected and what was found, without the value.
        reason: String,
    },
    /// AWSCURRENT was changed after the pending value was derived from it.
    #[error(
        "another field of the secret was changed after the pending value was made; finishing would undo that"
    )]
    CurrentChanged,
    /// The operating system gave no random bytes.
    #[error("the operating system's random generator failed")]
    NoRandomness,
    /// The invocation's time was nearly over.
    #[error("the step was given up")]
    Deadline(#[from] DeadlineExceeded),
    /// A call to Secrets Manager failed.
    #[error("the step stopped at a Secrets Manager call")]
    SecretsManager(#[from] CallError),
}

impl RotateError {
    /// What makes two failures of a step the same one, so that it is told once: the kind, and of a call which one.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::SecretsManager(call) => format!("{}/{}/{}", self.kind(), call.operation, call.code),
            _ => self.kind().to_owned(),
        }
    }
}

impl Failure for RotateError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent { .. } => "InvalidEvent",
            Self::RotationNotEnabled => "RotationNotEnabled",
            Self::UnknownVersion { .. } => "UnknownVersion",
            Self::NotPending { .. } => "NotPending",
            Self::NoRule { .. } => "NoRule",
            Self::InvalidTag { .. } => "InvalidTag",
            Self::WrongForm { .. } => "WrongForm",
            Self::EmptyPending => "EmptyPending",
            Self::PendingRejected { .. } => "PendingRejected",
            Self::CurrentChanged => "CurrentChanged",
            Self::NoRandomness => "NoRandomness",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::SecretsManager(_) => "SecretsManagerCall",
        }
    }
}
