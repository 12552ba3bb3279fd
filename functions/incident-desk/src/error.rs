//! Why a request was not done; one variant for each different action of the person who asked, or of an operator.

use incident::store::Refusal;
use shared::aws::table::Busy;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};

use crate::rules::slack::verify;

/// Why a request was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeskError {
    /// The request is invalid.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The request is valid, and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The table could not be read or written.
    #[error("the table of incidents could not be read or written; ask again, which does no harm")]
    Table(#[from] CallError),
    /// Other requests and events changed the same incident at every attempt.
    #[error("{0}; ask again")]
    Busy(#[from] Busy),
    /// A request of the function URL was refused.
    #[error(transparent)]
    Request(#[from] verify::Refusal),
    /// The signing secret could not be read.
    #[error(
        "the secret that SlackSigningSecretName names could not be read; what people ask in Slack is not done"
    )]
    SigningSecret(#[source] CallError),
    /// The signing secret does not have the documented form.
    #[error(
        "the secret that SlackSigningSecretName names must be the Slack app's signing secret, or a JSON list of several, each of at least {least} characters"
    )]
    SigningSecretForm {
        /// Least characters of a signing secret.
        least: usize,
    },
    /// A function could not be invoked: this one, or the one that takes orders about a restore.
    #[error("a function could not be invoked; what a person asked in Slack is not done")]
    Invoke(#[source] CallError),
    /// The function that takes orders about a restore failed; the order may be noted, and then takes effect.
    #[error("nobody knows whether the order about the restore was noted; ask with the order status: {0}")]
    OrderUnclear(String),
}

impl Failure for DeskError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::Refused(refusal) => refusal.kind(),
            Self::Table(_) => "TableCall",
            Self::Busy(_) => "TableBusy",
            Self::Request(_) => "RequestRefused",
            Self::SigningSecret(_) => "SigningSecretUnread",
            Self::SigningSecretForm { .. } => "SigningSecretForm",
            Self::Invoke(_) => "InvokeCall",
            Self::OrderUnclear(_) => "OrderUnclear",
        }
    }
}
