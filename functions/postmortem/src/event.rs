//! The event: a schedule, the clock, or a person.

use incident::person::is_incident;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};

use crate::rules::journal::State;

/// Longest document that a person may give, in bytes: GitHub shows and compares files up to 1 MB.
pub(crate) const MOST_BYTES: usize = 500_000;

/// A request to the function.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Event {
    /// The daily run.
    #[serde(skip)]
    Daily,
    /// Write the document of an incident that is over.
    Document(Document),
    /// Change a post-mortem.
    Postmortem(Change),
    /// Change an action of a closed post-mortem.
    Action(Act),
}

/// An incident whose document is to be written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The incident's id.
    pub incident: String,
    /// The person who asks for it, also where the policy does not; none from the clock.
    #[serde(default)]
    pub by: Option<String>,
}

/// A change of a post-mortem: one of `state` and `text`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// The incident's id.
    pub incident: String,
    /// The person.
    pub by: String,
    /// The state it comes to.
    #[serde(default)]
    pub state: Option<State>,
    /// The whole document, in Markdown, where no repository has it.
    #[serde(default)]
    pub text: Option<String>,
}

/// A change of an action: `done`, or `due` with its reason.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Act {
    /// The incident's id.
    pub incident: String,
    /// The action's number.
    pub number: u32,
    /// The person.
    pub by: String,
    /// Whether it is done.
    #[serde(default)]
    pub done: bool,
    /// Its new day.
    #[serde(default)]
    pub due: Option<Date>,
    /// Why it has another day, or how it is done.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        let is_schedule = event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event");
        let is_empty = event.is_null() || event.as_object().is_some_and(serde_json::Map::is_empty);
        if is_schedule || is_empty {
            return Ok(Self::Daily);
        }
        let read: Self = parse(event)?;
        read.check()?;
        Ok(read)
    }

    /// Whether an event is one of the clock's, which nobody waits for.
    pub(crate) fn is_of_the_clock(event: &Value) -> bool {
        event.get("document").is_some_and(|document| document.get("by").is_none())
    }

    fn check(&self) -> Result<(), InvalidEvent> {
        let (field, incident, by) = match self {
            Self::Daily => return Ok(()),
            Self::Document(asked) => ("document", &asked.incident, asked.by.as_deref()),
            Self::Postmortem(asked) => ("postmortem", &asked.incident, Some(asked.by.as_str())),
            Self::Action(asked) => ("action", &asked.incident, Some(asked.by.as_str())),
        };
        let at = |name: &str, reason: &str| Err(InvalidEvent::at(&format!("{field}.{name}"), reason));
        if !is_incident(incident) {
            return at("incident", "expected an incident's id, e.g. INC-20261129-7Q2MZK4A");
        }
        if by.is_some_and(|by| !is_line(by, 100)) {
            return at("by", "expected a person's name, one line of at most 100 characters");
        }
        match self {
            Self::Postmortem(Change { state, text, .. }) => match (state, text) {
                (None, None) | (Some(_), Some(_)) => at("state", "expected either state or text"),
                (Some(State::Dropped), _) => at("state", "expected draft, in_review or closed"),
                (_, Some(text)) if text.trim().is_empty() || text.len() > MOST_BYTES => {
                    at("text", "expected the whole document, of at most 500,000 bytes")
                }
                _ => Ok(()),
            },
            Self::Action(Act { done, due, .. }) if *done == due.is_some() => {
                at("done", "expected either done or due")
            }
            Self::Action(Act { due, reason, .. }) => match reason {
                Some(reason) if is_line(reason, 300) => Ok(()),
                None if due.is_none() => Ok(()),
                _ => at("reason", "expected one line of at most 300 characters, e.g. why it has another day"),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_person_wrote_wrongly_is_named() {
        let id = "INC-20261129-7Q2MZK4A";
        for (event, field) in [
            (json!({"x": 1}), "."),
            (json!({"document": {"incident": "7Q2MZK4A"}}), "document.incident"),
            (json!({"document": {"incident": "INC-../x"}}), "document.incident"),
            (json!({"document": {"incident": "INC-"}}), "document.incident"),
            (json!({"document": {"incident": id, "by": ""}}), "document.by"),
            (json!({"postmortem": {"incident": id, "state": "closed"}}), "postmortem"),
            (json!({"postmortem": {"incident": id, "by": "Ana"}}), "postmortem.state"),
            (json!({"postmortem": {"incident": id, "by": "Ana", "state": "dropped"}}), "postmortem.state"),
            (json!({"postmortem": {"incident": id, "by": "Ana", "state": "done"}}), "postmortem.state"),
            (json!({"postmortem": {"incident": id, "by": "Ana", "text": " "}}), "postmortem.text"),
            (json!({"postmortem": {"incident": id, "by": "A\nB", "state": "draft"}}), "postmortem.by"),
            (json!({"action": {"incident": id, "number": 1, "by": "Ana"}}), "action.done"),
            (
                json!({"action": {"incident": id, "number": 1, "by": "Ana", "due": "2026-12-20"}}),
                "action.reason",
            ),
            (
                json!({"action": {"incident": id, "number": 1, "by": "Ana", "done": true, "reason": "a\nb"}}),
                "action.reason",
            ),
            (
                json!({"action": {"incident": id, "number": 1, "by": "Ana", "due": "20/12", "reason": "x"}}),
                "action.due",
            ),
        ] {
            let refused = Event::read(event.clone()).unwrap_err();
            assert_eq!(refused.field, field, "{event}: {}", refused.reason);
        }
        assert_eq!(Event::read(json!({})).unwrap(), Event::Daily);
        assert_eq!(Event::read(Value::Null).unwrap(), Event::Daily);
        let asked = Event::read(json!({"document": {"incident": id}})).unwrap();
        assert_eq!(asked, Event::Document(Document { incident: id.to_owned(), by: None }));
    }
}
