//! What a person should remove before the approval.

use shared::runtime::language::Language;

use super::plain;
use crate::rules::obstacle::Obstacle;

/// The line about an obstacle.
pub(crate) fn line(language: Language, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Form { secret, why } => {
            let why = plain(why);
            shared::tr!(
                language,
                "*Corrigir antes de aprovar*: o segredo `{secret}` tem o endereço em uma forma que não pode ser trocada ({why}).",
                "*Correct before the approval*: the secret `{secret}` has the address in a form that cannot be changed ({why}).",
            )
        }
        Obstacle::Pinned { reference } => {
            let reference = plain(reference);
            shared::tr!(
                language,
                "*Corrigir antes de aprovar*: `{reference}` lê uma versão fixa do segredo e ficaria no banco antigo. Na task definition, usar o ARN do segredo sem versão nem rótulo, e implantar.",
                "*Correct before the approval*: `{reference}` reads one version of the secret and would stay with the old database. In the task definition, use the secret's ARN without version or label, and deploy.",
            )
        }
        Obstacle::Others { service, controller } => shared::tr!(
            language,
            "*O serviço `{service}` é implantado por outro sistema ({controller})*: pôr nele a proteção contra o apagamento antes de aprovar; depois da troca, a restauração para e pede que alguém o implante.",
            "*Another system deploys the service `{service}` ({controller})*: give it the guard against deletion before the approval; after the switch, the restore stops and asks for its deployment.",
        ),
        Obstacle::NoReader { secret } => shared::tr!(
            language,
            "*Nenhum serviço do ECS lê o segredo* `{secret}`: depois da aprovação a restauração para, porque nada seria protegido nem reiniciado. Conferir EcsClusterName na stack e rotation.secrets.DATABASE_URL.services na política.",
            "*No service of ECS reads the secret* `{secret}`: after the approval the restore stops, since nothing would be guarded or restarted. Check EcsClusterName in the stack and rotation.secrets.DATABASE_URL.services in the policy.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_names_what_stops_the_restore_in_both_languages() {
        let text = |name: &str| name.to_owned();
        for (obstacle, name) in [
            (Obstacle::Form { secret: text("s-1"), why: text("`x`") }, "s-1"),
            (Obstacle::Pinned { reference: text("api/api/DATABASE_URL (v1)") }, "api/api/DATABASE_URL (v1)"),
            (Obstacle::Others { service: text("batch"), controller: text("EXTERNAL") }, "EXTERNAL"),
            (Obstacle::NoReader { secret: text("s-2") }, "s-2"),
        ] {
            let [portuguese, english] =
                [Language::Portuguese, Language::English].map(|it| line(it, &obstacle));
            assert!(portuguese.contains(name) && english.contains(name) && portuguese != english);
            assert!(!portuguese.contains("`x`"), "{portuguese}");
        }
    }
}
