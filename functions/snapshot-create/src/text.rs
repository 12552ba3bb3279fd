//! Texts for people: the channel's messages and the page.

use serde_json::json;
use shared::aws::snapshots::{self, Database, Kind};
use shared::command;
use shared::policy::Area;
use shared::run::command::Command;
use shared::run::notify::{self, Message};
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::workflow::Broken;

use crate::PROCEDURE;
use crate::error::FailureKind;
use crate::rules::case::Case;
use crate::rules::job::Job;
use crate::rules::policy::Status;
use crate::rules::request::Request;

/// The last day of the snapshot's retention.
pub(crate) fn expires(settings: &Settings, job: &Job) -> Option<String> {
    let days = settings.policy.backups.snapshots.retention_days.get(&settings.environment)?;
    Some(snapshots::expires(job.begun?, *days))
}

/// The line with the deploy, the requester and the reason.
fn asked(language: Language, request: &Request) -> String {
    let commit = request.commit.as_ref().map(|commit| format!(" · commit `{commit}`")).unwrap_or_default();
    let by = language.pick("por", "by");
    format!("Deploy `{}`{commit} · {by} {}: {}", request.deploy, plain(&request.by), plain(&request.reason))
}

/// Foreign text without backquotes: a backquote could end the code span and add another command.
fn plain(text: &str) -> String {
    text.replace('`', "'")
}

/// The message about an available or requested snapshot.
pub(crate) fn message(settings: &Settings, case: &Case, status: Status, run_id: &str) -> Message {
    let (language, name) = (settings.language, case.name());
    let title = match status {
        Status::Available => language.pick("Snapshot pronto", "Snapshot available"),
        _ => language.pick("Snapshot pedido", "Snapshot requested"),
    };
    let mut lines: Vec<String> = case.request.iter().map(|request| asked(language, request)).collect();
    let Database { kind, id } = case.database();
    let what = match kind {
        Kind::Instance => language.pick("Instância", "Instance"),
        Kind::Cluster => "Cluster",
    };
    let mut facts = vec![format!("{what} `{id}`")];
    if kind == Kind::Cluster && id != case.instance {
        facts.push(format!("{} `{}`", language.pick("da instância", "of the instance"), case.instance));
    }
    let size = case.snapshot.as_ref().and_then(|snapshot| snapshot.allocated_gib);
    facts.extend(size.map(|size| format!("{size} GiB")));
    facts.extend(case.job.duration().map(|duration| format!("{} s", duration.as_secs())));
    let keep = language.pick("guardar até", "keep until");
    facts.extend(expires(settings, &case.job).map(|day| format!("{keep} {day}")));
    lines.push(facts.join(" · "));
    lines.extend(case.job.arn.iter().map(|arn| format!("`{arn}`")));
    let next = language.next_step();
    lines.push(match status {
        Status::Available => {
            format!("*{next}*: {}", language.pick("o deploy pode seguir.", "continue with the deploy."))
        }
        _ => format!(
            "*{next}*: {} {}",
            language.pick(
                "ainda não está pronto, e ninguém espera por ele. Antes do deploy:",
                "it is not available yet, and no process is waiting for it. Before the deploy:",
            ),
            wait_command(kind, name).code()
        ),
    });
    Message::new(settings, &format!("{title}: {name}"), lines, run_id)
}

/// The message about a deploy without a snapshot.
pub(crate) fn failed(settings: &Settings, case: &Case, broken: &Broken, run_id: &str) -> Message {
    let language = settings.language;
    let title = language.pick("Snapshot falhou", "Snapshot failed");
    let mut lines = vec![
        format!("*{}*: {}", broken.kind, broken.detail),
        notify::next_step(language, &next_step(settings, case, &broken.kind.as_str().into())),
    ];
    lines.extend(case.request.iter().map(|request| asked(language, request)));
    Message::new(settings, &format!("{title}: {}", case.instance), lines, run_id)
}

/// The page about a deploy without a snapshot.
pub(crate) fn page(settings: &Settings, case: &Case, broken: &Broken) -> Page {
    let alert = Alert {
        kind: &broken.kind,
        severity: Severity::Critical,
        resource: &case.instance,
        text: format!(
            "{} ({}): {}: {}.\n{}: {}",
            case.instance,
            settings.environment,
            broken.kind,
            broken.detail,
            settings.language.next_step(),
            next_step(settings, case, &broken.kind.as_str().into())
        ),
        owners: vec![settings.policy.responsible(Area::Database)],
        runbook: "docs/backups.md#cada-mensagem-e-o-que-fazer",
        dedup_key: format!("{PROCEDURE}/{}/{}", case.id, broken.kind),
    };
    Page::new(settings, alert)
}

/// The next step after a failure, with its command.
fn next_step(settings: &Settings, case: &Case, kind: &FailureKind) -> String {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let (Database { kind: of, id }, name) = (case.database(), case.name());
    let cli = of.cli();
    let again = again(settings, case).code();
    let same =
        say("Depois, pedir de novo com o mesmo `deploy`:", "Then request it again with the same `deploy`:");
    let other = say(
        "Depois, pedir de novo com outro `deploy` (por exemplo, a próxima tentativa do pipeline):",
        "Then request it again with another `deploy` (e.g. the pipeline's next attempt):",
    );
    let describe = match of {
        Kind::Instance => command!(
            "aws rds describe-db-instances --db-instance-identifier {id} --query 'DBInstances[0].[DBInstanceStatus,KmsKeyId]'",
            id
        ),
        Kind::Cluster => command!(
            "aws rds describe-db-clusters --db-cluster-identifier {id} --query 'DBClusters[0].[Status,KmsKeyId]'",
            id
        ),
    }
    .code();
    let delete = |name: &str| command!("aws rds delete-{cli} --{cli}-identifier {name}", cli, name).code();
    match kind {
        FailureKind::SnapshotQuotaExceeded => format!(
            "{} {} {} {}. {same} {again}",
            say("ver os mais antigos", "list the oldest"),
            command!(
                "aws rds describe-{cli}s --snapshot-type manual --query 'sort_by({listed},&SnapshotCreateTime)[:10].[{identifier},SnapshotCreateTime]' --output table",
                cli,
                listed = of.listed(),
                identifier = of.identifier()
            )
            .code(),
            say(
                "e apagar os que já venceram (tag ExpiresOn), ou pedir aumento da quota:",
                "and delete the expired ones (tag ExpiresOn), or request a higher quota:",
            ),
            delete(say("NOME", "NAME")),
        ),
        FailureKind::StorageQuotaExceeded => format!(
            "{} {same} {again}",
            say(
                "pedir aumento de «Total storage for all DB instances» em Service Quotas, ou apagar o que não é mais preciso.",
                "request more «Total storage for all DB instances» in Service Quotas, or delete storage that is no longer needed.",
            ),
        ),
        FailureKind::KeyNotAccessible => format!(
            "{} {describe}, {}. {same} {again}",
            say(
                "a chave está desligada, marcada para exclusão ou fechada ao RDS:",
                "the key is disabled, scheduled for deletion or denied to RDS:",
            ),
            command!("aws kms describe-key --key-id {key}", key = say("CHAVE", "KEY")).code(),
        ),
        FailureKind::InstanceNotFound | FailureKind::ClusterNotFound => format!(
            "{} {}. {again}",
            say(
                "corrigir `instance` no pedido, ou DatabaseInstanceId na stack. As instâncias que existem, com o cluster de cada uma:",
                "correct `instance` in the request, or the stack's DatabaseInstanceId. The existing instances, each with its cluster:",
            ),
            command!(
                "aws rds describe-db-instances --query 'DBInstances[].[DBInstanceIdentifier,DBClusterIdentifier]'"
            )
            .code(),
        ),
        FailureKind::ClusterNotOurs => format!(
            "{} {again}",
            say(
                "pôr o nome do cluster em DatabaseInstanceId da stack, que dá a permissão (docs/backups.md). Depois, pedir de novo com o mesmo `deploy`:",
                "set the stack's DatabaseInstanceId to the cluster's name, which grants the permission (docs/backups.md). Then request it again with the same `deploy`:",
            ),
        ),
        FailureKind::InstanceBusy | FailureKind::ClusterBusy => format!(
            "{} {describe}. {same} {again}",
            say(
                "esperar que o banco volte a available (backup, modificação ou manutenção em curso):",
                "wait until the database is available again (a backup, change or maintenance is in progress):",
            ),
        ),
        FailureKind::InstanceState | FailureKind::ClusterState => format!(
            "{} {describe}. {} {}. {same} {again}",
            say("ver o estado do banco:", "check the database's state:"),
            say("Se está stopped:", "If it is stopped:"),
            command!(
                "aws rds start-{database} --{database}-identifier {id}",
                database = of.database(),
                id
            )
            .code(),
        ),
        FailureKind::NamesTaken => format!("{same} {again}"),
        FailureKind::SnapshotSlow => format!(
            "{} {}. {} {again}",
            say("ele ainda pode terminar:", "it may still finish:"),
            wait_command(of, name).code(),
            say(
                "O mesmo `deploy` continua esperando por ele:",
                "The same `deploy` continues to wait for it:",
            ),
        ),
        FailureKind::SnapshotFailed => format!(
            "{} {}. {} {}. {other} {again}",
            say("não fazer o deploy. Ver por quê:", "do not deploy. Find the cause:"),
            command!(
                "aws rds describe-events --source-type {cli} --source-identifier {name} --duration 1440",
                cli,
                name
            )
            .code(),
            say("Apagar o que falhou:", "Delete the failed snapshot:"),
            delete(name),
        ),
        FailureKind::SnapshotDeleted => format!(
            "{} {}. {other} {again}",
            say(
                "não fazer o deploy: alguém apagou o snapshot. Quem:",
                "do not deploy: the snapshot was deleted. Find out by whom:",
            ),
            command!(
                "aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue={name}",
                name
            )
            .code(),
        ),
        FailureKind::InvalidEvent | FailureKind::NotOurs => format!(
            "{} {again}",
            say("corrigir o pedido (docs/backups.md):", "correct the request (docs/backups.md):"),
        ),
        FailureKind::RdsCall => format!(
            "{} {same} {again}",
            say(
                "conferir a permissão (IAM) que o erro nomeia; sem erro de permissão, o RDS não respondeu.",
                "check the permission (IAM) that the error names; if it names none, RDS did not answer.",
            ),
        ),
        FailureKind::NoteFailed => format!(
            "{} {same} {again}",
            say(
                "conferir o acesso ao bucket de evidências: sem a anotação, um segundo snapshot seria possível.",
                "check the access to the evidence bucket: without the note, a second snapshot would be possible.",
            ),
        ),
        FailureKind::NotAsked
        | FailureKind::PageFailed
        | FailureKind::DeadlineExceeded
        | FailureKind::Other(_) => format!(
            "{} {same} {again}",
            say(
                "ver a execução no Step Functions e os logs da função.",
                "check the execution in Step Functions and the function's logs.",
            ),
        ),
    }
}

/// Waits until the snapshot is available.
fn wait_command(kind: Kind, name: &str) -> Command {
    command!("aws rds wait {cli}-available --{cli}-identifier {name}", cli = kind.cli(), name)
}

/// Starts the state machine again.
fn again(settings: &Settings, case: &Case) -> Command {
    let Some(request) = &case.request else {
        let say =
            |portuguese: &'static str, english: &'static str| settings.language.pick(portuguese, english);
        let input = json!({"by": say("SEU NOME", "YOUR NAME"), "deploy": "DEPLOY", "reason": say("MOTIVO", "REASON")});
        return Command::start(settings, &input);
    };
    let Request { deploy, reason, by, commit, instance } = request;
    let fields = [
        ("by", Some(by)),
        ("commit", commit.as_ref()),
        ("deploy", Some(deploy)),
        ("instance", instance.as_ref()),
        ("reason", Some(reason)),
    ];
    let input = fields.into_iter().filter_map(|(field, value)| Some((field, value?.as_str())));
    Command::start(settings, &input.collect())
}

#[cfg(test)]
mod tests {
    use shared::aws::snapshots::Snapshot;

    use super::*;

    fn settings(language: Language) -> Settings {
        shared::testing::settings("moveongs-dev-snapshot-create", language)
    }

    fn case() -> Case {
        let at = |text: &str| Some(text.parse().unwrap());
        Case {
            instance: "moveongs-dev-db".to_owned(),
            request: Some(Request {
                deploy: "run-17-1".to_owned(),
                reason: "d'água".to_owned(),
                by: "ana".to_owned(),
                commit: Some("0f3c9a1".to_owned()),
                instance: None,
            }),
            job: Job {
                begun: at("2026-11-26T12:00:00Z"),
                name: Some("moveongs-dev-20261126".to_owned()),
                database: None,
                made: at("2026-11-26T12:00:01Z"),
                arn: Some("arn:aws:rds:r:1:snapshot:moveongs-dev-20261126".to_owned()),
                seen: true,
                available: at("2026-11-26T12:01:21Z"),
            },
            snapshot: Some(Snapshot::example("moveongs-dev-20261126")),
            id: "moveongs-dev-db/run-17-1".to_owned(),
        }
    }

    #[test]
    fn an_available_snapshot_is_reported_with_its_figures() {
        let reported = message(&settings(Language::Portuguese), &case(), Status::Available, "run");
        assert_eq!(reported.title(), "Snapshot pronto: moveongs-dev-20261126 (dev)");
        assert_eq!(
            reported.lines(),
            [
                "Deploy `run-17-1` · commit `0f3c9a1` · por ana: d'água",
                "Instância `moveongs-dev-db` · 20 GiB · 81 s · guardar até 2026-12-03",
                "`arn:aws:rds:r:1:snapshot:moveongs-dev-20261126`",
                "*Próximo passo*: o deploy pode seguir.",
            ]
        );
        let reported = message(&settings(Language::English), &case(), Status::Creating, "run");
        assert_eq!(reported.title(), "Snapshot requested: moveongs-dev-20261126 (dev)");
        assert!(
            reported.lines()[3].contains(
                "aws rds wait db-snapshot-available --db-snapshot-identifier moveongs-dev-20261126"
            )
        );
    }

    #[test]
    fn every_kind_has_a_command_that_continues() {
        let kinds = [
            ("SnapshotQuotaExceeded", "sort_by(DBSnapshots,&SnapshotCreateTime)[:10]"),
            ("StorageQuotaExceeded", "Service Quotas"),
            ("KeyNotAccessible", "kms describe-key"),
            ("InstanceNotFound", "describe-db-instances"),
            ("InstanceBusy", "--db-instance-identifier moveongs-dev-db"),
            ("InstanceState", "start-db-instance"),
            ("ClusterNotOurs", "DatabaseInstanceId"),
            ("NamesTaken", "start-execution"),
            ("SnapshotSlow", "aws rds wait"),
            ("SnapshotFailed", "describe-events"),
            ("SnapshotDeleted", "cloudtrail"),
            ("InvalidEvent", "docs/backups.md"),
            ("NotOurs", "docs/backups.md"),
            ("RdsCall", "IAM"),
            ("NoteFailed", "bucket"),
            ("States.Timeout", "Step Functions"),
        ];
        for language in [Language::Portuguese, Language::English] {
            for (kind, part) in kinds {
                let step = next_step(&settings(language), &case(), &kind.into());
                assert!(step.contains(part) && step.contains("start-execution"), "{kind}: {step}");
            }
        }
    }

    /// As in tests/cases/11a-aurora-member.json.
    #[test]
    fn a_members_snapshot_is_reported_with_the_clusters_commands() {
        let mut case = case();
        case.job.database = Some(Database { kind: Kind::Cluster, id: "moveongs-dev".to_owned() });
        case.snapshot.as_mut().unwrap().allocated_gib = None;
        let reported = message(&settings(Language::Portuguese), &case, Status::Creating, "run");
        assert_eq!(
            reported.lines()[1],
            "Cluster `moveongs-dev` · da instância `moveongs-dev-db` · 81 s · guardar até 2026-12-03"
        );
        assert!(reported.lines()[3].contains(
            "aws rds wait db-cluster-snapshot-available --db-cluster-snapshot-identifier moveongs-dev-20261126`"
        ));
        for (kind, part) in [
            ("SnapshotQuotaExceeded", "describe-db-cluster-snapshots --snapshot-type manual"),
            (
                "SnapshotQuotaExceeded",
                "sort_by(DBClusterSnapshots,&SnapshotCreateTime)[:10].[DBClusterSnapshotIdentifier,",
            ),
            ("KeyNotAccessible", "describe-db-clusters --db-cluster-identifier moveongs-dev "),
            ("ClusterBusy", "describe-db-clusters --db-cluster-identifier moveongs-dev "),
            ("ClusterState", "start-db-cluster --db-cluster-identifier moveongs-dev`"),
            ("ClusterNotFound", "DBClusterIdentifier"),
            ("SnapshotSlow", "wait db-cluster-snapshot-available"),
            ("SnapshotFailed", "--source-type db-cluster-snapshot"),
            (
                "SnapshotFailed",
                "delete-db-cluster-snapshot --db-cluster-snapshot-identifier moveongs-dev-20261126`",
            ),
        ] {
            let step = next_step(&settings(Language::Portuguese), &case, &kind.into());
            assert!(step.contains(part) && !step.contains("db-snapshot"), "{kind}: {step}");
        }
    }

    #[test]
    fn the_command_that_requests_it_again_is_whole_and_quoted() {
        let mut case = case();
        let request = case.request.as_mut().unwrap();
        request.reason = "d'água `id` $(id)".to_owned();
        let words = shared::testing::words(&again(&settings(Language::Portuguese), &case).to_string());
        assert_eq!(words[words.len() - 2], "--input");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&words[words.len() - 1]).unwrap(),
            json!({"by": "ana", "commit": "0f3c9a1", "deploy": "run-17-1", "reason": "d'água `id` $(id)"})
        );
        case.request = None;
        assert!(again(&settings(Language::English), &case).to_string().contains("YOUR NAME"));
    }

    #[test]
    fn a_page_has_one_key_per_deploy_and_kind() {
        let broken = Broken { kind: FailureKind::SnapshotFailed.into(), detail: "RDS gave it up".to_owned() };
        let page = page(&settings(Language::Portuguese), &case(), &broken);
        assert_eq!(page.dedup_key, "snapshot-create/moveongs-dev-db/run-17-1/SnapshotFailed");
        assert_eq!(page.subject, "[dev] SnapshotFailed: moveongs-dev-db");
        assert!(page.text.contains("delete-db-snapshot --db-snapshot-identifier moveongs-dev-20261126"));
    }
}
