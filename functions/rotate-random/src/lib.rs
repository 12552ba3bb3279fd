//! Rotates a secret whose value is ours to make, one step per invocation.
//!
//! Trigger: Secrets Manager, once per [`Step`]; any step may arrive more than once, for days, with the same
//! token. Reads and writes: `aws.rs`. Decisions: `policy.rs` (versions and rules) and `value.rs` (the values).
//! Settings: `config.rs`. What people read: `text.rs`.
//!
//! Source: [Lambda rotation functions](https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html).

mod aws;
mod config;
mod error;
mod event;
mod policy;
mod text;
mod value;

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use shared::env::{Env, EnvError};
use shared::evidence::{self, Draft, Evidence};
use shared::failure::{Failure, chain};
use shared::lambda::Invocation;
use shared::notify::{Channel, Message};
use shared::report::{Begun, Reporter};

pub use config::Config;
pub use error::RotateError;
pub use event::{Request, Step};
use policy::{Plan, Rule};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotate-random";

/// Time kept back from a step so that its failure can still be recorded and told.
const REPORTING: Duration = Duration::from_secs(10);

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    config: Config,
    secrets: aws_sdk_secretsmanager::Client,
    reporter: Reporter,
}

/// What a step did; the invocation's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// A new value is staged as AWSPENDING.
    Created,
    /// An earlier attempt has staged a value already; that one stays.
    Kept,
    /// The step has nothing to do for this kind of secret.
    Nothing,
    /// The pending value is what the policy asks for.
    Tested,
    /// The pending value is a copy of the current one: a test of the set-up, not of a rotation.
    TestedCopy,
    /// AWSCURRENT has moved to the pending version.
    Finished,
    /// AWSCURRENT was there before.
    AlreadyFinished,
}

/// The secret as one step sees it.
struct Secret {
    described: aws::Described,
    current: Option<String>,
    rule: Rule,
}

impl App {
    /// Reads the settings and makes the clients.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let config = Config::from_env(env)?;
        let secrets = aws_sdk_secretsmanager::Client::new(aws);
        let reporter = Reporter {
            evidence: Evidence {
                client: aws_sdk_s3::Client::new(aws),
                bucket: config.evidence_bucket.clone(),
                procedure: PROCEDURE,
            },
            channel: Channel::new(
                secrets.clone(),
                config.slack_secret.clone(),
                config.slack_api.clone(),
                config.slack_channel.clone(),
            ),
            service: config.function.clone(),
        };
        Ok(Self { config, secrets, reporter })
    }
}

/// Handles one rotation step: observe the versions, plan, apply; then tell and record what must be known.
///
/// # Errors
///
/// [`RotateError`]; Secrets Manager then repeats the whole rotation with the same token. An event that is not one is
/// only logged: nothing in it says which secret it is about.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Outcome, RotateError> {
    let request = Request::try_from(event)?;
    let span = tracing::Span::current();
    span.record("run_id", request.token.as_str()).record("correlation_id", request.token.as_str());
    let result = match invocation.within(REPORTING, rotate(app, &request, invocation)).await {
        Ok(result) => result,
        Err(late) => Err(late.into()),
    };
    match result {
        Ok((outcome, finished)) => {
            tracing::info!(
                message = format!("{} of {}: {outcome:?}", request.step, request.secret_id),
                secret.id = request.secret_id,
                rotation.step = request.step.to_string(),
                rotation.outcome = format!("{outcome:?}"),
            );
            if let Some(finished) = finished {
                report_finished(app, &request, finished, invocation).await;
            }
            Ok(outcome)
        }
        Err(error) => {
            report_failed(app, &request, &error, invocation).await;
            Err(error)
        }
    }
}

/// What is told of a rotation that is over.
struct Finished {
    name: String,
    /// Version that was current before; unknown when an earlier attempt moved the label.
    previous: Option<String>,
    steps: Vec<evidence::Step>,
    begun: Begun,
}

async fn rotate(
    app: &App,
    request: &Request,
    invocation: &Invocation,
) -> Result<(Outcome, Option<Finished>), RotateError> {
    let described = aws::describe(&app.secrets, &request.secret_id).await?;
    let plan = policy::plan(request.step, &request.token, described.rotation_enabled, &described.versions)?;
    match plan {
        Plan::AlreadyCurrent => {
            return Ok((Outcome::AlreadyFinished, left_open(app, request, described, invocation).await));
        }
        Plan::Nothing => return Ok((Outcome::Nothing, None)),
        Plan::Create | Plan::Test | Plan::Promote => {}
    }
    let rule =
        policy::rule(&app.config.policy.rotation, app.config.variable(&described.name), &described.tags)?;
    let current = policy::labelled(&described.versions, "AWSCURRENT");
    let secret = Secret { described, current, rule };
    match plan {
        Plan::Create => Ok((create(app, request, &secret).await?, None)),
        Plan::Test => Ok((test(app, request, &secret).await?, None)),
        _ => finish(app, request, secret).await.map(|finished| (Outcome::Finished, Some(finished))),
    }
}

/// What an attempt that moved the label and died has not come to tell. Without that attempt's note there is nothing
/// to tell: the version became current in another way.
async fn left_open(
    app: &App,
    request: &Request,
    described: aws::Described,
    invocation: &Invocation,
) -> Option<Finished> {
    if request.step != Step::FinishSecret {
        return None;
    }
    let begun = app.reporter.look(&request.token, invocation.now).await;
    begun.was_left_open().then(|| Finished {
        name: described.name,
        previous: None,
        steps: vec![step(
            "find AWSCURRENT moved by an attempt that proved the value and died",
            shared::time::now(),
        )],
        begun,
    })
}

async fn create(app: &App, request: &Request, secret: &Secret) -> Result<Outcome, RotateError> {
    if pending(app, request).await?.is_some() {
        return Ok(Outcome::Kept);
    }
    let current = current(app, request, secret).await?;
    let value = value::compose(current.as_ref(), &secret.rule)?;
    if aws::put_pending(&app.secrets, request, &value).await? {
        return Ok(Outcome::Created);
    }
    // Another invocation of this step was faster; its value is as good, and the version keeps it for ever.
    pending(app, request).await?.map(|_| Outcome::Kept).ok_or(RotateError::EmptyPending)
}

async fn test(app: &App, request: &Request, secret: &Secret) -> Result<Outcome, RotateError> {
    let pending = pending(app, request).await?.ok_or(RotateError::EmptyPending)?;
    let current = current(app, request, secret).await?;
    if value::is_copy(&pending.value, current.as_ref()) {
        value::readable(&pending.value, &secret.rule)?;
        return Ok(Outcome::TestedCopy);
    }
    value::examine(&pending.value, current.as_ref(), &secret.rule)?;
    Ok(Outcome::Tested)
}

async fn finish(app: &App, request: &Request, secret: Secret) -> Result<Finished, RotateError> {
    // Secrets Manager calls this step only after a test, but whoever may invoke the function can call it first.
    let pending = pending(app, request).await?.ok_or(RotateError::EmptyPending)?;
    let current = current(app, request, &secret).await?;
    value::examine(&pending.value, current.as_ref(), &secret.rule)?;
    let mut steps: Vec<_> =
        pending.created.map(|created| step("stage AWSPENDING", created)).into_iter().collect();
    steps.push(step("prove the pending value against the policy", shared::time::now()));
    let begun = app.reporter.begin(&request.token).await;
    if let Err(error) = aws::promote(&app.secrets, request, secret.current.as_deref()).await {
        // The answer may have been lost after the label moved.
        let versions = aws::describe(&app.secrets, &request.secret_id).await?.versions;
        if policy::labelled(&versions, "AWSCURRENT").as_deref() != Some(request.token.as_str()) {
            return Err(error.into());
        }
    }
    steps.push(step("move AWSCURRENT", shared::time::now()));
    Ok(Finished { name: secret.described.name, previous: secret.current, steps, begun })
}

async fn pending(app: &App, request: &Request) -> Result<Option<aws::Version>, RotateError> {
    aws::value(&app.secrets, &request.secret_id, &request.token, "AWSPENDING").await
}

async fn current(app: &App, request: &Request, secret: &Secret) -> Result<Option<SecretString>, RotateError> {
    let Some(version) = &secret.current else { return Ok(None) };
    let found = aws::value(&app.secrets, &request.secret_id, version, "AWSCURRENT").await?;
    Ok(found.map(|version| version.value))
}

fn step(name: &str, at: Timestamp) -> evidence::Step {
    evidence::Step { name: name.to_owned(), at: at.into(), outcome: "succeeded".to_owned() }
}

async fn report_finished(app: &App, request: &Request, finished: Finished, invocation: &Invocation) {
    let message = text::rotated(&app.config, &finished.name, request, finished.previous.as_deref());
    let draft = Draft { steps: finished.steps, ..draft(app, request, "succeeded", invocation) };
    app.reporter.report(draft, &message, finished.begun, invocation).await;
}

async fn report_failed(app: &App, request: &Request, error: &RotateError, invocation: &Invocation) {
    let message: Message = text::failed(&app.config, request, error);
    let failed = evidence::Step {
        name: request.step.to_string(),
        at: shared::time::now().into(),
        outcome: format!("failed: {}", error.kind()),
    };
    // The service repeats a failed rotation for days: the same failure is told once a day.
    let day = shared::time::local_date(invocation.now);
    let run_id = format!("{}/{}/{}/{day}", request.token, request.step, error.fingerprint());
    let begun = app.reporter.look(&run_id, invocation.now).await;
    let draft = Draft {
        run_id,
        steps: vec![failed],
        findings: vec![chain(error)],
        ..draft(app, request, "failed", invocation)
    };
    app.reporter.report(draft, &message, begun, invocation).await;
}

/// The part of a record that every run has.
fn draft(app: &App, request: &Request, result: &'static str, invocation: &Invocation) -> Draft {
    Draft {
        run_id: request.token.clone(),
        project: app.config.project.clone(),
        environment: app.config.environment.clone(),
        trigger: format!("rotation step {}", request.step),
        subject: request.secret_id.clone(),
        started: invocation.now.into(),
        ended: shared::time::now().into(),
        steps: Vec::new(),
        findings: Vec::new(),
        result,
        code_version: app.config.code_version.clone(),
        channel: String::new(),
    }
}
