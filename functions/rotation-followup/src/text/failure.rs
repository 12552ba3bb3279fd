//! A failed batch: its cause, the values in force, and the next step with its command.

use std::collections::BTreeSet;

use shared::command;
use shared::run::command::{codes, secrets};
use shared::runtime::language::Language;

use super::{Stack, brief, follow_commands, ledger, rotate_commands};
use crate::rules::batch::Batch;
use crate::rules::change::Change;
use crate::rules::failure::{Failed, implicates};
use crate::rules::keys::DATABASE;
use crate::rules::kind::Kind;
use crate::rules::proof::Outcome;
use crate::rules::rollback;

/// The meaning of a failure, and the observation.
pub(super) fn meaning(failed: &Failed, language: Language) -> String {
    let what = match failed.kind {
        Kind::ValueRefused => language.pick(
            "o valor novo certamente não funciona, e por isso nada foi implantado",
            "the new value certainly does not work, so nothing was deployed",
        ),
        Kind::OldValueLeaked => language.pick(
            "um valor que vazou, ou de que um acompanhamento já voltou, voltou (gravado de novo como versão nova, ou AWSCURRENT foi movido de volta para a versão), e por isso nada foi implantado. Se foi um `terraform apply`, o estado guarda o valor: pôr lifecycle { ignore_changes = [secret_string] } em aws_secretsmanager_secret_version, ou tirá-lo do código",
            "a value that leaked or was rolled back is current again (stored as a new version, or AWSCURRENT was moved back to its version), so nothing was deployed. If `terraform apply` did it, the state holds the value: set lifecycle { ignore_changes = [secret_string] } in aws_secretsmanager_secret_version, or remove the value from the code",
        ),
        Kind::RolloutFailed => language.pick(
            "o deployment falhou, ou não terminou a tempo",
            "the deployment failed or did not end in time",
        ),
        Kind::RolloutUnfinished => language.pick(
            "o deployment não terminou no tempo que o próprio serviço configura; nenhuma task falhou",
            "the deployment did not end in the time that the service's own settings allow; no task failed",
        ),
        Kind::OthersRolloutFailed => language.pick(
            "outro deployment tomou o lugar do nosso e falhou; isso nada diz do segredo",
            "another deployment replaced this function's deployment and failed, which says nothing about the secret",
        ),
        Kind::Superseded => {
            language.pick("o AWSCURRENT mudou de novo no meio", "AWSCURRENT moved again in the meantime")
        }
        Kind::NewTokenRefused => language.pick(
            "a aplicação recusa um token assinado com o valor em vigor",
            "the application refuses a token signed with the value in force",
        ),
        Kind::OldTokenAccepted => language.pick(
            "a aplicação ainda aceita um token assinado com o valor que não está mais em vigor",
            "the application still accepts a token signed with a value that is no longer in force",
        ),
        Kind::DatabaseRefused | Kind::LoginFailed | Kind::ListFailed => {
            language.pick("a aplicação não lê o banco", "the application cannot read its database")
        }
        Kind::HealthFailed => language.pick(
            "a resposta de /health não é a da aplicação",
            "the answer of /health is not the application's",
        ),
        Kind::Unreachable => language.pick("a aplicação não responde", "the application does not answer"),
        Kind::UnclearAnswer => language.pick(
            "a resposta nem aceita nem recusa, como a de um load balancer sem tasks",
            "the answer is neither an acceptance nor a refusal, as from a load balancer without tasks",
        ),
        Kind::SessionsNotEnded => {
            language.pick("os refresh tokens não foram revogados", "the refresh tokens were not revoked")
        }
        Kind::Auth
        | Kind::Permission
        | Kind::Identity
        | Kind::ReadOnly
        | Kind::Busy
        | Kind::ProofFailed
        | Kind::Pooler
        | Kind::Database
        | Kind::WrongForm => {
            language.pick("o banco recusa o valor em vigor", "the database refuses the value in force")
        }
        // Including the error names of Step Functions and Lambda for a step without an answer.
        _ => language.pick("um passo do acompanhamento não terminou", "a step of the follow-up did not end"),
    };
    if is_own_sentence(&failed.kind) {
        return what.to_owned();
    }
    // The detail begins with the name of the failed proof, which exists in each language.
    let detail = match failed.detail.split_once(": ") {
        Some((name, answer)) => format!("{}: {answer}", ledger::name(name, language)),
        None => failed.detail.clone(),
    };
    format!("{what} («{}»)", brief(&detail))
}

/// Technical details of a batch's failures, for the small print.
pub(super) fn details(batch: &Batch) -> Vec<String> {
    let own = batch.failures.iter().filter(|failed| is_own_sentence(&failed.kind));
    own.map(|failed| brief(&failed.detail)).collect()
}

/// The version in force of each secret, and the values that the tasks run with. After a failure the two may differ.
pub(super) fn in_force(stack: &Stack<'_>, batch: &Batch) -> Vec<String> {
    let language = stack.settings.language;
    let secrets = batch.changes.iter().filter_map(|change| {
        let version = stack.current.get(&change.secret)?;
        let value = if *version == change.version {
            language.pick("o valor novo", "the new value")
        } else if change.previous.as_ref() != Some(version) {
            language.pick("nem o novo nem o anterior", "neither the new value nor the previous one")
        } else if batch.moved.contains(&change.secret) {
            language.pick("o valor anterior, restaurado", "the previous value, restored")
        } else {
            language.pick("o valor anterior", "the previous value")
        };
        let title = language.pick("Em vigor em", "In force for");
        Some(format!("{title} `{}`: `{version}` ({value})", change.name))
    });
    let services = stack.runs.iter().map(|runs| {
        let mut counts = vec![
            format!("{} {}", runs.before, language.pick("de antes da mudança", "from before the change")),
            format!("{} {}", runs.new, language.pick("com o valor novo", "with the new value")),
        ];
        if !batch.moved.is_empty() {
            let restored = language.pick("de depois da volta", "from after the rollback");
            counts.push(format!("{} {restored}", runs.restored));
        }
        format!("{} {}: {}", language.pick("Tasks de", "Tasks of"), runs.service, counts.join(", "))
    });
    secrets.chain(services).collect()
}

/// The next step after a failure, with its command.
pub(super) fn next_step(stack: &Stack<'_>, batch: &Batch) -> String {
    let language = stack.settings.language;
    let first = batch.failures.first();
    let kind = first.map(|failed| &failed.kind);
    let is_implicated = |change: &Change| first.is_some_and(|failed| implicates(failed, &change.key));
    let is_its_own = |change: &Change| first.is_some_and(|failed| failed.key == change.key);
    let failed: Vec<&Change> =
        batch.changes.iter().filter(|change| batch.failure_of(change).is_some()).collect();
    let follow_up = |changes: Vec<&Change>| follow_commands(stack.settings, changes);
    let follow = follow_up(failed.clone());
    if batch.has_failed_twice() {
        let text = language.pick(
            "a volta ao valor anterior também falhou; abaixo está o que está em vigor e o que as tasks usam. Ver por que as tasks não ficam de pé:",
            "the rollback to the previous value failed too; the value in force and the values that the tasks use are listed below. Find out why the tasks do not stay up:",
        );
        let then = language.pick(
            "Corrigida a causa, acompanhar o valor em vigor:",
            "After fixing the cause, follow up the value in force:",
        );
        return format!("{text} {}. {then} {follow}", events(stack.cluster, batch));
    }
    if !batch.moved.is_empty() && batch.stayed.is_empty() {
        let is_proved = batch.proofs.iter().all(|proof| proof.outcome == Outcome::Passed);
        let text = if batch.was_never_deployed() {
            language.pick(
                "o AWSCURRENT voltou ao valor anterior, que as tasks já usavam. Ver quem gravou o valor, e rotacionar de novo:",
                "AWSCURRENT is back on the previous value, which the tasks have used all along. Find out who stored the new value, and rotate again:",
            )
        } else if is_proved {
            language.pick(
                "a aplicação usa de novo o valor anterior, e isso foi provado. Achar a causa (eventos do serviço e logs das tasks) e rotacionar de novo:",
                "the application uses the previous value again, which is proved. Find the cause (the service's events and the tasks' logs) and rotate again:",
            )
        } else {
            language.pick(
                "o valor anterior está de novo em vigor em todas as tasks, e nem tudo pôde ser provado. Achar a causa (eventos do serviço e logs das tasks) e rotacionar de novo:",
                "the previous value is in force in all tasks again, but some proofs could not be made. Find the cause (the service's events and the tasks' logs) and rotate again:",
            )
        };
        let moved: Vec<_> =
            batch.changes.iter().filter(|change| batch.moved.contains(&change.secret)).collect();
        return format!("{text} {}", again(stack, &moved));
    }
    let mut steps: Vec<String> = Vec::new();
    steps.extend(batch.stayed.iter().filter(|(name, _)| failed.iter().any(|it| it.name == **name)).map(
        |(name, why)| {
            let stays = language.pick("O rótulo não voltou em", "The label did not move back for");
            format!("{stays} `{name}`: {}", rollback::reason(why, language))
        },
    ));
    let events = || events(stack.cluster, batch);
    let cause = match kind {
        // A rotation makes a valid value, and its follow-up starts by itself.
        Some(
            Kind::ValueRefused
            | Kind::OldValueLeaked
            | Kind::Auth
            | Kind::WrongForm
            | Kind::Permission
            | Kind::Identity,
        ) => {
            let refused: Vec<_> = failed.iter().copied().filter(|change| is_implicated(change)).collect();
            let text = language.pick(
                "fazer um valor que funciona, que será acompanhado sozinho:",
                "make a value that works; its follow-up starts on its own:",
            );
            // A database's rotation waits until the value in force is known to be in use, which never happens for this
            // value.
            let back = refused.iter().filter(|change| change.key == DATABASE);
            steps.extend(back.filter_map(|change| {
                let back = language.pick(
                    "mover o rótulo à mão para o valor anterior, se ele entra no banco, e esperar que o acompanhamento o prove:",
                    "move the label by hand to the previous value, if it logs in to the database, and wait until the follow-up proves it:",
                );
                Some(format!("{back} {}", move_command(change)?))
            }));
            let others: Vec<_> = failed.iter().copied().filter(|it| !refused.contains(it)).collect();
            let then = if others.is_empty() {
                String::new()
            } else {
                let then = language.pick("depois, acompanhar os demais:", "then follow up the other secrets:");
                format!(". {then} {}", follow_up(others))
            };
            steps.push(format!("{text} {}{then}", rotate_commands(refused.iter().copied())));
            // The new value's follow-up ends sessions only after a declaration. A leaked database login is retired
            // because of this row.
            let leaked: Vec<_> =
                refused.into_iter().filter(|it| it.is_incident() && it.key != DATABASE).collect();
            if !leaked.is_empty() {
                let text = language.pick(
                    "com esse valor em uso, declarar o incidente de novo:",
                    "once that value is in use, declare the incident again:",
                );
                steps.push(format!("{text} {}", follow_up(leaked)));
            }
            return steps.join(". ");
        }
        Some(Kind::RolloutFailed) => {
            format!("{} {}", language.pick("ver por que as tasks não iniciam:", "find out why the tasks do not start:"), events())
        }
        Some(Kind::RolloutUnfinished) => format!(
            "{} {}",
            language.pick("esperar que o deployment termine, ou terminá-lo:", "wait for the deployment to end, or end it:"),
            stages(stack.cluster, batch)
        ),
        Some(Kind::OthersRolloutFailed) => {
            format!("{} {}", language.pick("corrigir esse deployment:", "fix that deployment:"), events())
        }
        Some(Kind::Superseded) => {
            steps.push(language.pick(
                "a versão nova tem o seu próprio acompanhamento, que já espera a vez",
                "the newer version has its own follow-up, which is waiting for its turn",
            ).to_owned());
            let others: Vec<_> = failed.iter().copied().filter(|change| !is_its_own(change)).collect();
            if others.is_empty() {
                return steps.join(". ");
            }
            let text = language.pick("acompanhar de novo os demais:", "follow up the other secrets again:");
            steps.push(format!("{text} {}", follow_up(others)));
            return steps.join(". ");
        }
        Some(Kind::OldTokenAccepted | Kind::NewTokenRefused) => language
            .pick(
                "a aplicação não lê o segredo de onde a stack o conhece. Conferir JWT_SECRET na task definition (valueFrom sem versão fixa)",
                "the application does not read the secret from the place that the stack knows. Check JWT_SECRET in the task definition (valueFrom without a fixed version)",
            )
            .to_owned(),
        Some(Kind::DatabaseRefused | Kind::LoginFailed | Kind::ListFailed) => format!(
            "{} {}",
            language.pick(
                "ver nos eventos do serviço e nos logs das tasks por que a aplicação não lê o banco (docs/rotacao-banco.md):",
                "find out from the service's events and the tasks' logs why the application cannot read its database (docs/rotacao-banco.md):",
            ),
            events()
        ),
        Some(Kind::HealthFailed | Kind::Unreachable | Kind::UnclearAnswer) => format!(
            "{} {}",
            language.pick(
                "o segredo não é a causa. Ver o load balancer, o parâmetro AppUrl e as tasks:",
                "the secret is not the cause. Check the load balancer, the parameter AppUrl and the tasks:",
            ),
            events()
        ),
        Some(Kind::SessionsNotEnded) => language
            .pick(
                "as sessões abertas continuam valendo. Entrar no banco e executar: `UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;`",
                "open sessions are still valid. Log in to the database and run: `UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;`",
            )
            .to_owned(),
        Some(Kind::NoService) => language
            .pick(
                "corrigir rotation.secrets.*.services da política, ou o parâmetro EcsClusterName",
                "correct rotation.secrets.*.services in the policy, or the parameter EcsClusterName",
            )
            .to_owned(),
        Some(Kind::EcsCall | Kind::SecretsManagerCall | Kind::BookFailed) => language
            .pick("conferir a permissão da chamada que a linha miúda nomeia", "check the permission for the call that the small print names")
            .to_owned(),
        _ => language
            .pick("corrigir o que o erro nomeia", "fix the problem that the error names")
            .to_owned(),
    };
    steps.push(cause);
    steps.push(format!("{} {follow}", language.pick("depois, acompanhar de novo:", "then follow up again:")));
    steps.join(". ")
}

/// Whether a failure's detail is an English sentence of this function, which belongs in the small print.
fn is_own_sentence(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::NoService
            | Kind::EcsCall
            | Kind::SecretsManagerCall
            | Kind::BookFailed
            | Kind::DeadlineExceeded
            | Kind::NotOpen
            | Kind::SessionsNotEnded
    )
}

fn events(cluster: &str, batch: &Batch) -> String {
    let services: BTreeSet<_> = batch.deployments.keys().chain(batch.readers.values().flatten()).collect();
    command!(
        "aws ecs describe-services --cluster {cluster} --services {services} --query 'services[].events[:5]'",
        cluster,
        services = services.into_iter().collect::<Vec<_>>()
    )
    .code()
}

/// Commands that rotate the secrets whose label moved back. A database's rotation waits until the value in force is
/// known to be in use.
fn again(stack: &Stack<'_>, moved: &[&Change]) -> String {
    let language = stack.settings.language;
    let each = moved.iter().map(|change| {
        let rotate = rotate_commands([*change]);
        if change.key != DATABASE {
            return rotate;
        }
        let (first, then) = match language {
            Language::Portuguese => ("acompanhar o valor em vigor,", "e, quando estiver provado,"),
            Language::English => ("follow up the value in force,", "and once it is proved,"),
        };
        format!("{first} {} {then} {rotate}", follow_commands(stack.settings, [*change]))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn move_command(change: &Change) -> Option<String> {
    let previous = change.previous.as_deref()?;
    Some(secrets::restore(&change.name, previous, &change.version).code())
}

/// Commands that show the state of the service deployments.
fn stages(cluster: &str, batch: &Batch) -> String {
    codes(batch.deployments.keys().map(|service| {
        command!(
            "aws ecs list-service-deployments --cluster {cluster} --service {service} --query 'serviceDeployments[0].[status,statusReason]'",
            cluster,
            service
        )
    }))
}
