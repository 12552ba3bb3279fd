//! The event: recognised by its shape, since one function has many callers.

use incident::{Transport, person};
use serde_json::Value;
use shared::runtime::event::InvalidEvent;
use shared::runtime::url;

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
    /// [`InvalidEvent`] for what a person asks, which is for `incident-desk`: they see the answer, and nobody is paged.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        let records = event.get("Records").and_then(Value::as_array).filter(|records| !records.is_empty());
        if let Some(records) = records.filter(|records| records.iter().all(is_of_a_queue)) {
            return Ok(Self::Batch(records.iter().map(message).collect()));
        }
        if url::Request::is(&event) {
            return Ok(Self::Web(request(&event)));
        }
        if let Some(verb) = person::VERBS.iter().find(|verb| event.get(verb).is_some()) {
            return Err(InvalidEvent::at(
                verb,
                "a person's request is for incident-desk: invoke that function",
            ));
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

fn request(event: &Value) -> Request {
    let request = url::Request::read(event);
    let header = |name: &str| request.header(name).map(str::to_owned);
    Request {
        authorization: header("authorization"),
        signature: header("x-grafana-alerting-signature"),
        timestamp: header("x-grafana-alerting-timestamp"),
        id: request.id,
        method: request.method,
        path: request.path,
        body: request.body,
    }
}
