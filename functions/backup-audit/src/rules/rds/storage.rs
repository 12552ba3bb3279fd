//! Storage: autoscaling, and more space for a full disk.

use shared::command;
use shared::run::command::Command;

use super::command::modify;
use super::state::is_custom;
use crate::rules::facts::{Form, Instance};
use crate::rules::rule::{Meta, Rule, Severity, Verdict};

pub(super) const STORAGE_AUTOSCALING: Rule<Instance> = Rule {
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
        modify(instance, &command!("--max-allocated-storage {double}", double))
    },
};

/// Largest storage of an instance, in GiB. Smaller for some engines and storage types.
pub(super) const LARGEST_STORAGE: i32 = 65_536;

/// Enlarges a full storage; none if it cannot grow. Raises the autoscaling limit with it if RDS would otherwise refuse,
/// and repeats the provisioned IOPS, which RDS requires in the same request.
pub(super) fn enlarge(db: &Instance) -> Option<Command> {
    let storage = db.storage_gib.filter(|storage| *storage > 0)?;
    let gib = storage.saturating_add(storage / 5 + 1).min(LARGEST_STORAGE);
    let is_a_tenth_above = |more: i32, than: i32| i64::from(more) * 10 >= i64::from(than) * 11;
    if !is_a_tenth_above(gib, storage) {
        return None;
    }
    let mut change = vec![command!("--allocated-storage {gib}", gib)];
    let limit = db.storage_limit_gib.filter(|limit| *limit > 0 && db.form == Form::Single);
    if limit.is_some_and(|limit| !is_a_tenth_above(limit, gib)) {
        let double = gib.saturating_mul(2).min(LARGEST_STORAGE);
        change.push(command!("--max-allocated-storage {double}", double));
    }
    let is_sql_server = db.engine.as_deref().is_some_and(|engine| engine.contains("sqlserver"));
    let iops = db.iops.filter(|iops| *iops > 0).and_then(|iops| match db.storage_type.as_deref() {
        // At least one per two GiB, or one per GiB for SQL Server.
        Some("io1" | "io2") => Some(iops.max(if is_sql_server { gib } else { (gib + 1) / 2 })),
        // Small gp3 volumes have a fixed 3000.
        Some("gp3") if iops > 3000 || is_sql_server => Some(iops),
        _ => None,
    });
    change.extend(iops.map(|iops| command!("--iops {iops}", iops)));
    Some(modify(db, &command!("{change} --apply-immediately", change)))
}

/// RDS requires a limit at least 10 % above the allocated storage.
pub(super) fn autoscaling(instance: &Instance) -> Verdict {
    let Some(storage) = instance.storage_gib else { return Verdict::missing("AllocatedStorage") };
    let limit = instance.storage_limit_gib.unwrap_or(0);
    let grows = i64::from(limit) * 10 >= i64::from(storage) * 11;
    let found =
        if limit == 0 { "no MaxAllocatedStorage".to_owned() } else { format!("MaxAllocatedStorage {limit}") };
    Verdict::of(grows, found, format!("≥ 1.1 × AllocatedStorage {storage}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rds::INSTANCE;
    use crate::rules::rds::tests::{cluster, instance};
    use crate::rules::rule::tests::{CLUSTER, DB, context, row};

    /// RDS refuses storage above the autoscaling limit, and a request without the provisioned IOPS.
    #[test]
    fn a_full_storage_grows_with_its_limit_and_its_iops() {
        for (engine, storage, limit, kind, iops, expected) in [
            ("postgres", Some(100), None, "gp2", None, Some("--allocated-storage 121")),
            ("postgres", Some(100), Some(0), "gp2", Some(0), Some("--allocated-storage 121")),
            ("postgres", Some(100), Some(134), "gp3", Some(3000), Some("--allocated-storage 121")),
            (
                "postgres",
                Some(100),
                Some(133),
                "gp3",
                Some(3000),
                Some("--allocated-storage 121 --max-allocated-storage 242"),
            ),
            (
                "postgres",
                Some(100),
                Some(110),
                "gp2",
                None,
                Some("--allocated-storage 121 --max-allocated-storage 242"),
            ),
            (
                "postgres",
                Some(400),
                Some(1000),
                "gp3",
                Some(12000),
                Some("--allocated-storage 481 --iops 12000"),
            ),
            ("sqlserver-se", Some(100), None, "gp3", Some(3000), Some("--allocated-storage 121 --iops 3000")),
            ("postgres", Some(2000), None, "io1", Some(1000), Some("--allocated-storage 2401 --iops 1201")),
            (
                "sqlserver-se",
                Some(2000),
                None,
                "io2",
                Some(2000),
                Some("--allocated-storage 2401 --iops 2401"),
            ),
            ("postgres", Some(59_000), None, "gp2", None, Some("--allocated-storage 65536")),
            ("postgres", Some(65_536), None, "gp2", None, None),
            ("postgres", None, None, "gp2", None, None),
        ] {
            let change = |db: &mut Instance| {
                (db.engine, db.status) = (Some(engine.to_owned()), Some("storage-full".to_owned()));
                (db.storage_gib, db.storage_limit_gib) = (storage, limit);
                (db.storage_type, db.iops) = (Some(kind.to_owned()), iops);
            };
            let row = row(INSTANCE, "rds.state", DB, &instance(), change, &context()).unwrap();
            let expected = expected.map_or_else(
                || format!("aws rds describe-events --source-type db-instance --source-identifier {DB} --duration 2880"),
                |change| format!("aws rds modify-db-instance --db-instance-identifier {DB} {change} --apply-immediately"),
            );
            assert_eq!(row.next_step(), expected);
        }
        // Aurora's storage is not provisioned.
        let aurora = |db: &mut Instance| db.status = Some("storage-full".to_owned());
        let row = row(INSTANCE, "rds.state", CLUSTER, &cluster(), aurora, &context()).unwrap();
        assert!(row.next_step().starts_with("aws rds describe-events "), "{}", row.next_step());
    }
}
