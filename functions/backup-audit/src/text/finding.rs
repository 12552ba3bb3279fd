//! Texts of a finding.

use shared::audit::findings::with_role;
use shared::policy::{Area, Responsible};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules;
use crate::rules::facts::Role;
use crate::rules::finding::{Accepted, Finding};

/// Most resources that a page or a line names.
pub(super) const NAMED: usize = 10;

fn severity(word: &str, language: Language) -> &str {
    match (language, word) {
        (Language::Portuguese, "critical") => "crítica",
        (Language::Portuguese, "high") => "alta",
        (Language::Portuguese, "medium") => "média",
        (Language::Portuguese, "low") => "baixa",
        (_, word) => word,
    }
}

pub(super) fn title(rule: &str, language: Language) -> &str {
    rules::all().find(|meta| meta.id == rule).map_or(rule, |meta| meta.title(language))
}

/// The finding as a sentence.
pub(super) fn sentence(finding: &Finding, language: Language) -> String {
    let title = title(&finding.rule, language);
    let Finding { found, expected, .. } = finding;
    match (finding.verdict.as_str(), language) {
        ("unknown", Language::Portuguese) => format!("{title}: não foi possível verificar: {found}"),
        ("unknown", Language::English) => format!("{title}: could not be verified: {found}"),
        (_, Language::Portuguese) => format!("{title}: é {found}, devia ser {expected}"),
        (_, Language::English) => format!("{title}: is {found}, should be {expected}"),
    }
}

/// The operator's next step.
pub(super) fn next_step(finding: &Finding, language: Language) -> String {
    if finding.verdict == "unknown" {
        let text = language.pick(
            "conferir a permissão (IAM) ou o limite que o erro nomeia; a próxima auditoria verifica de novo",
            "check the permission (IAM) or the limit that the error names; the next audit verifies again",
        );
        return text.to_owned();
    }
    if let Some(exception) = &finding.exception {
        let Accepted { owner, until, .. } = exception;
        return shared::tr!(
            language,
            "aceito por {owner} até {until}; até lá, corrigir ou renovar a exceção",
            "accepted by {owner} until {until}; by then, fix it or renew the exception",
        );
    }
    format!("`{}`", finding.next_step)
}

/// The line of a finding in the evidence record, with the role of a bucket.
pub(crate) fn line(finding: &Finding, role: Option<Role>) -> String {
    let accepted = finding.exception.as_ref().map(|exception| {
        format!(" (accepted by {} until {}: {})", exception.owner, exception.until, exception.reason)
    });
    let line = format!(
        "{} {}: {}, since {}{}",
        finding.verdict,
        finding.key(),
        sentence(finding, Language::English),
        finding.since,
        accepted.unwrap_or_default()
    );
    role.map(|role| with_role(&line, role.word())).unwrap_or(line)
}

pub(super) fn entry(settings: &Settings, finding: &Finding) -> String {
    let language = settings.language;
    format!(
        "*{}* `{}` ({}, {}): {}. {}: {}.",
        finding.rule,
        finding.resource,
        severity(&finding.severity, language),
        responsible(settings, &finding.rule).primary,
        sentence(finding, language),
        language.next_step(),
        next_step(finding, language)
    )
}

/// The team responsible for a rule's area.
pub(super) fn responsible<'a>(settings: &'a Settings, rule: &str) -> &'a Responsible {
    let area = match rule.split('.').next().unwrap_or_default() {
        "rds" => Area::Database,
        "s3" | "uploads" => Area::Attachments,
        "ecs" | "iam" => Area::Application,
        "grafana" | "account" => Area::Observability,
        _ => Area::Infrastructure,
    };
    settings.policy.responsible(area)
}

#[cfg(test)]
pub(in crate::text) mod tests {
    use jiff::civil::Date;

    use super::*;

    pub(in crate::text) fn settings(language: Language) -> Settings {
        shared::testing::settings("moveongs-prod-backup-audit", language)
    }

    pub(in crate::text) fn finding(verdict: &str) -> Finding {
        let until = Date::constant(2026, 12, 31);
        let accepted = Accepted { owner: "Squad Dados".to_owned(), reason: "migration".to_owned(), until };
        Finding {
            rule: "rds.public".to_owned(),
            severity: "critical".to_owned(),
            verdict: verdict.to_owned(),
            resource: "moveongs-prod-db".to_owned(),
            arn: String::new(),
            found: "PubliclyAccessible true".to_owned(),
            expected: "PubliclyAccessible false".to_owned(),
            next_step: "aws rds modify-db-instance".to_owned(),
            guide: "2.1.1".to_owned(),
            since: Date::constant(2026, 11, 26),
            exception: (verdict == "excepted").then_some(accepted),
        }
    }

    #[test]
    fn a_finding_in_both_languages() {
        use Language::{English, Portuguese};
        let name = "*rds.public* `moveongs-prod-db`";
        for (verdict, language, expected) in [
            (
                "fail",
                Portuguese,
                "(crítica, Squad Dados): instância fora da internet: é PubliclyAccessible true, devia ser PubliclyAccessible false. Próximo passo: `aws rds modify-db-instance`.",
            ),
            (
                "fail",
                English,
                "(critical, Squad Dados): instance not reachable from the internet: is PubliclyAccessible true, should be PubliclyAccessible false. Next step: `aws rds modify-db-instance`.",
            ),
            (
                "unknown",
                Portuguese,
                "(crítica, Squad Dados): instância fora da internet: não foi possível verificar: PubliclyAccessible true. Próximo passo: conferir a permissão (IAM) ou o limite que o erro nomeia; a próxima auditoria verifica de novo.",
            ),
            (
                "unknown",
                English,
                "(critical, Squad Dados): instance not reachable from the internet: could not be verified: PubliclyAccessible true. Next step: check the permission (IAM) or the limit that the error names; the next audit verifies again.",
            ),
            (
                "excepted",
                Portuguese,
                "(crítica, Squad Dados): instância fora da internet: é PubliclyAccessible true, devia ser PubliclyAccessible false. Próximo passo: aceito por Squad Dados até 2026-12-31; até lá, corrigir ou renovar a exceção.",
            ),
            (
                "excepted",
                English,
                "(critical, Squad Dados): instance not reachable from the internet: is PubliclyAccessible true, should be PubliclyAccessible false. Next step: accepted by Squad Dados until 2026-12-31; by then, fix it or renew the exception.",
            ),
        ] {
            assert_eq!(entry(&settings(language), &finding(verdict)), format!("{name} {expected}"));
        }
        assert_eq!(
            line(&finding("excepted"), None),
            "excepted rds.public moveongs-prod-db: instance not reachable from the internet: is PubliclyAccessible true, should be PubliclyAccessible false, since 2026-11-26 (accepted by Squad Dados until 2026-12-31: migration)"
        );
        let of_state = line(&finding("fail"), Some(Role::State));
        assert!(of_state.ends_with("PubliclyAccessible false, since 2026-11-26, role: state"), "{of_state}");
    }

    #[test]
    fn every_rule_has_a_responsible_team() {
        let settings = settings(Language::English);
        for (rule, primary) in [
            ("rds.public", "Squad Dados"),
            ("s3.versioning", "Squad Infra"),
            ("uploads.declared", "Squad Infra"),
            ("ecs.variables", "Squad Backend"),
            ("iam.object-versions", "Squad Backend"),
            ("grafana.fresh", "Squad Observability"),
            ("account.alarms", "Squad Observability"),
            ("terraform.lock", "Squad Infra"),
            ("audit.coverage", "Squad Infra"),
        ] {
            assert_eq!(responsible(&settings, rule).primary, primary, "{rule}");
        }
    }
}
