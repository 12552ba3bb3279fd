//! The policy: one typed document with the guide's numbers as defaults, overridable per environment.
//!
//! `shared/policy.json` contains the defaults. An environment changes them with a JSON merge patch (RFC 7396: a key
//! replaces, `null` removes) in the [`Document`] that `cargo xtask policy apply` puts in the evidence bucket.
//!
//! Beside it, what `shared` and the crates without AWS both need: [`event`], [`language`], [`time`].

mod attachments;
mod backups;
pub mod calendar;
mod emergency;
pub mod event;
mod grafana;
pub mod incidents;
mod inventory;
pub mod language;
mod name;
mod onboarding;
pub mod oncall;
mod report;
mod restores;
mod rotation;
mod severity;
#[cfg(test)]
mod tests;
pub mod time;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use attachments::{Attachments, Sample};
pub use backups::{
    BackupAudit, Backups, Exception, ExpiringPrefixes, Hours, LONGEST_WAIT_SECONDS, Snapshots, Verify, window,
};
pub use emergency::{Emergency, LONGEST_EMERGENCY_SECONDS, Migration};
pub use grafana::{Accepted, Grafana};
pub use incidents::Incidents;
pub use inventory::{Area, Areas, Holding, Inventory, Kind, resolve};
pub use name::is_same_name;
pub use onboarding::{Onboarding, Shadowing, is_iam_user};
pub use report::{Prices, Report};
pub use restores::{Chain, LONGEST_RESTORE_SECONDS, MOST_PIECES, Newest, PIECE_SECONDS, Restores};
pub use rotation::{
    Audit, Database, Encoding, EndSessions, External, Followup, Generator, Polls, Random, Responsible,
    Rotation, Secret, SesFields,
};
pub use severity::Severity;

const DEFAULTS: &str = include_str!("../../policy.json");

/// Key of the [`Document`] in the evidence bucket.
pub const KEY: &str = "policy/current.json";

/// Largest accepted document, in bytes; the whole policy has a few thousand.
pub const MOST_BYTES: usize = 256 * 1024;

/// The format that this code writes and reads.
const FORMAT: u32 = 1;

/// Least length of `JWT_SECRET`: the application refuses to start with a shorter one. Source: its `env.ts`, `min(32)`.
const JWT_MIN_LENGTH: u16 = 32;

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
    /// Emergency restores (guide, 2.1 step 4).
    pub emergency: Emergency,
    /// The monthly restore test of attachments (guide, 2.2).
    pub attachments: Attachments,
    /// Restore tests (guide, 2.1 steps 3 and 4).
    pub restores: Restores,
    /// Incidents (guide, 4.2 and 4.3).
    pub incidents: Incidents,
    /// The governance page.
    pub report: Report,
    /// Onboarding (guide, 5).
    pub onboarding: Onboarding,
    /// The export of Grafana (guide, 2.3).
    pub grafana: Grafana,
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
                rotation::check_test_sql(&format!("{path}.test_sql"), statements)?;
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
        self.emergency.check("emergency")?;
        self.attachments.check("attachments")?;
        within("backups.attachment_noncurrent_days", self.backups.attachment_noncurrent_days, 1, 3650)?;
        self.restores.check("restores")?;
        self.report.check("report")?;
        self.incidents.check("incidents")?;
        self.onboarding.check("onboarding")?;
        self.grafana.check("grafana")
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
