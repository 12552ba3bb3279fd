//! Findings: what would keep a page from reaching somebody, before there is one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Contact, Squad};
use crate::{Area, Policy};

/// Something that would keep a page from reaching somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Finding<'a> {
    /// What it is.
    pub kind: Kind,
    /// The squad that it concerns.
    pub squad: &'a str,
    /// The person that it concerns; none if it concerns the squad.
    pub person: Option<&'a str>,
    /// The first instant at which it matters.
    pub from: Timestamp,
    /// The first instant after.
    pub until: Timestamp,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A person on call, or a second, without Slack, e-mail or a verified phone.
    PersonUnreachable,
    /// A phone number of a person on call, a second or a squad to which no test message was sent.
    PhoneUnverified,
    /// Nobody is on call although the squad has a rotation.
    RotationGap,
    /// The squad has neither a rotation nor a contact that can be reached.
    SquadUnreachable,
    /// The inventory or a secret names the squad, but `incidents.squads` does not.
    SquadUnknown,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::PersonUnreachable,
        Self::PhoneUnverified,
        Self::RotationGap,
        Self::SquadUnreachable,
        Self::SquadUnknown,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PersonUnreachable => "PersonUnreachable",
            Self::PhoneUnverified => "PhoneUnverified",
            Self::RotationGap => "RotationGap",
            Self::SquadUnreachable => "SquadUnreachable",
            Self::SquadUnknown => "SquadUnknown",
        }
    }
}

/// All findings of a time, by squad. A person appears once per squad, with their first shift in that time.
pub fn findings(policy: &Policy, from: Timestamp, until: Timestamp) -> Vec<Finding<'_>> {
    let mut found = Vec::new();
    for name in squads(policy) {
        let finding = |kind| Finding { kind, squad: name, person: None, from, until };
        let Some(squad) = policy.incidents.squads.get(name) else {
            found.push(finding(Kind::SquadUnknown));
            continue;
        };
        if squad.contacts.iter().any(Contact::is_unverified) {
            found.push(finding(Kind::PhoneUnverified));
        }
        if squad.rotation.is_none() && !squad.contacts.iter().any(Contact::is_reachable) {
            found.push(finding(Kind::SquadUnreachable));
        }
        let (gaps, people) = shifts(squad, from, until);
        if squad.rotation.is_some() {
            let gap = |(from, until): Span| Finding { from, until, ..finding(Kind::RotationGap) };
            found.extend(gaps.into_iter().map(gap));
        }
        for (person, (from, until)) in people {
            let finding = |kind| Finding { kind, squad: name, person: Some(person), from, until };
            let contact = policy.incidents.people.get(person);
            if !contact.is_some_and(Contact::is_reachable) {
                found.push(finding(Kind::PersonUnreachable));
            }
            if contact.is_some_and(Contact::is_unverified) {
                found.push(finding(Kind::PhoneUnverified));
            }
        }
    }
    found
}

/// All squads that the policy names.
fn squads(policy: &Policy) -> BTreeSet<&str> {
    let areas = Area::ALL.map(|area| policy.responsible(area));
    let secrets = policy.rotation.secrets.values().filter_map(|secret| secret.responsible.as_ref());
    let teams = areas.into_iter().chain(secrets).flat_map(|teams| [&teams.primary, &teams.backup]);
    teams.chain(policy.incidents.squads.keys()).map(String::as_str).collect()
}

type Span = (Timestamp, Timestamp);

/// The shifts of a time without a person, and everybody's first shift, cut to that time.
fn shifts(squad: &Squad, from: Timestamp, until: Timestamp) -> (Vec<Span>, BTreeMap<&str, Span>) {
    let (mut gaps, mut people) = (Vec::new(), BTreeMap::new());
    let mut at = from;
    while at < until {
        let shift = squad.shift(at);
        let end = shift.until.map_or(until, |end| end.min(until));
        if shift.person.is_none() {
            gaps.push((at, end));
        }
        for person in [shift.person, shift.second].into_iter().flatten() {
            people.entry(person).or_insert((at, end));
        }
        at = end;
    }
    (gaps, people)
}
