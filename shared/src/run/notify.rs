//! Messages to the team's Slack channel.
//!
//! Source: [chat.postMessage](https://docs.slack.dev/reference/methods/chat.postMessage),
//! [rate limits](https://docs.slack.dev/apis/web-api/rate-limits).

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::runtime::endpoint::Endpoint;
use crate::runtime::failure::{CallError, chain};
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;
use crate::runtime::web::{self, BodyError};

/// Slack's limits, in characters. It refuses the whole message beyond them.
const HEADER_LIMIT: usize = 150;
const SECTION_LIMIT: usize = 3000;

/// Most sections per message: Slack refuses a message whose blocks total somewhat more than 13,000 characters.
const MOST_SECTIONS: usize = 3;

/// Timeout for an answer, and the longest `Retry-After` honored before the single retry.
const PATIENCE: Duration = Duration::from_secs(3);

/// A message: the event, the resource and the next step. Build one with [`Message::new`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// One line, shown first.
    title: String,
    /// Paragraphs, plain text.
    lines: Vec<String>,
    /// Small print.
    context: String,
    /// Ids of Slack users whom it is for.
    users: Vec<String>,
    /// What a person may do about it in Slack.
    buttons: Vec<Button>,
}

/// A button of a message, which leads to the desk. The text has the command that does the same without Slack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Button {
    /// Which one: `desk/…`.
    pub action_id: String,
    /// Its text, at most 75 characters.
    pub label: String,
    /// What it is about, 1 to 2000 characters.
    pub value: String,
    /// Whether it is the one that people look for.
    pub is_primary: bool,
}

impl Button {
    fn block(&self) -> Value {
        let text = json!({"type": "plain_text", "text": self.label});
        let mut button =
            json!({"type": "button", "action_id": self.action_id, "text": text, "value": self.value});
        if let Some(fields) = button.as_object_mut() {
            fields.extend(self.is_primary.then(|| ("style".to_owned(), json!("primary"))));
        }
        button
    }
}

impl Message {
    /// A message. Its title ends with the environment; its small print names the function, the run and the code version.
    ///
    /// `run` is what the message is sent once for: the record's run id, or the version of the policy.
    pub fn new(settings: &Settings, title: &str, lines: Vec<String>, run: &str) -> Self {
        Self {
            title: format!("{title} ({})", settings.environment),
            lines,
            context: format!("{} · {run} · {}", settings.function, settings.code_version),
            users: Vec::new(),
            buttons: Vec::new(),
        }
    }

    /// The message about a failure: the error, then the next step.
    pub fn failed(settings: &Settings, title: &str, error: &str, next: &str, run: &str) -> Self {
        Self::new(settings, title, vec![error.to_owned(), next_step(settings.language, next)], run)
    }

    /// Puts a technical detail, in English, before the small print.
    #[must_use]
    pub fn detailed(mut self, detail: &str) -> Self {
        self.context = format!("{detail} · {}", self.context);
        self
    }

    /// Puts a line first: a long message is cut at its end.
    #[must_use]
    pub fn headed(mut self, line: String) -> Self {
        self.lines.insert(0, line);
        self
    }

    /// Mentions Slack users, by ids that the policy checked, so that Slack notifies them.
    #[must_use]
    pub fn addressed(mut self, users: Vec<String>) -> Self {
        self.users = users;
        self
    }

    /// Adds buttons, where the stack has a desk.
    #[must_use]
    pub fn with_buttons(mut self, buttons: Vec<Button>) -> Self {
        self.buttons = buttons;
        self
    }

    /// The line shown first.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The paragraphs.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The whole message as plain text, for the log.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}", self.title, self.lines.join("\n"), self.context)
    }

    fn blocks(&self) -> Value {
        let header =
            json!({"type": "header", "text": {"type": "plain_text", "text": cut(&self.title, HEADER_LIMIT)}});
        let sections = self.sections().into_iter();
        let sections = sections.map(|text| json!({"type": "section", "text": mrkdwn(&text)}));
        let context = cut(&escape(&self.context), SECTION_LIMIT);
        let context = json!({"type": "context", "elements": [mrkdwn(&context)]});
        let buttons: Vec<Value> = self.buttons.iter().map(Button::block).collect();
        let actions = (!buttons.is_empty()).then(|| json!({"type": "actions", "elements": buttons}));
        std::iter::once(header).chain(sections).chain(actions).chain([context]).collect()
    }

    /// The lines, packed into sections without splitting a line that fits.
    fn sections(&self) -> Vec<String> {
        let mut sections: Vec<String> = Vec::new();
        let mentions: Vec<_> = self.users.iter().map(|user| format!("<@{user}>")).collect();
        let mentions = (!mentions.is_empty()).then(|| mentions.join(" "));
        let lines = self.lines.iter().map(|line| cut(&escape(line), SECTION_LIMIT));
        for line in mentions.into_iter().chain(lines) {
            match sections.last_mut() {
                Some(last) if last.chars().count() + line.chars().count() < SECTION_LIMIT => {
                    last.push('\n');
                    last.push_str(&line);
                }
                _ => sections.push(line),
            }
        }
        if sections.len() > MOST_SECTIONS {
            sections.truncate(MOST_SECTIONS);
            if let Some(last) = sections.last_mut() {
                *last = cut(&format!("{last}\n…"), SECTION_LIMIT);
            }
        }
        sections
    }
}

/// The line of a message with the next step.
pub fn next_step(language: Language, step: &str) -> String {
    format!("*{}*: {step}", language.next_step())
}

/// Text with bold and code. Without `verbatim`, Slack links addresses and the names of channels and users.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// Escapes `<…>`, which Slack reads as links and mentions: a resource's name must not notify the whole channel.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The first `limit` characters, ending in an ellipsis if the text was cut.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// Why a message did not reach the channel. No error text contains the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotifyError {
    /// The bot token could not be read.
    #[error("could not read the Slack token; check the secret named by SlackSecretName")]
    Token(#[from] CallError),
    /// The secret does not contain a bot token.
    #[error("the secret named by SlackSecretName must contain only a bot token, xoxb-…")]
    NotAToken,
    /// Slack did not answer in time.
    #[error("Slack did not answer: {0}")]
    Unreachable(String),
    /// Slack answered with an HTTP error.
    #[error("Slack answered {0}")]
    Status(u16),
    /// Slack refused the message.
    #[error("Slack refused the message: {0}; see the errors of chat.postMessage in Slack's documentation")]
    Refused(String),
}

/// The team's channel.
pub struct Channel {
    http: Result<reqwest::Client, String>,
    secrets: Client,
    secret_id: String,
    api: Endpoint,
    channel: String,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    error: String,
}

impl Channel {
    /// The channel, e.g. `#incidentes-moveongs`, in the workspace of the bot token in `secret_id`.
    pub fn new(secrets: Client, secret_id: String, api: Endpoint, channel: String) -> Self {
        Self { http: web::client(PATIENCE), secrets, secret_id, api, channel }
    }

    /// Posts the message, retrying once if Slack is busy or does not answer.
    ///
    /// Slack has no idempotency key, so a message that Slack accepted without an answer is posted twice. A duplicate is
    /// better than a lost message.
    ///
    /// # Errors
    ///
    /// [`NotifyError`]; after [`NotifyError::Unreachable`] the message may still have been posted.
    pub async fn post(&self, message: &Message) -> Result<(), NotifyError> {
        let token = self.token().await?;
        let posted = self.twice(message, &token).await;
        // Slack's limit for all blocks together is not documented: a message must not be lost for its buttons.
        if matches!(posted, Err(NotifyError::Refused(_))) && !message.buttons.is_empty() {
            return self.twice(&message.clone().with_buttons(Vec::new()), &token).await;
        }
        posted
    }

    async fn twice(&self, message: &Message, token: &SecretString) -> Result<(), NotifyError> {
        match self.attempt(message, token).await {
            Err((error, Some(wait))) if wait <= PATIENCE => {
                tracing::warn!(message = format!("retrying the Slack message: {}", chain(&error)));
                tokio::time::sleep(wait).await;
                self.attempt(message, token).await.map_err(|(error, _)| error)
            }
            result => result.map_err(|(error, _)| error),
        }
    }

    /// The bot token, read for each message so that a rotated token is used at once.
    async fn token(&self) -> Result<SecretString, NotifyError> {
        let value = self.secrets.get_secret_value().secret_id(&self.secret_id).send().await;
        let value = value.map_err(CallError::during("secretsmanager:GetSecretValue"))?;
        bot_token(&SecretString::from(value.secret_string.unwrap_or_default())).ok_or(NotifyError::NotAToken)
    }

    /// One attempt. An error includes how long to wait before a retry, if one may help.
    async fn attempt(
        &self,
        message: &Message,
        token: &SecretString,
    ) -> Result<(), (NotifyError, Option<Duration>)> {
        let body = json!({"channel": self.channel, "text": cut(&escape(&message.title), SECTION_LIMIT), "mrkdwn": false, "parse": "none", "link_names": false, "unfurl_links": false, "unfurl_media": false, "blocks": message.blocks()});
        let unreachable = |error: reqwest::Error| {
            (NotifyError::Unreachable(chain(&error.without_url())), Some(Duration::from_millis(200)))
        };
        let http = self.http.as_ref().map_err(|error| (NotifyError::Unreachable(error.clone()), None))?;
        let answer = http
            .post(format!("{}/chat.postMessage", self.api))
            .bearer_auth(token.expose_secret())
            .json(&body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err((
                NotifyError::Status(status.as_u16()),
                Some(Duration::from_secs(asked.unwrap_or(1))),
            ));
        }
        if !status.is_success() {
            return Err((NotifyError::Status(status.as_u16()), None));
        }
        let body = web::body(answer).await.map_err(|error| {
            let wait = matches!(error, BodyError::Broken(_)).then_some(Duration::from_millis(200));
            (NotifyError::Unreachable(error.to_string()), wait)
        })?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| (NotifyError::Unreachable(format!("the answer is not JSON: {error}")), None))?;
        if answer.ok { Ok(()) } else { Err((NotifyError::Refused(answer.error), None)) }
    }
}

/// The bot token in a secret's value, without a trailing newline.
pub fn bot_token(value: &SecretString) -> Option<SecretString> {
    let token = value.expose_secret().trim();
    let rest = token.strip_prefix("xoxb-")?;
    rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then(|| SecretString::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_call_everybody_and_a_long_text_is_cut() {
        let message = Message {
            title: "a".repeat(200),
            lines: vec!["<!channel> & co".to_owned(), "é".repeat(4000)],
            context: "run 1".to_owned(),
            users: vec!["U0123ANA".to_owned(), "W0456RUI".to_owned()],
            buttons: Vec::new(),
        };
        let blocks = message.blocks();
        let header = blocks[0]["text"]["text"].as_str().unwrap();
        assert_eq!((header.chars().count(), header.chars().last()), (150, Some('…')));
        let section = |place: usize| blocks[place]["text"]["text"].as_str().unwrap();
        assert_eq!(section(1), "<@U0123ANA> <@W0456RUI>\n&lt;!channel&gt; &amp; co");
        assert_eq!((section(2).chars().count(), section(2).chars().last()), (3000, Some('…')));
        assert_eq!(blocks[3]["type"], "context");
    }

    fn of_lines(lines: Vec<String>) -> Message {
        Message {
            title: String::new(),
            lines,
            context: String::new(),
            users: Vec::new(),
            buttons: Vec::new(),
        }
    }

    #[test]
    fn lines_share_sections_up_to_their_limit_and_a_message_has_a_limit_too() {
        let sections = |lengths: &[usize]| {
            let lines = lengths.iter().map(|length| "é".repeat(*length)).collect();
            of_lines(lines).sections().iter().map(|text| text.chars().count()).collect::<Vec<_>>()
        };
        assert_eq!(sections(&[]), [0; 0]);
        assert_eq!(sections(&[1499, 1500]), [3000]);
        assert_eq!(sections(&[1500, 1500, 7]), [1500, 1508]);
        assert_eq!(sections(&[3000, 3000, 3000]), [3000, 3000, 3000]);
        assert_eq!(sections(&[3000, 3000, 2000, 3000]), [3000, 3000, 2002]);
        let lines = vec!["a".repeat(2_990), "b".repeat(2_990), "c".repeat(2_999), "lost".repeat(9)];
        let message = of_lines(lines);
        let last = message.sections().pop().unwrap();
        assert_eq!((last.chars().count(), last.chars().last()), (3000, Some('…')));
    }

    #[test]
    fn buttons_stand_between_the_text_and_the_small_print() {
        let button = |is_primary| Button {
            action_id: format!("desk/{is_primary}"),
            label: "Aprovar".to_owned(),
            value: "r1".to_owned(),
            is_primary,
        };
        let message = Message {
            title: "a".to_owned(),
            lines: vec!["b".to_owned()],
            context: "c".to_owned(),
            users: Vec::new(),
            buttons: vec![button(true), button(false)],
        };
        let blocks = message.blocks();
        let kinds: Vec<_> =
            blocks.as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["header", "section", "actions", "context"]);
        let text = json!({"type": "plain_text", "text": "Aprovar"});
        let plain = json!({"type": "button", "action_id": "desk/false", "text": text, "value": "r1"});
        assert_eq!(blocks[2]["elements"][1], plain);
        assert_eq!(blocks[2]["elements"][0]["style"], "primary");
        let without = message.with_buttons(Vec::new()).blocks();
        assert_eq!(without.as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_bot_token_is_distinguished_from_what_is_none() {
        let read =
            |text: &str| bot_token(&SecretString::from(text)).map(|token| token.expose_secret().to_owned());
        assert_eq!(read("xoxb-1-2-aB3\n").as_deref(), Some("xoxb-1-2-aB3"));
        for bad in ["", "xoxp-1-2-aB3", "{\"token\": \"xoxb-1\"}", "xoxb-1\r\nHost: evil.example", "xoxb-1 2"]
        {
            assert_eq!(read(bad), None);
        }
    }
}
