//! `backup-audit` against the local cloud: every rule on real answers, unreadable facts, changes since the previous
//! run, repairs with before and after, and the state after a crash, a second delivery or the time limit.
//!
//! The tests' stack allows every repair, so a run repairs all repairable findings: a rule that fails in one run passes
//! in the next.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::advice;
use crate::cloud::{Cloud, EVIDENCE, eventually, sha256};
use crate::matrix;

const INSTANCE: &str = "moveongs-dev-db";
const ATTACHMENTS: &str = "moveongs-dev-attachments";
const UPLOADS: &str = "moveongs-dev-uploads";
const STATE: &str = "moveongs-dev-terraform-state";
const TABLE: &str = "moveongs-dev-terraform-locks";
const QUEUE: &str = "backup-audit-pages";
const SNAPSHOT: &str = "moveongs-dev-bench-0001";
const CLUSTER: &str = "moveongs-dev-cluster";
const SERVICE: &str = "moveongs-dev-balanced";
const GRAFANA: &str = "moveongs-dev-grafana";
const LATEST: &str = "latest";
const DAY: i64 = 86_400;
/// An account that the policy does not name.
const STRANGER: &str = "210987654321";
/// Id of the lifecycle rule, and of the policy's statement, that a repair adds.
const OURS: &str = "moveongs-governance";
const TLS_ONLY: &str = "OnlyOverTls";
/// Id of statements and lifecycle rules added by people.
const THEIRS: &str = "Mine";

/// The rules that have a repair.
const REPAIRS: [&str; 16] = [
    "rds.retention",
    "rds.backup-window",
    "rds.deletion-protection",
    "rds.public",
    "rds.copy-tags",
    "rds.minor-upgrades",
    "rds.snapshot-public",
    "rds.snapshot-shared",
    "s3.versioning",
    "s3.noncurrent",
    "s3.incomplete-uploads",
    "s3.public-access-block",
    "s3.encryption",
    "s3.tls-only",
    "terraform.lock-recovery",
    "terraform.lock-protection",
];

/// The other rules that the tests' environment can make pass and fail: time or a person fixes them.
const BOTH_WAYS: [&str; 10] = [
    "ecs.grace-period",
    "grafana.exported",
    "grafana.fresh",
    "grafana.restorable",
    "rds.backups-on",
    "rds.certificate",
    "rds.multi-az",
    "rds.point-in-time",
    "rds.snapshot-fresh",
    "s3.uploads-fresh",
];

/// The settings that repairs may change, by rule, and all other settings, by resource.
type State = BTreeMap<&'static str, String>;

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
}

impl World {
    /// A world without record, note, report or fault, and with as few findings as possible.
    async fn fresh() -> Self {
        let world = Self { pages: 0, cloud: Cloud::connect("backup-audit").await };
        world.cloud.calm().await;
        world.cloud.snapshot_events(false).await;
        world.configure(900, &[]).await;
        world.cloud.forget_policy().await;
        world.balance(None).await;
        world.export(None).await;
        world.forget().await;
        world.cloud.admin(Method::DELETE, "seed", None).await;
        world.good().await;
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    /// Removes every object of the function, and ends its first week.
    async fn forget(&self) {
        self.forget_all().await;
        self.cloud.begin_long_ago("backup-audit").await;
    }

    /// Removes every object of the function, as if it had never run.
    async fn forget_all(&self) {
        for kind in ["evidence", "runs", "reports"] {
            self.cloud.wipe(&format!("{kind}/backup-audit/")).await;
        }
    }

    /// Makes the next run another day's: keeps the previous run and removes today's record.
    async fn next_day(&self) {
        let key = note(LATEST);
        let mut latest = self.cloud.json(&key).await.expect("a run before");
        latest["run_id"] = json!("2026-01-01");
        self.put(EVIDENCE, &key, latest.to_string().into_bytes()).await;
        self.cloud.wipe("evidence/backup-audit/").await;
        let notes = self.cloud.keys("runs/backup-audit/").await;
        for other in notes.into_iter().filter(|other| *other != key) {
            self.cloud.s3.delete_object().bucket(EVIDENCE).key(other).send().await.unwrap();
        }
        self.cloud.begin_long_ago("backup-audit").await;
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

    /// Sets the age of all automated snapshots; makes one if there is none.
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

    /// Sets or removes a part of a bucket's configuration, in S3's own form.
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

    /// Makes settings that a person could make, for the rules without a repair.
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
        self.announce(&["backup", "failure"], "2099-12-31T00:00:00Z").await;
        self.deployments(&[]).await;
        for bucket in [ATTACHMENTS, STATE] {
            self.bucket_part(bucket, "versioning", Some("Enabled")).await;
            self.bucket_part(bucket, "closed", Some("all")).await;
        }
        drop(self.cloud.s3.create_bucket().bucket(UPLOADS).send().await);
        for bucket in [ATTACHMENTS, UPLOADS] {
            let mut statements = self.statements(bucket).await;
            statements.retain(|statement| statement["Sid"] != THEIRS);
            self.set_statements(bucket, &statements).await;
            let mut rules = self.lifecycle(bucket).await;
            rules.retain(|rule| rule.id() != Some(THEIRS));
            self.set_lifecycle(bucket, rules).await;
        }
        self.bucket_part(UPLOADS, "versioning", Some("Enabled")).await;
        self.put(UPLOADS, ".moveongs-sync", b"done".to_vec()).await;
    }

    /// Sets the subscribed events of instances and the end of PostgreSQL's standard support.
    async fn announce(&self, categories: &[&str], supported_until: &str) {
        let subscription = json!({"CustSubscriptionId": "databases", "Status": "active", "Enabled": true,
            "SourceType": "db-instance", "EventCategoriesList": categories});
        let subscriptions = json!({"subscriptions": [subscription]});
        self.cloud.admin(Method::POST, "rds/event-subscriptions", Some(subscriptions)).await;
        let majors = (13..20).map(|major| {
            json!({"Engine": "postgres", "MajorEngineVersion": major.to_string(), "SupportedEngineLifecycles": [
                {"LifecycleSupportName": "open-source-rds-standard-support", "LifecycleSupportStartDate": "2020-01-01T00:00:00Z",
                    "LifecycleSupportEndDate": supported_until}]})
        });
        let versions = json!({"versions": majors.collect::<Vec<_>>()});
        self.cloud.admin(Method::POST, "rds/major-versions", Some(versions)).await;
    }

    async fn deployments(&self, deployments: &[Value]) {
        let chosen = json!({"deployments": deployments});
        self.cloud.admin(Method::POST, "rds/blue-green", Some(chosen)).await;
    }

    /// Creates an AWS Backup plan for resources, with a continuous rule that keeps `days` days; returns its id.
    async fn plan(&self, resources: Value, days: u16) -> String {
        let vault = json!({});
        let there = self.cloud.rest("backup", Method::GET, "/backup-vaults/", Value::Null).await;
        if there["BackupVaultList"].as_array().is_none_or(Vec::is_empty) {
            self.cloud.rest("backup", Method::PUT, "/backup-vaults/main", vault).await;
        }
        let plan = json!({"BackupPlan": {"BackupPlanName": "daily", "Rules": [{"RuleName": "continuous",
            "TargetBackupVaultName": "main", "EnableContinuousBackup": true, "Lifecycle": {"DeleteAfterDays": days}}]}});
        let made = self.cloud.rest("backup", Method::PUT, "/backup/plans/", plan).await;
        let id = made["BackupPlanId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        let selection = json!({"BackupSelection": {"SelectionName": "all", "IamRoleArn": "arn:aws:iam::000000000000:role/backup",
            "Resources": resources}});
        self.cloud.rest("backup", Method::PUT, &format!("/backup/plans/{id}/selections/"), selection).await;
        id
    }

    async fn drop_plan(&self, id: &str) {
        let path = format!("/backup/plans/{id}");
        let listed =
            self.cloud.rest("backup", Method::GET, &format!("{path}/selections/"), Value::Null).await;
        for one in listed["BackupSelectionsList"].as_array().unwrap() {
            let selection = format!("{path}/selections/{}", one["SelectionId"].as_str().unwrap());
            self.cloud.rest("backup", Method::DELETE, &selection, Value::Null).await;
        }
        self.cloud.rest("backup", Method::DELETE, &path, Value::Null).await;
    }

    /// Breaks everything that a run can repair or that time changes.
    async fn bad(&self) {
        self.snapshot().await;
        for rule in REPAIRS {
            self.spoil(rule, repaired_by(rule)).await;
            if rule.starts_with("s3.") {
                self.spoil(rule, UPLOADS).await;
            }
        }
        self.snapshots_of(27 * 3600).await;
        self.instance(json!({"latest_restorable": ago(3600), "ca_valid_till": ago(-30 * DAY)})).await;
        let order = json!({"bucket": UPLOADS, "key": ".moveongs-sync", "last_modified": ago(27 * 3600)});
        self.cloud.admin(Method::POST, "s3/object", Some(order)).await;
    }

    /// Makes a rule with a repair fail on a resource, and changes nothing else.
    async fn spoil(&self, rule: &str, resource: &str) {
        match rule {
            "rds.retention" => self.modify(|change| change.backup_retention_period(1)).await,
            "rds.backup-window" => self.modify(|change| change.preferred_backup_window("14:00-15:00")).await,
            "rds.deletion-protection" => self.modify(|change| change.deletion_protection(false)).await,
            "rds.public" => self.modify(|change| change.publicly_accessible(true)).await,
            "rds.copy-tags" => self.modify(|change| change.copy_tags_to_snapshot(false)).await,
            "rds.minor-upgrades" => self.modify(|change| change.auto_minor_version_upgrade(false)).await,
            "rds.snapshot-public" | "rds.snapshot-shared" => {
                let account = if rule == "rds.snapshot-public" { "all" } else { STRANGER };
                let share = self.cloud.rds.modify_db_snapshot_attribute().db_snapshot_identifier(resource);
                share.attribute_name("restore").values_to_add(account).send().await.unwrap();
            }
            "s3.versioning" => self.bucket_part(resource, "versioning", None).await,
            "s3.public-access-block" => self.bucket_part(resource, "closed", None).await,
            "s3.encryption" => self.bucket_part(resource, "encryption", None).await,
            "s3.noncurrent" | "s3.incomplete-uploads" => {
                let mut rules = self.lifecycle(resource).await;
                for other in &mut rules {
                    match rule {
                        "s3.noncurrent" => other.noncurrent_version_expiration = None,
                        _ => other.abort_incomplete_multipart_upload = None,
                    }
                }
                rules.retain(|other| {
                    other.noncurrent_version_expiration.is_some()
                        || other.abort_incomplete_multipart_upload.is_some()
                        || other.expiration.is_some()
                });
                self.set_lifecycle(resource, rules).await;
            }
            "s3.tls-only" => {
                let mut statements = self.statements(resource).await;
                statements.retain(|statement| statement["Sid"] != TLS_ONLY);
                self.set_statements(resource, &statements).await;
            }
            "terraform.lock-recovery" => {
                let off = json!({"TableName": resource, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": false}});
                self.table("UpdateContinuousBackups", off).await;
            }
            "terraform.lock-protection" => {
                let off = json!({"TableName": resource, "DeletionProtectionEnabled": false});
                self.table("UpdateTable", off).await;
            }
            _ => panic!("{rule} has no repair"),
        }
    }

    async fn table(&self, operation: &str, body: Value) -> Value {
        self.cloud.json_call("dynamodb", &format!("DynamoDB_20120810.{operation}"), body).await
    }

    async fn lifecycle(&self, bucket: &str) -> Vec<LifecycleRule> {
        let found = self.cloud.s3.get_bucket_lifecycle_configuration().bucket(bucket).send().await;
        absent(found, "NoSuchLifecycleConfiguration").and_then(|found| found.rules).unwrap_or_default()
    }

    async fn set_lifecycle(&self, bucket: &str, rules: Vec<LifecycleRule>) {
        if rules.is_empty() {
            return self.bucket_part(bucket, "lifecycle", None).await;
        }
        let all = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().unwrap();
        let put = self.cloud.s3.put_bucket_lifecycle_configuration().bucket(bucket);
        put.lifecycle_configuration(all).send().await.unwrap();
    }

    /// The statements of a bucket policy.
    async fn statements(&self, bucket: &str) -> Vec<Value> {
        let found = self.cloud.s3.get_bucket_policy().bucket(bucket).send().await;
        let Some(policy) = absent(found, "NoSuchBucketPolicy").and_then(|found| found.policy) else {
            return Vec::new();
        };
        let policy: Value = serde_json::from_str(&policy).unwrap();
        policy["Statement"].as_array().unwrap().clone()
    }

    async fn set_statements(&self, bucket: &str, statements: &[Value]) {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        self.bucket_part(bucket, "policy", (!statements.is_empty()).then_some(&policy)).await;
    }

    /// Leaves in a bucket only a statement and a lifecycle rule made by people.
    async fn set_up_by_people(&self, bucket: &str) {
        let statement = json!({"Sid": THEIRS, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Resource": format!("arn:aws:s3:::{bucket}/never/*")});
        self.set_statements(bucket, &[statement]).await;
        let rule = LifecycleRule::builder().id(THEIRS).status(ExpirationStatus::Enabled);
        let rule = rule.filter(LifecycleRuleFilter::builder().prefix("tmp/").build());
        let rule = rule.expiration(LifecycleExpiration::builder().days(3).build()).build().unwrap();
        self.set_lifecycle(bucket, vec![rule]).await;
    }

    /// Creates a manual, unencrypted snapshot of this environment, which could be shared publicly but is shared with no
    /// account.
    async fn snapshot(&self) {
        let seed = json!({"instances": 0, "buckets": 0, "secrets": 0, "snapshots": 1});
        self.cloud.admin(Method::POST, "seed", Some(seed)).await;
        let plain = json!({"snapshot": SNAPSHOT, "facts": {"Encrypted": false}});
        self.cloud.admin(Method::POST, "rds/snapshot", Some(plain)).await;
    }

    /// Sets the grace period of a service behind a load balancer, or removes the service.
    async fn balance(&self, grace_seconds: Option<u16>) {
        let of = |operation| format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let there = json!({"cluster": CLUSTER, "services": [SERVICE]});
        let there = self.cloud.json_call("ecs", &of("DescribeServices"), there).await;
        let is_there = there["services"].as_array().unwrap().iter().any(|one| one["status"] == "ACTIVE");
        let (operation, body) = match grace_seconds {
            None if !is_there => return,
            None => ("DeleteService", json!({"cluster": CLUSTER, "service": SERVICE, "force": true})),
            Some(seconds) if is_there => (
                "UpdateService",
                json!({"cluster": CLUSTER, "service": SERVICE, "healthCheckGracePeriodSeconds": seconds}),
            ),
            Some(seconds) => (
                "CreateService",
                json!({"cluster": CLUSTER, "serviceName": SERVICE, "taskDefinition": "moveongs-dev-api", "desiredCount": 0,
                    "healthCheckGracePeriodSeconds": seconds, "loadBalancers": [{"containerName": "api", "containerPort": 3333,
                    "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/api/0123456789abcdef"}]}),
            ),
        };
        self.cloud.json_call("ecs", &of(operation), body).await;
    }

    /// Puts an export of Grafana, `age` seconds old, into its own bucket, or removes the bucket.
    async fn export(&self, age: Option<i64>) {
        let key = "dashboards.json";
        let Some(age) = age else {
            let is_there = self.cloud.s3.head_bucket().bucket(GRAFANA).send().await.is_ok();
            if is_there {
                self.cloud.s3.delete_object().bucket(GRAFANA).key(key).send().await.unwrap();
                self.cloud.s3.delete_bucket().bucket(GRAFANA).send().await.unwrap();
            }
            return;
        };
        drop(self.cloud.s3.create_bucket().bucket(GRAFANA).send().await);
        self.put(GRAFANA, key, b"{}".to_vec()).await;
        let order = json!({"bucket": GRAFANA, "key": key, "last_modified": ago(age)});
        self.cloud.admin(Method::POST, "s3/object", Some(order)).await;
    }

    /// Writes the note of `grafana-export` about an export and its check, `age` seconds old, as the account's root.
    async fn exported(&self, age: i64) {
        let note = json!({"exported_at": ago(age), "checked_at": ago(age)});
        let key = format!("runs/grafana-export/{}.json", sha256(b"last export"));
        self.put(EVIDENCE, &key, note.to_string().into_bytes()).await;
    }

    /// The settings that repairs may change, and those beside them.
    async fn state(&self) -> State {
        let (mut state, s3, bucket) = (State::new(), &self.cloud.s3, ATTACHMENTS);
        let found = self.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await;
        let mut db = found.unwrap().db_instances.unwrap().remove(0);
        state.insert("rds.retention", format!("{:?}", db.backup_retention_period.take()));
        state.insert("rds.backup-window", format!("{:?}", db.preferred_backup_window.take()));
        state.insert("rds.deletion-protection", format!("{:?}", db.deletion_protection.take()));
        state.insert("rds.public", format!("{:?}", db.publicly_accessible.take()));
        state.insert("rds.copy-tags", format!("{:?}", db.copy_tags_to_snapshot.take()));
        state.insert("rds.minor-upgrades", format!("{:?}", db.auto_minor_version_upgrade.take()));
        db.latest_restorable_time = None;
        state.insert(INSTANCE, format!("{db:?}"));

        let shared = self.cloud.rds.describe_db_snapshot_attributes().db_snapshot_identifier(SNAPSHOT);
        let shared = shared.send().await.unwrap().db_snapshot_attributes_result.unwrap();
        let shared = shared.db_snapshot_attributes.unwrap_or_default();
        let (all, accounts): (Vec<_>, Vec<_>) =
            shared.iter().flat_map(|one| one.attribute_values()).partition(|account| *account == "all");
        state.insert("rds.snapshot-public", format!("{all:?}"));
        state.insert("rds.snapshot-shared", format!("{accounts:?}"));

        let versioning = s3.get_bucket_versioning().bucket(bucket).send().await.unwrap().status;
        state.insert("s3.versioning", format!("{versioning:?}"));
        let open = s3.get_public_access_block().bucket(bucket).send().await;
        let open = absent(open, "NoSuchPublicAccessBlockConfiguration")
            .and_then(|found| found.public_access_block_configuration);
        state.insert("s3.public-access-block", format!("{open:?}"));
        let encryption = s3.get_bucket_encryption().bucket(bucket).send().await;
        let encryption = absent(encryption, "ServerSideEncryptionConfigurationNotFoundError")
            .and_then(|found| found.server_side_encryption_configuration);
        state.insert("s3.encryption", format!("{encryption:?}"));
        let (ours, others): (Vec<_>, Vec<_>) =
            self.lifecycle(bucket).await.into_iter().partition(|rule| rule.id() == Some(OURS));
        let of_ours = |part: fn(&LifecycleRule) -> Option<String>| {
            let parts = ours.iter().filter_map(|rule| Some((part(rule)?, &rule.status, &rule.filter)));
            format!("{:?}", parts.collect::<Vec<_>>())
        };
        let noncurrent = of_ours(|rule| Some(format!("{:?}", rule.noncurrent_version_expiration.as_ref()?)));
        let incomplete =
            of_ours(|rule| Some(format!("{:?}", rule.abort_incomplete_multipart_upload.as_ref()?)));
        state.insert("s3.noncurrent", noncurrent);
        state.insert("s3.incomplete-uploads", incomplete);
        let (tls, statements): (Vec<_>, Vec<_>) =
            self.statements(bucket).await.into_iter().partition(|statement| statement["Sid"] == TLS_ONLY);
        state.insert("s3.tls-only", format!("{tls:?}"));
        state.insert(ATTACHMENTS, format!("{others:?} {statements:?}"));

        let mut table = self.table("DescribeTable", json!({"TableName": TABLE})).await["Table"].take();
        let protected = table.as_object_mut().unwrap().remove("DeletionProtectionEnabled");
        state.insert("terraform.lock-protection", (protected == Some(json!(true))).to_string());
        state.insert(TABLE, table.to_string());
        let backups = self.table("DescribeContinuousBackups", json!({"TableName": TABLE})).await;
        let recovery = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
        state.insert("terraform.lock-recovery", recovery["PointInTimeRecoveryStatus"].to_string());
        state
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

    /// Requests a needed repair; returns its changing calls.
    async fn repair_needed(&self, rule: &str) -> Vec<String> {
        let before = self.cloud.last_call().await;
        let done = self.repair(rule, repaired_by(rule), true).await;
        let done = done.unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert_eq!(
            (&done["outcome"], &done["after"]),
            (&json!("applied"), &json!("holds")),
            "{rule}: {done}"
        );
        let mut calls = self.cloud.changes(before).await;
        // The note of the chain's start follows the records 1, 2, 4 and so on; the first record is old.
        if (1 + self.cloud.evidence("backup-audit").await.len()).is_power_of_two() {
            assert_eq!(calls.remove(RECORDED + 1), "s3:PutObject", "{rule}: {calls:?}");
        }
        calls
    }

    /// Whether every started repair has its record.
    async fn is_concluded(&self) -> bool {
        self.cloud.json(&note("repairs")).await.is_none_or(|open| open == json!([]))
    }

    /// The repairs in records and channel, by rule. Each record has the state before and after, and the rule failed before.
    async fn accounts(&self) -> BTreeMap<String, Account> {
        let mut accounts = BTreeMap::<String, Account>::new();
        for record in self.repairs().await {
            let outcome = |name: &str| {
                let steps = record["steps"].as_array().unwrap();
                let step = steps.iter().find(|step| step["name"] == name);
                step.and_then(|step| step["outcome"].as_str()).unwrap_or_default().to_owned()
            };
            let (before, change, after) = (outcome("before"), outcome("change"), outcome("after"));
            let holds = after == "holds";
            assert!(!before.is_empty() && before != "holds" && !change.is_empty(), "{record}");
            assert!(holds || after == before, "{record}");
            assert_eq!(record["result"], if holds { "succeeded" } else { "failed" }, "{record}");
            let rule = record["run_id"].as_str().unwrap().split('/').nth(1).unwrap();
            accounts.entry(rule.to_owned()).or_default().records.push(Repaired { holds, change });
        }
        let messages = self.cloud.messages("Correção de backup").await;
        for (rule, account) in &mut accounts {
            account.reported = messages.iter().filter(|text| text.contains(&format!("*{rule}*"))).count();
        }
        accounts
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

    /// Changes the function's settings, as a deployment does; the others are the stack's.
    async fn configure(&self, timeout: i32, settings: &[(&str, &str)]) {
        let function = self.cloud.function();
        let found =
            self.cloud.lambda.get_function_configuration().function_name(&function).send().await.unwrap();
        let before = found.environment().unwrap().variables().unwrap();
        let mut variables = before.clone();
        for (name, value) in [("GRAFANA_BUCKET", ""), ("GRAFANA_URL", "")].iter().chain(settings) {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        if variables == *before && found.timeout() == Some(timeout) {
            return;
        }
        let environment =
            aws_sdk_lambda::types::Environment::builder().set_variables(Some(variables)).build();
        let update = self.cloud.lambda.update_function_configuration().function_name(function);
        update.timeout(timeout).environment(environment).send().await.unwrap();
    }
}

/// Messages and records of a rule's repairs.
#[derive(Debug, Default)]
struct Account {
    records: Vec<Repaired>,
    /// Number of messages in the channel.
    reported: usize,
}

impl Account {
    /// Whether all records describe one change, and one of them shows that it helped.
    fn is_of_one_change(&self) -> bool {
        self.records.iter().all(|record| record.change == self.records[0].change)
            && self.records.iter().any(|record| record.holds)
    }
}

/// A repair in a record.
#[derive(Debug)]
struct Repaired {
    /// Whether the rule passed when it was checked again.
    holds: bool,
    change: String,
}

/// The resource that the tests break for a rule that has a repair.
fn repaired_by(rule: &str) -> &'static str {
    match rule.split_once('.').unwrap() {
        ("rds", of) if of.starts_with("snapshot-") => SNAPSHOT,
        ("rds", _) => INSTANCE,
        ("s3", _) => ATTACHMENTS,
        _ => TABLE,
    }
}

/// None if S3 answers that nothing is configured.
fn absent<T, E: ProvideErrorMetadata + std::fmt::Debug>(found: Result<T, E>, code: &str) -> Option<T> {
    match found {
        Err(error) if error.code() == Some(code) => None,
        found => Some(found.unwrap()),
    }
}

/// The keys that differ.
fn differ(before: &State, after: &State) -> Vec<&'static str> {
    before.iter().filter(|(key, state)| after[*key] != **state).map(|(key, _)| *key).collect()
}

fn note(run_id: &str) -> String {
    format!("runs/backup-audit/{}.json", sha256(run_id.as_bytes()))
}

fn now() -> jiff::Timestamp {
    shared::runtime::time::now()
}

fn ago(seconds: i64) -> String {
    (now() - jiff::SignedDuration::from_secs(seconds)).to_string()
}

fn today() -> String {
    shared::runtime::time::local_date(now())
}

fn case(name: &str) -> Value {
    let path = format!("{}/cases/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// tests/cases/16: stopped over the weekend.
#[tokio::test]
async fn a_stopped_database_pages_nobody_and_what_is_reported_starts_it() {
    let world = World::fresh().await;
    let case = case("16-rds-instance-stopped.json");
    assert_eq!(case["DBInstanceIdentifier"], INSTANCE);
    let stop = world.cloud.rds.stop_db_instance().db_instance_identifier(INSTANCE);
    stop.send().await.unwrap();
    let status = async || {
        let found = world.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await;
        found.unwrap().db_instances()[0].db_instance_status().unwrap().to_owned()
    };
    let is_stopped = async || (case["DBInstanceStatus"] == status().await).then_some(());
    eventually("a stopped instance", is_stopped).await;
    // The same number of hours ago as on the case's Monday.
    let hours = |field: &str| {
        let at = |field: &str| -> jiff::Timestamp {
            case[field].as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        at("_now").duration_since(at(field)).as_secs()
    };
    world.snapshots_of(hours("_newest automated snapshot")).await;
    world.instance(json!({"latest_restorable": ago(hours("LatestRestorableTime"))})).await;
    let report = world.audit().await;
    for (rule, expected) in [
        ("rds.snapshot-fresh", "pass"),
        ("rds.point-in-time", "pass"),
        ("rds.state", "pass"),
        ("rds.stopped", "fail"),
    ] {
        assert_eq!(world.verdict(&report, rule, INSTANCE).await, expected, "{rule}");
    }
    assert_eq!(world.pages("rds.").await, 0);
    let findings = report["findings"].as_array().unwrap();
    let stopped = findings.iter().find(|one| one["rule"] == "rds.stopped").unwrap();
    let reported = stopped["next_step"].as_str().unwrap();
    assert!(
        reported.starts_with(&format!("aws rds start-db-instance --db-instance-identifier {INSTANCE} && "))
    );
    world.cloud.rds.start_db_instance().db_instance_identifier(INSTANCE).send().await.unwrap();
    world.available().await;
}

/// tests/cases/08: AWS Backup owns the instance's backups.
#[tokio::test]
async fn what_aws_backup_owns_is_judged_by_its_plan_and_not_repaired() {
    let world = World::fresh().await;
    let point = case("08-rds-instance-owned-by-aws-backup.json")["AwsBackupRecoveryPointArn"].clone();
    world.modify(|change| change.backup_retention_period(3)).await;
    world.instance(json!({"recovery_point": point})).await;
    let plan = world.plan(json!(["arn:aws:rds:*:*:db:*", format!("arn:aws:s3:::{ATTACHMENTS}")]), 3).await;
    let before = world.cloud.last_call().await;
    let report = world.audit().await;
    let findings = report["findings"].as_array().unwrap();
    let short = findings.iter().find(|one| one["rule"] == "rds.retention").unwrap();
    let found = short["found"].as_str().unwrap();
    assert_eq!(found, format!("AWS Backup: plan daily ({plan}), rule continuous: DeleteAfterDays 3"));
    let reported = short["next_step"].as_str().unwrap();
    assert!(
        reported.contains("aws backup update-backup-plan") && !reported.contains("aws rds"),
        "{reported}"
    );
    assert!(
        !world.cloud.changes(before).await.iter().any(|call| call.starts_with("rds:")),
        "a repair that RDS refuses"
    );
    let refused = world.repair("rds.retention", INSTANCE, true).await.unwrap_err();
    assert_eq!(refused["errorType"], "RepairRefused", "{refused}");
    assert_eq!(world.verdict(&report, "rds.backup-plan", INSTANCE).await, "pass");
    assert_eq!(world.verdict(&report, "account.in-backup-plan", ATTACHMENTS).await, "pass");
    assert_eq!(world.verdict(&report, "account.in-backup-plan", TABLE).await, "fail");
    // RDS's settings are unchanged; the plan is repaired.
    world.drop_plan(&plan).await;
    let plan = world.plan(json!(["arn:aws:rds:*:*:db:*"]), 7).await;
    assert_eq!(world.verdict(&world.audit().await, "rds.retention", INSTANCE).await, "pass");
    world.drop_plan(&plan).await;
    world.instance(json!({"recovery_point": null})).await;
    world.good().await;
}

/// tests/cases/11a: the backups of an Aurora cluster are the cluster's.
#[tokio::test]
async fn a_cluster_answers_for_its_members() {
    let world = World::fresh().await;
    let case = case("11a-aurora-member.json");
    let cluster = case["DBClusterIdentifier"].as_str().unwrap();
    let member = format!("{cluster}-aurora-1");
    let engine = case["Engine"].as_str().unwrap();
    let rds = &world.cloud.rds;
    let made = rds.create_db_cluster().db_cluster_identifier(cluster).engine(engine);
    let made = made.master_username("app").master_user_password("not-a-secret-1").backup_retention_period(1);
    made.send().await.unwrap();
    let made = rds.create_db_instance().db_instance_identifier(&member).db_cluster_identifier(cluster);
    made.engine(engine).db_instance_class("db.r6g.large").send().await.unwrap();
    let is_available = async || {
        let found = rds.describe_db_clusters().db_cluster_identifier(cluster).send().await.unwrap();
        let found = &found.db_clusters()[0];
        (found.status() == Some("available") && !found.db_cluster_members().is_empty()).then_some(())
    };
    eventually("a cluster that is available", is_available).await;
    let order = json!({"cluster": cluster, "created": ago(30 * DAY)});
    world.cloud.admin(Method::POST, "rds/cluster", Some(order)).await;
    let order = json!({"cluster": cluster, "created": ago(3600)});
    world.cloud.admin(Method::POST, "rds/automated-cluster-snapshot", Some(order)).await;
    let snapshot = format!("{cluster}-shared");
    let taken = rds.create_db_cluster_snapshot().db_cluster_identifier(cluster);
    taken.db_cluster_snapshot_identifier(&snapshot).send().await.unwrap();
    eventually("a cluster snapshot", async || {
        let found =
            rds.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(&snapshot).send().await;
        (found.unwrap().db_cluster_snapshots()[0].status() == Some("available")).then_some(())
    })
    .await;
    let share = rds.modify_db_cluster_snapshot_attribute().db_cluster_snapshot_identifier(&snapshot);
    share.attribute_name("restore").values_to_add("all").send().await.unwrap();

    let report = world.audit().await;
    let verdicts = world.verdicts(&report).await;
    let of = |rule: &str, name: &str| verdicts.get(&(rule.to_owned(), name.to_owned())).map(String::as_str);
    for (rule, expected) in [
        ("rds.retention", "fail"),
        ("rds.backups-on", "pass"),
        ("rds.snapshot-fresh", "pass"),
        ("rds.point-in-time", "pass"),
        ("rds.encryption", "fail"),
        ("rds.deletion-protection", "fail"),
    ] {
        assert_eq!(of(rule, cluster), Some(expected), "{rule}");
        assert_eq!(of(rule, &member), None, "{rule}");
    }
    assert!(of("rds.public", &member).is_some() && of("rds.public", cluster).is_none());
    assert_eq!(of("rds.snapshot-public", &snapshot), Some("fail"));
    assert_eq!(of("audit.coverage", "rds:clusters"), Some("pass"));
    assert_eq!(world.pages("rds.snapshot-public").await, 1);
    assert_eq!(world.pages("rds.snapshot-fresh").await, 0);
    // All repairable findings were repaired.
    let repaired = world.audit().await;
    for (rule, name) in [
        ("rds.retention", cluster),
        ("rds.deletion-protection", cluster),
        ("rds.copy-tags", cluster),
        ("rds.snapshot-public", &snapshot),
    ] {
        assert_eq!(world.verdict(&repaired, rule, name).await, "pass", "{rule}");
    }
    // The template may name the cluster, or the member.
    for name in [cluster, &member] {
        world.configure(900, &[("DATABASE_INSTANCE_ID", name)]).await;
        assert_eq!(world.verdict(&world.audit().await, "rds.exists", name).await, "pass", "{name}");
    }
    world.configure(900, &[("DATABASE_INSTANCE_ID", INSTANCE)]).await;

    rds.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(&snapshot).send().await.unwrap();
    let delete = rds.delete_db_instance().db_instance_identifier(&member).skip_final_snapshot(true);
    delete.send().await.unwrap();
    let open = rds.modify_db_cluster().db_cluster_identifier(cluster).deletion_protection(false);
    open.apply_immediately(true).send().await.unwrap();
    eventually("a cluster without members", async || {
        let delete = rds.delete_db_cluster().db_cluster_identifier(cluster).skip_final_snapshot(true);
        delete.send().await.is_ok().then_some(())
    })
    .await;
}

/// A copy that waits for its switchover is named, and its backups are not required.
#[tokio::test]
async fn the_copy_of_a_blue_green_deployment_is_named_and_pages_nobody() {
    let world = World::fresh().await;
    let found = world.cloud.rds.describe_db_instances().db_instance_identifier(INSTANCE).send().await;
    let arn = found.unwrap().db_instances()[0].db_instance_arn().unwrap().to_owned();
    let deployment = |source: &str, target: &str| json!({"BlueGreenDeploymentIdentifier": "bgd-1", "Source": source, "Target": target, "Status": "AVAILABLE"});
    world.snapshots_of(3 * DAY).await;
    world.deployments(&[deployment("arn:aws:rds:us-east-1:000000000000:db:blue", &arn)]).await;
    let report = world.audit().await;
    let verdicts = world.verdicts(&report).await;
    let of = |rule: &str| verdicts.get(&(rule.to_owned(), INSTANCE.to_owned())).map(String::as_str);
    assert_eq!((of("rds.blue-green"), of("rds.snapshot-fresh")), (Some("fail"), None));
    assert_eq!(world.pages("rds.").await, 0);
    world.deployments(&[deployment(&arn, "arn:aws:rds:us-east-1:000000000000:db:green")]).await;
    world.next_day().await;
    let report = world.audit().await;
    assert_eq!(world.verdict(&report, "rds.snapshot-fresh", INSTANCE).await, "fail");
    world.deployments(&[]).await;
    world.good().await;
}

#[tokio::test]
async fn every_rule_is_judged_on_real_answers_and_what_is_repaired_passes_the_next_time() {
    let world = World::fresh().await;
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    let mut note = |verdicts: BTreeMap<(String, String), String>| {
        for ((rule, resource), verdict) in verdicts {
            assert_ne!(verdict, "unknown", "{rule} of {resource}");
            seen.entry(rule).or_default().insert(verdict);
        }
    };
    world.bad().await;
    // The stack's defaults require neither two zones, an export of Grafana nor a load balancer, and have no expired
    // exception.
    let exception = json!({"rule": "rds.encryption", "resource": "no-such-instance", "reason": "r", "owner": "o", "until": "2026-01-31"});
    let policy = json!({"backups": {"audit": {"multi_az": ["dev"], "exceptions": [exception]}}});
    world.cloud.set_policy(&policy).await;
    world.configure(900, &[("GRAFANA_BUCKET", GRAFANA), ("GRAFANA_URL", "https://grafana.example")]).await;
    world.balance(Some(0)).await;
    world.export(Some(400 * DAY)).await;
    world.exported(400 * DAY).await;
    let plan = world.plan(json!([format!("arn:aws:rds:*:*:db:{INSTANCE}")]), 35).await;
    world.announce(&["failure"], "2026-01-01T00:00:00Z").await;
    let first = world.audit().await;
    assert_eq!(first["result"], "failed");
    note(world.verdicts(&first).await);
    world.drop_plan(&plan).await;
    // Time and a person fix these; the run repaired the rest.
    world.good().await;
    world.modify(|change| change.multi_az(true)).await;
    world.balance(Some(60)).await;
    world.export(Some(60)).await;
    world.exported(60).await;
    note(world.verdicts(&world.audit().await).await);
    world.modify(|change| change.multi_az(false)).await;
    world.balance(None).await;
    world.export(None).await;
    world.cloud.wipe("runs/grafana-export/").await;
    world.configure(900, &[]).await;
    world.cloud.forget_policy().await;
    world.modify(|change| change.backup_retention_period(0)).await;
    note(world.verdicts(&world.audit().await).await);
    world.modify(|change| change.backup_retention_period(7)).await;

    let unjudged: Vec<_> = backup_audit::rules().filter(|rule| !seen.contains_key(*rule)).collect();
    assert_eq!(unjudged, [""; 0]);
    for rule in REPAIRS.into_iter().chain(BOTH_WAYS) {
        assert_eq!(seen[rule], BTreeSet::from(["fail".to_owned(), "pass".to_owned()]), "{rule}");
    }
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
    let written = record["findings"].as_array().unwrap();
    assert_eq!(written.len(), open.len());
    // By its role, the governance page gives a bucket's finding to its control.
    let is_of_bucket = |line: &&str| line.split(' ').nth(1).unwrap().starts_with("s3.");
    let of_buckets: Vec<_> = written.iter().map(|line| line.as_str().unwrap()).filter(is_of_bucket).collect();
    let is_of_attachments = |line: &&str| line.contains(ATTACHMENTS) && line.ends_with(", role: attachments");
    assert!(of_buckets.iter().any(is_of_attachments), "{of_buckets:#?}");
    assert!(of_buckets.iter().all(|line| line.contains(", role: ")), "{of_buckets:#?}");
    let reported = world.cloud.messages("Auditoria de backup").await;
    assert_eq!(reported.len(), 1, "{reported:#?}");
    assert!(reported[0].contains("reports/backup-audit/"), "{reported:?}");
}

#[tokio::test]
async fn the_channel_hears_what_is_new_and_what_is_resolved_and_nothing_else() {
    let world = World::fresh().await;
    // The first run repairs, the second reports that the repair helped.
    for _ in 0..2 {
        world.audit().await;
        world.next_day().await;
    }
    world.audit().await;
    let monday =
        now().to_zoned_datetime(shared::runtime::time::SAO_PAULO).weekday() == jiff::civil::Weekday::Monday;
    assert_eq!(world.cloud.messages("Auditoria de backup").await.len(), usize::from(monday));

    world.next_day().await;
    let order = json!({"bucket": UPLOADS, "key": ".moveongs-sync", "last_modified": ago(27 * 3600)});
    world.cloud.admin(Method::POST, "s3/object", Some(order)).await;
    let report = world.audit().await;
    assert_eq!(report["new"], 1, "{report}");
    let reported = world.cloud.messages("s3.uploads-fresh").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].contains("aws s3 sync") && reported[0].contains("Próximo passo"), "{reported:?}");

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
    world.cloud.deny("rds", "DescribeDBInstances").await;
    world.cloud.deny("rds", "DescribeDBSnapshots").await;
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

    // An open problem that the run could not check is not resolved.
    world.next_day().await;
    world.cloud.admin(Method::DELETE, "faults", None).await;
    let seen = world.audit().await;
    assert!(world.verdict(&seen, "rds.parameter-group", INSTANCE).await == "fail", "{seen}");
    world.next_day().await;
    world.cloud.deny("rds", "DescribeDBInstances").await;
    let unseen = world.audit().await;
    let lines = world.report(&unseen, "findings.jsonl").await;
    assert!(lines.contains("rds.parameter-group"), "{lines}");
}

#[tokio::test]
async fn a_first_week_sends_one_summary_and_one_page_of_what_is_critical() {
    let world = World::fresh().await;
    // Most stacks are deployed without repairs.
    let function = world.cloud.function();
    let found =
        world.cloud.lambda.get_function_configuration().function_name(&function).send().await.unwrap();
    let repairs = found.environment().unwrap().variables().unwrap()["BACKUP_REPAIRS"].clone();
    world.configure(900, &[("BACKUP_REPAIRS", "")]).await;
    world.bad().await;
    let report = world.audit().await;
    let before = report["paged"].as_array().unwrap().len();
    assert!(before > 2, "{report}");

    world.forget_all().await;
    world.cloud.admin(Method::DELETE, "slack/messages", None).await;
    for _ in 0..2 {
        let again = world.audit().await;
        assert_eq!(again["counts"]["fail"], report["counts"]["fail"]);
        assert!(again["paged"].as_array().unwrap().len() <= 1, "{again}");
    }
    eventually("the page", async || (world.pages("first-week").await == 1).then_some(())).await;
    let reported = world.cloud.messages("Auditoria de backup").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    for part in ["Primeira semana", "Por regra", "Fazer primeiro", "1. *rds.", "reports/backup-audit/"] {
        assert!(reported[0].contains(part), "{part} is not in {}", reported[0]);
    }
    let record = world.cloud.record_of(&today()).await.unwrap();
    assert!(!record["findings"].as_array().unwrap().is_empty(), "{record}");
    world.configure(900, &[("BACKUP_REPAIRS", &repairs)]).await;
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
    // Throttled evidence does not create new findings or a second page.
    world.next_day().await;
    world.cloud.calm().await;
    let first = json!({"service": "s3", "action": "ListObjectsV2", "effect": "throttle", "count": 100});
    world.cloud.fault(first).await;
    let throttled = world.audit().await;
    assert_eq!((&throttled["new"], &throttled["counts"]["unknown"]), (&json!(0), &json!(0)), "{throttled}");
    let again = world.audit().await;
    assert_eq!(again["paged"], json!([]), "{again}");
    world.cloud.admin(Method::DELETE, "seed", None).await;
}

#[tokio::test]
async fn a_run_whose_time_is_over_says_what_it_did_not_see() {
    let world = World::fresh().await;
    // The first run repairs, the second reports that the repair helped.
    for _ in 0..2 {
        world.audit().await;
        world.next_day().await;
    }
    // Nearly all of this time is reserved for reports, and one bucket does not answer within it.
    world.configure(153, &[]).await;
    world.cloud.fault(json!({"service": "s3", "action": "GetBucketVersioning", "resource": format!("arn:aws:s3:::{STATE}"), "effect": "timeout", "seconds": 15})).await;
    let report = world.audit().await;
    world.configure(900, &[]).await;
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
    assert!(found.contains("out of time") && found.contains(STATE), "{found}");
    assert_eq!(report["resolved"], 0, "{report}");
}

#[tokio::test]
async fn an_exception_holds_until_its_day_and_is_a_finding_after_it() {
    let world = World::fresh().await;
    let day =
        |days: i64| shared::runtime::time::local_date(now() + jiff::SignedDuration::from_hours(24 * days));
    let exception = |rule: &str, until: String| json!({"rule": rule, "resource": "moveongs-dev-*", "reason": "até a migração", "owner": "Squad Dados", "until": until});
    let exceptions =
        json!([exception("rds.parameter-group", day(1)), exception("rds.subnet-group", day(-2))]);
    let policy = json!({"backups": {"audit": {"exceptions": exceptions}}});
    world.cloud.set_policy(&policy).await;
    let report = world.audit().await;
    world.cloud.forget_policy().await;
    assert_eq!(world.verdict(&report, "rds.parameter-group", INSTANCE).await, "excepted");
    assert_eq!(world.verdict(&report, "rds.subnet-group", INSTANCE).await, "fail");
    assert_eq!(
        world.verdict(&report, "audit.exception-expired", "rds.subnet-group moveongs-dev-*").await,
        "fail"
    );
    let reported = world.cloud.messages("rds.parameter-group").await;
    assert!(reported.iter().all(|message| message.contains("Squad Dados")), "{reported:?}");
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
    let reported = world.cloud.messages("Correção de backup aplicada").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    let again = world.repair("rds.deletion-protection", INSTANCE, true).await.unwrap();
    assert_eq!(again["outcome"], "not needed");
    assert_eq!(world.repairs().await.len(), 1);
}

#[tokio::test]
async fn a_repair_whose_record_was_refused_is_recorded_by_the_next_audit() {
    let world = World::fresh().await;
    world.modify(|change| change.deletion_protection(false)).await;
    let records = format!("arn:aws:s3:::{EVIDENCE}/evidence/*");
    world.cloud.fault(json!({"service": "s3", "action": "PutObject", "resource": records, "effect": "error", "status": 400, "code": "Down", "count": 0})).await;
    let applied = world.repair("rds.deletion-protection", INSTANCE, true).await.unwrap();
    assert_eq!(applied["outcome"], "applied");
    assert!(world.repairs().await.is_empty());
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.audit().await;
    let mut records = world.repairs().await;
    records.retain(|record| record["run_id"].as_str().unwrap().contains("rds.deletion-protection"));
    let [record] = records.as_slice() else { panic!("{records:?}") };
    let steps = record["steps"].to_string();
    assert!(steps.contains("DeletionProtection false") && steps.contains("holds"), "{steps}");
    assert!(world.is_concluded().await);
}

#[tokio::test]
async fn a_repair_keeps_what_people_have_set_up() {
    let world = World::fresh().await;
    world.set_up_by_people(UPLOADS).await;
    for rule in ["s3.tls-only", "s3.noncurrent", "s3.incomplete-uploads"] {
        assert_eq!(world.repair(rule, UPLOADS, true).await.unwrap()["outcome"], "applied", "{rule}");
    }
    let policy = json!(world.statements(UPLOADS).await).to_string();
    assert!(policy.contains(THEIRS) && policy.contains("aws:SecureTransport"), "{policy}");
    let rules = world.lifecycle(UPLOADS).await;
    let ids: Vec<_> = rules.iter().map(|rule| rule.id().unwrap()).collect();
    assert_eq!(ids, [THEIRS, OURS]);
    let ours = rules.last().unwrap();
    assert_eq!(ours.noncurrent_version_expiration().unwrap().noncurrent_days(), Some(30));
    assert_eq!(ours.abort_incomplete_multipart_upload().unwrap().days_after_initiation(), Some(7));
}

/// The cases of tests/cases/07-s3-account-level-block.json, 10a-bucket-policy-boolifexists.json and
/// 17-lifecycle-tmp-prefix.json.
#[tokio::test]
async fn a_buckets_policy_is_evaluated_and_the_accounts_block_counts() {
    let world = World::fresh().await;
    let block = async |on: bool| {
        let all = json!({"BlockPublicAcls": on, "IgnorePublicAcls": on, "BlockPublicPolicy": on, "RestrictPublicBuckets": on});
        world.cloud.admin(Method::POST, "s3/account-block", Some(json!({"block": all}))).await;
    };
    let case: Value =
        serde_json::from_str(include_str!("../cases/10a-bucket-policy-boolifexists.json")).unwrap();
    let arns = [format!("arn:aws:s3:::{ATTACHMENTS}"), format!("arn:aws:s3:::{ATTACHMENTS}/*")];
    let mut tls = case["Statement"][0].clone();
    tls["Resource"] = json!(arns);
    let allow = |principal: Value| json!({"Sid": THEIRS, "Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": arns[1]});
    let before = world.statements(ATTACHMENTS).await;
    world.bucket_part(ATTACHMENTS, "closed", None).await;
    let tmp = LifecycleRule::builder().id("tmp").status(ExpirationStatus::Enabled);
    let tmp = tmp.filter(LifecycleRuleFilter::builder().prefix("tmp/").build());
    let tmp = tmp.expiration(LifecycleExpiration::builder().days(3).build()).build().unwrap();
    let rules = world.lifecycle(ATTACHMENTS).await;
    world.set_lifecycle(ATTACHMENTS, [rules.clone(), vec![tmp]].concat()).await;
    let look = async || world.cloud.invoke(json!({"resource": ATTACHMENTS})).await.unwrap();
    let found = |report: &Value, rule: &str| {
        let all = report["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["rule"] == rule).cloned().unwrap_or_default()
    };
    let stranger = allow(json!({"AWS": format!("arn:aws:iam::{STRANGER}:root")}));
    world.set_statements(ATTACHMENTS, &[tls.clone(), stranger]).await;
    let report = look().await;
    assert_eq!(found(&report, "s3.tls-only"), Value::Null, "{report}");
    assert_eq!(found(&report, "s3.public-access-block")["verdict"], "fail");
    let expiration = found(&report, "s3.expiration").to_string();
    assert!(expiration.contains("rule tmp, tmp/"), "{expiration}");
    let foreign = found(&report, "s3.foreign-access");
    assert!(foreign["verdict"] == "fail" && foreign.to_string().contains(STRANGER), "{foreign}");
    // The advised commands help, once an editor has removed the statement.
    let command = foreign["next_step"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let edit = "python3 -c \"import json, sys; p = json.load(open(sys.argv[1])); p['Statement'].pop(); json.dump(p, open(sys.argv[1], 'w'))\"";
    let editor = folder.path().join("editor");
    std::fs::write(&editor, format!("#!/bin/sh\n{edit} \"$1\"\n")).unwrap();
    let script =
        format!("cd {0}; chmod +x editor; EDITOR={1}; {command}", folder.path().display(), editor.display());
    crate::advice::run(&world.cloud, &script);
    let report = look().await;
    assert_eq!(found(&report, "s3.foreign-access"), Value::Null, "{report}");
    world.set_statements(ATTACHMENTS, &[tls, allow(json!("*"))]).await;
    let report = look().await;
    let public = found(&report, "s3.public");
    assert_eq!((&public["verdict"], &public["severity"]), (&json!("fail"), &json!("critical")), "{report}");
    block(true).await;
    let report = look().await;
    for rule in ["s3.public", "s3.public-access-block"] {
        assert_eq!(found(&report, rule), Value::Null, "{report}");
    }
    // If reading the account's block is refused, only the rules that depend on it are unknown.
    world.cloud.deny("s3control", "GetPublicAccessBlock").await;
    let report = look().await;
    for rule in ["s3.public", "s3.public-access-block"] {
        assert_eq!(found(&report, rule)["verdict"], "unknown", "{report}");
    }
    crate::advice::run(&world.cloud, public["next_step"].as_str().unwrap());
    let report = look().await;
    for rule in ["s3.public", "s3.public-access-block"] {
        assert_eq!(found(&report, rule), Value::Null, "{report}");
    }
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.cloud.admin(Method::POST, "s3/account-block", Some(json!({"block": null}))).await;
    world.set_statements(ATTACHMENTS, &before).await;
    world.set_lifecycle(ATTACHMENTS, rules).await;
}

#[tokio::test]
async fn each_refusal_says_why_and_changes_nothing() {
    let world = World::fresh().await;
    let kind = |answer: Result<Value, Value>| answer.unwrap_err()["errorType"].as_str().unwrap().to_owned();
    assert_eq!(kind(world.cloud.invoke(json!({"resource": "*"})).await), "InvalidEvent");
    assert_eq!(kind(world.cloud.invoke(json!({"resource": "moveongs-prod-db"})).await), "NotFound");
    for rule in backup_audit::rules().filter(|rule| !REPAIRS.contains(rule)) {
        assert_eq!(kind(world.repair(rule, INSTANCE, true).await), "NoRepair", "{rule}");
    }
    assert_eq!(kind(world.repair("s3.versioning", "somebody-elses-bucket", true).await), "NotFound");
    // Changing the retention from 0 causes an outage, which a person must choose.
    world.modify(|change| change.backup_retention_period(0)).await;
    assert_eq!(kind(world.repair("rds.retention", INSTANCE, true).await), "RepairRefused");
    world.modify(|change| change.backup_retention_period(7)).await;
    // No request repairs the evidence bucket.
    let suspended = world.cloud.s3.get_bucket_versioning().bucket(EVIDENCE).send().await.unwrap();
    assert!(suspended.status().is_some());
    world.cloud.s3.delete_public_access_block().bucket(EVIDENCE).send().await.unwrap();
    assert_eq!(kind(world.repair("s3.public-access-block", EVIDENCE, true).await), "RepairRefused");
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
    assert!(world.is_concluded().await);
}

#[tokio::test]
async fn every_crash_point_ends_with_the_repair_done_recorded_and_one_record_of_the_day() {
    matrix::write("backup-audit", &matrix::points_and_reads(12, crash).await, json!({}));
}

/// Kills the function at a call; `None` when it makes fewer calls.
async fn crash(kill: matrix::Kill) -> Option<Value> {
    let world = World::fresh().await;
    world.bucket_part(UPLOADS, "versioning", None).await;
    // A cold start reads the policy, always at the same point.
    world.cloud.restart().await;
    let (operation, answer) = kill.during(&world.cloud, &json!({})).await;
    let at = format!("{kill} ({operation:?})");
    world.cloud.admin(Method::DELETE, "faults", None).await;
    if answer.is_none() {
        world.audit().await;
    }
    assert!(world.is_versioned(UPLOADS).await, "{at}");
    assert!(world.is_concluded().await, "{at}: a repair without its record");
    let repairs: Vec<_> = world
        .repairs()
        .await
        .into_iter()
        .filter(|record| record["steps"].to_string().contains("Versioning := Enabled"))
        .collect();
    // A run that dies between note and change leaves the note. The next run ends it, then makes the change itself.
    assert!((1..=2).contains(&repairs.len()), "{at}: {repairs:?}");
    assert!(
        repairs.iter().any(|record| record["steps"].to_string().contains("Versioning Suspended")),
        "{at}: {repairs:?}"
    );
    let days = world.cloud.evidence("backup-audit").await;
    assert_eq!(days.iter().filter(|(_, record)| record["run_id"] == today()).count(), 1, "{at}");
    let reported = world.cloud.messages("Auditoria de backup").await.len();
    assert!((1..=2).contains(&reported), "{at}: reported {reported} times");
    answer.is_none().then(
        || json!({"operation": operation, "end": "succeeded", "repairs": repairs.len(), "reported": reported}),
    )
}

/// Calls for reports, which change no audited resource.
const SAYING: [&str; 3] = ["s3:PutObject", "slack:chat.postMessage", "sns:Publish"];

/// The changing calls of a repair, in order: its note, the change, the message, the note of the record's place, the
/// record, the end of its note.
const NOTED: usize = 0;
const CHANGED: usize = 1;
const REPORTED: usize = 2;
const RECORDED: usize = 4;
const CALLS: usize = 6;

/// An environment in which an audit finds nothing to repair, with people's settings beside those of repairs.
async fn in_order() -> (World, State) {
    let world = World::fresh().await;
    world.snapshot().await;
    world.set_up_by_people(ATTACHMENTS).await;
    // Break everything first: a correct setting may differ from a repair's result.
    for rule in REPAIRS {
        world.spoil(rule, repaired_by(rule)).await;
    }
    world.audit().await;
    world.forget().await;
    let again = world.audit().await;
    assert_eq!(again["repaired"], json!([]), "{again}");
    let state = world.state().await;
    (world, state)
}

impl World {
    /// Breaks everything that has a repair, before any report or record.
    async fn spoiled(&self, good: &State) -> State {
        self.forget().await;
        for rule in REPAIRS {
            self.spoil(rule, repaired_by(rule)).await;
        }
        self.cloud.admin(Method::DELETE, "slack/messages", None).await;
        let state = self.state().await;
        assert_eq!(BTreeSet::from_iter(differ(good, &state)), BTreeSet::from(REPAIRS));
        state
    }
}

#[tokio::test]
async fn every_repair_that_is_asked_for_twice_is_one_change_and_one_record() {
    let (world, good) = in_order().await;
    let mut before = world.spoiled(&good).await;
    for rule in REPAIRS {
        let calls = world.repair_needed(rule).await;
        assert_eq!(calls.len(), CALLS, "{rule}: {calls:?}");
        let last = world.cloud.last_call().await;
        let again = world.repair(rule, repaired_by(rule), true).await.unwrap();
        assert_eq!(
            (&again["outcome"], &again["change"]),
            (&json!("not needed"), &json!("")),
            "{rule}: {again}"
        );
        assert_eq!(world.cloud.changes(last).await, [""; 0], "{rule}");
        let after = world.state().await;
        assert_eq!(differ(&before, &after), [rule]);
        assert!(world.is_concluded().await, "{rule}");
        before = after;
    }
    assert_eq!(differ(&good, &before), [""; 0]);
    let accounts = world.accounts().await;
    assert_eq!(accounts.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(REPAIRS));
    for (rule, account) in accounts {
        assert!(account.is_of_one_change(), "{rule}: {account:?}");
        assert_eq!((account.records.len(), account.reported), (1, 1), "{rule}: {account:?}");
    }
}

#[tokio::test]
async fn a_repair_that_is_asked_for_while_it_is_made_ends_with_the_rule_held_and_nothing_open() {
    let (world, good) = in_order().await;
    for rule in ["rds.deletion-protection", "s3.tls-only", "terraform.lock-recovery"] {
        world.forget().await;
        world.spoil(rule, repaired_by(rule)).await;
        let calls = world.repair_needed(rule).await;
        world.forget().await;
        world.spoil(rule, repaired_by(rule)).await;
        world.cloud.calm().await;
        // The first is held at its change until the second has ended.
        let (service, action) = calls[CHANGED].split_once(':').unwrap();
        world
            .cloud
            .fault(json!({"service": service, "action": action, "effect": "timeout", "seconds": 600}))
            .await;
        let first = world.repair(rule, repaired_by(rule), true);
        let second = async {
            eventually("the change that is held", async || {
                (world.cloud.hits("timeout").await == 1).then_some(())
            })
            .await;
            let second = world.repair(rule, repaired_by(rule), true).await;
            world.cloud.admin(Method::DELETE, "faults", None).await;
            second
        };
        let both = futures_util::future::join(first, second).await;
        let both = [both.0, both.1].map(|done| done.unwrap_or_else(|error| panic!("{rule}: {error}")));
        assert!(both.iter().all(|done| done["outcome"] != "unconfirmed"), "{rule}: {both:?}");
        assert_eq!(differ(&good, &world.state().await), [""; 0], "{rule}");
        assert!(world.is_concluded().await, "{rule}");
        let account = &world.accounts().await[rule];
        assert!(account.is_of_one_change() && account.records.len() == 1, "{rule}: {account:?}");
    }
}

#[tokio::test]
async fn what_is_broken_again_before_a_dead_repair_is_tidied_up_has_a_record_of_its_own() {
    let (world, good) = in_order().await;
    let rule = "rds.deletion-protection";
    world.forget().await;
    world.spoil(rule, INSTANCE).await;
    let calls = world.repair_needed(rule).await;
    world.forget().await;
    world.spoil(rule, INSTANCE).await;
    // The run dies between the record and the end of its note.
    let (service, action) = calls[RECORDED].split_once(':').unwrap();
    let nth = calls[..=RECORDED].iter().filter(|call| **call == calls[RECORDED]).count();
    world
        .cloud
        .fault(json!({"service": service, "action": action, "effect": "kill", "when": "after", "nth": nth}))
        .await;
    world.repair(rule, INSTANCE, true).await.unwrap_err();
    world.cloud.admin(Method::DELETE, "faults", None).await;
    assert_eq!(world.repairs().await.len(), 1);
    assert!(!world.is_concluded().await);

    world.spoil(rule, INSTANCE).await;
    world.repair_needed(rule).await;
    assert_eq!(differ(&good, &world.state().await), [""; 0]);
    assert_eq!(world.repairs().await.len(), 2);
    assert!(world.is_concluded().await);
}

#[tokio::test]
async fn every_repair_that_dies_ends_with_the_rule_held_one_change_and_its_record() {
    let (world, good) = in_order().await;
    world.spoiled(&good).await;
    let mut calls = BTreeMap::new();
    for rule in REPAIRS {
        let of_rule = world.repair_needed(rule).await;
        assert_eq!(of_rule.len(), CALLS, "{rule}: {of_rule:?}");
        let changed: Vec<_> = (0..CALLS).filter(|n| !SAYING.contains(&of_rule[*n].as_str())).collect();
        assert_eq!(changed, [CHANGED], "{rule}: {of_rule:?}");
        assert_eq!(of_rule[REPORTED], "slack:chat.postMessage", "{rule}: {of_rule:?}");
        calls.insert(rule, of_rule);
    }
    let mut points = Vec::new();
    // After the change, a repeated request only reads that nothing is needed: every second kill point is enough.
    let every: [fn(usize) -> bool; 2] = [|_| true, |_| false];
    for is_asked_again in every {
        points.extend(all_die(&world, &good, &calls, ("before", NOTED), is_asked_again).await);
        points.extend(all_die(&world, &good, &calls, ("after", NOTED), is_asked_again).await);
        points.extend(all_die(&world, &good, &calls, ("after", CHANGED), is_asked_again).await);
    }
    for nth in REPORTED..CALLS {
        points.extend(
            all_die(&world, &good, &calls, ("after", nth), |rule| (rule + nth).is_multiple_of(2)).await,
        );
    }
    let killed = points
        .iter()
        .map(|point| (point["rule"].to_string(), point["when"].to_string(), point["call"].to_string()));
    assert_eq!(killed.collect::<BTreeSet<_>>().len(), REPAIRS.len() * (1 + CALLS));
    matrix::write("backup-repairs", &points, json!({"repairs": REPAIRS.len()}));
}

/// Kills every repair at the same call, then requests it again or not, and ends with the daily audit.
async fn all_die(
    world: &World,
    good: &State,
    calls: &BTreeMap<&str, Vec<String>>,
    (when, nth): (&str, usize),
    is_asked_again: impl Fn(usize) -> bool,
) -> Vec<Value> {
    let at = |rule: &str| {
        let call = calls.get(rule).map(|calls| &calls[nth]);
        format!("{rule}, killed {when} call {nth} ({call:?})")
    };
    let is_changed = when == "after" && nth >= CHANGED;
    let mut before = world.spoiled(good).await;
    let first = world.cloud.last_call().await;
    for (index, rule) in REPAIRS.into_iter().enumerate() {
        let (service, action) = calls[rule][nth].split_once(':').unwrap();
        let same = calls[rule][..=nth].iter().filter(|call| **call == calls[rule][nth]).count();
        let kill = json!({"service": service, "action": action, "effect": "kill", "when": when, "nth": same});
        world.cloud.fault(kill).await;
        let died = world.repair(rule, repaired_by(rule), true).await;
        assert!(died.is_err() && world.cloud.hits("kill").await == 1, "{}: {died:?}", at(rule));
        world.cloud.admin(Method::DELETE, "faults", None).await;
        if is_asked_again(index) {
            let again = world.repair(rule, repaired_by(rule), true).await;
            let again = again.unwrap_or_else(|error| panic!("{}: {error}", at(rule)));
            let expected = if is_changed { "not needed" } else { "applied" };
            assert_eq!(again["outcome"], expected, "{}: {again}", at(rule));
        }
        let after = world.state().await;
        let expected = if is_changed || is_asked_again(index) { vec![rule] } else { vec![] };
        assert_eq!(differ(&before, &after), expected, "{}", at(rule));
        before = after;
    }
    let report = world.audit().await;

    let every = at("every repair");
    assert_eq!(differ(good, &world.state().await), [""; 0], "{every}: {report}");
    assert!(world.is_concluded().await, "{every}: {report}");
    let mut made = world.cloud.changes(first).await;
    made.retain(|call| !SAYING.contains(&call.as_str()));
    let mut wanted: Vec<_> = calls.values().map(|calls| calls[CHANGED].clone()).collect();
    made.sort();
    wanted.sort();
    assert_eq!(made, wanted, "{every}");
    // If a run died between its note and the change, the audit concludes the note and another run has made the change. A
    // message may be sent twice, but never lost.
    let is_only_noted = when == "after" && nth == NOTED;
    let is_unrecorded = when == "after" && (REPORTED..RECORDED).contains(&nth);
    let accounts = world.accounts().await;
    let point = |(index, rule): (usize, &str)| {
        let account = accounts.get(rule).unwrap_or_else(|| panic!("{}: no record", at(rule)));
        let (records, reported) = (account.records.len(), account.reported);
        assert!(account.is_of_one_change(), "{}: {account:?}", at(rule));
        assert!((1..=1 + usize::from(is_only_noted)).contains(&records), "{}: {account:?}", at(rule));
        assert!(
            (1..=1 + usize::from(is_only_noted || is_unrecorded)).contains(&reported),
            "{}: {account:?}",
            at(rule)
        );
        json!({"rule": rule, "when": when, "call": nth, "operation": calls[rule][nth],
            "asked_again": is_asked_again(index), "end": "succeeded", "records": records, "reported": reported})
    };
    REPAIRS.into_iter().enumerate().map(point).collect()
}

/// Neither a metric without an alarm nor an alarm whose actions are off causes a page.
#[tokio::test]
async fn errors_in_the_applications_logs_need_a_metric_and_an_alarm_and_the_commands_make_both() {
    let world = World::fresh().await;
    let shell = |command: &str| advice::run(&world.cloud, command);
    let clean = || {
        shell(
            "aws logs delete-metric-filter --log-group-name /aws/ecs/moveongs-dev-api --filter-name unhandled-error || true",
        );
        shell("aws cloudwatch delete-alarms --alarm-names moveongs-dev-api-unhandled-error");
    };
    shell("aws logs create-log-group --log-group-name /aws/ecs/moveongs-dev-api || true");
    clean();
    let finding = async || {
        let report = world.audit().await;
        let all = report["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["rule"] == "account.log-filters").cloned()
    };
    let reported = |finding: Option<Value>, field: &str| finding.unwrap()[field].as_str().unwrap().to_owned();

    let first = finding().await;
    assert_eq!(reported(first.clone(), "found"), "no metric filter on /aws/ecs/moveongs-dev-api");
    let command = reported(first, "next_step");
    let (filter, _) = command.split_once("; ").unwrap();
    shell(filter);
    let second = finding().await;
    assert_eq!(reported(second.clone(), "found"), "no alarm with an action on moveongs/dev UnhandledErrors");
    shell(&reported(second, "next_step"));
    assert_eq!(finding().await, None);

    shell("aws cloudwatch disable-alarm-actions --alarm-names moveongs-dev-api-unhandled-error");
    assert!(finding().await.is_some());
    // Both at once, as in the message of an account without either.
    clean();
    shell(&command);
    assert_eq!(finding().await, None);
    clean();
}
