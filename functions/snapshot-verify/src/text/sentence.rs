//! What is wrong, in a sentence.

use shared::runtime::language::Language;

use crate::rules::finding::{Finding, Subject, key};

/// The line of a finding in the evidence record: what `key` gives, and the details.
pub(crate) fn line(subject: &Subject, finding: &Finding) -> String {
    format!("{}: {}", key(subject, finding), sentence(subject, finding, Language::English))
}

/// What is wrong, in a sentence.
pub(super) fn sentence(subject: &Subject, finding: &Finding, language: Language) -> String {
    let portuguese = language == Language::Portuguese;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    match finding {
        Finding::Failed { status, is_copy: false } if portuguese => {
            format!("o RDS desistiu do snapshot ({status}): não dá para restaurar")
        }
        Finding::Failed { status, is_copy: false } => {
            format!("RDS has given the snapshot up ({status}): it cannot be restored")
        }
        Finding::Failed { status, .. } if portuguese => format!("o RDS desistiu da cópia ({status})"),
        Finding::Failed { status, .. } => format!("RDS has given the copy up ({status})"),
        Finding::Slow { hours, progress, .. } if portuguese => {
            format!("não terminou depois de {hours} h, e está em {progress} %")
        }
        Finding::Slow { hours, progress, .. } => format!("is not done after {hours} h, and at {progress} %"),
        Finding::Public => say(
            "é público: qualquer conta da AWS pode restaurá-lo",
            "is public: any account of AWS may restore it",
        ),
        Finding::Shared { accounts } if portuguese => {
            format!("está compartilhado com {}, que pode restaurá-lo", accounts.join(", "))
        }
        Finding::Shared { accounts } => {
            format!("is shared with {}, who may restore it", accounts.join(", "))
        }
        Finding::CopyRefused { why } if portuguese => format!("a cópia não foi aceita: {why}"),
        Finding::CopyRefused { why } => format!("the copy was refused: {why}"),
        Finding::InsufficientData { why } if portuguese => format!("não foi possível verificar: {why}"),
        Finding::InsufficientData { why } => format!("could not be checked: {why}"),
        Finding::CopyStale { hours, newest } if portuguese => {
            format!("a cópia mais nova que se pode restaurar, {newest}, tem dados de {hours} h atrás")
        }
        Finding::CopyStale { hours, newest } => {
            format!("the newest copy that can be restored, {newest}, has data of {hours} h ago")
        }
        Finding::NoSource => say(
            "não há snapshot pronto e criptografado para copiar",
            "there is no snapshot that is available and encrypted to copy",
        ),
        Finding::CopyUnsupported => say(
            "o RDS não copia snapshots de um Multi-AZ DB cluster: não há cópia na outra região",
            "RDS does not copy snapshots of a Multi-AZ DB cluster: there is no copy in the other region",
        ),
        Finding::NotEncrypted if matches!(subject, Subject::Automated(_)) => say(
            "os snapshots automáticos não estão criptografados, porque o banco não está",
            "the automated snapshots are not encrypted, since the database is not",
        ),
        Finding::NotEncrypted => say("não está criptografado", "is not encrypted"),
        Finding::SizeDoubtful { percent, before } if portuguese => {
            format!("tem {percent} % do tamanho do anterior (`{before}`)")
        }
        Finding::SizeDoubtful { percent, before } => {
            format!("has {percent} % of the size of the one before (`{before}`)")
        }
        Finding::Untagged { missing } if portuguese => {
            format!("falta a tag {}, ou é de outro ambiente", missing.join(", "))
        }
        Finding::Untagged { missing } => {
            format!("the tag {} is missing, or of another environment", missing.join(", "))
        }
        Finding::NoExpiry => say(
            "não tem ExpiresOn (AAAA-MM-DD): nada o apaga",
            "has no ExpiresOn (YYYY-MM-DD): nothing deletes it",
        ),
        Finding::NotDeleted { why } if portuguese => format!("venceu, e não foi apagado: {why}"),
        Finding::NotDeleted { why } => format!("has expired, and was not deleted: {why}"),
    }
}
