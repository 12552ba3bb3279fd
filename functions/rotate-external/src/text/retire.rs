//! The messages about old credentials.

use serde_json::json;
use shared::run::command::{Command, secrets};
use shared::run::ledger::{NotInUse, follow_command};
use shared::run::notify::{Message, next_step};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::tr;

use crate::error::RotateError;
use crate::rules::retired::{Reason, Retired};
use crate::text::failure::Names;

/// The current version of a secret, for messages about its old credential.
pub(crate) struct Current<'a> {
    pub arn: &'a str,
    pub version: &'a str,
}

/// The message about a retired credential.
pub(crate) fn retired(settings: &Settings, retired: &Retired, names: &Names<'_>, run_id: &str) -> Message {
    let language = settings.language;
    let secret = names.secret;
    let line = match retired {
        Retired::Deactivated { key } => {
            let activate = names.activate_key(key);
            tr!(
                language,
                "A chave anterior, `{key}`, foi desativada: a nova está em uso, e a AWS já recusa a anterior (provado). Será apagada depois do prazo da política (rotation.external.delete_after_hours).\n*Próximo passo*, só se algo parou de enviar e-mail: {activate}",
                "The previous key, `{key}`, is deactivated: the new one is in use, and AWS refuses the previous one (proved). It will be deleted after the policy's period (rotation.external.delete_after_hours).\n*Next step*, only if something stopped sending mail: {activate}",
            )
        }
        Retired::Deleted { key } => {
            tr!(language, "A chave anterior, `{key}`, foi apagada.", "The previous key, `{key}`, is deleted.")
        }
        Retired::Refused { .. } => tr!(
            language,
            "A aplicação aceita a senha nova do administrador e recusa a anterior (provado).",
            "The application accepts the administrator's new password and refuses the previous one (proved).",
        ),
        _ => tr!(
            language,
            "O token novo é agora o primário no Twilio, e o anterior é recusado (provado).",
            "The new token is now Twilio's primary token, and the previous one is refused (proved).",
        ),
    };
    let title = tr!(language, "Credencial antiga desativada: {secret}", "Old credential retired: {secret}");
    Message::new(settings, &title, vec![line], run_id)
}

/// The message about an old credential that is still valid, long after the new one became current.
pub(crate) fn waits(
    settings: &Settings,
    current: &Current<'_>,
    reason: &Reason,
    names: &Names<'_>,
    run_id: &str,
) -> Message {
    let (language, secret) = (settings.language, names.secret);
    let why = match reason {
        Reason::RotationRuns | Reason::Deactivated => {
            language.pick("uma rotação está em curso", "a rotation is in progress")
        }
        Reason::NotInUse(NotInUse::NotFollowed) => language.pick(
            "o acompanhamento (rotation-followup) ainda não pôs a versão atual em uso",
            "the follow-up (rotation-followup) has not brought the current version into use yet",
        ),
        Reason::NotInUse(NotInUse::FollowupFailed) => language.pick(
            "o acompanhamento da versão atual falhou; ver a mensagem dele",
            "the follow-up of the current version failed; see its message",
        ),
        Reason::NotInUse(NotInUse::Pinned) => language.pick(
            "uma task definition fixa outra versão do segredo (valueFrom); a mensagem do acompanhamento diz qual",
            "a task definition is pinned to another version of the secret (valueFrom); the follow-up's message names it",
        ),
        Reason::NotInUse(NotInUse::NoReader) => language.pick(
            "nenhum serviço do cluster lê o segredo, então ninguém sabe se a nova está em uso",
            "no service of the cluster reads the secret, so nothing shows whether the new one is in use",
        ),
        Reason::NoApplication => language.pick(
            "o parâmetro AppUrl está vazio, então nenhum login prova que a senha anterior é recusada",
            "the parameter AppUrl is empty, so no login can prove that the previous password is refused",
        ),
        Reason::NoUser => language.pick(
            "a aplicação não tem usuário com o e-mail de SeedAdminEmail",
            "the application has no user with the address in SeedAdminEmail",
        ),
        Reason::StillUsed { .. } => language.pick(
            "alguém usou a credencial antiga depois do deployment",
            "the old credential was used after the deployment",
        ),
        Reason::Foreign { .. } => language.pick(
            "o usuário IAM tem uma segunda chave que não está no segredo; a próxima rotação não terá lugar para a nova",
            "the IAM user has a second key that is not in the secret, so the next rotation has no room for a new one",
        ),
    };
    let follow = || follow_command(settings, current.arn, secret, false).code();
    let retire = || names.retire();
    let next = match reason {
        Reason::RotationRuns | Reason::Deactivated => format!(
            "{} {}",
            language.pick(
                "a rotação continua sozinha; se ela falhou, a mensagem dela diz o que fazer. Terminada a rotação:",
                "the rotation continues by itself; if it failed, its message gives the next step. When the rotation has ended:",
            ),
            retire()
        ),
        Reason::NotInUse(NotInUse::NotFollowed) => format!(
            "{} {}",
            language.pick(
                "acompanhar a versão atual; no fim a credencial antiga é desativada:",
                "follow up the current version, which also retires the old credential:",
            ),
            follow()
        ),
        Reason::NotInUse(NotInUse::FollowupFailed | NotInUse::Pinned) => format!(
            "{} {}",
            language.pick(
                "corrigir o que a mensagem do acompanhamento diz, e acompanhar de novo; no fim a credencial antiga é desativada:",
                "fix the cause in the follow-up's message and follow up again, which also retires the old credential:",
            ),
            follow()
        ),
        Reason::NotInUse(NotInUse::NoReader) => format!(
            "{} {}",
            language.pick(
                "nomear os serviços em rotation.secrets.*.services da política; ou, se todos os leitores já usam a versão atual, declarar isso:",
                "name the services in the policy (rotation.secrets.*.services); or, if all readers already use the current version, declare that:",
            ),
            vouch_command(language, current.version, names).code()
        ),
        Reason::NoApplication => {
            format!("{} {}", language.pick("preencher AppUrl, e então:", "set AppUrl, then:"), retire())
        }
        Reason::NoUser => format!(
            "{} {}",
            language.pick(
                "se o administrador usa outro e-mail, corrigir SeedAdminEmail; com o usuário na aplicação, rotacionar:",
                "if the administrator has another address, correct SeedAdminEmail; once the application has the user, rotate:",
            ),
            secrets::rotate(secret).code()
        ),
        Reason::StillUsed { key } => format!(
            "{} {} {} {}",
            language.pick("descobrir quem a usou (CloudTrail):", "find out who used it (CloudTrail):"),
            Names::last_use(key),
            language.pick(
                "e dar a ele a credencial nova. Conta o uso depois do último acompanhamento, então acompanhar de novo:",
                "and give them the new credential. Use since the last follow-up keeps the old one valid, so follow up again:",
            ),
            follow()
        ),
        Reason::Foreign { key } => format!(
            "{} {} {} {}",
            language.pick("descobrir de quem é:", "find its owner:"),
            Names::last_use(key),
            language.pick("e, se ninguém a usa, apagá-la:", "and delete it if it is unused:"),
            names.delete_key(key)
        ),
    };
    let title =
        tr!(language, "Credencial antiga ainda vale: {secret}", "Old credential still valid: {secret}");
    let lines = vec![tr!(language, "Motivo: {why}.", "Reason: {why}."), next_step(language, &next)];
    Message::new(settings, &title, lines, run_id)
}

/// Declares that a version is in use, and retires the credential before it.
fn vouch_command(language: Language, version: &str, names: &Names<'_>) -> Command {
    let by = language.pick("SEU NOME", "YOUR NAME");
    let in_use = json!({"by": by, "secret": names.secret, "version": version});
    Command::invoke(names.function, &json!({"in_use": in_use, "retire": true}))
}

/// The message about a credential whose retirement failed.
pub(crate) fn failed(settings: &Settings, error: &RotateError, names: &Names<'_>, run_id: &str) -> Message {
    let (language, secret) = (settings.language, names.secret);
    let title = tr!(
        language,
        "Credencial antiga não foi desativada: {secret}",
        "Old credential not retired: {secret}"
    );
    let failure = format!("*{}*: {}", error.kind(), error.cause(language));
    let next = error.next_step(language, names);
    Message::failed(settings, &title, &failure, &next, run_id).detailed(&chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_id_stays_one_word_of_the_command() {
        for version in ["4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10", "'; id `id` $(id) \\\",\"by\":\"x"] {
            let names = Names {
                secret: "/moveongs/dev/ses",
                function: "moveongs-dev-rotate-external",
                user: "",
                is_admin: false,
                adopt_commands: String::new(),
                off_commands: String::new(),
                again_commands: String::new(),
            };
            let command = vouch_command(Language::English, version, &names).to_string();
            let words = shared::testing::words(&command);
            let event: serde_json::Value = serde_json::from_str(words.last().unwrap()).unwrap();
            assert_eq!(
                event,
                json!({"in_use": {"by": "YOUR NAME", "secret": names.secret, "version": version}, "retire": true})
            );
        }
    }
}
