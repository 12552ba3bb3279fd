//! PostgreSQL: logins, their proof, password changes, and the reasons for failures.
//!
//! Sources: [error codes](https://www.postgresql.org/docs/current/errcodes-appendix.html),
//! [ALTER ROLE](https://www.postgresql.org/docs/current/sql-alterrole.html),
//! [SASL authentication](https://www.postgresql.org/docs/current/sasl-authentication.html).

pub mod certificates;
mod error;
pub mod secret;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

pub use error::{DatabaseError, ErrorKind, Quotes};

use postgres_protocol::escape::{escape_identifier, escape_literal};
use rustls::{ClientConfig, RootCertStore};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use error::{describe, standby};

use crate::database::secret::Login;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::chain;

/// DNS, TCP, TLS and authentication together.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The server's `statement_timeout` below plus an allowance for the network.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(12);

/// Closing in an orderly way only keeps the server's log clean.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The action named in a login's errors.
const LOG_IN: &str = "log in";

/// Sent with the login, so they cost no statement; a role's own settings do not override them. If an invocation is
/// frozen or killed, the server ends its idle transaction and so releases the advisory lock.
const OPTIONS: &str =
    "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=20s";

/// Opens sessions; holds the CAs that servers' certificates must come from.
#[derive(Clone)]
pub struct Database {
    tls: MakeRustlsConnect,
    /// The name in the server's list of sessions.
    application: &'static str,
}

/// One connection. Dropping it cuts the connection, and the server rolls back an open transaction.
pub struct Session {
    /// The driver's client, for queries with typed parameters.
    pub client: Client,
    user: String,
    /// The server's major version, e.g. 15.
    pub major: u32,
    /// `user@host:port/database`.
    pub target: String,
    connection: Connection,
}

impl Borrow<Client> for Session {
    fn borrow(&self) -> &Client {
        &self.client
    }
}

struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The roles that a login must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// The role that logs in.
    pub login: String,
    /// The role that it acts as from its first statement on; `None` for any.
    pub owner: Option<String>,
}

impl Database {
    /// Reads `RDS_CA_FILE`. If it is empty, trusts Amazon RDS's CAs.
    ///
    /// # Errors
    ///
    /// [`EnvError`] if the file cannot be read or holds no certificate.
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

    /// Trusts `roots`; `application` appears in the server's list of sessions.
    ///
    /// # Errors
    ///
    /// If this build of the TLS library supports no protocol version.
    pub fn new(application: &'static str, roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: MakeRustlsConnect::new(config), application })
    }

    /// Logs in, always over verified TLS, with channel binding if the server offers it. Takes at most 5 s. Socket paths
    /// are refused, since sockets have no TLS.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], never of kind `ReadOnly` or `ProofFailed`; `Identity` for the host of an RDS Proxy.
    pub async fn login(&self, login: &Login) -> Result<Session, DatabaseError> {
        self.enter(login, ChannelBinding::Prefer).await
    }

    /// Logs in like [`Self::login`], but requires channel binding. Without it a server could ask for the password in
    /// clear text. The application's secret names the server, and its writers must not learn this login's password.
    ///
    /// # Errors
    ///
    /// As [`Self::login`]; `Auth` if the server asks for any proof but SCRAM-SHA-256-PLUS.
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
            let reason = "the host is an RDS Proxy, through which users cannot be managed; use the instance's endpoint";
            return Err(refuse(ErrorKind::Identity, reason));
        }
        if [&login.user, &login.database].iter().any(|name| name.is_empty() || name.contains('\0')) {
            return Err(refuse(ErrorKind::Auth, "the user or database name is empty or has a NUL character"));
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
        // A waiting query sees the connection's error as a closed connection.
        let connection = Connection(tokio::spawn(async move {
            let _ = connection.await;
        }));
        Ok(Session { client, user: login.user.clone(), major: major.unwrap_or(0), target, connection })
    }
}

impl Session {
    /// Closes the session in an orderly way.
    pub async fn close(self) {
        let Self { client, mut connection, .. } = self;
        // Dropping the client sends the terminate message.
        drop(client);
        let _ = timeout(CLOSE_LIMIT, &mut connection.0).await;
    }

    /// Refuses a session through a pooler. A pooler may drop the login's options, and with them the statements' time
    /// limits.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] of kind `Pooler` if the options did not arrive.
    pub async fn must_be_direct(&self) -> Result<(), DatabaseError> {
        const DURING: &str = "check that the server itself answers";
        let asked = "SELECT pg_catalog.current_setting('statement_timeout') || ' ' || \
            pg_catalog.current_setting('idle_in_transaction_session_timeout')";
        let answer = self.run(DURING, asked, Quotes::Nothing).await?;
        if column(&answer, 0) == Some("10s 20s") {
            return Ok(());
        }
        let reason = "the session lacks the options sent with the login, so it goes through a pooler";
        Err(self.error(ErrorKind::Pooler, DURING, reason.to_owned()))
    }

    /// Changes the login's own password, as the login. The server receives, and may log, only the SCRAM-SHA-256
    /// verifier.
    ///
    /// `fence` checks whether this rotation is still wanted. It runs under a lock that only one rotation of the login
    /// or its pair holds at a time; if it fails, its error is returned and nothing is changed. Setting the same
    /// password again changes only its salt.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] (`Busy` if the lock was not free within 5 s), or the fence's error. After a `Network` error
    /// the password may have been changed.
    pub async fn set_own_password<E: From<DatabaseError>>(
        &self,
        password: &SecretString,
        fence: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.alter(&self.user, "PASSWORD", password, fence).await
    }

    /// Enables another login with this password. The session's role must be allowed to alter it.
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
        attributes: &str,
        password: &SecretString,
        fence: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.in_transaction(user, async || {
            fence().await?;
            let sql = Zeroizing::new(format!(
                "ALTER ROLE {} {attributes} {}",
                escape_identifier(user),
                escape_literal(&verifier(password)),
            ));
            self.run("set the login's password", &sql, Quotes::Verifier).await?;
            self.run("set the login's password", "COMMIT", Quotes::Nothing).await?;
            Ok(())
        })
        .await
    }

    /// Disables another login and removes its password.
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

    /// Proves that the login has the expected roles and that the application could work with it. Executes each
    /// statement of `sql`, with the application's search path, in one transaction that is then rolled back. Sequences
    /// and effects outside the database do not roll back.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]: `Identity`, `ReadOnly`, `Permission`, `Network`, `ConnectionLimit`, `Busy`, else
    /// `ProofFailed`.
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
            let reason = format!("the login is {}, not {}", login.unwrap_or("unknown"), expected.login);
            return Err(self.error(ErrorKind::Identity, DURING, reason));
        }
        if let Some(owner) = &expected.owner
            && acting != Some(owner)
        {
            let reason = format!("the login acts as {}, not as {owner}", acting.unwrap_or("an unknown role"));
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
                    // Locks have their own, shorter limit, so a statement that hits the statement limit is slow itself.
                    ErrorKind::Busy if error.sqlstate.as_deref() != Some("57014") => error.kind,
                    _ => ErrorKind::ProofFailed,
                },
                ..error
            };
            // The extended protocol takes only one statement.
            let executed = timeout(STATEMENT_LIMIT, self.client.execute_typed(statement, &[])).await;
            self.answered(DURING, executed, Quotes::Rows).map_err(failed)?;
        }
        let end = "SELECT pg_catalog.pg_current_xact_id(); ROLLBACK";
        let ended = self.run(DURING, end, Quotes::Nothing).await?;
        if column(&ended, 0) != column(begun, 3) {
            let reason = "the policy's test SQL ended its transaction; its changes may not be rolled back";
            return Err(self.error(ErrorKind::ProofFailed, DURING, reason.to_owned()));
        }
        Ok(())
    }

    /// Runs `work` in a transaction as the login's own role, holding the lock of `user`'s pair. Names resolve only in
    /// PostgreSQL's catalog, because the application could define functions of the same name. If `work` fails, its
    /// uncommitted changes are rolled back.
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
        let begun = self.run("lock the login for this rotation", &begin, Quotes::Nothing).await;
        let result = match begun.map_err(standby) {
            Ok(_) => work().await,
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            self.roll_back().await;
        }
        result
    }

    /// Runs one statement by itself and returns the number of affected rows.
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

    /// Converts the client's answer to a statement.
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

    /// Builds an error about this login that the server did not report.
    pub fn error(&self, kind: ErrorKind, during: &'static str, reason: String) -> DatabaseError {
        DatabaseError { kind, during, target: self.target.clone(), sqlstate: None, reason }
    }

    /// If this fails, the connection is broken, and the server rolls back by itself.
    async fn roll_back(&self) {
        let _ = timeout(CLOSE_LIMIT, self.client.batch_execute("ROLLBACK")).await;
    }
}

/// Whether the character separates words in the server's options: C's `isspace`, which has one more than Rust's.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// The verifier that `ALTER ROLE … PASSWORD` takes in place of a password. It lets the server check a password without
/// knowing it.
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

/// The suffix of a pair's second login, as in AWS's own functions.
pub const CLONE: &str = "_clone";

/// The name without the second login's suffix.
pub fn stem(user: &str) -> &str {
    user.strip_suffix(CLONE).filter(|stem| !stem.is_empty()).unwrap_or(user)
}

/// Key of the advisory lock of a pair, or of a single login. Changing it would let two releases of the function work at
/// the same time.
fn lock_key(stem: &str) -> i64 {
    // FNV-1a, because the standard library's hashes are not stable across releases and platforms.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = "rotate-database/".bytes().chain(stem.bytes()).fold(0xcbf2_9ce4_8422_2325, fold);
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_key_of_a_pair_never_changes() {
        assert_eq!(lock_key(stem("imm")), lock_key(stem("imm_clone")));
        assert_ne!(lock_key("imm"), lock_key("imn"));
        // FNV-1a of `rotate-database/imm`, calculated independently.
        assert_eq!(lock_key("imm"), -8_442_608_636_078_353_694);
    }
}
