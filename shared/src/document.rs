//! Edits JSON documents in place: a value is replaced, every other byte stays unchanged.
//!
//! Re-serialising would reorder fields and rewrite numbers and escapes, which a reader of the document may notice.
//! Documents are secret: errors contain only names of fields, and buffers are wiped.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum nesting: `serde_json`'s own limit, which raw values lack.
const MAX_DEPTH: usize = 128;

/// The place of a top-level field's text value in a JSON object, including quotes.
///
/// # Errors
///
/// The problem with the document, as the end of a sentence about it; of its content, only the field's name.
pub fn field(text: &str, name: &str) -> Result<Range<usize>, String> {
    let values = values(text).unwrap_or_default();
    if !values.first().is_some_and(|root| root.json().starts_with('{')) {
        return Err("it is not a JSON object, but the policy names a field".to_owned());
    }
    let mut named = values.iter().filter(|value| value.path.top_level_key() == Some(name));
    match (named.next(), named.next()) {
        (Some(value), None) if value.is_string() => Ok(value.range()),
        (Some(_), None) => Err(format!("field {name} of its JSON document is not a string")),
        (None, _) => Err(format!("its JSON document has no field {name}")),
        (Some(_), Some(_)) => Err(format!("its JSON document has field {name} more than once")),
    }
}

/// The text is not exactly one JSON document, or it is nested deeper than 128 levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a JSON document")]
pub struct NotJson;

/// The path of a value in its document, displayed as `a.b[0]`.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Path(Vec<Step>);

/// One step from a value to a value inside it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The object or array around the value; `None` for the document itself.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, parent)| Self(parent.to_vec()))
    }

    /// The value's key in its object, decoded; `None` in an array and for the document itself.
    pub fn key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// The keys of all objects on the way to the value, decoded.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    /// The value's key, if its object is the document itself.
    pub fn top_level_key(&self) -> Option<&str> {
        self.key().filter(|_| self.0.len() == 1)
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                    f.write_str(if depth == 0 { "" } else { "." })?;
                    // A key may contain line ends and terminal codes.
                    if !key.is_empty() && key.chars().all(plain) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "\"{}\"", key.escape_debug())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One value of a document, of any type. Not printable.
pub struct Value<'a> {
    /// Its path.
    pub path: Path,
    /// Whether its key, or that of an enclosing value, occurs more than once in its object; which occurrence counts
    /// depends on the reader.
    pub twice: bool,
    json: &'a str,
    start: usize,
}

impl Value<'_> {
    /// The value as written, including quotes.
    pub fn json(&self) -> &str {
        self.json
    }

    /// Bytes of the document that [`Self::json`] takes.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.json.len()
    }

    /// Whether it is a string.
    pub fn is_string(&self) -> bool {
        self.json.starts_with('"')
    }

    /// The text of a string; `None` for another type, and for escapes that are not text (half a surrogate pair).
    pub fn text(&self) -> Option<Zeroizing<String>> {
        // Sized in advance: a buffer that grows leaves unwiped copies behind. No text is longer than its JSON.
        let mut text = Zeroizing::new(String::with_capacity(self.json.len()));
        for character in self.characters()? {
            text.push(character?.1);
        }
        Some(text)
    }

    /// The document's bytes that hold a part of a string's text.
    ///
    /// `part` counts bytes of [`Self::text`]; `None` if it does not begin and end between two characters.
    pub fn range_of(&self, part: Range<usize>) -> Option<Range<usize>> {
        let (mut start, mut end) = (None, None);
        let (mut read, mut written) = (0, self.start + 1);
        let mut characters = self.characters()?;
        loop {
            start = start.or((read == part.start).then_some(written));
            end = end.or((read == part.end).then_some(written));
            match characters.next() {
                Some(character) => {
                    let (length, character) = character?;
                    read += character.len_utf8();
                    written += length;
                }
                None => return Some(start?..end?),
            }
        }
    }

    /// A string's characters, each with its length in the document, in bytes.
    fn characters(&self) -> Option<impl Iterator<Item = Option<(usize, char)>>> {
        let mut rest = self.json.strip_prefix('"')?.strip_suffix('"')?;
        Some(std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let first = first_character(rest);
            rest = first.and_then(|(length, _)| rest.get(length..)).unwrap_or_default();
            Some(first)
        }))
    }
}

/// The first character in the body of a JSON string, and its length there.
fn first_character(json: &str) -> Option<(usize, char)> {
    let mut written = json.chars();
    let character = match (written.next()?, written.clone().next()) {
        ('\\', Some('u')) => {
            let unit = |at: usize| u16::from_str_radix(json.get(at..at + 4)?, 16).ok();
            let first = unit(2)?;
            return match char::from_u32(first.into()) {
                Some(character) => Some((6, character)),
                None => {
                    let second = json.get(6..8).filter(|escape| *escape == "\\u").and_then(|_| unit(8))?;
                    char::decode_utf16([first, second]).next()?.ok().map(|character| (12, character))
                }
            };
        }
        ('\\', Some('b')) => '\u{8}',
        ('\\', Some('f')) => '\u{c}',
        ('\\', Some('n')) => '\n',
        ('\\', Some('r')) => '\r',
        ('\\', Some('t')) => '\t',
        ('\\', Some(character)) => character,
        (character, _) => return Some((character.len_utf8(), character)),
    };
    Some((2, character))
}

/// Every value of a document, at every depth, each before the values inside it; the first is the document itself.
///
/// # Errors
///
/// [`NotJson`], without a position: `serde_json`'s own message may quote the document.
pub fn values(text: &str) -> Result<Vec<Value<'_>>, NotJson> {
    let root: &RawValue = serde_json::from_str(text).map_err(|_| NotJson)?;
    let mut found = Vec::new();
    walk(text, root.get(), Path::default(), false, &mut found)?;
    Ok(found)
}

fn walk<'a>(
    document: &'a str,
    json: &'a str,
    path: Path,
    twice: bool,
    found: &mut Vec<Value<'a>>,
) -> Result<(), NotJson> {
    if path.0.len() > MAX_DEPTH {
        return Err(NotJson);
    }
    // A raw value borrows from the document, so its offset is the difference of the two addresses.
    let start = json.as_ptr().addr() - document.as_ptr().addr();
    found.push(Value { path: path.clone(), twice, json, start });
    if json.starts_with('{') {
        let Members(members) = serde_json::from_str(json).map_err(|_| NotJson)?;
        let mut occurrences = BTreeMap::new();
        for (key, _) in &members {
            *occurrences.entry(key).or_insert(0_usize) += 1;
        }
        for (key, value) in &members {
            let twice = twice || occurrences.get(key).is_some_and(|count| *count > 1);
            walk(document, value.get(), path.then(Step::Key(key.clone())), twice, found)?;
        }
    } else if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| NotJson)?;
        for (index, value) in items.into_iter().enumerate() {
            walk(document, value.get(), path.then(Step::Index(index)), twice, found)?;
        }
    }
    Ok(())
}

/// An object's members as written: in order, including repeated keys.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A text as a JSON string, including quotes.
pub fn quote(text: &str) -> Zeroizing<String> {
    // No character takes more than six bytes: `\u001f`.
    let mut json = Zeroizing::new(String::with_capacity(6 * text.len() + 2));
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => {
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                let code = u32::from(character);
                json.extend(['\\', 'u', '0', '0', digit(code >> 4), digit(code & 15)]);
            }
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

/// The text with some ranges replaced. The ranges are in order, do not overlap, and lie between characters.
pub fn splice(text: &str, replacements: &[(Range<usize>, Zeroizing<String>)]) -> SecretString {
    let removed: usize = replacements.iter().map(|(place, _)| place.len()).sum();
    let added: usize = replacements.iter().map(|(_, new)| new.len()).sum();
    // Sized in advance and to the byte: a buffer that grows or shrinks leaves unwiped copies behind.
    let mut whole = String::with_capacity((text.len() + added).saturating_sub(removed));
    let mut kept = 0;
    for (place, new) in replacements {
        whole.push_str(text.get(kept..place.start).unwrap_or_default());
        whole.push_str(new);
        kept = place.end;
    }
    whole.push_str(text.get(kept..).unwrap_or_default());
    SecretString::from(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    const DOCUMENT: &str = r#" {	"a\u0062": { "b" : [1e2, "\u00fc\/\ud83d\ude00"] } ,"x.y\n":null ,"": "ü"}
"#;

    #[test]
    fn every_value_is_listed_with_its_place() {
        let found = values(DOCUMENT).unwrap();
        let rows: Vec<_> = found
            .iter()
            .map(|value| {
                assert_eq!(&DOCUMENT[value.range()], value.json());
                (value.path.to_string(), value.json(), value.text().map(|text| text.to_string()), value.twice)
            })
            .collect();
        let row =
            |path: &str, json, text: Option<&str>| (path.to_owned(), json, text.map(str::to_owned), false);
        assert_eq!(
            rows,
            [
                row("", DOCUMENT.trim(), None),
                row("ab", r#"{ "b" : [1e2, "\u00fc\/\ud83d\ude00"] }"#, None),
                row("ab.b", r#"[1e2, "\u00fc\/\ud83d\ude00"]"#, None),
                row("ab.b[0]", "1e2", None),
                row("ab.b[1]", r#""\u00fc\/\ud83d\ude00""#, Some("ü/\u{1f600}")),
                row(r#""x.y\n""#, "null", None),
                row(r#""""#, "\"ü\"", Some("ü")),
            ]
        );
        assert_eq!(values(" 5 ").unwrap()[0].range(), 1..2);
    }

    #[test]
    fn a_path_knows_its_key_and_its_parent() {
        let found = values(r#"{"a": {"b": 1}, "c": [2]}"#).unwrap();
        let [root, a, b, c, item] = found.as_slice() else { panic!("{}", found.len()) };
        assert_eq!((root.path.parent(), root.path.key()), (None, None));
        assert_eq!((a.path.key(), a.path.top_level_key()), (Some("a"), Some("a")));
        assert_eq!((b.path.key(), b.path.top_level_key()), (Some("b"), None));
        assert_eq!(b.path.parent().as_ref(), Some(&a.path));
        assert_eq!((item.path.key(), item.path.parent().as_ref()), (None, Some(&c.path)));
    }

    #[test]
    fn a_repeated_key_marks_all_its_values() {
        let found = values(r#"{"a": {"b": "x"}, "c": {"a": 1}, "\u0061": 2}"#).unwrap();
        let twice = found.iter().filter(|value| value.twice).map(|value| value.path.to_string());
        assert_eq!(twice.collect::<Vec<_>>(), ["a", "a.b", "a"]);
    }

    #[test]
    fn texts_that_are_not_one_document_are_refused() {
        let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let cut = "[".repeat(100_000);
        let texts = [
            "",
            "plain",
            "{",
            r#"{"a": 1} x"#,
            r#"{"a" 1}"#,
            "{'a': 1}",
            "\"a",
            &deep(129),
            &deep(100_000),
            &cut,
        ];
        for text in texts {
            assert_eq!(values(text).map(|_| ()), Err(NotJson), "{} bytes", text.len());
        }
        assert_eq!(values(&deep(128)).unwrap().len(), 129);
    }

    #[test]
    fn values_that_are_not_text_have_none() {
        for json in [r#""\ud800""#, r#""\ud800\u0041""#, r#""\udc00\ud800""#, r#""\ud800x""#, "5", "{}"] {
            assert!(values(json).unwrap()[0].text().is_none(), "{json}");
        }
    }

    #[test]
    fn a_part_of_a_text_is_found_in_its_json() {
        let json = r#" "a\/\u00fcé\ud83d\ude00z""#;
        let found = values(json).unwrap();
        let part = |range: Range<usize>| found[0].range_of(range).map(|range| &json[range]);
        assert_eq!(part(0..1), Some("a"));
        assert_eq!(part(1..2), Some(r"\/"));
        assert_eq!(part(2..4), Some(r"\u00fc"));
        assert_eq!(part(4..10), Some(r"é\ud83d\ude00"));
        assert_eq!(part(11..11), Some(""));
        assert_eq!(part(0..11), Some(&json[2..json.len() - 1]));
        assert_eq!(part(3..4), None);
        assert_eq!(part(0..12), None);
    }

    #[test]
    fn places_are_filled_and_the_rest_is_kept() {
        let new = |text: &str| Zeroizing::new(text.to_owned());
        let text = splice("ü[a]-[b]!", &[(3..4, new("")), (7..8, new("long")), (10..10, new("end"))]);
        assert_eq!(text.expose_secret(), "ü[]-[long]!end");
    }

    proptest! {
        #[test]
        fn a_string_is_what_serde_json_reads(text in any::<String>(), escaped in any::<u64>()) {
            let mut json = "\"".to_owned();
            for (at, character) in text.chars().enumerate() {
                if escaped >> (at % 64) & 1 == 1 {
                    let mut units = [0; 2];
                    json.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")));
                } else {
                    let quoted = serde_json::to_string(&character).unwrap();
                    json.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
            json.push('"');
            let found = values(&json).unwrap();
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
            let read = found[0].text().unwrap();
            prop_assert_eq!(read.as_str(), &text);
            prop_assert_eq!(serde_json::from_str::<String>(&quote(&text)).unwrap(), text);
        }
    }
}
