//! PagerDuty's Events API v2. The incident's id is the dedup key, so an event may be sent again at any time.
//!
//! Source: [Events API v2](https://developer.pagerduty.com/docs/send-alert-event).

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::runtime::endpoint::Endpoint;

use super::http::{Http, Reply};
use crate::rules::answer::Answer;

/// Sends the events of one message, in order.
pub(crate) async fn send(http: &Http, api: &Endpoint, key: &SecretString, events: Vec<Value>) -> Answer {
    let key = key.expose_secret().trim();
    if key.len() != 32 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Answer::Refused {
            why: "the secret must contain only an integration key of 32 characters".to_owned(),
        };
    }
    let mut last = Answer::Rejected { why: "no event".to_owned() };
    for mut event in events {
        if let Some(body) = event.as_object_mut() {
            body.insert("routing_key".to_owned(), json!(key));
        }
        last = match http.post(&format!("{api}/v2/enqueue"), None, &event).await {
            Ok(reply) => answer(&reply),
            // The same key again changes nothing, so it does not matter whether it arrived.
            Err(answer) => Answer::Later { why: answer.text().to_owned(), after: None },
        };
        if !last.is_accepted() {
            break;
        }
    }
    last
}

/// An event's meaning is its action; one that never triggered cannot be resolved, so a first event that is over already
/// triggers first: nobody would learn of it otherwise.
pub(crate) fn events(event: Value, is_first: bool) -> Vec<Value> {
    let is_trigger = event.get("event_action").and_then(Value::as_str) == Some("trigger");
    if !is_first || is_trigger {
        return vec![event];
    }
    let mut trigger = event.clone();
    if let Some(body) = trigger.as_object_mut() {
        body.insert("event_action".to_owned(), json!("trigger"));
    }
    vec![trigger, event]
}

fn answer(reply: &Reply) -> Answer {
    let why = format!("HTTP {}", reply.status);
    match reply.status {
        202 => Answer::Accepted { said: "202".to_owned() },
        429 | 500.. => Answer::Later { why, after: reply.after },
        400 => Answer::Rejected { why: problem(reply).unwrap_or(why) },
        _ => Answer::Refused { why },
    }
}

/// The reasons in a refusal. They name fields, and quote the key only as invalid.
fn problem(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let errors = body.get("errors")?.as_array()?.iter().filter_map(Value::as_str);
    let text = errors.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then(|| text.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_pagerduty_has_its_meaning() {
        let read =
            |status, body: &str| answer(&Reply { status, body: body.as_bytes().to_vec(), after: None });
        assert!(read(202, r#"{"status": "success"}"#).is_accepted());
        for status in [429, 500, 502, 503, 504] {
            assert!(matches!(read(status, ""), Answer::Later { .. }), "{status}");
        }
        let invalid = r#"{"status": "invalid event", "errors": ["Length of 'routing_key' is incorrect"]}"#;
        assert_eq!(read(400, invalid).text(), "Length of 'routing_key' is incorrect");
        assert_eq!(read(400, "[").text(), "HTTP 400");
        for status in [200, 302, 401, 403, 404] {
            assert!(matches!(read(status, ""), Answer::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn what_is_over_before_it_was_told_triggers_first() {
        let actions = |action: &str, is_first| {
            let events = events(json!({"event_action": action, "dedup_key": "INC-1"}), is_first);
            events.iter().map(|event| event["event_action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(actions("trigger", true), ["trigger"]);
        assert_eq!(actions("acknowledge", true), ["trigger", "acknowledge"]);
        assert_eq!(actions("resolve", true), ["trigger", "resolve"]);
        assert_eq!(actions("resolve", false), ["resolve"]);
    }
}
