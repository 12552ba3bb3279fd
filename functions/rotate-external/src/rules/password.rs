//! The administrator's password: its form, and what is known of it outside Secrets Manager.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared::document;
use shared::rotation::RotationError;

/// What the application's database has of the administrator, and what was done about it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InDatabase {
    /// The new password is in force.
    New,
    /// Nobody has that e-mail address: the seed will make the administrator with the secret's value.
    Nobody,
}

/// What is known of a password.
pub(crate) enum Found {
    /// The hash is of the candidate with this number.
    Of(usize),
    /// It is of none of them.
    OfNone,
    /// There is such a user, who cannot log in with any password.
    Inactive,
    /// There is no such user.
    Nobody,
}

/// What has shown that the new password is in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// A login.
    Login,
    /// A login whose tokens come masked, so that no client of the application can use them.
    Masked,
    /// A login up to the second factor.
    SecondFactor,
    /// The hash in the application's database; there is no address to log in at.
    Hash,
    /// Nothing: the application does not have the password.
    Nothing,
}

impl Shown {
    /// For the evidence.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Login => "log in to the application as the administrator",
            Self::Masked => "log in to the application as the administrator (its answer comes masked)",
            Self::SecondFactor => "log in to the application as the administrator, up to the second factor",
            Self::Hash => "find the new password's hash in the application's database; no login was tried",
            Self::Nothing => "store the new password; nothing proves it",
        }
    }
}

/// What setSecret did with the administrator's password, for the steps after it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Done {
    /// In the application's database; none when it is not asked.
    pub database: Option<InDatabase>,
    /// When GitHub stored the value; none when it has none.
    pub stored: Option<Timestamp>,
}

/// Checks that the secret's value is a password, which is replaced whole, and not a document or an address with more in it.
pub(crate) fn check(value: &SecretString) -> Result<(), RotationError> {
    let text = value.expose_secret().trim();
    let reason = match text.chars().next() {
        Some('{' | '[') if document::values(text).is_ok() => {
            "it is a JSON document, of which all else would be lost"
        }
        _ if text.contains("://") => "it is a URL, and not the administrator's password",
        _ => return Ok(()),
    };
    Err(RotationError::WrongForm { reason: format!("{reason}: store the password and nothing else") })
}
