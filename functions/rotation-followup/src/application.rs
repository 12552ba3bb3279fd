//! The application's API, asked as its users ask it. The only file that speaks to it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::endpoint::Endpoint;
use shared::failure::chain;

use crate::proof::{
    Answer, Answered, Proof, ROUNDS, health, list, login, new_token, nobodys_login, old_token,
};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most of a body that is read.
const BODY_LIMIT: usize = 64 * 1024;

/// The application at its address.
pub(crate) struct Application {
    http: Client,
    url: Endpoint,
}

/// The account for smoke tests.
pub(crate) struct Account {
    email: String,
    password: SecretString,
}

impl Account {
    /// Reads the value of its secret: JSON with `email` and `password`. None when it is anything else.
    pub(crate) fn parse(value: &SecretString) -> Option<Self> {
        let mut fields: BTreeMap<String, String> = serde_json::from_str(value.expose_secret()).ok()?;
        Some(Self {
            email: fields.remove("email")?,
            password: SecretString::from(fields.remove("password")?),
        })
    }
}

impl Application {
    /// The application at a base address.
    ///
    /// # Errors
    ///
    /// Why no client could be made.
    pub(crate) fn new(url: Endpoint) -> Result<Self, String> {
        // A redirect would carry the token elsewhere.
        let http = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Ok(Self { http: http.build().map_err(|error| chain(&error))?, url })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn ask(&self, request: RequestBuilder) -> Answered {
        let sent = async {
            let mut answer = self.http.execute(request.build()?).await?;
            let status = answer.status().as_u16();
            let is_limited = answer.headers().contains_key("retry-after");
            let mut body = Vec::new();
            while let Some(part) = answer.chunk().await?
                && body.len() < BODY_LIMIT
            {
                body.extend_from_slice(&part);
            }
            Ok::<_, reqwest::Error>(Answer {
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
                is_limited,
            })
        };
        sent.await.map_err(|error| chain(&error.without_url()))
    }

    async fn rounds(&self, request: impl Fn() -> RequestBuilder) -> Vec<Answered> {
        let mut answers = Vec::new();
        for _ in 0..ROUNDS {
            answers.push(self.ask(request()).await);
        }
        answers
    }

    /// `GET /health`.
    pub(crate) async fn health(&self) -> Proof {
        health(&self.rounds(|| self.request(Method::GET, "/health")).await)
    }

    /// Whether it takes a token of ours, or refuses it.
    pub(crate) async fn token(&self, token: &SecretString, is_new: bool) -> Proof {
        let request =
            || self.request(Method::GET, "/beneficiaries?limit=1").bearer_auth(token.expose_secret());
        let answers = self.rounds(request).await;
        if is_new { new_token(&answers) } else { old_token(&answers) }
    }

    /// Login and list with the account for smoke tests; without one, a login of nobody.
    pub(crate) async fn smoke(&self, account: Option<&Account>) -> Vec<Proof> {
        let Some(account) = account else {
            let body = json!({"email": "nobody@governance.invalid", "password": "no account has this"});
            return vec![nobodys_login(
                &self.rounds(|| self.request(Method::POST, "/auth/login").json(&body)).await,
            )];
        };
        let body = json!({"email": account.email, "password": account.password.expose_secret()});
        let (proof, token) = login(&self.ask(self.request(Method::POST, "/auth/login").json(&body)).await);
        let mut proofs = vec![proof];
        if let Some(token) = token {
            let request = self.request(Method::GET, "/beneficiaries?limit=1");
            proofs.push(list(&self.ask(request.bearer_auth(token.expose_secret())).await));
        }
        proofs
    }
}
