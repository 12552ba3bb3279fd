//! What a person has to look at.

/// A finding of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// An object has what looks like a secret, and is not in the export: what, and where, as a JSON pointer.
    SecretFound { what: String, place: String },
    /// A restored object is not what was exported: what, and how it differs.
    CheckFailed { what: String, why: String },
    /// An object could not be read; the export has its earlier form, if there is one.
    NotExported { what: String, why: String },
    /// More than half of the dashboards are gone since the last export.
    Shrunk { before: usize, now: usize },
    /// The pull request could not be opened or changed.
    NotProposed { why: String },
    /// The restore check could not be made.
    CheckNotMade { why: String },
    /// What a check made could not be removed: the folder's UID.
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
            Self::Shrunk { .. }
            | Self::NotProposed { .. }
            | Self::CheckNotMade { .. }
            | Self::VersionUntested { .. } => "grafana",
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

    /// Whether the run fails by it.
    pub(crate) fn fails(&self) -> bool {
        !matches!(self, Self::ReleaseKept { .. })
    }
}

/// Whether so many dashboards are gone that a mistake is likelier than a decision: a token that sees less, or another
/// organization.
pub(crate) fn shrunk(before: usize, now: usize) -> Option<Finding> {
    (before >= 4 && now * 2 < before).then_some(Finding::Shrunk { before, now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_removed_dashboards_are_no_finding() {
        for (before, now, expected) in [
            (0, 0, false),
            (3, 0, false),
            (4, 2, false),
            (4, 1, true),
            (100, 50, false),
            (100, 49, true),
            (9, 20, false),
        ] {
            assert_eq!(shrunk(before, now).is_some(), expected, "{before} {now}");
        }
    }
}
