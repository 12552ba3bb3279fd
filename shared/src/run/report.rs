//! The end of a run: the message to the channel and the evidence record. Neither can fail the run.

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::run::evidence::{Chain, Draft, Evidence, EvidenceError, Mark, SENT, SILENT};
use crate::run::notify::{Channel, Message};
use crate::runtime::endpoint::Endpoint;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::chain;
use crate::runtime::lambda::{self, Invocation};
use crate::runtime::language::Language;
use crate::runtime::metrics;
use crate::runtime::settings::Settings;

/// Longest that the evidence is looked at before the channel is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same for an audit, which has minutes: a record that is given up makes it page again and call everything new.
const PATIENCE_OF_AUDITS: Duration = Duration::from_secs(30);

/// Where a procedure reports to.
pub struct Reporter {
    /// The procedure's evidence.
    pub evidence: Evidence,
    /// The team's channel.
    pub channel: Channel,
    /// The function's name: the `service` dimension of the metrics that stand for what was lost.
    pub service: String,
    /// Language of what the channel is told of the evidence.
    pub language: Language,
    /// Longest that the evidence is looked at before the channel is told.
    patience: Duration,
}

/// How far a run's report was when it was last looked at.
pub struct Begun(Result<Chain, Unseen>);

/// Why the evidence was not seen in the time that it has.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("S3 did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Why what the run before has found could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the run before was not read: {0}")]
pub struct Unread(pub String);

impl Unread {
    /// What the channel is told.
    pub fn text(&self, language: Language) -> String {
        let Self(reason) = self;
        match language {
            Language::Portuguese => format!(
                "*Não se sabe o que é novo*: o registro anterior não pôde ser lido ({reason}). Abaixo está tudo o que há; o que mudou, a próxima auditoria diz."
            ),
            Language::English => format!(
                "*What is new is not known*: the record before could not be read ({reason}). Everything that there is follows; the next audit says what has changed."
            ),
        }
    }
}

impl Begun {
    /// Whether an earlier attempt of this run has begun it, and has not come to report it.
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
    /// Reads `EVIDENCE_BUCKET`, `SLACK_SECRET_NAME`, `SLACK_CHANNEL` and `SLACK_API_URL`, and makes the clients.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(
        procedure: &'static str,
        settings: &Settings,
        env: &Env<'_>,
        aws: &SdkConfig,
    ) -> Result<Self, EnvError> {
        let slack_api: Endpoint = env.required("SLACK_API_URL")?;
        Ok(Self {
            evidence: Evidence {
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

    /// A reporter that waits for throttled evidence as an audit waits for what it reads.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn of_audit(
        procedure: &'static str,
        settings: &Settings,
        env: &Env<'_>,
        aws: &SdkConfig,
    ) -> Result<Self, EnvError> {
        let mut reporter = Self::new(procedure, settings, env, aws)?;
        reporter.evidence.client = crate::patient!(aws_sdk_s3, &lambda::patient(aws));
        reporter.patience = PATIENCE_OF_AUDITS;
        Ok(reporter)
    }

    /// A part of the procedure's newest record; none when there is none.
    ///
    /// # Errors
    ///
    /// [`Unread`] when it could not be read. What is new is unknown then, and the message has to say so.
    pub async fn before<T: DeserializeOwned>(&self) -> Result<Option<T>, Unread> {
        self.bounded(self.evidence.newest::<T>()).await.map_err(|reason| {
            let reason = chain(&reason);
            tracing::warn!(message = format!("the record before was not read: {reason}"));
            Unread(reason)
        })
    }

    /// When the procedure's first run began; none when it has no record. A beginning that could not be read counts as long
    /// ago, so that nothing is held back.
    pub async fn began(&self) -> Option<Timestamp> {
        self.bounded(self.evidence.began()).await.unwrap_or_else(|reason| {
            let reason = chain(&reason);
            tracing::warn!(message = format!("the chain's beginning was not read: {reason}"));
            Some(Timestamp::MIN)
        })
    }

    /// Notes that `run_id` is about to do what must be told, so that another attempt tells it if this one dies.
    ///
    /// Cannot fail: without the note, only the report after a crash would be missing, and the crash itself raises
    /// an alarm.
    pub async fn begin(&self, run_id: &str) -> Begun {
        let begun = self.bounded(async {
            let chain = self.evidence.find(run_id).await?;
            match self.evidence.note(run_id, chain.clone()).await? {
                Some(noted) => Ok(noted),
                None => self.evidence.find(run_id).await,
            }
        });
        Begun(begun.await)
    }

    /// Looks how far the report of `run_id` is. That it could not be seen is logged and counted, since then nobody
    /// knows whether something is still to be told.
    pub async fn look(&self, run_id: &str) -> Begun {
        let seen = self.bounded(self.evidence.find(run_id)).await;
        if let Err(unseen) = &seen {
            let run = format!("state of run {run_id}");
            self.lost("EvidenceFailures", "EvidenceFailed", &chain(unseen), &run);
        }
        Begun(seen)
    }

    /// Tells the channel, unless there is nothing to tell, and writes the evidence, once for each `run_id`.
    ///
    /// The message goes out before the record is written, so a run that dies between the two tells the channel
    /// twice rather than never. What cannot be delivered is not lost: it stands in the log at level `ERROR` with
    /// its whole text, and the metrics `EvidenceFailures` and `NotificationFailures` count it, which raises
    /// their alarms. A message that failed is tried again when the run is reported again. It says what was done to a chain that
    /// gets no record any more, with the cure. Gives whether the run has its record.
    pub async fn report(
        &self,
        mut draft: Draft,
        message: Option<&Message>,
        begun: Begun,
        invocation: &Invocation,
    ) -> bool {
        if let Ok(Chain::Recorded { key, reported: true }) = &begun.0 {
            tracing::info!(message = "this run is already told and recorded", evidence_key = key);
            return true;
        }
        let margin = Duration::from_millis(500);
        draft.channel = match message {
            Some(message) => {
                let mut message = message.clone();
                if let Err(Unseen::Evidence(EvidenceError::Damaged(damage))) = &begun.0 {
                    // In front: a long message is cut at its end.
                    message.lines.insert(0, format!("*{}*: {}", damage.kind(), damage.text(self.language)));
                }
                self.tell(&message, margin, invocation).await
            }
            None => SILENT.to_owned(),
        };
        let written = invocation.before_deadline(margin, async {
            // What could not be seen at the beginning may be seen now.
            let end = match begun.0 {
                Ok(end) => end,
                Err(_) => self.evidence.find(&draft.run_id).await?,
            };
            self.evidence.append(&draft, end).await
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

    /// Remembers the chain by its new record, which stands without that.
    async fn remember(&self, mark: &Mark, margin: Duration, invocation: &Invocation) {
        let noted = invocation.before_deadline(margin, self.bounded(self.evidence.remember(mark))).await;
        let noted = noted.map_err(|late| chain(&late));
        if let Err(reason) = noted.and_then(|noted| noted.map_err(|unseen| chain(&unseen))) {
            tracing::warn!(message = format!("that the chain has begun is left to a later record: {reason}"));
        }
    }

    /// Posts the message; what the record says of it.
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

    /// Logs at `ERROR` what could not be delivered, whole, and counts it in `metric`, which raises that metric's alarm.
    pub fn lost(&self, metric: &str, error_type: &str, reason: &str, undelivered: &str) {
        metrics::count(metric, &self.service);
        tracing::error!(message = format!("not delivered: {reason}"), error_type, undelivered);
    }

    /// Looking at the evidence may not eat the time that the channel's message needs.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, EvidenceError>>) -> Result<T, Unseen> {
        let patience = self.patience;
        tokio::time::timeout(patience, work).await.map_err(|_| Unseen::Late(patience))?.map_err(Unseen::from)
    }
}
