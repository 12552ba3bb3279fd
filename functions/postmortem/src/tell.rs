//! What the incident's timeline says about its post-mortem, which `incident-send` then tells in the thread; and the evidence.

use incident::Action;
use incident::store::{self, Key, Outcome, Plan};
use shared::run::evidence::{Draft, Step};
use shared::runtime::lambda::Invocation;

use crate::error::PostmortemError;
use crate::{App, PROCEDURE};

/// Adds an entry to the timeline, once for each `cause`; the table remembers that for some weeks.
pub(crate) async fn tell(
    app: &App,
    id: &str,
    text: &str,
    cause: &str,
    invocation: &Invocation,
) -> Result<(), PostmortemError> {
    let cause = format!("{PROCEDURE}|{id}|{cause}");
    let [own, told] = [Key::incident(id), Key::act(&cause)];
    let decide = async |attempt| {
        let items = app.table.read(&[own.clone(), told.clone()]).await?;
        if items.contains_key(&told) {
            return Ok(Plan { outcome: Outcome::Already, incident: id.to_owned(), writes: Vec::new() });
        }
        let incident = items.get(&own).and_then(store::incident);
        let incident = incident.ok_or_else(|| PostmortemError::NoIncident(id.to_owned()))?;
        let context = app.context(invocation.now, attempt);
        Ok(store::note(&incident, Action::PostMortem, PROCEDURE, text, &cause, &context))
    };
    app.table.settle(&invocation.request_id, decide).await.map(|_: Plan| ())
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
