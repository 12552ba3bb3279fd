//! Reads and judges all resources, as far as the time allows, and compares the findings with the previous run's.

use std::cell::RefCell;

use shared::audit::course::{Before, Last};
use shared::run::report::Unread;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::error::AuditError;
use crate::findings::{Findings, Outcome};
use crate::rules::coverage::Progress;
use crate::rules::finding::Worst;
use crate::rules::{self, Context};
use crate::sweep::Sweep;
use crate::{ACTING, App, apply, previous};

/// Everything that was read and judged, compared with the previous run.
pub struct Observed {
    pub(crate) outcome: Outcome,
    /// The unreadable services, or sections of one, each with the reason.
    pub(crate) unreadable: Vec<(&'static str, String)>,
    /// The previous run, without its findings, which may not fit into memory.
    pub(crate) before: Before,
    /// Whether the comparison was completed.
    pub(crate) is_compared: bool,
    /// Outcome of each repair that an earlier run left open.
    pub(crate) finished: Vec<String>,
}

/// Finishes the repairs of an earlier run, then reads, judges and compares.
///
/// # Errors
///
/// [`AuditError::File`] when a report could not be written.
pub(crate) async fn observe(
    app: &App,
    context: &Context<'_>,
    invocation: &Invocation,
) -> Result<Observed, AuditError> {
    let finished = apply::finish_open(app, context, invocation).await;
    let findings =
        Findings::new(context.now, app.base.settings.language, app.place.clone(), app.repairs.clone());
    let findings = RefCell::new(findings.map_err(AuditError::file)?);
    let latest = previous::latest(app).await.map_err(|error| Unread(chain(&error)));
    let previous_key = latest.as_ref().ok().and_then(Option::as_ref).map(|latest| latest.findings.clone());
    let mut before =
        latest.map(|latest| latest.map(|latest| Last { run_id: latest.run_id, ..Last::default() }));
    if let Some(key) = &previous_key {
        let remember = |line: &[u8]| {
            findings.borrow_mut().remember(line);
            Ok(())
        };
        if let Err(error) = previous::lines(app, key, remember).await {
            before = Err(Unread(format!("{key}: {}", chain(&error))));
        }
    }
    if let Err(unread) = &before {
        tracing::warn!(message = format!("new and old findings cannot be distinguished: {unread}"));
    }
    let progress = RefCell::new(Progress::default());
    let sweep = Sweep::new(app, context, &findings, &progress);
    match invocation.before_deadline(ACTING, sweep.run()).await {
        Ok(read) => read.map_err(AuditError::file)?,
        Err(late) => tracing::warn!(message = format!("not everything was read: {}", chain(&late))),
    }
    let (mut findings, progress) = (findings.into_inner(), progress.into_inner());
    for row in progress.coverage().iter().chain(&rules::audit::expired(context)) {
        findings.push(row).map_err(AuditError::file)?;
    }
    let unseen = progress.unseen();
    let mut resolved = Worst::default();
    // If the previous report is unreadable, its note stays: the next run compares with that report again.
    let mut is_compared = before.is_ok();
    if let Some(key) = &previous_key
        && is_compared
        && let Err(error) =
            previous::lines(app, key, |line| findings.compare(line, &unseen, &mut resolved)).await
    {
        // Report the findings now. The next run compares with the same report and then finds the resolved ones.
        tracing::warn!(
            message = format!("{key} was not compared, so nothing is resolved: {}", chain(&error))
        );
        (resolved, is_compared) = (Worst::default(), false);
    }
    let mut outcome = findings.finish(resolved).map_err(AuditError::file)?;
    if before.is_err() {
        outcome.new = Worst::default();
    }
    Ok(Observed { outcome, unreadable: progress.unreadable(), before, is_compared, finished })
}
