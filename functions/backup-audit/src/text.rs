//! What people read: in the channel, in a page, in the record.

use shared::audit::findings::{Item, NAME, groups};
use shared::audit::first_week::{FirstWeek, Held};
use shared::policy::{Area, Responsible};
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::run::report::Unread;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::error::AuditError;
use crate::findings::{Accepted, Finding, Outcome};
use crate::rules;

/// Most findings that a message tells one by one; Slack cuts a longer one.
const SHOWN: usize = 8;

/// Most resources that a page names.
const NAMED: usize = 10;

fn severity(word: &str, language: Language) -> &str {
    match (language, word) {
        (Language::Portuguese, "critical") => "crítica",
        (Language::Portuguese, "high") => "alta",
        (Language::Portuguese, "medium") => "média",
        (Language::Portuguese, "low") => "baixa",
        (_, word) => word,
    }
}

fn title(rule: &str, language: Language) -> &str {
    rules::all().find(|meta| meta.id == rule).map_or(rule, |meta| meta.title(language))
}

/// What is wrong, in a sentence.
fn sentence(finding: &Finding, language: Language) -> String {
    let title = title(&finding.rule, language);
    let Finding { found, expected, .. } = finding;
    match (finding.verdict.as_str(), language) {
        ("unknown", Language::Portuguese) => format!("{title}: não foi possível verificar: {found}"),
        ("unknown", Language::English) => format!("{title}: could not be verified: {found}"),
        (_, Language::Portuguese) => format!("{title}: é {found}, devia ser {expected}"),
        (_, Language::English) => format!("{title}: is {found}, should be {expected}"),
    }
}

/// What to do next.
fn next_step(finding: &Finding, language: Language) -> String {
    if finding.verdict == "unknown" {
        let text = language.pick(
            "conferir a permissão (IAM) ou o limite que o erro nomeia; a próxima auditoria verifica de novo",
            "check the permission (IAM) or the limit that the error names; the next audit looks again",
        );
        return text.to_owned();
    }
    if let Some(exception) = &finding.exception {
        let Accepted { owner, until, .. } = exception;
        return match language {
            Language::Portuguese => {
                format!("aceito por {owner} até {until}; até lá, corrigir ou renovar a exceção")
            }
            Language::English => {
                format!("accepted by {owner} until {until}; by then, mend it or renew the exception")
            }
        };
    }
    format!("`{}`", finding.next_step)
}

/// The line of a finding in the evidence record.
pub(crate) fn line(finding: &Finding) -> String {
    let accepted = finding.exception.as_ref().map(|exception| {
        format!(" (accepted by {} until {}: {})", exception.owner, exception.until, exception.reason)
    });
    format!(
        "{} {}: {}, since {}{}",
        finding.verdict,
        finding.key(),
        sentence(finding, Language::English),
        finding.since,
        accepted.unwrap_or_default()
    )
}

fn reported(settings: &Settings, finding: &Finding) -> String {
    let language = settings.language;
    format!(
        "*{}* `{}` ({}, {}): {}. {}: {}.",
        finding.rule,
        finding.resource,
        severity(&finding.severity, language),
        responsible(settings, &finding.rule).primary,
        sentence(finding, language),
        language.pick("Próximo passo", "Next step"),
        next_step(finding, language)
    )
}

/// Who answers for what a rule is about.
fn responsible<'a>(settings: &'a Settings, rule: &str) -> &'a Responsible {
    let area = match rule.split('.').next().unwrap_or_default() {
        "rds" => Area::Database,
        "s3" | "uploads" => Area::Attachments,
        "ecs" | "iam" => Area::Application,
        "grafana" | "account" => Area::Observability,
        _ => Area::Infrastructure,
    };
    settings.policy.responsible(area)
}

/// What a run tells the channel.
pub(crate) struct Summary<'a> {
    pub run_id: &'a str,
    pub outcome: &'a Outcome,
    /// Whether everything is told, not only what changed.
    pub is_weekly: bool,
    /// What became of repairs.
    pub repairs: &'a [String],
    /// Where the reports lie.
    pub reports: &'a str,
    /// Why the run before could not be read, if it could not; then everything is told.
    pub unread: Option<&'a Unread>,
    /// The first week, if it is not over, and whether the message is its summary.
    pub week: Option<(FirstWeek, bool)>,
}

/// What fails or is not verified, in the order in which it is to be settled: what fails, what is critical, what the guide
/// demands first.
fn ordered(settings: &Settings, findings: &[Finding]) -> Vec<Item> {
    let section = |finding: &Finding| -> Vec<u16> {
        finding.guide.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    let mut open: Vec<_> = findings.iter().filter(|finding| finding.verdict != "excepted").collect();
    // The list is sorted by severity, which decides between two rules of one section.
    open.sort_by_key(|finding| (finding.verdict != "fail", finding.severity != "critical", section(finding)));
    let reported = |finding: &Finding| {
        let step = next_step(finding, settings.language);
        // A name inside a longer one must stay.
        let words = step.split(' ').map(|word| match word.trim_matches(['\'', '`', '"']) {
            bare if bare == finding.resource => word.replace(bare, NAME),
            _ => word.to_owned(),
        });
        Item {
            kind: finding.rule.clone(),
            about: finding.resource.clone(),
            sentence: sentence(finding, settings.language),
            pattern: words.collect::<Vec<_>>().join(" "),
            step,
        }
    };
    open.into_iter().map(reported).collect()
}

/// The channel's message.
pub(crate) fn summary(settings: &Settings, summary: &Summary<'_>) -> Message {
    let language = settings.language;
    let outcome = summary.outcome;
    let what = match (language, summary.is_weekly) {
        (Language::Portuguese, false) => "Auditoria de backup",
        (Language::Portuguese, true) => "Auditoria de backup, resumo da semana",
        (Language::English, false) => "Backup audit",
        (Language::English, true) => "Backup audit, the week's summary",
    };
    let [fail, unknown, pass] = match language {
        Language::Portuguese => ["falha(s)", "não verificado(s)", "em ordem"],
        Language::English => ["failing", "not verified", "in order"],
    };
    let counts = outcome.counts;
    let title = format!(
        "{what} ({}): {} {fail}, {} {unknown}, {} {pass}",
        settings.environment, counts.fail, counts.unknown, counts.pass
    );
    let tells_all = summary.is_weekly || summary.unread.is_some();
    let shown = if tells_all { &outcome.worst } else { &outcome.new };
    let mut lines: Vec<String> = summary.unread.iter().map(|unread| unread.text(language)).collect();
    let is_summary = summary.week.is_some_and(|(_, is_summary)| is_summary);
    // Every page of this audit is of what is critical or could not be read at all: none is held back.
    let held = Held::default();
    match summary.week {
        Some((week, true)) => {
            let all = ordered(settings, &outcome.worst.findings);
            lines.extend(week.summary(held, summary.reports, &groups(&all), language));
        }
        week => {
            lines.extend(week.map(|(week, _)| week.line(held, summary.reports, language)));
            lines.extend(shown.findings.iter().take(SHOWN).map(|finding| reported(settings, finding)));
        }
    }
    let more = if is_summary { 0 } else { shown.count.saturating_sub(SHOWN) };
    if more > 0 {
        lines.push(match language {
            Language::Portuguese => format!("… e mais {more}, no relatório."),
            Language::English => format!("… and {more} more, in the report."),
        });
    }
    if outcome.resolved_count > 0 {
        let named: Vec<_> = outcome.resolved.iter().take(NAMED).map(String::as_str).collect();
        let label = language.pick("Resolvido", "Resolved");
        lines.push(format!("{label} ({}): {}.", outcome.resolved_count, named.join("; ")));
    }
    lines.extend(summary.repairs.iter().cloned());
    if lines.is_empty() {
        lines.push(language.pick("Nada mudou.", "Nothing has changed.").to_owned());
    }
    // First, since the end of a long message is cut off.
    lines.insert(0, format!("{}: {}", language.pick("Relatórios", "Reports"), summary.reports));
    let context = format!("{} · {} · {}", settings.function, summary.run_id, settings.code_version);
    Message { title, lines, context }
}

/// The page of a critical rule, for all resources that it fails on.
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
            language.pick("Próximo passo", "Next step"),
            first.map(|finding| next_step(finding, language)).unwrap_or_default(),
        ),
        if rule == "s3.exists" { "bucket-que-falta" } else { "regras" },
    )
}

/// The page of a service, or of a part of one, of which nothing could be read.
pub(crate) fn unreadable(settings: &Settings, part: &str, why: &str) -> Page {
    let service = crate::sweep::service(part);
    let text = match settings.language {
        Language::Portuguese => format!(
            "A auditoria de backup não conseguiu ler nada de {part}: {why}.\nPróximo passo: conferir a permissão (IAM) ou o limite que o erro nomeia, e invocar a função de novo."
        ),
        Language::English => format!(
            "The backup audit could read nothing of {part}: {why}.\nNext step: check the permission (IAM) or the limit that the error names, and invoke the function again."
        ),
    };
    page(settings, &format!("unreadable/{service}"), part, text, "quando-a-auditoria-não-termina")
}

/// A page; `section` is one of docs/backups.md.
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

/// What was done, or why nothing was.
#[derive(Clone, Copy)]
pub(crate) struct Repaired<'a> {
    pub rule: &'a str,
    pub resource: &'a str,
    pub before: &'a str,
    pub change: &'a str,
    pub after: &'a str,
    /// Whether the rule holds now.
    pub holds: bool,
}

/// The message of a repair.
pub(crate) fn repaired(settings: &Settings, run_id: &str, repaired: &Repaired<'_>) -> Message {
    let language = settings.language;
    let [title, before, after, undo] = match (language, repaired.holds) {
        (Language::Portuguese, true) => [
            "Correção de backup aplicada",
            "Antes",
            "Depois",
            "levar a mudança ao Terraform, senão o próximo apply a desfaz",
        ],
        (Language::Portuguese, false) => [
            "Correção de backup não confirmada",
            "Antes",
            "Depois",
            "ver o recurso em alguns minutos; se a regra ainda falhar, executar o comando do achado",
        ],
        (Language::English, true) => [
            "Backup repair applied",
            "Before",
            "After",
            "bring the change into the Terraform code, or the next apply undoes it",
        ],
        (Language::English, false) => [
            "Backup repair not confirmed",
            "Before",
            "After",
            "look at the resource in some minutes; if the rule still fails, run the finding's command",
        ],
    };
    Message {
        title: format!("{title}: {} ({})", repaired.resource, settings.environment),
        lines: vec![
            format!("*{}*: {}", repaired.rule, self::title(repaired.rule, language)),
            format!("{before}: {}", repaired.before),
            repaired.change.to_owned(),
            format!("{after}: {}", repaired.after),
            format!("*{}*: {undo}.", language.pick("Próximo passo", "Next step")),
        ],
        context: format!("{} · {run_id} · {}", settings.function, settings.code_version),
    }
}

/// The message of an audit that could not be done.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &AuditError) -> Message {
    let what = settings.language.pick("A auditoria de backup falhou", "The backup audit failed");
    let said = format!("*{}*: {}", error.kind(), chain(error));
    Message::failed(settings, run_id, what, &said, &error.next_step(settings.language))
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;
    use shared::policy::Policy;

    use super::*;
    use crate::findings::{Counts, Worst};

    fn settings(language: Language) -> Settings {
        Settings {
            function: "moveongs-prod-backup-audit".to_owned(),
            project: "moveongs".to_owned(),
            environment: "prod".to_owned(),
            code_version: "4f2c1b7".to_owned(),
            language,
            policy: "".parse::<Policy>().unwrap(),
        }
    }

    fn finding(verdict: &str) -> Finding {
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
                "(critical, Squad Dados): instance not reachable from the internet: could not be verified: PubliclyAccessible true. Next step: check the permission (IAM) or the limit that the error names; the next audit looks again.",
            ),
            (
                "excepted",
                Portuguese,
                "(crítica, Squad Dados): instância fora da internet: é PubliclyAccessible true, devia ser PubliclyAccessible false. Próximo passo: aceito por Squad Dados até 2026-12-31; até lá, corrigir ou renovar a exceção.",
            ),
            (
                "excepted",
                English,
                "(critical, Squad Dados): instance not reachable from the internet: is PubliclyAccessible true, should be PubliclyAccessible false. Next step: accepted by Squad Dados until 2026-12-31; by then, mend it or renew the exception.",
            ),
        ] {
            assert_eq!(reported(&settings(language), &finding(verdict)), format!("{name} {expected}"));
        }
        assert_eq!(
            line(&finding("excepted")),
            "excepted rds.public moveongs-prod-db: instance not reachable from the internet: is PubliclyAccessible true, should be PubliclyAccessible false, since 2026-11-26 (accepted by Squad Dados until 2026-12-31: migration)"
        );
    }

    fn outcome(new: usize, worst: usize, resolved: usize) -> Outcome {
        let of = |count| Worst { findings: vec![finding("fail"); count], count };
        Outcome {
            counts: Counts { pass: 7, fail: 2, unknown: 1, excepted: 0 },
            services: std::collections::BTreeMap::new(),
            worst: of(worst),
            new: of(new),
            resolved: (0..resolved).map(|n| format!("s3.versioning b-{n}")).collect(),
            resolved_count: resolved,
            repairable: Vec::new(),
            reports: Vec::new(),
        }
    }

    #[test]
    fn a_message_tells_what_changed_and_once_a_week_everything_and_not_more_than_can_be_read() {
        for (language, is_weekly, outcome, title, count, last) in [
            (Language::Portuguese, false, outcome(1, 5, 0), "Auditoria de backup (prod)", 2, "Relatórios: r"),
            (
                Language::English,
                true,
                outcome(1, 5, 0),
                "Backup audit, the week's summary (prod)",
                6,
                "Reports: r",
            ),
            (Language::English, false, outcome(8, 20, 0), "Backup audit (prod)", 9, "Reports: r"),
            (Language::English, false, outcome(9, 20, 0), "Backup audit (prod)", 10, "Reports: r"),
            (Language::English, false, outcome(0, 5, 11), "Backup audit (prod)", 2, "Reports: r"),
            (Language::Portuguese, false, outcome(0, 5, 0), "Auditoria de backup (prod)", 2, "Relatórios: r"),
        ] {
            let summary_ = Summary {
                run_id: "d",
                outcome: &outcome,
                is_weekly,
                repairs: &[],
                reports: "r",
                unread: None,
                week: None,
            };
            let message = summary(&settings(language), &summary_);
            assert!(message.title.starts_with(title), "{}", message.title);
            assert_eq!(message.lines.len(), count, "{:?}", message.lines);
            assert_eq!(message.lines.first().map(String::as_str), Some(last));
        }
        let reported = |outcome: &Outcome| {
            let repairs = ["rds.public db: applied".to_owned()];
            let summary_ = Summary {
                run_id: "d",
                outcome,
                is_weekly: false,
                repairs: &repairs,
                reports: "r",
                unread: None,
                week: None,
            };
            summary(&settings(Language::Portuguese), &summary_)
        };
        let message = reported(&outcome(9, 20, 11));
        assert_eq!(message.title, "Auditoria de backup (prod): 2 falha(s), 1 não verificado(s), 7 em ordem");
        assert_eq!(message.lines[9], "… e mais 1, no relatório.");
        assert!(message.lines[10].starts_with("Resolvido (11): s3.versioning b-0; "));
        assert!(message.lines[10].ends_with("b-9."));
        assert_eq!(message.lines[11], "rds.public db: applied");
    }

    #[test]
    fn a_first_week_begins_with_what_to_do_first_and_an_unread_run_is_not_taken_for_none() {
        let of = |rule: &str, severity: &str, guide: &str, resource: &str, verdict: &str| Finding {
            rule: rule.to_owned(),
            severity: severity.to_owned(),
            guide: guide.to_owned(),
            resource: resource.to_owned(),
            next_step: format!("aws cure --name {resource} --like one-of-two"),
            ..finding(verdict)
        };
        let mut outcome = outcome(0, 0, 0);
        outcome.worst.findings = vec![
            of("rds.public", "critical", "2.1.1", "db", "fail"),
            of("s3.tls-only", "high", "2.2.10", "one", "fail"),
            of("s3.tls-only", "high", "2.2.10", "two", "fail"),
            of("s3.encryption", "medium", "2.2.9", "one", "fail"),
            of("ecs.variables", "high", "1", "x", "unknown"),
            of("rds.multi-az", "high", "1", "db", "excepted"),
        ];
        outcome.worst.count = 6;
        let week = FirstWeek { until: "2026-03-08T12:00:00Z".parse().unwrap(), is_first_day: true };
        let unread = Unread("s3:GetObject failed".to_owned());
        let tell = |week, unread| {
            let summary_ = Summary {
                run_id: "d",
                outcome: &outcome,
                is_weekly: false,
                repairs: &[],
                reports: "r",
                unread,
                week,
            };
            summary(&settings(Language::Portuguese), &summary_).lines
        };
        let lines = tell(Some((week, true)), None);
        assert!(
            lines[1].starts_with("*Primeira semana*") && lines[1].contains("Retidos até lá: 0 página(s)")
        );
        assert_eq!(lines[2], "*Por regra*: rds.public 1; s3.encryption 1; s3.tls-only 2; ecs.variables 1.");
        assert!(lines[4].starts_with("1. *rds.public* `db`"), "{lines:?}");
        assert!(lines[6].starts_with("3. *s3.tls-only* (2): "), "{lines:?}");
        assert!(lines[6].ends_with("`aws cure --name NOME --like one-of-two`."), "{lines:?}");
        let lines = tell(Some((week, false)), None);
        assert_eq!(lines.len(), 2, "{lines:?}");
        let lines = tell(None, Some(&unread));
        assert!(lines[1].starts_with("*Não se sabe o que é novo*"), "{lines:?}");
        assert!(lines[1].contains("s3:GetObject failed") && lines.len() == 8, "{lines:?}");
    }

    #[test]
    fn a_page_names_the_resources_the_next_step_and_who_is_responsible() {
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
            let gone = critical(&settings(language), "s3.exists", &many[..1]);
            assert!(gone.text.contains("docs/backups.md#bucket-que-falta"), "{}", gone.text);
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

    #[test]
    fn every_rule_has_people() {
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

    #[test]
    fn a_repair_and_a_failure_are_reported_with_what_was_and_what_to_do() {
        let done = Repaired {
            rule: "rds.public",
            resource: "moveongs-prod-db",
            before: "PubliclyAccessible true",
            change: "PubliclyAccessible := false",
            after: "holds",
            holds: true,
        };
        let cause = AuditError::NotAllowed("rds.public".to_owned());
        for (language, before, failed_) in [
            (Language::Portuguese, "Antes: PubliclyAccessible true", "A auditoria de backup falhou (prod)"),
            (Language::English, "Before: PubliclyAccessible true", "The backup audit failed (prod)"),
        ] {
            let message = repaired(&settings(language), "d", &done);
            assert!(message.title.ends_with("moveongs-prod-db (prod)"), "{}", message.title);
            assert_eq!(message.lines[1], before);
            assert_eq!(message.lines[2], done.change);
            let pending = repaired(&settings(language), "d", &Repaired { holds: false, ..done });
            assert_ne!(pending.title, message.title);
            let message = failed(&settings(language), "d", &cause);
            assert_eq!(message.title, failed_);
            assert!(message.lines[0].starts_with("*RepairNotAllowed*: "));
            assert!(message.lines[1].contains("BackupRepairs"));
        }
    }
}
