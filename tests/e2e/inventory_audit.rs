//! `inventory-audit` against the local cloud: every kind of finding from real resources and realistic states, with
//! page, message, table and record; unreadable facts; the state after a crash.
//!
//! Audits the stack's own inventory. A test begins with an empty chain and without findings.

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_secretsmanager::types::Tag;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, EVIDENCE, eventually};
use crate::matrix;

const QUEUE: &str = "inventory-audit-pages";
const STATE_BUCKET: &str = "moveongs-dev-terraform-state";
const STATE_KEY: &str = "moveongs/dev/terraform.tfstate";
/// Key below the prefix of the environment's other states.
const PART_KEY: &str = "moveongs/dev/parts/database.tfstate";
const ATTACHMENTS: &str = "moveongs-dev-attachments";
const LOG_GROUP: &str = "/aws/ecs/moveongs-dev-api";
const INSTANCE: &str = "moveongs-dev-db";
const CLUSTER: &str = "moveongs-dev-cluster";
/// The inventory's only secret that the stack does not create.
const REDIS: &str = "moveongs-dev-redis-url";
/// A resource outside the inventory.
const OTHER: &str = "moveongs-dev-inventory-test";
const SECRET_IN_STATE: &str = "a-password-of-the-state-in-clear";
const ACCOUNT: &str = "us-east-1:000000000000";
const TAGS: [(&str, &str); 3] = [("Project", "moveongs"), ("Environment", "dev"), ("ManagedBy", "terraform")];

struct World {
    cloud: Cloud,
    /// Earlier pages.
    pages: usize,
}

impl World {
    /// A world without record, note or fault, with every resource of the inventory in AWS, in the state, and tagged.
    async fn fresh() -> Self {
        let cloud = Cloud::connect("inventory-audit").await;
        cloud.calm().await;
        for kind in ["evidence", "runs"] {
            cloud.wipe(&format!("{kind}/inventory-audit/")).await;
        }
        cloud.begin_long_ago("inventory-audit").await;
        let pages = cloud.listen_to_pages(QUEUE).await;
        let world = Self { cloud, pages };
        world.with_policy(&reachable()).await;
        cloud_has_runbooks(&world.cloud).await;
        world.forget(OTHER).await;
        world.forget(REDIS).await;
        world.create(REDIS, &TAGS).await;
        world.tag_bucket(&TAGS).await;
        world.log_group(true).await;
        world.put_state(&world.state().await).await;
        world.forget_state(PART_KEY).await;
        world
    }

    /// Puts a policy in force that has been reported before, so that the next audit reports the inventory only.
    async fn with_policy(&self, policy: &Value) {
        self.cloud.set_policy(policy).await;
        self.cloud.invoke(json!({"policy": true})).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Removes secrets that only this module's tests need: the audit of secrets would report them.
    async fn end(self) {
        self.cloud.calm().await;
        self.cloud.forget_policy().await;
        for folder in ["evidence/policy/", "runs/policy/"] {
            self.cloud.wipe(folder).await;
        }
        self.forget(REDIS).await;
        self.forget(OTHER).await;
        self.forget_state(PART_KEY).await;
    }

    async fn forget_state(&self, key: &str) {
        self.cloud.s3.delete_object().bucket(STATE_BUCKET).key(key).send().await.unwrap();
    }

    async fn create(&self, name: &str, tags: &[(&str, &str)]) {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
        let made = self.cloud.secrets.create_secret().name(name).secret_string(SECRET_IN_STATE);
        made.set_tags(Some(tags)).send().await.unwrap();
    }

    async fn forget(&self, name: &str) {
        let gone = self.cloud.secrets.delete_secret().secret_id(name).force_delete_without_recovery(true);
        // It may not exist.
        let _ = gone.send().await;
    }

    async fn tag_bucket(&self, tags: &[(&str, &str)]) {
        let tags = tags
            .iter()
            .map(|(key, value)| aws_sdk_s3::types::Tag::builder().key(*key).value(*value).build().unwrap());
        let tagging =
            aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(tags.collect())).build().unwrap();
        self.cloud.s3.put_bucket_tagging().bucket(ATTACHMENTS).tagging(tagging).send().await.unwrap();
    }

    /// Creates or removes the application's log group.
    async fn log_group(&self, is_there: bool) {
        let _ = self.cloud.logs.delete_log_group().log_group_name(LOG_GROUP).send().await;
        if is_there {
            let tags = TAGS.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
            let made = self.cloud.logs.create_log_group().log_group_name(LOG_GROUP).set_tags(Some(tags));
            made.send().await.unwrap();
        }
    }

    async fn arn(&self, secret: &str) -> String {
        self.cloud.secrets.describe_secret().secret_id(secret).send().await.unwrap().arn.unwrap()
    }

    /// A Terraform state with the whole inventory and a secret value.
    async fn state(&self) -> Value {
        let managed = |kind: &str, attributes: Value| {
            json!({"module": "module.app[\"main\"]", "mode": "managed", "type": kind, "name": "this",
                "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
                "instances": [{"index_key": 0, "schema_version": 1, "attributes": attributes, "private": "bnVsbA=="}]})
        };
        let service = format!("arn:aws:ecs:{ACCOUNT}:service/{CLUSTER}/moveongs-dev-api");
        let mut resources = vec![
            managed(
                "aws_ecs_cluster",
                json!({"arn": format!("arn:aws:ecs:{ACCOUNT}:cluster/{CLUSTER}"), "name": CLUSTER}),
            ),
            managed("aws_ecs_service", json!({"id": service, "name": "moveongs-dev-api"})),
            managed(
                "aws_db_instance",
                json!({"arn": format!("arn:aws:rds:{ACCOUNT}:db:{INSTANCE}"), "id": "db-ABC", "password": null}),
            ),
            managed(
                "aws_s3_bucket",
                json!({"arn": format!("arn:aws:s3:::{ATTACHMENTS}"), "bucket": ATTACHMENTS}),
            ),
            managed(
                "aws_cloudwatch_log_group",
                json!({"arn": format!("arn:aws:logs:{ACCOUNT}:log-group:{LOG_GROUP}:*"), "name": LOG_GROUP}),
            ),
            json!({"mode": "managed", "type": "random_string", "name": "x", "provider": "p",
                "instances": [{"attributes": {"id": SECRET_IN_STATE, "result": SECRET_IN_STATE}}]}),
        ];
        for secret in self.secrets().await {
            let arn = self.arn(&secret).await;
            resources
                .push(managed("aws_secretsmanager_secret", json!({"arn": arn, "id": arn, "name": secret})));
        }
        json!({"version": 4, "terraform_version": "1.9.8", "serial": 7, "lineage": "x",
            "outputs": {"url": {"value": SECRET_IN_STATE, "type": "string"}}, "resources": resources})
    }

    /// The secrets of the environment, by their tags.
    async fn secrets(&self) -> Vec<String> {
        let mut pages = self.cloud.secrets.list_secrets().into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            for secret in page.unwrap().secret_list() {
                if secret
                    .tags()
                    .iter()
                    .any(|tag| tag.key() == Some("ManagedBy") && tag.value() == Some("terraform"))
                {
                    names.push(secret.name().unwrap().to_owned());
                }
            }
        }
        names
    }

    async fn put_state(&self, state: &Value) {
        self.put(state.to_string().into_bytes()).await;
    }

    async fn put(&self, bytes: Vec<u8>) {
        self.put_at(STATE_KEY, bytes).await;
    }

    async fn put_at(&self, key: &str, bytes: Vec<u8>) {
        let put = self.cloud.s3.put_object().bucket(STATE_BUCKET).key(key);
        put.body(ByteStream::from(bytes)).send().await.unwrap();
    }

    /// Invokes the function as the schedule does.
    async fn audit(&self) -> Value {
        self.cloud.invoke(json!({})).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The findings of an audit, as `kind name: finding …`.
    async fn findings(&self) -> Vec<String> {
        findings(&self.audit().await)
    }

    /// Pages with one dedup key since this world began.
    async fn pages(&self, key: &str) -> Vec<Value> {
        let all = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        all.filter(|page| page["MessageAttributes"]["dedup_key"]["Value"] == key).collect()
    }

    /// The table's line of a resource.
    async fn line(&self, name: &str) -> String {
        let table = self.cloud.text("inventory/inventory.csv").await;
        let line = table.lines().find(|line| line.contains(&format!(",{name},")));
        line.unwrap_or_else(|| panic!("{name}: {table}")).to_owned()
    }
}

/// A policy under which a page reaches each squad.
fn reachable() -> Value {
    let squads = ["Backend", "Dados", "Infra", "Observability", "Security"];
    let squad = |name: &str| (format!("Squad {name}"), json!({"contacts": [{"slack": "S0000SQUAD"}]}));
    let squads: serde_json::Map<_, _> = squads.into_iter().map(squad).collect();
    json!({"incidents": {"squads": squads}})
}

/// Puts the runbooks that the stack's alarms name into the repository, and nothing else.
async fn cloud_has_runbooks(cloud: &Cloud) {
    cloud.admin(Method::DELETE, "github/repository", None).await;
    for name in ["api-disponibilidade", "api-latencia", "database-pool", "jobs-falhando"] {
        cloud.commit(&format!("docs/observability/runbooks/{name}.md"), "# Runbook").await;
    }
}

fn findings(report: &Value) -> Vec<String> {
    let rows = report["resources"].as_array().unwrap().iter();
    let wrong = rows.filter(|row| !row["findings"].as_array().unwrap().is_empty());
    let line = |row: &Value| {
        let kinds: Vec<_> =
            row["findings"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
        format!("{} {}: {}", row["kind"].as_str().unwrap(), row["name"].as_str().unwrap(), kinds.join(" "))
    };
    wrong.map(line).collect()
}

fn missing(name: &str) -> String {
    format!("inventory-audit/secret/{name}/Missing")
}

#[tokio::test]
async fn an_inventory_in_order_has_no_finding_and_a_table_with_its_people() {
    let world = World::fresh().await;
    let before = world.cloud.last_call().await;
    let report = world.audit().await;
    assert_eq!((findings(&report), &report["result"]), (vec![], &json!("succeeded")), "{report}");
    let rows = report["resources"].as_array().unwrap();
    for row in rows {
        let is_state_bucket = row["name"] == STATE_BUCKET;
        assert_eq!((&row["exists"], &row["tags"]), (&json!("ok"), &json!("ok")), "{row}");
        assert_eq!(row["terraform"], if is_state_bucket { "" } else { "ok" }, "{row}");
    }
    let areas: BTreeSet<_> = rows.iter().map(|row| row["area"].as_str().unwrap()).collect();
    assert_eq!(areas.len(), 6, "{areas:?}");
    assert_eq!(
        world.line(INSTANCE).await,
        format!(
            "database,rds-instance,{INSTANCE},arn:aws:rds:{ACCOUNT}:db:{INSTANCE},Squad Dados,Squad Infra,ok,ok,ok,"
        )
    );
    // Reads, the table's note and the record; no other call.
    let calls: BTreeSet<_> = world.cloud.calls(before).await.0.into_iter().collect();
    let expected = [
        "cloudcontrol:GetResource",
        "cloudcontrol:ListResources",
        "ecs:DescribeClusters",
        "ecs:DescribeServices",
        "github:GET /contents",
        "github:GET /git/ref",
        "logs:DescribeLogGroups",
        "logs:ListTagsForResource",
        "rds:DescribeDBInstances",
        "s3:GetBucketLifecycleConfiguration",
        "s3:GetBucketTagging",
        "s3:GetBucketVersioning",
        "s3:GetObject",
        "s3:ListObjectVersions",
        "s3:ListObjectsV2",
        "s3:PutObject",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "slack:chat.postMessage",
        "tagging:GetResources",
    ];
    assert!(calls.iter().all(|call| expected.contains(&call.as_str())), "{calls:?}");
    let record = world.cloud.record_of(report["run_id"].as_str().unwrap()).await.unwrap();
    assert_eq!((&record["result"], &record["findings"]), (&json!("succeeded"), &json!([])));
    let steps = record["steps"].to_string();
    assert!(steps.contains(&format!("s3://{STATE_BUCKET}/{STATE_KEY}: serial 7, S3 version ")), "{steps}");
    // The same event again belongs to the same run.
    let again = world.audit().await;
    assert_eq!(again["run_id"], report["run_id"]);
    assert_eq!(world.cloud.evidence("inventory-audit").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_missing_resource_is_paged_once_a_day_with_its_people_reported_and_recorded() {
    let world = World::fresh().await;
    world.audit().await;
    world.forget(REDIS).await;
    world.log_group(false).await;
    let report = world.audit().await;
    let mut found = findings(&report);
    found.sort_unstable();
    assert_eq!(found, [format!("log-group {LOG_GROUP}: Missing"), format!("secret {REDIS}: Missing")]);
    assert_eq!(report["result"], "failed");
    assert_eq!(report["paged"].as_array().unwrap().len(), 2, "{report}");
    let page = eventually("the page", async || world.pages(&missing(REDIS)).await.pop()).await;
    assert_eq!(page["Subject"], format!("[dev] Missing: secret {REDIS}"));
    let text = page["Message"].as_str().unwrap();
    for part in ["Responsável: Squad Infra, backup: Squad Security", "terraform apply"] {
        assert!(text.contains(part), "{text}");
    }
    let reported = world.cloud.messages(REDIS).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(
        reported[0].contains("Squad Security") && reported[0].contains("Próximo passo"),
        "{}",
        reported[0]
    );
    // The second audit adds no page, message or record.
    let again = world.audit().await;
    assert_eq!((&again["run_id"], &again["paged"]), (&report["run_id"], &json!([])));
    assert_eq!(world.pages(&missing(REDIS)).await.len(), 1);
    assert_eq!(world.cloud.messages(REDIS).await.len(), 1);
    assert_eq!(world.cloud.evidence("inventory-audit").await.len(), 2);
    // A fix is reported and recorded on the same day.
    world.create(REDIS, &TAGS).await;
    world.log_group(true).await;
    world.put_state(&world.state().await).await;
    let repaired = world.audit().await;
    assert_eq!((findings(&repaired), &repaired["result"]), (vec![], &json!("succeeded")));
    let reported = world.cloud.messages(&format!("Missing secret {REDIS}")).await;
    assert!(reported.len() == 1 && reported[0].contains("Resolvido"), "{reported:?}");
    let records = world.cloud.evidence("inventory-audit").await;
    assert_eq!(records.len(), 3);
    assert_eq!(records[2].1["result"], "succeeded");
    world.end().await;
}

#[tokio::test]
async fn what_would_keep_a_page_from_people_is_a_finding_before_the_night() {
    let world = World::fresh().await;
    let mut policy = reachable();
    policy["incidents"]["people"] =
        json!({"Ana": {"phone": "+5511912345678"}, "Bia": {"slack": "U00000BIA"}});
    policy["incidents"]["squads"]["Squad Infra"] = json!({"contacts": []});
    policy["incidents"]["squads"]["Squad Dados"] = json!({
        "rotation": {"every": "daily", "at": "09:00", "starts": "2026-01-01", "people": ["Ana", "Bia"]}
    });
    world.with_policy(&policy).await;
    let mut found = world.findings().await;
    found.sort_unstable();
    let expected = [
        "on-call Squad Dados/Ana: PersonUnreachable PhoneUnverified",
        "on-call Squad Infra: SquadUnreachable",
    ];
    assert_eq!(found, expected);
    let reported = world.cloud.messages("SquadUnreachable").await;
    assert!(reported.len() == 1 && reported[0].contains("cargo xtask policy apply"), "{reported:?}");
    world.with_policy(&reachable()).await;
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn a_runbook_that_an_alarm_names_is_looked_for_in_the_repository() {
    let world = World::fresh().await;
    let alarm = async |name: &str, description: &str| {
        let fields = [
            ("AlarmName", name),
            ("AlarmDescription", description),
            ("Namespace", "AWS/ApplicationELB"),
            ("MetricName", "HTTPCode_Target_5XX_Count"),
            ("Statistic", "Sum"),
            ("Period", "60"),
            ("EvaluationPeriods", "1"),
            ("Threshold", "1"),
            ("ComparisonOperator", "GreaterThanThreshold"),
        ];
        world.cloud.query("monitoring", "PutMetricAlarm", &fields).await;
    };
    let names = ["moveongs-dev-test-5xx", "moveongs-dev-test-pool"];
    alarm(names[0], "severity=S1 runbook_url=README.md").await;
    alarm(names[1], "runbook_url=docs/gone.md").await;
    assert_eq!(world.findings().await, ["runbook docs/gone.md: RunbookMissing"]);
    // What could not be read is not in order. The stack's own alarms may name runbooks, too.
    let config = async |repository: &str| {
        world.cloud.admin(Method::POST, "github/config", Some(json!({"repository": repository}))).await;
    };
    config("moveongs/other").await;
    let mut found = world.findings().await;
    found.retain(|finding| !finding.contains("runbooks/"));
    found.sort_unstable();
    assert_eq!(found, ["README.md", "docs/gone.md"].map(|link| format!("runbook {link}: RunbookUnchecked")));
    config("moveongs/governance").await;
    let deleted = [("AlarmNames.member.1", names[0]), ("AlarmNames.member.2", names[1])];
    world.cloud.query("monitoring", "DeleteAlarms", &deleted).await;
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn in_the_first_week_what_is_missing_from_the_start_waits_and_what_is_gone_pages() {
    let world = World::fresh().await;
    for kind in ["evidence", "runs"] {
        world.cloud.wipe(&format!("{kind}/inventory-audit/")).await;
    }
    world.forget(REDIS).await;
    let report = world.audit().await;
    assert_eq!((findings(&report), &report["paged"]), (vec![format!("secret {REDIS}: Missing")], &json!([])));
    let reported = world.cloud.messages(REDIS).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    for part in ["Primeira semana", "1 página(s)", "Missing 1", "inventory/inventory.csv"] {
        assert!(reported[0].contains(part), "{part} is not in {}", reported[0]);
    }
    world.log_group(false).await;
    let report = world.audit().await;
    assert_eq!(
        report["paged"],
        json!([format!("inventory-audit/log-group/{LOG_GROUP}/Missing")]),
        "{report}"
    );
    world.log_group(true).await;
    world.end().await;
}

#[tokio::test]
async fn a_resource_that_is_being_deleted_counts_as_missing() {
    let world = World::fresh().await;
    let gone = world.cloud.secrets.delete_secret().secret_id(REDIS).recovery_window_in_days(7);
    gone.send().await.unwrap();
    assert_eq!(world.findings().await, [format!("secret {REDIS}: Missing")]);
    world.cloud.secrets.restore_secret().secret_id(REDIS).send().await.unwrap();
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn tags_that_are_missing_or_say_something_else_are_found_and_the_command_repairs_them() {
    let world = World::fresh().await;
    world.tag_bucket(&[("Project", "moveongs"), ("Environment", "prod")]).await;
    assert_eq!(world.findings().await, [format!("s3-bucket {ATTACHMENTS}: TagsMissing")]);
    let reported = world.cloud.messages("TagsMissing").await;
    let command = format!(
        "tag-resources --resource-arn-list arn:aws:s3:::{ATTACHMENTS} --tags Environment=dev,ManagedBy=terraform"
    );
    assert!(reported.iter().any(|text| text.contains(&command)), "{reported:?}");
    let tags = json!({"ResourceARNList": [format!("arn:aws:s3:::{ATTACHMENTS}")],
        "Tags": {"Environment": "dev", "ManagedBy": "terraform"}});
    world.cloud.json_call("tagging", "ResourceGroupsTaggingAPI_20170126.TagResources", tags).await;
    assert_eq!(world.findings().await, [""; 0]);
    // No tags at all.
    world.cloud.s3.delete_bucket_tagging().bucket(ATTACHMENTS).send().await.unwrap();
    assert_eq!(world.findings().await, [format!("s3-bucket {ATTACHMENTS}: TagsMissing")]);
    assert!(world.line(ATTACHMENTS).await.ends_with(",ok,finding,ok,TagsMissing"));
    world.end().await;
}

#[tokio::test]
async fn what_terraform_does_not_know_and_what_the_inventory_does_not_have_is_listed() {
    let world = World::fresh().await;
    let mut state = world.state().await;
    let kinds = state["resources"].as_array_mut().unwrap();
    kinds.retain(|resource| resource["type"] != "aws_db_instance");
    world.put_state(&state).await;
    assert_eq!(world.findings().await, [format!("rds-instance {INSTANCE}: NotInState")]);
    let reported = world.cloud.messages("terraform import aws_db_instance.NOME").await;
    assert_eq!(reported.len(), 1);

    // A data source only reads.
    let mut state = world.state().await;
    for resource in state["resources"].as_array_mut().unwrap() {
        if resource["type"] == "aws_ecs_cluster" {
            resource["mode"] = json!("data");
        }
    }
    world.put_state(&state).await;
    assert_eq!(world.findings().await, [format!("ecs-cluster {CLUSTER}: NotInState")]);

    // A secret made by hand with the project's tags: first in neither inventory nor state, then in the state only.
    world.create(OTHER, &TAGS).await;
    let mut whole = world.state().await;
    let (others, own): (Vec<_>, Vec<_>) = whole["resources"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .partition(|resource| resource["instances"][0]["attributes"]["name"] == OTHER);
    assert_eq!(others.len(), 1);
    whole["resources"] = json!(own);
    world.put_state(&whole).await;
    assert_eq!(world.findings().await, [format!("secret {OTHER}: NotInState NotInInventory")]);
    world.put_state(&world.state().await).await;
    assert_eq!(world.findings().await, [format!("secret {OTHER}: NotInInventory")]);
    assert!(world.line(OTHER).await.starts_with(",secret,"));
    // The list still contains a resource being deleted; a read shows that it is gone.
    let gone = world.cloud.secrets.delete_secret().secret_id(OTHER).recovery_window_in_days(7);
    gone.send().await.unwrap();
    assert_eq!(world.findings().await, [""; 0]);
    // Tagged with the project, but without an environment.
    world.forget(OTHER).await;
    world.create(OTHER, &TAGS[..1]).await;
    assert_eq!(world.findings().await, [format!("secret {OTHER}: TagsMissing")]);
    world.forget(OTHER).await;
    world.create(OTHER, &[("Project", "moveongs"), ("Environment", "prod")]).await;
    assert_eq!(world.findings().await, [""; 0]);
    // The stack's own resources, which carry the tags too, were never listed.
    let table = world.cloud.text("inventory/inventory.csv").await;
    assert!(!table.contains("moveongs-dev-inventory-audit") && !table.contains("dead-letters"), "{table}");
    world.end().await;
}

#[tokio::test]
async fn more_than_a_page_of_others_is_listed_whole() {
    let world = World::fresh().await;
    let names: Vec<_> = (0..101).map(|number| format!("{OTHER}-{number:03}")).collect();
    for name in &names {
        world.create(name, &TAGS).await;
    }
    let mut found = world.findings().await;
    for name in &names {
        world.forget(name).await;
    }
    found.sort_unstable();
    let expected = names.iter().map(|name| format!("secret {name}: NotInState NotInInventory"));
    assert_eq!(found, expected.collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_said_and_nothing_counts_as_compared() {
    let world = World::fresh().await;
    world.audit().await;
    let unread = [format!("terraform-state {STATE_KEY}: StateUnreadable")];
    for (bytes, reason) in [
        (json!({"version": 3, "modules": []}).to_string().into_bytes(), "version 3"),
        (json!({"serial": 1, "encrypted_data": SECRET_IN_STATE}).to_string().into_bytes(), "no version"),
        (SECRET_IN_STATE.as_bytes().to_vec(), "not a Terraform state"),
        (vec![b' '; 33 * 1024 * 1024], "larger than 32 MiB"),
    ] {
        world.put(bytes).await;
        let report = world.audit().await;
        assert_eq!((findings(&report), &report["result"]), (unread.to_vec(), &json!("failed")));
        let rows = report["resources"].as_array().unwrap();
        let states: BTreeSet<_> = rows.iter().map(|row| row["terraform"].as_str().unwrap()).collect();
        assert_eq!(states, BTreeSet::from(["", "unverified"]), "{report}");
        assert!(!world.cloud.log_lines(reason).await.is_empty(), "{reason} is not reported");
    }
    world.cloud.s3.delete_object().bucket(STATE_BUCKET).key(STATE_KEY).send().await.unwrap();
    assert_eq!(world.findings().await, unread);
    world.put_state(&world.state().await).await;
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn an_environment_with_several_states_has_all_of_them_read() {
    let world = World::fresh().await;
    let mut app = world.state().await;
    let (database, others): (Vec<_>, Vec<_>) = app["resources"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .partition(|resource| resource["type"] == "aws_db_instance");
    app["resources"] = json!(others);
    world.put_state(&app).await;
    assert_eq!(world.findings().await, [format!("rds-instance {INSTANCE}: NotInState")]);
    // The database is in a state below the prefix.
    let part = json!({"version": 4, "serial": 3, "resources": database});
    world.put_at(PART_KEY, part.to_string().into_bytes()).await;
    assert_eq!(world.findings().await, [""; 0]);
    // A file beside a state is not a state.
    world.put_at(&format!("{PART_KEY}.backup"), b"x".to_vec()).await;
    assert_eq!(world.findings().await, [""; 0]);
    world.forget_state(&format!("{PART_KEY}.backup")).await;
    // The database is in both states.
    world.put_state(&world.state().await).await;
    assert_eq!(world.findings().await, [format!("rds-instance {INSTANCE}: InTwoStates")]);
    let reported = world.cloud.messages("InTwoStates").await;
    // The command as the channel's JSON escapes it.
    let command = r#"`terraform state rm 'module.app[\"main\"].aws_db_instance.this[0]'`"#;
    assert!(reported.iter().any(|text| text.contains(command) && text.contains(PART_KEY)), "{reported:?}");
    // An unreadable state may contain a resource that all others lack.
    world.put_state(&app).await;
    world.put_at(PART_KEY, b"x".to_vec()).await;
    let report = world.audit().await;
    assert_eq!(findings(&report), [format!("terraform-state {PART_KEY}: StateUnreadable")]);
    assert!(world.line(INSTANCE).await.ends_with(",ok,ok,unverified,"));
    assert!(world.line(ATTACHMENTS).await.ends_with(",ok,ok,ok,"));
    world.end().await;
}

#[tokio::test]
async fn a_member_of_an_aurora_cluster_is_known_by_its_own_type() {
    let world = World::fresh().await;
    let case = include_str!("../cases/11b-terraform-state-aurora-member.json");
    let case = case.replace("us-east-1:123456789012", ACCOUNT);
    let mut state = world.state().await;
    state["resources"].as_array_mut().unwrap().retain(|resource| resource["type"] != "aws_db_instance");
    world.put_state(&state).await;
    world.put_at(PART_KEY, case.into_bytes()).await;
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn a_secrets_value_in_a_state_is_found_and_written_nowhere() {
    let world = World::fresh().await;
    let arn = world.arn(REDIS).await;
    let case = include_str!("../cases/09a-terraform-state-holds-the-value.json");
    let case =
        case.replace("arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3", &arn);
    let value = "dev-secret-change-me";
    assert!(case.contains(value));
    let mut held: Value = serde_json::from_str(&case).unwrap();
    // The secret itself is in the other state.
    held["resources"].as_array_mut().unwrap().remove(0);
    world.put_at(PART_KEY, held.to_string().into_bytes()).await;
    assert_eq!(world.findings().await, [format!("secret {REDIS}: ValueInState")]);
    let reported = world.cloud.messages("ValueInState").await;
    let command = "`terraform state rm aws_secretsmanager_secret_version.jwt`";
    assert!(reported.iter().any(|text| text.contains(command)), "{reported:?}");
    for text in reported.iter().chain(&world.cloud.log_lines("ValueInState").await) {
        assert!(!text.contains(value), "{text}");
    }
    for prefix in ["evidence/inventory-audit/", "inventory/"] {
        for key in world.cloud.keys(prefix).await {
            assert!(!world.cloud.text(&key).await.contains(value), "{key}");
        }
    }
    // The effect of the advised command.
    held["resources"] = json!([]);
    world.put_at(PART_KEY, held.to_string().into_bytes()).await;
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn settings_that_aws_shows_otherwise_than_the_state_are_found() {
    let world = World::fresh().await;
    let mut state = world.state().await;
    let resources = state["resources"].as_array_mut().unwrap();
    for resource in resources.iter_mut() {
        let attributes = &mut resource["instances"][0]["attributes"];
        if attributes["name"] == LOG_GROUP {
            attributes["retention_in_days"] = json!(30);
        }
    }
    resources.push(
        json!({"mode": "managed", "type": "aws_s3_bucket_lifecycle_configuration", "name": "this",
        "instances": [{"attributes": {"bucket": ATTACHMENTS, "rule": [{"id": "old", "status": "Enabled",
            "noncurrent_version_expiration": [{"noncurrent_days": 365}]}]}}]}),
    );
    world.put_state(&state).await;
    let rows = ["log-group", "s3-bucket"]
        .map(|kind| format!("{kind} {}: Drift", if kind == "log-group" { LOG_GROUP } else { ATTACHMENTS }));
    let report = world.audit().await;
    assert_eq!(findings(&report), rows);
    let reported = world.cloud.messages("retention_in_days").await;
    let command = r#"`terraform plan -target='module.app[\"main\"].aws_cloudwatch_log_group.this[0]'`"#;
    assert!(
        reported.iter().any(|text| text.contains(command) && text.contains("`0`") && text.contains("`30`")),
        "{reported:?}"
    );
    let kept = world.cloud.logs.put_retention_policy().log_group_name(LOG_GROUP).retention_in_days(30);
    kept.send().await.unwrap();
    assert_eq!(world.findings().await, [rows[1].clone()]);
    // An unread resource is not verified.
    world.cloud.deny("s3", "GetBucketLifecycleConfiguration").await;
    assert_eq!(world.findings().await, [format!("s3-bucket {ATTACHMENTS}: InsufficientData")]);
    world.end().await;
}

#[tokio::test]
async fn a_call_that_is_throttled_is_asked_again() {
    let world = World::fresh().await;
    for (service, action) in [("rds", "DescribeDBInstances"), ("tagging", "GetResources")] {
        // The SDK's standard retries end with the third attempt.
        world
            .cloud
            .fault(json!({"service": service, "action": action, "effect": "throttle", "count": 3}))
            .await;
    }
    assert_eq!(world.findings().await, [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn what_could_not_be_seen_is_never_fine_and_pages_only_when_nothing_was() {
    let world = World::fresh().await;
    let denied = |service: &str, action: &str| json!({"service": service, "action": action, "effect": "error", "status": 400, "code": "AccessDeniedException", "count": 0});
    world.cloud.fault(denied("rds", "DescribeDBInstances")).await;
    let report = world.audit().await;
    assert_eq!(findings(&report), [format!("rds-instance {INSTANCE}: InsufficientData")]);
    assert_eq!((&report["result"], &report["paged"]), (&json!("failed"), &json!([])));
    // The tags of one resource, and the list of the others, are refused.
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.cloud.fault(denied("logs", "ListTagsForResource")).await;
    world.cloud.fault(denied("tagging", "GetResources")).await;
    let mut found = world.findings().await;
    found.sort_unstable();
    assert_eq!(
        found,
        [
            format!("log-group {LOG_GROUP}: InsufficientData"),
            "tagged-resources moveongs-dev: ListUnread".to_owned()
        ]
    );
    assert!(world.line(LOG_GROUP).await.contains(",ok,unverified,ok,"));
    // Every read is refused.
    world.cloud.admin(Method::DELETE, "faults", None).await;
    for (service, action) in [
        ("ecs", "DescribeClusters"),
        ("ecs", "DescribeServices"),
        ("logs", "DescribeLogGroups"),
        ("rds", "DescribeDBInstances"),
        ("s3", "GetBucketTagging"),
        ("secretsmanager", "DescribeSecret"),
        ("tagging", "GetResources"),
    ] {
        world.cloud.fault(denied(service, action)).await;
    }
    let report = world.audit().await;
    let key = "inventory-audit/inventory/moveongs-dev/NothingRead";
    assert_eq!(report["paged"], json!([key]));
    let page = eventually("the page", async || world.pages(key).await.pop()).await;
    assert!(page["Message"].as_str().unwrap().contains("nada do inventário pôde ser visto"), "{page}");
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_delivered_stands_in_the_log_and_the_page_goes_out_all_the_same() {
    let world = World::fresh().await;
    world.forget(REDIS).await;
    let down = |service: &str| json!({"service": service, "action": "*", "effect": "error", "status": 400, "code": "Down", "count": 0});
    // The paging topic is down.
    world.cloud.fault(down("sns")).await;
    let error = world.cloud.invoke(json!({})).await.unwrap_err();
    assert_eq!(error["errorType"], "PageFailed", "{error}");
    let lost = world.cloud.log_lines("\"error_type\":\"PageFailed\"").await;
    assert!(lost.iter().any(|line| line.contains(&missing(REDIS))), "{lost:?}");
    // The channel still gets the message; the next try pages.
    assert_eq!(world.cloud.messages(REDIS).await.len(), 1);
    world.cloud.admin(Method::DELETE, "faults", None).await;
    let report = world.audit().await;
    assert_eq!(report["paged"], json!([missing(REDIS)]));
    // The evidence bucket is down, and with it the table.
    world.forget(OTHER).await;
    world.create(OTHER, &TAGS).await;
    world.cloud.fault(json!({"service": "s3", "action": "PutObject", "effect": "error", "status": 400, "code": "Down", "count": 0})).await;
    world.audit().await;
    let lost = world.cloud.log_lines("\"error_type\":\"EvidenceFailed\"").await;
    assert!(lost.iter().any(|line| line.contains("area,kind,name")), "the table is lost");
    assert!(
        lost.iter().any(|line| line.contains(&format!("NotInInventory secret {OTHER}"))),
        "the record is lost"
    );
    world.end().await;
}

#[tokio::test]
async fn no_value_of_the_state_is_ever_written_down() {
    let world = World::fresh().await;
    world.audit().await;
    world.put(format!("{{\"version\": 4, \"resources\": \"{SECRET_IN_STATE}\"}}").into_bytes()).await;
    world.audit().await;
    let mut state = world.state().await;
    for resource in state["resources"].as_array_mut().unwrap() {
        resource["instances"][0]["attributes"]["password"] = json!(SECRET_IN_STATE);
    }
    state["outputs"]["url"]["sensitive"] = json!(true);
    world.put_state(&state).await;
    let report = world.audit().await;
    assert!(
        report.to_string().contains("ValueInState") && !report.to_string().contains(SECRET_IN_STATE),
        "{report}"
    );
    assert_eq!(world.cloud.log_lines(SECRET_IN_STATE).await, Vec::<String>::new());
    for prefix in ["evidence/inventory-audit/", "runs/inventory-audit/", "inventory/"] {
        for key in world.cloud.keys(prefix).await {
            assert!(!world.cloud.text(&key).await.contains(SECRET_IN_STATE), "{key}");
        }
    }
    assert_eq!(world.cloud.messages(SECRET_IN_STATE).await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn only_the_audit_writes_its_evidence_and_its_table() {
    let world = World::fresh().await;
    world.audit().await;
    let administrator = world.cloud.administrator("inventory-administrator").await;
    for key in
        ["inventory/inventory.csv", "evidence/inventory-audit/0000000001.json", "runs/inventory-audit/x.json"]
    {
        let put = administrator.put_object().bucket(EVIDENCE).key(key).if_none_match("*");
        let refused = put.body(ByteStream::from_static(b"x")).send().await.unwrap_err();
        assert_eq!(refused.into_service_error().meta().code(), Some("AccessDenied"), "{key}");
    }
    world.end().await;
}

#[tokio::test]
async fn every_crash_point_ends_with_one_record_a_table_and_a_page() {
    matrix::write("inventory-audit", &matrix::points_and_reads(8, crash).await, json!({}));
}

/// Kills the function at a call; `None` when it makes fewer calls.
async fn crash(kill: matrix::Kill) -> Option<Value> {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    world.forget(REDIS).await;
    let (operation, answer) = kill.during(cloud, &json!({})).await;
    let is_killed = answer.is_none();
    cloud.admin(Method::DELETE, "faults", None).await;
    let report = match answer {
        Some(report) => report,
        None => world.audit().await,
    };
    let at = format!("{kill} ({operation:?})");
    assert_eq!(findings(&report), [format!("secret {REDIS}: Missing")], "{at}");
    let pages =
        eventually("the page", async || Some(world.pages(&missing(REDIS)).await).filter(|p| !p.is_empty()))
            .await
            .len();
    assert!((1..=2).contains(&pages), "{at}: paged {pages} times");
    let records = cloud.evidence("inventory-audit").await;
    assert_eq!(records.len(), 1, "{at}: {records:?}");
    assert!(records[0].1["findings"].to_string().contains(&format!("Missing secret {REDIS}")), "{at}");
    assert!(world.line(REDIS).await.ends_with(",finding,,,Missing"), "{at}");
    let reported = cloud.messages(REDIS).await.len();
    assert!((1..=2).contains(&reported), "{at}: reported {reported} times");
    world.end().await;
    is_killed
        .then(|| json!({"operation": operation, "end": "succeeded", "pages": pages, "reported": reported}))
}
