//! The course of an export: read, store, propose, have it checked, note.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::github::proposal::{self, propose_folder};
use shared::grafana::Session;
use shared::policy::Accepted;
use shared::run::evidence::Step;
use shared::run::grafana::{Export, NOTE};
use shared::runtime::lambda::Invocation;
use shared::runtime::time::SAO_PAULO;

use crate::check::{self, Verdict};
use crate::error::ExportError;
use crate::event::Event;
use crate::grafana::Version;
use crate::grafana::read::{self, Read};
use crate::rules::bundle::{Bundle, Changes, sha256};
use crate::rules::finding::{Finding, baseline, shrunk};
use crate::{App, Place, Report, text};

/// Time reserved for the restore check, its removal, and the report.
const CHECKING: Duration = Duration::from_secs(420);

/// Prefix of the branch of the pull request; only this function uses it.
const BRANCH: &str = "governance/grafana-export";

/// What a run found and did.
pub(crate) struct Exported {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// For the answer.
    pub report: Report,
    /// Whether the pull request is new.
    pub is_proposed: bool,
}

/// What was read, and where it is stored.
struct Stored {
    bundle: Bundle,
    lengths: BTreeMap<String, usize>,
    namespace: Option<String>,
    scratch: Vec<String>,
    key: String,
    sha256: String,
    changes: Changes,
    findings: Vec<Finding>,
    version: Version,
}

/// The export that a release is kept with.
#[derive(Deserialize, Serialize)]
struct Released {
    release: String,
    export: String,
    sha256: String,
    grafana: String,
}

/// Exports once, and reports each step for the record.
///
/// # Errors
///
/// [`ExportError`] if nothing could be exported.
pub(crate) async fn export(
    app: &App,
    event: &Event,
    invocation: &Invocation,
) -> Result<(Exported, Vec<Step>), ExportError> {
    let session = app.session().await?;
    let documents = app.documents();
    let last: Option<Export> = documents.get(NOTE).await?;
    let mut steps = Vec::new();
    let work = Box::pin(store(app, &session, event, last.as_ref(), invocation, &mut steps));
    let mut stored = invocation.before_deadline(CHECKING, work).await??;
    let last = last.unwrap_or_default();

    let mut pull_request = None;
    if let Some(place) = &app.place {
        let work = Box::pin(propose(app, place, &stored, invocation));
        let proposed = invocation.before_deadline(CHECKING, work).await;
        match proposed.map_err(|late| late.to_string()).and_then(|proposed| proposed) {
            Ok(number) => {
                let outcome = number.map_or_else(|| "merged".to_owned(), |number| format!("#{number}"));
                steps.push(Step::now("pull request", outcome));
                pull_request = number;
            }
            Err(why) => {
                steps.push(Step::now("pull request", format!("failed: {why}")));
                app.base.reporter.lost("TaskFailures", "TaskFailed", &why, "pull request with the export");
                stored.findings.push(Finding::NotProposed { why });
                pull_request = last.pull_request;
            }
        }
    }
    let is_proposed = pull_request.is_some() && pull_request != last.pull_request;

    let asked = check::Asked {
        bundle: &stored.bundle,
        sha256: &stored.sha256,
        namespace: stored.namespace.as_deref(),
        scratch: &stored.scratch,
        is_asked: event.check,
        last: &last,
    };
    let checked = Box::pin(check::check(&session, documents, &asked, invocation)).await;
    steps.extend(checked.steps);
    stored.findings.extend(checked.findings);
    let note =
        |export: &mut Export| note(export, &stored, event, pull_request, &checked.verdict, invocation.now);
    documents.update(NOTE, note).await?;

    stored.findings.sort_by_key(Finding::rank);
    let Changes { added, changed, removed } = &stored.changes;
    let report = Report {
        grafana: stored.version.text.clone(),
        dashboards: stored.bundle.dashboards.len(),
        rule_groups: stored.bundle.rule_groups.len(),
        changes: [added.len(), changed.len(), removed.len()],
        export: stored.key,
        sha256: stored.sha256,
        release: event.release.clone(),
        pull_request,
        check: checked.verdict.word(),
        findings: stored.findings.iter().map(Finding::key).collect(),
        ..Report::default()
    };
    Ok((Exported { findings: stored.findings, report, is_proposed }, steps))
}

/// Reads Grafana and stores what it has, once for each content and once for each release.
async fn store(
    app: &App,
    session: &Session<'_>,
    event: &Event,
    last: Option<&Export>,
    invocation: &Invocation,
    steps: &mut Vec<Step>,
) -> Result<Stored, ExportError> {
    let documents = app.documents();
    let list = &app.base.settings.policy.grafana.accepted;
    let version = Version::of(session).await?;
    if version.is_too_old() {
        return Err(ExportError::TooOld(version.text));
    }
    let read = read::everything(session, list, today(invocation.now)).await?;
    let Read { mut bundle, mut findings, lost, accepted, scratch, namespace, .. } = read;
    steps.push(Step::now(format!("read Grafana {}", version.text), bundle.counts()));
    steps.extend(accepted.iter().map(|one| {
        let Accepted { object, place, reason, owner, until, .. } = one;
        Step::now(format!("accept {object} {place}"), format!("{reason} ({owner}, until {until})"))
    }));
    if version.is_unknown() {
        findings.push(Finding::VersionUntested { version: version.text.clone() });
    }
    let before = match last.filter(|last| !last.key.is_empty()) {
        Some(last) => documents.kept::<Bundle>(&last.key).await?,
        None => None,
    };
    if let Some(before) = &before {
        lost.iter().for_each(|lost| bundle.keep(lost, before, list));
    }
    let lengths = bundle.lengths();
    if let Some(last) = last.filter(|_| !event.accept_shrunk) {
        findings.extend(shrunk(&last.lengths, &lengths));
    }
    let changes = bundle.since(before.as_ref());

    let bytes = bundle.bytes();
    let sha256 = sha256(&bytes);
    let key = format!("grafana/exports/{sha256}.json");
    let is_new = documents.keep(&key, bytes).await?;
    let outcome = if is_new { "stored" } else { "is stored already" };
    steps.push(Step::now(format!("store {key}"), format!("{outcome}; {}", text::changes(&changes))));
    if let Some(release) = &event.release {
        let place = format!("grafana/releases/{release}.json");
        let (export, sha256) = (key.clone(), sha256.clone());
        let own = Released { release: release.clone(), export, sha256, grafana: version.text.clone() };
        let bytes = serde_json::to_vec_pretty(&own).unwrap_or_default();
        let is_new = documents.keep(&place, bytes).await?;
        let kept = if is_new { None } else { documents.kept::<Released>(&place).await? };
        let kept = kept.filter(|kept| kept.sha256 != own.sha256);
        let outcome =
            kept.as_ref().map_or_else(|| own.sha256.clone(), |kept| format!("stays {}", kept.sha256));
        steps.push(Step::now(format!("release {release}"), outcome));
        let finding = |kept: Released| Finding::ReleaseKept { release: release.clone(), key: kept.export };
        findings.extend(kept.map(finding));
    }
    Ok(Stored { bundle, lengths, namespace, scratch, key, sha256, changes, findings, version })
}

/// The day in São Paulo.
pub(crate) fn today(now: Timestamp) -> Date {
    now.to_zoned_datetime(SAO_PAULO).date()
}

impl Stored {
    /// Files of the objects that the export has in their earlier form, or not at all.
    fn left_out(&self) -> BTreeSet<String> {
        self.findings.iter().filter_map(Finding::left_out).map(str::to_owned).collect()
    }
}

/// Makes sure that a pull request has the export's files, or that they were merged. Its number, if one is open.
async fn propose(
    app: &App,
    place: &Place,
    stored: &Stored,
    invocation: &Invocation,
) -> Result<Option<u64>, String> {
    let session = place.session(app, invocation).await?;
    let settings = &app.base.settings;
    // Stacks may share a repository.
    let (path, branch) =
        (format!("{}/{}", place.folder, settings.environment), format!("{BRANCH}-{}", settings.environment));
    let mut files = stored.bundle.files();
    files.insert("README.md".to_owned(), text::paper::index(&stored.bundle, settings.language));
    let title = text::paper::title(settings);
    let body = text::paper::body(&stored.changes, &stored.left_out(), &stored.key, settings.language);
    let folder = proposal::Folder {
        base: None,
        branch: &branch,
        path: &path,
        files: &files,
        message: &title,
        title: &title,
        body: &body,
    };
    let proposed = propose_folder(&session, &folder).await;
    Ok(proposed.map_err(|error| error.to_string())?.number)
}

/// Notes this export; what a later run has noted in between stays.
fn note(
    export: &mut Export,
    stored: &Stored,
    event: &Event,
    pull_request: Option<u64>,
    verdict: &Verdict,
    now: Timestamp,
) {
    let is_later = |at: Option<Timestamp>| at.is_some_and(|at| at > now);
    if !is_later(export.exported_at) {
        export.exported_at = Some(now);
        export.key.clone_from(&stored.key);
        export.sha256.clone_from(&stored.sha256);
        if let Some(release) = &event.release {
            export.release.clone_from(release);
        }
        export.version.clone_from(&stored.version.text);
        export.dashboards = stored.bundle.dashboards.len();
        export.rule_groups = stored.bundle.rule_groups.len();
        export.left_out = stored.left_out().len();
        export.lengths = baseline(&export.lengths, &stored.lengths, event.accept_shrunk);
        export.pull_request = pull_request;
    }
    if let Some(fault) = verdict.fault().filter(|_| !is_later(export.checked_at)) {
        export.checked_at = Some(now);
        export.checked_sha256.clone_from(&stored.sha256);
        export.fault = fault;
    }
    let since = export.unchecked_since.or(Some(now));
    export.unchecked_since = since.filter(|_| export.checked_sha256 != export.sha256);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(sha256: &str) -> Stored {
        Stored {
            bundle: Bundle::default(),
            lengths: BTreeMap::new(),
            namespace: None,
            scratch: Vec::new(),
            key: format!("grafana/exports/{sha256}.json"),
            sha256: sha256.to_owned(),
            changes: Changes::default(),
            findings: vec![Finding::NotExported { what: "a".to_owned(), why: String::new() }],
            version: Version::parse("11.2.0").unwrap(),
        }
    }

    #[test]
    fn a_run_replaces_nothing_that_a_later_one_has_noted() {
        let at = |hour: u8| format!("2026-12-01T0{hour}:00:00Z").parse::<Timestamp>().unwrap();
        let (mut export, failed) = (Export::default(), Verdict::Failed("x".to_owned()));
        let released = Event { release: Some("v1".to_owned()), ..Event::default() };
        note(&mut export, &stored("a"), &released, Some(7), &Verdict::Passed, at(1));
        assert_eq!((export.unchecked_since, export.left_out, export.release.as_str()), (None, 1, "v1"));
        // Another content that was not checked, twice.
        note(&mut export, &stored("b"), &Event::default(), None, &Verdict::NotMade, at(2));
        note(&mut export, &stored("b"), &Event::default(), None, &Verdict::NotMade, at(3));
        assert_eq!((export.checked_at, export.unchecked_since), (Some(at(1)), Some(at(2))));
        note(&mut export, &stored("b"), &Event::default(), None, &failed, at(5));
        let later = export.clone();
        assert_eq!((later.fault.as_deref(), later.unchecked_since), (Some("x"), None));
        // A run that began earlier ends later.
        note(&mut export, &stored("a"), &released, Some(7), &Verdict::Passed, at(4));
        assert_eq!(export, later);
        // Only what a run knows is replaced.
        note(&mut export, &stored("b"), &Event::default(), None, &Verdict::NotDue, at(6));
        assert_eq!(
            (export.fault, export.checked_at, export.release),
            (later.fault, later.checked_at, later.release)
        );
    }
}
