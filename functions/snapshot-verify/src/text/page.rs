//! Pages.

use shared::policy::Area;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::settings::Settings;

use super::sentence::sentence;
use super::step::next_step;
use crate::PROCEDURE;
use crate::rules::finding::{Finding, Subject};

/// The page about a finding.
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
            language.next_step(),
            next_step(settings, subject, finding),
        ),
        owners: vec![settings.policy.responsible(Area::Database)],
        runbook: "docs/backups.md#cada-achado-e-o-que-fazer",
        dedup_key: format!("{PROCEDURE}/{label}/{kind}"),
    };
    Page::new(settings, alert)
}
