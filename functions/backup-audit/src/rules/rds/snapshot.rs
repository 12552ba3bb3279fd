//! Manual snapshots.

use std::collections::BTreeSet;

use shared::command;
use shared::run::command::{Argument, Command};

use super::command::by_dump;
use super::state::is_not_aurora;
use crate::rules::facts::Snapshot;
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, seen, switch};

/// Every rule for a manual snapshot. An automated one cannot be shared, and inherits its instance's encryption.
pub(crate) static SNAPSHOT: &[Rule<Snapshot>] = &[
    Rule {
        meta: Meta {
            id: "rds.snapshot-public",
            severity: Severity::Critical,
            guide: "2.1.1",
            title: ["snapshot que qualquer conta restaura", "snapshot that any account can restore"],
            why: ["é o banco inteiro na mão de qualquer um", "anyone can restore the whole database"],
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
                "whoever restores it reads everything; the policy lists the team's accounts (shared_with)",
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
            let strangers = snapshot.shared_with.as_ref().map(|accounts| strangers(accounts, context));
            unshare(snapshot, strangers.unwrap_or_default())
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
            let (name, key) = (&snapshot.name, context.key.unwrap_or("alias/aws/rds"));
            // RDS cannot encrypt a copy of a cluster's snapshot, but can encrypt a cluster restored from it.
            if snapshot.is_of_cluster {
                return command!(
                    "# docs/backups.md#cifrar: aws rds restore-db-cluster-from-snapshot --snapshot-identifier {name} --db-cluster-identifier {name}-encrypted --kms-key-id {key} --engine …",
                    name,
                    key
                );
            }
            command!(
                "aws rds copy-db-snapshot --source-db-snapshot-identifier {name} --target-db-snapshot-identifier {name}-encrypted --kms-key-id {key} --copy-tags && aws rds wait db-snapshot-available --db-snapshot-identifier {name}-encrypted && aws rds delete-db-snapshot --db-snapshot-identifier {name}",
                name,
                key
            )
        },
    },
];

/// Accounts that the policy does not list; `all` is another rule's.
pub(crate) fn strangers(accounts: &BTreeSet<String>, context: &Context<'_>) -> Vec<String> {
    let is_known = |account: &&String| *account == "all" || context.policy.shared_with.contains(account);
    accounts.iter().filter(|account| !is_known(account)).cloned().collect()
}

fn unshare(snapshot: &Snapshot, accounts: impl Argument) -> Command {
    let db = if snapshot.is_of_cluster { "db-cluster" } else { "db" };
    command!(
        "aws rds modify-{db}-snapshot-attribute --{db}-snapshot-identifier {name} --attribute-name restore --values-to-remove {accounts}",
        db,
        name = snapshot.name,
        accounts
    )
}
