//! Access to a database: network and master password.

use shared::command;

use super::command::{by_hand, modify, private_cluster};
use super::state::{is_custom, is_instance, is_multi_az_cluster, owns_backups};
use crate::rules::facts::{Form, Instance};
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, switch};

pub(super) const PUBLIC: Rule<Instance> = Rule {
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
        _ => modify(instance, &command!("--no-publicly-accessible")),
    },
};

pub(super) const SUBNET_GROUP: Rule<Instance> = Rule {
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
            Some(group) => {
                Verdict::of(group != "default", "DBSubnetGroup default", "a group of the application's VPC")
            }
        })
    },
    command: |instance, context| {
        let Context { project, environment, .. } = context;
        let group = command!("--db-subnet-group-name {project}-{environment}-db", project, environment);
        if instance.form == Form::Cluster {
            // A cluster cannot move.
            return command!(
                "# docs/backups.md#regras: aws rds restore-db-cluster-from-snapshot --db-cluster-identifier {name}-new {group} …",
                name = instance.name,
                group
            );
        }
        if is_custom(instance) { by_hand(instance) } else { modify(instance, &group) }
    },
};

pub(super) const MASTER_PASSWORD: Rule<Instance> = Rule {
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
            Some(_) => Verdict::of(!instance.has_managed_password, "MasterUserSecret", "no MasterUserSecret"),
        })
    },
    command: |instance, _| {
        let change = command!("--no-manage-master-user-password --master-user-password …");
        command!("# docs/rotacao-banco.md: {modify}", modify = modify(instance, &change))
    },
};
