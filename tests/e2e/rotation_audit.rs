//! `rotation-audit` against the local cloud: every kind of finding from a real state of a secret, with page, task,
//! message and record; failures; the state after a crash.
//!
//! The audit sees the whole account, and has one record a day: a test begins with an empty chain and an empty board.

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_secretsmanager::types::Tag;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{self, Cloud, EVIDENCE, eventually};
use crate::matrix;

const JWT: &str = "/moveongs/dev/jwt";
const WEBHOOK: &str = "moveongs-dev-notifications-webhook";
const DATABASE: &str = "/moveongs/dev/db";
/// Prefix of the secrets that a test makes.
const OWN: &str = "/moveongs/dev/audit/";
const INSTANCE: &str = "moveongs-dev-db";
const QUEUE: &str = "rotation-audit-pages";
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
}

impl World {
    /// A world without record, note, issue or fault; the application's secrets as after a rotation today.
    async fn fresh() -> Self {
        let cloud = Cloud::connect("rotation-audit").await;
        let world = Self { pages: 0, cloud };
        world.cloud.calm().await;
        world.cloud.forget_policy().await;
        forget_secrets_of_tests(&world.cloud).await;
        world.forget().await;
        world.cloud.admin(Method::DELETE, "github/issues", None).await;
        world.board(json!({"issues": true, "may_write": true, "may_label": true, "remaining": -1})).await;
        let mut pages = world.cloud.secrets.list_secrets().into_paginator().send();
        while let Some(page) = pages.next().await {
            for secret in page.unwrap().secret_list() {
                if secret.name().unwrap().starts_with(OWN) {
                    let gone = world.cloud.secrets.delete_secret().secret_id(secret.arn().unwrap());
                    gone.force_delete_without_recovery(true).send().await.unwrap();
                }
            }
        }
        for secret in [JWT, WEBHOOK, DATABASE] {
            let dates = json!({"AWSCURRENT": 0, "created": 0, "changed": 0, "accessed": 0, "rotated": 0, "next": -90 * DAY});
            world.dates(secret, dates).await;
        }
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    /// Removes every object of the function, and ends its first week.
    async fn forget(&self) {
        self.forget_all().await;
        self.cloud.begin_long_ago("rotation-audit").await;
    }

    /// Removes every object of the function, as if it had never run.
    async fn forget_all(&self) {
        for kind in ["evidence", "runs"] {
            self.cloud.wipe(&format!("{kind}/rotation-audit/")).await;
        }
    }

    async fn dates(&self, secret: &str, seconds_ago: Value) {
        let body = json!({"secret": secret, "seconds_ago": seconds_ago});
        self.cloud.admin(Method::POST, "secrets/dates", Some(body)).await;
    }

    async fn board(&self, config: Value) {
        self.cloud.admin(Method::POST, "github/config", Some(config)).await;
    }

    /// A secret with this environment's tags.
    async fn tagged(&self, name: &str) -> String {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let made = self.cloud.secrets.create_secret().name(format!("{OWN}{name}"));
        let made = made.secret_string("a value of the audit's tests");
        let made = made.tags(tag("Project", "moveongs")).tags(tag("Environment", "dev"));
        made.send().await.unwrap().name.unwrap()
    }

    async fn current(&self, secret: &str) -> String {
        let described = self.cloud.secrets.describe_secret().secret_id(secret).send().await.unwrap();
        let versions = described.version_ids_to_stages.unwrap();
        let current =
            versions.into_iter().find(|(_, labels)| labels.iter().any(|label| label == "AWSCURRENT"));
        current.unwrap().0
    }

    async fn marker(&self, secret: &str) -> String {
        format!("<!-- governance:rotation:{secret}:{} -->", self.current(secret).await)
    }

    /// Invokes the function as the schedule does; it reads nothing from the event.
    async fn audit(&self) -> Value {
        let report = self.cloud.invoke(json!({})).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report["run_id"], today());
        report
    }

    /// Kinds of the audit's findings about one secret.
    async fn findings(&self, secret: &str) -> Vec<String> {
        findings(&self.audit().await, secret)
    }

    async fn issues(&self) -> Vec<Value> {
        let issues = self.cloud.admin(Method::GET, "github/issues", None).await;
        issues["issues"].as_array().unwrap().clone()
    }

    /// The issues with a text in their body.
    async fn issues_with(&self, text: &str) -> Vec<Value> {
        let mut issues = self.issues().await;
        issues.retain(|issue| issue["body"].as_str().is_some_and(|body| body.contains(text)));
        issues
    }

    /// Pages about a finding since this world began.
    async fn pages(&self, secret: &str, kind: &str) -> Vec<Value> {
        let key = format!("rotation-audit/dev/{kind}");
        let all = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        let is_of = |page: &Value| {
            let [about, of] = ["secret", "dedup_key"]
                .map(|name| page["MessageAttributes"][name]["Value"].as_str().unwrap_or_default());
            of.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                && about.split(", ").any(|name| name == secret)
        };
        all.filter(is_of).collect()
    }

    /// The day's record: the only one that is not about a failure.
    async fn record(&self) -> Value {
        let records = self.cloud.evidence("rotation-audit").await;
        let mut of_today = records.into_iter().filter(|(_, record)| record["run_id"] == today());
        let record = of_today.next().expect("no record").1;
        assert!(of_today.next().is_none(), "two records of one day");
        record
    }

    /// Ages the reservation of an issue that was not opened, as if its run had died long ago.
    async fn abandon(&self, marker: &str) {
        let key = format!("runs/rotation-audit/{}.json", cloud::sha256(marker.as_bytes()));
        let Some(mut place) = self.cloud.json(&key).await else { return };
        place["taken"] = json!("2026-01-01T00:00:00Z");
        let body = ByteStream::from(place.to_string().into_bytes());
        self.cloud.s3.put_object().bucket(EVIDENCE).key(key).body(body).send().await.unwrap();
    }

    /// Rotates a secret and waits for the end.
    async fn rotate(&self, secret: &str) {
        self.cloud.secrets.rotate_secret().secret_id(secret).send().await.unwrap();
        eventually("the rotation", async || {
            let rotation = self.cloud.admin(Method::GET, &format!("rotations?secret={secret}"), None).await;
            (rotation["state"] == "succeeded").then_some(())
        })
        .await;
    }

    async fn overdue(&self, secret: &str) {
        self.dates(secret, json!({"AWSCURRENT": 190 * DAY})).await;
    }

    async fn due(&self, secret: &str) {
        self.dates(secret, json!({"AWSCURRENT": 170 * DAY})).await;
    }

    /// The audit's messages about the webhook's secret. Others' messages about an earlier test's rotation may arrive late.
    async fn reported(&self) -> Vec<String> {
        let mut reported = self.cloud.messages(WEBHOOK).await;
        reported.retain(|message| message.contains("Auditoria de rotação"));
        reported
    }
}

fn findings(report: &Value, secret: &str) -> Vec<String> {
    let rows = report["secrets"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == secret).unwrap_or_else(|| panic!("{secret}: {report}"));
    row["findings"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap().to_owned()).collect()
}

/// Today's date in São Paulo, whose offset has been the same since 2019.
fn today() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let days = i64::try_from(seconds).unwrap() - 3 * HOUR;
    let days = days.div_euclid(DAY) + 719_468;
    // Days to a civil date, as in Howard Hinnant's chrono-compatible algorithms.
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[tokio::test]
async fn a_secret_that_is_well_has_no_finding() {
    let world = World::fresh().await;
    let report = world.audit().await;
    assert_eq!(findings(&report, JWT), [""; 0], "{report}");
    assert_eq!(report["result"], "succeeded", "{report}");
    // Only its name assigns it to this environment.
    assert_eq!(findings(&report, "/moveongs/dev/slack"), ["TagsMissing", "NoPolicy"], "{report}");
    let record = world.record().await;
    assert_eq!((&record["result"], &record["procedure"]), (&json!("succeeded"), &json!("rotation-audit")));
    assert_eq!(world.issues().await, Vec::<Value>::new());
}

#[tokio::test]
async fn ages_and_dates_are_found() {
    let world = World::fresh().await;
    for (secret, dates, expected) in [
        (WEBHOOK, json!({"AWSCURRENT": 165 * DAY}), [].as_slice()),
        (WEBHOOK, json!({"AWSCURRENT": 167 * DAY}), &["DueSoon"]),
        // A tag moves the date of the last change, not the age.
        (WEBHOOK, json!({"AWSCURRENT": 190 * DAY, "changed": 0}), &["Overdue"]),
        (WEBHOOK, json!({"AWSCURRENT": 0, "next": 23 * HOUR}), &[]),
        (WEBHOOK, json!({"next": 25 * HOUR}), &["RotationLate"]),
        (WEBHOOK, json!({"next": -DAY, "rotated": null}), &["NeverRotated"]),
        (WEBHOOK, json!({"rotated": 0, "accessed": 89 * DAY}), &[]),
        (WEBHOOK, json!({"accessed": 92 * DAY}), &["Unused"]),
        (WEBHOOK, json!({"accessed": null, "created": 91 * DAY}), &["Unused"]),
        (DATABASE, json!({"AWSCURRENT": 100 * DAY}), &["Overdue"]),
    ] {
        world.dates(secret, dates.clone()).await;
        assert_eq!(world.findings(secret).await, expected, "{dates}");
    }
}

#[tokio::test]
async fn what_is_missing_off_wide_or_unknown_is_found() {
    let world = World::fresh().await;
    let secrets = &world.cloud.secrets;
    let tagged = world.tagged("reports").await;
    assert_eq!(world.findings(&tagged).await, ["NoPolicy"]);
    let wide = |principal: &str| {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal},
            "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]})
        .to_string()
    };
    let put = secrets.put_resource_policy().secret_id(&tagged);
    put.clone().resource_policy(wide("arn:aws:iam::210987654321:root")).send().await.unwrap();
    assert_eq!(world.findings(&tagged).await, ["WidePolicy", "NoPolicy"]);
    put.resource_policy(wide("arn:aws:iam::000000000000:root")).send().await.unwrap();
    assert_eq!(world.findings(&tagged).await, ["NoPolicy"]);

    secrets.cancel_rotate_secret().secret_id(WEBHOOK).send().await.unwrap();
    assert_eq!(world.findings(WEBHOOK).await, ["RotationOff"]);
    secrets.rotate_secret().secret_id(WEBHOOK).rotate_immediately(false).send().await.unwrap();
    eventually("the test of the set-up", async || {
        let rotation = world.cloud.admin(Method::GET, &format!("rotations?secret={WEBHOOK}"), None).await;
        (rotation["state"] == "tested").then_some(())
    })
    .await;

    secrets.delete_secret().secret_id(WEBHOOK).recovery_window_in_days(7).send().await.unwrap();
    let report = world.audit().await;
    assert_eq!(findings(&report, WEBHOOK), ["Missing"]);
    assert_eq!(report["result"], "failed");
    secrets.restore_secret().secret_id(WEBHOOK).send().await.unwrap();

    let empty = secrets.create_secret().name(format!("{OWN}empty"));
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let empty = empty.tags(tag("Project", "moveongs")).tags(tag("Environment", "dev"));
    let empty = empty.send().await.unwrap().name.unwrap();
    assert_eq!(world.findings(&empty).await, ["Empty", "NoPolicy"]);
}

#[tokio::test]
async fn a_secret_below_the_environments_path_is_audited_without_tags_and_a_tag_decides_whose_it_is() {
    let world = World::fresh().await;
    let secrets = &world.cloud.secrets;
    let made =
        secrets.create_secret().name(format!("{OWN}untagged")).secret_string("a value of the audit's tests");
    let secret = made.send().await.unwrap().name.unwrap();
    assert_eq!(world.findings(&secret).await, ["TagsMissing", "NoPolicy"]);
    assert_eq!(world.audit().await["result"], "succeeded");
    let reported = world.cloud.messages(&secret).await;
    let cure = format!(
        "tag-resource --secret-id {secret} --tags Key=Project,Value=moveongs Key=Environment,Value=dev"
    );
    // Reported with the other untagged secrets, whose names replace NOME.
    assert!(reported.iter().any(|text| text.contains(&cure.replace(&secret, "NOME"))), "{reported:?}");
    let tag = async |key: &str, value: &str| {
        let tag = Tag::builder().key(key).value(value).build();
        secrets.tag_resource().secret_id(&secret).tags(tag).send().await.unwrap();
    };
    tag("Project", "moveongs").await;
    assert_eq!(world.findings(&secret).await, ["TagsMissing", "NoPolicy"]);
    tag("Environment", "dev").await;
    assert_eq!(world.findings(&secret).await, ["NoPolicy"]);
    for (key, value) in [("Environment", "prod"), ("Project", "another")] {
        tag("Project", "moveongs").await;
        tag(key, value).await;
        let before = world.cloud.last_call().await;
        assert_eq!(world.findings(&secret).await, ["TagsContradict"], "{key}={value}");
        // Neither versions nor policy of a foreign secret are read.
        let (calls, _) = world.cloud.calls(before).await;
        let audited = calls.iter().filter(|call| *call == "secretsmanager:GetResourcePolicy").count();
        let rows = world.audit().await["secrets"].as_array().unwrap().len();
        assert_eq!(audited + 1, rows);
    }
}

#[tokio::test]
async fn a_secret_that_everybody_can_read_pages_and_main_secrets_without_rotation_are_no_success() {
    let world = World::fresh().await;
    let secrets = &world.cloud.secrets;
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]})
    .to_string();
    let mut open = Vec::new();
    for number in 0..3 {
        let name = world.tagged(&format!("open-{number}")).await;
        let put = secrets.put_resource_policy().secret_id(&name).resource_policy(&wide);
        put.block_public_policy(false).send().await.unwrap();
        open.push(name);
    }
    let report = world.audit().await;
    assert_eq!(findings(&report, &open[0]), ["WidePolicy", "NoPolicy"]);
    assert_eq!(report["result"], "failed");
    let [paged] = report["paged"].as_array().unwrap().as_slice() else { panic!("{}", report["paged"]) };
    assert!(paged.as_str().unwrap().starts_with("rotation-audit/dev/WidePolicy/"), "{paged}");
    let page = eventually("the page", async || world.pages(&open[0], "WidePolicy").await.pop()).await;
    let text = page["Message"].as_str().unwrap();
    assert!(open.iter().all(|name| text.contains(name.as_str())) && text.contains("(3): "), "{text}");
    let reported = world.cloud.messages("WidePolicy").await;
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].matches("get-resource-policy").count(), 1, "{}", reported[0]);

    let world = World::fresh().await;
    let secrets = &world.cloud.secrets;
    secrets.cancel_rotate_secret().secret_id(JWT).send().await.unwrap();
    let report = world.audit().await;
    secrets.rotate_secret().secret_id(JWT).rotate_immediately(false).send().await.unwrap();
    eventually("the test of the set-up", async || {
        let rotation = world.cloud.admin(Method::GET, &format!("rotations?secret={JWT}"), None).await;
        (rotation["state"] == "tested").then_some(())
    })
    .await;
    assert_eq!(
        (findings(&report, JWT), &report["result"]),
        (vec!["RotationOff".to_owned()], &json!("failed"))
    );
    assert_eq!(report["paged"], json!([]));
}

#[tokio::test]
async fn a_first_week_sends_one_summary_and_pages_what_is_critical_only() {
    let world = World::fresh().await;
    let secrets = &world.cloud.secrets;
    for secret in [WEBHOOK, JWT, DATABASE] {
        world.dates(secret, json!({"AWSCURRENT": 400 * DAY, "next": 25 * HOUR})).await;
    }
    let open = world.tagged("open").await;
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]})
    .to_string();
    let put = secrets.put_resource_policy().secret_id(&open).resource_policy(&wide);
    put.block_public_policy(false).send().await.unwrap();
    // After the first week: a page for each cause, a task for each secret.
    let report = world.audit().await;
    assert_eq!(report["paged"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(report["opened"].as_array().unwrap().len(), 3, "{report}");

    world.forget_all().await;
    world.cloud.admin(Method::DELETE, "github/issues", None).await;
    world.cloud.admin(Method::DELETE, "slack/messages", None).await;
    for _ in 0..2 {
        let report = world.audit().await;
        assert_eq!(findings(&report, JWT), ["Overdue", "RotationLate"]);
        assert_eq!((&report["result"], &report["opened"]), (&json!("failed"), &json!([])));
        assert!(world.issues().await.is_empty());
    }
    let reported = world.cloud.messages("Auditoria de rotação").await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    for part in [
        "Primeira semana",
        "2 página(s), 3 tarefa(s)",
        "Por regra",
        "Fazer primeiro",
        "s3://",
        "1. *WidePolicy*",
    ] {
        assert!(reported[0].contains(part), "{part} is not in {}", reported[0]);
    }
    let record = world.record().await;
    let lines = record["findings"].to_string();
    for secret in [WEBHOOK, JWT, DATABASE] {
        assert!(lines.contains(&format!("Overdue {secret}")), "{lines}");
    }
    assert!(record["steps"].to_string().contains("2 pages and 3 tasks held back"), "{record}");
    let pages = eventually("the page", async || {
        Some(world.pages(&open, "WidePolicy").await).filter(|pages| pages.len() == 2)
    })
    .await;
    assert_eq!(pages.len(), 2, "one of each of the two chains");
    assert_eq!(world.pages(JWT, "Overdue").await.len(), 1, "that of the chain that is older than a week");

    // The week is over.
    world.forget().await;
    let report = world.audit().await;
    assert_eq!(report["paged"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(report["opened"].as_array().unwrap().len(), 3, "{report}");
}

#[tokio::test]
async fn throttling_changes_no_verdict_and_makes_nothing_new() {
    let world = World::fresh().await;
    world.overdue(WEBHOOK).await;
    let calm = world.audit().await;
    assert_eq!(calm["paged"], json!(["rotation-audit/dev/Overdue"]));
    let third = |service: &str, action: &str| {
        let (service, action) = (service.to_owned(), action.to_owned());
        (0..40).map(move |number| {
            let nth = 1 + number * 3;
            json!({"service": service, "action": action, "effect": "throttle", "nth": nth})
        })
    };
    let first_hundred = |service: &str, action: &str| {
        [json!({"service": service, "action": action, "effect": "throttle", "count": 100})]
    };
    let cases: [Vec<Value>; 4] = [
        third("secretsmanager", "*").collect(),
        ["ListObjectsV2", "ListObjectVersions", "GetObject"]
            .into_iter()
            .flat_map(|action| third("s3", action))
            .collect(),
        first_hundred("secretsmanager", "*").into(),
        first_hundred("s3", "ListObjectsV2").into(),
    ];
    for faults in cases {
        world.cloud.calm().await;
        for fault in &faults {
            world.cloud.fault(fault.clone()).await;
        }
        let throttled = world.audit().await;
        assert!(world.cloud.hits("throttle").await >= 3, "{}", faults[0]);
        // The page was sent today, and the finding is known.
        assert_eq!(
            (&throttled["secrets"], &throttled["paged"]),
            (&calm["secrets"], &json!([])),
            "{}",
            faults[0]
        );
        // The channel has had the message, and `calm` has emptied it.
        assert_eq!(world.reported().await, [""; 0], "{}", faults[0]);
    }
    world.cloud.calm().await;
    assert_eq!(world.pages(WEBHOOK, "Overdue").await.len(), 1);
}

#[tokio::test]
async fn a_login_by_iam_is_in_order_only_where_rds_takes_it() {
    let world = World::fresh().await;
    let secrets = &world.cloud.secrets;
    let takes = async |takes: bool| {
        let change =
            world.cloud.rds.modify_db_instance().db_instance_identifier(INSTANCE).apply_immediately(true);
        change.enable_iam_database_authentication(takes).send().await.unwrap();
    };
    let says = async |instance: &str| {
        let policy = json!({"rotation": {"secrets": {"DATABASE_URL": {"iam_login": instance}}}});
        world.cloud.set_policy(&policy).await;
    };
    world.dates(DATABASE, json!({"AWSCURRENT": 400 * DAY, "next": null})).await;
    secrets.cancel_rotate_secret().secret_id(DATABASE).send().await.unwrap();
    // RDS's answer alone excuses nothing.
    takes(true).await;
    assert_eq!(world.findings(DATABASE).await, ["Overdue", "RotationOff"]);
    says(INSTANCE).await;
    let report = world.audit().await;
    assert_eq!(findings(&report, DATABASE), [""; 0], "{report}");
    assert_eq!(report["result"], "succeeded", "{report}");
    let row = report["secrets"].as_array().unwrap().iter().find(|row| row["name"] == DATABASE).unwrap();
    assert_eq!(row["iam_login"], INSTANCE);
    // Nor does the policy's alone; an instance that cannot be read is not in order.
    takes(false).await;
    assert_eq!(world.findings(DATABASE).await, ["Overdue", "IamLoginOff", "RotationOff"]);
    says("moveongs-prod-db").await;
    let report = world.audit().await;
    assert_eq!(findings(&report, DATABASE), ["Overdue", "InsufficientData", "RotationOff"]);
    assert_eq!(report["result"], "failed");
    let denied = world.cloud.log_lines("rds:DescribeDBInstances failed (AccessDenied)").await;
    assert!(!denied.is_empty());

    world.cloud.forget_policy().await;
    secrets.rotate_secret().secret_id(DATABASE).rotate_immediately(false).send().await.unwrap();
    eventually("the test of the set-up", async || {
        let rotation = world.cloud.admin(Method::GET, &format!("rotations?secret={DATABASE}"), None).await;
        (rotation["state"] == "tested").then_some(())
    })
    .await;
    assert_eq!(world.findings(DATABASE).await, ["Overdue"]);
}

#[tokio::test]
async fn a_stuck_rotation_is_paged_with_the_cure_that_loses_no_password() {
    let world = World::fresh().await;
    for (secret, careful) in [(WEBHOOK, false), (DATABASE, true)] {
        // A cause pages once a day.
        world.forget().await;
        let put = world.cloud.secrets.put_secret_value().secret_id(secret).version_stages("AWSPENDING");
        let pending =
            put.secret_string("pending in the audit's test").send().await.unwrap().version_id.unwrap();
        world.dates(secret, json!({"AWSPENDING": 23 * HOUR})).await;
        assert_eq!(world.findings(secret).await, [""; 0]);
        world.dates(secret, json!({"AWSPENDING": 25 * HOUR})).await;
        assert_eq!(world.findings(secret).await, ["StuckPending"]);
        let page = eventually("the page", async || world.pages(secret, "StuckPending").await.pop()).await;
        let text = page["Message"].as_str().unwrap();
        let clear = format!("--version-stage AWSPENDING --remove-from-version-id {pending}");
        let restore = format!("--version-stage AWSCURRENT --move-to-version-id {pending}");
        assert!(text.contains(&clear), "{text}");
        assert_eq!(text.contains("*não* remover o AWSPENDING antes"), careful, "{text}");
        assert_eq!(text.contains(&restore), careful, "{text}");
        // The advised fix works.
        let cure = world.cloud.secrets.update_secret_version_stage().secret_id(secret);
        cure.version_stage("AWSPENDING").remove_from_version_id(&pending).send().await.unwrap();
        assert_eq!(world.findings(secret).await, [""; 0]);
    }
}

#[tokio::test]
async fn an_overdue_secret_is_paged_once_a_day_reported_and_recorded() {
    let world = World::fresh().await;
    world.overdue(WEBHOOK).await;
    let before = world.cloud.last_call().await;
    let report = world.audit().await;
    assert_eq!(report["result"], "failed");
    assert_eq!(report["paged"], json!(["rotation-audit/dev/Overdue"]));
    let page = eventually("the page", async || world.pages(WEBHOOK, "Overdue").await.pop()).await;
    assert_eq!(page["Subject"], format!("[dev] Overdue: {WEBHOOK}"));
    let text = page["Message"].as_str().unwrap();
    for part in ["190 dias", "rotate-secret --secret-id", "Squad Infra", "Squad Security"] {
        assert!(text.contains(part), "{text}");
    }
    let calls: BTreeSet<_> = world.cloud.calls(before).await.0.into_iter().collect();
    let expected = [
        "github:GET /issues",
        "github:POST /issues",
        "s3:GetObject",
        "s3:ListObjectVersions",
        "s3:ListObjectsV2",
        "s3:PutObject",
        "secretsmanager:GetResourcePolicy",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:ListSecrets",
        "slack:chat.postMessage",
        "sns:Publish",
    ];
    assert!(calls.iter().all(|call| expected.contains(&call.as_str())), "{calls:?}");

    let record = world.record().await;
    assert_eq!(record["channel"], "sent");
    let lines = record["findings"].to_string();
    assert!(lines.contains(&format!("Overdue {WEBHOOK}: overdue since ")), "{lines}");
    let reported = world.reported().await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(
        reported[0].contains("Auditoria de rotação") && reported[0].contains("Próximo passo"),
        "{}",
        reported[0]
    );

    // The same event again, and one more, change nothing.
    let (evidence, issues) = (world.cloud.keys("evidence/rotation-audit/").await, world.issues().await);
    for _ in 0..2 {
        let again = world.audit().await;
        assert_eq!((&again["paged"], &again["opened"]), (&json!([]), &json!([])));
    }
    assert_eq!(world.cloud.keys("evidence/rotation-audit/").await, evidence);
    assert_eq!(world.issues().await, issues);
    assert_eq!(world.pages(WEBHOOK, "Overdue").await.len(), 1);
    assert_eq!(world.cloud.messages("Auditoria de rotação").await.len(), 1);
}

#[tokio::test]
async fn a_task_is_opened_once_and_closed_by_the_rotation() {
    let world = World::fresh().await;
    world.due(WEBHOOK).await;
    // A hundred other issues with the label move the marker to the second page.
    for number in 0..100 {
        let other =
            json!({"title": format!("other {number}"), "labels": ["governance-rotation"], "state": "closed"});
        world.cloud.admin(Method::POST, "github/issues", Some(other)).await;
    }
    let marker = world.marker(WEBHOOK).await;
    let report = world.audit().await;
    assert_eq!(report["result"], "succeeded", "due is not overdue: {report}");
    let issue = world.issues_with(&marker).await.pop().unwrap();
    assert_eq!(report["opened"], json!([issue["number"]]));
    assert_eq!(issue["labels"], json!(["governance-rotation"]));
    assert!(issue["title"].as_str().unwrap().starts_with(&format!("Rotacionar {WEBHOOK} (dev) até ")));
    let body = issue["body"].as_str().unwrap();
    for part in ["Janela de execução", "Squad Infra", "Squad Security", "rotate-secret", "rotation-followup"]
    {
        assert!(body.contains(part), "{body}");
    }
    for _ in 0..2 {
        assert_eq!(world.audit().await["opened"], json!([]));
    }
    assert_eq!(world.pages(WEBHOOK, "DueSoon").await.len(), 0);

    world.rotate(WEBHOOK).await;
    let report = world.audit().await;
    assert_eq!(report["closed"], json!([issue["number"]]), "{report}");
    let closed = world.issues_with(&marker).await.pop().unwrap();
    assert_eq!((&closed["state"], &closed["state_reason"]), (&json!("closed"), &json!("completed")));
    let comments = closed["comments"].as_array().unwrap();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].as_str().unwrap().contains(&world.current(WEBHOOK).await));
    assert_eq!(world.audit().await["closed"], json!([]));
    // The next version has its own task.
    world.due(WEBHOOK).await;
    assert_eq!(world.audit().await["opened"].as_array().unwrap().len(), 1);
    assert_eq!(world.issues_with(&format!("rotation:{WEBHOOK}:")).await.len(), 2);
}

#[tokio::test]
async fn a_task_that_a_person_closed_or_unlabelled_is_not_opened_again() {
    let world = World::fresh().await;
    world.due(WEBHOOK).await;
    let marker = world.marker(WEBHOOK).await;
    let closed =
        json!({"title": "by hand", "body": marker, "labels": ["governance-rotation"], "state": "closed"});
    world.cloud.admin(Method::POST, "github/issues", Some(closed)).await;
    assert_eq!(world.audit().await["opened"], json!([]));

    world.cloud.admin(Method::DELETE, "github/issues", None).await;
    world.forget().await;
    // The token's owner may not set labels, and GitHub drops them silently.
    world.board(json!({"may_label": false})).await;
    let report = world.audit().await;
    assert_eq!(report["opened"], json!([]));
    let record = world.record().await;
    assert!(record["steps"].to_string().contains("without its label"), "{record}");
    world.audit().await;
    world.abandon(&marker).await;
    world.audit().await;
    assert_eq!(world.issues_with(&marker).await.len(), 1);
}

#[tokio::test]
async fn of_two_audits_at_once_one_opens_the_task() {
    let world = World::fresh().await;
    world.due(WEBHOOK).await;
    world.due(JWT).await;
    let audits = [(); 4].map(|()| world.cloud.invoke(json!({})));
    let [one, two, three, four] = audits;
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    for report in [one, two, three, four] {
        report.unwrap();
    }
    for secret in [WEBHOOK, JWT] {
        assert_eq!(world.issues_with(&world.marker(secret).await).await.len(), 1, "{secret}");
    }
    world.record().await;
}

#[tokio::test]
async fn a_call_that_is_denied_is_neither_a_pass_nor_resolved() {
    let world = World::fresh().await;
    world.dates(WEBHOOK, json!({"next": 25 * HOUR})).await;
    let denied = |action: &str| {
        json!({"service": "secretsmanager", "action": action, "count": 0, "effect": "error",
            "status": 400, "code": "AccessDeniedException", "message": "not authorized"})
    };
    world.cloud.fault(denied("ListSecretVersionIds")).await;
    world.cloud.fault(denied("GetResourcePolicy")).await;
    let report = world.audit().await;
    // The facts in the list are still known.
    assert_eq!(findings(&report, WEBHOOK), ["RotationLate", "InsufficientData", "InsufficientData"]);
    assert_eq!(findings(&report, JWT), ["InsufficientData"; 2]);
    assert_eq!(report["result"], "failed");
    let record = world.record().await;
    assert!(record["findings"].to_string().contains("secretsmanager:GetResourcePolicy failed (AccessDenied"));
    assert!(!world.cloud.messages("InsufficientData").await.is_empty());
}

#[tokio::test]
async fn when_nothing_can_be_seen_the_channel_says_so_and_the_invocation_fails() {
    let world = World::fresh().await;
    let denied = json!({"service": "secretsmanager", "action": "ListSecrets", "count": 0, "effect": "error",
        "status": 400, "code": "AccessDeniedException"});
    world.cloud.fault(denied).await;
    for _ in 0..2 {
        let error = world.cloud.invoke(json!({})).await.unwrap_err();
        assert_eq!(error["errorType"], "SecretsManagerCall", "{error}");
    }
    let records = world.cloud.evidence("rotation-audit").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].1["result"], "failed");
    let reported = world.cloud.messages("A auditoria de rotação falhou").await;
    assert_eq!(reported.len(), 1);
    assert!(reported[0].contains("secretsmanager:ListSecrets"), "{}", reported[0]);
    world.cloud.calm().await;
    world.audit().await;
    assert_eq!(world.record().await["result"], "succeeded");
}

#[tokio::test]
async fn a_board_that_fails_hides_no_finding_and_the_next_audit_opens_the_task() {
    let world = World::fresh().await;
    world.overdue(WEBHOOK).await;
    let marker = world.marker(WEBHOOK).await;
    for (rule, action, part) in [
        (json!({"effect": "drop", "count": 0}), "*", "did not answer"),
        (json!({"effect": "error", "status": 401, "code": "x", "count": 0}), "*", "has expired"),
        (json!({"effect": "error", "status": 404, "code": "x", "count": 0}), "*", "GitHubRepository"),
        (json!({"effect": "error", "status": 422, "code": "x", "count": 0}), "POST /issues", "answered 422"),
        (json!({"effect": "throttle", "seconds": 3600}), "POST /issues", "asks to wait 3600 s"),
        (json!({"effect": "drop", "when": "after"}), "POST /issues", "did not answer"),
    ] {
        world.forget().await;
        world.cloud.admin(Method::DELETE, "github/issues", None).await;
        world.cloud.calm().await;
        let mut rule = rule;
        rule["service"] = json!("github");
        rule["action"] = json!(action);
        world.cloud.fault(rule.clone()).await;
        let report = world.audit().await;
        assert_eq!(report["result"], "failed");
        assert_eq!(report["opened"], json!([]));
        let record = world.record().await;
        assert!(record["findings"].to_string().contains(&format!("Overdue {WEBHOOK}")));
        assert!(record["steps"].to_string().contains(part), "{rule}: {record}");
        let reported = world.cloud.messages("Uma tarefa do board falhou").await;
        assert_eq!(reported.len(), 1, "{rule}");
        world.cloud.admin(Method::DELETE, "faults", None).await;
        world.abandon(&marker).await;
        world.audit().await;
        assert_eq!(world.issues_with(&marker).await.len(), 1, "{rule}");
    }
    assert!(!world.pages(WEBHOOK, "Overdue").await.is_empty());
    let lost = world.cloud.log_lines("\"error_type\":\"TaskFailed\"").await;
    assert!(lost.iter().all(|line| line.contains("\"level\":\"ERROR\"")) && lost.len() >= 6);
    assert!(world.cloud.log_lines("\"TaskFailures\":1").await.len() >= 6);
}

#[tokio::test]
async fn a_short_wait_that_github_asks_for_is_kept() {
    let world = World::fresh().await;
    world.due(WEBHOOK).await;
    let busy = json!({"service": "github", "action": "POST /issues", "effect": "throttle", "seconds": 1});
    world.cloud.fault(busy).await;
    assert_eq!(world.audit().await["opened"].as_array().unwrap().len(), 1);
    assert_eq!(world.cloud.hits("throttle").await, 1);
    // The primary limit ends in an hour, longer than any run.
    world.due(JWT).await;
    world.board(json!({"remaining": 0})).await;
    assert_eq!(world.audit().await["opened"], json!([]));
    assert!(!world.cloud.log_lines("GitHub asks to wait 360").await.is_empty());
}

#[tokio::test]
async fn a_page_that_fails_fails_the_invocation_and_is_tried_again() {
    let world = World::fresh().await;
    world.overdue(WEBHOOK).await;
    let down = json!({"service": "sns", "action": "Publish", "count": 0, "effect": "error", "status": 403, "code": "AuthorizationError"});
    world.cloud.fault(down).await;
    let error = world.cloud.invoke(json!({})).await.unwrap_err();
    assert_eq!(error["errorType"], "PageFailed", "{error}");
    // The findings are still reported and recorded, and have tasks.
    assert!(world.record().await["findings"].to_string().contains(&format!("Overdue {WEBHOOK}")));
    assert_eq!(world.reported().await.len(), 1);
    assert_eq!(world.issues_with(&world.marker(WEBHOOK).await).await.len(), 1);
    assert!(!world.cloud.log_lines("\"PageFailures\":1").await.is_empty());
    let lost = world.cloud.log_lines("\"error_type\":\"PageFailed\",").await;
    assert!(lost.iter().any(|line| line.contains("undelivered") && line.contains(WEBHOOK)), "{lost:?}");

    world.cloud.admin(Method::DELETE, "faults", None).await;
    assert_eq!(world.audit().await["paged"].as_array().unwrap().len(), 1);
    eventually("the page", async || world.pages(WEBHOOK, "Overdue").await.pop()).await;
    assert_eq!(world.issues_with(&world.marker(WEBHOOK).await).await.len(), 1);
}

#[tokio::test]
async fn a_channel_or_bucket_that_fails_leaves_all_in_the_log() {
    let world = World::fresh().await;
    world.overdue(WEBHOOK).await;
    world.cloud.deny("slack", "chat.postMessage").await;
    world.audit().await;
    assert!(world.record().await["channel"].as_str().unwrap().starts_with("failed: "));
    let lost = world.cloud.log_lines("\"error_type\":\"NotificationFailed\"").await;
    assert!(lost.iter().any(|line| line.contains("ERROR") && line.contains(WEBHOOK)), "{lost:?}");
    // The next attempt reports it.
    world.cloud.admin(Method::DELETE, "faults", None).await;
    world.audit().await;
    assert_eq!(world.reported().await.len(), 1);

    let world = World::fresh().await;
    world.overdue(WEBHOOK).await;
    world.cloud.deny("s3", "*").await;
    world.audit().await;
    eventually("the page", async || world.pages(WEBHOOK, "Overdue").await.pop()).await;
    assert_eq!(world.reported().await.len(), 1);
    let lost = world.cloud.log_lines("\"error_type\":\"EvidenceFailed\"").await;
    assert!(lost.iter().any(|line| line.contains(&format!("Overdue {WEBHOOK}"))), "{lost:?}");
    // Without its reservation, no task is opened, because it might be a duplicate.
    assert_eq!(world.issues().await, Vec::<Value>::new());
}

#[tokio::test]
async fn every_crash_point_ends_with_one_task_one_record_and_a_page() {
    matrix::write("rotation-audit", &matrix::points_and_reads(11, crash).await, json!({}));
}

/// Removes the secrets that other tests have left below the environment's path: the audit makes calls for each.
async fn forget_secrets_of_tests(cloud: &Cloud) {
    let mut pages = cloud.secrets.list_secrets().into_paginator().send();
    let mut left = Vec::new();
    while let Some(page) = pages.next().await {
        left.extend(page.unwrap().secret_list.unwrap().into_iter().filter_map(|secret| secret.name));
    }
    for name in left.iter().filter(|name| name.starts_with("/moveongs/dev/test")) {
        let delete = cloud.secrets.delete_secret().secret_id(name).force_delete_without_recovery(true);
        delete.send().await.unwrap();
    }
}

/// Kills the function at a call; `None` when it makes fewer calls.
async fn crash(kill: matrix::Kill) -> Option<Value> {
    let world = World::fresh().await;
    let cloud = &world.cloud;
    world.overdue(WEBHOOK).await;
    let marker = world.marker(WEBHOOK).await;
    // A task of a version that has been replaced since.
    let replaced = format!("<!-- governance:rotation:{JWT}:00000000-0000-0000-0000-000000000000 -->");
    let issue = json!({"title": "replaced", "body": replaced, "labels": ["governance-rotation"]});
    cloud.admin(Method::POST, "github/issues", Some(issue)).await;
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    let first = cloud.invoke(json!({})).await;
    let is_killed = cloud.hits("kill").await > 0;
    assert_eq!(first.is_err(), is_killed, "{kill}: {first:?}");
    let operation = cloud.calls(before).await.0.last().cloned();

    cloud.admin(Method::DELETE, "faults", None).await;
    if is_killed {
        world.abandon(&marker).await;
        world.audit().await;
    }
    let at = format!("{kill} ({operation:?})");
    let tasks = world.issues_with(&marker).await;
    assert_eq!(tasks.len(), 1, "{at}: {tasks:?}");
    assert_eq!(tasks[0]["state"], "open", "{at}");
    let done = world.issues_with(&replaced).await.remove(0);
    let comments = done["comments"].as_array().unwrap().len();
    assert!(done["state"] == "closed" && (1..=2).contains(&comments), "{at}: {done}");
    let pages = eventually("the page", async || {
        Some(world.pages(WEBHOOK, "Overdue").await).filter(|p| !p.is_empty())
    })
    .await;
    let record = world.record().await;
    assert!(record["findings"].to_string().contains(&format!("Overdue {WEBHOOK}")), "{at}: {record}");
    let reported = world.reported().await.len();
    assert!((1..=2).contains(&reported), "{at}: reported {reported} times");
    is_killed.then(|| {
        json!({
            "operation": operation, "end": "succeeded",
            "tasks": tasks.len(), "comments": comments, "pages": pages.len(), "reported": reported,
        })
    })
}
