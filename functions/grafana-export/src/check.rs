//! The restore check: whether it is due, by whom it is made, and that nothing of it stays.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::grafana::Session;
use shared::run::documents::Documents;
use shared::run::evidence::Step;
use shared::run::grafana::Export;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::audit::REPORTING;
use crate::grafana::restore::{Restored, remove, restore};
use crate::rules::bundle::Bundle;
use crate::rules::finding::Finding;
use crate::rules::scratch::Names;
use crate::rules::v2::NAMESPACE;

/// Time reserved for the removal and the report.
const REMOVING: Duration = Duration::from_secs(150);

/// Age of the last check at which the same export is checked again: Grafana may have been upgraded.
const AGE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Time for which a run has the turn; longer than the function's timeout.
const TURN: SignedDuration = SignedDuration::from_mins(16);

/// Name of the document about whose turn it is.
const NAME: &str = "restore check";

/// Most faults that are findings; the others are counted.
const SHOWN: usize = 10;

/// Whose turn it is: of two runs, one would remove what the other has made.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Turn {
    at: Timestamp,
    request: String,
    is_done: bool,
}

/// What is to be checked.
pub(crate) struct Asked<'a> {
    pub bundle: &'a Bundle,
    pub sha256: &'a str,
    /// Namespace of the organization, if it is known.
    pub namespace: Option<&'a str>,
    /// Folders that an earlier check left.
    pub scratch: &'a [String],
    /// Whether a person asked for it.
    pub is_asked: bool,
    pub last: &'a Export,
}

/// The result of a check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    NotDue,
    Passed,
    /// The first fault.
    Failed(String),
    NotMade,
}

impl Verdict {
    /// Its word in the answer.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NotDue => "not_due",
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::NotMade => "not_made",
        }
    }

    /// What the note says of a check that was made: its fault, if it found one.
    pub(crate) fn fault(&self) -> Option<Option<String>> {
        match self {
            Self::NotDue | Self::NotMade => None,
            Self::Passed => Some(None),
            Self::Failed(fault) => Some(Some(fault.clone())),
        }
    }
}

/// A check, for the report.
pub(crate) struct Checked {
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
    pub steps: Vec<Step>,
}

/// Whether the export is to be checked.
fn is_due(asked: &Asked<'_>, now: Timestamp) -> bool {
    let last = asked.last;
    let is_old = last.checked_at.is_none_or(|at| now.duration_since(at) >= AGE);
    asked.is_asked || is_old || last.fault.is_some() || last.checked_sha256 != asked.sha256
}

/// Makes the check if it is due, and removes what an earlier one left.
pub(crate) async fn check(
    session: &Session<'_>,
    documents: &Documents,
    asked: &Asked<'_>,
    invocation: &Invocation,
) -> Checked {
    let mut checked = Checked { verdict: Verdict::NotDue, findings: Vec::new(), steps: Vec::new() };
    let is_due = is_due(asked, invocation.now);
    if !is_due && asked.scratch.is_empty() {
        return checked;
    }
    let turn = Turn { at: invocation.now, request: invocation.request_id.clone(), is_done: false };
    // Lambda tries an event again only after the last attempt has ended.
    let is_own = |other: &Turn| !turn.request.is_empty() && other.request == turn.request;
    let is_over =
        |other: &Turn| other.is_done || is_own(other) || invocation.now.duration_since(other.at) >= TURN;
    let claim = match documents.claim(NAME, &turn, is_over).await {
        Ok(Some(claim)) => claim,
        // They are the other run's, which removes them.
        Ok(None) if !is_due => return checked,
        Ok(None) => {
            checked.not_made("another run is checking, or died less than 16 minutes ago".to_owned());
            return checked;
        }
        Err(error) => {
            checked.not_made(chain(&error));
            return checked;
        }
    };
    if !asked.scratch.is_empty() {
        checked.remove(session, asked.scratch, "remove what an earlier check left", invocation).await;
    }
    if is_due {
        let run = invocation.now.as_nanosecond().to_string();
        let names = Names::new(&run);
        let namespace = asked.namespace.unwrap_or(NAMESPACE);
        let work = Box::pin(restore(session, asked.bundle, namespace, &names));
        match invocation.before_deadline(REMOVING, work).await {
            Ok(Ok(restored)) => checked.judge(restored),
            Ok(Err(error)) => checked.not_made(chain(&error)),
            Err(late) => checked.not_made(late.to_string()),
        }
        let made: Vec<String> = names.folders(asked.bundle).into_iter().map(|made| made.uid).collect();
        checked.remove(session, &made, "remove what was restored", invocation).await;
    }
    if let Err(error) = documents.settle(claim, &Turn { is_done: true, ..turn.clone() }).await {
        // The next check waits until the turn is over.
        tracing::warn!(message = format!("the end of the restore check was not noted: {}", chain(&error)));
    }
    checked
}

impl Checked {
    fn not_made(&mut self, why: String) {
        self.steps.push(Step::now("restore check", format!("failed: {why}")));
        self.findings.push(Finding::CheckNotMade { why });
        self.verdict = Verdict::NotMade;
    }

    fn judge(&mut self, restored: Restored) {
        let Restored { folders, dashboards, rule_groups, faults, unknown } = restored;
        let made = format!(
            "{folders} folders, {dashboards} dashboards, {rule_groups} rule groups restored and compared"
        );
        let outcome = format!("{made}, {} faults, {} not known", faults.len(), unknown.len());
        self.steps.push(Step::now("restore check", outcome));
        self.verdict = match (faults.first(), unknown.first()) {
            (Some(fault), _) => Verdict::Failed(format!("{}: {}", fault.what, fault.why)),
            (None, Some(_)) => Verdict::NotMade,
            (None, None) => Verdict::Passed,
        };
        if let Some(first) = unknown.first() {
            let why = format!("{} objects, first {}: {}", unknown.len(), first.what, first.why);
            self.findings.push(Finding::CheckNotMade { why });
        }
        let more = faults.len().saturating_sub(SHOWN);
        let shown = faults.into_iter().take(SHOWN);
        self.findings.extend(shown.map(|fault| Finding::CheckFailed { what: fault.what, why: fault.why }));
        if more > 0 {
            let why = format!("{more} more objects");
            self.findings.push(Finding::CheckFailed { what: "others".to_owned(), why });
        }
    }

    /// Removes folders with everything in them.
    async fn remove(&mut self, session: &Session<'_>, uids: &[String], what: &str, invocation: &Invocation) {
        let left = match invocation.before_deadline(REPORTING, remove(session, uids)).await {
            Ok(left) => left,
            Err(late) => uids.iter().map(|uid| (uid.clone(), late.to_string())).collect(),
        };
        let outcome = match left.len() {
            0 => "succeeded".to_owned(),
            count => format!("failed: {count} of {} folders are left", uids.len()),
        };
        self.steps.push(Step::now(what, outcome));
        self.findings.extend(left.into_iter().map(|(uid, why)| Finding::LeftBehind { uid, why }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_export_an_old_check_and_a_fault_are_checked() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let bundle = Bundle::default();
        let last = |hours: i64, sha256: &str, fault: Option<&str>| Export {
            checked_at: Some(now - SignedDuration::from_hours(hours)),
            checked_sha256: sha256.to_owned(),
            fault: fault.map(str::to_owned),
            ..Export::default()
        };
        for (last, is_asked, expected) in [
            (Export::default(), false, true),
            (last(1, "a", None), false, false),
            (last(167, "a", None), false, false),
            (last(168, "a", None), false, true),
            (last(1, "b", None), false, true),
            (last(1, "a", Some("x")), false, true),
            (last(1, "a", None), true, true),
        ] {
            let asked =
                Asked { bundle: &bundle, sha256: "a", namespace: None, scratch: &[], is_asked, last: &last };
            assert_eq!(is_due(&asked, now), expected, "{last:?} {is_asked}");
        }
    }
}
