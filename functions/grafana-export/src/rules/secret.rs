//! Secrets that must not leave Grafana.
//!
//! Grafana redacts the secure settings of contact points. Settings that it stores in clear may be secrets all the same: the
//! address of a webhook, a custom header. So only settings known to be harmless are kept.
//!
//! Source: the options of each kind of contact point in Grafana's
//! [documentation](https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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

/// Settings that hold others of the same kinds. Below any other setting with parts, e.g. `headers`, names are people's own.
const STRUCTURES: [&str; 7] =
    ["hmacConfig", "http_config", "oauth2", "payload", "proxy_config", "responders", "tls_config"];

/// Beginnings of tokens, and the fewest characters that follow in a real one.
const TOKENS: [(&str, usize); 27] = [
    ("glsa_", 20),
    ("glc_", 20),
    ("glpat-", 20),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghr_", 30),
    ("ghs_", 30),
    ("ghu_", 30),
    ("github_pat_", 30),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xapp-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("sk-", 32),
    ("SG.", 40),
    ("npm_", 30),
    ("pypi-", 40),
    ("hvs.", 20),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("hooks.slack.com/services/", 20),
    ("discord.com/api/webhooks/", 20),
    ("api.telegram.org/bot", 20),
    ("Bearer ", 20),
];

/// Ends of names whose value is a secret, in small letters and digits: `db_password`, `x-api-key`, `apiToken`.
const NAMES: [&str; 17] = [
    "accesskey",
    "apikey",
    "authkey",
    "authorization",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "secretkey",
    "securejsondata",
    "securesettings",
    "senha",
    "token",
];

/// Fields with the value of what `name` or `key` beside them names: a header, a parameter, a variable.
const VALUES: [&str; 4] = ["current", "options", "query", "value"];

/// Kinds of variables whose value is a result, or one of a list that everybody sees; not a text that a person wrote.
const RESULTS: [&str; 14] = [
    "adhoc",
    "custom",
    "datasource",
    "groupby",
    "interval",
    "query",
    "switch",
    "AdhocVariable",
    "CustomVariable",
    "DatasourceVariable",
    "GroupByVariable",
    "IntervalVariable",
    "QueryVariable",
    "SwitchVariable",
];

/// Fields whose parts are named by a query's result: columns, series, variables and labels.
const COLUMNS: [&str; 4] = ["aliasColors", "labels", "renameByName", "scopedVars"];

/// The settings of a contact point that may be shown.
pub(crate) fn settings(settings: &Value) -> Value {
    shown("", settings)
}

fn shown(field: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_known = field.is_empty() || STRUCTURES.contains(&field);
            let shown = |(name, value): (&String, &Value)| {
                (name.clone(), if is_known { shown(name, value) } else { redacted(value) })
            };
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

/// A value without any text or number.
fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), redacted(value))).collect(),
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(_) | Value::Number(_) => REDACTED.into(),
        Value::Bool(_) | Value::Null => value.clone(),
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
    inside(object, false)
}

/// `is_result`: whether the object is the inner one of a variable of [`RESULTS`].
fn inside(object: &Value, is_result: bool) -> Option<String> {
    match object {
        Value::Object(fields) => {
            let text = |field: &str| fields.get(field).and_then(Value::as_str);
            let kinds = [text("type"), text("kind")];
            let is_kind = kinds.into_iter().flatten().any(|kind| RESULTS.contains(&kind));
            let is_about = [text("name"), text("key")].into_iter().flatten().any(is_secret_name);
            // A filter compares a label with its value.
            let has_value = is_about && !is_kind && !is_result && !fields.contains_key("operator");
            // A mapping of values to texts.
            let is_mapping = text("type") == Some("value");
            fields.iter().find_map(|(name, value)| {
                let is_named = is_secret_name(name) || (has_value && VALUES.contains(&name.as_str()));
                let inner = match value {
                    _ if is_named && is_value(value) => Some(String::new()),
                    Value::Object(columns)
                        if COLUMNS.contains(&name.as_str()) || (is_mapping && name == "options") =>
                    {
                        columns.iter().find_map(|(name, value)| {
                            place(value).map(|inner| format!("/{}{inner}", escaped(name)))
                        })
                    }
                    _ => inside(value, is_kind),
                };
                inner.map(|inner| format!("/{}{inner}", escaped(name)))
            })
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(number, item)| inside(item, is_result).map(|inner| format!("/{number}{inner}"))),
        Value::String(text) => looks_secret(text).then(String::new),
        _ => None,
    }
}

/// Whether a name, of one word, says that its value is a secret.
fn is_secret_name(name: &str) -> bool {
    let plain = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    !name.contains(char::is_whitespace) && NAMES.iter().any(|end| plain.ends_with(end))
}

/// A name as part of a JSON pointer, without control characters. Source: RFC 6901, 3.
fn escaped(name: &str) -> String {
    let plain: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
    plain.replace('~', "~0").replace('/', "~1")
}

/// Whether the value of a field with a secret's name is one: not empty, not redacted, not a variable.
fn is_value(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && !is_placeholder(text),
        Value::Array(items) => items.iter().any(is_value),
        // What a table does with a column of that name.
        Value::Object(fields) => !fields.contains_key("aggregations") && fields.values().any(is_value),
        _ => false,
    }
}

/// Whether a text as a whole only stands for a value: a variable of Grafana or of a template, stars, or any match.
fn is_placeholder(text: &str) -> bool {
    let is_word = |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_in = |begin: &str, end: &str| {
        let inner = text.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
        inner.is_some_and(|inner| !inner.contains(['{', '}', '[', ']']))
    };
    text == REDACTED
        || is_in("${", "}")
        || is_in("{{", "}}")
        || is_in("[[", "]]")
        || is_in("<", ">")
        || text.strip_prefix('$').is_some_and(is_word)
        || !text.contains(char::is_alphanumeric)
}

/// Whether a text holds a credential of a known form.
fn looks_secret(text: &str) -> bool {
    (text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----"))
        || TOKENS.iter().any(|(prefix, least)| has_token(text, prefix, *least))
        || has_web_token(text)
        || has_basic(text)
        || has_password(text)
        || has_assigned(text)
}

fn run(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let end = text.find(|character| !is_part(character)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn has_token(text: &str, prefix: &str, least: usize) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-./+=:".contains(character);
    let upper = prefix.chars().all(|character| character.is_ascii_uppercase());
    text.match_indices(prefix).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().last());
        let rest = run(text.get(at + prefix.len()..).unwrap_or_default(), is_part);
        // Names of metrics and paths of pages begin so, too.
        let is_name = ["npm_", "sk-"].contains(&prefix)
            && (!rest.contains(|one: char| one.is_ascii_digit())
                || rest.trim_end_matches('.').contains(['/', '.']));
        let is_word = before.is_none_or(|character| !character.is_ascii_alphanumeric());
        let is_key = !upper || rest.chars().take(least).all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        is_word && is_key && !is_name && rest.len() >= least
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
        password.is_some_and(|(_, password)| !password.is_empty() && !is_placeholder(password))
    })
}

/// A header's user and password.
fn has_basic(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
    text.match_indices("Basic ").any(|(at, word)| {
        let encoded = run(text.get(at + word.len()..).unwrap_or_default(), is_part);
        let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.is_some_and(|pair| pair.contains(':') && !pair.contains(char::is_control))
    })
}

/// A value that a text gives to a secret's name: in a query string, in JSON, or as `password=hunter2`. A value outside of a
/// query string has a letter and a digit, is no column, and is no matcher of a label, as `{secret="db-tls-2"}` has one. The
/// value of a dashboard's variable, as in `?var-secret=app`, is on everybody's screen.
fn has_assigned(text: &str) -> bool {
    text.match_indices(['=', ':']).any(|(at, sign)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        let named = before.trim_end_matches(['"', '\'', '\\', ' ']);
        let is_quoted = before.ends_with(['"', '\'']);
        let is_part = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        let start = named.rfind(|character| !is_part(character)).map_or(0, |at| {
            at + named.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        let (rest, name) = named.split_at(start);
        if !is_secret_name(name)
            || name.starts_with("var-")
            || (sign == ":" && !is_quoted && !after.starts_with(' '))
        {
            return false;
        }
        let value = after.trim_start_matches(' ').trim_start_matches(['"', '\'', '\\']);
        let value = run(value, |one| !one.is_whitespace() && !"\"'\\&;,)`".contains(one));
        let stands = ["{{", "${", "http://", "https://"];
        if value.len() < 6 || stands.iter().any(|begin| value.starts_with(begin)) || is_placeholder(value) {
            return false;
        }
        let is_in_query = sign == "=" && rest.ends_with(['?', '&']);
        let is_matcher = !is_quoted && rest.trim_end().ends_with(['{', ',', '(', '|']);
        // The column of a table, and a name such as `app-db-2`, which is no value of a text's `Secret: `.
        let is_column = value.contains('.') && value.split('.').all(is_identifier);
        let is_slug = sign == ":" && !is_quoted && value.contains('-') && value.split('-').all(is_plain);
        let has = |is: fn(&char) -> bool| value.chars().any(|one| is(&one));
        let is_name = is_matcher || is_column || is_slug;
        is_in_query || (!is_name && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic))
    })
}

/// Whether a text is the name of a table or of its column.
fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

/// Whether a text is a word in small letters, or a number.
fn is_plain(text: &str) -> bool {
    text.chars().all(|one| one.is_ascii_lowercase()) || text.chars().all(|one| one.is_ascii_digit())
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
            "new_setting": "x", "text": "token xoxb-1234567890-abcdefghijkl",
            "endpoint_params": {"subject": "s3cr3t", "code": 1234, "more": {"title": "s3cr3t", "on": true}},
            "payload": {"template": "x", "vars": {"message": "s3cr3t"}}
        });
        let expected = json!({
            "addresses": "ops@moveongs.org", "singleEmail": true, "maxAlerts": 5, "message": "{{ template \"x\" . }}",
            "url": "https://hooks.example/[REDACTED]", "endpointUrl": "https://slack.example/", "password": "[REDACTED]",
            "authorization_credentials": "[REDACTED]", "headers": {"X-Api": "[REDACTED]"}, "userKey": "[REDACTED]", "title": "",
            "http_config": {"oauth2": {"client_id": "[REDACTED]", "client_secret": "[REDACTED]"}}, "responders": [{"type": "team", "name": "Ops"}],
            "new_setting": "[REDACTED]", "text": "[REDACTED]",
            "endpoint_params": {"subject": "[REDACTED]", "code": "[REDACTED]", "more": {"title": "[REDACTED]", "on": true}},
            "payload": {"template": "[REDACTED]", "vars": {"message": "[REDACTED]"}}
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
            (json!({"db_password": "x"}), Some("/db_password")),
            (json!({"apiToken": "x"}), Some("/apiToken")),
            (json!({"headers": {"x-api-key": "abc"}}), Some("/headers/x-api-key")),
            (json!({"secret": ["x"]}), Some("/secret")),
            (json!({"password": "$ecret-2024"}), Some("/password")),
            (json!({"password": "{curly}1"}), Some("/password")),
            (json!({"senha": "x"}), Some("/senha")),
            (
                json!({"templating": {"list": [{"name": "api_token", "type": "textbox", "query": "s3cr3t"}]}}),
                Some("/templating/list/0/query"),
            ),
            (json!({"name": "token", "current": {"selected": false, "value": "s3cr3t"}}), Some("/current")),
            (
                json!({"kind": "TextVariable", "spec": {"name": "api_token", "query": "s3cr3t"}}),
                Some("/spec/query"),
            ),
            (json!([{"key": "Authorization", "value": "Basic x"}]), Some("/0/value")),
            (json!([{"key": "X-API-Key", "value": "x"}]), Some("/0/value")),
            (json!({"h": "curl -H 'Authorization: Basic b3BzOmh1bnRlcjI='"}), Some("/h")),
            (json!({"u": "https://x/?api_key=0123456789abcdef"}), Some("/u")),
            (json!({"u": "https://x/?a=b&token=correcthorse"}), Some("/u")),
            (json!({"t": "entrar com password=hunter2"}), Some("/t")),
            (json!({"t": "senha: hunter2"}), Some("/t")),
            (json!({"body": "{\"password\": \"hunter2\"}"}), Some("/body")),
            (json!({"u": "https://api.telegram.org/bot123456:AAE5bgPmBqS1hMv1CmFxl7XxjNV"}), Some("/u")),
            (json!({"x": "glpat-0123456789abcdefghij"}), Some("/x")),
            (json!({"x": format!("ghu_{}", "a1".repeat(18))}), Some("/x")),
            (json!({"x": format!("SG.{}.{}", "a".repeat(22), "b".repeat(43))}), Some("/x")),
            (json!({"x": format!("npm_{}", "a1".repeat(18))}), Some("/x")),
            (json!({"x": format!("O token: sk-{}.", "a1".repeat(20))}), Some("/x")),
            (json!({"t": "token: 550e8400-e29b-41d4"}), Some("/t")),
            (json!({"t": "password=corr3ct-horse"}), Some("/t")),
            (json!({"labels": {"a": {"password": "x"}}}), Some("/labels/a/password")),
            (
                json!({"labels": {"team": "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e"}}),
                Some("/labels/team"),
            ),
            (json!({"options": {"token": {"text": "x"}}}), Some("/options/token")),
            (json!({"x": format!("sk-proj-{}", "a1".repeat(20))}), Some("/x")),
        ] {
            assert_eq!(place(&object).as_deref(), expected, "{object}");
        }
    }

    #[test]
    fn what_dashboards_and_rules_have_is_no_secret() {
        for object in [
            json!({"password": "", "token": "[REDACTED]", "secret": "${secret}", "apiKey": null}),
            json!({"password": "$password", "token": "{{ .Token }}", "secret": "[[secret]]", "pwd": "****"}),
            json!({"expr": "rate(tokens_total[5m])", "legend": "AKIA", "title": "Bearer of news"}),
            json!({"u": "https://grafana.example/d/x?from=a@b:c", "v": "postgres://u:$PASSWORD@db"}),
            json!({"u": "https://x/?token=${token}&var-token=$token", "v": "password={{ .Values.password }}"}),
            json!({"uid": "eyJustAName", "tokens": "many", "hasPassword": true, "maxTokens": 100000}),
            // Variables whose values come from a data source.
            json!({"name": "secret", "type": "query", "query": "label_values(kube_secret_info, secret)", "current": {"text": "app-tls", "value": "app-tls"}}),
            json!({"kind": "QueryVariable", "spec": {"name": "token", "query": {"spec": {"query": "label_values(token)"}}, "current": {"value": "a1"}}}),
            json!({"name": "token", "type": "textbox", "query": "", "current": {"selected": false, "text": "", "value": ""}, "options": []}),
            json!({"name": "env", "type": "custom", "query": "dev,prod", "current": {"value": "dev"}, "label": "Token"}),
            json!({"name": "Rotated secret", "enable": true, "query": "tags:secret", "iconColor": "red"}),
            // Queries.
            json!({"expr": "sum by (token) (rate(job:api_token:rate5m{secret=\"db-tls-2024\", token=~\"a.*1\"}[5m])) > 0"}),
            json!({"expr": "{app=\"api\"} |= \"password=\" | json token=\"a.b\" != \"secret\""}),
            json!({"rawSql": "SELECT count(*) FROM users u JOIN t ON u.password_reset_token = t.token WHERE password IS NOT NULL"}),
            json!({"legendFormat": "{{token}} {{secret}}", "refId": "A", "datasource": {"type": "prometheus", "uid": "P1809F7CD0C75ACF3"}}),
            json!({"rawSql": "SELECT 1 FROM a JOIN t2 ON a.reset_token = t2.reset_token AND a.secret=t2.secret"}),
            json!({"expr": "{app=\"api\"} | json | token=\"abc123de\""}),
            json!({"expr": "sum(npm_package_downloads_last_month_total) / sum(npm_package_size_bytes_per_minute_v2.total)"}),
            // Filters, and the values of variables.
            json!({"filters": [{"key": "secret", "operator": "=", "value": "app-tls"}]}),
            json!({"tags": [{"key": "secret", "operator": "=~", "value": "/^$secret$/"}]}),
            json!({"type": "adhoc", "name": "f", "filters": [{"key": "secret", "value": "app-tls"}]}),
            json!({"scopedVars": {"secret": {"selected": true, "text": "app-tls", "value": "app-tls"}}}),
            json!({"name": "secret", "type": "custom", "query": "a,b", "current": {"text": "a", "value": "a"}, "options": [{"text": "a", "value": "a"}]}),
            json!({"kind": "CustomVariable", "spec": {"name": "secret", "query": "a,b", "current": {"value": "a"}}}),
            json!({"name": "secret", "type": "textbox", "query": ".*", "current": {"text": ".*", "value": ".*"}}),
            json!({"url": "/d/x?var-secret=app-tls-prod&var-token=${__data.fields[\"token\"]}&token=${__data.fields[\"token\"]}"}),
            json!({"url": "https://x.example/sk-learn-models-overview-2024-dashboards/index.html"}),
            // Panels.
            json!({"aliasColors": {"invalid_token": "#BF1B00"}, "seriesOverrides": []}),
            json!({"mappings": [{"type": "value", "options": {"token": {"color": "red", "index": 0, "text": "Token"}}}]}),
            json!({"content": "Senha: https://vault.example/ui/vault2/secrets. Secret: app-db-2"}),
            json!({"id": "organize", "options": {"renameByName": {"token": "Token", "api_key": "Chave"}, "indexByName": {"token": 0}, "excludeByName": {"secret": true}}}),
            json!({"id": "groupBy", "options": {"fields": {"token": {"aggregations": [], "operation": "groupby"}}}}),
            json!({"matcher": {"id": "byName", "options": "token"}, "properties": [{"id": "displayName", "value": "Token"}]}),
            json!({"type": "text", "options": {"mode": "markdown", "content": "# Basic PostgreSQL, Basic DynamoDB\nToken: 30 dias. Secret: veja o cofre. password=…"}}),
            json!({"title": "Password resets", "description": "Tokens emitidos: https://wiki.example/tokens?page=token"}),
            json!({"links": [{"title": "task-sk-learn", "url": "https://x.example/d/sk-api?var-env=$env"}], "tags": ["secret", "token"]}),
            // Rules and templates.
            json!({"labels": {"severity": "critical", "secret": "db"}, "annotations": {"summary": "{{ $labels.secret }} vence: {{ $values.A }}"}}),
            json!({"name": "token", "template": "{{ define \"token\" }}{{ .CommonLabels.token }}{{ end }}"}),
            json!({"authorization_scheme": "Bearer", "authorization_credentials": "[REDACTED]", "secretName": "app"}),
        ] {
            assert_eq!(place(&object), None, "{object}");
        }
    }
}
