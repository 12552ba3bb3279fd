//! Looks at one incident: does what is due, and makes the schedules of what will be.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use incident::store::{Context, Key, Purpose, incident, separate};
use incident::{Action, Incident, is_own_drill};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::aws::table::WriteError;
use shared::runtime::lambda::Invocation;

use crate::aws::Invokes;
use crate::case::{self, Next};
use crate::error::ClockError;
use crate::register;
use crate::rules::notes::Notes;
use crate::rules::said::{MAIL, Said, done, owing, writes};
use crate::rules::timer::{Task, Timer, wanted};
use crate::rules::{lgpd, reminder};
use crate::{App, failed};

/// Most looks of one invocation at one incident: a few things may be due at the same time, and a storm of events changes
/// the incident again and again.
const LOOKS: u32 = 20;

/// A one-time schedule is exact to a minute; one for a moment that has passed by the time it is made may never fire.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// Most names of schedules that a process remembers to have made, so that a storm of events asks for each once.
const MOST_MADE: usize = 10_000;

/// How late something may be before its schedule counts as lost, or as never made.
const LATE: SignedDuration = SignedDuration::from_mins(2);

/// What a look did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Looked {
    /// Things that were due and are done.
    pub(crate) done: usize,
    /// Schedules that were made.
    pub(crate) scheduled: usize,
    /// Of both, those whose schedule was lost.
    pub(crate) repaired: usize,
}

/// What an incident and its notes are now.
pub(crate) struct Found {
    pub(crate) incident: Incident,
    pub(crate) notes: Notes,
}

/// Reads an incident with its notes; none without an incident that can be read.
///
/// # Errors
///
/// [`ClockError`].
pub(crate) async fn found(app: &App, id: &str) -> Result<Option<Found>, ClockError> {
    let keys = [Key::incident(id), Notes::key(id)];
    let items = app.table.read(&keys).await.map_err(ClockError::Table)?;
    let [state, notes] = keys;
    let Some(incident) = items.get(&state).and_then(incident) else { return Ok(None) };
    let notes = Notes::read(items.get(&notes)).ok_or_else(|| ClockError::NotesUnreadable(id.to_owned()))?;
    Ok(Some(Found { incident, notes }))
}

/// What to do about a timer that is due.
enum Prepared {
    /// Say this, if anything, and remember that.
    Do(Option<Said>, Box<Notes>),
    /// The notes have changed: look again.
    Again,
    /// Leave it to a later invocation.
    Later,
}

/// Looks at an incident until nothing is due. `waiting` are the schedules that a sweep knows to wait. What fails holds up
/// nothing else.
///
/// # Errors
///
/// The first [`ClockError`]; what was not done is still due.
///
/// Boxed: several looks at the same time, each with large futures of AWS.
pub(crate) fn look<'a>(
    app: &'a App,
    id: &'a str,
    waiting: Option<&'a BTreeSet<String>>,
    invocation: &'a Invocation,
) -> LocalBoxFuture<'a, Result<Looked, ClockError>> {
    until_done(app, id, waiting, invocation).boxed_local()
}

async fn until_done(
    app: &App,
    id: &str,
    waiting: Option<&BTreeSet<String>>,
    invocation: &Invocation,
) -> Result<Looked, ClockError> {
    let (now, context) = (invocation.now, app.context(invocation.now));
    let (mut looked, mut left, mut failed) = (Looked::default(), BTreeSet::new(), None);
    for attempt in 0..LOOKS {
        let Some(Found { incident, notes }) = found(app, id).await? else { return Ok(looked) };
        if is_own_drill(&incident.source, &incident.problem) {
            return Ok(looked);
        }
        // Boxed, as the others with calls of AWS: a sweep has several looks at the same time.
        match alone(app, &incident, &context).boxed_local().await? {
            Some(true) => {
                looked.done += 1;
                continue;
            }
            Some(false) => {
                pause(attempt).await;
                continue;
            }
            None => {}
        }
        let timers = wanted(&incident, &notes, context.policy, now);
        // A post-mortem's schedule is made at once: no later look finds an incident that is over.
        let is_due = |timer: &&Timer| timer.at <= now || timer.task == Task::PostMortem;
        let Some(timer) = timers.iter().filter(is_due).find(|timer| !left.contains(timer.kind())) else {
            for timer in timers.iter().filter(|timer| !is_due(timer)) {
                if let Err(error) = schedule(app, &incident, timer, waiting, now, &mut looked).await {
                    failed = failed.or(Some(error));
                }
            }
            // The defaults that replace an unread policy may ask for less.
            let is_left = !timers.is_empty() || (!app.is_policy_read && notes.is_watched);
            watch(app, &incident, &notes, is_left).await?;
            return failed.map_or(Ok(looked), Err);
        };
        let prepared = prepare(app, &incident, &notes, timer, &context, invocation).boxed_local().await;
        let is_done = match prepared {
            Ok(Prepared::Do(said, notes)) => {
                tell(app, &incident, &notes, timer, said.as_ref(), &context).await?
            }
            Ok(Prepared::Again) => continue,
            Ok(Prepared::Later) => {
                left.insert(timer.kind());
                continue;
            }
            Err(error) => {
                failed = failed.or(Some(error));
                left.insert(timer.kind());
                continue;
            }
        };
        if is_done {
            // Another attempt at a case has no schedule, nor has the order of a post-mortem, which makes one.
            let has_schedule = match timer.task {
                Task::Support(_) => notes.support.tries == 0,
                Task::PostMortem | Task::Register => false,
                _ => true,
            };
            let is_late = has_schedule && now.duration_since(timer.at.max(timer.since)) > LATE;
            looked.done += 1;
            looked.repaired += usize::from(is_late && waiting.is_some());
            let name = timer.name(id);
            tracing::info!(message = "done", incident = id, timer = name);
        } else {
            pause(attempt).await;
        }
    }
    Err(failed.unwrap_or_else(|| ClockError::Busy(id.to_owned())))
}

/// Waits before another look: another invocation was faster, or the incident has changed.
async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(20 << attempt.min(5))).await;
}

/// Has a part of an incident that is over call people for itself; false if something changed in between, none if there is
/// nothing to do.
async fn alone(app: &App, part: &Incident, context: &Context<'_>) -> Result<Option<bool>, ClockError> {
    if !part.is_open() || !part.is_merged() {
        return Ok(None);
    }
    let whole = app.table.incident(&part.merged_into).await.map_err(ClockError::Table)?;
    let writes = separate(part, whole.as_ref(), crate::PROCEDURE, context);
    if writes.is_empty() {
        return Ok(None);
    }
    match app.table.transact(&writes).await {
        Ok(()) => {
            tracing::info!(message = "separated", incident = part.id, whole = part.merged_into);
            Ok(Some(true))
        }
        Err(WriteError::Changed) => Ok(Some(false)),
        Err(WriteError::Call(call)) => Err(ClockError::Table(call)),
    }
}

/// What a timer that is due says, after the work that has to be done before it is said.
async fn prepare(
    app: &App,
    incident: &Incident,
    notes: &Notes,
    timer: &Timer,
    context: &Context<'_>,
    invocation: &Invocation,
) -> Result<Prepared, ClockError> {
    let (language, policy) = (app.settings().language, &context.policy.incidents);
    let reminded = |text, calls| Said { action: Action::Reminded, text, calls, is_mail: false };
    let (said, notes) = match &timer.task {
        // A case and a mail cannot be taken back, so neither is sent on defaults that replace an unread policy.
        Task::Support(_) | Task::Customers(_) if !app.is_policy_read => return Ok(Prepared::Later),
        Task::Update { due, step } => {
            let is_first = notes.update.is_none_or(|reminded| reminded.since != due.since);
            let text = reminder::text(incident, due, language, context.now);
            (Some(reminded(text, reminder::purposes(incident, *step, is_first))), notes.clone())
        }
        Task::Support(why) => match case::proceed(app, incident, notes, *why, context).await? {
            Next::Say(said, notes) => (Some(said), *notes),
            Next::Again => return Ok(Prepared::Again),
            Next::Later => return Ok(Prepared::Later),
        },
        Task::Lgpd { step } => {
            let Some(text) = lgpd::text(incident, *step, &policy.lgpd, language) else {
                return Ok(Prepared::Later);
            };
            let begun = match *step {
                0 if !incident.is_drill => register::begin(app, incident, invocation).await,
                _ => Ok(()),
            };
            let (text, notes) = match begun {
                Ok(()) => (text, notes.clone()),
                // The term runs without the register: people hear of it now, and the register is begun later.
                Err(error) => {
                    failed(&error);
                    (format!("{text}\n{}", lgpd::unregistered(language)), owing(notes, timer))
                }
            };
            (Some(reminded(text, &[Purpose::Commander, Purpose::CommanderBackup])), notes)
        }
        Task::Register => {
            register::begin(app, incident, invocation).await?;
            (None, notes.clone())
        }
        Task::Customers(_) => (Some(MAIL), notes.clone()),
        Task::PostMortem => {
            let at = timer.at.max(ahead(context.now));
            let input = json!({"document": {"incident": incident.id}}).to_string();
            let name = timer.name(&incident.id);
            let made = app.schedules.once(&name, at, Invokes::PostMortem, input).await;
            made.map_err(ClockError::Scheduler)?;
            (None, notes.clone())
        }
    };
    Ok(Prepared::Do(said, Box::new(done(&notes, timer, incident))))
}

/// Writes what was said, or only that it was done; false if something changed in between.
async fn tell(
    app: &App,
    incident: &Incident,
    notes: &Notes,
    timer: &Timer,
    said: Option<&Said>,
    context: &Context<'_>,
) -> Result<bool, ClockError> {
    let Some(said) = said else { return app.noted(notes, incident).await };
    let cause = timer.name(&incident.id);
    match app.table.transact(&writes(incident, notes, said, &cause, context)).await {
        Ok(()) => Ok(true),
        Err(WriteError::Changed) => Ok(false),
        Err(WriteError::Call(call)) => Err(ClockError::Table(call)),
    }
}

/// Makes a timer's schedule, unless it is known to wait.
async fn schedule(
    app: &App,
    incident: &Incident,
    timer: &Timer,
    waiting: Option<&BTreeSet<String>>,
    now: Timestamp,
    looked: &mut Looked,
) -> Result<(), ClockError> {
    let name = timer.name(&incident.id);
    let is_known = waiting.map_or_else(|| app.made.borrow().contains(&name), |names| names.contains(&name));
    if is_known {
        return Ok(());
    }
    let input = json!({"timer": {"incident": incident.id, "name": name}}).to_string();
    let at = timer.at.max(ahead(now));
    app.schedules.once(&name, at, Invokes::Clock, input).await.map_err(ClockError::Scheduler)?;
    let mut made = app.made.borrow_mut();
    if made.len() >= MOST_MADE {
        made.clear();
    }
    made.insert(name);
    looked.scheduled += 1;
    looked.repaired += usize::from(waiting.is_some() && now.duration_since(timer.since) > LATE);
    Ok(())
}

/// The next moment for which a schedule can be made.
fn ahead(now: Timestamp) -> Timestamp {
    now.checked_add(AHEAD).unwrap_or(now)
}

/// Notes whether a sweep has to look at the incident: while it is open, and afterwards until nothing is left to do.
async fn watch(app: &App, incident: &Incident, notes: &Notes, is_left: bool) -> Result<(), ClockError> {
    let is_watched = incident.is_open() || is_left;
    if !is_watched && incident.sensitive_data.is_some() {
        // The desk put the incident under watch when a person said «yes».
        match app.table.write(&incident.unwatch()).await {
            Ok(()) | Err(WriteError::Changed) => {}
            Err(WriteError::Call(call)) => return Err(ClockError::Table(call)),
        }
    }
    if is_watched == notes.is_watched || (notes.version == 0 && !is_watched) {
        return Ok(());
    }
    // If another invocation was faster, it looked later, or the sweep does.
    app.noted(&Notes { is_watched, ..notes.clone() }, incident).await.map(drop)
}
