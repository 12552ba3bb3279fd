//! What a daily run finds. A finding names a person by the id.

use jiff::Span;
use jiff::civil::{Date, DateTime};
use shared::policy::{Onboarding, Policy, is_same_name};

use super::access::{Access, Membership, Place, Read, owner};
use super::checklist::{State, checklist};
use super::person::{People, Person};

/// A problem, or a missing fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// A person who has left still has access.
    AccessRemains {
        /// Where.
        place: Place,
        /// The first day without access.
        since: Date,
    },
    /// A person has left, and the login by which access would be found is not known. Never a pass.
    LoginUnknown {
        /// Where.
        place: Place,
        /// The first day without access.
        since: Date,
    },
    /// The checklist should be done.
    OnboardingOverdue {
        /// The last day on which it was in time.
        due: Date,
        /// Keys of the items that are not done.
        open: Vec<String>,
    },
    /// One kind of access could not be read: the reason. Never a pass.
    NotSeen(String),
    /// The checklist is to be done soon.
    OnboardingDueSoon {
        /// The last day on which it is in time.
        due: Date,
        /// Keys of the items that are not done.
        open: Vec<String>,
    },
    /// Nobody is reminded.
    MentorUnreachable,
    /// The stack does not have the place, so access of people who have left may remain there unseen.
    NotChecked(Place),
    /// The number of members of the IAM group who are in no person's data and not accounts of the policy: no run would see them
    /// leave.
    NotListed(usize),
    /// The person's IAM user is an account of the policy: without the person's data, nobody would see it in the group.
    PersonInAccounts,
    /// Nobody is in the list, so nothing is shown. Never a pass: the list may have been lost.
    NobodyListed,
}

/// A finding with what it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    /// The person's id, of access of one who has left with the place; or the place, of members in nobody's data with their
    /// number; or `list`.
    pub about: String,
    /// The finding.
    pub finding: Finding,
}

impl Finding {
    /// Stable name in records and pages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::AccessRemains { .. } => "AccessRemains",
            Self::LoginUnknown { .. } => "LoginUnknown",
            Self::OnboardingOverdue { .. } => "OnboardingOverdue",
            Self::NotSeen(_) => "NotSeen",
            Self::OnboardingDueSoon { .. } => "OnboardingDueSoon",
            Self::MentorUnreachable => "MentorUnreachable",
            Self::NotChecked(_) => "NotChecked",
            Self::NotListed(_) => "NotListed",
            Self::PersonInAccounts => "PersonInAccounts",
            Self::NobodyListed => "NobodyListed",
        }
    }

    /// Whether it pages: who has left can still act. A late checklist harms nobody tonight.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Self::AccessRemains { .. })
    }

    /// Whether a run with this finding fails.
    pub(crate) fn fails(&self) -> bool {
        let is_unknown = matches!(self, Self::NotSeen(_) | Self::LoginUnknown { .. } | Self::NobodyListed);
        self.pages() || is_unknown || matches!(self, Self::OnboardingOverdue { .. })
    }
}

impl Found {
    /// The id of the person; none if it is about no person.
    pub(crate) fn person(&self) -> Option<&str> {
        match self.finding {
            Finding::NotSeen(_) | Finding::NotChecked(_) | Finding::NotListed(_) | Finding::NobodyListed => {
                None
            }
            _ => self.about.split('/').next(),
        }
    }
}

/// What a run sees.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The people.
    pub people: &'a People,
    /// Their access.
    pub access: &'a Access,
    /// The policy.
    pub policy: &'a Policy,
    /// The present in São Paulo.
    pub now: DateTime,
}

/// The findings, the worst first.
pub(crate) fn findings(seen: Seen<'_>) -> Vec<Found> {
    let Seen { people, access, policy, now } = seen;
    let today = now.date();
    let mut found = of_list(people, access, &policy.onboarding, today);
    for (id, person) in &people.people {
        if person.has_left(today) {
            found.extend(of_leaver(id, person, access, policy, now));
        }
        if !person.is_new(today) {
            continue;
        }
        let mut add = |about: String, finding| found.push(Found { about, finding });
        let lines = checklist(person, &policy.onboarding, access);
        let open = lines.iter().filter(|line| line.state != State::Done);
        let open: Vec<String> = open.map(|line| line.item.key()).collect();
        if open.is_empty() {
            continue;
        }
        if person.due < today {
            add(id.clone(), Finding::OnboardingOverdue { due: person.due, open });
        } else if days_left(person, today) <= longest_notice(policy) {
            add(id.clone(), Finding::OnboardingDueSoon { due: person.due, open });
        }
        if slack(person, people, policy, today).is_none() {
            add(id.clone(), Finding::MentorUnreachable);
        }
    }
    found.sort_by_key(|one| {
        (!one.finding.pages(), !one.finding.fails(), one.finding.kind(), one.about.clone())
    });
    found
}

/// What may remain of the access of a person who has left. What could not be read is [`Finding::NotSeen`].
pub(crate) fn of_leaver(
    id: &str,
    person: &Person,
    access: &Access,
    policy: &Policy,
    now: DateTime,
) -> Vec<Found> {
    let since = person.left.unwrap_or(now.date());
    let found = access.of(person, policy, now).into_iter().filter_map(|(place, membership)| {
        let finding = match membership {
            Membership::Member => Finding::AccessRemains { place, since },
            Membership::NoLogin => Finding::LoginUnknown { place, since },
            _ => return None,
        };
        Some(Found { about: format!("{id}/{}", place.word()), finding })
    });
    found.collect()
}

/// The findings about the list as a whole, not about one person.
fn of_list(people: &People, access: &Access, policy: &Onboarding, today: Date) -> Vec<Found> {
    let has_left = people.people.values().any(|person| person.has_left(today));
    let mut found = Vec::new();
    let mut add = |about: &str, finding| found.push(Found { about: about.to_owned(), finding });
    for (place, read) in [(Place::AwsGroup, &access.group), (Place::Grafana, &access.grafana)] {
        match read {
            Read::Unknown(why) => add(place.word(), Finding::NotSeen(why.clone())),
            Read::NotCovered if has_left => add(place.word(), Finding::NotChecked(place)),
            Read::NotCovered | Read::Known(_) => {}
        }
    }
    match access.not_listed(people, policy).len() {
        0 => {}
        members => add(&format!("{}/{members}", Place::AwsGroup.word()), Finding::NotListed(members)),
    }
    for id in policy.accounts.keys().filter_map(|user| owner(people, user)) {
        add(id, Finding::PersonInAccounts);
    }
    if people.people.is_empty() {
        add("list", Finding::NobodyListed);
    }
    found
}

/// Whether the mentor is reminded: a day for it has come since the last daily run; without one, it is today.
pub(crate) fn is_reminded(person: &Person, policy: &Policy, last: Option<Date>, today: Date) -> bool {
    policy.onboarding.remind_days.iter().any(|days| {
        let day = person.due.checked_sub(Span::new().days(i64::from(*days))).unwrap_or(Date::MIN);
        day <= today && last.map_or(day == today, |last| day > last)
    })
}

/// The id of the mentor's Slack user; none if the policy has none, or if the mentor has left.
pub(crate) fn slack(person: &Person, people: &People, policy: &Policy, today: Date) -> Option<String> {
    let has_left = |one: &Person| one.is_called(&person.mentor) && one.has_left(today);
    if people.people.values().any(has_left) {
        return None;
    }
    let mut known = policy.incidents.people.iter();
    known.find(|(name, _)| is_same_name(name, &person.mentor)).and_then(|(_, contact)| contact.slack.clone())
}

/// Days until the due day: 0 on that day, negative after it.
fn days_left(person: &Person, today: Date) -> i64 {
    (person.due - today).get_days().into()
}

fn longest_notice(policy: &Policy) -> i64 {
    policy.onboarding.remind_days.iter().copied().max().map_or(-1, i64::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::checklist::items;
    use super::super::person::{By, Tick};
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn policy() -> Policy {
        r#"{"incidents": {"people": {"Ana Souza": {"slack": "U0123ANA9"}, "Rui": {"email": "r@example.org"}}}}"#
            .parse()
            .unwrap()
    }

    fn person(due: &str) -> Person {
        Person {
            name: "Bia".to_owned(),
            mentor: "ana souza".to_owned(),
            due: day(due),
            iam_user: Some("bia".to_owned()),
            grafana_login: Some("bia".to_owned()),
            ..Person::default()
        }
    }

    /// A person for whom everything is said.
    fn done(due: &str) -> Person {
        let at = "2026-12-01T12:00:00Z".parse().unwrap();
        let said = |key| (key, Tick { at, by: By::Mentor, evidence: None });
        let ticks = items(&policy().onboarding).iter().map(|item| said(item.key())).collect();
        Person { ticks, ..person(due) }
    }

    fn known(names: &[&str]) -> Read<BTreeSet<String>> {
        Read::Known(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn found(people: &[(&str, Person)], access: &Access) -> Vec<String> {
        found_by(&policy(), people, access)
    }

    fn found_by(policy: &Policy, people: &[(&str, Person)], access: &Access) -> Vec<String> {
        let people = people.iter().map(|(id, person)| ((*id).to_owned(), person.clone())).collect();
        let people = People { people, ..People::default() };
        let now = day("2026-12-04").at(9, 45, 0, 0);
        let found = findings(Seen { people: &people, access, policy, now });
        found.iter().map(|one| format!("{} {}", one.finding.kind(), one.about)).collect()
    }

    #[test]
    fn findings_at_each_boundary() {
        let access = Access { group: known(&["bia"]), grafana: known(&["bia"]), ..Access::default() };
        let left = |left: &str| Person { left: Some(day(left)), ..person("2026-12-01") };
        let people = [
            ("P-A", person("2026-12-03")),
            ("P-B", person("2026-12-04")),
            // The longest notice is 14 days.
            ("P-C", person("2026-12-18")),
            ("P-D", person("2026-12-19")),
            ("P-E", done("2026-12-03")),
            ("P-F", left("2026-12-04")),
            ("P-G", Person { completed_at: Some(jiff::Timestamp::MIN), ..person("2026-12-01") }),
            ("P-H", Person { mentor: "Rui".to_owned(), ..person("2027-12-01") }),
            ("P-I", Person { left: Some(day("2026-12-05")), ..person("2027-12-01") }),
        ];
        assert_eq!(
            found(&people, &access),
            [
                "AccessRemains P-F/aws_group",
                "AccessRemains P-F/grafana",
                "OnboardingOverdue P-A",
                "MentorUnreachable P-H",
                "OnboardingDueSoon P-B",
                "OnboardingDueSoon P-C",
            ]
        );
    }

    #[test]
    fn what_was_not_read_is_a_finding_for_new_people_and_for_those_who_left() {
        let access = Access {
            group: Read::Unknown("x".to_owned()),
            grafana: Read::Unknown("y".to_owned()),
            ..Access::default()
        };
        let left = Person { left: Some(day("2026-12-01")), ..person("2026-12-01") };
        for (people, expected) in [
            (vec![("P-A", left)], vec!["NotSeen aws_group", "NotSeen grafana"]),
            (
                vec![("P-B", done("2026-12-03"))],
                vec!["NotSeen aws_group", "NotSeen grafana", "OnboardingOverdue P-B"],
            ),
            // Who is in the group, and in nobody's data, is not known either.
            (
                vec![("P-C", Person { completed_at: Some(jiff::Timestamp::MIN), ..person("2026-12-01") })],
                vec!["NotSeen aws_group", "NotSeen grafana"],
            ),
        ] {
            assert_eq!(found(&people, &access), expected);
        }
    }

    #[test]
    fn what_nobody_can_look_up_of_who_left_is_no_absence() {
        let left = Person {
            left: Some(day("2026-12-04")),
            iam_user: None,
            grafana_login: None,
            ..person("2026-12-01")
        };
        let none = Person { no_login: [Place::AwsGroup, Place::Grafana].into(), ..left.clone() };
        let stays = Person { left: None, ..left.clone() };
        let covered = Access { group: known(&[]), grafana: known(&[]), ..Access::default() };
        let unread =
            Access { group: Read::Unknown(String::new()), grafana: Read::NotCovered, ..Access::default() };
        for (person, access, expected) in [
            (&left, &covered, vec!["LoginUnknown P-A/aws_group", "LoginUnknown P-A/grafana"]),
            (&none, &covered, vec![]),
            (&left, &unread, vec!["LoginUnknown P-A/aws_group", "NotSeen aws_group", "NotChecked grafana"]),
            (&left, &Access::default(), vec!["NotChecked aws_group", "NotChecked grafana"]),
            (&stays, &Access::default(), vec!["OnboardingOverdue P-A"]),
        ] {
            assert_eq!(found(&[("P-A", person.clone())], access), expected);
        }
        for finding in [Finding::NotChecked(Place::Grafana), Finding::NotListed(1), Finding::PersonInAccounts]
        {
            assert!(!finding.fails() && !finding.pages(), "{finding:?}");
        }
        let unknown = Finding::LoginUnknown { place: Place::Grafana, since: day("2026-12-04") };
        for unknown in [unknown, Finding::NobodyListed] {
            assert!(unknown.fails() && !unknown.pages(), "{unknown:?}");
        }
    }

    #[test]
    fn who_is_in_nobodys_data_and_an_empty_list_are_mentioned() {
        let access = Access { group: known(&["ana", "BIA"]), grafana: known(&["ana"]), ..Access::default() };
        assert_eq!(found(&[("P-A", person("2027-12-01"))], &access), ["NotListed aws_group/1"]);
        assert_eq!(found(&[], &access), ["NobodyListed list", "NotListed aws_group/2"]);
        assert_eq!(found(&[], &Access::default()), ["NobodyListed list"]);
    }

    #[test]
    fn an_account_of_the_policy_is_no_person_unless_it_is_one() {
        let accounts = |user: &str| {
            let policy = format!(r#"{{"onboarding": {{"accounts": {{"{user}": "why"}}}}}}"#);
            policy.parse::<Policy>().unwrap()
        };
        let access = Access { group: known(&["bia", "CI"]), grafana: known(&[]), ..Access::default() };
        let here = person("2027-12-01");
        let left = Person { left: Some(day("2026-12-04")), ..here.clone() };
        for (user, person, expected) in [
            ("ci", &here, vec!["MentorUnreachable P-A"]),
            ("x", &here, vec!["MentorUnreachable P-A", "NotListed aws_group/1"]),
            ("BIA", &here, vec!["MentorUnreachable P-A", "NotListed aws_group/1", "PersonInAccounts P-A"]),
            (
                "bia",
                &left,
                vec!["AccessRemains P-A/aws_group", "NotListed aws_group/1", "PersonInAccounts P-A"],
            ),
        ] {
            assert_eq!(found_by(&accounts(user), &[("P-A", person.clone())], &access), expected, "{user}");
        }
    }

    #[test]
    fn the_mentor_is_reminded_on_some_days_and_not_after_leaving() {
        let policy = policy();
        for (due, expected) in [
            ("2026-12-18", true),
            ("2026-12-17", false),
            ("2026-12-11", true),
            ("2026-12-05", true),
            ("2026-12-04", false),
            ("2026-12-03", false),
        ] {
            let last = Some(day("2026-12-03"));
            for last in [last, None] {
                assert_eq!(is_reminded(&person(due), &policy, last, day("2026-12-04")), expected, "{due}");
            }
        }
        // Some days had no run; a second run on a day reminds nobody again.
        for (due, last, expected) in [
            ("2026-12-17", "2026-12-02", true),
            ("2026-12-16", "2026-12-02", false),
            ("2026-12-16", "2026-12-01", true),
            ("2026-12-18", "2026-12-04", false),
        ] {
            let last = Some(day(last));
            assert_eq!(is_reminded(&person(due), &policy, last, day("2026-12-04")), expected, "{due}");
        }
        let one = person("2026-12-18");
        let mentor = Person { name: "Ana Souza".to_owned(), ..Person::default() };
        let gone = Person { left: Some(day("2026-12-04")), ..mentor.clone() };
        for (mentor, expected) in [(mentor, Some("U0123ANA9".to_owned())), (gone, None)] {
            let people = People { people: [("P-M".to_owned(), mentor)].into(), ..People::default() };
            assert_eq!(slack(&one, &people, &policy, day("2026-12-04")), expected);
        }
        let rui = Person { mentor: "Rui".to_owned(), ..one };
        assert_eq!(slack(&rui, &People::default(), &policy, day("2026-12-04")), None);
    }
}
