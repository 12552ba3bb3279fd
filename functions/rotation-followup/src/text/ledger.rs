//! The rotation ledger and the security changelog, rendered from the journal's rows.

use jiff::Timestamp;
use shared::run::csv;
use shared::run::markdown;
use shared::runtime::language::Language;
use shared::runtime::time;

use crate::rules::change::Reason;
use crate::rules::journal::Journal;
use crate::rules::kind::Kind;
use crate::rules::proof::{Outcome, Proof};
use crate::rules::row::{Ending, Leak, Row};

/// A file of the ledger.
pub(crate) struct File {
    /// The object's key.
    pub key: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Renders it.
    pub make: fn(&Journal, Language) -> String,
}

/// The files of the ledger.
pub(crate) const FILES: [File; 3] = [
    File {
        key: "ledger/rotation.json",
        content_type: "application/json",
        make: |journal, _| json(&journal.recorded()),
    },
    File {
        key: "ledger/rotation.csv",
        content_type: "text/csv; charset=utf-8",
        make: |journal, _| csv(&journal.rows),
    },
    File {
        key: "ledger/security-changelog.md",
        content_type: "text/markdown; charset=utf-8",
        make: |journal, language| changelog(&journal.rows, language),
    },
];

fn json(rows: &[&Row]) -> String {
    let newest_first: Vec<_> = rows.iter().rev().collect();
    // Cannot fail: the rows hold only text, numbers and lists.
    serde_json::to_string_pretty(&newest_first).unwrap_or_default()
}

/// State of a leaked value, for the evidence.
pub(crate) fn leak(leak: &Leak) -> String {
    match leak {
        Leak::Dead => "proved dead".to_owned(),
        Leak::Alive(why) => format!("may still be good ({why})"),
        Leak::NoProof => "nothing proves that it is dead".to_owned(),
    }
}

const COLUMNS: [&str; 17] = [
    "secret",
    "key",
    "version",
    "previous",
    "reason",
    "by",
    "made_utc",
    "started_utc",
    "ended_utc",
    "duration_s",
    "outcome",
    "failure",
    "services",
    "proofs",
    "next_due",
    "pinned",
    "same_as",
];

fn csv(rows: &[Row]) -> String {
    csv::table(COLUMNS, rows.iter().rev().map(cells))
}

fn cells(row: &Row) -> [String; 17] {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let proofs: Vec<_> = row
        .proofs
        .iter()
        .map(|proof| format!("{}: {}", proof.name, verdict(proof, Language::English)))
        .collect();
    [
        row.secret.clone(),
        row.key.clone(),
        row.version.clone(),
        row.previous.clone().unwrap_or_default(),
        reason(row.reason).to_owned(),
        row.by.clone().unwrap_or_default(),
        at(row.made),
        row.started.to_string(),
        row.ended.to_string(),
        row.ended.duration_since(row.started).as_secs().to_string(),
        outcome(row.outcome, Language::English).to_owned(),
        row.failure.as_ref().map(|failed| failed.kind.to_string()).unwrap_or_default(),
        row.services.join(" "),
        proofs.join("; "),
        row.next_due.map(time::local_date).unwrap_or_default(),
        row.pinned.join("; "),
        row.same_as.clone().unwrap_or_default(),
    ]
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Scheduled => "scheduled",
        Reason::Manual => "manual",
        Reason::Incident => "incident",
        Reason::Unknown => "unknown",
    }
}

/// A short text for a proof's outcome.
pub(crate) fn verdict(proof: &Proof, language: Language) -> String {
    match proof.outcome {
        Outcome::Passed if proof.detail.is_empty() => language.pick("passou", "passed").to_owned(),
        Outcome::Passed => format!("{} ({})", language.pick("passou", "passed"), proof.detail),
        Outcome::Failed => {
            format!("{}: {} ({})", language.pick("falhou", "failed"), proof.kind, proof.detail)
        }
        // A reader's name needs no translation.
        Outcome::Unproved if proof.name == "services" && proof.kind != Kind::NoReader => {
            format!("{}: {} ({})", language.pick("sem prova", "unproved"), proof.kind, proof.detail)
        }
        Outcome::Unproved => format!("{}: {}", language.pick("sem prova", "unproved"), proof.kind),
    }
}

/// A proof's name in the chosen language; evidence and CSV have the English name.
pub(crate) fn name(name: &str, language: Language) -> &str {
    let portuguese = match name {
        "token of the new secret" => "token assinado com o valor novo",
        "token of the old secret" => "token assinado com o valor anterior",
        "token of the restored secret" => "token assinado com o valor restaurado",
        "token of the withdrawn secret" => "token assinado com o valor desfeito",
        "value" => "valor na aplicação",
        "login of nobody" => "login de ninguém (a aplicação lê o banco)",
        "login to the database" => "login no banco",
        "list of beneficiaries" => "listagem de beneficiárias",
        "health" => "/health",
        "services" => "serviços",
        "application" => "aplicação",
        "proofs" => "provas",
        other => other,
    };
    match language {
        Language::Portuguese => portuguese,
        Language::English => name,
    }
}

/// The changelog, newest first. An entry never changes. Author and reason may become known later, so an entry has them
/// only for a declared incident.
pub(crate) fn changelog(rows: &[Row], language: Language) -> String {
    let title = language.pick("# Changelog de segurança\n", "# Security changelog\n");
    let entries = rows.iter().rev().map(|row| entry(row, language));
    std::iter::once(title.to_owned()).chain(entries).collect::<Vec<_>>().join("\n")
}

/// A row's outcome in the chosen language; the CSV has the English word.
pub(crate) fn outcome(outcome: Ending, language: Language) -> &'static str {
    match outcome {
        Ending::Proved => language.pick("em uso, provado", "proved"),
        Ending::Unproved => language.pick("em uso, sem prova completa", "unproved"),
        Ending::RolledBack => language.pick("desfeito: o valor anterior voltou", "rolled back"),
        Ending::Failed => language.pick("falhou", "failed"),
    }
}

fn entry(row: &Row, language: Language) -> String {
    let outcome = outcome(row.outcome, language);
    let mut lines =
        vec![format!("## {} — {}: {outcome}\n", time::local(row.ended), markdown::text(&row.key))];
    lines.push(format!("- {}: {}", language.pick("Segredo", "Secret"), markdown::code(&row.secret)));
    lines.push(format!(
        "- {}: {} → {}",
        language.pick("Versão", "Version"),
        markdown::code(row.previous.as_deref().unwrap_or("—")),
        markdown::code(&row.version)
    ));
    if let Some(same_as) = &row.same_as {
        let same = language.pick(
            "Valor antigo, que nenhuma rotação fez: o mesmo da versão",
            "Old value, not made by a rotation: the same as version",
        );
        lines.push(format!("- {same} {}", markdown::code(same_as)));
    }
    if row.reason == Reason::Incident {
        let declared = language.pick("Motivo: incidente, declarado por", "Reason: incident, declared by");
        lines.push(format!("- {declared} {}", markdown::code(row.by.as_deref().unwrap_or("—"))));
    }
    if !row.services.is_empty() {
        lines.push(format!(
            "- {}: {}",
            language.pick("Deployment novo", "New deployment"),
            markdown::text(&row.services.join(", "))
        ));
    }
    if !row.pinned.is_empty() {
        let title = language
            .pick("Leitores que o deployment não alcança", "Readers that the deployment does not reach");
        lines.push(format!("- {title}: {}", markdown::text(&row.pinned.join(", "))));
    }
    lines.extend(row.proofs.iter().map(|proof| {
        format!("- {}: {}", name(&proof.name, language), markdown::text(&verdict(proof, language)))
    }));
    if let Some(count) = row.sessions_ended {
        lines.push(format!(
            "- {}: {count}",
            language.pick("Refresh tokens revogados", "Revoked refresh tokens")
        ));
    }
    if let Some(failed) = &row.failure {
        lines.push(format!(
            "- {}: {}: {}",
            language.pick("Falha", "Failure"),
            failed.kind,
            markdown::text(&failed.detail)
        ));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::failure::Failed;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + seconds).unwrap()
    }

    fn row(version: &str) -> Row {
        Row {
            secret: "/moveongs/dev/jwt".to_owned(),
            arn: "arn".to_owned(),
            key: "JWT_SECRET".to_owned(),
            version: version.to_owned(),
            previous: Some("v1".to_owned()),
            reason: Reason::Scheduled,
            by: Some("=cmd".to_owned()),
            made: Some(at(0)),
            started: at(60),
            ended: at(300),
            outcome: Ending::Proved,
            failure: None,
            services: vec!["moveongs-dev-api".to_owned()],
            proofs: vec![Proof {
                name: "token of the old secret".to_owned(),
                outcome: Outcome::Passed,
                kind: "".into(),
                detail: r#"401 {"message":"Unauthorized"}"#.to_owned(),
                key: "JWT_SECRET".to_owned(),
            }],
            pinned: Vec::new(),
            restored: false,
            sessions_ended: None,
            next_due: Some(at(90 * 86_400)),
            execution: "e".to_owned(),
            same_as: None,
            value_made: None,
            leak: None,
        }
    }

    #[test]
    fn a_row_is_a_csv_line_without_formulas() {
        let sheet = csv(&[row("v2"), row("v3")]);
        let lines: Vec<_> = sheet.lines().collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(
            lines[1],
            "/moveongs/dev/jwt,JWT_SECRET,v3,v1,scheduled,'=cmd,2026-03-01T12:00:00Z,2026-03-01T12:01:00Z,2026-03-01T12:05:00Z,240,\
             proved,,moveongs-dev-api,\"token of the old secret: passed (401 {\"\"message\"\":\"\"Unauthorized\"\"})\",2026-05-30,,"
        );
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_changelog_only_grows_at_its_top() {
        let failed = Row {
            outcome: Ending::RolledBack,
            failure: Some(Failed::new("RolloutFailed", "api")),
            ..row("v3")
        };
        let before = changelog(&[row("v2")], Language::Portuguese);
        let after = changelog(&[row("v2"), failed], Language::Portuguese);
        let title = "# Changelog de segurança\n\n";
        assert!(after.ends_with(before.strip_prefix(title).unwrap()));
        assert!(after.starts_with(&format!(
            "{title}## 2026-03-01 09:05:00 -03:00 — JWT_SECRET: desfeito: o valor anterior voltou\n\n- Segredo: `/moveongs/dev/jwt`\n- Versão: `v1` → `v3`\n"
        )));
        assert!(after.contains("- Falha: RolloutFailed: api\n"));
        // The author becomes known later, but the entry does not change.
        let unknown = Row { by: None, reason: Reason::Unknown, ..row("v2") };
        assert_eq!(changelog(&[unknown], Language::Portuguese), before);
        let incident = Row { reason: Reason::Incident, by: Some("ana".to_owned()), ..row("v2") };
        assert!(
            changelog(&[incident], Language::English).contains("- Reason: incident, declared by `ana`\n")
        );
    }
}
