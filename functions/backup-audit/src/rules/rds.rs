//! Databases and their snapshots (guide, 2.1 step 1).

pub(crate) mod blue_green;
mod command;
pub(crate) mod engine;
mod recovery_points;
pub(crate) mod retention;
pub(crate) mod snapshot;
pub(crate) mod state;
mod storage;
pub(crate) mod subscriptions;
pub(crate) mod tls;
pub(crate) mod window;

use jiff::SignedDuration;

use command::{
    by_dump, by_hand, cluster_snapshot, cluster_snapshot_name, describe, events, make_available, modify,
};
use command::{once_available, private_cluster};
use engine::{engine_support, log_of};
use recovery_points::{newest_snapshot, point_in_time, snapshot_now};
use retention::{certain_days, change_retention, retention, shown_days};
use state::{
    is_at_rest, is_custom, is_instance, is_multi_az_cluster, is_source, is_spare, owns_backups, stops_backups,
};
use storage::{LARGEST_STORAGE, autoscaling, enlarge};
use tls::{force_tls, forces_tls, tls_parameter};
use window::{backup_window, conflicting_maintenance};

use super::facts::{Deployment, Form, Instance, Side};
use super::plans::select;
use super::rule::{Context, Meta, Rule, Severity, Verdict, seen, switch, utc};

/// The database that the template names exists.
pub(crate) static MISSING: Meta = Meta {
    id: "rds.exists",
    severity: Severity::Critical,
    guide: "1",
    title: ["o banco do ambiente existe", "the environment's database exists"],
    why: ["sem banco não há backup dele", "a database that does not exist has no backups"],
};

/// Every rule for a DB instance or cluster.
pub(crate) static INSTANCE: &[Rule<Instance>] = &[
    Rule {
        meta: Meta {
            id: "rds.retention",
            severity: Severity::High,
            guide: "2.1.1",
            title: ["retenção dos backups automáticos", "retention of automated backups"],
            why: [
                "o guia pede 7 dias em dev e staging e 30 em produção",
                "the guide requires 7 days in dev and staging, and 30 in prod",
            ],
        },
        check: |instance, context| is_source(instance).then(|| retention(instance, context)),
        command: change_retention,
    },
    Rule {
        meta: Meta {
            id: "rds.backups-on",
            severity: Severity::Critical,
            guide: "2.1.1",
            title: ["backups automáticos ligados", "automated backups are on"],
            why: [
                "com retenção 0 o RDS não guarda backup nenhum, nem ponto no tempo",
                "with a retention of 0 RDS keeps no backups and no point in time",
            ],
        },
        check: |instance, _| {
            is_source(instance).then(|| match certain_days(instance) {
                None => Verdict::missing("BackupRetentionPeriod"),
                Some(days) => Verdict::of(days > 0, shown_days(instance), "BackupRetentionPeriod ≥ 1"),
            })
        },
        command: change_retention,
    },
    Rule {
        meta: Meta {
            id: "rds.backup-window",
            severity: Severity::Medium,
            guide: "2.1.1",
            title: [
                "janela de backup definida e fora do horário de trabalho de São Paulo",
                "backup window set, outside business hours in São Paulo",
            ],
            why: [
                "em Single-AZ o início do snapshot para a E/S; de dia, quem usa percebe",
                "in Single-AZ the start of a snapshot suspends I/O; by day, users notice",
            ],
        },
        // For a database that AWS Backup owns, RDS refuses to change the window.
        check: |instance, context| {
            (is_source(instance) && instance.recovery_point.is_none())
                .then(|| backup_window(instance.backup_window.as_deref(), context))
        },
        command: |instance, context| {
            let wanted = &context.policy.backup_window;
            match conflicting_maintenance(instance, context) {
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
                "RDS does not report a skipped backup; only its absence shows it",
            ],
        },
        check: newest_snapshot,
        command: |instance, context| {
            // RDS only takes a snapshot of an available database.
            match instance.status.as_deref() {
                Some(status) if stops_backups(status) => events(instance),
                _ => format!(
                    "{}; {}",
                    once_available(instance, snapshot_now(instance, context)),
                    events(instance)
                ),
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
                "a restore loses everything newer than the latest restorable time",
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
                "snapshots and backups inherit the instance's encryption",
            ],
        },
        check: |instance, _| {
            owns_backups(instance).then(|| switch(instance.is_encrypted, "StorageEncrypted", true))
        },
        command: |instance, context| {
            let name = &instance.name;
            if is_multi_az_cluster(instance) {
                return by_dump(name);
            }
            if instance.form == Form::Cluster {
                return format!(
                    "# docs/backups.md#cifrar: {}; aws rds wait db-cluster-snapshot-available --db-cluster-snapshot-identifier {1}; aws rds restore-db-cluster-from-snapshot --snapshot-identifier {1} --db-cluster-identifier {name}-encrypted --kms-key-id {2} --engine …",
                    once_available(instance, cluster_snapshot(name, "plain")),
                    cluster_snapshot_name(name, "plain"),
                    context.key.unwrap_or("alias/aws/rds"),
                );
            }
            let snapshot = format!(
                "aws rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {name}-plain"
            );
            let snapshot = once_available(instance, snapshot);
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
            // An unencrypted database has no key to compare; `rds.encryption` reports it.
            (owns_backups(instance) && instance.is_encrypted != Some(false)).then(|| {
                match instance.key.as_deref() {
                    None => Verdict::missing("KmsKeyId"),
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
                "deleting the instance also deletes its automated backups",
            ],
        },
        check: |instance, _| {
            (owns_backups(instance) && !is_spare(instance))
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
                "beneficiaries' data must be out of reach for strangers",
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
            title: ["tags copiadas para os snapshots", "tags copied to snapshots"],
            why: [
                "sem tags não se sabe de que ambiente é um snapshot",
                "without tags a snapshot's environment is unknown",
            ],
        },
        check: |instance, _| {
            owns_backups(instance).then(|| switch(instance.copies_tags, "CopyTagsToSnapshot", true))
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
                "optional in the guide; the policy requires it in this environment",
            ],
        },
        check: |instance, context| {
            let wanted = context.policy.multi_az.iter().any(|environment| environment == context.environment);
            (wanted && is_source(instance)).then(|| switch(instance.is_multi_az, "MultiAZ", true))
        },
        command: |instance, _| {
            // RDS places the three members of a Multi-AZ DB cluster itself, and refuses another.
            if is_multi_az_cluster(instance) {
                return describe(instance, "AvailabilityZones");
            }
            if instance.form == Form::Cluster {
                let add = format!(
                    "aws rds create-db-instance --db-cluster-identifier {0} --db-instance-identifier {0}-2 --engine {1} --db-instance-class …",
                    instance.name,
                    instance.engine.as_deref().unwrap_or("aurora-postgresql"),
                );
                return once_available(instance, add);
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
                "they include PostgreSQL's security fixes",
            ],
        },
        // RDS refuses this setting for RDS Custom.
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
                "once it expires, no client that verifies TLS can connect",
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
            title: ["armazenamento que cresce sozinho", "storage autoscaling"],
            why: [
                "com o disco cheio a instância para, e com ela os backups",
                "a full disk stops the instance, and with it the backups",
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
            if !owns_backups(instance) {
                return None;
            }
            let Some(engine) = &instance.engine else { return Some(Verdict::missing("Engine")) };
            let log = log_of(engine)?;
            let found = instance.log_exports.join(",");
            let exports = instance.log_exports.iter().any(|export| export == log);
            Some(match &instance.status {
                None => Verdict::missing("DBInstanceStatus"),
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
            title: ["grupo de parâmetros próprio", "its own parameter group"],
            why: [
                "no grupo padrão nada pode ser mudado, e uma restauração volta a ele",
                "the default group cannot be changed, and a restore falls back to it",
            ],
        },
        check: |instance, _| {
            let found = instance.parameter_groups.join(",");
            (owns_backups(instance) && !is_custom(instance)).then(|| {
                if instance.parameter_groups.is_empty() {
                    Verdict::missing("DBParameterGroups")
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
            title: ["sub-redes próprias", "its own subnets"],
            why: [
                "no grupo padrão a instância fica na VPC padrão, com sub-redes públicas",
                "the default group puts the instance into the default VPC, with public subnets",
            ],
        },
        check: |instance, _| {
            owns_backups(instance).then(|| match instance.subnet_group.as_deref() {
                None => Verdict::missing("DBSubnetGroup"),
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
                "RDS rotates it every 7 days; a DATABASE_URL with that user stops working",
            ],
        },
        check: |instance, _| {
            owns_backups(instance).then(|| match &instance.status {
                None => Verdict::missing("DBInstanceStatus"),
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
            title: ["estado em que o RDS faz backup", "state in which RDS takes backups"],
            why: [
                "nesses estados o RDS não tira snapshot, e o estado não passa sozinho",
                "in these states RDS takes no snapshots, and the state does not end by itself",
            ],
        },
        check: |db, _| {
            Some(match db.status.as_deref() {
                None => Verdict::missing("DBInstanceStatus"),
                Some(status) => {
                    Verdict::of(!stops_backups(status), format!("DBInstanceStatus {status}"), "available")
                }
            })
        },
        // Aurora's storage is not provisioned.
        command: |db, _| {
            let has_storage = db.form == Form::Single || is_multi_az_cluster(db);
            let is_full = has_storage && db.status.as_deref() == Some("storage-full");
            is_full.then(|| enlarge(db)).flatten().unwrap_or_else(|| events(db))
        },
    },
    Rule {
        meta: Meta {
            id: "rds.stopped",
            severity: Severity::Low,
            guide: "2.1.1",
            title: ["banco em execução", "database is running"],
            why: [
                "parado, o banco não muda e não precisa de snapshot mais novo; o RDS o inicia sozinho depois de 7 dias",
                "a stopped database does not change and needs no newer snapshot; RDS starts it again after 7 days",
            ],
        },
        check: |db, _| {
            owns_backups(db).then(|| match db.status.as_deref() {
                None => Verdict::missing("DBInstanceStatus"),
                Some(status) => {
                    let until = db.restarts.map(|at| format!(", AutomaticRestartTime {}", utc(at)));
                    let found = format!("DBInstanceStatus {status}{}", until.unwrap_or_default());
                    Verdict::of(!is_at_rest(db), found, "available")
                }
            })
        },
        command: |db, _| make_available(db).unwrap_or_else(|| describe(db, "AutomaticRestartTime")),
    },
    Rule {
        meta: Meta {
            id: "rds.blue-green",
            severity: Severity::Low,
            guide: "2.1.1",
            title: ["sem implantação azul/verde em aberto", "no open blue/green deployment"],
            why: [
                "até a troca há dois bancos, e depois dela sobra o antigo; as regras de backup valem para o que está em produção",
                "until the switchover there are two databases, and after it the old one remains; the backup rules apply to the one in production",
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
            title: ["banco num plano do AWS Backup", "database in an AWS Backup plan"],
            why: [
                "uma segunda via dos backups, com cofre próprio",
                "a second copy of the backups, in a separate vault",
            ],
        },
        check: |db, _| {
            is_source(db).then(|| match &db.plans {
                None => Verdict::Unknown("the AWS Backup plans were not read".to_owned()),
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
            title: ["eventos de falha e de backup assinados", "subscription to failure and backup events"],
            why: [
                "sem assinatura ninguém recebe o evento em que o RDS diz que o banco ou um backup falhou",
                "without a subscription no one receives RDS's event that the database or a backup failed",
            ],
        },
        check: |db, _| {
            (!is_spare(db)).then(|| match &db.unsubscribed {
                None => Verdict::Unknown("the event subscriptions were not read".to_owned()),
                Some(unsubscribed) => seen(unsubscribed, |unsubscribed| {
                    Verdict::of(
                        unsubscribed.is_empty(),
                        format!("no subscription to {}", unsubscribed.join(", ")),
                        "an enabled subscription",
                    )
                }),
            })
        },
        command: |db, context| {
            let unsubscribed = db.unsubscribed.as_ref().and_then(|unsubscribed| unsubscribed.as_ref().ok());
            let unsubscribed = unsubscribed.map(Vec::as_slice).unwrap_or_default();
            let commands = unsubscribed.iter().filter_map(|one| {
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
                "otherwise a client that does not ask for TLS sends password and data in clear text",
            ],
        },
        check: forces_tls,
        command: |db, context| {
            let parameter = db.engine.as_deref().and_then(tls_parameter).unwrap_or("rds.force_ssl");
            let found = db.tls_parameter.as_ref().and_then(|found| found.as_ref().ok());
            let set = match (db.parameter_groups.first(), found.and_then(Option::as_ref)) {
                (Some(group), Some(found)) if !group.starts_with("default.") => {
                    force_tls(db, group, parameter, found)
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
                "after the end of support there are no fixes, or extended support is billed by vCPU and hour",
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

fn certificate(instance: &Instance, context: &Context<'_>) -> Option<Verdict> {
    let days = context.policy.certificate_days;
    Some(match instance.certificate_until {
        None => Verdict::missing("CertificateDetails.ValidTill"),
        Some(until) => {
            let left = until.duration_since(context.now);
            let limit = SignedDuration::from_hours(24 * i64::from(days));
            Verdict::of(left >= limit, format!("ValidTill {}", utc(until)), format!("≥ {days} d"))
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
