//! Turns every alert into one incident: reads it, decides what it changes (`incident::store`), and stores event, incident
//! and outbox rows in one transaction. It calls no channel; `incident-send` does.
//!
//! Trigger: the queue, which the paging topic and EventBridge's rule fill; an alarm's Lambda action; a log subscription;
//! webhooks of Alertmanager and Grafana, verified before they are parsed. Source: the guide, 4.1.
//!
//! Nothing is lost: an event counts as done only when its transaction is. Whoever kept it (queue, Lambda, the webhook's
//! sender) sends it again after any failure, and a repetition finds its event stored and does nothing. Before that
//! transaction nothing is written, and after it nothing is left to do, so the process may die anywhere. Events that
//! cannot be understood page with their raw text.

mod aws;
mod error;
mod event;
mod rules;
mod store;

use aws_config::SdkConfig;
use incident::signal;
use incident::store::{Channel, Channels, Context};
use incident::{Signal, Transport};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::aws::table::Table;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::runtime::metrics;
use shared::runtime::settings::Settings;

pub use error::PageError;
use event::{Event, Message};
use rules::webhook::{Refusal, Request};
use store::{Stored, failed};

/// Name of the procedure: the function's folder.
pub const PROCEDURE: &str = "incident-page";

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    settings: Settings,
    table: Table,
    secrets: aws_sdk_secretsmanager::Client,
    /// Name of the secret with the webhooks' credentials; none if the stack has no webhooks.
    webhook_secret: Option<String>,
    channels: Vec<Channel>,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`] and [`Table`], `PAGE_CHANNELS`, and
    /// `ALERT_WEBHOOK_SECRET_NAME`, which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let channels: Channels = env.required("PAGE_CHANNELS")?;
        Ok(Self {
            settings: Settings::from_env(env)?,
            table: Table::new(env, aws)?,
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            webhook_secret: env.optional("ALERT_WEBHOOK_SECRET_NAME")?,
            channels: channels.0,
        })
    }

    fn context(&self, now: Timestamp, attempt: u32) -> Context<'_> {
        self.settings.context(&self.channels, now, attempt)
    }
}

/// The answer, in the form that the caller expects.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// For a queue: the messages to deliver again.
    Batch {
        /// Those messages.
        #[serde(rename = "batchItemFailures")]
        failures: Vec<Failure>,
    },
    /// For a request of the function URL.
    Web {
        /// HTTP status.
        #[serde(rename = "statusCode")]
        status: u16,
        /// One line of text.
        body: String,
    },
    /// For a caller that reads no answer.
    Done {
        /// One for each signal in the event.
        done: Vec<Done>,
    },
}

/// A message to deliver again.
#[derive(Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Its `messageId`.
    #[serde(rename = "itemIdentifier")]
    pub id: String,
}

/// What became of a signal.
#[derive(Debug, PartialEq, Serialize)]
pub struct Done {
    /// The incident's id; empty if there is none.
    pub incident: String,
    /// What happened: `opened`, `updated`, `repeated` and so on.
    pub outcome: &'static str,
}

/// Checks that the function accepts an event. It accepts everything except what people ask of `incident-desk`.
///
/// # Errors
///
/// [`PageError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), PageError> {
    Event::read(event)?;
    Ok(())
}

/// Stores one event, or the messages of a queue.
///
/// # Errors
///
/// [`PageError`]; the caller then sends the event again. For a queue, the answer names the messages to deliver again.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, PageError> {
    match Event::read(event)? {
        Event::Batch(messages) => batch(app, &messages, invocation).await,
        Event::Alert { transport, body } => {
            let signals = signal::read(transport, &invocation.request_id, &body);
            Ok(Answer::Done { done: all(app, &signals, invocation).await? })
        }
        Event::Web(request) => web(app, &request, invocation).await,
    }
}

/// Stores the messages of a queue. One that fails does not hold up the others.
async fn batch(app: &App, messages: &[Message], invocation: &Invocation) -> Result<Answer, PageError> {
    let read = |(place, message): (usize, &Message)| {
        let signals = signal::read(message.transport, &message.id, message.body.as_bytes());
        signals.into_iter().map(move |signal| (place, signal))
    };
    let (places, signals): (Vec<usize>, Vec<Signal>) = messages.iter().enumerate().flat_map(read).unzip();
    let results = stored(app, &signals, invocation).await;
    let mut failures = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let mut own = places.iter().zip(&results).filter(|(of, _)| **of == place);
        let Some(error) = own.find_map(|(_, result)| result.as_ref().err()) else { continue };
        if message.id.is_empty() {
            // An answer cannot name it, so the whole batch is delivered again.
            return Err(error.clone());
        }
        failures.push(Failure { id: message.id.clone() });
    }
    Ok(Answer::Batch { failures })
}

/// Verifies a webhook's request, and stores it. A 4xx is final for the sender; an error is a 502, after which it sends
/// the request again.
async fn web(app: &App, request: &Request, invocation: &Invocation) -> Result<Answer, PageError> {
    let transport = match verified(app, request, invocation.now).await {
        Ok(transport) => transport,
        Err(PageError::Refused(refusal)) => {
            // Nobody sends it again: if it was an alert, its sender's settings are wrong.
            tracing::warn!(message = refusal.to_string());
            if refusal.may_be_an_alert() {
                metrics::count("WebhooksRefused", &app.settings.function);
            }
            return Ok(Answer::Web { status: refusal.status(), body: refusal.to_string() });
        }
        Err(error) => return Err(error),
    };
    let signals = request.signals(transport);
    let done = all(app, &signals, invocation).await?;
    Ok(Answer::Web { status: 200, body: format!("{} stored", done.len()) })
}

/// Who sent a request.
async fn verified(app: &App, request: &Request, now: Timestamp) -> Result<Transport, PageError> {
    let transport = request.transport()?;
    let secret = app.webhook_secret.as_deref().ok_or(Refusal::Path)?;
    if !request.has_credential() {
        return Err(Refusal::Credential.into());
    }
    let credentials = aws::credentials(&app.secrets, secret).await?;
    request.verify(&credentials, now)?;
    Ok(transport)
}

/// Stores signals; the first error, if any.
async fn all(app: &App, signals: &[Signal], invocation: &Invocation) -> Result<Vec<Done>, PageError> {
    stored(app, signals, invocation).await.into_iter().collect()
}

/// Stores signals, logs what failed and measures what did not.
async fn stored(app: &App, signals: &[Signal], invocation: &Invocation) -> Vec<Result<Done, PageError>> {
    let results = store::all(app, signals, invocation).await;
    let mut waits = Vec::new();
    let results = signals.iter().zip(results).map(|(signal, result)| match result {
        Ok(Stored { plan, wait }) => {
            let (incident, outcome) = (plan.incident, plan.outcome.name());
            tracing::info!(message = "stored", incident, outcome, source = signal.source.name());
            waits.extend(wait);
            Ok(Done { incident, outcome })
        }
        Err(error) => {
            failed(app, signal, &error);
            Err(error)
        }
    });
    let results = results.collect();
    metrics::durations("EventToStored", &app.settings.function, &waits);
    results
}
