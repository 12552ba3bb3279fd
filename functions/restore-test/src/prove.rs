//! Reads the restored copy and the source, a piece in each call. What was read is kept after each.

use std::time::Duration;

use proof::{ReadError, Reading, Role};
use shared::database::DatabaseError;
use shared::database::secret::Login;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use tokio::time::Instant;

use crate::answer::{Answer, Fields, Outcome, about};
use crate::event::{Cause, Input};
use crate::login::{self, Open};
use crate::rules::baseline::{INDEX, Index, Taken, document, unread};
use crate::rules::ledger;
use crate::rules::plan::plan;
use crate::rules::run::Run;
use crate::{App, RestoreError, note, report, restore};

/// Time reserved to keep what was read.
const STORING: Duration = Duration::from_secs(25);

/// Between the end of the longest statement and the time to keep what was read.
const MARGIN: Duration = Duration::from_secs(10);

/// Pause before the second and last login to a source that refused the first.
const PAUSE: Duration = Duration::from_secs(5);

/// Goes on with a reading, until all is read or the invocation's time is nearly over.
///
/// The outer result is about the note of the reading; the inner about the server. What was read before a failure is
/// kept.
async fn piece(
    app: &App,
    name: &str,
    role: Role,
    login: &Login,
    invocation: &Invocation,
) -> Result<Result<Reading, String>, RestoreError> {
    let documents = &app.base.reporter.documents;
    let mut reading: Reading = documents.get(name).await?.unwrap_or_default();
    if reading.complete() {
        return Ok(Ok(reading));
    }
    let plan = plan(app.policy());
    let begun = reading.progress();
    // The last statement may take as long as any.
    let until = Instant::now() + invocation.left().saturating_sub(STORING + MARGIN + plan.statement);
    let connect = async || app.database.login(login).await.map(Open);
    let read = proof::read(connect, &plan, role, &mut reading, until);
    let error = match invocation.before_deadline(STORING, read).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(told(&error)),
        Err(late) => Some(chain(&late)),
    };
    let left = reading.left();
    tracing::info!(
        message = "read",
        proof.note = name,
        proof.done = left.done,
        proof.left = left.objects,
        proof.bytes_left = left.bytes,
        proof.piece = reading.times.pieces
    );
    // A slower attempt of the same step must not undo a faster one.
    let kept = documents.update(name, |kept: &mut Reading| {
        if reading.progress() >= kept.progress() {
            kept.clone_from(&reading);
        }
    });
    kept.await?;
    match error {
        Some(error) if reading.progress() == begun => Ok(Err(error)),
        Some(error) => {
            tracing::warn!(message = format!("the piece ended early: {error}"));
            Ok(Ok(reading))
        }
        None => Ok(Ok(reading)),
    }
}

/// The error of a piece, without what the driver says: it may quote a row.
fn told(error: &ReadError<DatabaseError>) -> String {
    match error {
        ReadError::Connect(_) => chain(error),
        ReadError::SetUp(_) | ReadError::Catalog(_) => error.to_string(),
    }
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
    let reading = piece(app, &name, Role::Copy, &login, invocation).await?;
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
    let index: Option<Index> = app.base.reporter.documents.get(INDEX).await?;
    let index = index.unwrap_or_default();
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
    match login::source(app).await {
        Ok((_, origin)) if !origin.is_of(&run.snapshot.resource, &origin.database) => Ok(Err(format!(
            "the instance {} is now {}, and the snapshot is of {}",
            app.instance, origin.resource, run.snapshot.resource
        ))),
        Ok((login, _)) => piece(app, name, Role::Source, &login, invocation).await,
        Err(error) => Ok(Err(chain(&error))),
    }
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
    let reading = piece(app, &name, Role::Source, &login, invocation).await?;
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
    documents.update(INDEX, |index: &mut Index| index.add(&taken)).await?;
    report::baseline(app, &taken, &reading, invocation).await;
    Ok(answer)
}
