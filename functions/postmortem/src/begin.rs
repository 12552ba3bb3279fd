//! Writes the document of an incident that is over; again, with its new facts, after it was reopened.

use incident::Incident;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use shared::policy::calendar::Calendar;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::error::PostmortemError;
use crate::rules::filled::{read, with_actions, with_facts};
use crate::rules::journal::{self, Journal, Postmortem};
use crate::rules::wanted::{due, local_date, wanted};
use crate::text::document::{self, Facts};
use crate::{App, One, PROCEDURE, paper, tell, text};

/// Begins the post-mortem of an incident. `by` is the person who asks for it.
///
/// # Errors
///
/// [`PostmortemError`]; the journal does not know of it then, and the next attempt begins anew.
pub(crate) async fn begin(
    app: &App,
    id: &str,
    by: Option<&str>,
    invocation: &Invocation,
) -> Result<One, PostmortemError> {
    let settings = &app.base.settings;
    let incident = app.incident(id).await?;
    let Some(resolved_at) = incident.resolved_at.filter(|_| !incident.is_open()) else {
        return Ok(One::nothing(id, "overtaken", None));
    };
    let journal = app.journal().await?;
    let known = journal.postmortems.get(id);
    let asked_by = known.map_or("", |known| &known.asked_by);
    let asked_by = if asked_by.is_empty() { by.unwrap_or_default() } else { asked_by };
    if let Err(no) = wanted(&incident, &settings.policy, !asked_by.is_empty()) {
        return Ok(One::nothing(id, "not_needed", Some(no.name())));
    }
    if let Some(known) = known.filter(|known| known.has(resolved_at)) {
        if known.asked_by != asked_by {
            app.amend(id, |postmortem| asked_by.clone_into(&mut postmortem.asked_by)).await?;
        }
        return Ok(One::of(app, id, "unchanged", known));
    }
    let begun = Box::pin(write(app, &incident, resolved_at, known, invocation)).await?;
    let begun = Postmortem { asked_by: asked_by.to_owned(), ..begun };
    let outcome = if known.is_some() { "begun_again" } else { "begun" };
    // The end that it is about makes it another run; so does a return from what was not needed.
    let run = format!("{outcome}/{}/{}", begun.begun, resolved_at.as_second());
    let place = paper::key(id, "md");
    let entry = text::begun(&place, begun.pull_request, begun.due, settings.language);
    tell::tell(app, id, &entry, &run, invocation).await?;
    let trigger = by.map_or_else(|| "incident resolved".to_owned(), |by| format!("person: {by}"));
    let told = format!("due {}; s3://{}/{place}", begun.due, app.documents().bucket);
    tell::record(app, id, &run, &trigger, told, invocation).await;
    // People may have changed it since it was read.
    let change = |journal: &mut Journal| {
        let own = journal.postmortems.entry(id.to_owned()).or_default();
        own.begin(&begun);
        own.clone()
    };
    let own = app.documents().update(journal::NAME, change).await?;
    let outcome = if own.resolved_at == resolved_at { outcome } else { "unchanged" };
    Ok(One::of(app, id, outcome, &own))
}

/// Writes the document: what people wrote stays.
async fn write(
    app: &App,
    incident: &Incident,
    resolved_at: Timestamp,
    known: Option<&Postmortem>,
    invocation: &Invocation,
) -> Result<Postmortem, PostmortemError> {
    let id = incident.id.as_str();
    let before = match paper::current(app, id, invocation).await {
        Ok((text, _)) => text,
        // Of a first document nobody waits for other facts: the next daily run offers it. Of a later one, the repository has what
        // people wrote.
        Err(PostmortemError::Repository(error)) if known.is_none() => {
            lost(app, id, &chain(&error));
            paper::stored(app, id).await?
        }
        Err(error) => return Err(error),
    };
    let begun = Postmortem {
        title: incident.title.chars().take(300).collect(),
        owner: incident.owner.clone(),
        backup: incident.backup.clone(),
        problem: incident.problem.clone(),
        resolved_at,
        begun_at: invocation.now,
        begun: known.map_or(0, |known| known.begun) + 1,
        due: due(resolved_at, &app.base.settings.policy),
        runbook_wrong: known.map(|known| known.runbook_wrong.clone()).unwrap_or_default(),
        ..Postmortem::default()
    };
    let Fresh { text, .. } = fresh(app, incident, &begun, &before).await?;
    paper::store(app, id, &text, PROCEDURE).await?;
    let offered = match paper::offer(app, id, &incident.title, &text, &before, invocation).await {
        Err(error) if known.is_none() => {
            lost(app, id, &chain(&error));
            None
        }
        offered => offered?,
    };
    let pull_request = offered.or(known.and_then(|known| known.pull_request));
    Ok(Postmortem { pull_request, runbook_wrong: incident.runbook_wrong.clone(), ..begun })
}

/// A document with the facts of its incident as they are now.
pub(crate) struct Fresh {
    pub text: String,
    /// Whether it has an action that it had not: people have to complete it.
    pub has_more_actions: bool,
}

/// Renews the facts of a document, and adds the actions that a runbook marked as wrong since then asks for; drafts the document
/// if there is none.
///
/// # Errors
///
/// [`PostmortemError::MarkGone`], since nothing can be replaced safely; or the table's.
pub(crate) async fn fresh(
    app: &App,
    incident: &Incident,
    postmortem: &Postmortem,
    before: &str,
) -> Result<Fresh, PostmortemError> {
    let settings = &app.base.settings;
    let language = settings.language;
    let timeline = app.table.timeline(&incident.id).await?;
    let due = postmortem.due;
    let holidays = holidays(local_date(postmortem.resolved_at), due, &settings.policy.incidents.calendar);
    let facts = Facts { incident, timeline: &timeline, due, holidays: &holidays };
    if before.is_empty() {
        return Ok(Fresh { text: document::draft(&facts, language), has_more_actions: true });
    }
    let renewed = || {
        let text = with_facts(before, &document::facts_of(&facts, language))?;
        let actions = document::runbook_actions(incident, &postmortem.runbook_wrong, &read(&text)?, language);
        Ok(Fresh { text: with_actions(&text, &actions)?, has_more_actions: !actions.is_empty() })
    };
    renewed().map_err(|mark| PostmortemError::MarkGone { incident: incident.id.clone(), mark })
}

/// Logs that a pull request waits for the next daily run, and counts it.
pub(crate) fn lost(app: &App, id: &str, reason: &str) {
    app.base.reporter.lost("TaskFailures", "TaskFailed", reason, &format!("pull request of {id}"));
}

/// The holidays on weekdays between two dates, both included.
fn holidays(from: Date, until: Date, calendar: &Calendar) -> Vec<(Date, &'static str)> {
    let days = from.series(jiff::Span::new().days(1)).take_while(|day| *day <= until);
    let days = days.filter(|day| day.weekday().to_monday_zero_offset() < 5);
    days.filter_map(|day| Some((day, calendar.holiday(day)?))).collect()
}

/// Whether the clock had its time to begin the document of an incident: it waits for the flap window, in which the problem may
/// come back.
pub(crate) fn is_settled(incident: &Incident, flap_minutes: u16, now: Timestamp) -> bool {
    let wait = SignedDuration::from_mins(i64::from(flap_minutes));
    !incident.is_open() && incident.resolved_at.is_some_and(|at| now.duration_since(at) >= wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holidays_that_moved_a_due_date_are_named() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let found = holidays(date("2026-11-13"), date("2026-11-23"), &Calendar::default());
        // 15 November is a Sunday.
        assert_eq!(found, [(date("2026-11-20"), "Dia Nacional de Zumbi e da Consciência Negra")]);
    }
}
