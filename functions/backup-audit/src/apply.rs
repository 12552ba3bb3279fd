//! Applies the plans of `rules/repair.rs`: notes the change, applies it, reads the resource again, records before and
//! after.

use serde::{Deserialize, Serialize};
use shared::run::evidence::{Draft, Step};
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::Invocation;

use crate::error::AuditError;
use crate::event::RepairRequest;
use crate::rules::repair::{Change, REPAIRS, Target, described, plan};
use crate::rules::{Context, Verdict};
use crate::sweep::find::{Found, find};
use crate::{ACTING, App, REPORTING, aws, text};

/// Name of the note with the open repairs: started, and not recorded yet.
const OPEN: &str = "repairs";

/// Most repairs that one run tries; the rest wait for the next run.
const MOST: usize = 20;

/// Result of a repair.
#[derive(Debug, Serialize)]
pub struct Repaired {
    rule: &'static str,
    resource: String,
    /// `planned`, `applied`, `unconfirmed` (AWS accepted it and does not show it yet), or `not needed`.
    outcome: &'static str,
    before: String,
    change: String,
    after: String,
}

/// An open repair, noted before the change so that a run that dies cannot leave a change without evidence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct OpenRepair {
    run_id: String,
    rule: String,
    resource: String,
    arn: String,
    before: String,
    change: String,
}

impl OpenRepair {
    /// Whether it is the same change to the same state.
    fn is_same(&self, other: &Self) -> bool {
        *self == Self { run_id: self.run_id.clone(), ..other.clone() }
    }
}

/// State of a repair before its resource is read again.
enum Attempt<'a> {
    /// AWS accepted it just now, and may show it later.
    Accepted,
    /// AWS refused it, or did not answer.
    Failed(&'a CallError),
    /// An earlier run left it open.
    Left,
}

/// A rule's verdict on a resource, and the resource as a repair's target.
struct Judged {
    target: Target,
    arn: String,
    verdict: Verdict,
}

/// Reads the resource with a name that a rule applies to, and judges it.
async fn judged(app: &App, context: &Context<'_>, rule: &str, resource: &str) -> Result<Judged, AuditError> {
    for found in find(app, resource, rule.split('.').next(), context).await? {
        let Some(row) = found.judge(context).into_iter().find(|row| row.rule.id == rule) else { continue };
        let target = match found {
            Found::Instance(found) => Target::Instance(found),
            Found::Snapshot(found) => Target::Snapshot(found),
            Found::Bucket(found) => Target::Bucket(found),
            Found::Table(found) => Target::Table(found),
            Found::Service(_) => continue,
        };
        return Ok(Judged { target, arn: row.arn, verdict: row.verdict });
    }
    Err(AuditError::NotFound(resource.to_owned()))
}

async fn apply(app: &App, change: &Change) -> Result<(), CallError> {
    match change {
        Change::Instance { name, setting } => aws::rds::modify(&app.rds, name, setting).await,
        Change::Cluster { name, setting } => aws::rds::modify_cluster(&app.rds, name, setting).await,
        Change::UnshareCluster { name, accounts } => {
            aws::rds::unshare_cluster(&app.rds, name, accounts).await
        }
        Change::Unshare { name, accounts } => aws::rds::unshare(&app.rds, name, accounts).await,
        Change::Versioning { bucket } => aws::s3::version(&app.s3, bucket).await,
        Change::Lifecycle { bucket, noncurrent, incomplete } => {
            aws::s3::add_lifecycle(&app.s3, bucket, *noncurrent, *incomplete).await
        }
        Change::Close { bucket } => aws::s3::close(&app.s3, bucket).await,
        Change::Encrypt { bucket, key } => aws::s3::encrypt(&app.s3, bucket, key).await,
        Change::Policy { bucket, document } => aws::s3::put_policy(&app.s3, bucket, document).await,
        Change::Recovery { table } => aws::rds::keep_recovery(&app.dynamodb, table).await,
        Change::Protect { table } => aws::rds::protect(&app.dynamodb, table).await,
    }
}

/// Plans a repair, or applies it.
///
/// # Errors
///
/// [`AuditError::NoRepair`], [`AuditError::NotFound`], [`AuditError::Refused`]; to apply, also
/// [`AuditError::NotAllowed`]; [`AuditError::Call`] and [`AuditError::Note`].
pub(crate) async fn repair(
    app: &App,
    context: &Context<'_>,
    request: &RepairRequest,
    invocation: &Invocation,
) -> Result<Repaired, AuditError> {
    let rule = *REPAIRS
        .iter()
        .find(|rule| **rule == request.rule)
        .ok_or_else(|| AuditError::NoRepair(request.rule.clone()))?;
    let resource = request.resource.as_str();
    let Judged { target, arn, verdict } = judged(app, context, rule, resource).await?;
    let before = described(&verdict);
    let mut repaired = Repaired {
        rule,
        resource: resource.to_owned(),
        outcome: "not needed",
        before,
        change: String::new(),
        after: String::new(),
    };
    let refused = |reason| AuditError::Refused { rule, resource: resource.to_owned(), reason };
    match verdict {
        Verdict::Pass => return Ok(repaired),
        Verdict::Fail { .. } => {}
        Verdict::Unknown(why) => return Err(refused(format!("it could not be read: {why}"))),
        Verdict::Excepted { exception, .. } => {
            return Err(refused(format!("{} accepts it until {}", exception.owner, exception.until)));
        }
    }
    let change = plan(rule, &target, context).map_err(refused)?;
    repaired.change = change.to_string();
    tracing::info!(message = format!("{rule} of {resource}: {}, planned: {change}", repaired.before));
    if !request.apply {
        repaired.outcome = "planned";
        return Ok(repaired);
    }
    if !app.repairs.iter().any(|allowed| allowed == rule) {
        return Err(AuditError::NotAllowed(rule.to_owned()));
    }
    let own = OpenRepair {
        run_id: format!("repair/{rule}/{resource}/{}", context.now),
        rule: rule.to_owned(),
        resource: resource.to_owned(),
        arn,
        before: repaired.before.clone(),
        change: repaired.change.clone(),
    };
    // If another attempt left the same repair open, continue its run: one record for both.
    let note = |open: &mut Vec<OpenRepair>| match open.iter().find(|other| other.is_same(&own)) {
        Some(same) => same.clone(),
        None => {
            open.push(own.clone());
            own.clone()
        }
    };
    let mut pending = app.base.reporter.documents.update(OPEN, note).await?;
    // If that run is recorded, only its note was left over. The rule broke again, so this repair gets its own record.
    if pending != own && app.base.reporter.look(&pending.run_id).await.is_recorded() {
        let replace = |open: &mut Vec<OpenRepair>| {
            open.retain(|other| other.run_id != pending.run_id);
            open.push(own.clone());
        };
        app.base.reporter.documents.update(OPEN, replace).await?;
        pending = own;
    }
    let applied = apply(app, &change).await;
    // Read again even after a failure: AWS may have accepted a call that got no answer.
    let attempt = applied.as_ref().err().map_or(Attempt::Accepted, Attempt::Failed);
    let after = conclude(app, context, &pending, attempt, invocation).await?;
    applied?;
    repaired.outcome = if after == Verdict::Pass { "applied" } else { "unconfirmed" };
    repaired.after = described(&after);
    Ok(repaired)
}

/// Reads the resource again, reports and records before and after, then removes the note. A change that AWS accepted
/// and does not show yet is left to the next audit; until then the note is the evidence.
async fn conclude(
    app: &App,
    context: &Context<'_>,
    pending: &OpenRepair,
    attempt: Attempt<'_>,
    invocation: &Invocation,
) -> Result<Verdict, AuditError> {
    let after = match judged(app, context, &pending.rule, &pending.resource).await {
        Ok(judged) => judged.verdict,
        // Deleted meanwhile: nothing is left to repair.
        Err(AuditError::NotFound(name)) => Verdict::Unknown(format!("{name} no longer exists")),
        // Report the error of the change rather than the error of reading the resource again.
        Err(error) => {
            return Err(match attempt {
                Attempt::Failed(call) => call.clone().into(),
                Attempt::Accepted | Attempt::Left => error,
            });
        }
    };
    let after_text = match attempt {
        Attempt::Accepted if after != Verdict::Pass => return Ok(after),
        Attempt::Failed(call) => format!("{}; {call}", described(&after)),
        Attempt::Accepted | Attempt::Left => described(&after),
    };
    let result = if after == Verdict::Pass { "succeeded" } else { "failed" };
    let repaired = text::Repaired {
        rule: &pending.rule,
        resource: &pending.resource,
        before: &pending.before,
        change: &pending.change,
        after: &after_text,
        holds: after == Verdict::Pass,
    };
    let message = text::repaired(&app.base.settings, &pending.run_id, &repaired);
    let look = app.base.reporter.look(&pending.run_id).await;
    let draft = Draft {
        steps: vec![
            Step::now("before", &pending.before),
            Step::now("change", &pending.change),
            Step::now("after", &after_text),
        ],
        ..app.draft(&pending.run_id, "repair", pending.arn.clone(), result, invocation)
    };
    if !app.base.reporter.report(draft, Some(&message), look, invocation).await {
        // Keep the note, so that the next run records the repair.
        return Ok(after);
    }
    let remove = |open: &mut Vec<OpenRepair>| open.retain(|other| other.run_id != pending.run_id);
    app.base.reporter.documents.update(OPEN, remove).await?;
    Ok(after)
}

/// Applies the repairs that the stack allows to a run's findings; returns one line for each. A refusal would repeat
/// every day until a person decides, so it is only logged; the finding stays in the report.
pub(crate) async fn allowed(
    app: &App,
    context: &Context<'_>,
    found: &[(&'static str, String)],
    invocation: &Invocation,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, (rule, resource)) in found.iter().enumerate() {
        let left = found.len() - index;
        if lines.len() == MOST {
            lines.push(format!("+{left}: limit of {MOST} repairs per run"));
            break;
        }
        let request = RepairRequest { rule: (*rule).to_owned(), resource: resource.clone(), apply: true };
        let done = invocation.before_deadline(REPORTING, repair(app, context, &request, invocation)).await;
        let done = match done {
            Ok(done) => done,
            Err(late) => {
                lines.push(format!("{rule} {resource} (+{}): {}", left - 1, chain(&late)));
                break;
            }
        };
        lines.push(match done {
            Ok(repaired) => {
                format!("{rule} {resource}: {} ({} → {})", repaired.outcome, repaired.before, repaired.change)
            }
            Err(error @ AuditError::Refused { .. }) => {
                tracing::info!(message = chain(&error));
                continue;
            }
            Err(error) => format!("{rule} {resource}: {}", chain(&error)),
        });
    }
    lines
}

/// Finishes the repairs that an earlier run left open; returns one line for each.
pub(crate) async fn finish_open(app: &App, context: &Context<'_>, invocation: &Invocation) -> Vec<String> {
    let open = match app.base.reporter.documents.get::<Vec<OpenRepair>>(OPEN).await {
        Ok(open) => open.unwrap_or_default(),
        Err(error) => {
            app.base.reporter.lost("EvidenceFailures", "EvidenceFailed", &chain(&error), OPEN);
            return Vec::new();
        }
    };
    let mut lines = Vec::new();
    for pending in open {
        // Skip a rule that this version has no repair for: its result cannot be checked.
        if !REPAIRS.contains(&pending.rule.as_str()) {
            continue;
        }
        let finished = conclude(app, context, &pending, Attempt::Left, invocation);
        let done = invocation
            .before_deadline(ACTING, finished)
            .await
            .map_err(AuditError::from)
            .and_then(|done| done);
        lines.push(match done {
            Ok(after) => {
                format!("{} {}: {} → {}", pending.rule, pending.resource, pending.before, described(&after))
            }
            Err(error) => format!("{} {}: {}", pending.rule, pending.resource, chain(&error)),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_repairs_of_bc640d8_are_read() {
        let recorded = include_str!("../../../tests/recorded/backup-audit-open.json");
        let open: Vec<OpenRepair> = serde_json::from_str(recorded).unwrap();
        assert_eq!(open[0].change, "BackupRetentionPeriod 7");
    }
}
