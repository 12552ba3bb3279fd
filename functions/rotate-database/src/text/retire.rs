//! The messages about a leaked login.

use shared::run::command::secrets;
use shared::run::ledger::{NotInUse, retire_command};
use shared::run::notify::Message;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::PROCEDURE;
use crate::error::{RotateError, Why};
use crate::rules::leak::{Ended, Replaced, Waits};

pub(crate) fn ended_message(settings: &Settings, secret: &str, ended: &Ended) -> Message {
    let Ended { user, is_shut_out, sessions, .. } = ended;
    let line = match (settings.language, is_shut_out) {
        (Language::Portuguese, true) => format!(
            "O login vazado, `{user}`, não pode mais entrar, as sessões dele foram encerradas ({sessions}), e o banco recusa a credencial vazada (provado). A próxima rotação o restaura com uma senha nova; nada a fazer."
        ),
        (Language::English, true) => format!(
            "The leaked login, `{user}`, may no longer log in, its sessions were ended ({sessions}), and the database refuses the leaked credential (proved). The next rotation restores it with a new password. No action needed."
        ),
        (Language::Portuguese, false) => format!(
            "A senha vazada de `{user}` é recusada pelo banco (provado), e as sessões abertas antes do deployment foram encerradas ({sessions}). Nada a fazer."
        ),
        (Language::English, false) => format!(
            "The database refuses the leaked password of `{user}` (proved), and sessions from before the deployment were ended ({sessions}). No action needed."
        ),
    };
    let title = settings.language.pick("Credencial vazada está morta", "Leaked credential is dead");
    message(settings, title, secret, vec![line])
}

pub(crate) fn replaced_message(settings: &Settings, secret: &str, replaced: &Replaced) -> Message {
    let Replaced { version, replaced_by, sessions } = replaced;
    let language = settings.language;
    let rotate = secrets::rotate(secret).code();
    let line = shared::tr!(
        language,
        "O Secrets Manager não guarda mais o valor da versão vazada (`{version}`), por isso ela não pôde ser experimentada. Uma rotação posterior (`{replaced_by}`) deu outra senha ao login vazado, e as sessões abertas antes do deployment foram encerradas ({sessions}). Se alguém mudou senhas ou rótulos à mão desde então, rotacionar mais uma vez: {rotate}",
        "Secrets Manager no longer keeps the value of the leaked version (`{version}`), so it could not be tried. A later rotation (`{replaced_by}`) gave the leaked login another password, and sessions from before the deployment were ended ({sessions}). If passwords or labels have been changed by hand since, rotate once more: {rotate}",
    );
    let title = language
        .pick("Credencial vazada foi substituída, sem prova", "Leaked credential replaced, without proof");
    message(settings, title, secret, vec![line])
}

pub(crate) fn waits_message(settings: &Settings, secret: &str, waits: Waits) -> Message {
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
    let title = language.pick("Credencial vazada ainda vale", "Leaked credential still valid");
    let lines = vec![
        format!("{}: {why}.", language.pick("Motivo", "Reason")),
        format!("*{}*: {next}", language.pick("Próximo passo", "Next step")),
    ];
    message(settings, title, secret, lines)
}

pub(crate) fn failed_message(settings: &Settings, secret: &str, error: &RotateError) -> Message {
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
    let title = language
        .pick("Não se provou que a credencial vazada está morta", "Leaked credential not proved dead");
    let lines = vec![
        format!("*{}*: {}", error.kind(), error.why.cause(language)),
        format!("*{}*: {next}", language.pick("Próximo passo", "Next step")),
    ];
    let mut message = message(settings, title, secret, lines);
    message.context = format!("{} · {}", chain(&error.why), message.context);
    message
}

pub(crate) fn message(settings: &Settings, title: &str, secret: &str, lines: Vec<String>) -> Message {
    let title = format!("{title}: {secret} ({})", settings.environment);
    let context = format!("{PROCEDURE} · {} · {}", settings.project, settings.code_version);
    Message { title, lines, context }
}
