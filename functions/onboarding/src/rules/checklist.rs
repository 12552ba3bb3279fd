//! The checklist of the guide's section 5: its items, how each is ticked, and how it stands.

use jiff::Timestamp;
use shared::policy::{Onboarding, Shadowing};

use super::access::{Access, Membership};
use super::person::{By, Person, Tick};

/// An item of the checklist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Item {
    /// The person has read a document.
    Document(String),
    /// The person's IAM user is in the group.
    AwsAccess,
    /// The person is in Grafana's organisation.
    GrafanaAccess,
    /// The application runs on the person's computer.
    LocalEnvironment,
    /// The person has accompanied a piece of work that has a record.
    Shadowing(Shadowing),
}

/// How an item stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Done.
    Done,
    /// Not done.
    Open,
    /// It could not be checked, with the reason. Never counts as done.
    Unknown(String),
}

impl State {
    /// The word in answers.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Open => "open",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// An item with how it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// The item.
    pub item: Item,
    /// How it stands.
    pub state: State,
}

const DOCUMENT: &str = "document:";

impl Item {
    /// Its name in requests, records and answers.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Document(document) => format!("{DOCUMENT}{document}"),
            Self::AwsAccess => "aws_access".to_owned(),
            Self::GrafanaAccess => "grafana_access".to_owned(),
            Self::LocalEnvironment => "local_environment".to_owned(),
            Self::Shadowing(Shadowing::Deploy) => "shadow_deploy".to_owned(),
            Self::Shadowing(Shadowing::Restore) => "shadow_restore".to_owned(),
            Self::Shadowing(Shadowing::Rotation) => "shadow_rotation".to_owned(),
        }
    }

    /// Whether a person may say that it is done: who of the two. The rest is checked, or needs a record. Access that the
    /// stack does not have is said by the mentor.
    pub(crate) fn may_be_said_by(&self, by: By, access: &Access) -> bool {
        match self {
            Self::Document(_) => true,
            Self::LocalEnvironment => by == By::Mentor,
            Self::AwsAccess => by == By::Mentor && access.group == super::access::Read::NotCovered,
            Self::GrafanaAccess => by == By::Mentor && access.grafana == super::access::Read::NotCovered,
            Self::Shadowing(_) => false,
        }
    }
}

/// The items under a policy, in the guide's order.
pub(crate) fn items(policy: &Onboarding) -> Vec<Item> {
    let documents = policy.documents.iter().cloned().map(Item::Document);
    let access = [Item::AwsAccess, Item::GrafanaAccess, Item::LocalEnvironment];
    documents.chain(access).chain(policy.shadowing.iter().copied().map(Item::Shadowing)).collect()
}

/// How each item of a person stands.
pub(crate) fn checklist(person: &Person, policy: &Onboarding, access: &Access) -> Vec<Line> {
    let stands = |item: &Item| {
        let said = if person.ticks.contains_key(&item.key()) { State::Done } else { State::Open };
        let checked = |membership: Membership| match membership {
            // What a person does not need is not open for ever.
            Membership::Member | Membership::SaidNone => State::Done,
            Membership::NotMember | Membership::NoLogin => State::Open,
            Membership::Unknown(why) => State::Unknown(why),
            Membership::NotCovered => said.clone(),
        };
        match item {
            Item::AwsAccess => checked(access.in_group(person)),
            Item::GrafanaAccess => checked(access.in_grafana(person)),
            Item::Document(_) | Item::LocalEnvironment | Item::Shadowing(_) => said.clone(),
        }
    };
    items(policy).into_iter().map(|item| Line { state: stands(&item), item }).collect()
}

/// Whether everything is done.
pub(crate) fn is_complete(lines: &[Line]) -> bool {
    lines.iter().all(|line| line.state == State::Done)
}

/// Notes since when a person has the access that was checked, and removes what was noted if it is gone. What could not be read
/// changes nothing.
pub(crate) fn observe(person: &mut Person, access: &Access, now: Timestamp) {
    let checked =
        [(Item::AwsAccess, access.in_group(person)), (Item::GrafanaAccess, access.in_grafana(person))];
    for (item, membership) in checked {
        let key = item.key();
        match membership {
            Membership::Member => {
                let is_checked = person.ticks.get(&key).is_some_and(|tick| tick.by == By::Check);
                if !is_checked {
                    person.ticks.insert(key, Tick { at: now, by: By::Check, evidence: None });
                }
            }
            Membership::NotMember | Membership::SaidNone => {
                person.ticks.remove(&key);
            }
            Membership::NoLogin | Membership::NotCovered | Membership::Unknown(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::policy::Policy;

    use super::super::access::{Place, Read};
    use super::*;

    fn now() -> Timestamp {
        "2026-12-01T12:00:00Z".parse().unwrap()
    }

    fn policy() -> Onboarding {
        "".parse::<Policy>().unwrap().onboarding
    }

    fn person() -> Person {
        Person {
            iam_user: Some("bia".to_owned()),
            grafana_login: Some("bia".to_owned()),
            ..Person::default()
        }
    }

    fn known(names: &[&str]) -> Read<BTreeSet<String>> {
        Read::Known(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn tick(by: By) -> Tick {
        Tick { at: now(), by, evidence: None }
    }

    #[test]
    fn the_items_are_the_guides() {
        let keys: Vec<_> = items(&policy()).iter().map(Item::key).collect();
        assert_eq!(
            keys,
            [
                "document:docs/observability/README.md",
                "document:docs/openapi/v1/openapi.yaml",
                "document:guia-operacional.md",
                "aws_access",
                "grafana_access",
                "local_environment",
                "shadow_deploy",
                "shadow_restore",
                "shadow_rotation",
            ]
        );
    }

    #[test]
    fn access_counts_only_while_it_is_seen() {
        let unknown = || Read::Unknown("no answer".to_owned());
        for (group, is_ticked, expected) in [
            (known(&["bia"]), false, State::Done),
            (known(&["ana"]), true, State::Open),
            (unknown(), true, State::Unknown("no answer".to_owned())),
            (Read::NotCovered, false, State::Open),
            (Read::NotCovered, true, State::Done),
        ] {
            let mut person = person();
            if is_ticked {
                person.ticks.insert("aws_access".to_owned(), tick(By::Mentor));
            }
            let access = Access { group: group.clone(), grafana: Read::NotCovered, ..Access::default() };
            let lines = checklist(&person, &policy(), &access);
            assert_eq!(lines[3], Line { item: Item::AwsAccess, state: expected }, "{group:?} {is_ticked}");
        }
    }

    #[test]
    fn what_a_person_needs_no_login_for_is_not_open() {
        let mut person = Person { grafana_login: None, ..person() };
        let access = Access { group: known(&["bia"]), grafana: known(&[]), ..Access::default() };
        let state = |person: &Person| checklist(person, &policy(), &access)[4].state.clone();
        assert_eq!(state(&person), State::Open);
        person.no_login = [Place::Grafana].into();
        assert_eq!(state(&person), State::Done);
    }

    #[test]
    fn everything_is_done_only_when_each_item_is() {
        let mut person = person();
        let access = Access { group: known(&["bia"]), grafana: known(&["bia"]), ..Access::default() };
        for item in items(&policy()) {
            assert!(!is_complete(&checklist(&person, &policy(), &access)), "{}", item.key());
            person.ticks.insert(item.key(), tick(By::Mentor));
        }
        assert!(is_complete(&checklist(&person, &policy(), &access)));
        let unknown =
            Access { group: known(&["bia"]), grafana: Read::Unknown(String::new()), ..Access::default() };
        assert!(!is_complete(&checklist(&person, &policy(), &unknown)));
    }

    #[test]
    fn what_is_seen_is_noted_once_and_removed_when_it_is_gone() {
        let mut seen = person();
        observe(
            &mut seen,
            &Access { group: known(&["bia"]), grafana: Read::NotCovered, ..Access::default() },
            now(),
        );
        let first = seen.clone();
        assert_eq!(first.ticks.keys().collect::<Vec<_>>(), ["aws_access"]);
        let later = now() + jiff::SignedDuration::from_hours(24);
        observe(
            &mut seen,
            &Access { group: known(&["bia"]), grafana: Read::NotCovered, ..Access::default() },
            later,
        );
        observe(
            &mut seen,
            &Access { group: Read::Unknown(String::new()), grafana: Read::NotCovered, ..Access::default() },
            later,
        );
        assert_eq!(seen, first);
        observe(
            &mut seen,
            &Access { group: known(&[]), grafana: Read::NotCovered, ..Access::default() },
            later,
        );
        assert_eq!(seen, person());
        // What a mentor said before the stack could check it gives way to the check.
        seen.ticks.insert("grafana_access".to_owned(), tick(By::Mentor));
        observe(
            &mut seen,
            &Access { group: Read::NotCovered, grafana: known(&["bia"]), ..Access::default() },
            later,
        );
        assert_eq!(seen.ticks["grafana_access"].by, By::Check);
    }

    #[test]
    fn who_may_say_that_something_is_done() {
        let covered =
            Access { group: known(&[]), grafana: Read::Unknown(String::new()), ..Access::default() };
        for (item, access, person, mentor) in [
            (Item::Document("x".to_owned()), &covered, true, true),
            (Item::LocalEnvironment, &covered, false, true),
            (Item::AwsAccess, &covered, false, false),
            (Item::GrafanaAccess, &covered, false, false),
            (Item::AwsAccess, &Access::default(), false, true),
            (Item::GrafanaAccess, &Access::default(), false, true),
            (Item::Shadowing(Shadowing::Deploy), &Access::default(), false, false),
        ] {
            let may = [By::Person, By::Mentor].map(|by| item.may_be_said_by(by, access));
            assert_eq!(may, [person, mentor], "{}", item.key());
        }
    }
}
