//! What was read of each resource, as far as a rule asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use shared::runtime::failure::CallError;

use super::plans::Plan;

/// What was read, or why it could not be.
pub(crate) type Seen<T> = Result<T, CallError>;

/// What a database is to RDS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Form {
    /// An instance by itself.
    #[default]
    Single,
    /// An instance of the cluster with this name, which answers for its backups.
    Member(String),
    /// An Aurora or Multi-AZ DB cluster.
    Cluster,
}

/// What a database is to a blue/green deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// In production until the switchover.
    Blue,
    /// The copy that takes over.
    Green,
    /// In production until a switchover that is done.
    Old,
}

/// A blue/green deployment, as far as one database takes part in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Deployment {
    pub id: String,
    pub status: String,
    pub side: Side,
}

/// A database and the copy that takes over, of a blue/green deployment.
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
    /// Whether its events are sent: it is enabled, and its topic is there and can be written to.
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
    /// None where the group leaves it to the engine.
    pub value: Option<String>,
    /// Whether a change waits for a restart; none where RDS does not say.
    pub is_static: Option<bool>,
    /// The values that it takes, e.g. `0,1`.
    pub allowed: Option<String>,
}

/// A DB instance or cluster. What RDS leaves out of an answer is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    pub name: String,
    pub arn: String,
    pub form: Form,
    /// RDS's id, which no other database ever has.
    pub resource_id: Option<String>,
    pub engine: Option<String>,
    pub version: Option<String>,
    /// When RDS starts it again, if it is stopped.
    pub restarts: Option<Timestamp>,
    /// The recovery point by which AWS Backup owns its automated backups.
    pub recovery_point: Option<String>,
    /// The plans of AWS Backup that select it.
    pub plans: Option<Seen<Vec<Arc<Plan>>>>,
    /// The categories of events that reach no subscription.
    pub unsubscribed: Option<Seen<Vec<String>>>,
    /// The parameter that forces TLS; none where the group does not have it.
    pub tls_parameter: Option<Seen<Option<Parameter>>>,
    /// Whether parameters of its group take effect after a reboot only, which has not come yet.
    pub waits_for_reboot: bool,
    /// When standard support of its engine's version ends; none where AWS announces none.
    pub supported_until: Option<Seen<Option<Timestamp>>>,
    pub deployment: Option<Seen<Option<Deployment>>>,
    /// RDS's word, e.g. `available`.
    pub status: Option<String>,
    pub created: Option<Timestamp>,
    /// The instance that it replicates.
    pub replica_of: Option<String>,
    pub retention_days: Option<i32>,
    /// The retention that RDS has taken and not applied yet.
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
    /// When its certificate ends.
    pub certificate_until: Option<Timestamp>,
    pub storage_gib: Option<i32>,
    /// Storage that it may grow to.
    pub storage_limit_gib: Option<i32>,
    /// `gp3`, `io1`, ...
    pub storage_type: Option<String>,
    pub iops: Option<i32>,
    pub log_exports: Vec<String>,
    pub parameter_groups: Vec<String>,
    pub subnet_group: Option<String>,
    /// Whether RDS makes and rotates the master user's password itself.
    pub has_managed_password: bool,
    /// When its newest automated snapshot was taken; none when it has none.
    pub newest_snapshot: Option<Seen<Option<Timestamp>>>,
}

/// A snapshot that a person or a pipeline took.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub name: String,
    pub arn: String,
    /// Whether it is of a cluster.
    pub is_of_cluster: bool,
    pub engine: Option<String>,
    pub is_encrypted: Option<bool>,
    /// The accounts that may restore it; `all` is everybody.
    pub shared_with: Seen<BTreeSet<String>>,
}

/// What a bucket is to the application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Attachments of the application.
    Attachments,
    /// Where on-prem installations send their attachments.
    Uploads,
    /// The evidence of all procedures.
    Evidence,
    /// Terraform's state.
    State,
    /// The exports of Grafana.
    Grafana,
    /// Another one of this environment.
    Other,
}

impl Role {
    /// Whether the function's role may change such a bucket, where the stack allows repairs.
    pub(crate) fn is_repaired(self) -> bool {
        !matches!(self, Self::Evidence | Self::Other)
    }
}

/// One rule of a bucket's lifecycle.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lifecycle {
    pub id: String,
    /// Whether an earlier repair has made it, which the next one replaces.
    pub is_ours: bool,
    pub is_enabled: bool,
    /// What the keys begin with that it is for; empty when with anything.
    pub prefix: String,
    /// Whether it asks for tags or a size besides.
    pub is_filtered: bool,
    /// Whether it deletes current objects.
    pub expires: bool,
    pub noncurrent_days: Option<i32>,
    pub incomplete_days: Option<i32>,
}

impl Lifecycle {
    /// Whether it is for every object of the bucket.
    pub(crate) fn is_whole(&self) -> bool {
        self.prefix.is_empty() && !self.is_filtered
    }
}

/// The four settings that block public access.
pub(crate) const BLOCKS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

/// Whom a bucket's ACL gives anything. Where ACLs are off S3 tells of the owner alone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Acl {
    /// S3's own id of the account; none when the answer lacks it.
    pub owner: Option<String>,
    /// Ids of accounts, the owner's among them.
    pub accounts: BTreeSet<String>,
    /// `AllUsers`, `AuthenticatedUsers`.
    pub groups: BTreeSet<String>,
}

/// How a bucket encrypts what it is given without a wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Encryption {
    /// `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub algorithm: String,
    pub key: Option<String>,
}

/// The default retention of a bucket with Object Lock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lock {
    /// `COMPLIANCE` or `GOVERNANCE`.
    pub mode: String,
    pub days: i32,
}

/// The newest object of a bucket or of a part of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Newest {
    /// It was written then.
    At(Timestamp),
    /// There is no object.
    Nothing,
    /// None was found that is young enough, and not all were looked at.
    NotAll(usize),
}

/// A bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub name: String,
    pub role: Role,
    /// Its region, where that is not the stack's.
    pub elsewhere: Option<String>,
    /// `Enabled`, `Suspended`; none when it never was.
    pub versioning: Seen<Option<String>>,
    pub lifecycle: Seen<Vec<Lifecycle>>,
    /// Which of the four blocks are off for it.
    pub open: Seen<Vec<&'static str>>,
    /// Which of the four blocks are off for the account.
    pub account_open: Seen<Vec<&'static str>>,
    pub acl: Seen<Acl>,
    pub encryption: Seen<Option<Encryption>>,
    /// The bucket policy, as JSON.
    pub policy: Seen<Option<String>>,
    /// Of the roles whose rules ask for it.
    pub lock: Option<Seen<Option<Lock>>>,
    pub replicates: Option<Seen<bool>>,
    pub logs: Option<Seen<bool>>,
    pub newest: Option<Seen<Newest>>,
}

/// A table of DynamoDB in which Terraform locks its state.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub name: String,
    pub arn: String,
    pub is_protected: Option<bool>,
    pub has_recovery: Seen<bool>,
}

/// A service of ECS, with the task definition that it runs.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub name: String,
    pub arn: String,
    pub has_circuit_breaker: Option<bool>,
    pub is_balanced: bool,
    pub grace_seconds: Option<i32>,
    pub task: Seen<Task>,
    /// Whether its tasks may read old versions of attachments; none when the tasks have no role.
    pub reads_versions: Seen<Option<bool>>,
}

/// What the containers of a task definition are given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Task {
    /// Variables in clear.
    pub plain: BTreeSet<String>,
    /// Variables from a secret.
    pub secret: BTreeSet<String>,
    pub role: Option<String>,
}

/// The metrics that are counted from a log group, each as namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogWatch {
    /// Those of its metric filters.
    pub counted: BTreeSet<(String, String)>,
    /// Those among them that an alarm with an action looks at.
    pub alarmed: BTreeSet<(String, String)>,
}

/// What must be there at all.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Alarms of CloudWatch besides this stack's.
    pub has_alarms: Seen<bool>,
    /// What becomes of errors in the application's log group.
    pub log_watch: Seen<LogWatch>,
    /// Plans of AWS Backup.
    pub has_backup_plan: Seen<bool>,
    /// Endpoints of the VPC.
    pub has_endpoints: Seen<bool>,
}

/// Something besides databases that a plan of AWS Backup should select.
#[derive(Clone, Debug)]
pub(crate) struct Protected {
    pub name: String,
    pub arn: String,
    /// The plans that select it.
    pub plans: Seen<Vec<Arc<Plan>>>,
}

/// A vault of AWS Backup.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    pub name: String,
    pub arn: String,
    /// ARN of the key that encrypts what it holds.
    pub key: Seen<Option<String>>,
    /// Least retention that its lock enforces, in days; none without a lock.
    pub locked_days: Seen<Option<i64>>,
}
