//! What people read in the channel: what happened, to which secret, what to do next.

use shared::failure::{Failure, chain};
use shared::language::Language;
use shared::notify::Message;

use crate::config::Config;
use crate::error::RotateError;
use crate::event::{Request, Step};

/// The message of a finished rotation.
pub(crate) fn rotated(config: &Config, name: &str, request: &Request, previous: Option<&str>) -> Message {
    let (project, environment, token) = (&config.project, &config.environment, &request.token);
    let previous = previous.unwrap_or("—");
    // The names that the application's Terraform gives its cluster and service.
    let deploy = format!(
        "`aws ecs update-service --cluster {project}-{environment}-cluster --service {project}-{environment}-api --force-new-deployment`"
    );
    let (title, versions, next) = match config.language {
        Language::Portuguese => (
            format!("Segredo rotacionado: {name} ({environment})"),
            format!("Versão nova (AWSCURRENT): `{token}`\nVersão anterior (AWSPREVIOUS): `{previous}`"),
            format!(
                "A aplicação só lê o segredo quando inicia. *Próximo passo*: forçar um novo deployment ({deploy}) e conferir o login."
            ),
        ),
        Language::English => (
            format!("Secret rotated: {name} ({environment})"),
            format!("New version (AWSCURRENT): `{token}`\nPrevious version (AWSPREVIOUS): `{previous}`"),
            format!(
                "The application reads the secret only when it starts. *Next step*: force a new deployment ({deploy}) and check the login."
            ),
        ),
    };
    Message { title, lines: vec![versions, next], context: context(config, request) }
}

/// The message of a failed step.
pub(crate) fn failed(config: &Config, request: &Request, error: &RotateError) -> Message {
    let (environment, step, kind, language) =
        (&config.environment, request.step, error.kind(), config.language);
    let name = secret_name(&request.secret_id);
    let title = match language {
        Language::Portuguese => format!("Rotação falhou: {name} ({environment})"),
        Language::English => format!("Rotation failed: {name} ({environment})"),
    };
    let unanswered = matches!(error, RotateError::Deadline(_) | RotateError::SecretsManager(_));
    let in_force = if step == Step::FinishSecret && unanswered {
        language.pick(
            "O valor novo pode já estar valendo: a resposta do Secrets Manager não chegou. Conferir com",
            "The new value may be in force already: Secrets Manager's answer did not arrive. Check with",
        )
    } else {
        language.pick(
            "O valor atual (AWSCURRENT) continua valendo. Versões:",
            "The current value (AWSCURRENT) is still in force. Versions:",
        )
    };
    let versions = format!(
        "`aws secretsmanager describe-secret --secret-id '{}' --query VersionIdsToStages`",
        request.secret_id
    );
    Message {
        title,
        lines: vec![
            format!("{step}: *{kind}*: {}", cause(language, error)),
            format!("{in_force} {versions}"),
            format!(
                "*{}*: {}",
                language.pick("Próximo passo", "Next step"),
                next_step(config, request, error)
            ),
        ],
        context: format!("{} · {}", chain(error), context(config, request)),
    }
}

/// What went wrong, in a sentence. The technical detail, in English, stands in the message's small print.
fn cause(language: Language, error: &RotateError) -> String {
    if language == Language::English {
        return error.to_string();
    }
    match error {
        RotateError::InvalidEvent { field, .. } => {
            format!("o evento não é do Secrets Manager (campo {field})")
        }
        RotateError::RotationNotEnabled => "a rotação não está ligada para o segredo".to_owned(),
        RotateError::UnknownVersion { .. } => {
            "o segredo não tem mais essa versão; a rotação não começou no Secrets Manager, ou foi abandonada"
                .to_owned()
        }
        RotateError::NotPending { .. } => {
            "a versão não está em AWSPENDING; a rotação foi abandonada ou outra tomou o lugar dela".to_owned()
        }
        RotateError::NoRule { .. } => "nem a política nem uma tag diz como o valor é feito".to_owned(),
        RotateError::InvalidTag { tag, .. } => format!("a tag {tag} do segredo está errada"),
        RotateError::WrongForm { .. } => "o valor guardado não tem a forma que a política diz".to_owned(),
        RotateError::EmptyPending => "a versão pendente ainda não tem valor".to_owned(),
        RotateError::PendingRejected { .. } => "o valor pendente não é o que a política pede".to_owned(),
        RotateError::CurrentChanged => {
            "outro campo do segredo mudou depois que o valor pendente foi feito; terminar desfaria a mudança"
                .to_owned()
        }
        RotateError::NoRandomness => "o gerador aleatório do sistema operacional falhou".to_owned(),
        RotateError::Deadline(_) => "o passo não terminou no tempo da invocação".to_owned(),
        RotateError::SecretsManager(call) => format!("a chamada {} falhou ({})", call.operation, call.code),
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
    let enable = format!("`aws secretsmanager rotate-secret --secret-id '{id}' --no-rotate-immediately`");
    let at_once = say("(troca o valor na hora)", "(changes the value at once)");
    match error {
        RotateError::RotationNotEnabled => format!(
            "{} {enable}",
            say(
                "se a rotação deve acontecer, ligá-la de novo, sem trocar o valor agora:",
                "if the rotation is wanted, switch it on again without changing the value now:",
            ),
        ),
        RotateError::UnknownVersion { .. } | RotateError::NotPending { .. } => format!(
            "{} {rotate} {at_once}.",
            say(
                "alguém mudou o segredo durante a rotação. Conferir qual versão vale e, se for preciso, rotacionar de novo:",
                "somebody changed the secret during the rotation. Check which version is in force and, if needed, rotate again:",
            ),
        ),
        RotateError::NoRule { .. } | RotateError::InvalidTag { .. } => say(
            "corrigir a política (parâmetro Policy da stack) ou as tags rotation:* do segredo; a próxima tentativa usa a correção.",
            "correct the policy (the stack's parameter Policy) or the secret's rotation:* tags; the next try uses the correction.",
        ),
        RotateError::WrongForm { .. } => say(
            "conferir se esta é a função certa para o segredo e se a política indica o campo (field) certo.",
            "check that this is the right function for the secret and that the policy names the right field.",
        ),
        RotateError::PendingRejected { .. } | RotateError::CurrentChanged => format!(
            "{} {clear} {} {rotate} {at_once}.",
            say(
                "o valor pendente não pode mais ser alterado. Desfazer com",
                "the pending value cannot be changed any more. Clear it with",
            ),
            say("e rotacionar de novo com", "and rotate again with"),
        ),
        RotateError::InvalidEvent { .. }
        | RotateError::EmptyPending
        | RotateError::NoRandomness
        | RotateError::Deadline(_) => say(
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

    fn config(language: &str) -> Config {
        let settings = |name: &str| {
            let value = match name {
                "MESSAGE_LANGUAGE" => language,
                "SLACK_API_URL" => "https://slack.example/api",
                "POLICY" => return None,
                _ => "x",
            };
            Some(value.to_owned())
        };
        Config::from_env(&shared::env::Env::new(&settings)).unwrap()
    }

    #[test]
    fn every_failure_names_secret_step_kind_and_next_step_in_both_languages() {
        let request = Request {
            secret_id: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3"
                .to_owned(),
            token: "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10".to_owned(),
            rotation_token: None,
            step: Step::TestSecret,
        };
        let reason = || "why".to_owned();
        let call = shared::failure::CallError {
            operation: "secretsmanager:GetSecretValue",
            code: "AccessDeniedException".to_owned(),
            message: reason(),
        };
        let late = shared::lambda::DeadlineExceeded { allowed: std::time::Duration::from_secs(20) };
        let failures = [
            (RotateError::InvalidEvent { field: "Step", expected: "a string" }, ""),
            (RotateError::RotationNotEnabled, "--no-rotate-immediately"),
            (RotateError::UnknownVersion { token: reason() }, "rotate-secret --secret-id"),
            (RotateError::NotPending { token: reason() }, "rotate-secret --secret-id"),
            (RotateError::NoRule { name: reason() }, "Policy"),
            (RotateError::InvalidTag { tag: reason(), reason: reason() }, "rotation:*"),
            (RotateError::WrongForm { reason: reason() }, "field"),
            (RotateError::EmptyPending, ""),
            (
                RotateError::PendingRejected { reason: reason() },
                "--version-stage AWSPENDING --remove-from-version-id 4f1c2a7e",
            ),
            (RotateError::CurrentChanged, "--remove-from-version-id 4f1c2a7e"),
            (RotateError::NoRandomness, ""),
            (RotateError::Deadline(late), ""),
            (RotateError::SecretsManager(call), "secretsmanager:GetSecretValue"),
        ];
        for (error, command) in failures {
            let [portuguese, english] =
                ["pt-BR", "en"].map(|language| failed(&config(language), &request, &error).text());
            assert_ne!(portuguese, english);
            for (text, next) in [(&portuguese, "Próximo passo"), (&english, "Next step")] {
                for part in ["/moveongs/dev/jwt", "testSecret", error.kind(), next, command] {
                    assert!(text.contains(part), "{part} is not in: {text}");
                }
            }
        }
    }

    #[test]
    fn a_finish_without_an_answer_does_not_claim_that_the_old_value_holds() {
        let mut request = Request {
            secret_id: "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-a1B2c3".to_owned(),
            token: String::new(),
            rotation_token: None,
            step: Step::FinishSecret,
        };
        let late = shared::lambda::DeadlineExceeded { allowed: std::time::Duration::from_secs(20) };
        let text =
            |request: &Request| failed(&config("en"), request, &RotateError::Deadline(late.clone())).text();
        assert!(
            text(&request).contains("may be in force already") && !text(&request).contains("still in force")
        );
        request.step = Step::TestSecret;
        assert!(text(&request).contains("still in force"));
    }

    #[test]
    fn the_name_is_read_from_the_arn() {
        let arn = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:";
        assert_eq!(secret_name(&format!("{arn}/moveongs/dev/jwt-a1B2c3")), "/moveongs/dev/jwt");
        assert_eq!(secret_name(&format!("{arn}moveongs-dev-jwt-a1B2c3")), "moveongs-dev-jwt");
        assert_eq!(secret_name(&format!("{arn}moveongs-dev-jwt")), "moveongs-dev-jwt");
    }
}
