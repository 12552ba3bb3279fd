use shared::audit::course::News;
use shared::policy::Policy;

use super::finding::{key, line, pages};
use super::*;
use crate::rules::access::{Access, Read};
use crate::rules::finding::{Finding, Found};

fn settings(language: Language) -> Settings {
    shared::testing::settings("moveongs-dev-onboarding", language)
}

fn found(about: &str, finding: Finding) -> Found {
    Found { about: about.to_owned(), finding }
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn remains(id: &str, place: Place) -> Found {
    let since = day("2026-12-10");
    found(&format!("{id}/{}", place.word()), Finding::AccessRemains { place, since })
}

fn every() -> Vec<Found> {
    let open = || vec!["aws_access".to_owned(), "document:docs/observability/README.md".to_owned()];
    vec![
        remains("P-01Z0ZA47", Place::AwsGroup),
        found("P-01Z0ZA47", Finding::OnboardingOverdue { due: day("2026-12-31"), open: open() }),
        found("grafana", Finding::NotSeen("Grafana did not answer".to_owned())),
        found("P-01Z0ZA47", Finding::OnboardingDueSoon { due: day("2026-12-31"), open: open() }),
        found("P-01Z0ZA47", Finding::MentorUnreachable),
        found(
            "P-01Z0ZA47/grafana",
            Finding::LoginUnknown { place: Place::Grafana, since: day("2026-12-10") },
        ),
        found("grafana", Finding::NotChecked(Place::Grafana)),
        found("aws_group", Finding::NotListed(7)),
        found("P-01Z0ZA47", Finding::PersonInAccounts),
        found("list", Finding::NobodyListed),
    ]
}

#[test]
fn every_finding_has_a_next_step_in_both_languages() {
    for (one, part) in every().iter().zip([
        "show",
        "docs/onboarding.md#mudar",
        "Grafana did not answer",
        "show",
        "incidents.people",
        "show",
        "docs/onboarding.md#saída",
        "7 mem",
        "onboarding.accounts",
        r#"{"show":{}}"#,
    ]) {
        let [portuguese, english] = [Language::Portuguese, Language::English].map(|language| {
            let item = finding::item(one, &settings(language));
            format!("{} {}: {}. {}", item.kind, item.about, item.sentence, item.step)
        });
        assert_ne!(portuguese, english);
        for text in [&portuguese, &english] {
            assert!(text.contains(part) && text.contains(&one.about), "{part} is not in: {text}");
        }
        assert!(line(one).starts_with(&format!("{}: ", key(one))), "{}", line(one));
        assert_eq!(shared::audit::findings::key_of(&line(one)), key(one));
    }
}

#[test]
fn all_access_that_remains_is_one_page_until_more_remains() {
    let settings = settings(Language::Portuguese);
    let page = |found: &[Found]| {
        let [page] = pages(&settings, found).try_into().unwrap();
        page
    };
    let grafana = remains("P-01Z0ZA47", Place::Grafana);
    let first = page(std::slice::from_ref(&grafana));
    assert_eq!(first.severity, shared::run::paging::Severity::Warning);
    assert!(first.dedup_key.starts_with("onboarding/dev/AccessRemains/"), "{}", first.dedup_key);
    let both = page(&[remains("P-01Z0ZA47", Place::AwsGroup), grafana]);
    assert_eq!(both.severity, shared::run::paging::Severity::Critical);
    assert_ne!(first.dedup_key, both.dedup_key);
    for part in ["P-01Z0ZA47/aws_group", "P-01Z0ZA47/grafana", "Squad Infra", "docs/onboarding.md#"] {
        assert!(both.text.contains(part), "{part} is not in: {}", both.text);
    }
    let rest: Vec<_> = every().into_iter().filter(|found| !found.finding.pages()).collect();
    assert_eq!(pages(&settings, &rest), []);
}

#[test]
fn the_message_of_a_leaving_says_what_remains_and_what_nobody_looked_at() {
    let of = vec![
        (Place::AwsGroup, Membership::Member),
        (Place::Grafana, Membership::NotCovered),
        (Place::OnCall, Membership::NotMember),
        (Place::People, Membership::Unknown("x".to_owned())),
    ];
    for (language, parts) in [
        (Language::Portuguese, ["Ainda tem acesso*: grupo do IAM.", "Não é verificado aqui*: Grafana."]),
        (Language::English, ["Still has access*: IAM group.", "Not checked here*: Grafana."]),
    ] {
        let text = left(&settings(language), "P-01Z0ZA47", day("2026-12-10"), &of).text();
        for part in parts.into_iter().chain(["show"]) {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        let none = left(&settings(language), "P-01Z0ZA47", day("2026-12-10"), &of[1..3]).text();
        assert!(!none.contains("show"), "{none}");
        // A login that is not known is no absence; that there is none was said.
        let of = [(Place::AwsGroup, Membership::NoLogin), (Place::Grafana, Membership::SaidNone)];
        for (of, expected) in [(&of[..1], true), (&of[1..], false)] {
            let text = left(&settings(language), "P-01Z0ZA47", day("2026-12-10"), of).text();
            assert_eq!(text.contains("show"), expected, "{text}");
        }
        let later = leaves(&settings(language), "P-01Z0ZA47", day("2026-12-10")).text();
        assert!(later.contains("2026-12-10") && later.contains("show"), "{later}");
    }
}

#[test]
fn the_command_of_a_message_is_one_that_the_function_accepts() {
    let words = shared::testing::words(&show(&settings(Language::Portuguese), "P-01Z0ZA47").to_string());
    let event = words.last().unwrap();
    crate::check(serde_json::from_str(event).unwrap()).unwrap();
}

#[test]
fn both_commands_about_a_login_are_accepted() {
    for (place, parts) in [
        (Place::AwsGroup, [r#""iam_user":"USUARIO""#, r#""no_login":["aws_group"]"#]),
        (Place::Grafana, [r#""grafana_login":"LOGIN""#, r#""no_login":["grafana"]"#]),
    ] {
        let text = unknown_login(&settings(Language::Portuguese), "P-01Z0ZA47", place);
        let events: Vec<_> = text.split('\'').filter(|part| part.starts_with('{')).collect();
        assert_eq!(events.len(), 2, "{text}");
        for (event, part) in events.into_iter().zip(parts) {
            assert!(event.contains(part), "{part} is not in {event}");
            crate::check(serde_json::from_str(event).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_quiet_day_says_whose_access_was_checked_and_where() {
    let changes = shared::audit::findings::Changes::default();
    let news = News { run_id: "2026-12-01", changes: &changes, is_weekly: true, unread: None, quiet: None };
    let settings = settings(Language::Portuguese);
    let known = || Read::Known(std::collections::BTreeSet::new());
    for (access, places) in [
        (Access { group: known(), grafana: known(), ..Access::default() }, "grupo do IAM, Grafana, política"),
        (Access { group: known(), grafana: Read::NotCovered, ..Access::default() }, "grupo do IAM, política"),
    ] {
        let text = summary::summary(&settings, &[], &access, &news, &[]).text();
        assert!(
            text.contains(&format!("está na lista não tem acesso ao que é conferido: {places}.")),
            "{text}"
        );
    }
    let unknown = found("P-01Z0ZA47/grafana", every().remove(5).finding);
    let text = summary::summary(&settings, &[unknown], &Access::default(), &news, &[]).text();
    assert!(text.contains("1 não verificado(s)"), "{text}");
}

#[test]
fn no_message_has_a_name() {
    let policy: Policy = "".parse().unwrap();
    let person = Person {
        name: "Bia Lima".to_owned(),
        mentor: "Ana Souza".to_owned(),
        iam_user: Some("bia.lima".to_owned()),
        grafana_login: Some("bia@example.org".to_owned()),
        ..Person::default()
    };
    for language in [Language::Portuguese, Language::English] {
        let settings = settings(language);
        let text = begun(&settings, "P-01Z0ZA47", &person, &policy.onboarding).text();
        let text = format!("{text}{}", completed(&settings, "P-01Z0ZA47").text());
        for personal in ["Bia", "bia", "Ana", "Lima", "Souza"] {
            assert!(!text.contains(personal), "{personal} is in: {text}");
        }
    }
}
