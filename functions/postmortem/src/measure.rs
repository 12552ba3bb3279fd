//! Writes the metrics of months: `metrics/incidents-<month>.json` and `.csv`.

use incident::Incident;
use jiff::Timestamp;
use shared::run::documents::DocumentError;

use crate::App;
use crate::rules::journal::{self, Journal};
use crate::rules::metrics::{Metrics, metrics};
use crate::text::metrics::{csv, definitions};

/// Writes the metrics of one month, and returns them.
///
/// # Errors
///
/// [`DocumentError`]; the next daily run writes them again.
pub(crate) async fn write(
    app: &App,
    month: &str,
    incidents: &[Incident],
    journal: &Journal,
    now: Timestamp,
) -> Result<Metrics, DocumentError> {
    let settings = &app.base.settings;
    let made = metrics(month, incidents, journal, definitions(settings.language), &settings.policy, now);
    let (documents, name) = (app.documents(), format!("metrics/{month}"));
    documents.update(&name, |stored: &mut Metrics| stored.clone_from(&made)).await?;
    let key = |form: &str| format!("metrics/incidents-{month}.{form}");
    // Text, numbers and lists always serialize.
    let json = |stored: &Metrics| serde_json::to_string_pretty(stored).unwrap_or_default();
    documents.show(&name, &key("json"), "application/json", json).await?;
    documents.show(&name, &key("csv"), "text/csv; charset=utf-8", csv).await?;
    let is_open = !made.open.is_empty();
    if is_open != journal.open_months.contains(month) {
        let change = |journal: &mut Journal| match is_open {
            true => journal.open_months.insert(month.to_owned()),
            false => journal.open_months.remove(month),
        };
        documents.update(journal::NAME, change).await?;
    }
    Ok(made)
}
