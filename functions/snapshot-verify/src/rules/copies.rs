//! Copies to the other region: source, name and age.

use jiff::Timestamp;
use shared::aws::snapshots::{self, Database, Kind, Snapshot};
use shared::runtime::settings::Settings;

use super::finding::Finding;

/// Longest name of a source whose ARN fits into a tag of its copy.
const LONGEST_SOURCE: usize = 180;

/// The snapshot to copy to the other region: the database's newest good one; or the reason why there is none. The role
/// may copy the database's automated snapshots and those whose name begins with the environment's, so that an
/// environment cannot read another's data.
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

/// The finding that the newest good copy of the database is too old. Its data may be a day old when they are copied;
/// the next copy follows a day later and may take `copy_hours`.
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

/// The name of a snapshot's copy. It is the same for the same snapshot, so that RDS refuses a second copy. The source's
/// prefix is omitted only if the whole name exceeds RDS's limit: a changed name would allow a second copy.
pub(crate) fn copy_name(settings: &Settings, kind: Kind, source: &str) -> String {
    let own = snapshots::prefix(settings);
    let source = source.strip_prefix("rds:").unwrap_or(source);
    let name = format!("{own}copy-{source}");
    if name.len() <= kind.longest_name() {
        return name;
    }
    format!("{own}copy-{}", source.strip_prefix(&own).unwrap_or(source))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{automated, database, good, now, of_cluster, settings};
    use super::*;

    #[test]
    fn copies_are_stale_when_the_newest_good_one_is() {
        let of = |hours, status: &str| Snapshot { status: status.to_owned(), ..good("a", hours) };
        let instance = database("moveongs-dev-db");
        let hours = |copies: &[Snapshot]| match stale(copies, &instance, &settings(), now()) {
            Some(Finding::CopyStale { hours, .. }) => Some(hours),
            _ => None,
        };
        // Without any copy, the findings of the first one report the problem.
        assert_eq!(hours(&[]), None);
        assert_eq!(hours(&[of(60, "available")]), None);
        assert_eq!(hours(&[of(61, "available")]), Some(61));
        assert_eq!(hours(&[of(61, "available"), of(90, "available"), of(1, "creating")]), Some(61));
        assert_eq!(hours(&[of(61, "available"), of(20, "available")]), None);
        let other = Snapshot { instance: "other".to_owned(), ..of(20, "available") };
        assert_eq!(hours(&[of(61, "available"), other]), Some(61));
    }

    #[test]
    fn the_newest_good_snapshot_is_copied_under_its_own_name() {
        let all = [
            good("moveongs-dev-old", 30),
            automated("moveongs-dev-db-new", 2),
            Snapshot { is_encrypted: false, ..good("moveongs-dev-plain", 1) },
            Snapshot { status: "creating".into(), ..good("moveongs-dev-creating", 0) },
            Snapshot { instance: "moveongs-dev-other".into(), ..good("moveongs-dev-other-1", 1) },
            Snapshot { name: format!("moveongs-dev-{}", "x".repeat(168)), ..good("long", 1) },
            // The role must not copy another environment's, AWS Backup's, or a person's snapshots.
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
    fn a_copys_name_omits_the_sources_prefix_only_if_it_would_be_too_long() {
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
        // The name of a foreign cluster has no prefix to omit.
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
    fn a_multi_az_cluster_gets_no_copy_and_no_page() {
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

    /// As in tests/cases/11a-aurora-member.json: the cluster `moveongs-dev` of the member `moveongs-dev-db`.
    #[test]
    fn a_clusters_snapshots_are_distinguished_from_an_instances() {
        let cluster = Database { kind: Kind::Cluster, id: "moveongs-dev".to_owned() };
        let daily = "rds:moveongs-dev-2026-11-26-03-10";
        let all = [
            good("instance", 0),
            // An instance may have the cluster's name.
            Snapshot { instance: "moveongs-dev".to_owned(), ..good("same", 0) },
            of_cluster(Snapshot { name: daily.to_owned(), is_manual: false, ..good("daily", 2) }),
            // The copy's name would exceed RDS's limit for clusters.
            of_cluster(Snapshot { name: format!("moveongs-dev-{}", "x".repeat(46)), ..good("long", 1) }),
        ];
        assert_eq!(source(&all, &cluster, &settings()).unwrap().name, daily);
        let hours = |copies: &[Snapshot]| stale(copies, &cluster, &settings(), now()).is_some();
        assert!(hours(&[of_cluster(good("a", 61)), good("b", 1)]));
        assert!(!hours(&[of_cluster(good("a", 60))]));
    }
}
