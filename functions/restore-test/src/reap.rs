//! The reaper: removes what dead runs left behind, and instances of this test past their deadline; touches nothing else.

use std::collections::BTreeMap;
use std::iter;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::aws::restores;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::rules::case::Case;
use crate::rules::instance::Instance;
use crate::rules::run::Run;
use crate::{App, REPORTING, RestoreError, aws, finish, note, remove, report, restore};

/// How long an instance may take to appear that RDS was asked for.
const APPEARS: SignedDuration = SignedDuration::from_mins(15);

/// The reaper's answer.
#[derive(Debug, Default, Serialize)]
pub struct Reaped {
    /// Instances that it had RDS remove, or that RDS is removing.
    pub removing: Vec<String>,
    /// Those of them past their deadline, which were paged.
    pub outlived: Vec<String>,
    /// Executions that died, of which nothing is left, and which it reported.
    pub reported: Vec<String>,
    /// Executions that it still has to clean up after.
    pub left: Vec<String>,
}

/// The first failure of a round; each is logged. None of them may protect what the round has not looked at yet.
#[derive(Default)]
struct Failures(Option<RestoreError>);

impl Failures {
    fn keep<T>(&mut self, what: &str, done: Result<T, RestoreError>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::error!(message = format!("{what}: {}", chain(&error)));
                self.0.get_or_insert(error);
                None
            }
        }
    }
}

async fn bounded<T>(
    invocation: &Invocation,
    work: impl Future<Output = Result<T, RestoreError>>,
) -> Result<T, RestoreError> {
    invocation.before_deadline(REPORTING, work).await?
}

/// One round. `ended` is an execution that ended without success, with Step Functions' status.
pub(crate) async fn reap(
    app: &App,
    ended: Option<(&str, &str)>,
    invocation: &Invocation,
) -> Result<Reaped, RestoreError> {
    let (now, silent) = (invocation.now, app.policy().silent_minutes);
    let mut failures = Failures::default();
    // First the lists, then the note: a run is noted before its instance exists.
    let mut listed: BTreeMap<&str, Vec<Instance>> = BTreeMap::new();
    for region in iter::once(&app.region).chain(app.away.as_ref().map(|away| &away.region)) {
        let found = bounded(invocation, list(app, region)).await;
        listed.extend(failures.keep(region, found).map(|found| (region.as_str(), found)));
    }
    let dead = note::update(app, |ledger| {
        if let Some((execution, status)) = ended {
            ledger.end(execution, status, now);
        }
        ledger.dead(now, silent)
    });
    let dead = failures.keep("the note of the runs", bounded(invocation, dead).await).unwrap_or_default();
    let mut reaped = Reaped::default();
    for (region, instances) in &listed {
        for instance in instances {
            let of = |run: &&Run| run.region == *region && run.instance == instance.name;
            let run = dead.iter().find(of);
            look(app, region, instance, run, &mut reaped, &mut failures, invocation).await;
        }
    }
    for run in dead {
        let found =
            listed.get(run.region.as_str()).map(|all| all.iter().find(|one| one.name == run.instance));
        let may_appear =
            run.shown.is_none() && run.asked.is_some_and(|asked| now.duration_since(asked) < APPEARS);
        let is_left = match found {
            // Nothing is known of that region.
            None => run.asked.is_some(),
            Some(None) => may_appear,
            Some(Some(instance)) => run.asked.is_some() || restore::is_of(app, &run, instance),
        };
        if is_left {
            failures.keep(&run.execution, app.rds_of(&run.region));
            reaped.left.push(run.execution);
            continue;
        }
        if failures.keep(&run.execution, close(app, run.clone(), invocation).await).is_some() {
            reaped.reported.push(run.execution);
        } else {
            reaped.left.push(run.execution);
        }
    }
    failures.0.map_or(Ok(reaped), Err)
}

/// The instances of a region with the prefix of this test's, whoever made them.
async fn list(app: &App, region: &str) -> Result<Vec<Instance>, RestoreError> {
    aws::instances(app.rds_of(region)?, &app.prefix()).await.map_err(RestoreError::RdsCall)
}

/// Removes an instance that a dead run left or whose deadline has passed, if it is this test's by name and tag. `run` is
/// the dead run whose instance has this name.
async fn look(
    app: &App,
    region: &str,
    instance: &Instance,
    run: Option<&Run>,
    reaped: &mut Reaped,
    failures: &mut Failures,
    invocation: &Invocation,
) {
    let (name, now) = (instance.name.as_str(), invocation.now);
    let is_left = run.is_some_and(|run| restore::is_of(app, run, instance));
    let is_late = is_late(app, instance, now);
    if let Some(run) = run.filter(|run| !is_left && run.asked.is_some()) {
        let reported = report::foreign(app, run, instance, invocation).await;
        failures.keep(name, reported.map_err(RestoreError::from));
    }
    if !is_left && !is_late {
        return;
    }
    let removal =
        async { remove::advance(app.rds_of(region)?, instance).await.map_err(RestoreError::RdsCall) };
    if failures.keep(name, bounded(invocation, removal).await).is_some() {
        reaped.removing.push(name.to_owned());
    }
    if is_late {
        let reported = report::outlived(app, region, instance, invocation).await;
        failures.keep(name, reported.map_err(RestoreError::from));
        reaped.outlived.push(name.to_owned());
    }
    if let Some(run) = run.filter(|run| is_left && run.shown.is_none()) {
        // So that the run is closed as soon as the instance is gone.
        let noted = note::update(app, |ledger| {
            ledger.settle(&run.execution, |run| {
                run.shown.get_or_insert(now);
            });
        });
        failures.keep(name, bounded(invocation, noted).await);
    }
}

/// Whether an instance is this test's own and past its deadline, or has none that a test can have.
fn is_late(app: &App, instance: &Instance, now: Timestamp) -> bool {
    let deadline = restores::deadline(&instance.tags, instance.created.unwrap_or(now));
    restores::is_own(&instance.name, &instance.tags, &app.base.settings)
        && deadline.is_none_or(|deadline| deadline <= now)
}

/// Reports a dead run of which nothing is left, and drops it.
async fn close(app: &App, mut run: Run, invocation: &Invocation) -> Result<(), RestoreError> {
    let was_removed = run.removed.is_some() || run.asked.is_none();
    if run.asked.is_some() {
        run.removed.get_or_insert(time::now());
    }
    let execution = run.execution.clone();
    let mut case = Case::of(&execution, &app.instance);
    invocation.before_deadline(REPORTING, finish::prove(app, &mut case, &run)).await?;
    let was_reported = run.is_reported;
    case.run = Some(run);
    // A green test whose last note failed has its record and its message: it did not die.
    let is_proved = !was_reported
        && finish::outcome(&case, None).is_none()
        && app.base.reporter.look(&execution).await.is_recorded();
    if was_reported || is_proved {
        if !was_removed {
            report::removed(app, &case, invocation).await;
        }
    } else {
        report::died(app, &case, invocation).await?;
    }
    bounded(invocation, note::update(app, |ledger| ledger.drop_left(&execution))).await
}
