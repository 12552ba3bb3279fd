//! Damage to a chain from outside, with its repair.

use crate::command;
use crate::runtime::language::Language;

/// Damage to a chain from outside. Nothing is appended until a person has repaired it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    pub(super) bucket: String,
    /// Key of the newest record; for a deleted chain, key of the note that remembers it.
    pub(super) key: String,
    pub(super) harm: Harm,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Harm {
    /// A delete marker, with this version, hides the newest record.
    Hidden(String),
    /// The newest record's key was written again, as this version.
    Replaced(String),
    /// No version of any record exists.
    Gone,
}

impl Damage {
    /// The finding's stable name.
    pub fn kind(&self) -> &'static str {
        match self.harm {
            Harm::Hidden(_) => "EvidenceHidden",
            Harm::Replaced(_) => "EvidenceReplaced",
            Harm::Gone => "EvidenceGone",
        }
    }

    /// The damage, and how to repair it, with commands.
    pub fn text(&self, language: Language) -> String {
        let Self { bucket, key, harm } = self;
        let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let delete = command!("aws s3api delete-object --bucket {bucket} --key {key}", bucket, key);
        let delete_version =
            |version: &str| command!("{delete} --version-id {version}", delete, version).code();
        let list =
            command!("aws s3api list-object-versions --bucket {bucket} --prefix {folder}/", bucket, folder);
        let changes = command!(
            "aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue={bucket}",
            bucket
        );
        let who = format!(
            "{} {}",
            say(
                "nada foi acrescentado à cadeia, e o registro desta execução está no log (`undelivered`). Ver quem mexeu no bucket:",
                "nothing was appended to the chain, and this run's record is in the log (`undelivered`). Find out who changed the bucket:",
            ),
            changes.code()
        );
        match harm {
            Harm::Hidden(version) => format!(
                "{} s3://{bucket}/{key}; {who}. {} {}. {} {}",
                say(
                    "um delete marker esconde o registro mais novo da cadeia,",
                    "a delete marker hides the newest record of the chain,",
                ),
                say(
                    "Depois, quem publica a stack (DeployerArns) tira o marcador:",
                    "Then a principal that deploys the stack (DeployerArns) removes the marker:",
                ),
                delete_version(version),
                say("O mesmo para os outros, se houver:", "Remove any other markers the same way:"),
                command!("{list} --query 'DeleteMarkers[].[Key,VersionId]' --output text", list).code()
            ),
            Harm::Replaced(version) => format!(
                "{} s3://{bucket}/{key}; {who}. {} {}. {} {}",
                say(
                    "o registro mais novo da cadeia foi gravado mais de uma vez,",
                    "the newest record of the chain was written more than once,",
                ),
                say(
                    "Guardar as duas versões; a primeira é o registro:",
                    "Keep a copy of both versions; the older one is the record:",
                ),
                list.code(),
                say(
                    "Depois, quem publica a stack (DeployerArns) tira a outra, quando a trava dela deixar (docs/implantacao.md):",
                    "Then a principal that deploys the stack (DeployerArns) removes the newer one, once its lock permits (docs/implantacao.md):",
                ),
                delete_version(version)
            ),
            Harm::Gone => format!(
                "{} s3://{bucket}/{key}; {who}. {} {}",
                say(
                    "a cadeia já existiu e nenhuma versão dos registros dela está no bucket; o que se sabia dela está em",
                    "the chain existed, but the bucket holds no version of any of its records; the last known record is noted in",
                ),
                say(
                    "Para começar outra de propósito, quem publica a stack (DeployerArns) apaga essa anotação:",
                    "To begin a new chain deliberately, a principal that deploys the stack (DeployerArns) deletes that note:",
                ),
                delete.code()
            ),
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.kind(), self.text(Language::English))
    }
}

impl std::error::Error for Damage {}
