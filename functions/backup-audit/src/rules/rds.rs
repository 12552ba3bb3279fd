//! Databases and their snapshots (guide, 2.1 step 1).

use jiff::{SignedDuration, Timestamp};
use shared::policy::window;

use super::{Context, Meta, Rule, Severity, Verdict, seen, switch, utc};
use crate::facts::{Instance, Snapshot};

/// A day has 1440 minutes.
const DAY: i32 = 1440;

/// Greatest that a snapshot's own start may lie before the instance was there: none is asked of one that is younger.
const YOUNG: SignedDuration = SignedDuration::from_hours(26);

/// That a database which the template names is there.
pub(crate) static MISSING: Meta = Meta {
    id: "rds.exists",
    severity: Severity::Critical,
    guide: "1",
    title: ["a instância do ambiente existe", "the environment's instance exists"],
    why: ["sem instância não há backup dela", "without the instance there is no backup of it"],
};

fn modify(instance: &Instance, change: &str) -> String {
    format!("aws rds modify-db-instance --db-instance-identifier {} {change}", instance.name)
}

/// A replica has no automated backups of its own unless somebody wants them; those of its source count.
fn is_source(instance: &Instance) -> bool {
    instance.replica_of.is_none()
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
                Some(days) => Verdict::of(days > 0, told_days(instance), "BackupRetentionPeriod ≥ 1"),
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
        check: |instance, context| {
            is_source(instance).then(|| backup_window(instance.backup_window.as_deref(), context))
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
            let events = format!(
                "aws rds describe-events --source-type db-instance --source-identifier {} --duration 2880",
                instance.name
            );
            format!("{}; {events}", snapshot_now(instance, context))
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
        command: |instance, _| {
            format!(
                "aws rds describe-db-instances --db-instance-identifier {} --query 'DBInstances[0].[DBInstanceStatus,LatestRestorableTime]'",
                instance.name
            )
        },
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
        check: |instance, _| Some(switch(instance.is_encrypted, "StorageEncrypted", true)),
        command: |instance, context| {
            format!(
                "# docs/backups.md#cifrar: aws rds create-db-snapshot --db-instance-identifier {0} --db-snapshot-identifier {0}-plain; aws rds copy-db-snapshot --source-db-snapshot-identifier {0}-plain --target-db-snapshot-identifier {0}-encrypted --kms-key-id {1}; aws rds restore-db-instance-from-db-snapshot …",
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
            (instance.is_encrypted != Some(false)).then(|| match instance.key.as_deref() {
                None => Verdict::untold("KmsKeyId"),
                Some(found) => Verdict::of(found == expected, format!("KmsKeyId {found}"), expected),
            })
        },
        command: |instance, context| {
            format!(
                "# docs/backups.md#cifrar: aws rds copy-db-snapshot --source-db-snapshot-identifier … --target-db-snapshot-identifier {}-rekeyed --kms-key-id {}",
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
        check: |instance, _| Some(switch(instance.is_protected, "DeletionProtection", true)),
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
        check: |instance, _| Some(switch(instance.is_public, "PubliclyAccessible", false)),
        command: |instance, _| modify(instance, "--no-publicly-accessible"),
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
        check: |instance, _| Some(switch(instance.copies_tags, "CopyTagsToSnapshot", true)),
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
        command: |instance, _| modify(instance, "--multi-az"),
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
        check: |instance, _| Some(switch(instance.upgrades, "AutoMinorVersionUpgrade", true)),
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
        check: certificate,
        command: |instance, _| {
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
        check: |instance, _| Some(autoscaling(instance)),
        command: |instance, _| {
            let double = instance.storage_gib.unwrap_or(20).saturating_mul(2);
            modify(instance, &format!("--max-allocated-storage {double}"))
        },
    },
    Rule {
        meta: Meta {
            id: "rds.log-exports",
            severity: Severity::Low,
            guide: "app 7",
            title: ["logs do PostgreSQL no CloudWatch", "PostgreSQL's logs in CloudWatch"],
            why: [
                "sem eles uma falha de backup ou de login não tem rastro",
                "without them a failed backup or login leaves no trace",
            ],
        },
        check: |instance, _| {
            let found = instance.log_exports.join(",");
            let exports = instance.log_exports.iter().any(|log| log == "postgresql");
            Some(match &instance.status {
                None => Verdict::untold("DBInstanceStatus"),
                Some(_) => {
                    Verdict::of(exports, format!("EnabledCloudwatchLogsExports [{found}]"), "postgresql")
                }
            })
        },
        command: |instance, _| {
            modify(instance, r#"--cloudwatch-logs-export-configuration '{"EnableLogTypes":["postgresql"]}'"#)
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
            Some(if instance.parameter_groups.is_empty() {
                Verdict::untold("DBParameterGroups")
            } else {
                let is_own = !instance.parameter_groups.iter().any(|group| group.starts_with("default."));
                Verdict::of(is_own, format!("DBParameterGroups {found}"), "no default.*")
            })
        },
        command: |instance, context| {
            modify(
                instance,
                &format!("--db-parameter-group-name {}-{}-db", context.project, context.environment),
            )
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
            Some(match instance.subnet_group.as_deref() {
                None => Verdict::untold("DBSubnetGroup"),
                Some(group) => Verdict::of(
                    group != "default",
                    "DBSubnetGroup default",
                    "a group of the application's VPC",
                ),
            })
        },
        command: |instance, context| {
            modify(
                instance,
                &format!("--db-subnet-group-name {}-{}-db", context.project, context.environment),
            )
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
            Some(match &instance.status {
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
];

/// The retention that is sure to last: a shorter one that waits will come, a longer one may be taken back.
fn lasting_days(instance: &Instance) -> Option<i32> {
    let days = instance.retention_days?;
    Some(instance.pending_retention_days.map_or(days, |pending| pending.min(days)))
}

fn told_days(instance: &Instance) -> String {
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
    // From none to some restarts the instance.
    let outage = if instance.retention_days == Some(0) {
        " --apply-immediately  # reinicia a instância / outage"
    } else {
        ""
    };
    modify(instance, &format!("--backup-retention-period {days}{outage}"))
}

fn retention(instance: &Instance, context: &Context<'_>) -> Verdict {
    let Some(days) = lasting_days(instance) else { return Verdict::untold("BackupRetentionPeriod") };
    let found = told_days(instance);
    match context.retention_days {
        None => Verdict::Unknown(format!(
            "{found}, and the policy has no backups.retention_days.{}",
            context.environment
        )),
        Some(least) => Verdict::of(days >= i32::from(least), found, format!("≥ {least}")),
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
    let offset = context.now.to_zoned_datetime(shared::time::SAO_PAULO).offset().seconds() / 60;
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
    let today = context.now.to_zoned_datetime(shared::time::SAO_PAULO).date();
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
            let age = context.now.duration_since(*at);
            Verdict::of(
                age <= SignedDuration::from_hours(hours.into()),
                format!("SnapshotCreateTime {}", utc(*at)),
                expected,
            )
        }
        Ok(None) => match instance.created {
            None => Verdict::untold("InstanceCreateTime"),
            Some(created) => {
                Verdict::of(context.now.duration_since(created) <= YOUNG, "no automated snapshot", expected)
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
    let is_young = |created: Timestamp| context.now.duration_since(created) <= YOUNG;
    Some(match instance.latest_restorable {
        Some(at) => {
            let lag = context.now.duration_since(at);
            let limit = SignedDuration::from_mins(minutes.into());
            // A stopped instance has no new log to send; it is its status that is to be told then.
            let status = instance.status.as_deref().unwrap_or("?");
            Verdict::of(lag <= limit, format!("LatestRestorableTime {} ({status})", utc(at)), expected)
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
    format!(
        "aws rds modify-db-snapshot-attribute --db-snapshot-identifier {} --attribute-name restore --values-to-remove {accounts}",
        snapshot.name
    )
}
