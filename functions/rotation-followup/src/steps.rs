//! The steps of the state machine, and the handling of CloudTrail's events. Each step reads the journal, acts, and
//! notes its result there. The state machine retries steps, so a step recognises the work of an attempt that died.

pub(crate) mod deploy;
pub(crate) mod finish;
pub(crate) mod note;
pub(crate) mod prove;
pub(crate) mod roll_back;
pub(crate) mod trail;

use jiff::Timestamp;

use crate::observe::describe_secret;
use crate::rules::batch::Phase;
use crate::rules::failure::Failed;
use crate::rules::kind::Kind;
use crate::{Answer, App, FollowupError, Status};

/// Notes the failure that ends the batch's current direction.
async fn fail(app: &App, execution: &str, mut failed: Failed) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    for change in &batch.changes {
        let listed = describe_secret(app, &change.secret).await?;
        let current = listed.labelled("AWSCURRENT");
        // A label that the rollback has not moved yet is still on the new version, so no other caller moved it.
        if current != batch.in_force(&change.secret) && current != Some(&change.version) {
            let detail = format!("{} ({}: {})", change.name, failed.kind, failed.detail);
            failed = Failed::of(&change.key, Kind::Superseded, detail);
            break;
        }
    }
    tracing::warn!(message = failed.detail, failure = failed.kind.as_str());
    app.amend_batch(execution, |batch| {
        let directions = if batch.phase == Phase::Forward { 1 } else { 2 };
        if batch.failures.len() < directions {
            batch.failures.push(failed.clone());
        }
    })
    .await?;
    Ok(Answer::now(Status::Failed))
}

/// Rounds down to ECS's precision for the start of a deployment.
fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
