//! The tasks on the board: opened once for a version that is due, closed once another version is current.

use jiff::Timestamp;
use shared::github::board::{self, Board, BoardError};
use shared::run::documents::Documents;
use shared::runtime::settings::Settings;

use crate::rules::facts::Secret;
use crate::rules::finding::Finding;
use crate::rules::task::{Task, done, tasks};
use crate::text;

/// Outcome of a task.
pub(crate) enum Outcome {
    /// This run opened its issue.
    Opened(u64),
    /// This run closed its issue.
    Closed(u64),
    /// Another run claimed it, or its issue was opened earlier and is no longer in the list.
    Left,
}

/// Closes finished tasks and opens missing ones, unless new ones are `held` back; returns each task with its outcome.
pub(crate) async fn settle(
    board: &Board<'_>,
    documents: &Documents,
    settings: &Settings,
    secrets: &[(Secret, Vec<Finding>)],
    held: bool,
    now: Timestamp,
) -> Result<Vec<(String, Result<Outcome, BoardError>)>, BoardError> {
    let issues = board.issues().await?;
    let mut outcomes = Vec::new();
    for (issue, version) in done(&issues, secrets) {
        let closed = board.close(issue.number, &text::task_done(settings.language, version, now)).await;
        let closed = closed.map(|()| Outcome::Closed(issue.number)).map_err(BoardError::from);
        outcomes.push((format!("#{}", issue.number), closed));
    }
    for task in tasks(secrets).into_iter().filter(|_| !held) {
        if !issues.iter().any(|issue| issue.has(&task.marker())) {
            let opened = open(board, documents, settings, &task, now).await;
            outcomes.push((text::task_title(settings, task.secret, task.due), opened));
        }
    }
    Ok(outcomes)
}

async fn open(
    board: &Board<'_>,
    documents: &Documents,
    settings: &Settings,
    task: &Task<'_>,
    now: Timestamp,
) -> Result<Outcome, BoardError> {
    let wanted = board::Task {
        marker: &task.marker(),
        title: &text::task_title(settings, task.secret, task.due),
        body: &text::task_body(settings, task.secret, task.due, now),
    };
    let opened = board.open_once(documents, wanted, now).await?;
    Ok(opened.map_or(Outcome::Left, Outcome::Opened))
}
