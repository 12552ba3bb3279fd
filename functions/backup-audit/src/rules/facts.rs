//! Facts about resources that rules need.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use shared::runtime::failure::CallError;

use super::plans::Plan;

/// A fact, or why it could not be read.
pub(crate) type Seen<T> = Result<T, CallError>;

/// Form of a database in RDS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Form {
    /// A standalone instance.
    #[default]
    Single,
    /// An instance in the cluster with this name, which owns its backups.
    Member(String),
    /// An Aurora or Multi-AZ DB cluster.
    Cluster,
}

/// A database's part in a blue/green deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// In production until the switchover.
    Blue,
    /// The copy that takes over.
    Green,
    /// In production until the switchover, which is done.
    Old,
}

/// A blue/green deployment that a database is part of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Deployment {
    pub id: String,
    pub status: String,
    pub side: Side,
}

/// The database in production and the copy that takes over, of one blue/green deployment.
///
/// Both are ARNs.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub blue: Option<String>,
    pub green: Option<String>,
    pub id: String,
    pub status: String,
}

/// A subscription to RDS's events.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Subscription {
    /// Whether its events are sent: it is enabled, and its topic exists and can be written to.
    pub is_sending: bool,
    /// `db-instance`, ...; none for all.
    pub source: Option<String>,
    /// Names; empty for all.
    pub names: Vec<String>,
    /// Empty for all.
    pub categories: Vec<String>,
}

/// A parameter of a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Parameter {
    /// None if the group leaves it to the engine.
    pub value: Option<String>,
    /// Whether a change needs a reboot; none if RDS does not report it.
    pub is_static: Option<bool>,
    /// Allowed values, e.g. `0,1`.
    pub allowed: Option<String>,
}

/// A DB instance or cluster. Fields that RDS omits are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    pub name: String,
    pub arn: String,
    pub form: Form,
    /// RDS's id, never reused.
    pub resource_id: Option<String>,
    pub engine: Option<String>,
    pub version: Option<String>,
    /// When RDS will start it again, if it is stopped.
    pub restarts: Option<Timestamp>,
    /// ARN of the recovery point through which AWS Backup owns its automated backups.
    pub recovery_point: Option<String>,
    /// AWS Backup plans that select it.
    pub plans: Option<Seen<Vec<Arc<Plan>>>>,
    /// Events that no subscription covers, as source type and category.
    pub unsubscribed: Option<Seen<Vec<String>>>,
    /// The parameter that forces TLS; none if the group does not have it.
    pub tls_parameter: Option<Seen<Option<Parameter>>>,
    /// Whether changed parameters of its group wait for a reboot.
    pub waits_for_reboot: bool,
    /// End of standard support for its engine's version; none if AWS announces none.
    pub supported_until: Option<Seen<Option<Timestamp>>>,
    pub deployment: Option<Seen<Option<Deployment>>>,
    /// In RDS's words, e.g. `available`.
    pub status: Option<String>,
    pub created: Option<Timestamp>,
    /// The instance that it replicates.
    pub replica_of: Option<String>,
    pub retention_days: Option<i32>,
    /// A retention that RDS has accepted and not applied yet.
    pub pending_retention_days: Option<i32>,
    /// `hh:mm-hh:mm`, UTC.
    pub backup_window: Option<String>,
    /// `ddd:hh:mm-ddd:hh:mm`, UTC.
    pub maintenance_window: Option<String>,
    pub latest_restorable: Option<Timestamp>,
    pub is_encrypted: Option<bool>,
    pub key: Option<String>,
    pub is_protected: Option<bool>,
    pub is_public: Option<bool>,
    pub copies_tags: Option<bool>,
    pub is_multi_az: Option<bool>,
    pub upgrades: Option<bool>,
    /// When its certificate expires.
    pub certificate_until: Option<Timestamp>,
    pub storage_gib: Option<i32>,
    /// Limit of storage autoscaling.
    pub storage_limit_gib: Option<i32>,
    /// `gp3`, `io1`, ...
    pub storage_type: Option<String>,
    pub iops: Option<i32>,
    pub log_exports: Vec<String>,
    pub parameter_groups: Vec<String>,
    pub subnet_group: Option<String>,
    /// Whether RDS manages the master user's password.
    pub has_managed_password: bool,
    /// When its newest automated snapshot was taken; none if it has none.
    pub newest_snapshot: Option<Seen<Option<Timestamp>>>,
}

/// A manual snapshot, taken by a person or a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub name: String,
    pub arn: String,
    /// Whether it is of a cluster.
    pub is_of_cluster: bool,
    pub engine: Option<String>,
    pub is_encrypted: Option<bool>,
    /// Accounts that may restore it; `all` is every account.
    pub shared_with: Seen<BTreeSet<String>>,
}

/// Purpose of a bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Attachments of the application.
    Attachments,
    /// Attachments that on-prem installations send.
    Uploads,
    /// The evidence of all procedures.
    Evidence,
    /// Terraform's state.
    State,
    /// The exports of Grafana.
    Grafana,
    /// Another purpose of this environment.
    Other,
}

impl Role {
    /// All roles.
    pub(crate) const ALL: [Self; 6] =
        [Self::Attachments, Self::Uploads, Self::Evidence, Self::State, Self::Grafana, Self::Other];

    /// Its stable word in records.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Attachments => "attachments",
            Self::Uploads => "uploads",
            Self::Evidence => "evidence",
            Self::State => "state",
            Self::Grafana => "grafana",
            Self::Other => "other",
        }
    }

    /// Whether the function's role may change such a bucket, if the stack allows repairs.
    pub(crate) fn is_repaired(self) -> bool {
        !matches!(self, Self::Evidence | Self::Other)
    }
}

/// One rule of a bucket's lifecycle.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lifecycle {
    pub id: String,
    /// Whether an earlier repair added it; the next repair replaces it.
    pub is_ours: bool,
    pub is_enabled: bool,
    /// Prefix of the keys that it applies to; empty for all.
    pub prefix: String,
    /// Whether it also filters by tag or size.
    pub is_filtered: bool,
    /// Whether it deletes current objects.
    pub expires: bool,
    pub noncurrent_days: Option<i32>,
    pub incomplete_days: Option<i32>,
}

impl Lifecycle {
    /// Whether it applies to every object of the bucket.
    pub(crate) fn is_whole(&self) -> bool {
        self.prefix.is_empty() && !self.is_filtered
    }
}

/// The four settings that block public access.
pub(crate) const BLOCKS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

/// Grantees of a bucket's ACL. If ACLs are disabled, S3 lists only the owner.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Acl {
    /// S3's canonical id of the account; none if the answer lacks it.
    pub owner: Option<String>,
    /// Canonical ids of accounts, including the owner's.
    pub accounts: BTreeSet<String>,
    /// `AllUsers`, `AuthenticatedUsers`.
    pub groups: BTreeSet<String>,
}

/// Default encryption of a bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Encryption {
    /// `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub algorithm: String,
    pub key: Option<String>,
}

/// Default retention of a bucket with Object Lock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lock {
    /// `COMPLIANCE` or `GOVERNANCE`.
    pub mode: String,
    pub days: i32,
}

/// Age of the newest object of a bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Newest {
    /// When it was written.
    At(Timestamp),
    /// The bucket is empty.
    Nothing,
    /// No recent one among the first objects, this many, and there are more.
    NotAll(usize),
}

/// A bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub name: String,
    pub role: Role,
    /// Its region, if not the stack's.
    pub elsewhere: Option<String>,
    /// `Enabled`, `Suspended`; none if it was never enabled.
    pub versioning: Seen<Option<String>>,
    pub lifecycle: Seen<Vec<Lifecycle>>,
    /// Public access blocks that are off for the bucket.
    pub open: Seen<Vec<&'static str>>,
    /// Public access blocks that are off for the account.
    pub account_open: Seen<Vec<&'static str>>,
    pub acl: Seen<Acl>,
    pub encryption: Seen<Option<Encryption>>,
    /// The bucket policy, as JSON.
    pub policy: Seen<Option<String>>,
    /// Read only for roles with a rule about it; likewise the fields below.
    pub lock: Option<Seen<Option<Lock>>>,
    pub replicates: Option<Seen<bool>>,
    pub logs: Option<Seen<bool>>,
    pub newest: Option<Seen<Newest>>,
}

/// The DynamoDB table that locks Terraform's state.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub name: String,
    pub arn: String,
    pub is_protected: Option<bool>,
    pub has_recovery: Seen<bool>,
}

/// An ECS service and its task definition.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub name: String,
    pub arn: String,
    pub has_circuit_breaker: Option<bool>,
    pub is_balanced: bool,
    pub grace_seconds: Option<i32>,
    pub task: Seen<Task>,
    /// Whether its tasks may read old versions of attachments; none if they have no role.
    pub reads_versions: Seen<Option<bool>>,
}

/// Variables and role of a task definition's containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Task {
    /// Names of variables in clear text.
    pub plain: BTreeSet<String>,
    /// Names of variables from a secret.
    pub secret: BTreeSet<String>,
    /// ARN of the task role.
    pub role: Option<String>,
}

/// Metrics counted from a log group, each as namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogWatch {
    /// Metrics of its metric filters.
    pub counted: BTreeSet<(String, String)>,
    /// Those that an alarm with an action watches.
    pub alarmed: BTreeSet<(String, String)>,
}

/// Facts about the account as a whole: whether some resources exist.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// CloudWatch alarms besides those on this product's functions.
    pub has_alarms: Seen<bool>,
    /// Metrics and alarms on the application's log group.
    pub log_watch: Seen<LogWatch>,
    /// AWS Backup plans.
    pub has_backup_plan: Seen<bool>,
    /// VPC endpoints.
    pub has_endpoints: Seen<bool>,
}

/// A resource, not a database, that an AWS Backup plan should select.
#[derive(Clone, Debug)]
pub(crate) struct Protected {
    pub name: String,
    pub arn: String,
    /// Plans that select it.
    pub plans: Seen<Vec<Arc<Plan>>>,
}

/// An AWS Backup vault.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    pub name: String,
    pub arn: String,
    /// ARN of its encryption key.
    pub key: Seen<Option<String>>,
    /// Minimum retention that its lock enforces, in days; none without a lock.
    pub locked_days: Seen<Option<i64>>,
}
