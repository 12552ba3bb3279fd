//! On call: the people, the squads, and who of them is paged at an instant.
//!
//! The policy's dates and times of day are São Paulo's; an instant that its clocks skipped or repeated is read as the
//! later or the first one.

mod finding;
mod shift;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::time::SAO_PAULO;
use crate::{PolicyError, is_line, within};

pub use finding::{Finding, Kind, findings};
pub use shift::{Shift, Why, change, next, on_call};
pub use target::{Page, Role, Target, targets};

/// Minutes that a page waits for its acknowledgement before the next one is paged; [`crate::Severity::acknowledge_minutes`]
/// chooses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeMinutes {
    /// Of S0 and S1: 1 to 240.
    pub critical: u16,
    /// Of S2 and S3: 1 to 240.
    pub warning: u16,
}

/// How to reach a person, or a squad without a person on call.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    /// Id of a Slack user (`U…`, `W…`); for a squad also of a user group (`S…`).
    pub slack: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number in the form of E.164: `+5511912345678`.
    pub phone: Option<String>,
    /// Whether a test message arrived at the number. An unverified number does not count as reachable.
    pub phone_verified: bool,
}

/// A squad: who of it is on call.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Squad {
    /// Whom to page when nobody is on call, or the person on call cannot be reached: all of them.
    pub contacts: Vec<Contact>,
    /// The regular turns.
    pub rotation: Option<Rotation>,
    /// Exceptions to the rotation, or to its absence. They do not overlap.
    pub overrides: Vec<Override>,
    /// Id of a Slack user group (`S…`) whose members the pager replaces at each hand-over by the people on call.
    pub group: Option<String>,
}

/// The regular turns of a squad. The first one goes to the first person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Length of a turn.
    pub every: Every,
    /// The day of a weekly hand-over; absent if daily.
    pub weekday: Option<Weekday>,
    /// The time of the hand-over.
    #[serde(deserialize_with = "time_of_day")]
    pub at: Time,
    /// The day of the first hand-over; nobody is on call before. A weekly rotation starts on its weekday.
    pub starts: Date,
    /// Their names, in turn. Nobody is on call if there are none.
    pub people: Vec<String>,
    /// The second of each turn, in turn from the same start: the first turn has the first of them.
    #[serde(default)]
    pub second: Vec<String>,
}

/// Length of a turn.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Every {
    /// From one day to the next.
    Daily,
    /// From one weekday to the same weekday.
    Weekly,
}

/// A day of the week; its number counts from Monday.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A time in which another person is on call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The first minute: `2026-12-24T18:00`.
    #[serde(deserialize_with = "local_time")]
    pub from: DateTime,
    /// The first minute after.
    #[serde(deserialize_with = "local_time")]
    pub until: DateTime,
    /// Who is on call.
    pub person: String,
    /// The second; if absent, the rotation's.
    pub second: Option<String>,
    /// The reason, in one line.
    pub reason: String,
}

/// Parses `HH:MM`.
fn time_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let text = String::deserialize(deserializer)?;
    written(&text, "00:00").ok_or_else(|| D::Error::custom("expected a time of day, e.g. 09:00"))
}

/// Parses `YYYY-MM-DDTHH:MM`. An offset is refused, because a civil time would ignore it.
fn local_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = "expected a time in São Paulo, e.g. 2026-12-24T18:00";
    written(&text, "0000-00-00T00:00").ok_or_else(|| D::Error::custom(expected))
}

/// Parses a text of this form, where `0` is any digit.
fn written<T: FromStr>(text: &str, form: &str) -> Option<T> {
    let fits = |(found, form): (u8, u8)| if form == b'0' { found.is_ascii_digit() } else { found == form };
    let is_form = text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits);
    if is_form { text.parse().ok() } else { None }
}

/// The instant of a local time.
fn instant(local: DateTime) -> Timestamp {
    local.to_zoned_datetime(SAO_PAULO).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

impl Every {
    fn days(self) -> i64 {
        match self {
            Self::Daily => 1,
            Self::Weekly => 7,
        }
    }
}

impl AcknowledgeMinutes {
    pub(super) fn check(self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.critical"), self.critical, 1, 240)?;
        within(format!("{path}.warning"), self.warning, 1, 240)
    }
}

/// Checks the people and the squads, which `path` holds as `people` and `squads`.
pub(super) fn check(
    path: &str,
    people: &BTreeMap<String, Contact>,
    squads: &BTreeMap<String, Squad>,
) -> Result<(), PolicyError> {
    let mut users = BTreeSet::new();
    for (name, contact) in people {
        let path = format!("{path}.people.{name}");
        is_name(&path, name)?;
        contact.check(&path, &["U", "W"])?;
        // The desk knows people by it.
        if contact.slack.as_ref().is_some_and(|user| !users.insert(user)) {
            return Err(PolicyError::at(format!("{path}.slack"), "is also another person's"));
        }
    }
    let mut groups = BTreeSet::new();
    for (name, squad) in squads {
        let path = format!("{path}.squads.{name}");
        is_name(&path, name)?;
        squad.check(&path, people)?;
        let Some(group) = &squad.group else { continue };
        let path = format!("{path}.group");
        if !is_slack(group, &["S"]) {
            return Err(PolicyError::at(path, "expected the id of a Slack user group, which begins with S"));
        }
        // Its members are replaced, so nobody else could be reached by it.
        let mut contacts = squads.values().flat_map(|squad| &squad.contacts);
        if contacts.any(|contact| contact.slack.as_ref() == Some(group)) {
            return Err(PolicyError::at(
                path,
                "is also a contact, which would reach the people on call only",
            ));
        }
        if !groups.insert(group) {
            return Err(PolicyError::at(path, "is also another squad's group"));
        }
    }
    Ok(())
}

fn is_name(path: &str, name: &str) -> Result<(), PolicyError> {
    if is_line(name, 100) {
        return Ok(());
    }
    Err(PolicyError::at(path, "expected a name, one line of at most 100 characters"))
}

fn is_known(path: String, name: &str, people: &BTreeMap<String, Contact>) -> Result<(), PolicyError> {
    if people.contains_key(name) {
        return Ok(());
    }
    Err(PolicyError::at(path, format!("incidents.people has no {name}")))
}

impl Contact {
    /// Whether there is a way to reach the person: Slack, e-mail or a verified phone.
    pub fn is_reachable(&self) -> bool {
        self.slack.is_some() || self.email.is_some() || (self.phone.is_some() && self.phone_verified)
    }

    /// Whether there is a phone number to which no test message was sent.
    fn is_unverified(&self) -> bool {
        self.phone.is_some() && !self.phone_verified
    }

    fn check(&self, path: &str, slack: &[&str]) -> Result<(), PolicyError> {
        if self.slack.as_deref().is_some_and(|id| !is_slack(id, slack)) {
            let reason = format!("expected a Slack id that begins with {}", slack.join(" or "));
            return Err(PolicyError::at(format!("{path}.slack"), reason));
        }
        if self.email.as_deref().is_some_and(|address| !is_email(address)) {
            return Err(PolicyError::at(format!("{path}.email"), "expected an e-mail address, NAME@DOMAIN"));
        }
        if self.phone.as_deref().is_some_and(|number| !is_phone(number)) {
            let reason = "expected a number in the form of E.164, e.g. +5511912345678";
            return Err(PolicyError::at(format!("{path}.phone"), reason));
        }
        if self.phone_verified && self.phone.is_none() {
            return Err(PolicyError::at(format!("{path}.phone_verified"), "there is no phone"));
        }
        Ok(())
    }
}

/// Whether a text is a Slack id of one of these types.
fn is_slack(id: &str, types: &[&str]) -> bool {
    types.iter().any(|letter| id.starts_with(letter))
        && (9..=20).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether a text is a plain e-mail address: ASCII, without quotes or comments.
pub(super) fn is_email(address: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_local = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    address.len() <= 254
        && address.split_once('@').is_some_and(|(local, domain)| {
            local.split('.').all(is_local) && domain.contains('.') && domain.split('.').all(is_word)
        })
}

/// Whether a text is a phone number of E.164: a plus sign and at most 15 digits, the first of them not zero.
fn is_phone(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

impl Squad {
    fn check(&self, path: &str, people: &BTreeMap<String, Contact>) -> Result<(), PolicyError> {
        for (place, contact) in self.contacts.iter().enumerate() {
            let path = format!("{path}.contacts[{place}]");
            if *contact == Contact::default() {
                return Err(PolicyError::at(path, "expected slack, email or phone"));
            }
            contact.check(&path, &["S", "U", "W"])?;
        }
        if let Some(rotation) = &self.rotation {
            rotation.check(&format!("{path}.rotation"), people)?;
        }
        for (place, one) in self.overrides.iter().enumerate() {
            let overlapped = self
                .overrides
                .iter()
                .take(place)
                .position(|other| one.from < other.until && other.from < one.until);
            let path = format!("{path}.overrides[{place}]");
            one.check(&path, people)?;
            if let Some(other) = overlapped {
                return Err(PolicyError::at(path, format!("overlaps overrides[{other}]")));
            }
        }
        Ok(())
    }
}

impl Rotation {
    fn check(&self, path: &str, people: &BTreeMap<String, Contact>) -> Result<(), PolicyError> {
        match (self.every, self.weekday) {
            (Every::Weekly, None) => {
                return Err(PolicyError::at(format!("{path}.weekday"), "required with weekly"));
            }
            (Every::Daily, Some(_)) => {
                return Err(PolicyError::at(format!("{path}.weekday"), "only with weekly"));
            }
            (Every::Weekly, Some(weekday))
                if weekday as i8 != self.starts.weekday().to_monday_zero_offset() =>
            {
                return Err(PolicyError::at(format!("{path}.starts"), "is not on the rotation's weekday"));
            }
            _ => {}
        }
        for (field, names) in [("people", &self.people), ("second", &self.second)] {
            for (place, name) in names.iter().enumerate() {
                is_known(format!("{path}.{field}[{place}]"), name, people)?;
            }
        }
        Ok(())
    }
}

impl Override {
    fn check(&self, path: &str, people: &BTreeMap<String, Contact>) -> Result<(), PolicyError> {
        if self.until <= self.from {
            return Err(PolicyError::at(format!("{path}.until"), "expected a time after from"));
        }
        is_known(format!("{path}.person"), &self.person, people)?;
        if let Some(second) = &self.second {
            is_known(format!("{path}.second"), second, people)?;
        }
        if !is_line(&self.reason, 200) {
            let reason = "expected one line of at most 200 characters";
            return Err(PolicyError::at(format!("{path}.reason"), reason));
        }
        Ok(())
    }
}
