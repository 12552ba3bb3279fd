//! Stores signals, each as [`shared::aws::table::Table::store`] does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use incident::Signal;
use incident::store::Plan;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::{DeadlineExceeded, Invocation};
use shared::runtime::{metrics, time};

use crate::App;
use crate::error::PageError;

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
async fn one(app: &App, signal: &Signal, invocation: &Invocation) -> Result<Stored, PageError> {
    let context = |attempt| app.context(invocation.now, attempt);
    let plan = app.table.store::<PageError>(signal, &invocation.request_id, context).await?;
    let wait = signal.changed_at.map(|at| time::now().duration_since(at).as_millis());
    let wait = wait.and_then(|wait| i64::try_from(wait).ok());
    Ok(Stored { plan, wait: wait.filter(|wait| (0..LONGEST_WAIT).contains(wait)) })
}

/// Logs why a signal was not stored, and counts it: for Lambda, a batch with failed messages has no error. Whoever has
/// the event sends it again.
pub(crate) fn failed(app: &App, signal: &Signal, error: &PageError) {
    metrics::count("EventsNotStored", &app.settings.function);
    let event: String = signal.event.chars().take(200).collect();
    tracing::error!(message = chain(error), error_type = error.kind(), event);
}
