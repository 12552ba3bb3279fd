//! CloudTrail's events about acts and about failed rotations. Secrets Manager sends no event for either.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{self, InvalidEvent};

use crate::rules::act::Act;
use crate::rules::change::Reason;

/// The meaning of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum TrailEvent {
    /// A caller created a version, or made it current.
    Act {
        /// ARN of the secret.
        secret: String,
        /// The version.
        version: String,
        /// The act.
        act: Act,
    },
    /// A rotation failed or was abandoned.
    Broken {
        /// ARN of the secret.
        secret: String,
        /// CloudTrail's name of the event.
        event: String,
        /// Id of the event.
        id: String,
    },
    /// Irrelevant to the journal.
    Nothing,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    id: String,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    event_name: String,
    #[serde(default)]
    event_time: Timestamp,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    user_identity: Identity,
    #[serde(default)]
    request_parameters: Value,
    #[serde(default)]
    response_elements: Value,
    #[serde(default)]
    additional_event_data: Value,
}

#[derive(Default, Deserialize)]
struct Identity {
    #[serde(default)]
    arn: Option<String>,
}

fn text(value: &Value, name: &str) -> Option<String> {
    Some(value.get(name)?.as_str()?.to_owned())
}

/// Reads an event of either of CloudTrail's two detail types.
///
/// # Errors
///
/// [`InvalidEvent`] if the event is not from CloudTrail, or a failed rotation names no secret.
pub(crate) fn parse(event: Value, own: &[Session]) -> Result<TrailEvent, InvalidEvent> {
    let Event { id, detail } = event::parse(event)?;
    if matches!(detail.event_name.as_str(), "RotationFailed" | "RotationAbandoned" | "TestRotationFailed") {
        let secret = text(&detail.additional_event_data, "SecretId")
            .or_else(|| text(&detail.request_parameters, "secretId"))
            .ok_or_else(|| {
                InvalidEvent::at("detail.additionalEventData.SecretId", "expected the secret's ARN")
            })?;
        return Ok(TrailEvent::Broken { secret, event: detail.event_name, id });
    }
    if detail.error_code.is_some() {
        return Ok(TrailEvent::Nothing);
    }
    // Custom labels do not change the value in force.
    if !concerns_current(&detail) {
        return Ok(TrailEvent::Nothing);
    }
    let version = match detail.event_name.as_str() {
        "RotateSecret" | "PutSecretValue" | "UpdateSecret" => text(&detail.response_elements, "versionId")
            .or_else(|| text(&detail.request_parameters, "clientRequestToken")),
        "UpdateSecretVersionStage" => text(&detail.request_parameters, "moveToVersionId"),
        _ => None,
    };
    // Some events have `aRN`.
    let secret = text(&detail.response_elements, "arn")
        .or_else(|| text(&detail.response_elements, "aRN"))
        .or_else(|| text(&detail.request_parameters, "secretId").filter(|id| id.starts_with("arn:")));
    // A rotation function acts on behalf of the service, so its calls are not manual.
    let by = detail.user_identity.arn.filter(|arn| !own.iter().any(|session| session.is(arn)));
    Ok(match (secret, version, by) {
        (Some(secret), Some(version), Some(by)) => TrailEvent::Act {
            secret,
            version,
            act: Act { reason: Reason::Manual, by, at: detail.event_time },
        },
        _ => TrailEvent::Nothing,
    })
}

/// Whether a call can have moved AWSCURRENT.
fn concerns_current(detail: &Detail) -> bool {
    const CURRENT: &str = "AWSCURRENT";
    match detail.event_name.as_str() {
        "UpdateSecretVersionStage" => {
            text(&detail.request_parameters, "versionStage").is_none_or(|label| label == CURRENT)
        }
        "PutSecretValue" => {
            let labels = detail.request_parameters.get("versionStages").and_then(Value::as_array);
            labels.is_none_or(|labels| labels.is_empty() || labels.iter().any(|label| label == CURRENT))
        }
        _ => true,
    }
}

/// The session of one of this stack's functions: its role, and the session name, which Lambda sets to the function's
/// name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    role: String,
    function: String,
}

impl Session {
    /// Reads `function=ARN of its role`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (function, role) = text.split_once('=')?;
        let is_role = role.starts_with("arn:") && role.contains(":iam::") && role.contains(":role/");
        (is_role && !function.is_empty())
            .then(|| Self { role: role.to_owned(), function: function.to_owned() })
    }

    /// Whether a caller's ARN is this session. STS omits the role's path. The role must match too: a caller that
    /// assumes another role can choose any session name.
    fn is(&self, arn: &str) -> bool {
        let Some((before, role)) = self.role.split_once(":role/") else { return false };
        let name = role.rsplit('/').next().unwrap_or_default();
        let before = before.replacen(":iam:", ":sts:", 1);
        arn == format!("{before}:assumed-role/{name}/{}", self.function)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(name: &str, arn: &str, request: Value, response: Value) -> Value {
        json!({"detail-type": "AWS API Call via CloudTrail", "detail": {"eventName": name, "userIdentity": {"arn": arn},
            "requestParameters": request, "responseElements": response}})
    }

    fn own() -> Vec<Session> {
        let session = "moveongs-dev-rotate-random=arn:aws:iam::123456789012:role/governance/moveongs-RotateRandomRole-1A2B";
        vec![Session::parse(session).unwrap()]
    }

    const ANA: &str = "arn:aws:iam::123456789012:user/ana";

    #[test]
    fn calls_that_make_a_version_current_are_acts() {
        let act = Act { reason: Reason::Manual, by: ANA.to_owned(), at: Timestamp::UNIX_EPOCH };
        let expected = TrailEvent::Act { secret: "arn:s".to_owned(), version: "v".to_owned(), act };
        let made = json!({"arn": "arn:s", "versionId": "v"});
        let versions = [
            call("RotateSecret", ANA, json!({"secretId": "s"}), made.clone()),
            call("PutSecretValue", ANA, json!({"secretId": "arn:s", "clientRequestToken": "v"}), Value::Null),
            call("UpdateSecret", ANA, json!({}), made),
            call("UpdateSecretVersionStage", ANA, json!({"moveToVersionId": "v"}), json!({"arn": "arn:s"})),
        ];
        for event in versions {
            assert_eq!(parse(event, &own()), Ok(expected.clone()));
        }
        let session = "arn:aws:sts::123456789012:assumed-role/moveongs-RotateRandomRole-1A2B/moveongs-dev-rotate-random";
        for event in [
            call("PutSecretValue", session, json!({"clientRequestToken": "v"}), Value::Null),
            call(
                "UpdateSecretVersionStage",
                ANA,
                json!({"removeFromVersionId": "v"}),
                json!({"arn": "arn:s"}),
            ),
            // The event names no ARN, so the secret is unknown.
            call("PutSecretValue", ANA, json!({"secretId": "s", "clientRequestToken": "v"}), Value::Null),
            call("DescribeSecret", ANA, json!({}), json!({"versionId": "v"})),
            // Labels other than AWSCURRENT do not change the value in force.
            call(
                "UpdateSecretVersionStage",
                ANA,
                json!({"versionStage": "blue", "moveToVersionId": "v"}),
                json!({"arn": "arn:s"}),
            ),
            call(
                "PutSecretValue",
                ANA,
                json!({"versionStages": ["AWSPENDING"]}),
                json!({"arn": "arn:s", "versionId": "v"}),
            ),
        ] {
            assert_eq!(parse(event, &own()), Ok(TrailEvent::Nothing));
        }
        let mut refused = call("RotateSecret", ANA, json!({}), json!({"versionId": "v"}));
        refused["detail"]["errorCode"] = json!("AccessDenied");
        assert_eq!(parse(refused, &own()), Ok(TrailEvent::Nothing));
    }

    #[test]
    fn a_foreign_role_with_a_functions_session_name_stays_in_the_ledger() {
        for arn in [
            "arn:aws:sts::123456789012:assumed-role/Administrator/x-rotate-random",
            "arn:aws:sts::123456789012:assumed-role/Administrator/moveongs-dev-rotate-random",
            "arn:aws:sts::123456789012:assumed-role/moveongs-RotateRandomRole-1A2B/x-moveongs-dev-rotate-random",
            "arn:aws:sts::123456789012:assumed-role/moveongs-RotateRandomRole-1A2B/moveongs-dev-rotate-database",
            "arn:aws:sts::999999999999:assumed-role/moveongs-RotateRandomRole-1A2B/moveongs-dev-rotate-random",
        ] {
            let event = call("PutSecretValue", arn, json!({}), json!({"arn": "arn:s", "versionId": "v"}));
            let Ok(TrailEvent::Act { act, .. }) = parse(event, &own()) else { panic!("{arn}") };
            assert_eq!(act.by, arn);
        }
        for wrong in ["", "f", "f=", "=arn:aws:iam::1:role/r", "f=arn:aws:iam::1:user/r"] {
            assert_eq!(Session::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rotation_that_failed() {
        let event = |name: &str, data: Value| {
            json!({"id": "1", "detail-type": "AWS Service Event via CloudTrail",
                "detail": {"eventName": name, "userIdentity": {"invokedBy": "secretsmanager.amazonaws.com"}, "additionalEventData": data}})
        };
        for name in ["RotationFailed", "RotationAbandoned", "TestRotationFailed"] {
            let broken =
                TrailEvent::Broken { secret: "arn".to_owned(), event: name.to_owned(), id: "1".to_owned() };
            assert_eq!(parse(event(name, json!({"SecretId": "arn"})), &[]), Ok(broken));
        }
        assert_eq!(
            parse(event("RotationSucceeded", json!({"SecretId": "arn"})), &[]),
            Ok(TrailEvent::Nothing)
        );
        assert!(parse(event("RotationFailed", json!({})), &[]).is_err());
        assert!(parse(json!({"detail-type": "AWS Service Event via CloudTrail"}), &[]).is_err());
    }
}
