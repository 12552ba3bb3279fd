//! The controls: what the guide requires, which procedure proves it, and how often.

use shared::policy::Area;

use Cadence::{Case, Every};
use Source::{Chains, Drill, Items, Part, Records, Response, Updates};

use super::state::ALARMS;

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
    /// The findings of the backup audit whose rule begins so.
    Part(&'static [&'static str]),
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
pub(crate) const CONTROLS: [Control; 28] = [
    Control {
        id: "inventory",
        guide: "1",
        procedure: "inventory-audit",
        area: Area::Infrastructure,
        source: Records,
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
        source: Part(&["rds.", "account.backup", "account.in-backup"]),
        cadence: DAILY,
        text: (
            "Snapshots automáticos diários, com a retenção do ambiente, cifrados e privados",
            "Automatic daily snapshots with the environment's retention, encrypted and private",
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
        source: Part(&["s3.", "iam.object-versions"]),
        cadence: DAILY,
        text: (
            "Buckets com versionamento, 30 dias de retenção e sem acesso público",
            "Buckets with versions, 30 days of retention, and no public access",
        ),
    },
    Control {
        id: "uploads-sent",
        guide: "2.2",
        procedure: "backup-audit",
        area: Area::Attachments,
        source: Part(&["uploads.", "s3.uploads-fresh"]),
        cadence: DAILY,
        text: (
            "Arquivos de instalações on-prem enviados todo dia ao bucket seguro",
            "Files of on-premises installations sent to the safe bucket every day",
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
        source: Part(&["terraform."]),
        cadence: DAILY,
        text: (
            "Estado do Terraform em backend remoto, versionado e com trava",
            "Terraform's state in a remote backend, with versions and a lock",
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
        id: "application-settings",
        guide: "2.3",
        procedure: "backup-audit",
        area: Area::Application,
        source: Part(&["ecs.", "grafana.", "account.vpc-endpoints"]),
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
            "Idade de cada segredo conferida, e a tarefa aberta com janela e responsável",
            "Every secret's age checked, and a task opened with window and owner",
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
        source: Part(&["account.log-filters"]),
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
        source: Part(&["account.alarms", "rds.events"]),
        cadence: DAILY,
        text: ("Alarmes e eventos chegam ao plantão", "Alarms and events reach the person on call"),
    },
    Control {
        id: "runbooks",
        guide: "4.2",
        procedure: "inventory-audit",
        area: Area::Observability,
        source: Part(&["RunbookMissing", "RunbookUnchecked", ALARMS]),
        cadence: DAILY,
        text: ("Cada alarme leva a um runbook que existe", "Every alarm leads to a runbook that exists"),
    },
    Control {
        id: "terraform-tracked",
        guide: "1",
        procedure: "inventory-audit",
        area: Area::Infrastructure,
        source: Part(&[
            "InsufficientData",
            "ListUnread",
            "NotInState",
            "Drift",
            "StateUndeclared",
            "StateUnreadable",
            "InTwoStates",
            "ValueInState",
        ]),
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

/// The controls that are judged by a rule of `backup-audit`, for a test of both.
pub(crate) fn of_rule(rule: &str) -> Vec<&'static str> {
    let is_of = |control: &&Control| match control.source {
        Part(rules) => rules.iter().any(|own| rule.starts_with(own)),
        _ => false,
    };
    CONTROLS.iter().filter(is_of).map(|control| control.id).collect()
}

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
