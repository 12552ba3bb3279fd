//! The application's audit digests: each links to the one before by `log_id`.
//!
//! The digests themselves cannot be computed again: the application hashes text that it then stores as `jsonb`, which
//! reorders keys. Rows cut off at the end leave no trace in the chain; counts and hashes show them.

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::plan::{DigestChain, qualified};
use crate::reading::Failure;
use crate::session::{flag, optional, row, value};

/// Figures of the digest chain.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Chain {
    /// Rows of the audited table.
    pub rows: u64,
    /// Digests; `None` if their table does not exist.
    pub digests: Option<u64>,
    /// Audited rows without digest.
    pub without: u64,
    /// Digests whose `previous_digest` is not the digest before them. The first may link to a row that was purged.
    pub broken: u64,
    /// The first `log_id` that is broken or lacks its digest.
    pub first: Option<i64>,
}

/// Reads the chain.
pub(crate) async fn read(client: &Client, chain: &DigestChain) -> Result<Chain, Failure> {
    let (rows, digests) = (qualified(&chain.rows), qualified(&chain.digests));
    let exists = row(client, &format!("SELECT to_regclass({}) IS NOT NULL", literal(&digests))).await?;
    if !flag(&exists, 0) {
        let count = row(client, &format!("SELECT count(*) FROM {rows}")).await?;
        return Ok(Chain { rows: value(&count, 0)?, ..Chain::default() });
    }
    let sql = format!(
        "SELECT (SELECT count(*) FROM {rows}), l.digests, w.without, l.broken, least(l.first, w.first) FROM
            (SELECT count(*) AS digests, count(*) FILTER (WHERE broken) AS broken,
                min(log_id) FILTER (WHERE broken) AS first
            FROM (SELECT log_id, row_number() OVER links > 1
                    AND previous_digest IS DISTINCT FROM lag(digest) OVER links AS broken
                FROM {digests} WINDOW links AS (ORDER BY log_id)) o) l,
            (SELECT count(*) AS without, min(a.id) AS first FROM {rows} a
            WHERE NOT EXISTS (SELECT FROM {digests} d WHERE d.log_id = a.id)) w"
    );
    let row = row(client, &sql).await?;
    Ok(Chain {
        rows: value(&row, 0)?,
        digests: optional(&row, 1)?,
        without: value(&row, 2)?,
        broken: value(&row, 3)?,
        first: optional(&row, 4)?,
    })
}

impl Chain {
    /// Whether each row has its digest and all of them link.
    pub fn links(&self) -> bool {
        self.digests.is_some() && self.without == 0 && self.broken == 0
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
