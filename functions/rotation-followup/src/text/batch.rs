//! The message and the page at the end of a batch.

use shared::run::command::secrets;
use shared::run::ledger::retire_command;
use shared::run::notify::{self, Message};
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::time;

use super::failure::{details, in_force, meaning, next_step};
use super::unproved::cures;
use super::{RUNBOOK, Stack, ledger};
use crate::PROCEDURE;
use crate::rules::batch::Batch;
use crate::rules::keys::{ADMIN, JWT, RETIRED_BY, WEBHOOK};
use crate::rules::proof::Outcome;
use crate::rules::row::{Ending, Leak, Row};

/// The message at the end of a batch.
pub(crate) fn message(stack: &Stack<'_>, batch: &Batch, rows: &[Row]) -> Message {
    let settings = stack.settings;
    let language = settings.language;
    let is_unproved = rows.iter().any(|row| row.outcome == Ending::Unproved);
    let leaks = leaks(stack, rows);
    let title = if batch.failures.is_empty() && rows.iter().any(Row::is_leak_alive) {
        language.pick(
            "Segredo novo em uso, e o vazado pode ainda valer",
            "New secret in use, but the leaked one may still be good",
        )
    } else if batch.failures.is_empty() && is_unproved {
        language.pick("Segredo novo em uso, prova incompleta", "New secret in use, proof incomplete")
    } else if batch.failures.is_empty() {
        language.pick("Segredo novo em uso e provado", "New secret in use and proved")
    } else if batch.has_failed_twice() {
        language.pick("Segredo novo falhou, e a volta também", "New secret failed, and so did the rollback")
    } else if !batch.moved.is_empty() {
        language.pick("Segredo novo falhou e foi desfeito", "New secret failed and was rolled back")
    } else {
        language.pick("Segredo novo falhou", "New secret failed")
    };
    let mut lines: Vec<String> = batch
        .failures
        .iter()
        .map(|failed| format!("*{}*: {}", failed.kind, meaning(failed, language)))
        .collect();
    // Place the next step before the parts that may be cut off.
    if !batch.failures.is_empty() {
        lines.push(notify::next_step(language, &next_step(stack, batch)));
        lines.extend(in_force(stack, batch));
    }
    lines.extend(leaks);
    lines.extend(rows.iter().filter_map(|row| living_tokens(stack, row)));
    lines.extend(rows.iter().map(|row| version_line(row, language)));
    let deployments: Vec<_> =
        batch.deployments.iter().map(|(service, id)| format!("{service} (`{id}`)")).collect();
    if !deployments.is_empty() {
        lines.push(format!("Deployment: {}", deployments.join(", ")));
    }
    lines.extend(batch.proofs.iter().map(|proof| {
        let mark = match proof.outcome {
            Outcome::Passed => "✓",
            Outcome::Failed => "✗",
            Outcome::Unproved => "?",
        };
        // With several secrets, name the secret of each proof.
        let key = if batch.changes.len() > 1 && !proof.key.is_empty() {
            format!("{} · ", proof.key)
        } else {
            String::new()
        };
        format!("{mark} {key}{}: {}", ledger::name(&proof.name, language), ledger::verdict(proof, language))
    }));
    if let Some(count) = batch.sessions_ended {
        lines.push(format!(
            "{}: {count}",
            language.pick("Refresh tokens revogados", "Revoked refresh tokens")
        ));
    }
    lines.extend(cures(stack, batch).iter().map(|cure| notify::next_step(language, cure)));
    let message = Message::new(settings, &format!("{title}: {}", keys(batch)), lines, &batch.execution);
    details(batch).iter().rfold(message, |message, detail| message.detailed(detail))
}

/// The page of a batch that failed, or of a leaked value that may still be valid.
pub(crate) fn page(stack: &Stack<'_>, batch: &Batch, rows: &[Row]) -> Page {
    let settings = stack.settings;
    let (environment, keys, language) = (&settings.environment, keys(batch), settings.language);
    let secret = batch.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ");
    let (kind, text) = match batch.failures.first() {
        None => ("LeakAlive", format!("{keys} ({environment}):\n{}", leaks(stack, rows).join("\n"))),
        Some(failed) => {
            let failures = batch.failures.iter();
            let failures = failures.map(|failed| format!("{}: {}", failed.kind, meaning(failed, language)));
            let text = format!(
                "{keys} ({environment}): {}.\n{}: {}.",
                failures.collect::<Vec<_>>().join("; "),
                language.next_step(),
                next_step(stack, batch),
            );
            let in_force = in_force(stack, batch);
            let in_force = (!in_force.is_empty()).then(|| format!("{}.", in_force.join("; ")));
            let lines: Vec<_> = std::iter::once(text).chain(in_force).chain(details(batch)).collect();
            (failed.kind.as_str(), lines.join("\n"))
        }
    };
    let alert = Alert {
        kind,
        severity: Severity::Critical,
        resource: &secret,
        text,
        owners: batch.changes.iter().map(|change| settings.policy.secret_responsible(&change.key)).collect(),
        runbook: RUNBOOK,
        dedup_key: format!("{PROCEDURE}/{}", batch.execution),
    };
    Page::new(settings, alert)
}

fn keys(batch: &Batch) -> String {
    batch.changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// The state of each leaked value, and the next step if it may still be valid.
fn leaks(stack: &Stack<'_>, rows: &[Row]) -> Vec<String> {
    let language = stack.settings.language;
    let of_row = |row: &Row| {
        let name = &row.secret;
        let text = match row.leak.as_ref()? {
            Leak::Dead => format!(
                "✓ `{name}`: {}",
                match row.key.as_str() {
                    JWT => language.pick(
                        "a chave vazada está morta (provado): os tokens de acesso que ela assinou são recusados",
                        "the leaked key is dead (proved): access tokens signed with it are refused",
                    ),
                    _ => language.pick(
                        "a credencial vazada está morta (provado)",
                        "the leaked credential is dead (proved)",
                    ),
                }
            ),
            Leak::Alive(why) => format!(
                "✗ `{name}`: {} ({why}). *{}*: {}",
                language.pick(
                    "não se provou que o valor vazado está morto",
                    "the leaked value is not proved dead",
                ),
                language.next_step(),
                next_of_leak(stack, row)
            ),
            Leak::NoProof => format!(
                "✗ `{name}`: {} *{}*: {}",
                language.pick(
                    "nada aqui prova que o valor vazado está morto.",
                    "this stack cannot prove that the leaked value is dead.",
                ),
                language.next_step(),
                match row.key.as_str() {
                    WEBHOOK => language.pick(
                        "cada receptor de webhooks deve passar a conferir com o segredo novo e recusar o anterior; só ele sabe se o fez. Confirmar com cada um e registrar",
                        "each receiver of webhooks must verify with the new secret and refuse the previous one, and only the receiver knows whether it does. Ask each one to confirm, and keep a record",
                    ),
                    _ => language.pick(
                        "encerrar o valor anterior no sistema que o confere, e registrar como foi visto que ele é recusado",
                        "revoke the previous value in the system that checks it, and keep a record that the system refuses it",
                    ),
                }
            ),
        };
        Some(text)
    };
    rows.iter().filter_map(of_row).collect()
}

/// Time for which the access tokens issued for the administrator's previous password stay valid.
fn living_tokens(stack: &Stack<'_>, row: &Row) -> Option<String> {
    if row.key != ADMIN || row.restored {
        return None;
    }
    let until = row.made?.checked_add(jiff::SignedDuration::from_hours(24)).ok()?;
    let until = time::local(until);
    let rotate = stack.jwt.map(|jwt| secrets::rotate(jwt).code()).unwrap_or_default();
    Some(shared::tr!(
        stack.settings.language,
        "Tokens de acesso que a senha anterior deu valem até {until} (`JWT_EXPIRES_IN` de um dia, se não foi mudado); os refresh tokens foram revogados. Para encerrá-los já, rotacionar a chave que os assina: {rotate}",
        "Access tokens issued for the previous password stay valid until {until} (if `JWT_EXPIRES_IN` is the default of one day); the refresh tokens are revoked. To end the access tokens now, rotate the key that signs them: {rotate}",
    ))
}

/// The command that retires a leaked value now. The function that retires it retries every hour.
fn next_of_leak(stack: &Stack<'_>, row: &Row) -> String {
    let (language, settings) = (stack.settings.language, stack.settings);
    let function =
        RETIRED_BY.iter().find(|(key, _)| *key == row.key).map_or("rotate-database", |(_, name)| name);
    if row.key == JWT {
        let why = language.pick("rotacionar de novo:", "rotate again:");
        return format!("{why} {}", secrets::rotate(&row.secret).code());
    }
    format!(
        "{} {}",
        language.pick(
            "a função tenta a cada hora, e a mensagem dela diz a causa. Tentar agora:",
            "the function retries every hour, and its message has the cause. To retry now:",
        ),
        retire_command(&format!("{}-{}-{function}", settings.project, settings.environment)).code()
    )
}

fn version_line(row: &Row, language: Language) -> String {
    let due = row.next_due.map_or_else(|| "—".to_owned(), time::local_date);
    format!(
        "`{}`: `{}` → `{}` · {} · {}: {due}",
        row.secret,
        row.previous.as_deref().unwrap_or("—"),
        row.version,
        ledger::outcome(row.outcome, language),
        language.pick("vence em", "due by"),
    )
}
