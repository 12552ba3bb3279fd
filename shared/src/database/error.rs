//! Failures of logins and statements: their kinds, and what may be shown of the server's messages.

use std::error::Error;
use std::fmt;
use std::io;

use super::LOG_IN;

/// Why the database refused, with one variant for each next step of an operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// No answer, or a broken connection: DNS, route, security group, a stopped or restarting server.
    Network,
    /// The server offers no TLS, or its certificate is not for the host or not from a known authority.
    Tls,
    /// The login was refused: wrong password, role expired or not allowed to log in.
    Auth,
    /// No connection is free, for the role or on the server.
    ConnectionLimit,
    /// The server is a standby, or the role or database is read-only.
    ReadOnly,
    /// The role lacks a permission.
    Permission,
    /// A role is not the expected one, or the login acts as the wrong role.
    Identity,
    /// Another session held a lock for too long, or a statement took too long; a retry may succeed.
    Busy,
    /// The policy's test SQL failed.
    ProofFailed,
    /// A pooler answers in the server's place and keeps its own passwords.
    Pooler,
    /// Any other reason.
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
    /// Decides the operator's next step.
    pub kind: ErrorKind,
    /// The action that failed.
    pub during: &'static str,
    /// `user@host:port/database`.
    pub target: String,
    /// The server's error code, if the server refused.
    pub sqlstate: Option<String>,
    /// The reason, without secrets: includes the server's message only if it cannot quote a password, verifier or row.
    pub reason: String,
}

impl DatabaseError {
    /// Whether the server refused a statement, which rolls back its transaction. A refused login does not show whether
    /// earlier changes took effect.
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

/// The secrets that a server's message about a statement could quote.
#[derive(Clone, Copy)]
pub enum Quotes {
    /// No secrets.
    Nothing,
    /// A password's verifier.
    Verifier,
    /// Values of the application's rows.
    Rows,
}

/// A standby refuses even to begin a writing transaction.
pub(super) fn standby(error: DatabaseError) -> DatabaseError {
    match error.sqlstate.as_deref() {
        Some("0A000") => DatabaseError { kind: ErrorKind::ReadOnly, ..error },
        _ => error,
    }
}

pub(super) fn describe(
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
                "the server's message is hidden because it may quote a secret"
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

/// The kind of a server's refusal. A refused authorization concerns the password only during a login; for a statement
/// it is a rule of the server, such as a password hook.
fn refusal(sqlstate: &str, message: &str, during: &str) -> ErrorKind {
    match sqlstate {
        // PgBouncer rejects options, has its own authentication, and identifies itself in no other way. Source: its
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
        // A protocol violation is an answer, so the network works.
        "08P01" => ErrorKind::Other,
        _ if sqlstate.starts_with("08") => ErrorKind::Network,
        _ => ErrorKind::Other,
    }
}

/// Whether a message with this error code cannot quote a secret.
fn may_show(sqlstate: &str, quotes: Quotes) -> bool {
    let class = sqlstate.get(..2).unwrap_or_default();
    let state = matches!(class, "0A" | "25" | "53" | "55" | "57");
    match quotes {
        Quotes::Nothing => true,
        // A syntax error quotes the text near it.
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
    fn every_driver_error_has_its_kind() {
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
}
