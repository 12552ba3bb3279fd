//! The controls: what the guide requires, which procedure proves it, and how often.

use shared::policy::Area;

use Cadence::{Case, Every};
use Source::{Chains, Drill, Items, Part, Records, Response, Updates};

use super::state::ALARMS;
use super::view::Gap;

/// A requirement of the guide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    /// Stable name.
    pub id: &'static str,
    /// Section of the guide.
    pub guide: &'static str,
    /// The procedure: the function's folder.
    pub procedure: &'static str,
    /// Area of the inventory whose teams own it.
    pub area: Area,
    /// What proves it.
    pub source: Source,
    /// How often.
    pub cadence: Cadence,
    /// The requirement, in Portuguese and English.
    pub text: (&'static str, &'static str),
}

/// What proves a control.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// The procedure's records.
    Records,
    /// Some of the findings of an audit's records: those of these rules or kinds, and of the rules of buckets those about a
    /// bucket in one of these roles. A name that ends in `.` stands for all rules of a service.
    Part(&'static [&'static str], &'static [&'static str]),
    /// The rotation sheet's secrets.
    Items,
    /// The metrics of the pager's daily drill.
    Drill,
    /// The metrics of incidents: that somebody acknowledged and classified each, and commanded it.
    Response,
    /// The metrics of incidents: that each had its updates.
    Updates,
    /// The chains of all procedures.
    Chains,
}

/// How often a control is to be proved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cadence {
    /// Every so many days, as the template's schedules do, and so many hours of grace.
    Every {
        /// Days.
        days: i64,
        /// Hours.
        grace: i64,
    },
    /// When the case arises.
    Case,
}

/// Hours that a daily run may be late: its retries, and the page's own run.
const GRACE: i64 = 6;

const DAILY: Cadence = Every { days: 1, grace: GRACE };

/// Chains of records that are no procedure of their own.
pub(crate) const OTHER_CHAINS: [&str; 1] = ["policy"];

/// Every control, in the guide's order.
pub(crate) const CONTROLS: [Control; 33] = [
    Control {
        id: "inventory",
        guide: "1",
        procedure: "inventory-audit",
        area: Area::Infrastructure,
        source: Part(
            &[
                "Missing",
                "InsufficientData",
                "ListUnread",
                "StateUndeclared",
                "StateUnreadable",
                "TagsMissing",
                "NotInState",
                "NotInInventory",
                "OneTeam",
                "EmptyArea",
            ],
            &[],
        ),
        cadence: DAILY,
        text: (
            "Cada serviço crítico existe, tem tags, está no Terraform e tem responsável e backup",
            "Every critical service exists, is tagged, is in Terraform, and has an owner and a backup",
        ),
    },
    Control {
        id: "policy",
        guide: "6",
        procedure: "policy",
        area: Area::Infrastructure,
        source: Records,
        cadence: Case,
        text: (
            "Mudanças operacionais só valem depois do merge em main",
            "Operational changes are valid only after their merge into main",
        ),
    },
    Control {
        id: "database-backups",
        guide: "2.1",
        procedure: "backup-audit",
        area: Area::Database,
        source: Part(
            &[
                "rds.exists",
                "rds.backups-on",
                "rds.backup-window",
                "rds.retention",
                "rds.state",
                "rds.snapshot-fresh",
                "rds.point-in-time",
                "rds.encryption",
                "rds.snapshot-encryption",
                "rds.snapshot-public",
                "rds.snapshot-shared",
            ],
            &[],
        ),
        cadence: DAILY,
        text: (
            "Snapshots automáticos diários e recuperação a um ponto no tempo, com a retenção do ambiente, cifrados e privados",
            "Automatic daily snapshots and point-in-time recovery with the environment's retention, encrypted and private",
        ),
    },
    Control {
        id: "database-settings",
        guide: "2.1",
        procedure: "backup-audit",
        area: Area::Database,
        source: Part(
            &[
                "rds.blue-green",
                "rds.certificate",
                "rds.copy-tags",
                "rds.deletion-protection",
                "rds.encryption-key",
                "rds.engine-support",
                "rds.force-ssl",
                "rds.log-exports",
                "rds.master-password",
                "rds.minor-upgrades",
                "rds.multi-az",
                "rds.parameter-group",
                "rds.public",
                "rds.stopped",
                "rds.storage-autoscaling",
                "rds.subnet-group",
            ],
            &[],
        ),
        cadence: DAILY,
        text: (
            "Banco em execução, fora da internet, só por TLS, protegido contra exclusão e atualizado",
            "The database is running, not reachable from the internet, over TLS only, protected from deletion, and up to date",
        ),
    },
    Control {
        id: "backup-plans",
        guide: "2.1",
        procedure: "backup-audit",
        area: Area::Infrastructure,
        source: Part(
            &[
                "rds.backup-plan",
                "account.backup-plan",
                "account.in-backup-plan",
                "account.backup-vault-key",
                "account.backup-vault-lock",
            ],
            &[],
        ),
        cadence: DAILY,
        text: (
            "Segunda via no AWS Backup: um plano escolhe banco, buckets e tabela, e o cofre é cifrado e travado",
            "A second copy in AWS Backup: a plan selects database, buckets and table, and its vault is encrypted and locked",
        ),
    },
    Control {
        id: "snapshot-before-deploy",
        guide: "2.1",
        procedure: "snapshot-create",
        area: Area::Database,
        source: Records,
        cadence: Case,
        text: (
            "Snapshot manual antes de um deploy disruptivo",
            "A manual snapshot before a disruptive deployment",
        ),
    },
    Control {
        id: "snapshots-verified",
        guide: "2.1",
        procedure: "snapshot-verify",
        area: Area::Database,
        source: Records,
        cadence: DAILY,
        text: (
            "Cada snapshot verificado, copiado e apagado no prazo",
            "Every snapshot verified, copied, and deleted in time",
        ),
    },
    Control {
        id: "restore-test",
        guide: "2.1",
        procedure: "restore-test",
        area: Area::Database,
        source: Records,
        // The first Sunday of a quarter: at most 98 days apart.
        cadence: Every { days: 98, grace: 24 },
        text: (
            "Restauração testada a cada trimestre, com as tabelas críticas conferidas",
            "A restore tested every quarter, with the critical tables checked",
        ),
    },
    Control {
        id: "evidence-protected",
        guide: "2.1",
        procedure: "backup-audit",
        area: Area::Infrastructure,
        source: Part(&[], &["evidence"]),
        cadence: DAILY,
        text: (
            "Bucket das evidências com Object Lock, versionamento e sem acesso público",
            "The evidence bucket with Object Lock, versions, and no public access",
        ),
    },
    Control {
        id: "emergency-restore",
        guide: "2.1",
        procedure: "emergency-restore",
        area: Area::Database,
        source: Records,
        cadence: Case,
        text: (
            "Restauração emergencial em uma nova instância, com incidente, aprovação e smoke tests",
            "Emergency restore to a new instance, with an incident, an approval and smoke tests",
        ),
    },
    Control {
        id: "attachments-protected",
        guide: "2.2",
        procedure: "backup-audit",
        area: Area::Attachments,
        source: Part(&[], &["attachments", "other"]),
        cadence: DAILY,
        text: (
            "Anexos, e os demais buckets do ambiente, com versionamento, 30 dias de retenção e sem acesso público",
            "Attachments, and the environment's other buckets, with versions, 30 days of retention, and no public access",
        ),
    },
    Control {
        id: "uploads-sent",
        guide: "2.2",
        procedure: "backup-audit",
        area: Area::Attachments,
        source: Part(&["uploads.declared"], &["uploads"]),
        cadence: DAILY,
        text: (
            "Arquivos de instalações on-prem enviados todo dia a um bucket seguro: com versionamento, retenção e sem acesso público",
            "Files of on-premises installations sent every day to a safe bucket: with versions, retention, and no public access",
        ),
    },
    Control {
        id: "attachment-restore-test",
        guide: "2.2",
        procedure: "attachment-restore-test",
        area: Area::Attachments,
        source: Records,
        cadence: Every { days: 31, grace: 24 },
        text: (
            "Restauração de anexos testada todo mês, com leitura por /attachments/{id}",
            "A restore of attachments tested every month, and read through /attachments/{id}",
        ),
    },
    Control {
        id: "terraform-state",
        guide: "2.3",
        procedure: "backup-audit",
        area: Area::Infrastructure,
        source: Part(&["terraform."], &["state"]),
        cadence: DAILY,
        text: (
            "Estado do Terraform em backend remoto, que existe, versionado, sem acesso público e com trava",
            "Terraform's state in a remote backend that exists, with versions, no public access, and a lock",
        ),
    },
    Control {
        id: "grafana-export",
        guide: "2.3",
        procedure: "grafana-export",
        area: Area::Observability,
        source: Records,
        cadence: DAILY,
        text: (
            "Dashboards e alertas do Grafana exportados a cada release",
            "Grafana's dashboards and alerts exported with every release",
        ),
    },
    Control {
        id: "grafana-kept",
        guide: "2.3",
        procedure: "backup-audit",
        area: Area::Observability,
        source: Part(&["grafana."], &["grafana"]),
        cadence: DAILY,
        text: (
            "A exportação do Grafana é recente, volta para um Grafana e está em um bucket protegido",
            "Grafana's export is recent, can be put back into a Grafana, and is in a protected bucket",
        ),
    },
    Control {
        id: "application-settings",
        guide: "2.3",
        procedure: "backup-audit",
        area: Area::Application,
        source: Part(&["ecs.", "iam.object-versions", "account.vpc-endpoints"], &[]),
        cadence: DAILY,
        text: (
            "Serviços do ECS e configuração como o guia os quer",
            "ECS services and settings as the guide wants them",
        ),
    },
    Control {
        id: "rotate-random",
        guide: "3.1",
        procedure: "rotate-random",
        area: Area::Secrets,
        source: Items,
        cadence: Case,
        text: (
            "JWT_SECRET trocado a cada 90 dias, e o segredo dos webhooks a cada 180",
            "JWT_SECRET rotated every 90 days, and the webhooks' secret every 180",
        ),
    },
    Control {
        id: "rotate-database",
        guide: "3.1",
        procedure: "rotate-database",
        area: Area::Database,
        source: Items,
        cadence: Case,
        text: (
            "DATABASE_URL trocada com a credencial do banco",
            "DATABASE_URL rotated with the database's credential",
        ),
    },
    Control {
        id: "rotate-external",
        guide: "3.1",
        procedure: "rotate-external",
        area: Area::Secrets,
        source: Items,
        cadence: Case,
        text: (
            "NOTIFICATIONS_* e SEED_ADMIN_PASSWORD trocados a cada 180 dias",
            "NOTIFICATIONS_* and SEED_ADMIN_PASSWORD rotated every 180 days",
        ),
    },
    Control {
        id: "rotation-planned",
        guide: "3.2",
        procedure: "rotation-audit",
        area: Area::Secrets,
        source: Records,
        cadence: DAILY,
        text: (
            "Idade de cada segredo da política conferida, e a tarefa aberta com janela e responsável",
            "The age of every secret of the policy checked, and a task opened with window and owner",
        ),
    },
    Control {
        id: "rotation-followup",
        guide: "3.2",
        procedure: "rotation-followup",
        area: Area::Secrets,
        source: Records,
        cadence: Case,
        text: (
            "Deploy, prova, changelog de segurança e planilha depois de cada rotação",
            "Deployment, proof, security changelog and sheet after each rotation",
        ),
    },
    Control {
        id: "incident-page",
        guide: "4.1",
        procedure: "incident-page",
        area: Area::Observability,
        source: Drill,
        cadence: DAILY,
        text: (
            "Cada alerta abre um incidente em #incidentes-moveongs",
            "Every alert opens an incident in #incidentes-moveongs",
        ),
    },
    Control {
        id: "incident-classified",
        guide: "4.2",
        procedure: "incident-desk",
        area: Area::Application,
        source: Response,
        cadence: DAILY,
        text: (
            "Cada incidente assumido, com severidade e comandante (IC)",
            "Every incident acknowledged, with a severity and a commander (IC)",
        ),
    },
    Control {
        id: "incident-updates",
        guide: "4.2",
        procedure: "incident-clock",
        area: Area::Application,
        source: Updates,
        cadence: DAILY,
        text: (
            "Atualização do canal a cada 30 minutos enquanto há impacto",
            "An update of the channel every 30 minutes while there is an impact",
        ),
    },
    Control {
        id: "postmortem",
        guide: "4.3",
        procedure: "postmortem",
        area: Area::Application,
        source: Records,
        cadence: DAILY,
        text: (
            "Post-mortem em até 5 dias úteis, com causa raiz, MTTA, MTTR e ações",
            "A post-mortem within 5 business days, with root cause, MTTA, MTTR and actions",
        ),
    },
    Control {
        id: "onboarding",
        guide: "5",
        procedure: "onboarding",
        area: Area::Infrastructure,
        source: Records,
        cadence: DAILY,
        text: (
            "Onboarding completo: documentos, acessos, ambiente local e shadowing; nenhum acesso de quem saiu",
            "Onboarding complete: documents, access, local environment and shadowing; no access of people who left",
        ),
    },
    Control {
        id: "evidence",
        guide: "1–6",
        procedure: "governance-report",
        area: Area::Infrastructure,
        source: Chains,
        cadence: DAILY,
        text: (
            "Evidência íntegra: nenhum registro falta, mudou ou foi forjado",
            "Evidence intact: no record is missing, altered or forged",
        ),
    },
    Control {
        id: "log-filters",
        guide: "4.1",
        procedure: "backup-audit",
        area: Area::Observability,
        source: Part(&["account.log-filters"], &[]),
        cadence: DAILY,
        text: (
            "Logs com filtros para AppError e Unhandled error",
            "Logs with filters for AppError and Unhandled error",
        ),
    },
    Control {
        id: "alarms",
        guide: "4.1",
        procedure: "backup-audit",
        area: Area::Observability,
        source: Part(&["account.alarms", "rds.events"], &[]),
        cadence: DAILY,
        text: (
            "A aplicação tem alarmes, e os eventos do RDS são enviados",
            "The application has alarms, and RDS sends its events",
        ),
    },
    Control {
        id: "on-call",
        guide: "4.2",
        procedure: "inventory-audit",
        area: Area::Infrastructure,
        source: Part(
            &["PersonUnreachable", "PhoneUnverified", "RotationGap", "SquadUnreachable", "SquadUnknown"],
            &[],
        ),
        cadence: DAILY,
        text: (
            "Cada squad tem um plantão, ou um contato, que um chamado alcança",
            "Every squad has somebody on call, or a contact, whom a page reaches",
        ),
    },
    Control {
        id: "runbooks",
        guide: "4.2",
        procedure: "inventory-audit",
        area: Area::Observability,
        source: Part(&["RunbookMissing", "RunbookUnchecked", ALARMS], &[]),
        cadence: DAILY,
        text: ("Cada alarme leva a um runbook que existe", "Every alarm leads to a runbook that exists"),
    },
    Control {
        id: "terraform-tracked",
        guide: "1",
        procedure: "inventory-audit",
        area: Area::Infrastructure,
        source: Part(
            &[
                "Missing",
                "InsufficientData",
                "ListUnread",
                "NotInState",
                "Drift",
                "StateUndeclared",
                "StateUnreadable",
                "InTwoStates",
                "ValueInState",
            ],
            &[],
        ),
        cadence: DAILY,
        text: (
            "Alterações de infraestrutura versionadas no repositório, sem desvio do Terraform",
            "Changes of infrastructure in the repository, without drift from Terraform",
        ),
    },
];

/// Every function of the stack, for its cost.
pub(crate) fn functions() -> Vec<&'static str> {
    let procedures = CONTROLS.iter().map(|control| control.procedure);
    let mut functions: Vec<_> =
        procedures.filter(|name| !OTHER_CHAINS.contains(name)).chain(["incident-send"]).collect();
    functions.sort_unstable();
    functions.dedup();
    functions
}

/// Every chain of records that the page verifies.
pub(crate) fn chains() -> Vec<&'static str> {
    let mut chains: Vec<_> = CONTROLS
        .iter()
        .filter(|control| !matches!(control.source, Drill | Response))
        .map(|control| control.procedure)
        .chain(OTHER_CHAINS)
        .collect();
    chains.sort_unstable();
    chains.dedup();
    chains
}

/// Begins the rules of buckets.
const BUCKETS: &str = "s3.";

/// Whether a name of a part is that of a rule or kind, or stands for it.
fn is_named(own: &str, ruled: &str) -> bool {
    ruled.strip_prefix(own).is_some_and(|rest| own.ends_with('.') || rest.is_empty() || rest.starts_with(' '))
}

/// Whether a control is judged by a finding: its rule or kind, which may have its subject after it, and its bucket's role.
///
/// None if it may be: the record does not say which role the bucket has.
pub(crate) fn is_of(control: &Control, ruled: &str, role: Option<&str>) -> Option<bool> {
    let Part(rules, roles) = control.source else { return Some(false) };
    if !ruled.starts_with(BUCKETS) {
        return Some(rules.iter().any(|own| is_named(own, ruled)));
    }
    match role {
        Some(role) if roles.contains(&role) => Some(true),
        // A role of a program that this one does not know is the role of some control's bucket.
        Some(role) if is_role(role) => Some(false),
        _ if roles.is_empty() => Some(false),
        _ => None,
    }
}

fn is_role(role: &str) -> bool {
    CONTROLS.iter().any(|control| matches!(control.source, Part(_, roles) if roles.contains(&role)))
}

/// The controls that are judged by a rule or kind of an audit, about a bucket in this role if it is about a bucket.
pub(crate) fn of_rule(procedure: &str, rule: &str, role: Option<&str>) -> Vec<&'static str> {
    let own = CONTROLS.iter().filter(|control| control.procedure == procedure);
    own.filter(|control| is_of(control, rule, role) == Some(true)).map(|control| control.id).collect()
}

/// A requirement of the guide that no record and no metric shows: neither good nor bad on the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unmeasured {
    /// Stable name.
    pub id: &'static str,
    /// Section of the guide.
    pub guide: &'static str,
    /// The requirement, in Portuguese and English.
    pub text: (&'static str, &'static str),
    /// Why it is not measured.
    pub why: (&'static str, &'static str),
    /// Why nothing even does it, if the setting that it needs is off.
    pub off: Option<(&'static str, &'static str)>,
}

/// Every requirement that is not measured, in the guide's order.
pub(crate) const UNMEASURED: [Unmeasured; 8] = [
    Unmeasured {
        id: "every-disruptive-deploy",
        guide: "2.1",
        text: (
            "Nenhum deploy disruptivo sem o snapshot manual",
            "No disruptive deployment without the manual snapshot",
        ),
        why: (
            "só o pipeline sabe que deploy é disruptivo; a página mostra os snapshots que foram pedidos",
            "only the pipeline knows which deployment is disruptive; the page shows the snapshots that were requested",
        ),
        off: None,
    },
    Unmeasured {
        id: DRIVE,
        guide: "3.2",
        text: (
            "Planilha de rotação guardada no drive corporativo",
            "The rotation sheet kept in the corporate drive",
        ),
        why: (
            "é enviada a cada mudança, e um envio que falha tem alarme; o que o drive guardou não é lido",
            "it is sent with each change, and a failed delivery has an alarm; what the drive kept is not read",
        ),
        off: Some((
            "a planilha está só nesta página: falta o endereço do drive (SheetWebhookSecretName)",
            "the sheet is only on this page: the drive's address is missing (SheetWebhookSecretName)",
        )),
    },
    Unmeasured {
        id: "squads-called",
        guide: "4.2",
        text: (
            "O comandante do incidente convoca os squads necessários",
            "The incident's commander calls in the squads that are needed",
        ),
        why: (
            "quais são necessários é decisão do comandante; quem foi chamado está na linha do tempo do post-mortem",
            "which ones are needed is the commander's decision; the post-mortem's timeline has who was called",
        ),
        off: None,
    },
    Unmeasured {
        id: CUSTOMERS,
        guide: "4.2",
        text: (
            "Clientes internos informados de um incidente por e-mail",
            "Internal customers informed of an incident by mail",
        ),
        why: (
            "o e-mail é enviado, e cada envio está na linha do tempo do post-mortem; nenhuma medida os conta",
            "the mail is sent, and the post-mortem's timeline has each delivery; no metric counts them",
        ),
        off: Some((
            "nenhum e-mail é enviado: a política não tem endereços (incidents.customers.addresses)",
            "no mail is sent: the policy has no addresses (incidents.customers.addresses)",
        )),
    },
    Unmeasured {
        id: "runbooks-followed",
        guide: "4.2",
        text: ("A mitigação segue o runbook", "The mitigation follows the runbook"),
        why: (
            "a página mostra que o runbook existe, não que foi seguido; o post-mortem conta o que se fez",
            "the page shows that the runbook exists, not that it was followed; the post-mortem says what was done",
        ),
        off: None,
    },
    Unmeasured {
        id: "provider-support",
        guide: "4.2",
        text: (
            "AWS Support envolvido se o impacto passa de 1 hora ou há dados sensíveis expostos",
            "AWS Support involved if the impact exceeds 1 hour or sensitive data is compromised",
        ),
        why: (
            "o prazo e a abertura do caso estão na linha do tempo do post-mortem; nenhuma medida os conta",
            "the post-mortem's timeline has the deadline and the case; no metric counts them",
        ),
        off: None,
    },
    Unmeasured {
        id: "guide-updated",
        guide: "4.3",
        text: (
            "Guia e runbooks atualizados com o que se aprendeu",
            "Guide and runbooks updated with what was learned",
        ),
        why: (
            "nenhum programa sabe o que se aprendeu; vira uma ação do post-mortem, cujo prazo é cobrado",
            "no program knows what was learned; it becomes an action of the post-mortem, whose deadline is checked",
        ),
        off: None,
    },
    Unmeasured {
        id: "teams-told",
        guide: "6",
        text: (
            "Mudanças operacionais comunicadas aos times afetados",
            "Operational changes announced to the affected teams",
        ),
        why: (
            "uma mudança da política é publicada no canal; quem é afetado, e se leu, nenhum programa sabe",
            "a change of the policy is posted to the channel; no program knows who is affected and has read it",
        ),
        off: None,
    },
];

/// What is not measured, by a stack with or without the drive's address and the addresses of customers.
pub(crate) fn gaps(has_drive: bool, has_customers: bool) -> Vec<Gap> {
    let is_off = |id: &str| (id == DRIVE && !has_drive) || (id == CUSTOMERS && !has_customers);
    let gap =
        |one: &Unmeasured| Gap { id: one.id.to_owned(), guide: one.guide.to_owned(), off: is_off(one.id) };
    UNMEASURED.iter().map(gap).collect()
}

/// The drive's sheet, which a setting turns on.
pub(crate) const DRIVE: &str = "sheet-in-drive";

/// The internal customers' mail, which a setting turns on.
pub(crate) const CUSTOMERS: &str = "customers-informed";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_procedure_proves_a_control_and_no_name_is_taken_twice() {
        let procedures: BTreeSet<_> = CONTROLS.iter().map(|control| control.procedure).collect();
        for procedure in [
            "rotate-random",
            "rotate-database",
            "rotate-external",
            "rotation-followup",
            "rotation-audit",
            "backup-audit",
            "snapshot-create",
            "snapshot-verify",
            "restore-test",
            "emergency-restore",
            "attachment-restore-test",
            "grafana-export",
            "inventory-audit",
            "incident-page",
            "incident-desk",
            "incident-clock",
            "postmortem",
            "onboarding",
            "governance-report",
        ] {
            assert!(procedures.contains(procedure), "{procedure}");
        }
        let ids: BTreeSet<_> = CONTROLS.iter().map(|control| control.id).collect();
        assert_eq!(ids.len(), CONTROLS.len());
        for section in ["1", "2.1", "2.2", "2.3", "3.1", "3.2", "4.1", "4.2", "4.3", "5", "6"] {
            assert!(CONTROLS.iter().any(|control| control.guide == section), "{section}");
        }
        let chains = chains();
        assert!(chains.contains(&"policy") && chains.contains(&"governance-report"));
        assert!(!chains.contains(&"incident-page"));
    }
}
