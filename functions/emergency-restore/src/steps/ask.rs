//! The states that wait: keeps the task's token and asks the person.

use shared::runtime::lambda::Invocation;

use super::guard::must_be_guarded;
use super::switch::must_be_in_force;
use super::{about, next};
use crate::aws::workflow;
use crate::observe::obstacles;
use crate::report;
use crate::rules::restore::{Direction, Phase};
use crate::{Answer, App, RestoreError, Status};

/// Asks. If an order came before the task began to wait, the task goes on at once. While a database is in use, the state
/// comes back every few minutes, and checks first that the secrets still name it, and, of the new one, the guard: whoever
/// deploys by habit takes it away.
pub(crate) async fn ask(
    app: &App,
    execution: &str,
    token: Option<String>,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.next() == Status::Hold {
        must_be_in_force(app, execution, &restore).await?;
        if restore.direction == Direction::New {
            must_be_guarded(app, &restore).await?;
        }
    }
    let restore = app
        .amend(execution, |restore| {
            restore.wait.token = None;
            if restore.waits() {
                restore.wait.times = restore.wait.times.saturating_add(1);
            }
        })
        .await?;
    if restore.waits() {
        // What can be restored, and what will stop it, change with time.
        let restore = match (restore.phase, &restore.failure) {
            (Phase::Choose, None) => {
                let choices = super::choices::of(app, &restore.lost).await?;
                let obstacles = obstacles(app, &restore).await;
                let amended = app.amend(execution, |restore| {
                    restore.choices.clone_from(&choices);
                    restore.obstacles.clone_from(&obstacles);
                });
                amended.await?
            }
            (Phase::Approve, None) => {
                let obstacles = obstacles(app, &restore).await;
                app.amend(execution, |restore| restore.obstacles.clone_from(&obstacles)).await?
            }
            _ => restore,
        };
        report::ask(app, &restore, invocation).await?;
    }
    // Last, so that a task whose token is noted has asked.
    let restore = app
        .amend(execution, |restore| restore.wait.token = token.clone().filter(|_| restore.waits()))
        .await?;
    if restore.waits() {
        return Ok(about(&restore, 0, Status::Asked));
    }
    if let Some(token) = &token {
        proceed(app, token, &next(&restore)).await?;
    }
    Ok(next(&restore))
}

/// Lets the waiting task go on. Returns `false` if no task waits with this token.
pub(crate) async fn proceed(app: &App, token: &str, answer: &Answer) -> Result<bool, RestoreError> {
    let output = serde_json::to_string(answer).unwrap_or_default();
    workflow::succeed(&app.states, token, &output).await.map_err(RestoreError::StepFunctionsCall)
}
