//! States Fail and Finish: notes and tells what stopped a step; reports the end.

use shared::runtime::lambda::Invocation;
use shared::workflow::{Broken, Run};

use super::{about, next};
use crate::event::{Input, Step};
use crate::report;
use crate::rules::restore::{Ending, Failure};
use crate::{Answer, App, RestoreError, Status};

/// Notes the error that stopped a step, so that a person can go on; or tells that no restore began.
pub(crate) async fn fail(
    app: &App,
    run: &Run<Step, Input>,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let execution = run.execution.as_str();
    let unknown = || Broken { kind: "States.Runtime".to_owned(), detail: String::new() };
    let broken = run.broken.clone().unwrap_or_else(unknown);
    tracing::warn!(message = broken.detail, failure = broken.kind);
    let noted = app
        .amend(execution, |restore| {
            if restore.failure.is_none() {
                restore.failures = restore.failures.saturating_add(1);
                restore.wait.times = 0;
                restore.failure = Some(Failure {
                    kind: broken.kind.clone(),
                    detail: broken.detail.clone(),
                    at: invocation.now,
                });
            }
        })
        .await;
    match noted {
        Ok(restore) => {
            tracing::Span::current().record("run_id", restore.run.as_str());
            report::failed(app, &restore, &broken, invocation).await;
            Ok(about(&restore, 0, restore.next()))
        }
        Err(RestoreError::NotOpen) if broken.kind == "NotOpen" => Ok(Answer::now(Status::Replaced)),
        // A step that ran on while another execution took over.
        Err(RestoreError::NotOpen) if app.book().await?.replaced.iter().any(|it| it == execution) => {
            Ok(Answer::now(Status::Replaced))
        }
        Err(RestoreError::NotOpen) => {
            report::refused(app, execution, &broken, invocation).await?;
            Ok(Answer::now(Status::Refused))
        }
        Err(error) => Err(error),
    }
}

/// Reports the end, and closes the note.
pub(crate) async fn finish(
    app: &App,
    execution: &str,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let restore = match app.mine(execution).await {
        Ok(restore) => restore,
        Err(RestoreError::NotOpen) => {
            // An attempt of this step that died closed it.
            let past = app.book().await?.past;
            let past = past.iter().find(|past| past.execution == execution).ok_or(RestoreError::NotOpen)?;
            return Ok(Answer::now(status(past.ending)));
        }
        Err(error) => return Err(error),
    };
    // Nobody ended it, so it stays open.
    let Some(ending) = restore.ended else { return Ok(next(&restore)) };
    report::closed(app, &restore, ending, invocation).await;
    app.update(|book| book.close(execution, ending)).await?;
    Ok(about(&restore, 0, status(ending)))
}

fn status(ending: Ending) -> Status {
    match ending {
        Ending::Closed => Status::Closed,
        Ending::Rejected => Status::Rejected,
    }
}
