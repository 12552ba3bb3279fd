//! A Slack incoming webhook: one more way into the same workspace, without a bot. It answers no `ts`, so its messages
//! cannot be changed.
//!
//! Source: [incoming webhooks](https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::runtime::endpoint::Endpoint;

use super::http::{Http, Reply};
use crate::rules::answer::Answer;

/// Posts a message made for the Web API.
pub(crate) async fn post(http: &Http, url: &SecretString, message: &Value) -> Answer {
    // A webhook knows fewer fields.
    let body = json!({"text": message.get("text"), "blocks": message.get("blocks")});
    let Ok(address) = url.expose_secret().trim().parse::<Endpoint>() else {
        return Answer::Refused {
            why: "the secret must contain only the webhook's https address".to_owned(),
        };
    };
    match http.post(&address.to_string(), None, &body).await {
        Ok(reply) => answer(&reply),
        Err(answer) => answer,
    }
}

fn answer(reply: &Reply) -> Answer {
    if let Some(answer) = reply.meaning() {
        return answer;
    }
    let text = reply.text();
    match (reply.status, text.as_str()) {
        (200, "ok") => Answer::Accepted { said: text },
        // Some errors come with 200.
        (200, "") => Answer::Unclear { why: "an empty answer".to_owned() },
        (
            400,
            "invalid_payload"
            | "invalid_blocks"
            | "no_text"
            | "too_many_attachments"
            | "invalid_blocks_format",
        ) => Answer::Rejected { why: text },
        (status, _) => Answer::Refused { why: format!("HTTP {status} {text}").trim().to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_a_webhook_has_its_meaning() {
        let read =
            |status, body: &str| answer(&Reply { status, body: body.as_bytes().to_vec(), after: None });
        assert!(read(200, "ok\n").is_accepted());
        assert!(matches!(read(200, ""), Answer::Unclear { .. }));
        for (status, body) in [(400, "invalid_payload"), (400, "no_text"), (400, "invalid_blocks")] {
            assert!(matches!(read(status, body), Answer::Rejected { .. }), "{body}");
        }
        for (status, body) in [
            (403, "action_prohibited"),
            (403, "invalid_token"),
            (404, "no_service"),
            (404, "channel_not_found"),
            (410, "channel_is_archived"),
            (400, "user_not_found"),
            (200, "no_team"),
            (302, ""),
        ] {
            assert!(matches!(read(status, body), Answer::Refused { .. }), "{status} {body}");
        }
        assert!(matches!(read(429, ""), Answer::Later { .. }));
        assert!(matches!(read(500, "rollup_error"), Answer::Unclear { .. }));
    }
}
