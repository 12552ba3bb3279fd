//! `cargo xtask bench page`: from an alarm to the channel's acceptance, by the two functions of the pager, beside a
//! function that posts alarms to Slack without storing them.
//!
//! What the queue and the table's stream add is AWS's own time, and is not measured.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{AIMS, Function, Spread, millis};
use crate::apply::now;
use crate::aws::{Aws, text};
use crate::deploy::PREFIX;
use crate::repo::Repo;
use crate::run::{self, Log, Progress};
use crate::runtime_api;

/// Number of steps in [`measure`].
pub(super) const STEPS: usize = 4;

const COLD_PROCESSES: usize = 20;
const WARM_EVENTS: usize = 500;

/// A table without a stream, so that the deployed sender takes no rows.
const TABLE: &str = "moveongs-dev-bench-incidents";

/// Lambda's timeout of the sender, which takes no row in its last 70 s.
const LIMIT: Duration = Duration::from_secs(150);

/// Upper bounds for each of the two functions.
const AIM: [(&str, f64); 3] =
    [("start_to_first_poll_ms", 15.0), ("warm_event_cpu_ms", 0.5), ("peak_rss_mib", 16.0)];

/// Environment variable with the path of `notify_slack.py`, of terraform-aws-notify-slack.
const NOTIFY_SLACK: &str = "NOTIFY_SLACK";

/// The row that the sender is woken for.
const ROW: &str = "SEND#slack#post";

/// Serves a Python handler as Lambda does.
const RUNNER: &str = r#"import http.client, importlib.util, json, os, sys

spec = importlib.util.spec_from_file_location("notify_slack", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None):
    api.request(method, "/2018-06-01/runtime/invocation/" + path, body)
    return api.getresponse().read()


while True:
    answer = module.lambda_handler(json.loads(call("GET", "next")), None)
    call("POST", "1/response" if json.loads(answer)["code"] == 200 else "1/error", json.dumps(answer))
"#;

/// Measures the two functions, and the other one if it can be had.
pub(super) fn measure(repo: &Repo, aws: &Aws, progress: &Progress) -> Result<Value> {
    let bench = progress.step("preparing a table", |_| Bench::prepare(repo, aws))?;
    let (mut intake, mut sender, mut both) = (Sample::default(), Sample::default(), Vec::new());
    progress.step(&format!("starting {COLD_PROCESSES} cold processes of each"), |log| {
        for number in 0..COLD_PROCESSES {
            intake.cold(bench.start(INTAKE, log)?, &bench.alarm(&format!("cold-{number}")))?;
            sender.cold(bench.start(SENDER, log)?, &bench.row()?)?;
        }
        Ok(())
    })?;
    progress.step(&format!("paging {WARM_EVENTS} alarms in warm processes"), |log| {
        let (mut reads, mut sends) = (bench.start(INTAKE, log)?, bench.start(SENDER, log)?);
        reads.api.polled()?;
        sends.api.polled()?;
        // The first event warms the processes up and is not counted.
        for number in 0..=WARM_EVENTS {
            let is_counted = number > 0;
            let stored = intake.warm(&reads, &bench.alarm(&format!("warm-{number}")), is_counted)?;
            let accepted = sender.warm(&sends, &bench.row()?, is_counted)?;
            both.extend(is_counted.then_some(stored + accepted));
        }
        (intake.peak, sender.peak) = (reads.peak_rss_mib()?, sends.peak_rss_mib()?);
        reads.end();
        sends.end();
        Ok(())
    })?;
    let other = progress.step("measuring notify-slack", |log| match run::env(NOTIFY_SLACK) {
        Some(path) => notify_slack(repo, aws, Path::new(&path), log),
        None => Ok(recorded()),
    })?;
    let own = |sample: Sample, function: &str| {
        let mut figures = sample.figures()?;
        if let Some(figures) = figures.as_object_mut() {
            let size = bench.configuration(function)?.get("CodeSize").cloned().unwrap_or_default();
            figures.insert("zip_bytes".to_owned(), size);
            figures.insert(AIMS.to_owned(), AIM.into_iter().collect());
        }
        Ok::<_, anyhow::Error>(figures)
    };
    Ok(json!({
        INTAKE: own(intake, INTAKE)?,
        SENDER: own(sender, SENDER)?,
        "both": {"event_to_accepted_ms": Spread::of(both)?},
        "notify-slack (Python)": other,
    }))
}

const INTAKE: &str = "incident-page";
const SENDER: &str = "incident-send";

/// What the team measured of notify_slack.py 7.5.0, with CPython 3.11.7 and boto3 1.44.5 on two cores: its start is the
/// import, and its event is wall time.
fn recorded() -> Value {
    let spread = |median: f64, min: f64, max: f64| json!({"median": median, "min": min, "max": max});
    json!({
        "start_to_first_poll_ms": spread(189.8, 182.5, 224.3),
        "warm_event_wall_ms": spread(0.665, 0.635, 0.716),
        "peak_rss_mib": 53.0,
        "origin": "recorded in November 2026, version 7.5.0; set NOTIFY_SLACK to the path of notify_slack.py to measure it here",
    })
}

/// Measurements of one function.
#[derive(Default)]
struct Sample {
    first_poll: Vec<f64>,
    first_event: Vec<f64>,
    cold_peak: Vec<f64>,
    wall: Vec<f64>,
    cpu: Vec<f64>,
    peak: f64,
}

impl Sample {
    /// The first event of a fresh process, which it ends.
    fn cold(&mut self, mut function: Function, event: &str) -> Result<()> {
        self.first_poll.push(millis(function.started, function.api.polled()?));
        self.first_event.push(millis(function.started, function.api.invoke(event)?));
        function.api.polled()?;
        self.cold_peak.push(function.peak_rss_mib()?);
        function.end();
        Ok(())
    }

    /// One more event; returns its wall time in milliseconds.
    fn warm(&mut self, function: &Function, event: &str, is_counted: bool) -> Result<f64> {
        let (before, sent) = (function.cpu_millis()?, Instant::now());
        let wall = millis(sent, function.api.invoke(event)?);
        function.api.polled()?;
        if is_counted {
            self.wall.push(wall);
            self.cpu.push(function.cpu_millis()? - before);
        }
        Ok(wall)
    }

    fn figures(self) -> Result<Value> {
        Ok(json!({
            "cold_processes": self.first_poll.len(),
            "start_to_first_poll_ms": Spread::of(self.first_poll)?,
            "start_to_end_of_first_event_ms": Spread::of(self.first_event)?,
            "cold_peak_rss_mib": Spread::of(self.cold_peak)?,
            "warm_events": self.wall.len(),
            "warm_event_wall_ms": Spread::of(self.wall)?,
            "warm_event_cpu_ms": Spread::of(self.cpu)?,
            "peak_rss_mib": self.peak,
        }))
    }
}

/// The two functions with a table of their own.
struct Bench<'a> {
    repo: &'a Repo,
    aws: &'a Aws,
}

impl<'a> Bench<'a> {
    fn prepare(repo: &'a Repo, aws: &'a Aws) -> Result<Self> {
        let bench = Self { repo, aws };
        let deployed = text(&bench.configuration(INTAKE)?, "/Environment/Variables/INCIDENT_TABLE")
            .context("the intake has no table")?
            .to_owned();
        let table = bench.table("DescribeTable", &json!({"TableName": deployed}))?;
        let part = |name: &str| table.pointer(&format!("/Table/{name}")).cloned().unwrap_or_default();
        let indexes = part("GlobalSecondaryIndexes");
        let wanted = ["IndexName", "KeySchema", "Projection"];
        let index = |of: &Value| {
            let parts = wanted.map(|name| (name, of.get(name).cloned().unwrap_or_default()));
            parts.into_iter().collect::<Value>()
        };
        let indexes: Vec<Value> = indexes.as_array().into_iter().flatten().map(index).collect();
        let made = json!({
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST", "KeySchema": part("KeySchema"),
            "AttributeDefinitions": part("AttributeDefinitions"), "GlobalSecondaryIndexes": indexes,
        });
        bench.table("CreateTable", &made)?;
        Ok(bench)
    }

    fn table(&self, operation: &str, body: &Value) -> Result<Value> {
        self.aws.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), body)
    }

    fn configuration(&self, function: &str) -> Result<Value> {
        self.aws.function(&format!("{PREFIX}-{function}"))
    }

    fn start(&self, function: &str, log: &Log) -> Result<Function> {
        let settings = [("INCIDENT_TABLE", TABLE.to_owned()), ("PAGE_CHANNELS", "slack".to_owned())];
        let configuration = self.configuration(function)?;
        Function::start(self.repo, self.aws, &configuration, (function, &settings), LIMIT, log)
    }

    /// A queue's event with an alarm of this name.
    fn alarm(&self, name: &str) -> String {
        let notification = notification(name);
        let record = json!({"messageId": name, "eventSource": "aws:sqs", "body": notification.to_string()});
        json!({"Records": [record]}).to_string()
    }

    /// The stream's event for the row that the intake wrote last.
    fn row(&self) -> Result<String> {
        let found = self.table(
            "Query",
            &json!({
                "TableName": TABLE, "IndexName": "due",
                "KeyConditionExpression": "#queue = :due",
                "ExpressionAttributeNames": {"#queue": "queue"},
                "ExpressionAttributeValues": {":due": {"S": "due"}},
            }),
        )?;
        let id = text(&found, "/Items/0/pk/S").context("the intake wrote no row")?;
        let keys = json!({"pk": {"S": id}, "sk": {"S": ROW}});
        Ok(json!({"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"Keys": keys}}]}).to_string())
    }
}

/// A notification of SNS with an alarm of this name.
fn notification(name: &str) -> Value {
    let at = now().to_string();
    let alarm = json!({
        "AlarmName": name, "AlarmDescription": "severity=warning owner=bench", "AWSAccountId": "000000000000",
        "AlarmArn": format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"),
        "NewStateValue": "ALARM", "OldStateValue": "OK", "StateChangeTime": at, "Region": "US East (N. Virginia)",
        "NewStateReason": "Threshold Crossed: 1 datapoint [7.0 (29/11/26 12:39:00)] was greater than the threshold (5.0).",
        "Trigger": {"MetricName": "HTTPCode_Target_5XX_Count", "Namespace": "AWS/ApplicationELB", "Statistic": "SUM",
            "Dimensions": [{"name": "LoadBalancer", "value": "app/bench/1"}], "Period": 60, "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0, "TreatMissingData": "notBreaching"},
    });
    json!({
        "Type": "Notification", "MessageId": name, "Timestamp": at, "SignatureVersion": "1",
        "TopicArn": "arn:aws:sns:us-east-1:000000000000:bench", "Subject": format!("ALARM: \"{name}\""),
        "Message": alarm.to_string(), "MessageAttributes": {},
    })
}

/// Measures the Python function in the same way. What it posts has only attachments, which the local cloud's Slack does
/// not serve, so it gets its answers from a sink.
fn notify_slack(repo: &Repo, aws: &Aws, path: &Path, log: &Log) -> Result<Value> {
    let path = path.canonicalize().with_context(|| format!("{NOTIFY_SLACK} is {}", path.display()))?;
    let folder = repo.local().join("bench");
    std::fs::create_dir_all(&folder)?;
    let runner = folder.join("runner.py");
    std::fs::write(&runner, RUNNER)?;
    let sink = sink()?;
    let start = || {
        let mut python = Command::new(repo.venv("python"));
        python.arg("-I").arg(&runner).arg(&path).env_clear().envs(aws.environment());
        python.envs([("SLACK_WEBHOOK_URL", sink.as_str()), ("SLACK_CHANNEL", "bench")]);
        python.envs([("SLACK_USERNAME", "bench"), ("SLACK_EMOJI", ":bell:"), ("LOG_LEVEL", "WARNING")]);
        Function::spawn(python, LIMIT, log)
    };
    let event =
        |name: &str| json!({"Records": [{"EventSource": "aws:sns", "Sns": notification(name)}]}).to_string();
    let mut sample = Sample::default();
    for number in 0..COLD_PROCESSES {
        sample.cold(start()?, &event(&format!("cold-{number}")))?;
    }
    let mut function = start()?;
    function.api.polled()?;
    for number in 0..=WARM_EVENTS {
        sample.warm(&function, &event(&format!("warm-{number}")), number > 0)?;
    }
    sample.peak = function.peak_rss_mib()?;
    function.end();
    sample.figures()
}

/// Address of a server that answers every request with `ok`.
fn sink() -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || swallow(&stream));
        }
    });
    Ok(address)
}

fn swallow(mut stream: &TcpStream) -> Option<()> {
    use std::io::{BufReader, Write};

    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        runtime_api::read_request(&mut reader)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
    }
}
