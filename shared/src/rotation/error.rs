//! Why a step of any rotation fails, with one variant for each next step of an operator.

use crate::run::documents::DocumentError;
use crate::runtime::failure::{CallError, Failure};
use crate::runtime::lambda::DeadlineExceeded;

/// Why a rotation step of any function failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotationError {
    /// The event is not a rotation event of Secrets Manager.
    #[error("event field {field} is not {expected}")]
    InvalidEvent {
        /// Name of the field.
        field: &'static str,
        /// The expected form.
        expected: &'static str,
    },
    /// Rotation is switched off for the secret, or was never configured.
    #[error("rotation is not enabled for the secret")]
    RotationNotEnabled {
        /// The version that has AWSPENDING, if any. It prevents rotation from being turned on again.
        holder: Option<String>,
    },
    /// The secret has no version with the token.
    #[error("the secret has no version {token}; Secrets Manager did not start this rotation, or gave it up")]
    UnknownVersion {
        /// The `ClientRequestToken`.
        token: String,
        /// As in [`Self::NotPending`]; Secrets Manager does not list versions without labels.
        holder: Option<String>,
    },
    /// The version exists, but is not staged as AWSPENDING.
    #[error(
        "version {token} is not staged as AWSPENDING; the rotation was abandoned or taken over by another"
    )]
    NotPending {
        /// The `ClientRequestToken`.
        token: String,
        /// The version that has AWSPENDING instead, if any. It prevents any rotation from starting.
        holder: Option<String>,
    },
    /// AWSCURRENT was moved during the rotation, but not by the rotation.
    #[error("AWSCURRENT was moved by hand during the rotation to version {token}; it stays there")]
    CurrentMoved {
        /// The `ClientRequestToken`.
        token: String,
    },
    /// A tag of the secret is invalid or contradicts the policy.
    #[error("tag {tag} of the secret: {reason}")]
    InvalidTag {
        /// Key of the tag.
        tag: String,
        /// The requirement.
        reason: String,
    },
    /// The function cannot rotate the stored value's form.
    #[error("the stored value has another form than expected: {reason}")]
    WrongForm {
        /// The expected and the actual form, without the value.
        reason: String,
    },
    /// The pending version has no value.
    #[error("the pending version has no value")]
    EmptyPending,
    /// The pending version holds a value that createSecret did not make; another principal wrote it.
    #[error(
        "version {token}, staged as AWSPENDING, holds a value that this function did not make; it is not used, and nothing was changed with it"
    )]
    ForeignPending {
        /// The `ClientRequestToken`.
        token: String,
    },
    /// The pending value does not match the policy.
    #[error("the pending value does not match the policy: {reason}")]
    PendingRejected {
        /// The expected and the actual form, without the value.
        reason: String,
    },
    /// AWSCURRENT was changed after the pending value was derived from it.
    #[error(
        "another part of the secret was changed after the pending value was made; finishing would revert that change"
    )]
    CurrentChanged,
    /// The operating system returned no random bytes.
    #[error("the operating system's random generator failed")]
    NoRandomness,
    /// The invocation was about to time out.
    #[error("the step was given up")]
    Deadline(#[from] DeadlineExceeded),
    /// A call to Secrets Manager failed.
    #[error("the step stopped at a Secrets Manager call")]
    SecretsManager(#[from] CallError),
    /// The notes of the rotation could not be read or written; without them no pending value is trusted.
    #[error("the step stopped at the notes of the rotation")]
    Evidence(#[from] DocumentError),
}

impl Failure for RotationError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent { .. } => "InvalidEvent",
            Self::RotationNotEnabled { .. } => "RotationNotEnabled",
            Self::UnknownVersion { .. } => "UnknownVersion",
            Self::NotPending { .. } => "NotPending",
            Self::CurrentMoved { .. } => "CurrentMoved",
            Self::InvalidTag { .. } => "InvalidTag",
            Self::WrongForm { .. } => "WrongForm",
            Self::EmptyPending => "EmptyPending",
            Self::ForeignPending { .. } => "ForeignPending",
            Self::PendingRejected { .. } => "PendingRejected",
            Self::CurrentChanged => "CurrentChanged",
            Self::NoRandomness => "NoRandomness",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::SecretsManager(_) => "SecretsManagerCall",
            Self::Evidence(_) => "EvidenceFailed",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::SecretsManager(call) => format!("{}/{}/{}", self.kind(), call.operation, call.code),
            _ => self.kind().to_owned(),
        }
    }
}
