//! A change of the policy, and whether its commit is on the main branch. No I/O.

use serde_json::Value;
use shared::policy::{self, Change, Document, KEY};

/// The branch on which operational changes are valid (guide).
pub(crate) const MAIN: &str = "main";

/// Most differing fields that a finding names.
const MOST_FIELDS: usize = 5;

/// Whether a change is on [`MAIN`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Merge {
    /// The commit is on the branch, and its file has the applied patch.
    Merged,
    /// The commit is not on the branch; GitHub's status for it.
    Unmerged(String),
    /// The commit is on the branch, but its file differs from the applied patch; the differences.
    Differs(String),
    /// Unknown; the reason.
    Unknown(String),
}

/// Effect of a version of the document on the policy.
#[derive(Debug)]
pub(crate) enum Became {
    /// A new policy.
    Changed(Document, Merge),
    /// The document was removed; the defaults are in force.
    Removed,
    /// The version is not valid; the error. The last valid version stays in force; none means the defaults.
    Broken(String, Option<String>),
}

/// A change of the policy.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub became: Became,
    /// Differences from the previous policy.
    pub changes: Vec<Change>,
}

/// Whether a version has no record yet, given its place (the newest is 0) and the version of the newest record. If that
/// record was not read, only the newest version counts: older ones were announced long ago.
pub(crate) fn is_new(version: &str, place: usize, before: Result<Option<&str>, ()>) -> bool {
    match before {
        Ok(before) => before != Some(version),
        Err(()) => place == 0,
    }
}

/// Whether an event reports a change of the document, or is the daily request to check only for changes.
pub(crate) fn is_one(event: &Value) -> bool {
    let is_put = event.get("source").is_some_and(|source| source == "aws.s3")
        && event.pointer("/detail/object/key").is_some_and(|key| key == KEY);
    is_put || event.get("policy") == Some(&Value::Bool(true))
}

/// Compares the applied patch with the file of a merged commit; `file` is none if the commit has no such file.
pub(crate) fn compared(patch: &Value, path: &str, file: Option<&[u8]>) -> Merge {
    let Some(file) = file else { return Merge::Differs(format!("the commit has no {path}")) };
    let Ok(file) = serde_json::from_slice::<Value>(file) else {
        return Merge::Differs(format!("{path} is not JSON in the commit"));
    };
    let changes = policy::changes(&file, patch);
    if changes.is_empty() {
        return Merge::Merged;
    }
    let fields: Vec<_> = changes.iter().take(MOST_FIELDS).map(ToString::to_string).collect();
    let more = if changes.len() > MOST_FIELDS { ", …" } else { "" };
    Merge::Differs(format!("{path} → {KEY}: {}{more}", fields.join(", ")))
}

/// Interprets GitHub's status of a commit compared with the branch.
pub(crate) fn judged(status: &str) -> Merge {
    match status {
        "behind" | "identical" => Merge::Merged,
        "ahead" | "diverged" | "unknown to the repository" => Merge::Unmerged(status.to_owned()),
        other => Merge::Unknown(format!("GitHub's answer was not understood: {other}")),
    }
}

impl Recorded {
    /// The finding for the record: kind, `: `, details; none for a merged change.
    pub(crate) fn finding(&self) -> Option<String> {
        match &self.became {
            Became::Changed(document, Merge::Unmerged(status)) => {
                Some(format!("policy.unmerged {KEY}: commit {} is not on {MAIN} ({status})", document.commit))
            }
            Became::Changed(document, Merge::Unknown(why)) => Some(format!(
                "policy.unverified {KEY}: unknown whether commit {} is on {MAIN} with this content: {why}",
                document.commit
            )),
            Became::Changed(document, Merge::Differs(how)) => Some(format!(
                "policy.differs {KEY}: it differs from the file of commit {}: {how}",
                document.commit
            )),
            Became::Broken(error, _) => Some(format!("policy.broken {KEY}: {error}")),
            Became::Removed => {
                Some(format!("policy.unmerged {KEY}: it was removed, but no commit on {MAIN} removes it"))
            }
            Became::Changed(_, Merge::Merged) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_of_a_commit_decides_whether_it_is_merged() {
        for (status, expected) in [
            ("behind", "merged"),
            ("identical", "merged"),
            ("ahead", "unmerged"),
            ("diverged", "unmerged"),
            ("unknown to the repository", "unmerged"),
            ("", "unknown"),
            ("new", "unknown"),
        ] {
            let found = match judged(status) {
                Merge::Merged => "merged",
                Merge::Unmerged(_) => "unmerged",
                Merge::Differs(_) => "differs",
                Merge::Unknown(_) => "unknown",
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn the_applied_patch_is_compared_with_the_commits_file() {
        let patch = json!({"backups": {"audit": {"grafana_days": 10}}});
        let differs = |how: &str| Merge::Differs(how.to_owned());
        let other = "p.json → policy/current.json: backups.audit.grafana_days: 11 → 10";
        for (file, expected) in [
            (Some(r#"{"backups": {"audit": {"grafana_days": 10}}}"#), Merge::Merged),
            // The same content in another form.
            (Some("{\"backups\":\r\n{\"audit\":{\"grafana_days\":10}}}"), Merge::Merged),
            (Some(r#"{"backups": {"audit": {"grafana_days": 11}}}"#), differs(other)),
            (
                Some("{}"),
                differs(r#"p.json → policy/current.json: backups: + {"audit":{"grafana_days":10}}"#),
            ),
            (Some("no JSON"), differs("p.json is not JSON in the commit")),
            (Some(""), differs("p.json is not JSON in the commit")),
            (None, differs("the commit has no p.json")),
        ] {
            assert_eq!(compared(&patch, "p.json", file.map(str::as_bytes)), expected, "{file:?}");
        }
        // Only the first differences are named.
        let many: Value =
            (0..9).map(|n| (format!("f{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
        let Merge::Differs(how) = compared(&many, "p.json", Some(b"{}")) else { panic!() };
        assert!(how.ends_with("f4: + 4, …"), "{how}");
    }

    #[test]
    fn versions_without_a_record_are_new_and_after_an_unread_record_only_the_newest() {
        for (versions, before, expected) in [
            (&["c", "b", "a"][..], Ok(Some("a")), 2),
            (&["c", "b", "a"], Ok(Some("c")), 0),
            (&["c", "b", "a"], Ok(None), 3),
            (&["c", "b", "a"], Ok(Some("gone")), 3),
            (&["c", "b", "a"], Err(()), 1),
            (&[], Err(()), 0),
            (&[], Ok(None), 0),
        ] {
            let new =
                versions.iter().enumerate().take_while(|(place, version)| is_new(version, *place, before));
            assert_eq!(new.count(), expected, "{versions:?} {before:?}");
        }
    }

    #[test]
    fn an_event_of_another_object_is_no_change_of_the_policy() {
        let event = |source: &str, key: &str| json!({"source": source, "detail": {"object": {"key": key}}});
        assert!(is_one(&event("aws.s3", KEY)));
        for other in
            [event("aws.s3", "policy/other.json"), event("aws.scheduler", KEY), json!({}), json!(null)]
        {
            assert!(!is_one(&other), "{other}");
        }
    }
}
