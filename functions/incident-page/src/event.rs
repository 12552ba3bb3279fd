//! The event: recognised by its shape, since one function has many callers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use incident::{Transport, person};
use serde_json::Value;
use shared::runtime::event::InvalidEvent;

use crate::rules::webhook::Request;

/// An event.
pub(crate) enum Event {
    /// Messages of a queue.
    Batch(Vec<Message>),
    /// One event of a caller that sends it again after an error.
    Alert {
        /// How it arrived.
        transport: Transport,
        /// It, as JSON.
        body: Vec<u8>,
    },
    /// A request of the function URL, not verified.
    Web(Request),
    /// What a person asked for.
    Person(person::Request),
}

/// A message of a queue.
pub(crate) struct Message {
    /// Its `messageId`; empty if it has none.
    pub(crate) id: String,
    /// What filled the queue.
    pub(crate) transport: Transport,
    /// The notification or the event.
    pub(crate) body: String,
}

impl Event {
    /// Recognises an event. One of an unknown shape is an alert: it pages with its raw text.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] if a person asked for something in a wrong way; they see the answer.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        let records = event.get("Records").and_then(Value::as_array).filter(|records| !records.is_empty());
        if let Some(records) = records.filter(|records| records.iter().all(is_of_a_queue)) {
            return Ok(Self::Batch(records.iter().map(message).collect()));
        }
        if event.pointer("/requestContext/http").is_some_and(Value::is_object) {
            return Ok(Self::Web(request(&event)));
        }
        if person::Request::is(&event) {
            return person::Request::try_from(event)
                .map(Self::Person)
                .map_err(|error| InvalidEvent { field: error.field, reason: error.reason });
        }
        let transport = if event.get("awslogs").is_some() {
            Transport::Logs
        } else if event.get("Records").is_some() {
            Transport::Sns
        } else if event.get("detail-type").is_some() {
            Transport::EventBridge
        } else {
            Transport::AlarmAction
        };
        Ok(Self::Alert { transport, body: event.to_string().into_bytes() })
    }
}

fn is_of_a_queue(record: &Value) -> bool {
    record.get("eventSource").and_then(Value::as_str) == Some("aws:sqs")
}

fn message(record: &Value) -> Message {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let body = text("body").map_or_else(|| record.to_string(), str::to_owned);
    let is_event = serde_json::from_str::<Value>(&body).is_ok_and(|body| body.get("detail-type").is_some());
    Message {
        id: text("messageId").unwrap_or_default().to_owned(),
        transport: if is_event { Transport::EventBridge } else { Transport::Sns },
        body,
    }
}

/// The names of headers arrive in lower case.
fn request(event: &Value) -> Request {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let body = text("/body").unwrap_or_default();
    let is_encoded = event.get("isBase64Encoded").and_then(Value::as_bool) == Some(true);
    let decoded = if is_encoded { STANDARD.decode(&body).ok() } else { None };
    Request {
        id: text("/requestContext/requestId").unwrap_or_default(),
        method: text("/requestContext/http/method").unwrap_or_default(),
        path: text("/rawPath").unwrap_or_default(),
        authorization: text("/headers/authorization"),
        signature: text("/headers/x-grafana-alerting-signature"),
        timestamp: text("/headers/x-grafana-alerting-timestamp"),
        body: decoded.unwrap_or_else(|| body.into_bytes()),
    }
}
