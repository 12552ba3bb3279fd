//! The policy: one typed document with the guide's numbers as defaults, overridable per environment.
//!
//! `shared/policy.json` contains the defaults. An environment changes them with a JSON merge patch (RFC 7396: a key
//! replaces, `null` removes) in the [`Document`] that `cargo xtask policy apply` puts in the evidence bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

const DEFAULTS: &str = include_str!("../policy.json");

/// The rules of `backup-audit`, one per line; an exception for any other rule is a mistake. A test of that function
/// keeps the list current.
const BACKUP_RULES: &str = include_str!("../backup-rules.txt");

/// The possible environments of a stack. Source: the template's parameter `Environment`.
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

/// Key of the [`Document`] in the evidence bucket.
pub const KEY: &str = "policy/current.json";

/// Largest accepted document, in bytes; the whole policy has a few thousand.
pub const MOST_BYTES: usize = 256 * 1024;

/// The format that this code writes and reads.
const FORMAT: u32 = 1;

/// Least randomness of a generated secret, in bits.
///
/// Source: NIST SP 800-131A, 2.1: security strength of at least 112 bits; 128 is the common floor.
const MIN_BITS: f64 = 128.0;

/// Least length of `JWT_SECRET`: the application refuses to start with a shorter one. Source: its `env.ts`, `min(32)`.
const JWT_MIN_LENGTH: u16 = 32;

/// bcrypt ignores any bytes of a password after this many.
const BCRYPT_LIMIT: usize = 72;

/// The whole policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Critical services, and the teams responsible for each (guide, 1).
    pub inventory: Inventory,
    /// Rotation of secrets (guide, 3.1).
    pub rotation: Rotation,
    /// Backups (guide, 2.1 and 2.2).
    pub backups: Backups,
    /// Incidents (guide, 4.2 and 4.3).
    pub incidents: Incidents,
}

/// The inventory of critical services.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The areas, with their resources and responsible teams.
    pub areas: Areas,
    /// Resource types that AWS or the application creates at run time, so that neither the inventory nor Terraform
    /// lists them: service and type as in an ARN, e.g. `rds:snapshot`.
    pub untracked: Vec<String>,
}

/// The areas of the inventory. An environment can change an area but not omit one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Areas {
    /// The API.
    pub application: Holding,
    /// PostgreSQL.
    pub database: Holding,
    /// Stored files.
    pub attachments: Holding,
    /// Logs and metrics.
    pub observability: Holding,
    /// Secrets Manager. Includes the secrets that the template and `rotation.secrets` name, without listing them.
    pub secrets: Holding,
    /// Terraform. Includes its state bucket, which the template names, without listing it.
    pub infrastructure: Holding,
}

/// An area of the inventory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Area {
    /// [`Areas::application`].
    Application,
    /// [`Areas::database`].
    Database,
    /// [`Areas::attachments`].
    Attachments,
    /// [`Areas::observability`].
    Observability,
    /// [`Areas::secrets`].
    Secrets,
    /// [`Areas::infrastructure`].
    Infrastructure,
}

/// An area's critical resources and the teams responsible for them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Holding {
    /// The teams responsible for the area.
    pub responsible: Responsible,
    /// Names by kind; `{project}` and `{environment}` are replaced by the stack's.
    pub resources: BTreeMap<Kind, Vec<String>>,
}

/// A kind of resource in the inventory, and the form of its name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// ECS cluster; its name.
    EcsCluster,
    /// ECS service; `cluster/service`.
    EcsService,
    /// EFS file system, e.g. the volume of `UPLOADS_DIR`; its id.
    EfsFileSystem,
    /// Workspace of Amazon Managed Grafana; its id.
    GrafanaWorkspace,
    /// CloudWatch Logs log group; its name.
    LogGroup,
    /// Workspace of Amazon Managed Service for Prometheus; its id.
    PrometheusWorkspace,
    /// RDS cluster (Aurora or Multi-AZ); its identifier.
    RdsCluster,
    /// RDS instance; its identifier.
    RdsInstance,
    /// S3 bucket; its name.
    S3Bucket,
    /// Secrets Manager secret; its name.
    Secret,
    /// A place outside AWS, e.g. a self-hosted Grafana; its address.
    Url,
}

/// Rotation of secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Thresholds of `rotation-audit`.
    pub audit: Audit,
    /// How `rotation-followup` brings a new value into use.
    pub followup: Followup,
    /// How database credentials are generated and proved, unless the secret's own entry overrides it.
    pub database: Database,
    /// How credentials of other issuers are generated and retired.
    pub external: External,
    /// The secrets: those that the template names by the application's variable (`JWT_SECRET`), all others by their own
    /// name.
    pub secrets: BTreeMap<String, Secret>,
}

/// Thresholds of `rotation-audit`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days before the maximum age from which a secret is due and gets a task, capped at half the age: 1 to 90.
    pub due_days: u16,
    /// Hours after NextRotationDate from which a rotation is late: 1 to 168.
    pub late_hours: u16,
    /// Hours that a version may stay AWSPENDING: 1 to 168.
    pub stuck_hours: u16,
    /// Days without a read after which a secret counts as unused: 2 to 999; the service reports only the day.
    pub unused_days: u16,
}

/// Settings of the follow-up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Followup {
    /// Seconds that a change waits for others, so that secrets that change together need only one deployment: 1 to 900.
    pub settle_seconds: u16,
    /// Polling of the rollout.
    pub rollout: Polls,
    /// Failed task starts in a deployment from which the rollout counts as failed: 1 to 100.
    pub failed_tasks: u16,
    /// Polling of the application's proofs, before they count as failed.
    pub proof: Polls,
}

/// Polling until the answer is final.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Polls {
    /// Seconds between polls: 1 to 300.
    pub every_seconds: u16,
    /// Most polls: 1 to 200.
    pub times: u16,
}

/// When to end sessions that would outlive a token secret.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum EndSessions {
    /// Never by this stack.
    #[default]
    Never,
    /// If the rotation's reason was declared an incident.
    Incident,
    /// After every rotation.
    Always,
}

/// The responsible teams. Source: the guide, section 1.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Responsible {
    /// The team in charge.
    pub primary: String,
    /// The team that takes over when the first cannot act.
    pub backup: String,
}

/// The requirements for one secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Maximum age of the current value, in days: 1 to 999, Secrets Manager's own limit.
    pub max_age_days: u16,
    /// The responsible teams, if they differ from the inventory area's ([`Policy::secret_responsible`]).
    pub responsible: Option<Responsible>,
    /// How `rotate-random` generates the value; absent if another function rotates the secret.
    pub random: Option<Random>,
    /// Whether to move the label back to the previous value if the application does not work with the new one.
    #[serde(default)]
    pub roll_back: bool,
    /// When to revoke the application's refresh tokens, which outlive the secret that signs its access tokens.
    #[serde(default)]
    pub end_sessions: EndSessions,
    /// ECS services of the stack's cluster that read the secret although their task definitions do not name it.
    #[serde(default)]
    pub services: Vec<String>,
    /// SQL that proves the credential, if it differs from `rotation.database.test_sql`.
    pub test_sql: Option<Vec<String>>,
    /// The RDS instance where this database login uses IAM tokens, and so has no password to rotate.
    pub iam_login: Option<String>,
}

/// Settings for PostgreSQL credentials.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// How the password is generated.
    pub password: Random,
    /// SQL that proves that a new credential can read and write as the application does: one statement per entry, run
    /// in a single transaction that is rolled back.
    pub test_sql: Vec<String>,
}

/// Settings for credentials of other issuers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Hours that an access key stays deactivated, and can be reactivated, before it is deleted: 1 to 720.
    pub delete_after_hours: u16,
    /// Fields of the secret with the access key that sends mail.
    pub ses: SesFields,
    /// How the administrator's password is generated.
    pub admin_password: Random,
}

/// Field names in a JSON document with an access key. The SMTP fields are updated if the document has them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SesFields {
    /// The access key's ID.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: String,
    /// The SMTP user name: the access key's ID.
    pub smtp_username: String,
    /// The SMTP password, derived from the access key's secret.
    pub smtp_password: String,
}

/// How to generate a random value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// Number of random bytes, with `encoding`; excludes `length`.
    pub bytes: Option<u16>,
    /// How to encode the bytes as text.
    pub encoding: Option<Encoding>,
    /// Number of characters, with `alphabet`; excludes `bytes`.
    pub length: Option<u16>,
    /// The characters to choose from: printable ASCII, each once.
    pub alphabet: Option<String>,
    /// Least length that the consumer accepts, in characters.
    #[serde(default)]
    pub min_length: u16,
    /// Field of the secret's JSON document with the value; absent if the whole secret is the value.
    pub field: Option<String>,
}

/// How random bytes are encoded as text.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// RFC 4648 section 4, with padding, as printed by `openssl rand -base64`.
    Base64,
    /// RFC 4648 section 5, without padding.
    Base64url,
    /// Lower-case hexadecimal.
    Hex,
}

/// The rule for a value: its characters and length.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Generator {
    /// Random bytes as text.
    Bytes {
        /// Number of bytes.
        bytes: u16,
        /// Encoding of the bytes.
        encoding: Encoding,
    },
    /// Characters chosen uniformly from an alphabet.
    Characters {
        /// Number of characters.
        length: u16,
        /// The alphabet, ASCII.
        alphabet: String,
    },
}

/// Settings for backups.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Minimum retention of automated RDS backups by environment, in days: 1 to 35, RDS's limit.
    pub retention_days: BTreeMap<String, u16>,
    /// Manual snapshots before a deploy (guide, 2.1 step 2).
    pub snapshots: Snapshots,
    /// Retention of noncurrent attachment versions, in days.
    pub attachment_noncurrent_days: u16,
    /// Thresholds of `backup-audit` (guide, 2.1 to 2.3).
    pub audit: BackupAudit,
}

/// Thresholds of `backup-audit`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupAudit {
    /// Maximum age of an instance's newest automated snapshot, in hours: 1 to 168.
    pub snapshot_hours: u16,
    /// Maximum lag of point-in-time recovery, in minutes: 1 to 1440.
    pub point_in_time_minutes: u16,
    /// Hours in São Paulo that the backup window must not overlap.
    pub business_hours: Hours,
    /// The backup window that a repair sets, in UTC: `05:00-06:00`.
    pub backup_window: String,
    /// Environments that require Multi-AZ databases.
    pub multi_az: Vec<String>,
    /// Days before an instance's certificate expires from which that is a finding: 1 to 365.
    pub certificate_days: u16,
    /// Days before an engine's standard support ends from which that is a finding: 1 to 730.
    pub engine_support_days: u16,
    /// Accounts that may share snapshots and have access to buckets.
    pub shared_with: Vec<String>,
    /// Key prefixes under which lifecycle rules may delete current objects.
    pub expiring_prefixes: ExpiringPrefixes,
    /// Longest retention of parts of incomplete uploads, in days: 1 to 365.
    pub incomplete_upload_days: u16,
    /// Maximum age of the on-premises synchronization, in hours: 1 to 720.
    pub uploads_hours: u16,
    /// Maximum age of the Grafana export, in days: 1 to 366.
    pub grafana_days: u16,
    /// Whether Terraform locks its state with an object in the state bucket, if there is no lock table.
    pub terraform_native_lock: bool,
    /// Variables that the application must have; a trailing `*` matches any name with that prefix.
    pub variables: Vec<String>,
    /// Variables that the application may receive only as secrets.
    pub secret_variables: Vec<String>,
    /// Violations that are accepted until a date.
    pub exceptions: Vec<Exception>,
}

/// Prefixes that may expire, by bucket. The state and evidence buckets have none: their objects never expire.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExpiringPrefixes {
    /// In the application's attachments.
    pub attachments: Vec<String>,
    /// In the on-premises uploads.
    pub uploads: Vec<String>,
}

/// A range of hours in a day, 0 to 24.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The first hour of the range.
    pub from: u8,
    /// The first hour after the range.
    pub to: u8,
}

/// A violation that is accepted until a date.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The rule's id.
    pub rule: String,
    /// The resource's name; a trailing `*` matches all names with that prefix.
    pub resource: String,
    /// The reason for accepting it, in one line.
    pub reason: String,
    /// The person or team that answers for it, in one line.
    pub owner: String,
    /// The last day it applies, in São Paulo.
    pub until: jiff::civil::Date,
}

/// Longest wait of `snapshot-create` for one thing, in seconds; its state machine's `TimeoutSeconds` allows for two.
pub const LONGEST_WAIT_SECONDS: u32 = 21_600;

/// Settings of `snapshot-create` and `snapshot-verify`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Days to retain a manual snapshot, by environment: 1 to 3650. Every environment needs an entry.
    pub retention_days: BTreeMap<String, u16>,
    /// Polling of a busy instance: at most six hours.
    pub instance: Polls,
    /// Polling of the snapshot's creation: at most six hours.
    pub creation: Polls,
    /// Thresholds of `snapshot-verify`.
    pub verify: Verify,
}

/// Thresholds of `snapshot-verify`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Hours that a snapshot may take before it is reported: 1 to 48.
    pub creation_hours: u16,
    /// Hours that a copy to another region may take before it pages the on-call engineer: 1 to 168.
    pub copy_hours: u16,
    /// Minimum size of a snapshot, in percent of the previous one: 1 to 100.
    pub least_percent: u16,
    /// Maximum size of a snapshot, in percent of the previous one: 100 to 10000.
    pub most_percent: u16,
}

/// Settings for incidents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incidents {
    /// Longest interval between updates in the public channel during an incident, in minutes.
    pub update_minutes: u16,
    /// Duration of the impact after which to involve AWS Support, in minutes.
    pub support_case_minutes: u16,
    /// Business days until the post-mortem is due.
    pub postmortem_business_days: u16,
}

/// An error in a policy, with the path of the field.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("policy field {path}: {reason}")]
pub struct PolicyError {
    /// Path of the field, e.g. `rotation.secrets.JWT_SECRET.max_age_days`; `.` is the whole document.
    pub path: String,
    /// The expected form.
    pub reason: String,
}

impl PolicyError {
    fn at(path: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { path: path.to_string(), reason: reason.to_string() }
    }

    /// A document of more than [`MOST_BYTES`].
    pub fn too_large(bytes: impl fmt::Display) -> Self {
        Self::at(".", format!("expected at most {MOST_BYTES} bytes, found {bytes}"))
    }
}

/// An environment's changes to the defaults, with their author: the object [`KEY`].
///
/// S3 does not record who wrote an object: author and commit are the writer's own claims.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The document's format; only 1 is supported.
    pub format: u32,
    /// The author of the commit, in one line.
    pub author: String,
    /// The commit that contains the patch: 40 hexadecimal digits.
    pub commit: String,
    /// The patch file in that commit, relative to the repository's root: `policy/prod.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The reason for the change, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the document was applied.
    pub applied_at: jiff::Timestamp,
    /// The merge patch for the defaults.
    pub patch: Value,
}

impl Document {
    /// A document in this code's format.
    pub fn new(author: String, commit: String, patch: Value, applied_at: jiff::Timestamp) -> Self {
        Self { format: FORMAT, author, commit, path: None, reason: None, applied_at, patch }
    }

    /// Parses a document and the policy it results in.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], for the document's own fields or for the policy's, whose paths are relative to the patch.
    pub fn read(bytes: &[u8]) -> Result<(Self, Policy), PolicyError> {
        if bytes.len() > MOST_BYTES {
            return Err(PolicyError::too_large(bytes.len()));
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let document: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| PolicyError::at(error.path(), error.inner()))?;
        reader.end().map_err(|error| PolicyError::at(".", error))?;
        let policy = document.policy()?;
        Ok((document, policy))
    }

    /// The policy that results from the document.
    ///
    /// # Errors
    ///
    /// Same as [`Document::read`].
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        if self.format != FORMAT {
            let reason =
                format!("expected {FORMAT}, found {}: first deploy the code that supports it", self.format);
            return Err(PolicyError::at("format", reason));
        }
        let lines = [("author", Some(&self.author)), ("reason", self.reason.as_ref())];
        for (field, text) in lines {
            if text.is_some_and(|text| !is_line(text, 200)) {
                return Err(PolicyError::at(field, "expected one line of 1 to 200 characters"));
            }
        }
        if self.commit.len() != 40 || !self.commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(PolicyError::at("commit", "expected the 40 hexadecimal digits of a commit"));
        }
        if self.path.as_deref().is_some_and(|path| !is_path(path)) {
            return Err(PolicyError::at("path", "expected a file's path from the repository's root"));
        }
        Policy::of(&self.patch)
    }
}

/// A field that differs between two policies.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The field's path; a trailing `[]` means an element of a list.
    pub path: String,
    /// The old value, as JSON; none if the field was absent.
    pub before: Option<Value>,
    /// The new value; none if the field is absent.
    pub after: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(formatter, "{path}: {before} → {after}"),
            (None, Some(after)) => write!(formatter, "{path}: + {after}"),
            (Some(before), None) => write!(formatter, "{path}: - {before}"),
            (None, None) => write!(formatter, "{path}"),
        }
    }
}

/// The defaults with a patch applied, as an unchecked document.
///
/// # Errors
///
/// [`PolicyError`] if the patch is not an object.
pub fn effective(patch: &Value) -> Result<Value, PolicyError> {
    if !patch.is_object() {
        return Err(PolicyError::at(".", "expected a JSON object"));
    }
    let mut document = serde_json::from_str(DEFAULTS).map_err(|error| PolicyError::at(".", error))?;
    merge(&mut document, patch.clone());
    Ok(document)
}

/// The differences between two documents, field by field, ordered by path.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    let mut change = |path: &str, before: Option<&Value>, after: Option<&Value>| {
        found.push(Change { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
    };
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            let gone: Vec<_> = before.iter().filter(|one| !after.contains(one)).collect();
            let new: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
            if gone.is_empty() && new.is_empty() {
                // A different order, or duplicates.
                change(path, Some(&before.clone().into()), Some(&after.clone().into()));
            }
            let path = format!("{path}[]");
            gone.into_iter().for_each(|one| change(&path, Some(one), None));
            new.into_iter().for_each(|one| change(&path, None, Some(one)));
        }
        (before, after) => change(path, before, after),
    }
}

/// Whether a text is a relative path that stays below its root.
fn is_path(text: &str) -> bool {
    is_line(text, 400) && !text.split('/').any(|part| ["", ".", ".."].contains(&part))
}

/// Whether a text is a single non-blank line of at most `most` characters.
pub fn is_line(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && !text.contains(char::is_control)
}

impl FromStr for Policy {
    type Err = PolicyError;

    /// The defaults with the merge patch `overrides` applied; an empty text changes nothing.
    fn from_str(overrides: &str) -> Result<Self, Self::Err> {
        if overrides.trim().is_empty() {
            return Self::of(&Value::Object(serde_json::Map::new()));
        }
        let patch = serde_json::from_str::<Value>(overrides).map_err(|error| PolicyError::at(".", error))?;
        Self::of(&patch)
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(serde_json::Map::new());
            }
            if let Value::Object(target) = target {
                for (key, value) in patch {
                    if value.is_null() {
                        target.remove(&key);
                    } else {
                        merge(target.entry(key).or_insert(Value::Null), value);
                    }
                }
            }
        }
        other => *target = other,
    }
}

impl Policy {
    /// The defaults with a merge patch applied.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the path of the first invalid field.
    pub fn of(patch: &Value) -> Result<Self, PolicyError> {
        let policy: Self = serde_path_to_error::deserialize(effective(patch)?)
            .map_err(|error| PolicyError::at(error.path(), error.inner()))?;
        policy.check()?;
        Ok(policy)
    }

    /// The teams responsible for an inventory area.
    pub fn responsible(&self, area: Area) -> &Responsible {
        &self.inventory.areas.holding(area).responsible
    }

    /// The teams responsible for a secret: those in its own entry; otherwise the database area's for a database
    /// credential, and the secrets area's for any other.
    ///
    /// `key` is the application's variable for a secret that the template names, otherwise the secret's name.
    pub fn secret_responsible(&self, key: &str) -> &Responsible {
        let own = self.rotation.secrets.get(key).and_then(|entry| entry.responsible.as_ref());
        let is_database = self.rotation.is_database(key);
        own.unwrap_or_else(|| self.responsible(if is_database { Area::Database } else { Area::Secrets }))
    }

    fn check(&self) -> Result<(), PolicyError> {
        self.inventory.check("inventory")?;
        self.rotation.audit.check("rotation.audit")?;
        self.rotation.followup.check("rotation.followup")?;
        for (name, secret) in &self.rotation.secrets {
            let path = format!("rotation.secrets.{name}");
            within(format!("{path}.max_age_days"), secret.max_age_days, 1, 999)?;
            if let Some(statements) = &secret.test_sql {
                check_test_sql(&format!("{path}.test_sql"), statements)?;
            }
            if let Some(responsible) = &secret.responsible {
                responsible.check(&format!("{path}.responsible"))?;
            }
            if let Some(instance) = &secret.iam_login {
                let path = format!("{path}.iam_login");
                if !self.rotation.is_database(name) {
                    return Err(PolicyError::at(path, "only a database login can use IAM: set test_sql"));
                }
                if !is_instance(instance) {
                    return Err(PolicyError::at(path, "expected the identifier of an RDS instance"));
                }
            }
            let Some(random) = &secret.random else { continue };
            random.check(&format!("{path}.random"))?;
            if name == "JWT_SECRET" {
                within(format!("{path}.random.min_length"), random.min_length, JWT_MIN_LENGTH, u16::MAX)?;
            }
        }
        self.rotation.database.check("rotation.database")?;
        self.rotation.external.check("rotation.external")?;
        for (environment, days) in &self.backups.retention_days {
            within(format!("backups.retention_days.{environment}"), *days, 1, 35)?;
        }
        self.backups.snapshots.check("backups.snapshots")?;
        self.backups.audit.check("backups.audit")?;
        within("backups.attachment_noncurrent_days", self.backups.attachment_noncurrent_days, 1, 3650)?;
        within("incidents.update_minutes", self.incidents.update_minutes, 1, 1440)?;
        within("incidents.support_case_minutes", self.incidents.support_case_minutes, 1, 1440)?;
        within("incidents.postmortem_business_days", self.incidents.postmortem_business_days, 1, 30)
    }
}

/// Whether RDS accepts the text as an instance identifier. Anything else could match several instances.
fn is_instance(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit())
}

fn within(path: impl fmt::Display, value: u16, least: u16, most: u16) -> Result<(), PolicyError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(PolicyError::at(path, format!("expected {least} to {most}, found {value}")))
}

impl Inventory {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        let mut seen = BTreeMap::new();
        for area in Area::ALL {
            let path = format!("{path}.areas.{}", area.name());
            let holding = self.areas.holding(area);
            holding.responsible.check(&format!("{path}.responsible"))?;
            for (kind, names) in &holding.resources {
                for (place, name) in names.iter().enumerate() {
                    let path = format!("{path}.resources.{}[{place}]", kind.name());
                    kind.check(name).map_err(|reason| PolicyError::at(&path, reason))?;
                    if let Some(first) = seen.insert((kind, name), path.clone()) {
                        return Err(PolicyError::at(path, format!("also listed at {first}")));
                    }
                }
            }
        }
        for (place, kind) in self.untracked.iter().enumerate() {
            let is_word =
                |word: &str| !word.is_empty() && word.chars().all(|c| c == '-' || c.is_ascii_alphanumeric());
            if !kind.split_once(':').is_some_and(|(service, kind)| is_word(service) && is_word(kind)) {
                let reason = "expected a service and type as in an ARN, e.g. rds:snapshot";
                return Err(PolicyError::at(format!("{path}.untracked[{place}]"), reason));
            }
        }
        Ok(())
    }
}

impl Areas {
    /// The area's entry.
    pub fn holding(&self, area: Area) -> &Holding {
        match area {
            Area::Application => &self.application,
            Area::Database => &self.database,
            Area::Attachments => &self.attachments,
            Area::Observability => &self.observability,
            Area::Secrets => &self.secrets,
            Area::Infrastructure => &self.infrastructure,
        }
    }
}

impl Area {
    /// All areas, in the guide's order.
    pub const ALL: [Self; 6] = [
        Self::Application,
        Self::Database,
        Self::Attachments,
        Self::Observability,
        Self::Secrets,
        Self::Infrastructure,
    ];

    /// The area's name in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Attachments => "attachments",
            Self::Observability => "observability",
            Self::Secrets => "secrets",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::EcsCluster,
        Self::EcsService,
        Self::EfsFileSystem,
        Self::GrafanaWorkspace,
        Self::LogGroup,
        Self::PrometheusWorkspace,
        Self::RdsCluster,
        Self::RdsInstance,
        Self::S3Bucket,
        Self::Secret,
        Self::Url,
    ];

    /// The kind's name in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcsCluster => "ecs-cluster",
            Self::EcsService => "ecs-service",
            Self::EfsFileSystem => "efs-file-system",
            Self::GrafanaWorkspace => "grafana-workspace",
            Self::LogGroup => "log-group",
            Self::PrometheusWorkspace => "prometheus-workspace",
            Self::RdsCluster => "rds-cluster",
            Self::RdsInstance => "rds-instance",
            Self::S3Bucket => "s3-bucket",
            Self::Secret => "secret",
            Self::Url => "url",
        }
    }

    fn check(self, name: &str) -> Result<(), String> {
        let bare = resolve(name, "p", "e");
        if self == Self::Url {
            let rest = ["https://", "http://"].into_iter().find_map(|scheme| bare.strip_prefix(scheme));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
            return match rest {
                Some(rest) if !rest.is_empty() && rest.len() <= 500 && rest.chars().all(is_plain) => Ok(()),
                _ => Err("expected an address https://HOST/PATH without user, query or fragment".to_owned()),
            };
        }
        if !is_line(&bare, 512) || !bare.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+=@!#".contains(c))
        {
            let reason = "expected a resource's name, with no braces except in {project} and {environment}";
            return Err(reason.to_owned());
        }
        let is_pair = bare.split_once('/').is_some_and(|(cluster, service)| {
            !cluster.is_empty() && !service.is_empty() && !service.contains('/')
        });
        let is_id = |prefix: &str| {
            let id = bare.strip_prefix(prefix).unwrap_or_default();
            !id.is_empty() && id.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
        };
        match self {
            Self::EcsService if !is_pair => Err("expected cluster/service".to_owned()),
            Self::EcsCluster | Self::RdsCluster | Self::RdsInstance | Self::S3Bucket
                if bare.contains('/') =>
            {
                Err("expected a name without a slash".to_owned())
            }
            Self::EfsFileSystem if !is_id("fs-") => Err("expected an id, fs-…".to_owned()),
            Self::GrafanaWorkspace if !is_id("g-") => Err("expected an id, g-…".to_owned()),
            Self::PrometheusWorkspace if !is_id("ws-") => Err("expected an id, ws-…".to_owned()),
            _ => Ok(()),
        }
    }
}

/// An inventory name with the stack's project and environment filled in.
pub fn resolve(name: &str, project: &str, environment: &str) -> String {
    name.replace("{project}", project).replace("{environment}", environment)
}

impl Rotation {
    /// Whether a secret is a database credential: the application's, or one that the policy proves with SQL.
    pub fn is_database(&self, key: &str) -> bool {
        key == "DATABASE_URL" || self.secrets.get(key).is_some_and(|entry| entry.test_sql.is_some())
    }
}

impl Audit {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.due_days"), self.due_days, 1, 90)?;
        within(format!("{path}.late_hours"), self.late_hours, 1, 168)?;
        within(format!("{path}.stuck_hours"), self.stuck_hours, 1, 168)?;
        within(format!("{path}.unused_days"), self.unused_days, 2, 999)
    }
}

impl External {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.delete_after_hours"), self.delete_after_hours, 1, 720)?;
        let path = format!("{path}.admin_password");
        self.admin_password.check(&path)?;
        if self.admin_password.field.is_some() {
            return Err(PolicyError::at(format!("{path}.field"), "the whole secret is the password"));
        }
        let length = self.admin_password.generator().map(|generator| generator.text_length());
        if length.is_ok_and(|length| length > BCRYPT_LIMIT) {
            let reason = format!("makes more than {BCRYPT_LIMIT} characters; bcrypt ignores the rest");
            return Err(PolicyError::at(path, reason));
        }
        Ok(())
    }
}

impl Followup {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.settle_seconds"), self.settle_seconds, 1, 900)?;
        within(format!("{path}.failed_tasks"), self.failed_tasks, 1, 100)?;
        self.rollout.check(&format!("{path}.rollout"))?;
        self.proof.check(&format!("{path}.proof"))
    }
}

impl Polls {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.every_seconds"), self.every_seconds, 1, 300)?;
        within(format!("{path}.times"), self.times, 1, 200)
    }

    /// Whether the policy allows no poll after this one, counted from 1. The number may exceed the limit if that was
    /// lowered.
    pub fn is_last(&self, poll: u16) -> bool {
        poll >= self.times
    }

    /// Total duration of all polls, in seconds.
    pub fn seconds(&self) -> u32 {
        u32::from(self.every_seconds) * u32::from(self.times)
    }
}

impl Snapshots {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        if let Some(missing) = ENVIRONMENTS.iter().find(|name| !self.retention_days.contains_key(**name)) {
            let reason = format!("has no entry for {missing}");
            return Err(PolicyError::at(format!("{path}.retention_days"), reason));
        }
        for (environment, days) in &self.retention_days {
            within(format!("{path}.retention_days.{environment}"), *days, 1, 3650)?;
        }
        for (field, polls) in [("instance", &self.instance), ("creation", &self.creation)] {
            polls.check(&format!("{path}.{field}"))?;
            if polls.seconds() > LONGEST_WAIT_SECONDS {
                let reason = format!(
                    "every_seconds × times is {} s, expected at most {LONGEST_WAIT_SECONDS}",
                    polls.seconds()
                );
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        let (path, verify) = (format!("{path}.verify"), &self.verify);
        within(format!("{path}.creation_hours"), verify.creation_hours, 1, 48)?;
        within(format!("{path}.copy_hours"), verify.copy_hours, 1, 168)?;
        within(format!("{path}.least_percent"), verify.least_percent, 1, 100)?;
        within(format!("{path}.most_percent"), verify.most_percent, 100, 10_000)
    }
}

impl BackupAudit {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.snapshot_hours"), self.snapshot_hours, 1, 168)?;
        within(format!("{path}.point_in_time_minutes"), self.point_in_time_minutes, 1, 1440)?;
        within(format!("{path}.certificate_days"), self.certificate_days, 1, 365)?;
        within(format!("{path}.engine_support_days"), self.engine_support_days, 1, 730)?;
        within(format!("{path}.incomplete_upload_days"), self.incomplete_upload_days, 1, 365)?;
        within(format!("{path}.uploads_hours"), self.uploads_hours, 1, 720)?;
        within(format!("{path}.grafana_days"), self.grafana_days, 1, 366)?;
        if self.business_hours.from >= self.business_hours.to || self.business_hours.to > 24 {
            let reason = "expected two hours from 0 to 24, the second later than the first";
            return Err(PolicyError::at(format!("{path}.business_hours"), reason));
        }
        if window(&self.backup_window).is_none() {
            let reason = "expected two times of day in UTC, at least 30 minutes apart: 05:00-06:00";
            return Err(PolicyError::at(format!("{path}.backup_window"), reason));
        }
        for (index, account) in self.shared_with.iter().enumerate() {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                let reason = "expected the twelve digits of an account ID";
                return Err(PolicyError::at(format!("{path}.shared_with[{index}]"), reason));
            }
        }
        let expiring = &self.expiring_prefixes;
        for (bucket, prefixes) in [("attachments", &expiring.attachments), ("uploads", &expiring.uploads)] {
            for (index, prefix) in prefixes.iter().enumerate() {
                if !is_line(prefix, 1024) {
                    let reason = "expected the beginning of a key, one line of at most 1024 characters";
                    return Err(PolicyError::at(
                        format!("{path}.expiring_prefixes.{bucket}[{index}]"),
                        reason,
                    ));
                }
            }
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            if is_line(&exception.rule, 200) && !BACKUP_RULES.lines().any(|rule| rule == exception.rule) {
                let reason = format!("unknown rule {}", exception.rule);
                return Err(PolicyError::at(format!("{path}.exceptions[{index}].rule"), reason));
            }
            let fields = [
                ("rule", &exception.rule),
                ("resource", &exception.resource),
                ("reason", &exception.reason),
                ("owner", &exception.owner),
            ];
            for (field, text) in fields {
                if !is_line(text, 200) {
                    let reason = "expected one line of at most 200 characters";
                    return Err(PolicyError::at(format!("{path}.exceptions[{index}].{field}"), reason));
                }
            }
        }
        Ok(())
    }
}

/// Start and end of an RDS window `hh:mm-hh:mm`, in minutes of the day; none if it is malformed or shorter than the
/// half hour that RDS requires.
pub fn window(text: &str) -> Option<(u16, u16)> {
    let minute = |time: &str| {
        let (hour, minute) = time.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        let is_written_out = time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        (time.len() == 5 && is_written_out && hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    ((to + 1440 - from) % 1440 >= 30).then_some((from, to))
}

impl Responsible {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        for (field, team) in [("primary", &self.primary), ("backup", &self.backup)] {
            if !is_line(team, 100) {
                let reason = "expected the name of a team, one line of at most 100 characters";
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        Ok(())
    }
}

impl Database {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        self.password.check(&format!("{path}.password"))?;
        if self.password.field.is_some() {
            let reason = "the password's fields are found in the secret itself";
            return Err(PolicyError::at(format!("{path}.password.field"), reason));
        }
        check_test_sql(&format!("{path}.test_sql"), &self.test_sql)
    }
}

fn check_test_sql(path: &str, statements: &[String]) -> Result<(), PolicyError> {
    if statements.is_empty() {
        return Err(PolicyError::at(
            path,
            "expected at least one statement: without any, nothing would be proved",
        ));
    }
    for (place, statement) in statements.iter().enumerate() {
        one_statement(statement).map_err(|reason| PolicyError::at(format!("{path}[{place}]"), reason))?;
    }
    Ok(())
}

/// Rejects statements that could end the proof's transaction and thereby keep its writes. PostgreSQL itself rejects
/// several statements in one text, in the protocol that the proof uses.
fn one_statement(text: &str) -> Result<(), String> {
    let keyword: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    match keyword.to_ascii_uppercase().as_str() {
        "" => Err("expected an SQL statement that begins with its keyword".to_owned()),
        keyword @ ("ABORT" | "BEGIN" | "COMMIT" | "END" | "PREPARE" | "RELEASE" | "ROLLBACK"
        | "SAVEPOINT" | "START") => Err(format!(
            "{keyword} controls the transaction, but the proof must run in one that is rolled back"
        )),
        _ => Ok(()),
    }
}

impl Random {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        self.generator().map_err(|error| PolicyError::at(format!("{path}.{}", error.path), error.reason))?;
        Ok(())
    }

    /// The rule for generating the value.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the field's name relative to this entry, if fields contradict each other, or the value
    /// would be shorter than `min_length` or have fewer than 128 bits of randomness.
    pub fn generator(&self) -> Result<Generator, PolicyError> {
        let generator = match (self.bytes, self.encoding, self.length, &self.alphabet) {
            (Some(bytes), Some(encoding), None, None) => {
                within("bytes", bytes, 1, 1024)?;
                Generator::Bytes { bytes, encoding }
            }
            (None, None, Some(length), Some(alphabet)) => {
                within("length", length, 1, 4096)?;
                let mut characters: Vec<char> = alphabet.chars().collect();
                characters.sort_unstable();
                if let Some(bad) = characters.iter().position(|c| !matches!(c, ' '..='~')) {
                    return Err(PolicyError::at(
                        "alphabet",
                        format!("character {} is not printable ASCII", bad + 1),
                    ));
                }
                if characters.windows(2).any(|pair| pair.first() == pair.last()) {
                    return Err(PolicyError::at(
                        "alphabet",
                        "a character appears twice, which would make it more likely",
                    ));
                }
                Generator::Characters { length, alphabet: alphabet.clone() }
            }
            (Some(_), None, None, None) => return Err(PolicyError::at("encoding", "required with bytes")),
            (None, Some(_), None, None) => return Err(PolicyError::at("bytes", "required with encoding")),
            (None, None, Some(_), None) => return Err(PolicyError::at("alphabet", "required with length")),
            (None, None, None, Some(_)) => return Err(PolicyError::at("length", "required with alphabet")),
            _ => {
                return Err(PolicyError::at(
                    "bytes",
                    "give either bytes and encoding, or length and alphabet",
                ));
            }
        };
        let size = match generator {
            Generator::Bytes { .. } => "bytes",
            Generator::Characters { .. } => "length",
        };
        if generator.bits() < MIN_BITS {
            let reason =
                format!("{:.0} bits of randomness, expected at least {MIN_BITS}", generator.bits().floor());
            return Err(PolicyError::at(size, reason));
        }
        if generator.text_length() < usize::from(self.min_length) {
            let reason = format!(
                "makes {} characters, but the consumer's min_length is {}",
                generator.text_length(),
                self.min_length
            );
            return Err(PolicyError::at(size, reason));
        }
        Ok(generator)
    }
}

impl Generator {
    /// Length of every value of this rule, in characters.
    pub fn text_length(&self) -> usize {
        match self {
            Self::Bytes { bytes, encoding } => {
                let bytes = usize::from(*bytes);
                match encoding {
                    Encoding::Base64 => bytes.div_ceil(3) * 4,
                    Encoding::Base64url => (bytes * 4).div_ceil(3),
                    Encoding::Hex => bytes * 2,
                }
            }
            Self::Characters { length, .. } => usize::from(*length),
        }
    }

    /// Randomness of a value, in bits.
    fn bits(&self) -> f64 {
        match self {
            Self::Bytes { bytes, .. } => f64::from(*bytes) * 8.0,
            Self::Characters { length, alphabet } => {
                let size = u8::try_from(alphabet.len()).map_or(1.0, f64::from).max(1.0);
                f64::from(*length) * size.log2()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_field_by_field() {
        let changed = |before: &str, after: &str| -> Vec<String> {
            let of = |text: &str| effective(&serde_json::from_str(text).unwrap()).unwrap();
            changes(&of(before), &of(after)).iter().map(ToString::to_string).collect()
        };
        assert_eq!(changed("{}", "{}"), [""; 0]);
        assert_eq!(
            changed(
                "{}",
                r#"{"incidents": {"update_minutes": 15}, "backups": {"audit": {"grafana_days": 7}}}"#
            ),
            ["backups.audit.grafana_days: 31 → 7", "incidents.update_minutes: 30 → 15"]
        );
        let accepted =
            |rule: &str| format!(r#"{{"backups": {{"audit": {{"exceptions": [{{"rule": "{rule}"}}]}}}}}}"#);
        assert_eq!(
            changed(&accepted("a"), &accepted("b")),
            [
                r#"backups.audit.exceptions[]: - {"rule":"a"}"#,
                r#"backups.audit.exceptions[]: + {"rule":"b"}"#
            ]
        );
        let zones = |list: &str| format!(r#"{{"backups": {{"audit": {{"multi_az": {list}}}}}}}"#);
        let (one, other) = (zones(r#"["dev", "prod"]"#), zones(r#"["prod", "dev"]"#));
        assert_eq!(changed(&one, &other), [r#"backups.audit.multi_az: ["dev","prod"] → ["prod","dev"]"#]);
        let secret =
            r#"{"rotation": {"secrets": {"x": {"max_age_days": 1}, "DATABASE_URL": {"roll_back": null}}}}"#;
        assert_eq!(
            changed("{}", secret),
            [
                "rotation.secrets.DATABASE_URL.roll_back: - true",
                r#"rotation.secrets.x: + {"max_age_days":1}"#
            ]
        );
    }

    #[test]
    fn the_defaults_are_the_guides_numbers() {
        let policy: Policy = "".parse().unwrap();
        let jwt = &policy.rotation.secrets["JWT_SECRET"];
        assert_eq!(jwt.max_age_days, 90);
        assert_eq!(
            jwt.random.as_ref().unwrap().generator(),
            Ok(Generator::Bytes { bytes: 48, encoding: Encoding::Base64 })
        );
        for name in [
            "NOTIFICATIONS_WEBHOOK_SECRET",
            "NOTIFICATIONS_EMAIL_SES",
            "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN",
            "SEED_ADMIN_PASSWORD",
        ] {
            assert_eq!(policy.rotation.secrets[name].max_age_days, 180);
        }
        let days: Vec<_> =
            policy.backups.retention_days.iter().map(|(name, days)| (name.as_str(), *days)).collect();
        assert_eq!(days, [("dev", 7), ("prod", 30), ("staging", 7)]);
        let snapshots = &policy.backups.snapshots;
        assert_eq!(snapshots.retention_days, policy.backups.retention_days);
        assert_eq!((snapshots.instance.seconds(), snapshots.creation.seconds()), (1200, 3600));
        let verify = Verify { creation_hours: 6, copy_hours: 12, least_percent: 50, most_percent: 200 };
        assert_eq!(snapshots.verify, verify);
        assert_eq!(policy.backups.attachment_noncurrent_days, 30);
        let audit = Audit { due_days: 14, late_hours: 24, stuck_hours: 24, unused_days: 90 };
        assert_eq!(policy.rotation.audit, audit);
        assert_eq!(policy.incidents.update_minutes, 30);
        assert_eq!(policy.incidents.support_case_minutes, 60);
        assert_eq!(policy.incidents.postmortem_business_days, 5);
    }

    #[test]
    fn every_area_of_the_guide_has_its_two_teams() {
        let policy: Policy = "".parse().unwrap();
        let teams = Area::ALL.map(|area| {
            let team = policy.responsible(area);
            (area.name(), team.primary.as_str(), team.backup.as_str())
        });
        let expected = [
            ("application", "Squad Backend", "Squad Infra"),
            ("database", "Squad Dados", "Squad Infra"),
            ("attachments", "Squad Infra", "Squad Backend"),
            ("observability", "Squad Observability", "Squad Infra"),
            ("secrets", "Squad Infra", "Squad Security"),
            ("infrastructure", "Squad Infra", "Squad Security"),
        ];
        assert_eq!(teams, expected);
        let resources = |area: Area| &policy.inventory.areas.holding(area).resources;
        let database = &resources(Area::Database)[&Kind::RdsInstance][0];
        assert_eq!(resolve(database, "moveongs", "dev"), "moveongs-dev-db");
        let service = &resources(Area::Application)[&Kind::EcsService][0];
        assert_eq!(resolve(service, "moveongs", "dev"), "moveongs-dev-cluster/moveongs-dev-api");
    }

    #[test]
    fn a_secrets_people_are_its_own_or_its_areas() {
        let policy: Policy = r#"{
            "inventory": {"areas": {"secrets": {"responsible": {"primary": "Squad Security"}}}},
            "rotation": {"secrets": {
                "reports": {"max_age_days": 30, "test_sql": ["SELECT 1"]},
                "key": {"max_age_days": 30, "responsible": {"primary": "Squad Backend", "backup": "Squad Dados"}}
            }}
        }"#
        .parse()
        .unwrap();
        for (key, primary) in [
            ("DATABASE_URL", "Squad Dados"),
            ("reports", "Squad Dados"),
            ("key", "Squad Backend"),
            ("JWT_SECRET", "Squad Security"),
            ("unknown", "Squad Security"),
        ] {
            assert_eq!(policy.secret_responsible(key).primary, primary, "{key}");
        }
    }

    #[test]
    fn a_kind_without_a_name_of_its_own_has_its_id_or_address() {
        for (kind, name, is_one) in [
            (Kind::EfsFileSystem, "fs-0123456789abcdef0", true),
            (Kind::EfsFileSystem, "uploads", false),
            (Kind::GrafanaWorkspace, "g-0123456789", true),
            (Kind::GrafanaWorkspace, "ws-0123", false),
            (Kind::PrometheusWorkspace, "ws-01234567-89ab-cdef-0123-456789abcdef", true),
            (Kind::PrometheusWorkspace, "ws-", false),
            (Kind::Url, "https://grafana.{project}.example.org:3000/d", true),
            (Kind::Url, "http://10.0.0.7:9090", true),
            (Kind::Url, "grafana.example.org", false),
            (Kind::Url, "https://", false),
            (Kind::Url, "https://user:password@grafana.example.org", false),
            (Kind::Url, "https://grafana.example.org/?token=x", false),
        ] {
            assert_eq!(kind.check(name).is_ok(), is_one, "{kind:?} {name}");
        }
    }

    #[test]
    fn a_wrong_inventory_is_refused_with_the_path() {
        let area =
            |area: &str, patch: &str| format!(r#"{{"inventory": {{"areas": {{"{area}": {patch}}}}}}}"#);
        let listed = |kind: &str, name: &str| {
            area("secrets", &format!(r#"{{"resources": {{"{kind}": ["a", "{name}"]}}}}"#))
        };
        let path = "inventory.areas.secrets";
        refused(&area("secrets", "null"), "inventory.areas", "missing field");
        refused(&area("billing", "{}"), "inventory.areas.billing", "unknown field");
        refused(
            &area("secrets", r#"{"responsible": {"backup": " "}}"#),
            &format!("{path}.responsible.backup"),
            "name of a team",
        );
        refused(
            &area("secrets", r#"{"responsible": {"primary": null}}"#),
            &format!("{path}.responsible"),
            "missing field",
        );
        refused(&listed("lambda", "b"), &format!("{path}.resources.?"), "unknown variant `lambda`");
        for name in ["", " ", "a b", "{region}-b", "{project", "b}", "é", "*"] {
            refused(
                &listed("secret", name),
                &format!("{path}.resources.secret[1]"),
                "expected a resource's name",
            );
        }
        for kind in ["ecs-cluster", "rds-cluster", "rds-instance", "s3-bucket"] {
            refused(&listed(kind, "b/c"), &format!("{path}.resources.{kind}[1]"), "without a slash");
        }
        let service =
            |name: &str| area("secrets", &format!(r#"{{"resources": {{"ecs-service": ["{name}"]}}}}"#));
        for name in ["api", "/api", "cluster/", "a/b/c"] {
            refused(&service(name), &format!("{path}.resources.ecs-service[0]"), "expected cluster/service");
        }
        refused(
            &listed("secret", "a"),
            &format!("{path}.resources.secret[1]"),
            "also listed at inventory.areas.secrets.resources.secret[0]",
        );
        for kind in ["snapshot", "rds:", ":snapshot", "rds:db:x", "rds:*"] {
            refused(
                &format!(r#"{{"inventory": {{"untracked": ["{kind}"]}}}}"#),
                "inventory.untracked[0]",
                "as in an ARN",
            );
        }
    }

    #[test]
    fn an_override_replaces_adds_and_removes() {
        let policy: Policy = r#"{"rotation": {"secrets": {
            "JWT_SECRET": {"max_age_days": 30},
            "NOTIFICATIONS_WEBHOOK_SECRET": null,
            "moveongs-dev-reports": {"max_age_days": 365, "random": {"length": 40, "alphabet": "abcdefghijkmnpqrstuvwxyz23456789"}}
        }}}"#
        .parse()
        .unwrap();
        let secrets = &policy.rotation.secrets;
        assert_eq!(
            secrets.keys().collect::<Vec<_>>(),
            [
                "DATABASE_URL",
                "JWT_SECRET",
                "NOTIFICATIONS_EMAIL_SES",
                "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN",
                "SEED_ADMIN_PASSWORD",
                "moveongs-dev-reports"
            ]
        );
        assert_eq!(secrets["JWT_SECRET"].max_age_days, 30);
        assert_eq!(secrets["JWT_SECRET"].random.as_ref().unwrap().bytes, Some(48));
    }

    #[track_caller]
    fn refused(overrides: &str, path: &str, reason: &str) {
        let error = overrides.parse::<Policy>().unwrap_err();
        assert_eq!(error.path, path, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }

    #[track_caller]
    fn refused_jwt(random: &str, field: &str, reason: &str) {
        let overrides = format!(r#"{{"rotation": {{"secrets": {{"JWT_SECRET": {{"random": {random}}}}}}}}}"#);
        refused(&overrides, &format!("rotation.secrets.JWT_SECRET.random.{field}"), reason);
    }

    #[test]
    fn a_wrong_policy_is_refused_with_the_path() {
        refused("{", ".", "EOF");
        refused("[]", ".", "expected a JSON object");
        refused(r#"{"rotations": {}}"#, "rotations", "unknown field");
        refused(r#"{"incidents": {"update_minutes": "30"}}"#, "incidents.update_minutes", "expected u16");
        refused(
            r#"{"incidents": {"update_minutes": 0}}"#,
            "incidents.update_minutes",
            "expected 1 to 1440, found 0",
        );
        refused(r#"{"incidents": {"update_minutes": null}}"#, "incidents", "missing field");
        refused(
            r#"{"backups": {"retention_days": {"prod": 36}}}"#,
            "backups.retention_days.prod",
            "expected 1 to 35",
        );
        refused(
            r#"{"rotation": {"secrets": {"JWT_SECRET": {"max_age_days": 1000}}}}"#,
            "rotation.secrets.JWT_SECRET.max_age_days",
            "expected 1 to 999",
        );
        let iam = |key: &str, value: &str| {
            format!(r#"{{"rotation": {{"secrets": {{"{key}": {{"iam_login": {value}}}}}}}}}"#)
        };
        for value in [r#""""#, r#""*""#, r#""Moveongs""#, r#""arn:aws:rds:x""#] {
            refused(&iam("DATABASE_URL", value), "rotation.secrets.DATABASE_URL.iam_login", "RDS instance");
        }
        refused(&iam("DATABASE_URL", "true"), "rotation.secrets.DATABASE_URL.iam_login", "invalid type");
        let jwt = iam("JWT_SECRET", r#""moveongs-dev-db""#);
        refused(&jwt, "rotation.secrets.JWT_SECRET.iam_login", "only a database login");
        for (field, value) in [("due_days", 0), ("due_days", 91), ("late_hours", 169), ("stuck_hours", 0)] {
            let overrides = format!(r#"{{"rotation": {{"audit": {{"{field}": {value}}}}}}}"#);
            refused(&overrides, &format!("rotation.audit.{field}"), "expected 1 to");
        }
        for (patch, field) in [
            (r#"{"settle_seconds": 0}"#, "settle_seconds"),
            (r#"{"settle_seconds": 901}"#, "settle_seconds"),
            (r#"{"failed_tasks": 101}"#, "failed_tasks"),
            (r#"{"rollout": {"every_seconds": 301}}"#, "rollout.every_seconds"),
            (r#"{"proof": {"times": 0}}"#, "proof.times"),
        ] {
            let patch = format!(r#"{{"rotation": {{"followup": {patch}}}}}"#);
            refused(&patch, &format!("rotation.followup.{field}"), "expected 1 to");
        }
        for (patch, field, reason) in [
            (r#"{"retention_days": {"prod": 0}}"#, "retention_days.prod", "expected 1 to 3650"),
            (r#"{"instance": {"every_seconds": 0}}"#, "instance.every_seconds", "expected 1 to 300"),
            (r#"{"creation": {"times": 201}}"#, "creation.times", "expected 1 to 200"),
            (r#"{"verify": {"creation_hours": 49}}"#, "verify.creation_hours", "expected 1 to 48"),
            (r#"{"verify": {"copy_hours": 0}}"#, "verify.copy_hours", "expected 1 to 168"),
            (r#"{"verify": {"least_percent": 101}}"#, "verify.least_percent", "expected 1 to 100"),
            (r#"{"verify": {"most_percent": 99}}"#, "verify.most_percent", "expected 100 to 10000"),
            (
                r#"{"creation": {"every_seconds": 300, "times": 73}}"#,
                "creation",
                "21900 s, expected at most 21600",
            ),
        ] {
            let patch = format!(r#"{{"backups": {{"snapshots": {patch}}}}}"#);
            refused(&patch, &format!("backups.snapshots.{field}"), reason);
        }
        let longest = r#"{"backups": {"snapshots": {"creation": {"every_seconds": 300, "times": 72}}}}"#;
        assert!(longest.parse::<Policy>().is_ok());
        let audit = r#"{"rotation": {"audit": {"unused_days": 1}}}"#;
        refused(audit, "rotation.audit.unused_days", "expected 2 to 999");
        refused(r#"{"rotation": {"responsible": {}}}"#, "rotation.responsible", "unknown field");
        refused(
            r#"{"rotation": {"secrets": {"JWT_SECRET": {"responsible": {"primary": "a", "backup": "b\nc"}}}}}"#,
            "rotation.secrets.JWT_SECRET.responsible.backup",
            "one line",
        );
        refused_jwt(r#"{"bites": 4}"#, "bites", "unknown field");
        refused_jwt(r#"{"encoding": "base32"}"#, "encoding", "unknown variant");
        refused_jwt(r#"{"encoding": null}"#, "encoding", "required with bytes");
        refused_jwt(r#"{"bytes": null}"#, "bytes", "required with encoding");
        refused_jwt(r#"{"length": 40}"#, "bytes", "either");
        refused_jwt(r#"{"bytes": 15}"#, "bytes", "120 bits");
        refused_jwt(r#"{"bytes": 16}"#, "bytes", "makes 24 characters, but the consumer's min_length is 32");
        refused_jwt(r#"{"min_length": 31}"#, "min_length", "expected 32 to");
        refused_jwt(r#"{"bytes": null, "encoding": null, "length": 40}"#, "alphabet", "required with length");
        refused_jwt(
            r#"{"bytes": null, "encoding": null, "alphabet": "ab"}"#,
            "length",
            "required with alphabet",
        );
        refused_jwt(
            r#"{"bytes": null, "encoding": null, "length": 200, "alphabet": "abca"}"#,
            "alphabet",
            "twice",
        );
        refused_jwt(
            r#"{"bytes": null, "encoding": null, "length": 200, "alphabet": "aé"}"#,
            "alphabet",
            "ASCII",
        );
        refused_jwt(
            r#"{"bytes": null, "encoding": null, "length": 127, "alphabet": "01"}"#,
            "length",
            "127 bits",
        );
        refused_jwt(r#"{"bytes": null, "encoding": null, "length": 40, "alphabet": ""}"#, "length", "0 bits");
    }

    #[track_caller]
    fn refused_sql(statements: &str, place: &str, reason: &str) {
        let generic = format!(r#"{{"rotation": {{"database": {{"test_sql": {statements}}}}}}}"#);
        refused(&generic, &format!("rotation.database.test_sql{place}"), reason);
        let own =
            format!(r#"{{"rotation": {{"secrets": {{"DATABASE_URL": {{"test_sql": {statements}}}}}}}}}"#);
        refused(&own, &format!("rotation.secrets.DATABASE_URL.test_sql{place}"), reason);
    }

    #[test]
    fn a_proof_that_could_keep_what_it_writes_is_refused() {
        refused_sql("[]", "", "nothing would be proved");
        for statement in
            ["COMMIT", "  commit", "End", "ROLLBACK", "abort", "begin;", "START TRANSACTION", "SAVEPOINT a"]
        {
            let keyword = statement.trim().split([' ', ';']).next().unwrap().to_ascii_uppercase();
            refused_sql(&format!(r#"["SELECT 1", "{statement}"]"#), "[1]", &keyword);
        }
        refused_sql(r#"["RELEASE a"]"#, "[0]", "RELEASE");
        refused_sql(r#"["PREPARE TRANSACTION 'a'"]"#, "[0]", "PREPARE");
        refused_sql(r#"["/* sly */ COMMIT"]"#, "[0]", "begins with its keyword");
        refused_sql(r#"["-- sly\nCOMMIT"]"#, "[0]", "begins with its keyword");
        refused_sql(r#"[""]"#, "[0]", "begins with its keyword");
        let path = "rotation.database.password";
        refused(
            r#"{"rotation": {"database": {"password": {"length": 12}}}}"#,
            &format!("{path}.length"),
            "bits",
        );
        refused(
            r#"{"rotation": {"database": {"password": {"field": "a"}}}}"#,
            &format!("{path}.field"),
            "found in the secret",
        );
        let path = "rotation.external.admin_password";
        let long = r#"{"rotation": {"external": {"admin_password": {"length": 73}}}}"#;
        refused(long, path, "bcrypt ignores");
        let longest = r#"{"rotation": {"external": {"admin_password": {"length": 72}}}}"#;
        assert!(longest.parse::<Policy>().is_ok());
        let keyed = r#"{"rotation": {"external": {"admin_password": {"field": "a"}}}}"#;
        refused(keyed, &format!("{path}.field"), "whole secret");
        for hours in [0, 721] {
            let patch = format!(r#"{{"rotation": {{"external": {{"delete_after_hours": {hours}}}}}}}"#);
            refused(&patch, "rotation.external.delete_after_hours", "expected 1 to 720");
        }
        // Different words with the same beginning.
        let fine = r#"{"rotation": {"database": {"test_sql": ["SELECT 1", "endow()", "WITH a AS (SELECT 1) SELECT 2"]}}}"#;
        assert!(fine.parse::<Policy>().is_ok());
    }

    #[test]
    fn the_smallest_accepted_sizes() {
        for (random, length) in [
            (r#"{"bytes": 24}"#, 32),
            (r#"{"bytes": 16, "encoding": "hex"}"#, 32),
            (r#"{"bytes": 24, "encoding": "base64url"}"#, 32),
            (r#"{"bytes": null, "encoding": null, "length": 128, "alphabet": "01"}"#, 128),
        ] {
            let overrides =
                format!(r#"{{"rotation": {{"secrets": {{"JWT_SECRET": {{"random": {random}}}}}}}}}"#);
            let policy: Policy = overrides.parse().unwrap();
            let random = policy.rotation.secrets["JWT_SECRET"].random.clone().unwrap();
            assert_eq!(random.generator().unwrap().text_length(), length);
        }
    }

    #[test]
    fn the_numbers_of_the_backup_audit_are_refused_outside_their_ranges() {
        for (field, least, most) in [
            ("snapshot_hours", 1, 168),
            ("point_in_time_minutes", 1, 1440),
            ("certificate_days", 1, 365),
            ("engine_support_days", 1, 730),
            ("incomplete_upload_days", 1, 365),
            ("uploads_hours", 1, 720),
            ("grafana_days", 1, 366),
        ] {
            let patch = |value| format!(r#"{{"backups": {{"audit": {{"{field}": {value}}}}}}}"#);
            let expected = format!("expected {least} to {most}");
            for outside in [least - 1, most + 1] {
                refused(&patch(outside), &format!("backups.audit.{field}"), &expected);
            }
            for inside in [least, most] {
                assert!(patch(inside).parse::<Policy>().is_ok(), "{field} {inside}");
            }
        }
    }

    #[test]
    fn a_wrong_policy_of_the_backup_audit_is_refused_with_the_path() {
        let patch = |patch: &str| format!(r#"{{"backups": {{"audit": {patch}}}}}"#);
        let exception = |field: &str, value: &str| {
            let mut exception = serde_json::json!({
                "rule": "rds.public", "resource": "*", "reason": "r", "owner": "o", "until": "2026-12-31"
            });
            exception[field] = value.into();
            patch(&format!(r#"{{"exceptions": [{exception}]}}"#))
        };
        let long = "x".repeat(201);
        let place = |field: &str| format!("backups.audit.exceptions[0].{field}");
        for field in ["rule", "resource", "reason", "owner"] {
            for value in ["", " ", "a\nb", &long] {
                refused(&exception(field, value), &place(field), "one line");
            }
            let is_rule = field == "rule";
            assert_eq!(exception(field, &long[..200]).parse::<Policy>().is_ok(), !is_rule, "{field}");
        }
        refused(&exception("rule", "rds.typo"), &place("rule"), "unknown rule rds.typo");
        refused(&exception("until", "2026-02-30"), &place("until"), "");
        refused(&exception("by", "x"), &place("by"), "unknown field");
        refused(
            &patch(r#"{"exceptions": [{"rule": "rds.public", "resource": "*"}]}"#),
            "backups.audit.exceptions[0]",
            "missing field `reason`",
        );
        for (from, to) in [(8, 8), (20, 8), (8, 25)] {
            let hours = patch(&format!(r#"{{"business_hours": {{"from": {from}, "to": {to}}}}}"#));
            refused(&hours, "backups.audit.business_hours", "the second later than the first");
        }
        assert!(patch(r#"{"business_hours": {"from": 0, "to": 24}}"#).parse::<Policy>().is_ok());
        refused(&patch(r#"{"backup_window": "05:00-05:29"}"#), "backups.audit.backup_window", "30 minutes");
        for account in ["44445555666", "4444555566667", "44445555666a", "all"] {
            let accounts = patch(&format!(r#"{{"shared_with": ["444455556666", "{account}"]}}"#));
            refused(&accounts, "backups.audit.shared_with[1]", "twelve digits");
        }
        for prefix in ["", " ", "a\\nb"] {
            let prefixes = format!(r#"{{"expiring_prefixes": {{"attachments": ["tmp/", "{prefix}"]}}}}"#);
            refused(
                &patch(&prefixes),
                "backups.audit.expiring_prefixes.attachments[1]",
                "beginning of a key",
            );
        }
        for bucket in ["state", "evidence"] {
            let prefixes = format!(r#"{{"expiring_prefixes": {{"{bucket}": ["tmp/"]}}}}"#);
            let path = format!("backups.audit.expiring_prefixes.{bucket}");
            refused(&patch(&prefixes), &path, "unknown field");
        }
        refused(&patch(r#"{"multi_az": "prod"}"#), "backups.audit.multi_az", "expected a sequence");
        refused(&patch(r#"{"hours": 1}"#), "backups.audit.hours", "unknown field");
    }

    #[test]
    fn a_window_is_two_times_of_a_day_half_an_hour_apart_at_least() {
        for (text, expected) in [
            ("05:00-06:00", Some((300, 360))),
            ("05:00-05:30", Some((300, 330))),
            ("05:00-05:29", None),
            ("00:00-23:59", Some((0, 1439))),
            ("23:30-00:30", Some((1410, 30))),
            ("23:45-00:15", Some((1425, 15))),
            ("23:45-00:14", None),
            ("05:00-05:00", None),
            ("24:00-01:00", None),
            ("05:60-07:00", None),
            ("5:00-06:00", None),
            ("+5:00-06:00", None),
            ("05:+5-06:00", None),
            ("05:00", None),
            ("05:00-06:00-07:00", None),
            ("mon:05:00-mon:06:00", None),
            ("", None),
        ] {
            assert_eq!(window(text), expected, "{text}");
        }
    }
}
