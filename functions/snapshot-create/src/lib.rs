//! Takes the manual snapshot of the database before a deploy: once per deploy, named after the day, with tags. A
//! pipeline can wait for the snapshot.
//!
//! Trigger: a direct request by a pipeline or a person, which is answered at once, or a step of the state machine
//! beside this crate, which they start. Observe: `observe.rs`, decide: `rules/`, act: `ask.rs`, report: `report.rs`.
//! Source: the guide, 2.1 step 2.

mod answer;
mod ask;
mod aws;
mod error;
mod event;
mod observe;
mod report;
mod rules;
mod text;

use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::Value;
use shared::aws::snapshots;
use shared::run::base::Base;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::workflow::{Broken, Run};

pub use answer::Answer;
use answer::{create, failed, slow, watch};
use ask::ask;
pub use error::SnapshotError;
use event::{Event, Step};
use observe::{saved, seen};
use report::{case, report_failed, settle};
use rules::case::Case;
use rules::policy::Status;
use rules::request::Request;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = snapshots::CREATOR;

/// Time reserved for the page, the message and the record.
const REPORTING: Duration = Duration::from_secs(25);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    rds: aws_sdk_rds::Client,
    /// Identifier of the database's instance or cluster; an event may name another.
    instance: String,
    /// Days to keep a snapshot.
    retention_days: u16,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`], and `DATABASE_INSTANCE_ID`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::new(PROCEDURE, env, aws)?;
        Ok(Self {
            rds: aws_sdk_rds::Client::new(aws),
            instance: env.required("DATABASE_INSTANCE_ID")?,
            retention_days: snapshots::retention_days(&base.settings)?,
            base,
        })
    }

    fn instance_of<'a>(&'a self, request: &'a Request) -> &'a str {
        request.instance.as_deref().unwrap_or(&self.instance)
    }
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`SnapshotError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), SnapshotError> {
    Event::try_from(event)?;
    Ok(())
}

/// Requests a deploy's snapshot and answers at once, or performs one step of the state machine.
///
/// # Errors
///
/// [`SnapshotError`]; the state machine retries temporary errors. The failure of a direct request is reported and paged
/// before it is returned.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, SnapshotError> {
    match Event::try_from(event)? {
        Event::Direct(request) => {
            tracing::Span::current().record("run_id", request.deploy.as_str());
            direct(app, request, invocation).await
        }
        Event::Step(run) => {
            tracing::Span::current().record("correlation_id", run.execution.as_str());
            if let Some(request) = &run.input {
                tracing::Span::current().record("run_id", request.deploy.as_str());
            }
            step(app, run, invocation).await
        }
    }
}

async fn step(app: &App, run: Run<Step, Request>, invocation: &Invocation) -> Result<Answer, SnapshotError> {
    let (poll, now) = (run.poll, invocation.now);
    match run.step {
        Step::Create => {
            let request = run.input()?;
            create(app, invocation.before_deadline(REPORTING, ask(app, &request, now)).await?, poll)
        }
        Step::Watch => {
            let request = run.input()?;
            watch(app, &invocation.before_deadline(REPORTING, seen(app, &request, now)).await??, poll)
        }
        Step::Finish => finish(app, run, invocation).await,
    }
}

/// Requests the snapshot, reports, and answers without waiting for RDS to complete it.
async fn direct(app: &App, request: Request, invocation: &Invocation) -> Result<Answer, SnapshotError> {
    let asked = invocation.before_deadline(REPORTING, ask(app, &request, invocation.now)).await;
    match asked.map_err(SnapshotError::from).and_then(|asked| asked) {
        Ok(seen) => settle(app, request, seen, invocation).await,
        Err(error) => {
            let job = saved(app, &request, invocation).await;
            let case = case(app, request, job, None);
            let broken = Broken::by(&error);
            // A failed page is logged and has its own alarm; return the error that the caller can fix.
            let _ = report_failed(app, &case, &broken, invocation).await;
            Err(error)
        }
    }
}

/// Reports and records the outcome.
async fn finish(
    app: &App,
    mut run: Run<Step, Request>,
    invocation: &Invocation,
) -> Result<Answer, SnapshotError> {
    let Some(broken) = run.broken.take() else {
        let request = run.input()?;
        let seen = invocation.before_deadline(REPORTING, seen(app, &request, invocation.now)).await??;
        if seen.status == Status::Creating {
            return Err(slow(app, &seen));
        }
        return settle(app, request, seen, invocation).await;
    };
    tracing::warn!(message = broken.detail, failure = broken.kind);
    let case = match run.input {
        Some(request) => {
            let job = saved(app, &request, invocation).await;
            case(app, request, job, None)
        }
        None => Case::refused(run.execution),
    };
    report_failed(app, &case, &broken, invocation).await?;
    Ok(failed(&case, broken))
}
