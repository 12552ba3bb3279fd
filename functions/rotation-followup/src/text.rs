//! What people read: in the channel and in a page. No secret's value is known here.

use std::collections::BTreeSet;

use shared::language::Language;
use shared::notify::Message;
use shared::paging::{self, Page};
use shared::secrets::Listed;
use shared::settings::Settings;
use shared::time;

use crate::back;
use crate::book::{Batch, Change, Failed, Row, SESSIONS};
use crate::ledger;
use crate::proof::Outcome;
use crate::readers::{Cause, Unreached};
use crate::rollout::Runs;

/// What a message says beside its batch.
pub(crate) struct Stack<'a> {
    /// The function's settings.
    pub settings: &'a Settings,
    /// Name of the ECS cluster.
    pub cluster: &'a str,
    /// Name of the secret with the account for smoke tests.
    pub account: Option<&'a str>,
    /// What the services run now.
    pub runs: &'a [Runs],
}

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
pub(crate) fn message(stack: &Stack<'_>, batch: &Batch, rows: &[Row]) -> Message {
    let settings = stack.settings;
    let (language, environment) = (settings.language, &settings.environment);
    let keys = keys(batch);
    let is_unproved = rows.iter().any(|row| row.outcome == "unproved");
    let title = if batch.failures.is_empty() && is_unproved {
        language.pick("Segredo novo em uso, prova incompleta", "New secret in use, proof incomplete")
    } else if batch.failures.is_empty() {
        language.pick("Segredo novo em uso e provado", "New secret in use and proved")
    } else if batch.has_failed_twice() {
        language.pick("Segredo novo falhou, e a volta também", "New secret failed, and so did the way back")
    } else if !batch.moved.is_empty() {
        language.pick("Segredo novo falhou e foi desfeito", "New secret failed and was rolled back")
    } else {
        language.pick("Segredo novo falhou", "New secret failed")
    };
    let mut lines: Vec<String> = batch
        .failures
        .iter()
        .map(|failed| format!("*{}*: {}", failed.kind, what_failed(failed, language)))
        .collect();
    // Before all that may be cut off at its end.
    if !batch.failures.is_empty() {
        lines.push(format!("*{}*: {}", next(language), next_step(stack, batch)));
        lines.extend(in_force(stack, batch));
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
        // Of several secrets each has its own reader.
        let whose = if batch.changes.len() > 1 && !proof.key.is_empty() {
            format!("{} · ", proof.key)
        } else {
            String::new()
        };
        format!("{mark} {whose}{}: {}", ledger::name(&proof.name, language), ledger::verdict(proof, language))
    }));
    if let Some(count) = batch.sessions_ended {
        lines.push(format!(
            "{}: {count}",
            language.pick("Refresh tokens revogados", "Refresh tokens revoked")
        ));
    }
    lines.extend(cures(stack, batch).into_iter().map(|cure| format!("*{}*: {cure}", next(language))));
    Message {
        title: format!("{title}: {keys} ({environment})"),
        lines,
        context: context(settings, &batch.execution),
    }
}

/// What a failure means, and what was observed.
fn what_failed(failed: &Failed, language: Language) -> String {
    let what = match failed.kind.as_str() {
        "ValueRefused" => language.pick(
            "o valor novo certamente não funciona, e por isso nada foi implantado",
            "the new value certainly does not work, so nothing was deployed",
        ),
        "RolloutFailed" => language.pick(
            "o deployment falhou, ou não terminou a tempo",
            "the deployment failed, or did not end in time",
        ),
        "RolloutUnfinished" => language.pick(
            "o deployment não terminou no tempo que o próprio serviço configura; nenhuma task falhou",
            "the deployment did not end in the time that the service's own settings give it; no task failed",
        ),
        "OthersRolloutFailed" => language.pick(
            "outro deployment tomou o lugar do nosso e falhou; isso nada diz do segredo",
            "another deployment has taken the place of ours and failed, which says nothing of the secret",
        ),
        "Superseded" => {
            language.pick("o AWSCURRENT mudou de novo no meio", "AWSCURRENT has moved again meanwhile")
        }
        "NewTokenRefused" => language.pick(
            "a aplicação recusa um token assinado com o valor em vigor",
            "the application refuses a token that the value in force has signed",
        ),
        "OldTokenAccepted" => language.pick(
            "a aplicação ainda aceita um token assinado com o valor que não está mais em vigor",
            "the application still takes a token that the value out of force has signed",
        ),
        "DatabaseRefused" | "LoginFailed" | "ListFailed" => {
            language.pick("a aplicação não lê o banco", "the application does not read its database")
        }
        "HealthFailed" => language.pick(
            "a resposta de /health não é a da aplicação",
            "the answer of /health is not the application's",
        ),
        "Unreachable" => language.pick("a aplicação não responde", "the application does not answer"),
        "UnclearAnswer" => language.pick(
            "a resposta nem aceita nem recusa, como a de um load balancer sem tasks",
            "the answer neither takes nor refuses, as that of a load balancer without tasks",
        ),
        SESSIONS => {
            language.pick("os refresh tokens não foram revogados", "the refresh tokens were not revoked")
        }
        "NoService" | "EcsCall" | "SecretsManagerCall" | "BookFailed" | "DeadlineExceeded" | "NotOpen" => {
            language.pick("um passo do acompanhamento não terminou", "a step of the follow-up did not end")
        }
        _ => language.pick("o banco recusa o valor em vigor", "the database refuses the value in force"),
    };
    // The proof that failed has a name of its own in each language.
    let detail = match failed.detail.split_once(": ") {
        Some((name, said)) => format!("{}: {said}", ledger::name(name, language)),
        None => failed.detail.clone(),
    };
    format!("{what} («{}»)", brief(&detail))
}

/// Which value is in force of each secret, and what the tasks run: after a failure the two may differ.
fn in_force(stack: &Stack<'_>, batch: &Batch) -> Vec<String> {
    let language = stack.settings.language;
    let secrets = batch.changes.iter().map(|change| {
        let version = batch.in_force(&change.secret).unwrap_or(&change.version);
        let which = match batch.moved.contains(&change.secret) {
            true => language.pick("o valor anterior, restaurado", "the value before, restored"),
            false => language.pick("o valor novo", "the new value"),
        };
        format!("{} `{}`: `{version}` ({which})", language.pick("Em vigor em", "In force on"), change.name)
    });
    let services = stack.runs.iter().map(|runs| {
        let mut counts = vec![
            format!("{} {}", runs.before, language.pick("de antes da mudança", "from before the change")),
            format!("{} {}", runs.new, language.pick("com o valor novo", "with the new value")),
        ];
        if !batch.moved.is_empty() {
            let restored = language.pick("de depois da volta", "from after the way back");
            counts.push(format!("{} {restored}", runs.restored));
        }
        format!("{} {}: {}", language.pick("Tasks de", "Tasks of"), runs.service, counts.join(", "))
    });
    secrets.chain(services).collect()
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
        "`{}`: `{}` → `{}` · {} · {}: {due}",
        row.secret,
        row.previous.as_deref().unwrap_or("—"),
        row.version,
        ledger::outcome(&row.outcome, language),
        language.pick("vence em", "due by"),
    )
}

/// What the owners of the application do about what could not be proved; at the end the command that proves it again.
fn cures(stack: &Stack<'_>, batch: &Batch) -> Vec<String> {
    let mut cures: Vec<String> = Vec::new();
    let of_proofs = batch.proofs.iter().filter(|proof| proof.outcome == Outcome::Unproved);
    let of_readers = batch.unreached.values().flatten().map(|it| cure_of_reader(stack, it));
    for cure in of_proofs.filter_map(|proof| cure(stack, batch, &proof.kind)).chain(of_readers) {
        if !cures.contains(&cure) {
            cures.push(cure);
        }
    }
    if !cures.is_empty() && batch.failures.is_empty() {
        let follow: Vec<_> =
            batch.changes.iter().map(|change| follow_command(stack.settings, change)).collect();
        let then = stack.settings.language.pick("depois, provar de novo:", "then prove it again:");
        cures.push(format!("{then} {}", follow.join(", ")));
    }
    cures
}

fn cure(stack: &Stack<'_>, batch: &Batch, kind: &str) -> Option<String> {
    let language = stack.settings.language;
    let text = match kind {
        "MaskedLogin" => language.pick(
            "a senha foi aceita, mas o token volta mascarado, e ninguém consegue entrar. Pôr RESPONSE_MASKING_ENABLED=false na task definition da API",
            "the password was accepted, but the token comes masked, and nobody can log in. Set RESPONSE_MASKING_ENABLED=false in the API's task definition",
        ),
        "SmokeLoginRefused" | "NoSmokeAccount" | "SecondFactor" | "NotPermitted" => {
            let why = match kind {
                "SecondFactor" => language.pick(
                    "a conta de smoke test pede um segundo fator, que a função não tem",
                    "the account for smoke tests asks for a second factor, which the function does not have",
                ),
                "NotPermitted" => language.pick(
                    "a conta de smoke test não pode listar beneficiárias",
                    "the account for smoke tests may not list beneficiaries",
                ),
                _ => language.pick(
                    "o segredo da conta de smoke test está errado",
                    "the secret of the account for smoke tests is wrong",
                ),
            };
            let cure = language.pick(
                "Usar uma conta sem segundo fator e com o papel leitura_externa, e gravar email e password dela como JSON",
                "Use an account without a second factor and with the role leitura_externa, and store its email and password as JSON",
            );
            let command = stack.account.map_or_else(
                || language.pick("no segredo do parâmetro SmokeSecretName", "in the secret of the parameter SmokeSecretName").to_owned(),
                |name| format!("`aws secretsmanager put-secret-value --secret-id '{name}' --secret-string file://account.json`"),
            );
            return Some(format!("{why}. {cure}: {command}"));
        }
        "NoReader" => language.pick(
            "nenhum serviço do cluster lê o segredo pela task definition. Se algum o lê de outro modo, nomeá-lo em rotation.secrets.*.services da política",
            "no service of the cluster reads the secret by its task definition. If one does in another way, name it in the policy's rotation.secrets.*.services",
        ),
        "NoApplicationUrl" => language.pick(
            "preencher o parâmetro AppUrl da stack, para que a aplicação prove o valor novo",
            "fill the stack's parameter AppUrl, so that the application proves the new value",
        ),
        "RateLimited" => language.pick(
            "a aplicação limita os pedidos, e isso nada diz do valor novo. Esperar um minuto",
            "the application limits the requests, which says nothing of the new value. Wait for a minute",
        ),
        "Network" | "Tls" | "ConnectionLimit" => language.pick(
            "a função não chega ao banco, e isso nada diz do valor novo. Conferir os parâmetros SubnetIds, SecurityGroupIds e RdsCaFile, e as conexões do usuário",
            "the function does not reach the database, which says nothing of the new value. Check the parameters SubnetIds, SecurityGroupIds and RdsCaFile, and the user's connections",
        ),
        "SameValue" | "NoKey" => {
            let why = language.pick(
                "a versão nova não tem uma chave nova. Rotacionar:",
                "the new version has no new key. Rotate:",
            );
            let jwt = batch.changes.iter().find(|change| change.key == crate::JWT)?;
            return Some(format!("{why} {}", command("rotate-secret", &jwt.name)));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What the owner of a reader does that no deployment of ours gives the new value.
fn cure_of_reader(stack: &Stack<'_>, it: &Unreached) -> String {
    let (language, cluster) = (stack.settings.language, stack.cluster);
    let service = it.reader.split('/').next().unwrap_or_default();
    let family = it.definition.rsplit('/').next().unwrap_or_default();
    let family = family.rsplit_once(':').map_or(family, |(family, _)| family);
    let detail = brief(it.cause.detail());
    match &it.cause {
        Cause::Pinned(_) => {
            let why = language.pick(
                "está preso a uma versão ou rótulo e não recebe o valor novo; a credencial anterior dele não é desativada",
                "is pinned to a version or label and does not get the new value; the credential before stays in use for it",
            );
            let edit = language.pick(
                "Tirar versão e rótulo do valueFrom, registrar a revisão e implantá-la",
                "Take version and label out of valueFrom, register the revision and deploy it",
            );
            format!(
                "{} (`{detail}`) {why}. {edit}: `aws ecs describe-task-definition --task-definition {family} --query taskDefinition`, `aws ecs register-task-definition --cli-input-json file://task.json`, `aws ecs update-service --cluster {cluster} --service {service} --task-definition {family}`",
                it.reader
            )
        }
        Cause::Controller(controller) if controller == "CODE_DEPLOY" => format!(
            "{} {}",
            it.reader,
            language.pick(
                "é implantado pelo CodeDeploy, e não por esta função: o dono cria no CodeDeploy um deployment com a mesma task definition",
                "is deployed by CodeDeploy, and not by this function: its owner creates a deployment with the same task definition there",
            )
        ),
        Cause::Controller(_) => format!(
            "{} {}",
            it.reader,
            language.pick(
                "é implantado por outro sistema (controller EXTERNAL): o dono cria um task set novo, torna-o o primário e apaga o anterior",
                "is deployed by another system (controller EXTERNAL): its owner creates a new task set, makes it the primary one and deletes the former",
            )
        ),
        Cause::Refused(_) => format!(
            "{} {} («{detail}»). {}: `aws ecs describe-services --cluster {cluster} --services {service} --query 'services[].[serviceName,status,deploymentController.type]'`",
            language.pick("o ECS recusa implantar", "ECS refuses to deploy"),
            it.reader,
            language.pick("Corrigir o serviço", "Mend the service"),
        ),
        Cause::Draining => format!(
            "{} {}",
            it.reader,
            language.pick(
                "está sendo apagado, e as últimas tasks dele usam o valor anterior: esperar que terminem",
                "is being deleted, and its last tasks use the value before: wait until they have ended",
            )
        ),
    }
}

/// What to do after a failure, with the command.
fn next_step(stack: &Stack<'_>, batch: &Batch) -> String {
    let language = stack.settings.language;
    let first = batch.failures.first();
    let kind = first.map(|failed| failed.kind.as_str()).unwrap_or_default();
    let speaks = |change: &Change| first.is_some_and(|failed| back::speaks_against(failed, &change.key));
    let is_its_own = |change: &Change| first.is_some_and(|failed| failed.key == change.key);
    let rotate = |changes: &[&Change]| {
        let each = changes.iter().map(|change| command("rotate-secret", &change.name));
        each.collect::<Vec<_>>().join(", ")
    };
    let failed: Vec<&Change> =
        batch.changes.iter().filter(|change| batch.failure_of(change).is_some()).collect();
    let follow: Vec<_> = failed.iter().map(|change| follow_command(stack.settings, change)).collect();
    let follow = follow.join(", ");
    if batch.has_failed_twice() {
        let text = language.pick(
            "a volta ao valor anterior também falhou; abaixo está o que está em vigor e o que as tasks usam. Ver por que as tasks não ficam de pé:",
            "the way back to the value before has failed too; what is in force and what the tasks run stands below. See why the tasks do not stay up:",
        );
        let then = language.pick(
            "Corrigida a causa, acompanhar o valor em vigor:",
            "With the cause mended, follow up the value in force:",
        );
        return format!("{text} {}. {then} {follow}", events(stack.cluster, batch));
    }
    if !batch.moved.is_empty() && batch.stayed.is_empty() {
        let is_proved = batch.proofs.iter().all(|proof| proof.outcome == Outcome::Passed);
        let text = if batch.is_undone() {
            language.pick(
                "o AWSCURRENT voltou ao valor anterior, que as tasks já usavam. Ver quem gravou o valor, e rotacionar de novo:",
                "AWSCURRENT is back on the value before, which the tasks have used all along. Find out who stored the value, and rotate again:",
            )
        } else if is_proved {
            language.pick(
                "a aplicação usa de novo o valor anterior, e isso foi provado. Achar a causa (eventos do serviço e logs das tasks) e rotacionar de novo:",
                "the application uses the value before again, and that was proved. Find the cause (the service's events, the tasks' logs) and rotate again:",
            )
        } else {
            language.pick(
                "o valor anterior está de novo em vigor em todas as tasks, e nem tudo pôde ser provado. Achar a causa (eventos do serviço e logs das tasks) e rotacionar de novo:",
                "the value before is in force in all tasks again, and not all could be proved. Find the cause (the service's events, the tasks' logs) and rotate again:",
            )
        };
        let moved: Vec<_> =
            batch.changes.iter().filter(|change| batch.moved.contains(&change.secret)).collect();
        return format!("{text} {}", rotate(&moved));
    }
    let mut steps: Vec<String> = Vec::new();
    steps.extend(batch.stayed.iter().filter(|(name, _)| failed.iter().any(|it| it.name == **name)).map(
        |(name, why)| {
            let stays = language.pick("O rótulo não voltou em", "The label did not go back on");
            format!("{stays} `{name}`: {}", back::stays(why, language))
        },
    ));
    let events = || events(stack.cluster, batch);
    let cause = match kind {
        // A rotation makes a value that works, and is followed up by itself.
        "ValueRefused" | "Auth" | "WrongForm" | "Permission" | "Identity" => {
            let refused: Vec<_> =
                failed.iter().copied().filter(|change| speaks(change)).collect();
            let text = language.pick(
                "as tasks continuam com o que tinham. Fazer um valor que funciona, que será acompanhado sozinho:",
                "the tasks keep what they had. Make a value that works, which is followed up by itself:",
            );
            let others: Vec<_> = failed.iter().filter(|it| !refused.contains(it)).collect();
            let then = if others.is_empty() {
                String::new()
            } else {
                let each = others.iter().map(|change| follow_command(stack.settings, change));
                let then = language.pick("depois, acompanhar os demais:", "then follow up the others:");
                format!(". {then} {}", each.collect::<Vec<_>>().join(", "))
            };
            steps.push(format!("{text} {}{then}", rotate(&refused)));
            return steps.join(". ");
        }
        "RolloutFailed" => {
            format!("{} {}", language.pick("ver por que as tasks não iniciam:", "see why the tasks do not start:"), events())
        }
        "RolloutUnfinished" => format!(
            "{} {}",
            language.pick("esperar que o deployment termine, ou terminá-lo:", "wait for the deployment's end, or end it:"),
            stages(stack.cluster, batch)
        ),
        "OthersRolloutFailed" => {
            format!("{} {}", language.pick("corrigir esse deployment:", "mend that deployment:"), events())
        }
        "Superseded" => {
            steps.push(language.pick(
                "a versão nova tem o seu próprio acompanhamento, que já espera a vez",
                "the newer version has a follow-up of its own, which waits for its turn",
            ).to_owned());
            let others: Vec<_> = failed.iter().filter(|change| !is_its_own(change)).collect();
            if others.is_empty() {
                return steps.join(". ");
            }
            let each = others.iter().map(|change| follow_command(stack.settings, change)).collect::<Vec<_>>().join(", ");
            steps.push(format!("{} {each}", language.pick("acompanhar de novo os demais:", "follow up the others again:")));
            return steps.join(". ");
        }
        "OldTokenAccepted" | "NewTokenRefused" => language
            .pick(
                "a aplicação não lê o segredo de onde a stack o conhece. Conferir JWT_SECRET na task definition (valueFrom sem versão fixa)",
                "the application does not read the secret from where the stack knows it. Check JWT_SECRET in the task definition (valueFrom without a fixed version)",
            )
            .to_owned(),
        "DatabaseRefused" | "LoginFailed" | "ListFailed" => format!(
            "{} {}",
            language.pick(
                "ver nos eventos do serviço e nos logs das tasks por que a aplicação não lê o banco (docs/rotacao-banco.md):",
                "see in the service's events and the tasks' logs why the application does not read its database (docs/rotacao-banco.md):",
            ),
            events()
        ),
        "HealthFailed" | "Unreachable" | "UnclearAnswer" => format!(
            "{} {}",
            language.pick(
                "o segredo não é a causa. Ver o load balancer, o parâmetro AppUrl e as tasks:",
                "the secret is not the cause. See the load balancer, the parameter AppUrl and the tasks:",
            ),
            events()
        ),
        SESSIONS => language
            .pick(
                "as sessões abertas continuam valendo. Entrar no banco e executar: `UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;`",
                "open sessions are still good. Log in to the database and run: `UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;`",
            )
            .to_owned(),
        "NoService" => language
            .pick(
                "corrigir rotation.secrets.*.services da política, ou o parâmetro EcsClusterName",
                "correct rotation.secrets.*.services of the policy, or the parameter EcsClusterName",
            )
            .to_owned(),
        "EcsCall" | "SecretsManagerCall" | "BookFailed" => language
            .pick("conferir a permissão da chamada que o erro nomeia", "check the permission of the call that the error names")
            .to_owned(),
        _ => language
            .pick("corrigir o que o erro nomeia", "mend what the error names")
            .to_owned(),
    };
    steps.push(cause);
    steps.push(format!("{} {follow}", language.pick("depois, acompanhar de novo:", "then follow up again:")));
    steps.join(". ")
}

fn command(operation: &str, secret: &str) -> String {
    format!("`aws secretsmanager {operation} --secret-id '{secret}'`")
}

fn events(cluster: &str, batch: &Batch) -> String {
    let services: BTreeSet<_> = batch.deployments.keys().chain(batch.readers.values().flatten()).collect();
    let services = services.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    format!(
        "`aws ecs describe-services --cluster {cluster} --services {services} --query 'services[].events[:5]'`"
    )
}

/// How far the service deployments are.
fn stages(cluster: &str, batch: &Batch) -> String {
    let each = batch.deployments.keys().map(|service| {
        format!(
            "`aws ecs list-service-deployments --cluster {cluster} --service {service} --query 'serviceDeployments[0].[status,statusReason]'`"
        )
    });
    each.collect::<Vec<_>>().join(", ")
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
pub(crate) fn page(stack: &Stack<'_>, batch: &Batch) -> Page {
    let settings = stack.settings;
    let (environment, keys, language) = (&settings.environment, keys(batch), settings.language);
    let kind = batch.failures.first().map(|failed| failed.kind.clone()).unwrap_or_default();
    let told: Vec<_> = batch
        .failures
        .iter()
        .map(|failed| format!("{}: {}", failed.kind, what_failed(failed, language)))
        .collect();
    let dedup_key = format!("{}/{}", crate::PROCEDURE, batch.execution);
    Page {
        subject: paging::subject(&format!("[{environment}] {kind}: {keys}")),
        text: format!(
            "{keys} ({environment}): {}.\n{}: {}.\n{}.\n{dedup_key}",
            told.join("; "),
            next(language),
            next_step(stack, batch),
            in_force(stack, batch).join("; ")
        ),
        dedup_key,
        secret: batch.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn broken_next(settings: &Settings) -> String {
    let text = settings.language.pick(
        "corrigir a causa; a varredura diária (ou o próximo evento) retoma o que falta. Para não esperar:",
        "mend the cause; the daily sweep (or the next event) takes up what is missing. Not to wait:",
    );
    // The account is not known here.
    format!(
        "{text} `aws stepfunctions start-execution --input '{{\"sweep\":true}}' --state-machine-arn \"$(aws stepfunctions list-state-machines --query \"stateMachines[?name=='{}'].stateMachineArn\" --output text)\"`",
        settings.function
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
