//! Pages of tables and indexes, by amcheck.
//!
//! | check | from version |
//! | --- | --- |
//! | `bt_index_parent_check`, each row has its entry | 13 |
//! | `verify_heapam` with TOAST | 14 |
//! | unique indexes hold no value twice | 17 |
//! | `gin_index_check` | 18 |
//!
//! Source: [amcheck](https://www.postgresql.org/docs/current/amcheck.html).

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::content::Span;
use crate::reading::{Failure, FailureKind};
use crate::session::{flag, optional, row, rows, value};
use crate::structure::{USERS, own};

/// Size of a page, in bytes; a server with another only gets ranges of another size.
const BLOCK: u64 = 8192;

/// The result for one table or index.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Physical {
    /// Size, in bytes.
    pub bytes: u64,
    /// Number of problems.
    pub problems: u64,
    /// The first of them, in amcheck's words.
    pub first: Option<String>,
}

/// A table or index with pages.
pub(crate) struct Pages {
    /// Qualified name; TOAST under its table's.
    pub(crate) name: String,
    /// Object identifier on this server.
    pub(crate) oid: u32,
    /// `heap`, or the index's access method.
    method: String,
    unique: bool,
    /// Size by the catalog's last count, in bytes.
    pub(crate) bytes: u64,
    /// The same in blocks.
    pub(crate) blocks: u32,
}

/// Schema of amcheck's functions; `None` if the extension is absent.
pub(crate) async fn schema(client: &Client) -> Result<Option<String>, Failure> {
    let found =
        rows(client, "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'amcheck'").await?;
    found.first().map(|row| value(row, 0)).transpose()
}

/// Tables, their TOAST tables, and valid indexes of both. Sizes are the catalog's: the true ones need a lock.
pub(crate) async fn pages(client: &Client) -> Result<Vec<Pages>, Failure> {
    let class = own("pg_class", "c.oid");
    let sql = format!(
        "WITH heap AS (
            SELECT c.oid, c.oid::regclass::text AS name, c.reltoastrelid FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND {USERS} AND {class}
        ), relation AS (
            SELECT oid, name, false AS toast FROM heap
            UNION ALL SELECT reltoastrelid, name || ' (TOAST)', true FROM heap WHERE reltoastrelid <> 0
        )
        SELECT r.name, r.oid, 'heap', false, greatest(c.relpages, 0) FROM relation r JOIN pg_class c ON c.oid = r.oid
        UNION ALL
        SELECT CASE WHEN r.toast THEN r.name || ' (index)' ELSE i.indexrelid::regclass::text END, i.indexrelid, m.amname,
            i.indisunique, greatest(x.relpages, 0)
        FROM relation r JOIN pg_index i ON i.indrelid = r.oid AND i.indisvalid AND i.indisready
        JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam"
    );
    let pages = |row| {
        let blocks: u32 = value(row, 4)?;
        Ok(Pages {
            name: value(row, 0)?,
            oid: value(row, 1)?,
            method: value(row, 2)?,
            unique: flag(row, 3),
            bytes: u64::from(blocks).saturating_mul(BLOCK),
            blocks,
        })
    };
    rows(client, &sql).await?.iter().map(pages).collect()
}

impl Pages {
    /// Whether it is a table.
    pub(crate) fn heap(&self) -> bool {
        self.method == "heap"
    }

    /// Checks a table's blocks, or those of a range, and what they keep in TOAST.
    pub(crate) async fn verify(
        &self,
        client: &Client,
        schema: &str,
        span: Span,
    ) -> Result<(u64, Option<String>), Failure> {
        // Inclusive; and the function refuses blocks beyond the end.
        let last = span.to.map_or("NULL".to_owned(), |to| to.saturating_sub(1).to_string());
        let start = if span.from == 0 { "NULL".to_owned() } else { span.from.to_string() };
        // All arguments with their types, here and below: a function that fits better cannot take amcheck's place.
        let sql = format!(
            "SELECT count(*), min(format('block %s, item %s: %s', blkno, offnum, msg))
            FROM {schema}.verify_heapam({}::regclass, false, true, 'none'::text, {start}::int8, {last}::int8)",
            self.oid
        );
        let row = row(client, &sql).await?;
        Ok((value(&row, 0)?, optional(&row, 1)?))
    }

    /// Checks an index; amcheck reports a problem as an error.
    pub(crate) async fn check(&self, client: &Client, schema: &str, major: u32) -> Result<Physical, Failure> {
        let call = match self.method.as_str() {
            "btree" if major >= 17 => {
                format!("bt_index_parent_check({}::regclass, true, false, {})", self.oid, self.unique)
            }
            "btree" => format!("bt_index_parent_check({}::regclass, true)", self.oid),
            "gin" if major >= 18 => format!("gin_index_check({}::regclass)", self.oid),
            method => return Err(Failure::new(FailureKind::Unavailable, &format!("amcheck: {method}"))),
        };
        rows(client, &format!("SELECT {schema}.{call}")).await?;
        Ok(Physical { bytes: self.bytes, ..Physical::default() })
    }
}
