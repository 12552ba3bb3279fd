//! Whom a page reaches, and when.

use jiff::Timestamp;

use super::{Contact, on_call};
use crate::{Policy, Responsible};

/// A page, as far as its targets depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The squads that answer for it.
    pub responsible: &'a Responsible,
    /// Whole minutes since the page.
    pub minutes: u32,
    /// Minutes to wait for an acknowledgement, of [`super::AcknowledgeMinutes`].
    pub wait_minutes: u16,
    /// Whether somebody acknowledged it.
    pub is_acknowledged: bool,
}

/// Why somebody is paged.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// On call in the primary squad, or the squad's contacts.
    OnCall,
    /// The second of that shift.
    Second,
    /// On call in the backup squad, or that squad's contacts.
    Backup,
}

/// Somebody to page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target<'a> {
    /// Why.
    pub role: Role,
    /// The squad.
    pub squad: &'a str,
    /// The person's name; none for a contact of the squad.
    pub person: Option<&'a str>,
    /// How to reach them.
    pub contact: &'a Contact,
}

/// Everybody that a page must have reached by `now`; after the acknowledgement, nobody more.
///
/// First the person on call, after the wait the second, after another one the backup squad's person on call. Contacts
/// of a squad replace a person who is absent or cannot be reached. Nobody appears twice, and a step that would reach
/// nobody takes no time: the next one takes its place. Empty if the policy knows no way to reach anybody.
pub fn targets<'a>(policy: &'a Policy, page: &Page<'a>, now: Timestamp) -> Vec<Target<'a>> {
    let mut paged: Vec<Target<'a>> = Vec::new();
    if page.is_acknowledged {
        return paged;
    }
    let mut left = (page.minutes / u32::from(page.wait_minutes.max(1))).saturating_add(1);
    for role in [Role::OnCall, Role::Second, Role::Backup] {
        if left == 0 {
            break;
        }
        let added = step(policy, page.responsible, role, now, &paged);
        left -= u32::from(added.iter().any(|target| target.contact.is_reachable()));
        paged.extend(added);
    }
    paged
}

/// Whom one step adds to those paged before.
fn step<'a>(
    policy: &'a Policy,
    responsible: &'a Responsible,
    role: Role,
    now: Timestamp,
    paged: &[Target<'a>],
) -> Vec<Target<'a>> {
    let squad = if role == Role::Backup { &responsible.backup } else { &responsible.primary };
    let shift = on_call(policy, squad, now);
    let name = if role == Role::Second { shift.second } else { shift.person };
    let is_new = |contact: &Contact| !paged.iter().any(|target| target.contact == contact);
    let person = name.and_then(|name| Some((name, policy.incidents.people.get(name)?)));
    let person = person.filter(|(_, contact)| **contact != Contact::default() && is_new(contact));
    let is_reached = person.is_some_and(|(_, contact)| contact.is_reachable());
    let target = |person, contact| Target { role, squad, person, contact };
    let mut found: Vec<_> = person.into_iter().map(|(name, contact)| target(Some(name), contact)).collect();
    if !is_reached && role != Role::Second {
        let contacts = policy.incidents.squads.get(squad).map(|squad| squad.contacts.as_slice());
        let new = contacts.unwrap_or_default().iter().filter(|contact| is_new(contact));
        found.extend(new.map(|contact| target(None, contact)));
    }
    found
}
