//! The tasks on the board: opened once for a version that is due, closed once another version is current.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::run::documents::{DocumentError, Documents};
use shared::runtime::failure::chain;
use shared::runtime::settings::Settings;

use crate::error::BoardError;
use crate::github::Board;
use crate::rules::facts::Secret;
use crate::rules::finding::Finding;
use crate::rules::task::{Task, done, tasks};
use crate::text;

/// Time for which a claim protects a task without an open issue; far longer than the function's timeout.
const CLAIM_TIME: SignedDuration = SignedDuration::from_mins(15);

/// The claim on a task, stored before its issue is opened, so that only one of two runs opens it.
#[derive(Debug, Deserialize, Serialize)]
struct Claim {
    secret: String,
    version: String,
    taken: Timestamp,
    /// The issue; none until it is open, or if the run that claimed the task died.
    issue: Option<u64>,
}

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
        let closed = close(board, settings, issue.number, version, now).await;
        outcomes.push((format!("#{}", issue.number), closed.map(|()| Outcome::Closed(issue.number))));
    }
    for task in tasks(secrets).into_iter().filter(|_| !held) {
        let marker = task.marker();
        let is_there =
            issues.iter().any(|issue| issue.body.as_deref().is_some_and(|body| body.contains(&marker)));
        if !is_there {
            let opened = open(board, documents, settings, &task, now).await;
            outcomes.push((text::task_title(settings, task.secret, task.due), opened));
        }
    }
    Ok(outcomes)
}

/// Comments before closing: if a run dies in between, the comment is repeated rather than lost.
async fn close(
    board: &Board<'_>,
    settings: &Settings,
    number: u64,
    version: &str,
    now: Timestamp,
) -> Result<(), BoardError> {
    board.comment(number, &text::task_done(settings.language, version, now)).await?;
    Ok(board.close(number).await?)
}

async fn open(
    board: &Board<'_>,
    documents: &Documents,
    settings: &Settings,
    task: &Task<'_>,
    now: Timestamp,
) -> Result<Outcome, BoardError> {
    let unclaimed = |error: DocumentError| BoardError::Claim(chain(&error));
    let marker = task.marker();
    let mut claim =
        Claim { secret: task.secret.name.clone(), version: task.version.to_owned(), taken: now, issue: None };
    let is_stale = |found: &Claim| found.issue.is_none() && now.duration_since(found.taken) >= CLAIM_TIME;
    let Some(handle) = documents.claim(&marker, &claim, is_stale).await.map_err(unclaimed)? else {
        return Ok(Outcome::Left);
    };
    let body = format!("{}\n\n{marker}\n", text::task_body(settings, task.secret, task.due, now));
    let issue = board.open(&text::task_title(settings, task.secret, task.due), &body).await?;
    claim.issue = Some(issue.number);
    if let Err(error) = documents.settle(handle, &claim).await {
        // Not an error: the issue's marker identifies it too.
        tracing::warn!(
            message = format!("the number of issue #{} could not be stored: {}", issue.number, chain(&error))
        );
    }
    if !issue.has_label() {
        return Err(BoardError::LabelDropped { number: issue.number });
    }
    Ok(Outcome::Opened(issue.number))
}
