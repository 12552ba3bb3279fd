//! What a person's request about an incident changes.
//!
//! | request | nobody has it | somebody has it | mitigated | over |
//! | --- | --- | --- | --- | --- |
//! | acknowledge | taken | already | already | refused |
//! | classify | severity | severity | severity | severity |
//! | command | commander, who takes it | commander | commander | refused |
//! | call | squad called | squad called | squad called | refused |
//! | update | update | update | update | update |
//! | mitigate | mitigated, and taken | mitigated | already | refused |
//! | resolve | over | over | over | already |
//! | reopen | already | already | taken, not mitigated | nobody has it: it pages |
//! | `false_alarm` | over | over | over | marked |
//! | merge | a part of the other | the same | the same | refused |
//! | `sensitive_data`, `runbook_wrong`, `tell_customers` | noted | noted | noted | noted |
//! | drill: yes | marked | marked | marked | marked |
//! | drill: no | it pages | nobody has it: it pages | the same | marked |
//!
//! What is so already changes nothing and makes no entry, whoever asks: of two people at once, the second hears who was
//! first. An update with the words of the last one is so already for [`REPEATED`] only. Of a part of another incident, only its end, its separation (reopen) and its instructions are spoken of; everything
//! else is said of the whole.

use jiff::{SignedDuration, Timestamp};
use policy::event::InvalidEvent;
use policy::incidents::Who;
use policy::oncall::{Page, Role, on_call, targets};
use policy::{Area, Policy, Responsible, is_same_name};

use super::decide::{cut, untaken};
use super::parts::{changed, has_called};
use super::rows::{call, over, page, shown};
use super::{Channel, Context, Event, Key, Latest, Outcome, Plan, Purpose, Row, Write, parts};
use crate::Severity;
use crate::incident::{Act, Action, Called, Entry, Incident, Mute, SensitiveData, State};
use crate::person::{self, Request};
use crate::signal::MOST_CHARACTERS;

/// How long the same words again are a repetition of an update. Later they are news: that nothing has changed, which is what
/// the reminder of an update asks for.
const REPEATED: SignedDuration = SignedDuration::from_mins(5);

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Actor {
    /// Their name in the policy, if it has one; of an unknown Slack user, the id.
    pub name: String,
    /// How they are known.
    pub how: How,
}

/// How a person is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// They may invoke the function, which is for colleagues; the name is their own word.
    Claim,
    /// Slack vouches for the user, whom the policy has.
    Known,
    /// Slack vouches for the user, whom the policy does not have.
    Unknown,
}

impl How {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Known => "slack",
            Self::Unknown => "unknown slack user",
        }
    }
}

impl Actor {
    /// Who invoked the function, with the name that they gave.
    pub fn claim(by: &str, policy: &Policy) -> Self {
        Self { name: person_of(by, policy), how: How::Claim }
    }

    /// A Slack user, by the id that a verified request has.
    pub fn slack(id: &str, policy: &Policy) -> Self {
        let mut people = policy.incidents.people.iter();
        let known = people.find(|(_, contact)| contact.slack.as_deref() == Some(id));
        match known {
            Some((name, _)) => Self { name: name.clone(), how: How::Known },
            None => Self { name: id.to_owned(), how: How::Unknown },
        }
    }

    fn is_one_of(&self, names: &[String]) -> bool {
        self.how != How::Unknown && names.iter().any(|name| is_same_name(name, &self.name))
    }
}

/// Why a request is refused, though it is well formed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The policy does not let them.
    #[error("{by} may not {verb}: by the policy's incidents.desk, {} may{}", who_name(*.who), names(.may))]
    NotAllowed {
        /// Who asked.
        by: String,
        /// The request.
        verb: &'static str,
        /// Who may, as the policy says.
        who: Who,
        /// Their names, as far as it means some.
        may: Vec<String>,
    },
    /// There is no such incident.
    #[error(
        "there is no incident {0}: see the id in the message of the channel, or cargo xtask incident list"
    )]
    NoIncident(String),
    /// It is over.
    #[error("{incident} is over since {}: if it is not, reopen it", since(.at))]
    Over {
        /// The incident.
        incident: String,
        /// Since when, if that is known.
        at: Option<Timestamp>,
    },
    /// It is a part of another one.
    #[error("{incident} is a part of {into}: say it of {into}, or reopen {incident} to separate it")]
    Part {
        /// The incident.
        incident: String,
        /// The other one.
        into: String,
    },
    /// Its problem has a newer incident.
    #[error("the problem of {incident} has a newer incident, {newer}: say it of {newer}")]
    Newer {
        /// The incident.
        incident: String,
        /// The newer one.
        newer: String,
    },
    /// Others are parts of it.
    #[error("{incident} has parts of its own ({}): merge the other one into {incident}, or separate each part with reopen", .parts.join(", "))]
    HasParts {
        /// The incident.
        incident: String,
        /// Ids of its parts.
        parts: Vec<String>,
    },
    /// It has called nobody yet, so it cannot answer for one that has.
    #[error("{into} is muted and has called nobody yet: acknowledge it first, or merge it into {incident}")]
    Silent {
        /// The incident.
        incident: String,
        /// The one to merge into.
        into: String,
    },
    /// One is an exercise, and the other is none.
    #[error("of {incident} and {into}, one is a drill and the other is not: correct that first with drill")]
    DrillAndReal {
        /// The incident.
        incident: String,
        /// The one to merge into.
        into: String,
    },
    /// The policy does not have the squad.
    #[error("the policy has no squad {squad}; it has {}", .known.join(", "))]
    UnknownSquad {
        /// The squad.
        squad: String,
        /// Those that the policy has.
        known: Vec<String>,
    },
    /// The policy does not have the person, whom nothing would reach.
    #[error("the policy has no person {name} to command; name one as it does: {}", .known.join(", "))]
    UnknownPerson {
        /// The person.
        name: String,
        /// Those whose names are like it; otherwise all.
        known: Vec<String>,
    },
    /// Nobody can stand in for themselves.
    #[error("{0} cannot be both commander and backup: name another person")]
    OwnBackup(String),
    /// The policy has no customers to write to.
    #[error("the policy's incidents.customers has no address: write to the customers yourself, and add them")]
    NoCustomers,
    /// Nobody is written to about an exercise.
    #[error("{0} is a drill, about which no customer is written to: if it is none, say so first with drill")]
    DrillTold(String),
    /// A field needs the present time to be checked.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
}

impl Refusal {
    /// The stable name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "NotAllowed",
            Self::NoIncident(_) => "NoIncident",
            Self::Over { .. } => "IncidentOver",
            Self::Part { .. } => "IncidentMerged",
            Self::Newer { .. } => "NewerIncident",
            Self::HasParts { .. } => "IncidentHasParts",
            Self::Silent { .. } => "IncidentMuted",
            Self::DrillAndReal { .. } => "DrillAndReal",
            Self::UnknownSquad { .. } => "UnknownSquad",
            Self::UnknownPerson { .. } => "UnknownPerson",
            Self::OwnBackup(_) => "OwnBackup",
            Self::NoCustomers => "NoCustomers",
            Self::DrillTold(_) => "DrillTold",
            Self::Invalid(_) => "InvalidEvent",
        }
    }
}

/// Who may, and what somebody does who is not among them.
fn who_name(who: Who) -> &'static str {
    match who {
        Who::Anyone => "anyone",
        Who::People => {
            "the people of incidents.people, with their Slack id, and whoever may invoke the function,"
        }
        Who::OnCall => "those on call in a squad of the incident",
        Who::Commander => "the incident commander and the backup (command makes you the commander)",
    }
}

fn names(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn since(at: &Option<Timestamp>) -> String {
    at.as_ref().map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

/// What the table has about a request.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The request's event ([`Key::act`]), if it was done before.
    pub event: Option<Event>,
    /// The incident.
    pub incident: Incident,
    /// The pointer of its problem.
    pub latest: Option<Latest>,
    /// The mute of its problem or of all problems that lasts longest, over or not.
    pub mute: Option<Mute>,
    /// The incident that it is a part of.
    pub whole: Option<Incident>,
    /// The incident that it has to become a part of.
    pub into: Option<Incident>,
}

/// What a request did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acted {
    /// What is to be written.
    pub plan: Plan,
    /// The incident after it.
    pub incident: Incident,
    /// With [`Outcome::Already`]: who had done it before, and when, if that is known.
    pub before: Option<Act>,
}

impl AsRef<Plan> for Acted {
    fn as_ref(&self) -> &Plan {
        &self.plan
    }
}

/// Whether the policy lets somebody do what they ask, about an incident if it is about one.
///
/// # Errors
///
/// [`Refusal::NotAllowed`].
pub fn may(
    request: &Request,
    incident: Option<&Incident>,
    actor: &Actor,
    context: &Context<'_>,
) -> Result<(), Refusal> {
    let who = request.who(&context.policy.incidents.desk);
    let may = match who {
        Who::Anyone => return Ok(()),
        Who::People => vec![],
        Who::OnCall => incident.map(|incident| those_on_call(incident, context)).unwrap_or_default(),
        Who::Commander => incident.map(commanders).unwrap_or_default(),
    };
    let is_let = if may.is_empty() { actor.how != How::Unknown } else { actor.is_one_of(&may) };
    if is_let {
        return Ok(());
    }
    Err(Refusal::NotAllowed { by: actor.name.clone(), verb: request.verb(), who, may })
}

/// The incident commander and the backup.
fn commanders(incident: &Incident) -> Vec<String> {
    let both = [&incident.commander, &incident.commander_backup];
    let is_there = !incident.commander.is_empty();
    both.into_iter().filter(|name| is_there && !name.is_empty()).cloned().collect()
}

/// Who is on call in the incident's squads.
fn those_on_call(incident: &Incident, context: &Context<'_>) -> Vec<String> {
    let called = incident.called.iter().map(|called| called.squad.as_str());
    let own = [&incident.owner, &incident.backup].into_iter().flat_map(|squads| squads.split(','));
    let mut names = Vec::new();
    for squad in own.map(str::trim).chain(called) {
        let shift = on_call(context.policy, squad, context.now);
        for name in [shift.person, shift.second].into_iter().flatten() {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// A person's name as the policy spells it, if it has the person.
fn person_of(name: &str, policy: &Policy) -> String {
    let known = policy.incidents.people.keys().find(|known| is_same_name(known, name));
    known.cloned().unwrap_or_else(|| name.trim().to_owned())
}

/// The person of the policy who is named to command. Where it has none at all, any name will do.
fn named(name: &str, policy: &Policy) -> Result<String, Refusal> {
    let people = &policy.incidents.people;
    if people.is_empty() || people.keys().any(|known| is_same_name(known, name)) {
        return Ok(person_of(name, policy));
    }
    let (all, word) = (|| people.keys().cloned(), name.trim().to_lowercase());
    let near: Vec<String> = all().filter(|known| known.to_lowercase().contains(&word)).collect();
    let known = if near.is_empty() { all().collect() } else { near };
    Err(Refusal::UnknownPerson { name: name.trim().to_owned(), known })
}

/// Whether the policy has a way to reach somebody of a squad at `now`.
pub fn is_reachable(squad: &str, policy: &Policy, now: Timestamp) -> bool {
    let responsible = Responsible { primary: squad.to_owned(), backup: String::new() };
    let page = Page { responsible: &responsible, minutes: 0, wait_minutes: 1, is_acknowledged: false };
    let mut targets = targets(policy, &page, now).into_iter();
    targets.any(|target| target.role == Role::OnCall && target.contact.is_reachable())
}

/// The squads of the policy, which may be called in.
pub fn squads(policy: &Policy) -> Vec<String> {
    let of_areas = Area::ALL.into_iter().flat_map(|area| {
        let teams = policy.responsible(area);
        [&teams.primary, &teams.backup]
    });
    let mut all: Vec<String> = policy.incidents.squads.keys().chain(of_areas).cloned().collect();
    all.sort();
    all.dedup();
    all
}

/// What is to be told of a change.
enum Told {
    /// It is shown, without a sound.
    Shown,
    /// People are called: nobody has it.
    Paged,
    /// It is over.
    Over,
    /// It is shown, and the squads are called that were called in.
    Squads,
    /// It is shown, and the commander is called.
    Commander,
    /// It is shown, and the customers are written to.
    Customers,
}

/// A change of an incident, before its version.
struct Change {
    outcome: Outcome,
    action: Action,
    text: String,
    told: Told,
    /// The incident, changed.
    incident: Incident,
    /// Other writes.
    also: Vec<Write>,
}

/// What a request does.
enum Effect {
    /// Nothing: it was so before.
    Already(Option<Act>),
    /// A change.
    Changes(Box<Change>),
}

/// Decides what a request about an incident changes. `cause` names the request: the same one has the same, however often
/// it is delivered.
///
/// # Errors
///
/// [`Refusal`], with who may or what to do instead. Nothing is written.
pub fn act(
    request: &Request,
    found: &Found,
    actor: &Actor,
    cause: &str,
    context: &Context<'_>,
) -> Result<Acted, Refusal> {
    let incident = &found.incident;
    let unchanged = |outcome: Outcome, before: Option<Act>| {
        let plan = Plan { outcome, incident: incident.id.clone(), writes: vec![] };
        Acted { plan, incident: incident.clone(), before }
    };
    if found.event.is_some() {
        return Ok(unchanged(Outcome::Repeated, None));
    }
    may(request, Some(incident), actor, context)?;
    let (by, is_known) = (cut(&actor.name), actor.how != How::Unknown);
    let asked = Asked { found, incident, by, is_known, cause, context, now: context.now };
    match asked.effect(request)? {
        Effect::Already(before) => Ok(unchanged(Outcome::Already, before)),
        Effect::Changes(change) => Ok(asked.write(*change)),
    }
}

/// An entry in an incident's timeline that changes nothing else of it, once for each `cause`. The caller first looks for its
/// event, [`Key::act`]: of a repetition, the writes have no effect.
pub fn note(
    incident: &Incident,
    action: Action,
    by: &str,
    text: &str,
    cause: &str,
    context: &Context<'_>,
) -> Plan {
    let found = Found { incident: incident.clone(), ..Found::default() };
    let (by, is_known) = (cut(by), false);
    let asked = Asked { found: &found, incident, by, is_known, cause, context, now: context.now };
    asked.write(asked.said(action, text, incident.clone())).plan
}

/// A request and what is known about it.
struct Asked<'a> {
    found: &'a Found,
    incident: &'a Incident,
    by: String,
    /// Whether the policy or the account vouches for them.
    is_known: bool,
    cause: &'a str,
    context: &'a Context<'a>,
    now: Timestamp,
}

impl Asked<'_> {
    fn effect(&self, request: &Request) -> Result<Effect, Refusal> {
        self.speaks_of_a_part(request)?;
        self.speaks_of_what_is_over(request)?;
        let change = match request {
            Request::Acknowledge(_) => self.acknowledge(),
            Request::Classify(asked) => self.classify(asked.severity, asked.reason.as_deref()),
            Request::Command(asked) => return self.command(asked),
            Request::Call(asked) => return self.call(asked),
            Request::Update(asked) => {
                self.update(&asked.text, asked.impact_since(self.incident.first_at, self.now)?)
            }
            Request::Mitigate(asked) => self.mitigate(&asked.text),
            Request::Resolve(asked) => self.resolve(&asked.reason),
            Request::Reopen(asked) => return self.reopen(&asked.reason),
            Request::FalseAlarm(asked) => self.false_alarm(&asked.reason),
            Request::Merge(asked) => return self.merge(asked),
            Request::SensitiveData(asked) => self.sensitive_data(asked),
            Request::Drill(asked) => self.drill(asked.drill, &asked.reason),
            Request::RunbookWrong(asked) => self.runbook_wrong(&asked.reason),
            Request::TellCustomers(asked) => return self.tell_customers(&asked.text),
            // About no incident: `decide` and `mute` have them.
            Request::Declare(_) | Request::Mute(_) | Request::Unmute(_) => None,
        };
        Ok(change.map_or_else(
            || Effect::Already(self.before(request)),
            |change| Effect::Changes(Box::new(change)),
        ))
    }

    /// Of a part of another incident, most is said of that one.
    fn speaks_of_a_part(&self, request: &Request) -> Result<(), Refusal> {
        let is_of_a_part = match request {
            Request::Resolve(_) | Request::Reopen(_) | Request::FalseAlarm(_) | Request::RunbookWrong(_) => {
                true
            }
            Request::Merge(asked) => asked.into == self.incident.merged_into,
            _ => false,
        };
        if is_of_a_part || !self.incident.is_merged() {
            return Ok(());
        }
        Err(Refusal::Part { incident: self.incident.id.clone(), into: self.incident.merged_into.clone() })
    }

    /// Nobody takes, commands or mitigates what is over.
    fn speaks_of_what_is_over(&self, request: &Request) -> Result<(), Refusal> {
        let needs_an_open_one = matches!(
            request,
            Request::Acknowledge(_)
                | Request::Command(_)
                | Request::Call(_)
                | Request::Mitigate(_)
                | Request::Merge(_)
        );
        if !needs_an_open_one || self.incident.is_open() {
            return Ok(());
        }
        Err(Refusal::Over { incident: self.incident.id.clone(), at: self.incident.resolved_at })
    }

    /// Who had done before what is asked.
    fn before(&self, request: &Request) -> Option<Act> {
        let incident = self.incident;
        let act = |action: Action| incident.acts.get(&action).cloned();
        match request {
            Request::Acknowledge(_) => {
                let at = incident.acknowledged_at?;
                Some(Act { by: incident.acknowledged_by.clone(), at })
            }
            Request::Classify(_) => {
                let both = [act(Action::SeverityConfirmed), act(Action::SeverityChanged)];
                both.into_iter().flatten().max_by_key(|act| act.at)
            }
            Request::Command(_) => act(Action::CommanderAssigned),
            Request::Call(asked) => {
                let called =
                    incident.called.iter().find(|called| is_same_name(&called.squad, &asked.squad))?;
                Some(Act { by: called.by.clone(), at: called.at })
            }
            Request::Update(_) => act(Action::Update),
            Request::Mitigate(_) => act(Action::Mitigated),
            Request::Resolve(_) => act(Action::Resolved),
            Request::Reopen(_) => act(Action::Reopened),
            Request::FalseAlarm(_) => act(Action::FalseAlarm),
            Request::Merge(_) => act(Action::Merged),
            Request::SensitiveData(_) => {
                incident.sensitive_data.as_ref().map(|data| Act { by: data.by.clone(), at: data.at })
            }
            Request::Drill(_) => act(Action::Drill),
            Request::RunbookWrong(_) => act(Action::RunbookWrong),
            Request::TellCustomers(_) => act(Action::CustomersTold),
            Request::Declare(_) | Request::Mute(_) | Request::Unmute(_) => None,
        }
    }

    /// A change that is shown without a sound.
    fn shown(&self, action: Action, text: &str, incident: Incident) -> Change {
        let text = cut(text);
        Change { outcome: Outcome::Updated, action, text, told: Told::Shown, incident, also: vec![] }
    }

    /// Another entry of the same request.
    fn entry(&self, id: &str, action: Action, text: &str) -> Write {
        let entry = Entry { at: self.now, by: self.by.clone(), action, text: cut(text) };
        entry.write(id, self.cause)
    }

    fn own(&self) -> Act {
        Act { by: self.by.clone(), at: self.now }
    }

    /// The incident with this person as the one who has it.
    fn taken(&self, incident: &Incident) -> Incident {
        let first = incident.first_acknowledged_at.or(incident.acknowledged_at).or(Some(self.now));
        Incident {
            state: State::Acknowledged,
            acknowledged_by: self.by.clone(),
            acknowledged_at: Some(self.now),
            first_acknowledged_at: first,
            untaken_since: None,
            told_again_at: None,
            ..incident.clone()
        }
    }

    fn acknowledge(&self) -> Option<Change> {
        let is_new = self.incident.state == State::Triggered;
        is_new.then(|| self.shown(Action::Acknowledged, "", self.taken(self.incident)))
    }

    fn classify(&self, severity: Severity, reason: Option<&str>) -> Option<Change> {
        let before = self.incident.severity;
        let confirmed =
            Incident { severity, severity_confirmed_by: self.by.clone(), ..self.incident.clone() };
        if before != severity {
            let text = because(&format!("{} → {}", before.name(), severity.name()), reason);
            let changed = Incident { severity_changed_at: Some(self.now), ..confirmed };
            return Some(self.shown(Action::SeverityChanged, &text, changed));
        }
        let is_new = self.incident.severity_confirmed_by.is_empty();
        let text = because(severity.name(), reason);
        is_new.then(|| self.shown(Action::SeverityConfirmed, &text, confirmed))
    }

    fn command(&self, asked: &person::Command) -> Result<Effect, Refusal> {
        let policy = self.context.policy;
        let before = self.incident;
        let commander = match (&asked.commander, &asked.backup) {
            // People may command under the name by which they ask.
            (Some(name), _) if is_same_name(name, &self.by) => self.by.clone(),
            (Some(name), _) => named(name, policy)?,
            (None, Some(_)) if !before.commander.is_empty() => before.commander.clone(),
            (None, _) => self.by.clone(),
        };
        let backup = match &asked.backup {
            Some(name) => {
                let name = person_of(name, policy);
                if is_same_name(&name, &commander) {
                    return Err(Refusal::OwnBackup(name));
                }
                name
            }
            // The backup who takes over has none.
            None if is_same_name(&before.commander_backup, &commander) => String::new(),
            None => before.commander_backup.clone(),
        };
        if before.commander == commander && before.commander_backup == backup {
            return Ok(Effect::Already(before.acts.get(&Action::CommanderAssigned).cloned()));
        }
        let who =
            if backup.is_empty() { commander.clone() } else { format!("{commander} (backup: {backup})") };
        let text = because(&who, asked.reason.as_deref());
        // Who commands has taken it; who is only named may be asleep.
        let takes = before.state == State::Triggered && is_same_name(&commander, &self.by);
        let base = if takes { self.taken(before) } else { before.clone() };
        // Who is only named may not look at the channel.
        let calls = !is_same_name(&commander, &before.commander) && !is_same_name(&commander, &self.by);
        let call =
            format!("{commander}: você comanda {id} agora (you command {id} now)", id = self.incident.id);
        let call = because(&call, asked.reason.as_deref());
        let changed = Incident { commander, commander_backup: backup, ..base };
        let mut change = self.shown(Action::CommanderAssigned, &text, changed);
        if takes {
            change.also.push(self.entry(&before.id, Action::Acknowledged, ""));
        }
        if calls {
            change.also.push(self.entry(&before.id, Action::Reminded, &call));
            change.told = Told::Commander;
        }
        Ok(Effect::Changes(Box::new(change)))
    }

    fn call(&self, asked: &person::Call) -> Result<Effect, Refusal> {
        let known = squads(self.context.policy);
        let Some(squad) = known.iter().find(|known| is_same_name(known, &asked.squad)).cloned() else {
            return Err(Refusal::UnknownSquad { squad: asked.squad.clone(), known });
        };
        let called = self.incident.called.iter().find(|called| called.squad == squad);
        if let Some(called) = called.filter(|called| !self.may_call_again(called)) {
            return Ok(Effect::Already(Some(Act { by: called.by.clone(), at: called.at })));
        }
        let mut text = because(&squad, asked.reason.as_deref());
        if !is_reachable(&squad, self.context.policy, self.now) {
            text.push_str(" (a política não alcança ninguém deste squad; the policy reaches nobody of it)");
        }
        let mut changed = self.incident.clone();
        changed.called.retain(|called| called.squad != squad);
        changed.called.push(Called { squad, by: self.by.clone(), at: self.now });
        let change = self.shown(Action::SquadCalled, &text, changed);
        Ok(Effect::Changes(Box::new(Change { told: Told::Squads, ..change })))
    }

    /// Whether a squad may be called once more: it had the time that a page has, or the incident has paged anew.
    fn may_call_again(&self, called: &Called) -> bool {
        let minutes = self.context.policy.incidents.acknowledge_minutes;
        let time = SignedDuration::from_mins(self.incident.severity.acknowledge_minutes(minutes).into());
        self.now.duration_since(called.at) >= time || self.incident.paged_at.is_some_and(|at| at > called.at)
    }

    fn update(&self, text: &str, impact_since: Option<Timestamp>) -> Option<Change> {
        let before = self.incident;
        let is_soon = before.updated_at.is_some_and(|at| self.now.duration_since(at) <= REPEATED);
        let is_new = before.last_update != text.trim() || !is_soon;
        if !is_new && impact_since.is_none_or(|since| before.impact_since == Some(since)) {
            return None;
        }
        let changed = Incident { impact_since: impact_since.or(before.impact_since), ..self.updated(text) };
        Some(self.said(Action::Update, text, changed))
    }

    /// The incident with this text as its last update.
    fn updated(&self, text: &str) -> Incident {
        Incident {
            updates: self.incident.updates.saturating_add(1),
            known_updates: self.incident.known_updates.saturating_add(self.is_known.into()),
            updated_at: Some(self.now),
            last_update: text.trim().to_owned(),
            ..self.incident.clone()
        }
    }

    /// [`Asked::shown`] with a text of several lines.
    fn said(&self, action: Action, text: &str, incident: Incident) -> Change {
        let text = text.trim().chars().take(MOST_CHARACTERS).collect();
        Change { text, ..self.shown(action, "", incident) }
    }

    fn mitigate(&self, text: &str) -> Option<Change> {
        if self.incident.state == State::Mitigated {
            return None;
        }
        let updated = self.updated(text);
        let base = if updated.state == State::Triggered { self.taken(&updated) } else { updated };
        let changed = Incident { state: State::Mitigated, mitigated_at: Some(self.now), ..base };
        Some(self.said(Action::Mitigated, text, changed))
    }

    fn resolve(&self, reason: &str) -> Option<Change> {
        self.incident.is_open().then(|| self.over(Action::Resolved, reason))
    }

    /// A change that ends it. A person's word does not overtake the source's: what happened before it and arrives later
    /// pages again, since they may not have seen it.
    fn over(&self, action: Action, reason: &str) -> Change {
        let mut changed = Incident {
            state: State::Resolved,
            resolved_at: Some(self.now),
            last_at: self.incident.last_at.max(self.now),
            // A page that has not begun never does.
            paged_at: self.incident.paged_at.filter(|paged_at| *paged_at <= self.now),
            ..self.incident.clone()
        };
        changed.acts.insert(Action::Resolved, self.own());
        let also = self.point(false).into_iter().chain(self.whole(&changed)).collect();
        let change = self.shown(action, reason, changed);
        Change { outcome: Outcome::Resolved, told: Told::Over, also, ..change }
    }

    /// The pointer of its problem, if it names this incident.
    fn point(&self, is_open: bool) -> Option<Write> {
        let seen = self.found.latest.as_ref();
        let is_newest = seen.is_none_or(|latest| latest.incident == self.incident.id);
        let latest = Latest { incident: self.incident.id.clone(), version: 0, over_at: None };
        is_newest.then(|| latest.write(&self.incident.problem, seen, is_open, self.now))
    }

    /// The incident that this one is or was a part of.
    fn whole(&self, part: &Incident) -> Vec<Write> {
        parts::writes(self.found.whole.as_ref(), part, self.context)
    }

    fn reopen(&self, reason: &str) -> Result<Effect, Refusal> {
        let before = self.incident;
        let newer = self.found.latest.as_ref().filter(|latest| latest.incident != before.id);
        if let (false, Some(newer)) = (before.is_open(), newer) {
            let (incident, newer) = (before.id.clone(), newer.incident.clone());
            return Err(Refusal::Newer { incident, newer });
        }
        let is_taken = before.acknowledged_at.is_some();
        let change = match before.state {
            State::Triggered | State::Acknowledged if !before.is_merged() => {
                return Ok(Effect::Already(before.acts.get(&Action::Reopened).cloned()));
            }
            State::Mitigated if is_taken && !before.is_merged() => {
                let changed = Incident {
                    state: State::Acknowledged,
                    mitigated_at: None,
                    awaited_since: before.awaited_since.map(|_| self.now),
                    ..before.clone()
                };
                self.shown(Action::Reopened, reason, changed)
            }
            State::Triggered | State::Acknowledged | State::Mitigated | State::Resolved => {
                let changed = Incident {
                    resolved_at: None,
                    is_false_alarm: false,
                    merged_into: String::new(),
                    awaited_since: None,
                    ..untaken(before.clone())
                };
                let point = if before.is_open() { None } else { self.point(true) };
                let also = point.into_iter().chain(self.whole(&changed)).collect();
                Change { told: Told::Paged, also, ..self.shown(Action::Reopened, reason, changed) }
            }
        };
        let mut change = Change { outcome: Outcome::Reopened, ..change };
        // What customers read before may have to be said again.
        change.incident.customers_text = String::new();
        Ok(Effect::Changes(Box::new(change)))
    }

    fn false_alarm(&self, reason: &str) -> Option<Change> {
        if self.incident.is_false_alarm && !self.incident.is_open() {
            return None;
        }
        let mut change = if self.incident.is_open() {
            self.over(Action::FalseAlarm, reason)
        } else {
            self.shown(Action::FalseAlarm, reason, self.incident.clone())
        };
        change.incident.is_false_alarm = true;
        Some(change)
    }

    fn merge(&self, asked: &person::Merge) -> Result<Effect, Refusal> {
        let part = self.incident;
        if part.is_merged() {
            return Ok(Effect::Already(part.acts.get(&Action::Merged).cloned()));
        }
        let Some(whole) = &self.found.into else { return Err(Refusal::NoIncident(asked.into.clone())) };
        let (incident, into) = (part.id.clone(), whole.id.clone());
        if !whole.is_open() {
            return Err(Refusal::Over { incident: into, at: whole.resolved_at });
        }
        if whole.is_merged() {
            return Err(Refusal::Part { incident: into, into: whole.merged_into.clone() });
        }
        if !part.parts.is_empty() {
            let parts = part.parts.iter().map(|part| part.incident.clone()).collect();
            return Err(Refusal::HasParts { incident, parts });
        }
        if has_called(part, self.now) && !has_called(whole, self.now) {
            return Err(Refusal::Silent { incident, into });
        }
        if whole.is_drill != part.is_drill {
            return Err(Refusal::DrillAndReal { incident, into });
        }
        let base = if part.state == State::Triggered { self.taken(part) } else { part.clone() };
        let merged = Incident { merged_into: into.clone(), ..base };
        let mut also = Vec::new();
        let reason = asked.reason.as_deref();
        if let Some(mut whole) = changed(whole, &merged) {
            also.push(self.entry(
                &into,
                Action::Merged,
                &because(&format!("← {incident} {}", part.title), reason),
            ));
            if part.severity < whole.severity {
                // It is at least as bad as its parts.
                let text = format!("{} → {}: {incident}", whole.severity.name(), part.severity.name());
                also.push(self.entry(&into, Action::SeverityChanged, &text));
                whole.severity = part.severity;
                (whole.severity_confirmed_by, whole.severity_changed_at) = (self.by.clone(), Some(self.now));
                whole.acts.insert(Action::SeverityChanged, self.own());
            }
            whole.acts.insert(Action::Merged, self.own());
            also.push(whole.write());
            also.extend(shown(&whole, self.context));
        }
        let change = self.shown(Action::Merged, &because(&format!("→ {into}"), reason), merged);
        Ok(Effect::Changes(Box::new(Change { also, ..change })))
    }

    fn sensitive_data(&self, asked: &person::SensitiveData) -> Option<Change> {
        let before = self.incident.sensitive_data.as_ref();
        if before.is_some_and(|before| before.is_compromised == asked.compromised) {
            return None;
        }
        let known_since = before.and_then(|before| before.known_since);
        let data = SensitiveData {
            is_compromised: asked.compromised,
            by: self.by.clone(),
            reason: asked.reason.clone(),
            at: self.now,
            known_since: known_since.or(asked.compromised.then_some(self.now)),
        };
        let changed = Incident { sensitive_data: Some(data), ..self.incident.clone() };
        let text = because(yes_or_no(asked.compromised), Some(&asked.reason));
        Some(self.shown(Action::SensitiveData, &text, changed))
    }

    /// What turns out to be no exercise was taken as one: somebody has to take it as what it is.
    fn drill(&self, is_drill: bool, reason: &str) -> Option<Change> {
        if self.incident.is_drill == is_drill {
            return None;
        }
        let changed = Incident { is_drill, ..self.incident.clone() };
        let text = because(yes_or_no(is_drill), Some(reason));
        if is_drill || !self.incident.is_open() {
            return Some(self.shown(Action::Drill, &text, changed));
        }
        let change = self.shown(Action::Drill, &text, untaken(changed));
        Some(Change { outcome: Outcome::Reopened, told: Told::Paged, ..change })
    }

    fn runbook_wrong(&self, reason: &str) -> Option<Change> {
        let before = &self.incident.runbook_wrong;
        if before.lines().any(|line| is_same_name(line, reason)) {
            return None;
        }
        let all = if before.is_empty() { reason.to_owned() } else { format!("{before}\n{reason}") };
        let changed = Incident { runbook_wrong: cut(&all), ..self.incident.clone() };
        Some(self.shown(Action::RunbookWrong, reason, changed))
    }

    fn tell_customers(&self, text: &str) -> Result<Effect, Refusal> {
        if self.context.policy.incidents.customers.addresses.is_empty() {
            return Err(Refusal::NoCustomers);
        }
        if self.incident.is_drill {
            return Err(Refusal::DrillTold(self.incident.id.clone()));
        }
        if self.incident.customers_text == text.trim() {
            return Ok(Effect::Already(self.incident.acts.get(&Action::CustomersTold).cloned()));
        }
        let changed = Incident {
            customers_text: text.trim().to_owned(),
            customers_updates: self.incident.known_updates,
            ..self.incident.clone()
        };
        let change = self.said(Action::CustomersTold, text, changed);
        Ok(Effect::Changes(Box::new(Change { told: Told::Customers, ..change })))
    }

    /// The writes of a change: event, incident, timeline and rows, and what belongs to it.
    fn write(&self, change: Change) -> Acted {
        let Change { outcome, action, text, told, mut incident, also } = change;
        let (id, now, context) = (self.incident.id.clone(), self.now, self.context);
        incident.version = self.incident.version + 1;
        incident.acts.insert(action, self.own());
        if self.is_known {
            incident.vouched_at = incident.vouched_at.or(Some(self.now));
        }
        let event = Event {
            event: event(self.cause),
            incident: id.clone(),
            source: "person".to_owned(),
            outcome: outcome.name().to_owned(),
            title: self.incident.title.clone(),
            changed_at: None,
            stored_at: now,
        };
        let entry = Entry { at: now, by: self.by.clone(), action, text };
        let mut writes = vec![event.write(), entry.write(&id, self.cause)];
        let mute = self.found.mute.as_ref().filter(|mute| mute.until > now);
        let rows = match told {
            Told::Shown => shown(&incident, context),
            Told::Over => over(&incident, mute.is_some(), context),
            Told::Paged => {
                incident.muted = mute.cloned();
                if let Some(mute) = mute {
                    let text = format!("{}: {} ({})", mute.by, mute.reason, mute.until);
                    writes.push(self.entry(&id, Action::Suppressed, &text));
                }
                page(&mut incident, mute, context)
            }
            Told::Squads => {
                let called = call(&incident, Purpose::Called, context.channels, now);
                shown(&incident, context).into_iter().chain(called).collect()
            }
            Told::Commander => {
                let called = call(&incident, Purpose::Commander, context.channels, now);
                shown(&incident, context).into_iter().chain(called).collect()
            }
            Told::Customers => {
                let mail = Row::want(&id, Channel::Ses, Purpose::Customers, incident.version, now, now);
                shown(&incident, context).into_iter().chain([mail]).collect()
            }
        };
        writes.push(incident.write());
        let is_compromised = incident.sensitive_data.as_ref().is_some_and(|data| data.is_compromised);
        if action == Action::SensitiveData && is_compromised {
            // The clock of the LGPD has to run, also of what is over, which no sweep looks at.
            writes.push(incident.watch());
        }
        writes.extend(rows);
        writes.extend(also);
        Acted { plan: Plan { outcome, incident: id, writes }, incident, before: None }
    }
}

/// The dedup key of a request.
pub(super) fn event(cause: &str) -> String {
    format!("desk|{cause}")
}

impl Key {
    /// The event of a request or of a note, by its cause.
    pub fn act(cause: &str) -> Self {
        Self::event(&event(cause))
    }
}

/// A fact and its reason.
fn because(fact: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| fact.to_owned(), |reason| format!("{fact}: {}", reason.trim()))
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "sim (yes)" } else { "não (no)" }
}
