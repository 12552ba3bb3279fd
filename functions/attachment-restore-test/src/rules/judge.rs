//! The outcome of each check.

use super::line::{Check, Cure, Outcome};
use super::row::{Digest, Read, Row, Version, hiding};

/// Largest object that the test reads and copies: 1 GiB, which takes seconds. The application's limit is 1 MiB by default,
/// and one copy of S3 takes 5 GiB.
pub(crate) const MOST_READ: u64 = 1024 * 1024 * 1024;

/// Outcomes of the checks of an object's content. `versions` are those of its key, needed if it is absent; `cure` is an
/// earlier version that has the row's checksum, if one was found; `kms_key` the stack's key.
pub(crate) fn content(
    row: &Row,
    read: &Read,
    versions: &[Version],
    cure: Option<&Cure>,
    kms_key: Option<&str>,
) -> Vec<(Check, Outcome)> {
    let digest = match read {
        Read::Whole(digest) => digest,
        Read::Absent => {
            let outcome = match hiding(versions) {
                Some(marker) if versions.iter().any(|version| !version.is_marker) => {
                    Outcome::Hidden { marker: marker.id.clone() }
                }
                _ => Outcome::Missing,
            };
            return vec![(Check::Object, outcome)];
        }
        Read::BrokenOff(why) => {
            return vec![(Check::Object, Outcome::BrokenOff { why: why.clone(), cure: cure.cloned() })];
        }
        Read::TooLarge(bytes) => return vec![(Check::Object, too_large(*bytes, row))],
        other => return vec![(Check::Object, not_read(other, kms_key))],
    };
    vec![
        (Check::Object, Outcome::Sound { bytes: digest.bytes }),
        (Check::Size, size(row, digest, cure)),
        (Check::Checksum, checksum(row, digest, cure)),
    ]
}

/// Whether content differs from what the row says.
pub(crate) fn is_wrong(row: &Row, digest: &Digest) -> bool {
    row.size.is_some_and(|size| size != digest.bytes)
        || row.checksum.as_ref().is_some_and(|checksum| *checksum != digest.sha256)
}

fn size(row: &Row, digest: &Digest, cure: Option<&Cure>) -> Outcome {
    match row.size {
        None => Outcome::NoSize,
        Some(expected) if expected == digest.bytes => Outcome::Sound { bytes: digest.bytes },
        Some(expected) => Outcome::WrongSize { expected, found: digest.bytes, cure: cure.cloned() },
    }
}

fn checksum(row: &Row, digest: &Digest, cure: Option<&Cure>) -> Outcome {
    match &row.checksum {
        None if row.has_odd_checksum => Outcome::OddChecksum,
        None => Outcome::NoChecksum,
        Some(expected) if *expected == digest.sha256 => Outcome::Sound { bytes: digest.bytes },
        Some(expected) => Outcome::WrongContent {
            expected: expected.clone(),
            found: digest.sha256.clone(),
            cure: cure.cloned(),
        },
    }
}

/// Outcome of a restore: the version's content, and that of its copy.
pub(crate) fn restore(version: &str, original: &Read, copy: &Read, kms_key: Option<&str>) -> Outcome {
    match (original, copy) {
        (Read::Whole(original), Read::Whole(copy)) if original == copy => {
            Outcome::Sound { bytes: copy.bytes }
        }
        (Read::Whole(_), Read::Whole(_)) => Outcome::RestoreDiffers { version: version.to_owned() },
        (Read::Absent, _) => Outcome::Changed,
        (Read::Archived { is_tier }, _) => {
            Outcome::Archived { is_tier: *is_tier, version: Some(version.to_owned()) }
        }
        (Read::Whole(_), Read::Absent) => unreadable("the copy was removed while it was read"),
        (Read::Whole(_), other) | (other, _) => not_read(other, kms_key),
    }
}

/// Outcome of content that exists, or may exist, and was not read. Only what says nothing about the content is not verified.
fn not_read(read: &Read, kms_key: Option<&str>) -> Outcome {
    match read {
        Read::Whole(digest) => Outcome::Sound { bytes: digest.bytes },
        Read::Absent => Outcome::Missing,
        Read::NoBucket => unreadable("the bucket does not exist"),
        Read::Failed(why) => unreadable(why),
        Read::BrokenOff(why) => Outcome::BrokenOff { why: why.clone(), cure: None },
        Read::Locked(code) => {
            Outcome::KeyUnusable { code: code.clone(), kms_key: kms_key.map(str::to_owned) }
        }
        Read::Archived { is_tier } => Outcome::Archived { is_tier: *is_tier, version: None },
        Read::TooLarge(bytes) => Outcome::TooLarge { bytes: *bytes, expected: None },
    }
}

/// Outcome of the check of the on-premises uploads. `due` is whether the last synchronisation must have sent the file.
pub(crate) fn on_prem(row: &Row, bucket: &str, read: &Read, due: bool) -> Outcome {
    let bucket = || bucket.to_owned();
    match read {
        Read::NoBucket => Outcome::NoUploads { bucket: bucket() },
        Read::Absent if due => Outcome::NotSent { bucket: bucket() },
        Read::Absent => Outcome::NotDue,
        Read::Whole(digest) if is_wrong(row, digest) => Outcome::SentDiffers { bucket: bucket() },
        Read::Whole(_) if row.checksum.is_none() => Outcome::NoChecksum,
        Read::TooLarge(bytes) => too_large(*bytes, row),
        // The uploads have a key of their own, which the stack does not name.
        other => not_read(other, None),
    }
}

/// An answer of the API to a download.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Served {
    /// A body with status 200.
    Body { digest: Digest, is_row: bool },
    /// Another status, whether the application asks to wait, and whether it answered the row itself meanwhile.
    Refused { status: u16, is_limited: bool, has_row: bool },
    /// No whole answer.
    Broken(String),
}

/// Outcome of a download. `read` is the object's own content, which counts if the row has no checksum.
pub(crate) fn download(row: &Row, read: Option<&Digest>, served: &Served) -> Outcome {
    match served {
        Served::Broken(why) => unreadable(why),
        Served::Refused { is_limited: true, .. } => Outcome::RateLimited,
        // 404 and 500 are the application's own answers about the file; source: observed on the running application. A 500
        // is about the file only if the application answers the row. Others come from the login, or from a load balancer
        // without tasks.
        Served::Refused { status: status @ 404, .. }
        | Served::Refused { status: status @ 500, has_row: true, .. } => {
            Outcome::ServeFailed { status: *status }
        }
        Served::Refused { status, .. } => Outcome::NotServed { status: *status },
        Served::Body { digest, is_row } => {
            let expected = row.checksum.as_ref().or(read.map(|read| &read.sha256));
            match expected {
                Some(expected) if *expected == digest.sha256 => Outcome::Sound { bytes: digest.bytes },
                _ if *is_row => Outcome::ServedJson,
                Some(_) => Outcome::ServedDiffers { found: digest.clone() },
                None if is_wrong(row, digest) => Outcome::ServedDiffers { found: digest.clone() },
                None => Outcome::NoChecksum,
            }
        }
    }
}

fn too_large(bytes: u64, row: &Row) -> Outcome {
    Outcome::TooLarge { bytes, expected: row.checksum.clone() }
}

fn unreadable(why: &str) -> Outcome {
    Outcome::Unreadable { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rules::line::Verdict;
    use crate::rules::row::Place;

    fn row(size: Option<u64>, checksum: Option<&str>) -> Row {
        Row {
            id: "a".to_owned(),
            place: Place::Unknown,
            size,
            checksum: checksum.map(str::to_owned),
            has_odd_checksum: false,
            created: None,
            strata: BTreeSet::new(),
        }
    }

    fn digest(bytes: u64, sha256: &str) -> Digest {
        Digest { bytes, sha256: sha256.to_owned() }
    }

    fn version(is_latest: bool, is_marker: bool) -> Version {
        Version { id: "v".to_owned(), is_latest, is_marker, bytes: 1, written: 1 }
    }

    #[track_caller]
    fn check(outcome: &Outcome, kind: &str, verdict: Verdict) {
        assert_eq!((outcome.kind(), outcome.verdict()), (kind, verdict), "{outcome:?}");
    }

    #[test]
    fn content_is_compared_with_what_the_row_says() {
        use Verdict::{Fail, Pass, Unverified};
        for (size, checksum, kinds) in [
            (Some(3), Some("x"), [("Sound", Pass), ("Sound", Pass)]),
            (None, None, [("NoSize", Unverified), ("NoChecksum", Unverified)]),
            (Some(4), Some("x"), [("WrongSize", Fail), ("Sound", Pass)]),
            (Some(3), Some("y"), [("Sound", Pass), ("WrongContent", Fail)]),
        ] {
            let found = content(&row(size, checksum), &Read::Whole(digest(3, "x")), &[], None, None);
            assert_eq!(found.len(), 3);
            check(&found[0].1, "Sound", Pass);
            for ((_, outcome), (kind, verdict)) in found[1..].iter().zip(kinds) {
                check(outcome, kind, verdict);
            }
        }
    }

    #[test]
    fn an_absent_object_is_missing_or_hidden() {
        use Verdict::{Fail, Unverified};
        let of = |read: &Read, versions: &[Version]| {
            let found = content(&row(None, None), read, versions, None, Some("arn:k"));
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].1.clone()
        };
        check(&of(&Read::Absent, &[]), "Missing", Fail);
        check(&of(&Read::Absent, &[version(true, true)]), "Missing", Fail);
        check(&of(&Read::Absent, &[version(true, true), version(false, false)]), "Hidden", Fail);
        check(&of(&Read::NoBucket, &[]), "Unreadable", Unverified);
        check(&of(&Read::Failed("why".to_owned()), &[]), "Unreadable", Unverified);
        check(&of(&Read::TooLarge(MOST_READ + 1), &[]), "TooLarge", Unverified);
        // The row says what a person has to find.
        let (known, large) = (row(None, Some("x")), Read::TooLarge(MOST_READ + 1));
        for outcome in
            [content(&known, &large, &[], None, None)[0].1.clone(), on_prem(&known, "b", &large, true)]
        {
            assert!(
                matches!(&outcome, Outcome::TooLarge { expected: Some(x), .. } if x == "x"),
                "{outcome:?}"
            );
        }
        // There, and nobody can read it.
        check(&of(&Read::BrokenOff("why".to_owned()), &[]), "BrokenOff", Fail);
        check(&of(&Read::Archived { is_tier: true }, &[]), "Archived", Fail);
        let locked = of(&Read::Locked("KMS.DisabledException".to_owned()), &[]);
        check(&locked, "KeyUnusable", Fail);
        assert!(matches!(&locked, Outcome::KeyUnusable { kms_key: Some(key), .. } if key == "arn:k"));
    }

    #[test]
    fn a_checksum_that_is_no_sha_256_proves_nothing() {
        let odd = Row { has_odd_checksum: true, ..row(Some(3), None) };
        let found = content(&odd, &Read::Whole(digest(3, "x")), &[], None, None);
        check(&found[2].1, "OddChecksum", Verdict::Unverified);
    }

    #[test]
    fn a_restore_is_sound_only_if_every_byte_is_equal() {
        use Verdict::{Fail, Pass, Unverified};
        let restore = |version, original: &Read, copy: &Read| super::restore(version, original, copy, None);
        let whole = |sha256: &str| Read::Whole(digest(3, sha256));
        let archived = restore("v", &Read::Archived { is_tier: false }, &whole("x"));
        check(&archived, "Archived", Fail);
        assert!(matches!(&archived, Outcome::Archived { version: Some(version), .. } if version == "v"));
        check(&restore("v", &whole("x"), &Read::Locked(String::new())), "KeyUnusable", Fail);
        check(&restore("v", &whole("x"), &whole("x")), "Sound", Pass);
        check(&restore("v", &whole("x"), &whole("y")), "RestoreDiffers", Fail);
        check(&restore("v", &Read::Absent, &whole("x")), "Changed", Unverified);
        check(&restore("v", &whole("x"), &Read::Absent), "Unreadable", Unverified);
        check(&restore("v", &whole("x"), &Read::Failed(String::new())), "Unreadable", Unverified);
    }

    #[test]
    fn an_upload_is_expected_once_it_is_due() {
        use Verdict::{Fail, Pass, Unverified};
        let (with, without) = (row(Some(3), Some("x")), row(Some(3), None));
        let whole = Read::Whole(digest(3, "x"));
        check(&on_prem(&with, "u", &whole, true), "Sound", Pass);
        check(&on_prem(&without, "u", &whole, true), "NoChecksum", Unverified);
        check(&on_prem(&with, "u", &Read::Whole(digest(3, "y")), true), "SentDiffers", Fail);
        check(&on_prem(&without, "u", &Read::Whole(digest(4, "y")), true), "SentDiffers", Fail);
        check(&on_prem(&with, "u", &Read::Absent, true), "NotSent", Fail);
        check(&on_prem(&with, "u", &Read::Absent, false), "NotDue", Unverified);
        check(&on_prem(&with, "u", &Read::NoBucket, true), "NoUploads", Unverified);
    }

    #[test]
    fn a_download_is_compared_with_the_row_or_the_object() {
        use Verdict::{Fail, Pass, Unverified};
        let (with, without) = (row(Some(3), Some("x")), row(Some(3), None));
        let body = |sha256: &str, is_row| Served::Body { digest: digest(3, sha256), is_row };
        let object = digest(3, "x");
        check(&download(&with, None, &body("x", false)), "Sound", Pass);
        // An attachment may itself be such a document.
        check(&download(&with, None, &body("x", true)), "Sound", Pass);
        check(&download(&with, None, &body("y", true)), "ServedJson", Fail);
        check(&download(&with, None, &body("y", false)), "ServedDiffers", Fail);
        check(&download(&without, Some(&object), &body("x", false)), "Sound", Pass);
        check(&download(&without, Some(&object), &body("y", false)), "ServedDiffers", Fail);
        check(&download(&without, None, &body("y", false)), "NoChecksum", Unverified);
        for (status, is_limited, has_row, kind, verdict) in [
            (500, true, false, "RateLimited", Unverified),
            (429, true, false, "RateLimited", Unverified),
            (500, false, true, "ServeFailed", Fail),
            // The application fails for everything, not for this file.
            (500, false, false, "NotServed", Unverified),
            (404, false, false, "ServeFailed", Fail),
            (401, false, false, "NotServed", Unverified),
            (403, false, false, "NotServed", Unverified),
            (503, false, false, "NotServed", Unverified),
        ] {
            let refused = Served::Refused { status, is_limited, has_row };
            check(&download(&with, None, &refused), kind, verdict);
        }
        check(&download(&with, None, &Served::Broken(String::new())), "Unreadable", Unverified);
    }
}
