//! State Prove: reads the new instance, a piece in each call, and judges it.

use jiff::Timestamp;
use proof::{Facts, Plan, Reading, Role};
use shared::database::secret::Login;
use shared::database::{DatabaseError, Quotes, Session};
use shared::run::baselines::{Index, Origin, document};
use shared::run::documents::DocumentError;
use shared::run::reading::Reader;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use super::{about, next};
use crate::aws::rds;
use crate::observe::{held, own_login};
use crate::rules::proved::{self, Proved};
use crate::rules::restore::{Phase, Restore};
use crate::{Answer, App, RestoreError, Status, login, report};

/// Removes what the proof needed, so that the database is as it was.
const TIDY: &str = "DO $$ BEGIN \
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'restore_proof') THEN \
    DROP OWNED BY restore_proof; DROP ROLE restore_proof; END IF; END $$";

fn reader(app: &App) -> Reader<'_> {
    let plan = Plan::from(&app.base.settings.policy.restores);
    Reader { documents: app.documents(), database: &app.database, plan }
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
    let reader = reader(app);
    let copy = reader.piece(&restore.reading(), Role::Copy, &master, invocation).await?;
    let copy = copy.map_err(RestoreError::ProofBroken)?;
    if !copy.complete() && poll < app.policy().pieces {
        return Ok(about(&restore, 0, Status::Running));
    }
    let data = restore.data.unwrap_or(restore.began);
    let Baselines { before, mut after, mut unread } =
        baselines(app, &restore, data, &master.database).await?;
    let mut source_unread = None;
    if after.is_none() && restore.lost.exists {
        match source(app, &restore, invocation).await? {
            // The source is read in as many pieces as time allows; what is missing is not verified, and says so.
            Ok(reading) if !reading.complete() && poll < app.policy().pieces => {
                return Ok(about(&restore, 0, Status::Running));
            }
            Ok(reading) => after = Some(reading),
            Err(reason) => {
                tracing::warn!(message = format!("the lost database could not be read: {reason}"));
                source_unread = Some(reason);
            }
        }
    }
    // The source may be an empty one, which the copy would agree with.
    if before.is_none() && unread.is_empty() {
        unread.push("there is none from before the data".to_owned());
    }
    let facts = Facts { snapshot: data, major: restore.data_major };
    let lines = proof::judge(&reader.plan, before.as_ref(), after.as_ref(), &copy, &facts);
    let against = [("baseline", before.is_some()), ("source", after.is_some())];
    let against: Vec<_> =
        against.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect();
    let proof = proved::summarise(&lines, copy.rows(), against.join(", "), unread, invocation.now);
    let proof = Proved { source_unread, ..proof };
    let tidied = tidy(app, &restore, &master).await;
    report::proved(app, &restore, &lines, &proof, invocation).await;
    let restore = app
        .amend(execution, |present| {
            // An attempt that was taken for dead must not note its proof for another instance.
            if present.phase != Phase::Prove || present.target.instance != restore.target.instance {
                return;
            }
            present.proof = Some(proof.clone());
            present.target.tidied = tidied;
            present.advance(Phase::Prove, Phase::Approve, invocation.now);
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

/// The baselines around the restored data.
#[derive(Default)]
struct Baselines {
    before: Option<Reading>,
    after: Option<Reading>,
    /// Those that are not as they were recorded, each with the reason.
    unread: Vec<String>,
}

async fn baselines(
    app: &App,
    restore: &Restore,
    data: Timestamp,
    database: &str,
) -> Result<Baselines, RestoreError> {
    let index = Index::read(app.documents()).await?;
    let (before, after) = index.around(data, &restore.data_resource, database);
    let mut found = Baselines::default();
    for (place, taken) in [(&mut found.before, before), (&mut found.after, after)] {
        let Some(taken) = taken else { continue };
        match taken.read(app.documents()).await {
            Ok(reading) => *place = reading,
            Err(error @ DocumentError::S3(_)) => return Err(error.into()),
            Err(error) => {
                let reason = format!("{}: {}", document(&taken.execution), chain(&error));
                tracing::error!(message = format!("a baseline is not compared: {reason}"));
                found.unread.push(reason);
            }
        }
    }
    Ok(found)
}

/// Reads the lost database, if it can still be read; it may be the reason for the restore. The inner error is why not.
async fn source(
    app: &App,
    restore: &Restore,
    invocation: &Invocation,
) -> Result<Result<Reading, String>, RestoreError> {
    let instance = &restore.lost.instance;
    let (_, login) = own_login(app).await?;
    let found = rds::instance(&app.rds, instance).await.map_err(RestoreError::RdsCall)?;
    let Some(found) = found else { return Ok(Err(format!("the instance {instance} does not exist"))) };
    let origin = Origin { resource: found.resource.unwrap_or_default(), database: login.database.clone() };
    let is_lost = login.must_be_at(instance, found.seen.address.as_ref());
    if let Err(reason) = is_lost.and_then(|()| origin.must_be_of(instance, &restore.data_resource)) {
        return Ok(Err(reason));
    }
    let name = format!("{}/source", restore.target.instance);
    Ok(reader(app).piece(&name, Role::Source, &login, invocation).await?)
}
