//! Evidence: one record a run, written once, each holding the SHA-256 of the one before it.
//!
//! A procedure's records are the objects `evidence/<procedure>/<number>.json` of the evidence bucket, where the
//! number is 9,999,999,999 less the record's sequence: S3 lists in ascending order, so one request finds the
//! newest. A record is put under the condition that its key is free, so two writers cannot take the same place
//! in the chain: the later one reads the chain again. A run that already has a record gets no second one.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{CallError, chain};

/// The greatest sequence number plus one, as the keys count down from it.
const LAST: u64 = 9_999_999_999;

/// How far S3's clock and ours may differ when old records are told from those that a run may have written.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

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

    /// Looks whether `run_id`, which began at `since`, has its record, and where the chain ends.
    ///
    /// Reads the newest record, and those before it that are younger than `since`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`] or [`EvidenceError::Unreadable`].
    pub async fn find(&self, run_id: &str, since: Timestamp) -> Result<Chain, EvidenceError> {
        let mut newest = None;
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(format!("evidence/{}/", self.procedure))
            .into_paginator()
            .page_size(50)
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(CallError::during("s3:ListBucket"))?;
            for object in page.contents() {
                let (Some(key), Some(modified)) = (object.key(), object.last_modified()) else { continue };
                let modified = Timestamp::from_second(modified.secs()).unwrap_or(Timestamp::MAX);
                let older = since.duration_since(modified) > CLOCK_SKEW;
                if older && newest.is_some() {
                    return Ok(Chain::Open { newest });
                }
                let (stored, link) = self.read(key).await?;
                if stored.run_id == run_id {
                    return Ok(Chain::Recorded { key: link.key });
                }
                newest.get_or_insert((stored.sequence, link));
            }
        }
        Ok(Chain::Open { newest })
    }

    async fn read(&self, key: &str) -> Result<(Stored, Link), EvidenceError> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let body = object.map_err(CallError::during("s3:GetObject"))?.body.collect().await;
        let unreadable = |reason: String| EvidenceError::Unreadable { key: key.to_owned(), reason };
        let bytes = body.map_err(|error| unreadable(chain(&error)))?.into_bytes();
        let stored = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        Ok((stored, Link { key: key.to_owned(), sha256: sha256(&bytes) }))
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
            let newest = match chain {
                Chain::Recorded { key } => return Ok(key),
                Chain::Open { newest } => newest,
            };
            let sequence = newest.as_ref().map_or(1, |(sequence, _)| sequence + 1);
            let previous = newest.as_ref().map(|(_, link)| link);
            let record = Record { schema: 1, procedure: self.procedure, sequence, previous, draft };
            let key = self.key(sequence);
            let bytes = serde_json::to_vec_pretty(&record)
                .map_err(|error| EvidenceError::Unreadable { key: key.clone(), reason: error.to_string() })?;
            let stored = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(&key)
                .if_none_match("*")
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .content_type("application/json")
                .body(ByteStream::from(bytes))
                .send()
                .await;
            match stored {
                Ok(_) => return Ok(key),
                Err(error)
                    if matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict")) =>
                {
                    chain = self.find(&draft.run_id, draft.started.utc).await?;
                }
                Err(error) => return Err(CallError::during("s3:PutObject")(error).into()),
            }
        }
        Err(EvidenceError::Contended)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
