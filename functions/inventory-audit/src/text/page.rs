//! Pages.

use shared::policy::Responsible;
use shared::run::paging::{self, Page};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::sentence::sentence;
use super::step::next_step;
use crate::rules::row::{Problem, Row};

/// The page of a finding.
pub(crate) fn page(settings: &Settings, row: &Row, problem: &Problem) -> Page {
    let language = settings.language;
    let dedup_key = format!("inventory-audit/{}/{}/{}", row.kind, row.name, problem.kind());
    Page {
        subject: paging::subject(&format!("[{}] {}: {}", settings.environment, problem.kind(), row.about())),
        text: format!(
            "{} ({}): {}.\n{}: {}.\n{}.\n{dedup_key}",
            row.about(),
            settings.environment,
            sentence(problem, language),
            language.pick("Próximo passo", "Next step"),
            next_step(settings, row, problem),
            people(&row.responsible, language),
        ),
        dedup_key,
        secret: row.name.clone(),
    }
}

pub(super) fn people(responsible: &Responsible, language: Language) -> String {
    let label = language.pick("Responsável", "Responsible");
    format!("{label}: {}, backup: {}", responsible.primary, responsible.backup)
}
