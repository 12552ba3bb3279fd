//! The auth token of Twilio.

use secrecy::{ExposeSecret, SecretString};
use shared::aws::describe;
use shared::rotation::{Attempt, Base, Outcome};
use shared::run::ledger;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::time;

use crate::error::RotateError;
use crate::notes;
use crate::rules::retired::{Reason, Retired};
use crate::rules::token;
use crate::state::State;
use crate::twilio::{Secondary, Twilio};

/// The auth token of Twilio.
pub(crate) struct Token {
    /// Name of the secret.
    pub secret: String,
    twilio: Twilio,
}

impl Token {
    /// Reads `TWILIO_API_URL`, `TWILIO_ACCOUNTS_URL` and `TWILIO_ACCOUNT_SID`.
    pub(crate) fn from_env(secret: String, env: &Env<'_>) -> Result<Self, EnvError> {
        let (api, accounts): (Endpoint, Endpoint) =
            (env.required("TWILIO_API_URL")?, env.required("TWILIO_ACCOUNTS_URL")?);
        let twilio = Twilio::new(api, accounts, env.required("TWILIO_ACCOUNT_SID")?);
        let twilio = twilio.map_err(|reason| EnvError::Invalid { name: "TWILIO_API_URL", reason })?;
        Ok(Self { secret, twilio })
    }

    /// Creates a secondary token. The application keeps using the primary one.
    pub(crate) async fn compose(
        &self,
        base: &Base,
        attempt: &Attempt<'_>,
        current: &SecretString,
    ) -> Result<SecretString, RotateError> {
        token::check(current)?;
        // The application must not be using the secondary token, which this replaces.
        if !self.twilio.is_primary(current, "current").await? {
            return Err(RotateError::NotRetired);
        }
        let arn = &attempt.request.secret_id;
        // An earlier attempt may have made a token and died before storing it; nothing uses such a token.
        let is_lost = notes::issuance(base, arn).await?.making.is_some();
        notes::begin(base, attempt.request, &[]).await?;
        notes::bounded(async {
            if let Secondary::Made(token) = self.twilio.make(current).await? {
                return Ok(token);
            }
            if is_lost {
                self.twilio.delete(current).await?;
                if let Secondary::Made(token) = self.twilio.make(current).await? {
                    return Ok(token);
                }
            }
            // The token is foreign, so the next attempt must not delete it as a lost one.
            notes::update(base, arn, |issuance| issuance.making = None).await?;
            Err(RotateError::ForeignToken)
        })
        .await
    }

    pub(crate) async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let pending = attempt.pending().await?.value;
        token::check(&pending)?;
        self.twilio.is_primary(&pending, "pending").await?;
        let current = attempt.current().await?;
        let is_copy = current.is_some_and(|current| current.expose_secret() == pending.expose_secret());
        Ok(if is_copy { Outcome::TestedCopy } else { Outcome::Tested })
    }

    /// Promotes the current token to primary, which ends the previous one.
    pub(crate) async fn retire(&self, state: &State<'_>) -> Result<Retired, RotateError> {
        let arn = &state.listed.arn;
        let current = state.value("AWSCURRENT").await?;
        token::check(&current)?;
        if self.twilio.is_primary(&current, "current").await? {
            // An attempt that died promoted it, or a person did.
            let made = state.issuance.making.as_ref().map(|making| making.token.as_str());
            let is_news = state.issuance.doing == Some(Retired::Promoted)
                || made.is_some() && made == state.listed.labelled("AWSCURRENT");
            if !is_news {
                return Ok(Retired::Nothing);
            }
            self.must_be_refused(state).await?;
            return Ok(Retired::Promoted);
        }
        if let Err(why) = state.in_use {
            return Ok(Retired::Waits(Reason::NotInUse(why)));
        }
        notes::announce(state.base, &state.listed.arn, Retired::Promoted).await?;
        let version = state.listed.labelled("AWSCURRENT").unwrap_or_default();
        if notes::update(state.base, arn, |issuance| issuance.begin_promotion(version, time::now()))
            .await?
            .is_err()
        {
            return Ok(Retired::Waits(Reason::RotationRuns));
        }
        notes::bounded(async {
            // From here on, no rotation can make a token, but one may have begun before.
            let listed = describe::secret(&state.base.secrets, arn).await?;
            if ledger::in_use(&listed, state.rows, state.is_declared, state.now).is_err()
                || listed.labelled("AWSCURRENT") != state.listed.labelled("AWSCURRENT")
            {
                return Ok(Retired::Waits(Reason::RotationRuns));
            }
            self.twilio.promote(&current).await?;
            if self.twilio.is_primary(&current, "current").await? {
                self.must_be_refused(state).await?;
                return Ok(Retired::Promoted);
            }
            let reason = "the token was promoted, but it is not the primary one".to_owned();
            Err(RotateError::Twilio { reason })
        })
        .await
    }

    /// Proves that Twilio refuses the previous token.
    async fn must_be_refused(&self, state: &State<'_>) -> Result<(), RotateError> {
        if state.listed.labelled("AWSPREVIOUS").is_none() {
            return Ok(());
        }
        let previous = state.value("AWSPREVIOUS").await?;
        match self.twilio.is_primary(&previous, "previous").await {
            Err(RotateError::TokenRefused { .. }) => Ok(()),
            Ok(_) => Err(RotateError::StillAccepted),
            Err(error) => Err(error),
        }
    }
}
