//! A finding in a sentence.

use jiff::Timestamp;
use shared::runtime::language::Language;
use shared::runtime::time;

use crate::rules::facts::Secret;
use crate::rules::finding::Finding;

/// The line of a finding in the evidence record: its key, `: `, the sentence.
pub(crate) fn line(secret: &Secret, finding: &Finding, now: Timestamp) -> String {
    format!("{}: {}", key(secret, finding), sentence(secret, finding, now, Language::English))
}

/// Key of a finding: findings of two runs with the same key are the same finding.
pub(crate) fn key(secret: &Secret, finding: &Finding) -> String {
    format!("{} {}", finding.kind(), secret.name)
}

pub(super) fn date(at: Timestamp) -> String {
    time::local_date(at)
}

fn days(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// A finding in a sentence, without a full stop.
pub(super) fn sentence(secret: &Secret, finding: &Finding, now: Timestamp, language: Language) -> String {
    let portuguese = language == Language::Portuguese;
    let limit = secret.standard.max_age_days.unwrap_or_default();
    let age = secret.facts.as_ref().and_then(|facts| facts.current_made()).map_or(0, |made| days(made, now));
    match finding {
        Finding::Overdue { due } if portuguese => {
            format!("vencido desde {}: o valor tem {age} dias, e o limite é de {limit}", date(*due))
        }
        Finding::Overdue { due } => {
            format!("overdue since {}: the value is {age} days old, and the limit is {limit}", date(*due))
        }
        Finding::RotationLate { since } if portuguese => {
            format!("a rotação automática devia ter terminado em {} e não terminou", time::local(*since))
        }
        Finding::RotationLate { since } => {
            format!("the automatic rotation should have ended by {} and did not", time::local(*since))
        }
        Finding::StuckPending { pending, since, .. } if portuguese => {
            format!(
                "rotação parada: a versão `{pending}` está em AWSPENDING desde {} ou antes",
                time::local(*since)
            )
        }
        Finding::StuckPending { pending, since, .. } => {
            format!(
                "a rotation is stuck: version `{pending}` has been AWSPENDING since {} or earlier",
                time::local(*since)
            )
        }
        Finding::InsufficientData { why } if portuguese => format!("não foi possível verificar: {why}"),
        Finding::InsufficientData { why } => format!("could not be checked: {why}"),
        Finding::Missing => language
            .pick(
                "a política ou a stack o nomeia, e ele não existe",
                "the policy or the stack names it, but it does not exist",
            )
            .to_owned(),
        Finding::Empty => language.pick("existe, mas não tem valor", "exists, but has no value").to_owned(),
        Finding::WidePolicy { principal } if portuguese => {
            format!(
                "a política de acesso do segredo admite `{principal}` sem condição que o prenda a esta conta"
            )
        }
        Finding::WidePolicy { principal } => {
            format!(
                "the secret's resource policy admits `{principal}` without a condition that limits it to this account"
            )
        }
        Finding::RotationOff { rotator } if portuguese => {
            format!("a rotação por {} está desligada", rotator.name())
        }
        Finding::RotationOff { rotator } => format!("rotation by {} is off", rotator.name()),
        Finding::IamLoginOff { instance } if portuguese => {
            format!("a política diz que o login é por IAM, e o RDS não aceita logins por IAM em `{instance}`")
        }
        Finding::IamLoginOff { instance } => {
            format!("the policy declares a login by IAM, but RDS does not accept IAM logins on `{instance}`")
        }
        Finding::DueSoon { due } if portuguese => {
            format!("vence em {}: o valor tem {age} dias, e o limite é de {limit}", date(*due))
        }
        Finding::DueSoon { due } => {
            format!("due by {}: the value is {age} days old, and the limit is {limit}", date(*due))
        }
        Finding::TagsContradict { tag, value, named, .. } => {
            let value = value.replace('`', "'");
            shared::tr!(
                language,
                "a tag {tag} diz `{value}`, e o nome do segredo diz `{named}`: vale a tag, e só o ambiente dela o audita",
                "the tag {tag} says `{value}`, but the secret's name says `{named}`: the tag counts, so only its environment audits the secret",
            )
        }
        Finding::TagsMissing { tags } => {
            let tags: Vec<_> = tags.iter().map(|(tag, _)| *tag).collect();
            let text = language.pick(
                "pelo nome é deste ambiente, e faltam tags, ou têm um valor que nenhuma stack tem; sem elas o acompanhamento das rotações não o segue:",
                "belongs to this environment by its name, but tags are missing or have a value that no stack has; without them the follow-up ignores its rotations:",
            );
            format!("{text} {}", tags.join(", "))
        }
        Finding::NoPolicy => language
            .pick(
                "é deste ambiente, e a política não diz a idade máxima",
                "belongs to this environment, but the policy sets no maximum age for it",
            )
            .to_owned(),
        Finding::Unused { since } => {
            let since =
                since.map_or_else(|| "—".to_owned(), |since| since.to_string().chars().take(10).collect());
            let text = language.pick("ninguém o lê; última leitura:", "no one reads it; last read:");
            format!("{text} {since}")
        }
        Finding::NeverRotated => language
            .pick("a rotação está ligada e ainda não aconteceu", "rotation is on but has not run yet")
            .to_owned(),
    }
}
