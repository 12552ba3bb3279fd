//! Databases and their snapshots (guide, 2.1 step 1).

mod access;
pub(crate) mod blue_green;
mod command;
mod encryption;
pub(crate) mod engine;
mod recovery_points;
pub(crate) mod retention;
mod settings;
pub(crate) mod snapshot;
pub(crate) mod state;
mod status;
mod storage;
pub(crate) mod subscriptions;
pub(crate) mod tls;
pub(crate) mod window;

use super::facts::Instance;
use super::rule::{Meta, Rule, Severity};

/// The database that the template names exists.
pub(crate) static MISSING: Meta = Meta {
    id: "rds.exists",
    severity: Severity::Critical,
    guide: "1",
    title: ["o banco do ambiente existe", "the environment's database exists"],
    why: ["sem banco não há backup dele", "a database that does not exist has no backups"],
};

/// Every rule for a DB instance or cluster.
pub(crate) static INSTANCE: &[Rule<Instance>] = &[
    retention::RETENTION,
    retention::BACKUPS_ON,
    window::BACKUP_WINDOW,
    recovery_points::SNAPSHOT_FRESH,
    recovery_points::POINT_IN_TIME,
    encryption::ENCRYPTION,
    encryption::ENCRYPTION_KEY,
    settings::DELETION_PROTECTION,
    access::PUBLIC,
    settings::COPY_TAGS,
    settings::MULTI_AZ,
    settings::MINOR_UPGRADES,
    settings::CERTIFICATE,
    storage::STORAGE_AUTOSCALING,
    engine::LOG_EXPORTS,
    settings::PARAMETER_GROUP,
    access::SUBNET_GROUP,
    access::MASTER_PASSWORD,
    status::STATE,
    status::STOPPED,
    blue_green::BLUE_GREEN,
    retention::BACKUP_PLAN,
    subscriptions::EVENTS,
    tls::FORCE_SSL,
    engine::ENGINE_SUPPORT,
];

#[cfg(test)]
pub(crate) mod tests;
