//! The kinds of secrets that this function rotates.

use secrecy::SecretString;
use shared::rotation::{Attempt, Base, Outcome, generate};

use crate::error::{RotateError, no_value};
use crate::mail::Mail;
use crate::password::{Password, generator};
use crate::rules;
use crate::rules::retired::Retired;
use crate::state::State;
use crate::token::Token;

/// A secret of the stack, by its kind.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    Mail(&'a Mail),
    Token(&'a Token),
    Password(&'a Password),
}

impl<'a> Kind<'a> {
    /// Name of the secret.
    pub(crate) fn secret(self) -> &'a str {
        match self {
            Self::Mail(mail) => &mail.secret,
            Self::Token(token) => &token.secret,
            Self::Password(password) => &password.secret,
        }
    }

    /// Refuses a current value that a rotation would damage.
    pub(crate) fn admit(self, base: &Base, current: &SecretString) -> Result<(), RotateError> {
        match self {
            Self::Mail(mail) => {
                rules::ses::admit(current, &base.settings.policy.rotation.external.ses, &mail.region)?;
            }
            Self::Token(_) => rules::token::check(current)?,
            Self::Password(_) => rules::password::check(current)?,
        }
        Ok(())
    }

    /// Makes the pending value, in createSecret.
    pub(crate) async fn compose(
        self,
        base: &Base,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, RotateError> {
        match self {
            Self::Mail(mail) => mail.compose(base, attempt, current.ok_or_else(no_value)?).await,
            Self::Token(token) => token.compose(base, attempt, current.ok_or_else(no_value)?).await,
            Self::Password(_) => Ok(generate(&generator(base)?)?),
        }
    }

    /// Brings the pending value into use outside Secrets Manager, in setSecret.
    pub(crate) async fn set(self, base: &Base, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        match self {
            // The issuer accepts a credential as soon as it has issued it.
            Self::Mail(_) | Self::Token(_) => {
                attempt.pending().await?;
                Ok(Outcome::Nothing)
            }
            Self::Password(password) => password.set(base, attempt).await,
        }
    }

    /// Tests the pending value, in testSecret.
    pub(crate) async fn test(self, base: &Base, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        match self {
            Self::Mail(mail) => mail.test(base, attempt).await,
            Self::Token(token) => token.test(attempt).await,
            Self::Password(password) => password.test(base, attempt).await,
        }
    }

    /// Retires the old credential, as far as its state allows.
    pub(crate) async fn retire(self, state: &State<'_>) -> Result<Retired, RotateError> {
        match self {
            Self::Mail(mail) => mail.retire(state).await,
            Self::Token(token) => token.retire(state).await,
            Self::Password(password) => password.retire(state).await,
        }
    }
}
