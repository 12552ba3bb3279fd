//! Pages.

use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::settings::Settings;

use super::finding::{NAMED, next_step, responsible, sentence};
use crate::rules::coverage;
use crate::rules::finding::Finding;

/// The page for a critical rule, with all resources that break it.
pub(crate) fn critical(settings: &Settings, rule: &str, findings: &[&Finding]) -> Page {
    let language = settings.language;
    let named: Vec<_> = findings.iter().take(NAMED).map(|finding| finding.resource.as_str()).collect();
    let more = findings.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" (+{more})") } else { String::new() };
    let first = findings.first();
    page(
        settings,
        rule,
        &named.join(", "),
        format!(
            "{}{more}: {}.\n{}: {}.",
            named.join(", "),
            first.map(|finding| sentence(finding, language)).unwrap_or_default(),
            language.next_step(),
            first.map(|finding| next_step(finding, language)).unwrap_or_default(),
        ),
        if rule == "s3.exists" { "bucket-que-falta" } else { "regras" },
    )
}

/// The page for an unreadable service, or an unreadable section of one.
pub(crate) fn unreadable(settings: &Settings, part: &str, why: &str) -> Page {
    let service = coverage::service(part);
    let text = shared::tr!(
        settings.language,
        "A auditoria de backup não conseguiu ler nada de {part}: {why}.\nPróximo passo: conferir a permissão (IAM) ou o limite que o erro nomeia, e invocar a função de novo.",
        "The backup audit could not read anything of {part}: {why}.\nNext step: check the permission (IAM) or the limit that the error names, and invoke the function again.",
    );
    page(settings, &format!("unreadable/{service}"), part, text, "quando-a-auditoria-não-termina")
}

/// A page; `section` is an anchor in docs/backups.md.
fn page(settings: &Settings, kind: &str, resource: &str, text: String, section: &str) -> Page {
    let alert = Alert {
        kind,
        severity: Severity::Critical,
        resource,
        text,
        owners: vec![responsible(settings, kind.strip_prefix("unreadable/").unwrap_or(kind))],
        runbook: &format!("docs/backups.md#{section}"),
        dedup_key: format!("backup-audit/{}/{kind}", settings.environment),
    };
    Page::new(settings, alert)
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::*;
    use crate::text::finding::tests::{finding, settings};

    #[test]
    fn a_page_names_the_resources_the_next_step_and_the_responsible_team() {
        let failing = finding("fail");
        let many = [&failing; NAMED + 2];
        for (language, responsible, step) in [
            (
                Language::Portuguese,
                "Responsável: Squad Dados, backup: Squad Infra.",
                "Próximo passo: `aws rds",
            ),
            (Language::English, "Owner: Squad Dados, backup: Squad Infra.", "Next step: `aws rds"),
        ] {
            let page = critical(&settings(language), "rds.public", &many[..1]);
            assert_eq!(page.subject, "[prod] rds.public: moveongs-prod-db");
            assert_eq!(page.dedup_key, "backup-audit/prod/rds.public");
            assert!(page.text.starts_with("moveongs-prod-db: "), "{}", page.text);
            assert!(page.text.contains(step) && page.text.contains(responsible), "{}", page.text);
            assert!(page.text.contains("docs/backups.md#regras"), "{}", page.text);
            let missing = critical(&settings(language), "s3.exists", &many[..1]);
            assert!(missing.text.contains("docs/backups.md#bucket-que-falta"), "{}", missing.text);
            let page = critical(&settings(language), "rds.public", &many);
            assert_eq!(page.text.matches("moveongs-prod-db").count(), NAMED);
            assert!(page.text.contains("(+2)") && page.subject.len() < 100, "{}", page.text);
            let page = unreadable(&settings(language), "s3", "x:Get failed");
            assert_eq!(page.dedup_key, "backup-audit/prod/unreadable/s3");
            for part in [
                "s3",
                "x:Get failed",
                "IAM",
                "Squad Infra, backup: Squad Backend",
                "docs/backups.md#quando-a-auditoria-não-termina",
            ] {
                assert!(page.text.contains(part), "{}", page.text);
            }
            let page = unreadable(&settings(language), "rds:snapshots", "x:Get failed");
            assert_eq!(page.dedup_key, "backup-audit/prod/unreadable/rds");
            assert!(page.text.contains("rds:snapshots: x:Get failed"), "{}", page.text);
        }
    }
}
