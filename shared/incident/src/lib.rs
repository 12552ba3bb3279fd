//! Incidents: alerts, read into signals; the table and what a signal changes in it; an incident's texts for each channel.
//! Data in, data out: no AWS, no clock, no runtime, no network.
//!
//! What cannot be parsed still pages, with its raw text.

use std::collections::BTreeMap;

use jiff::Timestamp;

pub mod due;
mod incident;
pub mod metrics;
pub mod person;
pub mod signal;
pub mod store;
pub mod text;

pub use self::incident::{
    Act, Action, Attempts, Called, Entry, Incident, Mute, Part, SensitiveData, SlackPost, State,
};
pub use self::text::Language;
pub use policy::Severity;

/// Begins the identity of each drill of the pager itself: the daily one, and those of `cargo xtask drill`.
pub const DRILL: &str = "incident-send/synthetic/";

/// Whether a problem is a drill of the pager itself, whichever way it arrived. It calls nobody by name, and escalates to
/// nobody. Of an alarm the name may have a prefix, by which EventBridge's rule chooses, and an alert has its source before
/// it; other texts of a problem may be somebody else's words, and only their beginning counts.
pub fn is_own_drill(source: &str, problem: &str) -> bool {
    let is_alert = [Source::Alertmanager, Source::Grafana].iter().any(|alert| alert.name() == source);
    let own = problem.strip_prefix(source).and_then(|rest| rest.strip_prefix('|'));
    let own = own.filter(|_| is_alert).unwrap_or(problem);
    own.starts_with(DRILL) || (source == Source::Alarm.name() && problem.contains(DRILL))
}

/// How an event arrived.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// An SNS notification, as Lambda or SQS receives it.
    Sns,
    /// An event of EventBridge.
    EventBridge,
    /// An alarm's own Lambda action.
    AlarmAction,
    /// A subscription filter of CloudWatch Logs.
    Logs,
    /// A webhook of Alertmanager.
    Alertmanager,
    /// A webhook of Grafana.
    Grafana,
}

/// What a signal speaks of, whichever way it arrived.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Source {
    /// A CloudWatch alarm.
    Alarm,
    /// AWS Health.
    Health,
    /// Lines of the application's log.
    Logs,
    /// An alert of Alertmanager.
    Alertmanager,
    /// An alert of Grafana.
    Grafana,
    /// A page of this product.
    Page,
    /// Any other text on the paging topic.
    Message,
    /// A person's own word: a declaration, or that a problem is over.
    Person,
    /// Something that was not understood.
    Unknown,
}

impl Source {
    /// The source's stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Health => "health",
            Self::Logs => "logs",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::Page => "page",
            Self::Message => "message",
            Self::Person => "person",
            Self::Unknown => "unknown",
        }
    }
}

/// What happened to the problem.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Change {
    /// It exists; somebody is paged.
    Triggered,
    /// It is over.
    Resolved,
    /// Neither; recorded, and nobody is paged.
    Note,
}

/// One fact about one problem. Its texts are for people: without control characters, and limited in length.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signal {
    /// What it speaks of.
    pub source: Source,
    /// Identity of the problem, by which signals belong to one incident:
    ///
    /// | source | problem |
    /// | --- | --- |
    /// | alarm | its ARN, with `\|` and the contributor's id if it has contributors; without an ARN, account, region and name |
    /// | health | `eventArn\|affectedAccount` |
    /// | logs | `log group\|signature` (see [`signal::fault::signature`]); `log group\|more` for those beyond the twenty most frequent of a batch |
    /// | alertmanager, grafana | source, `\|` and the alert's fingerprint; without one, a hash of its labels; `source\|truncated\|group key` for alerts that the sender left out |
    /// | page | its dedup key |
    /// | message | `message\|topic\|subject or first line`, without numbers and ids |
    /// | person | the one that they name; otherwise `person\|resource\|title` |
    /// | unknown | `raw\|` and a hash of the raw text |
    pub problem: String,
    /// Dedup key: the same fact has the same key on every transport and in every delivery.
    ///
    /// | source | key |
    /// | --- | --- |
    /// | alarm | `alarm\|problem\|state\|time of the change in ms`; at the end `\|suppressed` if its actions are |
    /// | health | `health\|problem\|communicationId`, or statusCode and lastUpdatedTime in its place; at the end `\|closed` if it is closed |
    /// | logs | `log\|id of the batch's first event with this signature` |
    /// | alertmanager, grafana | `alert\|problem\|startsAt\|firing` or `alert\|problem\|startsAt\|resolved\|endsAt`, in UTC |
    /// | page | `page\|problem\|action\|transport's id` |
    /// | message, unknown | `message\|transport's id`, `raw\|transport's id\|hash` |
    /// | person | `declare\|problem\|invocation's id`, `resolve\|problem\|invocation's id` |
    ///
    /// Without a time of the change, the transport's id takes its place; without an id, a hash of the text. A redelivered
    /// batch of log lines has the same ids, and so the same keys.
    pub event: String,
    /// What happened.
    pub change: Change,
    /// When it happened, by the source's clock.
    pub changed_at: Option<Timestamp>,
    /// One line.
    pub title: String,
    /// Why, in the source's words; of what was not understood, the raw text. At most 4,000 characters.
    pub reason: String,
    /// The source's own opinion.
    pub severity: Option<Severity>,
    /// More facts, for people.
    pub labels: BTreeMap<String, String>,
    /// Address of the instructions.
    pub runbook: Option<String>,
    /// Who is responsible.
    pub owner: Option<String>,
    /// Address at the source.
    pub link: Option<String>,
    /// What keeps the source from notifying, e.g. `Alarm` (CloudWatch's `actionsSuppressedBy`).
    pub muted_by_source: Option<String>,
    /// False if a part that decides was not understood. It pages with the raw text.
    pub understood: bool,
    /// False if a Slack user said it whom the policy does not have. It pages, and writes to no customer.
    pub is_vouched: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_alarms_name_may_have_a_prefix_before_a_drills() {
        for (source, problem, expected) in [
            ("page", "incident-send/synthetic/2026-11-29", true),
            ("logs", "incident-send/synthetic/x/log|Error||drill|", true),
            ("alarm", "arn:aws:cloudwatch:us-east-1:1:alarm:incident-send/synthetic/x", true),
            ("alarm", "arn:aws:cloudwatch:us-east-1:1:alarm:m-dev-drill-incident-send/synthetic/x", true),
            ("alarm", "arn:aws:cloudwatch:us-east-1:1:alarm:moveongs-dev-incident-send-errors", false),
            ("logs", "/aws/ecs/api|Error||incident-send/synthetic/x|", false),
            ("message", "message|topic|incident-send/synthetic/x", false),
            ("grafana", "grafana|incident-send/synthetic/x/grafana", true),
            ("alertmanager", "alertmanager|incident-send/synthetic/x", true),
            ("alertmanager", "alertmanager|truncated|incident-send/synthetic/x", false),
            ("alertmanager", "grafana|incident-send/synthetic/x", false),
            ("logs", "logs|incident-send/synthetic/x", false),
            ("page", "incident-send/", false),
        ] {
            assert_eq!(is_own_drill(source, problem), expected, "{problem}");
        }
    }
}
