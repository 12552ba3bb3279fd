//! The sample of a run.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::line::{Check, Line, Outcome};
use super::row::{Place, Row, Stratum, Version, hiding, newest_first, shown, to_restore};

/// A deleted object whose content the bucket still keeps.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Deleted {
    pub key: String,
    /// The newest version before the delete marker.
    pub version: String,
    pub bytes: u64,
}

impl Deleted {
    /// The line of its restore.
    pub(crate) fn line(&self, place: Place, outcome: Outcome) -> Line {
        Line { object: shown(&self.key), place, check: Check::Restore, outcome }
    }
}

/// Joins the parts of a sample. A row in several parts is tested once.
pub(crate) fn join(parts: impl IntoIterator<Item = (Stratum, Vec<Row>)>) -> Vec<Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (stratum, part) in parts {
        for row in part {
            rows.entry(row.id.clone()).or_insert(row).strata.insert(stratum);
        }
    }
    rows.into_values().collect()
}

/// The deleted objects in the seed's order. A marker without a version left hides nothing.
pub(crate) fn deleted(versions: BTreeMap<String, Vec<Version>>, seed: &str) -> Vec<Deleted> {
    let mut found: Vec<_> = versions
        .into_iter()
        .filter_map(|(key, mut versions)| {
            newest_first(&mut versions);
            hiding(&versions)?;
            let version = to_restore(&versions)?;
            Some(Deleted { version: version.id.clone(), bytes: version.bytes, key })
        })
        .collect();
    found.sort_by_key(|one| Sha256::digest(format!("{seed}:{}", one.key)).to_vec());
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn row(id: &str) -> Row {
        let (place, strata) = (Place::Unknown, BTreeSet::new());
        Row {
            id: id.to_owned(),
            place,
            size: None,
            checksum: None,
            has_odd_checksum: false,
            created: None,
            strata,
        }
    }

    #[test]
    fn a_row_in_two_parts_is_tested_once() {
        let joined = join([(Stratum::Recent, vec![row("b"), row("a")]), (Stratum::Random, vec![row("b")])]);
        let ids: Vec<_> = joined.iter().map(|row| (row.id.as_str(), row.strata.len())).collect();
        assert_eq!(ids, [("a", 1), ("b", 2)]);
    }

    #[test]
    fn deleted_objects_are_chosen_by_the_seed() {
        let version = |id: &str, is_latest, is_marker, written| Version {
            id: id.to_owned(),
            is_latest,
            is_marker,
            bytes: 7,
            written,
        };
        let mut versions: BTreeMap<_, _> = (0..20)
            .map(|n| (format!("k{n}"), vec![version("v", false, false, 1), version("m", true, true, 2)]))
            .collect();
        versions.insert("alive".to_owned(), vec![version("v", true, false, 1)]);
        versions.insert("expired".to_owned(), vec![version("m", true, true, 2)]);
        let keys = |seed: &str| -> Vec<_> {
            deleted(versions.clone(), seed).into_iter().take(5).map(|one| one.key).collect()
        };
        assert_eq!(keys("a"), keys("a"));
        assert_ne!(keys("a"), keys("b"));
        let all = deleted(versions.clone(), "a");
        assert_eq!(all.len(), 20);
        assert!(all.iter().all(|one| one.version == "v" && one.bytes == 7));
    }
}
