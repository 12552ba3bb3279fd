//! What a verified request says: a slash command, or an interaction.
//!
//! Sources: [interaction payloads](https://docs.slack.dev/reference/interaction-payloads),
//! [slash commands](https://docs.slack.dev/interactivity/implementing-slash-commands),
//! [`url_verification`](https://docs.slack.dev/reference/events/url_verification).

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use super::verify::Refusal;

/// Most characters of a word of Slack's that an answer repeats.
const SHOWN: usize = 40;

/// A verified request.
#[derive(Debug, PartialEq)]
pub(crate) enum Payload {
    /// A slash command: the text after its name.
    Command(Sender, String),
    /// A button of a message.
    Pressed(Sender, Button),
    /// A submitted modal.
    Submitted(Sender, View),
    /// A shortcut, by its `callback_id`; of a message also with its text.
    Shortcut(Sender, String, Option<String>),
    /// A modal was left; nothing follows.
    Closed,
    /// Slack tries the address's certificate; nothing follows.
    SslCheck,
    /// Slack tries the address: the answer repeats this text.
    Challenge(String),
}

/// Who did it, and how to answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sender {
    /// Id of the Slack user.
    pub(crate) id: String,
    /// The name that the user chose, which may be anybody's.
    pub(crate) name: String,
    /// Opens one modal within three seconds; empty if Slack gave none.
    pub(crate) trigger: String,
    /// Address for messages to this person, for half an hour.
    pub(crate) reply: Option<String>,
}

/// A button that was pressed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Button {
    /// Which one.
    pub(crate) action_id: String,
    /// What it is about: an incident's id, a restore.
    pub(crate) value: String,
}

/// A modal that was submitted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct View {
    /// Its id: one submission is accepted of each.
    pub(crate) id: String,
    /// Which form it is.
    pub(crate) callback_id: String,
    /// What the desk noted in it when it was opened.
    pub(crate) private_metadata: String,
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct State {
    /// By block and by action.
    values: BTreeMap<String, BTreeMap<String, Value>>,
}

impl View {
    /// What was entered into a field, which is a block with one element; none if it was left empty.
    pub(crate) fn value(&self, field: &str) -> Option<Value> {
        let element = self.state.values.get(field)?.values().next()?;
        let selected = element.pointer("/selected_option/value");
        let named = ["value", "selected_user", "selected_date_time"].map(|name| element.get(name));
        selected.into_iter().chain(named.into_iter().flatten()).find(|value| !value.is_null()).cloned()
    }
}

/// The interactions, by `type`. Every type that Slack documents is read or refused by its name.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Interaction {
    BlockActions(Acted),
    ViewSubmission(Submission),
    ViewClosed {},
    Shortcut(Acted),
    MessageAction(Acted),
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Acted {
    user: User,
    #[serde(default)]
    trigger_id: String,
    response_url: Option<String>,
    #[serde(default)]
    callback_id: String,
    #[serde(default)]
    actions: Vec<Button>,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Submission {
    user: User,
    #[serde(default)]
    trigger_id: String,
    view: View,
}

impl User {
    fn sender(self, trigger: String, reply: Option<String>) -> Sender {
        let name = if self.username.is_empty() { self.name } else { self.username };
        Sender { id: self.id, name, trigger, reply }
    }
}

/// Reads a verified body.
///
/// # Errors
///
/// [`Refusal::Unused`] names what Slack sent, [`Refusal::Field`] what is wrong in it.
pub(crate) fn read(body: &[u8]) -> Result<Payload, Refusal> {
    let body = str::from_utf8(body).map_err(|_| Refusal::Field("the body"))?;
    if body.trim_start().starts_with('{') {
        return event(body);
    }
    let form = form(body)?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if let Some(payload) = form.get("payload") {
        return interaction(payload);
    }
    if field("ssl_check") == "1" {
        return Ok(Payload::SslCheck);
    }
    if !form.contains_key("command") {
        return Err(Refusal::Field("payload or command"));
    }
    let sender = Sender {
        id: Some(field("user_id")).filter(|id| !id.is_empty()).ok_or(Refusal::Field("user_id"))?.to_owned(),
        name: field("user_name").to_owned(),
        trigger: field("trigger_id").to_owned(),
        reply: form.get("response_url").cloned(),
    };
    Ok(Payload::Command(sender, field("text").to_owned()))
}

/// An event of the Events API, which the desk does not subscribe to. Its address is tried nevertheless when it is saved.
fn event(body: &str) -> Result<Payload, Refusal> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
        challenge: Option<String>,
    }
    let event: Event = serde_json::from_str(body).map_err(|_| Refusal::Field("type"))?;
    match event.challenge {
        Some(challenge) if event.kind == "url_verification" => Ok(Payload::Challenge(challenge)),
        _ => Err(Refusal::Unused(shown(&event.kind))),
    }
}

fn interaction(payload: &str) -> Result<Payload, Refusal> {
    let value: Value = serde_json::from_str(payload).map_err(|_| Refusal::Field("payload"))?;
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = ["block_actions", "view_submission", "view_closed", "shortcut", "message_action"];
    if !known.contains(&kind.as_str()) {
        return Err(Refusal::Unused(shown(&kind)));
    }
    let interaction: Interaction =
        serde_json::from_value(value).map_err(|_| Refusal::Field("a field of the payload"))?;
    Ok(match interaction {
        Interaction::BlockActions(mut acted) => {
            let button = acted.actions.drain(..).next().ok_or(Refusal::Field("actions"))?;
            Payload::Pressed(acted.user.sender(acted.trigger_id, acted.response_url), button)
        }
        Interaction::ViewSubmission(submission) => {
            Payload::Submitted(submission.user.sender(submission.trigger_id, None), submission.view)
        }
        Interaction::ViewClosed {} => Payload::Closed,
        Interaction::Shortcut(acted) => {
            Payload::Shortcut(acted.user.sender(acted.trigger_id, None), acted.callback_id, None)
        }
        Interaction::MessageAction(acted) => {
            let text = acted.message.map(|message| message.text);
            Payload::Shortcut(
                acted.user.sender(acted.trigger_id, acted.response_url),
                acted.callback_id,
                text,
            )
        }
    })
}

/// A word of Slack's, fit for a log and an answer.
pub(crate) fn shown(word: &str) -> String {
    let word: String = word.chars().filter(char::is_ascii_graphic).take(SHOWN).collect();
    if word.is_empty() { "a payload without a type".to_owned() } else { word }
}

/// The fields of a form; of several with one name, the last.
fn form(body: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8().map(|text| text.into_owned());
        decoded.map_err(|_| Refusal::Field("the body"))
    };
    let pairs = body.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| Ok((decoded(name)?, decoded(value)?)))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use serde_json::json;

    use super::*;

    /// A body with a payload.
    pub(crate) fn body(payload: &Value) -> String {
        format!("payload={}", utf8_percent_encode(&payload.to_string(), NON_ALPHANUMERIC))
    }

    fn read_payload(payload: &Value) -> Result<Payload, Refusal> {
        read(body(payload).as_bytes())
    }

    fn ana(reply: Option<&str>) -> Sender {
        let (id, name) = ("U024BE7LH".to_owned(), "ana.souza".to_owned());
        Sender { id, name, trigger: "1.2.abc".to_owned(), reply: reply.map(str::to_owned) }
    }

    /// Fields that every interaction has, and that are not read.
    fn with(mut own: Value) -> Value {
        own["user"] =
            json!({"id": "U024BE7LH", "username": "ana.souza", "name": "ana.souza", "team_id": "T1"});
        own["trigger_id"] = json!("1.2.abc");
        for (name, value) in [
            ("team", json!({"id": "T1", "domain": "moveongs"})),
            ("api_app_id", json!("A1")),
            ("token", json!("old")),
            ("enterprise", json!(null)),
            ("is_enterprise_install", json!(false)),
        ] {
            own[name] = value;
        }
        own
    }

    const REPLY: &str = "https://hooks.slack.com/actions/T1/2/x";

    #[test]
    fn a_slash_command_is_read_with_its_accents() {
        let text = "token=x&team_id=T1&channel_id=C1&user_id=U024BE7LH&user_name=ana.souza&command=%2Fincidente\
                    &text=INC-20261129-7Q2MZK4A+atualizar+o+login+n%C3%A3o+volta%21%0A%26+a%2Bb&api_app_id=A1\
                    &response_url=https%3A%2F%2Fhooks.slack.com%2Factions%2FT1%2F2%2Fx&trigger_id=1.2.abc";
        let Ok(Payload::Command(sender, text)) = read(text.as_bytes()) else { panic!() };
        assert_eq!(sender, ana(Some(REPLY)));
        assert_eq!(text, "INC-20261129-7Q2MZK4A atualizar o login não volta!\n& a+b");
        assert_eq!(read(b"command=%2Fincidente&text="), Err(Refusal::Field("user_id")));
        assert_eq!(
            read(b"command=%2Fincidente&user_id=U1"),
            Ok(Payload::Command(Sender { id: "U1".to_owned(), ..Sender::default() }, String::new()))
        );
    }

    #[test]
    fn slack_tries_the_address_in_two_ways() {
        assert_eq!(read(b"ssl_check=1&token=x"), Ok(Payload::SslCheck));
        let challenge = r#"{"token": "x", "challenge": "3eZbrw1a", "type": "url_verification"}"#;
        assert_eq!(read(challenge.as_bytes()), Ok(Payload::Challenge("3eZbrw1a".to_owned())));
    }

    #[test]
    fn each_interaction_that_is_used_is_read() {
        let pressed =
            with(json!({"type": "block_actions", "response_url": REPLY, "container": {"type": "message"},
            "channel": {"id": "C1"}, "message": {"text": "🔴", "blocks": []}, "state": {"values": {}},
            "actions": [{"type": "button", "action_id": "desk/update", "block_id": "b", "value": "INC-1",
                "text": {"type": "plain_text", "text": "Atualizar"}, "action_ts": "1.2"}]}));
        let button = Button { action_id: "desk/update".to_owned(), value: "INC-1".to_owned() };
        assert_eq!(read_payload(&pressed), Ok(Payload::Pressed(ana(Some(REPLY)), button)));

        // A button with an address.
        let linked =
            with(json!({"type": "block_actions", "actions": [{"type": "button", "action_id": "runbook"}]}));
        let Ok(Payload::Pressed(_, button)) = read_payload(&linked) else { panic!() };
        assert_eq!(button, Button { action_id: "runbook".to_owned(), value: String::new() });

        assert_eq!(
            read_payload(&with(json!({"type": "view_closed", "view": {}, "is_cleared": true}))),
            Ok(Payload::Closed)
        );
        assert_eq!(
            read_payload(&with(json!({"type": "shortcut", "callback_id": "declare", "action_ts": "1"}))),
            Ok(Payload::Shortcut(ana(None), "declare".to_owned(), None))
        );
        let of_message = with(
            json!({"type": "message_action", "callback_id": "declare", "response_url": REPLY,
            "channel": {"id": "C1"}, "message_ts": "1", "message": {"type": "message", "text": "caiu tudo"}}),
        );
        let expected =
            Payload::Shortcut(ana(Some(REPLY)), "declare".to_owned(), Some("caiu tudo".to_owned()));
        assert_eq!(read_payload(&of_message), Ok(expected));
    }

    #[test]
    fn a_submission_has_the_value_of_each_kind_of_element() {
        let values = json!({
            "text": {"x": {"type": "plain_text_input", "value": "a\nb"}},
            "empty": {"x": {"type": "plain_text_input", "value": null}},
            "severity": {"x": {"type": "static_select", "selected_option": {"value": "S1", "text": {"type": "plain_text", "text": "S1"}}}},
            "none": {"x": {"type": "static_select", "selected_option": null}},
            "commander": {"x": {"type": "users_select", "selected_user": "U024BE7LH"}},
            "nobody": {"x": {"type": "users_select", "selected_user": null}},
            "impact_since": {"x": {"type": "datetimepicker", "selected_date_time": 1_795_956_060}},
        });
        let payload = with(
            json!({"type": "view_submission", "response_urls": [], "view": {"id": "V1", "type": "modal",
            "callback_id": "update", "private_metadata": "{}", "hash": "1.a", "blocks": [], "state": {"values": values}}}),
        );
        let Ok(Payload::Submitted(sender, view)) = read_payload(&payload) else { panic!() };
        assert_eq!((sender, view.id.as_str(), view.callback_id.as_str()), (ana(None), "V1", "update"));
        for (field, expected) in [
            ("text", Some(json!("a\nb"))),
            ("severity", Some(json!("S1"))),
            ("commander", Some(json!("U024BE7LH"))),
            ("impact_since", Some(json!(1_795_956_060))),
            ("empty", None),
            ("none", None),
            ("nobody", None),
            ("absent", None),
        ] {
            assert_eq!(view.value(field), expected, "{field}");
        }
    }

    #[test]
    fn every_other_payload_of_slacks_documentation_is_refused_by_its_name() {
        for kind in [
            "block_suggestion",
            "interactive_message",
            "dialog_submission",
            "dialog_cancellation",
            "dialog_suggestion",
            "workflow_step_edit",
            // The name of the table of interaction payloads; the payload itself says `message_action`.
            "message_actions",
            "a_type_of_the_future",
        ] {
            assert_eq!(read_payload(&with(json!({"type": kind}))), Err(Refusal::Unused(kind.to_owned())));
        }
        for kind in ["event_callback", "app_rate_limited"] {
            let event = json!({"type": kind, "event": {"type": "app_mention"}}).to_string();
            assert_eq!(read(event.as_bytes()), Err(Refusal::Unused(kind.to_owned())));
        }
        let long = json!({"type": format!("<!channel>\u{202e}{}", "x".repeat(500))});
        let Err(Refusal::Unused(shown)) = read_payload(&long) else { panic!() };
        assert!(shown.len() == SHOWN && shown.is_ascii(), "{shown}");
    }

    #[test]
    fn what_is_not_as_documented_is_refused_and_nothing_is_guessed() {
        for body in [
            b"".as_slice(),
            b"a=b",
            b"\xff",
            b"command=%FF&user_id=U1",
            b"payload=",
            b"payload=%7B",
            b"payload=%5B%5D",
            b"{\"challenge\": \"x\"}",
            b"{broken",
        ] {
            let refused = read(body).unwrap_err();
            assert!(matches!(refused, Refusal::Field(_) | Refusal::Unused(_)), "{refused}");
        }
        for payload in [
            json!({"type": "block_actions", "user": {"id": "U1"}, "actions": []}),
            json!({"type": "block_actions", "actions": [{"action_id": "x"}]}),
            json!({"type": "view_submission", "user": {"id": "U1"}}),
            json!({"type": "view_submission", "user": "U1", "view": {}}),
            json!({"type": 1}),
            json!({}),
        ] {
            assert!(read_payload(&payload).is_err(), "{payload}");
        }
    }
}
