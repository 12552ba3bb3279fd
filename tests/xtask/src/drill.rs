//! `cargo xtask drill`: sends a marked event through every entry of the pager, and shows when it was stored, and accepted
//! by a channel.
//!
//! Like `cargo xtask policy`, it reaches the account of the caller's `aws`. Each event's problem begins with
//! [`incident::DRILL`], so it calls nobody by name and does not escalate; its incident is resolved at the end.
//!
//! EventBridge takes no events of `aws.*` from anybody, and an alarm of the stack would page for real. So the three ways
//! of an alarm are drilled with alarms made for it: one within the prefix of EventBridge's rule, but not within that of the
//! pager's own alarms, which the rule leaves out, and without an action; two outside of it, with the topic and with the
//! function as their action. Each proves one way, for which no other stands in.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit, Mac};
use incident::DRILL;
use incident::store::{Channel, Channels, Key, OPEN_INDEX};
use jiff::{SignedDuration, Timestamp};
use policy::time::SAO_PAULO;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::apply::now;
use crate::aws::text;
use crate::run;
use crate::table::table;

/// Environment variable with the webhooks' credentials, in the form of the secret.
const CREDENTIALS: &str = "DRILL_CREDENTIALS";

/// What the resolved incidents say about who did it.
const BY: &str = "cargo xtask drill";

/// How far the source's clock, and ours, may be behind that of the table's writers.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

#[derive(Args)]
pub(crate) struct Options {
    /// Project of the stack
    #[arg(long, default_value = "moveongs")]
    pub(crate) project: String,
    /// Environment of the stack: dev, staging or prod
    #[arg(long)]
    pub(crate) environment: String,
    /// Seconds to wait until a channel has accepted each event
    #[arg(long, default_value_t = 120)]
    pub(crate) wait: u64,
}

/// A way into the pager.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    /// A page of this product, on the paging topic.
    Page,
    /// An alarm's action on that topic.
    AlarmTopic,
    /// An alarm's change, by EventBridge's rule.
    AlarmEvent,
    /// An alarm's Lambda action.
    AlarmFunction,
    /// A log subscription.
    Logs,
    Alertmanager,
    Grafana,
    /// A person's declaration.
    Person,
}

impl Entry {
    const ALL: [Self; 8] = [
        Self::Page,
        Self::AlarmTopic,
        Self::AlarmEvent,
        Self::AlarmFunction,
        Self::Logs,
        Self::Alertmanager,
        Self::Grafana,
        Self::Person,
    ];

    /// The last word of the drill's problem. None is the beginning of another.
    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::AlarmTopic => "alarm-sns",
            Self::AlarmEvent => "alarm-eventbridge",
            Self::AlarmFunction => "alarm-lambda",
            Self::Logs => "log-subscription",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::Person => "declare",
        }
    }
}

/// How to reach the account.
pub(crate) struct Account<'a> {
    /// The AWS CLI with these arguments, which answers in JSON.
    pub(crate) cli: &'a dyn Fn(&[&str]) -> Command,
    /// Address of the local cloud, in which the names of function URLs do not resolve; none for AWS.
    pub(crate) local: Option<String>,
    /// The webhooks' credentials; none to read them from the stack's secret.
    pub(crate) credentials: Option<String>,
}

impl Account<'_> {
    /// Every JSON document that the CLI prints. The error is the CLI's own message.
    fn ask(&self, arguments: &[&str], input: &str) -> Result<Vec<Value>> {
        let output =
            finished((self.cli)(arguments), input).context("`aws` cannot be started; install the AWS CLI")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        documents.collect::<Result<Vec<_>, _>>().with_context(|| format!("`aws {}`", arguments.join(" ")))
    }

    /// The one document that the CLI prints; null without any.
    pub(crate) fn one(&self, arguments: &[&str]) -> Result<Value> {
        Ok(self.ask(arguments, "")?.into_iter().next().unwrap_or_default())
    }

    /// Invokes a function and waits for its answer.
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let invoke = ["lambda", "invoke", "--function-name", function];
        let files = ["--payload", "fileb:///dev/stdin", "/dev/stdout"];
        let documents = self.ask(&[&invoke[..], &files].concat(), &event.to_string())?;
        let is_failed = documents.iter().any(|document| document.get("FunctionError").is_some());
        let answer = documents.into_iter().next().unwrap_or_default();
        if is_failed {
            let part = |name: &str| text(&answer, name).unwrap_or_default();
            bail!("{function}: {}: {}", part("/errorType"), part("/errorMessage"));
        }
        Ok(answer)
    }

    /// Invokes a function as AWS's own services do: they read no answer.
    fn deliver(&self, function: &str, event: &Value) -> Result<()> {
        let invoke = ["lambda", "invoke", "--function-name", function, "--invocation-type", "Event"];
        let files = ["--payload", "fileb:///dev/stdin", "/dev/stdout"];
        self.ask(&[&invoke[..], &files].concat(), &event.to_string()).map(drop)
    }
}

/// Runs a command to its end, with this standard input.
fn finished(mut command: Command, input: &str) -> Result<std::process::Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that reads no input may have ended.
        let _ = pipe.write_all(input.as_bytes());
    }
    Ok(child.wait_with_output()?)
}

/// What a drill has to know about a stack.
struct Stack {
    /// The beginning of its resources' names: `moveongs-dev-`.
    prefix: String,
    environment: String,
    /// Name of the function of people's requests.
    desk: String,
    /// Name of the intake's function, and its ARN.
    intake: String,
    function: String,
    table: String,
    /// ARN of the paging topic.
    topic: String,
    channels: Vec<Channel>,
    /// Name of the secret with the webhooks' credentials; none if the stack has no webhooks.
    secret: Option<String>,
}

impl Stack {
    fn read(account: &Account<'_>, options: &Options) -> Result<Self> {
        let prefix = format!("{}-{}-", options.project, options.environment);
        let configuration = |function: &str| {
            account.one(&["lambda", "get-function-configuration", "--function-name", function])
        };
        let intake = format!("{prefix}incident-page");
        let (reads, sends) = (configuration(&intake)?, configuration(&format!("{prefix}incident-send"))?);
        let setting = |name: &str| {
            let value = text(&sends, &format!("/Environment/Variables/{name}"));
            value.map(str::to_owned).with_context(|| format!("{prefix}incident-send has no setting {name}"))
        };
        let channels: Result<Channels, String> = setting("PAGE_CHANNELS")?.parse();
        let secret =
            text(&reads, "/Environment/Variables/ALERT_WEBHOOK_SECRET_NAME").filter(|name| !name.is_empty());
        Ok(Self {
            environment: options.environment.clone(),
            table: setting("INCIDENT_TABLE")?,
            topic: setting("PAGING_TOPIC_ARN")?,
            channels: channels.map_err(anyhow::Error::msg)?.0,
            secret: secret.map(str::to_owned),
            function: text(&reads, "/FunctionArn").context("the intake has no ARN")?.to_owned(),
            desk: format!("{prefix}incident-desk"),
            prefix,
            intake,
        })
    }
}

/// One drill: the same for all entries, so that its events can be found.
struct Drill {
    id: String,
    began: Timestamp,
}

impl Drill {
    fn new(began: Timestamp) -> Self {
        Self { id: began.as_millisecond().to_string(), began }
    }

    /// The identity of an entry's problem, or a part of it.
    fn problem(&self, entry: Entry) -> String {
        format!("{DRILL}{}/{}", self.id, entry.name())
    }

    /// The name of an entry's alarm, and its action if it has one; none for the other entries.
    fn alarm<'a>(&self, entry: Entry, stack: &'a Stack) -> Option<(String, Option<&'a str>)> {
        let name = self.problem(entry);
        match entry {
            Entry::AlarmTopic => Some((name, Some(stack.topic.as_str()))),
            Entry::AlarmEvent => Some((format!("{}drill-{name}", stack.prefix), None)),
            Entry::AlarmFunction => Some((name, Some(stack.function.as_str()))),
            Entry::Page | Entry::Logs | Entry::Alertmanager | Entry::Grafana | Entry::Person => None,
        }
    }

    /// What the CLI is to publish on the topic: message, subject and attributes.
    fn page(&self, stack: &Stack) -> [String; 3] {
        let problem = self.problem(Entry::Page);
        let attributes = [
            ("action", "trigger"),
            ("dedup_key", &problem),
            ("environment", &stack.environment),
            ("kind", "Drill"),
            ("severity", "warning"),
        ];
        let attributes: serde_json::Map<_, _> = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!({"DataType": "String", "StringValue": value})))
            .collect();
        let subject = format!("[{}] Drill: {BY}", stack.environment);
        [format!("{SAID}\n{problem}"), subject, Value::Object(attributes).to_string()]
    }

    /// The event of a log subscription: a batch with one line of the application's form.
    fn batch(&self, stack: &Stack) -> Result<Value> {
        let account = stack.topic.split(':').nth(4).unwrap_or_default();
        let line = json!({"level": "error", "message": SAID, "err": {"type": "Drill", "message": SAID}});
        let batch = json!({
            "messageType": "DATA_MESSAGE", "owner": account, "logGroup": self.problem(Entry::Logs),
            "logStream": "drill", "subscriptionFilters": ["drill"],
            "logEvents": [{"id": self.id, "timestamp": self.began.as_millisecond(), "message": line.to_string()}],
        });
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(batch.to_string().as_bytes())?;
        Ok(json!({"awslogs": {"data": STANDARD.encode(packed.finish()?)}}))
    }

    /// A webhook's body: what both senders have in common, and Grafana's own fields.
    fn alert(&self, entry: Entry) -> String {
        let problem = self.problem(entry);
        let mut body = json!({
            "version": "4", "groupKey": problem, "truncatedAlerts": 0, "status": "firing", "receiver": "drill",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
            "alerts": [{
                "status": "firing", "labels": {"alertname": "Drill", "severity": "info"},
                "annotations": {"summary": SAID}, "startsAt": self.began.to_string(),
                "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": problem,
            }],
        });
        if let Some(body) = body.as_object_mut().filter(|_| entry == Entry::Grafana) {
            body.extend([("orgId".to_owned(), json!(1)), ("state".to_owned(), json!("alerting"))]);
        }
        body.to_string()
    }

    /// A person's declaration.
    fn declaration(&self) -> Value {
        json!({"declare": {
            "title": SAID, "severity": "S3", "resource": "incident-page", "by": BY,
            "problem": self.problem(Entry::Person),
        }})
    }
}

/// What every event says.
const SAID: &str = "Simulado do pager: ninguém precisa fazer nada";

/// The description of the drill's alarms, whose `severity` the intake reads.
const DESCRIPTION: &str = "Drill of the pager. It may be deleted. severity=info";

/// The headers that prove who sends a webhook's body; none if the secret has no credential that this sender can use.
/// Grafana signs if there is a key.
fn proof(credentials: &Value, entry: Entry, body: &str, now: Timestamp) -> Result<Option<Vec<String>>> {
    let first = |kind: &str| {
        let value = credentials.get(kind)?;
        value.as_str().or_else(|| value.get(0)?.as_str())
    };
    if let Some(key) = first("hmac").filter(|_| entry == Entry::Grafana) {
        let seconds = now.as_second();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { bail!("not a key of HMAC") };
        mac.update(format!("{seconds}:{body}").as_bytes());
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok(Some(vec![
            format!("X-Grafana-Alerting-Signature: {digits}"),
            format!("X-Grafana-Alerting-Timestamp: {seconds}"),
        ]));
    }
    let bearer = first("bearer").map(|token| format!("Authorization: Bearer {token}"));
    let basic = || first("basic").map(|pair| format!("Authorization: Basic {}", STANDARD.encode(pair)));
    Ok(bearer.or_else(basic).map(|header| vec![header]))
}

/// Address of a webhook. In a local cloud the name of a function URL does not resolve: its id is a part of the path.
fn address(url: &str, local: Option<&str>, entry: Entry) -> Result<String> {
    let Some(local) = local else { return Ok(format!("{}/{}", url.trim_end_matches('/'), entry.name())) };
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let id = host.split('.').next().filter(|id| !id.is_empty()).context("the function URL has no id")?;
    Ok(format!("{}/_aws/lambda-url/{id}/{}", local.trim_end_matches('/'), entry.name()))
}

/// Posts a webhook's body. The credential is in no argument, which other users of this machine could read.
fn post(address: &str, headers: &[String], body: &str) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--config", "-", "--noproxy", "127.0.0.1"]);
    curl.args(["--write-out", "\n%{http_code}", "--data-binary", body, address]);
    let quoted =
        |header: &String| format!("header = \"{}\"\n", header.replace('\\', r"\\").replace('"', r#"\""#));
    let json = "Content-Type: application/json".to_owned();
    let settings: String = std::iter::once(&json).chain(headers).map(quoted).collect();
    let output = finished(curl, &settings).context("`curl` cannot be started; install it")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match said.rsplit_once('\n') {
        Some((_, "200")) => Ok(()),
        Some((said, status)) if output.status.success() => bail!("HTTP {status} {said}"),
        _ => bail!("{}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

/// Sends an entry's event; returns why it cannot be sent to this stack, if so.
fn send(account: &Account<'_>, stack: &Stack, drill: &Drill, entry: Entry) -> Result<Option<String>> {
    match entry {
        Entry::Page => {
            let [message, subject, attributes] = drill.page(stack);
            let publish = ["sns", "publish", "--topic-arn", &stack.topic, "--subject", &subject];
            let more = ["--message", &message, "--message-attributes", &attributes];
            account.one(&[&publish[..], &more].concat())?;
        }
        Entry::AlarmTopic | Entry::AlarmEvent | Entry::AlarmFunction => {
            let (name, _) = drill.alarm(entry, stack).context("the entry has no alarm")?;
            let set = ["cloudwatch", "set-alarm-state", "--alarm-name", &name, "--state-value", "ALARM"];
            account.one(&[&set[..], &["--state-reason", SAID]].concat())?;
        }
        Entry::Logs => account.deliver(&stack.intake, &drill.batch(stack)?)?,
        Entry::Alertmanager | Entry::Grafana => return webhook(account, stack, drill, entry),
        Entry::Person => drop(account.invoke(&stack.desk, &drill.declaration())?),
    }
    Ok(None)
}

fn webhook(account: &Account<'_>, stack: &Stack, drill: &Drill, entry: Entry) -> Result<Option<String>> {
    let Some(secret) = &stack.secret else {
        return Ok(Some("no AlertWebhookSecretName".to_owned()));
    };
    let url = account.one(&["lambda", "get-function-url-config", "--function-name", &stack.intake])?;
    let url = text(&url, "/FunctionUrl").context("the function has no URL")?;
    let held = match &account.credentials {
        Some(held) => held.clone(),
        None => {
            let get = ["secretsmanager", "get-secret-value", "--secret-id", secret];
            let value = account.one(&get)?;
            text(&value, "/SecretString").context("the secret has no text")?.to_owned()
        }
    };
    let credentials: Value = serde_json::from_str(&held).context("the webhooks' credentials are not JSON")?;
    let body = drill.alert(entry);
    let Some(headers) = proof(&credentials, entry, &body, now())? else {
        return Ok(Some("no credential that it can send".to_owned()));
    };
    post(&address(url, account.local.as_deref(), entry)?, &headers, &body)?;
    Ok(None)
}

/// Makes an alarm. Without data it keeps the state that it is given.
fn make_alarm(account: &Account<'_>, name: &str, action: Option<&str>) -> Result<()> {
    let put = ["cloudwatch", "put-metric-alarm", "--alarm-name", name, "--alarm-description", DESCRIPTION];
    let metric = ["--namespace", "MoveONgs/Drill", "--metric-name", "Drill", "--statistic", "Sum"];
    let rule = ["--period", "60", "--evaluation-periods", "1", "--threshold", "1"];
    let treat = ["--comparison-operator", "GreaterThanThreshold", "--treat-missing-data", "ignore"];
    let action: Vec<&str> = action.into_iter().flat_map(|arn| ["--alarm-actions", arn]).collect();
    account.one(&[&put[..], &metric, &rule, &treat, &action[..]].concat()).map(drop)
}

/// How far an entry's event came.
#[derive(Debug)]
struct Trace {
    entry: Entry,
    /// Whether an alarm was made for it.
    has_alarm: bool,
    /// When it was sent, by this machine's clock.
    sent: Option<Timestamp>,
    /// Why it was not sent: the stack does not have this entry.
    absent: Option<String>,
    /// Why it could not be sent.
    failed: Option<String>,
    /// The incident's id.
    incident: Option<String>,
    stored: Option<Timestamp>,
    accepted: BTreeMap<Channel, Timestamp>,
}

impl Trace {
    fn of(entry: Entry) -> Self {
        Self {
            entry,
            has_alarm: false,
            sent: None,
            absent: None,
            failed: None,
            incident: None,
            stored: None,
            accepted: BTreeMap::new(),
        }
    }

    fn is_right(&self) -> bool {
        self.absent.is_some() || !self.accepted.is_empty()
    }

    fn result(&self) -> String {
        match (&self.absent, &self.failed) {
            (Some(why), _) => format!("not in this stack: {why}"),
            (None, Some(why)) => format!("NOT SENT: {why}"),
            (None, None) if self.incident.is_none() => "NOT STORED".to_owned(),
            (None, None) if self.accepted.is_empty() => "NOT ACCEPTED".to_owned(),
            (None, None) => "came back".to_owned(),
        }
    }
}

/// The traces as a table: when each event was sent, and after how long it was at each hop.
fn rows(traces: &[Trace], channels: &[Channel]) -> Vec<Vec<String>> {
    let names = channels.iter().map(|channel| channel.name());
    let head = ["entry", "sent", "stored"].into_iter().chain(names).chain(["incident", "result"]);
    let row = |trace: &Trace| {
        let after = |at: Option<Timestamp>| {
            let wait = at.zip(trace.sent).map(|(at, sent)| at.duration_since(sent).as_millis());
            wait.map_or_else(|| "-".to_owned(), |wait| format!("{wait} ms"))
        };
        let clock = |at: Timestamp| at.to_zoned_datetime(SAO_PAULO).strftime("%H:%M:%S%.3f").to_string();
        let accepted = channels.iter().map(|channel| after(trace.accepted.get(channel).copied()));
        let sent = trace.sent.map_or_else(|| "-".to_owned(), clock);
        let incident = trace.incident.clone().unwrap_or_else(|| "-".to_owned());
        [trace.entry.name().to_owned(), sent, after(trace.stored)]
            .into_iter()
            .chain(accepted)
            .chain([incident, trace.result()])
            .collect::<Vec<_>>()
    };
    std::iter::once(head.map(str::to_owned).collect()).chain(traces.iter().map(row)).collect()
}

/// The items of these keys, as they are now.
fn items(account: &Account<'_>, stack: &Stack, keys: &[Key]) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for part in keys.chunks(100) {
        let keys: Vec<Value> =
            part.iter().map(|key| json!({"pk": {"S": key.pk}, "sk": {"S": key.sk}})).collect();
        let wanted = json!({stack.table.as_str(): {"Keys": keys, "ConsistentRead": true}}).to_string();
        let answer = account.one(&["dynamodb", "batch-get-item", "--request-items", &wanted])?;
        let items = answer.get("Responses").and_then(|tables| tables.get(&stack.table));
        found.extend(items.and_then(Value::as_array).into_iter().flatten().cloned());
    }
    Ok(found)
}

/// The open incidents since the drill began: id and problem.
fn opened(account: &Account<'_>, stack: &Stack, drill: &Drill) -> Result<Vec<(String, String)>> {
    let since = drill.began.checked_sub(SKEW).unwrap_or(drill.began).as_millisecond().to_string();
    let values = json!({":open": {"S": "open"}, ":since": {"N": since}}).to_string();
    let query = ["dynamodb", "query", "--table-name", &stack.table, "--index-name", OPEN_INDEX];
    let condition = ["--key-condition-expression", "#open = :open AND opened_at >= :since"];
    let names = ["--expression-attribute-names", r##"{"#open": "open"}"##];
    let values = ["--expression-attribute-values", &values];
    let found = account.one(&[&query[..], &condition, &names, &values].concat())?;
    let keys = found.get("Items").and_then(Value::as_array).into_iter().flatten();
    let keys = keys.filter_map(|item| {
        Some(Key { pk: text(item, "/pk/S")?.to_owned(), sk: text(item, "/sk/S")?.to_owned() })
    });
    let about = |item: &Value| {
        let body: Value = serde_json::from_str(text(item, "/body/S")?).ok()?;
        Some((text(&body, "/id")?.to_owned(), text(&body, "/problem")?.to_owned()))
    };
    Ok(items(account, stack, &keys.collect::<Vec<_>>())?.iter().filter_map(about).collect())
}

/// An attribute of an outbox row: an instant in milliseconds.
fn instant(item: &Value, name: &str) -> Option<Timestamp> {
    text(item, &format!("/{name}/N"))?.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

/// Looks how far the events came.
fn look(account: &Account<'_>, stack: &Stack, drill: &Drill, traces: &mut [Trace]) -> Result<()> {
    if traces.iter().any(|trace| trace.sent.is_some() && trace.incident.is_none()) {
        let open = opened(account, stack, drill)?;
        for trace in traces.iter_mut().filter(|trace| trace.incident.is_none()) {
            let name = drill.problem(trace.entry);
            let own = open.iter().find(|(_, problem)| problem.contains(&name));
            trace.incident = own.map(|(id, _)| id.clone());
        }
    }
    let key = |id: &String, channel: &Channel| Key::row(id, *channel, channel.first_purpose());
    let ids = traces.iter().filter_map(|trace| trace.incident.clone());
    let keys = ids.flat_map(|id| stack.channels.iter().map(move |channel| key(&id, channel)));
    let found = items(account, stack, &keys.collect::<Vec<_>>())?;
    for trace in traces {
        let Some(id) = &trace.incident else { continue };
        for channel in &stack.channels {
            let key = key(id, channel);
            let is_own = |item: &&Value| {
                (text(item, "/pk/S"), text(item, "/sk/S")) == (Some(key.pk.as_str()), Some(key.sk.as_str()))
            };
            let Some(row) = found.iter().find(is_own) else { continue };
            trace.stored = trace.stored.or_else(|| instant(row, "stored_at"));
            trace.accepted.extend(instant(row, "accepted_at").map(|at| (*channel, at)));
        }
    }
    Ok(())
}

/// Sends all events and waits until they came back.
fn sent(
    account: &Account<'_>,
    stack: &Stack,
    drill: &Drill,
    wait: Duration,
    traces: &mut [Trace],
) -> Result<()> {
    for trace in traces.iter_mut() {
        run::check()?;
        let alarm = drill.alarm(trace.entry, stack);
        let made = alarm.map(|(name, action)| make_alarm(account, &name, action)).transpose();
        trace.has_alarm = matches!(made, Ok(Some(())));
        let at = now();
        // A failure of one entry is what a drill is for.
        match made.and_then(|_| send(account, stack, drill, trace.entry)) {
            Ok(None) => trace.sent = Some(at),
            Ok(absent) => trace.absent = absent,
            Err(error) => trace.failed = Some(format!("{error:#}").replace('\n', " ")),
        }
    }
    let end = Instant::now() + wait;
    loop {
        look(account, stack, drill, traces)?;
        let is_over = |trace: &Trace| trace.failed.is_some() || trace.is_right();
        if traces.iter().all(is_over) || Instant::now() > end {
            return Ok(());
        }
        run::pause(Duration::from_millis(500))?;
    }
}

/// Resolves the drill's incidents and deletes its alarms; returns what could not be done.
fn cleaned_up(account: &Account<'_>, stack: &Stack, drill: &Drill, traces: &[Trace]) -> Vec<String> {
    let mut left = Vec::new();
    for id in traces.iter().filter_map(|trace| trace.incident.as_deref()) {
        let resolve = json!({"resolve": {"incident": id, "by": BY, "reason": "fim do simulado"}});
        if let Err(error) = account.invoke(&stack.desk, &resolve) {
            left.push(format!("the incident {id} is not resolved: {error:#}"));
        }
    }
    // One by one: a name that is not known keeps CloudWatch from deleting the others.
    let alarms = traces.iter().filter(|trace| trace.has_alarm);
    for (name, _) in alarms.filter_map(|trace| drill.alarm(trace.entry, stack)) {
        if let Err(error) = account.one(&["cloudwatch", "delete-alarms", "--alarm-names", &name]) {
            left.push(format!("the alarm {name} is not deleted: {error:#}"));
        }
    }
    left
}

/// Does a drill; returns whether every event came back. Incidents and alarms go also after an error or Ctrl-C.
pub(crate) fn perform(account: &Account<'_>, options: &Options, say: &mut dyn FnMut(&str)) -> Result<bool> {
    let stack = Stack::read(account, options)?;
    let drill = Drill::new(now());
    let mut traces: Vec<Trace> = Entry::ALL.into_iter().map(Trace::of).collect();
    let done = sent(account, &stack, &drill, Duration::from_secs(options.wait), &mut traces);
    let left = cleaned_up(account, &stack, &drill, &traces);
    say(&table(&rows(&traces, &stack.channels)));
    left.iter().for_each(|line| say(line));
    done?;
    Ok(left.is_empty() && traces.iter().all(Trace::is_right))
}

/// `cargo xtask drill`.
pub(crate) fn drill(options: &Options) -> Result<bool> {
    let cli = |arguments: &[&str]| {
        let mut command = Command::new("aws");
        command.args(arguments).args(["--output", "json"]).env("AWS_PAGER", "");
        command
    };
    let local = run::env("AWS_ENDPOINT_URL").filter(|url| url.starts_with("http://127.0.0.1:"));
    let account = Account { cli: &cli, local, credentials: run::env(CREDENTIALS) };
    perform(&account, options, &mut |line| println!("{line}"))
}

#[cfg(test)]
mod tests {
    use incident::{Change, Severity, Source, Transport, is_own_drill, signal};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn drill() -> Drill {
        Drill::new(at("2026-11-29T12:00:00.123Z"))
    }

    fn stack() -> Stack {
        Stack {
            prefix: "moveongs-dev-".to_owned(),
            environment: "dev".to_owned(),
            desk: "moveongs-dev-incident-desk".to_owned(),
            intake: "moveongs-dev-incident-page".to_owned(),
            table: "moveongs-dev-incidents".to_owned(),
            function: "arn:aws:lambda:us-east-1:123456789012:function:moveongs-dev-incident-page".to_owned(),
            topic: "arn:aws:sns:us-east-1:123456789012:moveongs-dev-paging".to_owned(),
            channels: vec![Channel::Slack, Channel::Sns],
            secret: None,
        }
    }

    /// An entry's event as the intake gets it.
    fn arrives(entry: Entry) -> (Transport, String) {
        let (drill, stack) = (drill(), stack());
        let alarm = || {
            let (name, _) = drill.alarm(entry, &stack).unwrap();
            json!({"AlarmName": name, "AlarmDescription": DESCRIPTION, "NewStateValue": "ALARM", "OldStateValue": "OK",
                "AlarmArn": format!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"),
                "NewStateReason": SAID, "StateChangeTime": "2026-11-29T12:00:00.123+0000"})
        };
        match entry {
            Entry::Page => {
                let [message, subject, attributes] = drill.page(&stack);
                let attributes = attributes.replace("DataType", "Type").replace("StringValue", "Value");
                let attributes: Value = serde_json::from_str(&attributes).unwrap();
                let notification = json!({"Type": "Notification", "MessageId": "1", "TopicArn": stack.topic,
                    "Subject": subject, "Message": message, "Timestamp": "2026-11-29T12:00:00.123Z",
                    "SignatureVersion": "1", "MessageAttributes": attributes});
                (Transport::Sns, notification.to_string())
            }
            Entry::AlarmTopic | Entry::AlarmEvent | Entry::AlarmFunction => {
                (Transport::Sns, alarm().to_string())
            }
            Entry::Logs => (Transport::Logs, drill.batch(&stack).unwrap().to_string()),
            Entry::Alertmanager => (Transport::Alertmanager, drill.alert(entry)),
            Entry::Grafana => (Transport::Grafana, drill.alert(entry)),
            Entry::Person => (Transport::AlarmAction, drill.declaration().to_string()),
        }
    }

    #[test]
    fn each_event_opens_an_incident_that_is_found_and_calls_nobody() {
        let sources = [
            (Entry::Page, Source::Page, Some(Severity::S2)),
            (Entry::AlarmTopic, Source::Alarm, Some(Severity::S3)),
            (Entry::AlarmEvent, Source::Alarm, Some(Severity::S3)),
            (Entry::AlarmFunction, Source::Alarm, Some(Severity::S3)),
            // A log says no severity.
            (Entry::Logs, Source::Logs, None),
            (Entry::Alertmanager, Source::Alertmanager, Some(Severity::S3)),
            (Entry::Grafana, Source::Grafana, Some(Severity::S3)),
        ];
        for (entry, source, severity) in sources {
            let (transport, body) = arrives(entry);
            let signals = signal::read(transport, "id", body.as_bytes());
            let [signal] = signals.as_slice() else { panic!("{entry:?}: {signals:?}") };
            assert_eq!((signal.source, signal.severity), (source, severity), "{entry:?}");
            assert!(signal.understood && signal.change == Change::Triggered, "{signal:?}");
            assert!(is_own_drill(source.name(), &signal.problem), "{}", signal.problem);
            assert!(signal.problem.contains(&drill().problem(entry)), "{}", signal.problem);
        }
        let declared = incident::person::Request::try_from(drill().declaration()).unwrap();
        let incident::person::Request::Declare(declare) = declared else { panic!("{declared:?}") };
        let signal = declare.signal("request", at("2026-11-29T12:00:00Z"));
        assert!(is_own_drill(signal.source.name(), &signal.problem), "{}", signal.problem);
        assert_eq!(signal.problem, drill().problem(Entry::Person));
    }

    #[test]
    fn the_alarms_differ_in_the_way_that_they_take() {
        let (drill, stack) = (drill(), stack());
        let alarm = |entry| drill.alarm(entry, &stack).unwrap();
        let (by_topic, by_event, by_function) =
            (alarm(Entry::AlarmTopic), alarm(Entry::AlarmEvent), alarm(Entry::AlarmFunction));
        assert!(!by_topic.0.starts_with(&stack.prefix) && by_topic.1 == Some(stack.topic.as_str()));
        assert!(by_event.0.starts_with(&stack.prefix) && by_event.1.is_none());
        // EventBridge's rule leaves these out.
        assert!(!by_event.0.starts_with("moveongs-dev-incident-"), "{}", by_event.0);
        assert!(!by_function.0.starts_with(&stack.prefix) && by_function.1 == Some(stack.function.as_str()));
        assert_eq!(drill.alarm(Entry::Page, &stack), None);
        for (one, other) in Entry::ALL.iter().flat_map(|one| Entry::ALL.map(|other| (*one, other))) {
            let is_part = drill.problem(other).contains(&drill.problem(one));
            assert_eq!(is_part, one == other, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_sender_proves_itself_with_what_it_can_send() {
        let now = at("2026-11-29T12:00:00Z");
        let of = |credentials: Value, entry| proof(&credentials, entry, "{}", now).unwrap();
        let all = json!({"bearer": ["one", "two"], "basic": "user:password", "hmac": "key"});
        assert_eq!(of(all.clone(), Entry::Alertmanager).unwrap(), ["Authorization: Bearer one"]);
        // HMAC-SHA256 of `1795953600:{}`, by Python's hmac.
        assert_eq!(
            of(all, Entry::Grafana).unwrap(),
            [
                "X-Grafana-Alerting-Signature: 4ec47e06b6aff3568db1779884becee2b465af7b6b2ebfb749b0bb6124aa3ae7",
                "X-Grafana-Alerting-Timestamp: 1795953600",
            ]
        );
        let basic = json!({"basic": ["user:password"]});
        for entry in [Entry::Alertmanager, Entry::Grafana] {
            assert_eq!(of(basic.clone(), entry).unwrap(), ["Authorization: Basic dXNlcjpwYXNzd29yZA=="]);
        }
        assert_eq!(of(json!({"hmac": "key"}), Entry::Alertmanager), None);
    }

    #[test]
    fn a_webhook_has_an_address_in_the_local_cloud_too() {
        let url = "https://abc.lambda-url.us-east-1.on.aws/";
        let of = |local| address(url, local, Entry::Grafana).unwrap();
        assert_eq!(of(None), "https://abc.lambda-url.us-east-1.on.aws/grafana");
        assert_eq!(of(Some("http://127.0.0.1:4566")), "http://127.0.0.1:4566/_aws/lambda-url/abc/grafana");
    }

    #[test]
    fn the_table_shows_each_hop_after_the_event_was_sent() {
        let sent = Some(at("2026-11-29T12:00:00Z"));
        let after = |ms| at("2026-11-29T12:00:00Z") + SignedDuration::from_millis(ms);
        let traces = [
            Trace {
                sent,
                incident: Some("INC-1".to_owned()),
                stored: Some(after(40)),
                accepted: BTreeMap::from([(Channel::Slack, after(1_250))]),
                ..Trace::of(Entry::Page)
            },
            Trace { sent, ..Trace::of(Entry::AlarmEvent) },
            Trace { sent, incident: Some("INC-2".to_owned()), ..Trace::of(Entry::Logs) },
            Trace { absent: Some("no secret".to_owned()), ..Trace::of(Entry::Grafana) },
            Trace { failed: Some("refused".to_owned()), ..Trace::of(Entry::Person) },
        ];
        let rows = rows(&traces, &[Channel::Slack, Channel::Sns]);
        assert_eq!(rows[0], ["entry", "sent", "stored", "slack", "sns", "incident", "result"]);
        assert_eq!(rows[1], ["page", "09:00:00.000", "40 ms", "1250 ms", "-", "INC-1", "came back"]);
        assert_eq!(rows[2][5..], ["-", "NOT STORED"]);
        assert_eq!(rows[3][5..], ["INC-2", "NOT ACCEPTED"]);
        assert_eq!(rows[4][1..], ["-", "-", "-", "-", "-", "not in this stack: no secret"]);
        assert_eq!(rows[5][6], "NOT SENT: refused");
        assert_eq!(traces.map(|trace| trace.is_right()), [true, false, false, true, false]);
    }
}
