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

/// Most shifts of the same people that [`change`] looks past: a rotation of one person never changes.
const MOST_ALIKE: usize = 60;

impl<'a> Shift<'a> {
    /// The person on call and the second.
    pub fn people(&self) -> (Option<&'a str>, Option<&'a str>) {
        (self.person, self.second)
    }
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

/// The next shift of other people, and when it begins; none if the same people stay as far as it looks.
pub fn change<'a>(policy: &'a Policy, squad: &str, now: Timestamp) -> Option<(Timestamp, Shift<'a>)> {
    let squad = policy.incidents.squads.get(squad)?;
    let present = squad.shift(now);
    let mut shift = present;
    for _ in 0..MOST_ALIKE {
        let end = shift.until?;
        shift = squad.shift(end);
        if shift.people() != present.people() {
            return Some((end, shift));
        }
    }
    None
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
