//! The environment: its clock, the scheduled work of each hour, and the results at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;

use aws_sdk_secretsmanager::types::{RotationRulesType, Tag};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::SAO_PAULO;

use crate::cloud::{Cloud, eventually, sha256};
use crate::table::{self, Line, Rotation};
use crate::{AUDITED_TWICE, LOST_EVENINGS};

const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:moveongs-dev-rotation-followup";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:moveongs-dev-rotate-random";
const ROOT: &str = "arn:aws:iam::000000000000:root";
const QUEUE: &str = "month-pages";
/// Hours in São Paulo: of the rotation windows, which open at six in UTC (the one with a cron()) and at midnight in
/// UTC, and of people's actions.
const MORNING: (i8, i8) = (3, 0);
const PEOPLE: (i8, i8) = (15, 0);
const EVENING: (i8, i8) = (21, 0);

/// Patterns of the rules that deliver events, by a text in them.
pub(crate) const LABELS: &str = "Secret Label Updated";
pub(crate) const TRAIL: &str = "via CloudTrail";

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    http: reqwest::Client,
    /// Hour and minute of the audit, and of the sweep, in the deployed schedules.
    audit: (i8, i8),
    sweep: (i8, i8),
    pub(crate) arns: BTreeMap<String, String>,
    /// The versions of each secret, oldest first.
    versions: BTreeMap<String, Vec<String>>,
    /// Failed rotations that are retried.
    broken: BTreeSet<String>,
    /// Events to deliver tomorrow.
    pub(crate) late: Vec<Value>,
    issues: BTreeMap<u64, Issue>,
    /// By SNS's message id and the secret.
    pages: BTreeMap<String, Page>,
}

#[derive(Debug)]
struct Issue {
    secret: String,
    version: String,
    opened: i8,
    closed: Option<i8>,
}

#[derive(Debug)]
struct Page {
    secret: String,
    kind: String,
    day: i32,
}

fn instant(day: Date, (hour, minute): (i8, i8)) -> Timestamp {
    day.at(hour, minute, 0, 0).to_zoned_datetime(SAO_PAULO).unwrap().timestamp()
}

fn june(day: i8) -> Date {
    date(2030, 5, 31).checked_add(i64::from(day).days()).unwrap()
}

impl World {
    /// Prepares the stack with the table's policy, and on 31 May the secrets with their ages.
    pub(crate) async fn begin(lines: &[Line]) -> Self {
        let cloud = Cloud::connect("rotation-audit").await;
        cloud.calm().await;
        let http = reqwest::Client::new();
        let mut world = Self {
            cloud,
            http,
            audit: PEOPLE,
            sweep: PEOPLE,
            arns: BTreeMap::new(),
            versions: BTreeMap::new(),
            broken: BTreeSet::new(),
            late: Vec::new(),
            issues: BTreeMap::new(),
            pages: BTreeMap::new(),
        };
        assert_eq!(world.now().await.to_zoned_datetime(SAO_PAULO).date(), date(2030, 3, 13));
        world.set_policy(lines).await;
        // No audit runs before June.
        let off = json!("DISABLED");
        let (audit_state, audit) = world.schedule("rotation-audit", &off).await;
        let (sweep_state, sweep) = world.schedule("rotation-followup-sweep", &off).await;
        (world.audit, world.sweep) = (audit, sweep);
        // The table is about the ages of secrets; the backups and the inventory of the month are not maintained.
        for procedure in [
            "attachment-restore-test",
            "backup-audit",
            // It pages that the others do not run.
            "governance-report",
            "grafana-export",
            "inventory-audit",
            "inventory-audit-policy",
            "postmortem",
            "restore-test",
            "restore-test-baseline",
            "restore-test-reap",
            "snapshot-verify",
        ] {
            world.switch(procedure, &off).await;
        }
        // The table assumes an audit past its first week: that week would hold back June's first pages.
        world.cloud.begin_long_ago("rotation-audit").await;
        world.cloud.listen_to_pages(QUEUE).await;
        // The service tests each rotation of a new stack; a clock that jumps would end the test's invocation.
        let deployed = world.cloud.secrets.list_secrets().max_results(100).send().await.unwrap();
        for secret in deployed.secret_list().iter().filter(|secret| secret.rotation_enabled == Some(true)) {
            world.rotation(secret.name().unwrap(), |rotation| rotation["state"] == "tested").await;
        }
        for line in lines.iter().filter(|line| line.rotation == Rotation::Stack) {
            let found = world.cloud.secrets.describe_secret().secret_id(&line.name).send().await.unwrap();
            world.arns.insert(line.name.clone(), found.arn.unwrap());
        }
        let mut made: Vec<_> = lines.iter().filter(|line| line.rotation != Rotation::Stack).collect();
        made.sort_by_key(|line| line.made);
        for line in made.iter().filter(|line| line.made < june(1)) {
            assert_eq!(world.advance(instant(line.made, (12, 0))).await, Vec::<String>::new());
            world.make(line).await;
        }
        world.advance(instant(june(0), (18, 0))).await;
        for line in made.iter().filter(|line| matches!(line.rotation, Rotation::Days { is_off: true, .. })) {
            world.cloud.secrets.cancel_rotate_secret().secret_id(&line.name).send().await.unwrap();
        }
        world.look_at_versions().await;
        world.schedule("rotation-audit", &audit_state).await;
        world.schedule("rotation-followup-sweep", &sweep_state).await;
        world
    }

    /// Puts the policy of the table in force; no function has run yet.
    async fn set_policy(&self, lines: &[Line]) {
        let entry = |line: &Line| {
            let mut entry = json!({"max_age_days": line.age?});
            if matches!(line.rotation, Rotation::Days { .. } | Rotation::Cron(_)) {
                entry["random"] = json!({"bytes": 32, "encoding": "hex"});
            }
            (line.rotation != Rotation::Stack).then(|| (line.name.clone(), entry))
        };
        let secrets: serde_json::Map<_, _> = lines.iter().filter_map(entry).collect();
        self.cloud.set_policy(&json!({"rotation": {"secrets": secrets}})).await;
    }

    /// Sets the state of a daily schedule; returns its previous state, and its hour and minute in São Paulo.
    async fn schedule(&self, name: &str, state: &Value) -> (Value, (i8, i8)) {
        let (deployed, expression) = self.switch(name, state).await;
        let fields = expression.strip_prefix("cron(").and_then(|rest| rest.strip_suffix(" * * ? *)"));
        let (minute, hour) = fields.and_then(|fields| fields.split_once(' ')).expect("a daily cron()");
        (deployed, (hour.parse().unwrap(), minute.parse().unwrap()))
    }

    /// Sets the state of a schedule; returns its previous state and its expression.
    async fn switch(&self, name: &str, state: &Value) -> (Value, String) {
        let url = format!("{}/schedules/moveongs-dev-{name}", self.cloud.facts["endpoint"].as_str().unwrap());
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/scheduler/aws4_request, SignedHeaders=host, Signature=0";
        let ask = |method: Method, body: Option<Value>| {
            let request = self.http.request(method, &url).header("authorization", scope);
            let request = body.into_iter().fold(request, |request, body| request.json(&body));
            async { request.send().await.unwrap().error_for_status().unwrap().json::<Value>().await.unwrap() }
        };
        let mut schedule = ask(Method::GET, None).await;
        let deployed = std::mem::replace(&mut schedule["State"], state.clone());
        assert_eq!(schedule["ScheduleExpressionTimezone"], "America/Sao_Paulo");
        let expression = schedule["ScheduleExpression"].as_str().unwrap().to_owned();
        ask(Method::PUT, Some(schedule)).await;
        (deployed, expression)
    }

    async fn now(&self) -> Timestamp {
        let clock = self.cloud.admin(Method::GET, "clock", None).await;
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        Timestamp::from_second(clock["now"].as_f64().unwrap() as i64).unwrap()
    }

    /// Moves the clock to the second after `to`, unless it is later; returns the names of the secrets that the service
    /// begins to rotate.
    async fn advance(&self, to: Timestamp) -> Vec<String> {
        let left = (to.duration_since(self.now().await).as_secs() + 1).max(0);
        let moved = self.cloud.admin(Method::POST, "clock", Some(json!({"advance_seconds": left}))).await;
        let name = |arn: &Value| {
            let found = self.arns.iter().find(|(_, known)| arn == known.as_str());
            found.unwrap_or_else(|| panic!("{arn} is not in the table")).0.clone()
        };
        moved["fired"].as_array().unwrap().iter().map(name).collect()
    }

    /// Makes a secret of this environment.
    async fn make(&mut self, line: &Line) {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let made = self.cloud.secrets.create_secret().name(&line.name).secret_string("a first value");
        let made = made.tags(tag("Project", "moveongs")).tags(tag("Environment", "dev"));
        let arn = made.send().await.unwrap().arn.unwrap();
        self.arns.insert(line.name.clone(), arn.clone());
        let rules = RotationRulesType::builder();
        let rules = match &line.rotation {
            Rotation::None | Rotation::Stack => return,
            Rotation::Days { days, .. } => rules.automatically_after_days(*days),
            Rotation::Cron(cron) => rules.schedule_expression(cron),
        };
        let rotated = self.cloud.secrets.rotate_secret().secret_id(arn).rotate_immediately(false);
        rotated.rotation_lambda_arn(FUNCTION).rotation_rules(rules.build()).send().await.unwrap();
        self.rotation(&line.name, |rotation| rotation["state"] == "tested").await;
    }

    /// A secret's rotation, once it is in the expected state.
    pub(crate) async fn rotation(&self, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the rotation of {name}"), async || {
            let rotation = self.cloud.admin(Method::GET, &format!("rotations?secret={name}"), None).await;
            is_right(&rotation).then_some(rotation)
        })
        .await
    }

    /// Turns on or off the delivery of a rule's events.
    pub(crate) async fn deliver(&self, pattern: &str, is_on: bool) {
        let rules = self.cloud.json_call("events", "AWSEvents.ListRules", json!({})).await;
        let has = |rule: &&Value| rule["EventPattern"].as_str().is_some_and(|each| each.contains(pattern));
        let rule = rules["Rules"].as_array().unwrap().iter().find(has).expect("a rule");
        let operation = if is_on { "AWSEvents.EnableRule" } else { "AWSEvents.DisableRule" };
        self.cloud.json_call("events", operation, json!({"Name": rule["Name"]})).await;
    }

    /// Runs a day of June.
    pub(crate) async fn live(&mut self, day: i8, lines: &[Line]) {
        let mut hours = [MORNING, self.sweep, self.audit, PEOPLE, EVENING];
        hours.sort_unstable();
        for hour in hours {
            let at = instant(june(day), hour);
            if hour == self.sweep {
                self.quiet(at).await;
                self.started(at).await;
            } else if hour == self.audit {
                self.quiet(at).await;
                self.audited(day).await;
                if AUDITED_TWICE.contains(&day) {
                    self.cloud.invoke(json!({})).await.unwrap();
                    self.audited(day).await;
                }
            } else if hour == PEOPLE {
                self.quiet(at).await;
                for event in std::mem::take(&mut self.late) {
                    self.start(event).await;
                }
                for line in lines.iter().filter(|line| line.made == june(day)) {
                    self.make(line).await;
                }
                for line in lines {
                    for (_, act) in line.acts.iter().filter(|(on, _)| *on == day) {
                        self.act(&line.name, act).await;
                    }
                }
            } else {
                self.windows(at, hour == EVENING && LOST_EVENINGS.contains(&day)).await;
            }
            self.idle().await;
        }
        self.look_at_versions().await;
        self.look_at_pages().await;
    }

    /// Moves the clock to a time at which no rotation is due.
    async fn quiet(&self, at: Timestamp) {
        assert_eq!(self.advance(at).await, Vec::<String>::new(), "{at}");
    }

    /// Waits for the execution that the schedule started, which runs alone.
    async fn started(&self, since: Timestamp) {
        eventually("the sweep", async || {
            self.executions("SUCCEEDED").await.into_iter().find(|execution| {
                execution["startDate"]
                    .as_f64()
                    .is_some_and(|start| start >= since.as_duration().as_secs_f64())
            })
        })
        .await;
    }

    async fn executions(&self, status: &str) -> Vec<Value> {
        let listed = json!({"stateMachineArn": MACHINE, "statusFilter": status, "maxResults": 1000});
        let listed = self.cloud.json_call("states", "AWSStepFunctions.ListExecutions", listed).await;
        listed["executions"].as_array().unwrap().clone()
    }

    /// Starts the state machine and waits for its end.
    pub(crate) async fn start(&self, input: Value) {
        let started = json!({"stateMachineArn": MACHINE, "input": input.to_string()});
        self.cloud.json_call("states", "AWSStepFunctions.StartExecution", started).await;
        self.idle().await;
    }

    /// Waits until no follow-up runs.
    async fn idle(&self) {
        eventually("that no follow-up runs", async || {
            self.executions("RUNNING").await.is_empty().then_some(())
        })
        .await;
    }

    /// Waits for the day's audit, and notes the changes of the board.
    async fn audited(&mut self, day: i8) {
        let date = june(day).to_string();
        eventually(&format!("the audit of {date}"), async || self.cloud.record_of(&date).await).await;
        let issues = self.cloud.admin(Method::GET, "github/issues", None).await;
        for issue in issues["issues"].as_array().unwrap() {
            let marker = issue["body"].as_str().unwrap().split("governance:rotation:").nth(1).unwrap();
            let (secret, version) = marker.split(" -->").next().unwrap().rsplit_once(':').unwrap();
            let known = self.issues.entry(issue["number"].as_u64().unwrap()).or_insert_with(|| Issue {
                secret: secret.to_owned(),
                version: version.to_owned(),
                opened: day,
                closed: None,
            });
            if issue["state"] == "closed" {
                known.closed.get_or_insert(day);
            }
        }
    }

    /// Starts due rotations and retries failed ones, as the service does.
    async fn windows(&mut self, at: Timestamp, is_lost: bool) {
        let before = self.row_counts().await;
        let again = std::mem::take(&mut self.broken);
        self.deliver(LABELS, !is_lost).await;
        let fired = self.advance(at).await;
        let mut attempts = BTreeMap::new();
        if is_evening(at) {
            for name in &again {
                let rotation = self.rotation(name, |rotation| rotation["state"] == "waiting").await;
                attempts.insert(name.clone(), rotation["attempts"].as_u64().unwrap());
                self.cloud.admin(Method::POST, "rotations/retry", Some(json!({"secret": name}))).await;
            }
        } else {
            self.broken.clone_from(&again);
        }
        for name in fired.iter().chain(attempts.keys()) {
            let tried = attempts.get(name).copied().unwrap_or_default();
            let rotation = self
                .rotation(name, |rotation| {
                    rotation["attempts"].as_u64() > Some(tried) && rotation["state"] != "running"
                })
                .await;
            if rotation["state"] == "waiting" {
                self.broken.insert(name.clone());
                self.page_of(name, rotation["error"]["type"].as_str().unwrap(), at).await;
                continue;
            }
            assert_eq!(rotation["state"], "succeeded", "{rotation}");
            if !is_lost {
                self.another_row(name, &before).await;
            }
        }
        self.deliver(LABELS, true).await;
    }

    /// Waits for a page.
    async fn page_of(&mut self, secret: &str, kind: &str, since: Timestamp) {
        for _ in 0..3000 {
            self.look_at_pages().await;
            let day = table::day_of_june(since);
            if self.pages.values().any(|page| page.secret == secret && page.kind == kind && page.day == day) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("never seen: a page about {secret}");
    }

    pub(crate) async fn rows(&self) -> Vec<Value> {
        let ledger = self.cloud.json("ledger/rotation.json").await;
        ledger.map(|rows| rows.as_array().unwrap().clone()).unwrap_or_default()
    }

    /// The number of each secret's rows.
    pub(crate) async fn row_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for row in self.rows().await {
            *counts.entry(row["secret"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }

    /// Waits until a secret has one more row than before.
    pub(crate) async fn another_row(&self, name: &str, before: &BTreeMap<String, usize>) {
        let count = before.get(name).copied().unwrap_or_default();
        eventually(&format!("a row of {name}"), async || {
            (self.row_counts().await.get(name).copied().unwrap_or_default() > count).then_some(())
        })
        .await;
    }

    /// Waits until the ledger names the person who made a version current.
    pub(crate) async fn attributed(&self, name: &str, version: &str) {
        let journal = format!("runs/rotation-followup/{}.json", sha256(b"book"));
        let key = format!("{} {version}", self.arns[name]);
        eventually(&format!("who changed {name}"), async || {
            let journal = self.cloud.json(&journal).await?;
            let is_reported = |row: &Value| row["version"] == version && row["by"] == ROOT;
            let is_known = journal["acts"].get(&key).is_some()
                || journal["rows"].as_array().unwrap().iter().any(is_reported);
            is_known.then_some(())
        })
        .await;
    }

    async fn look_at_versions(&mut self) {
        for (name, arn) in &self.arns {
            let listed = self.cloud.secrets.list_secret_version_ids().secret_id(arn).include_deprecated(true);
            // A deleted secret keeps the versions that it had.
            let Ok(listed) = listed.send().await else { continue };
            let mut listed = listed.versions.unwrap();
            listed.sort_by_key(|version| version.created_date.map(|at| at.secs()));
            let ids = listed.into_iter().map(|version| version.version_id.unwrap());
            let known = self.versions.entry(name.clone()).or_default();
            let new: Vec<_> = ids.filter(|id| !known.contains(id)).collect();
            known.extend(new);
        }
    }

    async fn look_at_pages(&mut self) {
        for page in self.cloud.queued(QUEUE).await {
            // Alarms of CloudWatch go to the same topic.
            if page["Message"].as_str().unwrap().contains("\"AlarmName\"") {
                continue;
            }
            let at: Timestamp = page["Timestamp"].as_str().unwrap().parse().unwrap();
            let secret = page["MessageAttributes"]["secret"]["Value"].as_str().unwrap_or_default();
            // `[dev] Overdue: legacy`
            let kind =
                page["Subject"].as_str().unwrap().trim_start_matches("[dev] ").split(':').next().unwrap();
            // One page is about all the secrets that it names.
            for secret in secret.split(", ") {
                let page_of =
                    Page { secret: secret.to_owned(), kind: kind.to_owned(), day: table::day_of_june(at) };
                self.pages.insert(format!("{} {secret}", page["MessageId"].as_str().unwrap()), page_of);
            }
        }
    }

    /// Ledger, tasks and pages of each secret in the table's notation; fails on any of another secret.
    pub(crate) async fn end(mut self, lines: &[Line]) -> Vec<[String; 3]> {
        self.look_at_pages().await;
        let rows = self.rows().await;
        let names: BTreeSet<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        let reported = rows.iter().map(|row| (row["secret"].as_str().unwrap(), row.to_string()));
        let tasks = self.issues.values().map(|issue| (issue.secret.as_str(), format!("{issue:?}")));
        let pages = self.pages.values().map(|page| (page.secret.as_str(), format!("{page:?}")));
        let reported = reported.chain(tasks).chain(pages);
        let strange: BTreeSet<_> = reported.filter(|(name, _)| !names.contains(name)).collect();
        assert!(strange.is_empty(), "not in the table: {strange:#?}");
        let audits: Vec<_> = self.cloud.evidence("rotation-audit").await;
        let audits: Vec<_> = audits.iter().map(|(_, record)| record["run_id"].as_str().unwrap()).collect();
        let days: Vec<_> = (1..=30).map(|day| june(day).to_string()).collect();
        assert_eq!(audits, days);
        lines.iter().map(|line| [self.ledger(&rows, line), self.tasks(line), self.pages(line)]).collect()
    }

    /// A version's number in its secret: `v1` for the first.
    fn version(&self, secret: &str, id: &str) -> String {
        let place = self.versions.get(secret).and_then(|ids| ids.iter().position(|each| each == id));
        place.map_or_else(|| format!("v? ({id})"), |place| format!("v{}", place + 1))
    }

    fn ledger(&self, rows: &[Value], line: &Line) -> String {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("none").to_owned();
        // The list begins with the newest row.
        let of_secret = rows.iter().rev().filter(|row| row["secret"] == line.name.as_str());
        let rows: Vec<_> = of_secret
            .map(|row| {
                assert_eq!(row["arn"], self.arns[&line.name].as_str(), "{row}");
                let who = if row["reason"] == "manual" { json!(ROOT) } else { Value::Null };
                assert_eq!(row["by"], who, "{row}");
                let day = table::day_of_june(text(row, "started").parse().unwrap());
                let [from, to] = ["previous", "version"].map(|it| self.version(&line.name, &text(row, it)));
                let due = row["next_due"].as_str().map(|due| {
                    let due: Timestamp = due.parse().unwrap();
                    due.to_zoned_datetime(SAO_PAULO).strftime("%m-%d").to_string()
                });
                let outcome = once(text(row, "outcome"));
                let failure = row["failure"]["kind"].as_str().map(str::to_owned);
                let outcome: Vec<_> = outcome.chain(failure).collect();
                let due = due.as_deref().unwrap_or("-");
                format!("{day} {from}>{to} {} {} due {due}", text(row, "reason"), outcome.join(" "))
            })
            .collect();
        table::cell(&rows)
    }

    fn tasks(&self, line: &Line) -> String {
        let mut tasks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for issue in self.issues.values().filter(|issue| issue.secret == line.name) {
            let closed = issue.closed.map(|day| day.to_string()).unwrap_or_default();
            let tasks = tasks.entry(self.version(&line.name, &issue.version)).or_default();
            tasks.push(format!("{}-{closed}", issue.opened));
        }
        table::cell(
            &tasks.iter().map(|(version, days)| format!("{version} {}", days.join(", "))).collect::<Vec<_>>(),
        )
    }

    fn pages(&self, line: &Line) -> String {
        let mut kinds: BTreeMap<&str, BTreeMap<i32, usize>> = BTreeMap::new();
        for page in self.pages.values().filter(|page| page.secret == line.name) {
            *kinds.entry(&page.kind).or_default().entry(page.day).or_default() += 1;
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, days)| (days.keys().next().copied(), *kind));
        let reported: Vec<_> =
            kinds.iter().map(|(kind, days)| format!("{kind} {}", table::days(days))).collect();
        table::cell(&reported)
    }
}

fn is_evening(at: Timestamp) -> bool {
    at.to_zoned_datetime(SAO_PAULO).hour() == EVENING.0
}
