//! Throw-away PostgreSQL servers, which end when the test does, even if it is killed.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The user of the servers if the tests run as root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// The shell becomes the server; what it leaves behind ends the server when the test's end of the pipe closes.
const GUARD: &str =
    r#"exec 3<&0 </dev/null; (cat <&3 >/dev/null; kill -QUIT $$ 2>/dev/null) & exec 3<&- "$@""#;

const APPLICATION: &str = include_str!("../../../../tests/application/application.sql");
const EXTRAS: &str = include_str!("../../../../tests/application/extras.sql");

/// Roles of a cluster, which no database contains: the application's own, one with few rights, and the one that reads
/// the source.
const ROLES: &str = "
    CREATE ROLE moveongs LOGIN CREATEROLE CREATEDB;
    CREATE ROLE leitura LOGIN;
    CREATE ROLE governance LOGIN BYPASSRLS;
    GRANT pg_read_all_data TO governance;
";

/// Without waiting for disks: nothing here has to survive.
const SETTINGS: [&str; 8] = [
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "autovacuum=off",
    "log_min_messages=fatal",
    "timezone=America/Sao_Paulo",
];

/// The database that the others are copied from.
pub(crate) const SOURCE: &str = "source";

/// One running server.
pub(crate) struct Server {
    /// Major version.
    pub(crate) major: u32,
    port: u16,
    folder: TempDir,
    programs: PathBuf,
    user: Option<u32>,
    process: Option<Child>,
}

impl Server {
    /// A server with checksums, the roles, and the application's database as [`SOURCE`].
    pub(crate) async fn start(major: u32) -> Self {
        let server = Self::bare(major).await;
        server.client("postgres", "postgres").await.batch_execute(ROLES).await.unwrap();
        server.create(SOURCE).await;
        let owner = server.client(SOURCE, "moveongs").await;
        owner.batch_execute(APPLICATION).await.unwrap();
        owner.batch_execute(EXTRAS).await.unwrap();
        server
    }

    /// A server with neither roles nor databases of its own.
    pub(crate) async fn bare(major: u32) -> Self {
        let folder = TempDir::with_prefix("teeth-").unwrap();
        let user = (fs::metadata(folder.path()).unwrap().uid() == 0).then_some(NOBODY);
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../.local/postgres/{major}"));
        let installed = installed.canonicalize().unwrap_or_else(|error| {
            panic!("PostgreSQL {major} is not set up ({error}): run `cargo xtask test --filter PostgreSQL`")
        });
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let programs = if user.is_none() || reachable(&installed) {
            installed
        } else {
            let copy = folder.path().join("programs");
            assert!(Command::new("cp").arg("-R").args([&installed, &copy]).status().unwrap().success());
            copy
        };
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        chown(&home, user, user).unwrap();
        let mut server = Self { major, port: 0, folder, programs, user, process: None };
        let mut initdb = server.command("initdb");
        initdb.args(["--data-checksums", "--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust"]);
        initdb.args(["--username=postgres", "--pgdata"]).arg(server.data());
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run().await;
        server
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("home/data")
    }

    /// Starts the stopped server.
    pub(crate) async fn run(&mut self) {
        for _ in 0..5 {
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let program = self.programs.join("bin/postgres");
            let mut command = self.as_user(Command::new("sh"));
            command.args(["-c", GUARD, "sh"]).arg(program).arg("-D").arg(self.data());
            command.args(["-c", &format!("port={}", self.port)]);
            command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
            if self.major >= 18 {
                command.args(["-c", "io_method=sync"]);
            }
            let log = File::create(self.folder.path().join("log")).unwrap();
            command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
            self.process = Some(command.spawn().unwrap());
            let end = Instant::now() + Duration::from_secs(30);
            while self.process.as_mut().unwrap().try_wait().unwrap().is_none() && Instant::now() < end {
                if self.connect("postgres", "postgres").await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.stop();
        }
        panic!("{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    /// Ends the sessions and writes all pages to their files.
    pub(crate) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.args(["stop", "--mode=fast", "--wait", "--silent", "--pgdata"]).arg(self.data());
        let _ = pg_ctl.output();
        drop(process.stdin.take());
        process.wait().unwrap();
    }

    /// A session, or the server's refusal.
    pub(crate) async fn connect(&self, database: &str, user: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).dbname(database).user(user);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A session.
    pub(crate) async fn client(&self, database: &str, user: &str) -> Client {
        self.connect(database, user).await.unwrap()
    }

    /// A superuser's session.
    pub(crate) async fn admin(&self, database: &str) -> Client {
        self.client(database, "postgres").await
    }

    /// An empty database of the application's owner.
    pub(crate) async fn create(&self, name: &str) {
        // With a version of its collation, as on RDS.
        let create = format!(
            "CREATE DATABASE {name} OWNER moveongs TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'pt-BR'"
        );
        self.admin("postgres").await.batch_execute(&create).await.unwrap();
        self.admin(name).await.batch_execute("ALTER SCHEMA public OWNER TO moveongs").await.unwrap();
    }

    /// A copy of a database, page by page. Nobody may be connected to it, so this waits for sessions that still end.
    pub(crate) async fn copy(&self, from: &str, name: &str) {
        let admin = self.admin("postgres").await;
        let end = Instant::now() + Duration::from_secs(10);
        // The server reads each page of the original where it would copy files otherwise, which needs two checkpoints.
        let create = format!("CREATE DATABASE {name} OWNER moveongs TEMPLATE {from} STRATEGY wal_log");
        while let Err(error) = admin.batch_execute(&create).await {
            assert!(Instant::now() < end, "{error:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Removes a database and ends its sessions.
    pub(crate) async fn remove(&self, name: &str) {
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        self.admin("postgres").await.batch_execute(&drop).await.unwrap();
    }

    /// The SQL that makes a database again, by PostgreSQL 15's `pg_dump`; `None` where Debian's package of it is not
    /// installed.
    pub(crate) fn dump(&self, database: &str) -> Option<String> {
        let mut pg_dump = Command::new("/usr/lib/postgresql/15/bin/pg_dump");
        pg_dump.args(["--inserts", "--host=127.0.0.1", "--username=postgres"]);
        pg_dump.arg(format!("--port={}", self.port)).arg(format!("--dbname={database}"));
        let dumped = pg_dump.output().ok()?;
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        let sql = String::from_utf8(dumped.stdout).unwrap();
        // Commands of psql.
        Some(sql.lines().filter(|line| !line.starts_with('\\')).flat_map(|line| [line, "\n"]).collect())
    }

    fn command(&self, program: &str) -> Command {
        self.as_user(Command::new(self.programs.join("bin").join(program)))
    }

    fn as_user(&self, mut command: Command) -> Command {
        command.stdin(Stdio::null()).current_dir(self.folder.path().join("home"));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

/// Returns true if any user may enter this folder.
fn reachable(folder: &Path) -> bool {
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0))
}

/// Size of a page, in bytes.
const PAGE: usize = 8192;

/// Whether a damaged page's checksum is made right again, as by a damage in memory before the page was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Checksum {
    /// It shows the damage.
    Kept,
    /// It covers the damage.
    Renewed,
}

/// Changes a page of a stopped server's file. `change` gets the page and the place of the first occurrence of `mark`.
pub(crate) fn damage(file: &Path, mark: &[u8], checksum: Checksum, change: impl FnOnce(&mut [u8], usize)) {
    let mut content = fs::read(file).unwrap();
    let at = content.windows(mark.len()).position(|part| part == mark).expect("the mark is in the file");
    let (block, place) = (at / PAGE, at % PAGE);
    let page = &mut content[block * PAGE..(block + 1) * PAGE];
    assert_eq!(page[8..10], sum(page, block).to_le_bytes(), "the page was whole");
    change(page, place);
    if checksum == Checksum::Renewed {
        let new = sum(page, block);
        page[8..10].copy_from_slice(&new.to_le_bytes());
    }
    File::options().write(true).open(file).unwrap().write_all(&content).unwrap();
}

/// PostgreSQL's checksum of a page: 32 hashes side by side (FNV-1a with a shift), folded.
fn sum(page: &[u8], block: usize) -> u16 {
    const PRIME: u32 = 16_777_619;
    const OFFSETS: [u32; 32] = [
        0x5B1F_36E9,
        0xB852_5960,
        0x02AB_50AA,
        0x1DE6_6D2A,
        0x79FF_467A,
        0x9BB9_F8A3,
        0x217E_7CD2,
        0x83E1_3D2C,
        0xF8D4_474F,
        0xE39E_B970,
        0x42C6_AE16,
        0x9932_16FA,
        0x7B09_3B5D,
        0x98DA_FF3C,
        0xF718_902A,
        0x0B1C_9CDB,
        0xE58F_764B,
        0x1876_36BC,
        0x5D7B_3BB1,
        0xE73D_E7DE,
        0x92BE_C979,
        0xCCA6_C0B2,
        0x304A_0979,
        0x85AA_43D4,
        0x7831_25BB,
        0x6CA8_EAA2,
        0xE407_EAC6,
        0x4B5C_FC3E,
        0x9FBF_8C76,
        0x15CA_20BE,
        0xF2CA_9FD3,
        0x959B_D756,
    ];
    let step = |sum: u32, value: u32| {
        let mixed = sum ^ value;
        mixed.wrapping_mul(PRIME) ^ (mixed >> 17)
    };
    let mut page = page.to_vec();
    page[8..10].fill(0);
    let mut sums = OFFSETS;
    for (index, word) in page.chunks_exact(4).enumerate() {
        sums[index % 32] = step(sums[index % 32], u32::from_le_bytes(word.try_into().unwrap()));
    }
    for _ in 0..2 {
        sums = sums.map(|sum| step(sum, 0));
    }
    let folded = sums.into_iter().fold(0, |all, sum| all ^ sum) ^ u32::try_from(block).unwrap();
    u16::try_from(folded % 65_535 + 1).unwrap()
}
