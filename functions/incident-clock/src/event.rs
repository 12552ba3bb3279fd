//! The event: changes of the table, a timer, a sweep, or a person's request.

use std::collections::BTreeSet;

use incident::store::Key;
use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, parse};

use crate::rules::register::Request;

/// An event.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// Ids of incidents that changed, each once.
    Changed(BTreeSet<String>),
    /// A timer of an incident fired. Which one does not matter: what is due follows from the incident.
    Timer(String),
    /// Look at everything.
    Sweep,
    /// What a person adds to the register of the LGPD.
    Register(Box<Request>),
}

/// What schedules and people send: one of the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    sweep: Option<bool>,
    timer: Option<Timer>,
    register: Option<Request>,
}

/// What a timer's schedule sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timer {
    incident: String,
    #[expect(dead_code, reason = "for whoever reads the schedule or the dead letter")]
    name: String,
}

impl Event {
    /// Reads an event. Of the table's stream only the keys are read: it may lag.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        if let Some(records) = event.get("Records").and_then(Value::as_array) {
            return Ok(Self::Changed(records.iter().filter_map(changed).collect()));
        }
        match parse(event)? {
            Given { sweep: Some(true), timer: None, register: None } => Ok(Self::Sweep),
            Given { sweep: None, timer: Some(timer), register: None } => Ok(Self::Timer(timer.incident)),
            Given { sweep: None, timer: None, register: Some(request) } => {
                request.check()?;
                Ok(Self::Register(Box::new(request)))
            }
            _ => Err(InvalidEvent::at(".", "expected one of sweep: true, timer, register")),
        }
    }
}

/// The incident that a record of the stream names; none for other items.
fn changed(record: &Value) -> Option<String> {
    let text = |name: &str| record.pointer(&format!("/dynamodb/Keys/{name}/S"))?.as_str();
    incident(&Key { pk: text("pk")?.to_owned(), sk: text("sk")?.to_owned() })
}

/// The id of the incident that a key of an incident's item names.
fn incident(key: &Key) -> Option<String> {
    let id = key.pk.strip_prefix("INCIDENT#")?;
    (Key::incident(id) == *key).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_names_incidents_or_asks_for_a_sweep() {
        let record = |pk: &str, sk: &str| json!({"dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}}});
        let records = [
            record("INCIDENT#b", "STATE"),
            record("INCIDENT#a", "STATE"),
            record("INCIDENT#b", "STATE"),
            record("INCIDENT#c", "CLOCK"),
            record("PROBLEM#c", "STATE"),
            json!({"dynamodb": {}}),
        ];
        let ids = ["a", "b"].map(str::to_owned);
        assert_eq!(Event::read(json!({"Records": records})), Ok(Event::Changed(ids.into())));
        assert_eq!(Event::read(json!({"sweep": true})), Ok(Event::Sweep));
        let timer = json!({"timer": {"incident": "INC-1", "name": "INC-1-update-1-30"}});
        assert_eq!(Event::read(timer), Ok(Event::Timer("INC-1".to_owned())));
        let register = json!({"register": {"incident": "INC-20261130-7Q2MZK4A", "by": "Ana", "facts": {"risk": "alto"}}});
        assert!(matches!(Event::read(register), Ok(Event::Register(_))));
        for (event, field) in [
            (json!({"sweep": false}), "."),
            (json!({"sweep": true, "more": 1}), "more"),
            (json!({"sweep": true, "timer": {"incident": "a", "name": "b"}}), "."),
            (json!({"timer": {}}), "timer"),
            (
                json!({"register": {"incident": "INC-20261130-7Q2MZK4A", "by": "", "facts": {"people": 1}}}),
                "register.by",
            ),
            (
                json!({"register": {"incident": "x", "by": "Ana", "facts": {"cpf": "1"}}}),
                "register.facts.cpf",
            ),
            (json!({}), "."),
            (json!([]), "."),
        ] {
            let read = Event::read(event.clone());
            assert_eq!(read.map_err(|error| error.field), Err(field.to_owned()), "{event}");
        }
    }
}
