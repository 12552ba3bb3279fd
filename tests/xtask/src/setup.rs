//! Installs the other commands' tools in `.local`: the Python environment, PostgreSQL, node-postgres, Alertmanager,
//! cargo-deny.
//!
//! A part is complete if its stamp file holds the digest of its inputs. The stamp is written last, so an interrupted
//! set-up starts again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::repo::{Repo, digest};
use crate::run::{self, Log};

const CARGO_DENY: &str = "0.20.2";

/// One part of the set-up.
pub(crate) type Part = fn(&Repo, &Log) -> Result<()>;

/// The tools of the local cloud and the deployment.
pub(crate) const PARTS: [(&str, Part); 2] =
    [("setting up the Python environment", python), ("setting up PostgreSQL", postgres)];

pub(crate) fn python(repo: &Repo, log: &Log) -> Result<()> {
    environment(repo, "venv", "requirements.txt", log)
}

/// The AWS SAM CLI, in a separate environment: its dependencies conflict with the local cloud's.
pub(crate) fn sam(repo: &Repo, log: &Log) -> Result<()> {
    environment(repo, "sam", "requirements-sam.txt", log)
}

/// The AWS SAM CLI, which tells AWS nothing about its use.
pub(crate) fn sam_cli(repo: &Repo) -> Command {
    let mut sam = run::command(repo.local().join("sam/bin/sam"));
    sam.env("SAM_CLI_TELEMETRY", "0");
    sam
}

/// The AWS CLI 2, beside version 1 in the Python environment. Returns its program, or `None` if the package has none
/// for this machine.
pub(crate) fn cli_2(repo: &Repo, log: &Log) -> Result<Option<PathBuf>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let source = repo.at("tests/commands");
    let read =
        |name| fs::read(source.join(name)).with_context(|| format!("cannot read tests/commands/{name}"));
    let requirements = source.join("requirements.txt");
    let into = repo.local().join("cli-2");
    let stamp = Stamp::new(&into, &[&read("requirements.txt")?, &read("unpack.py")?]);
    if !stamp.is_set() {
        remove(&into)?;
        let package = into.join("package");
        let mut pip = run::command(repo.venv("python"));
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]);
        pip.args(["--no-deps", "--require-hashes", "--target"]).arg(&package).arg("-r").arg(&requirements);
        run::run(&mut pip, log)
            .context("the AWS CLI 2 could not be installed; is the package index reachable?")?;
        let mut unpack = run::command(repo.venv("python"));
        run::run(unpack.arg(source.join("unpack.py")).arg(&package).arg(&into), log)?;
        remove(&package)?;
        stamp.set()?;
    }
    Ok(Some(into.join("dist/aws")))
}

/// A Python environment at `.local/<name>` with the packages of a lock file in `tests/cloud`.
fn environment(repo: &Repo, name: &str, lock: &str, log: &Log) -> Result<()> {
    let requirements = repo.at("tests/cloud").join(lock);
    let wanted =
        fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let venv = repo.local().join(name);
    let python = venv.join("bin/python");
    // The scripts of an environment contain its path, so a moved environment does not work.
    let stamp = Stamp::new(&venv, &[&wanted, venv.as_os_str().as_encoded_bytes()]);
    if stamp.is_set() && works(Command::new(&python).args(["-c", ""])) {
        return Ok(());
    }
    let base = find_python()?;
    remove(&venv)?;
    run::run(run::command(base).args(["-m", "venv"]).arg(&venv), log)?;
    let mut pip = run::command(python);
    // The lock file is complete; without --no-deps, pip requires the hashes of extras again.
    // Python compiles what it imports; compiling all packages takes half of the installation's time.
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]);
    pip.args(["--no-deps", "--require-hashes", "-r"]);
    run::run(pip.arg(&requirements), log)
        .context("the Python packages could not be installed; is the package index reachable?")?;
    stamp.set()
}

/// A Python that can create virtual environments.
fn find_python() -> Result<PathBuf> {
    let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
    let recent = |name: &&&str| {
        works(Command::new(name).args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]))
    };
    let Some(name) = names.iter().find(recent) else {
        bail!("no Python 3.10 or newer was found; install Python 3 and have `python3` in PATH");
    };
    if !works(Command::new(name).args(["-c", "import ensurepip, venv"])) {
        bail!(
            "`{name}` cannot make virtual environments; install its venv module (on Debian and Ubuntu the package python3-venv)"
        );
    }
    Ok(name.into())
}

pub(crate) fn postgres(repo: &Repo, log: &Log) -> Result<()> {
    let source = repo.at("tests/cloud/postgres");
    let into = repo.local().join("postgres");
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let manifest = read(source.join("package.json"))?;
    let locked = read(source.join("package-lock.json"))?;
    let installer = read(repo.at("tests/cloud/localcloud/postgres.py"))?;
    let stamp = Stamp::new(&into, &[&manifest, &locked, &installer, into.as_os_str().as_encoded_bytes()]);
    if stamp.is_set() {
        return Ok(());
    }
    remove(&into)?;
    let npm = repo.local().join("npm");
    npm_packages(&source, &npm, log)?;
    let mut install = localcloud(repo, "localcloud.postgres");
    install.args(["install", "--packages"]).arg(npm.join("node_modules")).arg("--into").arg(&into);
    run::run(&mut install, log)?;
    stamp.set()
}

/// The application's database driver, for the tests that read a secret as the application does.
pub(crate) fn readers(repo: &Repo, log: &Log) -> Result<()> {
    locked_packages(&repo.at("tests/readers"), &repo.local().join("readers"), log)
}

/// A browser that needs no root, for the tests of the governance page.
///
/// # Errors
///
/// The packages cannot be reached, or the browser does not start on this system.
pub(crate) fn browser(repo: &Repo, log: &Log) -> Result<()> {
    let (source, into) = (repo.at("tests/browser"), browser_folder(repo));
    locked_packages(&source, &into, log)?;
    // Without a page, it only starts and ends the browser.
    let mut probe = run::command("node");
    probe
        .arg(source.join("page.mjs"))
        .arg(into.join("node_modules"))
        .arg(into.join("shots"))
        .env("TMPDIR", &into);
    run::run(&mut probe, log)
}

/// Where the browser and its packages are.
pub(crate) fn browser_folder(repo: &Repo) -> PathBuf {
    repo.local().join("browser")
}

/// The npm packages of a folder's lock file, unless they are there.
fn locked_packages(source: &Path, into: &Path, log: &Log) -> Result<()> {
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let manifest = read(source.join("package.json"))?;
    let locked = read(source.join("package-lock.json"))?;
    let stamp = Stamp::new(into, &[&manifest, &locked]);
    if stamp.is_set() {
        return Ok(());
    }
    remove(into)?;
    npm_packages(source, into, log)?;
    stamp.set()
}

/// Debian's Alertmanager, whose notifications the tests send to the pager.
///
/// # Errors
///
/// Not on Debian, or its archive cannot be reached.
pub(crate) fn alertmanager(repo: &Repo, log: &Log) -> Result<()> {
    let program = alertmanager_program(repo);
    if works(Command::new(&program).arg("--version")) {
        return Ok(());
    }
    debian(&["prometheus-alertmanager"], &repo.local().join("alertmanager"), log)?;
    // It looks for its templates in /usr/share, where they are only if the package is installed. A path of the same
    // length makes it look below its working directory.
    let mut code = fs::read(&program)?;
    let (installed, here) = (b"/usr/share/prometheus/alertmanager", b"usr/share/prometheus//alertmanager");
    while let Some(place) = code.windows(installed.len()).position(|part| part == installed) {
        if let Some(path) = code.get_mut(place..place + here.len()) {
            path.copy_from_slice(here);
        }
    }
    fs::write(&program, code)?;
    if !works(Command::new(&program).arg("--version")) {
        bail!("Debian's Alertmanager does not run on this machine");
    }
    Ok(())
}

/// PostgreSQL 15's `pg_dump` and `psql`, which the servers' packages lack: the installed ones, or Debian's.
pub(crate) struct PostgresClients {
    programs: PathBuf,
    /// The folder of Debian's libpq; empty for installed programs.
    libraries: PathBuf,
}

impl PostgresClients {
    /// # Errors
    ///
    /// Neither installed nor on Debian 12, or its archive cannot be reached.
    pub(crate) fn find(repo: &Repo, log: &Log) -> Result<Self> {
        let unpacked = repo.local().join("postgres-clients");
        let libraries = unpacked.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
        let of_debian = Self { programs: unpacked.join("usr/lib/postgresql/15/bin"), libraries };
        let installed =
            Self { programs: PathBuf::from("/usr/lib/postgresql/15/bin"), libraries: PathBuf::new() };
        if installed.work() {
            return Ok(installed);
        }
        if !of_debian.work() {
            debian(&["libpq5", "postgresql-client-15"], &unpacked, log)?;
        }
        if !of_debian.work() {
            bail!(
                "Debian's pg_dump does not run on this machine; install PostgreSQL's clients in version 15"
            );
        }
        Ok(of_debian)
    }

    /// One of the programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = run::command(self.programs.join(program));
        if !self.libraries.as_os_str().is_empty() {
            command.env("LD_LIBRARY_PATH", &self.libraries);
        }
        command
    }

    fn work(&self) -> bool {
        ["pg_dump", "psql"].iter().all(|program| works(self.command(program).arg("--version")))
    }
}

/// Debian's packages, unpacked into an empty folder.
fn debian(packages: &[&str], into: &Path, log: &Log) -> Result<()> {
    remove(into)?;
    fs::create_dir_all(into)?;
    // apt verifies the packages by the archive's signature.
    let mut download = run::command("apt-get");
    download.arg("download").args(packages).current_dir(into);
    if run::run(&mut download, log).is_err() {
        // A fresh image has no lists of packages.
        run::run(run::command("apt-get").arg("update"), log)?;
        run::run(&mut download, log)?;
    }
    for file in fs::read_dir(into)? {
        let file = file?.path();
        if file.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let mut extract = run::command("dpkg-deb");
        run::run(extract.arg("--extract").arg(&file).arg(into), log)?;
        fs::remove_file(file)?;
    }
    Ok(())
}

/// Where [`alertmanager`] puts its program.
pub(crate) fn alertmanager_program(repo: &Repo) -> PathBuf {
    repo.local().join("alertmanager/usr/bin/prometheus-alertmanager")
}

/// The npm packages of the lock file in `source`, in `<into>/node_modules`.
fn npm_packages(source: &Path, into: &Path, log: &Log) -> Result<()> {
    if !works(Command::new("node").arg("--version")) || !works(Command::new("npm").arg("--version")) {
        bail!(
            "`node` and `npm` are needed and were not found; install Node.js 18 or newer with npm and have both in PATH"
        );
    }
    fs::create_dir_all(into)?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(source.join(name), into.join(name))?;
    }
    let mut install = run::command("npm");
    install.args(["ci", "--no-audit", "--no-fund"]).current_dir(into);
    run::run(&mut install, log).with_context(|| {
        format!("the packages of {} could not be installed; is the npm registry reachable?", source.display())
    })
}

/// A command that runs a Python module of the local cloud.
pub(crate) fn localcloud(repo: &Repo, module: &str) -> Command {
    let mut command = run::command(repo.venv("python"));
    command
        .args(["-m", module])
        .env("PYTHONPATH", repo.at("tests/cloud"))
        .current_dir(repo.at("tests/cloud"));
    command
}

/// cargo-deny, in the version that the checks expect. Built without optimisation if missing: it runs for seconds, and
/// an optimised build takes minutes.
pub(crate) fn cargo_deny(repo: &Repo, log: &Log) -> Result<PathBuf> {
    let program = repo.local().join("bin/cargo-deny");
    let version = Command::new(&program).arg("--version").stderr(Stdio::null()).output();
    if version
        .is_ok_and(|version| version.stdout.trim_ascii() == format!("cargo-deny {CARGO_DENY}").as_bytes())
    {
        return Ok(program);
    }
    let mut install = run::cargo();
    install
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .args(["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug", "--force", "--root"])
        .arg(repo.local());
    run::run(&mut install, log)?;
    Ok(program)
}

/// The library that gives a local cloud its own clock, built with the C compiler that Rust uses for linking.
pub(crate) fn clock(repo: &Repo, log: &Log) -> Result<PathBuf> {
    let source = repo.at("tests/cloud/clock.c");
    let read = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let into = repo.local().join("clock");
    let library = into.join("clock.so");
    let stamp = Stamp::new(&into, &[&read]);
    if !stamp.is_set() {
        fs::create_dir_all(&into)?;
        let mut compiler = run::command("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"]).arg(&library);
        run::run(compiler.arg(&source).arg("-ldl"), log)
            .context("clock.c could not be compiled; it needs Linux and a C compiler called `cc`")?;
        stamp.set()?;
    }
    Ok(library)
}

/// PATH with the Python environment's programs first.
pub(crate) fn path(repo: &Repo) -> Result<std::ffi::OsString> {
    let old = run::env("PATH").unwrap_or_default();
    let folders = [repo.local().join("venv/bin"), repo.local().join("bin")];
    Ok(std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&old)))?)
}

fn works(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Removes a folder if it exists.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Records a folder's inputs.
struct Stamp {
    path: PathBuf,
    digest: String,
}

impl Stamp {
    fn new(folder: &Path, sources: &[&[u8]]) -> Self {
        Self { path: folder.join(".made-from"), digest: digest(sources) }
    }

    fn is_set(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found == self.digest)
    }

    fn set(&self) -> Result<()> {
        fs::write(&self.path, &self.digest).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_for_the_same_sources_only() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let stamp = Stamp::new(&folder, &[b"one"]);
        assert!(!stamp.is_set());
        stamp.set().unwrap();
        assert!(Stamp::new(&folder, &[b"one"]).is_set());
        assert!(!Stamp::new(&folder, &[b"two"]).is_set());
        // A stamp truncated by a full disk or a kill does not count.
        fs::write(folder.join(".made-from"), "").unwrap();
        assert!(!stamp.is_set());
        remove(&folder).unwrap();
        remove(&folder).unwrap();
    }
}
