//! Pages.

use shared::run::paging::{self, Page};
use shared::runtime::settings::Settings;

use super::sentence::sentence;
use super::step::next_step;
use crate::PROCEDURE;
use crate::rules::finding::{Finding, Subject};

/// The page about a finding.
pub(crate) fn page(settings: &Settings, subject: &Subject, finding: &Finding) -> Page {
    let language = settings.language;
    let (environment, kind, label) = (&settings.environment, finding.kind(), subject.label());
    let dedup_key = format!("{PROCEDURE}/{label}/{kind}");
    Page {
        subject: paging::subject(&format!("[{environment}] {kind}: {label}")),
        text: format!(
            "{label} ({environment}): {}.\n{}: {}\n{dedup_key}",
            sentence(subject, finding, language),
            language.pick("Próximo passo", "Next step"),
            next_step(settings, subject, finding),
        ),
        dedup_key,
        secret: label,
    }
}
