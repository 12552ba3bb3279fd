//! Checks every day that each secret of this environment is within its maximum age and that its rotation is healthy.
//!
//! Trigger: a schedule, or a person; the event's content is ignored. `shared::audit::course` is the course of a run:
//! `check.rs` reads the secrets (calls: `aws.rs`) and decides (`rules/`), then the run pages, updates the tasks on the
//! board (`board.rs`; `tasks.rs`, `github.rs`) and reports. Source: the guide, 3.1 and 3.2.

mod aws;
mod board;
mod check;
mod error;
mod github;
mod rules;
mod tasks;
mod text;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::audit::course::{self, Acted, Audit, Before, News, Paging};
use shared::audit::findings::{Changes, about_of, changes};
use shared::audit::first_week::{FirstWeek, Held};
use shared::aws::scope::Scope;
use shared::github::Repository;
use shared::run::base::Base;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::chain;
use shared::runtime::lambda::{self, Invocation};

use board::Tasks;
pub use error::AuditError;
use rules::facts::{Facts, Secret};
use rules::finding::Finding;
use rules::task;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotation-audit";

/// Time reserved for pages, tasks and report.
const ACTING: Duration = Duration::from_secs(150);

/// Time reserved for the report, which reads the evidence first.
const REPORTING: Duration = Duration::from_secs(45);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    secrets: aws_sdk_secretsmanager::Client,
    rds: aws_sdk_rds::Client,
    /// The board, and the name of the secret with its token; none if the stack has no board.
    board: Option<(Repository, String)>,
    scope: Scope,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`] and [`Scope`], and `GITHUB_REPOSITORY`, which may be
    /// empty. With a repository, `GITHUB_SECRET_NAME` and `GITHUB_API_URL` are needed.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::of_audit(PROCEDURE, env, aws)?;
        let patient = lambda::patient(aws);
        Ok(Self {
            base,
            secrets: shared::patient!(aws_sdk_secretsmanager, &patient),
            rds: shared::patient!(aws_sdk_rds, &patient),
            board: Repository::optional(env, github::SETUP)?,
            scope: Scope::from_env(env)?,
        })
    }
}

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day in São Paulo.
    pub run_id: String,
    /// `succeeded` if all facts were read, no secret is overdue, late or stuck, no other account can use a secret, and
    /// rotation is on for every secret that this product rotates.
    pub result: &'static str,
    /// Every secret of this environment.
    pub secrets: Vec<Row>,
    /// Issues that were opened.
    pub opened: Vec<u64>,
    /// Issues that were closed.
    pub closed: Vec<u64>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// One secret of the answer.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name.
    pub name: String,
    /// Whole days since the current value was made, if known.
    pub age_days: Option<i64>,
    /// Maximum age, if the policy has the secret.
    pub max_age_days: Option<u16>,
    /// The RDS instance with an IAM login, which has no password to rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_login: Option<String>,
    /// Kinds of its findings, worst first.
    pub findings: Vec<&'static str>,
}

/// Audits once.
///
/// # Errors
///
/// [`AuditError`]; Lambda then tries twice more before the event goes to the dead-letter queue.
pub async fn handle(app: &App, _: Value, invocation: &Invocation) -> Result<Report, AuditError> {
    let run = course::run(app, "daily audit", invocation).await?;
    let rows = run.outcome.0.iter().map(|(secret, found)| Row {
        name: secret.name.clone(),
        age_days: secret
            .facts
            .as_ref()
            .and_then(Facts::current_made)
            .map(|made| invocation.now.duration_since(made).as_hours() / 24),
        max_age_days: secret.standard.max_age_days,
        iam_login: secret.iam_login().map(str::to_owned),
        findings: found.iter().map(Finding::kind).collect(),
    });
    Ok(Report {
        secrets: rows.collect(),
        run_id: run.run_id,
        result: run.result,
        opened: run.done.opened,
        closed: run.done.closed,
        paged: run.paged,
    })
}

/// The secrets with their findings, the worst first.
pub struct Checked(Vec<(Secret, Vec<Finding>)>);

/// Each finding with its secret.
fn findings(secrets: &[(Secret, Vec<Finding>)]) -> impl Iterator<Item = (&Secret, &Finding)> {
    secrets.iter().flat_map(|(secret, found)| found.iter().map(move |finding| (secret, finding)))
}

fn is_unseen(secrets: &[(Secret, Vec<Finding>)], key: &str) -> bool {
    let is_unseen = |finding: &Finding| matches!(finding, Finding::InsufficientData { .. });
    findings(secrets).any(|(secret, finding)| secret.name == about_of(key) && is_unseen(finding))
}

impl Audit for App {
    type Outcome = Checked;
    type Done = Tasks;
    type Error = AuditError;

    const REPORTING: Duration = REPORTING;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Checked, Vec<Step>), AuditError> {
        let seen = invocation.before_deadline(ACTING, check::observe(self)).await??;
        let secrets = check::decide(self, seen, invocation.now);
        let steps = check::steps(&secrets);
        Ok((Checked(secrets), steps))
    }

    fn subject(&self) -> String {
        format!("secrets of {}-{}", self.base.settings.project, self.base.settings.environment)
    }

    fn lines(&self, Checked(secrets): &Checked, now: Timestamp) -> Vec<String> {
        findings(secrets).map(|(secret, finding)| text::line(secret, finding, now)).collect()
    }

    fn changes(&self, Checked(secrets): &Checked, last: &[String], keys: &BTreeSet<String>) -> Changes {
        changes(last, keys, |key| is_unseen(secrets, key))
    }

    fn passes(&self, Checked(secrets): &Checked) -> bool {
        findings(secrets).all(|(_, finding)| !finding.fails())
    }

    fn pages(
        &self,
        Checked(secrets): &Checked,
        _: &Before,
        week: Option<FirstWeek>,
        now: Timestamp,
    ) -> Paging {
        let (paging, held): (Vec<_>, Vec<_>) = findings(secrets)
            .filter(|(_, finding)| finding.pages())
            .partition(|(_, finding)| week.is_none() || finding.is_critical());
        let held = Held {
            pages: text::pages(&self.base.settings, &held, now).len(),
            tasks: if week.is_some() && self.board.is_some() { task::tasks(secrets).len() } else { 0 },
        };
        let pages = text::pages(&self.base.settings, &paging, now);
        Paging { pages, held, step: week.map(|week| week.step(held)) }
    }

    async fn act(
        &self,
        Checked(secrets): &Checked,
        week: Option<FirstWeek>,
        invocation: &Invocation,
    ) -> Acted<Tasks> {
        board::settle(self, secrets, week.is_some(), invocation).await
    }

    fn place(&self, _: &Tasks) -> String {
        format!("s3://{}/evidence/{PROCEDURE}/", self.base.reporter.documents.bucket)
    }

    fn summary(&self, Checked(secrets): &Checked, news: &News<'_>, tasks: &Tasks, now: Timestamp) -> Message {
        text::summary(&self.base.settings, secrets, news, &tasks.lines, now)
    }

    fn failed(&self, run_id: &str, error: &AuditError) -> Message {
        let settings = &self.base.settings;
        text::failed(settings, run_id, &chain(error), &error.next_step(settings.language))
    }

    fn not_paged(count: usize) -> AuditError {
        AuditError::PageFailed(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::policy;

    #[test]
    fn an_unseen_secret_resolves_nothing() {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let secret = |name: &str, found: Vec<Finding>| {
            (Secret { name: name.to_owned(), standard: policy::standard(&policy, name), facts: None }, found)
        };
        let unseen = Finding::InsufficientData { why: String::new() };
        let secrets = [secret("a", vec![Finding::Missing]), secret("b", vec![]), secret("c", vec![unseen])];
        for (key, expected) in [("Missing a", false), ("Missing b", false), ("Overdue c", true)] {
            assert_eq!(is_unseen(&secrets, key), expected, "{key}");
        }
    }
}
