//! The messages about old credentials.

use shared::run::ledger::{NotInUse, follow_command};
use shared::run::notify::{Message, next_step};
use shared::runtime::event::pasted;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::settings::Settings;
use shared::tr;

use crate::error::RotateError;
use crate::rules::retired::{Reason, Retired};
use crate::text::failure::Names;
use crate::text::rotate_command;

/// The current version of a secret, for messages about its old credential.
pub(crate) struct Current<'a> {
    pub arn: &'a str,
    pub version: &'a str,
}

/// The message about a retired credential.
pub(crate) fn retired(settings: &Settings, retired: &Retired, names: &Names<'_>, run_id: &str) -> Message {
    let language = settings.language;
    let (user, secret) = (names.user, names.secret);
    let line = match retired {
        Retired::Deactivated { key } => tr!(
            language,
            "A chave anterior, `{key}`, foi desativada: a nova está em uso, e a AWS já recusa a anterior (provado). Será apagada depois do prazo da política (rotation.external.delete_after_hours).\n*Próximo passo*, só se algo parou de enviar e-mail: `aws iam update-access-key --user-name {user} --access-key-id {key} --status Active`",
            "The previous key, `{key}`, is deactivated: the new one is in use, and AWS refuses the previous one (proved). It will be deleted after the policy's period (rotation.external.delete_after_hours).\n*Next step*, only if something stopped sending mail: `aws iam update-access-key --user-name {user} --access-key-id {key} --status Active`",
        ),
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
    let follow = || follow_command(settings, current.arn, secret, "");
    let retire = || names.retire_command();
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
            names.invoke_command(&format!(
                "{{\"retire\": true, \"in_use\": {{\"secret\": \"{secret}\", \"version\": \"{}\", \"by\": \"{}\"}}}}",
                pasted(current.version),
                language.pick("SEU NOME", "YOUR NAME")
            ))
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
            rotate_command(secret)
        ),
        Reason::StillUsed { key } => format!(
            "{} `aws iam get-access-key-last-used --access-key-id {key}` {}",
            language.pick("descobrir quem a usou (CloudTrail):", "find out who used it (CloudTrail):"),
            language.pick(
                "e dar a ele a credencial nova. Conta o uso depois do último acompanhamento, então acompanhar de novo:",
                "and give them the new credential. Use since the last follow-up keeps the old one valid, so follow up again:",
            )
        ) + &format!(" {}", follow()),
        Reason::Foreign { key } => format!(
            "{} `aws iam get-access-key-last-used --access-key-id {key}` {} `aws iam delete-access-key --user-name {} --access-key-id {key}`",
            language.pick("descobrir de quem é:", "find its owner:"),
            language.pick("e, se ninguém a usa, apagá-la:", "and delete it if it is unused:"),
            names.user
        ),
    };
    let title =
        tr!(language, "Credencial antiga ainda vale: {secret}", "Old credential still valid: {secret}");
    let lines = vec![tr!(language, "Motivo: {why}.", "Reason: {why}."), next_step(language, &next)];
    Message::new(settings, &title, lines, run_id)
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
