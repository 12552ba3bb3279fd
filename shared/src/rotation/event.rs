//! Parses the rotation event. The rest of the crate never sees an unknown step or a malformed token.

use std::fmt;
use std::str::FromStr;

use aws_lambda_events::event::secretsmanager::SecretsManagerSecretRotationEvent;
use secrecy::SecretString;
use serde_json::Value;

use super::RotationError;

/// The steps of a rotation, in the order in which Secrets Manager calls them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Make the new value and stage it as AWSPENDING.
    CreateSecret,
    /// Give the new value to the system that checks it.
    SetSecret,
    /// Prove the pending value.
    TestSecret,
    /// Move AWSCURRENT to the pending version.
    FinishSecret,
}

/// One rotation step, parsed; `try_from` refuses any other event.
///
/// Source: [rotation by Lambda function](https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html).
#[derive(Clone, Debug)]
pub struct Request {
    /// ARN of the secret.
    pub secret_id: String,
    /// `ClientRequestToken`: the version id of the new value, and the idempotency key.
    pub token: String,
    /// Token that PutSecretValue needs if the function works for another account; never logged.
    pub rotation_token: Option<SecretString>,
    /// The step to perform.
    pub step: Step,
}

impl FromStr for Step {
    type Err = RotationError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "createSecret" => Ok(Self::CreateSecret),
            "setSecret" => Ok(Self::SetSecret),
            "testSecret" => Ok(Self::TestSecret),
            "finishSecret" => Ok(Self::FinishSecret),
            _ => Err(invalid("Step", "createSecret, setSecret, testSecret or finishSecret")),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateSecret => "createSecret",
            Self::SetSecret => "setSecret",
            Self::TestSecret => "testSecret",
            Self::FinishSecret => "finishSecret",
        })
    }
}

fn invalid(field: &'static str, expected: &'static str) -> RotationError {
    RotationError::InvalidEvent { field, expected }
}

impl TryFrom<Value> for Request {
    type Error = RotationError;

    fn try_from(event: Value) -> Result<Self, Self::Error> {
        // Check the fields one by one: serde's own message may quote a value, and the event contains a RotationToken.
        for field in ["Step", "SecretId", "ClientRequestToken"] {
            if !event.get(field).is_some_and(Value::is_string) {
                return Err(invalid(field, "a string"));
            }
        }
        let mut event: SecretsManagerSecretRotationEvent = serde_json::from_value(event)
            .map_err(|_| invalid("event", "a rotation event of Secrets Manager"))?;
        if !event.secret_id.starts_with("arn:") {
            return Err(invalid("SecretId", "the ARN of a secret"));
        }
        let token_characters = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !(32..=64).contains(&event.client_request_token.len())
            || !event.client_request_token.chars().all(token_characters)
        {
            return Err(invalid("ClientRequestToken", "32 to 64 letters, digits and hyphens"));
        }
        let rotation_token = match event.other.remove("RotationToken") {
            Some(Value::String(token)) => Some(SecretString::from(token)),
            Some(Value::Null) | None => None,
            Some(_) => return Err(invalid("RotationToken", "a string")),
        };
        Ok(Self {
            step: event.step.parse()?,
            secret_id: event.secret_id,
            token: event.client_request_token,
            rotation_token,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "Step": "createSecret",
            "SecretId": "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3",
            "ClientRequestToken": "0f0e0d0c-0b0a-4908-8706-050403020100",
        })
    }

    #[test]
    fn an_event_is_read_with_and_without_a_rotation_token() {
        let request = Request::try_from(event()).unwrap();
        assert_eq!(request.step, Step::CreateSecret);
        assert!(request.rotation_token.is_none());

        let mut newer = event();
        newer["RotationToken"] = json!("s3cr3t-rotation-token");
        newer["SomethingNew"] = json!({"unknown": true});
        let request = Request::try_from(newer).unwrap();
        assert!(request.rotation_token.is_some());
        assert!(!format!("{request:?}").contains("s3cr3t"));
    }

    #[track_caller]
    fn refused(field: &'static str, value: Value) {
        let mut event = event();
        event[field] = value;
        match Request::try_from(event).unwrap_err() {
            RotationError::InvalidEvent { field: named, .. } => assert_eq!(named, field),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_wrong_field_is_named_and_its_value_is_not_shown() {
        for step in ["create_secret", "CreateSecret", "", "rollbackSecret"] {
            refused("Step", json!(step));
        }
        refused("Step", json!(1));
        refused("SecretId", json!("/moveongs/dev/jwt"));
        refused("ClientRequestToken", Value::Null);
        refused("ClientRequestToken", json!("a".repeat(31)));
        refused("ClientRequestToken", json!("a".repeat(65)));
        refused("ClientRequestToken", json!("a b".repeat(12)));
        refused("RotationToken", json!(5));
        assert!(
            Request::try_from(json!("a s3cr3t text"))
                .is_err_and(|error| !error.to_string().contains("s3cr3t"))
        );
    }
}
