//! Plans of repairs. The plan that is shown is the one that is applied.

#[cfg(test)]
mod tests;

use std::fmt;

use super::facts::{Bucket, Form, Instance, Lifecycle, Role, Snapshot, Table};
use super::rds::retention::wanted_days;
use super::rds::snapshot::strangers;
use super::rds::state::is_multi_az_cluster;
use super::rds::window::conflicting_maintenance;
use super::rule::{Context, Verdict};
use super::s3::access::tls_statement;
use super::s3::lifecycle::{named, shortest};

/// A setting of a DB instance or cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Setting {
    Retention(i32),
    Window(String),
    Protection,
    Private,
    CopyTags,
    Upgrades,
}

/// A change; the evidence has its text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Instance { name: String, setting: Setting },
    Cluster { name: String, setting: Setting },
    Unshare { name: String, accounts: Vec<String> },
    UnshareCluster { name: String, accounts: Vec<String> },
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
            Self::Instance { setting, .. } | Self::Cluster { setting, .. } => match setting {
                Setting::Retention(days) => write!(f, "BackupRetentionPeriod := {days}"),
                Setting::Window(window) => write!(f, "PreferredBackupWindow := {window}"),
                Setting::Protection => f.write_str("DeletionProtection := true"),
                Setting::Private => f.write_str("PubliclyAccessible := false"),
                Setting::CopyTags => f.write_str("CopyTagsToSnapshot := true"),
                Setting::Upgrades => f.write_str("AutoMinorVersionUpgrade := true"),
            },
            Self::Unshare { accounts, .. } | Self::UnshareCluster { accounts, .. } => {
                write!(f, "restore: removed {}", accounts.join(", "))
            }
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

/// The resource to repair.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Instance(Box<Instance>),
    Snapshot(Snapshot),
    Bucket(Box<Bucket>),
    Table(Table),
}

/// Rules with a repair.
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

/// The change that makes a rule hold on a target that breaks it, or why the repair is refused.
pub(crate) fn plan(rule: &str, target: &Target, context: &Context<'_>) -> Result<Change, String> {
    match target {
        Target::Instance(instance) => {
            let name = instance.name.clone();
            let is_cluster = instance.form == Form::Cluster;
            let is_named = if is_cluster { context.is_cluster(&name) } else { context.is_named(&name) };
            if name != context.database && !is_named {
                return Err(not_granted(&name));
            }
            let setting = setting(rule, instance, context)?;
            Ok(if is_cluster {
                Change::Cluster { name, setting }
            } else {
                Change::Instance { name, setting }
            })
        }
        Target::Snapshot(snapshot) => {
            if !context.is_named(&snapshot.name) {
                return Err(not_granted(&snapshot.name));
            }
            let accounts = snapshot.shared_with.as_ref().map_err(ToString::to_string)?;
            let accounts = match rule {
                "rds.snapshot-public" => vec!["all".to_owned()],
                "rds.snapshot-shared" => strangers(accounts, context),
                _ => return Err(unknown(rule)),
            };
            let name = snapshot.name.clone();
            Ok(if snapshot.is_of_cluster {
                Change::UnshareCluster { name, accounts }
            } else {
                Change::Unshare { name, accounts }
            })
        }
        Target::Bucket(bucket) if !bucket.role.is_repaired() => Err(not_granted(&bucket.name)),
        Target::Bucket(bucket) => match &bucket.elsewhere {
            Some(region) => {
                Err(format!("the bucket is in {region}, and only the stack's region has repairs"))
            }
            None => of_bucket(rule, bucket, context),
        },
        Target::Table(table) => match rule {
            "terraform.lock-recovery" => Ok(Change::Recovery { table: table.name.clone() }),
            "terraform.lock-protection" => Ok(Change::Protect { table: table.name.clone() }),
            _ => Err(unknown(rule)),
        },
    }
}

/// The template grants repairs by name. AWS would deny others every day.
fn not_granted(name: &str) -> String {
    format!("the function's role may not change {name}")
}

fn unknown(rule: &str) -> String {
    format!("{rule} does not apply to this kind of resource")
}

fn setting(rule: &str, instance: &Instance, context: &Context<'_>) -> Result<Setting, String> {
    // RDS refuses to change a busy instance, and a stopped one must be started first.
    let status = instance.status.as_deref().unwrap_or("?");
    if status != "available" {
        return Err(format!("the database is {status}; RDS only changes an available one"));
    }
    // The cluster's kind decides where RDS changes a member.
    if matches!(instance.form, Form::Member(_)) && instance.engine.is_none() {
        return Err("AWS's answer has no Engine".to_owned());
    }
    if let Form::Member(cluster) = &instance.form
        && is_multi_az_cluster(instance)
    {
        let how = if rule == "rds.public" {
            ", and the cluster has no such setting: restore it as a new cluster".to_owned()
        } else {
            format!("; change the cluster {cluster}: run the finding's command")
        };
        return Err(format!("RDS refuses to change members of a Multi-AZ DB cluster{how}"));
    }
    let is_of_plan = ["rds.retention", "rds.backup-window"].contains(&rule);
    if let Some(point) = instance.recovery_point.as_deref().filter(|_| is_of_plan) {
        return Err(format!("AWS Backup owns the automated backups ({point}); change its plan's rule"));
    }
    match rule {
        // These settings belong to a cluster's members.
        "rds.public" | "rds.minor-upgrades" if instance.form == Form::Cluster => Err(unknown(rule)),
        "rds.retention" => match (instance.retention_days, context.retention_days) {
            (Some(0), _) => {
                Err("automated backups are off, and RDS restarts the instance to enable them".to_owned())
            }
            (_, None) => Err("the policy does not list the environment".to_owned()),
            (_, Some(days))
                if instance.pending_retention_days.is_some_and(|pending| pending >= i32::from(days)) =>
            {
                Err("RDS has accepted the change and not applied it yet".to_owned())
            }
            (_, Some(days)) => Ok(Setting::Retention(wanted_days(instance, days))),
        },
        "rds.backup-window" => match conflicting_maintenance(instance, context) {
            Some(maintenance) => Err(format!(
                "RDS refuses {}, which overlaps the maintenance window {maintenance}",
                context.policy.backup_window
            )),
            None => Ok(Setting::Window(context.policy.backup_window.clone())),
        },
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
            // The shortest of several rules applies, so adding a longer one would have no effect.
            let others: Vec<_> = rules.iter().filter(|rule| !rule.is_ours).cloned().collect();
            if let Some((rule, _)) = shortest(bucket, &others, context).filter(|(_, days)| *days < least) {
                return Err(format!(
                    "the bucket's own {} deletes old versions earlier; change that rule",
                    named(rule)
                ));
            }
            has_room(rules)?;
            Ok(Change::Lifecycle { bucket: name, noncurrent: Some(least), incomplete: None })
        }
        "s3.incomplete-uploads" => {
            let rules = bucket.lifecycle.as_ref().map_err(ToString::to_string)?;
            has_room(rules)?;
            let days = context.policy.incomplete_upload_days.into();
            Ok(Change::Lifecycle { bucket: name, noncurrent: None, incomplete: Some(days) })
        }
        "s3.encryption" if bucket.role == Role::Uploads => {
            Err("the on-prem senders may lack kms:GenerateDataKey, and their uploads would fail".to_owned())
        }
        "s3.encryption" => match context.key {
            Some(key) => Ok(Change::Encrypt { bucket: name, key: key.to_owned() }),
            None => Err("the stack does not have the key: parameter AppKmsKeyArn".to_owned()),
        },
        "s3.tls-only" => {
            let policy = bucket.policy.as_ref().map_err(ToString::to_string)?;
            Ok(Change::Policy { document: with_tls(policy.as_deref(), &name)?, bucket: name })
        }
        _ => Err(unknown(rule)),
    }
}

/// Most rules of a bucket's lifecycle (Amazon S3 User Guide, "Lifecycle configuration elements").
const MOST_RULES: usize = 1000;

fn has_room(rules: &[Lifecycle]) -> Result<(), String> {
    if rules.iter().filter(|rule| !rule.is_ours).count() < MOST_RULES {
        return Ok(());
    }
    Err(format!("the bucket has {MOST_RULES} lifecycle rules, the most that S3 allows; merge two of them"))
}

/// Adds the statement that refuses requests without TLS to a bucket policy, and keeps the other statements.
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
    let has_our_sid = |statement: &serde_json::Value| statement.get("Sid") == ours.get("Sid");
    if all.iter().any(|statement| has_our_sid(statement) && statement.get("Effect") != ours.get("Effect")) {
        return Err("the bucket's policy has an Allow statement OnlyOverTls; give it another Sid".to_owned());
    }
    all.retain(|statement| !has_our_sid(statement));
    all.push(ours);
    *statements = serde_json::Value::Array(all);
    Ok(document.to_string())
}

/// Text of a verdict in the evidence of a repair, before or after the change.
pub(crate) fn described(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => "holds".to_owned(),
        Verdict::Fail { found, .. } | Verdict::Excepted { found, .. } => found.clone(),
        Verdict::Unknown(why) => format!("unknown: {why}"),
    }
}
