//! State Choices: lists what can be restored, with the loss of each.

use jiff::Timestamp;
use shared::aws::snapshots::prefix;
use shared::run::command::snapshots;

use super::next;
use crate::aws::rds::{self, Backup};
use crate::event::Source;
use crate::observe::obstacles;
use crate::rules::choice::{self, Choice, Contents, Names, Window};
use crate::rules::restore::{Lost, Phase};
use crate::{Answer, App, RestoreError};

/// Notes the choices. A source that the input names is checked, and then needs no choice.
pub(crate) async fn list(app: &App, execution: &str, now: Timestamp) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Choices {
        return Ok(next(&restore));
    }
    let choices = of(app, &restore.lost).await?;
    let obstacles = obstacles(app, &restore).await;
    let contents = match &restore.source {
        Some(source) => Some(contents(app, &restore.lost, source).await),
        None => None,
    };
    let restore = app
        .amend(execution, |restore| {
            restore.choices.clone_from(&choices);
            restore.obstacles.clone_from(&obstacles);
            match (&restore.source.clone(), &contents) {
                (Some(source), Some(Ok(contents))) if restore.phase == Phase::Choices => {
                    restore.times.entry(Phase::Choices).or_insert(now);
                    restore.choose(source.clone(), contents);
                }
                _ => {
                    restore.refused = restore.source.take();
                    restore.advance(Phase::Choices, Phase::Choose, now);
                }
            }
        })
        .await?;
    match contents {
        // A person chooses one of them.
        Some(Err(RestoreError::SourceAmbiguous { .. })) => return Ok(next(&restore)),
        Some(Err(error)) => return Err(error),
        _ => {}
    }
    if choices.is_empty() {
        return Err(RestoreError::NoSource(restore.lost.instance));
    }
    Ok(next(&restore))
}

/// What can be restored now.
pub(crate) async fn of(app: &App, lost: &Lost) -> Result<Vec<Choice>, RestoreError> {
    let backups = rds::backups(&app.rds, &lost.instance).await.map_err(RestoreError::RdsCall)?;
    among(app, lost, &backups).await
}

async fn among(app: &App, lost: &Lost, backups: &[Backup]) -> Result<Vec<Choice>, RestoreError> {
    let snapshots = rds::snapshots(&app.rds, &lost.instance).await.map_err(RestoreError::RdsCall)?;
    let windows = backups.iter().filter_map(|backup| {
        let (from, to) = backup.window?;
        Some(Window { from, to, resource: backup.resource.clone().unwrap_or_default() })
    });
    Ok(choice::choices(
        &snapshots,
        &windows.collect::<Vec<_>>(),
        Names { prefix: &prefix(&app.base.settings), instance: &app.instance },
    ))
}

/// Refuses a point in time without its database, if several databases had the lost instance's name.
async fn must_be_one(app: &App, lost: &Lost, backups: &[Backup]) -> Result<(), RestoreError> {
    let choices = among(app, lost, backups).await?;
    let present = lost.resource.as_deref();
    let resources = choice::resources(&choices, present);
    if resources.len() < 2 {
        return Ok(());
    }
    let resources: Vec<_> = resources.into_iter().collect();
    let example = serde_json::to_string(&choice::latest(&choices, present)).unwrap_or_default();
    let (instance, resources) = (lost.instance.clone(), resources.join(", "));
    Err(RestoreError::SourceAmbiguous { instance, resources, example })
}

/// What a source has.
///
/// # Errors
///
/// [`RestoreError::SourceRefused`] if it cannot be restored, [`RestoreError::SourceAmbiguous`] if it must name one of
/// several databases, [`RestoreError::SnapshotNameNotAllowed`] if only its name
/// is in the way.
pub(crate) async fn contents(app: &App, lost: &Lost, source: &Source) -> Result<Contents, RestoreError> {
    let named = match source {
        Source::Snapshot(name) => rds::snapshot(&app.rds, name).await.map_err(RestoreError::RdsCall)?,
        Source::Latest | Source::Time(_) | Source::Backup { .. } => None,
    };
    let backups = rds::backups(&app.rds, &lost.instance).await.map_err(RestoreError::RdsCall)?;
    let backup = match source {
        Source::Latest | Source::Time(_) => {
            must_be_one(app, lost, &backups).await?;
            backups.first()
        }
        Source::Backup { resource, .. } => backups.iter().find(|it| it.resource.as_ref() == Some(resource)),
        Source::Snapshot(_) => None,
    };
    let backup = backup.cloned().unwrap_or_default();
    let of = (lost.instance.as_str(), lost.resource.as_deref());
    let until =
        choice::data(source, backup.window, named.as_ref(), of).map_err(RestoreError::SourceRefused)?;
    let prefix = prefix(&app.base.settings);
    let names = Names { prefix: &prefix, instance: &app.instance };
    if let Some(barred) = named.as_ref().filter(|named| !names.allow(&named.name)) {
        let copy = snapshots::copy(&app.base.settings, &barred.name, None).to_string();
        return Err(RestoreError::SnapshotNameNotAllowed { name: barred.name.clone(), prefix, copy });
    }
    Ok(match named {
        Some(snapshot) => Contents { until, resource: snapshot.resource, major: snapshot.major },
        None => {
            let resource = backup.resource.or_else(|| lost.resource.clone()).unwrap_or_default();
            Contents { until, resource, major: backup.major }
        }
    })
}
