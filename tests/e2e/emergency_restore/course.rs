//! The courses of a restore in which the matrices make something go wrong: what a person orders, and what holds at the end.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::world::{DATABASE, INSTANCE, MACHINE, MIGRATION, OTHER, Pause, World, extend};

/// A course: the orders of a person.
#[derive(Debug)]
pub(super) struct Course {
    /// Its name in the report.
    pub(super) name: &'static str,
    /// Whether the person chooses what is restored, and a migration is configured, which fails at first.
    is_long: bool,
    /// The orders while a database is in use.
    in_use: &'static [&'static str],
}

/// Approval, return, end.
pub(super) const SHORT: Course =
    Course { name: "there and back", is_long: false, in_use: &["rollBack", "close"] };

/// Every order that leads on: choice, approval, repetition of a migration, return, forward, end on the new database.
pub(super) const LONG: Course =
    Course { name: "every order", is_long: true, in_use: &["rollBack", "forward", "close"] };

impl Course {
    /// Whether the course is the one that tries what happens in a state, after so many orders in use.
    pub(super) fn has_own(&self, state: &str, orders: usize) -> bool {
        let is_of_long = ["AskChoice", "Migrate", "Fail", "AskRepair"].contains(&state);
        !self.is_long || orders >= 2 || is_of_long
    }

    /// The orders in the evidence of the whole course.
    fn orders(&self) -> impl Iterator<Item = &str> {
        let first: &[&str] = if self.is_long { &["choose", "approve", "retry"] } else { &["approve"] };
        first.iter().chain(self.in_use).copied()
    }

    /// Prepares the world, once for all walks of the course.
    pub(super) async fn prepare(&self, world: &World) {
        if self.is_long {
            world.with_a_migration().await;
        } else {
            world.cloud.forget_policy().await;
        }
    }
}

/// A person on a course.
pub(super) struct Walk<'a> {
    world: &'a World,
    course: &'a Course,
    /// The present execution.
    pub(super) execution: Value,
    /// Kinds of the failures after which the person ordered a repetition.
    pub(super) repaired: Vec<String>,
    /// How often another execution took over.
    pub(super) resumed: usize,
    /// Number of migrations before the course.
    migrations: usize,
    /// Most failures that the person still repairs, beside the migration's.
    pub(super) patience: usize,
    /// Whether the restore has asked the person for anything.
    has_asked: bool,
}

impl<'a> Walk<'a> {
    /// Starts the state machine; what fails is armed before.
    pub(super) async fn begin(world: &'a World, course: &'a Course) -> Self {
        let migrations = world.jobs().await.len();
        if course.is_long {
            world.job(3).await;
        }
        let mut walk = Self {
            world,
            course,
            execution: Value::Null,
            repaired: Vec::new(),
            resumed: 0,
            migrations,
            patience: 3,
            has_asked: false,
        };
        walk.start().await;
        walk
    }

    async fn start(&mut self) {
        let more = if self.course.is_long { json!({}) } else { json!({"source": "latest"}) };
        let mut input = json!({"rehearsal": true});
        extend(&mut input, more);
        self.execution = self.world.begin(input).await;
    }

    /// Gives the order that each state waits for, until the execution ends or is stopped; returns its description.
    pub(super) async fn on(&mut self) -> Value {
        loop {
            match self.world.pause(&self.execution).await {
                Pause::Asks(state, open) => {
                    self.has_asked = true;
                    self.answer(&state, &open).await;
                }
                // The person sees that none began, and starts again.
                Pause::Ended(ended)
                    if ended["error"] == "RestoreRefused" && !self.has_asked && self.patience > 0 =>
                {
                    self.patience -= 1;
                    self.repaired.push("RestoreRefused".to_owned());
                    self.start().await;
                }
                Pause::Ended(ended) => return ended,
            }
        }
    }

    async fn answer(&mut self, state: &str, open: &Value) {
        match state {
            "AskChoice" => self.order("choose", json!({"source": "latest"})).await,
            "AskApproval" => {
                let verdict = open["proof"]["verdict"].as_str().unwrap();
                self.order("approve", json!({"despiteProof": format!("{verdict}: a test")})).await;
            }
            "Hold" => {
                let given = open["orders"].as_array().unwrap().iter();
                let given = given.filter(|one| {
                    ["rollBack", "forward", "close"].contains(&one["order"]["order"].as_str().unwrap())
                });
                let next = self.course.in_use[given.count()];
                self.order(next, json!({})).await;
            }
            "AskRepair" => {
                let kind = open["failure"]["kind"].as_str().unwrap().to_owned();
                if kind == "MigrationFailed" && self.course.is_long {
                    self.world.job(0).await;
                } else {
                    assert!(self.patience > 0, "{:?}, then {}", self.repaired, open["failure"]);
                    self.patience -= 1;
                    self.repaired.push(kind);
                }
                self.order("retry", json!({})).await;
            }
            other => panic!("{other} waits"),
        }
    }

    /// Gives an order as a person does: again if the answer was an error.
    async fn order(&self, order: &str, more: Value) {
        let mut event = json!({"order": order, "run": self.world.open().await["run"], "by": OTHER});
        extend(&mut event, more);
        let mut first = None;
        for _ in 0..3 {
            let Err(error) = self.world.cloud.invoke(event.clone()).await else { return };
            let kind = error["errorType"].as_str().unwrap_or_default();
            // It was noted although the answer was an error, and the restore has gone on since.
            let is_past = ["OrderNotPossible", "NoOpenRestore", "OtherRun"].contains(&kind);
            if first.is_some() && is_past {
                return;
            }
            assert!(self.world.struck().await, "{order}: {error}");
            first.get_or_insert(error);
        }
        panic!("{order}: {first:?}");
    }

    /// Another execution goes on; returns whether there was something to go on with.
    pub(super) async fn resume(&mut self) -> bool {
        let run = self.world.open().await["run"].clone();
        if run.is_null() {
            return false;
        }
        let resume = json!({"resume": run, "by": OTHER});
        self.execution = self.world.cloud.start(MACHINE, &resume).await;
        self.resumed += 1;
        true
    }

    /// Begins again after a stop before a restore was noted.
    pub(super) async fn begin_again(&mut self) {
        self.start().await;
    }

    /// Checks the end: one database in use, which is there; each instance named with its removal; evidence of each order.
    pub(super) async fn holds(&self) {
        let (world, course) = (self.world, self.course);
        assert_eq!(world.open().await, Value::Null);
        let all = world.new_instances().await;
        assert_eq!(all.len(), 1, "{all:?}");
        let name = all[0].db_instance_identifier().unwrap();
        let run = name.strip_prefix(&format!("{INSTANCE}-")).unwrap();
        let is_new = course.in_use.contains(&"forward");
        assert!(
            world.uses(if is_new { name } else { INSTANCE }).await,
            "the secret names the other database"
        );
        world.application().await;
        assert_eq!(world.status(INSTANCE).await.as_deref(), Some("available"));
        assert_eq!(world.status(name).await.as_deref(), Some("available"));
        world.nothing_was_deleted().await;

        // The one in use is not to be removed; Terraform has to know it instead.
        let remains = if is_new { "terraform import" } else { "delete-db-instance" };
        let said = world.cloud.messages(run).await;
        let said = match said.into_iter().rev().find(|message| message.contains(remains)) {
            Some(message) => message,
            // A message that the channel refused is in the log, whole.
            None => world.undelivered("NotificationFailed", run).await,
        };
        assert!(said.contains(remains) && said.contains(name), "{name}: {said}");

        let record = match world.cloud.record_of(run).await {
            Some(record) => {
                assert_eq!(record["result"], "succeeded", "{record}");
                record.to_string()
            }
            None => world.undelivered("EvidenceFailed", run).await,
        };
        let record = record.replace('\\', "");
        for order in course.orders() {
            assert!(record.contains(&format!("\"order\":\"{order}\"")), "{order}: {record}");
        }
        assert!(record.contains(name), "{name}: {record}");
        let resumed = record.matches("resumed by").count();
        assert!(resumed >= self.resumed.min(1) && resumed <= self.resumed, "{}: {record}", self.resumed);

        let jobs: Vec<_> = world.jobs().await.into_iter().skip(self.migrations).collect();
        let exits: Vec<_> = jobs.iter().map(|job| job["exit"].clone()).collect();
        assert_eq!(exits, if course.is_long { vec![json!(3), json!(0)] } else { vec![] }, "{jobs:?}");
        if course.is_long {
            let migrated = "SELECT to_regclass('migrated_here')::text";
            let there = world.application_at(name).await.query_one(migrated, &[]).await.unwrap();
            assert!(there.get::<_, Option<String>>(0).is_some(), "the new database has no migration");
            let there = world.application_at(INSTANCE).await.query_one(migrated, &[]).await.unwrap();
            assert_eq!(there.get::<_, Option<String>>(0), None, "the migration ran on the old database");
        }
    }
}

impl World {
    /// Whether a fault or an interruption has struck.
    pub(super) async fn struck(&self) -> bool {
        let rules = self.cloud.admin(Method::GET, "faults", None).await["rules"].clone();
        let stops =
            self.cloud.admin(Method::GET, "states/interruptions", None).await["interruptions"].clone();
        let all = rules.as_array().unwrap().iter().chain(stops.as_array().unwrap());
        all.into_iter().any(|one| one["hits"].as_u64() > Some(0))
    }

    /// The order for the migration's next task: the code with which it exits.
    async fn job(&self, exit: i64) {
        let mut order = json!({"family": MIGRATION, "exit": exit});
        if exit == 0 {
            order["sql"] = json!(["CREATE TABLE migrated_here (id int)"]);
        }
        self.cloud.admin(Method::POST, "ecs/jobs", Some(order)).await;
    }

    /// What the log has of a text that could not be delivered.
    async fn undelivered(&self, kind: &str, about: &str) -> String {
        let lines = self.cloud.log_lines(&format!("\"error_type\":\"{kind}\"")).await;
        let found = lines.into_iter().rev().find(|line| line.contains("undelivered") && line.contains(about));
        found.unwrap_or_else(|| panic!("neither delivered nor in the log ({kind}): {about}"))
    }

    /// Number of executions that were stopped, as CloudWatch counts them.
    pub(super) async fn aborted(&self) -> usize {
        let now = shared::runtime::time::now();
        let (start, end) =
            (now - jiff::SignedDuration::from_hours(24), now + jiff::SignedDuration::from_hours(1));
        let (start, end) = (start.to_string(), end.to_string());
        let asked = [
            ("Version", "2010-08-01"),
            ("Namespace", "AWS/States"),
            ("MetricName", "ExecutionsAborted"),
            ("Dimensions.member.1.Name", "StateMachineArn"),
            ("Dimensions.member.1.Value", MACHINE),
            ("StartTime", &start),
            ("EndTime", &end),
            ("Period", "172800"),
            ("Statistics.member.1", "Sum"),
        ];
        let answer = self.cloud.query("monitoring", "GetMetricStatistics", &asked).await;
        let sums = answer.split("<Sum>").skip(1).map(|rest| rest.split('<').next().unwrap());
        // CloudWatch writes `1.0`.
        sums.map(|sum| sum.split('.').next().unwrap().parse::<usize>().unwrap()).sum()
    }

    /// Logs in with the value in force, whichever database it names.
    pub(super) async fn somewhere(&self) {
        let value = self.value().await;
        let login = crate::server::with_the_value(&self.cloud, &value).await;
        // The value may have been replaced since it was read.
        if login.is_err() && self.value().await == value {
            panic!("{DATABASE} names a database that is not there");
        }
    }
}

/// Runs a part of a matrix to its end; an assertion that fails there is returned, and the matrix goes on.
pub(super) async fn attempt<T>(part: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(part).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
