//! The expired snapshots that may be deleted.

use std::collections::BTreeSet;

use jiff::civil::Date;
use shared::aws::snapshots::{
    self, CREATOR, ENVIRONMENT, EXPIRES_ON, MANAGED_BY, PROJECT, Progress, Snapshot, progress,
};
use shared::runtime::settings::Settings;

use crate::PROCEDURE;

/// Tag that holds a snapshot; any value counts except an empty one and `false`.
pub(super) const HOLD: &str = "Hold";

/// The last day of its retention; none without a tag of the form `2026-12-26`.
pub(super) fn last_day(snapshot: &Snapshot) -> Option<Date> {
    let text = snapshot.tag(EXPIRES_ON)?;
    let day: Date = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

/// Returns true if a person holds it. Ignores the key's case, because an intended hold must count.
pub(super) fn is_held(snapshot: &Snapshot) -> bool {
    snapshot.tags.iter().any(|(key, value)| {
        let value = value.trim();
        key.eq_ignore_ascii_case(HOLD) && !value.is_empty() && !value.eq_ignore_ascii_case("false")
    })
}

/// Returns true if this project's functions made it for this environment.
fn is_own(snapshot: &Snapshot, settings: &Settings) -> bool {
    snapshot.is_manual
        && snapshot.name.starts_with(&snapshots::prefix(settings))
        && snapshot.tag(PROJECT) == Some(&settings.project)
        && snapshot.tag(ENVIRONMENT) == Some(&settings.environment)
        && snapshot.tag(MANAGED_BY).is_some_and(|maker| [CREATOR, PROCEDURE].contains(&maker))
}

/// Returns true if the snapshot's own facts allow its deletion: own, expired, not held, and in a final state.
fn is_expired(snapshot: &Snapshot, settings: &Settings, today: Date) -> bool {
    is_own(snapshot, settings)
        && !is_held(snapshot)
        && last_day(snapshot).is_some_and(|last| last < today)
        && matches!(progress(&snapshot.status), Progress::Available | Progress::Failed)
}

/// A snapshot to delete, and the one that is kept instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Expired {
    /// The snapshot to delete.
    pub snapshot: Snapshot,
    /// The newest restorable snapshot of the same database; none only if the snapshot to delete failed.
    pub keeper: Option<Snapshot>,
}

impl Expired {
    /// Returns true if it may still be deleted, given the current state of both.
    pub(crate) fn holds(
        &self,
        snapshot: &Snapshot,
        keeper: Option<&Snapshot>,
        settings: &Settings,
        today: Date,
    ) -> bool {
        snapshot.is_same(&self.snapshot.arn, self.snapshot.taken)
            && is_expired(snapshot, settings, today)
            && match (&self.keeper, keeper) {
                (Some(before), Some(now)) => {
                    now.is_same(&before.arn, before.taken)
                        && progress(&now.status) == Progress::Available
                        && now.is_encrypted == before.is_encrypted
                }
                (None, _) => progress(&snapshot.status) == Progress::Failed,
                (Some(_), None) => false,
            }
    }
}

/// The snapshots of one region to delete, except those whose ARN is in `in_use`.
///
/// The last good snapshot of a database stays, even if the database no longer exists: the newest own one that can be
/// restored, preferring encrypted ones. Automated snapshots do not count, since RDS deletes them by itself.
pub(crate) fn expired(
    all: &[Snapshot],
    settings: &Settings,
    today: Date,
    in_use: &BTreeSet<String>,
) -> Vec<Expired> {
    let keeper = |resource: &str| {
        let own = all.iter().filter(|one| {
            one.resource == resource
                && is_own(one, settings)
                && progress(&one.status) == Progress::Available
                && one.taken.is_some()
        });
        own.max_by_key(|one| (one.is_good(), one.taken))
    };
    let expired = all.iter().filter(|one| is_expired(one, settings, today) && !in_use.contains(&one.arn));
    let expired = expired.filter_map(|snapshot| {
        let keeper = keeper(&snapshot.resource).cloned();
        let is_last = keeper.as_ref().is_none_or(|keeper| keeper.arn == snapshot.arn);
        let is_failed = progress(&snapshot.status) == Progress::Failed;
        (!is_last || is_failed).then(|| Expired { snapshot: snapshot.clone(), keeper })
    });
    expired.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{automated, good, hours_ago, of_cluster, settings, tagged, today};
    use super::*;

    #[track_caller]
    fn deleted(all: &[Snapshot], expected: &[&str]) {
        let found = expired(all, &settings(), today(), &BTreeSet::from(["arn:copied".to_owned()]));
        let found: Vec<_> = found.iter().map(|one| one.snapshot.arn.trim_start_matches("arn:")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_own_expired_snapshots_without_hold_are_deleted_and_never_the_last_good_one() {
        let old = |name: &str, hours| tagged(good(name, hours), EXPIRES_ON, "2026-11-25");
        let keeper = || good("keeper", 1);
        deleted(&[old("a", 500), keeper()], &["a"]);
        // The last day is included.
        deleted(&[tagged(good("a", 500), EXPIRES_ON, "2026-11-26"), keeper()], &[]);
        deleted(&[old("a", 500), old("b", 400)], &["a"]);
        deleted(&[old("a", 500)], &[]);
        // A snapshot of another instance is no keeper, even if the instances had the same name.
        deleted(&[old("a", 500), Snapshot { resource: "db-B".into(), ..keeper() }], &[]);
        // A snapshot that cannot be restored, is not encrypted or will be deleted by RDS is no keeper.
        deleted(&[old("a", 500), Snapshot { status: "failed".into(), ..keeper() }], &[]);
        deleted(&[old("a", 500), Snapshot { status: "creating".into(), ..keeper() }], &[]);
        deleted(&[old("a", 500), automated("keeper", 1)], &[]);
        let plain = Snapshot { is_encrypted: false, ..keeper() };
        deleted(&[old("a", 500), plain.clone()], &[]);
        deleted(&[Snapshot { is_encrypted: false, ..old("a", 500) }, plain], &["a"]);
        // A failed snapshot needs no keeper.
        deleted(&[Snapshot { status: "failed".into(), ..old("a", 500) }], &["a"]);
        deleted(&[Snapshot { status: "creating".into(), ..old("a", 500) }, keeper()], &[]);
        for (value, is_kept) in
            [("true", true), ("processo 12", true), ("no", true), ("", false), ("False", false), (" ", false)]
        {
            let held = tagged(old("a", 500), "hold", value);
            deleted(&[held, keeper()], if is_kept { &[] } else { &["a"] });
        }
        for (key, value) in
            [(PROJECT, "other"), (ENVIRONMENT, "prod"), (MANAGED_BY, "ana"), (EXPIRES_ON, "ontem")]
        {
            deleted(&[tagged(old("a", 500), key, value), keeper()], &[]);
        }
        deleted(&[tagged(old("a", 500), MANAGED_BY, PROCEDURE), keeper()], &["a"]);
        deleted(&[Snapshot { name: "other-dev-a".into(), ..old("a", 500) }, keeper()], &[]);
        deleted(&[Snapshot { is_manual: false, ..old("a", 500) }, keeper()], &[]);
        deleted(&[old("copied", 500), keeper()], &[]);
    }

    #[test]
    fn a_change_before_the_deletion_stops_it() {
        let old = tagged(good("a", 500), EXPIRES_ON, "2026-11-25");
        let keeper = good("keeper", 1);
        let one = Expired { snapshot: old.clone(), keeper: Some(keeper.clone()) };
        let holds = |snapshot: &Snapshot, keeper: Option<&Snapshot>| {
            one.holds(snapshot, keeper, &settings(), today())
        };
        assert!(holds(&old, Some(&keeper)));
        assert!(!holds(&tagged(old.clone(), HOLD, "x"), Some(&keeper)));
        assert!(!holds(&tagged(old.clone(), EXPIRES_ON, "2027-01-01"), Some(&keeper)));
        assert!(!holds(&Snapshot { taken: hours_ago(2), ..old.clone() }, Some(&keeper)));
        assert!(!holds(&old, None));
        assert!(!holds(&old, Some(&Snapshot { status: "deleting".into(), ..keeper.clone() })));
        assert!(!holds(&old, Some(&Snapshot { arn: "arn:b".into(), ..keeper.clone() })));
        let alone = Expired { snapshot: old.clone(), keeper: None };
        assert!(!alone.holds(&old, Some(&keeper), &settings(), today()));
        assert!(alone.holds(&Snapshot { status: "failed".into(), ..old }, None, &settings(), today()));
    }

    #[test]
    fn the_last_good_snapshot_of_a_cluster_stays_whatever_its_instances_have() {
        let old = of_cluster(tagged(good("a", 500), EXPIRES_ON, "2026-11-25"));
        deleted(&[old.clone(), good("keeper", 1)], &[]);
        deleted(&[old, of_cluster(good("keeper", 1))], &["a"]);
    }
}
