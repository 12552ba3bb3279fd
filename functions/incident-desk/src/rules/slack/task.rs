//! What is done after Slack has its answer: the payload by which the function invokes itself, sealed.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::runtime::event::{InvalidEvent, parse};
use shared::runtime::url::{is_signed, sign};

/// Begins what is sealed, so that no signature of Slack's, which is made with the same secret, is a seal.
const SEALED: &[u8] = b"task:";

/// The event of a task, sealed with a signing secret. The task is a text, because a seal is of bytes.
pub(crate) fn event(task: &Task, key: &SecretString) -> Value {
    let text = json!(task).to_string();
    json!({"seal": sign(key, &[SEALED, text.as_bytes()]), "slack": text})
}

/// What proves that a task is the function's own.
pub(crate) struct Seal {
    text: String,
    digits: String,
}

impl Seal {
    /// The seal of an event, with the task that it has to be of.
    pub(crate) fn of(event: &Value) -> Self {
        let part = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { text: part("slack"), digits: part("seal") }
    }

    /// The task, not verified.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] if it is none.
    pub(crate) fn task(&self) -> Result<Task, InvalidEvent> {
        let task = serde_json::from_str::<Value>(&self.text);
        parse(task.map_err(|_| InvalidEvent::at("slack", "expected a task, as JSON in a text"))?)
    }

    /// Whether it was made with one of the keys.
    pub(crate) fn is_made_with(&self, keys: &[SecretString]) -> bool {
        is_signed(keys, &[SEALED, self.text.as_bytes()], &self.digits)
    }
}

/// Work that outlasts the three seconds that Slack waits. Whoever may invoke the function could write one, with a name of the
/// policy that decides about a restore: so it is sealed, and [`Seal`] is checked before anything of it is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Task {
    /// The person.
    pub(crate) who: Who,
    /// What happened once in Slack: a repetition of the invocation has the same.
    pub(crate) cause: String,
    /// Address of Slack for the answer to this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<String>,
    /// What to do.
    pub(crate) what: What,
}

/// A verified Slack user.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Who {
    /// Id of the Slack user.
    pub(crate) id: String,
    /// Their name in the policy; otherwise the one that Slack shows, with the id.
    pub(crate) name: String,
    /// Whether the policy knows them.
    pub(crate) is_known: bool,
}

/// What to do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum What {
    /// A request about an incident: see `incident::person`.
    Ask(Value),
    /// The open incidents.
    List,
    /// One incident, by its id.
    Show(String),
    /// An order about a restore: the payload of `emergency-restore`.
    Order(Value),
    /// A text, where Slack shows none in its answer.
    Say(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_functions_own_task_is_sealed() {
        let key = |text: &str| SecretString::from(text);
        let (old, new) = (key("an-older-signing-secret"), key("a-new-signing-secret"));
        let who = Who { id: "U1".to_owned(), name: "Ana «Souza»".to_owned(), is_known: false };
        let task = Task { who, cause: "slack|1".to_owned(), reply: None, what: What::List };
        let made = event(&task, &old);
        let seal = Seal::of(&made);
        assert_eq!(seal.task(), Ok(task));
        assert!(seal.is_made_with(&[key("a-new-signing-secret"), old]));
        assert!(!seal.is_made_with(&[new]));
        let keys = [key("an-older-signing-secret")];
        let changed = |name: &str, value: Value| {
            let mut event = made.clone();
            event[name] = value;
            Seal::of(&event).is_made_with(&keys)
        };
        let known = json!(made["slack"].as_str().unwrap().replace("false", "true"));
        assert!(changed("slack", made["slack"].clone()));
        for (name, value) in
            [("slack", known), ("seal", json!("")), ("seal", json!("0".repeat(64))), ("seal", json!(null))]
        {
            assert!(!changed(name, value.clone()), "{name} {value}");
        }
    }
}
