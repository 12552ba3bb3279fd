//! What the desk itself says to Slack: it opens modals, and answers one person. Incidents' messages are `incident-send`'s.
//!
//! Sources: [views.open](https://docs.slack.dev/reference/methods/views.open),
//! [response URLs](https://docs.slack.dev/interactivity/handling-user-interaction#message_responses).

use std::time::Duration;

use reqwest::{Client, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::runtime::endpoint::Endpoint;
use shared::runtime::failure::chain;
use shared::runtime::web;

use crate::rules::slack::reply::is_slacks;

/// Timeout for opening a modal: its trigger is worth three seconds, some of which are over.
const OPENING: Duration = Duration::from_secs(2);

/// Timeout for an answer to a person, and the pause before another attempt.
const ANSWERING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(2);

/// Most attempts to answer a person. Slack takes five messages at one address.
const ATTEMPTS: usize = 3;

/// Slack's API and the addresses that it gives for answers.
pub(crate) struct Slack {
    api: Endpoint,
    opening: Result<Client, String>,
    answering: Result<Client, String>,
}

impl Slack {
    pub(crate) fn new(api: Endpoint) -> Self {
        Self { api, opening: web::client(OPENING), answering: web::client(ANSWERING) }
    }

    /// Opens a modal.
    ///
    /// # Errors
    ///
    /// Slack's code, or why it did not answer.
    pub(crate) async fn open(&self, token: &SecretString, trigger: &str, view: &Value) -> Result<(), String> {
        let http = self.opening.as_ref().map_err(Clone::clone)?;
        let request = http.post(format!("{}/views.open", self.api)).bearer_auth(token.expose_secret());
        let request =
            request.json(&json!({"trigger_id": trigger, "view": view})).build().map_err(unanswered)?;
        let answer = http.execute(request).await.map_err(unanswered)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("HTTP {}", status.as_u16()));
        }
        let body = web::body(answer).await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| "the answer is not JSON".to_owned())?;
        match (answer.get("ok"), answer.get("error").and_then(Value::as_str)) {
            (Some(Value::Bool(true)), _) => Ok(()),
            (_, Some(code)) => Err(code.chars().take(100).collect()),
            _ => Err("no error code".to_owned()),
        }
    }

    /// Answers a person. An attempt without a clear answer is repeated: a doubled line to one person is better than none.
    ///
    /// # Errors
    ///
    /// Why it did not reach them; never the address, which anybody could use.
    pub(crate) async fn answer(&self, url: &str, message: &Value) -> Result<(), String> {
        if !is_slacks(url, &self.api.to_string()) {
            return Err("the address is not Slack's".to_owned());
        }
        let http = self.answering.as_ref().map_err(Clone::clone)?;
        let mut why = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let request = http.post(url).json(message).build().map_err(unanswered)?;
            match http.execute(request).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if is_final(&answer) => return Err(format!("HTTP {}", answer.status().as_u16())),
                Ok(answer) => why = format!("HTTP {}", answer.status().as_u16()),
                Err(error) => why = unanswered(error),
            }
        }
        Err(why)
    }
}

/// Whether another attempt gets the same answer: the address has expired, or was used five times.
fn is_final(answer: &Response) -> bool {
    let status = answer.status();
    status.as_u16() != 429 && !status.is_server_error()
}

fn unanswered(error: reqwest::Error) -> String {
    chain(&error.without_url())
}
