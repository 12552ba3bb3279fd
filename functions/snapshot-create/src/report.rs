//! Report: page, message and record of a deploy's snapshot.

use shared::aws::snapshots::{Database, Snapshot};
use shared::run::evidence::{Draft, Step};
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::time;
use shared::workflow::{Broken, Failed, PageFailed};

use crate::answer::{Answer, progress};
use crate::error::FailureKind;
use crate::observe::Seen;
use crate::rules::case::Case;
use crate::rules::job::Job;
use crate::rules::policy::Status;
use crate::rules::request::Request;
use crate::{App, SnapshotError, text};

pub(crate) fn case(app: &App, request: Request, job: Job, snapshot: Option<Snapshot>) -> Case {
    let instance = app.instance_of(&request).to_owned();
    let id = format!("{instance}/{}", request.deploy);
    Case { instance, request: Some(request), job, snapshot, id }
}

/// Reports and records the snapshot's state; each state once.
pub(crate) async fn settle(
    app: &App,
    request: Request,
    seen: Seen,
    invocation: &Invocation,
) -> Result<Answer, SnapshotError> {
    let answer = progress(app, &seen);
    let status = seen.status;
    let case = case(app, request, seen.job, seen.snapshot);
    let name = case.job.name.clone().unwrap_or_default();
    let (kind, detail) = match status {
        Status::Creating | Status::Available => {
            let run_id = format!("{}/{}", case.id, status.word());
            let message = text::message(&app.base.settings, &case, status, &run_id);
            let draft = draft(app, &case, &run_id, "succeeded", status.word(), Vec::new());
            app.base.reporter.report_once(draft, Some(&message), invocation).await;
            return Ok(answer);
        }
        Status::Failed => {
            (FailureKind::SnapshotFailed, format!("RDS could not complete the snapshot {name}"))
        }
        Status::Deleted => {
            (FailureKind::SnapshotDeleted, format!("the snapshot {name} existed and was deleted"))
        }
    };
    let broken = Broken { kind: kind.into(), detail };
    report_failed(app, &case, &broken, invocation).await?;
    Ok(Answer { fields: answer.fields.because(broken), ..answer })
}

/// Pages, reports and records that the deploy has no snapshot; once a day for each deploy and kind.
pub(crate) async fn report_failed(
    app: &App,
    case: &Case,
    broken: &Broken,
    invocation: &Invocation,
) -> Result<(), PageFailed> {
    let day = time::local_date(invocation.now);
    let run_id = format!("{}/{}/{day}", case.id, broken.kind);
    let findings = vec![format!("{}: {}", broken.kind, broken.detail)];
    let failed = Failed {
        page: &text::page(&app.base.settings, case, broken),
        once: &day,
        message: &text::failed(&app.base.settings, case, broken, &run_id),
        draft: draft(app, case, &run_id, "failed", &broken.kind, findings),
    };
    failed.report(&app.base, invocation).await
}

/// The record of a run.
fn draft(
    app: &App,
    case: &Case,
    run_id: &str,
    result: &'static str,
    outcome: &str,
    mut findings: Vec<String>,
) -> Draft {
    let now = time::now();
    let (job, request) = (&case.job, case.request.as_ref());
    let name = job.name.as_deref().unwrap_or("?");
    let made = job.made.map(|at| Step {
        name: format!("request {name}"),
        at: at.into(),
        outcome: "accepted".to_owned(),
    });
    let size = case.snapshot.as_ref().and_then(|snapshot| snapshot.allocated_gib);
    let size = size.map(|size| format!(", {size} GiB"));
    let duration =
        job.duration().map(|duration| format!(", {} s after the first request", duration.as_secs()));
    let ended = Step {
        name: format!("snapshot {name}"),
        at: job.available.unwrap_or(now).into(),
        outcome: [Some(outcome.to_owned()), size, duration].into_iter().flatten().collect(),
    };
    if let Some(request) = request {
        findings.push(format!(
            "deploy {}, commit {}",
            request.deploy,
            request.commit.as_deref().unwrap_or("?")
        ));
        findings.push(format!("requested by {}: {}", request.by, request.reason));
    }
    findings.extend(text::expires(&app.base.settings, job).map(|day| format!("kept until {day}")));
    Draft {
        trigger: "deploy".to_owned(),
        subject: job.arn.clone().unwrap_or_else(|| {
            let Database { kind, id } = case.database();
            format!("{} {id}", kind.word(Language::English))
        }),
        steps: made.into_iter().chain([ended]).collect(),
        findings,
        ..Draft::of(&app.base.settings, run_id, result, job.begun.unwrap_or(now))
    }
}
