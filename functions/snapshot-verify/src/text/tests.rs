use std::collections::BTreeSet;

use shared::audit::findings::key_of;
use shared::aws::snapshots::{Database, Kind, Snapshot};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::{Summary, line, outcome, page, sentence_of_action, summary};
use crate::rules::action::Action;
use crate::rules::finding::{Finding, Judged, Subject, key};
use crate::rules::snapshot::ExpiredSnapshot;

fn settings(language: Language) -> Settings {
    shared::testing::settings("moveongs-dev-snapshot-verify", language)
}

fn snapshot(is_manual: bool) -> Snapshot {
    Snapshot { is_manual, status: "failed".to_owned(), ..Snapshot::example("moveongs-dev-20261126") }
}

fn database() -> Database {
    Database { id: "moveongs-dev-db".to_owned(), ..Database::default() }
}

/// A snapshot of the cluster in tests/cases/11a-aurora-member.json.
fn of_cluster() -> Subject {
    let cluster = Snapshot { kind: Kind::Cluster, instance: "moveongs-dev".to_owned(), ..snapshot(true) };
    Subject::Snapshot(Box::new(cluster), None)
}

fn cluster() -> Database {
    Database { kind: Kind::Cluster, id: "moveongs-dev".to_owned() }
}

fn home() -> Subject {
    Subject::Snapshot(Box::new(snapshot(true)), None)
}

fn away() -> Subject {
    Subject::Snapshot(Box::new(snapshot(true)), Some("sa-east-1".to_owned()))
}

fn copy() -> Subject {
    Subject::Copy { database: database(), region: "sa-east-1".to_owned(), key: "arn:key".to_owned() }
}

#[test]
fn every_finding_is_reported_with_its_command_in_both_languages() {
    let why = || "why".to_owned();
    let failed = |is_copy| Finding::Failed { status: "failed".to_owned(), is_copy };
    for (subject, finding, part) in [
        (home(), failed(false), "delete-db-snapshot --db-snapshot-identifier moveongs-dev-20261126`"),
        (Subject::Snapshot(Box::new(snapshot(false)), None), failed(false), "describe-events"),
        (away(), failed(true), "moveongs-dev-20261126 --region sa-east-1`"),
        (
            home(),
            Finding::Slow { hours: 7, progress: 30, is_copy: false },
            "aws rds wait db-snapshot-available",
        ),
        (home(), Finding::Public, "--values-to-remove all"),
        (
            away(),
            Finding::Shared { accounts: vec!["1".to_owned(), "2".to_owned()] },
            "--values-to-remove 1 2 --region sa-east-1",
        ),
        (copy(), Finding::CopyRefused { why: why() }, "kms describe-key --key-id arn:key --region sa-east-1"),
        (home(), Finding::InsufficientData { why: why() }, "why"),
        (Subject::Region("sa-east-1".to_owned()), Finding::InsufficientData { why: why() }, "lambda invoke"),
        (
            copy(),
            Finding::CopyStale { hours: 70, newest: "c".to_owned() },
            "describe-events --source-type db-snapshot --duration 2880 --region sa-east-1",
        ),
        (copy(), Finding::NoSource, "--db-instance-identifier moveongs-dev-db"),
        (copy(), Finding::CopyUnsupported, "`SnapshotCopyRegion`"),
        (home(), Finding::NotEncrypted, "copy-db-snapshot"),
        (Subject::Automated(database()), Finding::NotEncrypted, "docs/backups.md"),
        (
            of_cluster(),
            failed(false),
            "delete-db-cluster-snapshot --db-cluster-snapshot-identifier moveongs-dev-20261126`",
        ),
        (
            of_cluster(),
            Finding::Slow { hours: 7, progress: 30, is_copy: false },
            "aws rds wait db-cluster-snapshot-available",
        ),
        (
            of_cluster(),
            Finding::Public,
            "aws rds modify-db-cluster-snapshot-attribute --db-cluster-snapshot-identifier",
        ),
        (of_cluster(), Finding::NotEncrypted, "docs/backups.md"),
        (of_cluster(), Finding::SizeDoubtful { percent: 10, before: "b".to_owned() }, "docs/backups.md"),
        (
            Subject::Automated(cluster()),
            Finding::Untagged { missing: vec!["Project"] },
            "aws rds modify-db-cluster --db-cluster-identifier moveongs-dev --copy-tags-to-snapshot",
        ),
        (
            Subject::Copy { database: cluster(), region: "sa-east-1".to_owned(), key: "arn:key".to_owned() },
            Finding::NoSource,
            "describe-db-cluster-snapshots --db-cluster-identifier moveongs-dev --query 'DBClusterSnapshots[].[DBClusterSnapshotIdentifier,Status,StorageEncrypted]'",
        ),
        (home(), Finding::SizeDoubtful { percent: 10, before: "b".to_owned() }, "10 %"),
        (home(), Finding::SizeDoubtful { percent: 300, before: "b".to_owned() }, "300 %"),
        (home(), Finding::Untagged { missing: vec!["Project"] }, "Key=Project,Value=moveongs"),
        (
            Subject::Automated(database()),
            Finding::Untagged { missing: vec!["Project"] },
            "--copy-tags-to-snapshot",
        ),
        (home(), Finding::NoExpiry, "Key=ExpiresOn"),
        (away(), Finding::NotDeleted { why: why() }, "Key=Hold"),
    ] {
        let nothing = BTreeSet::new();
        let [portuguese, english] = [Language::Portuguese, Language::English].map(|language| {
            let judged = [Judged::new(subject.clone(), finding.clone())];
            let contents = Summary {
                run_id: "2026-11-26",
                judged: &judged,
                new: &BTreeSet::from([key(&subject, &finding)]),
                resolved: &nothing,
                still: &nothing,
                actions: &[],
            };
            summary(&settings(language), &contents).text()
        });
        assert_ne!(portuguese, english);
        for (text, next) in [(&portuguese, "Próximo passo"), (&english, "Next step")] {
            for part in [&subject.label(), finding.kind(), next, part] {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
            assert!(!text.contains('?'), "{text}");
        }
        assert_eq!(key_of(&line(&subject, &finding)), key(&subject, &finding));
        // Never advise restoring a cluster's snapshot with an instance's commands.
        if subject.label().contains("cluster/") {
            assert!(!portuguese.contains("db-snapshot") && !portuguese.contains("restore-db-instance"));
        }
    }
}

#[test]
fn a_page_has_one_key_per_snapshot_and_kind() {
    let page = page(
        &settings(Language::Portuguese),
        &away(),
        &Finding::Failed { status: "failed".to_owned(), is_copy: true },
    );
    assert_eq!(page.dedup_key, "snapshot-verify/moveongs-dev-20261126 (sa-east-1)/CopyFailed");
    assert_eq!(page.subject, "[dev] CopyFailed: moveongs-dev-20261126 (sa-east-1)");
}

#[test]
fn a_deletion_is_reported_with_the_snapshots_details() {
    let deletion = ExpiredSnapshot {
        taken: Some("2026-11-01T12:00:00Z".parse().unwrap()),
        tags: [("ExpiresOn", "2026-11-08"), ("Deploy", "run-17")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..ExpiredSnapshot::from(&snapshot(true))
    };
    let action = Action::Deleted(deletion);
    assert_eq!(
        sentence_of_action(&action, Language::Portuguese),
        "*Apagado* `moveongs-dev-20261126`: 20 GiB, dados de 2026-11-01 09:00:00 -03:00, ExpiresOn 2026-11-08"
    );
    assert_eq!(
        outcome(&action),
        "deleted: of moveongs-dev-db, failed, 20 GiB, Deploy=run-17, ExpiresOn=2026-11-08"
    );
    assert_eq!(
        action.step(),
        "delete arn:aws:rds:r:1:snapshot:moveongs-dev-20261126 of 2026-11-01T12:00:00Z"
    );
}
