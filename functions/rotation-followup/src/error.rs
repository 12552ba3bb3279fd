//! Why a step of a follow-up failed. A failed rollout or proof is a result, not a failed step.

use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;

use crate::rules::kind::Kind;

/// Why a step failed; the state machine retries a step that may succeed later.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FollowupError {
    /// The event is not one of this function's.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The secret belongs to another environment.
    #[error(
        "the secret {0} does not belong to this environment: neither the template nor the policy names it, and its tags Project and Environment do not match"
    )]
    NotOurs(String),
    /// An incident was declared for an old value.
    #[error("the current version of {0} was not made after the incident")]
    NotRotated(String),
    /// The batch is closed, or another execution took it over.
    #[error("the batch of execution {0} is closed, or another execution took it over")]
    NotOpen(String),
    /// A call to Secrets Manager failed.
    #[error("a Secrets Manager call of the follow-up failed")]
    SecretsManager(#[source] CallError),
    /// A call to ECS failed.
    #[error("an ECS call of the follow-up failed")]
    Ecs(#[source] CallError),
    /// The policy maps a secret to an ECS service that does not exist.
    #[error(
        "the ECS service {0} does not exist in the cluster: correct rotation.secrets.*.services in the policy, or the template's EcsClusterName"
    )]
    NoService(String),
    /// The journal could not be read or written.
    #[error("reading or writing the follow-ups' journal failed")]
    Journal(#[from] DocumentError),
    /// Publishing the page failed.
    #[error("publishing the page failed; the page is in the log with error_type PageFailed")]
    PageFailed,
    /// The step ran out of time.
    #[error("the step ran out of the invocation's time")]
    Deadline(#[from] DeadlineExceeded),
}

impl Failure for FollowupError {
    fn kind(&self) -> &'static str {
        let kind: &'static Kind = match self {
            Self::InvalidEvent(_) => &Kind::InvalidEvent,
            Self::NotOurs(_) => &Kind::NotOurs,
            Self::NotRotated(_) => &Kind::NotRotated,
            Self::NotOpen(_) => &Kind::NotOpen,
            Self::SecretsManager(_) => &Kind::SecretsManagerCall,
            Self::Ecs(_) => &Kind::EcsCall,
            Self::NoService(_) => &Kind::NoService,
            Self::Journal(_) => &Kind::BookFailed,
            Self::PageFailed => &Kind::PageFailed,
            Self::Deadline(_) => &Kind::DeadlineExceeded,
        };
        kind.as_str()
    }
}
