//! Foreign keys by query: an anti-join, whatever the catalog says of their validity.

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::content::Span;
use crate::reading::Failure;
use crate::session::{flag, json, row, rows, value};
use crate::structure::{USERS, own};

/// Figures of one foreign key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ForeignKey {
    /// The referencing table.
    pub table: String,
    /// The referenced table.
    pub references: String,
    /// Rows whose reference points to nothing, or is half null where it must not be.
    pub orphans: u64,
}

/// A foreign key of the catalog.
pub(crate) struct Key {
    /// `table.constraint`.
    pub(crate) name: String,
    /// Object identifier of the referencing table.
    pub(crate) oid: u32,
    table: String,
    references: String,
    /// Whether a half null reference is an orphan.
    full: bool,
    /// Whether the server does not enforce it.
    pub(crate) unenforced: bool,
    /// Whether it has a period, which equality does not describe.
    pub(crate) period: bool,
    /// Whether the referencing table has blocks of its own.
    pub(crate) divisible: bool,
    columns: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    child: String,
    parent: String,
    operator: String,
}

/// All foreign keys, those of partitions as part of their parent's.
pub(crate) async fn keys(client: &Client, major: u32) -> Result<Vec<Key>, Failure> {
    let (unenforced, period) =
        if major >= 18 { ("NOT k.conenforced", "k.conperiod") } else { ("false", "false") };
    let only = |class: &str| {
        format!("CASE {class}.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || {class}.oid::regclass")
    };
    let (child, parent) = (only("c"), only("p"));
    let class = own("pg_class", "c.oid");
    let sql = format!(
        "SELECT c.oid::regclass || '.' || quote_ident(k.conname), c.oid, {child}, {parent}, k.confmatchtype = 'f',
            {unenforced}, {period}, c.relkind = 'r',
            (SELECT json_agg(json_build_object('child', quote_ident(a.attname), 'parent', quote_ident(b.attname),
                'operator', format('OPERATOR(%I.%s)', s.nspname, o.oprname)) ORDER BY u.position)
            FROM unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY u(child, parent, operator, position)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.child
            JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.parent
            JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace s ON s.oid = o.oprnamespace)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE k.contype = 'f' AND k.conparentid = 0 AND {USERS} AND {class}"
    );
    let key = |row| {
        Ok(Key {
            name: value(row, 0)?,
            oid: value(row, 1)?,
            table: value(row, 2)?,
            references: value(row, 3)?,
            full: flag(row, 4),
            unenforced: flag(row, 5),
            period: flag(row, 6),
            divisible: flag(row, 7),
            columns: json(row, 8)?,
        })
    };
    rows(client, &sql).await?.iter().map(key).collect()
}

impl Key {
    /// Counts orphans, of a range of the referencing table or of all of it.
    pub(crate) async fn orphans(&self, client: &Client, span: Span) -> Result<u64, Failure> {
        let sql = self.sql(span);
        if !span.narrow {
            return value(&row(client, &sql).await?, 0);
        }
        // Every range would read the whole referenced table for a hash; its unique index is there for few rows.
        client.batch_execute("SET enable_hashjoin = off; SET enable_mergejoin = off").await?;
        let orphans = row(client, &sql).await;
        client.batch_execute("RESET enable_hashjoin; RESET enable_mergejoin").await?;
        value(&orphans?, 0)
    }

    fn sql(&self, span: Span) -> String {
        let each = |text: fn(&Pair) -> String, separator| {
            self.columns.iter().map(text).collect::<Vec<String>>().join(separator)
        };
        let set = each(|pair| format!("c.{} IS NOT NULL", pair.child), " AND ");
        let equal = each(|pair| format!("p.{} {} c.{}", pair.parent, pair.operator, pair.child), " AND ");
        let range = span.condition();
        let child = if range.is_empty() {
            format!("{} c", self.table)
        } else {
            format!("(SELECT * FROM {}{range}) c", self.table)
        };
        let anti = format!(
            "SELECT count(*) FROM {child} WHERE {set} AND NOT EXISTS (SELECT FROM {} p WHERE {equal})",
            self.references
        );
        if !self.full || self.columns.len() < 2 {
            return anti;
        }
        let columns = each(|pair| format!("c.{}", pair.child), ", ");
        let last = self.columns.len() - 1;
        format!(
            "SELECT ({anti}) + (SELECT count(*) FROM {child} WHERE num_nulls({columns}) BETWEEN 1 AND {last})"
        )
    }

    /// The figures of that many orphans.
    pub(crate) fn figures(&self, orphans: u64) -> ForeignKey {
        let plain = |name: &str| name.strip_prefix("ONLY ").unwrap_or(name).to_owned();
        ForeignKey { table: plain(&self.table), references: plain(&self.references), orphans }
    }
}
