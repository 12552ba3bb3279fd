//! The end of a run: the message to the channel and the evidence record. Neither can fail the run.

use std::time::Duration;

use aws_config::SdkConfig;
use chain::Mark;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::run::documents::Documents;
use crate::run::evidence::{Chain, Draft, Evidence, EvidenceError, SENT, SILENT};
use crate::run::notify::{Channel, Message};
use crate::runtime::endpoint::Endpoint;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::chain;
use crate::runtime::lambda::{self, Invocation};
use crate::runtime::language::Language;
use crate::runtime::metrics;
use crate::runtime::settings::Settings;

/// Time limit for reading the evidence before the message is sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same for an audit, which has minutes: without its last record, it pages again and reports every finding as new.
const PATIENCE_OF_AUDITS: Duration = Duration::from_secs(30);

/// A procedure's channel and evidence.
pub struct Reporter {
    /// The procedure's documents in the evidence bucket.
    pub documents: Documents,
    /// The team's channel.
    pub channel: Channel,
    /// The function's name: the `service` dimension of the metrics for lost messages and records.
    pub service: String,
    /// Language of messages about the evidence.
    pub language: Language,
    /// Time limit for reading the evidence before the message is sent.
    patience: Duration,
}

/// The state of a run's report when it was last read.
pub struct Begun(Result<Chain, Unseen>);

/// Why the evidence could not be read.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("S3 did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Why the last run's record could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the last run's record was not read: {0}")]
pub struct Unread(pub String);

impl Unread {
    /// The line for the channel.
    pub fn text(&self, language: Language) -> String {
        let Self(reason) = self;
        crate::tr!(
            language,
            "*Não se sabe o que é novo*: o registro anterior não pôde ser lido ({reason}). Abaixo está tudo o que há; o que mudou, a próxima auditoria diz.",
            "*New findings are unknown*: the last record could not be read ({reason}). All findings follow; the next audit reports what changed.",
        )
    }
}

impl Begun {
    /// Whether an earlier attempt began this run and did not report it.
    pub fn was_left_open(&self) -> bool {
        match &self.0 {
            Ok(Chain::Open { noted, .. }) => noted.is_some(),
            Ok(Chain::Recorded { reported, .. }) => !reported,
            Err(_) => false,
        }
    }

    /// Whether the run has its record.
    pub fn is_recorded(&self) -> bool {
        matches!(&self.0, Ok(Chain::Recorded { .. }))
    }
}

impl Reporter {
    /// Reads `EVIDENCE_BUCKET`, `SLACK_SECRET_NAME`, `SLACK_CHANNEL` and `SLACK_API_URL`, and builds the clients.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(
        procedure: &'static str,
        settings: &Settings,
        env: &Env<'_>,
        aws: &SdkConfig,
    ) -> Result<Self, EnvError> {
        let slack_api: Endpoint = env.required("SLACK_API_URL")?;
        Ok(Self {
            documents: Documents {
                client: aws_sdk_s3::Client::new(aws),
                bucket: env.required("EVIDENCE_BUCKET")?,
                procedure,
            },
            channel: Channel::new(
                aws_sdk_secretsmanager::Client::new(aws),
                env.required("SLACK_SECRET_NAME")?,
                slack_api,
                env.required("SLACK_CHANNEL")?,
            ),
            service: settings.function.clone(),
            language: settings.language,
            patience: PATIENCE,
        })
    }

    /// A reporter that waits for throttled reads of evidence as long as an audit does.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn of_audit(
        procedure: &'static str,
        settings: &Settings,
        env: &Env<'_>,
        aws: &SdkConfig,
    ) -> Result<Self, EnvError> {
        let mut reporter = Self::new(procedure, settings, env, aws)?;
        reporter.documents.client = crate::patient!(aws_sdk_s3, &lambda::patient(aws));
        reporter.patience = PATIENCE_OF_AUDITS;
        Ok(reporter)
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence(&self.documents)
    }

    /// A part of the procedure's newest record; none before the first.
    ///
    /// # Errors
    ///
    /// [`Unread`] if it could not be read. New findings are then unknown, and the message must say so.
    pub async fn before<T: DeserializeOwned>(&self) -> Result<Option<T>, Unread> {
        self.bounded(self.evidence().newest::<T>()).await.map_err(|reason| {
            let reason = chain(&reason);
            tracing::warn!(message = format!("the last record was not read: {reason}"));
            Unread(reason)
        })
    }

    /// When the procedure's first run began; none before the first record. A beginning that could not be read counts as
    /// long ago, so that nothing is held back.
    pub async fn began(&self) -> Option<Timestamp> {
        self.bounded(self.evidence().began()).await.unwrap_or_else(|reason| {
            let reason = chain(&reason);
            tracing::warn!(message = format!("the chain's beginning was not read: {reason}"));
            Some(Timestamp::MIN)
        })
    }

    /// Notes that `run_id` is about to do something that must be reported, so that another attempt reports it if this
    /// one dies.
    ///
    /// Cannot fail: without the note, only the report after a crash would be missing, and the crash itself raises
    /// an alarm.
    pub async fn begin(&self, run_id: &str) -> Begun {
        let begun = self.bounded(async {
            let chain = self.evidence().find(run_id).await?;
            match self.evidence().note(run_id, chain.clone()).await? {
                Some(noted) => Ok(noted),
                None => self.evidence().find(run_id).await,
            }
        });
        Begun(begun.await)
    }

    /// Reads the state of `run_id`'s report. A failed read is logged and counted, because a report may then be missing.
    pub async fn look(&self, run_id: &str) -> Begun {
        let seen = self.bounded(self.evidence().find(run_id)).await;
        if let Err(unseen) = &seen {
            let run = format!("state of run {run_id}");
            self.lost("EvidenceFailures", "EvidenceFailed", &chain(unseen), &run);
        }
        Begun(seen)
    }

    /// Sends the message, if any, and writes the record, once for each `run_id`.
    ///
    /// The message goes out before the record is written, so a run that dies between the two sends its message twice
    /// rather than never. An undelivered message or record is logged whole at level `ERROR`, and the metrics
    /// `NotificationFailures` and `EvidenceFailures` count it, which raises their alarms. A failed message is sent
    /// again when the run is reported again. If the chain was tampered with and accepts no record, the message says so
    /// and how to repair it. Returns whether the run has its record.
    pub async fn report(
        &self,
        mut draft: Draft,
        message: Option<&Message>,
        begun: Begun,
        invocation: &Invocation,
    ) -> bool {
        if let Ok(Chain::Recorded { key, reported: true }) = &begun.0 {
            tracing::info!(message = "this run is already reported and recorded", evidence_key = key);
            return true;
        }
        let margin = Duration::from_millis(500);
        draft.channel = match message {
            Some(message) => {
                let mut message = message.clone();
                if let Err(Unseen::Evidence(EvidenceError::Damaged(damage))) = &begun.0 {
                    message = message.headed(format!("*{}*: {}", damage.kind(), damage.text(self.language)));
                }
                self.tell(&message, margin, invocation).await
            }
            None => SILENT.to_owned(),
        };
        let written = invocation.before_deadline(margin, async {
            // The read that failed at the beginning may succeed now.
            let end = match begun.0 {
                Ok(end) => end,
                Err(_) => self.evidence().find(&draft.run_id).await?,
            };
            self.evidence().append(&draft, end).await
        });
        let written = written.await.map_err(|late| chain(&late));
        let written = written.and_then(|written| written.map_err(|error| chain(&error)));
        match &written {
            Ok(record) => {
                tracing::info!(message = "recorded", evidence_key = record.key);
                if let Some(mark) = &record.mark {
                    self.remember(mark, margin, invocation).await;
                }
            }
            Err(reason) => {
                let draft = serde_json::to_string(&draft).unwrap_or_default();
                self.lost("EvidenceFailures", "EvidenceFailed", reason, &draft);
            }
        }
        written.is_ok()
    }

    /// Notes the new end of the chain. The record is complete without the note.
    async fn remember(&self, mark: &Mark, margin: Duration, invocation: &Invocation) {
        let noted = invocation.before_deadline(margin, self.bounded(self.evidence().remember(mark))).await;
        let noted = noted.map_err(|late| chain(&late));
        if let Err(reason) = noted.and_then(|noted| noted.map_err(|unseen| chain(&unseen))) {
            tracing::warn!(
                message = format!("the chain's beginning was not noted; a later record notes it: {reason}")
            );
        }
    }

    /// [`Reporter::look`], then [`Reporter::report`]. Returns whether the run has its record.
    pub async fn report_once(
        &self,
        draft: Draft,
        message: Option<&Message>,
        invocation: &Invocation,
    ) -> bool {
        let begun = self.look(&draft.run_id).await;
        self.report(draft, message, begun, invocation).await
    }

    /// Posts the message; returns the outcome for the record.
    async fn tell(&self, message: &Message, margin: Duration, invocation: &Invocation) -> String {
        let reported = invocation.before_deadline(margin, self.channel.post(message)).await;
        let reported =
            reported.map_err(|late| chain(&late)).and_then(|posted| posted.map_err(|error| chain(&error)));
        match reported {
            Ok(()) => SENT.to_owned(),
            Err(reason) => {
                self.lost("NotificationFailures", "NotificationFailed", &reason, &message.text());
                format!("failed: {reason}")
            }
        }
    }

    /// Logs an undelivered text whole at `ERROR`, and counts it in `metric`, which raises that metric's alarm.
    pub fn lost(&self, metric: &str, error_type: &str, reason: &str, undelivered: &str) {
        metrics::count(metric, &self.service);
        tracing::error!(message = format!("not delivered: {reason}"), error_type, undelivered);
    }

    /// Limits the time of a read of the evidence, which must leave time for the message.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, EvidenceError>>) -> Result<T, Unseen> {
        let patience = self.patience;
        tokio::time::timeout(patience, work).await.map_err(|_| Unseen::Late(patience))?.map_err(Unseen::from)
    }
}
