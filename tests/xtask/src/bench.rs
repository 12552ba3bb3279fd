//! `cargo xtask bench`: measures a function's cost, with its release binary against a separate local cloud, or a part of
//! one without a cloud.

mod page;
mod report;
mod restore_proof;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::{Aws, text};
use crate::cloud::Place;
use crate::deploy::{self, PREFIX};
use crate::repo::{Build, Repo};
use crate::run::{self, Log, Progress};
use crate::runtime_api::RuntimeApi;
use crate::table::table;
use crate::up;

/// One benchmark: returns the content of `target/bench/NAME.json`.
struct Benchmark {
    name: &'static str,
    measure: Measure,
    steps: usize,
}

enum Measure {
    OnCloud(fn(&Repo, &Aws, &Progress) -> Result<Value>),
    Alone(fn(&Repo, &Progress) -> Result<Value>),
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "rotation", measure: Measure::OnCloud(rotation), steps: 10 },
    Benchmark { name: "audit", measure: Measure::OnCloud(audit), steps: SIZES.len() },
    Benchmark { name: "page", measure: Measure::OnCloud(page::measure), steps: page::STEPS },
    Benchmark {
        name: "restore-proof",
        measure: Measure::Alone(restore_proof::measure),
        steps: restore_proof::STEPS,
    },
    Benchmark { name: "report", measure: Measure::OnCloud(report::measure), steps: report::STEPS },
];

/// Runs one benchmark, or all.
pub(crate) fn bench(repo: &Repo, name: Option<&str>) -> Result<()> {
    let chosen: Vec<&Benchmark> =
        BENCHMARKS.iter().filter(|bench| name.is_none_or(|name| bench.name == name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = BENCHMARKS.iter().map(|bench| bench.name).collect();
        bail!("there is no benchmark `{}`; there are: {}", name.unwrap_or_default(), names.join(", "));
    }
    let repo = &repo.building(Build::Measure);
    let _lock = repo.lock()?;
    let place = Place::new(repo, "bench-cloud");
    place.stop()?;
    let needs_cloud = chosen.iter().any(|bench| matches!(bench.measure, Measure::OnCloud(_)));
    let of_cloud = if needs_cloud { up::STEPS } else { 0 };
    let steps = of_cloud + chosen.iter().map(|bench| bench.steps).sum::<usize>();
    let progress = Progress::new(repo.local().join("logs/bench"), steps, false);
    let running = needs_cloud.then(|| up::bring_up(repo, &place, Some(0), &progress)).transpose()?;
    let folder = repo.at("target/bench");
    fs::create_dir_all(&folder)?;
    for bench in chosen {
        let result = match (&bench.measure, &running) {
            (Measure::OnCloud(measure), Some(running)) => measure(repo, &running.aws, &progress)?,
            (Measure::OnCloud(_), None) => bail!("the local cloud is not up"),
            (Measure::Alone(measure), _) => measure(repo, &progress)?,
        };
        let file = folder.join(format!("{}.json", bench.name));
        fs::write(&file, format!("{result:#}\n"))?;
        println!("\n{}: {}\n\n{}", bench.name, file.display(), table(&rows(&result)));
    }
    running.map_or(Ok(()), |running| running.down.now())
}

/// Median, minimum and maximum of a sample.
#[derive(Debug, PartialEq, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut sample: Vec<f64>) -> Result<Self> {
        sample.sort_by(f64::total_cmp);
        let at = |index: usize| sample.get(index).copied().context("nothing was measured");
        let last = sample.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2)?, at(last.div_ceil(2))?);
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        Ok(Self { median: round(median), min: round(at(0)?), max: round(at(last)?) })
    }
}

/// Formats a result: below each title, spreads in three columns and other values in one; then the aim, and how far the
/// median misses it.
fn rows(result: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (title, result) in result.as_object().into_iter().flatten() {
        if let Some(figures) = beside(title, result) {
            rows.extend(figures);
            continue;
        }
        rows.push([title, "median", "min", "max", "aim", "miss"].map(str::to_owned).to_vec());
        rows.extend(lines(result));
    }
    rows
}

/// Results that have the same figures, side by side.
fn beside(title: &str, result: &Value) -> Option<Vec<Vec<String>>> {
    let all = result.as_object()?;
    let names: Vec<&String> =
        all.values().next()?.as_object().filter(|figures| figures.contains_key("wall_s"))?.keys().collect();
    let mut rows = vec![
        std::iter::once(title.to_owned()).chain(names.iter().map(|name| name.replace('_', " "))).collect(),
    ];
    for (name, figures) in all {
        let figures =
            names.iter().map(|figure| figures.get(*figure).map(Value::to_string).unwrap_or_default());
        rows.push(std::iter::once(name.clone()).chain(figures).collect());
    }
    Some(rows)
}

fn lines(result: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (name, value) in result.as_object().into_iter().flatten().filter(|(name, _)| *name != AIMS) {
        let mut row = vec![name.replace('_', " ")];
        let value = match (value.get("median"), value.get("min"), value.get("max")) {
            (Some(median), Some(min), Some(max)) => {
                row.extend([median, min, max].map(Value::to_string));
                median
            }
            _ => {
                row.push(value.to_string());
                value
            }
        };
        let aim = result.get(AIMS).and_then(|aims| aims.get(name)).and_then(Value::as_f64);
        if let Some((aim, value)) = aim.zip(value.as_f64()) {
            row.resize(4, String::new());
            row.extend([aim.to_string(), miss(value, aim)]);
        }
        rows.push(row);
    }
    rows
}

/// An upper bound: lower is better.
fn miss(value: f64, aim: f64) -> String {
    if value <= aim { "none".to_owned() } else { format!("{:+.1} %", (value / aim - 1.0) * 100.0) }
}

/// Place of the aims in a result, by the names of the figures.
const AIMS: &str = "aims";

const COLD_PROCESSES: usize = 20;
const WARM_ROTATIONS: usize = 100;
const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];
const STAGER: &str = "bench-stager";
const DATABASE: &str = "moveongs-dev-bench";

/// Upper bounds for every function.
const AIM: [(&str, f64); 8] = [
    ("start_to_first_poll_ms", 13.0),
    ("fresh_process_whole_rotation_cpu_ms", 35.0),
    ("warm_rotation_cpu_ms", 9.0),
    ("warm_rotation_cpu_mean_ms", 9.0),
    ("cold_peak_rss_mib", 16.0),
    ("peak_rss_mib", 16.0),
    ("aws_calls", 11.0),
    ("zip_bytes", 4_600_000.0),
];

/// A function and the secret that it rotates.
struct Subject {
    title: &'static str,
    function: &'static str,
    secret: &'static str,
    /// Settings that make the measured secret the application's, so that its policy applies.
    settings: Vec<(&'static str, String)>,
    /// Aims specific to this function.
    aims: Vec<(&'static str, f64)>,
}

/// Measures cold starts, and rotations of four steps in a warm process, for both functions and both strategies.
fn rotation(repo: &Repo, aws: &Aws, progress: &Progress) -> Result<Value> {
    let subjects = progress.step("preparing the secrets to rotate", |log| prepare(repo, aws, log))?;
    let mut result = json!({});
    for subject in subjects {
        let title = subject.title;
        let measured = measure(repo, aws, &subject, progress)?;
        if let Some(result) = result.as_object_mut() {
            result.insert(title.to_owned(), measured);
        }
    }
    Ok(result)
}

/// A secret for each subject, and a database for two of them.
fn prepare(repo: &Repo, aws: &Aws, log: &Log) -> Result<Vec<Subject>> {
    let create = |name: &str, value: &str| {
        let secret = aws.secrets("CreateSecret", &json!({"Name": name, "SecretString": value}))?;
        Ok::<_, anyhow::Error>(text(&secret, "/ARN").context("the secret has no ARN")?.to_owned())
    };
    let (single, _) = deploy::make_database(repo, aws, DATABASE, None, log)?;
    let (pair, admin) = deploy::make_database(repo, aws, &format!("{DATABASE}-2"), None, log)?;
    let random = Subject {
        title: "rotate-random",
        function: "rotate-random",
        secret: "/moveongs/dev/bench-random",
        settings: vec![("JWT_SECRET_NAME", "/moveongs/dev/bench-random".to_owned())],
        aims: Vec::new(),
    };
    let of_database = |title, secret: &'static str, admin: String, aims| Subject {
        title,
        function: "rotate-database",
        secret,
        settings: vec![("DATABASE_SECRET_NAME", secret.to_owned()), ("DATABASE_ADMIN_SECRET_ARN", admin)],
        aims,
    };
    create(random.secret, "to be rotated")?;
    let aims = vec![("logins", 3.0)];
    let one = of_database("rotate-database, single user", "/moveongs/dev/bench-single", String::new(), aims);
    create(one.secret, &single)?;
    let admin = create("/moveongs/dev/bench-admin", &admin)?;
    let two =
        of_database("rotate-database, alternating users", "/moveongs/dev/bench-pair", admin, Vec::new());
    create(two.secret, &pair)?;
    Ok(vec![random, one, two])
}

fn measure(repo: &Repo, aws: &Aws, subject: &Subject, progress: &Progress) -> Result<Value> {
    let name = format!("{PREFIX}-{}", subject.function);
    let configuration = aws.function(&name)?;
    let role = text(&configuration, "/Role").context("the function has no role")?;
    let driver = progress.step(&format!("preparing {}", subject.title), |log| {
        Driver::prepare(repo, aws, role, subject.secret, log)
    })?;

    let (mut first_poll, mut first_step, mut cold_peak_rss) = (Vec::new(), Vec::new(), Vec::new());
    let mut cold_cpu = Vec::new();
    progress.step(&format!("starting {COLD_PROCESSES} cold processes"), |log| {
        for _ in 0..COLD_PROCESSES {
            let token = driver.stage()?;
            let mut function =
                Function::start(repo, aws, &configuration, (subject.function, &subject.settings), STEP, log)?;
            first_poll.push(millis(function.started, function.api.polled()?));
            for step in STEPS {
                let answered = function.api.invoke(&driver.event(step, &token))?;
                if step == "createSecret" {
                    first_step.push(millis(function.started, answered));
                }
                function.api.polled()?;
            }
            cold_cpu.push(function.cpu_millis()?);
            cold_peak_rss.push(function.peak_rss_mib()?);
            function.end();
        }
        Ok(())
    })?;

    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let mut counts = Counts::default();
    let (mean_cpu, peak_rss) = progress.step(&format!("doing {WARM_ROTATIONS} warm rotations"), |log| {
        let mut function =
            Function::start(repo, aws, &configuration, (subject.function, &subject.settings), STEP, log)?;
        function.api.polled()?;
        let mut ticks_before = 0.0;
        // The first rotation warms the process up and is not counted.
        for number in 0..=WARM_ROTATIONS {
            let token = driver.stage()?;
            if number == 1 {
                ticks_before = function.cpu_millis_in_ticks()?;
            }
            let cpu_before = function.cpu_millis()?;
            let mut rotation = 0.0;
            for step in STEPS {
                let (seen, logins) = (driver.last_call()?, driver.logins()?);
                let sent = Instant::now();
                rotation += millis(sent, function.api.invoke(&driver.event(step, &token))?);
                function.api.polled()?;
                if number > 0 {
                    counts.add(step, &driver.calls_after(seen)?, driver.logins()? - logins);
                }
            }
            if number > 0 {
                counts.rotations += 1;
                wall.push(rotation);
                cpu.push(function.cpu_millis()? - cpu_before);
            }
        }
        let mean = (function.cpu_millis_in_ticks()? - ticks_before) / WARM_ROTATIONS as f64;
        let peak = function.peak_rss_mib()?;
        function.end();
        Ok((mean, peak))
    })?;

    let mut result = json!({
        "cold_processes": COLD_PROCESSES,
        "start_to_first_poll_ms": Spread::of(first_poll)?,
        "start_to_end_of_first_step_ms": Spread::of(first_step)?,
        "fresh_process_whole_rotation_cpu_ms": Spread::of(cold_cpu)?,
        "cold_peak_rss_mib": Spread::of(cold_peak_rss)?,
        "warm_rotations": WARM_ROTATIONS,
        "warm_rotation_wall_ms": Spread::of(wall)?,
        "warm_rotation_cpu_ms": Spread::of(cpu)?,
        "warm_rotation_cpu_mean_ms": mean_cpu,
        "peak_rss_mib": peak_rss,
        "zip_bytes": configuration.get("CodeSize").cloned().unwrap_or_default(),
    });
    if let Some(result) = result.as_object_mut() {
        for (name, spread) in counts.spreads()? {
            result.insert(name, serde_json::to_value(spread)?);
        }
        let aims: BTreeMap<_, _> = AIM.into_iter().chain(subject.aims.iter().copied()).collect();
        result.insert(AIMS.to_owned(), serde_json::to_value(aims)?);
    }
    Ok(result)
}

/// Accounts with so many instances, buckets, secrets and snapshots each.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// Lambda's timeouts of a rotation's step and of an audit.
const STEP: Duration = Duration::from_secs(30);
const AUDIT: Duration = Duration::from_secs(900);

/// Costs of peers for five of the questions that the two audits answer, by size: wall and CPU time in seconds, peak
/// memory in MiB, HTTP requests. The team measured them on two cores against moto, Prowler 5.46.0 and Cloud Custodian
/// 0.9.53.
const PEERS: [(&str, usize, [f64; 4]); 6] = [
    ("only the needed calls, boto3", 100, [0.98, 0.56, 57.0, 203.0]),
    ("Cloud Custodian", 100, [6.65, 3.17, 83.0, 2_206.0]),
    ("Prowler, 5 checks", 100, [17.05, 14.55, 379.0, 1_612.0]),
    ("only the needed calls, boto3", 1_000, [6.23, 3.03, 58.0, 2_021.0]),
    ("Cloud Custodian", 1_000, [61.0, 25.9, 89.0, 22_033.0]),
    ("Prowler, 5 checks", 1_000, [64.3, 37.1, 541.0, 16_030.0]),
];

/// Measures one audit by each of the two functions, of accounts of growing size.
fn audit(repo: &Repo, aws: &Aws, progress: &Progress) -> Result<Value> {
    let mut result = json!({});
    for size in SIZES {
        let name = format!("an account with {size} of each");
        let measured = progress.step(&name, |log| {
            aws.admin("DELETE", "seed", None)?;
            let seed = json!({"instances": size, "buckets": size, "secrets": size, "snapshots": size});
            aws.admin("POST", "seed", Some(&seed))?;
            let mut of_size = serde_json::Map::new();
            for function in ["backup-audit", "rotation-audit"] {
                of_size.insert(function.to_owned(), one_audit(repo, aws, function, log)?);
            }
            for (peer, _, [wall, cpu, memory, requests]) in PEERS.iter().filter(|(_, of, _)| *of == size) {
                let figures =
                    json!({"wall_s": wall, "cpu_s": cpu, "peak_rss_mib": memory, "requests": requests});
                of_size.insert((*peer).to_owned(), figures);
            }
            Ok(Value::Object(of_size))
        })?;
        if let Some(result) = result.as_object_mut() {
            result.insert(name, measured);
        }
    }
    aws.admin("DELETE", "seed", None)?;
    Ok(result)
}

/// The day's first audit in a new process. Repairs are off, because they would change the account.
fn one_audit(repo: &Repo, aws: &Aws, folder: &str, log: &Log) -> Result<Value> {
    let configuration = aws.function(&format!("{PREFIX}-{folder}"))?;
    let off = [("BACKUP_REPAIRS", String::new()), ("GITHUB_REPOSITORY", String::new())];
    let mut function = Function::start(repo, aws, &configuration, (folder, &off), AUDIT, log)?;
    function.api.polled()?;
    let last =
        |answer: Value| answer.get("last").and_then(Value::as_f64).context("the log of calls has no `last`");
    let before = last(aws.admin("GET", "calls?after=999999999", None)?)?;
    let (sent, ticks) = (Instant::now(), function.cpu_millis_in_ticks()?);
    let answered = function.api.invoke("{}")?;
    let wall = millis(sent, answered).round() / 1000.0;
    function.api.polled()?;
    let cpu = (function.cpu_millis_in_ticks()? - ticks) / 1000.0;
    let requests = last(aws.admin("GET", "calls?after=999999999", None)?)? - before;
    let memory = function.peak_rss_mib()?;
    function.end();
    Ok(json!({"wall_s": wall, "cpu_s": cpu, "peak_rss_mib": memory, "requests": requests}))
}

/// Counts of events per rotation.
#[derive(Default)]
struct Counts {
    /// Finished rotations.
    rotations: usize,
    /// By name, then by the rotation's index; rotations without the event may be absent.
    samples: BTreeMap<String, BTreeMap<usize, f64>>,
}

impl Counts {
    /// Adds the counts of one step of the current rotation.
    fn add(&mut self, step: &str, calls: &BTreeMap<String, f64>, logins: f64) {
        for (service, count) in calls {
            self.count(format!("{service}_calls_in_{step}"), *count);
        }
        let aws = calls.iter().filter(|(service, _)| !["slack", "postgres"].contains(&service.as_str()));
        let aws: f64 = aws.map(|(_, count)| count).sum();
        self.count(format!("aws_calls_in_{step}"), aws);
        self.count("aws_calls".to_owned(), aws);
        self.count(format!("logins_in_{step}"), logins);
        self.count("logins".to_owned(), logins);
    }

    fn count(&mut self, name: String, count: f64) {
        *self.samples.entry(name).or_default().entry(self.rotations).or_default() += count;
    }

    fn spreads(self) -> Result<BTreeMap<String, Spread>> {
        let all = |sample: BTreeMap<usize, f64>| {
            (0..self.rotations).map(|rotation| sample.get(&rotation).copied().unwrap_or_default()).collect()
        };
        self.samples.into_iter().map(|(name, sample)| Ok((name, Spread::of(all(sample))?))).collect()
    }
}

fn millis(from: Instant, to: Instant) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

/// Acts as Secrets Manager: stages the pending version and calls the measured process instead of Lambda.
struct Driver<'a> {
    aws: &'a Aws,
    secret: &'static str,
    arn: String,
    stager: String,
}

impl<'a> Driver<'a> {
    /// Only RotateSecret can stage a version without a value. So the secret's rotation function always fails, and only this
    /// driver retries.
    fn prepare(repo: &Repo, aws: &'a Aws, role: &str, secret: &'static str, log: &Log) -> Result<Self> {
        aws.admin("POST", "rotations/settings", Some(&json!({"retry": "manual"})))?;
        let folder = repo.local().join("bench");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("stager.py"),
            "def handler(event, context):\n    raise RuntimeError('only stages')\n",
        )?;
        let mut zip = run::command(repo.venv("python"));
        run::run(zip.args(["-m", "zipfile", "-c", "stager.zip", "stager.py"]).current_dir(&folder), log)?;
        let described = aws.secrets("DescribeSecret", &json!({"SecretId": secret}))?;
        let arn = text(&described, "/ARN").context("the secret has no ARN")?.to_owned();
        if let Ok(stager) = aws.function(STAGER) {
            let stager = text(&stager, "/FunctionArn").context("the stager has no ARN")?.to_owned();
            return Ok(Self { aws, secret, arn, stager });
        }
        let mut create =
            aws.cli(&["lambda", "create-function", "--function-name", STAGER, "--handler", "stager.handler"]);
        create.args(["--runtime", "python3.13", "--role", role]);
        create.args(["--zip-file", "fileb://stager.zip"]).current_dir(&folder);
        run::run(&mut create, log)?;
        let mut permit =
            aws.cli(&["lambda", "add-permission", "--function-name", STAGER, "--statement-id", "rotation"]);
        permit.args(["--action", "lambda:InvokeFunction", "--principal", "secretsmanager.amazonaws.com"]);
        run::run(&mut permit, log)?;
        let stager = aws.function(STAGER)?;
        let stager = text(&stager, "/FunctionArn").context("the stager has no ARN")?.to_owned();
        Ok(Self { aws, secret, arn, stager })
    }

    /// Starts a rotation and returns its token.
    fn stage(&self) -> Result<String> {
        let id = json!({"SecretId": self.arn});
        // The driver finished the previous rotation without the service's knowledge.
        let described = self.aws.secrets("DescribeSecret", &id)?;
        self.follow(&described)?;
        if described.get("RotationEnabled") == Some(&Value::Bool(true)) {
            self.aws.secrets("CancelRotateSecret", &id)?;
        }
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).context("the operating system gives no random bytes")?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let request = json!({
            "SecretId": self.arn,
            "ClientRequestToken": token,
            "RotationLambdaARN": self.stager,
            "RotationRules": {"AutomaticallyAfterDays": 90},
        });
        self.aws.secrets("RotateSecret", &request)?;
        run::wait_for("the staged version", Duration::from_secs(30), || {
            let state = self.aws.admin("GET", &format!("rotations?secret={}", self.secret), None)?;
            Ok((text(&state, "/state") == Some("waiting")).then_some(()))
        })?;
        Ok(token)
    }

    /// Writes a ledger row as the follow-up would: the current version is in use. A database is not rotated before that.
    fn follow(&self, described: &Value) -> Result<()> {
        let versions = described.get("VersionIdsToStages").and_then(Value::as_object);
        let is_current = |labels: &Value| {
            labels.as_array().is_some_and(|labels| labels.iter().any(|label| label == "AWSCURRENT"))
        };
        let current = versions.into_iter().flatten().find(|(_, labels)| is_current(labels));
        let (version, _) = current.context("the secret has no current version")?;
        let row = json!([{"arn": self.arn, "version": version, "outcome": "proved", "services": ["bench"],
            "ended": "2099-01-01T00:00:00Z"}]);
        let key = "/moveongs-dev-evidence-000000000000/ledger/rotation.json";
        let answer = self.aws.wire("s3", "PUT", key, &[], row.to_string().as_bytes())?;
        if !(200..300).contains(&answer.status) {
            bail!("the ledger cannot be written: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    fn event(&self, step: &str, token: &str) -> String {
        json!({"Step": step, "SecretId": self.arn, "ClientRequestToken": token}).to_string()
    }

    fn last_call(&self) -> Result<u64> {
        let answer = self.aws.admin("GET", "calls?after=999999999", None)?;
        answer.get("last").and_then(Value::as_u64).context("the log of calls has no `last`")
    }

    /// Calls per service after the call `seen`; only the measured process makes any.
    fn calls_after(&self, seen: u64) -> Result<BTreeMap<String, f64>> {
        let answer = self.aws.admin("GET", &format!("calls?after={seen}"), None)?;
        let calls =
            answer.get("calls").and_then(Value::as_array).context("the log of calls has no `calls`")?;
        let mut counts = BTreeMap::new();
        for call in calls {
            *counts.entry(text(call, "/service").unwrap_or("?").to_owned()).or_default() += 1.0;
        }
        Ok(counts)
    }

    /// Connections that the databases have accepted.
    fn logins(&self) -> Result<f64> {
        let mut sum = 0.0;
        for instance in [DATABASE.to_owned(), format!("{DATABASE}-2")] {
            let state = self.aws.admin("GET", &format!("rds/fault?instance={instance}"), None)?;
            sum += state.get("connections").and_then(Value::as_f64).context("the instance has no count")?;
        }
        Ok(sum)
    }
}

/// One process of the function's release binary.
struct Function {
    child: Child,
    api: RuntimeApi,
    started: Instant,
}

impl Function {
    /// Starts the process with the deployed function's settings and these overrides.
    fn start(
        repo: &Repo,
        aws: &Aws,
        configuration: &Value,
        (folder, settings): (&str, &[(&'static str, String)]),
        limit: Duration,
        log: &Log,
    ) -> Result<Self> {
        let mut command = Command::new(deploy::bootstrap(repo, folder));
        command.env_clear();
        let variables = configuration.pointer("/Environment/Variables").and_then(Value::as_object);
        for (name, value) in variables.into_iter().flatten() {
            command.env(name, value.as_str().unwrap_or_default());
        }
        command.envs(aws.environment());
        command.env("AWS_LAMBDA_FUNCTION_NAME", text(configuration, "/FunctionName").unwrap_or_default());
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256").env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_LOG_STREAM_NAME", "bench").env("AWS_LAMBDA_LOG_GROUP_NAME", "bench");
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        Self::spawn(command, limit, log)
    }

    /// Starts a command that polls the Runtime API.
    fn spawn(mut command: Command, limit: Duration, log: &Log) -> Result<Self> {
        let api = RuntimeApi::start(limit)?;
        let output = fs::File::options().append(true).open(&log.path)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.env("AWS_LAMBDA_RUNTIME_API", &api.address);
        let started = Instant::now();
        let child = command.spawn().context("the function cannot be started")?;
        Ok(Self { child, api, started })
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}; benchmarks need Linux"))
    }

    /// CPU time (user and system) of the living threads, in nanoseconds. Tokio keeps an idle thread for ten seconds.
    fn cpu_millis(&self) -> Result<f64> {
        let mut nanos = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanos += stat.split(' ').next().and_then(|on_cpu| on_cpu.parse::<f64>().ok()).unwrap_or_default();
        }
        Ok(nanos / 1e6)
    }

    /// User and system time of the whole process, in the kernel's ticks of 10 ms.
    fn cpu_millis_in_ticks(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("the process has no times")?;
        Ok((user + system) * 10.0)
    }

    fn peak_rss_mib(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .context("the process has no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok((kib / 1024.0 * 10.0).round() / 10.0)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_of_an_even_sample() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).unwrap(), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap(), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert!(Spread::of(Vec::new()).is_err());
    }

    #[test]
    fn a_spread_fills_three_columns_and_a_number_one() {
        let rows = rows(&json!({"f": {"wall_ms": {"median": 2.0, "min": 1.0, "max": 3.0}, "zip_bytes": 7}}));
        assert_eq!(rows[0], ["f", "median", "min", "max", "aim", "miss"]);
        assert_eq!(rows[1], ["wall ms", "2.0", "1.0", "3.0"]);
        assert_eq!(rows[2], ["zip bytes", "7"]);
    }

    #[test]
    fn an_aim_stands_beside_its_figure_with_what_the_median_misses_it_by() {
        let wall = json!({"median": 2.5, "min": 1.0, "max": 3.0});
        let rows = rows(
            &json!({"f": {"aims": {"wall_ms": 2.0, "zip_bytes": 7.0}, "wall_ms": wall, "zip_bytes": 7}}),
        );
        assert_eq!(rows[1], ["wall ms", "2.5", "1.0", "3.0", "2", "+25.0 %"]);
        assert_eq!(rows[2], ["zip bytes", "7", "", "", "7", "none"]);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn what_a_rotation_did_not_do_counts_as_zero() {
        let mut counts = Counts::default();
        let calls = |service: &str, count| BTreeMap::from([(service.to_owned(), count)]);
        counts.add("setSecret", &calls("s3", 2.0), 1.0);
        counts.add("testSecret", &calls("slack", 5.0), 2.0);
        counts.rotations += 1;
        counts.add("setSecret", &calls("sqs", 4.0), 0.0);
        counts.rotations += 1;
        let spreads = counts.spreads().unwrap();
        let spread = |name: &str| (spreads[name].min, spreads[name].median, spreads[name].max);
        assert_eq!(spread("s3_calls_in_setSecret"), (0.0, 1.0, 2.0));
        assert_eq!(spread("slack_calls_in_testSecret"), (0.0, 2.5, 5.0));
        assert_eq!(spread("aws_calls"), (2.0, 3.0, 4.0));
        assert_eq!(spread("aws_calls_in_testSecret"), (0.0, 0.0, 0.0));
        assert_eq!(spread("logins"), (0.0, 1.5, 3.0));
    }
}
