//! Notifications of SNS: what they carry, pages of this product, and any other text.

use serde_json::Value;

use super::fault::normalized;
use super::json::{instant_at, text, texts};
use super::{Origin, blank, first_line, highest, recognised, unread};
use crate::{Change, Signal, Source};

/// The version of a page's JSON that this code knows.
const VERSION: u64 = 1;

/// Fields of a page that people read.
const SHOWN: [&str; 4] = ["backup", "environment", "kind", "resource"];

/// One of Lambda's `Records`.
pub(super) fn record(record: &Value, origin: Origin<'_>, depth: u8) -> Vec<Signal> {
    match record.get("Sns").filter(|notification| notification.is_object()) {
        Some(notification) => envelope(notification, origin, depth),
        None => {
            recognised(record, origin, depth + 1).unwrap_or_else(|| vec![unread(origin, &record.to_string())])
        }
    }
}

/// Whether it is a notification, as SQS delivers it.
pub(super) fn is_envelope(value: &Value) -> bool {
    texts(value, &["MessageId", "SignatureVersion", "Timestamp", "TopicArn", "Type"]) > 1
}

/// What a notification carries.
pub(super) fn envelope(value: &Value, origin: Origin<'_>, depth: u8) -> Vec<Signal> {
    let origin = Origin {
        id: text(value, "/MessageId").unwrap_or(origin.id),
        at: instant_at(value, "/Timestamp"),
        topic: text(value, "/TopicArn").unwrap_or_default(),
        subject: text(value, "/Subject"),
        ..origin
    };
    let Some(message) = text(value, "/Message") else { return vec![unread(origin, &value.to_string())] };
    if let Some(page) = page(value, message, origin) {
        return vec![page];
    }
    match serde_json::from_str::<Value>(message) {
        Ok(json) if json.is_object() || json.is_array() => {
            recognised(&json, origin, depth + 1).unwrap_or_else(|| vec![unread(origin, message)])
        }
        Err(_) if message.starts_with('{') => vec![unread(origin, message)],
        _ => vec![other(value, message, origin)],
    }
}

fn attribute<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let fields = ["Value", "StringValue", "stringValue"];
    fields.into_iter().find_map(|field| text(value, &format!("/MessageAttributes/{name}/{field}")))
}

/// A page of this product; see `shared::run::paging`. Each field comes from the attribute `page`, which has all of them as
/// JSON; otherwise from its own attribute; otherwise from the notification.
fn page(value: &Value, message: &str, origin: Origin<'_>) -> Option<Signal> {
    let body: Option<Value> = attribute(value, "page").and_then(|body| serde_json::from_str(body).ok());
    let is_known = |body: &Value| body.get("version").and_then(Value::as_u64) == Some(VERSION);
    let body = body.filter(is_known).unwrap_or_default();
    let field = |name: &str| {
        let other = if name == "resource" { "secret" } else { name };
        text(&body, &format!("/{name}")).or_else(|| attribute(value, other))
    };
    let (key, kind, action) = (field("dedup_key"), field("kind"), field("action"));
    if key.is_none() && (kind.is_none() || action.is_none()) {
        return None;
    }
    let problem = key.map_or_else(|| identity(message, origin), str::to_owned);
    let action = action.unwrap_or("trigger").to_lowercase();
    let event = format!("page|{problem}|{action}|{}", origin.key(message));
    let shown = SHOWN.into_iter().filter_map(|name| Some((name.to_owned(), field(name)?.to_owned())));
    Some(Signal {
        change: if action == "resolve" { Change::Resolved } else { Change::Triggered },
        changed_at: origin.at,
        title: field("subject").or(origin.subject).unwrap_or_else(|| first_line(message)).to_owned(),
        reason: text(&body, "/text").unwrap_or(message).to_owned(),
        severity: highest(field("severity")),
        labels: shown.collect(),
        runbook: field("runbook").map(str::to_owned),
        owner: field("owner").map(str::to_owned),
        ..blank(Source::Page, problem, event)
    })
}

fn other(value: &Value, message: &str, origin: Origin<'_>) -> Signal {
    Signal {
        changed_at: origin.at,
        title: origin.subject.unwrap_or_else(|| first_line(message)).to_owned(),
        reason: message.to_owned(),
        severity: highest(attribute(value, "severity")),
        ..blank(Source::Message, identity(message, origin), format!("message|{}", origin.key(message)))
    }
}

fn identity(message: &str, origin: Origin<'_>) -> String {
    let words = origin.subject.unwrap_or_else(|| first_line(message));
    format!("message|{}|{}", origin.topic, normalized(words))
}
