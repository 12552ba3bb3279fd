//! Requests to the application, for the checks after a switch.

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;
use shared::application::{Account, Application, Login};

use crate::rules::smoke::{Check, Outcome, check, health, list, login, nobodys_login};

/// Health, login and list; without an account, a login that must be refused.
pub(crate) async fn check_all(application: &Application, account: Option<&Account>) -> Vec<Check> {
    let mut checks = vec![health(&application.ask(application.request(Method::GET, "/health")).await)];
    let enter = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        application.request(Method::POST, "/auth/login").json(&body)
    };
    let Some(account) = account else {
        let answered = application.ask(enter("nobody@governance.invalid", "no account has this")).await;
        checks.push(nobodys_login(&answered));
        let why = "there is no account for smoke tests (SmokeSecretName)";
        checks.push(check("list", Outcome::Unproved, why));
        return checks;
    };
    let answered = application.ask(enter(&account.email, account.password.expose_secret())).await;
    checks.push(login(&answered));
    match answered.as_ref().ok().map(|answer| answer.login()) {
        Some(Login::Token(token)) => {
            let request = application.request(Method::GET, "/beneficiaries?limit=1");
            checks.push(list(&application.ask(request.bearer_auth(token.expose_secret())).await));
        }
        _ => checks.push(check("list", Outcome::Unproved, "no token to ask with")),
    }
    checks
}
