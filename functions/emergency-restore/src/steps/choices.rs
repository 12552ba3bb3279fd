//! State Choices: lists what can be restored, with the loss of each.

use jiff::Timestamp;

use super::next;
use crate::aws::rds;
use crate::event::Source;
use crate::rules::choice::{self, Choice};
use crate::rules::restore::{Lost, Phase};
use crate::{Answer, App, RestoreError};

/// The instants that RDS can restore.
async fn window(app: &App, lost: &Lost) -> Result<Option<(Timestamp, Timestamp)>, RestoreError> {
    let backup = rds::backup(&app.rds, &lost.instance).await.map_err(RestoreError::RdsCall)?;
    Ok(backup.and_then(|backup| backup.window))
}

/// Notes the choices. A source that the input names is checked, and then needs no choice.
pub(crate) async fn list(app: &App, execution: &str, now: Timestamp) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Choices {
        return Ok(next(&restore));
    }
    let choices = of(app, &restore.lost).await?;
    let data = match &restore.source {
        Some(source) => Some(data(app, &restore.lost, source).await),
        None => None,
    };
    let restore = app
        .amend(execution, |restore| {
            restore.choices.clone_from(&choices);
            match (&restore.source.clone(), &data) {
                (Some(source), Some(Ok(data))) if restore.phase == Phase::Choices => {
                    restore.times.entry(Phase::Choices).or_insert(now);
                    restore.choose(source.clone(), *data);
                }
                _ => {
                    restore.source = None;
                    restore.advance(Phase::Choices, Phase::Choose, now);
                }
            }
        })
        .await?;
    if let Some(Err(error)) = data {
        return Err(error);
    }
    if choices.is_empty() {
        return Err(RestoreError::NoSource(restore.lost.instance));
    }
    Ok(next(&restore))
}

/// What can be restored now.
pub(crate) async fn of(app: &App, lost: &Lost) -> Result<Vec<Choice>, RestoreError> {
    let snapshots = rds::snapshots(&app.rds, &lost.instance).await.map_err(RestoreError::RdsCall)?;
    Ok(choice::choices(&snapshots, window(app, lost).await?))
}

/// The last instant whose data a source has.
///
/// # Errors
///
/// [`RestoreError::SourceRefused`] if it cannot be restored.
pub(crate) async fn data(app: &App, lost: &Lost, source: &Source) -> Result<Timestamp, RestoreError> {
    let named = match source {
        Source::Snapshot(name) => rds::snapshot(&app.rds, name).await.map_err(RestoreError::RdsCall)?,
        Source::Latest | Source::Time(_) => None,
    };
    let window = window(app, lost).await?;
    let of = (lost.instance.as_str(), lost.resource.as_deref());
    choice::data(source, window, named.as_ref(), of).map_err(RestoreError::SourceRefused)
}
