//! The tasks on the board: opened once for a version that is due, closed once another version is current.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::run::evidence::{Evidence, EvidenceError};
use shared::runtime::failure::chain;
use shared::runtime::settings::Settings;

use crate::error::BoardError;
use crate::github::{Board, Issue};
use crate::rules::facts::Secret;
use crate::rules::finding::Finding;
use crate::text;

/// Prefix of the marker in an issue's body; Markdown does not show it.
const MARKER: &str = "<!-- governance:rotation:";

/// How long a claim protects a task whose issue is not yet open; far longer than the function's timeout.
const PLACE_HELD: SignedDuration = SignedDuration::from_mins(15);

/// The claim on a task, stored before its issue is opened, so that only one of two runs opens it.
#[derive(Debug, Deserialize, Serialize)]
struct Place {
    secret: String,
    version: String,
    taken: Timestamp,
    /// The issue; none until it is open, or if the run that claimed the task died.
    issue: Option<u64>,
}

/// A task that the board must have.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Task<'a> {
    /// The secret that is due.
    pub secret: &'a Secret,
    /// The version to replace.
    version: &'a str,
    due: Timestamp,
}

impl Task<'_> {
    /// The text in the issue's body that identifies it.
    pub(crate) fn marker(&self) -> String {
        format!("{MARKER}{}:{} -->", self.secret.name, mark(self.version))
    }
}

/// A version's id in a marker, sanitised: a person who rotates by hand chooses the id, and it could end the marker's comment.
fn mark(version: &str) -> String {
    version.replace(|character: char| !character.is_ascii_alphanumeric() && character != '-', "_")
}

/// The tasks that the board must have.
pub(crate) fn tasks<'a>(secrets: &'a [(Secret, Vec<Finding>)]) -> Vec<Task<'a>> {
    let task = |(secret, found): &'a (Secret, Vec<Finding>)| {
        let due = found.iter().find_map(Finding::task)?;
        Some(Task { secret, version: secret.facts.as_ref()?.listed.labelled("AWSCURRENT")?, due })
    };
    secrets.iter().filter_map(task).collect()
}

/// The secret and version in an issue's marker.
fn marked(body: &str) -> Option<(&str, &str)> {
    body.split(MARKER).nth(1)?.split(" -->").next()?.rsplit_once(':')
}

/// The open issues whose secret has another current version, with that version.
fn done<'a>(issues: &'a [Issue], secrets: &'a [(Secret, Vec<Finding>)]) -> Vec<(&'a Issue, &'a str)> {
    let current: BTreeMap<&str, &str> = secrets
        .iter()
        .filter_map(|(secret, _)| {
            Some((secret.name.as_str(), secret.facts.as_ref()?.listed.labelled("AWSCURRENT")?))
        })
        .collect();
    issues
        .iter()
        .filter(|issue| issue.state == "open")
        .filter_map(|issue| {
            let (name, version) = marked(issue.body.as_deref()?)?;
            let now = current.get(name)?;
            (mark(now) != version).then_some((issue, *now))
        })
        .collect()
}

/// Outcome of a task.
pub(crate) enum Outcome {
    /// This run opened its issue.
    Opened(u64),
    /// This run closed its issue.
    Closed(u64),
    /// Another run claimed it, or its issue was opened earlier and is no longer in the list.
    Left,
}

/// Closes finished tasks and opens missing ones, unless new ones are `held` back; returns each task with its outcome.
pub(crate) async fn settle(
    board: &Board<'_>,
    evidence: &Evidence,
    settings: &Settings,
    secrets: &[(Secret, Vec<Finding>)],
    held: bool,
    now: Timestamp,
) -> Result<Vec<(String, Result<Outcome, BoardError>)>, BoardError> {
    let issues = board.issues().await?;
    let mut outcomes = Vec::new();
    for (issue, version) in done(&issues, secrets) {
        let closed = close(board, settings, issue.number, version, now).await;
        outcomes.push((format!("#{}", issue.number), closed.map(|()| Outcome::Closed(issue.number))));
    }
    for task in tasks(secrets).into_iter().filter(|_| !held) {
        let marker = task.marker();
        let is_there =
            issues.iter().any(|issue| issue.body.as_deref().is_some_and(|body| body.contains(&marker)));
        if !is_there {
            let opened = open(board, evidence, settings, &task, now).await;
            outcomes.push((text::task_title(settings, task.secret, task.due), opened));
        }
    }
    Ok(outcomes)
}

/// Comments before it closes: if a run dies in between, the comment is repeated rather than lost.
async fn close(
    board: &Board<'_>,
    settings: &Settings,
    number: u64,
    version: &str,
    now: Timestamp,
) -> Result<(), BoardError> {
    board.comment(number, &text::task_done(settings.language, version, now)).await?;
    Ok(board.close(number).await?)
}

async fn open(
    board: &Board<'_>,
    evidence: &Evidence,
    settings: &Settings,
    task: &Task<'_>,
    now: Timestamp,
) -> Result<Outcome, BoardError> {
    let unclaimed = |error: EvidenceError| BoardError::Place(chain(&error));
    let marker = task.marker();
    let mut place =
        Place { secret: task.secret.name.clone(), version: task.version.to_owned(), taken: now, issue: None };
    let is_stale = |found: &Place| found.issue.is_none() && now.duration_since(found.taken) >= PLACE_HELD;
    let Some(claim) = evidence.claim(&marker, &place, is_stale).await.map_err(unclaimed)? else {
        return Ok(Outcome::Left);
    };
    let body = format!("{}\n\n{marker}\n", text::task_body(settings, task.secret, task.due, now));
    let issue = board.open(&text::task_title(settings, task.secret, task.due), &body).await?;
    place.issue = Some(issue.number);
    if let Err(error) = evidence.settle(claim, &place).await {
        // Not an error: the issue's marker identifies it too.
        tracing::warn!(
            message = format!("the number of issue #{} could not be stored: {}", issue.number, chain(&error))
        );
    }
    if !issue.has_label() {
        return Err(BoardError::LabelDropped { number: issue.number });
    }
    Ok(Outcome::Opened(issue.number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::policy::Policy;

    use super::*;
    use crate::rules::facts::Facts;
    use crate::rules::policy::standard;

    fn secret(name: &str, version: &str, found: Vec<Finding>) -> (Secret, Vec<Finding>) {
        let policy: Policy = "".parse().unwrap();
        let standard = standard(&policy, "JWT_SECRET");
        (Secret { name: name.to_owned(), standard, facts: Some(Facts::of_version(version)) }, found)
    }

    fn issue(number: u64, state: &str, body: &str) -> Issue {
        serde_json::from_value(json!({"number": number, "state": state, "body": body})).unwrap()
    }

    #[test]
    fn a_task_for_each_secret_that_is_due_or_overdue() {
        let due = "2026-03-01T12:00:00Z".parse().unwrap();
        let secrets = [
            secret("a", "1", vec![Finding::DueSoon { due }]),
            secret("b", "2", vec![Finding::RotationLate { since: due }, Finding::Overdue { due }]),
            secret("c", "3", vec![Finding::NoPolicy]),
            (Secret { facts: None, ..secret("d", "4", vec![]).0 }, vec![Finding::Missing]),
        ];
        let markers: Vec<_> = tasks(&secrets).iter().map(Task::marker).collect();
        assert_eq!(markers, ["<!-- governance:rotation:a:1 -->", "<!-- governance:rotation:b:2 -->"]);
    }

    #[test]
    fn a_version_with_a_chosen_id_cannot_end_its_marker() {
        let due = "2026-03-01T12:00:00Z".parse().unwrap();
        for (version, marked) in [("1--> @team\n# x", "1--___team___x"), ("a:b", "a_b")] {
            let secrets = [secret("/m/dev/a", version, vec![Finding::DueSoon { due }])];
            let marker = tasks(&secrets)[0].marker();
            assert_eq!(marker, format!("{MARKER}/m/dev/a:{marked} -->"));
            // The marker is found again, and its issue stays open until another version is current.
            assert!(done(&[issue(1, "open", &marker)], &secrets).is_empty());
            let later = [secret("/m/dev/a", "2", vec![])];
            assert_eq!(done(&[issue(1, "open", &marker)], &later).len(), 1);
        }
    }

    #[test]
    fn an_open_issue_is_done_once_another_version_is_current() {
        let marker = |name: &str, version: &str| format!("x\n\n{MARKER}{name}:{version} -->\n");
        let secrets = [secret("/m/dev/a", "2", vec![])];
        let issues = [
            issue(1, "open", &marker("/m/dev/a", "1")),
            issue(2, "open", &marker("/m/dev/a", "2")),
            issue(3, "closed", &marker("/m/dev/a", "1")),
            issue(4, "open", &marker("/m/dev/other", "1")),
            issue(5, "open", "no marker"),
            issue(6, "open", "<!-- governance:rotation:"),
        ];
        let done: Vec<_> =
            done(&issues, &secrets).into_iter().map(|(issue, now)| (issue.number, now)).collect();
        assert_eq!(done, [(1, "2")]);
    }
}
