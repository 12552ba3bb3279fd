//! The table of incidents: keys, attributes, conditional writes, and what an event changes.
//!
//! An item has explicit attributes where a condition, an index or the time to live needs them, and its contents as JSON
//! in `body`. Times are milliseconds since 1970, except `expires_at`, which DynamoDB reads in seconds.
//!
//! Two indexes, both sparse: [`DUE_INDEX`] has the outbox rows that have a next attempt, [`OPEN_INDEX`] the incidents.

mod decide;
mod desk;
mod item;
mod mute;
mod parts;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::incident::Action;
use crate::signal;

pub use decide::{Context, Outcome, Plan, Stored, decide, heartbeat_name};
pub use desk::{Acted, Actor, Found, How, Refusal, act, is_reachable, may, note, squads};
pub use item::{
    Channel, Channels, Event, Heartbeat, Latest, OPEN, Purpose, Row, WATCHED, entry, incident, mute_of, over,
};
pub use mute::{mute, mute_too, resume};
pub use parts::separate;
pub use rows::{call, patience, shown};

/// Index of the outbox rows by their next attempt: partition key [`Row::QUEUE`], always `due`; sort key `due`, a number.
pub const DUE_INDEX: &str = "due";

/// Index of the incidents: partition key `open`, which is [`OPEN`] or the month of those that are [`over`]; sort key
/// `opened_at`, a number.
pub const OPEN_INDEX: &str = "open";

/// Days that an event is remembered: more than SNS's 23 and SQS's 14 together, after which no repetition comes.
pub const EVENT_DAYS: i64 = 45;

/// An attribute's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// `S`.
    Text(String),
    /// `N`, always whole here.
    Number(i64),
}

/// An item's attributes by name, its keys `pk` and `sk` included.
pub type Attributes = BTreeMap<String, Attribute>;

/// An item's key.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    /// An event, by its dedup key.
    pub fn event(event: &str) -> Self {
        Self::new(format!("EVENT#{}", signal::hash(event)), "EVENT")
    }

    /// The newest incident of a problem.
    pub fn latest(problem: &str) -> Self {
        Self::new(format!("PROBLEM#{}", signal::hash(problem)), "LATEST")
    }

    /// An incident.
    pub fn incident(id: &str) -> Self {
        Self::new(format!("INCIDENT#{id}"), "STATE")
    }

    /// What has the clock look at an incident.
    pub fn watch(id: &str) -> Self {
        Self::new(format!("INCIDENT#{id}"), "WATCH")
    }

    /// An entry of an incident's timeline. `cause` tells apart entries of one instant: an event's dedup key, a request's
    /// id.
    pub fn line(id: &str, at: Timestamp, cause: &str, action: Action) -> Self {
        let hash: String = signal::hash(cause).chars().take(16).collect();
        let at = at.as_millisecond().max(0);
        Self::new(format!("INCIDENT#{id}"), format!("LINE#{at:013}#{hash}#{}", item::name(action)))
    }

    /// Prefix of the sort keys of an incident's timeline.
    pub const LINES: &str = "LINE#";

    /// Prefix of the sort keys of an incident's outbox rows.
    pub const ROWS: &str = "SEND#";

    /// An outbox row.
    pub fn row(id: &str, channel: Channel, purpose: Purpose) -> Self {
        let sk = format!("{}{}#{}", Self::ROWS, channel.name(), purpose.name());
        Self::new(format!("INCIDENT#{id}"), sk)
    }

    /// The mute of a problem; of all problems without one.
    pub fn mute(problem: Option<&str>) -> Self {
        Self::new(format!("MUTE#{}", problem.map_or_else(|| "*".to_owned(), signal::hash)), "MUTE")
    }

    /// A heartbeat.
    pub fn heartbeat(name: &str) -> Self {
        Self::new(format!("HEARTBEAT#{name}"), "HEARTBEAT")
    }

    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// The key as attributes.
    pub fn attributes(&self) -> Attributes {
        let text = |name: &str, value: &str| (name.to_owned(), Attribute::Text(value.to_owned()));
        Attributes::from([text("pk", &self.pk), text("sk", &self.sk)])
    }

    /// The key of an item.
    pub fn of(item: &Attributes) -> Option<Self> {
        Some(Self { pk: text(item, "pk")?.to_owned(), sk: text(item, "sk")?.to_owned() })
    }
}

/// A condition on the stored item; several must all hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Check {
    /// The attribute, or with `pk` the item, does not exist.
    Absent(&'static str),
    /// The attribute exists.
    Present(&'static str),
    /// The attribute has this value.
    Equals(&'static str, Attribute),
    /// The attribute does not exist, or is at most this number.
    AbsentOrAtMost(&'static str, i64),
}

/// One write of a transaction, or on its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Write {
    /// Replaces the whole item.
    Put {
        /// The item with its key.
        item: Attributes,
        /// Conditions.
        only_if: Vec<Check>,
    },
    /// Changes some attributes of an item; makes the item if it does not exist and no condition forbids it.
    Update {
        /// The item's key.
        key: Key,
        /// Attributes to set.
        set: Attributes,
        /// Attributes to set where they do not exist.
        set_if_absent: Attributes,
        /// Attributes to remove.
        remove: Vec<&'static str>,
        /// Conditions.
        only_if: Vec<Check>,
    },
}

/// A write's texts for DynamoDB. Every name is a placeholder, since many words are reserved.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Expressions {
    /// The condition; empty for none.
    pub condition: String,
    /// The update; empty for a put.
    pub update: String,
    /// Names by placeholder.
    pub names: BTreeMap<String, String>,
    /// Values by placeholder.
    pub values: Attributes,
}

impl Write {
    /// The key of the item that it writes.
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Put { item, .. } => Key::of(item),
            Self::Update { key, .. } => Some(key.clone()),
        }
    }

    /// The write's expressions.
    pub fn expressions(&self) -> Expressions {
        let mut made = Expressions::default();
        match self {
            Self::Put { only_if, .. } => made.conditions(only_if),
            Self::Update { set, set_if_absent, remove, only_if, .. } => {
                let mut sets = Vec::new();
                for (name, value) in set {
                    let (name, value) = (made.name(name), made.value(value.clone()));
                    sets.push(format!("{name} = {value}"));
                }
                for (name, value) in set_if_absent {
                    let (name, value) = (made.name(name), made.value(value.clone()));
                    sets.push(format!("{name} = if_not_exists({name}, {value})"));
                }
                if !sets.is_empty() {
                    made.update = format!("SET {}", sets.join(", "));
                }
                let removed: Vec<String> = remove.iter().map(|name| made.name(name)).collect();
                if !removed.is_empty() {
                    let _ = write!(made.update, " REMOVE {}", removed.join(", "));
                }
                made.update = made.update.trim_start().to_owned();
                made.conditions(only_if);
            }
        }
        made
    }
}

impl Expressions {
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: Attribute) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn conditions(&mut self, checks: &[Check]) {
        let texts: Vec<String> = checks.iter().map(|check| self.checked(check)).collect();
        self.condition = texts.join(" AND ");
    }

    fn checked(&mut self, check: &Check) -> String {
        match check {
            Check::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
            Check::Present(name) => format!("attribute_exists({})", self.name(name)),
            Check::Equals(name, value) => {
                let (name, value) = (self.name(name), self.value(value.clone()));
                format!("{name} = {value}")
            }
            Check::AbsentOrAtMost(name, most) => {
                let (name, value) = (self.name(name), self.value(Attribute::Number(*most)));
                format!("(attribute_not_exists({name}) OR {name} <= {value})")
            }
        }
    }
}

/// The text of an attribute.
pub fn text<'a>(item: &'a Attributes, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        Attribute::Text(text) => Some(text),
        Attribute::Number(_) => None,
    }
}

/// The number of an attribute.
pub fn number(item: &Attributes, name: &str) -> Option<i64> {
    match item.get(name)? {
        Attribute::Number(number) => Some(*number),
        Attribute::Text(_) => None,
    }
}

/// The instant of an attribute in milliseconds.
pub fn instant(item: &Attributes, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(number(item, name)?).ok()
}
