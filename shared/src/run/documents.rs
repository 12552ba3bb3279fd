//! Documents in the evidence bucket: notes, journals, claims and pages that runs share.
//!
//! A procedure's document is the object `runs/<procedure>/<SHA-256 of its name>.json`. A put requires that the key is
//! free or unchanged since it was read, so no run overwrites another's change.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use chain::sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runtime::failure::{CallError, chain};
use crate::runtime::time;

pub(super) const JSON: &str = "application/json";

/// Most attempts to change a document while other runs change it.
const ATTEMPTS: u32 = 12;

/// Upper bound of the first pause between attempts to change a document; doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(25);

/// Upper bound of any such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a document could not be read or written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DocumentError {
    /// A call to S3 failed.
    #[error("an S3 call for the evidence failed")]
    S3(#[from] CallError),
    /// An object is not in the form in which this product writes it.
    #[error("evidence object {key} is not valid: {reason}; find out who wrote it before you change anything")]
    Unreadable {
        /// The object's key.
        key: String,
        /// The reason.
        reason: String,
    },
    /// The object's SHA-256, in hexadecimal, is this one, and another one was recorded.
    #[error("its SHA-256 is not the one that was recorded")]
    Exchanged(String),
    /// Other runs changed the object with this key on every attempt.
    #[error("{0} was changed by other runs in {ATTEMPTS} attempts; run the procedure again")]
    Contended(String),
}

/// A place taken with [`Documents::claim`].
#[derive(Debug)]
pub struct Claim {
    key: String,
    /// ETag of the claim.
    etag: String,
}

/// An object as read.
pub(super) struct Read<T> {
    pub content: T,
    /// SHA-256 of the object's bytes, in hexadecimal.
    pub sha256: String,
    pub etag: String,
}

/// The documents of one procedure.
#[derive(Clone, Debug)]
pub struct Documents {
    /// Client of the bucket's region.
    pub client: Client,
    /// The evidence bucket.
    pub bucket: String,
    /// The procedure: the function's folder name.
    pub procedure: &'static str,
}

impl Documents {
    /// The documents of another procedure in the same bucket.
    #[must_use]
    pub fn of(&self, procedure: &'static str) -> Self {
        Self { procedure, ..self.clone() }
    }

    /// Key of the document with a name.
    pub fn key(&self, name: &str) -> String {
        format!("runs/{}/{}.json", self.procedure, sha256(name.as_bytes()))
    }

    /// Stores content for a later step of the run. Returns `false` if content is stored already, which then stays.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`].
    pub async fn put_new(&self, run_id: &str, content: &impl Serialize) -> Result<bool, DocumentError> {
        Ok(self.put(&self.key(run_id), content, None).await?.is_some())
    }

    /// The content that an earlier step of the run stored, if any.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`] or [`DocumentError::Unreadable`].
    pub async fn get<T: DeserializeOwned>(&self, run_id: &str) -> Result<Option<T>, DocumentError> {
        let Some(key) = self.first(&self.key(run_id)).await? else { return Ok(None) };
        Ok(Some(self.read(&key).await?.content))
    }

    /// The same, with the SHA-256 of its bytes in hexadecimal: a record can name it, and a later run check it.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`] or [`DocumentError::Unreadable`].
    pub async fn sealed<T: DeserializeOwned>(
        &self,
        run_id: &str,
    ) -> Result<Option<(T, String)>, DocumentError> {
        let Some(key) = self.first(&self.key(run_id)).await? else { return Ok(None) };
        let read = self.read(&key).await?;
        Ok(Some((read.content, read.sha256)))
    }

    /// The content of a document that a record names by its SHA-256, in hexadecimal.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Exchanged`] if the document has another one; [`DocumentError::S3`] or
    /// [`DocumentError::Unreadable`].
    pub async fn recorded<T: DeserializeOwned>(
        &self,
        run_id: &str,
        sha256: &str,
    ) -> Result<Option<T>, DocumentError> {
        match self.sealed(run_id).await? {
            Some((_, found)) if found != sha256 => Err(DocumentError::Exchanged(found)),
            sealed => Ok(sealed.map(|(content, _)| content)),
        }
    }

    /// Takes a place that only one caller may hold, for actions that must not happen twice. Writes `content` if the
    /// place is free, or if `is_stale` holds for the stored content. Of several concurrent callers, one gets the place.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`] or [`DocumentError::Unreadable`].
    pub async fn claim<T: DeserializeOwned + Serialize>(
        &self,
        run_id: &str,
        content: &T,
        is_stale: impl Fn(&T) -> bool,
    ) -> Result<Option<Claim>, DocumentError> {
        let key = self.key(run_id);
        let replaces = match self.first(&key).await? {
            Some(_) => {
                let found = self.read::<T>(&key).await?;
                if !is_stale(&found.content) {
                    return Ok(None);
                }
                Some(found.etag)
            }
            None => None,
        };
        let etag = self.put(&key, content, replaces.as_deref()).await?;
        Ok(etag.map(|etag| Claim { key, etag }))
    }

    /// Writes a claim's outcome. Writes nothing if another caller has taken the place since.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`].
    pub async fn settle(&self, claim: Claim, content: &impl Serialize) -> Result<(), DocumentError> {
        self.put(&claim.key, content, Some(&claim.etag)).await?;
        Ok(())
    }

    /// Changes a document shared by several runs, by compare-and-swap, and returns the answer of `change`. `change`
    /// gets the stored document, or the default if there is none, and is called again if another run was faster.
    ///
    /// # Errors
    ///
    /// Any [`DocumentError`]; the document is unchanged, or its change was not confirmed.
    pub async fn update<T, R>(&self, name: &str, change: impl Fn(&mut T) -> R) -> Result<R, DocumentError>
    where
        T: Clone + Default + DeserializeOwned + PartialEq + Serialize,
    {
        Ok(self.swap(name, change, false).await?.0)
    }

    /// The same for a document that a run could make again: one that is not in a known form, as after a rollback, is
    /// replaced. Also returns why it was.
    ///
    /// # Errors
    ///
    /// Any [`DocumentError`] but [`DocumentError::Unreadable`] for its form; the document is unchanged, or its change was not
    /// confirmed.
    pub async fn renew<T, R>(
        &self,
        name: &str,
        change: impl Fn(&mut T) -> R,
    ) -> Result<(R, Option<DocumentError>), DocumentError>
    where
        T: Clone + Default + DeserializeOwned + PartialEq + Serialize,
    {
        self.swap(name, change, true).await
    }

    async fn swap<T, R>(
        &self,
        name: &str,
        change: impl Fn(&mut T) -> R,
        is_replaceable: bool,
    ) -> Result<(R, Option<DocumentError>), DocumentError>
    where
        T: Clone + Default + DeserializeOwned + PartialEq + Serialize,
    {
        let key = self.key(name);
        for attempt in 0..ATTEMPTS {
            let stored = match self.first(&key).await? {
                Some(_) => Some(self.stored(&key).await?),
                None => None,
            };
            let tag = stored.as_ref().map(|(_, _, etag)| etag.clone());
            let (before, unreadable) = match stored.map(|(bytes, ..)| parsed::<T>(&key, &bytes)) {
                None => (T::default(), None),
                Some(Ok(before)) => (before, None),
                Some(Err(error)) if is_replaceable => (T::default(), Some(error)),
                Some(Err(error)) => return Err(error),
            };
            let mut content = before.clone();
            let answer = change(&mut content);
            let is_unchanged = unreadable.is_none() && content == before;
            if is_unchanged || self.put(&key, &content, tag.as_deref()).await?.is_some() {
                return Ok((answer, unreadable));
            }
            tokio::time::sleep(pause(attempt, time::now().subsec_nanosecond())).await;
        }
        Err(DocumentError::Contended(key))
    }

    /// Stores a file under a key of its own, once. Returns `false` if the key is taken; what is there stays.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`].
    pub async fn keep(&self, key: &str, bytes: Vec<u8>) -> Result<bool, DocumentError> {
        Ok(self.put_bytes(key, bytes, JSON, None).await?.is_some())
    }

    /// The content of a file that [`Documents::keep`] stored; none if there is none.
    ///
    /// # Errors
    ///
    /// [`DocumentError::S3`] or [`DocumentError::Unreadable`].
    pub async fn kept<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DocumentError> {
        let Some(key) = self.first(key).await? else { return Ok(None) };
        Ok(Some(self.read(&key).await?.content))
    }

    /// Writes a page for people, rendered from a stored document. Never replaces a newer page by an older one.
    ///
    /// # Errors
    ///
    /// Any [`DocumentError`].
    pub async fn show<T: Default + DeserializeOwned>(
        &self,
        name: &str,
        key: &str,
        content_type: &str,
        page: impl Fn(&T) -> String,
    ) -> Result<(), DocumentError> {
        for _ in 0..ATTEMPTS {
            // Read the page's tag before the document: any page written in between fails the put.
            let tag = match self.first(key).await? {
                Some(_) => {
                    let head = self.client.get_object().bucket(&self.bucket).key(key).send().await;
                    head.map_err(CallError::during("s3:GetObject"))?.e_tag
                }
                None => None,
            };
            let document: T = self.get(name).await?.unwrap_or_default();
            let page = page(&document).into_bytes();
            if self.put_bytes(key, page, content_type, tag.as_deref()).await?.is_some() {
                return Ok(());
            }
        }
        Err(DocumentError::Contended(key.to_owned()))
    }

    /// The first key with a prefix. Shows that an object is missing without the permission that a 404 requires.
    pub(super) async fn first(&self, prefix: &str) -> Result<Option<String>, DocumentError> {
        let listed =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(1).send().await;
        let listed = listed.map_err(CallError::during("s3:ListBucket"))?;
        Ok(listed.contents().first().and_then(|object| object.key()).map(str::to_owned))
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Read<T>, DocumentError> {
        let (bytes, sha256, etag) = self.stored(key).await?;
        Ok(Read { content: parsed(key, &bytes)?, sha256, etag })
    }

    /// An object's bytes, their SHA-256 and its ETag.
    async fn stored(&self, key: &str) -> Result<(Vec<u8>, String, String), DocumentError> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let object = object.map_err(CallError::during("s3:GetObject"))?;
        let etag = object.e_tag.unwrap_or_default();
        let bytes = object.body.collect().await;
        let unreadable = |reason: String| DocumentError::Unreadable { key: key.to_owned(), reason };
        let bytes = bytes.map_err(|error| unreadable(chain(&error)))?.to_vec();
        let sha256 = sha256(&bytes);
        Ok((bytes, sha256, etag))
    }

    /// Puts an object if the key is free, or if `replaces` is the ETag of the existing one. Returns the new ETag;
    /// `None` if another object is there.
    pub(super) async fn put(
        &self,
        key: &str,
        content: &impl Serialize,
        replaces: Option<&str>,
    ) -> Result<Option<String>, CallError> {
        self.put_bytes(key, bytes(content), JSON, replaces).await
    }

    pub(super) async fn put_bytes(
        &self,
        key: &str,
        bytes: Vec<u8>,
        content_type: &str,
        replaces: Option<&str>,
    ) -> Result<Option<String>, CallError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .content_type(content_type)
            .body(ByteStream::from(bytes));
        let put = match replaces {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        match put.send().await {
            Ok(put) => Ok(Some(put.e_tag.unwrap_or_default())),
            Err(error)
                if matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict")) =>
            {
                Ok(None)
            }
            Err(error) => Err(CallError::during("s3:PutObject")(error)),
        }
    }
}

fn parsed<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes)
        .map_err(|error| DocumentError::Unreadable { key: key.to_owned(), reason: error.to_string() })
}

pub(super) fn bytes(content: &impl Serialize) -> Vec<u8> {
    // The types here contain only text, numbers and lists, which always serialize.
    serde_json::to_vec_pretty(content).unwrap_or_default()
}

/// Random pause before the next attempt, so that colliding runs separate: up to a limit that doubles. `nanoseconds` are
/// the clock's, which differ between runs.
fn pause(attempt: u32, nanoseconds: i32) -> Duration {
    let limit = PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
    let part = f64::from(nanoseconds.unsigned_abs() % 1_000_000) / 1_000_000.0;
    limit.mul_f64(part)
}

#[cfg(test)]
pub(super) mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};

    use super::*;

    pub(in crate::run) const NONE: &str = "<ListBucketResult></ListBucketResult>";
    pub(in crate::run) const TAKEN: &str = "<Error><Code>PreconditionFailed</Code></Error>";

    /// An S3 that returns these statuses and bodies in order.
    pub(in crate::run) fn documents(answers: &[(u16, &str)]) -> (Documents, StaticReplayClient) {
        let event = |(status, body): &(u16, &str)| {
            let answer =
                http::Response::builder().status(*status).header("etag", "\"tag\"").body((*body).into());
            ReplayEvent::new(http::Request::new("".into()), answer.unwrap())
        };
        let wire = StaticReplayClient::new(answers.iter().map(event).collect());
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .http_client(wire.clone())
            .build();
        let client = Client::from_conf(config);
        (Documents { client, bucket: "evidence-bucket".to_owned(), procedure: "p" }, wire)
    }

    pub(in crate::run) fn listing(key: &str) -> String {
        format!("<ListBucketResult><Contents><Key>{key}</Key></Contents></ListBucketResult>")
    }

    #[test]
    fn runs_that_collide_wait_for_different_times_and_not_for_long() {
        assert_eq!(pause(0, 0), Duration::ZERO);
        assert_eq!(pause(0, 500_000), PAUSE / 2);
        assert_eq!(pause(3, 500_000), PAUSE * 4);
        assert!(pause(5, 999_999) < LONGEST_PAUSE && pause(99, 999_999) < LONGEST_PAUSE);
        assert_eq!(pause(99, 500_000), LONGEST_PAUSE / 2);
        assert_ne!(pause(2, 123_456_789), pause(2, 123_456_790));
    }

    #[tokio::test]
    async fn only_what_can_be_made_again_is_replaced_when_it_cannot_be_read() {
        let change = |content: &mut String| content.push_str("new");
        let key = listing("runs/p/x.json");
        let (kept, wire) = documents(&[(200, &key), (200, "{")]);
        assert!(matches!(kept.update("x", change).await, Err(DocumentError::Unreadable { .. })));
        assert_eq!(wire.actual_requests().count(), 2);
        let (renewed, wire) = documents(&[(200, &key), (200, "{"), (200, "")]);
        let ((), why) = renewed.renew("x", change).await.unwrap();
        assert!(matches!(why, Some(DocumentError::Unreadable { .. })));
        let put = wire.actual_requests().last().unwrap();
        assert_eq!(put.headers().get("if-match"), Some("\"tag\""));
        assert_eq!(put.body().bytes(), Some(&br#""new""#[..]));
        let (known, _) = documents(&[(200, &key), (200, r#""old""#), (200, "")]);
        assert_eq!(known.renew("x", change).await.unwrap(), ((), None));
    }

    #[tokio::test]
    async fn a_place_is_had_by_one() {
        let stale = |taken: &String| taken == "old";
        let new = "new".to_owned();
        // Free, or just taken by another caller.
        let (free, wire) = documents(&[(200, NONE), (200, "")]);
        assert!(free.claim("task", &new, stale).await.unwrap().is_some());
        let put = wire.actual_requests().last().unwrap();
        assert_eq!(put.headers().get("if-none-match"), Some("*"));
        let (raced, _) = documents(&[(200, NONE), (412, TAKEN)]);
        assert!(raced.claim("task", &new, stale).await.unwrap().is_none());
        // Held by another caller, active or stale.
        let key = listing("runs/p/x.json");
        let (held, _) = documents(&[(200, &key), (200, r#""fresh""#)]);
        assert!(held.claim("task", &new, stale).await.unwrap().is_none());
        let (left, wire) = documents(&[(200, &key), (200, r#""old""#), (200, "")]);
        assert!(left.claim("task", &new, stale).await.unwrap().is_some());
        let put = wire.actual_requests().last().unwrap();
        assert_eq!(put.headers().get("if-match"), Some("\"tag\""));
        let (raced, _) = documents(&[(200, &key), (200, r#""old""#), (412, TAKEN)]);
        assert!(raced.claim("task", &new, stale).await.unwrap().is_none());
    }
}
