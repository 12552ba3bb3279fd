//! Finds copies of a credential, which would keep the old value after a rotation.
//!
//! A copy may be part of another text (a URL, a line of a file, a document inside a string) and be encoded for it:
//! percent-encoded, escaped, in base64 or hexadecimal, or several of these nested.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;
use secrecy::zeroize::Zeroizing;

use crate::document::{self, Value};

/// Maximum number of nested encodings to decode.
const DEPTH: usize = 4;

/// Shorter values occur by chance inside words, so they count only as whole words.
const UNMISTAKABLE: usize = 8;

/// Shortest run of base64 or hexadecimal digits to decode.
const SHORTEST_RUN: usize = 2;

type Bytes = Zeroizing<Vec<u8>>;

/// Whether a text holds one of the values, plain or encoded.
pub fn holds(text: &str, values: &[&str]) -> bool {
    // Ignore line ends and blanks around a value; they are accidents of storing it.
    let values: Vec<&[u8]> =
        values.iter().map(|value| value.trim().as_bytes()).filter(|value| !value.is_empty()).collect();
    let mut texts: Vec<Bytes> = vec![Zeroizing::new(text.as_bytes().to_vec())];
    for depth in 0..=DEPTH {
        if texts.iter().any(|text| values.iter().any(|value| stands_in(text, value))) {
            return true;
        }
        if depth < DEPTH {
            let shortest = values.iter().map(|value| value.len()).min().unwrap_or_default();
            texts =
                texts.iter().flat_map(|text| decoded(text)).filter(|text| text.len() >= shortest).collect();
        }
    }
    false
}

/// Paths of the fields of a JSON document that hold one of the values in their texts or keys, except the fields that a
/// rotation updates (`is_rotated`).
pub fn fields(document: &str, values: &[&str], is_rotated: impl Fn(&Value<'_>) -> bool) -> Vec<String> {
    let found = document::values(document).unwrap_or_default();
    let is_leaf = |value: &&Value<'_>| !value.json().starts_with(['{', '[']);
    let holds_one = |value: &&Value<'_>| {
        let text = value.text();
        // Half a surrogate pair is not text, but the rest of the value may still be a copy.
        let text = text.as_deref().map_or(value.json(), String::as_str);
        holds(text, values) || value.path.keys().any(|key| holds(key, values))
    };
    let stale = found.iter().filter(is_leaf).filter(|value| !is_rotated(value)).filter(holds_one);
    stale.map(|value| value.path.to_string()).collect()
}

/// Whether a text contains a value; a short value only as a whole word, in readable text.
fn stands_in(text: &[u8], value: &[u8]) -> bool {
    if value.len() < UNMISTAKABLE && !is_readable(text) {
        return false;
    }
    let is_word = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    text.windows(value.len()).enumerate().any(|(at, window)| {
        window == value
            && (value.len() >= UNMISTAKABLE
                || !is_word(at.checked_sub(1).and_then(|at| text.get(at)))
                    && !is_word(text.get(at + value.len())))
    })
}

/// Distinguishes real text from bytes that decoded by chance.
fn is_readable(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace()))
}

/// The text decoded from each encoding that it may have.
fn decoded(text: &[u8]) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut changed = |decoded: Bytes| {
        if *decoded != text {
            found.push(decoded);
        }
    };
    changed(percent_decoded(text));
    changed(unescaped(text));
    found.extend(runs(text, is_base64).flat_map(base64_decoded));
    found.extend(runs(text, u8::is_ascii_hexdigit).flat_map(hex_decoded));
    found
}

fn percent_decoded(text: &[u8]) -> Bytes {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    decoded.extend(percent_decode(text));
    decoded
}

/// Removes the backslashes of JSON, a shell, `.pgpass` or a properties file.
fn unescaped(text: &[u8]) -> Bytes {
    let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        let (b'\\', [escape, after @ ..]) = (*first, after) else {
            plain.push(*first);
            continue;
        };
        rest = after;
        let unit = |rest: &[u8]| {
            let digits = rest.get(..4).and_then(|digits| str::from_utf8(digits).ok());
            digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32)
        };
        match (escape, unit(after)) {
            (b'u', Some(character)) => {
                plain.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after.get(4..).unwrap_or_default();
            }
            (b'n', _) => plain.push(b'\n'),
            (b'r', _) => plain.push(b'\r'),
            (b't', _) => plain.push(b'\t'),
            _ => plain.push(*escape),
        }
    }
    plain
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)
}

/// The longest runs of bytes of one kind. Base64 may be broken into lines, so a line end does not end a run.
fn runs(text: &[u8], is_of: impl Fn(&u8) -> bool + Copy) -> impl Iterator<Item = Bytes> {
    text.split(move |byte| !is_of(byte) && !b"\r\n".contains(byte)).filter_map(move |run| {
        let mut digits = Zeroizing::new(Vec::with_capacity(run.len()));
        digits.extend(run.iter().filter(|byte| is_of(byte)));
        (digits.len() >= SHORTEST_RUN).then_some(digits)
    })
}

/// Decodes a run at each of the four possible offsets, because it may begin with characters that are not base64.
fn base64_decoded(mut run: Bytes) -> Vec<Bytes> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&STANDARD, config);
    for byte in run.iter_mut() {
        match byte {
            b'-' => *byte = b'+',
            b'_' => *byte = b'/',
            _ => {}
        }
    }
    let from = |start: usize| {
        let digits = run.get(start..)?;
        // A single trailing digit encodes nothing.
        let whole = if digits.len() % 4 == 1 { digits.len() - 1 } else { digits.len() };
        engine.decode(digits.get(..whole)?).ok().map(Zeroizing::new)
    };
    (0..4).filter_map(from).collect()
}

fn hex_decoded(run: Bytes) -> Vec<Bytes> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let from = |start: usize| {
        let mut bytes = Zeroizing::new(Vec::with_capacity(run.len() / 2));
        for pair in run.get(start..)?.chunks_exact(2) {
            let [high, low] = *pair else { return None };
            bytes.push(digit(high)? << 4 | digit(low)?);
        }
        Some(bytes)
    };
    (0..2).filter_map(from).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const VALUE: &str = "AKIA/EXAMPLE+OLD:01\"x";

    #[test]
    fn a_copy_is_found_in_every_form() {
        let percent = "AKIA%2FEXAMPLE%2bOLD%3A01%22x";
        let escaped = r#"AKIA\/EXAMPLE\u002BOLD\:01\"x"#;
        let base64 = STANDARD.encode(format!("user:{VALUE}"));
        let lines = format!("{}\r\n{}", &base64[..12], &base64[12..]);
        let hex: String = VALUE.bytes().map(|byte| format!("{byte:02X}")).collect();
        let document = serde_json::to_string(&serde_json::json!({"a": {"b": VALUE}})).unwrap();
        let twice = serde_json::to_string(&document).unwrap();
        for text in [
            VALUE.to_owned(),
            format!("{VALUE}\n"),
            format!("smtp://{percent}:x@email-smtp.us-east-1.amazonaws.com"),
            format!("smtp://{}:x@h", percent.replace('%', "%25")),
            format!("h:5432:d:u:{escaped}"),
            document.clone(),
            twice.clone(),
            format!("Authorization: Basic {base64}"),
            format!("xy{base64}"),
            lines,
            STANDARD.encode(&base64),
            URL_SAFE_NO_PAD.encode(&twice),
            STANDARD.encode(format!("postgres://u:{percent}@h/d")),
            hex.clone(),
            format!("0x{hex}"),
            STANDARD.encode(hex),
        ] {
            assert!(holds(&text, &["another", VALUE]), "{text}");
            assert!(holds(&text, &[&format!(" {VALUE}\n")]), "{text}");
            assert!(!holds(&text, &["AKIA/EXAMPLE+OLD:02"]), "{text}");
        }
        assert!(!holds("", &[VALUE]) && !holds("anything", &[]) && !holds("anything", &["", "\n"]));
    }

    #[test]
    fn a_short_value_is_found_only_as_a_whole_word() {
        for text in ["app", "jdbc:postgresql://h/d?user=u&password=app", "u:app@h", &STANDARD.encode("u:app")]
        {
            assert!(holds(text, &["app"]), "{text}");
        }
        for text in ["application", "wrapp", "app1", "an apple"] {
            assert!(!holds(text, &["app"]), "{text}");
        }
        assert!(holds("xs3cr3t!x", &["s3cr3t!x"]));
    }

    #[test]
    fn fields_are_named_by_their_path() {
        let document = r#"{"kept": "value-of-it", "a": [1, {"b": "x value-of-it"}], "value-of-it": true, "n": 12345678}"#;
        let is_rotated = |value: &Value<'_>| value.path.top_level_key() == Some("kept");
        assert_eq!(fields(document, &["value-of-it"], is_rotated), ["a[1].b", "value-of-it"]);
        assert_eq!(fields(document, &["12345678"], is_rotated), ["n"]);
        assert_eq!(fields("no document", &["document"], is_rotated), [""; 0]);
    }
}
