//! `cargo xtask bench restore-proof`: the proof of a database with millions of rows, beside two floors in the same run:
//! `COPY … TO STDOUT` of all its tables on one connection, and `pg_dump` to nothing.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Spread;
use crate::repo::Repo;
use crate::run::{self, Log, Progress};
use crate::setup::{self, PostgresClients};

/// Number of steps in [`measure`], with the default sizes.
pub(super) const STEPS: usize = 2 + 2 * SIZES.len();

/// Rows over the tables that [`ROWS_OF`] fills.
const SIZES: [u64; 2] = [1_000_000, 10_000_000];

/// Environment variable with another number of rows, for a quick look.
const ROWS: &str = "PROOF_ROWS";

/// Measurements of each. The first `COPY` also fills the caches.
const RUNS: usize = 3;

/// The user of the server if this program runs as root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

const DATABASE: &str = "bench";

/// Fills the critical tables with `:rows` rows, next to those of `application.sql`: 30 % enrollments, 20 % beneficiaries,
/// audit rows and digests each, 10 % attachments. Foreign keys are made right and not checked while loading.
const ROWS_OF: &str = "
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO beneficiaries (id, code, full_name, birth_date, cpf, phone, neighborhood, city, state, family_income)
  SELECT md5('bench beneficiary ' || n)::uuid, 'X' || n, 'Beneficiária ' || md5(n::text), date '1950-01-01' + (n % 24000)::int,
    lpad(n::text, 11, '0'), '+55 11 9' || n, 'Bairro ' || n % 90, 'São Paulo', 'SP', n % 4000
  FROM generate_series(1, :rows * 2 / 10) n;
INSERT INTO enrollments (id, beneficiary_id, cohort_id, status, enrolled_at, agreement_acceptance)
  SELECT md5('bench enrollment ' || n)::uuid, md5('bench beneficiary ' || 1 + n % (:rows * 2 / 10))::uuid,
    md5('cohort ' || 1 + n % 8)::uuid, 'ended', date '2026-02-01' + (n % 90)::int, '{\"codigo\": \"imagem\"}'
  FROM generate_series(1, :rows * 3 / 10) n;
INSERT INTO audit_logs (user_id, entity, entity_id, action, after_data)
  SELECT md5('user ' || 1 + n % 12)::uuid, 'beneficiary', md5(n::text), 'update',
    jsonb_build_object('full_name', 'Beneficiária ' || md5(n::text))
  FROM generate_series(1, :rows * 2 / 10) n ORDER BY n;
INSERT INTO audit_log_digests (log_id, digest, previous_digest)
  SELECT id, encode(sha256(convert_to('digest ' || id, 'UTF8')), 'hex'),
    encode(sha256(convert_to('digest ' || id - 1, 'UTF8')), 'hex')
  FROM audit_logs WHERE id > 20;
INSERT INTO attachments (owner_type, owner_id, file_path, file_name, mime_type, size_bytes, checksum, uploaded_by)
  SELECT 'beneficiary', md5('bench beneficiary ' || 1 + n % (:rows * 2 / 10))::uuid, 's3://bench/' || md5(n::text),
    n || '.pdf', 'application/pdf', n, encode(sha256(convert_to(n::text, 'UTF8')), 'hex'), md5('user ' || 1 + n % 12)::uuid
  FROM generate_series(1, :rows / 10) n;
CHECKPOINT;
";

/// `COPY` commands of all tables with rows, one a line.
const COPIES: &str = "
SELECT format('COPY %s TO STDOUT;', oid::regclass) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1";

/// Measures the proof of a database of each size.
pub(super) fn measure(repo: &Repo, progress: &Progress) -> Result<Value> {
    let server = progress.step("starting PostgreSQL 15", |log| {
        setup::python(repo, log)?;
        setup::postgres(repo, log)?;
        Server::start(repo, log)
    })?;
    progress.step("building the proof", |log| {
        let mut cargo = run::cargo();
        cargo.args(["build", "--release", "--locked", "--package", "proof", "--example", "prove"]);
        run::run(cargo.current_dir(&repo.root), log)
    })?;
    let sizes = match run::env(ROWS) {
        Some(rows) => vec![rows.parse().with_context(|| format!("{ROWS} is {rows}"))?],
        None => SIZES.to_vec(),
    };
    let mut result = json!({});
    for size in sizes {
        let mebibytes = progress.step(&format!("making {size} rows"), |log| server.fill(repo, size, log))?;
        let figures = progress.step(&format!("reading {size} rows"), |log| figures(repo, &server, log))?;
        if let Some(result) = result.as_object_mut() {
            result.insert(format!("{size} rows, {mebibytes} MiB"), figures);
        }
    }
    Ok(result)
}

/// The proof beside its floors, with the wall time's median and how many times that of `COPY` it is.
fn figures(repo: &Repo, server: &Server, log: &Log) -> Result<Value> {
    let copies = server.folder.join("copies.sql");
    fs::write(&copies, run::output(server.psql(DATABASE).args(["-At", "-c", COPIES]), log)?)?;
    let prove = || {
        let mut prove = run::command(repo.at("target/release/examples/prove"));
        prove.arg(server.url());
        prove
    };
    let commands: [(&str, &dyn Fn() -> Command); 3] = [
        ("COPY … TO STDOUT, one connection", &|| {
            let mut copy = server.psql(DATABASE);
            copy.arg("-f").arg(&copies);
            copy
        }),
        ("pg_dump to nothing", &|| {
            let mut dump = server.clients.command("pg_dump");
            dump.arg("--dbname").arg(server.url());
            dump
        }),
        ("the whole proof", &prove),
    ];
    let (mut walls, mut peaks) = (vec![Vec::new(); commands.len()], vec![0_f64; commands.len()]);
    for _ in 0..RUNS {
        for (((_, command), walls), peak) in commands.iter().zip(&mut walls).zip(&mut peaks) {
            let measured = Measured::of(&mut command(), log)?;
            walls.push(measured.wall);
            *peak = peak.max(measured.peak);
        }
    }
    let walls = walls.into_iter().map(Spread::of).collect::<Result<Vec<_>>>()?;
    let floor = walls.first().context("nothing was measured")?.median;
    let mut result = serde_json::Map::new();
    for (((name, _), wall), peak) in commands.iter().zip(&walls).zip(&peaks) {
        let times = (wall.median / floor * 100.0).round() / 100.0;
        let figures = json!({
            "wall_s": wall.median, "wall_min_s": wall.min, "wall_max_s": wall.max, "times_copy": times,
            "peak_rss_mib": peak,
        });
        result.insert((*name).to_owned(), figures);
    }
    let parts: Value = serde_json::from_slice(&run::output(&mut prove(), log)?)?;
    log.line(&format!("{parts:#}"))?;
    Ok(Value::Object(result))
}

/// One run of a command, its output thrown away.
struct Measured {
    /// In seconds.
    wall: f64,
    /// In MiB.
    peak: f64,
}

impl Measured {
    fn of(command: &mut Command, log: &Log) -> Result<Self> {
        log.line(&format!("$ {}", run::shown(command)))?;
        command.stdout(Stdio::null()).stderr(fs::File::options().append(true).open(&log.path)?);
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| run::shown(command))?;
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0_f64;
        let ended = loop {
            // An ended process has no such line any more.
            peak = fs::read_to_string(&status).ok().and_then(|status| high_water(&status)).unwrap_or(peak);
            if let Some(ended) = child.try_wait()? {
                break ended;
            }
            if let Err(interrupted) = run::check() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(interrupted);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let wall = began.elapsed().as_secs_f64();
        if !ended.success() {
            bail!("`{}` ended with {ended}", run::shown(command));
        }
        Ok(Self { wall, peak: (peak * 10.0).round() / 10.0 })
    }
}

/// The highest resident memory in a process's status, in MiB.
fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
}

/// A PostgreSQL server of its own, with the defaults that bear on reading.
struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<u32>,
    port: u16,
    clients: PostgresClients,
}

impl Server {
    fn start(repo: &Repo, log: &Log) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("bench-proof-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let user = (fs::metadata(&folder)?.uid() == 0).then_some(NOBODY);
        chown(&folder, user, user)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let programs = folder.join("programs");
        let clients = PostgresClients::find(repo, log)?;
        let server = Self { folder, programs, user, port, clients };
        // The user may have no right to the repository's folder.
        let mut copy = run::command("cp");
        run::run(copy.arg("-R").arg(repo.local().join("postgres/15")).arg(&server.programs), log)?;
        let mut initdb = server.as_user("initdb");
        initdb.args(["--data-checksums", "--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust"]);
        run::run(initdb.args(["--username=postgres", "--pgdata"]).arg(server.data()), log)?;
        let options = format!(
            "-p {port} -c unix_socket_directories= -c listen_addresses=127.0.0.1 -c fsync=off -c max_wal_size=4GB"
        );
        let mut start = server.as_user("pg_ctl");
        start.args(["start", "--wait", "--silent", "--options", &options, "--log"]);
        start.arg(server.folder.join("log")).arg("--pgdata").arg(server.data());
        run::run(&mut start, log)?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{DATABASE}", self.port)
    }

    fn as_user(&self, program: &str) -> Command {
        let mut command = run::command(self.programs.join("bin").join(program));
        command.current_dir(&self.folder);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = self.clients.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "--dbname"]);
        psql.arg(format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port));
        psql
    }

    /// Makes the database anew with so many rows, ready for the proof; returns its size in MiB.
    fn fill(&self, repo: &Repo, rows: u64, log: &Log) -> Result<u64> {
        let again = format!("DROP DATABASE IF EXISTS {DATABASE}");
        let create = format!("CREATE DATABASE {DATABASE}");
        run::run(self.psql("postgres").args(["-c", &again, "-c", &create]), log)?;
        let mut load = self.psql(DATABASE);
        load.arg("-f").arg(repo.at("tests/application/application.sql"));
        let more = self.folder.join("rows.sql");
        fs::write(&more, ROWS_OF)?;
        load.args(["-v", &format!("rows={rows}")]).arg("-f").arg(&more);
        load.arg("-f").arg(repo.at("shared/proof/src/prepare.sql")).args(["-c", "VACUUM ANALYZE"]);
        run::run(&mut load, log)?;
        let size = format!("SELECT pg_database_size('{DATABASE}') / 1048576");
        let size = run::output(self.psql(DATABASE).args(["-At", "-c", &size]), log)?;
        String::from_utf8_lossy(&size).trim().parse().context("the size is no number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.as_user("pg_ctl");
        stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"]).arg(self.data());
        let _ = stop.status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
