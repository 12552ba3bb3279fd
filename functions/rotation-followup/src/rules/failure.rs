//! Failures of a follow-up, and the secrets whose values may have caused them. No I/O, no clock.

use serde::{Deserialize, Serialize};

use super::keys::{DATABASE, JWT};
use super::kind::Kind;

/// Why a batch failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failed {
    /// Stable name.
    pub kind: Kind,
    /// The observation.
    pub detail: String,
    /// The policy's key of the secret that may have caused it; empty if any secret of the batch may have.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

impl Failed {
    /// A failure that any secret of the batch may have caused.
    pub(crate) fn new(kind: impl Into<Kind>, detail: impl Into<String>) -> Self {
        Self { kind: kind.into(), detail: detail.into(), key: String::new() }
    }

    /// A failure of one secret.
    pub(crate) fn of(key: &str, kind: impl Into<Kind>, detail: impl Into<String>) -> Self {
        Self { key: key.to_owned(), ..Self::new(kind, detail) }
    }
}

/// Whether a secret's new value may have caused a failure. Health, reachability and rate limit of the application
/// depend on no secret, and a rollback does not help an application that still accepts the old token.
pub(crate) fn implicates(failed: &Failed, key: &str) -> bool {
    match failed.kind {
        Kind::RolloutFailed => true,
        Kind::ValueRefused | Kind::OldValueLeaked | Kind::SessionsNotEnded => failed.key == key,
        Kind::NewTokenRefused => key == JWT,
        // The application's login or this function's.
        Kind::DatabaseRefused
        | Kind::LoginFailed
        | Kind::ListFailed
        | Kind::Auth
        | Kind::Permission
        | Kind::Identity
        | Kind::ReadOnly
        | Kind::Busy
        | Kind::ProofFailed
        | Kind::Database
        | Kind::WrongForm => key == DATABASE,
        Kind::RolloutUnfinished
        | Kind::OthersRolloutFailed
        | Kind::Superseded
        | Kind::OldTokenAccepted
        | Kind::HealthFailed
        | Kind::Unreachable
        | Kind::RateLimited
        | Kind::UnclearAnswer
        | Kind::Network
        | Kind::Tls
        | Kind::ConnectionLimit
        | Kind::Pooler
        | Kind::Other(_) => false,
        // Errors that broke the execution.
        Kind::InvalidEvent
        | Kind::NotOurs
        | Kind::NotRotated
        | Kind::NotOpen
        | Kind::SecretsManagerCall
        | Kind::EcsCall
        | Kind::NoService
        | Kind::BookFailed
        | Kind::PageFailed
        | Kind::DeadlineExceeded => false,
        // Reasons why a proof could not be made.
        Kind::MaskedLogin
        | Kind::SecondFactor
        | Kind::SmokeLoginRefused
        | Kind::NoSmokeAccount
        | Kind::NotPermitted
        | Kind::NoReader
        | Kind::PinnedReader
        | Kind::OthersDeployment
        | Kind::DeploymentRefused
        | Kind::ServiceDraining
        | Kind::NotShown
        | Kind::NoApplicationUrl
        | Kind::OldValue
        | Kind::SameValue
        | Kind::NoKey => false,
    }
}
