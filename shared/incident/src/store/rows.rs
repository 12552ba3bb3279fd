//! The outbox rows of a change: which channels are told of it, and when.

use jiff::{SignedDuration, Timestamp};

use super::{Channel, Context, Purpose, Row, Write};
use crate::Severity;
use crate::incident::{Incident, Mute};

/// How long a channel may take to accept a page before the next one is tried.
pub fn patience(severity: Severity) -> SignedDuration {
    match severity {
        Severity::S0 | Severity::S1 => SignedDuration::from_secs(60),
        Severity::S2 | Severity::S3 => SignedDuration::from_mins(5),
    }
}

/// A problem that comes back within this time is the same incident again.
pub(super) fn flap(context: &Context<'_>) -> SignedDuration {
    SignedDuration::from_mins(context.policy.incidents.flap_minutes.into())
}

/// Until when a problem that comes and goes makes no sound: it pages when it first comes back, and then once in
/// `flap_minutes`. `least` is how often it has to have come back before. Not if a mute is in force, which decides then.
pub(super) fn quiet_until(
    incident: &Incident,
    least: u32,
    is_muted: bool,
    context: &Context<'_>,
) -> Option<Timestamp> {
    let until = incident.paged_at?.checked_add(flap(context)).ok()?;
    let is_quiet = incident.flaps >= least && !is_muted && context.now < until;
    is_quiet.then_some(until)
}

/// Pages an incident, now or when the mute ends: changes it, and gives the rows.
pub(super) fn page(incident: &mut Incident, mute: Option<&Mute>, context: &Context<'_>) -> Vec<Write> {
    let from = mute.map_or(context.now, |mute| mute.until);
    (incident.paged_at, incident.told_again_at) = (Some(from), None);
    // After a mute, the escalation counts anew.
    let since = incident.untaken_since.filter(|_| mute.is_none());
    incident.untaken_since = since.or(incident.paged_at);
    incident.awaited_since = incident.awaited_since.filter(|_| mute.is_none()).or(incident.paged_at);
    incident.paged_version = incident.version;
    called(incident, from, context)
}

/// The rows of all channels, from an instant on.
pub(super) fn called(incident: &Incident, from: Timestamp, context: &Context<'_>) -> Vec<Write> {
    rows(incident, from, context, |_, due| Some(due))
}

/// The rows of all channels about an end. What makes a sound waits for the end of the quiet time, in which the problem may
/// be back. Of a part of another incident, nothing makes a sound.
pub(super) fn over(incident: &Incident, is_muted: bool, context: &Context<'_>) -> Vec<Write> {
    if incident.is_merged() {
        return shown(incident, context);
    }
    let now = context.now;
    let quiet_until = quiet_until(incident, 2, is_muted, context).unwrap_or(now);
    rows(incident, now, context, |channel, due| {
        Some(if channel.updates_in_place() { due } else { due.max(quiet_until) })
    })
}

/// The rows of the channels that show a change without notifying anybody.
pub fn shown(incident: &Incident, context: &Context<'_>) -> Vec<Write> {
    let now = context.now;
    rows(incident, now, context, |channel, _| channel.updates_in_place().then_some(now))
}

/// The rows of all channels, which no longer wait for the end of a mute.
pub(super) fn woken(incident: &Incident, context: &Context<'_>) -> Vec<Write> {
    let mut due = context.now;
    let wake = |channel: &Channel| {
        let write = Row::wake(&incident.id, *channel, incident.version, due, context.now);
        due = due.checked_add(patience(incident.severity)).unwrap_or(due);
        write
    };
    context.channels.iter().map(wake).collect()
}

/// The rows of the channels for which `at` has a time: the first from an instant on, each other one when those before it
/// have had their time, which is what `at` is given.
fn rows(
    incident: &Incident,
    from: Timestamp,
    context: &Context<'_>,
    at: impl Fn(Channel, Timestamp) -> Option<Timestamp>,
) -> Vec<Write> {
    let mut due = from;
    let mut writes = Vec::new();
    for channel in context.channels.iter().copied() {
        let Some(at) = at(channel, due) else { continue };
        let purpose = channel.first_purpose();
        writes.push(Row::want(&incident.id, channel, purpose, incident.version, at, context.now));
        due = due.checked_add(patience(incident.severity)).unwrap_or(due);
    }
    writes
}

/// The rows that call the people of a purpose: each channel's turn comes when those before it have had their time. Not
/// PagerDuty, which calls people on its own. `incident` has the version that is written in the same transaction.
pub fn call(incident: &Incident, purpose: Purpose, channels: &[Channel], now: Timestamp) -> Vec<Write> {
    let mut due = now;
    let tells = channels.iter().copied().filter(|channel| *channel != Channel::PagerDuty);
    let rows = tells.map(|channel| {
        let write = Row::call(incident, channel, purpose, due, now);
        due = due.checked_add(patience(incident.severity)).unwrap_or(due);
        write
    });
    rows.collect()
}
