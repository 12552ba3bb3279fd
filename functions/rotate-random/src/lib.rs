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
use shared::report::Reporter;

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
    name: String,
    plan: Plan,
    rule: Rule,
    current: Option<String>,
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
/// [`RotateError`]; Secrets Manager then repeats the whole rotation with the same token.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Outcome, RotateError> {
    let request = Request::try_from(event)?;
    let span = tracing::Span::current();
    span.record("run_id", request.token.as_str()).record("correlation_id", request.token.as_str());
    let result = match invocation.within(REPORTING, rotate(app, &request)).await {
        Ok(result) => result,
        Err(late) => Err(late.into()),
    };
    match &result {
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
        }
        Err(error) => report_failed(app, &request, error, invocation).await,
    }
    result.map(|(outcome, _)| outcome)
}

/// What is told of a rotation that is over.
struct Finished {
    name: String,
    /// Version that was current before; unknown when an earlier attempt moved the label.
    previous: Option<String>,
    /// When the pending version was made; unknown then too.
    created: Option<Timestamp>,
}

async fn rotate(app: &App, request: &Request) -> Result<(Outcome, Option<Finished>), RotateError> {
    let secret = observe(app, request).await?;
    let outcome = match &secret.plan {
        Plan::AlreadyCurrent => Outcome::AlreadyFinished,
        Plan::Nothing => Outcome::Nothing,
        Plan::Create => create(app, request, &secret).await?,
        Plan::Test => test(app, request, &secret).await?,
        Plan::Promote => return finish(app, request, secret).await,
    };
    // The attempt that moved the label may have died before it was told.
    let late = outcome == Outcome::AlreadyFinished && request.step == Step::FinishSecret;
    let finished = late.then_some(Finished { name: secret.name, previous: None, created: None });
    Ok((outcome, finished))
}

async fn observe(app: &App, request: &Request) -> Result<Secret, RotateError> {
    let described = aws::describe(&app.secrets, &request.secret_id).await?;
    let plan = policy::plan(request.step, &request.token, described.rotation_enabled, &described.versions)?;
    let variable = app.config.variable(&described.name);
    let rule = policy::rule(&app.config.policy.rotation, variable, &described.tags)?;
    let current = policy::labelled(&described.versions, "AWSCURRENT");
    Ok(Secret { name: described.name, plan, rule, current })
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

async fn finish(
    app: &App,
    request: &Request,
    secret: Secret,
) -> Result<(Outcome, Option<Finished>), RotateError> {
    // Secrets Manager calls this step only after a test, but whoever may invoke the function can call it first.
    let pending = pending(app, request).await?.ok_or(RotateError::EmptyPending)?;
    let current = current(app, request, &secret).await?;
    value::examine(&pending.value, current.as_ref(), &secret.rule)?;
    if let Err(error) = aws::promote(&app.secrets, request, secret.current.as_deref()).await {
        // The answer may have been lost after the label moved.
        let versions = aws::describe(&app.secrets, &request.secret_id).await?.versions;
        if policy::labelled(&versions, "AWSCURRENT").as_deref() != Some(request.token.as_str()) {
            return Err(error.into());
        }
    }
    let finished = Finished { name: secret.name, previous: secret.current, created: Some(pending.created) };
    Ok((Outcome::Finished, Some(finished)))
}

async fn pending(app: &App, request: &Request) -> Result<Option<aws::Version>, RotateError> {
    Ok(aws::value(&app.secrets, &request.secret_id, &request.token, "AWSPENDING").await?)
}

async fn current(app: &App, request: &Request, secret: &Secret) -> Result<Option<SecretString>, RotateError> {
    let Some(version) = &secret.current else { return Ok(None) };
    let found = aws::value(&app.secrets, &request.secret_id, version, "AWSCURRENT").await?;
    Ok(found.map(|version| version.value))
}

async fn report_finished(app: &App, request: &Request, finished: &Finished, invocation: &Invocation) {
    let message = text::rotated(&app.config, &finished.name, request, finished.previous.as_deref());
    let ended = shared::time::now();
    let step = |name: &str, at: Timestamp| evidence::Step {
        name: name.to_owned(),
        at: at.into(),
        outcome: "succeeded".to_owned(),
    };
    let steps = match finished.created {
        Some(created) => vec![
            step("stage AWSPENDING", created),
            step("prove the pending value against the policy", ended),
            step("move AWSCURRENT", ended),
        ],
        None => vec![step("find AWSCURRENT moved by an attempt that did not come to report it", ended)],
    };
    let draft = Draft {
        run_id: request.token.clone(),
        started: finished.created.unwrap_or(invocation.now).into(),
        ended: ended.into(),
        steps,
        result: "succeeded",
        ..blank(app, request)
    };
    app.reporter.report(draft, &message, invocation).await;
}

async fn report_failed(app: &App, request: &Request, error: &RotateError, invocation: &Invocation) {
    let message: Message = text::failed(&app.config, request, error);
    let now = invocation.now;
    let draft = Draft {
        // The service repeats a failed rotation for days: the same failure is told once a day.
        run_id: format!(
            "{}/{}/{}/{}",
            request.token,
            request.step,
            error.kind(),
            shared::time::local_date(now)
        ),
        started: now.into(),
        ended: shared::time::now().into(),
        steps: vec![evidence::Step {
            name: request.step.to_string(),
            at: now.into(),
            outcome: format!("failed: {}", error.kind()),
        }],
        findings: vec![chain(error)],
        result: "failed",
        ..blank(app, request)
    };
    app.reporter.report(draft, &message, invocation).await;
}

/// The part of a record that is the same for every run.
fn blank(app: &App, request: &Request) -> Draft {
    let epoch = Timestamp::UNIX_EPOCH;
    Draft {
        run_id: String::new(),
        project: app.config.project.clone(),
        environment: app.config.environment.clone(),
        trigger: "secretsmanager:RotateSecret".to_owned(),
        subject: request.secret_id.clone(),
        started: epoch.into(),
        ended: epoch.into(),
        steps: Vec::new(),
        findings: Vec::new(),
        result: "",
        code_version: app.config.code_version.clone(),
        channel: String::new(),
    }
}
