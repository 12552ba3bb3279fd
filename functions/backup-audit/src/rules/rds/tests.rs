use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::snapshot::SNAPSHOT;
use super::*;
use crate::rules::facts::{Deployment, Form, Parameter, Side, Snapshot};
use crate::rules::plans::tests::plan;
use crate::rules::rule::tests::Case::{Broken, Dark, Edge, Holds};
use crate::rules::rule::tests::{CLUSTER, DAY, DB, HOUR, KEY, Rows, ago, audit, check, context, unread};
use crate::rules::rule::{Context, Row, Verdict, judge};

pub(crate) fn instance() -> Instance {
    Instance {
        name: DB.to_owned(),
        arn: format!("arn:aws:rds:us-east-1:111122223333:db:{DB}"),
        engine: Some("postgres".to_owned()),
        version: Some("17.2".to_owned()),
        plans: Some(Ok(vec![Arc::new(plan(json!({}), Some(35)))])),
        unsubscribed: Some(Ok(Vec::new())),
        tls_parameter: Some(Ok(Some(parameter(Some("1"))))),
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

pub(crate) fn share(snapshot: &mut Snapshot, accounts: &[&str]) {
    snapshot.shared_with = Ok(accounts.iter().map(|account| (*account).to_owned()).collect());
}

pub(crate) const INSTANCES: Rows<Instance> = &[
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
    ("rds.events", Broken, |db| db.unsubscribed = Some(Ok(vec!["db-instance failure".into()]))),
    ("rds.events", Dark, |db| db.unsubscribed = Some(unread())),
    ("rds.events", Dark, |db| db.unsubscribed = None),
    ("rds.events", Edge("-"), |db| {
        db.unsubscribed = Some(unread());
        deployed(db, Side::Green);
    }),
    ("rds.force-ssl", Holds, |_| ()),
    ("rds.force-ssl", Broken, |db| db.tls_parameter = Some(Ok(Some(parameter(Some("0")))))),
    ("rds.force-ssl", Edge("unknown"), |db| db.waits_for_reboot = true),
    ("rds.force-ssl", Edge("fail"), |db| {
        db.tls_parameter = Some(Ok(Some(parameter(Some("0")))));
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

/// Rules that treat a cluster differently from an instance.
pub(crate) const CLUSTERS: Rows<Instance> = &[
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
    ("rds.events", Broken, |db| db.unsubscribed = Some(Ok(vec!["db-cluster failure".into()]))),
    ("rds.force-ssl", Broken, |db| db.tls_parameter = Some(Ok(Some(parameter(Some("0")))))),
    ("rds.engine-support", Broken, |db| supported(db, DAY)),
];

pub(crate) const SNAPSHOTS: Rows<Snapshot> = &[
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

fn exporting(db: &mut Instance, engine: &str, log: &str) {
    (db.engine, db.log_exports) = (Some(engine.to_owned()), vec![log.to_owned()]);
}

pub(crate) fn member() -> Form {
    Form::Member(CLUSTER.to_owned())
}

/// An RDS Custom engine.
pub(crate) fn custom() -> Option<String> {
    Some("custom-sqlserver-se".to_owned())
}

pub(crate) fn deployed(db: &mut Instance, side: Side) {
    let (id, status) = ("bgd-1".to_owned(), "AVAILABLE".to_owned());
    db.deployment = Some(Ok(Some(Deployment { id, status, side })));
}

pub(crate) fn tls_of(db: &mut Instance, engine: &str, version: &str, value: Option<&str>) {
    (db.engine, db.version) = (Some(engine.to_owned()), Some(version.to_owned()));
    db.tls_parameter = Some(Ok(Some(parameter(value))));
}

pub(crate) fn parameter(value: Option<&str>) -> Parameter {
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

#[test]
fn every_rule_of_an_instance() {
    check(INSTANCE, DB, &instance(), INSTANCES);
}

#[test]
fn every_rule_of_a_cluster() {
    check(INSTANCE, CLUSTER, &cluster(), CLUSTERS);
}

#[test]
fn every_rule_of_a_snapshot() {
    check(SNAPSHOT, "moveongs-prod-20261126", &snapshot(), SNAPSHOTS);
}

#[test]
fn rules_about_a_clusters_backups_skip_its_members() {
    let bare = Instance {
        name: DB.to_owned(),
        form: member(),
        engine: Some("aurora-postgresql".to_owned()),
        status: Some("available".to_owned()),
        is_public: Some(false),
        upgrades: Some(true),
        certificate_until: instance().certificate_until,
        unsubscribed: Some(Ok(Vec::new())),
        deployment: Some(Ok(None)),
        ..Instance::default()
    };
    let rows = judge(INSTANCE, (DB, ""), &bare, &context());
    let ids: Vec<_> = rows.iter().map(|row| row.rule.id).collect();
    let applied =
        ["rds.public", "rds.minor-upgrades", "rds.certificate", "rds.state", "rds.blue-green", "rds.events"];
    assert_eq!(ids, applied);
    assert!(rows.iter().all(|row| row.verdict == Verdict::Pass), "{rows:?}");
}

#[test]
fn rules_that_neither_the_policy_nor_the_stack_requires_have_no_rows() {
    let plain = audit(json!({}));
    let context = Context { policy: &plain, key: None, ..context() };
    let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.rule.id).collect::<Vec<_>>();
    let applied = ids(judge(INSTANCE, (DB, ""), &instance(), &context));
    for id in ["rds.multi-az", "rds.encryption-key"] {
        assert!(!applied.contains(&id), "{id}");
    }
    assert!(applied.contains(&"rds.encryption"));
}
