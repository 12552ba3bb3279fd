//! What a person asks of the desk: the payload of an invocation.
//!
//! It is an object with one field, the request: `{"acknowledge": {"incident": "INC-…", "by": "Ana"}}`. Unknown fields are
//! refused, because a misspelled one would be ignored at the worst time. `by` is a claim: whoever may invoke the function
//! may write any name.

mod signal;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use policy::event::{InvalidEvent, parse};
use policy::incidents::{Desk, Who};
use policy::is_line;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Severity;
use crate::signal::{LONGEST_KEY, LONGEST_TEXT, MOST_CHARACTERS};

/// Longest mute. A longer silence is a rule of the alarm, or a fault that nobody wants to see.
pub const LONGEST_MUTE: SignedDuration = SignedDuration::from_hours(24);

/// Longest time that users may have been affected before the first event. An earlier instant is a wrong year or month.
pub const LONGEST_UNSEEN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The names of the requests.
pub const VERBS: [&str; 17] = [
    "declare",
    "acknowledge",
    "classify",
    "command",
    "call",
    "update",
    "mitigate",
    "resolve",
    "reopen",
    "false_alarm",
    "merge",
    "sensitive_data",
    "drill",
    "runbook_wrong",
    "tell_customers",
    "mute",
    "unmute",
];

/// Names every problem, in a request about a mute.
pub const ALL: &str = "*";

/// Most characters of a person's name.
pub const LONGEST_NAME: usize = 100;

/// Most characters of a title, a resource, a squad or a reason.
pub const LONGEST_LINE: usize = 200;

/// Most characters of an update: what an input of Slack takes.
pub const LONGEST_UPDATE: usize = 3_000;

/// A person's request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Open an incident that no alarm has seen.
    Declare(Declare),
    /// Take an incident, so that the pager stops escalating it.
    Acknowledge(Acknowledge),
    /// Confirm or change its severity.
    Classify(Classify),
    /// Become, or name, the incident commander.
    Command(Command),
    /// Call a squad in.
    Call(Call),
    /// Say how it stands.
    Update(Update),
    /// Say that the impact is over, though the cause is not.
    Mitigate(Mitigate),
    /// Close it.
    Resolve(Resolve),
    /// Say that it is not over, not mitigated, or no part of another one.
    Reopen(Reopen),
    /// Close it, because it never was an incident.
    FalseAlarm(FalseAlarm),
    /// Make it a part of another one, which calls people for both.
    Merge(Merge),
    /// Say whether personal data is compromised.
    SensitiveData(SensitiveData),
    /// Say that it is an exercise, or is none.
    Drill(Drill),
    /// Say that its instructions are wrong.
    RunbookWrong(RunbookWrong),
    /// Write to the internal customers.
    TellCustomers(TellCustomers),
    /// Page nobody about a problem, or about any, for some time.
    Mute(Mute),
    /// End a mute before its time.
    Unmute(Unmute),
}

/// See [`Request::Declare`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// What is wrong, in one line.
    pub title: String,
    /// `S0` to `S3`.
    pub severity: Severity,
    /// The affected resource, as the inventory names it: its area decides which squad is paged.
    pub resource: String,
    /// The person.
    pub by: String,
    /// What is known, with line breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Address of the instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// Identity of the problem, to join its open incident; by default one of resource and title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether it is an exercise.
    #[serde(default)]
    pub drill: bool,
}

/// See [`Request::Acknowledge`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// The incident's id.
    pub incident: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Classify`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Classify {
    /// The incident's id.
    pub incident: String,
    /// `S0` to `S3`.
    pub severity: Severity,
    /// Why, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The person.
    pub by: String,
}

/// See [`Request::Command`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The incident's id.
    pub incident: String,
    /// Who commands from now on. Without it and without a backup, the person who asks; with a backup alone, whoever does,
    /// or else that person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commander: Option<String>,
    /// Who stands in for the commander.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Why, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The person.
    pub by: String,
}

/// See [`Request::Call`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The incident's id.
    pub incident: String,
    /// The squad, as the policy names it.
    pub squad: String,
    /// Why, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The person.
    pub by: String,
}

/// See [`Request::Update`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The incident's id.
    pub incident: String,
    /// How it stands, with line breaks.
    pub text: String,
    /// Since when users are affected, if it is not since the first event: at most [`LONGEST_UNSEEN`] before it.
    #[serde(default, deserialize_with = "instant", skip_serializing_if = "Option::is_none")]
    pub impact_since: Option<Timestamp>,
    /// The person.
    pub by: String,
}

/// See [`Request::Mitigate`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mitigate {
    /// The incident's id.
    pub incident: String,
    /// What ended the impact, with line breaks.
    pub text: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Resolve`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// The incident's id.
    pub incident: String,
    /// How it ended, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Reopen`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reopen {
    /// The incident's id.
    pub incident: String,
    /// Why it is not over, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
}

/// See [`Request::FalseAlarm`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FalseAlarm {
    /// The incident's id.
    pub incident: String,
    /// Why it never was one, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Merge`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The incident's id.
    pub incident: String,
    /// Id of the incident that it is a part of.
    pub into: String,
    /// Why, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The person.
    pub by: String,
}

/// See [`Request::SensitiveData`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SensitiveData {
    /// The incident's id.
    pub incident: String,
    /// Whether personal data is compromised.
    pub compromised: bool,
    /// What was seen, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Drill`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The incident's id.
    pub incident: String,
    /// Whether it is an exercise.
    pub drill: bool,
    /// Why, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
}

/// See [`Request::RunbookWrong`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RunbookWrong {
    /// The incident's id.
    pub incident: String,
    /// What is wrong in them, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
}

/// See [`Request::TellCustomers`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TellCustomers {
    /// The incident's id.
    pub incident: String,
    /// What they have to know, with line breaks.
    pub text: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Mute`]. It ends at `until` or after `minutes`; one of them is required.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// The problem's identity, or [`ALL`].
    pub problem: String,
    /// Why, in one line.
    pub reason: String,
    /// The person.
    pub by: String,
    /// When it ends.
    #[serde(default, deserialize_with = "instant", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How long it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u16>,
}

/// See [`Request::Unmute`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Unmute {
    /// The problem's identity, or [`ALL`].
    pub problem: String,
    /// The person.
    pub by: String,
}

/// Parses an instant with its offset. A local time would be ambiguous: the other instants that people see are UTC.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.parse().map(Some);
    parsed
        .map_err(|_| D::Error::custom("expected an instant with its offset, e.g. 2026-11-29T18:00:00-03:00"))
}

impl Request {
    /// Returns true if the event is a person's request, right or wrong.
    pub fn is(event: &Value) -> bool {
        VERBS.iter().any(|verb| event.get(verb).is_some())
    }

    /// The name of the request.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Declare(_) => "declare",
            Self::Acknowledge(_) => "acknowledge",
            Self::Classify(_) => "classify",
            Self::Command(_) => "command",
            Self::Call(_) => "call",
            Self::Update(_) => "update",
            Self::Mitigate(_) => "mitigate",
            Self::Resolve(_) => "resolve",
            Self::Reopen(_) => "reopen",
            Self::FalseAlarm(_) => "false_alarm",
            Self::Merge(_) => "merge",
            Self::SensitiveData(_) => "sensitive_data",
            Self::Drill(_) => "drill",
            Self::RunbookWrong(_) => "runbook_wrong",
            Self::TellCustomers(_) => "tell_customers",
            Self::Mute(_) => "mute",
            Self::Unmute(_) => "unmute",
        }
    }

    /// The person who asks, by their own word.
    pub fn by(&self) -> &str {
        match self {
            Self::Declare(Declare { by, .. })
            | Self::Acknowledge(Acknowledge { by, .. })
            | Self::Classify(Classify { by, .. })
            | Self::Command(Command { by, .. })
            | Self::Call(Call { by, .. })
            | Self::Update(Update { by, .. })
            | Self::Mitigate(Mitigate { by, .. })
            | Self::Resolve(Resolve { by, .. })
            | Self::Reopen(Reopen { by, .. })
            | Self::FalseAlarm(FalseAlarm { by, .. })
            | Self::Merge(Merge { by, .. })
            | Self::SensitiveData(SensitiveData { by, .. })
            | Self::Drill(Drill { by, .. })
            | Self::RunbookWrong(RunbookWrong { by, .. })
            | Self::TellCustomers(TellCustomers { by, .. })
            | Self::Mute(Mute { by, .. })
            | Self::Unmute(Unmute { by, .. }) => by,
        }
    }

    /// Id of the incident that it is about; none for a declaration, and for what is about a problem.
    pub fn incident(&self) -> Option<&str> {
        match self {
            Self::Acknowledge(Acknowledge { incident, .. })
            | Self::Classify(Classify { incident, .. })
            | Self::Command(Command { incident, .. })
            | Self::Call(Call { incident, .. })
            | Self::Update(Update { incident, .. })
            | Self::Mitigate(Mitigate { incident, .. })
            | Self::Resolve(Resolve { incident, .. })
            | Self::Reopen(Reopen { incident, .. })
            | Self::FalseAlarm(FalseAlarm { incident, .. })
            | Self::Merge(Merge { incident, .. })
            | Self::SensitiveData(SensitiveData { incident, .. })
            | Self::Drill(Drill { incident, .. })
            | Self::RunbookWrong(RunbookWrong { incident, .. })
            | Self::TellCustomers(TellCustomers { incident, .. }) => Some(incident),
            Self::Declare(_) | Self::Mute(_) | Self::Unmute(_) => None,
        }
    }

    /// The reason of one line, if there is one. A declaration's has line breaks.
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Classify(Classify { reason, .. })
            | Self::Command(Command { reason, .. })
            | Self::Call(Call { reason, .. })
            | Self::Merge(Merge { reason, .. }) => reason.as_deref(),
            Self::Resolve(Resolve { reason, .. })
            | Self::Reopen(Reopen { reason, .. })
            | Self::FalseAlarm(FalseAlarm { reason, .. })
            | Self::SensitiveData(SensitiveData { reason, .. })
            | Self::Drill(Drill { reason, .. })
            | Self::RunbookWrong(RunbookWrong { reason, .. })
            | Self::Mute(Mute { reason, .. }) => Some(reason),
            Self::Declare(_)
            | Self::Acknowledge(_)
            | Self::Update(_)
            | Self::Mitigate(_)
            | Self::TellCustomers(_)
            | Self::Unmute(_) => None,
        }
    }

    /// Who may ask it.
    pub fn who(&self, desk: &Desk) -> Who {
        match self {
            Self::Declare(_) => desk.declare,
            Self::Acknowledge(_) => desk.acknowledge,
            Self::Classify(_) => desk.classify,
            Self::Command(_) => desk.command,
            Self::Call(_) => desk.call,
            // It moves figures, mails and the case of AWS Support.
            Self::Update(Update { impact_since: Some(_), .. }) if desk.update == Who::Anyone => Who::People,
            Self::Update(_) => desk.update,
            Self::Mitigate(_) => desk.mitigate,
            Self::Resolve(_) => desk.resolve,
            Self::Reopen(_) => desk.reopen,
            Self::FalseAlarm(_) => desk.false_alarm,
            Self::Merge(_) => desk.merge,
            Self::SensitiveData(SensitiveData { compromised: true, .. }) => desk.sensitive_data_yes,
            Self::SensitiveData(_) => desk.sensitive_data_no,
            Self::Drill(_) => desk.drill,
            Self::RunbookWrong(_) => desk.runbook_wrong,
            Self::TellCustomers(_) => desk.tell_customers,
            Self::Mute(_) => desk.mute,
            Self::Unmute(_) => desk.unmute,
        }
    }

    fn check(&self) -> Result<(), InvalidEvent> {
        let at = |field: &str| format!("{}.{field}", self.verb());
        if let Some(id) = self.incident() {
            is_id(&at("incident"), id)?;
        }
        one_line(&at("by"), self.by(), LONGEST_NAME)?;
        if let Some(reason) = self.reason() {
            one_line(&at("reason"), reason, LONGEST_LINE)?;
        }
        match self {
            Self::Declare(declare) => declare.check(),
            Self::Mute(mute) => mute.check(),
            Self::Unmute(Unmute { problem, .. }) => one_line(&at("problem"), problem, LONGEST_KEY),
            Self::Call(Call { squad, .. }) => one_line(&at("squad"), squad, LONGEST_LINE),
            Self::Command(Command { commander, backup, .. }) => {
                for (field, name) in [("commander", commander), ("backup", backup)] {
                    name.as_ref().map_or(Ok(()), |name| one_line(&at(field), name, LONGEST_NAME))?;
                }
                Ok(())
            }
            Self::Merge(Merge { incident, into, .. }) => {
                is_id(&at("into"), into)?;
                if incident == into {
                    return Err(InvalidEvent::at(&at("into"), "expected another incident"));
                }
                Ok(())
            }
            Self::Update(Update { text, .. })
            | Self::Mitigate(Mitigate { text, .. })
            | Self::TellCustomers(TellCustomers { text, .. }) => lines(&at("text"), text, LONGEST_UPDATE),
            Self::Acknowledge(_)
            | Self::Classify(_)
            | Self::Resolve(_)
            | Self::Reopen(_)
            | Self::FalseAlarm(_)
            | Self::SensitiveData(_)
            | Self::Drill(_)
            | Self::RunbookWrong(_) => Ok(()),
        }
    }
}

impl TryFrom<Value> for Request {
    type Error = InvalidEvent;

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field: `mute.minutes`.
    fn try_from(event: Value) -> Result<Self, InvalidEvent> {
        let request: Self = parse(event)?;
        request.check()?;
        Ok(request)
    }
}

fn one_line(field: &str, text: &str, most: usize) -> Result<(), InvalidEvent> {
    if is_line(text, most) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, &format!("expected one line of at most {most} characters")))
}

fn lines(field: &str, text: &str, most: usize) -> Result<(), InvalidEvent> {
    if !text.trim().is_empty() && text.chars().count() <= most {
        return Ok(());
    }
    Err(InvalidEvent::at(field, &format!("expected a text of at most {most} characters")))
}

/// Returns true for the id of an incident, of which the table's key is made.
pub fn is_incident(id: &str) -> bool {
    let is_form = |text: &str| {
        text.len() == "20261129-7Q2MZK4A".len()
            && text.bytes().enumerate().all(|(place, byte)| match place {
                0..8 => byte.is_ascii_digit(),
                8 => byte == b'-',
                _ => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            })
    };
    id.strip_prefix("INC-").is_some_and(is_form)
}

fn is_id(field: &str, id: &str) -> Result<(), InvalidEvent> {
    if is_incident(id) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, "expected the id of an incident, e.g. INC-20261129-7Q2MZK4A"))
}

impl Declare {
    fn check(&self) -> Result<(), InvalidEvent> {
        one_line("declare.title", &self.title, LONGEST_LINE)?;
        one_line("declare.resource", &self.resource, LONGEST_LINE)?;
        if let Some(reason) = &self.reason {
            lines("declare.reason", reason, MOST_CHARACTERS)?;
        }
        for (field, text, most) in [
            ("declare.runbook", &self.runbook, LONGEST_TEXT),
            ("declare.problem", &self.problem, LONGEST_KEY),
        ] {
            if let Some(text) = text {
                one_line(field, text, most)?;
            }
        }
        if self.problem.as_deref() == Some(ALL) {
            return Err(InvalidEvent::at("declare.problem", "expected one problem"));
        }
        Ok(())
    }
}

impl Update {
    /// Since when users are affected.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] if that is after `now`, or more than [`LONGEST_UNSEEN`] before the first event.
    pub fn impact_since(
        &self,
        first_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, InvalidEvent> {
        let wrong = |reason| Err(InvalidEvent::at("update.impact_since", reason));
        match self.impact_since {
            Some(since) if since > now => wrong("expected an instant that is not in the future"),
            Some(since) if first_at.duration_since(since) > LONGEST_UNSEEN => {
                wrong("expected an instant at most 7 days before the first event")
            }
            since => Ok(since),
        }
    }
}

/// The one problem that a request names; none if it names all.
fn one_problem(problem: &str) -> Option<&str> {
    (problem != ALL).then_some(problem)
}

impl Mute {
    fn check(&self) -> Result<(), InvalidEvent> {
        one_line("mute.problem", &self.problem, LONGEST_KEY)?;
        if self.until.is_some() == self.minutes.is_some() {
            return Err(InvalidEvent::at("mute", "expected either until or minutes"));
        }
        let longest = LONGEST_MUTE.as_mins();
        if self.minutes.is_some_and(|minutes| !(1..=longest).contains(&minutes.into())) {
            return Err(InvalidEvent::at("mute.minutes", &format!("expected 1 to {longest}")));
        }
        Ok(())
    }

    /// The problem's identity; none for all problems.
    pub fn problem(&self) -> Option<&str> {
        one_problem(&self.problem)
    }

    /// The mute to store.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] if it is over at `now`, or ends more than [`LONGEST_MUTE`] later.
    pub fn order(&self, now: Timestamp) -> Result<crate::Mute, InvalidEvent> {
        let minutes = SignedDuration::from_mins(self.minutes.unwrap_or_default().into());
        let until = self.until.or_else(|| now.checked_add(minutes).ok()).unwrap_or(now);
        let lasts = until.duration_since(now);
        if lasts <= SignedDuration::ZERO || lasts > LONGEST_MUTE {
            let reason = "expected an instant in the next 24 hours";
            return Err(InvalidEvent::at("mute.until", reason));
        }
        Ok(crate::Mute { by: self.by.clone(), reason: self.reason.clone(), until })
    }
}

impl Unmute {
    /// The problem's identity; none for the mute of all problems. Mutes of single problems stay.
    pub fn problem(&self) -> Option<&str> {
        one_problem(&self.problem)
    }

    /// What replaces the mute: one that is over at `now`.
    pub fn order(&self, now: Timestamp) -> crate::Mute {
        crate::Mute { by: self.by.clone(), reason: String::new(), until: now }
    }
}
