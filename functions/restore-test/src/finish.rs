//! The last step: judge, report, record, and give the place back.

use std::time::Duration;

use proof::{Facts, Plan, Reading, Verdict, judge, worst};
use shared::aws::snapshots::major;
use shared::run::baselines::document;
use shared::run::documents::DocumentError;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::time;
use shared::workflow::{self, Broken};

use crate::answer::{Answer, Outcome, about, because};
use crate::error::FailureKind;
use crate::event::{Input, Step};
use crate::rules::case::Case;
use crate::rules::ledger;
use crate::rules::run::Run;
use crate::{App, REPORTING, RestoreError, aws, note, report, restore};

/// Pause before the second and last attempt to read a document.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn finish(
    app: &App,
    run: workflow::Run<Step, Input>,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let broken = run.broken.clone();
    if let Some(broken) = &broken {
        tracing::warn!(message = broken.detail, failure = broken.kind);
    }
    let mut case = Case::of(&run.execution, &app.instance);
    match &run.input {
        Some(Input::Baseline(cause)) => case.baseline = Some(cause.clone()),
        Some(Input::Test(request)) => case.request = Some(request.clone()),
        None => {}
    }
    let is_refused =
        |broken: &&Broken| FailureKind::from(broken.kind.as_str()) == FailureKind::ClusterNotSupported;
    if broken.as_ref().filter(is_refused).is_some() {
        // Without it, the message names the database that the stack names.
        let cluster = invocation.before_deadline(REPORTING, aws::cluster(&app.rds, &app.instance)).await;
        case.cluster = cluster.ok().and_then(Result::ok).flatten();
    }
    let found = invocation.before_deadline(REPORTING, noted(app, &run.execution)).await?;
    let broken = match found {
        Ok(found) => {
            case.run = found;
            broken
        }
        // Without its note, the run is still reported, and the reaper cleans up after it.
        Err(error) => {
            tracing::error!(message = format!("the run's note was not read: {}", chain(&error)));
            broken.or_else(|| Some(Broken { kind: error.kind().to_owned(), detail: chain(&error) }))
        }
    };
    if let Some(run) = case.run.clone() {
        invocation.before_deadline(REPORTING, prove(app, &mut case, &run)).await?;
        // Observed, not inferred: this decides whether anything is left.
        (case.is_left, case.is_foreign) =
            match invocation.before_deadline(REPORTING, restore::own(app, &run)).await {
                Ok(Ok(found)) => (found.is_some(), false),
                // Either somebody changed the tags of this run's instance, or RDS was never asked for one.
                Ok(Err(RestoreError::InstanceNotOurs(_))) => (run.asked.is_some(), run.asked.is_some()),
                Ok(Err(_)) | Err(_) => (run.asked.is_some() && run.removed.is_none(), false),
            };
    }
    let outcome = outcome(&case, broken);
    let answer = match &outcome {
        None => {
            report::passed(app, &case, invocation).await;
            case.run
                .as_ref()
                .map_or_else(|| Answer::now(Outcome::Passed), |run| about(run, 0, Outcome::Passed))
        }
        Some(broken) => {
            report::failed(app, &case, broken, invocation).await?;
            let kind = FailureKind::from(broken.kind.as_str());
            let is_unknown = matches!(kind, FailureKind::NotVerified | FailureKind::NotFinished);
            because(if is_unknown { Outcome::Unverified } else { Outcome::Failed }, broken.clone())
        }
    };
    if case.run.is_some() {
        let now = time::now();
        note::update(app, |ledger| {
            ledger.settle(&run.execution, |run| {
                run.ended.get_or_insert(now);
                run.is_reported = true;
                if !case.is_left && run.asked.is_some() {
                    run.removed.get_or_insert(now);
                }
            });
        })
        .await?;
    }
    Ok(answer)
}

/// The execution's run, read twice if S3 fails.
async fn noted(app: &App, execution: &str) -> Result<Option<Run>, RestoreError> {
    match note::find(app, execution).await {
        Err(RestoreError::NoteFailed(DocumentError::S3(call))) => {
            tracing::warn!(message = format!("the run's note was not read: {}", chain(&call)));
            tokio::time::sleep(PAUSE).await;
            note::find(app, execution).await
        }
        found => found,
    }
}

/// A stored reading; none if there is none, or if it could not be read, which is noted as a reason not to trust a green
/// proof. `sha256` is what the list of baselines says of it.
async fn stored(app: &App, case: &mut Case, name: &str, sha256: Option<&str>) -> Option<Reading> {
    let documents = &app.base.reporter.documents;
    let read = async || match sha256 {
        Some(sha256) => documents.recorded(name, sha256).await,
        None => documents.get(name).await,
    };
    let mut found = read().await;
    if let Err(DocumentError::S3(call)) = &found {
        tracing::warn!(message = format!("{name} was not read: {}", chain(call)));
        tokio::time::sleep(PAUSE).await;
        found = read().await;
    }
    match found {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(message = format!("{name} was not read: {}", chain(&error)));
            case.unread.push(format!("{name}: {}", chain(&error)));
            None
        }
    }
}

/// Judges what was read; leaves the verdict open if nothing of the copy was.
pub(crate) async fn prove(app: &App, case: &mut Case, run: &Run) {
    let restored = stored(app, case, &ledger::reading(&run.execution, "restored"), None).await;
    let Some(restored) = restored else { return };
    let before = match &run.before {
        Some(execution) => stored(app, case, &document(execution), run.before_sha256.as_deref()).await,
        None => None,
    };
    let after = match &run.after {
        Some(execution) => stored(app, case, &document(execution), run.after_sha256.as_deref()).await,
        None => stored(app, case, &ledger::reading(&run.execution, "source"), None).await,
    };
    let snapshot = run.data_time().unwrap_or(run.begun);
    let facts = Facts { snapshot, major: major(&run.snapshot.engine_version) };
    case.lines = judge(&Plan::from(app.policy()), before.as_ref(), after.as_ref(), &restored, &facts);
    case.verdict = Some(worst(&case.lines));
    case.restored = Some(restored);
}

/// Why the test is not green; none if it is. What broke the test hides no proof that failed, and a proof that failed is
/// more than an instance that is left.
pub(crate) fn outcome(case: &Case, broken: Option<Broken>) -> Option<Broken> {
    let of = |kind: FailureKind, detail: String| Some(Broken { kind: kind.into(), detail });
    let count = |verdict| case.of_verdict(verdict).count();
    if case.verdict == Some(Verdict::Fail) {
        return of(FailureKind::ProofFailed, format!("{} checks failed", count(Verdict::Fail)));
    }
    if broken.is_some() {
        return broken;
    }
    if case.is_foreign {
        let name = case.run.as_ref().map_or("?", |run| run.instance.as_str()).to_owned();
        return of(FailureKind::InstanceNotOurs, RestoreError::InstanceNotOurs(name).to_string());
    }
    if case.is_left {
        let name = case.run.as_ref().map_or("?", |run| run.instance.as_str());
        return of(FailureKind::NotRemoved, format!("the instance {name} still exists"));
    }
    if !case.unread.is_empty() {
        let detail = format!("what was read could not be judged: {}", case.unread.join("; "));
        return of(FailureKind::NotVerified, detail);
    }
    match case.verdict {
        Some(Verdict::Pass | Verdict::Unavailable) => None,
        Some(Verdict::NotFinished) => {
            let left = case.restored.as_ref().map_or(0, |reading| reading.left().objects);
            of(FailureKind::NotFinished, format!("{left} objects of the copy were not read to their end"))
        }
        Some(Verdict::Unverified) => {
            let detail = format!("{} checks could not be made", count(Verdict::Unverified));
            of(FailureKind::NotVerified, detail)
        }
        Some(Verdict::Fail) | None => {
            of(FailureKind::NotVerified, "nothing of the restored copy was read".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use proof::{Check, Figure, Line};

    use super::*;

    #[test]
    fn the_worst_finding_is_the_outcome() {
        let line =
            |verdict| Line { check: Check::Rows, object: "t".to_owned(), verdict, figure: Figure::None };
        let told = || Broken { kind: "RemovalSlow".to_owned(), detail: "why".to_owned() };
        for (verdicts, is_left, broken, expected) in [
            (&[Verdict::Pass, Verdict::Unavailable][..], false, None, None),
            (&[Verdict::Pass, Verdict::Unverified], false, None, Some("NotVerified")),
            (&[Verdict::Unverified, Verdict::NotFinished], false, None, Some("NotFinished")),
            (&[Verdict::NotFinished, Verdict::Fail], false, None, Some("ProofFailed")),
            (&[Verdict::Fail], true, Some(told()), Some("ProofFailed")),
            (&[Verdict::Pass], true, Some(told()), Some("RemovalSlow")),
            (&[Verdict::Pass], true, None, Some("NotRemoved")),
            (&[], false, Some(told()), Some("RemovalSlow")),
            (&[], false, None, Some("NotVerified")),
        ] {
            let mut case = Case::of("e", "db");
            case.lines = verdicts.iter().copied().map(line).collect();
            case.verdict = (!verdicts.is_empty()).then(|| worst(&case.lines));
            case.is_left = is_left;
            let found = outcome(&case, broken);
            assert_eq!(found.as_ref().map(|broken| broken.kind.as_str()), expected);
        }
    }

    #[test]
    fn what_hides_something_is_not_green() {
        let green = || Case { verdict: Some(Verdict::Pass), ..Case::of("e", "db") };
        assert_eq!(outcome(&green(), None), None);
        let unread = Case { unread: vec!["reading: not valid".to_owned()], ..green() };
        let broken = outcome(&unread, None).unwrap();
        assert!(broken.kind == "NotVerified" && broken.detail.contains("reading: not valid"), "{broken:?}");
        let foreign = Case { is_left: true, is_foreign: true, ..green() };
        assert_eq!(outcome(&foreign, None).unwrap().kind, "InstanceNotOurs");
    }
}
