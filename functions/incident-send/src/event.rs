//! The event: changes of the table, or a sweep.

use std::collections::BTreeSet;

use incident::store::Key;
use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, parse};

/// An event.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// Rows that may be due, each once.
    Rows(Vec<Key>),
    /// Look at everything.
    Sweep,
}

/// What the schedule, or a person, sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sweep {
    sweep: bool,
}

impl Event {
    /// Reads an event. Of the table's stream only the keys are read: it may lag.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        if let Some(records) = event.get("Records").and_then(Value::as_array) {
            let rows: BTreeSet<Key> = records.iter().filter_map(row).collect();
            return Ok(Self::Rows(rows.into_iter().collect()));
        }
        let Sweep { sweep } = parse(event)?;
        if sweep { Ok(Self::Sweep) } else { Err(InvalidEvent::at("sweep", "expected true")) }
    }
}

/// The row that a record of the stream names; none for other items.
fn row(record: &Value) -> Option<Key> {
    let text = |name: &str| record.pointer(&format!("/dynamodb/Keys/{name}/S"))?.as_str().map(str::to_owned);
    let key = Key { pk: text("pk")?, sk: text("sk")? };
    key.sk.starts_with(Key::ROWS).then_some(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_names_rows_or_asks_for_a_sweep() {
        let record = |sk: &str| json!({"eventSource": "aws:dynamodb", "dynamodb": {"Keys": {"pk": {"S": "INCIDENT#a"}, "sk": {"S": sk}}}});
        let key = |sk: &str| Key { pk: "INCIDENT#a".to_owned(), sk: sk.to_owned() };
        let records = ["SEND#slack#post", "STATE", "SEND#ses#oncall", "SEND#slack#post"].map(record);
        let read = Event::read(json!({"Records": records}));
        assert_eq!(read, Ok(Event::Rows(vec![key("SEND#ses#oncall"), key("SEND#slack#post")])));
        assert_eq!(Event::read(json!({"Records": [{"dynamodb": {}}, 1]})), Ok(Event::Rows(vec![])));
        assert_eq!(Event::read(json!({"sweep": true})), Ok(Event::Sweep));
        for (event, field) in [
            (json!({"sweep": false}), "sweep"),
            (json!({"sweep": true, "more": 1}), "more"),
            (json!({}), "."),
            (json!([]), "."),
        ] {
            assert_eq!(
                Event::read(event.clone()).map_err(|error| error.field),
                Err(field.to_owned()),
                "{event}"
            );
        }
    }
}
