//! Events other than rotation steps: requests to retire old credentials.

use serde::Deserialize;
use serde_json::Value;

use crate::error::RotateError;

/// A request by a schedule or a person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Always `true`.
    retire: bool,
    /// A person's statement that a version is in use.
    pub in_use: Option<Declared>,
}

/// A person's statement that a version is in use, for a secret that no ECS service reads.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    /// Name of the secret.
    pub secret: String,
    /// The version that is in use.
    pub version: String,
    /// Name of the person.
    pub by: String,
}

/// Whether an event is a rotation step, well formed or not.
pub(crate) fn is_step(event: &Value) -> bool {
    event.get("retire").is_none()
}

impl TryFrom<Value> for Request {
    type Error = RotateError;

    fn try_from(event: Value) -> Result<Self, Self::Error> {
        let invalid = |field, expected| RotateError::InvalidEvent { field, expected };
        let expected =
            r#"{"retire": true}, with in_use {secret, version, by} if a person vouches for the version"#;
        let request: Self = serde_json::from_value(event).map_err(|_| invalid("retire", expected))?;
        if !request.retire {
            return Err(invalid("retire", "true"));
        }
        if let Some(Declared { secret, version, by }) = &request.in_use
            && [secret, version, by].iter().any(|text| text.trim().is_empty() || text.len() > 512)
        {
            return Err(invalid("in_use", "filled in"));
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_names_retiring_and_at_most_one_version() {
        let plain = Request::try_from(json!({"retire": true})).unwrap();
        assert_eq!(plain.in_use, None);
        let declared = json!({"secret": "s", "version": "v", "by": "maria"});
        let request = Request::try_from(json!({"retire": true, "in_use": declared})).unwrap();
        assert_eq!(request.in_use.unwrap().by, "maria");
        for (bad, field) in [
            (json!({"retire": false}), "retire"),
            (json!({"retire": "yes"}), "retire"),
            (json!({"retire": true, "secret": "s"}), "retire"),
            (json!({"retire": true, "in_use": {"secret": "s", "version": "v"}}), "retire"),
            (json!({"retire": true, "in_use": {"secret": "s", "version": "v", "by": " "}}), "in_use"),
        ] {
            let error = Request::try_from(bad).unwrap_err();
            assert!(
                matches!(error, RotateError::InvalidEvent { field: found, .. } if found == field),
                "{error}"
            );
        }
        assert!(is_step(&json!({"Step": "createSecret"})));
        assert!(is_step(&json!({})));
        assert!(!is_step(&json!({"retire": true})));
    }
}
