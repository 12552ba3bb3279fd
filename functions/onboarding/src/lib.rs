//! Follows a new person of the operations team through the checklist, until everything in it is done or seen, and the access of
//! one who leaves, until it is gone.
//!
//! Trigger: a person's request about somebody; a daily schedule. Source: the guide, section 5. `request.rs` does what is asked;
//! a daily run (`daily.rs`) has the course of `shared::audit::course`: it reads (`look.rs`), decides (`rules/`), pages, acts and
//! reports. Tasks ask for access and for its removal (`board.rs`).
//!
//! Personal data is in one document (`rules/person.rs`), in a bucket of its own without versions and locks, so that it can be
//! deleted. Records, messages, pages, tasks and logs name a person by an id that says nothing.

mod aws;
mod board;
mod daily;
mod error;
mod event;
mod look;
mod request;
mod rules;
mod text;

use aws_config::SdkConfig;
use serde::Serialize;
use serde_json::Value;
use shared::audit::course;
use shared::github::{Repository, Setup};
use shared::grafana::Grafana;
use shared::run::base::Base;
use shared::run::documents::Documents;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::Refused;
use shared::runtime::lambda::{self, Invocation};

pub use error::OnboardingError;
use event::Event;
use rules::person::{self, People};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "onboarding";

/// The template's parameters for the board.
const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Issues: read and write",
};

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    /// The document about people.
    people: Documents,
    iam: aws_sdk_iam::Client,
    secrets: aws_sdk_secretsmanager::Client,
    /// Name of the IAM group; none if the stack does not check it.
    group: Option<String>,
    /// Grafana, and the name of the secret with its token; none if the stack has none.
    grafana: Option<(Grafana, String)>,
    /// The board, and the name of the secret with its token; none if the stack has none.
    board: Option<(Repository, String)>,
    /// Name of the secret with `JWT_SECRET`.
    jwt_secret: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`], `PEOPLE_BUCKET`, `JWT_SECRET_NAME`, and `OPS_GROUP_NAME`,
    /// `GRAFANA_URL` and `GITHUB_REPOSITORY`, which may be empty. With an address `GRAFANA_SECRET_NAME` is needed, with a
    /// repository `GITHUB_SECRET_NAME` and `GITHUB_API_URL`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::of_audit(PROCEDURE, env, aws)?;
        let address: Option<Endpoint> = env.optional("GRAFANA_URL")?;
        let grafana = match address {
            None => None,
            Some(address) => {
                let grafana = Grafana::new(address)
                    .map_err(|reason| EnvError::Invalid { name: "GRAFANA_URL", reason })?;
                Some((grafana, env.required("GRAFANA_SECRET_NAME")?))
            }
        };
        let bucket = env.required("PEOPLE_BUCKET")?;
        let patient = lambda::patient(aws);
        Ok(Self {
            people: Documents { bucket, ..base.reporter.documents.clone() },
            base,
            iam: shared::patient!(aws_sdk_iam, &patient),
            secrets: shared::patient!(aws_sdk_secretsmanager, &patient),
            group: env.optional("OPS_GROUP_NAME")?,
            grafana,
            board: Repository::optional(env, SETUP)?,
            jwt_secret: env.required("JWT_SECRET_NAME")?,
        })
    }

    /// The evidence bucket's documents.
    fn documents(&self) -> &Documents {
        &self.base.reporter.documents
    }

    /// The people as they are now.
    async fn people(&self) -> Result<People, OnboardingError> {
        Ok(self.people.get(person::NAME).await?.unwrap_or_default())
    }

    /// Changes the people, and returns what `change` answers.
    async fn amend<R>(&self, change: impl Fn(&mut People) -> R) -> Result<R, OnboardingError> {
        Ok(self.people.update(person::NAME, change).await?)
    }
}

/// The answer.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of a daily run.
    Daily(Report),
    /// Of a request about one person.
    One(Box<One>),
    /// Of a request to list everybody.
    All {
        /// The people, by id.
        people: Vec<One>,
        /// Members of the IAM group who are in nobody's data, and no account of the policy.
        not_listed: Vec<String>,
        /// The policy's accounts that are no person's.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        accounts: Vec<Account>,
    },
    /// Of a person's request that is not done.
    Refused(Refused),
}

/// What a daily run found and did.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The day in São Paulo, and a hash of what was found.
    pub run_id: String,
    /// `succeeded` if the list has people, everything was read, no checklist is overdue, and of people who have left every
    /// login is known and no access was seen.
    pub result: &'static str,
    /// Findings: kind and what it is about, the worst first.
    pub findings: Vec<String>,
    /// Ids of people whose checklist was found complete.
    pub completed: Vec<String>,
    /// Ids of people whose mentor was reminded.
    pub reminded: Vec<String>,
    /// Ids of people whose data was deleted.
    pub forgotten: Vec<String>,
    /// Issues that were opened.
    pub opened: Vec<u64>,
    /// Issues that were closed.
    pub closed: Vec<u64>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// One person. Name, role, mentor and logins appear only in the answer to the caller.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct One {
    /// The person's id.
    pub person: String,
    /// What was done: `begun`, `changed`, `unchanged`, `left`, `forgotten`; `shown` if only this was asked.
    pub outcome: &'static str,
    /// `new`, `complete`, `left` or `forgotten`.
    pub state: &'static str,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the person does in the team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Name of the mentor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mentor: Option<String>,
    /// Name of the IAM user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_user: Option<String>,
    /// Login or e-mail address in Grafana.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grafana_login: Option<String>,
    /// The first day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The last day on which the checklist is in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// When everything was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<String>,
    /// The first day without access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// The day from which the data is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forget_on: Option<String>,
    /// The checklist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemLine>,
    /// The access of a person who leaves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessLine>,
    /// Issues that ask for access, and for its removal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<u64>,
}

/// One item of a checklist.
#[derive(Debug, PartialEq, Serialize)]
pub struct ItemLine {
    /// Its key, as a request names it.
    pub item: String,
    /// `done`, `open` or `unknown`.
    pub state: &'static str,
    /// Who says so: `person`, `mentor`, or `check`, if it was found in IAM or Grafana.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    /// When it was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The record that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What to do, or why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An IAM user that is no person's, says the policy.
#[derive(Debug, PartialEq, Serialize)]
pub struct Account {
    /// Its name.
    pub iam_user: String,
    /// Why, and who keeps it.
    pub reason: String,
    /// `in_group` or `not_in_group`; `unknown` if the group could not be read, `not_checked` if the stack has none.
    pub state: &'static str,
    /// The id of the person whose user it is all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// One kind of access.
#[derive(Debug, PartialEq, Serialize)]
pub struct AccessLine {
    /// `aws_group`, `grafana`, `on_call` or `people`.
    pub place: &'static str,
    /// `remains`, `gone`, `said_none` if a person says that there is no login, `unknown`, `login_unknown`; `not_checked` if the
    /// stack does not have it.
    pub state: &'static str,
    /// What to do, or why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`OnboardingError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), OnboardingError> {
    Event::read(event)?;
    Ok(())
}

/// Handles one event. A person's request that is at fault is answered with [`Refused`].
///
/// # Errors
///
/// [`OnboardingError`]; Lambda then tries an asynchronous event twice more before it goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, OnboardingError> {
    match work(app, event, invocation).await {
        Err(error) if error.is_refusal() => Ok(Answer::Refused(Refused::of(&error))),
        answer => answer,
    }
}

/// The parts are on the heap: together their futures are larger than a thread's stack in a debug build.
async fn work(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, OnboardingError> {
    let one = match Event::read(event)? {
        Event::Daily => {
            let run = Box::pin(course::run(app, "daily run", invocation)).await?;
            return Ok(Answer::Daily(Report {
                run_id: run.run_id,
                result: run.result,
                findings: run.outcome.keys(),
                paged: run.paged,
                ..run.done.report
            }));
        }
        Event::Show(asked) => return Box::pin(request::show(app, asked.person.as_deref(), invocation)).await,
        Event::Start(asked) => Box::pin(request::start(app, &asked, invocation)).await?,
        Event::Acknowledge(asked) => Box::pin(request::acknowledge(app, &asked, invocation)).await?,
        Event::Shadow(asked) => Box::pin(request::shadow(app, &asked, invocation)).await?,
        Event::Change(asked) => Box::pin(request::change(app, &asked, invocation)).await?,
        Event::Leave(asked) => Box::pin(request::leave(app, &asked, invocation)).await?,
        Event::Stay(asked) => Box::pin(request::stay(app, &asked.person, invocation)).await?,
        Event::Forget(asked) => Box::pin(request::forget(app, &asked.person, invocation)).await?,
    };
    Ok(Answer::One(Box::new(one)))
}
