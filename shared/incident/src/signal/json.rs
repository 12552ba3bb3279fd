//! Reads fields leniently: what is missing, blank or of the wrong type is `None`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The text at a JSON pointer, trimmed.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The first text at one of several pointers.
pub(super) fn one_of<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers.iter().find_map(|pointer| text(value, pointer))
}

/// How many of the fields are texts.
pub(super) fn texts(value: &Value, names: &[&str]) -> usize {
    names.iter().filter(|name| value.get(name).is_some_and(Value::is_string)).count()
}

/// A text, a number or a boolean, as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The scalar at a JSON pointer.
pub(super) fn scalar_at(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(scalar)
}

/// The list at a JSON pointer; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The scalars of the object at a JSON pointer.
pub(super) fn map(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let fields = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect()
}

/// An instant: RFC 3339, also with an offset without colon and with stray blanks, or RFC 1123, whose day of the week
/// need not be right.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let compact: String = text.split_whitespace().collect();
    let parsed = text.trim().parse::<Timestamp>().or_else(|_| compact.parse());
    parsed.or_else(|_| DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text.trim())).ok()
}

/// The instant at a JSON pointer.
pub(super) fn instant_at(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).and_then(instant)
}

/// An ARN without stray blanks around its parts.
pub(super) fn arn(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.splitn(7, ':').map(str::trim).collect();
    (parts.len() > 5 && parts.first() == Some(&"arn")).then(|| parts.join(":"))
}

/// SHA-256, in hexadecimal.
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// At most `limit` characters, without those that a terminal or a chat would obey.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().take(limit).map(shown).collect()
}

/// The words `key=value` of a text, with keys in lower case.
pub(super) fn pairs(text: &str) -> Vec<(String, &str)> {
    let words = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    let pairs = words.filter_map(|word| word.split_once('='));
    let pairs = pairs.map(|(key, value)| {
        let key = key.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        (key, value.trim_matches(['"', '\'', '<', '>', '(', ')', '[', ']']).trim_end_matches('.'))
    });
    pairs.filter(|(key, value)| !key.is_empty() && !value.is_empty()).collect()
}
