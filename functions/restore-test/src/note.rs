//! The note of all runs, by compare-and-swap.

use jiff::{SignedDuration, Timestamp};

use crate::rules::ledger::{Ledger, NOTE};
use crate::rules::run::Run;
use crate::{App, RestoreError};

/// The least time between two signs of life that are noted: the note's old versions are kept.
const SIGN: SignedDuration = SignedDuration::from_mins(5);

/// Changes the note and returns the answer.
pub(crate) async fn update<R>(app: &App, change: impl Fn(&mut Ledger) -> R) -> Result<R, RestoreError> {
    Ok(app.base.reporter.documents.update(NOTE, change).await?)
}

/// Changes the execution's run.
///
/// Fails if the run has no place: it did not begin, or another took its place over while it was silent.
pub(crate) async fn change(
    app: &App,
    execution: &str,
    now: Timestamp,
    change: impl Fn(&mut Run),
) -> Result<Run, RestoreError> {
    let changed = update(app, |ledger| {
        ledger.change(execution, |run| {
            change(run);
            if now.duration_since(run.seen) > SIGN {
                run.seen = now;
            }
        })
    });
    changed.await?.ok_or_else(|| RestoreError::NotBegun(execution.to_owned()))
}

/// The execution's run, with a sign of life.
pub(crate) async fn mine(app: &App, execution: &str, now: Timestamp) -> Result<Run, RestoreError> {
    change(app, execution, now, |_| ()).await
}

/// The execution's run, also if another has taken its place; none if it never had one.
pub(crate) async fn find(app: &App, execution: &str) -> Result<Option<Run>, RestoreError> {
    let ledger: Option<Ledger> = app.base.reporter.documents.get(NOTE).await?;
    Ok(ledger.unwrap_or_default().find(execution).cloned())
}
