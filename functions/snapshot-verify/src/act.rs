//! Act: page, copy and delete.

use std::collections::BTreeSet;

use jiff::civil::Date;
use shared::aws::snapshots::{Progress, progress};
use shared::run::documents::DocumentError;
use shared::run::evidence::Step;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::copy::copy;
use crate::delete::delete_expired;
use crate::event::Trigger;
use crate::rules::action::ended;
use crate::rules::facts::Facts;
use crate::rules::journal::{self, Journal};
use crate::rules::judge::judge;
use crate::rules::snapshot::COPY_OF;
use crate::run::Run;
use crate::{App, REPORTING, text};

/// Pages the findings and, in a sweep, copies and deletes. The second value is an error of the runs' journal, without
/// which copying and deleting stop.
pub(crate) async fn act(
    app: &App,
    trigger: &Trigger,
    facts: &Facts,
    day: &str,
    invocation: &Invocation,
) -> (Run, Result<(), DocumentError>) {
    let judged = judge(trigger, facts, app.region(), &app.settings, invocation.now);
    let mut run = Run { day: day.to_owned(), now: invocation.now, judged, ..Run::default() };
    for judged in &run.judged {
        for finding in &judged.findings {
            tracing::info!(message = text::line(&judged.subject, finding), finding = finding.kind());
        }
    }
    page(app, &mut run, 0, invocation).await;
    let mut noted = facts.journal.as_ref().map(|_| ()).map_err(Clone::clone);
    if let Ok(journal) = &facts.journal {
        run.actions = ended(trigger, facts, app.region(), journal);
        if *trigger == Trigger::Sweep {
            let from = run.judged.len();
            let work = copy_and_delete(app, facts, journal, &mut run);
            match invocation.before_deadline(REPORTING, work).await {
                Ok(done) => noted = done,
                Err(late) => {
                    run.steps.push(Step::now("copy and delete", format!("failed: {}", chain(&late))))
                }
            }
            page(app, &mut run, from, invocation).await;
        }
    }
    (run, noted)
}

/// Pages the findings of `run.judged[from..]` that page, each once a day.
async fn page(app: &App, run: &mut Run, from: usize, invocation: &Invocation) {
    let judged = run.judged.iter().skip(from);
    let pages = judged.flat_map(|judged| {
        let paging = judged.findings.iter().filter(|finding| finding.pages());
        paging.map(|finding| text::page(&app.settings, &judged.subject, finding))
    });
    let paged = app.pager.all(&app.reporter, &run.day, pages, REPORTING, invocation).await;
    run.paged.extend(paged.keys);
    run.unpaged += paged.failed;
    run.steps.extend(paged.steps);
}

/// Makes the day's copy and deletes the expired snapshots.
async fn copy_and_delete(
    app: &App,
    facts: &Facts,
    journal: &Journal,
    run: &mut Run,
) -> Result<(), DocumentError> {
    let mut in_use: BTreeSet<String> = BTreeSet::new();
    if let (Some(away), Some(copies)) = (&app.away, facts.copies()) {
        in_use.extend(copy(app, away, facts, copies, run).await?);
        // Keep the source of an unfinished copy, even if RDS does not list the copy yet.
        let running = copies.iter().filter(|one| progress(&one.status) == Progress::Creating);
        in_use.extend(running.filter_map(|one| one.tags.get(COPY_OF).cloned()));
        let is_shown = |copy: &journal::Copy| copies.iter().any(|one| copy.is(one));
        let hidden = journal.copies.iter().filter(|copy| !copy.reported && !is_shown(copy));
        in_use.extend(hidden.map(|copy| copy.source.clone()));
    }
    let Ok(today) = run.day.parse::<Date>() else { return Ok(()) };
    delete_expired(app, facts, journal, today, &in_use, run).await
}
