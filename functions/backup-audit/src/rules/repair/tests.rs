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
        ("rds.backup-window", database(|db| db.backup_window = None), "PreferredBackupWindow := 05:00-06:00"),
        (
            "rds.deletion-protection",
            database(|db| db.is_protected = Some(false)),
            "DeletionProtection := true",
        ),
        ("rds.public", database(|db| db.is_public = Some(true)), "PubliclyAccessible := false"),
        ("rds.copy-tags", database(|db| db.copies_tags = Some(false)), "CopyTagsToSnapshot := true"),
        ("rds.minor-upgrades", database(|db| db.upgrades = Some(false)), "AutoMinorVersionUpgrade := true"),
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
    assert!(matches!(&change, Change::UnshareCluster { accounts, .. } if accounts == &["all"]), "{change}");
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
    let case = include_str!("../../../../../tests/cases/08-rds-instance-owned-by-aws-backup.json");
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
    let days =
        |days, pending| database(|db| (db.retention_days, db.pending_retention_days) = (Some(days), pending));
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
    // Members of an Aurora cluster have their own values of these settings.
    for rule in ["rds.public", "rds.minor-upgrades"] {
        let change = plan(rule, &member("aurora-mysql"), &context()).unwrap();
        assert!(matches!(change, Change::Instance { .. }), "{change}");
    }
    let own_instance = Context { database: "legacy", ..context() };
    let legacy = database(|db| db.name = "legacy".into());
    assert!(plan("rds.public", &legacy, &own_instance).is_ok());
    let own = Lifecycle { is_ours: true, ..whole(Some(29), None) };
    assert!(
        plan("s3.noncurrent", &files(|bucket| bucket.lifecycle = Ok(vec![own.clone()])), &context()).is_ok()
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
