//! Why a step of a follow-up failed. What is wrong with a rollout or a proof is a result and no failure of a step.

use shared::run::evidence::EvidenceError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;

/// Why a step failed; the state machine tries again what may pass.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FollowupError {
    /// The event is none of ours.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The secret is not this environment's.
    #[error(
        "the secret {0} is not of this environment: neither template nor policy name it, and its tags Project and Environment do not"
    )]
    NotOurs(String),
    /// An incident was declared of a value that is not new.
    #[error("the current version of {0} is not one that was made after the incident")]
    NotRotated(String),
    /// The batch belongs to another execution by now.
    #[error("the batch of execution {0} is closed, or was taken over")]
    NotOpen(String),
    /// A call to Secrets Manager failed.
    #[error("the follow-up stopped at a Secrets Manager call")]
    SecretsManager(#[source] CallError),
    /// A call to ECS failed.
    #[error("the follow-up stopped at an ECS call")]
    Ecs(#[source] CallError),
    /// A service that a secret is mapped to does not exist.
    #[error(
        "the ECS service {0} does not exist in the cluster: correct rotation.secrets.*.services of the policy, or the template's EcsClusterName"
    )]
    NoService(String),
    /// The journal could not be read or written.
    #[error("the journal of the follow-ups could not be read or written")]
    Journal(#[from] EvidenceError),
    /// Somebody is to be woken, and the topic did not take the page.
    #[error("the page was not published; it stands in the log with error_type PageFailed")]
    PageFailed,
    /// The step did not end in time.
    #[error("the step did not end in the invocation's time")]
    Deadline(#[from] DeadlineExceeded),
}

impl Failure for FollowupError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NotOurs(_) => "NotOurs",
            Self::NotRotated(_) => "NotRotated",
            Self::NotOpen(_) => "NotOpen",
            Self::SecretsManager(_) => "SecretsManagerCall",
            Self::Ecs(_) => "EcsCall",
            Self::NoService(_) => "NoService",
            Self::Journal(_) => "BookFailed",
            Self::PageFailed => "PageFailed",
            Self::Deadline(_) => "DeadlineExceeded",
        }
    }
}
