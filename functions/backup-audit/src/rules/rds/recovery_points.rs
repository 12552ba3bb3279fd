//! Recovery points: the newest snapshot, and the latest instant that a database can be restored to.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::command;
use shared::run::command::Command;

use super::command::{cluster_snapshot, describe, events, once_available};
use super::state::{changed_until, is_source, stops_backups};
use crate::rules::facts::{Form, Instance};
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, utc};

pub(super) const SNAPSHOT_FRESH: Rule<Instance> = Rule {
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
            _ => command!(
                "{snapshot}; {events}",
                snapshot = once_available(instance, snapshot_now(instance, context)),
                events = events(instance)
            ),
        }
    },
};

pub(super) const POINT_IN_TIME: Rule<Instance> = Rule {
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
};

/// Age below which a database may have no snapshot yet.
const YOUNG: SignedDuration = SignedDuration::from_hours(26);

/// Takes a snapshot: through `snapshot-create` if the database belongs to the environment by name, which that function
/// requires.
pub(super) fn snapshot_now(instance: &Instance, context: &Context<'_>) -> Command {
    let Instance { name, .. } = instance;
    let today = shared::runtime::time::local_date(context.now);
    if instance.form == Form::Cluster {
        return cluster_snapshot(name, &today);
    }
    if name != context.database && !context.is_named(name) {
        return command!(
            "aws rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {name}-{today}",
            name,
            today
        );
    }
    let deploy = format!("backup-audit-{name}-{today}");
    let event = [("by", "backup-audit"), ("deploy", deploy.as_str()), ("reason", "rds.snapshot-fresh")];
    let instance = (name != context.database).then_some(("instance", name.as_str()));
    let event: Value = event.into_iter().chain(instance).collect();
    let function = format!("{}-{}-snapshot-create", context.project, context.environment);
    Command::invoke(&function, &event)
}

fn status(instance: &Instance) -> &str {
    instance.status.as_deref().unwrap_or("?")
}

/// None for a database with backups off, which `rds.backups-on` reports. A young database may have no snapshot yet.
pub(super) fn newest_snapshot(instance: &Instance, context: &Context<'_>) -> Option<Verdict> {
    if !is_source(instance) || instance.retention_days == Some(0) {
        return None;
    }
    let hours = context.policy.snapshot_hours;
    let expected = format!("≤ {hours} h");
    let Some(newest) = &instance.newest_snapshot else {
        return Some(Verdict::Unknown("the snapshots were not read".to_owned()));
    };
    Some(match newest {
        Err(error) => Verdict::Unknown(error.to_string()),
        Ok(Some(at)) => {
            let age = changed_until(instance, context).duration_since(*at);
            Verdict::of(
                age <= SignedDuration::from_hours(hours.into()),
                format!("SnapshotCreateTime {} ({})", utc(*at), status(instance)),
                expected,
            )
        }
        Ok(None) => match instance.created {
            None => Verdict::missing("InstanceCreateTime"),
            Some(created) => {
                let age = changed_until(instance, context).duration_since(created);
                let found = format!("no automated snapshot ({})", status(instance));
                Verdict::of(age <= YOUNG, found, expected)
            }
        },
    })
}

/// A young database has no restorable time until its first backup is done.
pub(super) fn point_in_time(instance: &Instance, context: &Context<'_>) -> Option<Verdict> {
    if !is_source(instance) || instance.retention_days == Some(0) {
        return None;
    }
    let minutes = context.policy.point_in_time_minutes;
    let expected = format!("≤ {minutes} min");
    let until = changed_until(instance, context);
    let is_young = |created: Timestamp| until.duration_since(created) <= YOUNG;
    Some(match instance.latest_restorable {
        Some(at) => {
            let lag = until.duration_since(at);
            let limit = SignedDuration::from_mins(minutes.into());
            let found = format!("LatestRestorableTime {} ({})", utc(at), status(instance));
            Verdict::of(lag <= limit, found, expected)
        }
        None => match instance.created {
            None => Verdict::missing("LatestRestorableTime"),
            Some(created) => Verdict::of(is_young(created), "no LatestRestorableTime", expected),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rds::INSTANCE;
    use crate::rules::rds::tests::instance;
    use crate::rules::rule::tests::{DAY, DB, HOUR, ago, case, context, row, word};
    use crate::rules::rule::{Severity, judge};

    /// tests/cases/16: a dev database, stopped over the weekend.
    #[test]
    fn a_stopped_database_needs_no_snapshot_newer_than_its_stop() {
        let case = case(include_str!("../../../../../tests/cases/16-rds-instance-stopped.json"));
        let at = |field: &str| case[field].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
        let context = Context { now: at("_now"), retention_days: Some(7), ..context() };
        let stopped = Instance {
            name: case["DBInstanceIdentifier"].as_str().unwrap().to_owned(),
            status: case["DBInstanceStatus"].as_str().map(str::to_owned),
            retention_days: Some(7),
            created: Some(at("InstanceCreateTime")),
            latest_restorable: Some(at("LatestRestorableTime")),
            newest_snapshot: Some(Ok(Some(at("_newest automated snapshot")))),
            ..instance()
        };
        let rows = judge(INSTANCE, (&stopped.name, ""), &stopped, &context);
        let failing: Vec<_> = rows.iter().filter(|row| row.verdict != Verdict::Pass).collect();
        let ids: Vec<_> = failing.iter().map(|row| (row.rule.id, row.rule.severity)).collect();
        assert_eq!(ids, [("rds.stopped", Severity::Low)]);
        assert_eq!(failing[0].verdict, Verdict::fail("DBInstanceStatus stopped", "available"));
        let name = &stopped.name;
        let start = format!(
            "aws rds start-db-instance --db-instance-identifier {name} && aws rds wait db-instance-available --db-instance-identifier {name}"
        );
        assert_eq!(failing[0].next_step(), start);
        // A running database without snapshots for three days fails.
        let running = Instance { status: Some("available".to_owned()), ..stopped.clone() };
        let rows = judge(INSTANCE, (name, ""), &running, &context);
        let failing: Vec<_> =
            rows.iter().filter(|row| row.verdict != Verdict::Pass).map(|row| row.rule.id).collect();
        assert_eq!(failing, ["rds.snapshot-fresh", "rds.point-in-time"]);
        // RDS refuses to change or snapshot a stopped database.
        let broken =
            Instance { is_protected: Some(false), newest_snapshot: Some(Ok(None)), ..stopped.clone() };
        for row in judge(INSTANCE, (name, ""), &broken, &context) {
            let Verdict::Fail { .. } = row.verdict else { continue };
            assert!(row.next_step().starts_with(&start), "{row:?}");
        }
    }

    #[test]
    fn a_database_at_rest_is_measured_at_its_stop_for_at_most_a_week() {
        const WEEK: i64 = 7 * DAY;
        // Status, seconds ago: when it restarts less a week, the latest point, the newest snapshot; the verdicts on
        // both.
        for (status, stopped, point, newest, fresh, in_time) in [
            ("stopped", Some(2 * DAY), 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
            ("stopped", Some(2 * DAY), 2 * DAY, 2 * DAY + 26 * HOUR + 1, "fail", "pass"),
            ("stopped", Some(2 * DAY), 2 * DAY + 15 * 60, 2 * DAY, "pass", "pass"),
            ("stopped", Some(2 * DAY), 2 * DAY + 15 * 60 + 1, 2 * DAY, "pass", "fail"),
            ("stopped", None, 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
            ("stopped", None, 2 * DAY, 2 * DAY + 26 * HOUR + 1, "fail", "pass"),
            ("stopping", None, 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
            ("starting", None, 2 * DAY, 2 * DAY + 26 * HOUR, "pass", "pass"),
            ("stopped", None, WEEK + 15 * 60, WEEK + 26 * HOUR, "pass", "pass"),
            ("stopped", None, WEEK + 15 * 60 + 1, WEEK + 26 * HOUR + 1, "fail", "fail"),
            ("available", Some(2 * DAY), 2 * DAY, 2 * DAY, "fail", "fail"),
        ] {
            let change = |db: &mut Instance| {
                db.status = Some(status.to_owned());
                db.restarts = stopped.map(|at| ago(at - WEEK));
                db.latest_restorable = Some(ago(point));
                db.newest_snapshot = Some(Ok(Some(ago(newest))));
            };
            for (id, expected) in [("rds.snapshot-fresh", fresh), ("rds.point-in-time", in_time)] {
                let row = row(INSTANCE, id, DB, &instance(), change, &context());
                assert_eq!(word(row.as_ref()), expected, "{status} {stopped:?} {point} {newest}: {row:?}");
            }
        }
    }

    #[test]
    fn the_command_takes_the_missing_snapshot() {
        for (database, name, expected) in [
            (DB, DB, r#"}' | aws lambda invoke --function-name moveongs-prod-snapshot-create "#),
            (
                DB,
                DB,
                "--payload fileb:///dev/stdin /dev/stdout --cli-read-timeout 910; aws rds describe-events ",
            ),
            ("main", DB, r#""instance":"moveongs-prod-db""#),
            ("main", "main", r#""deploy":"backup-audit-main-2026-11-26","#),
            (
                "main",
                "legacy",
                "--db-instance-identifier legacy --db-snapshot-identifier legacy-2026-11-26; aws ",
            ),
        ] {
            let context = Context { database, ..context() };
            let change = |db: &mut Instance| {
                (db.name, db.newest_snapshot) = (name.to_owned(), Some(Ok(None)));
            };
            let row = row(INSTANCE, "rds.snapshot-fresh", name, &instance(), change, &context).unwrap();
            assert!(row.next_step().contains(expected), "{}", row.next_step());
        }
    }
}
