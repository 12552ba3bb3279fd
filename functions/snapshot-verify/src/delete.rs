//! The deletion of expired snapshots.

use std::collections::BTreeSet;

use jiff::civil::Date;
use shared::aws::rds;
use shared::run::documents::DocumentError;
use shared::run::evidence::Step;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::settings::Settings;

use crate::rules::action::Action;
use crate::rules::expiry::{self, Expired};
use crate::rules::facts::Facts;
use crate::rules::finding::{Finding, Judged, Subject};
use crate::rules::journal::Journal;
use crate::rules::snapshot::ExpiredSnapshot;
use crate::run::Run;
use crate::{App, aws, update};

/// Deletes the expired snapshots of both regions, except those whose ARN is in `in_use`.
pub(crate) async fn delete_expired(
    app: &App,
    facts: &Facts,
    journal: &Journal,
    today: Date,
    in_use: &BTreeSet<String>,
    run: &mut Run,
) -> Result<(), DocumentError> {
    if matches!(facts.away, Some(Err(_))) {
        run.steps.push(Step::now(
            "delete expired snapshots",
            "skipped: the copies were not read, so the sources in use are unknown",
        ));
        return Ok(());
    }
    let mut expired = Vec::new();
    for (client, all, region) in [
        (Some(&app.rds), facts.home.as_slice(), None),
        (
            app.away.as_ref().map(|away| &away.rds),
            facts.copies().unwrap_or_default(),
            app.away.as_ref().map(|away| &away.region),
        ),
    ] {
        let Some(client) = client else { continue };
        let found = expiry::expired(all, &app.settings, today, in_use).into_iter();
        expired.extend(found.map(|one| (client, region, one)));
    }
    let deletions: Vec<ExpiredSnapshot> =
        expired.iter().map(|(_, _, one)| ExpiredSnapshot::from(&one.snapshot)).collect();
    // Earlier runs noted these for deletion, but they no longer qualify.
    let all = facts.home.iter().chain(facts.copies().unwrap_or_default());
    let there: Vec<ExpiredSnapshot> = all.map(ExpiredSnapshot::from).collect();
    let stays = |deletion: &&ExpiredSnapshot| {
        there.iter().any(|one| one.arn == deletion.arn && one.taken == deletion.taken)
            && !deletions.contains(deletion)
    };
    run.spared.extend(journal.deleting.iter().filter(stays).cloned());
    if deletions.is_empty() {
        return Ok(());
    }
    update(app, |journal| journal.intend(&deletions)).await?;
    for ((client, region, one), deletion) in expired.iter().zip(deletions) {
        let name = format!("delete {}", deletion.arn);
        match delete(client, one, &app.settings, today).await {
            Ok(true) => run.actions.push(Action::Deleted(deletion)),
            Ok(false) => {
                run.steps.push(Step::now(name, "kept: it has changed since it was listed"));
                run.spared.push(deletion);
            }
            Err(call) => {
                run.steps.push(Step::now(name, format!("failed: {}", chain(&call))));
                let subject = Subject::Snapshot(Box::new(one.snapshot.clone()), region.cloned());
                run.judged.push(Judged::new(subject, Finding::NotDeleted { why: chain(&call) }));
            }
        }
    }
    Ok(())
}

/// Deletes an expired snapshot. Returns false, without deleting, if it or its keeper has changed since they were
/// listed.
async fn delete(
    client: &aws_sdk_rds::Client,
    one: &Expired,
    settings: &Settings,
    today: Date,
) -> Result<bool, CallError> {
    let keeper = match &one.keeper {
        Some(keeper) => rds::snapshot(client, keeper.kind, &keeper.name).await?,
        None => None,
    };
    let Some(now) = rds::snapshot(client, one.snapshot.kind, &one.snapshot.name).await? else {
        // Another attempt was faster.
        return Ok(true);
    };
    if !one.holds(&now, keeper.as_ref(), settings, today) {
        return Ok(false);
    }
    tracing::info!(message = "deleting an expired snapshot", rds.snapshot = now.name, rds.arn = now.arn);
    match aws::delete(client, now.kind, &now.name).await {
        Err(call) if !call.code.contains("SnapshotNotFound") => Err(call),
        _ => Ok(true),
    }
}
