//! The next step after a test that is not green, with its commands.

use serde_json::{Value, json};
use shared::command;
use shared::run::command::{Command, snapshots};
use shared::runtime::settings::Settings;

use crate::error::FailureKind;
use crate::event::Cause;
use crate::rules::case::Case;

/// The next step after a failure, with its command.
pub(super) fn next_step(settings: &Settings, case: &Case, kind: &FailureKind) -> String {
    let say = |portuguese: &'static str, english: &'static str| settings.language.pick(portuguese, english);
    // A snapshot that cannot be tested is not asked for again.
    let is_another = matches!(
        kind,
        FailureKind::NoSnapshot
            | FailureKind::SnapshotNotFound
            | FailureKind::SnapshotNotOurs
            | FailureKind::SnapshotFailed
            | FailureKind::EngineNotSupported
            | FailureKind::SnapshotNotEncrypted
    );
    let snapshot = case.snapshot().filter(|_| !is_another);
    let again = format!("{} {}", say("Depois:", "Then:"), again(settings, case, snapshot).code());
    let run = case.run.as_ref();
    let region = case.region().map(|region| command!(" --region {region}", region));
    let instance = run.map_or(case.execution.as_str(), |run| run.instance.as_str());
    let snapshot = case.snapshot().unwrap_or("SNAPSHOT");
    let events = command!(
        "aws rds describe-events --source-type db-instance --source-identifier {instance} --duration 1440{region}",
        instance,
        region
    )
    .code();
    let look = command!(
        "aws rds describe-db-instances --db-instance-identifier {instance} --query 'DBInstances[0].[DBInstanceStatus,DeletionProtection]'{region}",
        instance,
        region
    )
    .code();
    let snapshots = command!(
        "aws rds describe-db-snapshots --db-instance-identifier {database} --query 'sort_by(DBSnapshots,&SnapshotCreateTime)[].[DBSnapshotIdentifier,SnapshotType,Status,Encrypted]' --output table{region}",
        database = case.database,
        region
    )
    .code();
    let delete = command!(
        "aws rds delete-db-instance --db-instance-identifier {instance} --skip-final-snapshot --delete-automated-backups{region}",
        instance,
        region
    )
    .code();
    let reap = Command::invoke(&settings.function, &json!({"reap": true})).code();
    match kind {
        FailureKind::ProofFailed => format!(
            "{} {again}",
            say(
                "não contar com este snapshot até saber por quê. O registro tem cada verificação com a sua medida; docs/restauracao.md diz o que cada uma significa. Testar também o snapshot anterior (campo snapshot): se ele passa, o dano é novo e está na origem.",
                "do not rely on this snapshot until the cause is known. The record has each check with its figure; docs/restauracao.md explains each. Also test the previous snapshot (field snapshot): if it passes, the damage is new and is in the source.",
            ),
        ),
        FailureKind::NotVerified => format!(
            "{} {again}",
            say(
                "resolver o que impediu as verificações acima (permissão, versão, origem fora do ar) e testar de novo; sem isso nada se sabe do que elas verificam.",
                "resolve what prevented the checks above (a permission, the version, a source that is down) and test again; nothing is known about what they check.",
            ),
        ),
        FailureKind::NotFinished => format!(
            "{} {again}",
            say(
                "aumentar restores.pieces, restores.connections ou restores.statement_seconds da política, ou RestoreInstanceClass (docs/politica.md), e testar de novo.",
                "raise restores.pieces, restores.connections or restores.statement_seconds of the policy, or RestoreInstanceClass (docs/politica.md), and test again.",
            ),
        ),
        FailureKind::NotRemoved | FailureKind::RemovalSlow | FailureKind::Outlived => format!(
            "{} {look}. {} {reap}. {} {delete}",
            say("ver o estado da instância:", "check the instance's state:"),
            say(
                "O removedor tenta a cada hora; para tentar agora:",
                "The reaper tries every hour; to try now:",
            ),
            say("Se ela continua, apagar à mão:", "If it stays, delete it manually:"),
        ),
        FailureKind::RunDied => format!(
            "{} {again}",
            say(
                "a instância já foi apagada. Se ninguém parou a execução, ver por que ela terminou (Step Functions e logs da função) e testar de novo.",
                "the instance is already removed. If nobody stopped the execution, find out why it ended (Step Functions and the function's logs) and test again.",
            ),
        ),
        FailureKind::NotConfigured | FailureKind::RegionNotConfigured => format!(
            "{} {again}",
            say(
                "preencher os parâmetros da stack (docs/restauracao.md, Preparar).",
                "set the stack's parameters (docs/restauracao.md, «Preparar»).",
            ),
        ),
        FailureKind::ClusterNotSupported => format!(
            "{} {}",
            say(
                "testar à mão (docs/restauracao.md, Clusters). O snapshot mais novo:",
                "test manually (docs/restauracao.md, «Clusters»). The newest snapshot:",
            ),
            command!(
                "aws rds describe-db-cluster-snapshots --db-cluster-identifier {cluster} --query 'sort_by(DBClusterSnapshots,&SnapshotCreateTime)[-1].DBClusterSnapshotIdentifier'",
                cluster = case.cluster.as_deref().unwrap_or(&case.database)
            )
            .code(),
        ),
        FailureKind::NoSnapshot
        | FailureKind::SnapshotNotFound
        | FailureKind::SnapshotNotOurs
        | FailureKind::SnapshotFailed
        | FailureKind::EngineNotSupported
        | FailureKind::SnapshotNotEncrypted => format!(
            "{} {snapshots}. {again}",
            say("escolher outro snapshot entre os que existem:", "choose another snapshot of those that exist:"),
        ),
        FailureKind::SnapshotCreating => format!(
            "{} {}. {again}",
            say("esperar que o snapshot fique pronto:", "wait until the snapshot is available:"),
            command!("aws rds wait db-snapshot-available --db-snapshot-identifier {snapshot}{region}", snapshot, region)
                .code(),
        ),
        FailureKind::SnapshotNameNotAllowed => {
            let copied = snapshots::name_of_copy(settings, snapshot);
            format!(
                "{} {}. {} {}",
                snapshots::reason(settings.language),
                snapshots::copy(settings, snapshot, case.region()).code(),
                say("Depois:", "Then:"),
                self::again(settings, case, Some(&copied)).code(),
            )
        }
        FailureKind::SnapshotShared => format!(
            "{} {}. {again}",
            say(
                "URGENTE: qualquer conta pode restaurar o snapshot. Fechar:",
                "URGENT: any account can restore the snapshot. Close it:",
            ),
            command!(
                "aws rds modify-db-snapshot-attribute --db-snapshot-identifier {snapshot} --attribute-name restore --values-to-remove all{region}",
                snapshot,
                region
            )
            .code(),
        ),
        FailureKind::RunInProgress => format!(
            "{} {}. {again}",
            say(
                "esperar o fim do outro teste; um que morreu perde o lugar depois de restores.silent_minutes da política, ou na hora:",
                "wait for the end of the other test; a dead one loses its place after restores.silent_minutes of the policy, or at once:",
            ),
            reap,
        ),
        FailureKind::InstanceQuotaExceeded => format!(
            "{} {}. {again}",
            say(
                "apagar uma instância que não é mais precisa, ou pedir aumento da quota «DB instances» em Service Quotas. As que existem:",
                "delete an instance that is no longer needed, or request a higher quota «DB instances» in Service Quotas. Those that exist:",
            ),
            command!("aws rds describe-db-instances --query 'DBInstances[].[DBInstanceIdentifier,DBInstanceStatus]'{region}", region)
                .code(),
        ),
        FailureKind::StorageQuotaExceeded => format!(
            "{} {again}",
            say(
                "pedir aumento de «Total storage for all DB instances» em Service Quotas, ou apagar o que não é mais preciso.",
                "request more «Total storage for all DB instances» in Service Quotas, or delete storage that is no longer needed.",
            ),
        ),
        FailureKind::InsufficientCapacity => format!(
            "{} {again}",
            say(
                "tentar mais tarde, ou trocar RestoreInstanceClass da stack.",
                "try later, or change the stack's RestoreInstanceClass.",
            ),
        ),
        FailureKind::KeyNotAccessible => format!(
            "{} {}. {again}",
            say(
                "a chave do snapshot está desligada, marcada para exclusão ou fechada ao papel da função (DatabaseKmsKeyArn). Sem ela não há restauração:",
                "the snapshot's key is disabled, scheduled for deletion or denied to the function's role (DatabaseKmsKeyArn). Nothing can be restored without it:",
            ),
            command!("aws kms describe-key --key-id {key}{region}", key = say("CHAVE", "KEY"), region).code(),
        ),
        FailureKind::NetworkRefused | FailureKind::ParametersRefused => format!(
            "{} {}. {again}",
            say(
                "corrigir RestoreSubnetGroup, RestoreSecurityGroups, RestoreParameterGroup ou RestoreInstanceClass da stack (o erro diz qual). Os grupos de sub-redes:",
                "correct the stack's RestoreSubnetGroup, RestoreSecurityGroups, RestoreParameterGroup or RestoreInstanceClass (the error says which). The subnet groups:",
            ),
            command!("aws rds describe-db-subnet-groups --query 'DBSubnetGroups[].DBSubnetGroupName'{region}", region).code(),
        ),
        FailureKind::InstanceNotOurs => format!(
            "{} {look}. {} {delete}. {again}",
            say(
                "alguém criou uma instância com este nome, ou mudou as tags dela; esta função não a toca. Ver de quem é:",
                "someone created an instance of this name, or changed its tags; this function does not touch it. See whose it is:",
            ),
            say("Se não serve mais, apagar à mão:", "If it is not needed, delete it manually:"),
        ),
        FailureKind::InstanceFailed | FailureKind::InstanceGone | FailureKind::RestoreSlow if case.is_left => {
            format!(
                "{} {events}. {} {delete}. {again}",
                say("os eventos da instância dizem por quê:", "the instance's events say why:"),
                say("Ela ainda existe; apagar à mão:", "It still exists; delete it manually:"),
            )
        }
        FailureKind::InstanceFailed | FailureKind::InstanceGone | FailureKind::RestoreSlow => format!(
            "{} {events}. {again}",
            say(
                "a instância do teste foi apagada; os eventos dela ficam 14 dias e dizem por quê:",
                "the test's instance was removed; its events stay for 14 days and say why:",
            ),
        ),
        FailureKind::PasswordSlow => format!(
            "{} {events}. {again}",
            say(
                "o RDS não trocou a senha do usuário mestre; ver os eventos e a permissão secretsmanager:CreateSecret do papel da função:",
                "RDS did not set the master's password; check the events and the permission secretsmanager:CreateSecret of the function's role:",
            ),
        ),
        FailureKind::LoginFailed | FailureKind::PreparationFailed => format!(
            "{} {again}",
            say(
                "conferir que as sub-redes da função (VpcSubnetIds) chegam à porta da instância (RestoreSecurityGroups), e que DatabaseSecretName tem o nome do banco certo.",
                "check that the function's subnets (VpcSubnetIds) reach the instance's port (RestoreSecurityGroups), and that DatabaseSecretName has the right database name.",
            ),
        ),
        FailureKind::ReadFailed => format!(
            "{} {events}. {again}",
            say(
                "a leitura da cópia parou cinco vezes no mesmo lugar; os eventos da instância dizem se ela caiu ou reiniciou:",
                "reading the copy stopped five times at the same place; the instance's events say whether it crashed or restarted:",
            ),
        ),
        FailureKind::SourceUnread => format!(
            "{} {again}",
            say(
                "conferir o acesso da função ao banco (VpcSubnetIds) e que DatabaseSecretName tem o endpoint da instância; sem leitura da origem, o próximo teste não verifica o conteúdo.",
                "check the function's access to the database (VpcSubnetIds), and that DatabaseSecretName has the instance's endpoint; without readings of the source, the next test does not verify the content.",
            ),
        ),
        FailureKind::RdsCall | FailureKind::SecretCall => format!(
            "{} {again}",
            say(
                "conferir a permissão (IAM) que o erro nomeia; sem erro de permissão, o serviço não respondeu.",
                "check the permission (IAM) that the error names; if it names none, the service did not answer.",
            ),
        ),
        FailureKind::NoteFailed => format!(
            "{} {again}",
            say(
                "conferir o acesso ao bucket de evidências: sem a anotação, dois testes poderiam colidir.",
                "check the access to the evidence bucket: without the note, two tests could collide.",
            ),
        ),
        FailureKind::InvalidEvent => format!(
            "{} {again}",
            say("corrigir o pedido (docs/restauracao.md):", "correct the request (docs/restauracao.md):"),
        ),
        FailureKind::NotBegun
        | FailureKind::PageFailed
        | FailureKind::DeadlineExceeded
        | FailureKind::Other(_) => format!(
            "{} {again}",
            say(
                "ver a execução no Step Functions e os logs da função.",
                "check the execution in Step Functions and the function's logs.",
            ),
        ),
    }
}

/// Starts the same test again, of this snapshot or the newest, or the same reading of the source.
fn again(settings: &Settings, case: &Case, snapshot: Option<&str>) -> Command {
    if let Some(Cause::Asked | Cause::Snapshot(_)) = case.baseline {
        return Command::start(settings, &json!({"baseline": true}));
    }
    let fields = [("region", case.region()), ("snapshot", snapshot)];
    let input = fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?.into())));
    Command::start(settings, &Value::Object(input.collect()))
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::super::tests::{case, settings};
    use super::*;
    use crate::event::Request;

    #[test]
    fn every_kind_has_a_command_that_continues() {
        for language in [Language::Portuguese, Language::English] {
            for kind in FailureKind::WORDS {
                let step = next_step(&settings(language), &case(), &(*kind).into());
                let continues = ["start-execution", "delete-db-instance", "describe-db-cluster-snapshots"];
                assert!(continues.iter().any(|part| step.contains(part)), "{kind}: {step}");
                assert!(step.contains('`'), "{kind}: {step}");
            }
        }
    }

    #[test]
    fn the_commands_name_what_they_are_about() {
        let (settings, case) = (settings(Language::Portuguese), case());
        let instance = &case.run.as_ref().unwrap().instance;
        for (kind, part) in [
            (
                "RemovalSlow",
                format!("delete-db-instance --db-instance-identifier {instance} --skip-final-snapshot"),
            ),
            ("InstanceFailed", format!("--source-identifier {instance} ")),
            ("SnapshotCreating", "db-snapshot-available --db-snapshot-identifier rds:moveongs".to_owned()),
            ("InstanceNotOurs", format!("delete-db-instance --db-instance-identifier {instance} ")),
            (
                "SnapshotNameNotAllowed",
                "--target-db-snapshot-identifier moveongs-dev-rds-moveongs-dev-db-2023-11-14-05-10"
                    .to_owned(),
            ),
            ("NoSnapshot", "describe-db-snapshots --db-instance-identifier moveongs-dev-db ".to_owned()),
            ("RunInProgress", "lambda invoke --function-name moveongs-dev-restore-test".to_owned()),
            ("ProofFailed", "rds:moveongs-dev-db-2023-11-14-05-10".to_owned()),
            ("States.Timeout", "Step Functions".to_owned()),
        ] {
            let step = next_step(&settings, &case, &kind.into());
            assert!(step.contains(&part), "{kind}: {step}");
        }
    }

    #[test]
    fn every_command_about_the_other_region_names_it() {
        let settings = settings(Language::English);
        let mut case = case();
        case.run.as_mut().unwrap().is_away = true;
        case.run.as_mut().unwrap().region = "sa-east-1".to_owned();
        case.is_left = true;
        for kind in FailureKind::WORDS {
            let step = next_step(&settings, &case, &(*kind).into());
            for code in
                step.split('`').filter(|code| code.starts_with("aws rds") || code.starts_with("aws kms"))
            {
                let is_home = code.contains("describe-db-cluster-snapshots");
                assert_eq!(
                    code.matches(" --region sa-east-1").count(),
                    code.split(" && ").count() * usize::from(!is_home),
                    "{kind}: {code}"
                );
            }
        }
        let outlived = Case { away: Some("sa-east-1".to_owned()), ..Case::of("instance-1", "db") };
        let step = next_step(&settings, &outlived, &FailureKind::Outlived);
        assert!(step.contains("--db-instance-identifier instance-1 --skip-final-snapshot"), "{step}");
        assert_eq!(step.matches("--region sa-east-1").count(), 2, "{step}");
    }

    #[test]
    fn an_instance_that_failed_and_is_left_is_not_said_to_be_removed() {
        let settings = settings(Language::English);
        for (is_left, part) in
            [(false, "instance was removed"), (true, "still exists; delete it manually: `aws rds delete")]
        {
            let case = Case { is_left, ..case() };
            for kind in ["InstanceFailed", "InstanceGone", "RestoreSlow"] {
                let step = next_step(&settings, &case, &kind.into());
                assert!(step.contains(part), "{kind}: {step}");
            }
        }
    }

    #[test]
    fn a_repeated_test_is_of_the_same_snapshot_and_region() {
        let settings = settings(Language::English);
        let mut case = case();
        case.run.as_mut().unwrap().is_away = true;
        case.run.as_mut().unwrap().region = "sa-east-1".to_owned();
        let command = again(&settings, &case, case.snapshot()).to_string();
        assert!(
            command.contains(r#""region":"sa-east-1","snapshot":"rds:moveongs-dev-db-2023-11-14-05-10""#),
            "{command}"
        );
        case.baseline = Some(Cause::Asked);
        assert!(again(&settings, &case, case.snapshot()).to_string().contains(r#"{"baseline":true}"#));
        case.baseline = None;
        case.run = None;
        case.request = Some(Request { snapshot: Some("a".to_owned()), ..Request::default() });
        let step = next_step(&settings, &case, &"SnapshotShared".into());
        assert!(step.contains("--db-snapshot-identifier a --attribute-name restore"), "{step}");
        assert!(step.contains(r#"--input '{"snapshot":"a"}'"#), "{step}");
        let step = next_step(&settings, &case, &"SnapshotNotEncrypted".into());
        assert!(step.contains("--input '{}'"), "{step}");
        case.cluster = Some("moveongs-dev".to_owned());
        let step = next_step(&settings, &case, &"ClusterNotSupported".into());
        assert!(step.contains("--db-cluster-identifier moveongs-dev "), "{step}");
        case.request = None;
        assert!(again(&settings, &case, case.snapshot()).to_string().contains("--input '{}'"));
    }
}
