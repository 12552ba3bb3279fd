//! The rules of a rotation: which version is what, and how a secret's value is made. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use shared::policy::{Encoding, Generator, Random, Rotation};

use crate::error::RotateError;
use crate::event::Step;

/// Version ids and their staging labels.
pub(crate) type Versions = BTreeMap<String, BTreeSet<String>>;

/// What a step has to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plan {
    /// The rotation is over: AWSCURRENT is on the token.
    AlreadyCurrent,
    /// Nothing outside Secrets Manager knows the value.
    Nothing,
    /// Make and stage a value, unless one is there.
    Create,
    /// Prove the pending value.
    Test,
    /// Prove it again, and move AWSCURRENT to it.
    Promote,
}

/// How a secret's value is made and stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    /// Characters and length.
    pub generator: Generator,
    /// Field of the JSON document that holds the value; `None` when the whole secret is the value.
    pub field: Option<String>,
}

/// The version that carries a label.
pub(crate) fn labelled(versions: &Versions, label: &str) -> Option<String> {
    versions.iter().find(|(_, labels)| labels.contains(label)).map(|(id, _)| id.clone())
}

/// Checks that the step belongs to a rotation that is under way, and says what it has to do.
///
/// AWSPENDING on the version that is AWSCURRENT already is normal: the service takes it off later.
pub(crate) fn plan(
    step: Step,
    token: &str,
    rotation_enabled: Option<bool>,
    versions: &Versions,
) -> Result<Plan, RotateError> {
    if rotation_enabled != Some(true) {
        return Err(RotateError::RotationNotEnabled);
    }
    let labels =
        versions.get(token).ok_or_else(|| RotateError::UnknownVersion { token: token.to_owned() })?;
    if labels.contains("AWSCURRENT") {
        return Ok(Plan::AlreadyCurrent);
    }
    if !labels.contains("AWSPENDING") {
        return Err(RotateError::NotPending { token: token.to_owned() });
    }
    Ok(match step {
        Step::CreateSecret => Plan::Create,
        Step::SetSecret => Plan::Nothing,
        Step::TestSecret => Plan::Test,
        Step::FinishSecret => Plan::Promote,
    })
}

/// Prefix of the tags that change how a secret's value is made.
const TAG_PREFIX: &str = "rotation:";

/// How the value of the secret `name` is made: the policy's entry, changed by the secret's tags
/// `rotation:bytes`, `rotation:encoding`, `rotation:length`, `rotation:alphabet` and `rotation:field`.
///
/// A tag about size replaces all four size fields, and none may go below the policy's `min_length`. A secret
/// without an entry and without tags is refused: attached to the wrong secret, this function would replace a
/// database's password by noise.
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
    let tags: BTreeMap<&str, &str> = tags
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(TAG_PREFIX)?, value.as_str())))
        .collect();
    if entry.is_none() && tags.is_empty() {
        return Err(RotateError::NoRule { name: name.to_owned() });
    }
    if tags.keys().any(|key| *key != "field") {
        random = Random { bytes: None, encoding: None, length: None, alphabet: None, ..random };
    }
    for (key, value) in &tags {
        let number = || value.parse().map_err(|_| invalid(key, "expected a whole number"));
        match *key {
            "bytes" => random.bytes = Some(number()?),
            "length" => random.length = Some(number()?),
            "alphabet" => random.alphabet = Some((*value).to_owned()),
            "field" => random.field = Some((*value).to_owned()),
            "encoding" => {
                let encoding = Encoding::deserialize((*value).into_deserializer());
                random.encoding = Some(encoding.map_err(|error: ValueError| invalid(key, error))?);
            }
            _ => return Err(invalid(key, "unknown; expected bytes, encoding, length, alphabet or field")),
        }
    }
    let generator = random.generator().map_err(|error| invalid(&error.path, error.reason))?;
    Ok(Rule { generator, field: random.field })
}

fn invalid(key: &str, reason: impl std::fmt::Display) -> RotateError {
    RotateError::InvalidTag { tag: format!("{TAG_PREFIX}{key}"), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use shared::policy::Policy;

    use super::*;

    const TOKEN: &str = "new";

    #[track_caller]
    fn check(
        step: Step,
        enabled: Option<bool>,
        versions: &[(&str, &[&str])],
        expected: Result<Plan, RotateError>,
    ) {
        let versions = versions
            .iter()
            .map(|(id, labels)| ((*id).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()))
            .collect();
        assert_eq!(plan(step, TOKEN, enabled, &versions), expected);
    }

    #[test]
    fn the_plan_of_every_state() {
        use Step::*;
        const RUNNING: &[(&str, &[&str])] = &[("old", &["AWSCURRENT"]), ("new", &["AWSPENDING"])];
        check(CreateSecret, Some(true), RUNNING, Ok(Plan::Create));
        check(SetSecret, Some(true), RUNNING, Ok(Plan::Nothing));
        check(TestSecret, Some(true), RUNNING, Ok(Plan::Test));
        check(FinishSecret, Some(true), RUNNING, Ok(Plan::Promote));

        // The first value of a secret that was made empty.
        check(FinishSecret, Some(true), &[("new", &["AWSPENDING"])], Ok(Plan::Promote));

        for step in [CreateSecret, SetSecret, TestSecret, FinishSecret] {
            check(step, Some(true), &[("new", &["AWSCURRENT"])], Ok(Plan::AlreadyCurrent));
            check(step, Some(true), &[("new", &["AWSCURRENT", "AWSPENDING"])], Ok(Plan::AlreadyCurrent));
            check(step, Some(false), RUNNING, Err(RotateError::RotationNotEnabled));
            check(step, None, RUNNING, Err(RotateError::RotationNotEnabled));
            let unknown = RotateError::UnknownVersion { token: TOKEN.into() };
            check(step, Some(true), &[("old", &["AWSCURRENT"])], Err(unknown));
            let not_pending = RotateError::NotPending { token: TOKEN.into() };
            check(step, Some(true), &[("old", &["AWSCURRENT"]), ("new", &[])], Err(not_pending.clone()));
            check(
                step,
                Some(true),
                &[("old", &["AWSCURRENT"]), ("new", &["AWSPREVIOUS"])],
                Err(not_pending.clone()),
            );
            // A second rotation has taken the label.
            check(step, Some(true), &[("new", &[]), ("newer", &["AWSPENDING"])], Err(not_pending));
        }
    }

    fn rule_of(name: &str, tags: &[(&str, &str)]) -> Result<Rule, RotateError> {
        let policy: Policy = r#"{"rotation": {"secrets": {
            "DATABASE_URL": {"max_age_days": 90},
            "reports": {"max_age_days": 9, "random": {"bytes": 20, "encoding": "hex", "min_length": 40, "field": "key"}}
        }}}"#
        .parse()
        .unwrap();
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
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
        // Another function rotates it; no tag may hand it to this one.
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
        refused("x", &[("rotation:bytes", "48")], "tag rotation:encoding of the secret: missing");
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
