//! Stores signals: read, decide, write; and again from the beginning if an item changed in between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use incident::Signal;
use incident::store::{Outcome, Plan, decide};
use shared::aws::table::WriteError;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::{DeadlineExceeded, Invocation};
use shared::runtime::{metrics, time};

use crate::App;
use crate::error::PageError;

/// Most attempts to store one signal. A storm of events of one problem changes the same items again and again.
const ATTEMPTS: u32 = 10;

/// Most problems that are stored at the same time.
const AT_ONCE: usize = 8;

/// Time reserved for the answer.
const RESERVE: Duration = Duration::from_secs(2);

/// A longer wait than this many milliseconds is no latency: the event was sent late, or waited in a dead-letter queue.
const LONGEST_WAIT: i64 = 24 * 60 * 60 * 1000;

/// A signal that was stored.
pub(crate) struct Stored {
    /// What was written.
    pub(crate) plan: Plan,
    /// Milliseconds from the change to now.
    pub(crate) wait: Option<i64>,
}

/// Stores signals: those of one problem in order, since each decides on the one before it, and several problems at the
/// same time. One result for each signal.
pub(crate) async fn all(
    app: &App,
    signals: &[Signal],
    invocation: &Invocation,
) -> Vec<Result<Stored, PageError>> {
    let mut problems: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, signal) in signals.iter().enumerate() {
        problems.entry(&signal.problem).or_default().push(place);
    }
    let results = RefCell::new(BTreeMap::new());
    let done = &results;
    let work = stream::iter(problems.into_values()).for_each_concurrent(AT_ONCE, |places| async move {
        for place in places {
            let Some(signal) = signals.get(place) else { continue };
            let result = one(app, signal, invocation).await;
            done.borrow_mut().insert(place, result);
        }
    });
    // What was stored until then is stored.
    let late = invocation.before_deadline(RESERVE, work).await.err();
    let late = late.unwrap_or(DeadlineExceeded { allowed: Duration::ZERO });
    let mut results = results.into_inner();
    let result = |place| results.remove(&place).unwrap_or_else(|| Err(PageError::Deadline(late.clone())));
    (0..signals.len()).map(result).collect()
}

/// Stores one signal.
///
/// # Errors
///
/// [`PageError`].
pub(crate) async fn one(app: &App, signal: &Signal, invocation: &Invocation) -> Result<Stored, PageError> {
    let plan = settle(app, &invocation.request_id, async |attempt| {
        let facts = app.table.facts(signal).await?;
        Ok(decide(signal, &facts, &app.context(invocation.now, attempt)))
    });
    let plan = plan.await?;
    let wait = signal.changed_at.map(|at| time::now().duration_since(at).as_millis());
    let wait = wait.and_then(|wait| i64::try_from(wait).ok());
    Ok(Stored { plan, wait: wait.filter(|wait| (0..LONGEST_WAIT).contains(wait)) })
}

/// Reads and decides, by `decide`, and writes; again from the beginning if an item changed in between.
///
/// # Errors
///
/// [`PageError`]; without an answer of the table, the writes may have had effect.
pub(crate) async fn settle(
    app: &App,
    request_id: &str,
    decide: impl AsyncFn(u32) -> Result<Plan, PageError>,
) -> Result<Plan, PageError> {
    for attempt in 0..ATTEMPTS {
        let plan = decide(attempt).await?;
        if plan.writes.is_empty() {
            return Ok(plan);
        }
        match app.table.transact(&plan.writes).await {
            Ok(()) => return Ok(plan),
            // A later one is noted, or another is noted at this moment.
            Err(WriteError::Changed) if plan.outcome == Outcome::Heard => return Ok(plan),
            Err(WriteError::Changed) => tokio::time::sleep(pause(attempt, request_id)).await,
            Err(WriteError::Call(call)) => return Err(call.into()),
        }
    }
    Err(PageError::Busy(ATTEMPTS))
}

/// How long to wait before the next attempt: less than a second, and not the same for two invocations.
fn pause(attempt: u32, request_id: &str) -> Duration {
    let own = request_id
        .bytes()
        .fold(u64::from(attempt), |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let most = 20 << attempt.min(5);
    Duration::from_millis(most / 2 + own % most)
}

/// Logs why a signal was not stored, and counts it: for Lambda, a batch with failed messages has no error. Whoever has
/// the event sends it again.
pub(crate) fn failed(app: &App, signal: &Signal, error: &PageError) {
    metrics::count("EventsNotStored", &app.settings.function);
    let event: String = signal.event.chars().take(200).collect();
    tracing::error!(message = chain(error), error_type = error.kind(), event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_stay_far_below_the_invocations_time() {
        let total: Duration = (0..ATTEMPTS).map(|attempt| pause(attempt, "8f5ee0d3-3f22")).sum();
        assert!(total < Duration::from_secs(8), "{total:?}");
        assert!(pause(0, "a") >= Duration::from_millis(10) && pause(0, "a") < Duration::from_millis(30));
        assert_ne!(pause(3, "a"), pause(3, "b"));
    }
}
