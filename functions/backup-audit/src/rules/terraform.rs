//! Terraform's state and its lock (guide, 2.3). The rules of buckets also apply to the state's bucket.

use shared::command;

use super::facts::Table;
use super::rule::{Meta, Rule, Severity, Verdict, seen, switch};

/// The state has a remote backend, according to the stack's parameters.
pub(crate) static DECLARED_STATE: Meta = Meta {
    id: "terraform.state",
    severity: Severity::High,
    guide: "2.3",
    title: ["estado do Terraform em backend remoto", "Terraform's state in a remote backend"],
    why: [
        "num disco só, o estado se perde com ele, e guarda segredos em claro",
        "a state on one disk is lost with the disk, and it contains secrets in clear text",
    ],
};

/// The state is locked while it is changed.
pub(crate) static DECLARED_LOCK: Meta = Meta {
    id: "terraform.lock",
    severity: Severity::Medium,
    guide: "2.3",
    title: ["trava do estado do Terraform", "lock of Terraform's state"],
    why: [
        "sem trava dois applies ao mesmo tempo estragam o estado",
        "without a lock two concurrent applies corrupt the state",
    ],
};

/// Every rule for the lock table.
pub(crate) static TABLE: &[Rule<Table>] = &[
    Rule {
        meta: Meta {
            id: "terraform.lock-recovery",
            severity: Severity::Low,
            guide: "2.3",
            title: [
                "recuperação a um ponto no tempo da tabela de trava",
                "point-in-time recovery of the lock table",
            ],
            why: ["nela está a soma de verificação do estado", "it contains the state's digest"],
        },
        check: |table, _| {
            Some(seen(&table.has_recovery, |on| {
                Verdict::of(*on, "PointInTimeRecoveryStatus DISABLED", "ENABLED")
            }))
        },
        command: |table, _| {
            command!(
                "aws dynamodb update-continuous-backups --table-name {table} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
                table = table.name
            )
        },
    },
    Rule {
        meta: Meta {
            id: "terraform.lock-protection",
            severity: Severity::Low,
            guide: "2.3",
            title: ["proteção contra exclusão da tabela de trava", "deletion protection of the lock table"],
            why: ["sem a tabela todo apply falha", "without the table every apply fails"],
        },
        check: |table, _| Some(switch(table.is_protected, "DeletionProtectionEnabled", true)),
        command: |table, _| {
            command!(
                "aws dynamodb update-table --table-name {table} --deletion-protection-enabled",
                table = table.name
            )
        },
    },
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::rule::tests::Case::{Broken, Dark, Edge, Holds};
    use crate::rules::rule::tests::{Rows, check, unread};

    pub(crate) fn table() -> Table {
        Table {
            name: "moveongs-terraform-locks".to_owned(),
            arn: "arn:aws:dynamodb:us-east-1:111122223333:table/moveongs-terraform-locks".to_owned(),
            is_protected: Some(true),
            has_recovery: Ok(true),
        }
    }

    pub(crate) const TABLES: Rows<Table> = &[
        ("terraform.lock-recovery", Holds, |_| ()),
        ("terraform.lock-recovery", Broken, |table| table.has_recovery = Ok(false)),
        ("terraform.lock-recovery", Dark, |table| table.has_recovery = unread()),
        ("terraform.lock-recovery", Edge("pass"), |table| table.is_protected = None),
        ("terraform.lock-protection", Holds, |_| ()),
        ("terraform.lock-protection", Broken, |table| table.is_protected = Some(false)),
        ("terraform.lock-protection", Dark, |table| table.is_protected = None),
        ("terraform.lock-protection", Edge("pass"), |table| table.has_recovery = unread()),
    ];

    #[test]
    fn every_rule_of_a_lock_table() {
        check(TABLE, "moveongs-terraform-locks", &table(), TABLES);
    }
}
