//! The export of Grafana: what only looks like a secret.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{PolicyError, is_line, is_path};

/// Settings of `grafana-export`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Grafana {
    /// Values that look like secrets, are none, and are exported until a date.
    pub accepted: Vec<Accepted>,
}

/// A value that is exported although it looks like a secret. It is bound to the place and to the value: another value there,
/// and the same one elsewhere, are findings. A token of a known form is never accepted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The object's file in the export: `dashboards/FOLDER/UID.json`.
    pub object: String,
    /// The value's place in the object, as the finding names it: a JSON pointer, with names cut to 60 characters.
    pub place: String,
    /// SHA-256 of the value, in hexadecimal: of a text's bytes, of anything else its JSON.
    pub sha256: String,
    /// Why it is no secret, in one line.
    pub reason: String,
    /// The person or team that answers for it, in one line.
    pub owner: String,
    /// The last day it applies, in São Paulo.
    pub until: jiff::civil::Date,
}

impl Grafana {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        let mut known = BTreeSet::new();
        for (index, accepted) in self.accepted.iter().enumerate() {
            let Accepted { object, place, sha256, reason, owner, .. } = accepted;
            let refused = |field: &str, reason: &str| {
                Err(PolicyError::at(format!("{path}.accepted[{index}].{field}"), reason))
            };
            if !is_path(object) || !object.ends_with(".json") {
                return refused("object", "expected a file of the export: dashboards/FOLDER/UID.json");
            }
            if !place.starts_with('/') || !is_line(place, 2000) {
                return refused("place", "expected a place in the object: /panels/0/title");
            }
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if sha256.len() != 64 || !sha256.bytes().all(is_digit) {
                return refused(
                    "sha256",
                    "expected the 64 hexadecimal digits of a SHA-256, in small letters",
                );
            }
            for (field, text) in [("reason", reason), ("owner", owner)] {
                if !is_line(text, 200) {
                    return refused(field, "expected one line of at most 200 characters");
                }
            }
            if !known.insert((object, place, sha256)) {
                return refused("sha256", "is there twice for this place");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Policy;

    #[test]
    fn a_refusal_has_the_path_of_the_field() {
        let accepted = |field: &str, value: Value| {
            let mut accepted = json!({
                "object": "dashboards/f1/d1.json", "place": "/panels/0/title", "sha256": "0a".repeat(32),
                "reason": "An example of the vendor", "owner": "Squad Observability", "until": "2026-12-31"
            });
            accepted[field] = value;
            accepted
        };
        let good = accepted("until", json!("2026-12-31"));
        for (list, path) in [
            (vec![accepted("object", json!(""))], "[0].object"),
            (vec![accepted("object", json!("../d1.json"))], "[0].object"),
            (vec![accepted("object", json!("dashboards/f1/*"))], "[0].object"),
            (vec![good.clone(), accepted("place", json!("panels"))], "[1].place"),
            (vec![accepted("place", json!("/a\nb"))], "[0].place"),
            (vec![accepted("sha256", json!("0a"))], "[0].sha256"),
            (vec![accepted("sha256", json!("0A".repeat(32)))], "[0].sha256"),
            (vec![accepted("reason", json!(" "))], "[0].reason"),
            (vec![accepted("reason", json!("x".repeat(201)))], "[0].reason"),
            (vec![accepted("owner", json!(""))], "[0].owner"),
            (vec![accepted("until", json!("2026-02-30"))], "[0].until"),
            (vec![accepted("value", json!("x"))], "[0].value"),
            (vec![good.clone(), accepted("reason", json!("again"))], "[1].sha256"),
        ] {
            let refused = Policy::of(&json!({"grafana": {"accepted": list}})).unwrap_err();
            assert_eq!(refused.path, format!("grafana.accepted{path}"), "{refused}");
        }
        let refused = Policy::of(&json!({"grafana": {"accept": []}})).unwrap_err();
        assert_eq!(refused.path, "grafana.accept");
        let other = accepted("sha256", json!("0b".repeat(32)));
        assert_eq!(
            Policy::of(&json!({"grafana": {"accepted": [good, other]}})).unwrap().grafana.accepted.len(),
            2
        );
        assert!("".parse::<Policy>().unwrap().grafana.accepted.is_empty());
    }
}
