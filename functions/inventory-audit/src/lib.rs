//! Answers every week: does each critical service exist, with its tags, in Terraform and with people who answer for it,
//! and what else does the project have?
//!
//! Trigger: a schedule, or a person; what the event holds is ignored, unless it says that the policy has changed, or asks to look for
//! that (`{"policy": true}`, daily): then only changes of the policy are recorded (`changes.rs`). Reads: `aws.rs`; the Terraform state: `state.rs`.
//! Decisions: `policy.rs`. Then it pages (SNS) what is gone, writes the table (`table.rs`), tells the channel what changed,
//! and leaves a record. What could not be seen is said as such and never taken for good. Source: the guide, 1.

mod aws;
mod changes;
mod error;
mod policy;
mod settings;
mod state;
mod table;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_config::SdkConfig;
use futures_util::join;
use futures_util::stream::{self, StreamExt};
use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::audit::findings::{self, Changes};
use shared::audit::first_week::{FirstWeek, Held, Quiet};
use shared::aws::scope::Scope;
use shared::policy::Kind;
use shared::run::evidence::{Draft, Step};
use shared::run::paging::Pager;
use shared::run::report::{Reporter, Unread};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::chain;
use shared::runtime::lambda::{Invocation, patient};
use shared::runtime::settings::Settings;
use shared::runtime::time;

use aws::Clients;
pub use error::AuditError;
use policy::{Problem, Row, Sight, Stack, State, Tagged};
use state::Managed;
use table::Table;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "inventory-audit";

/// Time kept back from looking, for pages, table and report.
const ACTING: Duration = Duration::from_secs(135);

/// Time kept back from pages and table, for the report, which looks at the evidence first.
const REPORTING: Duration = Duration::from_secs(45);

/// Most resources that are looked at at once.
const AT_ONCE: usize = 8;

/// Name under which the table's rows are kept.
const TABLE: &str = "inventory";

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    settings: Settings,
    clients: Clients,
    pager: Pager,
    reporter: Reporter,
    scope: Scope,
    /// Changes of the policy.
    changes: changes::Changes,
    /// Bucket of the Terraform state.
    state_bucket: Option<String>,
    /// Keys in it, with commas between them; one that ends in `/` is a prefix.
    state_keys: Vec<String>,
    /// ARN of this product's own stack.
    own: String,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`], [`Pager`] and [`Scope`], `STACK_ID`, and
    /// `TERRAFORM_STATE_BUCKET` and `TERRAFORM_STATE_KEY`, which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let own: String = env.required("STACK_ID")?;
        let account = own.split(':').nth(4).unwrap_or_default().to_owned();
        let keys: Option<String> = env.optional("TERRAFORM_STATE_KEY")?;
        let keys = keys.unwrap_or_default();
        let keys: BTreeSet<&str> = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
        Ok(Self {
            clients: Clients::new(&patient(aws), account),
            pager: Pager::new(env, aws)?,
            reporter: Reporter::of_audit(PROCEDURE, &settings, env, aws)?,
            scope: Scope::from_env(env)?,
            changes: changes::Changes::new(&settings, env, aws)?,
            state_bucket: env.optional("TERRAFORM_STATE_BUCKET")?,
            state_keys: keys.into_iter().map(str::to_owned).collect(),
            own,
            settings,
        })
    }

    fn stack(&self) -> Stack<'_> {
        Stack {
            policy: &self.settings.policy,
            project: &self.settings.project,
            environment: &self.settings.environment,
            own: &self.own,
        }
    }
}

/// The audit's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day in São Paulo, and what was found.
    pub run_id: String,
    /// `succeeded` when everything was seen and nothing is wrong.
    pub result: &'static str,
    /// What the inventory holds, and what is wrong with anything else; worst first.
    pub resources: Vec<Answer>,
    /// How many others of the project there are, with which nothing is wrong.
    pub others: usize,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

impl Report {
    /// Of a run that recorded changes of the policy, by their versions, and looked at nothing else.
    fn of_changes(run_id: String) -> Self {
        Self { run_id, result: "succeeded", resources: Vec::new(), others: 0, paged: Vec::new() }
    }
}

/// One thing of the answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Its area of the inventory.
    pub area: Option<&'static str>,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `ok`, `finding`, `unverified`, or empty where it is not asked.
    pub exists: &'static str,
    /// The same for its tags.
    pub tags: &'static str,
    /// The same for the Terraform state.
    pub terraform: &'static str,
    /// The same for the settings that the state holds.
    pub settings: &'static str,
    /// Kinds of what is wrong, worst first.
    pub findings: Vec<&'static str>,
}

/// Audits once: observe, decide, page, report.
///
/// # Errors
///
/// [`AuditError`]; Lambda then tries twice more, and the dead-letter queue stands behind.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Report, AuditError> {
    let changed = app.changes.record(&app.settings, invocation);
    let changed = invocation.before_deadline(ACTING, changed).await;
    if changes::is_one(&event) {
        let recorded = changed??;
        return Ok(Report::of_changes(recorded.join(" ")));
    }
    let (rows, mut steps) = observe_and_decide(app, invocation).await;
    let changed = changed.map_err(|late| chain(&late));
    let changed = changed.and_then(|recorded| recorded.map_err(|error| chain(&error)));
    let has_looked = changed.is_ok();
    let said = match changed {
        Ok(recorded) => format!("{} recorded", recorded.len()),
        Err(reason) => format!("failed: {reason}"),
    };
    steps.push(Step::now("look at changes of the policy", said));
    let day = time::local_date(invocation.now);
    let keys: BTreeSet<String> = problems(&rows).map(|(row, problem)| row.key(problem)).collect();
    let before = app.reporter.before::<Before>().await;
    let known = before.as_ref().ok().and_then(Option::as_ref);
    let run_id = run_id(&day, known, &keys);
    tracing::Span::current().record("run_id", run_id.as_str());
    for (row, problem) in problems(&rows) {
        tracing::info!(message = text::line(row, problem), finding = problem.kind());
    }

    let week = FirstWeek::of(app.reporter.began().await, invocation.now);
    let paging = problems(&rows).filter(|(_, problem)| problem.pages());
    let (held, paging): (Vec<_>, Vec<_>) =
        paging.partition(|(row, problem)| week.is_some() && waits(&before, &row.key(problem), problem));
    let held = Held { pages: held.len(), tasks: 0 };
    steps.extend(
        week.map(|week| {
            Step::now("first week", format!("{} pages held back until {}", held.pages, week.until))
        }),
    );
    let pages = paging.into_iter().map(|(row, problem)| text::page(&app.settings, row, problem));
    let paged = app.pager.all(&app.reporter, &day, pages, REPORTING, invocation).await;
    steps.extend(paged.steps);
    show(app, &rows, &mut steps, invocation).await;
    let result = result(keys.is_empty(), has_looked);
    let is_scheduled = event.get("source").is_some_and(|source| source == "aws.scheduler");
    let trigger = if is_scheduled { "weekly audit" } else { "a person's call" };
    let quiet = week.map(|week| (week, held));
    report(app, trigger, &run_id, before, &rows, &keys, result, steps, quiet, invocation).await;
    if paged.failed > 0 {
        return Err(AuditError::PageFailed(paged.failed));
    }
    let is_reported = |row: &&Row| row.area.is_some() || !row.problems.is_empty();
    Ok(Report {
        run_id,
        result,
        others: rows.iter().filter(|row| !is_reported(row)).count(),
        resources: rows.iter().filter(is_reported).map(answer).collect(),
        paged: paged.keys,
    })
}

/// `succeeded` when nothing is wrong, and changes of the policy could be looked at.
fn result(is_clean: bool, has_looked: bool) -> &'static str {
    if is_clean && has_looked { "succeeded" } else { "failed" }
}

fn answer(row: &Row) -> Answer {
    Answer {
        area: row.area.map(|area| area.name()),
        kind: row.kind.clone(),
        name: row.name.clone(),
        exists: row.exists.word(),
        tags: row.tags.word(),
        terraform: row.state.word(),
        settings: row.settings.word(),
        findings: row.problems.iter().map(Problem::kind).collect(),
    }
}

fn problems(rows: &[Row]) -> impl Iterator<Item = (&Row, &Problem)> {
    rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)))
}

/// Looks at everything, each thing by itself and several at once, so that one that cannot be seen or hangs hides no other; with
/// what was looked at.
async fn observe_and_decide(app: &App, invocation: &Invocation) -> (Vec<Row>, Vec<Step>) {
    let stack = app.stack();
    let secrets = app.scope.named(&app.settings.policy.rotation).into_iter();
    let secrets = secrets.map(|name| (name, app.scope.key(name))).collect();
    let wanted = policy::wanted(stack, &secrets, app.state_bucket.as_deref());
    let listed = policy::listed(&wanted);
    let wanted = stream::iter(wanted).map(async |wanted| {
        let sight = look(app, wanted.kind, &wanted.name, invocation).await;
        (wanted, sight)
    });
    let seen = wanted.buffered(AT_ONCE).collect::<Vec<_>>();
    let tagged = tagged(app, &listed, invocation);
    let states = states(app, invocation);
    let (seen, (tagged, said), (mut state, read)) = join!(seen, tagged, states);
    for (arn, name) in policy::unlooked(&state, &seen, &tagged) {
        if let (Sight::Present { arn: found, more, .. }, State::Read { managed, .. }) =
            (look(app, Kind::Secret, &name, invocation).await, &mut state)
            && let Some(rotates) = more.rotates.filter(|_| found == arn)
        {
            managed.note_rotation(&arn, rotates);
        }
    }
    let unseen = seen.iter().filter(|(_, sight)| matches!(sight, Sight::Unseen(_))).count();
    let mut steps =
        vec![Step::now(format!("look at the inventory's {} resources", seen.len()), outcome(unseen))];
    steps.push(Step::now("list what has the project's tag", said));
    steps.extend(read.into_iter().map(|said| Step::now("read the Terraform state", said)));
    (policy::decide(stack, seen, &state, &tagged), steps)
}

async fn look(app: &App, kind: Kind, name: &str, invocation: &Invocation) -> Sight {
    let sight = invocation.before_deadline(ACTING, app.clients.look(kind, name)).await;
    sight.unwrap_or_else(|late| Sight::Unseen(chain(&late)))
}

/// What has the project's tag and is there, and what the record says of it.
async fn tagged(
    app: &App,
    listed: &BTreeSet<(Kind, String)>,
    invocation: &Invocation,
) -> (Result<Vec<Tagged>, String>, String) {
    let (stack, tagged) =
        (app.stack(), invocation.before_deadline(ACTING, app.clients.tagged(&app.settings.project)).await);
    let tagged = tagged.map_err(|late| chain(&late)).and_then(|tagged| tagged.map_err(|error| chain(&error)));
    let count = tagged.as_ref().map(|tagged| format!("{} found", tagged.len()));
    let said = count.unwrap_or_else(|why| format!("failed: {why}"));
    let tagged = match tagged {
        Ok(tagged) => tagged,
        Err(why) => return (Err(why), said),
    };
    let there = stream::iter(tagged).map(async |mut found| {
        if let Some((kind, name)) = policy::unlisted(stack, &found, listed) {
            match look(app, kind, &name, invocation).await {
                Sight::Absent => return None,
                Sight::Present { more, .. } => found.more = more,
                Sight::Unseen(_) | Sight::Elsewhere => {}
            }
        }
        Some(found)
    });
    let there: Vec<_> = there.buffered(AT_ONCE).collect().await;
    (Ok(there.into_iter().flatten().collect()), said)
}

/// What a step says whose things could not all be seen.
fn outcome(unseen: usize) -> String {
    if unseen == 0 { "succeeded".to_owned() } else { format!("failed: {unseen} could not be seen") }
}

/// The Terraform states, and what the record says of each.
async fn states(app: &App, invocation: &Invocation) -> (State, Vec<String>) {
    let Some(bucket) = app.state_bucket.as_deref().filter(|_| !app.state_keys.is_empty()) else {
        return (State::Undeclared, vec!["failed: the stack does not say where it is".to_owned()]);
    };
    // The only state of an environment has the environment's name, several have their keys.
    let only = match app.state_keys.as_slice() {
        [key] if !key.ends_with('/') => {
            Some(format!("{}-{}", app.settings.project, app.settings.environment))
        }
        _ => None,
    };
    let (mut managed, mut unread, mut said) = (Managed::default(), BTreeMap::new(), Vec::new());
    let mut has_read = BTreeSet::new();
    for declared in &app.state_keys {
        let mut failed = |key: &str, why: String, said: &mut Vec<String>| {
            let why = format!("s3://{bucket}/{key}: {why}");
            said.push(format!("failed: {why}"));
            unread.insert(only.clone().unwrap_or_else(|| key.to_owned()), why);
        };
        let listed = invocation.before_deadline(ACTING, app.clients.states(bucket, declared)).await;
        let listed =
            listed.map_err(|late| chain(&late)).and_then(|listed| listed.map_err(|error| chain(&error)));
        let (client, keys) = match listed {
            Ok(listed) => listed,
            Err(why) => {
                failed(declared, why, &mut said);
                continue;
            }
        };
        for key in keys.into_iter().filter(|key| has_read.insert(key.clone())) {
            let read = invocation.before_deadline(ACTING, Clients::state(&client, bucket, &key)).await;
            let read = read.map_err(|late| chain(&late)).and_then(|read| read.map_err(|error| chain(&error)));
            match read {
                Ok((held, which)) => {
                    said.push(format!("s3://{bucket}/{key}: {which}, {} ARNs", held.len()));
                    managed.merge(held);
                }
                Err(why) => failed(&key, why, &mut said),
            }
        }
    }
    (State::Read { managed, unread: unread.into_iter().collect() }, said)
}

/// Writes the table.
async fn show(app: &App, rows: &[Row], steps: &mut Vec<Step>, invocation: &Invocation) {
    let (evidence, table) = (&app.reporter.evidence, Table::of(rows));
    let written = invocation.before_deadline(REPORTING, async {
        evidence.update(TABLE, |kept: &mut Table| kept.clone_from(&table)).await?;
        evidence.show(TABLE, table::KEY, "text/csv; charset=utf-8", Table::csv).await
    });
    let written = written.await.map_err(|late| chain(&late));
    let outcome = match written.and_then(|written| written.map_err(|error| chain(&error))) {
        Ok(()) => "succeeded".to_owned(),
        Err(reason) => {
            app.reporter.lost("EvidenceFailures", "EvidenceFailed", &reason, &table.csv());
            format!("failed: {reason}")
        }
    };
    steps.push(Step::now(format!("write {}", table::KEY), outcome));
}

/// The part of the record before that the next one needs.
#[derive(Deserialize)]
struct Before {
    run_id: String,
    findings: Vec<String>,
}

/// What makes a run one run, over its retries and repetitions: the day, what was recorded before, and what is found. A
/// person who has mended something has a record of it on the same day; one who changed nothing is the same run.
fn run_id(day: &str, before: Option<&Before>, keys: &BTreeSet<String>) -> String {
    if let Some(before) = before.filter(|before| before.run_id.starts_with(&format!("{day}/"))) {
        let recorded: BTreeSet<_> = before.findings.iter().map(|line| findings::key_of(line)).collect();
        if recorded == keys.iter().map(String::as_str).collect() {
            return before.run_id.clone();
        }
    }
    let mut hash = Sha256::new();
    hash.update(before.map_or("", |before| before.run_id.as_str()));
    for key in keys {
        hash.update("\n");
        hash.update(key);
    }
    let hash: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{day}/{hash}")
}

/// Whether a page waits until the first week is over: what is missing in the first audit has mostly another name. What was there
/// and is gone waits for nothing, nor what may have been there.
fn waits(before: &Result<Option<Before>, Unread>, key: &str, problem: &Problem) -> bool {
    let was_so = |before: &Before| before.findings.iter().any(|line| findings::key_of(line) == key);
    let before = before.as_ref().map(Option::as_ref);
    matches!(problem, Problem::Missing { .. }) && before.is_ok_and(|before| before.is_none_or(was_so))
}

/// Tells the channel what is new or resolved, once a week everything, and writes the record.
#[expect(clippy::too_many_arguments, reason = "all that a report is made of")]
async fn report(
    app: &App,
    trigger: &str,
    run_id: &str,
    before: Result<Option<Before>, Unread>,
    rows: &[Row],
    keys: &BTreeSet<String>,
    result: &'static str,
    steps: Vec<Step>,
    quiet: Option<(FirstWeek, Held)>,
    invocation: &Invocation,
) {
    let now = invocation.now;
    let begun = app.reporter.look(run_id).await;
    let changes = match &before {
        Ok(before) => changes(before.as_ref().map_or(&[], |before| before.findings.as_slice()), rows, keys),
        Err(_) => Changes::default(),
    };
    let is_first = matches!(before, Ok(None)) || begun.was_left_open();
    let is_weekly = quiet.is_none() && now.to_zoned_datetime(time::SAO_PAULO).weekday() == Weekday::Monday;
    let has_unknown = before.is_err() && !keys.is_empty();
    let is_silent = changes == Changes::default() && !has_unknown && !is_weekly && !begun.was_left_open();
    let place = format!("s3://{}/{}", app.reporter.evidence.bucket, table::KEY);
    let reported = text::Summary {
        run_id,
        rows,
        changes: &changes,
        is_weekly,
        unread: before.as_ref().err(),
        quiet: quiet.map(|(week, held)| Quiet {
            week,
            held,
            is_summary: week.is_summary(is_first, changes.new.len()),
            place: &place,
        }),
    };
    let message = (!is_silent).then(|| text::summary(&app.settings, &reported));
    let draft = Draft {
        trigger: trigger.to_owned(),
        subject: format!("inventory of {}-{}", app.settings.project, app.settings.environment),
        steps,
        findings: problems(rows).map(|(row, problem)| text::line(row, problem)).collect(),
        ..Draft::of(&app.settings, run_id, result, now)
    };
    app.reporter.report(draft, message.as_ref(), begun, invocation).await;
}

/// What is new since the record before, and what is no more. What could not be seen now is not resolved.
fn changes(before: &[String], rows: &[Row], keys: &BTreeSet<String>) -> Changes {
    let unread = |kind: &str| problems(rows).any(|(_, problem)| problem.kind() == kind);
    let is_blind = unread("StateUndeclared") || unread("StateUnreadable") || unread("ListUnread");
    let unseen: Vec<String> = problems(rows)
        .filter(|(_, problem)| matches!(problem, Problem::InsufficientData { .. }))
        .map(|(row, _)| row.about())
        .collect();
    // A finding about a part of a resource names the part after it.
    let is_of = |about: &str, each: &str| {
        about.strip_prefix(each).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let mut changes = findings::changes(before, keys, |about| unseen.iter().any(|each| is_of(about, each)));
    if is_blind {
        let compared = ["Drift ", "InTwoStates ", "NotInInventory ", "NotInState ", "ValueInState "];
        let is_seen = |key: &String| !compared.iter().any(|kind| key.starts_with(kind));
        changes.resolved.retain(is_seen);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn before(run_id: &str, findings: &[&str]) -> Before {
        Before {
            run_id: run_id.to_owned(),
            findings: findings.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    #[test]
    fn in_the_first_week_only_what_was_there_and_is_gone_pages() {
        let missing = Problem::Missing { is_in_state: None };
        let (empty, known) = (before("x", &[]), before("x", &["Missing a b: gone: long ago"]));
        for (before, problem, expected) in [
            (Ok(None), &missing, true),
            (Ok(Some(known)), &missing, true),
            (Ok(Some(empty)), &missing, false),
            (Err(Unread("S3 did not answer".to_owned())), &missing, false),
            (Ok(None), &Problem::NothingRead, false),
        ] {
            assert_eq!(waits(&before, "Missing a b", problem), expected);
        }
    }

    #[test]
    fn a_run_that_could_not_look_at_the_policys_changes_has_not_succeeded() {
        for (is_clean, has_looked, expected) in [
            (true, true, "succeeded"),
            (true, false, "failed"),
            (false, true, "failed"),
            (false, false, "failed"),
        ] {
            assert_eq!(result(is_clean, has_looked), expected, "{is_clean} {has_looked}");
        }
    }

    #[test]
    fn the_same_findings_of_a_day_are_one_run_and_a_change_is_another() {
        let day = "2026-03-02";
        let (one, two) = (keys(&["Missing a b"]), keys(&["Missing a b", "NotInState c d"]));
        let first = run_id(day, None, &one);
        assert!(first.starts_with("2026-03-02/"), "{first}");
        assert_eq!(run_id(day, None, &one), first);
        let recorded = before(&first, &["Missing a b: text: more"]);
        assert_eq!(run_id(day, Some(&recorded), &one), first);
        let second = run_id(day, Some(&recorded), &two);
        assert_ne!(second, first);
        // Back to what it was: another record, since the newest says something else.
        let changed = before(&second, &["Missing a b: x", "NotInState c d: y"]);
        let third = run_id(day, Some(&changed), &one);
        assert!(third != first && third != second);
        // The next day.
        let next = run_id("2026-03-03", Some(&recorded), &one);
        assert!(next.starts_with("2026-03-03/"), "{next}");
    }

    #[test]
    fn what_could_not_be_compared_is_not_resolved() {
        let lines =
            ["NotInState secret a: x", "Missing secret b: x", "Missing secret c: x"].map(str::to_owned);
        let policy: shared::policy::Policy = "".parse().unwrap();
        let stack = Stack { policy: &policy, project: "moveongs", environment: "dev", own: "own" };
        let wanted = policy::wanted(stack, &[("c", "c")].into_iter().collect(), None);
        let unseen = wanted.into_iter().filter(|each| each.name == "c");
        let unseen = unseen.map(|each| (each, Sight::Unseen(String::new()))).collect();
        let rows = policy::decide(stack, unseen, &State::Undeclared, &Ok(Vec::new()));
        let found: BTreeSet<String> = problems(&rows).map(|(row, problem)| row.key(problem)).collect();
        let changes = changes(&lines, &rows, &found);
        assert_eq!(changes.resolved, keys(&["Missing secret b"]));
        assert_eq!(
            changes.new,
            keys(&[
                "InsufficientData secret c",
                "NothingRead inventory moveongs-dev",
                "StateUndeclared terraform-state moveongs-dev"
            ])
        );
    }
}
