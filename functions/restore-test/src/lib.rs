//! Restores a snapshot to a throw-away instance, proves it against the source, and always removes it. Reads the source
//! as a baseline for later proofs.
//!
//! Trigger: a step of the state machine beside this crate, which a quarterly schedule, a daily one for baselines, RDS's
//! event about a manual snapshot, or a person starts. The reaper's hourly schedule and Step Functions' event about an
//! execution that ended invoke the function itself. Steps: `choose.rs`, `restore.rs`, `prove.rs`, `remove.rs`,
//! `finish.rs`; the reaper: `reap.rs`; decide: `rules/`; the proof: the crate `proof`; report: `report.rs`, `text/`.
//! Source: the guide, 2.1 steps 3 and 4.

mod answer;
mod aws;
mod choose;
mod error;
mod event;
mod finish;
mod login;
mod note;
mod prove;
mod reap;
mod remove;
mod report;
mod restore;
mod rules;
mod text;

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use serde::Serialize;
use serde_json::Value;
use shared::aws::restores;
use shared::database::Database;
use shared::policy::Restores;
use shared::run::base::Base;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::workflow;

pub use answer::Answer;
pub use error::RestoreError;
use event::{Event, Input, Step};
pub use reap::Reaped;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = restores::TESTER;

/// Time reserved for pages, messages and records.
const REPORTING: Duration = Duration::from_secs(30);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    /// Identifier of the database's instance.
    instance: String,
    /// Name of the secret with the application's `DATABASE_URL`.
    database_secret: Option<String>,
    secrets: aws_sdk_secretsmanager::Client,
    database: Database,
    rds: aws_sdk_rds::Client,
    /// The stack's region.
    region: String,
    /// Where the test's instances are made; none if the stack has no restore tests.
    place: Option<Place>,
    /// The region of the copies; none if the stack makes none.
    away: Option<Away>,
}

/// Where a region's instances are made.
#[derive(Clone, Debug)]
struct Place {
    subnet_group: String,
    security_groups: Vec<String>,
    /// RDS's default for the engine's version if none.
    parameter_group: Option<String>,
    class: String,
}

/// The region of the copies.
struct Away {
    region: String,
    rds: aws_sdk_rds::Client,
    secrets: aws_sdk_secretsmanager::Client,
    /// None if the stack tests no copies. What tests left there is removed all the same.
    place: Option<Place>,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`]; `DATABASE_INSTANCE_ID`, `RESTORE_INSTANCE_CLASS`; and,
    /// which may be empty, `DATABASE_SECRET_NAME`, `RDS_CA_FILE`, `RESTORE_SUBNET_GROUP`, `RESTORE_SECURITY_GROUPS` (joined
    /// by commas), `RESTORE_PARAMETER_GROUP`, `SNAPSHOT_COPY_REGION` and the same three beginning with `RESTORE_COPY_`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let class: String = env.required("RESTORE_INSTANCE_CLASS")?;
        let groups = |text: Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect()
        };
        let subnets: Option<String> = env.optional("RESTORE_SUBNET_GROUP")?;
        let security_groups = groups(env.optional("RESTORE_SECURITY_GROUPS")?);
        let parameter_group: Option<String> = env.optional("RESTORE_PARAMETER_GROUP")?;
        let place = subnets.map(|subnet_group| Place {
            subnet_group,
            security_groups,
            parameter_group,
            class: class.clone(),
        });
        let copies: Option<String> = env.optional("SNAPSHOT_COPY_REGION")?;
        let subnets: Option<String> = env.optional("RESTORE_COPY_SUBNET_GROUP")?;
        let security_groups = groups(env.optional("RESTORE_COPY_SECURITY_GROUPS")?);
        let parameter_group: Option<String> = env.optional("RESTORE_COPY_PARAMETER_GROUP")?;
        let away = copies.map(|region| {
            let there = Region::new(region.clone());
            let rds = aws_sdk_rds::config::Builder::from(aws).region(there.clone()).build();
            let secrets = aws_sdk_secretsmanager::config::Builder::from(aws).region(there).build();
            Away {
                region,
                rds: aws_sdk_rds::Client::from_conf(rds),
                secrets: aws_sdk_secretsmanager::Client::from_conf(secrets),
                place: subnets.map(|subnet_group| Place {
                    subnet_group,
                    security_groups,
                    parameter_group,
                    class,
                }),
            }
        });
        Ok(Self {
            base: Base::new(PROCEDURE, env, aws)?,
            instance: env.required("DATABASE_INSTANCE_ID")?,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            database: Database::from_env(PROCEDURE, env)?,
            rds: aws_sdk_rds::Client::new(aws),
            region: aws.region().map(ToString::to_string).unwrap_or_default(),
            place,
            away,
        })
    }

    fn policy(&self) -> &Restores {
        &self.base.settings.policy.restores
    }

    fn prefix(&self) -> String {
        restores::prefix(&self.base.settings)
    }

    /// The client of a region: the stack's, or that of its copies. Never another region's, where the same name would be
    /// another instance.
    fn rds_of(&self, region: &str) -> Result<&aws_sdk_rds::Client, RestoreError> {
        if region == self.region {
            return Ok(&self.rds);
        }
        Ok(&self.away_of(region)?.rds)
    }

    /// The same for the secrets that RDS keeps beside its instances.
    fn secrets_of(&self, region: &str) -> Result<&aws_sdk_secretsmanager::Client, RestoreError> {
        if region == self.region {
            return Ok(&self.secrets);
        }
        Ok(&self.away_of(region)?.secrets)
    }

    fn away_of(&self, region: &str) -> Result<&Away, RestoreError> {
        let away = self.away.as_ref().filter(|away| away.region == region);
        away.ok_or_else(|| RestoreError::RegionNotConfigured(region.to_owned()))
    }

    fn place_of(&self, region: &str) -> Result<&Place, RestoreError> {
        if region == self.region {
            return self.place.as_ref().ok_or(RestoreError::NotConfigured("RestoreSubnetGroup"));
        }
        let place = self.away_of(region)?.place.as_ref();
        place.ok_or(RestoreError::NotConfigured("RestoreCopySubnetGroup"))
    }
}

/// The function's answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To a step of the state machine.
    Step(Box<Answer>),
    /// Of the reaper.
    Reaped(Reaped),
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`RestoreError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), RestoreError> {
    Event::try_from(event)?;
    Ok(())
}

/// Performs one step of the state machine, or reaps.
///
/// # Errors
///
/// [`RestoreError`]; the state machine retries temporary errors.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Reply, RestoreError> {
    match Event::try_from(event)? {
        Event::Step(run) => {
            let span = tracing::Span::current();
            span.record("correlation_id", run.execution.as_str());
            span.record("run_id", run.execution.as_str());
            Ok(Reply::Step(Box::new(Box::pin(step(app, run, invocation)).await?)))
        }
        Event::Reap => Ok(Reply::Reaped(Box::pin(reap::reap(app, None, invocation)).await?)),
        Event::Ended { execution, status } => {
            tracing::Span::current().record("correlation_id", execution.as_str());
            Ok(Reply::Reaped(Box::pin(reap::reap(app, Some((&execution, &status)), invocation)).await?))
        }
    }
}

/// Each step's future is large, so that the caller's holds only their addresses.
async fn step(
    app: &App,
    run: workflow::Run<Step, Input>,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let (execution, poll, now) = (run.execution.clone(), run.poll, invocation.now);
    tracing::info!(message = "step", step = run.step.word(), poll);
    match run.step {
        Step::Choose => {
            let input = run.input()?;
            invocation
                .before_deadline(REPORTING, Box::pin(choose::choose(app, &execution, &input, now)))
                .await?
        }
        Step::Restore => {
            invocation
                .before_deadline(REPORTING, Box::pin(restore::restore(app, &execution, poll, now)))
                .await?
        }
        Step::Watch => {
            invocation
                .before_deadline(REPORTING, Box::pin(restore::watch(app, &execution, poll, now)))
                .await?
        }
        Step::Open => {
            invocation.before_deadline(REPORTING, Box::pin(restore::open(app, &execution, poll, now))).await?
        }
        // These keep what they have read until the deadline.
        Step::Read => Box::pin(prove::read(app, &execution, poll, invocation)).await,
        Step::Source => Box::pin(prove::source(app, &execution, poll, invocation)).await,
        Step::Baseline => {
            let input = run.input()?;
            Box::pin(prove::baseline(app, &execution, &input, poll, invocation)).await
        }
        Step::Remove => {
            invocation
                .before_deadline(
                    REPORTING,
                    Box::pin(remove::remove(app, &execution, run.input.as_ref(), poll, now)),
                )
                .await?
        }
        Step::Finish => Box::pin(finish::finish(app, run, invocation)).await,
    }
}
