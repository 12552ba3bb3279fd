//! Why an event was not stored; one variant for each different action of an operator. All but two end by themselves: the
//! event is kept, and sent again.

use shared::aws::table::Busy;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::lambda::DeadlineExceeded;

use crate::rules::webhook::Refusal;

/// Why an event was not stored.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PageError {
    /// A person's request, which is for another function.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// A webhook's request was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The table could not be read or written.
    #[error("the table of incidents could not be read or written; the event is kept and sent again")]
    Table(#[from] CallError),
    /// Other events of the same problem changed the same items at every attempt.
    #[error("{0}; the event is kept and sent again")]
    Busy(#[from] Busy),
    /// The invocation ended before the event's turn.
    #[error("the event was not stored in time; it is kept and sent again")]
    Deadline(#[from] DeadlineExceeded),
    /// The webhooks' credentials could not be read.
    #[error("the secret with the webhooks' credentials could not be read; the sender repeats its request")]
    Credentials(#[source] CallError),
    /// The secret does not have the documented form.
    #[error(
        "the secret that AlertWebhookSecretName names must be JSON with bearer, basic or hmac, each a text of at least {least} characters or a list of such texts; the sender repeats its request"
    )]
    CredentialsForm {
        /// Least characters of a credential.
        least: usize,
    },
}

impl Failure for PageError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::Refused(_) => "WebhookRefused",
            Self::Table(_) => "TableCall",
            Self::Busy(_) => "TableBusy",
            Self::Deadline(_) => "DeadlineExceeded",
            Self::Credentials(_) => "CredentialsUnread",
            Self::CredentialsForm { .. } => "CredentialsForm",
        }
    }
}
