//! A change of the policy: what became of it, and how it stands to the main branch. No I/O.

use serde_json::Value;
use shared::policy::{self, Change, Document, KEY};

/// The branch on which operational changes are valid (guide).
pub(crate) const MAIN: &str = "main";

/// Most differing fields that a finding names.
const MOST_FIELDS: usize = 5;

/// How a change stands to [`MAIN`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Merge {
    /// The commit is on the branch, and its file has the applied patch.
    Merged,
    /// The commit is not on the branch; how it stands to it.
    Unmerged(String),
    /// The commit is on the branch, but its file differs from the applied patch; the differences.
    Differs(String),
    /// Not known, and why.
    Unknown(String),
}

/// What became of the policy with one version.
#[derive(Debug)]
pub(crate) enum Became {
    /// Another one.
    Changed(Document, Merge),
    /// The defaults: the document was removed.
    Removed,
    /// The version is not understood. The good version before it stays in force; none: the defaults.
    Broken(String, Option<String>),
}

/// One change.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub became: Became,
    /// What differs from the policy before.
    pub changes: Vec<Change>,
}

/// Whether a version has no record yet, given its place (the newest is 0) and the version of the newest record. If that record was not
/// read, only the newest version counts: older ones were announced long ago.
pub(crate) fn is_new(version: &str, place: usize, before: Result<Option<&str>, ()>) -> bool {
    match before {
        Ok(before) => before != Some(version),
        Err(()) => place == 0,
    }
}

/// Whether an event reports a change of the document, or is the daily request to look for changes only.
pub(crate) fn is_one(event: &Value) -> bool {
    let is_put = event.get("source").is_some_and(|source| source == "aws.s3")
        && event.pointer("/detail/object/key").is_some_and(|key| key == KEY);
    is_put || event.get("policy") == Some(&Value::Bool(true))
}

/// Compares the applied patch with the file of a merged commit; none: the commit has no such file.
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

/// What GitHub's word for a commit, compared with the branch, means.
pub(crate) fn judged(status: &str) -> Merge {
    match status {
        "behind" | "identical" => Merge::Merged,
        "ahead" | "diverged" | "unknown to the repository" => Merge::Unmerged(status.to_owned()),
        other => Merge::Unknown(format!("GitHub's answer was not understood: {other}")),
    }
}

impl Recorded {
    /// What a person should do.
    pub(crate) fn finding(&self) -> Option<String> {
        match &self.became {
            Became::Changed(document, Merge::Unmerged(status)) => {
                Some(format!("policy.unmerged {KEY}: commit {} is not on {MAIN} ({status})", document.commit))
            }
            Became::Changed(document, Merge::Unknown(why)) => Some(format!(
                "policy.unverified {KEY}: whether commit {} is on {MAIN} and holds it: {why}",
                document.commit
            )),
            Became::Changed(document, Merge::Differs(how)) => {
                Some(format!("policy.differs {KEY}: it is not the file of commit {}: {how}", document.commit))
            }
            Became::Broken(error, _) => Some(format!("policy.broken {KEY}: {error}")),
            Became::Removed => {
                Some(format!("policy.unmerged {KEY}: it was removed, and no commit on {MAIN} says so"))
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
    fn githubs_word_for_a_commit() {
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
    fn what_was_applied_is_compared_with_the_commits_file() {
        let patch = json!({"backups": {"audit": {"grafana_days": 10}}});
        let differs = |how: &str| Merge::Differs(how.to_owned());
        let other = "p.json → policy/current.json: backups.audit.grafana_days: 11 → 10";
        for (file, expected) in [
            (Some(r#"{"backups": {"audit": {"grafana_days": 10}}}"#), Merge::Merged),
            // Another form of the same.
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
        // An element of a list that the file does not have, and a field that was left out.
        let many: Value =
            (0..9).map(|n| (format!("f{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
        let Merge::Differs(how) = compared(&many, "p.json", Some(b"{}")) else { panic!() };
        assert!(how.ends_with("f4: + 4, …"), "{how}");
    }

    #[test]
    fn versions_without_a_record_are_new_and_of_an_unread_one_only_the_newest() {
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
    fn an_event_of_another_object_is_none_of_the_policy() {
        let event = |source: &str, key: &str| json!({"source": source, "detail": {"object": {"key": key}}});
        assert!(is_one(&event("aws.s3", KEY)));
        for other in
            [event("aws.s3", "policy/other.json"), event("aws.scheduler", KEY), json!({}), json!(null)]
        {
            assert!(!is_one(&other), "{other}");
        }
    }
}
