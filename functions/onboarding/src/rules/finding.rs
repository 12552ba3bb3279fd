//! What a daily run finds. A finding names a person by the id.

use jiff::civil::Date;
use shared::policy::Policy;

use super::access::{Access, Membership, Place};
use super::checklist::{State, checklist};
use super::person::{People, Person, is_same};

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
}

/// A finding with what it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    /// The person's id, of access that remains with the place; or the place that was not read.
    pub about: String,
    /// The finding.
    pub finding: Finding,
}

impl Finding {
    /// Stable name in records and pages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::AccessRemains { .. } => "AccessRemains",
            Self::OnboardingOverdue { .. } => "OnboardingOverdue",
            Self::NotSeen(_) => "NotSeen",
            Self::OnboardingDueSoon { .. } => "OnboardingDueSoon",
            Self::MentorUnreachable => "MentorUnreachable",
        }
    }

    /// Whether it pages: who has left can still act. A late checklist harms nobody tonight.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Self::AccessRemains { .. })
    }

    /// Whether a run with this finding fails.
    pub(crate) fn fails(&self) -> bool {
        self.pages() || matches!(self, Self::OnboardingOverdue { .. } | Self::NotSeen(_))
    }
}

impl Found {
    /// The id of the person; none if it is about no person.
    pub(crate) fn person(&self) -> Option<&str> {
        match self.finding {
            Finding::NotSeen(_) => None,
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
    pub now: jiff::civil::DateTime,
}

/// The findings, the worst first.
pub(crate) fn findings(seen: Seen<'_>) -> Vec<Found> {
    let Seen { people, access, policy, now } = seen;
    let today = now.date();
    let mut found = Vec::new();
    let mut unseen: Vec<(Place, String)> = Vec::new();
    for (id, person) in &people.people {
        let mut add = |about: String, finding| found.push(Found { about, finding });
        if person.has_left(today) {
            for (place, membership) in access.of(person, policy, now) {
                match membership {
                    Membership::Member => {
                        let since = person.left.unwrap_or(today);
                        add(format!("{id}/{}", place.word()), Finding::AccessRemains { place, since });
                    }
                    Membership::Unknown(why) => unseen.push((place, why)),
                    Membership::NotMember | Membership::NoLogin | Membership::NotCovered => {}
                }
            }
            continue;
        }
        if !person.is_new(today) {
            continue;
        }
        for (place, membership) in
            [(Place::AwsGroup, access.in_group(person)), (Place::Grafana, access.in_grafana(person))]
        {
            if let Membership::Unknown(why) = membership {
                unseen.push((place, why));
            }
        }
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
    unseen.sort();
    unseen.dedup_by_key(|(place, _)| *place);
    found.extend(
        unseen
            .into_iter()
            .map(|(place, why)| Found { about: place.word().to_owned(), finding: Finding::NotSeen(why) }),
    );
    found.sort_by_key(|one| {
        (!one.finding.pages(), !one.finding.fails(), one.finding.kind(), one.about.clone())
    });
    found
}

/// Whether the mentor is reminded today.
pub(crate) fn is_reminded(person: &Person, policy: &Policy, today: Date) -> bool {
    let left = days_left(person, today);
    policy.onboarding.remind_days.iter().any(|days| i64::from(*days) == left)
}

/// The id of the mentor's Slack user; none if the policy has none, or if the mentor has left.
pub(crate) fn slack(person: &Person, people: &People, policy: &Policy, today: Date) -> Option<String> {
    let has_left = |one: &Person| is_same(&one.name, &person.mentor) && one.has_left(today);
    if people.people.values().any(has_left) {
        return None;
    }
    let mut known = policy.incidents.people.iter();
    known.find(|(name, _)| is_same(name, &person.mentor)).and_then(|(_, contact)| contact.slack.clone())
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

    use super::super::access::Read;
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
        let people = people.iter().map(|(id, person)| ((*id).to_owned(), person.clone())).collect();
        let people = People { people, ..People::default() };
        let policy = policy();
        let now = day("2026-12-04").at(9, 45, 0, 0);
        let found = findings(Seen { people: &people, access, policy: &policy, now });
        found.iter().map(|one| format!("{} {}", one.finding.kind(), one.about)).collect()
    }

    #[test]
    fn findings_at_each_boundary() {
        let access = Access { group: known(&["bia"]), grafana: known(&["bia"]) };
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
        let access = Access { group: Read::Unknown("x".to_owned()), grafana: Read::Unknown("y".to_owned()) };
        let left = Person { left: Some(day("2026-12-01")), ..person("2026-12-01") };
        for (people, expected) in [
            (vec![("P-A", left)], vec!["NotSeen aws_group", "NotSeen grafana"]),
            (
                vec![("P-B", done("2026-12-03"))],
                vec!["NotSeen aws_group", "NotSeen grafana", "OnboardingOverdue P-B"],
            ),
            (
                vec![("P-C", Person { completed_at: Some(jiff::Timestamp::MIN), ..person("2026-12-01") })],
                vec![],
            ),
            // Nobody's login is known, so nothing had to be read.
            (vec![("P-D", Person { iam_user: None, grafana_login: None, ..person("2027-12-01") })], vec![]),
        ] {
            assert_eq!(found(&people, &access), expected);
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
            assert_eq!(is_reminded(&person(due), &policy, day("2026-12-04")), expected, "{due}");
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
