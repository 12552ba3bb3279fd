//! The policy that is in force: the newest version of the document in the evidence bucket that this code understands.
//!
//! Without the document the defaults hold. A version that does not parse, or that S3 refuses, stops nothing: the newest one
//! before it that does parse stays in force. What S3 does not answer for is no answer: the defaults never stand in for it,
//! nor for a version that was refused, since thresholds would be wrong.

use std::time::Duration;

use aws_sdk_s3::Client;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::env::{Env, EnvError};
use crate::evidence::Evidence;
use crate::failure::{CallError, Failure, chain};
use crate::language::Language;
use crate::notify::Message;
use crate::policy::{Document, KEY, MOST_BYTES, Policy, PolicyError};
use crate::report::Reporter;
use crate::settings::Settings;

/// How long what was read holds without another look.
pub(crate) const HOLDS: SignedDuration = SignedDuration::from_secs(60);

/// Longest look of a process that has a policy, and of one that has none yet.
const PATIENCE: Duration = Duration::from_secs(3);
const FIRST_PATIENCE: Duration = Duration::from_secs(12);

/// Most versions of the document that are looked at.
const VERSIONS: i32 = 16;

/// Folder of the notes that a broken version was announced. All functions write there, and no chain begins in it.
const NOTICES: &str = "policy-notice";

/// How long a function that took a notice has to announce it.
const NOTICE_LEASE: SignedDuration = SignedDuration::from_mins(5);

/// The policy in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The policy.
    pub policy: Policy,
    /// The version of the document that makes it; none: the defaults.
    pub version: Option<String>,
    /// The newest version, where this code does not understand it.
    pub broken: Option<Broken>,
    /// The newest version or delete marker that was listed.
    newest: Option<String>,
}

/// A version that this code does not understand.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Broken {
    /// The version.
    pub version: String,
    /// The field's path and what is wrong with it.
    pub error: String,
}

/// The policy could not be read, and the process has none.
#[derive(Debug, thiserror::Error)]
#[error(
    "the policy could not be read, and nothing is done without it: see that the function may read {KEY} of the evidence bucket (role, bucket policy); the caller tries again"
)]
pub struct PolicyUnread(#[from] CallError);

impl Failure for PolicyUnread {
    fn kind(&self) -> &'static str {
        "PolicyUnread"
    }
}

/// A version of the document as it is listed.
#[derive(Default)]
pub struct Version {
    /// S3's id.
    pub id: String,
    /// Whether it is a delete marker, which removes the document.
    pub is_marker: bool,
    size: i64,
    at: i128,
}

/// Where the policy is read.
pub struct Source {
    client: Client,
    bucket: String,
}

impl Source {
    /// The document of the evidence bucket, `EVIDENCE_BUCKET`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] when the variable is missing.
    pub fn new(env: &Env<'_>, aws: &aws_config::SdkConfig) -> Result<Self, EnvError> {
        Ok(Self { client: Client::new(aws), bucket: env.required("EVIDENCE_BUCKET")? })
    }

    /// The policy in force, for a process that has none: two requests, and one where there is no document.
    ///
    /// # Errors
    ///
    /// [`PolicyUnread`].
    pub async fn first(&self) -> Result<InForce, PolicyUnread> {
        Ok(Self::in_time(FIRST_PATIENCE, async { self.read(self.versions().await?).await }).await?)
    }

    /// The policy in force, when it is not that of `before`: one request where nothing has changed. Where it cannot be read,
    /// that of `before` stays.
    pub async fn again(&self, before: &InForce) -> Option<InForce> {
        let read = Self::in_time(PATIENCE, async {
            let versions = self.versions().await?;
            let is_same = versions.first().map(|newest| &newest.id) == before.newest.as_ref();
            if is_same { Ok(None) } else { self.read(versions).await.map(Some) }
        });
        read.await.unwrap_or_else(|error| {
            let reason = chain(&error);
            tracing::warn!(message = format!("the policy was not looked at, the one before stays: {reason}"));
            None
        })
    }

    async fn in_time<T>(
        patience: Duration,
        read: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let late =
            || unanswered("s3:ListBucketVersions", &format!("no answer within {} s", patience.as_secs()));
        tokio::time::timeout(patience, read).await.unwrap_or_else(|_| Err(late()))
    }

    async fn read(&self, versions: Vec<Version>) -> Result<InForce, CallError> {
        let newest = versions.first().map(|version| version.id.clone());
        let (mut broken, mut refused) = (None, None);
        for version in versions {
            if version.is_marker {
                break;
            }
            let error = match self.read_one(&version).await {
                Ok(Ok((_, policy))) => {
                    // A refusal can end without another version: the next look reads again.
                    let newest = newest.filter(|_| refused.is_none());
                    return Ok(InForce { policy, version: Some(version.id), broken, newest });
                }
                Ok(Err(error)) => error.to_string(),
                Err(call) if call.is_denied() || call.code == "InvalidObjectState" => {
                    refused.get_or_insert(call).to_string()
                }
                Err(call) => return Err(call),
            };
            broken.get_or_insert(Broken { version: version.id, error });
        }
        if let Some(call) = refused {
            return Err(call);
        }
        let policy = "".parse().map_err(|error| unanswered("s3:GetObjectVersion", &chain(&error)))?;
        Ok(InForce { policy, version: None, broken, newest })
    }

    /// The document's versions, newest first. A list shows that there is none without the permission that a 404 needs.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of S3.
    pub async fn versions(&self) -> Result<Vec<Version>, CallError> {
        const LIST: &str = "s3:ListBucketVersions";
        let listed = self.client.list_object_versions().bucket(&self.bucket).prefix(KEY).max_keys(VERSIONS);
        let listed = listed.send().await.map_err(CallError::during("s3:ListBucketVersions"))?;
        if listed.name().is_none() {
            return Err(unanswered(LIST, "the answer names no bucket"));
        }
        let at = |time: Option<&aws_sdk_s3::primitives::DateTime>| time.map_or(0, |time| time.as_nanos());
        let versions = listed.versions().iter().filter(|one| one.key() == Some(KEY)).map(|one| Version {
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
        // S3 gives versions and markers as two lists, each newest first, with times of whole seconds.
        let mut all: Vec<_> = versions.chain(markers).collect();
        all.sort_by_key(|one| (std::cmp::Reverse(one.at), one.is_marker != is_deleted));
        Ok(all)
    }

    /// A version's content; the inner error says what this code does not understand of it.
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
    is_told: bool,
}

/// Announces in the channel that the newest version of the policy is broken: once for a version and a version of the code,
/// by the function that comes first.
///
/// Cannot fail the invocation. A function that dies here leaves it to another one, some minutes later.
pub async fn announce(in_force: &InForce, env: &Env<'_>, aws: &aws_config::SdkConfig, now: Timestamp) {
    let Some(broken) = &in_force.broken else { return };
    tracing::error!(message = format!("the policy's newest version is not in force: {}", broken.error));
    let (settings, reporter) = match reporter(env, aws) {
        Ok(both) => both,
        Err(error) => {
            tracing::error!(message = chain(&error), error_type = "InvalidConfiguration");
            return;
        }
    };
    let notice = Notice {
        broken: broken.clone(),
        in_force: in_force.version.clone(),
        function: settings.function.clone(),
        code_version: settings.code_version.clone(),
        at: now,
        is_told: false,
    };
    let message = message(&settings, &notice);
    let told = tokio::time::timeout(Duration::from_secs(6), tell(&reporter, notice, &message)).await;
    if let Err(reason) = told.unwrap_or_else(|_| Err("no answer within 6 s".to_owned())) {
        reporter.lost("NotificationFailures", "NotificationFailed", &reason, &message.text());
    }
}

fn reporter(env: &Env<'_>, aws: &aws_config::SdkConfig) -> Result<(Settings, Reporter), EnvError> {
    let settings = Settings::from_env(env)?;
    let reporter = Reporter::new(NOTICES, &settings, env, aws)?;
    Ok((settings, reporter))
}

async fn tell(reporter: &Reporter, mut notice: Notice, message: &Message) -> Result<(), String> {
    let evidence: &Evidence = &reporter.evidence;
    let name = format!("{} {}", notice.broken.version, notice.code_version);
    let now = notice.at;
    let is_stale = |kept: &Notice| !kept.is_told && now.duration_since(kept.at) > NOTICE_LEASE;
    let claim = evidence.claim(&name, &notice, is_stale).await.map_err(|error| chain(&error))?;
    let Some(claim) = claim else { return Ok(()) };
    reporter.channel.post(message).await.map_err(|error| chain(&error))?;
    notice.is_told = true;
    evidence.settle(claim, &notice).await.map_err(|error| chain(&error))
}

fn message(settings: &Settings, notice: &Notice) -> Message {
    let say = |portuguese: &'static str, english: &'static str| settings.language.pick(portuguese, english);
    let error: String = notice.broken.error.chars().take(500).collect();
    let in_force = match &notice.in_force {
        Some(version) => format!("{} {version}", say("a versão anterior", "the version before,")),
        None => say("os padrões (shared/policy.json)", "the defaults (shared/policy.json)").to_owned(),
    };
    let lines = vec![
        format!("{} {}: {error}", say("A versão", "Version"), notice.broken.version),
        format!(
            "{}: {in_force}. {}",
            say("Continua valendo", "Still in force"),
            say("As rotações e as auditorias seguem com ela.", "Rotations and audits go on with it.")
        ),
        format!(
            "*{}*: {} `cargo xtask policy apply` (docs/politica.md)",
            say("Próximo passo", "Next step"),
            say(
                "corrigir o campo no arquivo da política, fazer o merge na main e aplicar de novo:",
                "correct the field in the policy's file, merge it into main and apply it again:"
            )
        ),
    ];
    let title = match settings.language {
        Language::Portuguese => format!("A política nova tem um erro e não vale ({})", settings.environment),
        Language::English => format!("The new policy is wrong and not in force ({})", settings.environment),
    };
    Message { title, lines, context: format!("{} · {}", notice.function, notice.code_version) }
}
