//! The actions of closed post-mortems as issues on the board.

use shared::github::board::{self, Board, BoardError, Issue};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::error::PostmortemError;
use crate::rules::journal::{Postmortem, Task};
use crate::text::task;

/// Label of the issues, by which they are listed.
const LABEL: &str = "governance-postmortem";

/// What has to be done: by whom, recorded by the board.
pub(crate) const BOARD: &str = "board";

/// The board; none if the stack has none.
pub(crate) async fn board<'a>(
    app: &'a App,
    invocation: &'a Invocation,
) -> Result<Option<Board<'a>>, BoardError> {
    let Some(place) = &app.place else { return Ok(None) };
    Ok(Some(Board::new(place.session(app, invocation).await?, LABEL)))
}

/// The issue of an action.
pub(crate) fn issue<'a>(issues: &'a [Issue], id: &str, task: &Task) -> Option<&'a Issue> {
    let marker = task::marker(id, task.number);
    issues.iter().find(|issue| issue.has(&marker))
}

/// Opens the issues that a post-mortem's actions lack, and notes their numbers. Those that fail are logged and counted; the
/// next daily run tries again.
pub(crate) async fn open(
    app: &App,
    id: &str,
    postmortem: &Postmortem,
    invocation: &Invocation,
) -> Result<Vec<u64>, PostmortemError> {
    let waiting: Vec<&Task> =
        postmortem.actions.iter().filter(|task| task.issue.is_none() && task.done_at.is_none()).collect();
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let mut opened = Vec::new();
    let work = async {
        let Some(board) = board(app, invocation).await? else { return Ok::<_, BoardError>(()) };
        let issues = board.issues().await?;
        for one in waiting {
            match issue(&issues, id, one) {
                Some(found) => opened.push((one.number, found.number, false)),
                None => {
                    let (settings, marker) = (&app.base.settings, task::marker(id, one.number));
                    let wanted = board::Task {
                        marker: &marker,
                        title: &task::title(settings, one),
                        body: &task::body(settings, id, one),
                    };
                    let number = board.open_once(app.documents(), wanted, invocation.now).await?;
                    opened.extend(number.map(|number| (one.number, number, true)));
                }
            }
        }
        Ok(())
    };
    if let Err(error) = work.await {
        app.base.reporter.lost("TaskFailures", "TaskFailed", &chain(&error), &format!("actions of {id}"));
    }
    if !opened.is_empty() {
        let change = |postmortem: &mut Postmortem| {
            for (number, issue, _) in &opened {
                let own = postmortem.actions.iter_mut().find(|task| task.number == *number);
                own.into_iter().for_each(|task| task.issue = Some(*issue));
            }
        };
        app.amend(id, change).await?;
    }
    Ok(opened.into_iter().filter(|(_, _, is_new)| *is_new).map(|(_, issue, _)| issue).collect())
}

/// Closes the issue of an action that a person reported as done. A failure is logged and counted.
pub(crate) async fn close(app: &App, id: &str, number: u64, by: &str, invocation: &Invocation) {
    let work = async {
        match board(app, invocation).await? {
            Some(board) => Ok(board.close(number, &task::done(by, app.base.settings.language)).await?),
            None => Ok::<(), BoardError>(()),
        }
    };
    if let Err(error) = work.await {
        app.base.reporter.lost("TaskFailures", "TaskFailed", &chain(&error), &format!("#{number}, of {id}"));
    }
}
