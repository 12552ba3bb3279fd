//! Form and state of a database: the rules that apply to it, and the last instant at which its data may have changed.

use jiff::{SignedDuration, Timestamp};

use crate::rules::facts::{Deployment, Form, Instance, Side};
use crate::rules::rule::Context;

/// Longest time that RDS leaves a database stopped.
pub(super) const LONGEST_STOP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether a database is a Multi-AZ DB cluster or a member of one: a cluster whose engine is not Aurora.
pub(crate) fn is_multi_az_cluster(db: &Instance) -> bool {
    db.form != Form::Single && is_not_aurora(db.engine.as_deref())
}

pub(super) fn is_not_aurora(engine: Option<&str>) -> bool {
    engine.is_some_and(|engine| !engine.starts_with("aurora"))
}

/// Whether a database is RDS Custom, for which RDS refuses several settings.
pub(super) fn is_custom(db: &Instance) -> bool {
    db.engine.as_deref().is_some_and(|engine| engine.starts_with("custom-"))
}

/// Whether a database owns its backups and the settings that go with them: a cluster owns those of its members.
pub(super) fn owns_backups(db: &Instance) -> bool {
    !matches!(db.form, Form::Member(_))
}

pub(super) fn is_instance(db: &Instance) -> bool {
    db.form != Form::Cluster
}

/// Whether a database is the spare copy of a blue/green deployment, before or after the switchover: the one in
/// production backs up the same data.
pub(super) fn is_spare(db: &Instance) -> bool {
    matches!(&db.deployment, Some(Ok(Some(Deployment { side: Side::Green | Side::Old, .. }))))
}

/// Whether a database's own automated backups count. A replica has none unless they are switched on; its source's
/// count.
pub(super) fn is_source(db: &Instance) -> bool {
    owns_backups(db) && db.replica_of.is_none() && !is_spare(db)
}

/// Whether RDS takes no backups in a state, and the state does not end by itself.
pub(super) fn stops_backups(status: &str) -> bool {
    matches!(status, "failed" | "insufficient-capacity" | "restore-error" | "storage-full")
        || status.starts_with("inaccessible-encryption-credentials")
        || status.starts_with("incompatible-")
}

/// Whether a database is stopped, stopping or starting: its data does not change.
pub(super) fn is_at_rest(db: &Instance) -> bool {
    matches!(db.status.as_deref(), Some("stopped" | "stopping" | "starting"))
}

/// The last instant at which the data may have changed: now, or when a database at rest was stopped, at most a week
/// ago, since RDS then starts it again.
pub(super) fn changed_until(db: &Instance, context: &Context<'_>) -> Timestamp {
    if !is_at_rest(db) {
        return context.now;
    }
    let stopped = db.restarts.map(|at| at - LONGEST_STOP).or(db.latest_restorable);
    let earliest = context.now - LONGEST_STOP;
    stopped.unwrap_or(earliest).clamp(earliest, context.now)
}
