//! The policy in force: the newest version of the document in the evidence bucket that this code understands.
//!
//! Without a document, the defaults apply. A version that does not parse, or that S3 refuses, is skipped: the newest
//! earlier version that parses stays in force, regardless of the number of broken ones after it. The defaults apply if
//! no version was ever valid, or if the document was deleted since; both are announced. They never apply because S3 did
//! not answer, refused a version, or took too long: thresholds would be wrong.

use std::cell::Cell;
use std::time::Duration;

use aws_sdk_s3::Client;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::policy::{Document, KEY, MOST_BYTES, Policy, PolicyError};
use crate::run::notify::{Message, next_step};
use crate::run::report::Reporter;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::{CallError, Failure, chain};
use crate::runtime::metrics;
use crate::runtime::settings::Settings;

/// How long a policy applies before it is read again.
pub(crate) const HOLDS: SignedDuration = SignedDuration::from_secs(60);

/// Time limit for reading the policy: in a process that has one already, and in one that does not.
const PATIENCE: Duration = Duration::from_secs(3);
const FIRST_PATIENCE: Duration = Duration::from_secs(12);

/// Versions on the first page, usually the only one, and on the following pages.
const FIRST_PAGE: i32 = 16;
const PAGE: i32 = 1000;

/// Metric for the alarm on a broken policy. Counted at every read, so the alarm stays on until the policy is corrected.
pub const METRIC: &str = "PolicyBroken";

/// Folder of the notes that a broken version was announced. All functions write here; it contains no chain.
const NOTICES: &str = "policy-notice";

/// How long a function that has claimed a notice may take to announce it.
const NOTICE_LEASE: SignedDuration = SignedDuration::from_mins(5);

/// The policy in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The policy.
    pub policy: Policy,
    /// The document version it came from; none for the defaults.
    pub version: Option<String>,
    /// The newest version, if this code does not understand it.
    pub broken: Option<Broken>,
    /// The newest version or delete marker in the list.
    newest: Option<String>,
    /// Whether the defaults stand in for what could not be read.
    pub(crate) is_unread: bool,
}

impl InForce {
    /// The defaults, for a process that cannot read the policy; none if the build is broken.
    pub(crate) fn defaults() -> Option<Self> {
        Some(Self { policy: "".parse().ok()?, version: None, broken: None, newest: None, is_unread: true })
    }
}

/// A document version that this code does not understand.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Broken {
    /// The version.
    pub version: String,
    /// Path of the field, and the error.
    pub error: String,
}

/// The policy could not be read, and the process has no earlier one.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not read the policy, which every action requires: check that the function may read {KEY} in the evidence bucket (role, bucket policy); the caller retries"
)]
pub struct PolicyUnread(#[from] CallError);

impl Failure for PolicyUnread {
    fn kind(&self) -> &'static str {
        "PolicyUnread"
    }
}

/// A listed version of the document.
#[derive(Clone, Default)]
pub struct Version {
    /// S3's version ID.
    pub id: String,
    /// Whether it is a delete marker: the document was deleted.
    pub is_marker: bool,
    size: i64,
    at: i128,
}

/// The document's versions, newest first, as far as they are listed. [`Source::version`] lists more on demand.
#[derive(Default)]
pub struct Versions {
    listed: Vec<Version>,
    next: Page,
}

/// The next page of versions.
#[derive(Default, Eq, PartialEq)]
enum Page {
    #[default]
    First,
    After(String),
    None,
}

/// Reads the policy.
pub struct Source {
    client: Client,
    bucket: String,
}

impl Source {
    /// The document in the evidence bucket, `EVIDENCE_BUCKET`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] if the variable is missing.
    pub fn new(env: &Env<'_>, aws: &aws_config::SdkConfig) -> Result<Self, EnvError> {
        Ok(Self { client: Client::new(aws), bucket: env.required("EVIDENCE_BUCKET")? })
    }

    /// The policy in force, for a process that has none: two requests, or one if there is no document.
    ///
    /// # Errors
    ///
    /// [`PolicyUnread`].
    pub async fn first(&self) -> Result<InForce, PolicyUnread> {
        let broken = Cell::new(0);
        Ok(Self::in_time(FIRST_PATIENCE, &broken, self.read(Versions::default(), &broken)).await?)
    }

    /// The policy in force, if it differs from `before`: one request if nothing changed. If it cannot be read, `before`
    /// stays.
    pub async fn again(&self, before: &InForce) -> Option<InForce> {
        let broken = Cell::new(0);
        let read = Self::in_time(PATIENCE, &broken, async {
            let mut versions = Versions::default();
            let newest = self.version(&mut versions, 0).await?;
            let is_same = newest.map(|newest| &newest.id) == before.newest.as_ref();
            if is_same && !before.is_unread { Ok(None) } else { self.read(versions, &broken).await.map(Some) }
        });
        read.await.unwrap_or_else(|error| {
            let reason = chain(&error);
            tracing::warn!(
                message = format!("could not read the policy, keeping the previous one: {reason}")
            );
            None
        })
    }

    async fn in_time<T>(
        patience: Duration,
        broken: &Cell<usize>,
        read: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        tokio::time::timeout(patience, read)
            .await
            .unwrap_or_else(|_| Err(late(patience.as_secs(), broken.get())))
    }

    /// Reads versions until one is valid; counts the broken ones in `skipped`.
    async fn read(&self, mut versions: Versions, skipped: &Cell<usize>) -> Result<InForce, CallError> {
        let newest = self.version(&mut versions, 0).await?.map(|version| version.id.clone());
        let (mut broken, mut refused) = (None, None);
        while let Some(version) = self.version(&mut versions, skipped.get()).await? {
            if version.is_marker {
                break;
            }
            let id = version.id.clone();
            let error = match self.read_one(version).await {
                Ok(Ok((_, policy))) => {
                    // S3 may stop refusing without a new version, so the next check must read the versions again.
                    let newest = newest.filter(|_| refused.is_none());
                    return Ok(InForce { policy, version: Some(id), broken, newest, is_unread: false });
                }
                Ok(Err(error)) => error.to_string(),
                Err(call) if call.is_denied() || call.code == "InvalidObjectState" => {
                    refused.get_or_insert(call).to_string()
                }
                Err(call) => return Err(call),
            };
            broken.get_or_insert(Broken { version: id, error });
            skipped.set(skipped.get() + 1);
        }
        if let Some(call) = refused {
            return Err(call);
        }
        let policy = "".parse().map_err(|error| unanswered("s3:GetObjectVersion", &chain(&error)))?;
        Ok(InForce { policy, version: None, broken, newest, is_unread: false })
    }

    /// The document's version at a position, newest first; none after the last one. A list shows that the document does
    /// not exist without the permission that a 404 requires.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of S3.
    pub async fn version<'v>(
        &self,
        versions: &'v mut Versions,
        place: usize,
    ) -> Result<Option<&'v Version>, CallError> {
        while place >= versions.listed.len() && versions.next != Page::None {
            self.list(versions).await?;
        }
        Ok(versions.listed.get(place))
    }

    /// Lists one more page.
    async fn list(&self, versions: &mut Versions) -> Result<(), CallError> {
        const LIST: &str = "s3:ListBucketVersions";
        let asked = self.client.list_object_versions().bucket(&self.bucket).prefix(KEY);
        let asked = match &versions.next {
            Page::After(version) => asked.key_marker(KEY).version_id_marker(version).max_keys(PAGE),
            Page::First | Page::None => asked.max_keys(FIRST_PAGE),
        };
        let listed = asked.send().await.map_err(CallError::during("s3:ListBucketVersions"))?;
        if listed.name().is_none() {
            return Err(unanswered(LIST, "the answer does not name the bucket"));
        }
        let next = match (listed.is_truncated(), listed.next_key_marker(), listed.next_version_id_marker()) {
            (Some(true), Some(KEY), Some(version)) => Page::After(version.to_owned()),
            (Some(true), None | Some(KEY), _) => {
                return Err(unanswered(
                    LIST,
                    "the list is truncated, and the answer does not say where it continues",
                ));
            }
            // The remaining keys belong to other objects.
            _ => Page::None,
        };
        if next != Page::None && next == versions.next {
            return Err(unanswered(LIST, "the list does not advance"));
        }
        versions.next = next;
        let at = |time: Option<&aws_sdk_s3::primitives::DateTime>| time.map_or(0, |time| time.as_nanos());
        let found = listed.versions().iter().filter(|one| one.key() == Some(KEY)).map(|one| Version {
            id: one.version_id().unwrap_or_default().to_owned(),
            is_marker: false,
            size: one.size().unwrap_or_default(),
            at: at(one.last_modified()),
        });
        let markers = listed.delete_markers().iter().filter(|one| one.key() == Some(KEY));
        let is_deleted = markers.clone().any(|one| one.is_latest() == Some(true));
        let markers = markers.map(|one| Version {
            id: one.version_id().unwrap_or_default().to_owned(),
            is_marker: true,
            size: 0,
            at: at(one.last_modified()),
        });
        // S3 returns versions and markers as two lists, each newest first, with times in whole seconds.
        let mut all: Vec<_> = found.chain(markers).collect();
        all.sort_by_key(|one| (std::cmp::Reverse(one.at), one.is_marker != is_deleted));
        versions.listed.append(&mut all);
        Ok(())
    }

    /// A version's content; the inner error is the reason why this code does not understand it.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of S3.
    pub async fn document(&self, version: &Version) -> Result<Result<Document, PolicyError>, CallError> {
        Ok(self.read_one(version).await?.map(|(document, _)| document))
    }

    async fn read_one(
        &self,
        version: &Version,
    ) -> Result<Result<(Document, Policy), PolicyError>, CallError> {
        if usize::try_from(version.size).is_ok_and(|size| size > MOST_BYTES) {
            return Ok(Err(PolicyError::too_large(version.size)));
        }
        Ok(Document::read(&self.bytes(version).await?))
    }

    async fn bytes(&self, version: &Version) -> Result<Vec<u8>, CallError> {
        const GET: &str = "s3:GetObjectVersion";
        let object = self.client.get_object().bucket(&self.bucket).key(KEY).version_id(&version.id);
        let object = object.send().await.map_err(CallError::during("s3:GetObjectVersion"))?;
        let bytes = object.body.collect().await.map_err(|error| unanswered(GET, &chain(&error)))?.to_vec();
        if i64::try_from(bytes.len()) != Ok(version.size) {
            return Err(unanswered(GET, &format!("{} bytes of {}", bytes.len(), version.size)));
        }
        Ok(bytes)
    }
}

fn late(seconds: u64, broken: usize) -> CallError {
    let reason = if broken == 0 {
        format!("no answer within {seconds} s")
    } else {
        format!(
            "none of the {broken} newest versions is valid, and {seconds} s were not enough to look further back: \
             apply a valid one with `cargo xtask policy apply`"
        )
    };
    unanswered("s3:ListBucketVersions", &reason)
}

fn unanswered(operation: &'static str, reason: &str) -> CallError {
    CallError { operation, code: "NoServiceCode".to_owned(), message: reason.to_owned() }
}

/// The note that a broken version was announced.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Notice {
    broken: Broken,
    /// The version in force instead.
    in_force: Option<String>,
    function: String,
    code_version: String,
    at: Timestamp,
    #[serde(rename = "is_told")]
    is_reported: bool,
}

/// Counts a read that found the newest version broken, for the stack's alarm.
pub(crate) fn count(in_force: &InForce, env: &Env<'_>) {
    if in_force.broken.is_none() {
        return;
    }
    let names = || Ok((env.required::<String>("PROJECT")?, env.required::<String>("ENVIRONMENT")?));
    match names() {
        Ok((project, environment)) => metrics::count_for_stack(METRIC, &project, &environment),
        Err::<_, EnvError>(error) => {
            tracing::error!(message = chain(&error), error_type = "InvalidConfiguration");
        }
    }
}

/// Announces in the channel that the newest version of the policy is broken; see [`announce_once`].
pub async fn announce(in_force: &InForce, env: &Env<'_>, aws: &aws_config::SdkConfig, now: Timestamp) {
    let Some(broken) = &in_force.broken else { return };
    tracing::error!(message = format!("the newest version of the policy is not in force: {}", broken.error));
    match reporter(env, aws) {
        Ok((settings, reporter)) => {
            announce_once(&reporter, &settings, broken, in_force.version.as_deref(), now).await;
        }
        Err(error) => tracing::error!(message = chain(&error), error_type = "InvalidConfiguration"),
    }
}

/// Announces a broken version in the channel: once per document version and code version, by the first function to
/// claim it. Returns the outcome for the evidence.
///
/// Never fails the invocation. If the function dies here, another one announces the version some minutes later.
pub async fn announce_once(
    reporter: &Reporter,
    settings: &Settings,
    broken: &Broken,
    in_force: Option<&str>,
    now: Timestamp,
) -> String {
    let notice = Notice {
        broken: broken.clone(),
        in_force: in_force.map(str::to_owned),
        function: settings.function.clone(),
        code_version: settings.code_version.clone(),
        at: now,
        is_reported: false,
    };
    let message = message(settings, &notice);
    let reported = tokio::time::timeout(Duration::from_secs(6), tell(reporter, notice, &message)).await;
    match reported.unwrap_or_else(|_| Err("no answer within 6 s".to_owned())) {
        Ok(true) => "sent".to_owned(),
        Ok(false) => "sent before, or being sent, by another invocation".to_owned(),
        Err(reason) => {
            reporter.lost("NotificationFailures", "NotificationFailed", &reason, &message.text());
            format!("failed: {reason}")
        }
    }
}

fn reporter(env: &Env<'_>, aws: &aws_config::SdkConfig) -> Result<(Settings, Reporter), EnvError> {
    let settings = Settings::from_env(env)?;
    let reporter = Reporter::new(NOTICES, &settings, env, aws)?;
    Ok((settings, reporter))
}

/// Posts the message unless another invocation has, and returns whether it did.
async fn tell(reporter: &Reporter, mut notice: Notice, message: &Message) -> Result<bool, String> {
    let documents = reporter.documents.of(NOTICES);
    let name = format!("{} {}", notice.broken.version, notice.code_version);
    let now = notice.at;
    let is_stale = |kept: &Notice| !kept.is_reported && now.duration_since(kept.at) > NOTICE_LEASE;
    let claim = documents.claim(&name, &notice, is_stale).await.map_err(|error| chain(&error))?;
    let Some(claim) = claim else { return Ok(false) };
    reporter.channel.post(message).await.map_err(|error| chain(&error))?;
    notice.is_reported = true;
    documents.settle(claim, &notice).await.map_err(|error| chain(&error))?;
    Ok(true)
}

fn message(settings: &Settings, notice: &Notice) -> Message {
    let language = settings.language;
    let Broken { version, error } = &notice.broken;
    let error: String = error.chars().take(500).collect();
    let in_force = match &notice.in_force {
        Some(version) => {
            crate::tr!(language, "a versão anterior {version}", "the previous version, {version}")
        }
        None => crate::tr!(language, "os padrões (shared/policy.json)", "the defaults (shared/policy.json)"),
    };
    let next = language.pick(
        "corrigir o campo no arquivo da política, fazer o merge na main e aplicar de novo: `cargo xtask policy apply` (docs/politica.md)",
        "correct the field in the policy file, merge it into main, and apply it again: `cargo xtask policy apply` (docs/politica.md)",
    );
    let lines = vec![
        crate::tr!(language, "A versão {version}: {error}", "Version {version}: {error}"),
        crate::tr!(
            language,
            "Continua valendo: {in_force}. As rotações e as auditorias seguem com ela.",
            "Still in force: {in_force}. Rotations and audits continue with it.",
        ),
        next_step(language, next),
    ];
    let title = language
        .pick("A política nova tem um erro e não vale", "The new policy has an error and is not in force");
    Message::new(settings, title, lines, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_time_for_all_broken_versions_the_error_says_so() {
        assert_eq!(late(12, 0).message, "no answer within 12 s");
        let said = late(12, 400).message;
        for part in ["none of the 400 newest versions is valid", "12 s", "cargo xtask policy apply"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
