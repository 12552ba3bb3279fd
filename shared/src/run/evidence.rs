//! Evidence: one record per run, written once, each with the SHA-256 of the previous record.
//!
//! A procedure's records are the objects `evidence/<procedure>/<number>.json` of the evidence bucket. The number is
//! 9,999,999,999 minus the record's sequence: S3 lists in ascending order, so one request finds the newest. Records are put
//! on condition that the key is free, so two writers cannot take the same place in the chain: the later one looks for the
//! end of the chain again.
//!
//! A run has one record, however often it is retried: before writing the record, the run notes the record's place in
//! `runs/<procedure>/<SHA-256 of the run id>.json`, and a retry checks whether the record is there. The note also
//! distinguishes a run that the procedure began from one that a caller only claims. The number of requests does not depend
//! on the number of records.
//!
//! A chain's existence is remembered outside it. The end of the chain is read from the list of versions, which shows
//! records that are hidden by a delete marker or were written twice. The note `runs/<procedure>/begun.json` distinguishes a
//! deleted chain from one that never began; it is written, if missing, after records 1, 2, 4, 8 and so on. Nothing is
//! appended to a damaged or deleted chain.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::runtime::failure::{CallError, chain};
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;
use crate::runtime::time;

/// Keys count down from this number: the record with sequence 1 has the key 9999999998.
const LAST: u64 = 9_999_999_999;

const JSON: &str = "application/json";

/// A record's `channel` after the message reached the channel.
pub(crate) const SENT: &str = "sent";

/// A record's `channel` if there was nothing to report.
pub(crate) const SILENT: &str = "nothing to tell";

/// Most attempts to append a record while other runs take its place in the chain.
const APPENDS: u32 = 8;

/// Most attempts to change a shared document while other runs change it.
const AMENDS: u32 = 12;

/// Upper bound of the first pause between attempts to change a document; doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(25);

/// Upper bound of any such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A procedure's account of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// Identifies the run; the same for all its retries.
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

/// An object as read.
struct Read<T> {
    content: T,
    link: Link,
    etag: String,
}

/// A record's place and content, as the next record refers to it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Link {
    /// The object's key.
    pub key: String,
    /// SHA-256 of the object's bytes, in hexadecimal.
    pub sha256: String,
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

/// A place taken with [`Evidence::claim`].
#[derive(Debug)]
pub struct Claim {
    key: String,
    /// ETag of the claim.
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

/// Proof that a chain has begun: one of its records.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Mark {
    sequence: u64,
    #[serde(flatten)]
    record: Link,
}

impl Mark {
    /// A mark for records 1, 2, 4, 8 and so on. This covers chains older than the note, and a mark that an earlier run
    /// failed to write, at the cost of few requests.
    fn of(sequence: u64, record: Link) -> Option<Self> {
        sequence.is_power_of_two().then_some(Self { sequence, record })
    }
}

/// A version of an object, or a delete marker.
struct Version<'a> {
    key: &'a str,
    id: &'a str,
    is_latest: bool,
    is_marker: bool,
}

/// Damage to a chain from outside. Nothing is appended until a person has repaired it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    bucket: String,
    /// Key of the newest record; for a deleted chain, key of the note that remembers it.
    key: String,
    harm: Harm,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Harm {
    /// A delete marker, with this version, hides the newest record.
    Hidden(String),
    /// The newest record's key was written again, as this version.
    Replaced(String),
    /// No version of any record exists.
    Gone,
}

impl Damage {
    /// The finding's stable name.
    pub fn kind(&self) -> &'static str {
        match self.harm {
            Harm::Hidden(_) => "EvidenceHidden",
            Harm::Replaced(_) => "EvidenceReplaced",
            Harm::Gone => "EvidenceGone",
        }
    }

    /// The damage, and how to repair it, with commands.
    pub fn text(&self, language: Language) -> String {
        let Self { bucket, key, harm } = self;
        let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let delete = format!("aws s3api delete-object --bucket {bucket} --key {key}");
        let list = format!("aws s3api list-object-versions --bucket {bucket} --prefix {folder}/");
        let who = format!(
            "{} `aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue={bucket}`",
            say(
                "nada foi acrescentado à cadeia, e o registro desta execução está no log (`undelivered`). Ver quem mexeu no bucket:",
                "nothing was appended to the chain, and this run's record is in the log (`undelivered`). Find out who changed the bucket:",
            ),
        );
        match harm {
            Harm::Hidden(version) => format!(
                "{} s3://{bucket}/{key}; {who}. {} `{delete} --version-id {version}`. {} `{list} --query 'DeleteMarkers[].[Key,VersionId]' --output text`",
                say(
                    "um delete marker esconde o registro mais novo da cadeia,",
                    "a delete marker hides the newest record of the chain,",
                ),
                say(
                    "Depois, quem publica a stack (DeployerArns) tira o marcador:",
                    "Then a principal that deploys the stack (DeployerArns) removes the marker:",
                ),
                say("O mesmo para os outros, se houver:", "Remove any other markers the same way:"),
            ),
            Harm::Replaced(version) => format!(
                "{} s3://{bucket}/{key}; {who}. {} `{list}`. {} `{delete} --version-id {version}`",
                say(
                    "o registro mais novo da cadeia foi gravado mais de uma vez,",
                    "the newest record of the chain was written more than once,",
                ),
                say(
                    "Guardar as duas versões; a primeira é o registro:",
                    "Keep a copy of both versions; the older one is the record:",
                ),
                say(
                    "Depois, quem publica a stack (DeployerArns) tira a outra, quando a trava dela deixar (docs/implantacao.md):",
                    "Then a principal that deploys the stack (DeployerArns) removes the newer one, once its lock permits (docs/implantacao.md):",
                ),
            ),
            Harm::Gone => format!(
                "{} s3://{bucket}/{key}; {who}. {} `{delete}`",
                say(
                    "a cadeia já existiu e nenhuma versão dos registros dela está no bucket; o que se sabia dela está em",
                    "the chain existed, but the bucket holds no version of any of its records; the last known record is noted in",
                ),
                say(
                    "Para começar outra de propósito, quem publica a stack (DeployerArns) apaga essa anotação:",
                    "To begin a new chain deliberately, a principal that deploys the stack (DeployerArns) deletes that note:",
                ),
            ),
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.kind(), self.text(Language::English))
    }
}

impl std::error::Error for Damage {}

/// Why evidence could not be read or written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EvidenceError {
    /// A call to S3 failed.
    #[error("an S3 call for the evidence failed")]
    S3(#[from] CallError),
    /// Records are hidden, replaced or deleted.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// An object of the chain is not a record.
    #[error(
        "evidence object {key} is not a record: {reason}; find out who wrote it before anything is appended"
    )]
    Unreadable {
        /// The object's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Other runs took the place in the chain on every attempt.
    #[error(
        "the run's record found no free place in the chain in {APPENDS} attempts; run the procedure again"
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

    fn note_key(&self, run_id: &str) -> String {
        format!("runs/{}/{}.json", self.procedure, sha256(run_id.as_bytes()))
    }

    /// Key of the note that the chain has begun.
    fn begun_key(&self) -> String {
        format!("runs/{}/begun.json", self.procedure)
    }

    /// Finds `run_id`'s record, if it has one, and the end of the chain.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`], [`EvidenceError::Damaged`] or [`EvidenceError::Unreadable`].
    pub async fn find(&self, run_id: &str) -> Result<Chain, EvidenceError> {
        let noted = match self.first(&self.note_key(run_id)).await? {
            Some(key) => {
                let Read { content: Place { key }, etag, .. } = self.read(&key).await?;
                Some(Note { key, etag })
            }
            None => None,
        };
        let Some(newest) = self.end().await? else {
            return Ok(Chain::Open { newest: None, noted });
        };
        // The chain has no gaps, so a key that sorts before the newest belongs to a record that was never written.
        if let Some(Note { key, .. }) = noted.as_ref().filter(|note| note.key >= newest) {
            let stored = self.read::<Stored>(key).await?.content;
            if stored.run_id == run_id {
                let reported = [SENT, SILENT].contains(&stored.channel.as_str());
                return Ok(Chain::Recorded { key: key.clone(), reported });
            }
        }
        let link = self.read::<Stored>(&newest).await?.link;
        Ok(Chain::Open { newest: Some((self.sequence(&newest)?, link)), noted })
    }

    /// Key of the newest record; none if the chain never began.
    async fn end(&self) -> Result<Option<String>, EvidenceError> {
        // A second version of the newest key, if any, is listed next.
        let listed = self.client.list_object_versions().bucket(&self.bucket);
        let listed = listed.prefix(format!("evidence/{}/", self.procedure)).max_keys(2).send().await;
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
            Ok(None) => match self.first(&self.begun_key()).await? {
                Some(key) => Err(self.damage(&key, Harm::Gone)),
                None => Ok(None),
            },
            Err((key, harm)) => Err(self.damage(key, harm)),
        }
    }

    fn damage(&self, key: &str, harm: Harm) -> EvidenceError {
        Damage { bucket: self.bucket.clone(), key: key.to_owned(), harm }.into()
    }

    /// Notes that the chain has begun; an existing note stays.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`]; a later record tries again.
    pub async fn remember(&self, mark: &Mark) -> Result<(), EvidenceError> {
        self.put(&self.begun_key(), mark, None).await?;
        Ok(())
    }

    /// Start of the procedure's first run; none if it has no record. [`Timestamp::MIN`] if the chain has records but no
    /// note of its beginning.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`], also if the first record is gone, or [`EvidenceError::Unreadable`].
    pub async fn began(&self) -> Result<Option<Timestamp>, EvidenceError> {
        // Look for the note, not the record: the role may not list records.
        if self.first(&self.begun_key()).await?.is_none() {
            // The note may be missing after the first two records, if a run died there. With more records, treat the chain
            // as old.
            let newest = self.end().await?;
            let sequence = newest.map(|key| self.sequence(&key)).transpose()?;
            return Ok(sequence.filter(|sequence| *sequence > 2).map(|_| Timestamp::MIN));
        }
        Ok(Some(self.read::<First>(&self.key(1)).await?.content.started.utc))
    }

    /// The sequence encoded in a record's key.
    fn sequence(&self, key: &str) -> Result<u64, EvidenceError> {
        let place = key.strip_prefix("evidence/").and_then(|key| key.strip_prefix(self.procedure));
        let number =
            place.and_then(|place| place.strip_prefix('/')?.strip_suffix(".json")?.parse::<u64>().ok());
        let sequence = number.and_then(|number| LAST.checked_sub(number)).filter(|sequence| *sequence > 0);
        sequence.ok_or_else(|| EvidenceError::Unreadable {
            key: key.to_owned(),
            reason: "its name is not a valid record number".to_owned(),
        })
    }

    /// The first key with a prefix. Shows that an object is missing without the permission that a 404 requires.
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

    /// Notes the place at the end of the chain for `run_id` and returns the chain with the note; `None` if another run, or
    /// another attempt of this one, was faster.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`].
    pub async fn note(&self, run_id: &str, chain: Chain) -> Result<Option<Chain>, EvidenceError> {
        let Chain::Open { newest, noted } = chain else { return Ok(Some(chain)) };
        let key = self.key(newest.as_ref().map_or(1, |(sequence, _)| sequence + 1));
        if noted.as_ref().is_some_and(|note| note.key == key) {
            return Ok(Some(Chain::Open { newest, noted }));
        }
        // Replace only the note that was read: a slower attempt of the same run must not point away from the record that a
        // faster one has written since.
        let replaces = noted.as_ref().map(|note| note.etag.as_str());
        let etag = self.put(&self.note_key(run_id), &Place { key: key.clone() }, replaces).await?;
        Ok(etag.map(|etag| Chain::Open { newest, noted: Some(Note { key, etag }) }))
    }

    /// Writes the run's record at the end of the chain that `find` or `note` returned.
    ///
    /// Looks for the end again if another run was faster. A record that an earlier attempt of the same run wrote stays.
    ///
    /// # Errors
    ///
    /// Any [`EvidenceError`]; the record was not stored, or its storage was not confirmed.
    pub async fn append(&self, draft: &Draft, mut chain: Chain) -> Result<Appended, EvidenceError> {
        for _ in 0..APPENDS {
            if let Some(noted) = self.note(&draft.run_id, chain).await? {
                let newest = match noted {
                    Chain::Recorded { key, .. } => return Ok(Appended { key, mark: None }),
                    Chain::Open { newest, .. } => newest,
                };
                let sequence = newest.as_ref().map_or(1, |(sequence, _)| sequence + 1);
                let previous = newest.as_ref().map(|(_, link)| link);
                let record = Record { schema: 1, procedure: self.procedure, sequence, previous, draft };
                let (key, bytes) = (self.key(sequence), bytes(&record));
                let sha256 = sha256(&bytes);
                if self.put_bytes(&key, bytes, JSON, None).await?.is_some() {
                    let mark = Mark::of(sequence, Link { key: key.clone(), sha256 });
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
    /// [`EvidenceError::S3`], [`EvidenceError::Damaged`] or [`EvidenceError::Unreadable`].
    pub async fn newest<T: DeserializeOwned>(&self) -> Result<Option<T>, EvidenceError> {
        let Some(key) = self.end().await? else { return Ok(None) };
        Ok(Some(self.read(&key).await?.content))
    }

    /// Stores content for a later step of the run. Returns `false` if content is stored already, which then stays.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`].
    pub async fn put_new(&self, run_id: &str, content: &impl Serialize) -> Result<bool, EvidenceError> {
        Ok(self.put(&self.note_key(run_id), content, None).await?.is_some())
    }

    /// Content that an earlier step of the run stored, if any.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`] or [`EvidenceError::Unreadable`].
    pub async fn get<T: DeserializeOwned>(&self, run_id: &str) -> Result<Option<T>, EvidenceError> {
        let Some(key) = self.first(&self.note_key(run_id)).await? else { return Ok(None) };
        Ok(Some(self.read(&key).await?.content))
    }

    /// Takes a place that only one caller may hold, for actions that must not happen twice. Writes `content` if the place
    /// is free, or if `is_stale` holds for the stored content. Of several concurrent callers, one gets the place.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`] or [`EvidenceError::Unreadable`].
    pub async fn claim<T: DeserializeOwned + Serialize>(
        &self,
        run_id: &str,
        content: &T,
        is_stale: impl Fn(&T) -> bool,
    ) -> Result<Option<Claim>, EvidenceError> {
        let key = self.note_key(run_id);
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
    /// [`EvidenceError::S3`].
    pub async fn settle(&self, claim: Claim, content: &impl Serialize) -> Result<(), EvidenceError> {
        self.put(&claim.key, content, Some(&claim.etag)).await?;
        Ok(())
    }

    /// Changes a document shared by several runs, by compare-and-swap, and returns the answer of `change`. `change` gets
    /// the stored document, or the default if there is none, and is called again if another run was faster.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`]; the document is unchanged, or its change was not confirmed.
    pub async fn update<T, R>(&self, name: &str, change: impl Fn(&mut T) -> R) -> Result<R, EvidenceError>
    where
        T: Clone + Default + DeserializeOwned + PartialEq + Serialize,
    {
        let key = self.note_key(name);
        for attempt in 0..AMENDS {
            let (before, tag) = match self.first(&key).await? {
                Some(_) => self.read::<T>(&key).await.map(|read| (read.content, Some(read.etag)))?,
                None => (T::default(), None),
            };
            let mut content = before.clone();
            let answer = change(&mut content);
            if content == before || self.put(&key, &content, tag.as_deref()).await?.is_some() {
                return Ok(answer);
            }
            tokio::time::sleep(pause(attempt, time::now().subsec_nanosecond())).await;
        }
        Err(EvidenceError::Contended)
    }

    /// Writes a page for people, rendered from a stored document. Never replaces a newer page by an older one.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`].
    pub async fn show<T: Default + DeserializeOwned>(
        &self,
        name: &str,
        key: &str,
        content_type: &str,
        page: impl Fn(&T) -> String,
    ) -> Result<(), EvidenceError> {
        for _ in 0..APPENDS {
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
        Err(EvidenceError::Contended)
    }

    /// Up to `most` of the procedure's records, newest first.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::S3`] or [`EvidenceError::Unreadable`].
    pub async fn recent<T: DeserializeOwned>(&self, most: u8) -> Result<Vec<T>, EvidenceError> {
        let prefix = format!("evidence/{}/", self.procedure);
        let listed = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let listed = listed.max_keys(most.into()).send().await.map_err(CallError::during("s3:ListBucket"))?;
        let mut records = Vec::new();
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            records.push(self.read(key).await?.content);
        }
        Ok(records)
    }

    /// Puts an object if the key is free, or if `replaces` is the ETag of the existing one. Returns the new ETag; `None` if
    /// another object is there.
    async fn put(
        &self,
        key: &str,
        content: &impl Serialize,
        replaces: Option<&str>,
    ) -> Result<Option<String>, CallError> {
        self.put_bytes(key, bytes(content), JSON, replaces).await
    }

    async fn put_bytes(
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

fn bytes(content: &impl Serialize) -> Vec<u8> {
    // Our own types contain only text, numbers and lists, which always serialize.
    serde_json::to_vec_pretty(content).unwrap_or_default()
}

/// Random pause before the next attempt, so that colliding runs separate: up to a limit that doubles. `nanoseconds` are the
/// clock's, which differ between runs.
fn pause(attempt: u32, nanoseconds: i32) -> Duration {
    let limit = PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
    let part = f64::from(nanoseconds.unsigned_abs() % 1_000_000) / 1_000_000.0;
    limit.mul_f64(part)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};

    use super::*;

    /// An S3 that returns these statuses and bodies in order.
    fn evidence(answers: &[(u16, &str)]) -> (Evidence, StaticReplayClient) {
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
        (Evidence { client, bucket: "evidence-bucket".to_owned(), procedure: "p" }, wire)
    }

    fn listing(key: &str) -> String {
        format!("<ListBucketResult><Contents><Key>{key}</Key></Contents></ListBucketResult>")
    }

    /// An entry of a list of versions: its element, key, and whether it is the latest. Version IDs are numbered by
    /// position.
    type Listed = (&'static str, &'static str, bool);

    fn versions(listed: &[Listed]) -> String {
        let entries = listed.iter().enumerate().map(|(place, (element, key, is_latest))| {
            format!("<{element}><Key>{key}</Key><VersionId>v{place}</VersionId><IsLatest>{is_latest}</IsLatest></{element}>")
        });
        format!("<ListVersionsResult>{}</ListVersionsResult>", entries.collect::<String>())
    }

    fn record(key: &'static str) -> String {
        versions(&[("Version", key, true)])
    }

    const NONE: &str = "<ListBucketResult></ListBucketResult>";
    const NO_VERSION: &str = "<ListVersionsResult></ListVersionsResult>";
    const MARKER: &str = "DeleteMarker";
    const TAKEN: &str = "<Error><Code>PreconditionFailed</Code></Error>";

    #[tokio::test]
    async fn a_chain_tells_when_it_began() {
        let listed = "<ListBucketResult><Contents><Key>runs/p/begun.json</Key></Contents></ListBucketResult>";
        let first = r#"{"run_id": "x", "started": {"utc": "2026-03-01T12:00:00Z", "local": "x"}}"#;
        let (old, wire) = evidence(&[(200, listed), (200, first)]);
        assert_eq!(old.began().await.unwrap(), Some("2026-03-01T12:00:00Z".parse().unwrap()));
        assert_eq!(wire.actual_requests().count(), 2);
        let (nothing, none) =
            ("<ListBucketResult></ListBucketResult>", "<ListVersionsResult></ListVersionsResult>");
        let (new, wire) = evidence(&[(200, nothing), (200, none), (200, nothing)]);
        assert_eq!(new.began().await.unwrap(), None);
        assert_eq!(wire.actual_requests().count(), 3);
        // The note is missing. With at most two records, a run may have died before writing it.
        for (sequence, expected) in [(1, None), (2, None), (3, Some(Timestamp::MIN))] {
            let (chain, _) = evidence(&[]);
            let key = chain.key(sequence);
            let newest =
                format!("<ListVersionsResult><Version><Key>{key}</Key></Version></ListVersionsResult>");
            let (chain, _) = evidence(&[(200, nothing), (200, newest.as_str())]);
            assert_eq!(chain.began().await.unwrap(), expected, "{sequence}");
        }
        // A missing first record does not count as this week's.
        let (gone, _) = evidence(&[(200, listed), (403, "<Error><Code>AccessDenied</Code></Error>")]);
        assert!(gone.began().await.is_err());
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

    fn draft() -> Draft {
        let at = Timestamp::UNIX_EPOCH;
        Draft {
            run_id: "run".to_owned(),
            project: String::new(),
            environment: String::new(),
            trigger: String::new(),
            subject: String::new(),
            started: at.into(),
            ended: at.into(),
            steps: Vec::new(),
            findings: Vec::new(),
            result: "succeeded",
            code_version: String::new(),
            channel: SENT.to_owned(),
        }
    }

    #[tokio::test]
    async fn the_first_record_ends_an_empty_chain() {
        let (evidence, wire) =
            evidence(&[(200, NONE), (200, NO_VERSION), (200, NONE), (200, ""), (200, ""), (412, TAKEN)]);
        let chain = evidence.find("run").await.unwrap();
        assert_eq!(chain, Chain::Open { newest: None, noted: None });
        let stored = evidence.append(&draft(), chain).await.unwrap();
        assert_eq!(stored.key, "evidence/p/9999999998.json");
        evidence.remember(&stored.mark.unwrap()).await.unwrap();
        let requests: Vec<_> = wire.actual_requests().collect();
        let [.., put, note] = requests[..] else { panic!("{requests:?}") };
        assert!(note.uri().contains("/runs/p/begun.json"), "{}", note.uri());
        for request in [put, note] {
            assert_eq!(request.headers().get("if-none-match"), Some("*"));
        }
        let note: serde_json::Value = serde_json::from_slice(note.body().bytes().unwrap()).unwrap();
        let sha256 = sha256(put.body().bytes().unwrap());
        assert_eq!(note, serde_json::json!({"sequence": 1, "key": stored.key, "sha256": sha256}));
    }

    #[test]
    fn the_chain_is_remembered_by_ever_fewer_records() {
        let link = || Link { key: String::new(), sha256: String::new() };
        let noted: Vec<_> = (1..=40).filter(|sequence| Mark::of(*sequence, link()).is_some()).collect();
        assert_eq!(noted, [1, 2, 4, 8, 16, 32]);
    }

    #[tokio::test]
    async fn a_chain_that_was_touched_is_reported_with_its_cure_and_gets_no_record() {
        const NEW: &str = "evidence/p/9999999990.json";
        const OLD: &str = "evidence/p/9999999991.json";
        let whole: [(&str, &[Listed]); 3] = [
            ("one record", &[("Version", NEW, true)]),
            ("two", &[("Version", NEW, true), ("Version", OLD, true)]),
            ("the one before is hidden", &[("Version", NEW, true), (MARKER, OLD, true)]),
        ];
        for (case, listed) in whole {
            let (evidence, _) = evidence(&[(200, &versions(listed)), (200, "7")]);
            assert_eq!(evidence.newest::<u8>().await, Ok(Some(7)), "{case}");
        }
        let touched: [(&str, &[Listed], &str, &str); 7] = [
            ("hidden", &[(MARKER, NEW, true), ("Version", NEW, false)], "EvidenceHidden", "v0"),
            (
                "hidden, the other list first",
                &[("Version", NEW, false), (MARKER, NEW, true)],
                "EvidenceHidden",
                "v1",
            ),
            ("only the marker is left", &[(MARKER, NEW, true)], "EvidenceHidden", "v0"),
            ("hidden twice", &[(MARKER, NEW, true), (MARKER, NEW, false)], "EvidenceHidden", "v0"),
            (
                "before a record that is not",
                &[("Version", OLD, true), (MARKER, NEW, true)],
                "EvidenceHidden",
                "v1",
            ),
            ("replaced", &[("Version", NEW, true), ("Version", NEW, false)], "EvidenceReplaced", "v0"),
            (
                "replaced when hidden",
                &[(MARKER, NEW, false), ("Version", NEW, true)],
                "EvidenceReplaced",
                "v1",
            ),
        ];
        for (case, listed, kind, version) in touched {
            let (evidence, wire) = evidence(&[(200, NONE), (200, &versions(listed))]);
            let error = evidence.find("run").await.unwrap_err();
            let EvidenceError::Damaged(damage) = &error else { panic!("{case}: {error}") };
            assert_eq!(damage.kind(), kind, "{case}");
            let command = format!(
                "`aws s3api delete-object --bucket evidence-bucket --key {NEW} --version-id {version}`"
            );
            for text in [error.to_string(), damage.text(Language::Portuguese), damage.text(Language::English)]
            {
                assert!(text.contains(&command), "{case}: {text}");
            }
            assert_eq!(wire.actual_requests().count(), 2, "{case}");
        }
    }

    #[tokio::test]
    async fn a_chain_that_is_gone_is_not_begun_anew() {
        let note = listing("runs/p/begun.json");
        let (evidence, wire) = evidence(&[(200, NO_VERSION), (200, &note)]);
        let error = evidence.newest::<u8>().await.unwrap_err();
        assert!(error.to_string().starts_with("EvidenceGone: "), "{error}");
        let command = "`aws s3api delete-object --bucket evidence-bucket --key runs/p/begun.json`";
        assert!(error.to_string().contains(command), "{error}");
        let asked: Vec<_> = wire.actual_requests().map(|request| request.uri().to_owned()).collect();
        assert!(asked[0].contains("versions") && asked[0].contains("max-keys=2"), "{asked:?}");
        assert!(asked[1].contains("prefix=runs%2Fp%2Fbegun.json"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_place_that_another_run_takes_first_is_left_to_it() {
        let other = r#"{"run_id": "other", "channel": "sent"}"#;
        let note = r#"{"key": "evidence/p/9999999998.json"}"#;
        let (evidence, wire) = evidence(&[
            // Place 1 is noted, but already taken.
            (200, ""),
            (412, TAKEN),
            // The note exists; its place has the other run's record, which is also the newest.
            (200, &listing("runs/p/x.json")),
            (200, note),
            (200, &record("evidence/p/9999999998.json")),
            (200, other),
            (200, other),
            // Place 2 is noted, replacing the note that was read, and taken.
            (200, ""),
            (200, ""),
        ]);
        let open = Chain::Open { newest: None, noted: None };
        assert_eq!(evidence.append(&draft(), open).await.unwrap().key, "evidence/p/9999999997.json");
        let requests: Vec<_> = wire.actual_requests().collect();
        assert_eq!(requests[7].headers().get("if-match"), Some("\"tag\""));
        let record: serde_json::Value = serde_json::from_slice(requests[8].body().bytes().unwrap()).unwrap();
        assert_eq!(record["sequence"], 2);
        assert_eq!(record["previous"]["key"], "evidence/p/9999999998.json");
        assert_eq!(record["previous"]["sha256"], sha256(other.as_bytes()));
    }

    #[tokio::test]
    async fn a_chain_whose_end_is_always_taken_is_given_up() {
        let round = [(412, TAKEN), (200, NONE), (200, NO_VERSION), (200, NONE)];
        let (evidence, _) = evidence(&round.repeat(8));
        let open = Chain::Open { newest: None, noted: None };
        assert_eq!(evidence.append(&draft(), open).await, Err(EvidenceError::Contended));
    }

    #[tokio::test]
    async fn a_place_is_had_by_one() {
        let stale = |taken: &String| taken == "old";
        let new = "new".to_owned();
        // Free, or taken by another caller a moment before.
        let (free, wire) = evidence(&[(200, NONE), (200, "")]);
        assert!(free.claim("task", &new, stale).await.unwrap().is_some());
        let put = wire.actual_requests().last().unwrap();
        assert_eq!(put.headers().get("if-none-match"), Some("*"));
        let (raced, _) = evidence(&[(200, NONE), (412, TAKEN)]);
        assert!(raced.claim("task", &new, stale).await.unwrap().is_none());
        // Held by another caller, active or stale.
        let key = listing("runs/p/x.json");
        let (held, _) = evidence(&[(200, &key), (200, r#""fresh""#)]);
        assert!(held.claim("task", &new, stale).await.unwrap().is_none());
        let (left, wire) = evidence(&[(200, &key), (200, r#""old""#), (200, "")]);
        assert!(left.claim("task", &new, stale).await.unwrap().is_some());
        let put = wire.actual_requests().last().unwrap();
        assert_eq!(put.headers().get("if-match"), Some("\"tag\""));
        let (raced, _) = evidence(&[(200, &key), (200, r#""old""#), (412, TAKEN)]);
        assert!(raced.claim("task", &new, stale).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_not_a_record_stops_the_chain_with_its_key() {
        for (key, body) in [
            ("evidence/p/9999999998.json", "{}"),
            ("evidence/p/9999999998.json", "not JSON"),
            ("evidence/p/readme.txt", r#"{"run_id": "x", "channel": "sent"}"#),
            ("evidence/p/9999999999.json", r#"{"run_id": "x", "channel": "sent"}"#),
        ] {
            let (evidence, _) = evidence(&[(200, NONE), (200, &record(key)), (200, body)]);
            let error = evidence.find("run").await.unwrap_err();
            assert!(
                matches!(&error, EvidenceError::Unreadable { key: named, .. } if named == key),
                "{error}"
            );
        }
    }
}
