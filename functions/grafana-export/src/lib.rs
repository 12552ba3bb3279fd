//! Exports dashboards and alerting of Grafana with each release and every day, and proves that the export can be restored.
//!
//! Trigger: an event of EventBridge with a release; a pipeline; a daily schedule; a person. Source: the guide, 2.3.
//! `export.rs` reads Grafana (`grafana/read.rs`), without what changes by itself and without secrets (`rules/`), stores the
//! export in the evidence bucket, proposes its files in a pull request, and has it restored beside what is there and compared
//! (`check.rs`, `grafana/restore.rs`). `audit.rs` is its place in the audits' course. The note `shared::run::grafana` tells
//! `backup-audit` and the governance page when that was.
//!
//! Asked to explain (`explain.rs`), it only reads, and answers what is left out because it looks like a secret.
//!
//! An export is content-addressed and a pull request acts on what is there, so a run that dies is done again.

mod audit;
mod check;
mod error;
mod event;
mod explain;
mod export;
mod grafana;
mod rules;
mod text;

use aws_config::SdkConfig;
use serde::Serialize;
use serde_json::Value;
use shared::audit::course;
use shared::aws::secrets;
use shared::github::{self, Repository, Setup};
use shared::grafana::{Grafana, Session};
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::{self, Invocation};

use audit::Run;
pub use error::ExportError;
use event::Event;
pub use explain::{Explained, Suspected};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = shared::run::grafana::PROCEDURE;

/// The template's parameters for the repository.
const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permissions Contents and Pull requests: read and write",
};

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    secrets: aws_sdk_secretsmanager::Client,
    /// The Grafana and the name of its token's secret; none if the stack has none.
    grafana: Option<(Grafana, String)>,
    /// The repository for pull requests; none if the stack has none.
    place: Option<Place>,
}

/// A folder of a repository.
struct Place {
    repository: Repository,
    /// Name of the secret with its token.
    token: String,
    folder: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`], and `GRAFANA_URL`, which may be empty. With it,
    /// `GRAFANA_SECRET_NAME` is needed, and `GRAFANA_EXPORT_PATH` may be set, which needs `GITHUB_REPOSITORY`,
    /// `GITHUB_SECRET_NAME` and `GITHUB_API_URL`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let address: Option<Endpoint> = env.optional("GRAFANA_URL")?;
        let grafana = match address {
            None => None,
            Some(address) => {
                let grafana = Grafana::new(address)
                    .map_err(|reason| EnvError::Invalid { name: "GRAFANA_URL", reason })?;
                Some((grafana, env.required("GRAFANA_SECRET_NAME")?))
            }
        };
        let place = match env.optional("GRAFANA_EXPORT_PATH")?.filter(|_: &String| grafana.is_some()) {
            None => None,
            Some(folder) => {
                let (repository, token) = Repository::from_env(env, SETUP)?;
                Some(Place { repository, token, folder })
            }
        };
        Ok(Self {
            base: Base::of_audit(PROCEDURE, env, aws)?,
            secrets: shared::patient!(aws_sdk_secretsmanager, &lambda::patient(aws)),
            grafana,
            place,
        })
    }

    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }

    /// Opens a session with Grafana.
    async fn session(&self) -> Result<Session<'_>, ExportError> {
        let (grafana, secret) = self.grafana.as_ref().ok_or(ExportError::NotConfigured)?;
        let token = secrets::value(&self.secrets, secret, None).await.map_err(ExportError::Token)?;
        Ok(grafana.session(&token)?)
    }
}

impl Place {
    /// Opens a session with the repository.
    async fn session<'a>(
        &'a self,
        app: &App,
        invocation: &'a Invocation,
    ) -> Result<github::Session<'a>, String> {
        let token =
            secrets::value(&app.secrets, &self.token, None).await.map_err(|error| error.to_string())?;
        self.repository.session(&token, invocation).map_err(|error| error.to_string())
    }
}

/// The answer.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of an export.
    Exported(Box<Report>),
    /// The answer to a question about what is left out.
    Explained(Explained),
}

/// What an export found and did.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Identifies the run.
    pub run_id: String,
    /// `succeeded` if everything was exported and proposed, and nothing speaks against the last restore check.
    pub result: &'static str,
    /// Grafana's version.
    pub grafana: String,
    /// Key of the export in the evidence bucket.
    pub export: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The release that the export is kept for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Number of dashboards.
    pub dashboards: usize,
    /// Number of groups of alert rules.
    pub rule_groups: usize,
    /// Files that are new, changed, or gone since the last export.
    pub changes: [usize; 3],
    /// The open pull request with the export's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// The restore check: `passed`, `failed`, `not_made`, or `not_due` since the last one passed for the same export.
    pub check: &'static str,
    /// Findings: kind and what it is about, the worst first.
    pub findings: Vec<String>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`ExportError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), ExportError> {
    Event::read(event)?;
    Ok(())
}

/// Handles one event.
///
/// # Errors
///
/// [`ExportError`]; Lambda then tries an asynchronous event twice more before it goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, ExportError> {
    let event = Event::read(event)?;
    if app.grafana.is_none() {
        return Err(ExportError::NotConfigured);
    }
    if event.explain {
        return Ok(Answer::Explained(Box::pin(explain::explain(app, invocation)).await?));
    }
    let trigger = event.trigger();
    let run = Box::pin(course::run(&Run::new(app, event), &trigger, invocation)).await?;
    let report = Report { run_id: run.run_id, result: run.result, paged: run.paged, ..run.outcome.report };
    Ok(Answer::Exported(Box::new(report)))
}
