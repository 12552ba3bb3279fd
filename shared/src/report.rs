//! The end of a run: the message to the channel and the evidence record. Neither can fail the run.

use std::time::Duration;

use jiff::Timestamp;

use crate::evidence::{Chain, Draft, Evidence, EvidenceError};
use crate::failure::chain;
use crate::lambda::Invocation;
use crate::metrics;
use crate::notify::{Channel, Message};

/// Where a procedure reports to.
pub struct Reporter {
    /// The procedure's evidence.
    pub evidence: Evidence,
    /// The team's channel.
    pub channel: Channel,
    /// The function's name: the `service` dimension of the metrics that stand for what was lost.
    pub service: String,
}

impl Reporter {
    /// Tells the channel and writes the evidence, once for each `run_id`; returns the record's key, if there is one.
    ///
    /// The message goes out before the record is written, so a run that dies between the two tells the channel
    /// twice rather than never. What cannot be delivered is not lost: it stands in the log at level `ERROR` with
    /// its whole text, and the metrics `EvidenceFailures` and `NotificationFailures` count it, which raises
    /// their alarms.
    pub async fn report(&self, draft: Draft, message: &Message, invocation: &Invocation) -> Option<String> {
        let mut delivery = Delivery { draft, told: false };
        let delivered =
            invocation.within(Duration::from_millis(500), self.deliver(&mut delivery, message)).await;
        let reason = match delivered {
            Ok(Ok(key)) => {
                tracing::info!(message = "recorded", evidence_key = key);
                return Some(key);
            }
            Ok(Err(error)) => chain(&error),
            Err(cut_off) => chain(&cut_off),
        };
        if !delivery.told {
            self.lost("NotificationFailures", "NotificationFailed", &reason, &message.text(), invocation.now);
        }
        let draft = serde_json::to_string(&delivery.draft).unwrap_or_default();
        self.lost("EvidenceFailures", "EvidenceFailed", &reason, &draft, invocation.now);
        None
    }

    async fn deliver(&self, delivery: &mut Delivery, message: &Message) -> Result<String, EvidenceError> {
        let found = self.evidence.find(&delivery.draft.run_id).await;
        if let Ok(Chain::Recorded { key }) = found {
            delivery.told = true;
            return Ok(key);
        }
        delivery.draft.channel = match self.channel.post(message).await {
            Ok(()) => "sent".to_owned(),
            Err(error) => {
                let reason = chain(&error);
                self.lost(
                    "NotificationFailures",
                    "NotificationFailed",
                    &reason,
                    &message.text(),
                    crate::time::now(),
                );
                format!("failed: {reason}")
            }
        };
        delivery.told = true;
        self.evidence.append(&delivery.draft, found?).await
    }

    fn lost(&self, metric: &str, error_type: &str, reason: &str, undelivered: &str, now: Timestamp) {
        metrics::count(metric, &self.service, now);
        tracing::error!(message = format!("not delivered: {reason}"), error_type, undelivered);
    }
}

/// What has been done of a report, as far as it came.
struct Delivery {
    draft: Draft,
    /// The channel has the message, or its loss is in the log.
    told: bool,
}
