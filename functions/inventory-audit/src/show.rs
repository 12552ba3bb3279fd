//! Writes the inventory as a table to the evidence bucket.

use shared::run::evidence::Step;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::rules::row::Row;
use crate::table::{self, Table};
use crate::{App, REPORTING};

/// Name of the document that holds the table's rows.
const TABLE: &str = "inventory";

/// Writes the table.
pub(crate) async fn show(app: &App, rows: &[Row], invocation: &Invocation) -> Step {
    let (documents, table) = (&app.base.reporter.documents, Table::of(rows));
    let written = invocation.before_deadline(REPORTING, async {
        documents.update(TABLE, |stored: &mut Table| stored.clone_from(&table)).await?;
        documents.show(TABLE, table::KEY, "text/csv; charset=utf-8", Table::csv).await
    });
    let written = written.await.map_err(|late| chain(&late));
    let outcome = match written.and_then(|written| written.map_err(|error| chain(&error))) {
        Ok(()) => "succeeded".to_owned(),
        Err(reason) => {
            app.base.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &table.csv());
            format!("failed: {reason}")
        }
    };
    Step::now(format!("write {}", table::KEY), outcome)
}
