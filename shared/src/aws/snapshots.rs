//! Database snapshots: their tags, their owner, and the meaning of RDS's status words.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::runtime::env::EnvError;
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;
use crate::runtime::time::SAO_PAULO;

/// Tag with the project.
pub const PROJECT: &str = "Project";

/// Tag with the environment.
pub const ENVIRONMENT: &str = "Environment";

/// Tag with the procedure that created the snapshot.
pub const MANAGED_BY: &str = "ManagedBy";

/// Tag with the last day of retention, in São Paulo: `2026-12-26`.
pub const EXPIRES_ON: &str = "ExpiresOn";

/// Tag of a copied cluster snapshot: when its data were taken, which RDS does not report for it.
pub const TAKEN_AT: &str = "TakenAt";

/// The procedure that creates snapshots.
pub const CREATOR: &str = "snapshot-create";

/// The procedure that copies snapshots to another region.
pub const COPIER: &str = "snapshot-verify";

/// The kind of database that a snapshot is taken of. A cluster's members have no snapshots: the cluster's contains
/// their data.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A DB instance.
    #[default]
    Instance,
    /// An Aurora or Multi-AZ DB cluster.
    Cluster,
}

impl Kind {
    /// Its word in a message.
    pub fn word(self, language: Language) -> &'static str {
        match self {
            Self::Instance => language.pick("instância", "instance"),
            Self::Cluster => "cluster",
        }
    }

    /// The snapshot's name in AWS CLI commands and options, and in event sources: `aws rds delete-db-snapshot`.
    pub fn cli(self) -> &'static str {
        match self {
            Self::Instance => "db-snapshot",
            Self::Cluster => "db-cluster-snapshot",
        }
    }

    /// The list of snapshots in AWS CLI output.
    pub fn listed(self) -> &'static str {
        match self {
            Self::Instance => "DBSnapshots",
            Self::Cluster => "DBClusterSnapshots",
        }
    }

    /// The snapshot's identifier in AWS CLI output.
    pub fn identifier(self) -> &'static str {
        match self {
            Self::Instance => "DBSnapshotIdentifier",
            Self::Cluster => "DBClusterSnapshotIdentifier",
        }
    }

    /// The database's prefix in AWS CLI options: `--db-instance-identifier`.
    pub fn database(self) -> &'static str {
        match self {
            Self::Instance => "db-instance",
            Self::Cluster => "db-cluster",
        }
    }

    /// Longest snapshot name that RDS accepts.
    pub fn longest_name(self) -> usize {
        match self {
            Self::Instance => 255,
            Self::Cluster => 63,
        }
    }
}

/// A database that RDS takes snapshots of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Database {
    /// Instance or cluster.
    pub kind: Kind,
    /// Its identifier.
    pub id: String,
}

/// A snapshot as RDS describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    /// Whether it is an instance's or a cluster's; both may have the same name.
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The instance or cluster that it was taken of.
    pub instance: String,
    /// RDS's id of that database, which changes if it is recreated under the same name.
    pub resource: String,
    /// False for RDS's daily backup. Copies are always manual.
    pub is_manual: bool,
    /// RDS's status; see [`progress`].
    pub status: String,
    /// Progress, in percent.
    pub progress: i32,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// When it was made; for a copy, when it was copied. RDS reports it late.
    pub created: Option<Timestamp>,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// Storage of the database, in GiB; none for Aurora, for which RDS does not report it.
    pub allocated_gib: Option<i32>,
    /// Size of all written blocks, in bytes; RDS does not report it for every snapshot.
    pub full_bytes: Option<i64>,
    /// Whether RDS can copy it; it copies none of a Multi-AZ DB cluster.
    pub can_be_copied: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Accounts that may restore it, `all` for every account, or why they are unknown. Empty until they are read, and for
    /// automated snapshots, which cannot be shared.
    pub shared_with: Result<Vec<String>, String>,
}

impl Snapshot {
    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// The database that it was taken of.
    pub fn database(&self) -> Database {
        Database { kind: self.kind, id: self.instance.clone() }
    }

    /// Whether it was taken of the database.
    pub fn is_of(&self, database: &Database) -> bool {
        self.kind == database.kind && self.instance == database.id
    }

    /// Whether it can be restored and is encrypted.
    pub fn is_good(&self) -> bool {
        progress(&self.status) == Progress::Available && self.is_encrypted
    }

    /// Whether it is the same snapshot, not a later one of the same name.
    pub fn is_same(&self, arn: &str, taken: Option<Timestamp>) -> bool {
        self.arn == arn && self.taken == taken
    }
}

#[cfg(feature = "testing")]
impl Snapshot {
    /// A manual snapshot of the tests' instance, encrypted and private, without tags and times.
    pub fn example(name: &str) -> Self {
        Self {
            kind: Kind::Instance,
            name: name.to_owned(),
            arn: format!("arn:aws:rds:r:1:snapshot:{name}"),
            instance: "moveongs-dev-db".to_owned(),
            resource: "db-A".to_owned(),
            is_manual: true,
            status: "available".to_owned(),
            progress: 100,
            is_encrypted: true,
            created: None,
            taken: None,
            allocated_gib: Some(20),
            full_bytes: None,
            can_be_copied: true,
            tags: BTreeMap::new(),
            shared_with: Ok(Vec::new()),
        }
    }
}

/// State of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Still in progress.
    Creating,
    /// Ready to restore from.
    Available,
    /// RDS could not complete it.
    Failed,
    /// Deleted or being deleted.
    Deleted,
}

/// Interprets RDS's status of a snapshot. Unknown words count as in progress, since every wait has a limit.
pub fn progress(status: &str) -> Progress {
    match status {
        "available" => Progress::Available,
        "failed" => Progress::Failed,
        word if word.starts_with("incompatible-") => Progress::Failed,
        "deleting" | "deleted" => Progress::Deleted,
        _ => Progress::Creating,
    }
}

/// The major version of PostgreSQL in a version as RDS reports it: 15 of `15.8`.
pub fn major(engine_version: &str) -> Option<u32> {
    engine_version.split('.').next()?.parse().ok()
}

/// Prefix of the names of this environment's snapshots and instances.
pub fn prefix(settings: &Settings) -> String {
    format!("{}-{}-", settings.project, settings.environment)
}

/// Whether an instance belongs to this environment: the template's instance, or one with the environment's prefix, e.g.
/// a restored one. The roles' permissions use the same rule.
pub fn is_ours(instance: &str, of_template: &str, settings: &Settings) -> bool {
    instance == of_template || instance.starts_with(&prefix(settings))
}

/// Whether a cluster belongs to this environment: by the same rule, or by exactly the environment's name. Clusters
/// usually have that name, and their members append to it.
pub fn is_own_cluster(cluster: &str, of_template: &str, settings: &Settings) -> bool {
    is_ours(cluster, of_template, settings) || prefix(settings).strip_suffix('-') == Some(cluster)
}

/// Days to retain a manual snapshot of this environment.
///
/// # Errors
///
/// [`EnvError`] if the policy has no entry, or if RDS does not accept names that begin with the project's.
pub fn retention_days(settings: &Settings) -> Result<u16, EnvError> {
    check_project(&settings.project).map_err(|reason| EnvError::Invalid { name: "PROJECT", reason })?;
    let days = settings.policy.backups.snapshots.retention_days.get(&settings.environment).copied();
    days.ok_or_else(|| EnvError::Invalid {
        name: "ENVIRONMENT",
        reason: format!(
            "the policy's backups.snapshots.retention_days has no entry for {}",
            settings.environment
        ),
    })
}

/// Whether RDS accepts names that begin with the project's: letters, digits and single hyphens.
fn check_project(project: &str) -> Result<(), String> {
    let is_name = project.starts_with(|c: char| c.is_ascii_lowercase())
        && project.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !project.ends_with('-')
        && !project.contains("--");
    if is_name {
        return Ok(());
    }
    Err("expected lower-case letters, digits and single hyphens, none at the end: a snapshot's name begins with it".to_owned())
}

/// The last day to keep a snapshot created at `begun`: `2026-12-26`, in São Paulo.
pub fn expires(begun: Timestamp, days: u16) -> String {
    let day = begun.to_zoned_datetime(SAO_PAULO).date();
    day.saturating_add(i64::from(days).days()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::settings;

    #[test]
    fn what_a_status_means() {
        for (status, expected) in [
            ("creating", Progress::Creating),
            ("pending", Progress::Creating),
            ("copying", Progress::Creating),
            ("available", Progress::Available),
            ("failed", Progress::Failed),
            ("incompatible-restore", Progress::Failed),
            ("deleting", Progress::Deleted),
        ] {
            assert_eq!(progress(status), expected, "{status}");
        }
    }

    #[test]
    fn the_major_version_is_read() {
        for (version, expected) in [("15.8", Some(15)), ("16", Some(16)), ("", None)] {
            assert_eq!(major(version), expected, "{version}");
        }
    }

    #[test]
    fn whose_instance_it_is() {
        let settings = settings("moveongs-dev-f", Language::English);
        assert_eq!(retention_days(&settings), Ok(7));
        for (instance, is) in [
            ("main", true),
            ("moveongs-dev-db", true),
            ("moveongs-dev-db-restored", true),
            ("moveongs-dev", false),
            ("moveongs-development-db", false),
            ("moveongs-prod-db", false),
        ] {
            assert_eq!(is_ours(instance, "main", &settings), is, "{instance}");
            // A cluster may have exactly the environment's name.
            let is = is || instance == "moveongs-dev";
            assert_eq!(is_own_cluster(instance, "main", &settings), is, "{instance}");
        }
        let elsewhere = Settings { environment: "test".to_owned(), ..settings };
        assert!(retention_days(&elsewhere).is_err());
    }

    #[test]
    fn a_project_that_rds_takes() {
        for (project, is_good) in [
            ("moveongs", true),
            ("a-b2", true),
            ("a-", false),
            ("a--b", false),
            ("2a", false),
            ("A", false),
            ("", false),
        ] {
            assert_eq!(check_project(project).is_ok(), is_good, "{project}");
        }
    }

    #[test]
    fn the_last_day_is_counted_in_sao_paulo() {
        for (begun, days, last) in [
            ("2026-11-26T02:59:59Z", 7, "2026-12-02"),
            ("2026-11-26T03:00:00Z", 7, "2026-12-03"),
            ("2028-02-01T12:00:00Z", 30, "2028-03-02"),
        ] {
            assert_eq!(expires(begun.parse().unwrap(), days), last);
        }
    }
}
