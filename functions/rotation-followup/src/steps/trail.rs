//! Handles CloudTrail's events: notes acts, and pages for a failed rotation.

use serde::Deserialize;
use shared::aws::secrets::Listed;
use shared::run::evidence::Evidence;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::event::trail::TrailEvent;
use crate::observe::{find_secret, is_ours};
use crate::report::{page, write_ledger};
use crate::text::rotation::{RotationFailure, rotation_failed};
use crate::{Answer, App, FollowupError, Status};

/// The functions whose evidence explains a failed rotation.
const ROTATORS: [&str; 3] = ["rotate-database", "rotate-external", "rotate-random"];

/// Records of a rotation function to search for the failure that CloudTrail reports.
const SEARCHED: u8 = 20;

/// Notes an act, or pages for a failed rotation.
pub(crate) async fn handle(
    app: &App,
    event: TrailEvent,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    match event {
        TrailEvent::Nothing => Ok(Answer::now(Status::Nothing)),
        TrailEvent::Act { secret, version, act } => {
            if !find_secret(app, &secret).await?.is_some_and(|secret| is_ours(app, &secret)) {
                return Ok(Answer::now(Status::Nothing));
            }
            if app.update(|journal| journal.attribute(&secret, &version, &act)).await? {
                write_ledger(app, invocation).await;
            }
            Ok(Answer::now(Status::Noted))
        }
        TrailEvent::Broken { secret, event, id } => {
            tracing::Span::current().record("correlation_id", id.as_str());
            let Some(listed) = find_secret(app, &secret).await?.filter(|secret| is_ours(app, secret)) else {
                return Ok(Answer::now(Status::Nothing));
            };
            let failure = failure_of(app, &listed).await;
            let day = time::local_date(invocation.now);
            let key = app.scope.key(&listed.name);
            let failed = rotation_failed(&app.base.settings, &listed, key, &event, failure.as_ref());
            if page(app, &day, &failed, invocation).await {
                Ok(Answer::now(Status::Paged))
            } else {
                Err(FollowupError::PageFailed)
            }
        }
    }
}

/// The fields of a rotation's record that describe its failure.
#[derive(Deserialize)]
struct RecordOfRotation {
    run_id: String,
    subject: String,
    findings: Vec<String>,
}

/// A rotation's newest failure in its function's evidence, if there is one.
async fn failure_of(app: &App, secret: &Listed) -> Option<RotationFailure> {
    let function = secret.function.as_deref()?;
    let procedure = ROTATORS.into_iter().find(|name| function.ends_with(&format!("-{name}")))?;
    let records: Vec<RecordOfRotation> = Evidence(&app.documents().of(procedure))
        .recent(SEARCHED)
        .await
        .map_err(|error| {
            tracing::warn!(
                message = format!("reading the evidence of {procedure} failed: {}", chain(&error))
            );
        })
        .ok()?;
    let newest = records.into_iter().find(|record| record.subject == secret.arn)?;
    let mut parts = newest.run_id.split('/');
    let (token, step, kind) = (parts.next()?, parts.next()?, parts.next()?);
    Some(RotationFailure {
        token: token.to_owned(),
        step: step.to_owned(),
        kind: kind.to_owned(),
        findings: newest.findings.join("; "),
    })
}
