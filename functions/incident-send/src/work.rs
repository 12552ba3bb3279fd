//! Serves the rows that are due, and waits for those that soon are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use incident::store::{Channel, Key, Row};
use jiff::{SignedDuration, Timestamp};
use shared::runtime::failure::CallError;
use shared::runtime::lambda::Invocation;

use crate::clock::Clock;
use crate::error::SendError;
use crate::outbox::{self, Outcome};
use crate::{Answer, App, aws};

/// How far an invocation of the stream looks ahead. Its shard waits for it, so only for a quick second attempt.
const AHEAD_OF_STREAM: SignedDuration = SignedDuration::from_secs(10);

/// How far a sweep looks ahead: until the next one.
const AHEAD_OF_SWEEP: SignedDuration = SignedDuration::from_secs(60);

/// Time that must be left to take one more row: its lease, and recording what came of it.
const ONE_ROW: Duration = Duration::from_secs(70);

/// Most keys of one read.
const MOST_READ: usize = 100;

/// Which rows to look at.
pub(crate) enum Look {
    /// These.
    Rows(Vec<Key>),
    /// All that are due.
    All,
}

/// A channel that is left alone until a time, since it is busy or does not answer.
type Pauses = BTreeMap<Channel, Timestamp>;

/// Serves rows, each at its time, until none is left that is due soon.
///
/// # Errors
///
/// [`SendError::Table`], after the rows that were due at the same time have been tried.
pub(crate) async fn run(app: &App, look: Look, invocation: &Invocation) -> Result<Answer, SendError> {
    let clock = Clock::new(invocation.now);
    let (mut known, ahead): (BTreeSet<Key>, _) = match &look {
        Look::Rows(keys) => (keys.iter().cloned().collect(), AHEAD_OF_STREAM),
        Look::All => (BTreeSet::new(), AHEAD_OF_SWEEP),
    };
    let end = clock.now().checked_add(ahead).unwrap_or(Timestamp::MAX);
    let (mut pauses, mut answer) = (Pauses::new(), Answer::default());
    loop {
        if matches!(look, Look::All) {
            let now = clock.now();
            let is_paused = |channel: Channel| pauses.get(&channel).is_some_and(|until| *until > now);
            known.extend(aws::due(&app.table, end, is_paused).await?);
        }
        let rows = read(app, &known).await?;
        known.retain(|key| rows.iter().any(|row| row.key() == *key));
        let now = clock.now();
        let (ready, later): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| turn(row, &pauses).is_some_and(|at| at <= now));
        if invocation.left() < ONE_ROW {
            return Ok(answer);
        }
        if by_channel(app, ready, &mut pauses, &mut answer, invocation, &clock).await? {
            continue;
        }
        let next = later.iter().filter_map(|row| turn(row, &pauses)).filter(|at| *at <= end).min();
        let Some(next) = next else { return Ok(answer) };
        let wait = Duration::try_from(next.duration_since(clock.now())).unwrap_or_default();
        if invocation.left() < ONE_ROW.saturating_add(wait) {
            return Ok(answer);
        }
        clock.until(next).await;
    }
}

/// When a row may be tried: at its time, when nobody has it any more, after its channel's pause; never if it waits for
/// nothing.
fn turn(row: &Row, pauses: &Pauses) -> Option<Timestamp> {
    let pause = pauses.get(&row.channel).copied();
    row.due.into_iter().chain(row.lease_until).chain(pause).max().filter(|_| row.due.is_some())
}

/// The rows as they are now, the oldest first.
async fn read(app: &App, keys: &BTreeSet<Key>) -> Result<Vec<Row>, CallError> {
    let keys: Vec<Key> = keys.iter().cloned().collect();
    let mut rows = Vec::new();
    for part in keys.chunks(MOST_READ) {
        rows.extend(app.table.read(part).await?.values().filter_map(Row::read));
    }
    rows.retain(|row| row.due.is_some());
    rows.sort_by_key(|row| row.due);
    Ok(rows)
}

/// Serves rows: those of one channel one after the other, so that a channel that does not answer, or asks to wait, is
/// asked once and not for each row; several channels at the same time. False if there was nothing to do.
async fn by_channel(
    app: &App,
    ready: Vec<Row>,
    pauses: &mut Pauses,
    answer: &mut Answer,
    invocation: &Invocation,
    clock: &Clock,
) -> Result<bool, CallError> {
    let mut channels: BTreeMap<Channel, Vec<Row>> = BTreeMap::new();
    for row in ready {
        channels.entry(row.channel).or_default().push(row);
    }
    let work = channels.into_iter().map(|(channel, rows)| async move {
        let mut outcomes = Vec::new();
        for row in rows {
            if invocation.left() < ONE_ROW {
                break;
            }
            let outcome = outbox::serve(app, &row, &invocation.request_id, clock).await;
            let is_over = matches!(outcome, Err(_) | Ok(Outcome::Failed(Some(_))));
            outcomes.push(outcome);
            if is_over {
                break;
            }
        }
        (channel, outcomes)
    });
    let (mut failed, mut is_busy) = (None, false);
    for (channel, outcomes) in join_all(work).await {
        for outcome in outcomes {
            is_busy |= !matches!(outcome, Ok(Outcome::Taken));
            match outcome {
                Ok(Outcome::Taken | Outcome::Passed) => answer.passed += 1,
                Ok(Outcome::Accepted) => answer.accepted += 1,
                Ok(Outcome::Failed(pause)) => {
                    answer.failed += 1;
                    let until = pause.and_then(|pause| clock.now().checked_add(pause).ok());
                    pauses.extend(until.map(|until| (channel, until)));
                }
                Err(call) => failed = failed.or(Some(call)),
            }
        }
    }
    failed.map_or(Ok(is_busy), Err)
}

#[cfg(test)]
mod tests {
    use incident::store::Purpose;

    use super::*;

    #[test]
    fn a_row_waits_for_its_time_and_for_its_channel() {
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let row =
            |due: Option<i64>| Row { due: due.map(at), ..Row::new("INC-1", Channel::Slack, Purpose::Post) };
        let pauses = Pauses::from([(Channel::Slack, at(30)), (Channel::Ses, at(60))]);
        for (due, expected) in [(None, None), (Some(10), Some(at(30))), (Some(40), Some(at(40)))] {
            assert_eq!(turn(&row(due), &pauses), expected);
        }
        assert_eq!(turn(&row(Some(10)), &Pauses::new()), Some(at(10)));
        let taken = Row { lease_until: Some(at(20)), ..row(Some(10)) };
        assert_eq!(
            turn(&taken, &Pauses::new()),
            Some(at(20)),
            "a mute that ends makes a row due that is taken"
        );
    }
}
