//! One row of the outbox: take it, decide, send, record.

use std::time::Duration;

use incident::store::{Channel, Key, Purpose, Row, Write, incident};
use incident::{Action, Entry, Incident};
use jiff::{SignedDuration, Timestamp};
use shared::aws::table::WriteError;
use shared::runtime::failure::CallError;
use shared::runtime::metrics;

use crate::clock::Clock;
use crate::rules::answer::{Answer, settled};
use crate::rules::reach::reach;
use crate::rules::row::{Step, better, next, relief, step};
use crate::rules::{call, escalation};
use crate::{App, aws, send};

/// How long a row is taken: longer than the calls of the table before a message (30 s) and the requests of one message (a
/// secret 10 s; two or three of Slack 5 s each, or SMS to all numbers at the same time 10 s); replies stop before it ends.
/// If the process dies, the row waits for so long.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// How long a row waits that the intake wants more of than what was just sent: a storm of events is one change a second.
const STORM: SignedDuration = SignedDuration::from_secs(1);

/// Most attempts to record what came of a message: two seconds in all.
const RECORDS: u32 = 6;

/// How long to wait before another look at a row whose incident cannot be read.
const UNREADABLE: SignedDuration = SignedDuration::from_mins(15);

/// What became of a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Somebody else has it, or it is not due any more.
    Taken,
    /// It needed no message, or not yet.
    Passed,
    /// The channel accepted it.
    Accepted,
    /// The channel did not; leave it alone for so long.
    Failed(Option<SignedDuration>),
}

/// Serves a row that is due.
///
/// # Errors
///
/// The [`CallError`] of the table. The row is due again when its lease ends.
pub(crate) async fn serve(
    app: &App,
    row: &Row,
    invocation_id: &str,
    clock: &Clock,
) -> Result<Outcome, CallError> {
    let now = clock.now();
    let owner = format!("{invocation_id}|{}", now.as_millisecond());
    // Whether it is ours shows the row itself: the answer to a write may be lost.
    let lease = row.lease(&owner, now, now.checked_add(LEASE).unwrap_or(now));
    if let Err(WriteError::Call(call)) = app.table.write(&lease).await
        && !call.is_unanswered()
    {
        return Err(call);
    }
    let rows = aws::rows(&app.table, &row.incident).await?;
    let Some(mut own) = rows.iter().find(|other| other.key() == row.key()).cloned() else {
        return Ok(Outcome::Taken);
    };
    if own.lease_owner != owner {
        return Ok(Outcome::Taken);
    }
    let key = Key::incident(&row.incident);
    let Some(incident) = app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(incident)
    else {
        tracing::error!(message = "the incident of a row cannot be read", incident = row.incident);
        own.due = now.checked_add(UNREADABLE).ok();
        record(app, &own, &[], now).await?;
        return Ok(Outcome::Passed);
    };
    if !row.lease_owner.is_empty() {
        stale(app, row, &mut own);
    }
    let policy = &app.settings.policy;
    let mut calls = Vec::new();
    if let Some(action) = call::action(own.purpose) {
        let lines = aws::lines(&app.table, &incident.id, &own.told, |other| other == action).await?;
        let reaches = |channel, entry: &Entry| {
            reach(policy, &call::narrowed(&incident, [entry]), own.purpose, now).has(channel)
        };
        calls = call::untold(&own, &rows, &incident, &lines, reaches);
    }
    let about = call::narrowed(&incident, calls.iter().map(|(_, entry)| entry));
    let channels = escalation::order(policy, &about, own.purpose, &app.channels, now);
    let is_idle = calls.is_empty() && call::action(own.purpose).is_some();
    match step(&own, &incident, &rows, &channels, now) {
        Step::Send if is_idle => {
            own.due = None;
            "nothing is left to tell".clone_into(&mut own.answer);
            record(app, &own, &[], now).await?;
            Ok(Outcome::Passed)
        }
        Step::Wait(until) => {
            own.due = Some(until);
            record(app, &own, &[], now).await?;
            Ok(Outcome::Passed)
        }
        Step::Finish(why) => {
            own.due = None;
            own.answer = why.to_owned();
            record(app, &own, &[], now).await?;
            Ok(Outcome::Passed)
        }
        Step::Send => {
            let about = About { incident: &incident, rows: &rows, channels: &channels, calls: &calls };
            sent(app, own, &about, clock).await
        }
    }
}

/// Its former owner died, and may have sent it.
fn stale(app: &App, before: &Row, own: &mut Row) {
    own.attempts = own.attempts.saturating_add(1);
    own.unclear = own.unclear.saturating_add(1);
    tracing::error!(
        message = "a lease ended before its work",
        row = before.key().sk,
        incident = before.incident
    );
    metrics::count("StaleLeases", &app.settings.function);
}

/// What is known when a row is sent.
struct About<'a> {
    incident: &'a Incident,
    rows: &'a [Row],
    channels: &'a [Channel],
    /// The entries of the timeline that a row beside the page has to tell.
    calls: &'a [(String, Entry)],
}

/// Sends a row's message, records the answer, and lets the next channel begin if this one refuses.
async fn sent(app: &App, mut own: Row, about: &About<'_>, clock: &Clock) -> Result<Outcome, CallError> {
    let About { incident, rows, channels, calls } = *about;
    let (before, attempt) = (own.clone(), own.attempts.saturating_add(1));
    let answer = match call::action(own.purpose) {
        Some(_) => send::call(app, &mut own, incident, rows, calls, clock).await,
        None => send::send(app, &mut own, incident, rows, clock).await,
    };
    let now = clock.now();
    let ended = settled(&own, &answer, incident.version, relief(&own, incident, rows, now), now);
    if answer.is_accepted() && (ended.sent, &ended.told) == (before.sent, &before.told) {
        // There was nothing to tell: the message was there, and its thread complete.
        record(app, &ended, &[], now).await?;
        return Ok(Outcome::Passed);
    }
    let line = entry(&ended, ended.sent > before.sent, incident.version, &answer, now);
    let mut writes = vec![line.write(&ended.incident, &ended.lease_owner)];
    if ended.purpose == Purpose::Customers && answer.is_final() && ended.answer != before.answer {
        writes.extend(untold(app, &ended, incident.version, now));
    }
    record(app, &ended, &writes, now).await?;
    report(app, &before, &ended, attempt, &answer, incident.version);
    let after = next(&own, rows, channels).filter(|_| answer.is_final());
    let hasten = better(&own, rows, channels).or(after).and_then(|row| row.hasten(now));
    if let Some(hasten) = hasten {
        // Without effect, the next channel begins when it is its turn.
        if let Err(WriteError::Call(call)) = app.table.write(&hasten).await {
            tracing::warn!(message = "the next channel was not woken", code = call.code);
        }
    }
    if answer.is_accepted() { Ok(Outcome::Accepted) } else { Ok(Outcome::Failed(answer.pause())) }
}

/// The writes that tell people in the thread that customers have no mail: nobody else would notice.
fn untold(app: &App, row: &Row, version: u64, now: Timestamp) -> Vec<Write> {
    let why = &row.answer;
    let text = shared::tr!(
        app.settings.language,
        "{why}. Nova tentativa em 15 min; se há pressa, escreva do seu e-mail",
        "{why}. Another attempt in 15 min; if it is urgent, write from your own mail",
    );
    let by = crate::PROCEDURE.to_owned();
    let entry = Entry { at: now, by, action: Action::CustomersNotTold, text };
    let mut writes = vec![entry.write(&row.incident, &row.lease_owner)];
    if app.channels.contains(&Channel::Slack) {
        writes.push(Row::want(&row.incident, Channel::Slack, Purpose::Post, version, now, now));
    }
    writes
}

/// The timeline's entry of an attempt. A message may be there, and its thread not complete.
fn entry(row: &Row, is_shown: bool, version: u64, answer: &Answer, now: Timestamp) -> Entry {
    let action = if is_shown || answer.is_accepted() { Action::Sent } else { Action::SendFailed };
    let (channel, purpose) = (row.channel.name(), row.purpose.name());
    let text = format!("{channel} {purpose}, version {version}: {}", row.answer);
    Entry { at: now, by: crate::PROCEDURE.to_owned(), action, text }
}

/// Ends the lease with what came of it, together with other writes, such as the attempt's entry. If the intake wants more meanwhile, the row
/// stays due. In a storm, the intake writes the same row again and again, which cancels this transaction: not recorded, the
/// message would be sent again.
async fn record(app: &App, row: &Row, others: &[Write], now: Timestamp) -> Result<(), CallError> {
    let key = row.key();
    for attempt in 0..RECORDS {
        for done in row.done(now.checked_add(STORM).unwrap_or(now)) {
            let writes: Vec<Write> = std::iter::once(done).chain(others.iter().cloned()).collect();
            match app.table.transact(&writes).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Changed) => {}
                Err(WriteError::Call(call)) => return Err(call),
            }
        }
        let stored = app.table.read(std::slice::from_ref(&key)).await?.get(&key).and_then(Row::read);
        if stored.is_none_or(|stored| stored.lease_owner != row.lease_owner) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20 << attempt)).await;
    }
    // Whoever took it after the lease decides.
    tracing::error!(message = "a lease was lost before its work was recorded", row = key.sk);
    Ok(())
}

fn report(app: &App, before: &Row, ended: &Row, attempt: u32, answer: &Answer, version: u64) {
    let (channel, purpose, function) = (ended.channel.name(), ended.purpose.name(), &app.settings.function);
    let (incident, said) = (&ended.incident, &ended.answer);
    if answer.is_accepted() {
        tracing::info!(message = "accepted", incident, channel, purpose, version, said);
        metrics::of_channel("Attempts", "Count", function, channel, attempt.into());
    } else {
        tracing::warn!(message = "not accepted", incident, channel, purpose, version, said, attempt);
    }
    let first = ended.accepted_at.filter(|_| before.accepted_at.is_none());
    if let Some((accepted_at, stored_at)) = first.zip(ended.stored_at) {
        let wait = i64::try_from(accepted_at.duration_since(stored_at).as_millis()).unwrap_or_default();
        metrics::of_channel("StoredToAccepted", "Milliseconds", function, channel, wait.max(0));
    }
}
