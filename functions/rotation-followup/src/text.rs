//! What people read: in the channel and in a page. No secret's value is known here.

use std::collections::{BTreeMap, BTreeSet};

use shared::aws::secrets::Listed;
use shared::policy::Area;
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::event::pasted;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use crate::back;
use crate::event::Source;
use crate::journal::{Batch, Change, Failed, Leak, RETIRED_BY, Reason, Row, SESSIONS};
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
    /// The current version of each secret after a failure, by ARN; without those that could not be seen.
    pub current: &'a BTreeMap<String, String>,
    /// Name of the secret that signs the application's tokens.
    pub jwt: Option<&'a str>,
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
    let leaks = leaks(stack, rows);
    let title = if batch.failures.is_empty() && rows.iter().any(is_alive) {
        language.pick(
            "Segredo novo em uso, e o vazado pode ainda valer",
            "New secret in use, and the leaked one may still be good",
        )
    } else if batch.failures.is_empty() && is_unproved {
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
    lines.extend(leaks);
    lines.extend(rows.iter().filter_map(|row| living_tokens(stack, row)));
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
        context: [details(batch), vec![context(settings, &batch.execution)]].concat().join(" · "),
    }
}

/// Whether a value leaked and may still be good.
fn is_alive(row: &Row) -> bool {
    row.leak.as_ref().is_some_and(|leak| *leak != Leak::Dead)
}

/// What is known of each value that leaked: what is dead, what may live, and what a person does about it.
fn leaks(stack: &Stack<'_>, rows: &[Row]) -> Vec<String> {
    let language = stack.settings.language;
    let of_row = |row: &Row| {
        let name = &row.secret;
        let text = match row.leak.as_ref()? {
            Leak::Dead => format!(
                "✓ `{name}`: {}",
                match row.key.as_str() {
                    crate::JWT => language.pick(
                        "a chave vazada está morta (provado): os tokens de acesso que ela assinou são recusados",
                        "the leaked key is dead (proved): the access tokens that it signed are refused",
                    ),
                    _ => language.pick(
                        "a credencial vazada está morta (provado)",
                        "the leaked credential is dead (proved)",
                    ),
                }
            ),
            Leak::Alive(why) => format!(
                "✗ `{name}`: {} ({why}). *{}*: {}",
                language.pick(
                    "não se provou que o valor vazado está morto",
                    "the leaked value was not proved dead",
                ),
                next(language),
                next_of_leak(stack, row)
            ),
            Leak::NoProof => format!(
                "✗ `{name}`: {} *{}*: {}",
                language.pick(
                    "nada aqui prova que o valor vazado está morto.",
                    "nothing here proves that the leaked value is dead.",
                ),
                next(language),
                match row.key.as_str() {
                    crate::WEBHOOK => language.pick(
                        "cada receptor de webhooks deve passar a conferir com o segredo novo e recusar o anterior; só ele sabe se o fez. Confirmar com cada um e registrar",
                        "each receiver of webhooks has to check with the new secret and refuse the one before; only the receiver knows whether it does. Ask each one to confirm, and keep a record",
                    ),
                    _ => language.pick(
                        "encerrar o valor anterior no sistema que o confere, e registrar como foi visto que ele é recusado",
                        "end the value before in the system that checks it, and keep a record of how it was seen to be refused",
                    ),
                }
            ),
        };
        Some(text)
    };
    rows.iter().filter_map(of_row).collect()
}

/// Until when access tokens live that the administrator's password gave, which no longer depend on it.
fn living_tokens(stack: &Stack<'_>, row: &Row) -> Option<String> {
    if row.key != crate::ADMIN || row.restored {
        return None;
    }
    let until = row.made?.checked_add(jiff::SignedDuration::from_hours(24)).ok()?;
    let until = time::local(until);
    let rotate = stack.jwt.map(|jwt| command("rotate-secret", jwt)).unwrap_or_default();
    Some(match stack.settings.language {
        Language::Portuguese => format!(
            "Tokens de acesso que a senha anterior deu valem até {until} (`JWT_EXPIRES_IN` de um dia, se não foi mudado); os refresh tokens foram revogados. Para encerrá-los já, rotacionar a chave que os assina: {rotate}"
        ),
        Language::English => format!(
            "Access tokens that the password before gave are good until {until} (`JWT_EXPIRES_IN` of a day, unless changed); the refresh tokens are revoked. To end them now, rotate the key that signs them: {rotate}"
        ),
    })
}

/// How a value that leaked is ended now; the function that does it tries each hour.
fn next_of_leak(stack: &Stack<'_>, row: &Row) -> String {
    let (language, settings) = (stack.settings.language, stack.settings);
    let function =
        RETIRED_BY.iter().find(|(key, _)| *key == row.key).map_or("rotate-database", |(_, name)| name);
    if row.key == crate::JWT {
        let why = language.pick("rotacionar de novo:", "rotate again:");
        return format!("{why} {}", command("rotate-secret", &row.secret));
    }
    format!(
        "{} `echo '{{\"retire\": true}}' | aws lambda invoke --function-name {}-{}-{function} --payload fileb:///dev/stdin /dev/stdout`",
        language.pick(
            "a função tenta a cada hora, e a mensagem dela diz a causa. Tentar agora:",
            "the function tries each hour, and its message has the cause. To try now:",
        ),
        settings.project,
        settings.environment
    )
}

/// What a failure means, and what was observed.
fn what_failed(failed: &Failed, language: Language) -> String {
    let what = match failed.kind.as_str() {
        "ValueRefused" => language.pick(
            "o valor novo certamente não funciona, e por isso nada foi implantado",
            "the new value certainly does not work, so nothing was deployed",
        ),
        "OldValueLeaked" => language.pick(
            "um valor que vazou, ou de que um acompanhamento já voltou, voltou (gravado de novo como versão nova, ou AWSCURRENT foi movido de volta para a versão), e por isso nada foi implantado. Se foi um `terraform apply`, o estado guarda o valor: pôr lifecycle { ignore_changes = [secret_string] } em aws_secretsmanager_secret_version, ou tirá-lo do código",
            "a value that leaked, or that a follow-up has gone back from, came back (stored again as a new version, or AWSCURRENT was moved back to its version), so nothing was deployed. If `terraform apply` did it, the state holds the value: set lifecycle { ignore_changes = [secret_string] } in aws_secretsmanager_secret_version, or take it out of the code",
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
        "Auth" | "Permission" | "Identity" | "ReadOnly" | "Busy" | "ProofFailed" | "Pooler" | "Database"
        | "WrongForm" => {
            language.pick("o banco recusa o valor em vigor", "the database refuses the value in force")
        }
        // Also what Step Functions and Lambda call it when a step did not come to its own answer.
        _ => language.pick("um passo do acompanhamento não terminou", "a step of the follow-up did not end"),
    };
    if is_said_by_us(&failed.kind) {
        return what.to_owned();
    }
    // The proof that failed has a name of its own in each language.
    let detail = match failed.detail.split_once(": ") {
        Some((name, said)) => format!("{}: {said}", ledger::name(name, language)),
        None => failed.detail.clone(),
    };
    format!("{what} («{}»)", brief(&detail))
}

/// Whether a failure's detail is a sentence of our own, in English: it stands in the small print.
fn is_said_by_us(kind: &str) -> bool {
    matches!(
        kind,
        "NoService"
            | "EcsCall"
            | "SecretsManagerCall"
            | "BookFailed"
            | "DeadlineExceeded"
            | "NotOpen"
            | SESSIONS
    )
}

/// The technical detail of a batch's failures, for the small print.
fn details(batch: &Batch) -> Vec<String> {
    let own = batch.failures.iter().filter(|failed| is_said_by_us(&failed.kind));
    own.map(|failed| brief(&failed.detail)).collect()
}

/// Which value is in force of each secret, as Secrets Manager shows it now, and what the tasks run: after a failure the two may
/// differ.
fn in_force(stack: &Stack<'_>, batch: &Batch) -> Vec<String> {
    let language = stack.settings.language;
    let secrets = batch.changes.iter().filter_map(|change| {
        let version = stack.current.get(&change.secret)?;
        let which = if *version == change.version {
            language.pick("o valor novo", "the new value")
        } else if change.previous.as_ref() != Some(version) {
            language.pick("nem o novo nem o anterior", "neither the new nor the one before")
        } else if batch.moved.contains(&change.secret) {
            language.pick("o valor anterior, restaurado", "the value before, restored")
        } else {
            language.pick("o valor anterior", "the value before")
        };
        let title = language.pick("Em vigor em", "In force on");
        Some(format!("{title} `{}`: `{version}` ({which})", change.name))
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
            "a função não chega ao banco, e isso nada diz do valor novo. Conferir os parâmetros VpcSubnetIds, VpcSecurityGroupIds e RdsCaFile, e as conexões do usuário",
            "the function does not reach the database, which says nothing of the new value. Check the parameters VpcSubnetIds, VpcSecurityGroupIds and RdsCaFile, and the user's connections",
        ),
        "OldValue" => {
            let each = batch.changes.iter().filter_map(|change| {
                let old = batch.old.get(&change.secret)?;
                let (name, since) = (&change.name, time::local_date(old.made));
                let version = shared::runtime::event::pasted(&old.version);
                Some(match language {
                    Language::Portuguese => format!(
                        "voltou um valor antigo em `{name}`: nenhuma rotação fez a versão nova, e o valor é o da versão `{version}`, de {since}, de onde a idade continua a contar"
                    ),
                    Language::English => format!(
                        "an old value is back in `{name}`: no rotation made the new version, and its value is that of version `{version}`, of {since}, from which its age goes on counting"
                    ),
                })
            });
            let old: Vec<_> = batch.changes.iter().filter(|it| batch.old.contains_key(&it.secret)).collect();
            let rotate: Vec<_> = old.iter().map(|it| command("rotate-secret", &it.name)).collect();
            let cure = language.pick(
                "Se foi um `terraform apply`, pôr antes lifecycle { ignore_changes = [secret_string] } em aws_secretsmanager_secret_version, senão o próximo apply o repete. Rotacionar:",
                "If `terraform apply` did it, first set lifecycle { ignore_changes = [secret_string] } in aws_secretsmanager_secret_version, or the next apply repeats it. Rotate:",
            );
            return Some(format!("{}. {cure} {}", each.collect::<Vec<_>>().join("; "), rotate.join(", ")));
        }
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
        return format!("{text} {}", again(stack, &moved));
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
        "ValueRefused" | "OldValueLeaked" | "Auth" | "WrongForm" | "Permission" | "Identity" => {
            let refused: Vec<_> = failed.iter().copied().filter(|change| speaks(change)).collect();
            let text = language.pick(
                "fazer um valor que funciona, que será acompanhado sozinho:",
                "make a value that works, which is followed up by itself:",
            );
            // A database's rotation waits until the value in force is known to be in use, which this one will never be.
            let back = refused.iter().filter(|change| change.key == crate::DATABASE);
            steps.extend(back.filter_map(|change| {
                let back = language.pick(
                    "mover o rótulo à mão para o valor anterior, se ele entra no banco, e esperar que o acompanhamento o prove:",
                    "move the label by hand to the value before, if that logs in, and wait until the follow-up has proved it:",
                );
                Some(format!("{back} {}", move_command(change)?))
            }));
            let others: Vec<_> = failed.iter().filter(|it| !refused.contains(it)).collect();
            let then = if others.is_empty() {
                String::new()
            } else {
                let each = others.iter().map(|change| follow_command(stack.settings, change));
                let then = language.pick("depois, acompanhar os demais:", "then follow up the others:");
                format!(". {then} {}", each.collect::<Vec<_>>().join(", "))
            };
            steps.push(format!("{text} {}{then}", rotate(&refused)));
            // Sessions end with the value that the rotation makes; a database's login that leaked is ended by this row.
            let leaked = refused.iter().filter(|it| it.is_incident() && it.key != crate::DATABASE);
            let declare: Vec<_> = leaked.map(|change| follow_command(stack.settings, change)).collect();
            if !declare.is_empty() {
                let text = language.pick(
                    "com esse valor em uso, declarar o incidente de novo:",
                    "with that value in use, declare the incident again:",
                );
                steps.push(format!("{text} {}", declare.join(", ")));
            }
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
            .pick("conferir a permissão da chamada que a linha miúda nomeia", "check the permission of the call that the small print names")
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

/// How values are made anew whose label went back. The database's rotation waits until the value in force is known to be in use.
fn again(stack: &Stack<'_>, moved: &[&Change]) -> String {
    let language = stack.settings.language;
    let each = moved.iter().map(|change| {
        let rotate = command("rotate-secret", &change.name);
        if change.key != crate::DATABASE {
            return rotate;
        }
        let (first, then) = match language {
            Language::Portuguese => ("acompanhar o valor em vigor,", "e, quando estiver provado,"),
            Language::English => ("follow up the value in force,", "and when it is proved,"),
        };
        format!("{first} {} {then} {rotate}", follow_command(stack.settings, change))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn move_command(change: &Change) -> Option<String> {
    let previous = change.previous.as_deref()?;
    Some(format!(
        "`aws secretsmanager update-secret-version-stage --secret-id '{}' --version-stage AWSCURRENT --move-to-version-id {} --remove-from-version-id {}`",
        change.name,
        pasted(previous),
        pasted(&change.version)
    ))
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
    let more = if change.is_incident() { "\"reason\":\"incident\"," } else { "" };
    shared::run::ledger::follow_command(settings, &change.secret, &change.name, more)
}

/// The section about failed rotations and follow-ups.
const RUNBOOK: &str = "docs/rotacao.md#o-que-cada-mensagem-quer-dizer";

/// The page of a batch that failed.
pub(crate) fn page(stack: &Stack<'_>, batch: &Batch, rows: &[Row]) -> Page {
    let settings = stack.settings;
    let (environment, keys, language) = (&settings.environment, keys(batch), settings.language);
    let secret = batch.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ");
    let (kind, text) = match batch.failures.first() {
        None => ("LeakAlive", format!("{keys} ({environment}):\n{}", leaks(stack, rows).join("\n"))),
        Some(failed) => {
            let failures = batch.failures.iter();
            let failures =
                failures.map(|failed| format!("{}: {}", failed.kind, what_failed(failed, language)));
            let text = format!(
                "{keys} ({environment}): {}.\n{}: {}.\n{}.\n{}",
                failures.collect::<Vec<_>>().join("; "),
                next(language),
                next_step(stack, batch),
                in_force(stack, batch).join("; "),
                details(batch).join("\n")
            );
            (failed.kind.as_str(), text)
        }
    };
    let alert = Alert {
        kind,
        severity: Severity::Critical,
        resource: &secret,
        text,
        owners: batch.changes.iter().map(|change| settings.policy.secret_responsible(&change.key)).collect(),
        runbook: RUNBOOK,
        dedup_key: format!("{}/{}", crate::PROCEDURE, batch.execution),
    };
    Page::new(settings, alert)
}

/// Starts the state machine; the account is not known here.
fn start_command(settings: &Settings, input: &str) -> String {
    format!(
        "`aws stepfunctions start-execution --input '{input}' --state-machine-arn \"$(aws stepfunctions list-state-machines --query \"stateMachines[?name=='{}'].stateMachineArn\" --output text)\"`",
        settings.function
    )
}

/// What is known of an execution that broke before it had a batch; the function's own words stand in the small print.
fn what_broke(broken: &Failed, language: Language) -> &'static str {
    match broken.kind.as_str() {
        "InvalidEvent" => language.pick(
            "a entrada não é uma que o acompanhamento conhece",
            "the input is not one that the follow-up knows",
        ),
        "NotOurs" => language.pick(
            "o segredo não é deste ambiente: template e política não o nomeiam, e as tags Project e Environment dele não são as deste",
            "the secret is not of this environment: neither template nor policy name it, and its tags Project and Environment are not this one's",
        ),
        "NotRotated" => language.pick(
            "a versão atual do segredo não foi feita depois do incidente, e o acompanhamento nada encerrou",
            "the secret's current version was not made after the incident, and the follow-up ended nothing",
        ),
        _ => language.pick("um passo do acompanhamento não terminou", "a step of the follow-up did not end"),
    }
}

fn broken_next(settings: &Settings, broken: &Failed, source: Option<&Source>) -> String {
    let language = settings.language;
    let by = language.pick("SEU NOME", "YOUR NAME");
    let input = |secret: &str, is_incident: bool| {
        let reason = if is_incident { "\"reason\":\"incident\"," } else { "" };
        format!("{{\"secret\":\"{secret}\",{reason}\"by\":\"{by}\"}}")
    };
    let Some(Source::Asked(secret, declared)) = source else {
        return if broken.kind == "InvalidEvent" {
            let text =
                language.pick("começar de novo com a entrada certa:", "start again with the right input:");
            let secret = language.pick("NOME DO SEGREDO", "NAME OF THE SECRET");
            format!("{text} {}", start_command(settings, &input(secret, false)))
        } else {
            let text = language.pick(
                "corrigir a causa; a varredura diária (ou o próximo evento) retoma o que falta. Para não esperar:",
                "mend the cause; the daily sweep (or the next event) takes up what is missing. Not to wait:",
            );
            format!("{text} {}", start_command(settings, "{\"sweep\":true}"))
        };
    };
    // What a person has declared is known to no sweep.
    let again = start_command(settings, &input(secret, declared.reason == Reason::Incident));
    let (first, then) = match broken.kind.as_str() {
        "NotOurs" => (
            format!(
                "{} `aws secretsmanager tag-resource --secret-id '{secret}' --tags Key=Project,Value={} Key=Environment,Value={}`",
                language.pick(
                    "se o segredo é deste ambiente, dar a ele as tags:",
                    "if the secret is this environment's, give it the tags:"
                ),
                settings.project,
                settings.environment
            ),
            language.pick("e acompanhar de novo:", "and follow up again:"),
        ),
        "NotRotated" => (
            format!("{} {}", language.pick("rotacionar:", "rotate:"), command("rotate-secret", secret)),
            language.pick(
                "e, terminada a rotação, declarar o incidente de novo:",
                "and when the rotation has ended, declare the incident again:",
            ),
        ),
        _ => (
            language.pick("corrigir a causa", "mend the cause").to_owned(),
            language.pick("e pedir o acompanhamento de novo:", "and ask for the follow-up again:"),
        ),
    };
    format!("{first} {then} {again}")
}

/// The message of an execution that broke before it had a batch.
pub(crate) fn broken(
    settings: &Settings,
    execution: &str,
    broken: &Failed,
    source: Option<&Source>,
) -> Message {
    let language = settings.language;
    let title = language.pick("Acompanhamento de rotação falhou", "Follow-up of a rotation failed");
    Message {
        title: format!("{title} ({})", settings.environment),
        lines: vec![
            format!("*{}*: {}", broken.kind, what_broke(broken, language)),
            format!("*{}*: {}", next(language), broken_next(settings, broken, source)),
        ],
        context: format!("{} · {}", brief(&broken.detail), context(settings, execution)),
    }
}

/// The page of such an execution.
pub(crate) fn broken_page(
    settings: &Settings,
    execution: &str,
    broken: &Failed,
    source: Option<&Source>,
) -> Page {
    let alert = Alert {
        kind: &broken.kind,
        severity: Severity::Critical,
        resource: crate::PROCEDURE,
        text: format!(
            "{} ({}): {}: {}.\n{}: {}.\n{}",
            crate::PROCEDURE,
            settings.environment,
            broken.kind,
            what_broke(broken, settings.language),
            next(settings.language),
            broken_next(settings, broken, source),
            brief(&broken.detail)
        ),
        owners: vec![settings.policy.responsible(Area::Infrastructure)],
        runbook: RUNBOOK,
        dedup_key: format!("{}/{execution}", crate::PROCEDURE),
    };
    Page::new(settings, alert)
}

/// The page of a rotation that CloudTrail says has failed.
pub(crate) fn rotation_failed(
    settings: &Settings,
    secret: &Listed,
    key: &str,
    event: &str,
    failure: Option<&RotationFailure>,
) -> Page {
    let (language, environment, name) = (settings.language, &settings.environment, &secret.name);
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
    let alert = Alert {
        kind,
        severity: Severity::Critical,
        resource: name,
        text: format!("{name} ({environment}): {what}.\n{}: {step}.", next(language)),
        owners: vec![settings.policy.secret_responsible(key)],
        runbook: RUNBOOK,
        dedup_key: format!("{}/{event}/{name}", crate::PROCEDURE),
    };
    Page::new(settings, alert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Change;

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

    fn settings(language: Language) -> Settings {
        Settings {
            function: "moveongs-dev-rotation-followup".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "1".to_owned(),
            language,
            policy: "".parse().unwrap(),
        }
    }

    fn change(key: &str, name: &str) -> Change {
        Change {
            secret: format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-a1B2c3"),
            name: name.to_owned(),
            key: key.to_owned(),
            version: "v2".to_owned(),
            previous: Some("v1".to_owned()),
            made: None,
            noticed: jiff::Timestamp::UNIX_EPOCH,
            is_rotation: true,
            declared: None,
        }
    }

    fn batch(failures: Vec<Failed>, moved: bool) -> Batch {
        let mut journal = crate::journal::Journal::default();
        let jwt = change("JWT_SECRET", "/moveongs/dev/jwt");
        journal.notice(&jwt);
        journal.take("execution", jiff::Timestamp::UNIX_EPOCH);
        let mut batch = journal.open.unwrap();
        batch.failures = failures;
        batch.deployments.insert("api".to_owned(), "ecs-svc/2".to_owned());
        batch.readers.insert(jwt.secret.clone(), vec!["api".to_owned()]);
        if moved {
            batch.phase = crate::journal::Phase::Back;
            batch.moved.push(jwt.secret);
        }
        batch
    }

    fn paged(language: Language, batch: &Batch) -> String {
        paged_with(language, batch, batch.in_force(&batch.changes[0].secret).unwrap())
    }

    /// The same where another version is current than the one that the batch means.
    fn paged_with(language: Language, batch: &Batch, current: &str) -> String {
        let runs = [Runs { service: "api".to_owned(), before: 1, new: 0, restored: 1 }];
        let settings = settings(language);
        let current = BTreeMap::from([(batch.changes[0].secret.clone(), current.to_owned())]);
        let stack = Stack {
            settings: &settings,
            cluster: "c",
            account: Some("/moveongs/dev/smoke"),
            runs: &runs,
            current: &current,
            jwt: Some("/moveongs/dev/jwt"),
        };
        page(&stack, batch, &[]).text
    }

    #[test]
    fn when_the_way_back_fails_too_the_page_says_what_is_in_force_and_what_runs() {
        let failures = vec![
            Failed::new("RolloutFailed", "api: failedTasks 3"),
            Failed::new("RolloutFailed", "api: failedTasks 3"),
        ];
        let text = paged(Language::English, &batch(failures, true));
        assert!(text.contains("the way back to the value before has failed too"), "{text}");
        assert!(
            text.contains("In force on `/moveongs/dev/jwt`: `v1` (the value before, restored)"),
            "{text}"
        );
        assert!(
            text.contains(
                "Tasks of api: 1 from before the change, 0 with the new value, 1 from after the way back"
            ),
            "{text}"
        );
        // Nobody is sent back to the new value, or told of a single user.
        assert!(!text.contains("rotate-secret") && !text.contains("single user"), "{text}");
        let text = paged(Language::English, &batch(vec![Failed::new("HealthFailed", "")], false));
        assert!(text.contains("`v2` (the new value)"), "{text}");
    }

    #[test]
    fn what_is_in_force_is_what_was_seen() {
        let denied = || Failed::new("SecretsManagerCall", "secretsmanager:UpdateSecretVersionStage failed");
        let refused = Failed::new("RolloutFailed", "api: failedTasks 3");
        // The label was to go back, and did not.
        let text = paged_with(Language::English, &batch(vec![refused.clone(), denied()], true), "v2");
        assert!(text.contains("In force on `/moveongs/dev/jwt`: `v2` (the new value)"), "{text}");
        let superseded = Failed::of("JWT_SECRET", "Superseded", "");
        let text = paged_with(Language::English, &batch(vec![superseded], false), "v3");
        assert!(text.contains("`v3` (neither the new nor the one before)"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_no_refusal_by_the_database() {
        for kind in ["States.Timeout", "Runtime.ExitError", "PageFailed"] {
            let text = paged(Language::English, &batch(vec![Failed::new(kind, "")], false));
            assert!(text.contains("a step of the follow-up did not end"), "{kind}: {text}");
        }
    }

    #[test]
    fn an_execution_that_broke_is_reported_in_the_chosen_language_with_the_command_that_begins_again() {
        let asked = |reason| {
            let declared = crate::journal::Declared { reason, by: "ana".to_owned() };
            Source::Asked("/moveongs/dev/jwt".to_owned(), declared)
        };
        let (manual, incident) = (asked(Reason::Manual), asked(Reason::Incident));
        for (kind, source, parts) in [
            ("InvalidEvent", None, ["NOME DO SEGREDO", "start-execution"]),
            ("NotOurs", Some(&manual), ["Key=Environment,Value=dev", "\"/moveongs/dev/jwt\",\"by\""]),
            ("NotRotated", Some(&incident), ["rotate-secret", "\"reason\":\"incident\""]),
            ("SecretsManagerCall", Some(&incident), ["corrigir a causa", "\"reason\":\"incident\""]),
            ("SecretsManagerCall", Some(&Source::Sweep), ["corrigir a causa", "{\"sweep\":true}"]),
            ("BookFailed", None, ["corrigir a causa", "{\"sweep\":true}"]),
        ] {
            let failed = Failed::new(kind, "the step is the function's own and not ours");
            let message = broken(&settings(Language::Portuguese), "e", &failed, source);
            for part in parts {
                assert!(message.lines.join(" ").contains(part), "{kind}: {part}: {message:?}");
            }
            assert!(!message.lines.join(" ").contains(" the "), "{kind}: {message:?}");
            assert!(message.context.contains(&failed.detail), "{message:?}");
        }
    }

    /// Each kind that a failure of a batch has.
    const KINDS: [&str; 23] = [
        "ValueRefused",
        "OldValueLeaked",
        "RolloutFailed",
        "RolloutUnfinished",
        "OthersRolloutFailed",
        "Superseded",
        "NewTokenRefused",
        "OldTokenAccepted",
        "DatabaseRefused",
        "LoginFailed",
        "ListFailed",
        "HealthFailed",
        "Unreachable",
        "UnclearAnswer",
        "SessionsNotEnded",
        "Auth",
        "WrongForm",
        "NoService",
        "EcsCall",
        "SecretsManagerCall",
        "BookFailed",
        "DeadlineExceeded",
        "NotOpen",
    ];

    /// The kinds that `tests/e2e/advised.txt` has of one of the messages, and how each is tested.
    fn advised(section: &str) -> Vec<(&'static str, &'static str)> {
        let lines = include_str!("../../../tests/e2e/advised.txt").lines();
        let of_section =
            lines.filter_map(|line| line.strip_prefix(section)?.strip_prefix(' ')?.split_once(' '));
        of_section.collect()
    }

    /// The kinds that a part of this file names.
    fn named(from: &str, to: &str) -> Vec<&'static str> {
        let code = include_str!("text.rs").split_once(from).unwrap().1.split_once(to).unwrap().0;
        let is_kind = |text: &&str| {
            text.starts_with(|c: char| c.is_ascii_uppercase())
                && text.chars().all(|c| c.is_ascii_alphanumeric())
        };
        code.split('"').skip(1).step_by(2).filter(is_kind).collect()
    }

    #[test]
    fn every_kind_with_a_next_step_says_which_test_runs_its_commands() {
        let missing = |section: &str, kinds: &[&'static str]| {
            let listed: Vec<_> = advised(section).into_iter().map(|(kind, _)| kind).collect();
            let missing: Vec<_> = kinds.iter().filter(|kind| !listed.contains(kind)).collect();
            assert!(missing.is_empty(), "{section}: {missing:?} stand in no line of tests/e2e/advised.txt");
        };
        missing("followup", &KINDS);
        missing("followup", &named("\nfn next_step(", "\nfn command("));
        missing("unproved", &named("\nfn cure(", "\nfn cure_of_reader("));
        let failed =
            |kind: &str| paged(Language::English, &batch(vec![Failed::of("JWT_SECRET", kind, "")], false));
        let next = |text: &str, kind: &str| text.split_once("Next step: ").unwrap().1.replace(kind, "");
        for (kind, how) in advised("followup") {
            if let Some(other) = how.strip_prefix("as ") {
                assert_eq!(next(&failed(kind), kind), next(&failed(other), other), "{kind}");
            }
        }
        let settings = settings(Language::English);
        for (kind, how) in advised("broken") {
            if let Some(other) = how.strip_prefix("as ") {
                let next = |kind| broken_next(&settings, &Failed::new(kind, ""), Some(&Source::Sweep));
                assert_eq!(next(kind), next(other), "{kind}");
            }
        }
    }

    #[test]
    fn every_failure_has_a_next_step_in_the_chosen_language() {
        let english = [" the ", " and ", " not ", " with ", " of ", " was "];
        for kind in KINDS {
            let mut batch = batch(vec![Failed::of("JWT_SECRET", kind, "health: 503 (5/5)")], false);
            batch
                .stayed
                .insert("/moveongs/dev/jwt".to_owned(), "the value before may be known to others".to_owned());
            let text = paged(Language::Portuguese, &batch);
            // Commands and names are in no language.
            let plain: String = text.split('`').step_by(2).collect();
            let found: Vec<_> = english.iter().filter(|word| plain.contains(**word)).collect();
            assert!(found.is_empty(), "{kind}: {found:?}: {text}");
            let has_command = text.contains("`aws ");
            assert!(has_command || kind == "Superseded", "{kind}: {text}");
            assert!(!text.contains("Step Functions"), "{kind}: {text}");
        }
    }

    #[test]
    fn what_could_not_be_proved_has_a_next_step() {
        let settings = settings(Language::English);
        let stack = Stack {
            settings: &settings,
            cluster: "c",
            account: Some("/moveongs/dev/smoke"),
            runs: &[],
            current: &BTreeMap::new(),
            jwt: Some("/moveongs/dev/jwt"),
        };
        for kind in [
            "MaskedLogin",
            "SmokeLoginRefused",
            "NoSmokeAccount",
            "SecondFactor",
            "NotPermitted",
            "NoReader",
            "NoApplicationUrl",
            "RateLimited",
            "Network",
            "Tls",
            "ConnectionLimit",
            "OldValue",
            "SameValue",
            "NoKey",
        ] {
            let mut batch = batch(Vec::new(), false);
            batch.proofs.push(crate::proof::unproved("login", kind, ""));
            let cures = cures(&stack, &batch);
            assert!(cures.len() == 2 && cures[1].contains("start-execution"), "{kind}: {cures:?}");
        }
        let mut batch = batch(Vec::new(), false);
        let definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/moveongs-dev-api:41";
        for (cause, part) in [
            (Cause::Pinned("AWSPREVIOUS".to_owned()), "--task-definition moveongs-dev-api`"),
            (Cause::Controller("CODE_DEPLOY".to_owned()), "CodeDeploy"),
            (Cause::Controller("EXTERNAL".to_owned()), "task set"),
            (Cause::Refused("no".to_owned()), "ECS refuses to deploy"),
            (Cause::Draining, "wait until they have ended"),
        ] {
            let reader = "api/api/JWT_SECRET".to_owned();
            let it = Unreached { reader, cause, definition: definition.to_owned() };
            batch.unreached.insert("arn".to_owned(), vec![it]);
            assert!(cures(&stack, &batch)[0].contains(part), "{part}");
        }
    }
}
