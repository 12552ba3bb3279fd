//! Slack's Web API with a bot's token.
//!
//! Sources: [chat.postMessage](https://docs.slack.dev/reference/methods/chat.postMessage),
//! [chat.update](https://docs.slack.dev/reference/methods/chat.update),
//! [conversations.history](https://docs.slack.dev/reference/methods/conversations.history),
//! [usergroups.users.update](https://docs.slack.dev/reference/methods/usergroups.users.update).

use incident::SlackPost;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::runtime::endpoint::Endpoint;

use super::http::Http;
use crate::rules::answer::Answer;

/// Most messages that are searched for one whose answer was lost.
const SEARCHED: u16 = 200;

/// The team's channel.
pub(crate) struct Slack {
    api: Endpoint,
    /// Its name or id. A lost message can be searched for by id only.
    channel: String,
}

/// Why Slack did not do it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It finds fault with this message.
    Malformed(String),
    /// The message to change is not there any more, or cannot be changed.
    Gone,
    /// Any other answer.
    Other(Answer),
}

impl Fault {
    /// The fault as an answer for the row.
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Malformed(why) => Answer::Rejected { why },
            Self::Gone => Answer::Refused { why: "message_not_found".to_owned() },
            Self::Other(answer) => answer,
        }
    }
}

/// What one of Slack's error codes means.
fn fault(code: &str) -> Fault {
    let why = code.chars().take(100).collect::<String>();
    match code {
        "ratelimited"
        | "rate_limited"
        | "message_limit_exceeded"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => Fault::Other(Answer::Later { why, after: None }),
        // «Some aspect of the operation succeeded before the error was raised.»
        "fatal_error" | "internal_error" => Fault::Other(Answer::Unclear { why }),
        "msg_too_long"
        | "msg_blocks_too_long"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "no_text"
        | "too_many_attachments"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_metadata_format"
        | "invalid_metadata_schema"
        | "metadata_too_large"
        | "markdown_text_conflict" => Fault::Malformed(why),
        "message_not_found"
        | "cant_update_message"
        | "edit_window_closed"
        | "thread_not_found"
        | "cannot_reply_to_message" => Fault::Gone,
        // The token, a permission, the channel: a person has to mend it. So is anything that is not known.
        _ => Fault::Other(Answer::Refused { why }),
    }
}

impl Slack {
    pub(crate) fn new(api: Endpoint, channel: String) -> Self {
        Self { api, channel }
    }

    /// Posts a message, or a reply to one.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub(crate) async fn post(
        &self,
        http: &Http,
        token: &SecretString,
        mut message: Value,
        thread: Option<&SlackPost>,
    ) -> Result<SlackPost, Fault> {
        if let Some(body) = message.as_object_mut() {
            let channel = thread.map_or(&self.channel, |post| &post.channel);
            body.insert("channel".to_owned(), json!(channel));
            body.insert("unfurl_links".to_owned(), json!(false));
            body.insert("unfurl_media".to_owned(), json!(false));
            body.extend(thread.map(|post| ("thread_ts".to_owned(), json!(post.ts))));
        }
        let answer = self.call(http, token, "chat.postMessage", &message).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let post = SlackPost { channel: text("channel"), ts: text("ts") };
        let is_known = !post.channel.is_empty() && !post.ts.is_empty();
        let unclear = || Fault::Other(Answer::Unclear { why: "the answer has no ts".to_owned() });
        if is_known { Ok(post) } else { Err(unclear()) }
    }

    /// Changes a message in place.
    ///
    /// # Errors
    ///
    /// [`Fault`]; the change may be made again in any case.
    pub(crate) async fn update(
        &self,
        http: &Http,
        token: &SecretString,
        post: &SlackPost,
        mut message: Value,
    ) -> Result<(), Fault> {
        if let Some(body) = message.as_object_mut() {
            body.insert("channel".to_owned(), json!(post.channel));
            body.insert("ts".to_owned(), json!(post.ts));
        }
        self.call(http, token, "chat.update", &message).await?;
        Ok(())
    }

    /// Looks for an incident's message that was posted since, of which no answer arrived. None if it is not found, or if
    /// it cannot be looked for: without the channel's id, or without the scope `channels:history`.
    pub(crate) async fn find(
        &self,
        http: &Http,
        token: &SecretString,
        incident: &str,
        since: Timestamp,
    ) -> Option<SlackPost> {
        let is_id = |text: &str| {
            text.starts_with(['C', 'G']) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        if !is_id(&self.channel) {
            return None;
        }
        let oldest = format!("{}.000000", since.as_second());
        let body = json!({
            "channel": self.channel, "oldest": oldest, "limit": SEARCHED, "include_all_metadata": true,
        });
        let found = self.call(http, token, "conversations.history", &body).await.ok()?;
        let messages = found.get("messages").and_then(Value::as_array)?;
        let message = messages.iter().find(|message| is_of(message, incident))?;
        let ts = message.get("ts").and_then(Value::as_str)?.to_owned();
        Some(SlackPost { channel: self.channel.clone(), ts })
    }

    /// Makes these users the only members of a user group. Needs the scope `usergroups:write`, and a workspace that lets
    /// the bot change groups.
    ///
    /// # Errors
    ///
    /// [`Fault`]; the change may be made again in any case.
    pub(crate) async fn regroup(
        &self,
        http: &Http,
        token: &SecretString,
        group: &str,
        users: &[&str],
    ) -> Result<(), Fault> {
        let body = json!({"usergroup": group, "users": users.join(",")});
        self.call(http, token, "usergroups.users.update", &body).await?;
        Ok(())
    }

    async fn call(
        &self,
        http: &Http,
        token: &SecretString,
        method: &str,
        body: &Value,
    ) -> Result<Value, Fault> {
        let url = format!("{}/{method}", self.api);
        let reply = http.post(&url, Some(token), body).await.map_err(Fault::Other)?;
        if let Some(answer) = reply.meaning() {
            return Err(Fault::Other(answer));
        }
        if reply.status != 200 {
            let why = format!("HTTP {}", reply.status);
            return Err(Fault::Other(Answer::Refused { why }));
        }
        let answer: Value = serde_json::from_slice(&reply.body)
            .map_err(|_| Fault::Other(Answer::Unclear { why: "the answer is not JSON".to_owned() }))?;
        if answer.get("ok") == Some(&Value::Bool(true)) {
            return Ok(answer);
        }
        let code = answer.get("error").and_then(Value::as_str).unwrap_or("no error code");
        let fault = fault(code);
        let Fault::Other(Answer::Later { why, .. }) = fault else { return Err(fault) };
        Err(Fault::Other(Answer::Later { why, after: reply.after }))
    }
}

/// Whether a message of the channel is an incident's, and not a reply. A person may quote an id, but neither has metadata
/// nor is a bot.
fn is_of(message: &Value, incident: &str) -> bool {
    let is_reply = message.get("thread_ts").is_some_and(|thread| Some(thread) != message.get("ts"));
    let named = message.pointer("/metadata/event_payload/incident").and_then(Value::as_str);
    let is_ours = match named {
        Some(named) => {
            named == incident
                && message.pointer("/metadata/event_type").and_then(Value::as_str) == Some("incident")
        }
        None => {
            message.get("bot_id").is_some()
                && message.get("blocks").is_some_and(|blocks| blocks.to_string().contains(incident))
        }
    };
    is_ours && !is_reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_slack_has_its_meaning() {
        let is_later = |code: &str| matches!(fault(code), Fault::Other(Answer::Later { .. }));
        let is_unclear = |code: &str| matches!(fault(code), Fault::Other(Answer::Unclear { .. }));
        let is_refused = |code: &str| matches!(fault(code), Fault::Other(Answer::Refused { .. }));
        let is_malformed = |code: &str| matches!(fault(code), Fault::Malformed(_));
        for (check, codes) in [
            (
                &is_later as &dyn Fn(&str) -> bool,
                &["ratelimited", "rate_limited", "service_unavailable", "message_limit_exceeded"][..],
            ),
            (&is_unclear, &["fatal_error", "internal_error"]),
            (
                &is_malformed,
                &["msg_too_long", "msg_blocks_too_long", "invalid_blocks", "no_text", "invalid_arguments"],
            ),
            (
                &is_refused,
                &[
                    "channel_not_found",
                    "not_in_channel",
                    "is_archived",
                    "invalid_auth",
                    "not_authed",
                    "account_inactive",
                    "token_revoked",
                    "token_expired",
                    "missing_scope",
                    "restricted_action",
                    "org_login_required",
                    "ekm_access_denied",
                    "permission_denied",
                    "not_allowed_token_type",
                    "no_such_subteam",
                    "failed_for_some_users",
                    "a_code_of_the_future",
                    "",
                ],
            ),
            (
                &|code: &str| fault(code) == Fault::Gone,
                &["message_not_found", "cant_update_message", "edit_window_closed"],
            ),
        ] {
            for code in codes {
                assert!(check(code), "{code}");
            }
        }
    }

    #[test]
    fn a_lost_message_is_known_by_its_metadata_or_its_id_in_a_bots_blocks() {
        let ours = json!({"event_type": "incident", "event_payload": {"incident": "INC-1"}});
        let blocks = json!([{"type": "context", "elements": [{"type": "plain_text", "text": "INC-1"}]}]);
        for (message, expected) in [
            (json!({"ts": "1", "metadata": ours}), true),
            (json!({"ts": "1", "thread_ts": "1", "metadata": ours}), true),
            (json!({"ts": "2", "thread_ts": "1", "metadata": ours}), false),
            (
                json!({"ts": "1", "metadata": {"event_type": "incident_entry", "event_payload": {"incident": "INC-1"}}}),
                false,
            ),
            (
                json!({"ts": "1", "metadata": {"event_type": "incident", "event_payload": {"incident": "INC-2"}}}),
                false,
            ),
            (json!({"ts": "1", "bot_id": "B1", "blocks": blocks}), true),
            (json!({"ts": "2", "thread_ts": "1", "bot_id": "B1", "blocks": blocks}), false),
            (json!({"ts": "1", "blocks": blocks}), false),
            (json!({"ts": "1", "bot_id": "B1", "text": "INC-1"}), false),
        ] {
            assert_eq!(is_of(&message, "INC-1"), expected, "{message}");
        }
    }
}
