//! The day's copy to the other region.

use std::collections::BTreeSet;

use shared::aws::rds;
use shared::aws::snapshots::{
    self, Database, ENVIRONMENT, EXPIRES_ON, Kind, MANAGED_BY, PROJECT, Progress, Snapshot, TAKEN_AT,
    progress,
};
use shared::run::documents::DocumentError;
use shared::run::evidence::Step;
use shared::runtime::failure::chain;

use crate::rules::copies;
use crate::rules::facts::Facts;
use crate::rules::finding::{Finding, Judged, Subject};
use crate::rules::journal;
use crate::rules::snapshot::COPY_OF;
use crate::run::Run;
use crate::{App, Away, PROCEDURE, aws, update};

/// Ensures that the day's copy has been requested from RDS, once. Returns the source's ARN if this call requested it.
pub(crate) async fn copy(
    app: &App,
    away: &Away,
    facts: &Facts,
    copies: &[Snapshot],
    run: &mut Run,
) -> Result<Option<String>, DocumentError> {
    let named = || Database { id: app.instance.clone(), ..Database::default() };
    let database = match &facts.database {
        Some(Ok(database)) => database.clone(),
        Some(Err(_)) | None => named(),
    };
    let subject =
        || Subject::Copy { database: database.clone(), region: away.region.clone(), key: away.key.clone() };
    if let Some(Err(why)) = &facts.database {
        run.judged.push(Judged::new(subject(), Finding::InsufficientData { why: why.clone() }));
        return Ok(None);
    }
    let stale = copies::stale(copies, &database, &app.settings, run.now);
    run.judged.extend(stale.map(|stale| Judged::new(subject(), stale)));
    let source = match copies::source(&facts.home, &database, &app.settings) {
        Ok(source) => source,
        Err(finding) => {
            run.judged.push(Judged::new(subject(), finding));
            return Ok(None);
        }
    };
    let target = copies::copy_name(&app.settings, source.kind, &source.name);
    let is_there = |kind: Kind, target: &str| copies.iter().any(|one| one.kind == kind && one.name == target);
    let available = facts.home.iter().filter(|one| progress(&one.status) == Progress::Available);
    let available: BTreeSet<String> = available.map(|one| one.arn.clone()).collect();
    let chosen = facts.journal.iter().flat_map(|journal| &journal.copies).find(|copy| copy.day == run.day);
    // Choose anew if the copy failed, was reported and then deleted.
    let is_good = |copy: &&journal::Copy| {
        is_there(copy.kind, &copy.target) || (!copy.reported && available.contains(&copy.source))
    };
    let chosen = match chosen.filter(is_good) {
        Some(chosen) => chosen.clone(),
        None if is_there(source.kind, &target) => {
            run.steps
                .push(Step::now(format!("copy {}", source.arn), "already copied; no newer snapshot exists"));
            return Ok(None);
        }
        None => {
            let journal =
                update(app, |journal| drop(journal.choose(&run.day, source, &target, &available))).await?;
            match journal.copies.into_iter().find(|copy| copy.day == run.day) {
                Some(chosen) => chosen,
                None => return Ok(None),
            }
        }
    };
    if is_there(chosen.kind, &chosen.target) {
        return Ok(None);
    }
    let mut tags = vec![
        (PROJECT, app.settings.project.clone()),
        (ENVIRONMENT, app.settings.environment.clone()),
        (MANAGED_BY, PROCEDURE.to_owned()),
        (COPY_OF, chosen.source.clone()),
        (EXPIRES_ON, snapshots::expires(run.now, app.retention_days)),
    ];
    let taken = facts.home.iter().find(|one| one.arn == chosen.source).and_then(|one| one.taken);
    if let (Kind::Cluster, Some(taken)) = (chosen.kind, taken) {
        tags.push((TAKEN_AT, taken.to_string()));
    }
    tracing::info!(message = "requesting a copy", rds.source = chosen.source, rds.snapshot = chosen.target);
    let outcome =
        match aws::copy(&away.rds, chosen.kind, &chosen.source, &chosen.target, &away.key, tags).await {
            Ok(()) => format!("requested as {} in {}", chosen.target, away.region),
            // A concurrent attempt requested it.
            Err(call) if call.code.contains("SnapshotAlreadyExists") => "already requested".to_owned(),
            Err(call) if call.is_unanswered() && is_made(away, &chosen).await => {
                format!("requested as {} in {}; the answer was lost", chosen.target, away.region)
            }
            Err(call) => {
                let why = chain(&call);
                run.judged.push(Judged::new(subject(), Finding::CopyRefused { why: why.clone() }));
                format!("failed: {why}")
            }
        };
    run.steps.push(Step::now(format!("copy {}", chosen.source), outcome));
    Ok(Some(chosen.source))
}

/// Returns true if RDS has the copy although its answer was lost.
async fn is_made(away: &Away, copy: &journal::Copy) -> bool {
    matches!(rds::snapshot(&away.rds, copy.kind, &copy.target).await, Ok(Some(found)) if copy.is(&found))
}
