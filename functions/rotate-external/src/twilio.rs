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

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// An account of Twilio.
pub(crate) struct Twilio {
    http: Client,
    /// Base address of the API that knows the account.
    api: Endpoint,
    /// Base address of the API that knows its tokens.
    accounts: Endpoint,
    sid: String,
}

/// What came of asking for a secondary token.
pub(crate) enum Secondary {
    /// It was made.
    Made(SecretString),
    /// There is one already.
    Exists,
}

/// The part of the account that is looked at. Danger: it has the primary token.
#[derive(Deserialize)]
struct Account {
    status: String,
    auth_token: String,
}

/// An answer that is no success, in Twilio's words.
struct Refused {
    status: u16,
    reported: String,
}

impl Twilio {
    /// The account `sid`.
    ///
    /// # Errors
    ///
    /// Why there is no HTTP client.
    pub(crate) fn new(api: Endpoint, accounts: Endpoint, sid: String) -> Result<Self, String> {
        Ok(Self { http: web::client(PATIENCE)?, api, accounts, sid })
    }

    /// Whether Twilio takes a token, and whether that is the primary one: only the account itself tells.
    pub(crate) async fn is_primary(
        &self,
        token: &SecretString,
        which: &'static str,
    ) -> Result<bool, RotateError> {
        let url = format!("{}/2010-04-01/Accounts/{}.json", self.api, self.sid);
        let body = self.ask(Method::GET, &url, token).await?.map_err(|refused| refused.error(which))?;
        let mut account: Account = serde_json::from_slice(&body).map_err(|error| RotateError::Twilio {
            // Serde's own text may quote the token.
            reason: format!(
                "the account has another form (line {}, column {})",
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

    /// Makes a secondary token; the answer shows it once.
    pub(crate) async fn make(&self, token: &SecretString) -> Result<Secondary, RotateError> {
        let body = match self.ask(Method::POST, &self.tokens("Secondary"), token).await? {
            Ok(body) => body,
            // Twilio does not document what it says then.
            Err(Refused { status: 400 | 409 | 422, .. }) => return Ok(Secondary::Exists),
            Err(refused) => return Err(refused.error("current")),
        };
        let made: Option<Value> = serde_json::from_slice(&body).ok();
        let made = made.as_ref().and_then(|made| made.get("secondary_auth_token")?.as_str());
        let made = made.filter(|made| is_token(made)).map(SecretString::from);
        let strange = || RotateError::Twilio { reason: "no secondary token in its answer".to_owned() };
        Ok(Secondary::Made(made.ok_or_else(strange)?))
    }

    /// Deletes the secondary token; that there is none is as good.
    pub(crate) async fn delete(&self, token: &SecretString) -> Result<(), RotateError> {
        match self.ask(Method::DELETE, &self.tokens("Secondary"), token).await? {
            Ok(_) | Err(Refused { status: 404, .. }) => Ok(()),
            Err(refused) => Err(refused.error("current")),
        }
    }

    /// Makes the secondary token, which is `token`, the primary one. The primary one before is refused from then on.
    pub(crate) async fn promote(&self, token: &SecretString) -> Result<(), RotateError> {
        match self.ask(Method::POST, &self.tokens("Promote"), token).await? {
            // There is no secondary token: it was promoted a moment ago.
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
        let reported = |field: &str| body.get(field).map(Value::to_string).unwrap_or_default();
        let reported: String = format!("{} {} {}", status.as_u16(), reported("code"), reported("message"));
        Ok(Err(Refused { status: status.as_u16(), reported: reported.chars().take(200).collect() }))
    }
}

impl Refused {
    fn error(self, which: &'static str) -> RotateError {
        match self.status {
            401 => RotateError::TokenRefused { which },
            429 => RotateError::TwilioLimited,
            _ => RotateError::Twilio { reason: self.reported },
        }
    }
}
