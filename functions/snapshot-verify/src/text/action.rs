//! Texts about completed copies and deletions, in the evidence and in the channel.

use shared::aws::snapshots::{EXPIRES_ON, Kind};
use shared::runtime::language::Language;
use shared::runtime::time;

use crate::rules::action::Action;
use crate::rules::snapshot::ExpiredSnapshot;

/// The outcome of the record's step.
pub(crate) fn outcome(action: &Action) -> String {
    match action {
        Action::Deleted(deletion) => {
            let tags: Vec<_> = deletion.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!(
                "deleted: of {}, {}, {}, {}",
                deletion.instance,
                deletion.status,
                size(deletion, Language::English),
                tags.join(", ")
            )
        }
        Action::Copied { source, .. } => format!("available, of {source}"),
    }
}

/// The line of the channel's message.
pub(super) fn sentence_of_action(action: &Action, language: Language) -> String {
    match action {
        Action::Deleted(deletion) => format!(
            "*{}* `{}`: {}, {} {}, ExpiresOn {}",
            language.pick("Apagado", "Deleted"),
            deletion.name,
            size(deletion, language),
            language.pick("dados de", "data from"),
            deletion.taken.map_or_else(|| "?".to_owned(), time::local),
            deletion.tags.get(EXPIRES_ON).map_or("?", String::as_str),
        ),
        Action::Copied { target, region, .. } => {
            format!("*{}* `{target}` ({region})", language.pick("Cópia pronta", "Copy available"))
        }
    }
}

/// The size of a deleted snapshot's database.
fn size(deletion: &ExpiredSnapshot, language: Language) -> String {
    match (deletion.kind, deletion.size_gib) {
        (Kind::Cluster, 0) => {
            language.pick("tamanho não informado pelo RDS", "size not reported by RDS").to_owned()
        }
        (_, size) => format!("{size} GiB"),
    }
}
