//! What the clock remembers of an incident: one item, with what was done last.
//!
//! Its `pk` is the incident's, its `sk` [`SK`]. While the clock still has something to do, also after the incident's end, the
//! item is in the index of incidents under [`WATCHED`], so that a sweep finds it.

use incident::Incident;
use incident::store::{Attribute, Attributes, Check, Key, OPEN, WATCHED, Write, number, text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The sort key.
const SK: &str = "CLOCK";

/// What was done last.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Notes {
    /// Grows with each write; 0 before the first.
    #[serde(skip)]
    pub(crate) version: u64,
    /// Whether a sweep has to look at it.
    #[serde(skip)]
    pub(crate) is_watched: bool,
    /// The last reminder of an update.
    pub(crate) update: Option<Reminded>,
    /// The case of AWS Support.
    pub(crate) support: Support,
    /// The notices of the LGPD.
    pub(crate) lgpd: Option<Lgpd>,
    /// What the internal customers were told last.
    pub(crate) customers: Option<Told>,
    /// The end of the incident for which the post-mortem was ordered.
    pub(crate) postmortem: Option<Timestamp>,
}

/// A reminder of an update.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Reminded {
    /// The news after which it was due: the next news begin anew.
    pub(crate) since: Timestamp,
    /// When it was due.
    pub(crate) at: Timestamp,
}

/// How opening the case stands.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Support {
    /// When it was first claimed: no case is older.
    pub(crate) began_at: Option<Timestamp>,
    /// When it was claimed last.
    pub(crate) claimed_at: Option<Timestamp>,
    /// Number of claims.
    pub(crate) tries: u32,
    /// The case's id, once it is known.
    pub(crate) case: String,
    /// Whether people were told: of the case, or with a checklist.
    pub(crate) is_done: bool,
}

/// How the notices of the LGPD stand.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Lgpd {
    /// The «yes» whose clock runs.
    pub(crate) known_at: Timestamp,
    /// The last reminder; 0 is the checklist.
    pub(crate) step: u16,
    /// Whether the register has both notices, or the reason for none.
    #[serde(default)]
    pub(crate) is_closed: bool,
    /// Whether the register could not be begun, and still has to be.
    #[serde(default)]
    pub(crate) owes_register: bool,
}

/// A mail to the internal customers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Told {
    /// What it told.
    pub(crate) moment: Moment,
    /// The number of updates of known people that the incident had.
    pub(crate) updates: u32,
}

/// What a mail to the internal customers is about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Moment {
    /// The incident began, or is back.
    Opened,
    /// People gave news.
    Updated,
    /// It is over.
    Resolved,
}

impl Notes {
    /// The key of an incident's notes.
    pub(crate) fn key(id: &str) -> Key {
        Key { pk: Key::incident(id).pk, sk: SK.to_owned() }
    }

    /// Reads an item; the default without one. One that cannot be read is an error: what was done would be done again.
    pub(crate) fn read(item: Option<&Attributes>) -> Option<Self> {
        let Some(item) = item else { return Some(Self::default()) };
        let notes: Self = serde_json::from_str(text(item, "body")?).ok()?;
        let version = u64::try_from(number(item, "version")?).ok()?;
        Some(Self { version, is_watched: text(item, "open").is_some(), ..notes })
    }

    /// The write that replaces what was read, if nobody else did so in between.
    pub(crate) fn write(&self, incident: &Incident) -> Write {
        let count = |number: u64| Attribute::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let mut item = Self::key(&incident.id).attributes();
        // Text keys only, for which serialization does not fail.
        let body = serde_json::to_string(self).unwrap_or_default();
        item.insert("body".to_owned(), Attribute::Text(body));
        item.insert("version".to_owned(), count(self.version + 1));
        if self.is_watched {
            item.insert(OPEN.to_owned(), Attribute::Text(WATCHED.to_owned()));
            item.insert("opened_at".to_owned(), Attribute::Number(incident.first_at.as_millisecond()));
        }
        let only_if = match self.version {
            0 => Check::Absent("pk"),
            version => Check::Equals("version", count(version)),
        };
        Write::Put { item, only_if: vec![only_if] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_replace_what_was_read_only() {
        let incident = Incident { id: "INC-1".to_owned(), ..Incident::default() };
        let at = Timestamp::UNIX_EPOCH;
        let notes = Notes {
            version: 3,
            is_watched: true,
            update: Some(Reminded { since: at, at }),
            customers: Some(Told { moment: Moment::Updated, updates: 2 }),
            lgpd: Some(Lgpd { known_at: at, step: 1, is_closed: true, owes_register: true }),
            postmortem: Some(at),
            support: Support { case: "case-1".to_owned(), tries: 1, ..Support::default() },
        };
        let Write::Put { item, only_if } = notes.write(&incident) else { panic!("no put") };
        assert_eq!(only_if, [Check::Equals("version", Attribute::Number(3))]);
        assert_eq!(Key::of(&item), Some(Notes::key("INC-1")));
        assert_eq!(Notes::read(Some(&item)), Some(Notes { version: 4, ..notes.clone() }));
        let Write::Put { item, only_if } = Notes::default().write(&incident) else { panic!("no put") };
        assert_eq!(only_if, [Check::Absent("pk")]);
        assert_eq!(text(&item, OPEN), None, "nothing to do");
        assert_eq!(Notes::read(None), Some(Notes::default()));
        let broken = Attributes::from([("body".to_owned(), Attribute::Text("?".to_owned()))]);
        assert_eq!(Notes::read(Some(&broken)), None);
    }
}
