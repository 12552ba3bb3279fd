//! Writes the document of an incident that is over; again, with its new facts, after it was reopened.

use incident::Incident;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use shared::policy::calendar::Calendar;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::error::PostmortemError;
use crate::rules::filled::with_facts;
use crate::rules::journal::{self, Journal, Postmortem};
use crate::rules::wanted::{due, local_date, wanted};
use crate::text::document::{self, Facts};
use crate::{App, One, PROCEDURE, paper, tell, text};

/// Begins the post-mortem of an incident. `by` is the person who asks for it.
///
/// # Errors
///
/// [`PostmortemError`]; nothing is in the journal then, and the next attempt begins anew.
pub(crate) async fn begin(
    app: &App,
    id: &str,
    by: Option<&str>,
    invocation: &Invocation,
) -> Result<One, PostmortemError> {
    let settings = &app.base.settings;
    let incident = app.incident(id).await?.ok_or_else(|| PostmortemError::NoIncident(id.to_owned()))?;
    let Some(resolved_at) = incident.resolved_at.filter(|_| !incident.is_open()) else {
        return Ok(One::nothing(id, "overtaken", None));
    };
    if let Err(no) = wanted(&incident, &settings.policy)
        && !(by.is_some() && no.may_be_asked_for())
    {
        return Ok(One::nothing(id, "not_needed", Some(no.name())));
    }
    let journal = app.journal().await?;
    let known = journal.postmortems.get(id);
    if let Some(known) = known.filter(|known| !known.state.is_open() || known.resolved_at == resolved_at) {
        return Ok(One::of(app, id, "unchanged", known));
    }
    let begun = Box::pin(write(app, &incident, resolved_at, known, invocation)).await?;
    let outcome = if known.is_some() { "begun_again" } else { "begun" };
    // The end that it is about makes it another run.
    let run = format!("{outcome}/{}", resolved_at.as_second());
    let place = paper::key(id, "md");
    let entry = text::begun(&place, begun.pull_request, begun.due, settings.language);
    tell::tell(app, id, &entry, &run, invocation).await?;
    let trigger = by.map_or_else(|| "incident resolved".to_owned(), |by| format!("person: {by}"));
    let told = format!("due {}; s3://{}/{place}", begun.due, app.documents().bucket);
    tell::record(app, id, &run, &trigger, told, invocation).await;
    let change = |journal: &mut Journal| {
        journal.postmortems.insert(id.to_owned(), begun.clone());
    };
    app.documents().update(journal::NAME, change).await?;
    Ok(One::of(app, id, outcome, &begun))
}

/// Writes the document: what people wrote stays.
async fn write(
    app: &App,
    incident: &Incident,
    resolved_at: Timestamp,
    known: Option<&Postmortem>,
    invocation: &Invocation,
) -> Result<Postmortem, PostmortemError> {
    let settings = &app.base.settings;
    let id = incident.id.as_str();
    let timeline = app.table.timeline(id).await?;
    let due = due(resolved_at, &settings.policy);
    let holidays = holidays(local_date(resolved_at), due, &settings.policy.incidents.calendar);
    let facts = Facts { incident, timeline: &timeline, due, holidays: &holidays };
    // Without the repository's answer the stored text counts; the next daily run reads it again.
    let before = match paper::current(app, id, invocation).await {
        Ok((text, _)) => text,
        Err(PostmortemError::Repository(error)) => {
            lost(app, id, &chain(&error));
            paper::stored(app, id).await?
        }
        Err(error) => return Err(error),
    };
    let new = match before.is_empty() {
        true => document::draft(&facts, settings.language),
        // Without the marks nothing can be replaced safely: the facts stay as they are.
        false => with_facts(&before, &document::facts_of(&facts, settings.language)).unwrap_or(before),
    };
    paper::store(app, id, &new, PROCEDURE).await?;
    let offered = paper::offer(app, id, &incident.title, &new, invocation).await.unwrap_or_else(|error| {
        lost(app, id, &chain(&error));
        None
    });
    let known = known.cloned();
    Ok(Postmortem {
        title: incident.title.chars().take(300).collect(),
        severity: incident.severity,
        owner: incident.owner.clone(),
        backup: incident.backup.clone(),
        problem: incident.problem.clone(),
        resolved_at,
        begun_at: known.as_ref().map_or(invocation.now, |known| known.begun_at),
        due,
        pull_request: offered.or(known.as_ref().and_then(|known| known.pull_request)),
        ..known.unwrap_or_default()
    })
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
