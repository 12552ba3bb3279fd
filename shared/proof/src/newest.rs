//! The newest row's age.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::plan::{AgedColumn, qualified};
use crate::reading::Failure;
use crate::session::{optional, row};

/// The newest value of a column.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Newest {
    /// Its time; `None` if no row has one.
    pub value: Option<Timestamp>,
}

impl AgedColumn {
    /// `table.column`, as in [`crate::Reading::newest`].
    pub fn name(&self) -> String {
        format!("{}.{}", qualified(&self.table), self.column)
    }

    /// Reads the newest value; the server's time zone is UTC.
    pub(crate) async fn read(&self, client: &Client) -> Result<Newest, Failure> {
        let (table, column) = (qualified(&self.table), &self.column);
        let sql = format!(
            "SELECT (extract(epoch FROM max({column})) * 1000000)::int8 FROM {table} WHERE isfinite({column})"
        );
        let micros: Option<i64> = optional(&row(client, &sql).await?, 0)?;
        let value = micros.map(Timestamp::from_microsecond).transpose().map_err(|_| Failure::answer())?;
        Ok(Newest { value })
    }
}
