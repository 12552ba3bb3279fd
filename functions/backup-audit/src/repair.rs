//! What a repair changes. No I/O: the same plan is shown and applied.

use std::fmt;

use crate::facts::{Bucket, Instance, Snapshot, Table};
use crate::rules::rds::strangers;
use crate::rules::s3::tls_statement;
use crate::rules::{Context, Verdict};

/// One setting of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Setting {
    Retention(i32),
    Window(String),
    Protection,
    Private,
    CopyTags,
    Upgrades,
}

/// What is changed; its text stands in the evidence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Instance { name: String, setting: Setting },
    Unshare { name: String, accounts: Vec<String> },
    Versioning { bucket: String },
    Lifecycle { bucket: String, noncurrent: Option<i32>, incomplete: Option<i32> },
    Close { bucket: String },
    Encrypt { bucket: String, key: String },
    Policy { bucket: String, document: String },
    Recovery { table: String },
    Protect { table: String },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance { setting, .. } => match setting {
                Setting::Retention(days) => write!(f, "BackupRetentionPeriod := {days}"),
                Setting::Window(window) => write!(f, "PreferredBackupWindow := {window}"),
                Setting::Protection => f.write_str("DeletionProtection := true"),
                Setting::Private => f.write_str("PubliclyAccessible := false"),
                Setting::CopyTags => f.write_str("CopyTagsToSnapshot := true"),
                Setting::Upgrades => f.write_str("AutoMinorVersionUpgrade := true"),
            },
            Self::Unshare { accounts, .. } => write!(f, "restore: removed {}", accounts.join(", ")),
            Self::Versioning { .. } => f.write_str("Versioning := Enabled"),
            Self::Lifecycle { noncurrent, incomplete, .. } => {
                let noncurrent = noncurrent.map(|days| format!("NoncurrentDays {days}"));
                let incomplete = incomplete.map(|days| format!("DaysAfterInitiation {days}"));
                let parts: Vec<_> = noncurrent.into_iter().chain(incomplete).collect();
                write!(f, "lifecycle: added {}", parts.join(", "))
            }
            Self::Close { .. } => f.write_str("public access block := all four"),
            Self::Encrypt { key, .. } => write!(f, "default encryption := aws:kms {key}"),
            Self::Policy { .. } => f.write_str("bucket policy: added OnlyOverTls"),
            Self::Recovery { .. } => f.write_str("PointInTimeRecovery := enabled"),
            Self::Protect { .. } => f.write_str("DeletionProtectionEnabled := true"),
        }
    }
}

/// The resource that a repair is for, as it was read.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Instance(Box<Instance>),
    Snapshot(Snapshot),
    Bucket(Box<Bucket>),
    Table(Table),
}

/// Rules that have a repair.
pub(crate) const REPAIRS: &[&str] = &[
    "rds.retention",
    "rds.backup-window",
    "rds.deletion-protection",
    "rds.public",
    "rds.copy-tags",
    "rds.minor-upgrades",
    "rds.snapshot-public",
    "rds.snapshot-shared",
    "s3.versioning",
    "s3.noncurrent",
    "s3.incomplete-uploads",
    "s3.public-access-block",
    "s3.encryption",
    "s3.tls-only",
    "terraform.lock-recovery",
    "terraform.lock-protection",
];

/// The change that makes a rule hold, or why nothing is changed by itself. The rule fails on the target.
pub(crate) fn plan(rule: &str, target: &Target, context: &Context<'_>) -> Result<Change, String> {
    match target {
        Target::Instance(instance) => setting(rule, instance, context)
            .map(|setting| Change::Instance { name: instance.name.clone(), setting }),
        Target::Snapshot(snapshot) => {
            let accounts = snapshot.shared_with.as_ref().map_err(ToString::to_string)?;
            let accounts = match rule {
                "rds.snapshot-public" => vec!["all".to_owned()],
                "rds.snapshot-shared" => strangers(accounts, context),
                _ => return Err(unknown(rule)),
            };
            Ok(Change::Unshare { name: snapshot.name.clone(), accounts })
        }
        Target::Bucket(bucket) => of_bucket(rule, bucket, context),
        Target::Table(table) => match rule {
            "terraform.lock-recovery" => Ok(Change::Recovery { table: table.name.clone() }),
            "terraform.lock-protection" => Ok(Change::Protect { table: table.name.clone() }),
            _ => Err(unknown(rule)),
        },
    }
}

fn unknown(rule: &str) -> String {
    format!("{rule} is not for this kind of resource")
}

fn setting(rule: &str, instance: &Instance, context: &Context<'_>) -> Result<Setting, String> {
    // RDS refuses every change of an instance that is busy, and a stopped one must be started first.
    let status = instance.status.as_deref().unwrap_or("?");
    if status != "available" {
        return Err(format!("the instance is {status}; RDS changes only one that is available"));
    }
    match rule {
        "rds.retention" => match (instance.retention_days, context.retention_days) {
            (Some(0), _) => {
                Err("automated backups are off, and RDS restarts the instance to switch them on".to_owned())
            }
            (_, None) => Err("the policy does not know the environment".to_owned()),
            (_, Some(days))
                if instance.pending_retention_days.is_some_and(|pending| pending >= i32::from(days)) =>
            {
                Err("RDS has taken the change and not applied it yet".to_owned())
            }
            (_, Some(days)) => Ok(Setting::Retention(days.into())),
        },
        "rds.backup-window" => Ok(Setting::Window(context.policy.backup_window.clone())),
        "rds.deletion-protection" => Ok(Setting::Protection),
        "rds.public" => Ok(Setting::Private),
        "rds.copy-tags" => Ok(Setting::CopyTags),
        "rds.minor-upgrades" => Ok(Setting::Upgrades),
        _ => Err(unknown(rule)),
    }
}

fn of_bucket(rule: &str, bucket: &Bucket, context: &Context<'_>) -> Result<Change, String> {
    let name = bucket.name.clone();
    match rule {
        "s3.versioning" => Ok(Change::Versioning { bucket: name }),
        "s3.public-access-block" => Ok(Change::Close { bucket: name }),
        "s3.noncurrent" => {
            let rules = bucket.lifecycle.as_ref().map_err(ToString::to_string)?;
            let least = i32::from(context.noncurrent_days);
            // S3 takes the shortest of several, so a longer rule beside it would change nothing.
            if rules
                .iter()
                .any(|rule| rule.is_enabled && rule.noncurrent_days.is_some_and(|days| days < least))
            {
                return Err(
                    "a rule of the bucket itself deletes old versions earlier; change that one".to_owned()
                );
            }
            Ok(Change::Lifecycle { bucket: name, noncurrent: Some(least), incomplete: None })
        }
        "s3.incomplete-uploads" => Ok(Change::Lifecycle {
            bucket: name,
            noncurrent: None,
            incomplete: Some(context.policy.incomplete_upload_days.into()),
        }),
        "s3.encryption" => match context.key {
            Some(key) => Ok(Change::Encrypt { bucket: name, key: key.to_owned() }),
            None => Err("the stack does not know the key: parameter AppKmsKeyArn".to_owned()),
        },
        "s3.tls-only" => {
            let policy = bucket.policy.as_ref().map_err(ToString::to_string)?;
            Ok(Change::Policy { document: with_tls(policy.as_deref(), &name)?, bucket: name })
        }
        _ => Err(unknown(rule)),
    }
}

/// A bucket policy with the statement that refuses requests without TLS; what is there stays.
fn with_tls(policy: Option<&str>, bucket: &str) -> Result<String, String> {
    let empty = r#"{"Version": "2012-10-17", "Statement": []}"#;
    let mut document: serde_json::Value = serde_json::from_str(policy.unwrap_or(empty))
        .map_err(|_| "the bucket's policy is not JSON".to_owned())?;
    let statements =
        document.get_mut("Statement").ok_or_else(|| "the bucket's policy has no statement".to_owned())?;
    let ours = tls_statement(bucket);
    let mut all = match statements.take() {
        serde_json::Value::Array(all) => all,
        one => vec![one],
    };
    all.retain(|statement| statement.get("Sid") != ours.get("Sid"));
    all.push(ours);
    *statements = serde_json::Value::Array(all);
    Ok(document.to_string())
}

/// What the evidence says of a verdict before and after a change.
pub(crate) fn described(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => "holds".to_owned(),
        Verdict::Fail { found, .. } | Verdict::Excepted { found, .. } => found.clone(),
        Verdict::Unknown(why) => format!("unknown: {why}"),
    }
}
