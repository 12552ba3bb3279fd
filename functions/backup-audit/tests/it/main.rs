//! The function's settings.
#![expect(clippy::unwrap_used, reason = "tests")]

use backup_audit::App;
use shared::runtime::env::{Env, EnvError};
use shared::testing::{aws, replies, variables};

fn app(changed: &[(&str, &str)]) -> Result<App, EnvError> {
    let own = [
        ("ENVIRONMENT", "prod"),
        ("DATABASE_INSTANCE_ID", "moveongs-prod-db"),
        ("ECS_CLUSTER_NAME", "moveongs-prod-cluster"),
        ("ACCOUNT_ID", "111122223333"),
        ("EVIDENCE_LOCK_MODE", "GOVERNANCE"),
        ("EVIDENCE_LOCK_DAYS", "730"),
        ("BACKUP_REPAIRS", ""),
        ("ATTACHMENTS_BUCKET", ""),
        ("UPLOADS_BUCKET", ""),
        ("TERRAFORM_STATE_BUCKET", ""),
        ("TERRAFORM_LOCK_TABLE", ""),
        ("GRAFANA_BUCKET", ""),
        ("APP_KMS_KEY_ARN", ""),
    ];
    App::new(&Env::new(&variables(&[changed, &own].concat())), &aws(&replies(&[])))
}

fn refused(name: &str, value: &str) -> String {
    app(&[(name, value)]).err().unwrap().to_string()
}

#[test]
fn optional_settings_may_be_missing() {
    assert!(app(&[]).is_ok());
}

#[test]
fn a_missing_setting_stops_the_start() {
    for name in [
        "PROJECT",
        "ENVIRONMENT",
        "CODE_VERSION",
        "MESSAGE_LANGUAGE",
        "DATABASE_INSTANCE_ID",
        "ECS_CLUSTER_NAME",
        "ACCOUNT_ID",
        "OWN_PROCEDURES",
        "UPLOADS_MARKER",
        "EVIDENCE_LOCK_MODE",
        "EVIDENCE_LOCK_DAYS",
        "PAGING_TOPIC_ARN",
        "EVIDENCE_BUCKET",
    ] {
        let error = refused(name, "");
        assert!(error.contains(&format!("{name} is missing")), "{name}: {error}");
    }
}

#[test]
fn an_unknown_repair_is_refused_with_the_known_ones() {
    for repairs in ["rds.multi-az", "rds.public,rds.multi-az", "all", "rds.public;rds.retention"] {
        let error = refused("BACKUP_REPAIRS", repairs);
        assert!(
            error.contains("has no repair") && error.contains("rds.retention, rds.backup-window"),
            "{error}"
        );
    }
    for repairs in ["", " ", ",", "rds.public", " rds.public , s3.versioning,"] {
        assert!(app(&[("BACKUP_REPAIRS", repairs)]).is_ok(), "{repairs:?}");
    }
}

#[test]
fn two_settings_cannot_name_the_same_bucket() {
    for (changed, setting) in [
        (vec![("UPLOADS_BUCKET", "moveongs-prod-attachments")], "UPLOADS_BUCKET"),
        (vec![("GRAFANA_BUCKET", "moveongs-prod-uploads")], "GRAFANA_BUCKET"),
        (vec![("TERRAFORM_STATE_BUCKET", "s"), ("GRAFANA_BUCKET", "s")], "GRAFANA_BUCKET"),
        (vec![("ATTACHMENTS_BUCKET", "x")], "ATTACHMENTS_BUCKET"),
    ] {
        let error = app(&changed).err().unwrap().to_string();
        let is_refused =
            error.contains(&format!("{setting} is invalid: ")) && error.contains("names the same bucket");
        assert!(is_refused, "{error}");
    }
    let apart = [("UPLOADS_BUCKET", "u"), ("TERRAFORM_STATE_BUCKET", "s"), ("GRAFANA_BUCKET", "g")];
    assert!(app(&apart).is_ok());
}

#[test]
fn the_policy_knows_all_rules() {
    let mut rules: Vec<_> = backup_audit::rules().collect();
    rules.sort_unstable();
    let known: Vec<_> = include_str!("../../../../shared/backup-rules.txt").lines().collect();
    assert_eq!(rules, known, "left the rules, right shared/backup-rules.txt");
}
