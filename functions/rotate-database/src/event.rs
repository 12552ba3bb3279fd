//! The event that requests the retirement of a leaked login. Any other event is a rotation step.

use serde_json::Value;
use shared::rotation::RotationError;

/// Whether an event requests the retirement of a leaked login.
pub(crate) fn is_asked(event: &Value) -> bool {
    event.get("retire").is_some()
}

/// Checks an event that requests the retirement of a leaked login.
///
/// # Errors
///
/// [`RotationError::InvalidEvent`] names the field.
pub fn check(event: &Value) -> Result<(), RotationError> {
    let is_whole = event.as_object().is_some_and(|event| event.len() == 1 && event["retire"] == true);
    if is_whole {
        return Ok(());
    }
    Err(RotationError::InvalidEvent { field: "retire", expected: r#"{"retire": true}"# })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_one_event_asks_to_retire() {
        assert!(is_asked(&json!({"retire": true})) && check(&json!({"retire": true})).is_ok());
        assert!(!is_asked(&json!({"Step": "createSecret"})));
        for bad in
            [json!({"retire": false}), json!({"retire": true, "secret": "s"}), json!({"retire": "yes"})]
        {
            assert!(is_asked(&bad) && check(&bad).is_err(), "{bad}");
        }
    }
}
