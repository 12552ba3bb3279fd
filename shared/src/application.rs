//! The application's API, asked as its users ask it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use secrecy::SecretString;
use serde_json::Value;

use crate::runtime::endpoint::Endpoint;
use crate::runtime::failure::chain;
use crate::runtime::web;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most of a body that is read.
const BODY_LIMIT: usize = 64 * 1024;

/// The application at its address.
pub struct Application {
    http: Client,
    url: Endpoint,
}

/// What the application answered to one request; the error says why it did not.
pub type Answered = Result<Answer, String>;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body's beginning. Danger: a login's holds tokens.
    pub body: String,
    /// Whether it asks to be left alone for a while.
    pub is_limited: bool,
}

/// What came of `POST /auth/login`. Source: observed on the running application.
#[derive(Debug)]
pub enum Login {
    /// A token for what comes next.
    Token(SecretString),
    /// The password was accepted, and the token comes masked (RESPONSE_MASKING_ENABLED).
    Masked,
    /// The password was accepted, and a second factor is asked for.
    SecondFactor,
    /// No such account, or another password.
    Refused,
    /// It wants to be asked later.
    Limited,
    /// It said that all was well, and gave no token.
    NoToken,
    /// Its fault: it could not look.
    Failed,
    /// Neither, e.g. a load balancer without a task.
    Unclear,
}

impl Application {
    /// The application at a base address.
    ///
    /// # Errors
    ///
    /// Why no client could be made.
    pub fn new(url: Endpoint) -> Result<Self, String> {
        Ok(Self { http: web::client(PATIENCE)?, url })
    }

    /// A request to a path, which begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request; waits 5 s at most.
    pub async fn ask(&self, request: RequestBuilder) -> Answered {
        let broken = |error: reqwest::Error| chain(&error.without_url());
        let sent = async {
            let answer = self.http.execute(request.build().map_err(broken)?).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let is_limited = answer.headers().contains_key("retry-after");
            let (body, _) = web::beginning(answer, BODY_LIMIT).await.map_err(|error| error.to_string())?;
            Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), is_limited })
        };
        sent.await
    }
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Status and message, as people may read them.
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

    /// What it says as the answer to `POST /auth/login`.
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

/// Three parts of base64url with dots between.
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
