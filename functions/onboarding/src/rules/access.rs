//! Who has access: what IAM, Grafana and the policy say about a person.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use shared::policy::oncall::Contact;
use shared::policy::{Onboarding, Policy};

use super::person::{People, Person};

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
    /// The ids of these users by the same names. A user can change login and address, and keeps the id.
    pub grafana_ids: BTreeMap<String, u64>,
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
    /// A rotation, an override that is not over, or a squad's contacts in the policy: pages would go to the person.
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
        membership(&self.group, person.iam_user.as_deref(), is_said, is_user)
    }

    /// Whether a person is in Grafana's organisation.
    pub(crate) fn in_grafana(&self, person: &Person) -> Membership {
        let is_said = person.no_login.contains(&Place::Grafana);
        membership(&self.grafana, person.grafana_login.as_deref(), is_said, |known, login| {
            known.contains(&login.to_lowercase()) || self.name_of(person).is_some()
        })
    }

    /// A name in Grafana of the user whose id was noted.
    fn name_of(&self, person: &Person) -> Option<&str> {
        let mut names = self.grafana_ids.iter();
        names.find(|(_, id)| person.grafana_id == Some(**id)).map(|(name, _)| name.as_str())
    }

    /// Whether another login would hide a user in Grafana who was seen as the person's, and who is there, or may be.
    pub(crate) fn would_lose(&self, person: &Person, login: &str) -> bool {
        let (Some(noted), true) = (person.grafana_id, person.grafana_login.as_deref() != Some(login)) else {
            return false;
        };
        match self.grafana {
            Read::NotCovered => false,
            Read::Unknown(_) => true,
            Read::Known(_) => {
                self.name_of(person).is_some() && self.grafana_ids.get(&login.to_lowercase()) != Some(&noted)
            }
        }
    }

    /// Notes the id of a person's user in Grafana, and the name that the user has now.
    pub(crate) fn identify(&self, person: &mut Person) {
        let Some(login) = person.grafana_login.as_ref().map(|login| login.to_lowercase()) else { return };
        let id = self.grafana_ids.get(&login).copied();
        match self.name_of(person) {
            None => person.grafana_id = id.or(person.grafana_id),
            // Another user may have the old name by now.
            Some(name) if id != person.grafana_id => person.grafana_login = Some(name.to_owned()),
            Some(_) => {}
        }
    }

    /// Members of the IAM group who are in no person's data and not accounts of the policy: no run would see them leave.
    pub(crate) fn not_listed<'a>(&'a self, people: &People, policy: &Onboarding) -> Vec<&'a str> {
        let Read::Known(members) = &self.group else { return Vec::new() };
        let is_account = |member: &str| policy.accounts.keys().any(|user| user.eq_ignore_ascii_case(member));
        let is_known = |member: &&str| is_account(member) || owner(people, member).is_some();
        members.iter().map(String::as_str).filter(|member| !is_known(member)).collect()
    }

    /// Whether the IAM group has an account.
    pub(crate) fn has_account(&self, user: &str) -> Membership {
        membership(&self.group, Some(user), false, is_user)
    }

    /// The access that a person has in all places.
    pub(crate) fn of(&self, person: &Person, policy: &Policy, now: DateTime) -> Vec<(Place, Membership)> {
        let is = |is: bool| if is { Membership::Member } else { Membership::NotMember };
        let is_listed = policy.incidents.people.keys().any(|known| person.is_called(known));
        vec![
            (Place::AwsGroup, self.in_group(person)),
            (Place::Grafana, self.in_grafana(person)),
            (Place::OnCall, is(is_on_call(policy, person, now))),
            (Place::People, is(is_listed)),
        ]
    }
}

/// The id of the person whose IAM user this is.
pub(crate) fn owner<'a>(people: &'a People, user: &str) -> Option<&'a str> {
    let is_own = |person: &Person| person.iam_user.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(user));
    people.people.iter().find(|(_, person)| is_own(person)).map(|(id, _)| id.as_str())
}

fn is_user(members: &BTreeSet<String>, user: &str) -> bool {
    members.iter().any(|member| member.eq_ignore_ascii_case(user))
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

/// Whether a rotation has the person, or an override that is not over at this time in São Paulo, or a squad's contacts, whom
/// a page reaches when nobody is on call. These have no names: without the policy's contact of the person they are not known.
fn is_on_call(policy: &Policy, person: &Person, now: DateTime) -> bool {
    let is = |known: &String| person.is_called(known);
    let listed = policy.incidents.people.iter().filter(|(known, _)| is(known));
    let own: Vec<_> = listed.map(|(_, own)| own).collect();
    policy.incidents.squads.values().any(|squad| {
        let rotations = squad.rotation.iter();
        let mut regular = rotations.flat_map(|rotation| rotation.people.iter().chain(&rotation.second));
        let mut overrides = squad.overrides.iter().filter(|one| one.until > now);
        regular.any(is)
            || overrides.any(|one| is(&one.person) || one.second.as_ref().is_some_and(is))
            || own.iter().any(|own| squad.contacts.iter().any(|contact| shares(own, contact)))
    })
}

/// Whether two contacts have an address in common.
fn shares(one: &Contact, other: &Contact) -> bool {
    let pairs = [(&one.slack, &other.slack), (&one.email, &other.email), (&one.phone, &other.phone)];
    let mut pairs = pairs.into_iter().filter_map(|(one, other)| one.as_ref().zip(other.as_ref()));
    pairs.any(|(one, other)| one.eq_ignore_ascii_case(other))
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
            let access = Access { group: group.clone(), grafana: Read::NotCovered, ..Access::default() };
            assert_eq!(access.in_group(&person()), expected);
            let access = Access { group: Read::NotCovered, grafana: group, ..Access::default() };
            let mut person = person();
            person.grafana_login.clone_from(&person.iam_user);
            assert_eq!(access.in_grafana(&person), expected);
        }
        let access = Access {
            group: Read::Unknown(String::new()),
            grafana: known(&["bia@example.org"]),
            ..Access::default()
        };
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
        let policy: Policy = r#"{"onboarding": {"accounts": {"Break-Glass": "x"}}}"#.parse().unwrap();
        for (group, expected) in [
            (known(&["bia.lima", "rui"]), vec!["rui"]),
            (known(&["BIA.LIMA"]), vec![]),
            (known(&["break-glass", "break-glass-2"]), vec!["break-glass-2"]),
            (known(&["BREAK-GLASS"]), vec![]),
            (Read::NotCovered, vec![]),
            (Read::Unknown(String::new()), vec![]),
        ] {
            let access = Access { group, grafana: Read::NotCovered, ..Access::default() };
            assert_eq!(access.not_listed(&people, &policy.onboarding), expected);
        }
    }

    #[test]
    fn a_person_whose_user_is_an_account_of_the_policy_has_access_all_the_same() {
        let policy: Policy = r#"{"onboarding": {"accounts": {"BIA.lima": "x"}}}"#.parse().unwrap();
        let people = People { people: [("P-A".to_owned(), person())].into(), ..People::default() };
        assert_eq!(owner(&people, "BIA.lima"), Some("P-A"));
        assert_eq!(owner(&people, "bia"), None);
        let access = Access { group: known(&["bia.lima"]), grafana: Read::NotCovered, ..Access::default() };
        let of = access.of(&person(), &policy, "2026-12-01T00:00:00".parse().unwrap());
        assert_eq!(of[0], (Place::AwsGroup, Membership::Member));
        assert_eq!(access.has_account("BIA.lima"), Membership::Member);
        assert_eq!(access.has_account("ci"), Membership::NotMember);
        assert_eq!(Access::default().has_account("ci"), Membership::NotCovered);
    }

    #[test]
    fn the_policys_lists_are_access_too() {
        let policy = r#"{"incidents": {
            "people": {"bia lima": {"email": "b@example.org"}, "Ana": {"email": "a@example.org"}, "Rui": {},
                "Paula": {"email": "paula@example.org", "slack": "U0123PAULA"}},
            "squads": {
                "Squad Backend": {
                    "contacts": [{"email": "PAULA@example.org"}, {"slack": "S0123SQUAD"}],
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
        // A page that finds nobody on call reaches the squad's contacts.
        assert_eq!(remains("Paula", "2026-12-01T00:00:00"), ["on_call", "people"]);
        assert_eq!(remains("Carla", "2026-12-01T00:00:00"), [""; 0]);
        let known = Person { policy_name: Some("Ana".to_owned()), ..person() };
        let of = Access::default().of(&known, &policy, "2026-12-01T00:00:00".parse().unwrap());
        assert_eq!(of[2], (Place::OnCall, Membership::Member));
        assert_eq!(of[0], (Place::AwsGroup, Membership::NotCovered));
    }

    #[test]
    fn the_policy_may_have_either_name_of_a_person_or_both() {
        let policy = r#"{"incidents": {
            "people": {"Bia": {}, "Bia Lima": {}, "Rui Reis": {"slack": "U0123RUI1"}, "rui": {}},
            "squads": {"Squad Backend": {
                "contacts": [{"slack": "U0123RUI1"}],
                "rotation": {"every": "daily", "at": "09:00", "starts": "2026-12-05", "people": ["Bia Lima"]}
            }}
        }}"#;
        let policy: Policy = policy.parse().unwrap();
        for (name, policy_name, expected) in [
            ("Bia Lima", Some("Bia"), [true, true]),
            ("Bia", Some("Bia Lima"), [true, true]),
            ("Bia Lima", None, [true, true]),
            ("Bia Lima", Some("Ana"), [true, true]),
            ("Bia", None, [false, true]),
            ("Ana", Some("Bia"), [false, true]),
            // The contact of the squad is that of one of the two names.
            ("Rui Reis", Some("Rui"), [true, true]),
            ("Rui", Some("Rui Reis"), [true, true]),
            ("Ana", Some("Carla"), [false, false]),
        ] {
            let policy_name = policy_name.map(str::to_owned);
            let person = Person { name: name.to_owned(), policy_name, ..Person::default() };
            let of = Access::default().of(&person, &policy, "2026-12-01T00:00:00".parse().unwrap());
            let remains: Vec<_> =
                of.iter().map(|(_, membership)| *membership == Membership::Member).collect();
            assert_eq!(remains[2..], expected, "{person:?}");
        }
    }

    #[test]
    fn another_login_would_lose_the_user_that_was_seen_unless_the_user_is_gone() {
        let listed = |users: &[(&str, u64)]| Access {
            grafana: known(&users.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
            grafana_ids: users.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
            ..Access::default()
        };
        let there = listed(&[("maria", 7), ("maria@example.org", 7), ("rui", 8)]);
        let unknown = Access { grafana: Read::Unknown(String::new()), ..Access::default() };
        for (access, noted, login, expected) in [
            (&there, Some(7), "typo", true),
            (&there, Some(7), "rui", true),
            (&there, Some(7), "Maria@example.org", false),
            (&there, Some(7), "bia", false),
            // Nobody was seen: the login was wrong.
            (&there, None, "typo", false),
            (&there, Some(9), "typo", false),
            (&unknown, Some(7), "typo", true),
            (&unknown, Some(7), "bia", false),
            (&unknown, None, "typo", false),
            (&Access::default(), Some(7), "typo", false),
        ] {
            let own = Some("bia".to_owned());
            let person = Person { grafana_id: noted, grafana_login: own, ..Person::default() };
            assert_eq!(access.would_lose(&person, login), expected, "{access:?} {noted:?} {login}");
        }
    }
}
