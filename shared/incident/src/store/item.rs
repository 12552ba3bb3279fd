//! The items and their attributes.

use std::fmt::Display;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use policy::time::local_date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Attribute, Attributes, Check, EVENT_DAYS, Key, Write, instant, number, text};
use crate::incident::{Action, Entry, Incident, Mute, SlackPost};

/// A way to reach people.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The Slack bot: one message for each incident, updated in place.
    Slack,
    /// A Slack webhook, which cannot update.
    Webhook,
    /// Mail through SES, to the people on call.
    Ses,
    /// Mail through the SNS topic for mail, which depends on no domain.
    Sns,
    /// SMS through SNS, to the people on call.
    Sms,
    /// PagerDuty Events v2, where a repeated send changes nothing.
    PagerDuty,
}

impl Channel {
    /// All channels, in the order in which one replaces the one before it.
    pub const ALL: [Self; 6] = [Self::Slack, Self::Webhook, Self::Ses, Self::Sns, Self::Sms, Self::PagerDuty];

    /// The stable name, part of a row's key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Ses => "ses",
            Self::Sns => "sns",
            Self::Sms => "sms",
            Self::PagerDuty => "pagerduty",
        }
    }

    /// The channel of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Whether a change can be shown without notifying anybody.
    pub fn updates_in_place(self) -> bool {
        matches!(self, Self::Slack | Self::PagerDuty)
    }

    /// The purpose of the row that the first event makes.
    pub fn first_purpose(self) -> Purpose {
        match self {
            Self::Slack | Self::Webhook | Self::Sns | Self::PagerDuty => Purpose::Post,
            Self::Ses | Self::Sms => Purpose::OnCall,
        }
    }
}

/// The channels that a stack has, in the order in which one replaces the one before it: names with commas between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Channels(pub Vec<Channel>);

impl FromStr for Channels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut channels = Vec::new();
        for name in text.split(',').map(str::trim) {
            let channel = Channel::from_name(name).filter(|channel| !channels.contains(channel));
            let known = Channel::ALL.map(Channel::name).join(", ");
            channels.push(channel.ok_or_else(|| format!("expected each at most once of {known}"))?);
        }
        Ok(Self(channels))
    }
}

/// Whom a row reaches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Purpose {
    /// Everybody who reads the channel.
    Post,
    /// The person on call in the owner's squad, or the squad's contacts.
    OnCall,
    /// The second of that shift.
    Second,
    /// The backup squad.
    Backup,
    /// The squads that were called in.
    Called,
    /// The incident commander.
    Commander,
    /// Who stands in for the commander.
    CommanderBackup,
    /// The internal customers.
    Customers,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 8] = [
        Self::Post,
        Self::OnCall,
        Self::Second,
        Self::Backup,
        Self::Called,
        Self::Commander,
        Self::CommanderBackup,
        Self::Customers,
    ];

    /// The stable name, part of a row's key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::OnCall => "oncall",
            Self::Second => "second",
            Self::Backup => "backup",
            Self::Called => "called",
            Self::Commander => "commander",
            Self::CommanderBackup => "commander-backup",
            Self::Customers => "customers",
        }
    }

    /// The purpose of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }
}

/// Where [`super::OPEN_INDEX`] has the open incidents.
pub const OPEN: &str = "open";

/// Where [`super::OPEN_INDEX`] has the items of incidents that the clock has to look at, open or over.
pub const WATCHED: &str = "clock";

/// Where [`super::OPEN_INDEX`] has the incidents that are over and began in a month of São Paulo: `over-2026-11`. `date` is
/// any day of it, `2026-11-29`.
pub fn over(date: impl Display) -> String {
    let date = date.to_string();
    format!("over-{}", date.get(..7).unwrap_or(&date))
}

/// The stable name of an action.
pub(super) fn name(action: Action) -> String {
    match serde_json::to_value(action) {
        Ok(Value::String(name)) => name,
        _ => "other".to_owned(),
    }
}

fn set(item: &mut Attributes, name: &str, value: Attribute) {
    item.insert(name.to_owned(), value);
}

fn ms(at: Timestamp) -> Attribute {
    Attribute::Number(at.as_millisecond())
}

fn count(number: u64) -> Attribute {
    Attribute::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The time after which DynamoDB may delete an item, in seconds.
fn expiry(now: Timestamp) -> Attribute {
    Attribute::Number(now.as_second() + SignedDuration::from_hours(24 * EVENT_DAYS).as_secs())
}

fn body<T: Serialize>(item: &mut Attributes, contents: &T) {
    // These types have text keys only, for which serialization does not fail.
    let json = serde_json::to_string(contents).unwrap_or_default();
    set(item, "body", Attribute::Text(json));
}

fn contents<T: for<'de> Deserialize<'de>>(item: &Attributes) -> Option<T> {
    serde_json::from_str(text(item, "body")?).ok()
}

/// An event that was stored; its item is why a repetition does nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Event {
    /// Its dedup key.
    pub event: String,
    /// Id of the incident that it belongs to; empty if none.
    pub incident: String,
    /// What it speaks of.
    pub source: String,
    /// What it did: [`super::Outcome::name`].
    pub outcome: String,
    /// One line.
    pub title: String,
    /// When it happened, by the source's clock.
    pub changed_at: Option<Timestamp>,
    /// When it was stored.
    pub stored_at: Timestamp,
}

impl Event {
    /// The write that stores it once.
    pub(super) fn write(&self) -> Write {
        let mut item = Key::event(&self.event).attributes();
        set(&mut item, "incident", Attribute::Text(self.incident.clone()));
        set(&mut item, "expires_at", expiry(self.stored_at));
        body(&mut item, self);
        Write::Put { item, only_if: vec![Check::Absent("pk")] }
    }

    /// Reads an item.
    pub fn read(item: &Attributes) -> Self {
        // One that does not parse was stored nevertheless.
        contents(item).unwrap_or_else(|| Self {
            incident: text(item, "incident").unwrap_or_default().to_owned(),
            ..Self::default()
        })
    }
}

/// A problem's newest incident.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Latest {
    /// The incident's id; empty if the problem was only ever reported as over.
    pub incident: String,
    /// Grows with each write.
    pub version: u64,
    /// When the source said last that the problem is over, by its own clock, but not later than the arrival.
    pub over_at: Option<Timestamp>,
}

impl Latest {
    /// The write that replaces `seen`. A pointer expires unless its incident is open: afterwards it decides nothing.
    pub(super) fn write(&self, problem: &str, seen: Option<&Self>, is_open: bool, now: Timestamp) -> Write {
        let mut item = Key::latest(problem).attributes();
        set(&mut item, "incident", Attribute::Text(self.incident.clone()));
        set(&mut item, "version", count(seen.map_or(0, |seen| seen.version) + 1));
        if let Some(over_at) = self.over_at {
            set(&mut item, "over_at", ms(over_at));
        }
        if !is_open {
            set(&mut item, "expires_at", expiry(now));
        }
        let only_if = match seen {
            Some(seen) => Check::Equals("version", count(seen.version)),
            None => Check::Absent("pk"),
        };
        Write::Put { item, only_if: vec![only_if] }
    }

    /// Reads an item.
    pub fn read(item: &Attributes) -> Self {
        Self {
            incident: text(item, "incident").unwrap_or_default().to_owned(),
            version: number(item, "version")
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or_default(),
            over_at: instant(item, "over_at"),
        }
    }
}

/// Reads an incident; `None` if it cannot be read.
pub fn incident(item: &Attributes) -> Option<Incident> {
    let read: Incident = contents(item)?;
    // The condition of the next write compares with the attribute.
    let version = u64::try_from(number(item, "version")?).ok()?;
    (!read.id.is_empty()).then_some(Incident { version, ..read })
}

impl Incident {
    /// The write that stores this incident, whose version is one more than the stored one's; `1` for a new one.
    pub fn write(&self) -> Write {
        let mut item = Key::incident(&self.id).attributes();
        set(&mut item, "version", count(self.version));
        let place = if self.is_open() { OPEN.to_owned() } else { over(local_date(self.first_at)) };
        set(&mut item, "open", Attribute::Text(place));
        set(&mut item, "opened_at", ms(self.first_at));
        body(&mut item, self);
        let only_if = match self.version {
            0 | 1 => Check::Absent("pk"),
            version => Check::Equals("version", count(version - 1)),
        };
        Write::Put { item, only_if: vec![only_if] }
    }

    /// The write that has the clock look at this version of the incident though it may be over: the stream may lose the
    /// change. It belongs to the transaction of [`Incident::write`].
    pub fn watch(&self) -> Write {
        let mut item = Key::watch(&self.id).attributes();
        set(&mut item, "version", count(self.version));
        set(&mut item, "open", Attribute::Text(WATCHED.to_owned()));
        set(&mut item, "opened_at", ms(self.first_at));
        Write::Put { item, only_if: vec![] }
    }

    /// The write that ends [`Incident::watch`] once the clock has nothing left to do about this version, which has to be the
    /// newest one that is watched.
    pub fn unwatch(&self) -> Write {
        let seen = i64::try_from(self.version).unwrap_or(i64::MAX);
        Write::Update {
            key: Key::watch(&self.id),
            set: Attributes::from([("version".to_owned(), count(self.version))]),
            set_if_absent: Attributes::new(),
            remove: vec!["open"],
            only_if: vec![Check::Present("open"), Check::AbsentOrAtMost("version", seen)],
        }
    }
}

impl Entry {
    /// The write that adds this entry to an incident's timeline; see [`Key::line`] for `cause`.
    pub fn write(&self, id: &str, cause: &str) -> Write {
        let mut item = Key::line(id, self.at, cause, self.action).attributes();
        body(&mut item, self);
        // Never changed: a repetition writes the same.
        Write::Put { item, only_if: vec![] }
    }
}

/// Reads an entry of a timeline.
pub fn entry(item: &Attributes) -> Option<Entry> {
    contents(item)
}

impl Mute {
    /// The write that mutes a problem, or everything.
    pub fn write(&self, problem: Option<&str>) -> Write {
        let mut item = Key::mute(problem).attributes();
        set(&mut item, "expires_at", Attribute::Number(self.until.as_second()));
        body(&mut item, self);
        Write::Put { item, only_if: vec![] }
    }
}

/// Reads a mute.
pub fn mute_of(item: &Attributes) -> Option<Mute> {
    contents(item)
}

/// When a heartbeat was last heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// Its name.
    pub name: String,
    /// When it arrived.
    pub heard_at: Timestamp,
}

impl Heartbeat {
    /// The write that notes it, unless a later one is noted.
    pub fn write(&self) -> Write {
        let set = Attributes::from([("heard_at".to_owned(), ms(self.heard_at))]);
        Write::Update {
            key: Key::heartbeat(&self.name),
            set,
            set_if_absent: Attributes::new(),
            remove: vec![],
            only_if: vec![Check::AbsentOrAtMost("heard_at", self.heard_at.as_millisecond())],
        }
    }

    /// Reads an item.
    pub fn read(item: &Attributes) -> Option<Self> {
        let name = text(item, "pk")?.strip_prefix("HEARTBEAT#")?.to_owned();
        Some(Self { name, heard_at: instant(item, "heard_at")? })
    }
}

/// An outbox row: what one channel has to be told about an incident.
///
/// The intake and the sender write different attributes, so neither waits for the other. The intake sets `wanted`, and
/// `due` only where there is none: a row that waits for its Retry-After, for its turn, or for the end of a mute keeps
/// its time. The sender takes a row by its lease, sends the incident as it then is, and sets `sent` to that version; it
/// removes `due` only while `wanted` is not newer ([`Row::done`]).
///
/// A due row (`incident` is the one read with it):
///
/// * never sent, and `incident.paged_at` is none: nobody is to be told; it is done without a send
/// * never sent, and `incident.paged_at` is in the future: it waits until then
/// * another channel that comes before it (in the stack's order; of an escalation, those that address its people come
///   first) has accepted `wanted`: it is done without a send, unless it updates in place what it has
/// * never sent, and somebody has taken what such a channel told, in whatever version: the same
/// * otherwise it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// The incident's id.
    pub incident: String,
    /// The channel.
    pub channel: Channel,
    /// Whom it reaches.
    pub purpose: Purpose,
    /// The incident's version that the channel must show, or a later one.
    pub wanted: u64,
    /// The newest version that the channel accepted; 0 for none. A change of Slack's message notifies nobody: of one that
    /// calls people again, this stays below `paged_version` until the reply that mentions them was accepted.
    pub sent: u64,
    /// Attempts since the channel last accepted one.
    pub attempts: u32,
    /// How many of them had no clear answer.
    pub unclear: u32,
    /// Who sends it now; empty if nobody does.
    pub lease_owner: String,
    /// When the lease ends.
    pub lease_until: Option<Timestamp>,
    /// The next attempt; none if nothing is left to do.
    pub due: Option<Timestamp>,
    /// When the row was first written, for the time until the channel accepted it.
    pub stored_at: Option<Timestamp>,
    /// When the channel first accepted it.
    pub accepted_at: Option<Timestamp>,
    /// The channel's last answer, or why there was none.
    pub answer: String,
    /// The message in Slack, once there is one.
    pub slack: Option<SlackPost>,
    /// Sort keys of the timeline entries that are in the message's thread, the newest last; at most [`Row::MOST_TOLD`].
    pub told: Vec<String>,
}

impl Row {
    /// The attribute that puts a row into the index [`super::DUE_INDEX`], together with `due`.
    pub const QUEUE: &str = "queue";

    /// Most entries that a row remembers. Of older ones a sender looks at none.
    pub const MOST_TOLD: usize = 200;

    /// A row that nothing was sent of.
    pub fn new(incident: &str, channel: Channel, purpose: Purpose) -> Self {
        Self {
            incident: incident.to_owned(),
            channel,
            purpose,
            wanted: 0,
            sent: 0,
            attempts: 0,
            unclear: 0,
            lease_owner: String::new(),
            lease_until: None,
            due: None,
            stored_at: None,
            accepted_at: None,
            answer: String::new(),
            slack: None,
            told: Vec::new(),
        }
    }

    /// The row's key.
    pub fn key(&self) -> Key {
        Key::row(&self.incident, self.channel, self.purpose)
    }

    /// The write of the intake, and of an escalation: the channel must show `wanted`, from `due` on.
    pub fn want(
        incident: &str,
        channel: Channel,
        purpose: Purpose,
        wanted: u64,
        due: Timestamp,
        now: Timestamp,
    ) -> Write {
        Write::Update {
            key: Key::row(incident, channel, purpose),
            set: Attributes::from([
                (Self::QUEUE.to_owned(), Attribute::Text("due".to_owned())),
                ("wanted".to_owned(), count(wanted)),
            ]),
            set_if_absent: Attributes::from([("due".to_owned(), ms(due)), ("stored_at".to_owned(), ms(now))]),
            remove: vec![],
            only_if: vec![],
        }
    }

    /// [`Row::want`], also if the row waits already.
    pub(super) fn wake(id: &str, channel: Channel, wanted: u64, due: Timestamp, now: Timestamp) -> Write {
        let mut write = Self::want(id, channel, channel.first_purpose(), wanted, due, now);
        if let Write::Update { set, set_if_absent, .. } = &mut write {
            set.extend(set_if_absent.remove_entry("due"));
        }
        write
    }

    /// The write of an escalation for a page that began at `paged_at`: once, however often it is tried.
    pub fn escalate(
        incident: &Incident,
        channel: Channel,
        purpose: Purpose,
        paged_at: Timestamp,
        due: Timestamp,
        now: Timestamp,
    ) -> Write {
        let once = vec![Check::AbsentOrAtMost("stored_at", paged_at.as_millisecond() - 1)];
        Self::anew(incident, channel, purpose, due, now, once)
    }

    /// The write that calls people other than those of the page, again each time: each order is given once, and with the
    /// incident's next version.
    pub(super) fn call(
        incident: &Incident,
        channel: Channel,
        purpose: Purpose,
        due: Timestamp,
        now: Timestamp,
    ) -> Write {
        Self::anew(incident, channel, purpose, due, now, vec![])
    }

    /// The write that begins a row anew: its times are those of this page or call, not of the one before.
    fn anew(
        incident: &Incident,
        channel: Channel,
        purpose: Purpose,
        due: Timestamp,
        now: Timestamp,
        only_if: Vec<Check>,
    ) -> Write {
        let mut wanted = Attributes::new();
        set(&mut wanted, Self::QUEUE, Attribute::Text("due".to_owned()));
        set(&mut wanted, "wanted", count(incident.version));
        set(&mut wanted, "due", ms(due));
        set(&mut wanted, "stored_at", ms(now));
        Write::Update {
            key: Key::row(&incident.id, channel, purpose),
            set: wanted,
            set_if_absent: Attributes::new(),
            remove: vec!["accepted_at"],
            only_if,
        }
    }

    /// The write that makes a row due at once, because the channel before it refuses; none if it waits for nothing. It has
    /// no effect if somebody has the row, or has changed its time.
    pub fn hasten(&self, now: Timestamp) -> Option<Write> {
        let due = self.due.filter(|due| *due > now)?;
        Some(Write::Update {
            key: self.key(),
            set: Attributes::from([("due".to_owned(), ms(now))]),
            set_if_absent: Attributes::new(),
            remove: vec![],
            only_if: vec![Check::Equals("due", ms(due)), Check::Absent("lease_owner")],
        })
    }

    /// The write that takes the row: only if nobody has it, and nobody has taken it since it was read.
    pub fn lease(&self, owner: &str, now: Timestamp, until: Timestamp) -> Write {
        let mut taken = Attributes::new();
        set(&mut taken, "lease_owner", Attribute::Text(owner.to_owned()));
        set(&mut taken, "lease_until", ms(until));
        // Found again by its due time if the owner dies.
        set(&mut taken, "due", ms(until));
        Write::Update {
            key: self.key(),
            set: taken,
            set_if_absent: Attributes::new(),
            remove: vec![],
            only_if: vec![
                Check::AbsentOrAtMost("lease_until", now.as_millisecond()),
                Check::AbsentOrAtMost("due", now.as_millisecond()),
                Check::Present("due"),
            ],
        }
    }

    /// What came of the row's attempts.
    fn progress(&self) -> Attributes {
        let mut made = Attributes::new();
        set(&mut made, "sent", count(self.sent));
        set(&mut made, "attempts", Attribute::Number(self.attempts.into()));
        set(&mut made, "unclear", Attribute::Number(self.unclear.into()));
        set(&mut made, "answer", Attribute::Text(self.answer.clone()));
        if let Some(accepted_at) = self.accepted_at {
            set(&mut made, "accepted_at", ms(accepted_at));
        }
        if let Some(post) = &self.slack {
            set(&mut made, "slack_channel", Attribute::Text(post.channel.clone()));
            set(&mut made, "slack_ts", Attribute::Text(post.ts.clone()));
        }
        if !self.told.is_empty() {
            let newest = self.told.len().saturating_sub(Self::MOST_TOLD);
            let told = self.told.get(newest..).unwrap_or_default().join(" ");
            set(&mut made, "told", Attribute::Text(told));
        }
        made
    }

    fn own(&self) -> Check {
        Check::Equals("lease_owner", Attribute::Text(self.lease_owner.clone()))
    }

    /// The write that keeps what came of it so far, within the lease of `self.lease_owner`.
    pub fn keep(&self) -> Write {
        Write::Update {
            key: self.key(),
            set: self.progress(),
            set_if_absent: Attributes::new(),
            remove: vec![],
            only_if: vec![self.own()],
        }
    }

    /// The writes that end the lease of `self.lease_owner` with what came of it. The second one, with the row due at
    /// once, is for the case that the first one's condition fails since `wanted` has grown.
    pub fn done(&self, now: Timestamp) -> [Write; 2] {
        let write = |due: Option<Timestamp>, and: Option<Check>| {
            let mut ended = self.progress();
            let mut remove = vec!["lease_owner", "lease_until"];
            match due {
                Some(due) => set(&mut ended, "due", ms(due)),
                None => remove.push("due"),
            }
            Write::Update {
                key: self.key(),
                set: ended,
                set_if_absent: Attributes::new(),
                remove,
                only_if: std::iter::once(self.own()).chain(and).collect(),
            }
        };
        let unchanged = Check::Equals("wanted", count(self.wanted));
        [write(self.due, Some(unchanged)), write(Some(self.due.unwrap_or(now)), None)]
    }

    /// Reads an item; `None` if its key is not a row's.
    pub fn read(item: &Attributes) -> Option<Self> {
        let incident = text(item, "pk")?.strip_prefix("INCIDENT#")?;
        let (channel, purpose) = text(item, "sk")?.strip_prefix(Key::ROWS)?.split_once('#')?;
        let whole =
            |name: &str| number(item, name).and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
        let small = |name: &str| u32::try_from(whole(name)).unwrap_or(u32::MAX);
        let words = |name: &str| text(item, name).unwrap_or_default().to_owned();
        let post = SlackPost { channel: words("slack_channel"), ts: words("slack_ts") };
        Some(Self {
            wanted: whole("wanted"),
            sent: whole("sent"),
            attempts: small("attempts"),
            unclear: small("unclear"),
            lease_owner: words("lease_owner"),
            lease_until: instant(item, "lease_until"),
            due: instant(item, "due"),
            stored_at: instant(item, "stored_at"),
            accepted_at: instant(item, "accepted_at"),
            answer: words("answer"),
            slack: (!post.ts.is_empty()).then_some(post),
            told: words("told").split_whitespace().map(str::to_owned).collect(),
            ..Self::new(incident, Channel::from_name(channel)?, Purpose::from_name(purpose)?)
        })
    }
}
