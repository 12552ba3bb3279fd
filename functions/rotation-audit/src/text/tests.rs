use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::audit::course::News;
use shared::audit::findings::Changes;
use shared::audit::first_week::{FirstWeek, Held, Quiet};
use shared::aws::secrets::Listed;
use shared::policy::Policy;
use shared::run::paging::Page;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::sentence::key;
use super::step::next_step;
use super::summary::ORDER;
use super::*;
use crate::rules::facts::{Facts, Rotator, Secret};
use crate::rules::finding::Finding;
use crate::rules::policy::standard;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn settings(language: Language) -> Settings {
    shared::testing::settings("moveongs-dev-rotation-audit", language)
}

fn news<'a>(changes: &'a Changes, quiet: Option<Quiet<'a>>) -> News<'a> {
    News { run_id: "2026-03-01", changes, is_weekly: false, unread: None, quiet }
}

fn secret() -> Secret {
    let policy: Policy = "".parse().unwrap();
    let made = now() - SignedDuration::from_hours(100 * 24);
    let facts = Facts::of_version("old");
    Secret {
        name: "/moveongs/dev/db".to_owned(),
        standard: standard(&policy, "DATABASE_URL"),
        facts: Some(Facts {
            listed: Listed { function: Some("arn".to_owned()), ..facts.listed },
            made: Ok(BTreeMap::from([("old".to_owned(), made)])),
            ..facts
        }),
    }
}

fn one_page(language: Language, secret: &Secret, finding: &Finding, at: Timestamp) -> Page {
    pages(&settings(language), &[(secret, finding)], at).remove(0)
}

fn stuck(may_be_in_force: bool) -> Finding {
    Finding::StuckPending {
        pending: "new".to_owned(),
        current: Some("old".to_owned()),
        since: now(),
        may_be_in_force,
    }
}

#[test]
fn every_finding_has_a_next_step_in_both_languages() {
    let reason = || "why".to_owned();
    for (finding, part) in [
        (Finding::Overdue { due: now() }, "rotate-secret --secret-id /moveongs/dev/db`"),
        (Finding::RotationLate { since: now() }, "describe-secret"),
        (stuck(false), "--version-stage AWSPENDING --remove-from-version-id new"),
        (Finding::InsufficientData { why: reason() }, "why"),
        (Finding::Missing, ""),
        (Finding::Empty, ""),
        (Finding::WidePolicy { principal: reason() }, "get-resource-policy"),
        (Finding::RotationOff { rotator: Rotator::Database }, "--no-rotate-immediately"),
        (Finding::IamLoginOff { instance: reason() }, "--enable-iam-database-authentication"),
        (Finding::DueSoon { due: now() }, "rotate-secret"),
        (
            Finding::TagsContradict {
                tag: "Environment",
                value: "prod".to_owned(),
                named: "dev".to_owned(),
                is_here: false,
            },
            "tag-resource --secret-id /moveongs/dev/db --tags Key=Environment,Value=dev`",
        ),
        (
            Finding::TagsMissing {
                tags: vec![("Project", "moveongs".to_owned()), ("Environment", "dev".to_owned())],
            },
            "--tags Key=Project,Value=moveongs Key=Environment,Value=dev`",
        ),
        (Finding::NoPolicy, "rotation.secrets"),
        (Finding::Unused { since: None }, "delete-secret"),
        (Finding::NeverRotated, ""),
    ] {
        let [portuguese, english] = [Language::Portuguese, Language::English].map(|language| {
            let secrets = [(secret(), vec![finding.clone()])];
            let new = BTreeSet::from([key(&secrets[0].0, &finding)]);
            let changes = Changes { new, ..Changes::default() };
            summary(&settings(language), &secrets, &news(&changes, None), &[], now()).text()
        });
        assert_ne!(portuguese, english);
        for (text, next) in [(&portuguese, "Próximo passo"), (&english, "Next step")] {
            for part in ["/moveongs/dev/db", finding.kind(), next, part] {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
        }
    }
}

#[test]
fn foreign_text_is_one_word_of_a_command() {
    let secret = Secret { name: "a $(id)".to_owned(), ..secret() };
    let late = Finding::Overdue { due: now() };
    let untagged = Finding::TagsMissing { tags: vec![("Project", "it's b".to_owned())] };
    for (finding, command) in [
        (&late, "`aws secretsmanager rotate-secret --secret-id 'a $(id)'`"),
        (
            &untagged,
            r"`aws secretsmanager tag-resource --secret-id 'a $(id)' --tags Key=Project,Value='it'\''s b'`",
        ),
    ] {
        assert_eq!(next_step(&secret, finding, Language::English), command);
    }
}

#[test]
fn a_password_that_may_be_the_only_one_has_a_warning_before_its_removal() {
    for (language, warning) in [
        (Language::Portuguese, "*não* remover o AWSPENDING antes"),
        (Language::English, "do *not* remove AWSPENDING before"),
    ] {
        let text = one_page(language, &secret(), &stuck(true), now()).text;
        for part in [
            warning,
            "psql",
            "--remove-from-version-id new",
            "--version-stage AWSCURRENT --move-to-version-id new --remove-from-version-id old",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(text.find(warning) < text.find("--remove-from-version-id"));
    }
}

#[test]
fn a_page_names_secret_kind_command_and_teams_and_keeps_its_key() {
    let overdue = Finding::Overdue { due: now() };
    let page = |at| one_page(Language::Portuguese, &secret(), &overdue, at);
    let first = page(now());
    assert_eq!(first.dedup_key, "rotation-audit/dev/Overdue");
    assert_eq!(first.dedup_key, page(now() + SignedDuration::from_hours(24)).dedup_key);
    assert_eq!(first.secret, "/moveongs/dev/db");
    for part in ["rotate-secret", "100 dias", "Squad Dados", "Squad Infra"] {
        assert!(first.text.contains(part), "{}", first.text);
    }
    // A further stuck or public secret is another problem.
    let open = Finding::WidePolicy { principal: "*".to_owned() };
    let other = Secret { name: "/moveongs/dev/other".to_owned(), ..secret() };
    for (finding, is_another) in [(overdue.clone(), false), (stuck(true), true), (open, true)] {
        let [one, two] = [secret(), other.clone()];
        let keys = |paging: &[(&Secret, &Finding)]| {
            let pages = pages(&settings(Language::English), paging, now());
            pages.into_iter().map(|page| page.dedup_key).collect::<Vec<_>>()
        };
        let [first, both] = [keys(&[(&one, &finding)]), keys(&[(&one, &finding), (&two, &finding)])];
        assert_eq!((both.len(), first != both), (1, is_another), "{both:?}");
        assert_eq!(both, keys(&[(&two, &finding), (&one, &finding)]));
    }
    let long = Secret { name: "x".repeat(400), ..secret() };
    let long = one_page(Language::English, &long, &overdue, now());
    assert!(long.subject.len() < 100 && long.subject.is_ascii());
}

#[test]
fn thirty_secrets_with_one_cause_are_one_page_and_one_paragraph() {
    let policy: Policy = "".parse().unwrap();
    let mut secrets: Vec<_> = (0..30)
        .map(|number| {
            let name = format!("/moveongs/dev/secret-{number:02}");
            (Secret { name, ..secret() }, vec![stuck(true), Finding::Overdue { due: now() }])
        })
        .collect();
    // Another team's.
    secrets[7].0.standard = standard(&policy, "JWT_SECRET");
    let paging: Vec<_> = secrets
        .iter()
        .flat_map(|(secret, found)| found.iter().map(move |finding| (secret, finding)))
        .collect();
    let pages = pages(&settings(Language::Portuguese), &paging, now());
    let [stuck, overdue] = pages.as_slice() else { panic!("{} pages", pages.len()) };
    assert!(stuck.dedup_key.starts_with("rotation-audit/dev/StuckPending/"), "{}", stuck.dedup_key);
    assert_eq!(overdue.dedup_key, "rotation-audit/dev/Overdue");
    for page in &pages {
        assert!(page.subject.len() < 100, "{}", page.subject);
        for part in
            ["/moveongs/dev/secret-29", "NOME", "Responsável: Squad Dados", "Responsável: Squad Infra"]
        {
            assert!(page.text.contains(part), "{part} is not in: {}", page.text);
        }
    }
    assert!(pages[0].text.contains("--remove-from-version-id PENDING_VERSION_ID"), "{}", pages[0].text);

    let new = paging.iter().map(|(secret, finding)| key(secret, finding)).collect();
    let message_of = |changes: &Changes| {
        summary(&settings(Language::Portuguese), &secrets, &news(changes, None), &[], now())
    };
    let message = message_of(&Changes { new, ..Changes::default() });
    assert_eq!(message.lines().len(), 2, "{:?}", message.lines());
    assert!(message.lines().iter().all(|line| line.chars().count() < 3_000), "{:?}", message.lines());
    let still = message_of(&Changes::default());
    assert_eq!(still.lines().len(), 1);
    assert!(
        still.lines()[0].starts_with("Continua: StuckPending (30) /moveongs/dev/secret-00, "),
        "{:?}",
        still.lines()
    );
}

#[test]
fn the_first_message_of_the_first_week_lists_the_most_urgent_findings_first() {
    let wide = |principal: &str| Finding::WidePolicy { principal: principal.to_owned() };
    let policy = |name: &str, found| (Secret { name: name.to_owned(), ..secret() }, found);
    let secrets = [
        policy("/moveongs/dev/old", vec![Finding::NoPolicy, Finding::Overdue { due: now() }]),
        policy("/moveongs/dev/shared", vec![wide("210987654321")]),
        policy("/moveongs/dev/open", vec![wide("*"), Finding::Unused { since: None }]),
    ];
    let week = FirstWeek { until: now(), is_first_day: true };
    let quiet = |is_summary| {
        Some(Quiet { week, held: Held { pages: 1, tasks: 1 }, is_summary, place: "s3://bucket/evidence/" })
    };
    let lines_of = |is_summary| {
        let changes = Changes::default();
        let news = news(&changes, quiet(is_summary));
        summary(&settings(Language::Portuguese), &secrets, &news, &[], now()).lines().to_vec()
    };
    let lines = lines_of(true);
    assert!(lines[0].starts_with("*Primeira semana* desta auditoria, até 2026-03-01 09:00:00 -03:00"));
    assert_eq!(lines[1], "*Por regra*: WidePolicy 2; Overdue 1; NoPolicy 1; Unused 1.");
    let first: Vec<_> = lines[3..].iter().map(|line| line.split('`').nth(1).unwrap()).collect();
    let [open, old] = ["open", "old"].map(|name| format!("/moveongs/dev/{name}"));
    assert_eq!(first, [&open, &old, &old, &open]);
    assert!(lines[3].contains("`/moveongs/dev/shared` ("), "{lines:?}");
    let lines = lines_of(false);
    assert!(lines[0].contains("só o que muda") && lines[1].starts_with("Continua: "), "{lines:?}");
    assert_eq!(ORDER.len(), 15);
}

#[test]
fn many_tasks_are_one_line() {
    let tasks = |count: usize| {
        let opened = (1..=count).map(|number| format!("#{number}: Rotacionar x")).collect();
        tasks(opened, Vec::new(), &[("no".to_owned(), count)], Language::Portuguese)
    };
    assert_eq!(tasks(1), ["Tarefa aberta #1: Rotacionar x", "Uma tarefa do board falhou: no"]);
    let many = tasks(30);
    assert!(many[0].starts_with("Tarefas abertas (30): #1: Rotacionar x, #2"), "{many:?}");
    assert_eq!((many.len(), many[1].as_str()), (2, "Uma tarefa do board falhou (30×): no"));
}

#[test]
fn a_task_has_window_teams_and_steps() {
    let due = now() + SignedDuration::from_hours(10 * 24);
    for (language, parts) in [
        (Language::Portuguese, ["Janela de execução", "de 2026-03-01 a 2026-03-11", "Squad Dados", "Passos"]),
        (Language::English, ["Window", "from 2026-03-01 to 2026-03-11", "Squad Dados", "Steps"]),
    ] {
        let body = task_body(&settings(language), &secret(), due, now());
        for part in parts.into_iter().chain(["rotate-secret", "force-new-deployment"]) {
            assert!(body.contains(part), "{part} is not in: {body}");
        }
    }
    let late = task_body(&settings(Language::Portuguese), &secret(), now(), now());
    assert!(late.contains("vencido desde 2026-03-01: o quanto antes"));
}

#[test]
fn a_records_line_begins_with_its_key() {
    let finding = Finding::InsufficientData { why: "a: b".to_owned() };
    let line = line(&secret(), &finding, now());
    assert_eq!(shared::audit::findings::key_of(&line), "InsufficientData /moveongs/dev/db");
    assert_eq!(shared::audit::findings::key_of(&line), key(&secret(), &finding));
}
