//! What an event changes: the writes of one transaction.
//!
//! Events arrive late, twice and in any order, so the source's own clock decides what is newer:
//!
//! | event | incident | result |
//! | --- | --- | --- |
//! | trigger | none, or over for longer than `flap_minutes` | a new incident |
//! | trigger | over for at most `flap_minutes` | the same incident again, with a count; it pages |
//! | the same, not for the first time, and it paged less than `flap_minutes` ago | over | the same, without a sound |
//! | trigger, older than the source's own word that it is over | over | noted |
//! | the same | none | a new incident, which is over: it is told, and nobody has to act |
//! | trigger | open | counted; texts of the newest event; severity may rise |
//! | trigger, worse than what somebody has taken, or the first that is no drill | open | the same, and it pages anew |
//! | trigger that implies that the problem was over | open | as if the source had said so |
//! | over | open | resolved |
//! | over, older than the newest trigger | open | noted; it stays open |
//! | over | none, or over | noted; nobody is paged |
//! | note | any | noted |

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use policy::oncall::on_call;
use policy::time::SAO_PAULO;
use policy::{Area, Policy};

use super::parts::{self, is_carried};
use super::{Channel, Event, Heartbeat, Key, Latest, Write, rows};
use crate::incident::{Act, Action, Entry, Incident, Mute, State};
use crate::{Change, Severity, Signal, Source, is_own_drill, signal};

/// A source that never says that a problem is over, such as a log: after this silence, an event is a new problem.
/// Otherwise one acknowledgement would silence it for ever.
const QUIET: SignedDuration = SignedDuration::from_hours(24);

/// Most bytes of an incident's labels: DynamoDB refuses an item above 400 KB.
const LABEL_BYTES: usize = 32 * 1024;

/// Most labels of an incident.
const MOST_LABELS: usize = 50;

/// Most characters of any other text that is stored.
const LONGEST: usize = 1_000;

/// The alphabet of ids: without letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The stack's settings and the time.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// Project of the stack.
    pub project: &'a str,
    /// Environment of the stack.
    pub environment: &'a str,
    /// The channels that the stack has, each of which replaces the one before it.
    pub channels: &'a [Channel],
    /// The time of the decision.
    pub now: Timestamp,
    /// How often this event was decided before, each time against items that then had changed. It makes the id of a new
    /// incident another one: the item that the first id names may exist.
    pub attempt: u32,
}

/// What the table has about an event and its problem.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The event, if it was stored before.
    pub event: Option<Event>,
    /// The problem's pointer.
    pub latest: Option<Latest>,
    /// The incident that the pointer names; none if it is missing or cannot be read.
    pub incident: Option<Incident>,
    /// The mute of the problem or of all problems that lasts longest, over or not.
    pub mute: Option<Mute>,
    /// The incident that the incident is a part of.
    pub whole: Option<Incident>,
}

impl Stored {
    /// The items to read for a signal: event, pointer, the problem's mute, everybody's mute. The incident follows from
    /// the pointer.
    pub fn keys(signal: &Signal) -> [Key; 4] {
        [
            Key::event(&signal.event),
            Key::latest(&signal.problem),
            Key::mute(Some(&signal.problem)),
            Key::mute(None),
        ]
    }
}

/// What an event did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was stored before; nothing is written.
    Repeated,
    /// It opened an incident.
    Opened,
    /// Its incident is open again.
    Reopened,
    /// It changed an open incident.
    Updated,
    /// It resolved its incident.
    Resolved,
    /// It is kept, and changed no incident.
    Recorded,
    /// A heartbeat was heard.
    Heard,
    /// It was so before: nothing is written.
    Already,
}

impl Outcome {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
            Self::Recorded => "recorded",
            Self::Heard => "heard",
            Self::Already => "already",
        }
    }
}

impl AsRef<Self> for Plan {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What to write, all of it or nothing: at most 20 items, no item twice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// What the event did.
    pub outcome: Outcome,
    /// Id of its incident; empty if none.
    pub incident: String,
    /// The writes of one transaction; empty if nothing is to be done.
    pub writes: Vec<Write>,
}

/// The name of the heartbeat that a signal is: one of the policy's, as the alert's or the alarm's name.
pub fn heartbeat_name<'a>(signal: &Signal, policy: &'a Policy) -> Option<&'a str> {
    // What a person declares is a problem, whatever they call it.
    let is_alert = !matches!(signal.source, Source::Person | Source::Page);
    if signal.change != Change::Triggered || !signal.understood || !is_alert {
        return None;
    }
    let name = signal.labels.get("alertname").unwrap_or(&signal.title);
    policy.incidents.heartbeats.keys().find(|known| *known == name).map(String::as_str)
}

/// Decides what a signal changes.
pub fn decide(signal: &Signal, stored: &Stored, context: &Context<'_>) -> Plan {
    if let Some(name) = heartbeat_name(signal, context.policy) {
        // Always the same alert: it is no repetition.
        let heard = Heartbeat { name: name.to_owned(), heard_at: context.now };
        return Plan { outcome: Outcome::Heard, incident: String::new(), writes: vec![heard.write()] };
    }
    if let Some(event) = &stored.event {
        return Plan { outcome: Outcome::Repeated, incident: event.incident.clone(), writes: vec![] };
    }
    let at = signal.changed_at.unwrap_or(context.now).min(context.now);
    let mute = stored.mute.clone().filter(|mute| mute.until > context.now);
    let mut draft = Draft { signal, stored, context, at, mute, writes: Vec::new() };
    let (outcome, incident) = match signal.change {
        Change::Triggered => draft.trigger(),
        Change::Resolved => draft.resolve(),
        Change::Note => draft.note(),
    };
    let event = Event {
        event: signal.event.clone(),
        incident: incident.clone(),
        source: signal.source.name().to_owned(),
        outcome: outcome.name().to_owned(),
        title: signal.title.clone(),
        changed_at: signal.changed_at,
        stored_at: context.now,
    };
    // First, so that the reason of a cancelled transaction shows a repetition first.
    let writes = std::iter::once(event.write()).chain(draft.writes).collect();
    Plan { outcome, incident, writes }
}

/// A plan in the making.
struct Draft<'a> {
    signal: &'a Signal,
    stored: &'a Stored,
    context: &'a Context<'a>,
    /// When it happened, by the source's clock, but not in the future: a wrong clock must not outdo later events.
    at: Timestamp,
    /// The mute in force.
    mute: Option<Mute>,
    writes: Vec<Write>,
}

impl Draft<'_> {
    fn trigger(&mut self) -> (Outcome, String) {
        let over_at = self.stored.latest.as_ref().and_then(|latest| latest.over_at);
        let is_overtaken = over_at.is_some_and(|over_at| self.at < over_at);
        let Some(incident) = self.stored.incident.clone() else { return self.open(over_at, is_overtaken) };
        let flap = rows::flap(self.context);
        if !incident.is_open() {
            let gap = self.at.duration_since(incident.resolved_at.unwrap_or(incident.last_at));
            return match (is_overtaken, gap <= flap) {
                (true, _) => self.remark(&incident),
                (false, true) => self.reopen(incident),
                (false, false) => self.open(None, false),
            };
        }
        let gap = self.at.duration_since(incident.triggered_at);
        let was_over = self.was_over(&incident, gap);
        if was_over && gap > flap { self.succeed(incident) } else { self.fold(incident, was_over) }
    }

    /// Whether the problem must have been over since the incident's newest trigger, though the source did not say so:
    /// not every alarm has an action for OK, and not every webhook sends what is resolved.
    fn was_over(&self, incident: &Incident, gap: SignedDuration) -> bool {
        let signal = self.signal;
        match signal.source {
            Source::Alarm => {
                let previous = signal.labels.get("previous_state").map(String::as_str);
                gap > SignedDuration::ZERO && (previous == Some("OK") || gap >= QUIET)
            }
            // Another start is another alert.
            Source::Alertmanager | Source::Grafana if signal.changed_at.is_some() => {
                self.at > incident.triggered_at
            }
            Source::Alertmanager | Source::Grafana | Source::Logs | Source::Message | Source::Unknown => {
                gap >= QUIET
            }
            Source::Health | Source::Page | Source::Person => false,
        }
    }

    /// A new incident; over already if the source's word overtook the event.
    fn open(&mut self, over_at: Option<Timestamp>, is_overtaken: bool) -> (Outcome, String) {
        let mut incident = self.opened();
        if is_overtaken {
            incident.state = State::Resolved;
            incident.resolved_at = over_at;
        }
        self.line(&incident.id, Action::Triggered, &self.signal.title);
        self.point(&incident, over_at);
        self.page(&mut incident);
        if is_overtaken {
            self.line(&incident.id, Action::Resolved, "it was over before this event arrived");
        }
        self.writes.push(incident.write());
        (Outcome::Opened, incident.id)
    }

    /// An open incident that must have been over, and the new one.
    fn succeed(&mut self, old: Incident) -> (Outcome, String) {
        let mut old = Incident { version: old.version + 1, resolved_at: Some(old.last_at), ..old };
        old.state = State::Resolved;
        self.line(&old.id, Action::Resolved, "it came back, so it had been over");
        self.show(&old);
        self.writes.push(old.write());
        self.whole(&old);
        self.open(None, false)
    }

    /// An incident that is open again. An acknowledgement was of what is over, unless the problem comes and goes.
    fn reopen(&mut self, old: Incident) -> (Outcome, String) {
        let quiet_until = self.quiet_until(&old, 1).filter(|_| self.signal.muted_by_source.is_none());
        let (severity, was_drill) = (old.severity, old.is_drill);
        let mut incident = self.triggered(old);
        incident.flaps += 1;
        let is_worse = incident.severity < severity || (was_drill && !incident.is_drill);
        let was_merged = incident.is_merged();
        (incident.resolved_at, incident.is_false_alarm) = (None, false);
        incident.customers_text = String::new();
        if self.is_carried(&mut incident) {
            self.line(&incident.id, Action::Event, &self.signal.reason);
            incident.state = State::Acknowledged;
            self.show(&incident);
        } else if let Some(until) = quiet_until.filter(|_| !is_worse && !was_merged) {
            self.line(&incident.id, Action::Event, &self.signal.reason);
            let is_taken = incident.acknowledged_at.is_some();
            incident.state = if is_taken { State::Acknowledged } else { State::Triggered };
            incident.told_again_at = (!is_taken).then_some(until);
            self.show(&incident);
        } else {
            incident = untaken(incident);
            // Not by its source's mute, if there is one.
            (incident.paged_at, incident.told_again_at) = (None, None);
            self.line(&incident.id, Action::Reopened, &self.signal.reason);
            self.page(&mut incident);
        }
        self.point(&incident, None);
        self.writes.push(incident.write());
        self.whole(&incident);
        (Outcome::Reopened, incident.id)
    }

    fn quiet_until(&self, incident: &Incident, least: u32) -> Option<Timestamp> {
        rows::quiet_until(incident, least, self.mute.is_some(), self.context)
    }

    /// Another event of an open incident. It pages anew if it is about something that nobody has taken: it is worse than
    /// what was, it is back, or it is no exercise.
    fn fold(&mut self, old: Incident, is_back: bool) -> (Outcome, String) {
        let mut incident = self.triggered(old.clone());
        incident.flaps += u32::from(is_back);
        let is_muted = self.signal.muted_by_source.is_some();
        let is_taken = old.state != State::Triggered;
        let is_worse = is_taken && incident.severity < old.severity;
        let is_real = old.is_drill && !incident.is_drill;
        let is_quiet = self.quiet_until(&old, 1).is_some();
        let is_carried = self.is_carried(&mut incident);
        let is_alone = old.is_merged() && !is_carried;
        let calls = is_alone || (!is_carried && (is_worse || is_real || (is_back && !is_quiet)));
        let action = if calls { Action::Reopened } else { Action::Event };
        let text = if is_real {
            format!("it was a drill, and is none\n{}", self.signal.reason).trim_end().to_owned()
        } else if is_alone {
            let text = format!("no part of {} any more\n{}", old.merged_into, self.signal.reason);
            text.trim_end().to_owned()
        } else if is_worse && !is_carried {
            let (before, after, by) = (old.severity.name(), incident.severity.name(), &old.acknowledged_by);
            let text = format!("{before} → {after}; {by} had taken {before}\n{}", self.signal.reason);
            text.trim_end().to_owned()
        } else {
            self.signal.reason.clone()
        };
        self.line(&incident.id, action, &text);
        if calls {
            incident = untaken(incident);
        }
        if calls && is_muted {
            // The event that is no longer suppressed pages.
            (incident.paged_at, incident.told_again_at) = (None, None);
        }
        let is_due = incident.paged_at.is_none() && incident.state == State::Triggered;
        if calls || is_due || is_muted {
            self.page(&mut incident);
        } else {
            self.show(&incident);
        }
        self.writes.push(incident.write());
        self.whole(&incident);
        (Outcome::Updated, incident.id)
    }

    fn resolve(&mut self) -> (Outcome, String) {
        let is_open = |incident: &&Incident| incident.is_open();
        let Some(incident) = self.stored.incident.as_ref().filter(is_open) else {
            let before = self.stored.latest.clone().unwrap_or_default();
            if before.over_at.is_none_or(|over_at| over_at < self.at) {
                let latest = Latest { over_at: Some(self.at), ..before };
                let seen = self.stored.latest.as_ref();
                self.writes.push(latest.write(&self.signal.problem, seen, false, self.context.now));
            }
            return match &self.stored.incident {
                Some(incident) => self.remark(incident),
                None => (Outcome::Recorded, String::new()),
            };
        };
        if self.at < incident.triggered_at {
            return self.remark(incident);
        }
        let mut incident = Incident { version: incident.version + 1, ..incident.clone() };
        incident.state = State::Resolved;
        incident.resolved_at = Some(self.at);
        incident.last_at = incident.last_at.max(self.at);
        // A page that has not begun never does.
        incident.paged_at = incident.paged_at.filter(|paged_at| *paged_at <= self.context.now);
        self.line(&incident.id, Action::Resolved, &self.signal.reason);
        incident.acts.insert(Action::Resolved, Act { by: self.by(), at: self.at });
        self.point(&incident, Some(self.at));
        self.writes.extend(rows::over(&incident, self.mute.is_some(), self.context));
        self.writes.push(incident.write());
        self.whole(&incident);
        (Outcome::Resolved, incident.id)
    }

    fn note(&mut self) -> (Outcome, String) {
        match &self.stored.incident {
            Some(incident) => self.remark(incident),
            None => (Outcome::Recorded, String::new()),
        }
    }

    /// An event that stands in the timeline and changes nothing.
    fn remark(&mut self, incident: &Incident) -> (Outcome, String) {
        let text = format!("{}\n{}", self.signal.title, self.signal.reason);
        self.line(&incident.id, Action::Note, text.trim());
        (Outcome::Recorded, incident.id.clone())
    }

    /// The first event's incident.
    fn opened(&self) -> Incident {
        let Context { policy, environment, now, .. } = *self.context;
        let (owner, backup) = responsible(self.signal, self.context);
        let on_call = on_call(policy, &owner, now).person.unwrap_or_default().to_owned();
        let blank = Incident {
            id: id(self.signal, self.at, self.context.attempt),
            environment: environment.to_owned(),
            source: self.signal.source.name().to_owned(),
            problem: self.signal.problem.clone(),
            first_at: self.at,
            owner,
            backup,
            on_call,
            // The lowest: a trigger only raises it.
            severity: Severity::S3,
            severity_proposed: Severity::S3,
            ..Incident::default()
        };
        self.triggered(blank)
    }

    /// An incident after one more trigger. An event raises the severity and never lowers it; it raises one that a person
    /// confirmed only if no event proposed as much before.
    fn triggered(&self, mut incident: Incident) -> Incident {
        let (signal, policy) = (self.signal, self.context.policy);
        let is_opening = incident.count == 0;
        let is_newest = is_opening || self.at >= incident.triggered_at;
        incident.version += 1;
        incident.count += weight(signal);
        incident.triggered_at = incident.triggered_at.max(self.at);
        incident.last_at = incident.last_at.max(self.at);
        let proposed = signal.severity.unwrap_or_default();
        if proposed < incident.severity_proposed || incident.severity_proposed_by.is_empty() {
            incident.severity_proposed = proposed;
            if proposed <= incident.severity {
                if proposed != incident.severity && !is_opening {
                    incident.severity_changed_at = Some(self.context.now);
                    incident.vouched_at = incident.vouched_at.filter(|_| signal.is_vouched);
                }
                incident.severity = proposed;
                incident.severity_confirmed_by = String::new();
                let by = signal.severity.map_or("default", |_| signal.source.name());
                incident.severity_proposed_by = by.to_owned();
            }
        }
        if signal.source == Source::Person && signal.is_vouched {
            incident.vouched_at = incident.vouched_at.or(Some(self.context.now));
        }
        // The first lines of a log are the ones that tell.
        let is_first = incident.title.is_empty();
        if is_first || (is_newest && signal.understood && signal.source != Source::Logs) {
            if signal.is_vouched || incident.title != signal.title {
                incident.has_foreign_title = !signal.is_vouched;
            }
            incident.title.clone_from(&signal.title);
            incident.reason.clone_from(&signal.reason);
            incident.labels = labels(&signal.labels);
            let owner = signal.owner.as_ref();
            if let Some(word) = owner.filter(|_| known(owner, signal, policy).is_none()) {
                incident.labels.insert("owner".to_owned(), cut(word));
            }
            incident.resource = resource(signal);
            incident.understood = signal.understood;
            let keep = |new: &Option<String>, old: String| new.as_deref().map_or(old, cut);
            incident.runbook = keep(&signal.runbook, incident.runbook);
            incident.link = keep(&signal.link, incident.link);
        }
        // One event that is no exercise is enough.
        incident.is_drill = is_drill(signal) && (is_opening || incident.is_drill);
        incident.muted.clone_from(&self.mute);
        incident
    }

    /// Pages, now or when the mute ends; not if the source is muted.
    fn page(&mut self, incident: &mut Incident) {
        if let Some(by) = &self.signal.muted_by_source {
            self.line(&incident.id, Action::Suppressed, &format!("actionsSuppressedBy: {by}"));
            incident.awaited_since = None;
            return;
        }
        if let Some(mute) = self.mute.clone() {
            let text = format!("{}: {} ({})", mute.by, mute.reason, mute.until);
            self.line(&incident.id, Action::Suppressed, &text);
        }
        self.writes.extend(rows::page(incident, self.mute.as_ref(), self.context));
    }

    /// Writes the rows of the channels that show a change without notifying anybody.
    fn show(&mut self, incident: &Incident) {
        self.writes.extend(rows::shown(incident, self.context));
    }

    fn point(&mut self, incident: &Incident, over_at: Option<Timestamp>) {
        let latest = Latest { incident: incident.id.clone(), version: 0, over_at };
        let seen = self.stored.latest.as_ref();
        self.writes.push(latest.write(&self.signal.problem, seen, incident.is_open(), self.context.now));
    }

    /// Whether the incident that it is a part of still answers for it; if not, it is no part of it any more.
    fn is_carried(&self, incident: &mut Incident) -> bool {
        let is_carried =
            incident.is_merged() && is_carried(incident, self.stored.whole.as_ref(), self.context.now);
        if !is_carried {
            incident.merged_into = String::new();
        }
        is_carried
    }

    /// Writes the incident that this one is or was a part of, if that shows.
    fn whole(&mut self, part: &Incident) {
        self.writes.extend(parts::writes(self.stored.whole.as_ref(), part, self.context));
    }

    /// Who did it: a person who declares, otherwise the source.
    fn by(&self) -> String {
        let person = self.signal.labels.get("declared_by").filter(|_| self.signal.source == Source::Person);
        person.map_or_else(|| self.signal.source.name().to_owned(), |person| cut(person))
    }

    fn line(&mut self, id: &str, action: Action, text: &str) {
        let by = self.by();
        let entry =
            Entry { at: self.at, by, action, text: text.chars().take(signal::MOST_CHARACTERS).collect() };
        self.writes.push(entry.write(id, &self.signal.event));
    }
}

/// An incident that nobody has taken any more.
pub(super) fn untaken(incident: Incident) -> Incident {
    Incident {
        state: State::Triggered,
        acknowledged_by: String::new(),
        acknowledged_at: None,
        mitigated_at: None,
        // Only of what somebody had taken.
        untaken_since: incident.untaken_since.filter(|_| incident.acknowledged_at.is_none()),
        // Not in the time without impact.
        awaited_since: incident.awaited_since.filter(|_| incident.mitigated_at.is_none()),
        ..incident
    }
}

/// How many events a signal stands for: the lines of a log that it groups.
fn weight(signal: &Signal) -> u64 {
    let lines = signal.labels.get("count").filter(|_| signal.source == Source::Logs);
    lines.and_then(|count| count.parse().ok()).unwrap_or(1)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The first labels that fit.
fn labels(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut bytes = 0;
    let fits = |(name, value): &(&String, &String)| {
        bytes += name.len() + value.len();
        bytes <= LABEL_BYTES
    };
    all.iter().take(MOST_LABELS).take_while(fits).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The affected resource, as far as the source names it.
fn resource(signal: &Signal) -> String {
    let names = ["resource", "secret", "resources", "instance", "log_group", "metric"];
    names.iter().find_map(|name| signal.labels.get(*name)).cloned().unwrap_or_default()
}

/// Whether the event is an exercise.
fn is_drill(signal: &Signal) -> bool {
    let label = |name: &str| signal.labels.get(name).map(String::as_str);
    matches!(label("drill"), Some("true" | "1"))
        || label("kind") == Some("Drill")
        || is_own_drill(signal.source.name(), &signal.problem)
}

/// A source's own word for who answers, if the policy knows that squad. Any other word, such as a person's address or a team
/// of another tool, would call nobody. A page of ours has it from the policy.
fn known<'a>(word: Option<&'a String>, signal: &Signal, policy: &Policy) -> Option<&'a str> {
    let is_squad = |name: &str| {
        let of_area = |area| {
            let known = policy.responsible(area);
            known.primary == name || known.backup == name
        };
        policy.incidents.squads.contains_key(name) || Area::ALL.into_iter().any(of_area)
    };
    word.map(String::as_str).filter(|word| signal.source == Source::Page || is_squad(word))
}

/// The teams that answer: the source's; otherwise those of the inventory's area that has a resource which the event
/// names; otherwise those of the kind of source.
fn responsible(signal: &Signal, context: &Context<'_>) -> (String, String) {
    let policy = context.policy;
    if let Some(owner) = known(signal.owner.as_ref(), signal, policy) {
        let backup = known(signal.labels.get("backup"), signal, policy).map(str::to_owned).or_else(|| {
            let of_areas = Area::ALL.into_iter().map(|area| policy.responsible(area));
            of_areas.into_iter().find(|known| known.primary == owner).map(|known| known.backup.clone())
        });
        return (cut(owner), cut(&backup.unwrap_or_default()));
    }
    let known = policy.responsible(area(signal, context));
    (known.primary.clone(), known.backup.clone())
}

fn area(signal: &Signal, context: &Context<'_>) -> Area {
    if signal.source == Source::Logs {
        // The group belongs to observability, the fault to those who wrote it.
        return Area::Application;
    }
    let values = signal.labels.values().map(String::as_str);
    let texts: Vec<&str> = values.chain([signal.title.as_str(), signal.problem.as_str()]).collect();
    let mut best: Option<(usize, Area)> = None;
    for area in Area::ALL {
        for name in context.policy.inventory.areas.holding(area).resources.values().flatten() {
            let name = policy::resolve(name, context.project, context.environment);
            // A person or an alert may leave out the cluster of a service.
            let last = name.rsplit('/').next();
            let is_named = texts.iter().any(|text| text.contains(&name) || Some(*text) == last);
            if is_named && best.is_none_or(|(length, _)| name.len() > length) {
                best = Some((name.len(), area));
            }
        }
    }
    let of_service = || {
        let services = [
            (["AWS/RDS", "RDS"], Area::Database),
            (["AWS/ECS", "ECS"], Area::Application),
            (["AWS/ApplicationELB", "ELASTICLOADBALANCING"], Area::Application),
            (["AWS/S3", "S3"], Area::Attachments),
            (["AWS/SecretsManager", "SECRETSMANAGER"], Area::Secrets),
        ];
        let metric = signal.labels.get("metric").and_then(|metric| metric.split(' ').next());
        let service = metric.or(signal.labels.get("service").map(String::as_str))?;
        services.into_iter().find(|(names, _)| names.contains(&service)).map(|(_, area)| area)
    };
    let of_source = || match signal.source {
        Source::Logs | Source::Alertmanager | Source::Grafana => Area::Application,
        Source::Alarm
        | Source::Health
        | Source::Page
        | Source::Message
        | Source::Person
        | Source::Unknown => Area::Infrastructure,
    };
    best.map(|(_, area)| area).or_else(of_service).unwrap_or_else(of_source)
}

/// The id of a new incident. A repetition of the first event makes the same one.
fn id(signal: &Signal, at: Timestamp, attempt: u32) -> String {
    let again = if attempt == 0 { String::new() } else { attempt.to_string() };
    let hash = signal::hash(&format!("{}\n{}\n{again}", signal.problem, signal.event));
    let number = hash.get(..10).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let letters = (0..8).rev().map(|place| {
        let index = usize::try_from((number >> (5 * place)) & 31).unwrap_or_default();
        ALPHABET.get(index).copied().map_or('0', char::from)
    });
    let date = at.to_zoned_datetime(SAO_PAULO).date();
    format!("INC-{}{:02}{:02}-{}", date.year(), date.month(), date.day(), letters.collect::<String>())
}
