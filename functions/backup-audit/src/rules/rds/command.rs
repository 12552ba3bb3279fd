//! Commands of the AWS CLI for databases.

use shared::aws::snapshots::Kind;
use shared::command;
use shared::run::command::Command;

use super::state::{is_at_rest, is_custom, is_multi_az_cluster, stops_backups};
use crate::rules::facts::{Form, Instance};

/// Advice to encrypt a Multi-AZ DB cluster by a dump: RDS neither encrypts it nor copies its snapshots. Source: RDS
/// user guide, "Limitations of Multi-AZ DB clusters".
pub(super) fn by_dump(name: &str) -> Command {
    command!(
        "# docs/backups.md#cifrar: {name}, Multi-AZ DB cluster: o RDS não o cifra nem copia / RDS neither encrypts nor copies it: dump → cluster novo / new cluster",
        name
    )
}

/// Advice to change an RDS Custom database by hand, since `ModifyDBInstance` does not apply.
pub(super) fn by_hand(db: &Instance) -> Command {
    command!("# docs/backups.md#regras: {name}, RDS Custom: à mão / by hand", name = db.name)
}

/// Kind and name of the resource that holds a database's settings. The members of a Multi-AZ DB cluster can only be
/// changed through their cluster; those of an Aurora cluster have their own settings. Source: RDS user guide,
/// "Modifying a Multi-AZ DB cluster".
pub(super) fn changed_at(db: &Instance) -> (&'static str, &str) {
    match &db.form {
        Form::Cluster => ("cluster", &db.name),
        Form::Member(cluster) if is_multi_az_cluster(db) => ("cluster", cluster),
        Form::Member(_) | Form::Single => ("instance", &db.name),
    }
}

/// Changes a database, after making it available.
pub(super) fn modify(db: &Instance, change: &Command) -> Command {
    let (kind, name) = changed_at(db);
    let modify =
        command!("aws rds modify-db-{kind} --db-{kind}-identifier {name} {change}", kind, name, change);
    let modify = once_available(db, modify);
    if *name == db.name { modify } else { command!("{modify}  # {member}", modify, member = db.name) }
}

/// Puts the steps that make a database available before a command that RDS otherwise refuses.
pub(super) fn once_available(db: &Instance, command: Command) -> Command {
    if is_custom(db) && matches!(db.status.as_deref(), Some("stopped" | "stopping")) {
        return command!("{by_hand}: {command}", by_hand = by_hand(db), command);
    }
    match make_available(db) {
        Some(first) => first.and(&command),
        None => command,
    }
}

/// Makes a database available for a change: starts a stopped one, and waits for a busy one. None if it is available, or
/// in a state that does not end by itself. `StartDBInstance` does not apply to RDS Custom.
pub(super) fn make_available(db: &Instance) -> Option<Command> {
    let status = db.status.as_deref()?;
    let is_custom_stop = matches!(status, "stopped" | "stopping") && is_custom(db);
    if matches!(status, "available" | "storage-optimization") || stops_backups(status) || is_custom_stop {
        return None;
    }
    let wait = |kind: &str, name: &str| {
        command!("aws rds wait db-{kind}-available --db-{kind}-identifier {name}", kind, name)
    };
    if !is_at_rest(db) {
        let (kind, name) = changed_at(db);
        return Some(wait(kind, name));
    }
    // A member stops and starts with its cluster, and becomes available after it.
    let (kind, name, member) = match &db.form {
        Form::Single => ("instance", &db.name, None),
        Form::Cluster => ("cluster", &db.name, None),
        Form::Member(cluster) => ("cluster", cluster, Some(&db.name)),
    };
    // The AWS CLI has no waiter for `stopped`.
    let stopped = (status == "stopping").then(|| {
        let describe = match kind {
            "cluster" => command!(
                "aws rds describe-db-clusters --db-cluster-identifier {name} --query 'DBClusters[0].Status' --output text",
                name
            ),
            _ => command!(
                "aws rds describe-db-instances --db-instance-identifier {name} --query 'DBInstances[0].DBInstanceStatus' --output text",
                name
            ),
        };
        command!(r#"while [ "$({describe})" = stopping ]; do sleep 30; done"#, describe)
    });
    let start = (status != "starting")
        .then(|| command!("aws rds start-db-{kind} --db-{kind}-identifier {name}", kind, name));
    let member = member.map(|member| wait("instance", member));
    let steps = [stopped, start, Some(wait(kind, name)), member];
    steps.into_iter().flatten().reduce(|steps, next| steps.and(&next))
}

/// Shows a database's status and another field.
pub(super) fn describe(db: &Instance, field: &str) -> Command {
    let name = &db.name;
    match db.form {
        Form::Cluster => command!(
            "aws rds describe-db-clusters --db-cluster-identifier {name} --query 'DBClusters[0].[Status,{field}]'",
            name,
            field
        ),
        _ => command!(
            "aws rds describe-db-instances --db-instance-identifier {name} --query 'DBInstances[0].[DBInstanceStatus,{field}]'",
            name,
            field
        ),
    }
}

/// Shows RDS's events about a database in the last two days.
pub(super) fn events(db: &Instance) -> Command {
    let kind = if db.form == Form::Cluster { "cluster" } else { "instance" };
    command!(
        "aws rds describe-events --source-type db-{kind} --source-identifier {name} --duration 2880",
        kind,
        name = db.name
    )
}

/// Replaces a Multi-AZ DB cluster that is reachable from the internet: only a restore can change that.
pub(super) fn private_cluster(member: &Instance, cluster: &str) -> Command {
    command!(
        "# docs/backups.md#regras: o RDS não muda isto num Multi-AZ DB cluster / RDS cannot change it: {first}; aws rds wait db-cluster-snapshot-available --db-cluster-snapshot-identifier {snapshot}; aws rds restore-db-cluster-from-snapshot --snapshot-identifier {snapshot} --db-cluster-identifier {cluster}-private --engine {engine} --no-publicly-accessible --db-cluster-instance-class …  # {member}",
        first = once_available(member, cluster_snapshot(cluster, "private")),
        snapshot = cluster_snapshot_name(cluster, "private"),
        cluster,
        engine = member.engine.as_deref().unwrap_or("…"),
        member = member.name
    )
}

/// Name of a cluster's snapshot, at most 63 characters.
pub(super) fn cluster_snapshot_name(name: &str, end: &str) -> String {
    let longest = Kind::Cluster.longest_name().saturating_sub(end.len() + 1);
    let prefix = name.get(..longest).unwrap_or(name).trim_end_matches('-');
    format!("{prefix}-{end}")
}

pub(super) fn cluster_snapshot(name: &str, end: &str) -> Command {
    command!(
        "aws rds create-db-cluster-snapshot --db-cluster-identifier {name} --db-cluster-snapshot-identifier {snapshot}",
        name,
        snapshot = cluster_snapshot_name(name, end)
    )
}

#[cfg(test)]
mod tests {
    use crate::rules::facts::Snapshot;
    use crate::rules::rds::INSTANCE;
    use crate::rules::rds::snapshot::SNAPSHOT;
    use crate::rules::rds::tests::{cluster, custom, instance, member, share, snapshot};
    use crate::rules::rule::tests::{CLUSTER, DB, ago, context, row};
    use crate::rules::rule::{Verdict, judge};

    use super::*;

    #[test]
    fn findings_of_a_cluster_have_commands_for_clusters() {
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
            assert_eq!(row.next_step(), expected);
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
            assert_eq!(row.next_step(), expected);
        }
    }

    /// RDS refuses to change a member of a Multi-AZ DB cluster, and accepts it for an Aurora member.
    #[test]
    fn a_member_of_a_multi_az_cluster_is_changed_through_its_cluster() {
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
                assert_eq!(row.next_step(), expected);
            }
            let public = |db: &mut Instance| {
                (db.form, db.engine, db.is_public) = (member(), Some(engine.to_owned()), Some(true));
            };
            let row = row(INSTANCE, "rds.public", DB, &instance(), public, &context()).unwrap();
            assert!(row.next_step().starts_with("# docs/backups.md#regras: "), "{}", row.next_step());
            assert!(row.next_step().contains("restore-db-cluster-from-snapshot"), "{}", row.next_step());
            assert!(!row.next_step().contains("modify-db-"), "{}", row.next_step());
        }
        let aurora = |db: &mut Instance| {
            (db.form, db.engine) = (member(), Some("aurora-postgresql".to_owned()));
            (db.is_public, db.upgrades, db.certificate_until) = (Some(true), Some(false), Some(ago(1)));
        };
        for id in ["rds.public", "rds.minor-upgrades", "rds.certificate"] {
            let row = row(INSTANCE, id, DB, &instance(), aurora, &context()).unwrap();
            let of = format!("aws rds modify-db-instance --db-instance-identifier {DB} --");
            assert!(row.next_step().starts_with(&of), "{}", row.next_step());
        }
    }

    /// RDS neither encrypts a Multi-AZ DB cluster, nor copies its snapshots.
    #[test]
    fn a_multi_az_cluster_is_only_encrypted_by_a_dump() {
        for (engine, is_dumped) in [("postgres", true), ("mysql", true), ("aurora-mysql", false)] {
            let base = Instance { engine: Some(engine.to_owned()), ..cluster() };
            for (id, change) in [
                ("rds.encryption", (|db| db.is_encrypted = Some(false)) as fn(&mut Instance)),
                ("rds.encryption-key", |db| db.key = Some("another".to_owned())),
            ] {
                let row = row(INSTANCE, id, CLUSTER, &base, change, &context()).unwrap();
                assert!(row.next_step().starts_with("# docs/backups.md#cifrar: "), "{}", row.next_step());
                assert_eq!(!row.next_step().contains("aws rds "), is_dumped, "{}", row.next_step());
            }
            for (is_of_cluster, is_dumped) in [(true, is_dumped), (false, false)] {
                let plain = |snapshot: &mut Snapshot| {
                    (snapshot.is_encrypted, snapshot.is_of_cluster) = (Some(false), is_of_cluster);
                    snapshot.engine = Some(engine.to_owned());
                };
                let row =
                    row(SNAPSHOT, "rds.snapshot-encryption", "s", &snapshot(), plain, &context()).unwrap();
                assert_eq!(!row.next_step().contains("aws rds "), is_dumped, "{}", row.next_step());
            }
        }
    }

    /// RDS refuses a change, a snapshot and a new member if the database is not available.
    #[test]
    fn commands_wait_for_a_busy_database_and_start_a_stopped_one() {
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
            (
                of_aurora(),
                "stopping",
                format!("{cluster_stop} && {cluster_start} && {cluster_wait} && {wait}"),
            ),
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
            let ids = ["rds.deletion-protection", "rds.public", "rds.multi-az", "rds.snapshot-fresh"];
            let mut commands = rows.iter().filter(|row| ids.contains(&row.rule.id)).peekable();
            assert!(commands.peek().is_some());
            for row in commands.filter(|row| row.verdict != Verdict::Pass) {
                if status == "storage-full" && row.rule.id == "rds.snapshot-fresh" {
                    continue;
                }
                let step = row.next_step();
                let rest = step.strip_prefix(&first).unwrap_or_else(|| panic!("{first}\n{row:?}"));
                let rest = if first.is_empty() { rest } else { rest.strip_prefix(" && ").unwrap() };
                assert!(!rest.contains("-available") && !rest.contains("start-db"), "{rest}");
                assert!(rest.starts_with("aws rds ") || rest.starts_with("echo "), "{rest}");
            }
            if let Some(row) = rows.iter().find(|row| row.rule.id == "rds.stopped") {
                let rests = ["starting", "stopped", "stopping"].contains(&status);
                assert_eq!(row.next_step(), if rests { first } else { String::new() });
            }
        }
    }

    /// Settings that RDS refuses for RDS Custom are advice, not commands.
    #[test]
    fn settings_that_rds_custom_lacks_have_no_command() {
        let change = |db: &mut Instance| {
            (db.engine, db.is_multi_az, db.certificate_until) = (custom(), Some(false), Some(ago(1)));
            db.subnet_group = Some("default".to_owned());
        };
        for id in ["rds.multi-az", "rds.certificate", "rds.subnet-group"] {
            let row = row(INSTANCE, id, DB, &instance(), change, &context()).unwrap();
            assert!(row.next_step().starts_with("# docs/backups.md#regras: "), "{}", row.next_step());
        }
        for status in ["stopped", "stopping"] {
            let stopped = |db: &mut Instance| {
                (db.engine, db.is_protected, db.status) = (custom(), Some(false), Some(status.to_owned()));
            };
            for id in ["rds.deletion-protection", "rds.stopped"] {
                let row = row(INSTANCE, id, DB, &instance(), stopped, &context()).unwrap();
                assert!(!row.next_step().contains("start-db-instance"), "{}", row.next_step());
            }
        }
    }
}
