//! Pages.

use shared::policy::Responsible;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::sentence::sentence;
use super::step::next_step;
use crate::rules::row::{Problem, Row};

/// The page of a finding.
pub(crate) fn page(settings: &Settings, row: &Row, problem: &Problem) -> Page {
    let alert = Alert {
        kind: problem.kind(),
        severity: Severity::Critical,
        resource: &row.about(),
        text: format!(
            "{} ({}): {}.\n{}: {}.",
            row.about(),
            settings.environment,
            sentence(problem, settings.language),
            settings.language.next_step(),
            next_step(settings, row, problem),
        ),
        owners: vec![&row.responsible],
        runbook: "docs/inventario.md#o-que-cada-achado-significa",
        dedup_key: format!("inventory-audit/{}/{}/{}", row.kind, row.name, problem.kind()),
    };
    Page::new(settings, alert)
}

pub(super) fn people(responsible: &Responsible, language: Language) -> String {
    let label = language.pick("Responsável", "Owner");
    format!("{label}: {}, backup: {}", responsible.primary, responsible.backup)
}
