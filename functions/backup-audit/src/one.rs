//! Audits one resource on request.

use shared::run::evidence::{Draft, Step};
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::error::AuditError;
use crate::findings::Findings;
use crate::report::Report;
use crate::rules::finding::Worst;
use crate::sweep::find::find;

/// Audits one resource. Neither compares nor posts; writes a record.
///
/// # Errors
///
/// [`AuditError::NotFound`]; [`AuditError::Call`] when the resource could not be looked up; [`AuditError::File`].
pub(crate) async fn one(
    app: &App,
    day: &str,
    resource: &str,
    invocation: &Invocation,
) -> Result<Report, AuditError> {
    let context = app.context(invocation.now);
    let found = find(app, resource, None, &context).await?;
    if found.is_empty() {
        return Err(AuditError::NotFound(resource.to_owned()));
    }
    let findings = Findings::new(context.now, app.base.settings.language, app.place.clone(), Vec::new());
    let mut findings = findings.map_err(AuditError::file)?;
    for row in found.iter().flat_map(|found| found.judge(&context)) {
        findings.push(&row).map_err(AuditError::file)?;
    }
    let outcome = findings.finish(Worst::default()).map_err(AuditError::file)?;
    let is_green = outcome.counts.fail == 0 && outcome.counts.unknown == 0;
    let result = if is_green { "succeeded" } else { "failed" };
    let run_id = format!("{day}/{resource}/{}", invocation.now);
    let draft = Draft {
        steps: vec![Step::now(format!("audit {resource}"), "succeeded")],
        findings: app.recorded(&outcome),
        ..app.draft(&run_id, "a person's request", resource.to_owned(), result, invocation)
    };
    app.base.reporter.report_once(draft, None, invocation).await;
    Ok(Report {
        run_id,
        result,
        counts: outcome.counts,
        findings: outcome.worst.findings,
        new: 0,
        resolved: 0,
        reports: Vec::new(),
        paged: Vec::new(),
        repaired: Vec::new(),
    })
}
