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
    /// Since when users are affected, as a person said; the first event counts without it.
    pub impact_since: Option<Timestamp>,
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
    /// Time of the first acknowledgement, which stays when the problem comes back.
    pub first_acknowledged_at: Option<Timestamp>,
    /// Since when it pages. In the future while it is muted; none if its source is muted, or if it was over before a mute
    /// ended.
    pub paged_at: Option<Timestamp>,
    /// Since when it pages without a person who has taken it: the escalation counts from here, also while the problem comes
    /// and goes.
    pub untaken_since: Option<Timestamp>,
    /// Since when people wait for updates: its first page, the end of a mute, or its return after the impact was over. Other
    /// pages of it do not move this.
    pub awaited_since: Option<Timestamp>,
    /// The version that called people last: a channel that accepted only an older one has not told it. 0 in items of an
    /// older program.
    pub paged_version: u64,
    /// When people are told again what they had been told before: at the end of a mute, or of the time in which a problem
    /// that comes and goes pages once.
    pub told_again_at: Option<Timestamp>,
    /// The incident commander.
    pub commander: String,
    /// Who stands in for the commander.
    pub commander_backup: String,
    /// The squads that were called in, in order, each once.
    pub called: Vec<Called>,
    /// Number of updates that people gave; that the impact is over is one too.
    pub updates: u32,
    /// How many of them known people gave: of the others, customers read nothing by themselves.
    pub known_updates: u32,
    /// Time of the last one.
    pub updated_at: Option<Timestamp>,
    /// The last one, with line breaks.
    pub last_update: String,
    /// Since when a known person stands for it, by a declaration or any request: before, what an unknown Slack user declared
    /// or took writes to no customer by itself. Not yet again of a severity that an unknown one raised.
    pub vouched_at: Option<Timestamp>,
    /// Whether its title is of an unknown Slack user: customers do not read it.
    pub has_foreign_title: bool,
    /// What people last asked to write to the internal customers, with line breaks.
    pub customers_text: String,
    /// How many updates known people had given then.
    pub customers_updates: u32,
    /// Whether personal data is compromised, once a person said so.
    pub sensitive_data: Option<SensitiveData>,
    /// A person said that it never was an incident; it is counted in no mean.
    pub is_false_alarm: bool,
    /// Id of the incident that it is a part of, as a person said: that one calls people for both.
    pub merged_into: String,
    /// The incidents that are a part of this one and are not over.
    pub parts: Vec<Part>,
    /// Why its instructions are wrong, in people's words, one line for each reason.
    pub runbook_wrong: String,
    /// Who last did each action on it, and when.
    pub acts: BTreeMap<Action, Act>,
    /// When its severity last changed.
    pub severity_changed_at: Option<Timestamp>,
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
    /// When the next update is due; whoever shows the incident sets it ([`crate::due::update`]).
    pub update_due: Option<Timestamp>,
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
            impact_since: None,
            count: 0,
            flaps: 0,
            owner: String::new(),
            backup: String::new(),
            on_call: String::new(),
            acknowledged_by: String::new(),
            acknowledged_at: None,
            first_acknowledged_at: None,
            paged_at: None,
            untaken_since: None,
            awaited_since: None,
            paged_version: 0,
            told_again_at: None,
            commander: String::new(),
            commander_backup: String::new(),
            called: Vec::new(),
            updates: 0,
            known_updates: 0,
            updated_at: None,
            last_update: String::new(),
            vouched_at: None,
            has_foreign_title: false,
            customers_text: String::new(),
            customers_updates: 0,
            sensitive_data: None,
            is_false_alarm: false,
            merged_into: String::new(),
            parts: Vec::new(),
            runbook_wrong: String::new(),
            acts: BTreeMap::new(),
            severity_changed_at: None,
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
            update_due: None,
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

    /// Returns true while it is a part of another incident, which calls people for both.
    pub fn is_merged(&self) -> bool {
        !self.merged_into.is_empty()
    }

    /// Since when users are affected: as a person said, otherwise since the first event.
    pub fn impact_began(&self) -> Timestamp {
        self.impact_since.unwrap_or(self.first_at)
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

/// A person's answer to whether personal data is compromised.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SensitiveData {
    /// Whether it is.
    pub is_compromised: bool,
    /// The person who said so.
    pub by: String,
    /// Their reason.
    pub reason: String,
    /// When they said so.
    pub at: Timestamp,
    /// When a person first said that it is: the clock of the LGPD counts from here, and a later «yes» does not start it
    /// again.
    pub known_since: Option<Timestamp>,
}

/// A squad that was called in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Called {
    /// The squad.
    pub squad: String,
    /// The person who called it in.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// An incident that is a part of another one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Part {
    /// Its id.
    pub incident: String,
    /// Its title.
    pub title: String,
}

/// Who did something, and when.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Act {
    /// The person; of an end, also the source that reported it.
    pub by: String,
    /// When.
    pub at: Timestamp,
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
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
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
    /// A person said that it never was an incident.
    FalseAlarm,
    /// A person said that it is a part of another incident, or that another one is a part of it.
    Merged,
    /// A person said whether personal data is compromised.
    SensitiveData,
    /// A person said that it is an exercise, or is none.
    Drill,
    /// A person said that its instructions are wrong.
    RunbookWrong,
    /// Somebody was reminded that an update is due, or of another deadline.
    Reminded,
    /// AWS Support was involved, or a checklist for it was posted.
    SupportCase,
    /// Somebody had the internal customers written to; the text is theirs, or empty for the template's own.
    CustomersTold,
    /// The mail to the internal customers was refused.
    CustomersNotTold,
    /// Its post-mortem was begun, changed or closed.
    PostMortem,
    /// An order about an emergency restore.
    Restore,
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
        let acts = r#"{"acts":{"teleported":{"by":"Ana"},"resolved":{"by":"Bia","new":1}}}"#;
        let acts = serde_json::from_str::<Incident>(acts).unwrap().acts;
        assert_eq!(acts[&Action::Resolved].by, "Bia", "beside an action of a newer version");
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
