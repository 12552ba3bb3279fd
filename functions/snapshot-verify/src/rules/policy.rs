//! The findings of a snapshot.

use jiff::Timestamp;
use shared::aws::snapshots::{ENVIRONMENT, Kind, PROJECT, Progress, Snapshot, progress};
use shared::policy::Verify;
use shared::runtime::settings::Settings;

use super::expiry;
use super::finding::Finding;

/// The verdict on a snapshot: `pass`, `fail` or `could-not-verify`; none while RDS makes it within the time limit.
pub(crate) fn verdict(snapshot: &Snapshot, found: &[Finding]) -> Option<&'static str> {
    let unseen = |finding: &Finding| matches!(finding, Finding::InsufficientData { .. });
    if found.iter().any(|finding| finding.fails() && !unseen(finding)) {
        return Some("fail");
    }
    if found.iter().any(unseen) {
        return Some("could-not-verify");
    }
    (progress(&snapshot.status) == Progress::Available).then_some("pass")
}

/// The previous snapshot: of the same database, available, with the latest data older than this one's.
pub(crate) fn before<'a>(snapshot: &Snapshot, all: &'a [Snapshot]) -> Option<&'a Snapshot> {
    let taken = snapshot.taken?;
    let earlier = all.iter().filter(|other| {
        other.resource == snapshot.resource
            && progress(&other.status) == Progress::Available
            && other.taken.is_some_and(|other| other < taken)
    });
    earlier.max_by_key(|other| other.taken)
}

/// The findings of a snapshot; `before` is the previous snapshot, `first_seen` when a run first saw this one without a
/// time.
pub(crate) fn findings(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    first_seen: Option<Timestamp>,
    is_copy: bool,
    settings: &Settings,
    now: Timestamp,
) -> Vec<Finding> {
    let rules = &settings.policy.backups.snapshots.verify;
    let allowed = &settings.policy.backups.audit.shared_with;
    let mut found = Vec::new();
    match &snapshot.shared_with {
        Ok(accounts) if accounts.iter().any(|account| account == "all") => found.push(Finding::Public),
        Ok(accounts) => {
            let strangers = accounts.iter().filter(|account| !allowed.contains(account)).cloned();
            let strangers: Vec<_> = strangers.collect();
            if !strangers.is_empty() {
                found.push(Finding::Shared { accounts: strangers });
            }
        }
        Err(why) => found.push(Finding::InsufficientData { why: why.clone() }),
    }
    match progress(&snapshot.status) {
        Progress::Deleted => return Vec::new(),
        Progress::Failed => {
            found.insert(0, Finding::Failed { status: snapshot.status.clone(), is_copy });
            return found;
        }
        Progress::Creating => {
            let limit = if is_copy { rules.copy_hours } else { rules.creation_hours };
            let age = snapshot.created.or(first_seen).map(|since| now.duration_since(since).as_secs());
            if let Some(age) = age.filter(|age| *age > i64::from(limit) * 3600) {
                found.push(Finding::Slow { hours: age / 3600, progress: snapshot.progress, is_copy });
            }
        }
        Progress::Available => found.extend(before.and_then(|before| size(snapshot, before, rules))),
    }
    if !snapshot.is_encrypted {
        found.push(Finding::NotEncrypted);
    }
    let wanted = [(PROJECT, &settings.project), (ENVIRONMENT, &settings.environment)];
    let missing = wanted.into_iter().filter(|(key, value)| snapshot.tag(key) != Some(value.as_str()));
    let missing: Vec<_> = missing.map(|(key, _)| key).collect();
    if !missing.is_empty() {
        found.push(Finding::Untagged { missing });
    }
    if snapshot.is_manual && expiry::last_day(snapshot).is_none() && !expiry::is_held(snapshot) {
        found.push(Finding::NoExpiry);
    }
    found
}

/// The finding that the size differs implausibly from the previous one: by the written blocks if RDS reports them for
/// both snapshots, else by the database's storage.
fn size(snapshot: &Snapshot, before: &Snapshot, rules: &Verify) -> Option<Finding> {
    let gib = |one: &Snapshot| one.allocated_gib.unwrap_or_default().into();
    let (now, then) = match (snapshot.full_bytes, before.full_bytes) {
        (Some(now), Some(then)) => (now, then),
        _ => (gib(snapshot), gib(before)),
    };
    if snapshot.kind == Kind::Cluster && now == 0 && then == 0 {
        return None;
    }
    // Avoid dividing by zero.
    let percent = i64::try_from(i128::from(now) * 100 / i128::from(then.max(1))).unwrap_or(i64::MAX);
    let is_plausible = (i64::from(rules.least_percent)..=rules.most_percent.into()).contains(&percent);
    (!is_plausible).then(|| Finding::SizeDoubtful { percent, before: before.name.clone() })
}

/// Returns true if the instance causes a finding about an automated snapshot, so that the next snapshot will have it,
/// too.
pub(crate) fn is_of_instance(finding: &Finding) -> bool {
    matches!(finding, Finding::NotEncrypted | Finding::Untagged { .. })
}

#[cfg(test)]
mod tests {
    use shared::aws::snapshots::EXPIRES_ON;

    use super::super::testing::{automated, good, hours_ago, now, settings, tagged};
    use super::*;

    #[track_caller]
    fn check(snapshot: &Snapshot, first_seen: Option<Timestamp>, is_copy: bool, expected: &[&str]) {
        let found = findings(snapshot, None, first_seen, is_copy, &settings(), now());
        let kinds: Vec<_> = found.iter().map(Finding::kind).collect();
        assert_eq!(kinds, expected, "{snapshot:?}");
    }

    #[test]
    fn accounts_that_the_policy_names_may_share() {
        let policy = r#"{"backups": {"audit": {"shared_with": ["444455556666"]}}}"#.parse().unwrap();
        let settings = Settings { policy, ..settings() };
        for (accounts, expected) in [
            (&["444455556666"][..], None),
            (&["444455556666", "1"], Some(Finding::Shared { accounts: vec!["1".to_owned()] })),
            (&["444455556666", "all"], Some(Finding::Public)),
        ] {
            let shared_with = Ok(accounts.iter().map(|account| (*account).to_owned()).collect());
            let snapshot = Snapshot { shared_with, ..good("a", 1) };
            let found = findings(&snapshot, None, None, false, &settings, now());
            assert_eq!(found.into_iter().next(), expected, "{accounts:?}");
        }
    }

    #[test]
    fn each_defect_has_its_finding() {
        let with = |change: fn(&mut Snapshot)| {
            let mut snapshot = good("a", 1);
            change(&mut snapshot);
            snapshot
        };
        check(&good("a", 1), None, false, &[]);
        check(&with(|one| one.is_encrypted = false), None, false, &["NotEncrypted"]);
        check(
            &with(|one| one.shared_with = Ok(vec!["1".into(), "all".into()])),
            None,
            false,
            &["PublicSnapshot"],
        );
        check(
            &with(|one| one.shared_with = Ok(vec!["111111111111".into()])),
            None,
            false,
            &["SharedSnapshot"],
        );
        check(&with(|one| one.shared_with = Err("denied".into())), None, false, &["InsufficientData"]);
        check(&with(|one| one.status = "failed".into()), None, false, &["SnapshotFailed"]);
        check(&with(|one| one.status = "incompatible-restore".into()), None, true, &["CopyFailed"]);
        check(&with(|one| one.status = "deleting".into()), None, false, &[]);
        check(&with(|one| drop(one.tags.remove(PROJECT))), None, false, &["Untagged"]);
        check(&tagged(good("a", 1), ENVIRONMENT, "prod"), None, false, &["Untagged"]);
        check(&with(|one| drop(one.tags.remove(EXPIRES_ON))), None, false, &["NoExpiry"]);
        for odd in ["", "26/12/2026", "2026-12-32", "20261226", "2026-12-26T00:00:00"] {
            check(&tagged(good("a", 1), EXPIRES_ON, odd), None, false, &["NoExpiry"]);
        }
        // A held snapshot needs no expiry.
        let mut held = tagged(good("a", 1), expiry::HOLD, "auditoria 17");
        held.tags.remove(EXPIRES_ON);
        check(&held, None, false, &[]);
        // RDS deletes automated snapshots by itself.
        let mut daily = automated("a", 1);
        daily.tags.clear();
        check(&daily, None, false, &["Untagged"]);
    }

    #[test]
    fn a_snapshot_is_slow_only_after_its_limit() {
        let creating = |created| Snapshot { status: "creating".into(), created, taken: None, ..good("a", 0) };
        let second = jiff::SignedDuration::from_secs(1);
        for (created, seen, is_copy, expected) in [
            (hours_ago(6), None, false, &[][..]),
            (hours_ago(6).map(|at| at - second), None, false, &["SnapshotSlow"][..]),
            (None, None, false, &[]),
            (None, hours_ago(7), false, &["SnapshotSlow"]),
            (hours_ago(1), hours_ago(7), false, &[]),
            (hours_ago(12), None, true, &[]),
            (hours_ago(13), None, true, &["CopySlow"]),
        ] {
            check(&creating(created), seen, is_copy, expected);
        }
    }

    #[test]
    fn only_sizes_within_the_limits_are_plausible() {
        let found = |now: (i32, Option<i64>), then: (i32, Option<i64>)| {
            let snapshot = Snapshot { allocated_gib: Some(now.0), full_bytes: now.1, ..good("a", 1) };
            let before = Snapshot { allocated_gib: Some(then.0), full_bytes: then.1, ..good("b", 2) };
            let found =
                findings(&snapshot, Some(&before), None, false, &settings(), super::super::testing::now());
            found.first().map(|finding| (finding.kind(), finding.fails()))
        };
        for (now, then, expected) in [
            ((20, None), (20, None), None),
            ((10, None), (20, None), None),
            ((9, None), (20, None), Some(true)),
            ((40, None), (20, None), None),
            ((41, None), (20, None), Some(false)),
            ((0, None), (20, None), Some(true)),
            // The written blocks count if both snapshots have them.
            ((20, Some(499)), (20, Some(1000)), Some(true)),
            ((20, Some(500)), (20, Some(1000)), None),
            ((20, Some(1)), (20, None), None),
            ((20, Some(i64::MAX)), (20, Some(0)), Some(false)),
        ] {
            assert_eq!(found(now, then), expected.map(|fails| ("SizeDoubtful", fails)), "{now:?} {then:?}");
        }
    }

    #[test]
    fn the_previous_snapshot_is_of_the_same_instance_and_available() {
        let other = Snapshot { resource: "db-B".into(), ..good("other", 3) };
        let failed = Snapshot { status: "failed".into(), ..good("failed", 3) };
        let all = [good("new", 1), good("old", 9), automated("older", 8), other, failed, good("newer", 0)];
        assert_eq!(before(&all[0], &all).map(|one| one.arn.as_str()), Some("arn:older"));
        assert_eq!(before(&all[1], &all), None);
    }

    #[test]
    fn a_verdict_is_never_pass_by_default() {
        let creating = Snapshot { status: "creating".into(), ..good("a", 0) };
        let unseen = || Finding::InsufficientData { why: String::new() };
        for (snapshot, found, expected) in [
            (good("a", 1), vec![], Some("pass")),
            (good("a", 1), vec![unseen()], Some("could-not-verify")),
            (good("a", 1), vec![unseen(), Finding::NotEncrypted], Some("fail")),
            (good("a", 1), vec![Finding::SizeDoubtful { percent: 300, before: String::new() }], Some("pass")),
            (creating, vec![], None),
        ] {
            assert_eq!(verdict(&snapshot, &found), expected, "{found:?}");
        }
    }
}
