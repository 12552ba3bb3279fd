//! The rule for a secret's value: the policy's entry, changed by the secret's tags.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use shared::policy::{Encoding, Generator, Random, Rotation};
use shared::rotation::invalid_tag;

use crate::error::RotateError;

/// The rule for making and storing a secret's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    /// Characters and length.
    pub generator: Generator,
    /// Field of the JSON document that holds the value; `None` if the whole secret is the value.
    pub field: Option<String>,
}

/// Finds the rule for the secret `name`: the policy's entry, changed by the secret's tags
/// `rotation:bytes`, `rotation:encoding`, `rotation:length`, `rotation:alphabet` and `rotation:field`.
///
/// A tag about size replaces all four size fields, and none may go below the policy's `min_length`.
///
/// # Errors
///
/// [`RotateError::NoRule`] for an entry without a rule, and for a secret with neither an entry nor tags: attached to
/// the wrong secret, this function would overwrite a database password with a random value. [`RotateError::Rotation`]
/// for an invalid tag or size.
pub(crate) fn rule(
    rotation: &Rotation,
    name: &str,
    tags: &BTreeMap<String, String>,
) -> Result<Rule, RotateError> {
    let entry = rotation.secrets.get(name);
    let mut random = match entry {
        Some(secret) => secret.random.clone().ok_or_else(|| RotateError::NoRule { name: name.to_owned() })?,
        None => {
            Random { bytes: None, encoding: None, length: None, alphabet: None, min_length: 0, field: None }
        }
    };
    if entry.is_none() && tags.is_empty() {
        return Err(RotateError::NoRule { name: name.to_owned() });
    }
    if tags.keys().any(|key| key != "field") {
        random = Random { bytes: None, encoding: None, length: None, alphabet: None, ..random };
    }
    for (key, value) in tags {
        let number = || value.parse().map_err(|_| invalid_tag(key, "expected a whole number"));
        match key.as_str() {
            "bytes" => random.bytes = Some(number()?),
            "length" => random.length = Some(number()?),
            "alphabet" => random.alphabet = Some(value.clone()),
            "field" => random.field = Some(value.clone()),
            "encoding" => {
                let encoding = Encoding::deserialize(value.as_str().into_deserializer());
                random.encoding = Some(encoding.map_err(|error: ValueError| invalid_tag(key, error))?);
            }
            _ => {
                let reason = "unknown; expected bytes, encoding, length, alphabet or field";
                return Err(invalid_tag(key, reason).into());
            }
        }
    }
    let generator = random.generator().map_err(|error| invalid_tag(&error.path, error.reason))?;
    Ok(Rule { generator, field: random.field })
}

#[cfg(test)]
mod tests {
    use shared::policy::Policy;

    use super::*;

    fn rule_of(name: &str, tags: &[(&str, &str)]) -> Result<Rule, RotateError> {
        let policy: Policy = r#"{"rotation": {"secrets": {
            "DATABASE_URL": {"max_age_days": 90},
            "reports": {"max_age_days": 9, "random": {"bytes": 20, "encoding": "hex", "min_length": 40, "field": "key"}}
        }}}"#
        .parse()
        .unwrap();
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let tags = shared::rotation::tags(tags);
        rule(&policy.rotation, name, &tags)
    }

    #[test]
    fn the_rule_of_a_secret() {
        let bytes = |bytes, encoding| Generator::Bytes { bytes, encoding };
        let plain = |generator| Ok(Rule { generator, field: None });
        let keyed = |generator| Ok(Rule { generator, field: Some("key".to_owned()) });

        assert_eq!(rule_of("JWT_SECRET", &[]), plain(bytes(48, Encoding::Base64)));
        assert_eq!(rule_of("JWT_SECRET", &[("Project", "moveongs")]), plain(bytes(48, Encoding::Base64)));
        assert_eq!(rule_of("reports", &[]), keyed(bytes(20, Encoding::Hex)));
        let tags = [("rotation:bytes", "64"), ("rotation:encoding", "base64url")];
        assert_eq!(rule_of("reports", &tags), keyed(bytes(64, Encoding::Base64url)));
        let tags = [("rotation:length", "128"), ("rotation:alphabet", "01"), ("rotation:field", "key")];
        assert_eq!(
            rule_of("anything", &tags),
            keyed(Generator::Characters { length: 128, alphabet: "01".into() })
        );
    }

    #[track_caller]
    fn refused(name: &str, tags: &[(&str, &str)], message: &str) {
        let error = rule_of(name, tags).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_secret_without_a_rule_or_with_a_wrong_tag_is_refused() {
        refused("/moveongs/dev/db", &[], "how the value of secret /moveongs/dev/db is made");
        refused("/moveongs/dev/db", &[("rotation", "yes")], "how the value");
        // Another function rotates it; a tag must not assign it to this one.
        refused(
            "DATABASE_URL",
            &[("rotation:bytes", "48"), ("rotation:encoding", "base64")],
            "how the value",
        );
        refused("x", &[("rotation:field", "key")], "tag rotation:bytes of the secret: give either");
        refused(
            "x",
            &[("rotation:bytes", "many")],
            "tag rotation:bytes of the secret: expected a whole number",
        );
        refused("x", &[("rotation:bytes", "48")], "tag rotation:encoding of the secret: required with bytes");
        refused(
            "x",
            &[("rotation:bytes", "15"), ("rotation:encoding", "hex")],
            "tag rotation:bytes of the secret: 120 bits",
        );
        refused(
            "x",
            &[("rotation:encoding", "rot13")],
            "tag rotation:encoding of the secret: unknown variant",
        );
        refused("x", &[("rotation:colour", "red")], "tag rotation:colour of the secret: unknown");
        refused(
            "JWT_SECRET",
            &[("rotation:bytes", "16"), ("rotation:encoding", "base64")],
            "min_length is 32",
        );
    }
}
