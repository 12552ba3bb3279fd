//! An attachment as the database describes it, and content as it was read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared::runtime::hex::hex;

/// Why a row is in the sample.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Stratum {
    /// One of the newest.
    Recent,
    /// One of the oldest.
    Old,
    /// One of the largest.
    Large,
    /// Chosen by the seed.
    Random,
    /// The bucket's list lacks its object.
    Listed,
}

/// Where an attachment's content is.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Place {
    /// An object of S3.
    Object { bucket: String, key: String },
    /// A file on a server's disk (`UPLOADS_DIR`).
    Disk { path: String },
    /// A text that is neither.
    Unknown,
}

impl Place {
    /// Reads the column `file_path`: `s3://bucket/key`, or an absolute path. Source: observed on the running application.
    pub(crate) fn of_path(path: &str) -> Self {
        if let Some((bucket, key)) = path.strip_prefix("s3://").and_then(|rest| rest.split_once('/'))
            && !bucket.is_empty()
            && !key.is_empty()
        {
            return Self::Object { bucket: bucket.to_owned(), key: key.to_owned() };
        }
        if path.starts_with('/') { Self::Disk { path: path.to_owned() } } else { Self::Unknown }
    }

    /// The same for the column `key` of a later schema, which names no bucket.
    pub(crate) fn of_key(key: &str, bucket: &str) -> Self {
        if key.is_empty() {
            return Self::Unknown;
        }
        Self::Object { bucket: bucket.to_owned(), key: key.to_owned() }
    }
}

/// A row of the table `attachments`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Row {
    pub id: String,
    pub place: Place,
    /// Size in bytes; none if the row has none.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal; none if the row has none.
    pub checksum: Option<String>,
    /// Whether the row has a checksum that is no SHA-256.
    #[serde(default)]
    pub has_odd_checksum: bool,
    /// When it was created, in seconds since 1970.
    pub created: Option<i64>,
    pub strata: BTreeSet<Stratum>,
}

impl Row {
    /// Whether another reading of the row describes the same content.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.place, self.size, &self.checksum) == (&other.place, other.size, &other.checksum)
    }

    /// Whether the id can be a part of an address: any other is not the application's.
    pub(crate) fn has_plain_id(&self) -> bool {
        !self.id.is_empty() && self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    }
}

/// A key, or an id that is not the application's, as messages and records show it. The name of a file may be personal data,
/// and any text may be an attacker's: a part that is no folder's plain name and no number or UUID is shown as the beginning of
/// its SHA-256.
pub(crate) fn shown(key: &str) -> String {
    let hashed = |part: &str| {
        let hash = Sha256::digest(part.as_bytes());
        format!("sha256-{}", hex(hash.iter().take(4)))
    };
    let is_id = |part: &str| {
        (1..=64).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    let is_folder = |part: &str| {
        (1..=32).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let (folders, name) = key.rsplit_once('/').map_or((None, key), |(folders, name)| (Some(folders), name));
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let has_extension =
        (1..=5).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    let stem = if is_id(stem) { stem.to_owned() } else { hashed(stem) };
    let name = if has_extension { format!("{stem}.{extension}") } else { stem };
    let folders = folders.into_iter().flat_map(|folders| folders.split('/'));
    let folders =
        folders.map(|part| if is_folder(part) || is_id(part) { part.to_owned() } else { hashed(part) });
    folders.chain([name]).collect::<Vec<_>>().join("/")
}

/// Length and SHA-256 of content that was read to its end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Digest {
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// An object as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub read: Read,
    /// The KMS key that encrypts it, if one does.
    pub kms_key: Option<String>,
    /// The version that was read; none in a bucket without versions.
    pub version: Option<String>,
}

impl From<Read> for Found {
    fn from(read: Read) -> Self {
        Self { read, kms_key: None, version: None }
    }
}

/// The outcome of reading content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Read {
    Whole(Digest),
    /// There is no such object, version or file.
    Absent,
    /// There is no such bucket.
    NoBucket,
    /// The call failed, which says nothing about the object.
    Failed(String),
    /// Each attempt to read it to its end failed: it broke off, or its bytes do not have S3's checksum.
    BrokenOff(String),
    /// KMS does not decrypt it, with this code: its key is disabled, about to be deleted, or gone.
    Locked(String),
    /// It is in an archive, and must be restored from there before anyone can read it.
    Archived {
        /// Whether the archive is a tier of S3 Intelligent-Tiering.
        is_tier: bool,
    },
    /// It is larger than what the test reads.
    TooLarge(u64),
}

/// A version of an object, or a delete marker.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Version {
    pub id: String,
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
    pub bytes: u64,
    /// When it was written, in seconds since 1970.
    pub written: i64,
}

/// The versions of a key, newest first.
pub(crate) fn newest_first(versions: &mut [Version]) {
    versions.sort_by_key(|version| (!version.is_latest, std::cmp::Reverse(version.written)));
}

/// The version that a restore takes: the newest before the current one, which an accident leaves; of an object with one
/// version, that one.
pub(crate) fn to_restore(versions: &[Version]) -> Option<&Version> {
    let mut contents = versions.iter().filter(|version| !version.is_marker);
    let newest = contents.next()?;
    if newest.is_latest { Some(contents.next().unwrap_or(newest)) } else { Some(newest) }
}

/// The delete marker that hides the object, if one does.
pub(crate) fn hiding(versions: &[Version]) -> Option<&Version> {
    versions.iter().find(|version| version.is_latest && version.is_marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_object_a_file_or_unknown() {
        let object =
            |bucket: &str, key: &str| Place::Object { bucket: bucket.to_owned(), key: key.to_owned() };
        for (path, expected) in [
            ("s3://b/0b1f.pdf", object("b", "0b1f.pdf")),
            ("s3://b/a/b c.pdf", object("b", "a/b c.pdf")),
            ("/srv/uploads/0b1f.pdf", Place::Disk { path: "/srv/uploads/0b1f.pdf".to_owned() }),
            ("s3://b/", Place::Unknown),
            ("s3:///k", Place::Unknown),
            ("tmp/uploads/x", Place::Unknown),
            ("", Place::Unknown),
        ] {
            assert_eq!(Place::of_path(path), expected, "{path}");
        }
        assert_eq!(Place::of_key("a/b.pdf", "b"), object("b", "a/b.pdf"));
        assert_eq!(Place::of_key("", "b"), Place::Unknown);
    }

    #[test]
    fn a_key_is_shown_without_the_name_of_a_file() {
        for key in ["0b1f7f0e-0000-4000-8000-000000000001.pdf", "certificates/12.pdf", "0b1f7f0e"] {
            assert_eq!(shown(key), key);
        }
        for (key, expected) in [
            ("0b1f7f0e/Maria da Silva.pdf", "0b1f7f0e/sha256-"),
            ("maria.pdf", "sha256-"),
            ("Maria Silva/1.pdf", "sha256-"),
            ("a*b`\n*FAIL*", "sha256-"),
            ("0b1f\n.p`f", "sha256-"),
            ("", "sha256-"),
        ] {
            let found = shown(key);
            assert!(found.starts_with(expected), "{found}");
            assert!(found.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/.".contains(&b)), "{found}");
            assert!(!found.to_lowercase().contains("maria"), "{found}");
        }
    }

    fn version(id: &str, is_latest: bool, is_marker: bool, written: i64) -> Version {
        Version { id: id.to_owned(), is_latest, is_marker, bytes: 1, written }
    }

    #[test]
    fn the_restored_version_is_the_one_before_the_current() {
        let restored = |versions: &[Version]| {
            let mut versions = versions.to_vec();
            newest_first(&mut versions);
            to_restore(&versions).map(|version| version.id.clone())
        };
        assert_eq!(restored(&[]), None);
        assert_eq!(restored(&[version("m", true, true, 1)]), None);
        assert_eq!(restored(&[version("a", true, false, 1)]).as_deref(), Some("a"));
        let three =
            [version("a", false, false, 1), version("c", true, false, 3), version("b", false, false, 2)];
        assert_eq!(restored(&three).as_deref(), Some("b"));
        let deleted =
            [version("a", false, false, 1), version("m", true, true, 3), version("b", false, false, 2)];
        assert_eq!(restored(&deleted).as_deref(), Some("b"));
        assert_eq!(hiding(&deleted).map(|marker| marker.id.as_str()), Some("m"));
        assert_eq!(hiding(&three), None);
    }
}
