//! A table over all rules, and the details of some. What others' tests begin with is here too: a resource of each kind on
//! which every rule holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::policy::{BackupAudit, Policy};
use shared::runtime::failure::CallError;

use super::application::{ACCOUNT, PROTECTED, SERVICE, VAULT};
use super::plans::Scheduled;
use super::plans::tests::plan;
use super::rds::{INSTANCE, SNAPSHOT, deployment, select, supported_until, unheard};
use super::s3::{BUCKET, tls_statement};
use super::terraform::TABLE;
use super::*;
use crate::facts::{
    Account, Acl, BLOCKS, Bucket, Deployment, Encryption, Form, Instance, Lifecycle, Lock, LogWatch, Newest,
    Pair, Parameter, Protected, Role, Seen, Service, Side, Snapshot, Subscription, Table, Task, Vault,
};

const DB: &str = "moveongs-prod-db";
const CLUSTER: &str = "moveongs-prod";
const FILES: &str = "moveongs-prod-attachments";
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/0b1c";
/// Nine in the morning in São Paulo.
const NOW: &str = "2026-11-26T12:00:00Z";

static POLICY: LazyLock<BackupAudit> = LazyLock::new(|| {
    audit(json!({"multi_az": ["prod"], "shared_with": ["444455556666"], "variables": ["ANTIVIRUS_*", "KEY"]}))
});

static EVIDENCE_LOCK: LazyLock<Lock> = LazyLock::new(|| Lock { mode: "GOVERNANCE".to_owned(), days: 365 });

/// The policy's numbers, with some of them changed.
fn audit(changed: serde_json::Value) -> BackupAudit {
    let policy: Policy = json!({"backups": {"audit": changed}}).to_string().parse().unwrap();
    policy.backups.audit
}

pub(crate) fn context() -> Context<'static> {
    Context {
        project: "moveongs",
        environment: "prod",
        account: "111122223333",
        policy: &POLICY,
        retention_days: Some(30),
        noncurrent_days: 30,
        key: Some(KEY),
        database: DB,
        cluster: "moveongs-prod-cluster",
        evidence_lock: &EVIDENCE_LOCK,
        attachments: FILES,
        marker: ".moveongs-sync",
        now: NOW.parse().unwrap(),
    }
}

fn ago(seconds: i64) -> Timestamp {
    context().now - SignedDuration::from_secs(seconds)
}

pub(crate) fn unread<T>() -> Seen<T> {
    let code = "AccessDenied".to_owned();
    Err(CallError { operation: "x:Get", code, message: "not authorized".to_owned() })
}

pub(crate) fn instance() -> Instance {
    Instance {
        name: DB.to_owned(),
        arn: format!("arn:aws:rds:us-east-1:111122223333:db:{DB}"),
        engine: Some("postgres".to_owned()),
        version: Some("17.2".to_owned()),
        plans: Some(Ok(vec![Arc::new(plan(json!({}), Some(35)))])),
        unheard: Some(Ok(Vec::new())),
        tls_parameter: Some(Ok(Some(reported(Some("1"))))),
        supported_until: Some(Ok(Some(ago(-400 * 24 * HOUR)))),
        deployment: Some(Ok(None)),
        status: Some("available".to_owned()),
        created: Some(ago(90 * 24 * HOUR)),
        retention_days: Some(35),
        backup_window: Some("05:00-06:00".to_owned()),
        latest_restorable: Some(ago(5 * 60)),
        is_encrypted: Some(true),
        key: Some(KEY.to_owned()),
        is_protected: Some(true),
        is_public: Some(false),
        copies_tags: Some(true),
        is_multi_az: Some(true),
        upgrades: Some(true),
        certificate_until: Some(ago(-400 * 24 * HOUR)),
        storage_gib: Some(100),
        storage_limit_gib: Some(200),
        log_exports: vec!["postgresql".to_owned()],
        parameter_groups: vec!["moveongs-prod-db".to_owned()],
        subnet_group: Some("moveongs-prod-db".to_owned()),
        newest_snapshot: Some(Ok(Some(ago(HOUR)))),
        ..Instance::default()
    }
}

/// A cluster on which every rule holds.
pub(crate) fn cluster() -> Instance {
    Instance {
        name: CLUSTER.to_owned(),
        arn: format!("arn:aws:rds:us-east-1:111122223333:cluster:{CLUSTER}"),
        form: Form::Cluster,
        engine: Some("aurora-postgresql".to_owned()),
        is_public: None,
        upgrades: None,
        certificate_until: None,
        storage_gib: None,
        storage_limit_gib: None,
        ..instance()
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        name: "moveongs-prod-20261126".to_owned(),
        arn: "arn:aws:rds:us-east-1:111122223333:snapshot:moveongs-prod-20261126".to_owned(),
        is_of_cluster: false,
        engine: Some("postgres".to_owned()),
        is_encrypted: Some(true),
        shared_with: Ok(BTreeSet::new()),
    }
}

/// A lifecycle rule for a whole bucket.
pub(crate) fn whole(noncurrent_days: Option<i32>, incomplete_days: Option<i32>) -> Lifecycle {
    Lifecycle { is_enabled: true, noncurrent_days, incomplete_days, ..Lifecycle::default() }
}

pub(crate) fn bucket(role: Role) -> Bucket {
    Bucket {
        name: FILES.to_owned(),
        role,
        elsewhere: None,
        versioning: Ok(Some("Enabled".to_owned())),
        lifecycle: Ok(vec![whole(Some(90), Some(1))]),
        open: Ok(Vec::new()),
        account_open: Ok(BLOCKS.to_vec()),
        acl: Ok(Acl {
            owner: Some("0wner".to_owned()),
            accounts: ["0wner".to_owned()].into(),
            ..Acl::default()
        }),
        encryption: Ok(Some(Encryption { algorithm: "aws:kms".to_owned(), key: Some(KEY.to_owned()) })),
        policy: Ok(Some(json!({"Statement": [tls_statement(FILES)]}).to_string())),
        lock: Some(Ok(Some(Lock { mode: "COMPLIANCE".to_owned(), days: 365 }))),
        replicates: Some(Ok(true)),
        logs: Some(Ok(true)),
        newest: Some(Ok(Newest::At(ago(HOUR)))),
    }
}

pub(crate) fn table() -> Table {
    Table {
        name: "moveongs-terraform-locks".to_owned(),
        arn: "arn:aws:dynamodb:us-east-1:111122223333:table/moveongs-terraform-locks".to_owned(),
        is_protected: Some(true),
        has_recovery: Ok(true),
    }
}

fn service() -> Service {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Service {
        name: "moveongs-prod-api".to_owned(),
        arn: "arn:aws:ecs:us-east-1:111122223333:service/moveongs-prod-cluster/moveongs-prod-api".to_owned(),
        has_circuit_breaker: Some(true),
        is_balanced: true,
        grace_seconds: Some(60),
        task: Ok(Task {
            plain: names(&["ANTIVIRUS_HOST"]),
            secret: names(&["KEY", "JWT_SECRET"]),
            role: Some("arn:aws:iam::111122223333:role/moveongs-prod-task".to_owned()),
        }),
        reads_versions: Ok(Some(true)),
    }
}

fn watched(is_alarmed: bool) -> LogWatch {
    let metric = BTreeSet::from([("moveongs/prod".to_owned(), "UnhandledErrors".to_owned())]);
    LogWatch { alarmed: if is_alarmed { metric.clone() } else { BTreeSet::new() }, counted: metric }
}

fn account() -> Account {
    Account {
        has_alarms: Ok(true),
        log_watch: Ok(watched(true)),
        has_backup_plan: Ok(true),
        has_endpoints: Ok(true),
    }
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What a row of the table is a case of.
#[derive(Clone, Copy, Debug)]
enum Case {
    Holds,
    Broken,
    /// It cannot be evaluated.
    Dark,
    /// At the boundary, or where the rule is a plain switch: at the edge of what it is for. The verdict is a word, or
    /// `-` where the rule is not for it.
    Edge(&'static str),
}
use Case::{Broken, Dark, Edge, Holds};

impl Case {
    fn word(self) -> &'static str {
        match self {
            Holds => "pass",
            Broken => "fail",
            Dark => "unknown",
            Edge(word) => word,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Holds => "holds",
            Broken => "broken",
            Dark => "dark",
            Edge(_) => "edge",
        }
    }
}

/// A rule, a case, and what makes a resource on which every rule holds into it.
type Rows<T> = &'static [(&'static str, Case, fn(&mut T))];

const INSTANCES: Rows<Instance> = &[
    ("rds.retention", Holds, |db| db.retention_days = Some(31)),
    ("rds.retention", Edge("pass"), |db| db.retention_days = Some(30)),
    ("rds.retention", Edge("fail"), |db| db.retention_days = Some(29)),
    ("rds.retention", Broken, |db| db.retention_days = Some(7)),
    ("rds.retention", Broken, |db| (db.retention_days, db.pending_retention_days) = (Some(7), Some(30))),
    ("rds.retention", Edge("pass"), |db| pending(db, 35, 30)),
    ("rds.retention", Edge("fail"), |db| pending(db, 35, 29)),
    ("rds.retention", Broken, |db| pending(db, 35, 0)),
    ("rds.retention", Dark, |db| db.retention_days = None),
    ("rds.retention", Dark, |db| (db.retention_days, db.pending_retention_days) = (None, Some(35))),
    ("rds.retention", Edge("-"), |db| (db.replica_of, db.retention_days) = (Some("db".into()), Some(0))),
    ("rds.backups-on", Holds, |_| ()),
    ("rds.backups-on", Edge("pass"), |db| db.retention_days = Some(1)),
    ("rds.backups-on", Broken, |db| db.retention_days = Some(0)),
    ("rds.backups-on", Broken, |db| pending(db, 35, 0)),
    ("rds.backups-on", Broken, |db| pending(db, 0, 7)),
    ("rds.backups-on", Edge("pass"), |db| pending(db, 35, 1)),
    ("rds.backups-on", Dark, |db| db.retention_days = None),
    ("rds.backups-on", Edge("-"), |db| (db.replica_of, db.retention_days) = (Some("db".into()), Some(0))),
    ("rds.backup-window", Holds, |_| ()),
    ("rds.backup-window", Edge("pass"), |db| db.backup_window = Some("10:30-11:00".into())),
    ("rds.backup-window", Edge("fail"), |db| db.backup_window = Some("10:31-11:01".into())),
    ("rds.backup-window", Broken, |db| db.backup_window = Some("14:00-15:00".into())),
    ("rds.backup-window", Broken, |db| db.backup_window = None),
    ("rds.backup-window", Dark, |db| db.backup_window = Some("soon".into())),
    ("rds.backup-window", Edge("-"), |db| (db.replica_of, db.backup_window) = (Some("db".into()), None)),
    ("rds.snapshot-fresh", Holds, |_| ()),
    ("rds.snapshot-fresh", Edge("pass"), |db| db.newest_snapshot = Some(Ok(Some(ago(26 * HOUR))))),
    ("rds.snapshot-fresh", Edge("fail"), |db| db.newest_snapshot = Some(Ok(Some(ago(26 * HOUR + 1))))),
    ("rds.snapshot-fresh", Broken, |db| db.newest_snapshot = Some(Ok(None))),
    ("rds.snapshot-fresh", Edge("pass"), |db| no_snapshot(db, 26 * HOUR)),
    ("rds.snapshot-fresh", Edge("fail"), |db| no_snapshot(db, 26 * HOUR + 1)),
    ("rds.snapshot-fresh", Dark, |db| (db.newest_snapshot, db.created) = (Some(Ok(None)), None)),
    ("rds.snapshot-fresh", Dark, |db| db.newest_snapshot = Some(unread())),
    ("rds.snapshot-fresh", Dark, |db| db.newest_snapshot = None),
    ("rds.snapshot-fresh", Edge("-"), |db| {
        (db.retention_days, db.newest_snapshot) = (Some(0), Some(Ok(None)))
    }),
    ("rds.snapshot-fresh", Edge("-"), |db| {
        (db.replica_of, db.newest_snapshot) = (Some("db".into()), Some(Ok(None)));
    }),
    ("rds.point-in-time", Holds, |_| ()),
    ("rds.point-in-time", Edge("pass"), |db| db.latest_restorable = Some(ago(15 * 60))),
    ("rds.point-in-time", Edge("fail"), |db| db.latest_restorable = Some(ago(15 * 60 + 1))),
    ("rds.point-in-time", Broken, |db| db.latest_restorable = None),
    ("rds.point-in-time", Edge("pass"), |db| {
        (db.latest_restorable, db.created) = (None, Some(ago(26 * HOUR)));
    }),
    ("rds.point-in-time", Edge("fail"), |db| {
        (db.latest_restorable, db.created) = (None, Some(ago(26 * HOUR + 1)));
    }),
    ("rds.point-in-time", Dark, |db| (db.latest_restorable, db.created) = (None, None)),
    ("rds.point-in-time", Edge("-"), |db| (db.retention_days, db.latest_restorable) = (Some(0), None)),
    ("rds.point-in-time", Edge("-"), |db| (db.replica_of, db.latest_restorable) = (Some("db".into()), None)),
    ("rds.encryption", Holds, |_| ()),
    ("rds.encryption", Broken, |db| db.is_encrypted = Some(false)),
    ("rds.encryption", Dark, |db| db.is_encrypted = None),
    ("rds.encryption", Edge("fail"), |db| {
        (db.replica_of, db.is_encrypted) = (Some("db".into()), Some(false))
    }),
    ("rds.encryption-key", Holds, |_| ()),
    ("rds.encryption-key", Broken, |db| db.key = Some(format!("{KEY}-another"))),
    ("rds.encryption-key", Dark, |db| db.key = None),
    ("rds.encryption-key", Edge("-"), |db| (db.is_encrypted, db.key) = (Some(false), None)),
    ("rds.deletion-protection", Holds, |_| ()),
    ("rds.deletion-protection", Broken, |db| db.is_protected = Some(false)),
    ("rds.deletion-protection", Dark, |db| db.is_protected = None),
    ("rds.deletion-protection", Edge("fail"), |db| {
        (db.replica_of, db.is_protected) = (Some("db".into()), Some(false));
    }),
    ("rds.public", Holds, |_| ()),
    ("rds.public", Broken, |db| db.is_public = Some(true)),
    ("rds.public", Dark, |db| db.is_public = None),
    ("rds.public", Edge("fail"), |db| (db.replica_of, db.is_public) = (Some("db".into()), Some(true))),
    ("rds.copy-tags", Holds, |_| ()),
    ("rds.copy-tags", Broken, |db| db.copies_tags = Some(false)),
    ("rds.copy-tags", Dark, |db| db.copies_tags = None),
    ("rds.copy-tags", Edge("fail"), |db| (db.replica_of, db.copies_tags) = (Some("db".into()), Some(false))),
    ("rds.multi-az", Holds, |_| ()),
    ("rds.multi-az", Broken, |db| db.is_multi_az = Some(false)),
    ("rds.multi-az", Dark, |db| db.is_multi_az = None),
    ("rds.multi-az", Edge("-"), |db| (db.replica_of, db.is_multi_az) = (Some("db".into()), Some(false))),
    ("rds.minor-upgrades", Holds, |_| ()),
    ("rds.minor-upgrades", Broken, |db| db.upgrades = Some(false)),
    ("rds.minor-upgrades", Dark, |db| db.upgrades = None),
    ("rds.minor-upgrades", Edge("-"), |db| (db.engine, db.upgrades) = (custom(), Some(false))),
    ("rds.certificate", Edge("fail"), |db| (db.engine, db.certificate_until) = (custom(), Some(ago(1)))),
    ("rds.multi-az", Edge("fail"), |db| (db.engine, db.is_multi_az) = (custom(), Some(false))),
    ("rds.subnet-group", Edge("fail"), |db| {
        (db.engine, db.subnet_group) = (custom(), Some("default".into()));
    }),
    ("rds.storage-autoscaling", Edge("-"), |db| (db.engine, db.storage_limit_gib) = (custom(), None)),
    ("rds.parameter-group", Edge("-"), |db| {
        (db.engine, db.parameter_groups) = (custom(), vec!["default.custom".into()]);
    }),
    ("rds.minor-upgrades", Edge("fail"), |db| {
        (db.replica_of, db.upgrades) = (Some("db".into()), Some(false))
    }),
    ("rds.certificate", Holds, |_| ()),
    ("rds.certificate", Edge("pass"), |db| db.certificate_until = Some(ago(-90 * DAY))),
    ("rds.certificate", Edge("fail"), |db| db.certificate_until = Some(ago(-90 * DAY + 1))),
    ("rds.certificate", Broken, |db| db.certificate_until = Some(ago(1))),
    ("rds.certificate", Dark, |db| db.certificate_until = None),
    ("rds.storage-autoscaling", Holds, |_| ()),
    ("rds.storage-autoscaling", Edge("pass"), |db| db.storage_limit_gib = Some(110)),
    ("rds.storage-autoscaling", Edge("fail"), |db| db.storage_limit_gib = Some(109)),
    ("rds.storage-autoscaling", Broken, |db| db.storage_limit_gib = None),
    ("rds.storage-autoscaling", Dark, |db| db.storage_gib = None),
    ("rds.log-exports", Holds, |_| ()),
    ("rds.log-exports", Edge("pass"), |db| db.log_exports = vec!["upgrade".into(), "postgresql".into()]),
    ("rds.log-exports", Edge("fail"), |db| db.log_exports = vec!["upgrade".into()]),
    ("rds.log-exports", Broken, |db| db.log_exports.clear()),
    ("rds.log-exports", Dark, |db| db.status = None),
    ("rds.log-exports", Dark, |db| db.engine = None),
    ("rds.log-exports", Edge("fail"), |db| db.engine = Some("mysql".into())),
    ("rds.log-exports", Edge("pass"), |db| exporting(db, "mariadb", "error")),
    ("rds.log-exports", Edge("pass"), |db| exporting(db, "aurora-mysql", "error")),
    ("rds.log-exports", Edge("fail"), |db| exporting(db, "aurora-mysql", "postgresql")),
    ("rds.log-exports", Edge("pass"), |db| exporting(db, "aurora-postgresql", "postgresql")),
    ("rds.log-exports", Edge("pass"), |db| exporting(db, "sqlserver-se", "error")),
    ("rds.log-exports", Edge("pass"), |db| exporting(db, "oracle-ee", "alert")),
    ("rds.log-exports", Edge("-"), |db| db.engine = Some("db2-se".into())),
    ("rds.parameter-group", Holds, |_| ()),
    ("rds.parameter-group", Edge("pass"), |db| db.parameter_groups = vec!["default-but-ours".into()]),
    ("rds.parameter-group", Broken, |db| db.parameter_groups = vec!["default.postgres17".into()]),
    ("rds.parameter-group", Dark, |db| db.parameter_groups.clear()),
    ("rds.subnet-group", Holds, |_| ()),
    ("rds.subnet-group", Edge("pass"), |db| db.subnet_group = Some("default-but-ours".into())),
    ("rds.subnet-group", Broken, |db| db.subnet_group = Some("default".into())),
    ("rds.subnet-group", Dark, |db| db.subnet_group = None),
    ("rds.master-password", Holds, |_| ()),
    ("rds.master-password", Broken, |db| db.has_managed_password = true),
    ("rds.master-password", Dark, |db| db.status = None),
    ("rds.master-password", Edge("pass"), |db| db.status = Some("stopped".into())),
    ("rds.state", Holds, |_| ()),
    ("rds.state", Edge("pass"), |db| db.status = Some("backing-up".into())),
    ("rds.state", Edge("pass"), |db| db.status = Some("stopped".into())),
    ("rds.state", Edge("fail"), |db| db.status = Some("inaccessible-encryption-credentials".into())),
    ("rds.state", Edge("fail"), |db| {
        db.status = Some("inaccessible-encryption-credentials-recoverable".into());
    }),
    ("rds.state", Edge("fail"), |db| db.status = Some("incompatible-parameters".into())),
    ("rds.state", Edge("fail"), |db| db.status = Some("incompatible-network".into())),
    ("rds.state", Edge("fail"), |db| db.status = Some("failed".into())),
    ("rds.state", Broken, |db| db.status = Some("storage-full".into())),
    ("rds.state", Dark, |db| db.status = None),
    ("rds.stopped", Holds, |_| ()),
    ("rds.stopped", Edge("fail"), |db| db.status = Some("stopping".into())),
    ("rds.stopped", Edge("fail"), |db| db.status = Some("starting".into())),
    ("rds.stopped", Edge("-"), |db| (db.form, db.status) = (member(), Some("stopped".into()))),
    ("rds.stopped", Broken, |db| db.status = Some("stopped".into())),
    ("rds.stopped", Dark, |db| db.status = None),
    ("rds.blue-green", Holds, |_| ()),
    ("rds.blue-green", Edge("fail"), |db| deployed(db, Side::Green)),
    ("rds.blue-green", Edge("fail"), |db| deployed(db, Side::Old)),
    ("rds.blue-green", Broken, |db| deployed(db, Side::Blue)),
    ("rds.blue-green", Dark, |db| db.deployment = Some(unread())),
    ("rds.blue-green", Dark, |db| db.deployment = None),
    ("rds.snapshot-fresh", Edge("-"), |db| {
        db.newest_snapshot = Some(Ok(None));
        deployed(db, Side::Green);
    }),
    ("rds.snapshot-fresh", Edge("-"), |db| {
        db.newest_snapshot = Some(Ok(None));
        deployed(db, Side::Old);
    }),
    ("rds.snapshot-fresh", Edge("fail"), |db| {
        db.newest_snapshot = Some(Ok(None));
        deployed(db, Side::Blue);
    }),
    ("rds.deletion-protection", Edge("-"), |db| {
        db.is_protected = Some(false);
        deployed(db, Side::Old);
    }),
    ("rds.backup-plan", Holds, |_| ()),
    ("rds.backup-plan", Broken, |db| db.plans = Some(Ok(Vec::new()))),
    ("rds.backup-plan", Dark, |db| db.plans = Some(unread())),
    ("rds.backup-plan", Dark, |db| db.plans = None),
    ("rds.backup-plan", Edge("-"), |db| (db.form, db.plans) = (member(), Some(Ok(Vec::new())))),
    ("rds.events", Holds, |_| ()),
    ("rds.events", Broken, |db| db.unheard = Some(Ok(vec!["db-instance failure".into()]))),
    ("rds.events", Dark, |db| db.unheard = Some(unread())),
    ("rds.events", Dark, |db| db.unheard = None),
    ("rds.events", Edge("-"), |db| {
        db.unheard = Some(unread());
        deployed(db, Side::Green);
    }),
    ("rds.force-ssl", Holds, |_| ()),
    ("rds.force-ssl", Broken, |db| db.tls_parameter = Some(Ok(Some(reported(Some("0")))))),
    ("rds.force-ssl", Edge("unknown"), |db| db.waits_for_reboot = true),
    ("rds.force-ssl", Edge("fail"), |db| {
        db.tls_parameter = Some(Ok(Some(reported(Some("0")))));
        db.waits_for_reboot = true;
    }),
    ("rds.force-ssl", Edge("fail"), |db| {
        tls_of(db, "mariadb", "10.4.32", None);
        db.tls_parameter = Some(Ok(None));
    }),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "mysql", "8.4.7", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "mysql", "5.7.44", None)),
    ("rds.force-ssl", Edge("unknown"), |db| tls_of(db, "mysql", "9.6.0", None)),
    ("rds.force-ssl", Edge("pass"), |db| tls_of(db, "mysql", "9.7.0", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "mariadb", "11.4.9", None)),
    ("rds.force-ssl", Edge("unknown"), |db| tls_of(db, "mariadb", "11.7.2", None)),
    ("rds.force-ssl", Edge("pass"), |db| tls_of(db, "mariadb", "11.8.3", None)),
    ("rds.force-ssl", Edge("pass"), |db| tls_of(db, "mariadb", "12.1.2", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "sqlserver-se", "16.00.4165.4.v1", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "aurora-mysql", "8.0.mysql_aurora.3.08.0", None)),
    ("rds.force-ssl", Edge("unknown"), |db| tls_of(db, "mysql", "?", None)),
    ("rds.force-ssl", Edge("pass"), |db| tls_of(db, "mysql", "8.0.40", Some("ON"))),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "mysql", "8.0.40", Some("OFF"))),
    ("rds.force-ssl", Edge("pass"), |db| tls_of(db, "postgres", "15.2", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "postgres", "14.15", None)),
    ("rds.force-ssl", Edge("pass"), |db| tls_of(db, "aurora-postgresql", "17.4", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "aurora-postgresql", "16.6", None)),
    ("rds.force-ssl", Edge("fail"), |db| tls_of(db, "mariadb", "10.11.9", None)),
    ("rds.force-ssl", Edge("-"), |db| tls_of(db, "oracle-ee", "19", None)),
    ("rds.force-ssl", Dark, |db| db.tls_parameter = Some(unread())),
    ("rds.force-ssl", Dark, |db| db.tls_parameter = None),
    ("rds.force-ssl", Dark, |db| db.engine = None),
    ("rds.force-ssl", Edge("-"), |db| (db.form, db.tls_parameter) = (member(), None)),
    ("rds.engine-support", Holds, |_| ()),
    ("rds.engine-support", Edge("pass"), |db| supported(db, -180 * DAY)),
    ("rds.engine-support", Edge("fail"), |db| supported(db, -180 * DAY + 1)),
    ("rds.engine-support", Broken, |db| supported(db, DAY)),
    ("rds.engine-support", Dark, |db| db.supported_until = Some(unread())),
    ("rds.engine-support", Dark, |db| db.supported_until = None),
    ("rds.engine-support", Edge("-"), |db| db.supported_until = Some(Ok(None))),
];

/// The rules of a cluster that are not those of an instance, or not with the same edges.
const CLUSTERS: Rows<Instance> = &[
    ("rds.retention", Broken, |db| db.retention_days = Some(1)),
    ("rds.backups-on", Broken, |db| db.retention_days = Some(0)),
    ("rds.backup-window", Broken, |db| db.backup_window = Some("14:00-15:00".into())),
    ("rds.snapshot-fresh", Broken, |db| db.newest_snapshot = Some(Ok(None))),
    ("rds.snapshot-fresh", Edge("pass"), |db| no_snapshot(db, 26 * HOUR)),
    ("rds.point-in-time", Broken, |db| db.latest_restorable = Some(ago(HOUR))),
    ("rds.encryption", Broken, |db| db.is_encrypted = Some(false)),
    ("rds.encryption-key", Broken, |db| db.key = Some("another".into())),
    ("rds.deletion-protection", Broken, |db| db.is_protected = Some(false)),
    ("rds.public", Edge("-"), |db| db.is_public = Some(true)),
    ("rds.copy-tags", Broken, |db| db.copies_tags = Some(false)),
    ("rds.multi-az", Broken, |db| db.is_multi_az = Some(false)),
    ("rds.minor-upgrades", Edge("-"), |db| db.upgrades = Some(false)),
    ("rds.certificate", Edge("-"), |db| db.certificate_until = Some(ago(1))),
    ("rds.storage-autoscaling", Edge("-"), |db| db.storage_gib = Some(1)),
    ("rds.log-exports", Broken, |db| db.log_exports.clear()),
    ("rds.parameter-group", Broken, |db| db.parameter_groups = vec!["default.aurora-postgresql17".into()]),
    ("rds.subnet-group", Broken, |db| db.subnet_group = Some("default".into())),
    ("rds.master-password", Broken, |db| db.has_managed_password = true),
    ("rds.state", Broken, |db| db.status = Some("inaccessible-encryption-credentials".into())),
    ("rds.stopped", Broken, |db| db.status = Some("stopped".into())),
    ("rds.backup-plan", Broken, |db| db.plans = Some(Ok(Vec::new()))),
    ("rds.events", Broken, |db| db.unheard = Some(Ok(vec!["db-cluster failure".into()]))),
    ("rds.force-ssl", Broken, |db| db.tls_parameter = Some(Ok(Some(reported(Some("0")))))),
    ("rds.engine-support", Broken, |db| supported(db, DAY)),
];

fn exporting(db: &mut Instance, engine: &str, log: &str) {
    (db.engine, db.log_exports) = (Some(engine.to_owned()), vec![log.to_owned()]);
}

fn member() -> Form {
    Form::Member(CLUSTER.to_owned())
}

/// An engine of RDS Custom.
fn custom() -> Option<String> {
    Some("custom-sqlserver-se".to_owned())
}

fn deployed(db: &mut Instance, side: Side) {
    let (id, status) = ("bgd-1".to_owned(), "AVAILABLE".to_owned());
    db.deployment = Some(Ok(Some(Deployment { id, status, side })));
}

fn tls_of(db: &mut Instance, engine: &str, version: &str, value: Option<&str>) {
    (db.engine, db.version) = (Some(engine.to_owned()), Some(version.to_owned()));
    db.tls_parameter = Some(Ok(Some(reported(value))));
}

fn reported(value: Option<&str>) -> Parameter {
    Parameter { value: value.map(str::to_owned), is_static: Some(false), allowed: Some("0,1".to_owned()) }
}

fn supported(db: &mut Instance, seconds_ago: i64) {
    db.supported_until = Some(Ok(Some(ago(seconds_ago))));
}

fn pending(db: &mut Instance, days: i32, pending: i32) {
    (db.retention_days, db.pending_retention_days) = (Some(days), Some(pending));
}

fn no_snapshot(db: &mut Instance, age_seconds: i64) {
    (db.newest_snapshot, db.created) = (Some(Ok(None)), Some(ago(age_seconds)));
}

const SNAPSHOTS: Rows<Snapshot> = &[
    ("rds.snapshot-public", Holds, |_| ()),
    ("rds.snapshot-public", Edge("pass"), |snapshot| share(snapshot, &["777788889999"])),
    ("rds.snapshot-public", Broken, |snapshot| share(snapshot, &["all"])),
    ("rds.snapshot-public", Dark, |snapshot| snapshot.shared_with = unread()),
    ("rds.snapshot-shared", Holds, |_| ()),
    ("rds.snapshot-shared", Edge("pass"), |snapshot| share(snapshot, &["444455556666"])),
    ("rds.snapshot-shared", Edge("pass"), |snapshot| share(snapshot, &["all"])),
    ("rds.snapshot-shared", Broken, |snapshot| share(snapshot, &["444455556666", "777788889999"])),
    ("rds.snapshot-shared", Dark, |snapshot| snapshot.shared_with = unread()),
    ("rds.snapshot-encryption", Holds, |_| ()),
    ("rds.snapshot-encryption", Broken, |snapshot| snapshot.is_encrypted = Some(false)),
    ("rds.snapshot-encryption", Dark, |snapshot| snapshot.is_encrypted = None),
    ("rds.snapshot-encryption", Edge("pass"), |snapshot| snapshot.shared_with = unread()),
];

const PROTECTEDS: Rows<Protected> = &[
    ("account.in-backup-plan", Holds, |_| ()),
    ("account.in-backup-plan", Broken, |resource| resource.plans = Ok(Vec::new())),
    ("account.in-backup-plan", Dark, |resource| resource.plans = unread()),
    ("account.in-backup-plan", Edge("pass"), |resource| {
        resource.plans = Ok(vec![Arc::new(plan(json!({}), None)), Arc::new(plan(json!({}), None))]);
    }),
];

const VAULTS: Rows<Vault> = &[
    ("account.backup-vault-key", Holds, |_| ()),
    ("account.backup-vault-key", Broken, |vault| vault.key = Ok(None)),
    ("account.backup-vault-key", Edge("fail"), |vault| vault.key = Ok(Some(format!("{KEY}-another")))),
    ("account.backup-vault-key", Dark, |vault| vault.key = unread()),
    ("account.backup-vault-lock", Holds, |_| ()),
    ("account.backup-vault-lock", Broken, |vault| vault.locked_days = Ok(None)),
    ("account.backup-vault-lock", Edge("pass"), |vault| vault.locked_days = Ok(Some(1))),
    ("account.backup-vault-lock", Edge("fail"), |vault| vault.locked_days = Ok(Some(0))),
    ("account.backup-vault-lock", Dark, |vault| vault.locked_days = unread()),
];

fn protected() -> Protected {
    let plans = Ok(vec![Arc::new(plan(json!({}), None))]);
    Protected { name: FILES.to_owned(), arn: format!("arn:aws:s3:::{FILES}"), plans }
}

fn vault() -> Vault {
    let arn = "arn:aws:backup:us-east-1:111122223333:backup-vault:main".to_owned();
    Vault { name: "main".to_owned(), arn, key: Ok(Some(KEY.to_owned())), locked_days: Ok(Some(7)) }
}

pub(crate) fn share(snapshot: &mut Snapshot, accounts: &[&str]) {
    snapshot.shared_with = Ok(accounts.iter().map(|account| (*account).to_owned()).collect());
}

const BUCKETS: Rows<Bucket> = &[
    ("s3.versioning", Holds, |_| ()),
    ("s3.versioning", Edge("fail"), |bucket| bucket.versioning = Ok(Some("Suspended".into()))),
    ("s3.versioning", Broken, |bucket| bucket.versioning = Ok(None)),
    ("s3.versioning", Dark, |bucket| bucket.versioning = unread()),
    ("s3.noncurrent", Holds, |_| ()),
    ("s3.noncurrent", Edge("pass"), |bucket| bucket.lifecycle = Ok(vec![whole(Some(30), None)])),
    ("s3.noncurrent", Edge("fail"), |bucket| bucket.lifecycle = Ok(vec![whole(Some(29), None)])),
    ("s3.noncurrent", Broken, |bucket| bucket.lifecycle = Ok(Vec::new())),
    ("s3.noncurrent", Dark, |bucket| bucket.lifecycle = unread()),
    ("s3.noncurrent", Edge("-"), |bucket| (bucket.role, bucket.lifecycle) = (Role::State, Ok(Vec::new()))),
    ("s3.expiration", Holds, |_| ()),
    ("s3.expiration", Broken, |bucket| {
        bucket.lifecycle = Ok(vec![whole(Some(90), None), Lifecycle { expires: true, ..whole(None, None) }]);
    }),
    ("s3.expiration", Edge("fail"), |bucket| {
        bucket.lifecycle = Ok(vec![Lifecycle { expires: true, is_filtered: true, ..whole(None, None) }]);
    }),
    ("s3.expiration", Edge("pass"), |bucket| {
        bucket.lifecycle = Ok(vec![Lifecycle { expires: true, is_enabled: false, ..whole(None, None) }]);
    }),
    ("s3.expiration", Edge("fail"), |bucket| {
        bucket.role = Role::Evidence;
        bucket.lifecycle = Ok(vec![Lifecycle { expires: true, ..whole(None, None) }]);
    }),
    ("s3.expiration", Dark, |bucket| bucket.lifecycle = unread()),
    ("s3.expiration", Edge("-"), |bucket| (bucket.role, bucket.lifecycle) = (Role::Other, unread())),
    ("s3.incomplete-uploads", Holds, |_| ()),
    ("s3.incomplete-uploads", Edge("pass"), |bucket| bucket.lifecycle = Ok(vec![whole(None, Some(7))])),
    ("s3.incomplete-uploads", Edge("fail"), |bucket| bucket.lifecycle = Ok(vec![whole(None, Some(8))])),
    ("s3.incomplete-uploads", Broken, |bucket| bucket.lifecycle = Ok(vec![whole(Some(90), None)])),
    ("s3.incomplete-uploads", Dark, |bucket| bucket.lifecycle = unread()),
    ("s3.public-access-block", Holds, |_| ()),
    ("s3.public-access-block", Edge("fail"), |bucket| bucket.open = Ok(vec!["IgnorePublicAcls"])),
    ("s3.public-access-block", Broken, |bucket| {
        bucket.open = Ok(vec!["BlockPublicAcls", "BlockPublicPolicy"])
    }),
    ("s3.public-access-block", Dark, |bucket| bucket.open = unread()),
    ("s3.public", Holds, |_| ()),
    ("s3.public", Edge("pass"), |bucket| bucket.policy = unread()),
    ("s3.public", Broken, |bucket| {
        *bucket = opened(&json!("*"), &["RestrictPublicBuckets"], &Ok(BLOCKS.to_vec()));
    }),
    ("s3.public", Dark, |bucket| (bucket.open, bucket.acl) = (Ok(BLOCKS.to_vec()), unread())),
    ("s3.foreign-access", Holds, |_| ()),
    ("s3.foreign-access", Edge("pass"), |bucket| {
        *bucket = opened(&json!({"AWS": "444455556666"}), &[], &Ok(Vec::new()));
    }),
    ("s3.foreign-access", Broken, |bucket| {
        *bucket = opened(&json!({"AWS": "777788889999"}), &[], &Ok(Vec::new()));
    }),
    ("s3.foreign-access", Dark, |bucket| bucket.policy = unread()),
    ("s3.foreign-access", Dark, |bucket| bucket.acl = unread()),
    ("s3.encryption", Holds, |_| ()),
    ("s3.encryption", Edge("fail"), |bucket| encrypt(bucket, "aws:kms", None)),
    ("s3.encryption", Broken, |bucket| encrypt(bucket, "AES256", None)),
    ("s3.encryption", Broken, |bucket| bucket.encryption = Ok(None)),
    ("s3.encryption", Dark, |bucket| bucket.encryption = unread()),
    ("s3.tls-only", Holds, |_| ()),
    ("s3.tls-only", Edge("fail"), |bucket| bucket.policy = Ok(Some(r#"{"Statement": []}"#.into()))),
    ("s3.tls-only", Broken, |bucket| bucket.policy = Ok(None)),
    ("s3.tls-only", Dark, |bucket| bucket.policy = unread()),
    ("s3.evidence-lock", Holds, |bucket| bucket.role = Role::Evidence),
    ("s3.evidence-lock", Edge("pass"), |bucket| locked(bucket, Role::Evidence, 365)),
    ("s3.evidence-lock", Edge("fail"), |bucket| locked(bucket, Role::Evidence, 364)),
    ("s3.evidence-lock", Broken, |bucket| (bucket.role, bucket.lock) = (Role::Evidence, Some(Ok(None)))),
    ("s3.evidence-lock", Dark, |bucket| (bucket.role, bucket.lock) = (Role::Evidence, Some(unread()))),
    ("s3.evidence-lock", Dark, |bucket| (bucket.role, bucket.lock) = (Role::Evidence, None)),
    ("s3.object-lock", Holds, |_| ()),
    ("s3.object-lock", Edge("pass"), |bucket| locked(bucket, Role::Attachments, 1)),
    ("s3.object-lock", Edge("fail"), |bucket| locked(bucket, Role::Attachments, 0)),
    ("s3.object-lock", Edge("-"), |bucket| locked(bucket, Role::State, 0)),
    ("s3.object-lock", Broken, |bucket| bucket.lock = Some(Ok(None))),
    ("s3.object-lock", Dark, |bucket| bucket.lock = Some(unread())),
    ("s3.object-lock", Dark, |bucket| bucket.lock = None),
    ("s3.replication", Holds, |_| ()),
    ("s3.replication", Broken, |bucket| bucket.replicates = Some(Ok(false))),
    ("s3.replication", Dark, |bucket| bucket.replicates = Some(unread())),
    ("s3.replication", Dark, |bucket| bucket.replicates = None),
    ("s3.replication", Edge("-"), |bucket| (bucket.role, bucket.replicates) = (Role::Uploads, None)),
    ("s3.access-logging", Holds, |_| ()),
    ("s3.access-logging", Broken, |bucket| bucket.logs = Some(Ok(false))),
    ("s3.access-logging", Dark, |bucket| bucket.logs = Some(unread())),
    ("s3.access-logging", Dark, |bucket| bucket.logs = None),
    ("s3.access-logging", Edge("-"), |bucket| (bucket.role, bucket.logs) = (Role::Other, None)),
    ("s3.uploads-fresh", Holds, |bucket| bucket.role = Role::Uploads),
    ("s3.uploads-fresh", Edge("pass"), |bucket| newest(bucket, Role::Uploads, Newest::At(ago(26 * HOUR)))),
    ("s3.uploads-fresh", Edge("fail"), |bucket| {
        newest(bucket, Role::Uploads, Newest::At(ago(26 * HOUR + 1)))
    }),
    ("s3.uploads-fresh", Broken, |bucket| newest(bucket, Role::Uploads, Newest::Nothing)),
    ("s3.uploads-fresh", Dark, |bucket| newest(bucket, Role::Uploads, Newest::NotAll(50_000))),
    ("s3.uploads-fresh", Dark, |bucket| (bucket.role, bucket.newest) = (Role::Uploads, Some(unread()))),
    ("s3.uploads-fresh", Dark, |bucket| (bucket.role, bucket.newest) = (Role::Uploads, None)),
    ("grafana.fresh", Holds, |bucket| bucket.role = Role::Grafana),
    ("grafana.fresh", Edge("pass"), |bucket| newest(bucket, Role::Grafana, Newest::At(ago(31 * DAY)))),
    ("grafana.fresh", Edge("fail"), |bucket| newest(bucket, Role::Grafana, Newest::At(ago(31 * DAY + 1)))),
    ("grafana.fresh", Broken, |bucket| newest(bucket, Role::Grafana, Newest::Nothing)),
    ("grafana.fresh", Dark, |bucket| newest(bucket, Role::Grafana, Newest::NotAll(50_000))),
    ("grafana.fresh", Dark, |bucket| (bucket.role, bucket.newest) = (Role::Grafana, Some(unread()))),
    ("grafana.fresh", Edge("-"), |bucket| newest(bucket, Role::Uploads, Newest::Nothing)),
];

fn encrypt(bucket: &mut Bucket, algorithm: &str, key: Option<&str>) {
    bucket.encryption = Ok(Some(Encryption { algorithm: algorithm.to_owned(), key: key.map(str::to_owned) }));
}

fn locked(bucket: &mut Bucket, role: Role, days: i32) {
    bucket.role = role;
    bucket.lock = Some(Ok(Some(Lock { mode: "GOVERNANCE".to_owned(), days })));
}

fn newest(bucket: &mut Bucket, role: Role, newest: Newest) {
    (bucket.role, bucket.newest) = (role, Some(Ok(newest)));
}

const TABLES: Rows<Table> = &[
    ("terraform.lock-recovery", Holds, |_| ()),
    ("terraform.lock-recovery", Broken, |table| table.has_recovery = Ok(false)),
    ("terraform.lock-recovery", Dark, |table| table.has_recovery = unread()),
    ("terraform.lock-recovery", Edge("pass"), |table| table.is_protected = None),
    ("terraform.lock-protection", Holds, |_| ()),
    ("terraform.lock-protection", Broken, |table| table.is_protected = Some(false)),
    ("terraform.lock-protection", Dark, |table| table.is_protected = None),
    ("terraform.lock-protection", Edge("pass"), |table| table.has_recovery = unread()),
];

const SERVICES: Rows<Service> = &[
    ("ecs.circuit-breaker", Holds, |_| ()),
    ("ecs.circuit-breaker", Broken, |service| service.has_circuit_breaker = Some(false)),
    ("ecs.circuit-breaker", Dark, |service| service.has_circuit_breaker = None),
    ("ecs.circuit-breaker", Edge("pass"), |service| service.task = unread()),
    ("ecs.grace-period", Holds, |_| ()),
    ("ecs.grace-period", Edge("pass"), |service| service.grace_seconds = Some(1)),
    ("ecs.grace-period", Broken, |service| service.grace_seconds = Some(0)),
    ("ecs.grace-period", Dark, |service| service.grace_seconds = None),
    ("ecs.grace-period", Edge("-"), |service| {
        (service.is_balanced, service.grace_seconds) = (false, Some(0))
    }),
    ("ecs.variables", Holds, |_| ()),
    ("ecs.variables", Edge("pass"), |service| given(service, &["KEY"], &["ANTIVIRUS_"])),
    ("ecs.variables", Edge("fail"), |service| given(service, &["KEYS"], &["ANTIVIRUS_HOST"])),
    ("ecs.variables", Broken, |service| given(service, &[], &[])),
    ("ecs.variables", Dark, |service| service.task = unread()),
    ("ecs.secrets", Holds, |_| ()),
    ("ecs.secrets", Edge("pass"), |service| given(service, &["JWT_SECRET_TTL"], &["JWT_SECRET"])),
    ("ecs.secrets", Edge("fail"), |service| given(service, &["JWT_SECRET"], &["JWT_SECRET"])),
    ("ecs.secrets", Broken, |service| given(service, &["DATABASE_URL", "REDIS_URL"], &[])),
    ("ecs.secrets", Dark, |service| service.task = unread()),
    ("iam.object-versions", Holds, |_| ()),
    ("iam.object-versions", Broken, |service| service.reads_versions = Ok(Some(false))),
    ("iam.object-versions", Edge("fail"), |service| service.reads_versions = Ok(None)),
    ("iam.object-versions", Dark, |service| service.reads_versions = unread()),
];

fn given(service: &mut Service, plain: &[&str], secret: &[&str]) {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    service.task = Ok(Task { plain: names(plain), secret: names(secret), role: None });
}

const ACCOUNTS: Rows<Account> = &[
    ("account.alarms", Holds, |_| ()),
    ("account.alarms", Broken, |account| account.has_alarms = Ok(false)),
    ("account.alarms", Dark, |account| account.has_alarms = unread()),
    ("account.alarms", Edge("pass"), |account| account.log_watch = unread()),
    ("account.log-filters", Holds, |_| ()),
    ("account.log-filters", Broken, |account| account.log_watch = Ok(LogWatch::default())),
    ("account.log-filters", Broken, |account| account.log_watch = Ok(watched(false))),
    ("account.log-filters", Dark, |account| account.log_watch = unread()),
    ("account.log-filters", Edge("pass"), |account| account.has_alarms = unread()),
    ("account.backup-plan", Holds, |_| ()),
    ("account.backup-plan", Broken, |account| account.has_backup_plan = Ok(false)),
    ("account.backup-plan", Dark, |account| account.has_backup_plan = unread()),
    ("account.backup-plan", Edge("pass"), |account| account.has_endpoints = unread()),
    ("account.vpc-endpoints", Holds, |_| ()),
    ("account.vpc-endpoints", Broken, |account| account.has_endpoints = Ok(false)),
    ("account.vpc-endpoints", Dark, |account| account.has_endpoints = unread()),
    ("account.vpc-endpoints", Edge("pass"), |account| account.has_backup_plan = unread()),
];

/// Verdicts on what the stack names and on the audit itself; the tests of the sweep and of exceptions hold them.
const OF_NO_RESOURCE: [&str; 9] = [
    "audit.coverage",
    "audit.exception-expired",
    "ecs.exists",
    "grafana.declared",
    "rds.exists",
    "s3.exists",
    "terraform.lock",
    "terraform.state",
    "uploads.declared",
];

/// Judges a resource, changed, and gives one rule's row.
fn row<T: Clone>(
    rules: &'static [Rule<T>],
    id: &str,
    name: &str,
    base: &T,
    change: impl Fn(&mut T),
    context: &Context<'_>,
) -> Option<Row> {
    let mut resource = base.clone();
    change(&mut resource);
    judge(rules, (name, "arn"), &resource, context).into_iter().find(|row| row.rule.id == id)
}

fn word(row: Option<&Row>) -> &'static str {
    row.map_or("-", |row| row.verdict.word())
}

/// Whether an operator can run it, or is told where to look.
fn can_be_run(command: &str) -> bool {
    ["aws ", "echo '{", "while [ \"$(aws ", "# docs/", "# infra/terraform", "# template.yaml"]
        .iter()
        .any(|beginning| command.starts_with(beginning))
}

/// Holds a table; `name` is what the commands name.
fn check<T: Clone>(rules: &'static [Rule<T>], name: &str, base: &T, rows: Rows<T>) {
    for row in judge(rules, (name, "arn"), base, &context()) {
        assert_eq!(row.verdict, Verdict::Pass, "{} of the resource that every rule holds on", row.rule.id);
    }
    for (index, (id, case, change)) in rows.iter().enumerate() {
        let row = row(rules, id, name, base, change, &context());
        assert_eq!(word(row.as_ref()), case.word(), "row {index}: {id} {case:?}: {row:?}");
        let Some(row) = row else { continue };
        match &row.verdict {
            Verdict::Fail { found, expected } => {
                assert!(!found.is_empty() && !expected.is_empty() && found != expected, "{row:?}");
                assert!(can_be_run(&row.command), "{row:?}");
                // The role and the endpoints are the environment's.
                assert!(
                    row.command.contains(name)
                        || row.rule.id == "iam.object-versions"
                        || row.rule.service() == "account",
                    "{row:?}"
                );
            }
            Verdict::Unknown(why) => assert!(!why.is_empty() && row.command.is_empty(), "{row:?}"),
            _ => assert!(row.command.is_empty(), "{row:?}"),
        }
    }
}

#[test]
fn every_rule_of_an_instance() {
    check(INSTANCE, DB, &instance(), INSTANCES);
}

#[test]
fn every_rule_of_a_cluster() {
    check(INSTANCE, CLUSTER, &cluster(), CLUSTERS);
}

#[test]
fn a_member_is_not_asked_what_its_cluster_answers_for() {
    let bare = Instance {
        name: DB.to_owned(),
        form: member(),
        engine: Some("aurora-postgresql".to_owned()),
        status: Some("available".to_owned()),
        is_public: Some(false),
        upgrades: Some(true),
        certificate_until: instance().certificate_until,
        unheard: Some(Ok(Vec::new())),
        deployment: Some(Ok(None)),
        ..Instance::default()
    };
    let rows = judge(INSTANCE, (DB, ""), &bare, &context());
    let ids: Vec<_> = rows.iter().map(|row| row.rule.id).collect();
    let asked =
        ["rds.public", "rds.minor-upgrades", "rds.certificate", "rds.state", "rds.blue-green", "rds.events"];
    assert_eq!(ids, asked);
    assert!(rows.iter().all(|row| row.verdict == Verdict::Pass), "{rows:?}");
}

#[test]
fn what_is_reported_of_a_cluster_is_a_command_for_clusters() {
    for (id, change, expected) in [
        (
            "rds.retention",
            (|db| db.retention_days = Some(1)) as fn(&mut Instance),
            "aws rds modify-db-cluster --db-cluster-identifier moveongs-prod --backup-retention-period 30",
        ),
        (
            "rds.deletion-protection",
            |db| db.is_protected = Some(false),
            "aws rds modify-db-cluster --db-cluster-identifier moveongs-prod --deletion-protection",
        ),
        (
            "rds.snapshot-fresh",
            |db| db.newest_snapshot = Some(Ok(None)),
            "aws rds create-db-cluster-snapshot --db-cluster-identifier moveongs-prod --db-cluster-snapshot-identifier moveongs-prod-2026-11-26; aws rds describe-events --source-type db-cluster --source-identifier moveongs-prod --duration 2880",
        ),
        (
            "rds.deletion-protection",
            |db| (db.is_protected, db.status) = (Some(false), Some("stopped".into())),
            "aws rds start-db-cluster --db-cluster-identifier moveongs-prod && aws rds wait db-cluster-available --db-cluster-identifier moveongs-prod && aws rds modify-db-cluster --db-cluster-identifier moveongs-prod --deletion-protection",
        ),
    ] {
        let row = row(INSTANCE, id, CLUSTER, &cluster(), change, &context()).unwrap();
        assert_eq!(row.command, expected);
    }
    for (id, accounts, expected) in [
        (
            "rds.snapshot-public",
            "all",
            "aws rds modify-db-cluster-snapshot-attribute --db-cluster-snapshot-identifier moveongs-prod-20261126 --attribute-name restore --values-to-remove all",
        ),
        (
            "rds.snapshot-shared",
            "777788889999",
            "aws rds modify-db-cluster-snapshot-attribute --db-cluster-snapshot-identifier moveongs-prod-20261126 --attribute-name restore --values-to-remove 777788889999",
        ),
    ] {
        let of_cluster = Snapshot { is_of_cluster: true, ..snapshot() };
        let change = |snapshot: &mut Snapshot| share(snapshot, &[accounts]);
        let row = row(SNAPSHOT, id, &of_cluster.name, &of_cluster, change, &context()).unwrap();
        assert_eq!(row.command, expected);
    }
}

/// RDS refuses a change of a member of a Multi-AZ DB cluster, and takes those of an Aurora member.
#[test]
fn a_member_of_a_multi_az_cluster_is_changed_by_its_cluster() {
    let of = "aws rds modify-db-cluster --db-cluster-identifier moveongs-prod";
    for engine in ["postgres", "mysql"] {
        for (id, change, expected) in [
            (
                "rds.minor-upgrades",
                (|db| db.upgrades = Some(false)) as fn(&mut Instance),
                format!("{of} --auto-minor-version-upgrade  # {DB}"),
            ),
            (
                "rds.certificate",
                |db| db.certificate_until = Some(ago(1)),
                format!(
                    "{of} --ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately  # pode reiniciar a instância / outage  # {DB}"
                ),
            ),
            (
                "rds.state",
                |db| db.status = Some("storage-full".into()),
                format!("{of} --allocated-storage 121 --apply-immediately  # {DB}"),
            ),
            (
                "rds.state",
                |db| {
                    db.status = Some("storage-full".into());
                    (db.storage_type, db.iops) = (Some("io1".into()), Some(1000));
                },
                format!("{of} --allocated-storage 121 --iops 1000 --apply-immediately  # {DB}"),
            ),
            (
                "rds.minor-upgrades",
                |db| (db.upgrades, db.status) = (Some(false), Some("modifying".into())),
                format!(
                    "aws rds wait db-cluster-available --db-cluster-identifier moveongs-prod && {of} --auto-minor-version-upgrade  # {DB}"
                ),
            ),
        ] {
            let base = Instance { form: member(), engine: Some(engine.to_owned()), ..instance() };
            let row = row(INSTANCE, id, DB, &base, change, &context()).unwrap();
            assert_eq!(row.command, expected);
        }
        let public = |db: &mut Instance| {
            (db.form, db.engine, db.is_public) = (member(), Some(engine.to_owned()), Some(true));
        };
        let row = row(INSTANCE, "rds.public", DB, &instance(), public, &context()).unwrap();
        assert!(row.command.starts_with("# docs/backups.md#regras: "), "{}", row.command);
        assert!(row.command.contains("restore-db-cluster-from-snapshot"), "{}", row.command);
        assert!(!row.command.contains("modify-db-"), "{}", row.command);
    }
    let aurora = |db: &mut Instance| {
        (db.form, db.engine) = (member(), Some("aurora-postgresql".to_owned()));
        (db.is_public, db.upgrades, db.certificate_until) = (Some(true), Some(false), Some(ago(1)));
    };
    for id in ["rds.public", "rds.minor-upgrades", "rds.certificate"] {
        let row = row(INSTANCE, id, DB, &instance(), aurora, &context()).unwrap();
        let of = format!("aws rds modify-db-instance --db-instance-identifier {DB} --");
        assert!(row.command.starts_with(&of), "{}", row.command);
    }
}

/// RDS neither encrypts a Multi-AZ DB cluster, nor copies its snapshots.
#[test]
fn a_multi_az_cluster_is_encrypted_by_a_dump_only() {
    for (engine, is_dumped) in [("postgres", true), ("mysql", true), ("aurora-mysql", false)] {
        let base = Instance { engine: Some(engine.to_owned()), ..cluster() };
        for (id, change) in [
            ("rds.encryption", (|db| db.is_encrypted = Some(false)) as fn(&mut Instance)),
            ("rds.encryption-key", |db| db.key = Some("another".to_owned())),
        ] {
            let row = row(INSTANCE, id, CLUSTER, &base, change, &context()).unwrap();
            assert!(row.command.starts_with("# docs/backups.md#cifrar: "), "{}", row.command);
            assert_eq!(!row.command.contains("aws rds "), is_dumped, "{}", row.command);
        }
        for (is_of_cluster, is_dumped) in [(true, is_dumped), (false, false)] {
            let plain = |snapshot: &mut Snapshot| {
                (snapshot.is_encrypted, snapshot.is_of_cluster) = (Some(false), is_of_cluster);
                snapshot.engine = Some(engine.to_owned());
            };
            let row = row(SNAPSHOT, "rds.snapshot-encryption", "s", &snapshot(), plain, &context()).unwrap();
            assert_eq!(!row.command.contains("aws rds "), is_dumped, "{}", row.command);
        }
    }
}

/// RDS refuses a change, a snapshot and a new member of a database that is not available.
#[test]
fn a_database_that_is_busy_or_stopped_is_waited_for() {
    let single = || (DB, instance());
    let aurora = || (CLUSTER, cluster());
    let of_aurora = || {
        let engine = Some("aurora-postgresql".to_owned());
        (DB, Instance { form: member(), engine, ..instance() })
    };
    let wait = format!("aws rds wait db-instance-available --db-instance-identifier {DB}");
    let start = format!("aws rds start-db-instance --db-instance-identifier {DB}");
    let stop = format!(
        r#"while [ "$(aws rds describe-db-instances --db-instance-identifier {DB} --query 'DBInstances[0].DBInstanceStatus' --output text)" = stopping ]; do sleep 30; done"#
    );
    let cluster_wait = "aws rds wait db-cluster-available --db-cluster-identifier moveongs-prod";
    let cluster_start = "aws rds start-db-cluster --db-cluster-identifier moveongs-prod";
    let cluster_stop = r#"while [ "$(aws rds describe-db-clusters --db-cluster-identifier moveongs-prod --query 'DBClusters[0].Status' --output text)" = stopping ]; do sleep 30; done"#;
    for ((name, base), status, first) in [
        (single(), "available", String::new()),
        (single(), "storage-optimization", String::new()),
        (single(), "storage-full", String::new()),
        (single(), "backing-up", wait.clone()),
        (single(), "modifying", wait.clone()),
        (single(), "starting", wait.clone()),
        (single(), "stopped", format!("{start} && {wait}")),
        (single(), "stopping", format!("{stop} && {start} && {wait}")),
        (aurora(), "starting", cluster_wait.to_owned()),
        (aurora(), "stopped", format!("{cluster_start} && {cluster_wait}")),
        (aurora(), "stopping", format!("{cluster_stop} && {cluster_start} && {cluster_wait}")),
        (of_aurora(), "modifying", wait.clone()),
        (of_aurora(), "starting", format!("{cluster_wait} && {wait}")),
        (of_aurora(), "stopped", format!("{cluster_start} && {cluster_wait} && {wait}")),
        (of_aurora(), "stopping", format!("{cluster_stop} && {cluster_start} && {cluster_wait} && {wait}")),
    ] {
        let broken = Instance {
            is_protected: Some(false),
            is_public: Some(true),
            is_multi_az: Some(false),
            newest_snapshot: Some(Ok(None)),
            status: Some(status.to_owned()),
            ..base
        };
        let rows = judge(INSTANCE, (name, ""), &broken, &context());
        let asked = ["rds.deletion-protection", "rds.public", "rds.multi-az", "rds.snapshot-fresh"];
        let mut commands = rows.iter().filter(|row| asked.contains(&row.rule.id)).peekable();
        assert!(commands.peek().is_some());
        for row in commands.filter(|row| row.verdict != Verdict::Pass) {
            if status == "storage-full" && row.rule.id == "rds.snapshot-fresh" {
                continue;
            }
            let rest = row.command.strip_prefix(&first).unwrap_or_else(|| panic!("{first}\n{row:?}"));
            let rest = if first.is_empty() { rest } else { rest.strip_prefix(" && ").unwrap() };
            assert!(!rest.contains("-available") && !rest.contains("start-db"), "{rest}");
            assert!(rest.starts_with("aws rds ") || rest.starts_with("echo "), "{rest}");
        }
        if let Some(row) = rows.iter().find(|row| row.rule.id == "rds.stopped") {
            let rests = ["starting", "stopped", "stopping"].contains(&status);
            assert_eq!(row.command, if rests { first } else { String::new() });
        }
    }
}

/// RDS refuses storage above the limit of its growth, and provisioned operations that the request leaves out.
#[test]
fn a_full_storage_grows_with_its_limit_and_its_operations() {
    for (engine, storage, limit, kind, iops, expected) in [
        ("postgres", Some(100), None, "gp2", None, Some("--allocated-storage 121")),
        ("postgres", Some(100), Some(0), "gp2", Some(0), Some("--allocated-storage 121")),
        ("postgres", Some(100), Some(134), "gp3", Some(3000), Some("--allocated-storage 121")),
        (
            "postgres",
            Some(100),
            Some(133),
            "gp3",
            Some(3000),
            Some("--allocated-storage 121 --max-allocated-storage 242"),
        ),
        (
            "postgres",
            Some(100),
            Some(110),
            "gp2",
            None,
            Some("--allocated-storage 121 --max-allocated-storage 242"),
        ),
        ("postgres", Some(400), Some(1000), "gp3", Some(12000), Some("--allocated-storage 481 --iops 12000")),
        ("sqlserver-se", Some(100), None, "gp3", Some(3000), Some("--allocated-storage 121 --iops 3000")),
        ("postgres", Some(2000), None, "io1", Some(1000), Some("--allocated-storage 2401 --iops 1201")),
        ("sqlserver-se", Some(2000), None, "io2", Some(2000), Some("--allocated-storage 2401 --iops 2401")),
        ("postgres", Some(59_000), None, "gp2", None, Some("--allocated-storage 65536")),
        ("postgres", Some(65_536), None, "gp2", None, None),
        ("postgres", None, None, "gp2", None, None),
    ] {
        let change = |db: &mut Instance| {
            (db.engine, db.status) = (Some(engine.to_owned()), Some("storage-full".to_owned()));
            (db.storage_gib, db.storage_limit_gib) = (storage, limit);
            (db.storage_type, db.iops) = (Some(kind.to_owned()), iops);
        };
        let row = row(INSTANCE, "rds.state", DB, &instance(), change, &context()).unwrap();
        let expected = expected.map_or_else(
            || format!("aws rds describe-events --source-type db-instance --source-identifier {DB} --duration 2880"),
            |change| format!("aws rds modify-db-instance --db-instance-identifier {DB} {change} --apply-immediately"),
        );
        assert_eq!(row.command, expected);
    }
    // Aurora's storage is not allocated.
    let aurora = |db: &mut Instance| db.status = Some("storage-full".to_owned());
    let row = row(INSTANCE, "rds.state", CLUSTER, &cluster(), aurora, &context()).unwrap();
    assert!(row.command.starts_with("aws rds describe-events "), "{}", row.command);
}

/// RDS refuses `immediate` of a static parameter.
#[test]
fn the_parameter_that_forces_tls_is_set_as_rds_takes_it() {
    let set = "aws rds modify-db-parameter-group --db-parameter-group-name moveongs-prod-db --parameters ParameterName";
    let reboot = "# vale depois de reiniciar / takes effect after a reboot: aws rds reboot-db-instance --db-instance-identifier moveongs-prod-db";
    for (engine, is_static, allowed, expected) in [
        (
            "postgres",
            Some(false),
            Some("0,1"),
            format!("{set}=rds.force_ssl,ParameterValue=1,ApplyMethod=immediate  # {DB}"),
        ),
        (
            "sqlserver-se",
            Some(true),
            Some("0,1"),
            format!("{set}=rds.force_ssl,ParameterValue=1,ApplyMethod=pending-reboot  {reboot}  # {DB}"),
        ),
        (
            "mysql",
            None,
            None,
            format!(
                "{set}=require_secure_transport,ParameterValue=1,ApplyMethod=pending-reboot  {reboot}  # {DB}"
            ),
        ),
        (
            "mysql",
            Some(false),
            Some("ON, OFF"),
            format!("{set}=require_secure_transport,ParameterValue=ON,ApplyMethod=immediate  # {DB}"),
        ),
    ] {
        let change = |db: &mut Instance| {
            db.engine = Some(engine.to_owned());
            let (value, allowed) = (Some("0".to_owned()), allowed.map(str::to_owned));
            db.tls_parameter = Some(Ok(Some(Parameter { value, is_static, allowed })));
        };
        let row = row(INSTANCE, "rds.force-ssl", DB, &instance(), change, &context()).unwrap();
        assert_eq!(row.command, expected);
    }
    let lacks = |db: &mut Instance| {
        tls_of(db, "mariadb", "10.4.32", None);
        db.tls_parameter = Some(Ok(None));
    };
    let row = row(INSTANCE, "rds.force-ssl", DB, &instance(), lacks, &context()).unwrap();
    assert!(row.command.starts_with("# docs/backups.md#regras: "), "{}", row.command);
}

/// What RDS refuses of an RDS Custom database is no command.
#[test]
fn settings_that_rds_custom_does_not_have_are_no_commands() {
    let change = |db: &mut Instance| {
        (db.engine, db.is_multi_az, db.certificate_until) = (custom(), Some(false), Some(ago(1)));
        db.subnet_group = Some("default".to_owned());
    };
    for id in ["rds.multi-az", "rds.certificate", "rds.subnet-group"] {
        let row = row(INSTANCE, id, DB, &instance(), change, &context()).unwrap();
        assert!(row.command.starts_with("# docs/backups.md#regras: "), "{}", row.command);
    }
    for status in ["stopped", "stopping"] {
        let stopped = |db: &mut Instance| {
            (db.engine, db.is_protected, db.status) = (custom(), Some(false), Some(status.to_owned()));
        };
        for id in ["rds.deletion-protection", "rds.stopped"] {
            let row = row(INSTANCE, id, DB, &instance(), stopped, &context()).unwrap();
            assert!(!row.command.contains("start-db-instance"), "{}", row.command);
        }
    }
}

fn case(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// tests/cases/16: a dev database that is stopped over the weekend.
#[test]
fn a_stopped_database_needs_no_newer_snapshot_than_when_it_was_stopped() {
    let case = case(include_str!("../../../../tests/cases/16-rds-instance-stopped.json"));
    let at = |field: &str| case[field].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    let context = Context { now: at("_now"), retention_days: Some(7), ..context() };
    let stopped = Instance {
        name: case["DBInstanceIdentifier"].as_str().unwrap().to_owned(),
        status: case["DBInstanceStatus"].as_str().map(str::to_owned),
        retention_days: Some(7),
        created: Some(at("InstanceCreateTime")),
        latest_restorable: Some(at("LatestRestorableTime")),
        newest_snapshot: Some(Ok(Some(at("_newest automated snapshot")))),
        ..instance()
    };
    let rows = judge(INSTANCE, (&stopped.name, ""), &stopped, &context);
    let failing: Vec<_> = rows.iter().filter(|row| row.verdict != Verdict::Pass).collect();
    let ids: Vec<_> = failing.iter().map(|row| (row.rule.id, row.rule.severity)).collect();
    assert_eq!(ids, [("rds.stopped", Severity::Low)]);
    assert_eq!(failing[0].verdict, Verdict::fail("DBInstanceStatus stopped", "available"));
    let name = &stopped.name;
    let start = format!(
        "aws rds start-db-instance --db-instance-identifier {name} && aws rds wait db-instance-available --db-instance-identifier {name}"
    );
    assert_eq!(failing[0].command, start);
    // The same database, running, would have had no snapshot for three days.
    let running = Instance { status: Some("available".to_owned()), ..stopped.clone() };
    let rows = judge(INSTANCE, (name, ""), &running, &context);
    let failing: Vec<_> =
        rows.iter().filter(|row| row.verdict != Verdict::Pass).map(|row| row.rule.id).collect();
    assert_eq!(failing, ["rds.snapshot-fresh", "rds.point-in-time"]);
    // RDS refuses a change and a snapshot of one that is stopped.
    let broken = Instance { is_protected: Some(false), newest_snapshot: Some(Ok(None)), ..stopped.clone() };
    for row in judge(INSTANCE, (name, ""), &broken, &context) {
        let Verdict::Fail { .. } = row.verdict else { continue };
        assert!(row.command.starts_with(&start), "{row:?}");
    }
}

#[test]
fn a_database_that_rests_is_measured_at_its_stop_and_for_a_week_at_most() {
    const WEEK: i64 = 7 * DAY;
    // Status, seconds ago: when it restarts less a week, the latest point, the newest snapshot; the verdicts on both.
    for (status, stopped, point, newest, fresh, in_time) in [
        ("stopped", Some(2 * DAY), 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
        ("stopped", Some(2 * DAY), 2 * DAY, 2 * DAY + 26 * HOUR + 1, "fail", "pass"),
        ("stopped", Some(2 * DAY), 2 * DAY + 15 * 60, 2 * DAY, "pass", "pass"),
        ("stopped", Some(2 * DAY), 2 * DAY + 15 * 60 + 1, 2 * DAY, "pass", "fail"),
        ("stopped", None, 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
        ("stopped", None, 2 * DAY, 2 * DAY + 26 * HOUR + 1, "fail", "pass"),
        ("stopping", None, 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
        ("starting", None, 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
        ("stopped", None, WEEK + 15 * 60, WEEK + 26 * HOUR, "pass", "pass"),
        ("stopped", None, WEEK + 15 * 60 + 1, WEEK + 26 * HOUR + 1, "fail", "fail"),
        ("available", Some(2 * DAY), 2 * DAY, 2 * DAY, "fail", "fail"),
    ] {
        let change = |db: &mut Instance| {
            db.status = Some(status.to_owned());
            db.restarts = stopped.map(|at| ago(at - WEEK));
            db.latest_restorable = Some(ago(point));
            db.newest_snapshot = Some(Ok(Some(ago(newest))));
        };
        for (id, expected) in [("rds.snapshot-fresh", fresh), ("rds.point-in-time", in_time)] {
            let row = row(INSTANCE, id, DB, &instance(), change, &context());
            assert_eq!(word(row.as_ref()), expected, "{status} {stopped:?} {point} {newest}: {row:?}");
        }
    }
}

/// tests/cases/08: AWS Backup owns the instance's backups.
#[test]
fn backups_that_aws_backup_owns_are_judged_by_its_plan() {
    let case = case(include_str!("../../../../tests/cases/08-rds-instance-owned-by-aws-backup.json"));
    let point = case["AwsBackupRecoveryPointArn"].as_str().unwrap();
    let days = i32::try_from(case["BackupRetentionPeriod"].as_i64().unwrap()).unwrap();
    let owned = |plans: Vec<Option<i32>>| Instance {
        name: case["DBInstanceIdentifier"].as_str().unwrap().to_owned(),
        recovery_point: Some(point.to_owned()),
        retention_days: Some(days),
        backup_window: Some("14:00-15:00".to_owned()),
        plans: Some(Ok(plans.into_iter().map(|days| Arc::new(plan(json!({}), days))).collect())),
        ..instance()
    };
    let of_plan = |days: i32| format!("plan prod (p-1), rule daily: DeleteAfterDays {days}");
    for (plans, found) in [
        (vec![Some(30)], None),
        (vec![Some(8)], Some(format!("AWS Backup: {}", of_plan(8)))),
        (vec![Some(35), Some(29)], Some(format!("AWS Backup: {}; {}", of_plan(35), of_plan(29)))),
        (vec![], Some(format!("BackupRetentionPeriod 8, of AWS Backup ({point})"))),
        (vec![None], Some(format!("BackupRetentionPeriod 8, of AWS Backup ({point})"))),
    ] {
        let has_plan = plans.iter().flatten().next().is_some();
        let db = owned(plans);
        let rows = judge(INSTANCE, (DB, ""), &db, &context());
        let row = rows.iter().find(|row| row.rule.id == "rds.retention").unwrap();
        let expected = found.map_or(Verdict::Pass, |found| Verdict::fail(found, "≥ 30"));
        assert_eq!(row.verdict, expected);
        assert!(!rows.iter().any(|row| row.rule.id == "rds.backup-window"));
        // RDS refuses what the plan decides.
        assert!(!row.command.contains("aws rds"), "{}", row.command);
        if row.verdict != Verdict::Pass {
            let expected = if has_plan {
                "aws backup update-backup-plan --backup-plan-id p-1"
            } else {
                "aws backup describe-protected-resource"
            };
            assert!(row.command.contains(expected), "{}", row.command);
        }
    }
}

/// The shortest plan decides, and another that is too short would after it.
#[test]
fn every_plan_that_keeps_too_little_is_changed_the_shortest_first() {
    let of = |id: &str, rules: &[(&str, i32)]| {
        let mut plan = plan(json!({}), Some(35));
        plan.id = id.to_owned();
        plan.rules = rules
            .iter()
            .map(|(name, days)| Scheduled {
                rule_name: (*name).to_owned(),
                lifecycle: super::plans::Lifecycle { delete_after_days: Some(f64::from(*days)) },
                ..plan.rules[0].clone()
            })
            .collect();
        Arc::new(plan)
    };
    let change = |db: &mut Instance| {
        db.recovery_point = Some("arn:aws:rds:us-east-1:111122223333:auto-backup:ab-1".to_owned());
        db.plans = Some(Ok(vec![
            of("long", &[("a", 35)]),
            of("short", &[("b", 29), ("c", 30)]),
            of("shortest", &[("d", 8), ("e", 7)]),
        ]));
    };
    let row = row(INSTANCE, "rds.retention", DB, &instance(), change, &context()).unwrap();
    let plans: Vec<_> = row.command.split("update-backup-plan --backup-plan-id ").skip(1).collect();
    assert_eq!(plans.len(), 2, "{}", row.command);
    assert!(plans[0].starts_with("shortest ") && plans[1].starts_with("short "), "{}", row.command);
    assert!(row.command.contains(r#"select(.RuleName == "e" or .RuleName == "d")"#), "{}", row.command);
    assert!(row.command.contains(r#"select(.RuleName == "b")"#), "{}", row.command);
    assert!(!row.command.contains(r#""a""#) && !row.command.contains(r#""c""#), "{}", row.command);
}

#[test]
fn a_subscription_covers_its_type_its_names_and_its_categories() {
    let all = Subscription { is_sending: true, ..Subscription::default() };
    let of = |source: &str, names: &[&str], categories: &[&str]| Subscription {
        source: Some(source.to_owned()),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        categories: categories.iter().map(|one| (*one).to_owned()).collect(),
        ..all.clone()
    };
    let (backup, failure) = ("db-instance backup", "db-instance failure");
    let both = of("db-instance", &[], &["backup", "failure"]);
    for (subscriptions, expected) in [
        (vec![], vec![backup, failure]),
        (vec![all.clone()], vec![]),
        (vec![Subscription { is_sending: false, ..all.clone() }], vec![backup, failure]),
        (vec![both.clone()], vec![]),
        (vec![of("db-instance", &[], &["backup", "failure", "maintenance"])], vec![]),
        (vec![of("db-instance", &[DB], &[])], vec![]),
        (vec![of("db-instance", &["another"], &[])], vec![backup, failure]),
        (vec![of("db-instance", &["another", DB], &["failure"])], vec![backup]),
        (vec![of("db-instance", &[], &["failure"]), of("db-instance", &[], &["backup"])], vec![]),
        (vec![of("db-snapshot", &[], &[])], vec![backup, failure]),
    ] {
        assert_eq!(unheard(&instance(), &subscriptions), expected, "{subscriptions:?}");
    }
    let of_cluster =
        [of("db-cluster", &[CLUSTER], &["failure"]), of("db-cluster-snapshot", &[], &["backup"])];
    assert_eq!(unheard(&cluster(), &of_cluster), [""; 0]);
    assert_eq!(unheard(&cluster(), &of_cluster[..1]), ["db-cluster-snapshot backup"]);
    assert_eq!(
        unheard(&cluster(), std::slice::from_ref(&both)),
        ["db-cluster failure", "db-cluster-snapshot backup"]
    );
    let member = Instance { form: member(), ..instance() };
    assert_eq!(unheard(&member, &[of("db-instance", &[], &["failure"])]), [""; 0]);
}

#[test]
fn what_a_database_is_to_a_blue_green_deployment() {
    let arn = |name: &str| format!("arn:aws:rds:us-east-1:111122223333:db:{name}");
    let pairs = |status: &str, blue: &str| {
        vec![Pair {
            blue: Some(arn(blue)),
            green: Some(arn("db-green-abc123")),
            id: "bgd-1".to_owned(),
            status: status.to_owned(),
        }]
    };
    for (name, status, blue, expected) in [
        ("db", "AVAILABLE", "db", Some(Side::Blue)),
        ("db-green-abc123", "AVAILABLE", "db", Some(Side::Green)),
        ("db-green-abc123", "PROVISIONING", "db", Some(Side::Green)),
        ("db-green-abc123", "SWITCHOVER_FAILED", "db", Some(Side::Green)),
        ("db-old1", "SWITCHOVER_COMPLETED", "db-old1", Some(Side::Old)),
        ("db-old12", "SWITCHOVER_COMPLETED", "db-old12", Some(Side::Old)),
        // The name in production, whichever ARN RDS still shows as the source.
        ("db", "SWITCHOVER_COMPLETED", "db", None),
        // Deleted after the switchover, or before it.
        ("db-green-abc123", "DELETING", "db-old1", None),
        ("db-old1", "DELETING", "db-old1", Some(Side::Old)),
        ("db-green-abc123", "INVALID_CONFIGURATION", "db-old1", None),
        ("db-green-abc123", "DELETING", "db", Some(Side::Green)),
        ("db", "DELETING", "db", Some(Side::Blue)),
        ("db-old1", "AVAILABLE", "db-old1", Some(Side::Blue)),
        ("db-olden", "SWITCHOVER_COMPLETED", "db-olden", None),
        ("db-green-abc123", "SWITCHOVER_COMPLETED", "db", None),
        ("another", "AVAILABLE", "db", None),
    ] {
        let found = deployment(&arn(name), &pairs(status, blue));
        assert_eq!(found.map(|found| found.side), expected, "{name} {status} {blue}");
    }
}

#[test]
fn a_versions_support_is_that_of_its_major_version() {
    let majors: Vec<_> = ["9", "9.6", "1", "13", "8.0"]
        .iter()
        .enumerate()
        .map(|(days, major)| ((*major).to_owned(), Some(ago(-DAY * i64::try_from(days).unwrap()))))
        .collect();
    for (version, expected) in [
        ("13.9", Some(3)),
        ("13", Some(3)),
        ("130.1", None),
        ("9.6.24", Some(1)),
        ("9.5", Some(0)),
        ("8.0.mysql_aurora.3.04.0", Some(4)),
        ("8.4.3", None),
        ("1.2", Some(2)),
    ] {
        let expected = expected.map(|days| Some(ago(-DAY * days)));
        assert_eq!(supported_until(version, &majors), expected, "{version}");
    }
    assert_eq!(supported_until("19.0.0", &[("19".to_owned(), None)]), Some(None));
}

#[test]
fn the_name_of_a_selection_has_50_characters_at_most() {
    let arn = format!("arn:aws:s3:::{}", "a".repeat(63));
    for (length, expected) in [(50, 50), (51, 50), (63, 50)] {
        let command = select(&"a".repeat(length), &arn);
        assert!(command.contains(&format!("SelectionName={},", "a".repeat(expected))), "{command}");
        assert!(command.ends_with(&arn), "{command}");
    }
}

#[test]
fn every_rule_of_a_snapshot() {
    check(SNAPSHOT, "moveongs-prod-20261126", &snapshot(), SNAPSHOTS);
}

#[test]
fn every_rule_of_a_bucket() {
    check(BUCKET, FILES, &bucket(Role::Attachments), BUCKETS);
}

#[test]
fn every_rule_of_a_lock_table() {
    check(TABLE, "moveongs-terraform-locks", &table(), TABLES);
}

#[test]
fn every_rule_of_a_service() {
    check(SERVICE, "moveongs-prod-api", &service(), SERVICES);
}

#[test]
fn every_rule_of_what_a_plan_should_select_and_of_vaults() {
    check(PROTECTED, FILES, &protected(), PROTECTEDS);
    check(VAULT, "main", &vault(), VAULTS);
}

#[test]
fn every_rule_of_the_account() {
    check(ACCOUNT, "111122223333", &account(), ACCOUNTS);
}

#[test]
fn every_rule_has_rows_of_each_kind() {
    fn kinds<T>(rows: Rows<T>) -> impl Iterator<Item = (&'static str, &'static str)> {
        rows.iter().map(|(id, case, _)| (*id, case.kind()))
    }
    let given = kinds(INSTANCES).chain(kinds(SNAPSHOTS)).chain(kinds(BUCKETS));
    let given = given.chain(kinds(TABLES)).chain(kinds(SERVICES)).chain(kinds(ACCOUNTS));
    let given = given.chain(kinds(PROTECTEDS)).chain(kinds(VAULTS));
    let mut rows = BTreeMap::<_, BTreeSet<_>>::new();
    for (id, kind) in given {
        rows.entry(id).or_default().insert(kind);
    }
    for rule in all().filter(|rule| !OF_NO_RESOURCE.contains(&rule.id)) {
        let kinds: Vec<_> = rows.remove(rule.id).unwrap_or_default().into_iter().collect();
        assert_eq!(kinds, ["broken", "dark", "edge", "holds"], "{}", rule.id);
    }
    assert!(rows.is_empty(), "rows of no rule: {rows:?}");
}

#[test]
fn every_rule_says_what_it_is_in_both_languages() {
    let mut ids = BTreeSet::new();
    for rule in all() {
        assert!(ids.insert(rule.id), "{} stands twice", rule.id);
        assert!(rule.id.contains('.'), "{}", rule.id);
        assert!(!rule.guide.is_empty(), "{}", rule.id);
        for [portuguese, english] in [rule.title, rule.why] {
            assert!(!portuguese.is_empty() && !english.is_empty(), "{}", rule.id);
            assert_ne!(portuguese, english, "{}", rule.id);
        }
    }
    assert!(OF_NO_RESOURCE.iter().all(|id| ids.contains(id)));
}

#[track_caller]
fn window(found: &str, expected: &str) {
    let change = |db: &mut Instance| db.backup_window = Some(found.to_owned());
    let row = row(INSTANCE, "rds.backup-window", DB, &instance(), change, &context());
    assert_eq!(word(row.as_ref()), expected, "{row:?}");
}

/// Business hours are 8 to 20 in São Paulo: 11:00 to 23:00 UTC.
#[test]
fn a_backup_window_may_touch_business_hours_and_pass_midnight() {
    window("10:30-11:00", "pass");
    window("10:31-11:01", "fail");
    window("23:00-23:30", "pass");
    window("22:59-23:29", "fail");
    window("23:30-00:30", "pass");
    window("02:45-03:15", "pass"); // midnight in São Paulo
    window("23:00-11:00", "pass"); // the whole night
    window("23:00-11:01", "fail");
    window("22:59-11:00", "fail");
    window("22:00-12:00", "fail");
    window("10:00-24:00", "unknown");
    window("05:00-05:29", "unknown"); // RDS takes half an hour at least
    window("05:00-05:30", "pass");
    window("5:00-06:00", "unknown");
}

#[track_caller]
fn maintenance(backup: &str, maintenance: &str, is_refused: bool) {
    let policy = audit(json!({"backup_window": backup}));
    let context = Context { policy: &policy, ..context() };
    let change = |db: &mut Instance| {
        (db.backup_window, db.maintenance_window) = (None, Some(maintenance.to_owned()));
    };
    let command = row(INSTANCE, "rds.backup-window", DB, &instance(), change, &context).unwrap().command;
    assert_eq!(command.starts_with('#'), is_refused, "{command}");
    assert_eq!(command.contains(maintenance), is_refused, "{command}");
    assert!(can_be_run(&command) && command.contains(DB), "{command}");
}

/// RDS takes windows that touch, and none that overlap.
#[test]
fn a_backup_window_that_overlaps_the_maintenance_window_is_not_asked_for() {
    maintenance("05:00-06:00", "sun:06:00-sun:06:30", false);
    maintenance("05:00-06:00", "sun:04:30-sun:05:00", false);
    maintenance("05:00-06:00", "sun:05:59-sun:06:29", true);
    maintenance("05:00-06:00", "Sun:04:31-Sun:05:01", true);
    maintenance("05:00-06:00", "wed:05:15-wed:05:45", true);
    maintenance("05:00-06:00", "wed:04:00-wed:07:00", true);
    maintenance("23:30-00:30", "sun:23:00-sun:23:30", false);
    maintenance("23:30-00:30", "mon:00:30-mon:01:00", false);
    maintenance("23:30-00:30", "mon:00:00-mon:00:30", true);
    maintenance("23:30-00:30", "sun:23:45-mon:00:15", true);
    maintenance("05:00-06:00", "sun:22:00-mon:05:00", false);
    maintenance("05:00-06:00", "sun:22:00-mon:05:01", true);
    maintenance("05:00-06:00", "thu:12:00-wed:05:01", true);
    maintenance("05:00-06:00", "some day", false);
    maintenance("05:00-06:00", "day:05:00-day:05:30", false);
}

#[test]
fn a_metric_that_is_counted_already_gets_an_alarm_only() {
    let command = |namespace: &str| {
        let counted = BTreeSet::from([(namespace.to_owned(), "Errors".to_owned())]);
        let change = |account: &mut Account| {
            account.log_watch = Ok(LogWatch { counted: counted.clone(), alarmed: BTreeSet::new() });
        };
        row(ACCOUNT, "account.log-filters", "account", &account(), change, &context()).unwrap().command
    };
    let reported = command("shop/api");
    assert!(reported.starts_with("aws cloudwatch put-metric-alarm "), "{reported}");
    assert!(reported.contains(" --namespace shop/api --metric-name Errors "), "{reported}");
    // The name is someone else's, and would run in the shell of whoever pastes the command.
    let reported = command("$(curl example.org)");
    assert!(reported.starts_with("aws logs put-metric-filter ") && !reported.contains("curl"), "{reported}");
}

#[test]
fn what_a_person_runs_when_no_snapshot_came() {
    for (database, name, expected) in [
        (DB, DB, r#""by":"backup-audit"}' | aws lambda invoke "#),
        (DB, DB, "--payload fileb:///dev/stdin /dev/stdout; aws rds describe-events "),
        ("main", DB, r#""by":"backup-audit","instance":"moveongs-prod-db"}' | aws "#),
        ("main", "main", r#""deploy":"backup-audit-main-2026-11-26","#),
        (
            "main",
            "legacy",
            "--db-instance-identifier legacy --db-snapshot-identifier legacy-2026-11-26; aws ",
        ),
    ] {
        let context = Context { database, ..context() };
        let change = |db: &mut Instance| {
            (db.name, db.newest_snapshot) = (name.to_owned(), Some(Ok(None)));
        };
        let row = row(INSTANCE, "rds.snapshot-fresh", name, &instance(), change, &context).unwrap();
        assert!(row.command.contains(expected), "{}", row.command);
    }
}

#[test]
fn retention_is_measured_by_the_environments_own_number() {
    for (environment, least, days, expected) in [
        ("dev", Some(7), 7, "pass"),
        ("dev", Some(7), 6, "fail"),
        ("staging", Some(7), 7, "pass"),
        ("staging", Some(7), 0, "fail"),
        ("prod", Some(30), 30, "pass"),
        ("prod", Some(30), 29, "fail"),
        ("qa", None, 35, "unknown"),
    ] {
        let context = Context { environment, retention_days: least, ..context() };
        let change = |db: &mut Instance| db.retention_days = Some(days);
        let row = row(INSTANCE, "rds.retention", DB, &instance(), change, &context);
        assert_eq!(word(row.as_ref()), expected, "{row:?}");
    }
}

#[test]
fn a_retention_that_waits_is_reported_and_does_not_count() {
    let change = |db: &mut Instance| (db.retention_days, db.pending_retention_days) = (Some(7), Some(30));
    let row = row(INSTANCE, "rds.retention", DB, &instance(), change, &context()).unwrap();
    assert_eq!(row.verdict, Verdict::fail("BackupRetentionPeriod 7, pending 30", "≥ 30"));
}

#[test]
fn backups_that_are_off_are_reported_once_and_not_as_their_consequences() {
    let off = Instance {
        retention_days: Some(0),
        latest_restorable: None,
        newest_snapshot: Some(Ok(None)),
        ..instance()
    };
    let rows = judge(INSTANCE, (DB, ""), &off, &context());
    let failing: Vec<_> = rows.iter().filter(|row| row.verdict != Verdict::Pass).collect();
    let ids: Vec<_> = failing.iter().map(|row| row.rule.id).collect();
    assert_eq!(ids, ["rds.retention", "rds.backups-on"]);
    for row in failing {
        assert!(row.command.contains("--backup-retention-period 30 --apply-immediately"), "{row:?}");
    }
}

#[test]
fn a_switch_off_that_waits_is_taken_back_without_an_outage_and_without_a_shorter_retention() {
    let off = Instance { pending_retention_days: Some(0), ..instance() };
    let rows = judge(INSTANCE, (DB, ""), &off, &context());
    let failing: Vec<_> = rows.iter().filter(|row| row.verdict != Verdict::Pass).collect();
    let ids: Vec<_> = failing.iter().map(|row| row.rule.id).collect();
    assert_eq!(ids, ["rds.retention", "rds.backups-on"]);
    for row in failing {
        assert!(row.command.ends_with("--backup-retention-period 35"), "{row:?}");
        let Verdict::Fail { found, .. } = &row.verdict else { panic!("{row:?}") };
        assert_eq!(found, "BackupRetentionPeriod 35, pending 0");
    }
}

#[test]
fn rules_that_the_policy_or_the_stack_does_not_ask_for_are_no_rows() {
    let plain = audit(json!({}));
    let context = Context { policy: &plain, key: None, ..context() };
    let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.rule.id).collect::<Vec<_>>();
    let asked = ids(judge(INSTANCE, (DB, ""), &instance(), &context));
    for id in ["rds.multi-az", "rds.encryption-key"] {
        assert!(!asked.contains(&id), "{id}");
    }
    assert!(asked.contains(&"rds.encryption"));
}

#[test]
fn the_evidence_is_locked_as_the_stack_asks_or_more() {
    let lock = |mode: &str, days| Lock { mode: mode.to_owned(), days };
    for (asked, found, expected) in [
        (("COMPLIANCE", 365), ("COMPLIANCE", 365), "pass"),
        (("COMPLIANCE", 365), ("COMPLIANCE", 364), "fail"),
        (("COMPLIANCE", 365), ("GOVERNANCE", 3650), "fail"),
        (("GOVERNANCE", 365), ("COMPLIANCE", 365), "pass"),
        (("GOVERNANCE", 365), ("COMPLIANCE", 364), "fail"),
        (("GOVERNANCE", 1), ("GOVERNANCE", 1), "pass"),
    ] {
        let asked = lock(asked.0, asked.1);
        let context = Context { evidence_lock: &asked, ..context() };
        let change = |bucket: &mut Bucket| bucket.lock = Some(Ok(Some(lock(found.0, found.1))));
        let row = row(BUCKET, "s3.evidence-lock", FILES, &bucket(Role::Evidence), change, &context);
        assert_eq!(word(row.as_ref()), expected, "{asked:?} {found:?}");
    }
}

#[track_caller]
fn noncurrent(rules: Vec<Lifecycle>, expected: &str) {
    let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
    let row = row(BUCKET, "s3.noncurrent", FILES, &bucket(Role::Attachments), change, &context());
    assert_eq!(word(row.as_ref()), expected, "{row:?}");
}

#[test]
fn the_shortest_enabled_lifecycle_rule_counts_and_one_must_be_for_all() {
    let rule = |days| whole(Some(days), None);
    let part = |days| Lifecycle { prefix: "a/".to_owned(), ..rule(days) };
    let disabled = |days| Lifecycle { is_enabled: false, ..rule(days) };
    noncurrent(vec![rule(30), rule(90)], "pass");
    noncurrent(vec![rule(30), rule(29)], "fail");
    noncurrent(vec![rule(30), part(29)], "fail");
    noncurrent(vec![rule(30), part(30)], "pass");
    noncurrent(vec![part(90)], "fail");
    noncurrent(vec![disabled(90)], "fail");
    noncurrent(vec![rule(30), disabled(1)], "pass");
    noncurrent(vec![whole(None, Some(7))], "fail");
}

#[test]
fn incomplete_uploads_of_a_part_or_of_a_disabled_rule_do_not_count() {
    let rule = whole(None, Some(7));
    for (rules, expected) in [
        (vec![rule.clone(), whole(None, Some(30))], "pass"),
        (vec![Lifecycle { is_filtered: true, ..rule.clone() }], "fail"),
        (vec![Lifecycle { is_enabled: false, ..rule }], "fail"),
    ] {
        let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
        let row = row(BUCKET, "s3.incomplete-uploads", FILES, &bucket(Role::Other), change, &context());
        assert_eq!(word(row.as_ref()), expected, "{rules:?}");
    }
}

#[test]
fn a_buckets_key_by_its_arn_its_id_or_an_alias() {
    for (role, key, algorithm, found, expected) in [
        (Role::Attachments, Some(KEY), "aws:kms", Some(KEY), "pass"),
        (Role::Attachments, Some(KEY), "aws:kms", Some("0b1c"), "pass"),
        (Role::Attachments, Some(KEY), "aws:kms:dsse", Some(KEY), "pass"),
        (Role::Uploads, Some(KEY), "aws:kms", Some("b1c"), "fail"),
        (Role::Uploads, Some(KEY), "AES256", None, "fail"),
        (Role::Attachments, Some(KEY), "aws:kms", Some("alias/moveongs-prod"), "unknown"),
        (
            Role::Attachments,
            Some(KEY),
            "aws:kms",
            Some("arn:aws:kms:us-east-1:111122223333:alias/app"),
            "unknown",
        ),
        (Role::Attachments, Some(KEY), "aws:kms", Some("alias/aws/s3"), "fail"),
        (Role::Attachments, None, "aws:kms", Some("alias/app"), "pass"),
        (Role::Attachments, None, "AES256", None, "fail"),
        (Role::Uploads, None, "AES256", None, "pass"),
        (Role::State, Some(KEY), "AES256", None, "pass"),
    ] {
        let context = Context { key, ..context() };
        let change = |bucket: &mut Bucket| encrypt(bucket, algorithm, found);
        let row = row(BUCKET, "s3.encryption", FILES, &bucket(role), change, &context);
        assert_eq!(word(row.as_ref()), expected, "{role:?} {key:?} {algorithm} {found:?}: {row:?}");
    }
}

/// Whether the rule takes a policy for one that refuses every request without TLS.
pub(crate) fn denies_clear(policy: &str) -> bool {
    let change = |bucket: &mut Bucket| bucket.policy = Ok(Some(policy.to_owned()));
    let row = row(BUCKET, "s3.tls-only", FILES, &bucket(Role::Attachments), change, &context());
    word(row.as_ref()) == "pass"
}

#[track_caller]
fn with_policy(rule: &str, policy: &str, expected: &str) -> Row {
    let change = |bucket: &mut Bucket| {
        bucket.policy = Ok(Some(policy.replace("moveongs-dev-attachments", FILES)));
    };
    let row = row(BUCKET, rule, FILES, &bucket(Role::Attachments), change, &context());
    assert_eq!(word(row.as_ref()), expected, "{policy}: {row:?}");
    row.unwrap()
}

/// What IAM makes of a policy is a matter of `shared::access`; here is what the audit makes of that.
#[test]
fn case_10a_another_spelling_of_tls_only_passes_and_what_is_not_refused_is_named() {
    with_policy(
        "s3.tls-only",
        include_str!("../../../../tests/cases/10a-bucket-policy-boolifexists.json"),
        "pass",
    );
    let mut reading = tls_statement(FILES);
    reading["Action"] = json!(["s3:get*", "s3:Put*"]);
    let row = with_policy("s3.tls-only", &json!({"Statement": reading}).to_string(), "fail");
    let Verdict::Fail { found, .. } = row.verdict else { panic!() };
    assert!(found.starts_with("without TLS s3:"), "{found}");
    assert!(
        found.contains(&format!("of arn:aws:s3:::{FILES}")) && found.ends_with("is not denied to *"),
        "{found}"
    );
    for broken in ["{", r#"{"Statement": [{"Effect": "Deny"}]}"#] {
        for rule in ["s3.tls-only", "s3.foreign-access"] {
            with_policy(rule, broken, "unknown");
        }
        // Whatever it says, S3 gives strangers nothing by it.
        with_policy("s3.public", broken, "pass");
    }
}

/// A bucket whose policy allows everything to a principal, with the blocks that are off for it and for the account.
fn opened(principal: &serde_json::Value, open: &[&'static str], account: &Seen<Vec<&'static str>>) -> Bucket {
    let mut statement = json!({"Effect": "Allow", "Action": "s3:*", "Principal": principal});
    statement["Resource"] = json!([format!("arn:aws:s3:::{FILES}"), format!("arn:aws:s3:::{FILES}/*")]);
    Bucket {
        policy: Ok(Some(json!({"Statement": [statement]}).to_string())),
        open: Ok(open.to_vec()),
        account_open: account.clone(),
        ..bucket(Role::Attachments)
    }
}

#[track_caller]
fn access(bucket: &Bucket, public: &str, foreign: &str) {
    let of = |rule| row(BUCKET, rule, FILES, bucket, |_| (), &context());
    assert_eq!(word(of("s3.public").as_ref()), public, "{bucket:?}: {:?}", of("s3.public"));
    assert_eq!(word(of("s3.foreign-access").as_ref()), foreign, "{bucket:?}: {:?}", of("s3.foreign-access"));
}

/// The account's block of the case, as S3 Control tells it.
fn blocks_of_case_07() -> Seen<Vec<&'static str>> {
    let case = include_str!("../../../../tests/cases/07-s3-account-level-block.json");
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let account = &case["s3control:GetPublicAccessBlock (account 123456789012)"];
    Ok(BLOCKS.into_iter().filter(|name| account[*name] != true).collect())
}

#[test]
fn case_07_the_accounts_block_counts_setting_by_setting() {
    const RESTRICT: &str = "RestrictPublicBuckets";
    let (all, none) = (BLOCKS.to_vec(), Vec::new());
    for (open, account, expected) in [
        (Ok(all.clone()), blocks_of_case_07(), "pass"),
        (Ok(all.clone()), Ok(all.clone()), "fail"),
        (Ok(none.clone()), Ok(all.clone()), "pass"),
        (Ok(none.clone()), unread(), "pass"),
        (unread(), Ok(none.clone()), "pass"),
        (unread(), Ok(all.clone()), "unknown"),
        (unread(), unread(), "unknown"),
        (Ok(vec![RESTRICT]), unread(), "unknown"),
        (Ok(vec![RESTRICT]), Ok(vec!["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy"]), "pass"),
        (Ok(vec![RESTRICT]), Ok(vec![RESTRICT]), "fail"),
        (Ok(vec![RESTRICT, "BlockPublicAcls"]), Ok(vec![RESTRICT]), "fail"),
    ] {
        let change = |bucket: &mut Bucket| {
            (bucket.open, bucket.account_open) = (open.clone(), account.clone());
        };
        let row =
            row(BUCKET, "s3.public-access-block", FILES, &bucket(Role::Attachments), change, &context());
        assert_eq!(word(row.as_ref()), expected, "{open:?} {account:?}: {row:?}");
    }
    let change = |bucket: &mut Bucket| {
        (bucket.open, bucket.account_open) = (Ok(vec![RESTRICT, "BlockPublicAcls"]), Ok(vec![RESTRICT]));
    };
    let row = row(BUCKET, "s3.public-access-block", FILES, &bucket(Role::Attachments), change, &context());
    assert_eq!(row.unwrap().verdict, Verdict::fail("RestrictPublicBuckets false", "all four true"));
}

#[test]
fn whom_a_buckets_policy_lets_in_and_what_blocks_it() {
    let (all, on) = (BLOCKS.to_vec(), Ok(Vec::new()));
    let off = Ok(all.clone());
    let (everybody, another) = (json!("*"), json!({"AWS": "777788889999"}));
    let service = json!({"Service": "logging.s3.amazonaws.com"});
    access(&opened(&everybody, &all, &off), "fail", "pass");
    access(&opened(&everybody, &[], &off), "pass", "pass");
    access(&opened(&everybody, &all, &on), "pass", "pass");
    access(&opened(&everybody, &["RestrictPublicBuckets"], &off), "fail", "pass");
    access(&opened(&everybody, &["IgnorePublicAcls"], &off), "pass", "pass");
    access(&opened(&everybody, &all, &unread()), "unknown", "pass");
    access(&opened(&another, &[], &on), "pass", "fail");
    access(&opened(&service, &[], &on), "pass", "fail");
    access(&opened(&json!({"AWS": "111122223333"}), &all, &off), "pass", "pass");
    access(&opened(&json!({"AWS": "arn:aws:iam::444455556666:role/agreed"}), &all, &off), "pass", "pass");
    let mut unseen = bucket(Role::Attachments);
    unseen.policy = unread();
    access(&unseen, "pass", "unknown");
    (unseen.open, unseen.account_open) = (Ok(all.clone()), off.clone());
    access(&unseen, "unknown", "unknown");
    unseen.policy = Ok(None);
    access(&unseen, "pass", "pass");
    for role in [Role::Evidence, Role::State, Role::Grafana, Role::Uploads, Role::Other] {
        access(&Bucket { role, ..opened(&everybody, &all, &off) }, "fail", "pass");
    }
}

#[test]
fn whom_a_buckets_acl_lets_in_and_what_blocks_it() {
    let (all, on) = (BLOCKS.to_vec(), Ok(Vec::new()));
    let off = Ok(all.clone());
    let acl = |account: Option<&str>, group: Option<&str>| {
        let mut acl = bucket(Role::Attachments).acl.unwrap();
        acl.accounts.extend(account.map(str::to_owned));
        acl.groups.extend(group.map(str::to_owned));
        Ok(acl)
    };
    let with = |acl, open: &[&'static str], account: &Seen<Vec<&'static str>>| Bucket {
        acl,
        open: Ok(open.to_vec()),
        account_open: account.clone(),
        ..bucket(Role::Attachments)
    };
    for group in ["AllUsers", "AuthenticatedUsers"] {
        access(&with(acl(None, Some(group)), &all, &off), "fail", "pass");
        access(&with(acl(None, Some(group)), &["IgnorePublicAcls"], &off), "fail", "pass");
        access(&with(acl(None, Some(group)), &["RestrictPublicBuckets"], &off), "pass", "pass");
        access(&with(acl(None, Some(group)), &all, &on), "pass", "pass");
        access(&with(acl(None, Some(group)), &all, &unread()), "unknown", "pass");
    }
    access(&with(acl(Some("0wner"), None), &all, &off), "pass", "pass");
    access(&with(acl(Some("0ther"), None), &[], &on), "pass", "fail");
    access(&with(unread(), &[], &on), "pass", "unknown");
    access(&with(unread(), &all, &off), "unknown", "unknown");
    access(&with(Ok(Acl::default()), &all, &off), "unknown", "unknown");
    let other = with(acl(Some("0ther"), None), &[], &on);
    let acl_only = row(BUCKET, "s3.foreign-access", FILES, &other, |_| (), &context()).unwrap();
    assert_eq!(acl_only.command, format!("aws s3api put-bucket-acl --bucket {FILES} --acl private"));
    let both = Bucket { acl: other.acl, ..opened(&json!({"AWS": "777788889999"}), &[], &on) };
    let both = row(BUCKET, "s3.foreign-access", FILES, &both, |_| (), &context()).unwrap();
    assert_eq!(
        both.verdict,
        Verdict::fail("bucket policy: 777788889999; ACL: 0ther", "only 111122223333, 444455556666")
    );
    assert!(
        both.command.contains("put-bucket-policy") && both.command.contains("put-bucket-acl"),
        "{both:?}"
    );
}

/// The lifecycle of the case, read as S3's answer is.
fn lifecycle_of_case_17() -> Vec<Lifecycle> {
    let case = include_str!("../../../../tests/cases/17-lifecycle-tmp-prefix.json");
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let days = |rule: &serde_json::Value, place: &str| {
        rule.pointer(place).and_then(serde_json::Value::as_i64).map(|days| i32::try_from(days).unwrap())
    };
    let rule = |rule: &serde_json::Value| Lifecycle {
        id: rule["ID"].as_str().unwrap().to_owned(),
        is_enabled: rule["Status"] == "Enabled",
        prefix: rule["Filter"]["Prefix"].as_str().unwrap_or_default().to_owned(),
        expires: days(rule, "/Expiration/Days").is_some(),
        noncurrent_days: days(rule, "/NoncurrentVersionExpiration/NoncurrentDays"),
        incomplete_days: days(rule, "/AbortIncompleteMultipartUpload/DaysAfterInitiation"),
        ..Lifecycle::default()
    };
    case["Rules"].as_array().unwrap().iter().map(rule).collect()
}

#[test]
fn case_17_a_rule_that_deletes_current_objects_is_named_or_its_prefix_is_let_go() {
    let letting = |prefixes: &[&str]| audit(json!({"expiring_prefixes": {"attachments": prefixes}}));
    let judged = |rules: Vec<Lifecycle>, role: Role, policy: &BackupAudit| {
        let context = Context { policy, ..context() };
        let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
        row(BUCKET, "s3.expiration", FILES, &bucket(role), change, &context).unwrap()
    };
    let none = letting(&[]);
    let row = judged(lifecycle_of_case_17(), Role::Attachments, &none);
    let Verdict::Fail { found, .. } = &row.verdict else { panic!("{row:?}") };
    assert_eq!(found, "Expiration of current objects: rule tmp, tmp/");
    let rule = |prefix: &str, is_filtered| Lifecycle {
        id: "x".to_owned(),
        is_enabled: true,
        prefix: prefix.to_owned(),
        is_filtered,
        expires: true,
        ..Lifecycle::default()
    };
    let case = lifecycle_of_case_17;
    for (rules, prefixes, role, expected) in [
        (case(), &["tmp/"][..], Role::Attachments, "pass"),
        (case(), &["cache/", "tmp/"], Role::Attachments, "pass"),
        (case(), &["tmp/a/"], Role::Attachments, "fail"),
        (case(), &["TMP/"], Role::Attachments, "fail"),
        (case(), &["tmp/"], Role::Uploads, "fail"),
        (case(), &["tmp/"], Role::State, "fail"),
        (case(), &["tmp/"], Role::Evidence, "fail"),
        (vec![rule("tmp/cache/", false)], &["tmp/"], Role::Attachments, "pass"),
        (vec![rule("tmp/", true)], &["tmp/"], Role::Attachments, "pass"),
        (vec![rule("tmp", false)], &["tmp/"], Role::Attachments, "fail"),
        (vec![rule("", true)], &["tmp/"], Role::Attachments, "fail"),
        (vec![rule("", false)], &["tmp/"], Role::Attachments, "fail"),
        ([case(), vec![rule("reports/", false)]].concat(), &["tmp/"], Role::Attachments, "fail"),
    ] {
        let row = judged(rules.clone(), role, &letting(prefixes));
        assert_eq!(row.verdict.word(), expected, "{rules:?} {prefixes:?} {role:?}");
    }
    for (rule, said) in [
        (rule("", true), "rule x, whole bucket, by tag or size"),
        (Lifecycle { id: String::new(), ..rule("a/", false) }, "rule without ID, a/"),
    ] {
        let Verdict::Fail { found, .. } = judged(vec![rule], Role::Attachments, &none).verdict else {
            panic!()
        };
        assert_eq!(found, format!("Expiration of current objects: {said}"));
    }
}

#[test]
fn case_17_versions_are_kept_as_long_as_asked_but_for_those_that_are_let_go() {
    noncurrent(lifecycle_of_case_17(), "pass");
    let short = Lifecycle { prefix: "tmp/".to_owned(), ..whole(Some(1), None) };
    let rules = [lifecycle_of_case_17(), vec![short]].concat();
    noncurrent(rules.clone(), "fail");
    let letting = audit(json!({"expiring_prefixes": {"attachments": ["tmp/"]}}));
    let context = Context { policy: &letting, ..context() };
    let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
    let kept = row(BUCKET, "s3.noncurrent", FILES, &bucket(Role::Attachments), change, &context);
    assert_eq!(word(kept.as_ref()), "pass", "{kept:?}");
}

#[track_caller]
fn excepted(rule: &str, resource: &str, until: &str, expected: &str) {
    let exception =
        json!({"rule": rule, "resource": resource, "reason": "why", "owner": "Squad Dados", "until": until});
    let policy = audit(json!({"exceptions": [exception]}));
    let context = Context { policy: &policy, ..context() };
    let change = |db: &mut Instance| db.is_public = Some(true);
    let row = row(INSTANCE, "rds.public", DB, &instance(), change, &context).unwrap();
    assert_eq!(row.verdict.word(), expected, "{row:?}");
    assert!(can_be_run(&row.command), "{row:?}");
}

/// Today is the 26th in São Paulo.
#[test]
fn an_exception_is_of_one_rule_and_of_a_name_or_a_beginning_and_lasts_its_last_day() {
    excepted("rds.public", DB, "2026-11-26", "excepted");
    excepted("rds.public", DB, "2026-11-25", "fail");
    excepted("rds.public", "moveongs-prod-*", "2026-12-31", "excepted");
    excepted("rds.public", "*", "2026-12-31", "excepted");
    excepted("rds.public", "moveongs-prod-d", "2026-12-31", "fail");
    excepted("rds.public", "moveongs-dev-*", "2026-12-31", "fail");
    excepted("rds.encryption", DB, "2026-12-31", "fail");
}

#[test]
fn an_exception_is_of_a_violation_and_not_of_what_cannot_be_said() {
    let exception =
        json!({"rule": "rds.public", "resource": "*", "reason": "r", "owner": "o", "until": "2026-12-31"});
    let policy = audit(json!({"exceptions": [exception]}));
    let context = Context { policy: &policy, ..context() };
    for (is_public, expected) in [(None, "unknown"), (Some(false), "pass")] {
        let change = |db: &mut Instance| db.is_public = is_public;
        let row = row(INSTANCE, "rds.public", DB, &instance(), change, &context);
        assert_eq!(word(row.as_ref()), expected);
    }
}

#[test]
fn an_exception_whose_day_is_over_is_a_finding() {
    let exception =
        |until| json!({"rule": "rds.public", "resource": until, "reason": "r", "owner": "o", "until": until});
    let policy = audit(json!({"exceptions": [exception("2026-11-25"), exception("2026-11-26")]}));
    // The 26th in UTC, and still the 25th in São Paulo, and the moment after.
    for (now, expected) in [
        ("2026-11-26T02:59:59Z", vec![]),
        ("2026-11-26T03:00:00Z", vec!["rds.public 2026-11-25"]),
        ("2026-11-27T03:00:00Z", vec!["rds.public 2026-11-25", "rds.public 2026-11-26"]),
    ] {
        let context = Context { policy: &policy, now: now.parse().unwrap(), ..context() };
        let rows = expired(&context);
        let names: Vec<_> = rows.iter().map(|row| row.resource.as_str()).collect();
        assert_eq!(names, expected, "{now}");
        for row in rows {
            assert_eq!((row.rule.id, row.verdict.word()), ("audit.exception-expired", "fail"));
            assert!(row.command.contains("backups.audit.exceptions"));
        }
    }
}
