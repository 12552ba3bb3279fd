//! Requests to the application, for the checks after a switch.

use std::collections::BTreeMap;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::application::{Application, Login};

use crate::rules::smoke::{Check, Outcome, check, health, list, login, nobodys_login};

/// Email and password of the account for smoke tests: a JSON object of strings.
fn account(value: &SecretString) -> Option<(String, SecretString)> {
    let mut fields: BTreeMap<String, String> = serde_json::from_str(value.expose_secret()).ok()?;
    Some((fields.remove("email")?, SecretString::from(fields.remove("password")?)))
}

/// Health, login and list; without an account, a login that must be refused.
pub(crate) async fn check_all(application: &Application, account_value: Option<&SecretString>) -> Vec<Check> {
    let mut checks = vec![health(&application.ask(application.request(Method::GET, "/health")).await)];
    let enter = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        application.request(Method::POST, "/auth/login").json(&body)
    };
    let Some((email, password)) = account_value.and_then(account) else {
        let answered = application.ask(enter("nobody@governance.invalid", "no account has this")).await;
        checks.push(nobodys_login(&answered));
        let why = "there is no account for smoke tests (SmokeSecretName)";
        checks.push(check("list", Outcome::Unproved, why));
        return checks;
    };
    let answered = application.ask(enter(&email, password.expose_secret())).await;
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
