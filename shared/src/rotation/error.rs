//! Why a step of any rotation fails; a variant for each thing that an operator does next.

use crate::run::evidence::EvidenceError;
use crate::runtime::failure::{CallError, Failure};
use crate::runtime::lambda::DeadlineExceeded;

/// Why a rotation step failed, whatever is rotated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotationError {
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
    RotationNotEnabled {
        /// The version that has AWSPENDING, if one has: while it does, rotation cannot be switched on again.
        holder: Option<String>,
    },
    /// The secret has no version with the token.
    #[error("the secret has no version {token}; Secrets Manager did not start this rotation, or gave it up")]
    UnknownVersion {
        /// The `ClientRequestToken`.
        token: String,
        /// As of [`Self::NotPending`]: a version without labels is not shown.
        holder: Option<String>,
    },
    /// The version is there, but not staged as AWSPENDING.
    #[error(
        "version {token} is not staged as AWSPENDING; the rotation was abandoned or taken over by another"
    )]
    NotPending {
        /// The `ClientRequestToken`.
        token: String,
        /// The version that has AWSPENDING instead, if one has: while it does, no rotation can begin.
        holder: Option<String>,
    },
    /// AWSCURRENT was moved while the rotation was under way, by another hand than the rotation's.
    #[error(
        "AWSCURRENT was moved by hand while the rotation to version {token} was under way; it stays there"
    )]
    CurrentMoved {
        /// The `ClientRequestToken`.
        token: String,
    },
    /// A tag of the secret contradicts itself or the policy.
    #[error("tag {tag} of the secret: {reason}")]
    InvalidTag {
        /// Key of the tag.
        tag: String,
        /// What was expected.
        reason: String,
    },
    /// The stored value is not of a form that the function rotates.
    #[error("the stored value has another form than expected: {reason}")]
    WrongForm {
        /// What was expected and what was found, without the value.
        reason: String,
    },
    /// The pending version has no value.
    #[error("the pending version has no value")]
    EmptyPending,
    /// The pending version holds a value that createSecret did not make: whoever may write the secret put it there.
    #[error(
        "version {token}, staged as AWSPENDING, holds a value that this function did not make; it is not used, and nothing was changed with it"
    )]
    ForeignPending {
        /// The `ClientRequestToken`.
        token: String,
    },
    /// The pending value is not what the policy asks for.
    #[error("the pending value is not what the policy asks for: {reason}")]
    PendingRejected {
        /// What was expected and what was found, without the value.
        reason: String,
    },
    /// AWSCURRENT was changed after the pending value was derived from it.
    #[error(
        "another part of the secret was changed after the pending value was made; finishing would undo that"
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
    /// The notes of the rotation could not be read or written; without them no pending value is trusted.
    #[error("the step stopped at the notes of the rotation")]
    Evidence(#[from] EvidenceError),
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
