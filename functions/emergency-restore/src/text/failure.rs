//! What stopped a restore, and how a person goes on.

use proof::Verdict;
use serde_json::json;
use shared::command;
use shared::run::command::Command;
use shared::run::notify::{Message, next_step};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::workflow::Broken;

use super::{about, barred, behind, brief, choose, order, resume, standing, status, title, who, why};
use crate::error::FailureKind;
use crate::event::{Found, Source, Verb};
use crate::rules::proved;
use crate::rules::restore::{Direction, Phase, Restore};

/// The message about a failed step, with the commands that go on.
pub(crate) fn failed(settings: &Settings, restore: &Restore, broken: &Broken, run_id: &str) -> Message {
    let language = settings.language;
    let lines = lines(settings, restore, broken);
    let heading = title(language, restore, language.pick("parou e espera você", "stopped and waits for you"));
    Message::new(settings, &heading, lines, run_id)
}

/// The lines of that message, which the page has too.
pub(crate) fn lines(settings: &Settings, restore: &Restore, broken: &Broken) -> Vec<String> {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let (kind, detail, doing) = (&broken.kind, brief(&broken.detail), standing(language, restore));
    let go_on = format!(
        "{} {}",
        say(
            "Se a execução parou, para seguir de onde estava:",
            "If the execution stopped, to go on where it was:"
        ),
        resume(settings, restore).code()
    );
    if restore.ended.is_some() {
        return vec![
            about(language, restore),
            shared::tr!(
                language,
                "*{kind}*: o fim foi ordenado, e não pôde ser registrado: {detail}",
                "*{kind}*: the end was ordered, and could not be recorded: {detail}",
            ),
            say(
                "A cada dez minutos é tentado de novo, sozinho; nenhum banco muda. Até lá as rotações do banco esperam.",
                "It is tried again every ten minutes, by itself; no database changes. Until then rotations of the database wait.",
            )
            .to_owned(),
            go_on,
        ];
    }
    let mut lines = vec![
        about(language, restore),
        shared::tr!(language, "*{kind}* ({doing}): {detail}", "*{kind}* ({doing}): {detail}"),
        next_step(language, &cure(settings, restore, &broken.kind.as_str().into())),
    ];
    let of = |verb| order(settings, restore, verb, &[]).code();
    lines.extend(
        retries(settings, restore, kind)
            .into_iter()
            .map(|(text, command)| format!("{text} {}", command.code())),
    );
    let reason = why(language);
    if restore.phase == Phase::Prove {
        let despite = json!(format!("{}: {reason}", proved::word(Verdict::Unverified)));
        let command = order(settings, restore, Verb::Approve, &[("despiteProof", despite)]).code();
        lines.push(format!(
            "{} {command}",
            say("Aprovar sem a prova, dizendo o motivo:", "Approve without the proof, with a reason:")
        ));
    }
    if restore.phase == Phase::Smoke && matches!(kind.as_str(), "SmokeFailed" | "NotInUse") {
        let command = order(settings, restore, Verb::Approve, &[("despiteSmoke", json!(reason))]).code();
        lines.push(format!(
            "{} {command}",
            say(
                "A aplicação funciona apesar do teste? Aceitar, dizendo o motivo:",
                "The application works despite the check? Accept it, with a reason:"
            )
        ));
    }
    if restore.moves.is_empty() {
        if restore.phase <= Phase::Approve && restore.approval.is_none() {
            let command = choose(settings, restore, &restore.latest()).code();
            lines.push(format!(
                "{} {command}",
                say("Outra fonte, em outra instância:", "Another source, in another instance:")
            ));
        }
        lines.push(format!(
            "{} {}",
            say("Desistir (nada foi trocado):", "Give up (nothing was switched):"),
            of(Verb::Reject)
        ));
    } else {
        if (Phase::Switch..=Phase::Deploy).contains(&restore.phase) {
            lines.push(
                say(
                    "*Os dois bancos podem estar em uso*: as tasks que rodam desde antes da troca gravam em um, e as que partem agora, no outro. As gravações divergem a cada minuto: decidir logo, e parar as gravações se puder.",
                    "*Both databases may be in use*: tasks from before the switch write to one, tasks that start now to the other. The data diverge by the minute: decide soon, and stop writes if you can.",
                )
                .to_owned(),
            );
        }
        let turns = [
            (Verb::RollBack, Direction::Old, say("*Voltar ao banco antigo*", "*Return to the old database*")),
            (Verb::Forward, Direction::New, say("Ir ao banco novo", "Go to the new database")),
        ];
        for (verb, to, text) in turns {
            if to == Direction::New && !restore.is_approved() {
                continue;
            }
            lines.push(format!("{text} ({}): {}", behind(language, restore, to), of(verb)));
        }
        if restore.phase == Phase::Hold {
            let text = say("*Encerrar* como está:", "*Close* as it is:");
            lines.push(format!("{text} {}", of(Verb::Close)));
        }
        if restore.phase <= Phase::Switch && !restore.times.contains_key(&Phase::Switch) {
            let text = say(
                "Desistir, se nenhum segredo chegou a ser trocado:",
                "Give up, if no secret was moved yet:",
            );
            lines.push(format!("{text} {}", of(Verb::Reject)));
        }
    }
    lines.push(go_on);
    lines
}

/// The commands that repeat a failed step, each with its text.
pub(super) fn retries(settings: &Settings, restore: &Restore, kind: &str) -> Vec<(&'static str, Command)> {
    let say = |portuguese: &'static str, english: &'static str| settings.language.pick(portuguese, english);
    let retry = |more: &[(&str, serde_json::Value)]| order(settings, restore, Verb::Retry, more);
    if kind != "MigrationUnknown" {
        return vec![(say("*Tentar de novo*:", "*Try again*:"), retry(&[]))];
    }
    vec![
        (
            say("*Foi feita*: seguir sem outra:", "*It was done*: go on without another one:"),
            retry(&[("migration", json!(Found::Done))]),
        ),
        (
            say(
                "*Não foi feita*, ou pode ser feita duas vezes: rodar outra:",
                "*It was not done*, or may be done twice: run another one:",
            ),
            retry(&[("migration", json!(Found::Again))]),
        ),
    ]
}

/// The cure of a failure.
fn cure(settings: &Settings, restore: &Restore, kind: &FailureKind) -> String {
    let language = settings.language;
    let say = |portuguese: &str, english: &str| language.pick(portuguese, english).to_owned();
    let (new, lost) = (&restore.target.instance, &restore.lost.instance);
    let events = command!(
        "aws rds describe-events --source-type db-instance --source-identifier {new} --duration 1440",
        new
    )
    .code();
    let describe = command!(
        "aws rds describe-db-instances --db-instance-identifier {new} --query 'DBInstances[0].[DBInstanceStatus,PendingModifiedValues]'",
        new
    )
    .code();
    match kind {
        FailureKind::NoSource => say(
            "procurar um snapshot de outra região, de outra conta ou do AWS Backup (docs/restauracao-emergencia.md, «À mão»).",
            "look for a snapshot in another region, in another account or in AWS Backup (docs/restauracao-emergencia.md, «À mão»).",
        ),
        FailureKind::SourceRefused => say(
            "escolher outra fonte; as que existem:",
            "choose another source; the existing ones:",
        ) + " "
            + &command!(
                "aws rds describe-db-snapshots --db-instance-identifier {lost} --query 'DBSnapshots[].[DBSnapshotIdentifier,Status,SnapshotCreateTime]' --output table",
                lost
            )
            .code(),
        FailureKind::SnapshotNameNotAllowed => match &restore.refused {
            Some(Source::Snapshot(name)) => {
                let [reason, copy, choose] = barred(settings, restore, name);
                format!("{reason} `{copy}`. {} `{choose}`", say("Depois:", "Then:"))
            }
            _ => say(
                "copiar o snapshot como diz o erro, e escolher a cópia.",
                "copy the snapshot as the error says, and choose the copy.",
            ),
        },
        FailureKind::SettingsUnknown => {
            let group = say("GRUPO", "GROUP");
            let placeholder = |name| match name {
                "class" => json!(say("CLASSE", "CLASS")),
                "securityGroups" => json!([group]),
                _ => json!(group),
            };
            let known = &restore.settings;
            let missing = known.missing().into_iter().map(|name| (name.to_owned(), placeholder(name)));
            let standby = known.multi_az.is_none().then(|| ("multiAz".to_owned(), json!(true)));
            let given = serde_json::Value::Object(missing.chain(standby).collect());
            let command = order(settings, restore, Verb::Retry, &[("settings", given)]).code();
            format!(
                "{} {command}",
                say(
                    "tentar de novo dizendo os ajustes que faltam; os nomes estão no Terraform ou no console, e `multiAz` diz se há um standby:",
                    "try again with the missing settings; the names are in Terraform or in the console, and `multiAz` says whether there is a standby:",
                ),
            )
        }
        FailureKind::RestoreRefused => {
            let known = &restore.settings;
            let given = json!({"class": known.class, "subnetGroup": known.subnet_group,
                "securityGroups": known.security_groups, "parameterGroup": known.parameter_group,
                "optionGroup": known.option_group, "storageType": known.storage_type, "multiAz": known.multi_az});
            let command = order(settings, restore, Verb::Retry, &[("settings", given)]).code();
            format!(
                "{} {command}",
                say(
                    "o RDS recusou a instância nova pelo motivo acima. Corrigir no console, ou mudar neste comando o ajuste recusado (os valores são os que foram pedidos):",
                    "RDS refused the new instance for the reason above. Correct it in the console, or change the refused setting in this command (the values are those that were requested):",
                ),
            )
        }
        FailureKind::QuotaExceeded | FailureKind::KeyNotAccessible => say(
            "o RDS recusou a instância nova pelo motivo acima (quota ou chave KMS). Corrigir no console e tentar de novo.",
            "RDS refused the new instance for the reason above (quota or KMS key). Correct it in the console and try again.",
        ),
        FailureKind::InstanceFailed | FailureKind::InstanceGone if !restore.moves.is_empty() => {
            let start = command!("aws rds start-db-instance --db-instance-identifier {new}", new).code();
            format!(
                "{} {describe}, {events}. {} {start}",
                say(
                    "a instância nova, que já esteve em uso e tem dados que nenhuma outra tem, não responde; por isso *não é feita outra*. Como está, e por quê:",
                    "the new instance, which was in use and has data that no other has, does not answer; so *no other one is made*. Its state, and why:",
                ),
                say(
                    "Consertá-la e tentar de novo, ou voltar ao banco antigo. Se está parada:",
                    "Repair it and try again, or return to the old database. If it is stopped:",
                ),
            )
        }
        FailureKind::InstanceFailed | FailureKind::InstanceGone => format!(
            "{} {events}. {}",
            say("a instância nova não ficou pronta; por quê:", "the new instance did not become ready; why:"),
            say("Tentar de novo cria outra.", "Trying again makes another one."),
        ),
        FailureKind::RestoreSlow | FailureKind::SettingsSlow => {
            format!("{} {describe}", say("ainda pode terminar; como está:", "it may still finish; its state:"))
        }
        FailureKind::LoginFailed | FailureKind::LoginMissing => say(
            "o banco novo não aceita um login. Conferir a rede (security group da função e da instância) e o usuário; o que falta pode ser criado no psql, com o usuário mestre.",
            "the new database does not accept a login. Check the network (security groups of function and instance) and the user; a missing one can be created in psql, as the master user.",
        ),
        FailureKind::ProofBroken | FailureKind::ProofSlow => say(
            "a leitura do banco novo parou; o que já foi lido está guardado.",
            "reading the new database stopped; what was read is kept.",
        ),
        FailureKind::ServiceNotGuarded => say(
            "esses serviços são implantados por outro sistema: pôr DATA_RETENTION_DAYS=36500 e DATA_RETENTION_ANONYMIZE_DAYS=36500 na task definition deles, implantar, e tentar de novo. Sem isso, a aplicação apagaria dados restaurados ao partir.",
            "another system deploys these services: put DATA_RETENTION_DAYS=36500 and DATA_RETENTION_ANONYMIZE_DAYS=36500 into their task definition, deploy, and try again. Without it the application would delete restored data when it starts.",
        ),
        FailureKind::LoginRefused => say(
            "um segredo nomeia um login que não pode receber a senha dele: corrigir o usuário ou a senha no segredo que o erro nomeia, e tentar de novo.",
            "a secret names a login that must not get its password: correct user or password in the secret that the error names, and try again.",
        ),
        FailureKind::ReaderPinned => say(
            "na task definition desses serviços, trocar a referência pelo ARN do segredo sem versão nem rótulo, implantar, e tentar de novo. Com a versão fixa, as tasks ficariam no banco antigo.",
            "in these services' task definitions, replace the reference by the secret's ARN without version or label, deploy, and try again. With one version, the tasks would stay with the old database.",
        ),
        FailureKind::ServiceNotDeployed => say(
            "implantar esses serviços pelo sistema que os implanta (CodeDeploy ou outro), com todas as tasks novas, e tentar de novo. Até lá eles gravam no outro banco.",
            "deploy these services with the system that deploys them (CodeDeploy or another), with every task new, and try again. Until then they write to the other database.",
        ),
        FailureKind::NotInUse => say(
            "nenhuma sessão da aplicação apareceu no banco novo: ela pode ainda usar o antigo. Conferir de onde as tasks leem DATABASE_URL; tentar de novo, ou voltar.",
            "no session of the application appeared at the new database: it may still use the old one. Check where the tasks read DATABASE_URL; try again, or return.",
        ),
        FailureKind::GuardLost => say(
            "um deploy tirou a proteção contra o apagamento. Parar os deploys; tentar de novo põe a proteção outra vez.",
            "a deploy removed the guard against deletion. Stop deploys; trying again brings the guard back.",
        ),
        FailureKind::SecretElsewhere => say(
            "alguém mudou o endereço no segredo da aplicação: trocá-lo não mudaria nada. Descobrir quem, devolver o endereço do banco perdido ao segredo, e tentar de novo.",
            "somebody changed the address in the application's secret: a switch would change nothing. Find out who, put the lost database's address back into the secret, and try again.",
        ),
        FailureKind::NoReader => say(
            "nenhum serviço lê o segredo da aplicação, e por isso nada seria protegido nem reiniciado. Conferir EcsClusterName na stack e rotation.secrets.DATABASE_URL.services na política, e tentar de novo.",
            "no service reads the application's secret, so nothing would be guarded or restarted. Check EcsClusterName in the stack and rotation.secrets.DATABASE_URL.services in the policy, and try again.",
        ),
        FailureKind::NoService => say(
            "corrigir rotation.secrets.*.services na política ou EcsClusterName na stack.",
            "correct rotation.secrets.*.services in the policy, or the stack's EcsClusterName.",
        ),
        FailureKind::RolloutFailed => say(
            "ver os eventos do serviço no ECS e os logs das tasks; corrigir, e tentar de novo ou voltar.",
            "see the service's events in ECS and the tasks' logs; correct it, and try again or return.",
        ),
        FailureKind::NotApproved => say(
            "ninguém aprovou a instância nova de agora, e nada aponta para ela. Voltar ao banco antigo.",
            "nobody approved the present new instance, and nothing was pointed to it. Return to the old database.",
        ),
        FailureKind::SecretChanged if restore.phase > Phase::Switch => {
            let back = restore.told().into_iter().map(|it| it.put_back().code()).collect::<Vec<_>>().join(", ");
            format!(
                "{} {back}. {}",
                say(
                    "*a aplicação pode estar no outro banco*: depois da troca, alguém pôs outra versão do segredo em vigor. Descobrir quem. Para pôr de novo a desta restauração:",
                    "*the application may be in the other database*: after the switch, somebody put another version of the secret in force. Find out who. To put this restore's in force again:",
                ),
                say(
                    "Tentar de novo confere os segredos, troca outra vez os que têm o endereço do outro banco, e reinicia os serviços.",
                    "Trying again checks the secrets, moves those again that name the other database, and restarts the services.",
                ),
            )
        }
        FailureKind::SecretChanged if restore.direction == Direction::Old => say(
            "alguém mudou o segredo depois da troca; nada foi movido de volta. Descobrir quem. Tentar de novo põe em vigor o valor de antes da troca, e o de agora fica como AWSPREVIOUS.",
            "somebody changed the secret after the switch; nothing was moved back. Find out who. Trying again puts the value from before the switch in force, and the present one stays as AWSPREVIOUS.",
        ),
        FailureKind::SecretChanged => say(
            "alguém mudou o segredo durante a restauração. Descobrir quem; tentar de novo parte do valor de agora.",
            "somebody changed the secret during the restore. Find out who; trying again begins with the present value.",
        ),
        FailureKind::DatabaseRefused => say(
            "o banco de destino não aceita o login do segredo, e por isso nada aponta para ele. Se é o antigo, ele não está mais lá: ficar no novo. Se é o novo, tentar de novo acerta as senhas outra vez.",
            "the destination does not accept the secret's login, so nothing points to it. If it is the old database, it is gone: stay with the new one. If it is the new one, trying again aligns the passwords again.",
        ),
        FailureKind::MigrationNotStarted | FailureKind::MigrationFailed | FailureKind::MigrationSlow => say(
            "ver os logs da task de migração. Os segredos já apontam para o banco novo, mas a aplicação ainda não foi reiniciada. Corrigir e tentar de novo, ou voltar; enquanto a task roda, tentar de novo continua a esperá-la, e a volta é recusada.",
            "see the logs of the migration's task. The secrets point to the new database already, but the application was not restarted yet. Correct it and try again, or return; while the task runs, trying again goes on waiting for it, and a return is refused.",
        ),
        FailureKind::MigrationUnknown => say(
            "o ECS esqueceu a task da migração, que pode ter terminado bem. Ver os logs dela, ou no banco novo, se foi feita, e dizer qual; ou voltar. Os segredos já apontam para o banco novo, mas a aplicação ainda não foi reiniciada.",
            "ECS forgot the migration's task, which may have succeeded. See its logs, or in the new database, whether it was done, and say which; or return. The secrets point to the new database already, but the application was not restarted yet.",
        ),
        FailureKind::SmokeFailed => say(
            "a aplicação não passou no teste com o banco em uso. Ver os logs das tasks; tentar de novo, ou voltar.",
            "the application failed its check with the database in use. See the tasks' logs; try again, or return.",
        ),
        FailureKind::SecretForm => say(
            "o segredo tem o endereço em uma forma que não pode ser trocada sozinha: corrigi-lo como diz o erro, e tentar de novo.",
            "the secret has the address in a form that cannot be replaced: correct it as the error says, and try again.",
        ),
        FailureKind::RdsCall
        | FailureKind::SecretsManagerCall
        | FailureKind::EcsCall
        | FailureKind::StepFunctionsCall => say(
            "conferir a permissão (IAM) que o erro nomeia; sem erro de permissão, o serviço não respondeu: tentar de novo.",
            "check the permission (IAM) that the error names; if it names none, the service did not answer: try again.",
        ),
        FailureKind::NoteFailed => say(
            "conferir o acesso ao bucket de evidências, onde fica a anotação.",
            "check the access to the evidence bucket, which has the note.",
        ),
        _ => say(
            "ver a execução no Step Functions e os logs da função, e tentar de novo.",
            "see the execution in Step Functions and the function's logs, and try again.",
        ),
    }
}

/// The message about a restore that never began.
pub(crate) fn refused(settings: &Settings, execution: &str, broken: &Broken) -> Message {
    let language = settings.language;
    let title = language.pick("Restauração de emergência não começou", "Emergency restore did not begin");
    let error = format!("*{}*: {}", broken.kind, brief(&broken.detail));
    Message::failed(settings, title, &error, &refused_next(settings, broken), execution)
}

/// The next step after a refusal.
pub(crate) fn refused_next(settings: &Settings, broken: &Broken) -> String {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let start = |input: serde_json::Value| Command::start(settings, &input).code();
    let again = start(json!({"by": who(language), "reason": why(language)}));
    match FailureKind::from(broken.kind.as_str()) {
        FailureKind::RestoreInProgress | FailureKind::OtherRun => {
            let text = say("há uma aberta; como está:", "one is open; its state:");
            format!("{text} {}", status(settings).code())
        }
        FailureKind::NoOpenRestore => {
            format!("{} {again}", say("nenhuma está aberta; para começar:", "none is open; to begin one:"))
        }
        FailureKind::RehearsalInProduction => say(
            "ensaiar em dev ou staging. Se é de verdade, começar sem `rehearsal`.",
            "rehearse in dev or staging. If it is real, start it without `rehearsal`.",
        )
        .to_owned(),
        FailureKind::ClusterNotSupported | FailureKind::EngineNotSupported => say(
            "esta função restaura só instâncias PostgreSQL. À mão, passo a passo: docs/restauracao-emergencia.md, «À mão».",
            "this function restores PostgreSQL instances only. By hand, step by step: docs/restauracao-emergencia.md, «À mão».",
        )
        .to_owned(),
        FailureKind::AddressUnknown => {
            let input = json!({"by": who(language), "reason": why(language), "instance": say("INSTANCIA", "INSTANCE")});
            let text = say("dizer qual instância se perdeu:", "name the lost instance:");
            format!("{text} {}", start(input))
        }
        FailureKind::NotOurs | FailureKind::InvalidEvent => {
            format!("{} {again}", say("corrigir o pedido:", "correct the request:"))
        }
        FailureKind::NotConfigured => say(
            "preencher o parâmetro na stack (docs/implantacao.md). Enquanto isso, à mão: docs/restauracao-emergencia.md, «À mão».",
            "set the stack's parameter (docs/implantacao.md). Until then, by hand: docs/restauracao-emergencia.md, «À mão».",
        )
        .to_owned(),
        FailureKind::SecretForm => format!(
            "{} {again}",
            say("corrigir o segredo como diz o erro, e pedir de novo:", "correct the secret as the error says, and ask again:")
        ),
        _ => format!("{} {again}", say("corrigir a causa e pedir de novo:", "fix the cause and ask again:")),
    }
}

/// What to do if no task waits for an order that was noted.
pub(crate) fn not_waiting(settings: &Settings, restore: &Restore) -> String {
    let command = resume(settings, restore);
    match settings.language {
        Language::Portuguese => {
            format!(
                "Anotado. Se em dois minutos nada andar, nenhuma execução está esperando; para seguir: {command}"
            )
        }
        Language::English => {
            format!("Noted. If nothing happens within two minutes, no execution waits; to go on: {command}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::restore::Foreign;
    use crate::rules::restore::tests::{approved, restore};

    fn settings(language: Language) -> Settings {
        shared::testing::settings("moveongs-dev-emergency-restore", language)
    }

    #[test]
    fn every_kind_has_a_text_in_both_languages_and_the_commands_that_go_on() {
        for word in FailureKind::WORDS {
            let broken = Broken { kind: (*word).to_owned(), detail: "why `x`".to_owned() };
            let [portuguese, english] = [Language::Portuguese, Language::English].map(|language| {
                let settings = settings(language);
                let text = failed(&settings, &approved(), &broken, "id").text();
                for verb in ["retry", "rollBack", "forward"] {
                    assert!(text.contains(&format!(r#""order":"{verb}""#)), "{word}: {text}");
                }
                let text = failed(&settings, &restore(), &broken, "id").text();
                assert!(!text.contains(r#""order":"forward""#), "{word}: {text}");
                let unmoved = Restore { moves: Vec::new(), ..restore() };
                let text = failed(&settings, &unmoved, &broken, "id").text();
                for verb in ["retry", "choose", "reject"] {
                    assert!(text.contains(&format!(r#""order":"{verb}""#)), "{word}: {text}");
                }
                assert!(!text.contains("why `x`") && text.contains("why 'x'"), "{text}");
                (cure(&settings, &restore(), &(*word).into()), refused_next(&settings, &broken))
            });
            assert_ne!(portuguese.0, english.0, "{word}");
            assert_ne!(portuguese.1, english.1, "{word}");
        }
    }

    #[test]
    fn a_repetition_with_other_settings_and_an_end_that_was_not_noted_are_told() {
        let settings = settings(Language::Portuguese);
        let mut refused = Restore { phase: Phase::Restore, moves: Vec::new(), ..restore() };
        refused.settings.class = Some("db.r6g.large".to_owned());
        let broken = Broken { kind: "RestoreRefused".to_owned(), detail: String::new() };
        let shown = cure(&settings, &refused, &FailureKind::RestoreRefused).replace("QUEM", "bia");
        let words = shared::testing::words(shown.split('`').nth(1).unwrap());
        let event: serde_json::Value = serde_json::from_str(words.last().unwrap()).unwrap();
        assert_eq!(event["settings"]["class"], "db.r6g.large");
        assert!(crate::event::Event::try_from(event).is_ok(), "{shown}");
        // What is missing has to be filled in; what is known stays.
        refused.settings.subnet_group = Some("db".to_owned());
        let shown = cure(&settings, &refused, &FailureKind::SettingsUnknown).replace("QUEM", "bia");
        let command = shown.split('`').find(|code| code.starts_with("echo")).unwrap();
        let event = |command: &str| -> serde_json::Value {
            serde_json::from_str(shared::testing::words(command).last().unwrap()).unwrap()
        };
        let missing = json!({"securityGroups": ["GRUPO"], "parameterGroup": "GRUPO", "multiAz": true});
        assert_eq!(event(command)["settings"], missing);
        assert!(crate::event::Event::try_from(event(command)).is_err(), "{command}");
        assert!(crate::event::Event::try_from(event(&command.replace("GRUPO", "db"))).is_ok(), "{command}");
        let ended = Restore { ended: Some(crate::rules::restore::Ending::Closed), ..restore() };
        for (restore, part) in [(&refused, "reject"), (&ended, "dez minutos")] {
            let lines = lines(&settings, restore, &broken);
            assert!(lines.iter().any(|line| line.contains(part)), "{lines:?}");
            assert!(lines.last().unwrap().contains(r#""resume""#), "{lines:?}");
        }
        let text = lines(&settings, &ended, &broken).join("\n");
        assert!(!text.contains("rollBack") && !text.contains("retry"), "{text}");
    }

    #[test]
    fn each_way_on_says_what_it_costs() {
        let settings = settings(Language::Portuguese);
        let lines = |phase: Phase, kind: &str| {
            let broken = Broken { kind: kind.to_owned(), detail: String::new() };
            let mut restore = Restore { phase, ..approved() };
            if phase < Phase::Switch && phase != Phase::Align {
                restore.moves.clear();
            }
            restore.foreign.insert("arn".to_owned(), Foreign { version: "3".to_owned(), overruled: false });
            lines(&settings, &restore, &broken)
        };
        for (phase, kind, parts) in [
            (Phase::Prove, "ProofBroken", &[r#""despiteProof":"unverified: MOTIVO""#][..]),
            (Phase::Migrate, "MigrationSlow", &["divergem", "fica só no novo", "fica só no antigo"]),
            (Phase::Smoke, "SmokeFailed", &[r#""despiteSmoke":"MOTIVO""#, "fica só no novo"]),
            (Phase::Hold, "GuardLost", &[r#""order":"close""#, r#""order":"retry""#]),
            (Phase::Align, "InstanceGone", &["não é feita outra", "start-db-instance", "fica só no novo"]),
            (Phase::Deploy, "SecretChanged", &["--move-to-version-id 2 --remove-from-version-id 3"]),
            (Phase::Migrate, "MigrationUnknown", &[r#""migration":"done""#, r#""migration":"again""#]),
        ] {
            let lines = lines(phase, kind);
            for part in parts {
                assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
            }
            for line in
                lines.iter().filter(|line| line.contains(r#""rollBack""#) || line.contains(r#""forward""#))
            {
                assert!(line.contains("fica só"), "{line}");
            }
        }
    }

    #[test]
    fn an_order_is_an_event_that_the_function_accepts() {
        for verb in [Verb::Approve, Verb::Reject, Verb::Retry, Verb::RollBack, Verb::Forward, Verb::Close] {
            let command = order(&settings(Language::Portuguese), &restore(), verb, &[]).to_string();
            let words = shared::testing::words(&command);
            let event: serde_json::Value = serde_json::from_str(words.last().unwrap()).unwrap();
            // As it stands, it names nobody.
            assert!(crate::event::Event::try_from(event).is_err(), "{command}");
            let words = shared::testing::words(&command.replace("QUEM", "bia"));
            let event: serde_json::Value = serde_json::from_str(words.last().unwrap()).unwrap();
            assert!(crate::event::Event::try_from(event).is_ok(), "{command}");
        }
        let name = Source::Snapshot("rds:a-b".to_owned());
        let command = choose(&settings(Language::Portuguese), &restore(), &name).to_string();
        let command = command.replace("QUEM", "bia");
        let words = shared::testing::words(&command);
        let event: serde_json::Value = serde_json::from_str(words.last().unwrap()).unwrap();
        assert_eq!(event["source"]["snapshot"], "rds:a-b");
        assert!(crate::event::Event::try_from(event).is_ok());
    }
}
