//! Pages of a run.

use std::collections::BTreeMap;

use shared::run::paging::Page;

use crate::findings::Outcome;
use crate::rules::coverage;
use crate::rules::finding::Finding;
use crate::{App, text};

/// One page for each critical rule that fails, and one for each unreadable service.
pub(crate) fn pages(app: &App, outcome: &Outcome, unreadable: &[(&'static str, String)]) -> Vec<Page> {
    let mut critical = BTreeMap::<&str, Vec<&Finding>>::new();
    let worst = outcome.worst.findings.iter();
    for finding in worst.filter(|finding| finding.verdict == "fail" && finding.severity == "critical") {
        critical.entry(&finding.rule).or_default().push(finding);
    }
    let mut pages: Vec<Page> =
        critical.iter().map(|(rule, findings)| text::critical(&app.base.settings, rule, findings)).collect();
    pages.extend(unreadable.iter().map(|(service, why)| text::unreadable(&app.base.settings, service, why)));
    // Services with readable lists, but only unknown verdicts.
    let is_reported = |service: &str| unreadable.iter().any(|(part, _)| coverage::service(part) == service);
    let dark = outcome.services.iter().filter(|(service, counts)| counts.is_dark() && !is_reported(service));
    pages.extend(dark.map(|(service, _)| {
        let why =
            outcome.worst.findings.iter().find(|finding| finding.rule.starts_with(&format!("{service}.")));
        text::unreadable(&app.base.settings, service, why.map_or("", |finding| finding.found.as_str()))
    }));
    pages
}
