//! Proofs that could not be made, and the steps that make them possible.

use shared::command;
use shared::run::command::{codes, secrets};
use shared::run::markdown;
use shared::runtime::time;

use super::{Stack, brief, follow_commands, rotate_commands};
use crate::rules::batch::Batch;
use crate::rules::keys::JWT;
use crate::rules::kind::Kind;
use crate::rules::proof::Outcome;
use shared::ecs::readers::{Cause, Unreached};

/// Cures for the proofs that could not be made; last the command that proves again.
pub(super) fn cures(stack: &Stack<'_>, batch: &Batch) -> Vec<String> {
    let mut cures: Vec<String> = Vec::new();
    let of_proofs = batch.proofs.iter().filter(|proof| proof.outcome == Outcome::Unproved);
    let of_readers = batch.unreached.values().flatten().map(|it| cure_of_reader(stack, it));
    for cure in of_proofs.filter_map(|proof| cure(stack, batch, &proof.kind)).chain(of_readers) {
        if !cures.contains(&cure) {
            cures.push(cure);
        }
    }
    if !cures.is_empty() && batch.failures.is_empty() {
        let then = stack.settings.language.pick("depois, provar de novo:", "then prove it again:");
        cures.push(format!("{then} {}", follow_commands(stack.settings, &batch.changes)));
    }
    cures
}

fn cure(stack: &Stack<'_>, batch: &Batch, kind: &Kind) -> Option<String> {
    let language = stack.settings.language;
    let text = match kind {
        Kind::MaskedLogin => language.pick(
            "a senha foi aceita, mas o token volta mascarado, e ninguém consegue entrar. Pôr RESPONSE_MASKING_ENABLED=false na task definition da API",
            "the password was accepted, but the token is masked, so no one can log in. Set RESPONSE_MASKING_ENABLED=false in the API's task definition",
        ),
        Kind::SmokeLoginRefused | Kind::NoSmokeAccount | Kind::SecondFactor | Kind::NotPermitted => {
            let why = match kind {
                Kind::SecondFactor => language.pick(
                    "a conta de smoke test pede um segundo fator, que a função não tem",
                    "the account for smoke tests requires a second factor, which the function does not have",
                ),
                Kind::NotPermitted => language.pick(
                    "a conta de smoke test não pode listar beneficiárias",
                    "the account for smoke tests may not list beneficiaries",
                ),
                _ => language.pick(
                    "o segredo da conta de smoke test está errado",
                    "the secret of the account for smoke tests is wrong",
                ),
            };
            let cure = language.pick(
                "Usar uma conta sem segundo fator e com o papel leitura_externa, e gravar email e password dela como um objeto JSON em que todo valor é texto",
                "Use an account without a second factor and with the role leitura_externa, and store its email and password as a JSON object in which every value is text",
            );
            let command = stack.account.map_or_else(
                || language.pick("no segredo do parâmetro SmokeSecretName", "in the secret named by the parameter SmokeSecretName").to_owned(),
                |name| {
                    command!(
                        "aws secretsmanager put-secret-value --secret-id {name} --secret-string file://account.json",
                        name
                    )
                    .code()
                },
            );
            return Some(format!("{why}. {cure}: {command}"));
        }
        Kind::NoReader => language.pick(
            "nenhum serviço do cluster lê o segredo pela task definition. Se algum o lê de outro modo, nomeá-lo em rotation.secrets.*.services da política",
            "no service of the cluster reads the secret through its task definition. If one reads it in another way, name it in the policy's rotation.secrets.*.services",
        ),
        Kind::NoApplicationUrl => language.pick(
            "preencher o parâmetro AppUrl da stack, para que a aplicação prove o valor novo",
            "set the stack's parameter AppUrl, so the application can prove the new value",
        ),
        Kind::RateLimited => language.pick(
            "a aplicação limita os pedidos, e isso nada diz do valor novo. Esperar um minuto",
            "the application's rate limit was reached, which says nothing about the new value. Wait a minute",
        ),
        Kind::Network | Kind::Tls | Kind::ConnectionLimit => language.pick(
            "a função não chega ao banco, e isso nada diz do valor novo. Conferir os parâmetros VpcSubnetIds, VpcSecurityGroupIds e RdsCaFile, e as conexões do usuário",
            "the function cannot reach the database, which says nothing about the new value. Check the parameters VpcSubnetIds, VpcSecurityGroupIds and RdsCaFile, and the user's connections",
        ),
        Kind::OldValue => {
            let each = batch.changes.iter().filter_map(|change| {
                let old = batch.old.get(&change.secret)?;
                let (name, since) = (&change.name, time::local_date(old.made));
                let version = markdown::code(&old.version);
                Some(shared::tr!(
                    language,
                    "voltou um valor antigo em `{name}`: nenhuma rotação fez a versão nova, e o valor é o da versão {version}, de {since}, de onde a idade continua a contar",
                    "an old value is back in `{name}`: no rotation made the new version, and its value is that of version {version} of {since}, from which its age still counts",
                ))
            });
            let old = batch.changes.iter().filter(|it| batch.old.contains_key(&it.secret));
            let cure = language.pick(
                "Se foi um `terraform apply`, pôr antes lifecycle { ignore_changes = [secret_string] } em aws_secretsmanager_secret_version, senão o próximo apply o repete. Rotacionar:",
                "If `terraform apply` did it, first set lifecycle { ignore_changes = [secret_string] } in aws_secretsmanager_secret_version, or the next apply repeats it. Rotate:",
            );
            return Some(format!("{}. {cure} {}", each.collect::<Vec<_>>().join("; "), rotate_commands(old)));
        }
        Kind::SameValue | Kind::NoKey => {
            let why = language.pick(
                "a versão nova não tem uma chave nova. Rotacionar:",
                "the new version contains no new key. Rotate:",
            );
            let jwt = batch.changes.iter().find(|change| change.key == JWT)?;
            return Some(format!("{why} {}", secrets::rotate(&jwt.name).code()));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The cure for a reader that this function's deployments do not reach.
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
                "is pinned to a version or label and does not get the new value; its previous credential is not deactivated",
            );
            let edit = language.pick(
                "Tirar versão e rótulo do valueFrom, registrar a revisão e implantá-la",
                "Remove version and label from valueFrom, register the revision and deploy it",
            );
            format!(
                "{} (`{detail}`) {why}. {edit}: {}",
                it.reader,
                codes([
                    command!(
                        "aws ecs describe-task-definition --task-definition {family} --query taskDefinition",
                        family
                    ),
                    command!("aws ecs register-task-definition --cli-input-json file://task.json"),
                    command!(
                        "aws ecs update-service --cluster {cluster} --service {service} --task-definition {family}",
                        cluster,
                        service,
                        family
                    ),
                ])
            )
        }
        Cause::Controller(controller) if controller == "CODE_DEPLOY" => format!(
            "{} {}",
            it.reader,
            language.pick(
                "é implantado pelo CodeDeploy, e não por esta função: o dono cria no CodeDeploy um deployment com a mesma task definition",
                "is deployed by CodeDeploy, not by this function: its owner creates a deployment with the same task definition in CodeDeploy",
            )
        ),
        Cause::Controller(_) => format!(
            "{} {}",
            it.reader,
            language.pick(
                "é implantado por outro sistema (controller EXTERNAL): o dono cria um task set novo, torna-o o primário e apaga o anterior",
                "is deployed by another system (controller EXTERNAL): its owner creates a new task set, makes it primary and deletes the previous one",
            )
        ),
        Cause::Refused(_) => format!(
            "{} {} («{detail}»). {}: {}",
            language.pick("o ECS recusa implantar", "ECS refuses to deploy"),
            it.reader,
            language.pick("Corrigir o serviço", "Fix the service"),
            command!(
                "aws ecs describe-services --cluster {cluster} --services {service} --query 'services[].[serviceName,status,deploymentController.type]'",
                cluster,
                service
            )
            .code()
        ),
        Cause::Draining => format!(
            "{} {}",
            it.reader,
            language.pick(
                "está sendo apagado, e as últimas tasks dele usam o valor anterior: esperar que terminem",
                "is being deleted, and its last tasks use the previous value: wait until they end",
            )
        ),
    }
}
