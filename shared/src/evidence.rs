//! Evidence: one record a run, written once, each holding the SHA-256 of the one before it.
//!
//! A procedure's records are the objects `evidence/<procedure>/<number>.json` of the evidence bucket, where the
//! number is 9,999,999,999 less the record's sequence: S3 lists in ascending order, so one request finds the
//! newest. A record is put under the condition that its key is free, so two writers cannot take the same place
//! in the chain: the later one looks for the chain's end again.
//!
//! A run has one record, however often it is repeated: before the record, the place that it will take is noted in
//! `runs/<procedure>/<SHA-256 of the run id>.json`. A repetition looks whether the record stands there. The number
//! of requests does not depend on how many records there are.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{CallError, chain};

/// The greatest sequence number plus one, as the keys count down from it.
const LAST: u64 = 9_999_999_999;

/// How often an append starts again because another run took its place in the chain.
const APPENDS: u32 = 8;

/// What a procedure says of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// What makes the run one run, over all its retries; the same for each of them.
    pub run_id: String,
    /// Project of the stack.
    pub project: String,
    /// Environment of the stack: dev, staging or prod.
    pub environment: String,
    /// What started the run, e.g. `secretsmanager:RotateSecret`.
    pub trigger: String,
    /// ARN of the resource that the run was about.
    pub subject: String,
    /// When the run began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// What a person should know or do.
    pub findings: Vec<String>,
    /// `succeeded` or `failed`.
    pub result: &'static str,
    /// Commit that the code was built from.
    pub code_version: String,
    /// What became of the channel message: `sent`, or `failed` and why.
    pub channel: String,
}

/// One step of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Name of the step.
    pub name: String,
    /// When it ended.
    pub at: Instant,
    /// `succeeded`, or what went wrong.
    pub outcome: String,
}

/// An instant, in UTC and as people in São Paulo read it.
#[derive(Clone, Debug, Serialize)]
pub struct Instant {
    utc: Timestamp,
    local: String,
}

impl From<Timestamp> for Instant {
    fn from(utc: Timestamp) -> Self {
        Self { utc, local: crate::time::local(utc) }
    }
}

/// A record as it is stored.
#[derive(Serialize)]
struct Record<'a> {
    schema: u32,
    procedure: &'a str,
    sequence: u64,
    previous: Option<&'a Link>,
    #[serde(flatten)]
    draft: &'a Draft,
}

/// The part of a stored record that the chain needs.
#[derive(Deserialize)]
struct Stored {
    sequence: u64,
    run_id: String,
}

/// The place that a run's record was to take.
#[derive(Deserialize, Serialize)]
struct Intent {
    key: String,
}

/// An object as it was read.
struct Read<T> {
    content: T,
    link: Link,
    etag: String,
}

/// A record's place and content, as its successor names it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Link {
    /// The object's key.
    pub key: String,
    /// SHA-256 of the object's bytes, in hexadecimal.
    pub sha256: String,
}

/// The end of a procedure's chain, as one run sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Chain {
    /// The run has its record.
    Recorded {
        /// Key of the record.
        key: String,
    },
    /// It has none yet.
    Open {
        /// The newest record and its sequence; none when the procedure has never run.
        newest: Option<(u64, Link)>,
        /// Entity tag of the place that an earlier attempt has noted for the run.
        noted: Option<String>,
    },
}

/// Why evidence could not be read or written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EvidenceError {
    /// A call to S3 failed.
    #[error("evidence stopped at an S3 call")]
    S3(#[from] CallError),
    /// An object of the chain is not a record.
    #[error(
        "evidence object {key} is not a record: {reason}; find out who wrote it before anything else is added"
    )]
    Unreadable {
        /// The object's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Other runs took the place in the chain each time.
    #[error(
        "evidence of the run found no place in the chain within {APPENDS} tries; run the procedure again"
    )]
    Contended,
}

/// The evidence of one procedure.
pub struct Evidence {
    /// Client of the bucket's region.
    pub client: Client,
    /// The evidence bucket.
    pub bucket: String,
    /// The procedure: the function's folder name.
    pub procedure: &'static str,
}

impl Evidence {
    fn key(&self, sequence: u64) -> String {
        format!("evidence/{}/{:010}.json", self.procedure, LAST.saturating_sub(sequence))
    }

    fn intent_key(&self, run_id: &str) -> String {
        format!("runs/{}/{}.json", self.procedure, sha256(run_id.as_bytes()))
    }

    /// Looks whether `run_id` has its record, and where the chain ends.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`] or [`EvidenceError::Unreadable`].
    pub async fn find(&self, run_id: &str) -> Result<Chain, EvidenceError> {
        let intent = match self.first(&self.intent_key(run_id)).await? {
            Some(key) => Some(self.read::<Intent>(&key).await?),
            None => None,
        };
        let (intent, noted) = intent.map(|read| (read.content.key, read.etag)).unzip();
        let Some(newest) = self.first(&format!("evidence/{}/", self.procedure)).await? else {
            return Ok(Chain::Open { newest: None, noted });
        };
        // The chain has no gaps, so a key that sorts before the newest is of a record that was never written.
        if let Some(key) = intent.filter(|key| *key >= newest)
            && self.read::<Stored>(&key).await?.content.run_id == run_id
        {
            return Ok(Chain::Recorded { key });
        }
        let Read { content, link, .. } = self.read::<Stored>(&newest).await?;
        Ok(Chain::Open { newest: Some((content.sequence, link)), noted })
    }

    /// The first key with a prefix. A missing object shows here without the permission that a 404 would need.
    async fn first(&self, prefix: &str) -> Result<Option<String>, EvidenceError> {
        let listed =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(1).send().await;
        let listed = listed.map_err(CallError::during("s3:ListBucket"))?;
        Ok(listed.contents().first().and_then(|object| object.key()).map(str::to_owned))
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Read<T>, EvidenceError> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let object = object.map_err(CallError::during("s3:GetObject"))?;
        let unreadable = |reason: String| EvidenceError::Unreadable { key: key.to_owned(), reason };
        let etag = object.e_tag.unwrap_or_default();
        let bytes = object.body.collect().await.map_err(|error| unreadable(chain(&error)))?.into_bytes();
        let content = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        Ok(Read { content, link: Link { key: key.to_owned(), sha256: sha256(&bytes) }, etag })
    }

    /// Writes the run's record at the end of the chain that `find` returned, and returns its key.
    ///
    /// Finds the chain's end again when another run was faster. The record that an earlier attempt of the same
    /// run has written stays, and its key is returned.
    ///
    /// # Errors
    ///
    /// Any [`EvidenceError`]; the record is then not stored, or its storing was not confirmed.
    pub async fn append(&self, draft: &Draft, mut chain: Chain) -> Result<String, EvidenceError> {
        for _ in 0..APPENDS {
            let (newest, noted) = match chain {
                Chain::Recorded { key } => return Ok(key),
                Chain::Open { newest, noted } => (newest, noted),
            };
            let sequence = newest.as_ref().map_or(1, |(sequence, _)| sequence + 1);
            let previous = newest.as_ref().map(|(_, link)| link);
            let key = self.key(sequence);
            // The note may replace only the one that was read: a slower attempt of the same run must not point
            // away from the record that a faster one has written since.
            let intent = Intent { key: key.clone() };
            let record = Record { schema: 1, procedure: self.procedure, sequence, previous, draft };
            if self.put(&self.intent_key(&draft.run_id), &intent, noted.as_deref()).await?
                && self.put(&key, &record, None).await?
            {
                return Ok(key);
            }
            chain = self.find(&draft.run_id).await?;
        }
        Err(EvidenceError::Contended)
    }

    /// Puts an object where none is, or in place of the one with the entity tag `replaces`; `false` when another
    /// is there.
    async fn put(
        &self,
        key: &str,
        content: &impl Serialize,
        replaces: Option<&str>,
    ) -> Result<bool, CallError> {
        // Text, numbers and lists of our own types: there is nothing in them that JSON cannot say.
        let bytes = serde_json::to_vec_pretty(content).unwrap_or_default();
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .content_type("application/json")
            .body(ByteStream::from(bytes));
        let put = match replaces {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict")) =>
            {
                Ok(false)
            }
            Err(error) => Err(CallError::during("s3:PutObject")(error)),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
