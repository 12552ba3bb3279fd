//! State Prove: reads the new instance, a piece in each call, and judges it.

use std::time::Duration;

use jiff::Timestamp;
use proof::{Facts, ReadError, Reading, Role};
use serde::Deserialize;
use shared::database::secret::Login;
use shared::database::{DatabaseError, Quotes, Session};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use tokio::time::Instant;

use super::{about, next};
use crate::login::{self, Open};
use crate::observe::{held, own_login};
use crate::report;
use crate::rules::proved::{self, plan};
use crate::rules::restore::{Phase, Restore};
use crate::{Answer, App, RestoreError, Status};

/// Time reserved to keep what was read.
const STORING: Duration = Duration::from_secs(25);

/// The procedure that reads the source for its tests, and the name of its note with the list of these readings.
const TESTS: (&str, &str) = ("restore-test", "note:baselines");

/// Removes what the proof needed, so that the database is as it was.
const TIDY: &str = "DO $$ BEGIN \
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'restore_proof') THEN \
    DROP OWNED BY restore_proof; DROP ROLE restore_proof; END IF; END $$";

/// The list of the readings.
#[derive(Default, Deserialize)]
struct Index {
    #[serde(default)]
    baselines: Vec<Taken>,
}

/// One reading of the source.
#[derive(Deserialize)]
struct Taken {
    execution: String,
    started: Timestamp,
    finished: Timestamp,
}

/// Goes on reading, and judges when all is read.
pub(crate) async fn prove(
    app: &App,
    execution: &str,
    poll: u16,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let restore = app.mine(execution).await?;
    if restore.phase != Phase::Prove {
        return Ok(next(&restore));
    }
    let secrets = held(app, &restore).await?;
    let master = login::master(app, &restore, &secrets).await?;
    prepare(app, execution, &restore, &master).await?;
    let copy = piece(app, &restore.reading(), Role::Copy, &master, invocation).await?;
    let copy = copy.map_err(RestoreError::ProofBroken)?;
    if !copy.complete() && poll < app.policy().pieces {
        return Ok(about(&restore, 0, Status::Running));
    }
    let data = restore.data.unwrap_or(restore.began);
    let (before, after) = baselines(app, data).await?;
    let source = if after.is_none() && restore.lost.exists {
        read_source(app, &restore, invocation).await?
    } else {
        None
    };
    // The source is read in as many pieces as time allows; what is missing is not verified, and says so.
    if source.as_ref().is_some_and(|reading| !reading.complete()) && poll < app.policy().pieces {
        return Ok(about(&restore, 0, Status::Running));
    }
    let after = after.or(source);
    let plan = plan(&app.base.settings.policy.restores);
    // The server's version before is not kept: the restored one is shown as it is.
    let facts = Facts { snapshot: data, major: None };
    let lines = proof::judge(&plan, before.as_ref(), after.as_ref(), &copy, &facts);
    let against = [("baseline", before.is_some()), ("source", after.is_some())];
    let against: Vec<_> =
        against.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect();
    let proof = proved::summarise(&lines, copy.rows(), against.join(", "), invocation.now);
    let tidied = tidy(app, &restore, &master).await;
    report::proved(app, &restore, &lines, &proof, invocation).await;
    let restore = app
        .amend(execution, |restore| {
            restore.proof = Some(proof.clone());
            restore.target.tidied = tidied;
            restore.advance(Phase::Prove, Phase::Approve, invocation.now);
        })
        .await?;
    Ok(next(&restore))
}

/// Makes the role and the extension that the proof needs, once.
async fn prepare(app: &App, execution: &str, restore: &Restore, master: &Login) -> Result<(), RestoreError> {
    let session = app.database.login(master).await?;
    let prepared = async {
        if restore.target.had_amcheck.is_none() {
            let asked = "SELECT FROM pg_catalog.pg_extension WHERE extname = 'amcheck'";
            let had = session.execute("look for amcheck", asked).await? > 0;
            app.amend(execution, |restore| {
                restore.target.had_amcheck.get_or_insert(had);
            })
            .await?;
        }
        session.run("prepare the proof", proof::PREPARE, Quotes::Nothing).await?;
        Ok::<(), RestoreError>(())
    };
    let prepared = prepared.await;
    session.close().await;
    prepared
}

/// Removes the proof's role and extension. If that fails, the message says what is left.
async fn tidy(app: &App, restore: &Restore, master: &Login) -> bool {
    let done = async {
        let session: Session = app.database.login(master).await?;
        let done = async {
            session.run("remove the proof's role", TIDY, Quotes::Nothing).await?;
            if restore.target.had_amcheck == Some(false) {
                session.run("remove amcheck", "DROP EXTENSION IF EXISTS amcheck", Quotes::Nothing).await?;
            }
            Ok::<(), DatabaseError>(())
        };
        let done = done.await;
        session.close().await;
        done
    };
    match done.await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(message = format!("the proof's role was not removed: {}", chain(&error)));
            false
        }
    }
}

/// The readings of the source that are closest to an instant, on each side of it.
async fn baselines(app: &App, data: Timestamp) -> Result<(Option<Reading>, Option<Reading>), RestoreError> {
    let (procedure, index) = TESTS;
    let documents = app.documents().of(procedure);
    let Index { baselines } = documents.get(index).await?.unwrap_or_default();
    let before = baselines.iter().filter(|one| one.finished <= data).max_by_key(|one| one.finished);
    let after = baselines.iter().filter(|one| one.started >= data).min_by_key(|one| one.started);
    let mut found = [None, None];
    for (place, taken) in found.iter_mut().zip([before, after]) {
        if let Some(taken) = taken {
            *place = documents.get(&format!("baseline:{}", taken.execution)).await?;
        }
    }
    let [before, after] = found;
    Ok((before, after))
}

/// Reads the lost database, if it can still be read; it may be the reason for the restore.
async fn read_source(
    app: &App,
    restore: &Restore,
    invocation: &Invocation,
) -> Result<Option<Reading>, RestoreError> {
    let (_, login) = own_login(app).await?;
    let name = format!("{}/source", restore.target.instance);
    match piece(app, &name, Role::Source, &login, invocation).await? {
        Ok(reading) => Ok(Some(reading)),
        Err(reason) => {
            tracing::warn!(message = format!("the lost database could not be read: {reason}"));
            Ok(None)
        }
    }
}

/// Goes on with a reading, until all is read or the invocation's time is nearly over. The outer result is about the note
/// of the reading; the inner about the server. What was read before a failure is kept.
async fn piece(
    app: &App,
    name: &str,
    role: Role,
    login: &Login,
    invocation: &Invocation,
) -> Result<Result<Reading, String>, RestoreError> {
    let mut reading: Reading = app.documents().get(name).await?.unwrap_or_default();
    if reading.complete() {
        return Ok(Ok(reading));
    }
    let plan = plan(&app.base.settings.policy.restores);
    let done = reading.left().done;
    // The last statement may take as long as any.
    let until = Instant::now() + invocation.left().saturating_sub(STORING + plan.statement);
    let connect = async || app.database.login(login).await.map(Open);
    let read = proof::read(connect, &plan, role, &mut reading, until);
    let error = match invocation.before_deadline(STORING, read).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(told(&error)),
        Err(late) => Some(chain(&late)),
    };
    let left = reading.left();
    tracing::info!(message = "read", proof.note = name, proof.done = left.done, proof.left = left.objects);
    // A slower attempt of the same step must not undo a faster one.
    let kept = app.documents().update(name, |kept: &mut Reading| {
        if reading.left().done >= kept.left().done {
            kept.clone_from(&reading);
        }
    });
    kept.await?;
    match error {
        Some(error) if reading.left().done == done => Ok(Err(error)),
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
