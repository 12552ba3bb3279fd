//! The values: made, put into their form, examined. Nothing here is printable, and buffers are wiped.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use shared::policy::{Encoding, Generator};

use crate::error::RotateError;
use crate::policy::Rule;

/// A new secret: a fresh value in the form that the rule names, everything else of `current` byte for byte.
pub(crate) fn compose(current: Option<&SecretString>, rule: &Rule) -> Result<SecretString, RotateError> {
    let value = generate(&rule.generator)?;
    let Some(field) = &rule.field else {
        if let Some(current) = current {
            must_be_plain(current.expose_secret(), &rule.generator)?;
        }
        return Ok(value);
    };
    let current = current.ok_or_else(|| {
        wrong(format!("it has no value yet, so there is no JSON document to put field {field} into"))
    })?;
    let text = current.expose_secret();
    let place = locate(text, field)?;
    let quoted = Zeroizing::new(
        serde_json::to_string(value.expose_secret())
            .map_err(|_| wrong("the new value is not JSON".to_owned()))?,
    );
    let (before, after) = around(text, &place);
    // Sized in advance: a buffer that grows leaves unwiped copies behind.
    let mut whole = String::with_capacity(before.len() + quoted.len() + after.len());
    whole.push_str(before);
    whole.push_str(&quoted);
    whole.push_str(after);
    Ok(SecretString::from(whole))
}

/// Whether the pending value is the current one, as in a test that is no rotation (RotateImmediately=false).
pub(crate) fn is_copy(pending: &SecretString, current: Option<&SecretString>) -> bool {
    current.is_some_and(|current| current.expose_secret() == pending.expose_secret())
}

/// Checks that a value has the rule's form, whatever made it.
pub(crate) fn readable(value: &SecretString, rule: &Rule) -> Result<(), RotateError> {
    match &rule.field {
        Some(field) => locate(value.expose_secret(), field).map(|_| ()),
        None => must_be_plain(value.expose_secret(), &rule.generator),
    }
}

/// Checks that the pending value is new, made by the rule, and differs from the current one in nothing else.
pub(crate) fn examine(
    pending: &SecretString,
    current: Option<&SecretString>,
    rule: &Rule,
) -> Result<(), RotateError> {
    if is_copy(pending, current) {
        return Err(rejected("it is the current value"));
    }
    let pending = pending.expose_secret();
    let Some(field) = &rule.field else {
        return made_by(&rule.generator, pending);
    };
    let place = locate(pending, field)?;
    let value: Zeroizing<String> = pending
        .get(place.clone())
        .and_then(|quoted| serde_json::from_str(quoted).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| rejected("its field is not a string"))?;
    made_by(&rule.generator, &value)?;
    if let Some(current) = current {
        let current = current.expose_secret();
        if around(current, &locate(current, field)?) != around(pending, &place) {
            return Err(RotateError::CurrentChanged);
        }
    }
    Ok(())
}

/// Checks length and characters of a value against the rule.
fn made_by(generator: &Generator, value: &str) -> Result<(), RotateError> {
    let (found, expected) = (value.chars().count(), generator.text_length());
    if found != expected {
        return Err(rejected(format!("{found} characters, expected {expected}")));
    }
    let good = match generator {
        Generator::Bytes { bytes, encoding } => {
            let decoded = match encoding {
                Encoding::Base64 => STANDARD.decode(value).ok(),
                Encoding::Base64url => URL_SAFE_NO_PAD.decode(value).ok(),
                Encoding::Hex => value
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                    .then(|| vec![0; value.len() / 2]),
            };
            decoded.map(Zeroizing::new).is_some_and(|decoded| decoded.len() == usize::from(*bytes))
        }
        Generator::Characters { alphabet, .. } => value.chars().all(|c| alphabet.contains(c)),
    };
    if good { Ok(()) } else { Err(rejected("characters that the rule does not make")) }
}

/// A value by the rule, from the operating system's generator.
fn generate(generator: &Generator) -> Result<SecretString, RotateError> {
    let text = match generator {
        Generator::Bytes { bytes, encoding } => {
            let mut random = Zeroizing::new(vec![0; usize::from(*bytes)]);
            fill(&mut random)?;
            match encoding {
                Encoding::Base64 => STANDARD.encode(&*random),
                Encoding::Base64url => URL_SAFE_NO_PAD.encode(&*random),
                Encoding::Hex => {
                    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
                    let mut text = String::with_capacity(random.len() * 2);
                    text.extend(random.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
                    text
                }
            }
        }
        Generator::Characters { length, alphabet } => {
            let alphabet = alphabet.as_bytes();
            // Bytes at and above the greatest multiple of the alphabet's size would make its first characters likelier.
            let even = 256 - 256 % alphabet.len().max(1);
            let mut text = String::with_capacity(usize::from(*length));
            let mut random = Zeroizing::new([0; 256]);
            while text.len() < usize::from(*length) {
                fill(&mut *random)?;
                let fair = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < even);
                let chosen =
                    fair.filter_map(|byte| alphabet.get(byte % alphabet.len()).map(|b| char::from(*b)));
                text.extend(chosen.take(usize::from(*length) - text.len()));
            }
            text
        }
    };
    Ok(SecretString::from(text))
}

fn fill(buffer: &mut [u8]) -> Result<(), RotateError> {
    getrandom::fill(buffer).map_err(|_| RotateError::NoRandomness)
}

/// A plain value that is replaced whole may not be a document or an address that holds more than the value. One that
/// the rule itself may have made is plain, whatever it looks like.
fn must_be_plain(text: &str, generator: &Generator) -> Result<(), RotateError> {
    if made_by(generator, text).is_ok() {
        return Ok(());
    }
    if text.trim_start().starts_with(['{', '[']) {
        return Err(wrong("it is a JSON document, and the policy names no field of it".to_owned()));
    }
    if text.contains("://") {
        return Err(wrong("it is a URL, which another function rotates".to_owned()));
    }
    Ok(())
}

/// The text before and after a place.
fn around<'a>(text: &'a str, place: &Range<usize>) -> (&'a str, &'a str) {
    (text.get(..place.start).unwrap_or_default(), text.get(place.end..).unwrap_or_default())
}

/// Where the value of a top-level field stands in a JSON document, quotes included.
fn locate(document: &str, field: &str) -> Result<Range<usize>, RotateError> {
    struct Places<'f> {
        field: &'f str,
    }
    impl<'de> Visitor<'de> for Places<'_> {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                if key == self.field {
                    found.push(value);
                }
            }
            Ok(found)
        }
    }
    let not_json = || wrong("it is not a JSON object, and the policy names a field of one".to_owned());
    let mut parser = serde_json::Deserializer::from_str(document);
    // serde_json's own message is left out: it may quote the document.
    let found =
        serde::Deserializer::deserialize_map(&mut parser, Places { field }).map_err(|_| not_json())?;
    parser.end().map_err(|_| not_json())?;
    let value = match found.as_slice() {
        [value] => value.get(),
        [] => return Err(wrong(format!("its JSON document has no field {field}"))),
        _ => return Err(wrong(format!("its JSON document has field {field} more than once"))),
    };
    if !value.starts_with('"') {
        return Err(wrong(format!("field {field} of its JSON document is not a string")));
    }
    // A raw value borrows from the document, so its place is the distance of the two addresses.
    let start = value.as_ptr().addr() - document.as_ptr().addr();
    Ok(start..start + value.len())
}

fn wrong(reason: String) -> RotateError {
    RotateError::WrongForm { reason }
}

fn rejected(reason: impl Into<String>) -> RotateError {
    RotateError::PendingRejected { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JWT: Generator = Generator::Bytes { bytes: 48, encoding: Encoding::Base64 };

    fn rule(generator: Generator, field: Option<&str>) -> Rule {
        Rule { generator, field: field.map(str::to_owned) }
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn each_generator_makes_what_it_accepts() {
        let generators = [
            JWT,
            Generator::Bytes { bytes: 17, encoding: Encoding::Base64 },
            Generator::Bytes { bytes: 17, encoding: Encoding::Base64url },
            Generator::Bytes { bytes: 33, encoding: Encoding::Hex },
            Generator::Characters { length: 300, alphabet: "01".into() },
            Generator::Characters { length: 22, alphabet: (' '..='~').collect() },
        ];
        for generator in generators {
            let rule = rule(generator, None);
            let first = compose(None, &rule).unwrap();
            let second = compose(Some(&first), &rule).unwrap();
            assert_eq!(examine(&second, Some(&first), &rule), Ok(()), "{rule:?}");
            assert_eq!(examine(&first, None, &rule), Ok(()), "{rule:?}");
        }
    }

    #[test]
    fn every_character_of_an_alphabet_is_as_likely() {
        // 90 does not divide 256: a plain remainder would make the first 76 half again as likely.
        let alphabet: String = (' '..='~').take(90).collect();
        let generator = Generator::Characters { length: 4096, alphabet: alphabet.clone() };
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..20 {
            for c in generate(&generator).unwrap().expose_secret().chars() {
                *counts.entry(c).or_insert(0_u32) += 1;
            }
        }
        // 81,920 draws: 910 each, with a standard deviation of 30. Seven of those do not happen by chance.
        assert_eq!(counts.len(), alphabet.len());
        assert!(counts.values().all(|count| (700..1120).contains(count)), "{counts:?}");
    }

    #[track_caller]
    fn refused(value: &str, current: Option<&str>, rule: &Rule, kind: &str) {
        let error = examine(&secret(value), current.map(secret).as_ref(), rule).unwrap_err();
        assert_eq!(shared::failure::Failure::kind(&error), kind, "{error}");
        assert!(!error.to_string().contains(value), "{error}");
    }

    #[test]
    fn a_pending_value_that_the_rule_does_not_make_is_rejected() {
        let jwt = rule(JWT, None);
        let good = "A".repeat(64);
        assert_eq!(examine(&secret(&good), Some(&secret("short")), &jwt), Ok(()));
        refused(&good, Some(&good), &jwt, "PendingRejected");
        refused(&"A".repeat(63), None, &jwt, "PendingRejected");
        refused(&"A".repeat(65), None, &jwt, "PendingRejected");
        refused(&format!("{}-", "A".repeat(63)), None, &jwt, "PendingRejected");
        refused(&format!("{}é", "A".repeat(63)), None, &jwt, "PendingRejected");
        let hex = rule(Generator::Bytes { bytes: 32, encoding: Encoding::Hex }, None);
        refused(&"F".repeat(64), None, &hex, "PendingRejected");
        refused(&"g".repeat(64), None, &hex, "PendingRejected");
        let digits = rule(Generator::Characters { length: 40, alphabet: "0123456789".into() }, None);
        refused(&format!("{}x", "0".repeat(39)), None, &digits, "PendingRejected");
    }

    #[test]
    fn a_document_or_an_address_is_not_replaced_by_a_plain_value() {
        for current in [r#"{"password": "x"}"#, " [1]", "postgres://imm:pw@db:5432/moveongs"] {
            let error = compose(Some(&secret(current)), &rule(JWT, None)).unwrap_err();
            assert!(matches!(error, RotateError::WrongForm { .. }), "{error}");
        }
        // What the rule makes is plain, though it may begin like a document.
        let printable = Generator::Characters { length: 24, alphabet: (' '..='~').collect() };
        assert!(compose(Some(&secret("[://{ 0123456789abcdefghi")), &rule(printable.clone(), None)).is_err());
        assert!(compose(Some(&secret("[://{ 0123456789abcdefgh")), &rule(printable, None)).is_ok());
        // All three values of the application's tfvars; too short for it, and replaced all the same.
        assert!(compose(Some(&secret("dev-secret-change-me")), &rule(JWT, None)).is_ok());
    }

    #[test]
    fn a_field_is_replaced_and_the_rest_kept_byte_for_byte() {
        let hex = rule(Generator::Bytes { bytes: 16, encoding: Encoding::Hex }, Some("key"));
        let document =
            "{ \"b\": 1e2,\t\"key\" : \"o\\u006cd\" ,\"a\":{\"key\":\"inner\"}, \"ü\":\"\\u00fc\" }\n";
        let new = compose(Some(&secret(document)), &hex).unwrap();
        let text = new.expose_secret();
        let value = &text[21..53];
        assert_eq!(text, document.replace("o\\u006cd", value));
        assert_eq!(examine(&new, Some(&secret(document)), &hex), Ok(()));
        // Somebody changed another field after the pending value was made.
        let edited = document.replace("1e2", "1e3");
        assert_eq!(examine(&new, Some(&secret(&edited)), &hex), Err(RotateError::CurrentChanged));
    }

    #[test]
    fn a_document_without_the_one_field_is_refused() {
        let keyed = rule(JWT, Some("key"));
        for current in [
            "plain",
            "",
            "[]",
            r#"{"other": "x"}"#,
            r#"{"key": 5}"#,
            r#"{"key": {"a": "b"}}"#,
            r#"{"key": "a", "\u006bey": "b"}"#,
            r#"{"key": "a"} x"#,
            r#"{"key": "a""#,
        ] {
            let error = compose(Some(&secret(current)), &keyed).unwrap_err();
            assert!(matches!(error, RotateError::WrongForm { .. }), "{current}: {error}");
        }
        assert!(matches!(compose(None, &keyed), Err(RotateError::WrongForm { .. })));
    }

    #[test]
    fn a_copy_is_told_from_a_rotation() {
        let copy = secret("dev-secret-change-me");
        assert!(is_copy(&copy, Some(&copy)));
        assert!(!is_copy(&copy, None));
        assert_eq!(readable(&copy, &rule(JWT, None)), Ok(()));
        assert!(readable(&copy, &rule(JWT, Some("key"))).is_err());
    }

    proptest! {
        #[test]
        fn any_document_keeps_everything_but_the_field(
            before in prop::collection::vec((".*", ".*"), 0..4),
            after in prop::collection::vec((".*", ".*"), 0..4),
            old in ".*",
        ) {
            let quote = |text: &str| serde_json::to_string(text).unwrap();
            let member = |(key, value): &(String, String)| format!("{}: {}", quote(key), quote(value));
            prop_assume!(before.iter().chain(&after).all(|(key, _)| key != "key"));
            let members = |at: &str| {
                let own = format!("\"key\":{at}");
                let all: Vec<_> = before.iter().map(member).chain([own]).chain(after.iter().map(member)).collect();
                format!("{{{}}}", all.join(" ,"))
            };
            let current = secret(&members(&quote(&old)));
            let keyed = rule(JWT, Some("key"));
            let pending = compose(Some(&current), &keyed).unwrap();
            let value = &pending.expose_secret()[members("").find("\"key\":").unwrap() + 6..][..66];
            prop_assert_eq!(pending.expose_secret(), members(value));
            prop_assert_eq!(examine(&pending, Some(&current), &keyed), Ok(()));
        }
    }
}
