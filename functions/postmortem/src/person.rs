//! What people ask: another state, another text, an action that is done or has another day.

use incident::Incident;
use shared::aws::table::Busy;
use shared::runtime::lambda::Invocation;

use crate::begin::{self, Fresh};
use crate::error::PostmortemError;
use crate::event::{Act, Change};
use crate::paper::Held;
use crate::rules::filled::{self, Filled};
use crate::rules::journal::{Moved, Postmortem, State, Task};
use crate::{App, One, PROCEDURE, board, paper, tell, text};

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
    let incident = app.incident(id).await?;
    let is_over = !incident.is_open() && incident.resolved_at == Some(known.resolved_at);
    if next == State::Closed && !is_over {
        return Err(PostmortemError::NotOver(id.to_owned()));
    }
    let (before, held) = paper::current(app, id, invocation).await?;
    let Fresh { text, has_more_actions } = begin::fresh(app, &incident, known, &before).await?;
    let mut offered = None;
    if has_more_actions {
        // People complete it where they write.
        paper::store(app, id, &text, PROCEDURE).await?;
        if held != Held::Bucket {
            offered = paper::offer(app, id, &incident.title, &text, &before, invocation).await?;
        }
    }
    note_actions(app, id, known, &incident, offered).await?;
    let filled = read(id, &text)?;
    let missing = filled.missing();
    if next == State::Closed {
        if !missing.is_empty() {
            let missing = text::missing(&missing, app.base.settings.language);
            return Err(PostmortemError::Incomplete { incident: id.to_owned(), missing });
        }
        // What is closed has the facts of this moment, whoever edited them.
        paper::store(app, id, &text, PROCEDURE).await?;
    }
    let actions = if next == State::Closed { tasks(&filled) } else { Vec::new() };
    let change = |postmortem: &mut Postmortem| {
        let is_ours = postmortem.state == known.state
            && postmortem.changes == known.changes
            && postmortem.resolved_at == known.resolved_at;
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
    match changed.state {
        state if state == next => {
            announce(app, id, if is_ours { "changed" } else { "unchanged" }, &changed, invocation).await
        }
        // Somebody else was faster.
        state if state != known.state => Err(wrong(state)),
        _ => Err(Busy(1).into()),
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
    let Postmortem { state, changes, changed_by, actions, told, .. } = postmortem;
    if changes > told {
        let run = format!("{}/{changes}", state.name());
        let entry = text::changed(changed_by, *state, actions.len(), app.base.settings.language);
        tell::tell(app, id, &entry, &run, invocation).await?;
        let outcome = format!("{} actions", actions.len());
        tell::record(app, id, &run, &format!("person: {changed_by}"), outcome, invocation).await;
        app.amend(id, |postmortem| postmortem.told = postmortem.told.max(*changes)).await?;
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
    let (before, held) = paper::current(app, id, invocation).await?;
    let number = match held {
        Held::Bucket => None,
        Held::Merged => Some(known.pull_request.unwrap_or_default()),
        Held::PullRequest(number) => Some(number),
    };
    if let Some(number) = number {
        return Err(PostmortemError::InRepository { incident: id.to_owned(), number });
    }
    // The facts of what people downloaded may be old by now.
    let incident = app.incident(id).await?;
    let Fresh { text, .. } = begin::fresh(app, &incident, known, text).await?;
    let outcome = if text == before { "unchanged" } else { "changed" };
    // Also the same text: an attempt may have died before it was shown.
    paper::store(app, id, &text, by).await?;
    note_actions(app, id, known, &incident, None).await?;
    // Also if an attempt died after it had stored the text.
    if let Some(written) = paper::written(app, id).await?.filter(|written| written.by == by) {
        let (run, told) = (format!("text/{}", written.changes), format!("SHA-256 {}", written.sha256));
        tell::record(app, id, &run, &format!("person: {by}"), told, invocation).await;
    }
    Ok(One::of(app, id, outcome, known))
}

/// Notes that the document has every action that the runbook asks for, so that none comes back after people changed it; and the
/// pull request in which one was offered.
async fn note_actions(
    app: &App,
    id: &str,
    known: &Postmortem,
    incident: &Incident,
    offered: Option<u64>,
) -> Result<(), PostmortemError> {
    if offered.is_none() && known.runbook_wrong == incident.runbook_wrong {
        return Ok(());
    }
    let change = |postmortem: &mut Postmortem| {
        postmortem.runbook_wrong.clone_from(&incident.runbook_wrong);
        postmortem.pull_request = offered.or(postmortem.pull_request);
    };
    app.amend(id, change).await?;
    Ok(())
}

/// Changes an action of a closed post-mortem.
///
/// # Errors
///
/// [`PostmortemError`]; the person sees it.
pub(crate) async fn act(app: &App, asked: &Act, invocation: &Invocation) -> Result<One, PostmortemError> {
    let (id, number) = (asked.incident.as_str(), asked.number);
    let reason = asked.reason.as_deref().unwrap_or_default();
    let change = |postmortem: &mut Postmortem| {
        let task = postmortem.actions.iter_mut().find(|task| task.number == number)?;
        let before = task.clone();
        match asked.due {
            Some(due) => task.put_off(due, &asked.by, reason),
            None => task.finish(invocation.now, &asked.by, reason),
        }
        Some((*task != before, task.clone()))
    };
    let found = app.amend(id, change).await?;
    let found = found.ok_or_else(|| PostmortemError::NoPostmortem(id.to_owned()))?;
    let no_action = || PostmortemError::NoAction { incident: id.to_owned(), number };
    let (is_changed, task) = found.ok_or_else(no_action)?;
    // From what is noted, so that an attempt after one that died records the same.
    let (run, by, told) = match (asked.due, &task.moved) {
        (Some(due), Some(Moved { from, by, reason })) => {
            (format!("due/{}", task.moves), by, format!("{due} instead of {from}: {reason}"))
        }
        _ if task.reason.is_empty() => ("done".to_owned(), &task.done_by, "done".to_owned()),
        _ => ("done".to_owned(), &task.done_by, format!("done: {}", task.reason)),
    };
    // What the board itself said is in the daily run's record.
    if by != board::BOARD {
        let run = format!("action/{number}/{run}");
        tell::record(app, id, &run, &format!("person: {by}"), told, invocation).await;
        board::follow(app, id, &task, asked.done, invocation).await;
    }
    let outcome = if is_changed { "changed" } else { "unchanged" };
    Ok(One::of(app, id, outcome, &known(app, id).await?))
}
