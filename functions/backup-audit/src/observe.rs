//! Reads and judges everything, as far as the time allows, and compares it with the previous run.

use std::cell::RefCell;

use shared::run::report::Unread;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::error::AuditError;
use crate::findings::{Findings, Outcome};
use crate::rules::coverage::Progress;
use crate::rules::finding::Worst;
use crate::rules::{self, Context};
use crate::sweep::Sweep;
use crate::{ACTING, App, previous};

/// Everything that was read and judged, compared with the previous run.
pub(crate) struct Observed {
    pub outcome: Outcome,
    /// The services, or sections of one, of which nothing could be read, each with the reason.
    pub unreadable: Vec<(&'static str, String)>,
    /// Whether there is no previous run.
    pub is_first: bool,
    /// Whether the comparison was completed.
    pub is_compared: bool,
    /// Why the previous run could not be read, if it could not.
    pub unread: Option<Unread>,
}

/// Reads, judges and compares.
///
/// # Errors
///
/// [`AuditError::File`] when a report could not be written.
pub(crate) async fn observe(
    app: &App,
    context: &Context<'_>,
    invocation: &Invocation,
) -> Result<Observed, AuditError> {
    let findings = Findings::new(context.now, app.settings.language, app.place.clone(), app.repairs.clone());
    let findings = RefCell::new(findings.map_err(AuditError::file)?);
    let (previous_key, mut unread) = match previous::latest(app).await {
        Ok(latest) => (latest.map(|latest| latest.findings), None),
        Err(error) => (None, Some(Unread(chain(&error)))),
    };
    let is_first = previous_key.is_none() && unread.is_none();
    if let Some(key) = &previous_key {
        let remember = |line: &[u8]| {
            findings.borrow_mut().remember(line);
            Ok(())
        };
        if let Err(error) = previous::lines(app, key, remember).await {
            unread = Some(Unread(format!("{key}: {}", chain(&error))));
        }
    }
    if let Some(unread) = &unread {
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
    let mut is_compared = unread.is_none();
    if let Some(key) = &previous_key
        && is_compared
        && let Err(error) =
            previous::lines(app, key, |line| findings.compare(line, &unseen, &mut resolved)).await
    {
        // Report the findings now. The next run compares with the same report, and finds what was resolved.
        tracing::warn!(
            message = format!("{key} was not compared, so nothing is resolved: {}", chain(&error))
        );
        (resolved, is_compared) = (Worst::default(), false);
    }
    let mut outcome = findings.finish(resolved).map_err(AuditError::file)?;
    if unread.is_some() {
        outcome.new = Worst::default();
    }
    Ok(Observed { outcome, unreadable: progress.unreadable(), is_first, is_compared, unread })
}
