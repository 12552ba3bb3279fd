//! Report: page, message and record of a run, of a baseline, and of what the reaper found.

use proof::{Reading, Verdict};
use shared::run::baselines::Taken;
use shared::run::evidence::{Draft, Step};
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::time;
use shared::workflow::{Broken, Failed, PageFailed};

use crate::error::FailureKind;
use crate::rules::baseline::unread;
use crate::rules::case::Case;
use crate::rules::instance::Instance;
use crate::rules::run::Run;
use crate::{App, RestoreError, text};

/// Reports and records a green test, once.
pub(crate) async fn passed(app: &App, case: &Case, invocation: &Invocation) {
    let message = text::passed(&app.base.settings, case);
    let draft = draft(app, case, &case.execution, "succeeded", Vec::new());
    app.base.reporter.report_once(draft, Some(&message), invocation).await;
}

/// Pages, reports and records a test that is not green.
pub(crate) async fn failed(
    app: &App,
    case: &Case,
    broken: &Broken,
    invocation: &Invocation,
) -> Result<(), PageFailed> {
    let day = time::local_date(invocation.now);
    let findings = vec![format!("{}: {}", broken.kind, broken.detail)];
    let failed = Failed {
        page: &text::page(&app.base.settings, case, broken),
        once: &day,
        message: &text::failed(&app.base.settings, case, broken, &case.execution),
        draft: draft(app, case, &case.execution, "failed", findings),
    };
    failed.report(&app.base, invocation).await
}

/// The same for a run whose execution died: the reaper speaks for it.
pub(crate) async fn died(app: &App, case: &Case, invocation: &Invocation) -> Result<(), PageFailed> {
    let run = case.run.as_ref();
    let status = run.and_then(|run| run.stopped.clone());
    let detail = match (&status, run) {
        (Some(status), _) => format!("the execution is {status} and did not end its test"),
        (None, Some(run)) => format!("no sign of life since {}", time::local(run.seen)),
        (None, None) => "the execution did not end its test".to_owned(),
    };
    failed(app, case, &Broken { kind: FailureKind::RunDied.into(), detail }, invocation).await
}

/// Records that an instance is gone that a reported run could not remove.
pub(crate) async fn removed(app: &App, case: &Case, invocation: &Invocation) {
    let run_id = format!("{}/removed", case.execution);
    let message = text::removed(&app.base.settings, case, &run_id);
    let draft = draft(app, case, &run_id, "succeeded", Vec::new());
    app.base.reporter.report_once(draft, Some(&message), invocation).await;
}

/// Pages, reports and records an instance that exists past its deadline; once a day.
pub(crate) async fn outlived(
    app: &App,
    region: &str,
    instance: &Instance,
    invocation: &Invocation,
) -> Result<(), PageFailed> {
    let detail = format!("the instance {} is {} past its deadline", instance.name, instance.status);
    let away = (region != app.region).then(|| region.to_owned());
    let case = Case { away, ..Case::of(&instance.name, &app.instance) };
    stands(app, &case, instance, FailureKind::Outlived, detail, invocation).await
}

/// The same for what exists under the name of a dead run's instance and no longer has its tags.
pub(crate) async fn foreign(
    app: &App,
    run: &Run,
    instance: &Instance,
    invocation: &Invocation,
) -> Result<(), PageFailed> {
    let mut case = Case::of(&run.execution, &app.instance);
    case.run = Some(run.clone());
    (case.is_left, case.is_foreign) = (true, true);
    let detail = RestoreError::InstanceNotOurs(instance.name.clone()).to_string();
    stands(app, &case, instance, FailureKind::InstanceNotOurs, detail, invocation).await
}

async fn stands(
    app: &App,
    case: &Case,
    instance: &Instance,
    kind: FailureKind,
    detail: String,
    invocation: &Invocation,
) -> Result<(), PageFailed> {
    let day = time::local_date(invocation.now);
    let run_id = format!("{}/{kind}/{day}", instance.name);
    let broken = Broken { kind: kind.into(), detail };
    let findings = vec![format!("{}: {}", broken.kind, broken.detail)];
    let failed = Failed {
        page: &text::page(&app.base.settings, case, &broken),
        once: &day,
        message: &text::failed(&app.base.settings, case, &broken, &run_id),
        draft: Draft {
            subject: format!("instance {}", instance.name),
            ..draft(app, case, &run_id, "failed", findings)
        },
    };
    failed.report(&app.base, invocation).await
}

/// Records a baseline: its figures, and the SHA-256 of its document, stand in the chain of records, so that nobody can
/// exchange them. A message says only that a table could not be read, since a test would not verify it.
pub(crate) async fn baseline(app: &App, taken: &Taken, reading: &Reading, invocation: &Invocation) {
    let tables = reading.tables.iter().map(|(name, table)| {
        let rows = table.content.value().map(|content| content.rows);
        let outcome = rows.map_or_else(|| "not read".to_owned(), |rows| format!("{rows} rows"));
        Step::now(format!("table {name}"), outcome)
    });
    let version = reading.server.as_ref().map(|server| format!("PostgreSQL {}", server.version));
    let document = format!("SHA-256 of the document: {}", taken.sha256);
    let unread: Vec<String> = unread(reading)
        .into_iter()
        .map(|(name, failure)| format!("{name}: {}", proof::text::failure(failure, Language::English)))
        .collect();
    let draft = Draft {
        trigger: taken.snapshot.as_ref().map_or("baseline", |_| "snapshot").to_owned(),
        subject: format!("instance {}", app.instance),
        steps: tables.collect(),
        findings: taken
            .snapshot
            .iter()
            .map(|name| format!("baseline for the snapshot {name}"))
            .chain(version)
            .chain([document])
            .chain(unread.iter().map(|table| format!("not read: {table}")))
            .collect(),
        ..Draft::of(&app.base.settings, &taken.execution, "succeeded", taken.started)
    };
    let message = (!unread.is_empty())
        .then(|| text::incomplete(&app.base.settings, &app.instance, &unread, &taken.execution));
    app.base.reporter.report_once(draft, message.as_ref(), invocation).await;
}

/// The record of a run: the times of the recovery, and one step for each check with its figure.
fn draft(app: &App, case: &Case, run_id: &str, result: &'static str, mut findings: Vec<String>) -> Draft {
    let now = time::now();
    let run = case.run.as_ref();
    let mut steps: Vec<Step> = Vec::new();
    for (name, duration) in case.recovery() {
        steps.push(Step::now(
            format!("recovery: {name}"),
            format!("{} s after the request", duration.as_secs()),
        ));
    }
    if let Some(lost) = case.recovery_point() {
        steps.push(Step::now("recovery point", format!("{} s before the test", lost.as_secs())));
    }
    for line in &case.lines {
        let sentence = proof::text::sentence(line, Language::English);
        let outcome = format!("{}: {sentence}", text::verdict(line.verdict, Language::English));
        if ![Verdict::Pass, Verdict::Unavailable].contains(&line.verdict) {
            findings.push(outcome.clone());
        }
        let name = proof::text::check(line.check, Language::English);
        steps.push(Step::now(format!("{name}: {}", line.object), outcome));
    }
    findings.extend(case.unread.iter().map(|reason| format!("not read again: {reason}")));
    if let Some(run) = run {
        if let Some(reason) = &run.source_unread {
            findings.push(format!("the source was not read: {reason}"));
        }
        let of = |execution: &Option<String>| execution.clone().unwrap_or_else(|| "none".to_owned());
        steps.push(Step::now("baseline before the snapshot", of(&run.before)));
        steps.push(Step::now(
            "baseline after the snapshot",
            run.after.clone().unwrap_or_else(|| "read by this run".to_owned()),
        ));
        let removal = match (run.removed, run.asked, case.is_left) {
            (_, None, _) => "never requested",
            (_, Some(_), true) if case.is_foreign => "exists without the run's tags",
            (_, Some(_), true) => "still exists",
            (Some(_), Some(_), false) | (None, Some(_), false) => "removed",
        };
        steps.push(Step::now(format!("instance {}", run.instance), removal));
        let asked = [("requested by", &run.by), ("reason", &run.reason)];
        findings
            .extend(asked.into_iter().filter_map(|(what, text)| Some(format!("{what}: {}", text.as_ref()?))));
    }
    Draft {
        trigger: run.and_then(|run| run.by.clone()).unwrap_or_else(|| "person".to_owned()),
        subject: run.map_or_else(|| format!("instance {}", case.database), |run| run.snapshot.arn.clone()),
        steps,
        findings,
        ..Draft::of(&app.base.settings, run_id, result, case.begun(now))
    }
}
