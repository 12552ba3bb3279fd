//! Secrets that must not leave Grafana.
//!
//! Grafana redacts the secure settings of contact points. Settings that it stores in clear may be secrets all the same: the
//! address of a webhook, a custom header. So only settings known to be harmless are kept.
//!
//! What only looks like a secret is exported if the policy accepts it: that value, in that place, until a day.
//!
//! Source: the options of each kind of contact point in Grafana's
//! [documentation](https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use serde_json::{Map, Value};
use shared::policy::Accepted;

use super::bundle::sha256;

/// What stands for a secret, as in Grafana's own answers.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// Most characters of a place, which is in messages and in a record.
const PLACE: usize = 400;

/// Most values of an object that are named; one with more of them is never exported.
const MOST: usize = 1_000;

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
const TOKENS: [(&str, usize); 26] = [
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
        // A PIN, the number of an account.
        Value::Number(_) if !PLAIN.contains(&field) => REDACTED.into(),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
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

/// A value that looks like a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Suspect {
    /// Where it is in its object, as a JSON pointer. [`REDACTED`] stands for a name that is a suspect itself; the end of a place
    /// longer than [`PLACE`] is a hash.
    pub place: String,
    /// SHA-256 of the value, as the policy has it. By it, whoever sees it can try passwords: it is for an answer only.
    pub sha256: String,
    /// Whether it is or holds a token of a known form, which is never accepted.
    pub is_token: bool,
    /// The policy's entry that accepts it, also one that has expired.
    pub accepted: Option<Accepted>,
}

impl Suspect {
    /// Whether it is exported on a day.
    pub(crate) fn is_accepted(&self, today: Date) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| today <= accepted.until)
    }
}

/// The values in an object that look like secrets. `file` is the object's file in the export.
pub(crate) fn suspects(file: &str, object: &Value, accepted: &[Accepted]) -> Vec<Suspect> {
    suspects_at(file, "", object, accepted)
}

/// The same, of a part of the file: `at` is its place.
pub(crate) fn suspects_at(file: &str, at: &str, object: &Value, accepted: &[Accepted]) -> Vec<Suspect> {
    let mut found = Found(Vec::new());
    found.inside(object, at, false);
    let suspect = |(number, (place, value)): (usize, (String, Cow<'_, Value>))| {
        let sha256 = match &*value {
            Value::String(text) => sha256(text.as_bytes()),
            other => sha256(other.to_string().as_bytes()),
        };
        let is_token = holds_token(&value);
        let is_it = |one: &&Accepted| one.object == file && one.place == place && one.sha256 == sha256;
        let accepted = accepted.iter().filter(|_| !is_token && number < MOST).find(is_it).cloned();
        Suspect { place, sha256, is_token, accepted }
    };
    found.0.into_iter().enumerate().map(suspect).collect()
}

/// Whether a value is or holds a token of a known form.
fn holds_token(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| is_token(name) || holds_token(value)),
        Value::Array(items) => items.iter().any(holds_token),
        Value::String(text) => is_token(text),
        _ => false,
    }
}

/// The values and names in an object that look like secrets, by their places: [`MOST`], and one if there are more.
struct Found<'a>(Vec<(String, Cow<'a, Value>)>);

impl<'a> Found<'a> {
    fn push(&mut self, at: String, value: Cow<'a, Value>) {
        if self.0.len() <= MOST {
            self.0.push((at, value));
        }
    }

    /// The place of a field, whose name may be a suspect.
    fn field(&mut self, at: &str, name: &str) -> String {
        let at = below(at, name);
        if looks_secret(name) {
            self.push(at.clone(), Cow::Owned(name.into()));
        }
        at
    }

    /// `at`: the object's own place. `is_result`: whether the object is the inner one of a variable of [`RESULTS`].
    fn inside(&mut self, object: &'a Value, at: &str, is_result: bool) {
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
                for (name, value) in fields {
                    let is_named = is_secret_name(name) || (has_value && VALUES.contains(&name.as_str()));
                    let at = self.field(at, name);
                    match value {
                        _ if is_named && is_value(value) => self.push(at, Cow::Borrowed(value)),
                        Value::Object(columns)
                            if COLUMNS.contains(&name.as_str()) || (is_mapping && name == "options") =>
                        {
                            for (name, value) in columns {
                                let at = self.field(&at, name);
                                self.inside(value, &at, false);
                            }
                        }
                        _ => self.inside(value, &at, is_kind),
                    }
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.inside(item, &below(at, &number.to_string()), is_result);
                }
            }
            Value::String(text) if looks_secret(text) => self.push(at.to_owned(), Cow::Borrowed(object)),
            _ => {}
        }
    }
}

/// The place of a field or an entry in the object at a place. It has at most [`PLACE`] characters, and no secret.
pub(crate) fn below(at: &str, name: &str) -> String {
    let place = format!("{at}/{}", escaped(if looks_secret(name) { REDACTED } else { name }));
    if place.chars().count() <= PLACE {
        return place;
    }
    let hash: String = sha256(place.as_bytes()).chars().take(16).collect();
    let start: String = place.chars().take(PLACE - 17).collect();
    format!("{start}…{hash}")
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

/// Whether a text holds a token of a known form.
pub(crate) fn is_token(text: &str) -> bool {
    (text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----"))
        || TOKENS.iter().any(|(prefix, least)| has_token(text, prefix, *least))
        || has_web_token(text)
}

/// Whether a text holds what looks like a credential.
pub(crate) fn looks_secret(text: &str) -> bool {
    is_token(text)
        || has_token(text, "Bearer ", 20)
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

    /// The first place.
    fn place(object: &Value) -> Option<String> {
        suspects(FILE, object, &[]).into_iter().next().map(|suspect| suspect.place)
    }

    const FILE: &str = "dashboards/f1/d1.json";

    /// The policy's entry for a value.
    fn accepting(place: &str, value: &str) -> Accepted {
        Accepted {
            object: FILE.to_owned(),
            place: place.to_owned(),
            sha256: sha256(value.as_bytes()),
            reason: "an example".to_owned(),
            owner: "Squad Observability".to_owned(),
            until: "2026-12-31".parse().unwrap(),
        }
    }

    #[test]
    fn only_the_same_value_in_the_same_place_is_accepted_until_its_last_day() {
        let object = json!({"panels": [{"password": "example", "title": "a"}]});
        let good = accepting("/panels/0/password", "example");
        let is_accepted = |file: &str, object: &Value, accepted: &Accepted, day: &str| {
            let found = suspects(file, object, std::slice::from_ref(accepted));
            assert!(!found.is_empty());
            found.iter().all(|suspect| suspect.is_accepted(day.parse().unwrap()))
        };
        for (day, expected) in [("2026-12-31", true), ("2027-01-01", false)] {
            assert_eq!(is_accepted(FILE, &object, &good, day), expected, "{day}");
        }
        let today = "2026-12-01";
        let other_value = json!({"panels": [{"password": "hunter2"}]});
        let other_place = json!({"panels": [{}, {"password": "example"}]});
        let second = json!({"panels": [{"password": "example"}, {"password": "example"}]});
        for object in [&other_value, &other_place, &second] {
            assert!(!is_accepted(FILE, object, &good, today), "{object}");
        }
        assert!(!is_accepted("dashboards/f2/d1.json", &object, &good, today));
        // A value that is not text counts as its JSON.
        let list = json!({"secret": ["x", "y"]});
        assert!(is_accepted(FILE, &list, &accepting("/secret", r#"["x","y"]"#), today));
        assert!(!is_accepted(
            FILE,
            &json!({"secret": ["x", "z"]}),
            &accepting("/secret", r#"["x","y"]"#),
            today
        ));
        let text = "see https://user:example@db.example";
        assert!(is_accepted(FILE, &json!({"content": text}), &accepting("/content", text), today));
    }

    #[test]
    fn a_token_of_a_known_form_is_never_accepted() {
        for token in [
            "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e".to_owned(),
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            "-----BEGIN RSA PRIVATE KEY-----\nx".to_owned(),
            format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "a".repeat(20), "b".repeat(20)),
            "https://hooks.slack.com/services/T00000000/B00000000/XXXX".to_owned(),
        ] {
            for (object, place, value) in [
                (json!({"content": token}), "/content", token.clone()),
                (
                    json!({"content": format!("password=x1y2z3 {token}")}),
                    "/content",
                    format!("password=x1y2z3 {token}"),
                ),
                (json!({"secret": {"a": [token]}}), "/secret", json!({"a": [token]}).to_string()),
                (json!({"secret": {token.clone(): "x"}}), "/secret", json!({token.clone(): "x"}).to_string()),
            ] {
                let [suspect] = suspects(FILE, &object, &[accepting(place, &value)]).try_into().unwrap();
                assert_eq!((suspect.place.as_str(), suspect.is_token), (place, true), "{object}");
                assert!(!suspect.is_accepted(Date::MIN), "{object}");
            }
        }
    }

    #[test]
    fn a_name_that_looks_like_a_secret_is_one_and_is_not_shown() {
        const TOKEN: &str = "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e";
        let options = json!({TOKEN: {"text": "x", "password": "y"}});
        for (object, expected) in [
            (json!({"options": {TOKEN: {}}}), vec![("/options/[REDACTED]", true)]),
            (json!({TOKEN: 1}), vec![("/[REDACTED]", true)]),
            (json!({"password": {TOKEN: "x"}}), vec![("/password", true)]),
            (
                json!({"type": "value", "options": options}),
                vec![("/options/[REDACTED]", true), ("/options/[REDACTED]/password", false)],
            ),
            (json!({"renameByName": {"password=hunter2": "x"}}), vec![("/renameByName/[REDACTED]", false)]),
            (json!({"renameByName": {"rate{secret=\"db-tls-2\"}": "x"}}), vec![]),
        ] {
            let found = suspects(FILE, &object, &[]);
            let found: Vec<_> = found.iter().map(|one| (one.place.as_str(), one.is_token)).collect();
            assert_eq!(found, expected, "{object}");
        }
        let named = suspects_at("folders.json", "/f1", &json!({"uid": "f1", "title": TOKEN}), &[]);
        assert_eq!((named.len(), named[0].place.as_str(), named[0].is_token), (1, "/f1/title", true));
    }

    #[test]
    fn a_place_is_short_however_deep_and_long_the_names_are() {
        let deep = |last: &str| {
            let mut object = json!({last: {"password": "hunter2"}});
            for _ in 0..120 {
                object = json!({"~".repeat(60): object});
            }
            object
        };
        let (one, other) = (place(&deep("a")).unwrap(), place(&deep("b")).unwrap());
        assert!(one.chars().count() <= PLACE && one.starts_with("/~0~0"), "{one}");
        assert_ne!(one, other);
        assert_eq!(place(&deep("a")), Some(one));
        for (length, is_whole) in [(PLACE, true), (PLACE + 1, false)] {
            let at = below(&"a".repeat(length - 2), "b");
            assert_eq!((at.chars().count(), at.ends_with("a/b")), (PLACE, is_whole), "{length}");
        }
    }

    #[test]
    fn an_object_with_more_suspects_than_are_named_is_never_accepted() {
        let good = accepting(&format!("/{}", "x".repeat(60)), "password=hunter2");
        for (count, expected) in [(MOST, true), (MOST + 1, false), (MOST + 9, false)] {
            // Names that differ beyond what a place shows.
            let field = |number: usize| (format!("{}{number}", "x".repeat(60)), json!("password=hunter2"));
            let object: Value = Value::Object((0..count).map(field).collect());
            let found = suspects(FILE, &object, std::slice::from_ref(&good));
            assert_eq!(found.len(), count.min(MOST + 1));
            assert_eq!(found.iter().all(|one| one.accepted.is_some()), expected, "{count}");
        }
    }

    #[test]
    fn a_contact_point_keeps_what_is_known_to_be_harmless() {
        let given = json!({
            "addresses": "ops@moveongs.org", "singleEmail": true, "maxAlerts": 5, "message": "{{ template \"x\" . }}",
            "url": "https://hooks.example/services/T00/B00/xyz", "endpointUrl": "https://slack.example/", "password": "hunter2",
            "authorization_credentials": "[REDACTED]", "headers": {"X-Api": "abc"}, "userKey": "u", "title": "",
            "http_config": {"oauth2": {"client_id": "c", "client_secret": "s"}}, "responders": [{"type": "team", "name": "Ops"}],
            "new_setting": "x", "new_number": 482913, "new_flag": true, "text": "token xoxb-1234567890-abcdefghijkl",
            "endpoint_params": {"subject": "s3cr3t", "code": 1234, "more": {"title": "s3cr3t", "on": true}},
            "payload": {"template": "x", "vars": {"message": "s3cr3t"}}
        });
        let expected = json!({
            "addresses": "ops@moveongs.org", "singleEmail": true, "maxAlerts": 5, "message": "{{ template \"x\" . }}",
            "url": "https://hooks.example/[REDACTED]", "endpointUrl": "https://slack.example/", "password": "[REDACTED]",
            "authorization_credentials": "[REDACTED]", "headers": {"X-Api": "[REDACTED]"}, "userKey": "[REDACTED]", "title": "",
            "http_config": {"oauth2": {"client_id": "[REDACTED]", "client_secret": "[REDACTED]"}}, "responders": [{"type": "team", "name": "Ops"}],
            "new_setting": "[REDACTED]", "new_number": "[REDACTED]", "new_flag": true, "text": "[REDACTED]",
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
            // A password of such a form is taken for a variable.
            json!({"password": "$ecret123", "token": "<hunter2>"}),
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
