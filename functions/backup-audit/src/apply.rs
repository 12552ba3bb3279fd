//! Does what `repair.rs` plans: noted before, applied, read again, recorded with before and after.

use serde::{Deserialize, Serialize};
use shared::run::evidence::{Draft, Step};
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::Invocation;

use crate::error::AuditError;
use crate::event::Wish;
use crate::repair::{Change, REPAIRS, Target, described, plan};
use crate::rules::{Context, Verdict};
use crate::sweep::{self, Found};
use crate::{ACTING, App, REPORTING, aws, text};

/// Name of the note of the repairs that were begun.
const OPEN: &str = "repairs";

/// Most repairs that one run tries; the next run does the others.
const MOST: usize = 20;

/// What came of a repair.
#[derive(Debug, Serialize)]
pub struct Repaired {
    rule: &'static str,
    resource: String,
    /// `planned`, `applied`, `unconfirmed` (AWS took it, and does not show it yet), or `not needed`.
    outcome: &'static str,
    before: String,
    change: String,
    after: String,
}

/// A repair that was begun. It is noted before the change, so that a run that dies cannot leave a change without evidence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Begun {
    run_id: String,
    rule: String,
    resource: String,
    arn: String,
    before: String,
    change: String,
}

impl Begun {
    /// Whether it is the same change of the same state.
    fn is_same(&self, other: &Self) -> bool {
        *self == Self { run_id: self.run_id.clone(), ..other.clone() }
    }
}

/// What is known of a repair that is to be concluded.
enum Course<'a> {
    /// AWS took it a moment ago, and may show it later.
    Taken,
    /// AWS refused it, or did not answer.
    Failed(&'a CallError),
    /// An earlier run began it.
    Left,
}

/// A rule's verdict on a resource, and what a repair changes there.
struct Looked {
    target: Target,
    arn: String,
    verdict: Verdict,
}

/// The one resource of a name that a rule is for.
async fn look(
    app: &App,
    context: &Context<'_>,
    rule: &'static str,
    resource: &str,
) -> Result<Looked, AuditError> {
    for found in sweep::find(app, resource, rule.split('.').next(), context).await? {
        let Some(row) = found.judge(context).into_iter().find(|row| row.rule.id == rule) else { continue };
        let target = match found {
            Found::Instance(found) => Target::Instance(found),
            Found::Snapshot(found) => Target::Snapshot(found),
            Found::Bucket(found) => Target::Bucket(found),
            Found::Table(found) => Target::Table(found),
            Found::Service(_) => continue,
        };
        return Ok(Looked { target, arn: row.arn, verdict: row.verdict });
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

/// Repairs what somebody asks for, or says what would be changed.
pub(crate) async fn on_demand(
    app: &App,
    context: &Context<'_>,
    wish: &Wish,
    invocation: &Invocation,
) -> Result<Repaired, AuditError> {
    let rule = REPAIRS
        .iter()
        .find(|rule| **rule == wish.rule)
        .ok_or_else(|| AuditError::NoRepair(wish.rule.clone()))?;
    repair(app, context, rule, &wish.resource, wish.apply, invocation).await
}

async fn repair(
    app: &App,
    context: &Context<'_>,
    rule: &'static str,
    resource: &str,
    is_applied: bool,
    invocation: &Invocation,
) -> Result<Repaired, AuditError> {
    let Looked { target, arn, verdict } = look(app, context, rule, resource).await?;
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
    if !is_applied {
        repaired.outcome = "planned";
        return Ok(repaired);
    }
    if !app.repairs.iter().any(|allowed| allowed == rule) {
        return Err(AuditError::NotAllowed(rule.to_owned()));
    }
    let own = Begun {
        run_id: format!("repair/{rule}/{resource}/{}", context.now),
        rule: rule.to_owned(),
        resource: resource.to_owned(),
        arn,
        before: repaired.before.clone(),
        change: repaired.change.clone(),
    };
    // The same repair that another attempt has begun, and not ended, is the same run, with one record.
    let note = |open: &mut Vec<Begun>| match open.iter().find(|other| other.is_same(&own)) {
        Some(same) => same.clone(),
        None => {
            open.push(own.clone());
            own.clone()
        }
    };
    let mut begun = app.reporter.evidence.update(OPEN, note).await?;
    // One that has its record has ended, and only its note was left: what is broken again gets a record of its own.
    if begun != own && app.reporter.look(&begun.run_id).await.is_recorded() {
        let ended = |open: &mut Vec<Begun>| {
            open.retain(|other| other.run_id != begun.run_id);
            open.push(own.clone());
        };
        app.reporter.evidence.update(OPEN, ended).await?;
        begun = own;
    }
    let applied = apply(app, &change).await;
    // Looked at again also after a failure: a call without an answer may have been taken.
    let course = applied.as_ref().err().map_or(Course::Taken, Course::Failed);
    let after = conclude(app, context, rule, &begun, course, invocation).await?;
    applied?;
    repaired.outcome = if after == Verdict::Pass { "applied" } else { "unconfirmed" };
    repaired.after = described(&after);
    Ok(repaired)
}

/// Reads the resource again, tells and records before and after, and then takes the note away. A change that AWS took and
/// does not show yet is left to the next audit, by which it shows; till then the note is the evidence.
async fn conclude(
    app: &App,
    context: &Context<'_>,
    rule: &'static str,
    begun: &Begun,
    course: Course<'_>,
    invocation: &Invocation,
) -> Result<Verdict, AuditError> {
    let after = match look(app, context, rule, &begun.resource).await {
        Ok(looked) => looked.verdict,
        // There is nothing left that could be repaired.
        Err(AuditError::NotFound(name)) => Verdict::Unknown(format!("{name} is no more")),
        // Why the change failed says more than why it could not be looked at.
        Err(error) => {
            return Err(match course {
                Course::Failed(call) => call.clone().into(),
                Course::Taken | Course::Left => error,
            });
        }
    };
    let said = match course {
        Course::Taken if after != Verdict::Pass => return Ok(after),
        Course::Failed(call) => format!("{}; {call}", described(&after)),
        Course::Taken | Course::Left => described(&after),
    };
    let result = if after == Verdict::Pass { "succeeded" } else { "failed" };
    let repaired = text::Repaired {
        rule,
        resource: &begun.resource,
        before: &begun.before,
        change: &begun.change,
        after: &said,
        holds: after == Verdict::Pass,
    };
    let message = text::repaired(&app.settings, &begun.run_id, &repaired);
    let look = app.reporter.look(&begun.run_id).await;
    let draft = Draft {
        steps: vec![
            Step::now("before", &begun.before),
            Step::now("change", &begun.change),
            Step::now("after", &said),
        ],
        ..app.draft(&begun.run_id, "repair", begun.arn.clone(), result, invocation)
    };
    if !app.reporter.report(draft, Some(&message), look, invocation).await {
        // The note stays, so that the next run records it.
        return Ok(after);
    }
    let gone = |open: &mut Vec<Begun>| open.retain(|other| other.run_id != begun.run_id);
    app.reporter.evidence.update(OPEN, gone).await?;
    Ok(after)
}

/// Repairs what a run has found, as far as the stack allows it; what came of each. What is refused is so every day until
/// somebody decides, and is not told again: it stands in the log, and the finding in the report.
pub(crate) async fn allowed(
    app: &App,
    context: &Context<'_>,
    found: &[(&'static str, String)],
    invocation: &Invocation,
) -> Vec<String> {
    let mut said = Vec::new();
    for (index, (rule, resource)) in found.iter().enumerate() {
        let left = found.len() - index;
        if said.len() == MOST {
            said.push(format!("+{left}: {MOST} repairs a run"));
            break;
        }
        let done = invocation
            .before_deadline(REPORTING, repair(app, context, rule, resource, true, invocation))
            .await;
        let done = match done {
            Ok(done) => done,
            Err(late) => {
                said.push(format!("{rule} {resource} (+{}): {}", left - 1, chain(&late)));
                break;
            }
        };
        said.push(match done {
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
    said
}

/// Ends the repairs that an earlier run has begun and did not come to record.
pub(crate) async fn finish_open(app: &App, context: &Context<'_>, invocation: &Invocation) -> Vec<String> {
    let open = match app.reporter.evidence.get::<Vec<Begun>>(OPEN).await {
        Ok(open) => open.unwrap_or_default(),
        Err(error) => {
            app.reporter.lost("EvidenceFailures", "EvidenceFailed", &chain(&error), OPEN);
            return Vec::new();
        }
    };
    let mut said = Vec::new();
    for begun in open {
        // A rule whose repair a later version has dropped has nobody who could look at it.
        let Some(rule) = REPAIRS.iter().find(|rule| **rule == begun.rule) else { continue };
        let ended = conclude(app, context, rule, &begun, Course::Left, invocation);
        let done =
            invocation.before_deadline(ACTING, ended).await.map_err(AuditError::from).and_then(|done| done);
        said.push(match done {
            Ok(after) => {
                format!("{} {}: {} → {}", begun.rule, begun.resource, begun.before, described(&after))
            }
            Err(error) => format!("{} {}: {}", begun.rule, begun.resource, chain(&error)),
        });
    }
    said
}
