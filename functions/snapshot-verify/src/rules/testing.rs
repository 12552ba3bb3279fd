//! Snapshots and settings for the rules' tests.

use jiff::Timestamp;
use jiff::civil::Date;
use shared::aws::snapshots::{
    CREATOR, Database, ENVIRONMENT, EXPIRES_ON, Kind, MANAGED_BY, PROJECT, Snapshot,
};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

pub(super) fn settings() -> Settings {
    shared::testing::settings("moveongs-dev-snapshot-verify", Language::Portuguese)
}

pub(super) fn database(id: &str) -> Database {
    Database { id: id.to_owned(), ..Database::default() }
}

pub(super) fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

pub(super) fn today() -> Date {
    "2026-11-26".parse().unwrap()
}

pub(super) fn hours_ago(hours: i64) -> Option<Timestamp> {
    Some(now() - jiff::SignedDuration::from_hours(hours))
}

/// A good snapshot of this environment that has not expired.
pub(super) fn good(name: &str, hours: i64) -> Snapshot {
    let tags =
        [(PROJECT, "moveongs"), (ENVIRONMENT, "dev"), (MANAGED_BY, CREATOR), (EXPIRES_ON, "2026-12-01")];
    Snapshot {
        arn: format!("arn:{name}"),
        created: hours_ago(hours),
        taken: hours_ago(hours),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Snapshot::example(&format!("moveongs-dev-{name}"))
    }
}

pub(super) fn tagged(mut snapshot: Snapshot, key: &str, value: &str) -> Snapshot {
    snapshot.tags.insert(key.to_owned(), value.to_owned());
    snapshot
}

pub(super) fn automated(name: &str, hours: i64) -> Snapshot {
    Snapshot { name: format!("rds:{name}"), is_manual: false, ..good(name, hours) }
}

/// A snapshot of the cluster `moveongs-dev`.
pub(super) fn of_cluster(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        kind: Kind::Cluster,
        instance: "moveongs-dev".to_owned(),
        resource: "cluster-A".to_owned(),
        ..snapshot
    }
}
