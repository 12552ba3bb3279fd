//! Evidence: one record per run, written once, each with the SHA-256 of the previous record.
//!
//! A procedure's records are the objects `evidence/<procedure>/<number>.json` of the evidence bucket. The number is
//! 9,999,999,999 minus the record's sequence: S3 lists in ascending order, so one request finds the newest. Records are
//! put on condition that the key is free, so two writers cannot take the same place in the chain: the later one looks
//! for the end of the chain again.
//!
//! A run has one record over all its retries: before writing the record, the run notes the record's place in
//! `runs/<procedure>/<SHA-256 of the run id>.json`, and a retry checks whether the record is there. The note also
//! distinguishes a run that the procedure began from one that a caller only claims. The number of requests is
//! independent of the number of records.
//!
//! A note outside the chain proves that it exists. The end of the chain is read from the list of versions, which shows
//! records that are hidden by a delete marker or were written twice. The note `runs/<procedure>/begun.json`
//! distinguishes a deleted chain from one that never began; it is written, if missing, after records 1, 2, 4, 8 and so
//! on. Nothing is appended to a damaged or deleted chain.
//!
//! A writer looks at the chain's end only. The crate `chain` has the forms of keys and links, and verifies whole chains.

mod damage;
mod room;

#[cfg(test)]
mod tests;

use chain::{Folder, Link, Mark};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use damage::Damage;
use damage::Harm;

use crate::run::documents::{DocumentError, Documents, JSON, Read, bytes};
use crate::runtime::failure::CallError;
use crate::runtime::settings::Settings;
use crate::runtime::time;

/// A record's `channel` after the message reached the channel.
pub(crate) const SENT: &str = "sent";

/// A record's `channel` if no message was due.
pub(crate) const SILENT: &str = "nothing to tell";

/// Most attempts to append a record while other runs take its place in the chain.
const APPENDS: u32 = 8;

/// A procedure's account of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// Identifies the run; the same for all its retries. Its forms, with days in São Paulo:
    ///
    /// | run | id |
    /// | --- | --- |
    /// | rotation | `<token>` |
    /// | failed step of a rotation | `<token>/<step>/<fingerprint>/<day>` |
    /// | retirement | `<version>/retire/<done>/<key>`, in `rotate-database` without a key |
    /// | retirement that waits | `<version>/retire/<reason>/<day>`, in `rotate-database` `<secret>/…` |
    /// | failed retirement | `<secret>/retire/<fingerprint>/<day>` |
    /// | follow-up | `<execution>` |
    /// | `rotation-audit`, `backup-audit`, sweep of `snapshot-verify` | `<day>` |
    /// | `inventory-audit` | `<day>/<hash of the last run and the findings>` |
    /// | later run of `snapshot-verify` | `<day>/<sequence>` |
    /// | failed audit or verification | `<day>/<fingerprint>` |
    /// | audit of one resource | `<day>/<resource>/<instant>` |
    /// | repair | `repair/<rule>/<resource>/<instant>` |
    /// | snapshot | `<database>/<deploy>/<status>` |
    /// | failed snapshot | `<database>/<deploy>/<kind>/<day>`; with refused input `<execution>/<kind>/<day>` |
    /// | restore test, baseline | `<execution>` |
    /// | instance removed after its restore test | `<execution>/removed` |
    /// | instance past its deadline | `<instance>/Outlived/<day>` |
    /// | test of attachments | `<day>`; by a person `<day>/<request>` |
    /// | emergency restore | `<run>`; its parts `<run>/began`, `<run>/resumed/<number>`, `<run>/order/<number>`, `<run>/proof/<instance>`, `<run>/<phase>/…` |
    /// | post-mortem | daily `<day>`; `<incident>/begun/<second of its end>`, `<incident>/<state>/<number>`, `<incident>/text/<second>`, `<incident>/action/<number>/…` |
    /// | onboarding | daily `<day>`; `<person>/begun`, `<person>/ticked/<item>`, `<person>/changed/<number>`, `<person>/completed`, `<person>/left/<day>/<number>`, `<person>/stays/<number>`, `<person>/forgotten` |
    /// | export of Grafana | `<day>`; `<day>/release/<release>/<export>`, `<day>/check/<second>` |
    /// | change of the policy | `<version of the object>` |
    ///
    /// These names are stored. After a change of a form, runs in progress would report twice, and code that splits an
    /// id would not understand old records. The forms have no part in common, so each procedure formats its own. The
    /// names of other notes in `runs/` must differ from every form.
    pub run_id: String,
    /// Project of the stack.
    pub project: String,
    /// Environment of the stack: dev, staging or prod.
    pub environment: String,
    /// The run's trigger, e.g. `secretsmanager:RotateSecret`.
    pub trigger: String,
    /// ARN of the resource that the run worked on.
    pub subject: String,
    /// When the run began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Findings that a person should know about or act on.
    pub findings: Vec<String>,
    /// `succeeded` or `failed`.
    pub result: &'static str,
    /// Commit that the code was built from.
    pub code_version: String,
    /// Outcome of the channel message: `sent`, `nothing to tell`, or `failed` with the reason.
    pub channel: String,
}

impl Draft {
    /// A draft for a run that ends now, without steps and findings.
    pub fn of(settings: &Settings, run_id: &str, result: &'static str, started: Timestamp) -> Self {
        Self {
            run_id: run_id.to_owned(),
            project: settings.project.clone(),
            environment: settings.environment.clone(),
            trigger: String::new(),
            subject: String::new(),
            started: started.into(),
            ended: time::now().into(),
            steps: Vec::new(),
            findings: Vec::new(),
            result,
            code_version: settings.code_version.clone(),
            channel: String::new(),
        }
    }
}

/// One step of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Name of the step.
    pub name: String,
    /// When it ended.
    pub at: Instant,
    /// `succeeded`, or the error.
    pub outcome: String,
}

impl Step {
    /// A step that ends now.
    pub fn now(name: impl Into<String>, outcome: impl Into<String>) -> Self {
        Self { name: name.into(), at: time::now().into(), outcome: outcome.into() }
    }
}

/// An instant in UTC, and in São Paulo for people.
#[derive(Clone, Debug, Serialize)]
pub struct Instant {
    utc: Timestamp,
    local: String,
}

impl From<Timestamp> for Instant {
    fn from(utc: Timestamp) -> Self {
        Self { utc, local: crate::runtime::time::local(utc) }
    }
}

/// A record as stored.
#[derive(Serialize)]
struct Record<'a> {
    schema: u32,
    procedure: &'a str,
    sequence: u64,
    previous: Option<&'a Link>,
    #[serde(flatten)]
    draft: &'a Draft,
}

/// The fields of a stored record that a retry needs.
#[derive(Deserialize)]
struct Stored {
    run_id: String,
    channel: String,
}

/// The field of a chain's first record that says when the procedure first ran.
#[derive(Deserialize)]
struct First {
    started: Started,
}

#[derive(Deserialize)]
struct Started {
    utc: Timestamp,
}

/// A run's note: the place reserved for its record.
#[derive(Deserialize, Serialize)]
struct Place {
    key: String,
}

/// The end of a procedure's chain, as seen by one run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Chain {
    /// The run already has its record.
    Recorded {
        /// Key of the record.
        key: String,
        /// Whether the run's message reached the channel.
        reported: bool,
    },
    /// The run has no record yet.
    Open {
        /// The newest record with its sequence; none if the procedure has no records.
        newest: Option<(u64, Link)>,
        /// The note of an earlier attempt.
        noted: Option<Note>,
    },
}

/// A run's note as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// The place reserved for the record.
    key: String,
    /// ETag of the note.
    etag: String,
}

/// A record stored by this attempt or an earlier one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Appended {
    /// Its key.
    pub key: String,
    /// The mark to write with [`Evidence::remember`], if this sequence calls for one.
    pub mark: Option<Mark>,
}

/// A mark for records 1, 2, 4, 8 and so on. This covers chains older than the note, and a mark that an earlier run failed
/// to write, at the cost of few requests.
fn mark(sequence: u64, record: Link) -> Option<Mark> {
    sequence.is_power_of_two().then_some(Mark { sequence, record })
}

/// A version of an object, or a delete marker.
struct Version<'a> {
    key: &'a str,
    id: &'a str,
    is_latest: bool,
    is_marker: bool,
}

/// Why a record could not be read or written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EvidenceError {
    /// An object of the chain could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Records are hidden, replaced or deleted.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Other runs took the place in the chain on every attempt.
    #[error(
        "the run's record found no free place in the chain in {APPENDS} attempts; run the procedure again"
    )]
    Contended,
}

impl From<CallError> for EvidenceError {
    fn from(error: CallError) -> Self {
        DocumentError::S3(error).into()
    }
}

/// The chain of one procedure's records.
pub struct Evidence<'a>(pub &'a Documents);

impl Evidence<'_> {
    fn folder(&self) -> Folder {
        Folder::records(self.0.procedure)
    }

    fn key(&self, sequence: u64) -> String {
        self.folder().key(sequence)
    }

    /// Key of the note that the chain has begun.
    fn begun_key(&self) -> String {
        format!("runs/{}/begun.json", self.0.procedure)
    }

    /// Finds `run_id`'s record, if it has one, and the end of the chain.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Document`] or [`EvidenceError::Damaged`].
    pub async fn find(&self, run_id: &str) -> Result<Chain, EvidenceError> {
        let noted = match self.0.first(&self.0.key(run_id)).await? {
            Some(key) => {
                let Read { content: Place { key }, etag, .. } = self.0.read(&key).await?;
                Some(Note { key, etag })
            }
            None => None,
        };
        let Some(newest) = self.end().await? else {
            return Ok(Chain::Open { newest: None, noted });
        };
        // The chain has no gaps, so a key that sorts before the newest belongs to a record that was never written.
        if let Some(Note { key, .. }) = noted.as_ref().filter(|note| note.key >= newest) {
            let stored = self.0.read::<Stored>(key).await?.content;
            if stored.run_id == run_id {
                let reported = [SENT, SILENT].contains(&stored.channel.as_str());
                return Ok(Chain::Recorded { key: key.clone(), reported });
            }
        }
        let link = Link { sha256: self.0.read::<Stored>(&newest).await?.sha256, key: newest.clone() };
        Ok(Chain::Open { newest: Some((self.sequence(&newest)?, link)), noted })
    }

    /// Key of the newest record; none if the chain never began.
    async fn end(&self) -> Result<Option<String>, EvidenceError> {
        // A second version of the newest key, if any, is listed next.
        let listed = self.0.client.list_object_versions().bucket(&self.0.bucket);
        let listed = listed.prefix(self.folder().prefix()).max_keys(2).send().await;
        let listed = listed.map_err(CallError::during("s3:ListBucketVersions"))?;
        let version = |key, id, is_latest: Option<bool>, is_marker| Version {
            key: Option::unwrap_or_default(key),
            id: Option::unwrap_or_default(id),
            is_latest: is_latest == Some(true),
            is_marker,
        };
        let records = listed.versions().iter();
        let records = records.map(|one| version(one.key(), one.version_id(), one.is_latest(), false));
        let markers = listed.delete_markers().iter();
        let markers = markers.map(|one| version(one.key(), one.version_id(), one.is_latest(), true));
        match newest(records.chain(markers).collect()) {
            Ok(Some(key)) => Ok(Some(key.to_owned())),
            Ok(None) => match self.0.first(&self.begun_key()).await? {
                Some(key) => Err(self.damage(&key, Harm::Gone)),
                None => Ok(None),
            },
            Err((key, harm)) => Err(self.damage(key, harm)),
        }
    }

    fn damage(&self, key: &str, harm: Harm) -> EvidenceError {
        Damage { bucket: self.0.bucket.clone(), key: key.to_owned(), harm }.into()
    }

    /// Notes that the chain has begun; an existing note stays.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Document`]; a later record tries again.
    pub async fn remember(&self, mark: &Mark) -> Result<(), EvidenceError> {
        self.0.put(&self.begun_key(), mark, None).await?;
        Ok(())
    }

    /// Start of the procedure's first run; none if it has no record. [`Timestamp::MIN`] if the chain has records but no
    /// note of its beginning.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Document`], also if the first record is gone, or [`EvidenceError::Damaged`].
    pub async fn began(&self) -> Result<Option<Timestamp>, EvidenceError> {
        // Look for the note, not the record: the role may not list records.
        if self.0.first(&self.begun_key()).await?.is_none() {
            // The note may be missing after the first two records, if a run died there. With more records, treat the
            // chain as old.
            let newest = self.end().await?;
            let sequence = newest.map(|key| self.sequence(&key)).transpose()?;
            return Ok(sequence.filter(|sequence| *sequence > 2).map(|_| Timestamp::MIN));
        }
        Ok(Some(self.0.read::<First>(&self.key(1)).await?.content.started.utc))
    }

    /// The sequence encoded in a record's key.
    fn sequence(&self, key: &str) -> Result<u64, EvidenceError> {
        self.folder().sequence(key).ok_or_else(|| {
            let reason = "its name is not a valid record number".to_owned();
            DocumentError::Unreadable { key: key.to_owned(), reason }.into()
        })
    }

    /// Notes the place at the end of the chain for `run_id` and returns the chain with the note; `None` if another run,
    /// or another attempt of this one, was faster.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Document`].
    pub async fn note(&self, run_id: &str, chain: Chain) -> Result<Option<Chain>, EvidenceError> {
        let Chain::Open { newest, noted } = chain else { return Ok(Some(chain)) };
        let key = self.key(newest.as_ref().map_or(1, |(sequence, _)| sequence + 1));
        if noted.as_ref().is_some_and(|note| note.key == key) {
            return Ok(Some(Chain::Open { newest, noted }));
        }
        // Replace only the note that was read: a slower attempt of the same run must not point away from the record
        // that a faster one has written since.
        let replaces = noted.as_ref().map(|note| note.etag.as_str());
        let etag = self.0.put(&self.0.key(run_id), &Place { key: key.clone() }, replaces).await?;
        Ok(etag.map(|etag| Chain::Open { newest, noted: Some(Note { key, etag }) }))
    }

    /// Writes the run's record at the end of the chain that `find` or `note` returned.
    ///
    /// Looks for the end again if another run was faster. A record that an earlier attempt of the same run wrote stays. Of a
    /// draft of more than 1 MiB, the record has a part of its lines, and says so.
    ///
    /// # Errors
    ///
    /// Any [`EvidenceError`]; the record was not stored, or its storage was not confirmed.
    pub async fn append(&self, draft: &Draft, mut chain: Chain) -> Result<Appended, EvidenceError> {
        let draft = &*draft.fitted();
        for _ in 0..APPENDS {
            if let Some(noted) = self.note(&draft.run_id, chain).await? {
                let newest = match noted {
                    Chain::Recorded { key, .. } => return Ok(Appended { key, mark: None }),
                    Chain::Open { newest, .. } => newest,
                };
                let sequence = newest.as_ref().map_or(1, |(sequence, _)| sequence + 1);
                let previous = newest.as_ref().map(|(_, link)| link);
                let record = Record { schema: 1, procedure: self.0.procedure, sequence, previous, draft };
                let (key, bytes) = (self.key(sequence), bytes(&record));
                let sha256 = chain::sha256(&bytes);
                if self.0.put_bytes(&key, bytes, JSON, None).await?.is_some() {
                    let mark = mark(sequence, Link { key: key.clone(), sha256 });
                    return Ok(Appended { key, mark });
                }
            }
            chain = self.find(&draft.run_id).await?;
        }
        Err(EvidenceError::Contended)
    }

    /// The procedure's newest record; none if it has none.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Document`] or [`EvidenceError::Damaged`].
    pub async fn newest<T: DeserializeOwned>(&self) -> Result<Option<T>, EvidenceError> {
        let Some(key) = self.end().await? else { return Ok(None) };
        Ok(Some(self.0.read(&key).await?.content))
    }

    /// Up to `most` of the procedure's records, newest first.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Document`].
    pub async fn recent<T: DeserializeOwned>(&self, most: u8) -> Result<Vec<T>, EvidenceError> {
        let listed = self.0.client.list_objects_v2().bucket(&self.0.bucket).prefix(self.folder().prefix());
        let listed = listed.max_keys(most.into()).send().await.map_err(CallError::during("s3:ListBucket"))?;
        let mut records = Vec::new();
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            records.push(self.0.read(key).await?.content);
        }
        Ok(records)
    }
}

/// The newest record's key, or its key with the damage to it, from the first two entries of the list of versions. S3
/// returns versions and delete markers as separate lists. Keys ascend, and a key's latest version comes before earlier
/// ones.
fn newest(mut listed: Vec<Version<'_>>) -> Result<Option<&str>, (&str, Harm)> {
    listed.sort_by_key(|version| (version.key, !version.is_latest));
    let mut listed = listed.into_iter();
    let Some(first) = listed.next() else { return Ok(None) };
    if first.is_marker {
        return Err((first.key, Harm::Hidden(first.id.to_owned())));
    }
    if listed.any(|other| other.key == first.key) {
        return Err((first.key, Harm::Replaced(first.id.to_owned())));
    }
    Ok(Some(first.key))
}
