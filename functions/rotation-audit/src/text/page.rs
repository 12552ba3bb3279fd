//! Pages.

use jiff::Timestamp;
use shared::audit::findings;
use shared::audit::first_week;
use shared::policy::Responsible;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::settings::Settings;

use super::item::item;
use crate::rules::facts::Secret;
use crate::rules::finding::Finding;

/// The pages of the findings that page: one for each kind, because thirty findings of a kind have one cause.
///
/// For late secrets the dedup key depends on the kind only. For other kinds it depends on the secrets too, so a further
/// secret makes a new page.
pub(crate) fn pages(settings: &Settings, paging: &[(&Secret, &Finding)], now: Timestamp) -> Vec<Page> {
    let mut kinds: Vec<&str> = Vec::new();
    for (_, finding) in paging {
        if !kinds.contains(&finding.kind()) {
            kinds.push(finding.kind());
        }
    }
    let of = |kind: &str| paging.iter().filter(|(_, finding)| finding.kind() == kind).copied().collect();
    kinds.into_iter().map(|kind| page(settings, kind, of(kind), now)).collect()
}

fn page(settings: &Settings, kind: &str, of: Vec<(&Secret, &Finding)>, now: Timestamp) -> Page {
    let language = settings.language;
    let environment = &settings.environment;
    let names: Vec<_> = of.iter().map(|(secret, _)| secret.name.as_str()).collect();
    let items: Vec<_> = of.iter().map(|(secret, finding)| item(secret, finding, now, language)).collect();
    let groups = findings::groups(&items);
    let mut lines: Vec<_> = groups.iter().map(|group| group.text(language, "")).collect();
    let mut teams: Vec<(&Responsible, Vec<String>)> = Vec::new();
    for (secret, _) in &of {
        let team = &secret.standard.responsible;
        match teams.iter_mut().find(|(known, _)| *known == team) {
            Some((_, names)) => names.push(secret.name.clone()),
            None => teams.push((team, vec![secret.name.clone()])),
        }
    }
    let owners = teams.iter().map(|(team, _)| *team).collect();
    if teams.len() > 1 {
        lines.extend(
            teams
                .into_iter()
                .map(|(team, names)| format!("{}: {}.", team.primary, findings::listed(names, 1_000))),
        );
    }
    let is_late = of
        .iter()
        .all(|(_, finding)| matches!(finding, Finding::Overdue { .. } | Finding::RotationLate { .. }));
    let causes = match is_late {
        true => String::new(),
        false => format!("/{}", first_week::causes(names.iter().copied())),
    };
    let alert = Alert {
        kind,
        severity: if of.iter().any(|(_, finding)| finding.is_critical()) {
            Severity::Critical
        } else {
            Severity::Warning
        },
        resource: &names.join(", "),
        text: lines.join("\n"),
        owners,
        runbook: "docs/rotacao-auditoria.md#o-que-cada-achado-significa",
        dedup_key: format!("rotation-audit/{environment}/{kind}{causes}"),
    };
    Page::new(settings, alert)
}
