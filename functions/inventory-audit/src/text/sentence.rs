//! A finding in a sentence.

use jiff::Timestamp;
use shared::policy::oncall;
use shared::runtime::language::Language;
use shared::runtime::time::local;
use shared::tr;

use crate::rules::row::{Problem, Row, plain};
use crate::rules::settings::Setting;
use crate::rules::state::Value;

/// The line of a finding in the evidence record: its key, `: `, the sentence.
pub(crate) fn line(row: &Row, problem: &Problem) -> String {
    format!("{}: {}", row.key(problem), sentence(problem, Language::English))
}

/// A finding in a sentence, without a full stop.
pub(super) fn sentence(problem: &Problem, language: Language) -> String {
    match problem {
        Problem::NothingRead => language
            .pick("nada do inventário pôde ser visto", "no resource of the inventory could be checked")
            .to_owned(),
        Problem::Missing { is_in_state } => {
            let known = match is_in_state {
                Some(true) => language.pick(
                    "não existe na AWS, e o estado do Terraform diz que existe",
                    "does not exist in AWS, but is in the Terraform state",
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
                "the stack names no Terraform state, so nothing was compared with one",
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
                "the project's other resources in AWS could not be listed",
            )
        ),
        Problem::OnCall { kind, from, until, more } => {
            on_call_sentence(*kind, *from, *until, *more, language)
        }
        Problem::RunbookMissing { alarms } => format!(
            "{} {alarms}",
            language.pick(
                "o repositório não tem este runbook, que um page mostraria; nomeado por",
                "the repository does not have this runbook, which a page would show; named by",
            )
        ),
        Problem::RunbookUnchecked { alarms, why } => {
            let why = plain(why);
            tr!(
                language,
                "não se sabe se este runbook existe, nomeado por {alarms}: {why}",
                "not known whether this runbook exists, named by {alarms}: {why}"
            )
        }
        Problem::ValueInState { value, rotates } => value_sentence(value, *rotates, language),
        Problem::InTwoStates { places } => {
            let places: Vec<_> = places
                .iter()
                .map(|place| {
                    format!(
                        "`{}` {} `{}`",
                        plain(&place.address),
                        language.pick("em", "in"),
                        plain(&place.file)
                    )
                })
                .collect();
            format!(
                "{} {}",
                language.pick(
                    "o Terraform o gerencia em mais de um lugar, e um `apply` ou `destroy` num deles muda o que o outro tem:",
                    "Terraform manages it in more than one place, and an `apply` or `destroy` in one changes the resource of the other:",
                ),
                places.join(", ")
            )
        }
        Problem::Drift { setting, found, expected, place } => {
            let difference = format!(
                "{}: {} `{}`, {} `{}` (`{}`)",
                setting.name(),
                language.pick("a AWS tem", "AWS has"),
                plain(found),
                language.pick("o estado do Terraform diz", "the Terraform state says"),
                plain(expected),
                plain(&place.address),
            );
            if *setting == Setting::TaskDefinition {
                let low = language.pick(
                    "gravidade baixa: deploys fora do Terraform mudam a revisão de propósito",
                    "low severity: deployments outside Terraform change the revision deliberately",
                );
                format!("{difference}; {low}")
            } else {
                difference
            }
        }
        Problem::TagsMissing { tags } => {
            let tags: Vec<_> = tags.iter().map(|(key, _)| *key).collect();
            format!(
                "{} {}",
                language.pick("tags faltando ou com outro valor:", "tags are missing or have another value:"),
                tags.join(", ")
            )
        }
        Problem::NotInState => language
            .pick(
                "existe na AWS e não está no estado do Terraform",
                "exists in AWS, but is not in the Terraform state",
            )
            .to_owned(),
        Problem::NotInInventory => language
            .pick(
                "tem as tags do ambiente e não está no inventário, então ninguém responde por ele",
                "has the environment's tags, but is not in the inventory, so no team is responsible for it",
            )
            .to_owned(),
        Problem::EmptyArea => language
            .pick("a área não tem nenhum recurso no inventário", "the area has no resource in the inventory")
            .to_owned(),
        Problem::OneTeam => language
            .pick(
                "responsável e backup são a mesma equipe, então não há backup",
                "primary and backup are the same team, so no one is the backup",
            )
            .to_owned(),
    }
}

fn on_call_sentence(
    kind: oncall::Kind,
    from: Timestamp,
    until: Timestamp,
    more: usize,
    language: Language,
) -> String {
    let (from, until) = (local(from), local(until));
    let said = match kind {
        oncall::Kind::PersonUnreachable => tr!(
            language,
            "de plantão (ou segunda pessoa) a partir de {from}, sem Slack, e-mail ou telefone verificado: um page não chega",
            "on call (or second) from {from} on, without Slack, e-mail or a verified phone: a page does not arrive"
        ),
        oncall::Kind::PhoneUnverified => language
            .pick(
                "nenhuma mensagem de teste chegou ao telefone, que por isso não conta",
                "no test message arrived at the phone, which therefore does not count",
            )
            .to_owned(),
        oncall::Kind::RotationGap => tr!(
            language,
            "ninguém de plantão de {from} a {until}",
            "nobody on call from {from} to {until}"
        ),
        oncall::Kind::SquadUnreachable => language
            .pick(
                "nem rotação, nem contato que possa ser alcançado: um page não chega a ninguém do squad",
                "neither a rotation nor a contact that can be reached: a page reaches nobody of the squad",
            )
            .to_owned(),
        oncall::Kind::SquadUnknown => language
            .pick(
                "o inventário ou um segredo o nomeia, e a política não o tem: um page não chega a ninguém dele",
                "the inventory or a secret names it, but the policy does not have it: a page reaches nobody of it",
            )
            .to_owned(),
    };
    let more = if more > 0 { format!(" (+{more})") } else { String::new() };
    format!("{said}{more}")
}

fn value_sentence(value: &Value, rotates: Option<bool>, language: Language) -> String {
    let attributes: Vec<_> = value.attributes.iter().map(|name| plain(name)).collect();
    let held = format!(
        "{} `{}` {} `{}` ({})",
        language.pick("o estado do Terraform", "the Terraform state"),
        plain(&value.place.file),
        language.pick("guarda o valor em claro de", "holds the plaintext value of"),
        plain(&value.place.address),
        attributes.join(", "),
    );
    let danger = if is_written(value) && rotates == Some(true) {
        language.pick(
            "gravidade alta: o segredo tem rotação, e um `terraform apply` põe o valor antigo de volta",
            "high severity: the secret is rotated, and a `terraform apply` restores the old value",
        )
    } else {
        language.pick("quem lê o estado lê o valor", "anyone who can read the state can read the value")
    };
    format!("{held}; {danger}")
}

/// Whether Terraform writes this value into a secret.
fn is_written(value: &Value) -> bool {
    ["aws_secretsmanager_secret_version", "awscc_secretsmanager_secret"].contains(&value.kind.as_str())
        && !value.is_data
}
