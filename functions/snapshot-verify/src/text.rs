//! What people read: in the channel, in a page, in the evidence.

use std::collections::BTreeSet;

use shared::aws::snapshots::{CREATOR, Database, EXPIRES_ON, Kind};
use shared::policy::Area;
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use crate::PROCEDURE;
use crate::policy::{ExpiredSnapshot, Finding, Snapshot};

/// What a finding is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// One snapshot; with its region when that is the copies'.
    Snapshot(Box<Snapshot>, Option<String>),
    /// The automated snapshots of an instance or cluster.
    Automated(Database),
    /// The daily copy of the database's snapshot.
    Copy {
        /// The instance or cluster.
        database: Database,
        /// The region that it is copied to.
        region: String,
        /// The key there.
        key: String,
    },
    /// The snapshots of another region.
    Region(String),
}

impl Subject {
    /// What names it in a key: a snapshot's is its name, behind `cluster/` when it is a cluster's, and ends with its region when
    /// that is the copies'.
    pub(crate) fn label(&self) -> String {
        let of = |kind: Kind| if kind == Kind::Cluster { "cluster/" } else { "" };
        match self {
            Self::Snapshot(snapshot, None) => format!("{}{}", of(snapshot.kind), snapshot.name),
            Self::Snapshot(snapshot, Some(region)) => {
                format!("{}{} ({region})", of(snapshot.kind), snapshot.name)
            }
            Self::Automated(database) => format!("automated/{}{}", of(database.kind), database.id),
            Self::Copy { database, .. } => format!("copy/{}{}", of(database.kind), database.id),
            Self::Region(region) => format!("region ({region})"),
        }
    }
}

/// Something, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Judged {
    pub(crate) fn new(subject: Subject, finding: Finding) -> Self {
        Self { subject, findings: vec![finding] }
    }
}

/// What makes findings of two runs the same one.
pub(crate) fn key(subject: &Subject, finding: &Finding) -> String {
    format!("{} {}", finding.kind(), subject.label())
}

/// The line of a finding in the evidence record: what `key` gives, and the details.
pub(crate) fn line(subject: &Subject, finding: &Finding) -> String {
    format!("{}: {}", key(subject, finding), sentence(subject, finding, Language::English))
}

/// The key in a record's line.
pub(crate) fn key_of(line: &str) -> &str {
    line.split(": ").next().unwrap_or(line)
}

/// What is wrong, in a sentence.
fn sentence(subject: &Subject, finding: &Finding, language: Language) -> String {
    let portuguese = language == Language::Portuguese;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    match finding {
        Finding::Failed { status, is_copy: false } if portuguese => {
            format!("o RDS desistiu do snapshot ({status}): não dá para restaurar")
        }
        Finding::Failed { status, is_copy: false } => {
            format!("RDS has given the snapshot up ({status}): it cannot be restored")
        }
        Finding::Failed { status, .. } if portuguese => format!("o RDS desistiu da cópia ({status})"),
        Finding::Failed { status, .. } => format!("RDS has given the copy up ({status})"),
        Finding::Slow { hours, progress, .. } if portuguese => {
            format!("não terminou depois de {hours} h, e está em {progress} %")
        }
        Finding::Slow { hours, progress, .. } => format!("is not done after {hours} h, and at {progress} %"),
        Finding::Public => say(
            "é público: qualquer conta da AWS pode restaurá-lo",
            "is public: any account of AWS may restore it",
        ),
        Finding::Shared { accounts } if portuguese => {
            format!("está compartilhado com {}, que pode restaurá-lo", accounts.join(", "))
        }
        Finding::Shared { accounts } => {
            format!("is shared with {}, who may restore it", accounts.join(", "))
        }
        Finding::CopyRefused { why } if portuguese => format!("a cópia não foi aceita: {why}"),
        Finding::CopyRefused { why } => format!("the copy was refused: {why}"),
        Finding::InsufficientData { why } if portuguese => format!("não foi possível verificar: {why}"),
        Finding::InsufficientData { why } => format!("could not be checked: {why}"),
        Finding::CopyStale { hours, newest } if portuguese => {
            format!("a cópia mais nova que se pode restaurar, {newest}, tem dados de {hours} h atrás")
        }
        Finding::CopyStale { hours, newest } => {
            format!("the newest copy that can be restored, {newest}, has data of {hours} h ago")
        }
        Finding::NoSource => say(
            "não há snapshot pronto e criptografado para copiar",
            "there is no snapshot that is available and encrypted to copy",
        ),
        Finding::CopyUnsupported => say(
            "o RDS não copia snapshots de um Multi-AZ DB cluster: não há cópia na outra região",
            "RDS does not copy snapshots of a Multi-AZ DB cluster: there is no copy in the other region",
        ),
        Finding::NotEncrypted if matches!(subject, Subject::Automated(_)) => say(
            "os snapshots automáticos não estão criptografados, porque o banco não está",
            "the automated snapshots are not encrypted, since the database is not",
        ),
        Finding::NotEncrypted => say("não está criptografado", "is not encrypted"),
        Finding::SizeDoubtful { percent, before } if portuguese => {
            format!("tem {percent} % do tamanho do anterior (`{before}`)")
        }
        Finding::SizeDoubtful { percent, before } => {
            format!("has {percent} % of the size of the one before (`{before}`)")
        }
        Finding::Untagged { missing } if portuguese => {
            format!("falta a tag {}, ou é de outro ambiente", missing.join(", "))
        }
        Finding::Untagged { missing } => {
            format!("the tag {} is missing, or of another environment", missing.join(", "))
        }
        Finding::NoExpiry => say(
            "não tem ExpiresOn (AAAA-MM-DD): nada o apaga",
            "has no ExpiresOn (YYYY-MM-DD): nothing deletes it",
        ),
        Finding::NotDeleted { why } if portuguese => format!("venceu, e não foi apagado: {why}"),
        Finding::NotDeleted { why } => format!("has expired, and was not deleted: {why}"),
    }
}

/// What to run next.
fn next_step(settings: &Settings, subject: &Subject, finding: &Finding) -> String {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let (name, arn, region) = match subject {
        Subject::Snapshot(snapshot, region) => {
            (snapshot.name.as_str(), snapshot.arn.as_str(), region.as_deref())
        }
        Subject::Copy { region, .. } | Subject::Region(region) => ("?", "?", Some(region.as_str())),
        Subject::Automated(_) => ("?", "?", None),
    };
    let region = region.map(|region| format!(" --region {region}")).unwrap_or_default();
    let kind = match subject {
        Subject::Snapshot(snapshot, _) => snapshot.kind,
        Subject::Automated(database) | Subject::Copy { database, .. } => database.kind,
        Subject::Region(_) => Kind::Instance,
    };
    let (cli, listed) = (kind.cli(), kind.listed());
    let again = format!(
        "`echo '{{}}' | aws lambda invoke --function-name {} --cli-read-timeout 310 --payload fileb:///dev/stdin /dev/stdout`",
        settings.function
    );
    let named = |command: &str| format!("`aws rds {command} --{cli}-identifier {name}{region}`");
    let events = format!(
        "`aws rds describe-events --source-type {cli} --source-identifier {name} --duration 1440{region}`"
    );
    let is_automated = matches!(subject, Subject::Snapshot(snapshot, _) if !snapshot.is_manual);
    match finding {
        Finding::Failed { is_copy: false, .. } if is_automated => format!(
            "{} {events}. {} {CREATOR} (docs/backups.md).",
            say("ver por quê:", "see why:"),
            say("Tirar um manual no lugar:", "Take a manual one in its place:"),
        ),
        Finding::Failed { is_copy, .. } => format!(
            "{} {events}. {} {}. {} {}",
            say("ver por quê:", "see why:"),
            say("Apagar o que falhou:", "Delete the one that failed:"),
            named(&format!("delete-{cli}")),
            say("Fazer outro:", "Make another:"),
            if *is_copy { again } else { format!("{CREATOR} (docs/backups.md).") },
        ),
        Finding::Slow { .. } => format!(
            "{} {}. {} {events}",
            say("esperar pelo fim:", "wait for its end:"),
            named(&format!("wait {cli}-available")),
            say("Se não anda, o que o RDS diz:", "If it does not move, what RDS says:"),
        ),
        Finding::Public | Finding::Shared { .. } => {
            let accounts = match finding {
                Finding::Shared { accounts } => accounts.join(" "),
                _ => "all".to_owned(),
            };
            let event = match kind {
                Kind::Instance => "ModifyDBSnapshotAttribute",
                Kind::Cluster => "ModifyDBClusterSnapshotAttribute",
            };
            format!(
                "{} `aws rds modify-{cli}-attribute --{cli}-identifier {name} --attribute-name restore --values-to-remove {accounts}{region}`. {} `aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue={event}{region}`",
                say("fechar agora:", "close it now:"),
                say(
                    "Quem abriu, e tratar como vazamento se não foi de propósito:",
                    "Who opened it; treat it as a leak unless it was on purpose:"
                ),
            )
        }
        Finding::CopyRefused { .. } => {
            let key = match subject {
                Subject::Copy { key, .. } => key.as_str(),
                _ => "?",
            };
            format!(
                "{} `aws kms describe-key --key-id {key}{region}`, {} `aws rds describe-{cli}s --snapshot-type manual --query 'length({listed})'{region}`. {} {again}",
                say(
                    "conferir o que o erro nomeia: a permissão, a chave",
                    "check what the error names: the permission, the key"
                ),
                say("a quota (100 snapshots manuais)", "the quota (100 manual snapshots)"),
                say("Depois:", "Then:"),
            )
        }
        Finding::CopyStale { .. } => format!(
            "`aws rds describe-events --source-type {cli} --duration 2880{region}`, {} {again}",
            say("para ver o que houve com as cópias; depois:", "to see what became of the copies; then:")
        ),
        Finding::NoSource => {
            let database = match subject {
                Subject::Copy { database, .. } => database.id.as_str(),
                _ => "?",
            };
            match kind {
                Kind::Instance => format!(
                    "`aws rds describe-db-snapshots --db-instance-identifier {database} --query 'DBSnapshots[].[DBSnapshotIdentifier,Status,Encrypted]' --output table`"
                ),
                Kind::Cluster => format!(
                    "`aws rds describe-db-cluster-snapshots --db-cluster-identifier {database} --query 'DBClusterSnapshots[].[DBClusterSnapshotIdentifier,Status,StorageEncrypted]' --output table`"
                ),
            }
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
            "RDS encrypts neither the copy of a cluster's snapshot nor a cluster that exists: only a new cluster that is restored with `--kms-key-id` is encrypted. Restoring clusters has no procedure yet (docs/backups.md): agree on it with engineering first",
        )
        .to_owned(),
        Finding::NotEncrypted if matches!(subject, Subject::Automated(_)) => say(
            "a criptografia não se liga numa instância que existe: copiar um snapshot com `--kms-key-id`, restaurar a cópia e trocar (docs/backups.md)",
            "encryption cannot be turned on in an instance that exists: copy a snapshot with `--kms-key-id`, restore the copy and change over (docs/backups.md)",
        )
        .to_owned(),
        Finding::NotEncrypted => format!(
            "`aws rds copy-db-snapshot --source-db-snapshot-identifier {name} --target-db-snapshot-identifier {name}-encrypted --copy-tags --kms-key-id {}{region}`, {} {}",
            say("CHAVE", "KEY"),
            say("e apagar este:", "and delete this one:"),
            named(&format!("delete-{cli}")),
        ),
        Finding::SizeDoubtful { percent, .. } if *percent > 100 => say(
            "se o armazenamento foi aumentado, nada; senão, ver o que cresceu",
            "if the storage was enlarged, nothing; else see what has grown",
        )
        .to_owned(),
        Finding::SizeDoubtful { .. } if kind == Kind::Cluster => say(
            "não contar com ele antes de uma restauração à parte; a de clusters ainda não tem procedimento (docs/backups.md): combinar com a engenharia",
            "do not rely on it before it was restored aside; restoring clusters has no procedure yet (docs/backups.md): agree on it with engineering",
        )
        .to_owned(),
        Finding::SizeDoubtful { .. } => format!(
            "{} `aws rds restore-db-instance-from-db-snapshot --db-snapshot-identifier {name} --db-instance-identifier {}-{}-check --backup-retention-period 0{region}`",
            say(
                "não contar com ele antes de restaurá-lo à parte e contar as linhas:",
                "do not rely on it before it was restored aside and its rows were counted:"
            ),
            settings.project,
            settings.environment,
        ),
        Finding::Untagged { .. } => match subject {
            Subject::Automated(Database { kind, id }) => {
                format!("`aws rds modify-{0} --{0}-identifier {id} --copy-tags-to-snapshot`", kind.database())
            }
            _ => format!(
                "`aws rds add-tags-to-resource --resource-name {arn} --tags Key=Project,Value={} Key=Environment,Value={}{region}`",
                settings.project, settings.environment
            ),
        },
        Finding::NoExpiry => format!(
            "`aws rds add-tags-to-resource --resource-name {arn} --tags Key=ExpiresOn,Value={}{region}`, {}",
            say("AAAA-MM-DD", "YYYY-MM-DD"),
            say("ou `Key=Hold,Value=MOTIVO` para ficar", "or `Key=Hold,Value=REASON` to keep it"),
        ),
        Finding::NotDeleted { .. } => format!(
            "{} {}, {} `aws rds add-tags-to-resource --resource-name {arn} --tags Key=Hold,Value={}{region}`",
            say("apagar:", "delete it:"),
            named(&format!("delete-{cli}")),
            say("ou segurar:", "or keep it:"),
            say("MOTIVO", "REASON"),
        ),
    }
}

/// The page of a finding.
pub(crate) fn page(settings: &Settings, subject: &Subject, finding: &Finding) -> Page {
    let (language, kind, label) = (settings.language, finding.kind(), subject.label());
    let alert = Alert {
        kind,
        severity: Severity::Critical,
        resource: &label,
        text: format!(
            "{label} ({}): {}.\n{}: {}",
            settings.environment,
            sentence(subject, finding, language),
            language.pick("Próximo passo", "Next step"),
            next_step(settings, subject, finding),
        ),
        owners: vec![settings.policy.responsible(Area::Database)],
        runbook: "docs/backups.md#cada-achado-e-o-que-fazer",
        dedup_key: format!("{PROCEDURE}/{label}/{kind}"),
    };
    Page::new(settings, alert)
}

/// What became of something that was begun.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A snapshot was deleted.
    Deleted(ExpiredSnapshot),
    /// A copy has come to its end.
    Copied {
        /// The copy's ARN.
        arn: String,
        /// ARN of what it is a copy of.
        source: String,
        /// Name of the copy.
        target: String,
        /// Its region.
        region: String,
    },
}

impl Action {
    /// The step of the evidence that tells it, by which a later run knows that it was told.
    pub(crate) fn step(&self) -> String {
        match self {
            Self::Deleted(deletion) => match deletion.taken {
                Some(taken) => format!("delete {} of {taken}", deletion.arn),
                None => format!("delete {}", deletion.arn),
            },
            Self::Copied { arn, .. } => format!("copy {arn}"),
        }
    }

    /// What the evidence says of it.
    pub(crate) fn outcome(&self) -> String {
        match self {
            Self::Deleted(deletion) => {
                let tags: Vec<_> =
                    deletion.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!(
                    "deleted: of {}, {}, {}, {}",
                    deletion.instance,
                    deletion.status,
                    size(deletion, Language::English),
                    tags.join(", ")
                )
            }
            Self::Copied { source, .. } => format!("available, of {source}"),
        }
    }

    /// What the channel is told of it.
    fn reported(&self, language: Language) -> String {
        match self {
            Self::Deleted(deletion) => format!(
                "*{}* `{}`: {}, {} {}, ExpiresOn {}",
                language.pick("Apagado", "Deleted"),
                deletion.name,
                size(deletion, language),
                language.pick("dados de", "data of"),
                deletion.taken.map_or_else(|| "?".to_owned(), time::local),
                deletion.tags.get(EXPIRES_ON).map_or("?", String::as_str),
            ),
            Self::Copied { target, region, .. } => {
                format!("*{}* `{target}` ({region})", language.pick("Cópia pronta", "Copy available"))
            }
        }
    }
}

/// How large a deleted snapshot's database was.
fn size(deletion: &ExpiredSnapshot, language: Language) -> String {
    match (deletion.kind, deletion.size_gib) {
        (Kind::Cluster, 0) => {
            language.pick("tamanho não informado pelo RDS", "size not shown by RDS").to_owned()
        }
        (_, size) => format!("{size} GiB"),
    }
}

/// What a run tells the channel.
pub(crate) struct Summary<'a> {
    /// Run id.
    pub run_id: &'a str,
    /// What was looked at.
    pub judged: &'a [Judged],
    /// Keys of findings that are new.
    pub new: &'a BTreeSet<String>,
    /// Keys of findings that are no more.
    pub resolved: &'a BTreeSet<String>,
    /// Keys of findings that are as they were.
    pub still: &'a BTreeSet<String>,
    /// What came to its end.
    pub actions: &'a [Action],
}

/// The channel's message.
pub(crate) fn summary(settings: &Settings, summary: &Summary<'_>) -> Message {
    let language = settings.language;
    let deleted = summary.actions.iter().filter(|action| matches!(action, Action::Deleted(_))).count();
    let counts = [
        (summary.new.len(), language.pick("achado(s) novo(s)", "new finding(s)")),
        (summary.resolved.len(), language.pick("resolvido(s)", "resolved")),
        (deleted, language.pick("apagado(s)", "deleted")),
        (summary.actions.len() - deleted, language.pick("cópia(s) pronta(s)", "copied")),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let next = language.pick("Próximo passo", "Next step");
    let all = summary
        .judged
        .iter()
        .flat_map(|judged| judged.findings.iter().map(move |finding| (&judged.subject, finding)));
    let mut lines: Vec<String> = all
        .filter(|(subject, finding)| summary.new.contains(&key(subject, finding)))
        .map(|(subject, finding)| {
            format!(
                "*{}* `{}`: {}. {next}: {}",
                finding.kind(),
                subject.label(),
                sentence(subject, finding, language),
                next_step(settings, subject, finding)
            )
        })
        .collect();
    lines.extend(summary.actions.iter().map(|action| action.reported(language)));
    let mut list = |label: &str, keys: &BTreeSet<String>| {
        if !keys.is_empty() {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            lines.push(format!("{label} {}.", keys.join("; ")));
        }
    };
    list(language.pick("Continua:", "Still so:"), summary.still);
    list(language.pick("Resolvido:", "Resolved:"), summary.resolved);
    // An attempt that died may have told something, so that nothing is left that is new.
    let nothing = language.pick("sem mudança", "no change");
    let counts = if counts.is_empty() { nothing.to_owned() } else { counts.join(", ") };
    Message {
        title: format!("Snapshots ({}): {counts}", settings.environment),
        lines,
        context: format!("{} · {} · {}", settings.function, summary.run_id, settings.code_version),
    }
}

/// The message of a run that could not be done.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &str, next_step: &str) -> Message {
    let what =
        settings.language.pick("A verificação dos snapshots falhou", "The verification of snapshots failed");
    Message::failed(settings, run_id, what, error, next_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(language: Language) -> Settings {
        Settings {
            function: "moveongs-dev-snapshot-verify".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "x".to_owned(),
            language,
            policy: "".parse().unwrap(),
        }
    }

    fn snapshot(is_manual: bool) -> Snapshot {
        Snapshot { is_manual, status: "failed".to_owned(), ..Snapshot::example("moveongs-dev-20261126") }
    }

    fn database() -> Database {
        Database { id: "moveongs-dev-db".to_owned(), ..Database::default() }
    }

    /// The snapshot of the cluster of tests/cases/11a-aurora-member.json.
    fn of_cluster() -> Subject {
        let cluster = Snapshot { kind: Kind::Cluster, instance: "moveongs-dev".to_owned(), ..snapshot(true) };
        Subject::Snapshot(Box::new(cluster), None)
    }

    fn cluster() -> Database {
        Database { kind: Kind::Cluster, id: "moveongs-dev".to_owned() }
    }

    fn home() -> Subject {
        Subject::Snapshot(Box::new(snapshot(true)), None)
    }

    fn away() -> Subject {
        Subject::Snapshot(Box::new(snapshot(true)), Some("sa-east-1".to_owned()))
    }

    fn copy() -> Subject {
        Subject::Copy { database: database(), region: "sa-east-1".to_owned(), key: "arn:key".to_owned() }
    }

    #[test]
    fn every_finding_is_reported_with_its_command_in_both_languages() {
        let why = || "why".to_owned();
        let failed = |is_copy| Finding::Failed { status: "failed".to_owned(), is_copy };
        for (subject, finding, part) in [
            (home(), failed(false), "delete-db-snapshot --db-snapshot-identifier moveongs-dev-20261126`"),
            (Subject::Snapshot(Box::new(snapshot(false)), None), failed(false), "describe-events"),
            (away(), failed(true), "moveongs-dev-20261126 --region sa-east-1`"),
            (
                home(),
                Finding::Slow { hours: 7, progress: 30, is_copy: false },
                "aws rds wait db-snapshot-available",
            ),
            (home(), Finding::Public, "--values-to-remove all"),
            (
                away(),
                Finding::Shared { accounts: vec!["1".to_owned(), "2".to_owned()] },
                "--values-to-remove 1 2 --region sa-east-1",
            ),
            (
                copy(),
                Finding::CopyRefused { why: why() },
                "kms describe-key --key-id arn:key --region sa-east-1",
            ),
            (home(), Finding::InsufficientData { why: why() }, "why"),
            (
                Subject::Region("sa-east-1".to_owned()),
                Finding::InsufficientData { why: why() },
                "lambda invoke",
            ),
            (
                copy(),
                Finding::CopyStale { hours: 70, newest: "c".to_owned() },
                "describe-events --source-type db-snapshot --duration 2880 --region sa-east-1",
            ),
            (copy(), Finding::NoSource, "--db-instance-identifier moveongs-dev-db"),
            (copy(), Finding::CopyUnsupported, "`SnapshotCopyRegion`"),
            (home(), Finding::NotEncrypted, "copy-db-snapshot"),
            (Subject::Automated(database()), Finding::NotEncrypted, "docs/backups.md"),
            (
                of_cluster(),
                failed(false),
                "delete-db-cluster-snapshot --db-cluster-snapshot-identifier moveongs-dev-20261126`",
            ),
            (
                of_cluster(),
                Finding::Slow { hours: 7, progress: 30, is_copy: false },
                "aws rds wait db-cluster-snapshot-available",
            ),
            (
                of_cluster(),
                Finding::Public,
                "aws rds modify-db-cluster-snapshot-attribute --db-cluster-snapshot-identifier",
            ),
            (of_cluster(), Finding::NotEncrypted, "docs/backups.md"),
            (of_cluster(), Finding::SizeDoubtful { percent: 10, before: "b".to_owned() }, "docs/backups.md"),
            (
                Subject::Automated(cluster()),
                Finding::Untagged { missing: vec!["Project"] },
                "aws rds modify-db-cluster --db-cluster-identifier moveongs-dev --copy-tags-to-snapshot",
            ),
            (
                Subject::Copy {
                    database: cluster(),
                    region: "sa-east-1".to_owned(),
                    key: "arn:key".to_owned(),
                },
                Finding::NoSource,
                "describe-db-cluster-snapshots --db-cluster-identifier moveongs-dev --query 'DBClusterSnapshots[].[DBClusterSnapshotIdentifier,Status,StorageEncrypted]'",
            ),
            (home(), Finding::SizeDoubtful { percent: 10, before: "b".to_owned() }, "10 %"),
            (home(), Finding::SizeDoubtful { percent: 300, before: "b".to_owned() }, "300 %"),
            (home(), Finding::Untagged { missing: vec!["Project"] }, "Key=Project,Value=moveongs"),
            (
                Subject::Automated(database()),
                Finding::Untagged { missing: vec!["Project"] },
                "--copy-tags-to-snapshot",
            ),
            (home(), Finding::NoExpiry, "Key=ExpiresOn"),
            (away(), Finding::NotDeleted { why: why() }, "Key=Hold"),
        ] {
            let nothing = BTreeSet::new();
            let [portuguese, english] = [Language::Portuguese, Language::English].map(|language| {
                let judged = [Judged::new(subject.clone(), finding.clone())];
                let reported = Summary {
                    run_id: "2026-11-26",
                    judged: &judged,
                    new: &BTreeSet::from([key(&subject, &finding)]),
                    resolved: &nothing,
                    still: &nothing,
                    actions: &[],
                };
                summary(&settings(language), &reported).text()
            });
            assert_ne!(portuguese, english);
            for (text, next) in [(&portuguese, "Próximo passo"), (&english, "Next step")] {
                for part in [&subject.label(), finding.kind(), next, part] {
                    assert!(text.contains(part), "{part} is not in: {text}");
                }
                assert!(!text.contains('?'), "{text}");
            }
            assert_eq!(key_of(&line(&subject, &finding)), key(&subject, &finding));
            // A restore of an instance's snapshot is no advice for a cluster's.
            if subject.label().contains("cluster/") {
                assert!(!portuguese.contains("db-snapshot") && !portuguese.contains("restore-db-instance"));
            }
        }
    }

    #[test]
    fn a_page_has_one_key_a_snapshot_and_kind() {
        let page = page(
            &settings(Language::Portuguese),
            &away(),
            &Finding::Failed { status: "failed".to_owned(), is_copy: true },
        );
        assert_eq!(page.dedup_key, "snapshot-verify/moveongs-dev-20261126 (sa-east-1)/CopyFailed");
        assert_eq!(page.subject, "[dev] CopyFailed: moveongs-dev-20261126 (sa-east-1)");
    }

    #[test]
    fn what_was_done_is_reported_with_what_it_was() {
        let deletion = ExpiredSnapshot {
            taken: Some("2026-11-01T12:00:00Z".parse().unwrap()),
            tags: [("ExpiresOn", "2026-11-08"), ("Deploy", "run-17")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..ExpiredSnapshot::from(&snapshot(true))
        };
        let action = Action::Deleted(deletion);
        assert_eq!(
            action.reported(Language::Portuguese),
            "*Apagado* `moveongs-dev-20261126`: 20 GiB, dados de 2026-11-01 09:00:00 -03:00, ExpiresOn 2026-11-08"
        );
        assert_eq!(
            action.outcome(),
            "deleted: of moveongs-dev-db, failed, 20 GiB, Deploy=run-17, ExpiresOn=2026-11-08"
        );
        assert_eq!(
            action.step(),
            "delete arn:aws:rds:r:1:snapshot:moveongs-dev-20261126 of 2026-11-01T12:00:00Z"
        );
    }
}
