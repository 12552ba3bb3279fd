//! Plans of repairs. The plan that is shown is the one that is applied.

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

/// The resource to repair, as it was read.
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

/// The template grants repairs by name. Trying others would be denied every day.
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
            // The shortest of several rules applies, so adding a longer one would change nothing.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::all;
    use crate::rules::facts::Encryption;
    use crate::rules::rds::tests::{cluster, instance, share, snapshot};
    use crate::rules::rule::tests::{context, unread};
    use crate::rules::s3::access::tests::denies_clear;
    use crate::rules::s3::tests::{bucket, whole};
    use crate::rules::terraform::tests::table;

    fn database(change: impl FnOnce(&mut Instance)) -> Target {
        let mut instance = instance();
        change(&mut instance);
        Target::Instance(Box::new(instance))
    }

    fn member(engine: &str) -> Target {
        database(|db| {
            (db.form, db.engine) = (Form::Member("moveongs-prod".to_owned()), Some(engine.to_owned()));
        })
    }

    fn of_cluster(change: impl FnOnce(&mut Instance)) -> Target {
        let mut cluster = cluster();
        change(&mut cluster);
        Target::Instance(Box::new(cluster))
    }

    fn files(change: impl FnOnce(&mut Bucket)) -> Target {
        let mut bucket = bucket(Role::Attachments);
        change(&mut bucket);
        Target::Bucket(Box::new(bucket))
    }

    fn of(role: Role) -> Target {
        Target::Bucket(Box::new(bucket(role)))
    }

    fn shared(accounts: &[&str]) -> Target {
        let mut snapshot = snapshot();
        share(&mut snapshot, accounts);
        Target::Snapshot(snapshot)
    }

    #[test]
    fn every_repair_changes_one_setting_and_shows_it() {
        let key = context().key.unwrap();
        let encrypted = format!("default encryption := aws:kms {key}");
        let rows = [
            ("rds.retention", database(|db| db.retention_days = Some(7)), "BackupRetentionPeriod := 30"),
            (
                "rds.backup-window",
                database(|db| db.backup_window = None),
                "PreferredBackupWindow := 05:00-06:00",
            ),
            (
                "rds.deletion-protection",
                database(|db| db.is_protected = Some(false)),
                "DeletionProtection := true",
            ),
            ("rds.public", database(|db| db.is_public = Some(true)), "PubliclyAccessible := false"),
            ("rds.copy-tags", database(|db| db.copies_tags = Some(false)), "CopyTagsToSnapshot := true"),
            (
                "rds.minor-upgrades",
                database(|db| db.upgrades = Some(false)),
                "AutoMinorVersionUpgrade := true",
            ),
            ("rds.snapshot-public", shared(&["all", "777788889999"]), "restore: removed all"),
            (
                "rds.snapshot-shared",
                shared(&["all", "444455556666", "777788889999"]),
                "restore: removed 777788889999",
            ),
            ("s3.versioning", files(|bucket| bucket.versioning = Ok(None)), "Versioning := Enabled"),
            (
                "s3.noncurrent",
                files(|bucket| bucket.lifecycle = Ok(Vec::new())),
                "lifecycle: added NoncurrentDays 30",
            ),
            (
                "s3.incomplete-uploads",
                files(|bucket| bucket.lifecycle = Ok(vec![whole(None, Some(30))])),
                "lifecycle: added DaysAfterInitiation 7",
            ),
            (
                "s3.public-access-block",
                files(|bucket| bucket.open = Ok(vec!["BlockPublicAcls"])),
                "public access block := all four",
            ),
            (
                "s3.encryption",
                files(|bucket| {
                    bucket.encryption = Ok(Some(Encryption { algorithm: "AES256".into(), key: None }))
                }),
                &encrypted,
            ),
            ("s3.tls-only", files(|bucket| bucket.policy = Ok(None)), "bucket policy: added OnlyOverTls"),
            ("terraform.lock-recovery", Target::Table(table()), "PointInTimeRecovery := enabled"),
            ("terraform.lock-protection", Target::Table(table()), "DeletionProtectionEnabled := true"),
        ];
        let planned: Vec<_> = rows.iter().map(|(rule, ..)| *rule).collect();
        assert_eq!(planned, REPAIRS);
        for (rule, target, change) in &rows {
            let planned = plan(rule, target, &context()).unwrap();
            assert_eq!(planned.to_string(), *change, "{rule}");
        }
    }

    #[test]
    fn a_cluster_is_changed_as_a_cluster() {
        let change = plan("rds.retention", &of_cluster(|db| db.retention_days = Some(1)), &context());
        let setting = Setting::Retention(30);
        assert_eq!(change, Ok(Change::Cluster { name: "moveongs-prod".to_owned(), setting }));
        for rule in ["rds.backup-window", "rds.deletion-protection", "rds.copy-tags"] {
            let change = plan(rule, &of_cluster(|_| ()), &context()).unwrap();
            assert!(matches!(change, Change::Cluster { .. }), "{change}");
        }
        let mut snapshot = Snapshot { is_of_cluster: true, ..snapshot() };
        share(&mut snapshot, &["all"]);
        let change = plan("rds.snapshot-public", &Target::Snapshot(snapshot), &context()).unwrap();
        assert!(
            matches!(&change, Change::UnshareCluster { accounts, .. } if accounts == &["all"]),
            "{change}"
        );
        for (rule, target, reason) in [
            ("rds.public", of_cluster(|_| ()), "does not apply to this kind"),
            ("rds.minor-upgrades", of_cluster(|_| ()), "does not apply to this kind"),
            ("rds.copy-tags", of_cluster(|db| db.name = "moveongs-production".into()), "may not change"),
            ("rds.copy-tags", of_cluster(|db| db.status = Some("stopped".into())), "is stopped"),
        ] {
            let refused = plan(rule, &target, &context()).unwrap_err();
            assert!(refused.contains(reason), "{rule}: {refused}");
        }
    }

    /// tests/cases/08: RDS only accepts the value that AWS Backup has set.
    #[test]
    fn settings_that_aws_backup_owns_are_only_changed_in_its_plan() {
        let case = include_str!("../../../../tests/cases/08-rds-instance-owned-by-aws-backup.json");
        let case: Value = serde_json::from_str(case).unwrap();
        let point = case["AwsBackupRecoveryPointArn"].as_str().unwrap();
        for rule in ["rds.retention", "rds.backup-window"] {
            let owned = database(|db| {
                (db.retention_days, db.recovery_point) = (Some(8), Some(point.to_owned()));
            });
            let refused = plan(rule, &owned, &context()).unwrap_err();
            assert!(refused.contains(point) && refused.contains("plan"), "{refused}");
        }
        let owned = database(|db| db.recovery_point = Some(point.to_owned()));
        assert!(plan("rds.copy-tags", &owned, &context()).is_ok());
    }

    #[test]
    fn a_full_lifecycle_gets_no_rule() {
        for (rule, others, is_refused) in [
            ("s3.noncurrent", 999, false),
            ("s3.noncurrent", 1000, true),
            ("s3.incomplete-uploads", 999, false),
            ("s3.incomplete-uploads", 1000, true),
        ] {
            let full = files(|bucket| {
                let ours = Lifecycle { is_ours: true, ..whole(None, None) };
                let others = (0..others).map(|_| whole(None, None));
                bucket.lifecycle = Ok(others.chain([ours]).collect());
            });
            let planned = plan(rule, &full, &context());
            assert_eq!(planned.is_err(), is_refused, "{rule} {others}: {planned:?}");
        }
        for rule in ["s3.noncurrent", "s3.incomplete-uploads"] {
            let dark = plan(rule, &files(|bucket| bucket.lifecycle = unread()), &context());
            assert!(dark.is_err(), "{rule}: {dark:?}");
        }
    }

    #[test]
    fn every_repair_belongs_to_a_rule() {
        for rule in REPAIRS {
            assert!(all().any(|meta| meta.id == *rule), "{rule}");
        }
    }

    #[test]
    fn a_harmful_or_useless_repair_is_refused_with_the_reason() {
        let mut unseen = snapshot();
        unseen.shared_with = unread();
        let days = |days, pending| {
            database(|db| (db.retention_days, db.pending_retention_days) = (Some(days), pending))
        };
        for (rule, target, reason) in [
            ("rds.public", member("postgres"), "restore it as"),
            (
                "rds.public",
                database(|db| (db.form, db.engine) = (Form::Member("moveongs-prod".to_owned()), None)),
                "has no Engine",
            ),
            ("rds.minor-upgrades", member("mysql"), "change the cluster moveongs-prod"),
            ("rds.public", database(|db| db.status = Some("modifying".into())), "is modifying"),
            ("rds.public", database(|db| db.status = Some("stopped".into())), "is stopped"),
            ("rds.public", database(|db| db.status = None), "is ?"),
            ("rds.retention", days(0, None), "restarts the instance"),
            ("rds.retention", days(7, Some(30)), "not applied it yet"),
            ("rds.encryption", database(|_| ()), "does not apply to this kind"),
            (
                "rds.backup-window",
                database(|db| db.maintenance_window = Some("sun:05:30-sun:06:00".into())),
                "overlaps the maintenance window sun:05:30-sun:06:00",
            ),
            ("rds.public", database(|db| db.name = "legacy".into()), "may not change legacy"),
            (
                "rds.snapshot-public",
                Target::Snapshot(Snapshot { name: "legacy-1".into(), ..snapshot() }),
                "may not change legacy-1",
            ),
            ("s3.versioning", of(Role::Other), "may not change"),
            ("s3.tls-only", of(Role::Evidence), "may not change"),
            ("s3.encryption", of(Role::Uploads), "kms:GenerateDataKey"),
            (
                "s3.versioning",
                files(|bucket| bucket.elsewhere = Some("sa-east-1".into())),
                "the bucket is in sa-east-1",
            ),
            ("rds.snapshot-shared", Target::Snapshot(unseen), "AccessDenied"),
            ("rds.snapshot-encryption", shared(&[]), "does not apply to this kind"),
            (
                "s3.noncurrent",
                files(|bucket| bucket.lifecycle = Ok(vec![whole(Some(29), None)])),
                "deletes old versions earlier",
            ),
            ("s3.noncurrent", files(|bucket| bucket.lifecycle = unread()), "AccessDenied"),
            ("s3.tls-only", files(|bucket| bucket.policy = unread()), "AccessDenied"),
            ("s3.tls-only", files(|bucket| bucket.policy = Ok(Some("{".into()))), "not JSON"),
            ("s3.tls-only", files(|bucket| bucket.policy = Ok(Some("{}".into()))), "no statement"),
            ("s3.replication", files(|_| ()), "does not apply to this kind"),
            ("terraform.lock", Target::Table(table()), "does not apply to this kind"),
        ] {
            let refused = plan(rule, &target, &context()).unwrap_err();
            assert!(refused.contains(reason), "{rule}: {refused}");
        }
        for role in [Role::Attachments, Role::Uploads, Role::State, Role::Grafana] {
            assert!(plan("s3.versioning", &of(role), &context()).is_ok(), "{role:?}");
        }
        // Members of an Aurora cluster have these settings of their own.
        for rule in ["rds.public", "rds.minor-upgrades"] {
            let change = plan(rule, &member("aurora-mysql"), &context()).unwrap();
            assert!(matches!(change, Change::Instance { .. }), "{change}");
        }
        let own_instance = Context { database: "legacy", ..context() };
        let legacy = database(|db| db.name = "legacy".into());
        assert!(plan("rds.public", &legacy, &own_instance).is_ok());
        let own = Lifecycle { is_ours: true, ..whole(Some(29), None) };
        assert!(
            plan("s3.noncurrent", &files(|bucket| bucket.lifecycle = Ok(vec![own.clone()])), &context())
                .is_ok()
        );
        let unknown = Context { key: None, retention_days: None, ..context() };
        let refused = |rule, target| plan(rule, &target, &unknown).unwrap_err();
        assert!(refused("s3.encryption", files(|_| ())).contains("AppKmsKeyArn"));
        assert!(refused("rds.retention", days(7, None)).contains("does not list the environment"));
    }

    #[test]
    fn a_pending_shorter_retention_and_a_longer_or_disabled_lifecycle_rule_stop_no_repair() {
        for (days, pending, expected) in [(7, 29, 30), (30, 0, 30), (35, 7, 35), (35, 0, 35)] {
            let waits =
                database(|db| (db.retention_days, db.pending_retention_days) = (Some(days), Some(pending)));
            let planned = plan("rds.retention", &waits, &context()).unwrap().to_string();
            assert_eq!(planned, format!("BackupRetentionPeriod := {expected}"));
        }
        for rules in [
            vec![],
            vec![whole(Some(30), None)],
            vec![{
                let mut short = whole(Some(1), None);
                short.is_enabled = false;
                short
            }],
        ] {
            let target = files(|bucket| bucket.lifecycle = Ok(rules.clone()));
            assert!(plan("s3.noncurrent", &target, &context()).is_ok(), "{rules:?}");
        }
    }

    #[test]
    fn a_bucket_policy_keeps_its_statements_and_a_second_repair_changes_nothing() {
        let theirs = json!({
            "Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"
        });
        let ours = json!({"Sid": "OnlyOverTls", "Effect": "Deny"});
        for (policy, kept) in [
            (None, 0),
            (Some(json!({"Version": "2012-10-17", "Id": "p", "Statement": [theirs]})), 1),
            (Some(json!({"Version": "2012-10-17", "Statement": theirs})), 1),
            (Some(json!({"Version": "2012-10-17", "Statement": [ours, theirs]})), 1),
            (Some(json!({"Version": "2012-10-17", "Statement": ours})), 0),
        ] {
            let before = policy.as_ref().map(ToString::to_string);
            let name = "moveongs-prod-attachments";
            let once = with_tls(before.as_deref(), name).unwrap();
            assert!(denies_clear(&once), "{once}");
            let after: Value = serde_json::from_str(&once).unwrap();
            let statements = after["Statement"].as_array().unwrap();
            assert_eq!(statements.iter().filter(|statement| **statement == theirs).count(), kept);
            assert_eq!(statements.len(), kept + 1, "{once}");
            if let Some(policy) = policy {
                assert_eq!(after["Id"], policy["Id"]);
            }
            assert_eq!(with_tls(Some(&once), name), Ok(once));
        }
    }

    #[test]
    fn the_evidence_has_the_state_or_the_reason() {
        for (verdict, expected) in [
            (Verdict::Pass, "holds"),
            (Verdict::fail("Versioning Suspended", "Enabled"), "Versioning Suspended"),
            (Verdict::Unknown("x:Get failed".to_owned()), "unknown: x:Get failed"),
        ] {
            assert_eq!(described(&verdict), expected);
        }
    }
}
