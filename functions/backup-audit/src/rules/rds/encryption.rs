//! Encryption of storage.

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
        format!(
            "# docs/backups.md#cifrar: aws rds copy-{db}-snapshot --source-{db}-snapshot-identifier … --target-{db}-snapshot-identifier {}-rekeyed --kms-key-id {}",
            instance.name,
            context.key.unwrap_or_default()
        )
    },
};
