//! A chain's list of versions: what it shows without a read of the objects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::fault::{Fault, Harm};
use crate::folder::Folder;

/// An entry of S3's list of versions (`ListObjectVersions`): a version of an object, or a delete marker.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Version {
    /// The object's key.
    pub key: String,
    /// Id of the version.
    pub id: String,
    /// Entity tag; empty for a marker.
    pub etag: String,
    /// Size in bytes; 0 for a marker.
    pub size: u64,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
    /// When S3 stored it.
    pub modified: Option<Timestamp>,
}

/// An object of a chain that can be seen, as listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its sequence.
    pub sequence: u64,
    /// Its newest version.
    pub version: Version,
}

/// The list of versions of one chain, checked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing {
    /// The objects that can be seen, oldest first.
    pub objects: Vec<Entry>,
    /// Sequences of the objects that a delete marker hides.
    pub hidden: BTreeSet<u64>,
    /// Faults that the list shows.
    pub faults: Vec<Fault>,
}

impl Listing {
    /// Checks the whole list of versions below a chain's [`Folder::prefix`], in any order.
    pub fn of(folder: &Folder, versions: impl IntoIterator<Item = Version>) -> Self {
        let mut listing = Self::default();
        let mut by_key: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for version in versions {
            by_key.entry(version.key.clone()).or_default().push(version);
        }
        // Keys count down.
        for (key, mut versions) in by_key.into_iter().rev() {
            let sequence = folder.sequence(&key);
            let mut fault = |harm| {
                listing.faults.push(Fault {
                    chain: folder.chain().to_owned(),
                    sequence,
                    key: key.clone(),
                    harm,
                });
            };
            let Some(sequence) = sequence else {
                fault(Harm::Foreign);
                continue;
            };
            versions.sort_by_key(|version| (version.is_latest, version.modified));
            if let Some(marker) = versions.iter().rfind(|version| version.is_marker && version.is_latest) {
                fault(Harm::Hidden { marker: marker.id.clone() });
                listing.hidden.insert(sequence);
            }
            let written: Vec<_> = versions.iter().filter(|version| !version.is_marker).collect();
            // A marker that something covers: what it hid was written again.
            let was_hidden = versions.iter().any(|version| version.is_marker && !version.is_latest);
            if written.len() > 1 || (was_hidden && !written.is_empty()) {
                fault(Harm::Replaced {
                    versions: written.iter().map(|version| version.id.clone()).collect(),
                });
            }
            if let Some(version) = versions.pop().filter(|version| !version.is_marker) {
                listing.objects.push(Entry { sequence, version });
            }
        }
        let mut next = 1;
        for Entry { sequence, .. } in &listing.objects {
            listing.faults.extend(gaps(folder, next, *sequence, &listing.hidden));
            next = sequence.saturating_add(1);
        }
        listing
    }

    /// The objects from a sequence on, oldest first.
    pub fn from(&self, sequence: u64) -> &[Entry] {
        self.objects.split_at(self.objects.partition_point(|entry| entry.sequence < sequence)).1
    }

    /// SHA-256 over key, version, entity tag and size of every object up to a sequence. A version's bytes never change, so
    /// an equal seal means that everything that was read once is still there and still seen, unless S3 itself lies.
    pub fn seal(&self, upto: u64) -> String {
        let mut hash = Sha256::new();
        for Entry { version: Version { key, id, etag, size, .. }, .. } in
            self.objects.iter().take_while(|entry| entry.sequence <= upto)
        {
            // The length keeps fields apart.
            for field in [key, id, etag] {
                hash.update(field.len().to_be_bytes());
                hash.update(field);
            }
            hash.update(size.to_be_bytes());
        }
        crate::hex(&hash.finalize())
    }
}

/// The places without an object from `next` up to, not including, `end`. Those that a marker hides are named otherwise.
pub(crate) fn gaps(folder: &Folder, next: u64, end: u64, hidden: &BTreeSet<u64>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut from = next;
    let mut missing = |from: u64, to: u64| {
        if from < to {
            let (chain, key) = (folder.chain().to_owned(), folder.key(from));
            faults.push(Fault { chain, sequence: Some(from), key, harm: Harm::Missing { to: to - 1 } });
        }
    };
    if next < end {
        for hidden in hidden.range(next..end) {
            missing(from, *hidden);
            from = hidden + 1;
        }
    }
    missing(from, end);
    faults
}

/// Reads the output of `aws s3api list-object-versions`.
///
/// # Errors
///
/// The reason why it is not that, or not all of it.
pub fn versions(bytes: &[u8]) -> Result<Vec<Version>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        #[serde(default)]
        versions: Option<Vec<Listed>>,
        #[serde(default)]
        delete_markers: Option<Vec<Listed>>,
        /// Present only if the list was cut.
        next_token: Option<String>,
        is_truncated: Option<bool>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        key: String,
        version_id: String,
        is_latest: bool,
        last_modified: Timestamp,
        #[serde(default)]
        e_tag: String,
        #[serde(default)]
        size: u64,
    }
    let output: Output = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if output.next_token.is_some() || output.is_truncated == Some(true) {
        return Err(
            "the list is not complete: make it without --max-items, --max-keys and --no-paginate".to_owned()
        );
    }
    if output.versions.is_none() && output.delete_markers.is_none() {
        return Err(
            "it has neither Versions nor DeleteMarkers: make it with --output json and without --query"
                .to_owned(),
        );
    }
    let read = |is_marker| {
        move |one: Listed| Version {
            key: one.key,
            id: one.version_id,
            etag: one.e_tag,
            size: one.size,
            is_latest: one.is_latest,
            is_marker,
            modified: Some(one.last_modified),
        }
    };
    let objects = output.versions.into_iter().flatten().map(read(false));
    Ok(objects.chain(output.delete_markers.into_iter().flatten().map(read(true))).collect())
}
