//! Texts for people: messages in the channel, pages, the ledger and the changelog. No secret value reaches this module.

pub(crate) mod batch;
pub(crate) mod broken;
mod failure;
pub(crate) mod ledger;
pub(crate) mod rotation;
#[cfg(test)]
mod tests;
mod unproved;

use std::collections::BTreeMap;

use shared::run::command::{codes, secrets};
use shared::run::ledger::follow_command;
use shared::runtime::settings::Settings;

use crate::rules::change::Change;
use shared::ecs::rollout::Runs;

/// The documentation's section about failed rotations and follow-ups.
const RUNBOOK: &str = "docs/rotacao.md#o-que-cada-mensagem-quer-dizer";

/// Context of a batch's message and page.
pub(crate) struct Stack<'a> {
    /// The function's settings.
    pub settings: &'a Settings,
    /// Name of the ECS cluster.
    pub cluster: &'a str,
    /// Name of the secret with the account for smoke tests.
    pub account: Option<&'a str>,
    /// Tasks of the services by the value that they run with, after a failure.
    pub runs: &'a [Runs],
    /// The current version of each secret after a failure, by ARN; without secrets that could not be described.
    pub current: &'a BTreeMap<String, String>,
    /// Name of the secret with the key that signs the application's tokens.
    pub jwt: Option<&'a str>,
}

/// Shortens an error text of a service or a function.
fn brief(detail: &str) -> String {
    const LIMIT: usize = 300;
    let cut: String = detail.chars().take(LIMIT).collect();
    if cut.len() < detail.len() { cut + "…" } else { cut }
}

/// Starts follow-ups by hand.
fn follow_commands<'a>(settings: &Settings, changes: impl IntoIterator<Item = &'a Change>) -> String {
    codes(
        changes
            .into_iter()
            .map(|change| follow_command(settings, &change.secret, &change.name, change.is_incident())),
    )
}

/// Rotates secrets at once.
fn rotate_commands<'a>(changes: impl IntoIterator<Item = &'a Change>) -> String {
    codes(changes.into_iter().map(|change| secrets::rotate(&change.name)))
}
