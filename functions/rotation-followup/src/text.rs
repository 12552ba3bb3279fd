//! What people read: in the channel and in a page. No secret's value is known here.

use shared::language::Language;
use shared::notify::Message;
use shared::paging::{self, Page};
use shared::secrets::Listed;
use shared::settings::Settings;
use shared::time;

use crate::book::{Batch, Change, Failed, Row};
use crate::ledger;
use crate::proof::Outcome;

/// Why a rotation failed, as its function has recorded it.
pub(crate) struct RotationFailure {
    /// The version that was to become current.
    pub token: String,
    /// The step that failed.
    pub step: String,
    /// The failure's stable name.
    pub kind: String,
    /// What the function said.
    pub said: String,
}

fn keys(batch: &Batch) -> String {
    batch.changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// The message at the end of a batch.
pub(crate) fn message(settings: &Settings, cluster: &str, batch: &Batch, rows: &[Row]) -> Message {
    let (language, environment) = (settings.language, &settings.environment);
    let keys = keys(batch);
    let is_unproved = rows.iter().any(|row| row.outcome == "unproved");
    let title = match (batch.failures.len(), batch.moved.is_empty()) {
        (0, _) if is_unproved => {
            language.pick("Segredo novo em uso, prova incompleta", "New secret in use, proof incomplete")
        }
        (0, _) => language.pick("Segredo novo em uso e provado", "New secret in use and proved"),
        (1, false) => {
            language.pick("Segredo novo falhou e foi desfeito", "New secret failed and was rolled back")
        }
        _ => language.pick("Segredo novo falhou", "New secret failed"),
    };
    let mut lines: Vec<String> =
        batch.failures.iter().map(|failed| format!("*{}*: {}", failed.kind, brief(&failed.detail))).collect();
    // Before all that may be cut off at its end.
    if !batch.failures.is_empty() {
        lines.push(format!("*{}*: {}", next(language), next_step(settings, cluster, batch)));
    }
    lines.extend(rows.iter().map(|row| versions(row, language)));
    let deployments: Vec<_> =
        batch.deployments.iter().map(|(service, id)| format!("{service} (`{id}`)")).collect();
    if !deployments.is_empty() {
        lines.push(format!("Deployment: {}", deployments.join(", ")));
    }
    lines.extend(batch.proofs.iter().map(|proof| {
        let mark = match proof.outcome {
            Outcome::Passed => "✓",
            Outcome::Failed => "✗",
            Outcome::Unproved => "?",
        };
        format!("{mark} {}: {}", ledger::name(proof, language), ledger::verdict(proof, language))
    }));
    if let Some(count) = batch.sessions_ended {
        lines.push(format!(
            "{}: {count}",
            language.pick("Refresh tokens revogados", "Refresh tokens revoked")
        ));
    }
    lines.extend(
        batch
            .proofs
            .iter()
            .filter_map(|proof| cure(&proof.kind, language))
            .map(|cure| format!("*{}*: {cure}", next(language))),
    );
    Message {
        title: format!("{title}: {keys} ({environment})"),
        lines,
        context: context(settings, &batch.execution),
    }
}

/// The beginning of what a service or a function said.
fn brief(detail: &str) -> String {
    const LIMIT: usize = 300;
    let cut: String = detail.chars().take(LIMIT).collect();
    if cut.len() < detail.len() { cut + "…" } else { cut }
}

fn next(language: Language) -> &'static str {
    language.pick("Próximo passo", "Next step")
}

fn context(settings: &Settings, execution: &str) -> String {
    format!("{} · {execution} · ledger/rotation.csv", settings.function)
}

fn versions(row: &Row, language: Language) -> String {
    let due = row.next_due.map_or_else(|| "—".to_owned(), time::local_date);
    format!(
        "`{}`: `{}` → `{}` · {}: {due}",
        row.secret,
        row.previous.as_deref().unwrap_or("—"),
        row.version,
        language.pick("vence em", "due by"),
    )
}

/// What the owners of the application do about what could not be proved.
fn cure(kind: &str, language: Language) -> Option<&'static str> {
    match kind {
        "MaskedLogin" => Some(language.pick(
            "a senha foi aceita, mas o token volta mascarado, e ninguém consegue entrar. Pôr RESPONSE_MASKING_ENABLED=false na task definition da API",
            "the password was accepted, but the token comes masked, and nobody can log in. Set RESPONSE_MASKING_ENABLED=false in the API's task definition",
        )),
        "SmokeLoginRefused" | "NoSmokeAccount" => Some(language.pick(
            "corrigir o segredo do parâmetro SmokeSecretName: JSON com email e password de uma conta com o papel leitura_externa",
            "correct the secret of the parameter SmokeSecretName: JSON with email and password of an account with the role leitura_externa",
        )),
        "NoReader" => Some(language.pick(
            "nenhum serviço do cluster lê o segredo pela task definition. Se algum o lê de outro modo, nomeá-lo em rotation.secrets.*.services da política",
            "no service of the cluster reads the secret by its task definition. If one does in another way, name it in the policy's rotation.secrets.*.services",
        )),
        "NoApplicationUrl" => Some(language.pick(
            "preencher o parâmetro AppUrl da stack, para que a aplicação prove o valor novo",
            "fill the stack's parameter AppUrl, so that the application proves the new value",
        )),
        _ => None,
    }
}

/// What to do after a failure, with the command.
fn next_step(settings: &Settings, cluster: &str, batch: &Batch) -> String {
    let language = settings.language;
    let kind = batch.failures.first().map(|failed| failed.kind.as_str()).unwrap_or_default();
    if batch.failures.len() == 1 && !batch.moved.is_empty() && batch.stayed.is_empty() {
        return format!(
            "{} {}",
            language.pick(
                "a aplicação usa de novo o valor anterior, e isso foi provado. Achar a causa (eventos do serviço e logs das tasks) e rotacionar de novo:",
                "the application uses the value before again, and that was proved. Find the cause (the service's events, the tasks' logs) and rotate again:",
            ),
            batch.changes.iter().map(|change| command("rotate-secret", &change.name)).collect::<Vec<_>>().join(", "),
        );
    }
    let mut steps = Vec::new();
    steps.extend(batch.stayed.iter().map(|(name, why)| {
        format!("{} `{name}`: {why}", language.pick("O rótulo não voltou em", "The label did not go back on"))
    }));
    let cause = match kind {
        "RolloutFailed" => format!(
            "{} {}",
            language.pick("ver por que as tasks não iniciam:", "see why the tasks do not start:"),
            events(cluster, batch)
        ),
        "OthersRolloutFailed" => language
            .pick(
                "outro deployment tomou o lugar do nosso e falha; isso nada diz do segredo. Corrigir esse deployment",
                "another deployment has taken the place of ours and fails, which says nothing of the secret. Mend that deployment",
            )
            .to_owned(),
        "Superseded" => language
            .pick(
                "o AWSCURRENT mudou de novo no meio; o acompanhamento da versão nova já espera a vez",
                "AWSCURRENT has moved again meanwhile; the follow-up of the newer version waits for its turn",
            )
            .to_owned(),
        "OldTokenAccepted" | "NewTokenRefused" => language
            .pick(
                "a aplicação não lê o segredo de onde a stack o conhece. Conferir JWT_SECRET na task definition (valueFrom sem versão fixa)",
                "the application does not read the secret from where the stack knows it. Check JWT_SECRET in the task definition (valueFrom without a fixed version)",
            )
            .to_owned(),
        "DatabaseRefused" | "LoginFailed" | "ListFailed" | "Auth" => language
            .pick(
                "a aplicação não entra no banco com o valor atual. Com um só usuário não há volta: seguir docs/rotacao-banco.md, e depois pedir o acompanhamento",
                "the application does not log in to the database with the current value. With a single user there is no way back: follow docs/rotacao-banco.md, then ask for a follow-up",
            )
            .to_owned(),
        "SessionsNotEnded" => language
            .pick(
                "as sessões abertas continuam valendo. Entrar no banco e executar: `UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;`",
                "open sessions are still good. Log in to the database and run: `UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;`",
            )
            .to_owned(),
        _ => language
            .pick("ver a execução no Step Functions e os logs da função", "see the execution in Step Functions and the function's logs")
            .to_owned(),
    };
    steps.push(cause);
    let follow =
        batch.changes.iter().map(|change| follow_command(settings, change)).collect::<Vec<_>>().join(", ");
    steps.push(format!("{} {follow}", language.pick("depois, acompanhar de novo:", "then follow up again:")));
    steps.join(". ")
}

fn command(operation: &str, secret: &str) -> String {
    format!("`aws secretsmanager {operation} --secret-id '{secret}'`")
}

fn events(cluster: &str, batch: &Batch) -> String {
    let services = batch.deployments.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    format!(
        "`aws ecs describe-services --cluster {cluster} --services {services} --query 'services[].events[:5]'`"
    )
}

/// Asks for a follow-up by hand.
fn follow_command(settings: &Settings, change: &Change) -> String {
    // arn:PARTITION:secretsmanager:REGION:ACCOUNT:…
    let mut parts = change.secret.split(':').skip(1);
    let partition = parts.next().unwrap_or_default();
    let place = parts.skip(1).take(2).collect::<Vec<_>>().join(":");
    format!(
        "`aws stepfunctions start-execution --state-machine-arn arn:{partition}:states:{place}:stateMachine:{} --input '{{\"secret\":\"{}\",{}\"by\":\"{}\"}}'`",
        settings.function,
        change.name,
        if change.is_incident() { "\"reason\":\"incident\"," } else { "" },
        settings.language.pick("SEU NOME", "YOUR NAME")
    )
}

/// The page of a batch that failed.
pub(crate) fn page(settings: &Settings, cluster: &str, batch: &Batch) -> Page {
    let (environment, keys) = (&settings.environment, keys(batch));
    let kind = batch.failures.first().map(|failed| failed.kind.clone()).unwrap_or_default();
    let told: Vec<_> =
        batch.failures.iter().map(|failed| format!("{}: {}", failed.kind, brief(&failed.detail))).collect();
    let dedup_key = format!("{}/{}", crate::PROCEDURE, batch.execution);
    Page {
        subject: paging::subject(&format!("[{environment}] {kind}: {keys}")),
        text: format!(
            "{keys} ({environment}): {}.\n{}: {}.\n{dedup_key}",
            told.join("; "),
            next(settings.language),
            next_step(settings, cluster, batch)
        ),
        dedup_key,
        secret: batch.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn broken_next(settings: &Settings) -> &'static str {
    settings.language.pick(
        "corrigir a causa; a varredura diária (ou o próximo evento) retoma o que falta. Para não esperar, iniciar a state machine com {\"sweep\": true}",
        "mend the cause; the daily sweep (or the next event) takes up what is missing. Not to wait, start the state machine with {\"sweep\": true}",
    )
}

/// The message of an execution that broke before it had a batch.
pub(crate) fn broken(settings: &Settings, execution: &str, broken: &Failed) -> Message {
    let language = settings.language;
    let title = language.pick("Acompanhamento de rotação falhou", "Follow-up of a rotation failed");
    Message {
        title: format!("{title} ({})", settings.environment),
        lines: vec![
            format!("*{}*: {}", broken.kind, broken.detail),
            format!("*{}*: {}", next(language), broken_next(settings)),
        ],
        context: context(settings, execution),
    }
}

/// The page of such an execution.
pub(crate) fn broken_page(settings: &Settings, execution: &str, broken: &Failed) -> Page {
    let (environment, dedup_key) = (&settings.environment, format!("{}/{execution}", crate::PROCEDURE));
    Page {
        subject: paging::subject(&format!("[{environment}] {}: {}", broken.kind, crate::PROCEDURE)),
        text: format!(
            "{} ({environment}): {}: {}.\n{}: {}.\n{dedup_key}",
            crate::PROCEDURE,
            broken.kind,
            broken.detail,
            next(settings.language),
            broken_next(settings)
        ),
        dedup_key,
        secret: String::new(),
    }
}

/// The page of a rotation that CloudTrail says has failed.
pub(crate) fn rotation_failed(
    settings: &Settings,
    secret: &Listed,
    event: &str,
    failure: Option<&RotationFailure>,
) -> Page {
    let (language, environment, name) = (settings.language, &settings.environment, &secret.name);
    let dedup_key = format!("{}/{event}/{name}", crate::PROCEDURE);
    let kind = failure.map_or(event, |failure| failure.kind.as_str());
    let what = match failure {
        Some(failure) => {
            format!("{event}: {}: {}: {} ({})", failure.step, failure.kind, failure.said, failure.token)
        }
        None => format!(
            "{event}: {}",
            language.pick(
                "a função de rotação não registrou a falha; ver os logs dela",
                "the rotation function has no record of the failure; read its logs",
            )
        ),
    };
    let describe =
        format!("{} --query VersionIdsToStages", command("describe-secret", name).trim_matches('`'));
    let step = match language {
        Language::Portuguese => format!(
            "o canal tem a mensagem da função com o comando exato (docs/rotacao.md). Estado: `{describe}`. O Secrets Manager repete uma rotação que falhou; uma abandonada, não: {}",
            command("rotate-secret", name)
        ),
        Language::English => format!(
            "the channel has the function's message with the exact command (docs/rotacao.md). State: `{describe}`. Secrets Manager repeats a rotation that failed, and not one that was abandoned: {}",
            command("rotate-secret", name)
        ),
    };
    Page {
        subject: paging::subject(&format!("[{environment}] {kind}: {name}")),
        text: format!("{name} ({environment}): {what}.\n{}: {step}.\n{dedup_key}", next(language)),
        dedup_key,
        secret: name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Change;

    #[test]
    fn the_command_that_asks_for_a_follow_up_is_whole() {
        let settings = Settings {
            function: "moveongs-dev-rotation-followup".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "1".to_owned(),
            language: Language::English,
            policy: "".parse().unwrap(),
        };
        let change = Change {
            secret: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3"
                .to_owned(),
            name: "/moveongs/dev/jwt".to_owned(),
            key: "JWT_SECRET".to_owned(),
            version: "v2".to_owned(),
            previous: None,
            made: None,
            noticed: jiff::Timestamp::UNIX_EPOCH,
            is_rotation: true,
            declared: None,
        };
        assert_eq!(
            follow_command(&settings, &change),
            "`aws stepfunctions start-execution --state-machine-arn arn:aws:states:us-east-1:123456789012:stateMachine:moveongs-dev-rotation-followup --input '{\"secret\":\"/moveongs/dev/jwt\",\"by\":\"YOUR NAME\"}'`"
        );
    }
}
