//! Verifies that every snapshot of the database is complete, encrypted, private, tagged and of a plausible size. Copies
//! the newest to another region if the stack has copies, and deletes the expired ones.
//!
//! Trigger: RDS's event about a snapshot, which may come twice, late or never; a daily and, for copies, an hourly
//! schedule; a person. An event only selects the snapshots to read. Observe: `observe.rs`, decide: `rules/`, act:
//! `act.rs`, report: `report.rs`. The journal that runs share: `rules/journal.rs`. Source: the guide, 2.1.

mod act;
mod aws;
mod copy;
mod delete;
mod error;
mod event;
mod observe;
mod report;
mod rules;
mod run;
mod text;

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use serde_json::Value;
use shared::aws::snapshots;
use shared::run::documents::DocumentError;
use shared::run::paging::Pager;
use shared::run::report::Reporter;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;
use shared::runtime::time;

pub use error::VerifyError;
use event::Trigger;
pub use report::{Report, Row};
use rules::journal::{Journal, NOTE};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = snapshots::COPIER;

/// Time reserved for pages, copy, deletions and report.
const ACTING: Duration = Duration::from_secs(140);

/// Time reserved for the report.
const REPORTING: Duration = Duration::from_secs(30);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    settings: Settings,
    rds: aws_sdk_rds::Client,
    /// Identifier of the instance or cluster to copy the snapshots of; for a member, the cluster's snapshots are
    /// copied.
    instance: String,
    /// The region of the copies; none if the stack has no copies.
    away: Option<Away>,
    /// Days to keep a copy.
    retention_days: u16,
    pager: Pager,
    reporter: Reporter,
}

/// The region of the copies.
struct Away {
    rds: aws_sdk_rds::Client,
    region: String,
    /// ARN of the key that encrypts the copies.
    key: String,
}

impl Away {
    /// Reads `SNAPSHOT_COPY_REGION` and `SNAPSHOT_COPY_KMS_KEY_ARN`, which must be both set or both empty.
    fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Option<Self>, EnvError> {
        let region: Option<String> = env.optional("SNAPSHOT_COPY_REGION")?;
        let key: Option<String> = env.optional("SNAPSHOT_COPY_KMS_KEY_ARN")?;
        let invalid = |name, reason: &str| EnvError::Invalid { name, reason: reason.to_owned() };
        let (region, key) = match (region, key) {
            (None, None) => return Ok(None),
            (Some(region), Some(key)) => (region, key),
            _ => {
                return Err(invalid(
                    "SNAPSHOT_COPY_REGION",
                    "set both SNAPSHOT_COPY_REGION and SNAPSHOT_COPY_KMS_KEY_ARN, or neither",
                ));
            }
        };
        if aws.region().is_some_and(|home| home.as_ref() == region) {
            return Err(invalid("SNAPSHOT_COPY_REGION", "expected a region other than the stack's"));
        }
        if key.split(':').nth(3) != Some(&region) {
            return Err(invalid(
                "SNAPSHOT_COPY_KMS_KEY_ARN",
                "expected the ARN of a key in SNAPSHOT_COPY_REGION",
            ));
        }
        let config = aws_sdk_rds::config::Builder::from(aws).region(Region::new(region.clone())).build();
        Ok(Some(Self { rds: aws_sdk_rds::Client::from_conf(config), region, key }))
    }
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`] and [`Pager`],
    /// `DATABASE_INSTANCE_ID`, and `SNAPSHOT_COPY_REGION` and `SNAPSHOT_COPY_KMS_KEY_ARN`, which may both be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        Ok(Self {
            rds: aws_sdk_rds::Client::new(aws),
            instance: env.required("DATABASE_INSTANCE_ID")?,
            away: Away::new(env, aws)?,
            retention_days: snapshots::retention_days(&settings)?,
            pager: Pager::new(env, aws)?,
            reporter: Reporter::new(PROCEDURE, &settings, env, aws)?,
            settings,
        })
    }

    /// The region of the copies.
    fn region(&self) -> Option<&str> {
        self.away.as_ref().map(|away| away.region.as_str())
    }
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`VerifyError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), VerifyError> {
    Trigger::try_from(event)?;
    Ok(())
}

/// One run: observe, decide, page, copy, delete, report.
///
/// # Errors
///
/// [`VerifyError`]; Lambda then tries twice more before the event goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Report, VerifyError> {
    let trigger = Trigger::try_from(event)?;
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", day.as_str());
    tracing::info!(message = "invoked", trigger = ?trigger);
    let seen = invocation.before_deadline(ACTING, observe::observe(app, &trigger, invocation.now)).await;
    match seen.map_err(VerifyError::from).and_then(|seen| seen.map_err(VerifyError::from)) {
        Ok(facts) => {
            let (run, noted) = act::act(app, &trigger, &facts, &day, invocation).await;
            let report = report::report(app, &trigger, &facts, run, invocation).await;
            noted?;
            report
        }
        Err(error) => {
            report::report_failed(app, &trigger, &day, &error, invocation).await;
            Err(error)
        }
    }
}

/// Changes the runs' journal and returns the result.
async fn update<R>(app: &App, change: impl Fn(&mut Journal) -> R) -> Result<Journal, DocumentError> {
    let updated = app.reporter.documents.update(NOTE, |journal: &mut Journal| {
        change(journal);
        journal.clone()
    });
    updated.await
}
