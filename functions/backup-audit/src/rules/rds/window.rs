//! Backup window and maintenance window.

use shared::command;
use shared::policy::window;

use super::command::modify;
use super::state::is_source;
use crate::rules::facts::Instance;
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict};

pub(super) const BACKUP_WINDOW: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.backup-window",
        severity: Severity::Medium,
        guide: "2.1.1",
        title: [
            "janela de backup definida e fora do horário de trabalho de São Paulo",
            "backup window set, outside business hours in São Paulo",
        ],
        why: [
            "em Single-AZ o início do snapshot para a E/S; de dia, quem usa percebe",
            "in Single-AZ the start of a snapshot suspends I/O; by day, users notice",
        ],
    },
    // For a database that AWS Backup owns, RDS refuses to change the window.
    check: |instance, context| {
        (is_source(instance) && instance.recovery_point.is_none())
            .then(|| backup_window(instance.backup_window.as_deref(), context))
    },
    command: |instance, context| {
        let wanted = &context.policy.backup_window;
        match conflicting_maintenance(instance, context) {
            Some(maintenance) => command!(
                "# docs/backups.md#regras: o RDS recusa / RDS refuses {wanted}, PreferredMaintenanceWindow {maintenance}: {modify}",
                wanted,
                maintenance,
                modify = modify(instance, &command!("--preferred-backup-window hh:mm-hh:mm"))
            ),
            None => modify(instance, &command!("--preferred-backup-window {wanted}", wanted)),
        }
    },
};

/// Minutes of a day.
const DAY: i32 = 1440;

/// The maintenance window if the policy's backup window overlaps it, which RDS refuses.
pub(crate) fn conflicting_maintenance<'a>(instance: &'a Instance, context: &Context<'_>) -> Option<&'a str> {
    let maintenance = instance.maintenance_window.as_deref()?;
    overlaps(&context.policy.backup_window, maintenance).unwrap_or(false).then_some(maintenance)
}

/// Whether a daily window `hh:mm-hh:mm` and a weekly one `ddd:hh:mm-ddd:hh:mm` overlap; none if either is malformed.
fn overlaps(daily: &str, weekly: &str) -> Option<bool> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let minute = |text: &str| {
        let (day, time) = text.split_once(':')?;
        let day = DAYS.iter().position(|name| day.eq_ignore_ascii_case(name))?;
        let (hour, minute) = time.split_once(':')?;
        let (hour, minute): (i32, i32) = (hour.parse().ok()?, minute.parse().ok()?);
        Some(i32::try_from(day).ok()? * DAY + hour * 60 + minute)
    };
    let (begins, ends) = weekly.split_once('-')?;
    let (begins, ends) = (minute(begins)?, minute(ends)?);
    let (from, to) = window(daily)?;
    let length = (i32::from(to) - i32::from(from)).rem_euclid(DAY);
    let maintenance = (ends - begins).rem_euclid(7 * DAY);
    // Two spans on a circle overlap if one starts within the other.
    Some((0..7).any(|day| {
        let backup = day * DAY + i32::from(from);
        (begins - backup).rem_euclid(7 * DAY) < length || (backup - begins).rem_euclid(7 * DAY) < maintenance
    }))
}

pub(super) fn backup_window(found: Option<&str>, context: &Context<'_>) -> Verdict {
    let hours = context.policy.business_hours;
    let expected = format!("outside {:02}:00-{:02}:00 America/Sao_Paulo", hours.from, hours.to);
    let Some(text) = found else { return Verdict::fail("no PreferredBackupWindow", expected) };
    let Some((from, to)) = window(text) else {
        return Verdict::Unknown(format!("PreferredBackupWindow {text} is malformed"));
    };
    let offset = context.now.to_zoned_datetime(shared::runtime::time::SAO_PAULO).offset().seconds() / 60;
    let length = (i32::from(to) - i32::from(from)).rem_euclid(DAY);
    let begins = (i32::from(from) + offset).rem_euclid(DAY);
    let (open, close) = (i32::from(hours.from) * 60, i32::from(hours.to) * 60);
    // A window that passes midnight also covers the next day.
    let overlaps = [0, -DAY].iter().any(|day| begins + day < close && begins + day + length > open);
    Verdict::of(!overlaps, format!("PreferredBackupWindow {text} UTC"), expected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Context, Instance};
    use crate::rules::rds::INSTANCE;
    use crate::rules::rds::tests::instance;
    use crate::rules::rule::tests::{DB, audit, can_be_run, context, row, word};

    #[track_caller]
    fn window(found: &str, expected: &str) {
        let change = |db: &mut Instance| db.backup_window = Some(found.to_owned());
        let row = row(INSTANCE, "rds.backup-window", DB, &instance(), change, &context());
        assert_eq!(word(row.as_ref()), expected, "{row:?}");
    }

    /// Business hours are 8 to 20 in São Paulo: 11:00 to 23:00 UTC.
    #[test]
    fn a_backup_window_may_touch_business_hours_and_pass_midnight() {
        window("10:30-11:00", "pass");
        window("10:31-11:01", "fail");
        window("23:00-23:30", "pass");
        window("22:59-23:29", "fail");
        window("23:30-00:30", "pass");
        window("02:45-03:15", "pass"); // midnight in São Paulo
        window("23:00-11:00", "pass"); // the whole night
        window("23:00-11:01", "fail");
        window("22:59-11:00", "fail");
        window("22:00-12:00", "fail");
        window("10:00-24:00", "unknown");
        window("05:00-05:29", "unknown"); // RDS requires at least half an hour
        window("05:00-05:30", "pass");
        window("5:00-06:00", "unknown");
    }

    #[track_caller]
    fn maintenance(backup: &str, maintenance: &str, is_refused: bool) {
        let policy = audit(json!({"backup_window": backup}));
        let context = Context { policy: &policy, ..context() };
        let change = |db: &mut Instance| {
            (db.backup_window, db.maintenance_window) = (None, Some(maintenance.to_owned()));
        };
        let row = row(INSTANCE, "rds.backup-window", DB, &instance(), change, &context).unwrap();
        let command = row.next_step();
        assert_eq!(command.starts_with('#'), is_refused, "{command}");
        assert_eq!(command.contains(maintenance), is_refused, "{command}");
        assert!(can_be_run(&command) && command.contains(DB), "{command}");
    }

    /// RDS accepts windows that touch, and refuses windows that overlap.
    #[test]
    fn no_command_sets_a_backup_window_that_overlaps_the_maintenance_window() {
        maintenance("05:00-06:00", "sun:06:00-sun:06:30", false);
        maintenance("05:00-06:00", "sun:04:30-sun:05:00", false);
        maintenance("05:00-06:00", "sun:05:59-sun:06:29", true);
        maintenance("05:00-06:00", "Sun:04:31-Sun:05:01", true);
        maintenance("05:00-06:00", "wed:05:15-wed:05:45", true);
        maintenance("05:00-06:00", "wed:04:00-wed:07:00", true);
        maintenance("23:30-00:30", "sun:23:00-sun:23:30", false);
        maintenance("23:30-00:30", "mon:00:30-mon:01:00", false);
        maintenance("23:30-00:30", "mon:00:00-mon:00:30", true);
        maintenance("23:30-00:30", "sun:23:45-mon:00:15", true);
        maintenance("05:00-06:00", "sun:22:00-mon:05:00", false);
        maintenance("05:00-06:00", "sun:22:00-mon:05:01", true);
        maintenance("05:00-06:00", "thu:12:00-wed:05:01", true);
        maintenance("05:00-06:00", "some day", false);
        maintenance("05:00-06:00", "day:05:00-day:05:30", false);
    }
}
