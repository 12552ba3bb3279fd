//! Events: the schedule's, or a person's request for one resource or for a repair.

use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};

/// Longest name of a resource.
const LONGEST: usize = 255;

/// A parsed event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// Audit everything of this environment.
    Everything,
    /// Audit one resource, by its name.
    One(String),
    /// Plan or apply the repair of one rule on one resource.
    Repair(RepairRequest),
}

/// A requested repair.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepairRequest {
    /// The rule's id.
    pub rule: String,
    /// The resource's name.
    pub resource: String,
    /// Whether to apply it; otherwise it is only planned.
    #[serde(default)]
    pub apply: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    resource: Option<String>,
    repair: Option<RepairRequest>,
}

impl TryFrom<Value> for Event {
    type Error = InvalidEvent;

    /// The schedule's event and an empty one both ask for everything.
    fn try_from(event: Value) -> Result<Self, Self::Error> {
        let Some(fields) = event.as_object() else {
            return Err(InvalidEvent::at(
                ".",
                "expected an object: {}, which audits everything, or a field resource or repair",
            ));
        };
        let is_scheduled = fields.get("source").and_then(Value::as_str) == Some("aws.scheduler");
        if fields.is_empty() || is_scheduled {
            return Ok(Self::Everything);
        }
        match parse(event)? {
            Fields { resource: Some(resource), repair: None } => Ok(Self::One(name("resource", resource)?)),
            Fields { resource: None, repair: Some(request) } => {
                let resource = name("repair.resource", request.resource)?;
                Ok(Self::Repair(RepairRequest { resource, ..request }))
            }
            _ => Err(InvalidEvent::at(".", "expected either resource or repair")),
        }
    }
}

fn name(field: &str, name: String) -> Result<String, InvalidEvent> {
    let is_name = is_line(&name, LONGEST) && !name.contains(char::is_whitespace) && !name.contains('*');
    if is_name { Ok(name) } else { Err(InvalidEvent::at(field, "expected the name of one resource")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn valid_events_are_parsed() {
        let request =
            |apply| RepairRequest { rule: "rds.retention".to_owned(), resource: "db".to_owned(), apply };
        let repair = json!({"rule": "rds.retention", "resource": "db"});
        let apply = json!({"rule": "rds.retention", "resource": "db", "apply": true});
        for (event, expected) in [
            (json!({}), Event::Everything),
            (json!({"source": "aws.scheduler", "version": "0"}), Event::Everything),
            (json!({"resource": "moveongs-dev-db"}), Event::One("moveongs-dev-db".to_owned())),
            (json!({"repair": repair}), Event::Repair(request(false))),
            (json!({"repair": apply}), Event::Repair(request(true))),
        ] {
            assert_eq!(Event::try_from(event.clone()), Ok(expected), "{event}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (event, field) in [
            (json!("all"), "."),
            (json!({"resource": ""}), "resource"),
            (json!({"resource": "*"}), "resource"),
            (json!({"resource": "a b"}), "resource"),
            (json!({"resource": "x".repeat(256)}), "resource"),
            (json!({"repair": {"rule": "r", "resource": "a\nb"}}), "repair.resource"),
            (json!({"repair": {"rule": "r", "resource": "a", "apply": "yes"}}), "repair.apply"),
            (json!({"resource": "a", "repair": {"rule": "r", "resource": "a"}}), "."),
            (json!({"apply": true}), "apply"),
        ] {
            let refused = Event::try_from(event.clone()).unwrap_err();
            assert_eq!(refused.field, field, "{event}: {refused}");
        }
    }
}
