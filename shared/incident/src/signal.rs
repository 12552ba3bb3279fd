//! Reads an alert into signals, whichever way it arrived.
//!
//! The content decides what it is, and not the transport: an event of EventBridge or a webhook's JSON may also arrive
//! through SNS. Only a webhook is nothing but alerts: whoever has its credential must not speak for an alarm or a page. A missing field, or one of the wrong type, costs only what it would have said.

mod alarm;
mod alert;
mod event;
pub mod fault;
mod health;
mod json;
mod logs;
mod sns;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::{Change, Severity, Signal, Source, Transport};
pub use alarm::runbook;
use json::clean;
pub use json::hash;

/// Most characters of a raw text, or of a reason, that are kept.
pub const MOST_CHARACTERS: usize = 4_000;

/// Most characters of a title.
const LONGEST_TITLE: usize = 250;

/// Most characters of any other text.
pub(crate) const LONGEST_TEXT: usize = 1_000;

/// Most characters of a problem or a dedup key.
pub(crate) const LONGEST_KEY: usize = 2_000;

/// Most messages within messages.
const DEEPEST: u8 = 3;

/// Reads an event. `id` is the transport's own: SNS's `MessageId`, EventBridge's `id`, the request's id.
///
/// The list is empty only if the event says nothing that anybody has to know: a `CONTROL_MESSAGE` of CloudWatch Logs,
/// or log lines that were understood and are no faults.
pub fn read(transport: Transport, id: &str, body: &[u8]) -> Vec<Signal> {
    let origin = Origin { transport, id: id.trim(), at: None, topic: "", subject: None };
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let signals = value.and_then(|value| match transport {
        Transport::Alertmanager | Transport::Grafana => alert::signals(&value, origin),
        Transport::Sns | Transport::EventBridge | Transport::AlarmAction | Transport::Logs => {
            recognised(&value, origin, 0)
        }
    });
    let signals = signals.unwrap_or_else(|| vec![unread(origin, &String::from_utf8_lossy(body))]);
    distinct(signals.into_iter().map(presentable).collect())
}

/// Where a text came from.
#[derive(Clone, Copy)]
struct Origin<'a> {
    transport: Transport,
    /// The transport's id; may be empty.
    id: &'a str,
    /// When the transport took it.
    at: Option<Timestamp>,
    /// ARN of the SNS topic; may be empty.
    topic: &'a str,
    subject: Option<&'a str>,
}

impl Origin<'_> {
    /// What takes the place of a missing time in a key.
    fn key(&self, raw: &str) -> String {
        if self.id.is_empty() { hash(raw) } else { self.id.to_owned() }
    }
}

/// The signals of JSON whose shape is known.
fn recognised(value: &Value, origin: Origin<'_>, depth: u8) -> Option<Vec<Signal>> {
    if depth > DEEPEST {
        return None;
    }
    if value.get("awslogs").is_some() {
        return Some(logs::subscription(value, origin));
    }
    if let Some(records) = value.get("Records").and_then(Value::as_array).filter(|list| !list.is_empty()) {
        return Some(records.iter().flat_map(|record| sns::record(record, origin, depth)).collect());
    }
    if sns::is_envelope(value) {
        return Some(sns::envelope(value, origin, depth));
    }
    logs::batch(value)
        .or_else(|| event::signals(value, origin))
        .or_else(|| alarm::action(value, origin).map(|signal| vec![signal]))
        .or_else(|| alarm::message(value, origin).map(|signal| vec![signal]))
        .or_else(|| alert::signals(value, origin))
}

/// A signal that pages, with nothing but its identity.
pub fn blank(source: Source, problem: String, event: String) -> Signal {
    Signal {
        source,
        problem,
        event,
        change: Change::Triggered,
        changed_at: None,
        title: String::new(),
        reason: String::new(),
        severity: None,
        labels: BTreeMap::new(),
        runbook: None,
        owner: None,
        link: None,
        muted_by_source: None,
        understood: true,
        is_vouched: true,
    }
}

/// The signal of what was not understood.
fn unread(origin: Origin<'_>, raw: &str) -> Signal {
    let hash = hash(raw);
    let event = format!("raw|{}|{hash}", origin.id);
    // A log may contain personal data, and its lines were not found here.
    let shown = if origin.transport == Transport::Logs { fault::masked_start(raw) } else { raw.to_owned() };
    Signal {
        changed_at: origin.at,
        title: origin.subject.unwrap_or_else(|| first_line(&shown)).to_owned(),
        understood: false,
        reason: shown,
        ..blank(Source::Unknown, format!("raw|{hash}"), event)
    }
}

fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// The highest severity among words.
fn highest<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Severity> {
    words.into_iter().filter_map(Severity::from_word).reduce(Severity::higher)
}

/// An address that a person may follow.
fn address(text: Option<&str>) -> Option<String> {
    text.filter(|text| text.starts_with("https://") || text.starts_with("http://")).map(str::to_owned)
}

/// A key of limited length, which differs where the whole one does.
fn short_key(key: String) -> String {
    let hash = hash(&key);
    match key.char_indices().nth(LONGEST_KEY) {
        None => key,
        Some(_) => key.chars().take(LONGEST_KEY - hash.len() - 1).chain(['|']).chain(hash.chars()).collect(),
    }
}

/// Limits the keys and the texts, and cleans the texts that people read.
pub(crate) fn presentable(signal: Signal) -> Signal {
    let short = |text: String| clean(text.trim(), LONGEST_TEXT);
    let optional = |text: Option<String>| text.map(short).filter(|text| !text.is_empty());
    let title = clean(first_line(&signal.title), LONGEST_TITLE);
    let labels = signal.labels.into_iter().map(|(name, value)| (short(name), short(value)));
    Signal {
        problem: short_key(signal.problem),
        event: short_key(signal.event),
        title: if title.trim().is_empty() { signal.source.name().to_owned() } else { title },
        reason: clean(&signal.reason, MOST_CHARACTERS),
        labels: labels.filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect(),
        runbook: optional(signal.runbook),
        owner: optional(signal.owner),
        link: optional(signal.link),
        muted_by_source: optional(signal.muted_by_source),
        ..signal
    }
}

/// Drops repetitions, and gives different signals with the same key keys of their own: the second would be lost as a
/// repetition of the first.
fn distinct(signals: Vec<Signal>) -> Vec<Signal> {
    let mut keys = BTreeSet::new();
    let mut kept: Vec<Signal> = Vec::new();
    for mut signal in signals {
        if !keys.insert(signal.event.clone()) {
            if kept.contains(&signal) {
                continue;
            }
            signal.event = format!("{}|{}", signal.event, kept.len());
            keys.insert(signal.event.clone());
        }
        kept.push(signal);
    }
    kept
}
