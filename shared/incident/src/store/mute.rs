//! What a person's mute changes of the incidents that it is about, and what its end does.

use jiff::Timestamp;

use super::desk::event;
use super::rows::{called, shown, woken};
use super::{Context, Event, Outcome, Plan, Write};
use crate::incident::{Action, Entry, Incident, Mute, State};

/// A person mutes a problem, with its open incident if it has one, or everything. `other` is the other one of the two mutes
/// that the problem may have, its own and everybody's: the longer one counts. Once the mute is over, an incident that is open
/// and that nobody has taken pages. The caller first looks for the event of `cause`, [`super::Key::act`]: a repetition, which
/// may come after the mute was ended, has no effect.
pub fn mute(
    problem: Option<&str>,
    incident: Option<&Incident>,
    order: &Mute,
    other: Option<&Mute>,
    cause: &str,
    context: &Context<'_>,
) -> Plan {
    let open = incident.filter(|incident| incident.is_open());
    let incident = open.map(|incident| incident.id.clone()).unwrap_or_default();
    let event = Event {
        event: event(cause),
        incident: incident.clone(),
        source: "person".to_owned(),
        outcome: Outcome::Updated.name().to_owned(),
        title: order.reason.clone(),
        changed_at: None,
        stored_at: context.now,
    };
    let mut writes = vec![event.write(), order.write(problem)];
    writes.extend(open.into_iter().flat_map(|incident| muted(incident, order, other, cause, context)));
    Plan { outcome: Outcome::Updated, incident, writes }
}

/// What an order about everything changes of an incident: it waits until the later end of that and of its problem's `own`
/// mute. Nothing if it is not open, or waits until then already.
pub fn mute_too(
    incident: &Incident,
    order: &Mute,
    own: Option<&Mute>,
    cause: &str,
    context: &Context<'_>,
) -> Plan {
    let now = context.now;
    let until = in_force(order, own, now).map_or(now, |mute| mute.until);
    let before = incident.muted.as_ref().map_or(now, |mute| mute.until.max(now));
    let is_changed = incident.is_open() && before != until;
    let writes = if is_changed { muted(incident, order, own, cause, context) } else { vec![] };
    Plan { outcome: Outcome::Updated, incident: incident.id.clone(), writes }
}

/// The mute that lasts longest, unless it is over.
fn in_force<'a>(one: &'a Mute, other: Option<&'a Mute>, now: Timestamp) -> Option<&'a Mute> {
    std::iter::once(one).chain(other).filter(|mute| mute.until > now).max_by_key(|mute| mute.until)
}

/// The writes of an open incident whose mutes are these from now on.
fn muted(
    incident: &Incident,
    order: &Mute,
    other: Option<&Mute>,
    cause: &str,
    context: &Context<'_>,
) -> Vec<Write> {
    let now = context.now;
    let mute = in_force(order, other, now);
    let until = mute.map_or(now, |mute| mute.until);
    let before = incident.muted.as_ref().map(|mute| mute.until).filter(|until| *until > now);
    if mute.is_none() && before.is_none() {
        return vec![];
    }
    let action = if mute.is_some() { Action::Muted } else { Action::Unmuted };
    let text = format!("{} ({until})", order.reason);
    let entry = Entry { at: now, by: order.by.clone(), action, text };
    let is_waiting = incident.state == State::Triggered;
    let is_told = incident.told_again_at.is_some() || incident.paged_at.is_some_and(|at| at <= now);
    let is_earlier = before.is_some_and(|before| before > until);
    // What people had been told before waits to be told again, and not for its rows.
    let is_woken = is_earlier && is_waiting && incident.paged_at.is_some() && !(is_told && mute.is_some());
    let version = incident.version + 1;
    let changed = Incident {
        version,
        muted: mute.cloned(),
        // Only what pages already, and not what its source mutes.
        paged_at: incident.paged_at.map(|at| if is_waiting { until } else { at.min(until) }),
        untaken_since: incident.untaken_since.map(|_| until),
        awaited_since: incident.awaited_since.map(|_| until),
        told_again_at: mute.map(|mute| mute.until).filter(|_| is_waiting && is_told),
        paged_version: if is_woken { version } else { incident.paged_version },
        ..incident.clone()
    };
    let mut writes = vec![entry.write(&incident.id, cause), changed.write()];
    if is_woken {
        // Until the new end, the sender lets those wait that were not told.
        writes.extend(woken(&changed, context));
    } else {
        writes.extend(shown(&changed, context));
    }
    writes
}

/// The writes with which a mute ends of an incident that people were told of before it; empty if its time has not come, or
/// if somebody has taken it. What nobody was told of has rows that are due at the end.
pub fn resume(incident: &Incident, by: &str, context: &Context<'_>) -> Vec<Write> {
    let is_over = |mute: &Mute| mute.until <= context.now;
    let until = incident.told_again_at.filter(|until| *until <= context.now);
    let Some(until) = until.filter(|_| incident.muted.as_ref().is_none_or(is_over)) else { return vec![] };
    if incident.state != State::Triggered || incident.paged_at.is_none() {
        return vec![];
    }
    // A mute moves the page to its end.
    let action = if incident.paged_at == Some(until) { Action::Unmuted } else { Action::Flapping };
    let entry = Entry { at: until, by: by.to_owned(), action, text: String::new() };
    let version = incident.version + 1;
    let changed = Incident {
        version,
        paged_version: version,
        paged_at: incident.paged_at.max(Some(until)),
        muted: None,
        told_again_at: None,
        ..incident.clone()
    };
    let mut writes = vec![entry.write(&incident.id, "told again"), changed.write()];
    writes.extend(called(&changed, context.now, context));
    writes
}
