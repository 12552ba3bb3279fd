//! Complete messages and pages, in both languages, with the commands.

use std::collections::BTreeMap;

use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::batch::page;
use super::broken::{broken, broken_next};
use super::unproved::cures;
use super::{Stack, follow_commands, rotate_commands};
use crate::event::Source;
use crate::rules::batch::{Batch, Phase};
use crate::rules::change::{Change, Declared, Reason};
use crate::rules::failure::Failed;
use crate::rules::journal::Journal;
use crate::rules::proof::unproved;
use shared::ecs::readers::{Cause, Unreached};
use shared::ecs::rollout::Runs;

#[test]
fn the_command_that_asks_for_a_follow_up_is_complete() {
    assert_eq!(
        follow_commands(&settings(Language::English), [&change("JWT_SECRET", "/moveongs/dev/jwt")]),
        "`aws stepfunctions start-execution --state-machine-arn arn:aws:states:us-east-1:123456789012:stateMachine:moveongs-dev-rotation-followup --input '{\"by\":\"YOUR NAME\",\"secret\":\"/moveongs/dev/jwt\"}'`"
    );
}

#[test]
fn a_name_stays_one_word_of_a_command() {
    let name = "x'; id `id` $(id)";
    let change = change("JWT_SECRET", name);
    let last = |commands: String| shared::testing::words(commands.trim_matches('`')).pop().unwrap();
    assert_eq!(last(rotate_commands([&change])), name);
    let input = last(follow_commands(&settings(Language::English), [&change]));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&input).unwrap()["secret"], name);
}

fn settings(language: Language) -> Settings {
    shared::testing::settings("moveongs-dev-rotation-followup", language)
}

fn change(key: &str, name: &str) -> Change {
    Change {
        secret: format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-a1B2c3"),
        name: name.to_owned(),
        key: key.to_owned(),
        version: "v2".to_owned(),
        previous: Some("v1".to_owned()),
        made: None,
        noticed: jiff::Timestamp::UNIX_EPOCH,
        is_rotation: true,
        declared: None,
    }
}

fn batch(failures: Vec<Failed>, moved: bool) -> Batch {
    let mut journal = Journal::default();
    let jwt = change("JWT_SECRET", "/moveongs/dev/jwt");
    journal.notice(&jwt);
    journal.take("execution", jiff::Timestamp::UNIX_EPOCH);
    let mut batch = journal.open.unwrap();
    batch.failures = failures;
    batch.deployments.insert("api".to_owned(), "ecs-svc/2".to_owned());
    batch.readers.insert(jwt.secret.clone(), vec!["api".to_owned()]);
    if moved {
        batch.phase = Phase::Back;
        batch.moved.push(jwt.secret);
    }
    batch
}

fn paged(language: Language, batch: &Batch) -> String {
    paged_with(language, batch, batch.in_force(&batch.changes[0].secret).unwrap())
}

/// The same, with another current version than the one that the batch leaves in force.
fn paged_with(language: Language, batch: &Batch, current: &str) -> String {
    let runs = [Runs { service: "api".to_owned(), before: 1, new: 0, restored: 1 }];
    let settings = settings(language);
    let current = BTreeMap::from([(batch.changes[0].secret.clone(), current.to_owned())]);
    let stack = Stack {
        settings: &settings,
        cluster: "c",
        account: Some("/moveongs/dev/smoke"),
        runs: &runs,
        current: &current,
        jwt: Some("/moveongs/dev/jwt"),
    };
    page(&stack, batch, &[]).text
}

#[test]
fn after_a_failed_rollback_the_page_shows_versions_and_tasks() {
    let failures = vec![
        Failed::new("RolloutFailed", "api: failedTasks 3"),
        Failed::new("RolloutFailed", "api: failedTasks 3"),
    ];
    let text = paged(Language::English, &batch(failures, true));
    assert!(text.contains("the rollback to the previous value failed too"), "{text}");
    assert!(text.contains("In force for `/moveongs/dev/jwt`: `v1` (the previous value, restored)"), "{text}");
    assert!(
        text.contains(
            "Tasks of api: 1 from before the change, 0 with the new value, 1 from after the rollback"
        ),
        "{text}"
    );
    // The page neither suggests the new value again nor mentions a single user.
    assert!(!text.contains("rotate-secret") && !text.contains("single user"), "{text}");
    let text = paged(Language::English, &batch(vec![Failed::new("HealthFailed", "")], false));
    assert!(text.contains("`v2` (the new value)"), "{text}");
}

#[test]
fn the_page_shows_the_version_that_is_current() {
    let denied = || Failed::new("SecretsManagerCall", "secretsmanager:UpdateSecretVersionStage failed");
    let refused = Failed::new("RolloutFailed", "api: failedTasks 3");
    // The planned move of the label failed.
    let text = paged_with(Language::English, &batch(vec![refused.clone(), denied()], true), "v2");
    assert!(text.contains("In force for `/moveongs/dev/jwt`: `v2` (the new value)"), "{text}");
    let superseded = Failed::of("JWT_SECRET", "Superseded", "");
    let text = paged_with(Language::English, &batch(vec![superseded], false), "v3");
    assert!(text.contains("`v3` (neither the new value nor the previous one)"), "{text}");
}

#[test]
fn an_unknown_error_is_not_a_refusal_by_the_database() {
    for kind in ["States.Timeout", "Runtime.ExitError", "PageFailed"] {
        let text = paged(Language::English, &batch(vec![Failed::new(kind, "")], false));
        assert!(text.contains("a step of the follow-up did not end"), "{kind}: {text}");
    }
}

#[test]
fn a_broken_execution_is_reported_in_the_chosen_language_with_the_restart_command() {
    let asked = |reason| {
        let declared = Declared { reason, by: "ana".to_owned() };
        Source::Asked("/moveongs/dev/jwt".to_owned(), declared)
    };
    let (manual, incident) = (asked(Reason::Manual), asked(Reason::Incident));
    for (kind, source, parts) in [
        ("InvalidEvent", None, ["NOME DO SEGREDO", "start-execution"]),
        ("NotOurs", Some(&manual), ["Key=Environment,Value=dev", "\"secret\":\"/moveongs/dev/jwt\""]),
        ("NotRotated", Some(&incident), ["rotate-secret", "\"reason\":\"incident\""]),
        ("SecretsManagerCall", Some(&incident), ["corrigir a causa", "\"reason\":\"incident\""]),
        ("SecretsManagerCall", Some(&Source::Sweep), ["corrigir a causa", "{\"sweep\":true}"]),
        ("BookFailed", None, ["corrigir a causa", "{\"sweep\":true}"]),
    ] {
        let failed = Failed::new(kind, "the cause in English");
        let message = broken(&settings(Language::Portuguese), "e", &failed, source);
        for part in parts {
            assert!(message.lines().join(" ").contains(part), "{kind}: {part}: {message:?}");
        }
        assert!(!message.lines().join(" ").contains(" the "), "{kind}: {message:?}");
        assert!(message.text().contains(&failed.detail), "{message:?}");
    }
}

/// All kinds of a batch's failures.
const KINDS: [&str; 23] = [
    "ValueRefused",
    "OldValueLeaked",
    "RolloutFailed",
    "RolloutUnfinished",
    "OthersRolloutFailed",
    "Superseded",
    "NewTokenRefused",
    "OldTokenAccepted",
    "DatabaseRefused",
    "LoginFailed",
    "ListFailed",
    "HealthFailed",
    "Unreachable",
    "UnclearAnswer",
    "SessionsNotEnded",
    "Auth",
    "WrongForm",
    "NoService",
    "EcsCall",
    "SecretsManagerCall",
    "BookFailed",
    "DeadlineExceeded",
    "NotOpen",
];

/// The kinds of one section of `tests/e2e/advised.txt`, with their tests.
fn advised(section: &str) -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../../../../tests/e2e/advised.txt").lines();
    let of_section = lines.filter_map(|line| line.strip_prefix(section)?.strip_prefix(' ')?.split_once(' '));
    of_section.collect()
}

/// The kinds that a part of the code names.
fn named(code: &'static str, from: &str, to: &str) -> Vec<&'static str> {
    let code = code.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let kinds = code.split("Kind::").skip(1);
    kinds.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next()).collect()
}

#[test]
fn every_kind_with_a_next_step_names_the_test_of_its_commands() {
    let missing = |section: &str, kinds: &[&'static str]| {
        let listed: Vec<_> = advised(section).into_iter().map(|(kind, _)| kind).collect();
        let missing: Vec<_> = kinds.iter().filter(|kind| !listed.contains(kind)).collect();
        assert!(missing.is_empty(), "{section}: {missing:?} are missing in tests/e2e/advised.txt");
    };
    missing("followup", &KINDS);
    let failures = named(include_str!("failure.rs"), "fn next_step(", "\nfn ");
    let unproved = named(include_str!("unproved.rs"), "\nfn cure(", "\nfn cure_of_reader(");
    assert!(failures.contains(&"NoService") && unproved.contains(&"NoKey"), "{failures:?} {unproved:?}");
    missing("followup", &failures);
    missing("unproved", &unproved);
    let failed =
        |kind: &str| paged(Language::English, &batch(vec![Failed::of("JWT_SECRET", kind, "")], false));
    let next = |text: &str, kind: &str| text.split_once("Next step: ").unwrap().1.replace(kind, "");
    for (kind, how) in advised("followup") {
        if let Some(other) = how.strip_prefix("as ") {
            assert_eq!(next(&failed(kind), kind), next(&failed(other), other), "{kind}");
        }
    }
    let settings = settings(Language::English);
    for (kind, how) in advised("broken") {
        if let Some(other) = how.strip_prefix("as ") {
            let next = |kind| broken_next(&settings, &Failed::new(kind, ""), Some(&Source::Sweep));
            assert_eq!(next(kind), next(other), "{kind}");
        }
    }
}

#[test]
fn every_failure_has_a_next_step_in_the_chosen_language() {
    let english = [" the ", " and ", " not ", " with ", " of ", " was "];
    for kind in KINDS {
        let mut batch = batch(vec![Failed::of("JWT_SECRET", kind, "health: 503 (5/5)")], false);
        batch.stayed.insert("/moveongs/dev/jwt".to_owned(), "others may know the previous value".to_owned());
        let text = paged(Language::Portuguese, &batch);
        // Commands and names are not translated.
        let plain: String = text.split('`').step_by(2).collect();
        let found: Vec<_> = english.iter().filter(|word| plain.contains(**word)).collect();
        assert!(found.is_empty(), "{kind}: {found:?}: {text}");
        let has_command = text.contains("`aws ");
        assert!(has_command || kind == "Superseded", "{kind}: {text}");
        assert!(!text.contains("Step Functions"), "{kind}: {text}");
    }
}

#[test]
fn every_unproved_kind_has_a_next_step() {
    let settings = settings(Language::English);
    let stack = Stack {
        settings: &settings,
        cluster: "c",
        account: Some("/moveongs/dev/smoke"),
        runs: &[],
        current: &BTreeMap::new(),
        jwt: Some("/moveongs/dev/jwt"),
    };
    for kind in [
        "MaskedLogin",
        "SmokeLoginRefused",
        "NoSmokeAccount",
        "SecondFactor",
        "NotPermitted",
        "NoReader",
        "NoApplicationUrl",
        "RateLimited",
        "Network",
        "Tls",
        "ConnectionLimit",
        "OldValue",
        "SameValue",
        "NoKey",
    ] {
        let mut batch = batch(Vec::new(), false);
        batch.proofs.push(unproved("login", kind.into(), ""));
        let cures = cures(&stack, &batch);
        assert!(cures.len() == 2 && cures[1].contains("start-execution"), "{kind}: {cures:?}");
    }
    let mut batch = batch(Vec::new(), false);
    let definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/moveongs-dev-api:41";
    for (cause, part) in [
        (Cause::Pinned("AWSPREVIOUS".to_owned()), "--task-definition moveongs-dev-api`"),
        (Cause::Controller("CODE_DEPLOY".to_owned()), "CodeDeploy"),
        (Cause::Controller("EXTERNAL".to_owned()), "task set"),
        (Cause::Refused("no".to_owned()), "ECS refuses to deploy"),
        (Cause::Draining, "wait until they end"),
    ] {
        let reader = "api/api/JWT_SECRET".to_owned();
        let it = Unreached { reader, cause, definition: definition.to_owned() };
        batch.unreached.insert("arn".to_owned(), vec![it]);
        assert!(cures(&stack, &batch)[0].contains(part), "{part}");
    }
}
