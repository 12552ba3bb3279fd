//! The local cloud for tests: clients of the account's root, and the admin interface.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::Environment;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

/// The evidence bucket.
pub(crate) const EVIDENCE: &str = "moveongs-dev-evidence-000000000000";

/// Run id of a chain's first record, which is long past.
const LONG_AGO: &str = "long ago";

/// The account itself, as a role's trust policy names it.
const ROOT: &str = "arn:aws:iam::000000000000:root";

/// Prefix of the secrets that the stack of the tests lets `rotate-random` rotate.
pub(crate) const PREFIX: &str = "/moveongs/dev/test/";

/// A running local cloud with the stack deployed, and the function under test.
pub(crate) struct Cloud {
    /// Name of the procedure, e.g. `rotate-random`.
    pub(crate) procedure: &'static str,
    /// The content of `cloud.json`.
    pub(crate) facts: Value,
    folder: PathBuf,
    endpoint: String,
    http: reqwest::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) rds: aws_sdk_rds::Client,
}

impl Cloud {
    /// The cloud whose `cloud.json` is named in `LOCALCLOUD`, for tests of one procedure.
    pub(crate) async fn connect(procedure: &'static str) -> Self {
        let all = Self::all();
        assert_eq!(all.len(), 1, "these tests have one local cloud");
        Self::of(&all[0], procedure).await
    }

    /// The paths in `LOCALCLOUD`.
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    pub(crate) fn all() -> Vec<PathBuf> {
        let paths = std::env::var_os("LOCALCLOUD");
        let paths = paths.expect("LOCALCLOUD is not set: run this through `cargo xtask test`");
        std::env::split_paths(&paths).collect()
    }

    /// The cloud with this `cloud.json`.
    pub(crate) async fn of(path: &Path, procedure: &'static str) -> Self {
        let facts =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let facts: Value = serde_json::from_str(&facts).unwrap();
        let endpoint = facts["endpoint"].as_str().unwrap().to_owned();
        let root = aws_sdk_secretsmanager::config::Credentials::new(
            "test",
            "test",
            None,
            None,
            "root of the local cloud",
        );
        let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
            .endpoint_url(&endpoint)
            .region("us-east-1")
            .credentials_provider(root)
            .load()
            .await;
        let cloud = Self {
            procedure,
            facts,
            folder: path.parent().unwrap().to_owned(),
            endpoint,
            http: reqwest::Client::new(),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            s3: aws_sdk_s3::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            rds: aws_sdk_rds::Client::new(&config),
        };
        // Its messages would stand between those that the tests of other procedures count.
        cloud.pager(procedure.starts_with("incident-")).await;
        // Every record of every test would make a page.
        cloud.wake("governance-report", false).await;
        cloud
    }

    /// Turns the pager on or off: what its queue and its table's stream bring to its two functions. The clock, which would
    /// change the incidents of other tests, is woken by its own tests only.
    pub(crate) async fn pager(&self, on: bool) {
        for (function, on) in [("incident-page", on), ("incident-send", on), ("incident-clock", false)] {
            self.wake(function, on).await;
        }
    }

    /// Lets a function's queue or stream wake it, or not.
    pub(crate) async fn wake(&self, function: &str, on: bool) {
        let function = format!("moveongs-dev-{function}");
        let mappings = self.lambda.list_event_source_mappings().function_name(&function);
        let mappings = mappings.send().await.unwrap();
        let [mapping] = mappings.event_source_mappings() else { panic!("{function}: {mappings:?}") };
        let state = if on { "Enabled" } else { "Disabled" };
        if mapping.state() != Some(state) {
            let update = self.lambda.update_event_source_mapping().set_uuid(mapping.uuid.clone());
            update.enabled(on).send().await.unwrap();
        }
    }

    /// Name of the function under test in the local cloud's stack.
    pub(crate) fn function(&self) -> String {
        format!("moveongs-dev-{}", self.procedure)
    }

    /// Prefix of the secrets that the stack of the tests lets the function rotate.
    pub(crate) fn prefix(&self) -> &'static str {
        if self.procedure == "rotate-database" { "/moveongs/dev/test-database/" } else { PREFIX }
    }

    /// The address of all services.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The folder of its state.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Calls `METHOD /_local/<path>`.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}/_local/{path}", self.endpoint));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Calls GitHub's API of the repository as a person.
    pub(crate) async fn github(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = self.facts["github_url"].as_str().unwrap();
        let asked = self.http.request(method, format!("{url}/repos/moveongs/governance/{path}"));
        let asked = if body.is_null() { asked } else { asked.json(body) };
        let asked = asked.header("user-agent", "tests");
        let answer = asked.bearer_auth(self.facts["github_token"].as_str().unwrap()).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Commits a new file to the main branch of GitHub's repository; returns the commit.
    pub(crate) async fn commit(&self, path: &str, content: &str) -> String {
        let content = json!({"message": path, "content": STANDARD.encode(content)});
        let answer = self.github(Method::PUT, &format!("contents/{path}"), &content).await;
        answer["commit"]["sha"].as_str().unwrap().to_owned()
    }

    /// An S3 client of a new IAM user with all permissions; policies do not apply to the account's root here.
    pub(crate) async fn administrator(&self, name: &str) -> aws_sdk_s3::Client {
        self.s3_as(self.user(name, json!({"Effect": "Allow", "Action": "*", "Resource": "*"})).await)
    }

    /// The key of a new IAM user with one statement of a policy.
    pub(crate) async fn user(&self, name: &str, statement: Value) -> aws_sdk_s3::config::Credentials {
        let policy = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        self.iam("CreateUser", name, &[]).await;
        self.iam("PutUserPolicy", name, &[("PolicyName", "only"), ("PolicyDocument", &policy)]).await;
        let answer = self.iam("CreateAccessKey", name, &[]).await;
        let (id, secret) = (element(&answer, "AccessKeyId"), element(&answer, "SecretAccessKey"));
        aws_sdk_s3::config::Credentials::new(id, secret, None, None, "user")
    }

    /// Keys of a deployer's session: the role in `DeployerArns`, with all permissions.
    pub(crate) async fn deployer(&self) -> aws_sdk_s3::config::Credentials {
        const NAME: &str = "moveongs-dev-deployer";
        let everything = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
        let (everything, trust) = (everything.to_string(), trust(&json!({"AWS": ROOT})));
        let named = [("Version", "2010-05-08"), ("RoleName", NAME)];
        if self.answer("iam", "GetRole", &named).await.is_err() {
            let made = [&named[..], &[("AssumeRolePolicyDocument", &trust)]].concat();
            self.query("iam", "CreateRole", &made).await;
        }
        let policy = [("PolicyName", "all"), ("PolicyDocument", &everything)];
        self.query("iam", "PutRolePolicy", &[&named[..], &policy].concat()).await;
        self.session(NAME).await
    }

    /// Keys of a session of the function's own role.
    pub(crate) async fn own_role(&self) -> aws_sdk_s3::config::Credentials {
        let function =
            self.lambda.get_function_configuration().function_name(self.function()).send().await.unwrap();
        let name = function.role().unwrap().rsplit('/').next().unwrap();
        let trusts = async |who: Value| {
            let document = trust(&who);
            let update = [("Version", "2010-05-08"), ("RoleName", name), ("PolicyDocument", &document)];
            self.query("iam", "UpdateAssumeRolePolicy", &update).await;
        };
        trusts(json!({"AWS": ROOT})).await;
        let session = self.session(name).await;
        trusts(json!({"Service": "lambda.amazonaws.com"})).await;
        session
    }

    async fn session(&self, role: &str) -> aws_sdk_s3::config::Credentials {
        let arn = format!("arn:aws:iam::000000000000:role/{role}");
        let asked = [("Version", "2011-06-15"), ("RoleArn", &arn), ("RoleSessionName", "test")];
        let answer = self.query("sts", "AssumeRole", &asked).await;
        let token = Some(element(&answer, "SessionToken"));
        let (id, secret) = (element(&answer, "AccessKeyId"), element(&answer, "SecretAccessKey"));
        aws_sdk_s3::config::Credentials::new(id, secret, token, None, "session")
    }

    /// An S3 client with other keys.
    pub(crate) fn s3_as(&self, key: aws_sdk_s3::config::Credentials) -> aws_sdk_s3::Client {
        let config = self.s3.config().to_builder().credentials_provider(key).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Calls IAM as the account's root.
    pub(crate) async fn iam(&self, action: &str, user: &str, more: &[(&str, &str)]) -> String {
        let parameters = [&[("Version", "2010-05-08"), ("UserName", user)], more].concat();
        self.query("iam", action, &parameters).await
    }

    /// Calls a service of the query protocol as the account's root, whose signature the local cloud does not check.
    pub(crate) async fn query(&self, service: &str, action: &str, more: &[(&str, &str)]) -> String {
        self.answer(service, action, more).await.unwrap()
    }

    async fn answer(
        &self,
        service: &str,
        action: &str,
        more: &[(&str, &str)],
    ) -> Result<String, reqwest::Error> {
        let parameters = [&[("Action", action)], more].concat();
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let answer =
            self.http.post(&self.endpoint).header("authorization", scope).form(&parameters).send().await;
        answer.unwrap().error_for_status()?.text().await
    }

    /// Calls a service of a JSON protocol as the account's root.
    pub(crate) async fn json_call(&self, service: &str, target: &str, body: Value) -> Value {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let request =
            self.http.post(&self.endpoint).header("authorization", scope).header("x-amz-target", target);
        let request = request.header("content-type", "application/x-amz-json-1.1").body(body.to_string());
        let answer = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).unwrap() }
    }

    /// Calls a REST service as the account's root.
    pub(crate) async fn rest(&self, service: &str, method: Method, path: &str, body: Value) -> Value {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let request = self.http.request(method, format!("{}{path}", self.endpoint));
        let request = request.header("authorization", scope).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap().error_for_status().unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    /// Turns on or off the events of Secrets Manager to the follow-up's state machine, and of CloudTrail to its function.
    pub(crate) async fn followups(&self, reach: bool) {
        self.rules(reach, &["Secret Label Updated", "via CloudTrail"]).await;
    }

    /// Turns on or off the events of snapshots to `snapshot-verify`; off, also those to `restore-test`'s baselines.
    pub(crate) async fn snapshot_events(&self, reach: bool) {
        self.rules(reach, &["RDS DB Cluster Snapshot Event"]).await;
        if !reach {
            self.baseline_events(false).await;
        }
    }

    /// Turns on or off the events of snapshots that start a baseline of `restore-test`.
    pub(crate) async fn baseline_events(&self, reach: bool) {
        self.rules(reach, &["[\"RDS DB Snapshot Event\"]"]).await;
    }

    /// Turns on or off the events of executions that end without success, to `restore-test`'s reaper.
    pub(crate) async fn ended_events(&self, reach: bool) {
        self.rules(reach, &["Step Functions Execution Status Change"]).await;
    }

    /// Turns on or off the policy's changes to `inventory-audit`.
    pub(crate) async fn policy_events(&self, reach: bool) {
        self.rules(reach, &["policy/current.json"]).await;
    }

    /// Turns on or off the rules whose pattern contains one of these texts.
    async fn rules(&self, reach: bool, patterns: &[&str]) {
        let rules = self.json_call("events", "AWSEvents.ListRules", json!({})).await;
        let operation = if reach { "AWSEvents.EnableRule" } else { "AWSEvents.DisableRule" };
        let mut found = 0;
        for rule in rules["Rules"].as_array().unwrap() {
            let pattern = rule["EventPattern"].as_str().unwrap_or_default();
            if patterns.iter().any(|text| pattern.contains(text)) {
                self.json_call("events", operation, json!({"Name": rule["Name"]})).await;
                found += 1;
            }
        }
        assert_eq!(found, patterns.len(), "{rules}");
    }

    /// Calls the application; returns status and body.
    pub(crate) async fn application(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = self.facts["moveongs_url"].as_str().unwrap();
        let answer = self.http.request(method, format!("{url}{path}")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The bodies of all unreceived messages in a queue.
    pub(crate) async fn queued(&self, queue: &str) -> Vec<Value> {
        let url = format!("{}/_ministack/sqs/messages?QueueUrl={}", self.endpoint, self.queue_url(queue));
        let answer: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let messages = answer["messages"]["000000000000"]["us-east-1"][self.queue_url(queue)].as_array();
        let bodies = messages.into_iter().flatten().map(|message| message["Body"].as_str().unwrap());
        let messages: Vec<Value> =
            bodies.map(|body| serde_json::from_str(body).unwrap_or_else(|_| json!(body))).collect();
        // Every page has the whole envelope: as attributes, and as JSON.
        for message in messages.iter().filter(|message| !message["MessageAttributes"]["dedup_key"].is_null())
        {
            let attribute = |name: &str| {
                let value = message["MessageAttributes"][name]["Value"].as_str();
                value.filter(|value| !value.is_empty()).unwrap_or_else(|| panic!("{name}: {message}"))
            };
            let page: Value = serde_json::from_str(attribute("page")).unwrap();
            for name in
                ["action", "backup", "dedup_key", "environment", "kind", "owner", "runbook", "severity"]
            {
                assert_eq!(page[name], attribute(name), "{name}");
            }
            assert_eq!((&page["resource"], &page["version"]), (&json!(attribute("secret")), &json!(1)));
            assert_eq!((&page["subject"], &page["text"]), (&message["Subject"], &message["Message"]));
        }
        messages
    }

    /// Removes all messages of a queue.
    pub(crate) async fn purge(&self, queue: &str) {
        let purge = json!({"QueueUrl": self.queue_url(queue)});
        self.json_call("sqs", "AmazonSQS.PurgeQueue", purge).await;
    }

    pub(crate) fn queue_url(&self, queue: &str) -> String {
        format!("{}/000000000000/{queue}", self.endpoint)
    }

    /// Removes faults, empties the channel, and leaves retries to the test.
    pub(crate) async fn calm(&self) {
        self.admin(Method::DELETE, "faults", None).await;
        self.admin(Method::POST, "rotations/settings", Some(json!({"retry": "manual"}))).await;
        self.admin(Method::DELETE, "slack/messages", None).await;
    }

    /// Arms a fault for the function's calls; `rule` adds to or replaces the fields.
    pub(crate) async fn fault(&self, rule: Value) {
        self.admin(Method::POST, "faults", Some(self.rule(rule))).await;
    }

    /// Denies the function's calls of an action until the faults are removed.
    pub(crate) async fn deny(&self, service: &str, action: &str) {
        self.fault(json!({"service": service, "action": action, "count": 0, "effect": "error", "status": 403, "code": "AccessDenied"}))
            .await;
    }

    /// The rule of such a fault.
    pub(crate) fn rule(&self, rule: Value) -> Value {
        let mut full =
            json!({"service": "*", "action": "*", "caller": format!("lambda:{}", self.function())});
        full.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        full
    }

    /// Number of hits of the armed faults with an effect.
    pub(crate) async fn hits(&self, effect: &str) -> u64 {
        let rules = self.admin(Method::GET, "faults", None).await;
        let rules = rules["rules"].as_array().unwrap().iter().filter(|rule| rule["effect"] == effect);
        rules.map(|rule| rule["hits"].as_u64().unwrap()).sum()
    }

    /// The function's calls since `after`, as `service:action`, and the newest call's number.
    pub(crate) async fn calls(&self, after: u64) -> (Vec<String>, u64) {
        let log = self.log_of_calls(after).await;
        (log["calls"].as_array().unwrap().iter().map(name_of).collect(), log["last"].as_u64().unwrap())
    }

    /// Those calls that may change something: all but the local cloud's `READS`.
    pub(crate) async fn changes(&self, after: u64) -> Vec<String> {
        let log = self.log_of_calls(after).await;
        let calls = log["calls"].as_array().unwrap().iter();
        calls.filter(|call| call["changes"].as_bool().unwrap()).map(name_of).collect()
    }

    async fn log_of_calls(&self, after: u64) -> Value {
        let path = format!("calls?after={after}&caller=lambda:{}", self.function());
        self.admin(Method::GET, &path, None).await
    }

    /// Number of the newest call by any caller.
    pub(crate) async fn last_call(&self) -> u64 {
        self.calls(u64::from(u32::MAX)).await.1
    }

    /// The texts of the channel's messages that mention `about`, including blocks.
    pub(crate) async fn messages(&self, about: &str) -> Vec<String> {
        let messages = self.admin(Method::GET, "slack/messages", None).await;
        let texts = messages["messages"].as_array().unwrap().iter().map(Value::to_string);
        texts.filter(|text| text.contains(about)).collect()
    }

    /// Checks that the log has, and the metrics count, what neither the channel nor the paging topic took.
    pub(crate) async fn undelivered(&self, content: &str) {
        for (kind, metric) in [("NotificationFailed", "NotificationFailures"), ("PageFailed", "PageFailures")]
        {
            let lost = self.log_lines(&format!("\"error_type\":\"{kind}\"")).await;
            let is_whole = |line: &String| line.contains("undelivered") && line.contains(content);
            assert!(lost.iter().any(is_whole), "{kind}");
            assert!(!self.log_lines(&format!("\"{metric}\":1")).await.is_empty());
        }
    }

    /// Invokes the function with a step's event as a state machine does: retries after a kill.
    pub(crate) async fn despite_death(&self, event: Value) -> Value {
        match self.invoke(event.clone()).await {
            Ok(answer) => answer,
            Err(error) => {
                assert!(self.hits("kill").await > 0, "{event}: {error}");
                self.admin(Method::DELETE, "faults", None).await;
                self.invoke(event.clone()).await.unwrap_or_else(|error| panic!("{event} again: {error}"))
            }
        }
    }

    /// Calls Step Functions.
    pub(crate) async fn states(&self, operation: &str, body: Value) -> Value {
        self.json_call("states", &format!("AWSStepFunctions.{operation}"), body).await
    }

    pub(crate) async fn start(&self, machine: &str, input: &Value) -> Value {
        let started = json!({"stateMachineArn": machine, "input": input.to_string()});
        self.states("StartExecution", started).await["executionArn"].clone()
    }

    /// Waits for the end of an execution.
    pub(crate) async fn ended(&self, execution: &Value) -> Value {
        eventually("the execution's end", async || {
            let described = self.states("DescribeExecution", json!({"executionArn": execution})).await;
            (described["status"] != "RUNNING").then_some(described)
        })
        .await
    }

    /// Waits until no execution of a state machine runs.
    pub(crate) async fn idle(&self, machine: &str) {
        eventually("that no execution runs", async || {
            let running = json!({"stateMachineArn": machine, "statusFilter": "RUNNING"});
            let running = self.states("ListExecutions", running).await;
            running["executions"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }

    /// Invokes the function with an event; `Err` is its error answer.
    pub(crate) async fn invoke(&self, event: Value) -> Result<Value, Value> {
        let answer =
            self.lambda.invoke().function_name(self.function()).payload(Blob::new(event.to_string()));
        let answer = answer.send().await.unwrap();
        let payload: Value = serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap();
        if answer.function_error().is_some() { Err(payload) } else { Ok(payload) }
    }

    /// All evidence records of a procedure with their keys, oldest first. Checks the chain, too.
    pub(crate) async fn evidence(&self, procedure: &str) -> Vec<(String, Value)> {
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(EVIDENCE)
            .prefix(format!("evidence/{procedure}/"))
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        keys.reverse();
        let mut records = Vec::new();
        let mut previous = Value::Null;
        let mut verifier = shared::chain::Verifier::new(procedure);
        for (place, key) in keys.into_iter().enumerate() {
            let object = self.s3.get_object().bucket(EVIDENCE).key(&key).send().await.unwrap();
            let bytes = object.body.collect().await.unwrap().into_bytes();
            let record: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(record["sequence"], place + 1, "{key}");
            assert_eq!(record["previous"], previous, "{key}");
            previous = json!({"key": key, "sha256": sha256(&bytes)});
            verifier.record(&key, &bytes, None);
            records.push((key, record));
        }
        // The product's verification agrees.
        let verdict = verifier.finish();
        assert!(verdict.faults.is_empty() && verdict.unknown.is_empty(), "{verdict:?}");
        records.retain(|(_, record)| record["run_id"] != LONG_AGO);
        records
    }

    /// Starts a procedure's chain with a record older than a week, so that an audit holds nothing back. [`Cloud::evidence`]
    /// omits it.
    pub(crate) async fn begin_long_ago(&self, procedure: &str) {
        let at = json!({"utc": "2026-01-01T12:00:00Z", "local": "2026-01-01 09:00:00 -03:00"});
        let record = json!({"schema": 1, "procedure": procedure, "sequence": 1, "previous": null, "run_id": LONG_AGO,
            "project": "moveongs", "environment": "dev", "trigger": "", "subject": "", "code_version": "",
            "channel": "sent", "started": at, "ended": at, "steps": [], "findings": [], "result": "succeeded"});
        let (key, record) = (format!("evidence/{procedure}/9999999998.json"), record.to_string());
        let mark = json!({"sequence": 1, "key": key, "sha256": sha256(record.as_bytes())}).to_string();
        let note = format!("runs/{procedure}/begun.json");
        for (key, text) in [(key, record), (note, mark)] {
            let put = self.s3.put_object().bucket(EVIDENCE).key(key).body(text.into_bytes().into());
            put.send().await.unwrap();
        }
    }

    /// The record of a run; none if it has not been written.
    pub(crate) async fn record_of(&self, run_id: &str) -> Option<Value> {
        let intent = format!("runs/{}/{}.json", self.procedure, sha256(run_id.as_bytes()));
        let key = self.json(&intent).await?["key"].as_str().unwrap().to_owned();
        self.json(&key).await.filter(|record| record["run_id"] == run_id)
    }

    /// An object of the evidence bucket, as text.
    pub(crate) async fn text(&self, key: &str) -> String {
        let object = self.s3.get_object().bucket(EVIDENCE).key(key).send().await.unwrap();
        String::from_utf8(object.body.collect().await.unwrap().to_vec()).unwrap()
    }

    /// Keys of the evidence bucket.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let mut pages = self.s3.list_objects_v2().bucket(EVIDENCE).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        keys
    }

    /// Puts a policy in force as the deployer does, without an event: a restarted function reads it.
    pub(crate) async fn set_policy(&self, patch: &Value) {
        self.policy_events(false).await;
        let commit = "5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed";
        let document = json!({"format": 1, "author": "a test", "commit": commit, "applied_at": "2026-03-01T12:00:00Z", "patch": patch});
        self.put_policy(&document.to_string()).await;
        self.restart().await;
    }

    /// Puts the defaults in force.
    pub(crate) async fn forget_policy(&self) {
        if !self.keys("policy/").await.is_empty() {
            self.policy_events(false).await;
            self.wipe("policy/").await;
            self.restart().await;
        }
    }

    /// Writes the policy's document with any content.
    pub(crate) async fn put_policy(&self, document: &str) {
        let put = self.s3.put_object().bucket(EVIDENCE).key(shared::policy::KEY);
        put.body(document.to_owned().into_bytes().into()).send().await.unwrap();
    }

    /// Makes the next invocation a cold start.
    pub(crate) async fn restart(&self) {
        let mut variables = self.variables().await;
        let count = variables.get("RESTARTS").and_then(|count| count.parse().ok()).unwrap_or(0_u32);
        variables.insert("RESTARTS".to_owned(), (count + 1).to_string());
        self.set_variables(variables).await;
    }

    /// The function's environment.
    pub(crate) async fn variables(&self) -> HashMap<String, String> {
        let found = self.lambda.get_function_configuration().function_name(self.function());
        found.send().await.unwrap().environment.unwrap().variables.unwrap()
    }

    /// Sets the function's environment.
    pub(crate) async fn set_variables(&self, variables: HashMap<String, String>) {
        let environment = Environment::builder().set_variables(Some(variables)).build();
        let update = self.lambda.update_function_configuration().function_name(self.function());
        update.environment(environment).send().await.unwrap();
    }

    /// Removes every version of every object below a prefix. Only the account's root can: the bucket's policy does not
    /// apply to it here.
    pub(crate) async fn wipe(&self, prefix: &str) {
        loop {
            let listed = self.s3.list_object_versions().bucket(EVIDENCE).prefix(prefix).send().await.unwrap();
            let versions = listed.versions().iter().map(|one| (one.key(), one.version_id()));
            let markers = listed.delete_markers().iter().map(|one| (one.key(), one.version_id()));
            let all: Vec<_> = versions.chain(markers).collect();
            if all.is_empty() {
                break;
            }
            for (key, version) in all {
                let delete = self.s3.delete_object().bucket(EVIDENCE).set_key(key.map(str::to_owned));
                let delete = delete.set_version_id(version.map(str::to_owned));
                delete.bypass_governance_retention(true).send().await.unwrap();
            }
        }
    }

    /// Subscribes a queue to the paging topic, and counts its messages.
    pub(crate) async fn listen_to_pages(&self, queue: &str) -> usize {
        let topic = "arn:aws:sns:us-east-1:000000000000:moveongs-dev-paging";
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}});
        let policy = policy.to_string();
        let made = [
            ("Version", "2012-11-05"),
            ("QueueName", queue),
            ("Attribute.1.Name", "Policy"),
            ("Attribute.1.Value", &policy),
        ];
        self.query("sqs", "CreateQueue", &made).await;
        let subscription =
            [("Version", "2010-03-31"), ("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", &arn)];
        self.query("sns", "Subscribe", &subscription).await;
        self.queued(queue).await.len()
    }

    /// An object of the evidence bucket.
    pub(crate) async fn json(&self, key: &str) -> Option<Value> {
        let object = self.s3.get_object().bucket(EVIDENCE).key(key).send().await;
        let object = match object {
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => {
                return None;
            }
            object => object.unwrap(),
        };
        Some(serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap())
    }

    /// The function's log lines that contain `text`.
    pub(crate) async fn log_lines(&self, text: &str) -> Vec<String> {
        let group = format!("/aws/lambda/{}", self.function());
        let (mut lines, mut from) = (Vec::new(), 0);
        loop {
            let page = self.logs.filter_log_events().log_group_name(&group).start_time(from);
            let page = page.send().await.unwrap();
            let events = page.events();
            // The local cloud answers with this many of the oldest events, and without a token for the later ones.
            let last = events.get(9_999).and_then(|event| event.timestamp());
            let whole = events.iter().filter(|event| last.is_none() || event.timestamp() < last);
            lines.extend(whole.filter_map(|event| Some(event.message()?.to_owned())));
            let Some(last) = last else { break };
            assert!(last > from, "more than a page of lines in a millisecond");
            from = last;
        }
        lines.retain(|line| line.contains(text));
        lines
    }
}

/// The trust policy of a role that one principal may assume.
fn trust(who: &Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

/// The text of an XML element.
fn element(answer: &str, tag: &str) -> String {
    let rest = answer.split(&format!("<{tag}>")).nth(1).unwrap_or_else(|| panic!("{answer}"));
    rest.split('<').next().unwrap().to_owned()
}

/// A logged call, as `service:action`.
fn name_of(call: &Value) -> String {
    format!("{}:{}", call["service"].as_str().unwrap(), call["action"].as_str().unwrap())
}

/// Polls until `look` finds something; otherwise fails the test with `what`.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    // Each poll costs the cloud CPU time, and several clouds share the processors.
    for _ in 0..2000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("never seen: {what}");
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
