//! What the incident's timeline says about its post-mortem, which `incident-send` then tells in the thread; and the evidence.

use std::time::Duration;

use incident::Action;
use incident::store::{self, Key};
use shared::aws::table::WriteError;
use shared::run::evidence::{Draft, Step};
use shared::runtime::lambda::Invocation;

use crate::error::PostmortemError;
use crate::{App, PROCEDURE};

/// Most attempts to write an entry: nothing but a reopened problem changes an incident that is over.
const ATTEMPTS: u32 = 8;

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// Adds an entry to the timeline, once for each `cause`.
pub(crate) async fn tell(
    app: &App,
    id: &str,
    text: &str,
    cause: &str,
    invocation: &Invocation,
) -> Result<(), PostmortemError> {
    let cause = format!("{PROCEDURE}|{id}|{cause}");
    let [own, told] = [Key::incident(id), Key::act(&cause)];
    for attempt in 0..ATTEMPTS {
        let items = app.table.read(&[own.clone(), told.clone()]).await?;
        if items.contains_key(&told) {
            return Ok(());
        }
        let incident = items.get(&own).and_then(store::incident);
        let incident = incident.ok_or_else(|| PostmortemError::NoIncident(id.to_owned()))?;
        let context = app.context(invocation.now, attempt);
        let plan = store::note(&incident, Action::PostMortem, PROCEDURE, text, &cause, &context);
        match app.table.transact(&plan.writes).await {
            Ok(()) => return Ok(()),
            Err(WriteError::Changed) => tokio::time::sleep(PAUSE * (attempt + 1)).await,
            Err(WriteError::Call(call)) => return Err(call.into()),
        }
    }
    Err(PostmortemError::Busy)
}

/// Records a step in a post-mortem's life, once for each run. The thread has told it, so the channel is not.
pub(crate) async fn record(
    app: &App,
    id: &str,
    what: &str,
    trigger: &str,
    outcome: String,
    invocation: &Invocation,
) {
    let draft = Draft {
        trigger: trigger.to_owned(),
        subject: format!("incident {id}"),
        steps: vec![Step::now(what, outcome)],
        ..Draft::of(&app.base.settings, &format!("{id}/{what}"), "succeeded", invocation.now)
    };
    app.base.reporter.report_once(draft, None, invocation).await;
}
