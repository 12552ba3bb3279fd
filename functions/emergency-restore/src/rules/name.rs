//! Names of restores and of their instances. No I/O, no clock.

use std::collections::BTreeMap;

/// Longest identifier of an instance that RDS accepts.
const LONGEST: usize = 63;

/// Tag with the procedure that made the instance.
pub(crate) const MANAGED_BY: &str = "ManagedBy";

/// Tag with the restore.
pub(crate) const RUN: &str = "Run";

/// Tag with the instance whose data were restored.
pub(crate) const RESTORED_FROM: &str = "RestoredFrom";

/// The name of a day's next restore; `day` is the local date, `past` are the known names.
pub(crate) fn run<'a>(day: &str, past: impl IntoIterator<Item = &'a str>) -> String {
    let day: String = day.chars().filter(char::is_ascii_digit).collect();
    let prefix = format!("r{day}-");
    let numbers = past.into_iter().filter_map(|name| name.strip_prefix(&prefix)?.parse::<u16>().ok());
    format!("{prefix}{}", numbers.max().unwrap_or(0).saturating_add(1))
}

/// The identifier of a restore's instance. The name of an instance that an earlier restore made loses that restore's
/// ending, so that names do not grow.
pub(crate) fn instance(lost: &str, run: &str, attempt: u16) -> String {
    let ending = if attempt > 1 { format!("-{run}-{attempt}") } else { format!("-{run}") };
    let mut stem = stem(lost).to_owned();
    stem.truncate(LONGEST.saturating_sub(ending.len()));
    format!("{}{ending}", stem.trim_end_matches('-'))
}

/// The lost instance's name with the environment's prefix: the role makes no instance without it.
pub(crate) fn allowed(lost: &str, prefix: &str) -> String {
    if lost.starts_with(prefix) { lost.to_owned() } else { format!("{prefix}{lost}") }
}

/// The name without the ending of an earlier restore: `-r20261130-1`, or `-r20261130-1-2`.
fn stem(name: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let found = name.rmatch_indices("-r").find(|(_, _)| true).map(|(at, _)| at);
    let Some((before, after)) = found.and_then(|at| name.split_at_checked(at)) else { return name };
    let mut parts = after.trim_start_matches("-r").split('-');
    let is_ending = parts.next().is_some_and(|day| day.len() == 8 && digits(day))
        && parts.next().is_some_and(digits)
        && parts.next().is_none_or(digits)
        && parts.next().is_none();
    if is_ending { before } else { name }
}

/// Tags of the new instance: the lost one's, without those that AWS keeps for itself, and this restore's.
pub(crate) fn tags(of_lost: &BTreeMap<String, String>, run: &str, lost: &str) -> BTreeMap<String, String> {
    let mut tags = of_lost.clone();
    tags.retain(|key, _| !key.to_ascii_lowercase().starts_with("aws:"));
    let own = [(MANAGED_BY, shared::run::open_restore::PROCEDURE), (RUN, run), (RESTORED_FROM, lost)];
    tags.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_instance_has_the_prefix_that_the_role_demands() {
        for (lost, expected) in [
            ("moveongs-dev-db", "moveongs-dev-db-r20261130-1"),
            ("main", "moveongs-dev-main-r20261130-1"),
            ("moveongs-dev-db-r20261129-1", "moveongs-dev-db-r20261130-1"),
        ] {
            let first = instance(&allowed(lost, "moveongs-dev-"), "r20261130-1", 1);
            assert_eq!(first, expected);
            // Another try keeps it.
            assert_eq!(instance(&first, "r20261130-1", 2), format!("{expected}-2"));
        }
    }

    #[test]
    fn a_restore_is_named_after_its_day_and_number() {
        let past = ["r20261130-1", "r20261129-7", "r20261130-2"];
        assert_eq!(run("2026-11-30", past), "r20261130-3");
        assert_eq!(run("2026-12-01", past), "r20261201-1");
    }

    #[test]
    fn an_instance_is_named_after_the_lost_one_and_the_restore() {
        for (lost, attempt, expected) in [
            ("moveongs-dev-db", 1, "moveongs-dev-db-r20261130-1"),
            ("moveongs-dev-db", 2, "moveongs-dev-db-r20261130-1-2"),
            ("moveongs-dev-db-r20261101-2", 1, "moveongs-dev-db-r20261130-1"),
            ("moveongs-dev-db-r20261101-2-3", 1, "moveongs-dev-db-r20261130-1"),
            ("moveongs-dev-reports", 1, "moveongs-dev-reports-r20261130-1"),
        ] {
            assert_eq!(instance(lost, "r20261130-1", attempt), expected, "{lost}");
        }
        let long = instance(&"x".repeat(63), "r20261130-1", 1);
        assert!(long.len() <= LONGEST && long.ends_with("x-r20261130-1"), "{long}");
    }

    #[test]
    fn the_tags_are_the_lost_ones_and_the_restores() {
        let of_lost =
            [("Project", "moveongs"), ("ManagedBy", "terraform"), ("aws:rds:primaryDBInstanceArn", "x")];
        let of_lost = of_lost.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let tags: Vec<_> = tags(&of_lost, "r20261130-1", "moveongs-dev-db").into_iter().collect();
        let shown: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            shown,
            [
                "ManagedBy=emergency-restore",
                "Project=moveongs",
                "RestoredFrom=moveongs-dev-db",
                "Run=r20261130-1"
            ]
        );
    }
}
