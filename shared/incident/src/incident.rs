//! The incident and its timeline, as they are stored.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Severity;

/// A problem that people have to act on, from the first event until it is resolved.
///
/// Every field has a default: an item that an older version stored still reads, and still pages. An empty text means
/// "unknown" or "nobody".
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Incident {
    /// Stable id: `INC-20261129-7Q2MZK4A`. It is also the pager's dedup key.
    pub id: String,
    /// Grows with each change; the messages say which one they show.
    pub version: u64,
    /// Environment: `prod`.
    pub environment: String,
    /// What people have done about it.
    pub state: State,
    /// How bad it is. A rule proposes it; a person confirms it.
    pub severity: Severity,
    /// The highest severity that an event proposed so far.
    pub severity_proposed: Severity,
    /// The rule or the field of the alarm that proposed the severity.
    pub severity_proposed_by: String,
    /// The person who confirmed the severity; empty while it is only proposed.
    pub severity_confirmed_by: String,
    /// One line: what is wrong.
    pub title: String,
    /// The sender's reason, with its line breaks; the whole raw text if it was not [understood](Self::understood).
    pub reason: String,
    /// What reported it: `cloudwatch`, `alertmanager`.
    pub source: String,
    /// Identity of the problem: an alarm's ARN, `alertmanager|` and an alert's fingerprint.
    pub problem: String,
    /// The affected resource.
    pub resource: String,
    /// Time of the first event.
    pub first_at: Timestamp,
    /// Time of the newest event.
    pub last_at: Timestamp,
    /// Time of the newest event that said that the problem exists.
    pub triggered_at: Timestamp,
    /// Number of events that said so, without repeated deliveries; of a log, the number of its lines.
    pub count: u64,
    /// How often it was resolved and came back within the flap window.
    pub flaps: u32,
    /// The responsible team.
    pub owner: String,
    /// The team that stands in for the owner.
    pub backup: String,
    /// The person on call.
    pub on_call: String,
    /// The person who acknowledged it.
    pub acknowledged_by: String,
    /// Time of the acknowledgement.
    pub acknowledged_at: Option<Timestamp>,
    /// Since when it pages. In the future while it is muted; none if its source is muted, or if it was over before a mute
    /// ended.
    pub paged_at: Option<Timestamp>,
    /// Since when it pages without a person who has taken it: the escalation counts from here, also while the problem comes
    /// and goes.
    pub untaken_since: Option<Timestamp>,
    /// The version that called people last: a channel that accepted only an older one has not told it. 0 in items of an
    /// older program.
    pub paged_version: u64,
    /// When people are told again what they had been told before: at the end of a mute, or of the time in which a problem
    /// that comes and goes pages once.
    pub told_again_at: Option<Timestamp>,
    /// The incident commander.
    pub commander: String,
    /// When the impact ended.
    pub mitigated_at: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// An https address or a page of the documentation: `docs/backups.md#regras`.
    pub runbook: String,
    /// An https address of the alarm or the alert.
    pub link: String,
    /// The next command to run.
    pub command: String,
    /// More facts for people, such as an alert's labels.
    pub labels: BTreeMap<String, String>,
    /// An exercise, as long as all its events are: it pages like the real thing, says so, and is not counted. [`crate::is_own_drill`] are those that call
    /// nobody.
    pub is_drill: bool,
    /// Set while its events page nobody.
    pub muted: Option<Mute>,
    /// False if the signal could not be parsed; [`reason`](Self::reason) is then the raw text.
    pub understood: bool,
    /// How sending its message went so far.
    pub attempts: Attempts,
    /// Its message in Slack, once there is one.
    pub slack: Option<SlackPost>,
}

impl Default for Incident {
    fn default() -> Self {
        Self {
            id: String::new(),
            version: 0,
            environment: String::new(),
            state: State::default(),
            severity: Severity::default(),
            severity_proposed: Severity::default(),
            severity_proposed_by: String::new(),
            severity_confirmed_by: String::new(),
            title: String::new(),
            reason: String::new(),
            source: String::new(),
            problem: String::new(),
            resource: String::new(),
            first_at: Timestamp::UNIX_EPOCH,
            last_at: Timestamp::UNIX_EPOCH,
            triggered_at: Timestamp::UNIX_EPOCH,
            count: 0,
            flaps: 0,
            owner: String::new(),
            backup: String::new(),
            on_call: String::new(),
            acknowledged_by: String::new(),
            acknowledged_at: None,
            paged_at: None,
            untaken_since: None,
            paged_version: 0,
            told_again_at: None,
            commander: String::new(),
            mitigated_at: None,
            resolved_at: None,
            runbook: String::new(),
            link: String::new(),
            command: String::new(),
            labels: BTreeMap::new(),
            is_drill: false,
            muted: None,
            // Texts that are not understood are the exception, and say so.
            understood: true,
            attempts: Attempts::default(),
            slack: None,
        }
    }
}

impl Incident {
    /// How long it has lasted at `now`, or lasted until it was resolved. Never negative: clocks differ.
    pub fn lasted(&self, now: Timestamp) -> SignedDuration {
        let until = if self.is_open() { now } else { self.resolved_at.unwrap_or(now) };
        until.duration_since(self.first_at).max(SignedDuration::ZERO)
    }

    /// Returns true until the incident is resolved.
    pub fn is_open(&self) -> bool {
        self.state != State::Resolved
    }
}

/// What people have done about an incident.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has taken it.
    #[default]
    Triggered,
    /// A person has taken it; the pager stops escalating.
    Acknowledged,
    /// The impact is over, the cause is not.
    Mitigated,
    /// Over. The next event of the same problem opens a new incident, or this one again if it comes soon.
    Resolved,
}

/// An order to page nobody about a problem for some time.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Mute {
    /// The person who muted it.
    pub by: String,
    /// Their reason.
    pub reason: String,
    /// When it ends.
    pub until: Timestamp,
}

/// How sending a message went so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Attempts {
    /// Number of attempts.
    pub count: u32,
    /// How many ended without a clear answer: the channel may have accepted the message.
    pub unclear: u32,
}

impl Attempts {
    /// Returns true if the message may be a duplicate, which it has to say.
    pub fn may_repeat(self) -> bool {
        self.unclear > 0
    }
}

/// A message in Slack, for updates and replies.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SlackPost {
    /// The channel's id.
    pub channel: String,
    /// The message's `ts`.
    pub ts: String,
}

/// One line of an incident's timeline, which is append-only.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// The person or the part of the product that did it.
    #[serde(default)]
    pub by: String,
    /// What was done.
    pub action: Action,
    /// More about it, in the actor's words.
    #[serde(default)]
    pub text: String,
}

/// What a timeline entry records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The first event opened the incident.
    Triggered,
    /// Another event of the same problem.
    Event,
    /// It came back within the flap window, became worse than what a person had taken, or turned out to be no drill:
    /// somebody has to take it again.
    Reopened,
    /// It kept coming back and nobody took it, so it paged once more at the end of the flap window.
    Flapping,
    /// A person took it.
    Acknowledged,
    /// Nobody took it in time, so the next person or channel was paged.
    Escalated,
    /// A person confirmed the proposed severity.
    SeverityConfirmed,
    /// A person changed the severity.
    SeverityChanged,
    /// A person became incident commander.
    CommanderAssigned,
    /// A squad was called in.
    SquadCalled,
    /// A status update.
    Update,
    /// The impact ended.
    Mitigated,
    /// It was resolved.
    Resolved,
    /// Its events page nobody from now on.
    Muted,
    /// Its events page again.
    Unmuted,
    /// An event that paged nobody.
    Suppressed,
    /// A channel accepted a message.
    Sent,
    /// A channel refused a message or did not answer.
    SendFailed,
    /// A remark.
    Note,
    /// An action of a newer version.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_an_older_version_still_reads() {
        let old =
            r#"{"id":"INC-20261129-7Q2MZK4A","state":"acknowledged","first_at":"2026-11-29T12:00:00Z"}"#;
        let read: Incident = serde_json::from_str(old).unwrap();
        let expected = Incident {
            id: "INC-20261129-7Q2MZK4A".to_owned(),
            state: State::Acknowledged,
            first_at: "2026-11-29T12:00:00Z".parse().unwrap(),
            ..Incident::default()
        };
        assert_eq!(read, expected);
        assert!(read.understood && read.is_open());
        assert_eq!(serde_json::from_str::<Incident>("{}").unwrap(), Incident::default());
        let again = serde_json::to_string(&expected).unwrap();
        assert_eq!(serde_json::from_str::<Incident>(&again).unwrap(), expected);
    }

    #[test]
    fn an_action_of_a_newer_version_still_reads() {
        let entry = |json: &str| serde_json::from_str::<Entry>(json).unwrap();
        let read = entry(r#"{"at":"2026-11-29T12:00:00Z","action":"teleported","new":1}"#);
        assert_eq!((read.action, read.by.as_str(), read.text.as_str()), (Action::Other, "", ""));
        let read =
            entry(r#"{"at":"2026-11-29T12:00:00Z","action":"severity_changed","by":"Ana","text":"S0"}"#);
        assert_eq!((read.action, read.by.as_str()), (Action::SeverityChanged, "Ana"));
        assert_eq!(serde_json::to_value(Action::SendFailed).unwrap(), "send_failed");
    }

    #[test]
    fn it_lasts_until_it_is_resolved_and_never_less_than_nothing() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut incident = Incident { first_at: at("2026-11-29T12:00:00Z"), ..Incident::default() };
        assert_eq!(incident.lasted(at("2026-11-29T12:05:00Z")), SignedDuration::from_mins(5));
        assert_eq!(incident.lasted(at("2026-11-29T11:59:00Z")), SignedDuration::ZERO);
        incident.resolved_at = Some(at("2026-11-29T13:00:00Z"));
        assert_eq!(incident.lasted(at("2026-11-29T15:00:00Z")), SignedDuration::from_hours(3), "reopened");
        incident.state = State::Resolved;
        assert_eq!(incident.lasted(at("2026-11-30T12:05:00Z")), SignedDuration::from_hours(1));
        assert!(Severity::S0 < Severity::S1 && Severity::default() == Severity::S1);
        assert!(Attempts { count: 2, unclear: 1 }.may_repeat() && !Attempts::default().may_repeat());
    }
}
