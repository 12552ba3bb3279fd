//! What people ask: another state, another text, an action that is done or has another day.

use shared::runtime::lambda::Invocation;

use crate::error::PostmortemError;
use crate::event::{Act, Change};
use crate::rules::filled::{self, Filled};
use crate::rules::journal::{Postmortem, State, Task};
use crate::{App, One, board, paper, tell, text};

/// Changes a post-mortem.
///
/// # Errors
///
/// [`PostmortemError`]; the person sees it.
pub(crate) async fn change(
    app: &App,
    asked: &Change,
    invocation: &Invocation,
) -> Result<One, PostmortemError> {
    let id = asked.incident.as_str();
    let known = known(app, id).await?;
    match (&asked.state, &asked.text) {
        (Some(next), _) => Box::pin(to_state(app, id, &known, *next, &asked.by, invocation)).await,
        (None, Some(text)) => Box::pin(to_text(app, id, &known, text, &asked.by, invocation)).await,
        // The event was checked.
        (None, None) => Ok(One::of(app, id, "unchanged", &known)),
    }
}

async fn known(app: &App, id: &str) -> Result<Postmortem, PostmortemError> {
    let known = app.journal().await?.postmortems.remove(id);
    known.ok_or_else(|| PostmortemError::NoPostmortem(id.to_owned()))
}

/// Takes a post-mortem to another state.
async fn to_state(
    app: &App,
    id: &str,
    known: &Postmortem,
    next: State,
    by: &str,
    invocation: &Invocation,
) -> Result<One, PostmortemError> {
    if known.state == next {
        return announce(app, id, "unchanged", known, invocation).await;
    }
    let wrong = |state: State| PostmortemError::WrongState {
        incident: id.to_owned(),
        state: state.name(),
        wanted: next.name(),
    };
    if !known.state.may_become(next) {
        return Err(wrong(known.state));
    }
    let (document, _) = paper::current(app, id, invocation).await?;
    let filled = read(id, &document)?;
    let missing = filled.missing();
    if next == State::Closed && !missing.is_empty() {
        let missing = text::missing(&missing, app.base.settings.language);
        return Err(PostmortemError::Incomplete { incident: id.to_owned(), missing });
    }
    let actions = if next == State::Closed { tasks(&filled) } else { Vec::new() };
    let change = |postmortem: &mut Postmortem| {
        let is_ours = postmortem.state == known.state && postmortem.changes == known.changes;
        if is_ours {
            postmortem.state = next;
            postmortem.changes += 1;
            by.clone_into(&mut postmortem.changed_by);
            postmortem.actions.clone_from(&actions);
            postmortem.closed_at = (next == State::Closed).then_some(invocation.now);
        }
        (is_ours, postmortem.clone())
    };
    let changed = app.amend(id, change).await?;
    let (is_ours, changed) = changed.ok_or_else(|| PostmortemError::NoPostmortem(id.to_owned()))?;
    match changed.state == next {
        true => announce(app, id, if is_ours { "changed" } else { "unchanged" }, &changed, invocation).await,
        // Somebody else was faster.
        false => Err(wrong(changed.state)),
    }
}

/// Tells and records the last change, and opens the issues that the actions lack: each once, however often it is asked for.
async fn announce(
    app: &App,
    id: &str,
    outcome: &'static str,
    postmortem: &Postmortem,
    invocation: &Invocation,
) -> Result<One, PostmortemError> {
    let Postmortem { state, changes, changed_by, actions, .. } = postmortem;
    if *changes > 0 {
        let run = format!("{}/{changes}", state.name());
        let entry = text::changed(changed_by, *state, actions.len(), app.base.settings.language);
        tell::tell(app, id, &entry, &run, invocation).await?;
        let told = format!("{} actions", actions.len());
        tell::record(app, id, &run, &format!("person: {changed_by}"), told, invocation).await;
    }
    board::open(app, id, postmortem, invocation).await?;
    // With the numbers of the issues.
    let shown = known(app, id).await?;
    Ok(One::of(app, id, outcome, &shown))
}

/// The actions of a complete document.
fn tasks(filled: &Filled) -> Vec<Task> {
    let task = |action: &filled::Action| {
        Some(Task {
            number: action.number,
            what: action.what.chars().take(1000).collect(),
            owner: action.owner.chars().take(200).collect(),
            due: *action.due.as_ref().ok()?,
            ..Task::default()
        })
    };
    filled.actions.iter().filter_map(task).collect()
}

fn read(id: &str, document: &str) -> Result<Filled, PostmortemError> {
    filled::read(document).map_err(|mark| PostmortemError::MarkGone { incident: id.to_owned(), mark })
}

/// Replaces the text, where no repository has it.
async fn to_text(
    app: &App,
    id: &str,
    known: &Postmortem,
    text: &str,
    by: &str,
    invocation: &Invocation,
) -> Result<One, PostmortemError> {
    if !known.state.is_open() {
        let (state, wanted) = (known.state.name(), State::Draft.name());
        return Err(PostmortemError::WrongState { incident: id.to_owned(), state, wanted });
    }
    read(id, text)?;
    let (before, is_in_repository) = paper::current(app, id, invocation).await?;
    if is_in_repository {
        let number = known.pull_request.unwrap_or_default();
        return Err(PostmortemError::InRepository { incident: id.to_owned(), number });
    }
    if before == text {
        return Ok(One::of(app, id, "unchanged", known));
    }
    paper::store(app, id, text, by).await?;
    let run = format!("text/{}", invocation.now.as_second());
    tell::record(app, id, &run, &format!("person: {by}"), format!("{} bytes", text.len()), invocation).await;
    Ok(One::of(app, id, "changed", known))
}

/// Changes an action of a closed post-mortem.
///
/// # Errors
///
/// [`PostmortemError`]; the person sees it.
pub(crate) async fn act(app: &App, asked: &Act, invocation: &Invocation) -> Result<One, PostmortemError> {
    let (id, number) = (asked.incident.as_str(), asked.number);
    let before = known(app, id).await?;
    let no_action = || PostmortemError::NoAction { incident: id.to_owned(), number };
    let task = before.actions.iter().find(|task| task.number == number).ok_or_else(no_action)?;
    let change = |postmortem: &mut Postmortem| {
        let Some(task) = postmortem.actions.iter_mut().find(|task| task.number == number) else { return };
        match asked.due {
            Some(due) => task.due = due,
            None if task.done_at.is_none() => {
                task.done_at = Some(invocation.now);
                asked.by.clone_into(&mut task.done_by);
            }
            None => {}
        }
    };
    app.amend(id, change).await?;
    let (what, outcome) = match (asked.due, &asked.reason) {
        (Some(due), Some(reason)) => {
            (format!("due/{due}"), format!("{due} instead of {}: {reason}", task.due))
        }
        _ => ("done".to_owned(), "done".to_owned()),
    };
    let run = format!("action/{number}/{what}");
    tell::record(app, id, &run, &format!("person: {}", asked.by), outcome, invocation).await;
    // Not what the board itself said.
    if let Some(issue) = task.issue.filter(|_| asked.done && task.done_at.is_none()) {
        board::close(app, id, issue, &asked.by, invocation).await;
    }
    let after = known(app, id).await?;
    let outcome = if after == before { "unchanged" } else { "changed" };
    Ok(One::of(app, id, outcome, &after))
}
