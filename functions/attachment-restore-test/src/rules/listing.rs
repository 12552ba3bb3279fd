//! The whole bucket against the whole table.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::row::{Place, shown};

/// Folder of the copies of a restore test.
pub(crate) const SCRATCH: &str = "restore-test/";

/// Most keys and rows that the report names.
const NAMED: usize = 5;

/// Most rows without an object that join the sample, to find the cause of each.
const TESTED: usize = 20;

/// Keys of the bucket and rows of the table, compared.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Listing {
    /// Number of listed keys.
    pub keys: u64,
    /// Whether these are all keys of the bucket.
    pub is_complete: bool,
    /// Number of listed keys without a row.
    pub orphans: u64,
    /// Some of them.
    pub named: Vec<String>,
    /// Number of rows without an object; none if the list is not complete.
    pub missing: Option<u64>,
}

/// Compares keys with rows of the same bucket; returns the ids of rows without an object to test, too. The rows must be
/// from before the list: the application writes an object before its row.
pub(crate) fn compare(
    keys: &[String],
    is_complete: bool,
    rows: &BTreeMap<String, Place>,
    bucket: &str,
) -> (Listing, Vec<String>) {
    let own = |place: &Place| match place {
        Place::Object { bucket: of, key } if of == bucket => Some(key.clone()),
        Place::Object { .. } | Place::Disk { .. } | Place::Unknown => None,
    };
    let known: BTreeSet<String> = rows.values().filter_map(own).collect();
    let keys: BTreeSet<&str> =
        keys.iter().map(String::as_str).filter(|key| !key.starts_with(SCRATCH)).collect();
    let orphans: Vec<&str> = keys.iter().copied().filter(|key| !known.contains(*key)).collect();
    let missing: Vec<String> = rows
        .iter()
        .filter(|(_, place)| is_complete && own(place).is_some_and(|key| !keys.contains(key.as_str())))
        .map(|(id, _)| id.clone())
        .collect();
    let listing = Listing {
        keys: count(keys.len()),
        is_complete,
        orphans: count(orphans.len()),
        named: orphans.iter().take(NAMED).map(|key| shown(key)).collect(),
        missing: is_complete.then(|| count(missing.len())),
    };
    (listing, missing.into_iter().take(TESTED).collect())
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_without_a_row_and_rows_without_an_object_are_counted() {
        let rows: BTreeMap<_, _> =
            [("1", "s3://b/one"), ("2", "s3://b/two"), ("3", "s3://other/three"), ("4", "/srv/uploads/four")]
                .map(|(id, path)| (id.to_owned(), Place::of_path(path)))
                .into();
        let keys = ["one", "a", "restore-test/r/1"].map(str::to_owned);
        let (listing, missing) = compare(&keys, true, &rows, "b");
        assert_eq!((listing.keys, listing.orphans, listing.missing), (2, 1, Some(1)));
        assert_eq!((listing.named, missing), (vec!["a".to_owned()], vec!["2".to_owned()]));
        // A part of the list cannot show that an object is missing.
        let (listing, missing) = compare(&keys, false, &rows, "b");
        assert_eq!((listing.orphans, listing.missing, missing.len()), (1, None, 0));
    }
}
