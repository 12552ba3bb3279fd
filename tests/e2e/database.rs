//! The database side of `rotate-database` against real servers of the local cloud's oldest and newest major: the error
//! of each failure, and the state after a hand-over.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aws_sdk_rds::types::{ApplyMethod, Parameter};
use reqwest::Method;
use rotate_database::alternating::{HandedOver, Pair, hand_over};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::database::secret::Login;
use shared::database::{Database, DatabaseError, ErrorKind, Expected, Session};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cloud::{Cloud, eventually};

const MASTER: &str = "dbmaster";
const PASSWORD: &str = "Master-password-of-the-tests-1";

/// One server, with every statement in its log.
struct Server {
    cloud: Cloud,
    id: String,
    major: u32,
    port: u16,
    roots: RootCertStore,
    database: Database,
    /// The local cloud's state.
    folder: PathBuf,
    log: PathBuf,
}

/// Both servers, created by the first test that needs them.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
async fn servers() -> Vec<Server> {
    let facts =
        std::env::var("LOCALCLOUD").expect("LOCALCLOUD is not set: run this through `cargo xtask test`");
    let folder = PathBuf::from(&facts).parent().unwrap().to_owned();
    let facts: Value = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
    let roots = roots(&facts);
    let mut servers = Vec::new();
    for (id, major) in [("pg15", 15), ("pg18", 18)] {
        let cloud = Cloud::connect("rotate-database").await;
        make(&cloud, id, major).await;
        let port = eventually("the instance", async || port(&cloud, id).await).await;
        let database = Database::new("rotate-database", roots.clone()).unwrap();
        let log = folder.join(format!("logs/rds-{id}.log"));
        servers.push(Server {
            cloud,
            id: id.to_owned(),
            major,
            port,
            roots: roots.clone(),
            database,
            folder: folder.clone(),
            log,
        });
    }
    servers
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}

fn roots(facts: &Value) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_file_iter(facts["rds_ca"].as_str().unwrap()).unwrap() {
        roots.add(one.unwrap()).unwrap();
    }
    roots
}

async fn make(cloud: &Cloud, id: &str, major: u32) {
    if cloud.rds.describe_db_instances().db_instance_identifier(id).send().await.is_ok() {
        return;
    }
    let group = format!("{id}-logged");
    let made = cloud.rds.create_db_parameter_group().db_parameter_group_name(&group);
    let family = format!("postgres{major}");
    made.db_parameter_group_family(family).description("logs all").send().await.unwrap();
    let all = Parameter::builder().parameter_name("log_statement").parameter_value("all");
    let all = all.apply_method(ApplyMethod::Immediate).build();
    let changed = cloud.rds.modify_db_parameter_group().db_parameter_group_name(&group).parameters(all);
    changed.send().await.unwrap();
    let instance = cloud.rds.create_db_instance().db_instance_identifier(id).engine("postgres");
    let instance = instance.engine_version(major.to_string()).db_instance_class("db.t4g.micro");
    let instance = instance.allocated_storage(20).backup_retention_period(0).db_parameter_group_name(group);
    instance.master_username(MASTER).master_user_password(PASSWORD).send().await.unwrap();
}

async fn port(cloud: &Cloud, id: &str) -> Option<u16> {
    let found = cloud.rds.describe_db_instances().db_instance_identifier(id).send().await.unwrap();
    let instance = &found.db_instances()[0];
    (instance.db_instance_status() == Some("available")).then_some(())?;
    Some(instance.endpoint()?.port()?.try_into().unwrap())
}

impl Server {
    fn login(&self, database: &str, user: &str, password: &str) -> Login {
        let password = SecretString::from(password.to_owned());
        Login {
            host: "localhost".to_owned(),
            port: self.port,
            database: database.to_owned(),
            user: user.to_owned(),
            password,
            search_path: None,
        }
    }

    fn master(&self, database: &str) -> Login {
        self.login(database, MASTER, PASSWORD)
    }

    /// A connection as an application makes it.
    async fn connect(&self, login: &Login) -> Result<Client, tokio_postgres::Error> {
        self.connect_binding(login, ChannelBinding::Prefer).await
    }

    async fn connect_binding(
        &self,
        login: &Login,
        binding: ChannelBinding,
    ) -> Result<Client, tokio_postgres::Error> {
        let tls = trusting(self.roots.clone());
        let mut config = Config::new();
        config.host(&login.host).port(login.port).dbname(&login.database).user(&login.user);
        config.password(login.password.expose_secret()).ssl_mode(SslMode::Require).channel_binding(binding);
        let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The first column of the rows that statements return to `login`.
    async fn ask(&self, login: &Login, sql: &str) -> Vec<String> {
        let client = self.connect(login).await.unwrap_or_else(|error| panic!("{}: {error:?}", login.user));
        ask(&client, sql).await
    }

    async fn as_master(&self, database: &str, sql: &str) -> Vec<String> {
        self.ask(&self.master(database), sql).await
    }

    async fn fault(&self, mode: &str) -> Value {
        let body = json!({"instance": self.id, "mode": mode});
        self.cloud.admin(Method::POST, "rds/fault", Some(body)).await
    }

    /// The files of the certificate and of its key.
    async fn certificate(&self) -> [PathBuf; 2] {
        let found = self.cloud.rds.describe_db_instances().db_instance_identifier(&self.id).send().await;
        let resource = found.unwrap().db_instances()[0].dbi_resource_id().unwrap().to_owned();
        ["server.crt", "server.key"]
            .map(|file| self.folder.join("rds").join(&resource).join("data").join(file))
    }

    /// The port of a man in the middle for one login, with another server's certificate that every client trusts; and the
    /// mechanism of that login.
    async fn relayed(&self, other: &Self) -> (u16, JoinHandle<String>) {
        let seen = other.shown().await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (own, port, trusted) =
            (listener.local_addr().unwrap().port(), self.port, trusting(self.roots.clone()));
        (own, spawn_blocking(move || relay(&listener, seen, port, trusted)))
    }

    /// The port of an attacker with this server's certificate who asks one login for its password in clear text; and the
    /// answer.
    async fn asking(&self) -> (u16, JoinHandle<Vec<u8>>) {
        let (seen, listener) = (self.shown().await, TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        (port, spawn_blocking(move || ask_in_clear(&listener, seen)))
    }

    /// TLS settings of a server with this one's certificate.
    async fn shown(&self) -> ServerConfig {
        let [certificate, key] = self.certificate().await;
        let certificates = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
        let shown = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let shown = shown.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        shown.with_single_cert(certificates, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
    }

    async fn session(&self, login: &Login) -> Session {
        self.database.login(login).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn refused(&self, login: &Login) -> DatabaseError {
        self.database.login(login).await.err().expect("the login succeeded")
    }

    /// An application's user with a table in a database of its own.
    async fn app(&self, name: &str) -> App<'_> {
        let (quoted, literal) = (quote(name), verifier("first"));
        let database = name.to_owned();
        self.as_master("postgres", &format!("CREATE ROLE {quoted} LOGIN PASSWORD {literal}")).await;
        self.as_master("postgres", &format!("CREATE DATABASE {quoted}")).await;
        self.as_master("postgres", &format!("GRANT CREATE ON DATABASE {quoted} TO {quoted}")).await;
        self.as_master(name, &format!("GRANT CREATE ON SCHEMA public TO {quoted}")).await;
        let app = App { server: self, current: self.login(&database, name, "first"), database };
        app.run("CREATE TABLE first (id serial, text text)").await;
        app
    }
}

/// An application and the login that it uses.
struct App<'a> {
    server: &'a Server,
    database: String,
    current: Login,
}

impl App<'_> {
    fn pair(&self) -> Pair {
        Pair::of(&self.current.user).unwrap()
    }

    fn with(&self, user: &str, password: &str) -> Login {
        self.server.login(&self.database, user, password)
    }

    fn pending(&self, password: &str) -> Login {
        self.with(self.pair().other(&self.current.user), password)
    }

    async fn run(&self, sql: &str) -> Vec<String> {
        self.server.ask(&self.current, sql).await
    }

    async fn as_master(&self, sql: &str) -> Vec<String> {
        self.server.as_master(&self.database, sql).await
    }

    async fn try_hand_over(&self, pending: &Login) -> Result<HandedOver, DatabaseError> {
        self.hand_over_by(&self.server.master(&self.database), pending).await
    }

    async fn hand_over_by(&self, admin: &Login, pending: &Login) -> Result<HandedOver, DatabaseError> {
        let session = self.server.session(admin).await;
        let done = hand_over(&session, &self.pair(), &self.current, pending, async || Ok(())).await;
        session.close().await;
        done
    }

    /// Runs a whole rotation; `password` is the pending one.
    async fn rotate(&mut self, password: &str) -> HandedOver {
        let pending = self.pending(password);
        let done = self.try_hand_over(&pending).await.unwrap_or_else(|error| panic!("{error}"));
        self.prove(&self.current).await.unwrap();
        self.prove(&pending).await.unwrap();
        self.current = pending;
        done
    }

    async fn prove(&self, login: &Login) -> Result<(), DatabaseError> {
        let session = self.server.database.login(login).await?;
        let expected = Expected { login: login.user.clone(), owner: Some(self.pair().owner) };
        let proven = session.prove(&expected, &[]).await;
        session.close().await;
        proven
    }

    /// All facts about roles that a failed hand-over must not change.
    async fn roles(&self) -> Vec<String> {
        self.as_master(
            "SELECT concat_ws(' ', rolname, oid, rolcanlogin, rolconnlimit, rolvaliduntil, rolconfig) FROM pg_roles ORDER BY 1; \
             SELECT concat_ws(' ', roleid, member, grantor, to_json(m)) FROM pg_auth_members m ORDER BY 1; \
             SELECT concat_ws(' ', relname, relowner, relacl) FROM pg_class WHERE oid > 16384 ORDER BY 1",
        )
        .await
    }
}

async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let first = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    };
    rows.into_iter().filter_map(first).collect()
}

/// The tests set verifiers, as the product does: a password in the servers' log is then the product's.
fn verifier(password: &str) -> String {
    format!("'{}'", postgres_protocol::password::scram_sha_256(password.as_bytes()))
}

fn quote(name: &str) -> String {
    postgres_protocol::escape::escape_identifier(name)
}

fn kind<T>(result: Result<T, DatabaseError>) -> ErrorKind {
    result.err().expect("it succeeded").kind
}

#[tokio::test]
async fn each_refusal_of_a_login_has_its_kind() {
    for server in servers().await {
        server
            .as_master(
                "postgres",
                &format!("CREATE ROLE kinds LOGIN CONNECTION LIMIT 1 PASSWORD {}", verifier("first")),
            )
            .await;
        let login = server.login("postgres", "kinds", "first");
        let wrong = server.refused(&server.login("postgres", "kinds", "second-password")).await;
        assert_eq!((wrong.kind, wrong.sqlstate.as_deref()), (ErrorKind::Auth, Some("28P01")));
        assert_eq!(
            wrong.to_string(),
            format!(
                "cannot log in (kinds@localhost:{}/postgres): password authentication failed for user \"kinds\" (SQLSTATE 28P01)",
                server.port
            )
        );
        let nobody = server.login("postgres", "nobody-of-that-name", "x");
        assert_eq!(server.refused(&nobody).await.kind, ErrorKind::Auth);
        let nowhere = server.refused(&server.login("nowhere", "kinds", "first")).await;
        assert_eq!((nowhere.kind, nowhere.sqlstate.as_deref()), (ErrorKind::Other, Some("3D000")));
        let socket = Login { host: "/tmp".to_owned(), ..login.clone() };
        assert_eq!(server.refused(&socket).await.kind, ErrorKind::Network);
        let unresolved = Login { host: "no-such-host.invalid".to_owned(), ..login.clone() };
        assert_eq!(server.refused(&unresolved).await.kind, ErrorKind::Network);

        let held = server.session(&login).await;
        let full = server.refused(&login).await;
        assert_eq!((full.kind, full.sqlstate.as_deref()), (ErrorKind::ConnectionLimit, Some("53300")));
        held.close().await;
        // A clean disconnect frees the only connection for the next login.
        eventually("the connection is free", async || server.database.login(&login).await.ok())
            .await
            .close()
            .await;

        for (mode, expected) in [
            ("refuse", ErrorKind::Network),
            ("blackhole", ErrorKind::Network),
            ("downgrade", ErrorKind::Tls),
            ("untrusted-ca", ErrorKind::Tls),
            ("wrong-name", ErrorKind::Tls),
        ] {
            server.fault(mode).await;
            let error = server.refused(&login).await;
            assert_eq!(error.kind, expected, "{mode}: {error}");
            // The count includes every mode so far.
            assert_eq!(server.fault("none").await["plaintext_startups"], 0, "{mode}");
        }
    }
}

#[tokio::test]
async fn a_login_is_bound_to_the_certificate_that_it_sees() {
    let servers = servers().await;
    for (server, other) in [(&servers[0], &servers[1]), (&servers[1], &servers[0])] {
        let login = server.login("postgres", "bound", "first");
        let sql = format!("CREATE ROLE bound LOGIN PASSWORD {}", verifier("first"));
        server.as_master("postgres", &sql).await;

        let (port, chosen) = server.relayed(other).await;
        let relayed = Login { port, ..login.clone() };
        let error = server.refused(&relayed).await;
        assert_eq!((error.kind, error.sqlstate.as_deref()), (ErrorKind::Auth, Some("28000")), "{error}");
        assert_eq!(chosen.await.unwrap(), "SCRAM-SHA-256-PLUS");

        // A client without channel binding does not notice the relay.
        let (port, chosen) = server.relayed(other).await;
        let relayed = Login { port, ..login.clone() };
        assert!(server.connect_binding(&relayed, ChannelBinding::Disable).await.is_ok());
        assert_eq!(chosen.await.unwrap(), "SCRAM-SHA-256");
        server.session(&login).await.close().await;
    }
}

#[tokio::test]
async fn a_bound_login_gives_its_password_to_nobody_who_asks_for_it() {
    let server = servers().await.remove(0);
    let login = |port| Login { port, ..server.login("postgres", "asked", "the-admins-Password") };
    let (port, answer) = server.asking().await;
    let error = server.database.login_bound(&login(port)).await.err().expect("the login succeeded");
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert_eq!(answer.await.unwrap(), b"");

    // A client without channel binding answers.
    let (port, answer) = server.asking().await;
    server.refused(&login(port)).await;
    assert!(String::from_utf8_lossy(&answer.await.unwrap()).contains("the-admins-Password"));
}

/// Accepts one client, asks for its password in clear text, and returns the answer.
fn ask_in_clear(listener: &TcpListener, seen: ServerConfig) -> Vec<u8> {
    let (mut client, _) = listener.accept().unwrap();
    client.read_exact(&mut SSL_REQUEST.map(|_| 0)).unwrap();
    client.write_all(b"S").unwrap();
    let mut client = StreamOwned::new(ServerConnection::new(Arc::new(seen)).unwrap(), client);
    message(&mut client, 0);
    // AuthenticationCleartextPassword.
    client.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).unwrap();
    client.flush().unwrap();
    let mut answer = vec![0; 256];
    // The read fails if the client closes the connection without `close_notify`.
    let length = client.read(&mut answer).unwrap_or(0);
    answer.truncate(length);
    answer
}

/// Relays a login between a client and the server at `port`, with a TLS session to each; returns the client's
/// mechanism.
fn relay(listener: &TcpListener, seen: ServerConfig, port: u16, trusted: ClientConfig) -> String {
    let (mut client, _) = listener.accept().unwrap();
    client.read_exact(&mut SSL_REQUEST.map(|_| 0)).unwrap();
    client.write_all(b"S").unwrap();
    let mut client = StreamOwned::new(ServerConnection::new(Arc::new(seen)).unwrap(), client);
    let mut server = TcpStream::connect(("localhost", port)).unwrap();
    server.write_all(&SSL_REQUEST).unwrap();
    server.read_exact(&mut [0]).unwrap();
    let name = "localhost".try_into().unwrap();
    let mut server = StreamOwned::new(ClientConnection::new(Arc::new(trusted), name).unwrap(), server);

    server.write_all(&message(&mut client, 0)).unwrap();
    let mut chosen = None;
    loop {
        let answer = message(&mut server, 1);
        client.write_all(&answer).unwrap();
        client.flush().unwrap();
        match (answer[0], answer.get(5..9)) {
            // AuthenticationSASL and AuthenticationSASLContinue.
            (b'R', Some([0, 0, 0, 10 | 11])) => {
                let response = message(&mut client, 1);
                let mechanism = response[5..].split(|byte| *byte == 0).next().unwrap();
                chosen.get_or_insert_with(|| String::from_utf8_lossy(mechanism).into_owned());
                server.write_all(&response).unwrap();
            }
            (b'E' | b'Z', _) => return chosen.unwrap(),
            _ => {}
        }
    }
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A message of PostgreSQL's protocol whose length field is at `at`.
fn message(stream: &mut impl Read, at: usize) -> Vec<u8> {
    let mut message = vec![0; at + 4];
    stream.read_exact(&mut message).unwrap();
    let length = u32::from_be_bytes(message[at..].try_into().unwrap()) as usize;
    message.resize(at + length, 0);
    stream.read_exact(&mut message[at + 4..]).unwrap();
    message
}

#[tokio::test]
async fn a_login_changes_its_own_password_whatever_its_name_and_settings() {
    let long = "á".repeat(31) + "z";
    let names = ["Plain", "we\"ird", "100%s", "back\\slash", "it's; DROP", "naïve 🦀 $user", &long];
    for server in servers().await {
        for name in names {
            let quoted = quote(name);
            let sql = format!("CREATE ROLE {quoted} LOGIN PASSWORD {}", verifier("first"));
            server.as_master("postgres", &sql).await;
            server
                .as_master("postgres", &format!("ALTER ROLE {quoted} SET default_transaction_read_only = on"))
                .await;
            let old = server.login("postgres", name, "first");
            let passwords = ["p\\'\"%$ ü\u{a0}🦀", "plain-Second_password"];
            let mut login = old.clone();
            for password in passwords {
                let session = server.session(&login).await;
                let new = server.login("postgres", name, password);
                let set = session.set_own_password::<DatabaseError>(&new.password, async || Ok(())).await;
                assert_eq!(set, Ok(()), "{name}");
                session.close().await;
                login = new;
            }
            let session = server.session(&login).await;
            let who = Expected { login: name.to_owned(), owner: None };
            assert_eq!(session.prove(&who, &["SELECT 1".to_owned()]).await, Ok(()), "{name}");
            let written = session.prove(&who, &["CREATE TABLE pg_temp.t ()".to_owned()]).await;
            assert_eq!(written, Ok(()), "{name}");
            assert_eq!(server.refused(&old).await.kind, ErrorKind::Auth, "{name}");
        }
        let log = std::fs::read(&server.log).unwrap();
        let log = String::from_utf8_lossy(&log);
        assert!(log.contains("ALTER ROLE \"Plain\" PASSWORD 'SCRAM-SHA-256$"), "the log has no statements");
        assert!(!log.contains("plain-Second_password"));
    }
}

#[tokio::test]
async fn a_fence_that_says_no_leaves_the_password_alone() {
    for server in servers().await {
        server
            .as_master("postgres", &format!("CREATE ROLE fenced LOGIN PASSWORD {}", verifier("first")))
            .await;
        let login = server.login("postgres", "fenced", "first");
        let session = server.session(&login).await;
        let no = DatabaseError {
            kind: ErrorKind::Other,
            during: "ask",
            target: String::new(),
            sqlstate: None,
            reason: "no".to_owned(),
        };
        let new = SecretString::from("second".to_owned());
        let answer = session.set_own_password(&new, async || Err(no.clone())).await;
        assert_eq!(answer, Err(no));
        // The same session can continue, and another one is not blocked.
        assert_eq!(session.set_own_password::<DatabaseError>(&login.password, async || Ok(())).await, Ok(()));
        let other = server.session(&login).await;
        let outer = session
            .set_own_password::<DatabaseError>(&login.password, async || {
                let inner = other.set_own_password::<DatabaseError>(&new, async || Ok(())).await;
                assert_eq!(kind(inner), ErrorKind::Busy);
                Ok(())
            })
            .await;
        assert_eq!(outer, Ok(()));
        server.session(&login).await.close().await;
        // A session dropped midway frees the lock at once.
        let dropped = server.session(&login).await;
        let (inside, reached) = oneshot::channel();
        let waiting = dropped.set_own_password::<DatabaseError>(&new, async move || {
            inside.send(()).unwrap();
            std::future::pending().await
        });
        tokio::select! {
            done = waiting => panic!("{done:?}"),
            reached = reached => reached.unwrap(),
        }
        drop(dropped);
        assert_eq!(other.set_own_password::<DatabaseError>(&login.password, async || Ok(())).await, Ok(()));
    }
}

#[tokio::test]
async fn the_proof_runs_the_policys_sql_and_undoes_it() {
    for server in servers().await {
        let app = server.app("proven").await;
        let session = server.session(&app.current).await;
        let who = Expected { login: "proven".to_owned(), owner: None };
        let prove = async |sql: &str| session.prove(&who, &[sql.to_owned()]).await;
        assert_eq!(prove("INSERT INTO first (text) VALUES ('x')").await, Ok(()));
        assert_eq!(prove("WITH a AS (INSERT INTO first DEFAULT VALUES) SELECT 1;").await, Ok(()));
        assert_eq!(kind(prove("SELECT 1; COMMIT").await), ErrorKind::ProofFailed);
        assert_eq!(kind(prove("/* */ ; COMMIT").await), ErrorKind::ProofFailed);
        assert_eq!(
            kind(prove("DO $$ BEGIN INSERT INTO first DEFAULT VALUES; COMMIT; END $$").await),
            ErrorKind::ProofFailed
        );
        assert_eq!(kind(prove("SELECT * FROM no_such_table").await), ErrorKind::ProofFailed);
        assert_eq!(kind(prove("SELECT * FROM pg_authid").await), ErrorKind::Permission);
        let slow = ["SET LOCAL statement_timeout = 50".to_owned(), "SELECT pg_sleep(9)".to_owned()];
        assert_eq!(kind(session.prove(&who, &slow).await), ErrorKind::ProofFailed);
        let migration = server.connect(&app.current).await.unwrap();
        migration.batch_execute("BEGIN; LOCK TABLE first IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let locked = ["SET LOCAL lock_timeout = 50".to_owned(), "SELECT * FROM first".to_owned()];
        assert_eq!(kind(session.prove(&who, &locked).await), ErrorKind::Busy);
        migration.batch_execute("ROLLBACK").await.unwrap();
        let quoting = prove("SELECT 'a-row-s-value'::int").await.unwrap_err();
        assert!(!quoting.to_string().contains("a-row-s-value"), "{quoting}");
        assert_eq!(
            kind(prove("SET TRANSACTION READ ONLY").await.and(prove("SELECT x").await)),
            ErrorKind::ProofFailed
        );
        let read_only = ["SET TRANSACTION READ ONLY".to_owned(), "DELETE FROM first".to_owned()];
        assert_eq!(kind(session.prove(&who, &read_only).await), ErrorKind::ReadOnly);
        assert_eq!(app.run("SELECT count(*) FROM first").await, ["0"]);

        let other = Expected { login: "somebody".to_owned(), owner: None };
        assert_eq!(kind(session.prove(&other, &[]).await), ErrorKind::Identity);
        let owned = Expected { login: "proven".to_owned(), owner: Some("proven_owner".to_owned()) };
        assert_eq!(kind(session.prove(&owned, &[]).await), ErrorKind::Identity);
        assert_eq!(session.prove(&who, &[]).await, Ok(()));
    }
}

#[tokio::test]
async fn the_first_set_up_interrupts_nobody() {
    for server in servers().await {
        let mut app = server.app("First \"Up\"").await;
        let master = &app.database;
        let name = quote(&app.database);
        for sql in [
            format!("ALTER ROLE {name} CONNECTION LIMIT 20 VALID UNTIL '2099-12-31 23:59:59.5+01'"),
            format!("ALTER ROLE {name} SET search_path = \"$user\", 'We\"ird, one', public"),
            format!("ALTER ROLE {name} SET statement_timeout = '7s'"),
            format!("ALTER ROLE {name} IN DATABASE {name} SET application_name = 'it''s \\ 1'"),
        ] {
            server.as_master(master, &sql).await;
        }
        let open = server.connect(&app.current).await.unwrap();
        ask(&open, "BEGIN; INSERT INTO first (text) VALUES ('from before')").await;

        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let prober = async {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match server.connect(&app.current).await {
                    Ok(client) => {
                        ask(&client, "SELECT count(*) FROM first").await;
                    }
                    Err(error) => failures.push(format!("{error:?}")),
                }
                seen.fetch_add(1, Ordering::Relaxed);
            }
            failures
        };
        let probes = async |more: u32| {
            let before = seen.load(Ordering::Relaxed);
            eventually("probes", async || (seen.load(Ordering::Relaxed) >= before + more).then_some(()))
                .await;
        };
        let pending = app.pending("second");
        let work = async {
            probes(5).await;
            app.try_hand_over(&pending).await.unwrap_or_else(|error| panic!("{error}"));
            probes(5).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (failures, ()) = tokio::join!(prober, work);
        assert_eq!(failures, Vec::<String>::new());
        ask(&open, "INSERT INTO first (text) VALUES ('from after'); COMMIT; CREATE TABLE late ()").await;

        // Each login has all rights and settings of the first user, and can use the other's objects.
        for login in [&app.current, &pending] {
            app.prove(login).await.unwrap();
            let seen = server
                .ask(
                    login,
                    "SELECT count(*) FROM first; SELECT count(*) FROM late; SHOW search_path; SHOW statement_timeout; \
                     SHOW application_name; SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user; \
                     SELECT rolvaliduntil = '2099-12-31 22:59:59.5Z' FROM pg_roles WHERE rolname = session_user; \
                     SELECT current_schema()",
                )
                .await;
            let path = r#""$user", "We""ird, one", public"#;
            assert_eq!(seen, ["2", "0", path, "7s", "it's \\ 1", "20", "t", "public"]);
        }
        let owner = format!(
            "SELECT rolcanlogin::text || rolconnlimit || coalesce(rolconfig::text, '') FROM pg_roles WHERE rolname = '{}_owner'",
            app.database
        );
        assert_eq!(app.as_master(&owner).await, ["false-1"]);

        // A repeated hand-over sets only the password, and so does the next rotation, back to the first login.
        for _ in 0..2 {
            let again = app.try_hand_over(&pending).await.unwrap();
            assert_eq!(again.statements.len(), 1, "{again:?}");
        }
        app.current = pending;
        app.run("CREATE TABLE by_the_clone (id int); INSERT INTO by_the_clone VALUES (1)").await;
        let back = app.rotate("third").await;
        assert_eq!(back.statements, [format!("ALTER ROLE {name} PASSWORD '…'")]);
        assert_eq!(app.run("SELECT count(*) FROM by_the_clone").await, ["1"]);
        assert_eq!(server.refused(&app.with(&app.database, "first")).await.kind, ErrorKind::Auth);
        let log = std::fs::read(&server.log).unwrap();
        let log = String::from_utf8_lossy(&log);
        let logged: Vec<_> = log.split("PASSWORD '").skip(1).collect();
        assert!(logged.len() > 3, "the log has no statements");
        assert!(logged.iter().all(|text| text.starts_with("SCRAM-SHA-256$")));
    }
}

#[tokio::test]
async fn the_state_that_awss_functions_leave_is_taken_over() {
    for server in servers().await {
        for in_use in ["aws", "aws_clone"] {
            let stem = format!("{in_use}_of");
            let mut app = server.app(&stem).await;
            let clone = format!("{stem}_clone");
            let first = verifier("first");
            let names = (quote(&stem), quote(&clone));
            app.as_master(&format!(
                "ALTER ROLE {0} SET statement_timeout = '7s'; ALTER ROLE {0} CONNECTION LIMIT 9; \
                 CREATE ROLE {1} LOGIN PASSWORD {first}; GRANT {0} TO {1}; GRANT CREATE ON DATABASE {0} TO {1}",
                names.0, names.1
            ))
            .await;
            let other = app.with(&clone, "first");
            server.ask(&other, "CREATE SCHEMA of_clone CREATE TABLE made_by_clone (id int)").await;
            // The master's own table, granted to the clone only, and a role granted to it.
            app.as_master(&format!(
                "CREATE TABLE masters (a int, b int); GRANT SELECT (a), UPDATE (b) ON masters TO {0} WITH GRANT OPTION; \
                 CREATE ROLE group_of_{in_use}; GRANT group_of_{in_use} TO {0}",
                names.1
            ))
            .await;
            if in_use == "aws_clone" {
                app.current = other;
            }
            app.rotate("second").await;
            for _ in 0..2 {
                let sql = format!(
                    "SELECT count(*) FROM of_clone.made_by_clone; SELECT count(a) FROM masters; SHOW statement_timeout; \
                     SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user; \
                     SELECT pg_has_role('group_of_{in_use}', 'USAGE');\
                     SELECT has_column_privilege('masters', 'b', 'UPDATE WITH GRANT OPTION')"
                );
                assert_eq!(app.run(&sql).await, ["0", "0", "7s", "9", "true", "true"].map(short));
                let again = app.rotate("third").await;
                assert_eq!(again.statements.len(), 1, "{again:?}");
            }
        }
    }
}

/// The text protocol's form of a setting.
fn short(value: &str) -> String {
    if value == "true" { "t".to_owned() } else { value.to_owned() }
}

#[tokio::test]
async fn what_somebody_broke_is_repaired() {
    for server in servers().await {
        let mut app = server.app("broken").await;
        app.rotate("second").await;
        assert_eq!(app.current.user, "broken_clone");
        // A person drops the idle login: each of the two once.
        for login in ["broken", "broken_clone"] {
            app.as_master(&format!("DROP ROLE {login}")).await;
            let made = app.rotate("third").await;
            assert!(made.statements.iter().any(|sql| sql.starts_with("CREATE ROLE")), "{made:?}");
            assert_eq!(app.current.user, login);
        }
        for (damage, check) in [
            (
                "ALTER ROLE broken_owner LOGIN",
                "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = 'broken_owner'",
            ),
            ("ALTER ROLE broken RESET role", "SELECT current_user = 'broken_owner'"),
            ("ALTER ROLE broken_clone RESET role", "SELECT current_user = 'broken_owner'"),
            (
                "ALTER ROLE broken IN DATABASE broken SET role = 'none'",
                "SELECT current_user = 'broken_owner'",
            ),
            ("REVOKE broken_owner FROM broken", "SELECT pg_has_role('broken', 'broken_owner', 'MEMBER')"),
            (
                "REVOKE broken_owner FROM broken_clone",
                "SELECT pg_has_role('broken_clone', 'broken_owner', 'MEMBER')",
            ),
            ("ALTER ROLE broken NOINHERIT", "SELECT rolinherit FROM pg_roles WHERE rolname = 'broken'"),
            (
                "ALTER ROLE broken CONNECTION LIMIT 3; ALTER ROLE broken_clone CONNECTION LIMIT 4",
                "SELECT count(DISTINCT rolconnlimit) = 1 FROM pg_roles WHERE rolname IN ('broken', 'broken_clone')",
            ),
            (
                "CREATE TABLE granted_later (id int); GRANT SELECT ON granted_later TO broken, broken_clone",
                "SELECT count(*) = 0 FROM granted_later",
            ),
            (
                "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO broken, broken_clone",
                "SELECT count(*) > 0 FROM pg_default_acl, aclexplode(defaclacl) WHERE grantee = 'broken_owner'::regrole",
            ),
            (
                "CREATE FUNCTION f(\"A b\" int, text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1'; \
                 REVOKE ALL ON FUNCTION f FROM PUBLIC; GRANT EXECUTE ON FUNCTION f TO broken",
                "SELECT f(1) = 1",
            ),
            (
                "CREATE TYPE t AS ENUM ('a'); REVOKE ALL ON TYPE t FROM PUBLIC; GRANT USAGE ON TYPE t TO broken; \
                 SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO broken; \
                 CREATE SEQUENCE s; GRANT USAGE ON s TO broken; GRANT TEMPORARY ON DATABASE broken TO broken",
                "SELECT has_type_privilege('t', 'USAGE') AND has_sequence_privilege('s', 'USAGE') AND lo_get(4711) = ''",
            ),
        ] {
            app.as_master(damage).await;
            let repaired = app.rotate("fourth").await;
            assert!(repaired.statements.len() > 1, "{damage}: {repaired:?}");
            assert_eq!(app.run(check).await, ["t"], "{damage}: {repaired:?}");
            let next = app.rotate("fifth").await;
            assert_eq!(next.statements.len(), 1, "{damage}: {next:?}");
        }
        // Objects that a login makes while it does not act as the owner.
        app.run("SET ROLE NONE; CREATE SCHEMA own; CREATE TABLE own.t (id int); CREATE FUNCTION own.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lo_create(4712)").await;
        let taken = app.rotate("sixth").await;
        assert!(taken.statements.iter().any(|sql| sql.starts_with("REASSIGN OWNED")), "{taken:?}");
        assert_eq!(
            app.run("INSERT INTO own.t VALUES (1); SELECT lo_get(4712) = ''; SELECT own.f()").await,
            ["t", "1"]
        );
        assert_eq!(app.rotate("seventh").await.statements.len(), 1);
        // The idle login gets the setting of the login in use.
        app.as_master(
            "ALTER ROLE broken SET lock_timeout = '1s'; ALTER ROLE broken_clone SET lock_timeout = '2s'",
        )
        .await;
        let wanted = if app.current.user == "broken" { "1s" } else { "2s" };
        app.rotate("eighth").await;
        assert_eq!(app.run("SHOW lock_timeout").await, [wanted]);
        app.as_master(&format!("ALTER ROLE {} RESET ALL", app.current.user)).await;
        app.rotate("ninth").await;
        assert_eq!(
            app.run("SELECT rolconfig FROM pg_roles WHERE rolname = session_user").await,
            ["{role=broken_owner}"]
        );
    }
}

#[tokio::test]
async fn an_owner_made_beforehand_is_adopted_and_another_refused() {
    for server in servers().await {
        let mut app = server.app("adopted").await;
        app.as_master(
            "CREATE ROLE adopted_owner NOLOGIN; GRANT adopted_owner TO adopted; ALTER ROLE adopted CREATEDB",
        )
        .await;
        app.rotate("second").await;
        let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'first'; SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user";
        assert_eq!(app.run(owner).await, ["adopted_owner", "t"]);
        assert_eq!(app.rotate("third").await.statements.len(), 1);

        for (number, (set_up, reason)) in [
            ("CREATE ROLE refused#_owner", "not a member"),
            ("CREATE ROLE refused#_owner LOGIN; GRANT refused#_owner TO refused#", "can log in"),
            ("CREATE ROLE refused#_clone LOGIN", "nothing to do with"),
            ("CREATE ROLE refused#_owner CREATEROLE; GRANT refused#_owner TO refused#", "administers"),
            ("GRANT rds_superuser TO refused#", "administers"),
            ("ALTER ROLE refused# CREATEROLE", "administers"),
            ("GRANT rds_iam TO refused#", "rds_iam"),
            ("CREATE ROLE someone; GRANT someone TO refused#; GRANT someone TO dbmaster; ALTER ROLE refused# SET role = 'someone'", "acts as someone"),
        ]
        .into_iter()
        .enumerate()
        {
            // Since PostgreSQL 16, the local cloud's master may not grant rds_iam; RDS's may.
            if server.major >= 16 && set_up.contains("rds_iam") {
                continue;
            }
            let app = server.app(&format!("refused{number}")).await;
            app.as_master(&set_up.replace('#', &number.to_string())).await;
            let before = app.roles().await;
            let error = app.try_hand_over(&app.pending("second")).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Identity, "{error}");
            assert!(error.reason.contains(reason), "{error}");
            assert_eq!(app.roles().await, before, "{set_up}");
        }
        let master =
            App { server: &server, database: "postgres".to_owned(), current: server.master("postgres") };
        let error = master.try_hand_over(&master.pending("second")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Identity, "{error}");
    }
}

#[tokio::test]
async fn an_administrator_without_the_right_is_reported_the_cure() {
    for server in servers().await {
        let mut app = server.app("cured").await;
        let verifier = verifier("rotator");
        app.as_master(&format!("CREATE ROLE rotator LOGIN NOINHERIT PASSWORD {verifier}")).await;
        let rotator = app.with("rotator", "rotator");
        let before = app.roles().await;
        let error = app.hand_over_by(&rotator, &app.pending("second")).await.unwrap_err();
        assert_eq!(
            (error.kind, error.reason.contains("ALTER ROLE \"rotator\" CREATEROLE")),
            (ErrorKind::Permission, true)
        );
        app.as_master("ALTER ROLE rotator CREATEROLE").await;
        if server.major >= 16 {
            let error = app.hand_over_by(&rotator, &app.pending("second")).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Permission);
            assert!(error.reason.ends_with("GRANT \"cured\" TO \"rotator\" WITH ADMIN OPTION"), "{error}");
            app.as_master("GRANT cured TO rotator WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").await;
        }
        assert_eq!(app.roles().await.len() - before.len(), usize::from(server.major >= 16));
        for password in ["second", "third", "fourth"] {
            let pending = app.pending(password);
            app.hand_over_by(&rotator, &pending).await.unwrap_or_else(|error| panic!("{error}"));
            app.prove(&app.current).await.unwrap();
            app.prove(&pending).await.unwrap();
            app.current = pending;
            app.run("SET ROLE NONE; DROP TABLE IF EXISTS strays; CREATE SCHEMA IF NOT EXISTS cured_own; CREATE TABLE IF NOT EXISTS cured_own.strays ()").await;
            // The role gains no rights: no membership lets it act as another role or inherit.
            let memberships = if server.major >= 16 {
                "SELECT count(*) FROM pg_auth_members WHERE member = 'rotator'::regrole AND (set_option OR inherit_option)"
            } else {
                "SELECT count(*) FROM pg_auth_members WHERE member = 'rotator'::regrole"
            };
            assert_eq!(app.as_master(memberships).await, ["0"]);
        }

        // An object of a third role: nothing changes until a role that may grant has done so.
        app.as_master("CREATE TABLE audit (id int); GRANT SELECT ON audit TO cured").await;
        let before = app.roles().await;
        let error = app.hand_over_by(&rotator, &app.pending("fifth")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Permission, "{error}");
        let reported = "GRANT SELECT ON TABLE public.audit TO \"cured_owner\" (as dbmaster";
        assert!(error.reason.contains(reported), "{error}");
        assert_eq!(app.roles().await, before);
        app.as_master("GRANT SELECT ON audit TO cured_owner").await;
        app.hand_over_by(&rotator, &app.pending("fifth")).await.unwrap();
    }
}

#[tokio::test]
async fn two_hand_overs_at_once_and_one_cut_off() {
    for server in servers().await {
        let app = server.app("twice").await;
        let pending = app.pending("second");
        // The second waits for the first and finds the work done.
        let (one, two) = tokio::join!(app.try_hand_over(&pending), app.try_hand_over(&pending));
        let counts = [one.unwrap().statements.len(), two.unwrap().statements.len()];
        assert!(counts.contains(&1), "{counts:?}");
        app.prove(&app.current).await.unwrap();
        app.prove(&pending).await.unwrap();

        let app = server.app("cut").await;
        let before = app.roles().await;
        let session = server.session(&server.master("cut")).await;
        let cut = hand_over::<DatabaseError>(&session, &app.pair(), &app.current, &app.pending("second"), async || {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                              WHERE application_name = 'rotate-database' AND datname = 'cut' AND pid <> pg_backend_pid()";
                assert_eq!(app.as_master(others).await, ["t"]);
                Ok(())
            })
            .await;
        assert_eq!(kind(cut), ErrorKind::Network);
        assert_eq!(app.roles().await, before);
        let refused = session_after(&app).await;
        assert_eq!(refused.reason, "no");
        assert_eq!(app.roles().await, before);
        app.try_hand_over(&app.pending("second")).await.unwrap();
    }
}

/// A hand-over refused by its fence.
async fn session_after(app: &App<'_>) -> DatabaseError {
    let session = app.server.session(&app.server.master(&app.database)).await;
    let no = DatabaseError {
        kind: ErrorKind::Other,
        during: "ask",
        target: String::new(),
        sqlstate: None,
        reason: "no".to_owned(),
    };
    hand_over(&session, &app.pair(), &app.current, &app.pending("x"), async || Err(no)).await.unwrap_err()
}

#[tokio::test]
async fn a_schema_named_as_the_login_stays_in_its_path() {
    let long = "é".repeat(28) + "Z";
    for server in servers().await {
        for name in ["Turn \"a\"", "turn's \\ 100%", "🦀 $user, x", &long] {
            let mut app = server.app(name).await;
            app.run(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.mine (id int)", quote(name))).await;
            // Renaming the role of an open connection changes the meaning of its "$user".
            let open = server.connect(&app.current).await.unwrap();
            ask(&open, "SELECT count(*) FROM mine").await;
            let before = app.roles().await;
            let error = app.try_hand_over(&app.pending("zwei")).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Identity, "{error}");
            assert!(error.reason.contains("SET search_path"), "{error}");
            assert_eq!(app.roles().await, before);
            ask(&open, "SELECT count(*) FROM mine").await;
            drop(open);
            let gone = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = {}",
                postgres_protocol::escape::escape_literal(name)
            );
            eventually("the end of the connection", async || {
                (app.as_master(&gone).await == ["0"]).then_some(())
            })
            .await;
            for password in ["zwei", "drei", "vier"] {
                app.rotate(password).await;
                assert_eq!(app.run("SELECT count(*) FROM mine").await, ["0"], "{name}");
            }
        }
    }
}
