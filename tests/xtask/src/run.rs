//! Child processes: each in its own process group, with its output in a log file, ended on Ctrl-C or at its time limit.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::procs;

static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Ctrl-C, or another request to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From now on, passes SIGINT, SIGTERM and SIGHUP to the children and ends the next wait with [`Interrupted`].
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| {
        // The first signal lets the children clean up; the third kills them.
        let signal = match INTERRUPTS.fetch_add(1, Ordering::SeqCst) {
            0 => Signal::SIGINT,
            1 => Signal::SIGTERM,
            _ => Signal::SIGKILL,
        };
        signal_groups(signal);
    })
    .context("cannot catch Ctrl-C")
}

fn signal_groups(signal: Signal) {
    if let Ok(groups) = GROUPS.lock() {
        for group in groups.iter() {
            let _ = killpg(Pid::from_raw(*group), signal);
        }
    }
}

/// Fails after the user has asked to end.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTS.load(Ordering::SeqCst) > 0 { Err(Interrupted.into()) } else { Ok(()) }
}

/// Sleeps, unless the user has asked to end.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Polls until `condition` returns a value; fails with `what` after the time limit.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("gave up after {} s waiting for {what}", limit.as_secs());
        }
        pause(Duration::from_millis(100))?;
    }
}

/// An environment variable of this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the ban is for functions, whose settings are parsed once at cold start"
)]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A command with its standard input closed and without variables that lead to a real AWS account.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // Cargo sets variables for its children. A nested cargo would rebuild the crates that watch them.
        let of_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if name.starts_with("AWS_") || of_cargo.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    // The local cloud listens on the loopback address, which a proxy cannot reach.
    for name in ["NO_PROXY", "no_proxy"] {
        let others = env(name).map(|others| format!("{others},")).unwrap_or_default();
        command.env(name, format!("{others}127.0.0.1,localhost"));
    }
    command
}

/// Cargo of the toolchain that runs this program.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(env("CARGO").unwrap_or_else(|| "cargo".into()));
    // A failed step shows the end of its log, where a backtrace would push out the test's message.
    cargo.env("RUST_BACKTRACE", "0");
    if std::io::stderr().is_terminal() {
        // Progress::step reads the bar from the log.
        cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "100")]);
    }
    cargo
}

/// [`cargo`] with Clippy as the compiler of the workspace's own crates: it lints what it compiles, so that lints and
/// binaries come from one compilation.
pub(crate) fn clippy() -> Command {
    let mut cargo = cargo();
    let driver = Path::new(cargo.get_program()).with_file_name("clippy-driver");
    cargo.env("RUSTC_WORKSPACE_WRAPPER", driver);
    cargo
}

/// The log file of one step.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
}

impl Log {
    /// Starts an empty log.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    fn append(&self) -> Result<File> {
        Ok(File::options().append(true).create(true).open(&self.path)?)
    }

    pub(crate) fn line(&self, text: &str) -> Result<()> {
        writeln!(self.append()?, "{text}")?;
        Ok(())
    }

    /// The last lines.
    pub(crate) fn tail(&self, lines: usize) -> String {
        tail(&fs::read(&self.path).unwrap_or_default(), lines)
    }
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(text);
    // A program overwrites its progress line with carriage returns: keep the last state.
    let last = |line: &'_ str| line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
    let all: Vec<String> = text.trim_end().lines().map(last).collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// The exit of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
}

/// Runs a command to its end with all output in the log; a non-zero exit code is an error.
pub(crate) fn run(command: &mut Command, log: &Log) -> Result<()> {
    let ended = finish(command, log, false, None)?;
    succeeded(command, &ended)
}

/// Like [`run`], but returns the standard output instead of logging it.
pub(crate) fn output(command: &mut Command, log: &Log) -> Result<Vec<u8>> {
    let ended = finish(command, log, true, None)?;
    succeeded(command, &ended)?;
    Ok(ended.stdout)
}

fn succeeded(command: &Command, ended: &Ended) -> Result<()> {
    if !ended.status.success() {
        bail!("`{}` ended with {}", shown(command), ended.status);
    }
    Ok(())
}

/// Program and arguments as one line.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Like [`run`]; calls `see` with each line of the standard output as it arrives.
pub(crate) fn watch(command: &mut Command, log: &Log, mut see: impl FnMut(&str) + Send) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let mut copy = log.append()?;
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let _ = writeln!(copy, "{line}");
                see(&line);
            }
        });
        let ended = attend(command, log, writer.into(), None);
        // The command holds a copy of the pipe's end. Drop it, or the thread never sees the end of the output.
        command.stdout(Stdio::null());
        ended
    })?;
    succeeded(command, &ended)
}

/// Runs a command to its end with any exit code; without a `limit`, for as long as it takes.
pub(crate) fn finish(
    command: &mut Command,
    log: &Log,
    capture: bool,
    limit: Option<Duration>,
) -> Result<Ended> {
    let stdout = if capture { Stdio::piped() } else { log.append()?.into() };
    attend(command, log, stdout, limit)
}

fn attend(command: &mut Command, log: &Log, stdout: Stdio, limit: Option<Duration>) -> Result<Ended> {
    check()?;
    log.line(&format!("$ {}", shown(command)))?;
    command.stdout(stdout);
    command.stderr(log.append()?);
    // With its own process group, a signal reaches the child's children too, and exactly once.
    command.process_group(0);
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("`{}` cannot be started", command.get_program().to_string_lossy()))?;
    let group = Group::of(&child)?;
    let reader = child.stdout.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = pipe.read_to_end(&mut all);
            all
        })
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            group.end();
            let _ = child.wait();
            bail!("`{}` was ended after {} s", shown(command), started.elapsed().as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
        if check().is_err() {
            group.end_interrupted(&mut child);
            return Err(Interrupted.into());
        }
    };
    // The child ended by itself during an interrupt; its own children may still run.
    if check().is_err() {
        group.end_interrupted(&mut child);
        return Err(Interrupted.into());
    }
    let stdout = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    Ok(Ended { status, stdout })
}

/// The process group of a running child, registered so that it receives this program's signals.
struct Group(i32);

impl Group {
    fn of(child: &Child) -> Result<Self> {
        let id = i32::try_from(child.id())?;
        if let Ok(mut groups) = GROUPS.lock() {
            groups.insert(id);
        }
        // An interrupt between the last check and the registration missed this child.
        if check().is_err() {
            let _ = killpg(Pid::from_raw(id), Signal::SIGINT);
        }
        Ok(Self(id))
    }

    /// Waits for a group to end after the user's signal; kills it after 15 s.
    fn end_interrupted(&self, child: &mut Child) {
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            let _ = child.try_wait();
            if procs::in_group(self.0).is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = killpg(Pid::from_raw(self.0), Signal::SIGKILL);
        let _ = child.wait();
    }

    fn end(&self) {
        let group = Pid::from_raw(self.0);
        let _ = killpg(group, Signal::SIGTERM);
        std::thread::sleep(Duration::from_secs(1));
        let _ = killpg(group, Signal::SIGKILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(mut groups) = GROUPS.lock() {
            groups.remove(&self.0);
        }
    }
}

/// The numbered steps of one `cargo xtask` command, on standard error, so that standard output holds results only.
pub(crate) struct Progress {
    logs: PathBuf,
    total: usize,
    done: AtomicUsize,
    quiet: bool,
    /// Steps may run at the same time: each line then names its step.
    parallel: bool,
}

impl Progress {
    pub(crate) fn new(logs: PathBuf, total: usize, quiet: bool) -> Self {
        Self { logs, total, done: AtomicUsize::new(0), quiet, parallel: false }
    }

    /// For steps that run at the same time.
    pub(crate) fn parallel(logs: PathBuf, total: usize) -> Self {
        Self { parallel: true, ..Self::new(logs, total, false) }
    }

    fn next(&self) -> usize {
        self.done.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Runs one step and shows the end of its log if it fails.
    pub(crate) fn step<T>(&self, name: &str, work: impl FnOnce(&Log) -> Result<T>) -> Result<T> {
        check()?;
        let number = self.next();
        let log = Log::create(self.logs.join(format!("{number:02}-{}.log", slug(name))))?;
        let title = format!("[{number}/{}] {name}", self.total);
        self.say(&if self.parallel { format!("{title}…\n") } else { format!("{title}…") });
        let started = Instant::now();
        let result = self.showing_crates(&title, &log, || work(&log));
        let seconds = started.elapsed().as_secs_f64();
        let end = |outcome: &str| match self.parallel {
            true => self.say(&format!("{title}: {outcome}\n")),
            false => self.say(&format!(" {outcome}\n")),
        };
        match &result {
            Ok(_) => end(&format!("{seconds:.1} s")),
            Err(error) if error.is::<Interrupted>() => end("interrupted"),
            Err(error) => {
                let tail = log.tail(60);
                let tail = tail.lines().map(|line| format!("    | {line}\n")).collect::<String>();
                let place = format!("    the end of {}:\n{tail}", log.path.display());
                let shown = if tail.is_empty() { "" } else { &place };
                if !self.parallel {
                    self.say("\n");
                }
                // In one call, so that the lines of another step do not come between. Failures are shown even if quiet.
                eprint!("{name}: FAILED after {seconds:.1} s: {error:#}\n{shown}");
            }
        }
        result
    }

    /// Does the work and, on a terminal, shows the number of crates that cargo has built.
    fn showing_crates<T>(&self, title: &str, log: &Log, work: impl FnOnce() -> T) -> T {
        if self.quiet || !std::io::stderr().is_terminal() {
            return work();
        }
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut shown = None;
                while !has_ended.load(Ordering::SeqCst) {
                    let built = crates(&log.tail(1));
                    if let Some((done, all)) = built.filter(|_| built != shown) {
                        // Another step may have ended the line: begin it anew.
                        self.say(&format!("\r{title}… crate {done} of {all}"));
                        shown = built;
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                if self.parallel && shown.is_some() {
                    self.say("\n");
                }
            });
            let result = work();
            has_ended.store(true, Ordering::SeqCst);
            result
        })
    }

    /// Counts a skipped step.
    pub(crate) fn skip(&self, name: &str, reason: &str) {
        self.say(&format!("[{}/{}] {name}: NOT RUN: {reason}\n", self.next(), self.total));
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            eprint!("{text}");
            let _ = std::io::stderr().flush();
        }
    }
}

/// Crates built and total crates, from cargo's progress bar: `Building [==>  ] 12/345: serde`.
fn crates(line: &str) -> Option<(u32, u32)> {
    let counts = line.trim_start().strip_prefix("Building [")?.split_once("] ")?.1;
    let (done, all) = counts.split(':').next()?.split_once('/')?;
    Some((done.trim().parse().ok()?, all.trim().parse().ok()?))
}

/// A step's name as a file name.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("xtask-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        Log::create(std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn a_slug_is_a_file_name() {
        assert_eq!(slug("cargo deny: bans, licenses"), "cargo-deny-bans-licenses");
        assert_eq!(slug("(Python) 3"), "python-3");
    }

    #[test]
    fn cargos_progress_is_counted_in_crates() {
        let bar = "    Building [========>          ] 120/451: aws-sdk-s3, tokio";
        assert_eq!(crates(bar), Some((120, 451)));
        assert_eq!(crates("   Compiling serde v1.0.0"), None);
    }

    #[test]
    fn a_tail_has_the_last_lines() {
        assert_eq!(tail(b"a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail(b"a\n", 5), "a");
        assert_eq!(tail(b"1%\r50%\r100%\ndone\n", 2), "100%\ndone");
        assert_eq!(tail(b"", 5), "");
    }

    #[test]
    fn a_failing_command_names_itself_and_leaves_its_output_in_the_log() {
        let log = log();
        let error = run(command("sh").args(["-c", "echo out; echo err >&2; exit 3"]), &log).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        let text = fs::read_to_string(&log.path).unwrap();
        assert!(text.contains("\nout\n") && text.contains("\nerr\n"), "{text}");
        fs::remove_file(&log.path).unwrap();
    }

    #[test]
    fn standard_output_is_given_back() {
        let log = log();
        assert_eq!(output(command("sh").args(["-c", "echo out"]), &log).unwrap(), b"out\n");
        fs::remove_file(&log.path).unwrap();
    }

    #[test]
    fn the_lines_of_a_command_are_seen_and_logged() {
        let log = log();
        let mut lines = Vec::new();
        let mut printing = command("sh");
        watch(printing.args(["-c", "echo one; echo two; exit 1"]), &log, |line| lines.push(line.to_owned()))
            .unwrap_err();
        assert_eq!(lines, ["one", "two"]);
        assert!(fs::read_to_string(&log.path).unwrap().contains("\none\ntwo\n"));
        fs::remove_file(&log.path).unwrap();
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_what_it_started() {
        let log = log();
        let mut slow = command("sh");
        slow.args(["-c", "sleep 77.3 & sleep 77.3"]);
        let error = finish(&mut slow, &log, false, Some(Duration::from_millis(200))).unwrap_err();
        assert!(error.to_string().contains("was ended after"), "{error}");
        assert!(!procs::all().iter().any(|process| process.args == ["sleep", "77.3"]));
        fs::remove_file(&log.path).unwrap();
    }
}
