//! Who has access: what IAM, Grafana and the policy say about a person.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use shared::policy::Policy;

use super::person::{People, Person, is_same};

/// What was read of one kind of access.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Read<T> {
    /// The stack does not have it.
    #[default]
    NotCovered,
    /// All who have it.
    Known(T),
    /// It could not be read, with the reason.
    Unknown(String),
}

/// What was read outside the policy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Access {
    /// Names of the IAM users in the group.
    pub group: Read<BTreeSet<String>>,
    /// Logins and addresses of Grafana's users, in lower case; without those that are disabled.
    pub grafana: Read<BTreeSet<String>>,
}

/// Whether a person has one kind of access.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Membership {
    /// Yes.
    Member,
    /// No.
    NotMember,
    /// No: the person has no login there, says a person.
    SaidNone,
    /// The person's login there is not known, so nothing can be looked up.
    NoLogin,
    /// The stack does not have it.
    NotCovered,
    /// It could not be read, with the reason.
    Unknown(String),
}

impl Membership {
    /// Whether access remains, or may remain unseen. A place that the stack does not have is a finding of its own.
    pub(crate) fn may_remain(&self) -> bool {
        matches!(self, Self::Member | Self::NoLogin | Self::Unknown(_))
    }
}

/// A place where access may remain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// The IAM group.
    AwsGroup,
    /// Grafana's organisation.
    Grafana,
    /// A rotation or an override of the policy that is not over: pages would go to the person.
    OnCall,
    /// The policy's people, who may act on incidents.
    People,
}

impl Place {
    /// The word in records and answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::AwsGroup => "aws_group",
            Self::Grafana => "grafana",
            Self::OnCall => "on_call",
            Self::People => "people",
        }
    }
}

impl Access {
    /// Whether a person is in the IAM group. Names of IAM users are compared as IAM does: unique without regard to case.
    pub(crate) fn in_group(&self, person: &Person) -> Membership {
        let is_said = person.no_login.contains(&Place::AwsGroup);
        membership(&self.group, person.iam_user.as_deref(), is_said, |known, user| {
            known.iter().any(|known| known.eq_ignore_ascii_case(user))
        })
    }

    /// Whether a person is in Grafana's organisation.
    pub(crate) fn in_grafana(&self, person: &Person) -> Membership {
        let is_said = person.no_login.contains(&Place::Grafana);
        membership(&self.grafana, person.grafana_login.as_deref(), is_said, |known, login| {
            known.contains(&login.to_lowercase())
        })
    }

    /// Members of the IAM group who are in nobody's data: their leaving would be seen by nobody.
    pub(crate) fn not_listed<'a>(&'a self, people: &People) -> Vec<&'a str> {
        let Read::Known(members) = &self.group else { return Vec::new() };
        let is_listed = |member: &str| {
            let mut users = people.people.values().filter_map(|person| person.iam_user.as_deref());
            users.any(|user| user.eq_ignore_ascii_case(member))
        };
        members.iter().map(String::as_str).filter(|member| !is_listed(member)).collect()
    }

    /// The access that a person has in all places.
    pub(crate) fn of(&self, person: &Person, policy: &Policy, now: DateTime) -> Vec<(Place, Membership)> {
        let is = |is: bool| if is { Membership::Member } else { Membership::NotMember };
        let name = person.name_in_policy();
        vec![
            (Place::AwsGroup, self.in_group(person)),
            (Place::Grafana, self.in_grafana(person)),
            (Place::OnCall, is(is_on_call(policy, name, now))),
            (Place::People, is(policy.incidents.people.keys().any(|known| is_same(known, name)))),
        ]
    }
}

fn membership<T>(
    read: &Read<T>,
    login: Option<&str>,
    is_said: bool,
    is_in: impl Fn(&T, &str) -> bool,
) -> Membership {
    match (read, login) {
        (Read::NotCovered, _) => Membership::NotCovered,
        (_, None) if is_said => Membership::SaidNone,
        (_, None) => Membership::NoLogin,
        (Read::Unknown(why), _) => Membership::Unknown(why.clone()),
        (Read::Known(known), Some(login)) if is_in(known, login) => Membership::Member,
        (Read::Known(_), _) => Membership::NotMember,
    }
}

/// Whether a rotation has the person, or an override that is not over at this time in São Paulo.
fn is_on_call(policy: &Policy, name: &str, now: DateTime) -> bool {
    let is = |known: &String| is_same(known, name);
    policy.incidents.squads.values().any(|squad| {
        let rotations = squad.rotation.iter();
        let mut regular = rotations.flat_map(|rotation| rotation.people.iter().chain(&rotation.second));
        let mut overrides = squad.overrides.iter().filter(|one| one.until > now);
        regular.any(is) || overrides.any(|one| is(&one.person) || one.second.as_ref().is_some_and(is))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person {
            name: "Bia Lima".to_owned(),
            iam_user: Some("Bia.Lima".to_owned()),
            grafana_login: Some("Bia@example.org".to_owned()),
            ..Person::default()
        }
    }

    fn known(names: &[&str]) -> Read<BTreeSet<String>> {
        Read::Known(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn what_was_not_read_is_unknown_and_never_absent() {
        for (group, expected) in [
            (known(&["bia.lima"]), Membership::Member),
            (known(&["bia"]), Membership::NotMember),
            (known(&[]), Membership::NotMember),
            (Read::NotCovered, Membership::NotCovered),
            (Read::Unknown("no".to_owned()), Membership::Unknown("no".to_owned())),
        ] {
            let access = Access { group: group.clone(), grafana: Read::NotCovered };
            assert_eq!(access.in_group(&person()), expected);
            let access = Access { group: Read::NotCovered, grafana: group };
            let mut person = person();
            person.grafana_login.clone_from(&person.iam_user);
            assert_eq!(access.in_grafana(&person), expected);
        }
        let access = Access { group: Read::Unknown(String::new()), grafana: known(&["bia@example.org"]) };
        assert_eq!(access.in_grafana(&person()), Membership::Member);
        let mut nobody = Person::default();
        assert_eq!(access.in_group(&nobody), Membership::NoLogin);
        assert_eq!(access.in_grafana(&nobody), Membership::NoLogin);
        nobody.no_login = [Place::AwsGroup].into();
        assert_eq!(access.in_group(&nobody), Membership::SaidNone);
        assert_eq!(access.in_grafana(&nobody), Membership::NoLogin);
    }

    #[test]
    fn what_is_not_known_may_remain() {
        for (membership, expected) in [
            (Membership::Member, true),
            (Membership::Unknown(String::new()), true),
            (Membership::NoLogin, true),
            (Membership::SaidNone, false),
            (Membership::NotMember, false),
            (Membership::NotCovered, false),
        ] {
            assert_eq!(membership.may_remain(), expected, "{membership:?}");
        }
    }

    #[test]
    fn members_who_are_in_nobodys_data_are_known_only_if_the_group_was_read() {
        let people = People { people: [("P-A".to_owned(), person())].into(), ..People::default() };
        for (group, expected) in [
            (known(&["bia.lima", "rui"]), vec!["rui"]),
            (known(&["BIA.LIMA"]), vec![]),
            (Read::NotCovered, vec![]),
            (Read::Unknown(String::new()), vec![]),
        ] {
            let access = Access { group, grafana: Read::NotCovered };
            assert_eq!(access.not_listed(&people), expected);
        }
    }

    #[test]
    fn the_policys_lists_are_access_too() {
        let policy = r#"{"incidents": {
            "people": {"bia lima": {"email": "b@example.org"}, "Ana": {"email": "a@example.org"}, "Rui": {}},
            "squads": {
                "Squad Backend": {
                    "rotation": {"every": "daily", "at": "09:00", "starts": "2026-12-05", "people": ["Ana"], "second": ["bia lima"]},
                    "overrides": [{"from": "2026-12-01T09:00", "until": "2026-12-02T09:00", "person": "Rui", "reason": "x"}]
                }
            }
        }}"#;
        let policy: Policy = policy.parse().unwrap();
        let remains = |name: &str, now: &str| {
            let person = Person { name: name.to_owned(), ..Person::default() };
            let of = Access::default().of(&person, &policy, now.parse().unwrap());
            let remains = of.into_iter().filter(|(_, membership)| *membership == Membership::Member);
            remains.map(|(place, _)| place.word()).collect::<Vec<_>>()
        };
        assert_eq!(remains("Bia Lima", "2026-12-01T00:00:00"), ["on_call", "people"]);
        assert_eq!(remains("Rui", "2026-12-02T08:59:00"), ["on_call", "people"]);
        assert_eq!(remains("Rui", "2026-12-02T09:00:00"), ["people"]);
        assert_eq!(remains("Carla", "2026-12-01T00:00:00"), [""; 0]);
        let known = Person { policy_name: Some("Ana".to_owned()), ..person() };
        let of = Access::default().of(&known, &policy, "2026-12-01T00:00:00".parse().unwrap());
        assert_eq!(of[2], (Place::OnCall, Membership::Member));
        assert_eq!(of[0], (Place::AwsGroup, Membership::NotCovered));
    }
}
