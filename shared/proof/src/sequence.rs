//! Sequences against the columns that they fill (serial, identity, and defaults with `nextval`), and against the source:
//! the application may draw numbers without a column.

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::Role;
use crate::reading::Failure;
use crate::session::{flag, json, optional, row, rows, value};
use crate::structure::{USERS, own};

/// Figures of one sequence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sequence {
    /// `table.column` that takes its values; none or more than one may.
    pub columns: Vec<String>,
    /// The value that it gives next.
    pub next: i64,
    /// Difference between two values; negative if it descends.
    pub increment: i64,
    /// The furthest value of the columns in that direction; `None` without rows, and of a source.
    pub furthest: Option<i64>,
}

/// A sequence of the catalog.
pub(crate) struct Filling {
    /// Qualified name.
    pub(crate) name: String,
    increment: i64,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    table: String,
    name: String,
}

/// All sequences, but none that starts again after its end, with the columns of numbers that they belong to or whose
/// default draws from them. Views and foreign tables are none: reading them runs code, or another server.
pub(crate) async fn sequences(client: &Client) -> Result<Vec<Filling>, Failure> {
    let class = own("pg_class", "c.oid");
    let sql = format!(
        "SELECT c.oid::regclass, s.seqincrement,
            coalesce(json_agg(json_build_object('table', u.relation::regclass, 'name', quote_ident(a.attname))
                ORDER BY u.relation::regclass::text, a.attname) FILTER (WHERE a.attname IS NOT NULL), '[]')
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN ((
            SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
            UNION
            SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d
            JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
            WHERE d.refclassid = 'pg_class'::regclass
        ) u
        JOIN pg_class r ON r.oid = u.relation AND r.relkind IN ('r', 'p')
        JOIN pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.number
        JOIN pg_type t ON t.oid = a.atttypid AND t.typcategory = 'N') ON u.sequence = c.oid
        WHERE NOT s.seqcycle AND {USERS} AND {class} GROUP BY 1, 2"
    );
    let sequence =
        |row| Ok(Filling { name: value(row, 0)?, increment: value(row, 1)?, columns: json(row, 2)? });
    rows(client, &sql).await?.iter().map(sequence).collect()
}

impl Filling {
    /// Reads the sequence, and of a copy its columns.
    pub(crate) async fn read(&self, client: &Client, role: Role) -> Result<Sequence, Failure> {
        let (extreme, furthest) = if self.increment > 0 { ("max", "greatest") } else { ("min", "least") };
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|Column { table, name }| format!("(SELECT {extreme}({name}) FROM {table})::int8"))
            .collect();
        let furthest = if columns.is_empty() || role == Role::Source {
            "NULL".to_owned()
        } else {
            format!("{furthest}({})", columns.join(", "))
        };
        let sql = format!("SELECT last_value, is_called, {furthest} FROM {}", self.name);
        let row = row(client, &sql).await?;
        let last: i64 = value(&row, 0)?;
        Ok(Sequence {
            columns: self.columns.iter().map(|Column { table, name }| format!("{table}.{name}")).collect(),
            next: if flag(&row, 1) { last.saturating_add(self.increment) } else { last },
            increment: self.increment,
            furthest: optional(&row, 2)?,
        })
    }
}

impl Sequence {
    /// Whether the next value, or one after it, can already be in a column.
    pub fn behind(&self) -> bool {
        self.furthest.is_some_and(|furthest| {
            if self.increment > 0 { self.next <= furthest } else { self.next >= furthest }
        })
    }

    /// Whether the other has already given the next value. Nothing is known if they count differently.
    pub(crate) fn behind_of(&self, other: &Self) -> bool {
        let further = if self.increment > 0 { self.next < other.next } else { self.next > other.next };
        self.increment == other.increment && further
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_behind_if_its_next_value_can_exist() {
        for (next, increment, furthest, behind) in [
            (1, 1, None, false),
            (11, 1, Some(10), false),
            (10, 1, Some(10), true),
            (5, 1, Some(10), true),
            (900, 1, Some(10), false),
            (-11, -1, Some(-10), false),
            (-10, -1, Some(-10), true),
            (-5, -1, Some(-10), true),
        ] {
            let sequence = Sequence { columns: Vec::new(), next, increment, furthest };
            assert_eq!(sequence.behind(), behind, "{sequence:?}");
        }
    }
}
