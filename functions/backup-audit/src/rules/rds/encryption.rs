//! Encryption of storage.

use shared::command;

use super::command::{by_dump, cluster_snapshot, cluster_snapshot_name, once_available};
use super::state::{is_multi_az_cluster, owns_backups};
use crate::rules::facts::{Form, Instance};
use crate::rules::rule::{Meta, Rule, Severity, Verdict, switch};

pub(super) const ENCRYPTION: Rule<Instance> = Rule {
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
        let key = context.key.unwrap_or("alias/aws/rds");
        if instance.form == Form::Cluster {
            return command!(
                "# docs/backups.md#cifrar: {first}; aws rds wait db-cluster-snapshot-available --db-cluster-snapshot-identifier {snapshot}; aws rds restore-db-cluster-from-snapshot --snapshot-identifier {snapshot} --db-cluster-identifier {name}-encrypted --kms-key-id {key} --engine …",
                first = once_available(instance, cluster_snapshot(name, "plain")),
                snapshot = cluster_snapshot_name(name, "plain"),
                name,
                key
            );
        }
        let snapshot = command!(
            "aws rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {name}-plain",
            name
        );
        command!(
            "# docs/backups.md#cifrar: {first}; aws rds wait db-snapshot-available --db-snapshot-identifier {name}-plain; aws rds copy-db-snapshot --source-db-snapshot-identifier {name}-plain --target-db-snapshot-identifier {name}-encrypted --kms-key-id {key}; aws rds restore-db-instance-from-db-snapshot …",
            first = once_available(instance, snapshot),
            name,
            key
        )
    },
};

pub(super) const ENCRYPTION_KEY: Rule<Instance> = Rule {
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
        command!(
            "# docs/backups.md#cifrar: aws rds copy-{db}-snapshot --source-{db}-snapshot-identifier … --target-{db}-snapshot-identifier {name}-rekeyed --kms-key-id {key}",
            db,
            name = instance.name,
            key = context.key.unwrap_or_default()
        )
    },
};
