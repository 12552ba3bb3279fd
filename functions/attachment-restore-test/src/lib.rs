//! Proves that a sample of the attachments can be read, restored and downloaded: each is read from the bucket and
//! compared with the size and SHA-256 that the database has, a version of it is restored to a scratch folder, the
//! on-premises uploads have the files of a disk, and the API delivers the same bytes.
//!
//! Trigger: a monthly schedule, or a person, who may name the seed of an earlier sample. Observe: `source.rs` (the
//! table), `aws.rs` (the buckets), `api.rs`; the course: `course.rs`, one attachment: `one.rs`; decide: `rules/`;
//! report: `report.rs`. Never starts the application, and writes and deletes only below `restore-test/`. Source: the
//! guide, 2.2.

mod api;
mod aws;
mod course;
mod error;
mod event;
mod one;
mod report;
mod rules;
mod source;
mod text;

use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::Value;
use shared::application::Application;
use shared::database::Database;
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;

use aws::Bucket;
pub use error::TestError;
use event::Trigger;
pub use report::Report;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "attachment-restore-test";

/// Time reserved for removing the copies, the page, the message and the record.
const REPORTING: Duration = Duration::from_secs(60);

/// Time reserved for the page, the message and the record.
const TELLING: Duration = Duration::from_secs(30);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    secrets: aws_sdk_secretsmanager::Client,
    database: Database,
    /// Name of the secret with the database's URL.
    database_secret: Option<String>,
    /// The application's attachments.
    attachments: Bucket,
    /// What the on-premises installations send.
    uploads: Bucket,
    /// ARN of the key that encrypts attachments.
    kms_key: Option<String>,
    /// The application; none if the stack does not name its URL.
    application: Option<Application>,
    /// Name of the secret with the account for smoke tests.
    account: Option<String>,
}

impl App {
    /// Reads the settings and creates the clients: those of [`Base`] and [`Database`], and `ATTACHMENTS_BUCKET`,
    /// `UPLOADS_BUCKET`, `APP_KMS_KEY_ARN`, `DATABASE_SECRET_NAME`, `APP_URL` and `SMOKE_SECRET_NAME`, which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let application = Application::from_env(env)?;
        let base = Base::new(PROCEDURE, env, aws)?;
        let client = aws_sdk_s3::Client::new(aws);
        let named = |given: Option<String>, name: &str| {
            given.unwrap_or_else(|| format!("{}-{}-{name}", base.settings.project, base.settings.environment))
        };
        Ok(Self {
            secrets: aws_sdk_secretsmanager::Client::new(aws),
            database: Database::from_env(PROCEDURE, env)?,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            attachments: Bucket::new(
                client.clone(),
                named(env.optional("ATTACHMENTS_BUCKET")?, "attachments"),
            ),
            uploads: Bucket::new(client, named(env.optional("UPLOADS_BUCKET")?, "uploads")),
            kms_key: env.optional("APP_KMS_KEY_ARN")?,
            application,
            account: env.optional("SMOKE_SECRET_NAME")?,
            base,
        })
    }

    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`TestError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), TestError> {
    Trigger::try_from(event)?;
    Ok(())
}

/// One run: choose, test, remove the copies, page, report. A run that is already reported is not repeated, and one that
/// stopped goes on.
///
/// # Errors
///
/// [`TestError`]; Lambda then tries twice more before the event goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Report, TestError> {
    let trigger = Trigger::try_from(event)?;
    let run = trigger.run(&invocation.request_id, invocation.now);
    tracing::Span::current().record("run_id", run.id.as_str());
    tracing::info!(message = "invoked", trigger = trigger.word(), seed = run.seed);
    let begun = app.base.reporter.look(&run.id).await;
    if begun.is_recorded() && !begun.was_left_open() {
        course::sweep(app, &run, invocation).await?;
        return Ok(Report::already(run));
    }
    match course::course(app, &run, trigger.continues(), invocation).await {
        Ok(tested) if tested.goes_on => {
            // Lambda's retry goes on and reports. A person's run has none, so damage calls for help now.
            report::page_early(app, &run, &tested.progress, invocation).await;
            Err(TestError::NotFinished(run.id))
        }
        Ok(tested) => report::report(app, &trigger, &run, tested, begun, invocation).await,
        Err(error @ TestError::NoSuchRun(_)) => Err(error),
        Err(error) => {
            tracing::warn!(message = "the run failed", error_type = error.kind());
            report::report_failed(app, &trigger, &run, &error, invocation).await;
            Err(error)
        }
    }
}
