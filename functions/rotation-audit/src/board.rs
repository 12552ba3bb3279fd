//! Opens and closes the tasks on the board, and returns the outcome for the report.

use shared::audit::course::Acted;
use shared::aws::secrets;
use shared::github::board::{Board, BoardError};
use shared::run::evidence::Step;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::github::LABEL;
use crate::rules::facts::Secret;
use crate::rules::finding::Finding;
use crate::rules::task;
use crate::{App, REPORTING, tasks, text};

/// Outcome of the tasks.
#[derive(Default)]
pub struct Tasks {
    /// Issues that were opened.
    pub(crate) opened: Vec<u64>,
    /// Issues that were closed.
    pub(crate) closed: Vec<u64>,
    /// Lines for the channel.
    pub(crate) lines: Vec<String>,
}

/// Opens missing tasks on the board, unless they are `held` back, and closes finished ones.
pub(crate) async fn settle(
    app: &App,
    secrets: &[(Secret, Vec<Finding>)],
    held: bool,
    invocation: &Invocation,
) -> Acted<Tasks> {
    let mut acted = Acted { done: Tasks::default(), steps: Vec::new(), lines: Vec::new(), has_news: false };
    let Some((repository, token)) = &app.board else { return acted };
    let work = async {
        let token = secrets::value(&app.secrets, token, None).await.map_err(BoardError::Token)?;
        let board = Board::new(repository.session(&token, invocation)?, LABEL);
        tasks::settle(&board, &app.base.reporter.documents, &app.base.settings, secrets, held, invocation.now)
            .await
    };
    let settled =
        invocation.before_deadline(REPORTING, work).await.map_err(BoardError::from).and_then(|done| done);
    let outcomes = settled.unwrap_or_else(|error| {
        let wanted: Vec<_> = task::tasks(secrets).iter().map(task::Task::marker).collect();
        vec![(format!("tasks of the board: {}", wanted.join(" ")), Err(error))]
    });
    let language = app.base.settings.language;
    let (mut opened, mut failed) = (Vec::new(), Vec::<(String, usize)>::new());
    for (task, outcome) in outcomes {
        let outcome = match outcome {
            Ok(tasks::Outcome::Opened(number)) => {
                acted.done.opened.push(number);
                opened.push(format!("#{number}: {task}"));
                format!("opened as #{number}")
            }
            Ok(tasks::Outcome::Closed(number)) => {
                acted.done.closed.push(number);
                "closed".to_owned()
            }
            Ok(tasks::Outcome::Left) => "left: it was opened before, or another run has it".to_owned(),
            Err(error) => {
                let reason = chain(&error);
                app.base.reporter.lost("TaskFailures", "TaskFailed", &reason, &task);
                match failed.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, count)) => *count += 1,
                    None => failed.push((reason.clone(), 1)),
                }
                acted.has_news = true;
                format!("failed: {reason}")
            }
        };
        acted.steps.push(Step::now(format!("task {task}"), outcome));
    }
    let closed = acted.done.closed.iter().map(|number| format!("#{number}")).collect();
    acted.done.lines = text::tasks(opened, closed, &failed, language);
    acted
}
