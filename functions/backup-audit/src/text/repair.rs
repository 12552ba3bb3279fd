//! The channel's message about a repair.

use shared::run::notify::{Message, next_step};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::finding;

/// Contents of a repair's message.
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
            "add the change to the Terraform code, or the next apply reverts it",
        ],
        (Language::English, false) => [
            "Backup repair not confirmed",
            "Before",
            "After",
            "check the resource in a few minutes; if the rule still fails, run the finding's command",
        ],
    };
    let lines = vec![
        format!("*{}*: {}", repaired.rule, finding::title(repaired.rule, language)),
        format!("{before}: {}", repaired.before),
        repaired.change.to_owned(),
        format!("{after}: {}", repaired.after),
        next_step(language, &format!("{undo}.")),
    ];
    Message::new(settings, &format!("{title}: {}", repaired.resource), lines, run_id)
}
