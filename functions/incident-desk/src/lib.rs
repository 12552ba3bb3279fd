//! Does what people ask about incidents: reads the incident, decides what the request changes (`incident::store`), and
//! stores it in one transaction with what has to be told. `incident-send` tells it.
//!
//! Trigger: a person, by invocation or in Slack (`slack.rs`). Source: the guide, 4.2.

mod aws;
mod error;
mod event;
mod person;
mod rules;
mod slack;

use std::cell::RefCell;
use std::collections::BTreeMap;

use aws_config::SdkConfig;
use incident::store::{Actor, Channel, Channels, Context};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::aws::table::Table;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;

pub use error::DeskError;
use event::Event;

/// Name of the procedure: the function's folder.
pub const PROCEDURE: &str = "incident-desk";

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    settings: Settings,
    table: Table,
    secrets: aws_sdk_secretsmanager::Client,
    lambda: aws_sdk_lambda::Client,
    slack: slack::http::Slack,
    setup: slack::Setup,
    channels: Vec<Channel>,
    /// False while the defaults stand in for a policy that could not be read.
    is_policy_read: bool,
    /// The signing secrets, as they were read last.
    keys: RefCell<Option<slack::Keys>>,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`] and [`Table`], and `PAGE_CHANNELS`,
    /// `SLACK_API_URL`, `SLACK_SECRET_NAME`, `EMERGENCY_RESTORE_FUNCTION`; and `SLACK_SIGNING_SECRET_NAME`, which may be
    /// empty.
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
            lambda: aws::lambda(aws),
            slack: slack::http::Slack::new(env.required("SLACK_API_URL")?),
            setup: slack::Setup {
                signing_secret: env.optional("SLACK_SIGNING_SECRET_NAME")?,
                token_secret: env.required("SLACK_SECRET_NAME")?,
                restore_function: env.required("EMERGENCY_RESTORE_FUNCTION")?,
            },
            channels: channels.0,
            is_policy_read: env.is_policy_read(),
            keys: RefCell::default(),
        })
    }

    fn context(&self, now: Timestamp, attempt: u32) -> Context<'_> {
        self.settings.context(&self.channels, now, attempt)
    }
}

/// The answer.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// For a person who invoked the function.
    Done {
        /// What became of the request: one.
        done: Vec<Done>,
    },
    /// For a request of the function URL.
    Web {
        /// HTTP status.
        #[serde(rename = "statusCode")]
        status: u16,
        /// Type of the body.
        headers: BTreeMap<&'static str, &'static str>,
        /// Body.
        body: String,
    },
    /// For the function itself, which did what was asked in Slack.
    Told {
        /// Whether the answer reached the person.
        told: bool,
    },
}

impl Answer {
    /// A text for whoever asks the function URL.
    fn text(status: u16, body: &str) -> Self {
        Self::of_type(status, "text/plain; charset=utf-8", body.to_owned())
    }

    /// A document for Slack.
    fn json(body: &Value) -> Self {
        Self::of_type(200, "application/json", body.to_string())
    }

    fn of_type(status: u16, content_type: &'static str, body: String) -> Self {
        Self::Web { status, headers: BTreeMap::from([("content-type", content_type)]), body }
    }
}

/// What became of a request.
#[derive(Debug, PartialEq, Serialize)]
pub struct Done {
    /// The incident's id; empty if there is none.
    pub incident: String,
    /// What happened: `opened`, `updated`, `already` and so on.
    pub outcome: &'static str,
    /// With `already`: who had done it before, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// With `already`: when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What was done and has not the effect that people expect, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<&'static str>,
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`DeskError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), DeskError> {
    Event::read(event)?;
    Ok(())
}

/// Does what one event asks.
///
/// # Errors
///
/// [`DeskError`].
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, DeskError> {
    match Event::read(event)? {
        Event::Person(request) => {
            let actor = Actor::claim(request.by(), &app.settings.policy);
            let done = person::act(app, &request, &actor, &invocation.request_id, invocation).await?;
            Ok(Answer::Done { done: vec![done.answer(app.settings.language)] })
        }
        Event::Web(request) => slack::web(app, &request, invocation).await,
        Event::Task(task, seal) => slack::work(app, task, &seal, invocation).await,
    }
}
