//! What a person has to look at.

use std::collections::BTreeMap;

use super::secret::Suspect;

/// A finding of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// An object has what looks like a secret; the export has its earlier form, if there is one without. `object` is its file;
    /// `what` also says which of the file's objects it is.
    SecretFound { object: String, what: String, secrets: Vec<Suspect> },
    /// A restored object is not what was exported: what, and how it differs.
    CheckFailed { what: String, why: String },
    /// An object could not be read; the export has its earlier form, if there is one.
    NotExported { what: String, why: String },
    /// More than half of at least four objects of a kind are gone, or all of at least two, and no person has accepted it.
    Shrunk { kind: String, before: usize, now: usize },
    /// The pull request could not be opened or changed.
    NotProposed { why: String },
    /// The restore check could not be made.
    CheckNotMade { why: String },
    /// What a check made could not be removed: the UID of the folder, or of a dashboard that was moved out of it.
    LeftBehind { uid: String, why: String },
    /// Grafana's version is newer than any for which this was built.
    VersionUntested { version: String },
    /// The release has an export with another content already, which stays.
    ReleaseKept { release: String, key: String },
}

impl Finding {
    /// Stable name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::CheckFailed { .. } => "CheckFailed",
            Self::SecretFound { .. } => "SecretFound",
            Self::NotExported { .. } => "NotExported",
            Self::Shrunk { .. } => "Shrunk",
            Self::NotProposed { .. } => "NotProposed",
            Self::CheckNotMade { .. } => "CheckNotMade",
            Self::LeftBehind { .. } => "LeftBehind",
            Self::VersionUntested { .. } => "VersionUntested",
            Self::ReleaseKept { .. } => "ReleaseKept",
        }
    }

    /// What it is about. Plain characters only: names of Grafana appear as names of files.
    pub(crate) fn about(&self) -> &str {
        match self {
            Self::CheckFailed { what, .. }
            | Self::SecretFound { what, .. }
            | Self::NotExported { what, .. } => what,
            Self::LeftBehind { uid, .. } => uid,
            Self::ReleaseKept { release, .. } => release,
            Self::Shrunk { kind, .. } => kind,
            Self::NotProposed { .. } | Self::CheckNotMade { .. } | Self::VersionUntested { .. } => "grafana",
        }
    }

    /// Key: findings of two runs with the same key are the same finding.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.kind(), self.about())
    }

    /// Its place among others: the worst first.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::SecretFound { .. } => 0,
            Self::CheckFailed { .. } => 1,
            Self::NotExported { .. } => 2,
            Self::Shrunk { .. } => 3,
            Self::NotProposed { .. } => 4,
            Self::CheckNotMade { .. } => 5,
            Self::LeftBehind { .. } => 6,
            Self::VersionUntested { .. } => 7,
            Self::ReleaseKept { .. } => 8,
        }
    }

    /// The file of an object that the export has in its earlier form, or not at all.
    pub(crate) fn left_out(&self) -> Option<&str> {
        match self {
            Self::SecretFound { object: what, .. } | Self::NotExported { what, .. } => Some(what),
            _ => None,
        }
    }

    /// Whether the run fails by it.
    pub(crate) fn fails(&self) -> bool {
        !matches!(self, Self::ReleaseKept { .. })
    }
}

/// Whether so many objects are gone that a mistake is likelier than a decision: a token that sees less, or another
/// organization.
fn is_shrunk(before: usize, now: usize) -> bool {
    (before >= 4 && now * 2 < before) || (before >= 2 && now == 0)
}

/// The kinds of objects that shrank; the number of each kind before and now.
pub(crate) fn shrunk(before: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>) -> Vec<Finding> {
    let finding = |(kind, now): (&String, &usize)| {
        let before = before.get(kind).copied().unwrap_or_default();
        is_shrunk(before, *now).then(|| Finding::Shrunk { kind: kind.clone(), before, now: *now })
    };
    now.iter().filter_map(finding).collect()
}

/// The numbers with which the next run compares its own: of a kind that shrank those before, unless a person accepts it.
pub(crate) fn baseline(
    before: &BTreeMap<String, usize>,
    now: &BTreeMap<String, usize>,
    is_accepted: bool,
) -> BTreeMap<String, usize> {
    let next = |(kind, now): (&String, &usize)| {
        let before = before.get(kind).copied().unwrap_or_default();
        (kind.clone(), if is_shrunk(before, *now) && !is_accepted { before } else { *now })
    };
    now.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_removed_objects_are_no_finding() {
        for (before, now, expected) in [
            (0, 0, false),
            (1, 0, false),
            (2, 0, true),
            (3, 1, false),
            (3, 0, true),
            (4, 2, false),
            (4, 1, true),
            (100, 50, false),
            (100, 49, true),
            (9, 20, false),
        ] {
            assert_eq!(is_shrunk(before, now), expected, "{before} {now}");
        }
    }

    #[test]
    fn a_list_that_shrank_is_compared_with_what_it_was_until_it_recovers_or_is_accepted() {
        let numbers = |dashboards: usize, groups: usize| -> BTreeMap<String, usize> {
            [("dashboards".to_owned(), dashboards), ("rule-groups".to_owned(), groups)].into()
        };
        assert_eq!(baseline(&BTreeMap::new(), &numbers(9, 9), false), numbers(9, 9));
        assert!(shrunk(&BTreeMap::new(), &numbers(0, 0)).is_empty());
        let mut known = numbers(9, 10);
        for now in [numbers(9, 4), numbers(8, 3)] {
            let found = shrunk(&known, &now);
            assert_eq!(found.iter().map(Finding::key).collect::<Vec<_>>(), ["Shrunk rule-groups"]);
            known = baseline(&known, &now, false);
        }
        assert_eq!(known, numbers(8, 10));
        assert_eq!(baseline(&known, &numbers(8, 3), true), numbers(8, 3));
        assert_eq!(baseline(&known, &numbers(8, 6), false), numbers(8, 6));
    }
}
