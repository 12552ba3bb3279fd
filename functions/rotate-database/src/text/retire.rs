//! The messages about a leaked login.

use shared::run::command::secrets;
use shared::run::ledger::{NotInUse, retire_command};
use shared::run::markdown::code;
use shared::run::notify::{Message, next_step};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::settings::Settings;
use shared::tr;

use crate::error::{RotateError, Why};
use crate::rules::leak::{Ended, Replaced, Waits};

pub(crate) fn ended_message(settings: &Settings, secret: &str, ended: &Ended, run_id: &str) -> Message {
    let language = settings.language;
    let Ended { user, is_shut_out, sessions, .. } = ended;
    let line = if *is_shut_out {
        tr!(
            language,
            "O login vazado, `{user}`, não pode mais entrar, as sessões dele foram encerradas ({sessions}), e o banco recusa a credencial vazada (provado). A próxima rotação o restaura com uma senha nova; nada a fazer.",
            "The leaked login, `{user}`, may no longer log in, its sessions were ended ({sessions}), and the database refuses the leaked credential (proved). The next rotation restores it with a new password. No action needed.",
        )
    } else {
        tr!(
            language,
            "A senha vazada de `{user}` é recusada pelo banco (provado), e as sessões abertas antes do deployment foram encerradas ({sessions}). Nada a fazer.",
            "The database refuses the leaked password of `{user}` (proved), and sessions from before the deployment were ended ({sessions}). No action needed.",
        )
    };
    let title =
        tr!(language, "Credencial vazada está morta: {secret}", "Leaked credential is dead: {secret}");
    Message::new(settings, &title, vec![line], run_id)
}

pub(crate) fn replaced_message(
    settings: &Settings,
    secret: &str,
    replaced: &Replaced,
    run_id: &str,
) -> Message {
    let Replaced { version, replaced_by, sessions } = replaced;
    let (version, replaced_by) = (code(version), code(replaced_by));
    let language = settings.language;
    let rotate = secrets::rotate(secret).code();
    let line = tr!(
        language,
        "O Secrets Manager não guarda mais o valor da versão vazada ({version}), por isso ela não pôde ser experimentada. Uma rotação posterior ({replaced_by}) deu outra senha ao login vazado, e as sessões abertas antes do deployment foram encerradas ({sessions}). Se alguém mudou senhas ou rótulos à mão desde então, rotacionar mais uma vez: {rotate}",
        "Secrets Manager no longer keeps the value of the leaked version ({version}), so it could not be tried. A later rotation ({replaced_by}) gave the leaked login another password, and sessions from before the deployment were ended ({sessions}). If passwords or labels have been changed by hand since, rotate once more: {rotate}",
    );
    let title = tr!(
        language,
        "Credencial vazada foi substituída, sem prova: {secret}",
        "Leaked credential replaced, without proof: {secret}",
    );
    Message::new(settings, &title, vec![line], run_id)
}

pub(crate) fn waits_message(settings: &Settings, secret: &str, waits: Waits, run_id: &str) -> Message {
    let language = settings.language;
    let (why, next) = match waits {
        Waits::RotationRuns => (
            language.pick(
                "uma rotação está em curso e pode ter dado a este login a senha seguinte",
                "a rotation is in progress and may have given this login its next password",
            ),
            language.pick(
                "nenhum: quando ela terminar, e o acompanhamento dela, a credencial é encerrada. Se ela falhou, seguir a mensagem dela.",
                "none: the credential is ended after the rotation and its follow-up. If the rotation failed, follow its message.",
            )
            .to_owned(),
        ),
        Waits::NotInUse(why) => (
            match why {
                NotInUse::NotFollowed => language.pick(
                    "o acompanhamento (rotation-followup) ainda não pôs a versão atual em uso",
                    "the follow-up (rotation-followup) has not brought the current version into use yet",
                ),
                NotInUse::FollowupFailed => language.pick(
                    "o acompanhamento da versão atual falhou; ver a mensagem dele",
                    "the follow-up of the current version failed; see its message",
                ),
                NotInUse::NoReader => language.pick(
                    "nenhum serviço do cluster lê o segredo, então ninguém sabe se a versão atual está em uso",
                    "no service in the cluster reads the secret, so it is unknown whether the current version is in use",
                ),
                NotInUse::Pinned => language.pick(
                    "uma task definition fixa outra versão do segredo (valueFrom); a mensagem do acompanhamento diz qual",
                    "a task definition is pinned to another version of the secret (valueFrom); the follow-up's message names it",
                ),
            },
            format!(
                "{} {}",
                language.pick(
                    "resolver isso; a função tenta a cada hora. Para não esperar:",
                    "resolve that; the function retries every hour. To retry now:",
                ),
                retire_command(&settings.function).code()
            ),
        ),
    };
    let title =
        tr!(language, "Credencial vazada ainda vale: {secret}", "Leaked credential still valid: {secret}");
    let lines = vec![tr!(language, "Motivo: {why}.", "Reason: {why}."), next_step(language, &next)];
    Message::new(settings, &title, lines, run_id)
}

pub(crate) fn failed_message(
    settings: &Settings,
    secret: &str,
    error: &RotateError,
    run_id: &str,
) -> Message {
    let language = settings.language;
    let next = match &error.why {
        Why::StillAccepted { .. } | Why::LeakUnknown { .. } => format!(
            "{} {}",
            language.pick(
                "*urgente*: rotacionar o segredo de novo, o que troca a senha do login vazado:",
                "*urgent*: rotate the secret again, which changes the leaked login's password:",
            ),
            secrets::rotate(secret).code()
        ),
        _ => format!(
            "{} {}",
            language.pick(
                "corrigir o que a linha miúda diz; a função tenta a cada hora. Para não esperar:",
                "fix the problem in the small print; the function retries every hour. To retry now:",
            ),
            retire_command(&settings.function).code()
        ),
    };
    let title = tr!(
        language,
        "Não se provou que a credencial vazada está morta: {secret}",
        "Leaked credential not proved dead: {secret}",
    );
    let failure = format!("*{}*: {}", error.kind(), error.why.cause(language));
    Message::failed(settings, &title, &failure, &next, run_id).detailed(&chain(&error.why))
}
