//! The checks of one attachment.

use std::cell::Cell;

use shared::runtime::failure::chain;

use crate::api::Session;
use crate::aws::Bucket;
use crate::rules::judge::{self, MOST_READ};
use crate::rules::line::{Check, Cure, Line, Outcome};
use crate::rules::row::{Digest, Found, Place, Read, Row, Version, newest_first, shown, to_restore};

/// Earlier versions that are read to find the content that the row says.
const READ_BACK: usize = 5;

/// What the checks need.
pub(crate) struct Tester<'a> {
    pub attachments: &'a Bucket,
    pub uploads: &'a Bucket,
    /// The API, or the outcome of every download.
    pub session: Result<Session<'a>, Outcome>,
    /// ARN of the stack's key for attachments.
    pub kms_key: Option<&'a str>,
    /// Folder of this run's copies.
    pub folder: String,
    /// Number of copies so far: each has a key of its own.
    pub copies: Cell<u32>,
    /// Files created before this instant must be in the uploads, in seconds since 1970.
    pub uploads_before: i64,
}

impl Tester<'_> {
    /// Makes every check of a row.
    pub(crate) async fn test(&self, row: &Row) -> Vec<Line> {
        let mut outcomes = Vec::new();
        let mut digest = None;
        match &row.place {
            Place::Unknown => outcomes.push((Check::Object, Outcome::UnknownPlace)),
            Place::Object { bucket, .. } if *bucket != self.attachments.name => {
                outcomes.push((Check::Object, Outcome::OtherBucket { bucket: bucket.clone() }));
            }
            Place::Object { key, .. } => {
                let found = self.attachments.read(key, None).await;
                if let Read::Whole(read) = &found.read {
                    digest = Some(read.clone());
                }
                outcomes.extend(self.object(row, key, &found).await);
            }
            Place::Disk { path } => outcomes.push((Check::OnPrem, self.on_prem(row, path).await)),
        }
        outcomes.push((Check::Download, self.download(row, digest.as_ref()).await));
        let object = if row.has_plain_id() { row.id.clone() } else { shown(&row.id) };
        let line = |(check, outcome): (Check, Outcome)| {
            let line = Line { object: object.clone(), place: row.place.clone(), check, outcome };
            tracing::info!(
                message = "checked",
                attachment = line.object,
                check = check.word(),
                outcome = line.outcome.kind()
            );
            line
        };
        outcomes.into_iter().map(line).collect()
    }

    /// The checks of an object: its content, and a restore.
    async fn object(&self, row: &Row, key: &str, found: &Found) -> Vec<(Check, Outcome)> {
        let read = &found.read;
        let versions = match self.attachments.versions(key, 1).await {
            // The prefix of one key may be another key.
            Ok((mut found, _)) => found.remove(key).unwrap_or_default(),
            Err(call) => {
                let why = chain(&call);
                let mut outcomes = match read {
                    Read::Absent => vec![(Check::Object, Outcome::Absent { why: why.clone() })],
                    _ => judge::content(row, read, &[], None, self.kms_key),
                };
                outcomes.push((Check::Restore, Outcome::Unreadable { why }));
                return outcomes;
            }
        };
        let mut versions = versions;
        newest_first(&mut versions);
        let cure = match read {
            Read::Whole(digest) if judge::is_wrong(row, digest) => self.cure(row, key, &versions).await,
            Read::BrokenOff(_) => self.cure(row, key, &versions).await,
            _ => None,
        };
        let mut outcomes = judge::content(row, read, &versions, cure.as_ref(), self.kms_key);
        if let Some(version) = to_restore(&versions) {
            // The current version's content is read already, unless another was written meanwhile.
            let is_read = found.version.as_deref().unwrap_or("null") == version.id;
            let known = (is_read && matches!(found.read, Read::Whole(_))).then_some(found);
            let mut outcome = self.restore(key, &version.id, version.bytes, known).await;
            // The current version is the object, whose line has the same advice.
            if let Outcome::Archived { version: archived, .. } = &mut outcome
                && version.is_latest
            {
                *archived = None;
            }
            outcomes.push((Check::Restore, outcome));
        }
        outcomes
    }

    /// The key for a copy of an object: its own, or the stack's if KMS does not encrypt it.
    fn kms_key<'f>(&'f self, found: &'f Found) -> Option<&'f str> {
        found.kms_key.as_deref().or(self.kms_key)
    }

    /// The newest earlier version that has the content which the row says.
    async fn cure(&self, row: &Row, key: &str, versions: &[Version]) -> Option<Cure> {
        let checksum = row.checksum.as_ref()?;
        let earlier = versions.iter().filter(|version| !version.is_latest && !version.is_marker);
        for version in earlier.take(READ_BACK) {
            let found = self.attachments.read(key, Some(&version.id)).await;
            if let Read::Whole(digest) = &found.read
                && digest.sha256 == *checksum
            {
                let kms_key = self.kms_key(&found).map(str::to_owned);
                return Some(Cure { version: version.id.clone(), kms_key });
            }
        }
        None
    }

    /// Restores a version to the scratch folder and compares the copy with it. `known` is the version's content if it was
    /// read already. The copy is removed at once.
    pub(crate) async fn restore(
        &self,
        key: &str,
        version: &str,
        bytes: u64,
        known: Option<&Found>,
    ) -> Outcome {
        if bytes > MOST_READ {
            return Outcome::TooLarge { bytes, expected: None };
        }
        let found = match known {
            Some(found) => found.clone(),
            None => self.attachments.read(key, Some(version)).await,
        };
        let original = &found.read;
        if !matches!(original, &Read::Whole(_)) {
            return judge::restore(version, original, &Read::Absent, self.kms_key);
        }
        let mut outcome = Outcome::Changed;
        // A second attempt of the same run removes the copies of the first.
        for _ in 0..2 {
            self.copies.set(self.copies.get() + 1);
            let to = format!("{}{}", self.folder, self.copies.get());
            let copied = match self.attachments.copy(key, version, &to, self.kms_key(&found)).await {
                Ok(copied) => copied,
                Err(call) if matches!(call.code.as_str(), "NoSuchKey" | "NoSuchVersion") => {
                    return Outcome::Changed;
                }
                Err(call) => return Outcome::Unreadable { why: chain(&call) },
            };
            let copy = self.attachments.read(&to, Some(&copied)).await.read;
            outcome = judge::restore(version, original, &copy, self.kms_key);
            if let Err(call) = self.attachments.delete(&to, &copied).await {
                // The sweep at the end tries again, and fails the run if it cannot.
                tracing::warn!(message = chain(&call));
            }
            if copy != Read::Absent {
                break;
            }
        }
        outcome
    }

    /// The file's copy among the on-premises uploads, where the synchronisation puts it under its name.
    async fn on_prem(&self, row: &Row, path: &str) -> Outcome {
        let name = path.rsplit('/').next().unwrap_or(path);
        let read = self.uploads.read(name, None).await.read;
        let is_due = row.created.is_none_or(|created| created < self.uploads_before);
        judge::on_prem(row, &self.uploads.name, &read, is_due)
    }

    async fn download(&self, row: &Row, read: Option<&Digest>) -> Outcome {
        match &self.session {
            Err(outcome) => outcome.clone(),
            Ok(_) if !row.has_plain_id() => Outcome::UnknownPlace,
            Ok(session) => judge::download(row, read, &session.download(&row.id).await),
        }
    }
}
