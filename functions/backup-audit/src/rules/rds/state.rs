//! Form and state of a database: which rules apply to it, and until when its data may have changed.

use jiff::{SignedDuration, Timestamp};

use crate::rules::facts::{Deployment, Form, Instance, Side};
use crate::rules::rule::Context;

/// The longest that RDS leaves a database stopped.
pub(super) const LONGEST_STOP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether a database is a Multi-AZ DB cluster or a member of one: those that are not Aurora's.
pub(crate) fn is_multi_az_cluster(db: &Instance) -> bool {
    db.form != Form::Single && is_not_aurora(db.engine.as_deref())
}

pub(super) fn is_not_aurora(engine: Option<&str>) -> bool {
    engine.is_some_and(|engine| !engine.starts_with("aurora"))
}

/// Whether a database is an RDS Custom one, of which RDS refuses several settings.
pub(super) fn is_custom(db: &Instance) -> bool {
    db.engine.as_deref().is_some_and(|engine| engine.starts_with("custom-"))
}

/// Whether a database answers for its backups and what comes with them: a cluster does for its members.
pub(super) fn answers(db: &Instance) -> bool {
    !matches!(db.form, Form::Member(_))
}

pub(super) fn is_instance(db: &Instance) -> bool {
    db.form != Form::Cluster
}

/// Whether a database is the copy of a blue/green deployment, before the switchover or after: what it holds is backed up by
/// the one in production.
pub(super) fn is_spare(db: &Instance) -> bool {
    matches!(&db.deployment, Some(Ok(Some(Deployment { side: Side::Green | Side::Old, .. }))))
}

/// A replica has no automated backups of its own unless somebody wants them; those of its source count.
pub(super) fn is_source(db: &Instance) -> bool {
    answers(db) && db.replica_of.is_none() && !is_spare(db)
}

/// States in which RDS makes no backups, and which do not pass by themselves.
pub(super) fn stops_backups(status: &str) -> bool {
    matches!(status, "failed" | "insufficient-capacity" | "restore-error" | "storage-full")
        || status.starts_with("inaccessible-encryption-credentials")
        || status.starts_with("incompatible-")
}

/// Whether a database is stopped, or on the way to it or back: its data do not change.
pub(super) fn rests(db: &Instance) -> bool {
    matches!(db.status.as_deref(), Some("stopped" | "stopping" | "starting"))
}

/// The moment until which the data may have changed: now, or when a database that rests was stopped. RDS starts one again
/// after a week, so that none rests longer.
pub(super) fn changed_until(db: &Instance, context: &Context<'_>) -> Timestamp {
    if !rests(db) {
        return context.now;
    }
    let stopped = db.restarts.map(|at| at - LONGEST_STOP).or(db.latest_restorable);
    let earliest = context.now - LONGEST_STOP;
    stopped.unwrap_or(earliest).clamp(earliest, context.now)
}
