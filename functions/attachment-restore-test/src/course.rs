//! The course of a run: choose the sample, test each attachment, restore deleted objects, compare failures with the
//! rows once more, remove the copies.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use shared::application::Account;
use shared::aws::secrets;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::Invocation;

use crate::event::Run;
use crate::one::Tester;
use crate::rules::line::{Check, Outcome};
use crate::rules::listing::{SCRATCH, compare};
use crate::rules::progress::{ATTEMPTS, Progress};
use crate::rules::row::{Place, Row, Stratum};
use crate::rules::sample::{Deleted, deleted, join};
use crate::source::Source;
use crate::{App, REPORTING, TELLING, TestError, api};

/// Attachments tested between two notes. A retry tests at most these again.
const NOTED: usize = 10;

/// Age from which copies in the scratch folder are those of a dead run, in seconds: four times as long as a run.
const DEAD_AFTER: i64 = 3600;

/// Keys of one page of a list.
const PAGE: u64 = 1000;

/// Most rows of a hidden object, outside of the sample, that join it.
const JOINING: usize = 20;

/// Time for removing what dead runs left, before the test. The sweep at the end goes on.
const TIDYING: Duration = Duration::from_secs(60);

/// What a run found, and whether its copies are gone.
pub(crate) struct Tested {
    pub progress: Progress,
    pub swept: Result<(), TestError>,
    /// Whether a later attempt goes on with it.
    pub goes_on: bool,
}

/// Runs the test, or goes on with it; `continues` is whether it must have begun. The run's copies are removed, also if it failed.
pub(crate) async fn course(
    app: &App,
    run: &Run,
    continues: bool,
    invocation: &Invocation,
) -> Result<Tested, TestError> {
    let mut progress = begin(app, run, continues, invocation).await?;
    if progress.is_finished() {
        // It died after its last note; its copies may be there.
        return Ok(Tested { swept: sweep(app, run, invocation).await, progress, goes_on: false });
    }
    // The sweep at the end reports what this one leaves.
    match tokio::time::timeout(TIDYING, sweep(app, run, invocation)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(message = chain(&error)),
        Err(_) => tracing::warn!(message = "earlier copies were not removed before the test"),
    }
    let tested = invocation.before_deadline(REPORTING, test(app, run, &mut progress, invocation)).await;
    let swept = sweep(app, run, invocation).await;
    if let Err(late) = tested {
        tracing::warn!(message = chain(&late));
    }
    let mut goes_on = false;
    if !progress.is_finished() {
        goes_on = progress.attempts < ATTEMPTS;
        let noted = note(app, run, &progress).await;
        // What was found is told in any case: nothing goes on with a person's run.
        if let Ok(now) = invocation.before_deadline(TELLING, rows_now(app, &progress)).await {
            confirm(app, &mut progress, now);
        }
        if let Err(error) = noted {
            tracing::warn!(message = chain(&error));
        }
        if !goes_on {
            progress.give_up(&app.attachments.name);
        }
    }
    Ok(Tested { progress, swept, goes_on })
}

fn note_of(run: &Run) -> String {
    format!("progress/{}", run.id)
}

/// Adds to the run's note. An attempt that runs at the same time keeps what it found.
async fn note(app: &App, run: &Run, progress: &Progress) -> Result<(), TestError> {
    let name = note_of(run);
    let noted = app.documents().update(&name, |noted: &mut Progress| {
        let mut merged = progress.clone();
        for (object, lines) in &noted.done {
            merged.done.entry(object.clone()).or_insert_with(|| lines.clone());
        }
        merged.attempts = merged.attempts.max(noted.attempts);
        *noted = merged;
    });
    Ok(noted.await?)
}

/// The run's progress, with this attempt counted; chooses the sample if it is the first.
async fn begin(
    app: &App,
    run: &Run,
    continues: bool,
    invocation: &Invocation,
) -> Result<Progress, TestError> {
    let mut progress = match app.documents().get::<Progress>(&note_of(run)).await? {
        Some(progress) if progress.is_finished() => return Ok(progress),
        Some(progress) => progress,
        None if continues => return Err(TestError::NoSuchRun(run.id.clone())),
        None => invocation.before_deadline(REPORTING, choose(app, run)).await??,
    };
    progress.attempts = progress.attempts.saturating_add(1);
    progress.forget_transient();
    note(app, run, &progress).await?;
    Ok(progress)
}

/// Opens the application's database.
async fn open(app: &App) -> Result<Source<'_>, TestError> {
    let name = app.database_secret.as_ref().ok_or(TestError::NoDatabaseSecret)?;
    let value = secrets::value(&app.secrets, name, None).await.map_err(TestError::SecretsManager)?;
    Source::open(&app.database, &value, &app.attachments.name).await
}

/// Chooses the sample, and compares the whole bucket with the whole table if both are small enough.
async fn choose(app: &App, run: &Run) -> Result<Progress, TestError> {
    let policy = &app.base.settings.policy.attachments;
    let sample = &policy.sample;
    let most = [
        (Stratum::Recent, sample.recent),
        (Stratum::Old, sample.old),
        (Stratum::Large, sample.large),
        (Stratum::Random, sample.random),
    ];
    let source = open(app).await?;
    let population = source.count().await?;
    let mut parts = source.sample(&run.seed, &most).await?;
    let limit = u64::from(policy.listing_pages) * PAGE;
    let places = if population <= limit { Some(source.places(limit).await?) } else { None };
    source.close().await;
    let mut listing = None;
    if let Some(places) = places {
        let (keys, is_complete) =
            app.attachments.keys(policy.listing_pages).await.map_err(TestError::Bucket)?;
        let (compared, missing) = compare(&keys, is_complete, &places, &app.attachments.name);
        listing = Some(compared);
        if !missing.is_empty() {
            // Rows deleted since then are no longer missing.
            let source = open(app).await?;
            let rows = source.rows(&missing).await?;
            source.close().await;
            parts.rows.push((Stratum::Listed, rows.into_values().collect()));
        }
    }
    Ok(Progress {
        seed: run.seed.clone(),
        population,
        unsampled: parts.unsampled,
        sample: join(parts.rows),
        listing,
        ..Progress::default()
    })
}

/// The bucket's deleted objects, to restore some of them. A hidden object of a row is a failure of that row, not a deletion
/// that was meant: the row joins the sample.
async fn look_for_deleted(app: &App, progress: &mut Progress) {
    let policy = &app.base.settings.policy.attachments;
    let bucket = &app.attachments.name;
    let found = async {
        let listed = app.attachments.versions("", policy.listing_pages).await.map_err(TestError::Bucket)?;
        let (mut versions, is_complete) = listed;
        versions.retain(|key, _| !key.starts_with(SCRATCH));
        let mut found = deleted(versions, &progress.seed);
        found.retain(|one| !progress.sample.iter().any(|row| is_at(&row.place, &one.key)));
        let keys: Vec<String> = found.iter().map(|one| one.key.clone()).collect();
        let rows = if keys.is_empty() {
            Vec::new()
        } else {
            let source = open(app).await?;
            let rows = source.at(&keys).await?;
            source.close().await;
            rows
        };
        Ok::<(Vec<Deleted>, Vec<Row>, bool), TestError>((found, rows, is_complete))
    };
    match found.await {
        Ok((mut found, rows, is_complete)) => {
            found.retain(|one| !rows.iter().any(|row| is_at(&row.place, &one.key)));
            found.truncate(usize::from(policy.sample.deleted));
            let sample = std::mem::take(&mut progress.sample);
            let joining = rows.into_iter().take(JOINING);
            progress.sample =
                sample.into_iter().chain(join([(Stratum::Listed, joining.collect())])).collect();
            progress.deleted = Some(found);
            if is_complete {
                progress.overall.retain(|line| line.check != Check::Deleted);
            } else {
                progress.say(bucket, Check::Deleted, Outcome::NotAllListed { pages: policy.listing_pages });
            }
        }
        Err(error) => {
            progress.deleted = Some(Vec::new());
            progress.say(bucket, Check::Deleted, Outcome::Unreadable { why: chain(&error) });
        }
    }
}

/// The rows of the failures as they are now.
async fn rows_now(app: &App, progress: &Progress) -> Result<BTreeMap<String, Row>, TestError> {
    let failing = progress.failing();
    if failing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let source = open(app).await?;
    let now = source.rows(&failing).await?;
    source.close().await;
    Ok(now)
}

/// Compares the failures with their rows; without them, the failures stay.
fn confirm(app: &App, progress: &mut Progress, now: Result<BTreeMap<String, Row>, TestError>) {
    match now {
        Ok(now) => progress.confirm(&now),
        Err(error) => {
            let outcome = Outcome::NotConfirmed { why: chain(&error) };
            progress.say(&app.attachments.name, Check::Confirmation, outcome);
            progress.is_confirmed = true;
        }
    }
}

/// Notes what was found. A failure loses no more than the next attempt must repeat.
async fn keep(app: &App, run: &Run, progress: &Progress) {
    if let Err(error) = note(app, run, progress).await {
        tracing::warn!(message = format!("the progress was not noted: {}", chain(&error)));
    }
}

/// Tests what is left, and notes it; stops when the time is over.
async fn test(app: &App, run: &Run, progress: &mut Progress, invocation: &Invocation) {
    let is_over = || invocation.left() < REPORTING.saturating_mul(2);
    let account = Account::read(&app.secrets, app.account.as_deref()).await;
    let session = match (&app.application, &account) {
        (None, _) | (_, Ok(None)) => Err(Outcome::NoApplication),
        (Some(_), Err(why)) => Err(Outcome::NoAccount { why: why.clone() }),
        (Some(application), Ok(Some(account))) => {
            let per_minute = app.base.settings.policy.attachments.downloads_per_minute;
            api::Session::open(application, account, per_minute).await
        }
    };
    if let Err(outcome) = &session {
        tracing::warn!(message = "no download is tested", outcome = outcome.kind());
    }
    let uploads_hours = i64::from(app.base.settings.policy.backups.audit.uploads_hours);
    let tester = Tester {
        attachments: &app.attachments,
        uploads: &app.uploads,
        session,
        kms_key: app.kms_key.as_deref(),
        folder: folder(run),
        copies: Cell::new(0),
        uploads_before: invocation.now.as_second() - uploads_hours * 3600,
    };
    if progress.deleted.is_none() && !is_over() {
        look_for_deleted(app, progress).await;
    }
    let left = progress.left();
    let all = progress.sample.len();
    for (place, row) in left.iter().enumerate() {
        if is_over() {
            return;
        }
        let lines = tester.test(row).await;
        progress.done.insert(row.id.clone(), lines);
        if (place + 1) % NOTED == 0 {
            tracing::info!(message = format!("tested {} of {all} attachments", progress.done.len()));
            keep(app, run, progress).await;
        }
    }
    for one in progress.deleted_left() {
        if is_over() {
            return;
        }
        let outcome = tester.restore(&one.key, &one.version, one.bytes, None).await;
        let place = Place::Object { bucket: app.attachments.name.clone(), key: one.key.clone() };
        let line = one.line(place, outcome);
        progress.done.insert(one.key, vec![line]);
    }
    let now = rows_now(app, progress).await;
    confirm(app, progress, now);
    keep(app, run, progress).await;
}

fn is_at(place: &Place, key: &str) -> bool {
    matches!(place, Place::Object { key: of, .. } if of == key)
}

/// The folder of a run's copies.
fn folder(run: &Run) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    format!("{SCRATCH}{}/", run.id.chars().map(plain).collect::<String>())
}

/// Removes the copies of this run and those of dead ones, with every version and marker. Copies of another run that may be
/// alive stay.
pub(crate) async fn sweep(app: &App, run: &Run, invocation: &Invocation) -> Result<(), TestError> {
    let own = folder(run);
    let swept = invocation.before_deadline(TELLING, remove(app, &own, invocation.now)).await;
    match swept {
        Ok(swept) => swept.map_err(TestError::ScratchLeft),
        Err(late) => Err(TestError::ScratchLate(late)),
    }
}

async fn remove(app: &App, own: &str, now: Timestamp) -> Result<(), CallError> {
    // To its end: what is behind the policy's pages would stay for ever.
    let (found, _) = app.attachments.versions(SCRATCH, u16::MAX).await?;
    for (key, versions) in found {
        for version in versions {
            let is_dead = now.as_second() - version.written > DEAD_AFTER;
            if key.starts_with(own) || is_dead {
                app.attachments.delete(&key, &version.id).await?;
                tracing::info!(message = "removed a copy", key, version = version.id);
            }
        }
    }
    Ok(())
}
