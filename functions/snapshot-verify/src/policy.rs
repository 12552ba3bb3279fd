//! What is wrong with a snapshot, which one is copied, and which ones may be deleted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{
    self, CREATOR, Database, ENVIRONMENT, EXPIRES_ON, Kind, MANAGED_BY, PROJECT, Progress, progress,
};
use shared::policy::Verify;
use shared::runtime::settings::Settings;

use crate::PROCEDURE;

/// Tag that keeps a snapshot, with any value but none and `false`.
const HOLD: &str = "Hold";

/// Tag of a copy: the ARN of what it is a copy of. The name of an automated snapshot begins with `rds:`, which no value may.
pub(crate) const COPY_OF: &str = "CopyOf";

/// Tag of a cluster's copy: when its data were taken, which RDS does not show of it.
pub(crate) const TAKEN_AT: &str = "TakenAt";

/// Longest name of a snapshot whose ARN a tag of its copy holds.
const LONGEST_SOURCE: usize = 180;

/// A snapshot as RDS describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// Whether it is an instance's or a cluster's, which may have the same name.
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The instance or cluster that it is of.
    pub instance: String,
    /// RDS's own id of that; another one when an instance or cluster was made anew under the name.
    pub resource: String,
    /// Made by somebody, not by RDS's daily backup. A copy is always.
    pub is_manual: bool,
    /// RDS's word.
    pub status: String,
    /// How much of it is done, in percent.
    pub progress: i32,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// When it was made, a copy when it was copied. RDS tells it late.
    pub created: Option<Timestamp>,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// Storage of the database, in GiB; 0 of Aurora, of which RDS does not say.
    pub allocated_gib: i32,
    /// All blocks that were written, in bytes; not told of every snapshot.
    pub full_bytes: Option<i64>,
    /// Whether RDS copies it; one of a Multi-AZ DB cluster it does not.
    pub can_be_copied: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Accounts that may restore it, `all` for everybody, or why that was not seen. An automated one cannot be shared.
    pub shared_with: Result<Vec<String>, String>,
}

impl Snapshot {
    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Whether it is of a database.
    pub(crate) fn is_of(&self, database: &Database) -> bool {
        self.kind == database.kind && self.instance == database.id
    }

    /// Whether it can be restored, and is encrypted.
    fn is_good(&self) -> bool {
        progress(&self.status) == Progress::Available && self.is_encrypted
    }

    /// Whether it is the same one as another time, and not a later one of the same name.
    pub(crate) fn is_same(&self, arn: &str, taken: Option<Timestamp>) -> bool {
        self.arn == arn && self.taken == taken
    }
}

/// Something that a person should know of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// RDS has given it up.
    Failed {
        /// RDS's word.
        status: String,
        /// Whether it is a copy.
        is_copy: bool,
    },
    /// It is not done after all this time.
    Slow {
        /// Hours since it began, or since it was first seen.
        hours: i64,
        /// How much of it is done, in percent.
        progress: i32,
        /// Whether it is a copy.
        is_copy: bool,
    },
    /// Every account of AWS may restore it.
    Public,
    /// Other accounts may restore it.
    Shared {
        /// Their ids.
        accounts: Vec<String>,
    },
    /// RDS did not take the copy.
    CopyRefused {
        /// Why.
        why: String,
    },
    /// It could not be seen, so nothing is known.
    InsufficientData {
        /// Why.
        why: String,
    },
    /// The newest copy that could be restored is older than two days' copies take.
    CopyStale {
        /// Hours since its data were taken.
        hours: i64,
        /// Its name.
        newest: String,
    },
    /// There is no snapshot that could be copied.
    NoSource,
    /// RDS copies no snapshot of a Multi-AZ DB cluster.
    CopyUnsupported,
    /// It is not encrypted.
    NotEncrypted,
    /// Its size is far from the one before.
    SizeDoubtful {
        /// In percent of the one before.
        percent: i64,
        /// The one before.
        before: String,
    },
    /// Tags are missing, or of another environment.
    Untagged {
        /// Their keys.
        missing: Vec<&'static str>,
    },
    /// Nothing says until when it is to be kept, so it stays.
    NoExpiry,
    /// It has expired, and could not be deleted.
    NotDeleted {
        /// Why.
        why: String,
    },
}

impl Finding {
    /// Stable name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Failed { is_copy: false, .. } => "SnapshotFailed",
            Self::Failed { is_copy: true, .. } => "CopyFailed",
            Self::Slow { is_copy: false, .. } => "SnapshotSlow",
            Self::Slow { is_copy: true, .. } => "CopySlow",
            Self::Public => "PublicSnapshot",
            Self::Shared { .. } => "SharedSnapshot",
            Self::CopyRefused { .. } => "CopyRefused",
            Self::InsufficientData { .. } => "InsufficientData",
            Self::CopyStale { .. } => "CopyStale",
            Self::NoSource => "NoSource",
            Self::CopyUnsupported => "CopyUnsupported",
            Self::NotEncrypted => "NotEncrypted",
            Self::SizeDoubtful { .. } => "SizeDoubtful",
            Self::Untagged { .. } => "Untagged",
            Self::NoExpiry => "NoExpiry",
            Self::NotDeleted { .. } => "NotDeleted",
        }
    }

    /// Whether somebody is woken.
    pub(crate) fn pages(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Public
                | Self::Shared { .. }
                | Self::CopyRefused { .. }
                | Self::CopyStale { .. }
                | Self::Slow { is_copy: true, .. }
        )
    }

    /// Whether a run with it is not green. Storage that was enlarged is only told.
    pub(crate) fn fails(&self) -> bool {
        !matches!(self, Self::SizeDoubtful { percent, .. } if *percent > 100)
    }
}

/// What is known of a snapshot in one word: `pass`, `fail`, `could-not-verify`; none while it is being made in time.
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

/// The one of the same instance whose data were taken last before this one's.
pub(crate) fn before<'a>(snapshot: &Snapshot, all: &'a [Snapshot]) -> Option<&'a Snapshot> {
    let taken = snapshot.taken?;
    let earlier = all.iter().filter(|other| {
        other.resource == snapshot.resource
            && progress(&other.status) == Progress::Available
            && other.taken.is_some_and(|other| other < taken)
    });
    earlier.max_by_key(|other| other.taken)
}

/// What is wrong with a snapshot; `before` is the previous one, `first_seen` when a run first saw it without a time.
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
    if snapshot.is_manual && last_day(snapshot).is_none() && !is_held(snapshot) {
        found.push(Finding::NoExpiry);
    }
    found
}

/// Whether the size is far from the one before: by the blocks that were written where RDS tells them of both, else by the
/// instance's storage.
fn size(snapshot: &Snapshot, before: &Snapshot, rules: &Verify) -> Option<Finding> {
    let (now, then) = match (snapshot.full_bytes, before.full_bytes) {
        (Some(now), Some(then)) => (now, then),
        _ => (snapshot.allocated_gib.into(), before.allocated_gib.into()),
    };
    if snapshot.kind == Kind::Cluster && now == 0 && then == 0 {
        return None;
    }
    // Of nothing there is no part.
    let percent = i64::try_from(i128::from(now) * 100 / i128::from(then.max(1))).unwrap_or(i64::MAX);
    let is_plausible = (i64::from(rules.least_percent)..=rules.most_percent.into()).contains(&percent);
    (!is_plausible).then(|| Finding::SizeDoubtful { percent, before: before.name.clone() })
}

/// Whether a finding about an automated snapshot is one about its instance, which makes the next one the same.
pub(crate) fn is_of_instance(finding: &Finding) -> bool {
    matches!(finding, Finding::NotEncrypted | Finding::Untagged { .. })
}

/// The last day that it is to be kept; none when no tag says so in the form `2026-12-26`.
fn last_day(snapshot: &Snapshot) -> Option<Date> {
    let text = snapshot.tag(EXPIRES_ON)?;
    let day: Date = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

/// Whether a person keeps it. The key's case does not count: a hold that was meant is one.
fn is_held(snapshot: &Snapshot) -> bool {
    snapshot.tags.iter().any(|(key, value)| {
        let value = value.trim();
        key.eq_ignore_ascii_case(HOLD) && !value.is_empty() && !value.eq_ignore_ascii_case("false")
    })
}

/// Whether this project's functions have made it for this environment.
fn is_own(snapshot: &Snapshot, settings: &Settings) -> bool {
    snapshot.is_manual
        && snapshot.name.starts_with(&snapshots::prefix(settings))
        && snapshot.tag(PROJECT) == Some(&settings.project)
        && snapshot.tag(ENVIRONMENT) == Some(&settings.environment)
        && snapshot.tag(MANAGED_BY).is_some_and(|maker| [CREATOR, PROCEDURE].contains(&maker))
}

/// Whether it may be deleted, taken by itself: ours, expired, not held, and in a state that does not pass.
fn is_expired(snapshot: &Snapshot, settings: &Settings, today: Date) -> bool {
    is_own(snapshot, settings)
        && !is_held(snapshot)
        && last_day(snapshot).is_some_and(|last| last < today)
        && matches!(progress(&snapshot.status), Progress::Available | Progress::Failed)
}

/// A snapshot that is to be deleted, and the one that is left for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Expired {
    /// The one to delete.
    pub snapshot: Snapshot,
    /// The newest good one of the same instance; none only behind one that failed.
    pub keeper: Option<Snapshot>,
}

impl Expired {
    /// Whether it may still be deleted, now that both were looked at again.
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

/// The snapshots of one region that are to be deleted, but none whose ARN is in `in_use`.
///
/// The last good one of an instance stays, whether the instance is there or not: the newest of ours that can be restored,
/// encrypted ones first. Automated ones do not count, since RDS deletes them itself.
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

/// The snapshot that is copied to the other region: the newest good one of the database; or why there is none. The role may copy RDS's own ones
/// of it, and those with the environment's name in front, so that no environment can read another's data.
pub(crate) fn source<'a>(
    all: &'a [Snapshot],
    database: &Database,
    settings: &Settings,
) -> Result<&'a Snapshot, Finding> {
    let (own, daily) = (snapshots::prefix(settings), format!("rds:{}-", database.id));
    let good = all.iter().filter(|one| {
        one.is_of(database)
            && (one.name.starts_with(&own) || one.name.starts_with(&daily))
            && one.is_good()
            && one.taken.is_some()
            && one.name.len() <= LONGEST_SOURCE
            && copy_name(settings, one.kind, &one.name).len() <= one.kind.longest_name()
    });
    let newest = good.max_by_key(|one| one.taken).ok_or(Finding::NoSource)?;
    if newest.can_be_copied { Ok(newest) } else { Err(Finding::CopyUnsupported) }
}

/// That the newest good copy of the instance is too old: its data may be a day old when they are copied, the next copy is a
/// day later, and takes its time.
pub(crate) fn stale(
    copies: &[Snapshot],
    database: &Database,
    settings: &Settings,
    now: Timestamp,
) -> Option<Finding> {
    let good = copies.iter().filter(|one| one.is_of(database) && one.is_good());
    let (taken, newest) = good.filter_map(|one| Some((one.taken?, one))).max_by_key(|(taken, _)| *taken)?;
    let hours = now.duration_since(taken).as_hours();
    let most = 48 + i64::from(settings.policy.backups.snapshots.verify.copy_hours);
    (hours > most).then(|| Finding::CopyStale { hours, newest: newest.name.clone() })
}

/// What a snapshot's copy is called. The same for the same snapshot, so that RDS refuses a second one; without the second
/// prefix of the environment only where RDS takes no name as long, since a new name would be a second copy.
pub(crate) fn copy_name(settings: &Settings, kind: Kind, source: &str) -> String {
    let own = snapshots::prefix(settings);
    let source = source.strip_prefix("rds:").unwrap_or(source);
    let name = format!("{own}copy-{source}");
    if name.len() <= kind.longest_name() {
        return name;
    }
    format!("{own}copy-{}", source.strip_prefix(&own).unwrap_or(source))
}

/// What a deleted snapshot was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ExpiredSnapshot {
    /// Whether it was a cluster's.
    #[serde(default)]
    pub kind: Kind,
    /// Its identifier.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The instance or cluster that it was of.
    pub instance: String,
    /// When its data were taken.
    pub taken: Option<Timestamp>,
    /// RDS's word.
    pub status: String,
    /// Storage of the instance, in GiB.
    pub size_gib: i32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl From<&Snapshot> for ExpiredSnapshot {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            kind: snapshot.kind,
            name: snapshot.name.clone(),
            arn: snapshot.arn.clone(),
            instance: snapshot.instance.clone(),
            taken: snapshot.taken,
            status: snapshot.status.clone(),
            size_gib: snapshot.allocated_gib,
            tags: snapshot.tags.clone(),
        }
    }
}

#[cfg(test)]
impl Snapshot {
    /// A manual one of the tests' instance, encrypted and private, without tags and times.
    pub(crate) fn example(name: &str) -> Self {
        Self {
            kind: Kind::Instance,
            name: name.to_owned(),
            arn: format!("arn:aws:rds:r:1:snapshot:{name}"),
            instance: "moveongs-dev-db".to_owned(),
            resource: "db-A".to_owned(),
            is_manual: true,
            status: "available".to_owned(),
            progress: 100,
            is_encrypted: true,
            created: None,
            taken: None,
            allocated_gib: 20,
            full_bytes: None,
            can_be_copied: true,
            tags: BTreeMap::new(),
            shared_with: Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::*;

    fn settings() -> Settings {
        Settings {
            function: "moveongs-dev-snapshot-verify".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "x".to_owned(),
            language: Language::Portuguese,
            policy: "".parse().unwrap(),
        }
    }

    fn database(id: &str) -> Database {
        Database { id: id.to_owned(), ..Database::default() }
    }

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    fn today() -> Date {
        "2026-11-26".parse().unwrap()
    }

    fn hours_ago(hours: i64) -> Option<Timestamp> {
        Some(now() - jiff::SignedDuration::from_hours(hours))
    }

    /// A good one of ours, kept long enough.
    fn good(name: &str, hours: i64) -> Snapshot {
        let tags =
            [(PROJECT, "moveongs"), (ENVIRONMENT, "dev"), (MANAGED_BY, CREATOR), (EXPIRES_ON, "2026-12-01")];
        Snapshot {
            arn: format!("arn:{name}"),
            created: hours_ago(hours),
            taken: hours_ago(hours),
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Snapshot::example(&format!("moveongs-dev-{name}"))
        }
    }

    fn tagged(mut snapshot: Snapshot, key: &str, value: &str) -> Snapshot {
        snapshot.tags.insert(key.to_owned(), value.to_owned());
        snapshot
    }

    fn automated(name: &str, hours: i64) -> Snapshot {
        Snapshot { name: format!("rds:{name}"), is_manual: false, ..good(name, hours) }
    }

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
    fn copies_are_stale_when_the_newest_good_one_is() {
        let of = |hours, status: &str| Snapshot { status: status.to_owned(), ..good("a", hours) };
        let instance = database("moveongs-dev-db");
        let hours = |copies: &[Snapshot]| match stale(copies, &instance, &settings(), now()) {
            Some(Finding::CopyStale { hours, .. }) => Some(hours),
            _ => None,
        };
        // That there is none yet, says what became of the first.
        assert_eq!(hours(&[]), None);
        assert_eq!(hours(&[of(60, "available")]), None);
        assert_eq!(hours(&[of(61, "available")]), Some(61));
        assert_eq!(hours(&[of(61, "available"), of(90, "available"), of(1, "creating")]), Some(61));
        assert_eq!(hours(&[of(61, "available"), of(20, "available")]), None);
        let other = Snapshot { instance: "other".to_owned(), ..of(20, "available") };
        assert_eq!(hours(&[of(61, "available"), other]), Some(61));
    }

    #[test]
    fn what_is_found() {
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
        // Who holds one has said until when.
        let mut held = tagged(good("a", 1), HOLD, "auditoria 17");
        held.tags.remove(EXPIRES_ON);
        check(&held, None, false, &[]);
        // An automated one goes with the retention.
        let mut automated = automated("a", 1);
        automated.tags.clear();
        check(&automated, None, false, &["Untagged"]);
    }

    #[test]
    fn how_long_one_may_take() {
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
    fn which_size_is_plausible() {
        let found = |now: (i32, Option<i64>), then: (i32, Option<i64>)| {
            let snapshot = Snapshot { allocated_gib: now.0, full_bytes: now.1, ..good("a", 1) };
            let before = Snapshot { allocated_gib: then.0, full_bytes: then.1, ..good("b", 2) };
            let found = findings(&snapshot, Some(&before), None, false, &settings(), super::tests::now());
            found.first().map(|finding| (finding.kind(), finding.fails()))
        };
        for (now, then, expected) in [
            ((20, None), (20, None), None),
            ((10, None), (20, None), None),
            ((9, None), (20, None), Some(true)),
            ((40, None), (20, None), None),
            ((41, None), (20, None), Some(false)),
            ((0, None), (20, None), Some(true)),
            // Where both tell what was written, that counts.
            ((20, Some(499)), (20, Some(1000)), Some(true)),
            ((20, Some(500)), (20, Some(1000)), None),
            ((20, Some(1)), (20, None), None),
            ((20, Some(i64::MAX)), (20, Some(0)), Some(false)),
        ] {
            assert_eq!(found(now, then), expected.map(|fails| ("SizeDoubtful", fails)), "{now:?} {then:?}");
        }
    }

    #[test]
    fn the_one_before_is_of_the_same_instance_and_can_be_restored() {
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

    #[track_caller]
    fn deleted(all: &[Snapshot], expected: &[&str]) {
        let found = expired(all, &settings(), today(), &BTreeSet::from(["arn:copied".to_owned()]));
        let found: Vec<_> = found.iter().map(|one| one.snapshot.arn.trim_start_matches("arn:")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_is_ours_expired_and_not_held_is_deleted_and_never_the_last_good_one() {
        let old = |name: &str, hours| tagged(good(name, hours), EXPIRES_ON, "2026-11-25");
        let keeper = || good("keeper", 1);
        deleted(&[old("a", 500), keeper()], &["a"]);
        // The last day is still a day.
        deleted(&[tagged(good("a", 500), EXPIRES_ON, "2026-11-26"), keeper()], &[]);
        deleted(&[old("a", 500), old("b", 400)], &["a"]);
        deleted(&[old("a", 500)], &[]);
        // Of another instance, also one that had the same name.
        deleted(&[old("a", 500), Snapshot { resource: "db-B".into(), ..keeper() }], &[]);
        // What cannot be restored, is not encrypted, or goes by itself keeps nothing.
        deleted(&[old("a", 500), Snapshot { status: "failed".into(), ..keeper() }], &[]);
        deleted(&[old("a", 500), Snapshot { status: "creating".into(), ..keeper() }], &[]);
        deleted(&[old("a", 500), automated("keeper", 1)], &[]);
        let plain = Snapshot { is_encrypted: false, ..keeper() };
        deleted(&[old("a", 500), plain.clone()], &[]);
        deleted(&[Snapshot { is_encrypted: false, ..old("a", 500) }, plain], &["a"]);
        // One that failed is no good one.
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
    fn what_changed_before_the_deletion_stops_it() {
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
    fn the_newest_good_one_is_copied_under_a_name_of_its_own() {
        let all = [
            good("moveongs-dev-old", 30),
            automated("moveongs-dev-db-new", 2),
            Snapshot { is_encrypted: false, ..good("moveongs-dev-plain", 1) },
            Snapshot { status: "creating".into(), ..good("moveongs-dev-creating", 0) },
            Snapshot { instance: "moveongs-dev-other".into(), ..good("moveongs-dev-other-1", 1) },
            Snapshot { name: format!("moveongs-dev-{}", "x".repeat(168)), ..good("long", 1) },
            // What the role may not copy: another environment's, AWS Backup's, a person's.
            Snapshot { name: "moveongs-prod-new".to_owned(), ..good("others", 1) },
            Snapshot { name: "rds:moveongs-prod-db-2026-11-26-03-10".to_owned(), ..good("others", 1) },
            Snapshot { name: "awsbackup:job-1".to_owned(), ..good("others", 1) },
            Snapshot { name: "before-the-migration".to_owned(), ..good("others", 1) },
        ];
        let of = database("moveongs-dev-db");
        let source = source(&all, &of, &settings()).unwrap();
        assert_eq!(source.name, "rds:moveongs-dev-db-new");
        assert_eq!(
            copy_name(&settings(), Kind::Instance, "rds:db-2026-11-26-03-10"),
            "moveongs-dev-copy-db-2026-11-26-03-10"
        );
        assert_eq!(super::source(&all[2..], &of, &settings()), Err(Finding::NoSource));
    }

    #[test]
    fn a_copys_name_leaves_the_second_prefix_out_only_where_rds_takes_no_name_as_long() {
        let staging = Settings { environment: "staging".to_owned(), ..settings() };
        let daily = "rds:moveongs-staging-aurora-postgres-2026-11-26-03-10";
        let cluster = |source: &str| copy_name(&staging, Kind::Cluster, source);
        assert_eq!(cluster(daily), "moveongs-staging-copy-aurora-postgres-2026-11-26-03-10");
        assert_eq!(
            copy_name(&staging, Kind::Instance, daily),
            "moveongs-staging-copy-moveongs-staging-aurora-postgres-2026-11-26-03-10"
        );
        let of = |length: usize| format!("moveongs-staging-{}", "x".repeat(length));
        assert_eq!(cluster(&of(24)), format!("moveongs-staging-copy-{}", of(24)));
        assert_eq!(cluster(&of(24)).len(), 63);
        assert_eq!(cluster(&of(25)), format!("moveongs-staging-copy-{}", "x".repeat(25)));
        // Of a cluster of another name nothing can be left out.
        assert_eq!(cluster(&"x".repeat(42)).len(), 64);

        let database = Database { kind: Kind::Cluster, id: "moveongs-staging-aurora-postgres".to_owned() };
        let all = [Snapshot {
            kind: Kind::Cluster,
            name: daily.to_owned(),
            instance: database.id.clone(),
            is_manual: false,
            ..good("daily", 2)
        }];
        assert_eq!(source(&all, &database, &staging).unwrap().name, daily);
    }

    #[test]
    fn of_a_multi_az_cluster_no_copy_is_asked_for_and_no_page_is_sent() {
        let cluster = Database { kind: Kind::Cluster, id: "moveongs-dev".to_owned() };
        let multi_az = Snapshot {
            kind: Kind::Cluster,
            instance: cluster.id.clone(),
            can_be_copied: false,
            ..good("a", 1)
        };
        let found = source(&[multi_az], &cluster, &settings()).unwrap_err();
        assert_eq!((found.kind(), found.pages(), found.fails()), ("CopyUnsupported", false, true));
    }

    /// The kind of tests/cases/11a-aurora-member.json: the cluster `moveongs-dev` of the member `moveongs-dev-db`.
    #[test]
    fn a_clusters_snapshots_are_distinguished_from_an_instances() {
        let cluster = Database { kind: Kind::Cluster, id: "moveongs-dev".to_owned() };
        let of_cluster = |one: Snapshot| Snapshot {
            kind: Kind::Cluster,
            instance: "moveongs-dev".to_owned(),
            resource: "cluster-A".to_owned(),
            ..one
        };
        let daily = "rds:moveongs-dev-2026-11-26-03-10";
        let all = [
            good("instance", 0),
            // An instance may have the cluster's name.
            Snapshot { instance: "moveongs-dev".to_owned(), ..good("same", 0) },
            of_cluster(Snapshot { name: daily.to_owned(), is_manual: false, ..good("daily", 2) }),
            // A copy's name would be longer than RDS takes of a cluster.
            of_cluster(Snapshot { name: format!("moveongs-dev-{}", "x".repeat(46)), ..good("long", 1) }),
        ];
        assert_eq!(source(&all, &cluster, &settings()).unwrap().name, daily);
        let hours = |copies: &[Snapshot]| stale(copies, &cluster, &settings(), now()).is_some();
        assert!(hours(&[of_cluster(good("a", 61)), good("b", 1)]));
        assert!(!hours(&[of_cluster(good("a", 60))]));
        // The last good one of the cluster stays, whatever the instance has.
        let old = of_cluster(tagged(good("a", 500), EXPIRES_ON, "2026-11-25"));
        deleted(&[old.clone(), good("keeper", 1)], &[]);
        deleted(&[old, of_cluster(good("keeper", 1))], &["a"]);
    }
}
