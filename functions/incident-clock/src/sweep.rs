//! The sweep, every five minutes: what is due and was not done, and schedules that are missing.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use incident::store::{Key, WATCHED};
use shared::runtime::lambda::Invocation;
use shared::runtime::metrics;

use crate::error::ClockError;
use crate::look::{Looked, look};
use crate::{App, failed};

/// Most incidents that are looked at at the same time.
const AT_ONCE: usize = 10;

/// Looks at every incident that is open, or that the clock still has something to do about. One that fails holds up no other.
///
/// # Errors
///
/// The first [`ClockError`]; the next sweep tries again.
pub(crate) async fn run(app: &App, invocation: &Invocation) -> Result<Looked, ClockError> {
    // A schedule that stopped rings.
    metrics::count("Sweeps", &app.settings().function);
    let open = app.table.open().await.map_err(ClockError::Table)?;
    let watched = app.table.listed(WATCHED).await.map_err(ClockError::Table)?;
    // Without their list, what is due is done all the same, and what will be due is scheduled as if nothing were.
    let (waiting, unlisted) = match app.schedules.names().await {
        Ok(names) => (names, None),
        Err(call) => (BTreeSet::new(), Some(ClockError::Scheduler(call))),
    };
    let ids: BTreeSet<String> = open.iter().chain(&watched).filter_map(incident).collect();
    let looks = ids.iter().map(|id| look(app, id, Some(&waiting), invocation));
    let looks: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    let (mut all, mut error) = (Looked::default(), unlisted);
    let is_listed = error.is_none();
    for looked in looks {
        match looked {
            Ok(looked) => {
                all.done += looked.done;
                all.scheduled += looked.scheduled;
                all.repaired += looked.repaired;
            }
            Err(again) => {
                failed(&again);
                error = error.or(Some(again));
            }
        }
    }
    if all.repaired > 0 && is_listed {
        tracing::error!(message = "schedules were lost, or made late", repaired = all.repaired);
        metrics::count("TimersRepaired", &app.settings().function);
    }
    error.map_or(Ok(all), Err)
}

/// The id of the incident whose item, of whichever kind, a key names.
fn incident(key: &Key) -> Option<String> {
    Some(key.pk.strip_prefix("INCIDENT#")?.to_owned())
}
