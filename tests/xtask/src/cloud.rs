//! The local cloud as a process: started in its own session, found again through its state folder, and ended with all
//! of its child processes.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::procs::{self, Process};
use crate::repo::Repo;
use crate::run::{self, Log, Progress};
use crate::{http, setup};

/// Default port of `up`, if it is free.
const USUAL_PORT: u16 = 4566;

/// A place for one local cloud; the one of `up` is called `cloud`.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    local: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) log: PathBuf,
}

/// A running local cloud.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    pub(crate) endpoint: String,
    /// The state folder, removed when the cloud ends.
    pub(crate) folder: PathBuf,
    /// Everything in `cloud.json`.
    pub(crate) facts: Value,
}

impl Place {
    pub(crate) fn new(repo: &Repo, name: &str) -> Self {
        Self {
            local: repo.local(),
            state: repo.local().join(name),
            log: repo.local().join("logs").join(format!("{name}.log")),
        }
    }

    pub(crate) fn facts_file(&self) -> PathBuf {
        self.state.join("cloud.json")
    }

    /// The running cloud of this place.
    pub(crate) fn running(&self) -> Option<Cloud> {
        let cloud = self.read()?;
        (self.is_ours(&cloud) && cloud.is_healthy()).then_some(cloud)
    }

    /// Like [`Place::running`], but fails with a message if no cloud runs.
    pub(crate) fn expect_running(&self) -> Result<Cloud> {
        self.running().context("no local cloud is running; start it with `cargo xtask up`")
    }

    fn read(&self) -> Option<Cloud> {
        let facts: Value = serde_json::from_slice(&fs::read(self.facts_file()).ok()?).ok()?;
        let endpoint = facts.get("endpoint")?.as_str()?.to_owned();
        Some(Cloud { endpoint, folder: self.state.clone(), facts })
    }

    /// A process id alone may by now belong to another program.
    fn is_ours(&self, cloud: &Cloud) -> bool {
        let pid = cloud.facts.get("pid").and_then(Value::as_i64);
        let found = procs::all();
        let by_id = |process: &Process| Some(i64::from(process.pid)) == pid;
        found.is_empty() || found.iter().any(|process| by_id(process) && process.serves(&self.state))
    }

    fn processes(&self) -> Vec<Process> {
        procs::of_cloud(&procs::all(), &self.local, &self.state)
    }

    /// Ends this place's cloud with all its processes, healthy or not, and removes its state.
    /// Returns whether there was one.
    ///
    /// Ctrl-C does not interrupt it, because Ctrl-C asks for exactly this.
    pub(crate) fn stop(&self) -> Result<bool> {
        let mut processes = self.processes();
        let servers: Vec<Process> =
            processes.iter().filter(|process| process.serves(&self.state)).cloned().collect();
        let was_there = !processes.is_empty();
        signal(&servers, Signal::SIGTERM);
        wait_until_gone(&servers, Duration::from_secs(30));
        // The cloud's children normally end with it. End any that remain or have started meanwhile.
        processes.extend(self.processes());
        for (number, patience) in [(None, 5), (Some(Signal::SIGTERM), 5), (Some(Signal::SIGKILL), 5)] {
            let left = procs::still_alive(&processes);
            if left.is_empty() {
                break;
            }
            if let Some(number) = number {
                signal(&left, number);
            }
            wait_until_gone(&left, Duration::from_secs(patience));
        }
        let left = procs::still_alive(&processes);
        if !left.is_empty() {
            let left: Vec<String> = left.iter().map(describe).collect();
            bail!("these processes of the local cloud cannot be ended: {}", left.join("; "));
        }
        setup::remove(&self.state)?;
        Ok(was_there)
    }

    /// Starts a fresh cloud, and ends it if it does not become ready.
    pub(crate) fn start(&self, repo: &Repo, port: Option<u16>, log: &Log) -> Result<Cloud> {
        self.start_with(repo, port, None, log)
    }

    /// Starts a fresh cloud on any port, with its own clock, which begins at `start` (seconds since 1970).
    pub(crate) fn start_at(&self, repo: &Repo, start: i64, log: &Log) -> Result<Cloud> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let clock = (setup::clock(repo, log)?, start - i64::try_from(now.as_secs())?);
        self.start_with(repo, Some(0), Some(clock), log)
    }

    fn start_with(
        &self,
        repo: &Repo,
        port: Option<u16>,
        clock: Option<(PathBuf, i64)>,
        log: &Log,
    ) -> Result<Cloud> {
        self.stop()?;
        let started = self.start_fresh(repo, port, clock, log);
        if started.is_err() {
            let _ = self.stop();
        }
        started
    }

    /// `clock` is the library that moves a process's clock, and the offset in seconds.
    fn start_fresh(
        &self,
        repo: &Repo,
        port: Option<u16>,
        clock: Option<(PathBuf, i64)>,
        log: &Log,
    ) -> Result<Cloud> {
        let port = choose_port(port)?;
        fs::create_dir_all(&self.state)?;
        let output = Log::create(self.log.clone())?;
        log.line(&format!("port {port}, output in {}", output.path.display()))?;
        // Its own session protects it from Ctrl-C and from the end of the terminal.
        let own_session =
            "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])";
        let mut command = run::command(repo.venv("python"));
        command.args(["-c", own_session, "-m", "localcloud", "--state"]).arg(&self.state);
        command.args(["--port", &port.to_string(), "--postgres"]).arg(repo.local().join("postgres"));
        command.env("PYTHONPATH", repo.at("tests/cloud")).env("PATH", setup::path(repo)?);
        command.current_dir(repo.at("tests/cloud"));
        if let Some((library, seconds)) = clock {
            let ahead = self.state.join("clock");
            fs::write(&ahead, seconds.to_ne_bytes())?;
            command.env("LD_PRELOAD", library).env("CLOCK_FILE", ahead);
        }
        let file = fs::File::options().append(true).open(&self.log)?;
        let mut child = command.stdout(file.try_clone()?).stderr(file).stdin(Stdio::null()).spawn()?;
        let ready = run::wait_for("the local cloud to start", Duration::from_secs(90), || {
            if let Some(status) = child.try_wait()? {
                bail!("the local cloud ended with {status} while it was starting");
            }
            Ok(self.read().filter(Cloud::is_healthy))
        });
        // Reap the child if it ends before this program does.
        std::thread::spawn(move || child.wait());
        if ready.is_err() {
            log.line(&run::tail(&fs::read(&self.log).unwrap_or_default(), 50))?;
        }
        ready
    }
}

impl Cloud {
    fn is_healthy(&self) -> bool {
        let limit = Duration::from_secs(5);
        http::request(&self.endpoint, "GET", "/_ministack/health", &[], &[], limit)
            .is_ok_and(|answer| answer.status == 200)
    }

    /// A string in `cloud.json`.
    pub(crate) fn fact(&self, name: &str) -> Result<&str> {
        let fact = self.facts.get(name).and_then(Value::as_str);
        fact.with_context(|| format!("the local cloud has no `{name}` in its cloud.json"))
    }
}

/// Takes the cloud down on drop, also after an error or Ctrl-C.
pub(crate) struct Down(Option<Place>);

impl Down {
    pub(crate) fn of(place: &Place) -> Self {
        Self(Some(place.clone()))
    }

    /// Leaves the cloud running.
    pub(crate) fn keep(&mut self) {
        self.0 = None;
    }

    /// Takes the cloud down now.
    pub(crate) fn now(mut self) -> Result<()> {
        self.0.take().map_or(Ok(false), |place| place.stop()).map(drop)
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        if let Some(place) = self.0.take()
            && let Err(error) = place.stop()
        {
            eprintln!("error: {error:#}");
        }
    }
}

/// `cargo xtask down`.
pub(crate) fn down(repo: &Repo) -> Result<()> {
    let _lock = repo.lock()?;
    let progress = Progress::new(repo.local().join("logs/down"), 1, false);
    let found = progress.step("taking the local cloud down", |_| {
        let mut found = false;
        // A killed test run leaves its clouds behind.
        for name in PLACES {
            found |= Place::new(repo, name).stop()?;
        }
        Ok(found)
    })?;
    println!("{}", if found { "the local cloud is down" } else { "no local cloud was running" });
    Ok(())
}

/// The names of all [`Place`]s.
pub(crate) const PLACES: [&str; 7] =
    ["cloud", "test-cloud", "database-cloud", "month-cloud", "life-cloud", "demo-cloud", "bench-cloud"];

fn choose_port(asked: Option<u16>) -> Result<u16> {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|socket| socket.local_addr());
    match asked {
        Some(port) => match free(port) {
            Ok(address) => Ok(address.port()),
            Err(error) => Err(error)
                .with_context(|| format!("port {port} cannot be used; ask for another one with --port")),
        },
        None => Ok(free(USUAL_PORT).or_else(|_| free(0))?.port()),
    }
}

fn signal(processes: &[Process], number: Signal) {
    for process in procs::still_alive(processes) {
        let _ = kill(Pid::from_raw(process.pid), number);
    }
}

fn wait_until_gone(processes: &[Process], limit: Duration) {
    let end = Instant::now() + limit;
    while !procs::still_alive(processes).is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process as shown in a message.
pub(crate) fn describe(process: &Process) -> String {
    format!("{} ({})", process.pid, process.args.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_when_asked_for_and_avoided_when_not() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = choose_port(Some(port)).unwrap_err();
        assert!(error.to_string().contains("--port"), "{error}");
        assert_ne!(choose_port(None).unwrap(), port);
    }

    #[test]
    fn the_state_of_a_cloud_that_died_is_removed() {
        let folder = std::env::temp_dir().join(format!("xtask-place-{}", std::process::id()));
        let place = Place { local: folder.clone(), state: folder.join("cloud"), log: folder.join("log") };
        fs::create_dir_all(&place.state).unwrap();
        // This test's own process id: alive, but not a cloud.
        let facts = format!(r#"{{"pid": {}, "endpoint": "http://127.0.0.1:1"}}"#, std::process::id());
        fs::write(place.facts_file(), facts).unwrap();
        assert!(place.running().is_none());
        assert!(!place.stop().unwrap());
        assert!(!place.state.exists());
        setup::remove(&folder).unwrap();
    }
}
