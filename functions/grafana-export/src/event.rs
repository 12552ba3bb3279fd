//! The event: a schedule, a release, or a person.

use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, parse};

/// The `detail-type` of the event by which a pipeline announces a release.
const RELEASED: &str = "Release deployed";

/// What is asked for: an export, or an explanation of what it leaves out.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    /// The release, e.g. a tag or a commit.
    #[serde(default)]
    pub release: Option<String>,
    /// Whether the restore check is made even if it is not due.
    #[serde(default)]
    pub check: bool,
    /// Whether a list that shrank is right as it is: the next runs compare with it.
    #[serde(default)]
    pub accept_shrunk: bool,
    /// Whether only the answer is asked for that names what looks like a secret and how the policy accepts it.
    #[serde(default)]
    pub explain: bool,
}

/// A release in an event of EventBridge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Released {
    #[serde(rename = "environment")]
    _environment: String,
    release: String,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        let kind = event.get("detail-type").and_then(Value::as_str);
        let (read, field) = match kind {
            Some("Scheduled Event") => (Self::default(), ""),
            Some(RELEASED) => {
                let detail = event.get("detail").cloned().unwrap_or_default();
                let of_detail =
                    |error: InvalidEvent| InvalidEvent { field: format!("detail.{}", error.field), ..error };
                let Released { release, .. } = parse(detail).map_err(of_detail)?;
                (Self { release: Some(release), ..Self::default() }, "detail.release")
            }
            _ if event.is_null() => (Self::default(), ""),
            _ => (parse(event)?, "release"),
        };
        if read.release.as_deref().is_some_and(|release| !is_release(release)) {
            let expected = "expected a tag or a commit: letters, digits, `.`, `_`, `+` and `-`, at most 100, not first a dot";
            return Err(InvalidEvent::at(field, expected));
        }
        if read.explain && read != (Self { explain: true, ..Self::default() }) {
            return Err(InvalidEvent::at(
                "explain",
                "expected no other field beside it: nothing is exported",
            ));
        }
        Ok(read)
    }

    /// What started the run, for its record.
    pub(crate) fn trigger(&self) -> String {
        match &self.release {
            Some(release) => format!("release {release}"),
            None if self.accept_shrunk => "shorter lists accepted by a person".to_owned(),
            None if self.check => "restore check by a person".to_owned(),
            None => "daily run".to_owned(),
        }
    }
}

/// Whether a text may name a release: it is a part of a key.
fn is_release(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    (1..=100).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schedule_a_release_and_a_person_are_read() {
        let released = json!({"source": "moveongs.release", "detail-type": "Release deployed", "detail": {"environment": "dev", "release": "v1.4.0"}});
        for (event, release, check) in [
            (json!({}), None, false),
            (Value::Null, None, false),
            (json!({"detail-type": "Scheduled Event", "source": "aws.scheduler"}), None, false),
            (json!({"release": "sha-4f2c1b7"}), Some("sha-4f2c1b7"), false),
            (json!({"check": true}), None, true),
            (released, Some("v1.4.0"), false),
        ] {
            let read = Event::read(event.clone()).unwrap();
            assert_eq!((read.release.as_deref(), read.check), (release, check), "{event}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let released = |detail: Value| json!({"detail-type": "Release deployed", "detail": detail});
        for (event, field) in [
            (json!({"relase": "v1"}), "relase"),
            (json!({"release": ""}), "release"),
            (json!({"release": "../x"}), "release"),
            (json!({"release": "a/b"}), "release"),
            (json!({"release": 7}), "release"),
            (json!({"check": "yes"}), "check"),
            (json!({"accept_shrunk": 1}), "accept_shrunk"),
            (json!({"explain": "d1"}), "explain"),
            (json!({"explain": true, "check": true}), "explain"),
            (json!({"explain": true, "release": "v1"}), "explain"),
            (released(json!({"environment": "dev"})), "detail."),
            (released(json!({"environment": "dev", "release": "a b"})), "detail.release"),
        ] {
            let refused = Event::read(event.clone()).unwrap_err();
            assert!(refused.field.starts_with(field) || refused.reason.contains(field), "{event}: {refused}");
        }
    }
}
