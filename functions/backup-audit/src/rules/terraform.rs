//! Terraform's state and its lock (guide, 2.3). The state's bucket is held to the rules of buckets.

use super::{Meta, Rule, Severity, Verdict, seen, switch};
use crate::facts::Table;

/// That the state has a remote backend, as far as the stack is told.
pub(crate) static DECLARED_STATE: Meta = Meta {
    id: "terraform.state",
    severity: Severity::High,
    guide: "2.3",
    title: ["estado do Terraform em backend remoto", "Terraform's state in a remote backend"],
    why: [
        "num disco só, o estado se perde com ele, e guarda segredos em claro",
        "on one disk only the state is lost with it, and it holds secrets in clear",
    ],
};

/// That the state is locked while somebody changes it.
pub(crate) static DECLARED_LOCK: Meta = Meta {
    id: "terraform.lock",
    severity: Severity::Medium,
    guide: "2.3",
    title: ["trava do estado do Terraform", "lock of Terraform's state"],
    why: [
        "sem trava dois applies ao mesmo tempo estragam o estado",
        "without a lock two applies at once spoil the state",
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
            why: ["nela está a soma de verificação do estado", "it holds the state's digest"],
        },
        check: |table, _| {
            Some(seen(&table.has_recovery, |on| {
                Verdict::of(*on, "PointInTimeRecoveryStatus DISABLED", "ENABLED")
            }))
        },
        command: |table, _| {
            format!(
                "aws dynamodb update-continuous-backups --table-name {} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
                table.name
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
            format!("aws dynamodb update-table --table-name {} --deletion-protection-enabled", table.name)
        },
    },
];
