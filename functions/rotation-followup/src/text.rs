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

use shared::runtime::settings::Settings;

use crate::rules::change::Change;
use crate::rules::rollout::Runs;

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

fn command(operation: &str, secret: &str) -> String {
    format!("`aws secretsmanager {operation} --secret-id '{secret}'`")
}

/// The command that starts a follow-up by hand.
fn follow_command(settings: &Settings, change: &Change) -> String {
    let more = if change.is_incident() { "\"reason\":\"incident\"," } else { "" };
    shared::run::ledger::follow_command(settings, &change.secret, &change.name, more)
}
