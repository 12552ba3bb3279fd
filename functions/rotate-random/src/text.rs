//! What people read in the channel: what happened, to which secret, what to do next.

use shared::failure::{Failure, chain};
use shared::language::Language;
use shared::notify::Message;

use crate::config::Config;
use crate::error::RotateError;
use crate::event::Request;

/// The message of a finished rotation.
pub(crate) fn rotated(config: &Config, name: &str, request: &Request, previous: Option<&str>) -> Message {
    let (environment, token) = (&config.environment, &request.token);
    let previous = previous.unwrap_or("—");
    match config.language {
        Language::Portuguese => Message {
            title: format!("Segredo rotacionado: {name} ({environment})"),
            lines: vec![
                format!("Versão nova (AWSCURRENT): `{token}`\nVersão anterior (AWSPREVIOUS): `{previous}`"),
                "A aplicação só lê o segredo quando inicia. *Próximo passo*: forçar um novo deployment dos serviços que o usam \
                 (`aws ecs update-service --cluster CLUSTER --service SERVICO --force-new-deployment`) e conferir o login."
                    .to_owned(),
            ],
            context: context(config, request),
        },
        Language::English => Message {
            title: format!("Secret rotated: {name} ({environment})"),
            lines: vec![
                format!("New version (AWSCURRENT): `{token}`\nPrevious version (AWSPREVIOUS): `{previous}`"),
                "The application reads the secret only when it starts. *Next step*: force a new deployment of the services that \
                 use it (`aws ecs update-service --cluster CLUSTER --service SERVICE --force-new-deployment`) and check the login."
                    .to_owned(),
            ],
            context: context(config, request),
        },
    }
}

/// The message of a failed step.
pub(crate) fn failed(config: &Config, request: &Request, error: &RotateError) -> Message {
    let (environment, step, kind) = (&config.environment, request.step, error.kind());
    let name = secret_name(&request.secret_id);
    let (title, still, next) = match config.language {
        Language::Portuguese => (
            format!("Rotação falhou: {name} ({environment})"),
            "O valor atual (AWSCURRENT) continua valendo.",
            "Próximo passo",
        ),
        Language::English => (
            format!("Rotation failed: {name} ({environment})"),
            "The current value (AWSCURRENT) is still in force.",
            "Next step",
        ),
    };
    Message {
        title,
        lines: vec![
            format!("{step}: *{kind}*: {}", chain(error)),
            still.to_owned(),
            format!("*{next}*: {}", next_step(config, request, error)),
        ],
        context: context(config, request),
    }
}

/// The name in a secret's ARN: without the six characters that the service appends.
fn secret_name(arn: &str) -> &str {
    let resource = arn.rsplit_once(":secret:").map_or(arn, |(_, name)| name);
    resource.rsplit_once('-').filter(|(_, suffix)| suffix.len() == 6).map_or(resource, |(name, _)| name)
}

fn context(config: &Config, request: &Request) -> String {
    format!("{} · {} · {}", config.function, request.secret_id, request.token)
}

fn next_step(config: &Config, request: &Request, error: &RotateError) -> String {
    let say = |portuguese: &str, english: &str| config.language.pick(portuguese, english).to_owned();
    let (id, token) = (&request.secret_id, &request.token);
    let clear = format!(
        "`aws secretsmanager update-secret-version-stage --secret-id '{id}' --version-stage AWSPENDING --remove-from-version-id {token}`"
    );
    let rotate = format!("`aws secretsmanager rotate-secret --secret-id '{id}'`");
    match error {
        RotateError::InvalidEvent { .. } => say(
            "descobrir quem invocou a função: só o Secrets Manager deve fazê-lo.",
            "find out who invoked the function: only Secrets Manager should.",
        ),
        RotateError::RotationNotEnabled => {
            say(
                "se a rotação deve acontecer, ligá-la de novo: ",
                "if the rotation is wanted, switch it on again: ",
            ) + &rotate
        }
        RotateError::UnknownVersion { .. } | RotateError::NotPending { .. } => {
            say(
                "alguém mudou o segredo durante a rotação. Conferir qual versão vale e, se for preciso, rotacionar de novo: ",
                "somebody changed the secret during the rotation. Check which version is in force and, if needed, rotate again: ",
            ) + &rotate
        }
        RotateError::NoRule { .. } | RotateError::InvalidTag { .. } => say(
            "corrigir a política (parâmetro Policy da stack) ou as tags rotation:* do segredo; a próxima tentativa usa a correção.",
            "correct the policy (the stack's parameter Policy) or the secret's rotation:* tags; the next try uses the correction.",
        ),
        RotateError::WrongForm { .. } => say(
            "conferir se esta é a função certa para o segredo e se a política indica o campo (field) certo.",
            "check that this is the right function for the secret and that the policy names the right field.",
        ),
        RotateError::EmptyPending | RotateError::PendingRejected { .. } | RotateError::CurrentChanged => {
            format!(
                "{} {clear} {} {rotate}",
                say(
                    "o valor pendente não pode mais ser alterado. Desfazer com",
                    "the pending value cannot be changed any more. Clear it with",
                ),
                say("e rotacionar de novo com", "and rotate again with"),
            )
        }
        RotateError::NoRandomness | RotateError::Deadline(_) => say(
            "nada a fazer agora: o Secrets Manager tenta de novo com a mesma versão. Se a falha se repetir, ver os logs da função.",
            "nothing now: Secrets Manager tries again with the same version. If the failure repeats, read the function's logs.",
        ),
        RotateError::SecretsManager(call) => format!(
            "{} {}.",
            say(
                "o Secrets Manager tenta de novo com a mesma versão. Se a falha se repetir, conferir a permissão (IAM, KMS) para",
                "Secrets Manager tries again with the same version. If the failure repeats, check the permission (IAM, KMS) for",
            ),
            call.operation
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_from_the_arn() {
        let arn = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:";
        assert_eq!(secret_name(&format!("{arn}/moveongs/dev/jwt-a1B2c3")), "/moveongs/dev/jwt");
        assert_eq!(secret_name(&format!("{arn}moveongs-dev-jwt-a1B2c3")), "moveongs-dev-jwt");
        assert_eq!(secret_name(&format!("{arn}moveongs-dev-jwt")), "moveongs-dev-jwt");
    }
}
