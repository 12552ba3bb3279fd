//! The next step, with its command.

use serde_json::json;
use shared::aws::snapshots::{CREATOR, Database, Kind};
use shared::command;
use shared::run::command::Command;
use shared::runtime::settings::Settings;

use crate::rules::finding::{Finding, Subject};

/// The next step after a finding, with its command.
pub(super) fn next_step(settings: &Settings, subject: &Subject, finding: &Finding) -> String {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let (name, arn, region) = match subject {
        Subject::Snapshot(snapshot, region) => {
            (snapshot.name.as_str(), snapshot.arn.as_str(), region.as_deref())
        }
        Subject::Copy { region, .. } | Subject::Region(region) => ("?", "?", Some(region.as_str())),
        Subject::Automated(_) => ("?", "?", None),
    };
    let region = region.map(|region| command!(" --region {region}", region));
    let kind = match subject {
        Subject::Snapshot(snapshot, _) => snapshot.kind,
        Subject::Automated(database) | Subject::Copy { database, .. } => database.kind,
        Subject::Region(_) => Kind::Instance,
    };
    let (cli, listed) = (kind.cli(), kind.listed());
    let again = Command::invoke(&settings.function, &json!({})).code();
    let delete =
        || command!("aws rds delete-{cli} --{cli}-identifier {name}{region}", cli, name, region).code();
    let keep = |tag: &str, value: &str| {
        command!(
            "aws rds add-tags-to-resource --resource-name {arn} --tags Key={tag},Value={value}{region}",
            arn,
            tag,
            value,
            region
        )
        .code()
    };
    let events = || {
        command!(
            "aws rds describe-events --source-type {cli} --source-identifier {name} --duration 1440{region}",
            cli,
            name,
            region
        )
        .code()
    };
    let is_automated = matches!(subject, Subject::Snapshot(snapshot, _) if !snapshot.is_manual);
    match finding {
        Finding::Failed { is_copy: false, .. } if is_automated => format!(
            "{} {}. {} {CREATOR} (docs/backups.md).",
            say("ver por quê:", "find the cause:"),
            events(),
            say("Tirar um manual no lugar:", "Take a manual snapshot instead:"),
        ),
        Finding::Failed { is_copy, .. } => format!(
            "{} {}. {} {}. {} {}",
            say("ver por quê:", "find the cause:"),
            events(),
            say("Apagar o que falhou:", "Delete the failed one:"),
            delete(),
            say("Fazer outro:", "Make another:"),
            if *is_copy { again } else { format!("{CREATOR} (docs/backups.md).") },
        ),
        Finding::Slow { .. } => format!(
            "{} {}. {} {}",
            say("esperar pelo fim:", "wait until it completes:"),
            command!("aws rds wait {cli}-available --{cli}-identifier {name}{region}", cli, name, region).code(),
            say("Se não anda, o que o RDS diz:", "If it makes no progress, check RDS's events:"),
            events()
        ),
        Finding::Public | Finding::Shared { .. } => {
            let accounts = match finding {
                Finding::Shared { accounts } => accounts.clone(),
                _ => vec!["all".to_owned()],
            };
            let event = match kind {
                Kind::Instance => "ModifyDBSnapshotAttribute",
                Kind::Cluster => "ModifyDBClusterSnapshotAttribute",
            };
            format!(
                "{} {}. {} {}",
                say("fechar agora:", "close it now:"),
                command!(
                    "aws rds modify-{cli}-attribute --{cli}-identifier {name} --attribute-name restore --values-to-remove {accounts}{region}",
                    cli,
                    name,
                    accounts,
                    region
                )
                .code(),
                say(
                    "Quem abriu, e tratar como vazamento se não foi de propósito:",
                    "Find out who opened it; treat it as a leak unless it was intended:"
                ),
                command!(
                    "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue={event}{region}",
                    event,
                    region
                )
                .code()
            )
        }
        Finding::CopyRefused { .. } => {
            let key = match subject {
                Subject::Copy { key, .. } => key.as_str(),
                _ => "?",
            };
            format!(
                "{} {}, {} {}. {} {again}",
                say(
                    "conferir o que o erro nomeia: a permissão, a chave",
                    "check what the error names: the permission, the key"
                ),
                command!("aws kms describe-key --key-id {key}{region}", key, region).code(),
                say("a quota (100 snapshots manuais)", "the quota (100 manual snapshots)"),
                command!(
                    "aws rds describe-{cli}s --snapshot-type manual --query 'length({listed})'{region}",
                    cli,
                    listed,
                    region
                )
                .code(),
                say("Depois:", "Then:"),
            )
        }
        Finding::CopyStale { .. } => format!(
            "{}, {} {again}",
            command!("aws rds describe-events --source-type {cli} --duration 2880{region}", cli, region).code(),
            say("para ver o que houve com as cópias; depois:", "to see what happened to the copies; then:")
        ),
        Finding::NoSource => {
            let id = match subject {
                Subject::Copy { database, .. } => database.id.as_str(),
                _ => "?",
            };
            match kind {
                Kind::Instance => command!(
                    "aws rds describe-db-snapshots --db-instance-identifier {id} --query 'DBSnapshots[].[DBSnapshotIdentifier,Status,Encrypted]' --output table",
                    id
                ),
                Kind::Cluster => command!(
                    "aws rds describe-db-cluster-snapshots --db-cluster-identifier {id} --query 'DBClusterSnapshots[].[DBClusterSnapshotIdentifier,Status,StorageEncrypted]' --output table",
                    id
                ),
            }
            .code()
        }
        Finding::CopyUnsupported => say(
            "fazer o deploy com os parâmetros `SnapshotCopyRegion` e `SnapshotCopyKmsKeyArn` vazios; o AWS Backup também não copia esses snapshots (docs/backups.md)",
            "deploy with the parameters `SnapshotCopyRegion` and `SnapshotCopyKmsKeyArn` empty; AWS Backup does not copy these snapshots either (docs/backups.md)",
        )
        .to_owned(),
        Finding::InsufficientData { .. } => format!(
            "{} {again}",
            say(
                "conferir a permissão (IAM) que o erro nomeia; depois:",
                "check the permission (IAM) that the error names; then:"
            ),
        ),
        Finding::NotEncrypted if kind == Kind::Cluster => say(
            "RDS não cifra um snapshot de cluster na cópia, nem um cluster que existe: só um cluster novo, restaurado com `--kms-key-id`, fica criptografado. A restauração de clusters ainda não tem procedimento (docs/backups.md): combinar com a engenharia antes",
            "RDS encrypts neither a copy of a cluster's snapshot nor an existing cluster: only a new cluster restored with `--kms-key-id` is encrypted. Restoring clusters has no procedure yet (docs/backups.md): plan it with engineering first",
        )
        .to_owned(),
        Finding::NotEncrypted if matches!(subject, Subject::Automated(_)) => say(
            "a criptografia não se liga numa instância que existe: copiar um snapshot com `--kms-key-id`, restaurar a cópia e trocar (docs/backups.md)",
            "encryption cannot be enabled on an existing instance: copy a snapshot with `--kms-key-id`, restore the copy and switch to it (docs/backups.md)",
        )
        .to_owned(),
        Finding::NotEncrypted => format!(
            "{}, {} {}",
            command!(
                "aws rds copy-db-snapshot --source-db-snapshot-identifier {name} --target-db-snapshot-identifier {name}-encrypted --copy-tags --kms-key-id {key}{region}",
                name,
                key = say("CHAVE", "KEY"),
                region
            )
            .code(),
            say("e apagar este:", "and delete this one:"),
            delete(),
        ),
        Finding::SizeDoubtful { percent, .. } if *percent > 100 => say(
            "se o armazenamento foi aumentado, nada; senão, ver o que cresceu",
            "if the storage was enlarged, do nothing; otherwise find out what has grown",
        )
        .to_owned(),
        Finding::SizeDoubtful { .. } if kind == Kind::Cluster => say(
            "não contar com ele antes de uma restauração à parte; a de clusters ainda não tem procedimento (docs/backups.md): combinar com a engenharia",
            "do not rely on it until a test restore has succeeded; restoring clusters has no procedure yet (docs/backups.md): plan it with engineering",
        )
        .to_owned(),
        Finding::SizeDoubtful { .. } => format!(
            "{} {}",
            say(
                "não contar com ele antes de restaurá-lo à parte e contar as linhas:",
                "do not rely on it until you have restored it to a separate instance and counted its rows:"
            ),
            command!(
                "aws rds restore-db-instance-from-db-snapshot --db-snapshot-identifier {name} --db-instance-identifier {project}-{environment}-check --backup-retention-period 0{region}",
                name,
                project = settings.project,
                environment = settings.environment,
                region
            )
            .code()
        ),
        Finding::Untagged { .. } => match subject {
            Subject::Automated(Database { kind, id }) => {
                command!(
                    "aws rds modify-{database} --{database}-identifier {id} --copy-tags-to-snapshot",
                    database = kind.database(),
                    id
                )
            }
            _ => command!(
                "aws rds add-tags-to-resource --resource-name {arn} --tags Key=Project,Value={project} Key=Environment,Value={environment}{region}",
                arn,
                project = settings.project,
                environment = settings.environment,
                region
            ),
        }
        .code(),
        Finding::NoExpiry => format!(
            "{}, {}",
            keep("ExpiresOn", say("AAAA-MM-DD", "YYYY-MM-DD")),
            say("ou `Key=Hold,Value=MOTIVO` para ficar", "or `Key=Hold,Value=REASON` to keep it"),
        ),
        Finding::NotDeleted { .. } => format!(
            "{} {}, {} {}",
            say("apagar:", "delete it:"),
            delete(),
            say("ou segurar:", "or keep it:"),
            keep("Hold", say("MOTIVO", "REASON"))
        ),
    }
}
