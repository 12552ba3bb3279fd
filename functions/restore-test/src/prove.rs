//! Reads the restored copy and the source, a piece in each call. What was read is kept after each.

use std::time::Duration;

use proof::{Plan, Reading, Role};
use shared::run::baselines::{Index, Taken, document};
use shared::run::reading::Reader;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::answer::{Answer, Fields, Outcome, about};
use crate::event::{Cause, Input};
use crate::rules::baseline::unread;
use crate::rules::ledger;
use crate::rules::run::Run;
use crate::{App, RestoreError, login, note, report, restore};

/// Pause before the second and last login to a source that refused the first.
const PAUSE: Duration = Duration::from_secs(5);

fn reader(app: &App) -> Reader<'_> {
    let documents = &app.base.reporter.documents;
    Reader { documents, database: &app.database, plan: Plan::from(app.policy()) }
}

/// Whether another call has to go on, and is allowed to.
fn goes_on(app: &App, reading: &Reading, poll: u16) -> bool {
    !reading.complete() && poll < app.policy().pieces
}

/// Reads the restored copy.
pub(crate) async fn read(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let run = note::mine(app, execution, invocation.now).await?;
    let instance = restore::running(app, &run).await?;
    let secret = instance.secret.as_ref().map(|(arn, _)| arn.as_str());
    let secret = secret
        .ok_or_else(|| RestoreError::LoginFailed("RDS no longer keeps the master's password".to_owned()))?;
    let login = login::copy(app, &run, &instance, secret).await?;
    let name = ledger::reading(execution, "restored");
    let reading = reader(app).piece(&name, Role::Copy, &login, invocation).await?;
    let reading = reading.map_err(RestoreError::ReadFailed)?;
    let status = if goes_on(app, &reading, poll) { Outcome::Reading } else { Outcome::Read };
    let mut answer = about(&run, 0, status);
    answer.fields.left = Some(reading.left().objects);
    Ok(answer)
}

/// Finds the baselines around the snapshot; without one after it, reads the source now. A source that cannot be read
/// leaves its checks unverified, but does not end the test: it may be the reason for the test.
pub(crate) async fn source(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let now = invocation.now;
    let run = note::mine(app, execution, now).await?;
    let index = Index::read(&app.base.reporter.documents).await?;
    // Without its name, no database is the right one.
    let database = login::application(app).await.map(|login| login.database).unwrap_or_default();
    let (before, after) = run
        .data_time()
        .map_or((None, None), |instant| index.around(instant, &run.snapshot.resource, &database));
    let run = note::change(app, execution, now, |run| {
        run.before = before.map(|one| one.execution.clone());
        run.after = after.map(|one| one.execution.clone());
        run.before_sha256 = before.map(|one| one.sha256.clone());
        run.after_sha256 = after.map(|one| one.sha256.clone());
    })
    .await?;
    if run.after.is_some() || run.source_unread.is_some() {
        return Ok(about(&run, 0, Outcome::Read));
    }
    let name = ledger::reading(execution, "source");
    let mut read = attempt(app, &run, &name, invocation).await?;
    if read.is_err() {
        tokio::time::sleep(PAUSE).await;
        read = attempt(app, &run, &name, invocation).await?;
    }
    let status = match &read {
        Ok(reading) if goes_on(app, reading, poll) => Outcome::Reading,
        Ok(_) => Outcome::Read,
        Err(reason) => {
            tracing::warn!(message = format!("the source could not be read: {reason}"));
            note::change(app, execution, now, |run| run.source_unread = Some(reason.clone())).await?;
            Outcome::Read
        }
    };
    let mut answer = about(&run, 0, status);
    answer.fields.left = read.ok().map(|reading| reading.left().objects);
    Ok(answer)
}

async fn attempt(
    app: &App,
    run: &Run,
    name: &str,
    invocation: &Invocation,
) -> Result<Result<Reading, String>, RestoreError> {
    let (login, origin) = match login::source(app).await {
        Ok(source) => source,
        Err(error) => return Ok(Err(chain(&error))),
    };
    if let Err(reason) = origin.must_be_of(&app.instance, &run.snapshot.resource) {
        return Ok(Err(reason));
    }
    Ok(reader(app).piece(name, Role::Source, &login, invocation).await?)
}

/// Reads the source for later tests.
pub(crate) async fn baseline(
    app: &App,
    execution: &str,
    input: &Input,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let documents = &app.base.reporter.documents;
    let (login, origin) = login::source(app).await?;
    let name = ledger::reading(execution, "baseline");
    let reading = reader(app).piece(&name, Role::Source, &login, invocation).await?;
    let reading = reading.map_err(RestoreError::SourceUnread)?;
    let mut answer = Answer::now(Outcome::Read);
    answer.fields = Fields { left: Some(reading.left().objects), ..Fields::default() };
    if goes_on(app, &reading, poll) {
        answer.status = Outcome::Reading;
        return Ok(answer);
    }
    let (true, Some(started), Some(finished)) =
        (reading.complete(), reading.times.started, reading.times.finished)
    else {
        let reason = format!("{} objects are left after {poll} calls", reading.left().objects);
        return Err(RestoreError::SourceUnread(reason));
    };
    // Written once: a repeated step finds the same reading.
    documents.put_new(&document(execution), &reading).await?;
    let sealed = documents.sealed::<Reading>(&document(execution)).await?;
    let (reading, sha256) =
        sealed.ok_or_else(|| RestoreError::SourceUnread("its document is gone".to_owned()))?;
    let snapshot = match input {
        Input::Baseline(Cause::Snapshot(name)) => Some(name.clone()),
        Input::Baseline(Cause::Asked) | Input::Test(_) => None,
    };
    let unread = unread(&reading).into_iter().map(|(name, _)| name.to_owned()).collect();
    let execution = execution.to_owned();
    let taken = Taken { execution, started, finished, snapshot, origin, sha256, unread };
    Index::keep(documents, &taken).await?;
    report::baseline(app, &taken, &reading, invocation).await;
    Ok(answer)
}
