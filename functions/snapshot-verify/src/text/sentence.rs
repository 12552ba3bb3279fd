//! A finding in one sentence.

use shared::runtime::language::Language;

use crate::rules::finding::{Finding, Subject, key};

/// The line of a finding in the record: its key and the details.
pub(crate) fn line(subject: &Subject, finding: &Finding) -> String {
    format!("{}: {}", key(subject, finding), sentence(subject, finding, Language::English))
}

/// The finding in one sentence.
pub(super) fn sentence(subject: &Subject, finding: &Finding, language: Language) -> String {
    let portuguese = language == Language::Portuguese;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    match finding {
        Finding::Failed { status, is_copy: false } if portuguese => {
            format!("o RDS desistiu do snapshot ({status}): não dá para restaurar")
        }
        Finding::Failed { status, is_copy: false } => {
            format!("RDS could not complete the snapshot ({status}): it cannot be restored")
        }
        Finding::Failed { status, .. } if portuguese => format!("o RDS desistiu da cópia ({status})"),
        Finding::Failed { status, .. } => format!("RDS could not complete the copy ({status})"),
        Finding::Slow { hours, progress, .. } if portuguese => {
            format!("não terminou depois de {hours} h, e está em {progress} %")
        }
        Finding::Slow { hours, progress, .. } => format!("is still at {progress} % after {hours} h"),
        Finding::Public => say(
            "é público: qualquer conta da AWS pode restaurá-lo",
            "is public: any AWS account may restore it",
        ),
        Finding::Shared { accounts } if portuguese => {
            format!("está compartilhado com {}, que pode restaurá-lo", accounts.join(", "))
        }
        Finding::Shared { accounts } => {
            format!("can be restored by other accounts: {}", accounts.join(", "))
        }
        Finding::CopyRefused { why } if portuguese => format!("a cópia não foi aceita: {why}"),
        Finding::CopyRefused { why } => format!("the copy was refused: {why}"),
        Finding::InsufficientData { why } if portuguese => format!("não foi possível verificar: {why}"),
        Finding::InsufficientData { why } => format!("could not be checked: {why}"),
        Finding::CopyStale { hours, newest } if portuguese => {
            format!("a cópia mais nova que se pode restaurar, {newest}, tem dados de {hours} h atrás")
        }
        Finding::CopyStale { hours, newest } => {
            format!("the newest restorable copy, {newest}, has data from {hours} h ago")
        }
        Finding::NoSource => say(
            "não há snapshot pronto e criptografado para copiar",
            "no snapshot is available and encrypted, so none can be copied",
        ),
        Finding::CopyUnsupported => say(
            "o RDS não copia snapshots de um Multi-AZ DB cluster: não há cópia na outra região",
            "RDS does not copy snapshots of a Multi-AZ DB cluster: the other region has no copy",
        ),
        Finding::NotEncrypted if matches!(subject, Subject::Automated(_)) => say(
            "os snapshots automáticos não estão criptografados, porque o banco não está",
            "the automated snapshots are not encrypted, because the database is not",
        ),
        Finding::NotEncrypted => say("não está criptografado", "is not encrypted"),
        Finding::SizeDoubtful { percent, before } if portuguese => {
            format!("tem {percent} % do tamanho do anterior (`{before}`)")
        }
        Finding::SizeDoubtful { percent, before } => {
            format!("has {percent} % of the size of the previous snapshot (`{before}`)")
        }
        Finding::Untagged { missing } if portuguese => {
            format!("falta a tag {}, ou é de outro ambiente", missing.join(", "))
        }
        Finding::Untagged { missing } => {
            format!("the tag {} is missing or names another environment", missing.join(", "))
        }
        Finding::NoExpiry => say(
            "não tem ExpiresOn (AAAA-MM-DD): nada o apaga",
            "has no ExpiresOn (YYYY-MM-DD), so it is never deleted",
        ),
        Finding::NotDeleted { why } if portuguese => format!("venceu, e não foi apagado: {why}"),
        Finding::NotDeleted { why } => format!("has expired, but was not deleted: {why}"),
    }
}
