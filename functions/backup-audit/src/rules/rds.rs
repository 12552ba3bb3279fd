//! Databases and their snapshots (guide, 2.1 step 1).

use jiff::{SignedDuration, Timestamp};
use shared::aws::snapshots::Kind;
use shared::policy::window;

use super::plans::Plan;
use super::{Context, Meta, Rule, Severity, Verdict, seen, switch, utc};
use crate::facts::{Deployment, Form, Instance, Pair, Parameter, Side, Snapshot, Subscription};

/// A day has 1440 minutes.
const DAY: i32 = 1440;

/// Greatest that a snapshot's own start may lie before the instance was there: none is asked of one that is younger.
const YOUNG: SignedDuration = SignedDuration::from_hours(26);

/// The longest that RDS leaves a database stopped.
const LONGEST_STOP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// That a database which the template names is there.
pub(crate) static MISSING: Meta = Meta {
    id: "rds.exists",
    severity: Severity::Critical,
    guide: "1",
    title: ["o banco do ambiente existe", "the environment's database exists"],
    why: ["sem banco não há backup dele", "without the database there is no backup of it"],
};

/// The largest storage of an instance, in GiB. Of some engines and kinds of storage it is less.
const LARGEST_STORAGE: i32 = 65_536;

/// Whether a database is a Multi-AZ DB cluster or a member of one: those that are not Aurora's.
pub(crate) fn is_multi_az_cluster(db: &Instance) -> bool {
    db.form != Form::Single && is_not_aurora(db.engine.as_deref())
}

fn is_not_aurora(engine: Option<&str>) -> bool {
    engine.is_some_and(|engine| !engine.starts_with("aurora"))
}

/// RDS neither encrypts a Multi-AZ DB cluster, nor copies a snapshot of it. Source: RDS user guide, "Limitations of Multi-AZ DB
/// clusters".
fn by_dump(name: &str) -> String {
    format!(
        "# docs/backups.md#cifrar: {name}, Multi-AZ DB cluster: o RDS não o cifra nem copia / RDS neither encrypts nor copies it: dump → cluster novo / new cluster"
    )
}

/// Whether a database is an RDS Custom one, of which RDS refuses several settings.
fn is_custom(db: &Instance) -> bool {
    db.engine.as_deref().is_some_and(|engine| engine.starts_with("custom-"))
}

/// What is set by hand of an RDS Custom database, since `ModifyDBInstance` does not apply.
fn by_hand(db: &Instance) -> String {
    format!("# docs/backups.md#regras: {}, RDS Custom: à mão / by hand", db.name)
}

/// Where RDS changes a database. The members of a Multi-AZ DB cluster can be changed by their cluster only; those of an
/// Aurora cluster have settings of their own. Source: RDS user guide, "Modifying a Multi-AZ DB cluster".
fn changed_at(db: &Instance) -> (&'static str, &str) {
    match &db.form {
        Form::Cluster => ("cluster", &db.name),
        Form::Member(cluster) if is_multi_az_cluster(db) => ("cluster", cluster),
        Form::Member(_) | Form::Single => ("instance", &db.name),
    }
}

/// The command of the AWS CLI that changes a database, after what makes RDS take it.
fn modify(db: &Instance, change: &str) -> String {
    let (kind, name) = changed_at(db);
    let member = if *name == db.name { String::new() } else { format!("  # {}", db.name) };
    started(db, format!("aws rds modify-db-{kind} --db-{kind}-identifier {name} {change}")) + &member
}

/// A command that RDS takes of a database that is available only.
fn started(db: &Instance, command: String) -> String {
    if is_custom(db) && matches!(db.status.as_deref(), Some("stopped" | "stopping")) {
        return format!("{}: {command}", by_hand(db));
    }
    match awaken(db) {
        Some(first) => format!("{first} && {command}"),
        None => command,
    }
}

/// Brings a database into the state in which RDS takes a change: starts one that is stopped, and waits for one that is busy.
/// None where it is in that state, and where it is in one that does not pass by itself. `StartDBInstance` does not apply to RDS
/// Custom.
fn awaken(db: &Instance) -> Option<String> {
    let status = db.status.as_deref()?;
    let is_left = matches!(status, "stopped" | "stopping") && is_custom(db);
    if matches!(status, "available" | "storage-optimization") || stops_backups(status) || is_left {
        return None;
    }
    let wait =
        |kind: &str, name: &str| format!("aws rds wait db-{kind}-available --db-{kind}-identifier {name}");
    if !rests(db) {
        let (kind, name) = changed_at(db);
        return Some(wait(kind, name));
    }
    // A member rests and starts with its cluster, and is available after it.
    let (kind, name, member) = match &db.form {
        Form::Single => ("instance", &db.name, None),
        Form::Cluster => ("cluster", &db.name, None),
        Form::Member(cluster) => ("cluster", cluster, Some(&db.name)),
    };
    // The AWS CLI has no waiter for the end of a stop.
    let stopped = (status == "stopping").then(|| {
        let describe = match kind {
            "cluster" => format!(
                "aws rds describe-db-clusters --db-cluster-identifier {name} --query 'DBClusters[0].Status' --output text"
            ),
            _ => format!(
                "aws rds describe-db-instances --db-instance-identifier {name} --query 'DBInstances[0].DBInstanceStatus' --output text"
            ),
        };
        format!(r#"while [ "$({describe})" = stopping ]; do sleep 30; done"#)
    });
    let start =
        (status != "starting").then(|| format!("aws rds start-db-{kind} --db-{kind}-identifier {name}"));
    let member = member.map(|member| wait("instance", member));
    let steps = [stopped, start, Some(wait(kind, name)), member];
    Some(steps.into_iter().flatten().collect::<Vec<_>>().join(" && "))
}

/// A larger storage of a database whose storage is full; none where there is none. Together with the limit of its growth,
/// below which RDS refuses it, and with the I/O operations that RDS asks for in the same request.
fn grow(db: &Instance) -> Option<String> {
    let storage = db.storage_gib.filter(|storage| *storage > 0)?;
    let gib = storage.saturating_add(storage / 5 + 1).min(LARGEST_STORAGE);
    let is_a_tenth_above = |more: i32, than: i32| i64::from(more) * 10 >= i64::from(than) * 11;
    if !is_a_tenth_above(gib, storage) {
        return None;
    }
    let mut change = vec![format!("--allocated-storage {gib}")];
    let limit = db.storage_limit_gib.filter(|limit| *limit > 0 && db.form == Form::Single);
    if limit.is_some_and(|limit| !is_a_tenth_above(limit, gib)) {
        let double = gib.saturating_mul(2).min(LARGEST_STORAGE);
        change.push(format!("--max-allocated-storage {double}"));
    }
    let is_sql_server = db.engine.as_deref().is_some_and(|engine| engine.contains("sqlserver"));
    let iops = db.iops.filter(|iops| *iops > 0).and_then(|iops| match db.storage_type.as_deref() {
        // At least one for two GiB, or one for each with SQL Server.
        Some("io1" | "io2") => Some(iops.max(if is_sql_server { gib } else { (gib + 1) / 2 })),
        // Small gp3 volumes have 3000, which cannot be set.
        Some("gp3") if iops > 3000 || is_sql_server => Some(iops),
        _ => None,
    });
    change.extend(iops.map(|iops| format!("--iops {iops}")));
    Some(modify(db, &format!("{} --apply-immediately", change.join(" "))))
}

/// Describes a database by a query over its fields; `status` is called otherwise of an instance.
fn describe(db: &Instance, fields: &str) -> String {
    let name = &db.name;
    match db.form {
        Form::Cluster => format!(
            "aws rds describe-db-clusters --db-cluster-identifier {name} --query 'DBClusters[0].[Status,{fields}]'"
        ),
        _ => format!(
            "aws rds describe-db-instances --db-instance-identifier {name} --query 'DBInstances[0].[DBInstanceStatus,{fields}]'"
        ),
    }
}

/// RDS's events of a database in the last two days.
fn events(db: &Instance) -> String {
    let kind = if db.form == Form::Cluster { "db-cluster" } else { "db-instance" };
    format!("aws rds describe-events --source-type {kind} --source-identifier {} --duration 2880", db.name)
}

/// Whether a database answers for its backups and what comes with them: a cluster does for its members.
fn answers(db: &Instance) -> bool {
    !matches!(db.form, Form::Member(_))
}

fn is_instance(db: &Instance) -> bool {
    db.form != Form::Cluster
}

/// Whether a database is the copy of a blue/green deployment, before the switchover or after: what it holds is backed up by
/// the one in production.
fn is_spare(db: &Instance) -> bool {
    matches!(&db.deployment, Some(Ok(Some(Deployment { side: Side::Green | Side::Old, .. }))))
}

/// A replica has no automated backups of its own unless somebody wants them; those of its source count.
fn is_source(db: &Instance) -> bool {
    answers(db) && db.replica_of.is_none() && !is_spare(db)
}

/// States in which RDS makes no backups, and which do not pass by themselves.
fn stops_backups(status: &str) -> bool {
    matches!(status, "failed" | "insufficient-capacity" | "restore-error" | "storage-full")
        || status.starts_with("inaccessible-encryption-credentials")
        || status.starts_with("incompatible-")
}

/// Whether a database is stopped, or on the way to it or back: its data do not change.
fn rests(db: &Instance) -> bool {
    matches!(db.status.as_deref(), Some("stopped" | "stopping" | "starting"))
}

/// The moment until which the data may have changed: now, or when a database that rests was stopped. RDS starts one again
/// after a week, so that none rests longer.
fn changed_until(db: &Instance, context: &Context<'_>) -> Timestamp {
    if !rests(db) {
        return context.now;
    }
    let stopped = db.restarts.map(|at| at - LONGEST_STOP).or(db.latest_restorable);
    let earliest = context.now - LONGEST_STOP;
    stopped.unwrap_or(earliest).clamp(earliest, context.now)
}

/// Every rule for an instance.
pub(crate) static INSTANCE: &[Rule<Instance>] = &[
    Rule {
        meta: Meta {
            id: "rds.retention",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["retenção dos backups automáticos", "retention of automated backups"],
            why: [
                "o guia pede 7 dias em dev e staging e 30 em produção",
                "the guide asks for 7 days in dev and staging and 30 in prod",
            ],
        },
        check: |instance, context| is_source(instance).then(|| retention(instance, context)),
        command: keep,
    },
    Rule {
        meta: Meta {
            id: "rds.backups-on",
            severity: Severity::Critical,
            guide: "2.1.1",
            title: ["backups automáticos ligados", "automated backups are on"],
            why: [
                "com retenção 0 o RDS não guarda backup nenhum, nem ponto no tempo",
                "with a retention of 0 RDS keeps no backup at all, and no point in time",
            ],
        },
        check: |instance, _| {
            is_source(instance).then(|| match lasting_days(instance) {
                None => Verdict::untold("BackupRetentionPeriod"),
                Some(days) => Verdict::of(days > 0, reported_days(instance), "BackupRetentionPeriod ≥ 1"),
            })
        },
        command: keep,
    },
    Rule {
        meta: Meta {
            id: "rds.backup-window",
            severity: Severity::Medium,
            guide: "2.1.1",
            title: [
                "janela de backup definida e fora do horário de trabalho de São Paulo",
                "backup window, set and outside the business hours of São Paulo",
            ],
            why: [
                "em Single-AZ o início do snapshot para a E/S; de dia, quem usa percebe",
                "in Single-AZ the start of the snapshot halts I/O; by day, people notice",
            ],
        },
        // AWS Backup chooses when, and RDS refuses another window then.
        check: |instance, context| {
            (is_source(instance) && instance.recovery_point.is_none())
                .then(|| backup_window(instance.backup_window.as_deref(), context))
        },
        command: |instance, context| {
            let wanted = &context.policy.backup_window;
            match maintained(instance, context) {
                Some(maintenance) => format!(
                    "# docs/backups.md#regras: o RDS recusa / RDS refuses {wanted}, PreferredMaintenanceWindow {maintenance}: {}",
                    modify(instance, "--preferred-backup-window hh:mm-hh:mm")
                ),
                None => modify(instance, &format!("--preferred-backup-window {wanted}")),
            }
        },
    },
    Rule {
        meta: Meta {
            id: "rds.snapshot-fresh",
            severity: Severity::Critical,
            guide: "2.1.1",
            title: ["idade do último snapshot automático", "age of the newest automated snapshot"],
            why: [
                "o RDS não avisa quando pula um backup; só a falta dele o mostra",
                "RDS does not tell when it skips a backup; only its absence shows",
            ],
        },
        check: newest_snapshot,
        command: |instance, context| {
            // RDS takes a snapshot of a database that is available only.
            match instance.status.as_deref() {
                Some(status) if stops_backups(status) => events(instance),
                _ => format!("{}; {}", started(instance, snapshot_now(instance, context)), events(instance)),
            }
        },
    },
    Rule {
        meta: Meta {
            id: "rds.point-in-time",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["atraso da recuperação a um ponto no tempo", "lag of point-in-time recovery"],
            why: [
                "o que é mais novo do que o último ponto se perde numa restauração",
                "what is newer than the latest point is lost by a restore",
            ],
        },
        check: point_in_time,
        command: |instance, _| describe(instance, "LatestRestorableTime"),
    },
    Rule {
        meta: Meta {
            id: "rds.encryption",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["armazenamento cifrado", "encrypted storage"],
            why: [
                "snapshots e backups herdam a cifra da instância",
                "snapshots and backups are encrypted as the instance is",
            ],
        },
        check: |instance, _| {
            answers(instance).then(|| switch(instance.is_encrypted, "StorageEncrypted", true))
        },
        command: |instance, context| {
            let name = &instance.name;
            if is_multi_az_cluster(instance) {
                return by_dump(name);
            }
            if instance.form == Form::Cluster {
                return format!(
                    "# docs/backups.md#cifrar: {}; aws rds wait db-cluster-snapshot-available --db-cluster-snapshot-identifier {1}; aws rds restore-db-cluster-from-snapshot --snapshot-identifier {1} --db-cluster-identifier {name}-encrypted --kms-key-id {2} --engine …",
                    started(instance, cluster_snapshot(name, "plain")),
                    cluster_snapshot_name(name, "plain"),
                    context.key.unwrap_or("alias/aws/rds"),
                );
            }
            let snapshot = format!(
                "aws rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {name}-plain"
            );
            let snapshot = started(instance, snapshot);
            format!(
                "# docs/backups.md#cifrar: {snapshot}; aws rds wait db-snapshot-available --db-snapshot-identifier {0}-plain; aws rds copy-db-snapshot --source-db-snapshot-identifier {0}-plain --target-db-snapshot-identifier {0}-encrypted --kms-key-id {1}; aws rds restore-db-instance-from-db-snapshot …",
                instance.name,
                context.key.unwrap_or("alias/aws/rds"),
            )
        },
    },
    Rule {
        meta: Meta {
            id: "rds.encryption-key",
            severity: Severity::Low,
            guide: "app 7",
            title: ["cifrado com a chave da aplicação", "encrypted with the application's key"],
            why: [
                "um snapshot sob a chave padrão aws/rds não pode ser compartilhado com outra conta",
                "a snapshot under the default key aws/rds cannot be shared with another account",
            ],
        },
        check: |instance, context| {
            let expected = context.key?;
            // Without encryption there is no key to compare; that is the rule before.
            (answers(instance) && instance.is_encrypted != Some(false)).then(|| {
                match instance.key.as_deref() {
                    None => Verdict::untold("KmsKeyId"),
                    Some(found) => Verdict::of(found == expected, format!("KmsKeyId {found}"), expected),
                }
            })
        },
        command: |instance, context| {
            if is_multi_az_cluster(instance) {
                return by_dump(&instance.name);
            }
            let db = if instance.form == Form::Cluster { "db-cluster" } else { "db" };
            format!(
                "# docs/backups.md#cifrar: aws rds copy-{db}-snapshot --source-{db}-snapshot-identifier … --target-{db}-snapshot-identifier {}-rekeyed --kms-key-id {}",
                instance.name,
                context.key.unwrap_or_default()
            )
        },
    },
    Rule {
        meta: Meta {
            id: "rds.deletion-protection",
            severity: Severity::High,
            guide: "app 7",
            title: ["proteção contra exclusão", "deletion protection"],
            why: [
                "excluir a instância exclui também os backups automáticos dela",
                "to delete the instance deletes its automated backups too",
            ],
        },
        check: |instance, _| {
            (answers(instance) && !is_spare(instance))
                .then(|| switch(instance.is_protected, "DeletionProtection", true))
        },
        command: |instance, _| modify(instance, "--deletion-protection"),
    },
    Rule {
        meta: Meta {
            id: "rds.public",
            severity: Severity::Critical,
            guide: "2.1.1",
            title: ["instância fora da internet", "instance not reachable from the internet"],
            why: [
                "dados de beneficiárias não ficam ao alcance de qualquer um",
                "beneficiaries' data is not within everybody's reach",
            ],
        },
        check: |instance, _| {
            is_instance(instance).then(|| switch(instance.is_public, "PubliclyAccessible", false))
        },
        command: |instance, _| match &instance.form {
            Form::Member(cluster) if is_multi_az_cluster(instance) => private_cluster(instance, cluster),
            _ => modify(instance, "--no-publicly-accessible"),
        },
    },
    Rule {
        meta: Meta {
            id: "rds.copy-tags",
            severity: Severity::Low,
            guide: "app 7",
            title: ["tags copiadas para os snapshots", "tags are copied to snapshots"],
            why: [
                "sem tags não se sabe de que ambiente é um snapshot",
                "without tags nobody knows which environment a snapshot is of",
            ],
        },
        check: |instance, _| {
            answers(instance).then(|| switch(instance.copies_tags, "CopyTagsToSnapshot", true))
        },
        command: |instance, _| modify(instance, "--copy-tags-to-snapshot"),
    },
    Rule {
        meta: Meta {
            id: "rds.multi-az",
            severity: Severity::Low,
            guide: "1",
            title: ["banco em duas zonas (Multi-AZ)", "database in two zones (Multi-AZ)"],
            why: [
                "o guia o diz opcional; a política o pede neste ambiente",
                "the guide calls it optional; the policy asks for it here",
            ],
        },
        check: |instance, context| {
            let wanted = context.policy.multi_az.iter().any(|environment| environment == context.environment);
            (wanted && is_source(instance)).then(|| switch(instance.is_multi_az, "MultiAZ", true))
        },
        command: |instance, _| {
            // RDS places the three members of a Multi-AZ DB cluster itself, and takes no other.
            if is_multi_az_cluster(instance) {
                return describe(instance, "AvailabilityZones");
            }
            if instance.form == Form::Cluster {
                let add = format!(
                    "aws rds create-db-instance --db-cluster-identifier {0} --db-instance-identifier {0}-2 --engine {1} --db-instance-class …",
                    instance.name,
                    instance.engine.as_deref().unwrap_or("aurora-postgresql"),
                );
                return started(instance, add);
            }
            if is_custom(instance) { by_hand(instance) } else { modify(instance, "--multi-az") }
        },
    },
    Rule {
        meta: Meta {
            id: "rds.minor-upgrades",
            severity: Severity::Low,
            guide: "2.1.1",
            title: ["atualizações menores automáticas", "automatic minor upgrades"],
            why: [
                "correções de segurança do PostgreSQL chegam por elas",
                "they bring PostgreSQL's security fixes",
            ],
        },
        // RDS refuses it of an RDS Custom database.
        check: |instance, _| {
            (is_instance(instance) && !is_custom(instance))
                .then(|| switch(instance.upgrades, "AutoMinorVersionUpgrade", true))
        },
        command: |instance, _| modify(instance, "--auto-minor-version-upgrade"),
    },
    Rule {
        meta: Meta {
            id: "rds.certificate",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["validade do certificado da instância", "validity of the instance's certificate"],
            why: [
                "depois do fim dele nenhum cliente que verifica o TLS entra",
                "after its end no client that verifies TLS logs in",
            ],
        },
        check: |instance, context| {
            if is_instance(instance) { certificate(instance, context) } else { None }
        },
        command: |instance, _| {
            if is_custom(instance) {
                return by_hand(instance);
            }
            modify(
                instance,
                "--ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately  # pode reiniciar a instância / outage",
            )
        },
    },
    Rule {
        meta: Meta {
            id: "rds.storage-autoscaling",
            severity: Severity::Low,
            guide: "2.1.1",
            title: ["armazenamento que cresce sozinho", "storage that grows by itself"],
            why: [
                "com o disco cheio a instância para, e com ela os backups",
                "with a full disk the instance halts, and its backups with it",
            ],
        },
        // Neither RDS Custom nor a Multi-AZ DB cluster has it.
        check: |instance, _| {
            (instance.form == Form::Single && !is_custom(instance)).then(|| autoscaling(instance))
        },
        command: |instance, _| {
            let double = instance.storage_gib.unwrap_or(20).saturating_mul(2).min(LARGEST_STORAGE);
            modify(instance, &format!("--max-allocated-storage {double}"))
        },
    },
    Rule {
        meta: Meta {
            id: "rds.log-exports",
            severity: Severity::Low,
            guide: "app 7",
            title: ["logs do banco no CloudWatch", "the database's logs in CloudWatch"],
            why: [
                "sem eles uma falha de backup ou de login não tem rastro",
                "without them a failed backup or login leaves no trace",
            ],
        },
        check: |instance, _| {
            if !answers(instance) {
                return None;
            }
            let Some(engine) = &instance.engine else { return Some(Verdict::untold("Engine")) };
            let log = log_of(engine)?;
            let found = instance.log_exports.join(",");
            let exports = instance.log_exports.iter().any(|export| export == log);
            Some(match &instance.status {
                None => Verdict::untold("DBInstanceStatus"),
                Some(_) => Verdict::of(exports, format!("EnabledCloudwatchLogsExports [{found}]"), log),
            })
        },
        command: |instance, _| {
            let log = instance.engine.as_deref().and_then(log_of).unwrap_or_default();
            modify(
                instance,
                &format!(r#"--cloudwatch-logs-export-configuration '{{"EnableLogTypes":["{log}"]}}'"#),
            )
        },
    },
    Rule {
        meta: Meta {
            id: "rds.parameter-group",
            severity: Severity::Low,
            guide: "app 7",
            title: ["grupo de parâmetros próprio", "a parameter group of its own"],
            why: [
                "no grupo padrão nada pode ser mudado, e uma restauração volta a ele",
                "in the default group nothing can be changed, and a restore goes back to it",
            ],
        },
        check: |instance, _| {
            let found = instance.parameter_groups.join(",");
            (answers(instance) && !is_custom(instance)).then(|| {
                if instance.parameter_groups.is_empty() {
                    Verdict::untold("DBParameterGroups")
                } else {
                    let is_own = !instance.parameter_groups.iter().any(|group| group.starts_with("default."));
                    Verdict::of(is_own, format!("DBParameterGroups {found}"), "no default.*")
                }
            })
        },
        command: |instance, context| {
            let group = format!("{}-{}-db", context.project, context.environment);
            match instance.form {
                Form::Cluster => modify(instance, &format!("--db-cluster-parameter-group-name {group}")),
                _ => modify(instance, &format!("--db-parameter-group-name {group}")),
            }
        },
    },
    Rule {
        meta: Meta {
            id: "rds.subnet-group",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["sub-redes próprias", "subnets of its own"],
            why: [
                "no grupo padrão a instância fica na VPC padrão, com sub-redes públicas",
                "in the default group the instance is in the default VPC, with public subnets",
            ],
        },
        check: |instance, _| {
            answers(instance).then(|| match instance.subnet_group.as_deref() {
                None => Verdict::untold("DBSubnetGroup"),
                Some(group) => Verdict::of(
                    group != "default",
                    "DBSubnetGroup default",
                    "a group of the application's VPC",
                ),
            })
        },
        command: |instance, context| {
            let group = format!("--db-subnet-group-name {}-{}-db", context.project, context.environment);
            if instance.form == Form::Cluster {
                // A cluster cannot move.
                return format!(
                    "# docs/backups.md#regras: aws rds restore-db-cluster-from-snapshot --db-cluster-identifier {}-new {group} …",
                    instance.name
                );
            }
            if is_custom(instance) { by_hand(instance) } else { modify(instance, &group) }
        },
    },
    Rule {
        meta: Meta {
            id: "rds.master-password",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["senha do usuário mestre não gerida pelo RDS", "master password not managed by RDS"],
            why: [
                "o RDS a troca sozinho a cada 7 dias; uma DATABASE_URL com esse usuário deixa de entrar",
                "RDS changes it by itself every 7 days; a DATABASE_URL with that user stops logging in",
            ],
        },
        check: |instance, _| {
            answers(instance).then(|| match &instance.status {
                None => Verdict::untold("DBInstanceStatus"),
                Some(_) => {
                    Verdict::of(!instance.has_managed_password, "MasterUserSecret", "no MasterUserSecret")
                }
            })
        },
        command: |instance, _| {
            format!(
                "# docs/rotacao-banco.md: {}",
                modify(instance, "--no-manage-master-user-password --master-user-password …")
            )
        },
    },
    Rule {
        meta: Meta {
            id: "rds.state",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["estado em que o RDS faz backup", "a state in which RDS makes backups"],
            why: [
                "nesses estados o RDS não tira snapshot, e o estado não passa sozinho",
                "in these states RDS takes no snapshot, and they do not pass by themselves",
            ],
        },
        check: |db, _| {
            Some(match db.status.as_deref() {
                None => Verdict::untold("DBInstanceStatus"),
                Some(status) => {
                    Verdict::of(!stops_backups(status), format!("DBInstanceStatus {status}"), "available")
                }
            })
        },
        // Aurora's storage is not allocated.
        command: |db, _| {
            let has_storage = db.form == Form::Single || is_multi_az_cluster(db);
            let is_full = has_storage && db.status.as_deref() == Some("storage-full");
            is_full.then(|| grow(db)).flatten().unwrap_or_else(|| events(db))
        },
    },
    Rule {
        meta: Meta {
            id: "rds.stopped",
            severity: Severity::Low,
            guide: "2.1.1",
            title: ["banco em execução", "a database that runs"],
            why: [
                "parado, o banco não muda e não precisa de snapshot mais novo; o RDS o inicia sozinho depois de 7 dias",
                "while it is stopped nothing changes, and no newer snapshot is needed; RDS starts it by itself after 7 days",
            ],
        },
        check: |db, _| {
            answers(db).then(|| match db.status.as_deref() {
                None => Verdict::untold("DBInstanceStatus"),
                Some(status) => {
                    let until = db.restarts.map(|at| format!(", AutomaticRestartTime {}", utc(at)));
                    let found = format!("DBInstanceStatus {status}{}", until.unwrap_or_default());
                    Verdict::of(!rests(db), found, "available")
                }
            })
        },
        command: |db, _| awaken(db).unwrap_or_else(|| describe(db, "AutomaticRestartTime")),
    },
    Rule {
        meta: Meta {
            id: "rds.blue-green",
            severity: Severity::Low,
            guide: "2.1.1",
            title: ["sem implantação azul/verde em aberto", "no blue/green deployment under way"],
            why: [
                "até a troca há dois bancos, e depois dela sobra o antigo; as regras de backup valem para o que está em produção",
                "there are two databases until the switchover, and the old one is left after it; the rules of backups are for the one in production",
            ],
        },
        check: |db, _| {
            Some(match &db.deployment {
                None => Verdict::Unknown("the blue/green deployments were not read".to_owned()),
                Some(deployment) => seen(deployment, |deployment| match deployment {
                    None => Verdict::Pass,
                    Some(Deployment { id, status, side }) => {
                        let side = match side {
                            Side::Blue => "blue",
                            Side::Green => "green",
                            Side::Old => "old blue",
                        };
                        Verdict::fail(format!("{side} of {id} ({status})"), "no deployment")
                    }
                }),
            })
        },
        command: |db, _| {
            let id = match &db.deployment {
                Some(Ok(Some(deployment))) => deployment.id.as_str(),
                _ => "…",
            };
            format!(
                "aws rds describe-blue-green-deployments --blue-green-deployment-identifier {id}  # {}",
                db.name
            )
        },
    },
    Rule {
        meta: Meta {
            id: "rds.backup-plan",
            severity: Severity::Low,
            guide: "app 7",
            title: ["banco num plano do AWS Backup", "database in a plan of AWS Backup"],
            why: [
                "uma segunda via dos backups, com cofre próprio",
                "a second copy of the backups, with a vault of its own",
            ],
        },
        check: |db, _| {
            is_source(db).then(|| match &db.plans {
                None => Verdict::Unknown("the plans of AWS Backup were not read".to_owned()),
                Some(plans) => {
                    seen(plans, |plans| Verdict::of(!plans.is_empty(), "no plan", "one plan or more"))
                }
            })
        },
        command: |db, _| select(&db.name, &db.arn),
    },
    Rule {
        meta: Meta {
            id: "rds.events",
            severity: Severity::Medium,
            guide: "4.1",
            title: [
                "eventos de falha e de backup assinados",
                "events of failure and backup are subscribed to",
            ],
            why: [
                "sem assinatura ninguém recebe o evento em que o RDS diz que o banco ou um backup falhou",
                "without a subscription nobody receives the event by which RDS says that the database or a backup failed",
            ],
        },
        check: |db, _| {
            (!is_spare(db)).then(|| match &db.unheard {
                None => Verdict::Unknown("the event subscriptions were not read".to_owned()),
                Some(unheard) => seen(unheard, |unheard| {
                    Verdict::of(
                        unheard.is_empty(),
                        format!("no subscription to {}", unheard.join(", ")),
                        "an enabled subscription",
                    )
                }),
            })
        },
        command: |db, context| {
            let unheard = db.unheard.as_ref().and_then(|unheard| unheard.as_ref().ok());
            let unheard = unheard.map(Vec::as_slice).unwrap_or_default();
            let commands = unheard.iter().filter_map(|one| {
                let (source, category) = one.split_once(' ')?;
                let names = if source == "db-cluster-snapshot" {
                    String::new()
                } else {
                    format!(" --source-ids {}", db.name)
                };
                Some(format!(
                    "aws rds create-event-subscription --subscription-name {}-{}-{}-{source}-{category} --sns-topic-arn … --source-type {source} --event-categories {category}{names}",
                    context.project, context.environment, db.name
                ))
            });
            commands.collect::<Vec<_>>().join("; ")
        },
    },
    Rule {
        meta: Meta {
            id: "rds.force-ssl",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["conexões sem TLS recusadas pelo banco", "the database refuses connections without TLS"],
            why: [
                "sem isso um cliente que não pede TLS manda a senha e os dados em claro",
                "without it a client that does not ask for TLS sends the password and the data in clear",
            ],
        },
        check: forces_tls,
        command: |db, context| {
            let parameter = db.engine.as_deref().and_then(tls_parameter).unwrap_or("rds.force_ssl");
            let reported = db
                .tls_parameter
                .as_ref()
                .and_then(|reported| reported.as_ref().ok())
                .and_then(Option::as_ref);
            let set = match (db.parameter_groups.first(), reported) {
                (Some(group), Some(reported)) if !group.starts_with("default.") => {
                    force_tls(db, group, parameter, reported)
                }
                (Some(group), None) if !group.starts_with("default.") => {
                    format!("# docs/backups.md#regras: {group} não tem / does not have {parameter}")
                }
                _ => format!(
                    "# docs/backups.md#regras: rds.parameter-group, {parameter}=1, {}-{}",
                    context.project, context.environment
                ),
            };
            format!("{set}  # {}", db.name)
        },
    },
    Rule {
        meta: Meta {
            id: "rds.engine-support",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["versão com suporte padrão", "version in standard support"],
            why: [
                "depois do fim do suporte não há correções, ou o suporte estendido é cobrado por vCPU e hora",
                "after the end of support there are no fixes, or extended support is charged by vCPU and hour",
            ],
        },
        check: engine_support,
        command: |db, _| {
            let engine = db.engine.as_deref().unwrap_or("…");
            let version = db.version.as_deref().unwrap_or("…");
            format!(
                "aws rds describe-db-engine-versions --engine {engine} --engine-version {version} --query 'DBEngineVersions[0].ValidUpgradeTarget[?IsMajorVersionUpgrade].EngineVersion'  # docs/backups.md#regras: {}",
                db.name
            )
        },
    },
];

/// The log of an engine that says why a login or a start failed; none where that is not known.
fn log_of(engine: &str) -> Option<&'static str> {
    match engine {
        "postgres" | "aurora-postgresql" => Some("postgresql"),
        "mysql" | "aurora-mysql" | "mariadb" => Some("error"),
        engine if engine.starts_with("sqlserver-") => Some("error"),
        engine if engine.starts_with("oracle-") => Some("alert"),
        _ => None,
    }
}

/// The parameter of an engine that has it refuse connections without TLS; none where there is none.
pub(crate) fn tls_parameter(engine: &str) -> Option<&'static str> {
    match engine {
        "postgres" | "aurora-postgresql" => Some("rds.force_ssl"),
        "mysql" | "aurora-mysql" | "mariadb" => Some("require_secure_transport"),
        engine if engine.starts_with("sqlserver-") => Some("rds.force_ssl"),
        _ => None,
    }
}

/// Whether an engine refuses connections without TLS where the parameter group does not say; none where AWS does not document
/// it of the version. Sources, of the RDS and Aurora user guides: "Requiring SSL/TLS for all connections to a MySQL DB
/// instance" and "... to a MariaDB DB instance", "Requiring an SSL/TLS connection to an Aurora MySQL DB cluster", "Forcing
/// connections to your DB instance to use SSL" (SQL Server).
fn tls_default(engine: &str, version: (u16, u16)) -> Option<bool> {
    let turns = |last_off: (u16, u16), first_on: (u16, u16)| {
        (version <= last_off || version >= first_on).then_some(version >= first_on)
    };
    match engine {
        "postgres" => Some(version.0 >= 15),
        "aurora-postgresql" => Some(version.0 >= 17),
        "mysql" => turns((8, 4), (9, 7)),
        "mariadb" => turns((11, 4), (11, 8)),
        "aurora-mysql" => Some(false),
        engine if engine.starts_with("sqlserver-") => Some(false),
        _ => None,
    }
}

/// The major and the minor number of a version, of which PostgreSQL's has one that counts.
fn numbers(version: &str) -> Option<(u16, u16)> {
    let mut parts = version.split('.').map(|part| part.parse::<u16>().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

fn forces_tls(db: &Instance, _: &Context<'_>) -> Option<Verdict> {
    if !answers(db) {
        return None;
    }
    let Some(engine) = db.engine.as_deref() else { return Some(Verdict::untold("Engine")) };
    let parameter = tls_parameter(engine)?;
    let Some(reported) = &db.tls_parameter else {
        return Some(Verdict::Unknown(format!("{parameter} was not read")));
    };
    let expected = format!("{parameter} 1");
    Some(seen(reported, |reported| {
        if let Some(value) = reported.as_ref().and_then(|reported| reported.value.as_deref()) {
            let is_on = matches!(value.to_ascii_lowercase().as_str(), "1" | "on" | "true");
            if is_on && db.waits_for_reboot {
                return Verdict::Unknown(format!(
                    "{parameter} {value}, and parameters of the group wait for a reboot (ParameterApplyStatus pending-reboot)"
                ));
            }
            return Verdict::of(is_on, format!("{parameter} {value}"), expected);
        }
        let Some(version) = db.version.as_deref().and_then(numbers) else {
            return Verdict::untold("EngineVersion");
        };
        match tls_default(engine, version) {
            Some(is_on) => Verdict::of(is_on, format!("{parameter} not set"), expected),
            None => Verdict::Unknown(format!(
                "the parameter group does not say {parameter}, and AWS documents no default of {engine} {}.{}",
                version.0, version.1
            )),
        }
    }))
}

/// Sets the parameter that forces TLS. RDS refuses `immediate` of one that is static.
fn force_tls(db: &Instance, group: &str, parameter: &str, reported: &Parameter) -> String {
    let of = if db.form == Form::Cluster { "cluster-" } else { "" };
    let allowed = reported.allowed.as_deref().unwrap_or_default();
    let mut allowed = allowed.split(',').map(str::trim);
    // Aurora MySQL says it in words.
    let on = allowed.find(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "on")).unwrap_or("1");
    let method = if reported.is_static == Some(false) { "immediate" } else { "pending-reboot" };
    let set = format!(
        "aws rds modify-db-{of}parameter-group --db-{of}parameter-group-name {group} --parameters ParameterName={parameter},ParameterValue={on},ApplyMethod={method}"
    );
    if method == "immediate" {
        return set;
    }
    let reboot = match db.form {
        Form::Cluster if is_multi_az_cluster(db) => {
            format!("aws rds reboot-db-cluster --db-cluster-identifier {}", db.name)
        }
        // Each of them.
        Form::Cluster => "aws rds reboot-db-instance --db-instance-identifier …".to_owned(),
        _ => format!("aws rds reboot-db-instance --db-instance-identifier {}", db.name),
    };
    format!("{set}  # vale depois de reiniciar / takes effect after a reboot: {reboot}")
}

/// A Multi-AZ DB cluster that the internet reaches is replaced: only a restore says whether it does.
fn private_cluster(member: &Instance, cluster: &str) -> String {
    let snapshot = cluster_snapshot_name(cluster, "private");
    format!(
        "# docs/backups.md#regras: o RDS não muda isto num Multi-AZ DB cluster / RDS cannot change it: {}; aws rds wait db-cluster-snapshot-available --db-cluster-snapshot-identifier {snapshot}; aws rds restore-db-cluster-from-snapshot --snapshot-identifier {snapshot} --db-cluster-identifier {cluster}-private --engine {} --no-publicly-accessible --db-cluster-instance-class …  # {}",
        started(member, cluster_snapshot(cluster, "private")),
        member.engine.as_deref().unwrap_or("…"),
        member.name,
    )
}

fn engine_support(db: &Instance, context: &Context<'_>) -> Option<Verdict> {
    if !answers(db) {
        return None;
    }
    let days = context.policy.engine_support_days;
    let engine = format!("{} {}", db.engine.as_deref().unwrap_or("?"), db.version.as_deref().unwrap_or("?"));
    match &db.supported_until {
        None => Some(Verdict::Unknown("the engine's versions were not read".to_owned())),
        // AWS announces it of open-source engines only.
        Some(Ok(None)) => None,
        Some(until) => Some(seen(until, |until| {
            let limit = SignedDuration::from_hours(24 * i64::from(days));
            let is_long = until.is_none_or(|until| until.duration_since(context.now) >= limit);
            let until = until.map(utc).unwrap_or_default();
            Verdict::of(is_long, format!("{engine}, standard support until {until}"), format!("≥ {days} d"))
        })),
    }
}

/// When standard support of a version ends, of the engine's major versions: the longest that the version begins with. None
/// where it is not among them, and an end of none where AWS announces none.
pub(crate) fn supported_until(
    version: &str,
    majors: &[(String, Option<Timestamp>)],
) -> Option<Option<Timestamp>> {
    let is_of = |major: &str| {
        version.strip_prefix(major).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = majors.iter().filter(|(major, _)| is_of(major)).max_by_key(|(major, _)| major.len());
    found.map(|(_, until)| *until)
}

/// Which events of a database reach no subscription: type of source and category. RDS sends the backups of a cluster as
/// events of its snapshots, whose names are not known beforehand.
pub(crate) fn unheard(db: &Instance, subscriptions: &[Subscription]) -> Vec<String> {
    let wanted: &[(&str, &str)] = match db.form {
        Form::Single => &[("db-instance", "backup"), ("db-instance", "failure")],
        Form::Member(_) => &[("db-instance", "failure")],
        Form::Cluster => &[("db-cluster", "failure"), ("db-cluster-snapshot", "backup")],
    };
    let is_heard = |source: &str, category: &str| {
        subscriptions.iter().any(|one| {
            one.is_sending
                && one.source.as_deref().is_none_or(|of| of == source)
                && (one.names.is_empty() || one.names.contains(&db.name))
                && (one.categories.is_empty() || one.categories.iter().any(|of| of == category))
        })
    };
    let unheard = wanted.iter().filter(|(source, category)| !is_heard(source, category));
    unheard.map(|(source, category)| format!("{source} {category}")).collect()
}

/// What a database is to the blue/green deployments. After the switchover the one that was in production keeps running under
/// a name that ends in `-old` and a number.
pub(crate) fn deployment(arn: &str, pairs: &[Pair]) -> Option<Deployment> {
    let is = |side: &Option<String>| side.as_deref() == Some(arn);
    let has_old_name = |arn: &str| {
        arn.rsplit_once("-old")
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_old = has_old_name(arn);
    pairs.iter().find_map(|pair| {
        // The status may have gone on, e.g. to DELETING, while the switchover's names stay. A database of such a name that is
        // in production has them before.
        let is_before = matches!(pair.status.as_str(), "PROVISIONING" | "AVAILABLE");
        let is_done = pair.status == "SWITCHOVER_COMPLETED"
            || (!is_before && pair.blue.as_deref().is_some_and(has_old_name));
        let side = match (is(&pair.blue), is(&pair.green)) {
            (true, _) if !is_done => Side::Blue,
            (_, true) if !is_done => Side::Green,
            (true, _) if is_old => Side::Old,
            _ => return None,
        };
        Some(Deployment { id: pair.id.clone(), status: pair.status.clone(), side })
    })
}

/// The plan that has AWS Backup own a database's backups: the plan's name, its rule's, and how long it keeps.
fn continuous(db: &Instance) -> Vec<(&Plan, &str, i64)> {
    let plans = db.plans.as_ref().and_then(|plans| plans.as_ref().ok());
    let rules = plans.into_iter().flatten().flat_map(|plan| plan.rules.iter().map(move |rule| (plan, rule)));
    let kept = rules.filter(|(_, rule)| rule.is_continuous).filter_map(|(plan, rule)| {
        #[expect(clippy::cast_possible_truncation, reason = "days, at most 35")]
        let days = rule.lifecycle.delete_after_days? as i64;
        Some((&**plan, rule.rule_name.as_str(), days))
    });
    kept.collect()
}

/// Brings a resource into a plan.
pub(crate) fn select(name: &str, arn: &str) -> String {
    // AWS Backup takes 50 characters.
    let name: String = name.chars().take(50).collect();
    format!(
        "aws backup create-backup-selection --backup-plan-id … --backup-selection SelectionName={name},IamRoleArn=…,Resources={arn}"
    )
}

/// A cluster's snapshot has a name of 63 characters at most.
fn cluster_snapshot_name(name: &str, end: &str) -> String {
    let longest = Kind::Cluster.longest_name().saturating_sub(end.len() + 1);
    let beginning = name.get(..longest).unwrap_or(name).trim_end_matches('-');
    format!("{beginning}-{end}")
}

fn cluster_snapshot(name: &str, end: &str) -> String {
    format!(
        "aws rds create-db-cluster-snapshot --db-cluster-identifier {name} --db-cluster-snapshot-identifier {}",
        cluster_snapshot_name(name, end)
    )
}

/// The retention that is sure to last: a shorter one that waits will come, a longer one may be taken back.
fn lasting_days(instance: &Instance) -> Option<i32> {
    let days = instance.retention_days?;
    Some(instance.pending_retention_days.map_or(days, |pending| pending.min(days)))
}

fn reported_days(instance: &Instance) -> String {
    let days = instance.retention_days.map_or_else(|| "?".to_owned(), |days| days.to_string());
    let pending = instance.pending_retention_days.map(|days| format!(", pending {days}")).unwrap_or_default();
    format!("BackupRetentionPeriod {days}{pending}")
}

/// The retention to ask for: the policy's, and never less than there is.
pub(crate) fn wanted_days(instance: &Instance, least: u16) -> i32 {
    instance.retention_days.unwrap_or(0).max(least.into())
}

fn keep(instance: &Instance, context: &Context<'_>) -> String {
    let days = wanted_days(instance, context.retention_days.unwrap_or(7));
    if instance.recovery_point.is_some() {
        return keep_by_plan(instance, context, days);
    }
    // From none to some restarts the instance. A cluster always has some.
    let outage = if instance.retention_days == Some(0) && instance.form == Form::Single {
        " --apply-immediately  # reinicia a instância / outage"
    } else {
        ""
    };
    modify(instance, &format!("--backup-retention-period {days}{outage}"))
}

/// Every rule of the plans that keeps too little, the shortest first: another one that stays would take its place.
fn keep_by_plan(instance: &Instance, context: &Context<'_>, days: i32) -> String {
    let least = i64::from(context.retention_days.unwrap_or(7));
    let mut short: Vec<_> = continuous(instance).into_iter().filter(|(.., kept)| *kept < least).collect();
    short.sort_by_key(|(.., kept)| *kept);
    let mut ids: Vec<&str> = Vec::new();
    for (plan, ..) in &short {
        if !ids.contains(&plan.id.as_str()) {
            ids.push(&plan.id);
        }
    }
    // Without the ids of its rules, which the plan is shown with and not taken with.
    let update = |id: &&str| {
        let rules = short.iter().filter(|(plan, ..)| plan.id == **id);
        let names: Vec<_> = rules.map(|(_, rule, _)| format!(r#".RuleName == "{rule}""#)).collect();
        let names = names.join(" or ");
        format!(
            r"aws backup get-backup-plan --backup-plan-id {id} --query BackupPlan --output json | jq 'del(.Rules[].RuleId) | (.Rules[] | select({names}).Lifecycle.DeleteAfterDays) = {days}' > plan.json && aws backup update-backup-plan --backup-plan-id {id} --backup-plan file://plan.json"
        )
    };
    let updates: Vec<_> = ids.iter().map(update).collect();
    if updates.is_empty() {
        return format!("aws backup describe-protected-resource --resource-arn {}", instance.arn);
    }
    format!("{}  # {}", updates.join(" && "), instance.name)
}

/// RDS shows the retention that AWS Backup set last; the plan says the one that it will set next.
fn retention(instance: &Instance, context: &Context<'_>) -> Verdict {
    let Some(days) = lasting_days(instance) else { return Verdict::untold("BackupRetentionPeriod") };
    let plans = continuous(instance);
    let (days, found) = match (&instance.recovery_point, plans.iter().map(|(.., days)| *days).min()) {
        (None, _) => (i64::from(days), reported_days(instance)),
        (Some(point), None) => {
            (i64::from(days), format!("{}, of AWS Backup ({point})", reported_days(instance)))
        }
        (Some(_), Some(least)) => {
            let reported = plans.iter().map(|(plan, rule, days)| {
                format!("plan {} ({}), rule {rule}: DeleteAfterDays {days}", plan.name, plan.id)
            });
            (least, format!("AWS Backup: {}", reported.collect::<Vec<_>>().join("; ")))
        }
    };
    match context.retention_days {
        None => Verdict::Unknown(format!(
            "{found}, and the policy has no backups.retention_days.{}",
            context.environment
        )),
        Some(least) => Verdict::of(days >= i64::from(least), found, format!("≥ {least}")),
    }
}

/// The maintenance window, where the backup window that the policy wants overlaps it: RDS refuses that.
pub(crate) fn maintained<'a>(instance: &'a Instance, context: &Context<'_>) -> Option<&'a str> {
    let maintenance = instance.maintenance_window.as_deref()?;
    overlaps(&context.policy.backup_window, maintenance).unwrap_or(false).then_some(maintenance)
}

/// Whether a window of each day, `hh:mm-hh:mm`, and one of the week, `ddd:hh:mm-ddd:hh:mm`, have a minute in common; none
/// when one of them is no window.
fn overlaps(daily: &str, weekly: &str) -> Option<bool> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let minute = |text: &str| {
        let (day, time) = text.split_once(':')?;
        let day = DAYS.iter().position(|name| day.eq_ignore_ascii_case(name))?;
        let (hour, minute) = time.split_once(':')?;
        let (hour, minute): (i32, i32) = (hour.parse().ok()?, minute.parse().ok()?);
        Some(i32::try_from(day).ok()? * DAY + hour * 60 + minute)
    };
    let (begins, ends) = weekly.split_once('-')?;
    let (begins, ends) = (minute(begins)?, minute(ends)?);
    let (from, to) = window(daily)?;
    let length = (i32::from(to) - i32::from(from)).rem_euclid(DAY);
    let maintenance = (ends - begins).rem_euclid(7 * DAY);
    // Two spans on a circle overlap when one begins within the other.
    Some((0..7).any(|day| {
        let backup = day * DAY + i32::from(from);
        (begins - backup).rem_euclid(7 * DAY) < length || (backup - begins).rem_euclid(7 * DAY) < maintenance
    }))
}

fn backup_window(found: Option<&str>, context: &Context<'_>) -> Verdict {
    let hours = context.policy.business_hours;
    let expected = format!("outside {:02}:00-{:02}:00 America/Sao_Paulo", hours.from, hours.to);
    let Some(text) = found else { return Verdict::fail("no PreferredBackupWindow", expected) };
    let Some((from, to)) = window(text) else {
        return Verdict::Unknown(format!("PreferredBackupWindow {text} is no window"));
    };
    let offset = context.now.to_zoned_datetime(shared::runtime::time::SAO_PAULO).offset().seconds() / 60;
    let length = (i32::from(to) - i32::from(from)).rem_euclid(DAY);
    let begins = (i32::from(from) + offset).rem_euclid(DAY);
    let (open, close) = (i32::from(hours.from) * 60, i32::from(hours.to) * 60);
    // A window that passes midnight also lies on the day after.
    let overlaps = [0, -DAY].iter().any(|day| begins + day < close && begins + day + length > open);
    Verdict::of(!overlaps, format!("PreferredBackupWindow {text} UTC"), expected)
}

/// Takes a snapshot by hand: snapshot-create takes those that are the environment's by name.
fn snapshot_now(instance: &Instance, context: &Context<'_>) -> String {
    let Instance { name, .. } = instance;
    let Context { project, environment, .. } = context;
    let today = context.now.to_zoned_datetime(shared::runtime::time::SAO_PAULO).date();
    if instance.form == Form::Cluster {
        return cluster_snapshot(name, &today.to_string());
    }
    if name != context.database && !context.is_named(name) {
        return format!(
            "aws rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {name}-{today}"
        );
    }
    let of = if name == context.database { String::new() } else { format!(r#","instance":"{name}""#) };
    format!(
        r#"echo '{{"deploy":"backup-audit-{name}-{today}","reason":"rds.snapshot-fresh","by":"backup-audit"{of}}}' | aws lambda invoke --function-name {project}-{environment}-snapshot-create --cli-read-timeout 90 --payload fileb:///dev/stdin /dev/stdout"#
    )
}

fn status(instance: &Instance) -> &str {
    instance.status.as_deref().unwrap_or("?")
}

/// Young instances have none yet, and one with backups off never has one: that is told by its own rule.
fn newest_snapshot(instance: &Instance, context: &Context<'_>) -> Option<Verdict> {
    if !is_source(instance) || instance.retention_days == Some(0) {
        return None;
    }
    let hours = context.policy.snapshot_hours;
    let expected = format!("≤ {hours} h");
    let Some(newest) = &instance.newest_snapshot else {
        return Some(Verdict::Unknown("the snapshots were not read".to_owned()));
    };
    Some(match newest {
        Err(error) => Verdict::Unknown(error.to_string()),
        Ok(Some(at)) => {
            let age = changed_until(instance, context).duration_since(*at);
            Verdict::of(
                age <= SignedDuration::from_hours(hours.into()),
                format!("SnapshotCreateTime {} ({})", utc(*at), status(instance)),
                expected,
            )
        }
        Ok(None) => match instance.created {
            None => Verdict::untold("InstanceCreateTime"),
            Some(created) => {
                let age = changed_until(instance, context).duration_since(created);
                let found = format!("no automated snapshot ({})", status(instance));
                Verdict::of(age <= YOUNG, found, expected)
            }
        },
    })
}

/// RDS tells no point of an instance whose first backup is not done.
fn point_in_time(instance: &Instance, context: &Context<'_>) -> Option<Verdict> {
    if !is_source(instance) || instance.retention_days == Some(0) {
        return None;
    }
    let minutes = context.policy.point_in_time_minutes;
    let expected = format!("≤ {minutes} min");
    let until = changed_until(instance, context);
    let is_young = |created: Timestamp| until.duration_since(created) <= YOUNG;
    Some(match instance.latest_restorable {
        Some(at) => {
            let lag = until.duration_since(at);
            let limit = SignedDuration::from_mins(minutes.into());
            let found = format!("LatestRestorableTime {} ({})", utc(at), status(instance));
            Verdict::of(lag <= limit, found, expected)
        }
        None => match instance.created {
            None => Verdict::untold("LatestRestorableTime"),
            Some(created) => Verdict::of(is_young(created), "no LatestRestorableTime", expected),
        },
    })
}

fn certificate(instance: &Instance, context: &Context<'_>) -> Option<Verdict> {
    let days = context.policy.certificate_days;
    Some(match instance.certificate_until {
        None => Verdict::untold("CertificateDetails.ValidTill"),
        Some(until) => {
            let left = until.duration_since(context.now);
            let limit = SignedDuration::from_hours(24 * i64::from(days));
            Verdict::of(left >= limit, format!("ValidTill {}", utc(until)), format!("≥ {days} d"))
        }
    })
}

/// RDS asks for a limit at least a tenth above what is there.
fn autoscaling(instance: &Instance) -> Verdict {
    let Some(storage) = instance.storage_gib else { return Verdict::untold("AllocatedStorage") };
    let limit = instance.storage_limit_gib.unwrap_or(0);
    let grows = i64::from(limit) * 10 >= i64::from(storage) * 11;
    let found =
        if limit == 0 { "no MaxAllocatedStorage".to_owned() } else { format!("MaxAllocatedStorage {limit}") };
    Verdict::of(grows, found, format!("≥ 1.1 × AllocatedStorage {storage}"))
}

/// Every rule for a manual snapshot. An automated one cannot be shared, and is encrypted as its instance is.
pub(crate) static SNAPSHOT: &[Rule<Snapshot>] = &[
    Rule {
        meta: Meta {
            id: "rds.snapshot-public",
            severity: Severity::Critical,
            guide: "2.1.1",
            title: ["snapshot que qualquer conta restaura", "snapshot that any account can restore"],
            why: ["é o banco inteiro na mão de qualquer um", "it is the whole database in anybody's hand"],
        },
        check: |snapshot, _| {
            Some(seen(&snapshot.shared_with, |accounts| {
                Verdict::of(!accounts.contains("all"), "restore: all", "restore: no \"all\"")
            }))
        },
        command: |snapshot, _| unshare(snapshot, "all"),
    },
    Rule {
        meta: Meta {
            id: "rds.snapshot-shared",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["snapshot compartilhado com outra conta", "snapshot shared with another account"],
            why: [
                "quem o restaura lê tudo; contas da equipe se dizem na política (shared_with)",
                "whoever restores it reads everything; the team's accounts are told in the policy (shared_with)",
            ],
        },
        check: |snapshot, context| {
            Some(seen(&snapshot.shared_with, |accounts| {
                let strangers = strangers(accounts, context);
                Verdict::of(
                    strangers.is_empty(),
                    format!("restore: {}", strangers.join(",")),
                    "restore: backups.audit.shared_with",
                )
            }))
        },
        command: |snapshot, context| {
            let strangers =
                snapshot.shared_with.as_ref().map(|accounts| strangers(accounts, context).join(" "));
            unshare(snapshot, &strangers.unwrap_or_default())
        },
    },
    Rule {
        meta: Meta {
            id: "rds.snapshot-encryption",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["snapshot cifrado", "encrypted snapshot"],
            why: [
                "o snapshot sai da conta mais fácil do que a instância",
                "a snapshot leaves the account more easily than an instance",
            ],
        },
        check: |snapshot, _| Some(switch(snapshot.is_encrypted, "Encrypted", true)),
        command: |snapshot, context| {
            if snapshot.is_of_cluster && is_not_aurora(snapshot.engine.as_deref()) {
                return by_dump(&snapshot.name);
            }
            // RDS encrypts no copy of a cluster's snapshot; a cluster that is restored from it can be.
            if snapshot.is_of_cluster {
                return format!(
                    "# docs/backups.md#cifrar: aws rds restore-db-cluster-from-snapshot --snapshot-identifier {0} --db-cluster-identifier {0}-encrypted --kms-key-id {1} --engine …",
                    snapshot.name,
                    context.key.unwrap_or("alias/aws/rds"),
                );
            }
            format!(
                "aws rds copy-db-snapshot --source-db-snapshot-identifier {0} --target-db-snapshot-identifier {0}-encrypted --kms-key-id {1} --copy-tags && aws rds wait db-snapshot-available --db-snapshot-identifier {0}-encrypted && aws rds delete-db-snapshot --db-snapshot-identifier {0}",
                snapshot.name,
                context.key.unwrap_or("alias/aws/rds"),
            )
        },
    },
];

/// The accounts that the policy does not know; everybody is another rule's.
pub(crate) fn strangers(accounts: &std::collections::BTreeSet<String>, context: &Context<'_>) -> Vec<String> {
    let is_known = |account: &&String| *account == "all" || context.policy.shared_with.contains(account);
    accounts.iter().filter(|account| !is_known(account)).cloned().collect()
}

fn unshare(snapshot: &Snapshot, accounts: &str) -> String {
    let db = if snapshot.is_of_cluster { "db-cluster" } else { "db" };
    format!(
        "aws rds modify-{db}-snapshot-attribute --{db}-snapshot-identifier {} --attribute-name restore --values-to-remove {accounts}",
        snapshot.name
    )
}
