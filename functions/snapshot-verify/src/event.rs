//! The event: RDS's about a snapshot, a schedule's, or a person's. It only decides the run's scope.

use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};

/// The scope of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trigger {
    /// Check every snapshot; then copy, and delete the expired ones.
    Sweep,
    /// Check the copies in the other region.
    Follow,
    /// Check one snapshot of this region, by its name.
    One(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    snapshot: Option<String>,
    #[serde(default)]
    follow: bool,
}

impl TryFrom<Value> for Trigger {
    type Error = InvalidEvent;

    fn try_from(event: Value) -> Result<Self, Self::Error> {
        match event.get("detail-type").and_then(Value::as_str) {
            Some("RDS DB Cluster Snapshot Event" | "RDS DB Snapshot Event") => named(&event),
            Some("Scheduled Event") => Ok(Self::Sweep),
            Some(_) => Err(InvalidEvent::at(
                "detail-type",
                "expected RDS DB Snapshot Event, RDS DB Cluster Snapshot Event or Scheduled Event",
            )),
            None => match parse(event)? {
                Asked { snapshot: None, follow: false } => Ok(Self::Sweep),
                Asked { snapshot: None, follow: true } => Ok(Self::Follow),
                Asked { snapshot: Some(name), follow: false } if is_line(&name, 255) => Ok(Self::One(name)),
                Asked { .. } => Err(InvalidEvent::at(
                    "snapshot",
                    "expected the name of a snapshot, and follow without one",
                )),
            },
        }
    }
}

/// The snapshot of RDS's event. Prefers the resource's ARN, since AWS's samples disagree about `SourceIdentifier`.
fn named(event: &Value) -> Result<Trigger, InvalidEvent> {
    let resource = event.pointer("/resources/0").and_then(Value::as_str);
    let of_arn = resource.and_then(|arn| {
        let (_, name) = arn.split_once(":snapshot:").or_else(|| arn.split_once(":cluster-snapshot:"))?;
        Some(name)
    });
    let name = of_arn.or_else(|| event.pointer("/detail/SourceIdentifier").and_then(Value::as_str));
    let name = name.filter(|name| is_line(name, 255));
    name.map(|name| Trigger::One(name.to_owned())).ok_or_else(|| {
        InvalidEvent::at(
            "resources",
            "expected the ARN of a snapshot, or its name in detail.SourceIdentifier",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_has_its_scope() {
        let arn = "arn:aws:rds:us-east-1:123456789012:snapshot:rds:moveongs-dev-db-2026-11-26-03-10";
        let of_cluster =
            "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:rds:moveongs-dev-2026-11-26-03-10";
        let one = |name: &str| Trigger::One(name.to_owned());
        for (event, expected) in [
            (json!({}), Trigger::Sweep),
            (json!({"detail-type": "Scheduled Event", "detail": "{}"}), Trigger::Sweep),
            (json!({"follow": true}), Trigger::Follow),
            (json!({"snapshot": "moveongs-dev-20261126"}), one("moveongs-dev-20261126")),
            (
                json!({"detail-type": "RDS DB Snapshot Event", "resources": [arn], "detail": {"SourceIdentifier": "other"}}),
                one("rds:moveongs-dev-db-2026-11-26-03-10"),
            ),
            (
                json!({"detail-type": "RDS DB Snapshot Event", "resources": [], "detail": {"SourceIdentifier": "rds:a"}}),
                one("rds:a"),
            ),
            (
                json!({"detail-type": "RDS DB Cluster Snapshot Event", "resources": [of_cluster]}),
                one("rds:moveongs-dev-2026-11-26-03-10"),
            ),
        ] {
            assert_eq!(Trigger::try_from(event.clone()), Ok(expected), "{event}");
        }
    }

    #[test]
    fn invalid_events_are_refused() {
        for (event, field) in [
            (json!({"detail-type": "RDS DB Instance Event"}), "detail-type"),
            (json!({"detail-type": "RDS DB Snapshot Event", "detail": {}}), "resources"),
            (json!({"snapshot": "a", "follow": true}), "snapshot"),
            (json!({"snapshot": "a\nb"}), "snapshot"),
            (json!({"snapshots": []}), "snapshots"),
        ] {
            assert_eq!(Trigger::try_from(event.clone()).unwrap_err().field, field, "{event}");
        }
    }
}
