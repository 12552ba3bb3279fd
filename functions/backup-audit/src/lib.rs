//! Checks every day that backups follow the guide.
//!
//! Trigger: a schedule; or a person, for one resource or for a repair (`event.rs`). `observe.rs` reads AWS section by
//! section (`sweep.rs`, `aws/`), judges the facts by the rules (`rules/`), collects the verdicts in files
//! (`findings.rs`) and compares them with the previous run (`previous.rs`). `shared::audit::course` is the course of a
//! run (`audit.rs`): it pages (`page.rs`), applies the repairs that the stack allows (`apply.rs`), stores the reports
//! (`report.rs`), posts the changes and writes the day's record.
//!
//! A resource that could not be read is unknown: neither pass nor fail. A run with unknown verdicts does not succeed.
//!
//! Source: the guide, 1, 2.1, 2.2 and 2.3, and section 7 of the application's facts.

mod apply;
mod audit;
mod aws;
mod error;
mod event;
mod findings;
mod observe;
mod one;
mod page;
mod previous;
mod report;
mod rules;
mod settings;
mod sweep;
mod text;

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde_json::Value;
use shared::run::base::Base;
use shared::run::evidence::Draft;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::{Invocation, patient};
use shared::runtime::time;

pub use error::AuditError;
use event::Event;
use findings::Outcome;
pub use report::{Answer, Report};
use rules::Context;
use rules::facts::{Lock, Role};
use rules::finding::Finding;
use rules::names::Names;
use rules::ocsf::Place;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "backup-audit";

/// Time reserved for pages, repairs, reports and the record.
const ACTING: Duration = Duration::from_secs(150);

/// Time reserved for reports and the record.
const REPORTING: Duration = Duration::from_secs(60);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    rds: aws_sdk_rds::Client,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    ecs: aws_sdk_ecs::Client,
    iam: aws_sdk_iam::Client,
    control: aws_sdk_cloudcontrol::Client,
    s3_control: aws_sdk_s3control::Client,
    names: Names,
    place: Place,
    cluster: String,
    /// Default retention that the stack sets on the evidence bucket.
    evidence_lock: Lock,
    /// ARN of the application's key, if the stack has it.
    key: Option<String>,
    /// Rules whose repairs the stack allows.
    repairs: Vec<String>,
}

impl App {
    /// Reads the settings and creates the clients. Settings: those of [`Base`], `DATABASE_INSTANCE_ID`,
    /// `ECS_CLUSTER_NAME`, `ACCOUNT_ID`, `UPLOADS_MARKER`, `EVIDENCE_LOCK_MODE`, `EVIDENCE_LOCK_DAYS` and
    /// `OWN_PROCEDURES`. Optional: `ATTACHMENTS_BUCKET` (default: `project-environment-attachments`), `UPLOADS_BUCKET`,
    /// `TERRAFORM_STATE_BUCKET`, `TERRAFORM_LOCK_TABLE`, `GRAFANA_BUCKET`, `GRAFANA_URL`, `APP_KMS_KEY_ARN` and `BACKUP_REPAIRS`, a
    /// comma-separated list of rules.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::of_audit(PROCEDURE, env, aws)?;
        let patient = patient(aws);
        let names = settings::names(env, &base.settings)?;
        let repairs = settings::repairs(env)?;
        if let Some((first, name)) = names.duplicate(&base.reporter.documents.bucket) {
            let reason = format!("{first} names the same bucket, and each has rules of its own");
            return Err(EnvError::Invalid { name, reason });
        }
        Ok(Self {
            rds: shared::patient!(aws_sdk_rds, &patient),
            s3: shared::patient!(aws_sdk_s3, &patient),
            dynamodb: shared::patient!(aws_sdk_dynamodb, &patient),
            ecs: shared::patient!(aws_sdk_ecs, &patient),
            iam: shared::patient!(aws_sdk_iam, &patient),
            control: shared::patient!(aws_sdk_cloudcontrol, &patient),
            s3_control: aws::s3::control(&patient),
            place: Place {
                account: env.required("ACCOUNT_ID")?,
                region: aws.region().map(ToString::to_string).unwrap_or_default(),
                environment: base.settings.environment.clone(),
                version: base.settings.code_version.clone(),
            },
            cluster: env.required("ECS_CLUSTER_NAME")?,
            evidence_lock: Lock {
                mode: env.required("EVIDENCE_LOCK_MODE")?,
                days: env.required("EVIDENCE_LOCK_DAYS")?,
            },
            key: env.optional("APP_KMS_KEY_ARN")?,
            names,
            repairs,
            base,
        })
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        let backups = &self.base.settings.policy.backups;
        Context {
            project: &self.base.settings.project,
            environment: &self.base.settings.environment,
            account: &self.place.account,
            policy: &backups.audit,
            retention_days: backups.retention_days.get(&self.base.settings.environment).copied(),
            noncurrent_days: backups.attachment_noncurrent_days,
            key: self.key.as_deref(),
            database: &self.names.database,
            cluster: &self.cluster,
            evidence_lock: &self.evidence_lock,
            attachments: &self.names.attachments,
            marker: &self.names.marker,
            now,
        }
    }

    /// A record's lines of the findings; those of buckets end with the bucket's role.
    fn recorded(&self, outcome: &Outcome) -> Vec<String> {
        let role = |finding: &Finding| self.names.role_of(finding, &self.base.reporter.documents.bucket);
        outcome.worst.findings.iter().map(|finding| text::line(finding, role(finding))).collect()
    }

    /// The fields common to all records.
    fn draft(
        &self,
        run_id: &str,
        trigger: &str,
        subject: String,
        result: &'static str,
        invocation: &Invocation,
    ) -> Draft {
        let draft = Draft::of(&self.base.settings, run_id, result, invocation.now);
        Draft { trigger: trigger.to_owned(), subject, ..draft }
    }
}

/// The roles of buckets, as the lines of records name them.
pub fn roles() -> impl Iterator<Item = &'static str> {
    Role::ALL.into_iter().map(Role::word)
}

/// Ids of all rules.
pub fn rules() -> impl Iterator<Item = &'static str> {
    rules::all().map(|meta| meta.id)
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`AuditError::InvalidEvent`].
pub fn check(event: Value) -> Result<(), AuditError> {
    Event::try_from(event)?;
    Ok(())
}

/// Audits everything or one resource, or repairs.
///
/// # Errors
///
/// [`AuditError`]; Lambda then tries twice more before the event goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, AuditError> {
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", day.as_str());
    let event = Event::try_from(event)?;
    match &event {
        Event::Everything => audit::everything(app, invocation).await,
        Event::One(resource) => {
            let one = one::one(app, &day, resource, invocation);
            let one = invocation.before_deadline(REPORTING, one).await?;
            one.map(|report| Answer::Audit(Box::new(report)))
        }
        Event::Repair(request) => {
            let context = app.context(invocation.now);
            let repair = apply::repair(app, &context, request, invocation);
            invocation.before_deadline(Duration::from_secs(2), repair).await?.map(Answer::Repair)
        }
    }
}
