//! The steps of the state machine, and what CloudTrail reports. The state machine calls one step after the other; each reads the
//! journal, does its part, and notes it there.

pub(crate) mod deploy;
pub(crate) mod finish;
pub(crate) mod note;
pub(crate) mod prove;
pub(crate) mod roll_back;
pub(crate) mod trail;

use jiff::Timestamp;

use crate::observe::described;
use crate::rules::batch::Phase;
use crate::rules::failure::Failed;
use crate::{Answer, App, FollowupError, next};

/// Notes why the way that the batch goes has ended.
async fn fail(app: &App, execution: &str, mut failed: Failed) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    for change in &batch.changes {
        let listed = described(app, &change.secret).await?;
        let current = listed.labelled("AWSCURRENT");
        // What a rollback has decided and not done yet is no move of somebody else's.
        if current != batch.in_force(&change.secret) && current != Some(&change.version) {
            let detail = format!("{} ({}: {})", change.name, failed.kind, failed.detail);
            failed = Failed::of(&change.key, "Superseded", detail);
            break;
        }
    }
    tracing::warn!(message = failed.detail, failure = failed.kind);
    app.amend_batch(execution, |batch| {
        let ways = if batch.phase == Phase::Forward { 1 } else { 2 };
        if batch.failures.len() < ways {
            batch.failures.push(failed.clone());
        }
    })
    .await?;
    Ok(next("failed"))
}

/// As exact as ECS tells when a deployment began.
fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
