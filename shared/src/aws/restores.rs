//! The throw-away instances of `restore-test`: their names and tags, by which every procedure recognises them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::aws::snapshots::{self, MANAGED_BY};
use crate::runtime::settings::Settings;

/// The procedure that restores snapshots, and the value of [`MANAGED_BY`] of its instances.
pub const TESTER: &str = "restore-test";

/// Tag with the execution that restored the instance.
pub const RUN: &str = "Run";

/// Tag with the instant after which the instance is removed in any case, RFC 3339 in UTC.
pub const DELETE_AFTER: &str = "DeleteAfter";

/// Longest time from an instance's creation to its deadline: the greatest `restores.deadline_hours` of a policy.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(48);

/// Prefix of the instances' names. The role's permissions use the same one.
pub fn prefix(settings: &Settings) -> String {
    format!("{}{TESTER}-", snapshots::prefix(settings))
}

/// Whether an instance, or the instance of a snapshot, has the name of a throw-away instance. Its backups, snapshots
/// and tags say nothing about the environment.
pub fn is_scratch(instance: &str, settings: &Settings) -> bool {
    instance.starts_with(&prefix(settings))
}

/// Whether an instance is this procedure's own, by name and tags; only such a one is ever removed.
pub fn is_own(instance: &str, tags: &BTreeMap<String, String>, settings: &Settings) -> bool {
    is_scratch(instance, settings) && tags.get(MANAGED_BY).is_some_and(|maker| maker == TESTER)
}

/// When an instance has to be gone that was made at `created`, or that is being made, now. None if its tag is missing or
/// unreadable, or is later than that of any test: whoever may tag an instance could otherwise hide it for ever.
pub fn deadline(tags: &BTreeMap<String, String>, created: Timestamp) -> Option<Timestamp> {
    let deadline: Timestamp = tags.get(DELETE_AFTER)?.parse().ok()?;
    let latest = created.saturating_add(LONGEST).unwrap_or(Timestamp::MAX);
    (deadline <= latest).then_some(deadline)
}

/// Whether an instance is this procedure's own and its deadline has not passed: a finding about it would only say that
/// a test is in progress. An inventory knows no time of creation; it was no later than now.
pub fn is_in_progress(
    instance: &str,
    tags: &BTreeMap<String, String>,
    settings: &Settings,
    now: Timestamp,
) -> bool {
    is_own(instance, tags, settings) && deadline(tags, now).is_some_and(|deadline| now < deadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::language::Language;
    use crate::testing::settings;

    #[test]
    fn an_instance_is_the_tests_by_name_and_tag() {
        let settings = settings("moveongs-dev-f", Language::English);
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let own = "moveongs-dev-restore-test-0a1b2c3d4e5f";
        for (name, maker, until, is_own_one, is_running) in [
            (own, TESTER, "2026-11-26T12:00:01Z", true, true),
            (own, TESTER, "2026-11-26T12:00:00Z", true, false),
            (own, TESTER, "soon", true, false),
            (own, TESTER, "2026-11-28T12:00:00Z", true, true),
            // No test may last so long.
            (own, TESTER, "2026-11-28T12:00:01Z", true, false),
            (own, "terraform", "2026-11-26T13:00:00Z", false, false),
            ("moveongs-dev-db", TESTER, "2026-11-26T13:00:00Z", false, false),
            ("moveongs-prod-restore-test-0a", TESTER, "2026-11-26T13:00:00Z", false, false),
        ] {
            let tags = [(MANAGED_BY, maker), (DELETE_AFTER, until)];
            let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            assert_eq!(is_own(name, &tags, &settings), is_own_one, "{name} {maker}");
            assert_eq!(is_in_progress(name, &tags, &settings, now), is_running, "{name} {maker} {until}");
        }
        assert!(is_scratch(own, &settings) && !is_scratch("moveongs-dev-restore-test", &settings));
        assert_eq!(deadline(&BTreeMap::new(), now), None);
        let at = |hours: i64| now.checked_add(SignedDuration::from_hours(hours)).unwrap();
        let tags = BTreeMap::from([(DELETE_AFTER.to_owned(), at(40).to_string())]);
        for (created, expected) in [(at(-8), Some(at(40))), (at(-9), None)] {
            assert_eq!(deadline(&tags, created), expected, "{created}");
        }
        let longest = i64::from(settings.policy.restores.deadline_hours);
        assert!(SignedDuration::from_hours(longest) <= LONGEST);
    }
}
