//! Texts that people read: messages in the channel, pages, lines of the record.

mod finding;
mod page;
mod repair;
mod summary;

use shared::run::notify::Message;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::settings::Settings;

pub(crate) use finding::line;
pub(crate) use page::{critical, unreadable};
pub(crate) use repair::{Repaired, repaired};
pub(crate) use summary::summary;

use crate::error::AuditError;

/// The message about an audit that failed.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &AuditError) -> Message {
    let title = settings.language.pick("A auditoria de backup falhou", "The backup audit failed");
    let failure = format!("*{}*: {}", error.kind(), chain(error));
    Message::failed(settings, title, &failure, &error.next_step(settings.language), run_id)
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::finding::tests::settings;
    use super::*;

    #[test]
    fn a_repair_and_a_failure_are_reported_with_the_state_and_the_next_step() {
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
            assert!(message.title().ends_with("moveongs-prod-db (prod)"), "{}", message.title());
            assert_eq!(message.lines()[1], before);
            assert_eq!(message.lines()[2], done.change);
            let pending = repaired(&settings(language), "d", &Repaired { holds: false, ..done });
            assert_ne!(pending.title(), message.title());
            let message = failed(&settings(language), "d", &cause);
            assert_eq!(message.title(), failed_);
            assert!(message.lines()[0].starts_with("*RepairNotAllowed*: "));
            assert!(message.lines()[1].contains("BackupRepairs"));
        }
    }
}
