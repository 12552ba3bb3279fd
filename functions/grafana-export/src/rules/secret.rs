//! Secrets that must not leave Grafana.
//!
//! Grafana redacts the secure settings of contact points. Settings that it stores in clear may be secrets all the same: the
//! address of a webhook, a custom header. So only settings known to be harmless are kept.
//!
//! Source: the options of each kind of contact point in Grafana's
//! [documentation](https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/).

use serde_json::{Map, Value};

/// What stands for a secret, as in Grafana's own answers.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// Settings of contact points that are no secret.
const PLAIN: [&str; 56] = [
    "addresses",
    "alias",
    "apiVersion",
    "authorization_scheme",
    "autoClose",
    "basicAuthUser",
    "chatid",
    "class",
    "client",
    "color",
    "component",
    "description",
    "device",
    "endpointUrl",
    "expire",
    "from",
    "group",
    "httpMethod",
    "icon_emoji",
    "id",
    "issue_type",
    "kafkaTopic",
    "kafkaClusterId",
    "labels",
    "maxAlerts",
    "mentionChannel",
    "mentionGroups",
    "mentionUsers",
    "message",
    "messageFormat",
    "messageType",
    "message_thread_id",
    "msgtype",
    "name",
    "okPriority",
    "okSound",
    "parse_mode",
    "payload",
    "priority",
    "project",
    "qos",
    "recipient",
    "recipient_id",
    "region",
    "responders",
    "retry",
    "sendTagsAs",
    "severity",
    "source",
    "sound",
    "subject",
    "summary",
    "text",
    "title",
    "topic",
    "type",
];

/// Beginnings of tokens, and the fewest characters that follow in a real one.
const TOKENS: [(&str, usize); 17] = [
    ("glsa_", 20),
    ("glc_", 20),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghs_", 30),
    ("github_pat_", 30),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xapp-", 20),
    ("sk_live_", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("hooks.slack.com/services/", 20),
    ("discord.com/api/webhooks/", 20),
    ("Bearer ", 20),
];

/// Names of fields whose value is a secret.
const NAMES: [&str; 16] = [
    "access_token",
    "accesstoken",
    "api_key",
    "apikey",
    "authorization",
    "basicauthpassword",
    "client_secret",
    "clientsecret",
    "passwd",
    "password",
    "private_key",
    "privatekey",
    "secret",
    "securejsondata",
    "securesettings",
    "token",
];

/// The settings of a contact point that may be shown.
pub(crate) fn settings(settings: &Value) -> Value {
    shown("", settings)
}

fn shown(field: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = |(name, value): (&String, &Value)| (name.clone(), shown(name, value));
            Value::Object(fields.iter().map(shown).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| shown(field, item)).collect()),
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(text) => match origin(text) {
            // The path or the query of an address may be the secret.
            Some(origin) if origin.len() == text.trim_end_matches('/').len() => value.clone(),
            Some(origin) => format!("{origin}/{REDACTED}").into(),
            None if PLAIN.contains(&field) && !looks_secret(text) => value.clone(),
            None => REDACTED.into(),
        },
        other => other.clone(),
    }
}

/// Scheme and host of an address; none if a text is none, or has credentials.
fn origin(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_host =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    text.get(..text.len() - rest.len() + host.len()).filter(|_| is_host)
}

/// Where an object has what looks like a secret, as a JSON pointer; never its value.
pub(crate) fn place(object: &Value) -> Option<String> {
    match object {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let is_named = NAMES.contains(&name.to_ascii_lowercase().as_str()) && is_value(value);
            let inner = if is_named { Some(String::new()) } else { place(value) };
            inner.map(|inner| format!("/{}{inner}", escaped(name)))
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(number, item)| place(item).map(|inner| format!("/{number}{inner}"))),
        Value::String(text) => looks_secret(text).then(String::new),
        _ => None,
    }
}

/// A name as part of a JSON pointer, without control characters. Source: RFC 6901, 3.
fn escaped(name: &str) -> String {
    let plain: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
    plain.replace('~', "~0").replace('/', "~1")
}

/// Whether the value of a field with a secret's name is one: not empty, not redacted, not a variable.
fn is_value(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && text != REDACTED && !text.starts_with(['$', '{']),
        Value::Object(fields) => fields.values().any(is_value),
        _ => false,
    }
}

/// Whether a text holds a credential of a known form.
fn looks_secret(text: &str) -> bool {
    (text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----"))
        || TOKENS.iter().any(|(prefix, least)| has_token(text, prefix, *least))
        || has_web_token(text)
        || has_password(text)
}

fn run(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let end = text.find(|character| !is_part(character)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn has_token(text: &str, prefix: &str, least: usize) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-./+=".contains(character);
    let upper = prefix.chars().all(|character| character.is_ascii_uppercase());
    text.match_indices(prefix).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().last());
        let rest = run(text.get(at + prefix.len()..).unwrap_or_default(), is_part);
        let is_word = before.is_none_or(|character| !character.is_ascii_alphanumeric());
        let is_key = !upper || rest.chars().take(least).all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        is_word && is_key && rest.len() >= least
    })
}

/// A JSON Web Token: three parts in base64url, the first of which is a JSON object.
fn has_web_token(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    text.match_indices("eyJ").any(|(at, _)| {
        let token = run(text.get(at..).unwrap_or_default(), is_part);
        token.len() >= 40 && token.split('.').filter(|part| part.len() >= 10).count() >= 3
    })
}

/// An address with a password.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = run(rest, |character| !"/?#\"' \n\t".contains(character));
        let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        password
            .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with(['$', '{', '<', '*']))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_contact_point_keeps_what_is_known_to_be_harmless() {
        let given = json!({
            "addresses": "ops@moveongs.org", "singleEmail": true, "maxAlerts": 5, "message": "{{ template \"x\" . }}",
            "url": "https://hooks.example/services/T00/B00/xyz", "endpointUrl": "https://slack.example/", "password": "hunter2",
            "authorization_credentials": "[REDACTED]", "headers": {"X-Api": "abc"}, "userKey": "u", "title": "",
            "http_config": {"oauth2": {"client_id": "c", "client_secret": "s"}}, "responders": [{"type": "team", "name": "Ops"}],
            "new_setting": "x", "text": "token xoxb-1234567890-abcdefghijkl"
        });
        let expected = json!({
            "addresses": "ops@moveongs.org", "singleEmail": true, "maxAlerts": 5, "message": "{{ template \"x\" . }}",
            "url": "https://hooks.example/[REDACTED]", "endpointUrl": "https://slack.example/", "password": "[REDACTED]",
            "authorization_credentials": "[REDACTED]", "headers": {"X-Api": "[REDACTED]"}, "userKey": "[REDACTED]", "title": "",
            "http_config": {"oauth2": {"client_id": "[REDACTED]", "client_secret": "[REDACTED]"}}, "responders": [{"type": "team", "name": "Ops"}],
            "new_setting": "[REDACTED]", "text": "[REDACTED]"
        });
        assert_eq!(settings(&given), expected);
        for address in ["https://user:pass@hooks.example/x", "https://", "https://a b/c"] {
            assert_eq!(settings(&json!({"url": address})), json!({"url": REDACTED}), "{address}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_named_by_its_place() {
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "a".repeat(20), "b".repeat(20));
        for (object, expected) in [
            (
                json!({"panels": [{"targets": [{"url": "https://u:p4ss@db.example"}]}]}),
                Some("/panels/0/targets/0/url"),
            ),
            (json!({"a/b": {"Password": "x"}}), Some("/a~1b/Password")),
            (json!({"secureJsonData": {"key": "x"}}), Some("/secureJsonData")),
            (json!(["", {"x": jwt}]), Some("/1/x")),
            (json!("use glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e"), Some("")),
            (json!({"q": "key AKIAIOSFODNN7EXAMPLE"}), Some("/q")),
            (json!({"q": "-----BEGIN RSA PRIVATE KEY-----\nx"}), Some("/q")),
            (json!({"h": "Authorization: Bearer abcdefghijklmnopqrstuvwxyz"}), Some("/h")),
            (json!({"u": "https://hooks.slack.com/services/T00000000/B00000000/XXXX"}), Some("/u")),
            // What is none.
            (json!({"password": "", "token": "[REDACTED]", "secret": "${secret}", "apiKey": null}), None),
            (json!({"expr": "rate(tokens_total[5m])", "legend": "AKIA", "title": "Bearer of news"}), None),
            (json!({"u": "https://grafana.example/d/x?from=a@b:c", "v": "postgres://u:$PASSWORD@db"}), None),
            (json!({"uid": "eyJustAName", "tokens": "many"}), None),
        ] {
            assert_eq!(place(&object).as_deref(), expected, "{object}");
        }
    }
}
