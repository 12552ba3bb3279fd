//! `snapshot-verify` against the local cloud, on real snapshots of a real instance and real copies in another region:
//! every kind of finding with page and message; copies, deletions and snapshots that must stay; the state after a
//! crash.
//!
//! A run sees every snapshot of the environment, so a test begins without any.

use std::collections::BTreeMap;

use aws_sdk_rds::types::{DbSnapshot, Tag};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, eventually};
use crate::cluster::{self, CLUSTER, MEMBER};
use crate::matrix;

const INSTANCE: &str = "moveongs-dev-db";
const AWAY: &str = "sa-east-1";
const QUEUE: &str = "snapshot-verify-pages";
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

struct World {
    cloud: Cloud,
    /// A client of the copies' region.
    away: aws_sdk_rds::Client,
    /// Number of pages before the test.
    pages: usize,
}

/// The tags of `snapshot-create`, with a last day.
fn tags(last_day: &str) -> Vec<(&str, &str)> {
    vec![
        ("Project", "moveongs"),
        ("Environment", "dev"),
        ("ManagedBy", "snapshot-create"),
        ("Deploy", "run-17"),
        ("ExpiresOn", last_day),
    ]
}

const KEPT: &str = "2099-12-31";
const EXPIRED: &str = "2026-01-31";

impl World {
    /// A world without snapshots, records, notes, faults or events; the instance is available.
    async fn fresh() -> Self {
        let cloud = Cloud::connect("snapshot-verify").await;
        let config = cloud.rds.config().to_builder().region(aws_sdk_rds::config::Region::new(AWAY)).build();
        let world = Self { pages: 0, away: aws_sdk_rds::Client::from_conf(config), cloud };
        world.cloud.snapshot_events(false).await;
        world.cloud.calm().await;
        world.orders(json!({"fail": 0, "hold": false, "quota": 100})).await;
        world.clear().await;
        world.forget().await;
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    async fn forget(&self) {
        for prefix in ["evidence/snapshot-verify/", "runs/snapshot-verify/"] {
            self.cloud.wipe(prefix).await;
        }
    }

    /// Deletes every snapshot of both regions.
    async fn clear(&self) {
        self.instance_is_available().await;
        // Turning off the backups that other tests turned on deletes the automated snapshots.
        let off =
            self.cloud.rds.modify_db_instance().db_instance_identifier(INSTANCE).backup_retention_period(0);
        off.apply_immediately(true).send().await.unwrap();
        self.instance_is_available().await;
        for client in [&self.cloud.rds, &self.away] {
            for snapshot in self.manual(client).await {
                let name = snapshot.db_snapshot_identifier().unwrap();
                eventually("an end of the snapshot", async || {
                    client.delete_db_snapshot().db_snapshot_identifier(name).send().await.ok()
                })
                .await;
            }
        }
    }

    async fn instance_is_available(&self) {
        eventually("an instance that is available", async || {
            let found = self.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await;
            (found.unwrap().db_instances()[0].db_instance_status() == Some("available")).then_some(())
        })
        .await;
    }

    async fn manual(&self, client: &aws_sdk_rds::Client) -> Vec<DbSnapshot> {
        let listed = client.describe_db_snapshots().snapshot_type("manual").send().await.unwrap();
        listed.db_snapshots.unwrap_or_default()
    }

    /// Names of the manual snapshots of a region, in order.
    async fn names(&self, client: &aws_sdk_rds::Client) -> Vec<String> {
        let all = self.manual(client).await.into_iter();
        let mut names: Vec<_> = all.map(|one| one.db_snapshot_identifier.unwrap()).collect();
        names.sort();
        names
    }

    async fn orders(&self, orders: Value) {
        self.cloud.admin(Method::POST, "rds/snapshots", Some(orders)).await;
    }

    async fn facts(&self, snapshot: &str, facts: Value) {
        let body = json!({"snapshot": snapshot, "facts": facts});
        self.cloud.admin(Method::POST, "rds/snapshot", Some(body)).await;
    }

    async fn facts_away(&self, snapshot: &str, facts: Value) {
        let body = json!({"snapshot": snapshot, "region": AWAY, "facts": facts});
        self.cloud.admin(Method::POST, "rds/snapshot", Some(body)).await;
    }

    /// Takes a snapshot, waits for its end and makes it `days` old.
    async fn take(&self, name: &str, tags: &[(&str, &str)], days: i64) -> String {
        let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build();
        let taken = self.cloud.rds.create_db_snapshot().db_instance_identifier(INSTANCE);
        let taken = taken.db_snapshot_identifier(name).set_tags(Some(tags.iter().map(tag).collect()));
        taken.send().await.unwrap();
        self.status(&self.cloud.rds, name, &["available", "failed"]).await;
        self.facts(name, json!({"seconds_ago": days * DAY})).await;
        self.instance_is_available().await;
        name.to_owned()
    }

    async fn status(&self, client: &aws_sdk_rds::Client, name: &str, wanted: &[&str]) {
        eventually(&format!("{name} to be {wanted:?}"), async || {
            let found = client.describe_db_snapshots().db_snapshot_identifier(name).send().await.unwrap();
            wanted.contains(&found.db_snapshots()[0].status().unwrap()).then_some(())
        })
        .await;
    }

    async fn retag(&self, name: &str, tags: &[(&str, &str)]) {
        let tags: Vec<_> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        self.facts(name, json!({"TagList": tags})).await;
    }

    async fn run(&self, event: Value) -> Value {
        self.cloud.invoke(event).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn sweep(&self) -> Value {
        self.run(json!({})).await
    }

    /// A run's findings for one snapshot.
    async fn one(&self, name: &str) -> Vec<String> {
        let report = self.run(event(name)).await;
        row(&report, name)["findings"].as_array().unwrap().iter().map(text).collect()
    }

    async fn pages(&self, about: &str) -> Vec<Value> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        let key = |page: &Value| page["MessageAttributes"]["dedup_key"]["Value"].to_string();
        pages.filter(|page| key(page).contains(about)).collect()
    }

    async fn paged(&self, about: &str) -> String {
        eventually(&format!("a page about {about}"), async || self.pages(about).await.pop()).await.to_string()
    }

    async fn records(&self) -> Vec<Value> {
        self.cloud.evidence("snapshot-verify").await.into_iter().map(|(_, record)| record).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// RDS's event that a snapshot was made.
fn event(name: &str) -> Value {
    let arn = format!("arn:aws:rds:us-east-1:000000000000:snapshot:{name}");
    json!({"detail-type": "RDS DB Snapshot Event", "source": "aws.rds", "resources": [arn],
        "detail": {"SourceIdentifier": name, "Message": "Manual snapshot created."}})
}

fn row(report: &Value, name: &str) -> Value {
    let rows = report["snapshots"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {report}")).clone()
}

fn copy_of(name: &str) -> String {
    format!("moveongs-dev-copy-{name}")
}

/// Number of steps in all records that contain a text.
fn recorded(records: &[Value], text: &str) -> usize {
    let steps = records.iter().flat_map(|record| record["steps"].as_array().unwrap());
    steps.filter(|step| step.to_string().contains(text)).count()
}

#[tokio::test]
async fn a_good_snapshot_passes_and_has_one_copy_that_is_followed_to_its_end() {
    let world = World::fresh().await;
    let other = world.take("moveongs-dev-other", &tags(KEPT), 5).await;
    let name = world.take("moveongs-dev-good", &tags(KEPT), 0).await;
    world.orders(json!({"hold": true})).await;
    let report = world.sweep().await;
    assert_eq!(
        (&report["result"], &row(&report, &name)["verdict"]),
        (&json!("succeeded"), &json!("pass")),
        "{report}"
    );
    let copy = copy_of(&name);
    assert_eq!(world.names(&world.away).await, [copy.as_str()]);
    let made = world.manual(&world.away).await.remove(0);
    let made_tags: BTreeMap<_, _> =
        made.tag_list().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    let source = format!("arn:aws:rds:us-east-1:000000000000:snapshot:{name}");
    for (key, value) in [
        ("Project", "moveongs"),
        ("Environment", "dev"),
        ("ManagedBy", "snapshot-verify"),
        ("CopyOf", source.as_str()),
    ] {
        assert_eq!(made_tags[key], value);
    }
    assert!(made_tags["ExpiresOn"].starts_with("20") && made_tags["ExpiresOn"].len() == 10);
    assert!(
        made.encrypted() == Some(true) && made.kms_key_id().unwrap().starts_with("arn:aws:kms:sa-east-1:")
    );

    // Further invocations make no second copy and report nothing while it runs. A newer snapshot is copied another day.
    world.facts(&name, json!({"seconds_ago": 2 * HOUR})).await;
    world.facts(&other, json!({"seconds_ago": HOUR})).await;
    for event in [json!({}), json!({"follow": true}), event(&name), json!({"detail-type": "Scheduled Event"})]
    {
        let report = world.run(event).await;
        assert_eq!((&report["run_id"], &report["copied"]), (&Value::Null, &json!([])), "{report}");
    }
    assert_eq!(world.names(&world.away).await, [copy.as_str()]);
    assert_eq!((world.cloud.messages("Snapshots: ").await.len(), world.records().await.len()), (0, 1));

    world.orders(json!({"hold": false})).await;
    world.status(&world.away, &copy, &["available"]).await;
    let report = world.run(json!({"follow": true})).await;
    assert_eq!(report["copied"], json!([copy]), "{report}");
    assert_eq!(row(&report, &copy)["verdict"], "pass", "{report}");
    for _ in 0..2 {
        assert_eq!(world.run(json!({"follow": true})).await["run_id"], Value::Null);
    }
    assert_eq!(world.cloud.messages("Cópia pronta").await.len(), 1);
    let records = world.records().await;
    assert_eq!((records.len(), recorded(&records, &format!("available, of {source}"))), (2, 1));
    assert_eq!(world.pages("").await, Vec::<Value>::new());
}

#[tokio::test]
async fn each_finding_is_reported_once_with_its_command_and_resolved() {
    let world = World::fresh().await;
    let before = world.take("moveongs-dev-before", &tags(KEPT), 2).await;
    let name = world.take("moveongs-dev-odd", &tags(KEPT), 1).await;
    world.facts(&before, json!({"FullSnapshotSizeInBytes": 1000})).await;
    assert_eq!(world.one(&name).await, [""; 0]);
    let good = json!({"Status": "available", "Encrypted": true, "FullSnapshotSizeInBytes": 1000, "seconds_ago": DAY});
    for (facts, kind, part, pages) in [
        (json!({"Status": "failed"}), "SnapshotFailed", "describe-events --source-type db-snapshot", true),
        (json!({"Encrypted": false}), "NotEncrypted", "copy-db-snapshot", false),
        (
            json!({"FullSnapshotSizeInBytes": 499}),
            "SizeDoubtful",
            "restore-db-instance-from-db-snapshot",
            false,
        ),
        (json!({"FullSnapshotSizeInBytes": 2010}), "SizeDoubtful", "201 %", false),
        (
            json!({"Status": "creating", "seconds_ago": 7 * HOUR}),
            "SnapshotSlow",
            "wait db-snapshot-available",
            false,
        ),
    ] {
        world.cloud.calm().await;
        world.facts(&name, facts.clone()).await;
        for _ in 0..2 {
            assert_eq!(world.one(&name).await, [kind], "{facts}");
        }
        let reported = world.cloud.messages(&format!("*{kind}*")).await;
        assert!(
            reported.len() == 1 && reported[0].contains(part) && reported[0].contains(&name),
            "{part}: {reported:?}"
        );
        assert_eq!(world.pages(kind).await.len(), usize::from(pages), "{kind}");
        world.facts(&name, good.clone()).await;
        assert_eq!(world.one(&name).await, [""; 0]);
        assert_eq!(world.cloud.messages(&format!("Resolvido: {kind} {name}")).await.len(), 1, "{kind}");
    }
    let all = tags(KEPT);
    for (left, kind, part) in [
        (&all[..4], "NoExpiry", "Key=ExpiresOn,Value=AAAA-MM-DD"),
        (&all[1..], "Untagged", "Key=Project,Value=moveongs"),
    ] {
        world.retag(&name, left).await;
        assert_eq!(world.one(&name).await, [kind]);
        let reported = world.cloud.messages(&format!("*{kind}*")).await;
        assert!(reported.len() == 1 && reported[0].contains(part), "{reported:?}");
    }
    world.retag(&name, &all).await;
    let share = async |accounts: &str| {
        let share = world.cloud.rds.modify_db_snapshot_attribute().db_snapshot_identifier(&name);
        share.attribute_name("restore").values_to_add(accounts).send().await.unwrap();
    };
    world.facts(&name, json!({"Encrypted": false})).await;
    share("111111111111").await;
    assert_eq!(world.one(&name).await, ["SharedSnapshot", "NotEncrypted"]);
    assert!(world.paged("SharedSnapshot").await.contains("--values-to-remove 111111111111"));
    share("all").await;
    assert_eq!(world.one(&name).await, ["PublicSnapshot", "NotEncrypted"]);
    assert!(world.paged("PublicSnapshot").await.contains("--values-to-remove all"));
    assert_eq!(world.one(&name).await, ["PublicSnapshot", "NotEncrypted"]);
    assert_eq!(world.pages("PublicSnapshot").await.len(), 1);

    // A deleted snapshot has no findings.
    world.cloud.rds.delete_db_snapshot().db_snapshot_identifier(&name).send().await.unwrap();
    let report = world.run(event(&name)).await;
    assert_eq!(report["result"], "nothing", "{report}");
    assert_eq!(world.cloud.messages(&format!("NotEncrypted {name}; PublicSnapshot {name}")).await.len(), 1);
    // Foreign snapshots are not checked, and their events are not errors.
    assert_eq!(world.run(event("moveongs-prod-20261126")).await["run_id"], Value::Null);
}

#[tokio::test]
async fn what_could_not_be_seen_is_neither_good_nor_resolved() {
    let world = World::fresh().await;
    let name = world.take("moveongs-dev-unseen", &tags(KEPT), 0).await;
    let old = world.take("moveongs-dev-old", &tags(EXPIRED), 300).await;
    world.retag(&name, &tags(KEPT)[1..]).await;
    assert_eq!(world.one(&name).await, ["Untagged"]);
    world.retag(&name, &tags(KEPT)).await;
    let denied = |action: &str, nth: u64| json!({"service": "rds", "action": action, "nth": nth, "effect": "error", "status": 403, "code": "AccessDenied"});
    world.cloud.fault(denied("DescribeDBSnapshotAttributes", 1)).await;
    let report = world.run(event(&name)).await;
    assert_eq!(
        (&report["result"], &row(&report, &name)["verdict"]),
        (&json!("failed"), &json!("could-not-verify"))
    );
    let reported = world.cloud.messages("*InsufficientData*").await;
    assert!(
        reported.len() == 1 && reported[0].contains("rds:DescribeDBSnapshotAttributes failed"),
        "{reported:?}"
    );
    assert!(world.cloud.messages("Resolvido").await.is_empty());

    // Without the other region the running copies are unknown, so nothing is deleted.
    world.cloud.calm().await;
    world.cloud.fault(denied("DescribeDBSnapshots", 2)).await;
    let report = world.sweep().await;
    assert_eq!((&report["result"], &report["deleted"]), (&json!("failed"), &json!([])), "{report}");
    assert!(report["findings"].to_string().contains("InsufficientData region (sa-east-1)"), "{report}");
    assert!(world.names(&world.cloud.rds).await.contains(&old));
    assert_eq!(world.cloud.messages(&format!("Untagged {name}")).await.len(), 1);

    // Without this region nothing is known.
    world.cloud.calm().await;
    world.cloud.fault(denied("DescribeDBSnapshots", 1)).await;
    assert_eq!(world.cloud.invoke(json!({})).await.unwrap_err()["errorType"], "RdsCall");
    assert_eq!(world.cloud.messages("A verificação dos snapshots falhou").await.len(), 1);
    let report = world.sweep().await;
    assert_eq!((&report["result"], &report["deleted"]), (&json!("succeeded"), &json!([old])), "{report}");
    let error = world.cloud.invoke(json!({"snapshots": 1})).await.unwrap_err();
    assert_eq!(error["errorType"], "InvalidEvent");
}

#[tokio::test]
async fn only_what_has_expired_is_deleted_and_never_the_last_good_one() {
    let world = World::fresh().await;
    let base = tags(EXPIRED);
    let last = world.take("moveongs-dev-last", &base, 100).await;
    // The only other snapshots are RDS's own.
    let report = world.sweep().await;
    assert_eq!(report["deleted"], json!([]), "{report}");
    world.status(&world.away, &copy_of(&last), &["available"]).await;

    let keeper = world.take("moveongs-dev-keeper", &tags(KEPT), 1).await;
    let held = [&base[..], &[("Hold", "processo 12")]].concat();
    world.take("moveongs-dev-held", &held, 90).await;
    let persons = [&base[..2], &base[3..]].concat();
    world.take("moveongs-dev-persons", &persons, 90).await;
    world.take("moveongs-dev-undated", &base[..4], 90).await;
    world.take("another-name", &base, 90).await;
    let failed = world.take("moveongs-dev-failed", &base, 80).await;
    world.facts(&failed, json!({"Status": "failed"})).await;
    let freed = [&base[..], &[("Hold", "false")]].concat();
    let freed = world.take("moveongs-dev-freed", &freed, 70).await;
    let report = world.sweep().await;
    let mut deleted: Vec<_> = report["deleted"].as_array().unwrap().iter().map(text).collect();
    deleted.sort();
    assert_eq!(deleted, [failed, freed.clone(), last.clone()], "{report}");
    let left = ["another-name", "moveongs-dev-held", &keeper, "moveongs-dev-persons", "moveongs-dev-undated"];
    assert_eq!(world.names(&world.cloud.rds).await, left);
    let reported = world.cloud.messages("*Apagado*").await;
    assert!(
        reported.len() == 1 && reported[0].contains(&last) && reported[0].contains("20 GiB"),
        "{reported:?}"
    );
    let records = world.records().await;
    for part in
        [&format!("snapshot:{last}"), "run-17", "ExpiresOn=2026-01-31", "20 GiB", "of moveongs-dev-db"]
    {
        assert!(recorded(&records, part) > 0, "{part}: {records:?}");
    }
    assert_eq!(recorded(&records, &format!("delete arn:aws:rds:us-east-1:000000000000:snapshot:{freed}")), 1);

    // Copies follow the same rules: an older snapshot's last copy stays.
    let copy = copy_of(&last);
    let expired: Vec<_> = [
        ("Project", "moveongs"),
        ("Environment", "dev"),
        ("ManagedBy", "snapshot-verify"),
        ("ExpiresOn", EXPIRED),
    ]
    .iter()
    .map(|(key, value)| json!({"Key": key, "Value": value}))
    .collect();
    world.facts_away(&copy, json!({"TagList": expired})).await;
    assert_eq!(world.sweep().await["deleted"], json!([]));
    assert_eq!(world.names(&world.away).await, [copy.as_str()]);
    // The next day's copy: removing its note ends a day.
    world.cloud.wipe("runs/snapshot-verify/").await;
    world.sweep().await;
    world.status(&world.away, &copy_of(&keeper), &["available"]).await;
    assert_eq!(world.sweep().await["deleted"], json!([copy]));
    assert_eq!(world.names(&world.away).await, [copy_of(&keeper)]);
}

#[tokio::test]
async fn a_deletion_that_is_refused_is_reported() {
    let world = World::fresh().await;
    world.take("moveongs-dev-keeper", &tags(KEPT), 1).await;
    let old = world.take("moveongs-dev-old", &tags(EXPIRED), 90).await;
    // Without the note nothing is deleted.
    world.cloud.deny("s3", "PutObject").await;
    assert_eq!(world.cloud.invoke(json!({})).await.unwrap_err()["errorType"], "NoteFailed");
    assert!(world.names(&world.cloud.rds).await.contains(&old));
    world.cloud.admin(Method::DELETE, "faults", None).await;
    let denied = json!({"service": "rds", "action": "DeleteDBSnapshot", "effect": "error", "status": 403, "code": "AccessDenied"});
    world.cloud.fault(denied).await;
    let report = world.sweep().await;
    assert!(report["findings"].to_string().contains(&format!("NotDeleted {old}")), "{report}");
    let reported = world.cloud.messages("*NotDeleted*").await;
    assert!(
        reported.len() == 1 && reported[0].contains("rds:DeleteDBSnapshot failed (AccessDenied)"),
        "{reported:?}"
    );
    assert_eq!(world.sweep().await["deleted"], json!([old]));
    assert_eq!(world.cloud.messages(&format!("Resolvido: NotDeleted {old}")).await.len(), 1);
}

#[tokio::test]
async fn a_copy_that_is_refused_fails_or_takes_too_long_pages() {
    let world = World::fresh().await;
    // No snapshot can be copied.
    let plain = world.take("moveongs-dev-plain", &tags(KEPT), 3).await;
    world.facts(&plain, json!({"Encrypted": false})).await;
    let report = world.sweep().await;
    assert!(report["findings"].to_string().contains("NoSource copy/moveongs-dev-db"), "{report}");
    world.facts(&plain, json!({"Encrypted": true})).await;
    for code in ["SnapshotQuotaExceeded", "KMSKeyNotAccessibleFault"] {
        let refused = json!({"service": "rds", "action": "CopyDBSnapshot", "effect": "error", "status": 400, "code": code});
        world.cloud.fault(refused).await;
        let report = world.sweep().await;
        assert!(report["findings"].to_string().contains("CopyRefused copy/moveongs-dev-db"), "{report}");
    }
    let page = world.paged("CopyRefused").await;
    for part in ["SnapshotQuotaExceeded", "kms describe-key", "--region sa-east-1"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(world.pages("CopyRefused").await.len(), 1);

    world.orders(json!({"hold": true})).await;
    assert_eq!(world.sweep().await["result"], "succeeded");
    let copy = copy_of(&plain);
    world.facts_away(&copy, json!({"seconds_ago": 13 * HOUR})).await;
    let report = world.run(json!({"follow": true})).await;
    assert_eq!(row(&report, &copy)["findings"], json!(["CopySlow"]), "{report}");
    assert!(world.paged("CopySlow").await.contains("wait db-snapshot-available"));
    world.orders(json!({"fail": 1, "hold": false})).await;
    world.status(&world.away, &copy, &["failed"]).await;
    for _ in 0..2 {
        let report = world.run(json!({"follow": true})).await;
        assert_eq!(row(&report, &copy)["findings"], json!(["CopyFailed"]), "{report}");
    }
    assert!(
        world
            .paged("CopyFailed")
            .await
            .contains(&format!("delete-db-snapshot --db-snapshot-identifier {copy} --region sa-east-1"))
    );
    assert_eq!(world.pages("CopyFailed").await.len(), 1);
    assert_eq!(world.cloud.messages("*CopyFailed*").await.len(), 1);
    // Follow the page: delete it, and invoke the function.
    world.away.delete_db_snapshot().db_snapshot_identifier(&copy).send().await.unwrap();
    assert_eq!(world.sweep().await["result"], "succeeded");
    world.status(&world.away, &copy, &["available"]).await;
    assert_eq!(world.names(&world.away).await, [copy.as_str()]);
    assert_eq!(world.run(json!({"follow": true})).await["copied"], json!([copy]));
}

#[tokio::test]
async fn an_event_that_comes_twice_or_late_is_harmless_and_one_that_never_comes_is_made_up_for() {
    let world = World::fresh().await;
    world.cloud.snapshot_events(true).await;
    world.orders(json!({"fail": 1})).await;
    let before = world.cloud.last_call().await;
    let name = world.take("moveongs-dev-events", &tags(KEPT), 0).await;
    // RDS sends no event of a failure; that of the snapshot's start came.
    eventually("a run by RDS's event", async || {
        let calls = world.cloud.calls(before).await.0;
        calls.contains(&"rds:DescribeDBSnapshotAttributes".to_owned()).then_some(())
    })
    .await;
    world.cloud.snapshot_events(false).await;
    for event in [json!({}), event(&name), event(&name)] {
        let report = world.run(event).await;
        assert_eq!(row(&report, &name)["findings"], json!(["SnapshotFailed"]), "{report}");
    }
    assert_eq!(world.pages("SnapshotFailed").await.len(), 1);
    assert_eq!(world.cloud.messages("*SnapshotFailed*").await.len(), 1);
}

#[tokio::test]
async fn a_channel_or_topic_that_fails_hides_nothing() {
    let world = World::fresh().await;
    let name = world.take("moveongs-dev-unheard", &tags(KEPT), 0).await;
    world.facts(&name, json!({"Status": "failed"})).await;
    world.cloud.deny("slack", "chat.postMessage").await;
    world.cloud.deny("sns", "Publish").await;
    assert_eq!(world.cloud.invoke(event(&name)).await.unwrap_err()["errorType"], "PageFailed");
    world.cloud.undelivered("SnapshotFailed").await;
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.run(event(&name)).await;
    world.paged("SnapshotFailed").await;
}

/// The changing calls, with their minimum number in a sweep that pages, copies and deletes, plus the check that finds
/// the copy's end.
const WRITES: [(&str, &str, usize); 5] = [
    ("s3", "PutObject", 8),
    ("rds", "CopyDBSnapshot", 1),
    ("rds", "DeleteDBSnapshot", 1),
    ("slack", "chat.postMessage", 2),
    ("sns", "Publish", 1),
];

#[tokio::test]
async fn every_crash_point_of_snapshot_verify_recovers() {
    let world = World::fresh().await;
    let keeper = world.take("moveongs-dev-keeper", &tags(KEPT), 1).await;
    let failed = world.take("moveongs-dev-failed", &tags(KEPT), 2).await;
    world.facts(&failed, json!({"Status": "failed"})).await;
    let copy = copy_of(&keeper);
    let mut points = Vec::new();
    for (service, action, least) in WRITES {
        let of_call = matrix::points(least, async |kill| {
            world.cloud.calm().await;
            world.forget().await;
            for name in world.names(&world.away).await {
                world.away.delete_db_snapshot().db_snapshot_identifier(name).send().await.unwrap();
            }
            let old = format!("moveongs-dev-old-{service}-{action}-{kill}").to_lowercase().replace('.', "-");
            let old = world.take(&old, &tags(EXPIRED), 90).await;
            let pages = world.pages("").await.len();
            let before = world.cloud.last_call().await;
            world.cloud.fault(kill.rule_of(service, action)).await;
            world.cloud.despite_death(json!({})).await;
            world.status(&world.away, &copy, &["available"]).await;
            world.cloud.despite_death(json!({"follow": true})).await;
            let rules = world.cloud.admin(Method::GET, "faults", None).await;
            // A death removes the rule.
            let is_over = !rules["rules"].as_array().unwrap().is_empty();
            world.cloud.admin(Method::DELETE, "faults", None).await;
            let at = format!("{service}:{action} {kill}");
            assert_eq!(world.names(&world.cloud.rds).await, [failed.as_str(), keeper.as_str()], "{at}");
            assert_eq!(world.names(&world.away).await, [copy.as_str()], "{at}");
            let records = world.records().await;
            let delete = format!("delete arn:aws:rds:us-east-1:000000000000:snapshot:{old} of");
            assert_eq!(recorded(&records, &delete), 1, "{at}: {records:?}");
            assert_eq!(recorded(&records, "available, of arn:"), 1, "{at}: {records:?}");
            assert!(records.last().unwrap()["findings"].to_string().contains("SnapshotFailed"), "{at}");
            // A copy may be ready before a repeated check: then the day's record reports it.
            assert!((1..=2).contains(&records.len()), "{at}: {} records", records.len());
            let calls = world.cloud.calls(before).await.0;
            let asked = calls.iter().filter(|call| call.ends_with(":CopyDBSnapshot")).count();
            assert!((1..=2).contains(&asked), "{at}: asked {asked} times");
            let reported = world.cloud.messages(&old).await.len();
            assert!((1..=2).contains(&reported), "{at}: reported {reported} times");
            let arrived = async || (world.pages("").await.len() > pages).then_some(());
            eventually(&format!("a page: {at}"), arrived).await;
            let paged = world.pages("").await.len() - pages;
            assert!((1..=2).contains(&paged), "{at}: {paged} pages");
            // Nothing is left to report.
            for event in [json!({}), json!({"follow": true})] {
                assert_eq!(world.run(event).await["run_id"], Value::Null, "{at}");
            }
            (!is_over).then(|| {
                json!({"operation": format!("{service}:{action}"),
                    "end": "succeeded", "reported": reported, "pages": paged, "records": records.len()})
            })
        });
        points.extend(of_call.await);
    }
    matrix::write("snapshot-verify", &points, json!({}));
}

#[tokio::test]
async fn the_role_copies_and_deletes_no_snapshot_of_another_environment() {
    let world = World::fresh().await;
    let own = world.take("moveongs-dev-own", &tags(EXPIRED), 0).await;
    let others = world.take("moveongs-prod-20261126", &tags(EXPIRED), 0).await;
    let persons = world.take("before-the-migration", &tags(EXPIRED), 0).await;
    let key = world.cloud.own_role().await;
    let with_role = |client: &aws_sdk_rds::Client| {
        let config = client.config().to_builder().credentials_provider(key.clone()).build();
        aws_sdk_rds::Client::from_conf(config)
    };
    let (here, away) = (with_role(&world.cloud.rds), with_role(&world.away));
    let copy = async |source: &str, target: &str, environment: Option<&str>| {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags =
            environment.map(|environment| vec![tag("Project", "moveongs"), tag("Environment", environment)]);
        let source = format!("arn:aws:rds:us-east-1:000000000000:snapshot:{source}");
        let copy = away.copy_db_snapshot().source_db_snapshot_identifier(source).set_tags(tags);
        let copy = copy.kms_key_id("arn:aws:kms:sa-east-1:000000000000:key/copies");
        match copy.target_db_snapshot_identifier(target).send().await {
            Ok(_) => "copied".to_owned(),
            Err(error) => error.into_service_error().meta().code().unwrap_or_default().to_owned(),
        }
    };
    let target = copy_of(&own);
    for (source, target, environment) in [
        (others.as_str(), target.as_str(), Some("dev")),
        (&persons, &target, Some("dev")),
        ("rds:moveongs-prod-db-2026-11-26-03-00", &target, Some("dev")),
        (&own, "moveongs-prod-copy-x", Some("dev")),
        (&own, "moveongs-dev-x", Some("dev")),
        (&own, &target, Some("prod")),
        (&own, &target, None),
    ] {
        let reported = copy(source, target, environment).await;
        assert_eq!(reported, "AccessDenied", "{source} to {target} of {environment:?}");
    }
    assert_eq!(world.names(&world.away).await, Vec::<String>::new());
    assert_eq!(copy(&own, &target, Some("dev")).await, "copied");
    for name in [others, persons] {
        let refused = here.delete_db_snapshot().db_snapshot_identifier(name).send().await.unwrap_err();
        assert_eq!(refused.into_service_error().meta().code(), Some("AccessDenied"));
    }
    here.delete_db_snapshot().db_snapshot_identifier(own).send().await.unwrap();
}

impl World {
    /// Makes the function check another database than the stack's, as a deployment does.
    async fn of_database(&self, name: &str) {
        let function = self.cloud.function();
        let found = self.cloud.lambda.get_function_configuration().function_name(&function).send().await;
        let mut variables = found.unwrap().environment().unwrap().variables().unwrap().clone();
        variables.insert("DATABASE_INSTANCE_ID".to_owned(), name.to_owned());
        let environment =
            aws_sdk_lambda::types::Environment::builder().set_variables(Some(variables)).build();
        let update = self.cloud.lambda.update_function_configuration().function_name(function);
        update.environment(environment).send().await.unwrap();
    }

    /// Takes a snapshot of the cluster and waits for its end.
    async fn take_of_cluster(&self, name: &str, tags: &[(&str, &str)], days: i64) -> String {
        let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build();
        let taken = self.cloud.rds.create_db_cluster_snapshot().db_cluster_identifier(CLUSTER);
        let taken = taken.db_cluster_snapshot_identifier(name);
        taken.set_tags(Some(tags.iter().map(tag).collect())).send().await.unwrap();
        self.cluster_status(&self.cloud.rds, name).await;
        self.cluster_facts(name, json!({"seconds_ago": days * DAY})).await;
        name.to_owned()
    }

    async fn cluster_facts(&self, snapshot: &str, facts: Value) {
        let body = json!({"snapshot": snapshot, "facts": facts});
        self.cloud.admin(Method::POST, "rds/cluster-snapshot", Some(body)).await;
    }

    async fn cluster_status(&self, client: &aws_sdk_rds::Client, name: &str) {
        eventually(&format!("the end of {name}"), async || {
            let found =
                client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send().await;
            (found.unwrap().db_cluster_snapshots()[0].status() == Some("available")).then_some(())
        })
        .await;
    }
}

/// RDS's event that a cluster's snapshot was made.
fn cluster_event(name: &str) -> Value {
    let arn = format!("arn:aws:rds:us-east-1:000000000000:cluster-snapshot:{name}");
    json!({"detail-type": "RDS DB Cluster Snapshot Event", "source": "aws.rds", "resources": [arn],
        "detail": {"SourceIdentifier": name, "Message": "Manual cluster snapshot created."}})
}

async fn cluster_names(client: &aws_sdk_rds::Client) -> Vec<String> {
    let all = cluster::snapshots(client).await.into_iter();
    let mut names: Vec<_> = all.map(|one| one.db_cluster_snapshot_identifier.unwrap()).collect();
    names.sort();
    names
}

/// The case of tests/cases/11a-aurora-member.json: the stack names a member, and the snapshots are its cluster's.
#[tokio::test]
async fn a_clusters_snapshots_are_verified_copied_and_deleted_as_an_instances_are() {
    let world = World::fresh().await;
    cluster::make(&world.cloud).await;
    world.of_database(MEMBER).await;
    let old = world.take_of_cluster("moveongs-dev-c-old", &tags(EXPIRED), 90).await;
    let name = world.take_of_cluster("moveongs-dev-c-good", &tags(KEPT), 1).await;
    // An instance's snapshot of the same name is another one, and protects no snapshot of a cluster.
    let same = world.take(&name, &tags(KEPT), 0).await;

    let report = world.sweep().await;
    let rows: Vec<_> =
        report["snapshots"].as_array().unwrap().iter().filter(|row| row["name"] == same).collect();
    assert_eq!(rows.len(), 2, "{report}");
    assert_eq!(report["deleted"], json!([old]), "{report}");
    assert_eq!(cluster_names(&world.cloud.rds).await, [name.as_str()]);
    let copy = copy_of(&name);
    assert_eq!(
        (cluster_names(&world.away).await, world.names(&world.away).await.len()),
        (vec![copy.clone()], 0)
    );
    let made = cluster::snapshots(&world.away).await.remove(0);
    let tag = |key: &str| made.tag_list().iter().find(|tag| tag.key() == Some(key)).unwrap().value().unwrap();
    let source = format!("arn:aws:rds:us-east-1:000000000000:cluster-snapshot:{name}");
    assert_eq!((tag("CopyOf"), tag("ManagedBy")), (source.as_str(), "snapshot-verify"));
    assert!(tag("TakenAt").starts_with("20"), "{}", tag("TakenAt"));
    world.cluster_status(&world.away, &copy).await;
    assert_eq!(world.run(json!({"follow": true})).await["copied"], json!([copy]));
    for event in [json!({}), json!({"follow": true}), cluster_event(&name), cluster_event(&name)] {
        assert_eq!(world.run(event.clone()).await["run_id"], Value::Null, "{event}");
    }
    assert_eq!(cluster_names(&world.away).await, [copy.as_str()]);

    // Every finding is reported with the cluster's commands.
    let finds = async |finding: &str, command: &str| {
        let report = world.run(cluster_event(&name)).await;
        assert!(report["findings"].to_string().contains(&format!("{finding} cluster/{name}")), "{report}");
        let reported = world.cloud.messages(finding).await;
        assert!(reported.iter().any(|message| message.contains(command)), "{finding}: {reported:?}");
    };
    world.cluster_facts(&name, json!({"StorageEncrypted": false})).await;
    finds("NotEncrypted", "docs/backups.md").await;
    let share = world.cloud.rds.modify_db_cluster_snapshot_attribute().db_cluster_snapshot_identifier(&name);
    share.attribute_name("restore").values_to_add("all").send().await.unwrap();
    finds("PublicSnapshot", "aws rds modify-db-cluster-snapshot-attribute").await;
    world.paged(&format!("cluster/{name}/PublicSnapshot")).await;
    let close = world.cloud.rds.modify_db_cluster_snapshot_attribute().db_cluster_snapshot_identifier(&name);
    close.attribute_name("restore").values_to_remove("all").send().await.unwrap();
    world.cluster_facts(&name, json!({"StorageEncrypted": true, "Status": "failed"})).await;
    finds("SnapshotFailed", "delete-db-cluster-snapshot").await;
    world.cluster_facts(&name, json!({"Status": "available", "TagList": []})).await;
    finds("Untagged", "add-tags-to-resource").await;
    finds("NoExpiry", "Key=ExpiresOn").await;

    world.of_database(INSTANCE).await;
    cluster::remove(&world.cloud).await;
}

#[tokio::test]
async fn a_copy_whose_answer_takes_long_or_is_lost_is_one_copy_and_no_finding() {
    let world = World::fresh().await;
    let name = world.take("moveongs-dev-slow", &tags(KEPT), 0).await;
    let slow = json!({"service": "rds", "action": "CopyDBSnapshot", "effect": "slow", "when": "after", "seconds": 11});
    let lost =
        json!({"service": "rds", "action": "CopyDBSnapshot", "effect": "drop", "when": "after", "count": 0});
    for fault in [slow, lost] {
        world.cloud.calm().await;
        world.forget().await;
        for copy in world.names(&world.away).await {
            world.status(&world.away, &copy, &["available"]).await;
            world.away.delete_db_snapshot().db_snapshot_identifier(copy).send().await.unwrap();
        }
        world.cloud.fault(fault.clone()).await;
        let report = world.sweep().await;
        assert_eq!(report["result"], "succeeded", "{fault}: {report}");
        assert_eq!(world.names(&world.away).await, [copy_of(&name)], "{fault}");
    }
    assert_eq!(world.pages("CopyRefused").await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_role_copies_and_deletes_no_clusters_snapshot_of_another_environment() {
    let world = World::fresh().await;
    cluster::make(&world.cloud).await;
    let own = world.take_of_cluster("moveongs-dev-c-own", &tags(EXPIRED), 0).await;
    let others = world.take_of_cluster("moveongs-prod-20261126", &tags(EXPIRED), 0).await;
    let key = world.cloud.own_role().await;
    let with_role = |client: &aws_sdk_rds::Client| {
        let config = client.config().to_builder().credentials_provider(key.clone()).build();
        aws_sdk_rds::Client::from_conf(config)
    };
    let (here, away) = (with_role(&world.cloud.rds), with_role(&world.away));
    let copy = async |source: &str, target: &str, environment: &str| {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let source = format!("arn:aws:rds:us-east-1:000000000000:cluster-snapshot:{source}");
        let copy = away.copy_db_cluster_snapshot().source_db_cluster_snapshot_identifier(source);
        let copy = copy.tags(tag("Project", "moveongs")).tags(tag("Environment", environment));
        let copy = copy.kms_key_id("arn:aws:kms:sa-east-1:000000000000:key/copies");
        match copy.target_db_cluster_snapshot_identifier(target).send().await {
            Ok(_) => "copied".to_owned(),
            Err(error) => error.into_service_error().meta().code().unwrap_or_default().to_owned(),
        }
    };
    let target = copy_of(&own);
    for (source, target, environment) in [
        (others.as_str(), target.as_str(), "dev"),
        ("rds:moveongs-prod-2026-11-26-03-00", &target, "dev"),
        (&own, "moveongs-prod-copy-x", "dev"),
        (&own, "moveongs-dev-x", "dev"),
        (&own, &target, "prod"),
    ] {
        assert_eq!(copy(source, target, environment).await, "AccessDenied", "{source} to {target}");
    }
    assert_eq!(copy(&own, &target, "dev").await, "copied");
    let refused = here.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(others).send().await;
    assert_eq!(refused.unwrap_err().into_service_error().meta().code(), Some("AccessDenied"));
    here.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(own).send().await.unwrap();
    cluster::remove(&world.cloud).await;
}
