//! The tasks that the board must have, and those that are done. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::github::board::Issue;

use super::facts::Secret;
use super::finding::Finding;

/// Prefix of the marker in an issue's body; Markdown does not show it.
const MARKER: &str = "<!-- governance:rotation:";

/// A task that the board must have.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Task<'a> {
    /// The secret that is due.
    pub secret: &'a Secret,
    /// The version to replace.
    pub version: &'a str,
    /// When it must be rotated.
    pub due: Timestamp,
}

impl Task<'_> {
    /// The text in the issue's body that identifies it.
    pub(crate) fn marker(&self) -> String {
        format!("{MARKER}{}:{} -->", self.secret.name, mark(self.version))
    }
}

/// A version's id in a marker, sanitised: in a manual rotation, the caller chooses the id, and it could end the
/// marker's comment.
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
pub(crate) fn done<'a>(
    issues: &'a [Issue],
    secrets: &'a [(Secret, Vec<Finding>)],
) -> Vec<(&'a Issue, &'a str)> {
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
            // The marker is found again; its issue stays open until another version is current.
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
