//! Report: the message, the record, the journal once both are saved, and the answer.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
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
    /// Id of the record; none if the run needed no record.
    pub run_id: Option<String>,
    /// `succeeded` if every snapshot in scope was read and no finding fails; `nothing` if no snapshot is in scope; else
    /// `failed`.
    pub result: &'static str,
    /// The snapshots in scope.
    pub snapshots: Vec<Row>,
    /// Keys of all findings.
    pub findings: Vec<String>,
    /// Names of the deleted snapshots.
    pub deleted: Vec<String>,
    /// Names of the completed copies.
    pub copied: Vec<String>,
    /// Dedup keys of the published pages.
    pub paged: Vec<String>,
}

/// One snapshot of the answer.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name.
    pub name: String,
    /// The region, if it is the copies'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the database is an instance or a cluster.
    pub kind: Kind,
    /// The instance or cluster that it was taken of.
    pub instance: String,
    /// RDS's status.
    pub status: String,
    /// `pass`, `fail` or `could-not-verify`; none while RDS makes it within the time limit.
    pub verdict: Option<&'static str>,
    /// Kinds of its findings.
    pub findings: Vec<&'static str>,
}

/// The fields of the previous record that a run needs.
#[derive(Default, Deserialize)]
struct Before {
    sequence: u64,
    #[serde(deserialize_with = "findings")]
    findings: Vec<String>,
    steps: Vec<PastStep>,
}

/// A record's line about the findings for which it had no room is none of them.
fn findings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut lines = Vec::<String>::deserialize(deserializer)?;
    lines.retain(|line| !line.starts_with('+'));
    Ok(lines)
}

#[derive(Deserialize)]
struct PastStep {
    name: String,
}

/// Reports changes and actions to the channel, writes the record, and settles the reported actions in the journal.
pub(crate) async fn report(
    app: &App,
    trigger: &Trigger,
    facts: &Facts,
    mut run: Run,
    invocation: &Invocation,
) -> Result<Report, VerifyError> {
    let before = app.reporter.before::<Before>().await.ok().flatten().unwrap_or_default();
    let changes = changes(trigger, app.region(), &before.findings, &run.judged);
    // An attempt that died after writing its record has already reported them.
    let is_reported = |action: &Action| before.steps.iter().any(|step| step.name == action.step());
    let fresh: Vec<Action> = run.actions.iter().filter(|action| !is_reported(action)).cloned().collect();
    run.steps.extend(fresh.iter().map(|action| Step::now(action.step(), text::outcome(action))));
    let has_changed = !changes.new.is_empty() || !changes.resolved.is_empty() || !fresh.is_empty();
    let of_day = app.reporter.look(&run.day).await;
    let is_of_day = *trigger == Trigger::Sweep && !of_day.is_recorded();
    // A further run of the day that found a change is named after the next sequence number.
    let run_id = if is_of_day {
        Some(run.day.clone())
    } else {
        has_changed.then(|| format!("{}/{}", run.day, before.sequence + 1))
    };
    let is_green = run.judged.iter().flat_map(|one| &one.findings).all(|finding| !finding.fails());
    let result = if is_green { "succeeded" } else { "failed" };
    if let Some(run_id) = &run_id {
        let begun = if is_of_day { of_day } else { app.reporter.look(run_id).await };
        let summary = text::Summary {
            run_id,
            judged: &run.judged,
            new: &changes.new,
            resolved: &changes.resolved,
            still: &changes.still,
            actions: &fresh,
        };
        let message = (has_changed || begun.was_left_open()).then(|| text::summary(&app.settings, &summary));
        let count = format!("read {} snapshots", rows(&run.judged).len());
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
        settle(app, journal, facts, &run, invocation).await;
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

/// Removes reported and abandoned actions from the journal. An error does not fail the run: the next run finds the
/// reported actions in the record.
async fn settle(app: &App, journal: &Journal, facts: &Facts, run: &Run, invocation: &Invocation) {
    let mut targets = BTreeSet::new();
    let mut deletions = run.spared.clone();
    for action in &run.actions {
        match action {
            Action::Deleted(deletion) => deletions.push(deletion.clone()),
            Action::Copied { target, .. } => drop(targets.insert(target.clone())),
        }
    }
    // A failed copy is reported as a finding. A missing copy of another day was refused, or deleted by a person.
    if let Some(copies) = facts.copies() {
        for copy in journal.copies.iter().filter(|copy| !copy.reported) {
            let found = copies.iter().find(|one| copy.is(one));
            let has_failed = found.is_some_and(|found| progress(&found.status) == Progress::Failed);
            if has_failed || (found.is_none() && copy.day != run.day) {
                targets.insert(copy.target.clone());
            }
        }
    }
    if targets.is_empty() && deletions.is_empty() {
        return;
    }
    let margin = Duration::from_millis(500);
    let settled = invocation
        .before_deadline(margin, update(app, |journal| journal.settle(&run.day, &targets, &deletions)))
        .await;
    let settled = settled.map_err(|late| chain(&late)).and_then(|done| done.map_err(|error| chain(&error)));
    if let Err(reason) = settled {
        tracing::warn!(message = format!("the journal was not settled: {reason}"));
    }
}

fn lines(judged: &[Judged]) -> impl Iterator<Item = String> {
    judged.iter().flat_map(|one| one.findings.iter().map(move |finding| text::line(&one.subject, finding)))
}

/// The answer's rows, one per snapshot. Findings of its deletion join the row of the snapshot.
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

/// Reports and records a failed run, once a day for each cause.
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
    // Carry the previous findings over: this run could not check them.
    let before = app.reporter.before::<Before>().await.ok().flatten().unwrap_or_default();
    findings.extend(before.findings.into_iter().filter(|line| !line.starts_with(error.kind())));
    let draft = Draft {
        steps: vec![Step::now("read the snapshots", format!("failed: {}", error.kind()))],
        findings,
        ..draft(app, trigger, &run_id, "failed", invocation)
    };
    app.reporter.report(draft, Some(&message), begun, invocation).await;
}

/// The fields common to all records.
fn draft(app: &App, trigger: &Trigger, run_id: &str, result: &'static str, invocation: &Invocation) -> Draft {
    let (project, environment) = (&app.settings.project, &app.settings.environment);
    let (trigger, subject) = match trigger {
        Trigger::Sweep => ("sweep".to_owned(), format!("snapshots of {project}-{environment}")),
        Trigger::Follow => {
            ("hourly check of copies".to_owned(), format!("copies of {project}-{environment}"))
        }
        Trigger::One(name) => ("snapshot event".to_owned(), format!("snapshot {name}")),
    };
    Draft { trigger, subject, ..Draft::of(&app.settings, run_id, result, invocation.now) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_line_about_findings_without_room_is_neither_resolved_nor_carried() {
        let record = json!({
            "sequence": 4, "steps": [],
            "findings": ["Failed snapshot a: x", "+12: not in this record, which would be too large"]
        });
        let before: Before = serde_json::from_value(record).unwrap();
        assert_eq!(before.findings, ["Failed snapshot a: x"]);
        let changes = changes(&Trigger::Sweep, None, &before.findings, &[]);
        assert_eq!(changes.resolved.into_iter().collect::<Vec<_>>(), ["Failed snapshot a"]);
        assert!(changes.carried.is_empty());
    }
}
