//! `backup-audit` against the local cloud: every rule on its real answers, what cannot be read, what changed since the run
//! before, repairs with before and after, and what a crash, a second delivery or the end of the time leaves.
//!
//! The stack of the tests allows every repair, so what a run finds and can mend is mended by it: a rule that fails in one run
//! passes in the next.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::primitives::ByteStream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::matrix;

const INSTANCE: &str = "moveongs-dev-db";
const ATTACHMENTS: &str = "moveongs-dev-attachments";
const UPLOADS: &str = "moveongs-dev-uploads";
const STATE: &str = "moveongs-dev-terraform-state";
const TABLE: &str = "moveongs-dev-terraform-locks";
const QUEUE: &str = "backup-audit-pages";
const LATEST: &str = "latest";
const DAY: i64 = 86_400;

/// Rules that the tests' environment can show both ways: what a repair, time or a person mends.
const BOTH_WAYS: [&str; 21] = [
    "rds.retention",
    "rds.backups-on",
    "rds.backup-window",
    "rds.snapshot-fresh",
    "rds.point-in-time",
    "rds.deletion-protection",
    "rds.public",
    "rds.copy-tags",
    "rds.minor-upgrades",
    "rds.certificate",
    "rds.snapshot-public",
    "rds.snapshot-shared",
    "s3.versioning",
    "s3.noncurrent",
    "s3.incomplete-uploads",
    "s3.public-access-block",
    "s3.encryption",
    "s3.tls-only",
    "s3.uploads-fresh",
    "terraform.lock-recovery",
    "terraform.lock-protection",
];

/// Rules that are not asked here: no exception has expired, no load balancer stands before the service, nothing is named for
/// Grafana, and the policy wants no Multi-AZ.
const NOT_ASKED: [&str; 4] = ["audit.exception-expired", "ecs.grace-period", "grafana.fresh", "rds.multi-az"];

struct World {
    cloud: Cloud,
    /// Pages that came before.
    pages: usize,
}

impl World {
    /// No record, note, report or fault; the environment in order as far as it can be.
    async fn fresh() -> Self {
        let world = Self { pages: 0, cloud: Cloud::connect("backup-audit").await };
        world.cloud.calm().await;
        world.cloud.snapshot_events(false).await;
        world.forget().await;
        world.cloud.admin(Method::DELETE, "seed", None).await;
        world.good().await;
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    /// Hides every object of the function.
    async fn forget(&self) {
        for kind in ["evidence", "runs", "reports"] {
            self.cloud.hide(&format!("{kind}/backup-audit/")).await;
        }
    }

    /// Lets the next run be that of another day: the run before stays known, and today has no record.
    async fn next_day(&self) {
        let key = note(LATEST);
        let mut latest = self.cloud.json(&key).await.expect("a run before");
        latest["run_id"] = json!("2026-01-01");
        self.put(EVIDENCE, &key, latest.to_string().into_bytes()).await;
        self.cloud.hide("evidence/backup-audit/").await;
        let notes = self.cloud.keys("runs/backup-audit/").await;
        for other in notes.into_iter().filter(|other| *other != key) {
            self.cloud.s3.delete_object().bucket(EVIDENCE).key(other).send().await.unwrap();
        }
        self.cloud.admin(Method::DELETE, "slack/messages", None).await;
    }

    async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) {
        self.cloud.s3.put_object().bucket(bucket).key(key).body(ByteStream::from(body)).send().await.unwrap();
    }

    async fn instance(&self, order: Value) {
        let mut body = json!({"instance": INSTANCE});
        body.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
        self.cloud.admin(Method::POST, "rds/instance", Some(body)).await;
    }

    /// Gives all automated snapshots an age; there is one at least.
    async fn snapshots_of(&self, seconds_ago: i64) {
        let listed = self.cloud.rds.describe_db_snapshots().db_instance_identifier(INSTANCE);
        let listed = listed.snapshot_type("automated").send().await.unwrap();
        let mut names: Vec<String> = listed
            .db_snapshots()
            .iter()
            .map(|one| one.db_snapshot_identifier().unwrap().to_owned())
            .collect();
        if names.is_empty() {
            let order = json!({"instance": INSTANCE, "created": ago(seconds_ago)});
            let made = self.cloud.admin(Method::POST, "rds/automated-snapshot", Some(order)).await;
            names.push(made["snapshot"].as_str().unwrap().to_owned());
        }
        for name in names {
            let facts = json!({"snapshot": name, "facts": {"seconds_ago": seconds_ago}});
            self.cloud.admin(Method::POST, "rds/snapshot", Some(facts)).await;
        }
    }

    async fn modify(
        &self,
        change: impl FnOnce(
            aws_sdk_rds::operation::modify_db_instance::builders::ModifyDBInstanceFluentBuilder,
        )
            -> aws_sdk_rds::operation::modify_db_instance::builders::ModifyDBInstanceFluentBuilder,
    ) {
        self.available().await;
        let request =
            self.cloud.rds.modify_db_instance().db_instance_identifier(INSTANCE).apply_immediately(true);
        change(request).send().await.unwrap();
        self.available().await;
    }

    async fn available(&self) {
        eventually("an instance that is available", async || {
            let described =
                self.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await;
            (described.unwrap().db_instances()[0].db_instance_status() == Some("available")).then_some(())
        })
        .await;
    }

    /// S3's own form of a part of a bucket.
    async fn bucket_part(&self, bucket: &str, part: &str, body: Option<&str>) {
        let client = &self.cloud.s3;
        use aws_sdk_s3::types::{
            BucketVersioningStatus, PublicAccessBlockConfiguration, VersioningConfiguration,
        };
        match (part, body) {
            ("versioning", status) => {
                let status = status.map_or(BucketVersioningStatus::Suspended, BucketVersioningStatus::from);
                let configuration = VersioningConfiguration::builder().status(status).build();
                let put =
                    client.put_bucket_versioning().bucket(bucket).versioning_configuration(configuration);
                put.send().await.unwrap();
            }
            ("policy", None) => drop(client.delete_bucket_policy().bucket(bucket).send().await.unwrap()),
            ("policy", Some(policy)) => {
                client.put_bucket_policy().bucket(bucket).policy(policy).send().await.unwrap();
            }
            ("lifecycle", None) => {
                drop(client.delete_bucket_lifecycle().bucket(bucket).send().await.unwrap())
            }
            ("closed", None) => {
                drop(client.delete_public_access_block().bucket(bucket).send().await.unwrap())
            }
            ("closed", Some(_)) => {
                let all = PublicAccessBlockConfiguration::builder();
                let all = all.block_public_acls(true).ignore_public_acls(true).block_public_policy(true);
                let all = all.restrict_public_buckets(true).build();
                let put =
                    client.put_public_access_block().bucket(bucket).public_access_block_configuration(all);
                put.send().await.unwrap();
            }
            ("encryption", None) => {
                drop(client.delete_bucket_encryption().bucket(bucket).send().await.unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    /// What a person could have set up: the rules that nothing here repairs.
    async fn good(&self) {
        self.modify(|change| {
            change
                .backup_retention_period(7)
                .preferred_maintenance_window("sun:07:00-sun:08:00")
                .preferred_backup_window("05:00-06:00")
                .deletion_protection(true)
                .publicly_accessible(false)
                .copy_tags_to_snapshot(true)
                .auto_minor_version_upgrade(true)
                .max_allocated_storage(100)
        })
        .await;
        self.instance(
            json!({"latest_restorable": null, "ca_valid_till": ago(-400 * DAY), "created": ago(30 * DAY)}),
        )
        .await;
        self.snapshots_of(3600).await;
        for bucket in [ATTACHMENTS, STATE] {
            self.bucket_part(bucket, "versioning", Some("Enabled")).await;
            self.bucket_part(bucket, "closed", Some("all")).await;
        }
        drop(self.cloud.s3.create_bucket().bucket(UPLOADS).send().await);
        self.bucket_part(UPLOADS, "versioning", Some("Enabled")).await;
        self.put(UPLOADS, ".moveongs-sync", b"done".to_vec()).await;
    }

    /// Everything that a run can mend or that time brings, the wrong way round.
    async fn bad(&self) {
        self.modify(|change| {
            change
                .backup_retention_period(1)
                .preferred_backup_window("14:00-15:00")
                .deletion_protection(false)
                .publicly_accessible(true)
                .copy_tags_to_snapshot(false)
                .auto_minor_version_upgrade(false)
        })
        .await;
        self.snapshots_of(27 * 3600).await;
        self.instance(json!({"latest_restorable": ago(3600), "ca_valid_till": ago(-30 * DAY)})).await;
        for bucket in [ATTACHMENTS, UPLOADS] {
            self.bucket_part(bucket, "versioning", None).await;
            self.bucket_part(bucket, "closed", None).await;
            self.bucket_part(bucket, "policy", None).await;
            self.bucket_part(bucket, "lifecycle", None).await;
            self.bucket_part(bucket, "encryption", None).await;
        }
        let order = json!({"bucket": UPLOADS, "key": ".moveongs-sync", "last_modified": ago(27 * 3600)});
        self.cloud.admin(Method::POST, "s3/object", Some(order)).await;
        let unprotected = json!({"TableName": TABLE, "DeletionProtectionEnabled": false});
        self.cloud.json_call("dynamodb", "DynamoDB_20120810.UpdateTable", unprotected).await;
        let off = json!({"TableName": TABLE, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": false}});
        self.cloud.json_call("dynamodb", "DynamoDB_20120810.UpdateContinuousBackups", off).await;
        self.shared_snapshot().await;
    }

    /// A manual snapshot, not encrypted, that everybody and a stranger may restore; gives its name.
    async fn shared_snapshot(&self) -> String {
        let seed = json!({"instances": 0, "buckets": 0, "secrets": 0, "snapshots": 1});
        self.cloud.admin(Method::POST, "seed", Some(seed)).await;
        let listed = self.cloud.rds.describe_db_snapshots().snapshot_type("manual").send().await.unwrap();
        let names = listed.db_snapshots().iter().filter_map(|snapshot| snapshot.db_snapshot_identifier());
        let name =
            names.into_iter().find(|name| name.contains("bench")).expect("a seeded snapshot").to_owned();
        let plain = json!({"snapshot": name, "facts": {"Encrypted": false}});
        self.cloud.admin(Method::POST, "rds/snapshot", Some(plain)).await;
        let share = self.cloud.rds.modify_db_snapshot_attribute().db_snapshot_identifier(&name);
        let share = share.attribute_name("restore").values_to_add("all").values_to_add("210987654321");
        share.send().await.unwrap();
        name
    }

    /// Invokes the function as the schedule does.
    async fn audit(&self) -> Value {
        let sample = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../events/backup-audit/daily.json"
        ));
        let event = serde_json::from_str(&sample.unwrap()).unwrap();
        let report = self.cloud.invoke(event).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report["run_id"], today());
        report
    }

    /// The verdicts of a run, by rule and resource, from its table.
    async fn verdicts(&self, report: &Value) -> BTreeMap<(String, String), String> {
        let table = self.report(report, "verdicts.csv").await;
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let rows = rows.records().map(Result::unwrap);
        rows.map(|row| ((row[0].to_owned(), row[3].to_owned()), row[2].to_owned())).collect()
    }

    async fn verdict(&self, report: &Value, rule: &str, resource: &str) -> String {
        let all = self.verdicts(report).await;
        all.get(&(rule.to_owned(), resource.to_owned()))
            .cloned()
            .unwrap_or_else(|| panic!("no {rule} of {resource}: {all:?}"))
    }

    async fn report(&self, report: &Value, name: &str) -> String {
        let keys = report["reports"].as_array().unwrap();
        let key = keys
            .iter()
            .find(|key| key.as_str().unwrap().ends_with(name))
            .unwrap_or_else(|| panic!("{report}"));
        self.cloud.text(key.as_str().unwrap()).await
    }

    async fn pages(&self, about: &str) -> usize {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages
            .filter(|page| {
                page["MessageAttributes"]["dedup_key"]["Value"]
                    .as_str()
                    .is_some_and(|key| key.contains(about))
            })
            .count()
    }

    async fn repair(&self, rule: &str, resource: &str, apply: bool) -> Result<Value, Value> {
        self.cloud.invoke(json!({"repair": {"rule": rule, "resource": resource, "apply": apply}})).await
    }

    /// The records of repairs.
    async fn repairs(&self) -> Vec<Value> {
        let records = self.cloud.evidence("backup-audit").await.into_iter().map(|(_, record)| record);
        records.filter(|record| record["trigger"] == "repair").collect()
    }

    async fn is_versioned(&self, bucket: &str) -> bool {
        let found = self.cloud.s3.get_bucket_versioning().bucket(bucket).send().await.unwrap();
        found.status().is_some_and(|status| status.as_str() == "Enabled")
    }

    /// Changes the function's settings, as a deployment does.
    async fn configure(&self, timeout: i32, policy: &str) {
        let function = self.cloud.function();
        let found =
            self.cloud.lambda.get_function_configuration().function_name(&function).send().await.unwrap();
        let mut variables = found.environment().unwrap().variables().unwrap().clone();
        variables.insert("POLICY".to_owned(), policy.to_owned());
        let environment =
            aws_sdk_lambda::types::Environment::builder().set_variables(Some(variables)).build();
        let update = self.cloud.lambda.update_function_configuration().function_name(function);
        update.timeout(timeout).environment(environment).send().await.unwrap();
    }
}

fn note(run_id: &str) -> String {
    format!("runs/backup-audit/{}.json", sha256(run_id.as_bytes()))
}

fn now() -> jiff::Timestamp {
    shared::time::now()
}

fn ago(seconds: i64) -> String {
    (now() - jiff::SignedDuration::from_secs(seconds)).to_string()
}

fn today() -> String {
    shared::time::local_date(now())
}

#[tokio::test]
async fn every_rule_is_judged_on_real_answers_and_what_is_mended_passes_the_next_time() {
    let world = World::fresh().await;
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    let mut note = |verdicts: BTreeMap<(String, String), String>| {
        for ((rule, resource), verdict) in verdicts {
            assert_ne!(verdict, "unknown", "{rule} of {resource}");
            seen.entry(rule).or_default().insert(verdict);
        }
    };
    world.bad().await;
    let first = world.audit().await;
    assert_eq!(first["result"], "failed");
    note(world.verdicts(&first).await);
    // What time and a person mend; the rest was mended by the run.
    world.good().await;
    let shared = world.shared_snapshot().await;
    for rule in ["rds.snapshot-public", "rds.snapshot-shared"] {
        assert_eq!(world.repair(rule, &shared, true).await.unwrap()["outcome"], "applied");
    }
    note(world.verdicts(&world.audit().await).await);
    world.modify(|change| change.backup_retention_period(0)).await;
    note(world.verdicts(&world.audit().await).await);
    world.modify(|change| change.backup_retention_period(7)).await;

    for rule in BOTH_WAYS {
        assert_eq!(seen[rule], BTreeSet::from(["fail".to_owned(), "pass".to_owned()]), "{rule}");
    }
    let not_asked: Vec<_> = backup_audit::rules().filter(|rule| !seen.contains_key(*rule)).collect();
    assert_eq!(BTreeSet::from_iter(not_asked), BTreeSet::from(NOT_ASKED));
}

#[tokio::test]
async fn the_reports_agree_with_each_other_and_with_the_record() {
    let world = World::fresh().await;
    world.bucket_part(ATTACHMENTS, "policy", None).await;
    let report = world.audit().await;
    let verdicts = world.verdicts(&report).await;
    let open: BTreeSet<_> =
        verdicts.iter().filter(|(_, verdict)| *verdict != "pass").map(|(key, _)| key.clone()).collect();
    let lines = world.report(&report, "findings.jsonl").await;
    let findings: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let key = |finding: &Value| {
        let part = |name: &str| finding[name].as_str().unwrap().to_owned();
        (part("rule"), part("resource"))
    };
    assert_eq!(findings.iter().map(key).collect::<BTreeSet<_>>(), open);
    let events: Vec<Value> =
        serde_json::from_str(&world.report(&report, "findings.ocsf.json").await).unwrap();
    assert_eq!(events.len(), findings.len());
    assert!(events.iter().all(|event| event["class_uid"] == 2003 && event["activity_id"] == 1), "{events:?}");
    let counts = &report["counts"];
    let count = |wanted: &str| verdicts.values().filter(|verdict| *verdict == wanted).count();
    for word in ["pass", "fail", "unknown", "excepted"] {
        assert_eq!(counts[word], count(word), "{word}");
    }
    let record = world.cloud.record_of(&today()).await.unwrap();
    let steps = record["steps"].to_string();
    for key in report["reports"].as_array().unwrap() {
        let key = key.as_str().unwrap();
        let stored = world.cloud.text(key).await;
        assert!(steps.contains(&sha256(stored.as_bytes())), "{key} is not in {steps}");
    }
    assert_eq!(record["findings"].as_array().unwrap().len(), open.len());
    let told = world.cloud.messages("Auditoria de backup").await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("reports/backup-audit/"), "{told:?}");
}

#[tokio::test]
async fn the_channel_hears_what_is_new_and_what_is_resolved_and_nothing_else() {
    let world = World::fresh().await;
    // The first run repairs, the second tells that it helped.
    for _ in 0..2 {
        world.audit().await;
        world.next_day().await;
    }
    world.audit().await;
    let monday = now().to_zoned_datetime(shared::time::SAO_PAULO).weekday() == jiff::civil::Weekday::Monday;
    assert_eq!(world.cloud.messages("Auditoria de backup").await.len(), usize::from(monday));

    world.next_day().await;
    let order = json!({"bucket": UPLOADS, "key": ".moveongs-sync", "last_modified": ago(27 * 3600)});
    world.cloud.admin(Method::POST, "s3/object", Some(order)).await;
    let report = world.audit().await;
    assert_eq!(report["new"], 1, "{report}");
    let told = world.cloud.messages("s3.uploads-fresh").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("aws s3 sync") && told[0].contains("Próximo passo"), "{told:?}");

    world.next_day().await;
    world.put(UPLOADS, ".moveongs-sync", b"done".to_vec()).await;
    let report = world.audit().await;
    assert_eq!((&report["new"], &report["resolved"]), (&json!(0), &json!(1)), "{report}");
    assert_eq!(world.cloud.messages("Resolvido").await.len(), 1);
    let events = world.report(&report, "findings.ocsf.json").await;
    assert!(events.contains("\"activity_name\":\"Close\""), "{events}");
}

#[tokio::test]
async fn what_cannot_be_read_is_neither_in_order_nor_failing_and_a_dark_service_pages() {
    let world = World::fresh().await;
    let denied = |action: &str| json!({"service": "rds", "action": action, "effect": "error", "status": 403, "code": "AccessDenied"});
    world.cloud.fault(denied("DescribeDBInstances")).await;
    world.cloud.fault(denied("DescribeDBSnapshots")).await;
    let bucket = json!({"service": "s3", "action": "GetBucketVersioning", "resource": format!("arn:aws:s3:::{ATTACHMENTS}"),
        "effect": "error", "status": 403, "code": "AccessDenied"});
    world.cloud.fault(bucket).await;
    let report = world.audit().await;
    assert_eq!(report["result"], "failed");
    let verdicts = world.verdicts(&report).await;
    let of = |rule: &str, resource: &str| {
        verdicts.get(&(rule.to_owned(), resource.to_owned())).map(String::as_str)
    };
    assert_eq!(of("audit.coverage", "rds:instances"), Some("unknown"));
    assert_eq!(of("audit.coverage", "rds:snapshots"), Some("unknown"));
    assert_eq!(of("rds.retention", INSTANCE), None);
    assert_eq!(of("s3.versioning", ATTACHMENTS), Some("unknown"));
    assert_eq!(of("s3.versioning", STATE), Some("pass"));
    assert_eq!(of("s3.public-access-block", ATTACHMENTS), Some("pass"));
    eventually("the page", async || (world.pages("unreadable/rds").await == 1).then_some(())).await;
    assert_eq!(world.pages("unreadable/s3").await, 0);

    // What was open is not resolved by not being seen.
    world.next_day().await;
    world.cloud.admin(Method::DELETE, "faults", None).await;
    let seen = world.audit().await;
    assert!(world.verdict(&seen, "rds.parameter-group", INSTANCE).await == "fail", "{seen}");
    world.next_day().await;
    world.cloud.fault(denied("DescribeDBInstances")).await;
    let unseen = world.audit().await;
    let lines = world.report(&unseen, "findings.jsonl").await;
    assert!(lines.contains("rds.parameter-group"), "{lines}");
}

#[tokio::test]
async fn throttling_drops_nothing() {
    let world = World::fresh().await;
    world
        .cloud
        .admin(
            Method::POST,
            "seed",
            Some(json!({"instances": 0, "buckets": 12, "secrets": 0, "snapshots": 0})),
        )
        .await;
    let calm = world.audit().await;
    world.next_day().await;
    for nth in [1, 2, 5, 9, 20] {
        world
            .cloud
            .fault(
                json!({"service": "s3", "action": "GetBucketVersioning", "effect": "throttle", "nth": nth}),
            )
            .await;
    }
    let throttled = world.audit().await;
    assert!(world.cloud.hits("throttle").await >= 3);
    assert_eq!(world.verdicts(&throttled).await.len(), world.verdicts(&calm).await.len());
    assert_eq!(throttled["counts"]["unknown"], 0, "{throttled}");
    world.cloud.admin(Method::DELETE, "seed", None).await;
}

#[tokio::test]
async fn a_run_whose_time_is_over_says_what_it_did_not_see() {
    let world = World::fresh().await;
    // The first run repairs, the second tells that it helped.
    for _ in 0..2 {
        world.audit().await;
        world.next_day().await;
    }
    // All but a moment of this is kept back for reports; and one bucket does not answer within it.
    world.configure(153, "").await;
    world.cloud.fault(json!({"service": "s3", "action": "GetBucketVersioning", "resource": format!("arn:aws:s3:::{STATE}"), "effect": "timeout", "seconds": 15})).await;
    let report = world.audit().await;
    world.configure(900, "").await;
    assert_eq!(report["result"], "failed", "{report}");
    let coverage: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["rule"] == "audit.coverage")
        .collect();
    let [buckets] = coverage.as_slice() else { panic!("{report}") };
    assert_eq!(buckets["resource"], "s3:buckets");
    let found = buckets["found"].as_str().unwrap();
    assert!(found.contains("the time was over") && found.contains(STATE), "{found}");
    assert_eq!(report["resolved"], 0, "{report}");
}

#[tokio::test]
async fn an_exception_holds_until_its_day_and_is_a_finding_after_it() {
    let world = World::fresh().await;
    let day = |days: i64| shared::time::local_date(now() + jiff::SignedDuration::from_hours(24 * days));
    let exception = |rule: &str, until: String| json!({"rule": rule, "resource": "moveongs-dev-*", "reason": "até a migração", "owner": "Squad Dados", "until": until});
    let exceptions =
        json!([exception("rds.parameter-group", day(1)), exception("rds.subnet-group", day(-2))]);
    let policy = json!({"backups": {"audit": {"exceptions": exceptions}}});
    world.configure(900, &policy.to_string()).await;
    let report = world.audit().await;
    world.configure(900, "").await;
    assert_eq!(world.verdict(&report, "rds.parameter-group", INSTANCE).await, "excepted");
    assert_eq!(world.verdict(&report, "rds.subnet-group", INSTANCE).await, "fail");
    assert_eq!(
        world.verdict(&report, "audit.exception-expired", "rds.subnet-group moveongs-dev-*").await,
        "fail"
    );
    let told = world.cloud.messages("rds.parameter-group").await;
    assert!(told.iter().all(|message| message.contains("Squad Dados")), "{told:?}");
}

#[tokio::test]
async fn a_repair_is_planned_applied_and_leaves_before_and_after() {
    let world = World::fresh().await;
    world.modify(|change| change.deletion_protection(false)).await;
    let before = world.cloud.last_call().await;
    let planned = world.repair("rds.deletion-protection", INSTANCE, false).await.unwrap();
    assert_eq!(
        (&planned["outcome"], &planned["change"]),
        (&json!("planned"), &json!("DeletionProtection := true"))
    );
    let changes = |calls: Vec<String>| {
        calls.into_iter().filter(|call| call.contains(":Modify") || call.contains(":Put")).count()
    };
    assert_eq!(changes(world.cloud.calls(before).await.0), 0, "a plan changes nothing");
    let applied = world.repair("rds.deletion-protection", INSTANCE, true).await.unwrap();
    assert_eq!((&applied["outcome"], &applied["after"]), (&json!("applied"), &json!("holds")));
    let records = world.repairs().await;
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record["result"], "succeeded");
    let steps = record["steps"].to_string();
    assert!(steps.contains("DeletionProtection false") && steps.contains("holds"), "{steps}");
    let told = world.cloud.messages("Correção de backup aplicada").await;
    assert_eq!(told.len(), 1, "{told:?}");
    let again = world.repair("rds.deletion-protection", INSTANCE, true).await.unwrap();
    assert_eq!(again["outcome"], "not needed");
    assert_eq!(world.repairs().await.len(), 1);
}

#[tokio::test]
async fn a_repair_keeps_what_people_have_set_up() {
    let world = World::fresh().await;
    let own = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Sid": "Mine", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{UPLOADS}/never/*"}}]}}"#
    );
    world.bucket_part(UPLOADS, "policy", Some(&own)).await;
    world.bucket_part(UPLOADS, "lifecycle", None).await;
    let mine = aws_sdk_s3::types::LifecycleRule::builder()
        .id("mine")
        .status(aws_sdk_s3::types::ExpirationStatus::Enabled);
    let mine = mine.filter(aws_sdk_s3::types::LifecycleRuleFilter::builder().prefix("tmp/").build());
    let mine =
        mine.expiration(aws_sdk_s3::types::LifecycleExpiration::builder().days(3).build()).build().unwrap();
    let all = aws_sdk_s3::types::BucketLifecycleConfiguration::builder().rules(mine).build().unwrap();
    world
        .cloud
        .s3
        .put_bucket_lifecycle_configuration()
        .bucket(UPLOADS)
        .lifecycle_configuration(all)
        .send()
        .await
        .unwrap();
    for rule in ["s3.tls-only", "s3.noncurrent", "s3.incomplete-uploads"] {
        assert_eq!(world.repair(rule, UPLOADS, true).await.unwrap()["outcome"], "applied", "{rule}");
    }
    let policy = world.cloud.s3.get_bucket_policy().bucket(UPLOADS).send().await.unwrap().policy.unwrap();
    assert!(policy.contains("Mine") && policy.contains("aws:SecureTransport"), "{policy}");
    let rules = world
        .cloud
        .s3
        .get_bucket_lifecycle_configuration()
        .bucket(UPLOADS)
        .send()
        .await
        .unwrap()
        .rules
        .unwrap();
    let ids: Vec<_> = rules.iter().map(|rule| rule.id().unwrap()).collect();
    assert_eq!(ids, ["mine", "moveongs-governance"]);
    let ours = rules.last().unwrap();
    assert_eq!(ours.noncurrent_version_expiration().unwrap().noncurrent_days(), Some(30));
    assert_eq!(ours.abort_incomplete_multipart_upload().unwrap().days_after_initiation(), Some(7));
}

#[tokio::test]
async fn each_refusal_says_why_and_changes_nothing() {
    let world = World::fresh().await;
    let kind = |answer: Result<Value, Value>| answer.unwrap_err()["errorType"].as_str().unwrap().to_owned();
    assert_eq!(kind(world.cloud.invoke(json!({"resource": "*"})).await), "InvalidEvent");
    assert_eq!(kind(world.cloud.invoke(json!({"resource": "moveongs-prod-db"})).await), "NotFound");
    assert_eq!(kind(world.repair("rds.encryption", INSTANCE, true).await), "NoRepair");
    assert_eq!(kind(world.repair("s3.versioning", "somebody-elses-bucket", true).await), "NotFound");
    // Retention 0 to some is an outage, which a person chooses.
    world.modify(|change| change.backup_retention_period(0)).await;
    assert_eq!(kind(world.repair("rds.retention", INSTANCE, true).await), "RepairRefused");
    world.modify(|change| change.backup_retention_period(7)).await;
    // The role changes no evidence bucket, whatever is asked.
    let suspended = world.cloud.s3.get_bucket_versioning().bucket(EVIDENCE).send().await.unwrap();
    assert!(suspended.status().is_some());
    world.cloud.s3.delete_public_access_block().bucket(EVIDENCE).send().await.unwrap();
    let refused = world.repair("s3.public-access-block", EVIDENCE, true).await.unwrap_err();
    assert!(refused["errorMessage"].as_str().unwrap().contains("AccessDenied"), "{refused}");
    world.bucket_part(EVIDENCE, "closed", Some("all")).await;
}

#[tokio::test]
async fn one_resource_is_audited_for_whoever_asks() {
    let world = World::fresh().await;
    let report = world.cloud.invoke(json!({"resource": INSTANCE})).await.unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding["resource"] == INSTANCE),
        "{report}"
    );
    for resource in [ATTACHMENTS, TABLE, "moveongs-dev-api"] {
        let report = world.cloud.invoke(json!({"resource": resource})).await.unwrap();
        let count = |word: &str| report["counts"][word].as_u64().unwrap();
        assert!(count("pass") + count("fail") > 0 && count("unknown") == 0, "{resource}: {report}");
    }
    assert!(world.cloud.messages("Auditoria de backup").await.is_empty());
    assert_eq!(world.cloud.evidence("backup-audit").await.len(), 4);
}

#[tokio::test]
async fn the_same_event_twice_is_one_record_one_page_and_one_repair_each() {
    let world = World::fresh().await;
    world.modify(|change| change.publicly_accessible(true)).await;
    let twice = futures_util::future::join(world.audit(), world.audit()).await;
    let days = world.cloud.evidence("backup-audit").await;
    let of_day = days.iter().filter(|(_, record)| record["run_id"] == today()).count();
    assert_eq!(of_day, 1, "{twice:?}");
    world.audit().await;
    assert_eq!(world.pages("rds.public").await.clamp(1, 2), world.pages("rds.public").await);
    let private =
        world.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await.unwrap();
    assert_eq!(private.db_instances()[0].publicly_accessible(), Some(false));
    assert!(world.cloud.json(&note("repairs")).await.is_none_or(|open| open == json!([])));
}

#[tokio::test]
async fn every_crash_point_ends_with_the_repair_done_recorded_and_one_record_of_the_day() {
    let world = World::fresh().await;
    world.bucket_part(UPLOADS, "versioning", None).await;
    let before = world.cloud.last_call().await;
    world.audit().await;
    let calls = world.cloud.calls(before).await.0;
    // Reads change nothing: to die before one is to die after the change before it.
    let changes: Vec<_> = (1..=calls.len()).filter(|nth| changes(&calls[nth - 1])).collect();
    assert!(changes.len() >= 12, "{calls:?}");
    let mut points = Vec::new();
    for when in ["before", "after"] {
        for nth in &changes {
            points.push(crash(when, *nth).await);
        }
    }
    matrix::write("backup-audit", &points, json!({}));
}

fn changes(call: &str) -> bool {
    let action = call.split(':').next_back().unwrap_or_default();
    !["Get", "List", "Describe", "Head", "Simulate"].iter().any(|read| action.starts_with(read))
}

/// Kills the function at its `nth` call.
async fn crash(when: &str, nth: usize) -> Value {
    let world = World::fresh().await;
    world.bucket_part(UPLOADS, "versioning", None).await;
    let before = world.cloud.last_call().await;
    world.cloud.fault(json!({"effect": "kill", "when": when, "nth": nth})).await;
    let first = world.cloud.invoke(json!({})).await;
    let operation = world.cloud.calls(before).await.0.last().cloned();
    let at = format!("{when} call {nth} ({operation:?})");
    assert!(first.is_err() && world.cloud.hits("kill").await == 1, "{at}: {first:?}");
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.audit().await;
    assert!(world.is_versioned(UPLOADS).await, "{at}");
    let open = world.cloud.json(&note("repairs")).await;
    assert!(open.is_none_or(|open| open == json!([])), "{at}: a repair without its record");
    let repairs: Vec<_> = world
        .repairs()
        .await
        .into_iter()
        .filter(|record| record["steps"].to_string().contains("Versioning := Enabled"))
        .collect();
    // A run that dies between the note and the change leaves the note, which the next one ends; it then makes the change itself.
    assert!((1..=2).contains(&repairs.len()), "{at}: {repairs:?}");
    assert!(
        repairs.iter().any(|record| record["steps"].to_string().contains("Versioning Suspended")),
        "{at}: {repairs:?}"
    );
    let days = world.cloud.evidence("backup-audit").await;
    assert_eq!(days.iter().filter(|(_, record)| record["run_id"] == today()).count(), 1, "{at}");
    let told = world.cloud.messages("Auditoria de backup").await.len();
    assert!((1..=2).contains(&told), "{at}: told {told} times");
    json!({"when": when, "call": nth, "operation": operation, "end": "succeeded", "repairs": repairs.len(), "told": told})
}
