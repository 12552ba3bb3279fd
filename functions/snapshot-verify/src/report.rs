//! Report: the answer, the message, the record, and the journal once both are saved.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::snapshots::{Kind, Progress, progress};
use shared::run::evidence::{Draft, Step};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;

use crate::event::Trigger;
use crate::rules::action::Action;
use crate::rules::compare::changes;
use crate::rules::facts::Facts;
use crate::rules::finding::{Finding, Judged, Subject, key};
use crate::rules::journal::Journal;
use crate::rules::policy;
use crate::run::Run;
use crate::{App, VerifyError, text, update};

/// The run's answer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Id of the evidence record; none when there was nothing to record.
    pub run_id: Option<String>,
    /// `succeeded` when everything that was looked at was seen and nothing is wrong; `nothing` when there was nothing to look at.
    pub result: &'static str,
    /// The snapshots that were looked at.
    pub snapshots: Vec<Row>,
    /// Keys of all that is wrong.
    pub findings: Vec<String>,
    /// Names of the snapshots that were deleted.
    pub deleted: Vec<String>,
    /// Names of the copies that came to their end.
    pub copied: Vec<String>,
    /// Dedup keys of the pages that were published.
    pub paged: Vec<String>,
}

/// One snapshot of the answer.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name.
    pub name: String,
    /// Its region, when that is the copies'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether that is an instance or a cluster.
    pub kind: Kind,
    /// The instance or cluster that it is of.
    pub instance: String,
    /// RDS's word.
    pub status: String,
    /// `pass`, `fail`, `could-not-verify`; none while it is being made in time.
    pub verdict: Option<&'static str>,
    /// Kinds of what is wrong.
    pub findings: Vec<&'static str>,
}

/// The part of the record before that the next one needs.
#[derive(Default, Deserialize)]
struct Before {
    sequence: u64,
    findings: Vec<String>,
    steps: Vec<PastStep>,
}

#[derive(Deserialize)]
struct PastStep {
    name: String,
}

/// Tells the channel what changed and what was done, writes the record, and settles what was told.
pub(crate) async fn report(
    app: &App,
    trigger: &Trigger,
    facts: &Facts,
    day: &str,
    mut run: Run,
    invocation: &Invocation,
) -> Result<Report, VerifyError> {
    let before = app.reporter.before::<Before>().await.ok().flatten().unwrap_or_default();
    let changes = changes(trigger, app.region(), &before.findings, &run.judged);
    // An attempt that died behind its record has told them.
    let is_reported = |action: &Action| before.steps.iter().any(|reported| reported.name == action.step());
    let fresh: Vec<Action> = run.actions.iter().filter(|action| !is_reported(action)).cloned().collect();
    run.steps.extend(fresh.iter().map(|action| Step::now(action.step(), text::outcome(action))));
    let has_changed = !changes.new.is_empty() || !changes.resolved.is_empty() || !fresh.is_empty();
    let of_day = app.reporter.look(day).await;
    let is_of_day = *trigger == Trigger::Sweep && !of_day.is_recorded();
    // A second run of the day that found a change has the place behind the record before as its name.
    let run_id = if is_of_day {
        Some(day.to_owned())
    } else {
        has_changed.then(|| format!("{day}/{}", before.sequence + 1))
    };
    let is_green = run.judged.iter().flat_map(|one| &one.findings).all(|finding| !finding.fails());
    let result = if is_green { "succeeded" } else { "failed" };
    if let Some(run_id) = &run_id {
        let begun = if is_of_day { of_day } else { app.reporter.look(run_id).await };
        let reported = text::Summary {
            run_id,
            judged: &run.judged,
            new: &changes.new,
            resolved: &changes.resolved,
            still: &changes.still,
            actions: &fresh,
        };
        let message = (has_changed || begun.was_left_open()).then(|| text::summary(&app.settings, &reported));
        let count = format!("look at {} snapshots", rows(&run.judged).len());
        let mut steps = vec![Step::now(count, result)];
        steps.append(&mut run.steps);
        let draft = Draft {
            steps,
            findings: lines(&run.judged).chain(changes.carried).collect(),
            ..draft(app, trigger, run_id, result, invocation)
        };
        app.reporter.report(draft, message.as_ref(), begun, invocation).await;
    }
    if let Ok(journal) = &facts.journal {
        settle(app, journal, facts, day, &run, invocation).await;
    }
    if run.unpaged > 0 {
        return Err(VerifyError::PageFailed(run.unpaged));
    }
    let snapshots = rows(&run.judged);
    let name_of = |action: &Action| match action {
        Action::Deleted(deletion) => (Some(deletion.name.clone()), None),
        Action::Copied { target, .. } => (None, Some(target.clone())),
    };
    let (deleted, copied): (Vec<_>, Vec<_>) = fresh.iter().map(name_of).unzip();
    Ok(Report {
        run_id,
        result: if snapshots.is_empty() && run.judged.is_empty() { "nothing" } else { result },
        snapshots,
        findings: run
            .judged
            .iter()
            .flat_map(|one| one.findings.iter().map(|finding| key(&one.subject, finding)))
            .collect(),
        deleted: deleted.into_iter().flatten().collect(),
        copied: copied.into_iter().flatten().collect(),
        paged: run.paged,
    })
}

/// Takes out of the journal what was told, and what came to nothing. Cannot fail the run: the next one finds what it has told in
/// the record.
async fn settle(app: &App, journal: &Journal, facts: &Facts, day: &str, run: &Run, invocation: &Invocation) {
    let mut targets = BTreeSet::new();
    let mut deletions = run.spared.clone();
    for action in &run.actions {
        match action {
            Action::Deleted(deletion) => deletions.push(deletion.clone()),
            Action::Copied { target, .. } => drop(targets.insert(target.clone())),
        }
    }
    // A copy that failed is told as a finding; one of another day that is not there was refused, or deleted by somebody.
    if let Some(copies) = facts.copies() {
        for copy in journal.copies.iter().filter(|copy| !copy.reported) {
            let found = copies.iter().find(|one| copy.is(one));
            let has_failed = found.is_some_and(|found| progress(&found.status) == Progress::Failed);
            if has_failed || (found.is_none() && copy.day != day) {
                targets.insert(copy.target.clone());
            }
        }
    }
    if targets.is_empty() && deletions.is_empty() {
        return;
    }
    let margin = Duration::from_millis(500);
    let settled = invocation
        .before_deadline(margin, update(app, |journal| journal.settle(day, &targets, &deletions)))
        .await;
    let settled = settled.map_err(|late| chain(&late)).and_then(|done| done.map_err(|error| chain(&error)));
    if let Err(reason) = settled {
        tracing::warn!(message = format!("what was told was not settled: {reason}"));
    }
}

fn lines(judged: &[Judged]) -> impl Iterator<Item = String> {
    judged.iter().flat_map(|one| one.findings.iter().map(move |finding| text::line(&one.subject, finding)))
}

/// The snapshots of the answer. What was found while it was copied or deleted stands beside, with the same one.
fn rows(judged: &[Judged]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for judged in judged {
        let Subject::Snapshot(snapshot, region) = &judged.subject else { continue };
        let kinds = judged.findings.iter().map(Finding::kind);
        match rows
            .iter_mut()
            .find(|row| row.name == snapshot.name && row.kind == snapshot.kind && row.region == *region)
        {
            Some(row) => {
                row.findings.extend(kinds);
                row.verdict = Some("fail");
            }
            None => rows.push(Row {
                name: snapshot.name.clone(),
                region: region.clone(),
                kind: snapshot.kind,
                instance: snapshot.instance.clone(),
                status: snapshot.status.clone(),
                verdict: policy::verdict(snapshot, &judged.findings),
                findings: kinds.collect(),
            }),
        }
    }
    rows
}

/// Tells and records, once a day for each cause, that nothing is known.
pub(crate) async fn report_failed(
    app: &App,
    trigger: &Trigger,
    day: &str,
    error: &VerifyError,
    invocation: &Invocation,
) {
    let run_id = format!("{day}/{}", error.fingerprint());
    let language = app.settings.language;
    let message = text::failed(&app.settings, &run_id, &chain(error), &error.next_step(language));
    let begun = app.reporter.look(&run_id).await;
    let mut findings = vec![format!("{} run: {}", error.kind(), chain(error))];
    // What was wrong before still is, as far as anybody knows.
    let before = app.reporter.before::<Before>().await.ok().flatten().unwrap_or_default();
    findings.extend(before.findings.into_iter().filter(|line| !line.starts_with(error.kind())));
    let draft = Draft {
        steps: vec![Step::now("look at the snapshots", format!("failed: {}", error.kind()))],
        findings,
        ..draft(app, trigger, &run_id, "failed", invocation)
    };
    app.reporter.report(draft, Some(&message), begun, invocation).await;
}

/// The part of a record that every run has.
fn draft(app: &App, trigger: &Trigger, run_id: &str, result: &'static str, invocation: &Invocation) -> Draft {
    let (project, environment) = (&app.settings.project, &app.settings.environment);
    let (trigger, subject) = match trigger {
        Trigger::Sweep => ("sweep".to_owned(), format!("snapshots of {project}-{environment}")),
        Trigger::Follow => ("hourly look".to_owned(), format!("copies of {project}-{environment}")),
        Trigger::One(name) => ("snapshot event".to_owned(), format!("snapshot {name}")),
    };
    Draft { trigger, subject, ..Draft::of(&app.settings, run_id, result, invocation.now) }
}
