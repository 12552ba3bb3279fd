//! Checks every day that each critical service exists, with its tags, in Terraform and with responsible teams, that a
//! page would reach somebody, and that the repository has the runbooks that alarms name; lists the project's other
//! resources.
//!
//! Trigger: a schedule, or a person. The event's content is ignored, except for a change of the policy or the daily
//! request to check for one (`{"policy": true}`): then the run only records changes of the policy (`changes.rs`).
//! `shared::audit::course` is the course of a run: `check.rs` reads (calls: `aws.rs`; the Terraform state:
//! `rules/state.rs`; runbooks: `runbooks.rs`) and `rules/policy.rs`, `rules/on_call.rs` and `rules/runbook.rs` decide; then the run pages missing resources, writes the table (`show.rs`,
//! `table.rs`) and reports. Source: the guide, 1.

mod answer;
mod aws;
mod changes;
mod check;
mod error;
mod rules;
mod runbooks;
mod show;
mod table;
mod text;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde_json::Value;
use shared::audit::course::{self, Acted, Audit, Before, Last, News, Paging};
use shared::audit::findings::{self, Changes};
use shared::audit::first_week::{FirstWeek, Held};
use shared::aws::scope::Scope;
use shared::run::base::Base;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::chain;
use shared::runtime::lambda::{Invocation, patient};

use answer::answer;
pub use answer::{Answer, Report};
use aws::Clients;
use check::ACTING;
pub use error::AuditError;
use rules::policy::Stack;
use rules::row::{Row, problems};
use rules::{change, compare};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "inventory-audit";

/// Time reserved for the report, which reads the evidence first.
const REPORTING: Duration = Duration::from_secs(45);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    clients: Clients,
    scope: Scope,
    /// Changes of the policy.
    changes: changes::Changes,
    /// Bucket of the Terraform state.
    state_bucket: Option<String>,
    /// Its keys, separated by commas; one that ends in `/` is a prefix.
    state_keys: Vec<String>,
    /// ARN of this product's own stack.
    own: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base`] and [`Scope`], `STACK_ID`, and
    /// `TERRAFORM_STATE_BUCKET` and `TERRAFORM_STATE_KEY`, which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::of_audit(PROCEDURE, env, aws)?;
        let own: String = env.required("STACK_ID")?;
        let account = own.split(':').nth(4).unwrap_or_default().to_owned();
        let keys: Option<String> = env.optional("TERRAFORM_STATE_KEY")?;
        let keys = keys.unwrap_or_default();
        let keys: BTreeSet<&str> = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
        Ok(Self {
            clients: Clients::new(&patient(aws), account),
            scope: Scope::from_env(env)?,
            changes: changes::Changes::new(&base.settings, env, aws)?,
            state_bucket: env.optional("TERRAFORM_STATE_BUCKET")?,
            state_keys: keys.into_iter().map(str::to_owned).collect(),
            own,
            base,
        })
    }

    fn stack(&self) -> Stack<'_> {
        Stack {
            policy: &self.base.settings.policy,
            project: &self.base.settings.project,
            environment: &self.base.settings.environment,
            own: &self.own,
        }
    }
}

/// Whether an event asks to record changes of the policy, and not for an audit.
pub fn is_change(event: &Value) -> bool {
    change::is_one(event)
}

/// Audits once, or records changes of the policy.
///
/// # Errors
///
/// [`AuditError`]; Lambda then tries twice more before the event goes to the dead-letter queue.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Report, AuditError> {
    if is_change(&event) {
        let recorded = app.changes.record(&app.base.settings, invocation);
        return Ok(Report::of_changes(invocation.before_deadline(ACTING, recorded).await??.join(" ")));
    }
    let is_scheduled = event.get("source").is_some_and(|source| source == "aws.scheduler");
    let trigger = if is_scheduled { "daily audit" } else { "a person's call" };
    let run = course::run(app, trigger, invocation).await?;
    let rows = run.outcome.rows;
    let is_shown = |row: &&Row| row.area.is_some() || !row.problems.is_empty();
    Ok(Report {
        run_id: run.run_id,
        result: run.result,
        others: rows.iter().filter(|row| !is_shown(row)).count(),
        resources: rows.iter().filter(is_shown).map(answer).collect(),
        paged: run.paged,
    })
}

/// The rows, worst first.
pub struct Checked {
    rows: Vec<Row>,
    /// Whether changes of the policy could be read.
    has_looked: bool,
}

impl Audit for App {
    type Outcome = Checked;
    type Done = ();
    type Error = AuditError;

    const REPORTING: Duration = REPORTING;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Checked, Vec<Step>), AuditError> {
        let recorded = self.changes.record(&self.base.settings, invocation);
        let recorded = invocation.before_deadline(ACTING, recorded).await.map_err(|late| chain(&late));
        let recorded = recorded.and_then(|recorded| recorded.map_err(|error| chain(&error)));
        let (rows, mut steps) = check::observe_and_decide(self, invocation).await;
        let has_looked = recorded.is_ok();
        let outcome = match recorded {
            Ok(recorded) => format!("{} recorded", recorded.len()),
            Err(reason) => format!("failed: {reason}"),
        };
        steps.push(Step::now("look at changes of the policy", outcome));
        Ok((Checked { rows, has_looked }, steps))
    }

    fn subject(&self) -> String {
        format!("inventory of {}-{}", self.base.settings.project, self.base.settings.environment)
    }

    fn lines(&self, checked: &Checked, _: Timestamp) -> Vec<String> {
        problems(&checked.rows).map(|(row, problem)| text::line(row, problem)).collect()
    }

    fn changes(&self, checked: &Checked, last: &[String], keys: &BTreeSet<String>) -> Changes {
        findings::changes(last, keys, |key| compare::is_unseen(&checked.rows, key))
    }

    fn passes(&self, checked: &Checked) -> bool {
        passes(problems(&checked.rows).next().is_none(), checked.has_looked)
    }

    fn run_id(&self, day: &str, last: Option<&Last>, keys: &BTreeSet<String>) -> String {
        course::run_id(day, last, keys)
    }

    fn pages(&self, checked: &Checked, before: &Before, week: Option<FirstWeek>, _: Timestamp) -> Paging {
        let (held, paging): (Vec<_>, Vec<_>) = problems(&checked.rows)
            .filter(|(_, problem)| problem.pages())
            .partition(|(row, problem)| week.is_some() && compare::waits(before, &row.key(problem), problem));
        let pages = paging.into_iter().map(|(row, problem)| text::page(&self.base.settings, row, problem));
        let held = Held { pages: held.len(), tasks: 0 };
        Paging { pages: pages.collect(), held, step: week.map(|week| week.step(held)) }
    }

    async fn act(&self, checked: &Checked, _: Option<FirstWeek>, invocation: &Invocation) -> Acted<()> {
        let step = show::show(self, &checked.rows, invocation).await;
        Acted { done: (), steps: vec![step], lines: Vec::new(), has_news: false }
    }

    fn place(&self, (): &()) -> String {
        format!("s3://{}/{}", self.base.reporter.documents.bucket, table::KEY)
    }

    fn summary(&self, checked: &Checked, news: &News<'_>, (): &(), _: Timestamp) -> Message {
        text::summary(&self.base.settings, &checked.rows, news)
    }

    fn not_paged(count: usize) -> AuditError {
        AuditError::PageFailed(count)
    }
}

/// Whether there is no finding and changes of the policy could be read.
fn passes(is_clean: bool, has_looked: bool) -> bool {
    is_clean && has_looked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_could_not_look_at_the_policys_changes_has_not_succeeded() {
        for (is_clean, has_looked, expected) in
            [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
        {
            assert_eq!(passes(is_clean, has_looked), expected, "{is_clean} {has_looked}");
        }
    }
}
