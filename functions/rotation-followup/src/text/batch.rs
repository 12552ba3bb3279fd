//! The message and the page at the end of a batch.

use shared::run::notify::Message;
use shared::run::paging::{self, Page};
use shared::runtime::language::Language;
use shared::runtime::time;

use super::failure::{details, in_force, next_step, what_failed};
use super::unproved::cures;
use super::{Stack, command, context, ledger, next};
use crate::PROCEDURE;
use crate::rules::batch::Batch;
use crate::rules::keys::{ADMIN, JWT, RETIRED_BY, WEBHOOK};
use crate::rules::proof::Outcome;
use crate::rules::row::{Leak, Row};

/// The message at the end of a batch.
pub(crate) fn message(stack: &Stack<'_>, batch: &Batch, rows: &[Row]) -> Message {
    let settings = stack.settings;
    let (language, environment) = (settings.language, &settings.environment);
    let keys = keys(batch);
    let is_unproved = rows.iter().any(|row| row.outcome == "unproved");
    let leaks = leaks(stack, rows);
    let title = if batch.failures.is_empty() && rows.iter().any(Row::is_leak_alive) {
        language.pick(
            "Segredo novo em uso, e o vazado pode ainda valer",
            "New secret in use, and the leaked one may still be good",
        )
    } else if batch.failures.is_empty() && is_unproved {
        language.pick("Segredo novo em uso, prova incompleta", "New secret in use, proof incomplete")
    } else if batch.failures.is_empty() {
        language.pick("Segredo novo em uso e provado", "New secret in use and proved")
    } else if batch.has_failed_twice() {
        language.pick("Segredo novo falhou, e a volta também", "New secret failed, and so did the way back")
    } else if !batch.moved.is_empty() {
        language.pick("Segredo novo falhou e foi desfeito", "New secret failed and was rolled back")
    } else {
        language.pick("Segredo novo falhou", "New secret failed")
    };
    let mut lines: Vec<String> = batch
        .failures
        .iter()
        .map(|failed| format!("*{}*: {}", failed.kind, what_failed(failed, language)))
        .collect();
    // Before all that may be cut off at its end.
    if !batch.failures.is_empty() {
        lines.push(format!("*{}*: {}", next(language), next_step(stack, batch)));
        lines.extend(in_force(stack, batch));
    }
    lines.extend(leaks);
    lines.extend(rows.iter().filter_map(|row| living_tokens(stack, row)));
    lines.extend(rows.iter().map(|row| versions(row, language)));
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
        // Of several secrets each has its own reader.
        let whose = if batch.changes.len() > 1 && !proof.key.is_empty() {
            format!("{} · ", proof.key)
        } else {
            String::new()
        };
        format!("{mark} {whose}{}: {}", ledger::name(&proof.name, language), ledger::verdict(proof, language))
    }));
    if let Some(count) = batch.sessions_ended {
        lines.push(format!(
            "{}: {count}",
            language.pick("Refresh tokens revogados", "Refresh tokens revoked")
        ));
    }
    lines.extend(cures(stack, batch).into_iter().map(|cure| format!("*{}*: {cure}", next(language))));
    Message {
        title: format!("{title}: {keys} ({environment})"),
        lines,
        context: [details(batch), vec![context(settings, &batch.execution)]].concat().join(" · "),
    }
}

/// The page of a batch that failed.
pub(crate) fn page(stack: &Stack<'_>, batch: &Batch, rows: &[Row]) -> Page {
    let settings = stack.settings;
    let (environment, keys, language) = (&settings.environment, keys(batch), settings.language);
    let dedup_key = format!("{}/{}", PROCEDURE, batch.execution);
    let secret = batch.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(kind) = batch.failures.first().map(|failed| failed.kind.clone()) else {
        let leaks = leaks(stack, rows).join("\n");
        return Page {
            subject: paging::subject(&format!("[{environment}] LeakAlive: {keys}")),
            text: format!("{keys} ({environment}):\n{leaks}\n{dedup_key}"),
            dedup_key,
            secret,
        };
    };
    let reported: Vec<_> = batch
        .failures
        .iter()
        .map(|failed| format!("{}: {}", failed.kind, what_failed(failed, language)))
        .collect();
    Page {
        subject: paging::subject(&format!("[{environment}] {kind}: {keys}")),
        text: format!(
            "{keys} ({environment}): {}.\n{}: {}.\n{}.\n{}",
            reported.join("; "),
            next(language),
            next_step(stack, batch),
            in_force(stack, batch).join("; "),
            [details(batch), vec![dedup_key.clone()]].concat().join("\n")
        ),
        dedup_key,
        secret,
    }
}

fn keys(batch: &Batch) -> String {
    batch.changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// What is known of each value that leaked: what is dead, what may live, and what a person does about it.
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
                        "the leaked key is dead (proved): the access tokens that it signed are refused",
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
                    "the leaked value was not proved dead",
                ),
                next(language),
                next_of_leak(stack, row)
            ),
            Leak::NoProof => format!(
                "✗ `{name}`: {} *{}*: {}",
                language.pick(
                    "nada aqui prova que o valor vazado está morto.",
                    "nothing here proves that the leaked value is dead.",
                ),
                next(language),
                match row.key.as_str() {
                    WEBHOOK => language.pick(
                        "cada receptor de webhooks deve passar a conferir com o segredo novo e recusar o anterior; só ele sabe se o fez. Confirmar com cada um e registrar",
                        "each receiver of webhooks has to check with the new secret and refuse the one before; only the receiver knows whether it does. Ask each one to confirm, and keep a record",
                    ),
                    _ => language.pick(
                        "encerrar o valor anterior no sistema que o confere, e registrar como foi visto que ele é recusado",
                        "end the value before in the system that checks it, and keep a record of how it was seen to be refused",
                    ),
                }
            ),
        };
        Some(text)
    };
    rows.iter().filter_map(of_row).collect()
}

/// Until when access tokens live that the administrator's password gave, which no longer depend on it.
fn living_tokens(stack: &Stack<'_>, row: &Row) -> Option<String> {
    if row.key != ADMIN || row.restored {
        return None;
    }
    let until = row.made?.checked_add(jiff::SignedDuration::from_hours(24)).ok()?;
    let until = time::local(until);
    let rotate = stack.jwt.map(|jwt| command("rotate-secret", jwt)).unwrap_or_default();
    Some(match stack.settings.language {
        Language::Portuguese => format!(
            "Tokens de acesso que a senha anterior deu valem até {until} (`JWT_EXPIRES_IN` de um dia, se não foi mudado); os refresh tokens foram revogados. Para encerrá-los já, rotacionar a chave que os assina: {rotate}"
        ),
        Language::English => format!(
            "Access tokens that the password before gave are good until {until} (`JWT_EXPIRES_IN` of a day, unless changed); the refresh tokens are revoked. To end them now, rotate the key that signs them: {rotate}"
        ),
    })
}

/// How a value that leaked is ended now; the function that does it tries each hour.
fn next_of_leak(stack: &Stack<'_>, row: &Row) -> String {
    let (language, settings) = (stack.settings.language, stack.settings);
    let function =
        RETIRED_BY.iter().find(|(key, _)| *key == row.key).map_or("rotate-database", |(_, name)| name);
    if row.key == JWT {
        let why = language.pick("rotacionar de novo:", "rotate again:");
        return format!("{why} {}", command("rotate-secret", &row.secret));
    }
    format!(
        "{} `echo '{{\"retire\": true}}' | aws lambda invoke --function-name {}-{}-{function} --payload fileb:///dev/stdin /dev/stdout`",
        language.pick(
            "a função tenta a cada hora, e a mensagem dela diz a causa. Tentar agora:",
            "the function tries each hour, and its message has the cause. To try now:",
        ),
        settings.project,
        settings.environment
    )
}

fn versions(row: &Row, language: Language) -> String {
    let due = row.next_due.map_or_else(|| "—".to_owned(), time::local_date);
    format!(
        "`{}`: `{}` → `{}` · {} · {}: {due}",
        row.secret,
        row.previous.as_deref().unwrap_or("—"),
        row.version,
        ledger::outcome(&row.outcome, language),
        language.pick("vence em", "due by"),
    )
}
