//! States Record and Finish: records the new values in the ledger, reports, and closes the batch.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use shared::aws::secrets;
use shared::policy::EndSessions;
use shared::run::ledger::Line;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::workflow::Run;

use crate::event::{Source, Step};
use crate::observe::{count_tasks, current_versions};
use crate::report::{draft, publish_pages, report_broken, write_ledger};
use crate::rules::batch::Batch;
use crate::rules::failure::Failed;
use crate::rules::journal::{self, Journal};
use crate::rules::keys::JWT;
use crate::rules::kind::Kind;
use crate::rules::row::Row;
use crate::text;
use crate::{Answer, App, FollowupError, Status, database};

/// Time reserved for the page, the message and the record after the sessions are ended.
const REPORTING: Duration = Duration::from_secs(60);

/// Records in the ledger that the new values are in use; the functions that retire old credentials act on it.
pub(crate) async fn record(
    app: &App,
    execution: &str,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let batch = app.amend_batch(execution, |_| ()).await?;
    let rows = rows(app, &batch, invocation.now).await?;
    app.amend_batch(execution, |batch| batch.rows.clone_from(&rows)).await?;
    write_ledger(app, invocation).await;
    Ok(Answer::now(Status::Recorded))
}

/// Ends sessions, pages, reports and records, and closes the batch. One of these may fail without preventing the next.
pub(crate) async fn finish(
    app: &App,
    run: &Run<Step, Source>,
    retired: Vec<Line>,
    invocation: &Invocation,
) -> Result<Answer, FollowupError> {
    let execution = run.execution.as_str();
    let broken = run.broken.as_ref().map(|broken| Failed::new(broken.kind.as_str(), &broken.detail));
    if let Some(broken) = &broken {
        tracing::warn!(message = broken.detail, failure = broken.kind.as_str());
    }
    let opened = app
        .update(|journal| {
            let batch = journal.batch_of(execution)?;
            if let Some(broken) = &broken
                && !batch.failures.contains(broken)
            {
                batch.failures.push(broken.clone());
            }
            batch.retired.clone_from(&retired);
            Some(batch.clone())
        })
        .await?;
    let Some(mut batch) = opened else {
        // An attempt of this step that died later closed the batch, or the execution never had one.
        let journal: Journal = app.documents().get(journal::NAME).await?.unwrap_or_default();
        let mut rows: Vec<_> = journal.rows.into_iter().filter(|row| row.execution == execution).collect();
        let is_paged = match (&broken, rows.is_empty()) {
            (Some(broken), true) => {
                report_broken(app, execution, broken, run.input.as_ref(), invocation).await
            }
            _ => {
                write_ledger(app, invocation).await;
                publish_pages(app, invocation).await
            }
        };
        rows.retain(|row| row.failure.is_some() || row.is_leak_alive());
        return answer(is_paged, rows.is_empty() && broken.is_none());
    };
    end_sessions(app, execution, &mut batch, invocation).await?;
    let rows = rows(app, &batch, invocation.now).await?;
    // A leaked value that may still be valid is not a success: page, while the functions that retire it keep trying.
    let is_alive = rows.iter().any(Row::is_leak_alive);
    let is_good = batch.failures.is_empty() && !is_alive;
    // Don't page for a superseded batch: the newer change has its own follow-up.
    let is_superseded = batch.changes.len() == 1
        && batch.failures.first().is_some_and(|failed| failed.kind == Kind::Superseded);
    let runs = if is_good { Vec::new() } else { count_tasks(app, &batch).await };
    let current = if is_good { BTreeMap::new() } else { current_versions(app, &batch).await };
    let stack = text::Stack {
        settings: &app.base.settings,
        cluster: &app.cluster,
        account: app.account.as_deref(),
        runs: &runs,
        current: &current,
        jwt: app.scope.name(JWT),
    };
    let page = (!is_good && !is_superseded).then(|| text::batch::page(&stack, &batch, &rows));
    let message = text::batch::message(&stack, &batch, &rows);
    let draft = draft(app, execution, &batch, &rows, is_good);
    app.base.reporter.report_once(draft, Some(&message), invocation).await;
    app.update(|journal| journal.close(execution, &rows, page.as_ref())).await?;
    let is_paged = publish_pages(app, invocation).await;
    write_ledger(app, invocation).await;
    answer(is_paged, is_good)
}

/// The ledger's rows of a batch.
async fn rows(app: &App, batch: &Batch, now: Timestamp) -> Result<Vec<Row>, FollowupError> {
    let mut rows = Vec::new();
    let journal: Journal = app.documents().get(journal::NAME).await?.unwrap_or_default();
    for change in &batch.changes {
        let max_age_days =
            app.base.settings.policy.rotation.secrets.get(&change.key).map(|entry| entry.max_age_days);
        rows.push(batch.row(change, journal.act_of(change).cloned(), max_age_days, now));
    }
    Ok(rows)
}

/// Revokes the refresh tokens if the signing key has changed permanently and the policy or an incident requires it.
async fn end_sessions(
    app: &App,
    execution: &str,
    batch: &mut Batch,
    invocation: &Invocation,
) -> Result<(), FollowupError> {
    let entries = &app.base.settings.policy.rotation.secrets;
    let policy = entries.get(JWT).map(|entry| entry.end_sessions).unwrap_or_default();
    let jwt = batch.changes.iter().find(|change| change.key == JWT && !batch.moved.contains(&change.secret));
    let Some(jwt) = jwt else { return Ok(()) };
    let is_wanted = policy == EndSessions::Always || policy == EndSessions::Incident && jwt.is_incident();
    if !is_wanted || batch.sessions_ended.is_some() {
        return Ok(());
    }
    let revoked = async {
        let Some(secret) = &app.database_secret else {
            return Err("the template's DatabaseSecretName is empty".to_owned());
        };
        let value = secrets::value(&app.secrets, secret, None).await.map_err(|error| chain(&error))?;
        database::end_sessions(&app.database, &value).await
    };
    let revoked = invocation
        .before_deadline(REPORTING, revoked)
        .await
        .map_err(|late| chain(&late))
        .and_then(|done| done);
    *batch = app
        .amend_batch(execution, |batch| match &revoked {
            Ok(count) => batch.sessions_ended = Some(*count),
            Err(why) => {
                let failed = Failed::of(JWT, Kind::SessionsNotEnded, why.clone());
                if !batch.failures.contains(&failed) {
                    batch.failures.push(failed);
                }
            }
        })
        .await?;
    Ok(())
}

fn answer(is_paged: bool, is_good: bool) -> Result<Answer, FollowupError> {
    match (is_paged, is_good) {
        (false, _) => Err(FollowupError::PageFailed),
        (true, true) => Ok(Answer::now(Status::Succeeded)),
        (true, false) => Ok(Answer::now(Status::Failed)),
    }
}
