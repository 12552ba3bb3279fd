//! What a proof asks for; from the policy.

use std::time::Duration;

/// The policy's settings for a proof.
///
/// Tables are named as PostgreSQL prints them, e.g. `public.audit_logs`; a name without schema means `public`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Tables that have to exist.
    pub critical: Vec<String>,
    /// Accepted difference of a row count, in percent of the source's.
    pub tolerance_percent: u8,
    /// Columns whose newest value shows the age of the data.
    pub newest: Vec<AgedColumn>,
    /// The application's audit digests; `None` if there are none.
    pub chain: Option<DigestChain>,
    /// Longest duration of a statement. A call of [`crate::read`] may outlast its limit by one statement.
    pub statement: Duration,
    /// Most sessions at a time; at least one is used.
    pub connections: usize,
    /// Rows per table, first in order of the primary key, whose hash is compared where the whole table's cannot be.
    pub sample_rows: u32,
    /// Tables whose rows come and go within hours: they are read to their end, but not compared.
    pub volatile: Vec<String>,
}

/// A column of type `timestamptz`, `timestamp` (taken as UTC) or `date`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgedColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Greatest age of the newest value at the time of the snapshot.
    pub limit: Duration,
}

/// Digests that link each audit row to the one before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DigestChain {
    /// The audited table, with a primary key `id`.
    pub rows: String,
    /// Its digests: `log_id`, `digest`, `previous_digest`. The application creates it on first use.
    pub digests: String,
}

/// The name with its schema.
pub(crate) fn qualified(table: &str) -> String {
    if table.contains('.') { table.to_owned() } else { format!("public.{table}") }
}
