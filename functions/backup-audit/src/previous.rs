//! The previous run: its report of findings, and the note that names it.

use std::io;

use serde::{Deserialize, Serialize};
use shared::run::documents::DocumentError;
use shared::runtime::failure::chain;

use crate::App;
use crate::aws;
use crate::error::AuditError;

/// Name of the note with the place of the newest reports.
const LATEST: &str = "latest";

/// Place of a run's reports.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Latest {
    pub run_id: String,
    /// Key of the report of findings.
    pub findings: String,
}

/// The note of the previous run; none before the first.
pub(crate) async fn latest(app: &App) -> Result<Option<Latest>, DocumentError> {
    app.base.reporter.documents.get::<Latest>(LATEST).await
}

/// Reads a report of findings line by line.
pub(crate) async fn lines(
    app: &App,
    key: &str,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), AuditError> {
    let mut body = aws::s3::open_report(&app.s3, &app.base.reporter.documents.bucket, key).await?;
    let mut rest = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| AuditError::File(chain(&error)))?;
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(&line).map_err(AuditError::file)?;
        }
    }
    Ok(())
}

/// Notes the report that the next run compares with. Call it only after the channel has the message, so that the next
/// run repeats the comparison if this one dies. Notes only the first run of a day: a later one posts nothing, so its
/// findings are new for the next day's run.
pub(crate) async fn save_latest(app: &App, latest: &Latest) {
    let keep = |kept: &mut Latest| {
        if kept.run_id != latest.run_id {
            *kept = latest.clone();
        }
    };
    if let Err(error) = app.base.reporter.documents.update(LATEST, keep).await {
        let reason = chain(&error);
        app.base.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &latest.findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_bc640d8_is_read() {
        let recorded = include_str!("../../../tests/recorded/backup-audit-latest.json");
        let latest: Latest = serde_json::from_str(recorded).unwrap();
        assert_eq!(latest.run_id, "2026-03-01");
    }
}
