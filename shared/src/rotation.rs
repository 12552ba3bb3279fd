//! The steps common to all rotation functions: read the versions, plan and perform the step, report and record the end.
//!
//! Trigger: Secrets Manager, once per [`Step`]; any step may arrive more than once, for days, with the same token. A
//! function implements [`Rotation`]: how a value is made, given to the system that checks it, and proved.
//!
//! Source: [Lambda rotation functions](https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html).

mod aws;
mod error;
mod event;
mod random;
mod seal;
mod text;
mod versions;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::run::documents::Documents;
use crate::run::evidence::{self, Draft};
use crate::run::report::{Begun, Reporter};
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::{Failure, chain};
use crate::runtime::lambda::{DeadlineExceeded, Invocation};
use crate::runtime::settings::Settings;

pub use aws::{Described, Version};
pub use error::RotationError;
pub use event::{Request, Step};
pub use random::{generate, made_by};
pub use text::{Advice, InForce};
use versions::Plan;
pub use versions::{Versions, labelled};

/// Time reserved for recording and reporting a step's failure.
const REPORTING: Duration = Duration::from_secs(10);

/// Prefix of the tags that configure a secret's rotation.
const TAG_PREFIX: &str = "rotation:";

/// Settings and clients of every rotation function, built once per cold start.
pub struct Base {
    /// Settings.
    pub settings: Settings,
    /// Client of the secrets' region.
    pub secrets: Client,
    /// Channel and evidence.
    pub reporter: Reporter,
}

impl Base {
    /// Reads the settings and builds the clients.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(procedure: &'static str, env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let secrets = Client::new(aws);
        let reporter = Reporter::new(procedure, &settings, env, aws)?;
        Ok(Self { settings, secrets, reporter })
    }
}

/// The outcome of a step, which is the invocation's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// A new value is staged as AWSPENDING.
    Created,
    /// An earlier attempt already staged a value, which stays.
    Kept,
    /// The step does not apply to this kind of secret.
    Nothing,
    /// The system that checks the value now accepts the pending one.
    Set,
    /// It already accepted the pending value.
    AlreadySet,
    /// The pending value is proved.
    Tested,
    /// The pending value is a copy of the current one: a test of the set-up, not a rotation.
    TestedCopy,
    /// The pending value could not be proved; the rotation's message has the reason and the next step.
    Unproved,
    /// AWSCURRENT has moved to the pending version.
    Finished,
    /// AWSCURRENT was already on the pending version.
    AlreadyFinished,
}

/// The parts of a rotation that differ between functions.
pub trait Rotation {
    /// The error of a step.
    type Error: Failure + From<RotationError>;

    /// The common settings and clients.
    fn base(&self) -> &Base;

    /// Refuses a secret that this function must not rotate. Runs before every step, because a caller of the function
    /// can invoke each step alone.
    fn admit(&self, attempt: &Attempt<'_>) -> impl Future<Output = Result<(), Self::Error>>;

    /// createSecret: makes a new value from the current one. Not called if a value is already staged.
    fn compose(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> impl Future<Output = Result<SecretString, Self::Error>>;

    /// setSecret: gives the pending value to the system that checks it.
    fn set(&self, attempt: &Attempt<'_>) -> impl Future<Output = Result<Outcome, Self::Error>>;

    /// testSecret: proves the pending value; it may be a copy of the current one, without any earlier step.
    fn test(&self, attempt: &Attempt<'_>) -> impl Future<Output = Result<Outcome, Self::Error>>;

    /// finishSecret: proves the pending value again, because a caller of the function can invoke this step first.
    fn prove(&self, attempt: &Attempt<'_>) -> impl Future<Output = Result<Proof, Self::Error>>;

    /// The additions to the report if an earlier attempt moved AWSCURRENT and died before reporting.
    fn aftermath(&self, attempt: &Attempt<'_>) -> impl Future<Output = Aftermath> {
        let _ = attempt;
        async { Aftermath::default() }
    }

    /// Diagnoses a step whose version lost its label during the rotation.
    fn abandoned(&self, attempt: &Attempt<'_>, error: RotationError) -> impl Future<Output = Self::Error> {
        let _ = attempt;
        async { error.into() }
    }

    /// Diagnoses the state after a failure, within the few seconds reserved for it.
    fn look_into(&self, request: &Request, error: Self::Error) -> impl Future<Output = Self::Error> {
        let _ = request;
        async { error }
    }

    /// Whether tasks read the secret with this name, so that a deployment brings its value into use.
    fn is_read_by_tasks(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// The operator's text for a failure.
    fn advise(&self, request: &Request, error: &Self::Error) -> Advice;
}

/// The proof that the pending value works.
pub struct Proof {
    /// When the pending value was staged, if the service says.
    pub staged: Option<Timestamp>,
    /// The proved action, for the evidence.
    pub what: &'static str,
    /// Additions to the final report.
    pub aftermath: Aftermath,
}

/// Additions to the report of a successful rotation.
#[derive(Default)]
pub struct Aftermath {
    /// Since when the previous value was not accepted; none if it stays valid.
    pub window_from: Option<Timestamp>,
    /// Facts that an operator should know although the rotation succeeded.
    pub findings: Vec<String>,
}

/// One attempt at a step.
pub struct Attempt<'a> {
    base: &'a Base,
    /// The event.
    pub request: &'a Request,
    /// The secret at the beginning of the invocation.
    pub described: Described,
    /// When the invocation began.
    pub now: Timestamp,
    /// The current value, cached so that a step reads it only once.
    current: OnceCell<Option<SecretString>>,
}

impl Attempt<'_> {
    /// The version that carries a label.
    pub fn labelled(&self, label: &str) -> Option<&str> {
        labelled(&self.described.versions, label)
    }

    /// The pending value, if createSecret made it. In testSecret it may also be a copy of the current value, which
    /// Secrets Manager stages to test the set-up (`RotateImmediately=false`).
    ///
    /// # Errors
    ///
    /// [`RotationError::EmptyPending`], [`RotationError::ForeignPending`], [`RotationError::Evidence`]; those of
    /// [`Attempt::version`].
    pub async fn pending(&self) -> Result<Version, RotationError> {
        let found = self.version(&self.request.token, Some("AWSPENDING")).await?;
        let found = found.ok_or(RotationError::EmptyPending)?;
        if seal::is_ours(&self.base.reporter.documents, self.request, &found.value).await? {
            return Ok(found);
        }
        let current = match self.request.step {
            Step::TestSecret => self.current().await?,
            Step::CreateSecret | Step::SetSecret | Step::FinishSecret => None,
        };
        if current.is_some_and(|current| current.expose_secret() == found.value.expose_secret()) {
            return Ok(found);
        }
        Err(RotationError::ForeignPending { token: self.request.token.clone() })
    }

    /// Whether createSecret of this function made a version.
    ///
    /// # Errors
    ///
    /// [`RotationError::Evidence`].
    pub async fn was_made(&self, version: &str) -> Result<bool, RotationError> {
        was_made(&self.base.reporter.documents, &self.request.secret_id, version).await
    }

    /// The current value; none if the secret never had one.
    ///
    /// # Errors
    ///
    /// Those of [`Attempt::version`].
    pub async fn current(&self) -> Result<Option<SecretString>, RotationError> {
        let Some(id) = self.labelled("AWSCURRENT") else { return Ok(None) };
        let read = async || Ok(self.version(id, Some("AWSCURRENT")).await?.map(|version| version.value));
        self.current.get_or_try_init(read).await.cloned()
    }

    /// A version's value, if it has one. With a label, also none if the label has moved to another version.
    ///
    /// # Errors
    ///
    /// [`RotationError::SecretsManager`]; [`RotationError::WrongForm`] for a binary value, which must not count as
    /// none.
    pub async fn version(&self, id: &str, label: Option<&str>) -> Result<Option<Version>, RotationError> {
        aws::value(&self.base.secrets, &self.request.secret_id, id, label).await
    }

    /// Checks again that the rotation is still in progress and that AWSCURRENT has not moved since the beginning.
    ///
    /// # Errors
    ///
    /// [`RotationError::UnknownVersion`], [`RotationError::NotPending`] or [`RotationError::CurrentMoved`] otherwise.
    pub async fn must_be_unmoved(&self) -> Result<(), RotationError> {
        let described = aws::describe(&self.base.secrets, &self.request.secret_id).await?;
        let token = &self.request.token;
        match versions::plan(token, described.rotation_enabled, &described.versions)? {
            Plan::Perform if labelled(&described.versions, "AWSCURRENT") != self.labelled("AWSCURRENT") => {
                Err(RotationError::CurrentMoved { token: token.clone() })
            }
            Plan::Perform => Ok(()),
            Plan::AlreadyCurrent => Err(RotationError::NotPending { token: token.clone(), holder: None }),
        }
    }
}

/// Whether createSecret made a version's value, or was about to.
///
/// # Errors
///
/// [`RotationError::Evidence`].
pub async fn was_made(documents: &Documents, secret_id: &str, version: &str) -> Result<bool, RotationError> {
    let request = Request {
        secret_id: secret_id.to_owned(),
        token: version.to_owned(),
        rotation_token: None,
        step: Step::CreateSecret,
    };
    seal::exists(documents, &request).await
}

/// The tags that configure a secret's rotation, without their prefix.
pub fn tags(all: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    all.into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(TAG_PREFIX)?.to_owned(), value)))
        .collect()
}

/// The error for an invalid tag; `key` has no prefix.
pub fn invalid_tag(key: &str, reason: impl std::fmt::Display) -> RotationError {
    RotationError::InvalidTag { tag: format!("{TAG_PREFIX}{key}"), reason: reason.to_string() }
}

/// Handles one rotation step: reads the versions, plans and performs the step, then reports and records its end.
///
/// # Errors
///
/// The rotation's errors; Secrets Manager then repeats the whole rotation with the same token. An invalid event is only
/// logged, because it names no secret reliably.
pub async fn handle<R: Rotation>(
    rotation: &R,
    event: Value,
    invocation: &Invocation,
) -> Result<Outcome, R::Error> {
    let request = Request::try_from(event)?;
    let span = tracing::Span::current();
    span.record("run_id", request.token.as_str()).record("correlation_id", request.token.as_str());
    let step = invocation.before_deadline(REPORTING, perform(rotation, &request, invocation)).await;
    let late = |late: DeadlineExceeded| Err(RotationError::from(late).into());
    match step.unwrap_or_else(late) {
        Ok((outcome, finished)) => {
            tracing::info!(
                message = format!("{} of {}: {outcome:?}", request.step, request.secret_id),
                secret.id = request.secret_id,
                rotation.step = request.step.to_string(),
                rotation.outcome = format!("{outcome:?}"),
            );
            if let Some(finished) = finished {
                let is_read_by_tasks = rotation.is_read_by_tasks(&finished.name);
                report_finished(rotation.base(), &request, finished, is_read_by_tasks, invocation).await;
            }
            Ok(outcome)
        }
        Err(error) => {
            let error = rotation.look_into(&request, error).await;
            report_failed(rotation, &request, &error, invocation).await;
            Err(error)
        }
    }
}

/// The contents of a finished rotation's report.
struct Finished {
    name: String,
    /// The previous current version; unknown if an earlier attempt moved the label.
    previous: Option<String>,
    steps: Vec<evidence::Step>,
    findings: Vec<String>,
    begun: Begun,
}

async fn perform<R: Rotation>(
    rotation: &R,
    request: &Request,
    invocation: &Invocation,
) -> Result<(Outcome, Option<Finished>), R::Error> {
    let base = rotation.base();
    let described = aws::describe(&base.secrets, &request.secret_id).await.map_err(RotationError::from)?;
    let plan = versions::plan(&request.token, described.rotation_enabled, &described.versions);
    let attempt = Attempt { base, request, described, now: invocation.now, current: OnceCell::new() };
    if let Ok(Plan::Perform) = plan {
        rotation.admit(&attempt).await?;
    }
    let outcome = match (plan, request.step) {
        (Ok(Plan::AlreadyCurrent), step) => {
            let finished = if step == Step::FinishSecret { left_open(rotation, attempt).await } else { None };
            return Ok((Outcome::AlreadyFinished, finished));
        }
        (
            Err(
                error @ (RotationError::UnknownVersion { .. }
                | RotationError::NotPending { .. }
                | RotationError::CurrentMoved { .. }),
            ),
            _,
        ) => return Err(rotation.abandoned(&attempt, error).await),
        (Err(error), _) => return Err(error.into()),
        (Ok(Plan::Perform), Step::CreateSecret) => create(rotation, &attempt).await?,
        (Ok(Plan::Perform), Step::SetSecret) => rotation.set(&attempt).await?,
        (Ok(Plan::Perform), Step::TestSecret) => rotation.test(&attempt).await?,
        (Ok(Plan::Perform), Step::FinishSecret) => {
            let proof = rotation.prove(&attempt).await?;
            return Ok((Outcome::Finished, Some(finish(attempt, proof).await?)));
        }
    };
    Ok((outcome, None))
}

/// The report of an earlier attempt that moved the label and died. Without that attempt's note there is none: the
/// version became current in another way.
async fn left_open<R: Rotation>(rotation: &R, attempt: Attempt<'_>) -> Option<Finished> {
    let begun = attempt.base.reporter.look(&attempt.request.token).await;
    if !begun.was_left_open() {
        return None;
    }
    let now = crate::runtime::time::now();
    let mut steps = vec![step("find AWSCURRENT moved by an attempt that proved the value and died", now)];
    let Aftermath { window_from, findings } = rotation.aftermath(&attempt).await;
    // The time when the label moved is unknown.
    steps.extend(window_from.map(|from| window(from, now, "at most ")));
    Some(Finished { name: attempt.described.name, previous: None, steps, findings, begun })
}

/// The step that records how long the previous value was not accepted.
fn window(from: Timestamp, to: Timestamp, at_most: &str) -> evidence::Step {
    let window = to.duration_since(from).as_millis();
    tracing::info!(
        message = format!("AWSCURRENT was not accepted for {at_most}{window} ms"),
        rotation.window_ms = u64::try_from(window).unwrap_or_default(),
    );
    step(&format!("the value before was not accepted for {at_most}{window} ms"), to)
}

async fn create<R: Rotation>(rotation: &R, attempt: &Attempt<'_>) -> Result<Outcome, R::Error> {
    match attempt.pending().await {
        Ok(_) => return Ok(Outcome::Kept),
        Err(RotationError::EmptyPending) => {}
        Err(error) => return Err(error.into()),
    }
    let current = attempt.current().await?;
    let value = rotation.compose(attempt, current.as_ref()).await?;
    seal::save(&attempt.base.reporter.documents, attempt.request, &value).await?;
    let put = aws::put_pending(&attempt.base.secrets, attempt.request, &value).await;
    if put.map_err(RotationError::from)? {
        return Ok(Outcome::Created);
    }
    // A concurrent invocation was faster. Any sealed value is valid, and a version's value never changes.
    attempt.pending().await?;
    Ok(Outcome::Kept)
}

async fn finish(attempt: Attempt<'_>, proof: Proof) -> Result<Finished, RotationError> {
    let (base, request) = (attempt.base, attempt.request);
    let mut steps: Vec<_> =
        proof.staged.map(|created| step("stage AWSPENDING", created)).into_iter().collect();
    steps.push(step(proof.what, crate::runtime::time::now()));
    let begun = base.reporter.begin(&request.token).await;
    let current = attempt.labelled("AWSCURRENT").map(str::to_owned);
    if let Err(error) = aws::promote(&base.secrets, request, current.as_deref()).await {
        // The answer may have been lost after the label moved.
        let versions = aws::describe(&base.secrets, &request.secret_id).await?.versions;
        if labelled(&versions, "AWSCURRENT") != Some(request.token.as_str()) {
            return Err(error.into());
        }
    }
    let moved = crate::runtime::time::now();
    steps.push(step("move AWSCURRENT", moved));
    let Aftermath { window_from, findings } = proof.aftermath;
    steps.extend(window_from.map(|from| window(from, moved, "")));
    Ok(Finished { name: attempt.described.name, previous: current, steps, findings, begun })
}

fn step(name: &str, at: Timestamp) -> evidence::Step {
    evidence::Step { name: name.to_owned(), at: at.into(), outcome: "succeeded".to_owned() }
}

async fn report_finished(
    base: &Base,
    request: &Request,
    finished: Finished,
    is_read_by_tasks: bool,
    invocation: &Invocation,
) {
    let Finished { name, previous, steps, findings, begun } = finished;
    let previous = previous.as_deref();
    let message = text::rotated(&base.settings, &name, request, previous, is_read_by_tasks, &findings);
    let draft = Draft { steps, findings, ..draft(base, request, "succeeded", invocation) };
    base.reporter.report(draft, Some(&message), begun, invocation).await;
}

async fn report_failed<R: Rotation>(
    rotation: &R,
    request: &Request,
    error: &R::Error,
    invocation: &Invocation,
) {
    let base = rotation.base();
    let failed = evidence::Step {
        name: request.step.to_string(),
        at: crate::runtime::time::now().into(),
        outcome: format!("failed: {}", error.kind()),
    };
    // Secrets Manager repeats a failed rotation for days, so report the same failure once a day.
    let day = crate::runtime::time::local_date(invocation.now);
    let run_id = format!("{}/{}/{}/{day}", request.token, request.step, error.fingerprint());
    let message = text::failed(&base.settings, request, error, rotation.advise(request, error), &run_id);
    let draft = Draft {
        run_id,
        steps: vec![failed],
        findings: vec![chain(error)],
        ..draft(base, request, "failed", invocation)
    };
    base.reporter.report_once(draft, Some(&message), invocation).await;
}

/// The common part of every record.
fn draft(base: &Base, request: &Request, result: &'static str, invocation: &Invocation) -> Draft {
    Draft {
        trigger: format!("rotation step {}", request.step),
        subject: request.secret_id.clone(),
        ..Draft::of(&base.settings, &request.token, result, invocation.now)
    }
}
