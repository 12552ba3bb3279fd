//! A client of the application's API, with the requests its users send.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_secretsmanager::Client as SecretsManager;
use reqwest::{Client, Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::aws::secrets;
use crate::runtime::endpoint::Endpoint;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::chain;
use crate::runtime::web;

/// Timeout per request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest part of a body that is read, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// The application at its base address.
pub struct Application {
    http: Client,
    url: Endpoint,
}

/// The account for smoke tests.
pub struct Account {
    /// Its e-mail address.
    pub email: String,
    /// Its password.
    pub password: SecretString,
}

impl Account {
    /// The account in the secret of this name; none if the stack names no secret.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used, without the secret's value.
    pub async fn read(secrets: &SecretsManager, name: Option<&str>) -> Result<Option<Self>, String> {
        let Some(name) = name else { return Ok(None) };
        let value = secrets::value(secrets, name, None).await.map_err(|error| chain(&error))?;
        let account = Self::parse(&value);
        account.map(Some).ok_or_else(|| {
            format!(
                "the secret {name} must be a JSON object with email and password, in which every value is text"
            )
        })
    }

    /// Reads the secret's value: a JSON object of strings with `email` and `password`. None for anything else.
    fn parse(value: &SecretString) -> Option<Self> {
        let mut fields: BTreeMap<String, String> = serde_json::from_str(value.expose_secret()).ok()?;
        Some(Self {
            email: fields.remove("email")?,
            password: SecretString::from(fields.remove("password")?),
        })
    }
}

/// An answer to one request, or the reason why none arrived.
pub type Answered = Result<Answer, String>;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The beginning of the body. Danger: a login's body contains tokens.
    pub body: String,
    /// Whether a `Retry-After` header asks the client to back off.
    pub is_limited: bool,
}

/// Outcome of `POST /auth/login`. Source: observed on the running application.
#[derive(Debug)]
pub enum Login {
    /// A token for the next requests.
    Token(SecretString),
    /// Password accepted, but the token is masked (RESPONSE_MASKING_ENABLED).
    Masked,
    /// Password accepted; a second factor is required.
    SecondFactor,
    /// Unknown account or wrong password.
    Refused,
    /// Rate-limited: try again later.
    Limited,
    /// Success status without a token.
    NoToken,
    /// Server error: the credentials were not checked.
    Failed,
    /// Any other answer, e.g. from a load balancer without tasks.
    Unclear,
}

impl Application {
    /// Creates a client for a base address.
    ///
    /// # Errors
    ///
    /// The reason why the HTTP client could not be built.
    pub fn new(url: Endpoint) -> Result<Self, String> {
        Ok(Self { http: web::client(PATIENCE)?, url })
    }

    /// The application at `APP_URL`; none if that is empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] if it is no address.
    pub fn from_env(env: &Env<'_>) -> Result<Option<Self>, EnvError> {
        let url: Option<Endpoint> = env.optional("APP_URL")?;
        let application = url.map(Self::new).transpose();
        application.map_err(|reason| EnvError::Invalid { name: "APP_URL", reason })
    }

    /// Builds a request to a path, which begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request; waits at most 5 s.
    pub async fn ask(&self, request: RequestBuilder) -> Answered {
        let answer = self.begin(request).await?;
        let status = answer.status().as_u16();
        let is_limited = answer.headers().contains_key("retry-after");
        let (body, _) = web::beginning(answer, BODY_LIMIT).await.map_err(|error| error.to_string())?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), is_limited })
    }

    /// Sends a request and leaves the body to the caller; waits at most 5 s, or as long as the request says.
    ///
    /// # Errors
    ///
    /// The reason why no answer arrived.
    pub async fn begin(&self, request: RequestBuilder) -> Result<Response, String> {
        let broken = |error: reqwest::Error| chain(&error.without_url());
        self.http.execute(request.build().map_err(broken)?).await.map_err(broken)
    }
}

impl Answer {
    /// The body as JSON; `null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Status and message, for display.
    pub fn says(&self) -> String {
        match self.json().get("message").and_then(Value::as_str) {
            Some(message) => format!(
                "{} {{\"message\":\"{}\"}}",
                self.status,
                message.chars().take(80).collect::<String>()
            ),
            None => self.status.to_string(),
        }
    }

    /// Interprets the answer to `POST /auth/login`.
    pub fn login(&self) -> Login {
        match self.status {
            200 => {
                let body = self.json();
                let token = body.get("token").and_then(Value::as_str).unwrap_or_default();
                if is_jwt(token) {
                    Login::Token(SecretString::from(token))
                } else if token.starts_with('*') {
                    Login::Masked
                } else {
                    Login::NoToken
                }
            }
            202 => Login::SecondFactor,
            401 => Login::Refused,
            _ if self.is_limited => Login::Limited,
            500 => Login::Failed,
            _ => Login::Unclear,
        }
    }
}

/// Whether a token has the form of a JWT: three base64url parts separated by dots.
pub fn is_jwt(token: &str) -> bool {
    let parts: Vec<_> = token.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, is_limited: bool, expected: &str) {
        let answer = Answer { status, body: body.to_owned(), is_limited };
        let found = format!("{:?}", answer.login());
        assert_eq!(found.split('(').next().unwrap(), expected, "{status} {body}");
        assert!(!found.contains("aa.bb"));
    }

    #[test]
    fn a_login_is_distinguished_from_what_looks_like_a_failure() {
        check(200, r#"{"token":"aa.bb-_.cc","refreshToken":"x"}"#, false, "Token");
        check(200, r#"{"token":"**********6789"}"#, false, "Masked");
        check(200, r#"{"token":"a.b"}"#, false, "NoToken");
        check(200, "", false, "NoToken");
        check(202, r#"{"mfaRequired":true}"#, false, "SecondFactor");
        check(401, r#"{"message":"Invalid credentials"}"#, false, "Refused");
        check(500, "", false, "Failed");
        check(500, "", true, "Limited");
        check(503, "", false, "Unclear");
    }
}
