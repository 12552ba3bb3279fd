//! Twilio's auth tokens, through its REST API.
//!
//! Source: [secondary auth token](https://www.twilio.com/docs/iam/api/secondary_authtoken),
//! [promotion](https://www.twilio.com/docs/iam/api/authtoken), [account](https://www.twilio.com/docs/iam/api/account),
//! [errors](https://www.twilio.com/docs/api/errors).

use std::time::Duration;

use reqwest::{Client, Method};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::failure::chain;
use shared::runtime::web;

use crate::error::RotateError;
use crate::rules::token::is_token;

/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(4);

/// A Twilio account.
pub(crate) struct Twilio {
    http: Client,
    /// Base URL of the API with the account.
    api: Endpoint,
    /// Base URL of the API with its tokens.
    accounts: Endpoint,
    sid: String,
}

/// The answer to a request for a secondary token.
pub(crate) enum Secondary {
    /// The new token.
    Made(SecretString),
    /// The account already has one.
    Exists,
}

/// The fields of the account that are read. Danger: they include the primary token.
#[derive(Deserialize)]
struct Account {
    status: String,
    auth_token: String,
}

/// An answer with an error status.
struct Refused {
    status: u16,
    /// Status, Twilio's error code and message; at most 200 characters.
    message: String,
}

impl Twilio {
    /// Makes a client for the account `sid`.
    ///
    /// # Errors
    ///
    /// The reason why the HTTP client could not be built.
    pub(crate) fn new(api: Endpoint, accounts: Endpoint, sid: String) -> Result<Self, String> {
        Ok(Self { http: web::client(PATIENCE)?, api, accounts, sid })
    }

    /// Checks that Twilio accepts a token; returns whether it is the primary one, which only the account resource
    /// shows.
    ///
    /// # Errors
    ///
    /// [`RotateError::TokenRefused`], [`RotateError::AccountClosed`], [`RotateError::TwilioLimited`],
    /// [`RotateError::Twilio`].
    pub(crate) async fn is_primary(
        &self,
        token: &SecretString,
        which: &'static str,
    ) -> Result<bool, RotateError> {
        let url = format!("{}/2010-04-01/Accounts/{}.json", self.api, self.sid);
        let body = self.ask(Method::GET, &url, token).await?.map_err(|refused| refused.error(which))?;
        let mut account: Account = serde_json::from_slice(&body).map_err(|error| RotateError::Twilio {
            // Serde's own message may quote the token.
            reason: format!(
                "the account resource has an unknown form (line {}, column {})",
                error.line(),
                error.column()
            ),
        })?;
        let primary = Zeroizing::new(std::mem::take(&mut account.auth_token));
        if account.status != "active" {
            return Err(RotateError::AccountClosed { status: account.status.chars().take(20).collect() });
        }
        Ok(*primary == token.expose_secret())
    }

    /// Creates a secondary token, which only this answer contains.
    pub(crate) async fn make(&self, token: &SecretString) -> Result<Secondary, RotateError> {
        let body = match self.ask(Method::POST, &self.tokens("Secondary"), token).await? {
            Ok(body) => body,
            // Twilio does not document its answer if one exists.
            Err(Refused { status: 400 | 409 | 422, .. }) => return Ok(Secondary::Exists),
            Err(refused) => return Err(refused.error("current")),
        };
        let made: Option<Value> = serde_json::from_slice(&body).ok();
        let made = made.as_ref().and_then(|made| made.get("secondary_auth_token")?.as_str());
        let made = made.filter(|made| is_token(made)).map(SecretString::from);
        let missing = || RotateError::Twilio { reason: "its answer has no secondary token".to_owned() };
        Ok(Secondary::Made(made.ok_or_else(missing)?))
    }

    /// Deletes the secondary token; succeeds if the account has none.
    pub(crate) async fn delete(&self, token: &SecretString) -> Result<(), RotateError> {
        match self.ask(Method::DELETE, &self.tokens("Secondary"), token).await? {
            Ok(_) | Err(Refused { status: 404, .. }) => Ok(()),
            Err(refused) => Err(refused.error("current")),
        }
    }

    /// Promotes the secondary token, which must be `token`, to primary. From then on Twilio refuses the old primary
    /// token.
    pub(crate) async fn promote(&self, token: &SecretString) -> Result<(), RotateError> {
        match self.ask(Method::POST, &self.tokens("Promote"), token).await? {
            // No secondary token is left: another attempt promoted it.
            Ok(_) | Err(Refused { status: 404, .. }) => Ok(()),
            Err(refused) => Err(refused.error("current")),
        }
    }

    fn tokens(&self, what: &str) -> String {
        format!("{}/v1/AuthTokens/{what}", self.accounts)
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        token: &SecretString,
    ) -> Result<Result<Zeroizing<Vec<u8>>, Refused>, RotateError> {
        let unreachable = |error: reqwest::Error| RotateError::Twilio { reason: chain(&error.without_url()) };
        let request = self.http.request(method, url).basic_auth(&self.sid, Some(token.expose_secret()));
        let answer = self.http.execute(request.build().map_err(unreachable)?).await.map_err(unreachable)?;
        let status = answer.status();
        let body = web::body(answer).await.map(Zeroizing::new);
        let body = body.map_err(|error| RotateError::Twilio { reason: error.to_string() })?;
        if status.is_success() {
            return Ok(Ok(body));
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let part = |field: &str| body.get(field).map(Value::to_string).unwrap_or_default();
        let message = format!("{} {} {}", status.as_u16(), part("code"), part("message"));
        Ok(Err(Refused { status: status.as_u16(), message: message.chars().take(200).collect() }))
    }
}

impl Refused {
    fn error(self, which: &'static str) -> RotateError {
        match self.status {
            401 => RotateError::TokenRefused { which },
            429 => RotateError::TwilioLimited,
            _ => RotateError::Twilio { reason: self.message },
        }
    }
}
