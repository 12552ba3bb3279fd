//! What is wrong, in a sentence.

use jiff::Timestamp;
use shared::runtime::language::Language;
use shared::runtime::time;

use crate::rules::facts::Secret;
use crate::rules::finding::Finding;

/// The line of a finding in the evidence record: what `key` gives, and the details.
pub(crate) fn line(secret: &Secret, finding: &Finding, now: Timestamp) -> String {
    format!("{}: {}", key(secret, finding), sentence(secret, finding, now, Language::English))
}

/// What makes findings of two runs the same one.
pub(crate) fn key(secret: &Secret, finding: &Finding) -> String {
    format!("{} {}", finding.kind(), secret.name)
}

pub(super) fn date(at: Timestamp) -> String {
    time::local_date(at)
}

fn days(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// What is wrong, in a sentence.
pub(super) fn sentence(secret: &Secret, finding: &Finding, now: Timestamp, language: Language) -> String {
    let portuguese = language == Language::Portuguese;
    let most = secret.standard.max_age_days.unwrap_or_default();
    let age = secret.facts.as_ref().and_then(|facts| facts.current_made()).map_or(0, |made| days(made, now));
    match finding {
        Finding::Overdue { due } if portuguese => {
            format!("vencido desde {}: o valor tem {age} dias, e o limite é de {most}", date(*due))
        }
        Finding::Overdue { due } => {
            format!("overdue since {}: the value is {age} days old, and {most} are allowed", date(*due))
        }
        Finding::RotationLate { since } if portuguese => {
            format!("a rotação automática devia ter terminado em {} e não terminou", time::local(*since))
        }
        Finding::RotationLate { since } => {
            format!("the automatic rotation should have ended at {} and has not", time::local(*since))
        }
        Finding::StuckPending { pending, since, .. } if portuguese => {
            format!(
                "rotação parada: a versão `{pending}` está em AWSPENDING desde {} ou antes",
                time::local(*since)
            )
        }
        Finding::StuckPending { pending, since, .. } => {
            format!(
                "a rotation hangs: version `{pending}` is AWSPENDING since {} or earlier",
                time::local(*since)
            )
        }
        Finding::InsufficientData { why } if portuguese => format!("não foi possível verificar: {why}"),
        Finding::InsufficientData { why } => format!("could not be checked: {why}"),
        Finding::Missing => language
            .pick(
                "a política ou a stack o nomeia, e ele não existe",
                "policy or stack name it, and it does not exist",
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
                "the secret's resource policy admits `{principal}` without a condition that binds it to this account"
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
            format!(
                "the policy says that the login is by IAM, and RDS takes no logins by IAM on `{instance}`"
            )
        }
        Finding::DueSoon { due } if portuguese => {
            format!("vence em {}: o valor tem {age} dias, e o limite é de {most}", date(*due))
        }
        Finding::DueSoon { due } => {
            format!("due by {}: the value is {age} days old, and {most} are allowed", date(*due))
        }
        Finding::TagsContradict { tag, value, named, .. } => {
            let value = value.replace('`', "'");
            match language {
                Language::Portuguese => format!(
                    "a tag {tag} diz `{value}`, e o nome do segredo diz `{named}`: vale a tag, e só o ambiente dela o audita"
                ),
                Language::English => format!(
                    "the tag {tag} says `{value}`, and the secret's name says `{named}`: the tag counts, and only its environment audits it"
                ),
            }
        }
        Finding::TagsMissing { tags } => {
            let tags: Vec<_> = tags.iter().map(|(tag, _)| *tag).collect();
            let says = language.pick(
                "pelo nome é deste ambiente, e faltam tags, ou têm um valor que nenhuma stack tem; sem elas o acompanhamento das rotações não o segue:",
                "is this environment's by its name, and lacks tags, or has them with a value that no stack has; without them the follow-up of rotations leaves it out:",
            );
            format!("{says} {}", tags.join(", "))
        }
        Finding::NoPolicy => language
            .pick(
                "é deste ambiente, e a política não diz a idade máxima",
                "is this environment's, and the policy does not say its greatest age",
            )
            .to_owned(),
        Finding::Unused { since } => {
            let since =
                since.map_or_else(|| "—".to_owned(), |since| since.to_string().chars().take(10).collect());
            let says = language.pick("ninguém o lê; última leitura:", "nobody reads it; last read:");
            format!("{says} {since}")
        }
        Finding::NeverRotated => language
            .pick("a rotação está ligada e ainda não aconteceu", "rotation is on and has not happened yet")
            .to_owned(),
    }
}
