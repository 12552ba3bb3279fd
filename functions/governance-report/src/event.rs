//! The event: a schedule, new evidence, or a person.

use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, parse};

/// Why the page is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The daily run, which also sends the month's mail.
    Daily,
    /// New evidence: messages of the queue, whose content is ignored.
    Evidence,
    /// A person wants every record to be read again.
    Full,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    verify: Wanted,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    All,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        let is_schedule = event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event");
        if is_schedule || event.is_null() || event.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(Self::Daily);
        }
        let records = event.get("Records").and_then(Value::as_array);
        let is_queue = |record: &Value| record.get("eventSource").is_some_and(|source| source == "aws:sqs");
        if records.is_some_and(|records| !records.is_empty() && records.iter().all(is_queue)) {
            return Ok(Self::Evidence);
        }
        let Asked { verify: Wanted::All } = parse(event)?;
        Ok(Self::Full)
    }

    /// The record's trigger.
    pub(crate) fn trigger(self) -> &'static str {
        match self {
            Self::Daily => "daily run",
            Self::Evidence => "new evidence",
            Self::Full => "a person's call",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_has_its_meaning_and_others_are_refused() {
        for (event, expected) in [
            (json!(null), Event::Daily),
            (json!({}), Event::Daily),
            (json!({"detail-type": "Scheduled Event", "source": "aws.scheduler"}), Event::Daily),
            (json!({"Records": [{"eventSource": "aws:sqs", "body": "{"}]}), Event::Evidence),
            (json!({"verify": "all"}), Event::Full),
        ] {
            assert_eq!(Event::read(event.clone()), Ok(expected), "{event}");
        }
        for (event, field) in [
            (json!({"Records": []}), "Records"),
            (json!({"Records": [{"eventSource": "aws:s3"}]}), "Records"),
            (json!({"verify": "some"}), "verify"),
            (json!({"verifyy": "all"}), "verifyy"),
            (json!([]), "."),
        ] {
            let error = Event::read(event.clone()).unwrap_err().to_string();
            assert!(field == "." || error.contains(field), "{event}: {error}");
        }
    }
}
