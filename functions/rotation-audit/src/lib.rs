//! Answers every day: is each secret of this environment within its policy age, and is its rotation healthy?
//!
//! Trigger: a schedule, or a person; what the event holds is ignored. Reads: `aws.rs`. Decisions: `policy.rs` and
//! `resource_policy.rs`. Then it pages (SNS), keeps the tasks on the board (`tasks.rs`, `github.rs`), tells the channel what
//! changed and writes the day's evidence. Any of it may fail without hiding what was found. Source: the guide, 3.1 and 3.2.

mod aws;
mod error;
mod github;
mod policy;
mod resource_policy;
mod tasks;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::audit::findings::{self, Changes};
use shared::audit::first_week::{FirstWeek, Held, Quiet};
use shared::aws::listing;
use shared::aws::scope::{self, Mark, Scope};
use shared::aws::secrets;
use shared::aws::versions;
use shared::github::Repository;
use shared::run::evidence::{Draft, Step};
use shared::run::ledger;
use shared::run::paging::Pager;
use shared::run::report::Reporter;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::{self, Invocation};
use shared::runtime::settings::Settings;
use shared::runtime::time;

pub use error::AuditError;
use error::BoardError;
use github::Board;
use policy::{Facts, Finding, Secret};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotation-audit";

/// Time kept back from reading, for pages, tasks and report.
const ACTING: Duration = Duration::from_secs(150);

/// Time kept back from pages and tasks, for the report, which looks at the evidence twice.
const REPORTING: Duration = Duration::from_secs(75);

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    settings: Settings,
    secrets: aws_sdk_secretsmanager::Client,
    rds: aws_sdk_rds::Client,
    pager: Pager,
    /// The board, and the name of the secret with its token; none when tasks are not wanted.
    board: Option<(Repository, String)>,
    reporter: Reporter,
    scope: Scope,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`], [`Pager`] and [`Scope`], and
    /// `GITHUB_REPOSITORY`, which may be empty. With a repository, `GITHUB_SECRET_NAME` and `GITHUB_API_URL` are needed.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let reporter = Reporter::of_audit(PROCEDURE, &settings, env, aws)?;
        let repository: Option<String> = env.optional("GITHUB_REPOSITORY")?;
        let board = match repository {
            None => None,
            Some(repository) => {
                let api: Endpoint = env.required("GITHUB_API_URL")?;
                let board = Repository::new(api, repository, github::SETUP)
                    .map_err(|reason| EnvError::Invalid { name: "GITHUB_API_URL", reason })?;
                Some((board, env.required("GITHUB_SECRET_NAME")?))
            }
        };
        let patient = lambda::patient(aws);
        Ok(Self {
            settings,
            secrets: shared::patient!(aws_sdk_secretsmanager, &patient),
            rds: shared::patient!(aws_sdk_rds, &patient),
            pager: Pager::new(env, aws)?,
            board,
            reporter,
            scope: Scope::from_env(env)?,
        })
    }
}

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day in São Paulo.
    pub run_id: String,
    /// `succeeded` when everything was seen, nothing is overdue, late or stuck, no other account can use a secret, and all that
    /// this product rotates has rotation on.
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
    /// Whole days since the current value was made, if that was seen.
    pub age_days: Option<i64>,
    /// Greatest age, if the policy knows the secret.
    pub max_age_days: Option<u16>,
    /// The RDS instance on which the login is by IAM, which has no password to rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_login: Option<String>,
    /// Kinds of what is wrong, worst first.
    pub findings: Vec<&'static str>,
}

/// Audits once: observe, decide, page, keep the tasks, report.
///
/// # Errors
///
/// [`AuditError`]; Lambda then tries twice more, and the dead-letter queue stands behind.
pub async fn handle(app: &App, _: Value, invocation: &Invocation) -> Result<Report, AuditError> {
    let run_id = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", run_id.as_str());
    let seen = invocation.before_deadline(ACTING, observe(app)).await;
    match seen.map_err(AuditError::from).and_then(|seen| seen) {
        Ok(secrets) => act(app, run_id, decide(app, secrets, invocation.now), invocation).await,
        Err(error) => {
            report_failed(app, &run_id, &error, invocation).await;
            Err(error)
        }
    }
}

/// This environment's secrets: those that template or policy name, those with its tags or a name of its convention, and those
/// whose tags contradict such a name.
async fn observe(app: &App) -> Result<Vec<Secret>, AuditError> {
    let policy = &app.settings.policy;
    let mut named = app.scope.named(&policy.rotation);
    let mut secrets = Vec::new();
    for listed in listing::secrets(&app.secrets).await? {
        let mark = if named.remove(listed.name.as_str()) {
            Mark::Tagged
        } else {
            let Some(mark) = scope::mark(&app.settings, &listed.name, &listed.tags) else { continue };
            mark
        };
        let (name, standard) = (listed.name.clone(), policy::standard(policy, app.scope.key(&listed.name)));
        let is_anothers = matches!(mark, Mark::Contradicted { is_here: false, .. });
        let (made, resource_policy, takes_iam) = if is_anothers {
            (Ok(BTreeMap::new()), Ok(None), None)
        } else {
            let made = versions::made(&app.secrets, &listed.arn).await;
            let resource_policy = aws::resource_policy(&app.secrets, &listed.arn).await;
            let takes_iam = match &standard.iam_login {
                Some(instance) => Some(aws::takes_iam(&app.rds, instance).await),
                None => None,
            };
            (made, resource_policy, takes_iam)
        };
        let facts = Facts { listed, mark, made, value_made: Ok(None), resource_policy, takes_iam };
        secrets.push(Secret { name, standard, facts: Some(facts) });
    }
    date_values(app, &mut secrets).await;
    secrets.extend(named.into_iter().map(|name| Secret {
        name: name.to_owned(),
        standard: policy::standard(policy, app.scope.key(name)),
        facts: None,
    }));
    Ok(secrets)
}

/// Takes from the ledger when a value was first made that is in a version which no rotation made: the follow-up, which may read
/// such values, has compared them.
async fn date_values(app: &App, secrets: &mut [Secret]) {
    let is_asked = |secret: &Secret| {
        secret.standard.rotator.is_some() && secret.facts.as_ref().is_some_and(Facts::is_by_hand)
    };
    if !secrets.iter().any(is_asked) {
        return;
    }
    let evidence = &app.reporter.evidence;
    let rows = ledger::rows(&evidence.client, &evidence.bucket).await;
    let rows =
        rows.map_err(|call| chain(&call)).and_then(|rows| rows.map_err(|why| format!("ledger: {why}")));
    for secret in secrets.iter_mut().filter(|secret| is_asked(secret)) {
        let Some(facts) = &mut secret.facts else { continue };
        let current = facts.listed.labelled("AWSCURRENT");
        let is_of = |row: &&ledger::Row| row.arn == facts.listed.arn && Some(row.version.as_str()) == current;
        facts.value_made = match &rows {
            Ok(rows) => Ok(rows.iter().find(is_of).and_then(|row| row.value_made)),
            Err(why) => Err(why.clone()),
        };
    }
}

/// What is wrong with each secret; the worst secret first.
fn decide(app: &App, secrets: Vec<Secret>, now: Timestamp) -> Vec<(Secret, Vec<Finding>)> {
    let audit = &app.settings.policy.rotation.audit;
    let mut decided: Vec<_> = secrets
        .into_iter()
        .map(|secret| {
            let found = policy::findings(&secret, audit, now);
            (secret, found)
        })
        .collect();
    let severity = |found: &[Finding]| {
        let rank = |finding: &Finding| {
            1 + u8::from(finding.fails()) + u8::from(finding.pages()) + u8::from(finding.is_critical())
        };
        found.iter().map(rank).max()
    };
    decided.sort_by_key(|(secret, found)| (std::cmp::Reverse(severity(found)), secret.name.clone()));
    for (secret, found) in &decided {
        for finding in found {
            tracing::info!(
                message = text::line(secret, finding, now),
                secret.name = secret.name,
                finding = finding.kind()
            );
        }
    }
    decided
}

async fn act(
    app: &App,
    run_id: String,
    secrets: Vec<(Secret, Vec<Finding>)>,
    invocation: &Invocation,
) -> Result<Report, AuditError> {
    let mut steps = vec![Step::now(format!("look at {} secrets", secrets.len()), "succeeded")];
    for (secret, _) in &secrets {
        // Only the database knows the role's memberships, and the audit has no login.
        steps.extend(secret.iam_login().map(|instance| {
            let said = format!("RDS takes it on {instance}; membership in rds_iam is the policy's word");
            Step::now(format!("login by IAM: {}", secret.name), said)
        }));
    }
    let all = secrets.iter().flat_map(|(secret, found)| found.iter().map(move |finding| (secret, finding)));
    let week = FirstWeek::of(app.reporter.began().await, invocation.now);
    let (paging, held): (Vec<_>, Vec<_>) = all
        .filter(|(_, finding)| finding.pages())
        .partition(|(_, finding)| week.is_none() || finding.is_critical());
    let pages = text::pages(&app.settings, &paging, invocation.now);
    let held = Held {
        pages: text::pages(&app.settings, &held, invocation.now).len(),
        tasks: if week.is_some() && app.board.is_some() { tasks::tasks(&secrets).len() } else { 0 },
    };
    steps.extend(week.map(|week| {
        let said = format!("{} pages and {} tasks held back until {}", held.pages, held.tasks, week.until);
        Step::now("first week", said)
    }));
    let paged = app.pager.all(&app.reporter, &run_id, pages, REPORTING, invocation).await;
    steps.extend(paged.steps);
    let tasks = keep_tasks(app, &secrets, week.is_some(), &mut steps, invocation).await;
    let is_green = secrets.iter().flat_map(|(_, found)| found).all(|finding| !finding.fails());
    let result = if is_green { "succeeded" } else { "failed" };
    report(app, &run_id, &secrets, result, steps, &tasks, week.map(|week| (week, held)), invocation).await;
    if paged.failed > 0 {
        return Err(AuditError::PageFailed(paged.failed));
    }
    let rows = secrets.iter().map(|(secret, found)| Row {
        name: secret.name.clone(),
        age_days: secret
            .facts
            .as_ref()
            .and_then(policy::Facts::current_made)
            .map(|made| invocation.now.duration_since(made).as_hours() / 24),
        max_age_days: secret.standard.max_age_days,
        iam_login: secret.iam_login().map(str::to_owned),
        findings: found.iter().map(Finding::kind).collect(),
    });
    Ok(Report {
        run_id,
        result,
        secrets: rows.collect(),
        opened: tasks.opened,
        closed: tasks.closed,
        paged: paged.keys,
    })
}

/// What became of the tasks.
#[derive(Default)]
struct Kept {
    opened: Vec<u64>,
    closed: Vec<u64>,
    /// What the channel is told of them.
    reported: Vec<String>,
    has_failed: bool,
}

/// Opens the tasks that are missing on the board, unless they are `held` back, and closes those that are done.
async fn keep_tasks(
    app: &App,
    secrets: &[(Secret, Vec<Finding>)],
    held: bool,
    steps: &mut Vec<Step>,
    invocation: &Invocation,
) -> Kept {
    let mut kept = Kept::default();
    let Some((repository, token)) = &app.board else { return kept };
    let work = async {
        let token = secrets::value(&app.secrets, token, None).await.map_err(BoardError::Token)?;
        let board = Board(repository.session(&token, invocation)?);
        tasks::settle(&board, &app.reporter.evidence, &app.settings, secrets, held, invocation.now).await
    };
    let settled =
        invocation.before_deadline(REPORTING, work).await.map_err(BoardError::from).and_then(|done| done);
    let outcomes = settled.unwrap_or_else(|error| {
        let wanted: Vec<_> = tasks::tasks(secrets).iter().map(tasks::Task::marker).collect();
        vec![(format!("tasks of the board: {}", wanted.join(" ")), Err(error))]
    });
    let language = app.settings.language;
    let (mut opened, mut failed) = (Vec::new(), Vec::<(String, usize)>::new());
    for (task, outcome) in outcomes {
        let said = match outcome {
            Ok(tasks::Outcome::Opened(number)) => {
                kept.opened.push(number);
                opened.push(format!("#{number}: {task}"));
                format!("opened as #{number}")
            }
            Ok(tasks::Outcome::Closed(number)) => {
                kept.closed.push(number);
                "closed".to_owned()
            }
            Ok(tasks::Outcome::Left) => "left: it was opened before, or another run has it".to_owned(),
            Err(error) => {
                let reason = chain(&error);
                app.reporter.lost("TaskFailures", "TaskFailed", &reason, &task);
                match failed.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, count)) => *count += 1,
                    None => failed.push((reason.clone(), 1)),
                }
                kept.has_failed = true;
                format!("failed: {reason}")
            }
        };
        steps.push(Step::now(format!("task {task}"), said));
    }
    let closed = kept.closed.iter().map(|number| format!("#{number}")).collect();
    kept.reported = text::tasks(opened, closed, &failed, language);
    kept
}

/// The part of the record before that the next one needs.
#[derive(Deserialize)]
struct Before {
    findings: Vec<String>,
}

/// Tells the channel what is new, worse or resolved, once a week everything, and writes the day's record.
#[expect(clippy::too_many_arguments, reason = "all that a report is made of")]
async fn report(
    app: &App,
    run_id: &str,
    secrets: &[(Secret, Vec<Finding>)],
    result: &'static str,
    steps: Vec<Step>,
    tasks: &Kept,
    quiet: Option<(FirstWeek, Held)>,
    invocation: &Invocation,
) {
    let now = invocation.now;
    let begun = app.reporter.look(run_id).await;
    let before = app.reporter.before::<Before>().await;
    let Changes { new, resolved } = match &before {
        Ok(before) => changes(before.as_ref().map_or(&[], |before| before.findings.as_slice()), secrets),
        Err(_) => Changes::default(),
    };
    let is_first = matches!(before, Ok(None)) || begun.was_left_open();
    let is_weekly = quiet.is_none() && now.to_zoned_datetime(time::SAO_PAULO).weekday() == Weekday::Monday;
    let place = format!("s3://{}/evidence/{PROCEDURE}/", app.reporter.evidence.bucket);
    let reported = text::Summary {
        run_id,
        secrets,
        new: &new,
        resolved: &resolved,
        is_weekly,
        tasks: &tasks.reported,
        unread: before.as_ref().err(),
        quiet: quiet.map(|(week, held)| Quiet {
            week,
            held,
            is_summary: week.is_summary(is_first, new.len()),
            place: &place,
        }),
    };
    let has_unknown = before.is_err() && secrets.iter().any(|(_, found)| !found.is_empty());
    let is_silent = new.is_empty()
        && resolved.is_empty()
        && !has_unknown
        && !is_weekly
        && !tasks.has_failed
        && !begun.was_left_open();
    let message = (!is_silent).then(|| text::summary(&app.settings, &reported, now));
    let lines = secrets
        .iter()
        .flat_map(|(secret, found)| found.iter().map(move |finding| text::line(secret, finding, now)));
    let draft = Draft { steps, findings: lines.collect(), ..draft(app, run_id, result, invocation) };
    app.reporter.report(draft, message.as_ref(), begun, invocation).await;
}

/// What is new since the record before, and what is no more. What could not be seen today is not resolved.
fn changes(before: &[String], secrets: &[(Secret, Vec<Finding>)]) -> Changes {
    let all =
        secrets.iter().flat_map(|(secret, found)| found.iter().map(move |each| text::key(secret, each)));
    let unseen: Vec<&str> = secrets
        .iter()
        .filter(|(_, found)| found.iter().any(|finding| matches!(finding, Finding::InsufficientData { .. })))
        .map(|(secret, _)| secret.name.as_str())
        .collect();
    findings::changes(before, &all.collect(), |name| unseen.contains(&name))
}

/// Tells and records, once a day for each cause, that nothing is known today.
async fn report_failed(app: &App, day: &str, error: &AuditError, invocation: &Invocation) {
    let run_id = format!("{day}/{}", error.fingerprint());
    let message =
        text::failed(&app.settings, &run_id, &chain(error), &error.next_step(app.settings.language));
    let begun = app.reporter.look(&run_id).await;
    let draft = Draft {
        steps: vec![Step::now("look at the secrets", format!("failed: {}", error.kind()))],
        findings: vec![format!("{}: {}", error.kind(), chain(error))],
        ..draft(app, &run_id, "failed", invocation)
    };
    app.reporter.report(draft, Some(&message), begun, invocation).await;
}

/// The part of a record that every run has.
fn draft(app: &App, run_id: &str, result: &'static str, invocation: &Invocation) -> Draft {
    Draft {
        trigger: "daily audit".to_owned(),
        subject: format!("secrets of {}-{}", app.settings.project, app.settings.environment),
        ..Draft::of(&app.settings, run_id, result, invocation.now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn secret(name: &str, found: Vec<Finding>) -> (Secret, Vec<Finding>) {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let standard = policy::standard(&policy, name);
        (Secret { name: name.to_owned(), standard, facts: None }, found)
    }

    #[test]
    fn what_could_not_be_seen_is_not_resolved() {
        let before = ["Missing b: y: z", "Overdue c: old"].map(str::to_owned);
        let unseen = || Finding::InsufficientData { why: String::new() };
        let secrets = [secret("a", vec![Finding::Missing]), secret("b", vec![]), secret("c", vec![unseen()])];
        let keys = |keys: BTreeSet<String>| keys.into_iter().collect::<Vec<_>>();
        let Changes { new, resolved } = changes(&before, &secrets);
        assert_eq!(keys(new), ["InsufficientData c", "Missing a"]);
        assert_eq!(keys(resolved), ["Missing b"]);
    }
}
