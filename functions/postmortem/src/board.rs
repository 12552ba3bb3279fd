//! The actions of closed post-mortems as issues on the board.

use shared::github::GitHubError;
use shared::github::board::{self, Board, BoardError, Issue};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::error::PostmortemError;
use crate::rules::journal::{Moved, Postmortem, Task};
use crate::text::task;

/// Label of the issues, by which they are listed.
pub(crate) const LABEL: &str = "governance-postmortem";

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

/// The issue of an action: by its number, once that is known, whatever people did to its text.
pub(crate) fn issue<'a>(issues: &'a [Issue], id: &str, task: &Task) -> Option<&'a Issue> {
    let marker = task::marker(id, task.number);
    issues.iter().find(|issue| match task.issue {
        Some(number) => issue.number == number,
        None => issue.has(&marker),
    })
}

/// What became of the issues that a post-mortem's actions lacked.
#[derive(Default)]
pub(crate) struct Opened {
    /// The new ones.
    pub(crate) issues: Vec<u64>,
    /// Why others were not opened; logged and counted.
    pub(crate) failed: Option<String>,
}

/// Opens the issues that a post-mortem's actions lack, and notes their numbers. Those that fail are logged and counted; the
/// next daily run tries again.
pub(crate) async fn open(
    app: &App,
    id: &str,
    postmortem: &Postmortem,
    invocation: &Invocation,
) -> Result<Opened, PostmortemError> {
    let waiting: Vec<&Task> =
        postmortem.actions.iter().filter(|task| task.issue.is_none() && task.done_at.is_none()).collect();
    if waiting.is_empty() {
        return Ok(Opened::default());
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
    let failed = work.await.err().map(|error| chain(&error));
    if let Some(reason) = &failed {
        app.base.reporter.lost("TaskFailures", "TaskFailed", reason, &format!("actions of {id}"));
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
    let issues = opened.into_iter().filter(|(_, _, is_new)| *is_new).map(|(_, issue, _)| issue);
    Ok(Opened { issues: issues.collect(), failed })
}

/// Brings the issue of an action to what a person said: closed if it is done, otherwise with its new day. A failure is logged
/// and counted.
pub(crate) async fn follow(app: &App, id: &str, task: &Task, is_done: bool, invocation: &Invocation) {
    let Some(number) = task.issue else { return };
    let work = async {
        let Some(board) = board(app, invocation).await? else { return Ok::<_, BoardError>(()) };
        let issue = match board.issue(number).await {
            // Deleted: what the person said is noted, and nothing is left to change.
            Err(GitHubError::Refused { status: 404 | 410, .. }) => return Ok(()),
            issue => issue?,
        };
        if is_done {
            // Otherwise it is closed already, with the comment.
            if issue.state == "open" {
                board.close(number, &task::done(task, app.base.settings.language)).await?;
            }
            return Ok(());
        }
        let Some(Moved { from, .. }) = &task.moved else { return Ok(()) };
        let new = |text: &str| text.replace(&from.to_string(), &task.due.to_string());
        let body = issue.body.unwrap_or_default();
        if (new(&issue.title), new(&body)) != (issue.title.clone(), body.clone()) {
            board.edit(number, &new(&issue.title), &new(&body)).await?;
        }
        Ok(())
    };
    if let Err(error) = work.await {
        app.base.reporter.lost("TaskFailures", "TaskFailed", &chain(&error), &format!("#{number}, of {id}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_issue_is_its_actions_by_its_number_whatever_people_did_to_its_text() {
        let of = |number: u64, body: &str| -> Issue {
            serde_json::from_value(json!({"number": number, "state": "open", "body": body})).unwrap()
        };
        let issues = [of(7, "no marker"), of(8, &task::marker("INC-1", 2))];
        let found = |task: &Task| issue(&issues, "INC-1", task).map(|issue| issue.number);
        let task = Task { number: 2, ..Task::default() };
        assert_eq!(found(&task), Some(8));
        assert_eq!(found(&Task { issue: Some(7), ..task.clone() }), Some(7));
        assert_eq!(found(&Task { issue: Some(9), ..task }), None);
    }
}
