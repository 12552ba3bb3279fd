//! What a person asks: reads what the table has, decides, writes; and again if an item changed in between.

use incident::person::{Declare, Merge, Request};
use incident::store::{self as rules, Acted, Actor, Event, Found, How, Key, Latest, Outcome, Plan, Refusal};
use incident::text::{Language, desk};
use incident::{Act, Incident, Mute, Signal};
use shared::aws::table::Table;
use shared::runtime::failure::CallError;
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::error::DeskError;

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Done {
    /// What happened.
    pub(crate) outcome: Outcome,
    /// The incident after it; none for a mute of a problem without an open incident.
    pub(crate) incident: Option<Incident>,
    /// With [`Outcome::Already`]: who had done it before.
    pub(crate) before: Option<Act>,
    /// Whether a squad was called of which nobody can be reached.
    pub(crate) is_unreached: bool,
}

impl Done {
    /// The answer to whoever invoked the function.
    pub(crate) fn answer(self, language: Language) -> crate::Done {
        let warning = self.warning(language);
        let (by, at) = self.before.map(|act| (act.by, act.at)).unzip();
        let incident = self.incident.map(|incident| incident.id).unwrap_or_default();
        crate::Done { incident, outcome: self.outcome.name(), by, at, warning }
    }

    /// What people have to know beside it.
    pub(crate) fn warning(&self, language: Language) -> Option<&'static str> {
        self.is_unreached.then(|| desk::unreached(language))
    }
}

/// Does what a person asks. `cause` names the request: the same one has the same, however often it is delivered.
///
/// # Errors
///
/// [`DeskError`]; the person sees it.
pub(crate) async fn act(
    app: &App,
    request: &Request,
    actor: &Actor,
    cause: &str,
    invocation: &Invocation,
) -> Result<Done, DeskError> {
    let now = invocation.now;
    if request.incident().is_none() {
        rules::may(request, None, actor, &app.context(now, 0))?;
    }
    let by = actor.name.clone();
    let done = match request {
        Request::Declare(declare) => {
            let signal = Declare { by, ..declare.clone() }.signal(cause, now);
            let signal = Signal { is_vouched: actor.how != How::Unknown, ..signal };
            let context = |attempt| app.context(now, attempt);
            of_plan(app, app.table.store::<DeskError>(&signal, cause, context).await?).await?
        }
        Request::Mute(asked) => {
            let order = Mute { by, ..asked.order(now)? };
            mute(app, asked.problem(), &order, cause, invocation).await?
        }
        Request::Unmute(asked) => {
            let order = Mute { by, ..asked.order(now) };
            mute(app, asked.problem(), &order, cause, invocation).await?
        }
        request => {
            let decide = async |attempt| {
                let found = found(&app.table, request, cause).await?;
                rules::act(request, &found, actor, cause, &app.context(now, attempt)).map_err(DeskError::from)
            };
            let Acted { plan, incident, before } = app.table.settle(cause, decide).await?;
            let is_new = plan.outcome == Outcome::Updated && matches!(request, Request::Call(_));
            let called = incident.called.last().filter(|_| is_new);
            let policy = &app.settings.policy;
            let is_unreached = called.is_some_and(|called| !rules::is_reachable(&called.squad, policy, now));
            Done { outcome: plan.outcome, incident: Some(incident), before, is_unreached }
        }
    };
    let incident = done.incident.as_ref().map_or("", |incident| &incident.id);
    let (verb, by, how) = (request.verb(), &actor.name, actor.how.name());
    tracing::info!(message = "asked by a person", incident, verb, outcome = done.outcome.name(), by, how);
    Ok(done)
}

/// What the table has about a request that names an incident.
async fn found(table: &Table, request: &Request, cause: &str) -> Result<Found, DeskError> {
    let id = request.incident().unwrap_or_default();
    let into = match request {
        Request::Merge(Merge { into, .. }) => Some(Key::incident(into)),
        _ => None,
    };
    let (own, event) = (Key::incident(id), Key::act(cause));
    let keys: Vec<Key> = [own.clone(), event.clone()].into_iter().chain(into.clone()).collect();
    let items = table.read(&keys).await?;
    let Some(incident) = items.get(&own).and_then(rules::incident) else {
        return Err(Refusal::NoIncident(id.to_owned()).into());
    };
    let (latest, mute, all) =
        (Key::latest(&incident.problem), Key::mute(Some(&incident.problem)), Key::mute(None));
    let whole = incident.is_merged().then(|| Key::incident(&incident.merged_into));
    let keys: Vec<Key> =
        [latest.clone(), mute.clone(), all.clone()].into_iter().chain(whole.clone()).collect();
    let around = table.read(&keys).await?;
    let mutes = [mute, all].into_iter().filter_map(|key| rules::mute_of(around.get(&key)?));
    Ok(Found {
        event: items.get(&event).map(Event::read),
        into: into.and_then(|key| rules::incident(items.get(&key)?)),
        latest: around.get(&latest).map(Latest::read),
        whole: whole.and_then(|key| rules::incident(around.get(&key)?)),
        mute: mutes.max_by_key(|mute| mute.until),
        incident,
    })
}

/// What a plan did, with the incident as it now is.
async fn of_plan(app: &App, plan: Plan) -> Result<Done, DeskError> {
    let incident = match plan.incident.as_str() {
        "" => None,
        id => app.table.incident(id).await?,
    };
    Ok(Done { outcome: plan.outcome, incident, before: None, is_unreached: false })
}

/// Mutes a problem and its open incident, or everything.
async fn mute(
    app: &App,
    problem: Option<&str>,
    order: &Mute,
    cause: &str,
    invocation: &Invocation,
) -> Result<Done, DeskError> {
    let event = Key::act(cause);
    let decide = async |attempt| {
        if let Some(event) = app.table.read(std::slice::from_ref(&event)).await?.get(&event) {
            let incident = Event::read(event).incident;
            return Ok(Plan { outcome: Outcome::Repeated, incident, writes: vec![] });
        }
        let (incident, other) = match problem {
            Some(problem) => (newest(app, problem).await?, mute_of(app, None).await?),
            None => (None, None),
        };
        let context = app.context(invocation.now, attempt);
        Ok::<_, DeskError>(rules::mute(problem, incident.as_ref(), order, other.as_ref(), cause, &context))
    };
    let plan = app.table.settle(cause, decide).await?;
    if problem.is_none() {
        // A repetition goes on with what was ordered, unless another order has replaced it since.
        let ordered = match plan.outcome {
            Outcome::Repeated => mute_of(app, None).await?,
            _ => Some(order.clone()),
        };
        let is_own = |mute: &Mute| (&mute.by, &mute.reason) == (&order.by, &order.reason);
        if let Some(ordered) = ordered.filter(is_own) {
            mute_open(app, &ordered, cause, invocation).await?;
        }
    }
    of_plan(app, plan).await
}

/// Lets each open incident wait for the end of a mute of everything, and not of a longer one that `order` has replaced: in a
/// transaction of its own, since there may be any number. One that opens in this second may be missing: it was decided with
/// the old mute, or the index lags. A repeated request finds it.
async fn mute_open(app: &App, order: &Mute, cause: &str, invocation: &Invocation) -> Result<(), DeskError> {
    let mut failed = None;
    for key in app.table.open().await? {
        let decide = async |attempt| {
            let found = app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(rules::incident);
            let Some(incident) = found else {
                return Ok(Plan { outcome: Outcome::Recorded, incident: String::new(), writes: vec![] });
            };
            let own = mute_of(app, Some(&incident.problem)).await?;
            let context = app.context(invocation.now, attempt);
            Ok::<_, DeskError>(rules::mute_too(&incident, order, own.as_ref(), cause, &context))
        };
        // One that fails holds up no other.
        failed = app.table.settle(cause, decide).await.err().or(failed);
    }
    failed.map_or(Ok(()), Err)
}

/// The mute of a problem, or of everything, over or not.
async fn mute_of(app: &App, problem: Option<&str>) -> Result<Option<Mute>, CallError> {
    let key = Key::mute(problem);
    Ok(app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(rules::mute_of))
}

/// A problem's newest incident.
pub(crate) async fn newest(app: &App, problem: &str) -> Result<Option<Incident>, CallError> {
    let key = Key::latest(problem);
    let latest = app.table.read(std::slice::from_ref(&key)).await?.get(&key).map(Latest::read);
    match latest {
        Some(latest) if !latest.incident.is_empty() => app.table.incident(&latest.incident).await,
        _ => Ok(None),
    }
}
