//! The place of a stack's anchors: a folder of another bucket, in this account or another one.
//!
//! An anchor names the heads of all chains. It is written once, on condition that its key is free, and never changed; a
//! bucket with Object Lock keeps it from everyone. What an anchor holds, and how anchors are verified:
//! [`chain::anchor`].

use std::ops::ControlFlow;

use aws_sdk_s3::Client;
use chain::anchor::{self, Anchor, Anchors, Newest};
use chain::{Fault, Folder, Harm, Listing, Stack, State, Verdict};
use futures_util::StreamExt;
use jiff::Timestamp;

#[cfg(feature = "github")]
use crate::github::copy::{self, Commit};
#[cfg(feature = "github")]
use crate::github::{GitHubError, Session};
use crate::run::documents::{Documents, JSON};
use crate::run::objects::{self, Bytes};
use crate::runtime::failure::CallError;
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;

/// Most attempts to write an anchor while other runs take its place.
const ATTEMPTS: u32 = 8;

/// The bucket of a stack's anchors.
#[derive(Clone, Debug)]
pub struct Place {
    /// Client of the bucket's region.
    pub client: Client,
    /// The anchors' bucket.
    pub bucket: String,
    /// The stack.
    pub stack: Stack,
    /// The stack's evidence bucket, which each anchor names.
    pub evidence: String,
}

/// The branch that has the copy of the newest anchor.
#[cfg(feature = "github")]
const BRANCH: &str = "governance/anchors";

/// A copy of the newest anchor in a repository, one file per stack, whose history has the earlier ones. Whoever rewrites
/// the buckets would have to rewrite the branch, and every clone of it, too.
#[cfg(feature = "github")]
#[derive(Clone, Debug)]
pub struct Copied {
    path: String,
}

#[cfg(feature = "github")]
impl Copied {
    /// The copy `<folder>/<project>-<environment>.json` on the branch `governance/anchors`.
    pub fn new(folder: &str, stack: &Stack) -> Self {
        let Stack { project, environment } = stack;
        Self { path: format!("{}/{project}-{environment}.json", folder.trim_matches('/')) }
    }

    fn place(&self) -> copy::Place<'_> {
        copy::Place { branch: BRANCH, path: &self.path }
    }

    /// Takes the copy into account, before [`Place::read`]. Without one yet, nothing changes.
    ///
    /// # Errors
    ///
    /// [`GitHubError`]: the copy is unknown then, which is not that it agrees.
    pub async fn witness(&self, session: &Session<'_>, anchors: Anchors) -> Result<Anchors, GitHubError> {
        let held = self.place().held(session).await?;
        let origin = format!("{} {BRANCH}:{}", session.name(), self.path);
        Ok(match held {
            Some(held) => anchors.witnessed(&origin, &held),
            None => anchors,
        })
    }

    /// Commits the newest anchor, once. `verdict` is that of the anchors with this copy as a witness: a copy that
    /// contradicts them is not replaced, because it may be the only one that is true. Returns the file's newest commit; none
    /// if the anchors are not verified, or the branch holds neither this anchor nor a newer one.
    ///
    /// # Errors
    ///
    /// [`GitHubError`]; the anchor was not committed, or its commit was not confirmed.
    pub async fn commit(
        &self,
        session: &Session<'_>,
        newest: &Newest,
        verdict: &Verdict,
    ) -> Result<Option<Commit>, GitHubError> {
        if ![State::Verified, State::Empty].contains(&verdict.state()) {
            return Ok(None);
        }
        let Anchor { stack: Stack { project, environment }, sequence, .. } = &newest.anchor;
        let message = format!("Anchor {sequence} of the evidence of {project} {environment}");
        // Only a copy known to be older is replaced.
        let is_kept = |held: &[u8]| !Anchor::read(held).is_ok_and(|held| held.sequence < *sequence);
        let (commit, held) = self.place().commit(session, &newest.bytes, &message, is_kept).await?;
        // Another run may have been faster with a newer one.
        let is_newer = || Anchor::read(&held).is_ok_and(|held| held.sequence > *sequence);
        Ok((held == newest.bytes || is_newer()).then_some(commit))
    }
}

/// Why no anchor was written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnchorError {
    /// A call to S3 failed.
    #[error("an S3 call for the anchors failed")]
    S3(#[from] CallError),
    /// The place belongs to another stack, or holds something that is no anchor.
    #[error("no anchor was written to s3://{bucket}/{key}: {what}; {next}")]
    Taken {
        /// The anchors' bucket.
        bucket: String,
        /// Key of the object in the way.
        key: String,
        /// What is wrong with it.
        what: String,
        /// The operator's next step.
        next: String,
    },
    /// Other runs took the place on every attempt.
    #[error("the anchor found no free place in {ATTEMPTS} attempts; the next run writes one")]
    Contended,
}

impl Place {
    /// The place in a bucket of the evidence's region, for the evidence in `documents`.
    pub fn new(bucket: String, settings: &Settings, documents: &Documents) -> Self {
        let (client, evidence) = (documents.client.clone(), documents.bucket.clone());
        let (project, environment) = (settings.project.clone(), settings.environment.clone());
        Self { client, bucket, stack: Stack { project, environment }, evidence }
    }

    /// No anchor read yet. [`Anchors::witnessed`] adds copies that are kept elsewhere, and then [`Anchors::starting`] skips
    /// anchors that an earlier run has verified; both before [`Place::read`].
    pub fn anchors(&self) -> Anchors {
        Anchors::new(self.stack.clone(), Some(&self.evidence))
    }

    /// Reads the anchors, all of them or those from the one on that `anchors` starts at. An anchor that could not be read
    /// is unknown in the verdict of [`Anchors::finish`].
    ///
    /// # Errors
    ///
    /// The [`CallError`] of S3, if the anchors could not be listed: nothing is known about any of them then.
    pub async fn read(&self, anchors: Anchors) -> Result<Anchors, CallError> {
        let folder = Folder::anchors(&self.stack);
        let versions = objects::versions(&self.client, &self.bucket, &folder.prefix()).await?;
        let listing = Listing::of(&folder, versions);
        let mut anchors = anchors.listed(&listing);
        let mut reads = objects::all(&self.client, &self.bucket, listing.from(anchors.from()));
        while let Some((entry, bytes)) = reads.next().await {
            let key = &entry.version.key;
            match bytes {
                Bytes::Read(bytes) => anchors.anchor(key, &bytes),
                Bytes::Large(size) => anchors.large(key, size),
                Bytes::Unread(reason) => anchors.unread(key, &reason),
            }
        }
        Ok(anchors)
    }

    /// Writes an anchor for these verdicts of all chains after `newest`, the newest one that [`Place::read`] found, and
    /// returns the newest anchor; none if there is nothing to name yet. The same heads twice make one anchor, so a repeated
    /// or interrupted run adds none.
    ///
    /// # Errors
    ///
    /// [`AnchorError`]; no anchor was written, or its storage was not confirmed.
    pub async fn write(
        &self,
        newest: Option<&Newest>,
        verdicts: &[Verdict],
        now: Timestamp,
    ) -> Result<Option<Newest>, AnchorError> {
        let mut newest = newest.cloned();
        for _ in 0..ATTEMPTS {
            newest = match self.attempt(newest, verdicts, now).await? {
                ControlFlow::Break(newest) => return Ok(newest),
                ControlFlow::Continue(faster) => Some(faster),
            };
        }
        Err(AnchorError::Contended)
    }

    /// Tries once. Continues with the anchor that another run wrote first.
    async fn attempt(
        &self,
        newest: Option<Newest>,
        verdicts: &[Verdict],
        now: Timestamp,
    ) -> Result<ControlFlow<Option<Newest>, Newest>, AnchorError> {
        let next = anchor::next(newest.as_ref(), &self.stack, &self.evidence, verdicts, now);
        let next = next.map_err(|harm| {
            let held = newest.as_ref().map(|newest| &newest.anchor);
            self.taken(held.map_or(1, |held| held.sequence), harm)
        })?;
        let Some(next) = next else { return Ok(ControlFlow::Break(newest)) };
        let (key, written) = (next.key(), Newest::from(next));
        let documents = Documents {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            // Only for the keys of documents, of which there are none here.
            procedure: "anchors",
        };
        if documents.put_bytes(&key, written.bytes.clone(), JSON, None).await?.is_some() {
            return Ok(ControlFlow::Break(Some(written)));
        }
        let object = self.client.get_object().bucket(&self.bucket).key(&key).send().await;
        let object = object.map_err(CallError::during("s3:GetObject"))?;
        let sequence = written.anchor.sequence;
        let bytes = match objects::whole(object.body).await {
            Bytes::Read(bytes) => bytes,
            Bytes::Large(bytes) => return Err(self.taken(sequence, Harm::TooLarge { bytes })),
            Bytes::Unread(_) => return Err(CallError::empty("s3:GetObject").into()),
        };
        match Anchor::read(&bytes) {
            Ok(anchor) if anchor.sequence != sequence => {
                Err(self.taken(sequence, Harm::Misplaced { says: anchor.sequence }))
            }
            // It must follow the anchors that this run has verified.
            Ok(anchor) if anchor.previous != written.anchor.previous => {
                Err(self.taken(sequence, Harm::Mislinked))
            }
            Ok(anchor) => Ok(ControlFlow::Continue(Newest { anchor, bytes })),
            Err(harm) => Err(self.taken(sequence, harm)),
        }
    }

    fn taken(&self, sequence: u64, harm: Harm) -> AnchorError {
        let folder = Folder::anchors(&self.stack);
        let key = folder.key(sequence);
        let fault = Fault { chain: folder.chain().to_owned(), sequence: Some(sequence), key, harm };
        let what = fault.what(Language::English);
        let next = fault.next(Language::English).to_owned();
        AnchorError::Taken { bucket: self.bucket.clone(), key: fault.key, what, next }
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::StaticReplayClient;
    use chain::Head;

    use super::*;
    use crate::run::documents::tests::{TAKEN, documents};

    fn stack() -> Stack {
        Stack { project: "moveongs".to_owned(), environment: "dev".to_owned() }
    }

    fn place(answers: &[(u16, &str)]) -> (Place, StaticReplayClient) {
        let (Documents { client, .. }, wire) = documents(answers);
        let place = Place {
            client,
            bucket: "anchor-bucket".to_owned(),
            stack: stack(),
            evidence: "evidence-bucket".to_owned(),
        };
        (place, wire)
    }

    fn verdict(sequence: u64) -> Verdict {
        Verdict {
            chain: "rotate-random".to_owned(),
            head: Some(Head { sequence, sha256: format!("sha-{sequence}"), ended: now(), checkpoint: None }),
            read: sequence,
            from: 1,
            faults: Vec::new(),
            unknown: Vec::new(),
            anchored: None,
            late: None,
        }
    }

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn anchor(newest: Option<&Newest>, sequence: u64) -> (Newest, String) {
        let anchor = anchor::next(newest, &stack(), "evidence-bucket", [&verdict(sequence)], now());
        let newest = Newest::from(anchor.unwrap().unwrap());
        let text = String::from_utf8(newest.bytes.clone()).unwrap();
        (newest, text)
    }

    fn listed(keys: &[String], more: &str) -> String {
        let version = |key: &String| {
            format!(
                "<Version><Key>{key}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><ETag>\"e\"</ETag><Size>7</Size></Version>"
            )
        };
        let versions: String = keys.iter().map(version).collect();
        format!("<ListVersionsResult><Name>anchor-bucket</Name>{versions}{more}</ListVersionsResult>")
    }

    #[tokio::test]
    async fn the_first_anchor_is_written_where_there_is_none_and_the_same_heads_make_no_second_one() {
        let (place, wire) = place(&[(200, &listed(&[], "")), (200, "")]);
        let anchors = place.read(place.anchors()).await.unwrap();
        assert_eq!(anchors.newest(), None);
        let newest = place.write(anchors.newest(), &[verdict(3)], now()).await.unwrap().unwrap();
        assert_eq!(newest, anchor(None, 3).0);
        let requests: Vec<_> = wire.actual_requests().collect();
        let [list, put] = requests[..] else { panic!("{requests:?}") };
        assert!(list.uri().contains("prefix=anchors%2Fmoveongs%2Fdev%2F"), "{}", list.uri());
        assert!(put.uri().contains("/anchors/moveongs/dev/9999999998.json"), "{}", put.uri());
        assert_eq!(put.headers().get("if-none-match"), Some("*"));
        assert_eq!(put.body().bytes(), Some(newest.bytes.as_slice()));
        // The same heads, or none: no request at all.
        let (place, wire) = self::place(&[]);
        assert_eq!(place.write(Some(&newest), &[verdict(3)], now()).await, Ok(Some(newest)));
        assert_eq!(place.write(None, &[], now()).await, Ok(None));
        assert_eq!(wire.actual_requests().count(), 0);
    }

    #[tokio::test]
    async fn an_anchor_that_another_attempt_wrote_first_counts() {
        let (first, text) = anchor(None, 3);
        // The run died after its put, or runs twice: the anchor is there.
        let (place, wire) = place(&[(412, TAKEN), (200, &text)]);
        assert_eq!(place.write(None, &[verdict(3)], now()).await, Ok(Some(first.clone())));
        assert_eq!(wire.actual_requests().count(), 2);
        // A later run knows more: its anchor is the next one.
        let (place, wire) = self::place(&[(412, TAKEN), (200, &text), (200, "")]);
        let second = place.write(None, &[verdict(4)], now()).await.unwrap().unwrap();
        assert_eq!(second, anchor(Some(&first), 4).0);
        assert!(wire.actual_requests().last().unwrap().uri().contains("/9999999997.json"));
        let always = [(412, TAKEN), (200, "x")];
        let (place, _) = self::place(&always);
        let error = place.write(None, &[verdict(4)], now()).await.unwrap_err().to_string();
        assert!(error.contains("s3://anchor-bucket/anchors/moveongs/dev/9999999998.json: "), "{error}");
        let large = "x".repeat(4 * 1024 * 1024 + 1);
        let (place, _) = self::place(&[(412, TAKEN), (200, &large)]);
        let error = place.write(None, &[verdict(4)], now()).await.unwrap_err().to_string();
        assert!(error.contains("more than is read"), "{error}");
        // One that does not follow the anchor that this run has read.
        let (_, loose) = anchor(Some(&anchor(None, 2).0), 5);
        let (place, _) = self::place(&[(412, TAKEN), (200, &loose)]);
        let error = place.write(Some(&first), &[verdict(4)], now()).await.unwrap_err().to_string();
        assert!(error.contains("number 2 of anchors does not name the one before it"), "{error}");
        // An anchor of another stack in the way.
        let mut other = first.anchor.clone();
        other.bucket = "other".to_owned();
        let other = String::from_utf8(other.bytes()).unwrap();
        let (place, _) = self::place(&[(412, TAKEN), (200, &other)]);
        let error = place.write(None, &[verdict(4)], now()).await.unwrap_err().to_string();
        assert!(
            error.contains("is of another evidence bucket: other; each evidence bucket needs"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn anchors_are_read_oldest_first_and_page_by_page() {
        let (first, one) = anchor(None, 3);
        let (second, two) = anchor(Some(&first), 5);
        let keys = [second.anchor.key(), first.anchor.key()];
        let more = "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>";
        let (page, rest) = (listed(&keys[..1], more), listed(&keys[1..], ""));
        let (place, wire) = place(&[(200, &page), (200, &rest), (200, &one), (200, &two)]);
        let anchors = place.read(place.anchors()).await.unwrap();
        assert_eq!(anchors.newest(), Some(&second));
        assert_eq!(anchors.pins("rotate-random").len(), 2);
        assert_eq!(anchors.finish().state(), State::Verified);
        let asked: Vec<_> = wire.actual_requests().map(|request| request.uri().to_owned()).collect();
        assert!(asked[1].contains("key-marker=k") && asked[1].contains("version-id-marker=v"), "{asked:?}");
        assert!(asked[2].contains("/9999999998.json"), "{asked:?}");
        let get = wire.actual_requests().nth(2).unwrap();
        assert_eq!(get.headers().get("if-match"), Some("\"e\""));
        // Those that an earlier run has verified are not read again.
        let (place, wire) = self::place(&[(200, &listed(&keys, "")), (200, &two)]);
        let sha256 = chain::sha256(&second.bytes);
        let anchors = place.read(place.anchors().known(2, &sha256).starting(2)).await.unwrap();
        assert_eq!(anchors.newest(), Some(&second));
        assert_eq!(anchors.finish().state(), State::Verified);
        assert_eq!(wire.actual_requests().count(), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_unknown_and_a_part_of_a_list_is_none() {
        let (first, _) = anchor(None, 3);
        let keys = [first.anchor.key()];
        let denied = "<Error><Code>AccessDenied</Code></Error>";
        let (place, _) = place(&[(200, &listed(&keys, "")), (403, denied)]);
        let anchors = place.read(place.anchors()).await.unwrap();
        assert_eq!(anchors.newest(), None);
        assert_eq!(anchors.finish().state(), State::Unknown);
        let large = listed(&keys, "").replace("<Size>7<", "<Size>4194305<");
        let (place, _) = self::place(&[(200, &large)]);
        let faults = place.read(place.anchors()).await.unwrap().finish().faults;
        assert_eq!(faults[0].kind(), "EvidenceTooLarge");
        for answer in [
            (403, denied),
            (200, "<ListVersionsResult></ListVersionsResult>"),
            (200, &listed(&keys, "<IsTruncated>true</IsTruncated>")),
        ] {
            let (place, _) = self::place(&[answer]);
            assert!(place.read(place.anchors()).await.is_err(), "{answer:?}");
        }
        // A page that leads to itself.
        let page = listed(&keys, "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>");
        let (place, wire) = self::place(&[(200, &page), (200, &page), (200, &page)]);
        assert!(place.read(place.anchors()).await.is_err());
        assert_eq!(wire.actual_requests().count(), 2);
    }
}
