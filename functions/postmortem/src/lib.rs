//! Writes the post-mortem of each incident once it is over, follows it until its actions are done, and measures the incidents
//! of each month.
//!
//! Trigger: a one-time schedule of `incident-clock`; a daily schedule, which finds what that one lost; a person. Source: the
//! guide, 4.3. `begin.rs` writes a document, `person.rs` does what people ask, and a daily run (`daily.rs`) has the course of
//! `shared::audit::course`: it reads (`look.rs`), decides (`rules/`), pages, acts and reports.
//!
//! Two documents in the evidence bucket keep the state: the journal (`rules/journal.rs`) and the text of each post-mortem
//! (`paper.rs`), which a pull request holds where the stack has a repository. A step writes the journal last, so one that dies
//! is done again, and nothing in it takes effect twice.

mod begin;
mod board;
mod daily;
mod error;
mod event;
mod look;
mod measure;
mod paper;
mod person;
mod rules;
mod tell;
mod text;

use aws_config::SdkConfig;
use incident::Incident;
use incident::store::{Channel, Channels, Context};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::audit::course;
use shared::aws::secrets;
use shared::aws::table::Table;
use shared::github::board::BoardError;
use shared::github::{Repository, Session, Setup};
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Refused;
use shared::runtime::lambda::{self, Invocation};

pub use error::PostmortemError;
use event::Event;
use rules::journal::{self, Journal, Postmortem};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "postmortem";

/// The template's parameters for the repository.
const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permissions Issues, Contents and Pull requests: read and write",
};

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    table: Table,
    secrets: aws_sdk_secretsmanager::Client,
    channels: Vec<Channel>,
    /// The repository with the board; none if the stack has none.
    place: Option<Place>,
}

/// A repository.
struct Place {
    repository: Repository,
    /// Name of the secret with its token.
    token: String,
    /// The folder for documents; none if they stay in the bucket.
    folder: Option<String>,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`] and [`Table`], `PAGE_CHANNELS`, and `GITHUB_REPOSITORY`,
    /// which may be empty. With a repository, `GITHUB_SECRET_NAME` and `GITHUB_API_URL` are needed, and `POSTMORTEM_PATH`
    /// may be set.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let channels: Channels = env.required("PAGE_CHANNELS")?;
        let place = match Repository::optional(env, SETUP)? {
            None => None,
            Some((repository, token)) => {
                Some(Place { repository, token, folder: env.optional("POSTMORTEM_PATH")? })
            }
        };
        Ok(Self {
            base: Base::of_audit(PROCEDURE, env, aws)?,
            table: Table::new(env, aws)?,
            secrets: shared::patient!(aws_sdk_secretsmanager, &lambda::patient(aws)),
            channels: channels.0,
            place,
        })
    }

    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }

    fn context(&self, now: Timestamp, attempt: u32) -> Context<'_> {
        self.base.settings.context(&self.channels, now, attempt)
    }

    /// The journal as it is now.
    async fn journal(&self) -> Result<Journal, PostmortemError> {
        Ok(self.documents().get(journal::NAME).await?.unwrap_or_default())
    }

    /// Changes one post-mortem in the journal, and returns what `change` answers; none if the journal does not have it.
    async fn amend<R>(
        &self,
        id: &str,
        change: impl Fn(&mut Postmortem) -> R,
    ) -> Result<Option<R>, PostmortemError> {
        let change = |journal: &mut Journal| journal.postmortems.get_mut(id).map(&change);
        Ok(self.documents().update(journal::NAME, change).await?)
    }

    /// An incident as it is now.
    async fn incident(&self, id: &str) -> Result<Incident, PostmortemError> {
        self.table.incident(id).await?.ok_or_else(|| PostmortemError::NoIncident(id.to_owned()))
    }
}

impl Place {
    /// Opens a session with the repository.
    async fn session<'a>(&'a self, app: &App, invocation: &'a Invocation) -> Result<Session<'a>, BoardError> {
        let token = secrets::value(&app.secrets, &self.token, None).await.map_err(BoardError::Token)?;
        Ok(self.repository.session(&token, invocation)?)
    }
}

/// The answer.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of a daily run.
    Daily(Report),
    /// Of a request about one post-mortem.
    One(One),
    /// Of a person's request that is not done.
    Refused(Refused),
}

/// What a daily run found and did.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The day in São Paulo, and a hash of what was found.
    pub run_id: String,
    /// `succeeded` if everything was read, nothing is overdue, and every document could be begun.
    pub result: &'static str,
    /// Findings: kind and what it is about, the worst first.
    pub findings: Vec<String>,
    /// Incidents whose document was begun.
    pub begun: Vec<String>,
    /// Issues that were opened.
    pub opened: Vec<u64>,
    /// Actions that were found done: incident and number.
    pub done: Vec<String>,
    /// Months whose metrics were written.
    pub months: Vec<String>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// What became of one post-mortem.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct One {
    /// The incident's id.
    pub incident: String,
    /// What was done: `begun`, `begun_again`, `changed`, `unchanged`; nothing yet: `overtaken`, since the incident is open;
    /// nothing at all: `not_needed`.
    pub outcome: &'static str,
    /// Why none is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Who brought it there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The day by which it is to be closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Where the document is in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The pull request with the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// Issues of its actions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<u64>,
}

impl One {
    fn of(app: &App, id: &str, outcome: &'static str, postmortem: &Postmortem) -> Self {
        Self {
            incident: id.to_owned(),
            outcome,
            reason: None,
            state: Some(postmortem.state.name()),
            by: postmortem.changed_by.clone(),
            due: Some(postmortem.due.to_string()),
            document: Some(format!("s3://{}/{}", app.documents().bucket, paper::key(id, "md"))),
            pull_request: postmortem.pull_request,
            issues: postmortem.actions.iter().filter_map(|task| task.issue).collect(),
        }
    }

    fn nothing(id: &str, outcome: &'static str, reason: Option<&'static str>) -> Self {
        Self { incident: id.to_owned(), outcome, reason, ..Self::default() }
    }
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`PostmortemError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), PostmortemError> {
    Event::read(event)?;
    Ok(())
}

/// Handles one event. A person's request that is at fault is answered with [`Refused`].
///
/// # Errors
///
/// [`PostmortemError`]; Lambda then tries an asynchronous event twice more before it goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, PostmortemError> {
    let is_of_a_person = !Event::is_of_the_clock(&event);
    match work(app, event, invocation).await {
        Err(error) if is_of_a_person && error.is_refusal() => Ok(Answer::Refused(Refused::of(&error))),
        answer => answer,
    }
}

/// The parts are on the heap: together their futures are larger than a thread's stack in a debug build.
async fn work(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, PostmortemError> {
    match Event::read(event)? {
        Event::Daily => {
            let run = Box::pin(course::run(app, "daily run", invocation)).await?;
            Ok(Answer::Daily(Report {
                run_id: run.run_id,
                result: run.result,
                findings: run.outcome.keys(),
                paged: run.paged,
                ..run.done.report
            }))
        }
        Event::Document(asked) => Ok(Answer::One(
            Box::pin(begin::begin(app, &asked.incident, asked.by.as_deref(), invocation)).await?,
        )),
        Event::Postmortem(change) => {
            Ok(Answer::One(Box::pin(person::change(app, &change, invocation)).await?))
        }
        Event::Action(act) => Ok(Answer::One(Box::pin(person::act(app, &act, invocation)).await?)),
    }
}
