//! Settings of every session, and what its errors mean.

use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::plan::Plan;
use crate::reading::{Failure, FailureKind};
use crate::{ROLE, Role};

/// A migration of the source waits behind ours at most this long; and ours behind it.
const LOCK: Duration = Duration::from_secs(2);

/// On a copy only its own vacuum holds locks, and gives up those that others wait for.
const LOCK_OF_COPY: Duration = Duration::from_secs(20);

/// The message if row-level security would hide rows.
const HIDDEN: &str = "row-level security would hide rows";

/// Longest message that is kept, in characters.
const MESSAGE: usize = 300;

/// Makes all output independent of the server's, the database's and the role's settings, and the session read-only.
///
/// Each statement outside a transaction is a transaction with one snapshot, and gives its locks back at its end.
pub(crate) async fn set_up(client: &Client, plan: &Plan, role: Role) -> Result<(), tokio_postgres::Error> {
    let statement = plan.statement.as_millis();
    // A session that shares a snapshot waits for the others' last statement.
    let idle = statement.saturating_mul(2);
    let (act, lock) = match role {
        Role::Source => (String::new(), LOCK),
        Role::Copy => (format!("SET ROLE {ROLE};"), LOCK_OF_COPY),
    };
    let lock = lock.as_millis();
    client
        .batch_execute(&format!(
            "{act}
            SET statement_timeout = {statement};
            SET lock_timeout = {lock};
            SET idle_in_transaction_session_timeout = {idle};
            SET default_transaction_isolation = 'repeatable read';
            SET default_transaction_read_only = on;
            SET row_security = off;
            SET search_path = '';
            SET standard_conforming_strings = on;
            SET client_encoding = 'UTF8';
            SET DateStyle = 'ISO, YMD';
            SET IntervalStyle = 'postgres';
            SET TimeZone = 'UTC';
            SET bytea_output = 'hex';
            SET extra_float_digits = 1;
            SET xmloption = 'content';
            SET lc_monetary = 'C';
            SET quote_all_identifiers = off;
            SET jit = off;"
        ))
        .await
}

/// The rows of a query, as text.
pub(crate) async fn rows(client: &Client, sql: &str) -> Result<Vec<SimpleQueryRow>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

/// The only row of a query.
pub(crate) async fn row(client: &Client, sql: &str) -> Result<SimpleQueryRow, Failure> {
    rows(client, sql).await?.pop().ok_or_else(Failure::answer)
}

/// A value that is not null, parsed.
pub(crate) fn value<T: FromStr>(row: &SimpleQueryRow, column: usize) -> Result<T, Failure> {
    optional(row, column)?.ok_or_else(Failure::answer)
}

/// A value, parsed.
pub(crate) fn optional<T: FromStr>(row: &SimpleQueryRow, column: usize) -> Result<Option<T>, Failure> {
    let text = row.try_get(column).map_err(|_| Failure::answer())?;
    text.map(str::parse).transpose().map_err(|_| Failure::answer())
}

/// A value of JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &SimpleQueryRow, column: usize) -> Result<T, Failure> {
    let text = row.try_get(column).ok().flatten().ok_or_else(Failure::answer)?;
    serde_json::from_str(text).map_err(|_| Failure::answer())
}

/// The server's boolean as text.
pub(crate) fn flag(row: &SimpleQueryRow, column: usize) -> bool {
    row.try_get(column).ok().flatten() == Some("t")
}

impl Failure {
    /// An answer that this code does not understand.
    pub(crate) fn answer() -> Self {
        Self::new(FailureKind::Other, "the answer was not understood")
    }

    /// Whether the role may read the table, but not all of its rows.
    pub(crate) fn hidden(&self) -> bool {
        self.message == HIDDEN
    }

    /// A failure without answer of the server.
    pub(crate) fn new(kind: FailureKind, message: &str) -> Self {
        Self { kind, sqlstate: None, message: message.to_owned() }
    }
}

impl From<&tokio_postgres::Error> for Failure {
    fn from(error: &tokio_postgres::Error) -> Self {
        let Some(error) = error.as_db_error() else {
            return Self::new(FailureKind::Other, "the connection broke, or the answer was not understood");
        };
        let code = error.code();
        let kind = if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            FailureKind::Denied
        } else if code.code().starts_with("XX")
            || code.code().starts_with("58")
            || *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE
        {
            // Internal errors count too: "invalid memory alloc request size" is what a damaged length looks like.
            FailureKind::Corrupt
        } else if *code == SqlState::QUERY_CANCELED {
            FailureKind::TimedOut
        } else if [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
            FailureKind::Locked
        } else if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_OBJECT, SqlState::UNDEFINED_COLUMN]
            .contains(code)
        {
            FailureKind::Vanished
        } else {
            FailureKind::Other
        };
        // Other messages can quote a row.
        let message = match kind {
            // The server's function, since its messages are translated.
            FailureKind::Denied if error.routine() == Some("check_enable_rls") => HIDDEN.to_owned(),
            FailureKind::Denied | FailureKind::Corrupt => error.message().chars().take(MESSAGE).collect(),
            _ => String::new(),
        };
        Self { kind, sqlstate: Some(code.code().to_owned()), message }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::from(&error)
    }
}
