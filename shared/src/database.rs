//! PostgreSQL: logging in, why that or a statement failed, the proof of a login, and a login's change of its own password.
//!
//! Sources: [error codes](https://www.postgresql.org/docs/current/errcodes-appendix.html),
//! [ALTER ROLE](https://www.postgresql.org/docs/current/sql-alterrole.html),
//! [SASL authentication](https://www.postgresql.org/docs/current/sasl-authentication.html).

pub mod certificates;
pub mod secret;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use rustls::{ClientConfig, RootCertStore};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::secret::Login;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::chain;

/// DNS, TCP, TLS and authentication together.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What the server is given for a statement (`statement_timeout` below) and what the network may add to it.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(12);

/// The farewell is a courtesy to the server's log.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What is being done during a login.
const LOG_IN: &str = "log in";

/// Sent with the login, so that they cost no statement. A role's own settings do not override them. The server ends an
/// idle transaction, and with it frees the advisory lock, when an invocation was frozen or cut off.
const OPTIONS: &str =
    "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=20s";

/// Why the database refused; a variant for each thing that an operator does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// There was no answer, or the connection broke: DNS, route, security group, a stopped or restarting server.
    Network,
    /// The server offers no TLS, or its certificate is not for the host or not from a known authority.
    Tls,
    /// The login was refused: wrong password, role expired or not allowed to log in.
    Auth,
    /// No connection is free, for the role or on the server.
    ConnectionLimit,
    /// The server is a standby, or the role or database is read-only.
    ReadOnly,
    /// The role may not do what is needed.
    Permission,
    /// A role is not what it should be, or the login does not act as the role that it should.
    Identity,
    /// Somebody else held a lock, or a statement took, for too long; another attempt may succeed.
    Busy,
    /// The policy's test SQL failed.
    ProofFailed,
    /// Something between us and the server answers in its place, and keeps passwords of its own.
    Pooler,
    /// None of these.
    Other,
}

impl ErrorKind {
    /// The stable name, as the invocation's error type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Tls => "Tls",
            Self::Auth => "Auth",
            Self::ConnectionLimit => "ConnectionLimit",
            Self::ReadOnly => "ReadOnly",
            Self::Permission => "Permission",
            Self::Identity => "Identity",
            Self::Busy => "Busy",
            Self::ProofFailed => "ProofFailed",
            Self::Pooler => "Pooler",
            Self::Other => "Database",
        }
    }
}

/// A failed login or statement, reduced to values that are safe to log and to compare.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot {during} ({target}): {reason}{}", SqlState(sqlstate.as_deref()))]
pub struct DatabaseError {
    /// What an operator does next depends on.
    pub kind: ErrorKind,
    /// What was being done.
    pub during: &'static str,
    /// `user@host:port/database`.
    pub target: String,
    /// The server's error code, if it was the server that refused.
    pub sqlstate: Option<String>,
    /// Why, without anything secret: the server's message only where it can quote no password, verifier or row.
    pub reason: String,
}

impl DatabaseError {
    /// Whether the server answered a statement by refusing it, so that its transaction is rolled back. A refused login says
    /// nothing of what was done before.
    pub fn is_refused_statement(&self) -> bool {
        self.sqlstate.is_some() && self.kind != ErrorKind::Network && self.during != LOG_IN
    }
}

struct SqlState<'a>(Option<&'a str>);

impl fmt::Display for SqlState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |code| write!(f, " (SQLSTATE {code})"))
    }
}

/// A way to log in, with the authorities that servers' certificates must come from.
#[derive(Clone)]
pub struct Database {
    tls: MakeRustlsConnect,
    /// What the server's list of sessions shows.
    application: &'static str,
}

/// One connection. Dropping it cuts the connection, and the server rolls back what was open.
pub struct Session {
    /// The driver's client, for what needs typed parameters.
    pub client: Client,
    user: String,
    /// The server's major version, e.g. 15.
    pub major: u32,
    /// `user@host:port/database`.
    pub target: String,
    connection: Connection,
}

struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a login must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// The role that logs in.
    pub login: String,
    /// The role that it acts as from its first statement on; `None` when that does not matter.
    pub owner: Option<String>,
}

impl Database {
    /// Reads `RDS_CA_FILE`, which may be empty: then the authorities are those of Amazon RDS.
    ///
    /// # Errors
    ///
    /// [`EnvError`] when the file cannot be read or holds no authority.
    pub fn from_env(application: &'static str, env: &Env<'_>) -> Result<Self, EnvError> {
        let invalid = |reason| EnvError::Invalid { name: "RDS_CA_FILE", reason };
        let file: Option<String> = env.optional("RDS_CA_FILE")?;
        let roots = match file {
            Some(path) => {
                let pem = std::fs::read(&path).map_err(|error| invalid(format!("{path}: {error}")))?;
                certificates::roots(&pem).map_err(|error| invalid(chain(&error)))?
            }
            None => certificates::roots(certificates::RDS).map_err(|error| invalid(chain(&error)))?,
        };
        Self::new(application, roots).map_err(|error| invalid(chain(&error)))
    }

    /// Takes the authorities to trust, and the name that the server's list of sessions shows.
    ///
    /// # Errors
    ///
    /// When the TLS library supports no protocol version, which a build of it could.
    pub fn new(application: &'static str, roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: MakeRustlsConnect::new(config), application })
    }

    /// Logs in over verified TLS, and never without; bound to its channel where the server offers that. Takes at most
    /// 5 s. An address that is a folder is refused: sockets have no TLS.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], never of kind `ReadOnly` or `ProofFailed`; `Identity` for the host of an RDS Proxy.
    pub async fn login(&self, login: &Login) -> Result<Session, DatabaseError> {
        self.enter(login, ChannelBinding::Prefer).await
    }

    /// Logs in as [`Self::login`] does, but only bound to the channel. A server could else ask for the password in clear
    /// text, and whose server it is says the application's secret, whose writers may not know this login.
    ///
    /// # Errors
    ///
    /// As [`Self::login`]; `Auth` when the server wants another proof than SCRAM-SHA-256-PLUS.
    pub async fn login_bound(&self, login: &Login) -> Result<Session, DatabaseError> {
        self.enter(login, ChannelBinding::Require).await
    }

    async fn enter(&self, login: &Login, binding: ChannelBinding) -> Result<Session, DatabaseError> {
        const DURING: &str = LOG_IN;
        let target = format!("{}@{}:{}/{}", login.user, login.host, login.port, login.database);
        let refuse = |kind, reason: &str| DatabaseError {
            kind,
            during: DURING,
            target: target.clone(),
            sqlstate: None,
            reason: reason.to_owned(),
        };
        if login.host.is_empty() || login.host.starts_with(['/', '@']) {
            return Err(refuse(ErrorKind::Network, "the host is not a host name"));
        }
        if login.host.contains(".proxy-") && login.host.trim_end_matches('.').ends_with(".rds.amazonaws.com")
        {
            let reason =
                "the host is an RDS Proxy's, through which no user is managed; name the instance's endpoint";
            return Err(refuse(ErrorKind::Identity, reason));
        }
        if [&login.user, &login.database].iter().any(|name| name.is_empty() || name.contains('\0')) {
            return Err(refuse(ErrorKind::Auth, "the user or the database has no possible name"));
        }
        let options = match &login.search_path {
            // The server splits the options at blanks that no backslash escapes.
            Some(path) => {
                let escaped: String = path
                    .chars()
                    .flat_map(|c| (c == '\\' || is_blank(c)).then_some('\\').into_iter().chain([c]))
                    .collect();
                format!("{OPTIONS} -c search_path={escaped}")
            }
            None => OPTIONS.to_owned(),
        };
        let mut config = Config::new();
        config
            .host(&login.host)
            .port(login.port)
            .dbname(&login.database)
            .user(&login.user)
            .password(login.password.expose_secret())
            .application_name(self.application)
            .options(options)
            .ssl_mode(SslMode::Require)
            .channel_binding(binding);
        let (client, connection) = match timeout(CONNECT_LIMIT, config.connect(self.tls.clone())).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(describe(&error, DURING, &target, Quotes::Nothing)),
            Err(_) => return Err(refuse(ErrorKind::Network, "no answer within 5 s")),
        };
        let version = connection.parameter("server_version").unwrap_or_default();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse().ok());
        // Its error reaches whoever waits for an answer as a closed connection.
        let connection = Connection(tokio::spawn(async move {
            let _ = connection.await;
        }));
        Ok(Session { client, user: login.user.clone(), major: major.unwrap_or(0), target, connection })
    }
}

/// What a server's message about a statement could quote.
#[derive(Clone, Copy)]
pub enum Quotes {
    /// Nothing that is secret.
    Nothing,
    /// A password's verifier.
    Verifier,
    /// Values of the application's rows.
    Rows,
}

impl Session {
    /// Ends the session in an orderly way.
    pub async fn close(self) {
        let Self { client, mut connection, .. } = self;
        // The farewell is sent when the client is gone.
        drop(client);
        let _ = timeout(CLOSE_LIMIT, &mut connection.0).await;
    }

    /// Refuses a session that a pooler serves: a pooler that lets the login in may drop its options, by which the server
    /// limits our statements.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] of kind `Pooler` when the options did not arrive.
    pub async fn must_be_direct(&self) -> Result<(), DatabaseError> {
        const DURING: &str = "look whether the server itself answers";
        let asked = "SELECT pg_catalog.current_setting('statement_timeout') || ' ' || \
            pg_catalog.current_setting('idle_in_transaction_session_timeout')";
        let answer = self.run(DURING, asked, Quotes::Nothing).await?;
        if column(&answer, 0) == Some("10s 20s") {
            return Ok(());
        }
        let reason = "the session lacks the options that the login asked for, so a pooler serves it";
        Err(self.error(ErrorKind::Pooler, DURING, reason.to_owned()))
    }

    /// Changes the login's own password, as the login, which is proof that it could log in before. The password stays
    /// here; what the server gets and may log is its SCRAM-SHA-256 verifier.
    ///
    /// `fence` is asked, under a lock that one rotation of a login or of its pair holds at a time, whether this
    /// rotation is still wanted; when it is not, its error is returned and nothing has changed. Setting the password
    /// that is set already changes its salt only.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] (`Busy` when the lock was not free within 5 s), or the fence's error. After a `Network` error
    /// the password may have been changed.
    pub async fn set_own_password<E: From<DatabaseError>>(
        &self,
        password: &SecretString,
        fence: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.alter(&self.user, "PASSWORD", password, fence).await
    }

    /// Lets another login log in, with this password, by one who may alter it.
    ///
    /// # Errors
    ///
    /// As [`Self::set_own_password`].
    pub async fn enable<E: From<DatabaseError>>(
        &self,
        user: &str,
        password: &SecretString,
        fence: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.alter(user, "LOGIN PASSWORD", password, fence).await
    }

    async fn alter<E: From<DatabaseError>>(
        &self,
        user: &str,
        what: &str,
        password: &SecretString,
        fence: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.in_transaction(user, async || {
            fence().await?;
            let sql = Zeroizing::new(format!(
                "ALTER ROLE {} {what} {}",
                escape_identifier(user),
                escape_literal(&verifier(password)),
            ));
            self.run("set the login's password", &sql, Quotes::Verifier).await?;
            self.run("set the login's password", "COMMIT", Quotes::Nothing).await?;
            Ok(())
        })
        .await
    }

    /// Takes the right to log in, and the password, from another login.
    ///
    /// # Errors
    ///
    /// As [`Self::set_own_password`].
    pub async fn disable<E: From<DatabaseError>>(
        &self,
        user: &str,
        fence: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        const DURING: &str = "disable the login";
        self.in_transaction(user, async || {
            fence().await?;
            let sql = format!("ALTER ROLE {} NOLOGIN PASSWORD NULL", escape_identifier(user));
            self.run(DURING, &sql, Quotes::Nothing).await?;
            self.run(DURING, "COMMIT", Quotes::Nothing).await?;
            Ok(())
        })
        .await
    }

    /// Proves that the login is who it should be and that the application could work with it: each statement of `sql`
    /// is executed, with the search path that the application gets, in one transaction that is then rolled back.
    /// Sequences and what is outside of the database do not roll back.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]: `Identity`, `ReadOnly`, `Permission`, `Network`, `ConnectionLimit`, `Busy`, else `ProofFailed`.
    pub async fn prove(&self, expected: &Expected, sql: &[String]) -> Result<(), DatabaseError> {
        const DURING: &str = "prove the login";
        let begin = "BEGIN READ WRITE; \
            SELECT session_user, current_user, pg_catalog.pg_is_in_recovery(), pg_catalog.pg_current_xact_id()";
        let begun = self.run(DURING, begin, Quotes::Nothing).await.map_err(standby)?;
        let proven = self.prove_begun(expected, sql, &begun).await;
        if proven.is_err() {
            self.roll_back().await;
        }
        proven
    }

    async fn prove_begun(
        &self,
        expected: &Expected,
        sql: &[String],
        begun: &[SimpleQueryMessage],
    ) -> Result<(), DatabaseError> {
        const DURING: &str = "prove the login";
        let (login, acting) = (column(begun, 0), column(begun, 1));
        if login != Some(&expected.login) {
            let reason = format!("the login is {}, not {}", login.unwrap_or("nobody"), expected.login);
            return Err(self.error(ErrorKind::Identity, DURING, reason));
        }
        if let Some(owner) = &expected.owner
            && acting != Some(owner)
        {
            let reason = format!("the login acts as {}, not as {owner}", acting.unwrap_or("nobody"));
            return Err(self.error(ErrorKind::Identity, DURING, reason));
        }
        if column(begun, 2) != Some("f") {
            return Err(self.error(ErrorKind::ReadOnly, DURING, "the server is a standby".to_owned()));
        }
        for (place, statement) in sql.iter().enumerate() {
            let failed = |error: DatabaseError| DatabaseError {
                reason: format!("statement {} of the policy's test SQL: {}", place + 1, error.reason),
                kind: match error.kind {
                    ErrorKind::Network
                    | ErrorKind::ConnectionLimit
                    | ErrorKind::ReadOnly
                    | ErrorKind::Permission => error.kind,
                    // A lock has a limit of its own, shorter than a statement's: what exceeds that is slow itself.
                    ErrorKind::Busy if error.sqlstate.as_deref() != Some("57014") => error.kind,
                    _ => ErrorKind::ProofFailed,
                },
                ..error
            };
            // The extended protocol takes one statement only.
            let executed = timeout(STATEMENT_LIMIT, self.client.execute_typed(statement, &[])).await;
            self.answered(DURING, executed, Quotes::Rows).map_err(failed)?;
        }
        let end = "SELECT pg_catalog.pg_current_xact_id(); ROLLBACK";
        let ended = self.run(DURING, end, Quotes::Nothing).await?;
        if column(&ended, 0) != column(begun, 3) {
            let reason = "the policy's test SQL ended its transaction; what it did may not be undone";
            return Err(self.error(ErrorKind::ProofFailed, DURING, reason.to_owned()));
        }
        Ok(())
    }

    /// Runs `work` in a transaction of the login's own role that holds the lock of `user`'s pair, with no name
    /// resolved outside of PostgreSQL's catalog: the application could have put a function of its own in the way.
    /// What `work` does not commit is rolled back when it fails.
    pub async fn in_transaction<T, E: From<DatabaseError>>(
        &self,
        user: &str,
        work: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL ROLE NONE; \
             SET LOCAL search_path = pg_catalog, pg_temp; SELECT pg_catalog.pg_advisory_xact_lock({})",
            lock_key(stem(user))
        );
        let begun = self.run("begin, alone in rotating the login", &begin, Quotes::Nothing).await;
        let result = match begun.map_err(standby) {
            Ok(_) => work().await,
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            self.roll_back().await;
        }
        result
    }

    /// Runs one statement by itself, and gives the number of rows that it changed.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. After a `Network` error the rows may have been changed.
    pub async fn execute(&self, during: &'static str, sql: &str) -> Result<u64, DatabaseError> {
        let answer = self.run(during, sql, Quotes::Rows).await?;
        let count = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        });
        Ok(count.unwrap_or_default())
    }

    /// One round trip; `sql` may hold several statements.
    pub async fn run(
        &self,
        during: &'static str,
        sql: &str,
        quotes: Quotes,
    ) -> Result<Vec<SimpleQueryMessage>, DatabaseError> {
        self.answered(during, timeout(STATEMENT_LIMIT, self.client.simple_query(sql)).await, quotes)
    }

    /// What came of a statement that was sent through the client.
    pub fn answered<T>(
        &self,
        during: &'static str,
        answer: Result<Result<T, tokio_postgres::Error>, tokio::time::error::Elapsed>,
        quotes: Quotes,
    ) -> Result<T, DatabaseError> {
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(describe(&error, during, &self.target, quotes)),
            Err(_) => Err(self.error(ErrorKind::Network, during, "no answer within 12 s".to_owned())),
        }
    }

    /// An error of our own about this login.
    pub fn error(&self, kind: ErrorKind, during: &'static str, reason: String) -> DatabaseError {
        DatabaseError { kind, during, target: self.target.clone(), sqlstate: None, reason }
    }

    /// When it fails the connection is broken, and the server rolls back by itself.
    async fn roll_back(&self) {
        let _ = timeout(CLOSE_LIMIT, self.client.batch_execute("ROLLBACK")).await;
    }
}

/// Whether the server's options end a word here: `isspace` of C, which knows one character more than Rust.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// What `ALTER ROLE … PASSWORD` takes in place of a password: it lets the server check one, not know it.
pub fn verifier(password: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes()))
}

/// A column of the first row.
fn column(messages: &[SimpleQueryMessage], place: usize) -> Option<&str> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(place).ok().flatten(),
        _ => None,
    })
}

/// The mark of a pair's second login, as AWS's own functions name it.
pub const CLONE: &str = "_clone";

/// The name without the mark of the second login.
pub fn stem(user: &str) -> &str {
    user.strip_suffix(CLONE).filter(|stem| !stem.is_empty()).unwrap_or(user)
}

/// Key of the advisory lock of a pair, or of the one login that is no pair yet. Changing it lets two releases of this
/// function work at once.
fn lock_key(stem: &str) -> i64 {
    // FNV-1a: stable over releases and platforms, which the standard library's hashes are not.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = "rotate-database/".bytes().chain(stem.bytes()).fold(0xcbf2_9ce4_8422_2325, fold);
    hash.cast_signed()
}

/// On a standby not even the beginning of a writing transaction is supported.
fn standby(error: DatabaseError) -> DatabaseError {
    match error.sqlstate.as_deref() {
        Some("0A000") => DatabaseError { kind: ErrorKind::ReadOnly, ..error },
        _ => error,
    }
}

fn describe(
    error: &tokio_postgres::Error,
    during: &'static str,
    target: &str,
    quotes: Quotes,
) -> DatabaseError {
    let (kind, sqlstate, reason) = match error.as_db_error() {
        Some(server) => {
            let code = server.code().code();
            let shown = if may_show(code, quotes) {
                server.message()
            } else {
                "the server's message is not shown, since it may quote a secret"
            };
            (refusal(code, server.message(), during), Some(code.to_owned()), shown.to_owned())
        }
        None => {
            let (kind, reason) = fault(&error.to_string(), error.source());
            (kind, None, reason)
        }
    };
    DatabaseError { kind, during, target: target.to_owned(), sqlstate, reason }
}

/// The kind of a server's refusal. Only of a login is a refused authorization a matter of its password; of a statement it is
/// a rule of the server's, such as a password hook's.
fn refusal(sqlstate: &str, message: &str, during: &str) -> ErrorKind {
    match sqlstate {
        // PgBouncer takes no options, has authentication of its own, and names itself nowhere else. Source: its
        // documentation of `ignore_startup_parameters`, and `src/client.c`.
        "08P01" if message.contains("startup parameter") || message.contains("SASL") => ErrorKind::Pooler,
        "28P01" | "28000" if during != LOG_IN => ErrorKind::Permission,
        "XX000" if message.contains("concurrently updated") => ErrorKind::Busy,
        _ => kind_of(sqlstate),
    }
}

/// The kind of a server's error code.
fn kind_of(sqlstate: &str) -> ErrorKind {
    match sqlstate {
        // admin_shutdown, crash_shutdown, cannot_connect_now (starting up), idle_session_timeout,
        // idle_in_transaction_session_timeout, transaction_timeout
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => ErrorKind::Network,
        "28P01" | "28000" => ErrorKind::Auth,
        "53300" => ErrorKind::ConnectionLimit,
        "25006" => ErrorKind::ReadOnly,
        "42501" => ErrorKind::Permission,
        // lock_not_available, query_canceled, deadlock_detected, serialization_failure
        "55P03" | "57014" | "40P01" | "40001" => ErrorKind::Busy,
        // A violation of the protocol is an answer.
        "08P01" => ErrorKind::Other,
        _ if sqlstate.starts_with("08") => ErrorKind::Network,
        _ => ErrorKind::Other,
    }
}

/// Whether the message with an error code can quote nothing of what it must not.
fn may_show(sqlstate: &str, quotes: Quotes) -> bool {
    let class = sqlstate.get(..2).unwrap_or_default();
    let state = matches!(class, "0A" | "25" | "53" | "55" | "57");
    match quotes {
        Quotes::Nothing => true,
        // A syntax error quotes what stands near it.
        Quotes::Verifier => state || matches!(sqlstate, "42501" | "42704" | "42710"),
        Quotes::Rows => state || matches!(class, "3D" | "3F" | "42"),
    }
}

/// The kind and the text of an error that did not come from the server.
fn fault(error: &str, source: Option<&(dyn Error + 'static)>) -> (ErrorKind, String) {
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    let inner = io.and_then(io::Error::get_ref);
    let tls = inner.is_some_and(|inner| {
        inner.is::<rustls::Error>() || inner.is::<rustls::pki_types::InvalidDnsNameError>()
    });
    let reason = source.map_or_else(|| error.to_owned(), ToString::to_string);
    let kind = match (error, io) {
        _ if tls => ErrorKind::Tls,
        ("authentication error", _) => ErrorKind::Auth,
        (_, Some(_)) | ("connection closed" | "timeout waiting for server", _) => ErrorKind::Network,
        ("error performing TLS handshake", None) => ErrorKind::Tls,
        _ => ErrorKind::Other,
    };
    (kind, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_kind() {
        for (sqlstate, kind) in [
            ("57P01", ErrorKind::Network),
            ("57P02", ErrorKind::Network),
            ("57P03", ErrorKind::Network),
            ("57P05", ErrorKind::Network),
            ("25P03", ErrorKind::Network),
            ("25P04", ErrorKind::Network),
            ("08006", ErrorKind::Network),
            ("28P01", ErrorKind::Auth),
            ("28000", ErrorKind::Auth),
            ("53300", ErrorKind::ConnectionLimit),
            ("53200", ErrorKind::Other),
            ("25006", ErrorKind::ReadOnly),
            ("25P02", ErrorKind::Other),
            ("42501", ErrorKind::Permission),
            ("42P01", ErrorKind::Other),
            ("55P03", ErrorKind::Busy),
            ("57014", ErrorKind::Busy),
            ("40P01", ErrorKind::Busy),
            ("40001", ErrorKind::Busy),
            ("3D000", ErrorKind::Other),
            ("", ErrorKind::Other),
        ] {
            assert_eq!(kind_of(sqlstate), kind, "{sqlstate}");
        }
    }

    #[test]
    fn a_message_that_could_quote_a_secret_is_not_shown() {
        for (sqlstate, verifier, rows) in [
            ("42501", true, true),
            ("42601", false, true),
            ("42704", true, true),
            ("22P02", false, false),
            ("23505", false, false),
            ("25006", true, true),
            ("55P03", true, true),
            ("P0001", false, false),
            ("XX000", false, false),
            ("0A000", true, true),
            ("", false, false),
        ] {
            assert_eq!(may_show(sqlstate, Quotes::Verifier), verifier, "{sqlstate}");
            assert_eq!(may_show(sqlstate, Quotes::Rows), rows, "{sqlstate}");
            assert!(may_show(sqlstate, Quotes::Nothing), "{sqlstate}");
        }
    }

    #[test]
    fn what_the_driver_says_has_its_kind() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let ended = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let untrusted = io::Error::new(io::ErrorKind::InvalidData, certificate);
        let plain: Box<dyn Error + Send + Sync> = "server does not support TLS".into();
        let tls = "error performing TLS handshake";
        for (error, source, kind) in [
            ("error connecting to server", Some(&refused as &(dyn Error + 'static)), ErrorKind::Network),
            (tls, Some(&ended), ErrorKind::Network),
            (tls, Some(&untrusted), ErrorKind::Tls),
            (tls, Some(&*plain), ErrorKind::Tls),
            ("error communicating with the server", Some(&untrusted), ErrorKind::Tls),
            ("authentication error", Some(&*plain), ErrorKind::Auth),
            ("connection closed", None, ErrorKind::Network),
            ("unexpected message from server", None, ErrorKind::Other),
        ] {
            assert_eq!(fault(error, source).0, kind, "{error}: {source:?}");
        }
    }

    #[test]
    fn the_lock_of_a_pair_is_one_for_ever() {
        assert_eq!(lock_key(stem("imm")), lock_key(stem("imm_clone")));
        assert_ne!(lock_key("imm"), lock_key("imn"));
        // FNV-1a of `rotate-database/imm`, reckoned elsewhere.
        assert_eq!(lock_key("imm"), -8_442_608_636_078_353_694);
    }
}
