//! Strict parsing of events from people, pipelines and state machines; errors name the field.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// An event that the function rejects.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the event is rejected: field {field}: {reason}")]
pub struct InvalidEvent {
    /// Path of the field; `.` is the whole event.
    pub field: String,
    /// The expected form.
    pub reason: String,
}

impl InvalidEvent {
    /// Rejects one field.
    pub fn at(field: &str, reason: &str) -> Self {
        Self { field: field.to_owned(), reason: reason.to_owned() }
    }
}

/// Parses an event, or a part of one.
///
/// # Errors
///
/// [`InvalidEvent`] with the path of the first invalid field.
pub fn parse<T: DeserializeOwned>(value: Value) -> Result<T, InvalidEvent> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| InvalidEvent { field: error.path().to_string(), reason: error.inner().to_string() })
}
