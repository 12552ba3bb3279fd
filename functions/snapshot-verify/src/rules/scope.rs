//! The scope of a run.

use shared::aws::snapshots::Snapshot;

use crate::event::Trigger;

/// Returns true if a run checks the snapshot.
pub(crate) fn concerns(trigger: &Trigger, snapshot: &Snapshot, is_away: bool) -> bool {
    match trigger {
        Trigger::Sweep => true,
        Trigger::Follow => is_away,
        Trigger::One(name) => !is_away && snapshot.name == *name,
    }
}

/// Returns true if a run checks the finding of this key again.
pub(crate) fn covers(trigger: &Trigger, region: Option<&str>, key: &str) -> bool {
    let (kind, label) = key.split_once(' ').unwrap_or_default();
    match (trigger, region) {
        (Trigger::Sweep, _) => true,
        // Only a sweep deletes.
        _ if kind == "NotDeleted" => false,
        (Trigger::Follow, Some(region)) => label.ends_with(&format!(" ({region})")),
        (Trigger::Follow, None) => false,
        (Trigger::One(name), _) => label.strip_prefix("cluster/").unwrap_or(label) == name,
    }
}
