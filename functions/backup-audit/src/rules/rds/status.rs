//! Status of a database.

use super::command::{describe, events, make_available};
use super::state::{is_at_rest, is_multi_az_cluster, owns_backups, stops_backups};
use super::storage::enlarge;
use crate::rules::facts::{Form, Instance};
use crate::rules::rule::{Meta, Rule, Severity, Verdict, utc};

pub(super) const STATE: Rule<Instance> = Rule {
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
};

pub(super) const STOPPED: Rule<Instance> = Rule {
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
};
