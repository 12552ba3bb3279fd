//! The people, and what is known of each: the one document with personal data. Everything else names a person by an id that
//! says nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use shared::policy::is_same_name;

use super::access::Place;

/// Name of the document.
pub(crate) const NAME: &str = "people";

/// Crockford's alphabet, without letters that look like others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of an id after its prefix.
const LENGTH: usize = 8;

const PREFIX: &str = "P-";

/// The part of the run id of the record that data was deleted.
pub(crate) const FORGOTTEN: &str = "forgotten";

/// What that record says.
pub(crate) const DELETED: &str = "the data about the person was deleted";

/// The document.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct People {
    /// By id.
    pub people: BTreeMap<String, Person>,
    /// Records that are to be written, the oldest first. Noted with the change that they are about, so that none is lost if the
    /// process dies in between.
    pub unreported: Vec<Unreported>,
}

/// A record that is to be written. Like the record, it names no person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Stored")]
pub(crate) struct Unreported {
    /// Its run id: `<id>/<what>`.
    pub run: String,
    /// When the change was made; none in the earlier form, which did not say it.
    pub at: Option<Timestamp>,
    /// What was done.
    pub outcome: String,
}

/// The forms in which a record to be written may be stored.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    /// The earlier form: the run id, of a complete checklist or of deleted data.
    Run(String),
    /// The present form.
    Noted { run: String, at: Option<Timestamp>, outcome: String },
}

impl From<Stored> for Unreported {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Noted { run, at, outcome } => Self { run, at, outcome },
            Stored::Run(run) => {
                let outcome = if run.ends_with(FORGOTTEN) { DELETED } else { "the checklist is complete" };
                Self { run, at: None, outcome: outcome.to_owned() }
            }
        }
    }
}

/// A person.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Person {
    /// Name.
    pub name: String,
    /// What the person does in the team.
    pub role: String,
    /// Name of the mentor, as in the policy's `incidents.people`; empty if the mentor's data was deleted.
    pub mentor: String,
    /// The first day.
    pub start: Date,
    /// The last day on which the checklist is in time.
    pub due: Date,
    /// Name of the IAM user.
    pub iam_user: Option<String>,
    /// Login or e-mail address in Grafana.
    pub grafana_login: Option<String>,
    /// Id of the user in Grafana, once it was seen there.
    pub grafana_id: Option<u64>,
    /// Places where the person has no login, says a person.
    pub no_login: BTreeSet<Place>,
    /// Name in the policy, if it is another one.
    pub policy_name: Option<String>,
    /// SHA-256 of the request to begin, in hexadecimal, by which it is known when it comes again.
    pub asked: String,
    /// What is done, by the item's key.
    pub ticks: BTreeMap<String, Tick>,
    /// When everything was done.
    pub completed_at: Option<Timestamp>,
    /// The first day without access.
    pub left: Option<Date>,
    /// How often names, role, mentor, days and logins were changed by request.
    pub changes: u32,
    /// How often the first day without access was set, changed or taken back.
    pub leaves: u32,
    /// The task that asks for access.
    pub access_issue: Option<u64>,
    /// The task that asks for its removal.
    pub removal_issue: Option<u64>,
}

/// Why an item counts as done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tick {
    /// When it was noted.
    pub at: Timestamp,
    /// Who says so.
    pub by: By,
    /// The record that shows it, of an item that needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Who says that an item is done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// The person.
    Person,
    /// The mentor.
    Mentor,
    /// Nobody: it was found in IAM or Grafana.
    Check,
}

/// A record of another procedure that an item needs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Evidence {
    /// The procedure.
    pub procedure: String,
    /// Run id of the record.
    pub run: String,
    /// The object's key.
    pub key: String,
    /// SHA-256 of the object, in hexadecimal.
    pub sha256: String,
}

impl By {
    /// The word in records and answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Mentor => "mentor",
            Self::Check => "check",
        }
    }
}

impl Person {
    /// The name that the policy has for the person.
    pub(crate) fn name_in_policy(&self) -> &str {
        self.policy_name.as_deref().unwrap_or(&self.name)
    }

    /// Whether a name is the person's, here or in the policy.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        is_same_name(&self.name, name) || is_same_name(self.name_in_policy(), name)
    }

    /// Whether the person has left by a day.
    pub(crate) fn has_left(&self, today: Date) -> bool {
        self.left.is_some_and(|left| left <= today)
    }

    /// Whether the checklist is still worked on.
    pub(crate) fn is_new(&self, today: Date) -> bool {
        self.completed_at.is_none() && !self.has_left(today)
    }

    /// Whose name this is; none if it is neither the person's nor the mentor's.
    pub(crate) fn who(&self, name: &str) -> Option<By> {
        if is_same_name(name, &self.mentor) {
            Some(By::Mentor)
        } else if is_same_name(name, &self.name) {
            Some(By::Person)
        } else {
            None
        }
    }

    /// The day from which the data is deleted; none if the person has not left.
    pub(crate) fn forget_on(&self, forget_days: u16) -> Option<Date> {
        Some(after(self.left?, forget_days))
    }
}

impl People {
    /// Notes the record of a change.
    pub(crate) fn note(&mut self, id: &str, what: &str, outcome: String, at: Timestamp) {
        self.unreported.push(Unreported { run: format!("{id}/{what}"), at: Some(at), outcome });
    }

    /// The id of the person with a name.
    pub(crate) fn id_of(&self, name: &str) -> Option<&str> {
        self.people.iter().find(|(_, person)| is_same_name(&person.name, name)).map(|(id, _)| id.as_str())
    }
}

/// The day a number of days later.
pub(crate) fn after(day: Date, days: u16) -> Date {
    day.checked_add(Span::new().days(i64::from(days))).unwrap_or(Date::MAX)
}

/// An id from random bytes.
pub(crate) fn id(random: [u8; LENGTH]) -> String {
    let letter = |byte: u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('0', char::from);
    PREFIX.chars().chain(random.into_iter().map(letter)).collect()
}

/// Whether a text is an id.
pub(crate) fn is_id(text: &str) -> bool {
    let is_letter = |byte: u8| ALPHABET.contains(&byte);
    text.strip_prefix(PREFIX).is_some_and(|id| id.len() == LENGTH && id.bytes().all(is_letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_recognised_and_is_in_no_name() {
        assert_eq!(id([0, 1, 31, 32, 255, 10, 100, 7]), "P-01Z0ZA47");
        for (text, expected) in [
            ("P-01Z0ZA47", true),
            ("P-01Z0ZA4", false),
            ("P-01Z0ZA4U", false),
            ("P-01z0za47", false),
            ("Bia", false),
            ("P-../../x", false),
        ] {
            assert_eq!(is_id(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mentor_is_told_from_the_person_and_from_others() {
        let person =
            Person { name: "Bia Lima".to_owned(), mentor: "Ana Souza".to_owned(), ..Person::default() };
        for (name, expected) in
            [("bia lima", Some(By::Person)), ("Ana  souza", Some(By::Mentor)), ("Rui", None), ("", None)]
        {
            assert_eq!(person.who(name), expected, "{name}");
        }
        let without = Person { mentor: String::new(), ..person };
        for name in ["@", "\u{200b}", "\u{3164}", "@\u{ad}"] {
            assert_eq!(without.who(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_person_has_left_on_the_first_day_without_access() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let person = Person { left: Some(day("2026-12-10")), ..Person::default() };
        for (today, has_left) in [("2026-12-09", false), ("2026-12-10", true), ("2026-12-11", true)] {
            assert_eq!((person.has_left(day(today)), person.is_new(day(today))), (has_left, !has_left));
        }
        assert_eq!(person.forget_on(30), Some(day("2027-01-09")));
        assert_eq!(Person::default().forget_on(30), None);
        assert_eq!(after(Date::MAX, 1), Date::MAX);
    }
}
