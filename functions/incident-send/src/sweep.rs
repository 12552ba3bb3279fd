//! The sweep, once a minute: rows that are due, escalations, sources that fell silent, the daily synthetic event,
//! hand-overs.

use std::collections::BTreeMap;

use futures_util::future::join3;
use futures_util::{StreamExt, stream};
use incident::store::{
    Attributes, Context, Heartbeat, Key, Latest, Purpose, Row, Write, decide, incident, resume,
};
use incident::{Change, Incident, Signal};
use jiff::Timestamp;
use shared::aws::table::WriteError;
use shared::policy::Area;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::failure::CallError;
use shared::runtime::lambda::Invocation;
use shared::runtime::metrics;

use crate::error::SendError;
use crate::rules::synthetic::{self, Act, Noted};
use crate::rules::{escalation, silence};
use crate::work::{self, Look};
use crate::{Answer, App, aws, failed, hand_over};

/// Most keys of one read.
const MOST_READ: usize = 100;

/// Most incidents that are looked at at the same time.
const AT_ONCE: usize = 10;

/// Looks at everything. What fails holds up nothing else.
///
/// # Errors
///
/// The first [`SendError`]; the next sweep tries again.
pub(crate) async fn run(app: &App, invocation: &Invocation) -> Result<Answer, SendError> {
    // A schedule that stopped rings.
    metrics::count("Sweeps", &app.settings.function);
    let now = invocation.now;
    let chores =
        async { [heartbeats(app, now).await, daily(app, now).await, hand_over::run(app, now).await] };
    let rows = work::run(app, Look::All, invocation);
    // Neither do many open incidents hold up a heartbeat, nor a slow Slack an escalation.
    let (sent, escalated, others) = join3(rows, escalate(app, now), chores).await;
    let errors = [sent.as_ref().err(), escalated.as_ref().err()].into_iter().flatten();
    let errors = errors.chain(others.iter().filter_map(|other| other.as_ref().err()));
    let errors: Vec<SendError> = errors.cloned().collect();
    if let Some((first, others)) = errors.split_first() {
        others.iter().for_each(failed);
        return Err(first.clone());
    }
    Ok(Answer { escalated: escalated.unwrap_or_default(), ..sent.unwrap_or_default() })
}

/// Tells again what nobody took before a mute that has ended, and pages the next people of each open incident that nobody
/// took in time; returns the number of escalations. One that fails holds up none of the others; the first error is returned.
async fn escalate(app: &App, now: Timestamp) -> Result<usize, SendError> {
    let keys = app.table.open().await?;
    let items = read(app, &keys).await?;
    let mut error = None;
    for incident in items.values().filter_map(incident).filter(Incident::is_open) {
        let resumed = resume(&incident, crate::PROCEDURE, &context(app, now));
        if !resumed.is_empty()
            && let Err(call) = written(app, &resumed).await
        {
            error = error.or(Some(call));
        }
    }
    let waiting = items.values().filter_map(|item| {
        let incident = incident(item).filter(Incident::is_open)?;
        let purposes = escalation::unsettled(&app.settings.policy, item, &incident, now)?;
        Some(look(app, incident, purposes, now))
    });
    let waiting: Vec<_> = waiting.collect();
    let looked: Vec<Result<usize, CallError>> =
        stream::iter(waiting).buffer_unordered(AT_ONCE).collect().await;
    let mut escalated = 0;
    for one in looked {
        match one {
            Ok(some) => escalated += some,
            Err(call) => error = error.or(Some(call)),
        }
    }
    error.map_or(Ok(escalated), |call| Err(call.into()))
}

/// Looks at one incident that waits: the purposes whose time has come, and whether any channel has accepted its page.
/// Once there is nothing left to do, notes so.
async fn look(
    app: &App,
    incident: Incident,
    purposes: Vec<Purpose>,
    now: Timestamp,
) -> Result<usize, CallError> {
    let (policy, language) = (&app.settings.policy, app.settings.language);
    let rows = aws::rows(&app.table, &incident.id).await?;
    if escalation::is_untold(&incident, &rows, now) {
        tracing::error!(message = "no channel has accepted a page", incident = incident.id);
        metrics::count("PagesNotAccepted", &app.settings.function);
    }
    let (done, left): (Vec<Purpose>, Vec<Purpose>) =
        purposes.into_iter().partition(|purpose| escalation::is_done(*purpose, &incident, &rows));
    let mut escalated = 0;
    for purpose in &left {
        // One that no channel can tell now is left: another policy, or another person on call, may change that.
        let writes = escalation::plan(policy, &incident, *purpose, &app.channels, language, now);
        if !writes.is_empty() {
            escalated += usize::from(written(app, &writes).await?);
        }
    }
    if left.is_empty()
        && escalation::is_told(&incident, &rows)
        && let Err(WriteError::Call(call)) = app.table.write(&escalation::settled(&incident, &done)).await
    {
        return Err(call);
    }
    Ok(escalated)
}

/// The items of any number of keys, as they are now.
pub(crate) async fn read(app: &App, keys: &[Key]) -> Result<BTreeMap<Key, Attributes>, CallError> {
    let mut items = BTreeMap::new();
    for part in keys.chunks(MOST_READ) {
        items.extend(app.table.read(part).await?);
    }
    Ok(items)
}

/// Writes all or nothing; false if the items changed meanwhile, so that the next sweep decides again.
async fn written(app: &App, writes: &[Write]) -> Result<bool, CallError> {
    match app.table.transact(writes).await {
        Ok(()) => Ok(true),
        Err(WriteError::Changed) => Ok(false),
        Err(WriteError::Call(call)) => Err(call),
    }
}

/// Opens an incident for each source that fell silent, and closes it once the source is heard.
async fn heartbeats(app: &App, now: Timestamp) -> Result<(), SendError> {
    let expected = &app.settings.policy.incidents.heartbeats;
    let keys: Vec<Key> = expected.keys().map(|name| Key::heartbeat(name)).collect();
    for heartbeat in read(app, &keys).await?.values().filter_map(Heartbeat::read) {
        if let Some(signal) = silence::signal(&heartbeat, expected, app.settings.language, now) {
            decided(app, &signal, now).await?;
        }
    }
    Ok(())
}

fn context(app: &App, now: Timestamp) -> Context<'_> {
    app.settings.context(&app.channels, now, 0)
}

/// Stores a signal of our own, as the intake does. What ends a problem is stored only if its incident is open.
async fn decided(app: &App, signal: &Signal, now: Timestamp) -> Result<(), SendError> {
    let facts = app.table.facts(signal).await?;
    let is_open = facts.incident.as_ref().is_some_and(Incident::is_open);
    if signal.change == Change::Resolved && !is_open {
        return Ok(());
    }
    let plan = decide(signal, &facts, &context(app, now));
    if !plan.writes.is_empty() && written(app, &plan.writes).await? {
        tracing::info!(message = "stored", incident = plan.incident, outcome = plan.outcome.name());
    }
    Ok(())
}

/// Publishes the day's synthetic event, and looks whether it came back.
async fn daily(app: &App, now: Timestamp) -> Result<(), SendError> {
    let Some(day) = app.synthetic_hour.and_then(|hour| synthetic::day(hour, now)) else { return Ok(()) };
    let (note, latest) = (Noted::key(&day), Key::latest(&synthetic::problem(&day)));
    let items = app.table.read(&[note.clone(), latest.clone()]).await?;
    let noted = items.get(&note).map(Noted::read).unwrap_or_default();
    if noted.accepted_at.is_some() {
        return Ok(());
    }
    let found = match items.get(&latest).map(Latest::read) {
        Some(latest) => came_back(app, &latest.incident).await?,
        None => None,
    };
    let about = found.as_ref().map(|(incident, rows)| (incident, rows.as_slice()));
    match synthetic::act(noted, about, now) {
        Act::Publish => {
            // Noted afterwards: twice is one incident, and never would ring.
            app.pager.publish(&page(app, &day)).await.map_err(SendError::Synthetic)?;
            keep(app, &day, Noted { published_at: Some(now), accepted_at: None }, now).await
        }
        Act::Ring => {
            tracing::error!(message = "the synthetic event did not come back as paged", day);
            metrics::count("SyntheticEventsLate", &app.settings.function);
            Ok(())
        }
        Act::Close(accepted_at) => {
            decided(app, &synthetic::over(&day, now), now).await?;
            let published_at = noted.published_at.unwrap_or(accepted_at);
            let wait = accepted_at.duration_since(published_at).as_millis().max(0);
            let wait = i64::try_from(wait).unwrap_or_default();
            metrics::durations("SyntheticRoundTrip", &app.settings.function, &[wait]);
            keep(app, &day, Noted { accepted_at: Some(accepted_at), ..noted }, now).await
        }
        Act::Wait | Act::Nothing => Ok(()),
    }
}

/// The synthetic event's incident with its rows.
async fn came_back(app: &App, id: &str) -> Result<Option<(Incident, Vec<Row>)>, CallError> {
    let key = Key::incident(id);
    let Some(incident) = app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(incident)
    else {
        return Ok(None);
    };
    Ok(Some((incident, aws::rows(&app.table, id).await?)))
}

async fn keep(app: &App, day: &str, noted: Noted, now: Timestamp) -> Result<(), SendError> {
    let write = Write::Put { item: noted.item(day, now), only_if: vec![] };
    match app.table.write(&write).await {
        Ok(()) | Err(WriteError::Changed) => Ok(()),
        Err(WriteError::Call(call)) => Err(call.into()),
    }
}

/// The synthetic page: a drill of the lowest severity that a page has.
fn page(app: &App, day: &str) -> Page {
    let settings = &app.settings;
    let text = settings.language.pick(
        "Evento sintético de todo dia: prova que um alerta chega até aqui. Ninguém precisa fazer nada; ele se encerra sozinho.",
        "Daily synthetic event: it proves that an alert arrives here. Nobody has to do anything; it ends by itself.",
    );
    let alert = Alert {
        kind: "Drill",
        severity: Severity::Warning,
        resource: crate::PROCEDURE,
        text: text.to_owned(),
        owners: vec![settings.policy.responsible(Area::Infrastructure)],
        runbook: "docs/incidentes.md#o-simulado-diário",
        dedup_key: synthetic::problem(day),
    };
    Page::new(settings, alert)
}
