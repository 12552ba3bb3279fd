//! Sends what the outbox of incidents has to each channel, and escalates what nobody takes.
//!
//! Trigger: the table's stream, within a second of a change; a sweep once a minute, which finds everything that the
//! stream did not bring or that failed. Source: the guide, 4.1.
//!
//! A row is taken by a lease, sent, and recorded in one transaction with its timeline entry (`outbox.rs`). An event that
//! comes twice finds the row taken or done. If the process dies in between, the lease ends, and the next one to take the
//! row knows that the channel may have the message: it looks for it where the channel lets it (Slack), sends it again
//! where that changes nothing (PagerDuty), and elsewhere says in the message that it may be a repetition.
//!
//! Rules for a row: `incident::store::Row` and `rules/row.rs`; for what a channel answered: `rules/answer.rs`; who is
//! paged when: `rules/escalation.rs`.

mod aws;
mod channels;
mod clock;
mod error;
mod event;
mod hand_over;
mod outbox;
mod rules;
mod send;
mod sweep;
mod work;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use incident::store::{Channel, Channels};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use shared::aws::secrets;
use shared::aws::table::Table;
use shared::run::paging::Pager;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;

use channels::http::Http;
use channels::slack::Slack;
pub use error::SendError;
use event::Event;
use rules::answer::Answer as Said;
use work::Look;

/// Name of the procedure: the function's folder.
pub const PROCEDURE: &str = "incident-send";

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    settings: Settings,
    table: Table,
    secrets: aws_sdk_secretsmanager::Client,
    sns: aws_sdk_sns::Client,
    ses: aws_sdk_sesv2::Client,
    http: Http,
    slack: Slack,
    pagerduty: Endpoint,
    /// The topic that the synthetic event goes to, as every page does.
    pager: Pager,
    channels: Vec<Channel>,
    setup: Setup,
    /// The hour in São Paulo of the daily synthetic event; none for no such event.
    synthetic_hour: Option<u8>,
    /// Whether the stack has a desk in Slack, whose buttons its messages then show.
    has_desk: bool,
}

/// What the channels need besides the message. One that lacks its setting refuses every message, and the next one takes
/// over: a wrong setting must not stop the others.
struct Setup {
    slack_secret: String,
    webhook_secret: Option<String>,
    pagerduty_secret: Option<String>,
    mail_from: Option<String>,
    mail_topic: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Table`] and [`Pager`], and `PAGE_CHANNELS`,
    /// `SLACK_SECRET_NAME`, `SLACK_CHANNEL`, `SLACK_API_URL`, `PAGERDUTY_URL`, `PAGER_TOPIC_ARN`, `SES_REGION`. These may
    /// be empty: `SLACK_WEBHOOK_SECRET_NAME`, `SLACK_SIGNING_SECRET_NAME`, `PAGERDUTY_SECRET_NAME`, `SES_FROM_ADDRESS`,
    /// `SYNTHETIC_HOUR`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let channels: Channels = env.required("PAGE_CHANNELS")?;
        let signing_secret: Option<String> = env.optional("SLACK_SIGNING_SECRET_NAME")?;
        // The SDK would send a message again whose answer was lost, and not say so in it.
        let once = aws.to_builder().retry_config(RetryConfig::disabled()).build();
        let mail_region: String = env.required("SES_REGION")?;
        let mail = aws_sdk_sesv2::config::Builder::from(&once);
        let mail = mail.region(aws_sdk_sesv2::config::Region::new(mail_region)).build();
        Ok(Self {
            settings,
            table: Table::new(env, aws)?,
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            sns: aws_sdk_sns::Client::new(&once),
            ses: aws_sdk_sesv2::Client::from_conf(mail),
            http: Http::new(),
            slack: Slack::new(env.required("SLACK_API_URL")?, env.required("SLACK_CHANNEL")?),
            pagerduty: env.required("PAGERDUTY_URL")?,
            pager: Pager::new(env, aws)?,
            channels: channels.0,
            setup: Setup {
                slack_secret: env.required("SLACK_SECRET_NAME")?,
                webhook_secret: env.optional("SLACK_WEBHOOK_SECRET_NAME")?,
                pagerduty_secret: env.optional("PAGERDUTY_SECRET_NAME")?,
                mail_from: env.optional("SES_FROM_ADDRESS")?,
                mail_topic: env.required("PAGER_TOPIC_ARN")?,
            },
            synthetic_hour: env.optional("SYNTHETIC_HOUR")?,
            has_desk: signing_secret.is_some(),
        })
    }

    /// A channel's secret, read for each message so that a rotated one is used at once.
    ///
    /// # Errors
    ///
    /// The answer for the row. Secrets Manager may be busy, so a failed read is tried again like a busy channel; without
    /// permission, a person has to mend it.
    async fn secret(&self, name: Option<&str>, parameter: &str) -> Result<SecretString, Said> {
        let Some(name) = name else { return Err(Said::Refused { why: format!("{parameter} is not set") }) };
        secrets::value(&self.secrets, name, None).await.map_err(|call| {
            let why = format!("{}: {}", call.operation, call.code);
            let is_ours = call.is_denied() || call.code == "ResourceNotFoundException";
            if is_ours { Said::Refused { why } } else { Said::Later { why, after: None } }
        })
    }
}

/// What an invocation did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// Rows whose channel accepted the message.
    pub accepted: usize,
    /// Rows whose channel did not; they are sent again, or another channel takes over.
    pub failed: usize,
    /// Rows that needed no message, or not yet.
    pub passed: usize,
    /// Incidents that were escalated.
    pub escalated: usize,
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`SendError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), SendError> {
    Event::read(event)?;
    Ok(())
}

/// Sends the rows that an event names, or looks at everything.
///
/// # Errors
///
/// [`SendError`]; what could not be done is left to the next sweep.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, SendError> {
    match Event::read(event)? {
        Event::Rows(keys) => work::run(app, Look::Rows(keys), invocation).await,
        Event::Sweep => sweep::run(app, invocation).await,
    }
}

/// Logs a failure that the next sweep mends.
fn failed(error: &SendError) {
    tracing::error!(message = chain(error), error_type = error.kind());
}
