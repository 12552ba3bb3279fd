//! Shifts: who is on call at an instant, until when and why.

use jiff::{SignedDuration, Timestamp};

use super::{Override, Rotation, Squad, instant};
use crate::Policy;
use crate::time::SAO_PAULO;

/// A time in which the same people are on call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shift<'a> {
    /// The person on call; if there is none, a page goes to the squad's contacts.
    pub person: Option<&'a str>,
    /// Whom to page if that person does not acknowledge. Never the same person.
    pub second: Option<&'a str>,
    /// The first instant; none if it has no beginning.
    pub from: Option<Timestamp>,
    /// The first instant after; none if it has no end.
    pub until: Option<Timestamp>,
    /// What decided it.
    pub why: Why<'a>,
}

/// What decided who is on call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Why<'a> {
    /// The rotation.
    Rotation,
    /// An override.
    Override {
        /// Its reason.
        reason: &'a str,
    },
    /// Nobody is on call: there is no rotation, it has no people, or it has not started.
    #[default]
    Contacts,
}

/// The beginning of a squad's shift.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HandOver<'a> {
    /// When it begins.
    pub at: Timestamp,
    /// The squad.
    pub squad: &'a str,
    /// The shift that begins.
    pub shift: Shift<'a>,
}

/// The shift of a squad at an instant. A squad that the policy does not list has nobody on call.
pub fn on_call<'a>(policy: &'a Policy, squad: &str, now: Timestamp) -> Shift<'a> {
    policy.incidents.squads.get(squad).map(|squad| squad.shift(now)).unwrap_or_default()
}

/// The shift after the one at this instant; none if that one has no end.
pub fn next<'a>(policy: &'a Policy, squad: &str, now: Timestamp) -> Option<Shift<'a>> {
    let end = on_call(policy, squad, now).until?;
    Some(on_call(policy, squad, end))
}

/// All hand-overs after `since` until `now`, both as instants of a sweep: the next sweep begins where this one ended,
/// and none is missed or found twice. Ordered by time, then by squad.
pub fn hand_overs(policy: &Policy, since: Timestamp, now: Timestamp) -> Vec<HandOver<'_>> {
    let mut found = Vec::new();
    for (name, squad) in &policy.incidents.squads {
        let mut shift = squad.shift(since);
        while let Some(at) = shift.until.filter(|at| *at <= now) {
            shift = squad.shift(at);
            found.push(HandOver { at, squad: name, shift });
        }
    }
    found.sort_by_key(|hand_over| (hand_over.at, hand_over.squad));
    found
}

impl Squad {
    pub(super) fn shift(&self, now: Timestamp) -> Shift<'_> {
        let turn = self.rotation.as_ref().map(|rotation| rotation.turn(now)).unwrap_or_default();
        let is_current = |one: &&Override| one.begins() <= now && now < one.ends();
        let Some(current) = self.overrides.iter().find(is_current) else {
            let before = self.overrides.iter().map(Override::ends).filter(|end| *end <= now).max();
            let after = self.overrides.iter().map(Override::begins).filter(|begin| *begin > now).min();
            return Shift { from: turn.from.max(before), until: earlier(turn.until, after), ..turn };
        };
        let person = Some(current.person.as_str());
        let second = current.second.as_deref().or(turn.second).filter(|second| Some(*second) != person);
        let (mut from, mut until) = (Some(current.begins()), Some(current.ends()));
        // Without a second of its own, an override over several turns has the second of each.
        if current.second.is_none()
            && self.rotation.as_ref().is_some_and(|rotation| !rotation.second.is_empty())
        {
            (from, until) = (from.max(turn.from), earlier(until, turn.until));
        }
        Shift { person, second, from, until, why: Why::Override { reason: &current.reason } }
    }
}

/// The earlier of two ends, where none is the end of time.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// The name of a turn, in a list that begins again after its last.
fn nth(names: &[String], turn: i64) -> Option<&str> {
    let place = usize::try_from(turn).ok()?.checked_rem(names.len())?;
    names.get(place).map(String::as_str)
}

impl Override {
    fn begins(&self) -> Timestamp {
        instant(self.from)
    }

    fn ends(&self) -> Timestamp {
        instant(self.until)
    }
}

impl Rotation {
    /// The turn at an instant, regardless of overrides.
    fn turn(&self, now: Timestamp) -> Shift<'_> {
        if self.people.is_empty() {
            return Shift::default();
        }
        let Some(number) = self.number(now) else {
            return Shift { until: Some(self.hand_over(0)), ..Shift::default() };
        };
        let person = nth(&self.people, number);
        Shift {
            person,
            second: nth(&self.second, number).filter(|second| Some(*second) != person),
            from: Some(self.hand_over(number)),
            until: Some(self.hand_over(number + 1)),
            why: Why::Rotation,
        }
    }

    /// The number of the turn at an instant, from 0; none before the first.
    fn number(&self, now: Timestamp) -> Option<i64> {
        let today = now.to_zoned_datetime(SAO_PAULO).date();
        let days = self.starts.duration_until(today).as_hours() / 24;
        let number = days.div_euclid(self.every.days());
        // On the day of a hand-over the turn before lasts until its time.
        [number, number - 1].into_iter().find(|number| *number >= 0 && self.hand_over(*number) <= now)
    }

    /// When a turn begins.
    fn hand_over(&self, number: i64) -> Timestamp {
        let date = self.starts.checked_add(SignedDuration::from_hours(24 * self.every.days() * number));
        date.map_or(Timestamp::MAX, |date| instant(date.to_datetime(self.at)))
    }
}
