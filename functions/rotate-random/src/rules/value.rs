//! Makes values, puts them into their form and checks them. No value is printable, and buffers are wiped.

use std::ops::Range;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use shared::copies;
use shared::document;
use shared::policy::Generator;
use shared::rotation::{RotationError, generate, made_by};

use crate::rules::policy::Rule;

/// Makes a new secret: a new value in the rule's form; every other byte of `current` is unchanged.
///
/// # Errors
///
/// [`RotationError::WrongForm`] if `current` has no place for the value.
pub(crate) fn compose(current: Option<&SecretString>, rule: &Rule) -> Result<SecretString, RotationError> {
    let value = generate(&rule.generator)?;
    let Some(field) = &rule.field else {
        if let Some(current) = current {
            must_be_plain(current.expose_secret(), &rule.generator)?;
        }
        return Ok(value);
    };
    let current = current
        .ok_or_else(|| wrong(format!("it has no value yet, so no JSON document to hold field {field}")))?;
    let text = current.expose_secret();
    let place = locate(text, field)?;
    Ok(document::splice(text, &[(place, document::quote(value.expose_secret()))]))
}

/// Whether the pending value is the current one, as in a test without rotation (RotateImmediately=false).
pub(crate) fn is_copy(pending: &SecretString, current: Option<&SecretString>) -> bool {
    current.is_some_and(|current| current.expose_secret() == pending.expose_secret())
}

/// Refuses a document in which another field would keep the current value.
pub(crate) fn admit(current: &SecretString, rule: &Rule) -> Result<(), RotationError> {
    readable(current, rule)?;
    let Some(field) = &rule.field else { return Ok(()) };
    let text = current.expose_secret();
    let value: Zeroizing<String> = text
        .get(locate(text, field)?)
        .and_then(|quoted| serde_json::from_str(quoted).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| wrong(format!("field {field} of its JSON document is not a string")))?;
    let stale = copies::fields(text, &[&value], |other| other.path.top_level_key() == Some(field));
    if stale.is_empty() {
        return Ok(());
    }
    Err(wrong(format!(
        "fields {} hold the value of {field}, and a rotation would not replace it there: remove them",
        stale.join(", ")
    )))
}

/// Checks that a value has the rule's form, regardless of its author.
pub(crate) fn readable(value: &SecretString, rule: &Rule) -> Result<(), RotationError> {
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
) -> Result<(), RotationError> {
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
            return Err(RotationError::CurrentChanged);
        }
    }
    Ok(())
}

/// Refuses a document or a URL if the rule replaces the whole value, because the rest would be lost. A value that the
/// rule may have made is accepted in any form.
fn must_be_plain(text: &str, generator: &Generator) -> Result<(), RotationError> {
    if made_by(generator, text).is_ok() {
        return Ok(());
    }
    if text.trim_start().starts_with(['{', '[']) {
        return Err(wrong("it is a JSON document, and the policy names no field in it".to_owned()));
    }
    if text.contains("://") {
        return Err(wrong("it is a URL, which another function rotates".to_owned()));
    }
    Ok(())
}

/// The text before and after a field's value.
fn around<'a>(text: &'a str, place: &Range<usize>) -> (&'a str, &'a str) {
    (text.get(..place.start).unwrap_or_default(), text.get(place.end..).unwrap_or_default())
}

fn locate(document: &str, field: &str) -> Result<Range<usize>, RotationError> {
    document::field(document, field).map_err(wrong)
}

fn wrong(reason: String) -> RotationError {
    RotationError::WrongForm { reason }
}

fn rejected(reason: impl Into<String>) -> RotationError {
    RotationError::PendingRejected { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::policy::Encoding;

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
    fn another_field_with_the_value_is_refused_by_name() {
        let keyed = rule(JWT, Some("key"));
        let held = |more: &str| secret(&format!(r#"{{"key": "dev/secret-change-me", {more}}}"#));
        for (more, named) in [
            (r#""old": "dev/secret-change-me""#, "old"),
            (r#""a": {"JWT": "\u0064ev\/secret-change-me\n"}"#, "a.JWT"),
            (r#""url": "https://x/?jwt=dev%2Fsecret-change-me""#, "url"),
            (r#""env": ["e30=", "SldUX1NFQ1JFVD1kZXYvc2VjcmV0LWNoYW5nZS1tZQ=="]"#, "env[1]"),
        ] {
            let error = admit(&held(more), &keyed).unwrap_err().to_string();
            assert!(error.contains(&format!("fields {named} hold the value of key")), "{error}");
            assert!(!error.contains("change-me"), "{error}");
        }
        assert_eq!(admit(&held(r#""old": "another", "n": 1"#), &keyed), Ok(()));
        assert_eq!(admit(&secret("dev-secret-change-me"), &rule(JWT, None)), Ok(()));
        assert_eq!(admit(&secret(r#"{"key": "", "a": ""}"#), &keyed), Ok(()));
    }

    #[track_caller]
    fn refused(value: &str, current: Option<&str>, rule: &Rule, kind: &str) {
        let error = examine(&secret(value), current.map(secret).as_ref(), rule).unwrap_err();
        assert_eq!(shared::runtime::failure::Failure::kind(&error), kind, "{error}");
        assert!(!error.to_string().contains(value), "{error}");
    }

    #[test]
    fn a_pending_value_outside_the_rule_is_rejected() {
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
    fn a_plain_value_never_replaces_a_document_or_a_url() {
        for current in [r#"{"password": "x"}"#, " [1]", "postgres://imm:pw@db:5432/moveongs"] {
            let error = compose(Some(&secret(current)), &rule(JWT, None)).unwrap_err();
            assert!(matches!(error, RotationError::WrongForm { .. }), "{error}");
        }
        // A value that the rule makes is plain, though it may begin like a document.
        let printable = Generator::Characters { length: 24, alphabet: (' '..='~').collect() };
        assert!(compose(Some(&secret("[://{ 0123456789abcdefghi")), &rule(printable.clone(), None)).is_err());
        assert!(compose(Some(&secret("[://{ 0123456789abcdefgh")), &rule(printable, None)).is_ok());
        // The value in the application's three tfvars: too short for the rule, but replaceable.
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
        // A person changed another field after the pending value was made.
        let edited = document.replace("1e2", "1e3");
        assert_eq!(examine(&new, Some(&secret(&edited)), &hex), Err(RotationError::CurrentChanged));
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
            assert!(matches!(error, RotationError::WrongForm { .. }), "{current}: {error}");
        }
        assert!(matches!(compose(None, &keyed), Err(RotationError::WrongForm { .. })));
    }

    #[test]
    fn a_copy_is_not_a_rotation() {
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
