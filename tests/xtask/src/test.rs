//! `cargo xtask test`: runs every check of the repository and prints a complete summary.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail, ensure};

use crate::aws::{Aws, text};
use crate::cloud::{self, Place};
use crate::deploy::ON_CLOUD;
use crate::repo::{Build, Repo};
use crate::run::{self, Interrupted, Log, Progress};
use crate::{demo, deploy, draw, procs, setup};

/// One check.
struct Check {
    name: &'static str,
    /// Names of the checks that must pass before this one. Checks that need nothing of each other may run at the same
    /// time.
    after: &'static [&'static str],
    run: fn(&Context<'_>, &Log) -> Result<Verdict>,
}

/// Checks that run without another beside them: on a slow machine, a build takes so much from the deployments that their
/// requests time out; some end-to-end tests wait for a time, which another check would take from them; the last check
/// finds everything that still runs.
const ALONE: [&str; 3] = [DEPLOYMENT, END_TO_END, NOTHING_LEFT];

const PYTHON: &str = "Python environment";
const POSTGRES: &str = "PostgreSQL";
const CARGO_DENY: &str = "cargo-deny";
const NODE_POSTGRES: &str = "node-postgres";
const ALERTMANAGER: &str = "Alertmanager";
const BROWSER: &str = "a browser";
const END_TO_END: &str = "end-to-end tests";
const MONTH: &str = "a month of simulated time";
const LIFE: &str = "an incident's life";
const AWS_CLI_2: &str = "AWS CLI 2";
const SAM_CLI: &str = "AWS SAM CLI";
const DEPLOYMENT: &str = "deployment to fresh local clouds";
const TESTS: &str = "tests of the code, the repository and the model of the rotation protocol";
const TEETH: &str = "teeth of the proof, on PostgreSQL 15 and 18";
const NOTHING_LEFT: &str = "nothing left running";
const SAM: &str = "sam validate and sam build for arm64";

/// Everything but the tests of a deployed stack, with their features, so that nothing is built again. There are no
/// documentation tests.
const CODE_TESTS: [&str; 13] = [
    "test",
    "--workspace",
    "--features",
    ON_CLOUD,
    "--locked",
    "--lib",
    "--bins",
    "--test",
    "it",
    "--test",
    "repository",
    "--test",
    "model",
];

/// The clouds of the end-to-end tests, each with fragments of its tests' names; the last one runs all other tests. They
/// run in parallel, because each test mostly waits. The table at the end of a run shows their times.
const CLOUDS: [(&str, &[&str]); 4] = [
    ("test-cloud-1", &["adversary::", "calendar::", "database::", "incident_", "model::", "postmortem::"]),
    (
        "test-cloud-2",
        &[
            "governance_report::",
            "grafana_export::",
            "in_force::",
            "of_rotate_database",
            "onboarding::",
            "property::",
            "restore_test::",
            "rotate_external::",
        ],
    ),
    (
        "test-cloud-3",
        &["backup_audit::", "inventory_audit::", "policy::", "rotation_audit::", "snapshot_create::"],
    ),
    ("test-cloud-4", &[]),
];

/// In the order in which they start. Cargo's lock keeps those that build from overlapping, so the others stand between.
const CHECKS: &[Check] = &[
    Check { name: PYTHON, after: &[], run: |context, log| passed(setup::python(context.repo, log)) },
    Check {
        name: POSTGRES,
        after: &[PYTHON],
        run: |context, log| passed(setup::postgres(context.repo, log)),
    },
    Check {
        name: CARGO_DENY,
        after: &[],
        run: |context, log| passed(setup::cargo_deny(context.repo, log).map(drop)),
    },
    Check { name: NODE_POSTGRES, after: &[], run: |context, log| passed(setup::readers(context.repo, log)) },
    Check { name: ALERTMANAGER, after: &[], run: alertmanager },
    Check { name: BROWSER, after: &[], run: browser },
    Check {
        name: "cargo fmt",
        after: &[],
        run: |context, log| passed(context.cargo(&["fmt", "--all", "--check"], log)),
    },
    Check {
        name: "compilation and clippy",
        after: &[],
        run: |context, log| passed(compilation(context, log)),
    },
    Check {
        name: "cargo deny: bans, licenses, sources",
        after: &[CARGO_DENY],
        run: |context, log| passed(run::run(&mut context.deny(&["bans", "licenses", "sources"])?, log)),
    },
    Check { name: "cargo deny: advisories", after: &[CARGO_DENY], run: advisories },
    Check {
        name: "cfn-lint",
        after: &[PYTHON],
        run: |context, log| {
            let arguments = [
                "--include-checks",
                "I",
                "--non-zero-exit-code",
                "informational",
                "--template",
                "template.yaml",
            ];
            passed(run::run(context.venv("cfn-lint").args(arguments), log))
        },
    },
    Check { name: "cfn-lint: state machines", after: &[PYTHON], run: state_machines },
    Check {
        name: "ruff check",
        after: &[PYTHON],
        run: |context, log| {
            let arguments = ["check", "--no-cache", "tests/cloud", "tests/commands", "tests/readers"];
            passed(run::run(context.venv("ruff").args(arguments), log))
        },
    },
    Check {
        name: "ruff format",
        after: &[PYTHON],
        run: |context, log| {
            let arguments =
                ["format", "--check", "--no-cache", "tests/cloud", "tests/commands", "tests/readers"];
            passed(run::run(context.venv("ruff").args(arguments), log))
        },
    },
    Check { name: AWS_CLI_2, after: &[PYTHON], run: cli_2 },
    Check {
        name: "commands of messages and pages, with the AWS CLI 1",
        after: &[PYTHON],
        run: |context, log| passed(commands(context.repo, None, log)),
    },
    Check {
        name: "commands of messages and pages, with the AWS CLI 2",
        after: &[AWS_CLI_2],
        run: |context, log| passed(commands(context.repo, setup::cli_2(context.repo, log)?, log)),
    },
    Check { name: SAM_CLI, after: &[], run: |context, log| passed(setup::sam(context.repo, log)) },
    Check { name: "tests of the local cloud", after: &[PYTHON, POSTGRES], run: python_tests },
    Check {
        name: TESTS,
        after: &[],
        run: |context, log| {
            passed(match &context.procedure {
                Some(procedure) => tests_of(context.repo, procedure, log),
                None => context.cargo(&CODE_TESTS, log),
            })
        },
    },
    Check {
        name: TEETH,
        after: &[POSTGRES],
        run: |context, log| {
            let mut arguments =
                vec!["test", "--workspace", "--features", ON_CLOUD, "--locked", "--test", "teeth"];
            // Some of them wait for a lock's time-out.
            arguments.extend(["--", "--test-threads=4"]);
            passed(context.cargo(&arguments, log))
        },
    },
    Check { name: "the page in a browser", after: &[BROWSER], run: page },
    Check { name: SAM, after: &[PYTHON, SAM_CLI], run: sam_build },
    Check { name: DEPLOYMENT, after: &[PYTHON, POSTGRES, SAM_CLI], run: deployment },
    Check { name: END_TO_END, after: &[NODE_POSTGRES, DEPLOYMENT], run: end_to_end },
    Check {
        name: "search for leaked secrets",
        after: &[END_TO_END],
        run: |context, log| {
            let clouds: Vec<&Place> = context.test_clouds.iter().map(|(_, place, _)| place).collect();
            passed(run::run(&mut on_clouds(context.repo, &clouds, "leaks", &[])?, log))
        },
    },
    Check { name: MONTH, after: &[DEPLOYMENT], run: month },
    Check { name: LIFE, after: &[DEPLOYMENT], run: life },
    Check { name: "demo", after: &[PYTHON, POSTGRES], run: demonstration },
    Check { name: NOTHING_LEFT, after: &[], run: nothing_left },
];

enum Verdict {
    Passed,
    NotRun(String),
}

enum Outcome {
    Passed,
    /// The error, and the end of the check's log.
    Failed(String),
    NotRun(String),
}

fn passed(result: Result<()>) -> Result<Verdict> {
    result.map(|()| Verdict::Passed)
}

struct Context<'a> {
    repo: &'a Repo,
    /// The only procedure to test, if one was given.
    procedure: Option<String>,
    /// Whether to run all parts of the checks that take turns.
    full: bool,
    /// The clouds of the end-to-end tests: name, place, and the arguments of the test program.
    test_clouds: Vec<(String, Place, Vec<String>)>,
    month_cloud: Place,
    life_cloud: Place,
    demo_cloud: Place,
    before: Vec<procs::Process>,
    /// Duration of each module of the end-to-end tests, in seconds.
    modules: Mutex<BTreeMap<String, f64>>,
}

impl Context<'_> {
    fn cargo(&self, arguments: &[&str], log: &Log) -> Result<()> {
        run::run(run::clippy().args(arguments).current_dir(&self.repo.root), log)
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        let others = [&self.month_cloud, &self.life_cloud, &self.demo_cloud];
        self.test_clouds.iter().map(|(_, place, _)| place).chain(others)
    }

    fn stop(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let all: Vec<_> = self.places().map(|place| scope.spawn(move || place.stop())).collect();
            let mut stops =
                all.into_iter().map(|stop| stop.join().unwrap_or_else(|_| bail!("a thread panicked")));
            stops.try_for_each(|stop| stop.map(drop))
        })
    }

    fn deny(&self, what: &[&str]) -> Result<Command> {
        let mut command = run::command(self.repo.local().join("bin/cargo-deny"));
        command.args(["--locked", "check"]).args(what).current_dir(&self.repo.root);
        Ok(command)
    }

    fn venv(&self, program: &str) -> Command {
        let mut command = run::command(self.repo.venv(program));
        command.current_dir(&self.repo.root);
        command
    }
}

/// Compiles everything that the other checks run. Cargo repeats the warnings of crates that were compiled before.
fn compilation(context: &Context<'_>, log: &Log) -> Result<()> {
    context.cargo(&["build", "--workspace", "--all-targets", "--features", ON_CLOUD, "--locked"], log)?;
    let output = fs::read_to_string(&log.path)?;
    // Not at the line's start: on a terminal, the progress bar comes before it.
    let warnings: Vec<_> = output.lines().filter(|line| line.contains("warning: ")).collect();
    ensure!(warnings.is_empty(), "there are warnings:\n{}", warnings.join("\n"));
    Ok(())
}

/// Runs tests of the deployed stack; `which` holds arguments of the test program.
fn on_clouds(repo: &Repo, places: &[&Place], target: &str, which: &[String]) -> Result<Command> {
    let mut tests = run::clippy();
    // Build the whole workspace to reuse the earlier tests' dependencies, which have the same features.
    tests.args(["test", "--workspace", "--features", ON_CLOUD, "--test", target, "--locked", "--"]);
    // The tests share one cloud's fault switches, so they run one at a time.
    tests.arg("--test-threads=1").args(which);
    tests.current_dir(&repo.root).env("PATH", setup::path(repo)?);
    tests.env("LOCALCLOUD", std::env::join_paths(places.iter().map(|place| place.facts_file()))?);
    // The path of the application's driver, for the readers of a rotated secret.
    tests.env("NODE_PATH", repo.local().join("readers/node_modules"));
    // Absent where it could not be set up, which the summary says.
    let alertmanager = setup::alertmanager_program(repo);
    if alertmanager.exists() {
        tests.env("ALERTMANAGER", alertmanager);
    } else {
        tests.args(["--skip", "real_alertmanager"]);
    }
    Ok(tests)
}

/// The unit and wire tests of one procedure. Cargo builds the whole workspace, because the dependencies of a single
/// package have other features and would be rebuilt.
fn tests_of(repo: &Repo, procedure: &str, log: &Log) -> Result<()> {
    let folder = repo.at("functions").join(procedure);
    let mut build = run::clippy();
    build.args(["test", "--workspace", "--features", ON_CLOUD, "--locked", "--no-run"]);
    let messages = run::output(build.arg("--message-format=json").current_dir(&repo.root), log)?;
    let mut programs = 0;
    for message in messages.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: serde_json::Value = serde_json::from_slice(message)?;
        let is_of = text(&message, "/manifest_path").is_some_and(|path| Path::new(path).starts_with(&folder));
        let is_test = message.pointer("/profile/test").and_then(serde_json::Value::as_bool) == Some(true);
        if let Some(program) = text(&message, "/executable").filter(|_| is_of && is_test) {
            run::run(run::command(program).current_dir(&folder), log)?;
            programs += 1;
        }
    }
    ensure!(programs > 0, "cargo built no tests of {procedure}");
    Ok(())
}

/// The browser is of a package for another system's functions; a machine where it does not start can run all other tests.
fn browser(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    Ok(match setup::browser(context.repo, log) {
        Ok(()) => Verdict::Passed,
        Err(error) => Verdict::NotRun(format!("the page is not tried in a browser: {error:#}")),
    })
}

/// The governance page in the browser, if there is one.
fn page(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    // Its own check has said why.
    let Ok(()) = setup::browser(context.repo, log) else {
        return Ok(Verdict::NotRun("there is no browser".to_owned()));
    };
    let folder = setup::browser_folder(context.repo);
    let mut tests = run::clippy();
    tests.args(["test", "--workspace", "--features", ON_CLOUD, "--test", "browser", "--locked"]);
    tests.current_dir(&context.repo.root).env("PATH", setup::path(context.repo)?).env("TMPDIR", &folder);
    tests.env("BROWSER_MODULES", folder.join("node_modules"));
    passed(run::run(&mut tests, log))
}

/// Only Debian has the package, and a machine without it can run all other tests.
fn alertmanager(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    Ok(match setup::alertmanager(context.repo, log) {
        Ok(()) => Verdict::Passed,
        Err(error) => Verdict::NotRun(format!("the test with a real Alertmanager is skipped: {error:#}")),
    })
}

/// Arguments of the test program for one of the [`CLOUDS`]. Each test runs on exactly one.
fn arguments(cloud: usize) -> Vec<String> {
    let arguments: Vec<&str> = match CLOUDS.get(cloud) {
        Some((_, names)) if !names.is_empty() => {
            // A test whose name matches two clouds runs on the first.
            let before = CLOUDS.iter().take(cloud).flat_map(|(_, names)| *names);
            names.iter().copied().chain(before.flat_map(|name| ["--skip", name])).collect()
        }
        _ => CLOUDS.iter().flat_map(|(_, names)| *names).flat_map(|name| ["--skip", name]).collect(),
    };
    arguments.into_iter().map(str::to_owned).collect()
}

fn end_to_end(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    let clouds = &context.test_clouds;
    let logs: Vec<Log> = clouds.iter().map(|(name, ..)| beside(log, name)).collect::<Result<_>>()?;
    let runs: Vec<(Result<()>, BTreeMap<String, f64>)> = std::thread::scope(|scope| {
        let spawned: Vec<_> = clouds
            .iter()
            .zip(&logs)
            .map(|((_, place, which), log)| {
                let (repo, full) = (context.repo, context.full);
                scope.spawn(move || {
                    let (mut modules, mut last) = (BTreeMap::new(), Instant::now());
                    let run = on_clouds(repo, &[place], "e2e", which).and_then(|mut tests| {
                        if full {
                            tests.env("FULL_TESTS", "1");
                        }
                        run::watch(&mut tests, log, |line| {
                            let took = last.elapsed().as_secs_f64();
                            last = Instant::now();
                            if let Some(module) = module(line) {
                                *modules.entry(module.to_owned()).or_default() += took;
                            }
                        })
                    });
                    (run, modules)
                })
            })
            .collect();
        spawned
            .into_iter()
            .map(|run| run.join().unwrap_or_else(|_| (Err(anyhow!("a thread panicked")), BTreeMap::new())))
            .collect()
    });
    let mut all = Ok(Verdict::Passed);
    let mut all_modules = context.modules.lock().map_err(poisoned)?;
    for ((run, modules), beside) in runs.into_iter().zip(&logs) {
        for (module, seconds) in modules {
            *all_modules.entry(module).or_default() += seconds;
        }
        if let Err(error) = run {
            log.line(&beside.tail(60))?;
            all = Err(error);
        }
    }
    all
}

/// The module of the test that this line of the test program reports as finished.
fn module(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    name.split_once("::").map(|(module, _)| module)
}

/// Checks the state machines: cfn-lint checks a definition only inside a template.
fn state_machines(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    let machines = draw::definitions(context.repo)?;
    ensure!(!machines.is_empty(), "no function has a state machine: has the file's name changed?");
    for (function, definition) in machines {
        let definition = definition.replace("${Partition}", "aws");
        let mut definition = definition;
        for function in ["FunctionArn", "RotateDatabaseArn", "RotateExternalArn"] {
            let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
            definition = definition.replace(&format!("${{{function}}}"), arn);
        }
        let definition: serde_json::Value = serde_json::from_str(&definition)?;
        let role = "arn:aws:iam::123456789012:role/r";
        let properties = serde_json::json!({"RoleArn": role, "Definition": definition});
        let machine =
            serde_json::json!({"Type": "AWS::StepFunctions::StateMachine", "Properties": properties});
        let template = context.repo.local().join(format!("{function}.template.json"));
        fs::write(&template, serde_json::json!({"Resources": {"Machine": machine}}).to_string())?;
        run::run(context.venv("cfn-lint").arg("--template").arg(&template), log)?;
    }
    Ok(Verdict::Passed)
}

/// Runs the checks whose name contains `filter`, and their prerequisites. For a procedure's name, runs its tests.
/// `full` runs all parts of the checks that take turns.
pub(crate) fn test(repo: &Repo, filter: Option<&str>, full: bool) -> Result<bool> {
    let repo = &repo.building(Build::Test);
    let _lock = repo.lock()?;
    let functions = repo.functions()?;
    let procedure = filter.filter(|filter| functions.iter().any(|function| function == filter));
    let selected = procedure.map_or_else(|| select(filter), |_| of_one_procedure());
    let mut context = Context {
        repo,
        test_clouds: test_clouds(repo, procedure),
        procedure: procedure.map(str::to_owned),
        full,
        month_cloud: Place::new(repo, "month-cloud"),
        life_cloud: Place::new(repo, "life-cloud"),
        demo_cloud: Place::new(repo, "demo-cloud"),
        before: Vec::new(),
        modules: Mutex::default(),
    };
    if selected.is_empty() {
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        let (filter, names, functions) = (filter.unwrap_or_default(), names.join("; "), functions.join(", "));
        bail!("no check has `{filter}` in its name; there are: {names}; or a procedure: {functions}");
    }
    // Leftovers of an earlier, killed run do not fail this one.
    context.stop()?;
    context.before = procs::of_folder(&procs::all(), &repo.local());
    let _ends: Vec<_> = context.places().map(cloud::Down::of).collect();

    let started = Instant::now();
    let lanes = Lanes {
        context: &context,
        selected: &selected,
        progress: Progress::parallel(repo.local().join("logs/test"), selected.len()),
        course: Mutex::new(CHECKS.iter().map(|check| (check, Stage::Waits)).collect()),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(|| lanes.run())).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    let outcomes = lanes.outcomes()?;
    let modules = context.modules.lock().map_err(poisoned)?;
    let (lines, right) = summary(&outcomes, &modules, started.elapsed());
    let times = repo.at("target/test/times.json");
    fs::create_dir_all(repo.at("target/test"))?;
    fs::write(&times, format!("{:#}\n", times_of(&outcomes, &modules)))?;
    for line in lines {
        println!("{line}");
    }
    Ok(right)
}

/// How many checks run at the same time. Most use one processor, or wait.
const LANES: usize = 2;

/// How many lines of a failed check's log the summary shows.
const SHOWN: usize = 8;

/// Where a check is.
enum Stage {
    Waits,
    Runs,
    Ended(Outcome, f64),
}

/// The checks under way.
struct Lanes<'a> {
    context: &'a Context<'a>,
    selected: &'a [&'static str],
    progress: Progress,
    course: Mutex<Vec<(&'static Check, Stage)>>,
    /// A check has ended.
    changed: Condvar,
}

/// What a lane does next.
enum Next {
    Run(&'static Check),
    Skip(&'static Check, String),
    Wait,
    End,
}

impl Lanes<'_> {
    /// Runs checks until none is left to start; ends early only if the user interrupts.
    fn run(&self) -> Result<()> {
        let mut course = self.course.lock().map_err(poisoned)?;
        loop {
            let (check, stage) = match next(&course, self.selected) {
                Next::End => return Ok(()),
                Next::Wait => {
                    course = self.changed.wait(course).map_err(poisoned)?;
                    continue;
                }
                Next::Skip(check, reason) => {
                    if self.selected.contains(&check.name) {
                        self.progress.skip(check.name, &reason);
                    }
                    (check, Stage::Ended(Outcome::NotRun(reason), 0.0))
                }
                Next::Run(check) => {
                    set(&mut course, check, Stage::Runs);
                    drop(course);
                    let started = Instant::now();
                    // After a panic the other lane would wait for this check forever.
                    let mut end = String::new();
                    let step = || {
                        self.progress.step(check.name, |log| {
                            let result = (check.run)(self.context, log);
                            if result.is_err() {
                                end = log.tail(SHOWN);
                            }
                            result
                        })
                    };
                    let result = catch_unwind(AssertUnwindSafe(step));
                    let result = result.unwrap_or_else(|_| Err(anyhow!("{} panicked", check.name)));
                    course = self.course.lock().map_err(poisoned)?;
                    let outcome = match result {
                        Ok(Verdict::Passed) => Outcome::Passed,
                        Ok(Verdict::NotRun(reason)) => Outcome::NotRun(reason),
                        Err(error) if error.is::<Interrupted>() => {
                            // The other lane must not wait for this check; its own next one is interrupted too.
                            let interrupted = Outcome::Failed(error.to_string());
                            set(&mut course, check, Stage::Ended(interrupted, 0.0));
                            self.changed.notify_all();
                            return Err(error);
                        }
                        Err(error) => Outcome::Failed(format!("{error:#}\n{end}")),
                    };
                    (check, Stage::Ended(outcome, started.elapsed().as_secs_f64()))
                }
            };
            set(&mut course, check, stage);
            self.changed.notify_all();
        }
    }

    /// The outcomes, in the order of [`CHECKS`].
    fn outcomes(self) -> Result<Vec<(&'static Check, Outcome, f64)>> {
        let course = self.course.into_inner().map_err(poisoned)?;
        let outcomes = course.into_iter().map(|(check, stage)| match stage {
            Stage::Ended(outcome, seconds) => Ok((check, outcome, seconds)),
            Stage::Waits | Stage::Runs => bail!("{} did not end", check.name),
        });
        outcomes.collect()
    }
}

fn set(course: &mut [(&'static Check, Stage)], check: &Check, stage: Stage) {
    if let Some((_, place)) = course.iter_mut().find(|(each, _)| each.name == check.name) {
        *place = stage;
    }
}

/// The first check that can start. One whose prerequisite did not pass is skipped.
fn next(course: &[(&'static Check, Stage)], selected: &[&str]) -> Next {
    let stage = |name: &str| course.iter().find(|(check, _)| check.name == name).map(|(_, stage)| stage);
    let running: Vec<&str> = course
        .iter()
        .filter(|(_, stage)| matches!(stage, Stage::Runs))
        .map(|(check, _)| check.name)
        .collect();
    let not_passed = |name: &&&str| matches!(stage(name), Some(Stage::Ended(outcome, _)) if !matches!(outcome, Outcome::Passed));
    let mut next = Next::End;
    for (check, _) in course.iter().filter(|(_, stage)| matches!(stage, Stage::Waits)) {
        if !selected.contains(&check.name) {
            return Next::Skip(check, "not asked for by --filter".to_owned());
        }
        if let Some(missing) = check.after.iter().find(not_passed) {
            return Next::Skip(check, format!("it needs: {missing}"));
        }
        next = Next::Wait;
        if running.iter().any(|name| ALONE.contains(name)) {
            return next;
        }
        if check.after.iter().all(|name| matches!(stage(name), Some(Stage::Ended(..)))) {
            // Later checks do not overtake one that waits to be alone.
            let must_wait = ALONE.contains(&check.name) && !running.is_empty();
            return if must_wait { next } else { Next::Run(check) };
        }
    }
    next
}

fn poisoned<T>(_: PoisonError<T>) -> anyhow::Error {
    anyhow!("a thread panicked")
}

/// The clouds of the end-to-end tests, or one for a single procedure.
fn test_clouds(repo: &Repo, procedure: Option<&str>) -> Vec<(String, Place, Vec<String>)> {
    let clouds = CLOUDS.iter().enumerate().map(|(index, (name, _))| (*name, arguments(index)));
    let clouds: Vec<_> = match procedure {
        Some(procedure) => {
            // Intake and sender are tested together.
            let is_pager = procedure.starts_with("incident-");
            let module =
                if is_pager { "incident_".to_owned() } else { format!("{}::", procedure.replace('-', "_")) };
            clouds.take(1).map(|(name, _)| (name, vec![module.clone()])).collect()
        }
        None => clouds.collect(),
    };
    clouds.into_iter().map(|(name, which)| (name.to_owned(), Place::new(repo, name), which)).collect()
}

/// The names of the checks that test one procedure.
fn of_one_procedure() -> Vec<&'static str> {
    let selected = select(Some(END_TO_END));
    CHECKS
        .iter()
        .map(|check| check.name)
        .filter(|name| [TESTS, ALERTMANAGER].contains(name) || selected.contains(name))
        .collect()
}

/// The names of the checks to run.
fn select(filter: Option<&str>) -> Vec<&'static str> {
    let wanted = |check: &&Check| filter.is_none_or(|filter| check.name.contains(filter));
    let mut selected: Vec<&str> = CHECKS.iter().filter(wanted).map(|check| check.name).collect();
    // A check needs only earlier checks.
    for check in CHECKS.iter().rev() {
        if selected.contains(&check.name) {
            selected.extend(check.after);
        }
    }
    CHECKS.iter().map(|check| check.name).filter(|name| selected.contains(name)).collect()
}

/// The lines of the summary, and whether all checks passed. A check that could not run does not fail the run; a failed
/// prerequisite counts itself.
fn summary(
    outcomes: &[(&Check, Outcome, f64)],
    modules: &BTreeMap<String, f64>,
    total: Duration,
) -> (Vec<String>, bool) {
    let mut lines = vec![String::new()];
    let mut modules: Vec<_> = modules.iter().collect();
    modules.sort_by(|one, other| other.1.total_cmp(one.1));
    lines.extend(modules.iter().map(|(module, seconds)| format!("{seconds:7.1} s  {module}, end to end")));
    for (check, outcome, seconds) in outcomes {
        lines.push(match outcome {
            Outcome::Passed => format!("passed:  {} ({seconds:.1} s)", check.name),
            Outcome::Failed(_) => format!("FAILED:  {} ({seconds:.1} s)", check.name),
            Outcome::NotRun(reason) => format!("NOT RUN: {}: {reason}", check.name),
        });
        // Of a long output, CI shows the end.
        if let Outcome::Failed(why) = outcome {
            lines.extend(
                why.lines().map(|line| format!("    | {}", line.chars().take(500).collect::<String>())),
            );
        }
    }
    let count =
        |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|(_, outcome, _)| wanted(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let passed = count(|outcome| matches!(outcome, Outcome::Passed));
    lines.push(format!("{passed} passed, {failed} failed, in {} s", total.as_secs()));
    (lines, failed == 0)
}

/// The times of a run: seconds by check, and by module of the end-to-end tests.
fn times_of(outcomes: &[(&Check, Outcome, f64)], modules: &BTreeMap<String, f64>) -> serde_json::Value {
    let checks: BTreeMap<_, _> = outcomes
        .iter()
        .filter(|(_, outcome, _)| !matches!(outcome, Outcome::NotRun(_)))
        .map(|(check, _, seconds)| (check.name, seconds))
        .collect();
    serde_json::json!({"checks": checks, "end_to_end": modules})
}

/// The advisories are in a repository on the internet, which may be unreachable from this machine.
fn advisories(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    let mut deny = context.deny(&["advisories"])?;
    let ended = run::finish(&mut deny, log, false, Some(Duration::from_secs(180)));
    if matches!(&ended, Ok(ended) if ended.status.success()) {
        return Ok(Verdict::Passed);
    }
    if let Some(reason) = unreachable_database(&log.tail(200)) {
        return Ok(Verdict::NotRun(format!("the advisory database could not be fetched: {reason}")));
    }
    match ended {
        Ok(ended) => bail!("cargo-deny ended with {}", ended.status),
        Err(error) => Err(error),
    }
}

/// The line of cargo-deny's output that reports a missing advisory database.
fn unreachable_database(output: &str) -> Option<String> {
    let start = output.find("failed to fetch advisory database")?;
    output.get(start..)?.lines().next().map(str::to_owned)
}

/// Builds with the tool that deploys to AWS, for the template's default processor, which often differs from the build
/// machine's: one function per day in turn, or all with `--full`, because most of the time compiles the SDK once more.
/// The dev profile compiles the same code in a third of the time.
fn sam_build(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    sam(context.repo, &["validate", "--lint"], log)?;
    if !has_target(TARGET)? {
        let mut add = run::command("rustup");
        add.args(["target", "add", TARGET]).current_dir(&context.repo.root);
        let added = run::finish(&mut add, log, false, Some(Duration::from_secs(180)));
        if !has_target(TARGET)? {
            let reason = match added {
                Ok(ended) => format!("rustup ended with {}", ended.status),
                Err(error) => format!("{error:#}"),
            };
            return Ok(Verdict::NotRun(format!("Rust's target {TARGET} could not be added: {reason}")));
        }
    }
    let functions = context.repo.functions()?;
    let day = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    let build = context.repo.local().join("sam-build");
    setup::remove(&build)?;
    for function in if context.full { &functions[..] } else { of_day(&functions, day) } {
        let id = logical_id(function);
        // As in docs/implantacao.md: samconfig.toml enables cargo-lambda, and arm64 is the template's default.
        let parameters = "file://docs/parametros.yaml";
        let folder = build.join(function);
        let into = folder.to_string_lossy();
        sam(context.repo, &["build", &id, "--parameter-overrides", parameters, "--build-dir", &into], log)?;
        let program = folder.join(&id).join("bootstrap");
        // ELF's field `e_machine`, where 183 is AArch64.
        let machine = fs::read(&program)?.get(18..20).map(<[u8]>::to_vec);
        ensure!(machine == Some(vec![183, 0]), "{} is for another processor", program.display());
    }
    Ok(Verdict::Passed)
}

/// The function whose turn it is on a day since 1970.
fn of_day(functions: &[String], day: u64) -> &[String] {
    let turn = usize::try_from(day).unwrap_or_default() % functions.len().max(1);
    functions.get(turn..=turn).unwrap_or_default()
}

/// The function's resource in the template.
fn logical_id(function: &str) -> String {
    let capitalised = function.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    capitalised.collect::<String>() + "Function"
}

fn sam(repo: &Repo, arguments: &[&str], log: &Log) -> Result<()> {
    let mut sam = setup::sam_cli(repo);
    sam.args(arguments).args(["--template-file", "template.yaml", "--region", "us-east-1"]);
    sam.env("SAM_BUILD_MODE", "debug").env("PATH", setup::path(repo)?);
    run::run(sam.current_dir(&repo.root), log)
}

/// Whether the toolchain has the standard library of a target.
fn has_target(target: &str) -> Result<bool> {
    let rustc = run::command("rustc").args(["--print", "sysroot"]).output()?;
    let sysroot = String::from_utf8(rustc.stdout)?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}

fn cli_2(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    Ok(match setup::cli_2(context.repo, log) {
        Ok(Some(_)) => Verdict::Passed,
        Ok(None) => Verdict::NotRun("its package has a program for Linux on x86-64 only".to_owned()),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => match missing_package(&log.tail(200)) {
            Some(reason) => Verdict::NotRun(format!("its package could not be had: {reason}")),
            None => return Err(error),
        },
    })
}

/// pip's line that reports a package missing from the index, or an unreachable index.
fn missing_package(output: &str) -> Option<String> {
    output.lines().find(|line| line.contains("No matching distribution found")).map(str::to_owned)
}

/// Checks the commands in messages and pages, with the given AWS CLI 2 or else with version 1.
fn commands(repo: &Repo, cli_2: Option<PathBuf>, log: &Log) -> Result<()> {
    let which = if cli_2.is_some() { "[2]" } else { "not [2]" };
    let mut pytest = run::command(repo.venv("python"));
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", which]);
    if let Some(program) = cli_2 {
        pytest.env("AWS_CLI_2", program);
    }
    run::run(pytest.current_dir(repo.at("tests/commands")), log)
}

fn python_tests(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    let mut pytest = context.venv("python");
    pytest.args(["-m", "pytest"]).current_dir(context.repo.at("tests/cloud"));
    pytest
        .env("LOCALCLOUD_POSTGRES", context.repo.local().join("postgres"))
        .env("PATH", setup::path(context.repo)?);
    passed(run::run(&mut pytest, log))
}

fn deployment(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    let mut clouds = Vec::new();
    for (name, place, _) in &context.test_clouds {
        // Not the usual port, which belongs to the cloud of `cargo xtask up`.
        let cloud = place.start(context.repo, Some(0), log)?;
        clouds.push((Aws::new(context.repo, &cloud), beside(log, name)?));
    }
    // One of them by SAM, the others by CloudFormation, as from Terraform.
    let ways = std::iter::once(deploy::WITH_SAM).chain(std::iter::repeat(deploy::PARTS));
    let deployed: Vec<_> = clouds.iter().zip(ways).map(|((aws, log), parts)| (aws, log, parts)).collect();
    let result = deploy::deploy_to(context.repo, &deployed);
    if result.is_err() {
        clouds.iter().try_for_each(|(_, beside)| log.line(&beside.tail(15)))?;
    }
    passed(result)
}

/// A log for one of several parallel parts of a check.
fn beside(log: &Log, name: &str) -> Result<Log> {
    Log::create(log.path.with_extension(format!("{name}.log")))
}

/// Start of the month's cloud clock: 2030-03-13T15:00:00Z. The test's table depends on it.
const MONTH_FROM: i64 = 1_899_644_400;

/// Start of the clock of an incident's life: the evening of 13 November 2030 in São Paulo, 2030-11-14T00:00:00Z. The test's
/// table depends on it.
const LIFE_FROM: i64 = 1_920_844_800;

fn month(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    on_own_clock(context, &context.month_cloud, MONTH_FROM, "month", log)
}

fn life(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    on_own_clock(context, &context.life_cloud, LIFE_FROM, "life", log)
}

/// Runs on a separate cloud, because the test moves its clock.
fn on_own_clock(
    context: &Context<'_>,
    place: &Place,
    start: i64,
    program: &str,
    log: &Log,
) -> Result<Verdict> {
    let cloud = place.start_at(context.repo, start, log)?;
    deploy::deploy(context.repo, &Aws::new(context.repo, &cloud), log)?;
    run::run(&mut on_clouds(context.repo, &[place], program, &[])?, log)?;
    place.stop()?;
    Ok(Verdict::Passed)
}

fn demonstration(context: &Context<'_>, log: &Log) -> Result<Verdict> {
    // With `--full` twice, each time on a fresh cloud: leftovers of the first run must not disturb the second.
    for _ in 0..if context.full { 2 } else { 1 } {
        let shown = demo::demo_for_test(context.repo, &context.demo_cloud, log);
        context.demo_cloud.stop()?;
        shown?;
    }
    Ok(Verdict::Passed)
}

fn nothing_left(context: &Context<'_>, _: &Log) -> Result<Verdict> {
    context.stop()?;
    let mut left = procs::of_folder(&procs::all(), &context.repo.local());
    left.retain(|process| !context.before.contains(process));
    if !left.is_empty() {
        let left: Vec<String> = left.iter().map(cloud::describe).collect();
        bail!("still running: {}", left.join("; "));
    }
    Ok(Verdict::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_needs_only_checks_before_it() {
        for (index, check) in CHECKS.iter().enumerate() {
            for name in check.after {
                assert!(CHECKS[..index].iter().any(|earlier| earlier.name == *name), "{}", check.name);
            }
        }
    }

    #[test]
    fn checks_run_beside_each_other_but_after_what_they_need_and_the_last_one_alone() {
        fn none(_: &Context<'_>, _: &Log) -> Result<Verdict> {
            Ok(Verdict::Passed)
        }
        static COURSE: [Check; 4] = [
            Check { name: "tools", after: &[], run: none },
            Check { name: "uses", after: &["tools"], run: none },
            Check { name: "free", after: &[], run: none },
            Check { name: NOTHING_LEFT, after: &[], run: none },
        ];
        let all: Vec<&str> = COURSE.iter().map(|check| check.name).collect();
        let after = |stages: [Stage; 4], selected: &[&str]| {
            let course: Vec<_> = COURSE.iter().zip(stages).collect();
            match next(&course, selected) {
                Next::Run(check) => format!("run {}", check.name),
                Next::Skip(check, reason) => format!("skip {}: {reason}", check.name),
                Next::Wait => "wait".to_owned(),
                Next::End => "end".to_owned(),
            }
        };
        let passed = || Stage::Ended(Outcome::Passed, 1.0);
        use Stage::{Runs, Waits};
        assert_eq!(after([Waits, Waits, Waits, Waits], &all), "run tools");
        assert_eq!(after([Runs, Waits, Waits, Waits], &all), "run free");
        assert_eq!(after([Runs, Waits, Runs, Waits], &all), "wait");
        assert_eq!(after([Runs, Waits, passed(), Waits], &all), "wait");
        assert_eq!(after([passed(), Waits, Runs, Waits], &all), "run uses");
        assert_eq!(after([passed(), Runs, passed(), Waits], &all), "wait");
        assert_eq!(after([passed(), passed(), passed(), Waits], &all), format!("run {NOTHING_LEFT}"));
        assert_eq!(after([passed(), passed(), passed(), Runs], &all), "end");
        let failed = Stage::Ended(Outcome::Failed("why".to_owned()), 1.0);
        assert_eq!(after([failed, Waits, Waits, Waits], &all), "skip uses: it needs: tools");
        let unasked = after([Waits, Waits, Waits, Waits], &["free"]);
        assert_eq!(unasked, "skip tools: not asked for by --filter");
    }

    #[test]
    fn a_filter_takes_what_is_needed_with_it() {
        let of_one = [PYTHON, POSTGRES, NODE_POSTGRES, ALERTMANAGER, SAM_CLI, TESTS, DEPLOYMENT, END_TO_END];
        assert_eq!(of_one_procedure(), of_one);
        assert_eq!(select(None).len(), CHECKS.len());
        let of_end_to_end = [PYTHON, POSTGRES, NODE_POSTGRES, SAM_CLI, DEPLOYMENT, END_TO_END];
        assert_eq!(select(Some("end-to-end")), of_end_to_end);
        assert!(select(Some("no such check")).is_empty());
    }

    #[test]
    fn each_test_runs_on_one_cloud() {
        // Same selection as the test program's.
        let is_of = |cloud: usize, name: &str| {
            let arguments = arguments(cloud);
            let skipped = arguments.windows(2).any(|pair| pair[0] == "--skip" && name.contains(&pair[1]));
            let count = arguments.iter().position(|one| *one == "--skip").unwrap_or(arguments.len());
            let named = count == 0 || arguments[..count].iter().any(|part| name.contains(part.as_str()));
            named && !skipped
        };
        for name in [
            "database::x",
            "matrix::x_of_rotate_database",
            "database::x_of_rotate_database",
            "policy::x",
            "evidence::x",
        ] {
            assert_eq!((0..CLOUDS.len()).filter(|cloud| is_of(*cloud, name)).count(), 1, "{name}");
        }
    }

    #[test]
    fn each_function_has_its_day() {
        let functions = ["rotate-random".to_owned(), "rotation-audit".to_owned()];
        let of_days: Vec<_> =
            (0..3).flat_map(|day| of_day(&functions, day)).map(|name| logical_id(name)).collect();
        assert_eq!(of_days, ["RotateRandomFunction", "RotationAuditFunction", "RotateRandomFunction"]);
        assert!(of_day(&[], 1).is_empty());
    }

    #[test]
    fn the_module_of_a_test_is_read_from_its_line() {
        assert_eq!(module("test policy::a_version ... ok"), Some("policy"));
        assert_eq!(module("test result: ok. 1 passed"), None);
        assert_eq!(module("running 3 tests"), None);
    }

    #[test]
    fn the_summary_counts_and_names_what_was_not_run() {
        let outcomes = [
            (&CHECKS[0], Outcome::Passed, 1.0),
            (&CHECKS[1], Outcome::Failed("it broke\nthe log's end".to_owned()), 2.0),
            (&CHECKS[2], Outcome::NotRun("why".to_owned()), 0.0),
        ];
        let modules = [("policy".to_owned(), 4.0)].into();
        let (lines, right) = summary(&outcomes, &modules, Duration::from_secs(3));
        assert!(!right);
        assert_eq!(lines.last().unwrap(), "1 passed, 1 failed, in 3 s");
        assert!(lines.contains(&"    4.0 s  policy, end to end".to_owned()), "{lines:?}");
        let times = times_of(&outcomes, &modules);
        assert_eq!(times["checks"], serde_json::json!({PYTHON: 1.0, POSTGRES: 2.0}));
        assert!(lines.contains(&"NOT RUN: cargo-deny: why".to_owned()), "{lines:?}");
        assert!(lines.contains(&"    | it broke".to_owned()), "{lines:?}");
        assert!(lines.contains(&"    | the log's end".to_owned()), "{lines:?}");
    }

    #[test]
    fn a_package_that_cannot_be_had_is_distinguished_from_one_that_was_changed() {
        let missing = "Looking in indexes\nERROR: No matching distribution found for x==1\n";
        let line = "ERROR: No matching distribution found for x==1";
        assert_eq!(missing_package(missing).as_deref(), Some(line));
        assert!(missing_package("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES").is_none());
    }

    #[test]
    fn a_database_out_of_reach_is_distinguished_from_a_finding() {
        let offline = "[ERROR] failed to fetch advisory database https://example.org/db\n\nCaused by: dns";
        let line = "failed to fetch advisory database https://example.org/db";
        assert_eq!(unreachable_database(offline).as_deref(), Some(line));
        assert!(unreachable_database("error[vulnerability]: bad crate").is_none());
    }
}
