//! The environment: its clock, what people do, and what is new since the last look.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::table::{cell, when};

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:moveongs-dev-paging";
const GROUP: &str = "moveongs-dev-incidents";
const TABLE: &str = "moveongs-dev-incidents";
const ALARM: &str = "moveongs-dev-life-5xx";

/// When the alarm goes off: however long the deployment took, an hour after the start of the cloud's clock.
const ALARM_AT: &str = "2030-11-14T01:00:00Z";

/// Schedules that go on: all others are of procedures that would post beside the incident.
const RUNNING: [&str; 1] = ["moveongs-dev-incident-send"];

/// The logs whose new entries are looked at.
const SLACK: &str = "slack/messages?all=1";
const MAIL: &str = "ses/messages";
const OTHERS: [(&str, &str); 3] =
    [("sns/sms", "sms"), ("pagerduty/events", "pagerduty"), ("sns/mails", "sns")];

/// How long a moment may take to come to rest, in real time.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long it has to stay as it is.
const REST: Duration = Duration::from_millis(400);

pub(crate) struct World {
    cloud: Cloud,
    http: reqwest::Client,
    /// When the alarm went off.
    began: Timestamp,
    /// The incident's id.
    id: String,
    /// How much of each log was looked at.
    seen: BTreeMap<&'static str, usize>,
}

/// Two squads: Ana and Bia answer for the application, Caio backs them.
fn policy() -> Value {
    let person = |name: &str| json!({"slack": format!("U0000000{name}"), "email": format!("{}@moveongs.example", name.to_lowercase())});
    let rotation = |people: &[&str], second: &[&str]| {
        json!({"rotation": {"every": "weekly", "weekday": "monday", "at": "09:00", "starts": "2030-11-04",
            "people": people, "second": second}})
    };
    json!({"incidents": {
        "people": {"Ana": person("ANA"), "Bia": person("BIA"), "Caio": person("CAIO")},
        "squads": {"Squad Backend": rotation(&["Ana"], &["Bia"]), "Squad Infra": rotation(&["Caio"], &[])},
        "customers": {"addresses": ["zona-leste@moveongs.example", "zona-sul@moveongs.example"]},
        "support": {"plan": "paid"},
    }})
}

impl World {
    /// A fresh stack with its policy, on the evening of the alarm.
    pub(crate) async fn begin() -> Self {
        let cloud = Cloud::connect("incident-send").await;
        cloud.calm().await;
        let http = reqwest::Client::new();
        let began = Timestamp::UNIX_EPOCH;
        let mut world = Self { cloud, http, began, id: String::new(), seen: BTreeMap::new() };
        world.only_the_pager_runs().await;
        world.cloud.wake("incident-clock", true).await;
        world.cloud.set_policy(&policy()).await;
        for route in [SLACK, MAIL].into_iter().chain(OTHERS.map(|(route, _)| route)) {
            world.seen.insert(route, world.log(route).await.len());
        }
        world.began = ALARM_AT.parse().unwrap();
        world.advance(0).await;
        world
    }

    async fn only_the_pager_runs(&self) {
        let listed =
            self.cloud.rest("scheduler", Method::GET, "/schedules?MaxResults=100", Value::Null).await;
        for schedule in listed["Schedules"].as_array().unwrap() {
            let name = schedule["Name"].as_str().unwrap();
            let path = format!("/schedules/{name}");
            let mut whole = self.cloud.rest("scheduler", Method::GET, &path, Value::Null).await;
            whole["State"] = json!(if RUNNING.contains(&name) { "ENABLED" } else { "DISABLED" });
            self.cloud.rest("scheduler", Method::PUT, &path, whole).await;
        }
    }

    async fn now(&self) -> Timestamp {
        let clock = self.cloud.admin(Method::GET, "clock", None).await;
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        Timestamp::from_second(clock["now"].as_f64().unwrap() as i64).unwrap()
    }

    /// Moves the clock to a number of minutes after the alarm.
    pub(crate) async fn advance(&self, minutes: i64) {
        // Some seconds later, because what people did before took some.
        let to = self.began + SignedDuration::from_mins(minutes) + SignedDuration::from_secs(20);
        let left = to.duration_since(self.now().await).as_secs().max(0);
        self.cloud.admin(Method::POST, "clock", Some(json!({"advance_seconds": left}))).await;
    }

    /// Does what happens in a moment.
    pub(crate) async fn act(&mut self, happens: &str) {
        let id = self.id.clone();
        let mut words = happens.split(' ');
        let verb = words.next().unwrap();
        let rest: Vec<&str> = words.collect();
        match verb {
            "-" => {}
            "alarm" => self.alarm("ALARM", "OK").await,
            "ok" => self.alarm("OK", "ALARM").await,
            "acknowledge" => self.desk(json!({"acknowledge": {"incident": id, "by": rest[0]}})).await,
            "command" => {
                let command = json!({"incident": id, "commander": rest[0], "backup": rest[1], "by": rest[0]});
                self.desk(json!({"command": command})).await;
            }
            "call" => {
                let squad = rest.join(" ");
                self.desk(json!({"call": {"incident": id, "squad": squad, "by": "Ana"}})).await;
            }
            "update" => {
                let text = "O banco voltou a responder; a fila ainda não.";
                self.desk(json!({"update": {"incident": id, "text": text, "by": "Ana"}})).await;
            }
            "sensitive" => {
                let reason = "um relatório com CPFs ficou público";
                let data = json!({"incident": id, "compromised": true, "reason": reason, "by": "Bia"});
                self.desk(json!({"sensitive_data": data})).await;
            }
            "runbook" => {
                let reason = "o segundo comando não existe";
                self.desk(json!({"runbook_wrong": {"incident": id, "reason": reason, "by": "Bia"}})).await;
            }
            "mitigate" => {
                let text = "Voltamos à versão anterior.";
                self.desk(json!({"mitigate": {"incident": id, "text": text, "by": "Ana"}})).await;
            }
            "register" => self.registered().await,
            "review" => {
                self.filled().await;
                self.postmortem("in_review").await;
            }
            "close" => {
                self.merged().await;
                self.postmortem("closed").await;
            }
            "done" => {
                let done = json!({"incident": id, "number": 2, "by": "Caio", "done": true});
                self.invoked("postmortem", json!({"action": done})).await;
            }
            other => panic!("{other}"),
        }
    }

    async fn desk(&self, request: Value) {
        self.invoked("incident-desk", request).await;
    }

    async fn postmortem(&self, state: &str) {
        let change = json!({"incident": self.id, "state": state, "by": "Ana"});
        self.invoked("postmortem", json!({"postmortem": change})).await;
    }

    async fn invoked(&self, function: &str, event: Value) -> Value {
        let name = format!("moveongs-dev-{function}");
        let payload = aws_sdk_lambda::primitives::Blob::new(event.to_string());
        let answer = self.cloud.lambda.invoke().function_name(name).payload(payload).send().await.unwrap();
        let body: Value = serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap();
        assert!(answer.function_error().is_none() && body["outcome"] != "refused", "{event}: {body}");
        body
    }

    /// The alarm of an S0 changes its state, as CloudWatch tells the topic.
    async fn alarm(&mut self, state: &str, previous: &str) {
        let at = self.now().await;
        let message = json!({
            "AlarmName": ALARM,
            "AlarmDescription": "Ninguém consegue usar o sistema. severity=S0 runbook=docs/plantao.md#alarmes",
            "AWSAccountId": "000000000000",
            "NewStateValue": state,
            "NewStateReason": "Threshold Crossed: 1 datapoint [97.0] was greater than the threshold (5.0).",
            "StateChangeTime": at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
            "Region": "US East (N. Virginia)",
            "AlarmArn": format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{ALARM}"),
            "OldStateValue": previous,
            "Trigger": {"MetricName": "HTTPCode_Target_5XX_Count", "Namespace": "AWS/ApplicationELB",
                "StatisticType": "Statistic", "Statistic": "SUM", "Unit": null, "Dimensions": [], "Period": 60,
                "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0},
        });
        let message = message.to_string();
        let publish = [("Version", "2010-03-31"), ("TopicArn", TOPIC), ("Message", &message)];
        self.cloud.query("sns", "Publish", &publish).await;
        if self.id.is_empty() {
            self.id = crate::cloud::eventually("the incident", async || self.incident().await).await;
        }
    }

    async fn incident(&self) -> Option<String> {
        let items = self.scan().await;
        let state = items.iter().find(|item| item["sk"]["S"] == "STATE")?;
        Some(state["pk"]["S"].as_str()?.strip_prefix("INCIDENT#")?.to_owned())
    }

    async fn scan(&self) -> Vec<Value> {
        let scan = json!({"TableName": TABLE, "ConsistentRead": true});
        let answer = self.cloud.json_call("dynamodb", "DynamoDB_20120810.Scan", scan).await;
        answer["Items"].as_array().unwrap().clone()
    }

    /// The incident's timeline, for whoever reads a failure.
    pub(crate) async fn timeline(&self) -> String {
        let mut lines: Vec<_> = self.scan().await;
        lines.retain(|item| item["sk"]["S"].as_str().is_some_and(|key| key.starts_with("LINE#")));
        lines.sort_by_key(|item| item["sk"]["S"].as_str().unwrap().to_owned());
        let body = |item: &Value| serde_json::from_str::<Value>(item["body"]["S"].as_str().unwrap()).unwrap();
        let line = |item: &Value| {
            let entry = body(item);
            let text =
                entry["text"].as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
            format!("{} {} {}: {text}", entry["at"], entry["action"], entry["by"])
        };
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// A person writes that the authority and the people concerned were told, which ends the clock of the LGPD.
    async fn registered(&self) {
        let mut request: Value = sample("incident-clock/person-register");
        let register = &mut request["register"];
        register["incident"] = json!(self.id);
        for notice in ["authority_notice", "people_notice"] {
            register["facts"][notice]["on"] = json!("2030-11-14");
        }
        self.invoked("incident-clock", request).await;
    }

    // The repository.

    /// The post-mortem's file in the repository: its branch, its path and its text.
    async fn proposed(&self) -> (String, String, String) {
        let repository = self.cloud.admin(Method::GET, "github/repository", None).await;
        let branches = repository["branches"].as_object().unwrap().iter();
        let files = branches.flat_map(|(branch, files)| {
            files.as_object().unwrap().iter().map(move |(path, text)| (branch, path, text))
        });
        let mut of_incident = files.filter(|(_, path, _)| path.contains(&self.id));
        let (branch, path, text) = of_incident.next().unwrap_or_else(|| panic!("{repository}"));
        (branch.clone(), path.clone(), text.as_str().unwrap().to_owned())
    }

    /// People write the cause and the actions into the pull request.
    async fn filled(&self) {
        let (branch, path, text) = self.proposed().await;
        let text = text.replace("_A preencher._", "Um índice faltava.");
        // The first action came with the runbook that was wrong.
        let row = |number: u32| format!("| {number} |");
        let filled: Vec<String> = text
            .lines()
            .map(|line| match line {
                line if line.starts_with(&row(1)) => line
                    .strip_suffix("| | |")
                    .map_or(line.to_owned(), |start| format!("{start}| Bia | 2030-12-02 |")),
                line if line.starts_with(&row(2)) => "| 2 | Criar o índice | Caio | 2030-11-27 |".to_owned(),
                line => line.to_owned(),
            })
            .collect();
        let url = self.cloud.facts["github_url"].as_str().unwrap();
        let file = format!("{url}/repos/moveongs/governance/contents/{path}");
        let token = self.cloud.facts["github_token"].as_str().unwrap();
        let asked =
            |request: reqwest::RequestBuilder| request.header("user-agent", "tests").bearer_auth(token);
        let old = asked(self.http.get(format!("{file}?ref={branch}"))).send().await.unwrap();
        let old: Value = old.error_for_status().unwrap().json().await.unwrap();
        let content = STANDARD.encode(filled.join("\n") + "\n");
        let change = json!({"message": "Fill in", "content": content, "branch": branch, "sha": old["sha"]});
        asked(self.http.put(file)).json(&change).send().await.unwrap().error_for_status().unwrap();
    }

    async fn merged(&self) {
        let repository = self.cloud.admin(Method::GET, "github/repository", None).await;
        let number = &repository["pulls"][0]["number"];
        self.cloud.admin(Method::POST, "github/pulls/merge", Some(json!({"number": number}))).await;
    }

    // What is new.

    async fn log(&self, route: &str) -> Vec<Value> {
        let answer = self.cloud.admin(Method::GET, route, None).await;
        answer.as_object().unwrap().values().find_map(Value::as_array).unwrap().clone()
    }

    async fn newest(&self, route: &str) -> Vec<Value> {
        self.log(route).await.split_off(self.seen[route])
    }

    /// What is new since the last look, once it is as expected or nothing changes any more.
    pub(crate) async fn look(&mut self, expected: &[String; 4]) -> [String; 4] {
        let mut found = self.found().await;
        let ends = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < ends {
            let is_right = found == *expected;
            tokio::time::sleep(if is_right { REST } else { Duration::from_millis(100) }).await;
            let again = self.found().await;
            if is_right && again == found {
                break;
            }
            found = again;
        }
        for (route, seen) in &mut self.seen {
            let answer = self.cloud.admin(Method::GET, route, None).await;
            *seen = answer.as_object().unwrap().values().find_map(Value::as_array).unwrap().len();
        }
        found
    }

    async fn found(&self) -> [String; 4] {
        let mut slack: Vec<String> = self.newest(SLACK).await.iter().filter_map(said).collect();
        // Two that are due at the same time may come either way.
        slack.sort();
        let mut mails: Vec<String> = self.newest(MAIL).await.iter().map(mailed).collect();
        for (route, name) in OTHERS {
            mails.extend(self.newest(route).await.iter().map(|_| name.to_owned()));
        }
        [cell(&slack), cell(&mails), cell(&self.waits().await), cell(&self.holds().await)]
    }

    async fn waits(&self) -> Vec<String> {
        let route = format!("scheduler/once?group={GROUP}");
        let schedules = self.log(&route).await;
        let mut waits: Vec<String> = schedules
            .iter()
            .map(|schedule| {
                let name = schedule["name"].as_str().unwrap();
                let kind = name.strip_prefix(&format!("{}-", self.id)).unwrap_or_else(|| panic!("{name}"));
                let at: Timestamp = format!("{}Z", schedule["at"].as_str().unwrap()).parse().unwrap();
                let minutes = at.duration_since(self.began).as_mins();
                format!("{} {}", kind.split('-').next().unwrap(), when(minutes))
            })
            .collect();
        waits.sort();
        waits
    }

    async fn holds(&self) -> Vec<String> {
        let mut holds: Vec<String> =
            self.log("support/cases").await.iter().map(|_| "case".to_owned()).collect();
        if self.cloud.keys(&format!("postmortems/{}/", self.id)).await.len() >= 2 {
            holds.push("document".to_owned());
        }
        let repository = self.cloud.admin(Method::GET, "github/repository", None).await;
        for pull in repository["pulls"].as_array().unwrap() {
            let merged = if pull["merged"] == true { " merged" } else { "" };
            holds.push(format!("pull request{merged}"));
        }
        if !self.cloud.keys("lgpd/").await.is_empty() {
            holds.push("register".to_owned());
        }
        let issues = self.log("github/issues").await;
        holds.extend(issues.iter().map(|issue| {
            if issue["state"] == "closed" { "task done".to_owned() } else { "task".to_owned() }
        }));
        holds
    }
}

/// An event in `events/`.
fn sample(name: &str) -> Value {
    let path = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
        .unwrap()
}

/// A message of Slack in the table's notation; none for a change in place.
fn said(message: &Value) -> Option<String> {
    if message["edited"] == true {
        return None;
    }
    let text = message["text"].as_str().unwrap();
    let blocks = message["blocks"].to_string();
    let mentions = blocks.split("<@U0000000").skip(1).filter_map(|rest| rest.split('>').next());
    let mentions: String = mentions.map(|name| format!(" @{name}")).collect();
    if message["webhook"] == true {
        return Some(format!("webhook {text}"));
    }
    if message["thread_ts"].is_null() {
        return Some(format!("message {}{mentions}", text.split(' ').next().unwrap_or_default()));
    }
    // `👀 Assumido por Ana: …`
    let words = text.split_once(' ').map_or(text, |(_, words)| words);
    let what = words.split([':', '\n']).next().unwrap_or_default().split(" por ").next().unwrap_or_default();
    Some(format!("{what}{mentions}"))
}

/// A mail in the table's notation: what its subject begins with, before the incident's id, and how many get it.
fn mailed(mail: &Value) -> String {
    let subject = mail["subject"].as_str().unwrap();
    let kind = subject.trim_start_matches("[dev] ").split(" INC-").next().unwrap_or_default();
    let to: usize = ["to", "cc", "bcc"].iter().filter_map(|name| Some(mail[name].as_array()?.len())).sum();
    format!("{kind} {to}")
}
