//! Settings that protect a database or its backups, and keep it available and up to date.

use jiff::SignedDuration;
use shared::command;

use super::command::{by_hand, describe, modify, once_available};
use super::state::{is_custom, is_instance, is_multi_az_cluster, is_source, is_spare, owns_backups};
use crate::rules::facts::{Form, Instance};
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, switch, utc};

pub(super) const DELETION_PROTECTION: Rule<Instance> = Rule {
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
    command: |instance, _| modify(instance, &command!("--deletion-protection")),
};

pub(super) const COPY_TAGS: Rule<Instance> = Rule {
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
    command: |instance, _| modify(instance, &command!("--copy-tags-to-snapshot")),
};

pub(super) const MULTI_AZ: Rule<Instance> = Rule {
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
            let add = command!(
                "aws rds create-db-instance --db-cluster-identifier {name} --db-instance-identifier {name}-2 --engine {engine} --db-instance-class …",
                name = instance.name,
                engine = instance.engine.as_deref().unwrap_or("aurora-postgresql")
            );
            return once_available(instance, add);
        }
        if is_custom(instance) { by_hand(instance) } else { modify(instance, &command!("--multi-az")) }
    },
};

pub(super) const MINOR_UPGRADES: Rule<Instance> = Rule {
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
    command: |instance, _| modify(instance, &command!("--auto-minor-version-upgrade")),
};

pub(super) const CERTIFICATE: Rule<Instance> = Rule {
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
            &command!(
                "--ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately  # pode reiniciar a instância / outage"
            ),
        )
    },
};

pub(super) const PARAMETER_GROUP: Rule<Instance> = Rule {
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
        let change = match instance.form {
            Form::Cluster => command!("--db-cluster-parameter-group-name {group}", group),
            _ => command!("--db-parameter-group-name {group}", group),
        };
        modify(instance, &change)
    },
};

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
