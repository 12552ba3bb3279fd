//! Requests to the application, for the proofs.

use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::application::{Account, Answered, Application};

use crate::rules::proof::{Proof, ROUNDS, health, list, login, new_token, nobodys_login, old_token};

async fn rounds(application: &Application, request: impl Fn() -> RequestBuilder) -> Vec<Answered> {
    let mut answers = Vec::new();
    for _ in 0..ROUNDS {
        let answered = application.ask(request()).await;
        let is_limited = answered.as_ref().is_ok_and(|answer| answer.is_limited);
        answers.push(answered);
        if is_limited {
            break;
        }
    }
    answers
}

/// `GET /health`.
pub(crate) async fn check_health(application: &Application) -> Proof {
    health(&rounds(application, || application.request(Method::GET, "/health")).await)
}

/// `GET /beneficiaries` with a token that this function signed with the new or the old key.
pub(crate) async fn check_token(application: &Application, token: &SecretString, is_new: bool) -> Proof {
    let request =
        || application.request(Method::GET, "/beneficiaries?limit=1").bearer_auth(token.expose_secret());
    let answers = rounds(application, request).await;
    if is_new { new_token(&answers) } else { old_token(&answers) }
}

/// Login and list with the account for smoke tests; without an account, a login that must be refused.
pub(crate) async fn check_login(application: &Application, account: Option<&Account>) -> Vec<Proof> {
    let enter = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        application.request(Method::POST, "/auth/login").json(&body)
    };
    let Some(account) = account else {
        let request = || enter("nobody@governance.invalid", "no account has this");
        return vec![nobodys_login(&rounds(application, request).await)];
    };
    let request = enter(&account.email, account.password.expose_secret());
    let (proof, token) = login(&application.ask(request).await);
    let mut proofs = vec![proof];
    if let Some(token) = token {
        let request = application.request(Method::GET, "/beneficiaries?limit=1");
        proofs.push(list(&application.ask(request.bearer_auth(token.expose_secret())).await));
    }
    proofs
}
