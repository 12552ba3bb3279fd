use serde_json::json;
use shared::policy::Policy;

use super::access::tests::opened;
use super::access::tls_statement;
use super::*;
use crate::rules::facts::{Acl, BLOCKS, Encryption, Lifecycle, Lock};
use crate::rules::rule::tests::Case::{Broken, Dark, Edge, Holds};
use crate::rules::rule::tests::{DAY, FILES, HOUR, KEY, Rows, ago, check, context, row, unread, word};

/// A lifecycle rule for the whole bucket.
pub(crate) fn whole(noncurrent_days: Option<i32>, incomplete_days: Option<i32>) -> Lifecycle {
    Lifecycle { is_enabled: true, noncurrent_days, incomplete_days, ..Lifecycle::default() }
}

pub(crate) fn bucket(role: Role) -> Bucket {
    Bucket {
        name: FILES.to_owned(),
        role,
        elsewhere: None,
        versioning: Ok(Some("Enabled".to_owned())),
        lifecycle: Ok(vec![whole(Some(90), Some(1))]),
        open: Ok(Vec::new()),
        account_open: Ok(BLOCKS.to_vec()),
        acl: Ok(Acl {
            owner: Some("0wner".to_owned()),
            accounts: ["0wner".to_owned()].into(),
            ..Acl::default()
        }),
        encryption: Ok(Some(Encryption { algorithm: "aws:kms".to_owned(), key: Some(KEY.to_owned()) })),
        policy: Ok(Some(json!({"Statement": [tls_statement(FILES)]}).to_string())),
        lock: Some(Ok(Some(Lock { mode: "COMPLIANCE".to_owned(), days: 365 }))),
        replicates: Some(Ok(true)),
        logs: Some(Ok(true)),
        newest: Some(Ok(Newest::At(ago(HOUR)))),
    }
}

pub(crate) const BUCKETS: Rows<Bucket> = &[
    ("s3.versioning", Holds, |_| ()),
    ("s3.versioning", Edge("fail"), |bucket| bucket.versioning = Ok(Some("Suspended".into()))),
    ("s3.versioning", Broken, |bucket| bucket.versioning = Ok(None)),
    ("s3.versioning", Dark, |bucket| bucket.versioning = unread()),
    ("s3.noncurrent", Holds, |_| ()),
    ("s3.noncurrent", Edge("pass"), |bucket| bucket.lifecycle = Ok(vec![whole(Some(30), None)])),
    ("s3.noncurrent", Edge("fail"), |bucket| bucket.lifecycle = Ok(vec![whole(Some(29), None)])),
    ("s3.noncurrent", Broken, |bucket| bucket.lifecycle = Ok(Vec::new())),
    ("s3.noncurrent", Dark, |bucket| bucket.lifecycle = unread()),
    ("s3.noncurrent", Edge("-"), |bucket| (bucket.role, bucket.lifecycle) = (Role::State, Ok(Vec::new()))),
    ("s3.expiration", Holds, |_| ()),
    ("s3.expiration", Broken, |bucket| {
        bucket.lifecycle = Ok(vec![whole(Some(90), None), Lifecycle { expires: true, ..whole(None, None) }]);
    }),
    ("s3.expiration", Edge("fail"), |bucket| {
        bucket.lifecycle = Ok(vec![Lifecycle { expires: true, is_filtered: true, ..whole(None, None) }]);
    }),
    ("s3.expiration", Edge("pass"), |bucket| {
        bucket.lifecycle = Ok(vec![Lifecycle { expires: true, is_enabled: false, ..whole(None, None) }]);
    }),
    ("s3.expiration", Edge("fail"), |bucket| {
        bucket.role = Role::Evidence;
        bucket.lifecycle = Ok(vec![Lifecycle { expires: true, ..whole(None, None) }]);
    }),
    ("s3.expiration", Dark, |bucket| bucket.lifecycle = unread()),
    ("s3.expiration", Edge("-"), |bucket| (bucket.role, bucket.lifecycle) = (Role::Other, unread())),
    ("s3.incomplete-uploads", Holds, |_| ()),
    ("s3.incomplete-uploads", Edge("pass"), |bucket| bucket.lifecycle = Ok(vec![whole(None, Some(7))])),
    ("s3.incomplete-uploads", Edge("fail"), |bucket| bucket.lifecycle = Ok(vec![whole(None, Some(8))])),
    ("s3.incomplete-uploads", Broken, |bucket| bucket.lifecycle = Ok(vec![whole(Some(90), None)])),
    ("s3.incomplete-uploads", Dark, |bucket| bucket.lifecycle = unread()),
    ("s3.public-access-block", Holds, |_| ()),
    ("s3.public-access-block", Edge("fail"), |bucket| bucket.open = Ok(vec!["IgnorePublicAcls"])),
    ("s3.public-access-block", Broken, |bucket| {
        bucket.open = Ok(vec!["BlockPublicAcls", "BlockPublicPolicy"])
    }),
    ("s3.public-access-block", Dark, |bucket| bucket.open = unread()),
    ("s3.public", Holds, |_| ()),
    ("s3.public", Edge("pass"), |bucket| bucket.policy = unread()),
    ("s3.public", Broken, |bucket| {
        *bucket = opened(&json!("*"), &["RestrictPublicBuckets"], &Ok(BLOCKS.to_vec()));
    }),
    ("s3.public", Dark, |bucket| (bucket.open, bucket.acl) = (Ok(BLOCKS.to_vec()), unread())),
    ("s3.foreign-access", Holds, |_| ()),
    ("s3.foreign-access", Edge("pass"), |bucket| {
        *bucket = opened(&json!({"AWS": "444455556666"}), &[], &Ok(Vec::new()));
    }),
    ("s3.foreign-access", Broken, |bucket| {
        *bucket = opened(&json!({"AWS": "777788889999"}), &[], &Ok(Vec::new()));
    }),
    ("s3.foreign-access", Dark, |bucket| bucket.policy = unread()),
    ("s3.foreign-access", Dark, |bucket| bucket.acl = unread()),
    ("s3.encryption", Holds, |_| ()),
    ("s3.encryption", Edge("fail"), |bucket| encrypt(bucket, "aws:kms", None)),
    ("s3.encryption", Broken, |bucket| encrypt(bucket, "AES256", None)),
    ("s3.encryption", Broken, |bucket| bucket.encryption = Ok(None)),
    ("s3.encryption", Dark, |bucket| bucket.encryption = unread()),
    ("s3.tls-only", Holds, |_| ()),
    ("s3.tls-only", Edge("fail"), |bucket| bucket.policy = Ok(Some(r#"{"Statement": []}"#.into()))),
    ("s3.tls-only", Broken, |bucket| bucket.policy = Ok(None)),
    ("s3.tls-only", Dark, |bucket| bucket.policy = unread()),
    ("s3.evidence-lock", Holds, |bucket| bucket.role = Role::Evidence),
    ("s3.evidence-lock", Edge("pass"), |bucket| locked(bucket, Role::Evidence, 365)),
    ("s3.evidence-lock", Edge("fail"), |bucket| locked(bucket, Role::Evidence, 364)),
    ("s3.evidence-lock", Broken, |bucket| (bucket.role, bucket.lock) = (Role::Evidence, Some(Ok(None)))),
    ("s3.evidence-lock", Dark, |bucket| (bucket.role, bucket.lock) = (Role::Evidence, Some(unread()))),
    ("s3.evidence-lock", Dark, |bucket| (bucket.role, bucket.lock) = (Role::Evidence, None)),
    ("s3.object-lock", Holds, |_| ()),
    ("s3.object-lock", Edge("pass"), |bucket| locked(bucket, Role::Attachments, 1)),
    ("s3.object-lock", Edge("fail"), |bucket| locked(bucket, Role::Attachments, 0)),
    ("s3.object-lock", Edge("-"), |bucket| locked(bucket, Role::State, 0)),
    ("s3.object-lock", Broken, |bucket| bucket.lock = Some(Ok(None))),
    ("s3.object-lock", Dark, |bucket| bucket.lock = Some(unread())),
    ("s3.object-lock", Dark, |bucket| bucket.lock = None),
    ("s3.replication", Holds, |_| ()),
    ("s3.replication", Broken, |bucket| bucket.replicates = Some(Ok(false))),
    ("s3.replication", Dark, |bucket| bucket.replicates = Some(unread())),
    ("s3.replication", Dark, |bucket| bucket.replicates = None),
    ("s3.replication", Edge("-"), |bucket| (bucket.role, bucket.replicates) = (Role::Uploads, None)),
    ("s3.access-logging", Holds, |_| ()),
    ("s3.access-logging", Broken, |bucket| bucket.logs = Some(Ok(false))),
    ("s3.access-logging", Dark, |bucket| bucket.logs = Some(unread())),
    ("s3.access-logging", Dark, |bucket| bucket.logs = None),
    ("s3.access-logging", Edge("-"), |bucket| (bucket.role, bucket.logs) = (Role::Other, None)),
    ("s3.uploads-fresh", Holds, |bucket| bucket.role = Role::Uploads),
    ("s3.uploads-fresh", Edge("pass"), |bucket| newest(bucket, Role::Uploads, Newest::At(ago(26 * HOUR)))),
    ("s3.uploads-fresh", Edge("fail"), |bucket| {
        newest(bucket, Role::Uploads, Newest::At(ago(26 * HOUR + 1)))
    }),
    ("s3.uploads-fresh", Broken, |bucket| newest(bucket, Role::Uploads, Newest::Nothing)),
    ("s3.uploads-fresh", Dark, |bucket| newest(bucket, Role::Uploads, Newest::NotAll(50_000))),
    ("s3.uploads-fresh", Dark, |bucket| (bucket.role, bucket.newest) = (Role::Uploads, Some(unread()))),
    ("s3.uploads-fresh", Dark, |bucket| (bucket.role, bucket.newest) = (Role::Uploads, None)),
    ("grafana.fresh", Holds, |bucket| bucket.role = Role::Grafana),
    ("grafana.fresh", Edge("pass"), |bucket| newest(bucket, Role::Grafana, Newest::At(ago(31 * DAY)))),
    ("grafana.fresh", Edge("fail"), |bucket| newest(bucket, Role::Grafana, Newest::At(ago(31 * DAY + 1)))),
    ("grafana.fresh", Broken, |bucket| newest(bucket, Role::Grafana, Newest::Nothing)),
    ("grafana.fresh", Dark, |bucket| newest(bucket, Role::Grafana, Newest::NotAll(50_000))),
    ("grafana.fresh", Dark, |bucket| (bucket.role, bucket.newest) = (Role::Grafana, Some(unread()))),
    ("grafana.fresh", Edge("-"), |bucket| newest(bucket, Role::Uploads, Newest::Nothing)),
];

fn encrypt(bucket: &mut Bucket, algorithm: &str, key: Option<&str>) {
    bucket.encryption = Ok(Some(Encryption { algorithm: algorithm.to_owned(), key: key.map(str::to_owned) }));
}

fn locked(bucket: &mut Bucket, role: Role, days: i32) {
    bucket.role = role;
    bucket.lock = Some(Ok(Some(Lock { mode: "GOVERNANCE".to_owned(), days })));
}

fn newest(bucket: &mut Bucket, role: Role, newest: Newest) {
    (bucket.role, bucket.newest) = (role, Some(Ok(newest)));
}

#[test]
fn every_rule_of_a_bucket() {
    check(BUCKET, FILES, &bucket(Role::Attachments), BUCKETS);
}

#[test]
fn the_evidence_is_locked_at_least_as_the_stack_requires() {
    let lock = |mode: &str, days| Lock { mode: mode.to_owned(), days };
    for (required, found, expected) in [
        (("COMPLIANCE", 365), ("COMPLIANCE", 365), "pass"),
        (("COMPLIANCE", 365), ("COMPLIANCE", 364), "fail"),
        (("COMPLIANCE", 365), ("GOVERNANCE", 3650), "fail"),
        (("GOVERNANCE", 365), ("COMPLIANCE", 365), "pass"),
        (("GOVERNANCE", 365), ("COMPLIANCE", 364), "fail"),
        (("GOVERNANCE", 1), ("GOVERNANCE", 1), "pass"),
    ] {
        let required = lock(required.0, required.1);
        let context = Context { evidence_lock: &required, ..context() };
        let change = |bucket: &mut Bucket| bucket.lock = Some(Ok(Some(lock(found.0, found.1))));
        let row = row(BUCKET, "s3.evidence-lock", FILES, &bucket(Role::Evidence), change, &context);
        assert_eq!(word(row.as_ref()), expected, "{required:?} {found:?}");
    }
}

#[test]
fn a_key_is_recognised_by_its_arn_or_id_and_an_alias_is_unknown() {
    for (role, key, algorithm, found, expected) in [
        (Role::Attachments, Some(KEY), "aws:kms", Some(KEY), "pass"),
        (Role::Attachments, Some(KEY), "aws:kms", Some("0b1c"), "pass"),
        (Role::Attachments, Some(KEY), "aws:kms:dsse", Some(KEY), "pass"),
        (Role::Uploads, Some(KEY), "aws:kms", Some("b1c"), "fail"),
        (Role::Uploads, Some(KEY), "AES256", None, "fail"),
        (Role::Attachments, Some(KEY), "aws:kms", Some("alias/moveongs-prod"), "unknown"),
        (
            Role::Attachments,
            Some(KEY),
            "aws:kms",
            Some("arn:aws:kms:us-east-1:111122223333:alias/app"),
            "unknown",
        ),
        (Role::Attachments, Some(KEY), "aws:kms", Some("alias/aws/s3"), "fail"),
        (Role::Attachments, None, "aws:kms", Some("alias/app"), "pass"),
        (Role::Attachments, None, "AES256", None, "fail"),
        (Role::Uploads, None, "AES256", None, "pass"),
        (Role::State, Some(KEY), "AES256", None, "pass"),
    ] {
        let context = Context { key, ..context() };
        let change = |bucket: &mut Bucket| encrypt(bucket, algorithm, found);
        let row = row(BUCKET, "s3.encryption", FILES, &bucket(role), change, &context);
        assert_eq!(word(row.as_ref()), expected, "{role:?} {key:?} {algorithm} {found:?}: {row:?}");
    }
}

#[test]
fn the_uploads_bucket_is_listed_or_missing_or_accepted_or_unknown() {
    let accepting = |resource: &str| {
        let exception = json!({
            "rule": "uploads.declared", "resource": resource, "reason": "r", "owner": "o", "until": "2026-11-26"
        });
        let policy = json!({"backups": {"audit": {"exceptions": [exception]}}}).to_string();
        policy.parse::<Policy>().unwrap().backups.audit
    };
    let (ours, other) = (accepting("moveongs-prod-uploads"), accepting("moveongs-dev-uploads"));
    for (listed, policy, expected) in [
        (Ok(true), None, "pass"),
        (Ok(false), None, "fail"),
        (Ok(false), Some(&other), "fail"),
        (Ok(false), Some(&ours), "excepted"),
        (Err(unread::<()>().unwrap_err()), None, "unknown"),
        (Err(unread::<()>().unwrap_err()), Some(&ours), "unknown"),
    ] {
        let context = Context { policy: policy.unwrap_or(context().policy), ..context() };
        let row = uploads(listed.as_ref().copied(), &context);
        assert_eq!(row.verdict.word(), expected, "{row:?}");
        assert_eq!(row.key(), "uploads.declared moveongs-prod-uploads");
        assert_eq!(row.command.is_none(), !["fail", "excepted"].contains(&expected), "{row:?}");
    }
}
