//! What a person asks for: declare, acknowledge, resolve, mute, unmute.

use incident::person::{Request, Resolve};
use incident::store::{self as rules, Key, Latest, Plan};
use incident::{Incident, Mute};
use shared::runtime::failure::CallError;
use shared::runtime::lambda::Invocation;

use crate::error::PageError;
use crate::store::{one, settle};
use crate::{Answer, App, Done};

/// Does what a person asks.
///
/// # Errors
///
/// [`PageError`]; the person sees it.
pub(crate) async fn act(app: &App, request: Request, invocation: &Invocation) -> Result<Answer, PageError> {
    let (now, cause) = (invocation.now, invocation.request_id.as_str());
    let plan = match request {
        Request::Declare(declare) => one(app, &declare.signal(cause, now), invocation).await?.plan,
        Request::Acknowledge(asked) => {
            let decide = async |attempt| {
                let incident = named(app, &asked.incident).await?;
                Ok(rules::acknowledge(&incident, &asked.by, "", cause, &app.context(now, attempt)))
            };
            settle(app, cause, decide).await?
        }
        Request::Resolve(asked) => {
            settle(app, cause, async |attempt| resolve(app, &asked, attempt, invocation).await).await?
        }
        Request::Mute(asked) => mute(app, asked.problem(), &asked.order(now)?, invocation).await?,
        Request::Unmute(asked) => mute(app, asked.problem(), &asked.order(now), invocation).await?,
    };
    let done = Done { incident: plan.incident, outcome: plan.outcome.name() };
    tracing::info!(message = "asked by a person", incident = done.incident, outcome = done.outcome);
    Ok(Answer::Done { done: vec![done] })
}

/// Resolves the incident that a person named, if it is its problem's newest one.
async fn resolve(
    app: &App,
    asked: &Resolve,
    attempt: u32,
    invocation: &Invocation,
) -> Result<Plan, PageError> {
    let incident = named(app, &asked.incident).await?;
    let signal = asked.signal(&incident, &invocation.request_id, invocation.now);
    let facts = app.table.facts(&signal).await?;
    let is_newest = facts.latest.as_ref().is_none_or(|latest| latest.incident == incident.id);
    // A repetition, or an older incident, which is over.
    if facts.event.is_none() && !(incident.is_open() && is_newest) {
        return Ok(Plan { outcome: rules::Outcome::Recorded, incident: incident.id, writes: vec![] });
    }
    Ok(rules::decide(&signal, &facts, &app.context(invocation.now, attempt)))
}

/// Mutes a problem and its open incident, or everything.
async fn mute(
    app: &App,
    problem: Option<&str>,
    order: &Mute,
    invocation: &Invocation,
) -> Result<Plan, PageError> {
    let (now, cause) = (invocation.now, invocation.request_id.as_str());
    let decide = async |attempt| {
        let (incident, other) = match problem {
            Some(problem) => (newest(app, problem).await?, mute_of(app, None).await?),
            None => (None, None),
        };
        let context = app.context(now, attempt);
        Ok(rules::mute(problem, incident.as_ref(), order, other.as_ref(), cause, &context))
    };
    let plan = settle(app, cause, decide).await?;
    if problem.is_none() {
        mute_open(app, order, invocation).await?;
    }
    Ok(plan)
}

/// Lets each open incident wait for the end of a mute of everything, and not of a longer one that `order` has replaced: in a
/// transaction of its own, since there may be any number. One that opens in this second may be missing: it was decided with the old
/// mute, or the index lags. A repeated request finds it.
async fn mute_open(app: &App, order: &Mute, invocation: &Invocation) -> Result<(), PageError> {
    let (now, cause) = (invocation.now, invocation.request_id.as_str());
    let mut failed = None;
    for key in app.table.open().await? {
        let decide = async |attempt| {
            let found = app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(rules::incident);
            let Some(incident) = found else {
                return Ok(Plan {
                    outcome: rules::Outcome::Recorded,
                    incident: String::new(),
                    writes: vec![],
                });
            };
            let own = mute_of(app, Some(&incident.problem)).await?;
            Ok(rules::mute_too(&incident, order, own.as_ref(), cause, &app.context(now, attempt)))
        };
        // One that fails holds up no other.
        failed = settle(app, cause, decide).await.err().or(failed);
    }
    failed.map_or(Ok(()), Err)
}

/// The mute of a problem, or of everything, over or not.
async fn mute_of(app: &App, problem: Option<&str>) -> Result<Option<Mute>, CallError> {
    let key = Key::mute(problem);
    Ok(app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(rules::mute_of))
}

/// The incident with an id.
async fn named(app: &App, id: &str) -> Result<Incident, PageError> {
    stored(app, id).await?.ok_or_else(|| PageError::NoIncident(id.to_owned()))
}

/// A problem's newest incident.
async fn newest(app: &App, problem: &str) -> Result<Option<Incident>, CallError> {
    let key = Key::latest(problem);
    let latest = app.table.read(std::slice::from_ref(&key)).await?.get(&key).map(Latest::read);
    match latest {
        Some(latest) if !latest.incident.is_empty() => stored(app, &latest.incident).await,
        _ => Ok(None),
    }
}

async fn stored(app: &App, id: &str) -> Result<Option<Incident>, CallError> {
    let key = Key::incident(id);
    Ok(app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(rules::incident))
}
