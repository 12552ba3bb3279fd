//! Hand-overs: when the channel has to be told that other people of a squad are on call.
//!
//! Who was told last is compared with who is on call now, not an instant with another: so an override that is taken back,
//! or a list that is changed, is told too; shifts of the same people are one; and what a sweep missed is told late, once,
//! and as it now is.

use incident::store::{Attribute, Attributes, Check, Key, Write, number, text};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::policy::Policy;
use shared::policy::oncall::{Shift, change, on_call};

/// How late the channel is still told. Who is on call has then been read elsewhere, or nobody looked.
const LATE: SignedDuration = SignedDuration::from_hours(6);

/// The wait after the first attempt; each further one doubles it, five times.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// What the channel has heard of a squad.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Told {
    /// The person on call.
    pub person: Option<String>,
    /// The second.
    pub second: Option<String>,
    /// The user group that has them as members.
    pub group: Option<String>,
    /// Until when, as far as was known.
    pub until: Option<Timestamp>,
}

/// What the table has about the hand-overs of a squad.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Noted {
    /// What was told last; none before the first attempt.
    pub told: Option<Told>,
    /// Attempts to tell the next.
    pub attempts: u32,
    /// Whether one of them may have arrived.
    pub unclear: bool,
    /// When the next attempt is due.
    pub next: Option<Timestamp>,
    /// The item's version; 0 if there is none.
    #[serde(skip)]
    pub version: i64,
}

impl Noted {
    /// The key of a squad's note.
    pub(crate) fn key(squad: &str) -> Key {
        Key { pk: format!("HANDOVER#{squad}"), sk: "HANDOVER".to_owned() }
    }

    /// Reads a note. One that is not understood is like none at all, but is replaced only in its version.
    pub(crate) fn read(item: &Attributes) -> Self {
        let noted = text(item, "body").and_then(|body| serde_json::from_str(body).ok());
        Self { version: number(item, "version").unwrap_or_default(), ..noted.unwrap_or_default() }
    }

    /// The write of the next version. It has no effect if another sweep was faster. It never expires: the people may
    /// stay for years, and are no news then.
    pub(crate) fn write(&self, squad: &str) -> Write {
        let only_if = if self.version == 0 {
            Check::Absent("pk")
        } else {
            Check::Equals("version", Attribute::Number(self.version))
        };
        let mut item = Self::key(squad).attributes();
        let body = serde_json::to_string(self).unwrap_or_default();
        item.insert("body".to_owned(), Attribute::Text(body));
        item.insert("version".to_owned(), Attribute::Number(self.version + 1));
        Write::Put { item, only_if: vec![only_if] }
    }

    /// The note of an attempt that begins now. If its sender dies, it may have arrived.
    pub(crate) fn tried(&self, now: Timestamp) -> Self {
        let wait = FIRST_WAIT.saturating_mul(1_i32 << self.attempts.min(5));
        let next = now.checked_add(wait).ok();
        Self { attempts: self.attempts.saturating_add(1), unclear: true, next, ..self.clone() }
    }

    /// The note after the channel was told.
    pub(crate) fn done(&self, told: Told) -> Self {
        Self { told: Some(told), version: self.version, ..Self::default() }
    }
}

/// A change of the people or of their group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HandOver<'a> {
    pub squad: &'a str,
    /// The present shift.
    pub shift: Shift<'a>,
    /// The next shift of other people, and when it begins.
    pub change: Option<(Timestamp, Shift<'a>)>,
    /// The user group, and its members from now on: the Slack ids of the people.
    pub group: Option<(&'a str, Vec<&'a str>)>,
    /// Whether the channel is told. Otherwise only the group changes: at the first look, so that a new stack does not
    /// begin with a message for each squad; if the same people have another group; and if it is too late.
    pub is_told: bool,
}

/// What a squad's change is now, if there is one and its attempt is due.
pub(crate) fn due<'a>(
    policy: &'a Policy,
    squad: &'a str,
    noted: &Noted,
    now: Timestamp,
) -> Option<HandOver<'a>> {
    if noted.next.is_some_and(|next| next > now) {
        return None;
    }
    let shift = on_call(policy, squad, now);
    let group = policy.incidents.squads.get(squad).and_then(|squad| squad.group.as_deref());
    let told = noted.told.as_ref();
    let is_same = |told: &Told| shift.people() == (told.person.as_deref(), told.second.as_deref());
    if told.is_some_and(|told| is_same(told) && told.group.as_deref() == group) {
        return None;
    }
    let is_old = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) > LATE);
    let is_told = told.is_some_and(|told| !(is_same(told) || is_old(told.until) && is_old(shift.from)));
    let people = [shift.person, shift.second].into_iter().flatten();
    let contacts = people.filter_map(|name| policy.incidents.people.get(name));
    let members: Vec<&str> = contacts.filter_map(|contact| contact.slack.as_deref()).collect();
    let change = change(policy, squad, now);
    Some(HandOver { squad, shift, change, group: group.map(|group| (group, members)), is_told })
}

impl HandOver<'_> {
    /// What the channel has heard afterwards.
    pub(crate) fn told(&self) -> Told {
        let (person, second) = self.shift.people();
        Told {
            person: person.map(str::to_owned),
            second: second.map(str::to_owned),
            group: self.group.as_ref().map(|(group, _)| (*group).to_owned()),
            until: self.change.map(|(until, _)| until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand-overs at 12:00 UTC; Caio has no Slack.
    fn policy(overrides: &str, group: &str) -> Policy {
        let patch = r#"{"incidents": {
            "people": {
                "Ana": {"slack": "U00000ANA"},
                "Bia": {"slack": "U00000BIA"},
                "Caio": {"email": "caio@moveongs.example"}
            },
            "squads": {"Squad Infra": {
                "rotation": {"every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Ana", "Bia"], "second": ["Caio"]},
                "overrides": [OVERRIDES], "group": GROUP
            }}
        }}"#;
        patch.replace("OVERRIDES", overrides).replace("GROUP", group).parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn told(person: &str, until: Option<&str>) -> Noted {
        let second = Some("Caio".to_owned());
        let told = Told { person: Some(person.to_owned()), second, group: None, until: until.map(at) };
        Noted { told: Some(told), ..Noted::default() }
    }

    #[test]
    fn the_channel_is_told_when_other_people_are_on_call_and_not_long_after() {
        const OVERRIDE: &str = r#"{"from": "2026-11-29T10:00", "until": "2026-11-29T12:00", "person": "Bia", "reason": "folga"}"#;
        // On the 29th, the 29th turn: Ana's. It lasts until the 30th, 12:00 UTC.
        let (end, before) = (Some("2026-11-30T12:00:00Z"), Some("2026-11-29T12:00:00Z"));
        for (overrides, noted, now, expected) in [
            // Nothing changes.
            ("", told("Ana", end), "2026-11-30T11:59:59Z", None),
            // The first look, and one at an item that is not understood.
            ("", Noted::default(), "2026-11-30T11:59:59Z", Some(("Ana", false))),
            ("", Noted { version: 7, ..Noted::default() }, "2026-11-30T11:59:59Z", Some(("Ana", false))),
            // At the instant, late, and too late.
            ("", told("Ana", end), "2026-11-30T12:00:00Z", Some(("Bia", true))),
            ("", told("Ana", end), "2026-11-30T18:00:00Z", Some(("Bia", true))),
            ("", told("Ana", end), "2026-11-30T18:00:01Z", Some(("Bia", false))),
            // A sweep that missed two days tells the present shift, if that one is new.
            ("", told("Bia", Some("2026-11-27T12:00:00Z")), "2026-11-29T12:01:00Z", Some(("Ana", true))),
            ("", told("Ana", Some("2026-11-28T12:00:00Z")), "2026-11-29T12:01:00Z", None),
            // An override begins, and ends.
            (OVERRIDE, told("Ana", Some("2026-11-29T13:00:00Z")), "2026-11-29T12:59:59Z", None),
            (
                OVERRIDE,
                told("Ana", Some("2026-11-29T13:00:00Z")),
                "2026-11-29T13:00:00Z",
                Some(("Bia", true)),
            ),
            (
                OVERRIDE,
                told("Bia", Some("2026-11-29T15:00:00Z")),
                "2026-11-29T15:00:00Z",
                Some(("Ana", true)),
            ),
            // It was taken back: the shift began long ago, but the people had longer.
            ("", told("Bia", end), "2026-11-30T11:00:00Z", Some(("Ana", true))),
            // The channel has not heard yet of somebody who never had an end.
            ("", told("Davi", None), "2026-11-30T11:00:00Z", Some(("Ana", true))),
            ("", told("Bia", before), "2026-11-29T12:00:30Z", Some(("Ana", true))),
        ] {
            let policy = policy(overrides, "null");
            let found = due(&policy, "Squad Infra", &noted, at(now));
            let found = found.map(|found| (found.shift.person.unwrap(), found.is_told));
            assert_eq!(found, expected, "{now} {noted:?}");
        }
    }

    #[test]
    fn the_group_has_the_people_who_have_slack() {
        let group = r#""S0000GROUP""#;
        let now = at("2026-11-30T11:00:00Z");
        for (overrides, members) in [
            ("", vec!["U00000ANA"]),
            (
                r#"{"from": "2026-11-30T00:00", "until": "2026-11-30T12:00", "person": "Bia", "second": "Ana", "reason": "x"}"#,
                vec!["U00000BIA", "U00000ANA"],
            ),
            (
                r#"{"from": "2026-11-30T00:00", "until": "2026-11-30T12:00", "person": "Caio", "reason": "x"}"#,
                vec![],
            ),
        ] {
            let policy = policy(overrides, group);
            let found = due(&policy, "Squad Infra", &Noted::default(), now).unwrap();
            assert_eq!(found.group, Some(("S0000GROUP", members)));
            assert_eq!(found.told().group.as_deref(), Some("S0000GROUP"));
        }
        // A group that the policy has got since is kept in step without a message.
        let policy = policy("", group);
        assert!(!due(&policy, "Squad Infra", &told("Ana", None), now).unwrap().is_told);
    }

    #[test]
    fn attempts_come_back_ever_later_and_the_first_note_needs_that_there_is_none() {
        let (policy, now) = (policy("", "null"), at("2026-11-30T12:00:00Z"));
        let mut noted = told("Ana", Some("2026-11-30T12:00:00Z"));
        for minutes in [1, 2, 4, 8, 16, 32, 32] {
            noted = noted.tried(now);
            assert!(noted.unclear);
            let next = now + SignedDuration::from_mins(minutes);
            assert_eq!(noted.next, Some(next));
            let is_due = |now: Timestamp| due(&policy, "Squad Infra", &noted, now).is_some();
            assert!(!is_due(next - SignedDuration::from_secs(1)) && is_due(next));
        }
        let stored = |noted: &Noted| match noted.write("Squad Infra") {
            Write::Put { item, only_if } => (Noted::read(&item), only_if),
            other => panic!("{other:?}"),
        };
        let (read, only_if) = stored(&noted);
        assert_eq!((Noted { version: 0, ..read.clone() }, read.version), (noted, 1));
        assert_eq!(only_if, [Check::Absent("pk")]);
        let over = due(&policy, "Squad Infra", &Noted::default(), now).unwrap();
        let (done, only_if) = stored(&read.done(over.told()));
        assert_eq!((done.version, done.attempts, done.unclear, done.next), (2, 0, false, None));
        assert_eq!(done.told.unwrap().until, Some(at("2026-12-01T12:00:00Z")));
        assert_eq!(only_if, [Check::Equals("version", Attribute::Number(1))]);
    }
}
